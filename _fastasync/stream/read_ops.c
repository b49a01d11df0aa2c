/* stream/read_ops.c: the coroutines of StreamReader: read, readexactly, readline,
   readuntil, async for, _wait_for_data.

   Each looks at the buffer, takes what it came for, and otherwise waits until
   more has come and looks again. With the data there it ends in its first turn
   and makes nothing but the bytes it returns. asyncio's code awaits
   self._wait_for_data(), readline awaits self.readuntil(), and so on: for a
   plain reader these are done in place, for any other the methods are called
   and awaited. The search for a separator goes on where it ended before the
   wait (co->number). HOT. Benchmarks: streams_readline, streams_readexactly. */
#include "stream/private.h"

#include "base/args.h"
#include "base/errors.h"
#include "task/coro.h"

#include <string.h>

/* vars: the reader; n, or the separators; what read(-1) has got so far. */
enum { OP_READER, OP_ARG, OP_BLOCKS };

enum {
    BEGIN,
    WAITED,    /* by self._wait_for_data(), a method */
    WAITED_IN, /* the same in place: its `finally` is ours to do */
    CALLED,    /* another of the reader's coroutines was awaited */
};

static inline ReaderObject *
op_reader(CoroObject *co)
{
    return (ReaderObject *)co->vars[OP_READER];
}

static inline int
op_is_plain(CoroObject *co)
{
    return FA_LIKELY(reader_is_plain(co->st, co->vars[OP_READER]));
}

/* -- waiting ------------------------------------------------------------------------ */

static FA_COLD PyObject *
wait_refused(PyObject *exc, const char *format, PyObject *name)
{
    PyErr_Format(exc, format, name);
    return NULL;
}

/* _wait_for_data(name) up to its await: what to await (new). */
static PyObject *
wait_begin(ReaderObject *self, PyObject *name)
{
    if (reader_check(self, FA_READER_WAITER | FA_READER_EOF |
                               FA_READER_PAUSED | FA_READER_LOOP) < 0)
    {
        return NULL;
    }
    if (self->waiter != Py_None) {
        return wait_refused(PyExc_RuntimeError,
                            "%S() called while another coroutine is already "
                            "waiting for incoming data",
                            name);
    }
    int eof = reader_truth(self->eof);
    if (eof != 0) {
        return eof < 0 ? NULL
                       : wait_refused(PyExc_AssertionError,
                                      "_wait_for_data after EOF", NULL);
    }
    if (reader_resume(self) < 0) { // or nothing will ever come
        return NULL;
    }
    PyObject *loop = Py_NewRef(self->loop);
    PyObject *waiter = fa_create_future(self->st, loop);
    Py_DECREF(loop);
    if (waiter != NULL) {
        reader_set(self, &self->waiter, FA_READER_WAITER, Py_NewRef(waiter));
    }
    return waiter;
}

/* The same and the await; the next turn is at WAITED_IN. */
static PySendResult
wait_here(CoroObject *co, PyObject *name)
{
    PyObject *waiter = wait_begin(op_reader(co), name);
    if (waiter == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult status = coro_await(co, WAITED_IN, waiter);
    if (FA_UNLIKELY(status == PYGEN_ERROR)) {
        reader_forget_waiter(op_reader(co));
    }
    return status;
}

/* await self._wait_for_data(name). */
static PySendResult
op_wait(CoroObject *co, PyObject *name)
{
    if (op_is_plain(co)) {
        return wait_here(co, name);
    }
    PyObject *aw = PyObject_CallMethodOneArg(
        co->vars[OP_READER], co->st->str__wait_for_data, name);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, WAITED, aw);
}

/* The await has ended. 0, or -1 if it has raised. */
static inline int
op_waited(CoroObject *co, PyObject *value)
{
    if (co->stage == WAITED_IN) {
        PyObject *raised = value == NULL ? fa_err_take() : NULL;
        reader_forget_waiter(op_reader(co));
        if (value == NULL) {
            fa_err_restore(raised);
        }
    }
    return value == NULL ? -1 : 0;
}

/* -- what the operations have in common -------------------------------------------------- */

