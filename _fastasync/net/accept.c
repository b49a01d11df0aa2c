/* net/accept.c: a listening socket, and connections made of what arrives.

   loop._start_serving puts a Listener on the listening fd; per readiness it
   accepts as many connections as asyncio would (backlog + 1). A plain
   connection is made here and now: protocol_factory() in a fresh copy of the
   server's context, then the transport, without a task and without a Python
   socket. With TLS asyncio's own coroutine _accept_connection2 takes over.

   Invariant: an accepted fd has one owner at any time: a local variable here,
   then the transport or the Python socket. When the process runs out of
   descriptors, accepting pauses for a second.
   Cost per connection: accept4, setsockopt, epoll_ctl, one transport. */
#include "net/transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/errors.h"

/* -- one connection ----------------------------------------------------------------------- */

/* In debug mode only, as asyncio: what went wrong before there was anybody to
   tell. 0 or -1 (an exit). */
static int FA_COLD
listener_report(ListenerObject *self, LoopObject *loop, PyObject *protocol)
{
    if (fa_err_is_exit()) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    int rc = 0;
    if (loop->debug) {
        PyObject *text = PyUnicode_FromString(
            "Error on transport creation for incoming connection");
        PyObject *extra = PyDict_New();
        rc = text == NULL || extra == NULL ? -1 : 0;
        if (rc == 0 && protocol != NULL) {
            rc = PyDict_SetItem(extra, self->st->str_protocol, protocol);
        }
        if (rc == 0) {
            rc = loop_report(self->st, (PyObject *)loop, text, exc, extra);
        }
        Py_XDECREF(text);
        Py_XDECREF(extra);
    }
    Py_XDECREF(exc);
    return rc;
}

/* A plain connection: protocol and transport. Takes over the fd. 0 or -1. */
static int
listener_connect(ListenerObject *self, LoopObject *loop, int fd,
                 const struct sockaddr_storage *addr, socklen_t len)
{
    PyObject *transport = NULL, *protocol = NULL;
    PyObject *context = PyContext_Copy(self->context);
    PyObject *entered = context == NULL ? NULL : context_enter(context);
    if (entered != NULL) {
        protocol = PyObject_CallNoArgs(self->factory);
        context_leave(entered);
    }
    if (protocol != NULL && !loop->closed) {
        transport = sockstream_accepted(loop, fd, self, addr, len, protocol,
                                        context);
    }
    else if (protocol != NULL) {
        loop_check_closed(loop); // the factory closed the loop
    }
    int rc = 0;
    if (transport == NULL) {
        os_close(fd);
        rc = listener_report(self, loop, protocol);
    }
    Py_XDECREF(context);
    Py_XDECREF(protocol);
    Py_XDECREF(transport);
    return rc;
}

/* A Python socket for the fd (new), which it takes over, also on failure. */
static PyObject *
listener_python_socket(ListenerObject *self, int fd)
{
    PyObject *sock = python_socket_new(self->st, self->family, self->type,
                                       self->proto, fd);
    if (sock == NULL) {
        os_close(fd);
    }
    else if (python_socket_unblock(sock) < 0) {
        Py_CLEAR(sock);
    }
    return sock;
}

/* {'peername': address} (new). */
static PyObject *
listener_extra(ListenerObject *self, PyObject *sock,
               const struct sockaddr *addr, socklen_t len)
{
    PyObject *peer = addr_to_python(addr, len);
    if (peer == NULL && !PyErr_Occurred()) {
        peer = PyObject_CallMethod(sock, "getpeername", NULL);
    }
    if (peer == NULL) {
        return NULL;
    }
    PyObject *extra = PyDict_New();
    if (extra != NULL &&
        PyDict_SetItem(extra, self->st->str_peername, peer) < 0)
    {
        Py_CLEAR(extra);
    }
    Py_DECREF(peer);
    return extra;
}

/* loop._accept_connection2(...), a coroutine (new). `context` may be NULL. */
static PyObject *
listener_accept2(ListenerObject *self, LoopObject *loop, PyObject *conn,
                 PyObject *extra, PyObject *context)
{
    PyObject *stack[9] = {(PyObject *)loop,
                          self->factory,
                          conn,
                          extra,
                          self->sslcontext,
                          self->server,
                          self->handshake_timeout,
                          self->shutdown_timeout,
                          context};
    PyObject *kwnames = NULL;
    if (context != NULL) {
        kwnames = PyTuple_Pack(1, self->st->str_context);
        if (kwnames == NULL) {
            return NULL;
        }
    }
    PyObject *coro = PyObject_VectorcallMethod(
        self->st->str__accept_connection2, stack, 8, kwnames);
    Py_XDECREF(kwnames);
    return coro;
}

