/* net/sockstream.c: SocketTransport, the type: making and dropping. Its methods
   stand in sockmethods.c.

   A real subclass of asyncio's _FlowControlMixin, and so of asyncio.Transport:
   the slots of those Python classes lie unused at the start of the struct.
   Every method is safe on an object whose __init__ has not run (it is closing
   and has no loop). The engine is in life.c, sockread.c, writebuf.c, extra.c.
   Cost: one object per connection, nothing else until somebody asks. */
#include "net/transport.h"

#include "base/args.h"
#include "base/errors.h"

/* -- new ------------------------------------------------------------------------------ */

const fa_wire sockstream_wire = {
    .readable = sockread_ready,
    .recv = sock_recv,
    .send = sock_send,
    .sendv = sock_sendv,
    .read_failed = "Fatal read error on socket transport",
    .write_failed = "Fatal write error on socket transport",
};

TransportObject *
transport_alloc(PyTypeObject *type, fa_state *st, const fa_wire *wire)
{
    TransportObject *self = (TransportObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->st = st;
    self->wire = wire;
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
    return st == NULL
               ? NULL
               : (PyObject *)transport_alloc(type, st, &sockstream_wire);
}

int
transport_open(TransportObject *self, LoopObject *loop, PyObject *protocol,
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

void
transport_abandon(TransportObject *self)
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
        transport_open(self, loop, protocol, waiter, server, context) < 0)
    {
        transport_abandon(self);
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
               PyObject *waiter, PyObject *extra, PyObject *server,
               PyObject *context)
{
    fa_state *st = loop->st;
    TransportObject *self = transport_alloc(st->SocketTransportType, st,
                                            &sockstream_wire);
    if (self != NULL && sockstream_init(self, loop, sock, protocol, waiter,
                                        extra, server, context) < 0)
    {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

/* A transport of those kinds for an fd, which it owns from here on; on failure
   (NULL) that stays with the caller. */
static PyObject *
sockstream_from_fd(LoopObject *loop, int fd, const int kinds[3],
                   const struct sockaddr_storage *peer, socklen_t peer_len,
                   PyObject *protocol, PyObject *waiter, PyObject *server,
                   PyObject *context)
{
    fa_state *st = loop->st;
    TransportObject *self = transport_alloc(st->SocketTransportType, st,
                                            &sockstream_wire);
    if (self == NULL) {
        return NULL;
    }
    self->fd = fd;
    self->family = kinds[0];
    self->type = kinds[1];
    self->proto = kinds[2];
    self->alive = 1;
    self->owns_fd = 1;
    if ((peer_len > 0 && transport_keep_peer(self, peer, peer_len) < 0) ||
        transport_open(self, loop, protocol, waiter, server, context) < 0)
    {
        self->owns_fd = 0; // it stays with the caller
        transport_abandon(self);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

PyObject *
sockstream_accepted(LoopObject *loop, int fd, const ListenerObject *from,
                    const struct sockaddr_storage *peer, socklen_t peer_len,
                    PyObject *protocol, PyObject *context)
{
    const int kinds[3] = {from->family, from->type, from->proto};
    return sockstream_from_fd(loop, fd, kinds, peer, peer_len, protocol, NULL,
                              from->server, context);
}

PyObject *
sockstream_connected(LoopObject *loop, int fd, int family, int proto,
                     const struct sockaddr_storage *peer, socklen_t peer_len,
                     PyObject *protocol, PyObject *waiter, PyObject *context)
{
    const int kinds[3] = {family, SOCK_STREAM, proto};
    return sockstream_from_fd(loop, fd, kinds, peer, peer_len, protocol,
                              waiter, NULL, context);
}

/* -- traverse, clear, dealloc ----------------------------------------------------------- */

int
transport_visit(TransportObject *self, visitproc visit, void *arg)
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
    Py_VISIT(self->raw);
    return 0;
}

static int
SocketTransport_traverse(TransportObject *self, visitproc visit, void *arg)
{
    int rc = transport_visit(self, visit, arg);
    if (rc != 0) {
        return rc;
    }
    return fa_base_slots_visit((PyTypeObject *)self->st->asyncio_FlowControl,
                               (PyObject *)self, visit, arg);
}

int
sockstream_claim(LoopObject *loop, PyObject *obj)
{
    TransportObject *self = (TransportObject *)obj;
    if (!PyObject_TypeCheck(obj, loop->st->SocketTransportType) ||
        !self->alive || self->loop != loop)
    {
        return 0;
    }
    return loop_io_claim(loop, self->fd, obj);
}

int
transport_clear(TransportObject *self)
{
    server_forget(self);
    if (self->loop != NULL) {
        loop_io_release(self->loop, self->fd, (PyObject *)self);
    }
    transport_drop_output(self);
    if (self->alive) {
        transport_close_fd_quietly(self);
    }
    Py_CLEAR(self->dict);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->context);
    Py_CLEAR(self->sock);
    Py_CLEAR(self->extra);
    Py_CLEAR(self->server);
    Py_CLEAR(self->empty_waiter);
    Py_CLEAR(self->raw);
    return 0;
}

/* asyncio's __del__: a transport that nobody has closed. */
void
transport_finalize(PyObject *op)
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
        transport_close_fd_quietly(self);
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
    fa_finalized_dealloc((PyObject *)self, (inquiry)transport_clear,
                         (PyTypeObject *)self->st->asyncio_FlowControl);
}

/* -- tables ------------------------------------------------------------------------------ */

PyObject *
transport_repr(TransportObject *self)
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

static PyMemberDef SocketTransport_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TransportObject, dict), READONLY,
     NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TransportObject, weakrefs),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot SocketTransport_slots[] = {
    {Py_tp_doc, (void *)
     "SocketTransport(loop, sock, protocol, waiter=None, extra=None,\n"
     "                server=None, context=None)\n--\n\n"
     "A stream transport over a connected socket that does not block. Loops\n"
     "make it. See asyncio.Transport."},
    {Py_tp_new, SocketTransport_new},
    {Py_tp_init, SocketTransport_init},
    {Py_tp_traverse, SocketTransport_traverse},
    {Py_tp_clear, transport_clear},
    {Py_tp_finalize, transport_finalize},
    {Py_tp_dealloc, SocketTransport_dealloc},
    {Py_tp_repr, transport_repr},
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
