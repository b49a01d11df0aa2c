/* sync/queue_attrs.c: the attributes that asyncio's queues have.

   asyncio keeps them in the instance dict; here they live in the struct as long
   as they are of their usual type, and libraries may read and write them either
   way (queue.h). An attribute of another type moves into the instance dict
   under its name, and its bit in `usual` goes. A fifo that was read is a deque
   from then on.

   Pickling and copying see the dict that an asyncio queue would have. */
#include "sync/queue.h"
#include "base/errors.h"

#include <string.h>

/* -- one attribute ---------------------------------------------------------------- */

/* The interned name of a QA_... bit. */
static PyObject *
queue_attr_name(fa_state *st, int attr)
{
    switch (attr) {
    case QA_MAXSIZE: return st->str__maxsize;
    case QA_GETTERS: return st->str__getters;
    case QA_PUTTERS: return st->str__putters;
    case QA_UNFINISHED: return st->str__unfinished_tasks;
    case QA_FINISHED: return st->str__finished;
    case QA_SHUTDOWN: return st->str__is_shutdown;
    default: return st->str__queue;
    }
}

int
queue_dict_forget(QueueObject *q, PyObject *name)
{
    if (q->dict == NULL) {
        return 0;
    }
    int has = PyDict_Contains(q->dict, name);
    return has <= 0 ? has : PyDict_DelItem(q->dict, name);
}

PyObject *
queue_finished(QueueObject *q)
{
    if (q->finished == NULL) {
        fa_state *st = q->st;
        PyObject *event = PyObject_CallMethodNoArgs(st->mod_locks,
                                                    st->str_Event);
        if (event != NULL && q->done) {
            PyObject *done = PyObject_CallMethodNoArgs(event, st->str_set);
            if (done == NULL) {
                Py_CLEAR(event);
            }
            Py_XDECREF(done);
        }
        if (event == NULL) {
            return NULL;
        }
        Py_XSETREF(q->finished, event);
    }
    return q->finished;
}

/* The value of an attribute that is as usual (new). */
static PyObject *
queue_attr_usual(QueueObject *q, int attr)
{
    switch (attr) {
    case QA_MAXSIZE: return Py_NewRef(q->maxsize);
    case QA_GETTERS: return fifo_expose(q->st, &q->getters);
    case QA_PUTTERS: return fifo_expose(q->st, &q->putters);
    case QA_UNFINISHED: return PyLong_FromLongLong(q->unfinished);
    case QA_FINISHED: return Py_XNewRef(queue_finished(q));
    case QA_SHUTDOWN: return PyBool_FromLong(q->shut);
    default: return queue_items(q);
    }
}

static PyObject *
queue_no_attribute(QueueObject *q, PyObject *name)
{
    PyErr_Format(PyExc_AttributeError,
                 "'%.100s' object has no attribute '%U'",
                 Py_TYPE(q)->tp_name, name);
    return NULL;
}

