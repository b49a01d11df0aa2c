"""A child of run.py: patches this interpreter and runs one test file in it.

Not for calling by hand: the job comes in an environment variable. The patching
stands outside of the ``__main__`` guard because tests spawn processes through
multiprocessing, which imports this file again in each; they too must be
patched.
"""

from __future__ import annotations

import asyncio  # noqa: F401  (before fastasync: the program's usual order)
import faulthandler
import os
import signal
import sys
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import patching
from harness.wire import Job, Journal

job = Job.from_environment()
ours = patching.load_implementation(job.implementation)
replaced = patching.apply(ours, job.mode)


def main() -> None:
    """Run the job."""
    faulthandler.enable()
    # A shell starts background jobs with SIGINT ignored, and a CI may as well;
    # the tests of Runner send themselves one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    journal = Journal(job.results)
    warnings.simplefilter("default")
    # Imported late: these reach into asyncio's tests, which have to meet the
    # patched names.
    if job.leak_rounds:
        from harness import leaks

        faulthandler.dump_traceback_later(
            job.hang_limit * (job.leak_rounds + 1), exit=True
        )
        leaks.run(job, journal)
        return
    from harness import proof, recorder

    witness = proof.Witness(ours.Loop, replaced)
    recorder.run(job, journal, witness)


if __name__ == "__main__":
    main()
