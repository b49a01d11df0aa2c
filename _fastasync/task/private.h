/* task/private.h: what the files of this room tell each other, in the order in
   which they build on one another. Nobody else includes this. */
#ifndef FA_TASK_PRIVATE_H
#define FA_TASK_PRIVATE_H

#include "task/task.h"

/* -- callbacks (callbacks.c) ------------------------------------------------ */

/* HOT. The future is done: hand its callbacks to the loop, in order, and take
   a task out of the registry. 0 or -1; they are gone either way. */
FA_INTERNAL int callbacks_schedule(FutureObject *fut);

/* Remove every callback that compares equal to fn. Returns how many, or -1.
   Runs Python code (__eq__). */
FA_INTERNAL Py_ssize_t callbacks_remove(FutureObject *fut, PyObject *fn);

/* A list of (fn, context) tuples, or None if there are none (new). */
FA_INTERNAL PyObject *callbacks_list(FutureObject *fut);

FA_INTERNAL int callbacks_traverse(FutureObject *fut, visitproc visit,
                                   void *arg);

/* Drop them all without calling anyone; may run Python code. */
FA_INTERNAL void callbacks_clear(FutureObject *fut);

/* Show the tasks among them to the garbage collector. */
FA_INTERNAL void callbacks_settle(FutureObject *fut);

/* -- outcome (outcome.c) ------------------------------------------------------ */

/* HOT. future_set_result that takes over `result`, also on failure. */
FA_INTERNAL int future_finish(FutureObject *fut, PyObject *result);

/* future_cancel that keeps `exc` (taken over) to be raised by result(). */
FA_INTERNAL int future_cancel_with(FutureObject *fut, PyObject *msg,
                                   PyObject *exc);

/* st->timer_sets_result. */
FA_INTERNAL int future_timer_sets_result(fa_state *st, PyObject *obj,
                                         PyObject *result);

/* A new CancelledError, or the one that was kept. NULL on error. */
FA_INTERNAL PyObject *future_cancelled_error(FutureObject *fut);

/* -- the type Future (future.c) ------------------------------------------------ */

/* 0, or -1 with "Future object is not initialized." */
FA_INTERNAL int future_ensure_alive(FutureObject *fut);

/* What Future.__init__ does. `loop` NULL or None: the current one. */
FA_INTERNAL int future_init(FutureObject *fut, PyObject *loop);

/* Is its result a future of ours? A chain of them may be as long as somebody
   likes, and must not be freed by recursion. */
static inline int
future_holds_future(const FutureObject *fut)
{
    return fut->outcome != NULL && future_check_exact(fut->st, fut->outcome);
}

FA_INTERNAL int future_traverse(FutureObject *fut, visitproc visit, void *arg);
FA_INTERNAL void future_settle(FutureObject *fut);
FA_INTERNAL void future_clear(FutureObject *fut);
FA_INTERNAL void future_finalize(FutureObject *fut);

/* loop.call_exception_handler({'message':, ['exception':,] key: self,
   ['source_traceback':]}) from a finalizer: keeps the raised exception,
   whatever goes wrong is unraisable. `message` is taken over (NULL allowed:
   its making failed). */
FA_INTERNAL void future_complain(FutureObject *fut, PyObject *message,
                                 PyObject *key, PyObject *exc);

FA_INTERNAL int future_type_init(PyObject *module, fa_state *st);

/* -- StopIteration (stop.c) ------------------------------------------------------- */

/* Raise StopIteration(value), by its constructor. */
FA_INTERNAL void stop_raise_plain(PyObject *value);

/* HOT. The same for the interpreter, which catches it at once: from the spare
   where that pays. */
FA_INTERNAL void stop_raise(fa_state *st, PyObject *value);

FA_INTERNAL void stop_clear_spare(fa_state *st);
FA_INTERNAL int stop_type_init(PyObject *module, fa_state *st);

/* -- attributes (future_attrs.c) -------------------------------------------------- */

extern __attribute__((visibility("hidden"))) PyGetSetDef Future_getset[];

/* -- awaiting (future_iter.c) --------------------------------------------------- */

FA_INTERNAL PyObject *future_iter_new(PyObject *fut);
FA_INTERNAL int future_iter_type_init(PyObject *module, fa_state *st);

struct CoroObject;

/* -- coroutines in C (coro.c, coro_function.c) ------------------------------------ */

/* What coro.__await__() gives to Python code (new); see coro_wrapper.c. */
FA_INTERNAL PyObject *coro_wrapper_new(fa_state *st, PyObject *coro);

FA_INTERNAL int coro_wrapper_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int coro_function_type_init(PyObject *module, fa_state *st);

