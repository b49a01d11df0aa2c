/* stream/drain.c: flow control, asyncio's FlowControlMixin. The transport says
   when its buffer is full (pause_writing) and when it is not (resume_writing);
   `await writer.drain()` waits in between.

   Called by the methods of StreamReaderProtocol and, without a method call, by
   the writer. Invariant: every waiter in drain_waiters is awaited by somebody,
   who takes it out again, however the await ends. HOT: drain_begin. Benchmark:
   stream_pingpong_1k. */
#include "stream/protocol.h"

#include "base/errors.h"

/* logger.debug(format, self), in debug mode. 0 or -1. */
static int
drain_log(StreamProtocolObject *self, const char *format)
{
    fa_state *st = self->st;
    int debug = fa_loop_debug(st, self->loop);
    if (FA_LIKELY(debug <= 0)) {
        return debug;
    }
    PyObject *logger = PyObject_GetAttr(st->mod_log, st->str_logger);
    PyObject *done = logger == NULL
                         ? NULL
                         : PyObject_CallMethod(logger, "debug", "sO", format,
                                               (PyObject *)self);
    Py_XDECREF(logger);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Change `_paused`; asyncio asserts that this is a change. 0 or -1. */
static int
drain_set_paused(StreamProtocolObject *self, int paused)
{
    if (self->loop == NULL) {
        sproto_missing(self, "_paused");
        return -1;
    }
    int was = flag_is_set(self->paused);
    if (was < 0) {
        return -1;
    }
    if (was == paused) {
        PyErr_SetNone(PyExc_AssertionError);
        return -1;
    }
    flag_set(&self->paused, paused);
    return drain_log(self, paused ? "%r pauses writing" : "%r resumes writing");
}

/* Tell everyone who waits: exc None = go on. 0 or -1. */
static int
drain_wake(StreamProtocolObject *self, PyObject *exc)
{
    fa_state *st = self->st;
    Py_ssize_t len;
    for (Py_ssize_t i = 0; (len = fifo_len(&self->drain_waiters)) > i; i++) {
        PyObject *waiter = fifo_at(&self->drain_waiters, i);
        if (waiter == NULL) {
            return -1;
        }
        int rc = fa_future_done(st, waiter);
        if (rc == 0) {
            rc = exc == Py_None ? fa_future_set_result(st, waiter, Py_None)
                                : fa_future_set_exception(st, waiter, exc);
        }
        Py_DECREF(waiter);
        if (rc < 0) {
            return -1;
        }
    }
    return len < 0 ? -1 : 0;
}

int
drain_pause(StreamProtocolObject *self)
{
    return drain_set_paused(self, 1);
}

int
drain_resume(StreamProtocolObject *self)
{
    return drain_set_paused(self, 0) < 0 ? -1 : drain_wake(self, Py_None);
}

int
drain_lost(StreamProtocolObject *self, PyObject *exc)
{
    flag_set(&self->connection_lost, 1);
    int paused = flag_is_set(self->paused);
    return paused > 0 ? drain_wake(self, exc) : paused;
}

int
drain_begin(StreamProtocolObject *self, PyObject **waiter)
{
    if (FA_UNLIKELY(self->loop == NULL)) {
        sproto_missing(self, "_connection_lost");
        return -1;
    }
    int is = flag_is_set(self->connection_lost);
    if (FA_UNLIKELY(is != 0)) {
        if (is > 0) {
            PyErr_SetString(PyExc_ConnectionResetError, "Connection lost");
        }
        return -1;
    }
    is = flag_is_set(self->paused);
    if (FA_LIKELY(is <= 0)) {
        return is < 0 ? -1 : 1;
    }
    *waiter = fa_create_future(self->st, self->loop);
    if (*waiter == NULL) {
        return -1;
    }
    if (fifo_push(self->st, &self->drain_waiters, *waiter) < 0) {
        Py_CLEAR(*waiter);
        return -1;
    }
    return 0;
}

int
drain_done(StreamProtocolObject *self, PyObject *waiter)
{
    PyObject *raised = fa_err_take();
    int rc = fifo_remove(self->st, &self->drain_waiters, waiter);
    if (rc < 0) {
        fa_err_chain(raised);
        return -1;
    }
    fa_err_restore(raised);
    return 0;
}

/* -- _drain_helper ------------------------------------------------------------------ */

static PySendResult
drain_helper_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    StreamProtocolObject *self = (StreamProtocolObject *)co->vars[0];
    if (co->stage == 0) {
        PyObject *waiter;
        int rc = drain_begin(self, &waiter);
        if (rc != 0) {
            return rc < 0 ? PYGEN_ERROR : coro_return_none(result);
        }
        co->vars[1] = Py_NewRef(waiter);
        return coro_await(co, 1, waiter);
    }
    if (drain_done(self, co->vars[1]) < 0 || value == NULL) {
        return PYGEN_ERROR;
    }
    return coro_return_none(result);
}

static const fa_coro_kind drain_helper_kind = {
    "FlowControlMixin._drain_helper", drain_helper_turn};

static const fa_coro_def drain_defs[] = {
    {"_drain_helper", "FlowControlMixin._drain_helper", &drain_helper_kind,
     NULL,
     "_drain_helper($self)\n--\n\n"
     "Wait until the transport takes more; ConnectionResetError if there is\n"
     "no connection any more."},
    {NULL, NULL, NULL, NULL, NULL},
};

int
drain_methods_add(fa_state *st)
{
    return coro_methods_add(st, st->StreamProtocolCoreType, drain_defs);
}
