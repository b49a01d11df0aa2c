/* sync/timeout.c: asyncio.Timeout, timeout() and timeout_at().

   A block with a deadline: entering it sets a timer, the timer cancels the task
   that is in the block, and at the end that cancellation, if it was the timer's
   and nobody else's, becomes TimeoutError. Nothing here waits.

   The timer goes straight into the engine of a loop of ours: its callback is
   one function of the module with the Timeout as argument. A loop that is
   another, a loop in debug mode, an overridden method of the loop, or a
   subclass of Timeout get the bound method `_on_timeout`, as in asyncio.
   Invariant: while the state is not ENTERED there is no timer that could still
   do anything. Objects of the very class come from a freelist.
   HOT: timeout_after, timeout_enter, timeout_exit. Benchmarks: timeout_cm,
   wait_for. */
#include "sync/timeout.h"
#include "base/args.h"
#include "base/errors.h"
#include "loop/loop.h"
#include "sync/scopes.h"
#include "task/coro.h"
#include "task/freelist.h"

/* -- life ----------------------------------------------------------------------- */

static TimeoutObject *
timeout_alloc(fa_state *st, PyTypeObject *type)
{
    if (FA_LIKELY(type == st->TimeoutType)) {
        PyObject *obj = freelist_pop(&st->free_timeouts, type,
                                     sizeof(TimeoutObject));
        if (FA_LIKELY(obj != NULL)) {
            ((TimeoutObject *)obj)->st = st;
            PyObject_GC_Track(obj);
            return (TimeoutObject *)obj;
        }
    }
    TimeoutObject *self = (TimeoutObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->st = st;
    }
    return self;
}

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

/* -- engine: the state ---------------------------------------------------------------- */

/* The values of asyncio.timeouts._State, by fa_timeout_state. */
static const char *const timeout_texts[] = {
    "", "created", "active", "expiring", "expired", "finished",
};

/* Its names. */
static const char *const timeout_names[] = {
    "", "CREATED", "ENTERED", "EXPIRING", "EXPIRED", "EXITED",
};

static FA_COLD int
timeout_lacks(TimeoutObject *self, const char *name)
{
    PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'",
                 Py_TYPE(self)->tp_name, name);
    return -1;
}

static void
timeout_init(TimeoutObject *self, PyObject *when)
{
    self->state = FA_TIMEOUT_CREATED;
    Py_XSETREF(self->when, Py_NewRef(when));
    Py_CLEAR(self->handler);
    Py_CLEAR(self->task);
}

/* handler.cancel(), if there is one; with `forget` it is dropped. 0 or -1. */
static inline int
timeout_stop(TimeoutObject *self, int forget)
{
    PyObject *handler = self->handler;
    if (handler == NULL) {
        return 0;
    }
    Py_INCREF(handler);
    int rc = fa_handle_cancel(self->st, handler);
    if (rc == 0 && forget) {
        Py_CLEAR(self->handler);
    }
    Py_DECREF(handler);
    return rc;
}

/* The deadline has come. */
static int
timeout_fire(TimeoutObject *self)
{
    if (self->state != FA_TIMEOUT_ENTERED) {
        PyErr_SetNone(PyExc_AssertionError);
        return -1;
    }
    PyObject *task = Py_NewRef(self->task == NULL ? Py_None : self->task);
    int rc = fa_future_cancel(self->st, task, NULL);
    Py_DECREF(task);
    if (rc < 0) {
        return -1;
    }
    self->state = FA_TIMEOUT_EXPIRING;
    Py_CLEAR(self->handler); // drop the reference early
    return 0;
}

/* -- engine: the timer ------------------------------------------------------------------ */

