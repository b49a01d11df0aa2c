/* net/tls_write.c: from write() to ciphertext, and flow control.

   What a running entry writes is held (pieces by reference) until it returns
   to the loop; then it becomes as few records as possible, and these leave by
   one send. It leaves at once where somebody could tell: when it is much, near
   a water mark, when the loop does not run, when anyone looks at sizes, closes,
   or the transport below is paused.

   asyncio encrypts all that is written, whether it can be sent or not. Here,
   while the transport below takes no more, plaintext stays where it is once
   FA_TLS_SEND bytes of ciphertext wait; both count for flow control, and a
   shutdown encrypts the rest. HOT: tls_write, tls_do_write. */
#include "net/tls.h"

#include <string.h>

#include "base/errors.h"

/* So much ciphertext leaves at a time: fits into a spare buffer. */
#define FA_TLS_SEND ((Py_ssize_t)128 * 1024)

/* -- flow control ------------------------------------------------------------ */

Py_ssize_t
tls_write_size(TlsObject *self)
{
    Py_ssize_t n = tls_outgoing(self);
    return n < 0 ? -1 : n + (Py_ssize_t)self->out.size;
}

/* app.pause_writing() or app.resume_writing(). 0, or -1 for an exit. */
static int
tls_tell_app(TlsObject *self, PyObject *name, const char *message)
{
    if (self->app == NULL) {
        return 0;
    }
    PyObject *app = Py_NewRef(self->app);
    PyObject *entered = NULL, *res = NULL;
    if (!self->uncorking || (entered = context_enter(self->context)) != NULL) {
        res = PyObject_CallMethodNoArgs(app, name);
    }
    if (entered != NULL) {
        context_leave(entered);
    }
    Py_DECREF(app);
    if (res != NULL) {
        Py_DECREF(res);
        return 0;
    }
    if (fa_err_is_exit()) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    int rc = tls_report(self, message, exc, self->app_transport);
    Py_DECREF(exc);
    return rc;
}

int FA_HOT
tls_control_app_writing(TlsObject *self)
{
    Py_ssize_t size = tls_write_size(self);
    if (FA_UNLIKELY(size < 0)) {
        return -1;
    }
    if (FA_UNLIKELY((size_t)size >= self->out_high && !self->app_paused)) {
        self->app_paused = 1;
        return tls_tell_app(self, self->st->str_pause_writing,
                            "protocol.pause_writing() failed");
    }
    if (FA_UNLIKELY(self->app_paused && (size_t)size <= self->out_low)) {
        self->app_paused = 0;
        return tls_tell_app(self, self->st->str_resume_writing,
                            "protocol.resume_writing() failed");
    }
    return 0;
}

int FA_HOT
tls_process_outgoing(TlsObject *self)
{
    if (!self->ssl_paused && tls_lower_send(self) < 0) {
        return -1;
    }
    return tls_control_app_writing(self);
}

/* -- sending -------------------------------------------------------------------- */

/* The connection below is lost: nothing more goes there, so that one write()
   is one write that comes too late (and counted), as in asyncio. */
static void
tls_drop_if_lost(TlsObject *self)
{
    TransportObject *lower = tls_lower(self);
    if (FA_UNLIKELY(lower != NULL && lower->conn_lost)) {
        writebuf_clear(&self->out);
    }
}

/* Give OpenSSL what `out` holds. `open`: the transport below took more when this
   began, so it gets all of it, as by the one write() that asyncio makes. 0 or
   -1. */
static int
tls_encrypt_all(TlsObject *self, int open, int all)
{
    while (self->out.size > 0) {
        Py_ssize_t waiting = tls_outgoing(self);
        if (FA_UNLIKELY(waiting >= FA_TLS_SEND)) {
            if (open) {
                if (tls_lower_send(self) < 0) {
                    return -1;
                }
                tls_drop_if_lost(self);
                continue; // somebody may have dropped the rest
            }
            if (!all) {
                return 0;
            }
        }
        tls_result res = waiting < 0 ? TLS_FAILED : tls_encrypt(self);
        if (FA_UNLIKELY(res != TLS_SOME)) {
            return res == TLS_FAILED ? -1 : 0;
        }
    }
    return 0;
}

int FA_HOT
tls_do_write(TlsObject *self, int all)
{
    int open = !self->ssl_paused;
    if (tls_encrypt_all(self, open, all) < 0 ||
        (open && tls_lower_send(self) < 0))
    {
        return -1;
    }
    return tls_control_app_writing(self);
}

/* The same for write(): what goes wrong ends the connection. 0 or -1. */
static int
tls_write_now(TlsObject *self)
{
    if (self->state != TLS_WRAPPED) {
        return 0;
    }
    int rc = tls_do_write(self, 0);
    if (FA_UNLIKELY(rc < 0)) {
        rc = tls_failed(self);
    }
    tls_rest(self);
    return rc;
}

int
tls_look(TlsObject *self)
{
    return self->corked && self->out.size > 0 ? tls_write_now(self) : 0;
}

void
tls_flush_quietly(PyObject *protocol)
{
    TlsObject *self = (TlsObject *)protocol;
    if (!self->corked || self->out.size == 0 || self->uncorking ||
        self->state != TLS_WRAPPED)
    {
        return;
    }
    PyObject *error = fa_err_take();
    self->uncorking = 1;
    if (tls_do_write(self, 1) < 0) {
        PyErr_Clear();
    }
    self->uncorking = 0;
    fa_err_restore(error);
}

int
tls_settle(TlsObject *self)
{
    if (self->out.size == 0 || self->state != TLS_WRAPPED) {
        return 0;
    }
    int rc = tls_do_write(self, 1);
    return FA_LIKELY(rc == 0) ? 0 : tls_failed(self);
}

