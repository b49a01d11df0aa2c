/* net/sockread.c: bytes from the socket to the protocol.

   The loop calls sockread_ready once per readiness; each makes one recv. A
   Protocol gets an exact bytes object: small reads go through the loop's
   scratch buffer, so that nothing larger than the message is allocated; a
   connection that filled the buffer reads straight into the final object the
   next time, up to asyncio's 256 KiB. A BufferedProtocol's own memory is read
   into directly.

   recv runs with the GIL held: it does not block and copies at most 256 KiB.
   HOT: one call per message. Benchmarks: tcp_echo_protocol, tcp_echo_buffered,
   stream_1k_x10. */
#include "net/transport.h"

#include <errno.h>

#include "base/errors.h"

#define DATA_FAILED "Fatal error: protocol.data_received() call failed."

/* How much to ask for. Class 0 is the scratch buffer; class 1 stays under
   malloc's mmap threshold, so that shrinking and freeing it costs no system
   call. A read of at least `up` bytes moves a connection one class up: copying
   32 KiB out of the scratch buffer costs more than a larger allocation. One of
   less than `down` moves it down. */
static const struct {
    Py_ssize_t size, up, down;
} read_classes[] = {
    {FA_SCRATCH_SIZE, 32 * 1024, 0},
    {124 * 1024, 124 * 1024, 16 * 1024},
    {256 * 1024, PY_SSIZE_T_MAX, 124 * 1024},
};

/* recv said end of file (0), would block, or an error. 0 or -1. */
static int FA_COLD
sockread_nothing(TransportObject *self, ssize_t n)
{
    if (n == -EAGAIN) {
        return 0;
    }
    if (n < 0) {
        fa_err_set_errno((int)n);
        return transport_fatal_raised(self, self->wire->read_failed);
    }
    if (self->wire->ended != NULL) {
        return self->wire->ended(self);
    }
    if (self->loop->debug && transport_log_debug(self, "%r received EOF") < 0) {
        return -1;
    }
    return protocol_eof(self);
}

static void
sockread_learn(TransportObject *self, ssize_t n)
{
    unsigned cls = self->read_class;
    if (n >= read_classes[cls].up) {
        self->read_class = (cls + 1) & 3;
    }
    else if (n < read_classes[cls].down) {
        self->read_class = (cls - 1) & 3;
    }
}

/* Read directly into the bytes object that the protocol will get. */
static int
sockread_large(TransportObject *self)
{
    Py_ssize_t size = read_classes[self->read_class].size;
    PyObject *data = PyBytes_FromStringAndSize(NULL, size);
    if (data == NULL) {
        return transport_fatal_raised(self, self->wire->read_failed);
    }
    ssize_t n = self->wire->recv(transport_fd(self), PyBytes_AS_STRING(data),
                                 (size_t)size);
    if (n <= 0) {
        Py_DECREF(data);
        return sockread_nothing(self, n);
    }
    sockread_learn(self, n);
    if (n < size && _PyBytes_Resize(&data, n) < 0) {
        return transport_fatal_raised(self, self->wire->read_failed);
    }
    int rc = protocol_data(self, data);
    Py_DECREF(data);
    return rc;
}

/* Straight into the buffer of a stream reader. */
static int
sockread_large_stream(TransportObject *self)
{
    const fa_sink *sink = self->st->stream_sink;
    Py_ssize_t size = read_classes[self->read_class].size;
    char *space = sink->room(self->protocol, &size);
    if (space == NULL) {
        return PyErr_Occurred() ? transport_fatal_raised(self, self->wire->read_failed)
                                : sockread_large(self);
    }
    ssize_t n = self->wire->recv(transport_fd(self), space, (size_t)size);
    if (sink->fed(self->protocol, n > 0 ? n : 0) < 0) {
        return transport_fatal_raised(self, DATA_FAILED);
    }
    if (n <= 0) {
        return sockread_nothing(self, n);
    }
    sockread_learn(self, n);
    return 0;
}

/* HOT */
static inline int
sockread_bytes(LoopObject *loop, TransportObject *self)
{
    int streamed = self->streamed && loop->direct;
    if (FA_UNLIKELY(self->read_class > 0)) {
        return streamed ? sockread_large_stream(self) : sockread_large(self);
    }
    char *scratch = loop_scratch(loop);
    if (scratch == NULL) {
        return transport_fatal_raised(self, self->wire->read_failed);
    }
    ssize_t n = self->wire->recv(transport_fd(self), scratch, FA_SCRATCH_SIZE);
    if (FA_UNLIKELY(n <= 0)) {
        return sockread_nothing(self, n);
    }
    sockread_learn(self, n);
    if (streamed) {
        int fed = self->st->stream_sink->feed(self->protocol, scratch, n);
        if (FA_LIKELY(fed > 0)) {
            return 0;
        }
        if (fed < 0) {
            return transport_fatal_raised(self, DATA_FAILED);
        }
    }
    PyObject *data = PyBytes_FromStringAndSize(scratch, n);
    if (data == NULL) {
        return transport_fatal_raised(self, self->wire->read_failed);
    }
    int rc = protocol_data(self, data);
    Py_DECREF(data);
    return rc;
}

