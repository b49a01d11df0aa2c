/* base/fifo.h: a queue of Python objects that becomes a collections.deque when
   Python asks for it.

   asyncio's locks and queues keep their waiters and items in deques, and
   libraries look at them (`len(event._waiters)`, `for item in queue._queue`)
   and change them. A deque costs a call through Python's API for every push and
   pop; a ring of pointers costs three instructions. So C works on a ring until
   somebody asks for the attribute: from then on the deque holds the objects and
   C works on that, so that both always see the same.

   Invariant: while `deque` is set, the ring is empty. Zeroed memory is an empty
   fifo. Functions that touch a deque may run Python code only in so far as
   dropping an object does. HOT. Benchmarks: queue_put_get, lock_contended. */
#ifndef FA_BASE_FIFO_H
#define FA_BASE_FIFO_H

#include "base/state.h"

typedef struct {
    PyObject **items;   /* owned array of strong references, a ring */
    uint32_t head, len; /* the first one, how many */
    uint32_t capacity;  /* a power of two, or 0 */
    PyObject *deque;    /* strong or NULL */
} fa_fifo;

/* -- at work ------------------------------------------------------------------ */

FA_INTERNAL int fifo_grow(fa_fifo *fifo);
FA_INTERNAL int fifo_push_slow(fa_state *st, fa_fifo *fifo, PyObject *obj);
FA_INTERNAL PyObject *fifo_pop_slow(fa_state *st, fa_fifo *fifo);
FA_INTERNAL Py_ssize_t fifo_len_slow(fa_fifo *fifo);
FA_INTERNAL PyObject *fifo_at_slow(fa_fifo *fifo, Py_ssize_t i);

/* How many; -1 on error (only if somebody has put something odd in the
   deque's place). */
static inline Py_ssize_t
fifo_len(fa_fifo *fifo)
{
    return FA_LIKELY(fifo->deque == NULL) ? (Py_ssize_t)fifo->len
                                          : fifo_len_slow(fifo);
}

/* Append a new reference of obj. 0 or -1. */
static inline int
fifo_push(fa_state *st, fa_fifo *fifo, PyObject *obj)
{
    if (FA_UNLIKELY(fifo->deque != NULL)) {
        return fifo_push_slow(st, fifo, obj);
    }
    if (FA_UNLIKELY(fifo->len == fifo->capacity) && fifo_grow(fifo) < 0) {
        return -1;
    }
    uint32_t at = (fifo->head + fifo->len++) & (fifo->capacity - 1);
    fifo->items[at] = Py_NewRef(obj);
    return 0;
}

/* popleft(): a new reference; NULL with IndexError if it is empty (ask
   fifo_len first). */
static inline PyObject *
fifo_pop(fa_state *st, fa_fifo *fifo)
{
    if (FA_UNLIKELY(fifo->deque != NULL || fifo->len == 0)) {
        return fifo_pop_slow(st, fifo);
    }
    PyObject *obj = fifo->items[fifo->head];
    fifo->head = (fifo->head + 1) & (fifo->capacity - 1);
    fifo->len--;
    return obj;
}

/* The i-th one (new reference), NULL with IndexError if there is none. To go
   over all: for (i = 0; i < fifo_len(f); i++), the length asked anew each time,
   because what is done to an element may change the queue. */
static inline PyObject *
fifo_at(fa_fifo *fifo, Py_ssize_t i)
{
    if (FA_UNLIKELY(fifo->deque != NULL || i >= (Py_ssize_t)fifo->len)) {
        return fifo_at_slow(fifo, i);
    }
    return Py_NewRef(fifo->items[(fifo->head + (uint32_t)i) &
                                 (fifo->capacity - 1)]);
}

/* remove(obj), by identity (by equality in a deque): 1 if it was there, 0 if
   not, -1 on error. */
FA_INTERNAL int fifo_remove(fa_state *st, fa_fifo *fifo, PyObject *obj);

/* pop(): the last one (new), NULL with IndexError. */
FA_INTERNAL PyObject *fifo_pop_last(fa_state *st, fa_fifo *fifo);

/* -- shown to Python --------------------------------------------------------------- */

/* The deque that holds the objects from now on (new reference). */
FA_INTERNAL PyObject *fifo_expose(fa_state *st, fa_fifo *fifo);

/* The attribute was set (any object; NULL = back to an empty ring). */
FA_INTERNAL void fifo_replace(fa_fifo *fifo, PyObject *deque);

/* A copy as a list (new): for __getstate__, without switching to a deque. */
FA_INTERNAL PyObject *fifo_list(fa_fifo *fifo);

/* -- for tp_traverse, tp_clear ------------------------------------------------------ */

FA_INTERNAL int fifo_traverse(fa_fifo *fifo, visitproc visit, void *arg);
FA_INTERNAL void fifo_clear(fa_fifo *fifo);

#endif
