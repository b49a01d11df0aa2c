"""Tasks and futures whose __init__ never ran do not crash.

What a method answers is compared with asyncio in tests/api; here every
name is used, also those with which some versions of asyncio crash.
"""

from measure import MEASURE_ASYNCIO, finish, namespace

module = namespace()
ARGUMENTS = {
    "set_result": (1,), "set_exception": (KeyError(),), "set_name": ("x",),
    "add_done_callback": (print,), "remove_done_callback": (print,),
    "__setattr__": ("note", 1), "__getattribute__": ("note",),
    "__delattr__": ("note",), "__eq__": (1,), "__ne__": (1,),
    "__lt__": (1,), "__le__": (1,), "__gt__": (1,), "__ge__": (1,),
    "__format__": ("",), "__reduce_ex__": (4,), "__class_getitem__": (int,),
}
# These make a new object or look at the class, or only exit.
LEFT_OUT = {"__class__", "__new__", "__init__", "__init_subclass__",
            "__subclasshook__", "__doc__", "__dict__", "__module__",
            "__weakref__"}
CRASHES_ASYNCIO = {"get_coro", "get_context", "_log_destroy_pending"}


def use(kind, name):
    thing = kind.__new__(kind)
    try:
        value = getattr(thing, name)
        if callable(value):
            value = value(*ARGUMENTS.get(name, ()))
        repr(value)
        if hasattr(value, "__next__"):
            next(value)
    except Exception:
        pass


def put(kind, name, value):
    thing = kind.__new__(kind)
    try:
        setattr(thing, name, value)
    except Exception:
        pass
    try:
        delattr(thing, name)
    except Exception:
        pass
    for attribute in ("_state", "_callbacks", "_log_traceback"):
        try:
            getattr(thing, attribute)
        except Exception:
            pass


class SubTask(module.Task):
    def __init__(self):
        pass


class SubFuture(module.Future):
    def __init__(self):
        pass


used = 0
for kind in (module.Future, module.Task, SubFuture, SubTask):
    for name in dir(kind):
        if name in LEFT_OUT:
            continue
        if MEASURE_ASYNCIO and name in CRASHES_ASYNCIO:
            continue
        use(kind, name)
        used += 1
        if name.startswith("_") and not name.startswith("__"):
            for value in (None, True, 1, "text", []):
                put(kind, name, value)
assert used > 100
finish()
