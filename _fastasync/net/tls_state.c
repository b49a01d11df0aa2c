/* net/tls_state.c: handshake, shutdown, and the end of a TLS connection.

   asyncio's sslproto, method by method, in its order; all of it is cold. The
   handshake and unwrap() are the SSLObject's own, whichever way data goes:
   they act on the same SSL object and raise Python's exceptions. */
#include "net/tls.h"

#include "base/errors.h"
#include "task/coro.h"

/* -- small steps ------------------------------------------------------------ */

/* asyncio's _set_state for a transition that is allowed only from one state. 0,
   or -1 with its RuntimeError. */
static int
tls_switch(TlsObject *self, tls_state from, tls_state to)
{
    if (FA_LIKELY(self->state == from)) {
        self->state = (uint8_t)to;
        return 0;
    }
    static const char *const names[] = {"UNWRAPPED", "DO_HANDSHAKE", "WRAPPED",
                                        "FLUSHING", "SHUTDOWN"};
    PyErr_Format(PyExc_RuntimeError,
                 "cannot switch state from SSLProtocolState.%s to "
                 "SSLProtocolState.%s", names[self->state], names[to]);
    return -1;
}

/* sslobj.<name>(): 1 done, 0 more must come first, -1 with an exception. */
static int
tls_step(TlsObject *self, const char *name)
{
    PyObject *sslobj = Py_NewRef(self->sslobj);
    PyObject *res = PyObject_CallMethod(sslobj, name, NULL);
    Py_DECREF(sslobj);
    if (res == NULL) {
        return tls_is_again(self) ? 0 : -1;
    }
    Py_DECREF(res);
    return 1;
}

/* Is the raised exception an ssl.SSLError (<name> = another one)? */
static int
tls_raised(TlsObject *self, const char *name)
{
    PyObject *exc = fa_err_take();
    PyObject *cls = PyObject_GetAttrString(self->st->mod_ssl, name);
    int is = cls != NULL && PyErr_GivenExceptionMatches(exc, cls);
    PyErr_Clear();
    Py_XDECREF(cls);
    fa_err_restore(exc);
    return is;
}

static int
tls_cancel_timer(TlsObject *self, PyObject **slot)
{
    PyObject *timer = *slot;
    if (timer == NULL) {
        return 0;
    }
    *slot = NULL;
    int rc = fa_handle_cancel(self->st, timer);
    Py_DECREF(timer);
    return rc;
}

/* *slot = loop.call_later(delay, self.<method>). 0 or -1. */
static int
tls_start_timer(TlsObject *self, PyObject **slot, PyObject *delay,
                const char *method)
{
    PyObject *bound = tls_bound(self, method);
    PyObject *timer = bound == NULL
                          ? NULL
                          : PyObject_CallMethodObjArgs(
                                self->loop, self->st->str_call_later, delay,
                                bound, NULL);
    Py_XDECREF(bound);
    Py_XSETREF(*slot, timer);
    return timer == NULL ? -1 : 0;
}

int
tls_wakeup_waiter(TlsObject *self, PyObject *exc)
{
    PyObject *waiter = self->waiter;
    if (waiter == NULL) {
        return 0;
    }
    self->waiter = NULL;
    fa_state *st = self->st;
    int rc = fa_future_cancelled(st, waiter);
    if (rc == 0) {
        rc = exc != NULL ? fa_future_set_exception(st, waiter, exc)
                         : fa_future_set_result(st, waiter, Py_None);
    }
    Py_DECREF(waiter);
    return rc < 0 ? -1 : 0;
}

/* -- handshake ---------------------------------------------------------------- */

/* extra.update(peercert=..., cipher=..., ...). Takes over peercert. */
static int
tls_fill_extra(TlsObject *self, PyObject *peercert)
{
    PyObject *sslobj = Py_NewRef(self->sslobj);
    PyObject *cipher = PyObject_CallMethod(sslobj, "cipher", NULL);
    PyObject *compression =
        cipher == NULL ? NULL
                       : PyObject_CallMethod(sslobj, "compression", NULL);
    int rc = compression == NULL ||
                     PyDict_SetItemString(self->extra, "peercert", peercert) <
                         0 ||
                     PyDict_SetItemString(self->extra, "cipher", cipher) < 0 ||
                     PyDict_SetItemString(self->extra, "compression",
                                          compression) < 0 ||
                     PyDict_SetItemString(self->extra, "ssl_object", sslobj) <
                         0
                 ? -1
                 : 0;
    Py_DECREF(sslobj);
    Py_XDECREF(cipher);
    Py_XDECREF(compression);
    Py_DECREF(peercert);
    return rc;
}

