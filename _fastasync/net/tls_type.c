/* net/tls_type.c: SSLProtocol: making, dropping, and its methods.

   A pair of types (base/classes.h): the core, and a class that is also
   asyncio.sslproto.SSLProtocol. The methods of a BufferedProtocol are what a
   strange transport calls; a SocketTransport of ours goes past them
   (sockread.c). asyncio's attributes can be read under its names. */
#include "net/tls.h"

#include "base/args.h"
#include "base/errors.h"

/* -- new, traverse, clear, dealloc ----------------------------------------------- */

static PyObject *
SSLProtocol_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    TlsObject *self = st == NULL ? NULL : (TlsObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->st = st;
        self->state = TLS_UNWRAPPED;
        writebuf_init(&self->out);
    }
    return (PyObject *)self;
}

/* The strong fields of the struct, one after the other. */
#define TLS_FIRST loop
#define TLS_FIELDS \
    ((offsetof(TlsObject, ssl) - offsetof(TlsObject, TLS_FIRST)) / \
     sizeof(PyObject *))

static int
SSLProtocol_traverse(PyObject *op, visitproc visit, void *arg)
{
    TlsObject *self = (TlsObject *)op;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->dict);
    PyObject **fields = &self->TLS_FIRST;
    for (size_t i = 0; i < TLS_FIELDS; i++) {
        Py_VISIT(fields[i]);
    }
    return 0;
}

static int
SSLProtocol_clear(PyObject *op)
{
    TlsObject *self = (TlsObject *)op;
    tls_wire *wire = self->wire;
    self->wire = NULL;
    self->ssl = NULL; // sslobj goes, or may be used by others
    self->state = TLS_UNWRAPPED;
    tlswire_drop(wire);
    writebuf_clear(&self->out);
    Py_CLEAR(self->dict);
    PyObject **fields = &self->TLS_FIRST;
    for (size_t i = 0; i < TLS_FIELDS; i++) {
        Py_CLEAR(fields[i]);
    }
    return 0;
}

static void
SSLProtocol_dealloc(PyObject *op)
{
    fa_class_dealloc(op, SSLProtocol_clear);
}

/* -- making ------------------------------------------------------------------------ */

/* asyncio.sslproto.<name>(a, b, ...), new. `args` is taken over. */
static PyObject *
tls_asyncio(fa_state *st, const char *name, PyObject *args)
{
    PyObject *function = args == NULL ? NULL
                                      : PyObject_GetAttrString(
                                            st->mod_sslproto, name);
    PyObject *res = function == NULL ? NULL
                                     : PyObject_CallObject(function, args);
    Py_XDECREF(function);
    Py_XDECREF(args);
    return res;
}

int
tls_limits(PyObject *high, PyObject *low, const char *constant, fa_state *st,
           size_t *to_high, size_t *to_low)
{
    PyObject *kb = PyObject_GetAttrString(st->mod_constants, constant);
    PyObject *pair =
        kb == NULL ? NULL
                   : tls_asyncio(st, "add_flowcontrol_defaults",
                                 PyTuple_Pack(3, high == NULL ? Py_None : high,
                                              low == NULL ? Py_None : low,
                                              kb));
    Py_XDECREF(kb);
    size_t limits[2];
    int rc = pair == NULL || !PyTuple_Check(pair) ||
                     PyTuple_GET_SIZE(pair) != 2 ||
                     flow_limit(PyTuple_GET_ITEM(pair, 0), &limits[0]) < 0 ||
                     flow_limit(PyTuple_GET_ITEM(pair, 1), &limits[1]) < 0
                 ? -1
                 : 0;
    Py_XDECREF(pair);
    if (rc == 0) {
        *to_high = limits[0];
        *to_low = limits[1];
    }
    return rc;
}

/* A timeout: *out = given, or asyncio's constant; it must be positive. 0/-1. */
static int
tls_take_timeout(TlsObject *self, PyObject *given, const char *name,
                 const char *constant, PyObject **out)
{
    PyObject *value;
    if (given == NULL || given == Py_None) {
        value = PyObject_GetAttrString(self->st->mod_constants, constant);
        if (value == NULL) {
            return -1;
        }
    }
    else {
        PyObject *zero = PyLong_FromLong(0);
        int bad = zero == NULL
                      ? -1
                      : PyObject_RichCompareBool(given, zero, Py_LE);
        Py_XDECREF(zero);
        if (bad != 0) {
            if (bad > 0) {
                PyErr_Format(PyExc_ValueError,
                             "%s should be a positive number, got %S", name,
                             given);
            }
            return -1;
        }
        value = Py_NewRef(given);
    }
    Py_XSETREF(*out, value);
    return 0;
}

