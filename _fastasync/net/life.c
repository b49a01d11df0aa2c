/* net/life.c: a transport from connection_made to connection_lost.

   Called by sockstream.c (the Python methods), sockread.c and writebuf.c (end
   of file, failures). The order of what is scheduled is asyncio's, entry for
   entry: connection_made, start of reading, waiter; and connection_lost always
   in a later turn than whatever caused it, but for the close that waited for
   the last bytes to leave.

   While the loop is `direct`, entries go straight into the ring; if somebody
   has replaced call_soon, or in debug mode, through the Python method.
   Cost: three ring entries per connection to open, one to close. */
#include "net/transport.h"

#include "base/errors.h"
#include "task/task.h"

/* -- scheduling ----------------------------------------------------------------- */

int
transport_call_soon(TransportObject *self, PyObject *callback, PyObject *arg,
                    PyObject *arg2)
{
    if (callback == NULL) {
        return -1;
    }
    PyObject *kwnames = PyTuple_Pack(1, self->st->str_context);
    if (kwnames == NULL) {
        Py_DECREF(callback);
        return -1;
    }
    PyObject *loop = Py_NewRef(self->loop);
    PyObject *stack[5] = {loop, callback};
    size_t n = 2;
    if (arg != NULL) {
        stack[n++] = arg;
    }
    if (arg2 != NULL) {
        stack[n++] = arg2;
    }
    stack[n] = self->context;
    PyObject *res = PyObject_VectorcallMethod(
        self->st->str_call_soon, stack, n | PY_VECTORCALL_ARGUMENTS_OFFSET,
        kwnames);
    Py_DECREF(kwnames);
    Py_DECREF(loop);
    Py_DECREF(callback);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* fa_run: connection_made of the protocol the transport was made with. */
static int
life_run_made(LoopObject *Py_UNUSED(loop), PyObject *op, PyObject *method)
{
    TransportObject *self = (TransportObject *)op;
    int rc = self->lost ? 0 : protocol_made(self, method);
    Py_DECREF(method);
    Py_DECREF(op);
    return rc;
}

int FA_COLD
transport_never_reads(TransportObject *self)
{
    PyObject *exc = fa_err_take();
    int rc = transport_force_close(self, exc);
    if (rc < 0) {
        fa_err_chain(exc);
    }
    else {
        fa_err_restore(exc);
    }
    return -1;
}

/* fa_run: reading starts once connection_made has run. */
static int
life_run_reading(LoopObject *Py_UNUSED(loop), PyObject *op,
                 PyObject *Py_UNUSED(arg))
{
    TransportObject *self = (TransportObject *)op;
    int rc = transport_start_reading(self);
    if (FA_UNLIKELY(rc < 0)) {
        transport_never_reads(self);
        rc = transport_report_method(self, op, "_add_reader", NULL);
    }
    Py_DECREF(op);
    return rc;
}

/* fa_run: whoever waits for the connection is told last. */
static int
life_run_waiter(LoopObject *Py_UNUSED(loop), PyObject *op, PyObject *waiter)
{
    TransportObject *self = (TransportObject *)op;
    int rc = fa_set_result_unless_cancelled(self->st, waiter, Py_None);
    if (rc < 0) {
        rc = transport_report_method(self, self->st->mod_futures,
                                "_set_result_unless_cancelled", waiter);
    }
    Py_DECREF(waiter);
    Py_DECREF(op);
    return rc;
}

/* transport_begin when call_soon has to be seen. Takes over `made`. */
static int FA_COLD
life_begin_slow(TransportObject *self, PyObject *made, PyObject *waiter)
{
    if (transport_call_soon(self, made, (PyObject *)self, NULL) < 0) {
        return -1;
    }
    if (!self->deaf) {
        PyObject *reader = PyObject_GetAttrString((PyObject *)self,
                                                  "_add_reader");
        if (transport_call_soon(self, reader, NULL, NULL) < 0) {
            return -1;
        }
    }
    if (waiter == NULL) {
        return 0;
    }
    PyObject *wake = PyObject_GetAttrString(self->st->mod_futures,
                                            "_set_result_unless_cancelled");
    return transport_call_soon(self, wake, waiter, Py_None);
}

int
transport_begin(TransportObject *self, PyObject *waiter)
{
    LoopObject *loop = self->loop;
    PyObject *op = (PyObject *)self;
    PyObject *made = PyObject_GetAttr(self->protocol,
                                      self->st->str_connection_made);
    if (made == NULL) {
        return -1;
    }
    if (waiter == Py_None) {
        waiter = NULL;
    }
    if (!loop->direct) {
        return life_begin_slow(self, made, waiter);
    }
    if (loop_check_closed(loop) < 0) {
        Py_DECREF(made);
        return -1;
    }
    if (loop_push(loop, life_run_made, Py_NewRef(op), made) < 0 ||
        (!self->deaf &&
         loop_push(loop, life_run_reading, Py_NewRef(op), NULL) < 0))
    {
        return -1;
    }
    if (waiter == NULL) {
        return 0;
    }
    return loop_push(loop, life_run_waiter, Py_NewRef(op), Py_NewRef(waiter));
}

int
transport_lost_reported(TransportObject *self, PyObject *exc)
{
    LoopObject *loop = (LoopObject *)Py_XNewRef((PyObject *)self->loop);
    int rc = transport_lost(self, exc);
    if (rc < 0) {
        // the transport has let go of its loop: lend it for the report
        LoopObject *before = self->loop;
        self->loop = loop;
        rc = transport_report_method(self, (PyObject *)self,
                                "_call_connection_lost",
                                exc == NULL ? Py_None : exc);
        self->loop = before;
    }
    Py_XDECREF((PyObject *)loop);
    return rc;
}

/* fa_run: the end. */
static int
life_run_lost(LoopObject *Py_UNUSED(loop), PyObject *op, PyObject *exc)
{
    int rc = transport_lost_reported((TransportObject *)op, exc);
    Py_XDECREF(exc);
    Py_DECREF(op);
    return rc;
}

int
transport_schedule_lost(TransportObject *self, PyObject *exc)
{
    LoopObject *loop = self->loop;
    self->conn_lost++;
    if (!loop->direct) {
        PyObject *method = PyObject_GetAttrString((PyObject *)self,
                                                  "_call_connection_lost");
        return transport_call_soon(self, method,
                                   exc == NULL ? Py_None : exc, NULL);
    }
    if (loop_check_closed(loop) < 0) {
        return -1;
    }
    return loop_push(loop, life_run_lost, Py_NewRef((PyObject *)self),
                     Py_XNewRef(exc));
}

/* -- reading on and off ----------------------------------------------------------- */

/* Stop watching, but only if it is still us who is watched there: the number
   may belong to another file by now. May drop a reference to self. */
static void
life_unwatch(TransportObject *self, int dir)
{
    LoopObject *loop = self->loop;
    if (loop != NULL &&
        loop_io_watcher(loop, self->fd, dir) == (PyObject *)self)
    {
        loop_io_stop(loop, self->fd, dir);
    }
}

int
transport_start_reading(TransportObject *self)
{
    if (!transport_is_reading(self) || self->reading) {
        return 0;
    }
    int fd = transport_fd(self);
    if (fd < 0) {
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %d", fd);
        return -1;
    }
    if (loop_io_start(self->loop, fd, FA_IN, self->wire->readable,
                      (PyObject *)self) < 0)
    {
        return -1;
    }
    self->reading = 1;
    return 0;
}

void
transport_stop_reading(TransportObject *self)
{
    if (self->reading) {
        self->reading = 0;
        life_unwatch(self, FA_IN);
    }
}

void
transport_drop_output(TransportObject *self)
{
    if (self->wire->drop != NULL) {
        self->wire->drop(self);
    }
    writebuf_clear(&self->out);
    if (self->blocked) {
        self->blocked = 0;
        life_unwatch(self, FA_OUT);
    }
}

int
transport_set_protocol(TransportObject *self, PyObject *protocol)
{
    int buffered = PyObject_IsInstance(protocol, self->st->BufferedProtocol);
    if (buffered < 0) {
        return -1;
    }
    self->buffered = (unsigned)buffered & 1;
    self->streamed = Py_IS_TYPE(protocol, self->st->StreamReaderProtocolType);
    self->secured = Py_IS_TYPE(protocol, self->st->SSLProtocolType);
    Py_XSETREF(self->protocol, Py_NewRef(protocol));
    return 0;
}

/* -- the end ------------------------------------------------------------------------ */

int
transport_close(TransportObject *self)
{
    if (self->closing) {
        return 0;
    }
    if (FA_UNLIKELY(self->secured)) {
        tls_flush_quietly(self->protocol);
    }
    int rc = transport_flush(self); // may fail, and so have closed us
    if (self->closing) {
        return rc;
    }
    self->closing = 1;
    transport_stop_reading(self);
    PyObject *error = rc < 0 ? fa_err_take() : NULL;
    if (self->out.size == 0) {
        rc = transport_schedule_lost(self, NULL);
    }
    if (error != NULL) {
        if (rc < 0 && PyErr_Occurred()) {
            fa_err_chain(error);
            return -1;
        }
        fa_err_restore(error);
        return -1;
    }
    return rc;
}

int
transport_force_close(TransportObject *self, PyObject *exc)
{
    if (self->conn_lost || self->loop == NULL) {
        return 0;
    }
    // what was written before has left, had it not been held
    if (FA_UNLIKELY(self->secured)) {
        tls_flush_quietly(self->protocol);
        if (self->conn_lost || self->loop == NULL) {
            return 0;
        }
    }
    transport_flush_quietly(self);
    transport_drop_output(self);
    if (!self->closing) {
        self->closing = 1;
        transport_stop_reading(self);
    }
    return transport_schedule_lost(self, exc);
}

/* Everything has left that close() or write_eof() waited for. */
int
transport_output_done(TransportObject *self)
{
    if (self->conn_lost || self->out.size > 0) {
        return 0; // closed, or written to, by now
    }
    if (self->empty_waiter != NULL) {
        PyObject *waiter = Py_NewRef(self->empty_waiter);
        int rc = fa_set_result_unless_cancelled(self->st, waiter, Py_None);
        Py_DECREF(waiter);
        if (rc < 0) {
            return -1;
        }
    }
    if (self->closing) {
        return transport_schedule_lost(self, NULL);
    }
    return self->eof ? transport_shutdown(self) : 0;
}

int
transport_shutdown(TransportObject *self)
{
    int rc = sock_shutdown(transport_fd(self), SHUT_WR);
    if (rc < 0) {
        fa_err_set_errno(rc);
        return -1;
    }
    return 0;
}

int
transport_close_fd(TransportObject *self)
{
    static const int no_fd = -1;
    PyObject *sock = Py_XNewRef(self->sock);
    self->fd_cell = &no_fd; // before Python code runs
    self->alive = 0;
    int rc = 0;
    if (self->owns_fd) {
        self->owns_fd = 0;
        rc = os_close(self->fd);
        if (FA_UNLIKELY(rc < 0)) {
            fa_err_set_errno(rc);
        }
    }
    if (sock != NULL) {
        PyObject *res = PyObject_CallMethodNoArgs(sock, self->st->str_close);
        rc = res == NULL ? -1 : 0;
        Py_XDECREF(res);
        Py_DECREF(sock);
    }
    return rc < 0 ? -1 : 0;
}

void
transport_close_fd_quietly(TransportObject *self)
{
    PyObject *error = fa_err_take();
    if (transport_close_fd(self) < 0) {
        fa_err_unraisable((PyObject *)self);
    }
    fa_err_restore(error);
}

int
transport_fail_empty_waiter(TransportObject *self, PyObject *exc)
{
    if (self->empty_waiter == NULL) {
        return 0;
    }
    PyObject *waiter = Py_NewRef(self->empty_waiter);
    PyObject *done = PyObject_CallMethodNoArgs(waiter, self->st->str_done);
    int rc = done == NULL ? -1 : PyObject_IsTrue(done);
    Py_XDECREF(done);
    if (rc == 0) {
        PyObject *error = exc != NULL ? Py_NewRef(exc)
                                      : PyObject_CallFunction(
                                            PyExc_ConnectionError, "s",
                                            "Connection is closed by peer");
        PyObject *res =
            error == NULL
                ? NULL
                : PyObject_CallMethodOneArg(
                      waiter, self->st->str_set_exception, error);
        rc = res == NULL ? -1 : 0;
        Py_XDECREF(error);
        Py_XDECREF(res);
    }
    Py_DECREF(waiter);
    return rc < 0 ? -1 : 0;
}

int
transport_lost(TransportObject *self, PyObject *exc)
{
    if (self->lost) {
        return 0;
    }
    self->lost = 1;
    self->conn_lost += self->conn_lost == 0; // closed after the last bytes
    int rc = self->protocol == NULL ? 0 : protocol_lost(self, exc);
    PyObject *error = rc < 0 ? fa_err_take() : NULL;

    self->closing = 1;
    transport_stop_reading(self);
    transport_drop_output(self);
    transport_keep_name(self);
    LoopObject *loop = self->loop;
    if (loop != NULL) {
        loop_io_release(loop, self->fd, (PyObject *)self);
    }
    if (transport_close_fd(self) < 0 && error == NULL) {
        error = fa_err_take();
    }
    PyErr_Clear();
    Py_CLEAR(self->protocol);
    self->loop = NULL;
    if (server_detach(self) < 0 && error == NULL) {
        error = fa_err_take();
    }
    if (transport_fail_empty_waiter(self, NULL) < 0 && error == NULL) {
        error = fa_err_take();
    }
    Py_XDECREF(loop);
    if (error == NULL) {
        return 0;
    }
    PyErr_Clear();
    fa_err_restore(error);
    return -1;
}