/* loop.create_task(coro[, context=context]); takes over coro. 0 or -1. */
static int
listener_spawn(ListenerObject *self, LoopObject *loop, PyObject *coro,
               PyObject *context)
{
    if (coro == NULL) {
        return -1;
    }
    PyObject *stack[3] = {(PyObject *)loop, coro, context};
    PyObject *kwnames = context == NULL ? NULL
                                        : PyTuple_Pack(1,
                                                       self->st->str_context);
    PyObject *task = NULL;
    if (context == NULL || kwnames != NULL) {
        task = PyObject_VectorcallMethod(self->st->str_create_task, stack, 2,
                                         kwnames);
    }
    Py_XDECREF(kwnames);
    Py_DECREF(coro);
    Py_XDECREF(task);
    return task == NULL ? -1 : 0;
}

/* A connection that begins with TLS: asyncio's coroutine makes it. Takes over
   the fd. 0 or -1 with any exception. */
static int
listener_connect_tls(ListenerObject *self, LoopObject *loop, int fd,
                     const struct sockaddr *addr, socklen_t len)
{
    PyObject *conn = listener_python_socket(self, fd);
    if (conn == NULL) {
        return -1;
    }
    PyObject *context = NULL;
    if (FA_HAS_SERVER_CONTEXT && PyContext_CheckExact(self->given_context)) {
        context = PyContext_Copy(self->given_context);
        if (context == NULL) {
            Py_DECREF(conn);
            return -1;
        }
    }
    PyObject *extra = listener_extra(self, conn, addr, len);
    int rc = -1;
    if (extra != NULL) {
        PyObject *coro = listener_accept2(self, loop, conn, extra, context);
        PyObject *entered = context_enter(self->context);
        if (entered != NULL) {
            rc = listener_spawn(self, loop, coro, context);
            context_leave(entered);
        }
        else {
            Py_XDECREF(coro);
        }
        Py_DECREF(extra);
    }
    Py_XDECREF(context);
    Py_DECREF(conn);
    return rc;
}

/* -- accepting -------------------------------------------------------------------------------- */

/* The loop's report of an exception that came out of the accept callback. */
static int FA_COLD
listener_report_callback(ListenerObject *self, LoopObject *loop)
{
    if (fa_err_is_exit()) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    PyObject *text = PyUnicode_FromString(
        "Exception in callback BaseSelectorEventLoop._accept_connection()");
    PyObject *wrapped = PyObject_CallOneArg(self->st->TransportSocket,
                                            self->sock);
    PyObject *extra = wrapped == NULL
                          ? NULL
                          : Py_BuildValue("{sO}", "socket", wrapped);
    int rc = text == NULL || extra == NULL
                 ? -1
                 : loop_report(self->st, (PyObject *)loop, text, exc, extra);
    Py_XDECREF(text);
    Py_XDECREF(wrapped);
    Py_XDECREF(extra);
    Py_XDECREF(exc);
    return rc;
}

