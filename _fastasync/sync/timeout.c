/* sync/timeout.c: asyncio.Timeout, timeout() and timeout_at().

   A block with a deadline: entering it sets a timer, the timer cancels the task
   that is in the block, and at the end that cancellation, if it was the timer's
   and nobody else's, becomes TimeoutError. Nothing here waits.

   The timer goes straight into the engine of a loop of ours: its callback is
   one function of the module with the Timeout as argument. A loop that is
   another, a loop in debug mode, an overridden method of the loop, or a
   subclass of Timeout get the bound method `_on_timeout`, as in asyncio.
   Invariant: while the state is not ENTERED there is no timer that could still
   do anything. Objects of the very class come from a freelist. What Python sees
   of all this is timeout_type.c.
   HOT: timeout_after, timeout_enter, timeout_exit. Benchmarks: timeout_cm,
   wait_for. */
#include "sync/timeout.h"
#include "base/errors.h"
#include "loop/loop.h"
#include "sync/scopes.h"
#include "task/coro.h"
#include "task/freelist.h"

/* -- making ----------------------------------------------------------------------- */

TimeoutObject *
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

/* -- engine: the state ---------------------------------------------------------------- */

/* The values of asyncio.timeouts._State, by fa_timeout_state. */
const char *const timeout_texts[] = {
    "", "created", "active", "expiring", "expired", "finished",
};

FA_COLD int
timeout_lacks(TimeoutObject *self, const char *name)
{
    PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'",
                 Py_TYPE(self)->tp_name, name);
    return -1;
}

void
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

int
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

int
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
    int rc = scope_current_task(st, loop, &task);
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

TimeoutObject *
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
