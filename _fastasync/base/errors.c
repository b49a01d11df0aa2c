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
fa_err_unraisable(PyObject *where)
{
    PyErr_WriteUnraisable(where);
}
