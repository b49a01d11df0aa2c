/* net/tls_transport.c: SSLTransport, what the application of a TLS connection
   writes to: the type and its methods.

   A real subclass of asyncio's _FlowControlMixin, and so of asyncio.Transport.
   It has no state but `closed`; every method asks the SSLProtocol, in asyncio's
   words: closed twice it has no protocol any more, and says so as asyncio's
   does. One per connection, made with the SSLProtocol. */
#include "net/tls.h"

#include "base/args.h"
#include "base/errors.h"

/* -- new, traverse, clear, dealloc --------------------------------------------- */

PyObject *
tlstransport_new(fa_state *st, PyObject *loop, PyObject *proto)
{
    PyTypeObject *type = st->SSLTransportType;
    TlsTransportObject *self = (TlsTransportObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->st = st;
        self->loop = Py_NewRef(loop);
        self->proto = Py_NewRef(proto);
    }
    return (PyObject *)self;
}

static int
SSLTransport_traverse(TlsTransportObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->dict);
    Py_VISIT(self->loop);
    Py_VISIT(self->proto);
    return fa_base_slots_visit((PyTypeObject *)self->st->asyncio_FlowControl,
                               (PyObject *)self, visit, arg);
}

static int
SSLTransport_clear(TlsTransportObject *self)
{
    Py_CLEAR(self->dict);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->proto);
    return 0;
}

/* asyncio's __del__ */
static void
SSLTransport_finalize(PyObject *op)
{
    TlsTransportObject *self = (TlsTransportObject *)op;
    if (self->closed) {
        return;
    }
    self->closed = 1;
    PyObject *error = fa_err_take();
    if (PyErr_WarnEx(PyExc_ResourceWarning,
                     "unclosed transport <asyncio._SSLProtocolTransport "
                     "object>", 1) < 0)
    {
        fa_err_unraisable(op);
    }
    fa_err_restore(error);
}

static void
SSLTransport_dealloc(TlsTransportObject *self)
{
    fa_finalized_dealloc((PyObject *)self, (inquiry)SSLTransport_clear,
                         (PyTypeObject *)self->st->asyncio_FlowControl);
}

/* -- for streams (net.h) ------------------------------------------------------------ */

int FA_HOT
fa_stream_is_plain(fa_state *st, PyObject *obj)
{
    if (FA_LIKELY(sockstream_is_plain(st, obj))) {
        return 1;
    }
    TlsTransportObject *self = (TlsTransportObject *)obj;
    return Py_IS_TYPE(obj, st->SSLTransportType) && self->dict == NULL &&
           self->proto != NULL;
}

int FA_HOT
fa_stream_write(fa_state *st, PyObject *transport, PyObject *data)
{
    if (FA_LIKELY(Py_IS_TYPE(transport, st->SocketTransportType))) {
        return sockstream_write(transport, data);
    }
    PyObject *proto = Py_NewRef(((TlsTransportObject *)transport)->proto);
    int rc = tls_write((TlsObject *)proto, data);
    Py_DECREF(proto);
    return rc;
}

/* Is the transport below closing (3.14)? 1, 0 or -1. */
static int
tls_lower_is_closing(TlsObject *self)
{
    TransportObject *lower = tls_lower(self);
    if (FA_LIKELY(lower != NULL)) {
        return lower->closing;
    }
    if (self->transport == NULL) {
        return 0;
    }
    PyObject *below = Py_NewRef(self->transport);
    PyObject *closing = PyObject_CallMethodNoArgs(below,
                                                  self->st->str_is_closing);
    Py_DECREF(below);
    int rc = closing == NULL ? -1 : PyObject_IsTrue(closing);
    Py_XDECREF(closing);
    return rc;
}

static int
tls_is_closing(TlsTransportObject *self)
{
    if (self->closed || !self->st->tls_asks_below || self->proto == NULL) {
        return self->closed;
    }
    PyObject *proto = Py_NewRef(self->proto);
    int rc = tls_lower_is_closing((TlsObject *)proto);
    Py_DECREF(proto);
    return rc;
}

int
fa_stream_is_closing(fa_state *st, PyObject *transport)
{
    return FA_LIKELY(Py_IS_TYPE(transport, st->SocketTransportType))
               ? sockstream_is_closing(transport)
               : tls_is_closing((TlsTransportObject *)transport);
}

