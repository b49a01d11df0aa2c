/* net/datagram.h: the inside of a datagram transport (private to net/).

   One DatagramObject is one non-blocking datagram socket, connected or not. It
   is a TransportObject (transport.h) with its life, flow control and owner of
   the fd; of `t.out` only the size is used.

   In:  kernel --recvfrom / recvmmsg--> [inbox] --> datagram_received, one by one
   Out: sendto() --> kernel, or [queue]: held until the running entry returns,
        or waiting since the kernel took no more (t.blocked)

   Invariants:
   - the inbox holds what was fetched by one recvmmsg and not delivered yet;
     while it has something, the kernel is not asked. If it has something when
     the loop goes on (a nested run, stop(), a long batch), an entry in the ring
     (`awaited`) or resume_reading() delivers the rest; a close drops it, as the
     kernel's buffer is dropped;
   - the queue has something only if t.blocked, or t.corked and an entry in
     the loop's cork ring, which will send it;
   - t.out.size > 0 if and only if the queue has something. */
#ifndef FA_NET_DATAGRAM_H
#define FA_NET_DATAGRAM_H

#include <netinet/in.h>
#include <sys/un.h>

#include "net/transport.h"

/* So many datagrams at most by one system call, in either direction. */
#define FA_DGRAM_BATCH 32

/* How sendto() is to be called for a datagram. */
enum {
    FA_DEST_CONNECTED, /* without an address */
    FA_DEST_RAW,       /* with the raw address */
    FA_DEST_PYTHON,    /* by the method of the Python socket: it knows names,
                          other families, and what is wrong with an address */
};

typedef struct {
    uint8_t how; /* FA_DEST_* */
    uint8_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } raw;
} fa_dest;

/* One that has not left yet. */
typedef struct {
    PyObject *data; /* strong: exact bytes */
    PyObject *addr; /* strong: as given to sendto(), or None */
    fa_dest dest;
} fa_departure;

/* One that has been fetched but not delivered. */
typedef struct {
    PyObject *data; /* strong: exact bytes */
    PyObject *addr; /* strong */
} fa_arrival;

/* An address that datagrams have come from: an exact tuple of a str and ints,
   given out again for the next one from there. */
typedef struct {
    PyObject *tuple; /* strong or NULL */
    fa_addr raw;
} fa_peer;

#define FA_PEERS 256 /* a power of two */

/* Tables for an endpoint that has heard from more than one. */
typedef struct {
    fa_peer of_raw[FA_PEERS];    /* where hash(raw address) says */
    uint8_t of_tuple[FA_PEERS];  /* hash(pointer): which of them to look at */
} fa_peers;

typedef struct {
    TransportObject t;
    PyObject *address;    /* strong or NULL: asyncio's _address */
    fa_departure *queue;  /* owned, NULL while empty; a power of two */
    uint32_t head, tail;  /* of the queue, counting up: tail - head waiting */
    uint32_t capacity;
    fa_arrival *inbox;    /* owned, NULL while empty; FA_DGRAM_BATCH */
    uint32_t first, last; /* of the inbox: last - first undelivered */
    fa_peer only;         /* the first address heard from */
    fa_peers *peers;      /* owned or NULL: the others */
    PyObject *dest_for;   /* strong or NULL: the address last sent to, an
                             immutable object ... */
    fa_dest dest;         /* ... and what it stands for */
    uint64_t held_since;  /* clock_ticks() of the oldest held datagram */
    int family;
    uint8_t lonely;       /* readinesses in a row that brought one datagram */
    uint8_t full;         /* ... and those that brought FA_DGRAM_BATCH */
    unsigned has_address : 1; /* `address` is true */
    unsigned connected : 1;   /* it has a peer: send() instead of sendto() */
    unsigned python : 1;      /* the socket's own methods must be called */
    unsigned awaited : 1;     /* an entry for the inbox is in the ring */
    unsigned fresh : 1;       /* the next sendto() is not held */
} DatagramObject;

extern __attribute__((visibility("hidden"))) PyMethodDef
    DatagramTransport_methods[];
extern __attribute__((visibility("hidden"))) PyGetSetDef
    DatagramTransport_getset[];

/* -- datagram_addr.c ------------------------------------------------------------ */

/* The Python form of where a datagram came from (new). HOT */
FA_INTERNAL PyObject *datagram_from(DatagramObject *self,
                                    const struct sockaddr *addr,
                                    socklen_t len);

/* What `addr`, an argument of sendto(), stands for. Runs no Python code; the
   result is valid until the next call. HOT */
FA_INTERNAL const fa_dest *datagram_to(DatagramObject *self, PyObject *addr);

/* Forget all addresses. */
FA_INTERNAL void datagram_forget(DatagramObject *self);

/* -- datagram_read.c -------------------------------------------------------------- */

/* fa_run: the fd is readable, or the inbox has something. HOT */
FA_INTERNAL int datagram_ready(LoopObject *loop, PyObject *self, PyObject *arg);

/* The inbox has something and nobody delivers it: put an entry into the ring,
   unless there is one, or reading is paused. 0, or -1 with MemoryError. */
FA_INTERNAL int datagram_await_inbox(DatagramObject *self);

FA_INTERNAL void datagram_drop_inbox(DatagramObject *self);

/* -- datagram_write.c --------------------------------------------------------------- */

/* asyncio's sendto() and _sendto_ready(). 0 or -1. HOT */
FA_INTERNAL int datagram_sendto(DatagramObject *self, PyObject *data,
                                PyObject *addr);
FA_INTERNAL int datagram_sendto_ready(DatagramObject *self);

/* The flush and drop of fa_wire. */
FA_INTERNAL int datagram_flush(TransportObject *self, int quietly);
FA_INTERNAL void datagram_drop(TransportObject *self);

/* Hold what is sent from now on until the running entry has returned, if the
   loop is running: 1 = yes, 0 = no, -1 with MemoryError. HOT */
FA_INTERNAL int datagram_cork(DatagramObject *self);

#endif
