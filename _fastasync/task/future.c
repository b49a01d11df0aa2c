/* task/future.c: the type Future.

   What Python sees of a future: construction, methods, finalizer and repr (its
   attributes are future_attrs.c). What happens to a future is callbacks.c and
   outcome.c; here arguments are parsed, one C function is called, and its answer
   handed back.

   `__class__` of an exact Future says asyncio.Future, so that
   isinstance(fut, asyncio.Future) holds although the type is not derived from
   it (the layout of that one is private). An instance of a Python subclass says
   what it is: a lie there would break every `self.__class__.attribute`, while
   its author can inherit from whatever isinstance is to accept.

   A future whose __init__ never ran (or failed) has loop NULL: every method
   copes. HOT: future_new and the destructor. */
#include "task/private.h"
#include "base/args.h"
#include "base/errors.h"
#include "task/freelist.h"

/* -- life ------------------------------------------------------------------- */

int
future_traverse(FutureObject *fut, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(fut));
    Py_VISIT(fut->dict);
    Py_VISIT(fut->loop);
    Py_VISIT(fut->outcome);
    Py_VISIT(fut->exception_tb);
    Py_VISIT(fut->source_tb);
    Py_VISIT(fut->cancel_msg);
    Py_VISIT(fut->awaited_by);
    return callbacks_traverse(fut, visit, arg);
}

void
future_settle(FutureObject *fut)
{
    if (fut->veiled) {
        fut->veiled = 0;
        callbacks_settle(fut);
        PyObject_GC_Track(fut);
    }
}

/* Back to what it was before __init__, the instance dict excepted. What it held
   is let go at the very end: that may run Python code, which finds a future
   that is not initialised. */
static void
future_reset(FutureObject *fut)
{
    PyObject *held[] = {
        fut->loop,      fut->outcome,    fut->exception_tb,
        fut->source_tb, fut->cancel_msg, fut->awaited_by,
    };
    if (FA_UNLIKELY(fut->veiled)) {
        future_settle(fut);
    }
    fut->loop = NULL;
    fut->outcome = NULL;
    fut->exception_tb = NULL;
    fut->source_tb = NULL;
    fut->cancel_msg = NULL;
    fut->awaited_by = NULL;
    fut->state = FA_PENDING;
    fut->failed = 0;
    fut->ours = 0;
    fut->log_tb = 0;
    fut->blocking = 0;
    fut->awaited_by_set = 0;
    callbacks_clear(fut);
    for (size_t i = 0; i < FA_ARRAY_LEN(held); i++) {
        Py_XDECREF(held[i]);
    }
}

void
future_clear(FutureObject *fut)
{
    future_reset(fut);
    Py_CLEAR(fut->dict);
}

static int
Future_traverse(PyObject *self, visitproc visit, void *arg)
{
    return future_traverse((FutureObject *)self, visit, arg);
}

static int
Future_clear(PyObject *self)
{
    future_clear((FutureObject *)self);
    return 0;
}

void
future_complain(FutureObject *fut, PyObject *message, PyObject *key,
                PyObject *exc)
{
    fa_state *st = fut->st;
    PyObject *raised = fa_err_take();
    PyObject *context = message == NULL ? NULL : PyDict_New();
    PyObject *handler = NULL;
    if (context == NULL ||
        PyDict_SetItem(context, st->str_message, message) < 0 ||
        (exc != NULL &&
         PyDict_SetItem(context, st->str_exception, exc) < 0) ||
        PyDict_SetItem(context, key, (PyObject *)fut) < 0 ||
        (fut->source_tb != NULL &&
         PyDict_SetItem(context, st->str_source_traceback,
                        fut->source_tb) < 0))
    {
        fa_err_unraisable((PyObject *)fut);
        goto done;
    }
    handler = PyObject_GetAttr(fut->loop, st->str_call_exception_handler);
    PyObject *answer = handler == NULL ? NULL
                                       : PyObject_CallOneArg(handler, context);
    if (answer == NULL) {
        fa_err_unraisable(handler == NULL ? (PyObject *)fut : handler);
    }
    Py_XDECREF(answer);
done:
    Py_XDECREF(handler);
    Py_XDECREF(context);
    Py_XDECREF(message);
    fa_err_restore(raised);
}