/* raise self._exception, unless it is None. 0 or -1. */
static inline int
op_check(CoroObject *co)
{
    ReaderObject *self = op_reader(co);
    if (FA_UNLIKELY(self->missing != 0) &&
        reader_check(self, FA_READER_EXCEPTION | FA_READER_BUFFER |
                               FA_READER_EOF | FA_READER_LIMIT) < 0)
    {
        return -1;
    }
    PyObject *exc = self->exception;
    if (FA_LIKELY(exc == Py_None)) {
        return 0;
    }
    if (PyExceptionInstance_Check(exc)) {
        Py_INCREF(exc);
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        Py_DECREF(exc);
    }
    else if (PyExceptionClass_Check(exc)) {
        PyErr_SetNone(exc);
    }
    else {
        PyErr_SetString(PyExc_TypeError,
                        "exceptions must derive from BaseException");
    }
    return -1;
}

/* n as a size: *out, saturated; below zero for any negative number. 0 or -1. */
static int
op_size(PyObject *n, Py_ssize_t *out)
{
    if (FA_LIKELY(PyLong_CheckExact(n))) {
        int overflow;
        long long value = PyLong_AsLongLongAndOverflow(n, &overflow);
        *out = overflow > 0   ? PY_SSIZE_T_MAX
               : overflow < 0 ? -1
                              : (Py_ssize_t)value;
        return 0;
    }
    PyObject *zero = PyLong_FromLong(0);
    int negative = zero == NULL ? -1
                                : PyObject_RichCompareBool(n, zero, Py_LT);
    Py_XDECREF(zero);
    *out = -1;
    if (negative != 0) {
        return negative < 0 ? -1 : 0;
    }
    *out = PyNumber_AsSsize_t(n, NULL);
    return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

/* return the first n bytes, and let the transport go on. */
static inline PySendResult
op_return(CoroObject *co, Py_ssize_t n, PyObject **result)
{
    ReaderObject *self = op_reader(co);
    PyObject *data = bytebuf_take(co->st, &self->buffer, n);
    if (FA_UNLIKELY(data == NULL || reader_maybe_resume(self) < 0)) {
        Py_XDECREF(data);
        return PYGEN_ERROR;
    }
    *result = data;
    return PYGEN_RETURN;
}

/* raise IncompleteReadError(everything, expected). */
static PySendResult
op_incomplete(CoroObject *co, PyObject *expected)
{
    fa_state *st = co->st;
    PyObject *chunk = bytebuf_take_all(st, &op_reader(co)->buffer);
    if (chunk != NULL) {
        PyObject *exc = PyObject_CallFunctionObjArgs(st->IncompleteReadError,
                                                     chunk, expected, NULL);
        Py_DECREF(chunk);
        if (exc != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
            Py_DECREF(exc);
        }
    }
    return PYGEN_ERROR;
}

/* -- _wait_for_data ----------------------------------------------------------------------- */

static PySendResult
wait_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (co->stage == BEGIN) {
        return wait_here(co, co->vars[OP_ARG]);
    }
    return op_waited(co, value) < 0 ? PYGEN_ERROR : coro_return_none(result);
}

/* -- read ----------------------------------------------------------------------------------- */

/* bool(self._buffer) or bool(self._eof): 1, 0 or -1. */
static inline int
read_has_come(ReaderObject *self)
{
    Py_ssize_t len = bytebuf_len(&self->buffer);
    return FA_LIKELY(len != 0) ? (len < 0 ? -1 : 1) : reader_truth(self->eof);
}

