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

/* TypeError: more positional arguments than parameters. */
static int
args_too_many(const fa_args *spec, Py_ssize_t nargs)
{
    int python = spec->python; // a Python function counts self
    int most = spec->positional + python;
    const char *were = nargs + python == 1 ? "was" : "were";
    if (!python) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes %s %d positional argument%s (%zd given)",
                     strrchr(spec->fname, '.') ? strrchr(spec->fname, '.') + 1
                                               : spec->fname,
                     spec->required == most ? "exactly" : "at most", most,
                     args_plural(most), nargs);
    }
    else if (spec->required < spec->positional) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes from %d to %d positional arguments "
                     "but %zd %s given",
                     spec->fname, spec->required + 1, most, nargs + 1, were);
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes %d positional argument%s but %zd %s given",
                     spec->fname, most, args_plural(most), nargs + 1, were);
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
    if (!spec->python) {
        const char *dot = strrchr(spec->fname, '.');
        PyErr_Format(PyExc_TypeError,
                     "%s() missing required argument '%s' (pos %d)",
                     dot ? dot + 1 : spec->fname, spec->names[first],
                     first + 1);
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
    const char *dot = strrchr(spec->fname, '.');
#if FA_PY313
    PyErr_Format(PyExc_TypeError,
                 "%s() got an unexpected keyword argument '%S'",
                 dot ? dot + 1 : spec->fname, key);
#else
    PyErr_Format(PyExc_TypeError,
                 "'%S' is an invalid keyword argument for %s()", key,
                 dot ? dot + 1 : spec->fname);
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
                const char *dot = strrchr(spec->fname, '.');
                PyErr_Format(PyExc_TypeError,
                             "argument for %s() given by name ('%s') and "
                             "position (%d)",
                             dot ? dot + 1 : spec->fname, spec->names[i],
                             i + 1);
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
                PyObject **out)
{
    memset(out, 0, sizeof(PyObject *) * (size_t)spec->total);
    if (nargs > spec->positional) {
        if (!spec->varargs) {
            return args_too_many(spec, nargs);
        }
        nargs = spec->positional;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        out[i] = args[i];
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
    if (args_positional(spec, args, nargs, out) < 0) {
        return -1;
    }
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
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
    if (args_positional(spec, ((PyTupleObject *)args)->ob_item,
                        PyTuple_GET_SIZE(args), out) < 0)
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
