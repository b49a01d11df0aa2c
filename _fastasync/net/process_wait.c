/* net/process_wait.c: who waits for the end of a child.

   `await transport._wait()` puts a future into _exit_waiters, and process_wake
   takes the list away and gives each of them the exit code. The list is an
   attribute of asyncio's class: a program may have put anything else there. */
#include "net/process.h"

#include "task/coro.h"

int
process_wake(ProcessObject *self)
{
    if (self->exit_waiters == Py_None) {
        return 0;
    }
    PyObject *waiters = PySequence_List(self->exit_waiters);
    if (waiters == NULL) {
        return -1; // somebody has put something else there
    }
    Py_SETREF(self->exit_waiters, Py_NewRef(Py_None));
    PyObject *code = Py_NewRef(self->returncode);
    int rc = 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(waiters); i++) {
        PyObject *waiter = PyList_GET_ITEM(waiters, i);
        rc = fa_future_done(self->st, waiter);
        if (rc == 0) {
            rc = fa_future_set_result(self->st, waiter, code);
        }
        rc = rc < 0 ? -1 : 0;
    }
    Py_DECREF(code);
    Py_DECREF(waiters);
    return rc;
}

/* exit_waiters.discard(waiter) */
static int
process_forget_waiter(ProcessObject *self, PyObject *waiter)
{
    PyObject *list = self->exit_waiters;
    for (Py_ssize_t i = 0;
         PyList_Check(list) && i < PyList_GET_SIZE(list); i++)
    {
        if (PyList_GET_ITEM(list, i) == waiter) {
            return PyList_SetSlice(list, i, i + 1, NULL);
        }
    }
    return 0;
}

/* exit_waiters.append(waiter) */
static int
process_add_waiter(ProcessObject *self, PyObject *waiter)
{
    if (PyList_CheckExact(self->exit_waiters)) {
        return PyList_Append(self->exit_waiters, waiter);
    }
    PyObject *done = PyObject_CallMethodOneArg(self->exit_waiters,
                                               self->st->str_append, waiter);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* vars: the transport, the waiter. */
static PySendResult
process_wait_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    ProcessObject *self = (ProcessObject *)co->vars[0];
    if (co->stage == 0) {
        if (self->returncode != Py_None) {
            return coro_return(co, self->returncode, result);
        }
        PyObject *waiter = fa_create_future(co->st, self->loop);
        co->vars[1] = waiter;
        if (waiter == NULL || process_add_waiter(self, waiter) < 0) {
            return PYGEN_ERROR;
        }
        return coro_await(co, 1, Py_NewRef(waiter));
    }
    PyObject *error = value == NULL ? fa_err_take() : NULL;
    int rc = process_forget_waiter(self, co->vars[1]);
    if (value == NULL) {
        fa_err_restore(error);
    }
    return rc < 0 || value == NULL ? PYGEN_ERROR
                                   : coro_return(co, value, result);
}

static const fa_coro_kind process_wait_kind = {
    "BaseSubprocessTransport._wait", process_wait_turn};

static const fa_coro_def process_coros[] = {
    {"_wait", "BaseSubprocessTransport._wait", &process_wait_kind, NULL,
     "_wait($self)\n--\n\nWait until the process exits; return its exit code."},
    {NULL, NULL, NULL, NULL, NULL},
};

int
process_wait_init(fa_state *st)
{
    return coro_methods_add(st, st->SubprocessTransportType, process_coros);
}