/* b''.join(blocks) */
static PySendResult
read_join(CoroObject *co, PyObject **result)
{
    PyObject *blocks = co->vars[OP_BLOCKS];
    if (blocks != NULL && PyList_GET_SIZE(blocks) == 1 &&
        PyBytes_CheckExact(PyList_GET_ITEM(blocks, 0)))
    {
        return coro_return(co, PyList_GET_ITEM(blocks, 0), result);
    }
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    if (empty == NULL || blocks == NULL) {
        *result = empty;
        return empty == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    }
    *result = PyObject_CallMethodOneArg(empty, co->st->str_join, blocks);
    Py_DECREF(empty);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* A block of read(-1), taken over: 1 if it was empty, 0 or -1. */
static int
read_add(CoroObject *co, PyObject *block)
{
    if (block == NULL) {
        return -1;
    }
    int some = PyObject_IsTrue(block);
    if (some > 0) {
        if (co->vars[OP_BLOCKS] == NULL) {
            co->vars[OP_BLOCKS] = PyList_New(0);
        }
        if (co->vars[OP_BLOCKS] == NULL ||
            PyList_Append(co->vars[OP_BLOCKS], block) < 0)
        {
            some = -1;
        }
    }
    Py_DECREF(block);
    return some < 0 ? -1 : !some;
}

/* The loop of read(-1) in a plain reader. asyncio reads blocks of up to the
   limit; nothing but the size of the blocks differs if they are larger. */
static PySendResult
read_all_plain(CoroObject *co, int waited, PyObject **result)
{
    ReaderObject *self = op_reader(co);
    for (;;) {
        if (!waited) {
            int come = op_check(co) < 0 ? -1 : read_has_come(self);
            if (come <= 0) {
                return come < 0 ? PYGEN_ERROR
                                : op_wait(co, co->st->str_read);
            }
        }
        waited = 0;
        PyObject *block = bytebuf_take_all(co->st, &self->buffer);
        if (block != NULL && reader_maybe_resume(self) < 0) {
            Py_CLEAR(block);
        }
        int end = read_add(co, block);
        if (end != 0) {
            return end < 0 ? PYGEN_ERROR : read_join(co, result);
        }
    }
}

/* read(-1): read(limit) until it gives nothing. */
static PySendResult
read_all(CoroObject *co, PyObject *value, PyObject **result)
{
    if (co->stage == CALLED) {
        int end = read_add(co, Py_XNewRef(value));
        if (end != 0) {
            return end < 0 ? PYGEN_ERROR : read_join(co, result);
        }
    }
    ReaderObject *self = op_reader(co);
    if (co->stage == WAITED_IN || (op_is_plain(co) && self->max > 0)) {
        return read_all_plain(co, co->stage == WAITED_IN, result);
    }
    if (reader_check(self, FA_READER_LIMIT) < 0) {
        return PYGEN_ERROR;
    }
    PyObject *limit = Py_NewRef(self->limit);
    PyObject *aw = PyObject_CallMethodOneArg((PyObject *)self,
                                             co->st->str_read, limit);
    Py_DECREF(limit);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, CALLED, aw);
}

/* Something has come, or the end. */
static inline PySendResult
read_some(CoroObject *co, PyObject **result)
{
    Py_ssize_t len = bytebuf_len(&op_reader(co)->buffer);
    if (FA_UNLIKELY(len < 0)) {
        return PYGEN_ERROR;
    }
    return op_return(co, len < co->number ? len : (Py_ssize_t)co->number,
                     result);
}

static inline PySendResult
read_begin(CoroObject *co, PyObject **result)
{
    Py_ssize_t n;
    if (FA_UNLIKELY(op_check(co) < 0 ||
                    op_size(co->vars[OP_ARG], &n) < 0))
    {
        return PYGEN_ERROR;
    }
    co->number = n;
    if (FA_UNLIKELY(n <= 0)) {
        return n < 0 ? read_all(co, Py_None, result) : read_join(co, result);
    }
    int come = read_has_come(op_reader(co));
    if (FA_LIKELY(come > 0)) {
        return read_some(co, result);
    }
    return come < 0 ? PYGEN_ERROR : op_wait(co, co->st->str_read);
}

static FA_HOT PySendResult
read_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (co->stage == BEGIN) {
        return read_begin(co, result);
    }
    if (co->stage != CALLED && op_waited(co, value) < 0) {
        return PYGEN_ERROR;
    }
    if (co->number < 0) {
        return value == NULL ? PYGEN_ERROR : read_all(co, value, result);
    }
    return read_some(co, result);
}

/* -- readexactly ------------------------------------------------------------------------------ */

static inline PySendResult
exactly_look(CoroObject *co, PyObject **result)
{
    ReaderObject *self = op_reader(co);
    Py_ssize_t len = bytebuf_len(&self->buffer);
    if (FA_LIKELY(len >= co->number)) {
        return op_return(co, (Py_ssize_t)co->number, result);
    }
    int eof = len < 0 ? -1 : reader_truth(self->eof);
    if (eof != 0) {
        return eof < 0 ? PYGEN_ERROR : op_incomplete(co, co->vars[OP_ARG]);
    }
    return op_wait(co, co->st->str_readexactly);
}

