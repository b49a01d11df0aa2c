/* task/coro.h: coroutines written in C. A side door of task/, for every room
   that has something to wait for.

   What is an `async def` in asyncio is here a *kind*: a constant that names a
   C function, the turn. Calling it makes a CoroObject, which is all that a
   coroutine is to Python: awaitable, send(), throw(), close(), an instance of
   collections.abc.Coroutine, without effect before it is awaited, and missed
   ("was never awaited") if it never is. A turn runs from one suspension to the
   next. It is a switch over co->stage:

       static PySendResult
       lock_acquire_turn(CoroObject *co, PyObject *value, PyObject **result)
       {
           LockObject *lock = (LockObject *)co->vars[0];
           switch (co->stage) {
           case 0:                                 // the first turn
               if (lock_acquire_nowait(lock)) {
                   return coro_return(co, Py_True, result);
               }
               fut = ...;
               return coro_await_future(co, 1, fut); // go on at stage 1
           default:                                // stage 1
               if (value == NULL) {                // the await has raised, and
                   ...                             // the exception is raised now
                   return PYGEN_ERROR;             // "raise"
               }
               return coro_return(co, Py_True, result);
           }
       }

   Contract of a turn. `value` is borrowed: what the await gave, or NULL, which
   means that it has raised: the exception (also CancelledError, or
   GeneratorExit from close()) is the raised one, to be passed on by returning
   PYGEN_ERROR, or to be taken with fa_err_take() and handled as an `except`
   block would. In the first turn value is None. A turn that handles an
   exception and raises another sets __context__ itself (fa_err_chain in
   base/errors.h).
   It returns what one of the calls below returns:
       coro_return*   the coroutine returns
       PYGEN_ERROR    it raises (an exception is set)
       coro_await*    it awaits; the next turn has the given stage
   An await of something that is done already goes on with the next turn at
   once, as in Python; nothing is suspended.

   vars are the coroutine's own, strong or NULL, visited and cleared for it;
   they are cleared when it has returned or raised. `number` is its own too.
   A turn may run any Python code; it is never entered twice at a time. HOT.
   Benchmarks: sleep0_1, lock_uncontended, queue_put_get. */
#ifndef FA_TASK_CORO_H
#define FA_TASK_CORO_H

#include "task/task.h"

#define FA_CORO_VARS 4

typedef struct CoroObject CoroObject;

typedef PySendResult (*fa_coro_turn)(CoroObject *co, PyObject *value,
                                     PyObject **result);

/* What all coroutines of one function have in common. Constant. */
typedef struct {
    const char *qualname; /* "Lock.acquire"; the name is its last part */
    fa_coro_turn turn;
} fa_coro_kind;

typedef enum {
    FA_CORO_NEW,       /* not awaited yet */
    FA_CORO_SUSPENDED, /* in an await */
    FA_CORO_RUNNING,   /* in a turn */
    FA_CORO_DONE,      /* returned, raised or closed */
} fa_coro_state;

typedef enum {
    FA_WAITS_NOT,
    FA_WAITS_TURN,   /* a bare yield */
    FA_WAITS_FUTURE, /* awaited is an exact Future or Task of ours */
    FA_WAITS_ITER,   /* awaited is an iterator: a coroutine, what __await__
                        returned */
} fa_coro_waits;

struct CoroObject {
    PyObject_HEAD
    PyObject *weakrefs;
    fa_state *st;             /* borrowed */
    const fa_coro_kind *kind; /* constant */
    PyObject *awaited;        /* strong or NULL: what it waits for */
    PyObject *vars[FA_CORO_VARS]; /* strong or NULL: the turn's variables */
    int64_t number;           /* the turn's own number */
    uint8_t stage;            /* where the next turn goes on, 0 at first */
    uint8_t state;            /* fa_coro_state */
    uint8_t waits;            /* fa_coro_waits */
    uint8_t tracked;          /* the garbage collector knows it */
    uint8_t finalized;        /* its finalizer has run: not to be made anew */
};

/* -- making ------------------------------------------------------------------ */

/* HOT. A new coroutine of that kind; vars[0] and vars[1] are set to new
   references of `a` and `b` (either may be NULL). NULL on error. */
FA_INTERNAL CoroObject *coro_new(fa_state *st, const fa_coro_kind *kind,
                                 PyObject *a, PyObject *b);