void
future_finalize(FutureObject *fut)
{
    if (!fut->log_tb) {
        return;
    }
    fut->log_tb = 0;
    PyObject *raised = fa_err_take();
    PyObject *name = PyObject_GetAttr((PyObject *)Py_TYPE(fut),
                                      fut->st->str___name__);
    PyObject *message = NULL;
    if (name != NULL) {
        message = PyUnicode_FromFormat("%S exception was never retrieved",
                                       name);
        Py_DECREF(name);
    }
    PyObject *exc = Py_NewRef(fut->outcome);
    future_complain(fut, message, fut->st->str_future, exc);
    Py_DECREF(exc);
    fa_err_restore(raised);
}

static void
Future_finalize(PyObject *self)
{
    future_finalize((FutureObject *)self);
}

static inline void
future_free(PyObject *self)
{
    FutureObject *fut = (FutureObject *)self;
    PyTypeObject *tp = Py_TYPE(self);
    if (fut->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    future_clear(fut);
    if (tp != fut->st->FutureType ||
        !freelist_push(&fut->st->free_futures, self))
    {
        tp->tp_free(self);
    }
    Py_DECREF(tp);
}

static FA_HOT void
Future_dealloc(PyObject *self)
{
    FutureObject *fut = (FutureObject *)self;
    PyTypeObject *tp = Py_TYPE(self);
    if (FA_UNLIKELY(fut->log_tb || tp != fut->st->FutureType)) {
        if (PyObject_CallFinalizerFromDealloc(self) < 0) {
            return; // somebody has kept it
        }
    }
    PyObject_GC_UnTrack(self);
    if (FA_UNLIKELY(future_holds_future(fut))) {
        Py_TRASHCAN_BEGIN(self, Future_dealloc)
        future_free(self);
        Py_TRASHCAN_END
        return;
    }
    future_free(self);
}

static PyObject *
Future_new(PyTypeObject *tp, PyObject *Py_UNUSED(args),
           PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(tp);
    if (st == NULL) {
        return NULL;
    }
    PyObject *self = tp->tp_alloc(tp, 0);
    if (self != NULL) {
        ((FutureObject *)self)->st = st;
    }
    return self;
}

/* -- engine ------------------------------------------------------------------ */

int
future_ensure_alive(FutureObject *fut)
{
    if (FA_LIKELY(fut->loop != NULL)) {
        return 0;
    }
    PyErr_SetString(PyExc_RuntimeError, "Future object is not initialized.");
    return -1;
}

/* The running loop, else what the policy says (new). */
static PyObject *
future_default_loop(fa_state *st)
{
    PyObject *loop;
    if (fa_running_loop(st, &loop) < 0) {
        return NULL;
    }
    return loop != NULL ? loop : PyObject_CallNoArgs(st->c_get_event_loop);
}

/* Debug mode: remember where the future was made. */
static FA_COLD int
future_init_debug(FutureObject *fut)
{
    PyObject *loop = Py_NewRef(fut->loop);
    int debug = fa_loop_debug(fut->st, loop);
    Py_DECREF(loop);
    if (debug <= 0) {
        return debug;
    }
    PyObject *stack = loop_extract_stack(fut->st);
    if (stack == NULL) {
        return -1;
    }
    Py_XSETREF(fut->source_tb, stack);
    return 0;
}

/* HOT. The class that the package makes of LoopCore is found at once. */
static inline uint8_t
future_loop_is_ours(fa_state *st, PyObject *loop)
{
    return FA_LIKELY(Py_TYPE(loop)->tp_base == st->LoopCoreType) ||
           loop_check(st, loop);
}

int
future_init(FutureObject *fut, PyObject *loop)
{
#if FA_HAS_INIT_ONCE
    if (fut->loop != NULL) {
        PyErr_Format(PyExc_RuntimeError, "%T object is already initialized",
                     fut);
        return -1;
    }
#else
    if (fut->loop != NULL) {
        future_reset(fut);
    }
#endif
    fut->is_task = 0;
    if (loop == NULL || loop == Py_None) {
        loop = future_default_loop(fut->st);
        if (loop == NULL) {
            return -1;
        }
    }
    else {
        Py_INCREF(loop);
    }
    fut->ours = future_loop_is_ours(fut->st, loop);
    Py_XSETREF(fut->loop, loop);
    return future_engine(fut) != NULL ? 0 : future_init_debug(fut);
}

FA_HOT PyObject *
future_new(fa_state *st, PyObject *loop)
{
    PyTypeObject *tp = st->FutureType;
    PyObject *self = freelist_pop(&st->free_futures, tp, sizeof(FutureObject));
    if (FA_LIKELY(self != NULL)) {
        PyObject_GC_Track(self);
    }
    else if ((self = tp->tp_alloc(tp, 0)) == NULL) {
        return NULL;
    }
    FutureObject *fut = (FutureObject *)self;
    fut->st = st;
    if (future_init(fut, loop) < 0) {
        Py_DECREF(fut);
        return NULL;
    }
    return (PyObject *)fut;
}

/* -- construction and repr ------------------------------------------------------ */

static const fa_args Future_init_args = {
    .fname = "Future",
    .total = 1,
    .names = {"loop"},
};

static int
Future_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *loop;
    if (fa_args_parse_tuple(&Future_init_args, args, kwargs, &loop) < 0) {
        return -1;
    }
    return future_init((FutureObject *)self, loop);
}

