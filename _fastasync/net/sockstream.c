/* net/sockstream.c: SocketTransport, the type: making, dropping, and the
   Python methods, which parse, call one engine function and return.

   A real subclass of asyncio's _FlowControlMixin, and so of asyncio.Transport:
   the slots of those Python classes lie unused at the start of the struct.
   Every method is safe on an object whose __init__ has not run (it is closing
   and has no loop). The engine is in life.c, sockread.c, writebuf.c, extra.c.
   Cost: one object per connection, nothing else until somebody asks. */
#include "net/transport.h"

#include "base/args.h"
#include "base/errors.h"

/* -- new ------------------------------------------------------------------------------ */

/* A blank transport that reads as closed. */
static TransportObject *
sockstream_alloc(PyTypeObject *type, fa_state *st)
{
    TransportObject *self = (TransportObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->st = st;
    self->fd = -1;
    self->fd_cell = &self->fd;
    self->closing = 1;
    self->conn_lost = 1;
    self->high = 64 * 1024;
    self->low = 16 * 1024;
    writebuf_init(&self->out);
    return self;
}

static PyObject *
SocketTransport_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                    PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    return st == NULL ? NULL : (PyObject *)sockstream_alloc(type, st);
}

/* The second half of making: the fd is there. 0 or -1. */
static int
sockstream_open(TransportObject *self, LoopObject *loop, PyObject *protocol,
                PyObject *waiter, PyObject *server, PyObject *context)
{
    self->context = context == NULL || context == Py_None
                        ? PyContext_CopyCurrent()
                        : Py_NewRef(context);
    if (self->context == NULL || transport_set_protocol(self, protocol) < 0) {
        return -1;
    }
    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
    self->closing = 0;
    self->conn_lost = 0;
    if (server != NULL && server != Py_None) {
        self->server = Py_NewRef(server);
        if (server_attach(self) < 0) {
            return -1;
        }
    }
    if (loop_io_claim(loop, self->fd, (PyObject *)self) < 0) {
        return -1;
    }
    return transport_begin(self, waiter);
}

/* Making failed: nothing may come of it any more, and the socket stays with
   whoever brought it. The exception is kept. */
static void
sockstream_abandon(TransportObject *self)
{
    PyObject *error = fa_err_take();
    LoopObject *loop = self->loop;
    self->conn_lost = 1;
    self->closing = 1;
    self->lost = 1;
    self->alive = 0;
    if (loop != NULL) {
        loop_io_release(loop, self->fd, (PyObject *)self);
    }
    if (server_detach(self) < 0) {
        fa_err_unraisable((PyObject *)self);
    }
    fa_err_restore(error);
}

/* asyncio's _make_socket_transport refuses a socket that is in use. */
static int
sockstream_check_unused(TransportObject *self, LoopObject *loop, PyObject *sock)
{
    PyObject *owner = loop_io_owner(loop, self->fd);
    if (owner == NULL || !Py_IS_TYPE(owner, self->st->SocketTransportType) ||
        ((TransportObject *)owner)->closing)
    {
        return 0;
    }
    Py_INCREF(owner);
    PyErr_Format(PyExc_RuntimeError,
                 "File descriptor %R is used by transport %R", sock, owner);
    Py_DECREF(owner);
    return -1;
}

static int
sockstream_init(TransportObject *self, LoopObject *loop, PyObject *sock,
                PyObject *protocol, PyObject *waiter, PyObject *extra,
                PyObject *server, PyObject *context)
{
    if (self->loop != NULL || self->lost) {
        PyErr_SetString(PyExc_RuntimeError,
                        "SocketTransport object already initialized");
        return -1;
    }
    if (extra != NULL && extra != Py_None) {
        if (!PyDict_Check(extra)) {
            PyErr_SetString(PyExc_TypeError, "extra must be a dict or None");
            return -1;
        }
        Py_XSETREF(self->extra, Py_NewRef(extra));
    }
    if (context != NULL && context != Py_None &&
        !PyContext_CheckExact(context))
    {
        PyErr_SetString(PyExc_TypeError,
                        "context must be a Context object or None");
        return -1;
    }
    if (transport_adopt(self, sock) < 0 ||
        sockstream_check_unused(self, loop, sock) < 0 ||
        sockstream_open(self, loop, protocol, waiter, server, context) < 0)
    {
        sockstream_abandon(self);
        return -1;
    }
    return 0;
}

