/* net/process.c: ProcessTransport.

   asyncio's _UnixSubprocessTransport: what is called while a child lives or its
   pipes carry data is in C; what is called once (close, kill, repr, ...) is
   asyncio's own code of the running Python, which finds the attributes it knows.

   A real subclass of asyncio.SubprocessTransport: the slot of that class is our
   field `extra`. Only a loop makes it (process_new), so it is never half made.
   Called by api/loop_process.c, exitwatch.c and the pipe protocols. Cost: the
   Python objects that asyncio makes too. Benchmarks: spawn_true, cat_1mb. */
#include "net/process.h"

#include "base/args.h"
#include "base/errors.h"
#include "base/fields.h"
#include "os/os.h"
#include "task/coro.h"

/* -- new ------------------------------------------------------------------------ */

/* `stream == subprocess.PIPE`, for what the user gave as stdin, ... */
static int
process_wants_pipe(PyObject *stream)
{
    if (!PyLong_Check(stream)) {
        return 0;
    }
    int overflow;
    return PyLong_AsLongAndOverflow(stream, &overflow) == -1 && !overflow;
}

static ProcessObject *
process_alloc(fa_state *st, LoopObject *loop, PyObject *protocol,
              PyObject *extra)
{
    PyTypeObject *type = st->SubprocessTransportType;
    ProcessObject *self = (ProcessObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->st = st;
    self->pidfd = -1;
    self->closed = Py_NewRef(Py_False);
    self->finished = Py_NewRef(Py_False);
    self->loop = Py_NewRef((PyObject *)loop);
    self->protocol = Py_NewRef(protocol);
    self->proc = Py_NewRef(Py_None);
    self->pid = Py_NewRef(Py_None);
    self->returncode = Py_NewRef(Py_None);
    self->extra = extra == NULL || extra == Py_None ? PyDict_New()
                                                    : Py_NewRef(extra);
    self->exit_waiters = PyList_New(0);
    self->pending_calls = PyObject_CallNoArgs(st->deque);
    self->pipes = PyDict_New();
    if (self->extra == NULL || self->exit_waiters == NULL ||
        self->pending_calls == NULL || self->pipes == NULL)
    {
        Py_SETREF(self->closed, Py_NewRef(Py_True));
        Py_CLEAR(self);
    }
    return self;
}

/* logger.debug('process %r created: pid %s', program, pid) in debug mode. */
static int
process_log_created(ProcessObject *self, PyObject *args)
{
    int debug = fa_loop_debug(self->st, self->loop);
    if (debug <= 0) {
        return debug;
    }
    PyObject *program = PyBytes_Check(args) || PyUnicode_Check(args)
                            ? Py_NewRef(args)
                            : PySequence_GetItem(args, 0);
    PyObject *logger =
        program == NULL
            ? NULL
            : PyObject_GetAttr(self->st->mod_log, self->st->str_logger);
    PyObject *done = logger == NULL
                         ? NULL
                         : PyObject_CallMethod(logger, "debug", "sOO",
                                               "process %r created: pid %s",
                                               program, self->pid);
    Py_XDECREF(program);
    Py_XDECREF(logger);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* The child runs: everything that __init__ does from there on. */
static int
process_begin(ProcessObject *self, const fa_popen *what, PyObject *waiter)
{
    fa_state *st = self->st;
    PyObject *number = PyObject_GetAttr(self->proc, st->str_pid);
    if (number == NULL) {
        return -1;
    }
    Py_SETREF(self->pid, number);
    if (PyObject_SetItem(self->extra, st->str_subprocess, self->proc) < 0 ||
        process_log_created(self, what->args) < 0)
    {
        return -1;
    }
    long pid = PyLong_Check(self->pid) ? PyLong_AsLong(self->pid) : 0;
    if (pid == -1 && PyErr_Occurred()) {
        return -1;
    }
    self->child = (int)pid;
    PyObject *coro = process_connect_pipes(self, waiter);
    PyObject *task =
        coro == NULL ? NULL : fa_create_task(st, self->loop, coro);
    Py_XDECREF(coro);
    Py_XDECREF(task);
    return task == NULL ? -1 : 0;
}

PyObject *
process_new(LoopObject *loop, PyObject *protocol, const fa_popen *what,
            PyObject *waiter, PyObject *extra)
{
    fa_state *st = loop->st;
    ProcessObject *self = process_alloc(st, loop, protocol, extra);
    if (self == NULL) {
        return NULL;
    }
    for (long i = 0; i < 3; i++) {
        PyObject *fd = process_wants_pipe(what->stdio[i]) ? PyLong_FromLong(i)
                                                          : NULL;
        if (fd != NULL && PyDict_SetItem(self->pipes, fd, Py_None) < 0) {
            Py_DECREF(fd);
            goto failed;
        }
        Py_XDECREF(fd);
    }
    PyObject *proc = popen_start(st, what, &self->pidfd);
    if (proc == NULL) {
        Py_SETREF(self->closed, Py_NewRef(Py_True));
        goto failed;
    }
    Py_SETREF(self->proc, proc);
    if (process_begin(self, what, waiter) < 0) {
        goto failed;
    }
    return (PyObject *)self;
failed:
    Py_DECREF(self);
    return NULL;
}

/* -- traverse, clear, dealloc ------------------------------------------------------ */

static int
Process_traverse(ProcessObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->extra);
    Py_VISIT(self->dict);
    Py_VISIT(self->loop);
    Py_VISIT(self->protocol);
    Py_VISIT(self->proc);
    Py_VISIT(self->pid);
    Py_VISIT(self->returncode);
    Py_VISIT(self->closed);
    Py_VISIT(self->finished);
    Py_VISIT(self->exit_waiters);
    Py_VISIT(self->pending_calls);
    Py_VISIT(self->pipes);
    return 0;
}

static int
Process_clear(ProcessObject *self)
{
    exitwatch_stop(self);
    Py_CLEAR(self->extra);
    Py_CLEAR(self->dict);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->proc);
    Py_CLEAR(self->pid);
    Py_CLEAR(self->returncode);
    Py_CLEAR(self->closed);
    Py_CLEAR(self->finished);
    Py_CLEAR(self->exit_waiters);
    Py_CLEAR(self->pending_calls);
    Py_CLEAR(self->pipes);
    return 0;
}

