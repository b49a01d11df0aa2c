/* task/callbacks.c: who is to be told when a future is done.

   The first callback lies in the future itself, further ones in one growing
   block: nearly every future has exactly one. A task that hangs on a future is
   stored as itself, with context NULL: nothing is allocated for it, and when
   the future is done it goes into the ring as it is (task_run_wakeup). Only who
   looks at `_callbacks`, or a loop that must be asked through call_soon, gets to
   see the callable that asyncio would have stored. A closure (task/closure.h)
   is stored in the same way, and is such a callable itself.

   Invariant: whatever is handed out to Python has left the future before; an
   __eq__ or a call_soon may do to the future what it likes. While callbacks are
   being compared, removed ones stay as entries with fn NULL and are closed up
   at the end.
   Cost: adding and scheduling O(1) each, removing one comparison each. HOT:
   future_add_waiter and callbacks_schedule, once per await. */
#include "task/closure.h"
#include "task/private.h"

#include <string.h>

/* -- storage ------------------------------------------------------------------ */

/* Room for one more. 0, or -1 with MemoryError. */
static FA_COLD int
callbacks_grow(FutureObject *fut)
{
    fa_callbacks *more = fut->more;
    size_t capacity = more == NULL ? 3 : (size_t)more->capacity * 2;
    size_t size = sizeof(fa_callbacks) + capacity * sizeof(fa_callback);
    fa_callbacks *bigger = NULL;
    if (capacity <= UINT32_MAX) {
        bigger = PyMem_Realloc(more, size);
    }
    if (bigger == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (more == NULL) {
        bigger->len = 0;
    }
    bigger->capacity = (uint32_t)capacity;
    fut->more = bigger;
    return 0;
}

/* Append to a pending future; both borrowed, `context` NULL for a task or a
   closure. */
static inline int
callbacks_append(FutureObject *fut, PyObject *fn, PyObject *context)
{
    fa_callback cb = {Py_NewRef(fn), Py_XNewRef(context)};
    if (FA_LIKELY(fut->first.fn == NULL && fut->more == NULL)) {
        fut->first = cb;
        return 0;
    }
    fa_callbacks *more = fut->more;
    if (more == NULL || more->len == more->capacity) {
        if (callbacks_grow(fut) < 0) {
            Py_DECREF(fn);
            Py_XDECREF(context);
            return -1;
        }
        more = fut->more;
    }
    more->items[more->len++] = cb;
    return 0;
}

static void
callbacks_free(fa_callbacks *more)
{
    for (uint32_t i = 0; i < more->len; i++) {
        Py_XDECREF(more->items[i].fn);
        Py_XDECREF(more->items[i].context);
    }
    PyMem_Free(more);
}

void
callbacks_clear(FutureObject *fut)
{
    fa_callback first = fut->first;
    fa_callbacks *more = fut->more;
    fut->first = (fa_callback){NULL, NULL};
    fut->more = NULL;
    Py_XDECREF(first.fn);
    Py_XDECREF(first.context);
    if (more != NULL) {
        callbacks_free(more);
    }
}

static inline void
callback_settle(fa_callback cb)
{
    if (cb.fn != NULL && cb.context == NULL) {
        task_settle(cb.fn);
    }
}

void
callbacks_settle(FutureObject *fut)
{
    callback_settle(fut->first);
    for (uint32_t i = 0; fut->more != NULL && i < fut->more->len; i++) {
        callback_settle(fut->more->items[i]);
    }
}

int
callbacks_traverse(FutureObject *fut, visitproc visit, void *arg)
{
    Py_VISIT(fut->first.fn);
    Py_VISIT(fut->first.context);
    if (fut->more != NULL) {
        for (uint32_t i = 0; i < fut->more->len; i++) {
            Py_VISIT(fut->more->items[i].fn);
            Py_VISIT(fut->more->items[i].context);
        }
    }
    return 0;
}

/* -- scheduling ----------------------------------------------------------------- */

/* Through the loop's call_soon. Takes over what `cb` holds. */
static int
callback_schedule_slow(FutureObject *fut, fa_callback cb)
{
    PyObject *loop = Py_NewRef(fut->loop);
    PyObject *fn = cb.fn;
    callback_settle(cb);
    PyObject *context = cb.context;
    if (context == NULL && closure_check(fut->st, fn)) {
        context = Py_NewRef(closure_context(fn));
    }
    else if (context == NULL) {
        TaskObject *task = (TaskObject *)cb.fn;
        context = task_own_context(task);
        fn = task_wakeup_callable(task);
        Py_DECREF(task);
    }
    int rc = fn == NULL || context == NULL
                 ? -1
                 : fa_call_soon(fut->st, loop, fn, (PyObject *)fut,
                                context == Py_None ? NULL : context);
    Py_XDECREF(fn);
    Py_XDECREF(context);
    Py_DECREF(loop);
    return rc;
}

static inline int
callback_schedule(FutureObject *fut, fa_callback cb)
{
    LoopObject *loop = future_engine(fut);
    if (FA_LIKELY(loop != NULL && cb.context == NULL)) {
        fa_run run = FA_LIKELY(!closure_check(fut->st, cb.fn))
                         ? task_run_wakeup : closure_run;
        return loop_push(loop, run, cb.fn, Py_NewRef(fut));
    }
    return callback_schedule_slow(fut, cb);
}

/* Those after the first; with rc < 0 they are only dropped. */
static int
callbacks_schedule_more(FutureObject *fut, fa_callbacks *more, int rc)
{
    for (uint32_t i = 0; i < more->len && rc == 0; i++) {
        fa_callback cb = more->items[i];
        if (cb.fn != NULL) {
            more->items[i] = (fa_callback){NULL, NULL};
            rc = callback_schedule(fut, cb);
        }
    }
    callbacks_free(more);
    return rc;
}

FA_HOT int
callbacks_schedule(FutureObject *fut)
{
    if (fut->is_task) {
        registry_remove((TaskObject *)fut);
    }
    fa_callback first = fut->first;
    fa_callbacks *more = fut->more;
    int rc = 0;
    if (first.fn != NULL) {
        // theirs from now on: a Python call_soon may change the future
        fut->first = (fa_callback){NULL, NULL};
        fut->more = NULL;
        rc = callback_schedule(fut, first);
    }
    else {
        fut->more = NULL;
    }
    if (FA_UNLIKELY(more != NULL)) {
        rc = callbacks_schedule_more(fut, more, rc);
    }
    return rc;
}

/* -- adding ----------------------------------------------------------------------- */

int
future_add_callback(FutureObject *fut, PyObject *fn, PyObject *context)
{
    if (fut->state == FA_PENDING) {
        return callbacks_append(fut, fn, context);
    }
    fa_callback cb = {Py_NewRef(fn), Py_NewRef(context)};
    return callback_schedule(fut, cb);
}

FA_HOT int
future_add_waiter(FutureObject *fut, TaskObject *task)
{
    if (FA_LIKELY(fut->state == FA_PENDING)) {
        return callbacks_append(fut, (PyObject *)task, NULL);
    }
    fa_callback cb = {Py_NewRef((PyObject *)task), NULL};
    return callback_schedule(fut, cb);
}

FA_HOT int
future_add_closure(FutureObject *fut, PyObject *closure)
{
    if (FA_LIKELY(fut->state == FA_PENDING)) {
        return callbacks_append(fut, closure, NULL);
    }
    fa_callback cb = {Py_NewRef(closure), NULL};
    return callback_schedule(fut, cb);
}

/* -- looking and removing ----------------------------------------------------------- */

/* What asyncio would have stored: new references in *fn and *context. */
static int
callback_show(fa_state *st, fa_callback cb, PyObject **fn, PyObject **context)
{
    if (cb.context != NULL || closure_check(st, cb.fn)) {
        *fn = Py_NewRef(cb.fn);
        *context = Py_NewRef(cb.context != NULL ? cb.context
                                                : closure_context(cb.fn));
        return 0;
    }
    TaskObject *task = (TaskObject *)cb.fn;
    Py_INCREF(task);
    *context = task_own_context(task); // may collect garbage, as may the next
    *fn = task_wakeup_callable(task);
    Py_DECREF(task);
    if (*fn == NULL || *context == NULL) {
        Py_CLEAR(*fn);
        Py_CLEAR(*context);
        return -1;
    }
    return 0;
}

/* Is this entry to be removed? 1, 0, -1. */
static int
callback_matches(fa_state *st, fa_callback cb, PyObject *fn)
{
    PyObject *shown, *context;
    if (callback_show(st, cb, &shown, &context) < 0) {
        return -1;
    }
    int equal = PyObject_RichCompareBool(shown, fn, Py_EQ);
    Py_DECREF(shown);
    Py_DECREF(context);
    return equal;
}

/* Close the gaps that removing has left. Calls nobody. */
static void
callbacks_close_up(FutureObject *fut)
{
    fa_callbacks *more = fut->more;
    if (more == NULL) {
        return;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < more->len; i++) {
        if (more->items[i].fn != NULL) {
            more->items[kept++] = more->items[i];
        }
    }
    more->len = kept;
    if (kept == 0) {
        fut->more = NULL;
        PyMem_Free(more);
    }
}

/* The i-th entry (0 = the first), or NULL behind the last one. */
static fa_callback *
callback_at(FutureObject *fut, size_t i)
{
    if (i == 0) {
        return &fut->first;
    }
    return fut->more != NULL && i <= fut->more->len ? &fut->more->items[i - 1]
                                                    : NULL;
}

Py_ssize_t
callbacks_remove(FutureObject *fut, PyObject *fn)
{
    Py_ssize_t removed = 0;
    // by index, and looked up again each time: __eq__ may change the future
    for (size_t i = 0; callback_at(fut, i) != NULL; i++) {
        fa_callback cb = *callback_at(fut, i);
        if (cb.fn == NULL) {
            continue;
        }
        Py_INCREF(cb.fn);
        int equal = callback_matches(fut->st, cb, fn);
        fa_callback *now = callback_at(fut, i);
        if (equal > 0 && now != NULL && now->fn == cb.fn) {
            fa_callback gone = *now;
            *now = (fa_callback){NULL, NULL};
            removed++;
            callback_settle(gone);
            Py_DECREF(gone.fn);
            Py_XDECREF(gone.context);
        }
        Py_DECREF(cb.fn);
        if (equal < 0) {
            callbacks_close_up(fut);
            return -1;
        }
    }
    callbacks_close_up(fut);
    return removed;
}

/* Append the entry to the list, unless it is a gap. */
static int
callbacks_list_one(fa_state *st, PyObject *list, fa_callback cb)
{
    PyObject *fn, *context;
    if (cb.fn == NULL) {
        return 0;
    }
    if (callback_show(st, cb, &fn, &context) < 0) {
        return -1;
    }
    PyObject *pair = PyTuple_Pack(2, fn, context);
    int rc = pair == NULL ? -1 : PyList_Append(list, pair);
    Py_XDECREF(pair);
    Py_DECREF(fn);
    Py_DECREF(context);
    return rc;
}

PyObject *
callbacks_list(FutureObject *fut)
{
    if (fut->first.fn == NULL && fut->more == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *list = PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    for (size_t i = 0; callback_at(fut, i) != NULL; i++) {
        if (callbacks_list_one(fut->st, list, *callback_at(fut, i)) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}
