/* api/loop_run.c: run_forever, run_until_complete, stop, close.

   What asyncio keeps on `self` during a run (the former asyncgen hooks) stands
   here on the C stack of the run, so that a run inside a run has its own. What
   else a run inside a run puts away and brings back is in loop/level.c. */
#include "api/api.h"

#include "base/args.h"
#include "base/errors.h"
#include "loop/current.h"
#include "task/task.h"

/* asyncio.events._set_running_loop, by the name tests replace, and the C one
   that asyncio's Task looks at. `loop` may be None. 0 or -1. */
static int
run_set_running_loop(fa_state *st, PyObject *loop)
{
    PyObject *function =
        PyObject_GetAttr(st->mod_events, st->str__set_running_loop);
    if (function == NULL) {
        return -1;
    }
    PyObject *done = PyObject_CallOneArg(function, loop);
    if (done != NULL && function != st->c_set_running_loop) {
        Py_SETREF(done, PyObject_CallOneArg(st->c_set_running_loop, loop));
    }
    Py_DECREF(function);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* A loop is running: go on if it may be nested, else raise. 0 or -1. */
static FA_COLD int
run_check_nesting(LoopObject *loop, const char *refusal)
{
    int elsewhere = loop->thread_id != 0 &&
                    loop->thread_id != PyThread_get_thread_ident();
    int may = elsewhere ? 0 : loop_may_nest(loop);
    if (may == 2) { // then in our way from now on
        PyObject *done = PyObject_CallMethod((PyObject *)loop,
                                             "_adopt_nest_asyncio", NULL);
        may = done == NULL ? -1 : 1;
        Py_XDECREF(done);
    }
    if (may == 0) {
        PyErr_SetString(PyExc_RuntimeError, refusal);
    }
    return may > 0 ? 0 : -1;
}

/* May the loop be run now? 0 and the running loop of this thread (new, NULL =
   none) in *above, or -1. */
static int
run_check(LoopObject *loop, PyObject **above)
{
    *above = NULL;
    if (loop->thread_id != 0 &&
        run_check_nesting(loop, "This event loop is already running") < 0)
    {
        return -1;
    }
    PyObject *other = PyObject_CallMethodNoArgs(
        loop->st->mod_events, loop->st->str__get_running_loop);
    if (other == NULL) {
        return -1;
    }
    if (other == Py_None) {
        Py_CLEAR(other);
        if (FA_LIKELY(loop->thread_id == 0)) {
            return 0;
        }
    }
    if ((loop->thread_id == 0 &&
         run_check_nesting(loop, "Cannot run the event loop while another "
                                 "loop is running") < 0) ||
        level_check_depth(loop, other) < 0)
    {
        Py_XDECREF(other);
        return -1;
    }
    *above = other;
    return 0;
}

static int
run_check_not_running(LoopObject *loop)
{
    PyObject *above;
    int rc = run_check(loop, &above);
    Py_XDECREF(above);
    return rc;
}

/* sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, ..._finalizer_hook);
   the former hooks (a tuple, new) in *saved. 0 or -1. */
static int
run_set_hooks(LoopObject *loop, PyObject **saved)
{
    fa_state *st = loop->st;
    *saved = PyObject_CallNoArgs(st->get_asyncgen_hooks);
    PyObject *self = (PyObject *)loop, *done = NULL;
    PyObject *first = PyObject_GetAttr(self, st->str__asyncgen_firstiter_hook);
    PyObject *final =
        PyObject_GetAttr(self, st->str__asyncgen_finalizer_hook);
    if (*saved != NULL && first != NULL && final != NULL) {
        PyObject *args[2] = {first, final};
        done = PyObject_Vectorcall(st->set_asyncgen_hooks, args, 2, NULL);
    }
    Py_XDECREF(first);
    Py_XDECREF(final);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int
run_track_origins(LoopObject *loop, int enabled)
{
    PyObject *done = PyObject_CallMethodOneArg(
        (PyObject *)loop, loop->st->str__set_coroutine_origin_tracking,
        enabled ? Py_True : Py_False);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Everything run_forever does before the first turn. 0 or -1. */
static int
run_setup(LoopObject *loop, PyObject **saved_hooks)
{
    *saved_hooks = NULL;
    loop->hash = PyObject_Hash((PyObject *)loop);
    if (loop->hash == -1 || loop_refresh_overrides(loop) < 0) {
        return -1;
    }
    if (loop->debug && run_track_origins(loop, 1) < 0) {
        return -1;
    }
    if (run_set_hooks(loop, saved_hooks) < 0) {
        return -1;
    }
    loop->thread_id = PyThread_get_thread_ident();
    loop->tstate = PyThreadState_Get();
    if (!loop->running) {
        loop->running = 1;
        loop->polled = 0;
    }
    loop->turns = FA_POLL_EVERY;
    loop->brisk = FA_POLL_BRISK - 1;
    return run_set_running_loop(loop->st, (PyObject *)loop);
}

/* No run of the loop is left. */
static void
run_not_running(LoopObject *loop)
{
    loop->running = 0;
    loop->thread_id = 0;
    loop->tstate = NULL;
    loop_settle_handles(loop);
}

/* sys.set_asyncgen_hooks(*hooks); `rc` < 0 = an exception is raised, which
   stays. Returns rc, or -1. */
static int
run_restore_hooks(LoopObject *loop, PyObject *hooks, int rc)
{
    PyObject *failure = rc < 0 ? fa_err_take() : NULL;
    PyObject *done = PyObject_Call(loop->st->set_asyncgen_hooks, hooks, NULL);
    rc = done == NULL ? -1 : rc;
    Py_XDECREF(done);
    fa_err_chain(failure);
    return rc;
}

/* What must be undone however the run ended; keeps the raised exception. Frees
   the level. */
static int
run_cleanup(LoopObject *loop, fa_level *level, PyObject *saved_hooks)
{
    int rc = 0;
    int goes_on = level_unlink(loop, level);
    PyObject *exc = fa_err_take();
    if (!goes_on) {
        run_not_running(loop);
    }
    PyObject *above = level->above == NULL ? Py_None : level->above;
    if (run_set_running_loop(loop->st, above) < 0 ||
        (loop->was_debug && !goes_on && run_track_origins(loop, 0) < 0))
    {
        rc = -1;
    }
    if (saved_hooks != NULL) {
        rc = run_restore_hooks(loop, saved_hooks, rc);
    }
    if (level_leave(loop, level) < 0) {
        rc = -1;
    }
    if (rc == 0) {
        fa_err_restore(exc);
        return 0;
    }
    fa_err_chain(exc);
    return -1;
}

/* run_forever of the engine's face. 0 or -1. */
static int
loop_run_forever(LoopObject *loop)
{
    PyObject *saved_hooks, *above;
    if (loop_check_closed(loop) < 0 || run_check(loop, &above) < 0) {
        return -1;
    }
    fa_level *level = level_enter(loop, above);
    Py_XDECREF(above);
    if (level == NULL) {
        return -1;
    }
    int rc = run_setup(loop, &saved_hooks);
    if (rc == 0) {
        rc = loop_spin(loop);
    }
    if (run_cleanup(loop, level, saved_hooks) < 0) {
        rc = -1;
    }
    Py_XDECREF(saved_hooks);
    return rc;
}

PyDoc_STRVAR(Loop_run_forever_doc,
"run_forever($self, /)\n--\n\n"
"Run until stop() is called. See asyncio.loop.run_forever.");

static PyObject *
Loop_run_forever(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    return loop_run_forever(loop) < 0 ? NULL : Py_NewRef(Py_None);
}

/* -- run_until_complete --------------------------------------------------------- */

/* The future to wait for, and whether it is a task made here. New or NULL. */
static PyObject *
run_ensure_future(LoopObject *loop, PyObject *awaitable, int *made)
{
    fa_state *st = loop->st;
    if (PyCoro_CheckExact(awaitable) &&
        !(loop->overridden & FA_OV_CREATE_TASK))
    {
        *made = 1;
        return loop_create_task(loop, awaitable);
    }
    PyObject *isfuture =
        PyObject_CallMethod(st->mod_futures, "isfuture", "O", awaitable);
    if (isfuture == NULL) {
        return NULL;
    }
    *made = !Py_IsTrue(isfuture);
    Py_DECREF(isfuture);
    PyObject *ensure = PyObject_GetAttrString(st->mod_tasks, "ensure_future");
    PyObject *kwnames = PyTuple_Pack(1, st->str_loop);
    PyObject *future = NULL;
    if (ensure != NULL && kwnames != NULL) {
        PyObject *args[2] = {awaitable, (PyObject *)loop};
        future = PyObject_Vectorcall(ensure, args, 1, kwnames);
    }
    Py_XDECREF(ensure);
    Py_XDECREF(kwnames);
    return future;
}

/* A task of ours that its caller never sees must not complain. */
static int
run_mark_own_task(fa_state *st, PyObject *future)
{
    if (Py_IS_TYPE(future, st->TaskType)) {
        ((TaskObject *)future)->log_destroy_pending = 0;
        return 0;
    }
    return PyObject_SetAttr(future, st->str__log_destroy_pending, Py_False);
}

static int
run_future_flag(PyObject *future, PyObject *method)
{
    PyObject *result = PyObject_CallMethodNoArgs(future, method);
    int truth = result == NULL ? -1 : PyObject_IsTrue(result);
    Py_XDECREF(result);
    return truth;
}

/* The run raised: if our task holds the same exception, nobody else will
   retrieve it. Keeps the raised exception. */
static void
run_consume(fa_state *st, PyObject *future)
{
    PyObject *exc = fa_err_take();
    if (run_future_flag(future, st->str_done) == 1 &&
        run_future_flag(future, st->str_cancelled) == 0)
    {
        Py_XDECREF(PyObject_CallMethodNoArgs(future, st->str_exception));
    }
    PyErr_Clear();
    fa_err_restore(exc);
}

/* Run with the stopping callback attached. 0 or -1. */
static int
run_until_done(LoopObject *loop, PyObject *future, int made)
{
    fa_state *st = loop->st;
    PyObject *done = PyObject_CallMethodOneArg(
        future, st->str_add_done_callback, st->run_until_complete_cb);
    if (done == NULL) {
        return -1;
    }
    Py_DECREF(done);
    int rc;
    Py_XSETREF(loop->awaited, Py_NewRef(future)); // for level_enter
    if (loop->overridden & FA_OV_RUN_FOREVER) {
        done = PyObject_CallMethodNoArgs((PyObject *)loop,
                                         st->str_run_forever);
        rc = done == NULL ? -1 : 0;
        Py_XDECREF(done);
    }
    else {
        rc = loop_run_forever(loop);
    }
    Py_CLEAR(loop->awaited);
    if (rc < 0 && made) {
        run_consume(st, future);
    }
    PyObject *exc = rc < 0 ? fa_err_take() : NULL;
    done = PyObject_CallMethodOneArg(future, st->str_remove_done_callback,
                                     st->run_until_complete_cb);
    if (done == NULL) {
        fa_err_chain(exc);
        return -1;
    }
    Py_DECREF(done);
    fa_err_restore(exc);
    return rc;
}

/* Run until the future (taken over) is done; its result (new) or NULL. */
static PyObject *
run_future(LoopObject *loop, PyObject *future, int made)
{
    PyObject *result = NULL;
    if (run_until_done(loop, future, made) == 0) {
        int finished = run_future_flag(future, loop->st->str_done);
        if (finished == 0) {
            PyErr_SetString(PyExc_RuntimeError,
                            "Event loop stopped before Future completed.");
        }
        else if (finished == 1) {
            result = PyObject_CallMethodNoArgs(future, loop->st->str_result);
        }
    }
    Py_DECREF(future);
    return result;
}

PyDoc_STRVAR(Loop_run_until_complete_doc,
"run_until_complete($self, future)\n--\n\n"
"Run until the future is done and return its result or raise its\n"
"exception. A coroutine is wrapped into a Task.\n"
"See asyncio.loop.run_until_complete.");

static PyObject *
Loop_run_until_complete(LoopObject *loop, PyObject *awaitable)
{
    int made;
    fa_state *st = loop->st;
    if (loop_check_closed(loop) < 0 || run_check_not_running(loop) < 0 ||
        loop_refresh_overrides(loop) < 0)
    {
        return NULL;
    }
    PyObject *future = run_ensure_future(loop, awaitable, &made);
    if (future == NULL) {
        return NULL;
    }
    if (made && run_mark_own_task(st, future) < 0) {
        Py_DECREF(future);
        return NULL;
    }
    return run_future(loop, future, made);
}
FA_METHOD_ONE(Loop_run_until_complete, LoopObject,
              "BaseEventLoop.run_until_complete", "future")

PyDoc_STRVAR(Loop_run_nested_doc,
"_run_nested($self, future, /)\n--\n\n"
"run_until_complete() of a future of this loop, whatever allow_nested says.");

static PyObject *
Loop_run_nested(LoopObject *loop, PyObject *future)
{
    if (loop_check_closed(loop) < 0 || loop_refresh_overrides(loop) < 0) {
        return NULL;
    }
    loop->nest_once = 1; // for level_enter
    PyObject *result = run_future(loop, Py_NewRef(future), 0);
    loop->nest_once = 0;
    return result;
}

/* -- state -------------------------------------------------------------------------- */

PyDoc_STRVAR(Loop_stop_doc,
"stop($self, /)\n--\n\n"
"Stop after the current iteration; of runs inside of each other the innermost.\n"
"See asyncio.loop.stop.");

static PyObject *
Loop_stop(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    if (FA_LIKELY(loop->level == NULL || loop->level->outer == NULL)) {
        loop->stopping = 1;
    }
    else {
        level_stop(loop);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Loop_is_running_doc,
"is_running($self, /)\n--\n\n"
"Return True if the loop is running. See asyncio.loop.is_running.");

static PyObject *
Loop_is_running(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(loop->thread_id != 0);
}

PyDoc_STRVAR(Loop_is_closed_doc,
"is_closed($self, /)\n--\n\n"
"Return True if the loop was closed. See asyncio.loop.is_closed.");

static PyObject *
Loop_is_closed(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(loop->closed);
}

PyDoc_STRVAR(Loop_close_doc,
"_close($self, /)\n--\n\n"
"The engine's half of close(): drop what is scheduled and watched, close the\n"
"file descriptors. Idempotent. See asyncio.loop.close.");

static PyObject *
Loop_close(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    if (loop->thread_id != 0) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot close a running event loop");
        return NULL;
    }
    if (!loop->closed) {
        loop_close(loop);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Loop_check_closed_doc,
"_check_closed($self, /)\n--\n\n"
"Raise RuntimeError if the loop is closed.");

static PyObject *
Loop_check_closed(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    return loop_check_closed(loop) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(Loop_check_running_doc,
"_check_running($self, /)\n--\n\n"
"Raise RuntimeError if this or another loop is running in this thread.");

static PyObject *
Loop_check_running(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    return run_check_not_running(loop) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(Loop_run_once_doc,
"_run_once($self, /)\n--\n\n"
"Run one iteration: poll, fire due timers, run what was ready.");

static PyObject *
Loop_run_once(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    if (loop_check_closed(loop) < 0) {
        return NULL;
    }
    loop->turns = FA_POLL_EVERY; // whoever asks for one turn wants its I/O
    int rc = loop_run_once(loop);
    loop_current_settle(loop);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

PyMethodDef loop_run_methods[] = {
    {"run_forever", (PyCFunction)Loop_run_forever, METH_NOARGS,
     Loop_run_forever_doc},
    {"run_until_complete",
     (PyCFunction)(void (*)(void))Loop_run_until_complete_kw,
     METH_FASTCALL | METH_KEYWORDS, Loop_run_until_complete_doc},
    {"_run_nested", (PyCFunction)Loop_run_nested, METH_O, Loop_run_nested_doc},
    {"stop", (PyCFunction)Loop_stop, METH_NOARGS, Loop_stop_doc},
    {"is_running", (PyCFunction)Loop_is_running, METH_NOARGS,
     Loop_is_running_doc},
    {"is_closed", (PyCFunction)Loop_is_closed, METH_NOARGS,
     Loop_is_closed_doc},
    {"_close", (PyCFunction)Loop_close, METH_NOARGS, Loop_close_doc},
    {"_check_closed", (PyCFunction)Loop_check_closed, METH_NOARGS,
     Loop_check_closed_doc},
    {"_check_running", (PyCFunction)Loop_check_running, METH_NOARGS,
     Loop_check_running_doc},
    {"_run_once", (PyCFunction)Loop_run_once, METH_NOARGS, Loop_run_once_doc},
    {NULL, NULL, 0, NULL},
};
