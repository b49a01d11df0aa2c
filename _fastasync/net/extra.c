/* net/extra.c: the Python socket of a transport, its addresses, and
   get_extra_info.

   A connection that nobody asks about costs nothing here: an accepted fd stays
   a number until somebody wants a socket object, addresses stay raw bytes
   until somebody wants a tuple. What has been asked for is kept in the dict
   `extra`, which is the one that asyncio calls `_extra`. The peer's address is
   taken when the connection is made and the own one at the latest before the
   fd is closed, so both can be asked for ever after.

   Invariant: exactly one of transport (owns_fd) and `sock` closes the fd. */
#include "net/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "base/errors.h"

/* -- addresses --------------------------------------------------------------------- */

static PyObject *
addr_unix(const struct sockaddr_un *addr, socklen_t len)
{
    size_t path = len - offsetof(struct sockaddr_un, sun_path);
    if (path > 0 && addr->sun_path[0] == 0) { // Linux: an abstract name
        return PyBytes_FromStringAndSize(addr->sun_path, (Py_ssize_t)path);
    }
    return PyUnicode_DecodeFSDefaultAndSize(
        addr->sun_path, (Py_ssize_t)strnlen(addr->sun_path, path));
}

PyObject *
addr_to_python(const struct sockaddr *addr, socklen_t len)
{
    char host[INET6_ADDRSTRLEN];
    if (len == 0) {
        Py_RETURN_NONE;
    }
    if (addr->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        return Py_BuildValue("(si)", host, ntohs(in->sin_port));
    }
    if (addr->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)addr;
        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
        return Py_BuildValue("(siII)", host, ntohs(in->sin6_port),
                             ntohl(in->sin6_flowinfo), in->sin6_scope_id);
    }
    if (addr->sa_family == AF_UNIX &&
        len >= offsetof(struct sockaddr_un, sun_path))
    {
        return addr_unix((const struct sockaddr_un *)addr, len);
    }
    return NULL;
}

/* The dict, made now if need be (borrowed). */
static PyObject *
extra_dict(TransportObject *self)
{
    if (self->extra == NULL) {
        self->extra = PyDict_New();
    }
    return self->extra;
}

/* extra[name] = value (taken over, may be NULL). 0 or -1. */
static int
extra_put(TransportObject *self, PyObject *name, PyObject *value)
{
    PyObject *dict = value == NULL ? NULL : extra_dict(self);
    int rc = dict == NULL ? -1 : PyDict_SetItem(dict, name, value);
    Py_XDECREF(value);
    return rc;
}

/* 1 if the dict has the name, 0 if not, -1 on error. */
static int
extra_has(TransportObject *self, PyObject *name)
{
    return self->extra == NULL ? 0 : PyDict_Contains(self->extra, name);
}

/* sock.<method>(), None if that is an OSError (new). */
static PyObject *
extra_ask_socket(TransportObject *self, const char *method)
{
    PyObject *sock = transport_sock(self);
    if (sock == NULL) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    Py_INCREF(sock);
    PyObject *res = PyObject_CallMethod(sock, method, NULL);
    Py_DECREF(sock);
    if (res == NULL && PyErr_ExceptionMatches(PyExc_OSError)) {
        PyErr_Clear();
        res = Py_NewRef(Py_None);
    }
    return res;
}

/* Keep an address that the kernel gave: raw in *slot, or, if it is too long
   or exotic for that, as a Python object. 0 or -1. */
static int
extra_keep(TransportObject *self, fa_addr *slot, PyObject *name,
           const struct sockaddr_storage *addr, socklen_t len,
           const char *method)
{
    int family = addr->ss_family;
    int known = family == AF_INET || family == AF_INET6 || family == AF_UNIX;
    if (known && len > 0 && len <= sizeof(slot->bytes)) {
        memcpy(slot->bytes, addr, len);
        slot->len = (uint8_t)len;
        return 0;
    }
    PyObject *value = addr_to_python((const struct sockaddr *)addr, len);
    if (value == NULL && !PyErr_Occurred()) {
        value = extra_ask_socket(self, method);
    }
    return extra_put(self, name, value);
}