/* asyncio's __del__: a transport that nobody has closed. */
static void
Process_finalize(PyObject *op)
{
    ProcessObject *self = (ProcessObject *)op;
    if (self->closed == NULL || self->closed == Py_True) {
        return;
    }
    PyObject *error = fa_err_take();
    PyObject *done = NULL;
    if (PyErr_ResourceWarning(op, 1, "unclosed transport %R", op) == 0) {
        done = PyObject_CallMethodNoArgs(op, self->st->str_close);
    }
    if (done == NULL) {
        fa_err_unraisable(op);
    }
    Py_XDECREF(done);
    fa_err_restore(error);
}

/* A Popen that goes with its transport, after the exit: nothing is left for its
   __del__ to look after, and this tells it so. Nobody else can see it. */
static void
process_retire_popen(ProcessObject *self)
{
    fa_state *st = self->st;
    if (self->extra == NULL || !PyDict_CheckExact(self->extra) ||
        Py_REFCNT(self->extra) != 1 || self->returncode == NULL ||
        self->returncode == Py_None)
    {
        return;
    }
    PyObject *error = fa_err_take();
    PyObject *proc = PyDict_GetItemWithError(self->extra, st->str_subprocess);
    if (proc != NULL && Py_IS_TYPE(proc, (PyTypeObject *)st->Popen) &&
        Py_REFCNT(proc) == 1 + (self->proc == proc))
    {
        (void)PyObject_SetAttr(proc, st->str__child_created, Py_False);
    }
    PyErr_Clear();
    fa_err_restore(error);
}

static int
Process_drop(ProcessObject *self)
{
    process_retire_popen(self);
    return Process_clear(self);
}

static void
Process_dealloc(ProcessObject *self)
{
    fa_finalized_dealloc((PyObject *)self, (inquiry)Process_drop, NULL);
}

/* -- what happens to the child -------------------------------------------------------- */