/* The handshake has failed; the exception is raised. 0, or -1. */
static int
tls_handshake_failed(TlsObject *self)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    const char *message =
        tls_raised(self, "CertificateError")
            ? "SSL handshake failed on verifying the certificate"
            : "SSL handshake failed";
    PyObject *exc = fa_err_take();
    self->state = TLS_UNWRAPPED;
    int rc = tls_fatal(self, exc, message);
    if (rc == 0) {
        rc = tls_wakeup_waiter(self, exc);
    }
    Py_DECREF(exc);
    return rc;
}

/* logger.debug("%r: SSL handshake took %.1f ms", self, dt * 1e3) */
static int
tls_log_handshake(TlsObject *self)
{
    int debug = fa_loop_debug(self->st, self->loop);
    if (debug <= 0) {
        return debug;
    }
    if (self->handshake_start == NULL) {
        return 0; // debug mode was switched on in between
    }
    PyObject *now = PyObject_CallMethod(self->loop, "time", NULL);
    PyObject *dt = now == NULL ? NULL
                               : PyNumber_Subtract(now, self->handshake_start);
    Py_XDECREF(now);
    double seconds = dt == NULL ? -1.0 : PyFloat_AsDouble(dt);
    Py_XDECREF(dt);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    return tls_log(self, "debug",
                   Py_BuildValue("(sOd)", "%r: SSL handshake took %.1f ms",
                                 self, seconds * 1e3));
}

