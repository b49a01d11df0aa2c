/* net/datagram_write.c: datagrams from sendto() to the socket.

   asyncio sends at once, and so does the first datagram that a ready entry of
   the loop, or datagram_received for one datagram, sends here. Those that follow
   it before the entry returns are held and leave together, by one sendmmsg; and
   while a batch of received datagrams is being delivered, so are all the
   answers. At most FA_DGRAM_BATCH are held, and never more than the high-water
   mark allows, so that pause_writing comes out of the sendto() that caused it. At
   once when the loop is not running, or runs in another thread, and when anybody
   looks at the buffer, the socket, or closes. For one that is held, what the
   kernel says of it comes later: error_received is called when the entry has
   returned.

   The first that the kernel does not take, and all that follow it, wait in the
   same queue until FA_OUT (`blocked`), as in asyncio.

   Pieces of unusual addresses go through the Python socket, in their turn.
   HOT: datagram_sendto. Benchmark: udp_1k_x10. */
#include "net/datagram.h"

#include <errno.h>
#include <string.h>

#include "base/errors.h"

#define QUEUE_FIRST 16 /* capacity */

/* -- the queue ---------------------------------------------------------------------- */

static inline uint32_t
queue_len(const DatagramObject *self)
{
    return self->tail - self->head;
}

static inline fa_departure *
queue_at(DatagramObject *self, uint32_t i)
{
    return &self->queue[(self->head + i) & (self->capacity - 1)];
}

static int FA_COLD
queue_grow(DatagramObject *self)
{
    uint32_t len = queue_len(self);
    uint32_t capacity = self->capacity ? self->capacity * 2 : QUEUE_FIRST;
    fa_departure *queue = PyMem_New(fa_departure, capacity);
    if (queue == NULL || capacity == 0) {
        PyMem_Free(queue);
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; i < len; i++) {
        queue[i] = *queue_at(self, i);
    }
    PyMem_Free(self->queue);
    self->queue = queue;
    self->capacity = capacity;
    self->head = 0;
    self->tail = len;
    return 0;
}

/* asyncio's account of one. */
static inline size_t
departure_size(PyObject *data)
{
    return (size_t)PyBytes_GET_SIZE(data) + FA_DATAGRAM_HEADER;
}

/* Append; `data` is taken over. 0, or -1 with MemoryError. Runs no Python
   code. */
static int
queue_push(DatagramObject *self, PyObject *data, PyObject *addr,
           const fa_dest *dest)
{
    if (queue_len(self) == self->capacity && queue_grow(self) < 0) {
        Py_DECREF(data);
        return -1;
    }
    fa_departure *one = queue_at(self, queue_len(self));
    one->data = data;
    one->addr = Py_NewRef(addr);
    one->dest.how = dest->how;
    one->dest.len = dest->len;
    if (dest->how == FA_DEST_RAW) {
        memcpy(&one->dest.raw, &dest->raw, dest->len);
    }
    self->tail++;
    self->t.out.size += departure_size(data);
    return 0;
}

/* The first, which the caller owns from now on. */
static fa_departure
queue_pop(DatagramObject *self)
{
    fa_departure one = *queue_at(self, 0);
    self->head++;
    self->t.out.size -= departure_size(one.data);
    if (self->head == self->tail) {
        PyMem_Free(self->queue);
        self->queue = NULL;
        self->head = self->tail = self->capacity = 0;
    }
    return one;
}

/* Put back what queue_pop has returned; it is taken over. 0 or -1. */
static int
queue_unpop(DatagramObject *self, fa_departure one)
{
    if (queue_len(self) == self->capacity && queue_grow(self) < 0) {
        Py_DECREF(one.data);
        Py_DECREF(one.addr);
        return -1;
    }
    self->head--;
    *queue_at(self, 0) = one;
    self->t.out.size += departure_size(one.data);
    return 0;
}

/* Drop the first `n`. Addresses of unusual kinds may run Python code. */
static void
queue_drop(DatagramObject *self, uint32_t n)
{
    while (n-- > 0 && queue_len(self) > 0) {
        fa_departure one = queue_pop(self);
        Py_DECREF(one.data);
        Py_DECREF(one.addr);
    }
}

void
datagram_drop(TransportObject *t)
{
    DatagramObject *self = (DatagramObject *)t;
    queue_drop(self, UINT32_MAX);
    if (t->closing) {
        datagram_drop_inbox(self);
    }
}