/* self.sslcontext, server_hostname, extra. 0 or -1. */
static int
tls_take_context(TlsObject *self, PyObject *sslcontext, PyObject *side,
                 PyObject *hostname)
{
    int given = PyObject_IsTrue(sslcontext);
    int named = given < 0 ? -1 : PyObject_IsTrue(hostname);
    if (named < 0) {
        return -1;
    }
    PyObject *context =
        given ? Py_NewRef(sslcontext)
              : tls_asyncio(self->st, "_create_transport_context",
                            PyTuple_Pack(2, side, hostname));
    if (context == NULL) {
        return -1;
    }
    Py_XSETREF(self->sslcontext, context);
    Py_XSETREF(self->server_hostname,
               Py_NewRef(named && !self->server_side ? hostname : Py_None));
    PyObject *extra = Py_BuildValue("{sO}", "sslcontext", context);
    Py_XSETREF(self->extra, extra);
    return extra == NULL ? -1 : 0;
}

int
tls_set_app(TlsObject *self, PyObject *app)
{
    fa_state *st = self->st;
    int buffered = Py_IS_TYPE(app, st->StreamReaderProtocolType)
                       ? 0
                       : PyObject_IsInstance(app, st->BufferedProtocol);
    if (buffered < 0) {
        return -1;
    }
    PyObject *get_buffer = NULL, *updated = NULL;
    if (buffered) {
        get_buffer = PyObject_GetAttr(app, st->str_get_buffer);
        updated = get_buffer == NULL
                      ? NULL
                      : PyObject_GetAttr(app, st->str_buffer_updated);
        if (updated == NULL) {
            Py_XDECREF(get_buffer);
            return -1;
        }
    }
    self->buffered = (unsigned)buffered & 1;
    self->streamed = Py_IS_TYPE(app, st->StreamReaderProtocolType);
    Py_XSETREF(self->app_get_buffer, get_buffer);
    Py_XSETREF(self->app_updated, updated);
    Py_XSETREF(self->app, Py_NewRef(app));
    return 0;
}

/* The rest of __init__: from here on it is of use. 0 or -1. */
static int
tls_init_engine(TlsObject *self)
{
    fa_state *st = self->st;
    if (tls_limits(NULL, NULL, "FLOW_CONTROL_HIGH_WATER_SSL_READ", st,
                   &self->in_high, &self->in_low) < 0 ||
        tls_limits(NULL, NULL, "FLOW_CONTROL_HIGH_WATER_SSL_WRITE", st,
                   &self->out_high, &self->out_low) < 0 ||
        tls_open(self) < 0)
    {
        return -1;
    }
    self->app_transport = tlstransport_new(st, self->loop, (PyObject *)self);
    return self->app_transport == NULL ? -1 : 0;
}

enum { LOOP, APP, CONTEXT, WAITER, SIDE, HOSTNAME, CALL_MADE, HANDSHAKE, SHUTDOWN };

static const fa_args SSLProtocol_init_spec = {
    .fname = "SSLProtocol.__init__", .required = 4, .positional = 9,
    .python = 1, .total = 9,
    .names = {"loop", "app_protocol", "sslcontext", "waiter", "server_side",
              "server_hostname", "call_connection_made",
              "ssl_handshake_timeout", "ssl_shutdown_timeout"}};

/* The arguments that are truth values. 0 or -1. */
static int
tls_take_flags(TlsObject *self, PyObject *const *out)
{
    int server = out[SIDE] == NULL ? 0 : PyObject_IsTrue(out[SIDE]);
    int made = server < 0 ? -1
               : out[CALL_MADE] == NULL ? 1
                                        : PyObject_IsTrue(out[CALL_MADE]);
    if (made < 0) {
        return -1;
    }
    self->server_side = (unsigned)server & 1;
    self->app_state = made ? TLS_APP_INIT : TLS_APP_MADE;
    self->ours = loop_check(self->st, out[LOOP]) & 1;
    return 0;
}

