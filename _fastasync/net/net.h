/* net/net.h: the door of the transports. */
#ifndef FA_NET_NET_H
#define FA_NET_NET_H

#include "base/state.h"
#include "loop/loop.h"

/* A stream transport over a connected, non-blocking socket. `sock` is a Python
   socket object (borrowed; the transport owns the fd through it and closes it
   at the end), `waiter` a future or NULL/None, told when connection_made has
   run; `extra` a dict or NULL/None; `server` our Server, or any object with
   asyncio's _attach/_detach, or NULL/None; `context` what the protocol runs in
   (NULL/None: a copy of the current one). Schedules connection_made, then the
   start of reading, then the waiter, in asyncio's order. NULL on error. */
FA_INTERNAL PyObject *sockstream_new(LoopObject *loop, PyObject *sock,
                                     PyObject *protocol, PyObject *waiter,
                                     PyObject *extra, PyObject *server,
                                     PyObject *context);

/* -- for streams: a transport without method calls -------------------------------- */

/* A SocketTransport of ours whose methods nobody can have replaced: only then
   may the functions below be called, and only while the caller holds a
   reference. HOT */
FA_INTERNAL int sockstream_is_plain(fa_state *st, PyObject *obj);

/* The methods of the same names. 0 (is_closing: 1 or 0), or -1. May run Python
   code, but for is_closing. HOT */
FA_INTERNAL int sockstream_write(PyObject *transport, PyObject *data);
FA_INTERNAL int sockstream_is_closing(PyObject *transport);
FA_INTERNAL int sockstream_pause_reading(PyObject *transport);
FA_INTERNAL int sockstream_resume_reading(PyObject *transport);

/* Such a transport, or that of a TLS connection (SSLTransport), and the same
   for both. fa_stream_is_closing: 1, 0 or -1. HOT */
FA_INTERNAL int fa_stream_is_plain(fa_state *st, PyObject *obj);
FA_INTERNAL int fa_stream_write(fa_state *st, PyObject *transport,
                                PyObject *data);
FA_INTERNAL int fa_stream_is_closing(fa_state *st, PyObject *transport);

/* A transport that reads from, or writes to, the Python file `pipe` (anything
   with fileno() and close(): a pipe, a socket, a terminal), which it closes at
   the end. The arguments are those of asyncio's _UnixReadPipeTransport; waiter
   and extra may be NULL or None. NULL with an exception, ValueError for other
   kinds of files; then the file is left as it was, but for its non-blocking
   mode. */
FA_INTERNAL PyObject *readpipe_new(LoopObject *loop, PyObject *pipe,
                                   PyObject *protocol, PyObject *waiter,
                                   PyObject *extra);
FA_INTERNAL PyObject *writepipe_new(LoopObject *loop, PyObject *pipe,
                                    PyObject *protocol, PyObject *waiter,
                                    PyObject *extra);

/* A ReadPipeTransport / WritePipeTransport of ours whose methods nobody can have
   replaced. HOT */
FA_INTERNAL int readpipe_is_plain(fa_state *st, PyObject *obj);
FA_INTERNAL int writepipe_is_plain(fa_state *st, PyObject *obj);

/* write() and is_closing() of a plain WritePipeTransport. 0 (is_closing: 1 or 0)
   or -1. May run Python code, but for is_closing. HOT */
FA_INTERNAL int writepipe_write(PyObject *transport, PyObject *data);
FA_INTERNAL int writepipe_is_closing(PyObject *transport);

/* How a transport hands bytes to a protocol that would only put them into a
   buffer: without a call into Python, and, if there is much, by reading
   straight into that buffer. stream/ registers one table for the class
   StreamReaderProtocol (st->stream_sink); a transport uses it for exact
   instances of that class.

   None of these runs Python code, so there is no context to enter; what would
   need to (a waiter on a strange loop, a strange transport, debug mode) they
   refuse, and data_received is called as for any other protocol. HOT */
typedef struct fa_sink {
    /* Take a copy of `n` > 0 bytes: 1; 0 = refused, nothing has happened; -1
       with an exception. */
    int (*feed)(PyObject *protocol, const char *data, Py_ssize_t n);
    /* Memory for about *size bytes (in: how much is wanted, out: how much it
       is, at least 1); NULL without an exception = refused, or MemoryError. */
    char *(*room)(PyObject *protocol, Py_ssize_t *size);
    /* `n` bytes have been put there; called after each room(), without anything
       in between, with 0 if there were none. 0, or -1 with an exception. */
    int (*fed)(PyObject *protocol, Py_ssize_t n);
} fa_sink;

