/* net/popen.c: from the arguments of subprocess.Popen to a running child.

   What subprocess.Popen.__init__ does, for the arguments that can be told from
   their types to be plain, in its order: pipes, file objects, the audit event,
   conversions, the spawn (os/child.c). The result is a real Popen whose
   attributes are those that __init__ would have set.

   Invariant: whatever is not plain is left to subprocess.Popen itself, so every
   error of a wrong argument is Popen's own. That is decided by looking only,
   before anything is opened (popen_plan.c); an argument that turns out to be wrong
   when it is converted (popen_convert.c) undoes the rest and goes the same way.
   Left to Popen are: a class that was patched or replaced, preexec_fn, user,
   group and extra_groups (another user must not share our memory, see
   os/child.c), subprocess._USE_VFORK = False.

   Called by process.c. Cost: about 5 us besides the spawn. Benchmark:
   spawn_true. */
#include "net/popen.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/errors.h"

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
    PyObject *active = PyObject_GetAttr(st->mod_subprocess, st->str__active);
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
        PyObject *file = PyObject_CallFunction(st->FileIO_type, "is", call->ours[i],
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