/* -- methods ---------------------------------------------------------------------------- */

/* The protocol (new: close() may drop ours in the middle of a method), or NULL
   with the AttributeError that asyncio's transport raises once it has been
   closed twice. */
static TlsObject *
SSLTransport_proto(TlsTransportObject *self, const char *wanted)
{
    if (FA_UNLIKELY(self->proto == NULL)) {
        PyErr_Format(PyExc_AttributeError,
                     "'NoneType' object has no attribute '%s'", wanted);
    }
    return (TlsObject *)Py_XNewRef(self->proto);
}

/* Each lets go of the protocol (NULL = an exception is raised). None, a number,
   True or False (new); NULL if what they are given is negative. */
static PyObject *
tls_done(TlsObject *proto, int rc)
{
    Py_DECREF((PyObject *)proto);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
tls_number(TlsObject *proto, Py_ssize_t number)
{
    Py_XDECREF((PyObject *)proto);
    return number < 0 ? NULL : PyLong_FromSsize_t(number);
}

static PyObject *
tls_truth(TlsObject *proto, int truth)
{
    Py_XDECREF((PyObject *)proto);
    return truth < 0 ? NULL : PyBool_FromLong(truth);
}

static const fa_args tls_extra_info_spec = {
    .fname = "_SSLProtocolTransport.get_extra_info", .required = 1,
    .positional = 2, .python = 1, .total = 2, .names = {"name", "default"}};

static PyObject *
SSLTransport_get_extra_info(TlsTransportObject *self, PyObject *const *args,
                            Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&tls_extra_info_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    TlsObject *proto = SSLTransport_proto(self, "_get_extra_info");
    if (proto == NULL) {
        return NULL;
    }
    PyObject *value = tls_extra_info(proto, out[0],
                                     out[1] == NULL ? Py_None : out[1]);
    Py_DECREF((PyObject *)proto);
    return value;
}

static PyObject *
SSLTransport_set_protocol(TlsTransportObject *self, PyObject *app)
{
    TlsObject *proto = SSLTransport_proto(self, "_set_app_protocol");
    return proto == NULL ? NULL : tls_done(proto, tls_set_app(proto, app));
}

FA_METHOD_ONE(SSLTransport_set_protocol, TlsTransportObject,
              "_SSLProtocolTransport.set_protocol", "protocol")

static PyObject *
SSLTransport_get_protocol(TlsTransportObject *self, PyObject *Py_UNUSED(arg))
{
    TlsObject *proto = SSLTransport_proto(self, "_app_protocol");
    if (proto == NULL) {
        return NULL;
    }
    PyObject *app = Py_NewRef(proto->app == NULL ? Py_None : proto->app);
    Py_DECREF((PyObject *)proto);
    return app;
}

static PyObject *
SSLTransport_is_closing(TlsTransportObject *self, PyObject *Py_UNUSED(arg))
{
    int closing = tls_is_closing(self);
    return closing < 0 ? NULL : PyBool_FromLong(closing);
}

static PyObject *
SSLTransport_close(TlsTransportObject *self, PyObject *Py_UNUSED(arg))
{
    if (self->closed) {
        Py_CLEAR(self->proto);
        Py_RETURN_NONE;
    }
    self->closed = 1;
    TlsObject *proto = SSLTransport_proto(self, "_start_shutdown");
    if (proto == NULL) {
        return NULL;
    }
    int rc = tls_start_shutdown(proto);
    tls_rest(proto);
    return tls_done(proto, rc);
}

static int
SSLTransport_end(TlsTransportObject *self, PyObject *exc)
{
    PyObject *proto = Py_XNewRef(self->proto);
    int rc = proto == NULL ? 0 : tls_abort((TlsObject *)proto, exc);
    Py_XDECREF(proto);
    return rc;
}

static PyObject *
SSLTransport_abort(TlsTransportObject *self, PyObject *Py_UNUSED(arg))
{
    self->closed = 1;
    return SSLTransport_end(self, NULL) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
SSLTransport_force_close(TlsTransportObject *self, PyObject *exc)
{
    self->closed = 1;
    return SSLTransport_end(self, exc == Py_None ? NULL : exc) < 0
               ? NULL
               : Py_NewRef(Py_None);
}

static PyObject *
SSLTransport_is_reading(TlsTransportObject *self, PyObject *Py_UNUSED(arg))
{
    TlsObject *proto = SSLTransport_proto(self, "_app_reading_paused");
    return tls_truth(proto, proto == NULL ? -1 : !proto->app_reading_paused);
}

static PyObject *
SSLTransport_pause_reading(TlsTransportObject *self, PyObject *Py_UNUSED(arg))
{
    TlsObject *proto = SSLTransport_proto(self, "_pause_reading");
    if (proto == NULL) {
        return NULL;
    }
    proto->app_reading_paused = 1;
    return tls_done(proto, 0);
}

static PyObject *
SSLTransport_resume_reading(TlsTransportObject *self, PyObject *Py_UNUSED(arg))
{
    TlsObject *proto = SSLTransport_proto(self, "_resume_reading");
    return proto == NULL ? NULL : tls_done(proto, tls_resume_reading(proto));
}

/* -- water marks ---------------------------------------------------------------------- */

static const fa_args tls_write_limits_spec = {
    .fname = "_SSLProtocolTransport.set_write_buffer_limits", .positional = 2,
    .python = 1, .total = 2, .names = {"high", "low"}};

static const fa_args tls_read_limits_spec = {
    .fname = "_SSLProtocolTransport.set_read_buffer_limits", .positional = 2,
    .python = 1, .total = 2, .names = {"high", "low"}};

static PyObject *
SSLTransport_set_write_buffer_limits(TlsTransportObject *self,
                                     PyObject *const *args, Py_ssize_t nargs,
                                     PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&tls_write_limits_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    TlsObject *proto = SSLTransport_proto(self, "_set_write_buffer_limits");
    if (proto == NULL) {
        return NULL;
    }
    int rc = tls_look(proto) < 0
                 ? -1
                 : tls_limits(out[0], out[1], "FLOW_CONTROL_HIGH_WATER_SSL_WRITE",
                        self->st, &proto->out_high, &proto->out_low);
    return tls_done(proto, rc < 0 ? -1 : tls_control_app_writing(proto));
}

static PyObject *
SSLTransport_set_read_buffer_limits(TlsTransportObject *self,
                                    PyObject *const *args, Py_ssize_t nargs,
                                    PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&tls_read_limits_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    TlsObject *proto = SSLTransport_proto(self, "_set_read_buffer_limits");
    if (proto == NULL) {
        return NULL;
    }
    int rc = tls_limits(out[0], out[1], "FLOW_CONTROL_HIGH_WATER_SSL_READ",
                        self->st, &proto->in_high, &proto->in_low);
    return tls_done(proto, rc < 0 ? -1 : tls_control_ssl_reading(proto));
}

/* (low, high); lets go of the protocol. */
static PyObject *
tls_marks(TlsObject *proto, size_t low, size_t high)
{
    Py_DECREF((PyObject *)proto);
    return Py_BuildValue("(NN)", PyLong_FromSize_t(low),
                         PyLong_FromSize_t(high));
}

static PyObject *
SSLTransport_get_write_buffer_limits(TlsTransportObject *self,
                                     PyObject *Py_UNUSED(arg))
{
    TlsObject *proto = SSLTransport_proto(self, "_outgoing_low_water");
    return proto == NULL
               ? NULL
               : tls_marks(proto, proto->out_low, proto->out_high);
}

static PyObject *
SSLTransport_get_read_buffer_limits(TlsTransportObject *self,
                                    PyObject *Py_UNUSED(arg))
{
    TlsObject *proto = SSLTransport_proto(self, "_incoming_low_water");
    return proto == NULL
               ? NULL
               : tls_marks(proto, proto->in_low, proto->in_high);
}

static PyObject *
SSLTransport_get_write_buffer_size(TlsTransportObject *self,
                                   PyObject *Py_UNUSED(arg))
{
    TlsObject *proto = SSLTransport_proto(self, "_get_write_buffer_size");
    return tls_number(proto, proto == NULL || tls_look(proto) < 0
                                 ? -1
                                 : tls_write_size(proto));
}

static PyObject *
SSLTransport_get_read_buffer_size(TlsTransportObject *self,
                                  PyObject *Py_UNUSED(arg))
{
    TlsObject *proto = SSLTransport_proto(self, "_get_read_buffer_size");
    return tls_number(proto, proto == NULL ? -1 : tls_incoming(proto));
}

/* -- writing ---------------------------------------------------------------------------- */

static PyObject *
SSLTransport_write(TlsTransportObject *self, PyObject *data)
{
    TlsObject *proto = SSLTransport_proto(self, "_write_appdata");
    return proto == NULL ? NULL : tls_done(proto, tls_write(proto, data));
}

FA_METHOD_ONE(SSLTransport_write, TlsTransportObject,
              "_SSLProtocolTransport.write", "data")

static PyObject *
SSLTransport_writelines(TlsTransportObject *self, PyObject *list)
{
    TlsObject *proto = SSLTransport_proto(self, "_write_appdata");
    return proto == NULL ? NULL : tls_done(proto, tls_writelines(proto, list));
}

FA_METHOD_ONE(SSLTransport_writelines, TlsTransportObject,
              "_SSLProtocolTransport.writelines", "list_of_data")

static PyObject *
SSLTransport_write_eof(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(arg))
{
    PyErr_SetNone(PyExc_NotImplementedError);
    return NULL;
}

static PyObject *
SSLTransport_can_write_eof(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(arg))
{
    Py_RETURN_FALSE;
}

static PyObject *
SSLTransport_append_backlog(TlsTransportObject *self, PyObject *data)
{
    TlsObject *proto = SSLTransport_proto(self, "_write_backlog");
    return proto == NULL ? NULL : tls_done(proto, tls_push(proto, data));
}

/* -- tables ------------------------------------------------------------------------------- */

#define TLS_METHOD(name, func, flags, text) \
    {name, (PyCFunction)(void (*)(void))SSLTransport_##func, flags, \
     PyDoc_STR(text)}
#define TLS_FAST (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef SSLTransport_methods[] = {
    TLS_METHOD("get_extra_info", get_extra_info, TLS_FAST,
               "get_extra_info($self, name, default=None)\n--\n\n"
               "Get optional transport information."),
    TLS_METHOD("set_protocol", set_protocol_kw, TLS_FAST,
               "set_protocol($self, protocol)\n--\n\n"
               "Set a new protocol."),
    TLS_METHOD("get_protocol", get_protocol, METH_NOARGS,
               "get_protocol($self)\n--\n\nReturn the current protocol."),
    TLS_METHOD("is_closing", is_closing, METH_NOARGS,
               "is_closing($self)\n--\n\n"
               "Return True if the transport is closing or closed."),
    TLS_METHOD("close", close, METH_NOARGS,
               "close($self)\n--\n\n"
               "Send what is pending and close_notify, then close."),
    TLS_METHOD("abort", abort, METH_NOARGS,
               "abort($self)\n--\n\n"
               "Close the transport immediately; pending data is lost."),
    TLS_METHOD("_force_close", force_close, METH_O, NULL),
    TLS_METHOD("is_reading", is_reading, METH_NOARGS,
               "is_reading($self)\n--\n\n"
               "Return True if the transport is receiving."),
    TLS_METHOD("pause_reading", pause_reading, METH_NOARGS,
               "pause_reading($self)\n--\n\nPause the receiving end."),
    TLS_METHOD("resume_reading", resume_reading, METH_NOARGS,
               "resume_reading($self)\n--\n\nResume the receiving end."),
    TLS_METHOD("set_write_buffer_limits", set_write_buffer_limits, TLS_FAST,
               "set_write_buffer_limits($self, high=None, low=None)\n--\n\n"
               "Set the water marks of write flow control."),
    TLS_METHOD("get_write_buffer_limits", get_write_buffer_limits, METH_NOARGS,
               "get_write_buffer_limits($self)\n--\n\n"
               "Return (low, high), the water marks of write flow control."),
    TLS_METHOD("get_write_buffer_size", get_write_buffer_size, METH_NOARGS,
               "get_write_buffer_size($self)\n--\n\n"
               "Return the number of bytes that wait to be sent."),
    TLS_METHOD("set_read_buffer_limits", set_read_buffer_limits, TLS_FAST,
               "set_read_buffer_limits($self, high=None, low=None)\n--\n\n"
               "Set the water marks of read flow control."),
    TLS_METHOD("get_read_buffer_limits", get_read_buffer_limits, METH_NOARGS,
               "get_read_buffer_limits($self)\n--\n\n"
               "Return (low, high), the water marks of read flow control."),
    TLS_METHOD("get_read_buffer_size", get_read_buffer_size, METH_NOARGS,
               "get_read_buffer_size($self)\n--\n\n"
               "Return the number of bytes that wait to be decrypted."),
    TLS_METHOD("write", write_kw, TLS_FAST,
               "write($self, data)\n--\n\nWrite some data bytes."),
    TLS_METHOD("writelines", writelines_kw, TLS_FAST,
               "writelines($self, list_of_data)\n--\n\n"
               "Write a list (or any iterable) of data bytes."),
    TLS_METHOD("write_eof", write_eof, METH_NOARGS,
               "write_eof($self)\n--\n\nNot possible with TLS."),
    TLS_METHOD("can_write_eof", can_write_eof, METH_NOARGS,
               "can_write_eof($self)\n--\n\nReturn False."),
    TLS_METHOD("_test__append_write_backlog", append_backlog, METH_O, NULL),
    {NULL, NULL, 0, NULL},
};

static PyObject *
SSLTransport_get_paused(TlsTransportObject *self, void *Py_UNUSED(closure))
{
    TlsObject *proto = SSLTransport_proto(self, "_app_writing_paused");
    return tls_truth(proto, proto == NULL ? -1 : proto->app_paused);
}

static PyGetSetDef SSLTransport_getset[] = {
    {"_protocol_paused", (getter)SSLTransport_get_paused, NULL, NULL, NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef SSLTransport_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TlsTransportObject, dict),
     READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TlsTransportObject, weakrefs),
     READONLY, NULL},
    {"_loop", T_OBJECT, offsetof(TlsTransportObject, loop), READONLY, NULL},
    {"_ssl_protocol", T_OBJECT, offsetof(TlsTransportObject, proto), READONLY,
     NULL},
    {"_closed", T_BOOL, offsetof(TlsTransportObject, closed), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot SSLTransport_slots[] = {
    {Py_tp_doc, (void *)"The transport of a TLS connection. Loops make it.\n"
                        "See asyncio.Transport."},
    {Py_tp_traverse, SSLTransport_traverse},
    {Py_tp_clear, SSLTransport_clear},
    {Py_tp_finalize, SSLTransport_finalize},
    {Py_tp_dealloc, SSLTransport_dealloc},
    {Py_tp_methods, SSLTransport_methods},
    {Py_tp_getset, SSLTransport_getset},
    {Py_tp_members, SSLTransport_members},
    {0, NULL},
};

static PyType_Spec SSLTransport_spec = {
    .name = "fastasync.SSLTransport",
    .basicsize = sizeof(TlsTransportObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = SSLTransport_slots,
};

/* Class attributes that asyncio's start_tls and sendfile look for. */
static int
tlstransport_type_attrs(fa_state *st)
{
    PyObject *type = (PyObject *)st->SSLTransportType;
    PyObject *modes = PyObject_GetAttrString(st->mod_constants,
                                             "_SendfileMode");
    PyObject *fallback = modes == NULL
                             ? NULL
                             : PyObject_GetAttrString(modes, "FALLBACK");
    int rc = fallback == NULL ||
                     PyObject_SetAttrString(type, "_sendfile_compatible",
                                            fallback) < 0 ||
                     PyObject_SetAttrString(type, "_start_tls_compatible",
                                            Py_True) < 0
                 ? -1
                 : 0;
    Py_XDECREF(modes);
    Py_XDECREF(fallback);
    return rc;
}

int
tlstransport_type_init(PyObject *module, fa_state *st)
{
    PyTypeObject *base = (PyTypeObject *)st->asyncio_FlowControl;
    if (base->tp_basicsize > (Py_ssize_t)offsetof(TlsTransportObject, dict)) {
        PyErr_SetString(PyExc_ImportError,
                        "asyncio.Transport is larger than expected");
        return -1;
    }
    if (fa_type_new(module, &SSLTransport_spec, (PyObject *)base,
                    &st->SSLTransportType) < 0 ||
        tlstransport_type_attrs(st) < 0)
    {
        return -1;
    }
    return PyModule_AddObjectRef(module, "SSLTransport",
                                 (PyObject *)st->SSLTransportType);
}
