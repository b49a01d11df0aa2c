"""Public callables take what asyncio's take, and say what they are for.

Every public name of the package, every public method of its classes, and those of
the classes that loops hand out (transports, servers) are held against the running
asyncio: inspect.signature() must give the same parameters (names, kinds, defaults),
and there must be a docstring where asyncio has one, and on all that is ours alone.
"""

import asyncio
import inspect
import sys
from asyncio import base_events, selector_events, sslproto, unix_events

import pytest

import fastasync
from fastasync import _server

import _fastasync

#: Classes that loops use or hand out, and what asyncio has in their place.
HANDED_OUT = {
    "Loop": (fastasync.Loop, unix_events._UnixSelectorEventLoop),
    "Server": (_server.Server, base_events.Server),
    "SocketTransport": (
        _fastasync.SocketTransport,
        selector_events._SelectorSocketTransport,
    ),
    "DatagramSocketTransport": (
        _fastasync.DatagramSocketTransport,
        selector_events._SelectorDatagramTransport,
    ),
    "ReadPipeTransport": (
        _fastasync.ReadPipeTransport,
        unix_events._UnixReadPipeTransport,
    ),
    "WritePipeTransport": (
        _fastasync.WritePipeTransport,
        unix_events._UnixWritePipeTransport,
    ),
    "ProcessTransport": (
        _fastasync.ProcessTransport,
        unix_events._UnixSubprocessTransport,
    ),
    "SSLTransport": (
        _fastasync.SSLTransport,
        sslproto._SSLProtocolTransport,
    ),
    "SSLProtocol": (_fastasync.SSLProtocol, sslproto.SSLProtocol),
}

#: What differs from asyncio, on whichever Python it does: our signature, and why.
DIFFERENT = {
    "run": (
        "(main, *, debug=None, loop_factory=None, nested=None)",
        "nested is ours, and loop_factory is for Python 3.11 too",
    ),
    "Future.add_done_callback": (
        "(fn, /, *, context=None)",
        "asyncio's in C cannot be read; None is what its Python twin has",
    ),
    "Task.add_done_callback": (
        "(fn, /, *, context=None)",
        "Future's",
    ),
    "Server": (
        "(loop, sockets, protocol_factory, ssl_context, backlog, "
        "ssl_handshake_timeout, ssl_shutdown_timeout=None, context=None)",
        "context is ours: what connections are accepted in",
    ),
    "SocketTransport": (
        "(loop, sock, protocol, waiter=None, extra=None, server=None, context=None)",
        "context is of Python 3.15; here it is for all",
    ),
    "ProcessTransport": (
        "(extra=None)",
        "only loops make it, and they need no constructor; this is its base's",
    ),
    "SSLTransport": (
        "(extra=None, loop=None)",
        "only SSLProtocol makes it, without a constructor; this is its base's",
    ),
}

if (3, 13) <= sys.version_info < (3, 13, 3):
    DIFFERENT["Loop.create_task"] = DIFFERENT["EventLoop.create_task"] = (
        "(coro, **kwargs)",
        "it is 3.13.3's: a build for 3.13 runs on each, and refuses where it must",
    )

SPECIAL = ("__aenter__", "__aexit__", "__aiter__", "__anext__", "__iter__")


def is_public(name):
    return not name.startswith("_") or name in SPECIAL


def pairs():
    """Yield (label, ours, asyncio's or None) for all that is public."""
    roots = {
        name: (getattr(fastasync, name), getattr(asyncio, name, None))
        for name in fastasync.__all__
    }
    roots.update(HANDED_OUT)
    for name, (mine, theirs) in roots.items():
        if mine is theirs:
            continue
        yield name, mine, theirs
        if not inspect.isclass(mine):
            continue
        for inner in sorted({*dir(mine), *dir(theirs)}):
            a = inspect.getattr_static(mine, inner, None)
            b = inspect.getattr_static(theirs, inner, None)
            if is_public(inner) and a is not b:
                yield f"{name}.{inner}", a, b


PAIRS = {label: (mine, theirs) for label, mine, theirs in pairs()}


def parameters(label, thing):
    """Return [(name, kind, default)] of a callable, without self."""
    found = list(inspect.signature(thing).parameters.values())
    if "." in label and not isinstance(thing, (staticmethod, classmethod)):
        del found[0]  # C's self has no name to be passed by
    return [p.replace(annotation=p.empty) for p in found]


def as_text(found):
    return str(inspect.Signature(found))


def callables():
    return [label for label, (mine, _) in PAIRS.items() if callable(mine)]


def test_nothing_public_is_missing():
    assert [
        label
        for label, (mine, theirs) in PAIRS.items()
        if mine is None and theirs is not None
    ] == []


@pytest.mark.parametrize("label", callables())
def test_a_signature_is_asyncios(label):
    mine, theirs = PAIRS[label]
    ours = as_text(parameters(label, mine))
    if label in DIFFERENT:
        assert ours == DIFFERENT[label][0]
    elif theirs is not None:  # else it is enough that there is one
        assert ours == as_text(parameters(label, theirs))


def test_the_table_of_differences_names_what_exists():
    assert set(DIFFERENT) <= set(callables())


def methods_in_c():
    for label, (mine, _) in PAIRS.items():
        if inspect.ismethoddescriptor(mine) and "." in label and callable(mine):
            asked = {p.kind for p in parameters(label, mine)}
            if asked & {
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                inspect.Parameter.KEYWORD_ONLY,
            }:
                yield label


@pytest.mark.parametrize("label", list(methods_in_c()))
def test_arguments_that_have_names_can_be_given_by_name(label):
    mine = PAIRS[label][0]
    try:
        instance = mine.__objclass__.__new__(mine.__objclass__)
    except TypeError:
        pytest.skip("only loops make it")
    with pytest.raises(TypeError) as caught:
        mine(instance, no_such_argument=None)
    assert "takes no keyword arguments" not in str(caught.value)


@pytest.mark.parametrize("label", sorted(PAIRS))
def test_there_is_a_docstring(label):
    mine, theirs = PAIRS[label]
    if theirs is None or theirs.__doc__:
        assert mine.__doc__ and mine.__doc__.strip()
