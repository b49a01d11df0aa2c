/* base/fifo.c: the rare half of base/fifo.h: growing, removing from the middle,
   and everything that works on a deque. */
#include "base/fifo.h"

#include <string.h>

int
fifo_grow(fa_fifo *fifo)
{
    uint32_t capacity = fifo->capacity ? fifo->capacity * 2 : 4;
    if (capacity > UINT32_MAX / 2) {
        PyErr_NoMemory();
        return -1;
    }
    PyObject **items = PyMem_New(PyObject *, capacity);
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; i < fifo->len; i++) {
        items[i] = fifo->items[(fifo->head + i) & (fifo->capacity - 1)];
    }
    PyMem_Free(fifo->items);
    fifo->items = items;
    fifo->head = 0;
    fifo->capacity = capacity;
    return 0;
}

/* -- on a deque ---------------------------------------------------------------- */

/* method(deque[, arg]): a new reference or NULL. Holds the deque meanwhile. */
static PyObject *
fifo_call(fa_fifo *fifo, PyObject *name, PyObject *arg)
{
    PyObject *deque = Py_NewRef(fifo->deque);
    PyObject *answer = arg == NULL
                           ? PyObject_CallMethodNoArgs(deque, name)
                           : PyObject_CallMethodOneArg(deque, name, arg);
    Py_DECREF(deque);
    return answer;
}

static int
fifo_call_for_nothing(fa_fifo *fifo, PyObject *name, PyObject *arg)
{
    PyObject *answer = fifo_call(fifo, name, arg);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

int
fifo_push_slow(fa_state *st, fa_fifo *fifo, PyObject *obj)
{
    return fifo_call_for_nothing(fifo, st->str_append, obj);
}

PyObject *
fifo_pop_slow(fa_state *st, fa_fifo *fifo)
{
    if (fifo->deque == NULL) {
        PyErr_SetString(PyExc_IndexError, "pop from an empty deque");
        return NULL;
    }
    return fifo_call(fifo, st->str_popleft, NULL);
}

Py_ssize_t
fifo_len_slow(fa_fifo *fifo)
{
    return PyObject_Size(fifo->deque);
}

PyObject *
fifo_at_slow(fa_fifo *fifo, Py_ssize_t i)
{
    if (fifo->deque != NULL) {
        return PySequence_GetItem(fifo->deque, i);
    }
    PyErr_SetString(PyExc_IndexError, "deque index out of range");
    return NULL;
}

static int
fifo_remove_slow(fa_state *st, fa_fifo *fifo, PyObject *obj)
{
    if (fifo_call_for_nothing(fifo, st->str_remove, obj) == 0) {
        return 1;
    }
    if (!PyErr_ExceptionMatches(PyExc_ValueError)) {
        return -1;
    }
    PyErr_Clear();
    return 0;
}

/* -- on both ----------------------------------------------------------------------- */

int
fifo_remove(fa_state *st, fa_fifo *fifo, PyObject *obj)
{
    if (fifo->deque != NULL) {
        return fifo_remove_slow(st, fifo, obj);
    }
    uint32_t mask = fifo->capacity - 1, at = 0;
    while (at < fifo->len && fifo->items[(fifo->head + at) & mask] != obj) {
        at++;
    }
    if (at == fifo->len) {
        return 0;
    }
    if (at == 0) { // mostly
        fifo->head = (fifo->head + 1) & mask;
    }
    else {
        for (uint32_t i = at + 1; i < fifo->len; i++) { // close the gap
            fifo->items[(fifo->head + i - 1) & mask] =
                fifo->items[(fifo->head + i) & mask];
        }
    }
    fifo->len--;
    Py_DECREF(obj); // may run Python code: the fifo is in order
    return 1;
}

PyObject *
fifo_pop_last(fa_state *st, fa_fifo *fifo)
{
    if (fifo->deque != NULL) {
        return fifo_call(fifo, st->str_pop, NULL);
    }
    if (fifo->len == 0) {
        return fifo_pop_slow(st, fifo);
    }
    fifo->len--;
    return fifo->items[(fifo->head + fifo->len) & (fifo->capacity - 1)];
}

PyObject *
fifo_list(fa_fifo *fifo)
{
    if (fifo->deque != NULL) {
        return PySequence_List(fifo->deque);
    }
    PyObject *list = PyList_New(fifo->len);
    if (list == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < fifo->len; i++) {
        PyList_SET_ITEM(list, i, fifo_at(fifo, i));
    }
    return list;
}

/* -- shown to Python ------------------------------------------------------------------ */

PyObject *
fifo_expose(fa_state *st, fa_fifo *fifo)
{
    if (fifo->deque == NULL) {
        PyObject *list = fifo_list(fifo);
        if (list == NULL) {
            return NULL;
        }
        PyObject *deque = PyObject_CallOneArg(st->deque, list);
        Py_DECREF(list);
        if (deque == NULL) {
            return NULL;
        }
        fifo_clear(fifo); // the deque has references of its own: nothing dies
        fifo->deque = deque;
    }
    return Py_NewRef(fifo->deque);
}

void
fifo_replace(fa_fifo *fifo, PyObject *deque)
{
    Py_XINCREF(deque);
    fifo_clear(fifo);
    Py_XSETREF(fifo->deque, deque);
}

int
fifo_traverse(fa_fifo *fifo, visitproc visit, void *arg)
{
    Py_VISIT(fifo->deque);
    for (uint32_t i = 0; i < fifo->len; i++) {
        Py_VISIT(fifo->items[(fifo->head + i) & (fifo->capacity - 1)]);
    }
    return 0;
}

void
fifo_clear(fa_fifo *fifo)
{
    fa_fifo old = *fifo;
    memset(fifo, 0, sizeof(*fifo)); // whoever looks meanwhile finds it empty
    for (uint32_t i = 0; i < old.len; i++) {
        Py_DECREF(old.items[(old.head + i) & (old.capacity - 1)]);
    }
    PyMem_Free(old.items);
    Py_XDECREF(old.deque);
}
