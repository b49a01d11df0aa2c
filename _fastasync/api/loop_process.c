/* api/loop_process.c: loop.subprocess_exec() and _make_subprocess_transport(),
   which it awaits, and asyncio's subprocess_shell() too.

   Debug mode, and keywords that only exist to be refused, are left to asyncio's
   own subprocess_exec.

   Where everything is asyncio's default, the child is watched by a pidfd
   (net/exitwatch.c). A child watcher that a program has chosen or written
   (before 3.14: of the event loop policy), or a transport class that somebody has
   put in the place of asyncio's, gets asyncio's own coroutine. */
#include "api/api.h"

#include "base/errors.h"
#include "net/net.h"
#include "task/coro.h"

/* -- who watches? ------------------------------------------------------------------ */

/* Is what the attribute gives (new reference, taken) that very object? */
static int
process_is(PyObject *found, PyObject *wanted)
{
    Py_XDECREF(found);
    return found == NULL ? -1 : found == wanted;
}

#if FA_HAS_CHILD_WATCHERS

/* Is the policy's watcher one that a pidfd can stand in for? 1, 0, -1. */
static int
process_watcher_is_default(LoopObject *loop)
{
    fa_state *st = loop->st;
    int own = process_is(
        PyObject_GetAttr(st->mod_events, st->str_get_child_watcher),
        st->get_child_watcher);
    if (own <= 0) {
        return own;
    }
    PyObject *policy =
        PyObject_GetAttr(st->mod_events, st->str__event_loop_policy);
    if (policy == NULL || policy == Py_None) {
        Py_XDECREF(policy);
        return policy == NULL ? -1 : 1;
    }
    PyObject *get =
        PyObject_GetAttr(st->UnixPolicy, st->str_get_child_watcher);
    own = get == NULL ? -1
                      : process_is(PyObject_GetAttr(
                                       (PyObject *)Py_TYPE(policy),
                                       st->str_get_child_watcher), get);
    Py_XDECREF(get);
    PyObject *watcher = own <= 0 ? NULL
                                 : PyObject_GetAttr(policy, st->str__watcher);
    if (own > 0) {
        PyTypeObject *type = watcher == NULL ? NULL : Py_TYPE(watcher);
        own = watcher == NULL ? -1
              : watcher == Py_None ||
                  type == (PyTypeObject *)st->ThreadedWatcher ||
                  (FA_HAS_PIDFD_WATCHER &&
                   type == (PyTypeObject *)st->PidfdWatcher);
    }
    Py_XDECREF(watcher);
    Py_DECREF(policy);
    return own;
}

#else

static int
process_watcher_is_default(LoopObject *loop)
{
    PyObject *watcher =
        PyObject_GetAttr((PyObject *)loop, loop->st->str__watcher);
    if (watcher == NULL) {
        return -1;
    }
    int own = Py_IS_TYPE(watcher, (PyTypeObject *)loop->st->PidfdWatcher);
    Py_DECREF(watcher);
    return own;
}

#endif

/* Is everything that asyncio's coroutine would use as asyncio has made it? */
static int
process_is_default(LoopObject *loop)
{
    fa_state *st = loop->st;
    int own = process_is(PyObject_GetAttr(st->mod_unix_events,
                                          st->str__UnixSubprocessTransport),
                         st->asyncio_UnixSubprocess);
    if (own > 0) {
        own = process_is(PyObject_GetAttr((PyObject *)Py_TYPE(loop),
                                          st->str__child_watcher_callback),
                         st->asyncio_exited);
    }
    return own <= 0 ? own : process_watcher_is_default(loop);
}

