/* task/step_enter.c: steps that do not come from our ring.

   A foreign loop, or a Handle of ours in debug mode, calls a task's step in the
   task's context already; what is left is to make it the current task, through
   asyncio's own hooks if the loop is not ours or does not run in this thread. An
   eager start runs the first step inside of another task's: it puts itself in
   the place of the current task and brings that back. Errors of leaving are
   chained to those of the step. Cold, but for the eager start. */
#include "base/errors.h"
#include "loop/current.h"
#include "task/private.h"

/* -- anywhere ------------------------------------------------------------------------- */

/* The task's loop, if it is ours and runs in this thread; else NULL. */
static LoopObject *
task_loop_here(TaskObject *task)
{
    LoopObject *loop = (LoopObject *)task->fut.loop;
    return task->fut.ours && loop->tstate == PyThreadState_Get() ? loop : NULL;
}

static int
task_call_hook(PyObject *hook, PyObject *loop, TaskObject *task)
{
    PyObject *args[] = {NULL, loop, (PyObject *)task};
    PyObject *answer = PyObject_Vectorcall(
        hook, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* A step on a loop that is not ours, through asyncio's hooks. */
static int
task_step_foreign(TaskObject *task, PyObject *exc)
{
    fa_state *st = task->fut.st;
    PyObject *loop = Py_NewRef(task->fut.loop);
    int rc = task_call_hook(st->c_enter_task, loop, task);
    if (rc == 0) {
        rc = task_step(task, exc);
        PyObject *raised = rc < 0 ? fa_err_take() : NULL;
        if (task_call_hook(st->c_leave_task, loop, task) < 0) {
            rc = -1;
        }
        fa_err_chain(raised);
    }
    Py_DECREF(loop);
    return rc;
}

FA_COLD int
task_step_anywhere(TaskObject *task, PyObject *exc)
{
    if (future_ensure_alive(&task->fut) < 0) {
        return -1;
    }
    task_track(task);
    LoopObject *loop = task_loop_here(task);
    if (loop == NULL) {
        return task_step_foreign(task, exc);
    }
    Py_INCREF(loop);
    int rc = loop_current_enter(loop, (PyObject *)task);
    if (rc == 0) {
        rc = task_step(task, exc);
        loop_current_leave(loop, (PyObject *)task, 1);
    }
    Py_DECREF(loop);
    return rc;
}

/* -- eager start ------------------------------------------------------------------------ */

#if FA_HAS_EAGER_START

/* Exchange the current task of the task's loop: `task` NULL = none. The former
   one (new, NULL = none) goes to *before. */
static int
task_swap_current(TaskObject *of, PyObject *task, PyObject **before)
{
    LoopObject *loop = task_loop_here(of);
    if (loop != NULL) {
        return loop_current_swap(loop, task, before);
    }
    fa_state *st = of->fut.st;
    PyObject *args[] = {NULL, of->fut.loop, task == NULL ? Py_None : task};
    PyObject *former = PyObject_Vectorcall(
        st->c_swap_current_task, args + 1,
        2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    *before = former == Py_None ? NULL : former;
    return former == NULL ? -1 : 0;
}

int
task_eager_start(TaskObject *task)
{
    PyObject *former, *self;
    if (task_swap_current(task, (PyObject *)task, &former) < 0) {
        return -1;
    }
    registry_add(task);
    PyObject *context = Py_NewRef(task->context); // its own when eager
    int rc = PyContext_Enter(context);
    if (rc == 0) {
        rc = task_step(task, NULL);
        PyObject *raised = rc < 0 ? fa_err_take() : NULL;
        if (PyContext_Exit(context) < 0) {
            rc = -1;
        }
        fa_err_chain(raised);
    }
    PyObject *raised = rc < 0 ? fa_err_take() : NULL;
    if (task_swap_current(task, former, &self) < 0) {
        rc = -1;
    }
    else {
        Py_XDECREF(self);
    }
    fa_err_chain(raised);
    Py_XDECREF(former);
    Py_DECREF(context);
    if (task->fut.state != FA_PENDING) {
        Py_CLEAR(task->coro);
    }
    return rc;
}

#endif