static inline PySendResult
exactly_begin(CoroObject *co, PyObject **result)
{
    Py_ssize_t n;
    if (FA_UNLIKELY(op_size(co->vars[OP_ARG], &n) < 0)) {
        return PYGEN_ERROR;
    }
    if (FA_UNLIKELY(n < 0)) {
        PyErr_SetString(PyExc_ValueError,
                        "readexactly size can not be less than zero");
        return PYGEN_ERROR;
    }
    if (FA_UNLIKELY(op_check(co) < 0)) {
        return PYGEN_ERROR;
    }
    co->number = n;
    return FA_LIKELY(n > 0) ? exactly_look(co, result)
                            : read_join(co, result);
}

static FA_HOT PySendResult
exactly_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (co->stage == BEGIN) {
        return exactly_begin(co, result);
    }
    return op_waited(co, value) < 0 ? PYGEN_ERROR : exactly_look(co, result);
}

/* -- searching ------------------------------------------------------------------------------------ */

/* Where in the buffer, from `offset` on, and how long. */
typedef struct {
    Py_ssize_t at;  /* -1: nowhere */
    Py_ssize_t len; /* of the separator */
} until_hit;

/* self._buffer.find(sep, offset) and len(sep), by Python. 0 or -1. */
static FA_COLD int
find_slow(ReaderObject *self, PyObject *sep, Py_ssize_t offset, until_hit *hit)
{
    PyObject *array = bytebuf_expose(&self->buffer);
    if (array == NULL) {
        return -1;
    }
    PyObject *found = PyObject_CallMethod(array, "find", "On", sep, offset);
    Py_DECREF(array);
    hit->at = found == NULL ? -1 : PyNumber_AsSsize_t(found, NULL);
    Py_XDECREF(found);
    if (hit->at == -1 && PyErr_Occurred()) {
        return -1;
    }
    hit->len = PyObject_Size(sep);
    return hit->len < 0 ? -1 : 0;
}

/* HOT */
static inline int
find(ReaderObject *self, PyObject *sep, Py_ssize_t offset, until_hit *hit)
{
    fa_bytebuf *buf = &self->buffer;
    if (FA_UNLIKELY(!PyBytes_CheckExact(sep) || !bytebuf_settled(buf))) {
        return find_slow(self, sep, offset, hit);
    }
    const char *data = bytebuf_data(buf), *found = NULL;
    Py_ssize_t rest = buf->end - buf->start - offset;
    hit->len = PyBytes_GET_SIZE(sep);
    if (rest > 0) {
        found = hit->len == 1
                    ? memchr(data + offset, PyBytes_AS_STRING(sep)[0],
                             (size_t)rest)
                    : memmem(data + offset, (size_t)rest,
                             PyBytes_AS_STRING(sep), (size_t)hit->len);
    }
    hit->at = found == NULL ? -1 : found - data;
    return 0;
}

/* The match that ends first of several separators (a list). */
static int
find_first(ReaderObject *self, PyObject *list, Py_ssize_t offset,
           until_hit *best)
{
    best->at = -1;
    best->len = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        until_hit hit;
        if (find(self, PyList_GET_ITEM(list, i), offset, &hit) < 0) {
            return -1;
        }
        if (hit.at != -1 &&
            (best->at == -1 || hit.at + hit.len < best->at + best->len))
        {
            *best = hit;
        }
    }
    return 0;
}

typedef enum {
    UNTIL_FAILED,
    UNTIL_FOUND,    /* the first `count` bytes are what was asked for */
    UNTIL_MORE,     /* is needed */
    UNTIL_TOO_LONG, /* no separator: `count` bytes cannot be part of one */
    UNTIL_TOO_FAR,  /* a separator at `count`, behind the limit */
} until_verdict;

/* Nothing was found: how much need not be searched again. */
static until_verdict
until_go_on(ReaderObject *self, Py_ssize_t len, Py_ssize_t longest,
            int64_t *offset, Py_ssize_t *count)
{
    *count = len + 1 - longest > 0 ? len + 1 - longest : 0;
    *offset = *count;
    int over = reader_exceeds(self, *count, 1);
    return over < 0 ? UNTIL_FAILED : over ? UNTIL_TOO_LONG : UNTIL_MORE;
}

