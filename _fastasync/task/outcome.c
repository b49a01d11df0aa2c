/* task/outcome.c: how a future ends, and what it then says.

   A future ends once: with a result, with an exception, or cancelled; all three
   lie in one field (`outcome`), told apart by `state` and `failed`. Ending
   schedules the callbacks and runs no Python code of its own, unless the loop
   must be asked through a Python call_soon.
   Error texts are asyncio's. HOT: future_finish and future_get_result. */
#include "task/private.h"

static FA_COLD int
outcome_invalid_state(FutureObject *fut)
{
    PyErr_SetString(fut->st->InvalidStateError, "invalid state");
    return -1;
}

/* -- ending ------------------------------------------------------------------- */

FA_HOT int
future_finish(FutureObject *fut, PyObject *result)
{
    if (FA_UNLIKELY(fut->state != FA_PENDING)) {
        Py_DECREF(result);
        return outcome_invalid_state(fut);
    }
    fut->outcome = result;
    fut->state = FA_FINISHED;
    return callbacks_schedule(fut);
}

int
future_set_result(FutureObject *fut, PyObject *result)
{
    if (future_ensure_alive(fut) < 0) {
        return -1;
    }
    return future_finish(fut, Py_NewRef(result));
}

/* A StopIteration may not travel through a generator: the exception to store
   instead of it (takes over exc), NULL with an exception raised. */
static FA_COLD PyObject *
outcome_wrap_stop_iteration(PyObject *exc)
{
    const char *text = "StopIteration interacts badly with generators and "
                       "cannot be raised into a Future";
#if FA_HAS_STOPITERATION_WRAP
    PyObject *wrapper = PyObject_CallFunction(PyExc_RuntimeError, "s", text);
    if (wrapper == NULL) {
        Py_DECREF(exc);
        return NULL;
    }
    PyException_SetCause(wrapper, Py_NewRef(exc)); // steals
    PyException_SetContext(wrapper, exc);          // steals
    return wrapper;
#else
    Py_DECREF(exc);
    PyErr_SetString(PyExc_TypeError, text);
    return NULL;
#endif
}

/* The instance to store for what set_exception was given (new), or NULL. May
   run Python code: the class is called. */
static PyObject *
outcome_exception(FutureObject *fut, PyObject *given)
{
    PyObject *exc;
    if (PyExceptionClass_Check(given)) {
        exc = PyObject_CallNoArgs(given);
        if (exc == NULL) {
            return NULL;
        }
        if (fut->state != FA_PENDING) {
            Py_DECREF(exc);
            outcome_invalid_state(fut);
            return NULL;
        }
    }
    else {
        exc = Py_NewRef(given);
    }
    if (!PyExceptionInstance_Check(exc)) {
        Py_DECREF(exc);
        PyErr_SetString(PyExc_TypeError, "invalid exception object");
        return NULL;
    }
    if (FA_REFUSES_STOPITERATION_SUBCLASS
            ? PyErr_GivenExceptionMatches(exc, PyExc_StopIteration)
            : Py_IS_TYPE(exc, (PyTypeObject *)PyExc_StopIteration))
    {
        return outcome_wrap_stop_iteration(exc);
    }
    return exc;
}

int
future_set_exception(FutureObject *fut, PyObject *given)
{
    if (future_ensure_alive(fut) < 0) {
        return -1;
    }
    if (fut->state != FA_PENDING) {
        return outcome_invalid_state(fut);
    }
    PyObject *exc = outcome_exception(fut, given);
    if (exc == NULL) {
        return -1;
    }
    fut->outcome = exc;
    fut->failed = 1;
    fut->exception_tb = PyException_GetTraceback(exc);
    fut->state = FA_FINISHED;
    if (callbacks_schedule(fut) < 0) {
        return -1;
    }
    fut->log_tb = 1;
    return 0;
}

int
future_cancel_with(FutureObject *fut, PyObject *msg, PyObject *exc)
{
    fut->log_tb = 0;
    if (fut->state != FA_PENDING) {
        Py_XDECREF(exc);
        return 0;
    }
    fut->state = FA_CANCELLED;
    fut->outcome = exc;
    Py_XSETREF(fut->cancel_msg, Py_XNewRef(msg)); // may run Python code
    return callbacks_schedule(fut) < 0 ? -1 : 1;
}

