/* net/sockcell.c: is a Python socket what we think it is; and its _io_refs.

   What is believed is tried out once per interpreter, at the first sock_*()
   call, with a socket made for it: the number, the family, the type, a timeout,
   and the -1 after close(). If anything differs, sockcell_check says no for
   ever, and asyncio's own code does the work.

   `_io_refs` and `_closed` are slots of the Python class socket.socket: close()
   closes at once if nothing counts as a file made from the socket, else when the
   last such thing goes. A waiting sock_*() counts as one. */
#include "net/sockcell.h"

#include <sys/socket.h>

#include "base/errors.h"
#include "net/connect.h"

enum { LAYOUT_UNKNOWN, LAYOUT_KNOWN, LAYOUT_STRANGE };

/* The offset of a slot of the class, 0 = there is none. */
static Py_ssize_t
sockcell_slot(fa_state *st, const char *name)
{
    PyTypeObject *cls = (PyTypeObject *)st->socket_class;
    PyObject *descr = PyObject_GetAttrString((PyObject *)cls, name);
    Py_ssize_t offset = 0;
    if (descr == NULL) {
        PyErr_Clear();
        return 0;
    }
    if (Py_IS_TYPE(descr, &PyMemberDescr_Type) && PyDescr_TYPE(descr) == cls) {
        offset = ((PyMemberDescrObject *)descr)->d_member->offset;
    }
    Py_DECREF(descr);
    return offset;
}

/* What the socket itself says of its fd; -2 on error. */
static long
sockcell_fileno(fa_state *st, PyObject *sock)
{
    PyObject *number = PyObject_CallMethodNoArgs(sock, st->str_fileno);
    long fd = number == NULL ? -2 : PyLong_AsLong(number);
    Py_XDECREF(number);
    return fd;
}

/* 1 = as expected, 0 = not, -1 = could not be found out, with an exception. */
static int
sockcell_try(fa_state *st, PyObject *sock)
{
    const fa_sockcell *cell = sockcell(sock);
    long fd = sockcell_fileno(st, sock);
    int same = fd >= 0 && cell->fd == fd && cell->family == AF_UNIX &&
               cell->type == SOCK_STREAM && cell->proto == 0;
    PyObject *done = PyObject_CallMethod(sock, "settimeout", "i", 7);
    same = same && cell->timeout == 7 * FA_NS_PER_SEC;
    Py_XDECREF(done);
    if (done != NULL) {
        done = PyObject_CallMethod(sock, "setblocking", "i", 0);
        same = same && cell->timeout == 0;
        Py_XDECREF(done);
    }
    if (done != NULL) {
        done = PyObject_CallMethodNoArgs(sock, st->str_close);
        same = same && cell->fd == -1;
        Py_XDECREF(done);
    }
    return done == NULL ? -1 : same;
}

static void FA_COLD
sockcell_probe(fa_state *st)
{
    PyTypeObject *cls = (PyTypeObject *)st->socket_class;
    if (!PyType_Check(cls) || cls->tp_dictoffset != 0 ||
        (size_t)cls->tp_base->tp_basicsize < sizeof(fa_sockcell))
    {
        st->sock_layout = LAYOUT_STRANGE;
        return;
    }
    st->sock_refs = sockcell_slot(st, "_io_refs");
    st->sock_closed = sockcell_slot(st, "_closed");
    PyObject *sock = PyObject_CallFunction(st->socket_class, "ii", AF_UNIX,
                                           SOCK_STREAM);
    int known = sock == NULL ? -1 : sockcell_try(st, sock);
    Py_XDECREF(sock);
    if (known < 0) {
        PyErr_Clear(); // no file descriptors left: the next one will tell
        return;
    }
    known = known && st->sock_refs > 0 && st->sock_closed > 0;
    st->sock_layout = known ? LAYOUT_KNOWN : LAYOUT_STRANGE;
}

/* Are the methods of socket.socket still those of _socket.socket? */
static int FA_COLD
sockcell_plain_slow(fa_state *st)
{
    static const char *const names[] = {
        "recv", "recv_into", "recvfrom", "recvfrom_into", "send", "sendto",
        "fileno", "gettimeout", "getsockopt", "connect",
    };
    st->sock_plain = plain_methods(st, names, FA_ARRAY_LEN(names));
    st->sock_version = fa_type_version((PyTypeObject *)st->socket_class);
    return st->sock_plain;
}

int
sockcell_check(fa_state *st, PyObject *sock)
{
    if (FA_UNLIKELY((PyObject *)Py_TYPE(sock) != st->socket_class)) {
        return 0;
    }
    if (FA_UNLIKELY(st->sock_layout != LAYOUT_KNOWN)) {
        if (st->sock_layout == LAYOUT_UNKNOWN) {
            sockcell_probe(st);
        }
        if (st->sock_layout != LAYOUT_KNOWN) {
            return 0;
        }
    }
    unsigned int version = fa_type_version(Py_TYPE(sock));
    return FA_LIKELY(version != 0 && version == st->sock_version)
               ? st->sock_plain
               : sockcell_plain_slow(st);
}

/* -- _io_refs ----------------------------------------------------------------------- */

static inline PyObject **
sockcell_field(PyObject *sock, Py_ssize_t offset)
{
    return (PyObject **)((char *)sock + offset);
}

/* _io_refs += by. The new value, or -1. */
static long
sockcell_count(fa_state *st, PyObject *sock, int by)
{
    PyObject **refs = sockcell_field(sock, st->sock_refs);
    long count = *refs == NULL ? 0 : PyLong_AsLong(*refs);
    if (count == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (count + by < 0) {
        return 0;
    }
    PyObject *number = PyLong_FromLong(count + by);
    if (number == NULL) {
        return -1;
    }
    Py_XSETREF(*refs, number);
    return count + by;
}

int
sockcell_hold(fa_state *st, PyObject *sock)
{
    return sockcell_count(st, sock, 1) < 0 ? -1 : 0;
}

static void FA_COLD
sockcell_close(fa_state *st, PyObject *sock)
{
    PyObject *raised = fa_err_take();
    PyObject *done = PyObject_CallMethodNoArgs(sock, st->str_close);
    if (done == NULL) {
        fa_err_unraisable(sock);
    }
    Py_XDECREF(done);
    fa_err_restore(raised);
}

void
sockcell_drop(fa_state *st, PyObject *sock)
{
    PyObject *raised = PyErr_Occurred() ? fa_err_take() : NULL;
    if (sockcell_count(st, sock, -1) < 0) {
        fa_err_unraisable(sock);
    }
    if (raised != NULL) {
        fa_err_restore(raised);
    }
    PyObject *closed = *sockcell_field(sock, st->sock_closed);
    if (FA_UNLIKELY(closed != Py_False && closed != NULL)) {
        sockcell_close(st, sock);
    }
}
