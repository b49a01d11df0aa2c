/* stream/read_until.c: readuntil, readline and `async for` of StreamReader.

   The search for a separator is memchr or memmem, and goes on after a wait where
   it ended (co->number), less what may be the beginning of a separator. What
   asyncio's readline makes of readuntil's exceptions is done with the very
   exceptions, except at the end of the stream, where a plain reader makes none.
   HOT. Benchmarks: stream_line. */
#include "stream/ops.h"

#include "base/errors.h"

#include <string.h>

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

/* -- tables -------------------------------------------------------------------- */

static const fa_coro_kind until_kind = {"StreamReader.readuntil", until_turn};
static const fa_coro_kind line_kind = {"StreamReader.readline", line_turn};
static const fa_coro_kind next_kind = {"StreamReader.__anext__", next_turn};

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

static const fa_coro_def until_defs[] = {
    {"readuntil", "StreamReader.readuntil", NULL, until_make,
     "readuntil($self, separator=b'\\n')\n--\n\n"
     "Read up to and including `separator` (Python 3.13 and later: or the first\n"
     "of a tuple of them). IncompleteReadError at the end of the stream,\n"
     "LimitOverrunError if there are more bytes than the limit before it, which\n"
     "then stay in the buffer. See asyncio.StreamReader.readuntil."},
    {"readline", "StreamReader.readline", &line_kind, NULL,
     "readline($self)\n--\n\n"
     "Read up to and including the next newline; at the end of the stream what\n"
     "there is. ValueError if the line is longer than the limit: it is gone then.\n"
     "See asyncio.StreamReader.readline."},
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
read_until_init(fa_state *st)
{
    if (coro_methods_add(st, st->StreamReaderCoreType, until_defs) < 0) {
        return -1;
    }
    // `async for` calls the slot, which would look the function up each time
    st->StreamReaderCoreType->tp_as_async->am_anext = Reader_anext;
    st->StreamReaderType->tp_as_async->am_anext = Reader_anext;
    return 0;
}
