/* task/done.h: done-callbacks in C. A side door of task/, for every room that
   waits for several futures at once.

   What is a closure or a bound method in asyncio (`_on_completion` in wait(),
   TaskGroup._on_task_done) is here one DoneObject, however many futures it is
   added to: callable with the future as its only argument, compared by
   identity, shown under the name of asyncio's. A future of ours on a loop of
   ours puts it into the ring as it is, without a Handle; everybody else calls
   it.

   A kind has two functions. `quick` is called from the ring, in whatever
   context is current, with an exact Future or Task of ours that is done: it
   must not run Python code. It answers 1 if there is nothing left to do, and 0,
   before it has done anything, if there is: then `run` is called, in a copy of
   the context in which the DoneObject was made. `run` takes any future and may
   run any Python code; 0 or -1. Both hold what they need: the DoneObject may be
   dropped by others while they run, its vars are theirs. HOT.
   Benchmarks: wait, taskgroup. */
#ifndef FA_TASK_DONE_H
#define FA_TASK_DONE_H

#include "task/task.h"

#define FA_DONE_VARS 3

typedef struct DoneObject DoneObject;

/* Constant. */
typedef struct {
    const char *qualname; /* "TaskGroup._on_task_done" */
    int (*quick)(DoneObject *done, PyObject *fut);
    int (*run)(DoneObject *done, PyObject *fut);
} fa_done_kind;

struct DoneObject {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    fa_state *st;               /* borrowed */
    const fa_done_kind *kind;   /* constant */
    PyObject *context;          /* strong: the one it was made in, copied */
    PyObject *vars[FA_DONE_VARS]; /* strong or NULL: the kind's own */
    Py_ssize_t number;          /* the kind's own */
    uint8_t mode;               /* the kind's own */
};

/* A new one, its first vars set to new references. NULL on error. */
FA_INTERNAL DoneObject *done_new(fa_state *st, const fa_done_kind *kind,
                                 PyObject *a, PyObject *b);

/* HOT. Would one that is made now have the same context as this one? */
FA_INTERNAL int done_is_current(const DoneObject *done);

/* HOT. fut.add_done_callback(done) / remove_done_callback(done) of any
   future-like object. 0 or -1. */
FA_INTERNAL int done_add(DoneObject *done, PyObject *fut);
FA_INTERNAL int done_remove(DoneObject *done, PyObject *fut);

/* fut.exception() of a future that is done: 0 and a new reference or NULL in
   *exc (there is none), or -1 with an exception raised. */
FA_INTERNAL int fa_future_exception(fa_state *st, PyObject *fut,
                                    PyObject **exc);

#endif
