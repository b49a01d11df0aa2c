/* base/bytebuf.h: a queue of bytes that becomes a bytearray when Python asks
   for it.

   asyncio's StreamReader keeps what it has received in a bytearray, and
   libraries look at it (`len(reader._buffer)`) and change it (`.clear()`,
   `+=`). C works on a bytes object of its own until somebody asks for the
   attribute: from then on the bytearray holds the data and C works on that,
   through Python's operations, so that both always see the same. Once nobody
   else holds the bytearray any more and little is in it, C goes back.

   The data are store[start:end]. The store is either a bytes object that was
   given to us (adopted: no copy is made, nothing is ever written to it) or one
   of our own, which has room at its end and which nobody else has seen. What
   is taken leaves from the front by moving `start`; taking all of an adopted
   object, or most of a large one of ours, hands the object itself over.

   Invariants: while `array` is set the store is NULL; an empty buffer has no
   store, except between bytebuf_room and bytebuf_filled. Zeroed memory is an
   empty buffer. Cost: appending and taking are amortized O(n) in the bytes
   moved, whatever the sizes of the pieces. Functions run Python code only while
   `array` is set. HOT. Benchmarks: stream_line, stream_pingpong. */
#ifndef FA_BASE_BYTEBUF_H
#define FA_BASE_BYTEBUF_H

#include "base/state.h"

typedef struct {
    PyObject *store; /* strong or NULL: exact bytes */
    Py_ssize_t start, end;
    PyObject *array; /* strong or NULL: what Python has seen or set */
    uint8_t own;     /* the store was made here: it may be written to */
} fa_bytebuf;

/* -- at work ------------------------------------------------------------------ */

FA_INTERNAL int bytebuf_settle_slow(fa_bytebuf *buf);
FA_INTERNAL Py_ssize_t bytebuf_len_slow(fa_bytebuf *buf);

/* Are the data in C's hands? Then bytebuf_data() is where they are, until the
   next call. Never fails (out of memory: stays a bytearray). */
static inline int
bytebuf_settled(fa_bytebuf *buf)
{
    return FA_LIKELY(buf->array == NULL) || bytebuf_settle_slow(buf);
}

static inline const char *
bytebuf_data(const fa_bytebuf *buf)
{
    return buf->store == NULL ? ""
                              : PyBytes_AS_STRING(buf->store) + buf->start;
}

/* How many bytes; -1 on error (only if something odd is in the bytearray's
   place). */
static inline Py_ssize_t
bytebuf_len(fa_bytebuf *buf)
{
    return FA_LIKELY(buf->array == NULL) ? buf->end - buf->start
                                         : bytebuf_len_slow(buf);
}

/* Append n bytes. 0 or -1. */
FA_INTERNAL int bytebuf_append(fa_state *st, fa_bytebuf *buf, const char *data,
                               Py_ssize_t n);

/* extend(data): an exact bytes object is adopted if the buffer is empty;
   anything else that bytearray.extend takes goes too. 0 or -1. */
FA_INTERNAL int bytebuf_extend(fa_state *st, fa_bytebuf *buf, PyObject *data);

/* Room at the end for about `want` bytes (an eighth of it or more, so that the
   data are not moved for each recv): *space is writable until the next call;
   say with bytebuf_filled how many of them were written (0 is fine). How many
   there is room for; 0 if the buffer is a bytearray now, -1 with
   MemoryError. */
FA_INTERNAL Py_ssize_t bytebuf_room(fa_bytebuf *buf, Py_ssize_t want,
                                    char **space);
FA_INTERNAL void bytebuf_filled(fa_bytebuf *buf, Py_ssize_t n);

/* Take the first n bytes (there are that many) away as an exact bytes object
   (new). On error (NULL) nothing is taken. HOT */
FA_INTERNAL PyObject *bytebuf_take(fa_state *st, fa_bytebuf *buf,
                                   Py_ssize_t n);

/* Take all (new). */
FA_INTERNAL PyObject *bytebuf_take_all(fa_state *st, fa_bytebuf *buf);

/* del buffer[:n]; buffer.clear(). 0 or -1. */
FA_INTERNAL int bytebuf_drop(fa_bytebuf *buf, Py_ssize_t n);
FA_INTERNAL int bytebuf_drop_all(fa_state *st, fa_bytebuf *buf);

/* -- shown to Python --------------------------------------------------------------- */

/* The bytearray that holds the data from now on (new reference). */
FA_INTERNAL PyObject *bytebuf_expose(fa_bytebuf *buf);

/* The attribute was set (any object; NULL = back to an empty buffer). */
FA_INTERNAL void bytebuf_replace(fa_bytebuf *buf, PyObject *array);

/* -- for tp_traverse, tp_clear ------------------------------------------------------ */

FA_INTERNAL int bytebuf_traverse(fa_bytebuf *buf, visitproc visit, void *arg);
FA_INTERNAL void bytebuf_clear(fa_bytebuf *buf);

#endif
