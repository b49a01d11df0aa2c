/* sync/waiters.c: the queue of those who wait at a primitive.

   A waiter is a future of the loop that runs, in the primitive's `_waiters`, an
   fa_fifo: libraries look at them. Waking is setting its result; it stays in the
   queue until its task runs and leaves, so that order is kept and a cancelled
   one is noticed. Every function here works on any kind of future.

   Cost: adding and waking one are O(1), leaving too for the first, who leaves
   most often. HOT: waiters_add, waiters_leave, waiters_wake. */
#include "base/errors.h"
#include "sync/waiters.h"

#include <string.h>

/* -- life ----------------------------------------------------------------------- */

PyObject *
sync_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
         PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    SyncObject *self = (SyncObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->st = st;
    }
    return (PyObject *)self;
}

void
sync_reset(SyncObject *self, fa_waiters_state state)
{
    self->waiters_state = (uint8_t)state;
    fifo_replace(&self->waiters, NULL); // may run Python code
}

int
sync_traverse(SyncObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->dict);
    Py_VISIT(self->loop);
    return fifo_traverse(&self->waiters, visit, arg);
}

void
sync_clear(SyncObject *self)
{
    Py_CLEAR(self->dict);
    Py_CLEAR(self->loop);
    fifo_clear(&self->waiters);
}

/* -- coming and going -------------------------------------------------------------- */

FA_HOT PyObject *
waiters_future(SyncObject *self)
{
    PyObject *loop = bound_loop(self->st, (PyObject *)self, &self->loop);
    return loop == NULL ? NULL : fa_create_future(self->st, loop);
}

FA_HOT PyObject *
waiters_add(SyncObject *self)
{
    self->waiters_state = FA_WAITERS_THERE;
    PyObject *fut = waiters_future(self);
    if (FA_LIKELY(fut != NULL) &&
        fifo_push(self->st, &self->waiters, fut) < 0)
    {
        Py_CLEAR(fut);
    }
    return fut;
}

/* It is not there (any more): what remove() of a deque says. */
static FA_COLD int
waiters_miss(SyncObject *self, PyObject *fut)
{
    if (self->waiters_state != FA_WAITERS_THERE) {
        PyErr_SetString(PyExc_AttributeError,
                        "'NoneType' object has no attribute 'remove'");
        return -1;
    }
    PyObject *deque = PyObject_CallNoArgs(self->st->deque);
    if (deque == NULL) {
        return -1;
    }
    PyObject *done = PyObject_CallMethodOneArg(deque, self->st->str_remove,
                                               fut);
    Py_DECREF(deque);
    Py_XDECREF(done);
    return -1;
}

FA_HOT int
waiters_leave(SyncObject *self, PyObject *fut)
{
    int there = fifo_remove(self->st, &self->waiters, fut);
    if (FA_UNLIKELY(there <= 0)) {
        return there < 0 ? -1 : waiters_miss(self, fut);
    }
    return 0;
}

FA_HOT PyObject *
waiters_left(SyncObject *self, PyObject *fut, int failed)
{
    PyObject *exc = FA_UNLIKELY(failed) ? fa_err_take() : NULL;
    if (FA_UNLIKELY(waiters_leave(self, fut) < 0)) {
        fa_err_chain(exc);
        exc = fa_err_take();
    }
    return exc;
}

/* -- waking -------------------------------------------------------------------------- */

FA_HOT int
waiters_wake_first(SyncObject *self)
{
    Py_ssize_t len = fifo_len(&self->waiters);
    if (len <= 0) {
        return (int)len;
    }
    PyObject *fut = fifo_at(&self->waiters, 0);
    if (fut == NULL) {
        return -1;
    }
    int rc = fa_future_done(self->st, fut);
    if (rc == 0) {
        rc = fa_future_set_result(self->st, fut, Py_True);
    }
    Py_DECREF(fut);
    return rc < 0 ? -1 : 0;
}

/* The first from the i-th on that is not to wake up yet: 1 and a new reference
   in *out, *i after it; 0 if there is none; -1. */