/* -- sending --------------------------------------------------------------------------- */

/* The socket's own send(data) or sendto(data, addr). 0; -EAGAIN; -EIO with
   OSError raised; -1 with another exception raised. */
static int FA_COLD
datagram_send_python(DatagramObject *self, PyObject *data, PyObject *addr)
{
    PyObject *sock = self->t.sock;
    PyObject *res;
    if (sock == NULL) {
        PyErr_SetString(PyExc_AttributeError,
                        "'NoneType' object has no attribute 'sendto'");
        return -1;
    }
    Py_INCREF(sock);
    res = self->connected
              ? PyObject_CallMethodOneArg(sock, self->t.st->str_send, data)
              : PyObject_CallMethod(sock, "sendto", "OO", data, addr);
    Py_DECREF(sock);
    if (res != NULL) {
        Py_DECREF(res);
        return 0;
    }
    if (PyErr_ExceptionMatches(PyExc_BlockingIOError) ||
        PyErr_ExceptionMatches(PyExc_InterruptedError))
    {
        PyErr_Clear();
        return -EAGAIN;
    }
    return PyErr_ExceptionMatches(PyExc_OSError) ? -EIO : -1;
}

/* One datagram, by whatever way its destination wants: as above, or another
   -errno without an exception. HOT */
static inline int
datagram_send(DatagramObject *self, PyObject *data, const char *bytes,
              size_t len, PyObject *addr, const fa_dest *dest)
{
    if (FA_UNLIKELY(dest->how == FA_DEST_PYTHON)) {
        return datagram_send_python(self, data, addr);
    }
    int raw = dest->how == FA_DEST_RAW;
    return dgram_send(transport_fd(&self->t), bytes, len,
                      raw ? &dest->raw.any : NULL, raw ? dest->len : 0);
}

/* The first of the queue, by the Python socket, which may do anything, also
   with the queue: so it is taken out meanwhile, as asyncio does. As below. */
static int FA_COLD
datagram_send_first_python(DatagramObject *self)
{
    fa_departure one = queue_pop(self);
    int rc = datagram_send_python(self, one.data, one.addr);
    if (rc == -EAGAIN) {
        return queue_unpop(self, one) < 0 ? -1 : -EAGAIN;
    }
    Py_DECREF(one.data);
    Py_DECREF(one.addr);
    return rc < 0 ? rc : 1;
}

/* The first few of the queue, which loses them: > 0; -EAGAIN, and all are still
   there; or as datagram_send for the first, which is gone then. */
static int
datagram_send_some(DatagramObject *self)
{
    uint32_t len = queue_len(self), n = 0;
    struct mmsghdr msgs[FA_DGRAM_BATCH];
    struct iovec parts[FA_DGRAM_BATCH];
    for (; n < len && n < FA_DGRAM_BATCH; n++) {
        fa_departure *one = queue_at(self, n);
        if (FA_UNLIKELY(one->dest.how == FA_DEST_PYTHON)) {
            break;
        }
        int raw = one->dest.how == FA_DEST_RAW;
        parts[n].iov_base = PyBytes_AS_STRING(one->data);
        parts[n].iov_len = (size_t)PyBytes_GET_SIZE(one->data);
        msgs[n].msg_hdr = (struct msghdr){
            .msg_name = raw ? &one->dest.raw : NULL,
            .msg_namelen = raw ? one->dest.len : 0,
            .msg_iov = &parts[n], .msg_iovlen = 1};
    }
    if (n == 0) {
        return datagram_send_first_python(self);
    }
    int fd = transport_fd(&self->t);
    int rc = n > 1 ? dgram_send_many(fd, msgs, n)
                   : dgram_send(fd, parts[0].iov_base, parts[0].iov_len,
                                msgs[0].msg_hdr.msg_name,
                                msgs[0].msg_hdr.msg_namelen);
    if (rc != -EAGAIN) {
        queue_drop(self, rc > 1 ? (uint32_t)rc : 1);
    }
    return rc == 0 ? 1 : rc;
}

enum {
    ERRORS_RAISE,   /* error_received is called in the current context, and
                       what it raises stays raised */
    ERRORS_REPORT,  /* in the transport's, and what it raises is reported */
    ERRORS_IGNORE,
};

