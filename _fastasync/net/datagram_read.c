/* net/datagram_read.c: datagrams from the socket to the protocol.

   One after the other by recvfrom, each answered at once, until there is none:
   while peers wait for answers, sending those of a batch at its end would put
   both sides to sleep in turn, and waking somebody is dearer than a system call.
   When runs have found FA_DGRAM_BATCH of them again and again, so many at once
   by one recvmmsg, until one brings fewer. Either way the protocol sees one call of
   datagram_received for each, in order, and whatever it does in between counts
   at once: what has been fetched and not delivered stays in the inbox
   (datagram.h) as long as it is asked to.

   Each of a batch is received into a small part of the loop's scratch buffer,
   so that all of them are close together, and goes on in a tail of its own if
   it does not fit. Nothing is in there any more when Python code runs.

   A run or batch ends early when it has taken long, so that other connections
   and timers have their turn, and answers do not wait long to be sent.
   HOT: datagram_ready, once per readiness; datagram_deliver, once per datagram.
   Benchmark: udp_1k_x10. */
#include "net/datagram.h"

#include <errno.h>
#include <string.h>

#include "base/errors.h"

#define MAX_SIZE (256 * 1024) /* asyncio's max_size */
#define PART_SIZE (FA_SCRATCH_SIZE / FA_DGRAM_BATCH)
#define UNIX_BATCH (FA_SCRATCH_TAILS / MAX_SIZE)

#define PROBE_EVERY 4 /* readinesses with one datagram; then a second is tried */
#define FULL_RUNS 4   /* of FA_DGRAM_BATCH in a row; then recvmmsg */
#define LONG_US 250   /* a batch that takes longer is interrupted */
#define HELD_US 50    /* an answer that waits longer is sent */

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

/* Is another one welcome in the same turn, `now`? HOT */
static inline int
datagram_may_go_on(DatagramObject *self, LoopObject *loop, uint64_t began,
                   uint64_t now)
{
    return !self->t.conn_lost && transport_is_reading(&self->t) &&
           !loop->stopping && now - began <= LONG_US * loop->ticks_per_us;
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
    return self->first != self->last &&
           datagram_may_go_on(self, loop, began, now);
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
   exception. 1 or -1. HOT */
static inline int
datagram_deliver_one(DatagramObject *self, PyObject *data, PyObject *addr)
{
    TransportObject *t = &self->t;
    int rc = 1;
    if (FA_UNLIKELY(data == NULL || addr == NULL)) {
        rc = transport_fatal_raised(t, t->wire->read_failed);
    }
    // making the address may have run the garbage collector, and so anything
    else if (FA_LIKELY(!t->lost)) {
        rc = protocol_datagram(t, data, addr);
    }
    Py_XDECREF(data);
    Py_XDECREF(addr);
    return rc < 0 ? -1 : 1;
}

/* There was none, or an error. 0 or -1. */
static int
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

/* 1; 0 = there was none, and *failed is the negative errno; -1. HOT */
static inline int
datagram_read_one(DatagramObject *self, LoopObject *loop, int *failed)
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
        *failed = (int)n;
        return 0;
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

/* Several at once. 0 or -1. */
static int
datagram_read_many(DatagramObject *self, LoopObject *loop)
{
    unsigned want = loop->stopping            ? 1 // the others stay there
                    : self->family == AF_UNIX ? UNIX_BATCH
                                              : FA_DGRAM_BATCH;
    fa_haul haul;
    int n = haul_fetch(&haul, self, loop, want);
    self->full = n == (int)want ? FULL_RUNS : 0;
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

/* Is it worth asking for one more after the n-th? Where peers come one by one,
   it is found out now and then. */
static inline int
datagram_wants_next(const DatagramObject *self, int n)
{
    return n > 1 || self->lonely % PROBE_EVERY == 0;
}

/* One after the other. 0 or -1. HOT */
static int
datagram_read_on(DatagramObject *self, LoopObject *loop)
{
    TransportObject *t = &self->t;
    PyObject *entered = context_enter(t->context);
    if (FA_UNLIKELY(entered == NULL)) {
        return transport_fatal_raised(t, t->wire->read_failed);
    }
    uint64_t began = clock_ticks();
    int n = 0, failed = -EAGAIN, rc;
    do {
        self->fresh = 1; // an answer leaves at once
        rc = datagram_read_one(self, loop, &failed);
        self->fresh = 0;
        if (FA_UNLIKELY(rc <= 0 || ++n == FA_DGRAM_BATCH)) {
            break;
        }
        if (FA_UNLIKELY(t->out.size > 0 && !t->blocked)) {
            rc = transport_flush(t); // the other answers
        }
        // a nested run may have left something in the inbox: it is older
    } while (rc >= 0 && datagram_wants_next(self, n) &&
             self->first == self->last &&
             datagram_may_go_on(self, loop, began, clock_ticks()));
    context_leave(entered);
    self->lonely = n > 1 ? 0 : (uint8_t)(self->lonely + (n == 1));
    self->full = n == FA_DGRAM_BATCH ? self->full + 1 : 0;
    return rc < 0 ? -1 : datagram_nothing(self, failed);
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
        PyObject *entered = context_enter(t->context);
        if (entered == NULL) {
            Py_CLEAR(addr);
        }
        int rc = datagram_deliver_one(self, data, addr);
        if (entered != NULL) {
            context_leave(entered);
        }
        return rc < 0 ? -1 : 0;
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
            rc = self->full == FULL_RUNS || self->family == AF_UNIX
                     ? datagram_read_many(self, loop)
                     : datagram_read_on(self, loop);
        }
    }
    Py_DECREF(op);
    return rc;
}