/* get_buffer() gave something that has no writable view. The Python socket
   says what is wrong with it, in its own words. The number of bytes, 0 at the
   end of file, -EAGAIN, or -1 with an exception. */
static ssize_t FA_COLD
sockread_into_slow(TransportObject *self, PyObject *buffer)
{
    PyObject *sock = transport_sock(self);
    if (sock == NULL) {
        if (!PyErr_Occurred()) {
            fa_err_set_errno(-EBADF);
        }
        return -1;
    }
    Py_INCREF(sock);
    PyObject *res = PyObject_CallMethod(sock, "recv_into", "O", buffer);
    Py_DECREF(sock);
    Py_ssize_t n = res == NULL ? -1 : PyLong_AsSsize_t(res);
    Py_XDECREF(res);
    if (n < 0 && PyErr_ExceptionMatches(PyExc_BlockingIOError)) {
        PyErr_Clear();
        return -EAGAIN;
    }
    return n;
}

/* In the transport's context: get_buffer, recv, buffer_updated. What recv said
   is left in *n if it brought nothing, else 1. 0 or -1. */
static inline int
sockread_into_entered(TransportObject *self, ssize_t *n)
{
    Py_buffer view;
    PyObject *owner = NULL;
    *n = 1;
    int rc = protocol_buffer(self, &view, &owner);
    if (FA_UNLIKELY(rc <= 0)) {
        return rc;
    }
    // get_buffer() may have closed us: then the fd cell says -1
    if (FA_LIKELY(view.obj != NULL)) {
        *n = self->wire->recv(transport_fd(self), view.buf, (size_t)view.len);
        PyBuffer_Release(&view);
    }
    else {
        *n = sockread_into_slow(self, owner);
        if (*n == -1) {
            *n = 1;
            rc = transport_fatal_raised(self, self->wire->read_failed);
            Py_DECREF(owner);
            return rc;
        }
    }
    Py_DECREF(owner);
    if (FA_UNLIKELY(self->lost)) {
        *n = 1;
        return 0;
    }
    return FA_LIKELY(*n > 0) ? protocol_updated(self, *n) : 0;
}

static int
sockread_into(TransportObject *self)
{
    PyObject *entered = context_enter(self->context);
    if (entered == NULL) {
        return transport_fatal_raised(self, self->wire->read_failed);
    }
    ssize_t n;
    int rc = sockread_into_entered(self, &n);
    if (FA_UNLIKELY(rc < 0)) {
        context_leave(entered);
        return -1;
    }
    if (FA_UNLIKELY(PyContext_Exit(entered) < 0)) {
        fa_err_unraisable(entered);
    }
    Py_DECREF(entered);
    return FA_LIKELY(n > 0) ? 0 : sockread_nothing(self, n);
}

/* Into the buffer that OpenSSL reads from; then all that follows, in the
   transport's context. */
static int
sockread_tls(TransportObject *self)
{
    size_t room;
    PyObject *protocol = Py_NewRef(self->protocol);
    char *space = tls_room(protocol, &room);
    if (space == NULL) {
        Py_DECREF(protocol);
        return transport_fatal_raised(
            self, "Fatal error: protocol.get_buffer() call failed.");
    }
    ssize_t n = self->wire->recv(transport_fd(self), space, room);
    PyObject *entered = NULL;
    int rc = -1;
    if (FA_LIKELY(n > 0)) {
        entered = context_enter(self->context);
    }
    if (FA_LIKELY(entered != NULL || n <= 0)) {
        rc = tls_received(protocol, n > 0 ? (size_t)n : 0);
    }
    if (FA_LIKELY(entered != NULL)) {
        context_leave(entered);
    }
    Py_DECREF(protocol);
    if (FA_UNLIKELY(rc < 0)) {
        return transport_fatal_raised(
            self, "Fatal error: protocol.buffer_updated() call failed.");
    }
    return FA_LIKELY(n > 0) ? 0 : sockread_nothing(self, n);
}

int
sockread_ready(LoopObject *loop, PyObject *op, PyObject *Py_UNUSED(arg))
{
    TransportObject *self = (TransportObject *)op;
    int rc = 0;
    // the entry may be older than a pause, a close or a loss
    if (FA_LIKELY(self->reading && !self->conn_lost)) {
        rc = FA_LIKELY(!self->buffered) ? sockread_bytes(loop, self)
             : self->secured && tls_is_plain(self->protocol)
                 ? sockread_tls(self)
                 : sockread_into(self);
    }
    Py_DECREF(op);
    return rc;
}
