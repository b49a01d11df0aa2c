/* net/datagram_read.c: datagrams from the socket to the protocol.

   One at a time by recvfrom while there is little to do; once a probe has found
   several waiting, up to FA_DGRAM_BATCH of them by one recvmmsg. Either way the
   protocol sees one call of datagram_received for each, in order, and whatever
   it does in between counts at once: what has been fetched and not delivered
   stays in the inbox (datagram.h) as long as it is asked to.

   Each of a batch is received into a small part of the loop's scratch buffer,
   so that all of them are close together, and goes on in a tail of its own if
   it does not fit. Nothing is in there any more when Python code runs.

   A batch ends early when it has taken long, so that other connections and
   timers have their turn, and answers do not wait long to be sent.
   HOT: datagram_ready, once per readiness; datagram_deliver, once per datagram.
   Benchmark: udp_1k_x10. */
#include "net/datagram.h"

#include <errno.h>
#include <string.h>

#include "base/errors.h"

#define MAX_SIZE (256 * 1024) /* asyncio's max_size */
#define PART_SIZE (FA_SCRATCH_SIZE / FA_DGRAM_BATCH)
#define UNIX_BATCH (FA_SCRATCH_TAILS / MAX_SIZE)

#define PROBE_EVERY 4  /* readinesses; then recvmmsg is tried */
#define PROBE_COUNT 4  /* datagrams */
#define LONG_US 250    /* a batch that takes longer is interrupted */
#define HELD_US 50     /* an answer that waits longer is sent */

/* What one recvmmsg needs; on the C stack, and only until it is taken apart. */
typedef struct {
    struct mmsghdr msgs[FA_DGRAM_BATCH];
    struct iovec parts[FA_DGRAM_BATCH][2];
    union {
        struct sockaddr any;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } from[FA_DGRAM_BATCH];
} fa_haul;

/* -- the inbox ---------------------------------------------------------------------- */

void
datagram_drop_inbox(DatagramObject *self)
{
    fa_arrival *inbox = self->inbox;
    uint32_t first = self->first, last = self->last;
    self->inbox = NULL;
    self->first = self->last = 0;
    for (uint32_t i = first; i < last; i++) { // bytes, str and int: no Python
        Py_DECREF(inbox[i].data);
        Py_DECREF(inbox[i].addr);
    }
    PyMem_Free(inbox);
}

int
datagram_await_inbox(DatagramObject *self)
{
    TransportObject *t = &self->t;
    if (self->first == self->last || self->awaited || t->conn_lost ||
        !transport_is_reading(t))
    {
        return 0;
    }
    self->awaited = 1;
    return loop_push(t->loop, datagram_ready, Py_NewRef((PyObject *)self),
                     Py_NewRef(Py_None));
}

/* -- to the protocol ------------------------------------------------------------------ */

/* datagram_received for the next in the inbox, in the context. 0 or -1. HOT */
static inline int
datagram_deliver_next(DatagramObject *self)
{
    fa_arrival next = self->inbox[self->first++];
    int rc = protocol_datagram(&self->t, next.data, next.addr);
    Py_DECREF(next.data);
    Py_DECREF(next.addr);
    return rc;
}

/* May the batch go on? 1, 0 or -1. HOT */
static inline int
datagram_go_on(DatagramObject *self, LoopObject *loop, uint64_t began)
{
    TransportObject *t = &self->t;
    uint64_t now = clock_ticks();
    if (FA_UNLIKELY(t->out.size > 0 &&
                    now - self->held_since > HELD_US * loop->ticks_per_us) &&
        transport_flush(t) < 0) // may run Python code
    {
        return -1;
    }
    return self->first != self->last && !t->conn_lost &&
           transport_is_reading(t) && !loop->stopping &&
           now - began <= LONG_US * loop->ticks_per_us;
}

/* What is in the inbox, as long as it is welcome. 0 or -1. */
static int
datagram_deliver(DatagramObject *self, LoopObject *loop)
{
    TransportObject *t = &self->t;
    PyObject *entered = context_enter(t->context);
    if (entered == NULL) {
        return transport_fatal_raised(t, t->wire->read_failed);
    }
    uint64_t began = clock_ticks();
    int rc = 0, more = 1;
    // making addresses may have run the garbage collector, and so anything
    if (FA_LIKELY(!t->conn_lost && self->first != self->last)) {
        do {
            rc = datagram_deliver_next(self);
        } while (rc == 0 && (more = datagram_go_on(self, loop, began)) > 0);
    }
    context_leave(entered);
    if (t->closing || self->first == self->last) {
        datagram_drop_inbox(self);
    }
    else if (datagram_await_inbox(self) < 0) {
        rc = -1;
    }
    return rc < 0 || more < 0 ? -1 : 0;
}

/* One that needs no inbox. Takes over both; either may be NULL, with an
   exception. 0 or -1. HOT */
