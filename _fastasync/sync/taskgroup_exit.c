/* sync/taskgroup_exit.c: the block of a TaskGroup: __aenter__ and __aexit__.

   __aexit__ follows asyncio's line by line, because who cancelled whom and which
   exception wins is decided there: it waits until no task is left, again and
   again if it is cancelled meanwhile; then SystemExit or KeyboardInterrupt comes
   first, then a cancellation from outside unless there are errors, then the
   errors as one group. Leaving it ends every reference cycle of the group. */
#include "base/args.h"
#include "base/errors.h"
#include "sync/taskgroup.h"

const char *const group_field_names[GROUP_FIELDS] = {
    "_loop",   "_parent_task", "_tasks",
    "_errors", "_base_error",  "_on_completed_fut",
};

/* -- __aenter__ ---------------------------------------------------------------------- */

/* The loop and the parent task. 0 or -1. */
static int
group_bind(GroupObject *self)
{
    fa_state *st = self->st;
    PyObject *parent;
    if (self->fields[GROUP_LOOP] == Py_None) {
        PyObject *running = fa_get_running_loop(st);
        if (running == NULL) {
            return -1;
        }
        Py_SETREF(self->fields[GROUP_LOOP], running);
    }
    PyObject *loop = group_field(self, GROUP_LOOP);
    if (loop == NULL) {
        return -1;
    }
    int rc = scope_current_task(st, loop, &parent);
    Py_DECREF(loop);
    if (rc < 0) {
        return -1;
    }
    Py_XSETREF(self->fields[GROUP_PARENT],
               Py_NewRef(parent == NULL ? Py_None : parent));
    Py_XDECREF(parent);
    if (parent == NULL) {
        PyErr_Format(PyExc_RuntimeError,
                     "TaskGroup %R cannot determine the parent task", self);
        return -1;
    }
    return 0;
}

#if FA_HAS_GROUP_CANCEL

