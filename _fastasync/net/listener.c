/* net/listener.c: the object that stands for a listening socket in the loop: what
   _start_serving was given, and what the sockets it accepts will be like.
   accept.c works on it. Never seen by Python. */
#include "net/transport.h"

static int
Listener_traverse(ListenerObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->sock);
    Py_VISIT(self->factory);
    Py_VISIT(self->server);
    Py_VISIT(self->context);
    Py_VISIT(self->given_context);
    Py_VISIT(self->sslcontext);
    Py_VISIT(self->backlog);
    Py_VISIT(self->handshake_timeout);
    Py_VISIT(self->shutdown_timeout);
    return 0;
}

static int
Listener_clear(ListenerObject *self)
{
    Py_CLEAR(self->sock);
    Py_CLEAR(self->factory);
    Py_CLEAR(self->server);
    Py_CLEAR(self->context);
    Py_CLEAR(self->given_context);
    Py_CLEAR(self->sslcontext);
    Py_CLEAR(self->backlog);
    Py_CLEAR(self->handshake_timeout);
    Py_CLEAR(self->shutdown_timeout);
    return 0;
}

static void
Listener_dealloc(ListenerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Listener_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* An int attribute of a Python socket; -1 with an exception. */
static int
listener_number(PyObject *sock, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(sock, name);
    long number = value == NULL ? -1 : PyLong_AsLong(value);
    Py_XDECREF(value);
    return (int)number;
}

/* What accepted sockets will be. 0 or -1. */
static int
listener_ask_socket(ListenerObject *self)
{
    fa_state *st = self->st;
    PyObject *fd = PyObject_CallMethodNoArgs(self->sock, st->str_fileno);
    self->fd = fd == NULL ? -1 : (int)PyLong_AsLong(fd);
    Py_XDECREF(fd);
    if (self->fd < 0 && !PyErr_Occurred()) {
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %d",
                     self->fd);
    }
    if (!PyErr_Occurred()) {
        self->family = listener_number(self->sock, st->str_family);
    }
    if (!PyErr_Occurred()) {
        self->type = listener_number(self->sock, st->str_type);
    }
    if (!PyErr_Occurred()) {
        self->proto = listener_number(self->sock, st->str_proto);
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* backlog + 1, as a sane number. */
static int
listener_batch(PyObject *backlog, int *batch)
{
    int overflow;
    long value = PyLong_AsLongAndOverflow(backlog, &overflow);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    *batch = overflow > 0 || value > 65535 ? 65536
             : overflow < 0 || value < 0   ? 1
                                           : (int)value + 1;
    return 0;
}

ListenerObject *
listener_new(fa_state *st, PyObject *const *args)
{
    PyTypeObject *type = st->ListenerType;
    ListenerObject *self = (ListenerObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->st = st;
    self->factory = Py_NewRef(args[0]);
    self->sock = Py_NewRef(args[1]);
    self->sslcontext = Py_NewRef(args[2]);
    self->server = Py_NewRef(args[3]);
    self->backlog = Py_NewRef(args[4]);
    self->handshake_timeout = Py_NewRef(args[5]);
    self->shutdown_timeout = Py_NewRef(args[6]);
    self->given_context = Py_NewRef(args[7]);
    self->context = PyContext_CheckExact(args[7]) ? Py_NewRef(args[7])
                                                  : PyContext_CopyCurrent();
    if (self->context == NULL || listener_ask_socket(self) < 0 ||
        listener_batch(self->backlog, &self->batch) < 0)
    {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

static PyType_Slot Listener_slots[] = {
    {Py_tp_doc, (void *)"A listening socket that is being served."},
    {Py_tp_traverse, Listener_traverse},
    {Py_tp_clear, Listener_clear},
    {Py_tp_dealloc, Listener_dealloc},
    {0, NULL},
};

static PyType_Spec Listener_spec = {
    .name = "_fastasync.Listener",
    .basicsize = sizeof(ListenerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Listener_slots,
};

int
listener_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &Listener_spec, NULL, &st->ListenerType);
}
