/* api/loop_pipe.c: connect_read_pipe, connect_write_pipe and the methods they
   make their transports with, which a subclass may replace. Once per pipe. */
#include "api/api.h"

#include "base/args.h"
#include "base/errors.h"
#include "net/net.h"
#include "task/coro.h"

/* -- making the transports ------------------------------------------------------- */

#define MAKE_NAMES {"pipe", "protocol", "waiter", "extra"}
static const fa_args make_read_spec = {
    .fname = "_UnixSelectorEventLoop._make_read_pipe_transport",
    .required = 2, .positional = 4, .python = 1, .total = 4,
    .names = MAKE_NAMES};
static const fa_args make_write_spec = {
    .fname = "_UnixSelectorEventLoop._make_write_pipe_transport",
    .required = 2, .positional = 4, .python = 1, .total = 4,
    .names = MAKE_NAMES};

static PyObject *
Loop_make_read_pipe_transport(LoopObject *loop, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[4];
    if (fa_args_parse(&make_read_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return readpipe_new(loop, out[0], out[1], out[2], out[3]);
}

static PyObject *
Loop_make_write_pipe_transport(LoopObject *loop, PyObject *const *args,
                               Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[4];
    if (fa_args_parse(&make_write_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return writepipe_new(loop, out[0], out[1], out[2], out[3]);
}

PyDoc_STRVAR(make_read_doc,
"_make_read_pipe_transport($self, pipe, protocol, waiter=None, extra=None)\n"
"--\n\n"
"Return a ReadPipeTransport.");
PyDoc_STRVAR(make_write_doc,
"_make_write_pipe_transport($self, pipe, protocol, waiter=None, extra=None)\n"
"--\n\n"
"Return a WritePipeTransport.");

PyMethodDef loop_pipe_methods[] = {
    {"_make_read_pipe_transport",
     (PyCFunction)(void (*)(void))Loop_make_read_pipe_transport,
     METH_FASTCALL | METH_KEYWORDS, make_read_doc},
    {"_make_write_pipe_transport",
     (PyCFunction)(void (*)(void))Loop_make_write_pipe_transport,
     METH_FASTCALL | METH_KEYWORDS, make_write_doc},
    {NULL, NULL, 0, NULL},
};

/* -- the coroutines ---------------------------------------------------------------- */

/* The factory makes way for the protocol. */
enum { PIPE_VAR_LOOP, PIPE_VAR_PIPE, PIPE_VAR_PROTOCOL, PIPE_VAR_TRANSPORT };

/* Make everything, await the waiter. */
static PySendResult
connect_pipe_begin(CoroObject *co, PyObject *name)
{
    PyObject *loop = co->vars[PIPE_VAR_LOOP];
    PyObject *protocol = PyObject_CallNoArgs(co->vars[PIPE_VAR_PROTOCOL]);
    if (protocol == NULL) {
        return PYGEN_ERROR;
    }
    Py_SETREF(co->vars[PIPE_VAR_PROTOCOL], protocol);
    PyObject *waiter = fa_create_future(co->st, loop);
    if (waiter == NULL) {
        return PYGEN_ERROR;
    }
    PyObject *args[] = {loop, co->vars[PIPE_VAR_PIPE], protocol, waiter};
    PyObject *transport = PyObject_VectorcallMethod(
        name, args, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (transport == NULL) {
        Py_DECREF(waiter);
        return PYGEN_ERROR;
    }
    co->vars[PIPE_VAR_TRANSPORT] = transport;
    return coro_await(co, 1, waiter);
}

/* except: transport.close(); raise */
static PySendResult
connect_pipe_failed(CoroObject *co)
{
    PyObject *exc = fa_err_take();
    PyObject *res = PyObject_CallMethodNoArgs(co->vars[PIPE_VAR_TRANSPORT],
                                              co->st->str_close);
    if (res == NULL) {
        fa_err_chain(exc);
        return PYGEN_ERROR;
    }
    Py_DECREF(res);
    fa_err_restore(exc);
    return PYGEN_ERROR;
}

/* logger.debug('Read pipe %r connected: (%r, %r)', ...). 0 or -1. */
static int
connect_pipe_log(CoroObject *co, const char *format)
{
    PyObject *number = PyObject_CallMethodNoArgs(co->vars[PIPE_VAR_PIPE],
                                                 co->st->str_fileno);
    PyObject *logger = number == NULL ? NULL
                                      : PyObject_GetAttr(co->st->mod_log,
                                                         co->st->str_logger);
    PyObject *res = NULL;
    if (logger != NULL) {
        res = PyObject_CallMethod(logger, "debug", "sOOO", format, number,
                                  co->vars[PIPE_VAR_TRANSPORT],
                                  co->vars[PIPE_VAR_PROTOCOL]);
    }
    Py_XDECREF(logger);
    Py_XDECREF(number);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

static PySendResult
connect_pipe_turn(CoroObject *co, PyObject *value, PyObject **result,
                  PyObject *maker, const char *format)
{
    if (co->stage == 0) {
        return connect_pipe_begin(co, maker);
    }
    if (value == NULL) {
        return connect_pipe_failed(co);
    }
    if (((LoopObject *)co->vars[PIPE_VAR_LOOP])->debug &&
        connect_pipe_log(co, format) < 0)
    {
        return PYGEN_ERROR;
    }
    *result = PyTuple_Pack(2, co->vars[PIPE_VAR_TRANSPORT],
                           co->vars[PIPE_VAR_PROTOCOL]);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static PySendResult
connect_read_pipe_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return connect_pipe_turn(co, value, result,
                             co->st->str__make_read_pipe_transport,
                             "Read pipe %r connected: (%r, %r)");
}

static PySendResult
connect_write_pipe_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return connect_pipe_turn(co, value, result,
                             co->st->str__make_write_pipe_transport,
                             "Write pipe %r connected: (%r, %r)");
}

static const fa_coro_kind connect_read_pipe_kind = {
    "BaseEventLoop.connect_read_pipe", connect_read_pipe_turn};
static const fa_coro_kind connect_write_pipe_kind = {
    "BaseEventLoop.connect_write_pipe", connect_write_pipe_turn};

static const fa_args connect_read_spec = {
    .fname = "BaseEventLoop.connect_read_pipe", .required = 2,
    .positional = 2, .python = 1, .total = 2,
    .names = {"protocol_factory", "pipe"}};
static const fa_args connect_write_spec = {
    .fname = "BaseEventLoop.connect_write_pipe", .required = 2,
    .positional = 2, .python = 1, .total = 2,
    .names = {"protocol_factory", "pipe"}};

static PyObject *
connect_pipe_new(fa_state *st, const fa_coro_kind *kind, PyObject *self,
                 PyObject *const *out)
{
    CoroObject *co = coro_new(st, kind, self, out[1]);
    if (co != NULL) {
        co->vars[PIPE_VAR_PROTOCOL] = Py_NewRef(out[0]);
    }
    return (PyObject *)co;
}

static PyObject *
connect_read_pipe_make(fa_state *st, PyObject *self, PyObject *const *args,
                       Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    return fa_args_parse(&connect_read_spec, args, nargs, kwnames, out) < 0
               ? NULL
               : connect_pipe_new(st, &connect_read_pipe_kind, self, out);
}

static PyObject *
connect_write_pipe_make(fa_state *st, PyObject *self, PyObject *const *args,
                        Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    return fa_args_parse(&connect_write_spec, args, nargs, kwnames, out) < 0
               ? NULL
               : connect_pipe_new(st, &connect_write_pipe_kind, self, out);
}

static const fa_coro_def connect_pipe_defs[] = {
    {"connect_read_pipe", "BaseEventLoop.connect_read_pipe", NULL,
     connect_read_pipe_make,
     "connect_read_pipe($self, protocol_factory, pipe)\n--\n\n"
     "Read from the file `pipe` by a transport; return it and the protocol.\n"
     "See asyncio.loop.connect_read_pipe."},
    {"connect_write_pipe", "BaseEventLoop.connect_write_pipe", NULL,
     connect_write_pipe_make,
     "connect_write_pipe($self, protocol_factory, pipe)\n--\n\n"
     "Write to the file `pipe` by a transport; return it and the protocol.\n"
     "See asyncio.loop.connect_write_pipe."},
    {NULL, NULL, NULL, NULL, NULL},
};

int
loop_pipe_init(fa_state *st)
{
    return coro_methods_add(st, st->LoopCoreType, connect_pipe_defs);
}
