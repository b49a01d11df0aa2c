/* net/write.c: write() and writelines(), from any bytes-like object to pieces
   in the buffer.

   Called by the methods of the transport. The checks, their order and their
   texts are asyncio's of the running version. Exact bytes and slices of them
   are held by reference; anything else is copied, but for a large piece that
   can be sent at once: that is lent to the kernel and only the rest copied.

   Invariant: pieces are appended when no Python code can run any more, so that
   nobody sees half a writelines(). HOT: transport_write. Benchmark:
   tcp_echo_protocol. */
#include "net/transport.h"

#include "base/errors.h"

/* The object that `view`, of a memoryview, lies in, if that is exact bytes:
   immutable, so a reference will do (borrowed, or NULL). */
static PyObject *
write_immutable_base(PyObject *data)
{
    if (!PyMemoryView_Check(data)) {
        return NULL;
    }
    PyObject *base = PyMemoryView_GET_BASE(data);
    return base != NULL && PyBytes_CheckExact(base) ? base : NULL;
}

/* Append any bytes-like object; memory that may change is copied, or, with
   `lend`, lent until the flush that must follow. 0 or -1. */
static int
write_add(TransportObject *self, PyObject *data, Py_buffer *view, int lend)
{
    PyObject *owner = Py_XNewRef(write_immutable_base(data));
    if (owner == NULL && PyByteArray_CheckExact(data) &&
        fa_is_temporary(data))
    {
        owner = Py_NewRef(data); // write(buffer[:n]): ours alone from now on
    }
    const char *bytes = view->buf;
    if (owner == NULL && !lend) {
        owner = PyBytes_FromStringAndSize(view->buf, view->len);
        if (owner == NULL) {
            return -1;
        }
        bytes = PyBytes_AS_STRING(owner);
    }
    return writebuf_push(&self->out, bytes, (size_t)view->len, owner);
}

/* May write() go on? 1 = yes, 0 = the data is dropped, -1. `empty`: nothing is
   to be written. */
static int
write_check(TransportObject *self, const char *method, int empty)
{
    if (self->eof) {
        PyErr_Format(PyExc_RuntimeError, "Cannot call %s() after write_eof()",
                     method);
        return -1;
    }
    if (self->empty_waiter != NULL) {
        PyErr_Format(PyExc_RuntimeError,
                     "unable to %s; sendfile is in progress", method);
        return -1;
    }
    if (empty) {
        return 0;
    }
    if (self->conn_lost) {
        return transport_log_lost_write(self);
    }
    return 1;
}

static int FA_COLD
write_type_error(PyObject *data)
{
    PyObject *name = PyType_GetName(Py_TYPE(data));
    if (name != NULL) {
        PyErr_Format(PyExc_TypeError,
                     FA_HAS_WRITE_TYPES_TEXT
                         ? "data argument must be a bytes, bytearray, or "
                           "memoryview object, not %R"
                         : "data argument must be a bytes-like object, not %R",
                     name);
        Py_DECREF(name);
    }
    return -1;
}