/* Future(loop=loop) without a tuple and a dict in between. */
static PyObject *
Future_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf,
                  PyObject *kwnames)
{
    PyObject *loop;
    if (fa_args_parse(&Future_init_args, args, PyVectorcall_NARGS(nargsf),
                      kwnames, &loop) < 0)
    {
        return NULL;
    }
    fa_state *st = fa_state_of_module(PyType_GetModule((PyTypeObject *)type));
    return future_new(st, loop);
}

static PyObject *
Future_repr(PyObject *self)
{
    FutureObject *fut = (FutureObject *)self;
    if (future_ensure_alive(fut) < 0) {
        return NULL;
    }
    return PyObject_CallMethodOneArg(fut->st->mod_base_futures,
                                     fut->st->str__future_repr, self);
}

/* -- methods ------------------------------------------------------------------- */

PyDoc_STRVAR(Future_result_doc,
"result($self, /)\n--\n\n"
"The result of the future, or raise its exception.\n\n"
"CancelledError if it was cancelled, InvalidStateError if it is not done.");

static PyObject *
Future_result(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    FutureObject *fut = (FutureObject *)self;
    PyObject *result;
    if (fut->loop == NULL) {
        PyErr_SetString(fut->st->InvalidStateError,
                        "Future object is not initialized.");
        return NULL;
    }
    switch (future_get_result(fut, &result)) {
    case 0:
        return result;
    case 1:
        PyErr_SetObject((PyObject *)Py_TYPE(result), result);
        Py_DECREF(result);
        return NULL;
    default:
        return NULL;
    }
}

PyDoc_STRVAR(Future_exception_doc,
"exception($self, /)\n--\n\n"
"The exception that was set, None if there was none.\n\n"
"CancelledError if the future was cancelled, InvalidStateError if it is not\n"
"done.");

