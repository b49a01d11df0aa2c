/* sync/wait_for.c: asyncio.wait_for().

   Since 3.12 it is a Timeout around an await: the awaitable runs in the task of
   the caller, the timer cancels that, and what cannot wait at all (timeout <= 0)
   is cancelled as a future of its own. Before, the awaitable is always made a
   future, and a waiter is released by it or by a timer, whichever is first; then
   the future is cancelled and its end awaited. Both are written along asyncio's
   lines, so that each takes as many turns of the loop. HOT: since 3.12 the way
   without an expiry makes three objects, all from freelists.
   Benchmark: wait_for. */
#include "base/args.h"
#include "base/errors.h"
#include "sync/scopes.h"
#include "sync/timeout.h"

/* vars: what is awaited; the timeout, later (3.11) the timer; the Timeout or the
   done-callback; (3.11) the CancelledError being handled. */
enum { FOR_FUT, FOR_TIMEOUT, FOR_SCOPE, FOR_HANDLED };

/* timeout <= 0: 1, 0, -1. */
static int
wait_for_is_over(PyObject *timeout)
{
    if (FA_LIKELY(PyFloat_CheckExact(timeout))) {
        return PyFloat_AS_DOUBLE(timeout) <= 0;
    }
    PyObject *zero = PyLong_FromLong(0);
    int over = zero == NULL ? -1
                            : PyObject_RichCompareBool(timeout, zero, Py_LE);
    Py_XDECREF(zero);
    return over;
}

