/* stream/private.h: what the files of this room share. Nobody else includes it.

   How bytes reach a reader. Whoever has received some (a transport that reads
   for a StreamReaderProtocol of ours, or that protocol's data_received) first
   asks reader_is_plain: an exact StreamReader without instance attributes. Then
   the functions below do what the methods would; for any other object the
   methods feed_data, feed_eof, set_exception, set_transport are called. */
#ifndef FA_STREAM_PRIVATE_H
#define FA_STREAM_PRIVATE_H

#include "base/bytebuf.h"
#include "base/classes.h"
#include "stream/stream.h"

/* An attribute that `del` has removed, or of an object that __init__ never
   reached: bits of reader->missing. Its field then holds None, so that C never
   meets a NULL. */
enum {
    FA_READER_LIMIT = 1 << 0,
    FA_READER_LOOP = 1 << 1,
    FA_READER_BUFFER = 1 << 2,
    FA_READER_EOF = 1 << 3,
    FA_READER_WAITER = 1 << 4,
    FA_READER_EXCEPTION = 1 << 5,
    FA_READER_TRANSPORT = 1 << 6,
    FA_READER_PAUSED = 1 << 7,
};

typedef struct {
    FA_CLASS_HEAD
    PyObject *limit;     /* strong; these eight are asyncio's attributes of */
    PyObject *loop;      /* the same name with an underscore, as set, never */
    PyObject *eof;       /* NULL */
    PyObject *waiter;
    PyObject *exception;
    PyObject *transport;
    PyObject *paused;
    fa_bytebuf buffer;
    Py_ssize_t max;      /* limit as a number, saturated; -1 = it is something
                            else than an exact int of at least 0 */
    PyObject *source_tb; /* strong or NULL: debug mode, where it was made */
    uint8_t missing;     /* FA_READER_* */
} ReaderObject;

/* -- reader.c ------------------------------------------------------------------ */

/* HOT. Exactly a StreamReader of ours, initialised, nothing overridden: the
   calls below may be made on it. It may change at any Python call. */
static inline int
reader_is_plain(fa_state *st, PyObject *obj)
{
    return Py_IS_TYPE(obj, st->StreamReaderType) &&
           ((ReaderObject *)obj)->dict == NULL &&
           ((ReaderObject *)obj)->missing == 0;
}

/* StreamReader(limit=limit, loop=loop): both borrowed, neither NULL (pass the
   running loop). NULL with ValueError if the limit is not positive. */
FA_INTERNAL PyObject *reader_new(fa_state *st, PyObject *limit,
                                 PyObject *loop);

/* feed_data() of n bytes, which are copied (once, into a bytes object that a
   read() of all of it will return). Wakes whoever waits; pauses the transport
   when more than twice the limit is held. n may be 0. 0, or -1: AssertionError
   after feed_eof, or what pause_reading() or a foreign future raised. HOT */
FA_INTERNAL int reader_feed(ReaderObject *self, const char *data,
                            Py_ssize_t n);

/* The same for an object; exact bytes are kept and not copied. HOT */
FA_INTERNAL int reader_feed_object(ReaderObject *self, PyObject *data);

/* For recv straight into the reader's buffer; worth it for large reads (some
   16 KiB and more: a transport whose read_class is above 0), small ones go
   through scratch and reader_feed. Room at *space; the answer is how many
   bytes: about `want`, at least an eighth of it, perhaps far more. Nothing else may be done with the reader before
   reader_fed(n), which says how many bytes have come (also 0 or after an
   error: n <= 0) and does what feed_data does afterwards. 0: the buffer is a
   bytearray that Python holds, or the end has come (use reader_feed); -1 with
   MemoryError. reader_fed: 0 or -1. */
FA_INTERNAL Py_ssize_t reader_room(ReaderObject *self, Py_ssize_t want,
                                   char **space);
FA_INTERNAL int reader_fed(ReaderObject *self, Py_ssize_t n);

/* feed_eof(), set_exception(exc), set_transport(transport). 0 or -1
   (set_transport: AssertionError 'Transport already set'). */
FA_INTERNAL int reader_feed_eof(ReaderObject *self);
FA_INTERNAL int reader_set_exception(ReaderObject *self, PyObject *exc);
FA_INTERNAL int reader_set_transport(ReaderObject *self, PyObject *transport);

/* exception(): borrowed, None or an exception. */
static inline PyObject *
reader_exception(ReaderObject *self)
{
    return self->exception;
}

/* at_eof(): 1, 0 or -1. */
FA_INTERNAL int reader_at_eof(ReaderObject *self);

/* -- for the files of the reader ---------------------------------------------- */

/* 0, or -1 with AttributeError if one of those attributes is missing. */
FA_INTERNAL int reader_check(ReaderObject *self, unsigned which);

/* self.<attr> = value; takes over the reference. */
static inline void
reader_set(ReaderObject *self, PyObject **field, unsigned bit, PyObject *value)
{
    PyObject *old = *field;
    *field = value;
    self->missing &= (uint8_t)~bit;
    Py_DECREF(old);
}

/* bool(value) of an attribute: 1, 0 or -1. HOT */
static inline int
reader_truth(PyObject *value)
{
    if (FA_LIKELY(value == Py_False || value == Py_None)) {
        return 0;
    }
    if (FA_LIKELY(value == Py_True)) {
        return 1;
    }
    Py_INCREF(value);
    int truth = PyObject_IsTrue(value);
    Py_DECREF(value);
    return truth;
}

/* count > factor * self._limit: 1, 0 or -1. */
FA_INTERNAL int reader_exceeds(ReaderObject *self, Py_ssize_t count,
                               int factor);

/* self._maybe_resume_transport(), as a method if somebody may have replaced
   it. 0 or -1. HOT */
FA_INTERNAL int reader_maybe_resume(ReaderObject *self);

/* Paused or not, resume: what stands in _wait_for_data. 0 or -1. */
FA_INTERNAL int reader_resume(ReaderObject *self);

/* self._waiter = None */
FA_INTERNAL void reader_forget_waiter(ReaderObject *self);

/* _wakeup_waiter() and _maybe_resume_transport() themselves. 0 or -1. HOT */
FA_INTERNAL int reader_wakeup(ReaderObject *self);
FA_INTERNAL int reader_maybe_resume_plain(ReaderObject *self);

FA_INTERNAL int reader_type_init(PyObject *module, fa_state *st);

/* The coroutines: read, readexactly, _wait_for_data; readuntil, readline,
   __anext__. */
FA_INTERNAL int read_ops_init(fa_state *st);
FA_INTERNAL int read_until_init(fa_state *st);

#endif
