/* net/tls_read.c: from ciphertext to the application.

   Called when bytes have been fed (tls_proceed), when the application reads on,
   and before a shutdown. All that OpenSSL can give is read first and delivered
   once, as asyncio does: into a bytes object for data_received, into the
   reader's own buffer where the application is exactly our
   StreamReaderProtocol (net.h, fa_sink), or into the memory that a
   BufferedProtocol gives. HOT: tls_do_read, once per message. */
#include "net/tls.h"

#include "base/errors.h"

/* What OpenSSL may hold of a record that is not complete. */
#define PARTIAL FA_TLS_RECORD

/* close_notify has come. */
static FA_COLD int
tls_closed_by_peer(TlsObject *self)
{
    return tls_call_eof_received(self) < 0 ? -1 : tls_start_shutdown(self);
}

/* Read until `size` bytes are there or there is no more. */
static inline tls_result
tls_read_all(TlsObject *self, char *buf, size_t size, size_t *total)
{
    size_t got;
    tls_result res = TLS_SOME;
    *total = 0;
    do {
        res = tls_read(self, buf + *total, size - *total, &got);
        *total += got;
        if (res == TLS_SOME && !tls_readable(self)) {
            return TLS_AGAIN;
        }
    } while (res == TLS_SOME && *total < size);
    return res;
}

/* -- to data_received ------------------------------------------------------- */

/* All there is, as bytes in *data (new, or NULL if there is nothing). */
static tls_result
tls_read_bytes(TlsObject *self, size_t size, PyObject **data)
{
    size_t total = 0, got;
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    *data = NULL;
    if (bytes == NULL) {
        return TLS_FAILED;
    }
    tls_result res;
    while ((res = tls_read_all(self, PyBytes_AS_STRING(bytes) + total,
                               size - total, &got)) == TLS_SOME)
    {
        total += got;
        size += size / 2 + PARTIAL; // full: seldom, see tls_guess
        if (_PyBytes_Resize(&bytes, (Py_ssize_t)size) < 0) {
            return TLS_FAILED;
        }
    }
    total += got;
    if (res == TLS_FAILED || total == 0) {
        Py_DECREF(bytes);
        return res;
    }
    if (total < size && _PyBytes_Resize(&bytes, (Py_ssize_t)total) < 0) {
        return TLS_FAILED;
    }
    *data = bytes;
    return res;
}

