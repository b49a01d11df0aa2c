/* loop/level.c: runs inside of runs.

   asyncio refuses to run a loop while one is running in the thread. A loop of
   ours that is allowed to (loop.allow_nested) does it: an entry of the ring, say
   the step of a task, calls run_until_complete, and the same ring, timers and
   poller serve a second, inner run until that one is done. The thread may also
   be running another loop, which then waits meanwhile.

   What a run has of its own is an fa_level. To the entries of the inner run it
   must look as if the interrupted entry were not there, so level_enter puts away
   what that one has entered, and level_leave brings it back in reverse order:

     current task      asyncio refuses to run a step while another task is current
     contexts          one that is entered cannot be entered again, and tasks and
                       callbacks may share the interrupted one's
     current_handle    debug mode
     stop flag         stop() ends the innermost run only

   The rest of the loop needs nothing: an iteration keeps nothing in it while an
   entry runs. Runs end in the reverse order of their beginning, since they stand
   on one C stack: an outer one whose future is done meanwhile ends when control
   comes back to it (with greenlets the order may be another; the levels are
   unlinked wherever they stand). A loop that is run the ordinary way pays nothing
   per iteration, and a few stores per run. Benchmark: run_entry. */
#include "base/errors.h"
#include "loop/current.h"
#include "loop/loop.h"

/* -- permission ------------------------------------------------------------------ */

/* nest_asyncio.apply() leaves this mark when it has been called. 1 or 0. */
static int
level_nest_applied(void)
{
    PyObject *asyncio = PyImport_ImportModule("asyncio");
    PyObject *mark = asyncio == NULL
                         ? NULL
                         : PyObject_GetAttrString(asyncio, "_nest_patched");
    PyErr_Clear();
    int applied = mark != NULL;
    Py_XDECREF(mark);
    Py_XDECREF(asyncio);
    return applied;
}

int
loop_may_nest(LoopObject *loop)
{
    if (loop->nest_once || loop->nesting != FA_NESTING_UNSET) {
        return loop->nest_once || loop->nesting;
    }
    return loop->st->allow_nested ? 1 : level_nest_applied() * 2;
}

/* -- contexts -------------------------------------------------------------------- */

/* Leave the contexts that were entered since `base` was current. */
static int
level_leave_contexts(fa_level *level)
{
    PyThreadState *tstate = PyThreadState_Get();
    level->contexts = PyList_New(0);
    while (level->contexts != NULL && tstate->context != NULL &&
           tstate->context != level->base)
    {
        PyObject *context = Py_NewRef(tstate->context);
        // the thread's own context was never entered, and cannot be left
        int left = PyContext_Exit(context) == 0;
        if (!left) {
            PyErr_Clear();
        }
        int rc = left ? PyList_Append(level->contexts, context) : 0;
        if (rc < 0 && PyContext_Enter(context) < 0) {
            PyErr_Clear();
        }
        Py_DECREF(context);
        if (rc < 0 || !left) {
            return rc;
        }
    }
    return level->contexts == NULL ? -1 : 0;
}

