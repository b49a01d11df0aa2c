/* stream/protocol.c: StreamReaderProtocol, which stands between a transport and
   a reader.

   The transport calls its methods (data_received seldom: sink.c is the short
   way), the writer asks it about flow control (drain.c). It holds the reader
   by a weak reference, as asyncio's, so that a reader nobody reads from ends
   the connection. What asyncio's version does that is called seldom
   (_replace_transport, _replace_writer) is asyncio's own method, inherited.

   Invariant: loop is set once __init__ has run; every method copes with an
   object on which it has not. Cost per connection: this object, a weak
   reference, and the future of wait_closed(). */
#include "stream/protocol.h"

#include "base/args.h"
#include "base/errors.h"
#include "loop/loop.h"
#include "net/net.h"
#include "stream/private.h"

PyObject *
sproto_missing(StreamProtocolObject *self, const char *name)
{
    PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'",
                 Py_TYPE(self)->tp_name, name);
    return NULL;
}

/* -- new, traverse, clear, dealloc ------------------------------------------------ */

static PyObject *
StreamProtocol_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                   PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        ((StreamProtocolObject *)self)->st = st;
    }
    return self;
}

/* The strong fields of the struct, one after the other. */
#define SPROTO_FIRST loop
#define SPROTO_FIELDS \
    ((offsetof(StreamProtocolObject, drain_waiters) - \
      offsetof(StreamProtocolObject, SPROTO_FIRST)) / sizeof(PyObject *))

static int
StreamProtocol_traverse(PyObject *op, visitproc visit, void *arg)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->dict);
    PyObject **fields = &self->SPROTO_FIRST;
    for (size_t i = 0; i < SPROTO_FIELDS; i++) {
        Py_VISIT(fields[i]);
    }
    return fifo_traverse(&self->drain_waiters, visit, arg);
}

static int
StreamProtocol_clear(PyObject *op)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    Py_CLEAR(self->dict);
    PyObject **fields = &self->SPROTO_FIRST;
    for (size_t i = 0; i < SPROTO_FIELDS; i++) {
        Py_CLEAR(fields[i]);
    }
    fifo_clear(&self->drain_waiters);
    return 0;
}

/* __del__: an exception of the connection that nobody has waited for is no
   news to anybody. */
static void
StreamProtocol_finalize(PyObject *op)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    fa_state *st = self->st;
    if (self->closed == NULL) {
        return;
    }
    PyObject *raised = fa_err_take();
    PyObject *closed = Py_NewRef(self->closed);
    int ask = fa_future_done(st, closed);
    if (ask > 0) {
        ask = fa_future_cancelled(st, closed);
        ask = ask < 0 ? -1 : !ask;
    }
    if (ask > 0) {
        PyObject *exc = PyObject_CallMethodNoArgs(closed, st->str_exception);
        ask = exc == NULL ? -1 : 0;
        Py_XDECREF(exc);
    }
    if (ask < 0) {
        fa_err_unraisable(op);
    }
    Py_DECREF(closed);
    fa_err_restore(raised);
}

static void
StreamProtocol_dealloc(PyObject *op)
{
    if (PyObject_CallFinalizerFromDealloc(op) == 0) { // nobody has kept it
        fa_class_dealloc(op, StreamProtocol_clear);
    }
}

/* -- making ------------------------------------------------------------------------- */

static void
sproto_set(PyObject **field, PyObject *value)
{
    Py_XSETREF(*field, Py_NewRef(value));
}

static int
sproto_set_loop(StreamProtocolObject *self, PyObject *loop)
{
    loop = loop == NULL || loop == Py_None
               ? PyObject_CallMethodNoArgs(self->st->mod_events,
                                           self->st->str_get_event_loop)
               : Py_NewRef(loop);
    if (loop == NULL) {
        return -1;
    }
    Py_XSETREF(self->loop, loop);
    flag_set(&self->paused, 0);
    flag_set(&self->connection_lost, 0);
    fifo_replace(&self->drain_waiters, NULL);
    fifo_clear(&self->drain_waiters);
    return 0;
}