/* app.data_received(data), which is taken over. 0 or -1. */
static inline int
tls_give(TlsObject *self, PyObject *data)
{
    if (FA_UNLIKELY(self->app == NULL)) {
        Py_DECREF(data);
        return 0;
    }
    PyObject *stack[2] = {Py_NewRef(self->app), data};
    PyObject *res = PyObject_VectorcallMethod(self->st->str_data_received,
                                              stack, 2, NULL);
    Py_DECREF(stack[0]);
    Py_DECREF(data);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* How much plaintext there can be, unless OpenSSL holds part of a record. */
static inline size_t
tls_guess(TlsObject *self, Py_ssize_t incoming)
{
    size_t size = (size_t)incoming;
    return self->ssl != NULL &&
                   self->wire->lib->SSL_has_pending(self->ssl) == 0 &&
                   size > 0
               ? size
               : size + PARTIAL;
}

static int
tls_deliver_bytes(TlsObject *self, size_t size)
{
    PyObject *data;
    tls_result res = tls_read_bytes(self, size, &data);
    if (FA_UNLIKELY(res == TLS_FAILED)) {
        return -1;
    }
    if (FA_LIKELY(data != NULL) && tls_give(self, data) < 0) {
        return -1;
    }
    return FA_LIKELY(res == TLS_AGAIN) ? 0 : tls_closed_by_peer(self);
}

/* -- to a stream reader --------------------------------------------------------- */

/* Straight into the reader's buffer. 0, -1, or 1: it wants data_received. */
static int
tls_deliver_stream(TlsObject *self, size_t size)
{
    const fa_sink *sink = self->st->stream_sink;
    tls_result res;
    do {
        Py_ssize_t room = (Py_ssize_t)size;
        char *space = sink->room(self->app, &room);
        if (FA_UNLIKELY(space == NULL)) {
            return PyErr_Occurred() ? -1 : 1;
        }
        size_t total;
        res = tls_read_all(self, space, (size_t)room, &total);
        PyObject *error = res == TLS_FAILED ? fa_err_take() : NULL;
        if (sink->fed(self->app, error == NULL ? (Py_ssize_t)total : 0) < 0) {
            Py_XDECREF(error);
            return -1;
        }
        if (error != NULL) {
            fa_err_restore(error);
            return -1;
        }
    } while (res == TLS_SOME && self->app != NULL);
    return FA_LIKELY(res != TLS_CLOSED) ? 0 : tls_closed_by_peer(self);
}

/* -- to a BufferedProtocol ---------------------------------------------------------- */

/* loop.call_soon(self.<name>), in the connection's context. 0 or -1. */
static int
tls_soon(TlsObject *self, const char *name)
{
    if (self->loop == NULL) {
        return 0; // the garbage collector was here
    }
    PyObject *method = tls_bound(self, name);
    int direct = self->ours && ((LoopObject *)self->loop)->direct;
    int rc = method == NULL ? -1
                            : fa_call_soon(self->st, self->loop, method, NULL,
                                           direct ? self->context : NULL);
    Py_XDECREF(method);
    return rc;
}

/* app.get_buffer(hint) as a view (*owner strong). 0 or -1. */
static int
tls_get_buffer(TlsObject *self, Py_ssize_t incoming, Py_buffer *view,
               PyObject **owner)
{
    PyObject *hint = PyLong_FromSsize_t(incoming);
    PyObject *method = Py_NewRef(self->app_get_buffer);
    *owner = hint == NULL ? NULL : PyObject_CallOneArg(method, hint);
    Py_DECREF(method);
    Py_XDECREF(hint);
    if (*owner == NULL) {
        return -1;
    }
    if (PyObject_GetBuffer(*owner, view, PyBUF_WRITABLE) < 0) {
        Py_CLEAR(*owner);
        return -1;
    }
    if (view->len == 0) {
        PyBuffer_Release(view);
        Py_CLEAR(*owner);
        PyErr_SetString(PyExc_RuntimeError,
                        "get_buffer() returned an empty buffer");
        return -1;
    }
    return 0;
}

/* app.buffer_updated(n): 0 or -1. */
static int
tls_updated(PyObject *updated, size_t n)
{
    PyObject *count = PyLong_FromSize_t(n);
    PyObject *res = count == NULL ? NULL : PyObject_CallOneArg(updated, count);
    Py_XDECREF(count);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

static int
tls_deliver_buffer(TlsObject *self, Py_ssize_t incoming)
{
    Py_buffer view;
    PyObject *owner;
    PyObject *updated = Py_NewRef(self->app_updated);
    if (tls_get_buffer(self, incoming, &view, &owner) < 0) {
        Py_DECREF(updated);
        return -1;
    }
    size_t total = 0;
    tls_result res = tls_read_all(self, view.buf, (size_t)view.len, &total);
    // exactly full, and there may be more
    int full = res == TLS_SOME;
    PyBuffer_Release(&view);
    Py_DECREF(owner);
    int rc = res == TLS_FAILED ? -1 : 0;
    if (rc == 0 && full) {
        rc = tls_soon(self, "_do_read"); // there is more than fitted
    }
    if (rc == 0 && total > 0) {
        rc = tls_updated(updated, total);
    }
    Py_DECREF(updated);
    return rc < 0 || res != TLS_CLOSED ? rc : tls_closed_by_peer(self);
}

/* -- reading ------------------------------------------------------------------------ */

/* Whatever can be read goes to the application. 0 or -1. */
static inline int
tls_deliver(TlsObject *self)
{
    Py_ssize_t incoming = tls_incoming(self);
    if (FA_UNLIKELY(incoming < 0)) {
        return -1;
    }
    if (FA_UNLIKELY(self->buffered)) {
        return self->app == NULL ? 0 : tls_deliver_buffer(self, incoming);
    }
    if (FA_UNLIKELY(incoming == 0 && !tls_readable(self))) {
        return 0;
    }
    size_t size = tls_guess(self, incoming);
    if (self->streamed && self->quiet && self->ours && self->ssl != NULL &&
        ((LoopObject *)self->loop)->direct)
    {
        int rc = tls_deliver_stream(self, size);
        if (FA_LIKELY(rc <= 0)) {
            return rc;
        }
    }
    return tls_deliver_bytes(self, size);
}

int
tls_control_ssl_reading(TlsObject *self)
{
    Py_ssize_t size = tls_incoming(self);
    if (size < 0) {
        return -1;
    }
    if (FA_UNLIKELY((size_t)size >= self->in_high &&
                    !self->ssl_reading_paused))
    {
        self->ssl_reading_paused = 1;
        return tls_lower_pause(self, 1);
    }
    if (FA_UNLIKELY(self->ssl_reading_paused && (size_t)size <= self->in_low))
    {
        self->ssl_reading_paused = 0;
        return tls_lower_pause(self, 0);
    }
    return 0;
}

int FA_HOT
tls_do_read(TlsObject *self)
{
    if (self->state != TLS_WRAPPED && self->state != TLS_FLUSHING) {
        return 0;
    }
    int rc = 0;
    if (FA_LIKELY(!self->app_reading_paused)) {
        rc = tls_deliver(self);
        if (FA_LIKELY(rc == 0)) {
            // what the application has just written may wait for the end of
            // the running entry
            int all = self->state != TLS_WRAPPED;
            rc = self->out.size > 0 && (all || !self->corked)
                     ? tls_do_write(self, all)
                     : tls_process_outgoing(self);
        }
    }
    if (FA_LIKELY(rc == 0)) {
        rc = tls_control_ssl_reading(self);
    }
    return FA_LIKELY(rc == 0) ? 0 : tls_failed(self);
}

int FA_HOT
tls_proceed(TlsObject *self)
{
    int rc = 0;
    switch (self->state) {
    case TLS_WRAPPED:
        rc = tls_do_read(self);
        break;
    case TLS_DO_HANDSHAKE:
        rc = tls_do_handshake(self);
        break;
    case TLS_FLUSHING:
        rc = tls_do_flush(self);
        break;
    case TLS_SHUTDOWN:
        rc = tls_do_shutdown(self);
        break;
    default:
        break;
    }
    tls_rest(self);
    return rc;
}

int
tls_resume_reading(TlsObject *self)
{
    if (!self->app_reading_paused) {
        return 0;
    }
    self->app_reading_paused = 0;
    return tls_soon(self, "_resume");
}

/* -- for the transport below (net.h) ---------------------------------------------------- */

int
tls_is_plain(PyObject *protocol)
{
    TlsObject *self = (TlsObject *)protocol;
    return self->dict == NULL && self->wire != NULL;
}

#define READ_MIN ((size_t)64 * 1024)

char *
tls_room(PyObject *protocol, size_t *room)
{
    TlsObject *self = (TlsObject *)protocol;
    tls_lib *lib = self->wire->lib;
    char *space = tlsbuf_room(lib, &self->wire->in, READ_MIN, room);
    if (space == NULL) {
        PyErr_NoMemory();
    }
    return space;
}

int FA_HOT
tls_received(PyObject *protocol, size_t n)
{
    TlsObject *self = (TlsObject *)protocol;
    if (n == 0) {
        tls_rest(self);
        return 0;
    }
    return tls_fed(self, n) < 0 ? -1 : tls_proceed(self);
}
