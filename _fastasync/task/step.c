/* task/step.c: one step of a coroutine, and what comes of it.

   A step runs the coroutine until it yields, returns or raises:
     bare yield      -> back into the ring
     our Future      -> the task itself becomes its callback; nothing is made
     other future    -> add_done_callback(wakeup), as asyncio's protocol says
     return, raise   -> the task is done; CancelledError cancels it
     anything else   -> RuntimeError, thrown in by the next step
   Two fa_run entries start it: task_run_step and task_run_wakeup. They enter
   the task's context and make it the current task, in asyncio's order. The ways
   in from elsewhere are in step_enter.c.

   Errors of a step itself (not of the coroutine) go to the loop's exception
   handler; SystemExit and KeyboardInterrupt end the task and leave the loop.
   Everything that runs Python may do anything to the task: what a step still
   needs afterwards it holds itself. HOT: all that is not marked cold.
   Benchmarks: sleep0_1, create_task, future_await. */
#include "task/private.h"
#include "base/errors.h"
#include "loop/context.h"
#include "loop/current.h"
#include "task/coro.h"

#include <stdarg.h>

/* -- scheduling ---------------------------------------------------------------- */

static FA_COLD int
task_step_soon_slow(TaskObject *task, PyObject *exc)
{
    PyObject *step = task_step_callable(task, exc);
    if (step == NULL) {
        return -1;
    }
    PyObject *loop = Py_NewRef(task->fut.loop);
    PyObject *context = task_own_context(task);
    int rc = context == NULL ? -1
                             : fa_call_soon(task->fut.st, loop, step, NULL,
                                            context);
    Py_XDECREF(context);
    Py_DECREF(loop);
    Py_DECREF(step);
    return rc;
}

FA_HOT int
task_step_soon(TaskObject *task, PyObject *exc)
{
    LoopObject *loop = future_engine(&task->fut);
    if (FA_LIKELY(loop != NULL)) {
        return loop_push(loop, task_run_step, Py_NewRef((PyObject *)task),
                         Py_XNewRef(exc));
    }
    return task_step_soon_slow(task, exc);
}

/* The coroutine yielded what it should not have: throw RuntimeError into it
   in the next step. 0 or -1. */
static FA_COLD int
task_error_soon(TaskObject *task, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    PyObject *text = PyUnicode_FromFormatV(format, args);
    va_end(args);
    if (text == NULL) {
        return -1;
    }
    PyObject *exc = PyObject_CallOneArg(PyExc_RuntimeError, text);
    Py_DECREF(text);
    if (exc == NULL) {
        return -1;
    }
    int rc = task_step_soon(task, exc);
    Py_DECREF(exc);
    return rc;
}

/* -- yielded ---------------------------------------------------------------------- */

/* The task hangs on `waiter` now (taken over). If it was to be cancelled, that
   goes to the waiter. */
static FA_COLD int
task_pass_cancel(TaskObject *task, PyObject *waiter)
{
    PyObject *msg = Py_NewRef(task->fut.cancel_msg == NULL
                                  ? Py_None : task->fut.cancel_msg);
    PyObject *answer = PyObject_CallMethodOneArg(
        waiter, task->fut.st->str_cancel, msg);
    Py_DECREF(msg);
    if (answer == NULL) {
        return -1;
    }
    int accepted = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    if (accepted > 0) {
        task->must_cancel = 0;
    }
    return accepted < 0 ? -1 : 0;
}

/* `kept`: the loop keeps the task as long as the waiter is pending. */
static inline int
task_hang(TaskObject *task, PyObject *waiter, int kept)
{
    PyObject *former = task->waiter;
    task->waiter = waiter;
    if (!kept) {
        task_track(task); // it may be lost from now on
    }
    Py_XDECREF(former);
    if (FA_UNLIKELY(task->must_cancel)) {
        Py_INCREF(waiter);
        int rc = task_pass_cancel(task, waiter);
        Py_DECREF(waiter);
        return rc;
    }
    return 0;
}

/* A future that must not be awaited here. */
static FA_COLD int
task_refuse(TaskObject *task, PyObject *fut, int same_loop)
{
    if (fut == (PyObject *)task) {
        return task_error_soon(task, "Task cannot await on itself: %R", task);
    }
    if (!same_loop) {
        return task_error_soon(
            task, "Task %R got Future %R attached to a different loop", task,
            fut);
    }
    return task_error_soon(
        task, "yield was used instead of yield from in task %R with %R",
        task, fut);
}