/* app.connection_made(app_transport), unless start_tls has done without. */
static int
tls_made(TlsObject *self)
{
    if (self->app_state != TLS_APP_INIT || self->app == NULL) {
        return 0;
    }
    self->app_state = TLS_APP_MADE;
    PyObject *app = Py_NewRef(self->app);
    PyObject *transport = Py_XNewRef(self->app_transport);
    PyObject *res = PyObject_CallMethodOneArg(
        app, self->st->str_connection_made,
        transport == NULL ? Py_None : transport);
    Py_DECREF(app);
    Py_XDECREF(transport);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* The handshake is over; a raised exception says that it failed. */
static int
tls_handshake_complete(TlsObject *self)
{
    PyObject *error = fa_err_take();
    if (tls_cancel_timer(self, &self->handshake_timer) < 0) {
        Py_XDECREF(error);
        return -1;
    }
    if (error != NULL) {
        fa_err_restore(error);
        return tls_handshake_failed(self);
    }
    PyObject *peercert = NULL;
    if (tls_switch(self, TLS_DO_HANDSHAKE, TLS_WRAPPED) == 0) {
        PyObject *sslobj = Py_NewRef(self->sslobj);
        peercert = PyObject_CallMethod(sslobj, "getpeercert", NULL);
        Py_DECREF(sslobj);
    }
    if (peercert == NULL) {
        return tls_handshake_failed(self);
    }
    if (tls_log_handshake(self) < 0) {
        Py_DECREF(peercert);
        return -1;
    }
    if (tls_fill_extra(self, peercert) < 0 || tls_made(self) < 0 ||
        tls_wakeup_waiter(self, NULL) < 0)
    {
        return -1;
    }
    return tls_do_read(self);
}

int
tls_do_handshake(TlsObject *self)
{
    int rc = tls_step(self, "do_handshake");
    if (rc == 0) {
        return tls_process_outgoing(self);
    }
    if (rc < 0 && !tls_raised(self, "SSLError")) {
        return -1;
    }
    return tls_handshake_complete(self);
}

/* The context in which the application's methods run. */
static int
tls_adopt_context(TlsObject *self)
{
    TransportObject *lower = tls_lower(self);
    PyObject *context = lower != NULL && lower->context != NULL
                            ? Py_NewRef(lower->context)
                            : PyContext_CopyCurrent();
    Py_XSETREF(self->context, context);
    return context == NULL ? -1 : 0;
}

int
tls_connection_made(TlsObject *self, PyObject *transport)
{
    Py_XSETREF(self->transport, Py_NewRef(transport));
    int debug = fa_loop_debug(self->st, self->loop);
    if (debug < 0 || tls_adopt_context(self) < 0) {
        return -1;
    }
    Py_CLEAR(self->handshake_start);
    if (debug) {
        if (tls_log_debug(self, "%r starts SSL handshake") < 0) {
            return -1;
        }
        self->handshake_start = PyObject_CallMethod(self->loop, "time", NULL);
        if (self->handshake_start == NULL) {
            return -1;
        }
    }
    if (tls_switch(self, TLS_UNWRAPPED, TLS_DO_HANDSHAKE) < 0 ||
        tls_start_timer(self, &self->handshake_timer, self->handshake_timeout,
                        "_check_handshake_timeout") < 0)
    {
        return -1;
    }
    return tls_do_handshake(self);
}

int
tls_handshake_timed_out(TlsObject *self)
{
    if (self->state != TLS_DO_HANDSHAKE) {
        return 0;
    }
    PyObject *text = PyUnicode_FromFormat(
        "SSL handshake is taking longer than %S seconds: aborting the "
        "connection", self->handshake_timeout);
    PyObject *exc = text == NULL ? NULL
                                 : PyObject_CallOneArg(
                                       PyExc_ConnectionAbortedError, text);
    Py_XDECREF(text);
    if (exc == NULL) {
        return -1;
    }
    int rc = tls_fatal(self, exc, "Fatal error on transport");
    Py_DECREF(exc);
    return rc;
}

/* -- shutdown --------------------------------------------------------------------- */

int
tls_start_shutdown(TlsObject *self)
{
    if (self->state != TLS_DO_HANDSHAKE && self->state != TLS_WRAPPED) {
        return 0;
    }
    if (self->app_transport != NULL) {
        ((TlsTransportObject *)self->app_transport)->closed = 1;
    }
    if (self->state == TLS_DO_HANDSHAKE) {
        return tls_abort(self, NULL);
    }
    if (tls_settle(self) < 0) {
        return -1;
    }
    if (self->state != TLS_WRAPPED) {
        return 0; // a failed write has ended it
    }
    self->state = TLS_FLUSHING;
    if (tls_start_timer(self, &self->shutdown_timer, self->shutdown_timeout,
                        "_check_shutdown_timeout") < 0)
    {
        return -1;
    }
    return tls_do_flush(self);
}

int
tls_shutdown_timed_out(TlsObject *self)
{
    if (self->state != TLS_FLUSHING && self->state != TLS_SHUTDOWN) {
        return 0;
    }
    PyObject *exc = PyObject_CallFunction(PyExc_TimeoutError, "s",
                                          "SSL shutdown timed out");
    if (exc == NULL) {
        return -1;
    }
    int rc = tls_lower_force_close(self, exc);
    Py_DECREF(exc);
    return rc;
}

int
tls_do_flush(TlsObject *self)
{
    if (tls_do_read(self) < 0) {
        return -1;
    }
    return tls_switch(self, TLS_FLUSHING, TLS_SHUTDOWN) < 0
               ? -1
               : tls_do_shutdown(self);
}

/* loop.call_soon(transport.close) */
static int
tls_close_soon(TlsObject *self)
{
    if (self->transport == NULL) {
        return 0;
    }
    PyObject *close = PyObject_GetAttr(self->transport, self->st->str_close);
    int rc = close == NULL ? -1
                           : fa_call_soon(self->st, self->loop, close, NULL,
                                          NULL);
    Py_XDECREF(close);
    return rc;
}

/* It is over; a raised exception says that it failed. */
static int
tls_shutdown_complete(TlsObject *self)
{
    PyObject *error = fa_err_take();
    int rc = tls_cancel_timer(self, &self->shutdown_timer);
    if (rc == 0) {
        rc = error == NULL ? tls_close_soon(self)
                           : tls_fatal(self, error,
                                       "Fatal error on transport");
    }
    Py_XDECREF(error);
    return rc;
}

int
tls_do_shutdown(TlsObject *self)
{
    int rc = self->eof ? 1 : tls_step(self, "unwrap");
    if (rc == 0) {
        return tls_process_outgoing(self);
    }
    if (rc < 0) {
        return tls_raised(self, "SSLError") ? tls_shutdown_complete(self) : -1;
    }
    if (tls_process_outgoing(self) < 0 || tls_call_eof_received(self) < 0) {
        return -1;
    }
    return tls_shutdown_complete(self);
}

int
tls_abort(TlsObject *self, PyObject *exc)
{
    // what was written before has been sent, had it not been held
    tls_flush_quietly((PyObject *)self);
    self->state = TLS_UNWRAPPED;
    if (self->transport == NULL) {
        return 0;
    }
    if (self->st->tls_aborts_with) {
        return tls_lower_force_close(self, exc);
    }
    PyObject *lower = Py_NewRef(self->transport);
    PyObject *res = PyObject_CallMethodNoArgs(lower, self->st->str_abort);
    Py_DECREF(lower);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* -- end of file --------------------------------------------------------------------- */

/* app.eof_received(): 0 or -1 with what it raised. */
static int
tls_tell_eof(TlsObject *self)
{
    PyObject *app = Py_NewRef(self->app);
    PyObject *keep = PyObject_CallMethodNoArgs(app,
                                               self->st->str_eof_received);
    Py_DECREF(app);
    int kept = keep == NULL ? -1 : PyObject_IsTrue(keep);
    Py_XDECREF(keep);
    if (kept <= 0) {
        return kept;
    }
    return tls_log(self, "warning",
                   Py_BuildValue("(s)", "returning true from eof_received() "
                                        "has no effect when using ssl"));
}

int
tls_call_eof_received(TlsObject *self)
{
    if (self->app_state != TLS_APP_MADE || self->app == NULL) {
        return 0;
    }
    self->app_state = TLS_APP_EOF;
    if (tls_tell_eof(self) == 0) {
        return 0;
    }
    if (fa_err_is_exit()) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    int rc = tls_fatal(self, exc, "Error calling eof_received()");
    Py_DECREF(exc);
    return rc;
}

/* What eof_received does in each state: 1 = keep the transport open, 0, -1. */
static int
tls_eof_step(TlsObject *self)
{
    int debug = fa_loop_debug(self->st, self->loop);
    if (debug < 0 || (debug && tls_log_debug(self, "%r received EOF") < 0)) {
        return -1;
    }
    switch (self->state) {
    case TLS_DO_HANDSHAKE:
        PyErr_SetNone(PyExc_ConnectionResetError);
        return tls_handshake_complete(self);
    case TLS_WRAPPED:
        if (tls_settle(self) < 0) {
            return -1;
        }
        if (self->state != TLS_WRAPPED) {
            return 0;
        }
        self->state = TLS_FLUSHING;
        return self->app_reading_paused ? 1 : tls_do_flush(self);
    case TLS_FLUSHING:
        if (tls_do_write(self, 1) < 0 ||
            tls_switch(self, TLS_FLUSHING, TLS_SHUTDOWN) < 0)
        {
            return -1;
        }
        return tls_do_shutdown(self);
    case TLS_SHUTDOWN:
        return tls_do_shutdown(self);
    default:
        return 0;
    }
}

PyObject *
tls_eof_received(TlsObject *self)
{
    self->eof = 1;
    int rc = tls_eof_step(self);
    if (rc >= 0) {
        return rc > 0 ? Py_NewRef(Py_True) : Py_NewRef(Py_None);
    }
    if (PyErr_ExceptionMatches(PyExc_Exception)) {
        PyObject *error = fa_err_take();
        if (tls_lower_close(self) < 0) {
            fa_err_chain(error);
        }
        else {
            fa_err_restore(error);
        }
    }
    return NULL;
}

/* -- the end --------------------------------------------------------------------------- */

/* loop.call_soon(app.connection_lost, exc), in the connection's context. */
static int
tls_lost_soon(TlsObject *self, PyObject *exc)
{
    PyObject *method = PyObject_GetAttr(self->app,
                                        self->st->str_connection_lost);
    if (method == NULL) {
        return -1;
    }
    int direct = self->ours && ((LoopObject *)self->loop)->direct;
    int rc = fa_call_soon(self->st, self->loop, method, exc,
                          direct ? self->context : NULL);
    Py_DECREF(method);
    return rc;
}

/* What must happen whatever went wrong before. */
static int
tls_forget_all(TlsObject *self, PyObject *exc)
{
    self->state = TLS_UNWRAPPED;
    Py_CLEAR(self->transport);
    Py_CLEAR(self->app_transport);
    Py_CLEAR(self->app);
    Py_CLEAR(self->app_get_buffer);
    Py_CLEAR(self->app_updated);
    self->streamed = self->buffered = 0;
    int rc = tls_wakeup_waiter(self, exc == Py_None ? NULL : exc);
    PyObject *error = fa_err_take();
    if (tls_cancel_timer(self, &self->shutdown_timer) < 0) {
        rc = -1;
    }
    if (tls_cancel_timer(self, &self->handshake_timer) < 0) {
        rc = -1;
    }
    if (error != NULL) {
        PyErr_Clear();
        fa_err_restore(error);
    }
    return rc;
}

int
tls_connection_lost(TlsObject *self, PyObject *exc)
{
    writebuf_clear(&self->out);
    PyObject *dropped = tls_take_outgoing(self);
    if (dropped == NULL) {
        return -1;
    }
    Py_DECREF(dropped);
    self->conn_lost++;
    if (self->app_transport != NULL) {
        ((TlsTransportObject *)self->app_transport)->closed = 1;
    }
    int rc = 0;
    if (self->state != TLS_DO_HANDSHAKE && self->app != NULL &&
        (self->app_state == TLS_APP_MADE || self->app_state == TLS_APP_EOF))
    {
        self->app_state = TLS_APP_LOST;
        rc = tls_lost_soon(self, exc);
    }
    PyObject *error = rc < 0 ? fa_err_take() : NULL;
    rc = tls_forget_all(self, exc);
    tls_rest(self);
    if (error != NULL) {
        PyErr_Clear();
        fa_err_restore(error);
        rc = -1;
    }
    return rc;
}