/* Remember the reader weakly. 0 or -1. */
static int
sproto_set_reader(StreamProtocolObject *self, PyObject *reader)
{
    if (reader == Py_None) {
        sproto_set(&self->reader_ref, Py_None);
        return 0;
    }
    PyObject *ref = PyWeakref_NewRef(reader, NULL);
    if (ref == NULL) {
        return -1;
    }
    Py_XSETREF(self->reader_ref, ref);
    PyObject *tb = PyObject_GetAttr(reader, self->st->str__source_traceback);
    if (tb == NULL) {
        return -1;
    }
    Py_XSETREF(self->source_tb, tb);
    return 0;
}

/* __init__; cb and loop may be NULL. 0 or -1. */
static int
sproto_init(StreamProtocolObject *self, PyObject *reader, PyObject *cb,
            PyObject *loop)
{
    if (sproto_set_loop(self, loop) < 0 ||
        sproto_set_reader(self, reader) < 0)
    {
        return -1;
    }
    if (cb != NULL && cb != Py_None) {
        sproto_set(&self->strong_reader, reader);
    }
    flag_set(&self->reject, 0);
    flag_set(&self->over_ssl, 0);
#if FA_HAS_STREAM_WRITER
    sproto_set(&self->writer, Py_None);
#endif
    sproto_set(&self->task, Py_None);
    sproto_set(&self->transport, Py_None);
    sproto_set(&self->connected_cb, cb == NULL ? Py_None : cb);
    PyObject *closed = fa_create_future(self->st, self->loop);
    if (closed == NULL) {
        return -1;
    }
    Py_XSETREF(self->closed, closed);
    return 0;
}

PyObject *
sproto_new(fa_state *st, PyObject *reader, PyObject *cb, PyObject *loop)
{
    PyTypeObject *type = st->StreamReaderProtocolType;
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        ((StreamProtocolObject *)self)->st = st;
        if (sproto_init((StreamProtocolObject *)self, reader, cb, loop) < 0) {
            Py_CLEAR(self);
        }
    }
    return self;
}

static const fa_args sproto_init_spec = {
    .fname = "StreamReaderProtocol.__init__", .required = 1, .positional = 3,
    .python = 1, .total = 3,
    .names = {"stream_reader", "client_connected_cb", "loop"}};

static int
StreamProtocol_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *out[3];
    if (fa_args_parse_tuple(&sproto_init_spec, args, kwargs, out) < 0) {
        return -1;
    }
    return sproto_init((StreamProtocolObject *)self, out[0], out[1], out[2]);
}

/* -- the reader ----------------------------------------------------------------------- */

/* self._stream_reader: 0 and a new reference, or NULL for None, in *out; -1. */
static int
sproto_reader(StreamProtocolObject *self, PyObject **out)
{
    fa_state *st = self->st;
    if (FA_LIKELY(sproto_is_plain(st, (PyObject *)self))) {
        *out = fa_weakref_get(self->reader_ref);
        if (*out != NULL || self->reader_ref == Py_None ||
            (self->reader_ref != NULL && PyWeakref_Check(self->reader_ref)))
        {
            return 0;
        }
    }
    *out = PyObject_GetAttr((PyObject *)self, st->str__stream_reader);
    if (*out == NULL) {
        return -1;
    }
    if (*out == Py_None) {
        Py_CLEAR(*out);
    }
    return 0;
}

static PyObject *
StreamProtocol_get_reader(PyObject *op, void *Py_UNUSED(closure))
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    PyObject *ref = self->reader_ref;
    if (ref == NULL) {
        return sproto_missing(self, "_stream_reader_wr");
    }
    if (ref == Py_None) {
        Py_RETURN_NONE;
    }
    Py_INCREF(ref);
    PyObject *reader = PyObject_CallNoArgs(ref);
    Py_DECREF(ref);
    return reader;
}

