/* stream/writer.c: StreamWriter, the writing half of a stream.

   A thin thing over a transport: write() of bytes to a transport of ours goes
   there without a method call, and so does everything that drain() asks;
   whatever else the transport, the protocol or the reader is, its methods are
   called, as asyncio does. The coroutines stand in writer_coros.c. HOT:
   StreamWriter_write. Benchmark: stream_1k_x10. */
#include "stream/protocol.h"

#include "base/args.h"
#include "base/errors.h"
#include "net/net.h"

/* -- new, traverse, clear, dealloc -------------------------------------------------- */

static PyObject *
StreamWriter_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                 PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL) {
        ((StreamWriterObject *)self)->st = st;
    }
    return self;
}

static int
StreamWriter_traverse(PyObject *op, visitproc visit, void *arg)
{
    StreamWriterObject *self = (StreamWriterObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->dict);
    Py_VISIT(self->transport);
    Py_VISIT(self->protocol);
    Py_VISIT(self->reader);
    Py_VISIT(self->loop);
    Py_VISIT(self->complete);
    return 0;
}

static int
StreamWriter_clear(PyObject *op)
{
    StreamWriterObject *self = (StreamWriterObject *)op;
    Py_CLEAR(self->dict);
    Py_CLEAR(self->transport);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->reader);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->complete);
    return 0;
}

/* -- asking the transport -------------------------------------------------------------- */

/* self._transport (new), or NULL with AttributeError. */
static PyObject *
writer_transport(StreamWriterObject *self)
{
    if (FA_UNLIKELY(self->transport == NULL)) {
        PyErr_Format(PyExc_AttributeError,
                     "'%.100s' object has no attribute '_transport'",
                     Py_TYPE(self)->tp_name);
        return NULL;
    }
    return Py_NewRef(self->transport);
}

/* self._transport.<name>(): new reference or NULL. */
static PyObject *
writer_ask(StreamWriterObject *self, PyObject *name)
{
    PyObject *transport = writer_transport(self);
    if (transport == NULL) {
        return NULL;
    }
    PyObject *answer = PyObject_CallMethodNoArgs(transport, name);
    Py_DECREF(transport);
    return answer;
}

/* bool(obj.<name>()): 1, 0 or -1. */
static int
writer_truth(PyObject *obj, PyObject *name)
{
    PyObject *answer = PyObject_CallMethodNoArgs(obj, name);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return truth;
}

int
writer_is_closing(StreamWriterObject *self)
{
    fa_state *st = self->st;
    PyObject *transport = writer_transport(self);
    if (transport == NULL) {
        return -1;
    }
    int closing = FA_LIKELY(fa_stream_is_plain(st, transport))
                      ? fa_stream_is_closing(st, transport)
                  : writepipe_is_plain(st, transport)
                      ? writepipe_is_closing(transport)
                      : writer_truth(transport, st->str_is_closing);
    Py_DECREF(transport);
    return closing;
}

/* -- the end ---------------------------------------------------------------------------- */

static int
writer_warn(PyObject *self, const char *format)
{
    return PyErr_WarnFormat(PyExc_ResourceWarning, 1, format, self);
}

/* __del__: nobody has closed it. 0 or -1. */
static int
writer_abandoned(StreamWriterObject *self)
{
    fa_state *st = self->st;
    int closing = writer_is_closing(self);
    if (FA_LIKELY(closing != 0)) {
        return closing < 0 ? -1 : 0;
    }
    PyObject *loop = Py_NewRef(self->loop);
    int closed = writer_truth(loop, st->str_is_closed);
    Py_DECREF(loop);
    if (closed != 0) {
        return closed < 0 ? -1 : writer_warn((PyObject *)self, "loop is closed");
    }
    PyObject *done = PyObject_CallMethodNoArgs((PyObject *)self,
                                               st->str_close);
    Py_XDECREF(done);
    return done == NULL ? -1 : writer_warn((PyObject *)self, "unclosed %R");
}

static void
StreamWriter_finalize(PyObject *op)
{
    StreamWriterObject *self = (StreamWriterObject *)op;
    if (self->transport == NULL || self->loop == NULL) {
        return; // failed constructor
    }
    PyObject *raised = fa_err_take();
    if (writer_abandoned(self) < 0) {
        fa_err_unraisable(op);
    }
    fa_err_restore(raised);
}

