/* net/popen.c: from the arguments of subprocess.Popen to a running child.

   What subprocess.Popen.__init__ does, for the arguments that can be told from
   their types to be plain, in its order: pipes, file objects, the audit event,
   conversions, the spawn (os/child.c). The result is a real Popen whose
   attributes are those that __init__ would have set.

   Invariant: whatever is not plain is left to subprocess.Popen itself, so every
   error of a wrong argument is Popen's own. That is decided by looking only,
   before anything is opened (popen_plan); an argument that turns out to be wrong
   when it is converted undoes the rest and goes the same way. Left to Popen are:
   a class that was patched or replaced, preexec_fn, user, group and
   extra_groups (another user must not share our memory, see os/child.c),
   subprocess._USE_VFORK = False.

   Called by process.c. Cost: about 5 us besides the spawn. Benchmark:
   spawn_true. */
#include "net/process.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "os/os.h"

enum { POPEN_PIPE = -1, POPEN_STDOUT = -2, POPEN_DEVNULL = -3 };

typedef struct {
    fa_state *st;
    const fa_popen *what;
    PyObject *popen;     /* strong: the object in the making */
    PyObject *executable, *cwd, *env, *pass_fds; /* borrowed; None, pass_fds
                                                    may be NULL */
    PyObject *pipesize;  /* borrowed, NULL = -1 */
    int size;            /* the same */
    PyObject *command;   /* strong: the list of arguments */
    PyObject *program;   /* borrowed: what is executed, as it was given */
    PyObject *argv, *paths, *envp; /* strong: lists of bytes; envp may be NULL */
    PyObject *directory; /* strong or NULL: bytes */
    char **pointers;     /* owned: into those lists */
    int *keep;           /* owned */
    int ours[3];         /* owned: our ends of pipes, until `files` has them */
    int theirs[3];       /* owned where `made`: what the child gets */
    uint8_t made[3];
    int devnull;         /* owned, -1 = none */
    fa_child child;
} popen_call;

/* What a step of the making may answer. */
enum { POPEN_FAILED = -1, POPEN_PLAIN = 0, POPEN_LEAVE = 1 };

/* -- looking: is it plain? ---------------------------------------------------------- */

static int
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
    PyObject *vfork = PyObject_GetAttrString(st->mod_subprocess, "_USE_VFORK");
    own = vfork == NULL ? 1 : PyObject_IsTrue(vfork);
    Py_XDECREF(vfork);
    PyErr_Clear(); // 3.x without the switch
    return own;
}

/* Nothing but looking. POPEN_PLAIN or POPEN_LEAVE, or POPEN_FAILED. */
static int
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
    return POPEN_PLAIN;
}

/* -- the object --------------------------------------------------------------------- */

static int
popen_set(popen_call *call, PyObject *name, PyObject *value)
{
    return PyObject_SetAttr(call->popen, name, value);
}

/* Popen.__new__ and the attributes, in the order of __init__. */
static int
popen_make(popen_call *call)
{
    fa_state *st = call->st;
    PyTypeObject *type = (PyTypeObject *)st->Popen;
    PyObject *none = Py_None;
    PyObject *empty = PyTuple_New(0);
    call->popen = empty == NULL ? NULL : type->tp_new(type, empty, NULL);
    Py_XDECREF(empty);
    PyObject *lock = call->popen == NULL
                         ? NULL
                         : PyObject_CallNoArgs(st->allocate_lock);
    PyObject *size = PyLong_FromLong(call->size);
    PyObject *patience = PyFloat_FromDouble(0.25);
    int rc =
        lock == NULL || size == NULL || patience == NULL ||
                popen_set(call, st->str__waitpid_lock, lock) < 0 ||
                popen_set(call, st->str__input, none) < 0 ||
                popen_set(call, st->str__communication_started, Py_False) < 0 ||
                popen_set(call, st->str_args, call->what->args) < 0 ||
                popen_set(call, st->str_stdin, none) < 0 ||
                popen_set(call, st->str_stdout, none) < 0 ||
                popen_set(call, st->str_stderr, none) < 0 ||
                popen_set(call, st->str_pid, none) < 0 ||
                popen_set(call, st->str_returncode, none) < 0 ||
                popen_set(call, st->str_encoding, none) < 0 ||
                popen_set(call, st->str_errors, none) < 0 ||
                popen_set(call, st->str_pipesize, size) < 0 ||
                popen_set(call, st->str_text_mode, Py_False) < 0 ||
                popen_set(call, st->str__sigint_wait_secs, patience) < 0 ||
                popen_set(call, st->str__closed_child_pipe_fds, Py_False) < 0
            ? -1
            : 0;
    Py_XDECREF(lock);
    Py_XDECREF(size);
    Py_XDECREF(patience);
    return rc;
}

