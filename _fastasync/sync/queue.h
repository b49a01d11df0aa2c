/* sync/queue.h: what the files of the queues tell each other.

   Queue, LifoQueue and PriorityQueue share one struct and one set of methods;
   they differ in `_init`, `_put` and `_get`. asyncio's queues call their own
   methods (`put` calls `full` and `put_nowait`, that calls `_put` ...), and
   programs override any of them. So each queue knows its *ways*: one bit for
   each method that is not ours for this object, by its class or by an instance
   attribute. A bit that is not set is a plain C call; one that is set is a call
   of the method. The ways are worked out once and hold as long as the type's
   version tag does (queue_ways.c).

   An attribute (`_getters`, `_queue`, `_maxsize` ...) that has its usual type
   lives in the struct and has its bit in `usual`. One that was given something
   else lives in the instance dict under its name. Then, and when a class
   replaces one of the attributes, QW_THEIRS is set: asyncio's own Python
   methods, of the Python that runs, do the work on our object. So what is odd
   is right by construction, and what is usual is fast.

   A function named queue_own_x is what `Queue.x(self)` does; queue_x is
   `self.x()`, which may be somebody else's. Any of them may run Python code
   unless it says otherwise. */
#ifndef FA_SYNC_QUEUE_H
#define FA_SYNC_QUEUE_H

#include "base/classes.h"
#include "base/fifo.h"
#include "sync/private.h"
#include "task/coro.h"

/* The attributes, by their bits in `usual`. */
enum {
    QA_MAXSIZE = 1,
    QA_GETTERS = 2,
    QA_PUTTERS = 4,
    QA_UNFINISHED = 8,
    QA_FINISHED = 16,
    QA_SHUTDOWN = 32,
    QA_QUEUE = 64,
};

/* Those that C cannot do without: all but `_queue`. */
#define QA_NEEDED \
    (QA_MAXSIZE | QA_GETTERS | QA_PUTTERS | QA_UNFINISHED | QA_FINISHED | \
     (FA_HAS_QUEUE_SHUTDOWN ? QA_SHUTDOWN : 0))

/* X(bit, name): the methods that queues call on themselves. The bit is set if
   `self.name()` has to be a method call. */
#define QUEUE_HOOKS(X) \
    X(QW_FULL, full) X(QW_EMPTY, empty) X(QW_QSIZE, qsize) \
    X(QW_PUT_NOWAIT, put_nowait) X(QW_GET_NOWAIT, get_nowait) \
    X(QW_PUT, _put) X(QW_GET, _get) X(QW_INIT, _init) \
    X(QW_WAKEUP, _wakeup_next) X(QW_GET_LOOP, _get_loop)

enum {
    QW_FULL = 1,
    QW_EMPTY = 2,
    QW_QSIZE = 4,
    QW_PUT_NOWAIT = 8,
    QW_GET_NOWAIT = 16,
    QW_PUT = 32,
    QW_GET = 64,
    QW_INIT = 128,
    QW_WAKEUP = 256,
    QW_GET_LOOP = 512,
    QW_THEIRS = 1024,
    QW_ALL = 2047,
};

/* Whose `_put`, `_get` or `_init` it is, where its bit is not set. */
enum { QUEUE_FIFO, QUEUE_LIFO, QUEUE_HEAP };

typedef struct {
    FA_CLASS_HEAD
    PyObject *loop;       /* strong or NULL: _loop */
    PyObject *maxsize;    /* strong or NULL: _maxsize, an int or a float */
    PyObject *finished;   /* strong or NULL: _finished, an Event; made when
                             somebody needs it */
    fa_fifo getters;
    fa_fifo putters;
    fa_fifo items;        /* _queue; its `deque` is a list in a heap */
    Py_ssize_t limit;     /* maxsize, 0 = none */
    int64_t unfinished;   /* _unfinished_tasks */
    fa_queue_ways ways;
    uint8_t usual;        /* QA_... */
    uint8_t done;         /* what `_finished` says while it is NULL */
    uint8_t shut;         /* _is_shutdown */
    uint8_t shown_as_list; /* `items`, while they are a ring */
    uint8_t dict_shown;   /* somebody has had __dict__: any method of the
                             instance may be replaced there */
} QueueObject;