static inline int
datagram_deliver_one(DatagramObject *self, PyObject *data, PyObject *addr)
{
    TransportObject *t = &self->t;
    PyObject *entered = data == NULL || addr == NULL
                            ? NULL
                            : context_enter(t->context);
    int rc;
    if (FA_UNLIKELY(entered == NULL)) {
        rc = transport_fatal_raised(t, t->wire->read_failed);
    }
    else {
        rc = FA_UNLIKELY(t->lost) ? 0 : protocol_datagram(t, data, addr);
        context_leave(entered);
    }
    Py_XDECREF(data);
    Py_XDECREF(addr);
    return rc;
}

/* There was none, or an error. 0 or -1. */
static int FA_COLD
datagram_nothing(DatagramObject *self, int neg_errno)
{
    TransportObject *t = &self->t;
    if (neg_errno == -EAGAIN) {
        return 0;
    }
    PyObject *exc = fa_err_new_errno(neg_errno);
    if (exc == NULL) {
        return transport_fatal_raised(t, t->wire->read_failed);
    }
    int rc = protocol_error(t, exc);
    Py_DECREF(exc);
    return rc < 0 ? transport_report_method(t, (PyObject *)self,
                                            "_read_ready", NULL)
                  : 0;
}

/* -- from the socket -------------------------------------------------------------------- */

/* HOT */
static inline int
datagram_read_one(DatagramObject *self, LoopObject *loop)
{
    char *scratch = loop_scratch(loop);
    if (scratch == NULL) {
        return transport_fatal_raised(&self->t, self->t.wire->read_failed);
    }
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    ssize_t n = dgram_recv(transport_fd(&self->t), scratch, FA_SCRATCH_SIZE,
                           (struct sockaddr *)&from, &len);
    if (FA_UNLIKELY(n < 0)) {
        return datagram_nothing(self, (int)n);
    }
    // the bytes first: making an address may run the garbage collector
    PyObject *data = PyBytes_FromStringAndSize(scratch, n);
    PyObject *addr = data == NULL
                         ? NULL
                         : datagram_from(self, (struct sockaddr *)&from, len);
    return datagram_deliver_one(self, data, addr);
}

/* Fetch up to `want`. How many, or -errno; -ENOMEM with an exception as well. */
static int
haul_fetch(fa_haul *haul, DatagramObject *self, LoopObject *loop,
           unsigned want)
{
    char *heads = loop_scratch(loop);
    char *tails = heads == NULL ? NULL : loop_scratch_tails(loop);
    if (tails == NULL) {
        return -ENOMEM;
    }
    size_t tail = self->family == AF_UNIX ? MAX_SIZE
                                          : FA_SCRATCH_TAILS / FA_DGRAM_BATCH;
    for (unsigned i = 0; i < want; i++) {
        haul->parts[i][0] = (struct iovec){heads + i * PART_SIZE, PART_SIZE};
        haul->parts[i][1] = (struct iovec){tails + i * tail,
                                           tail - PART_SIZE};
        haul->msgs[i].msg_hdr = (struct msghdr){
            .msg_name = &haul->from[i], .msg_namelen = sizeof(haul->from[i]),
            .msg_iov = haul->parts[i], .msg_iovlen = 2};
    }
    return dgram_recv_many(transport_fd(&self->t), haul->msgs, want);
}

/* The i-th as bytes (new). */
static PyObject *
haul_bytes(const fa_haul *haul, int i)
{
    size_t len = haul->msgs[i].msg_len;
    const struct iovec *parts = haul->parts[i];
    if (FA_LIKELY(len <= PART_SIZE)) {
        return PyBytes_FromStringAndSize(parts[0].iov_base, (Py_ssize_t)len);
    }
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)len);
    if (data != NULL) {
        char *to = PyBytes_AS_STRING(data);
        memcpy(to, parts[0].iov_base, PART_SIZE);
        memcpy(to + PART_SIZE, parts[1].iov_base, len - PART_SIZE);
    }
    return data;
}

/* Into the (empty) inbox. 0, or -1 with MemoryError, and then what was fetched
   is lost. Clobbers the scratch buffer at the earliest when all bytes exist. */
