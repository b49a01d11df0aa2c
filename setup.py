"""Build the C extension. Everything else about the package: pyproject.toml.

Environment variables, for those who work on the C code:

FASTASYNC_BUILD=separate      compile every .c file by itself instead of the
                              one file that includes them all
FASTASYNC_DEBUG=1             -O0 -g3, assertions on
FASTASYNC_WERROR=1            the warnings of the house, as errors
FASTASYNC_SANITIZE=a,b        -fsanitize=a,b; see tools/sanitize.sh
FASTASYNC_PGO=generate:DIR    note in DIR what runs often, when it runs
FASTASYNC_PGO=use:DIR         build with what was noted there; see tools/pgo.sh
"""

import os
import sys
import sysconfig
from glob import escape as glob_escape
from glob import glob

# pip only asks for the metadata, reads requires-python there, and says it better.
ASKED_BY_PIP = {"egg_info", "dist_info"}.intersection(sys.argv)
if sys.version_info < (3, 11) and not ASKED_BY_PIP:
    sys.exit(
        "fastasync needs Python 3.11 or later; this is Python %d.%d."
        % sys.version_info[:2]
    )
if not sys.platform.startswith("linux"):
    sys.exit("fastasync needs Linux; this is %s." % sys.platform)

from setuptools import Extension, setup  # noqa: E402
from setuptools.command.build_ext import build_ext  # noqa: E402
from setuptools.command.build_py import build_py  # noqa: E402

# Python reads it at every start: FASTASYNC_INSTALL=1 installs fastasync.
STARTUP_FILE = "fastasync.pth"

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wmissing-prototypes",
    "-Wstrict-prototypes",
    "-Wundef",
    "-Werror",
]


def env(name: str) -> str:
    value = os.environ.get("FASTASYNC_" + name, "")
    return "" if value == "0" else value


def sources() -> list[str]:
    how = env("BUILD") or "onefile"
    if how == "onefile":
        return ["_fastasync/onefile.c"]
    if how == "separate":
        return ["_fastasync/module.c", *sorted(glob("_fastasync/*/*.c"))]
    sys.exit(f"FASTASYNC_BUILD is 'onefile' or 'separate', not {how!r}.")


def dependencies() -> list[str]:
    """List what onefile.c includes too: a change there means a rebuild."""
    return sorted(glob("_fastasync/**/*.[ch]", recursive=True))


def compile_flags() -> list[str]:
    flags = ["-std=c11", "-D_GNU_SOURCE", "-fvisibility=hidden"]
    if env("DEBUG"):
        flags += ["-O0", "-g3", "-UNDEBUG", "-DFA_DEBUG=1"]
    else:
        flags += ["-O3", "-DNDEBUG"]
    if env("WERROR"):
        # As system headers, CPython's own are not held to our warnings.
        flags += WARNINGS + ["-isystem", sysconfig.get_path("include")]
    if env("SANITIZE"):
        flags += ["-O1", "-g", "-fno-omit-frame-pointer"]
    return flags + sanitizer_flags() + profile_flags()


def profile_flags() -> list[str]:
    how, _, folder = env("PGO").partition(":")
    if how == "generate":
        return [f"-fprofile-generate={folder}", "-fprofile-update=single"]
    if how == "use":  # what the training has not seen is compiled as without it
        return [
            "-fprofile-use",
            "-fprofile-partial-training",
            "-Werror=missing-profile",
        ]
    return []


def sanitizer_flags() -> list[str]:
    which = env("SANITIZE")
    if not which:
        return []
    return [f"-fsanitize={which}", "-fno-sanitize-recover=all"]


class BuildExt(build_ext):
    """Puts what was noted where gcc looks for it: beside the object file."""

    def build_extension(self, ext: Extension) -> None:
        how, _, folder = env("PGO").partition(":")
        if how == "use":
            notes = os.path.join(glob_escape(folder), "**", "*.gcda")
            found = glob(notes, recursive=True)
            if len(found) != 1:
                sys.exit(f"FASTASYNC_PGO: one .gcda file expected, found {found}")
            (obj,) = self.compiler.object_filenames(
                ext.sources, output_dir=self.build_temp
            )
            os.makedirs(os.path.dirname(obj), exist_ok=True)
            self.copy_file(found[0], os.path.splitext(obj)[0] + ".gcda")
        super().build_extension(ext)


class BuildPy(build_py):
    """Puts the startup file beside the packages, that is into site-packages."""

    def run(self) -> None:
        super().run()
        self.copy_file(STARTUP_FILE, os.path.join(self.build_lib, STARTUP_FILE))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [
            *super().get_outputs(include_bytecode),
            os.path.join(self.build_lib, STARTUP_FILE),
        ]


setup(
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy},
    ext_modules=[
        Extension(
            "_fastasync",
            sources=sources(),
            depends=dependencies(),
            include_dirs=["_fastasync"],
            extra_compile_args=compile_flags(),
            extra_link_args=sanitizer_flags() + profile_flags(),
        )
    ]
)