static inline int
waiters_pending(SyncObject *self, Py_ssize_t *i, PyObject **out)
{
    // the length anew each time: a foreign future may do anything when asked
    for (;;) {
        Py_ssize_t len = fifo_len(&self->waiters);
        if (*i >= len) {
            return len < 0 ? -1 : 0;
        }
        PyObject *fut = fifo_at(&self->waiters, (*i)++);
        if (FA_UNLIKELY(fut == NULL)) {
            return -1;
        }
        int done = fa_future_done(self->st, fut);
        if (done == 0) {
            *out = fut;
            return 1;
        }
        Py_DECREF(fut);
        if (done < 0) {
            return -1;
        }
    }
}

FA_HOT int
waiters_next(SyncObject *self, PyObject **out)
{
    Py_ssize_t i = 0;
    return waiters_pending(self, &i, out);
}

FA_HOT int
waiters_wake(SyncObject *self, Py_ssize_t count, PyObject *value)
{
    Py_ssize_t i = 0;
    while (count-- > 0) {
        PyObject *fut;
        int found = waiters_pending(self, &i, &fut);
        if (found <= 0) {
            return found;
        }
        int rc = fa_future_set_result(self->st, fut, value);
        Py_DECREF(fut);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

FA_HOT int
waiters_all_cancelled(SyncObject *self)
{
    for (Py_ssize_t i = 0;; i++) {
        Py_ssize_t len = fifo_len(&self->waiters);
        if (i >= len) {
            return len < 0 ? -1 : 1;
        }
        PyObject *fut = fifo_at(&self->waiters, i);
        if (fut == NULL) {
            return -1;
        }
        int cancelled = fa_future_cancelled(self->st, fut);
        Py_DECREF(fut);
        if (cancelled <= 0) {
            return cancelled;
        }
    }
}

/* -- subclasses -------------------------------------------------------------------- */

/* Names that a subclass may define without changing how the object works: all
   special methods but those that C would have to call. */
static int
sync_name_is_harmless(const char *name)
{
    static const char *const asked[] = {
        "__aenter__", "__aexit__", "__getattribute__", "__setattr__",
        "__delattr__", "__class__", "__dict__",
    };
    if (strncmp(name, "__", 2) != 0) {
        return 0;
    }
    for (size_t i = 0; i < FA_ARRAY_LEN(asked); i++) {
        if (strcmp(name, asked[i]) == 0) {
            return 0;
        }
    }
    return 1;
}

/* Does one of the names (keys of `dict`) hide an attribute of `tp`? 1, 0, -1. */
static int
sync_hides(PyObject *dict, PyTypeObject *tp)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(dict, &pos, &key, &value)) {
        const char *name =
            PyUnicode_Check(key) ? PyUnicode_AsUTF8(key) : NULL;
        if (name == NULL) {
            return PyErr_Occurred() ? -1 : 1;
        }
        if (!sync_name_is_harmless(name) && _PyType_Lookup(tp, key) != NULL) {
            return 1;
        }
    }
    return 0;
}

/* Do the classes from `own` to `tp`, in the order of look-up, replace nothing of
   tp's core? 1, 0 (also: it is no subclass), -1. */
static int
sync_type_is_plain(PyTypeObject *own, PyTypeObject *tp)
{
    PyObject *mro = own->tp_mro;
    for (Py_ssize_t i = 0; mro && i < PyTuple_GET_SIZE(mro); i++) {
        PyObject *cls = PyTuple_GET_ITEM(mro, i);
        // what has been put into tp itself hides what the core has
        PyObject *dict = ((PyTypeObject *)cls)->tp_dict;
        int hides = dict == NULL // a builtin type of the interpreter
                        ? 1
                        : sync_hides(dict, cls == (PyObject *)tp ? tp->tp_base
                                                                 : tp);
        if (hides != 0 || cls == (PyObject *)tp) {
            return hides < 0 ? -1 : !hides;
        }
    }
    return 0;
}

int
sync_is_plain_slow(SyncObject *self, PyTypeObject *tp)
{
    PyTypeObject *own = Py_TYPE(self);
    unsigned int version = fa_type_version(own);
    int plain = own == tp || (version != 0 && version == self->plain_version);
    if (!plain) {
        plain = sync_type_is_plain(own, tp);
        self->plain_version = plain > 0 ? fa_type_version(own) : 0;
    }
    if (plain > 0 && self->dict != NULL) {
        plain = sync_hides(self->dict, own) == 0;
    }
    if (plain < 0 || PyErr_Occurred()) {
        PyErr_Clear(); // then asyncio's functions may say what is wrong
        plain = 0;
    }
    return plain;
}
