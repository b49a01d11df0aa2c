/* sync/queue_wait.c: put(), get() and join().

   put and get look whether they can go ahead, and wait for a future in the
   queue if not, again and again: whoever was woken may come too late. A waiter
   that leaves (it was cancelled, most often) takes its future out of the queue;
   if it had been woken already, it wakes the next one, or an item would lie
   there with everybody asleep. HOT. Benchmarks: queue_put_get, queue_pingpong. */
#include "sync/queue.h"
#include "base/args.h"
#include "base/errors.h"

/* Where the next turn goes on. */
enum { QUEUE_BEGIN, QUEUE_WOKEN, QUEUE_THEIRS };

static inline QueueObject *
queue_of(CoroObject *co)
{
    return (QueueObject *)co->vars[QV_QUEUE];
}

/* -- waiting -------------------------------------------------------------------------- */

/* waiters.append(future), where `waiters` is the attribute. */
static FA_COLD int
queue_append_odd(QueueObject *q, int which, PyObject *future)
{
    fa_state *st = q->st;
    PyObject *waiters = PyObject_GetAttr(
        (PyObject *)q, which == QUEUE_PUTTERS ? st->str__putters
                                              : st->str__getters);
    if (waiters == NULL) {
        return -1;
    }
    PyObject *done = PyObject_CallMethodOneArg(waiters, st->str_append,
                                               future);
    Py_DECREF(waiters);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* self._get_loop().create_future() (new) */
static PyObject *
queue_future(QueueObject *q)
{
    fa_state *st = q->st;
    PyObject *loop;
    if (FA_UNLIKELY(queue_ways(q) & QW_GET_LOOP)) {
        loop = queue_hook(q, st->str__get_loop, NULL);
    }
    else {
        loop = Py_XNewRef(bound_loop(st, (PyObject *)q, &q->loop));
    }
    if (loop == NULL) {
        return NULL;
    }
    PyObject *future = fa_create_future(st, loop);
    Py_DECREF(loop);
    return future;
}

/* Queue up and await. */
static PySendResult
queue_wait(CoroObject *co, int which)
{
    QueueObject *q = queue_of(co);
    PyObject *future = queue_future(q);
    if (future == NULL) {
        return PYGEN_ERROR;
    }
    int rc = FA_UNLIKELY(queue_ways(q) & QW_THEIRS)
                 ? queue_append_odd(q, which, future)
                 : fifo_push(co->st, queue_waiters(q, which), future);
    if (rc < 0) {
        Py_DECREF(future);
        return PYGEN_ERROR;
    }
    Py_XSETREF(co->vars[QV_WAITER], Py_NewRef(future));
    return coro_await(co, QUEUE_WOKEN, future);
}

/* try: waiters.remove(future) except ValueError: pass */
static int
queue_remove_waiter(QueueObject *q, int which, PyObject *future)
{
    fa_state *st = q->st;
    if (FA_LIKELY(!(queue_ways(q) & QW_THEIRS))) {
        return fifo_remove(st, queue_waiters(q, which), future) < 0 ? -1 : 0;
    }
    PyObject *waiters = PyObject_GetAttr(
        (PyObject *)q, which == QUEUE_PUTTERS ? st->str__putters
                                              : st->str__getters);
    PyObject *done = waiters == NULL
                         ? NULL
                         : PyObject_CallMethodOneArg(waiters, st->str_remove,
                                                     future);
    Py_XDECREF(waiters);
    if (done == NULL) {
        if (waiters == NULL || !PyErr_ExceptionMatches(PyExc_ValueError)) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(done);
    return 0;
}

/* The await has raised: what the `except` block does before it raises again. */
static int
queue_leave(QueueObject *q, int which, PyObject *future)
{
    fa_state *st = q->st;
    if (fa_future_cancel(st, future, NULL) < 0 ||
        queue_remove_waiter(q, which, future) < 0)
    {
        return -1;
    }
    int blocked = which == QUEUE_PUTTERS ? queue_full(q) : queue_empty(q);
    if (blocked != 0) {
        return blocked < 0 ? -1 : 0;
    }
    int cancelled = fa_future_cancelled(st, future);
    if (cancelled != 0) {
        return cancelled < 0 ? -1 : 0;
    }
    return queue_wakeup(q, which); // we were woken and cannot take the call
}

static PySendResult
queue_wait_failed(CoroObject *co, int which)
{
    PyObject *exc = fa_err_take();
    PyObject *future = co->vars[QV_WAITER];
    co->vars[QV_WAITER] = NULL;
    int rc = queue_leave(queue_of(co), which, future);
    Py_DECREF(future);
    if (rc < 0) {
        fa_err_chain(exc);
    }
    else {
        fa_err_restore(exc);
    }
    return PYGEN_ERROR;
}

/* Await asyncio's own coroutine method `name` of the queue. */
static FA_COLD PySendResult
queue_await_theirs(CoroObject *co, PyObject *name, PyObject *arg)
{
    QueueObject *q = queue_of(co);
    PyObject *coro = queue_theirs(q, co->st->asyncio_Queue, name, arg);
    return coro == NULL ? PYGEN_ERROR : coro_await(co, QUEUE_THEIRS, coro);
}

/* The await of another coroutine is over. */
static PySendResult
queue_pass_on(CoroObject *co, PyObject *value, PyObject **result)
{
    return value == NULL ? PYGEN_ERROR : coro_return(co, value, result);
}

/* -- get --------------------------------------------------------------------------------- */

static FA_COLD PySendResult
queue_get_blocked(CoroObject *co)
{
#if FA_HAS_QUEUE_SHUTDOWN
    QueueObject *q = queue_of(co);
    if (q->shut && !(queue_ways(q) & QW_THEIRS)) {
        int empty = queue_empty(q);
        if (empty < 0) {
            return PYGEN_ERROR;
        }
        if (empty) {
            PyErr_SetNone(co->st->QueueShutDown);
            return PYGEN_ERROR;
        }
    }
#endif
    return queue_wait(co, QUEUE_GETTERS);
}

/* get() with all its steps. */
static PySendResult
queue_get_long(CoroObject *co, PyObject **result)
{
    QueueObject *q = queue_of(co);
    unsigned int ways = queue_ways(q);
    if (FA_UNLIKELY(ways & QW_THEIRS)) {
        return queue_await_theirs(co, co->st->str_get, NULL);
    }
    int empty = queue_empty(q);
    if (empty != 0) {
        return empty < 0 ? PYGEN_ERROR : queue_get_blocked(co);
    }
    *result = FA_UNLIKELY(ways & QW_GET_NOWAIT)
                  ? queue_hook(q, co->st->str_get_nowait, NULL)
                  : queue_own_get_nowait(q);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

FA_HOT PySendResult
queue_get_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (co->stage == QUEUE_THEIRS) {
        return queue_pass_on(co, value, result);
    }
    if (FA_UNLIKELY(value == NULL)) {
        return queue_wait_failed(co, QUEUE_GETTERS);
    }
    QueueObject *q = queue_of(co);
    int failed;
    *result = queue_get_plain(q, &failed);
    if (FA_LIKELY(*result != NULL)) {
        return PYGEN_RETURN;
    }
    if (FA_UNLIKELY(failed)) {
        return PYGEN_ERROR;
    }
    return queue_get_long(co, result);
}

/* -- put ----------------------------------------------------------------------------------- */

static FA_COLD PySendResult
queue_put_blocked(CoroObject *co)
{
#if FA_HAS_QUEUE_SHUTDOWN
    QueueObject *q = queue_of(co);
    if (q->shut && !(queue_ways(q) & QW_THEIRS)) {
        PyErr_SetNone(co->st->QueueShutDown);
        return PYGEN_ERROR;
    }
#endif
    return queue_wait(co, QUEUE_PUTTERS);
}

static FA_HOT PySendResult
queue_put_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (co->stage == QUEUE_THEIRS) {
        return queue_pass_on(co, value, result);
    }
    if (FA_UNLIKELY(value == NULL)) {
        return queue_wait_failed(co, QUEUE_PUTTERS);
    }
    QueueObject *q = queue_of(co);
    PyObject *item = co->vars[QV_ITEM];
    int plain = queue_put_plain(q, item);
    if (FA_LIKELY(plain != 0)) {
        return plain < 0 ? PYGEN_ERROR : coro_return_none(result);
    }
    unsigned int ways = queue_ways(q);
    if (FA_UNLIKELY(ways & QW_THEIRS)) {
        return queue_await_theirs(co, co->st->str_put, item);
    }
    int full = queue_full(q);
    if (full != 0) {
        return full < 0 ? PYGEN_ERROR : queue_put_blocked(co);
    }
    if (FA_UNLIKELY(ways & QW_PUT_NOWAIT)) {
        *result = queue_hook(q, co->st->str_put_nowait, item);
        return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    }
    return queue_own_put_nowait(q, item) < 0 ? PYGEN_ERROR
                                             : coro_return_none(result);
}

/* -- join ---------------------------------------------------------------------------------- */

static PySendResult
queue_join_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    QueueObject *q = queue_of(co);
    if (co->stage != QUEUE_BEGIN) {
        return value == NULL ? PYGEN_ERROR : coro_return_none(result);
    }
    if (queue_ways(q) & QW_THEIRS) {
        return queue_await_theirs(co, co->st->str_join, NULL);
    }
    if (q->unfinished <= 0) {
        return coro_return_none(result);
    }
    PyObject *event = Py_XNewRef(queue_finished(q));
    PyObject *wait = event == NULL
                         ? NULL
                         : PyObject_CallMethodNoArgs(event, co->st->str_wait);
    Py_XDECREF(event);
    return wait == NULL ? PYGEN_ERROR : coro_await(co, QUEUE_WOKEN, wait);
}