/* protocol.error_received(exc). 0 or -1. */
static int
datagram_tell_error(DatagramObject *self, PyObject *exc, int errors)
{
    TransportObject *t = &self->t;
    if (errors == ERRORS_IGNORE || t->protocol == NULL) {
        return 0;
    }
    if (errors == ERRORS_REPORT) {
        return protocol_error(t, exc) < 0
                   ? transport_report_method(t, (PyObject *)self,
                                             "_sendto_ready", NULL)
                   : 0;
    }
    PyObject *protocol = Py_NewRef(t->protocol);
    PyObject *res = PyObject_CallMethodOneArg(
        protocol, t->st->str_error_received, exc);
    Py_DECREF(protocol);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* What datagram_send said of one that is gone (not -EAGAIN). 0 or -1. */
static int FA_COLD
datagram_send_failed(DatagramObject *self, int rc, int errors)
{
    TransportObject *t = &self->t;
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_OSError)) {
        return transport_fatal_raised(t, t->wire->write_failed);
    }
    PyObject *exc = PyErr_Occurred() ? fa_err_take() : fa_err_new_errno(rc);
    if (exc == NULL) {
        return transport_fatal_raised(t, t->wire->write_failed);
    }
    rc = datagram_tell_error(self, exc, errors);
    Py_DECREF(exc);
    return rc;
}

/* The kernel takes no more: what is queued waits for FA_OUT. 0 or -1. */
static int
datagram_block(DatagramObject *self);

/* Send what is held. Errors of datagrams do not stop it; an exception that has
   to leave, the first of them, is raised at the end. 0 or -1. */
static int
datagram_send_held(DatagramObject *self, int errors)
{
    PyObject *error = NULL;
    while (queue_len(self) > 0 && !self->t.blocked) {
        int rc = datagram_send_some(self);
        if (FA_LIKELY(rc > 0)) {
            continue;
        }
        if (rc == -EAGAIN) {
            if (errors == ERRORS_IGNORE) {
                break;
            }
            rc = datagram_block(self);
            if (rc < 0) {
                queue_drop(self, UINT32_MAX);
            }
        }
        else {
            rc = datagram_send_failed(self, rc, errors);
        }
        if (rc < 0 && error == NULL) {
            error = fa_err_take();
        }
        PyErr_Clear();
    }
    if (FA_UNLIKELY(error != NULL)) {
        fa_err_restore(error);
        return -1;
    }
    return 0;
}

int
datagram_flush(TransportObject *t, int quietly)
{
    return datagram_send_held((DatagramObject *)t,
                              quietly ? ERRORS_IGNORE : ERRORS_REPORT);
}

/* fa_run: the entry that sent has returned, or runs the loop again. */
static int
datagram_uncork(LoopObject *Py_UNUSED(loop), PyObject *op,
                PyObject *Py_UNUSED(arg))
{
    DatagramObject *self = (DatagramObject *)op;
    int rc = 0;
    self->t.corked = 0;
    if (queue_len(self) > 0 && !self->t.blocked) {
        rc = datagram_send_held(self, ERRORS_REPORT);
    }
    if (FA_UNLIKELY(self->first != self->last)) {
        PyObject *error = rc < 0 ? fa_err_take() : NULL;
        rc = datagram_await_inbox(self) < 0 || error != NULL ? -1 : 0;
        if (error != NULL) {
            fa_err_restore(error);
        }
    }
    Py_DECREF(op);
    return rc;
}

int
datagram_cork(DatagramObject *self)
{
    TransportObject *t = &self->t;
    LoopObject *loop = t->loop;
    if (t->corked) {
        return 1;
    }
    if (loop == NULL || !loop->running || loop->asleep || t->closing ||
        loop->tstate != PyThreadState_Get())
    {
        return 0;
    }
    if (loop_cork(loop, datagram_uncork, Py_NewRef((PyObject *)self)) < 0) {
        return -1;
    }
    t->corked = 1;
    return 1;
}

/* -- when the kernel is full ------------------------------------------------------------ */

/* asyncio's _sendto_ready, but for what is raised. 0 or -1. */
static int
datagram_drain(DatagramObject *self)
{
    TransportObject *t = &self->t;
    while (queue_len(self) > 0) {
        int rc = datagram_send_some(self);
        if (rc == -EAGAIN) {
            break;
        }
        if (rc < 0) {
            return datagram_send_failed(self, rc, ERRORS_RAISE);
        }
    }
    if (transport_maybe_resume(t) < 0) { // may send more
        return -1;
    }
    if (queue_len(self) > 0 || t->lost) {
        return 0;
    }
    transport_drop_output(t);
    return t->closing && !t->conn_lost ? transport_lost(t, NULL) : 0;
}