/* -- names and connections: coroutines (new), NULL on error ------------------------- */

/* loop.getaddrinfo(host, port, family=hints[0], type=, proto=, flags=); a hint
   may be NULL (not given). */
FA_INTERNAL PyObject *resolve_getaddrinfo(LoopObject *loop, PyObject *host,
                                          PyObject *port,
                                          PyObject *const hints[4]);

/* loop.getnameinfo(sockaddr, flags); flags may be NULL. */
FA_INTERNAL PyObject *resolve_getnameinfo(LoopObject *loop, PyObject *sockaddr,
                                          PyObject *flags);

/* loop._ensure_resolved(address, family=, type=, proto=, flags=, loop=asked);
   `address` is an exact tuple of 2 to 4. */
FA_INTERNAL PyObject *resolve_ensure(LoopObject *loop, PyObject *address,
                                     PyObject *const hints[4],
                                     PyObject *asked);

/* loop.create_connection(...): `args` are its parameters in their order, NULL
   where not given; or loop.create_unix_connection(...), its path in place of
   the host. There are FA_CONNECT_ARGS. */
#define FA_CONNECT_ARGS 15
FA_INTERNAL PyObject *connect_coroutine(LoopObject *loop, PyObject *const *args,
                                        int unix_path);

/* loop._create_connection_transport(sock, protocol_factory, ssl,
   server_hostname, server_side, ssl_handshake_timeout, ssl_shutdown_timeout,
   context) and loop.connect_accepted_socket(protocol_factory, sock, ssl,
   ssl_handshake_timeout, ssl_shutdown_timeout): NULL where not given. */
#define FA_WRAP_ARGS 8
#define FA_ACCEPTED_ARGS 5
FA_INTERNAL PyObject *wrap_coroutine(LoopObject *loop, PyObject *const *args);
FA_INTERNAL PyObject *wrap_accepted(LoopObject *loop, PyObject *const *args);

/* A coroutine of loop.sock_*() (sockops.c, sockconnect.c). `arg` is what comes
   after the socket: NULL for accept, a pair for recvfrom_into and sendto. New
   reference. */
typedef enum {
    FA_SOCK_RECV, FA_SOCK_RECV_INTO, FA_SOCK_RECVFROM, FA_SOCK_RECVFROM_INTO,
    FA_SOCK_SENDALL, FA_SOCK_SENDTO, FA_SOCK_ACCEPT, FA_SOCK_CONNECT,
} fa_sockop;
FA_INTERNAL PyObject *sockop_new(LoopObject *loop, fa_sockop op,
                                 PyObject *sock, PyObject *arg);

/* The coroutine loop._sock_sendfile_native(sock, file, offset, count)
   (sendfile.c). New reference. */
FA_INTERNAL PyObject *sendfile_new(LoopObject *loop, PyObject *sock,
                                   PyObject *file, PyObject *offset,
                                   PyObject *count);

/* loop_io_claim for a transport that has let sendfile use its fd: nothing if it
   has lost its connection meanwhile, and the fd may be another's. 0 or -1. */
FA_INTERNAL int sockstream_claim(LoopObject *loop, PyObject *transport);

/* The module state is cleared. */
FA_INTERNAL void net_state_clear(fa_state *st);

/* -- subprocesses ------------------------------------------------------------------ */

/* What subprocess.Popen(args, shell=, stdin=, ...) is called with; borrowed. */
typedef struct {
    PyObject *args;
    PyObject *shell;
    PyObject *stdio[3];
    PyObject *bufsize;
    PyObject *kwargs; /* a dict, or NULL */
} fa_popen;

/* Start a program and make a SubprocessTransport for it; `waiter` (a future or
   NULL) is told when its pipes are connected and connection_made is on its way,
   `extra` is a dict or NULL/None. NULL with the exception that Popen raises. */
FA_INTERNAL PyObject *process_new(LoopObject *loop, PyObject *protocol,
                                  const fa_popen *what, PyObject *waiter,
                                  PyObject *extra);

/* Learn of its end. 1; 0 where the kernel has no pidfd for it or will not watch
   it (then transport._process_exited(code) must be called by other means);
   -1. */
FA_INTERNAL int process_watch(PyObject *transport, LoopObject *loop);

/* All types of this room. 0 or -1. */
FA_INTERNAL int net_types_init(PyObject *module, fa_state *st);

#endif