/* The shortest and the longest separator. 0 or -1. */
static inline int
until_sizes(PyObject *seps, Py_ssize_t *shortest, Py_ssize_t *longest)
{
    if (FA_LIKELY(PyBytes_CheckExact(seps))) {
        *shortest = *longest = PyBytes_GET_SIZE(seps);
        return 0;
    }
    if (!PyList_CheckExact(seps)) {
        *shortest = *longest = PyObject_Size(seps);
        return *shortest < 0 ? -1 : 0;
    }
    Py_ssize_t last = PyList_GET_SIZE(seps) - 1;
    *shortest = PyObject_Size(PyList_GET_ITEM(seps, 0));
    *longest = *shortest < 0 ? -1 : PyObject_Size(PyList_GET_ITEM(seps, last));
    return *longest < 0 ? -1 : 0;
}

/* One look at the buffer from *offset on. `seps` is one separator, or a list
   of them from the shortest to the longest. HOT */
static until_verdict
until_look(ReaderObject *self, PyObject *seps, int64_t *offset,
           Py_ssize_t *count)
{
    int many = PyList_CheckExact(seps);
    Py_ssize_t shortest, longest, len = bytebuf_len(&self->buffer);
    if (FA_UNLIKELY(len < 0 || until_sizes(seps, &shortest, &longest) < 0)) {
        return UNTIL_FAILED;
    }
    if (len - *offset < shortest) {
        return UNTIL_MORE;
    }
    until_hit hit;
    int rc = many ? find_first(self, seps, (Py_ssize_t)*offset, &hit)
                  : find(self, seps, (Py_ssize_t)*offset, &hit);
    if (FA_UNLIKELY(rc < 0)) {
        return UNTIL_FAILED;
    }
    if (hit.at == -1) {
        return until_go_on(self, len, longest, offset, count);
    }
    int over = reader_exceeds(self, hit.at, 1);
    *count = over ? hit.at : hit.at + hit.len;
    return FA_UNLIKELY(over) ? (over < 0 ? UNTIL_FAILED : UNTIL_TOO_FAR)
                             : UNTIL_FOUND;
}

/* -- readuntil ----------------------------------------------------------------------------------------- */

/* raise LimitOverrunError(message, consumed). */
static FA_COLD PySendResult
until_overrun(CoroObject *co, until_verdict verdict, Py_ssize_t consumed)
{
    PyObject *exc = PyObject_CallFunction(
        co->st->LimitOverrunError, "sn",
        verdict == UNTIL_TOO_LONG
            ? "Separator is not found, and chunk exceed the limit"
            : "Separator is found, but chunk is longer than limit",
        consumed);
    if (exc != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        Py_DECREF(exc);
    }
    return PYGEN_ERROR;
}

/* The loop of readuntil(). With `line` it is readline's in place: the end is no
   exception then, only to be caught again. HOT */
static inline PySendResult
until_run(CoroObject *co, int line, PyObject **result)
{
    ReaderObject *self = op_reader(co);
    PyObject *seps = co->vars[OP_ARG];
    Py_ssize_t count = 0;
    until_verdict verdict = until_look(self, seps, &co->number, &count);
    if (FA_LIKELY(verdict == UNTIL_FOUND)) {
        return op_return(co, count, result);
    }
    if (FA_UNLIKELY(verdict != UNTIL_MORE)) {
        return verdict == UNTIL_FAILED ? PYGEN_ERROR
                                       : until_overrun(co, verdict, count);
    }
    int eof = reader_truth(self->eof);
    if (eof == 0) {
        return op_wait(co, co->st->str_readuntil);
    }
    if (eof > 0 && line) {
        *result = bytebuf_take_all(co->st, &self->buffer);
        return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    }
    return eof < 0 ? PYGEN_ERROR : op_incomplete(co, Py_None);
}

#if FA_HAS_SEPARATOR_TUPLE