/* subprocess._cleanup(): take the status of children whose Popen has gone. */
static int
popen_clean_up(fa_state *st)
{
    PyObject *active = PyObject_GetAttrString(st->mod_subprocess, "_active");
    int some = active == NULL ? -1 : PyObject_IsTrue(active);
    Py_XDECREF(active);
    if (some <= 0) {
        return some;
    }
    PyObject *done = PyObject_CallMethod(st->mod_subprocess, "_cleanup", NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* -- stdin, stdout, stderr ------------------------------------------------------------ */

static int
popen_open_pipe(popen_call *call, int i)
{
    int ends[2];
    int rc = child_pipe(ends, call->size);
    if (rc < 0) {
        fa_err_set_errno(rc);
        return POPEN_FAILED;
    }
    call->ours[i] = ends[i == 0];
    call->theirs[i] = ends[i != 0];
    call->made[i] = 1;
    return POPEN_PLAIN;
}

static int
popen_open_devnull(popen_call *call, int i)
{
    if (call->devnull < 0) {
        int fd = child_devnull();
        if (fd < 0) {
            PyErr_SetFromErrnoWithFilename(PyExc_OSError, "/dev/null");
            return POPEN_FAILED;
        }
        call->devnull = fd;
        PyObject *number = PyLong_FromLong(fd);
        int rc = number == NULL
                     ? -1
                     : popen_set(call, call->st->str__devnull, number);
        Py_XDECREF(number);
        if (rc < 0) {
            return POPEN_FAILED;
        }
    }
    call->theirs[i] = call->devnull;
    return POPEN_PLAIN;
}

static int
popen_open_file(popen_call *call, int i, PyObject *file)
{
    PyObject *number = PyObject_CallMethodNoArgs(file, call->st->str_fileno);
    if (number == NULL) {
        return POPEN_FAILED;
    }
    int fd, fine = popen_small_int(number, &fd) && fd >= 0;
    Py_DECREF(number);
    call->theirs[i] = fine ? fd : -1;
    return fine ? POPEN_PLAIN : POPEN_LEAVE;
}

/* Popen._get_handles. */
static int
popen_open(popen_call *call)
{
    int rc = POPEN_PLAIN;
    for (int i = 0; rc == POPEN_PLAIN && i < 3; i++) {
        PyObject *given = call->what->stdio[i];
        int fd;
        if (given == Py_None) {
            continue;
        }
        if (!PyLong_CheckExact(given)) {
            rc = popen_open_file(call, i, given);
            continue;
        }
        popen_small_int(given, &fd);
        if (fd == POPEN_PIPE) {
            rc = popen_open_pipe(call, i);
        }
        else if (fd == POPEN_DEVNULL) {
            rc = popen_open_devnull(call, i);
        }
        else {
            call->theirs[i] = fd == POPEN_STDOUT ? call->theirs[1] : fd;
        }
    }
    return rc;
}

/* Our ends of the pipes become files of the Popen. */
static int
popen_make_files(popen_call *call)
{
    fa_state *st = call->st;
    PyObject *names[] = {st->str_stdin, st->str_stdout, st->str_stderr};
    for (int i = 0; i < 3; i++) {
        if (call->ours[i] < 0) {
            continue;
        }
        PyObject *file = PyObject_CallFunction(st->FileIO, "is", call->ours[i],
                                               i == 0 ? "wb" : "rb");
        if (file == NULL) {
            return POPEN_FAILED;
        }
        call->ours[i] = -1; // the file's now
        int rc = popen_set(call, names[i], file);
        Py_DECREF(file);
        if (rc < 0) {
            return POPEN_FAILED;
        }
    }
    return POPEN_PLAIN;
}

/* -- conversions ------------------------------------------------------------------------ */

/* The list of arguments and the program, as the audit event tells them. */
static int
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
static int
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

/* -- the spawn ---------------------------------------------------------------------------- */

/* Does this Python name the directory only if that was what failed? Then other
   failures before the exec have no filename; else they have the directory's. */
static int
popen_tells_chdir(popen_call *call)
{
    PyObject *code = PyObject_GetAttrString(call->st->popen_own[1], "__code__");
    PyObject *consts =
        code == NULL ? NULL : PyObject_GetAttrString(code, "co_consts");
    PyObject *text = PyUnicode_FromString("noexec:chdir");
    int tells = consts == NULL || text == NULL
                    ? -1
                    : PySequence_Contains(consts, text);
    Py_XDECREF(code);
    Py_XDECREF(consts);
    Py_XDECREF(text);
    return tells;
}

/* subprocess.<name> as a truth; 0 if there is no such thing. 1, 0, -1. */
static int
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

/* Would Popen have called posix_spawn? That names the program whatever fails. */
static int
popen_would_posix_spawn(popen_call *call)
{
    const fa_child *child = &call->child;
    for (int i = 0; i < 3; i++) {
        if (child->stdio[i] >= 0 && child->stdio[i] <= 2) {
            return 0;
        }
    }
    if (strchr(child->paths[0], '/') == NULL || child->keep_count > 0 ||
        PyList_GET_SIZE(call->paths) != 1 || child->cwd != NULL ||
        child->new_session || child->group != -1 || child->umask >= 0)
    {
        return 0;
    }
    int on = popen_switch(call->st, "_USE_POSIX_SPAWN");
    return on <= 0 || !child->close_fds
               ? on
               : popen_switch(call->st, "_HAVE_POSIX_SPAWN_CLOSEFROM");
}

/* The OSError of a child that did not come to life. */
static void
popen_raise(popen_call *call, int neg_errno, int step)
{
    PyObject *name = NULL;
    int posix = popen_would_posix_spawn(call);
    if (posix < 0) {
        return;
    }
    if (step == FA_CHILD_EXEC || posix) {
        name = call->program;
    }
    else if (step != FA_CHILD_NONE) {
        int tells = popen_tells_chdir(call);
        if (tells < 0) {
            return;
        }
        name = !tells || step == FA_CHILD_CHDIR ? call->cwd : NULL;
    }
    errno = -neg_errno;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
}

/* Close what only the child needs, as _close_pipe_fds does. */
static void
popen_close_theirs(popen_call *call)
{
    for (int i = 0; i < 3; i++) {
        if (call->made[i]) {
            os_close(call->theirs[i]);
            call->made[i] = 0;
        }
    }
    if (call->devnull >= 0) {
        os_close(call->devnull);
        call->devnull = -1;
    }
}

static int
popen_spawn(popen_call *call, int *pidfd)
{
    fa_state *st = call->st;
    for (int i = 0; i < 3; i++) {
        call->child.stdio[i] = call->theirs[i];
    }
    int step, pid, code;
    Py_BEGIN_ALLOW_THREADS
    pid = child_spawn(&call->child, pidfd, &step);
    Py_END_ALLOW_THREADS
    popen_close_theirs(call);
    if (pid < 0) {
        popen_raise(call, pid, step);
        return POPEN_FAILED;
    }
    PyObject *number = PyLong_FromLong(pid);
    int rc = number == NULL || popen_set(call, st->str_pid, number) < 0 ||
                     popen_set(call, st->str__child_created, Py_True) < 0 ||
                     popen_set(call, st->str__closed_child_pipe_fds,
                               Py_True) < 0
                 ? POPEN_FAILED
                 : POPEN_PLAIN;
    Py_XDECREF(number);
    if (rc == POPEN_FAILED) { // no memory: nobody would ever know of this child
        kill(pid, SIGKILL);
        child_wait(pid, *pidfd, 1, &code);
    }
    return rc;
}

/* -- all of it ------------------------------------------------------------------------------ */

/* Everything but the Popen goes. Keeps the raised exception. */
static void
popen_end(popen_call *call)
{
    popen_close_theirs(call);
    for (int i = 0; i < 3; i++) {
        if (call->ours[i] >= 0) {
            os_close(call->ours[i]);
        }
    }
    Py_XDECREF(call->command);
    Py_XDECREF(call->argv);
    Py_XDECREF(call->paths);
    Py_XDECREF(call->envp);
    Py_XDECREF(call->directory);
    PyMem_Free(call->pointers);
    PyMem_Free(call->keep);
}

/* The files of a Popen that will not be: closed now, whoever holds it. */
static void
popen_drop(popen_call *call)
{
    PyObject *error = fa_err_take();
    fa_state *st = call->st;
    PyObject *names[] = {st->str_stdin, st->str_stdout, st->str_stderr};
    for (int i = 0; call->popen != NULL && i < 3; i++) {
        PyObject *file = PyObject_GetAttr(call->popen, names[i]);
        if (file != NULL && file != Py_None) {
            Py_XDECREF(PyObject_CallMethodNoArgs(file, st->str_close));
        }
        Py_XDECREF(file);
        PyErr_Clear();
    }
    Py_CLEAR(call->popen);
    fa_err_restore(error);
}

static int
popen_run(popen_call *call, int *pidfd)
{
    int rc = popen_plan(call);
    if (rc != POPEN_PLAIN) {
        return rc;
    }
    if (popen_clean_up(call->st) < 0 || popen_make(call) < 0) {
        return POPEN_FAILED;
    }
    if ((rc = popen_open(call)) != POPEN_PLAIN ||
        (rc = popen_make_files(call)) != POPEN_PLAIN ||
        (rc = popen_make_command(call)) != POPEN_PLAIN)
    {
        return rc;
    }
    if (PySys_Audit("subprocess.Popen", "OOOO", call->program, call->command,
                    call->cwd, call->env) < 0)
    {
        return POPEN_FAILED;
    }
    rc = popen_convert(call);
    return rc == POPEN_PLAIN ? popen_spawn(call, pidfd) : rc;
}

/* subprocess.Popen(...) itself. */
FA_COLD static PyObject *
popen_call_class(fa_state *st, const fa_popen *what)
{
    PyObject *type = PyObject_GetAttr(st->mod_subprocess, st->str_Popen);
    PyObject *args = type == NULL ? NULL : PyTuple_Pack(1, what->args);
    PyObject *kwargs = args == NULL ? NULL : PyDict_New();
    PyObject *popen = NULL;
    if (kwargs != NULL &&
        (what->kwargs == NULL || PyDict_Update(kwargs, what->kwargs) == 0) &&
        PyDict_SetItemString(kwargs, "shell", what->shell) == 0 &&
        PyDict_SetItemString(kwargs, "stdin", what->stdio[0]) == 0 &&
        PyDict_SetItemString(kwargs, "stdout", what->stdio[1]) == 0 &&
        PyDict_SetItemString(kwargs, "stderr", what->stdio[2]) == 0 &&
        PyDict_SetItemString(kwargs, "universal_newlines", Py_False) == 0 &&
        PyDict_SetItemString(kwargs, "bufsize", what->bufsize) == 0)
    {
        popen = PyObject_Call(type, args, kwargs);
    }
    Py_XDECREF(type);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return popen;
}

PyObject *
popen_start(fa_state *st, const fa_popen *what, int *pidfd)
{
    popen_call call = {
        .st = st, .what = what, .executable = Py_None, .cwd = Py_None,
        .env = Py_None, .size = -1, .ours = {-1, -1, -1},
        .theirs = {-1, -1, -1}, .devnull = -1,
        .child = {.group = -1, .umask = -1, .close_fds = 1,
                  .restore_signals = 1},
    };
    *pidfd = -1;
    int rc = popen_run(&call, pidfd);
    if (rc != POPEN_PLAIN) {
        popen_drop(&call);
    }
    popen_end(&call);
    return rc == POPEN_LEAVE ? popen_call_class(st, what) : call.popen;
}

int
popen_init(fa_state *st)
{
    PyObject *names[] = {st->str___init__, st->str__execute_child};
    for (int i = 0; i < 2; i++) {
        st->popen_own[i] = PyObject_GetAttr(st->Popen, names[i]);
        if (st->popen_own[i] == NULL) {
            return -1;
        }
    }
    return 0;
}
