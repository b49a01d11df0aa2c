/* loop/handle.c: Handle, TimerHandle, ThreadSafeHandle: making, running,
   cancelling.

   Handles come from and go back to a freelist per kind, so that call_soon
   allocates nothing but the context copy. A handle that runs is marked, and
   cancel() on it leaves callback and arguments alone until the call returns:
   the running C frame uses them without references of its own.

   asyncio.Handle._run is a hook that tools replace. The type's version tag
   tells in one comparison whether anybody has (handle_run); then the Python
   method is called instead. HOT: once per callback. Benchmark:
   call_soon_chain, call_soon_batch. */
#include "loop/handle.h"

#include <time.h>

#include "base/args.h"
#include "base/errors.h"

static PyTypeObject *
handle_type(fa_state *st, int kind)
{
    return kind == FA_HANDLE  ? st->HandleType
           : kind == FA_TIMER ? st->TimerHandleType
                              : st->ThreadSafeHandleType;
}

int
handle_check(fa_state *st, PyObject *obj)
{
    return PyObject_TypeCheck(obj, st->HandleType) ||
           PyObject_TypeCheck(obj, st->TimerHandleType) ||
           PyObject_TypeCheck(obj, st->ThreadSafeHandleType);
}

/* -- new and dealloc --------------------------------------------------------- */

static PyObject *
Handle_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
           PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    // asyncio's __init__ fills the rest through our getsets
    HandleObject *handle = (HandleObject *)type->tp_alloc(type, 0);
    if (handle != NULL) {
        handle->st = st;
        handle->node.index = -1;
        handle->kind = PyType_IsSubtype(type, st->TimerHandleType) ? FA_TIMER
                       : PyType_IsSubtype(type, st->ThreadSafeHandleType)
                           ? FA_THREADSAFE
                           : FA_HANDLE;
    }
    return (PyObject *)handle;
}

/* HOT. A blank, untracked handle. */
static HandleObject *
handle_alloc(fa_state *st, int kind)
{
    HandleObject *handle = st->handles[kind].first;
    if (FA_LIKELY(handle != NULL)) {
        st->handles[kind].first = (HandleObject *)handle->callback;
        st->handles[kind].count--;
        handle->callback = NULL;
        _Py_NewReference((PyObject *)handle);
        return handle;
    }
    PyTypeObject *type = handle_type(st, kind);
    handle = (HandleObject *)type->tp_alloc(type, 0);
    if (handle != NULL) {
        PyObject_GC_UnTrack(handle);
        handle->st = st;
        handle->kind = (uint8_t)kind;
        handle->node.index = -1;
    }
    return handle;
}

static int
Handle_traverse(HandleObject *handle, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(handle));
    Py_VISIT(handle->callback);
    Py_VISIT(handle->context);
    Py_VISIT(handle->loop);
    for (int i = 0; i < FA_HANDLE_INLINE_ARGS; i++) {
        Py_VISIT(handle->inline_args[i]);
    }
    Py_VISIT(handle->args_tuple);
    Py_VISIT(handle->source_traceback);
    Py_VISIT(handle->repr);
    Py_VISIT(handle->when_obj);
    return fa_base_slots_visit(handle_type(handle->st, handle->kind)->tp_base,
                               (PyObject *)handle, visit, arg);
}

/* Drop callback and arguments (runs destructors). Inline arguments are filled
   from the first on, so that the first empty place is the end. */
static inline void
handle_drop_call(HandleObject *handle)
{
    Py_CLEAR(handle->callback);
    for (int i = 0; i < FA_HANDLE_INLINE_ARGS; i++) {
        if (handle->inline_args[i] == NULL) {
            break;
        }
        Py_CLEAR(handle->inline_args[i]);
    }
    Py_CLEAR(handle->args_tuple);
    handle->nargs = 0;
}

