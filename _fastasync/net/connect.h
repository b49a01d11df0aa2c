/* net/connect.h: names, addresses and outgoing connections (private to net/).

   plain.c     has anybody replaced what asyncio would call here?
   addr.c      numeric addresses: Python objects to raw ones, and the answers of
               getaddrinfo and getnameinfo about them
   resolve.c   the coroutines getaddrinfo, getnameinfo, _ensure_resolved
   connect.c   create_connection, create_unix_connection: the steps
   wrap.c      connect_accepted_socket, and transports for Python sockets
   connecting.c  the object that holds what such a coroutine knows, and its fd
   interleave.c  addresses of all families in turn
   staggered.c  the race of happy eyeballs: several attempts at a time

   Everywhere: whatever is not simple and certain is left to asyncio's own
   function, called with the same arguments. */
#ifndef FA_NET_CONNECT_H
#define FA_NET_CONNECT_H

#include "net/transport.h"
#include "task/coro.h"

/* A raw address with its length. */
typedef struct {
    socklen_t len;
    struct sockaddr_storage raw;
} fa_sockaddr;

/* -- plain.c --------------------------------------------------------------------- */

/* May a name be looked up, a socket be opened without Python's functions? No
   if a module attribute, the socket class or a method of the loop has been
   replaced, in debug mode, or while audit hooks want to see sockets. 1 or 0;
   no errors. */
FA_INTERNAL int plain_names(const LoopObject *loop, PyObject *name,
                            PyObject *stock);
FA_INTERNAL int plain_connects(const LoopObject *loop);
FA_INTERNAL int plain_ipaddr_info(fa_state *st);

/* Does socket.socket find these methods in _socket.socket? 1 or 0. */
FA_INTERNAL int plain_methods(fa_state *st, const char *const *names,
                              size_t count);

/* Is module.name a Python function of that module itself? */
FA_INTERNAL int plain_own_function(PyObject *module, const char *name);

/* -- addr.c ---------------------------------------------------------------------- */

/* `host` is an exact str with a numeric address of that family (AF_UNSPEC =
   either): 1 and the address, its port 0; else 0. Never an error. */
FA_INTERNAL int addr_literal(PyObject *host, int family, fa_sockaddr *out);

/* An int (or an enum of ints) that fits: 1, else 0. NULL is 0. */
FA_INTERNAL int addr_int(PyObject *obj, int *out);

/* An exact int from 0 to 65535: 1, else 0. */
FA_INTERNAL int addr_port(PyObject *port, int *out);

FA_INTERNAL void addr_set_port(fa_sockaddr *addr, int port);

/* socket.getaddrinfo(...) where the answer is certain (new); NULL without an
   exception where it is not. hints: family, type, proto, flags; each may be
   NULL (0). */
FA_INTERNAL PyObject *addr_getaddrinfo(fa_state *st, PyObject *host,
                                       PyObject *port,
                                       PyObject *const hints[4]);

/* The same of socket.getnameinfo(sockaddr, flags). */
FA_INTERNAL PyObject *addr_getnameinfo(PyObject *sockaddr, PyObject *flags);

/* The same of base_events._ipaddr_info for an exact tuple `address`. */
FA_INTERNAL PyObject *addr_ipaddr_info(fa_state *st, PyObject *address,
                                       PyObject *family, PyObject *type,
                                       PyObject *proto);

/* A tuple of getaddrinfo that says where to connect a stream: 1 and family,
   proto and address; 0 if it is anything else. */
FA_INTERNAL int addr_from_info(PyObject *info, int *family, int *proto,
                               fa_sockaddr *out);

/* The path of a Unix socket, str or bytes: 1 and the address, or 0. */
FA_INTERNAL int addr_from_path(PyObject *path, fa_sockaddr *out);

/* -- connecting.c ------------------------------------------------------------------ */

/* Parameters of create_connection and create_unix_connection, by place. */
enum {
    CONN_FACTORY, CONN_HOST, CONN_PORT, CONN_SSL, CONN_FAMILY, CONN_PROTO,
    CONN_FLAGS, CONN_SOCK, CONN_LOCAL_ADDR, CONN_SERVER_HOSTNAME,
    CONN_HANDSHAKE_TIMEOUT, CONN_SHUTDOWN_TIMEOUT, CONN_EYEBALLS_DELAY,
    CONN_INTERLEAVE, CONN_ALL_ERRORS, CONN_ARGS,
};
#define CONN_PATH CONN_HOST

/* What one connecting coroutine knows. Owns the fd until a transport or a
   Python socket does. */
