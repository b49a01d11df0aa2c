/* net/sockmethods.c: the Python methods and attributes of SocketTransport. Each
   parses, calls one engine function and returns.

   The attributes with an underscore are asyncio's: its own start_tls and
   sendfile, and libraries, read them. HOT: SocketTransport_write. */
#include "net/transport.h"

#include "base/args.h"
#include "base/errors.h"

/* -- the door for streams ------------------------------------------------------------------- */

int
sockstream_is_plain(fa_state *st, PyObject *obj)
{
    return Py_IS_TYPE(obj, st->SocketTransportType) &&
           ((TransportObject *)obj)->dict == NULL;
}

int
sockstream_write(PyObject *transport, PyObject *data)
{
    return transport_write((TransportObject *)transport, data);
}

int
sockstream_is_closing(PyObject *transport)
{
    return ((TransportObject *)transport)->closing;
}

int
sockstream_pause_reading(PyObject *transport)
{
    TransportObject *self = (TransportObject *)transport;
    if (!transport_is_reading(self)) {
        return 0;
    }
    self->paused = 1;
    transport_stop_reading(self);
    return self->loop->debug ? transport_log_debug(self, "%r pauses reading")
                             : 0;
}

int
sockstream_resume_reading(PyObject *transport)
{
    TransportObject *self = (TransportObject *)transport;
    if (self->closing || !self->paused) {
        return 0;
    }
    self->paused = 0;
    if (FA_UNLIKELY(transport_start_reading(self) < 0)) {
        return transport_never_reads(self);
    }
    return self->loop->debug ? transport_log_debug(self, "%r resumes reading")
                             : 0;
}

/* -- methods: state ------------------------------------------------------------------------ */