void
transport_keep_name(TransportObject *self)
{
    int fd = transport_fd(self);
    if (fd < 0 || self->name.len > 0 || self->wire->pipe ||
        extra_has(self, self->st->str_sockname) != 0)
    {
        PyErr_Clear();
        return;
    }
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    PyObject *error = fa_err_take();
    if (sock_name(fd, (struct sockaddr *)&addr, &len) == 0 &&
        extra_keep(self, &self->name, self->st->str_sockname, &addr, len,
                   "getsockname") < 0)
    {
        PyErr_Clear(); // it will be None
    }
    fa_err_restore(error);
}

int
transport_keep_peer(TransportObject *self, const struct sockaddr_storage *addr,
                    socklen_t len)
{
    return extra_keep(self, &self->peer, self->st->str_peername, addr, len,
                      "getpeername");
}

/* The peer's address of a socket that came as a Python object; also the place
   where we learn its family. 0 or -1. */
static int
extra_keep_peer(TransportObject *self)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    int rc = sock_peer(self->fd, (struct sockaddr *)&addr, &len);
    if (rc == 0 && (addr.ss_family == AF_INET || addr.ss_family == AF_INET6)) {
        sock_set_nodelay(self->fd); // refused by what is not TCP
    }
    int has = extra_has(self, self->st->str_peername);
    if (has != 0) {
        return has < 0 ? -1 : 0;
    }
    if (rc < 0) {
        return extra_put(self, self->st->str_peername, Py_NewRef(Py_None));
    }
    return transport_keep_peer(self, &addr, len);
}

/* -- the Python socket --------------------------------------------------------------- */

/* A socket object and a raw file keep their fd in the first field after the
   object head, in every version; that is checked against fileno() before it is
   believed. One that was closed behind our back reads -1 there. */
const int *
transport_find_cell(TransportObject *self, PyObject *file)
{
    if (PyObject_TypeCheck(file, (PyTypeObject *)self->st->socket_type) ||
        PyObject_TypeCheck(file, (PyTypeObject *)self->st->FileIO_type))
    {
        const int *cell = (const int *)((char *)file + sizeof(PyObject));
        if (*cell == self->fd) {
            return cell;
        }
    }
    return &self->fd;
}

