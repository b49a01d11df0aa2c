/* net/transport.h: the inside of a stream transport (private to net/).

   One TransportObject is one connected, non-blocking stream socket. Its life:

     new --> begin (connection_made, start of reading, waiter) --> open
     open --close()-----> closing: no reading, pending data still leaves
     open --abort/error-> closing: nothing leaves any more
     closing --> lost (connection_lost, then the fd is closed) --> dead

   Invariants:
   - conn_lost > 0 from the moment connection_lost is scheduled; it is called
     exactly once, and nothing is sent or read from then on;
   - loop, protocol and the fd are there until `lost` has run;
   - the fd is unregistered from the loop before it is closed;
   - bytes in `out` are held (waiting for the running ready entry to return)
     unless `blocked`, when the kernel took no more and FA_OUT is watched;
     not both: `corked` and `blocked` are never set with data for each other;
   - held bytes never exceed the high-water mark, so that pause_writing is
     called from write() and nowhere else, as in asyncio;
   - who calls into Python re-reads the state afterwards: the call may have
     closed the transport, changed the protocol or run the loop.

   Who owns the fd: the transport, until somebody asks for the Python socket;
   from then on (or from the start, if it was made from one) that object. All
   input and output goes through *fd_cell, the number as its owner sees it, so
   that a socket closed behind our back is EBADF and never another's file. */
#ifndef FA_NET_TRANSPORT_H
#define FA_NET_TRANSPORT_H

#include "base/state.h"
#include "loop/loop.h"
#include "net/net.h"

/* Room for the slots of asyncio's _FlowControlMixin and BaseTransport; the
   real size is checked at init. */
#define FA_TRANSPORT_BASE_SLOTS 5

/* A socket address up to the size of IPv6; longer ones are turned into Python
   objects at once. */
typedef struct {
    uint8_t len; /* 0 = not known */
    char bytes[28];
} fa_addr;

/* What is to be sent, a piece at a time. */
typedef struct {
    const char *data;
    size_t len;
    PyObject *owner; /* strong: what `data` lies in: exact bytes, or an exact
                        bytearray that nobody else has; NULL only while the
                        write() that brought it is running */
} fa_chunk;

#define FA_CHUNKS_INLINE 2

typedef struct {
    fa_chunk *chunks; /* `few`, or owned by PyMem */
    uint32_t head;    /* first piece not sent completely */
    uint32_t tail;    /* one past the last */
    uint32_t capacity;
    size_t size;      /* bytes from head to tail */
    fa_chunk few[FA_CHUNKS_INLINE];
} fa_writebuf;

/* A listening socket that is being served (accept.c). */
typedef struct {
    PyObject_HEAD
    fa_state *st;         /* borrowed */
    PyObject *sock;       /* strong: the listening Python socket */
    PyObject *factory;    /* strong: protocol_factory */
    PyObject *server;     /* strong: our Server, another object, or None */
    PyObject *context;    /* strong: every connection runs in a copy of it */
    PyObject *given_context; /* strong: what _start_serving was given, or None */
    PyObject *sslcontext; /* strong or None */
    PyObject *backlog;    /* strong, as given */
    PyObject *handshake_timeout, *shutdown_timeout; /* strong, as given */
    int fd;
    int family, type, proto;
    int batch;            /* how many to accept per readiness */
} ListenerObject;

struct TransportObject;

/* How a kind of transport talks to the kernel. Constant, one per kind. */
typedef struct {
    fa_run readable; /* what FA_IN runs while the transport reads */
    ssize_t (*recv)(int fd, void *buf, size_t len);
    ssize_t (*send)(int fd, const void *buf, size_t len);
    ssize_t (*sendv)(int fd, const struct iovec *iov, int count);
    const char *read_failed, *write_failed; /* asyncio's words for reports */

    /* Where asyncio's pipes are not like its sockets; 0 = like a socket. */
    int (*ended)(struct TransportObject *self);       /* end of file */
    int (*data_failed)(struct TransportObject *self); /* data_received raised */
    int quiet_errno;   /* the only OSError that is not reported; 0 = none is */
    unsigned pipe : 1; /* no addresses; resume_writing when all has left */

    /* Of a kind that keeps its output elsewhere than in `out`, of which only
       the size counts then; NULL = in `out`. flush: send what is held
       (quietly: as a last try); 0, or -1 for an exception that must leave.
       drop: forget it. */
    int (*flush)(struct TransportObject *self, int quietly);
    void (*drop)(struct TransportObject *self);
} fa_wire;

