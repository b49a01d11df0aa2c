/* task/coro_await.c: what a turn may await besides a future of ours.

   GET_AWAITABLE of the interpreter in C: a coroutine is driven itself, anything
   else through what its __await__ returns; with the interpreter's errors. Called
   by turns; warm, not hot: futures of ours are told apart first. */
#include "task/coro.h"
#include "task/private.h"

static FA_COLD PySendResult
coro_await_refused(PyObject *aw, const char *format, const char *what)
{
    PyErr_Format(PyExc_TypeError, format, what);
    Py_DECREF(aw);
    return PYGEN_ERROR;
}

#if FA_NAMES_AWAIT_TYPE
/* `iter` (taken over) is what aw.__await__() (likewise) has returned. */
static FA_COLD PySendResult
coro_iter_refused(PyObject *aw, PyObject *iter, int native)
{
    if (native) {
        PyErr_Format(PyExc_TypeError,
                     "%T.__await__() must return an iterator, not coroutine",
                     aw);
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "%T.__await__() must return an iterator, not %T", aw,
                     iter);
    }
    Py_DECREF(aw);
    Py_DECREF(iter);
    return PYGEN_ERROR;
}
#else
static FA_COLD PySendResult
coro_iter_refused(PyObject *aw, PyObject *iter, int native)
{
    Py_DECREF(aw);
    return native ? coro_await_refused(
                        iter, "__await__() returned a coroutine%s", "")
                  : coro_await_refused(
                        iter,
                        "__await__() returned non-iterator of type '%.100s'",
                        Py_TYPE(iter)->tp_name);
}
#endif

/* A coroutine, or a generator that types.coroutine has made one: 1; 0; -1. */
static int
coro_is_native(PyObject *aw)
{
    if (PyCoro_CheckExact(aw)) {
        return 1;
    }
    if (!PyGen_CheckExact(aw)) {
        return 0;
    }
    PyObject *code = PyObject_GetAttrString(aw, "gi_code");
    int is = code == NULL ? -1
                          : (((PyCodeObject *)code)->co_flags &
                             CO_ITERABLE_COROUTINE) != 0;
    Py_XDECREF(code);
    return is;
}

/* A coroutine can be awaited by one only. 0, or -1 with RuntimeError. */
static int
coro_check_free(PyObject *aw)
{
    if (!PyCoro_CheckExact(aw)) {
        return 0;
    }
    PyObject *awaits = PyObject_GetAttrString(aw, "cr_await");
    if (awaits == NULL) {
        return -1;
    }
    int is_free = awaits == Py_None;
    Py_DECREF(awaits);
    if (!is_free) {
        PyErr_SetString(PyExc_RuntimeError,
                        "coroutine is being awaited already");
    }
    return is_free ? 0 : -1;
}

/* Drive an iterator (taken over). */
static PySendResult
coro_await_iter(CoroObject *co, int stage, PyObject *iter)
{
    co->stage = (uint8_t)stage;
    co->waits = FA_WAITS_ITER;
    co->awaited = iter;
    return PYGEN_NEXT;
}

PySendResult
coro_await(CoroObject *co, int stage, PyObject *aw)
{
    if (FA_LIKELY(future_check_exact(co->st, aw))) {
        return coro_await_future(co, stage, aw);
    }
    int native = coro_is_native(aw);
    if (native < 0 || (native && coro_check_free(aw) < 0)) {
        Py_DECREF(aw);
        return PYGEN_ERROR;
    }
    if (native) {
        return coro_await_iter(co, stage, aw);
    }
    PyAsyncMethods *async = Py_TYPE(aw)->tp_as_async;
    if (async == NULL || async->am_await == NULL) {
        return coro_await_refused(
            aw, FA_AWAIT_REFUSED_TEXT,
            Py_TYPE(aw)->tp_name);
    }
    PyObject *iter = async->am_await(aw);
    if (iter == NULL) {
        Py_DECREF(aw);
        return PYGEN_ERROR;
    }
    native = coro_is_native(iter);
    if (FA_UNLIKELY(native != 0 || !PyIter_Check(iter))) {
        return coro_iter_refused(aw, iter, native);
    }
    Py_DECREF(aw);
    return coro_await_iter(co, stage, iter);
}
