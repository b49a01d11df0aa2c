/* sync/attrs.c: how the primitives show themselves to Python.

   asyncio's keep their state in the instance dict; ours in C, behind attributes
   of the same names. Here is what those have in common: `_waiters` and `_loop`,
   numbers, repr, what pickle and copy see, and the way back to asyncio's own
   Python functions for all that C does not do itself. All of it is cold. */
#include "base/errors.h"
#include "sync/waiters.h"

#include <string.h>

/* -- numbers --------------------------------------------------------------------- */

#define NUMBER_LIMIT (INT64_C(1) << 62)

void
number_set(fa_number *number, PyObject *value)
{
    PyObject *old = number->odd;
    int overflow = 1;
    long long n = 0;
    number->odd = NULL;
    number->set = value != NULL;
    if (value != NULL && PyLong_CheckExact(value)) {
        n = PyLong_AsLongLongAndOverflow(value, &overflow);
    }
    if (!overflow && n < NUMBER_LIMIT && n > -NUMBER_LIMIT) {
        number->n = n;
    }
    else {
        number->odd = Py_XNewRef(value);
    }
    Py_XDECREF(old);
}

PyObject *
number_get(const fa_number *number)
{
    return number->odd != NULL ? Py_NewRef(number->odd)
                               : PyLong_FromLongLong(number->n);
}

int
number_add_slow(fa_number *number, int delta)
{
    PyObject *odd = Py_NewRef(number->odd);
    PyObject *by = PyLong_FromLong(delta < 0 ? -delta : delta);
    PyObject *sum = by == NULL  ? NULL
                    : delta < 0 ? PyNumber_InPlaceSubtract(odd, by)
                                : PyNumber_InPlaceAdd(odd, by);
    Py_XDECREF(by);
    Py_DECREF(odd);
    if (sum == NULL) {
        return -1;
    }
    number_set(number, sum);
    Py_DECREF(sum);
    return 0;
}

int
number_compare_slow(const fa_number *number, int64_t other, int op)
{
    PyObject *left = number_get(number);
    PyObject *right = PyLong_FromLongLong(other);
    int answer = left == NULL || right == NULL
                     ? -1
                     : PyObject_RichCompareBool(left, right, op);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return answer;
}

PyObject *
Sync_get_number(PyObject *self, void *closure)
{
    const number_attribute *attr = (const number_attribute *)closure;
    const fa_number *number = (fa_number *)((char *)self + attr->offset);
    return number->set ? number_get(number)
                       : sync_no_attribute(self, attr->name);
}

int
Sync_set_number(PyObject *self, PyObject *value, void *closure)
{
    const number_attribute *attr = (const number_attribute *)closure;
    number_set((fa_number *)((char *)self + attr->offset), value);
    return 0;
}

/* -- attributes --------------------------------------------------------------------- */

PyObject *
sync_no_attribute(PyObject *self, const char *name)
{
    PyErr_Format(PyExc_AttributeError, "'%.100s' object has no attribute '%s'",
                 Py_TYPE(self)->tp_name, name);
    return NULL;
}

PyObject *
Sync_get_waiters(PyObject *self, void *Py_UNUSED(closure))
{
    SyncObject *sync = (SyncObject *)self;
    if (sync->waiters_state == FA_WAITERS_UNSET) {
        return sync_no_attribute(self, "_waiters");
    }
    if (sync->waiters_state == FA_WAITERS_NONE) {
        Py_RETURN_NONE;
    }
    return fifo_expose(sync->st, &sync->waiters);
}

int
Sync_set_waiters(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    SyncObject *sync = (SyncObject *)self;
    if (value == NULL || value == Py_None) {
        sync_reset(sync, value == NULL ? FA_WAITERS_UNSET : FA_WAITERS_NONE);
        return 0;
    }
    sync->waiters_state = FA_WAITERS_THERE;
    fifo_replace(&sync->waiters, value);
    return 0;
}

PyObject *
Sync_get_loop(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *loop = ((SyncObject *)self)->loop;
    return Py_NewRef(loop == NULL ? Py_None : loop);
}

int
Sync_set_loop(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(((SyncObject *)self)->loop,
               value == Py_None ? NULL : Py_XNewRef(value));
    return 0;
}

/* -- pickle and copy ------------------------------------------------------------------- */

