/* api/loop_type.c: the type LoopCore: life, attributes, overridden methods.

   fastasync.Loop is a Python class over LoopCore and asyncio.AbstractEventLoop.
   A method that Python code has replaced, in a subclass or on the instance, is
   always honoured: a bit per method in loop->overridden says so. The bits are
   recomputed when an attribute of that name is set and when a run starts. */
#include "api/api.h"

#include <string.h>

#include "base/errors.h"
#include "base/fields.h"
#include "loop/current.h"
#include "loop/handle.h"
#include "task/coro.h"

/* -- overridden methods ----------------------------------------------------------- */

#define OVERRIDABLE(X) \
    X(call_soon, FA_OV_CALL_SOON) X(time, FA_OV_TIME) \
    X(call_at, FA_OV_CALL_AT) X(create_task, FA_OV_CREATE_TASK) \
    X(get_debug, FA_OV_GET_DEBUG) X(run_forever, FA_OV_RUN_FOREVER) \
    X(create_future, FA_OV_CREATE_FUTURE) X(call_later, FA_OV_CALL_LATER) \
    X(run_in_executor, FA_OV_RUN_IN_EXECUTOR) \
    X(_ensure_resolved, FA_OV_CONNECTS | FA_OV_RESOLVE) \
    X(_connect_sock, FA_OV_CONNECTS) \
    X(sock_connect, FA_OV_CONNECTS) X(_sock_connect, FA_OV_CONNECTS) \
    X(_make_socket_transport, FA_OV_CONNECTS) \
    X(_create_connection_transport, FA_OV_CONNECTS) \
    X(_add_reader, FA_OV_SOCK_IO) X(_add_writer, FA_OV_SOCK_IO) \
    X(_remove_reader, FA_OV_SOCK_IO) X(_remove_writer, FA_OV_SOCK_IO) \
    X(add_reader, FA_OV_SOCK_IO) X(add_writer, FA_OV_SOCK_IO) \
    X(remove_reader, FA_OV_SOCK_IO) X(remove_writer, FA_OV_SOCK_IO) \
    X(_ensure_fd_no_transport, FA_OV_SOCK_IO) \
    X(call_soon_threadsafe, FA_OV_CALL_THREADSAFE)

/* Does `loop.name` find anything but the method of LoopCore or, if that has
   none, of fastasync.Loop as it was made? 1, 0 or -1. */
static int
loop_is_overridden(LoopObject *loop, PyObject *dict, PyObject *name)
{
    PyObject *own = PyDict_GetItemWithError(loop->st->LoopCoreType->tp_dict,
                                            name);
    if (own == NULL && !PyErr_Occurred() && loop->st->loop_stock != NULL) {
        own = PyDict_GetItemWithError(loop->st->loop_stock, name);
    }
    if (own == NULL && PyErr_Occurred()) {
        return -1;
    }
    if (_PyType_Lookup(Py_TYPE(loop), name) != own) {
        return 1;
    }
    return dict == NULL ? 0 : PyDict_Contains(dict, name);
}

int
loop_refresh_overrides(LoopObject *loop)
{
    unsigned int version = fa_type_version(Py_TYPE(loop));
    if (FA_LIKELY(version != 0 && version == loop->seen_version &&
                  !loop->attributes_changed))
    {
        return 0;
    }
    uint32_t bits = 0;
    PyObject *dict = NULL;
    if (loop->attributes_changed) {
        dict = PyObject_GenericGetDict((PyObject *)loop, NULL);
        if (dict == NULL) {
            return -1;
        }
    }
#define X(name, bit) \
    { \
        int is = loop_is_overridden(loop, dict, loop->st->str_##name); \
        if (is < 0) { \
            Py_XDECREF(dict); \
            return -1; \
        } \
        bits |= is ? (uint32_t)(bit) : 0; \
    }
    OVERRIDABLE(X)
#undef X
    loop->overridden = bits;
    loop->seen_version = fa_type_version(Py_TYPE(loop));
    loop_refresh_direct(loop);
    Py_XDECREF(dict);
    return 0;
}

/* loop.name = value: a name that C calls directly needs a second look. */
static int
Loop_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    LoopObject *loop = (LoopObject *)self;
    if (PyObject_GenericSetAttr(self, name, value) < 0) {
        return -1;
    }
    fa_state *st = loop->st;
    int watched = 0;
#define X(known, bit) watched |= PyUnicode_Compare(name, st->str_##known) == 0;
    OVERRIDABLE(X)
#undef X
    if (!watched) {
        return 0;
    }
    loop->attributes_changed = 1;
    return loop_refresh_overrides(loop);
}

