/* base/bytebuf.c: growing, taking, and everything that works on a bytearray.

   The store is a bytes object so that it can be handed over: to the reader when
   all of it is taken, from the caller when the buffer is empty. Room is made by
   moving the data to the front if at least half of what is used is free there,
   else by a store half as large again: each byte is moved O(1) times. What is
   left of a large store is moved to a small one as soon as that is cheap, so
   that an idle connection does not hold 64 KiB for a few bytes. */
#include "base/bytebuf.h"

#include <string.h>

#define STORE_MIN 256
/* From here on all of an own store is handed over instead of copied. */
#define HAND_OVER_MIN (8 * 1024)
/* Of stores this large no more than an eighth may be waste in the end. */
#define SHRINK_MIN (16 * 1024)
/* Up to here a bytearray that nobody holds any more is given up. */
#define SETTLE_MAX 4096

static inline Py_ssize_t
store_size(const fa_bytebuf *buf)
{
    return buf->store == NULL ? 0 : PyBytes_GET_SIZE(buf->store);
}

static inline void
store_drop(fa_bytebuf *buf)
{
    buf->start = buf->end = 0;
    buf->own = 0;
    Py_CLEAR(buf->store);
}

/* Move the data into a new store of that size. 0 or -1 (nothing changed). */
static int
store_move(fa_bytebuf *buf, Py_ssize_t size)
{
    Py_ssize_t len = buf->end - buf->start;
    PyObject *store = PyBytes_FromStringAndSize(NULL, size);
    if (store == NULL) {
        return -1;
    }
    memcpy(PyBytes_AS_STRING(store), bytebuf_data(buf), (size_t)len);
    Py_XSETREF(buf->store, store); // exact bytes: runs nothing
    buf->start = 0;
    buf->end = len;
    buf->own = 1;
    return 0;
}

/* At least `more` writable bytes behind the data. 0 or -1. */
static int
store_reserve(fa_bytebuf *buf, Py_ssize_t more)
{
    Py_ssize_t len = buf->end - buf->start, size = store_size(buf);
    if (buf->own && size - buf->end >= more) {
        return 0;
    }
    if (buf->own && size - len >= more && buf->start >= len) {
        char *base = PyBytes_AS_STRING(buf->store);
        memcpy(base, base + buf->start, (size_t)len);
        buf->start = 0;
        buf->end = len;
        return 0;
    }
    if (more > PY_SSIZE_T_MAX / 2 - len) {
        PyErr_NoMemory();
        return -1;
    }
    Py_ssize_t wanted = len + more + len / 2;
    return store_move(buf, wanted < STORE_MIN ? STORE_MIN : wanted);
}

/* The first n bytes are gone. */
static inline void
store_skip(fa_bytebuf *buf, Py_ssize_t n)
{
    buf->start += n;
    Py_ssize_t len = buf->end - buf->start, size = PyBytes_GET_SIZE(buf->store);
    if (len == 0) {
        store_drop(buf);
    }
    else if (FA_UNLIKELY(size >= SHRINK_MIN && len <= size / 8) &&
             store_move(buf, len < STORE_MIN ? STORE_MIN : len) < 0)
    {
        PyErr_Clear(); // it can wait
    }
}

/* -- on a bytearray --------------------------------------------------------------- */

