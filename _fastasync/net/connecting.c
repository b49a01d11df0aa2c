/* net/connecting.c: what a coroutine that connects knows, and one attempt.

   The steps are in connect.c; here one address is tried: socket, connect, and if
   that takes time FA_OUT is watched and a future told, as asyncio's sock_connect
   does it. No Python socket is made.

   Invariant: the fd belongs to this object from socket(2) until a transport or
   a Python socket has taken it, and then the number here is -1; nothing is
   watched while there is no fd.
   Cost to the loopback: socket, connect, connect. A connection within the
   machine is there when connect returns, although it answers EINPROGRESS; asked
   once more it says so, and nothing need be watched. The coroutine is still told
   in the next iteration and after the poll, as in asyncio: the other side may be
   in the same loop, and comes first.
   Benchmark: connect_close. */
#include "net/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/errors.h"

/* -- the fd ------------------------------------------------------------------------------ */

static void
connecting_unwatch(ConnectingObject *self)
{
    self->waits = 0;
    if (!self->watching) {
        return;
    }
    self->watching = 0;
    // the number may be another's by now if somebody has closed ours
    if (loop_io_watcher(self->loop, self->fd, FA_OUT) == (PyObject *)self) {
        loop_io_stop(self->loop, self->fd, FA_OUT);
    }
}

/* Nothing is watched, the fd is closed. Keeps the raised exception. */
static void
connecting_close(ConnectingObject *self)
{
    PyObject *error = fa_err_take();
    connecting_unwatch(self);
    int fd = self->fd;
    self->fd = -1;
    os_close(fd);
    fa_err_restore(error);
}

/* -- new, traverse, clear, dealloc --------------------------------------------------- */

ConnectingObject *
connecting_new(LoopObject *loop, PyObject *const *args, int unix_path)
{
    PyTypeObject *type = loop->st->ConnectingType;
    ConnectingObject *self = (ConnectingObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->st = loop->st;
    self->loop = (LoopObject *)Py_NewRef((PyObject *)loop);
    self->fd = -1;
    self->unix_path = (uint8_t)unix_path;
    for (int i = 0; i < CONN_ARGS; i++) {
        self->args[i] = Py_XNewRef(args[i]);
    }
    return self;
}

static int
Connecting_traverse(ConnectingObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)self->loop);
    for (int i = 0; i < CONN_ARGS; i++) {
        Py_VISIT(self->args[i]);
    }
    Py_VISIT(self->infos);
    Py_VISIT(self->local);
    Py_VISIT(self->exceptions);
    Py_VISIT(self->failed);
    Py_VISIT(self->address);
    Py_VISIT(self->waiter);
    Py_VISIT(self->transport);
    Py_VISIT(self->protocol);
    Py_VISIT(self->race);
    return 0;
}

static int
Connecting_clear(ConnectingObject *self)
{
    connecting_drop(self);
    for (int i = 0; i < CONN_ARGS; i++) {
        Py_CLEAR(self->args[i]);
    }
    Py_CLEAR(self->infos);
    Py_CLEAR(self->local);
    Py_CLEAR(self->exceptions);
    Py_CLEAR(self->failed);
    Py_CLEAR(self->address);
    Py_CLEAR(self->waiter);
    Py_CLEAR(self->transport);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->race);
    return 0;
}

static void
Connecting_dealloc(ConnectingObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->fd >= 0) {
        connecting_close(self); // connecting_drop would hold this object
    }
    Connecting_clear(self);
    Py_CLEAR(self->loop); // last: giving up needs it
    type->tp_free(self);
    Py_DECREF(type);
}

/* -- one attempt ----------------------------------------------------------------------- */

void
connecting_drop(ConnectingObject *self)
{
    if (self->fd >= 0) {
        Py_INCREF(self); // the watcher's reference may be the last
        connecting_close(self);
        Py_DECREF(self);
    }
}

