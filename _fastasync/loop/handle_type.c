/* loop/handle_type.c: what Python sees of handles: methods, asyncio's slot
   names, the three types. Cold, but for cancel().

   asyncio's Python methods that are inherited (__init__, _run, __repr__, the
   comparisons) work on these attributes, so that a handle of ours can be used
   wherever asyncio makes one itself. */
#include "loop/handle.h"

#include "base/fields.h"

/* -- methods ---------------------------------------------------------------------------- */

PyDoc_STRVAR(Handle_cancel_doc,
"cancel($self, /)\n--\n\n"
"Cancel the callback. If it has been called or cancelled already, this has\n"
"no effect. See asyncio.Handle.cancel.");

static PyObject *
Handle_cancel(HandleObject *handle, PyObject *Py_UNUSED(ignored))
{
    if (handle->kind == FA_TIMER && !handle->cancelled &&
        handle->loop != NULL && !loop_check(handle->st, handle->loop))
    {
        // a TimerHandle of ours on another loop
        PyObject *done = PyObject_CallMethodOneArg(
            handle->loop, handle->st->str__timer_handle_cancelled,
            (PyObject *)handle);
        if (done == NULL) {
            return NULL;
        }
        Py_DECREF(done);
    }
    return handle_cancel(handle) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(Handle_cancelled_doc,
"cancelled($self, /)\n--\n\n"
"Return True if the callback was cancelled. See asyncio.Handle.cancelled.");

static PyObject *
Handle_cancelled(HandleObject *handle, PyObject *Py_UNUSED(ignored))
{
    handle_wait_idle(handle);
    return PyBool_FromLong(handle->cancelled);
}

FA_UNUSED PyDoc_STRVAR(Handle_get_context_doc,
"get_context($self, /)\n--\n\n"
"Return the contextvars.Context in which the callback will run.\n"
"See asyncio.Handle.get_context (Python 3.12).");

static FA_UNUSED PyObject *
Handle_get_context(HandleObject *handle, PyObject *Py_UNUSED(ignored))
{
    PyObject *context = handle_context(handle);
    return context == NULL && PyErr_Occurred()
               ? NULL
               : Py_NewRef(context ? context : Py_None);
}

PyDoc_STRVAR(TimerHandle_when_doc,
"when($self, /)\n--\n\n"
"Return the scheduled time in seconds of loop.time().\n"
"See asyncio.TimerHandle.when.");

static PyObject *
TimerHandle_when(HandleObject *timer, PyObject *Py_UNUSED(ignored))
{
    if (timer->when_obj == NULL) {
        timer->when_obj = PyFloat_FromDouble(timer->when);
    }
    return Py_XNewRef(timer->when_obj);
}

static PyMethodDef Handle_methods[] = {
    {"cancel", (PyCFunction)Handle_cancel, METH_NOARGS, Handle_cancel_doc},
    {"cancelled", (PyCFunction)Handle_cancelled, METH_NOARGS,
     Handle_cancelled_doc},
#if FA_PY312
    {"get_context", (PyCFunction)Handle_get_context, METH_NOARGS,
     Handle_get_context_doc},
#endif
    {NULL, NULL, 0, NULL},
};

static PyMethodDef TimerHandle_methods[] = {
    {"when", (PyCFunction)TimerHandle_when, METH_NOARGS, TimerHandle_when_doc},
    {"cancel", (PyCFunction)Handle_cancel, METH_NOARGS, Handle_cancel_doc},
    {"cancelled", (PyCFunction)Handle_cancelled, METH_NOARGS,
     Handle_cancelled_doc},
#if FA_PY312
    {"get_context", (PyCFunction)Handle_get_context, METH_NOARGS,
     Handle_get_context_doc},
#endif
    {NULL, NULL, 0, NULL},
};

/* -- asyncio's slots, shadowed: reading and writing the C fields ---------------------- */

/* Put *value* (stolen, may be NULL) into a field. A call that is running may be
   using what was there, so that has to live as long as the handle. 0 or -1. */
static int
handle_replace(HandleObject *handle, PyObject **field, PyObject *value)
{
    if (handle->running && *field != NULL) {
        if (handle->parked == NULL) {
            handle->parked = PyList_New(0);
        }
        if (handle->parked == NULL ||
            PyList_Append(handle->parked, *field) < 0)
        {
            Py_XDECREF(value);
            return -1;
        }
    }
    Py_XSETREF(*field, value);
    return 0;
}

static int
Handle_set_callback(HandleObject *handle, PyObject *value,
                    void *Py_UNUSED(closure))
{
    return handle_replace(handle, &handle->callback,
                          value == Py_None ? NULL : Py_XNewRef(value));
}

/* _loop of a timer in the heap says in whose. */
static int
Handle_set_loop(HandleObject *handle, PyObject *value,
                void *Py_UNUSED(closure))
{
    if (fa_cannot_delete(value)) {
        return -1;
    }
    if (handle->node.slot >= 0 && value != handle->loop) {
        PyErr_SetString(PyExc_AttributeError,
                        "cannot change _loop of a scheduled timer");
        return -1;
    }
    return handle_replace(handle, &handle->loop, Py_NewRef(value));
}

static PyObject *
Handle_get_args(HandleObject *handle, void *Py_UNUSED(closure))
{
    return handle_args(handle);
}

static int
Handle_set_args(HandleObject *handle, PyObject *value,
                void *Py_UNUSED(closure))
{
    PyObject *args = NULL;
    if (value != NULL && value != Py_None) {
        args = PySequence_Tuple(value);
        if (args == NULL) {
            return -1;
        }
    }
    if (handle_replace(handle, &handle->args_tuple, args) < 0) {
        return -1;
    }
    handle->nargs = args == NULL ? 0 : (int32_t)PyTuple_GET_SIZE(args);
    return 0;
}

static PyObject *
Handle_get_context_field(HandleObject *handle, void *Py_UNUSED(closure))
{
    return Handle_get_context(handle, NULL);
}

static int
Handle_set_context_field(HandleObject *handle, PyObject *value,
                         void *Py_UNUSED(closure))
{
    if (fa_cannot_delete(value)) {
        return -1;
    }
    if (handle_replace(handle, &handle->context, Py_NewRef(value)) < 0) {
        return -1;
    }
    handle->shared = 0;
    return 0;
}

static PyObject *
TimerHandle_get_when(HandleObject *timer, void *Py_UNUSED(closure))
{
    return TimerHandle_when(timer, NULL);
}

static int
TimerHandle_set_when(HandleObject *timer, PyObject *value,
                     void *Py_UNUSED(closure))
{
    Py_XSETREF(timer->when_obj, Py_XNewRef(value));
    return 0;
}

#define FIELD(name, field) \
    FA_FIELD_ROW(name, fa_field_get, fa_field_set, HandleObject, field)
#define FLAG(name, field) \
    FA_FIELD_ROW(name, fa_flag_get, fa_flag_set, HandleObject, field)
#define HANDLE_FIELDS \
    {"_callback", fa_field_get, (setter)Handle_set_callback, NULL, \
     (void *)offsetof(HandleObject, callback)}, \
    {"_context", (getter)Handle_get_context_field, \
     (setter)Handle_set_context_field, NULL, NULL}, \
    {"_loop", fa_field_get, (setter)Handle_set_loop, NULL, \
     (void *)offsetof(HandleObject, loop)}, \
    FIELD("_repr", repr), \
    FIELD("_source_traceback", source_traceback), \
    FLAG("_cancelled", cancelled), \
    {"_args", (getter)Handle_get_args, (setter)Handle_set_args, NULL, NULL}

static PyGetSetDef Handle_getset[] = {
    HANDLE_FIELDS,
    {NULL, NULL, NULL, NULL, NULL},
};

static PyGetSetDef TimerHandle_getset[] = {
    HANDLE_FIELDS,
    FLAG("_scheduled", scheduled),
    {"_when", (getter)TimerHandle_get_when, (setter)TimerHandle_set_when,
     NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
#undef FIELD
#undef FLAG
#undef HANDLE_FIELDS

/* -- types --------------------------------------------------------------------------------- */

PyDoc_STRVAR(Handle_doc,
"Handle(callback, args, loop, context=None)\n--\n\n"
"What call_soon() returns. A subclass of asyncio.Handle.");

PyDoc_STRVAR(TimerHandle_doc,
"TimerHandle(when, callback, args, loop, context=None)\n--\n\n"
"What call_later() and call_at() return. A subclass of asyncio.TimerHandle.");

#define HANDLE_SLOTS \
    {Py_tp_new, Handle_new}, {Py_tp_traverse, Handle_traverse}, \
    {Py_tp_clear, Handle_clear}, {Py_tp_dealloc, Handle_dealloc}

static PyType_Slot Handle_slots[] = {
    HANDLE_SLOTS,
    {Py_tp_doc, (void *)Handle_doc},
    {Py_tp_methods, Handle_methods},
    {Py_tp_getset, Handle_getset},
    {0, NULL},
};

static PyType_Slot TimerHandle_slots[] = {
    HANDLE_SLOTS,
    {Py_tp_doc, (void *)TimerHandle_doc},
    {Py_tp_methods, TimerHandle_methods},
    {Py_tp_getset, TimerHandle_getset},
    {0, NULL},
};
#undef HANDLE_SLOTS

#define HANDLE_SPEC(ident, pyname, table) \
    static PyType_Spec ident = { \
        .name = pyname, \
        .basicsize = sizeof(HandleObject), \
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | \
                 Py_TPFLAGS_HAVE_GC, \
        .slots = table, \
    }
HANDLE_SPEC(Handle_spec, "fastasync.Handle", Handle_slots);
HANDLE_SPEC(TimerHandle_spec, "fastasync.TimerHandle", TimerHandle_slots);
HANDLE_SPEC(ThreadSafeHandle_spec, "fastasync._ThreadSafeHandle", Handle_slots);
#undef HANDLE_SPEC

/* asyncio's slots must fit into our base_slots. */
static int
handle_check_base(PyObject *base)
{
    Py_ssize_t size = ((PyTypeObject *)base)->tp_basicsize;
    if (size > (Py_ssize_t)offsetof(HandleObject, st)) {
        PyErr_Format(PyExc_ImportError,
                     "fastasync does not know this asyncio: %R has %zd bytes",
                     base, size);
        return -1;
    }
    return 0;
}

static int
handle_type_init(PyObject *module, fa_state *st, int kind, PyType_Spec *spec,
                 PyObject *base, PyTypeObject **slot)
{
    if (handle_check_base(base) < 0 ||
        fa_type_new(module, spec, base, slot) < 0)
    {
        return -1;
    }
    // looking it up also gives the type its version tag
    PyObject *run = _PyType_Lookup(*slot, st->str__run);
    st->handles[kind].run = Py_XNewRef(run);
    handle_seen(st, kind);
    return 0;
}

int
handle_types_init(PyObject *module, fa_state *st)
{
    PyObject *threadsafe = NULL;
#if FA_HAS_THREADSAFE_HANDLE
    threadsafe = PyObject_GetAttrString(st->mod_events, "_ThreadSafeHandle");
    if (threadsafe == NULL) {
        return -1;
    }
#else
    threadsafe = Py_NewRef(st->asyncio_Handle);
#endif
    int rc = handle_type_init(module, st, FA_HANDLE, &Handle_spec,
                              st->asyncio_Handle, &st->HandleType);
    if (rc == 0) {
        rc = handle_type_init(module, st, FA_TIMER, &TimerHandle_spec,
                              st->asyncio_TimerHandle, &st->TimerHandleType);
    }
    if (rc == 0) {
        rc = handle_type_init(module, st, FA_THREADSAFE,
                              &ThreadSafeHandle_spec, threadsafe,
                              &st->ThreadSafeHandleType);
    }
    Py_DECREF(threadsafe);
    if (rc < 0) {
        return -1;
    }
    if (PyModule_AddObjectRef(module, "Handle", (PyObject *)st->HandleType) <
        0)
    {
        return -1;
    }
    return PyModule_AddObjectRef(module, "TimerHandle",
                                 (PyObject *)st->TimerHandleType);
}
