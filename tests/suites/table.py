"""The suites: which release of which project, and how its tests are started.

To take up another one: a Suite here, its tests' requirements, all pinned, in
requirements/<name>.txt (install them once without pins and take over what pip
freeze says), a run, and an entry in expected.py for each difference that is
not ours to repair.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


def no_ipv6_localhost() -> bool:
    """Tell whether this machine's localhost has no IPv6 address."""
    try:
        return not socket.getaddrinfo("localhost", 0, socket.AF_INET6)
    except socket.gaierror:
        return True


def as_root() -> bool:
    """Tell whether the tests run as root, who may read and write anything."""
    return os.getuid() == 0


def always() -> bool:
    """Tell that something is left out everywhere."""
    return True


@dataclass(frozen=True)
class LeftOut:
    """Tests that no run contains, for a reason that lies outside the loop."""

    what: str  # a word for pytest's -k, "-m x" for its marks
    reason: str
    when: Callable[[], bool] = always


@dataclass(frozen=True)
class OwnLoops:
    """Tests (globs on ids) that make asyncio's loop by its name, or their own.

    Nobody who chooses a loop for a program can change that.
    """

    tests: str
    reason: str
    modes: Sequence[str] = ("policy", "install")


@dataclass(frozen=True)
class Suite:
    """A project's released tests."""

    name: str
    version: str
    sha256: str  # of the sdist
    tests: Sequence[str]  # what is run, of pytest or of unittest
    at_least: int  # tests that pass on asyncio, or something is wrong
    fewer: Mapping[str, int] = field(default_factory=dict)  # at_least, on 3.x
    framework: str = "pytest"
    options: Sequence[str] = ()
    python: Sequence[str] = ()  # options of the interpreter
    environment: Mapping[str, str] = field(default_factory=dict)
    config: str = ""  # pytest.ini, if the sdist has none
    installed: bool = False  # the tests come with the package: run those
    removed: Sequence[str] = ()  # of the sdist, to test what is installed
    left_out: Sequence[LeftOut] = ()
    own_loops: Sequence[OwnLoops] = ()
    seconds: int = 900  # for a run of all tests

    @property
    def folder(self) -> str:
        """The folder in the sdist."""
        return f"{self.name.replace('-', '_')}-{self.version}"


# What their projects put into addopts (coverage, processes) is not wanted.
PLAIN = ("-o", "addopts=", "-p", "no:cacheprovider", "-q")

_BY_NAME = "makes asyncio.SelectorEventLoop, or a subclass of its own, by name"