/* The C part of a Server (server.c). Attached transports of ours are linked
   through themselves: attaching costs two pointers. */
typedef struct {
    PyObject_HEAD
    fa_state *st;         /* borrowed */
    PyObject *loop;       /* strong */
    PyObject *sockets;    /* strong: as given; NULL once closed */
    PyObject *factory;    /* strong */
    PyObject *ssl_context, *backlog;                /* strong */
    PyObject *handshake_timeout, *shutdown_timeout; /* strong */
    PyObject *context;    /* strong: of whoever made the server */
    PyObject *waiters;    /* strong: list of wait_closed futures; NULL once
                             they have been told */
    PyObject *forever;    /* strong or NULL: serve_forever's future */
    PyObject *foreign;    /* strong or NULL: WeakSet of attached transports
                             that are not ours */
    struct TransportObject *clients; /* borrowed, head of the list */
    Py_ssize_t active;    /* length of the list, plus attached without a name */
    uint8_t serving;
} ServerObject;

typedef struct TransportObject {
    PyObject_HEAD
    PyObject *base_slots[FA_TRANSPORT_BASE_SLOTS]; /* asyncio's own, shadowed */
    PyObject *dict;       /* strong or NULL: instance attributes */
    PyObject *weakrefs;
    fa_state *st;         /* borrowed */
    const fa_wire *wire;  /* of its kind */
    LoopObject *loop;     /* strong; NULL once lost */
    PyObject *protocol;   /* strong; NULL once lost */
    PyObject *context;    /* strong: all protocol methods run in it */
    PyObject *sock;       /* strong or NULL: not asked for yet; closed once
                             the transport is not alive */
    PyObject *extra;      /* strong or NULL: dict, what was given or asked for */
    PyObject *server;     /* strong or NULL */
    PyObject *empty_waiter; /* strong or NULL: sendfile waits for an empty
                               buffer and forbids write() */
    struct TransportObject *next, **prev; /* the server's list of clients
                               (borrowed); prev NULL = in none */
    const int *fd_cell;   /* &fd, or inside `sock` (extra.c) */
    int fd;               /* the number, kept after the close for repr */
    int conn_lost;        /* > 0: connection_lost is scheduled; counts writes */
    int family, type, proto; /* of an accepted socket, to make `sock` later */
    int late;             /* pipes: asyncio's _conn_lost, which counts failed
                             and late writes */
    PyObject *raw;        /* strong or NULL: what fd_cell lies in, if it is
                             not `sock` itself */
    fa_writebuf out;
    size_t high, low;     /* water marks */
    fa_addr peer, name;
    unsigned alive : 1;      /* __init__ has run and the fd is not closed */
    unsigned owns_fd : 1;    /* the fd is ours and not yet a Python socket's */
    unsigned closing : 1;
    unsigned paused : 1;     /* pause_reading() */
    unsigned eof : 1;        /* write_eof() */
    unsigned reading : 1;    /* FA_IN is watched */
    unsigned blocked : 1;    /* FA_OUT is watched */
    unsigned corked : 1;     /* in the loop's cork ring */
    unsigned buffered : 1;   /* the protocol is a BufferedProtocol */
    unsigned streamed : 1;   /* it is exactly a StreamReaderProtocol of ours */
    unsigned secured : 1;    /* it is exactly an SSLProtocol of ours */
    unsigned proto_paused : 1; /* pause_writing() has been called */
    unsigned lost : 1;       /* connection_lost has been called */
    unsigned read_class : 2; /* how much to read at once (sockread.c) */
    unsigned messages : 1;   /* every write() is one for the kernel: a packet */
    unsigned deaf : 1;       /* input is never watched */
} TransportObject;

/* The fd for the next system call; -1 if its owner has closed it. HOT */
static inline int
transport_fd(const TransportObject *self)
{
    return *self->fd_cell;
}

static inline int
transport_is_reading(const TransportObject *self)
{
    return !self->closing && !self->paused;
}

/* -- sockstream.c: the type; sockmethods.c: its methods ------------------------- */

extern __attribute__((visibility("hidden"))) const fa_wire sockstream_wire;

/* What the types of all transports begin and end with: a blank object that
   reads as closed, and the parts of tp_traverse, tp_clear and tp_finalize. */
