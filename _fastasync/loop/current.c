/* loop/current.c: finding asyncio's current task, and the slow ways to it. */
#include "loop/current.h"

#include "base/errors.h"

#include <sys/types.h>
#include <unistd.h>

/* asyncio's own functions: they raise what asyncio raises. */
static int
current_call(PyObject *function, LoopObject *loop, PyObject *task)
{
    PyObject *args[2] = {(PyObject *)loop, task};
    PyObject *done = PyObject_Vectorcall(function, args, 2, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int
loop_current_enter_slow(LoopObject *loop, PyObject *task)
{
    return current_call(loop->st->c_enter_task, loop, task);
}

void
loop_current_leave_slow(LoopObject *loop, PyObject *task)
{
    PyObject *exc = fa_err_take();
    if (current_call(loop->st->c_leave_task, loop, task) < 0) {
        fa_err_unraisable(task);
    }
    fa_err_restore(exc);
}

#if FA_HAS_TSTATE_LOOP

/* Which field of the thread state holds `needle`? Its offset, 0 = not found
   exactly once. The struct is private and its layout moves, so it is searched:
   the public part and as much of the private one behind it as the first release
   of this version had. A thread state may be the last thing in its memory (that
   of a thread, or of a subinterpreter), so not a word more. */
static Py_ssize_t
current_find(PyThreadState *tstate, PyObject *needle)
{
    Py_ssize_t found = 0;
    PyObject **words = (PyObject **)tstate;
    Py_ssize_t count = (Py_ssize_t)(FA_TSTATE_SEARCH / sizeof(PyObject *));
    for (Py_ssize_t i = 1; i < count; i++) {
        if (words[i] == needle) {
            if (found) {
                return 0;
            }
            found = i * (Py_ssize_t)sizeof(PyObject *);
        }
    }
    return found;
}

static void
current_learn_loop(fa_state *st, PyObject *sentinel)
{
    st->tstate_loop = current_find(PyThreadState_Get(), sentinel);
}

#else /* in the thread's dict */

/* asyncio stores the loop in the thread's dict: 3.12 itself, 3.11 in a holder
   together with the process id, so that a forked child has no loop. It asks
   for the id at every call; we have a page for that (os/forkmark.c). */
enum { RUNNING_UNKNOWN, RUNNING_ITSELF, RUNNING_HOLDER };

typedef struct {
    PyObject_HEAD
    PyObject *loop;
    pid_t pid;
} current_holder;

/* How asyncio has stored `needle`. */
static int
current_how_kept(fa_state *st, PyObject *needle)
{
    PyObject *dict = PyThreadState_GetDict();
    PyObject *kept = dict == NULL
                         ? NULL
                         : PyDict_GetItemWithError(
                               dict, st->str___asyncio_running_event_loop__);
    if (kept == NULL || kept == needle) {
        return kept == NULL ? RUNNING_UNKNOWN : RUNNING_ITSELF;
    }
    current_holder *holder = (current_holder *)kept;
    if (Py_TYPE(kept)->tp_basicsize == (Py_ssize_t)sizeof(current_holder) &&
        holder->loop == needle && holder->pid == getpid() &&
        (st->forkmark != NULL || forkmark_open(&st->forkmark) == 0))
    {
        return RUNNING_HOLDER;
    }
    return RUNNING_UNKNOWN;
}

static void
current_learn_loop(fa_state *st, PyObject *sentinel)
{
    st->running_kept = current_how_kept(st, sentinel);
}

/* The loop in the thread's dict (borrowed); NULL: none, or an error. */
static inline PyObject *
current_kept_loop(fa_state *st)
{
    PyObject *dict = PyThreadState_GetDict();
    PyObject *kept = dict == NULL
                         ? NULL
                         : PyDict_GetItemWithError(
                               dict, st->str___asyncio_running_event_loop__);
    if (kept == NULL || st->running_kept == RUNNING_ITSELF) {
        return kept;
    }
    if (FA_UNLIKELY(*st->forkmark == 0)) {
        st->pid = getpid();
        *st->forkmark = 1;
    }
    current_holder *holder = (current_holder *)kept;
    return FA_LIKELY(holder->pid == st->pid) ? holder->loop : NULL;
}

#endif

/* Find out where asyncio keeps the loop by storing a sentinel. 0 or -1. */
static int
current_find_loop(fa_state *st)
{
    PyObject *former = PyObject_CallNoArgs(st->c_get_running_loop);
    PyObject *sentinel = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    PyObject *done = NULL;
    if (former != NULL && sentinel != NULL) {
        done = PyObject_CallOneArg(st->c_set_running_loop, sentinel);
    }
    if (done != NULL) {
        current_learn_loop(st, sentinel);
        Py_SETREF(done, PyObject_CallOneArg(st->c_set_running_loop, former));
    }
    Py_XDECREF(former);
    Py_XDECREF(sentinel);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int
fa_running_loop(fa_state *st, PyObject **out)
{
#if FA_HAS_TSTATE_LOOP
    if (FA_LIKELY(st->tstate_loop)) {
        char *tstate = (char *)PyThreadState_Get();
        *out = Py_XNewRef(*(PyObject **)(tstate + st->tstate_loop));
        return 0;
    }
#else
    if (FA_LIKELY(st->running_kept)) {
        PyObject *kept = current_kept_loop(st);
        *out = kept == Py_None ? NULL : Py_XNewRef(kept);
        return kept == NULL && PyErr_Occurred() ? -1 : 0;
    }
#endif
    PyObject *loop = PyObject_CallNoArgs(st->c_get_running_loop);
    if (loop == NULL) {
        *out = NULL;
        return -1;
    }
    if (loop == Py_None) {
        Py_CLEAR(loop);
    }
    *out = loop;
    return 0;
}

void
loop_current_clear(fa_state *st)
{
    if (st->forkmark != NULL) {
        volatile uint32_t *mark = st->forkmark;
        st->forkmark = NULL;
        st->running_kept = 0;
        forkmark_close(mark);
    }
}

/* -- the current task --------------------------------------------------------- */

#if FA_HAS_TSTATE_TASK

int
loop_current_swap(LoopObject *loop, PyObject *task, PyObject **before)
{
    if (loop->tstate != NULL && loop->st->tstate_task) {
        PyObject **slot = loop_current_slot(loop);
        *before = *slot; // the thread state's reference becomes the caller's
        *slot = Py_XNewRef(task);
        return 0;
    }
    PyObject *args[2] = {(PyObject *)loop, task ? task : Py_None};
    *before =
        PyObject_Vectorcall(loop->st->c_swap_current_task, args, 2, NULL);
    if (*before == Py_None) {
        Py_CLEAR(*before);
        return 0;
    }
    return *before == NULL ? -1 : 0;
}

int
loop_current_init(fa_state *st)
{
    st->c_swap_current_task =
        PyObject_GetAttrString(st->mod_tasks, "_swap_current_task");
    if (st->c_swap_current_task == NULL || current_find_loop(st) < 0) {
        return -1;
    }
    // asyncio wants the loop to be the running one: lend it a sentinel
    PyObject *sentinel = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    PyObject *former = PyObject_CallNoArgs(st->c_get_running_loop);
    PyObject *loop = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    PyObject *done = NULL, *before = NULL;
    if (sentinel == NULL || former == NULL || loop == NULL) {
        goto done;
    }
    done = PyObject_CallOneArg(st->c_set_running_loop, loop);
    PyObject *args[2] = {loop, sentinel};
    if (done != NULL) {
        before = PyObject_Vectorcall(st->c_swap_current_task, args, 2, NULL);
    }
    if (before != NULL) {
        st->tstate_task = current_find(PyThreadState_Get(), sentinel);
        args[1] = before;
        Py_XSETREF(done, PyObject_Vectorcall(st->c_swap_current_task, args, 2,
                                             NULL));
    }
    if (done != NULL) {
        Py_SETREF(done, PyObject_CallOneArg(st->c_set_running_loop, former));
    }
done:
    Py_XDECREF(sentinel);
    Py_XDECREF(former);
    Py_XDECREF(loop);
    Py_XDECREF(before);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

#else /* a dict */

int
loop_current_swap(LoopObject *loop, PyObject *task, PyObject **before)
{
    PyObject *tasks = loop->st->current_tasks, *key = (PyObject *)loop;
    *before = NULL;
    if (loop->current_stale) {
        loop_current_settle_slow(loop);
    }
    else {
        *before = Py_XNewRef(PyDict_GetItemWithError(tasks, key));
        if (*before == NULL && PyErr_Occurred()) {
            return -1;
        }
    }
    int rc;
    if (task != NULL) {
        rc = PyDict_SetItem(tasks, key, task);
    }
    else {
        rc = *before == NULL ? 0 : PyDict_DelItem(tasks, key);
    }
    if (rc < 0) {
        Py_CLEAR(*before);
    }
    return rc;
}

void
loop_current_settle_slow(LoopObject *loop)
{
    loop->current_stale = 0;
    PyObject *exc = fa_err_take();
    if (PyDict_DelItem(loop->st->current_tasks, (PyObject *)loop) < 0) {
        PyErr_Clear(); // somebody else has removed it
    }
    fa_err_restore(exc);
}

int
loop_current_init(fa_state *st)
{
    st->current_tasks =
        PyObject_GetAttrString(st->mod_tasks, "_current_tasks");
    if (st->current_tasks == NULL || current_find_loop(st) < 0) {
        return -1;
    }
#if FA_HAS_EAGER_START
    st->c_swap_current_task =
        PyObject_GetAttrString(st->mod_tasks, "_swap_current_task");
    if (st->c_swap_current_task == NULL) {
        return -1;
    }
#endif
    return 0;
}

#endif