int
datagram_sendto_ready(DatagramObject *self)
{
    TransportObject *t = &self->t;
    if (t->loop == NULL) {
        return 0;
    }
    return t->blocked ? datagram_drain(self) : transport_flush(t);
}

/* fa_run: the kernel takes more. */
static int
datagram_writable(LoopObject *loop, PyObject *op, PyObject *Py_UNUSED(arg))
{
    DatagramObject *self = (DatagramObject *)op;
    TransportObject *t = &self->t;
    int rc = 0;
    if (t->blocked && !t->conn_lost) {
        PyObject *entered = context_enter(t->context);
        rc = entered == NULL ? -1 : datagram_drain(self);
        if (entered != NULL) {
            context_leave(entered);
        }
        if (rc < 0) {
            // a transport that is lost has let go of its loop: lend it
            LoopObject *before = t->loop;
            t->loop = loop;
            rc = transport_report_method(t, op, "_sendto_ready", NULL);
            t->loop = before;
        }
    }
    Py_DECREF(op);
    return rc;
}

static int
datagram_block(DatagramObject *self)
{
    TransportObject *t = &self->t;
    if (loop_io_start(t->loop, t->fd, FA_OUT, datagram_writable,
                      (PyObject *)self) < 0)
    {
        return -1;
    }
    t->blocked = 1;
    return 0;
}

/* -- sendto() ------------------------------------------------------------------------------ */

static int FA_COLD
sendto_type_error(PyObject *data)
{
    PyObject *name = PyType_GetName(Py_TYPE(data));
    PyObject *quoted = name == NULL ? NULL : PyObject_Repr(name);
    if (quoted != NULL) {
        PyErr_Format(PyExc_TypeError,
                     "data argument must be a bytes-like object, not %U",
                     quoted);
    }
    Py_XDECREF(name);
    Py_XDECREF(quoted);
    return -1;
}

/* May it be sent there? 1; 0 = it is dropped; -1. */
static int
sendto_check_address(DatagramObject *self, PyObject *addr)
{
    if (addr != Py_None && addr != self->address) {
        int same = PyObject_RichCompareBool(self->address, addr, Py_EQ);
        if (same == 0) {
            PyErr_Format(PyExc_ValueError,
                         "Invalid address: must be None or %S",
                         self->address);
        }
        if (same <= 0) {
            return -1;
        }
    }
    if (FA_UNLIKELY(self->t.conn_lost)) {
        return transport_log_lost_write(&self->t);
    }
    return 1;
}

/* asyncio calls a method of the loop that it has no more, of a socket that it
   has no more. */
static int FA_COLD
sendto_lost(void)
{
    PyErr_SetString(PyExc_AttributeError, "'NoneType' object has no attribute "
                                          "'call_exception_handler'");
    return -1;
}

/* May one of so many bytes wait for the end of the running entry? HOT */
static inline int
sendto_may_hold(DatagramObject *self, size_t len)
{
    TransportObject *t = &self->t;
    LoopObject *loop = t->loop;
    return t->corked && !t->blocked && !t->closing && loop->running &&
           !loop->asleep && loop->tstate == PyThreadState_Get() &&
           queue_len(self) < FA_DGRAM_BATCH &&
           t->out.size + len + FA_DATAGRAM_HEADER <= t->high;
}

/* Append to the queue. `data` is any bytes-like object. 0 or -1. */
static int
sendto_queue(DatagramObject *self, PyObject *data, PyObject *addr,
             const fa_dest *dest)
{
    if (FA_LIKELY(PyBytes_CheckExact(data))) {
        return queue_push(self, Py_NewRef(data), addr, dest);
    }
    fa_dest mine = *dest; // a __buffer__ in Python may send as well
    PyObject *bytes = PyBytes_FromObject(data);
    return bytes == NULL ? -1 : queue_push(self, bytes, addr, &mine);
}

