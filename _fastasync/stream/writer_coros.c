/* stream/writer_coros.c: what one awaits of a StreamWriter: drain(),
   wait_closed(), start_tls().

   drain() ends in its first turn, without a future, unless the transport is
   closing or its buffer is full. HOT: drain_turn. Benchmark:
   stream_pingpong_1k. */
#include "stream/protocol.h"

#include "base/args.h"
#include "base/errors.h"
#include "net/net.h"
#include "stream/private.h"

/* Raise what the reader has met. 0 or -1. */
static int
writer_check_failed(StreamWriterObject *self)
{
    PyObject *reader = self->reader;
    if (FA_UNLIKELY(self->transport == NULL || reader == NULL)) {
        PyErr_SetString(PyExc_AttributeError,
                        "'StreamWriter' object has no attribute '_reader'");
        return -1;
    }
    if (reader == Py_None) {
        return 0;
    }
    Py_INCREF(reader);
    PyObject *exc =
        FA_LIKELY(reader_is_plain(self->st, reader))
            ? Py_NewRef(reader_exception((ReaderObject *)reader))
            : PyObject_CallMethodNoArgs(reader, self->st->str_exception);
    Py_DECREF(reader);
    if (FA_LIKELY(exc == Py_None)) {
        Py_DECREF(exc);
        return 0;
    }
    if (exc != NULL) {
        fa_err_raise(exc);
        Py_DECREF(exc);
    }
    return -1;
}

/* -- drain -------------------------------------------------------------------------- */

enum { DRAIN_BEGIN, DRAIN_YIELDED, DRAIN_WAITS, DRAIN_ASKED };
enum { DRAIN_WRITER, DRAIN_PROTOCOL, DRAIN_WAITER };

/* await self._protocol._drain_helper(), in C if the protocol is ours. */
static PySendResult
writer_drain_helper(CoroObject *co, PyObject **result)
{
    fa_state *st = co->st;
    PyObject *protocol =
        ((StreamWriterObject *)co->vars[DRAIN_WRITER])->protocol;
    if (FA_UNLIKELY(protocol == NULL)) {
        PyErr_SetString(PyExc_AttributeError,
                        "'StreamWriter' object has no attribute '_protocol'");
        return PYGEN_ERROR;
    }
    Py_INCREF(protocol);
    if (FA_UNLIKELY(!sproto_is_plain(st, protocol))) {
        PyObject *helper =
            PyObject_CallMethodNoArgs(protocol, st->str__drain_helper);
        Py_DECREF(protocol);
        return helper == NULL ? PYGEN_ERROR
                              : coro_await(co, DRAIN_ASKED, helper);
    }
    PyObject *waiter;
    int rc = drain_begin((StreamProtocolObject *)protocol, &waiter);
    if (FA_LIKELY(rc != 0)) {
        Py_DECREF(protocol);
        return rc < 0 ? PYGEN_ERROR : coro_return_none(result);
    }
    co->vars[DRAIN_PROTOCOL] = protocol;
    co->vars[DRAIN_WAITER] = Py_NewRef(waiter);
    return coro_await(co, DRAIN_WAITS, waiter);
}

static PySendResult
drain_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (co->stage == DRAIN_BEGIN) {
        StreamWriterObject *self =
            (StreamWriterObject *)co->vars[DRAIN_WRITER];
        int closing = writer_check_failed(self) < 0 ? -1
                                                    : writer_is_closing(self);
        if (FA_UNLIKELY(closing != 0)) {
            // connection_lost() must get its turn, or a program that writes
            // and drains in a loop never sees the error
            return closing < 0 ? PYGEN_ERROR
                               : coro_await_turn(co, DRAIN_YIELDED);
        }
        return writer_drain_helper(co, result);
    }
    if (co->stage == DRAIN_WAITS &&
        drain_done((StreamProtocolObject *)co->vars[DRAIN_PROTOCOL],
                   co->vars[DRAIN_WAITER]) < 0)
    {
        return PYGEN_ERROR;
    }
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    return co->stage == DRAIN_YIELDED ? writer_drain_helper(co, result)
                                      : coro_return_none(result);
}

static const fa_coro_kind drain_kind = {"StreamWriter.drain", drain_turn};

/* -- wait_closed -------------------------------------------------------------------------- */

static PySendResult
wait_closed_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    StreamWriterObject *self = (StreamWriterObject *)co->vars[0];
    if (co->stage > 0) {
        return value == NULL ? PYGEN_ERROR : coro_return_none(result);
    }
    PyObject *protocol = self->protocol;
    if (protocol == NULL) {
        PyErr_SetString(PyExc_AttributeError,
                        "'StreamWriter' object has no attribute '_protocol'");
        return PYGEN_ERROR;
    }
    Py_INCREF(protocol);
    PyObject *waiter = PyObject_CallMethodOneArg(
        protocol, co->st->str__get_close_waiter, (PyObject *)self);
    Py_DECREF(protocol);
    return waiter == NULL ? PYGEN_ERROR : coro_await(co, 1, waiter);
}

static const fa_coro_kind wait_closed_kind = {"StreamWriter.wait_closed",
                                              wait_closed_turn};

/* -- start_tls ------------------------------------------------------------------------------ */

enum { TLS_BEGIN, TLS_DRAINED, TLS_STARTED };
enum { TLS_WRITER, TLS_KWARGS, TLS_CONTEXT, TLS_PROTOCOL };