static PyObject *
Queue_get_attr(PyObject *self, void *closure)
{
    QueueObject *q = (QueueObject *)self;
    int attr = (int)(intptr_t)closure;
    if (q->usual & attr) {
        return queue_attr_usual(q, attr);
    }
    PyObject *name = queue_attr_name(q->st, attr), *value = NULL;
    if (q->dict != NULL) {
        value = PyDict_GetItemWithError(q->dict, name);
    }
    if (value == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return value != NULL ? Py_NewRef(value) : queue_no_attribute(q, name);
}

/* Take the value away from the struct. */
static void
queue_attr_drop(QueueObject *q, int attr)
{
    switch (attr) {
    case QA_MAXSIZE: Py_CLEAR(q->maxsize); break;
    case QA_GETTERS: fifo_replace(&q->getters, NULL); break;
    case QA_PUTTERS: fifo_replace(&q->putters, NULL); break;
    case QA_FINISHED: Py_CLEAR(q->finished); break;
    case QA_QUEUE: fifo_replace(&q->items, NULL); break;
    default: break;
    }
}

/* What a maxsize that is no int means for qsize() >= maxsize: 1 and the limit
   in *limit for a bool or a float, else 0. */
static int
queue_other_limit(PyObject *value, int64_t *limit)
{
    if (PyBool_Check(value)) {
        *limit = value == Py_True;
        return 1;
    }
    if (!PyFloat_CheckExact(value)) {
        return 0;
    }
    double most = PyFloat_AS_DOUBLE(value);
    *limit = 0; // also what an endless one means, and NaN
    if (most > 0 && most < 1e15) {
        *limit = (int64_t)most;
        *limit += (double)*limit < most;
    }
    return 1;
}

/* An int as `number`, if it is exactly one and not too large. */
static int
queue_exact_int(PyObject *value, int64_t *number)
{
    if (!PyLong_CheckExact(value)) {
        return 0;
    }
    int overflow;
    long long found = PyLong_AsLongLongAndOverflow(value, &overflow);
    *number = (int64_t)found;
    return !overflow;
}

static int
queue_keep_fifo(QueueObject *q, fa_fifo *fifo, PyObject *value, int list_too)
{
    int usual = Py_IS_TYPE(value, (PyTypeObject *)q->st->deque) ||
                (list_too && PyList_CheckExact(value));
    if (usual) {
        fifo_replace(fifo, value);
    }
    return usual;
}

/* Keep `value` in the struct if it is of the usual type: 1 or 0. */
static int
queue_attr_keep(QueueObject *q, int attr, PyObject *value)
{
    int64_t number;
    switch (attr) {
    case QA_MAXSIZE:
        if (!queue_exact_int(value, &number) &&
            !queue_other_limit(value, &number))
        {
            return 0;
        }
        q->limit = number < 0 ? 0
                   : number > PY_SSIZE_T_MAX ? PY_SSIZE_T_MAX
                                             : (Py_ssize_t)number;
        Py_XSETREF(q->maxsize, Py_NewRef(value));
        return 1;
    case QA_GETTERS:
        return queue_keep_fifo(q, &q->getters, value, 0);
    case QA_PUTTERS:
        return queue_keep_fifo(q, &q->putters, value, 0);
    case QA_UNFINISHED:
        return queue_exact_int(value, &q->unfinished);
    case QA_FINISHED:
        Py_XSETREF(q->finished, Py_NewRef(value));
        return 1;
    case QA_SHUTDOWN:
        q->shut = value == Py_True;
        return PyBool_Check(value);
    default:
        return queue_keep_fifo(q, &q->items, value, 1);
    }
}

static int
queue_attr_delete(QueueObject *q, int attr, PyObject *name)
{
    if (q->usual & attr) {
        q->usual &= (uint8_t)~attr;
        queue_attr_drop(q, attr);
        return 0;
    }
    int has = q->dict == NULL ? 0 : PyDict_Contains(q->dict, name);
    if (has == 0) {
        queue_no_attribute(q, name);
    }
    return has <= 0 ? -1 : PyDict_DelItem(q->dict, name);
}

static int
Queue_set_attr(PyObject *self, PyObject *value, void *closure)
{
    QueueObject *q = (QueueObject *)self;
    int attr = (int)(intptr_t)closure;
    PyObject *name = queue_attr_name(q->st, attr);
    queue_ways_forget(q);
    if (value == NULL) {
        return queue_attr_delete(q, attr, name);
    }
    if (queue_attr_keep(q, attr, value)) {
        q->usual |= (uint8_t)attr;
        return queue_dict_forget(q, name);
    }
    if (q->dict == NULL && (q->dict = PyDict_New()) == NULL) {
        return -1;
    }
    if (PyDict_SetItem(q->dict, name, value) < 0) {
        return -1;
    }
    q->usual &= (uint8_t)~attr;
    queue_attr_drop(q, attr);
    return 0;
}

/* -- the others ------------------------------------------------------------------------- */

/* `_loop`: None until it is bound. */
static PyObject *
Queue_get_bound_loop(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *loop = ((QueueObject *)self)->loop;
    return Py_NewRef(loop == NULL ? Py_None : loop);
}

static int
Queue_set_bound_loop(PyObject *self, PyObject *value,
                     void *Py_UNUSED(closure))
{
    QueueObject *q = (QueueObject *)self;
    if (value == NULL && q->loop == NULL) {
        queue_no_attribute(q, q->st->str__loop);
        return -1;
    }
    Py_XSETREF(q->loop, value == Py_None ? NULL : Py_XNewRef(value));
    return 0;
}

static PyObject *
Queue_get_maxsize(PyObject *self, void *Py_UNUSED(closure))
{
    return PyObject_GetAttr(self, ((QueueObject *)self)->st->str__maxsize);
}

/* `maxsize` is a property without setter: says so as Python does. */
static int
Queue_set_maxsize(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(self),
                                            "__qualname__");
    if (name != NULL) {
        PyErr_Format(PyExc_AttributeError,
                     "property 'maxsize' of %R object has no %s", name,
                     value == NULL ? "deleter" : "setter");
        Py_DECREF(name);
    }
    return -1;
}

/* Whoever has the dict can put methods into it without our noticing. */
static PyObject *
Queue_get_dict(PyObject *self, void *closure)
{
    QueueObject *q = (QueueObject *)self;
    q->dict_shown = 1;
    queue_ways_forget(q);
    return PyObject_GenericGetDict(self, closure);
}

static int
Queue_set_dict(PyObject *self, PyObject *value, void *closure)
{
    QueueObject *q = (QueueObject *)self;
    q->dict_shown = 1;
    queue_ways_forget(q);
    return PyObject_GenericSetDict(self, value, closure);
}

#define QUEUE_ATTR(name, attr) \
    {name, Queue_get_attr, Queue_set_attr, NULL, (void *)(intptr_t)(attr)}

