/* sync/timeout_type.c: what Python sees of timeouts: the class Timeout, the
   functions timeout() and timeout_at(), and asyncio's instance attributes. The
   two coroutines of the class end in their first turn. */
#include "base/args.h"
#include "sync/scopes.h"
#include "sync/timeout.h"
#include "task/freelist.h"

/* -- life ----------------------------------------------------------------------- */

static PyObject *
Timeout_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
            PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    return st == NULL ? NULL : (PyObject *)timeout_alloc(st, type);
}

static int
Timeout_traverse(PyObject *obj, visitproc visit, void *arg)
{
    TimeoutObject *self = (TimeoutObject *)obj;
    Py_VISIT(Py_TYPE(obj));
    Py_VISIT(self->dict);
    Py_VISIT(self->when);
    Py_VISIT(self->handler);
    Py_VISIT(self->task);
    Py_VISIT(self->cancelling);
    return 0;
}

static int
Timeout_clear(PyObject *obj)
{
    TimeoutObject *self = (TimeoutObject *)obj;
    Py_CLEAR(self->dict);
    Py_CLEAR(self->when);
    Py_CLEAR(self->handler);
    Py_CLEAR(self->task);
    Py_CLEAR(self->cancelling);
    return 0;
}

static void
Timeout_dealloc(PyObject *obj)
{
    TimeoutObject *self = (TimeoutObject *)obj;
    PyTypeObject *tp = Py_TYPE(obj);
    int exact = tp == self->st->TimeoutType;
    if (exact && FA_UNLIKELY(tp->tp_finalize != NULL) &&
        PyObject_CallFinalizerFromDealloc(obj) < 0)
    {
        return; // a __del__ that was put into the class has kept it
    }
    PyObject_GC_UnTrack(obj);
    if (FA_UNLIKELY(self->weakrefs != NULL)) {
        PyObject_ClearWeakRefs(obj);
    }
    Timeout_clear(obj);
    if (!exact || !freelist_push(&self->st->free_timeouts, obj)) {
        tp->tp_free(obj);
    }
    Py_DECREF(tp);
}

/* -- functions -------------------------------------------------------------------- */

static const fa_args timeout_spec = {
    .fname = "timeout", .required = 1, .positional = 1, .python = 2,
    .total = 1, .names = {"delay"},
};

PyDoc_STRVAR(timeout_doc,
"timeout($module, /, delay)\n--\n\n"
"An asynchronous context manager that interrupts its block after `delay`\n"
"seconds with TimeoutError; None: never. See asyncio.timeout.");

static PyObject *
sync_timeout(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    PyObject *delay;
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        delay = args[0];
    }
    else if (fa_args_parse(&timeout_spec, args, nargs, kwnames, &delay) < 0) {
        return NULL;
    }
    return (PyObject *)timeout_after(fa_state_of_module(module), delay);
}

static const fa_args timeout_at_spec = {
    .fname = "timeout_at", .required = 1, .positional = 1, .python = 2,
    .total = 1, .names = {"when"},
};

PyDoc_STRVAR(timeout_at_doc,
"timeout_at($module, /, when)\n--\n\n"
"Like timeout(), with the time of the loop's clock (loop.time(), in seconds) at\n"
"which the block is interrupted. See asyncio.timeout_at.");

static PyObject *
sync_timeout_at(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    PyObject *when;
    if (fa_args_parse(&timeout_at_spec, args, nargs, kwnames, &when) < 0) {
        return NULL;
    }
    return (PyObject *)timeout_at_time(fa_state_of_module(module),
                                       Py_NewRef(when));
}

