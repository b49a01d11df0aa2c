/* net/trouble.c: what a transport says when something goes wrong.

   Three ways, as asyncio has them: the logger (debug mode, and writes on a lost
   connection), the loop's exception handler with the transport and its protocol
   (fatal errors, flow control), and the report that the loop makes for a failed
   callback. A fatal error closes the transport. All of it is cold. */
#include "net/transport.h"

#include "base/errors.h"

/* -- logging ------------------------------------------------------------------ */

static PyObject *
trouble_logger(fa_state *st)
{
    return PyObject_GetAttr(st->mod_log, st->str_logger);
}

int
transport_log(TransportObject *self, const char *level, const char *format)
{
    PyObject *logger = trouble_logger(self->st);
    if (logger == NULL) {
        return -1;
    }
    PyObject *res = PyObject_CallMethod(logger, level, "sO", format, self);
    Py_DECREF(logger);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

int
transport_log_debug(TransportObject *self, const char *format)
{
    return transport_log(self, "debug", format);
}

/* write() on a transport that is lost: silent at first, then a warning. */
int
transport_log_lost_write(TransportObject *self)
{
    return transport_log_late_write(self, &self->conn_lost,
                                    "socket.send() raised exception.");
}

int
transport_log_late_write(TransportObject *self, int *count, const char *text)
{
    PyObject *limit = PyObject_GetAttrString(
        self->st->mod_constants, "LOG_THRESHOLD_FOR_CONNLOST_WRITES");
    if (limit == NULL) {
        return -1;
    }
    long threshold = PyLong_AsLong(limit);
    Py_DECREF(limit);
    if (threshold == -1 && PyErr_Occurred()) {
        return -1;
    }
    if ((*count)++ < threshold) {
        return 0;
    }
    PyObject *logger = trouble_logger(self->st);
    if (logger == NULL) {
        return -1;
    }
    PyObject *res = PyObject_CallMethod(logger, "warning", "s", text);
    Py_DECREF(logger);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

int
trouble_log_failure(fa_state *st, PyObject *self, PyObject *exc,
                    const char *message)
{
    PyObject *logger = trouble_logger(st);
    PyObject *debug = logger == NULL ? NULL
                                     : PyObject_GetAttr(logger,
                                                        st->str_debug);
    Py_XDECREF(logger);
    if (debug == NULL) {
        return -1;
    }
    PyObject *res = NULL;
    PyObject *args = Py_BuildValue("(sOs)", "%r: %s", self, message);
    PyObject *kwargs = Py_BuildValue("{sO}", "exc_info", exc);
    if (args != NULL && kwargs != NULL) {
        res = PyObject_Call(debug, args, kwargs);
    }
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    Py_DECREF(debug);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* -- fatal errors ------------------------------------------------------------------ */

int
transport_report(TransportObject *self, const char *message, PyObject *exc)
{
    if (self->loop == NULL) {
        return 0;
    }
    PyObject *loop = Py_NewRef((PyObject *)self->loop);
    PyObject *text = PyUnicode_FromString(message);
    PyObject *extra = Py_BuildValue(
        "{sOsO}", "transport", self, "protocol",
        self->protocol == NULL ? Py_None : self->protocol);
    int rc = text == NULL || extra == NULL
                 ? -1
                 : loop_report(self->st, loop, text, exc, extra);
    Py_XDECREF(text);
    Py_XDECREF(extra);
    Py_DECREF(loop);
    return rc;
}

/* Is it news, or just what happens to connections? 1, 0 or -1. */
static int
trouble_is_news(TransportObject *self, PyObject *exc)
{
    if (!PyErr_GivenExceptionMatches(exc, PyExc_OSError)) {
        return 1;
    }
    if (self->wire->quiet_errno == 0) {
        return 0;
    }
    PyObject *number = PyObject_GetAttrString(exc, "errno");
    PyObject *quiet = PyLong_FromLong(self->wire->quiet_errno);
    int news = number == NULL || quiet == NULL
                   ? -1
                   : PyObject_RichCompareBool(number, quiet, Py_NE);
    Py_XDECREF(number);
    Py_XDECREF(quiet);
    return news;
}

int
transport_fatal(TransportObject *self, PyObject *exc, const char *message)
{
    if (self->loop == NULL) {
        return 0;
    }
    LoopObject *loop = (LoopObject *)Py_NewRef(self->loop);
    int rc = trouble_is_news(self, exc);
    if (rc == 0) {
        if (loop->debug) {
            rc = trouble_log_failure(self->st, (PyObject *)self, exc,
                                     message);
        }
    }
    else if (rc > 0) {
        rc = transport_report(self, message, exc);
    }
    PyObject *error = rc < 0 ? fa_err_take() : NULL;
    if (transport_force_close(self, exc) < 0) {
        rc = -1;
        if (error != NULL) {
            fa_err_chain(error);
            error = NULL;
        }
    }
    if (error != NULL) {
        fa_err_restore(error);
    }
    Py_DECREF(loop);
    return rc;
}

int
transport_fatal_raised(TransportObject *self, const char *message)
{
    if (fa_err_is_exit()) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    int rc = transport_fatal(self, exc, message);
    Py_DECREF(exc);
    return rc;
}

/* -- failed callbacks ---------------------------------------------------------------------- */

/* asyncio's Handle for the callback, to show in a report (new, or NULL). */
static PyObject *
trouble_handle(TransportObject *self, PyObject *callback,
                       PyObject *args)
{
    // the loop's exception handler is run in its context: one that is free
    PyObject *context = context_enter(self->context);
    if (context == NULL) {
        return NULL;
    }
    Py_INCREF(context);
    context_leave(context);
    PyObject *stack[4] = {callback, args, (PyObject *)self->loop, context};
    PyObject *handle = PyObject_Vectorcall(self->st->asyncio_Handle, stack, 4,
                                           NULL);
    Py_DECREF(context);
    return handle;
}

/* "Exception in callback <source>" (new), as asyncio's Handle formats it. */
static PyObject *
trouble_text(TransportObject *self, PyObject *callback, PyObject *args)
{
    PyObject *source = PyObject_CallMethod(
        self->st->mod_format_helpers, "_format_callback_source", "OO",
        callback, args);
    if (source == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("Exception in callback %U", source);
    Py_DECREF(source);
    return text;
}

int FA_COLD
transport_report_callback(TransportObject *self, PyObject *callback,
                          PyObject *arg)
{
    if (fa_err_is_exit() || callback == NULL) {
        return -1;
    }
    if (self->loop == NULL) { // lost meanwhile: nobody to report to
        fa_err_unraisable((PyObject *)self);
        return 0;
    }
    PyObject *exc = fa_err_take();
    PyObject *loop = Py_NewRef((PyObject *)self->loop);
    PyObject *args = arg == NULL ? PyTuple_New(0) : PyTuple_Pack(1, arg);
    PyObject *text = NULL, *handle = NULL, *extra = NULL;
    if (args != NULL) {
        text = trouble_text(self, callback, args);
        handle = text == NULL ? NULL
                              : trouble_handle(self, callback, args);
        extra = handle == NULL ? NULL
                               : Py_BuildValue("{sO}", "handle", handle);
    }
    int rc = extra == NULL ? -1 : loop_report(self->st, loop, text, exc, extra);
    Py_XDECREF(extra);
    Py_XDECREF(handle);
    Py_XDECREF(text);
    Py_XDECREF(args);
    Py_DECREF(loop);
    Py_XDECREF(exc);
    return rc;
}

int FA_COLD
transport_report_method(TransportObject *self, PyObject *owner, const char *name,
                   PyObject *arg)
{
    PyObject *error = fa_err_take();
    PyObject *method = PyObject_GetAttrString(owner, name);
    fa_err_restore(error);
    int rc = transport_report_callback(self, method, arg);
    Py_XDECREF(method);
    return rc;
}
