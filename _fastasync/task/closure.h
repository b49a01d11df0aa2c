/* task/closure.h: C functions that are told when a future is done. A side door of
   task/, for every room that waits for several futures at once.

   gather() and shield() of asyncio hang Python closures on futures. This is one
   in C: a kind (which function), and the variables that it sees. One object serves any number of futures. In a future it is stored like
   a task that hangs there: fn with context NULL; when the future is done it goes
   into the ring as it is (closure_run), at the place in the order that asyncio's
   callback would have. Python sees a callable and the context that was current
   when it was made; a loop that is not ours, or in debug mode, calls it. */
#ifndef FA_TASK_CLOSURE_H
#define FA_TASK_CLOSURE_H

#include "task/task.h"

#define FA_CLOSURE_VARS 3

typedef struct ClosureObject ClosureObject;

/* What all closures of one function have in common. Constant. */
typedef struct {
    const char *qualname; /* "gather.<locals>._done_callback" */
    const char *argument; /* the name of its parameter */
    /* `fut` (borrowed) is done. 0, or -1 with what goes to the loop's exception
       handler. May run Python code. */
    int (*hear)(ClosureObject *self, PyObject *fut);
} fa_closure_kind;

struct ClosureObject {
    PyObject_HEAD
    fa_state *st;                 /* borrowed */
    const fa_closure_kind *kind; /* constant */
    PyObject *context;            /* strong */
    PyObject *vars[FA_CLOSURE_VARS]; /* strong or NULL: the kind's own */
    Py_ssize_t total, count;      /* the kind's own */
    uint8_t flag;                 /* the kind's own */
    uint8_t plain; /* every future that it listens to is plain: hearing of one
                      calls no method that could look at the context */
};

static inline int
closure_check(fa_state *st, PyObject *obj)
{
    return Py_IS_TYPE(obj, st->ClosureType);
}

/* HOT. A new one, plain, its variables NULL and 0. `context` is borrowed; NULL:
   a copy of the current one. NULL on error. */
FA_INTERNAL ClosureObject *closure_new(fa_state *st,
                                         const fa_closure_kind *kind,
                                         PyObject *context);

/* HOT. fut.add_done_callback(closure) of any future-like object. 0 or -1. */
FA_INTERNAL int closure_add(ClosureObject *closure, PyObject *fut);

/* fut.remove_done_callback(closure) of any future-like object. 0 or -1. */
FA_INTERNAL int closure_remove(ClosureObject *closure, PyObject *fut);

#endif
