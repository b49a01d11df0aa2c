/* sync/queue_kinds.c: what the three queues differ in: `_init`, `_put`, `_get`.

   Queue keeps its items in a fifo, LifoQueue and PriorityQueue in a list, the
   latter ordered by heapq's functions. A method whose `_queue` is not of the
   usual type (a subclass has an `_init` of its own) hands over to asyncio's.
   HOT: queue_call_put, queue_call_get. Benchmark: queue_put_get. */
#include "base/args.h"
#include "sync/queue.h"

/* -- engine ------------------------------------------------------------------------- */

static int
queue_own_init(QueueObject *q, int order)
{
    PyObject *list = NULL;
    if (order == QUEUE_HEAP && (list = PyList_New(0)) == NULL) {
        return -1;
    }
    if (!(q->usual & QA_QUEUE)) {
        queue_ways_forget(q);
        if (queue_dict_forget(q, q->st->str__queue) < 0) {
            Py_XDECREF(list);
            return -1;
        }
    }
    q->usual |= QA_QUEUE;
    q->shown_as_list = order == QUEUE_LIFO;
    fifo_replace(&q->items, list); // drops the former items
    Py_XDECREF(list);
    return 0;
}

PyObject *
queue_items(QueueObject *q)
{
    if (q->items.deque == NULL && q->shown_as_list) {
        PyObject *list = fifo_list(&q->items);
        if (list == NULL) {
            return NULL;
        }
        fifo_replace(&q->items, list); // it holds all of them: nothing dies
        return list;
    }
    return fifo_expose(q->st, &q->items);
}

/* `_queue` as an exact list (borrowed), or NULL. */
static inline PyObject *
queue_list(QueueObject *q)
{
    PyObject *list = q->items.deque;
    return list != NULL && PyList_CheckExact(list) ? list : NULL;
}