/* {'server_side':, 'server_hostname':, ...}, the protocol, and drain(). */
static PySendResult
start_tls_begin(CoroObject *co)
{
    StreamWriterObject *self = (StreamWriterObject *)co->vars[TLS_WRITER];
    PyObject *protocol = self->protocol;
    if (protocol == NULL) {
        PyErr_SetString(PyExc_AttributeError,
                        "'StreamWriter' object has no attribute '_protocol'");
        return PYGEN_ERROR;
    }
    co->vars[TLS_PROTOCOL] = Py_NewRef(protocol);
    PyObject *cb = PyObject_GetAttrString(protocol, "_client_connected_cb");
    if (cb == NULL) {
        return PYGEN_ERROR;
    }
    int rc = PyDict_SetItemString(co->vars[TLS_KWARGS], "server_side",
                                  cb != Py_None ? Py_True : Py_False);
    Py_DECREF(cb);
    if (rc < 0) {
        return PYGEN_ERROR;
    }
    PyObject *drained = PyObject_CallMethodNoArgs((PyObject *)self,
                                                  co->st->str_drain);
    return drained == NULL ? PYGEN_ERROR : coro_await(co, TLS_DRAINED, drained);
}

/* await loop.start_tls(transport, protocol, sslcontext, **kwargs). */
static PySendResult
start_tls_go(CoroObject *co)
{
    StreamWriterObject *self = (StreamWriterObject *)co->vars[TLS_WRITER];
    if (self->loop == NULL || self->transport == NULL) {
        PyErr_SetString(PyExc_AttributeError,
                        "'StreamWriter' object has no attribute '_loop'");
        return PYGEN_ERROR;
    }
    PyObject *method = PyObject_GetAttr(self->loop, co->st->str_start_tls);
    PyObject *args = method == NULL
                         ? NULL
                         : PyTuple_Pack(3, self->transport,
                                        co->vars[TLS_PROTOCOL],
                                        co->vars[TLS_CONTEXT]);
    PyObject *aw = args == NULL ? NULL
                                : PyObject_Call(method, args,
                                                co->vars[TLS_KWARGS]);
    Py_XDECREF(args);
    Py_XDECREF(method);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, TLS_STARTED, aw);
}

/* The new transport is there: the protocol has to know it too. */
static PySendResult
start_tls_end(CoroObject *co, PyObject *transport, PyObject **result)
{
    StreamWriterObject *self = (StreamWriterObject *)co->vars[TLS_WRITER];
    Py_XSETREF(self->transport, Py_NewRef(transport));
#if FA_HAS_STREAM_WRITER
    PyObject *done = PyObject_CallMethod(co->vars[TLS_PROTOCOL],
                                         "_replace_writer", "O",
                                         (PyObject *)self);
#else
    PyObject *done = PyObject_CallMethod(co->vars[TLS_PROTOCOL],
                                         "_replace_transport", "O", transport);
#endif
    Py_XDECREF(done);
    return done == NULL ? PYGEN_ERROR : coro_return_none(result);
}

static PySendResult
start_tls_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    switch (co->stage) {
    case TLS_BEGIN:
        return start_tls_begin(co);
    case TLS_DRAINED:
        return start_tls_go(co);
    default:
        return start_tls_end(co, value, result);
    }
}

static const fa_coro_kind start_tls_kind = {"StreamWriter.start_tls",
                                            start_tls_turn};

#if FA_HAS_STREAM_SHUTDOWN_TIMEOUT
#  define TLS_TIMEOUTS 2
#  define TLS_SIGNATURE \
    "start_tls($self, sslcontext, *, server_hostname=None, " \
    "ssl_handshake_timeout=None, ssl_shutdown_timeout=None)\n--\n\n"
#else
#  define TLS_TIMEOUTS 1
#  define TLS_SIGNATURE \
    "start_tls($self, sslcontext, *, server_hostname=None, " \
    "ssl_handshake_timeout=None)\n--\n\n"
#endif

static const fa_args start_tls_spec = {
    .fname = "StreamWriter.start_tls", .required = 1, .positional = 1,
    .python = 1, .total = 2 + TLS_TIMEOUTS,
    .names = {"sslcontext", "server_hostname", "ssl_handshake_timeout",
              "ssl_shutdown_timeout"}};

static PyObject *
start_tls_make(fa_state *st, PyObject *self, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[4];
    if (fa_args_parse(&start_tls_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    PyObject *kwargs = PyDict_New();
    for (int i = 1; kwargs != NULL && i < start_tls_spec.total; i++) {
        if (PyDict_SetItemString(kwargs, start_tls_spec.names[i],
                                 out[i] == NULL ? Py_None : out[i]) < 0)
        {
            Py_CLEAR(kwargs);
        }
    }
    if (kwargs == NULL) {
        return NULL;
    }
    CoroObject *co = coro_new(st, &start_tls_kind, self, kwargs);
    Py_DECREF(kwargs);
    if (co != NULL) {
        co->vars[TLS_CONTEXT] = Py_NewRef(out[0]);
    }
    return (PyObject *)co;
}

/* -- tables ------------------------------------------------------------------------------------ */

static const fa_coro_def writer_defs[] = {
    {"drain", "StreamWriter.drain", &drain_kind, NULL,
     "drain($self)\n--\n\n"
     "Wait while more is unsent than the transport's high-water mark allows.\n"
     "Raises what ended the connection. See asyncio.StreamWriter.drain."},
    {"wait_closed", "StreamWriter.wait_closed", &wait_closed_kind, NULL,
     "wait_closed($self)\n--\n\n"
     "Wait until the connection is closed; raises what it was lost by."},
    {"start_tls", "StreamWriter.start_tls", NULL, start_tls_make,
     TLS_SIGNATURE
     "Go on with TLS on this connection. Timeouts in seconds. See\n"
     "asyncio.StreamWriter.start_tls."},
    {NULL, NULL, NULL, NULL, NULL},
};

int
writer_coros_add(fa_state *st)
{
    return coro_methods_add(st, st->StreamWriterCoreType, writer_defs);
}