static PyObject *
sockstream_none(int rc)
{
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static const fa_args get_extra_info_spec = {
    .fname = "BaseTransport.get_extra_info", .required = 1, .positional = 2,
    .python = 1, .total = 2, .names = {"name", "default"}};

PyObject *
SocketTransport_get_extra_info(TransportObject *self, PyObject *const *args,
                               Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&get_extra_info_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return transport_extra_info(self, out[0],
                                out[1] == NULL ? Py_None : out[1]);
}

PyObject *
SocketTransport_is_closing(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return PyBool_FromLong(self->closing);
}

PyObject *
SocketTransport_is_reading(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return PyBool_FromLong(transport_is_reading(self));
}

PyObject *
SocketTransport_close(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return sockstream_none(transport_close(self));
}

PyObject *
SocketTransport_abort(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return sockstream_none(transport_force_close(self, NULL));
}

static PyObject *
SocketTransport_force_close(TransportObject *self, PyObject *exc)
{
    return sockstream_none(
        transport_force_close(self, exc == Py_None ? NULL : exc));
}
FA_METHOD_ONE(SocketTransport_force_close, TransportObject,
              "_SelectorTransport._force_close", "exc")

static const fa_args fatal_error_spec = {
    .fname = "_SelectorTransport._fatal_error", .required = 1,
    .positional = 2, .python = 1, .total = 2, .names = {"exc", "message"}};

PyObject *
SocketTransport_fatal_error(TransportObject *self, PyObject *const *args,
                            Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&fatal_error_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    const char *message = out[1] == NULL ? "Fatal error on transport"
                                         : PyUnicode_AsUTF8(out[1]);
    return message == NULL
               ? NULL
               : sockstream_none(transport_fatal(self, out[0], message));
}

PyObject *
SocketTransport_call_connection_lost(TransportObject *self, PyObject *exc)
{
    return sockstream_none(
        transport_lost(self, exc == Py_None ? NULL : exc));
}

static PyObject *
SocketTransport_set_protocol(TransportObject *self, PyObject *protocol)
{
    return sockstream_none(transport_set_protocol(self, protocol));
}
FA_METHOD_ONE(SocketTransport_set_protocol, TransportObject,
              "_SelectorTransport.set_protocol", "protocol")

PyObject *
SocketTransport_get_protocol(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return Py_NewRef(self->protocol == NULL ? Py_None : self->protocol);
}

/* -- methods: reading ------------------------------------------------------------------------ */

static PyObject *
SocketTransport_pause_reading(PyObject *self, PyObject *Py_UNUSED(arg))
{
    return sockstream_none(sockstream_pause_reading(self));
}

static PyObject *
SocketTransport_resume_reading(PyObject *self, PyObject *Py_UNUSED(arg))
{
    return sockstream_none(sockstream_resume_reading(self));
}

static PyObject *
SocketTransport_add_reader(TransportObject *self, PyObject *Py_UNUSED(args))
{
    int rc = transport_start_reading(self);
    return sockstream_none(rc < 0 ? transport_never_reads(self) : 0);
}

/* -- methods: writing ------------------------------------------------------------------------- */

/* HOT */
static PyObject *
SocketTransport_write(TransportObject *self, PyObject *data)
{
    if (FA_UNLIKELY(transport_write(self, data) < 0)) {
        return NULL;
    }
    Py_RETURN_NONE;
}
FA_METHOD_ONE(SocketTransport_write, TransportObject,
              "_SelectorSocketTransport.write", "data")

static PyObject *
SocketTransport_writelines(TransportObject *self, PyObject *list)
{
    return sockstream_none(transport_writelines(self, list));
}
FA_METHOD_ONE(SocketTransport_writelines, TransportObject,
              "_SelectorSocketTransport.writelines", "list_of_data")

static PyObject *
SocketTransport_write_eof(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    if (self->closing || self->eof) {
        Py_RETURN_NONE;
    }
    if (transport_flush(self) < 0) {
        return NULL;
    }
    if (self->closing || self->eof) { // the flush has found it broken
        Py_RETURN_NONE;
    }
    self->eof = 1;
    return sockstream_none(self->out.size > 0 ? 0 : transport_shutdown(self));
}

static PyObject *
SocketTransport_can_write_eof(TransportObject *Py_UNUSED(self),
                              PyObject *Py_UNUSED(arg))
{
    Py_RETURN_TRUE;
}

static PyObject *
SocketTransport_flush(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return sockstream_none(transport_flush(self));
}

PyObject *
SocketTransport_get_write_buffer_size(TransportObject *self,
                                      PyObject *Py_UNUSED(arg))
{
    if (transport_flush(self) < 0) {
        return NULL;
    }
    return PyLong_FromSize_t(self->out.size);
}

PyObject *
SocketTransport_get_write_buffer_limits(TransportObject *self,
                                        PyObject *Py_UNUSED(arg))
{
    PyObject *low = PyLong_FromSize_t(self->low);
    PyObject *high = PyLong_FromSize_t(self->high);
    PyObject *pair = low == NULL || high == NULL ? NULL
                                                 : PyTuple_Pack(2, low, high);
    Py_XDECREF(low);
    Py_XDECREF(high);
    return pair;
}

static const fa_args set_limits_spec = {
    .fname = "_FlowControlMixin.set_write_buffer_limits", .required = 0,
    .positional = 2, .python = 1, .total = 2, .names = {"high", "low"}};

PyObject *
SocketTransport_set_write_buffer_limits(TransportObject *self,
                                        PyObject *const *args,
                                        Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&set_limits_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        out[i] = out[i] == Py_None ? NULL : out[i];
    }
    if (transport_set_limits(self, out[0], out[1]) < 0 ||
        transport_flush(self) < 0)
    {
        return NULL;
    }
    return sockstream_none(transport_maybe_pause(self));
}

PyObject *
SocketTransport_maybe_pause(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return sockstream_none(transport_maybe_pause(self));
}

PyObject *
SocketTransport_maybe_resume(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return sockstream_none(transport_maybe_resume(self));
}

static PyObject *
SocketTransport_make_empty_waiter(TransportObject *self,
                                  PyObject *Py_UNUSED(arg))
{
    if (self->empty_waiter != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Empty waiter is already set");
        return NULL;
    }
    if (self->loop == NULL) {
        PyErr_SetString(PyExc_ConnectionError, "Connection is closed by peer");
        return NULL;
    }
    if (transport_flush(self) < 0) {
        return NULL;
    }
    PyObject *waiter = PyObject_CallMethodNoArgs((PyObject *)self->loop,
                                                 self->st->str_create_future);
    if (waiter == NULL) {
        return NULL;
    }
    Py_XSETREF(self->empty_waiter, Py_NewRef(waiter));
    if (self->out.size == 0) {
        PyObject *res = PyObject_CallMethod(waiter, "set_result", "O",
                                            Py_None);
        if (res == NULL) {
            Py_CLEAR(waiter);
        }
        Py_XDECREF(res);
    }
    return waiter;
}

static PyObject *
SocketTransport_reset_empty_waiter(TransportObject *self,
                                   PyObject *Py_UNUSED(arg))
{
    Py_CLEAR(self->empty_waiter);
    Py_RETURN_NONE;
}

/* -- attributes of asyncio's transport that others read or set ---------------------------------- */

static PyObject *
sockstream_or_none(void *obj)
{
    return Py_NewRef(obj == NULL ? Py_None : (PyObject *)obj);
}