/* sorted(separator, key=len): a list in vars[OP_ARG]. 0 or -1. */
static int
until_sort(CoroObject *co)
{
    PyObject *list = PySequence_List(co->vars[OP_ARG]);
    if (list == NULL) {
        return -1;
    }
    Py_SETREF(co->vars[OP_ARG], list);
    Py_ssize_t before = -1;
    int sorted = 1;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        Py_ssize_t len = PyObject_Size(PyList_GET_ITEM(list, i));
        if (len < 0) {
            return -1;
        }
        sorted &= before <= len;
        before = len;
    }
    if (sorted) {
        return 0;
    }
    PyObject *method = PyObject_GetAttr(list, co->st->str_sort);
    PyObject *kwargs = method == NULL
                           ? NULL
                           : Py_BuildValue("{sO}", "key", co->st->builtin_len);
    PyObject *none = kwargs == NULL
                         ? NULL
                         : PyObject_VectorcallDict(method, NULL, 0, kwargs);
    Py_XDECREF(method);
    Py_XDECREF(kwargs);
    Py_XDECREF(none);
    return none == NULL ? -1 : 0;
}

#endif

/* What is in vars[OP_ARG] becomes a separator or a sorted list, with asyncio's
   complaints. 0 or -1. */
static int
until_prepare(CoroObject *co)
{
    PyObject *first = co->vars[OP_ARG];
#if FA_HAS_SEPARATOR_TUPLE
    if (FA_UNLIKELY(PyTuple_Check(first))) {
        if (until_sort(co) < 0) {
            return -1;
        }
        if (PyList_GET_SIZE(co->vars[OP_ARG]) == 0) {
            PyErr_SetString(PyExc_ValueError,
                            "Separator should contain at least one element");
            return -1;
        }
        first = PyList_GET_ITEM(co->vars[OP_ARG], 0);
    }
    else
#endif
    if (FA_UNLIKELY(PyList_CheckExact(first))) { // not to be taken for several
        PyObject *list = PyList_New(1);
        if (list == NULL) {
            return -1;
        }
        PyList_SET_ITEM(list, 0, first); // the reference of the variable
        co->vars[OP_ARG] = list;
    }
    Py_ssize_t len = PyObject_Size(first);
    if (FA_UNLIKELY(len == 0)) {
        PyErr_SetString(PyExc_ValueError,
                        "Separator should be at least one-byte string");
    }
    return len <= 0 ? -1 : 0;
}

static FA_HOT PySendResult
until_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    int rc = co->stage != BEGIN ? op_waited(co, value)
             : until_prepare(co) < 0 ? -1
                                     : op_check(co);
    return FA_UNLIKELY(rc < 0) ? PYGEN_ERROR : until_run(co, 0, result);
}

/* -- readline ------------------------------------------------------------------------------------------- */

/* del of the line that was too long, if it has an end, else of everything; by
   Python. 0 or -1. */
static FA_COLD int
line_skip_slow(ReaderObject *self, PyObject *consumed)
{
    PyObject *array = bytebuf_expose(&self->buffer);
    if (array == NULL) {
        return -1;
    }
    PyObject *starts = PyObject_CallMethod(array, "startswith", "y#O", "\n",
                                           (Py_ssize_t)1, consumed);
    Py_DECREF(array);
    int found = starts == NULL ? -1 : PyObject_IsTrue(starts);
    Py_XDECREF(starts);
    if (found <= 0) {
        return found < 0 ? -1 : bytebuf_drop_all(self->st, &self->buffer);
    }
    Py_ssize_t at = PyNumber_AsSsize_t(consumed, NULL);
    if (at == -1 && PyErr_Occurred()) {
        return -1;
    }
    return bytebuf_drop(&self->buffer, at + 1);
}

static int
line_skip(ReaderObject *self, PyObject *overrun)
{
    PyObject *consumed = PyObject_GetAttr(overrun, self->st->str_consumed);
    if (consumed == NULL) {
        return -1;
    }
    fa_bytebuf *buf = &self->buffer;
    int rc, overflow = 1;
    long long at = PyLong_CheckExact(consumed)
                       ? PyLong_AsLongLongAndOverflow(consumed, &overflow)
                       : 0;
    if (overflow != 0 || at < 0 || !bytebuf_settled(buf)) {
        rc = line_skip_slow(self, consumed);
    }
    else if (at < buf->end - buf->start && bytebuf_data(buf)[at] == '\n') {
        rc = bytebuf_drop(buf, (Py_ssize_t)at + 1);
    }
    else {
        rc = bytebuf_drop_all(self->st, buf);
    }
    Py_DECREF(consumed);
    return rc;
}