typedef struct {
    PyObject_HEAD
    fa_state *st;          /* borrowed */
    LoopObject *loop;      /* strong */
    PyObject *args[CONN_ARGS]; /* strong or NULL: as given */
    PyObject *infos;       /* strong or NULL: list, where to connect */
    Py_ssize_t next;       /* the next one of them */
    PyObject *local;       /* strong or NULL: where from, as resolved */
    PyObject *exceptions;  /* strong or NULL: list of lists: what failed */
    PyObject *failed;      /* strong or NULL: the exception of this attempt */
    PyObject *address;     /* strong or NULL: as error texts show it */
    PyObject *waiter;      /* strong or NULL: the future that is told */
    PyObject *transport;   /* strong or NULL */
    PyObject *protocol;    /* strong or NULL */
    fa_sockaddr addr;      /* of this attempt */
    int family, proto;
    int fd;                /* owned, or -1 */
    uint8_t unix_path;     /* create_unix_connection */
    uint8_t waits;         /* the waiter has not been told yet */
    uint8_t watching;      /* FA_OUT of the fd */
    int known;             /* waits without watching: how it went, 0 or -errno */
    PyObject *race;        /* strong or NULL: it is the attempt of a race, which
                              is told in place of a waiter; then `next` is its
                              number there */
} ConnectingObject;

FA_INTERNAL ConnectingObject *connecting_new(LoopObject *loop,
                                             PyObject *const *args,
                                             int unix_path);

/* How the attempt to reach self->addr goes. */
typedef enum {
    CONNECT_ERROR = -1, /* an exception is raised that ends everything */
    CONNECT_DONE,       /* connected */
    CONNECT_FAILED,     /* self->failed says how */
    CONNECT_WAITS,      /* the future self->waiter will be told */
} fa_connect;

FA_INTERNAL fa_connect connecting_start(ConnectingObject *self);

/* The future has been told (or the waiting has been given up). */
FA_INTERNAL fa_connect connecting_told(ConnectingObject *self);

/* Give the attempt up: nothing is watched, the fd is closed. Keeps the raised
   exception. */
FA_INTERNAL void connecting_drop(ConnectingObject *self);

/* The fd becomes a Python socket (new), non-blocking. NULL on error, and the
   fd is closed. */
FA_INTERNAL PyObject *connecting_python_socket(ConnectingObject *self);

/* The fd becomes a transport with self->protocol, of which self->waiter is
   told: 0, or -1 and the fd is closed. `context` may be NULL: a copy of the
   current one. */
FA_INTERNAL int connecting_transport(ConnectingObject *self,
                                     PyObject *context);

/* -- interleave.c ------------------------------------------------------------------ */

/* base_events._interleave_addrinfos(infos, first_family_count) (new); `infos` is
   a list. */
FA_INTERNAL PyObject *interleave_infos(fa_state *st, PyObject *infos,
                                       PyObject *first_family_count);

/* -- staggered.c ------------------------------------------------------------------- */

/* May the addresses whole->infos be raced for here? No if asyncio's race has been
   replaced, if one of them is not simple, or if `delay` is not a number of
   seconds. 1 or 0; no errors. */
FA_INTERNAL int race_is_plain(ConnectingObject *whole, PyObject *delay);

/* A race for whole->infos (new): the next attempt begins `delay` seconds after
   the last one, or when that has failed. What fails is kept in
   whole->exceptions. */
FA_INTERNAL PyObject *race_new(ConnectingObject *whole, PyObject *delay);

/* Begin. CONNECT_DONE: somebody has won and `whole` has the fd. CONNECT_FAILED:
   all have failed. CONNECT_WAITS: the future whole->waiter will be told.
   CONNECT_ERROR: an exception ends everything. Unless it waits, nothing is left
   of the race. */
FA_INTERNAL fa_connect race_begin(PyObject *race);

/* The future has been told. */
FA_INTERNAL fa_connect race_told(PyObject *race);

/* An attempt (attempt->race is not NULL) has ended so: DONE, FAILED or ERROR.
   0 or -1. */
FA_INTERNAL int race_hear(ConnectingObject *attempt, fa_connect how);

/* Give it up: every attempt is dropped, nothing will be told. Keeps the raised
   exception. May run Python code. */
FA_INTERNAL void race_drop(PyObject *race);

FA_INTERNAL int race_type_init(PyObject *module, fa_state *st);

/* -- wrap.c ------------------------------------------------------------------------ */

/* It is no SSLSocket (TypeError), and sock.type == SOCK_STREAM; sock.family is
   AF_UNIX, and the type that: 1, 0 or -1. */
FA_INTERNAL int wrap_is_stream(fa_state *st, PyObject *sock);
FA_INTERNAL int wrap_is_unix(fa_state *st, PyObject *sock);

/* The waiter has been told: return transport, protocol; or the await has raised
   (value NULL): close the transport and raise that. */
FA_INTERNAL PySendResult wrap_finish(fa_state *st, PyObject *transport,
                                     PyObject *protocol, PyObject *value,
                                     PyObject **result);

FA_INTERNAL int connecting_type_init(PyObject *module, fa_state *st);

#endif