static void
StreamWriter_dealloc(PyObject *op)
{
    if (PyObject_CallFinalizerFromDealloc(op) == 0) { // nobody has kept it
        fa_class_dealloc(op, StreamWriter_clear);
    }
}

/* -- making ------------------------------------------------------------------------------ */

/* _complete_fut, which nobody but __init__ has ever used: a future that has
   come true. 0 or -1. */
static int
writer_complete(StreamWriterObject *self)
{
    fa_state *st = self->st;
    PyObject *loop = Py_NewRef(self->loop);
    PyObject *fut = fa_create_future(st, loop);
    Py_DECREF(loop);
    if (fut == NULL || fa_future_set_result(st, fut, Py_None) < 0) {
        Py_XDECREF(fut);
        return -1;
    }
    Py_XSETREF(self->complete, fut);
    return 0;
}

/* assert reader is None or isinstance(reader, StreamReader). 0 or -1. */
static int
writer_check_reader(fa_state *st, PyObject *reader)
{
    if (reader == Py_None) {
        return 0;
    }
    int is = PyObject_IsInstance(reader, st->asyncio_StreamReader);
    if (is == 0) {
        PyObject *now = PyObject_GetAttr(st->mod_streams,
                                         st->str_StreamReader);
        is = now == NULL ? -1 : PyObject_IsInstance(reader, now);
        Py_XDECREF(now);
    }
    if (is == 0) {
        PyErr_SetNone(PyExc_AssertionError);
    }
    return is > 0 ? 0 : -1;
}

static int
writer_init(StreamWriterObject *self, PyObject *transport, PyObject *protocol,
            PyObject *reader, PyObject *loop)
{
    if (writer_check_reader(self->st, reader) < 0) {
        return -1;
    }
    Py_XSETREF(self->transport, Py_NewRef(transport));
    Py_XSETREF(self->protocol, Py_NewRef(protocol));
    Py_XSETREF(self->reader, Py_NewRef(reader));
    Py_XSETREF(self->loop, Py_NewRef(loop));
    Py_CLEAR(self->complete);
    // on a loop of ours nobody sees the future being made: made when asked for
    if (FA_LIKELY(loop_check(self->st, loop) &&
                  !(((LoopObject *)loop)->overridden & FA_OV_CREATE_FUTURE)))
    {
        return 0;
    }
    return writer_complete(self);
}

static const fa_args writer_init_spec = {
    .fname = "StreamWriter.__init__", .required = 4, .positional = 4,
    .python = 1, .total = 4,
    .names = {"transport", "protocol", "reader", "loop"}};

static int
StreamWriter_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *out[4];
    if (fa_args_parse_tuple(&writer_init_spec, args, kwargs, out) < 0) {
        return -1;
    }
    return writer_init((StreamWriterObject *)self, out[0], out[1], out[2],
                       out[3]);
}

PyObject *
writer_new(fa_state *st, PyObject *transport, PyObject *protocol,
           PyObject *reader, PyObject *loop)
{
    PyTypeObject *type = st->StreamWriterType;
    PyObject *other = streams_rebound(st, st->str_StreamWriter, type,
                                      st->asyncio_StreamWriter);
    PyObject *self;
    if (FA_UNLIKELY(other != NULL)) {
        PyObject *args[] = {transport, protocol, reader, loop};
        self = PyObject_Vectorcall(other, args, 4, NULL);
        Py_DECREF(other);
        return self;
    }
    self = type->tp_alloc(type, 0);
    if (self != NULL) {
        ((StreamWriterObject *)self)->st = st;
        if (writer_init((StreamWriterObject *)self, transport, protocol,
                        reader, loop) < 0)
        {
            Py_CLEAR(self);
        }
    }
    return self;
}

/* -- methods ------------------------------------------------------------------------------ */

/* One parameter `data` of a method that is not called with exactly one
   positional argument. */
static int FA_COLD
writer_parse_data(const char *fname, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames, PyObject **data)
{
    const fa_args spec = {.fname = fname, .required = 1, .positional = 1,
                          .python = 1, .total = 1, .names = {"data"}};
    return fa_args_parse(&spec, args, nargs, kwnames, data);
}

