/* net/tls_lower.c: what TLS asks of the transport below it.

   Where that is a plain SocketTransport of ours, C calls C and ciphertext goes
   from OpenSSL's output straight into send(); any other transport (TLS in TLS,
   a pipe, somebody's own) gets bytes and method calls. HOT: tls_lower_send. */
#include "net/tls.h"

/* transport.<name>([arg]): 0 or -1. */
static int
tls_lower_call(TlsObject *self, const char *name, PyObject *arg)
{
    if (self->transport == NULL) {
        return 0; // lost meanwhile
    }
    PyObject *lower = Py_NewRef(self->transport);
    PyObject *res = arg == NULL
                        ? PyObject_CallMethod(lower, name, NULL)
                        : PyObject_CallMethod(lower, name, "O", arg);
    Py_DECREF(lower);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* As bytes, through write(). */
static int
tls_lower_write(TlsObject *self)
{
    PyObject *data = tls_take_outgoing(self);
    if (data == NULL) {
        return -1;
    }
    int rc = PyBytes_Check(data) && PyBytes_GET_SIZE(data) == 0
                 ? 0
                 : tls_lower_call(self, "write", data);
    Py_DECREF(data);
    return rc;
}

int FA_HOT
tls_lower_send(TlsObject *self)
{
    TransportObject *lower = tls_lower(self);
    if (FA_UNLIKELY(lower == NULL || self->ssl == NULL)) {
        return tls_lower_write(self);
    }
    tls_wire *wire = self->wire;
    if (tlsbuf_len(&wire->out) == 0) {
        return 0;
    }
    tls_buf taken = wire->out; // a failed send runs Python code
    wire->out = (tls_buf){0};
    Py_INCREF(lower);
    int rc = transport_send_now(lower, taken.mem + taken.start,
                                tlsbuf_len(&taken));
    Py_DECREF(lower);
    tlsbuf_reset(wire->lib, &taken);
    return rc;
}

int
tls_lower_close(TlsObject *self)
{
    return tls_lower_call(self, "close", NULL);
}

int
tls_lower_force_close(TlsObject *self, PyObject *exc)
{
    return tls_lower_call(self, "_force_close", exc == NULL ? Py_None : exc);
}

int
tls_lower_pause(TlsObject *self, int pause)
{
    return tls_lower_call(self, pause ? "pause_reading" : "resume_reading",
                          NULL);
}
