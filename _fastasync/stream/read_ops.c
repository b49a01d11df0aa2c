/* stream/read_ops.c: read, readexactly and _wait_for_data of StreamReader.

   Each operation looks at the buffer, takes what it came for, and otherwise
   waits until more has come and looks again. With the data there it ends in its
   first turn and makes nothing but the bytes it returns. asyncio's code awaits
   self._wait_for_data(), read(-1) awaits self.read(), and so on: for a plain
   reader these are done in place, for any other the methods are called and
   awaited. HOT. Benchmarks: stream_pingpong. */
#include "stream/ops.h"

#include "base/args.h"
#include "base/errors.h"

/* -- waiting ------------------------------------------------------------------------ */

static FA_COLD PyObject *
wait_refused(PyObject *exc, const char *format, PyObject *name)
{
    PyErr_Format(exc, format, name);
    return NULL;
}

/* _wait_for_data(name) up to its await: what to await (new). */
static PyObject *
reader_wait_begin(ReaderObject *self, PyObject *name)
{
    if (reader_check(self, FA_READER_WAITER) < 0 ||
        reader_check(self, FA_READER_EOF | FA_READER_PAUSED) < 0 ||
        reader_check(self, FA_READER_LOOP) < 0)
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
    PyObject *waiter = reader_wait_begin(op_reader(co), name);
    if (waiter == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult status = coro_await(co, WAITED_IN, waiter);
    if (FA_UNLIKELY(status == PYGEN_ERROR)) {
        reader_forget_waiter(op_reader(co));
    }
    return status;
}

PySendResult
op_wait(CoroObject *co, PyObject *name)
{
    if (op_is_plain(co)) {
        return wait_here(co, name);
    }
    PyObject *aw = PyObject_CallMethodOneArg(
        co->vars[OP_READER], co->st->str__wait_for_data, name);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, WAITED, aw);
}

int
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

int
op_check(CoroObject *co)
{
    ReaderObject *self = op_reader(co);
    if (FA_UNLIKELY(self->missing != 0) &&
        (reader_check(self, FA_READER_EXCEPTION) < 0 ||
         reader_check(self, FA_READER_BUFFER | FA_READER_EOF |
                                FA_READER_LIMIT) < 0))
    {
        return -1;
    }
    PyObject *exc = self->exception;
    if (FA_LIKELY(exc == Py_None)) {
        return 0;
    }
    Py_INCREF(exc);
    fa_err_raise(exc);
    Py_DECREF(exc);
    return -1;
}

/* n as a size: *out, saturated; below zero for any negative number. A number
   that is no integer (a float) is infinite here: it has yet to fail, where
   asyncio cuts the buffer with it. 0 or -1. */
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
    *out = PY_SSIZE_T_MAX;
    if (PyIndex_Check(n)) {
        *out = PyNumber_AsSsize_t(n, NULL);
    }
    return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

/* That failure: buffer[:n]. */
static FA_COLD PySendResult
op_no_size(PyObject *n)
{
#if FA_HAS_TAKE_BYTES
    PyErr_Format(PyExc_TypeError,
                 "'%.200s' object cannot be interpreted as an integer",
                 Py_TYPE(n)->tp_name);
#else
    (void)n;
    PyErr_SetString(PyExc_TypeError, "slice indices must be integers or None "
                                     "or have an __index__ method");
#endif
    return PYGEN_ERROR;
}

/* min(len, n) of a number that is no integer: is it len? 1, 0 or -1. */
static FA_COLD int
op_takes_all(PyObject *n, Py_ssize_t len)
{
#if FA_HAS_TAKE_BYTES
    PyObject *number = PyLong_FromSsize_t(len);
    int less = number == NULL ? -1
                              : PyObject_RichCompareBool(n, number, Py_LT);
    Py_XDECREF(number);
    return less < 0 ? -1 : !less;
#else
    (void)n;
    (void)len;
    return 0;
#endif
}

PySendResult
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

PySendResult
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

PyObject *
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

/* -- _wait_for_data ----------------------------------------------------------------------- */

static PySendResult
reader_wait_turn(CoroObject *co, PyObject *value, PyObject **result)
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
    PyObject *n = co->vars[OP_ARG];
    if (FA_UNLIKELY(co->number == PY_SSIZE_T_MAX && !PyIndex_Check(n))) {
        int all = op_takes_all(n, len);
        if (all <= 0) {
            return all < 0 ? PYGEN_ERROR : op_no_size(n);
        }
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
    if (FA_UNLIKELY(!PyIndex_Check(co->vars[OP_ARG]))) {
        return op_no_size(co->vars[OP_ARG]);
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

/* -- tables -------------------------------------------------------------------- */

static const fa_coro_kind read_kind = {"StreamReader.read", read_turn};
static const fa_coro_kind exactly_kind = {"StreamReader.readexactly",
                                          exactly_turn};
static const fa_coro_kind reader_wait_kind = {"StreamReader._wait_for_data",
                                       reader_wait_turn};

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
reader_wait_make(fa_state *st, PyObject *self, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames)
{
    return op_make(st, &reader_wait_kind, "func_name", NULL, self, args, nargs,
                   kwnames);
}

static const fa_coro_def read_defs[] = {
    {"read", "StreamReader.read", NULL, read_make,
     "read($self, n=-1)\n--\n\n"
     "Read up to `n` bytes, as soon as there are any; b'' at the end.\n"
     "-1: everything up to the end. See asyncio.StreamReader.read."},
    {"readexactly", "StreamReader.readexactly", NULL, exactly_make,
     "readexactly($self, n)\n--\n\n"
     "Read exactly `n` bytes; IncompleteReadError if the stream ends before.\n"
     "See asyncio.StreamReader.readexactly."},
    {"_wait_for_data", "StreamReader._wait_for_data", NULL, reader_wait_make,
     "_wait_for_data($self, func_name)\n--\n\n"
     "Wait until feed_data() or feed_eof() is called."},
    {NULL, NULL, NULL, NULL, NULL},
};

int
read_ops_init(fa_state *st)
{
    return coro_methods_add(st, st->StreamReaderCoreType, read_defs);
}
