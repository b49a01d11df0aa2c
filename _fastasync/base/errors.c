/* base/errors.c: see errors.h. All of it is cold. */
#include "base/errors.h"

#include <errno.h>

int
fa_err_is_exit(void)
{
    return PyErr_ExceptionMatches(PyExc_SystemExit) ||
           PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
}

void
fa_err_set_errno(int neg_errno)
{
    errno = -neg_errno;
    PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *
fa_err_new_errno(int neg_errno)
{
    fa_err_set_errno(neg_errno);
    return fa_err_take();
}

void
fa_err_chain(PyObject *context)
{
    if (context == NULL) {
        return;
    }
    PyObject *exc = fa_err_take();
    if (exc == NULL) {
        fa_err_restore(context);
        return;
    }
    PyObject *former = PyException_GetContext(exc);
    if (former == NULL && exc != context) {
        PyException_SetContext(exc, context); // steals
    }
    else {
        Py_DECREF(context);
    }
    Py_XDECREF(former);
    fa_err_restore(exc);
}

void
fa_err_raise(PyObject *exc)
{
    if (PyExceptionInstance_Check(exc)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    }
    else if (PyExceptionClass_Check(exc)) {
        PyErr_SetNone(exc);
    }
    else {
        PyErr_SetString(PyExc_TypeError,
                        "exceptions must derive from BaseException");
    }
}

void
fa_err_unraisable(PyObject *where)
{
    PyErr_WriteUnraisable(where);
}

/* throw(type, value, traceback) as one exception instance (new), or NULL. */
static PyObject *
throw_instance(PyObject *type, PyObject *value, PyObject *tb)
{
    PyObject *exc;
    if (PyExceptionClass_Check(type)) {
        PyErr_Restore(Py_NewRef(type), Py_XNewRef(value), Py_XNewRef(tb));
        return fa_err_take(); // normalised
    }
    if (!PyExceptionInstance_Check(type)) {
        PyErr_SetString(PyExc_TypeError,
                        "exceptions must be classes deriving BaseException or "
                        "instances of such a class");
        return NULL;
    }
    if (value != NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "instance exception may not have a separate value");
        return NULL;
    }
    exc = Py_NewRef(type);
    if (tb != NULL && PyException_SetTraceback(exc, tb) < 0) {
        Py_CLEAR(exc);
    }
    return exc;
}

PyObject *
fa_throw_arguments(PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 3) {
        PyErr_Format(PyExc_TypeError,
                     "throw expected at %s %d argument%s, got %zd",
                     nargs < 1 ? "least" : "most", nargs < 1 ? 1 : 3,
                     nargs < 1 ? "" : "s", nargs);
        return NULL;
    }
#if FA_WARNS_THROW_TRIPLE
    if (nargs > 1 &&
        PyErr_WarnEx(PyExc_DeprecationWarning,
                     "the (type, exc, tb) signature of throw() is deprecated, "
                     "use the single-arg signature instead.", 1) < 0)
    {
        return NULL;
    }
#endif
    PyObject *value = nargs > 1 && args[1] != Py_None ? args[1] : NULL;
    PyObject *tb = nargs > 2 && args[2] != Py_None ? args[2] : NULL;
    if (tb != NULL && !PyTraceBack_Check(tb)) {
        PyErr_SetString(PyExc_TypeError,
                        "throw() third argument must be a traceback");
        return NULL;
    }
    return throw_instance(args[0], value, tb);
}