static const fa_args SocketTransport_init_spec = {
    .fname = "SocketTransport.__init__", .required = 3, .positional = 7,
    .python = 1, .total = 7,
    .names = {"loop", "sock", "protocol", "waiter", "extra", "server",
              "context"}};

static int
SocketTransport_init(TransportObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *out[7];
    if (fa_args_parse_tuple(&SocketTransport_init_spec, args, kwargs, out) <
        0)
    {
        return -1;
    }
    if (!loop_check(self->st, out[0])) {
        PyErr_Format(PyExc_TypeError, "loop must be a fastasync loop, not %R",
                     out[0]);
        return -1;
    }
    return sockstream_init(self, (LoopObject *)out[0], out[1], out[2], out[3],
                           out[4], out[5], out[6]);
}

PyObject *
sockstream_new(LoopObject *loop, PyObject *sock, PyObject *protocol,
               PyObject *waiter, PyObject *extra, PyObject *server)
{
    fa_state *st = loop->st;
    TransportObject *self = sockstream_alloc(st->SocketTransportType, st);
    if (self != NULL && sockstream_init(self, loop, sock, protocol, waiter,
                                        extra, server, NULL) < 0)
    {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

PyObject *
sockstream_accepted(LoopObject *loop, int fd, const ListenerObject *from,
                    const struct sockaddr_storage *peer, socklen_t peer_len,
                    PyObject *protocol, PyObject *context)
{
    fa_state *st = loop->st;
    TransportObject *self = sockstream_alloc(st->SocketTransportType, st);
    if (self == NULL) {
        return NULL;
    }
    self->fd = fd;
    self->family = from->family;
    self->type = from->type;
    self->proto = from->proto;
    self->alive = 1;
    self->owns_fd = 1;
    if (transport_keep_peer(self, peer, peer_len) < 0 ||
        sockstream_open(self, loop, protocol, NULL, from->server, context) <
            0)
    {
        self->owns_fd = 0; // it stays with the caller
        sockstream_abandon(self);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

/* -- traverse, clear, dealloc ----------------------------------------------------------- */

static int
SocketTransport_traverse(TransportObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->dict);
    Py_VISIT((PyObject *)self->loop);
    Py_VISIT(self->protocol);
    Py_VISIT(self->context);
    Py_VISIT(self->sock);
    Py_VISIT(self->extra);
    Py_VISIT(self->server);
    Py_VISIT(self->empty_waiter);
    return fa_base_slots_visit((PyTypeObject *)self->st->asyncio_FlowControl,
                               (PyObject *)self, visit, arg);
}

static int
SocketTransport_clear(TransportObject *self)
{
    server_forget(self);
    if (self->loop != NULL) {
        loop_io_release(self->loop, self->fd, (PyObject *)self);
    }
    transport_drop_output(self);
    if (self->alive) {
        transport_close_fd(self);
    }
    Py_CLEAR(self->dict);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->context);
    Py_CLEAR(self->sock);
    Py_CLEAR(self->extra);
    Py_CLEAR(self->server);
    Py_CLEAR(self->empty_waiter);
    return 0;
}

/* asyncio's __del__: a transport that nobody has closed. */
static void
SocketTransport_finalize(PyObject *op)
{
    TransportObject *self = (TransportObject *)op;
    if (!self->alive) {
        return;
    }
    PyObject *error = fa_err_take();
    if (PyErr_ResourceWarning(op, 1, "unclosed transport %R", op) < 0) {
        fa_err_unraisable(op);
    }
    if (self->alive) { // the warning runs Python code
        transport_flush_quietly(self);
        transport_drop_output(self);
        transport_stop_reading(self);
        transport_keep_name(self);
        if (self->loop != NULL) {
            loop_io_release(self->loop, self->fd, op);
        }
        transport_close_fd(self);
        self->conn_lost += self->conn_lost == 0;
        self->closing = 1;
        if (server_detach(self) < 0) {
            fa_err_unraisable(op);
        }
    }
    fa_err_restore(error);
}

static void
SocketTransport_dealloc(TransportObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    fa_state *st = self->st;
    if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
        return; // resurrected
    }
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    SocketTransport_clear(self);
    fa_base_slots_clear((PyTypeObject *)st->asyncio_FlowControl,
                        (PyObject *)self);
    type->tp_free(self);
    Py_DECREF(type);
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

static PyObject *
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

static PyObject *
SocketTransport_is_closing(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return PyBool_FromLong(self->closing);
}

static PyObject *
SocketTransport_is_reading(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return PyBool_FromLong(transport_is_reading(self));
}

static PyObject *
SocketTransport_close(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return sockstream_none(transport_close(self));
}

static PyObject *
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

static const fa_args fatal_error_spec = {
    .fname = "_SelectorTransport._fatal_error", .required = 1,
    .positional = 2, .python = 1, .total = 2, .names = {"exc", "message"}};

static PyObject *
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

static PyObject *
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

static PyObject *
SocketTransport_get_protocol(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return Py_NewRef(self->protocol == NULL ? Py_None : self->protocol);
}

static PyObject *
SocketTransport_repr(TransportObject *self)
{
    PyObject *name = PyType_GetName(Py_TYPE(self));
    if (name == NULL) {
        return NULL;
    }
    const char *state = !self->alive ? " closed" : self->closing ? " closing"
                                                                 : "";
    PyObject *repr;
    if (self->loop == NULL || self->loop->closed) {
        repr = PyUnicode_FromFormat("<%U%s fd=%d>", name, state, self->fd);
    }
    else {
        repr = PyUnicode_FromFormat(
            "<%U%s fd=%d read=%s write=<%s, bufsize=%zu>>", name, state,
            self->fd, self->reading ? "polling" : "idle",
            self->blocked ? "polling" : "idle", self->out.size);
    }
    Py_DECREF(name);
    return repr;
}

/* -- methods: reading ------------------------------------------------------------------------ */

static PyObject *
SocketTransport_pause_reading(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    if (transport_is_reading(self)) {
        self->paused = 1;
        transport_stop_reading(self);
        if (self->loop->debug) {
            return sockstream_none(
                transport_log_debug(self, "%r pauses reading"));
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
SocketTransport_resume_reading(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    if (self->closing || !self->paused) {
        Py_RETURN_NONE;
    }
    self->paused = 0;
    if (transport_start_reading(self) < 0) {
        return NULL;
    }
    if (self->loop->debug) {
        return sockstream_none(
            transport_log_debug(self, "%r resumes reading"));
    }
    Py_RETURN_NONE;
}

static PyObject *
SocketTransport_add_reader(TransportObject *self, PyObject *Py_UNUSED(args))
{
    return sockstream_none(transport_start_reading(self));
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

static PyObject *
SocketTransport_writelines(TransportObject *self, PyObject *list)
{
    return sockstream_none(transport_writelines(self, list));
}

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

static PyObject *
SocketTransport_get_write_buffer_size(TransportObject *self,
                                      PyObject *Py_UNUSED(arg))
{
    if (transport_flush(self) < 0) {
        return NULL;
    }
    return PyLong_FromSize_t(self->out.size);
}

static PyObject *
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

static PyObject *
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

static PyObject *
SocketTransport_maybe_pause(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return sockstream_none(transport_maybe_pause(self));
}

static PyObject *
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

/* One getter for everything that is a reference or a flag: the closure says
   which. */
enum sockstream_field {
    FIELD_LOOP,
    FIELD_PROTOCOL,
    FIELD_SERVER,
    FIELD_CONTEXT,
    FIELD_EMPTY_WAITER,
    FIELD_CLOSING,
    FIELD_PAUSED,
    FIELD_EOF,
    FIELD_PROTO_PAUSED,
    FIELD_CONNECTED,
    FIELD_CONN_LOST,
    FIELD_FD,
    FIELD_HIGH,
    FIELD_LOW,
};

static PyObject *
sockstream_or_none(void *obj)
{
    return Py_NewRef(obj == NULL ? Py_None : (PyObject *)obj);
}

static PyObject *
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

static PyObject *
SocketTransport_get_extra(TransportObject *self, void *Py_UNUSED(closure))
{
    return transport_extra(self);
}

static PyObject *
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
static int
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

static PyMethodDef SocketTransport_methods[] = {
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
    METHOD("set_protocol", set_protocol, METH_O,
           "set_protocol($self, protocol, /)\n--\n\nSet a new protocol."),
    METHOD("get_protocol", get_protocol, METH_NOARGS,
           "get_protocol($self)\n--\n\nReturn the current protocol."),
    METHOD("is_reading", is_reading, METH_NOARGS,
           "is_reading($self)\n--\n\n"
           "Return True if the transport is receiving."),
    METHOD("pause_reading", pause_reading, METH_NOARGS,
           "pause_reading($self)\n--\n\nPause the receiving end."),
    METHOD("resume_reading", resume_reading, METH_NOARGS,
           "resume_reading($self)\n--\n\nResume the receiving end."),
    METHOD("write", write, METH_O,
           "write($self, data, /)\n--\n\nWrite some data bytes."),
    METHOD("writelines", writelines, METH_O,
           "writelines($self, list_of_data, /)\n--\n\n"
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
    METHOD("_force_close", force_close, METH_O, NULL),
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

static PyGetSetDef SocketTransport_getset[] = {
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

static PyMemberDef SocketTransport_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TransportObject, dict), READONLY,
     NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TransportObject, weakrefs),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot SocketTransport_slots[] = {
    {Py_tp_doc, (void *)"A stream transport over a connected socket."},
    {Py_tp_new, SocketTransport_new},
    {Py_tp_init, SocketTransport_init},
    {Py_tp_traverse, SocketTransport_traverse},
    {Py_tp_clear, SocketTransport_clear},
    {Py_tp_finalize, SocketTransport_finalize},
    {Py_tp_dealloc, SocketTransport_dealloc},
    {Py_tp_repr, SocketTransport_repr},
    {Py_tp_methods, SocketTransport_methods},
    {Py_tp_getset, SocketTransport_getset},
    {Py_tp_members, SocketTransport_members},
    {0, NULL},
};

static PyType_Spec SocketTransport_spec = {
    .name = "fastasync.SocketTransport",
    .basicsize = sizeof(TransportObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = SocketTransport_slots,
};

/* Class attributes that asyncio's start_tls and sendfile look for. */
static int
sockstream_type_attrs(fa_state *st)
{
    PyObject *type = (PyObject *)st->SocketTransportType;
    PyObject *modes = PyObject_GetAttrString(st->mod_constants,
                                             "_SendfileMode");
    PyObject *native = modes == NULL
                           ? NULL
                           : PyObject_GetAttrString(modes, "TRY_NATIVE");
    PyObject *max_size = PyLong_FromLong(256 * 1024);
    int rc = native == NULL || max_size == NULL ||
                     PyObject_SetAttrString(type, "_sendfile_compatible",
                                            native) < 0 ||
                     PyObject_SetAttrString(type, "_start_tls_compatible",
                                            Py_True) < 0 ||
                     PyObject_SetAttrString(type, "max_size", max_size) < 0
                 ? -1
                 : 0;
    Py_XDECREF(modes);
    Py_XDECREF(native);
    Py_XDECREF(max_size);
    return rc;
}

int
sockstream_type_init(PyObject *module, fa_state *st)
{
    PyTypeObject *base = (PyTypeObject *)st->asyncio_FlowControl;
    if (base->tp_basicsize > (Py_ssize_t)offsetof(TransportObject, dict)) {
        PyErr_SetString(PyExc_ImportError,
                        "asyncio.Transport is larger than expected");
        return -1;
    }
    if (fa_type_new(module, &SocketTransport_spec, (PyObject *)base,
                    &st->SocketTransportType) < 0 ||
        sockstream_type_attrs(st) < 0)
    {
        return -1;
    }
    return PyModule_AddObjectRef(module, "SocketTransport",
                                 (PyObject *)st->SocketTransportType);
}
