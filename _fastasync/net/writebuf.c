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

#define CORK_MAX ((size_t)64 * 1024)
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

/* Append a piece; `owner` is taken over (also on failure) and may be NULL. */
static inline int
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

/* Take back the last `count` pieces. */
static void
writebuf_unpush(fa_writebuf *out, uint32_t count)
{
    while (count-- > 0) {
        fa_chunk *chunk = &out->chunks[--out->tail];
        out->size -= chunk->len;
        Py_CLEAR(chunk->owner);
    }
}

/* `sent` bytes have left. */
static inline void
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
writebuf_send_some(fa_writebuf *out, int fd, size_t *asked)
{
    fa_chunk *first = &out->chunks[out->head];
    uint32_t count = out->tail - out->head;
    *asked = first->len;
    if (FA_LIKELY(count == 1)) {
        return sock_send(fd, first->data, first->len);
    }
    struct iovec iov[IOV_PER_SEND];
    int n = count < IOV_PER_SEND ? (int)count : IOV_PER_SEND;
    *asked = 0;
    for (int i = 0; i < n; i++) {
        iov[i].iov_base = (void *)(uintptr_t)first[i].data;
        iov[i].iov_len = first[i].len;
        *asked += first[i].len;
    }
    return sock_sendv(fd, iov, n);
}

/* Send until it is empty (0), the kernel is full (1), or -errno. No Python
   code runs here. */
static inline int
writebuf_send(fa_writebuf *out, int fd)
{
    while (out->size > 0) {
        size_t asked;
        ssize_t sent = writebuf_send_some(out, fd, &asked);
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
    PyObject *exc = fa_err_new_errno(neg_errno);
    if (exc == NULL) {
        return -1;
    }
    int rc = transport_fatal(self, exc, "Fatal write error on socket transport");
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
        int sent = writebuf_send(&self->out, transport_fd(self));
        if (sent < 0) {
            rc = writebuf_failed(self, sent);
        }
        else {
            if (sent == 0) {
                // before resume_writing, which may write again
                transport_drop_output(self);
            }
            rc = transport_maybe_resume(self);
            if (rc == 0 && sent == 0) {
                rc = writebuf_emptied(self);
            }
        }
    }
    Py_DECREF(op);
    return rc;
}