/* obj.<name>([arg]), the answer dropped. 0 or -1. */
static int
sproto_tell(PyObject *obj, PyObject *name, PyObject *arg)
{
    PyObject *done = arg == NULL ? PyObject_CallMethodNoArgs(obj, name)
                                 : PyObject_CallMethodOneArg(obj, name, arg);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* The methods of any reader; 0 or -1. */

static int
sproto_give_transport(fa_state *st, PyObject *reader, PyObject *transport)
{
    return reader_is_plain(st, reader)
               ? reader_set_transport((ReaderObject *)reader, transport)
               : sproto_tell(reader, st->str_set_transport, transport);
}

static int
sproto_feed(fa_state *st, PyObject *reader, PyObject *data)
{
    return FA_LIKELY(reader_is_plain(st, reader))
               ? reader_feed_object((ReaderObject *)reader, data)
               : sproto_tell(reader, st->str_feed_data, data);
}

static int
sproto_feed_eof(fa_state *st, PyObject *reader)
{
    return reader_is_plain(st, reader)
               ? reader_feed_eof((ReaderObject *)reader)
               : sproto_tell(reader, st->str_feed_eof, NULL);
}

static int
sproto_feed_exception(fa_state *st, PyObject *reader, PyObject *exc)
{
    return reader_is_plain(st, reader)
               ? reader_set_exception((ReaderObject *)reader, exc)
               : sproto_tell(reader, st->str_set_exception, exc);
}

/* -- connection_made ---------------------------------------------------------------------- */

/* The reader went before there was a connection: nobody wants it. */
static int FA_COLD
sproto_reject(StreamProtocolObject *self, PyObject *transport)
{
    fa_state *st = self->st;
    PyObject *context = PyDict_New();
    PyObject *text = PyUnicode_FromString(
        "An open stream was garbage collected prior to establishing network "
        "connection; call \"stream.close()\" explicitly.");
    int rc = context == NULL || text == NULL ||
                     PyDict_SetItem(context, st->str_message, text) < 0
                 ? -1
                 : flag_is_set(self->source_tb == Py_None ? NULL
                                                          : self->source_tb);
    if (rc > 0) {
        rc = PyDict_SetItem(context, st->str_source_traceback,
                            self->source_tb);
    }
    PyObject *done = NULL;
    if (rc == 0) {
        done = PyObject_CallMethodOneArg(
            self->loop, st->str_call_exception_handler, context);
    }
    Py_XDECREF(context);
    Py_XDECREF(text);
    if (done == NULL) {
        return -1;
    }
    Py_DECREF(done);
    return sproto_tell(transport, st->str_abort, NULL);
}

/* _over_ssl = transport.get_extra_info('sslcontext') is not None. */
static int
sproto_look_for_ssl(StreamProtocolObject *self, PyObject *transport)
{
    PyObject *ssl = PyObject_CallMethodOneArg(
        transport, self->st->str_get_extra_info, self->st->str_sslcontext);
    if (ssl == NULL) {
        return -1;
    }
    flag_set(&self->over_ssl, ssl != Py_None);
    Py_DECREF(ssl);
    return 0;
}

/* What client_connected_cb's task has raised goes to the loop's exception
   handler. */
static int
sproto_report_client(StreamProtocolObject *self, PyObject *exc,
                     PyObject *transport)
{
    PyObject *text =
        PyUnicode_FromString("Unhandled exception in client_connected_cb");
    PyObject *extra = PyDict_New();
    int rc = text == NULL || extra == NULL ||
                     PyDict_SetItem(extra, self->st->str_transport,
                                    transport) < 0
                 ? -1
                 : loop_report(self->st, self->loop, text, exc, extra);
    Py_XDECREF(text);
    Py_XDECREF(extra);
    return rc;
}

/* The done callback of that task. */
static PyObject *
StreamProtocol_client_done(PyObject *op, PyObject *task)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    fa_state *st = self->st;
    PyObject *transport = self->served;
    self->served = NULL;
    int cancelled = fa_forgives_cancelled_client()
                        ? fa_future_cancelled(st, task)
                        : 0;
    PyObject *exc = NULL;
    int rc = cancelled < 0 ? -1 : 0;
    if (cancelled == 0) {
        exc = PyObject_CallMethodNoArgs(task, st->str_exception);
        rc = exc == NULL          ? -1
             : exc == Py_None     ? 0
             : transport == NULL  ? 0
             : self->loop == NULL ? 0
                                  : sproto_report_client(self, exc, transport);
    }
    if (rc == 0 && transport != NULL && exc != Py_None) {
        rc = sproto_tell(transport, st->str_close, NULL);
    }
    Py_XDECREF(exc);
    Py_XDECREF(transport);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef client_done_def = {
    "connection_made.<locals>.callback", StreamProtocol_client_done, METH_O,
    NULL};

/* client_connected_cb has given a coroutine: run it as a task. 0 or -1. */
static int
sproto_run_client(StreamProtocolObject *self, PyObject *coro,
                  PyObject *transport)
{
    fa_state *st = self->st;
    PyObject *task = fa_create_task(st, self->loop, coro);
    if (task == NULL) {
        return -1;
    }
    sproto_set(&self->task, task);
    sproto_set(&self->served, transport);
    PyObject *callback = PyCFunction_New(&client_done_def, (PyObject *)self);
    int rc = callback == NULL
                 ? -1
                 : fa_future_add_done_callback(st, task, callback);
    Py_XDECREF(callback);
    Py_DECREF(task);
    return rc;
}

/* A server's connection: client_connected_cb(reader, writer). 0 or -1. */
static int
sproto_serve(StreamProtocolObject *self, PyObject *transport, PyObject *reader)
{
    fa_state *st = self->st;
    PyObject *writer = writer_new(st, transport, (PyObject *)self, reader,
                                  self->loop);
    if (writer == NULL) {
        return -1;
    }
#if FA_HAS_STREAM_WRITER
    sproto_set(&self->writer, writer);
#endif
    PyObject *cb = Py_NewRef(self->connected_cb);
    PyObject *args[] = {reader, writer};
    PyObject *res = PyObject_Vectorcall(cb, args, 2, NULL);
    Py_DECREF(cb);
    Py_DECREF(writer);
    if (res == NULL) {
        return -1;
    }
    int rc = fa_iscoroutine(st, res);
    if (rc > 0) {
        rc = sproto_run_client(self, res, transport);
    }
    Py_DECREF(res);
    if (rc == 0) {
        sproto_set(&self->strong_reader, Py_None);
    }
    return rc;
}

static PyObject *
StreamProtocol_connection_made(PyObject *op, PyObject *transport)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    if (self->loop == NULL) {
        return sproto_missing(self, "_reject_connection");
    }
    int rejected = flag_is_set(self->reject);
    if (rejected != 0) {
        if (rejected < 0 || sproto_reject(self, transport) < 0) {
            return NULL;
        }
        Py_RETURN_NONE;
    }
    sproto_set(&self->transport, transport);
    PyObject *reader;
    if (sproto_reader(self, &reader) < 0) {
        return NULL;
    }
    int rc = reader == NULL
                 ? 0
                 : sproto_give_transport(self->st, reader, transport);
    if (rc == 0) {
        rc = sproto_look_for_ssl(self, transport);
    }
    if (rc == 0 && self->connected_cb != NULL && self->connected_cb != Py_None)
    {
        rc = sproto_serve(self, transport, reader == NULL ? Py_None : reader);
    }
    Py_XDECREF(reader);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}
