/* api/loop_connect.c: names and outgoing connections: getaddrinfo, getnameinfo,
   create_connection, create_unix_connection.

   All are coroutine functions (task/coro.h); the work is in net/. Arguments that
   do not fit are given to asyncio's own function, which says so in its words. */
#include "api/api.h"

#include "base/args.h"
#include "net/net.h"

/* asyncio's function of that name, called with the same arguments: what it
   returns or raises. The error that led here is dropped. */
static PyObject *
connect_refuse(PyObject *cls, const char *name, PyObject *self,
               PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t total = nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    PyErr_Clear();
    PyObject *func = PyObject_GetAttrString(cls, name);
    PyObject **stack = func == NULL ? NULL
                                    : PyMem_New(PyObject *, total + 1);
    PyObject *res = NULL;
    if (stack != NULL) {
        stack[0] = self;
        for (Py_ssize_t i = 0; i < total; i++) {
            stack[1 + i] = args[i];
        }
        res = PyObject_Vectorcall(func, stack, (size_t)nargs + 1, kwnames);
        PyMem_Free(stack);
    }
    else if (func != NULL) {
        PyErr_NoMemory();
    }
    Py_XDECREF(func);
    return res;
}

/* -- names ----------------------------------------------------------------------- */

static PyObject *
Loop_getaddrinfo(fa_state *Py_UNUSED(st), PyObject *self,
                 PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "BaseEventLoop.getaddrinfo", .required = 2, .positional = 2,
        .python = 1, .total = 6,
        .names = {"host", "port", "family", "type", "proto", "flags"}};
    PyObject *out[6];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0 ||
        loop_refresh_overrides((LoopObject *)self) < 0)
    {
        return NULL;
    }
    return resolve_getaddrinfo((LoopObject *)self, out[0], out[1], out + 2);
}

static PyObject *
Loop_getnameinfo(fa_state *Py_UNUSED(st), PyObject *self,
                 PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "BaseEventLoop.getnameinfo", .required = 1, .positional = 2,
        .python = 1, .total = 2, .names = {"sockaddr", "flags"}};
    PyObject *out[2];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0 ||
        loop_refresh_overrides((LoopObject *)self) < 0)
    {
        return NULL;
    }
    return resolve_getnameinfo((LoopObject *)self, out[0], out[1]);
}

static PyObject *
Loop__ensure_resolved(fa_state *st, PyObject *self, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "BaseEventLoop._ensure_resolved", .required = 1,
        .positional = 1, .python = 1, .total = 6,
        .names = {"address", "family", "type", "proto", "flags", "loop"}};
    PyObject *out[6];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0 ||
        out[5] == NULL || !PyTuple_CheckExact(out[0]) ||
        PyTuple_GET_SIZE(out[0]) < 2 || PyTuple_GET_SIZE(out[0]) > 4)
    {
        return connect_refuse(st->asyncio_BaseLoop, "_ensure_resolved", self,
                              args, nargs, kwnames);
    }
    return resolve_ensure((LoopObject *)self, out[0], out + 1, out[5]);
}

/* -- connections ------------------------------------------------------------------- */

static PyObject *
Loop_create_connection(fa_state *st, PyObject *self, PyObject *const *args,
                       Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "BaseEventLoop.create_connection", .required = 1,
        .positional = 3, .python = 1,
        .total = FA_HAS_ALL_ERRORS ? FA_CONNECT_ARGS : FA_CONNECT_ARGS - 1,
        .names = {"protocol_factory", "host", "port", "ssl", "family", "proto",
                  "flags", "sock", "local_addr", "server_hostname",
                  "ssl_handshake_timeout", "ssl_shutdown_timeout",
                  "happy_eyeballs_delay", "interleave", "all_errors"}};
    PyObject *out[FA_CONNECT_ARGS] = {NULL};
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return connect_refuse(st->asyncio_BaseLoop, "create_connection", self,
                              args, nargs, kwnames);
    }
    if (loop_refresh_overrides((LoopObject *)self) < 0) {
        return NULL;
    }
    return connect_coroutine((LoopObject *)self, out, 0);
}

static PyObject *
Loop_create_unix_connection(fa_state *st, PyObject *self,
                            PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "_UnixSelectorEventLoop.create_unix_connection",
        .required = 1, .positional = 2, .python = 1, .total = 7,
        .names = {"protocol_factory", "path", "ssl", "sock",
                  "server_hostname", "ssl_handshake_timeout",
                  "ssl_shutdown_timeout"}};
    PyObject *out[7];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return connect_refuse(st->asyncio_UnixLoop, "create_unix_connection",
                              self, args, nargs, kwnames);
    }
    if (loop_refresh_overrides((LoopObject *)self) < 0) {
        return NULL;
    }
    // in the places of create_connection's
    PyObject *const all[FA_CONNECT_ARGS] = {
        out[0], out[1], NULL,   out[2], NULL,   NULL,   NULL, out[3],
        NULL,   out[4], out[5], out[6], NULL,   NULL,   NULL};
    return connect_coroutine((LoopObject *)self, all, 1);
}