/* -- life ---------------------------------------------------------------------------- */

static PyObject *
Loop_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
         PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    LoopObject *loop = (LoopObject *)type->tp_alloc(type, 0);
    if (loop == NULL) {
        return NULL;
    }
    if (loop_open(loop, st) < 0 || loop_refresh_overrides(loop) < 0) {
        loop->closed = 1; // so that __del__ finds nothing to complain about
        Py_DECREF(loop);
        return NULL;
    }
    return (PyObject *)loop;
}

static int
Loop_traverse(LoopObject *loop, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(loop));
    return loop_traverse(loop, visit, arg);
}

static int
Loop_clear(LoopObject *loop)
{
    if (loop->st != NULL) {
        loop_clear(loop);
    }
    return 0;
}

static void
Loop_dealloc(LoopObject *loop)
{
    PyTypeObject *type = Py_TYPE(loop);
    PyObject_GC_UnTrack(loop);
    if (loop->st != NULL) {
        loop_free(loop);
    }
    type->tp_free(loop);
    Py_DECREF(type);
}

/* -- settings ------------------------------------------------------------------------- */

PyDoc_STRVAR(Loop_get_debug_doc,
"get_debug($self, /)\n--\n\n"
"Return True in debug mode. See asyncio.loop.get_debug.");

static PyObject *
Loop_get_debug(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(loop->debug);
}

PyDoc_STRVAR(Loop_set_debug_doc,
"_set_debug($self, enabled, /)\n--\n\n"
"The engine's half of set_debug().");

static PyObject *
Loop_set_debug(LoopObject *loop, PyObject *enabled)
{
    int truth = PyObject_IsTrue(enabled);
    if (truth < 0) {
        return NULL;
    }
    loop->debug = (uint8_t)truth;
    loop->was_debug |= (uint8_t)truth;
    loop_refresh_direct(loop);
    Py_RETURN_NONE;
}

/* A flag on which it depends what C calls directly. */
static int
Loop_set_flag(PyObject *self, PyObject *value, void *closure)
{
    int rc = fa_flag_set(self, value, closure);
    loop_refresh_direct((LoopObject *)self);
    return rc;
}

static PyObject *
Loop_get_slow(LoopObject *loop, void *Py_UNUSED(closure))
{
    return PyFloat_FromDouble(loop->slow_callback_duration);
}

static int
Loop_set_slow(LoopObject *loop, PyObject *value, void *Py_UNUSED(closure))
{
    double seconds = value == NULL ? 0.1 : PyFloat_AsDouble(value);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    loop->slow_callback_duration = seconds;
    return 0;
}

static PyObject *
Loop_get_thread_id(LoopObject *loop, void *Py_UNUSED(closure))
{
    if (loop->thread_id == 0) {
        Py_RETURN_NONE;
    }
    return PyLong_FromUnsignedLong(loop->thread_id);
}

static PyObject *
Loop_get_nesting(LoopObject *loop, void *Py_UNUSED(closure))
{
    int may = loop_may_nest(loop);
    return may < 0 ? NULL : PyBool_FromLong(may > 0);
}

static int
Loop_set_nesting(LoopObject *loop, PyObject *value, void *Py_UNUSED(closure))
{
    int truth = value == NULL ? FA_NESTING_UNSET : PyObject_IsTrue(value);
    if (value != NULL && truth < 0) {
        return -1;
    }
    loop->nesting = (int8_t)truth;
    return 0;
}

