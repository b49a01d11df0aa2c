/* base/ring.h: a growable ring of ready entries.

   An entry is a C function, the object it works on and one argument; both
   references belong to the ring until the entry is taken out, then to whoever
   took it. head and tail only ever grow; the length is their difference, and
   the capacity is a power of two, so that an index is one AND. Push and pop are
   O(1); growing copies and doubles. HOT: once per callback of the loop. */
#ifndef FA_BASE_RING_H
#define FA_BASE_RING_H

#include "base/compat.h"

struct LoopObject;

/* Runs one ready entry. Takes over both references. Returns 0, or -1 with an
   exception that must leave run_forever (SystemExit, KeyboardInterrupt, a
   failure of the loop itself); everything else the callee reports itself. */
typedef int (*fa_run)(struct LoopObject *loop, PyObject *self, PyObject *arg);

typedef struct {
    fa_run run;
    PyObject *self; /* strong */
    PyObject *arg;  /* strong or NULL */
} fa_ready;

typedef struct {
    fa_ready *items; /* owned; NULL until the first push */
    size_t mask;     /* capacity - 1; 0 while items is NULL */
    size_t head;     /* next to take */
    size_t tail;     /* next free; tail - head entries are in */
} fa_ring;

static inline size_t
ring_len(const fa_ring *ring)
{
    return ring->tail - ring->head;
}

/* Doubles the capacity. Returns 0, or -1 with MemoryError. */
FA_INTERNAL int ring_grow(fa_ring *ring);

/* Appends an entry, taking over `self` and `arg` (also on failure, when they
   are released). Returns 0, or -1 with MemoryError. */
static inline int
ring_push(fa_ring *ring, fa_run run, PyObject *self, PyObject *arg)
{
    if (FA_UNLIKELY(ring->items == NULL || ring_len(ring) > ring->mask)) {
        if (ring_grow(ring) < 0) {
            Py_DECREF(self);
            Py_XDECREF(arg);
            return -1;
        }
    }
    fa_ready *entry = &ring->items[ring->tail & ring->mask];
    entry->run = run;
    entry->self = self;
    entry->arg = arg;
    ring->tail++;
    return 0;
}

/* Takes the oldest entry out; the ring must not be empty. */
static inline fa_ready
ring_pop(fa_ring *ring)
{
    FA_ASSERT(ring_len(ring) > 0);
    return ring->items[ring->head++ & ring->mask];
}

/* The i-th oldest entry, borrowed. */
static inline fa_ready *
ring_at(const fa_ring *ring, size_t i)
{
    FA_ASSERT(i < ring_len(ring));
    return &ring->items[(ring->head + i) & ring->mask];
}

FA_INTERNAL int ring_traverse(fa_ring *ring, visitproc visit, void *arg);

/* Drops all entries (runs destructors: arbitrary Python) and the storage. */
FA_INTERNAL void ring_clear(fa_ring *ring);

#endif
