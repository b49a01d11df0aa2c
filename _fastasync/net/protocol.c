/* net/protocol.c: the only place that calls a protocol.

   Called by life.c, sockread.c and writebuf.c. Every method but connection_made
   is looked up on the protocol when it is called, as asyncio does (a test or a tool may replace
   it at any time; the type's method cache makes that 10 ns and no bound method
   is made), and runs in the transport's one context. What it raises is dealt
   with here, method by method as in asyncio's selector_events; only
   SystemExit and KeyboardInterrupt come out.

   After any of these calls the transport may be closed, lost, paused or under
   another protocol. HOT: protocol_data, once per message. */
#include "net/transport.h"

#include "base/errors.h"

/* -- contexts ------------------------------------------------------------------- */

PyObject *
context_enter(PyObject *context)
{
    if (FA_LIKELY(PyContext_Enter(context) == 0)) {
        return Py_NewRef(context);
    }
    // an outer run of this loop is inside it (nested runs, greenlets)
    PyErr_Clear();
    PyObject *copy = PyContext_Copy(context);
    if (copy != NULL && PyContext_Enter(copy) < 0) {
        Py_CLEAR(copy);
    }
    return copy;
}

void
context_leave(PyObject *entered)
{
    PyObject *error = fa_err_take();
    if (PyContext_Exit(entered) < 0) {
        fa_err_unraisable(entered);
    }
    fa_err_restore(error);
    Py_DECREF(entered);
}

/* -- one call --------------------------------------------------------------------- */

/* protocol.<name>([arg]): new reference or NULL. */
static inline PyObject *
protocol_call_entered(TransportObject *self, PyObject *name, PyObject *arg)
{
    // it may be replaced, and go, while its method runs
    PyObject *stack[2] = {Py_NewRef(self->protocol), arg};
    size_t n = arg == NULL ? 1 : 2;
    PyObject *res = PyObject_VectorcallMethod(name, stack, n, NULL);
    Py_DECREF(stack[0]);
    return res;
}

/* The same in the transport's context. */
static PyObject *
protocol_call(TransportObject *self, PyObject *name, PyObject *arg)
{
    PyObject *entered = context_enter(self->context);
    if (entered == NULL) {
        return NULL;
    }
    PyObject *res = protocol_call_entered(self, name, arg);
    if (FA_UNLIKELY(res == NULL)) {
        context_leave(entered);
        return NULL;
    }
    if (FA_UNLIKELY(PyContext_Exit(entered) < 0)) {
        fa_err_unraisable(entered);
    }
    Py_DECREF(entered);
    return res;
}

/* -- the methods ------------------------------------------------------------------ */

int
protocol_made(TransportObject *self, PyObject *method)
{
    PyObject *entered = context_enter(self->context);
    if (entered == NULL) {
        return transport_report_callback(self, method, (PyObject *)self);
    }
    PyObject *res = PyObject_CallOneArg(method, (PyObject *)self);
    context_leave(entered);
    if (res != NULL) {
        Py_DECREF(res);
        return 0;
    }
    return transport_report_callback(self, method, (PyObject *)self);
}

int FA_HOT
protocol_data(TransportObject *self, PyObject *data)
{
    PyObject *res = protocol_call(self, self->st->str_data_received, data);
    if (FA_LIKELY(res != NULL)) {
        Py_DECREF(res);
        return 0;
    }
    if (self->wire->data_failed != NULL) {
        return self->wire->data_failed(self);
    }
    return transport_fatal_raised(
        self, "Fatal error: protocol.data_received() call failed.");
}

int
protocol_eof(TransportObject *self)
{
    PyObject *res = protocol_call(self, self->st->str_eof_received, NULL);
    if (res == NULL) {
        return transport_fatal_raised(
            self, "Fatal error: protocol.eof_received() call failed.");
    }
    int keep_open = PyObject_IsTrue(res);
    Py_DECREF(res);
    if (keep_open < 0) {
        return transport_fatal_raised(
            self, "Fatal error: protocol.eof_received() call failed.");
    }
    if (keep_open) {
        // the protocol may go on writing; there is nothing more to read
        transport_stop_reading(self);
        return 0;
    }
    return transport_close(self);
}