/* loop.call_later(ACCEPT_RETRY_DELAY, loop._start_serving, ...). 0 or -1. */
static int
listener_retry_later(ListenerObject *self, LoopObject *loop)
{
    PyObject *delay = PyObject_GetAttrString(self->st->mod_constants,
                                             "ACCEPT_RETRY_DELAY");
    PyObject *start = delay == NULL
                          ? NULL
                          : PyObject_GetAttr((PyObject *)loop,
                                             self->st->str__start_serving);
    PyObject *res = NULL;
    if (start != NULL) {
        PyObject *stack[11] = {(PyObject *)loop,
                               delay,
                               start,
                               self->factory,
                               self->sock,
                               self->sslcontext,
                               self->server,
                               self->backlog,
                               self->handshake_timeout,
                               self->shutdown_timeout,
                               self->given_context};
        size_t n = self->given_context == Py_None ? 10 : 11;
        res = PyObject_VectorcallMethod(self->st->str_call_later, stack, n,
                                        NULL);
    }
    Py_XDECREF(delay);
    Py_XDECREF(start);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* accept failed for want of descriptors or memory: say so, stop, try again
   in a second. 0 or -1. */
static int FA_COLD
listener_out_of_resource(ListenerObject *self, LoopObject *loop, int neg_errno)
{
    PyObject *exc = fa_err_new_errno(neg_errno);
    PyObject *text = PyUnicode_FromString(
        "socket.accept() out of system resource");
    PyObject *wrapped = PyObject_CallOneArg(self->st->TransportSocket,
                                            self->sock);
    PyObject *extra = wrapped == NULL
                          ? NULL
                          : Py_BuildValue("{sO}", "socket", wrapped);
    int rc = exc == NULL || text == NULL || extra == NULL
                 ? -1
                 : loop_report(self->st, (PyObject *)loop, text, exc, extra);
    Py_XDECREF(exc);
    Py_XDECREF(text);
    Py_XDECREF(wrapped);
    Py_XDECREF(extra);
    if (loop_io_watcher(loop, self->fd, FA_IN) == (PyObject *)self) {
        loop_io_stop(loop, self->fd, FA_IN);
        if (rc == 0 && !loop->closed) {
            rc = listener_retry_later(self, loop);
        }
    }
    return rc;
}

/* accept failed. 1 = go on, 0 = enough for now, -1. */
static int FA_COLD
listener_failed(ListenerObject *self, LoopObject *loop, int neg_errno)
{
    switch (-neg_errno) {
        case ECONNABORTED:
            return 1;
        case EAGAIN:
            return 0;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return listener_out_of_resource(self, loop, neg_errno);
        default:
            fa_err_set_errno(neg_errno);
            return listener_report_callback(self, loop);
    }
}

static int FA_COLD
listener_log_debug(ListenerObject *self, const struct sockaddr *addr,
                   socklen_t len, int fd)
{
    PyObject *peer = addr_to_python(addr, len);
    if (peer == NULL) {
        PyErr_Clear();
        peer = Py_NewRef(Py_None);
    }
    PyObject *logger = PyObject_GetAttr(self->st->mod_log,
                                        self->st->str_logger);
    PyObject *res = logger == NULL
                        ? NULL
                        : PyObject_CallMethod(
                              logger, "debug", "sOOi",
                              "%r got a new connection from %r: fd %r",
                              self->server, peer, fd);
    Py_DECREF(peer);
    Py_XDECREF(logger);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* One accepted fd becomes a connection. 0 or -1 (an exit). */
static int
listener_take(ListenerObject *self, LoopObject *loop, int fd,
              const struct sockaddr_storage *addr, socklen_t len)
{
    const struct sockaddr *raw = (const struct sockaddr *)addr;
    if (loop->debug && listener_log_debug(self, raw, len, fd) < 0) {
        PyErr_Clear();
    }
    if (self->family == AF_INET || self->family == AF_INET6) {
        sock_set_nodelay(fd);
    }
    if (self->sslcontext != Py_None) {
        int rc = listener_connect_tls(self, loop, fd, raw, len);
        return rc < 0 ? listener_report_callback(self, loop) : 0;
    }
    return listener_connect(self, loop, fd, addr, len);
}

/* fa_run: somebody waits at the door. */
static int
listener_ready(LoopObject *loop, PyObject *op, PyObject *Py_UNUSED(arg))
{
    ListenerObject *self = (ListenerObject *)op;
    int rc = 0;
    for (int i = 0; i < self->batch && rc >= 0; i++) {
        // the server may have been closed by what we called: look again
        if (loop->closed || loop_io_watcher(loop, self->fd, FA_IN) != op) {
            break;
        }
        struct sockaddr_storage addr;
        socklen_t len = sizeof(addr);
        int fd = sock_accept(self->fd, (struct sockaddr *)&addr, &len);
        if (fd >= 0) {
            rc = listener_take(self, loop, fd, &addr, len);
            continue;
        }
        rc = listener_failed(self, loop, fd);
        if (rc == 0) {
            break;
        }
    }
    Py_DECREF(op);
    return rc < 0 ? -1 : 0;
}

/* -- the door for the face ---------------------------------------------------------------------- */

/* start_serving(loop, factory, sock, sslcontext, server, backlog,
   ssl_handshake_timeout, ssl_shutdown_timeout, context): the body of
   loop._start_serving. */
static PyObject *
net_start_serving(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    fa_state *st = fa_state_of_module(module);
    if (nargs != 9) {
        PyErr_Format(PyExc_TypeError,
                     "start_serving() takes exactly 9 arguments (%zd given)",
                     nargs);
        return NULL;
    }
    if (!loop_check(st, args[0])) {
        PyErr_Format(PyExc_TypeError, "loop must be a fastasync loop, not %R",
                     args[0]);
        return NULL;
    }
    LoopObject *loop = (LoopObject *)args[0];
    if (loop_check_closed(loop) < 0) {
        return NULL;
    }
    if (server_is_closed(st, args[4])) {
        Py_RETURN_NONE; // while accepting was paused for want of descriptors
    }
    ListenerObject *listener = listener_new(st, args + 1);
    if (listener == NULL) {
        return NULL;
    }
    int rc = loop_io_start(loop, listener->fd, FA_IN, listener_ready,
                           (PyObject *)listener);
    Py_DECREF(listener);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef net_functions[] = {
    {"start_serving", (PyCFunction)(void (*)(void))net_start_serving,
     METH_FASTCALL,
     "start_serving($module, loop, protocol_factory, sock, sslcontext, server,\n"
     "              backlog, ssl_handshake_timeout, ssl_shutdown_timeout,\n"
     "              context, /)\n--\n\n"
     "Accept connections on a listening socket: the body of asyncio's\n"
     "loop._start_serving. Timeouts in seconds, or None."},
    {NULL, NULL, 0, NULL},
};

int
accept_functions_init(PyObject *module)
{
    return PyModule_AddFunctions(module, net_functions);
}
