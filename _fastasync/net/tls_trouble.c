/* net/tls_trouble.c: what TLS says when something goes wrong: asyncio's
   _fatal_error, its logger, and the loop's exception handler. All of it is
   cold. */
#include "net/tls.h"

#include "base/errors.h"

PyObject *
tls_bound(TlsObject *self, const char *name)
{
    return PyObject_GetAttrString((PyObject *)self, name);
}

int
tls_log(TlsObject *self, const char *method, PyObject *args)
{
    PyObject *logger = args == NULL ? NULL
                                    : PyObject_GetAttr(self->st->mod_log,
                                                       self->st->str_logger);
    PyObject *log = logger == NULL ? NULL
                                   : PyObject_GetAttrString(logger, method);
    PyObject *res = log == NULL ? NULL : PyObject_CallObject(log, args);
    Py_XDECREF(logger);
    Py_XDECREF(log);
    Py_XDECREF(res);
    Py_XDECREF(args);
    return res == NULL ? -1 : 0;
}

int
tls_log_debug(TlsObject *self, const char *format)
{
    return tls_log(self, "debug", Py_BuildValue("(sO)", format, self));
}

int
tls_report(TlsObject *self, const char *message, PyObject *exc,
           PyObject *transport)
{
    PyObject *text = PyUnicode_FromString(message);
    PyObject *extra = Py_BuildValue("{sOsO}", "transport",
                                    transport == NULL ? Py_None : transport,
                                    "protocol", self);
    int rc = text == NULL || extra == NULL
                 ? -1
                 : loop_report(self->st, self->loop, text, exc, extra);
    Py_XDECREF(text);
    Py_XDECREF(extra);
    return rc;
}

int
tls_fatal(TlsObject *self, PyObject *exc, const char *message)
{
    PyObject *below = Py_XNewRef(self->transport);
    int rc = below == NULL ? 0 : tls_lower_force_close(self, exc);
    if (rc == 0) {
        if (PyErr_GivenExceptionMatches(exc, PyExc_OSError)) {
            rc = fa_loop_debug(self->st, self->loop);
            if (rc > 0) {
                rc = trouble_log_failure(self->st, (PyObject *)self, exc,
                                         message);
            }
        }
        else if (!PyErr_GivenExceptionMatches(exc, self->st->CancelledError)) {
            rc = tls_report(self, message, exc, self->transport);
        }
    }
    Py_XDECREF(below);
    return rc;
}

int
tls_failed(TlsObject *self)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    int rc = tls_fatal(self, exc, "Fatal error on SSL protocol");
    Py_DECREF(exc);
    return rc;
}
