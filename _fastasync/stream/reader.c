/* stream/reader.c: what a StreamReader does: who waits, what is held, whether the
   transport goes on.

   A reader is fed from below (feed_data, feed_eof, set_exception) and read from
   above by one coroutine at a time (read_ops.c), which waits on `waiter`, a
   future of the reader's loop. It pauses the transport while it holds more than
   twice its limit. What asyncio's code calls by method (`_wakeup_waiter`,
   `_maybe_resume_transport`) is called by method here too unless the reader is
   plain. Any transport will do, and any loop. HOT: reader_feed*,
   reader_received, reader_wakeup. Benchmarks: stream_line, stream_pingpong. */
#include "stream/private.h"

#include "task/coro.h"

/* -- who waits -------------------------------------------------------------- */

/* self._waiter, and self._waiter = None; NULL if it was None (new). */
static inline PyObject *
reader_take_waiter(ReaderObject *self)
{
    PyObject *waiter = self->waiter;
    if (waiter == Py_None) {
        return NULL;
    }
    self->waiter = Py_NewRef(Py_None);
    return waiter;
}

void
reader_forget_waiter(ReaderObject *self)
{
    Py_XDECREF(reader_take_waiter(self));
    self->missing &= (uint8_t)~FA_READER_WAITER;
}

int
reader_wakeup(ReaderObject *self)
{
    PyObject *waiter = reader_take_waiter(self);
    if (waiter == NULL) {
        return reader_check(self, FA_READER_WAITER);
    }
    fa_state *st = self->st;
    int rc = fa_future_cancelled(st, waiter);
    if (FA_LIKELY(rc == 0)) {
        rc = fa_future_set_result(st, waiter, Py_None);
    }
    Py_DECREF(waiter);
    return rc < 0 ? -1 : 0;
}