/* result.add_done_callback(wakeup, context=context). */
static int
task_subscribe(TaskObject *task, PyObject *fut)
{
    fa_state *st = task->fut.st;
    PyObject *add = PyObject_GetAttr(fut, st->str_add_done_callback);
    if (add == NULL) {
        return -1;
    }
    PyObject *answer = NULL;
    PyObject *wakeup = task_wakeup_callable(task);
    PyObject *context = Py_NewRef(task->context); // its own during a step
    if (wakeup != NULL) {
        PyObject *args[] = {NULL, wakeup, context};
        answer = PyObject_Vectorcall(add, args + 1,
                                     1 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                     st->kw_context);
    }
    Py_DECREF(context);
    Py_XDECREF(wakeup);
    Py_DECREF(add);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* A future of another kind, or a subclass of ours. Takes over `fut`. */
static int
task_wait_foreign(TaskObject *task, PyObject *fut, PyObject *blocking_obj)
{
    fa_state *st = task->fut.st;
    int blocking = PyObject_IsTrue(blocking_obj);
    PyObject *loop = blocking < 0 ? NULL : fa_future_loop(st, fut);
    if (loop == NULL) {
        goto failed;
    }
    int same_loop = loop == task->fut.loop;
    Py_DECREF(loop);
    if (!same_loop || !blocking) {
        int rc = task_refuse(task, fut, same_loop);
        Py_DECREF(fut);
        return rc;
    }
    if (future_awaited_by_add(st, fut, (PyObject *)task) < 0 ||
        PyObject_SetAttr(fut, st->str__asyncio_future_blocking,
                         Py_False) < 0 ||
        task_subscribe(task, fut) < 0)
    {
        goto failed;
    }
    return task_hang(task, fut, 0);
failed:
    Py_DECREF(fut);
    return -1;
}

/* Anything but None and an exact Future or Task of ours. Takes it over. */
static FA_COLD int
task_yielded_slow(TaskObject *task, PyObject *result)
{
    fa_state *st = task->fut.st;
    PyObject *blocking;
    int rc = -1;
    if (result == (PyObject *)task) {
        rc = task_refuse(task, result, 1);
        goto done;
    }
    if (fa_getattr_opt(result, st->str__asyncio_future_blocking,
                       &blocking) < 0)
    {
        goto done;
    }
    if (blocking != NULL && blocking != Py_None) {
        rc = task_wait_foreign(task, result, blocking);
        Py_DECREF(blocking);
        return rc;
    }
    Py_XDECREF(blocking);
    int generator = PyObject_IsInstance(result, (PyObject *)&PyGen_Type);
    if (generator > 0) {
        rc = task_error_soon(task,
                             "yield was used instead of yield from for "
                             "generator in task %R with %R", task, result);
    }
    else if (generator == 0) {
        rc = task_error_soon(task, "Task got bad yield: %R", result);
    }
done:
    Py_DECREF(result);
    return rc;
}

/* An exact Future or Task of ours. Takes it over. */
static inline int
task_wait(TaskObject *task, FutureObject *fut)
{
    int same_loop = fut->loop == task->fut.loop;
    if (FA_UNLIKELY(!same_loop || !fut->blocking ||
                    fut == (FutureObject *)task))
    {
        int rc = task_refuse(task, (PyObject *)fut, same_loop);
        Py_DECREF(fut);
        return rc;
    }
    if (awaited_by_add(fut, (PyObject *)task) < 0) {
        Py_DECREF(fut);
        return -1;
    }
    fut->blocking = 0;
    if (FA_UNLIKELY(future_add_waiter(fut, task) < 0)) {
        Py_DECREF(fut);
        return -1;
    }
    return task_hang(task, (PyObject *)fut, fut->veiled);
}

/* -- finished ---------------------------------------------------------------------- */

/* Cancelled while it was returning: the result (taken over) is dropped. */
static FA_COLD int
task_returned_cancelled(TaskObject *task, PyObject *result)
{
    task->must_cancel = 0;
    PyObject *msg = Py_XNewRef(task->fut.cancel_msg);
    int rc = future_cancel_with(&task->fut, msg, NULL);
    Py_XDECREF(msg);
    Py_DECREF(result);
    return rc < 0 ? -1 : 0;
}

/* The coroutine has raised: so does the task. */
static FA_COLD int
task_raised(TaskObject *task)
{
    fa_state *st = task->fut.st;
    int cancelled = PyErr_ExceptionMatches(st->CancelledError);
    int leaves = !cancelled && fa_err_is_exit();
    PyObject *exc = fa_err_take();
    if (cancelled) {
        return future_cancel_with(&task->fut, NULL, exc) < 0 ? -1 : 0;
    }
    if (future_set_exception(&task->fut, exc) < 0) {
        Py_DECREF(exc);
        return -1;
    }
    if (leaves) {
        fa_err_restore(exc);
        return -1;
    }
    Py_DECREF(exc);
    return 0;
}

/* -- the step ----------------------------------------------------------------------- */

static inline int
task_outcome(TaskObject *task, PySendResult status, PyObject *result)
{
    fa_state *st = task->fut.st;
    if (FA_LIKELY(status == PYGEN_NEXT)) {
        if (FA_LIKELY(future_check_exact(st, result))) {
            return task_wait(task, (FutureObject *)result);
        }
        if (result == Py_None) {
            Py_DECREF(result);
            return task_step_soon(task, NULL);
        }
        return task_yielded_slow(task, result);
    }
    if (status == PYGEN_RETURN) {
        if (FA_UNLIKELY(task->must_cancel)) {
            return task_returned_cancelled(task, result);
        }
        return future_finish(&task->fut, result);
    }
    return task_raised(task);
}

/* coro.throw(exc) as PyIter_Send would have answered. */
static PySendResult
task_throw(TaskObject *task, PyObject *coro, PyObject *exc, PyObject **result)
{
    *result = PyObject_CallMethodOneArg(coro, task->fut.st->str_throw, exc);
    if (*result != NULL) {
        return PYGEN_NEXT;
    }
    if (!PyErr_Occurred()) {
        *result = Py_NewRef(Py_None);
        return PYGEN_RETURN;
    }
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyObject *stop = fa_err_take();
        PyObject *value = ((PyStopIterationObject *)stop)->value;
        *result = Py_NewRef(value == NULL ? Py_None : value);
        Py_DECREF(stop);
        return PYGEN_RETURN;
    }
    return PYGEN_ERROR;
}