/* fut.result() as the coroutine's. */
static PySendResult
wait_for_result(CoroObject *co, PyObject **result)
{
    *result = fa_future_result(co->st, co->vars[FOR_FUT]);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* try: return fut.result()
   except CancelledError as exc: raise TimeoutError from exc */
static PySendResult
wait_for_late_result(CoroObject *co, PyObject **result)
{
    PySendResult status = wait_for_result(co, result);
    if (status == PYGEN_ERROR &&
        PyErr_ExceptionMatches(co->st->CancelledError))
    {
        PyObject *exc = fa_err_take();
        raise_from(PyExc_TimeoutError, exc);
        raised_during(exc);
        Py_DECREF(exc);
    }
    return status;
}

/* fut.remove_done_callback(cb), keeping what is raised as an outer `finally`
   would. 0, or -1 if it has raised itself. */
static int
wait_for_unhook(CoroObject *co, int raised)
{
    PyObject *exc = raised ? fa_err_take() : NULL;
    PyObject *cb = co->vars[FOR_SCOPE];
    co->vars[FOR_SCOPE] = NULL;
    int rc = closure_remove((ClosureObject *)cb, co->vars[FOR_FUT]);
    Py_DECREF(cb);
    if (rc < 0 && exc != NULL) {
        raised_during(exc);
    }
    else if (exc != NULL) {
        fa_err_restore(Py_NewRef(exc));
    }
    Py_XDECREF(exc);
    return rc;
}

/* A waiter that fut releases (new), its callback in co->vars; NULL on error. */
static PyObject *
wait_for_hook(CoroObject *co)
{
    fa_state *st = co->st;
    PyObject *loop = fa_get_running_loop(st);
    if (loop == NULL) {
        return NULL;
    }
    PyObject *waiter = fa_create_future(st, loop);
    Py_DECREF(loop);
    ClosureObject *cb = waiter == NULL ? NULL : release_when_done(st, waiter);
    if (cb != NULL && closure_add(cb, co->vars[FOR_FUT]) == 0) {
        Py_XSETREF(co->vars[FOR_SCOPE], (PyObject *)cb);
        return waiter;
    }
    Py_XDECREF(cb);
    Py_XDECREF(waiter);
    return NULL;
}

/* await _cancel_and_wait(fut), whose `finally` is the next stage's business. */
static PySendResult
wait_for_cancel(CoroObject *co, int stage)
{
    PyObject *waiter = wait_for_hook(co);
    if (waiter == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult status = PYGEN_ERROR;
    if (fa_future_cancel(co->st, co->vars[FOR_FUT], NULL) >= 0) {
        status = coro_await(co, stage, waiter);
    }
    else {
        Py_DECREF(waiter);
    }
    if (status == PYGEN_ERROR) {
        wait_for_unhook(co, 1);
    }
    return status;
}

/* timeout <= 0 */
static PySendResult
wait_for_at_once(CoroObject *co, int stage, PyObject *loop,
                 PyObject **result)
{
    PyObject *fut = fa_ensure_future(co->st, co->vars[FOR_FUT], loop);
    if (fut == NULL) {
        return PYGEN_ERROR;
    }
    Py_SETREF(co->vars[FOR_FUT], fut);
    int done = fa_future_done(co->st, fut);
    return done < 0 ? PYGEN_ERROR
           : done   ? wait_for_result(co, result)
                    : wait_for_cancel(co, stage);
}

/* The `finally` of _cancel_and_wait, then the result. */
static PySendResult
wait_for_cancelled(CoroObject *co, PyObject *value, PyObject **result)
{
    if (wait_for_unhook(co, value == NULL) < 0 || value == NULL) {
        return PYGEN_ERROR;
    }
    return wait_for_late_result(co, result);
}

#if FA_HAS_WAIT_FOR_TIMEOUT

/* -- since 3.12 ------------------------------------------------------------------- */

/* The end of `async with timeout`; `value` NULL: an exception is raised. */
static PySendResult
wait_for_leave(CoroObject *co, PyObject *value, PyObject **result)
{
    TimeoutObject *scope = (TimeoutObject *)co->vars[FOR_SCOPE];
    if (FA_LIKELY(value != NULL)) {
        return timeout_exit(scope, Py_None, Py_None) < 0
                   ? PYGEN_ERROR
                   : coro_return(co, value, result);
    }
    PyObject *exc = fa_err_take();
    if (timeout_exit(scope, (PyObject *)Py_TYPE(exc), exc) < 0) {
        raised_during(exc);
        Py_DECREF(exc);
    }
    else {
        fa_err_restore(exc);
    }
    return PYGEN_ERROR;
}

static PySendResult
wait_for_begin(CoroObject *co, int awaited, int cancelled, PyObject **result)
{
    PyObject *timeout = co->vars[FOR_TIMEOUT];
    int over = timeout == Py_None ? 0 : wait_for_is_over(timeout);
    if (FA_UNLIKELY(over != 0)) {
        return over < 0 ? PYGEN_ERROR
                        : wait_for_at_once(co, cancelled, NULL, result);
    }
    TimeoutObject *scope = timeout_after(co->st, timeout);
    if (scope == NULL) {
        return PYGEN_ERROR;
    }
    co->vars[FOR_SCOPE] = (PyObject *)scope;
    if (timeout_enter(scope) < 0) {
        return PYGEN_ERROR;
    }
    PySendResult status =
        coro_await(co, awaited, Py_NewRef(co->vars[FOR_FUT]));
    return FA_UNLIKELY(status == PYGEN_ERROR)
               ? wait_for_leave(co, NULL, result)
               : status;
}

static PySendResult
wait_for_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    enum { BEGIN, AWAITED, CANCELLED };
    switch (co->stage) {
    case BEGIN:
        return wait_for_begin(co, AWAITED, CANCELLED, result);
    case AWAITED:
        return wait_for_leave(co, value, result);
    default:
        return wait_for_cancelled(co, value, result);
    }
}

#else

/* -- 3.11 --------------------------------------------------------------------------- */

/* timeout_handle.cancel() of the outer `finally`. */
static PySendResult
wait_for_stop_timer(CoroObject *co, PySendResult status, PyObject **result)
{
    PyObject *exc = status == PYGEN_ERROR ? fa_err_take() : NULL;
    if (fa_handle_cancel(co->st, co->vars[FOR_TIMEOUT]) < 0) {
        if (exc != NULL) {
            raised_during(exc);
        }
        else {
            Py_CLEAR(*result);
        }
        Py_XDECREF(exc);
        return PYGEN_ERROR;
    }
    fa_err_restore(exc);
    return status;
}

/* The waiter and what releases it: 0 and the waiter (new), or -1. */
static int
wait_for_prepare(CoroObject *co, PyObject *loop, PyObject **waiter)
{
    fa_state *st = co->st;
    *waiter = fa_create_future(st, loop);
    if (*waiter == NULL) {
        return -1;
    }
    PyObject *timer = release_later(st, loop, co->vars[FOR_TIMEOUT], *waiter);
    ClosureObject *cb = NULL;
    PyObject *fut = NULL;
    if (timer != NULL) {
        Py_SETREF(co->vars[FOR_TIMEOUT], timer);
        cb = release_when_done(st, *waiter);
    }
    if (cb != NULL) {
        co->vars[FOR_SCOPE] = (PyObject *)cb;
        fut = fa_ensure_future(st, co->vars[FOR_FUT], loop);
    }
    if (fut != NULL) {
        Py_SETREF(co->vars[FOR_FUT], fut);
        if (closure_add(cb, fut) == 0) {
            return 0;
        }
    }
    Py_CLEAR(*waiter);
    if (timer != NULL) { // asyncio leaves it in the loop until it is due
        (void)wait_for_stop_timer(co, PYGEN_ERROR, NULL);
    }
    return -1;
}

static PySendResult
wait_for_begin(CoroObject *co, int awaited, int at_once, int waited,
               PyObject **result)
{
    PyObject *loop = fa_get_running_loop(co->st);
    PyObject *timeout = co->vars[FOR_TIMEOUT];
    PyObject *waiter;
    if (loop == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult status = PYGEN_ERROR;
    if (timeout == Py_None) {
        status = coro_await(co, awaited, Py_NewRef(co->vars[FOR_FUT]));
    }
    else {
        int over = wait_for_is_over(timeout);
        if (over > 0) {
            status = wait_for_at_once(co, at_once, loop, result);
        }
        else if (over == 0 && wait_for_prepare(co, loop, &waiter) == 0) {
            status = coro_await(co, waited, waiter);
            if (status == PYGEN_ERROR) {
                status = wait_for_stop_timer(co, status, result);
            }
        }
    }
    Py_DECREF(loop);
    return status;
}

/* fut is not done, and nobody waits for it any more: end it. What is being
   handled, if anything, stands in vars. */
static PySendResult
wait_for_give_up(CoroObject *co, int stage)
{
    if (wait_for_unhook(co, 0) < 0) {
        return PYGEN_ERROR;
    }
    return wait_for_cancel(co, stage);
}

/* `await waiter` has given `value`. */
static PySendResult
wait_for_woken(CoroObject *co, PyObject *value, int stage, PyObject **result)
{
    if (value == NULL) {
        if (!PyErr_ExceptionMatches(co->st->CancelledError)) {
            return PYGEN_ERROR;
        }
        co->vars[FOR_HANDLED] = fa_err_take();
    }
    int done = fa_future_done(co->st, co->vars[FOR_FUT]);
    PySendResult status = done < 0 ? PYGEN_ERROR
                          : done   ? wait_for_result(co, result)
                                   : wait_for_give_up(co, stage);
    if (status == PYGEN_ERROR && co->vars[FOR_HANDLED] != NULL) {
        raised_during(co->vars[FOR_HANDLED]);
    }
    return status;
}

/* `await _cancel_and_wait(fut)` has given `value`. */
static PySendResult
wait_for_gave_up(CoroObject *co, PyObject *value, PyObject **result)
{
    PyObject *handled = co->vars[FOR_HANDLED];
    if (handled == NULL) {
        return wait_for_cancelled(co, value, result);
    }
    if (wait_for_unhook(co, value == NULL) < 0 || value == NULL) {
        raised_during(handled);
    }
    else {
        fa_err_restore(Py_NewRef(handled));
    }
    return PYGEN_ERROR;
}

static PySendResult
wait_for_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    enum { BEGIN, AWAITED, AT_ONCE, WAITED, GAVE_UP };
    PySendResult status;
    switch (co->stage) {
    case BEGIN:
        return wait_for_begin(co, AWAITED, AT_ONCE, WAITED, result);
    case AWAITED:
        return value == NULL ? PYGEN_ERROR : coro_return(co, value, result);
    case AT_ONCE:
        return wait_for_cancelled(co, value, result);
    case WAITED:
        status = wait_for_woken(co, value, GAVE_UP, result);
        break;
    default:
        status = wait_for_gave_up(co, value, result);
        break;
    }
    return status == PYGEN_NEXT ? status
                                : wait_for_stop_timer(co, status, result);
}

#endif

/* -- the function ------------------------------------------------------------------- */

static const fa_coro_kind wait_for_kind = {"wait_for", wait_for_turn};

static PyObject *
wait_for_make(fa_state *st, PyObject *Py_UNUSED(self), PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "wait_for", .required = 2, .positional = 2, .python = 2,
        .total = 2, .names = {"fut", "timeout"},
    };
    PyObject *out[2];
    if (FA_LIKELY(nargs == 2 && kwnames == NULL)) {
        return (PyObject *)coro_new(st, &wait_for_kind, args[0], args[1]);
    }
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return (PyObject *)coro_new(st, &wait_for_kind, out[0], out[1]);
}

static const fa_coro_def wait_for_defs[] = {
    {"wait_for", "wait_for", NULL, wait_for_make,
     "wait_for($module, fut, timeout)\n--\n\n"
     "Wait for a future or any other awaitable, `timeout` seconds at most (None:\n"
     "for ever), and return its result. When the time is over it is cancelled,\n"
     "and TimeoutError raised once that has ended. See asyncio.wait_for."},
    {NULL, NULL, NULL, NULL, NULL},
};

int
wait_for_init(PyObject *module, fa_state *st)
{
    return coro_functions_add(st, module, wait_for_defs);
}
