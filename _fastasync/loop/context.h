/* loop/context.h: one copy of the context for many handles and tasks.

   call_soon and create_task without context= captures a copy of the current context, and most
   copies are never written to: making and freeing one costs more than the rest
   of call_soon, and 200,000 of them keep the garbage collector busy. So handles
   share: as long as the current context has the same variables as the last
   copy, they take that copy (the *pristine* one, which is never entered). To
   run, a handle takes the loop's *working* copy if that still has those
   variables, else a fresh one; a working copy that a callback has written to,
   or that anybody else refers to, is never used again. What a callback sees and
   leaves behind is thus exactly what it would with a copy of its own, and who
   asks a handle for its context gets one that is its own. A task does the same
   for each of its steps, until one leaves a trace (task/step.c).

   The variables of a context are an immutable mapping: two contexts agree if
   they point to the same one. Where the pointer stands in a Context is private
   to the interpreter and therefore found at import (context.c); if it is not
   found there is no sharing. HOT. Benchmarks: call_soon_batch, call_soon_flood.
 */
#ifndef FA_LOOP_CONTEXT_H
#define FA_LOOP_CONTEXT_H

#include "loop/loop.h"

/* The mapping of a Context; only compared, never looked into. */
static inline void *
context_vars(const fa_state *st, PyObject *context)
{
    return *(void **)((char *)context + st->context_vars);
}

FA_INTERNAL PyObject *loop_context_copy_slow(LoopObject *loop, int *shared);

/* A copy of the current context (new), *shared = it is the pristine one. */
static inline PyObject *
loop_context_copy(LoopObject *loop, int *shared)
{
    PyObject *pristine = loop->context_pristine;
    PyObject *current = PyThreadState_Get()->context;
    if (FA_LIKELY(pristine != NULL && current != NULL &&
                  context_vars(loop->st, current) ==
                      context_vars(loop->st, pristine)))
    {
        *shared = 1;
        return Py_NewRef(pristine);
    }
    return loop_context_copy_slow(loop, shared);
}

/* A context to run in for whoever has shared `pristine` (new). */
static inline PyObject *
loop_context_take(LoopObject *loop, PyObject *pristine)
{
    PyObject *work = loop->context_work;
    if (FA_LIKELY(work != NULL && context_vars(loop->st, work) ==
                                      context_vars(loop->st, pristine)))
    {
        loop->context_work = NULL; // a nested run takes another one
        return work;
    }
    return PyContext_Copy(pristine);
}

/* Give it back after the run (takes over the reference). */
static inline void
loop_context_give(LoopObject *loop, PyObject *work)
{
    if (FA_LIKELY(loop->context_work == NULL && fa_is_unique(work) &&
                  loop->context_pristine != NULL &&
                  context_vars(loop->st, work) ==
                      context_vars(loop->st, loop->context_pristine)))
    {
        loop->context_work = work;
        return;
    }
    Py_DECREF(work);
}

/* Find the mapping in a Context; called once by loop_types_init. 0 or -1. */
FA_INTERNAL int loop_context_init(fa_state *st);

#endif