static PyObject *
Loop__create_connection_transport(fa_state *st, PyObject *self,
                                  PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "BaseEventLoop._create_connection_transport", .required = 4,
        .positional = FA_WRAP_ARGS - !FA_HAS_CONNECTION_CONTEXT, .python = 1,
        .total = FA_WRAP_ARGS - !FA_HAS_CONNECTION_CONTEXT,
        .names = {"sock", "protocol_factory", "ssl", "server_hostname",
                  "server_side", "ssl_handshake_timeout",
                  "ssl_shutdown_timeout", "context"}};
    PyObject *out[FA_WRAP_ARGS] = {NULL};
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return connect_refuse(st->asyncio_BaseLoop,
                              "_create_connection_transport", self, args,
                              nargs, kwnames);
    }
    if (loop_refresh_overrides((LoopObject *)self) < 0) {
        return NULL;
    }
    return wrap_coroutine((LoopObject *)self, out);
}

static PyObject *
Loop_connect_accepted_socket(fa_state *st, PyObject *self,
                             PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "BaseEventLoop.connect_accepted_socket", .required = 2,
        .positional = 2, .python = 1, .total = FA_ACCEPTED_ARGS,
        .names = {"protocol_factory", "sock", "ssl", "ssl_handshake_timeout",
                  "ssl_shutdown_timeout"}};
    PyObject *out[FA_ACCEPTED_ARGS];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return connect_refuse(st->asyncio_BaseLoop, "connect_accepted_socket",
                              self, args, nargs, kwnames);
    }
    if (loop_refresh_overrides((LoopObject *)self) < 0) {
        return NULL;
    }
    return wrap_accepted((LoopObject *)self, out);
}

/* -- table ---------------------------------------------------------------------------- */

const fa_coro_def loop_connect_methods[] = {
    {"getaddrinfo", "BaseEventLoop.getaddrinfo", NULL, Loop_getaddrinfo,
     "getaddrinfo($self, host, port, *, family=0, type=0, proto=0, "
     "flags=0)\n--\n\n"
     "socket.getaddrinfo() without blocking. See asyncio.loop.getaddrinfo."},
    {"getnameinfo", "BaseEventLoop.getnameinfo", NULL, Loop_getnameinfo,
     "getnameinfo($self, sockaddr, flags=0)\n--\n\n"
     "socket.getnameinfo() without blocking. See asyncio.loop.getnameinfo."},
    {"_ensure_resolved", "BaseEventLoop._ensure_resolved", NULL,
     Loop__ensure_resolved,
     "_ensure_resolved($self, address, *, family=0, type=1, proto=0, "
     "flags=0, loop)\n--\n\n"
     "What getaddrinfo() says, without asking if the host is an address."},
    {"create_connection", "BaseEventLoop.create_connection", NULL,
     Loop_create_connection,
#if FA_HAS_ALL_ERRORS
     "create_connection($self, protocol_factory, host=None, port=None, *, "
     "ssl=None, family=0, proto=0, flags=0, sock=None, local_addr=None, "
     "server_hostname=None, ssl_handshake_timeout=None, "
     "ssl_shutdown_timeout=None, happy_eyeballs_delay=None, "
     "interleave=None, all_errors=False)\n--\n\n"
#else
     "create_connection($self, protocol_factory, host=None, port=None, *, "
     "ssl=None, family=0, proto=0, flags=0, sock=None, local_addr=None, "
     "server_hostname=None, ssl_handshake_timeout=None, "
     "ssl_shutdown_timeout=None, happy_eyeballs_delay=None, "
     "interleave=None)\n--\n\n"
#endif
     "Connect to a TCP server; returns (transport, protocol). See\n"
     "asyncio.loop.create_connection."},
    {"create_unix_connection", "_UnixSelectorEventLoop.create_unix_connection",
     NULL, Loop_create_unix_connection,
     "create_unix_connection($self, protocol_factory, path=None, *, "
     "ssl=None, sock=None, server_hostname=None, "
     "ssl_handshake_timeout=None, ssl_shutdown_timeout=None)\n--\n\n"
     "Connect to a Unix socket; returns (transport, protocol). See\n"
     "asyncio.loop.create_unix_connection."},
    {"_create_connection_transport",
     "BaseEventLoop._create_connection_transport", NULL,
     Loop__create_connection_transport,
     "_create_connection_transport($self, sock, protocol_factory, ssl, "
     "server_hostname, server_side=False, ssl_handshake_timeout=None, "
     "ssl_shutdown_timeout=None)\n--\n\n"
     "Make a transport for a connected socket and wait for connection_made."},
    {"connect_accepted_socket", "BaseEventLoop.connect_accepted_socket", NULL,
     Loop_connect_accepted_socket,
     "connect_accepted_socket($self, protocol_factory, sock, *, ssl=None, "
     "ssl_handshake_timeout=None, ssl_shutdown_timeout=None)\n--\n\n"
     "Make a transport for a socket that was accepted elsewhere. See\n"
     "asyncio.loop.connect_accepted_socket."},
    {NULL, NULL, NULL, NULL, NULL},
};