/* Enter them again, the outermost first. 0 or -1. */
static int
level_enter_contexts(fa_level *level)
{
    Py_ssize_t i = level->contexts == NULL
                       ? 0
                       : PyList_GET_SIZE(level->contexts);
    while (--i >= 0) {
        // fails if another thread is running in it by now
        if (PyContext_Enter(PyList_GET_ITEM(level->contexts, i)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* -- current task ------------------------------------------------------------------ */

/* Exchange what asyncio takes for the current task while the run lasts: this
   loop's, or where there is one for the whole thread, the other loop's. */
static int
level_swap_task(LoopObject *loop, fa_level *level, PyObject *task,
                PyObject **before)
{
    *before = NULL;
    if (level->outer != NULL) {
        return loop_current_swap(loop, task, before);
    }
#if FA_HAS_TSTATE_TASK
    PyObject *args[2] = {level->above, task == NULL ? Py_None : task};
    PyObject *former =
        PyObject_Vectorcall(loop->st->c_swap_current_task, args, 2, NULL);
    *before = former == Py_None ? NULL : former;
    return former == NULL ? -1 : 0;
#else
    return 0;
#endif
}

/* -- depth ------------------------------------------------------------------------- */

/* How many runs of ours stand below the one that begins. */
static int
level_depth_below(LoopObject *loop, PyObject *above)
{
    int depth = loop->level == NULL ? 0 : loop->level->depth;
    if (above != NULL && loop_check(loop->st, above)) {
        fa_level *other = ((LoopObject *)above)->level;
        if (other != NULL && other->depth > depth) {
            depth = other->depth;
        }
    }
    return depth;
}

/* Too deep: RecursionError, naming who wants to run the loop once more. */
static FA_COLD void
level_too_deep(LoopObject *loop, PyObject *above)
{
    PyObject *args[1] = {above == NULL ? (PyObject *)loop : above};
    PyObject *current_task =
        PyObject_GetAttrString(loop->st->mod_tasks, "current_task");
    PyObject *task = current_task == NULL
                         ? NULL
                         : PyObject_Vectorcall(current_task, args, 1, NULL);
    Py_XDECREF(current_task);
    if (task != NULL) {
        PyErr_Format(PyExc_RecursionError,
                     "the event loop runs %d times inside of itself, which is "
                     "the limit; %R tried to run it once more",
                     FA_LEVEL_MAX, task == Py_None ? (PyObject *)loop : task);
        Py_DECREF(task);
    }
}

int
level_check_depth(LoopObject *loop, PyObject *above)
{
    if (level_depth_below(loop, above) < FA_LEVEL_MAX) {
        return 0;
    }
    level_too_deep(loop, above);
    return -1;
}

/* -- begin ------------------------------------------------------------------------- */

/* A blank one: the loop's own, or if that is in use, one from the heap. */
static fa_level *
level_new(LoopObject *loop)
{
    if (FA_LIKELY(loop->first_level.depth == 0)) {
        return &loop->first_level;
    }
    fa_level *level = PyMem_Calloc(1, sizeof(*level));
    if (level == NULL) {
        PyErr_NoMemory();
    }
    return level;
}

static void
level_free(LoopObject *loop, fa_level *level)
{
    Py_XDECREF(level->future);
    Py_XDECREF(level->base);
    if (FA_UNLIKELY(level->inside)) {
        Py_XDECREF(level->above);
        Py_XDECREF(level->task);
        Py_XDECREF(level->contexts);
        Py_XDECREF(level->handle);
    }
    if (FA_LIKELY(level == &loop->first_level)) {
        *level = (fa_level){0};
    }
    else {
        PyMem_Free(level);
    }
}

/* Put away what the interrupted entry has entered. 0, or -1 undone. */
static int
level_suspend(LoopObject *loop, fa_level *level)
{
    PyObject *none = NULL;
    if (level_swap_task(loop, level, NULL, &level->task) < 0) {
        return -1;
    }
    if (level_leave_contexts(level) < 0) {
        PyObject *exc = fa_err_take();
        if (level_enter_contexts(level) < 0 ||
            level_swap_task(loop, level, level->task, &none) < 0)
        {
            fa_err_chain(exc);
            return -1;
        }
        Py_XDECREF(none);
        fa_err_restore(exc);
        return -1;
    }
    level->handle = loop->current_handle;
    loop->current_handle = NULL;
    return 0;
}

/* Which context the entries of this run start from (new or NULL). */
static PyObject *
level_find_base(LoopObject *loop, PyObject *above)
{
    if (loop->level != NULL) {
        return Py_XNewRef(loop->level->base);
    }
    if (above == NULL) {
        return Py_XNewRef(PyThreadState_Get()->context);
    }
    if (loop_check(loop->st, above)) {
        fa_level *other = ((LoopObject *)above)->level;
        return other == NULL ? NULL : Py_XNewRef(other->base);
    }
    return NULL; // not known: all of them are left
}

/* The half of level_enter for a run inside of another. 0, or -1 undone. */
static FA_COLD int
level_enter_inside(LoopObject *loop, fa_level *level, PyObject *above)
{
    level->inside = 1;
    level->above = Py_XNewRef(above);
    if (Py_EnterRecursiveCall(" while running an event loop")) {
        return -1;
    }
    if (level_suspend(loop, level) < 0) {
        Py_LeaveRecursiveCall();
        return -1;
    }
    if (level->outer != NULL && loop->awaited != NULL) {
        // a stop() that came before is the outer run's; but run_forever ends
        // at once after one, as asyncio's does
        level->outer->stopped = loop->stopping;
        loop->stopping = 0;
    }
    return 0;
}

fa_level *
level_enter(LoopObject *loop, PyObject *above)
{
    fa_level *level = level_new(loop);
    if (level == NULL) {
        return NULL;
    }
    level->depth = level_depth_below(loop, above) + 1;
    level->outer = loop->level;
    level->base = level_find_base(loop, above);
    if (FA_UNLIKELY(above != NULL || level->outer != NULL) &&
        level_enter_inside(loop, level, above) < 0)
    {
        level_free(loop, level);
        return NULL;
    }
    loop->nest_once = 0;
    level->future = loop->awaited;
    loop->awaited = NULL;
    loop->level = level;
    return level;
}

/* -- stop -------------------------------------------------------------------------- */

/* The run at that depth, 0 = the innermost. */
static fa_level *
level_at(LoopObject *loop, int depth)
{
    fa_level *level = loop->level;
    while (level != NULL && depth-- > 0) {
        level = level->outer;
    }
    return level;
}

/* Is the future of the run at that depth done, and the run not stopped yet? May
   run Python code; a future that raises when it is asked is not done. */
static int
level_is_due(LoopObject *loop, int depth)
{
    fa_level *level = level_at(loop, depth);
    if (level == NULL || level->future == NULL ||
        (depth ? level->stopped : loop->stopping))
    {
        return 0;
    }
    PyObject *future = Py_NewRef(level->future);
    PyObject *done = PyObject_CallMethodNoArgs(future, loop->st->str_done);
    int truth = done == NULL ? -1 : PyObject_IsTrue(done);
    if (truth < 0) {
        fa_err_unraisable(future);
    }
    Py_XDECREF(done);
    Py_DECREF(future);
    return truth > 0;
}

void
level_stop(LoopObject *loop)
{
    int depth = 0;
    while (level_at(loop, depth) != NULL && !level_is_due(loop, depth)) {
        depth++;
    }
    fa_level *level = level_at(loop, depth); // as it is after that
    if (depth > 0 && level != NULL) {
        level->stopped = 1;
    }
    else {
        loop->stopping = 1;
    }
}

/* SystemExit or KeyboardInterrupt has left the innermost run. If it is how the
   future of a run below has ended, asyncio's callback does not call stop(),
   since the exception is taken to leave that run as well; but the interrupted
   entry may catch it. */
static FA_COLD void
level_exit_left(LoopObject *loop)
{
    PyObject *exc = fa_err_take();
    for (int depth = 0; level_at(loop, depth) != NULL; depth++) {
        if (!level_is_due(loop, depth) || level_at(loop, depth) == NULL) {
            continue;
        }
        PyObject *future = Py_NewRef(level_at(loop, depth)->future);
        PyObject *how =
            PyObject_CallMethodNoArgs(future, loop->st->str_exception);
        int leaves = how != NULL && how != Py_None &&
                     (PyErr_GivenExceptionMatches(how, PyExc_SystemExit) ||
                      PyErr_GivenExceptionMatches(how, PyExc_KeyboardInterrupt));
        PyErr_Clear(); // CancelledError
        Py_XDECREF(how);
        Py_DECREF(future);
        fa_level *level = level_at(loop, depth);
        if (leaves && level != NULL) {
            *(depth ? &level->stopped : &loop->stopping) = 1;
        }
    }
    fa_err_restore(exc);
}

/* -- end --------------------------------------------------------------------------- */

int
level_unlink(LoopObject *loop, fa_level *level)
{
    fa_level **link = &loop->level;
    while (*link != NULL && *link != level) {
        link = &(*link)->outer;
    }
    if (*link == NULL) {
        return loop->level != NULL;
    }
    int innermost = link == &loop->level;
    *link = level->outer;
    if (innermost) { // its flag gives way to the outer run's
        loop->stopping = level->outer != NULL && level->outer->stopped;
        if (level->outer != NULL) {
            level->outer->stopped = 0;
        }
    }
    if (FA_UNLIKELY(loop->level != NULL) && fa_err_is_exit()) {
        level_exit_left(loop);
    }
    return loop->level != NULL;
}

/* The half of level_leave for a run inside of another. 0 or -1. */
static FA_COLD int
level_resume(LoopObject *loop, fa_level *level)
{
    PyObject *left = NULL;
    Py_LeaveRecursiveCall();
    Py_XSETREF(loop->current_handle, level->handle);
    level->handle = NULL;
    int rc = level_enter_contexts(level);
    PyObject *failure = rc < 0 ? fa_err_take() : NULL;
    if (level_swap_task(loop, level, level->task, &left) < 0) {
        rc = -1;
    }
    Py_XDECREF(left);
    fa_err_chain(failure);
    return rc;
}

int
level_leave(LoopObject *loop, fa_level *level)
{
    if (FA_LIKELY(!level->inside)) {
        level_free(loop, level);
        return 0;
    }
    PyObject *exc = fa_err_take();
    int rc = level_resume(loop, level);
    level_free(loop, level);
    if (rc == 0) {
        fa_err_restore(exc);
        return 0;
    }
    fa_err_chain(exc);
    return -1;
}