/* except LimitOverrunError as e: always PYGEN_ERROR. */
static FA_COLD PySendResult
line_too_long(CoroObject *co)
{
    ReaderObject *self = op_reader(co);
    PyObject *overrun = fa_err_take();
    if (line_skip(self, overrun) == 0 && reader_maybe_resume(self) == 0) {
        PyObject *args = PyObject_GetAttr(overrun, co->st->str_args);
        PyObject *text = args == NULL ? NULL : PySequence_GetItem(args, 0);
        if (text != NULL) {
            PyErr_SetObject(PyExc_ValueError, text);
        }
        Py_XDECREF(text);
        Py_XDECREF(args);
    }
    fa_err_chain(overrun);
    return PYGEN_ERROR;
}

/* What readuntil(b'\n') has raised. */
static FA_COLD PySendResult
line_failed(CoroObject *co, PyObject **result)
{
    if (PyErr_ExceptionMatches(co->st->LimitOverrunError)) {
        return line_too_long(co);
    }
    if (!PyErr_ExceptionMatches(co->st->IncompleteReadError)) {
        return PYGEN_ERROR;
    }
    PyObject *exc = fa_err_take();
    *result = PyObject_GetAttr(exc, co->st->str_partial);
    if (*result == NULL) {
        fa_err_chain(exc);
        return PYGEN_ERROR;
    }
    Py_DECREF(exc);
    return PYGEN_RETURN;
}

/* The first turn. A byte is one of the interpreter's own objects. */
static inline PySendResult
line_begin(CoroObject *co, PyObject **result)
{
    co->vars[OP_ARG] = PyBytes_FromStringAndSize("\n", 1);
    if (FA_UNLIKELY(co->vars[OP_ARG] == NULL)) {
        return PYGEN_ERROR;
    }
    if (op_is_plain(co)) {
        return op_check(co) < 0 ? PYGEN_ERROR : until_run(co, 1, result);
    }
    PyObject *aw = PyObject_CallMethodOneArg(
        co->vars[OP_READER], co->st->str_readuntil, co->vars[OP_ARG]);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, CALLED, aw);
}

static FA_HOT PySendResult
line_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    PySendResult status = PYGEN_ERROR;
    if (co->stage == BEGIN) {
        status = line_begin(co, result);
    }
    else if (co->stage != CALLED) {
        if (op_waited(co, value) == 0) {
            status = until_run(co, 1, result);
        }
    }
    else if (value != NULL) {
        return coro_return(co, value, result);
    }
    return FA_LIKELY(status != PYGEN_ERROR) ? status
                                            : line_failed(co, result);
}

/* -- async for --------------------------------------------------------------------------------------------- */

/* The line has been read; b'' is the end. */
static PySendResult
next_line(PyObject **result)
{
    PyObject *line = *result;
    int end = PyBytes_CheckExact(line) ? PyBytes_GET_SIZE(line) == 0 : -1;
    if (FA_UNLIKELY(end < 0)) {
        PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
        end = empty == NULL ? -1
                            : PyObject_RichCompareBool(line, empty, Py_EQ);
        Py_XDECREF(empty);
    }
    if (FA_LIKELY(end == 0)) {
        return PYGEN_RETURN;
    }
    Py_CLEAR(*result);
    if (end > 0) {
        PyErr_SetNone(PyExc_StopAsyncIteration);
    }
    return PYGEN_ERROR;
}

/* A plain reader's lines are read in place, by line_turn. */
static FA_HOT PySendResult
next_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    enum { LINE_CALLED = CALLED + 1 };
    PySendResult status;
    if (co->stage == BEGIN && !op_is_plain(co)) {
        PyObject *aw = PyObject_CallMethodNoArgs(co->vars[OP_READER],
                                                 co->st->str_readline);
        return aw == NULL ? PYGEN_ERROR : coro_await(co, LINE_CALLED, aw);
    }
    if (co->stage == LINE_CALLED) {
        status = value == NULL ? PYGEN_ERROR : coro_return(co, value, result);
    }
    else {
        status = line_turn(co, value, result);
    }
    return status == PYGEN_RETURN ? next_line(result) : status;
}

/* -- tables ------------------------------------------------------------------------------------------------- */

static const fa_coro_kind read_kind = {"StreamReader.read", read_turn};
static const fa_coro_kind line_kind = {"StreamReader.readline", line_turn};
static const fa_coro_kind until_kind = {"StreamReader.readuntil", until_turn};
static const fa_coro_kind exactly_kind = {"StreamReader.readexactly",
                                          exactly_turn};