/* A step that throws, or that must not be done at all. */
static FA_COLD int
task_step_slow(TaskObject *task, PyObject *given)
{
    fa_state *st = task->fut.st;
    if (task->fut.state != FA_PENDING) {
        PyErr_Format(st->InvalidStateError, FA_STEP_NAME ": already done: %R %R",
                     task, given == NULL ? Py_None : given);
        return -1;
    }
    PyObject *exc = Py_XNewRef(given);
    if (task->must_cancel) {
        if (exc == NULL ||
            !PyErr_GivenExceptionMatches(exc, st->CancelledError))
        {
            Py_XSETREF(exc, future_cancelled_error(&task->fut));
            if (exc == NULL) {
                return -1;
            }
        }
        task->must_cancel = 0;
    }
    Py_CLEAR(task->waiter);
    if (task->coro == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "uninitialized Task object");
        Py_XDECREF(exc);
        return -1;
    }
    PyObject *coro = Py_NewRef(task->coro);
    PyObject *result;
    PySendResult status = exc == NULL
                              ? PyIter_Send(coro, Py_None, &result)
                              : task_throw(task, coro, exc, &result);
    Py_XDECREF(exc);
    Py_DECREF(coro);
    return task_outcome(task, status, result);
}

/* HOT. PyIter_Send(coro, None), without the way there for what has am_send. */
static inline PySendResult
task_send(PyObject *coro, PyObject **result)
{
    PyAsyncMethods *async = Py_TYPE(coro)->tp_as_async;
    if (FA_LIKELY(async != NULL && async->am_send != NULL)) {
        return async->am_send(coro, Py_None, result);
    }
    return PyIter_Send(coro, Py_None, result);
}

FA_HOT int
task_step(TaskObject *task, PyObject *exc)
{
    if (FA_UNLIKELY(exc != NULL || task->must_cancel ||
                    task->fut.state != FA_PENDING || task->coro == NULL))
    {
        return task_step_slow(task, exc);
    }
    PyObject *waiter = task->waiter;
    if (waiter != NULL) {
        task->waiter = NULL;
        Py_DECREF(waiter); // may run Python code, so the coroutine comes after
    }
    PyObject *coro = Py_XNewRef(task->coro);
    if (FA_UNLIKELY(coro == NULL)) {
        return task_step_slow(task, NULL);
    }
    PyObject *result;
    PySendResult status = task_send(coro, &result);
    Py_DECREF(coro);
    return task_outcome(task, status, result);
}

