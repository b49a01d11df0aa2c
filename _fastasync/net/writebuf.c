/* net/writebuf.c: bytes from write() to the socket, and flow control.

   write() inside a running ready entry holds its bytes (by reference: they are
   immutable) and asks the loop to be called when the entry returns; then they
   leave in one send or sendmsg. A server that writes head and body apart pays
   one system call per response. They leave at once when the loop is not
   running, when more is held than 64 KiB or than the high-water mark, and when
   anybody looks at the buffer, the socket, or closes.

   What the kernel does not take stays, and FA_OUT is watched (`blocked`).
   Memory that its owner may change (bytearray, memoryview) is copied when
   write() returns, never later; a slice of bytes is held by reference.

   Invariant: dropping pieces runs no Python code, since every owner is exact
   bytes. Cost: no allocation for up to two pieces held.
   HOT: transport_write, transport_flush. Benchmark: tcp_echo_protocol. */
#include "net/transport.h"

#include <errno.h>
#include <string.h>

#include "base/errors.h"

#define IOV_PER_SEND 64

/* -- the buffer ------------------------------------------------------------------- */

void
writebuf_init(fa_writebuf *out)
{
    *out = (fa_writebuf){0};
    out->chunks = out->few;
    out->capacity = FA_CHUNKS_INLINE;
}

/* No piece is left: give the array back. */
static void
writebuf_reset(fa_writebuf *out)
{
    if (FA_UNLIKELY(out->chunks != out->few)) {
        PyMem_Free(out->chunks);
        out->chunks = out->few;
        out->capacity = FA_CHUNKS_INLINE;
    }
    out->head = out->tail = 0;
}

void
writebuf_clear(fa_writebuf *out)
{
    for (uint32_t i = out->head; i < out->tail; i++) {
        Py_CLEAR(out->chunks[i].owner);
    }
    out->size = 0;
    writebuf_reset(out);
}

/* Room for one more piece. 0, or -1 with MemoryError. */
static int FA_COLD
writebuf_grow(fa_writebuf *out)
{
    uint32_t count = out->tail - out->head;
    if (out->head > 0 && count <= out->capacity / 2) {
        memmove(out->chunks, out->chunks + out->head,
                count * sizeof(fa_chunk));
        out->head = 0;
        out->tail = count;
        return 0;
    }
    fa_chunk *chunks = PyMem_New(fa_chunk, (size_t)out->capacity * 2);
    if (chunks == NULL || out->capacity > UINT32_MAX / 2) {
        PyMem_Free(chunks);
        PyErr_NoMemory();
        return -1;
    }
    memcpy(chunks, out->chunks + out->head, count * sizeof(fa_chunk));
    if (out->chunks != out->few) {
        PyMem_Free(out->chunks);
    }
    out->chunks = chunks;
    out->capacity *= 2;
    out->head = 0;
    out->tail = count;
    return 0;
}

int FA_HOT
writebuf_push(fa_writebuf *out, const char *data, size_t len, PyObject *owner)
{
    if (FA_UNLIKELY(out->tail == out->capacity) && writebuf_grow(out) < 0) {
        Py_XDECREF(owner);
        return -1;
    }
    out->chunks[out->tail++] = (fa_chunk){data, len, owner};
    out->size += len;
    return 0;
}

void
writebuf_unpush(fa_writebuf *out, uint32_t count)
{
    while (count-- > 0) {
        fa_chunk *chunk = &out->chunks[--out->tail];
        out->size -= chunk->len;
        Py_CLEAR(chunk->owner);
    }
}

void FA_HOT
writebuf_consume(fa_writebuf *out, size_t sent)
{
    out->size -= sent;
    while (sent > 0) {
        fa_chunk *chunk = &out->chunks[out->head];
        if (sent < chunk->len) {
            chunk->data += sent;
            chunk->len -= sent;
            return;
        }
        sent -= chunk->len;
        Py_XDECREF(chunk->owner);
        out->head++;
    }
    if (out->head == out->tail) {
        writebuf_reset(out);
    }
}

/* The last piece may lie in memory that is only lent to us: copy what is left
   of it. 0, or -1 with MemoryError (and without the piece). */
static int
writebuf_own(fa_writebuf *out)
{
    if (out->head == out->tail || out->chunks[out->tail - 1].owner != NULL) {
        return 0;
    }
    fa_chunk *chunk = &out->chunks[out->tail - 1];
    chunk->owner = PyBytes_FromStringAndSize(chunk->data,
                                             (Py_ssize_t)chunk->len);
    if (chunk->owner == NULL) {
        writebuf_unpush(out, 1);
        return -1;
    }
    chunk->data = PyBytes_AS_STRING(chunk->owner);
    return 0;
}

/* -- sending ---------------------------------------------------------------------- */

/* One system call: bytes taken, or -errno; *asked is what was offered. */
static inline ssize_t
writebuf_send_some(TransportObject *self, size_t *asked)
{
    fa_writebuf *out = &self->out;
    int fd = transport_fd(self);
    fa_chunk *first = &out->chunks[out->head];
    uint32_t count = out->tail - out->head;
    *asked = first->len;
    if (FA_LIKELY(count == 1)) {
        return self->wire->send(fd, first->data, first->len);
    }
    struct iovec iov[IOV_PER_SEND];
    int n = count < IOV_PER_SEND ? (int)count : IOV_PER_SEND;
    *asked = 0;
    for (int i = 0; i < n; i++) {
        iov[i].iov_base = (void *)(uintptr_t)first[i].data;
        iov[i].iov_len = first[i].len;
        *asked += first[i].len;
    }
    return self->wire->sendv(fd, iov, n);
}