static int
SSLProtocol_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    TlsObject *self = (TlsObject *)op;
    PyObject *out[9];
    if (fa_args_parse_tuple(&SSLProtocol_init_spec, args, kwargs, out) < 0) {
        return -1;
    }
    if (self->st->mod_ssl == Py_None || self->loop != NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        self->loop != NULL
                            ? "SSLProtocol object already initialized"
                            : "stdlib ssl module not available");
        return -1;
    }
    if (tls_take_flags(self, out) < 0 ||
        tls_take_timeout(self, out[HANDSHAKE], "ssl_handshake_timeout",
                         "SSL_HANDSHAKE_TIMEOUT",
                         &self->handshake_timeout) < 0 ||
        tls_take_timeout(self, out[SHUTDOWN], "ssl_shutdown_timeout",
                         "SSL_SHUTDOWN_TIMEOUT", &self->shutdown_timeout) <
            0 ||
        tls_take_context(self, out[CONTEXT],
                         out[SIDE] == NULL ? Py_False : out[SIDE],
                         out[HOSTNAME] == NULL ? Py_None : out[HOSTNAME]) < 0)
    {
        return -1;
    }
    self->loop = Py_NewRef(out[LOOP]);
    self->waiter = out[WAITER] == Py_None ? NULL : Py_NewRef(out[WAITER]);
    if (tls_set_app(self, out[APP]) < 0 || tls_init_engine(self) < 0) {
        Py_CLEAR(self->waiter);
        return -1;
    }
    return 0;
}

/* -- methods ------------------------------------------------------------------------ */

/* -1 with RuntimeError if __init__ has not run (or has failed). */
static int
tls_ready(TlsObject *self)
{
    if (FA_LIKELY(self->wire != NULL && self->extra != NULL)) {
        return 0;
    }
    PyErr_SetString(PyExc_RuntimeError,
                    "SSLProtocol.__init__() has not been called");
    return -1;
}

