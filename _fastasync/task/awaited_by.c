/* task/awaited_by.c: the call graph of asyncio 3.14, for our futures.

   Who waits for a future is kept in the future: nearly always that is one
   task, then it stands there itself; a second one turns the field into a set.
   asyncio's future_add_to_awaited_by knows only its own C types and drops the
   rest silently, so there are twins here that take ours and hand on the others.
   An edge is kept when the awaited future is ours and the waiter is ours or
   asyncio's; the other way round there is no place to keep it. */
#include "task/coro.h"
#include "task/private.h"

/* May `waiter` stand in the graph? */
static int
awaited_by_accepts(fa_state *st, PyObject *waiter)
{
    return future_check(st, waiter) ||
           PyObject_TypeCheck(waiter, (PyTypeObject *)st->asyncio_Future);
}

FA_COLD int
awaited_by_add_slow(FutureObject *fut, PyObject *waiter)
{
    if (fut->awaited_by == NULL) {
        fut->awaited_by = Py_NewRef(waiter);
        return 0;
    }
    if (fut->awaited_by_set) {
        return PySet_Add(fut->awaited_by, waiter);
    }
    PyObject *set = PySet_New(NULL);
    if (set == NULL || PySet_Add(set, waiter) < 0 ||
        fut->awaited_by == NULL || PySet_Add(set, fut->awaited_by) < 0)
    {
        Py_XDECREF(set);
        // hashing is Python's: it may have emptied the field meanwhile
        return PyErr_Occurred() ? -1 : awaited_by_add_slow(fut, waiter);
    }
    PyObject *former = fut->awaited_by;
    fut->awaited_by = set;
    fut->awaited_by_set = 1;
    Py_DECREF(former);
    return 0;
}

FA_COLD int
awaited_by_discard_slow(FutureObject *fut, PyObject *waiter)
{
    PyObject *held = fut->awaited_by;
    if (held == NULL) {
        return 0;
    }
    if (held == waiter) {
        fut->awaited_by = NULL;
        Py_DECREF(held);
        return 0;
    }
    return fut->awaited_by_set && PySet_Discard(held, waiter) < 0 ? -1 : 0;
}

PyObject *
awaited_by_get(FutureObject *fut)
{
    if (fut->awaited_by == NULL) {
        Py_RETURN_NONE;
    }
    if (fut->awaited_by_set) {
        return PyFrozenSet_New(fut->awaited_by);
    }
    PyObject *one = PyTuple_Pack(1, fut->awaited_by);
    PyObject *set = one == NULL ? NULL : PyFrozenSet_New(one);
    Py_XDECREF(one);
    return set;
}

/* -- the door ------------------------------------------------------------------- */

int
future_awaited_by_add(fa_state *st, PyObject *fut, PyObject *waiter)
{
    if (!future_check(st, fut) || !awaited_by_accepts(st, waiter)) {
        return 0;
    }
    return awaited_by_add((FutureObject *)fut, waiter);
}

int
future_awaited_by_discard(fa_state *st, PyObject *fut, PyObject *waiter)
{
    if (!future_check(st, fut)) {
        return 0;
    }
    return awaited_by_discard((FutureObject *)fut, waiter);
}

#if FA_HAS_AWAITED_BY

/* futures.name(fut, waiter), whatever that is now, for a future not ours. */
static int
awaited_by_call(fa_state *st, PyObject *name, PyObject *fut, PyObject *waiter)
{
    PyObject *args[] = {st->mod_futures, fut, waiter};
    PyObject *answer = PyObject_VectorcallMethod(name, args, 3, NULL);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

int
fa_awaited_by_add(fa_state *st, PyObject *fut, PyObject *waiter)
{
    return FA_LIKELY(future_check(st, fut))
               ? future_awaited_by_add(st, fut, waiter)
               : awaited_by_call(st, st->str_future_add_to_awaited_by, fut,
                                 waiter);
}

int
fa_awaited_by_discard(fa_state *st, PyObject *fut, PyObject *waiter)
{
    return FA_LIKELY(future_check(st, fut))
               ? future_awaited_by_discard(st, fut, waiter)
               : awaited_by_call(st, st->str_future_discard_from_awaited_by,
                                 fut, waiter);
}

#else

int
fa_awaited_by_add(fa_state *Py_UNUSED(st), PyObject *Py_UNUSED(fut),
                  PyObject *Py_UNUSED(waiter))
{
    return 0;
}

int
fa_awaited_by_discard(fa_state *Py_UNUSED(st), PyObject *Py_UNUSED(fut),
                      PyObject *Py_UNUSED(waiter))
{
    return 0;
}

#endif