/* The address as asyncio shows it (new). */
static PyObject *
connecting_address(ConnectingObject *self)
{
    if (self->unix_path) {
        return Py_NewRef(self->address);
    }
    PyObject *host = self->args[CONN_HOST], *port = self->args[CONN_PORT];
    if (self->address != NULL) { // of a tuple that was checked: addr.c
        host = PyTuple_GET_ITEM(self->address, 0);
        port = PyTuple_GET_ITEM(self->address, 1);
    }
    if (self->family == AF_INET) {
        return PyTuple_Pack(2, host, port);
    }
    const struct sockaddr_in6 *in6 =
        (const struct sockaddr_in6 *)&self->addr.raw;
    return Py_BuildValue("(OOII)", host, port, ntohl(in6->sin6_flowinfo),
                         in6->sin6_scope_id);
}

/* OSError(errno, f'Connect call failed {address}') (new). */
static PyObject *
connecting_call_failed(ConnectingObject *self, int neg_errno)
{
    PyObject *address = connecting_address(self);
    PyObject *text = address == NULL
                         ? NULL
                         : PyUnicode_FromFormat("Connect call failed %S",
                                                address);
    Py_XDECREF(address);
    return text == NULL
               ? NULL
               : PyObject_CallFunction(PyExc_OSError, "iN", -neg_errno, text);
}

/* Failed at once: `exc` (taken over, may be NULL: an exception is set). */
static fa_connect
connecting_failed(ConnectingObject *self, PyObject *exc)
{
    connecting_drop(self);
    if (exc == NULL) {
        return CONNECT_ERROR;
    }
    Py_XSETREF(self->failed, exc);
    return CONNECT_FAILED;
}

/* It is connected (0), or has failed (-errno): tell whom it concerns. 0 or -1. */
static int
connecting_tell(ConnectingObject *self, int error)
{
    fa_connect how = CONNECT_DONE;
    if (error < 0) {
        Py_XSETREF(self->failed, connecting_call_failed(self, error));
        how = self->failed == NULL ? CONNECT_ERROR : CONNECT_FAILED;
    }
    if (self->race != NULL) {
        return race_hear(self, how);
    }
    if (how == CONNECT_ERROR) {
        return -1;
    }
    PyObject *waiter = Py_NewRef(self->waiter);
    int rc = fa_set_result_unless_cancelled(self->st, waiter, Py_None);
    Py_DECREF(waiter);
    return rc;
}

/* fa_run: it is connected, or has failed. */
static int
connecting_ready(LoopObject *Py_UNUSED(loop), PyObject *op,
                 PyObject *Py_UNUSED(arg))
{
    ConnectingObject *self = (ConnectingObject *)op;
    int rc = 0;
    if (self->waits) { // not given up meanwhile
        int error = self->watching ? sock_error(self->fd) : self->known;
        connecting_unwatch(self);
        rc = connecting_tell(self, error);
    }
    Py_DECREF(op);
    return rc;
}

/* Have the race or the future self->waiter told when the fd is writable, or, if it is
   known already how it went, in the next iteration. */
static fa_connect
connecting_wait(ConnectingObject *self, int is_known, int known)
{
    LoopObject *loop = self->loop;
    PyObject *op = (PyObject *)self;
    if (self->race == NULL) {
        PyObject *waiter = fa_create_future(self->st, (PyObject *)loop);
        if (waiter == NULL) {
            return connecting_failed(self, NULL);
        }
        Py_XSETREF(self->waiter, waiter);
    }
    self->known = known;
    if (is_known) {
        if (loop_push(loop, connecting_ready, Py_NewRef(op), NULL) < 0) {
            return connecting_failed(self, NULL);
        }
        loop_poll_next(loop);
    }
    else if (loop_io_start(loop, self->fd, FA_OUT, connecting_ready, op) < 0) {
        return connecting_failed(self,
                                 PyErr_ExceptionMatches(PyExc_OSError)
                                     ? fa_err_take()
                                     : NULL);
    }
    self->watching = !is_known;
    self->waits = 1;
    return CONNECT_WAITS;
}