/* Everything by the methods of the loop. The handle (new). */
static FA_COLD PyObject *
timeout_timer_slow(TimeoutObject *self, PyObject *loop, PyObject *when)
{
    fa_state *st = self->st;
    PyObject *now = PyObject_CallMethodNoArgs(loop, st->str_time);
    int due = now == NULL ? -1 : PyObject_RichCompareBool(when, now, Py_LE);
    Py_XDECREF(now);
    PyObject *callback = NULL, *timer = NULL;
    if (due >= 0) {
        callback = PyObject_GetAttr((PyObject *)self, st->str__on_timeout);
    }
    if (callback == NULL) {
        return NULL;
    }
    if (due) {
        timer = PyObject_CallMethodOneArg(loop, st->str_call_soon, callback);
    }
    else {
        PyObject *args[] = {loop, when, callback};
        timer = PyObject_VectorcallMethod(st->str_call_at, args, 3, NULL);
    }
    Py_DECREF(callback);
    return timer;
}

/* HOT. call_soon or call_at. The handle (new). */
static PyObject *
timeout_timer(TimeoutObject *self, PyObject *loop, PyObject *when)
{
    fa_state *st = self->st;
    LoopObject *ours = (LoopObject *)loop;
    if (FA_UNLIKELY(!loop_check(st, loop) || ours->debug ||
                    (ours->overridden & (FA_OV_CALL_SOON | FA_OV_CALL_AT)) ||
                    !fa_is_plain(self, st->TimeoutType) ||
                    !(PyFloat_CheckExact(when) || PyLong_CheckExact(when))))
    {
        return timeout_timer_slow(self, loop, when);
    }
    double seconds = PyFloat_AsDouble(when);
    if (seconds == -1.0 && PyErr_Occurred()) {
        PyErr_Clear(); // an int beyond any float
        return timeout_timer_slow(self, loop, when);
    }
    double now = loop_time(ours);
    if (now == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    PyObject *arg = (PyObject *)self;
    return seconds <= now ? loop_call_soon(ours, st->timeout_fire, &arg, 1,
                                           NULL)
                          : loop_call_at(ours, seconds, when,
                                         st->timeout_fire, &arg, 1, NULL);
}

static FA_COLD int
timeout_refuse_reschedule(TimeoutObject *self)
{
    if (self->state == FA_TIMEOUT_UNSET) {
        return timeout_lacks(self, "_state");
    }
    if (self->state == FA_TIMEOUT_CREATED) {
        PyErr_SetString(PyExc_RuntimeError, "Timeout has not been entered");
    }
    else {
        PyErr_Format(PyExc_RuntimeError, "Cannot change state of %s Timeout",
                     timeout_texts[self->state]);
    }
    return -1;
}

/* reschedule(when) */
static int
timeout_reschedule(TimeoutObject *self, PyObject *when)
{
    if (FA_UNLIKELY(self->state != FA_TIMEOUT_ENTERED)) {
        return timeout_refuse_reschedule(self);
    }
    Py_INCREF(when);
    Py_XSETREF(self->when, when);
    if (timeout_stop(self, 0) < 0) {
        return -1;
    }
    if (when == Py_None) {
        Py_CLEAR(self->handler);
        return 0;
    }
    PyObject *loop = fa_get_running_loop(self->st);
    if (loop == NULL) {
        return -1;
    }
    Py_INCREF(when);
    PyObject *timer = timeout_timer(self, loop, when);
    Py_DECREF(when);
    Py_DECREF(loop);
    if (timer == NULL) {
        return -1;
    }
    Py_XSETREF(self->handler, timer);
    return 0;
}

/* -- engine: in and out ------------------------------------------------------------------- */

static FA_COLD int
timeout_refuse_enter(TimeoutObject *self)
{
    if (self->state == FA_TIMEOUT_UNSET) {
        return timeout_lacks(self, "_state");
    }
    PyErr_SetString(PyExc_RuntimeError, "Timeout has already been entered");
    return -1;
}

/* tasks.current_task() (new), or NULL with an exception. */
static inline PyObject *
timeout_current_task(fa_state *st)
{
    PyObject *task;
    PyObject *loop = fa_get_running_loop(st);
    if (loop == NULL) {
        return NULL;
    }
    int rc = fa_current_task(st, loop, &task);
    Py_DECREF(loop);
    if (rc == 0 && task == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "Timeout should be used inside a task");
    }
    return rc == 0 ? task : NULL;
}