FA_INTERNAL TransportObject *transport_alloc(PyTypeObject *type, fa_state *st,
                                             const fa_wire *wire);
FA_INTERNAL int transport_visit(TransportObject *self, visitproc visit,
                                void *arg);
FA_INTERNAL int transport_clear(TransportObject *self);
FA_INTERNAL void transport_finalize(PyObject *self);
FA_INTERNAL PyObject *transport_repr(TransportObject *self);

/* The second half of making one: the fd is there. 0, or -1; then, or if
   anything else fails, transport_abandon: nothing may come of it any more, and
   the socket stays with whoever brought it (it keeps the exception). */
FA_INTERNAL int transport_open(TransportObject *self, LoopObject *loop,
                               PyObject *protocol, PyObject *waiter,
                               PyObject *server, PyObject *context);
FA_INTERNAL void transport_abandon(TransportObject *self);

extern __attribute__((visibility("hidden"))) PyMethodDef
    SocketTransport_methods[];
extern __attribute__((visibility("hidden"))) PyGetSetDef
    SocketTransport_getset[];

/* Methods and attributes that other kinds have as well, for their tables. */
#define FA_SHARED_NOARGS(X) \
    X(is_closing) X(is_reading) X(close) X(abort) X(get_protocol) \
    X(get_write_buffer_size) X(get_write_buffer_limits) X(maybe_pause) \
    X(maybe_resume)
#define FA_SHARED_ONEARG(X) X(call_connection_lost)
#define FA_SHARED_FAST(X) \
    X(get_extra_info) X(fatal_error) X(set_write_buffer_limits)
#define X(name) \
    FA_INTERNAL PyObject *SocketTransport_##name(TransportObject *self, \
                                                 PyObject *arg);
FA_SHARED_NOARGS(X)
FA_SHARED_ONEARG(X)
#undef X
#define X(name) \
    FA_INTERNAL PyObject *SocketTransport_##name( \
        TransportObject *self, PyObject *const *args, Py_ssize_t nargs, \
        PyObject *kwnames);
FA_SHARED_FAST(X)
#undef X
FA_INTERNAL PyObject *SocketTransport_get_extra(TransportObject *self,
                                                void *closure);
FA_INTERNAL PyObject *SocketTransport_get_sock(TransportObject *self,
                                               void *closure);
FA_INTERNAL int SocketTransport_set_sock(TransportObject *self,
                                         PyObject *value, void *closure);

/* One getter for everything that is a reference or a flag: the closure says
   which. */
FA_INTERNAL PyObject *SocketTransport_get(TransportObject *self,
                                          void *closure);
enum sockstream_field {
    FIELD_LOOP,
    FIELD_PROTOCOL,
    FIELD_SERVER,
    FIELD_CONTEXT,
    FIELD_EMPTY_WAITER,
    FIELD_CLOSING,
    FIELD_PAUSED,
    FIELD_EOF,
    FIELD_PROTO_PAUSED,
    FIELD_CONNECTED,
    FIELD_CONN_LOST,
    FIELD_FD,
    FIELD_HIGH,
    FIELD_LOW,
};

/* A transport for an accepted fd, which it owns from here on; on failure
   (NULL) the fd stays with the caller. */
FA_INTERNAL PyObject *sockstream_accepted(LoopObject *loop, int fd,
                                          const ListenerObject *from,
                                          const struct sockaddr_storage *peer,
                                          socklen_t peer_len,
                                          PyObject *protocol,
                                          PyObject *context);

/* The same for an fd that has been connected; `peer_len` 0 = not known. `waiter`
   may be NULL. */
FA_INTERNAL PyObject *sockstream_connected(LoopObject *loop, int fd, int family,
                                           int proto,
                                           const struct sockaddr_storage *peer,
                                           socklen_t peer_len,
                                           PyObject *protocol,
                                           PyObject *waiter,
                                           PyObject *context);

/* -- life.c: from connection_made to connection_lost --------------------------- */

/* Schedule connection_made, the start of reading and the waiter (NULL or None
   = none), in this order. 0 or -1. */
FA_INTERNAL int transport_begin(TransportObject *self, PyObject *waiter);

/* Who serves the protocol from now on (asyncio's set_protocol). 0 or -1. */
FA_INTERNAL int transport_set_protocol(TransportObject *self,
                                       PyObject *protocol);

