/* net/datagram_methods.c: the Python methods and attributes of
   DatagramTransport. Each parses, calls one engine function and returns; what
   SocketTransport has as well is its (sockmethods.c).

   The attributes with an underscore are asyncio's: libraries and tests read
   them. HOT: DatagramTransport_sendto. */
#include "net/datagram.h"

#include "base/args.h"

/* -- methods ------------------------------------------------------------------------------ */

static PyObject *
datagram_none(int rc)
{
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static const fa_args sendto_spec = {
    .fname = "_SelectorDatagramTransport.sendto", .required = 1,
    .positional = 2, .python = 1, .total = 2, .names = {"data", "addr"}};

/* HOT */
static PyObject *
DatagramTransport_sendto(DatagramObject *self, PyObject *const *args,
                         Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    int rc;
    if (FA_LIKELY(nargs == 2 && kwnames == NULL)) {
        rc = datagram_sendto(self, args[0], args[1]);
    }
    else if (fa_args_parse(&sendto_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    else {
        rc = datagram_sendto(self, out[0], out[1] == NULL ? Py_None : out[1]);
    }
    if (FA_UNLIKELY(rc < 0)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
DatagramTransport_set_protocol(TransportObject *self, PyObject *protocol)
{
    return datagram_none(transport_set_protocol(self, protocol));
}
FA_METHOD_ONE(DatagramTransport_set_protocol, TransportObject,
              "_SelectorTransport.set_protocol", "protocol")

static PyObject *
DatagramTransport_force_close(TransportObject *self, PyObject *exc)
{
    return datagram_none(
        transport_force_close(self, exc == Py_None ? NULL : exc));
}
FA_METHOD_ONE(DatagramTransport_force_close, TransportObject,
              "_SelectorTransport._force_close", "exc")

static PyObject *
DatagramTransport_pause_reading(PyObject *self, PyObject *Py_UNUSED(arg))
{
    return datagram_none(sockstream_pause_reading(self));
}

static PyObject *
DatagramTransport_resume_reading(PyObject *self, PyObject *Py_UNUSED(arg))
{
    if (sockstream_resume_reading(self) < 0) {
        return NULL;
    }
    return datagram_none(datagram_await_inbox((DatagramObject *)self));
}

static PyObject *
DatagramTransport_add_reader(TransportObject *self, PyObject *Py_UNUSED(args))
{
    return datagram_none(transport_start_reading(self));
}

static PyObject *
DatagramTransport_read_ready(DatagramObject *self, PyObject *Py_UNUSED(arg))
{
    if (self->t.loop == NULL) {
        Py_RETURN_NONE;
    }
    return datagram_none(
        datagram_ready(self->t.loop, Py_NewRef((PyObject *)self), NULL));
}

static PyObject *
DatagramTransport_sendto_ready(DatagramObject *self, PyObject *Py_UNUSED(arg))
{
    return datagram_none(datagram_sendto_ready(self));
}

/* -- attributes ----------------------------------------------------------------------------- */

static PyObject *
DatagramTransport_get_address(DatagramObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->address == NULL ? Py_None : self->address);
}

static PyObject *
DatagramTransport_get_buffer_size(TransportObject *self,
                                  void *Py_UNUSED(closure))
{
    return SocketTransport_get_write_buffer_size(self, NULL);
}

/* asyncio's deque of (data, addr), for those who look. */
static PyObject *
DatagramTransport_get_buffer(DatagramObject *self, void *Py_UNUSED(closure))
{
    if (transport_flush(&self->t) < 0) {
        return NULL;
    }
    PyObject *list = PyList_New(0);
    for (uint32_t i = self->head; list != NULL && i != self->tail; i++) {
        const fa_departure *one = &self->queue[i & (self->capacity - 1)];
        PyObject *pair = PyTuple_Pack(2, one->data, one->addr);
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(pair);
    }
    PyObject *buffer = list == NULL
                           ? NULL
                           : PyObject_CallOneArg(self->t.st->deque, list);
    Py_XDECREF(list);
    return buffer;
}

/* -- tables ------------------------------------------------------------------------------------- */

#define OWN(name, func, flags, text) \
    {name, (PyCFunction)(void (*)(void))DatagramTransport_##func, flags, \
     PyDoc_STR(text)}
#define SHARED(name, func, flags, text) \
    {name, (PyCFunction)(void (*)(void))SocketTransport_##func, flags, \
     PyDoc_STR(text)}
#define FAST (METH_FASTCALL | METH_KEYWORDS)

PyMethodDef DatagramTransport_methods[] = {
    OWN("sendto", sendto, FAST,
        "sendto($self, data, addr=None)\n--\n\n"
        "Send data to addr, or to the address of the endpoint."),
    OWN("set_protocol", set_protocol_kw, FAST,
        "set_protocol($self, protocol)\n--\n\nSet a new protocol."),
    OWN("pause_reading", pause_reading, METH_NOARGS,
        "pause_reading($self)\n--\n\nPause the receiving end."),
    OWN("resume_reading", resume_reading, METH_NOARGS,
        "resume_reading($self)\n--\n\nResume the receiving end."),
    OWN("_add_reader", add_reader, METH_VARARGS, NULL),
    OWN("_read_ready", read_ready, METH_NOARGS, NULL),
    OWN("_sendto_ready", sendto_ready, METH_NOARGS, NULL),
    SHARED("get_extra_info", get_extra_info, FAST,
           "get_extra_info($self, name, default=None)\n--\n\n"
           "Get optional transport information."),
    SHARED("is_closing", is_closing, METH_NOARGS,
           "is_closing($self)\n--\n\n"
           "Return True if the transport is closing or closed."),
    SHARED("close", close, METH_NOARGS,
           "close($self)\n--\n\n"
           "Close the transport once pending datagrams have been sent."),
    SHARED("abort", abort, METH_NOARGS,
           "abort($self)\n--\n\n"
           "Close the transport immediately; pending datagrams are lost."),
    SHARED("get_protocol", get_protocol, METH_NOARGS,
           "get_protocol($self)\n--\n\nReturn the current protocol."),
    SHARED("is_reading", is_reading, METH_NOARGS,
           "is_reading($self)\n--\n\n"
           "Return True if the transport is receiving."),
    SHARED("get_write_buffer_size", get_write_buffer_size, METH_NOARGS,
           "get_write_buffer_size($self)\n--\n\n"
           "Return the size of what the kernel has not taken yet."),
    SHARED("get_write_buffer_limits", get_write_buffer_limits, METH_NOARGS,
           "get_write_buffer_limits($self)\n--\n\n"
           "Return (low, high), the water marks of the write buffer."),
    SHARED("set_write_buffer_limits", set_write_buffer_limits, FAST,
           "set_write_buffer_limits($self, high=None, low=None)\n--\n\n"
           "Set the water marks of write flow control."),
    SHARED("_set_write_buffer_limits", set_write_buffer_limits, FAST, NULL),
    SHARED("_maybe_pause_protocol", maybe_pause, METH_NOARGS, NULL),
    SHARED("_maybe_resume_protocol", maybe_resume, METH_NOARGS, NULL),
    OWN("_force_close", force_close_kw, FAST, NULL),
    SHARED("_fatal_error", fatal_error, FAST, NULL),
    SHARED("_call_connection_lost", call_connection_lost, METH_O, NULL),
    {NULL, NULL, 0, NULL},
};

#define FIELD(name, field) \
    {name, (getter)SocketTransport_get, NULL, NULL, (void *)(intptr_t)(field)}
#define GETTER(name, func) \
    {name, (getter)DatagramTransport_get_##func, NULL, NULL, NULL}

PyGetSetDef DatagramTransport_getset[] = {
    FIELD("_loop", FIELD_LOOP),
    FIELD("_protocol", FIELD_PROTOCOL),
    FIELD("_server", FIELD_SERVER),
    FIELD("_context", FIELD_CONTEXT),
    FIELD("_closing", FIELD_CLOSING),
    FIELD("_paused", FIELD_PAUSED),
    FIELD("_protocol_paused", FIELD_PROTO_PAUSED),
    FIELD("_protocol_connected", FIELD_CONNECTED),
    FIELD("_conn_lost", FIELD_CONN_LOST),
    FIELD("_sock_fd", FIELD_FD),
    FIELD("_high_water", FIELD_HIGH),
    FIELD("_low_water", FIELD_LOW),
    GETTER("_address", address),
    GETTER("_buffer", buffer),
    GETTER("_buffer_size", buffer_size),
    {"_extra", (getter)SocketTransport_get_extra, NULL, NULL, NULL},
    {"_sock", (getter)SocketTransport_get_sock,
     (setter)SocketTransport_set_sock, NULL, NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#undef OWN
#undef SHARED
#undef FAST
#undef FIELD
#undef GETTER