FA_HOT int
timeout_enter(TimeoutObject *self)
{
    fa_state *st = self->st;
    if (FA_UNLIKELY(self->state != FA_TIMEOUT_CREATED)) {
        return timeout_refuse_enter(self);
    }
    PyObject *task = timeout_current_task(st);
    if (task == NULL) {
        return -1;
    }
    self->state = FA_TIMEOUT_ENTERED;
    Py_XSETREF(self->task, task);
    Py_INCREF(task);
    PyObject *cancelling = fa_task_cancelling(st, task);
    Py_DECREF(task);
    if (cancelling == NULL) {
        return -1;
    }
    Py_XSETREF(self->cancelling, cancelling);
    PyObject *when = self->when;
    if (FA_UNLIKELY(when == NULL)) {
        return timeout_lacks(self, "_when");
    }
    Py_INCREF(when);
    int rc;
    if (FA_LIKELY(fa_is_plain(self, st->TimeoutType))) {
        rc = timeout_reschedule(self, when);
    }
    else {
        PyObject *done = PyObject_CallMethodOneArg(
            (PyObject *)self, st->str_reschedule, when);
        rc = done == NULL ? -1 : 0;
        Py_XDECREF(done);
    }
    Py_DECREF(when);
    return rc;
}

#if FA_HAS_TIMEOUT_INSERTS

/* In the chain of contexts of `exc`: the first CancelledError gets a
   TimeoutError in front of it. 0 or -1. */
static int
timeout_insert_error(fa_state *st, PyObject *exc)
{
    PyObject *context;
    Py_INCREF(exc);
    while ((context = PyException_GetContext(exc)) != NULL) {
        int is = PyObject_IsInstance(context, st->CancelledError);
        if (is == 0) {
            Py_SETREF(exc, context);
            if (PyErr_CheckSignals() == 0) { // somebody's chain may be a ring
                continue;
            }
            is = -1;
            context = NULL;
        }
        PyObject *error =
            is < 0 ? NULL : PyObject_CallNoArgs(PyExc_TimeoutError);
        if (error == NULL) {
            Py_XDECREF(context);
            Py_DECREF(exc);
            return -1;
        }
        PyException_SetCause(error, Py_NewRef(context));
        PyException_SetContext(error, context);
        PyException_SetContext(exc, error);
        break;
    }
    Py_DECREF(exc);
    return 0;
}

/* The same for what an exception group holds. */
static int
timeout_insert_errors(fa_state *st, PyObject *exc)
{
    if (timeout_insert_error(st, exc) < 0) {
        return -1;
    }
    int is = PyObject_IsInstance(exc, st->ExceptionGroup);
    if (is <= 0) {
        return is;
    }
    PyObject *all = PyObject_GetAttrString(exc, "exceptions");
    PyObject *list = all == NULL ? NULL : PySequence_List(all);
    Py_XDECREF(all);
    int rc = list == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(list); i++) {
        rc = timeout_insert_error(st, PyList_GET_ITEM(list, i));
    }
    Py_XDECREF(list);
    return rc;
}

/* The cancellation was ours alone, and the block ends with an exception. */
static int
timeout_convert(fa_state *st, PyObject *type, PyObject *exc)
{
    int is = PyObject_IsSubclass(type, st->CancelledError);
    if (is > 0) {
        raise_from(PyExc_TimeoutError, exc);
        return -1;
    }
    return is < 0 ? -1 : exc == Py_None ? 0 : timeout_insert_errors(st, exc);
}

#else

static int
timeout_convert(fa_state *st, PyObject *type, PyObject *exc)
{
    if (type == st->CancelledError) {
        raise_from(PyExc_TimeoutError, exc);
        return -1;
    }
    return 0;
}

#endif