/* Watch for input if reading is wanted / stop doing so. 0 or -1. */
FA_INTERNAL int transport_start_reading(TransportObject *self);

/* That has failed, with the exception that is set and stays set: the poller
   would not have the socket. asyncio leaves a connection that nothing will ever
   be heard of; here it ends with the exception. Always -1. */
FA_INTERNAL int transport_never_reads(TransportObject *self);
FA_INTERNAL void transport_stop_reading(TransportObject *self);

/* asyncio's close() and _force_close(exc). `exc` is borrowed and may be NULL
   (abort). 0 or -1. */
FA_INTERNAL int transport_close(TransportObject *self);
FA_INTERNAL int transport_force_close(TransportObject *self, PyObject *exc);

/* connection_lost(exc) in a later turn; exc NULL = None. 0 or -1. */
FA_INTERNAL int transport_schedule_lost(TransportObject *self, PyObject *exc);

/* loop.call_soon(callback, [arg, [arg2]], context=self.context), as a method
   call. `callback` is taken over and may be NULL (an exception is set). */
FA_INTERNAL int transport_call_soon(TransportObject *self, PyObject *callback,
                                    PyObject *arg, PyObject *arg2);

/* Everything has left that close(), write_eof() or sendfile waited for.
   0 or -1. */
FA_INTERNAL int transport_output_done(TransportObject *self);

/* shutdown(SHUT_WR): 0, or -1 with OSError. */
FA_INTERNAL int transport_shutdown(TransportObject *self);

/* The future of _make_empty_waiter will never come true: give it `exc` (NULL =
   the connection is closed). 0 or -1. */
FA_INTERNAL int transport_fail_empty_waiter(TransportObject *self,
                                            PyObject *exc);

/* asyncio's _call_connection_lost(exc); exc NULL = None. -1 with what
   connection_lost raised. The caller holds a reference. */
FA_INTERNAL int transport_lost(TransportObject *self, PyObject *exc);

/* The same with the exception reported as the loop reports a callback's. */
FA_INTERNAL int transport_lost_reported(TransportObject *self, PyObject *exc);

/* Close the fd by whoever owns it. It is closed in any case; -1 with what that
   raised. No exception is set on entry. */
FA_INTERNAL int transport_close_fd(TransportObject *self);

/* The same where nobody can be told; the raised exception is kept. */
FA_INTERNAL void transport_close_fd_quietly(TransportObject *self);

/* -- sockread.c: input ---------------------------------------------------------- */

/* fa_run: the fd is readable. HOT */
FA_INTERNAL int sockread_ready(LoopObject *loop, PyObject *self, PyObject *arg);

/* -- writebuf.c: output --------------------------------------------------------- */

/* How many bytes wait at most for the end of the running entry. */
#define FA_CORK_MAX ((size_t)64 * 1024)

FA_INTERNAL void writebuf_init(fa_writebuf *out);
FA_INTERNAL void writebuf_clear(fa_writebuf *out);

/* Append a piece; `owner` is taken over (also on failure). If it is NULL, the
   memory is only lent, and transport_written must follow at once. 0 or -1 with
   MemoryError. Runs no Python code. */
FA_INTERNAL int writebuf_push(fa_writebuf *out, const char *data, size_t len,
                              PyObject *owner);

/* Take back the last `count` pieces. Runs no Python code. */
FA_INTERNAL void writebuf_unpush(fa_writebuf *out, uint32_t count);

/* The first `sent` bytes (there are that many) have left. HOT */
FA_INTERNAL void writebuf_consume(fa_writebuf *out, size_t sent);

/* Pieces have been appended: hold them, or send them now. 0 or -1. HOT */
FA_INTERNAL int transport_written(TransportObject *self);

/* Send what is held, watch FA_OUT for the rest. 0, or -1. May run Python code
   (a failed send closes the transport). */
FA_INTERNAL int transport_flush(TransportObject *self);

/* The same as a last try before the buffer is dropped: errors are ignored. */
FA_INTERNAL void transport_flush_quietly(TransportObject *self);

/* Forget pending data and stop watching FA_OUT. */
FA_INTERNAL void transport_drop_output(TransportObject *self);

/* -- write.c: from objects to pieces ---------------------------------------------- */

/* asyncio's write() and writelines(), with their checks. 0 or -1. HOT */
FA_INTERNAL int transport_write(TransportObject *self, PyObject *data);
FA_INTERNAL int transport_writelines(TransportObject *self, PyObject *list);

