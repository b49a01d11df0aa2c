/* net/popen_plan.c: can the arguments of subprocess.Popen be told from their types
   to be plain? Only looking, nothing is called or opened; see popen.c. */
#include "net/popen.h"

#include <limits.h>

/* -- looking: is it plain? ---------------------------------------------------------- */

int
popen_small_int(PyObject *value, int *number)
{
    if (!PyLong_CheckExact(value)) {
        return 0;
    }
    int overflow;
    long n = PyLong_AsLongAndOverflow(value, &overflow);
    *number = (int)n;
    return !overflow && n >= INT_MIN && n <= INT_MAX;
}

/* A bool or an int. */
static int
popen_flag(PyObject *value, uint8_t *flag)
{
    int number;
    if (PyBool_Check(value)) {
        *flag = value == Py_True;
        return 1;
    }
    int is = popen_small_int(value, &number);
    *flag = is && number != 0;
    return is;
}

/* None, meaning -1, or an int. */
static int
popen_number(PyObject *value, int *number)
{
    *number = -1;
    return value == Py_None || popen_small_int(value, number);
}

/* A tuple or list of fds. */
static int
popen_fds(PyObject *value)
{
    if (!PyTuple_CheckExact(value) && !PyList_CheckExact(value)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); i++) {
        int fd;
        if (!popen_small_int(PySequence_Fast_GET_ITEM(value, i), &fd) ||
            fd < 0)
        {
            return 0;
        }
    }
    return 1;
}

/* One keyword argument: 1 = plain, 0. */
static int
popen_keyword(popen_call *call, PyObject *name, PyObject *value)
{
    fa_child *child = &call->child;
#define IS(known) (PyUnicode_CompareWithASCIIString(name, known) == 0)
    if (IS("cwd")) {
        call->cwd = value;
        return 1;
    }
    if (IS("env")) {
        call->env = value;
        return 1;
    }
    if (IS("executable")) {
        call->executable = value;
        return value == Py_None || PyUnicode_CheckExact(value) ||
               PyBytes_CheckExact(value);
    }
    if (IS("pass_fds")) {
        call->pass_fds = value;
        return popen_fds(value);
    }
    if (IS("pipesize")) {
        call->pipesize = value;
        return popen_number(value, &call->size);
    }
    if (IS("close_fds")) {
        return popen_flag(value, &child->close_fds);
    }
    if (IS("restore_signals")) {
        return popen_flag(value, &child->restore_signals);
    }
    if (IS("start_new_session")) {
        return popen_flag(value, &child->new_session);
    }
    if (IS("process_group")) {
        return popen_number(value, &child->group);
    }
    if (IS("umask")) {
        return popen_small_int(value, &child->umask);
    }
    if (IS("creationflags")) {
        int flags;
        return popen_small_int(value, &flags) && flags == 0;
    }
    if (IS("preexec_fn") || IS("user") || IS("group") || IS("extra_groups") ||
        IS("startupinfo"))
    {
        return value == Py_None;
    }
#undef IS
    return 0;
}

/* stdin, stdout, stderr: None, a file, an fd or one of the constants. */
static int
popen_stdio_plain(PyObject *const *stdio)
{
    for (int i = 0; i < 3; i++) {
        int fd = 0;
        if (PyLong_Check(stdio[i]) && !popen_small_int(stdio[i], &fd)) {
            return 0;
        }
        if (fd < 0 && fd != POPEN_PIPE && fd != POPEN_DEVNULL &&
            (fd != POPEN_STDOUT || i != 2 || stdio[1] == Py_None))
        {
            return 0;
        }
    }
    return 1;
}

/* A command: a string, or a list or tuple whose first item is not empty (what
   Popen makes of that depends on how it starts the program). */
static int
popen_command_plain(PyObject *args)
{
    if (PyUnicode_CheckExact(args) || PyBytes_CheckExact(args)) {
        return PyObject_Size(args) > 0;
    }
    if ((!PyTuple_CheckExact(args) && !PyList_CheckExact(args)) ||
        PySequence_Fast_GET_SIZE(args) == 0)
    {
        return 0;
    }
    PyObject *first = PySequence_Fast_GET_ITEM(args, 0);
    return (!PyUnicode_CheckExact(first) && !PyBytes_CheckExact(first)) ||
           PyObject_Size(first) > 0;
}

/* subprocess.<name> as a truth; 0 if there is no such thing. 1, 0, -1. */
int
popen_switch(fa_state *st, const char *name)
{
    PyObject *value = PyObject_GetAttrString(st->mod_subprocess, name);
    if (value == NULL) {
        PyErr_Clear();
        return 0;
    }
    int on = PyObject_IsTrue(value);
    Py_DECREF(value);
    return on;
}

/* Is subprocess.Popen, and what it is made of, as it was at import? 1, 0, -1. */
static int
popen_class_own(fa_state *st)
{
    PyObject *type = PyObject_GetAttr(st->mod_subprocess, st->str_Popen);
    if (type == NULL) {
        return -1;
    }
    int own = type == st->Popen;
    Py_DECREF(type);
    PyObject *names[] = {st->str___init__, st->str__execute_child};
    for (int i = 0; own && i < 2; i++) {
        own = PyDict_GetItemWithError(((PyTypeObject *)st->Popen)->tp_dict,
                                      names[i]) == st->popen_own[i];
    }
    if (!own) {
        return PyErr_Occurred() ? -1 : 0;
    }
    return FA_HAS_VFORK_SWITCH ? popen_switch(st, "_USE_VFORK") : 1;
}

/* Nothing but looking. POPEN_PLAIN or POPEN_LEAVE, or POPEN_FAILED. */
int
popen_plan(popen_call *call)
{
    const fa_popen *what = call->what;
    int own = popen_class_own(call->st);
    if (own <= 0) {
        return own < 0 ? POPEN_FAILED : POPEN_LEAVE;
    }
    int bufsize;
    PyObject *name, *value;
    if (!popen_small_int(what->bufsize, &bufsize) || bufsize != 0 ||
        !PyBool_Check(what->shell) || !popen_stdio_plain(what->stdio) ||
        !popen_command_plain(what->args))
    {
        return POPEN_LEAVE;
    }
    Py_ssize_t at = 0;
    while (what->kwargs != NULL &&
           PyDict_Next(what->kwargs, &at, &name, &value))
    {
        if (!popen_keyword(call, name, value)) {
            return POPEN_LEAVE;
        }
    }
    if (call->pass_fds != NULL && !call->child.close_fds &&
        PySequence_Fast_GET_SIZE(call->pass_fds) > 0)
    {
        return POPEN_LEAVE; // and be warned
    }
    if (FA_POSIX_SPAWN_OS_ENVIRON && !call->child.close_fds) {
        return POPEN_LEAVE;
    }
    return POPEN_PLAIN;
}