static int
connecting_is_loopback(const fa_sockaddr *addr)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->raw;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->raw;
    if (addr->raw.ss_family == AF_INET) {
        return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return addr->raw.ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static int
connecting_is_pending(int rc)
{
    return rc == -EINPROGRESS || rc == -EALREADY || rc == -EAGAIN ||
           rc == -EINTR;
}

fa_connect
connecting_start(ConnectingObject *self)
{
    const struct sockaddr *addr = (const struct sockaddr *)&self->addr.raw;
    Py_CLEAR(self->failed);
    int fd = sock_open(self->family, SOCK_STREAM, self->proto);
    if (fd < 0) {
        return connecting_failed(self, fa_err_new_errno(fd));
    }
    self->fd = fd;
    int rc = sock_connect(fd, addr, self->addr.len);
    if (rc == 0) {
        loop_poll_next(self->loop);
        return CONNECT_DONE;
    }
    if (!connecting_is_pending(rc)) {
        return connecting_failed(self, fa_err_new_errno(rc));
    }
    if (connecting_is_loopback(&self->addr)) {
        rc = sock_connect(fd, addr, self->addr.len);
        rc = rc == -EISCONN ? 0 : rc;
    }
    return connecting_wait(self, !connecting_is_pending(rc), rc);
}

fa_connect
connecting_told(ConnectingObject *self)
{
    connecting_unwatch(self);
    Py_CLEAR(self->waiter);
    if (self->failed != NULL) {
        connecting_drop(self);
        return CONNECT_FAILED;
    }
    return CONNECT_DONE;
}

/* -- what becomes of the fd -------------------------------------------------------------- */

PyObject *
connecting_python_socket(ConnectingObject *self)
{
    PyObject *sock = python_socket_new(self->st, self->family, SOCK_STREAM,
                                       self->proto, self->fd);
    if (sock == NULL) {
        connecting_drop(self);
        return NULL;
    }
    self->fd = -1; // it is the object's now
    if (python_socket_unblock(sock) < 0) {
        Py_CLEAR(sock);
    }
    return sock;
}

/* Whom we are connected to: where we wanted to, unless the kernel may call
   that otherwise. */
static void
connecting_peer(const ConnectingObject *self, fa_sockaddr *peer)
{
    const struct sockaddr_in *in =
        (const struct sockaddr_in *)&self->addr.raw;
    const struct sockaddr_in6 *in6 =
        (const struct sockaddr_in6 *)&self->addr.raw;
    if ((self->family == AF_INET && in->sin_addr.s_addr != INADDR_ANY) ||
        (self->family == AF_INET6 && in6->sin6_flowinfo == 0 &&
         in6->sin6_scope_id == 0 && !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr)))
    {
        *peer = self->addr;
        return;
    }
    peer->len = sizeof(peer->raw);
    if (sock_peer(self->fd, (struct sockaddr *)&peer->raw, &peer->len) < 0) {
        peer->len = 0;
    }
}

int
connecting_transport(ConnectingObject *self, PyObject *context)
{
    fa_sockaddr peer;
    connecting_peer(self, &peer);
    if (!self->unix_path) {
        sock_set_nodelay(self->fd);
    }
    self->transport = sockstream_connected(self->loop, self->fd, self->family,
                                           self->proto, &peer.raw, peer.len,
                                           self->protocol, self->waiter,
                                           context);
    if (self->transport == NULL) {
        connecting_drop(self);
        return -1;
    }
    self->fd = -1;
    return 0;
}

/* -- table -------------------------------------------------------------------------------- */

static PyType_Slot Connecting_slots[] = {
    {Py_tp_doc, (void *)"What a coroutine that connects knows."},
    {Py_tp_traverse, Connecting_traverse},
    {Py_tp_clear, Connecting_clear},
    {Py_tp_dealloc, Connecting_dealloc},
    {0, NULL},
};

static PyType_Spec Connecting_spec = {
    .name = "_fastasync.Connecting",
    .basicsize = sizeof(ConnectingObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Connecting_slots,
};

int
connecting_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &Connecting_spec, NULL, &st->ConnectingType);
}
