/* sync/queue.c: asyncio.Queue: life, engine, and the methods that do not wait.

   Whoever waits has a future in `getters` or `putters`. put_nowait wakes one
   getter, get_nowait one putter; the woken one looks again and may find that
   somebody else was faster. As long as nobody waits, put and get are a push
   into the ring `items` and a pop from it, and two tests.

   `_finished` is asyncio's Event that join() waits for. Nearly no queue is ever
   joined, so there is only what it would say (`done`) until somebody asks for
   it. HOT: queue_own_put_nowait, queue_own_get_nowait and what they call.
   Benchmarks: queue_put_get, queue_pingpong. */
#include "sync/queue.h"
#include "base/args.h"
#include "base/errors.h"

/* -- life ------------------------------------------------------------------------ */

static PyObject *
Queue_new(PyTypeObject *tp, PyObject *Py_UNUSED(args),
          PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(tp);
    if (st == NULL) {
        return NULL;
    }
    QueueObject *q = (QueueObject *)tp->tp_alloc(tp, 0);
    if (q != NULL) {
        q->st = st;
    }
    return (PyObject *)q;
}

int
Queue_traverse(PyObject *self, visitproc visit, void *arg)
{
    QueueObject *q = (QueueObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(q->dict);
    Py_VISIT(q->loop);
    Py_VISIT(q->maxsize);
    Py_VISIT(q->finished);
    int rc = fifo_traverse(&q->getters, visit, arg);
    if (rc == 0) {
        rc = fifo_traverse(&q->putters, visit, arg);
    }
    return rc != 0 ? rc : fifo_traverse(&q->items, visit, arg);
}

int
Queue_clear(PyObject *self)
{
    QueueObject *q = (QueueObject *)self;
    q->usual = 0; // its attributes are gone
    queue_ways_forget(q);
    Py_CLEAR(q->dict);
    Py_CLEAR(q->loop);
    Py_CLEAR(q->maxsize);
    Py_CLEAR(q->finished);
    fifo_clear(&q->getters);
    fifo_clear(&q->putters);
    fifo_clear(&q->items);
    return 0;
}

void
Queue_dealloc(PyObject *self)
{
    fa_class_dealloc(self, Queue_clear);
}

/* -- __init__ -------------------------------------------------------------------------- */

/* All attributes as __init__ sets them, but `_queue`. `maxsize` goes through
   __setattr__ of ours, because it may be anything. */
static int
queue_reset(QueueObject *q, PyObject *maxsize)
{
    if (PyObject_GenericSetAttr((PyObject *)q, q->st->str__maxsize,
                                maxsize) < 0)
    {
        return -1;
    }
    fa_state *st = q->st;
    if (queue_dict_forget(q, st->str__getters) < 0 ||
        queue_dict_forget(q, st->str__putters) < 0 ||
        queue_dict_forget(q, st->str__unfinished_tasks) < 0 ||
        queue_dict_forget(q, st->str__is_shutdown) < 0)
    {
        return -1;
    }
    fifo_replace(&q->getters, NULL);
    fifo_replace(&q->putters, NULL);
    Py_CLEAR(q->finished);
    q->unfinished = 0;
    q->done = 1;
    q->shut = 0;
    q->usual |= QA_NEEDED & ~QA_MAXSIZE;
    queue_ways_forget(q);
    return 0;
}

/* asyncio's __init__, for a class that replaces our attributes. */
static int
queue_init_theirs(QueueObject *q, PyObject *maxsize)
{
    PyObject *done = queue_theirs(q, q->st->asyncio_Queue, q->st->str___init__,
                                  maxsize);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int
Queue_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const fa_args spec = {
        .fname = "Queue.__init__", .positional = 1, .python = 1, .total = 1,
        .names = {"maxsize"},
    };
    QueueObject *q = (QueueObject *)self;
    PyObject *out[1];
    if (fa_args_parse_tuple(&spec, args, kwargs, out) < 0) {
        return -1;
    }
    PyObject *maxsize = out[0] == NULL ? PyLong_FromLong(0)
                                       : Py_NewRef(out[0]);
    if (maxsize == NULL) {
        return -1;
    }
    int rc;
    if (FA_UNLIKELY(!queue_attributes_ours(q))) {
        rc = queue_init_theirs(q, maxsize);
    }
    else {
        rc = queue_reset(q, maxsize);
        if (rc == 0) {
            rc = queue_call_init(q, maxsize);
        }
    }
    Py_DECREF(maxsize);
    return rc;
}

PyObject *
queue_new(fa_state *st)
{
    return PyObject_CallNoArgs((PyObject *)st->QueueType);
}

/* -- engine ------------------------------------------------------------------------------ */

/* bool(self.name()): 1, 0, -1. */
static int
queue_ask(QueueObject *q, PyObject *name)
{
    PyObject *answer = queue_hook(q, name, NULL);
    if (answer == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return truth;
}

/* full() where qsize() is not ours, or an attribute (new). */
static PyObject *
queue_full_odd(QueueObject *q)
{
    fa_state *st = q->st;
    PyObject *maxsize = PyObject_GetAttr((PyObject *)q, st->str__maxsize);
    PyObject *zero = maxsize == NULL ? NULL : PyLong_FromLong(0);
    int endless = zero == NULL
                      ? -1
                      : PyObject_RichCompareBool(maxsize, zero, Py_LE);
    PyObject *size = NULL, *answer = NULL;
    if (endless == 0) {
        size = PyObject_CallMethodNoArgs((PyObject *)q, st->str_qsize);
    }
    if (size != NULL) {
        Py_SETREF(maxsize, PyObject_GetAttr((PyObject *)q, st->str__maxsize));
        if (maxsize != NULL) {
            answer = PyObject_RichCompare(size, maxsize, Py_GE);
        }
    }
    Py_XDECREF(size);
    Py_XDECREF(zero);
    Py_XDECREF(maxsize);
    return endless > 0 ? Py_NewRef(Py_False) : answer;
}

static FA_COLD int
queue_full_slow(QueueObject *q)
{
    unsigned int ways = queue_ways(q);
    if (ways & QW_FULL) {
        return queue_ask(q, q->st->str_full);
    }
    if (q->limit == 0) { // then there is no qsize() to call
        return 0;
    }
    PyObject *answer = queue_full_odd(q);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return truth;
}

FA_HOT int
queue_full(QueueObject *q)
{
    if (FA_UNLIKELY(queue_ways(q) & (QW_FULL | QW_QSIZE))) {
        return queue_full_slow(q);
    }
    return q->limit > 0 && fifo_len(&q->items) >= q->limit;
}

FA_HOT int
queue_empty(QueueObject *q)
{
    if (FA_UNLIKELY(queue_ways(q) & QW_EMPTY)) {
        return queue_ask(q, q->st->str_empty);
    }
    return fifo_len(&q->items) == 0;
}

/* Wake the first waiter that is not done, or with `all` each one. */
static inline int
queue_wake(QueueObject *q, fa_fifo *waiters, int all)
{
    fa_state *st = q->st;
    while (FA_UNLIKELY(fifo_len(waiters) > 0)) {
        PyObject *waiter = fifo_pop(st, waiters);
        if (waiter == NULL) {
            return -1;
        }
        int done = fa_future_done(st, waiter);
        int rc = done != 0 ? done : fa_future_set_result(st, waiter, Py_None);
        Py_DECREF(waiter);
        if (rc < 0) {
            return -1;
        }
        if (!done && !all) {
            break;
        }
    }
    return 0;
}

FA_HOT int
queue_wakeup(QueueObject *q, int which)
{
    if (FA_LIKELY(!(queue_ways(q) & QW_WAKEUP))) {
        return queue_wake(q, queue_waiters(q, which), 0);
    }
    fa_state *st = q->st;
    PyObject *waiters = PyObject_GetAttr(
        (PyObject *)q, which == QUEUE_PUTTERS ? st->str__putters
                                              : st->str__getters);
    if (waiters == NULL) {
        return -1;
    }
    PyObject *done = queue_hook(q, st->str__wakeup_next, waiters);
    Py_DECREF(waiters);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* self._finished.name(), the answer dropped. */
static int
queue_tell_finished(QueueObject *q, PyObject *name)
{
    PyObject *event = PyObject_GetAttr((PyObject *)q, q->st->str__finished);
    if (event == NULL) {
        return -1;
    }
    PyObject *done = PyObject_CallMethodNoArgs(event, name);
    Py_DECREF(event);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* self._unfinished_tasks += 1, where that is not ours. */
static FA_COLD int
queue_count_odd(QueueObject *q)
{
    PyObject *name = q->st->str__unfinished_tasks;
    PyObject *count = PyObject_GetAttr((PyObject *)q, name);
    PyObject *one = count == NULL ? NULL : PyLong_FromLong(1);
    PyObject *sum = one == NULL ? NULL : PyNumber_InPlaceAdd(count, one);
    int rc = sum == NULL ? -1 : PyObject_SetAttr((PyObject *)q, name, sum);
    Py_XDECREF(count);
    Py_XDECREF(one);
    Py_XDECREF(sum);
    return rc;
}

/* One more task: what put_nowait does after _put. */
static inline int
queue_added(QueueObject *q)
{
    if (FA_UNLIKELY(queue_ways(q) & QW_THEIRS)) { // _put has changed q
        if (queue_count_odd(q) < 0) {
            return -1;
        }
    }
    else {
        q->unfinished++;
        if (FA_LIKELY(q->finished == NULL)) {
            q->done = 0;
            return queue_wakeup(q, QUEUE_GETTERS);
        }
    }
    if (queue_tell_finished(q, q->st->str_clear) < 0) {
        return -1;
    }
    return queue_wakeup(q, QUEUE_GETTERS);
}

FA_HOT int
queue_own_put_nowait(QueueObject *q, PyObject *item)
{
    fa_state *st = q->st;
    int plain = queue_put_plain(q, item);
    if (FA_LIKELY(plain != 0)) {
        return plain < 0 ? -1 : 0;
    }
    if (FA_UNLIKELY(queue_ways(q) & QW_THEIRS)) {
        PyObject *done = queue_theirs(q, st->asyncio_Queue,
                                      st->str_put_nowait, item);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
#if FA_HAS_QUEUE_SHUTDOWN
    if (FA_UNLIKELY(q->shut)) {
        PyErr_SetNone(st->QueueShutDown);
        return -1;
    }
#endif
    int full = queue_full(q);
    if (FA_UNLIKELY(full != 0)) {
        if (full > 0) {
            PyErr_SetNone(st->QueueFull);
        }
        return -1;
    }
    if (queue_call_put(q, item) < 0) {
        return -1;
    }
    return queue_added(q);
}

static FA_COLD PyObject *
queue_refuse_get(QueueObject *q)
{
#if FA_HAS_QUEUE_SHUTDOWN
    if (q->shut) {
        PyErr_SetNone(q->st->QueueShutDown);
        return NULL;
    }
#endif
    PyErr_SetNone(q->st->QueueEmpty);
    return NULL;
}

FA_HOT PyObject *
queue_own_get_nowait(QueueObject *q)
{
    fa_state *st = q->st;
    int failed;
    PyObject *item = queue_get_plain(q, &failed);
    if (FA_LIKELY(item != NULL || failed)) {
        return item;
    }
    if (FA_UNLIKELY(queue_ways(q) & QW_THEIRS)) {
        return queue_theirs(q, st->asyncio_Queue, st->str_get_nowait, NULL);
    }
    int empty = queue_empty(q);
    if (FA_UNLIKELY(empty != 0)) {
        return empty < 0 ? NULL : queue_refuse_get(q);
    }
    item = queue_call_get(q);
    if (FA_LIKELY(item != NULL) && queue_wakeup(q, QUEUE_PUTTERS) < 0) {
        Py_CLEAR(item);
    }
    return item;
}

/* self._finished.set() */
static int
queue_finish(QueueObject *q)
{
    if (q->finished == NULL && (q->usual & QA_FINISHED)) {
        q->done = 1;
        return 0;
    }
    return queue_tell_finished(q, q->st->str_set);
}

#if FA_HAS_QUEUE_SHUTDOWN

/* while not self.empty(): self._get(), a task less. 0, 1 = q is odd now, -1. */
static int
queue_drain(QueueObject *q)
{
    for (;;) {
        int empty = queue_empty(q);
        if (empty != 0) {
            return empty < 0 ? -1 : 0;
        }
        PyObject *item = queue_call_get(q);
        if (item == NULL) {
            return -1;
        }
        Py_DECREF(item);
        if (queue_ways(q) & QW_THEIRS) {
            return 1;
        }
        if (q->unfinished > 0) {
            q->unfinished--;
        }
    }
}

/* 0, 1 = q is odd now: asyncio's has to go on, -1. */
static int
queue_own_shutdown(QueueObject *q, int immediate)
{
    q->shut = 1;
    if (immediate) {
        int rc = queue_drain(q);
        if (rc == 0 && q->unfinished == 0) {
            rc = queue_finish(q);
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (queue_ways(q) & QW_THEIRS) {
        return 1;
    }
    if (queue_wake(q, &q->getters, 1) < 0) {
        return -1;
    }
    return queue_wake(q, &q->putters, 1);
}

#endif

/* -- methods ------------------------------------------------------------------------------- */

static PyObject *
Queue_put_nowait(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    PyObject *item = queue_one_argument("Queue.put_nowait", "item", args,
                                        nargs, kwnames);
    if (item == NULL || queue_own_put_nowait((QueueObject *)self, item) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Queue_get_nowait(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return queue_own_get_nowait((QueueObject *)self);
}

/* len(self._queue): of whatever that is. */
static Py_ssize_t
queue_own_size(QueueObject *q)
{
    if (FA_LIKELY(!(queue_ways(q) & QW_THEIRS) && (q->usual & QA_QUEUE))) {
        return fifo_len(&q->items);
    }
    PyObject *items = PyObject_GetAttr((PyObject *)q, q->st->str__queue);
    Py_ssize_t size = items == NULL ? -1 : PyObject_Size(items);
    Py_XDECREF(items);
    return size;
}

static PyObject *
Queue_qsize(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t size = queue_own_size((QueueObject *)self);
    return size < 0 ? NULL : PyLong_FromSsize_t(size);
}

static PyObject *
Queue_empty(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    QueueObject *q = (QueueObject *)self;
    if (FA_LIKELY(!(queue_ways(q) & QW_THEIRS) && (q->usual & QA_QUEUE))) {
        return PyBool_FromLong(fifo_len(&q->items) == 0);
    }
    PyObject *items = PyObject_GetAttr(self, q->st->str__queue);
    int empty = items == NULL ? -1 : PyObject_Not(items);
    Py_XDECREF(items);
    return empty < 0 ? NULL : PyBool_FromLong(empty);
}

static PyObject *
Queue_full(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    QueueObject *q = (QueueObject *)self;
    if (FA_UNLIKELY((queue_ways(q) & (QW_THEIRS | QW_QSIZE)))) {
        return queue_full_odd(q);
    }
    return PyBool_FromLong(q->limit > 0 && fifo_len(&q->items) >= q->limit);
}

static PyObject *
Queue_wakeup_next(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    QueueObject *q = (QueueObject *)self;
    PyObject *waiters = queue_one_argument("Queue._wakeup_next", "waiters",
                                           args, nargs, kwnames);
    if (waiters == NULL) {
        return NULL;
    }
    fa_fifo *fifo = waiters == q->getters.deque   ? &q->getters
                    : waiters == q->putters.deque ? &q->putters
                                                  : NULL;
    if (fifo == NULL) {
        return queue_theirs(q, q->st->asyncio_Queue,
                            q->st->str__wakeup_next, waiters);
    }
    if (queue_wake(q, fifo, 0) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Queue_get_loop(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    QueueObject *q = (QueueObject *)self;
    if (queue_ways(q) & QW_THEIRS) {
        return queue_theirs(q, q->st->asyncio_Queue, q->st->str__get_loop,
                            NULL);
    }
    return Py_XNewRef(bound_loop(q->st, self, &q->loop));
}

static PyObject *
Queue_task_done(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    QueueObject *q = (QueueObject *)self;
    if (FA_UNLIKELY(queue_ways(q) & QW_THEIRS)) {
        return queue_theirs(q, q->st->asyncio_Queue, q->st->str_task_done,
                            NULL);
    }
    if (q->unfinished <= 0) {
        PyErr_SetString(PyExc_ValueError, "task_done() called too many times");
        return NULL;
    }
    if (--q->unfinished == 0 && queue_finish(q) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

#if FA_HAS_QUEUE_SHUTDOWN

static PyObject *
Queue_shutdown(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "Queue.shutdown", .positional = 1, .python = 1, .total = 1,
        .names = {"immediate"},
    };
    QueueObject *q = (QueueObject *)self;
    PyObject *out[1];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    int rc = 1;
    if (!(queue_ways(q) & QW_THEIRS)) {
        int immediate = out[0] == NULL ? 0 : PyObject_IsTrue(out[0]);
        rc = immediate < 0 ? -1 : queue_own_shutdown(q, immediate);
    }
    if (rc > 0) { // also where ours has stopped midway
        return queue_theirs(q, q->st->asyncio_Queue, q->st->str_shutdown,
                            out[0]);
    }
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

#endif

/* -- texts ----------------------------------------------------------------------------------- */


static PyObject *
Queue_format(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    QueueObject *q = (QueueObject *)self;
    if ((queue_ways(q) & QW_THEIRS) || !(q->usual & QA_QUEUE)) {
        return queue_theirs(q, q->st->asyncio_Queue, q->st->str__format, NULL);
    }
    PyObject *text = PyUnicode_FromFormat("maxsize=%R", q->maxsize);
    if (text != NULL && fifo_len(&q->items) > 0) {
        PyObject *items = fifo_list(&q->items); // their repr is hostile
        if (items == NULL) {
            Py_DECREF(text);
            return NULL;
        }
        Py_SETREF(text, PyUnicode_FromFormat("%U _queue=%R", text, items));
        Py_DECREF(items);
    }
    if (text != NULL && fifo_len(&q->getters) > 0) {
        Py_SETREF(text, PyUnicode_FromFormat("%U _getters[%zd]", text,
                                             fifo_len(&q->getters)));
    }
    if (text != NULL && fifo_len(&q->putters) > 0) {
        Py_SETREF(text, PyUnicode_FromFormat("%U _putters[%zd]", text,
                                             fifo_len(&q->putters)));
    }
    if (text != NULL && q->unfinished != 0) {
        Py_SETREF(text, PyUnicode_FromFormat("%U tasks=%lld", text,
                                             (long long)q->unfinished));
    }
    if (text != NULL && q->shut) {
        Py_SETREF(text, PyUnicode_FromFormat("%U shutdown", text));
    }
    return text;
}

/* type(self).__name__ and self._format(), both new. 0 or -1. */
static int
queue_text_parts(PyObject *self, PyObject **name, PyObject **format)
{
    fa_state *st = ((QueueObject *)self)->st;
    *name = PyObject_GetAttr((PyObject *)Py_TYPE(self), st->str___name__);
    if (*name == NULL) {
        return -1;
    }
    *format = PyObject_CallMethodNoArgs(self, st->str__format);
    if (*format == NULL) {
        Py_CLEAR(*name);
        return -1;
    }
    return 0;
}

static PyObject *
Queue_repr(PyObject *self)
{
    PyObject *name, *format;
    if (queue_text_parts(self, &name, &format) < 0) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("<%S at %p %S>", name, self, format);
    Py_DECREF(name);
    Py_DECREF(format);
    return text;
}

static PyObject *
Queue_str(PyObject *self)
{
    PyObject *name, *format;
    if (queue_text_parts(self, &name, &format) < 0) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("<%S %S>", name, format);
    Py_DECREF(name);
    Py_DECREF(format);
    return text;
}

/* -- tables ------------------------------------------------------------------------------------ */

#define QUEUE_FASTCALL(fn) \
    (PyCFunction)(void (*)(void))fn, METH_FASTCALL | METH_KEYWORDS

static PyMethodDef Queue_methods[] = {
    {"put_nowait", QUEUE_FASTCALL(Queue_put_nowait),
     "put_nowait($self, item)\n--\n\n"
     "Add an item at once. asyncio.QueueFull if there is no room,\n"
     "asyncio.QueueShutDown (3.13+) after shutdown()."},
    {"get_nowait", Queue_get_nowait, METH_NOARGS,
     "get_nowait($self)\n--\n\n"
     "Remove and return an item at once. asyncio.QueueEmpty if there is none,\n"
     "asyncio.QueueShutDown (3.13+) if there will be none."},
    {"qsize", Queue_qsize, METH_NOARGS,
     "qsize($self)\n--\n\nThe number of items in the queue."},
    {"empty", Queue_empty, METH_NOARGS,
     "empty($self)\n--\n\nTrue if the queue has no items."},
    {"full", Queue_full, METH_NOARGS,
     "full($self)\n--\n\n"
     "True if there are maxsize items in the queue; never without a maxsize."},
    {"task_done", Queue_task_done, METH_NOARGS,
     "task_done($self)\n--\n\n"
     "An item that was taken is dealt with: join() waits for one such call per\n"
     "item put. ValueError if there were more calls than items."},
#if FA_HAS_QUEUE_SHUTDOWN
    {"shutdown", QUEUE_FASTCALL(Queue_shutdown),
     "shutdown($self, immediate=False)\n--\n\n"
     "From now on put() raises asyncio.QueueShutDown, and get() when the queue\n"
     "is empty. With `immediate` the items are dropped."},
#endif
    {"_init", QUEUE_FASTCALL(Queue_init_items),
     "_init($self, maxsize)\n--\n\nMake the container of the items."},
    {"_put", QUEUE_FASTCALL(Queue_put_item),
     "_put($self, item)\n--\n\nPut an item into the container."},
    {"_get", Queue_get_item, METH_NOARGS,
     "_get($self)\n--\n\nTake an item out of the container."},
    {"_wakeup_next", QUEUE_FASTCALL(Queue_wakeup_next),
     "_wakeup_next($self, waiters)\n--\n\n"
     "Wake the first waiter that is not done."},
    {"_get_loop", Queue_get_loop, METH_NOARGS,
     "_get_loop($self)\n--\n\n"
     "The running loop, to which the queue belongs from the first call on."},
    {"_format", Queue_format, METH_NOARGS, "_format($self)\n--\n\n"},
    {"__reduce_ex__", Queue_reduce_ex, METH_O, NULL},
    {"__getstate__", Queue_getstate, METH_NOARGS, NULL},
    {"__setstate__", Queue_setstate, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Queue_members[] = {
    FA_CLASS_MEMBERS(QueueObject),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Queue_doc,
"QueueCore(maxsize=0)\n--\n\n"
"A queue between tasks: put() waits while it holds `maxsize` items (0: any\n"
"number), get() while it holds none. See asyncio.Queue.");

static PyType_Slot Queue_slots[] = {
    {Py_tp_doc, (char *)Queue_doc},
    {Py_tp_new, Queue_new},
    {Py_tp_init, Queue_init},
    {Py_tp_dealloc, Queue_dealloc},
    {Py_tp_traverse, Queue_traverse},
    {Py_tp_clear, Queue_clear},
    {Py_tp_repr, Queue_repr},
    {Py_tp_str, Queue_str},
    {Py_tp_setattro, Queue_setattro},
    {Py_tp_methods, Queue_methods},
    {Py_tp_getset, Queue_getset},
    {Py_tp_members, Queue_members},
    {0, NULL},
};

static PyType_Spec Queue_spec = {
    .name = "_fastasync.QueueCore",
    .basicsize = sizeof(QueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = Queue_slots,
};

int
queue_types_init(PyObject *module, fa_state *st)
{
    const fa_class spec = {module, &Queue_spec, "Queue", "asyncio.queues",
                           "Queue", NULL, NULL};
    if (fa_class_new(&spec, &st->QueueCoreType, &st->QueueType) < 0 ||
        queue_wait_init(st) < 0)
    {
        return -1;
    }
    return queue_kinds_init(module, st);
}