/* Nothing is held, and the kernel was not full: ask it. */
static int FA_HOT
sendto_now(DatagramObject *self, PyObject *data, PyObject *addr,
           const fa_dest *dest)
{
    TransportObject *t = &self->t;
    int rc;
    if (FA_LIKELY(PyBytes_CheckExact(data))) {
        rc = datagram_send(self, data, PyBytes_AS_STRING(data),
                           (size_t)PyBytes_GET_SIZE(data), addr, dest);
    }
    else {
        Py_buffer view;
        fa_dest mine = *dest; // a __buffer__ in Python may send as well
        if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
            return transport_fatal_raised(t, t->wire->write_failed);
        }
        rc = datagram_send(self, data, view.buf, (size_t)view.len, addr,
                           &mine);
        PyBuffer_Release(&view);
    }
    if (FA_LIKELY(rc == 0)) {
        return datagram_cork(self) < 0 ? -1 : 0;
    }
    if (rc != -EAGAIN) {
        return datagram_send_failed(self, rc, ERRORS_RAISE);
    }
    if (t->loop == NULL) {
        return sendto_lost();
    }
    if (datagram_block(self) < 0 || sendto_queue(self, data, addr, dest) < 0) {
        return -1;
    }
    return transport_maybe_pause(t);
}

/* The audit event of socket.sendto(): asyncio's comes from there. 0, or -1
   with what a hook raised. */
static inline int
sendto_audit(DatagramObject *self, PyObject *addr, const fa_dest *dest)
{
    return dest->how != FA_DEST_RAW || self->t.sock == NULL
               ? 0
               : PySys_Audit("socket.sendto", "OO", self->t.sock, addr);
}

static const fa_dest to_peer = {.how = FA_DEST_CONNECTED};
static const fa_dest by_python = {.how = FA_DEST_PYTHON};

/* HOT */
static inline const fa_dest *
sendto_dest(DatagramObject *self, PyObject *addr)
{
    if (FA_UNLIKELY(self->python)) {
        return &by_python;
    }
    if (self->connected) {
        return &to_peer;
    }
    const fa_dest *dest = datagram_to(self, addr);
    return FA_LIKELY(dest->how == FA_DEST_RAW) ? dest : &by_python;
}

/* After the checks. */
static int FA_HOT
datagram_sendto_checked(DatagramObject *self, PyObject *data, PyObject *addr,
                        size_t len)
{
    TransportObject *t = &self->t;
    const fa_dest *dest = sendto_dest(self, addr);
    if (FA_UNLIKELY(sendto_audit(self, addr, dest) < 0)) {
        return transport_fatal_raised(t, t->wire->write_failed);
    }
    if (FA_UNLIKELY(queue_len(self) > 0 && !t->blocked &&
                    (dest->how == FA_DEST_PYTHON ||
                     !sendto_may_hold(self, len))) &&
        transport_flush(t) < 0)
    {
        return -1;
    }
    if (FA_UNLIKELY(t->loop == NULL)) { // the hook, or error_received
        return sendto_lost();
    }
    dest = sendto_dest(self, addr); // they may have sent as well
    int fresh = self->fresh;
    self->fresh = 0;
    if (dest->how != FA_DEST_PYTHON && (!fresh || queue_len(self) > 0) &&
        sendto_may_hold(self, len))
    {
        if (queue_len(self) == 0) {
            self->held_since = clock_ticks();
        }
        return sendto_queue(self, data, addr, dest);
    }
    if (FA_UNLIKELY(queue_len(self) > 0)) {
        return sendto_queue(self, data, addr, dest) < 0
                   ? -1
                   : transport_maybe_pause(t);
    }
    return sendto_now(self, data, addr, dest);
}

int
datagram_sendto(DatagramObject *self, PyObject *data, PyObject *addr)
{
    Py_ssize_t len;
    if (FA_LIKELY(PyBytes_Check(data))) {
        len = PyBytes_GET_SIZE(data);
    }
    else if (PyByteArray_Check(data)) {
        len = PyByteArray_GET_SIZE(data);
    }
    else if (PyMemoryView_Check(data)) {
        len = PyMemoryView_GET_BUFFER(data)->len;
    }
    else {
        return sendto_type_error(data);
    }
    if (!FA_SENDS_EMPTY_DATAGRAMS && len == 0) {
        return 0;
    }
    if (self->has_address) {
        int may = sendto_check_address(self, addr);
        if (may <= 0) {
            return may;
        }
        addr = self->address;
    }
    if (FA_UNLIKELY(self->t.loop == NULL)) {
        return sendto_lost();
    }
    Py_INCREF(addr);
    int rc = datagram_sendto_checked(self, data, addr, (size_t)len);
    Py_DECREF(addr);
    return rc;
}
