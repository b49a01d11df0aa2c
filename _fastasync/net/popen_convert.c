/* net/popen_convert.c: the arguments of subprocess.Popen become C: what its
   _execute_child does before the fork, in its order; see popen.c. */
#include "net/popen.h"

#include <stdlib.h>
#include <string.h>

/* -- conversions ------------------------------------------------------------------------ */

/* The list of arguments and the program, as the audit event tells them. */
int
popen_make_command(popen_call *call)
{
    PyObject *args = call->what->args;
    PyObject *list = PyTuple_CheckExact(args) || PyList_CheckExact(args)
                         ? PySequence_List(args)
                         : Py_BuildValue("[O]", args);
    if (list != NULL && call->what->shell == Py_True) {
        int given = PyObject_IsTrue(call->executable);
        PyObject *begin =
            given > 0 ? Py_BuildValue("[Os]", call->executable, "-c")
                      : Py_BuildValue("[ss]", "/bin/sh", "-c");
        Py_XSETREF(list, begin == NULL ? NULL
                                       : PySequence_InPlaceConcat(begin, list));
        Py_XDECREF(begin);
    }
    call->command = list;
    if (list == NULL) {
        return POPEN_FAILED;
    }
    call->program = call->executable == Py_None ? PyList_GET_ITEM(list, 0)
                                                : call->executable;
    return POPEN_PLAIN;
}

/* os.fsencode(obj) (new). */
static PyObject *
popen_encode(PyObject *obj)
{
    PyObject *path = PyOS_FSPath(obj);
    if (path != NULL && PyUnicode_Check(path)) {
        Py_SETREF(path, PyUnicode_EncodeFSDefault(path));
    }
    return path;
}

/* Append and drop. */
static int
popen_append(PyObject *list, PyObject *item)
{
    int rc = item == NULL ? -1 : PyList_Append(list, item);
    Py_XDECREF(item);
    return rc;
}

/* b'key=value' (new). */
static PyObject *
popen_setting(PyObject *key, PyObject *value)
{
    PyObject *k = popen_encode(key);
    PyObject *v = k == NULL ? NULL : popen_encode(value);
    PyObject *setting = NULL;
    if (v != NULL && memchr(PyBytes_AS_STRING(k), '=',
                            (size_t)PyBytes_GET_SIZE(k)) != NULL)
    {
        PyErr_SetString(PyExc_ValueError, "illegal environment variable name");
    }
    else if (v != NULL) {
        setting = Py_NewRef(k);
        PyBytes_ConcatAndDel(&setting, PyBytes_FromString("="));
        if (setting != NULL) {
            PyBytes_Concat(&setting, v);
        }
    }
    Py_XDECREF(k);
    Py_XDECREF(v);
    return setting;
}

static int
popen_make_env(popen_call *call)
{
    if (call->env == Py_None) {
        return 0;
    }
    PyObject *items = PyMapping_Items(call->env);
    call->envp = items == NULL ? NULL : PyList_New(0);
    int rc = call->envp == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(items); i++) {
        PyObject *pair = PyList_GET_ITEM(items, i);
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2) {
            PyErr_SetString(PyExc_ValueError, "items() are not pairs");
            rc = -1;
            break;
        }
        Py_INCREF(pair);
        rc = popen_append(call->envp,
                          popen_setting(PyTuple_GET_ITEM(pair, 0),
                                        PyTuple_GET_ITEM(pair, 1)));
        Py_DECREF(pair);
    }
    Py_XDECREF(items);
    return rc;
}

/* os.path.join(directory, name) for a name without a slash (new). */
static PyObject *
popen_join(PyObject *directory, PyObject *name)
{
    PyObject *path = popen_encode(directory);
    if (path == NULL) {
        return NULL;
    }
    Py_ssize_t len = PyBytes_GET_SIZE(path);
    if (len > 0 && PyBytes_AS_STRING(path)[len - 1] != '/') {
        PyBytes_ConcatAndDel(&path, PyBytes_FromString("/"));
    }
    if (path != NULL) {
        PyBytes_Concat(&path, name);
    }
    return path;
}