FA_METHOD_ONE(StreamProtocol_connection_made, PyObject,
              "StreamReaderProtocol.connection_made", "transport")

/* -- the other methods of a protocol --------------------------------------------------------- */

/* The reader and whoever waits for the end are told. 0 or -1. */
static int
sproto_tell_lost(StreamProtocolObject *self, PyObject *exc)
{
    fa_state *st = self->st;
    PyObject *reader;
    if (sproto_reader(self, &reader) < 0) {
        return -1;
    }
    if (reader != NULL) {
        int rc = exc == Py_None ? sproto_feed_eof(st, reader)
                                : sproto_feed_exception(st, reader, exc);
        Py_DECREF(reader);
        if (rc < 0) {
            return -1;
        }
    }
    if (self->closed == NULL) {
        sproto_missing(self, "_closed");
        return -1;
    }
    PyObject *closed = Py_NewRef(self->closed);
    int rc = fa_future_done(st, closed);
    if (rc == 0) {
        rc = exc == Py_None ? fa_future_set_result(st, closed, Py_None)
                            : fa_future_set_exception(st, closed, exc);
    }
    Py_DECREF(closed);
    return rc < 0 ? -1 : 0;
}

static PyObject *
StreamProtocol_connection_lost(PyObject *op, PyObject *exc)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    if (sproto_tell_lost(self, exc) < 0 || drain_lost(self, exc) < 0) {
        return NULL;
    }
    sproto_set(&self->reader_ref, Py_None);