static const fa_coro_kind next_kind = {"StreamReader.__anext__", next_turn};
static const fa_coro_kind wait_kind = {"StreamReader._wait_for_data",
                                       wait_turn};

/* The reader's coroutine with one argument, `parameter`; what it is without
   one is `fallback` (borrowed; NULL: it must be given). */
static inline PyObject *
op_make(fa_state *st, const fa_coro_kind *kind, const char *parameter,
        PyObject *fallback, PyObject *self, PyObject *const *args,
        Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        return (PyObject *)coro_new(st, kind, self, args[0]);
    }
    const fa_args spec = {
        .fname = kind->qualname, .required = fallback == NULL,
        .positional = 1, .python = 1, .total = 1, .names = {parameter},
    };
    PyObject *out;
    if (fa_args_parse(&spec, args, nargs, kwnames, &out) < 0) {
        return NULL;
    }
    return (PyObject *)coro_new(st, kind, self, out == NULL ? fallback : out);
}

static PyObject *
read_make(fa_state *st, PyObject *self, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *all = PyLong_FromLong(-1); // a small int: costs nothing
    PyObject *co = all == NULL ? NULL
                               : op_make(st, &read_kind, "n", all, self, args,
                                         nargs, kwnames);
    Py_XDECREF(all);
    return co;
}

static PyObject *
exactly_make(fa_state *st, PyObject *self, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames)
{
    return op_make(st, &exactly_kind, "n", NULL, self, args, nargs, kwnames);
}

static PyObject *
until_make(fa_state *st, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *newline = PyBytes_FromStringAndSize("\n", 1);
    PyObject *co = newline == NULL
                       ? NULL
                       : op_make(st, &until_kind, "separator", newline, self,
                                 args, nargs, kwnames);
    Py_XDECREF(newline);
    return co;
}

static PyObject *
wait_make(fa_state *st, PyObject *self, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames)
{
    return op_make(st, &wait_kind, "func_name", NULL, self, args, nargs,
                   kwnames);
}

static const fa_coro_def read_defs[] = {
    {"read", "StreamReader.read", NULL, read_make,
     "read($self, n=-1)\n--\n\n"
     "Read up to `n` bytes, as soon as there are any; b'' at the end.\n"
     "-1: everything up to the end. See asyncio.StreamReader.read."},
    {"readline", "StreamReader.readline", &line_kind, NULL,
     "readline($self)\n--\n\n"
     "Read up to and including the next newline; at the end of the stream what\n"
     "there is. ValueError if the line is longer than the limit: it is gone then.\n"
     "See asyncio.StreamReader.readline."},
    {"readuntil", "StreamReader.readuntil", NULL, until_make,
     "readuntil($self, separator=b'\\n')\n--\n\n"
     "Read up to and including `separator` (Python 3.13 and later: or the first\n"
     "of a tuple of them). IncompleteReadError at the end of the stream,\n"
     "LimitOverrunError if there are more bytes than the limit before it, which\n"
     "then stay in the buffer. See asyncio.StreamReader.readuntil."},
    {"readexactly", "StreamReader.readexactly", NULL, exactly_make,
     "readexactly($self, n)\n--\n\n"
     "Read exactly `n` bytes; IncompleteReadError if the stream ends before.\n"
     "See asyncio.StreamReader.readexactly."},
    {"_wait_for_data", "StreamReader._wait_for_data", NULL, wait_make,
     "_wait_for_data($self, func_name)\n--\n\n"
     "Wait until feed_data() or feed_eof() is called."},
    {"__anext__", "StreamReader.__anext__", &next_kind, NULL,
     "__anext__($self)\n--\n\n"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyObject *
Reader_anext(PyObject *self)
{
    return (PyObject *)coro_new(((ReaderObject *)self)->st, &next_kind, self,
                                NULL);
}

int
read_ops_init(fa_state *st)
{
    if (coro_methods_add(st, st->StreamReaderCoreType, read_defs) < 0) {
        return -1;
    }
    // `async for` calls the slot, which would look the function up each time
    st->StreamReaderCoreType->tp_as_async->am_anext = Reader_anext;
    st->StreamReaderType->tp_as_async->am_anext = Reader_anext;
    return 0;
}