/* loop.call_soon(callback, *args[1:]); args[0] is room for the loop. */
static int
process_call_soon(ProcessObject *self, PyObject *callback, PyObject *a,
                  PyObject *b)
{
    fa_state *st = self->st;
    PyObject *loop = Py_NewRef(self->loop);
    PyObject *args[] = {loop, callback, a, b};
    Py_ssize_t n = (a != NULL) + (b != NULL);
    PyObject *handle;
    if (FA_LIKELY(loop_check(st, loop) && ((LoopObject *)loop)->direct)) {
        handle = loop_call_soon((LoopObject *)loop, callback, args + 2, n,
                                NULL);
    }
    else {
        handle = PyObject_VectorcallMethod(st->str_call_soon, args,
                                           (size_t)(2 + n), NULL);
    }
    Py_DECREF(loop);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

int
process_call(ProcessObject *self, PyObject *callback, PyObject *a, PyObject *b)
{
    if (self->pending_calls == Py_None) {
        return process_call_soon(self, callback, a, b);
    }
    PyObject *data = PyTuple_New((a != NULL) + (b != NULL));
    if (data == NULL) {
        return -1;
    }
    if (a != NULL) {
        PyTuple_SET_ITEM(data, 0, Py_NewRef(a));
    }
    if (b != NULL) {
        PyTuple_SET_ITEM(data, 1, Py_NewRef(b));
    }
    PyObject *pair = PyTuple_Pack(2, callback, data);
    Py_DECREF(data);
    PyObject *done = pair == NULL
                         ? NULL
                         : PyObject_CallMethodOneArg(self->pending_calls,
                                                     self->st->str_append,
                                                     pair);
    Py_XDECREF(pair);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* self._call(self._protocol.<name>, a, b). HOT */
static int
process_tell(ProcessObject *self, PyObject *name, PyObject *a, PyObject *b)
{
    PyObject *protocol = Py_NewRef(self->protocol);
    PyObject *method = PyObject_GetAttr(protocol, name);
    Py_DECREF(protocol);
    if (method == NULL) {
        return -1;
    }
    int rc = process_call(self, method, a, b);
    Py_DECREF(method);
    return rc;
}

/* Are all pipes connected and lost again? Where they could not be connected,
   asyncio up to 3.13 waits for ever. 1, 0 or -1. */
static int
process_pipes_gone(ProcessObject *self)
{
    if (PyDict_CheckExact(self->pipes) && PyDict_GET_SIZE(self->pipes) == 0) {
        return 1;
    }
    PyObject *pipes = PyMapping_Values(self->pipes);
    int rc = pipes == NULL ? -1 : 1;
    for (Py_ssize_t i = 0; rc > 0 && i < PyList_GET_SIZE(pipes); i++) {
        PyObject *pipe = PyList_GET_ITEM(pipes, i);
        if (pipe == Py_None) {
            rc = self->pipes_failed;
            continue;
        }
        PyObject *gone = PyObject_GetAttr(pipe, self->st->str_disconnected);
        rc = gone == NULL ? -1 : PyObject_IsTrue(gone);
        Py_XDECREF(gone);
    }
    Py_XDECREF(pipes);
    return rc;
}

static int
process_try_finish(ProcessObject *self)
{
    if (self->finished == Py_True) {
        PyErr_SetNone(PyExc_AssertionError);
        return -1;
    }
    int gone = self->returncode == Py_None ? 0 : process_pipes_gone(self);
    if (gone <= 0) {
        return gone;
    }
    Py_SETREF(self->finished, Py_NewRef(Py_True));
    PyObject *end =
        PyObject_GetAttr((PyObject *)self, self->st->str__call_connection_lost);
    int rc = end == NULL ? -1 : process_call(self, end, Py_None, NULL);
    Py_XDECREF(end);
    return rc < 0 || self->st->exit_wakes ? rc : process_wake(self);
}

/* logger.info('%r exited with return code %r', self, code) in debug mode. */
static int
process_log_exit(ProcessObject *self, PyObject *code)
{
    fa_state *st = self->st;
    int debug = fa_loop_debug(st, self->loop);
    if (debug <= 0) {
        return debug;
    }
    PyObject *logger = PyObject_GetAttr(st->mod_log, st->str_logger);
    PyObject *done = logger == NULL
                         ? NULL
                         : PyObject_CallMethod(
                               logger, "info", "sOO",
                               "%r exited with return code %r", self, code);
    Py_XDECREF(logger);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int
process_exited(ProcessObject *self, PyObject *code)
{
    fa_state *st = self->st;
    PyObject *wrong = code == Py_None               ? code
                      : self->returncode != Py_None ? self->returncode
                                                    : NULL;
    if (wrong != NULL) {
        PyErr_SetObject(PyExc_AssertionError, wrong);
        return -1;
    }
    if (process_log_exit(self, code) < 0) {
        return -1;
    }
    Py_SETREF(self->returncode, Py_NewRef(code));
    PyObject *proc = Py_NewRef(self->proc);
    PyObject *known = PyObject_GetAttr(proc, st->str_returncode);
    int rc = known == NULL ? -1 : 0;
    if (known == Py_None) {
        rc = PyObject_SetAttr(proc, st->str_returncode, code);
    }
    Py_XDECREF(known);
    Py_DECREF(proc);
    if (rc < 0 || process_tell(self, st->str_process_exited, NULL, NULL) < 0 ||
        process_try_finish(self) < 0)
    {
        return -1;
    }
    return st->exit_wakes ? process_wake(self) : 0;
}

/* -- methods ------------------------------------------------------------------------------ */

static int
process_check_count(const char *name, Py_ssize_t nargs, Py_ssize_t wanted)
{
    if (nargs == wanted) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments (%zd given)", name,
                 wanted, nargs);
    return -1;
}

static PyObject *
Process_pipe_data_received(ProcessObject *self, PyObject *const *args,
                           Py_ssize_t nargs)
{
    if (process_check_count("_pipe_data_received", nargs, 2) < 0 ||
        process_tell(self, self->st->str_pipe_data_received, args[0],
                     args[1]) < 0)
    {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Process_pipe_connection_lost(ProcessObject *self, PyObject *const *args,
                             Py_ssize_t nargs)
{
    if (process_check_count("_pipe_connection_lost", nargs, 2) < 0 ||
        process_tell(self, self->st->str_pipe_connection_lost, args[0],
                     args[1]) < 0 ||
        process_try_finish(self) < 0)
    {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Process_process_exited(ProcessObject *self, PyObject *code)
{
    return process_exited(self, code) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
Process_try_finish(ProcessObject *self, PyObject *Py_UNUSED(ignored))
{
    return process_try_finish(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
Process_call_connection_lost(ProcessObject *self, PyObject *exc)
{
    PyObject *protocol = Py_NewRef(self->protocol);
    PyObject *done = PyObject_CallMethodOneArg(
        protocol, self->st->str_connection_lost, exc);
    PyObject *error = fa_err_take();
    Py_DECREF(protocol);
    Py_XSETREF(self->loop, Py_NewRef(Py_None));
    Py_XSETREF(self->proc, Py_NewRef(Py_None));
    Py_XSETREF(self->protocol, Py_NewRef(Py_None));
    fa_err_restore(error);
    return done;
}

static PyObject *
Process_get_pid(ProcessObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self->pid);
}

static PyObject *
Process_get_returncode(ProcessObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self->returncode);
}

static PyObject *
Process_get_pipe_transport(ProcessObject *self, PyObject *fd)
{
    PyObject *pipes = self->pipes;
    int there = PySequence_Contains(pipes, fd); // a dict, unless replaced
    if (there <= 0) {
        return there < 0 ? NULL : Py_NewRef(Py_None);
    }
    PyObject *pipe = PyObject_GetItem(pipes, fd);
    PyObject *found =
        pipe == NULL ? NULL : PyObject_GetAttr(pipe, self->st->str_pipe);
    Py_XDECREF(pipe);
    return found;
}

FA_METHOD_ONE(Process_get_pipe_transport, ProcessObject,
              "BaseSubprocessTransport.get_pipe_transport", "fd")

static PyObject *
Process_is_closing(ProcessObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self->closed);
}

static PyObject *
Process_get_protocol(ProcessObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self->protocol);
}

static PyObject *
Process_set_protocol(ProcessObject *self, PyObject *protocol)
{
    Py_SETREF(self->protocol, Py_NewRef(protocol));
    Py_RETURN_NONE;
}

FA_METHOD_ONE(Process_set_protocol, ProcessObject,
              "BaseSubprocessTransport.set_protocol", "protocol")

/* asyncio's own code, but where it would do nothing more: without pipes, after
   the exit. */
static PyObject *
Process_close(ProcessObject *self, PyObject *Py_UNUSED(ignored))
{
    if (self->closed == Py_True) {
        Py_RETURN_NONE;
    }
    if (self->returncode != Py_None && PyDict_CheckExact(self->pipes) &&
        PyDict_GET_SIZE(self->pipes) == 0)
    {
        Py_SETREF(self->closed, Py_NewRef(Py_True));
        Py_RETURN_NONE;
    }
    PyObject *close = PyObject_GetAttr(self->st->asyncio_UnixSubprocess,
                                       self->st->str_close);
    PyObject *done = close == NULL
                         ? NULL
                         : PyObject_CallOneArg(close, (PyObject *)self);
    Py_XDECREF(close);
    return done;
}

/* -- tables ---------------------------------------------------------------------------------- */

#define FAST(name, function, doc) \
    {name, (PyCFunction)(void (*)(void))(function), METH_FASTCALL, doc}
#define NAMED(name, function, doc) \
    {name, (PyCFunction)(void (*)(void))(function), \
     METH_FASTCALL | METH_KEYWORDS, doc}
static PyMethodDef Process_methods[] = {
    FAST("_pipe_data_received", Process_pipe_data_received,
         "_pipe_data_received($self, fd, data, /)\n--\n\n"
         "Tell the protocol, in the loop's next iteration."),
    FAST("_pipe_connection_lost", Process_pipe_connection_lost,
         "_pipe_connection_lost($self, fd, exc, /)\n--\n\n"
         "Tell the protocol, in the loop's next iteration."),
    {"_process_exited", (PyCFunction)Process_process_exited, METH_O,
     "_process_exited($self, returncode, /)\n--\n\nThe child has ended."},
    {"_try_finish", (PyCFunction)Process_try_finish, METH_NOARGS,
     "_try_finish($self, /)\n--\n\n"
     "Schedule connection_lost if child and pipes are gone."},
    {"_call_connection_lost", (PyCFunction)Process_call_connection_lost,
     METH_O,
     "_call_connection_lost($self, exc, /)\n--\n\nThe end of the transport."},
    {"get_pid", (PyCFunction)Process_get_pid, METH_NOARGS,
     "get_pid($self, /)\n--\n\nReturn the child's process id."},
    {"get_returncode", (PyCFunction)Process_get_returncode, METH_NOARGS,
     "get_returncode($self, /)\n--\n\n"
     "Return the child's exit code, None while it runs."},
    NAMED("get_pipe_transport", Process_get_pipe_transport_kw,
          "get_pipe_transport($self, fd)\n--\n\n"
          "Return the transport of the pipe to the child's `fd`, or None."),
    {"close", (PyCFunction)Process_close, METH_NOARGS,
     "close($self, /)\n--\n\n"
     "Close the pipes, and kill the child if it still runs."},
    {"is_closing", (PyCFunction)Process_is_closing, METH_NOARGS,
     "is_closing($self, /)\n--\n\nTell whether close() was called."},
    {"get_protocol", (PyCFunction)Process_get_protocol, METH_NOARGS,
     "get_protocol($self, /)\n--\n\nReturn the protocol."},
    NAMED("set_protocol", Process_set_protocol_kw,
          "set_protocol($self, protocol)\n--\n\nSet another protocol."),
    {NULL, NULL, 0, NULL},
};
#undef FAST
#undef NAMED

static PyMemberDef Process_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(ProcessObject, dict), READONLY,
     NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ProcessObject, weakrefs),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* Attributes of asyncio's class, which its own methods read and write. */
#define ATTR(name, field) \
    FA_FIELD_ROW(name, fa_field_get, fa_field_set_full, ProcessObject, field)
static PyGetSetDef Process_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    ATTR("_loop", loop),
    ATTR("_protocol", protocol),
    ATTR("_proc", proc),
    ATTR("_pid", pid),
    ATTR("_returncode", returncode),
    ATTR("_closed", closed),
    ATTR("_finished", finished),
    ATTR("_exit_waiters", exit_waiters),
    ATTR("_pending_calls", pending_calls),
    ATTR("_pipes", pipes),
    {NULL, NULL, NULL, NULL, NULL},
};
#undef ATTR

static PyType_Slot Process_slots[] = {
    {Py_tp_doc, (void *)"A child process and its pipes. Loops make it.\n"
                        "See asyncio.SubprocessTransport."},
    {Py_tp_traverse, Process_traverse},
    {Py_tp_clear, Process_clear},
    {Py_tp_finalize, Process_finalize},
    {Py_tp_dealloc, Process_dealloc},
    {Py_tp_methods, Process_methods},
    {Py_tp_members, Process_members},
    {Py_tp_getset, Process_getset},
    {0, NULL},
};

static PyType_Spec Process_spec = {
    .name = "fastasync.ProcessTransport",
    .basicsize = sizeof(ProcessObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Process_slots,
};

/* What is called seldom is asyncio's. */
static int
process_borrow(fa_state *st, PyObject *from)
{
    static const char *const names[] = {
        "__repr__", "_check_proc", "send_signal", "terminate", "kill",
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(names); i++) {
        PyObject *function = PyObject_GetAttrString(from, names[i]);
        int rc = function == NULL
                     ? -1
                     : PyObject_SetAttrString(
                           (PyObject *)st->SubprocessTransportType, names[i],
                           function);
        Py_XDECREF(function);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

/* Does asyncio's method `name` of this very release use the name `used`? */
static int
process_method_uses(PyObject *cls, const char *name, const char *used)
{
    PyObject *method = PyObject_GetAttrString(cls, name);
    PyObject *code =
        method == NULL ? NULL : PyObject_GetAttrString(method, "__code__");
    PyObject *names =
        code == NULL ? NULL : PyObject_GetAttrString(code, "co_names");
    PyObject *wanted = names == NULL ? NULL : PyUnicode_FromString(used);
    int uses = wanted == NULL ? -1 : PySequence_Contains(names, wanted);
    Py_XDECREF(method);
    Py_XDECREF(code);
    Py_XDECREF(names);
    Py_XDECREF(wanted);
    return uses;
}

static int
process_find_ways(fa_state *st)
{
    int wakes = process_method_uses(st->asyncio_UnixSubprocess,
                                    "_process_exited", "_exit_waiters");
    int shields = process_method_uses(
        st->asyncio_UnixLoop, "_make_subprocess_transport", "shield");
    st->exit_wakes = wakes == 1;
    st->spawn_shields = shields == 1;
    st->asyncio_spawn = PyObject_GetAttrString(st->asyncio_UnixLoop,
                                               "_make_subprocess_transport");
    st->asyncio_exec = PyObject_GetAttrString(st->asyncio_UnixLoop,
                                              "subprocess_exec");
    st->asyncio_exited = PyObject_GetAttr(st->asyncio_UnixLoop,
                                          st->str__child_watcher_callback);
    return wakes < 0 || shields < 0 || st->asyncio_spawn == NULL ||
                   st->asyncio_exec == NULL || st->asyncio_exited == NULL
               ? -1
               : 0;
}

int
process_type_init(PyObject *module, fa_state *st)
{
    PyTypeObject *base = (PyTypeObject *)st->asyncio_Subprocess;
    if (base->tp_basicsize != (Py_ssize_t)offsetof(ProcessObject, dict)) {
        PyErr_SetString(PyExc_ImportError,
                        "asyncio.SubprocessTransport is not as expected");
        return -1;
    }
    if (popen_init(st) < 0 || process_find_ways(st) < 0 ||
        fa_type_new(module, &Process_spec, (PyObject *)base,
                    &st->SubprocessTransportType) < 0 ||
        process_borrow(st, st->asyncio_UnixSubprocess) < 0 ||
        process_wait_init(st) < 0)
    {
        return -1;
    }
    return PyModule_AddObjectRef(module, "ProcessTransport",
                                 (PyObject *)st->SubprocessTransportType);
}