/* -- tables ---------------------------------------------------------------------------------- */

static const fa_coro_kind queue_put_kind = {"Queue.put", queue_put_turn};
static const fa_coro_kind queue_get_kind = {"Queue.get", queue_get_turn};
static const fa_coro_kind queue_join_kind = {"Queue.join", queue_join_turn};

static PyObject *
queue_put_make(fa_state *st, PyObject *self, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *item = queue_one_argument("Queue.put", "item", args, nargs,
                                        kwnames);
    return item == NULL
               ? NULL
               : (PyObject *)coro_new(st, &queue_put_kind, self, item);
}

static const fa_coro_def queue_defs[] = {
    {"put", "Queue.put", NULL, queue_put_make,
     "put($self, item)\n--\n\n"
     "Add an item; wait while the queue is full. asyncio.QueueShutDown (3.13+)\n"
     "after shutdown()."},
    {"get", "Queue.get", &queue_get_kind, NULL,
     "get($self)\n--\n\n"
     "Remove and return an item; wait while the queue is empty.\n"
     "asyncio.QueueShutDown (3.13+) if it will stay so."},
    {"join", "Queue.join", &queue_join_kind, NULL,
     "join($self)\n--\n\n"
     "Wait until task_done() was called for every item that was put."},
    {NULL, NULL, NULL, NULL, NULL},
};

int
queue_wait_init(fa_state *st)
{
    return coro_methods_add(st, st->QueueCoreType, queue_defs);
}
