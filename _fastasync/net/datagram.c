/* net/datagram.c: DatagramSocketTransport, the type: making and dropping. Its methods
   stand in datagram_methods.c.

   A real subclass of asyncio's _FlowControlMixin (and so of asyncio.Transport)
   and of asyncio.DatagramTransport, as asyncio's own is. The engine is in
   datagram_read.c and datagram_write.c, and for what all transports have in
   common in life.c, flow.c, extra.c. Every method is safe on an object whose
   __init__ has not run. Cost: one object per endpoint; tables and queues come
   when they are needed. */
#include "net/datagram.h"

#include "base/args.h"
#include "base/errors.h"

/* -- new ------------------------------------------------------------------------------ */

static const fa_wire datagram_wire = {
    .readable = datagram_ready,
    .flush = datagram_flush,
    .drop = datagram_drop,
    .read_failed = "Fatal read error on datagram transport",
    .write_failed = "Fatal write error on datagram transport",
};

static PyObject *
DatagramTransport_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                      PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    return st == NULL ? NULL
                      : (PyObject *)transport_alloc(type, st, &datagram_wire);
}

/* May recvfrom, send and sendto of this socket be done without it? 1, 0 or -1.
   Not if a subclass has its own (proxies), or it is no socket at all (tests). */
static int
datagram_is_plain(DatagramObject *self, PyObject *sock)
{
    static const char *const names[] = {"recvfrom", "send", "sendto"};
    fa_state *st = self->t.st;
    if (self->t.fd_cell == &self->t.fd) {
        return 0; // see extra.c
    }
    for (size_t i = 0; i < FA_ARRAY_LEN(names); i++) {
        PyObject *theirs = PyObject_GetAttrString((PyObject *)Py_TYPE(sock),
                                                  names[i]);
        PyObject *plain = theirs == NULL
                              ? NULL
                              : PyObject_GetAttrString(st->socket_type,
                                                       names[i]);
        Py_XDECREF(theirs);
        Py_XDECREF(plain);
        if (plain == NULL || theirs != plain) {
            return plain == NULL ? -1 : 0;
        }
    }
    return 1;
}

/* What kind of socket it is. 0 or -1. */
static int
datagram_adopt(DatagramObject *self, PyObject *sock, PyObject *address)
{
    TransportObject *t = &self->t;
    if (transport_adopt(t, sock) < 0) {
        return -1;
    }
    // as asyncio: what it is now, though the first datagram may bind it
    transport_keep_name(t);
    self->family = sock_family(t->fd);
    int known = self->family == AF_INET || self->family == AF_INET6 ||
                self->family == AF_UNIX;
    int plain = known ? datagram_is_plain(self, sock) : 0;
    PyObject *peer = plain < 0 ? NULL
                               : transport_extra_info(
                                     t, t->st->str_peername, Py_None);
    int connected = peer == NULL ? -1 : PyObject_IsTrue(peer);
    Py_XDECREF(peer);
    int has_address = connected < 0 ? -1 : PyObject_IsTrue(address);
    if (has_address < 0) {
        return -1;
    }
    self->python = !plain;
    self->connected = (unsigned)connected & 1;
    self->has_address = (unsigned)has_address & 1;
    Py_XSETREF(self->address, Py_NewRef(address));
    return 0;
}

static int
datagram_init(DatagramObject *self, LoopObject *loop, PyObject *sock,
              PyObject *protocol, PyObject *address, PyObject *waiter,
              PyObject *extra)
{
    TransportObject *t = &self->t;
    if (t->loop != NULL || t->lost) {
        PyErr_SetString(PyExc_RuntimeError,
                        "DatagramSocketTransport object already initialized");
        return -1;
    }
    if (extra != NULL && extra != Py_None) {
        if (!PyDict_Check(extra)) {
            PyErr_SetString(PyExc_TypeError, "extra must be a dict or None");
            return -1;
        }
        Py_XSETREF(t->extra, Py_NewRef(extra));
    }
    if (datagram_adopt(self, sock, address == NULL ? Py_None : address) < 0 ||
        transport_open(t, loop, protocol, waiter, NULL, NULL) < 0)
    {
        transport_abandon(t);
        return -1;
    }
    return 0;
}