int
future_cancel(FutureObject *fut, PyObject *msg)
{
    if (future_ensure_alive(fut) < 0) {
        return -1;
    }
    return future_cancel_with(fut, msg, NULL);
}

/* -- asking --------------------------------------------------------------------- */

PyObject *
future_cancelled_error(FutureObject *fut)
{
    if (fut->state == FA_CANCELLED && fut->outcome != NULL) {
        PyObject *exc = fut->outcome;
        fut->outcome = NULL;
        return exc;
    }
    PyObject *type = fut->st->CancelledError;
    PyObject *msg = fut->cancel_msg;
    if (msg == NULL || msg == Py_None) {
        return PyObject_CallNoArgs(type);
    }
    Py_INCREF(msg); // the constructor is Python's business
    PyObject *exc = PyObject_CallOneArg(type, msg);
    Py_DECREF(msg);
    return exc;
}

/* Raise CancelledError or InvalidStateError. */
static FA_COLD int
outcome_raise(FutureObject *fut)
{
    if (fut->state != FA_CANCELLED) {
        PyErr_SetString(fut->st->InvalidStateError, "Result is not set.");
        return -1;
    }
    PyObject *exc = future_cancelled_error(fut);
    if (exc != NULL) {
        PyErr_SetObject(fut->st->CancelledError, exc);
        Py_DECREF(exc);
    }
    return -1;
}

/* The exception with the traceback that it had when it was set, once. */
static FA_COLD int
outcome_get_exception(FutureObject *fut, PyObject **result)
{
    PyObject *exc = Py_NewRef(fut->outcome);
    PyObject *tb = fut->exception_tb;
    fut->exception_tb = NULL;
    fut->log_tb = 0;
    int rc = PyException_SetTraceback(exc, tb == NULL ? Py_None : tb);
    Py_XDECREF(tb);
    if (rc < 0) {
        Py_DECREF(exc);
        return -1;
    }
    *result = exc;
    return 1;
}

FA_HOT int
future_get_result(FutureObject *fut, PyObject **result)
{
    if (FA_UNLIKELY(fut->state != FA_FINISHED)) {
        return outcome_raise(fut);
    }
    if (FA_UNLIKELY(fut->failed)) {
        return outcome_get_exception(fut, result);
    }
    *result = Py_NewRef(fut->outcome);
    return 0;
}

int
future_timer_sets_result(fa_state *st, PyObject *obj, PyObject *result)
{
    FutureObject *fut = (FutureObject *)obj;
    if (FA_UNLIKELY(!Py_IS_TYPE(obj, st->FutureType) || fut->dict != NULL ||
                    fut->loop == NULL || future_engine(fut) == NULL ||
                    fut->state == FA_FINISHED))
    {
        return 0;
    }
    if (FA_UNLIKELY(fut->state == FA_CANCELLED)) {
        return 1;
    }
    return future_finish(fut, Py_NewRef(result)) < 0 ? -1 : 1;
}

void
future_look_ahead(fa_state *st, PyObject *obj)
{
    if (obj != NULL && Py_IS_TYPE(obj, st->FutureType)) {
        fa_fetch(((FutureObject *)obj)->first.fn, 64);
    }
}

/* -- any future-like object -------------------------------------------------------- */

int
fa_set_result_unless_cancelled(fa_state *st, PyObject *fut, PyObject *result)
{
    if (future_check_exact(st, fut) && ((FutureObject *)fut)->dict == NULL &&
        !((FutureObject *)fut)->is_task)
    {
        if (((FutureObject *)fut)->state == FA_CANCELLED) {
            return 0;
        }
        return future_set_result((FutureObject *)fut, result);
    }
    PyObject *answer = PyObject_CallMethodNoArgs(fut, st->str_cancelled);
    if (answer == NULL) {
        return -1;
    }
    int cancelled = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    if (cancelled != 0) {
        return cancelled < 0 ? -1 : 0;
    }
    answer = PyObject_CallMethodOneArg(fut, st->str_set_result, result);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}
