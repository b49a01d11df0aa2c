/* task/task.h: the door of Task and Future. Who waits for whom.

   Task is a C subtype of Future (as asyncio's); neither derives from asyncio's
   C types (their layout is private), but `__class__` says asyncio.Task /
   asyncio.Future, so that isinstance holds in both directions that matter.

   A Future lives on any loop. `ours` is set when that loop is one of ours;
   while loop->direct holds, scheduling is a push into the ring (future_engine
   tells), otherwise the Python method call_soon is called, as asyncio would.

   Invariants:
   - a callback with context NULL is a TaskObject to be woken (its fn), put there
     by task/step.c, or a closure (task/closure.h); any other has a context;
   - callbacks exist only while the state is pending;
   - a Task is in the registry list exactly while it is pending and initialised;
   - task->waiter is the future the task hangs on, NULL while it runs or is in
     the ring. */
#ifndef FA_TASK_TASK_H
#define FA_TASK_TASK_H

#include "base/state.h"
#include "loop/loop.h"

typedef enum {
    FA_PENDING,
    FA_CANCELLED,
    FA_FINISHED,
} fa_future_state;

typedef struct {
    PyObject *fn;      /* strong */
    PyObject *context; /* strong; NULL = fn is a TaskObject to wake, or a
                          closure to be told */
} fa_callback;

typedef struct {
    uint32_t len, capacity;
    fa_callback items[];
} fa_callbacks;

typedef struct FutureObject {
    PyObject_HEAD
    PyObject *dict;        /* strong or NULL: instance attributes */
    PyObject *weakrefs;
    fa_state *st;          /* borrowed */
    PyObject *loop;        /* strong; NULL = __init__ has not run */
    fa_callback first;     /* the first callback, fn NULL = none */
    fa_callbacks *more;    /* owned or NULL: the others, in order */
    PyObject *outcome;     /* strong or NULL. Finished: the result, or the
                              exception if `failed`. Cancelled: the
                              CancelledError to raise next, if there is one */
    PyObject *exception_tb; /* strong or NULL: its traceback when it was set */
    PyObject *source_tb;   /* strong or NULL: debug mode, where it was made */
    PyObject *cancel_msg;  /* strong or NULL */
    PyObject *awaited_by;  /* strong or NULL: one future, or a set of them
                              (awaited_by_set); 3.14+ */
    uint8_t state;         /* fa_future_state */
    uint8_t failed;        /* finished with an exception */
    uint8_t ours;          /* loop is a LoopObject */
    uint8_t log_tb;        /* complain if the exception is never retrieved */
    uint8_t blocking;      /* _asyncio_future_blocking */
    uint8_t is_task;
    uint8_t awaited_by_set;
    uint8_t veiled;        /* of a sleep(): alive by its timer, and unknown to
                              the garbage collector, as may be the tasks that
                              wait for it (loop_call_at_light) */
} FutureObject;

/* What gather() returns (gather.c). */
typedef struct {
    FutureObject fut;
    PyObject *children; /* strong; NULL only after clear */
    uint8_t cancel_requested;
} GatherObject;

struct TaskObject {
    FutureObject fut;
    TaskObject *next, *prev; /* registry list (borrowed); prev NULL = not in it,
                                the head's prev is the last (registry.c) */
    PyObject *coro;          /* strong; NULL before __init__ and after an eager
                                start that finished */
    PyObject *context;       /* strong; to be entered only if it is its own */
    union {
        PyObject *text;      /* strong or NULL, if `named` */
        uint64_t number;     /* else: "Task-<number>", made when asked for;
                                0 = __init__ has not run */
    } name;
    PyObject *waiter;        /* strong or NULL: what the task hangs on */
    int cancels_requested;
    uint8_t named;
    uint8_t must_cancel;
    uint8_t log_destroy_pending;
    uint8_t untracked;       /* the garbage collector does not know it (yet) */
    uint8_t shares_context;  /* context is the loop's pristine copy
                                (loop/context.h); never so during a step */
};

/* -- tests ----------------------------------------------------------------- */

/* Future, Task or what gather returns: no subclass of somebody else's. */
static inline int
future_check_exact(fa_state *st, PyObject *obj)
{
    return Py_IS_TYPE(obj, st->FutureType) || Py_IS_TYPE(obj, st->TaskType) ||
           Py_IS_TYPE(obj, st->GatherType);
}