SUITES: Sequence[Suite] = (
    Suite(
        name="anyio",
        version="4.16.0",
        sha256="59bb03251907983d1603d27c3087ddb1e93299ea2163adcdba37899a4fb12ff"
        "b",
        tests=["tests"],
        at_least=1900,
        fewer={"3.11": 1000},  # without the eager tasks of 3.12
        # Its own 20 seconds are short for a busy machine.
        options=["-p", "no:cacheprovider", "-q", "-o", "timeout=60"],
        left_out=[
            LeftOut("-m network", "needs the Internet"),
            LeftOut("trio", "another backend, without asyncio"),
            LeftOut("uvloop", "the same tests on another loop"),
            LeftOut(
                "ipv6", "localhost has no IPv6 address here", no_ipv6_localhost
            ),
        ],
        own_loops=[
            OwnLoops(
                "tests/test_to_thread.py::test_asyncio_*",
                "a fixture makes asyncio.EventLoop(), which is not asked of "
                "the policy; install() replaces the name",
                ["policy"],
            ),
        ],
    ),
    Suite(
        name="uvicorn",
        version="0.54.0",
        sha256="a2e33cbfaa0306f8e6b0c13e0cb89d7d7a2da3e62b90c66e18c33d9807b2862"
        "0",
        tests=["tests"],
        at_least=1250,
        options=PLAIN,
        own_loops=[
            OwnLoops(
                "tests/test_compat.py::test_asyncio_run__custom_loop_factory",
                _BY_NAME,
            ),
            OwnLoops("tests/test_compat.py::*non_awaitable*", _BY_NAME),
            OwnLoops("tests/test_config.py::test_custom_loop__*", _BY_NAME),
            *(
                OwnLoops(tests, "--loop auto and asyncio: " + _BY_NAME)
                for tests in (
                    "tests/protocols/test_http.py::test_fragmentation",
                    "tests/test_auto_detection.py::test_loop_auto",
                    "tests/test_config.py::test_get_loop_factory*",
                    "tests/test_main.py::test_run_startup_failure",
                    "tests/test_server.py::test_run_exits_with_startup_*",
                )
            ),
        ],
    ),
    Suite(
        name="tornado",
        version="6.6.1",
        sha256="28e6311402af59c8b02e3fa0f5e7d8eb465b25081381803b127d97e6a4395d5"
        "a",
        tests=["tornado.test"],
        at_least=1350,
        framework="unittest",
        # As tornado's tox.ini has it.
        python=["-bb"],
        environment={
            "ASYNC_TEST_TIMEOUT": "25",
            "PYTHONWARNINGS": "error:::tornado",
            "PYTHONWARNDEFAULTENCODING": "1",
        },
        installed=True,
        own_loops=[
            OwnLoops(
                "tornado.test.asyncio_test.AnyThreadEventLoopPolicyTest.*",
                "sets tornado's own policy, which makes asyncio's loops",
            ),
        ],
    ),
    Suite(
        name="janus",
        version="2.0.0",
        sha256="0970f38e0e725400496c834a368a67ee551dc3b5ad0a257e132f5b46f2e7777"
        "0",
        tests=["tests"],
        at_least=100,
        options=PLAIN,
    ),
    Suite(
        name="aiojobs",
        version="1.4.0",
        sha256="463665c75d1fcc46c78d44375c1034abf5e3f087894b0fc5ec4dd16ef90fdc9"
        "8",
        tests=["tests"],
        at_least=55,
        options=PLAIN,
        config="[pytest]\nasyncio_mode = auto\n",
    ),
    Suite(
        name="async-timeout",
        version="5.0.1",
        sha256="d9321a7a3d5a6a5e187e824d2fa0793ce379a202935782d555d6e9d2735677d"
        "3",
        tests=["tests"],
        at_least=30,
        options=PLAIN,
    ),
    Suite(
        name="aiofiles",
        version="25.1.0",
        sha256="a8d728f0a29de45dc521f18f07297428d56992a742f0cd2701ba86e44d23d5b"
        "2",
        tests=["tests"],
        at_least=205,
        options=PLAIN,
    ),
    Suite(
        name="aiohttp",
        version="3.14.5",
        sha256="5558a7f5a05af9ecf744af91e5baefc436f93c9333e656c27ec253f9a6bbe17"
        "8",
        tests=["tests"],
        at_least=5400,
        # Without a collection of all garbage at the end of each test.
        options=[*PLAIN, "--aiohttp-fast"],
        removed=["aiohttp"],  # without its extension modules
        left_out=[
            LeftOut("-m dev_mode", "aiohttp leaves it out by itself"),
            LeftOut("-m autobahn", "needs a Docker container"),
            LeftOut("-m internal", "aiohttp leaves it out by itself"),
            LeftOut("test_benchmarks", "they measure"),
            LeftOut("without_read_permission", "root may read it", as_root),
            LeftOut("test_circular_imports", "only imports, one by one"),
        ],
    ),
    Suite(
        name="asyncssh",
        version="2.24.1",
        sha256="efcd36e9b35f79873535b06444a7c9b0a3c61d97081b208c7fdd3fd8a40f1ec"
        "a",
        tests=["tests"],
        at_least=1700,
        options=[*PLAIN, "-o", "timeout=120"],
        left_out=[
            LeftOut(
                "not_readable",
                "root may read it: the connection that is to be refused stays "
                "open, and the end of the tests waits for it",
                as_root,
            ),
            *(
                LeftOut(word, "root is permitted everything", as_root)
                for word in (
                    "open_read_not_permitted",
                    "test_get_not_permitted",
                    "rmtree_rmdir_failure",
                    "rmtree_unlink_failure",
                )
            ),
        ],
    ),
    Suite(
        name="aioquic",
        version="1.7.2",
        sha256="4def7cb0a692dc12c995cc397a93f41b78cc30b7bf078769c3a3bb1ba9dcf36"
        "2",
        tests=["tests/test_asyncio.py"],  # the others know no loop
        at_least=25,
        options=PLAIN,
    ),
    Suite(
        name="aiosmtpd",
        version="1.4.6",
        sha256="5a811826e1a5a06c25ebc3e6c4a704613eb9a1bcf6b78428fbe865f4f6c9a4b"
        "8",
        tests=["aiosmtpd/tests"],
        at_least=500,
        options=[
            *PLAIN,
            # Its own settings make errors of all warnings, those about its
            # tools and about names that 3.14 deprecates, too.
            *("-W", "ignore:pkg_resources is deprecated:UserWarning"),
            *("-W", "ignore:'asyncio.:DeprecationWarning"),
        ],
    ),
    Suite(
        name="pytest-asyncio",
        version="1.5.0",
        sha256="92c8fa83ca419fd0d4bd6a34df6520dae435841d3733c319343249492adf37f"
        "7",
        tests=["tests"],
        at_least=250,
        options=PLAIN,
        own_loops=[
            OwnLoops(
                "tests/markers/test_*_scope.py::*_respects_*_polic*",
                "sets a policy that derives from asyncio's",
            ),
            OwnLoops(
                "tests/markers/test_*_scope.py::*_fixture_override_*",
                "sets asyncio.DefaultEventLoopPolicy",
            ),
            *(
                OwnLoops(
                    f"tests/test_loop_factory_parametrization.py::test_{tests}",
                    "its loop factories: " + _BY_NAME,
                )
                for tests in (
                    "async_fixture_recreated_*",
                    "async_generator_fixture_teardown_*",
                    "asyncio_marker_loop_factories_select_subset",
                    "function_loop_scope_allows_*",
                    "hook_factories_can_vary_*",
                    "hook_factories_use_first_*",
                    "hook_factories_work_in_auto_mode",
                    "named_hook_factories_apply_*",
                    "named_hook_factories_parametrize_*",
                    "nested_conftest_hook_*",
                    "partial_intersection_*",
                    "sync_fixture_sees_*",
                    "sync_generator_fixture_*",
                    "sync_tests_are_not_parametrized_*",
                )
            ),
        ],
    ),
)