PyObject *
SocketTransport_get(TransportObject *self, void *closure)
{
    switch ((enum sockstream_field)(intptr_t)closure) {
        case FIELD_LOOP:
            return sockstream_or_none(self->loop);
        case FIELD_PROTOCOL:
            return sockstream_or_none(self->protocol);
        case FIELD_SERVER:
            return sockstream_or_none(self->server);
        case FIELD_CONTEXT:
            return sockstream_or_none(self->context);
        case FIELD_EMPTY_WAITER:
            return sockstream_or_none(self->empty_waiter);
        case FIELD_CLOSING:
            return PyBool_FromLong(self->closing);
        case FIELD_PAUSED:
            return PyBool_FromLong(self->paused);
        case FIELD_EOF:
            return PyBool_FromLong(self->eof);
        case FIELD_PROTO_PAUSED:
            return PyBool_FromLong(self->proto_paused);
        case FIELD_CONNECTED:
            return PyBool_FromLong(self->protocol != NULL);
        case FIELD_CONN_LOST:
            return PyLong_FromLong(self->conn_lost);
        case FIELD_FD:
            return PyLong_FromLong(self->fd);
        case FIELD_HIGH:
            return PyLong_FromSize_t(self->high);
        case FIELD_LOW:
            return PyLong_FromSize_t(self->low);
    }
    Py_UNREACHABLE();
}

PyObject *
SocketTransport_get_extra(TransportObject *self, void *Py_UNUSED(closure))
{
    return transport_extra(self);
}