static PyObject *
StreamWriter_write(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    StreamWriterObject *self = (StreamWriterObject *)op;
    PyObject *data = nargs == 1 ? args[0] : NULL;
    if (FA_UNLIKELY(nargs != 1 || kwnames != NULL) &&
        writer_parse_data("StreamWriter.write", args, nargs, kwnames, &data) <
            0)
    {
        return NULL;
    }
    PyObject *transport = writer_transport(self);
    if (FA_UNLIKELY(transport == NULL)) {
        return NULL;
    }
    int rc;
    if (FA_LIKELY(fa_stream_is_plain(self->st, transport))) {
        rc = fa_stream_write(self->st, transport, data);
    }
    else if (writepipe_is_plain(self->st, transport)) {
        rc = writepipe_write(transport, data);
    }
    else {
        PyObject *done = PyObject_CallMethodOneArg(
            transport, self->st->str_write, data);
        rc = done == NULL ? -1 : 0;
        Py_XDECREF(done);
    }
    Py_DECREF(transport);
    return FA_UNLIKELY(rc < 0) ? NULL : Py_NewRef(Py_None);
}

static PyObject *
StreamWriter_writelines(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames)
{
    StreamWriterObject *self = (StreamWriterObject *)op;
    PyObject *data;
    if (writer_parse_data("StreamWriter.writelines", args, nargs, kwnames,
                          &data) < 0)
    {
        return NULL;
    }
    PyObject *transport = writer_transport(self);
    if (transport == NULL) {
        return NULL;
    }
    PyObject *done = PyObject_CallMethodOneArg(
        transport, self->st->str_writelines, data);
    Py_DECREF(transport);
    if (done == NULL) {
        return NULL;
    }
    Py_DECREF(done);
    Py_RETURN_NONE;
}

static PyObject *
StreamWriter_write_eof(PyObject *self, PyObject *Py_UNUSED(arg))
{
    StreamWriterObject *writer = (StreamWriterObject *)self;
    return writer_ask(writer, writer->st->str_write_eof);
}

static PyObject *
StreamWriter_can_write_eof(PyObject *self, PyObject *Py_UNUSED(arg))
{
    StreamWriterObject *writer = (StreamWriterObject *)self;
    return writer_ask(writer, writer->st->str_can_write_eof);
}

static PyObject *
StreamWriter_close(PyObject *self, PyObject *Py_UNUSED(arg))
{
    StreamWriterObject *writer = (StreamWriterObject *)self;
    return writer_ask(writer, writer->st->str_close);
}

static PyObject *
StreamWriter_is_closing(PyObject *self, PyObject *Py_UNUSED(arg))
{
    StreamWriterObject *writer = (StreamWriterObject *)self;
    return writer_ask(writer, writer->st->str_is_closing);
}

static PyObject *
StreamWriter_get_extra_info(PyObject *op, PyObject *const *args,
                            Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "StreamWriter.get_extra_info", .required = 1,
        .positional = 2, .python = 1, .total = 2, .names = {"name", "default"}};
    StreamWriterObject *self = (StreamWriterObject *)op;
    PyObject *out[2];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    PyObject *transport = writer_transport(self);
    if (transport == NULL) {
        return NULL;
    }
    PyObject *stack[] = {transport, out[0], out[1] == NULL ? Py_None : out[1]};
    PyObject *info = PyObject_VectorcallMethod(
        self->st->str_get_extra_info, stack,
        3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(transport);
    return info;
}

/* -- attributes ----------------------------------------------------------------------------- */

static PyObject *
StreamWriter_get_transport(PyObject *self, void *Py_UNUSED(closure))
{
    return writer_transport((StreamWriterObject *)self);
}

static PyObject *
StreamWriter_get_complete(PyObject *op, void *Py_UNUSED(closure))
{
    StreamWriterObject *self = (StreamWriterObject *)op;
    if (self->complete == NULL && self->loop == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_complete_fut");
        return NULL;
    }
    if (self->complete == NULL && writer_complete(self) < 0) {
        return NULL;
    }
    return Py_XNewRef(self->complete);
}

static int
StreamWriter_set_complete(PyObject *op, PyObject *value,
                          void *Py_UNUSED(closure))
{
    Py_XSETREF(((StreamWriterObject *)op)->complete, Py_XNewRef(value));
    return 0;
}

static PyObject *
StreamWriter_repr(PyObject *op)
{
    StreamWriterObject *self = (StreamWriterObject *)op;
    PyObject *transport = writer_transport(self);
    if (transport == NULL) {
        return NULL;
    }
    PyObject *name = PyType_GetName(Py_TYPE(op));
    PyObject *reader = Py_XNewRef(self->reader);
    PyObject *repr = NULL;
    if (name != NULL && (reader == NULL || reader == Py_None)) {
        repr = PyUnicode_FromFormat("<%U transport=%R>", name, transport);
    }
    else if (name != NULL) {
        repr = PyUnicode_FromFormat("<%U transport=%R reader=%R>", name,
                                    transport, reader);
    }
    Py_XDECREF(reader);
    Py_XDECREF(name);
    Py_DECREF(transport);
    return repr;
}