/* What get_buffer() returned, as a view. 1, 0 or -1 as protocol_buffer. */
static int FA_COLD
protocol_buffer_slow(TransportObject *self, Py_buffer *view, PyObject *owner)
{
    PyErr_Clear(); // not writable: recv_into will say so, if it is not empty
    view->obj = NULL;
    Py_ssize_t len = PyObject_Size(owner);
    if (len > 0) {
        return 1;
    }
    if (len == 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "get_buffer() returned an empty buffer");
    }
    return transport_fatal_raised(
        self, "Fatal error: protocol.get_buffer() call failed.");
}

int
protocol_buffer(TransportObject *self, Py_buffer *view, PyObject **owner)
{
    PyObject *hint = PyLong_FromLong(-1);
    PyObject *res = hint == NULL
                        ? NULL
                        : protocol_call_entered(
                              self, self->st->str_get_buffer, hint);
    Py_XDECREF(hint);
    if (res == NULL) {
        return transport_fatal_raised(
            self, "Fatal error: protocol.get_buffer() call failed.");
    }
    int rc = 1;
    if (PyObject_GetBuffer(res, view, PyBUF_WRITABLE) < 0) {
        rc = protocol_buffer_slow(self, view, res);
    }
    else if (view->len == 0) {
        PyBuffer_Release(view);
        rc = protocol_buffer_slow(self, view, res);
    }
    if (rc <= 0) {
        Py_DECREF(res);
        return rc;
    }
    *owner = res;
    return 1;
}

int
protocol_updated(TransportObject *self, Py_ssize_t nbytes)
{
    PyObject *count = PyLong_FromSsize_t(nbytes);
    PyObject *res = count == NULL
                        ? NULL
                        : protocol_call_entered(
                              self, self->st->str_buffer_updated, count);
    Py_XDECREF(count);
    if (FA_LIKELY(res != NULL)) {
        Py_DECREF(res);
        return 0;
    }
    return transport_fatal_raised(
        self, "Fatal error: protocol.buffer_updated() call failed.");
}

/* Flow control: not fatal, and called where asyncio calls it, which may be in
   the middle of somebody's write(). */
static int
protocol_flow(TransportObject *self, PyObject *name, const char *message)
{
    PyObject *protocol = Py_NewRef(self->protocol);
    PyObject *res = PyObject_CallMethodNoArgs(protocol, name);
    Py_DECREF(protocol);
    if (res != NULL) {
        Py_DECREF(res);
        return 0;
    }
    if (fa_err_is_exit()) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    int rc = transport_report(self, message, exc);
    Py_DECREF(exc);
    return rc;
}

int
protocol_pause(TransportObject *self)
{
    // asyncio: in the context of whoever writes
    return protocol_flow(self, self->st->str_pause_writing,
                         "protocol.pause_writing() failed");
}

int
protocol_resume(TransportObject *self)
{
    PyObject *entered = context_enter(self->context);
    if (entered == NULL) {
        return -1;
    }
    int rc = protocol_flow(self, self->st->str_resume_writing,
                           "protocol.resume_writing() failed");
    context_leave(entered);
    return rc;
}

int FA_HOT
protocol_datagram(TransportObject *self, PyObject *data, PyObject *addr)
{
    // it may be replaced, and go, while its method runs
    PyObject *stack[3] = {Py_NewRef(self->protocol), data, addr};
    PyObject *res = PyObject_VectorcallMethod(
        self->st->str_datagram_received, stack, 3, NULL);
    Py_DECREF(stack[0]);
    if (FA_LIKELY(res != NULL)) {
        Py_DECREF(res);
        return 0;
    }
    return transport_report_method(self, (PyObject *)self, "_read_ready",
                                   NULL);
}

int
protocol_error(TransportObject *self, PyObject *exc)
{
    PyObject *res = protocol_call(self, self->st->str_error_received, exc);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

int
protocol_lost(TransportObject *self, PyObject *exc)
{
    PyObject *res = protocol_call(self, self->st->str_connection_lost,
                                  exc == NULL ? Py_None : exc);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}
