/* loop/current.h: which task is running, told to asyncio at the lowest cost.

   asyncio.current_task() must see our tasks. Up to 3.13 it looks into the dict
   _asyncio._current_tasks under the loop; from 3.14 into a field of the thread
   state, whose place moves between patch releases and is therefore found at
   import by storing a sentinel through asyncio's own function (current.c).

   The dict is written lazily: between two consecutive steps of our tasks the
   entry is overwritten, not removed and added again (5 ns instead of 16), so it
   may name a task that has left. loop->current_stale says so, and whoever is
   about to run anything but a task step calls loop_current_settle() first.
   HOT: once per step. Benchmark: sleep0_1. */
#ifndef FA_LOOP_CURRENT_H
#define FA_LOOP_CURRENT_H

#include "loop/loop.h"

/* A step of `task` begins. Returns 0, or -1 with RuntimeError if another task
   of this loop is being executed (asyncio's text). */
static inline int loop_current_enter(LoopObject *loop, PyObject *task);

/* The step has ended (the error indicator is kept). With `final` the entry
   goes at once: the task is done and must not be kept alive by it. */
static inline void loop_current_leave(LoopObject *loop, PyObject *task,
                                      int final);

/* Remove an entry that loop_current_leave left behind. */
static inline void loop_current_settle(LoopObject *loop);

/* Exchange the current task for another (NULL = none), as an eager step does:
   returns the former one (new reference) in *before. Returns 0 or -1. */
FA_INTERNAL int loop_current_swap(LoopObject *loop, PyObject *task,
                                  PyObject **before);

FA_INTERNAL int loop_current_enter_slow(LoopObject *loop, PyObject *task);
FA_INTERNAL void loop_current_leave_slow(LoopObject *loop, PyObject *task);

/* Find asyncio's hiding place; called once by loop_init_types. */
FA_INTERNAL int loop_current_init(fa_state *st);

#if FA_HAS_TSTATE_TASK

static inline PyObject **
loop_current_slot(LoopObject *loop)
{
    return (PyObject **)((char *)loop->tstate + loop->st->tstate_task);
}

static inline int
loop_current_enter(LoopObject *loop, PyObject *task)
{
    if (FA_LIKELY(loop->tstate != NULL && loop->st->tstate_task)) {
        PyObject **slot = loop_current_slot(loop);
        if (FA_LIKELY(*slot == NULL)) {
            *slot = Py_NewRef(task);
            return 0;
        }
    }
    return loop_current_enter_slow(loop, task);
}

static inline void
loop_current_leave(LoopObject *loop, PyObject *task, int final)
{
    (void)final;
    if (FA_LIKELY(loop->tstate != NULL && loop->st->tstate_task)) {
        PyObject **slot = loop_current_slot(loop);
        if (FA_LIKELY(*slot == task)) {
            *slot = NULL;
            Py_DECREF(task); // never the last one: the step holds its own
            return;
        }
    }
    loop_current_leave_slow(loop, task);
}

static inline void
loop_current_settle(LoopObject *loop)
{
    (void)loop;
}

#else /* a dict */

static inline int
loop_current_enter(LoopObject *loop, PyObject *task)
{
    if (FA_LIKELY(loop->current_stale)) {
        // the entry is ours and left over: overwriting cannot fail
        loop->current_stale = 0;
        return _PyDict_SetItem_KnownHash(loop->st->current_tasks,
                                         (PyObject *)loop, task, loop->hash);
    }
    return loop_current_enter_slow(loop, task);
}

static inline void
loop_current_leave(LoopObject *loop, PyObject *task, int final)
{
    if (FA_LIKELY(!final && loop->running)) {
        loop->current_stale = 1;
        return;
    }
    loop_current_leave_slow(loop, task);
}

FA_INTERNAL void loop_current_settle_slow(LoopObject *loop);

static inline void
loop_current_settle(LoopObject *loop)
{
    if (loop->current_stale) {
        loop_current_settle_slow(loop);
    }
}

#endif

#endif