PyObject *
SocketTransport_get_sock(TransportObject *self, void *Py_UNUSED(closure))
{
    if (transport_flush(self) < 0) {
        return NULL;
    }
    PyObject *shown = NULL;
    if (self->dict != NULL && self->alive) {
        shown = PyDict_GetItemString(self->dict, "_sock"); // see the setter
    }
    PyObject *sock = shown != NULL ? shown : transport_sock(self);
    if (sock == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return sockstream_or_none(sock);
}

/* A list of bytes: asyncio's deque, for those who look. */
static PyObject *
SocketTransport_get_buffer(TransportObject *self, void *Py_UNUSED(closure))
{
    PyObject *list = transport_flush(self) < 0 ? NULL : PyList_New(0);
    for (uint32_t i = self->out.head; list != NULL && i < self->out.tail; i++) {
        const fa_chunk *chunk = &self->out.chunks[i];
        PyObject *piece = PyBytes_FromStringAndSize(chunk->data,
                                                    (Py_ssize_t)chunk->len);
        if (piece == NULL || PyList_Append(list, piece) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(piece);
    }
    return list;
}

static PyObject *
SocketTransport_get_read_ready_cb(TransportObject *self,
                                  void *Py_UNUSED(closure))
{
    if (self->closing) {
        Py_RETURN_NONE;
    }
    return PyObject_GetAttrString((PyObject *)self, "_add_reader");
}

static int
SocketTransport_set_server(TransportObject *self, PyObject *value,
                           void *Py_UNUSED(closure))
{
    // asyncio: plain assignment; whoever sets it does _attach/_detach itself
    server_forget(self);
    Py_XSETREF(self->server,
               value == NULL || value == Py_None ? NULL : Py_NewRef(value));
    return 0;
}

/* Somebody shows a wrapper around our socket (tests do). It is kept for those
   who look; input, output and the close stay with the real one. */
int
SocketTransport_set_sock(TransportObject *self, PyObject *value,
                         void *Py_UNUSED(closure))
{
    if (self->dict == NULL && (self->dict = PyDict_New()) == NULL) {
        return -1;
    }
    return value == NULL
               ? PyDict_DelItemString(self->dict, "_sock")
               : PyDict_SetItemString(self->dict, "_sock", value);
}

/* -- tables ------------------------------------------------------------------------------------- */

#define METHOD(name, func, flags, text) \
    {name, (PyCFunction)(void (*)(void))SocketTransport_##func, flags, \
     PyDoc_STR(text)}
#define FAST (METH_FASTCALL | METH_KEYWORDS)

PyMethodDef SocketTransport_methods[] = {
    METHOD("get_extra_info", get_extra_info, FAST,
           "get_extra_info($self, name, default=None)\n--\n\n"
           "Get optional transport information."),
    METHOD("is_closing", is_closing, METH_NOARGS,
           "is_closing($self)\n--\n\n"
           "Return True if the transport is closing or closed."),
    METHOD("close", close, METH_NOARGS,
           "close($self)\n--\n\n"
           "Close the transport once pending data has been sent."),
    METHOD("abort", abort, METH_NOARGS,
           "abort($self)\n--\n\n"
           "Close the transport immediately; pending data is lost."),
    METHOD("set_protocol", set_protocol_kw, FAST,
           "set_protocol($self, protocol)\n--\n\nSet a new protocol."),
    METHOD("get_protocol", get_protocol, METH_NOARGS,
           "get_protocol($self)\n--\n\nReturn the current protocol."),
    METHOD("is_reading", is_reading, METH_NOARGS,
           "is_reading($self)\n--\n\n"
           "Return True if the transport is receiving."),
    METHOD("pause_reading", pause_reading, METH_NOARGS,
           "pause_reading($self)\n--\n\nPause the receiving end."),
    METHOD("resume_reading", resume_reading, METH_NOARGS,
           "resume_reading($self)\n--\n\nResume the receiving end."),
    METHOD("write", write_kw, FAST,
           "write($self, data)\n--\n\nWrite some data bytes."),
    METHOD("writelines", writelines_kw, FAST,
           "writelines($self, list_of_data)\n--\n\n"
           "Write a list (or any iterable) of data bytes."),
    METHOD("write_eof", write_eof, METH_NOARGS,
           "write_eof($self)\n--\n\n"
           "Close the write end once pending data has been sent."),
    METHOD("can_write_eof", can_write_eof, METH_NOARGS,
           "can_write_eof($self)\n--\n\n"
           "Return True if this transport supports write_eof()."),
    METHOD("get_write_buffer_size", get_write_buffer_size, METH_NOARGS,
           "get_write_buffer_size($self)\n--\n\n"
           "Return the number of bytes the kernel has not taken yet."),
    METHOD("get_write_buffer_limits", get_write_buffer_limits, METH_NOARGS,
           "get_write_buffer_limits($self)\n--\n\n"
           "Return (low, high), the water marks of the write buffer."),
    METHOD("set_write_buffer_limits", set_write_buffer_limits, FAST,
           "set_write_buffer_limits($self, high=None, low=None)\n--\n\n"
           "Set the water marks of write flow control."),
    METHOD("_set_write_buffer_limits", set_write_buffer_limits, FAST, NULL),
    METHOD("_maybe_pause_protocol", maybe_pause, METH_NOARGS, NULL),
    METHOD("_maybe_resume_protocol", maybe_resume, METH_NOARGS, NULL),
    METHOD("_force_close", force_close_kw, FAST, NULL),
    METHOD("_fatal_error", fatal_error, FAST, NULL),
    METHOD("_call_connection_lost", call_connection_lost, METH_O, NULL),
    METHOD("_add_reader", add_reader, METH_VARARGS, NULL),
    METHOD("_write_ready", flush, METH_NOARGS, NULL),
    METHOD("_make_empty_waiter", make_empty_waiter, METH_NOARGS, NULL),
    METHOD("_reset_empty_waiter", reset_empty_waiter, METH_NOARGS, NULL),
    {NULL, NULL, 0, NULL},
};

#define FIELD(name, field) \
    {name, (getter)SocketTransport_get, NULL, NULL, (void *)(intptr_t)(field)}

PyGetSetDef SocketTransport_getset[] = {
    FIELD("_loop", FIELD_LOOP),
    FIELD("_protocol", FIELD_PROTOCOL),
    FIELD("_context", FIELD_CONTEXT),
    FIELD("_empty_waiter", FIELD_EMPTY_WAITER),
    FIELD("_closing", FIELD_CLOSING),
    FIELD("_paused", FIELD_PAUSED),
    FIELD("_eof", FIELD_EOF),
    FIELD("_protocol_paused", FIELD_PROTO_PAUSED),
    FIELD("_protocol_connected", FIELD_CONNECTED),
    FIELD("_conn_lost", FIELD_CONN_LOST),
    FIELD("_sock_fd", FIELD_FD),
    FIELD("_high_water", FIELD_HIGH),
    FIELD("_low_water", FIELD_LOW),
    {"_server", (getter)SocketTransport_get,
     (setter)SocketTransport_set_server, NULL, (void *)FIELD_SERVER},
    {"_extra", (getter)SocketTransport_get_extra, NULL, NULL, NULL},
    {"_sock", (getter)SocketTransport_get_sock,
     (setter)SocketTransport_set_sock, NULL, NULL},
    {"_buffer", (getter)SocketTransport_get_buffer, NULL, NULL, NULL},
    {"_read_ready_cb", (getter)SocketTransport_get_read_ready_cb, NULL, NULL,
     NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