static PyObject *
tls_none(TlsObject *self, int rc)
{
    if (self->wire != NULL) {
        tls_rest(self);
    }
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
SSLProtocol_connection_made(PyObject *op, PyObject *transport)
{
    TlsObject *self = (TlsObject *)op;
    return tls_ready(self) < 0
               ? NULL
               : tls_none(self, tls_connection_made(self, transport));
}
FA_METHOD_ONE(SSLProtocol_connection_made, PyObject,
              "SSLProtocol.connection_made", "transport")

static PyObject *
SSLProtocol_connection_lost(PyObject *op, PyObject *exc)
{
    TlsObject *self = (TlsObject *)op;
    return tls_ready(self) < 0 ? NULL
                               : tls_none(self, tls_connection_lost(self, exc));
}
FA_METHOD_ONE(SSLProtocol_connection_lost, PyObject,
              "SSLProtocol.connection_lost", "exc")

static PyObject *
SSLProtocol_eof_received(PyObject *op, PyObject *Py_UNUSED(arg))
{
    TlsObject *self = (TlsObject *)op;
    return tls_ready(self) < 0 ? NULL : tls_eof_received(self);
}

static PyObject *
SSLProtocol_pause_writing(PyObject *op, PyObject *Py_UNUSED(arg))
{
    TlsObject *self = (TlsObject *)op;
    if (self->ssl_paused) {
        PyErr_SetNone(PyExc_AssertionError);
        return NULL;
    }
    self->ssl_paused = 1;
    Py_RETURN_NONE;
}

static PyObject *
SSLProtocol_resume_writing(PyObject *op, PyObject *Py_UNUSED(arg))
{
    TlsObject *self = (TlsObject *)op;
    if (tls_ready(self) < 0) {
        return NULL;
    }
    if (!self->ssl_paused) {
        PyErr_SetNone(PyExc_AssertionError);
        return NULL;
    }
    return tls_none(self, tls_ssl_resumed(self));
}

#define WINDOW_MIN ((Py_ssize_t)64 * 1024)
#define WINDOW_MAX ((Py_ssize_t)256 * 1024)

static PyObject *
SSLProtocol_get_buffer(PyObject *op, PyObject *hint)
{
    TlsObject *self = (TlsObject *)op;
    Py_ssize_t want = PyLong_AsSsize_t(hint);
    if (want == -1 && PyErr_Occurred()) {
        return NULL;
    }
    want = want < WINDOW_MIN   ? WINDOW_MIN
           : want > WINDOW_MAX ? WINDOW_MAX
                               : want;
    if (self->window == NULL || PyByteArray_GET_SIZE(self->window) < want) {
        PyObject *window = PyByteArray_FromStringAndSize(NULL, want);
        if (window == NULL) {
            return NULL;
        }
        Py_XSETREF(self->window, window);
    }
    return PyMemoryView_FromObject(self->window);
}
FA_METHOD_ONE(SSLProtocol_get_buffer, PyObject,
              "SSLProtocol.get_buffer", "n")

static PyObject *
SSLProtocol_buffer_updated(PyObject *op, PyObject *count)
{
    TlsObject *self = (TlsObject *)op;
    Py_ssize_t n = PyLong_AsSsize_t(count);
    if ((n == -1 && PyErr_Occurred()) || tls_ready(self) < 0) {
        return NULL;
    }
    Py_ssize_t size = self->window == NULL ? 0
                                           : PyByteArray_GET_SIZE(self->window);
    n = n < 0 ? 0 : n > size ? size : n;
    if (n > 0 &&
        tls_feed(self, PyByteArray_AS_STRING(self->window), (size_t)n) < 0)
    {
        return NULL;
    }
    return tls_none(self, tls_proceed(self));
}
FA_METHOD_ONE(SSLProtocol_buffer_updated, PyObject,
              "SSLProtocol.buffer_updated", "nbytes")

/* start_tls has bytes that came before we were there. */
static PyObject *
SSLProtocol_take_over(PyObject *op, PyObject *data)
{
    TlsObject *self = (TlsObject *)op;
    Py_buffer view;
    if (tls_ready(self) < 0 ||
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
    {
        return NULL;
    }
    int rc = view.len == 0 ? 0 : tls_feed(self, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

#define TLS_STEP(func, call) \
    static PyObject *SSLProtocol_##func(PyObject *op, \
                                        PyObject *Py_UNUSED(arg)) \
    { \
        TlsObject *self = (TlsObject *)op; \
        return tls_ready(self) < 0 ? NULL : tls_none(self, call(self)); \
    }

TLS_STEP(do_read, tls_do_read)
TLS_STEP(do_flush, tls_do_flush)
TLS_STEP(do_shutdown, tls_do_shutdown)
TLS_STEP(start_shutdown, tls_start_shutdown)
TLS_STEP(process_outgoing, tls_process_outgoing)
TLS_STEP(handshake_timed_out, tls_handshake_timed_out)
TLS_STEP(shutdown_timed_out, tls_shutdown_timed_out)
TLS_STEP(resume_reading, tls_resume_reading)

/* What resume_reading() has scheduled. */
static PyObject *
SSLProtocol_resume(PyObject *op, PyObject *Py_UNUSED(arg))
{
    TlsObject *self = (TlsObject *)op;
    if (tls_ready(self) < 0) {
        return NULL;
    }
    return tls_none(self, self->state == TLS_DO_HANDSHAKE ? 0
                                                          : tls_proceed(self));
}

static PyObject *
SSLProtocol_pause_reading(PyObject *op, PyObject *Py_UNUSED(arg))
{
    ((TlsObject *)op)->app_reading_paused = 1;
    Py_RETURN_NONE;
}

static PyObject *
SSLProtocol_abort(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    TlsObject *self = (TlsObject *)op;
    PyObject *exc = nargs > 0 && args[0] != Py_None ? args[0] : NULL;
    return tls_ready(self) < 0 ? NULL : tls_none(self, tls_abort(self, exc));
}

static PyObject *
SSLProtocol_set_app(PyObject *op, PyObject *app)
{
    return tls_none((TlsObject *)op, tls_set_app((TlsObject *)op, app));
}

static PyObject *
SSLProtocol_get_app_transport(PyObject *op, PyObject *Py_UNUSED(arg))
{
    TlsObject *self = (TlsObject *)op;
    if (self->app_transport == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "Creating _SSLProtocolTransport twice");
        return NULL;
    }
    return Py_NewRef(self->app_transport);
}

PyObject *
tls_extra_info(TlsObject *self, PyObject *name, PyObject *fallback)
{
    PyObject *value = self->extra == NULL
                          ? NULL
                          : PyDict_GetItemWithError(self->extra, name);
    if (value != NULL || PyErr_Occurred()) {
        return Py_XNewRef(value);
    }
    if (self->transport == NULL) {
        return Py_NewRef(fallback);
    }
    // whoever gets the socket may look at what has been sent
    if (tls_look(self) < 0) {
        return NULL;
    }
    if (self->transport == NULL) {
        return Py_NewRef(fallback);
    }
    TransportObject *lower = tls_lower(self);
    PyObject *below = Py_NewRef(self->transport);
    value = lower != NULL
                ? transport_extra_info(lower, name, fallback)
                : PyObject_CallMethodObjArgs(
                      below, self->st->str_get_extra_info, name, fallback,
                      NULL);
    Py_DECREF(below);
    return value;
}

static PyObject *
SSLProtocol_get_extra_info(PyObject *op, PyObject *const *args,
                           Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 2) {
        PyErr_SetString(PyExc_TypeError,
                        "_get_extra_info() takes 1 or 2 arguments");
        return NULL;
    }
    return tls_ready((TlsObject *)op) < 0
               ? NULL
               : tls_extra_info((TlsObject *)op, args[0],
                                nargs == 2 ? args[1] : Py_None);
}

static PyObject *
SSLProtocol_write_appdata(PyObject *op, PyObject *list)
{
    TlsObject *self = (TlsObject *)op;
    return tls_ready(self) < 0 ? NULL
                               : tls_none(self, tls_writelines(self, list));
}

/* -- attributes ----------------------------------------------------------------------- */

/* asyncio's Enum member (new). */
static PyObject *
tls_member(TlsObject *self, const char *enumeration, const char *name)
{
    PyObject *cls = PyObject_GetAttrString(self->st->mod_sslproto,
                                           enumeration);
    PyObject *member = cls == NULL ? NULL : PyObject_GetAttrString(cls, name);
    Py_XDECREF(cls);
    return member;
}

static PyObject *
SSLProtocol_get_state(TlsObject *self, void *Py_UNUSED(closure))
{
    static const char *const names[] = {"UNWRAPPED", "DO_HANDSHAKE", "WRAPPED",
                                        "FLUSHING", "SHUTDOWN"};
    return tls_member(self, "SSLProtocolState", names[self->state]);
}

static PyObject *
SSLProtocol_get_app_state(TlsObject *self, void *Py_UNUSED(closure))
{
    static const char *const names[] = {"STATE_INIT", "STATE_CON_MADE",
                                        "STATE_EOF", "STATE_CON_LOST"};
    return tls_member(self, "AppProtocolState", names[self->app_state]);
}

static PyObject *
SSLProtocol_get_backend(TlsObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(self->ssl != NULL ? "direct" : "memory");
}

enum { BIT_SIDE, BIT_SSL, BIT_APP, BIT_APP_READING, BIT_SSL_READING, BIT_EOF };

static PyObject *
SSLProtocol_get_bit(TlsObject *self, void *which)
{
    switch ((intptr_t)which) {
    case BIT_SIDE:
        return PyBool_FromLong(self->server_side);
    case BIT_SSL:
        return PyBool_FromLong(self->ssl_paused);
    case BIT_APP:
        return PyBool_FromLong(self->app_paused);
    case BIT_APP_READING:
        return PyBool_FromLong(self->app_reading_paused);
    case BIT_SSL_READING:
        return PyBool_FromLong(self->ssl_reading_paused);
    default:
        return PyBool_FromLong(self->eof);
    }
}

#define TLS_BIT(name, which) \
    {name, (getter)SSLProtocol_get_bit, NULL, NULL, (void *)(intptr_t)(which)}

static PyGetSetDef SSLProtocol_getset[] = {
    {"_state", (getter)SSLProtocol_get_state, NULL, NULL, NULL},
    {"_app_state", (getter)SSLProtocol_get_app_state, NULL, NULL, NULL},
    {"_backend", (getter)SSLProtocol_get_backend, NULL, NULL, NULL},
    TLS_BIT("_server_side", BIT_SIDE),
    TLS_BIT("_ssl_writing_paused", BIT_SSL),
    TLS_BIT("_app_writing_paused", BIT_APP),
    TLS_BIT("_app_reading_paused", BIT_APP_READING),
    TLS_BIT("_ssl_reading_paused", BIT_SSL_READING),
    TLS_BIT("_eof_received", BIT_EOF),
    {NULL, NULL, NULL, NULL, NULL},
};

/* References: NULL reads as None. */
#define TLS_MEMBER(name, field) \
    {name, T_OBJECT, offsetof(TlsObject, field), READONLY, NULL}

static PyMemberDef SSLProtocol_members[] = {
    FA_CLASS_MEMBERS(TlsObject),
    TLS_MEMBER("_loop", loop),
    TLS_MEMBER("_app_protocol", app),
    TLS_MEMBER("_app_transport", app_transport),
    TLS_MEMBER("_transport", transport),
    TLS_MEMBER("_sslcontext", sslcontext),
    TLS_MEMBER("_server_hostname", server_hostname),
    TLS_MEMBER("_waiter", waiter),
    TLS_MEMBER("_extra", extra),
    TLS_MEMBER("_ssl_handshake_timeout", handshake_timeout),
    TLS_MEMBER("_ssl_shutdown_timeout", shutdown_timeout),
    TLS_MEMBER("_handshake_start_time", handshake_start),
    TLS_MEMBER("_handshake_timeout_handle", handshake_timer),
    TLS_MEMBER("_shutdown_timeout_handle", shutdown_timer),
    TLS_MEMBER("_sslobj", sslobj),
    TLS_MEMBER("_incoming", incoming),
    TLS_MEMBER("_outgoing", outgoing),
    {"_conn_lost", T_PYSSIZET, offsetof(TlsObject, conn_lost), READONLY, NULL},
    {"_write_buffer_size", T_PYSSIZET, offsetof(TlsObject, out.size), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

/* -- tables ------------------------------------------------------------------------------- */

#define TLS_FASTCALL(func) (PyCFunction)(void (*)(void))SSLProtocol_##func

static PyMethodDef SSLProtocol_methods[] = {
    {"connection_made", TLS_FASTCALL(connection_made_kw),
     METH_FASTCALL | METH_KEYWORDS,
     "connection_made($self, transport)\n--\n\n"
     "The connection below is there: start the handshake."},
    {"connection_lost", TLS_FASTCALL(connection_lost_kw),
     METH_FASTCALL | METH_KEYWORDS,
     "connection_lost($self, exc)\n--\n\n"
     "The connection below is gone."},
    {"get_buffer", TLS_FASTCALL(get_buffer_kw),
     METH_FASTCALL | METH_KEYWORDS,
     "get_buffer($self, n)\n--\n\n"
     "Memory to put received bytes into."},
    {"buffer_updated", TLS_FASTCALL(buffer_updated_kw),
     METH_FASTCALL | METH_KEYWORDS,
     "buffer_updated($self, nbytes)\n--\n\n"
     "So many bytes have been put there."},
    {"eof_received", SSLProtocol_eof_received, METH_NOARGS,
     "eof_received($self)\n--\n\n"
     "The peer sends no more."},
    {"pause_writing", SSLProtocol_pause_writing, METH_NOARGS,
     "pause_writing($self)\n--\n\nThe buffer below is full."},
    {"resume_writing", SSLProtocol_resume_writing, METH_NOARGS,
     "resume_writing($self)\n--\n\nThe transport below takes more."},
    {"_take_over", SSLProtocol_take_over, METH_O,
     "_take_over($self, data, /)\n--\n\n"
     "Ciphertext that was received before this protocol was there."},
    {"_do_read", SSLProtocol_do_read, METH_NOARGS, NULL},
    {"_do_flush", SSLProtocol_do_flush, METH_NOARGS, NULL},
    {"_do_shutdown", SSLProtocol_do_shutdown, METH_NOARGS, NULL},
    {"_start_shutdown", SSLProtocol_start_shutdown, METH_NOARGS, NULL},
    {"_process_outgoing", SSLProtocol_process_outgoing, METH_NOARGS, NULL},
    {"_check_handshake_timeout", SSLProtocol_handshake_timed_out, METH_NOARGS,
     NULL},
    {"_check_shutdown_timeout", SSLProtocol_shutdown_timed_out, METH_NOARGS,
     NULL},
    {"_pause_reading", SSLProtocol_pause_reading, METH_NOARGS, NULL},
    {"_resume_reading", SSLProtocol_resume_reading, METH_NOARGS, NULL},
    {"_resume", SSLProtocol_resume, METH_NOARGS, NULL},
    {"_abort", TLS_FASTCALL(abort), METH_FASTCALL, NULL},
    {"_set_app_protocol", SSLProtocol_set_app, METH_O, NULL},
    {"_get_app_transport", SSLProtocol_get_app_transport, METH_NOARGS, NULL},
    {"_get_extra_info", TLS_FASTCALL(get_extra_info), METH_FASTCALL, NULL},
    {"_write_appdata", SSLProtocol_write_appdata, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(SSLProtocol_doc,
"SSLProtocolCore(loop, app_protocol, sslcontext, waiter, server_side=False,\n"
"                server_hostname=None, call_connection_made=True,\n"
"                ssl_handshake_timeout=None, ssl_shutdown_timeout=None)\n"
"--\n\n"
"TLS between a transport and the protocol of an application. Loops make it.\n"
"See asyncio.sslproto.SSLProtocol.");

static PyType_Slot SSLProtocol_slots[] = {
    {Py_tp_doc, (char *)SSLProtocol_doc},
    {Py_tp_new, SSLProtocol_new},
    {Py_tp_init, SSLProtocol_init},
    {Py_tp_traverse, SSLProtocol_traverse},
    {Py_tp_clear, SSLProtocol_clear},
    {Py_tp_dealloc, SSLProtocol_dealloc},
    {Py_tp_methods, SSLProtocol_methods},
    {Py_tp_members, SSLProtocol_members},
    {Py_tp_getset, SSLProtocol_getset},
    {0, NULL},
};

static PyType_Spec SSLProtocol_spec = {
    .name = "_fastasync.SSLProtocolCore",
    .basicsize = sizeof(TlsObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = SSLProtocol_slots,
};

/* -- the module's part ----------------------------------------------------------------------- */

/* For tests: all connections made from now on go through ssl.MemoryBIO. */
static PyObject *
tls_use_memory(PyObject *module, PyObject *on)
{
    int memory = PyObject_IsTrue(on);
    if (memory < 0) {
        return NULL;
    }
    fa_state *st = fa_state_of_module(module);
    int before = st->tls_memory;
    st->tls_memory = (uint8_t)memory;
    return PyBool_FromLong(before);
}

static PyMethodDef tls_functions[] = {
    {"_tls_use_memory", tls_use_memory, METH_O,
     "_tls_use_memory($module, on, /)\n--\n\n"
     "Make new TLS connections go through ssl.MemoryBIO; return what it was.\n"
     "For tests."},
    {NULL, NULL, 0, NULL},
};

/* What differs between releases of asyncio.sslproto. 0 or -1. */
static int
tls_look_at_asyncio(fa_state *st)
{
    PyObject *cls = PyObject_GetAttrString(st->mod_sslproto, "SSLProtocol");
    if (cls == NULL) {
        return -1;
    }
    st->tls_asks_below =
        (uint8_t)PyObject_HasAttrString(cls, "_is_transport_closing");
    PyObject *abort = PyObject_GetAttrString(cls, "_abort");
    PyObject *code = abort == NULL ? NULL
                                   : PyObject_GetAttrString(abort, "__code__");
    PyObject *count = code == NULL ? NULL
                                   : PyObject_GetAttrString(code,
                                                            "co_argcount");
    st->tls_aborts_with = count != NULL && PyLong_AsLong(count) == 2;
    Py_XDECREF(count);
    Py_XDECREF(code);
    Py_XDECREF(abort);
    Py_DECREF(cls);
    PyErr_Clear();
    return 0;
}

void
net_state_clear(fa_state *st)
{
    tls_lib *lib = st->tls;
    st->tls = NULL;
    tlslib_drop(lib);
}

int
tls_type_init(PyObject *module, fa_state *st)
{
    const fa_class spec = {
        .module = module, .core = &SSLProtocol_spec, .name = "SSLProtocol",
        .asyncio_module = "asyncio.sslproto", .asyncio_name = "SSLProtocol"};
    if (tls_look_at_asyncio(st) < 0 ||
        PyModule_AddFunctions(module, tls_functions) < 0)
    {
        return -1;
    }
    return fa_class_new(&spec, &st->SSLProtocolCoreType, &st->SSLProtocolType);
}