int
transport_adopt(TransportObject *self, PyObject *sock)
{
    PyObject *number = PyObject_CallMethodNoArgs(sock, self->st->str_fileno);
    if (number == NULL) {
        return -1;
    }
    long fd = PyLong_AsLong(number);
    Py_DECREF(number);
    if (fd == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (fd < 0 || fd > INT_MAX) {
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %ld", fd);
        return -1;
    }
    self->fd = (int)fd;
    self->sock = Py_NewRef(sock);
    self->fd_cell = transport_find_cell(self, sock);
    self->alive = 1;
    return extra_keep_peer(self);
}

PyObject *
python_socket_new(fa_state *st, int family, int type, int proto, int fd)
{
    PyObject *cls = PyObject_GetAttr(st->mod_socket, st->str_socket);
    if (cls == NULL) {
        return NULL;
    }
    PyObject *sock =
        fd >= 0
            ? PyObject_CallFunction(cls, "iiii", family, type, proto, fd)
            : PyObject_CallFunction(cls, "iii", family, type, proto);
    Py_DECREF(cls);
    return sock;
}

int
python_socket_unblock(PyObject *sock)
{
    PyObject *res = PyObject_CallMethod(sock, "setblocking", "i", 0);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

PyObject *
transport_sock(TransportObject *self)
{
    if (self->sock != NULL || !self->owns_fd) {
        return self->alive ? self->sock : NULL;
    }
    PyObject *sock = python_socket_new(self->st, self->family, self->type,
                                       self->proto, self->fd);
    if (sock == NULL) {
        return NULL;
    }
    if (!self->owns_fd) { // somebody did the same, or closed us, meanwhile
        PyObject *number = PyObject_CallMethod(sock, "detach", NULL);
        Py_XDECREF(number);
        Py_DECREF(sock);
        return number == NULL || !self->alive ? NULL : self->sock;
    }
    self->owns_fd = 0;
    self->sock = sock;
    self->fd_cell = transport_find_cell(self, sock);
    return python_socket_unblock(sock) < 0 ? NULL : self->sock;
}

/* A socket object for a connection that was closed before anybody asked. */
static PyObject *
extra_closed_socket(TransportObject *self)
{
    if (self->family == 0) {
        Py_RETURN_NONE; // there never was one
    }
    PyObject *sock = python_socket_new(self->st, self->family, self->type,
                                       self->proto, -1);
    PyObject *res = sock == NULL ? NULL
                                 : PyObject_CallMethodNoArgs(
                                       sock, self->st->str_close);
    if (res == NULL) {
        Py_CLEAR(sock);
    }
    Py_XDECREF(res);
    return sock;
}

/* -- get_extra_info ------------------------------------------------------------------- */

static int
extra_fill_socket(TransportObject *self)
{
    PyObject *sock = transport_sock(self);
    if (sock == NULL && PyErr_Occurred()) {
        return -1;
    }
    sock = self->sock != NULL ? Py_NewRef(self->sock) // may be closed by now
                              : extra_closed_socket(self);
    if (sock == NULL || sock == Py_None) {
        return extra_put(self, self->st->str_socket, sock);
    }
    PyObject *wrapped = PyObject_CallOneArg(self->st->TransportSocket, sock);
    Py_DECREF(sock);
    return extra_put(self, self->st->str_socket, wrapped);
}

static int
extra_fill_addr(TransportObject *self, PyObject *name, const fa_addr *raw)
{
    struct sockaddr_storage addr;
    if (raw->len == 0) {
        return extra_put(self, name, Py_NewRef(Py_None));
    }
    memcpy(&addr, raw->bytes, raw->len);
    return extra_put(self, name,
                     addr_to_python((struct sockaddr *)&addr, raw->len));
}

/* Put what `name` stands for into the dict, if it is one of the three that
   every transport has and it is not there. 0 or -1. */
static int
extra_fill(TransportObject *self, PyObject *name)
{
    fa_state *st = self->st;
    if (!PyUnicode_Check(name) || extra_has(self, name) != 0) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (PyUnicode_Compare(name, st->str_peername) == 0) {
        return extra_fill_addr(self, st->str_peername, &self->peer);
    }
    if (PyUnicode_Compare(name, st->str_sockname) == 0) {
        transport_keep_name(self);
        return extra_has(self, st->str_sockname) == 1
                   ? 0
                   : extra_fill_addr(self, st->str_sockname, &self->name);
    }
    if (PyUnicode_Compare(name, st->str_socket) == 0) {
        return extra_fill_socket(self);
    }
    return 0;
}

PyObject *
transport_extra_info(TransportObject *self, PyObject *name, PyObject *fallback)
{
    // whoever gets the socket may look at what has been sent
    if (PyUnicode_Check(name) &&
        PyUnicode_Compare(name, self->st->str_socket) == 0 &&
        transport_flush(self) < 0)
    {
        return NULL;
    }
    if (extra_fill(self, name) < 0 || extra_dict(self) == NULL) {
        return NULL;
    }
    PyObject *value = PyDict_GetItemWithError(self->extra, name);
    if (value == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return Py_NewRef(value == NULL ? fallback : value);
}

PyObject *
transport_extra(TransportObject *self)
{
    if (extra_fill(self, self->st->str_socket) < 0 ||
        extra_fill(self, self->st->str_sockname) < 0 ||
        extra_fill(self, self->st->str_peername) < 0)
    {
        return NULL;
    }
    return Py_XNewRef(extra_dict(self));
}