/* HOT. The function `fn`, called by `call`, bound to `self` (coro_bound.c). */
FA_INTERNAL PyObject *coro_bound_new(fa_state *st, PyObject *fn,
                                     vectorcallfunc call, PyObject *self);

/* In the call graph (coro_view.c): cr_frame, cr_await and a code object of that
   name and no code, all new. */
FA_INTERNAL PyObject *coro_frame(struct CoroObject *co);
FA_INTERNAL PyObject *coro_await_shown(struct CoroObject *co);
FA_INTERNAL PyObject *coro_code(const char *qualname);
FA_INTERNAL int coro_view_type_init(PyObject *module, fa_state *st);

FA_INTERNAL int coro_bound_type_init(PyObject *module, fa_state *st);

/* -- the functions that wait (ensure.c, ...) --------------------------------------- */

/* fa_run: a future (`arg`) is done and a closure is to be told. HOT */
FA_INTERNAL int closure_run(LoopObject *loop, PyObject *self, PyObject *arg);

/* The context that it shows (borrowed). */
FA_INTERNAL PyObject *closure_context(PyObject *self);
FA_INTERNAL int closure_type_init(PyObject *module, fa_state *st);

FA_INTERNAL int ensure_init(PyObject *module);

/* What any future that is done has to say: one of the three, or -1. An exception
   is retrieved and goes to *value (new); so does a result, if it is wanted. May
   run Python code. HOT */
enum { FA_SAYS_RESULT, FA_SAYS_RAISED, FA_SAYS_CANCELLED };

FA_INTERNAL int future_outcome_slow(fa_state *st, PyObject *fut, int want,
                                    PyObject **value);

static inline int
future_outcome(fa_state *st, PyObject *obj, int want, PyObject **value)
{
    FutureObject *fut = (FutureObject *)obj;
    *value = NULL;
    if (FA_UNLIKELY(!future_plain(st, obj) || fut->state != FA_FINISHED)) {
        return future_outcome_slow(st, obj, want, value);
    }
    if (FA_UNLIKELY(fut->failed)) {
        fut->log_tb = 0;
        *value = Py_NewRef(fut->outcome);
        return FA_SAYS_RAISED;
    }
    if (want) {
        *value = Py_NewRef(fut->outcome);
    }
    return FA_SAYS_RESULT;
}

/* cancel(msg) of a plain future (future_plain): 1, 0, -1. */
FA_INTERNAL int future_cancel_plain(fa_state *st, PyObject *fut,
                                    PyObject *msg);

/* _GatheringFuture.cancel(): 1, 0, -1. */
FA_INTERNAL int gather_cancel(GatherObject *outer, PyObject *msg);
FA_INTERNAL int gather_type_init(PyObject *module, fa_state *st);

FA_INTERNAL int shield_init(PyObject *module, fa_state *st);
FA_INTERNAL int bridge_init(PyObject *module, fa_state *st);
FA_INTERNAL int query_init(PyObject *module);

/* st->future_ahead. */
FA_INTERNAL void future_look_ahead(fa_state *st, PyObject *obj);

/* -- one step (step.c) ------------------------------------------------------------ */

/* fa_run entries, the first two in st->task_runs: `arg` is the exception to throw
   (or NULL), or the future that has woken the task. HOT */
FA_INTERNAL int task_run_step(LoopObject *loop, PyObject *task, PyObject *arg);
FA_INTERNAL int task_run_wakeup(LoopObject *loop, PyObject *task,
                                PyObject *arg);

/* st->task_ahead. */
FA_INTERNAL void task_look_ahead(PyObject *task);

/* HOT. One step in the current context, the task being the current one; throws
   `exc` (borrowed) unless it is NULL. 0, or -1 with what went wrong around the
   coroutine, or with SystemExit or KeyboardInterrupt from inside of it. */
FA_INTERNAL int task_step(TaskObject *task, PyObject *exc);

/* Let the loop run the next step, throwing `exc` (borrowed, may be NULL). */
FA_INTERNAL int task_step_soon(TaskObject *task, PyObject *exc);

/* -- other ways into a step (step_enter.c) -------------------------------------- */

/* One step in whatever context is current, on any loop, with the task as the
   current one. 0 or -1. */
FA_INTERNAL int task_step_anywhere(TaskObject *task, PyObject *exc);

#if FA_HAS_EAGER_START
/* The first step, in place of the current task (Task(eager_start=True)). */
FA_INTERNAL int task_eager_start(TaskObject *task);
#endif

/* -- steps as Python callables (stepcall.c) ------------------------------------ */

/* A callable that does the task's next step (new). */
FA_INTERNAL PyObject *task_step_callable(TaskObject *task, PyObject *exc);

/* task.__wakeup: a builtin method of the task that takes the future (new). */
FA_INTERNAL PyObject *task_wakeup_callable(TaskObject *task);