/* HOT. The same for one that is as good as always awaited as soon as it is made
   (`async with`): the garbage collector gets to know it only when it suspends. */
FA_INTERNAL CoroObject *coro_new_fleeting(fa_state *st,
                                          const fa_coro_kind *kind,
                                          PyObject *a, PyObject *b);

/* One of our C coroutines? */
static inline int
coro_check(fa_state *st, PyObject *obj)
{
    return Py_IS_TYPE(obj, st->CoroType);
}

/* -- what a turn may return ------------------------------------------------------ */

/* return value (borrowed). */
static inline PySendResult
coro_return(CoroObject *Py_UNUSED(co), PyObject *value, PyObject **result)
{
    *result = Py_NewRef(value);
    return PYGEN_RETURN;
}

/* return None. */
static inline PySendResult
coro_return_none(PyObject **result)
{
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

/* Await an exact Future or Task of ours; takes over the reference. */
static inline PySendResult
coro_await_future(CoroObject *co, int stage, PyObject *fut)
{
    FA_ASSERT(co->awaited == NULL && future_check_exact(co->st, fut));
    co->stage = (uint8_t)stage;
    co->waits = FA_WAITS_FUTURE;
    co->awaited = fut;
    return PYGEN_NEXT;
}

/* A bare yield: the task goes on in the loop's next iteration. */
static inline PySendResult
coro_await_turn(CoroObject *co, int stage)
{
    co->stage = (uint8_t)stage;
    co->waits = FA_WAITS_TURN;
    return PYGEN_NEXT;
}

/* Await any awaitable (a future of whatever kind, a coroutine, an object with
   __await__); takes over the reference, also on error (TypeError in asyncio's
   words if it is not awaitable: then PYGEN_ERROR is returned, without another
   turn). May run Python code (__await__). */
FA_INTERNAL PySendResult coro_await(CoroObject *co, int stage, PyObject *aw);

/* -- helpers for turns --------------------------------------------------------------- */

/* loop.create_future() of any loop; at C speed if it is ours and unchanged.
   The result is whatever that loop makes futures of: await it with coro_await,
   which is as fast as coro_await_future for one of ours. HOT. NULL on error. */
FA_INTERNAL PyObject *fa_create_future(fa_state *st, PyObject *loop);

/* fut.done() / fut.cancelled() of any future-like object: 1, 0, -1. HOT */
FA_INTERNAL int fa_future_done(fa_state *st, PyObject *fut);
FA_INTERNAL int fa_future_cancelled(fa_state *st, PyObject *fut);

/* fut.set_result(value) / fut.cancel([msg]) of any future-like object; `msg`
   may be NULL. set_result raises InvalidStateError as the method does. 0 (for
   cancel: 1 or 0, what the method answered) or -1. HOT */
FA_INTERNAL int fa_future_set_result(fa_state *st, PyObject *fut,
                                     PyObject *value);
FA_INTERNAL int fa_future_set_exception(fa_state *st, PyObject *fut,
                                        PyObject *exc);
FA_INTERNAL int fa_future_cancel(fa_state *st, PyObject *fut, PyObject *msg);

/* fut.result(): a new reference, or NULL with the exception raised. */
FA_INTERNAL PyObject *fa_future_result(fa_state *st, PyObject *fut);

/* fut.exception() of a future that is done: 0 and a new reference or NULL in
   *exc (there is none), or -1 with an exception raised. HOT */
FA_INTERNAL int fa_future_exception(fa_state *st, PyObject *fut,
                                    PyObject **exc);

/* fut.add_done_callback(fn) / remove_done_callback(fn) of any future-like
   object. 0 or -1. */
FA_INTERNAL int fa_future_add_done_callback(fa_state *st, PyObject *fut,
                                            PyObject *fn);
FA_INTERNAL int fa_future_remove_done_callback(fa_state *st, PyObject *fut,
                                               PyObject *fn);

/* events.get_running_loop(): new reference, NULL with RuntimeError('no running
   event loop'). HOT: no call into Python. */
FA_INTERNAL PyObject *fa_get_running_loop(fa_state *st);

/* asyncio.current_task(): new reference or NULL in *out (no task); 0 or -1. */
FA_INTERNAL int fa_current_task(fa_state *st, PyObject *loop, PyObject **out);

/* asyncio.isfuture(obj), asyncio.iscoroutine(obj): 1, 0, -1. */
FA_INTERNAL int fa_isfuture(fa_state *st, PyObject *obj);
FA_INTERNAL int fa_iscoroutine(fa_state *st, PyObject *obj);

/* loop.create_task(coro) of any loop, factories and overrides honoured; the
   caller has a coroutine. HOT. New reference. */
FA_INTERNAL PyObject *fa_create_task(fa_state *st, PyObject *loop,
                                     PyObject *coro);

/* loop.create_task(coro, name=name, context=context), where it is nothing but a
   new Task of ours on a loop of ours: 1 and the Task in *task (new; NULL with an
   exception); 0 if the method has to be called. `name` and `context` may be
   NULL. HOT */
FA_INTERNAL int fa_create_task_direct(fa_state *st, PyObject *loop,
                                      PyObject *coro, PyObject *name,
                                      PyObject *context, PyObject **task);

/* task.cancelling() / task.uncancel() of any task (new, an int if the task is
   sane). HOT */
FA_INTERNAL PyObject *fa_task_cancelling(fa_state *st, PyObject *task);
FA_INTERNAL PyObject *fa_task_uncancel(fa_state *st, PyObject *task);

/* futures.future_add_to_awaited_by / discard of any two futures (nothing before
   3.14). 0 or -1. */
FA_INTERNAL int fa_awaited_by_add(fa_state *st, PyObject *fut,
                                  PyObject *waiter);
FA_INTERNAL int fa_awaited_by_discard(fa_state *st, PyObject *fut,
                                      PyObject *waiter);

/* asyncio.ensure_future(obj, loop=loop): `obj` itself if it is a future, else
   a task for it, made by the loop's create_task. `loop` may be NULL or None: the
   running one, or what get_event_loop says. ValueError for a future of another
   loop, TypeError for what cannot be awaited. HOT. New reference. */
FA_INTERNAL PyObject *fa_ensure_future(fa_state *st, PyObject *obj,
                                       PyObject *loop);

/* futures.wrap_future(future, loop=loop): a future of the loop that ends as the
   concurrent one does (new); `loop` may be NULL. HOT */
FA_INTERNAL PyObject *fa_wrap_future(fa_state *st, PyObject *future,
                                     PyObject *loop);

/* futures._get_loop(fut) (new). HOT */
FA_INTERNAL PyObject *fa_future_loop(fa_state *st, PyObject *fut);

/* events.get_event_loop() (new). HOT while a loop runs. */
FA_INTERNAL PyObject *fa_get_event_loop(fa_state *st);

/* What stands in asyncio.tasks.Task if neither asyncio's nor ours (new), or
   NULL; and create_future of a loop of ours. For api/. */
FA_INTERNAL PyObject *task_rebound(fa_state *st);
FA_INTERNAL PyObject *loop_create_future(LoopObject *loop);

/* -- functions and methods that make coroutines ----------------------------------- */

/* A CoroFunction stands for an `async def`: it is a function (binds as a
   method, has __name__, __qualname__, __doc__, __signature__) and
   inspect.iscoroutinefunction and asyncio.iscoroutinefunction say yes, which
   mock's autospec relies on. Called, it makes the coroutine:
   - with `kind` set: it takes no arguments (but self); made at once;
   - else `make(st, self, args, nargs, kwnames)` parses and returns the
     coroutine; for a method self is the instance, checked to be one of
     `owner`; for a module function self is NULL.
   Constant tables, ended by a row without a name. `doc` opens with a line
   "name($self, a, b=None)\n--\n\n", as PyMethodDef docs do ($module for a
   function). */
typedef struct {
    const char *name;     /* "acquire" */
    const char *qualname; /* "Lock.acquire", as error texts and repr name it */
    const fa_coro_kind *kind;
    PyObject *(*make)(fa_state *st, PyObject *self, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames);
    const char *doc;
} fa_coro_def;

/* Put them into the dict of a type that was just made, or into the module. */
FA_INTERNAL int coro_methods_add(fa_state *st, PyTypeObject *owner,
                                 const fa_coro_def *defs);
FA_INTERNAL int coro_functions_add(fa_state *st, PyObject *module,
                                   const fa_coro_def *defs);

FA_INTERNAL int coro_types_init(PyObject *module, fa_state *st);

#endif