static PyObject *
Future_exception(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    FutureObject *fut = (FutureObject *)self;
    if (fut->loop == NULL) {
        PyErr_SetString(fut->st->InvalidStateError,
                        "Future object is not initialized.");
        return NULL;
    }
    if (fut->state == FA_PENDING) {
        PyErr_SetString(fut->st->InvalidStateError, "Exception is not set.");
        return NULL;
    }
    if (fut->state == FA_CANCELLED) {
        PyObject *nothing;
        future_get_result(fut, &nothing); // raises
        return NULL;
    }
    if (fut->failed) {
        fut->log_tb = 0;
        return Py_NewRef(fut->outcome);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Future_set_result_doc,
"set_result($self, result, /)\n--\n\n"
"End the future with a result; InvalidStateError if it has ended already.");

static PyObject *
Future_set_result(PyObject *self, PyObject *result)
{
    if (future_set_result((FutureObject *)self, result) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Future_set_exception_doc,
"set_exception($self, exception, /)\n--\n\n"
"End the future with an exception; InvalidStateError if it has ended already.");

static PyObject *
Future_set_exception(PyObject *self, PyObject *exception)
{
    if (future_set_exception((FutureObject *)self, exception) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Future_add_done_callback_doc,
"add_done_callback($self, fn, /, *, context=None)\n--\n\n"
"Have the loop call fn(future) when the future is done, or soon if it is.");

static const fa_args Future_add_done_callback_args = {
    .fname = "add_done_callback",
    .required = 1,
    .positional = 1,
    .total = 2,
    .names = {"", "context"},
};

static PyObject *
Future_add_done_callback(PyObject *self, PyObject *const *args,
                         Py_ssize_t nargs, PyObject *kwnames)
{
    FutureObject *fut = (FutureObject *)self;
    PyObject *out[2] = {NULL, NULL};
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        out[0] = args[0];
    }
    else if (fa_args_parse(&Future_add_done_callback_args, args, nargs, kwnames,
                           out) < 0)
    {
        return NULL;
    }
    if (fut->loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "uninitialized Future object");
        return NULL;
    }
    PyObject *context = out[1] != NULL ? Py_NewRef(out[1])
                                       : PyContext_CopyCurrent();
    if (context == NULL) {
        return NULL;
    }
    int rc = future_add_callback(fut, out[0], context);
    Py_DECREF(context);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Future_remove_done_callback_doc,
"remove_done_callback($self, fn, /)\n--\n\n"
"Forget every callback equal to fn; returns how many there were.");

static PyObject *
Future_remove_done_callback(PyObject *self, PyObject *fn)
{
    FutureObject *fut = (FutureObject *)self;
    if (future_ensure_alive(fut) < 0) {
        return NULL;
    }
    Py_ssize_t removed = callbacks_remove(fut, fn);
    return removed < 0 ? NULL : PyLong_FromSsize_t(removed);
}

PyDoc_STRVAR(Future_cancel_doc,
"cancel($self, /, msg=None)\n--\n\n"
"Cancel the future and schedule its callbacks; False if it was done.");

static const fa_args Future_cancel_args = {
    .fname = "cancel",
    .positional = 1,
    .total = 1,
    .names = {"msg"},
};

static PyObject *
Future_cancel(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames)
{
    PyObject *msg = NULL;
    if ((nargs != 0 || kwnames != NULL) &&
        fa_args_parse(&Future_cancel_args, args, nargs, kwnames, &msg) < 0)
    {
        return NULL;
    }
    int rc = future_cancel((FutureObject *)self, msg);
    return rc < 0 ? NULL : PyBool_FromLong(rc);
}

PyDoc_STRVAR(Future_cancelled_doc,
"cancelled($self, /)\n--\n\n"
"True if the future was cancelled.");

static PyObject *
Future_cancelled(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    FutureObject *fut = (FutureObject *)self;
    return PyBool_FromLong(fut->loop != NULL && fut->state == FA_CANCELLED);
}

PyDoc_STRVAR(Future_done_doc,
"done($self, /)\n--\n\n"
"True if the future has a result or an exception or was cancelled.");

static PyObject *
Future_done(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    FutureObject *fut = (FutureObject *)self;
    return PyBool_FromLong(fut->loop != NULL && fut->state != FA_PENDING);
}

PyDoc_STRVAR(Future_get_loop_doc,
"get_loop($self, /)\n--\n\n"
"The event loop that the future belongs to.");

static PyObject *
Future_get_loop(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    FutureObject *fut = (FutureObject *)self;
    return future_ensure_alive(fut) < 0 ? NULL : Py_NewRef(fut->loop);
}

PyDoc_STRVAR(Future_make_cancelled_error_doc,
"_make_cancelled_error($self, /)\n--\n\n"
"The CancelledError to raise for a cancelled future. To be called once: the\n"
"exception that was kept is handed out.");

static PyObject *
Future_make_cancelled_error(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return future_cancelled_error((FutureObject *)self);
}

PyDoc_STRVAR(Future_class_getitem_doc,
"Futures are generic over the type of their result.");

static PyObject *
Future_sizeof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    FutureObject *fut = (FutureObject *)self;
    size_t size = (size_t)Py_TYPE(self)->tp_basicsize;
    if (fut->more != NULL) {
        size += sizeof(fa_callbacks) +
                fut->more->capacity * sizeof(fa_callback);
    }
    return PyLong_FromSize_t(size);
}