/* The timer has cancelled the task: is that to be a TimeoutError? 0 or -1. */
static FA_COLD int
timeout_expire(TimeoutObject *self, PyObject *type, PyObject *exc)
{
    self->state = FA_TIMEOUT_EXPIRED;
    if (self->cancelling == NULL) {
        return timeout_lacks(self, "_cancelling");
    }
    PyObject *task = Py_NewRef(self->task == NULL ? Py_None : self->task);
    PyObject *cancelling = Py_NewRef(self->cancelling);
    PyObject *left = fa_task_uncancel(self->st, task);
    int alone = -1;
    if (left != NULL) {
        alone = PyObject_RichCompareBool(left, cancelling, Py_LE);
    }
    Py_XDECREF(left);
    Py_DECREF(cancelling);
    Py_DECREF(task);
    if (alone <= 0 || type == Py_None) {
        return alone < 0 ? -1 : 0;
    }
    return timeout_convert(self->st, type, exc);
}

FA_HOT int
timeout_exit(TimeoutObject *self, PyObject *type, PyObject *exc)
{
    if (FA_UNLIKELY(self->state != FA_TIMEOUT_ENTERED &&
                    self->state != FA_TIMEOUT_EXPIRING))
    {
        if (self->state == FA_TIMEOUT_UNSET) {
            return timeout_lacks(self, "_state");
        }
        PyErr_SetNone(PyExc_AssertionError);
        return -1;
    }
    if (timeout_stop(self, 1) < 0) {
        return -1;
    }
    if (FA_UNLIKELY(self->state == FA_TIMEOUT_EXPIRING)) {
        return timeout_expire(self, type, exc);
    }
    self->state = FA_TIMEOUT_EXITED;
    return 0;
}

/* -- engine: functions ----------------------------------------------------------------------- */

/* A new Timeout; takes over `when`, which may be NULL: its making failed. */
static TimeoutObject *
timeout_at_time(fa_state *st, PyObject *when)
{
    TimeoutObject *self =
        when == NULL ? NULL : timeout_alloc(st, st->TimeoutType);
    if (FA_LIKELY(self != NULL)) {
        self->state = FA_TIMEOUT_CREATED;
        self->when = when;
        return self;
    }
    Py_XDECREF(when);
    return NULL;
}

/* loop.time() + delay (new). */
static PyObject *
timeout_deadline(fa_state *st, PyObject *loop, PyObject *delay)
{
    if (FA_LIKELY(loop_check(st, loop) &&
                  !(((LoopObject *)loop)->overridden & FA_OV_TIME) &&
                  (PyFloat_CheckExact(delay) || PyLong_CheckExact(delay))))
    {
        double seconds = PyFloat_AsDouble(delay);
        if (seconds == -1.0 && PyErr_Occurred()) {
            return NULL;
        }
        return PyFloat_FromDouble(loop_time((LoopObject *)loop) + seconds);
    }
    PyObject *now = PyObject_CallMethodNoArgs(loop, st->str_time);
    PyObject *when = now == NULL ? NULL : PyNumber_Add(now, delay);
    Py_XDECREF(now);
    return when;
}

FA_HOT TimeoutObject *
timeout_after(fa_state *st, PyObject *delay)
{
    PyObject *loop = fa_get_running_loop(st);
    if (loop == NULL) {
        return NULL;
    }
    PyObject *when = delay == Py_None ? Py_NewRef(Py_None)
                                      : timeout_deadline(st, loop, delay);
    Py_DECREF(loop);
    return timeout_at_time(st, when);
}

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
    PyObject *out[3];
    if (FA_LIKELY(nargs == 3 && kwnames == NULL)) {
        out[0] = args[0];
        out[1] = args[1];
    }
    else if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    CoroObject *co = coro_new(st, &timeout_aexit_kind, self, out[0]);
    if (co != NULL) {
        co->vars[2] = Py_NewRef(out[1]);
    }
    return (PyObject *)co;
}

/* -- attributes ------------------------------------------------------------------------------------- */

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
"Timeout(when)\n--\n\n"
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