static const fa_args DatagramTransport_init_spec = {
    .fname = "DatagramSocketTransport.__init__", .required = 3, .positional = 6,
    .python = 1, .total = 6,
    .names = {"loop", "sock", "protocol", "address", "waiter", "extra"}};

static int
DatagramTransport_init(DatagramObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *out[6];
    if (fa_args_parse_tuple(&DatagramTransport_init_spec, args, kwargs, out) <
        0)
    {
        return -1;
    }
    if (!loop_check(self->t.st, out[0])) {
        PyErr_Format(PyExc_TypeError, "loop must be a fastasync loop, not %R",
                     out[0]);
        return -1;
    }
    return datagram_init(self, (LoopObject *)out[0], out[1], out[2], out[3],
                         out[4], out[5]);
}

/* -- traverse, clear, dealloc ----------------------------------------------------------- */

static int
DatagramTransport_traverse(DatagramObject *self, visitproc visit, void *arg)
{
    int rc = transport_visit(&self->t, visit, arg);
    if (rc != 0) {
        return rc;
    }
    Py_VISIT(self->address);
    // what has been received and where from is bytes, str and int; what is to
    // be sent can have an address of any kind
    for (uint32_t i = self->head; i != self->tail; i++) {
        Py_VISIT(self->queue[i & (self->capacity - 1)].addr);
    }
    return fa_base_slots_visit((PyTypeObject *)self->t.st->asyncio_FlowControl,
                               (PyObject *)self, visit, arg);
}

static int
DatagramTransport_clear(DatagramObject *self)
{
    transport_clear(&self->t);
    datagram_drop_inbox(self);
    datagram_forget(self);
    self->has_address = 0;
    Py_CLEAR(self->address);
    return 0;
}

static void
DatagramTransport_dealloc(DatagramObject *self)
{
    fa_finalized_dealloc((PyObject *)self, (inquiry)DatagramTransport_clear,
                         (PyTypeObject *)self->t.st->asyncio_FlowControl);
}

/* -- tables ------------------------------------------------------------------------------ */

static PyMemberDef DatagramTransport_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TransportObject, dict), READONLY,
     NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TransportObject, weakrefs),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot DatagramTransport_slots[] = {
    {Py_tp_doc, (void *)
     "DatagramSocketTransport(loop, sock, protocol, address=None, waiter=None,\n"
     "                  extra=None)\n--\n\n"
     "A transport over a datagram socket that does not block. Loops make it.\n"
     "See asyncio.DatagramTransport."},
    {Py_tp_new, DatagramTransport_new},
    {Py_tp_init, DatagramTransport_init},
    {Py_tp_traverse, DatagramTransport_traverse},
    {Py_tp_clear, DatagramTransport_clear},
    {Py_tp_finalize, transport_finalize},
    {Py_tp_dealloc, DatagramTransport_dealloc},
    {Py_tp_repr, transport_repr},
    {Py_tp_methods, DatagramTransport_methods},
    {Py_tp_getset, DatagramTransport_getset},
    {Py_tp_members, DatagramTransport_members},
    {0, NULL},
};

static PyType_Spec DatagramTransport_spec = {
    .name = "fastasync.DatagramSocketTransport",
    .basicsize = sizeof(DatagramObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = DatagramTransport_slots,
};

/* Class attributes that asyncio's has. */
static int
datagram_type_attrs(fa_state *st)
{
    PyObject *type = (PyObject *)st->DatagramTransportType;
    PyObject *size = PyLong_FromLong(256 * 1024);
    PyObject *header = PyLong_FromLong(FA_DATAGRAM_HEADER);
    int rc = size == NULL || header == NULL ||
                     PyObject_SetAttrString(type, "max_size", size) < 0 ||
                     PyObject_SetAttrString(type, "_header_size", header) < 0
                 ? -1
                 : 0;
    Py_XDECREF(size);
    Py_XDECREF(header);
    return rc;
}

int
datagram_type_init(PyObject *module, fa_state *st)
{
    PyObject *bases = PyTuple_Pack(2, st->asyncio_FlowControl,
                                   st->asyncio_DatagramTransport);
    int rc = bases == NULL ? -1
                           : fa_type_new(module, &DatagramTransport_spec,
                                         bases, &st->DatagramTransportType);
    Py_XDECREF(bases);
    if (rc < 0 || datagram_type_attrs(st) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "DatagramSocketTransport",
                                 (PyObject *)st->DatagramTransportType);
}