/* method(array[, arg]), the answer dropped. Holds the array meanwhile. */
static int
array_call(fa_bytebuf *buf, PyObject *name, PyObject *arg)
{
    PyObject *array = Py_NewRef(buf->array);
    PyObject *answer = arg == NULL
                           ? PyObject_CallMethodNoArgs(array, name)
                           : PyObject_CallMethodOneArg(array, name, arg);
    Py_DECREF(array);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* bytes(array[:n]) and del array[:n]. */
static PyObject *
array_take(fa_bytebuf *buf, Py_ssize_t n)
{
    PyObject *array = Py_NewRef(buf->array);
    PyObject *slice = PySequence_GetSlice(array, 0, n);
    PyObject *data = slice == NULL ? NULL : PyBytes_FromObject(slice);
    if (data != NULL && PySequence_DelSlice(array, 0, n) < 0) {
        Py_CLEAR(data);
    }
    Py_XDECREF(slice);
    Py_DECREF(array);
    return data;
}

int
bytebuf_settle_slow(fa_bytebuf *buf)
{
    PyObject *array = buf->array;
    if (!PyByteArray_CheckExact(array) || !fa_is_unique(array) ||
        PyByteArray_GET_SIZE(array) > SETTLE_MAX)
    {
        return 0;
    }
    PyObject *store = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(array),
                                                PyByteArray_GET_SIZE(array));
    if (store == NULL) {
        PyErr_Clear();
        return 0;
    }
    buf->array = NULL;
    buf->store = store; // may be one of the interpreter's: not our own
    buf->start = 0;
    buf->end = PyBytes_GET_SIZE(store);
    buf->own = 0;
    if (buf->end == 0) {
        store_drop(buf);
    }
    Py_DECREF(array);
    return 1;
}

Py_ssize_t
bytebuf_len_slow(fa_bytebuf *buf)
{
    PyObject *array = Py_NewRef(buf->array);
    Py_ssize_t len = PyObject_Size(array);
    Py_DECREF(array);
    return len;
}

/* -- putting in --------------------------------------------------------------------- */

int
bytebuf_append(fa_state *st, fa_bytebuf *buf, const char *data, Py_ssize_t n)
{
    int settled = bytebuf_settled(buf);
    if (n == 0) {
        return 0;
    }
    if (FA_UNLIKELY(!settled || buf->store == NULL)) {
        PyObject *bytes = PyBytes_FromStringAndSize(data, n);
        if (bytes == NULL) {
            return -1;
        }
        int rc = bytebuf_extend(st, buf, bytes);
        Py_DECREF(bytes);
        return rc;
    }
    if (store_reserve(buf, n) < 0) {
        return -1;
    }
    memcpy(PyBytes_AS_STRING(buf->store) + buf->end, data, (size_t)n);
    buf->end += n;
    return 0;
}

/* Something that is no exact bytes: by its buffer, if it has one, else (1) as
   bytearray.extend takes it. 1, 0 or -1. */
static int
bytebuf_extend_buffer(fa_state *st, fa_bytebuf *buf, PyObject *data)
{
    Py_buffer view;
    if (!PyObject_CheckBuffer(data)) {
        return 1;
    }
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        PyErr_Clear(); // bytearray has its own words for it
        return 1;
    }
    int rc = bytebuf_append(st, buf, view.buf, view.len);
    PyBuffer_Release(&view);
    return rc;
}

int
bytebuf_extend(fa_state *st, fa_bytebuf *buf, PyObject *data)
{
    if (FA_LIKELY(bytebuf_settled(buf))) {
        if (FA_LIKELY(PyBytes_CheckExact(data))) {
            if (buf->store != NULL || PyBytes_GET_SIZE(data) == 0) {
                return bytebuf_append(st, buf, PyBytes_AS_STRING(data),
                                      PyBytes_GET_SIZE(data));
            }
            buf->store = Py_NewRef(data);
            buf->end = PyBytes_GET_SIZE(data);
            return 0;
        }
        int rc = bytebuf_extend_buffer(st, buf, data);
        if (rc <= 0) {
            return rc;
        }
    }
    PyObject *array = bytebuf_expose(buf);
    if (array == NULL) {
        return -1;
    }
    Py_DECREF(array);
    return array_call(buf, st->str_extend, data);
}

