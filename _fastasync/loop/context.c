/* loop/context.c: where a Context keeps its variables, and the slow way to a
   copy of the current one. */
#include "loop/context.h"

#include "base/errors.h"

PyObject *
loop_context_copy_slow(LoopObject *loop, int *shared)
{
    *shared = 0;
    PyObject *copy = PyContext_CopyCurrent();
    if (copy == NULL || loop->st->context_vars == 0 || FA_GIL_DISABLED) {
        return copy;
    }
    Py_XSETREF(loop->context_pristine, Py_NewRef(copy));
    *shared = 1;
    return copy;
}

/* A context in which a variable has been set (new), or NULL. */
static PyObject *
context_example(void)
{
    PyObject *context = PyContext_New();
    PyObject *var = PyContextVar_New("fastasync", NULL);
    PyObject *token = NULL;
    if (context != NULL && var != NULL && PyContext_Enter(context) == 0) {
        token = PyContextVar_Set(var, Py_None);
        if (PyContext_Exit(context) < 0) {
            Py_CLEAR(token);
        }
    }
    if (token == NULL) {
        Py_CLEAR(context);
    }
    Py_XDECREF(var);
    Py_XDECREF(token);
    return context;
}

/* The one word that a context and its copy have in common and an empty context
   has not: its offset, 0 if there is none or more than one. */
static Py_ssize_t
context_find(PyObject *context, PyObject *copy, PyObject *empty)
{
    Py_ssize_t found = 0, size = Py_TYPE(context)->tp_basicsize;
    for (Py_ssize_t at = (Py_ssize_t)sizeof(PyObject);
         at + (Py_ssize_t)sizeof(void *) <= size;
         at += (Py_ssize_t)sizeof(void *))
    {
        void *here = *(void **)((char *)context + at);
        if (here != NULL && here == *(void **)((char *)copy + at) &&
            here != *(void **)((char *)empty + at))
        {
            if (found) {
                return 0;
            }
            found = at;
        }
    }
    return found;
}

int
loop_context_init(fa_state *st)
{
    PyObject *context = context_example();
    PyObject *copy = context == NULL ? NULL : PyContext_Copy(context);
    PyObject *empty = PyContext_New();
    int rc = copy == NULL || empty == NULL ? -1 : 0;
    if (rc == 0) {
        st->context_vars = context_find(context, copy, empty);
    }
    Py_XDECREF(context);
    Py_XDECREF(copy);
    Py_XDECREF(empty);
    return rc;
}