/* -- on our ring --------------------------------------------------------------------- */

/* A step in `context`, which is the task's own. 0 or -1. */
static inline int
task_run_in(LoopObject *loop, TaskObject *task, PyObject *context,
            PyObject *exc)
{
    int rc = PyContext_Enter(context);
    if (FA_UNLIKELY(rc < 0)) {
        return -1;
    }
    if (FA_UNLIKELY(task->fut.loop != (PyObject *)loop)) {
        rc = task_step_anywhere(task, exc); // initialised a second time
    }
    else if (FA_LIKELY((rc = loop_current_enter(loop, (PyObject *)task)) == 0))
    {
        rc = task_step(task, exc);
        loop_current_leave(loop, (PyObject *)task,
                           task->fut.state != FA_PENDING);
    }
    return FA_UNLIKELY(PyContext_Exit(context) < 0) ? -1 : rc;
}

/* The task shares its context: the loop lends it one for the step, and it keeps
   that if it has left traces there. */
static inline int
task_run_shared(LoopObject *loop, TaskObject *task, PyObject *exc)
{
    PyObject *shared = task->context;
    PyObject *work = loop_context_take(loop, shared);
    if (FA_UNLIKELY(work == NULL)) {
        return -1;
    }
    task->context = Py_NewRef(work);
    task->shares_context = 0;
    int rc = task_run_in(loop, task, work, exc);
    if (FA_LIKELY(task->context == work && Py_REFCNT(work) == 2 &&
                  context_vars(loop->st, work) ==
                      context_vars(loop->st, shared)))
    {
        task->context = shared;
        task->shares_context = 1;
        Py_DECREF(work); // the task's
        loop_context_give(loop, work);
        return rc;
    }
    Py_DECREF(work);
    Py_DECREF(shared);
    return rc;
}

/* The step of a ring entry. `fut` is the future that woke the task, NULL if
   none did. Owns nothing. */
static inline int
task_run(LoopObject *loop, TaskObject *task, PyObject *exc, PyObject *fut)
{
    int rc;
    if (FA_LIKELY(task->shares_context)) {
        rc = task_run_shared(loop, task, exc);
    }
    else {
        PyObject *context = Py_NewRef(task->context);
        rc = FA_LIKELY(PyContext_CheckExact(context))
                 ? task_run_in(loop, task, context, exc)
                 : task_run_odd_context(task, context, exc, fut);
        Py_DECREF(context);
    }
    return FA_LIKELY(rc == 0) ? 0 : task_run_failed(loop, task, fut);
}

void
task_look_ahead(PyObject *self)
{
    TaskObject *task = (TaskObject *)self;
    // what is most likely to end now: its frame or its variables, its
    // neighbours in the registry
    fa_fetch((char *)task->coro - 16, 128);
    fa_fetch((char *)task->next + offsetof(TaskObject, prev), 1);
    fa_fetch((char *)task->prev + offsetof(TaskObject, next), 1);
}

FA_HOT int
task_run_step(LoopObject *loop, PyObject *self, PyObject *arg)
{
    int rc = task_run(loop, (TaskObject *)self, arg, NULL);
    if (((TaskObject *)self)->untracked && Py_REFCNT(self) > 1) {
        task_track_if_needed((TaskObject *)self);
    }
    Py_DECREF(self);
    Py_XDECREF(arg);
    return rc;
}

/* What the future ended with, if that is to be thrown: an exception (new). */
static FA_COLD PyObject *
task_woken_by_failure(FutureObject *fut)
{
    PyObject *result;
    int rc = future_get_result(fut, &result);
    if (rc == 0) {
        Py_DECREF(result);
        return NULL;
    }
    return rc > 0 ? result : fa_err_take();
}

FA_HOT int
task_run_wakeup(LoopObject *loop, PyObject *self, PyObject *arg)
{
    TaskObject *task = (TaskObject *)self;
    FutureObject *fut = (FutureObject *)arg;
    PyObject *exc = NULL;
    int rc = awaited_by_discard(fut, self);
    if (FA_UNLIKELY(fut->state != FA_FINISHED || fut->failed)) {
        exc = task_woken_by_failure(fut);
    }
    rc = FA_LIKELY(rc == 0) ? task_run(loop, task, exc, arg)
                            : task_run_failed(loop, task, arg);
    if (task->untracked && Py_REFCNT(self) > 1) {
        task_track_if_needed(task);
    }
    Py_DECREF(self);
    Py_DECREF(arg);
    Py_XDECREF(exc);
    return rc;
}