/* st->task_entry: what asyncio would have scheduled for a ring entry. */
FA_INTERNAL int task_entry_callable(int which, PyObject *self, PyObject *arg,
                                    PyObject **callable, PyObject **context);

/* Wake the task by `fut` (borrowed): what the callable above does. */
FA_INTERNAL int task_wakeup(TaskObject *task, PyObject *fut);

/* context.run(step or wake-up) for a context that is none, as a Handle would
   do it: whoever passed one deserves asyncio's error. 0 or -1. */
FA_INTERNAL int task_run_odd_context(TaskObject *task, PyObject *context,
                                     PyObject *exc, PyObject *fut);

/* A ring entry of the task has failed: tell the loop's exception handler, as
   its Handle would have done. `fut` NULL: it was a step. Returns 0, or -1 if
   the exception must leave the loop. */
FA_INTERNAL int task_run_failed(LoopObject *loop, TaskObject *task,
                                PyObject *fut);

/* The same for any callable (taken over, NULL: its making failed) that was
   called with `fut` (NULL: with nothing) in `context`. */
FA_INTERNAL int callback_run_failed(LoopObject *loop, PyObject *callable,
                                    PyObject *fut, PyObject *context);

FA_INTERNAL int task_step_type_init(PyObject *module, fa_state *st);

/* -- the type Task (task.c) ----------------------------------------------------- */

/* The task's context, its own from now on (new); NULL on error, and without one
   if the task has none. */
FA_INTERNAL PyObject *task_own_context(TaskObject *task);

/* Show the task to the garbage collector, if it has not been. HOT */
FA_INTERNAL void task_track_slow(TaskObject *task);

static inline void
task_track(TaskObject *task)
{
    if (task->untracked) {
        task_track_slow(task);
    }
}

/* st->task_settle. */
FA_INTERNAL void task_settle(PyObject *obj);

/* An untracked task has done a step and somebody holds it: does it have to be
   tracked now? */
FA_INTERNAL void task_track_if_needed(TaskObject *task);

FA_INTERNAL int task_type_init(PyObject *module, fa_state *st);

/* -- waiting functions ---------------------------------------------------------- */

/* st->sleep_settle. */
FA_INTERNAL void sleep_settle(PyObject *owner, PyObject *obj);

FA_INTERNAL int sleep_init(PyObject *module, fa_state *st);

/* -- registry (registry.c) -------------------------------------------------------- */

/* HOT. Put in (unless it is in already) and take out (unless it is out). */
FA_INTERNAL void registry_add(TaskObject *task);
FA_INTERNAL void registry_remove(TaskObject *task);

/* -- awaited-by graph (awaited_by.c) ----------------------------------------------- */

FA_INTERNAL int awaited_by_add_slow(FutureObject *fut, PyObject *waiter);
FA_INTERNAL int awaited_by_discard_slow(FutureObject *fut, PyObject *waiter);

/* _asyncio_awaited_by: None or a frozenset (new). */
FA_INTERNAL PyObject *awaited_by_get(FutureObject *fut);

/* tasks.current_task(loop), whatever that is now: new reference, or NULL in
   *out (no task). 0 or -1. 3.14+ */
#if FA_HAS_AWAITED_BY
FA_INTERNAL int fa_caller_task(fa_state *st, PyObject *loop, PyObject **out);
#endif

/* HOT. Nearly always one waiter: then no set is made. 0 or -1. */
static inline int
awaited_by_add(FutureObject *fut, PyObject *waiter)
{
#if FA_HAS_AWAITED_BY
    if (FA_UNLIKELY(fut->awaited_by != NULL)) {
        return awaited_by_add_slow(fut, waiter);
    }
    fut->awaited_by = Py_NewRef(waiter);
#else
    (void)fut;
    (void)waiter;
#endif
    return 0;
}

static inline int
awaited_by_discard(FutureObject *fut, PyObject *waiter)
{
#if FA_HAS_AWAITED_BY
    if (FA_LIKELY(fut->awaited_by == waiter)) {
        fut->awaited_by = NULL;
        Py_DECREF(waiter); // never the last one: the caller holds its own
        return 0;
    }
    return awaited_by_discard_slow(fut, waiter);
#else
    (void)fut;
    (void)waiter;
    return 0;
#endif
}

/* -- chain.c ---------------------------------------------------------------- */

/* futures._chain_future(source, dest) without a call of it, where `source` is
   exactly of `type`, concurrent.futures.Future, and `dest` a new future of ours:
   1; 0 = it has to be called; -1. HOT */
FA_INTERNAL int chain_concurrent(fa_state *st, PyObject *source,
                                 PyObject *type, PyObject *dest);

#endif