/* The kernel is full: keep what is left and wait. 0 or -1. */
static int
writebuf_block(TransportObject *self)
{
    if (writebuf_own(&self->out) < 0) {
        return -1;
    }
    if (loop_io_start(self->loop, self->fd, FA_OUT, writebuf_ready,
                      (PyObject *)self) < 0)
    {
        return -1;
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
    int rc = writebuf_send(&self->out, transport_fd(self));
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
        (void)writebuf_send(&self->out, transport_fd(self));
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
    return loop->running && !loop->asleep &&
           loop->tstate == PyThreadState_Get() &&
           self->out.size < CORK_MAX && self->out.size <= self->high;
}

/* HOT. Pieces have been appended: hold them, or send them now. 0 or -1. */
static inline int
writebuf_written(TransportObject *self)
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

/* -- write and writelines --------------------------------------------------------- */

/* The object that `view`, of a memoryview, lies in, if that is exact bytes:
   immutable, so a reference will do (borrowed, or NULL). */
static PyObject *
writebuf_immutable_base(PyObject *data)
{
    if (!PyMemoryView_Check(data)) {
        return NULL;
    }
    PyObject *base = PyMemoryView_GET_BASE(data);
    return base != NULL && PyBytes_CheckExact(base) ? base : NULL;
}

/* Append any bytes-like object; memory that may change is copied, or, with
   `lend`, lent until the flush that must follow. 0 or -1. */
static int
writebuf_add(TransportObject *self, PyObject *data, Py_buffer *view, int lend)
{
    PyObject *owner = Py_XNewRef(writebuf_immutable_base(data));
    const char *bytes = view->buf;
    if (owner == NULL && !lend) {
        owner = PyBytes_FromStringAndSize(view->buf, view->len);
        if (owner == NULL) {
            return -1;
        }
        bytes = PyBytes_AS_STRING(owner);
    }
    return writebuf_push(&self->out, bytes, (size_t)view->len, owner);
}

/* May write() go on? 1 = yes, 0 = the data is dropped, -1. `empty`: nothing is
   to be written. */
static int
writebuf_check(TransportObject *self, const char *method, int empty)
{
    if (self->eof) {
        PyErr_Format(PyExc_RuntimeError, "Cannot call %s() after write_eof()",
                     method);
        return -1;
    }
    if (self->empty_waiter != NULL) {
        PyErr_Format(PyExc_RuntimeError,
                     "unable to %s; sendfile is in progress", method);
        return -1;
    }
    if (empty) {
        return 0;
    }
    if (self->conn_lost) {
        return transport_log_lost_write(self);
    }
    return 1;
}

static int FA_COLD
writebuf_type_error(PyObject *data)
{
    PyObject *name = PyType_GetName(Py_TYPE(data));
    if (name != NULL) {
        PyErr_Format(PyExc_TypeError,
                     FA_HAS_WRITE_TYPES_TEXT
                         ? "data argument must be a bytes, bytearray, or "
                           "memoryview object, not %R"
                         : "data argument must be a bytes-like object, not %R",
                     name);
        Py_DECREF(name);
    }
    return -1;
}

/* write() of anything but plain bytes on an open transport. */
static int
transport_write_slow(TransportObject *self, PyObject *data)
{
    if (!PyBytes_Check(data) && !PyByteArray_Check(data) &&
        !PyMemoryView_Check(data))
    {
        return writebuf_type_error(data);
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int rc = writebuf_check(self, "write", view.len == 0);
    if (rc > 0) {
        // large and not to be held: let the kernel copy it, not us
        int lend = !self->blocked && (size_t)view.len >= CORK_MAX;
        rc = writebuf_add(self, data, &view, lend);
        if (rc == 0) {
            rc = writebuf_written(self);
        }
    }
    PyBuffer_Release(&view);
    return rc;
}

int FA_HOT
transport_write(TransportObject *self, PyObject *data)
{
    if (FA_UNLIKELY(!PyBytes_CheckExact(data) || self->conn_lost ||
                    self->eof || self->empty_waiter != NULL))
    {
        return transport_write_slow(self, data);
    }
    size_t len = (size_t)PyBytes_GET_SIZE(data);
    if (FA_UNLIKELY(len == 0)) {
        return 0;
    }
    if (writebuf_push(&self->out, PyBytes_AS_STRING(data), len,
                      Py_NewRef(data)) < 0)
    {
        return -1;
    }
    return writebuf_written(self);
}

/* A copy as exact bytes (new); errors as asyncio's. */
static PyObject *
writebuf_freeze(PyObject *item)
{
    PyObject *mem = PyMemoryView_FromObject(item);
    PyObject *bytes = mem == NULL ? NULL : PyBytes_FromObject(mem);
    Py_XDECREF(mem);
    return bytes;
}

/* Make every item of our list exact bytes, or a memoryview into exact bytes:
   from then on nothing runs Python code. 0 or -1. */
static int
writebuf_freeze_lines(PyObject *items)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        if (FA_LIKELY(PyBytes_CheckExact(item)) ||
            writebuf_immutable_base(item) != NULL)
        {
            continue;
        }
#if FA_HAS_WRITELINES_SKIP
        int full = PyObject_IsTrue(item); // whatever it is
        PyObject *bytes = full < 0    ? NULL
                          : full == 0 ? PyBytes_FromStringAndSize(NULL, 0)
                                      : writebuf_freeze(item);
#else
        PyObject *bytes = writebuf_freeze(item);
#endif
        if (bytes == NULL || PyList_SetItem(items, i, bytes) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Append one frozen item. 0 or -1. */
static int
writebuf_add_line(TransportObject *self, PyObject *item)
{
    if (FA_LIKELY(PyBytes_CheckExact(item))) {
        size_t len = (size_t)PyBytes_GET_SIZE(item);
        return len == 0 ? 0
                        : writebuf_push(&self->out, PyBytes_AS_STRING(item),
                                        len, Py_NewRef(item));
    }
    Py_buffer view;
    if (PyObject_GetBuffer(item, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int rc = view.len == 0 ? 0 : writebuf_add(self, item, &view, 0);
    PyBuffer_Release(&view);
    return rc;
}

/* All or nothing: a failure leaves nothing behind. */
static int
writebuf_add_lines(TransportObject *self, PyObject *items)
{
    uint32_t before = self->out.tail - self->out.head;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        if (writebuf_add_line(self, PyList_GET_ITEM(items, i)) < 0) {
            writebuf_unpush(&self->out,
                            self->out.tail - self->out.head - before);
            return -1;
        }
    }
    return 0;
}

/* A list of frozen lines (new). */
static PyObject *
writebuf_lines(PyObject *list)
{
    PyObject *items = PySequence_List(list); // ours: nobody can change it
    if (items != NULL && writebuf_freeze_lines(items) < 0) {
        Py_CLEAR(items);
    }
#if !FA_HAS_WRITELINES_SENDMSG
    if (items == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        // it was b"".join there, and says so
        PyErr_Clear();
        PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
        PyObject *joined =
            empty == NULL ? NULL
                          : PyObject_CallMethod(empty, "join", "O", list);
        items = joined == NULL ? NULL : PyList_New(1);
        Py_XDECREF(empty);
        if (items == NULL) {
            Py_XDECREF(joined);
            return NULL;
        }
        PyList_SET_ITEM(items, 0, joined);
    }
#endif
    return items;
}

#if FA_HAS_WRITELINES_SENDMSG
#  define WRITELINES_NAME "writelines"
#else
#  define WRITELINES_NAME "write" /* it was b''.join and write() */
#endif

int
transport_writelines(TransportObject *self, PyObject *list)
{
    // b"".join takes anything; the others ask first whether there is anything
    int full = FA_HAS_WRITELINES_SENDMSG || PyList_Check(list)
                   ? PyObject_IsTrue(list)
                   : 1;
    if (full < 0) {
        return -1;
    }
    int rc = writebuf_check(self, WRITELINES_NAME, !full);
    if (rc <= 0) {
        return rc;
    }
    PyObject *items = writebuf_lines(list);
    if (items == NULL) {
        return -1;
    }
    rc = self->conn_lost ? 0 : writebuf_add_lines(self, items);
    Py_DECREF(items);
    if (rc < 0 || self->out.size == 0) {
        return rc;
    }
    return writebuf_written(self);
}

/* -- flow control ------------------------------------------------------------------ */

int
transport_maybe_pause(TransportObject *self)
{
    if (FA_LIKELY(self->out.size <= self->high) || self->proto_paused ||
        self->protocol == NULL)
    {
        return 0;
    }
    self->proto_paused = 1;
    return protocol_pause(self);
}

int
transport_maybe_resume(TransportObject *self)
{
    if (FA_LIKELY(!self->proto_paused) || self->out.size > self->low ||
        self->protocol == NULL)
    {
        return 0;
    }
    self->proto_paused = 0;
    return protocol_resume(self);
}

/* A limit as a number of bytes; anything larger than memory is infinite. */
static int
writebuf_limit(PyObject *number, size_t *out)
{
    PyObject *whole = PyNumber_Long(number);
    if (whole == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear(); // float("inf")
        *out = SIZE_MAX;
        return 0;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(whole, &overflow);
    Py_DECREF(whole);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    *out = overflow ? SIZE_MAX : (size_t)value;
    return 0;
}

/* high >= low >= 0, in Python's arithmetic. 1, 0 or -1. */
static int
writebuf_limits_valid(PyObject *high, PyObject *low)
{
    int ok = PyObject_RichCompareBool(high, low, Py_GE);
    if (ok <= 0) {
        return ok;
    }
    PyObject *zero = PyLong_FromLong(0);
    ok = zero == NULL ? -1 : PyObject_RichCompareBool(low, zero, Py_GE);
    Py_XDECREF(zero);
    return ok;
}

/* asyncio's defaults for what was not given: new references in *high, *low. */
static int
writebuf_limits_default(PyObject **high, PyObject **low)
{
    PyObject *four = PyLong_FromLong(4);
    if (four == NULL) {
        *high = *low = NULL; // they were borrowed
        return -1;
    }
    if (*high == NULL) {
        *high = *low == NULL ? PyLong_FromLong(64 * 1024)
                             : PyNumber_Multiply(four, *low);
    }
    else {
        Py_INCREF(*high);
    }
    if (*low == NULL) {
        *low = *high == NULL ? NULL : PyNumber_FloorDivide(*high, four);
    }
    else {
        Py_INCREF(*low);
    }
    Py_DECREF(four);
    return *high == NULL || *low == NULL ? -1 : 0;
}

int
transport_set_limits(TransportObject *self, PyObject *high, PyObject *low)
{
    int rc = writebuf_limits_default(&high, &low);
    if (rc == 0) {
        int valid = writebuf_limits_valid(high, low);
        if (valid == 0) {
            PyErr_Format(PyExc_ValueError,
                         "high (%R) must be >= low (%R) must be >= 0", high,
                         low);
        }
        size_t new_high, new_low;
        rc = valid <= 0 || writebuf_limit(high, &new_high) < 0 ||
                     writebuf_limit(low, &new_low) < 0
                 ? -1
                 : 0;
        if (rc == 0) {
            self->high = new_high;
            self->low = new_low;
        }
    }
    Py_XDECREF(high);
    Py_XDECREF(low);
    return rc;
}