/* -- tables ----------------------------------------------------------------------- */

static PyMethodDef Future_methods[] = {
    {"result", Future_result, METH_NOARGS, Future_result_doc},
    {"exception", Future_exception, METH_NOARGS, Future_exception_doc},
    {"set_result", Future_set_result, METH_O, Future_set_result_doc},
    {"set_exception", Future_set_exception, METH_O, Future_set_exception_doc},
    {"add_done_callback", (PyCFunction)(void (*)(void))Future_add_done_callback,
     METH_FASTCALL | METH_KEYWORDS, Future_add_done_callback_doc},
    {"remove_done_callback", Future_remove_done_callback, METH_O,
     Future_remove_done_callback_doc},
    {"cancel", (PyCFunction)(void (*)(void))Future_cancel,
     METH_FASTCALL | METH_KEYWORDS, Future_cancel_doc},
    {"cancelled", Future_cancelled, METH_NOARGS, Future_cancelled_doc},
    {"done", Future_done, METH_NOARGS, Future_done_doc},
    {"get_loop", Future_get_loop, METH_NOARGS, Future_get_loop_doc},
    {"_make_cancelled_error", Future_make_cancelled_error, METH_NOARGS,
     Future_make_cancelled_error_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS,
     Future_class_getitem_doc},
    {"__sizeof__", Future_sizeof, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Future_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(FutureObject, dict), READONLY,
     NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(FutureObject, weakrefs),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Future_doc,
"Future(*, loop=None)\n--\n\n"
"The promise of a result on an event loop: asyncio.Future.");

static PyType_Slot Future_slots[] = {
    {Py_tp_doc, (void *)Future_doc},
    {Py_tp_new, Future_new},
    {Py_tp_init, Future_init},
    {Py_tp_traverse, Future_traverse},
    {Py_tp_clear, Future_clear},
    {Py_tp_finalize, Future_finalize},
    {Py_tp_dealloc, Future_dealloc},
    {Py_tp_repr, Future_repr},
    {Py_tp_iter, future_iter_new},
    {Py_am_await, future_iter_new},
    {Py_tp_methods, Future_methods},
    {Py_tp_getset, Future_getset},
    {Py_tp_members, Future_members},
    {0, NULL},
};

static PyType_Spec Future_spec = {
    .name = "_fastasync.Future",
    .basicsize = sizeof(FutureObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Future_slots,
};

int
future_type_init(PyObject *module, fa_state *st)
{
    if (fa_type_new(module, &Future_spec, NULL, &st->FutureType) < 0) {
        return -1;
    }
    st->FutureType->tp_vectorcall = Future_vectorcall; // not inherited
    return 0;
}
