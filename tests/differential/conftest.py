"""Makes the helpers importable; hypothesis's profile; a small heap."""

import gc
import os
import pathlib
import sys

import pytest

try:
    from hypothesis import HealthCheck, Phase, settings
except ImportError:
    settings = None

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

# The same examples in every run of the same code, unless a number is asked
# for: then chance decides, and what was found is remembered.
EXAMPLES = os.environ.get("FASTASYNC_EXAMPLES")

if settings is not None:
    settings.register_profile(
        "differential",
        max_examples=int(EXAMPLES or 200),
        derandomize=EXAMPLES is None,
        database=None if EXAMPLES is None else settings.default.database,
        deadline=None,
        print_blob=EXAMPLES is not None,
        # The explain phase runs a failing program hundreds of times more.
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck))
    settings.load_profile("differential")
else:  # the extra "test" has it
    collect_ignore = ["test_mutants.py", "test_programs.py",
                      "test_streams.py"]


def pytest_report_header():
    if settings is None:
        return "hypothesis is not installed: no generated programs"


@pytest.fixture(scope="package", autouse=True)
def small_heap():
    """Every run ends with a collection: spare it what pytest has loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
