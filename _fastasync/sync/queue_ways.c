/* sync/queue_ways.c: which methods of a queue are somebody else's.

   Called by queue_ways() when what it knows may have become wrong: the first
   time, after the class or one of its bases was changed (its version tag is new
   then), after an instance attribute was set under the name of a method. For
   instances of our very classes the answer is shared, so that a new queue costs
   a comparison. Otherwise it costs two dozen lookups in the types' caches, once
   per object. */
#include "sync/queue.h"

/* -- what the class has ----------------------------------------------------------- */

/* Does q's class have for `name` what our core type has? */
static int
queue_class_has(QueueObject *q, PyTypeObject *core, PyObject *name)
{
    return _PyType_Lookup(Py_TYPE(q), name) == _PyType_Lookup(core, name);
}

/* Whose `name` (one of the three that the kinds of queues have of their own)
   it is: QUEUE_..., or -1. */
static int
queue_order_of(QueueObject *q, PyObject *name)
{
    fa_state *st = q->st;
    PyObject *found = _PyType_Lookup(Py_TYPE(q), name);
    if (found == _PyType_Lookup(st->QueueCoreType, name)) {
        return QUEUE_FIFO;
    }
    if (found == _PyType_Lookup(st->LifoQueueCoreType, name)) {
        return QUEUE_LIFO;
    }
    if (found == _PyType_Lookup(st->PriorityQueueCoreType, name)) {
        return QUEUE_HEAP;
    }
    return -1;
}

static unsigned int
queue_order_into(QueueObject *q, PyObject *name, uint8_t *order,
                 unsigned int bit)
{
    int found = queue_order_of(q, name);
    *order = found < 0 ? QUEUE_FIFO : (uint8_t)found;
    return found < 0 ? bit : 0;
}

/* The place for the ways of the classes themselves, NULL for another. */
static fa_queue_ways *
queue_ways_shared(QueueObject *q)
{
    fa_state *st = q->st;
    PyTypeObject *const types[] = {st->QueueType, st->LifoQueueType,
                                   st->PriorityQueueType};
    for (int i = 0; i < 3; i++) {
        if (Py_IS_TYPE(q, types[i])) {
            return &st->queue_ways[i];
        }
    }
    return NULL;
}

int
queue_attributes_ours(QueueObject *q)
{
    fa_state *st = q->st;
    PyTypeObject *tp = Py_TYPE(q);
    fa_queue_ways *shared = queue_ways_shared(q);
    if (shared != NULL && queue_ways_hold(q, shared)) {
        return !(shared->bits & QW_THEIRS);
    }
    PyObject *const names[] = {
        st->str__maxsize, st->str__getters, st->str__putters,
        st->str__unfinished_tasks, st->str__finished, st->str__queue,
        st->str__loop, st->str__is_shutdown,
    };
    if (tp->tp_setattro != Queue_setattro ||
        !queue_class_has(q, st->QueueCoreType, st->str___getattribute__))
    {
        return 0; // only a __getattr__ makes no difference
    }
    int count = FA_HAS_QUEUE_SHUTDOWN ? 8 : 7;
    for (int i = 0; i < count; i++) {
        if (!queue_class_has(q, st->QueueCoreType, names[i])) {
            return 0;
        }
    }
    return 1;
}

static void
queue_ways_of_class(QueueObject *q, fa_queue_ways *ways)
{
    fa_state *st = q->st;
    unsigned int bits = 0;
#define X(bit, name) \
    if (!queue_class_has(q, st->QueueCoreType, st->str_##name)) { \
        bits |= bit; \
    }
    QUEUE_HOOKS(X)
#undef X
    bits &= ~(unsigned int)(QW_PUT | QW_GET | QW_INIT);
    bits |= queue_order_into(q, st->str__put, &ways->put, QW_PUT);
    bits |= queue_order_into(q, st->str__get, &ways->get, QW_GET);
    bits |= queue_order_into(q, st->str__init, &ways->init, QW_INIT);
    if (!queue_attributes_ours(q)) {
        bits = QW_ALL;
    }
    ways->bits = (uint16_t)bits;
    ways->instance = 0;
    ways->version = fa_type_version(Py_TYPE(q)); // lookups give it one
}

/* -- what the instance has ------------------------------------------------------------ */

/* Is it a method's name, or one that cannot be told by its address? */
static int
queue_is_hook(fa_state *st, PyObject *name)
{
#define X(bit, hook) \
    if (name == st->str_##hook) { \
        return 1; \
    }
    QUEUE_HOOKS(X)
#undef X
    return !PyUnicode_CHECK_INTERNED(name);
}

int
Queue_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    QueueObject *q = (QueueObject *)self;
    int rc = PyObject_GenericSetAttr(self, name, value);
    if (q->dict != NULL && PyUnicode_Check(name) &&
        queue_is_hook(q->st, name))
    {
        queue_ways_forget(q);
    }
    return rc;
}

static unsigned int
queue_ways_of_dict(QueueObject *q)
{
    fa_state *st = q->st;
    unsigned int bits = 0;
    if (q->dict_shown) {
        return QW_ALL & ~(unsigned int)QW_THEIRS;
    }
    if (q->dict != NULL && PyDict_GET_SIZE(q->dict) != 0) {
#define X(bit, name) \
        if (PyDict_GetItemWithError(q->dict, st->str_##name) != NULL) { \
            bits |= bit; \
        }
        QUEUE_HOOKS(X)
#undef X
    }
    return bits;
}

unsigned int
queue_ways_find(QueueObject *q)
{
    fa_queue_ways *shared = queue_ways_shared(q);
    if (shared != NULL && queue_ways_hold(q, shared)) {
        q->ways = *shared;
    }
    else {
        queue_ways_of_class(q, &q->ways);
        if (shared != NULL) {
            *shared = q->ways;
        }
    }
    unsigned int mine = queue_ways_of_dict(q);
    unsigned int bits = q->ways.bits | mine;
    q->ways.instance = mine != 0;
    if ((q->usual & QA_NEEDED) != QA_NEEDED) {
        bits = QW_ALL; // also an object whose __init__ has not run
    }
    if (!(q->usual & QA_QUEUE)) { // the methods find out what `_queue` is
        bits |= QW_EMPTY | QW_QSIZE | QW_PUT | QW_GET;
    }
    q->ways.bits = (uint16_t)bits;
    return bits;
}

/* -- other people's methods ---------------------------------------------------------------- */

PyObject *
queue_hook(QueueObject *q, PyObject *name, PyObject *arg)
{
    PyObject *args[] = {(PyObject *)q, arg};
    size_t count = arg == NULL ? 1 : 2;
    if (!q->ways.instance && queue_ways_hold(q, &q->ways) &&
        Py_TYPE(q)->tp_getattro == PyObject_GenericGetAttr)
    {
        PyObject *function = _PyType_Lookup(Py_TYPE(q), name);
        if (function != NULL && PyFunction_Check(function)) {
            Py_INCREF(function);
            PyObject *answer = PyObject_Vectorcall(function, args, count,
                                                   NULL);
            Py_DECREF(function);
            return answer;
        }
    }
    return PyObject_VectorcallMethod(name, args, count, NULL);
}

/* -- asyncio's own methods ---------------------------------------------------------------- */

PyObject *
queue_theirs(QueueObject *q, PyObject *cls, PyObject *name, PyObject *arg)
{
    PyObject *args[] = {cls, (PyObject *)q, arg};
    return PyObject_VectorcallMethod(name, args, arg == NULL ? 2 : 3, NULL);
}