/* write() of anything but plain bytes on an open transport. */
static int
transport_write_slow(TransportObject *self, PyObject *data)
{
    if (!PyBytes_Check(data) && !PyByteArray_Check(data) &&
        !PyMemoryView_Check(data))
    {
        return write_type_error(data);
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int rc = write_check(self, "write", view.len == 0);
    if (rc > 0) {
        // large and not to be held: let the kernel copy it, not us
        int lend = !self->blocked && (size_t)view.len >= FA_CORK_MAX;
        rc = write_add(self, data, &view, lend);
        if (rc == 0) {
            rc = transport_written(self);
        }
    }
    PyBuffer_Release(&view);
    return rc;
}

int FA_HOT
transport_write(TransportObject *self, PyObject *data)
{
    if (FA_UNLIKELY(!PyBytes_CheckExact(data) || self->conn_lost ||
                    self->eof || self->empty_waiter != NULL))
    {
        return transport_write_slow(self, data);
    }
    size_t len = (size_t)PyBytes_GET_SIZE(data);
    if (FA_UNLIKELY(len == 0)) {
        return 0;
    }
    if (writebuf_push(&self->out, PyBytes_AS_STRING(data), len,
                      Py_NewRef(data)) < 0)
    {
        return -1;
    }
    return transport_written(self);
}

int FA_HOT
transport_send_now(TransportObject *self, const char *data, size_t len)
{
    int rc = FA_LIKELY(!self->conn_lost && !self->eof &&
                       self->empty_waiter == NULL)
                 ? 1
                 : write_check(self, "write", 0);
    if (FA_UNLIKELY(rc <= 0)) {
        return rc;
    }
    PyObject *owner = NULL;
    if (FA_UNLIKELY(self->blocked)) { // it will not leave now
        owner = PyBytes_FromStringAndSize(data, (Py_ssize_t)len);
        if (owner == NULL) {
            return -1;
        }
        data = PyBytes_AS_STRING(owner);
    }
    if (writebuf_push(&self->out, data, len, owner) < 0 ||
        transport_flush(self) < 0)
    {
        return -1;
    }
    return transport_maybe_pause(self);
}

/* A copy as exact bytes (new); errors as asyncio's. */
static PyObject *
write_freeze(PyObject *item)
{
    PyObject *mem = PyMemoryView_FromObject(item);
    PyObject *bytes = mem == NULL ? NULL : PyBytes_FromObject(mem);
    Py_XDECREF(mem);
    return bytes;
}

/* Make every item of our list exact bytes, or a memoryview into exact bytes:
   from then on nothing runs Python code. 0 or -1. */
static int
write_freeze_lines(PyObject *items)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        if (FA_LIKELY(PyBytes_CheckExact(item)) ||
            write_immutable_base(item) != NULL)
        {
            continue;
        }
#if FA_HAS_WRITELINES_SKIP
        int full = PyObject_IsTrue(item); // whatever it is
        PyObject *bytes = full < 0    ? NULL
                          : full == 0 ? PyBytes_FromStringAndSize(NULL, 0)
                                      : write_freeze(item);
#else
        PyObject *bytes = write_freeze(item);
#endif
        if (bytes == NULL || PyList_SetItem(items, i, bytes) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Append one frozen item. 0 or -1. */
static int
write_add_line(TransportObject *self, PyObject *item)
{
    if (FA_LIKELY(PyBytes_CheckExact(item))) {
        size_t len = (size_t)PyBytes_GET_SIZE(item);
        return len == 0 ? 0
                        : writebuf_push(&self->out, PyBytes_AS_STRING(item),
                                        len, Py_NewRef(item));
    }
    Py_buffer view;
    if (PyObject_GetBuffer(item, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int rc = view.len == 0 ? 0 : write_add(self, item, &view, 0);
    PyBuffer_Release(&view);
    return rc;
}

/* All or nothing: a failure leaves nothing behind. */
static int
write_add_lines(TransportObject *self, PyObject *items)
{
    uint32_t before = self->out.tail - self->out.head;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        if (write_add_line(self, PyList_GET_ITEM(items, i)) < 0) {
            writebuf_unpush(&self->out,
                            self->out.tail - self->out.head - before);
            return -1;
        }
    }
    return 0;
}

/* A list of frozen lines (new). */
static PyObject *
write_lines(PyObject *list)
{
    PyObject *items = PySequence_List(list); // ours: nobody can change it
    if (items != NULL && write_freeze_lines(items) < 0) {
        Py_CLEAR(items);
    }
#if !FA_HAS_WRITELINES_SENDMSG
    if (items == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        // it was b"".join there, and says so
        PyErr_Clear();
        PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
        PyObject *joined =
            empty == NULL ? NULL
                          : PyObject_CallMethod(empty, "join", "O", list);
        items = joined == NULL ? NULL : PyList_New(1);
        Py_XDECREF(empty);
        if (items == NULL) {
            Py_XDECREF(joined);
            return NULL;
        }
        PyList_SET_ITEM(items, 0, joined);
    }
#endif
    return items;
}

#if FA_HAS_WRITELINES_SENDMSG
#  define WRITELINES_NAME "writelines"
#else
#  define WRITELINES_NAME "write" /* it was b''.join and write() */
#endif

int
transport_writelines(TransportObject *self, PyObject *list)
{
    // b"".join takes anything; the others ask first whether there is anything
    int full = FA_HAS_WRITELINES_SENDMSG || PyList_Check(list)
                   ? PyObject_IsTrue(list)
                   : 1;
    if (full < 0) {
        return -1;
    }
    int rc = write_check(self, WRITELINES_NAME, !full);
    if (rc <= 0) {
        return rc;
    }
    PyObject *items = write_lines(list);
    if (items == NULL) {
        return -1;
    }
    rc = self->conn_lost ? 0 : write_add_lines(self, items);
    Py_DECREF(items);
    if (rc < 0 || self->out.size == 0) {
        return rc;
    }
    return transport_written(self);
}