static int
queue_own_put(QueueObject *q, int order, PyObject *item)
{
    if (order == QUEUE_FIFO) {
        return fifo_push(q->st, &q->items, item);
    }
    PyObject *list = queue_list(q);
    if (order == QUEUE_LIFO && list != NULL) {
        return PyList_Append(list, item);
    }
    if (order == QUEUE_LIFO) {
        return fifo_push(q->st, &q->items, item);
    }
    list = queue_items(q); // heappush is hostile: hold it
    if (list == NULL) {
        return -1;
    }
    PyObject *args[] = {list, item};
    PyObject *done = PyObject_Vectorcall(q->st->heappush, args, 2, NULL);
    Py_DECREF(list);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* _queue.pop() (new) */
static PyObject *
queue_pop_last(QueueObject *q)
{
    PyObject *list = queue_list(q);
    Py_ssize_t size = list == NULL ? fifo_len(&q->items)
                                   : PyList_GET_SIZE(list);
    if (FA_UNLIKELY(size == 0 && (list != NULL || q->shown_as_list))) {
        PyErr_SetString(PyExc_IndexError, "pop from empty list");
        return NULL;
    }
    if (list == NULL) {
        return fifo_pop_last(q->st, &q->items);
    }
    PyObject *item = Py_NewRef(PyList_GET_ITEM(list, size - 1));
    if (PyList_SetSlice(list, size - 1, size, NULL) < 0) {
        Py_CLEAR(item);
    }
    return item;
}

static PyObject *
queue_own_get(QueueObject *q, int order)
{
    if (order == QUEUE_FIFO) {
        return fifo_pop(q->st, &q->items);
    }
    if (order == QUEUE_LIFO) {
        return queue_pop_last(q);
    }
    PyObject *list = queue_items(q);
    if (list == NULL) {
        return NULL;
    }
    PyObject *item = PyObject_CallOneArg(q->st->heappop, list);
    Py_DECREF(list);
    return item;
}

/* -- as the methods that a queue calls on itself ---------------------------------------- */

int
queue_call_init(QueueObject *q, PyObject *maxsize)
{
    if (FA_LIKELY(!(queue_ways(q) & QW_INIT))) {
        return queue_own_init(q, q->ways.init);
    }
    PyObject *done = queue_hook(q, q->st->str__init, maxsize);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

FA_HOT int
queue_call_put(QueueObject *q, PyObject *item)
{
    if (FA_LIKELY(!(queue_ways(q) & QW_PUT))) {
        return queue_own_put(q, q->ways.put, item);
    }
    PyObject *done = queue_hook(q, q->st->str__put, item);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

FA_HOT PyObject *
queue_call_get(QueueObject *q)
{
    if (FA_LIKELY(!(queue_ways(q) & QW_GET))) {
        return queue_own_get(q, q->ways.get);
    }
    return queue_hook(q, q->st->str__get, NULL);
}

/* -- methods ------------------------------------------------------------------------------- */

PyObject *
queue_one_argument(const char *fname, const char *name, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        return args[0];
    }
    const fa_args spec = {.fname = fname, .required = 1, .positional = 1,
                          .python = 1, .total = 1, .names = {name}};
    PyObject *out[1];
    return fa_args_parse(&spec, args, nargs, kwnames, out) < 0 ? NULL : out[0];
}

/* Does asyncio's own method have to do it? */
static inline int
queue_is_odd(QueueObject *q)
{
    return (queue_ways(q) & QW_THEIRS) || !(q->usual & QA_QUEUE);
}

static PyObject *
queue_method_init(PyObject *self, int order, PyObject *cls, PyObject *maxsize)
{
    QueueObject *q = (QueueObject *)self;
    if (maxsize == NULL) {
        return NULL;
    }
    if (!queue_attributes_ours(q)) {
        return queue_theirs(q, cls, q->st->str__init, maxsize);
    }
    if (queue_own_init(q, order) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
queue_method_put(PyObject *self, int order, PyObject *cls, PyObject *item)
{
    QueueObject *q = (QueueObject *)self;
    if (item == NULL) {
        return NULL;
    }
    if (queue_is_odd(q)) {
        return queue_theirs(q, cls, q->st->str__put, item);
    }
    if (queue_own_put(q, order, item) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
queue_method_get(PyObject *self, int order, PyObject *cls)
{
    QueueObject *q = (QueueObject *)self;
    return queue_is_odd(q) ? queue_theirs(q, cls, q->st->str__get, NULL)
                           : queue_own_get(q, order);
}

PyObject *
Queue_init_items(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    return queue_method_init(
        self, QUEUE_FIFO, ((QueueObject *)self)->st->asyncio_Queue,
        queue_one_argument("Queue._init", "maxsize", args, nargs, kwnames));
}

PyObject *
Queue_put_item(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    return queue_method_put(
        self, QUEUE_FIFO, ((QueueObject *)self)->st->asyncio_Queue,
        queue_one_argument("Queue._put", "item", args, nargs, kwnames));
}

PyObject *
Queue_get_item(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return queue_method_get(self, QUEUE_FIFO,
                            ((QueueObject *)self)->st->asyncio_Queue);
}

/* -- LifoQueue ------------------------------------------------------------------------------ */

static PyObject *
LifoQueue_init_items(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    return queue_method_init(
        self, QUEUE_LIFO, ((QueueObject *)self)->st->asyncio_LifoQueue,
        queue_one_argument("LifoQueue._init", "maxsize", args, nargs,
                           kwnames));
}

static PyObject *
LifoQueue_put_item(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    return queue_method_put(
        self, QUEUE_LIFO, ((QueueObject *)self)->st->asyncio_LifoQueue,
        queue_one_argument("LifoQueue._put", "item", args, nargs, kwnames));
}

static PyObject *
LifoQueue_get_item(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return queue_method_get(self, QUEUE_LIFO,
                            ((QueueObject *)self)->st->asyncio_LifoQueue);
}

static PyMethodDef LifoQueue_methods[] = {
    {"_init", (PyCFunction)(void (*)(void))LifoQueue_init_items,
     METH_FASTCALL | METH_KEYWORDS,
     "_init($self, maxsize)\n--\n\nMake the container of the items."},
    {"_put", (PyCFunction)(void (*)(void))LifoQueue_put_item,
     METH_FASTCALL | METH_KEYWORDS,
     "_put($self, item)\n--\n\nPut an item into the container."},
    {"_get", LifoQueue_get_item, METH_NOARGS,
     "_get($self)\n--\n\nTake an item out of the container."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(LifoQueue_doc,
"A queue that gives the items added last first. See asyncio.LifoQueue.");

static PyType_Slot LifoQueue_slots[] = {
    {Py_tp_doc, (char *)LifoQueue_doc},
    {Py_tp_dealloc, Queue_dealloc},
    {Py_tp_traverse, Queue_traverse},
    {Py_tp_clear, Queue_clear},
    {Py_tp_methods, LifoQueue_methods},
    {0, NULL},
};

static PyType_Spec LifoQueue_spec = {
    .name = "_fastasync.LifoQueueCore",
    .basicsize = sizeof(QueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = LifoQueue_slots,
};

/* -- PriorityQueue ---------------------------------------------------------------------------- */

static PyObject *
PriorityQueue_init_items(PyObject *self, PyObject *const *args,
                         Py_ssize_t nargs, PyObject *kwnames)
{
    return queue_method_init(
        self, QUEUE_HEAP, ((QueueObject *)self)->st->asyncio_PriorityQueue,
        queue_one_argument("PriorityQueue._init", "maxsize", args, nargs,
                           kwnames));
}

static PyObject *
PriorityQueue_put_item(PyObject *self, PyObject *const *args,
                       Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "PriorityQueue._put", .required = 1, .positional = 2,
        .python = 1, .total = 2, .names = {"item", "heappush"},
    };
    fa_state *st = ((QueueObject *)self)->st;
    PyObject *out[2];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    if (out[1] != NULL) { // somebody's own heappush
        PyObject *all[] = {st->asyncio_PriorityQueue, self, out[0], out[1]};
        return PyObject_VectorcallMethod(st->str__put, all, 4, NULL);
    }
    return queue_method_put(self, QUEUE_HEAP, st->asyncio_PriorityQueue,
                            out[0]);
}

static PyObject *
PriorityQueue_get_item(PyObject *self, PyObject *const *args,
                       Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "PriorityQueue._get", .positional = 1, .python = 1,
        .total = 1, .names = {"heappop"},
    };
    QueueObject *q = (QueueObject *)self;
    PyObject *out[1];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    if (out[0] != NULL) {
        return queue_theirs(q, q->st->asyncio_PriorityQueue,
                            q->st->str__get, out[0]);
    }
    return queue_method_get(self, QUEUE_HEAP, q->st->asyncio_PriorityQueue);
}

static PyMethodDef PriorityQueue_methods[] = {
    {"_init", (PyCFunction)(void (*)(void))PriorityQueue_init_items,
     METH_FASTCALL | METH_KEYWORDS,
     "_init($self, maxsize)\n--\n\nMake the container of the items."},
    {"_put", (PyCFunction)(void (*)(void))PriorityQueue_put_item,
     METH_FASTCALL | METH_KEYWORDS,
     "Put an item into the container, a heap."},
    {"_get", (PyCFunction)(void (*)(void))PriorityQueue_get_item,
     METH_FASTCALL | METH_KEYWORDS,
     "Take the least item out of the container."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(PriorityQueue_doc,
"A queue that gives the least of its items first; items are usually tuples\n"
"(priority, data). See asyncio.PriorityQueue.");

static PyType_Slot PriorityQueue_slots[] = {
    {Py_tp_doc, (char *)PriorityQueue_doc},
    {Py_tp_dealloc, Queue_dealloc},
    {Py_tp_traverse, Queue_traverse},
    {Py_tp_clear, Queue_clear},
    {Py_tp_methods, PriorityQueue_methods},
    {0, NULL},
};

static PyType_Spec PriorityQueue_spec = {
    .name = "_fastasync.PriorityQueueCore",
    .basicsize = sizeof(QueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = PriorityQueue_slots,
};

int
queue_kinds_init(PyObject *module, fa_state *st)
{
    const fa_class lifo = {module, &LifoQueue_spec, "LifoQueue",
                           "asyncio.queues", "LifoQueue", st->QueueCoreType,
                           st->QueueType};
    const fa_class priority = {module, &PriorityQueue_spec, "PriorityQueue",
                               "asyncio.queues", "PriorityQueue",
                               st->QueueCoreType, st->QueueType};
    if (fa_class_new(&lifo, &st->LifoQueueCoreType, &st->LifoQueueType) < 0) {
        return -1;
    }
    return fa_class_new(&priority, &st->PriorityQueueCoreType,
                        &st->PriorityQueueType);
}