/* Everything a plain handle has; what only some have is tested first. */
static inline void
handle_drop_all(HandleObject *handle)
{
    handle_drop_call(handle);
    Py_CLEAR(handle->context);
    Py_CLEAR(handle->loop);
    Py_CLEAR(handle->when_obj);
    if (FA_UNLIKELY(handle->source_traceback || handle->repr)) {
        Py_CLEAR(handle->source_traceback);
        Py_CLEAR(handle->repr);
    }
}

static int
Handle_clear(HandleObject *handle)
{
    handle_drop_all(handle);
    return 0;
}

static void
Handle_dealloc(HandleObject *handle)
{
    PyTypeObject *type = Py_TYPE(handle);
    fa_state *st = handle->st;
    int kind = handle->kind;
    PyObject_GC_UnTrack(handle);
    if (FA_UNLIKELY(fa_has_weakrefs((PyObject *)handle))) {
        PyObject_ClearWeakRefs((PyObject *)handle);
    }
    handle_drop_all(handle);
    PyTypeObject *exact = handle_type(st, kind); // NULL at shutdown
    if (FA_LIKELY(type == exact &&
                  st->handles[kind].count < FA_HANDLE_FREELIST_MAX &&
                  !FA_GIL_DISABLED))
    {
        handle->cancelled = 0;
        handle->scheduled = 0;
        handle->callback = (PyObject *)st->handles[kind].first;
        st->handles[kind].first = handle;
        st->handles[kind].count++;
        return; // it keeps its reference to the type
    }
    if (exact != NULL) {
        fa_base_slots_clear(exact->tp_base, (PyObject *)handle);
    }
    type->tp_free(handle);
    Py_DECREF(type);
}

void
handle_freelists_clear(fa_state *st)
{
    for (int kind = 0; kind < FA_HANDLE_KINDS; kind++) {
        HandleObject *handle = st->handles[kind].first;
        st->handles[kind].first = NULL;
        st->handles[kind].count = 0;
        while (handle != NULL) {
            HandleObject *next = (HandleObject *)handle->callback;
            PyTypeObject *type = Py_TYPE(handle);
            handle->callback = NULL;
            type->tp_free(handle);
            Py_DECREF(type);
            handle = next;
        }
    }
}

/* -- engine: making ------------------------------------------------------------ */

static int
handle_fill_args(HandleObject *handle, PyObject *const *args, Py_ssize_t nargs)
{
    handle->nargs = nargs;
    if (FA_LIKELY(nargs <= FA_HANDLE_INLINE_ARGS)) {
        for (Py_ssize_t i = 0; i < nargs; i++) {
            handle->inline_args[i] = Py_NewRef(args[i]);
        }
        return 0;
    }
    handle->args_tuple = PyTuple_New(nargs);
    if (handle->args_tuple == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(handle->args_tuple, i, Py_NewRef(args[i]));
    }
    return 0;
}

/* HOT. Everything but the TimerHandle's own fields. */
static inline HandleObject *
handle_make(LoopObject *loop, int kind, PyObject *callback,
            PyObject *const *args, Py_ssize_t nargs, PyObject *context)
{
    HandleObject *handle = handle_alloc(loop->st, kind);
    if (handle == NULL) {
        return NULL;
    }
    handle->callback = Py_NewRef(callback);
    handle->loop = Py_NewRef((PyObject *)loop);
    handle->context = context ? Py_NewRef(context) : PyContext_CopyCurrent();
    if (handle_fill_args(handle, args, nargs) < 0 || handle->context == NULL) {
        goto fail;
    }
    if (FA_UNLIKELY(loop->debug)) {
        handle->source_traceback = loop_extract_stack(loop->st);
        if (handle->source_traceback == NULL) {
            goto fail;
        }
    }
    PyObject_GC_Track(handle);
    return handle;
fail:
    PyObject_GC_Track(handle);
    Py_DECREF(handle);
    return NULL;
}

HandleObject *
handle_new(LoopObject *loop, int kind, PyObject *callback,
           PyObject *const *args, Py_ssize_t nargs, PyObject *context)
{
    return handle_make(loop, kind, callback, args, nargs, context);
}