/* A method of ours without arguments, as somebody may have replaced it. */
static FA_COLD int
reader_call(ReaderObject *self, PyObject *name)
{
    PyObject *answer = PyObject_CallMethodNoArgs((PyObject *)self, name);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

static inline int
reader_wakeup_any(ReaderObject *self)
{
    return FA_LIKELY(reader_is_plain(self->st, (PyObject *)self))
               ? reader_wakeup(self)
               : reader_call(self, self->st->str__wakeup_waiter);
}

int
reader_set_exception(ReaderObject *self, PyObject *exc)
{
    reader_set(self, &self->exception, FA_READER_EXCEPTION, Py_NewRef(exc));
    PyObject *waiter = reader_take_waiter(self);
    if (waiter == NULL) {
        return reader_check(self, FA_READER_WAITER);
    }
    int rc = fa_future_cancelled(self->st, waiter);
    if (rc == 0) {
        rc = fa_future_set_exception(self->st, waiter, exc);
    }
    Py_DECREF(waiter);
    return rc < 0 ? -1 : 0;
}

int
reader_feed_eof(ReaderObject *self)
{
    reader_set(self, &self->eof, FA_READER_EOF, Py_NewRef(Py_True));
    return reader_wakeup_any(self);
}

int
reader_at_eof(ReaderObject *self)
{
    int eof = reader_truth(self->eof);
    if (eof <= 0) {
        return eof;
    }
    Py_ssize_t len = bytebuf_len(&self->buffer);
    return len < 0 ? -1 : len == 0;
}

/* -- the transport ------------------------------------------------------------ */

int
reader_set_transport(ReaderObject *self, PyObject *transport)
{
    if (reader_check(self, FA_READER_TRANSPORT) < 0) {
        return -1;
    }
    if (self->transport != Py_None) {
        PyErr_SetString(PyExc_AssertionError, "Transport already set");
        return -1;
    }
    reader_set(self, &self->transport, FA_READER_TRANSPORT,
               Py_NewRef(transport));
    return 0;
}

/* For a limit that is no plain number. */
static FA_COLD int
reader_exceeds_slow(ReaderObject *self, Py_ssize_t count, int factor)
{
    PyObject *limit = Py_NewRef(self->limit);
    PyObject *times = PyLong_FromLong(factor);
    PyObject *number = PyLong_FromSsize_t(count);
    int rc = -1;
    if (times != NULL && number != NULL) {
        PyObject *bound = factor == 1 ? Py_NewRef(limit)
                                      : PyNumber_Multiply(times, limit);
        if (bound != NULL) {
            rc = PyObject_RichCompareBool(number, bound, Py_GT);
            Py_DECREF(bound);
        }
    }
    Py_XDECREF(number);
    Py_XDECREF(times);
    Py_DECREF(limit);
    return rc;
}

int
reader_exceeds(ReaderObject *self, Py_ssize_t count, int factor)
{
    if (FA_LIKELY(self->max >= 0)) {
        return count > factor * self->max;
    }
    return reader_check(self, FA_READER_LIMIT) < 0
               ? -1
               : reader_exceeds_slow(self, count, factor);
}

/* self._paused = False; self._transport.resume_reading() */
static int
reader_resume_now(ReaderObject *self)
{
    reader_set(self, &self->paused, FA_READER_PAUSED, Py_NewRef(Py_False));
    if (reader_check(self, FA_READER_TRANSPORT) < 0) {
        return -1;
    }
    PyObject *transport = Py_NewRef(self->transport);
    PyObject *answer = PyObject_CallMethodNoArgs(transport,
                                                 self->st->str_resume_reading);
    Py_DECREF(transport);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

int
reader_resume(ReaderObject *self)
{
    int paused = reader_truth(self->paused);
    return FA_LIKELY(paused <= 0) ? paused : reader_resume_now(self);
}

int
reader_maybe_resume_plain(ReaderObject *self)
{
    int paused = reader_truth(self->paused);
    if (FA_LIKELY(paused <= 0)) {
        return paused;
    }
    Py_ssize_t len = bytebuf_len(&self->buffer);
    int full = len < 0 ? -1 : reader_exceeds(self, len, 1);
    return full != 0 ? (full < 0 ? -1 : 0) : reader_resume_now(self);
}

int
reader_maybe_resume(ReaderObject *self)
{
    return FA_LIKELY(reader_is_plain(self->st, (PyObject *)self))
               ? reader_maybe_resume_plain(self)
               : reader_call(self, self->st->str__maybe_resume_transport);
}

/* self._transport.pause_reading(), if it can. */
static int
reader_pause(ReaderObject *self)
{
    PyObject *transport = Py_NewRef(self->transport);
    PyObject *answer = PyObject_CallMethodNoArgs(transport,
                                                 self->st->str_pause_reading);
    Py_DECREF(transport);
    if (answer != NULL) {
        Py_DECREF(answer);
        reader_set(self, &self->paused, FA_READER_PAUSED, Py_NewRef(Py_True));
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_NotImplementedError)) {
        return -1;
    }
    PyErr_Clear(); // all has to be buffered; do not try again
    reader_set(self, &self->transport, FA_READER_TRANSPORT,
               Py_NewRef(Py_None));
    return 0;
}

/* -- feeding ---------------------------------------------------------------------- */

/* May it be fed? 0 or -1. */
static inline int
reader_may_feed(ReaderObject *self)
{
    if (FA_UNLIKELY(reader_check(self, FA_READER_EOF) < 0 ||
                    reader_check(self, FA_READER_BUFFER) < 0))
    {
        return -1;
    }
    int eof = reader_truth(self->eof);
    if (FA_UNLIKELY(eof > 0)) {
        PyErr_SetString(PyExc_AssertionError, "feed_data after feed_eof");
    }
    return eof == 0 ? 0 : -1;
}

/* Something is in the buffer: wake who waits, pause who sends too much. HOT */
static int
reader_received(ReaderObject *self)
{
    if (FA_UNLIKELY(reader_wakeup_any(self) < 0 ||
                    reader_check(self, FA_READER_TRANSPORT |
                                           FA_READER_PAUSED) < 0))
    {
        return -1;
    }
    if (self->transport == Py_None) {
        return 0;
    }
    int paused = reader_truth(self->paused);
    if (paused != 0) {
        return paused < 0 ? -1 : 0;
    }
    Py_ssize_t len = bytebuf_len(&self->buffer);
    int full = len < 0 ? -1 : reader_exceeds(self, len, 2);
    return FA_LIKELY(full <= 0) ? full : reader_pause(self);
}

FA_HOT int
reader_feed(ReaderObject *self, const char *data, Py_ssize_t n)
{
    if (FA_UNLIKELY(reader_may_feed(self) < 0)) {
        return -1;
    }
    if (n == 0) {
        return 0;
    }
    return bytebuf_append(self->st, &self->buffer, data, n) < 0
               ? -1
               : reader_received(self);
}

FA_HOT int
reader_feed_object(ReaderObject *self, PyObject *data)
{
    if (FA_UNLIKELY(reader_may_feed(self) < 0)) {
        return -1;
    }
    int some = PyBytes_CheckExact(data) ? PyBytes_GET_SIZE(data) > 0
                                        : PyObject_IsTrue(data);
    if (some <= 0) {
        return some;
    }
    return bytebuf_extend(self->st, &self->buffer, data) < 0
               ? -1
               : reader_received(self);
}

Py_ssize_t
reader_room(ReaderObject *self, Py_ssize_t want, char **space)
{
    if (FA_UNLIKELY(self->eof != Py_False)) {
        return 0;
    }
    return bytebuf_room(&self->buffer, want, space);
}

int
reader_fed(ReaderObject *self, Py_ssize_t n)
{
    bytebuf_filled(&self->buffer, n);
    return n <= 0 ? 0 : reader_received(self);
}