/* self.cancel() was called before. 0 or -1. */
static int
group_cancel_late(GroupObject *self)
{
    if (fa_is_plain(self, self->st->TaskGroupType)) {
        return group_cancel(self);
    }
    PyObject *done = PyObject_CallMethodNoArgs((PyObject *)self,
                                               self->st->str_cancel);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

#endif

static PySendResult
group_aenter_turn(CoroObject *co, PyObject *Py_UNUSED(value),
                  PyObject **result)
{
    GroupObject *self = (GroupObject *)co->vars[0];
    if (self->entered) {
        PyErr_Format(PyExc_RuntimeError,
                     "TaskGroup %R has already been entered", self);
        return PYGEN_ERROR;
    }
    if (group_bind(self) < 0) {
        return PYGEN_ERROR;
    }
    self->entered = 1;
#if FA_HAS_GROUP_CANCEL
    if (self->cancel_on_enter && group_cancel_late(self) < 0) {
        return PYGEN_ERROR;
    }
#endif
    return coro_return(co, (PyObject *)self, result);
}

static const fa_coro_kind group_aenter_kind = {
    "TaskGroup.__aenter__", group_aenter_turn,
};

/* -- __aexit__ ------------------------------------------------------------------------- */

/* vars: the group, type and instance of the exception that leaves the block, the
   CancelledError to propagate (NULL: none). */
enum { EXIT_GROUP, EXIT_TYPE, EXIT_EXC, EXIT_PROPAGATE };
enum { EXIT_BEGIN, EXIT_WAITED };

/* Is the block left by a cancellation? 1, 0, -1. */
static int
group_is_cancelled(CoroObject *co)
{
    PyObject *type = co->vars[EXIT_TYPE];
    if (type == Py_None) {
        return 0;
    }
    if (!FA_HAS_GROUP_RECANCEL || type == co->st->CancelledError) {
        return type == co->st->CancelledError;
    }
    return PyObject_IsSubclass(type, co->st->CancelledError);
}

/* If the group has cancelled its parent, take that back; was it the only one,
   no CancelledError is propagated. 0 or -1. */
static int
group_take_back(CoroObject *co, GroupObject *self)
{
    if (FA_LIKELY(!self->cancel_requested)) {
        return 0;
    }
    PyObject *parent = group_field(self, GROUP_PARENT);
    PyObject *left =
        parent == NULL ? NULL : fa_task_uncancel(self->st, parent);
    Py_XDECREF(parent);
    PyObject *zero = left == NULL ? NULL : PyLong_FromLong(0);
    int none =
        zero == NULL ? -1 : PyObject_RichCompareBool(left, zero, Py_EQ);
    Py_XDECREF(left);
    Py_XDECREF(zero);
    if (none > 0) {
        Py_CLEAR(co->vars[EXIT_PROPAGATE]);
    }
    return none < 0 ? -1 : 0;
}

/* Before waiting. 0 or -1. */
static int
group_exit_prepare(CoroObject *co, GroupObject *self)
{
    PyObject *exc = co->vars[EXIT_EXC];
    self->exiting = 1;
    if (exc != Py_None && group_note_base_error(self, exc) < 0) {
        return -1;
    }
    int cancelled = group_is_cancelled(co);
    if (cancelled < 0) {
        return -1;
    }
    if (cancelled && exc != Py_None) {
        co->vars[EXIT_PROPAGATE] = Py_NewRef(exc);
    }
    if (!FA_HAS_GROUP_RECANCEL && group_take_back(co, self) < 0) {
        return -1;
    }
    return co->vars[EXIT_TYPE] != Py_None && !self->aborting
               ? group_abort(self)
               : 0;
}

#if FA_HAS_GROUP_RECANCEL

/* The parent is being cancelled from outside: uncancel and cancel it, so that
   the count stays and the cancellation arrives later. 0 or -1. */
static int
group_recancel(GroupObject *self)
{
    fa_state *st = self->st;
    PyObject *parent = group_field(self, GROUP_PARENT);
    PyObject *open = parent == NULL ? NULL : fa_task_cancelling(st, parent);
    int rc = open == NULL ? -1 : PyObject_IsTrue(open);
    if (rc > 0) {
        PyObject *left = fa_task_uncancel(st, parent);
        rc = left == NULL ? -1 : fa_future_cancel(st, parent, NULL);
        Py_XDECREF(left);
    }
    Py_XDECREF(parent);
    Py_XDECREF(open);
    return rc < 0 ? -1 : 0;
}

#else

static int
group_recancel(GroupObject *Py_UNUSED(self))
{
    return 0;
}

#endif

/* raise BaseExceptionGroup('unhandled errors in a TaskGroup', errors) from None
 */
static void
group_raise_errors(GroupObject *self)
{
    PyObject *errors = group_field(self, GROUP_ERRORS);
    if (errors == NULL) {
        return;
    }
    PyObject *exc =
        PyObject_CallFunction(PyExc_BaseExceptionGroup, "sO",
                              "unhandled errors in a TaskGroup", errors);
    Py_DECREF(errors);
    if (exc == NULL) {
        return;
    }
    PyException_SetCause(exc, NULL); // from None
    fa_err_raise(exc);
    Py_DECREF(exc);
}

/* Is there nothing but the GeneratorExit that has left the block (3.15)? 1, 0,
   -1. */
static int
group_is_lone_exit(CoroObject *co, GroupObject *self)
{
    PyObject *type = co->vars[EXIT_TYPE];
    if (!FA_HAS_GROUP_CANCEL || type == Py_None) {
        return 0;
    }
    int is = PyObject_IsSubclass(type, PyExc_GeneratorExit);
    if (is <= 0) {
        return is;
    }
    Py_ssize_t count = PyObject_Size(self->fields[GROUP_ERRORS]);
    return count < 0 ? -1 : count == 1;
}

/* There are errors. */
static PySendResult
group_exit_with_errors(CoroObject *co, GroupObject *self)
{
    if (group_recancel(self) < 0) {
        return PYGEN_ERROR;
    }
    int lone = group_is_lone_exit(co, self);
    if (lone > 0) {
        fa_err_raise(co->vars[EXIT_EXC]);
    }
    else if (lone == 0) {
        group_raise_errors(self);
    }
    PyObject *raised = fa_err_take();
    Py_XSETREF(self->fields[GROUP_ERRORS], Py_NewRef(Py_None));
    fa_err_restore(raised);
    return PYGEN_ERROR;
}

/* No task is left: what comes out of the block? */
static PySendResult
group_exit_decide(CoroObject *co, GroupObject *self, PyObject **result)
{
    PyObject *base_error = group_field(self, GROUP_BASE_ERROR);
    if (base_error == NULL) {
        return PYGEN_ERROR;
    }
    if (FA_UNLIKELY(base_error != Py_None)) {
        fa_err_raise(base_error);
        Py_DECREF(base_error);
        return PYGEN_ERROR;
    }
    Py_DECREF(base_error);
    if (FA_HAS_GROUP_RECANCEL && group_take_back(co, self) < 0) {
        return PYGEN_ERROR;
    }
    int errors = group_has(self, GROUP_ERRORS);
    if (errors == 0 && co->vars[EXIT_PROPAGATE] != NULL) {
        fa_err_raise(co->vars[EXIT_PROPAGATE]);
        return PYGEN_ERROR;
    }
    int cancelled = errors < 0 ? -1 : group_is_cancelled(co);
    if (cancelled == 0 && co->vars[EXIT_TYPE] != Py_None) {
        cancelled = group_add_error(self, co->vars[EXIT_EXC]);
        errors = 1;
    }
    if (cancelled < 0) {
        return PYGEN_ERROR;
    }
    return FA_UNLIKELY(errors)   ? group_exit_with_errors(co, self)
           : FA_HAS_GROUP_CANCEL ? coro_return(co, Py_True, result)
                                 : coro_return_none(result);
}

/* while self._tasks: wait; then decide. */
static PySendResult
group_exit_wait(CoroObject *co, GroupObject *self, PyObject **result)
{
    int any = group_has(self, GROUP_TASKS);
    if (any <= 0) {
        return any < 0 ? PYGEN_ERROR : group_exit_decide(co, self, result);
    }
    if (self->fields[GROUP_WAITER] == Py_None) {
        PyObject *loop = group_field(self, GROUP_LOOP);
        PyObject *future =
            loop == NULL ? NULL : fa_create_future(self->st, loop);
        Py_XDECREF(loop);
        if (future == NULL) {
            return PYGEN_ERROR;
        }
        Py_XSETREF(self->fields[GROUP_WAITER], future);
    }
    PyObject *waiter = group_field(self, GROUP_WAITER);
    return waiter == NULL ? PYGEN_ERROR
                          : coro_await(co, EXIT_WAITED, waiter);
}

/* `await self._on_completed_fut` has ended. */
static PySendResult
group_exit_woken(CoroObject *co, GroupObject *self, PyObject *value,
                 PyObject **result)
{
    if (FA_UNLIKELY(value == NULL)) {
        if (!PyErr_ExceptionMatches(self->st->CancelledError)) {
            return PYGEN_ERROR;
        }
        PyObject *exc = fa_err_take();
        int rc = 0;
        if (!self->aborting) {
            // the parent is being cancelled while tasks still run
            Py_XSETREF(co->vars[EXIT_PROPAGATE], Py_NewRef(exc));
            rc = group_abort(self);
        }
        if (rc < 0) {
            raised_during(exc);
        }
        Py_DECREF(exc);
        if (rc < 0) {
            return PYGEN_ERROR;
        }
    }
    Py_XSETREF(self->fields[GROUP_WAITER], Py_NewRef(Py_None));
    return group_exit_wait(co, self, result);
}

/* The block is over, however it ended: no cycles, and since 3.12.8 and 3.13.1 no
   exceptions are kept. Keeps what is raised. */
static void
group_exit_forget(GroupObject *self)
{
    static const int dropped[] = {GROUP_PARENT, GROUP_ERRORS,
                                  GROUP_BASE_ERROR};
    PyObject *raised = fa_err_take();
    Py_CLEAR(self->on_done);
    for (int i = 0; self->st->group_forgets && i < 3; i++) {
        Py_XSETREF(self->fields[dropped[i]], Py_NewRef(Py_None));
    }
    fa_err_restore(raised);
}

static PySendResult
group_aexit_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    GroupObject *self = (GroupObject *)co->vars[EXIT_GROUP];
    PySendResult status;
    if (co->stage == EXIT_BEGIN) {
        status = group_exit_prepare(co, self) < 0
                     ? PYGEN_ERROR
                     : group_exit_wait(co, self, result);
    }
    else {
        status = group_exit_woken(co, self, value, result);
    }
    if (status != PYGEN_NEXT) {
        group_exit_forget(self);
    }
    return status;
}

static const fa_coro_kind group_aexit_kind = {
    "TaskGroup.__aexit__", group_aexit_turn,
};

static PyObject *
group_aexit_make(fa_state *st, PyObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "TaskGroup.__aexit__", .required = 3, .positional = 3,
        .python = 1, .total = 3, .names = {"et", "exc", "tb"},
    };
    return scope_exit_coro(st, &group_aexit_kind, &spec, self, args, nargs,
                           kwnames);
}

const fa_coro_def group_coros[] = {
    {"__aenter__", "TaskGroup.__aenter__", &group_aenter_kind, NULL,
     "__aenter__($self)\n--\n\nBegin the block; returns the group itself."},
    {"__aexit__", "TaskGroup.__aexit__", NULL, group_aexit_make,
     "__aexit__($self, et, exc, tb)\n--\n\n"
     "End the block: wait for the tasks, raise what has gone wrong."},
    {NULL, NULL, NULL, NULL, NULL},
};
