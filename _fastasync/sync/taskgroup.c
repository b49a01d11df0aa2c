/* sync/taskgroup.c: asyncio.TaskGroup.

   A group keeps a set of the tasks that are not done, a list of the errors of
   those that failed, and the task in whose block they were made, its parent. The
   first error cancels the others and the parent; __aexit__ waits until the set
   is empty and tells what has happened (taskgroup_exit.c); the class itself is
   taskgroup_type.c.

   One done-callback (task/closure.h) serves all tasks of a group, as long as they
   are made in the same context; a task of ours that ends well leaves the set
   without any Python code. It refers to the group, and the group to it: that
   cycle ends with __aexit__. A subclass, or a group with attributes of its own,
   is asked by its methods `_on_task_done`, `_abort`, `_is_base_error`, as in
   asyncio. HOT: group_create_task, group_on_done.
   Benchmark: taskgroup. */
#include "base/errors.h"
#include "sync/taskgroup.h"

/* -- engine: looking at it ----------------------------------------------------------------- */

PyObject *
group_field(GroupObject *self, int field)
{
    PyObject *value = self->fields[field];
    if (FA_UNLIKELY(value == NULL)) {
        PyErr_Format(PyExc_AttributeError,
                     "'%.100s' object has no attribute '%s'",
                     Py_TYPE(self)->tp_name, group_field_names[field]);
        return NULL;
    }
    return Py_NewRef(value);
}

int
group_has(GroupObject *self, int field)
{
    PyObject *value = self->fields[field];
    if (FA_LIKELY(value != NULL)) {
        if (FA_LIKELY(PySet_CheckExact(value))) {
            return PySet_GET_SIZE(value) > 0;
        }
        if (PyList_CheckExact(value)) {
            return PyList_GET_SIZE(value) > 0;
        }
    }
    value = group_field(self, field);
    int truth = value == NULL ? -1 : PyObject_IsTrue(value);
    Py_XDECREF(value);
    return truth;
}

int
group_is_base_error(GroupObject *self, PyObject *exc)
{
    fa_state *st = self->st;
    if (FA_LIKELY(fa_is_plain(self, st->TaskGroupType))) {
        return PyErr_GivenExceptionMatches(exc, PyExc_SystemExit) ||
               PyErr_GivenExceptionMatches(exc, PyExc_KeyboardInterrupt);
    }
    PyObject *answer = PyObject_CallMethodOneArg(
        (PyObject *)self, st->str__is_base_error, exc);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return truth;
}

/* -- engine: ending it ----------------------------------------------------------------------- */

int
group_cancel_tasks(GroupObject *self)
{
    self->aborting = 1;
    PyObject *tasks = group_field(self, GROUP_TASKS);
    PyObject *list = tasks == NULL ? NULL : PySequence_List(tasks);
    Py_XDECREF(tasks);
    if (list == NULL) {
        return -1;
    }
    int rc = 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(list); i++) {
        PyObject *task = PyList_GET_ITEM(list, i);
        int done = fa_future_done(self->st, task);
        if (done < 0 ||
            (!done && fa_future_cancel(self->st, task, NULL) < 0))
        {
            rc = -1;
        }
    }
    Py_DECREF(list);
    return rc;
}

