/* base/args.h: one parser for METH_FASTCALL | METH_KEYWORDS.

   A method declares its parameters once, as a constant fa_args; parsing fills
   an array of borrowed references in that order, NULL for what was not given.
   Errors read as those of the asyncio function that the method stands for: a
   Python function (counts self, names missing parameters) or a C one. */
#ifndef FA_BASE_ARGS_H
#define FA_BASE_ARGS_H

#include "base/compat.h"

typedef struct {
    const char *fname;  /* as asyncio's error texts name it, with its class:
                           "BaseEventLoop.call_later" */
    int required;       /* how many of the first `positional` must be given */
    int positional;     /* how many may be given by position */
    int varargs;        /* further positional arguments allowed (left in args) */
    int python;         /* 1: texts of a Python method, which counts self; 2: of
                           a Python function; 0: of a C function */
    int total;          /* all names: positional, then keyword-only */
    const char *names[16];
} fa_args;

/* Returns 0, or -1 with TypeError. `out` has room for spec->total. */
FA_INTERNAL int fa_args_parse(const fa_args *spec, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames,
                              PyObject **out);

/* The same for tp_new / tp_init (args is a tuple, kwargs a dict or NULL). */
FA_INTERNAL int fa_args_parse_tuple(const fa_args *spec, PyObject *args,
                                    PyObject *kwargs, PyObject **out);

/* HOT. The argument of a method that takes one (borrowed); NULL with
   TypeError. */
static inline PyObject *
fa_args_one(const fa_args *spec, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    PyObject *out[1];
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        return args[0];
    }
    return fa_args_parse(spec, args, nargs, kwnames, out) < 0 ? NULL : out[0];
}

/* Defines method_kw, for METH_FASTCALL | METH_KEYWORDS: method(self, arg) of a
   parameter that may be given by its name. */
#define FA_METHOD_ONE(method, self_type, python_name, parameter) \
    static PyObject *method##_kw(self_type *self, PyObject *const *args, \
                                 Py_ssize_t nargs, PyObject *kwnames) \
    { \
        static const fa_args spec = { \
            .fname = (python_name), .required = 1, .positional = 1, \
            .python = 1, .total = 1, .names = {parameter}}; \
        PyObject *arg = fa_args_one(&spec, args, nargs, kwnames); \
        return arg == NULL ? NULL : method(self, arg); \
    }

#endif