/* Where the program may be: what has a slash is there, the rest is searched. */
static int
popen_make_paths(popen_call *call)
{
    PyObject *name = popen_encode(call->program);
    call->paths = name == NULL ? NULL : PyList_New(0);
    int rc = -1;
    if (call->paths == NULL) {
        ;
    }
    else if (memchr(PyBytes_AS_STRING(name), '/',
                    (size_t)PyBytes_GET_SIZE(name)) != NULL)
    {
        rc = PyList_Append(call->paths, name);
    }
    else {
        PyObject *found = PyObject_CallMethod(call->st->mod_os,
                                              "get_exec_path", "O", call->env);
        PyObject *places =
            found == NULL ? NULL : PySequence_List(found);
        rc = places == NULL ? -1 : 0;
        for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(places); i++) {
            rc = popen_append(call->paths,
                              popen_join(PyList_GET_ITEM(places, i), name));
        }
        Py_XDECREF(found);
        Py_XDECREF(places);
    }
    Py_XDECREF(name);
    return rc;
}

static int
popen_make_argv(popen_call *call)
{
    call->argv = PyList_New(0);
    int rc = call->argv == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(call->command); i++) {
        PyObject *given = Py_NewRef(PyList_GET_ITEM(call->command, i));
        PyObject *arg = NULL;
        rc = PyUnicode_FSConverter(given, &arg)
                 ? popen_append(call->argv, arg)
                 : -1;
        Py_DECREF(given);
    }
    if (rc == 0 && call->cwd != Py_None) {
        rc = PyUnicode_FSConverter(call->cwd, &call->directory) ? 0 : -1;
    }
    if (rc == 0 && call->directory != NULL) {
        call->child.cwd = PyBytes_AS_STRING(call->directory);
    }
    return rc;
}

/* The addresses of a list of bytes, ended by NULL. -1 if one has a NUL. */
static int
popen_point(char **to, PyObject *list)
{
    Py_ssize_t n = PyList_GET_SIZE(list);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (PyBytes_AsStringAndSize(PyList_GET_ITEM(list, i), &to[i], NULL) <
            0)
        {
            return -1;
        }
    }
    to[n] = NULL;
    return 0;
}

static int
popen_make_pointers(popen_call *call)
{
    Py_ssize_t argc = PyList_GET_SIZE(call->argv);
    Py_ssize_t count = PyList_GET_SIZE(call->paths);
    Py_ssize_t settings = call->envp == NULL ? 0 : PyList_GET_SIZE(call->envp);
    char **at = PyMem_New(char *, argc + count + settings + 3);
    call->pointers = at;
    if (at == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    call->child.argv = at;
    call->child.paths = at + argc + 1;
    call->child.envp = call->envp == NULL ? NULL : at + argc + count + 2;
    return popen_point(at, call->argv) < 0 ||
                   popen_point(at + argc + 1, call->paths) < 0 ||
                   (call->envp != NULL &&
                    popen_point(at + argc + count + 2, call->envp) < 0)
               ? -1
               : 0;
}

static int
popen_compare_fds(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* pass_fds, in order and each once. */
static int
popen_make_keep(popen_call *call)
{
    Py_ssize_t n = call->pass_fds == NULL
                       ? 0
                       : PySequence_Fast_GET_SIZE(call->pass_fds);
    if (n == 0) {
        return 0;
    }
    int *keep = call->keep = PyMem_New(int, n);
    if (keep == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        popen_small_int(PySequence_Fast_GET_ITEM(call->pass_fds, i), &keep[i]);
    }
    qsort(keep, (size_t)n, sizeof(int), popen_compare_fds);
    size_t count = 1;
    for (Py_ssize_t i = 1; i < n; i++) {
        if (keep[i] != keep[count - 1]) {
            keep[count++] = keep[i];
        }
    }
    call->child.keep = keep;
    call->child.keep_count = count;
    return 0;
}

/* Everything becomes C. What is refused here is for Popen to refuse. */
int
popen_convert(popen_call *call)
{
    if (popen_make_env(call) == 0 && popen_make_paths(call) == 0 &&
        popen_make_keep(call) == 0 && popen_make_argv(call) == 0 &&
        popen_make_pointers(call) == 0)
    {
        return POPEN_PLAIN;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return POPEN_FAILED;
    }
    PyErr_Clear();
    return POPEN_LEAVE;
}