PyGetSetDef Queue_getset[] = {
    QUEUE_ATTR("_maxsize", QA_MAXSIZE),
    QUEUE_ATTR("_getters", QA_GETTERS),
    QUEUE_ATTR("_putters", QA_PUTTERS),
    QUEUE_ATTR("_unfinished_tasks", QA_UNFINISHED),
    QUEUE_ATTR("_finished", QA_FINISHED),
    QUEUE_ATTR("_queue", QA_QUEUE),
#if FA_HAS_QUEUE_SHUTDOWN
    QUEUE_ATTR("_is_shutdown", QA_SHUTDOWN),
#endif
    {"_loop", Queue_get_bound_loop, Queue_set_bound_loop, NULL, NULL},
    {"maxsize", Queue_get_maxsize, Queue_set_maxsize,
     "The number of items the queue may hold; 0 or less: any number.", NULL},
    {"__dict__", Queue_get_dict, Queue_set_dict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* -- pickle, copy --------------------------------------------------------------------------- */

/* {name: value} of what lives in the struct (new). */
static PyObject *
queue_struct_state(QueueObject *q)
{
    PyObject *state = PyDict_New();
    if (state == NULL) {
        return NULL;
    }
    for (int attr = QA_MAXSIZE; attr <= QA_QUEUE; attr <<= 1) {
        if (!(q->usual & attr) ||
            (attr == QA_SHUTDOWN && !FA_HAS_QUEUE_SHUTDOWN))
        {
            continue;
        }
        PyObject *value = queue_attr_usual(q, attr);
        int rc = value == NULL
                     ? -1
                     : PyDict_SetItem(state, queue_attr_name(q->st, attr),
                                      value);
        Py_XDECREF(value);
        if (rc < 0) {
            Py_DECREF(state);
            return NULL;
        }
    }
    if (q->loop != NULL &&
        PyDict_SetItem(state, q->st->str__loop, q->loop) < 0)
    {
        Py_CLEAR(state);
    }
    return state;
}

/* What object.__getstate__ makes of an instance dict: the dict, or a pair of it
   and the dict of the __slots__ of subclasses. */
PyObject *
Queue_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    QueueObject *q = (QueueObject *)self;
    PyObject *state = queue_struct_state(q);
    PyObject *rest = state == NULL
                         ? NULL
                         : PyObject_CallMethod(
                               (PyObject *)&PyBaseObject_Type, "__getstate__",
                               "O", self);
    if (rest == NULL) {
        Py_XDECREF(state);
        return NULL;
    }
    PyObject *dict = PyTuple_Check(rest) ? PyTuple_GET_ITEM(rest, 0) : rest;
    if (dict != Py_None && PyDict_Update(state, dict) < 0) {
        Py_CLEAR(state);
    }
    else if (PyTuple_Check(rest)) {
        Py_SETREF(state,
                  PyTuple_Pack(2, state, PyTuple_GET_ITEM(rest, 1)));
    }
    Py_DECREF(rest);
    return state;
}

/* The old protocols would go by the __new__ of the core. */
PyObject *
Queue_reduce_ex(PyObject *self, PyObject *protocol)
{
    long number = PyLong_AsLong(protocol);
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return PyObject_CallMethod((PyObject *)&PyBaseObject_Type,
                               "__reduce_ex__", "Ol", self,
                               number < 2 ? 2L : number);
}

/* The struct's attributes of a state; the rest goes into the dict. */
static int
queue_take_state(QueueObject *q, PyObject *dict, int slots)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "state is not a dictionary");
        return -1;
    }
    PyObject *copy = PyDict_Copy(dict); // setting runs Python code
    if (copy == NULL) {
        return -1;
    }
    int rc = 0;
    while (rc == 0 && PyDict_Next(copy, &at, &key, &value)) {
        PyObject *own = slots || !PyUnicode_Check(key)
                            ? NULL
                            : _PyType_Lookup(q->st->QueueCoreType, key);
        if (slots || (own != NULL && Py_IS_TYPE(own, &PyGetSetDescr_Type) &&
                      queue_attributes_ours(q)))
        {
            rc = PyObject_SetAttr((PyObject *)q, key, value);
        }
        else {
            if (q->dict == NULL && (q->dict = PyDict_New()) == NULL) {
                rc = -1;
                break;
            }
            queue_ways_forget(q);
            PyObject *name = Py_NewRef(key);
            if (PyUnicode_CheckExact(name)) {
                PyUnicode_InternInPlace(&name);
            }
            rc = PyDict_SetItem(q->dict, name, value);
            Py_DECREF(name);
        }
    }
    Py_DECREF(copy);
    return rc;
}

PyObject *
Queue_setstate(PyObject *self, PyObject *state)
{
    QueueObject *q = (QueueObject *)self;
    PyObject *dict = state, *slots = Py_None;
    if (PyTuple_Check(state) && PyTuple_GET_SIZE(state) == 2) {
        dict = PyTuple_GET_ITEM(state, 0);
        slots = PyTuple_GET_ITEM(state, 1);
    }
    if ((dict != Py_None && queue_take_state(q, dict, 0) < 0) ||
        (slots != Py_None && queue_take_state(q, slots, 1) < 0))
    {
        return NULL;
    }
    Py_RETURN_NONE;
}