/* write() of memory that is only lent, and that is not to be held: the end of
   the running entry has come. 0 or -1. HOT */
FA_INTERNAL int transport_send_now(TransportObject *self, const char *data,
                                   size_t len);

/* -- flow.c ------------------------------------------------------------------------ */

/* Flow control, after the buffer has grown / shrunk. 0 or -1. */
FA_INTERNAL int transport_maybe_pause(TransportObject *self);
FA_INTERNAL int transport_maybe_resume(TransportObject *self);

/* A limit as a number of bytes; anything larger than memory is infinite. 0 or
   -1. */
FA_INTERNAL int flow_limit(PyObject *number, size_t *out);

/* set_write_buffer_limits with asyncio's defaults; NULL = not given. */
FA_INTERNAL int transport_set_limits(TransportObject *self, PyObject *high,
                                     PyObject *low);

/* -- protocol.c: the only callers of protocol methods ---------------------------- */

/* All run in the transport's context and return 0, or -1 with an exception
   that must leave the loop; any other exception is reported as asyncio does,
   for the methods that carry data by closing the transport. connection_made
   comes bound, as it was when the transport was made. */
FA_INTERNAL int protocol_made(TransportObject *self, PyObject *method);
FA_INTERNAL int protocol_data(TransportObject *self, PyObject *data);
FA_INTERNAL int protocol_eof(TransportObject *self);
FA_INTERNAL int protocol_pause(TransportObject *self);
FA_INTERNAL int protocol_resume(TransportObject *self);

/* Of a DatagramProtocol. Not fatal: what they raise is the loop's to report,
   as that of a callback. The caller of protocol_datagram has entered the
   context. HOT */
FA_INTERNAL int protocol_datagram(TransportObject *self, PyObject *data,
                                  PyObject *addr);
FA_INTERNAL int protocol_error(TransportObject *self, PyObject *exc);

/* The two of a BufferedProtocol; the caller has entered the context, once for
   both. get_buffer(-1): 1 and a writable, not empty view of *owner (strong); 0
   if it failed and that has been dealt with; -1. If the object gives no
   writable view, 1 with view->obj NULL. */
FA_INTERNAL int protocol_buffer(TransportObject *self, Py_buffer *view,
                                PyObject **owner);
FA_INTERNAL int protocol_updated(TransportObject *self, Py_ssize_t nbytes);

/* connection_lost(exc): -1 with whatever it raised. */
FA_INTERNAL int protocol_lost(TransportObject *self, PyObject *exc);

/* The context to run in, entered (new reference), or NULL. It is a copy if
   ours is being used by an outer run of the loop. Pass it to context_leave,
   which keeps the raised exception. */
FA_INTERNAL PyObject *context_enter(PyObject *context);
FA_INTERNAL void context_leave(PyObject *entered);

/* -- trouble.c: logs and reports ---------------------------------------------------- */

/* asyncio's _fatal_error(exc, message): report and close. `exc` is borrowed.
   0 or -1. */
FA_INTERNAL int transport_fatal(TransportObject *self, PyObject *exc,
                                const char *message);

/* The same with the raised exception, which is taken. SystemExit and
   KeyboardInterrupt stay raised: -1. */
FA_INTERNAL int transport_fatal_raised(TransportObject *self,
                                       const char *message);

/* Tell the loop's exception handler, with the transport and its protocol.
   0 or -1. */
FA_INTERNAL int transport_report(TransportObject *self, const char *message,
                                 PyObject *exc);

/* What a callback of the loop has raised, reported as its Handle would:
   "Exception in callback <callback>(<args>)". 0, or -1 for an exit. */
FA_INTERNAL int transport_report_callback(TransportObject *self,
                                          PyObject *callback, PyObject *arg);

/* The same for owner.<name>(arg). */
FA_INTERNAL int transport_report_method(TransportObject *self, PyObject *owner,
                                        const char *name, PyObject *arg);

/* logger.debug("%r: %s", self, message, exc_info=exc) for a transport or what is
   like one. 0 or -1. */
FA_INTERNAL int trouble_log_failure(fa_state *st, PyObject *self,
                                    PyObject *exc, const char *message);

/* logger.debug(format, self) and the warning of a write() that comes too late,
   by asyncio's logger; *count writes came too late before. 0 or -1. */
FA_INTERNAL int transport_log(TransportObject *self, const char *level,
                              const char *format);