/* What waits in the ring, as tools like to count it (a list, a copy). */
static PyObject *
Loop_get_ready(LoopObject *loop, void *Py_UNUSED(closure))
{
    size_t len = ring_len(&loop->ready);
    PyObject *list = PyList_New((Py_ssize_t)len);
    for (size_t i = 0; list != NULL && i < len; i++) {
        PyObject *self = ring_at(&loop->ready, i)->self;
        PyList_SET_ITEM(list, (Py_ssize_t)i, Py_NewRef(self));
    }
    return list;
}

/* The live TimerHandles, the first one first (a list, a copy). */
static PyObject *
Loop_get_scheduled(LoopObject *loop, void *Py_UNUSED(closure))
{
    loop_settle_timers(loop);
    Py_ssize_t len = (Py_ssize_t)loop->timers.len;
    PyObject *list = PyList_New(len);
    for (Py_ssize_t i = 0; list != NULL && i < len; i++) {
        PyObject *timer = (PyObject *)FA_CONTAINER_OF(
            heap_node(&loop->timers, (size_t)i), HandleObject, node);
        PyList_SET_ITEM(list, i, Py_NewRef(timer));
    }
    return list;
}

#define OBJECT(name, field) \
    FA_FIELD_ROW(name, fa_field_get, fa_field_set, LoopObject, field)
#define FLAG(name, field, setter_) \
    FA_FIELD_ROW(name, fa_flag_get, setter_, LoopObject, field)