#if FA_CLEARS_STREAM_WRITER
    sproto_set(&self->writer, Py_None);
#endif
    sproto_set(&self->task, Py_None);
    sproto_set(&self->transport, Py_None);
    Py_RETURN_NONE;
}
FA_METHOD_ONE(StreamProtocol_connection_lost, PyObject,
              "StreamReaderProtocol.connection_lost", "exc")

static PyObject *
StreamProtocol_data_received(PyObject *op, PyObject *data)
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    PyObject *reader;
    if (sproto_reader(self, &reader) < 0) {
        return NULL;
    }
    int rc = reader == NULL ? 0 : sproto_feed(self->st, reader, data);
    Py_XDECREF(reader);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}
FA_METHOD_ONE(StreamProtocol_data_received, PyObject,
              "StreamReaderProtocol.data_received", "data")

static PyObject *
StreamProtocol_eof_received(PyObject *op, PyObject *Py_UNUSED(arg))
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    PyObject *reader;
    if (sproto_reader(self, &reader) < 0) {
        return NULL;
    }
    int rc = reader == NULL ? 0 : sproto_feed_eof(self->st, reader);
    Py_XDECREF(reader);
    // with TLS there is no half-closed connection to keep open
    int ssl = rc < 0 ? -1 : flag_is_set(self->over_ssl);
    return ssl < 0 ? NULL : PyBool_FromLong(!ssl);
}

static PyObject *
StreamProtocol_pause_writing(PyObject *self, PyObject *Py_UNUSED(arg))
{
    return drain_pause((StreamProtocolObject *)self) < 0 ? NULL
                                                         : Py_NewRef(Py_None);
}

static PyObject *
StreamProtocol_resume_writing(PyObject *self, PyObject *Py_UNUSED(arg))
{
    return drain_resume((StreamProtocolObject *)self) < 0 ? NULL
                                                          : Py_NewRef(Py_None);
}

static PyObject *
StreamProtocol_get_close_waiter(PyObject *op, PyObject *Py_UNUSED(stream))
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    return self->closed == NULL ? sproto_missing(self, "_closed")
                                : Py_NewRef(self->closed);
}

static PyObject *
StreamProtocol_get_waiters(PyObject *op, void *Py_UNUSED(closure))
{
    StreamProtocolObject *self = (StreamProtocolObject *)op;
    return self->loop == NULL ? sproto_missing(self, "_drain_waiters")
                              : fifo_expose(self->st, &self->drain_waiters);
}

static int
StreamProtocol_set_waiters(PyObject *op, PyObject *value,
                           void *Py_UNUSED(closure))
{
    fifo_replace(&((StreamProtocolObject *)op)->drain_waiters, value);
    return 0;
}

/* -- tables ------------------------------------------------------------------------------------ */

#define PROTOCOL_KW(func) (PyCFunction)(void (*)(void))StreamProtocol_##func