HandleObject *
timer_new(LoopObject *loop, double when, PyObject *when_obj,
          PyObject *callback, PyObject *const *args, Py_ssize_t nargs,
          PyObject *context)
{
    HandleObject *timer =
        handle_make(loop, FA_TIMER, callback, args, nargs, context);
    if (timer != NULL) {
        timer->when = when;
        timer->when_obj = Py_XNewRef(when_obj);
    }
    return timer;
}

/* -- engine: running -------------------------------------------------------------- */

/* format_helpers._format_callback_source(callback, args[, debug=]) (new). */
static PyObject *
handle_source_text(HandleObject *handle, PyObject *args)
{
    fa_state *st = handle->st;
    PyObject *function = PyObject_GetAttrString(st->mod_format_helpers,
                                                "_format_callback_source");
    PyObject *keywords = NULL, *positional = NULL, *text = NULL;
    int debug = fa_loop_debug(st, handle->loop);
    if (function == NULL || debug < 0) {
        goto done;
    }
    positional = PyTuple_Pack(
        2, handle->callback ? handle->callback : Py_None, args);
    // the keyword exists since 3.13; without it arguments are always shown
    keywords = FA_PY313 ? Py_BuildValue("{s:O}", "debug",
                                        debug ? Py_True : Py_False)
                        : PyDict_New();
    if (positional != NULL && keywords != NULL) {
        text = PyObject_Call(function, positional, keywords);
    }
done:
    Py_XDECREF(function);
    Py_XDECREF(positional);
    Py_XDECREF(keywords);
    return text;
}

/* The keys of the report but 'message' and 'exception' (new). */
static PyObject *
handle_report_extra(HandleObject *handle)
{
    fa_state *st = handle->st;
    PyObject *extra = PyDict_New();
    if (extra == NULL ||
        PyDict_SetItem(extra, st->str_handle, (PyObject *)handle) < 0 ||
        (handle->source_traceback != NULL &&
         PyDict_SetItem(extra, st->str_source_traceback,
                        handle->source_traceback) < 0))
    {
        Py_CLEAR(extra);
    }
    return extra;
}

/* 'Exception in callback ...' through the loop's exception handler. Returns 0,
   or -1 if the raised exception must leave the loop. */
static FA_COLD int
handle_failed(HandleObject *handle)
{
    if (fa_err_is_exit()) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    PyObject *args = handle_args(handle);
    PyObject *text = args == NULL ? NULL : handle_source_text(handle, args);
    PyObject *extra = text == NULL ? NULL : handle_report_extra(handle);
    int rc = -1;
    if (extra != NULL) {
        PyObject *message =
            PyUnicode_FromFormat("Exception in callback %U", text);
        if (message != NULL) {
            rc = loop_report(handle->st, handle->loop, message, exc, extra);
            Py_DECREF(message);
        }
    }
    Py_XDECREF(exc);
    Py_XDECREF(args);
    Py_XDECREF(text);
    Py_XDECREF(extra);
    return rc;
}

/* Whatever was given as `context`: context.run(callback, *args). */
static FA_COLD PyObject *
handle_call_slow(HandleObject *handle)
{
    PyObject *run = PyObject_GetAttrString(handle->context, "run");
    PyObject *args = run == NULL ? NULL : handle_args(handle);
    PyObject *first = args == NULL ? NULL : PyTuple_Pack(1, handle->callback);
    PyObject *all = first == NULL ? NULL : PySequence_Concat(first, args);
    PyObject *result = all == NULL ? NULL : PyObject_CallObject(run, all);
    Py_XDECREF(run);
    Py_XDECREF(args);
    Py_XDECREF(first);
    Py_XDECREF(all);
    return result;
}