/* fa_run: the entry that wrote has returned to the loop. */
static int
tls_uncork(LoopObject *loop, PyObject *op, PyObject *Py_UNUSED(arg))
{
    TlsObject *self = (TlsObject *)op;
    self->corked = 0;
    int rc = 0;
    if (FA_LIKELY(self->out.size > 0)) {
        self->uncorking = 1;
        rc = tls_write_now(self);
        self->uncorking = 0;
    }
    if (FA_UNLIKELY(rc < 0) && !fa_err_is_exit()) {
        // no caller is left who could be told
        PyObject *exc = fa_err_take();
        PyObject *text = PyUnicode_FromString("Fatal error on SSL protocol");
        rc = text == NULL ? -1
                          : loop_report(self->st, (PyObject *)loop, text, exc,
                                        NULL);
        Py_XDECREF(text);
        Py_DECREF(exc);
    }
    Py_DECREF(op);
    return rc;
}

/* HOT. May bytes wait for the end of the running entry? */
static inline int
tls_may_hold(TlsObject *self)
{
    LoopObject *loop = (LoopObject *)self->loop;
    return self->ours && loop->running && !loop->asleep &&
           loop->tstate == PyThreadState_Get() &&
           self->out.size < FA_CORK_MAX && self->out.size < self->out_high &&
           !self->ssl_paused && !self->app_paused;
}

/* Pieces have been appended. 0 or -1. */
static inline int
tls_written(TlsObject *self)
{
    if (FA_UNLIKELY(self->state != TLS_WRAPPED)) {
        return 0; // the handshake is not done
    }
    if (FA_LIKELY(tls_may_hold(self))) {
        if (self->corked) {
            return 0;
        }
        self->corked = 1;
        return loop_cork((LoopObject *)self->loop, tls_uncork,
                         Py_NewRef((PyObject *)self));
    }
    return tls_write_now(self);
}

int
tls_ssl_resumed(TlsObject *self)
{
    self->ssl_paused = 0;
    int rc = self->out.size > 0 && self->state == TLS_WRAPPED
                 ? tls_do_write(self, 0)
                 : tls_process_outgoing(self);
    tls_rest(self);
    return rc;
}

/* -- write() ------------------------------------------------------------------------ */

/* May be written to? 1; 0 = the data is dropped; -1. */
static int
tls_may_write(TlsObject *self)
{
    if (FA_LIKELY(self->state == TLS_WRAPPED ||
                  self->state == TLS_DO_HANDSHAKE))
    {
        return 1;
    }
    PyObject *limit = PyObject_GetAttrString(
        self->st->mod_constants, "LOG_THRESHOLD_FOR_CONNLOST_WRITES");
    long threshold = limit == NULL ? -1 : PyLong_AsLong(limit);
    Py_XDECREF(limit);
    if (threshold == -1 && PyErr_Occurred()) {
        return -1;
    }
    int rc = self->conn_lost < threshold
                 ? 0
                 : tls_log(self, "warning",
                           Py_BuildValue("(s)", "SSL connection is closed"));
    self->conn_lost++;
    return rc;
}

int
tls_push(TlsObject *self, PyObject *data)
{
    if (FA_LIKELY(PyBytes_CheckExact(data))) {
        size_t len = (size_t)PyBytes_GET_SIZE(data);
        return len == 0 ? 0
                        : writebuf_push(&self->out, PyBytes_AS_STRING(data),
                                        len, Py_NewRef(data));
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    int rc = 0;
    if (view.len > 0) {
        PyObject *owner = PyBytes_FromStringAndSize(view.buf, view.len);
        rc = owner == NULL ? -1
                           : writebuf_push(&self->out,
                                           PyBytes_AS_STRING(owner),
                                           (size_t)view.len, owner);
    }
    PyBuffer_Release(&view);
    return rc;
}

static FA_COLD int
tls_write_slow(TlsObject *self, PyObject *data)
{
    if (!PyBytes_Check(data) && !PyByteArray_Check(data) &&
        !PyMemoryView_Check(data))
    {
        PyObject *name = PyType_GetName(Py_TYPE(data));
        if (name != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "data: expecting a bytes-like instance, got %U", name);
            Py_DECREF(name);
        }
        return -1;
    }
    int full = PyObject_IsTrue(data);
    int rc = full <= 0 ? full : tls_may_write(self);
    if (rc <= 0) {
        return rc;
    }
    if (tls_push(self, data) < 0) {
        return tls_failed(self);
    }
    return self->out.size == 0 ? 0 : tls_written(self);
}

int FA_HOT
tls_write(TlsObject *self, PyObject *data)
{
    if (FA_UNLIKELY(!PyBytes_CheckExact(data) || self->state != TLS_WRAPPED)) {
        return tls_write_slow(self, data);
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
    return tls_written(self);
}

int
tls_writelines(TlsObject *self, PyObject *list)
{
    int rc = tls_may_write(self);
    if (rc <= 0) {
        return rc;
    }
    PyObject *items = PySequence_List(list); // ours: nobody can change it
    if (items == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        // len() of what has none is the caller's error; what has one but is no
        // buffer is an error of the connection, as in asyncio
        if (!PyBytes_CheckExact(item) && PyObject_Size(item) < 0) {
            rc = -1;
            break;
        }
        if (tls_push(self, item) < 0) {
            rc = self->state == TLS_WRAPPED ? tls_failed(self) : -1;
            break;
        }
    }
    Py_DECREF(items);
    if (rc < 0 || self->out.size == 0) {
        return rc < 0 ? -1 : 0;
    }
    return tls_written(self);
}