/* -- ways (queue_ways.c) ------------------------------------------------------ */

FA_INTERNAL unsigned int queue_ways_find(QueueObject *q);

/* Is the class still the one that was looked at? */
static inline int
queue_ways_hold(QueueObject *q, const fa_queue_ways *ways)
{
    return FA_LIKELY(ways->version == fa_type_version(Py_TYPE(q)) &&
                     ways->version != 0);
}

/* HOT. The QW_... bits of this moment. Runs no Python code. */
static inline unsigned int
queue_ways(QueueObject *q)
{
    if (FA_LIKELY(queue_ways_hold(q, &q->ways))) {
        return q->ways.bits;
    }
    return queue_ways_find(q);
}

/* Something has changed that the ways depend on. */
static inline void
queue_ways_forget(QueueObject *q)
{
    q->ways.version = 0;
}

/* Do attribute accesses on q (`q._queue`) reach our struct? Not if its class
   has something else under one of the names, or __getattribute__ or __setattr__. */
FA_INTERNAL int queue_attributes_ours(QueueObject *q);

/* self.name() or self.name(arg) (new), where the bit of that method is set in
   the ways: a function of the class is called without looking into the
   instance dict, which was looked into for the ways. */
FA_INTERNAL PyObject *queue_hook(QueueObject *q, PyObject *name,
                                 PyObject *arg);

/* asyncio's own method `name` of class `cls` (one of st->asyncio_...Queue)
   called on q: a new reference or NULL; `arg` may be NULL. */
FA_INTERNAL PyObject *queue_theirs(QueueObject *q, PyObject *cls,
                                   PyObject *name, PyObject *arg);

/* -- attributes (queue_attrs.c) -------------------------------------------------- */

extern __attribute__((visibility("hidden"))) PyGetSetDef Queue_getset[];

/* `_finished` (borrowed), made if need be. NULL on error. */
FA_INTERNAL PyObject *queue_finished(QueueObject *q);

/* Take out of the instance dict what stands there under `name`. 0 or -1. */
FA_INTERNAL int queue_dict_forget(QueueObject *q, PyObject *name);

/* __setattr__ of the queues: notices a method that an instance replaces. */
FA_INTERNAL int Queue_setattro(PyObject *self, PyObject *name,
                               PyObject *value);

FA_INTERNAL PyObject *Queue_getstate(PyObject *self, PyObject *ignored);
FA_INTERNAL PyObject *Queue_reduce_ex(PyObject *self, PyObject *protocol);
FA_INTERNAL PyObject *Queue_setstate(PyObject *self, PyObject *state);

/* -- engine (queue.c) --------------------------------------------------------------- */

/* Which waiters: `putters` or `getters`. */
enum { QUEUE_PUTTERS, QUEUE_GETTERS };

static inline fa_fifo *
queue_waiters(QueueObject *q, int which)
{
    return which == QUEUE_PUTTERS ? &q->putters : &q->getters;
}

/* A new Queue() without a limit, of our class itself. NULL on error. */
FA_INTERNAL PyObject *queue_new(fa_state *st);

/* self.full(), self.empty(): 1, 0, -1. HOT */
FA_INTERNAL int queue_full(QueueObject *q);
FA_INTERNAL int queue_empty(QueueObject *q);

/* Queue.put_nowait(self, item), Queue.get_nowait(self) (new). HOT */
FA_INTERNAL int queue_own_put_nowait(QueueObject *q, PyObject *item);
FA_INTERNAL PyObject *queue_own_get_nowait(QueueObject *q);

/* self._wakeup_next(self._getters or self._putters). HOT */
FA_INTERNAL int queue_wakeup(QueueObject *q, int which);