Py_ssize_t
bytebuf_room(fa_bytebuf *buf, Py_ssize_t want, char **space)
{
    if (!bytebuf_settled(buf)) {
        return 0;
    }
    // rather a smaller piece than to move the data for each recv
    Py_ssize_t least = buf->start == buf->end ? want : want / 8 + 1;
    if (!(buf->own && store_size(buf) - buf->end >= least) &&
        store_reserve(buf, want) < 0)
    {
        return -1;
    }
    *space = PyBytes_AS_STRING(buf->store) + buf->end;
    return store_size(buf) - buf->end;
}

void
bytebuf_filled(fa_bytebuf *buf, Py_ssize_t n)
{
    if (n > 0) {
        buf->end += n;
    }
    if (buf->start == buf->end) {
        store_drop(buf);
    }
}

/* -- taking out ------------------------------------------------------------------------ */

/* All that there is, handed over: the store is as large as its data, or large
   enough to be cut instead of copied. (Cutting fails only if realloc cannot
   make a block smaller: then the data are lost.) */
static PyObject *
store_hand_over(fa_bytebuf *buf)
{
    PyObject *data = buf->store;
    Py_ssize_t n = buf->end;
    buf->store = NULL;
    store_drop(buf);
    if (n != PyBytes_GET_SIZE(data)) {
        _PyBytes_Resize(&data, n);
    }
    return data;
}

FA_HOT PyObject *
bytebuf_take(fa_state *st, fa_bytebuf *buf, Py_ssize_t n)
{
    (void)st;
    if (FA_UNLIKELY(!bytebuf_settled(buf))) {
        return array_take(buf, n);
    }
    if (n == buf->end && buf->start == 0 &&
        (!buf->own || n >= HAND_OVER_MIN))
    {
        if (FA_LIKELY(n > 0)) {
            return store_hand_over(buf);
        }
    }
    PyObject *data = PyBytes_FromStringAndSize(bytebuf_data(buf), n);
    if (FA_LIKELY(data != NULL && n > 0)) {
        store_skip(buf, n);
    }
    return data;
}

PyObject *
bytebuf_take_all(fa_state *st, fa_bytebuf *buf)
{
    if (bytebuf_settled(buf)) {
        return bytebuf_take(st, buf, buf->end - buf->start);
    }
    PyObject *array = Py_NewRef(buf->array);
    PyObject *data = PyBytes_FromObject(array);
    Py_DECREF(array);
    if (data != NULL && bytebuf_drop_all(st, buf) < 0) {
        Py_CLEAR(data);
    }
    return data;
}

int
bytebuf_drop(fa_bytebuf *buf, Py_ssize_t n)
{
    if (bytebuf_settled(buf)) {
        Py_ssize_t len = buf->end - buf->start;
        if (len > 0) {
            store_skip(buf, n < len ? n : len);
        }
        return 0;
    }
    PyObject *array = Py_NewRef(buf->array);
    int rc = PySequence_DelSlice(array, 0, n);
    Py_DECREF(array);
    return rc;
}

int
bytebuf_drop_all(fa_state *st, fa_bytebuf *buf)
{
    if (buf->array != NULL) {
        return array_call(buf, st->str_clear, NULL);
    }
    store_drop(buf);
    return 0;
}

/* -- shown to Python ------------------------------------------------------------------- */

PyObject *
bytebuf_expose(fa_bytebuf *buf)
{
    if (buf->array == NULL) {
        PyObject *array = PyByteArray_FromStringAndSize(
            bytebuf_data(buf), buf->end - buf->start);
        if (array == NULL) {
            return NULL;
        }
        store_drop(buf);
        buf->array = array;
    }
    return Py_NewRef(buf->array);
}

void
bytebuf_replace(fa_bytebuf *buf, PyObject *array)
{
    Py_XINCREF(array);
    store_drop(buf);
    Py_XSETREF(buf->array, array);
}

int
bytebuf_traverse(fa_bytebuf *buf, visitproc visit, void *arg)
{
    Py_VISIT(buf->array);
    return 0;
}

void
bytebuf_clear(fa_bytebuf *buf)
{
    bytebuf_replace(buf, NULL);
}