/* Send until it is empty (0), the kernel is full (1), or -errno. No Python
   code runs here. */
static inline int
writebuf_send(TransportObject *self)
{
    fa_writebuf *out = &self->out;
    while (out->size > 0) {
        size_t asked;
        ssize_t sent = writebuf_send_some(self, &asked);
        if (FA_UNLIKELY(sent < 0)) {
            return sent == -EAGAIN ? 1 : (int)sent;
        }
        writebuf_consume(out, (size_t)sent);
        if (FA_UNLIKELY((size_t)sent < asked)) {
            return 1;
        }
    }
    return 0;
}

/* A send failed: the connection is gone. 0 or -1. */
static int FA_COLD
writebuf_failed(TransportObject *self, int neg_errno)
{
    transport_drop_output(self);
    self->late++;
    PyObject *exc = fa_err_new_errno(neg_errno);
    if (exc == NULL) {
        return -1;
    }
    int rc = transport_fatal(self, exc, self->wire->write_failed);
    if (rc == 0) {
        rc = transport_fail_empty_waiter(self, exc);
    }
    Py_DECREF(exc);
    return rc;
}

/* What waited for the last byte, from an entry of the loop. 0 or -1. */
static int
writebuf_emptied(TransportObject *self)
{
    if (self->closing && !self->conn_lost && self->out.size == 0) {
        return transport_lost_reported(self, NULL); // at once, as asyncio
    }
    if (transport_output_done(self) == 0) {
        return 0;
    }
    return transport_report_method(self, (PyObject *)self, "_write_ready",
                                   NULL);
}

/* fa_run: the kernel takes more. */
static int
writebuf_ready(LoopObject *Py_UNUSED(loop), PyObject *op,
               PyObject *Py_UNUSED(arg))
{
    TransportObject *self = (TransportObject *)op;
    int rc = 0;
    if (self->blocked && !self->conn_lost) {
        int sent = writebuf_send(self);
        if (sent < 0) {
            rc = writebuf_failed(self, sent);
        }
        else {
            if (sent == 0) {
                // before resume_writing, which may write again
                transport_drop_output(self);
            }
            if (sent == 0 || !self->wire->pipe) {
                rc = transport_maybe_resume(self);
            }
            if (rc == 0 && sent == 0) {
                rc = writebuf_emptied(self);
            }
        }
    }
    Py_DECREF(op);
    return rc;
}

/* The kernel is full: keep what is left and wait. If that cannot be, the rest
   will never leave, and the connection is over. 0 or -1. */
static int
writebuf_block(TransportObject *self)
{
    if (FA_UNLIKELY(writebuf_own(&self->out) < 0 ||
                    loop_io_start(self->loop, self->fd, FA_OUT, writebuf_ready,
                                  (PyObject *)self) < 0))
    {
        return transport_fatal_raised(self, self->wire->write_failed);
    }
    self->blocked = 1;
    return 0;
}

int FA_HOT
transport_flush(TransportObject *self)
{
    if (self->out.size == 0 || self->blocked) {
        return 0;
    }
    if (FA_UNLIKELY(self->wire->flush != NULL)) {
        return self->wire->flush(self, 0);
    }
    int rc = writebuf_send(self);
    if (FA_UNLIKELY(rc < 0)) {
        return writebuf_failed(self, rc);
    }
    if (FA_UNLIKELY(rc > 0)) {
        return writebuf_block(self);
    }
    if (FA_UNLIKELY(self->closing || self->eof)) {
        return transport_output_done(self); // written by resume_writing
    }
    return 0;
}

void
transport_flush_quietly(TransportObject *self)
{
    if (self->out.size > 0 && !self->blocked) {
        if (self->wire->flush != NULL) {
            (void)self->wire->flush(self, 1);
            return;
        }
        (void)writebuf_send(self);
    }
}

/* fa_run: the entry that wrote has returned to the loop. */
static int
writebuf_uncork(LoopObject *Py_UNUSED(loop), PyObject *op,
                PyObject *Py_UNUSED(arg))
{
    TransportObject *self = (TransportObject *)op;
    self->corked = 0;
    int rc = transport_flush(self);
    if (FA_UNLIKELY(rc < 0)) {
        rc = transport_report_method(self, op, "_write_ready", NULL);
    }
    Py_DECREF(op);
    return rc;
}

/* HOT. May bytes wait for the end of the running entry? */
static inline int
writebuf_may_hold(TransportObject *self)
{
    LoopObject *loop = self->loop;
    return loop->running && !loop->asleep && !self->messages &&
           loop->tstate == PyThreadState_Get() &&
           self->out.size < FA_CORK_MAX && self->out.size <= self->high;
}

int FA_HOT
transport_written(TransportObject *self)
{
    if (FA_LIKELY(!self->blocked)) {
        if (FA_LIKELY(writebuf_may_hold(self))) {
            if (self->corked) {
                return 0;
            }
            self->corked = 1;
            return loop_cork(self->loop, writebuf_uncork,
                             Py_NewRef((PyObject *)self));
        }
        if (transport_flush(self) < 0) {
            return -1;
        }
    }
    return transport_maybe_pause(self);
}