FA_INTERNAL int transport_log_debug(TransportObject *self, const char *format);
FA_INTERNAL int transport_log_late_write(TransportObject *self, int *count,
                                         const char *text);
FA_INTERNAL int transport_log_lost_write(TransportObject *self);

/* -- for an SSLProtocol of ours (tls_read.c, tls_write.c) -------------------------- */

/* Nobody has replaced its methods, and the handshake could begin: only then: */
/* Where ciphertext is to be put, *room bytes (NULL with MemoryError); that n of
   them have been, directly after: 0, or -1 with what buffer_updated would
   raise. HOT */
FA_INTERNAL int tls_is_plain(PyObject *protocol);
FA_INTERNAL char *tls_room(PyObject *protocol, size_t *room);
FA_INTERNAL int tls_received(PyObject *protocol, size_t n);

/* The transport is about to close: what is held above leaves first. */
FA_INTERNAL void tls_flush_quietly(PyObject *protocol);

/* -- extra.c: get_extra_info, the Python socket ----------------------------------- */

/* The Python socket, made now if need be (borrowed). NULL with an exception,
   or without one once it is closed. */
FA_INTERNAL PyObject *transport_sock(TransportObject *self);

/* socket.socket(family, type, proto, fd) (new), whatever stands in that place;
   fd -1 = not given. It owns the fd, unless this has failed. And
   sock.setblocking(0): 0 or -1. */
FA_INTERNAL PyObject *python_socket_new(fa_state *st, int family, int type,
                                        int proto, int fd);
FA_INTERNAL int python_socket_unblock(PyObject *sock);

/* Where an object that is a socket or a raw file keeps the number self->fd; a
   place in self if that is not known. */
FA_INTERNAL const int *transport_find_cell(TransportObject *self,
                                           PyObject *file);

/* Take over a Python socket: fd, fd_cell, addresses. 0 or -1. */
FA_INTERNAL int transport_adopt(TransportObject *self, PyObject *sock);

/* Remember the address that accept gave. 0 or -1. */
FA_INTERNAL int transport_keep_peer(TransportObject *self,
                                    const struct sockaddr_storage *addr,
                                    socklen_t len);

/* Remember the fd's own address while it is still open. */
FA_INTERNAL void transport_keep_name(TransportObject *self);

/* New references; `fallback` is borrowed. NULL on error. */
FA_INTERNAL PyObject *transport_extra_info(TransportObject *self,
                                           PyObject *name, PyObject *fallback);
FA_INTERNAL PyObject *transport_extra(TransportObject *self);

/* The Python form of a raw address (new), NULL without an exception if it is
   of a family that only the socket module knows. */
FA_INTERNAL PyObject *addr_to_python(const struct sockaddr *addr,
                                     socklen_t len);

/* -- clients.c, server.c ------------------------------------------------------------ */

/* A transport of a server begins / ends. 0 or -1. */
FA_INTERNAL int server_attach(TransportObject *self);
FA_INTERNAL int server_detach(TransportObject *self);

/* Join and leave the server's list, and nothing else. */
FA_INTERNAL void server_link(ServerObject *server, TransportObject *transport);
FA_INTERNAL void server_forget(TransportObject *self);

/* How many are attached, -1 on error; a list of them (new); the WeakSet of
   those that are not ours, made when first needed (borrowed). */
FA_INTERNAL Py_ssize_t server_count(ServerObject *self);
FA_INTERNAL PyObject *server_transports(ServerObject *self);
FA_INTERNAL PyObject *server_foreign(ServerObject *self);

/* -1 with AssertionError (asyncio's) if the server is closed. */
FA_INTERNAL int server_check_open(ServerObject *self);

/* Is `server`, any object, a server of ours that has been closed? */
FA_INTERNAL int server_is_closed(fa_state *st, PyObject *server);

/* Somebody has left: was it the last of a closed server? 0 or -1. */
FA_INTERNAL int server_left(ServerObject *self);

/* -- listener.c, accept.c ------------------------------------------------------------- */

/* args: factory, sock, sslcontext, server, backlog, ssl_handshake_timeout,
   ssl_shutdown_timeout, context. NULL on error. */
FA_INTERNAL ListenerObject *listener_new(fa_state *st, PyObject *const *args);

FA_INTERNAL int sockstream_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int datagram_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int server_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int listener_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int accept_functions_init(PyObject *module);

#endif
