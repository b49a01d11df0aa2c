/* base/args.c: parsing and the error texts of both kinds of functions.

   Cost: for positional calls one loop over nargs pointers; a keyword is found
   by identity with the interned spelling first, by comparison second. */
#include "base/args.h"

#include <string.h>

static const char *
args_plural(Py_ssize_t n)
{
    return n == 1 ? "" : "s";
}

/* The function's name without its class, as C functions call themselves. */
static const char *
args_short_name(const fa_args *spec)
{
    const char *dot = strrchr(spec->fname, '.');
    return dot != NULL ? dot + 1 : spec->fname;
}

/* The same in the words of a C function. */
static int
args_too_many_c(const fa_args *spec, Py_ssize_t nargs, Py_ssize_t nkw)
{
    const char *fname = args_short_name(spec);
    if (nargs + nkw > spec->total) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes at most %d %sargument%s (%zd given)", fname,
                     spec->total, nargs == 0 ? "keyword " : "",
                     args_plural(spec->total), nargs + nkw);
    }
    else if (spec->positional == 0) {
        PyErr_Format(PyExc_TypeError, "%s() takes no positional arguments",
                     fname);
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes %s %d positional argument%s (%zd given)",
                     fname,
                     spec->required == spec->positional ? "exactly"
                                                        : "at most",
                     spec->positional, args_plural(spec->positional), nargs);
    }
    return -1;
}

/* TypeError: more positional arguments than parameters. */
static int
args_too_many(const fa_args *spec, Py_ssize_t nargs, Py_ssize_t nkw)
{
    if (!spec->python) {
        return args_too_many_c(spec, nargs, nkw);
    }
    int self = spec->python == 1; // a Python method counts it
    int most = spec->positional + self;
    const char *were = nargs + self == 1 ? "was" : "were";
    if (spec->required < spec->positional) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes from %d to %d positional arguments "
                     "but %zd %s given",
                     spec->fname, spec->required + self, most, nargs + self,
                     were);
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes %d positional argument%s but %zd %s given",
                     spec->fname, most, args_plural(most), nargs + self, were);
    }
    return -1;
}

/* "'a', 'b', and 'c'" of the parameters that were not given. */
static PyObject *
args_missing_names(const fa_args *spec, PyObject **out, Py_ssize_t count)
{
    PyObject *text = PyUnicode_FromString("");
    Py_ssize_t seen = 0;
    for (int i = 0; text != NULL && i < spec->required; i++) {
        if (out[i] != NULL) {
            continue;
        }
        seen++;
        const char *glue = seen == 1 ? ""
                           : seen < count ? ", "
                           : count == 2   ? " and "
                                          : ", and ";
        PyObject *longer = PyUnicode_FromFormat("%U%s'%s'", text, glue,
                                                spec->names[i]);
        Py_SETREF(text, longer);
    }
    return text;
}

static int
args_missing(const fa_args *spec, PyObject **out)
{
    Py_ssize_t count = 0;
    int first = -1;
    for (int i = spec->required - 1; i >= 0; i--) {
        if (out[i] == NULL) {
            count++;
            first = i;
        }
    }
    if (!spec->python && spec->names[first][0] == '\0') {
        // a positional-only parameter has no name to be missed
        PyErr_Format(PyExc_TypeError,
                     "%s() takes %s %d positional argument%s (%zd given)",
                     args_short_name(spec),
                     spec->required == spec->positional ? "exactly"
                                                        : "at least",
                     spec->required, args_plural(spec->required),
                     spec->required - count);
        return -1;
    }
    if (!spec->python) {
        PyErr_Format(PyExc_TypeError,
                     "%s() missing required argument '%s' (pos %d)",
                     args_short_name(spec), spec->names[first], first + 1);
        return -1;
    }
    PyObject *names = args_missing_names(spec, out, count);
    if (names != NULL) {
        PyErr_Format(PyExc_TypeError,
                     "%s() missing %zd required positional argument%s: %U",
                     spec->fname, count, args_plural(count), names);
        Py_DECREF(names);
    }
    return -1;
}

static int
args_unexpected(const fa_args *spec, PyObject *key)
{
    if (spec->python) {
        PyErr_Format(PyExc_TypeError,
                     "%s() got an unexpected keyword argument '%S'",
                     spec->fname, key);
        return -1;
    }
#if FA_PY313
    PyErr_Format(PyExc_TypeError,
                 "%s() got an unexpected keyword argument '%S'",
                 args_short_name(spec), key);
#else
    PyErr_Format(PyExc_TypeError,
                 "'%S' is an invalid keyword argument for %s()", key,
                 args_short_name(spec));
#endif
    return -1;
}

static int
args_keyword(const fa_args *spec, PyObject *key, PyObject *value,
             PyObject **out)
{
    if (!PyUnicode_Check(key)) {
        PyErr_Format(PyExc_TypeError, "%s() keywords must be strings",
                     spec->fname);
        return -1;
    }
    for (int i = 0; i < spec->total; i++) {
        if (PyUnicode_CompareWithASCIIString(key, spec->names[i]) != 0) {
            continue;
        }
        if (out[i] != NULL) {
            if (spec->python) {
                PyErr_Format(PyExc_TypeError,
                             "%s() got multiple values for argument '%s'",
                             spec->fname, spec->names[i]);
            }
            else {
                PyErr_Format(PyExc_TypeError,
                             "argument for %s() given by name ('%s') and "
                             "position (%d)",
                             args_short_name(spec), spec->names[i], i + 1);
            }
            return -1;
        }
        out[i] = value;
        return 0;
    }
    return args_unexpected(spec, key);
}

/* Positional part; with varargs only the named ones are taken. */
static int
args_positional(const fa_args *spec, PyObject *const *args, Py_ssize_t nargs,
                Py_ssize_t nkw, PyObject **out)
{
    memset(out, 0, sizeof(PyObject *) * (size_t)spec->total);
    if (!spec->varargs &&
        (nargs > spec->positional ||
         (!spec->python && nargs + nkw > spec->total)))
    {
        return args_too_many(spec, nargs, nkw);
    }
    if (nargs > spec->positional) {
        nargs = spec->positional;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        out[i] = args[i];
    }
    if (!spec->python && nargs < spec->required &&
        spec->names[nargs][0] == '\0')
    {
        return args_missing(spec, out); // comes before looking at keywords
    }
    return 0;
}

static int
args_check_required(const fa_args *spec, PyObject **out)
{
    for (int i = 0; i < spec->required; i++) {
        if (out[i] == NULL) {
            return args_missing(spec, out);
        }
    }
    return 0;
}

int
fa_args_parse(const fa_args *spec, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames, PyObject **out)
{
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (args_positional(spec, args, nargs, nkw, out) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < nkw; i++) {
        if (args_keyword(spec, PyTuple_GET_ITEM(kwnames, i), args[nargs + i],
                         out) < 0)
        {
            return -1;
        }
    }
    return args_check_required(spec, out);
}

int
fa_args_parse_tuple(const fa_args *spec, PyObject *args, PyObject *kwargs,
                    PyObject **out)
{
    Py_ssize_t nkw = kwargs == NULL ? 0 : PyDict_GET_SIZE(kwargs);
    if (args_positional(spec, ((PyTupleObject *)args)->ob_item,
                        PyTuple_GET_SIZE(args), nkw, out) < 0)
    {
        return -1;
    }
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (kwargs != NULL && PyDict_Next(kwargs, &pos, &key, &value)) {
        if (args_keyword(spec, key, value, out) < 0) {
            return -1;
        }
    }
    return args_check_required(spec, out);
}