/* A kernel without pidfds: asyncio's watcher that has a thread per child. */
FA_COLD static int
process_watch_by_thread(LoopObject *loop, PyObject *transport)
{
    fa_state *st = loop->st;
    PyObject *watcher = PyObject_CallNoArgs(st->ThreadedWatcher);
    PyObject *pid = watcher == NULL
                        ? NULL
                        : PyObject_CallMethod(transport, "get_pid", NULL);
    PyObject *callback =
        pid == NULL ? NULL
                    : PyObject_GetAttr((PyObject *)loop,
                                       st->str__child_watcher_callback);
    PyObject *done = callback == NULL
                         ? NULL
                         : PyObject_CallMethod(watcher, "add_child_handler",
                                               "OOO", pid, callback,
                                               transport);
    Py_XDECREF(watcher);
    Py_XDECREF(pid);
    Py_XDECREF(callback);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int
process_watch_end(LoopObject *loop, PyObject *transport)
{
    int watched = process_watch(transport, loop);
    return watched == 0 ? process_watch_by_thread(loop, transport)
           : watched < 0 ? -1
                         : 0;
}

/* -- the coroutine ------------------------------------------------------------------ */

/* vars: the loop; a tuple of the arguments; the other keywords, a dict; then the
   transport. `args`: what _make_subprocess_transport takes by position. */
enum { SPAWN_LOOP, SPAWN_ARGS, SPAWN_KWARGS, SPAWN_TRANSPORT };
enum {
    TAKES_PROTOCOL,
    TAKES_COMMAND,
    TAKES_SHELL,
    TAKES_STDIN,
    TAKES_STDOUT,
    TAKES_STDERR,
    TAKES_BUFSIZE,
    TAKES_EXTRA,
    TAKES_COUNT,
};

/* The coroutine, for both kinds: `args` and `kwargs` become its second and third
   variable. Takes over both; NULL, with its exception, if one is NULL. */
static PyObject *
process_coro(fa_state *st, const fa_coro_kind *kind, PyObject *loop,
             PyObject *args, PyObject *kwargs)
{
    CoroObject *co = args == NULL || kwargs == NULL
                         ? NULL
                         : coro_new(st, kind, loop, args);
    Py_XDECREF(args);
    if (co == NULL) {
        Py_XDECREF(kwargs);
        return NULL;
    }
    co->vars[SPAWN_KWARGS] = kwargs;
    return (PyObject *)co;
}

static PySendResult
spawn_delegate(CoroObject *co, int stage)
{
    PyObject *method =
        PyMethod_New(co->st->asyncio_spawn, co->vars[SPAWN_LOOP]);
    PyObject *coro = method == NULL
                         ? NULL
                         : PyObject_Call(method, co->vars[SPAWN_ARGS],
                                         co->vars[SPAWN_KWARGS]);
    Py_XDECREF(method);
    return coro == NULL ? PYGEN_ERROR : coro_await(co, stage, coro);
}

static PySendResult
spawn_begin(CoroObject *co, int stage)
{
    LoopObject *loop = (LoopObject *)co->vars[SPAWN_LOOP];
    PyObject *const *args = &PyTuple_GET_ITEM(co->vars[SPAWN_ARGS], 0);
    fa_popen what = {
        .args = args[TAKES_COMMAND],
        .shell = args[TAKES_SHELL],
        .stdio = {args[TAKES_STDIN], args[TAKES_STDOUT], args[TAKES_STDERR]},
        .bufsize = args[TAKES_BUFSIZE],
        .kwargs = co->vars[SPAWN_KWARGS],
    };
    PyObject *waiter = fa_create_future(co->st, (PyObject *)loop);
    if (waiter == NULL) {
        return PYGEN_ERROR;
    }
    PyObject *transport =
        process_new(loop, args[TAKES_PROTOCOL], &what, waiter, args[TAKES_EXTRA]);
    co->vars[SPAWN_TRANSPORT] = transport;
    if (transport == NULL || process_watch_end(loop, transport) < 0) {
        Py_DECREF(waiter);
        return PYGEN_ERROR;
    }
    return coro_await(co, stage, waiter);
}

/* Interrupted while the pipes were being connected: kill the child and wait for
   its end; the exception waits in `args`. */
static PySendResult
spawn_give_up(CoroObject *co, int stage)
{
    fa_state *st = co->st;
    if (fa_err_is_exit()) {
        return PYGEN_ERROR;
    }
    PyObject *error = fa_err_take();
    PyObject *transport = co->vars[SPAWN_TRANSPORT];
    PyObject *closed = PyObject_CallMethodNoArgs(transport, st->str_close);
    PyObject *end = closed == NULL ? NULL
                                   : PyObject_CallMethodNoArgs(transport,
                                                               st->str__wait);
    Py_XDECREF(closed);
    if (end != NULL && st->spawn_shields) {
        Py_SETREF(end, PyObject_CallMethod(st->mod_tasks, "shield", "O", end));
    }
    if (end == NULL) {
        fa_err_chain(error);
        return PYGEN_ERROR;
    }
    Py_SETREF(co->vars[SPAWN_ARGS], error);
    return coro_await(co, stage, end);
}

static PySendResult
spawn_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    enum { AT_BEGIN, AT_DELEGATED, AT_CONNECTED, AT_ENDED };
    switch (co->stage) {
    case AT_BEGIN: {
        int own = process_is_default((LoopObject *)co->vars[SPAWN_LOOP]);
        return own < 0    ? PYGEN_ERROR
               : own == 0 ? spawn_delegate(co, AT_DELEGATED)
                          : spawn_begin(co, AT_CONNECTED);
    }
    case AT_DELEGATED:
        return value == NULL ? PYGEN_ERROR : coro_return(co, value, result);
    case AT_CONNECTED:
        return value == NULL ? spawn_give_up(co, AT_ENDED)
                             : coro_return(co, co->vars[SPAWN_TRANSPORT], result);
    default: {
        PyObject *error = co->vars[SPAWN_ARGS];
        co->vars[SPAWN_ARGS] = NULL;
        if (value == NULL) { // and again
            fa_err_chain(error);
        }
        else {
            fa_err_restore(error);
        }
        return PYGEN_ERROR;
    }
    }
}