/* -- tables ------------------------------------------------------------------------------------ */

#define WRITER_FAST(function) (PyCFunction)(void (*)(void))function

static PyMethodDef StreamWriter_methods[] = {
    {"write", WRITER_FAST(StreamWriter_write), METH_FASTCALL | METH_KEYWORDS,
     "write($self, data)\n--\n\n"
     "Send bytes, now or when the connection takes them. Follow it with\n"
     "`await drain()`. See asyncio.StreamWriter.write."},
    {"writelines", WRITER_FAST(StreamWriter_writelines),
     METH_FASTCALL | METH_KEYWORDS,
     "writelines($self, data)\n--\n\n"
     "Send an iterable of bytes objects."},
    {"write_eof", StreamWriter_write_eof, METH_NOARGS,
     "write_eof($self)\n--\n\n"
     "Close the writing half once what was written has left."},
    {"can_write_eof", StreamWriter_can_write_eof, METH_NOARGS,
     "can_write_eof($self)\n--\n\n"
     "Whether write_eof() is possible."},
    {"close", StreamWriter_close, METH_NOARGS,
     "close($self)\n--\n\n"
     "Close the connection once what was written has left. Follow it with\n"
     "`await wait_closed()`."},
    {"is_closing", StreamWriter_is_closing, METH_NOARGS,
     "is_closing($self)\n--\n\n"
     "Whether the connection is closed or about to be."},
    {"get_extra_info", WRITER_FAST(StreamWriter_get_extra_info),
     METH_FASTCALL | METH_KEYWORDS,
     "get_extra_info($self, name, default=None)\n--\n\n"
     "What the transport knows of the connection. See\n"
     "asyncio.BaseTransport.get_extra_info."},
    {NULL, NULL, 0, NULL},
};

#define WRITER_MEMBER(name, field) \
    {name, T_OBJECT_EX, offsetof(StreamWriterObject, field), 0, NULL}

static PyMemberDef StreamWriter_members[] = {
    FA_CLASS_MEMBERS(StreamWriterObject),
    WRITER_MEMBER("_transport", transport),
    WRITER_MEMBER("_protocol", protocol),
    WRITER_MEMBER("_reader", reader),
    WRITER_MEMBER("_loop", loop),
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef StreamWriter_getset[] = {
    {"transport", StreamWriter_get_transport, NULL,
     "The transport it writes to.", NULL},
    {"_complete_fut", StreamWriter_get_complete, StreamWriter_set_complete,
     NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(StreamWriter_doc,
"StreamWriterCore(transport, protocol, reader, loop)\n"
"--\n\n"
"Writes to a transport, with flow control: `await drain()` waits while too\n"
"much is unsent. Made by open_connection() and for start_server()'s callback.\n"
"See asyncio.StreamWriter.");

static PyType_Slot StreamWriter_slots[] = {
    {Py_tp_doc, (char *)StreamWriter_doc},
    {Py_tp_new, StreamWriter_new},
    {Py_tp_init, StreamWriter_init},
    {Py_tp_traverse, StreamWriter_traverse},
    {Py_tp_clear, StreamWriter_clear},
    {Py_tp_finalize, StreamWriter_finalize},
    {Py_tp_dealloc, StreamWriter_dealloc},
    {Py_tp_repr, StreamWriter_repr},
    {Py_tp_methods, StreamWriter_methods},
    {Py_tp_members, StreamWriter_members},
    {Py_tp_getset, StreamWriter_getset},
    {0, NULL},
};

static PyType_Spec StreamWriter_spec = {
    .name = "_fastasync.StreamWriterCore",
    .basicsize = sizeof(StreamWriterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = StreamWriter_slots,
};

int
writer_type_init(PyObject *module, fa_state *st)
{
    const fa_class spec = {
        .module = module, .core = &StreamWriter_spec, .name = "StreamWriter",
        .asyncio_module = "asyncio.streams", .asyncio_name = "StreamWriter"};
    if (fa_class_new(&spec, &st->StreamWriterCoreType,
                     &st->StreamWriterType) < 0)
    {
        return -1;
    }
    return writer_coros_add(st);
}