static PyMethodDef StreamProtocol_methods[] = {
    {"connection_made", PROTOCOL_KW(connection_made_kw),
     METH_FASTCALL | METH_KEYWORDS,
     "connection_made($self, transport)\n--\n\n"
     "A connection is there. See asyncio.BaseProtocol.connection_made."},
    {"connection_lost", PROTOCOL_KW(connection_lost_kw),
     METH_FASTCALL | METH_KEYWORDS,
     "connection_lost($self, exc)\n--\n\n"
     "The connection is gone: the reader is at its end, or raises `exc`."},
    {"data_received", PROTOCOL_KW(data_received_kw),
     METH_FASTCALL | METH_KEYWORDS,
     "data_received($self, data)\n--\n\n"
     "Give bytes to the reader."},
    {"eof_received", StreamProtocol_eof_received, METH_NOARGS,
     "eof_received($self)\n--\n\n"
     "The peer sends no more. True: writing may go on."},
    {"pause_writing", StreamProtocol_pause_writing, METH_NOARGS,
     "pause_writing($self)\n--\n\n"
     "The transport's buffer is full: drain() has to wait."},
    {"resume_writing", StreamProtocol_resume_writing, METH_NOARGS,
     "resume_writing($self)\n--\n\n"
     "The transport takes more: drain() goes on."},
    {"_get_close_waiter", StreamProtocol_get_close_waiter, METH_O,
     "_get_close_waiter($self, stream)\n--\n\n"
     "The future of StreamWriter.wait_closed()."},
    {NULL, NULL, 0, NULL},
};

#define SPROTO_MEMBER(name, field) \
    {name, T_OBJECT_EX, offsetof(StreamProtocolObject, field), 0, NULL}

static PyMemberDef StreamProtocol_members[] = {
    FA_CLASS_MEMBERS(StreamProtocolObject),
    SPROTO_MEMBER("_loop", loop),
    SPROTO_MEMBER("_stream_reader_wr", reader_ref),
    SPROTO_MEMBER("_strong_reader", strong_reader),
    SPROTO_MEMBER("_reject_connection", reject),
    SPROTO_MEMBER("_over_ssl", over_ssl),
    SPROTO_MEMBER("_paused", paused),
    SPROTO_MEMBER("_connection_lost", connection_lost),
    SPROTO_MEMBER("_stream_writer", writer),
    SPROTO_MEMBER("_task", task),
    SPROTO_MEMBER("_transport", transport),
    SPROTO_MEMBER("_client_connected_cb", connected_cb),
    SPROTO_MEMBER("_closed", closed),
    {"_source_traceback", T_OBJECT, offsetof(StreamProtocolObject, source_tb),
     0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef StreamProtocol_getset[] = {
    {"_stream_reader", StreamProtocol_get_reader, NULL, NULL, NULL},
    {"_drain_waiters", StreamProtocol_get_waiters, StreamProtocol_set_waiters,
     NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(StreamProtocol_doc,
"StreamProtocolCore(stream_reader, client_connected_cb=None, loop=None)\n"
"--\n\n"
"Feeds a StreamReader with what a transport receives.\n\n"
"With `client_connected_cb` it is a server's: the callback is called with the\n"
"reader and a StreamWriter, and if it gives a coroutine, that becomes a task.\n"
"See asyncio.StreamReaderProtocol.");

static PyType_Slot StreamProtocol_slots[] = {
    {Py_tp_doc, (char *)StreamProtocol_doc},
    {Py_tp_new, StreamProtocol_new},
    {Py_tp_init, StreamProtocol_init},
    {Py_tp_traverse, StreamProtocol_traverse},
    {Py_tp_clear, StreamProtocol_clear},
    {Py_tp_finalize, StreamProtocol_finalize},
    {Py_tp_dealloc, StreamProtocol_dealloc},
    {Py_tp_methods, StreamProtocol_methods},
    {Py_tp_members, StreamProtocol_members},
    {Py_tp_getset, StreamProtocol_getset},
    {0, NULL},
};

static PyType_Spec StreamProtocol_spec = {
    .name = "_fastasync.StreamProtocolCore",
    .basicsize = sizeof(StreamProtocolObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = StreamProtocol_slots,
};

int
sproto_type_init(PyObject *module, fa_state *st)
{
    const fa_class spec = {
        .module = module, .core = &StreamProtocol_spec,
        .name = "StreamReaderProtocol", .asyncio_module = "asyncio.streams",
        .asyncio_name = "StreamReaderProtocol"};
    return fa_class_new(&spec, &st->StreamProtocolCoreType,
                        &st->StreamReaderProtocolType);
}