/* The callback of the timer. */
static PyObject *
sync_timeout_fire(PyObject *module, PyObject *timeout)
{
    fa_state *st = fa_state_of_module(module);
    if (!PyObject_TypeCheck(timeout, st->TimeoutCoreType)) {
        PyErr_SetString(PyExc_TypeError, "a Timeout was expected");
        return NULL;
    }
    if (timeout_fire((TimeoutObject *)timeout) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef timeout_fire_def = {
    "Timeout._on_timeout", sync_timeout_fire, METH_O,
    "_on_timeout($module, timeout, /)\n--\n\n"
    "The deadline of a Timeout has come.",
};

/* -- methods ---------------------------------------------------------------------------------- */

static int
Timeout_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const fa_args spec = {
        .fname = "Timeout.__init__", .required = 1, .positional = 1,
        .python = 1, .total = 1, .names = {"when"},
    };
    PyObject *when;
    if (fa_args_parse_tuple(&spec, args, kwargs, &when) < 0) {
        return -1;
    }
    timeout_init((TimeoutObject *)self, when);
    return 0;
}

PyDoc_STRVAR(Timeout_when_doc,
"when($self, /)\n--\n\n"
"The deadline in seconds of loop.time(), or None. See asyncio.Timeout.when.");

static PyObject *
Timeout_when(PyObject *obj, PyObject *Py_UNUSED(ignored))
{
    TimeoutObject *self = (TimeoutObject *)obj;
    if (self->when == NULL) {
        timeout_lacks(self, "_when");
        return NULL;
    }
    return Py_NewRef(self->when);
}

PyDoc_STRVAR(Timeout_reschedule_doc,
"reschedule($self, /, when)\n--\n\n"
"Move the deadline to `when`, in seconds of loop.time(); None: no deadline.\n"
"RuntimeError unless the block is active. See asyncio.Timeout.reschedule.");

static PyObject *
Timeout_reschedule(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "Timeout.reschedule", .required = 1, .positional = 1,
        .python = 1, .total = 1, .names = {"when"},
    };
    PyObject *when;
    if (fa_args_parse(&spec, args, nargs, kwnames, &when) < 0 ||
        timeout_reschedule((TimeoutObject *)self, when) < 0)
    {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Timeout_expired_doc,
"expired($self, /)\n--\n\n"
"Has the deadline come while the block was active?\n"
"See asyncio.Timeout.expired.");

static PyObject *
Timeout_expired(PyObject *obj, PyObject *Py_UNUSED(ignored))
{
    TimeoutObject *self = (TimeoutObject *)obj;
    if (self->state == FA_TIMEOUT_UNSET) {
        timeout_lacks(self, "_state");
        return NULL;
    }
    return PyBool_FromLong(self->state == FA_TIMEOUT_EXPIRING ||
                           self->state == FA_TIMEOUT_EXPIRED);
}

static PyObject *
Timeout_on_timeout(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (timeout_fire((TimeoutObject *)self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Timeout_repr(PyObject *obj)
{
    TimeoutObject *self = (TimeoutObject *)obj;
    if (self->state == FA_TIMEOUT_UNSET) {
        timeout_lacks(self, "_state");
        return NULL;
    }
    const char *text = timeout_texts[self->state];
    if (self->state != FA_TIMEOUT_ENTERED) {
        return PyUnicode_FromFormat("<Timeout [%s]>", text);
    }
    PyObject *when = Py_NewRef(self->when == NULL ? Py_None : self->when);
    if (when != Py_None) {
        Py_SETREF(when, PyObject_CallMethod(when, "__round__", "i", 3));
        if (when == NULL) {
            return NULL;
        }
    }
    PyObject *repr = PyUnicode_FromFormat("<Timeout [%s] when=%S>", text,
                                          when);
    Py_DECREF(when);
    return repr;
}

/* -- coroutines ----------------------------------------------------------------------------------- */

static PySendResult
timeout_aenter_turn(CoroObject *co, PyObject *Py_UNUSED(value),
                    PyObject **result)
{
    TimeoutObject *self = (TimeoutObject *)co->vars[0];
    return timeout_enter(self) < 0 ? PYGEN_ERROR
                                   : coro_return(co, (PyObject *)self, result);
}

static PySendResult
timeout_aexit_turn(CoroObject *co, PyObject *Py_UNUSED(value),
                   PyObject **result)
{
    return timeout_exit((TimeoutObject *)co->vars[0], co->vars[1],
                        co->vars[2]) < 0
               ? PYGEN_ERROR
               : coro_return_none(result);
}

static const fa_coro_kind timeout_aenter_kind = {
    "Timeout.__aenter__", timeout_aenter_turn,
};
static const fa_coro_kind timeout_aexit_kind = {
    "Timeout.__aexit__", timeout_aexit_turn,
};

static PyObject *
timeout_aexit_make(fa_state *st, PyObject *self, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "Timeout.__aexit__", .required = 3, .positional = 3,
        .python = 1, .total = 3, .names = {"exc_type", "exc_val", "exc_tb"},
    };
    return scope_exit_coro(st, &timeout_aexit_kind, &spec, self, args, nargs,
                           kwnames);
}

/* -- attributes ------------------------------------------------------------------------------------- */

/* The names of asyncio.timeouts._State, by fa_timeout_state. */
static const char *const timeout_names[] = {
    "", "CREATED", "ENTERED", "EXPIRING", "EXPIRED", "EXITED",
};

/* asyncio's instance attributes; one that is unset raises AttributeError, and
   `empty` is what an empty field stands for. */
typedef struct {
    const char *name;
    size_t offset;
    int none; /* an empty field is None */
} timeout_field;

static const timeout_field timeout_fields[] = {
    {"_timeout_handler", offsetof(TimeoutObject, handler), 1},
    {"_task", offsetof(TimeoutObject, task), 1},
    {"_when", offsetof(TimeoutObject, when), 0},
    {"_cancelling", offsetof(TimeoutObject, cancelling), 0},
};

static PyObject *
Timeout_get_field(PyObject *self, void *closure)
{
    const timeout_field *field = (const timeout_field *)closure;
    PyObject *value = *(PyObject **)((char *)self + field->offset);
    if (value == NULL && field->none &&
        ((TimeoutObject *)self)->state != FA_TIMEOUT_UNSET)
    {
        value = Py_None;
    }
    if (value == NULL) {
        timeout_lacks((TimeoutObject *)self, field->name);
    }
    return Py_XNewRef(value);
}

static int
Timeout_set_field(PyObject *self, PyObject *value, void *closure)
{
    const timeout_field *field = (const timeout_field *)closure;
    PyObject **slot = (PyObject **)((char *)self + field->offset);
    if (field->none && value == Py_None) {
        value = NULL;
    }
    PyObject *former = *slot;
    *slot = Py_XNewRef(value);
    Py_XDECREF(former);
    return 0;
}

static PyObject *
Timeout_get_state(PyObject *obj, void *Py_UNUSED(closure))
{
    TimeoutObject *self = (TimeoutObject *)obj;
    if (self->state == FA_TIMEOUT_UNSET) {
        timeout_lacks(self, "_state");
        return NULL;
    }
    return PyObject_GetAttrString(self->st->timeout_State,
                                  timeout_names[self->state]);
}

static int
Timeout_set_state(PyObject *obj, PyObject *value, void *Py_UNUSED(closure))
{
    TimeoutObject *self = (TimeoutObject *)obj;
    if (value == NULL) {
        self->state = FA_TIMEOUT_UNSET;
        return 0;
    }
    for (int i = FA_TIMEOUT_CREATED; i <= FA_TIMEOUT_EXITED; i++) {
        PyObject *member = PyObject_GetAttrString(self->st->timeout_State,
                                                  timeout_names[i]);
        if (member == NULL) {
            return -1;
        }
        Py_DECREF(member); // the enumeration has it
        if (member == value) {
            self->state = (uint8_t)i;
            return 0;
        }
    }
    PyErr_SetString(PyExc_TypeError,
                    "_state must be a member of asyncio.timeouts._State");
    return -1;
}

/* -- tables ------------------------------------------------------------------------------------------ */

static const char *const timeout_state_names[] = {
    "_state", "_timeout_handler", "_task", "_when", "_cancelling", NULL,
};

static PyObject *
Timeout_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return scope_getstate(self, ((TimeoutObject *)self)->dict,
                         timeout_state_names);
}

static PyMethodDef Timeout_methods[] = {
    {"when", Timeout_when, METH_NOARGS, Timeout_when_doc},
    {"reschedule", (PyCFunction)(void (*)(void))Timeout_reschedule,
     METH_FASTCALL | METH_KEYWORDS, Timeout_reschedule_doc},
    {"expired", Timeout_expired, METH_NOARGS, Timeout_expired_doc},
    {"_on_timeout", Timeout_on_timeout, METH_NOARGS, NULL},
    {"__getstate__", Timeout_getstate, METH_NOARGS, NULL},
    {"__setstate__", scope_setstate, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Timeout_getset[] = {
    {"_state", Timeout_get_state, Timeout_set_state, NULL, NULL},
    {"_timeout_handler", Timeout_get_field, Timeout_set_field, NULL,
     (void *)&timeout_fields[0]},
    {"_task", Timeout_get_field, Timeout_set_field, NULL,
     (void *)&timeout_fields[1]},
    {"_when", Timeout_get_field, Timeout_set_field, NULL,
     (void *)&timeout_fields[2]},
    {"_cancelling", Timeout_get_field, Timeout_set_field, NULL,
     (void *)&timeout_fields[3]},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Timeout_members[] = {
    FA_CLASS_MEMBERS(TimeoutObject),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Timeout_doc,
"TimeoutCore(when)\n--\n\n"
"A block of code with a deadline `when`, in seconds of loop.time(), or None.\n"
"Use timeout() or timeout_at() to make one. See asyncio.Timeout.");

static const fa_coro_def timeout_coros[] = {
    {"__aenter__", "Timeout.__aenter__", &timeout_aenter_kind, NULL,
     "__aenter__($self)\n--\n\nBegin the block; returns the Timeout itself."},
    {"__aexit__", "Timeout.__aexit__", NULL, timeout_aexit_make,
     "__aexit__($self, exc_type, exc_val, exc_tb)\n--\n\n"
     "End the block; a cancellation by the deadline becomes TimeoutError."},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef timeout_functions[] = {
    {"timeout", (PyCFunction)(void (*)(void))sync_timeout,
     METH_FASTCALL | METH_KEYWORDS, timeout_doc},
    {"timeout_at", (PyCFunction)(void (*)(void))sync_timeout_at,
     METH_FASTCALL | METH_KEYWORDS, timeout_at_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Timeout_slots[] = {
    {Py_tp_doc, (char *)Timeout_doc},
    {Py_tp_new, Timeout_new},
    {Py_tp_init, Timeout_init},
    {Py_tp_dealloc, Timeout_dealloc},
    {Py_tp_traverse, Timeout_traverse},
    {Py_tp_clear, Timeout_clear},
    {Py_tp_repr, Timeout_repr},
    {Py_tp_methods, Timeout_methods},
    {Py_tp_getset, Timeout_getset},
    {Py_tp_members, Timeout_members},
    {0, NULL},
};

static PyType_Spec Timeout_spec = {
    .name = "_fastasync.TimeoutCore",
    .basicsize = sizeof(TimeoutObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = Timeout_slots,
};

int
timeout_type_init(PyObject *module, fa_state *st)
{
    const fa_class cls = {
        .module = module, .core = &Timeout_spec, .name = "Timeout",
        .asyncio_module = "asyncio.timeouts", .asyncio_name = "Timeout",
    };
    if (fa_class_new(&cls, &st->TimeoutCoreType, &st->TimeoutType) < 0 ||
        coro_methods_add(st, st->TimeoutCoreType, timeout_coros) < 0)
    {
        return -1;
    }
    // the class adds nothing to the core: its objects go back to the freelist
    st->TimeoutType->tp_dealloc = Timeout_dealloc;
    Py_XSETREF(st->timeout_fire,
               PyCFunction_NewEx(&timeout_fire_def, module, NULL));
    return st->timeout_fire == NULL
               ? -1
               : PyModule_AddFunctions(module, timeout_functions);
}