static const fa_coro_kind spawn_kind = {
    "_UnixSelectorEventLoop._make_subprocess_transport", spawn_turn};

/* -- arguments -------------------------------------------------------------------------- */

static int
spawn_keywords(PyObject **out, PyObject *kwargs, PyObject *const *values,
               PyObject *kwnames)
{
    static const char *const names[TAKES_COUNT] = {
        "protocol", "args", "shell", "stdin", "stdout", "stderr", "bufsize",
        "extra",
    };
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        int at = 0;
        while (at < TAKES_COUNT &&
               PyUnicode_CompareWithASCIIString(name, names[at]) != 0)
        {
            at++;
        }
        if (at < TAKES_COUNT && out[at] != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "_UnixSelectorEventLoop._make_subprocess_transport() "
                         "got multiple values for argument '%U'", name);
            return -1;
        }
        if (at < TAKES_COUNT) {
            out[at] = values[i];
        }
        else if (PyDict_SetItem(kwargs, name, values[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The tuple of positional arguments (new); the rest goes into `kwargs`. */
static PyObject *
spawn_arguments(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                PyObject *kwargs)
{
    PyObject *out[TAKES_COUNT] = {NULL};
    if (nargs > TAKES_COUNT) {
        PyErr_Format(PyExc_TypeError,
                     "_UnixSelectorEventLoop._make_subprocess_transport() "
                     "takes from 8 to 9 positional arguments but %zd were "
                     "given", nargs + 1);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        out[i] = args[i];
    }
    if (kwnames != NULL &&
        spawn_keywords(out, kwargs, args + nargs, kwnames) < 0)
    {
        return NULL;
    }
    out[TAKES_EXTRA] = out[TAKES_EXTRA] == NULL ? Py_None : out[TAKES_EXTRA];
    PyObject *tuple = PyTuple_New(TAKES_COUNT);
    for (int i = 0; tuple != NULL && i < TAKES_COUNT; i++) {
        if (out[i] == NULL) {
            PyErr_SetString(
                PyExc_TypeError,
                "_UnixSelectorEventLoop._make_subprocess_transport() "
                "missing required positional arguments");
            Py_CLEAR(tuple);
            break;
        }
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(out[i]));
    }
    return tuple;
}

static PyObject *
spawn_make(fa_state *st, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *kwargs = PyDict_New();
    PyObject *tuple = kwargs == NULL
                          ? NULL
                          : spawn_arguments(args, nargs, kwnames, kwargs);
    return process_coro(st, &spawn_kind, self, tuple, kwargs);
}

/* -- subprocess_exec() ------------------------------------------------------------------ */

/* vars: the loop; program and arguments, a tuple; the keywords; the protocol's
   factory, then the protocol. */
enum { EXEC_LOOP, EXEC_COMMAND, EXEC_KWARGS, EXEC_PROTOCOL };

/* loop._make_subprocess_transport(protocol, command, False, stdin, stdout, stderr,
   0, **rest): the coroutine (new). Takes the keywords that it passes by position
   out of the dict. */
static PyObject *
exec_make(CoroObject *co)
{
    fa_state *st = co->st;
    PyObject *names[] = {st->str_stdin, st->str_stdout, st->str_stderr};
    PyObject *kwargs = co->vars[EXEC_KWARGS];
    PyObject *make = PyObject_GetAttr(co->vars[EXEC_LOOP],
                                      st->str__make_subprocess_transport);
    PyObject *args = make == NULL ? NULL : PyTuple_New(7);
    if (args == NULL) {
        Py_XDECREF(make);
        return NULL;
    }
    PyTuple_SET_ITEM(args, 0, Py_NewRef(co->vars[EXEC_PROTOCOL]));
    PyTuple_SET_ITEM(args, 1, Py_NewRef(co->vars[EXEC_COMMAND]));
    PyTuple_SET_ITEM(args, 2, Py_NewRef(Py_False));
    PyTuple_SET_ITEM(args, 6, PyLong_FromLong(0)); // a small int: never fails
    int rc = 0;
    for (int i = 0; i < 3; i++) {
        PyObject *given = PyDict_GetItemWithError(kwargs, names[i]);
        PyTuple_SET_ITEM(args, 3 + i, given != NULL ? Py_NewRef(given)
                                                    : PyLong_FromLong(-1));
        if (given != NULL && rc == 0) {
            rc = PyDict_DelItem(kwargs, names[i]);
        }
    }
    PyObject *coro = rc < 0 || PyErr_Occurred()
                         ? NULL
                         : PyObject_Call(make, args, kwargs);
    Py_DECREF(make);
    Py_DECREF(args);
    return coro;
}

static PySendResult
exec_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (co->stage == 1) {
        PyObject *pair = value == NULL ? NULL
                                       : PyTuple_Pack(2, value,
                                                      co->vars[EXEC_PROTOCOL]);
        *result = pair;
        return pair == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    }
    PyObject *protocol = PyObject_CallNoArgs(co->vars[EXEC_PROTOCOL]);
    if (protocol == NULL) {
        return PYGEN_ERROR;
    }
    Py_SETREF(co->vars[EXEC_PROTOCOL], protocol);
    PyObject *coro = exec_make(co);
    return coro == NULL ? PYGEN_ERROR : coro_await(co, 1, coro);
}

static const fa_coro_kind exec_kind = {"BaseEventLoop.subprocess_exec",
                                       exec_turn};

/* Is it one that subprocess_exec names, but stdin, stdout and stderr? */
static int
exec_is_refused(PyObject *name)
{
    static const char *const names[] = {
        "program", "protocol_factory", "universal_newlines", "shell",
        "bufsize", "encoding", "errors", "text",
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(names); i++) {
        if (PyUnicode_CompareWithASCIIString(name, names[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The keywords as a dict (new); NULL with an exception, or without one if asyncio
   is to see them. */
static PyObject *
exec_keywords(PyObject *const *values, PyObject *kwnames)
{
    PyObject *kwargs = PyDict_New();
    Py_ssize_t n = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; kwargs != NULL && i < n; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (exec_is_refused(name) ||
            PyDict_SetItem(kwargs, name, values[i]) < 0)
        {
            Py_CLEAR(kwargs);
        }
    }
    return kwargs;
}

/* asyncio's own coroutine. */
FA_COLD static PyObject *
exec_delegate(fa_state *st, PyObject *self, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *method = PyMethod_New(st->asyncio_exec, self);
    PyObject *coro =
        method == NULL
            ? NULL
            : PyObject_Vectorcall(method, args, (size_t)nargs, kwnames);
    Py_XDECREF(method);
    return coro;
}

static PyObject *
exec_begin(fa_state *st, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames)
{
    int debug = fa_loop_debug(st, self);
    if (debug < 0) {
        return NULL;
    }
    PyObject *kwargs = debug || nargs < 2 ? NULL
                                          : exec_keywords(args + nargs, kwnames);
    if (kwargs == NULL) {
        return PyErr_Occurred()
                   ? NULL
                   : exec_delegate(st, self, args, nargs, kwnames);
    }
    PyObject *command = PyTuple_New(nargs - 1);
    for (Py_ssize_t i = 1; command != NULL && i < nargs; i++) {
        PyTuple_SET_ITEM(command, i - 1, Py_NewRef(args[i]));
    }
    PyObject *coro = process_coro(st, &exec_kind, self, command, kwargs);
    if (coro != NULL) {
        ((CoroObject *)coro)->vars[EXEC_PROTOCOL] = Py_NewRef(args[0]);
    }
    return coro;
}

const fa_coro_def loop_process_coros[] = {
    {"subprocess_exec", "BaseEventLoop.subprocess_exec", NULL, exec_begin,
     "subprocess_exec($self, protocol_factory, program, *args, stdin=-1,\n"
     "                stdout=-1, stderr=-1, universal_newlines=False,\n"
     "                shell=False, bufsize=0, encoding=None, errors=None,\n"
     "                text=None, **kwargs)\n"
     "--\n\n"
     "Run a program; return its transport and protocol when the pipes are\n"
     "connected. See asyncio.loop.subprocess_exec."},
    {"_make_subprocess_transport",
     "_UnixSelectorEventLoop._make_subprocess_transport", NULL, spawn_make,
     "_make_subprocess_transport($self, protocol, args, shell, stdin, stdout,\n"
     "                           stderr, bufsize, extra=None, **kwargs)\n"
     "--\n\n"
     "Start a child process; return its transport when the pipes are\n"
     "connected."},
    {NULL, NULL, NULL, NULL, NULL},
};