static PyGetSetDef Loop_getset[] = {
    OBJECT("_exception_handler", exception_handler),
    OBJECT("_task_factory", task_factory),
    OBJECT("_current_handle", current_handle),
    FLAG("_debug", debug, Loop_set_flag),
    FLAG("_stopping", stopping, Loop_set_flag),
    FLAG("_closed", closed, NULL),
    FLAG("_foreign_transports", foreign_transports, Loop_set_flag),
    {"_thread_id", (getter)Loop_get_thread_id, NULL, NULL, NULL},
    {"_ready", (getter)Loop_get_ready, NULL, NULL, NULL},
    {"_scheduled", (getter)Loop_get_scheduled, NULL, NULL, NULL},
    {"allow_nested", (getter)Loop_get_nesting, (setter)Loop_set_nesting,
     "May the loop be run while it, or another loop, runs in this thread?\n"
     "Delete it to follow fastasync.allow_nested() again.", NULL},
    {"slow_callback_duration", (getter)Loop_get_slow, (setter)Loop_set_slow,
     "Seconds after which debug mode reports a callback as slow.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
#undef OBJECT
#undef FLAG

static PyMethodDef loop_setting_methods[] = {
    {"get_debug", (PyCFunction)Loop_get_debug, METH_NOARGS,
     Loop_get_debug_doc},
    {"_set_debug", (PyCFunction)Loop_set_debug, METH_O, Loop_set_debug_doc},
    {NULL, NULL, 0, NULL},
};

/* -- the type -------------------------------------------------------------------------- */

PyDoc_STRVAR(Loop_doc,
"LoopCore()\n--\n\n"
"The C base of fastasync.Loop: an event loop with the interface of\n"
"asyncio.AbstractEventLoop.");

static int
loop_add_methods(PyTypeObject *type, PyMethodDef *methods)
{
    for (; methods->ml_name != NULL; methods++) {
        PyObject *descr = PyDescr_NewMethod(type, methods);
        if (descr == NULL ||
            PyDict_SetItemString(type->tp_dict, methods->ml_name, descr) < 0)
        {
            Py_XDECREF(descr);
            return -1;
        }
        Py_DECREF(descr);
    }
    PyType_Modified(type);
    return 0;
}

static PyType_Slot Loop_slots[] = {
    {Py_tp_doc, (void *)Loop_doc},
    {Py_tp_new, Loop_new},
    {Py_tp_traverse, Loop_traverse},
    {Py_tp_clear, Loop_clear},
    {Py_tp_dealloc, Loop_dealloc},
    {Py_tp_setattro, Loop_setattro},
    {Py_tp_methods, loop_setting_methods},
    {Py_tp_getset, Loop_getset},
    {0, NULL},
};

static PyType_Spec Loop_spec = {
    .name = "_fastasync.LoopCore",
    .basicsize = sizeof(LoopObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = Loop_slots,
};

/* Does asyncio's create_task of this very release take **kwargs? */
static int
api_find_task_kwargs(fa_state *st)
{
    PyObject *base = PyObject_GetAttrString(st->mod_base_events,
                                            "BaseEventLoop");
    PyObject *method =
        base == NULL ? NULL : PyObject_GetAttr(base, st->str_create_task);
    Py_XDECREF(base);
    PyObject *code =
        method == NULL ? NULL : PyObject_GetAttrString(method, "__code__");
    Py_XDECREF(method);
    if (code == NULL) {
        return -1;
    }
    st->create_task_kwargs =
        (((PyCodeObject *)code)->co_flags & CO_VARKEYWORDS) != 0;
    Py_DECREF(code);
    return 0;
}

PyDoc_STRVAR(allow_nested_doc,
"_allow_nested($module, enable, /)\n--\n\n"
"Set what loop.allow_nested is where nobody has set it; return what it was.");

static PyObject *
api_allow_nested(PyObject *module, PyObject *enable)
{
    fa_state *st = fa_state_of_module(module);
    int before = st->allow_nested, truth = PyObject_IsTrue(enable);
    if (truth < 0) {
        return NULL;
    }
    st->allow_nested = truth;
    return PyBool_FromLong(before);
}

PyDoc_STRVAR(stock_methods_doc,
"_stock_methods($module, methods, /)\n--\n\n"
"Remember a dict of the Python methods of fastasync.Loop: what differs from\n"
"them has been replaced.");

static PyObject *
api_stock_methods(PyObject *module, PyObject *methods)
{
    fa_state *st = fa_state_of_module(module);
    PyObject *copy = PyDict_New();
    if (copy == NULL || PyDict_Update(copy, methods) < 0) {
        Py_XDECREF(copy);
        return NULL;
    }
    Py_XSETREF(st->loop_stock, copy);
    Py_RETURN_NONE;
}

static PyMethodDef api_functions[] = {
    {"_stock_methods", api_stock_methods, METH_O, stock_methods_doc},
    {"_allow_nested", api_allow_nested, METH_O, allow_nested_doc},
    {NULL, NULL, 0, NULL},
};

int
api_types_init(PyObject *module, fa_state *st)
{
    if (api_find_task_kwargs(st) < 0 ||
        fa_type_new(module, &Loop_spec, NULL, &st->LoopCoreType) < 0 ||
        loop_add_methods(st->LoopCoreType, loop_sched_methods) < 0 ||
        loop_add_methods(st->LoopCoreType, loop_run_methods) < 0 ||
        loop_add_methods(st->LoopCoreType, loop_task_methods) < 0 ||
        loop_add_methods(st->LoopCoreType, loop_io_methods) < 0 ||
        loop_add_methods(st->LoopCoreType, loop_pipe_methods) < 0 ||
        loop_pipe_init(st) < 0 ||
        loop_add_methods(st->LoopCoreType, loop_executor_methods) < 0 ||
        coro_methods_add(st, st->LoopCoreType, loop_sock_coroutines) < 0 ||
        coro_methods_add(st, st->LoopCoreType, loop_connect_methods) < 0 ||
        coro_methods_add(st, st->LoopCoreType, loop_process_coros) < 0)
    {
        return -1;
    }
    if (PyModule_AddFunctions(module, api_functions) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "LoopCore",
                                 (PyObject *)st->LoopCoreType);
}