/* HOT. callback(*args) in the handle's context. */
static inline PyObject *
handle_call(HandleObject *handle)
{
    if (FA_UNLIKELY(!PyContext_CheckExact(handle->context))) {
        return handle_call_slow(handle);
    }
    if (PyContext_Enter(handle->context) < 0) {
        return NULL;
    }
    PyObject *result;
    if (FA_LIKELY(handle->args_tuple == NULL)) {
        result = PyObject_Vectorcall(
            handle->callback, handle->inline_args,
            (size_t)handle->nargs | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    else {
        result = PyObject_Call(handle->callback, handle->args_tuple, NULL);
    }
    if (PyContext_Exit(handle->context) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* The type's `_run` is asyncio's own as long as it has this version tag. */
static void
handle_seen(fa_state *st, int kind)
{
    unsigned int version = fa_type_version(handle_type(st, kind));
    st->handles[kind].version = version ? version : UINT_MAX; // 0: no tag
}

int
handle_hooked(fa_state *st)
{
    int hooked = 0;
    for (int kind = 0; kind < FA_HANDLE_KINDS; kind++) {
        PyTypeObject *type = handle_type(st, kind);
        hooked |= _PyType_Lookup(type, st->str__run) != st->handles[kind].run;
        handle_seen(st, kind);
    }
    st->hooked = hooked;
    return hooked;
}

/* asyncio's _ThreadSafeHandle._run wants its RLock, which ours do without. */
static int
handle_give_lock(HandleObject *handle)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *lock = threading == NULL
                         ? NULL
                         : PyObject_CallMethod(threading, "RLock", NULL);
    Py_XDECREF(threading);
    int rc = lock == NULL
                 ? -1
                 : PyObject_SetAttrString((PyObject *)handle, "_lock", lock);
    Py_XDECREF(lock);
    return rc;
}

/* The Python method `_run` was replaced, or might have been. 1 = it was not,
   0 = it has been called, -1 = it raised. */
static FA_COLD int
handle_run_slow(HandleObject *handle)
{
    fa_state *st = handle->st;
    PyTypeObject *type = Py_TYPE(handle);
    int kind = handle->kind;
    if (!handle_hooked(st) && handle->callback != NULL &&
        _PyType_Lookup(type, st->str__run) == st->handles[kind].run)
    {
        return 1;
    }
    if (kind == FA_THREADSAFE && handle_give_lock(handle) < 0) {
        return -1;
    }
    handle->running++;
    PyObject *result =
        PyObject_CallMethodNoArgs((PyObject *)handle, st->str__run);
    handle->running--;
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
handle_run(LoopObject *Py_UNUSED(loop), PyObject *self,
           PyObject *Py_UNUSED(arg))
{
    HandleObject *handle = (HandleObject *)self;
    int rc = 0;
    if (FA_UNLIKELY(handle->cancelled)) {
        Py_DECREF(handle);
        return 0;
    }
    if (FA_UNLIKELY(fa_type_version(Py_TYPE(handle)) !=
                        handle->st->handles[handle->kind].version ||
                    handle->st->hooked || handle->callback == NULL))
    {
        rc = handle_run_slow(handle);
        if (rc <= 0) {
            Py_DECREF(handle);
            return rc;
        }
        rc = 0;
    }
    handle->running++;
    PyObject *result = handle_call(handle);
    if (FA_UNLIKELY(result == NULL)) {
        rc = handle_failed(handle);
    }
    handle->running--;
    Py_XDECREF(result);
    if (FA_UNLIKELY(handle->cancelled && !handle->running)) {
        handle_drop_call(handle); // put off by handle_cancel
    }
    Py_DECREF(handle);
    return rc;
}

/* -- engine: cancelling -------------------------------------------------------------- */

/* Debug mode keeps the text of what was cancelled. */
static int
handle_keep_repr(HandleObject *handle)
{
    int debug = handle->loop == NULL
                    ? 0
                    : fa_loop_debug(handle->st, handle->loop);
    if (debug <= 0) {
        return debug;
    }
    PyObject *repr = PyObject_Repr((PyObject *)handle);
    if (repr == NULL) {
        return -1;
    }
    Py_XSETREF(handle->repr, repr);
    return 0;
}

/* A ThreadSafeHandle that runs in the loop's thread and is cancelled from
   another: asyncio's lock makes cancel() wait for the end of the call. */
static FA_COLD void
handle_wait_idle(HandleObject *handle)
{
    LoopObject *loop = (LoopObject *)handle->loop;
    while (handle->running && loop->thread_id != PyThread_get_thread_ident()) {
        const struct timespec pause = {0, 200 * FA_NS_PER_US};
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
    }
}

static inline int
handle_must_wait(HandleObject *handle)
{
    return handle->kind == FA_THREADSAFE && handle->running &&
           handle->loop != NULL && loop_check(handle->st, handle->loop);
}

/* A timer leaves its loop's heap, and the heap's reference goes. */
static void
timer_unschedule(HandleObject *timer)
{
    if (timer->node.index >= 0) {
        heap_remove(&((LoopObject *)timer->loop)->timers, &timer->node);
        timer->scheduled = 0;
        Py_DECREF(timer); // the caller has its own
    }
}

int
handle_cancel(HandleObject *handle)
{
    if (FA_UNLIKELY(handle_must_wait(handle))) {
        handle_wait_idle(handle);
    }
    if (handle->cancelled) {
        return 0;
    }
    handle->cancelled = 1;
    if (handle_keep_repr(handle) < 0) {
        return -1;
    }
    if (handle->node.index >= 0) {
        timer_unschedule(handle);
    }
    if (!handle->running) {
        handle_drop_call(handle);
    }
    return 0;
}

PyObject *
handle_args(HandleObject *handle)
{
    if (handle->args_tuple != NULL) {
        return Py_NewRef(handle->args_tuple);
    }
    if (handle->callback == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *args = PyTuple_New(handle->nargs);
    for (Py_ssize_t i = 0; args != NULL && i < handle->nargs; i++) {
        PyTuple_SET_ITEM(args, i, Py_NewRef(handle->inline_args[i]));
    }
    return args;
}

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
    if (FA_UNLIKELY(handle_must_wait(handle))) {
        handle_wait_idle(handle);
    }
    return PyBool_FromLong(handle->cancelled);
}

PyDoc_STRVAR(Handle_get_context_doc,
"get_context($self, /)\n--\n\n"
"Return the contextvars.Context in which the callback will run.\n"
"See asyncio.Handle.get_context (Python 3.12).");

static FA_UNUSED PyObject *
Handle_get_context(HandleObject *handle, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(handle->context ? handle->context : Py_None);
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

/* Plain object fields: the closure is the offset. An empty field reads None. */
static PyObject *
Handle_get_field(PyObject *self, void *closure)
{
    PyObject *value = *(PyObject **)((char *)self + (size_t)closure);
    return Py_NewRef(value ? value : Py_None);
}

static int
Handle_set_field(PyObject *self, PyObject *value, void *closure)
{
    PyObject **field = (PyObject **)((char *)self + (size_t)closure);
    if (value == Py_None) {
        value = NULL;
    }
    Py_XSETREF(*field, Py_XNewRef(value));
    return 0;
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
    Py_XSETREF(handle->args_tuple, args);
    handle->nargs = args == NULL ? 0 : PyTuple_GET_SIZE(args);
    return 0;
}

/* Flags: the closure is the offset of a uint8_t. */
static PyObject *
Handle_get_flag(PyObject *self, void *closure)
{
    return PyBool_FromLong(*(uint8_t *)((char *)self + (size_t)closure));
}

static int
Handle_set_flag(PyObject *self, PyObject *value, void *closure)
{
    int truth = value == NULL ? 0 : PyObject_IsTrue(value);
    if (truth >= 0) {
        *(uint8_t *)((char *)self + (size_t)closure) = (uint8_t)truth;
    }
    return truth < 0 ? -1 : 0;
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
    {name, Handle_get_field, Handle_set_field, NULL, \
     (void *)offsetof(HandleObject, field)}
#define FLAG(name, field) \
    {name, Handle_get_flag, Handle_set_flag, NULL, \
     (void *)offsetof(HandleObject, field)}
#define HANDLE_FIELDS \
    FIELD("_callback", callback), FIELD("_context", context), \
    FIELD("_loop", loop), FIELD("_repr", repr), \
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
