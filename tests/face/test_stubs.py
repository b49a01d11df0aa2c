"""The stubs name what is there, and nothing else.

`make lint` has mypy's stubtest do this more thoroughly, on one Python; here, on
each, the running extension is held against what the stub says for it.
"""

import ast
import asyncio
import importlib
import inspect
import pathlib
import subprocess
import sys

import pytest

import fastasync

import _fastasync

HERE = pathlib.Path(__file__).resolve()


def stub_of(package):
    """Find the stub in the checkout, else where it is installed."""
    for root in (HERE.parents[2], pathlib.Path(fastasync.__file__).parents[1]):
        path = root / package / "__init__.pyi"
        if path.exists():
            return ast.parse(path.read_text())
    raise FileNotFoundError(package)


def holds(test):
    """Decide a test of sys.version_info as a type checker does."""
    code = compile(ast.Expression(test), "stub", "eval")
    return eval(code, {"sys": sys})


def statements(body):
    """Go through a body, taking the branches that hold for this Python."""
    for node in body:
        if isinstance(node, ast.If):
            branch = node.body if holds(node.test) else node.orelse
            yield from statements(branch)
        else:
            yield node


def declared(body):
    """Return what a body declares, by name; names it re-exports too."""
    names = {}
    for node in statements(body):
        if isinstance(
            node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        ):
            names[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            if ast.unparse(node.annotation) != "TypeAlias":
                names[node.target.id] = node
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.asname == alias.name:
                    names[alias.name] = node
    return names


EXTENSION = declared(stub_of("_fastasync-stubs").body)
CLASSES = sorted(
    name for name, node in EXTENSION.items() if isinstance(node, ast.ClassDef)
)


def test_the_stub_names_what_the_extension_exports():
    there = {name for name in vars(_fastasync) if not name.startswith("__")}
    assert set(EXTENSION) == there


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_what_its_stub_declares(name):
    real = getattr(_fastasync, name)
    body = declared(EXTENSION[name].body)
    assert [n for n in body if not hasattr(real, n)] == []
    for base in EXTENSION[name].bases:
        text = ast.unparse(base).partition("[")[0]
        theirs = eval(text, {"asyncio": asyncio, **vars(_fastasync)})
        if name in ("Future", "Task"):  # as the stub says: isinstance only
            assert {a for a in dir(theirs) if a[0] != "_"} <= set(dir(real))
        else:
            assert issubclass(real, theirs)


@pytest.mark.parametrize("name", ["LoopCore", "ServerCore"])
def test_a_class_of_our_own_is_declared_in_full(name):
    public = {a for a in dir(getattr(_fastasync, name)) if a[0] != "_"}
    assert public == {
        a for a in declared(EXTENSION[name].body) if a[0] != "_"
    }


def written_out():
    for name, node in EXTENSION.items():
        if isinstance(node, ast.FunctionDef):
            yield name, node, getattr(_fastasync, name)
        elif isinstance(node, ast.ClassDef):
            real = getattr(_fastasync, name)
            for method, inner in declared(node.body).items():
                if isinstance(inner, ast.FunctionDef) and (
                    not inner.decorator_list
                ):
                    found = (
                        real
                        if method in ("__init__", "__new__")
                        else getattr(real, method)
                    )
                    yield f"{name}.{method}", inner, found


@pytest.mark.parametrize(
    ("node", "real"),
    [pytest.param(node, real, id=name) for name, node, real in written_out()],
)
def test_a_signature_that_is_written_out_is_the_real_one(node, real):
    given = node.args
    names = [a.arg for a in given.posonlyargs + given.args + given.kwonlyargs]
    names += [a.arg for a in (given.vararg, given.kwarg) if a is not None]
    asked = list(inspect.signature(real).parameters.values())
    if isinstance(real, type):
        del names[0]  # self or cls
    kinds = {p.name: p.kind for p in asked}
    if inspect.Parameter.VAR_KEYWORD in kinds.values() and not given.kwarg:
        return  # asyncio's takes any keywords, the stub names those that work
    assert sorted(names) == sorted(kinds)
    for argument in given.kwonlyargs:
        assert kinds[argument.arg] is inspect.Parameter.KEYWORD_ONLY
    for argument in given.posonlyargs:
        assert kinds[argument.arg] is inspect.Parameter.POSITIONAL_ONLY


def test_the_stub_of_the_package_names_what_is_ours():
    body = stub_of("fastasync").body
    names = set(declared(body))
    for node in statements(body):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            module = importlib.import_module(node.module)
            names.update(getattr(module, "__all__", ()))
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets)
    program = "import fastasync; print(*dir(fastasync))"  # and nothing else
    shown = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert set(shown.split()) - names == set()
