/* net/process_pipes.c: connecting the pipes of a child, one after the other.

   asyncio's BaseSubprocessTransport._connect_pipes as a coroutine in C: the
   loop's connect_write_pipe and connect_read_pipe are called as methods, so that
   one that was replaced is honoured. When the last pipe is there the protocol
   is told, then all that has happened meanwhile, then the waiter. */
#include "net/process.h"

#include "base/errors.h"
#include "task/coro.h"

/* vars: the transport, the waiter or NULL; number: the pipe in hand. */

static PyObject *
process_file(ProcessObject *self, int64_t i)
{
    fa_state *st = self->st;
    PyObject *names[] = {st->str_stdin, st->str_stdout, st->str_stderr};
    return PyObject_GetAttr(self->proc, names[i]);
}

/* loop.connect_..._pipe(lambda: ...SubprocessPipeProto(self, i), file) (new). */
static PyObject *
process_connect(ProcessObject *self, int64_t i, PyObject *file)
{
    fa_state *st = self->st;
    PyObject *cls = i == 0 ? st->WritePipeProto : st->ReadPipeProto;
    PyObject *factory = PyObject_CallFunction(st->partial, "OOi", cls, self,
                                              (int)i);
    if (factory == NULL) {
        return NULL;
    }
    PyObject *loop = Py_NewRef(self->loop);
    PyObject *args[] = {loop, factory, file};
    PyObject *coro = PyObject_VectorcallMethod(
        i == 0 ? st->str_connect_write_pipe : st->str_connect_read_pipe, args,
        3, NULL);
    Py_DECREF(factory);
    Py_DECREF(loop);
    return coro;
}

/* self._pipes[i] = pipe, of the pair that connect has returned. */
static int
process_keep_pipe(ProcessObject *self, int64_t i, PyObject *pair)
{
    PyObject *fd = PyLong_FromLongLong(i);
    PyObject *pipe = fd == NULL ? NULL : PySequence_GetItem(pair, 1);
    int rc = pipe == NULL ? -1 : PyObject_SetItem(self->pipes, fd, pipe);
    Py_XDECREF(fd);
    Py_XDECREF(pipe);
    return rc;
}

/* One of the calls that had to wait: callback(*data). */
static int
process_replay(ProcessObject *self, PyObject *call)
{
    PyObject *callback, *data;
    if (!PyTuple_Check(call)) {
        PyErr_SetString(PyExc_TypeError,
                        "_pending_calls holds tuples (callback, arguments)");
        return -1;
    }
    if (!PyArg_ParseTuple(call, "OO!", &callback, &PyTuple_Type, &data)) {
        return -1;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(data); // process_call() puts at most two
    return process_call(self, callback,
                        n > 0 ? PyTuple_GET_ITEM(data, 0) : NULL,
                        n > 1 ? PyTuple_GET_ITEM(data, 1) : NULL);
}

/* Everything is connected: connection_made, and what came too early. */
static int
process_connected(ProcessObject *self)
{
    fa_state *st = self->st;
    PyObject *made = PyObject_GetAttr(self->protocol, st->str_connection_made);
    PyObject *calls = made == NULL ? NULL
                                   : PySequence_List(self->pending_calls);
    if (calls == NULL) {
        Py_XDECREF(made);
        return -1;
    }
    Py_SETREF(self->pending_calls, Py_NewRef(Py_None));
    int rc = process_call(self, made, (PyObject *)self, NULL);
    Py_DECREF(made);
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(calls); i++) {
        rc = process_replay(self, PyList_GET_ITEM(calls, i));
    }
    Py_DECREF(calls);
    return rc;
}

static int
process_close(PyObject *obj, PyObject *name)
{
    PyObject *done = PyObject_CallMethodNoArgs(obj, name);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* It failed: close the pipes, connected or not. 0 or -1. */
static int
process_drop_pipes(ProcessObject *self)
{
    fa_state *st = self->st;
    PyObject *pipes = PyMapping_Values(self->pipes);
    int rc = pipes == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(pipes); i++) {
        PyObject *proto = PyList_GET_ITEM(pipes, i);
        if (proto == Py_None) {
            continue;
        }
        PyObject *pipe = PyObject_GetAttr(proto, st->str_pipe);
        rc = pipe == NULL ? -1 : process_close(pipe, st->str_close);
        Py_XDECREF(pipe);
    }
    Py_XDECREF(pipes);
    for (int i = 0; rc == 0 && i < 3; i++) {
        PyObject *file = process_file(self, i);
        rc = file == NULL ? -1 : 0;
        if (file != NULL && file != Py_None) {
            rc = process_close(file, st->str_close);
        }
        Py_XDECREF(file);
    }
    return rc;
}

/* Tell the waiter, if somebody waits, the result (exc NULL) or the error. */
static int
process_tell_waiter(CoroObject *co, PyObject *exc)
{
    PyObject *waiter = co->vars[1];
    if (waiter == NULL || waiter == Py_None) {
        return 0;
    }
    int cancelled = fa_future_cancelled(co->st, waiter);
    if (cancelled != 0) {
        return cancelled < 0 ? -1 : 0;
    }
    return exc == NULL ? fa_future_set_result(co->st, waiter, Py_None)
                       : fa_future_set_exception(co->st, waiter, exc);
}

/* The `except BaseException` of asyncio's coroutine. */
static PySendResult
process_connect_failed(CoroObject *co, PyObject **result)
{
    if (fa_err_is_exit()) {
        return PYGEN_ERROR;
    }
    PyObject *error = fa_err_take();
    ((ProcessObject *)co->vars[0])->pipes_failed = 1;
    int rc = process_drop_pipes((ProcessObject *)co->vars[0]);
    if (rc == 0) {
        rc = process_tell_waiter(co, error);
        Py_XDECREF(error);
    }
    else {
        fa_err_chain(error);
    }
    return rc < 0 ? PYGEN_ERROR : coro_return_none(result);
}

static PySendResult
process_connect_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    ProcessObject *self = (ProcessObject *)co->vars[0];
    if (co->stage == 1 &&
        (value == NULL || process_keep_pipe(self, co->number++, value) < 0))
    {
        return process_connect_failed(co, result);
    }
    for (; co->number < 3; co->number++) {
        PyObject *file = process_file(self, co->number);
        PyObject *coro = NULL;
        if (file != NULL && file != Py_None) {
            coro = process_connect(self, co->number, file);
        }
        int none = file == Py_None;
        Py_XDECREF(file);
        if (coro != NULL) {
            return coro_await(co, 1, coro);
        }
        if (!none) {
            return process_connect_failed(co, result);
        }
    }
    if (process_connected(self) < 0) {
        return process_connect_failed(co, result);
    }
    return process_tell_waiter(co, NULL) < 0 ? PYGEN_ERROR
                                             : coro_return_none(result);
}

static const fa_coro_kind process_connect_kind = {
    "BaseSubprocessTransport._connect_pipes", process_connect_turn};

PyObject *
process_connect_pipes(ProcessObject *self, PyObject *waiter)
{
    return (PyObject *)coro_new(self->st, &process_connect_kind,
                                (PyObject *)self, waiter);
}