int
group_abort(GroupObject *self)
{
    if (FA_LIKELY(fa_is_plain(self, self->st->TaskGroupType))) {
        return group_cancel_tasks(self);
    }
    PyObject *done = PyObject_CallMethodNoArgs((PyObject *)self,
                                               self->st->str__abort);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* self._parent_cancel_requested = True; self._parent_task.cancel() */
static int
group_cancel_parent(GroupObject *self)
{
    self->cancel_requested = 1;
    PyObject *parent = group_field(self, GROUP_PARENT);
    int rc = parent == NULL ? -1
                            : fa_future_cancel(self->st, parent, NULL);
    Py_XDECREF(parent);
    return rc < 0 ? -1 : 0;
}

/* -- engine: a task is done --------------------------------------------------------------------- */

/* 'Task ... has errored out but its parent task ... is already completed' */
static FA_COLD int
group_report_orphan(GroupObject *self, PyObject *task, PyObject *parent,
                    PyObject *exc)
{
    fa_state *st = self->st;
    PyObject *message = PyUnicode_FromFormat(
        "Task %R has errored out but its parent task %S is already completed",
        task, parent);
    PyObject *info =
        message == NULL ? NULL
                        : Py_BuildValue("{sOsOsO}", "message", message,
                                        "exception", exc, "task", task);
    PyObject *loop = info == NULL ? NULL : group_field(self, GROUP_LOOP);
    PyObject *done = NULL;
    if (loop != NULL) {
        done = PyObject_CallMethodOneArg(
            loop, st->str_call_exception_handler, info);
    }
    Py_XDECREF(message);
    Py_XDECREF(info);
    Py_XDECREF(loop);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int
group_add_error(GroupObject *self, PyObject *exc)
{
    PyObject *errors = group_field(self, GROUP_ERRORS);
    if (errors == NULL) {
        return -1;
    }
    int rc;
    if (FA_LIKELY(PyList_CheckExact(errors))) {
        rc = PyList_Append(errors, exc);
    }
    else {
        PyObject *done =
            PyObject_CallMethodOneArg(errors, self->st->str_append, exc);
        rc = done == NULL ? -1 : 0;
        Py_XDECREF(done);
    }
    Py_DECREF(errors);
    return rc;
}

int
group_note_base_error(GroupObject *self, PyObject *exc)
{
    int is = group_is_base_error(self, exc);
    if (is > 0 && self->fields[GROUP_BASE_ERROR] == Py_None) {
        Py_SETREF(self->fields[GROUP_BASE_ERROR], Py_NewRef(exc));
    }
    return is < 0 ? -1 : 0;
}

/* A task of the group has failed. 0 or -1. */
static FA_COLD int
group_task_failed(GroupObject *self, PyObject *task, PyObject *exc)
{
    if (group_add_error(self, exc) < 0 ||
        group_note_base_error(self, exc) < 0)
    {
        return -1;
    }
    PyObject *parent = group_field(self, GROUP_PARENT);
    int over = parent == NULL ? -1 : fa_future_done(self->st, parent);
    int rc = over < 0 ? -1 : 0;
    if (over > 0) {
        rc = group_report_orphan(self, task, parent, exc);
    }
    else if (rc == 0 && !self->aborting && !self->cancel_requested) {
        rc = group_abort(self);
        if (rc == 0) {
            rc = group_cancel_parent(self);
        }
    }
    Py_XDECREF(parent);
    return rc;
}

/* Something else than a set was put into _tasks: its method. 0 or -1. */
static int
group_tell_tasks(PyObject *tasks, const char *name, PyObject *task)
{
    PyObject *done = PyObject_CallMethod(tasks, name, "O", task);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* It leaves the set; the last one wakes __aexit__. 0 or -1. */
static int
group_discard(GroupObject *self, PyObject *task)
{
    fa_state *st = self->st;
    PyObject *tasks = group_field(self, GROUP_TASKS);
    if (tasks == NULL) {
        return -1;
    }
    int rc = FA_LIKELY(PySet_CheckExact(tasks))
                 ? PySet_Discard(tasks, task)
                 : group_tell_tasks(tasks, "discard", task);
    Py_DECREF(tasks);
    PyObject *parent = self->fields[GROUP_PARENT];
    if (FA_HAS_AWAITED_BY && rc >= 0 && parent != NULL) {
        Py_INCREF(parent);
        rc = fa_awaited_by_discard(st, task, parent);
        Py_DECREF(parent);
    }
    PyObject *waiter = self->fields[GROUP_WAITER];
    if (rc < 0 || waiter == Py_None || waiter == NULL) {
        return rc < 0 ? -1 : 0;
    }
    int left = group_has(self, GROUP_TASKS);
    if (left != 0) {
        return left < 0 ? -1 : 0;
    }
    Py_INCREF(waiter);
    rc = release_waiter(st, waiter, Py_True);
    Py_DECREF(waiter);
    return rc;
}

int
group_task_done(GroupObject *self, PyObject *task)
{
    PyObject *exc;
    if (group_discard(self, task) < 0) {
        return -1;
    }
    int cancelled = fa_future_cancelled(self->st, task);
    if (cancelled != 0) {
        return cancelled < 0 ? -1 : 0;
    }
    if (fa_future_exception(self->st, task, &exc) < 0) {
        return -1;
    }
    if (FA_LIKELY(exc == NULL)) {
        return 0;
    }
    int rc = group_task_failed(self, task, exc);
    Py_DECREF(exc);
    return rc;
}

/* The same for a task that has failed, in a context like that of a Handle: what
   is cancelled and who is told may be Python code. */
static FA_COLD int
group_task_done_in_context(GroupObject *self, PyObject *task,
                           PyObject *context)
{
    PyObject *copy = PyContext_Copy(context);
    if (copy == NULL || PyContext_Enter(copy) < 0) {
        Py_XDECREF(copy);
        return -1;
    }
    int rc = group_task_done(self, task);
    PyObject *raised = rc < 0 ? fa_err_take() : NULL;
    if (PyContext_Exit(copy) < 0) {
        rc = -1;
    }
    fa_err_chain(raised);
    Py_DECREF(copy);
    return rc;
}

static FA_HOT int
group_on_done(ClosureObject *done, PyObject *task)
{
    GroupObject *self = (GroupObject *)done->vars[0];
    if (FA_UNLIKELY(self == NULL)) {
        return 0; // the garbage collector has emptied it
    }
    Py_INCREF(self);
    int rc = FA_UNLIKELY(done->plain && future_check_exact(self->st, task) &&
                         ((FutureObject *)task)->failed)
                 ? group_task_done_in_context(self, task, done->context)
                 : group_task_done(self, task);
    Py_DECREF(self);
    return rc;
}

static const fa_closure_kind group_done_kind = {
    "TaskGroup._on_task_done", "task", group_on_done,
};

/* -- engine: a new task ------------------------------------------------------------------------------ */

/* Would a closure that is made now have the same context as this one? */
static inline int
group_same_context(const ClosureObject *done)
{
    fa_state *st = done->st;
    PyObject *current = PyThreadState_Get()->context;
    return st->context_vars && current != NULL &&
           *(void **)((char *)current + st->context_vars) ==
               *(void **)((char *)done->context + st->context_vars);
}

/* task.add_done_callback(self._on_task_done). 0 or -1. */
static int
group_hook(GroupObject *self, PyObject *task)
{
    fa_state *st = self->st;
    if (FA_UNLIKELY(!fa_is_plain(self, st->TaskGroupType))) {
        PyObject *method =
            PyObject_GetAttr((PyObject *)self, st->str__on_task_done);
        int rc = method == NULL
                     ? -1
                     : fa_future_add_done_callback(st, task, method);
        Py_XDECREF(method);
        return rc;
    }
    ClosureObject *done = (ClosureObject *)self->on_done;
    if (FA_UNLIKELY(done == NULL || !group_same_context(done))) {
        done = closure_new(st, &group_done_kind, NULL);
        if (done == NULL) {
            return -1;
        }
        done->vars[0] = Py_NewRef((PyObject *)self);
        Py_XSETREF(self->on_done, (PyObject *)done);
    }
    Py_INCREF(done);
    int rc = closure_add(done, task);
    Py_DECREF(done);
    return rc;
}

/* The task belongs to the group from now on. 0 or -1. */
static int
group_take(GroupObject *self, PyObject *task)
{
    fa_state *st = self->st;
    PyObject *parent = self->fields[GROUP_PARENT];
    if (FA_HAS_AWAITED_BY && parent != NULL) {
        Py_INCREF(parent);
        int rc = fa_awaited_by_add(st, task, parent);
        Py_DECREF(parent);
        if (rc < 0) {
            return -1;
        }
    }
    if (st->group_shortcut) {
        int done = fa_future_done(st, task);
        if (done != 0) {
            return done < 0 ? -1 : group_settle_now(self, task);
        }
    }
    PyObject *tasks = group_field(self, GROUP_TASKS);
    int rc = tasks == NULL ? -1
             : FA_LIKELY(PySet_CheckExact(tasks))
                 ? PySet_Add(tasks, task)
                 : group_tell_tasks(tasks, "add", task);
    Py_XDECREF(tasks);
    return rc < 0 ? -1 : group_hook(self, task);
}

int
group_settle_now(GroupObject *self, PyObject *task)
{
    if (FA_LIKELY(fa_is_plain(self, self->st->TaskGroupType))) {
        return group_task_done(self, task);
    }
    PyObject *done = PyObject_CallMethodOneArg(
        (PyObject *)self, self->st->str__on_task_done, task);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* RuntimeError: the group takes no tasks; what it is given is closed. */
static FA_COLD int
group_refuse(GroupObject *self, PyObject *coro, const char *why)
{
    if (self->st->group_closes) {
        PyObject *closed =
            PyObject_CallMethodNoArgs(coro, self->st->str_close);
        if (closed == NULL) {
            return -1;
        }
        Py_DECREF(closed);
    }
    PyErr_Format(PyExc_RuntimeError, "TaskGroup %R %s", self, why);
    return -1;
}

/* May it have another task? 0 or -1. */
static inline int
group_check_open(GroupObject *self, PyObject *coro)
{
    if (FA_UNLIKELY(!self->entered)) {
        return group_refuse(self, coro, "has not been entered");
    }
    if (FA_UNLIKELY(self->exiting)) {
        int any = group_has(self, GROUP_TASKS);
        if (any <= 0) {
            return any < 0 ? -1 : group_refuse(self, coro, "is finished");
        }
    }
    if (FA_UNLIKELY(self->aborting)) {
        return group_refuse(self, coro, "is shutting down");
    }
    return 0;
}

#if !FA_HAS_TASK_KWARGS

/* self._loop.create_task(coro[, name=name][, context=context]) by the method,
   as asyncio calls it (new). */
static FA_COLD PyObject *
group_make_task(GroupObject *self, PyObject *loop, PyObject *coro,
                PyObject *name, PyObject *context)
{
    fa_state *st = self->st;
    PyObject *args[] = {loop, coro, NULL, NULL};
    PyObject *names[2];
    Py_ssize_t given = 0;
    if (FA_HAS_CREATE_TASK_NAME) {
        names[given] = st->str_name;
        args[2 + given++] = name;
    }
    if (context != Py_None) {
        names[given] = st->str_context;
        args[2 + given++] = context;
    }
    PyObject *kwnames = PyTuple_New(given);
    if (kwnames == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < given; i++) {
        PyTuple_SET_ITEM(kwnames, i, Py_NewRef(names[i]));
    }
    PyObject *task =
        PyObject_VectorcallMethod(st->str_create_task, args, 2, kwnames);
    Py_DECREF(kwnames);
    return task;
}

#endif

/* tasks._set_task_name(task, name), where the loop is not told the name: `task`
   (taken over, NULL allowed), or NULL. */
static PyObject *
group_name_task(fa_state *st, PyObject *task, PyObject *name)
{
    if (FA_HAS_CREATE_TASK_NAME || task == NULL || name == NULL ||
        name == Py_None)
    {
        return task;
    }
    PyObject *done = PyObject_CallMethod(st->mod_tasks, "_set_task_name",
                                         "OO", task, name);
    Py_XDECREF(done);
    if (done == NULL) {
        Py_CLEAR(task);
    }
    return task;
}

/* A task of the loop, or NULL: `kwnames` are the keywords after `coro`. */
static PyObject *
group_new_task(GroupObject *self, PyObject *loop, PyObject *const *args,
               PyObject *kwnames)
{
    fa_state *st = self->st;
    PyObject *name = NULL, *context = NULL, *task;
    Py_ssize_t count = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    int simple = 1;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, i);
        if (key == st->str_name) {
            name = args[1 + i];
        }
        else if (key == st->str_context) {
            context = args[1 + i];
        }
        else {
            simple = 0;
        }
    }
    PyObject *told = FA_HAS_CREATE_TASK_NAME ? name : NULL;
    if (FA_LIKELY(simple &&
                  fa_create_task_direct(st, loop, args[0], told, context,
                                        &task)))
    {
        return group_name_task(st, task, name);
    }
#if FA_HAS_TASK_KWARGS
    PyObject *method = PyObject_GetAttr(loop, st->str_create_task);
    task = method == NULL ? NULL
                          : PyObject_Vectorcall(method, args, 1, kwnames);
    Py_XDECREF(method);
    return task;
#else
    task = group_make_task(self, loop, args[0], name ? name : Py_None,
                           context ? context : Py_None);
    return group_name_task(st, task, name);
#endif
}

FA_HOT PyObject *
group_create_task(GroupObject *self, PyObject *const *args,
                  PyObject *kwnames)
{
    if (group_check_open(self, args[0]) < 0) {
        return NULL;
    }
    PyObject *loop = group_field(self, GROUP_LOOP);
    if (loop == NULL) {
        return NULL;
    }
    PyObject *task = group_new_task(self, loop, args, kwnames);
    Py_DECREF(loop);
    if (task != NULL && group_take(self, task) < 0) {
        Py_CLEAR(task);
    }
    return task;
}

#if FA_HAS_GROUP_CANCEL

/* -- engine: cancel() -------------------------------------------------------------- */

int
group_cancel(GroupObject *self)
{
    if (!self->entered) {
        self->cancel_on_enter = 1;
        return 0;
    }
    if (self->exiting) {
        int any = group_has(self, GROUP_TASKS);
        if (any <= 0) {
            return any;
        }
    }
    if (self->aborting) {
        return 0;
    }
    if (group_abort(self) < 0) {
        return -1;
    }
    PyObject *parent = self->fields[GROUP_PARENT];
    return parent != NULL && parent != Py_None && !self->cancel_requested
               ? group_cancel_parent(self)
               : 0;
}

#endif