/* The attributes that are set, into `state`. 0 or -1. */
static int
state_add(PyObject *self, const char *const *names, PyObject *state)
{
    for (; *names != NULL; names++) {
        PyObject *value = PyObject_GetAttrString(self, *names);
        if (value == NULL && !PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear();
        int skip = value == NULL ||
                   (value == Py_None && strcmp(*names, "_loop") == 0);
        int rc = skip ? 0 : PyDict_SetItemString(state, *names, value);
        Py_XDECREF(value);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *
sync_getstate(PyObject *self, const char *const *names)
{
    // the instance dict, or None; or (that, {slot: value})
    PyObject *rest = PyObject_CallMethod((PyObject *)&PyBaseObject_Type,
                                         "__getstate__", "O", self);
    PyObject *state = rest == NULL ? NULL : PyDict_New();
    if (state == NULL || state_add(self, names, state) < 0) {
        goto failed;
    }
    int pair = PyTuple_Check(rest) && PyTuple_GET_SIZE(rest) == 2;
    PyObject *dict = pair ? PyTuple_GET_ITEM(rest, 0) : rest;
    if (dict != Py_None && PyDict_Update(state, dict) < 0) {
        goto failed;
    }
    if (pair) {
        Py_SETREF(state, PyTuple_Pack(2, state, PyTuple_GET_ITEM(rest, 1)));
    }
    Py_DECREF(rest);
    return state;
failed:
    Py_XDECREF(rest);
    Py_XDECREF(state);
    return NULL;
}

/* To its place in C if it has one, else into the instance dict. 0 or -1. */
static int
state_put(PyObject *self, PyObject *name, PyObject *value)
{
    PyObject *descr = NULL;
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError,
                     "attribute name must be string, not '%.200s'",
                     Py_TYPE(name)->tp_name);
        return -1;
    }
    if (fa_getattr_opt((PyObject *)Py_TYPE(self), name, &descr) < 0) {
        return -1;
    }
    int ours = descr != NULL && Py_IS_TYPE(descr, &PyGetSetDescr_Type);
    int rc;
    if (ours) {
        rc = Py_TYPE(descr)->tp_descr_set(descr, self, value);
    }
    else {
        PyObject *dict = PyObject_GenericGetDict(self, NULL);
        rc = dict == NULL ? -1 : PyDict_SetItem(dict, name, value);
        Py_XDECREF(dict);
    }
    Py_XDECREF(descr);
    return rc;
}

PyObject *
Sync_setstate(PyObject *self, PyObject *state)
{
    PyObject *dict = state, *slots = NULL, *name, *value;
    Py_ssize_t pos = 0;
    if (PyTuple_Check(state) && PyTuple_GET_SIZE(state) == 2) {
        dict = PyTuple_GET_ITEM(state, 0);
        slots = PyTuple_GET_ITEM(state, 1);
    }
    if (!PyDict_Check(dict) || (slots != NULL && !PyDict_Check(slots))) {
        PyErr_SetString(PyExc_TypeError, "state is not a dictionary");
        return NULL;
    }
    dict = PyDict_Copy(dict); // setting may run Python code
    if (dict == NULL) {
        return NULL;
    }
    int rc = 0;
    while (rc == 0 && PyDict_Next(dict, &pos, &name, &value)) {
        rc = state_put(self, name, value);
    }
    Py_DECREF(dict);
    slots = rc < 0 || slots == NULL ? NULL : PyDict_Copy(slots);
    pos = 0;
    while (slots != NULL && rc == 0 &&
           PyDict_Next(slots, &pos, &name, &value))
    {
        rc = PyObject_SetAttr(self, name, value);
    }
    Py_XDECREF(slots);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* -- repr ------------------------------------------------------------------------------ */

PyObject *
sync_repr_text(PyObject *self, PyObject *extra)
{
    PyObject *text = extra == NULL ? NULL : PyBaseObject_Type.tp_repr(self);
    PyObject *inner = text == NULL ? NULL
                                   : PyUnicode_Substring(
                                         text, 1,
                                         PyUnicode_GET_LENGTH(text) - 1);
    PyObject *made = NULL;
    if (inner != NULL) {
        made = PyUnicode_FromFormat("<%U [%U]>", inner, extra);
    }
    Py_XDECREF(inner);
    Py_XDECREF(text);
    Py_XDECREF(extra);
    return made;
}

PyObject *
sync_repr(SyncObject *self, const char *extra)
{
    Py_ssize_t len = fifo_len(&self->waiters);
    if (len < 0) {
        return NULL;
    }
    return sync_repr_text(
        (PyObject *)self,
        len == 0 ? PyUnicode_FromString(extra)
                 : PyUnicode_FromFormat("%s, waiters:%zd", extra, len));
}

/* -- asyncio's own way ------------------------------------------------------------------- */

PyObject *
sync_theirs(PyObject *cls, const char *name, PyObject *self,
            PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    size_t total = (size_t)nargs +
                   (kwnames == NULL ? 0 : (size_t)PyTuple_GET_SIZE(kwnames));
    PyObject *few[8];
    PyObject **all = few;
    if (total + 1 > FA_ARRAY_LEN(few)) {
        all = PyMem_New(PyObject *, total + 1);
        if (all == NULL) {
            return PyErr_NoMemory();
        }
    }
    all[0] = self;
    if (total != 0) {
        memcpy(all + 1, args, total * sizeof(PyObject *));
    }
    PyObject *fn = PyObject_GetAttrString(cls, name);
    PyObject *answer =
        fn == NULL ? NULL
                   : PyObject_Vectorcall(fn, all, (size_t)nargs + 1, kwnames);
    Py_XDECREF(fn);
    if (all != few) {
        PyMem_Free(all);
    }
    return answer;
}