static int
haul_unpack(fa_haul *haul, DatagramObject *self, int n)
{
    PyObject *data[FA_DGRAM_BATCH];
    int made = 0;
    fa_arrival *inbox = PyMem_New(fa_arrival, FA_DGRAM_BATCH);
    if (inbox == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    while (made < n && (data[made] = haul_bytes(haul, made)) != NULL) {
        made++;
    }
    int full = 0;
    while (made == n && full < n) {
        PyObject *addr = datagram_from(self, &haul->from[full].any,
                                       haul->msgs[full].msg_hdr.msg_namelen);
        if (addr == NULL) {
            break;
        }
        inbox[full] = (fa_arrival){data[full], addr};
        full++;
    }
    for (int i = full; i < made; i++) {
        Py_DECREF(data[i]);
    }
    // empty unless the garbage collector has run the loop meanwhile
    datagram_drop_inbox(self);
    self->inbox = inbox;
    self->last = (uint32_t)full;
    if (full == n) {
        return 0;
    }
    datagram_drop_inbox(self);
    return -1;
}

/* How many to ask for the next time, now that `n` of `want` were there. */
static inline void
datagram_learn(DatagramObject *self, int n, unsigned want)
{
    unsigned most = self->family == AF_UNIX ? UNIX_BATCH : FA_DGRAM_BATCH;
    if (n <= 1) {
        // one lonely datagram may be chance, two in a row are not
        self->want = self->want > 1 && !self->probe ? self->want : 1;
        self->probe = 1;
        return;
    }
    self->probe = 0;
    self->want = (uint8_t)((unsigned)n < want ? want
                           : want * 2 < most  ? want * 2
                                              : most);
}

static int
datagram_read_many(DatagramObject *self, LoopObject *loop, unsigned want)
{
    fa_haul haul;
    int n = haul_fetch(&haul, self, loop, want);
    datagram_learn(self, n, want);
    if (n == 1) {
        PyObject *data = haul_bytes(&haul, 0);
        PyObject *addr = data == NULL
                             ? NULL
                             : datagram_from(
                                   self, &haul.from[0].any,
                                   haul.msgs[0].msg_hdr.msg_namelen);
        return datagram_deliver_one(self, data, addr);
    }
    if (n < 0) {
        return PyErr_Occurred() ? transport_fatal_raised(
                                      &self->t, self->t.wire->read_failed)
                                : datagram_nothing(self, n);
    }
    // answers leave together; and should the protocol run the loop, that is
    // where the rest of the inbox is remembered
    if (haul_unpack(&haul, self, n) < 0 || datagram_cork(self) < 0) {
        return transport_fatal_raised(&self->t, self->t.wire->read_failed);
    }
    return datagram_deliver(self, loop);
}

/* A kind of socket that only its own methods know. 0 or -1. */
static int FA_COLD
datagram_read_python(DatagramObject *self)
{
    TransportObject *t = &self->t;
    PyObject *sock = Py_NewRef(t->sock);
    PyObject *res = PyObject_CallMethod(sock, "recvfrom", "i", MAX_SIZE);
    Py_DECREF(sock);
    if (res != NULL) {
        Py_SETREF(res, PySequence_Tuple(res));
        PyObject *data = NULL, *addr = NULL;
        if (res != NULL && PyArg_ParseTuple(res, "OO", &data, &addr)) {
            Py_INCREF(data);
            Py_INCREF(addr);
        }
        Py_XDECREF(res);
        return datagram_deliver_one(self, data, addr);
    }
    if (PyErr_ExceptionMatches(PyExc_BlockingIOError) ||
        PyErr_ExceptionMatches(PyExc_InterruptedError))
    {
        PyErr_Clear();
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_OSError)) {
        return transport_fatal_raised(t, t->wire->read_failed);
    }
    PyObject *exc = fa_err_take();
    int rc = t->protocol == NULL ? 0 : protocol_error(t, exc);
    Py_DECREF(exc);
    return rc < 0 ? transport_report_method(t, (PyObject *)self,
                                            "_read_ready", NULL)
                  : 0;
}

/* How many to ask for. HOT */
static inline unsigned
datagram_want(DatagramObject *self, const LoopObject *loop)
{
    if (FA_UNLIKELY(loop->stopping)) {
        return 1; // the others stay where they are
    }
    if (self->want == 1 && ++self->probe > PROBE_EVERY) {
        return PROBE_COUNT;
    }
    return self->want;
}

int
datagram_ready(LoopObject *loop, PyObject *op, PyObject *arg)
{
    DatagramObject *self = (DatagramObject *)op;
    int rc = 0;
    if (arg != NULL) {
        Py_DECREF(arg); // None
        self->awaited = 0;
    }
    // the entry may be older than a pause, a close or a loss
    if (FA_LIKELY(self->t.reading && !self->t.conn_lost)) {
        if (FA_UNLIKELY(self->first != self->last)) {
            rc = datagram_cork(self) < 0
                     ? transport_fatal_raised(&self->t,
                                              self->t.wire->read_failed)
                     : datagram_deliver(self, loop);
        }
        else if (FA_UNLIKELY(arg != NULL)) {
            rc = 0; // somebody has delivered it
        }
        else if (FA_UNLIKELY(self->python)) {
            rc = datagram_read_python(self);
        }
        else {
            unsigned want = datagram_want(self, loop);
            rc = want == 1 && self->family != AF_UNIX
                     ? datagram_read_one(self, loop)
                     : datagram_read_many(self, loop, want);
        }
    }
    Py_DECREF(op);
    return rc;
}