/* HOT. The case of nearly every put: nothing overridden, a Queue that nobody
   joins and that has room. 1 = the item is in, 0 = take the long way, -1. */
static inline int
queue_put_plain(QueueObject *q, PyObject *item)
{
    if (FA_UNLIKELY(queue_ways(q) != 0 || q->ways.put != QUEUE_FIFO ||
                    q->shut || q->finished != NULL ||
                    (q->limit > 0 && fifo_len(&q->items) >= q->limit)))
    {
        return 0;
    }
    if (fifo_push(q->st, &q->items, item) < 0) {
        return -1;
    }
    q->unfinished++;
    q->done = 0;
    if (fifo_len(&q->getters) == 0) {
        return 1;
    }
    return queue_wakeup(q, QUEUE_GETTERS) < 0 ? -1 : 1;
}

/* HOT. The same for a get: the item (new), or NULL: take the long way, unless
   an exception is raised (*failed). */
static inline PyObject *
queue_get_plain(QueueObject *q, int *failed)
{
    *failed = 0;
    if (FA_UNLIKELY(queue_ways(q) != 0 || q->ways.get != QUEUE_FIFO ||
                    fifo_len(&q->items) == 0))
    {
        return NULL;
    }
    PyObject *item = fifo_pop(q->st, &q->items);
    *failed = item == NULL;
    if (FA_UNLIKELY(fifo_len(&q->putters) != 0) && item != NULL &&
        queue_wakeup(q, QUEUE_PUTTERS) < 0)
    {
        *failed = 1;
        Py_CLEAR(item);
    }
    return item;
}

/* -- `_init`, `_put`, `_get` (queue_kinds.c) --------------------------------------- */

/* self._init(maxsize), self._put(item), self._get() (new). HOT but the first. */
FA_INTERNAL int queue_call_init(QueueObject *q, PyObject *maxsize);
FA_INTERNAL int queue_call_put(QueueObject *q, PyObject *item);
FA_INTERNAL PyObject *queue_call_get(QueueObject *q);

/* `_queue`, which must be as usual: the deque or list that holds the items from
   now on (new). */
FA_INTERNAL PyObject *queue_items(QueueObject *q);

/* The methods of those names of Queue itself (the other two classes' are
   private to queue_kinds.c). */
FA_INTERNAL PyObject *Queue_init_items(PyObject *self, PyObject *const *args,
                                       Py_ssize_t nargs, PyObject *kwnames);
FA_INTERNAL PyObject *Queue_put_item(PyObject *self, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject *kwnames);
FA_INTERNAL PyObject *Queue_get_item(PyObject *self, PyObject *ignored);

/* The one argument `name` of a method (borrowed), or NULL with TypeError. */
FA_INTERNAL PyObject *queue_one_argument(const char *fname, const char *name,
                                         PyObject *const *args,
                                         Py_ssize_t nargs, PyObject *kwnames);

/* LifoQueue and PriorityQueue; they live and die as Queue does. 0 or -1. */
FA_INTERNAL int queue_kinds_init(PyObject *module, fa_state *st);
FA_INTERNAL int Queue_traverse(PyObject *self, visitproc visit, void *arg);
FA_INTERNAL int Queue_clear(PyObject *self);
FA_INTERNAL void Queue_dealloc(PyObject *self);

/* -- coroutines (queue_wait.c) ----------------------------------------------------- */

/* vars of put and get: the queue; the item to put, or a variable of whoever
   else uses the turn; the future waited for. */
enum { QV_QUEUE, QV_ITEM, QV_WAITER };

/* The turn of get(): for coroutines that are a get() and a bit more (they see
   its PYGEN_RETURN, with the item, before anybody else). HOT */
FA_INTERNAL PySendResult queue_get_turn(CoroObject *co, PyObject *value,
                                        PyObject **result);

/* The types of queue.c. */
FA_INTERNAL int queue_types_init(PyObject *module, fa_state *st);

/* put, get and join, into the dict of the core type. */
FA_INTERNAL int queue_wait_init(fa_state *st);

#endif