static inline int
future_check(fa_state *st, PyObject *obj)
{
    return future_check_exact(st, obj) ||
           PyType_IsSubtype(Py_TYPE(obj), st->FutureType);
}

static inline int
task_check(fa_state *st, PyObject *obj)
{
    return Py_IS_TYPE(obj, st->TaskType) ||
           PyType_IsSubtype(Py_TYPE(obj), st->TaskType);
}

/* HOT. Such a one, initialised, of whose methods none can have been replaced. */
static inline int
future_plain(fa_state *st, PyObject *obj)
{
    return future_check_exact(st, obj) && ((FutureObject *)obj)->dict == NULL &&
           ((FutureObject *)obj)->loop != NULL;
}

/* The loop of the future if entries may be pushed into it directly. HOT */
static inline LoopObject *
future_engine(const FutureObject *fut)
{
    LoopObject *loop = (LoopObject *)fut->loop;
    return FA_LIKELY(fut->ours && loop->direct) ? loop : NULL;
}

/* -- Future (future.c) ------------------------------------------------------ */

/* HOT. A new pending Future on `loop` (borrowed argument). NULL on error. */
FA_INTERNAL PyObject *future_new(fa_state *st, PyObject *loop);

/* Set the outcome and schedule the callbacks, in order. Error as asyncio's if
   it is done already (InvalidStateError). May run Python code only where a
   callback must go through a Python call_soon. Return 0 or -1. */
FA_INTERNAL int future_set_result(FutureObject *fut, PyObject *result);
FA_INTERNAL int future_set_exception(FutureObject *fut, PyObject *exc);

/* Cancel with a message (borrowed, may be NULL). 1 = cancelled, 0 = was done
   already, -1 = error. For a Task use task_cancel. */
FA_INTERNAL int future_cancel(FutureObject *fut, PyObject *msg);

/* Append a callback (both borrowed); if the future is done it is scheduled at
   once. 0 or -1. */
FA_INTERNAL int future_add_callback(FutureObject *fut, PyObject *fn,
                                    PyObject *context);

/* Hang `task` on a pending future. 0 or -1. HOT */
FA_INTERNAL int future_add_waiter(FutureObject *fut, TaskObject *task);

/* HOT. The same for a closure (task/closure.h). */
FA_INTERNAL int future_add_closure(FutureObject *fut, PyObject *closure);

/* result() of the engine: 0 and a new reference in *result; 1 and the
   exception to raise (new) in *result; -1 with an exception raised
   (InvalidStateError ...). Marks the exception as retrieved. */
FA_INTERNAL int future_get_result(FutureObject *fut, PyObject **result);

/* Any future-like object: set a result unless it is done or cancelled (as
   asyncio's _set_result_unless_cancelled). 0 or -1. */
FA_INTERNAL int fa_set_result_unless_cancelled(fa_state *st, PyObject *fut,
                                               PyObject *result);

/* The awaited-by graph of 3.14+ (0 and nothing before): `waiter` waits for
   `fut`. Other objects than ours are ignored. 0 or -1. */
FA_INTERNAL int future_awaited_by_add(fa_state *st, PyObject *fut,
                                      PyObject *waiter);
FA_INTERNAL int future_awaited_by_discard(fa_state *st, PyObject *fut,
                                          PyObject *waiter);

/* -- Task (task.c) ------------------------------------------------------------ */

/* HOT. A new Task for a coroutine on `loop`, scheduled. `name` and `context`
   may be NULL. `eager` runs the first step at once. NULL on error. */
FA_INTERNAL PyObject *task_new(fa_state *st, PyObject *loop, PyObject *coro,
                               PyObject *name, PyObject *context, int eager);

/* Task.cancel() of the engine: 1 = requested, 0 = done already, -1. */
FA_INTERNAL int task_cancel(TaskObject *task, PyObject *msg);

/* Task.uncancel() of the engine: how many requests remain. */
FA_INTERNAL int task_uncancel(TaskObject *task);

/* -- registry (registry.c) ----------------------------------------------------- */

/* A list of the live, not finished tasks of ours (new). */
FA_INTERNAL PyObject *registry_tasks(fa_state *st);

/* Free what is kept for reuse; called when the module state is cleared. */
FA_INTERNAL void task_freelists_clear(fa_state *st);

/* Types Future, FutureIter, Task, TaskStep, Stop, and the module functions of this
   room (_live_tasks, future_add_to_awaited_by, ...). 0 or -1. */
FA_INTERNAL int task_types_init(PyObject *module, fa_state *st);

#endif
