"""help(): every public name says what it is, with asyncio's signature."""

import asyncio
import inspect
import re

import pytest

import fastasync

import _fastasync


def is_ours(name):
    try:
        value = getattr(fastasync, name)
    except AttributeError:
        value = getattr(_fastasync, name)
    return value is not getattr(asyncio, name, None)


NAMES = sorted(
    name
    for name in set(fastasync.__all__) | set(vars(_fastasync))
    if not name.startswith("__") and is_ours(name)
)
# asyncio's own function, which says nothing of itself either.
SILENT = {"eager_task_factory"}
CLASSES = [n for n in NAMES if isinstance(getattr(fastasync, n, None), type)]


def value_of(name):
    found = getattr(_fastasync, name, None)
    return getattr(fastasync, name) if found is None else found


def shape(signature):
    """What a caller can tell of a signature; names, kinds, defaults."""
    return [
        (
            p.name,
            p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY),
            p.default,
        )
        for p in signature.parameters.values()
    ]


@pytest.mark.parametrize("name", sorted(set(NAMES) - SILENT))
def test_it_has_a_doc_string_and_no_signature_in_it(name):
    doc = inspect.getdoc(value_of(name))
    assert doc and "--\n" not in doc
    assert not re.match(r"\w+\(.*\)\s*$", doc.splitlines()[0])


@pytest.mark.parametrize("name", CLASSES)
def test_so_do_the_public_attributes_of_a_class(name):
    silent = [
        attribute
        for base in getattr(fastasync, name).__mro__
        if base.__module__ == "_fastasync"
        for attribute, value in vars(base).items()
        if not attribute.startswith("_")
        and (not value.__doc__ or "--\n" in value.__doc__)
    ]
    assert silent == []


def signatures(value):
    try:
        return shape(inspect.signature(value))
    except ValueError:
        return None


def test_signatures_are_asyncios():
    different = {}
    for name in NAMES:
        theirs = getattr(asyncio, name, None)
        if theirs is None or name == "run":  # run() has more than asyncio's
            continue
        pairs = [(name, value_of(name), theirs)]
        if isinstance(theirs, type):
            pairs += [
                (f"{name}.{a}", getattr(value_of(name), a), value)
                for a, value in vars(theirs).items()
                if not a.startswith("_") and callable(value)
            ]
        for where, our_value, their_value in pairs:
            wanted, found = signatures(their_value), signatures(our_value)
            if wanted is not None and wanted != found:
                different[where] = found, wanted
    assert different == {}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_does_not_speak_of_its_core(name):
    theirs = getattr(fastasync, name)
    assert "Core" not in (theirs.__doc__ or "")
    assert "Core" not in str(inspect.signature(theirs))
    assert theirs.__name__ == theirs.__qualname__
