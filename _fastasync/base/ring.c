/* base/ring.c: the cold half of the ring: growing, visiting, dropping. */
#include "base/ring.h"

#define RING_FIRST_CAPACITY 64

int
ring_grow(fa_ring *ring)
{
    size_t len = ring_len(ring);
    size_t old = ring->items == NULL ? 0 : ring->mask + 1;
    size_t capacity = old ? old * 2 : RING_FIRST_CAPACITY;
    fa_ready *items = PyMem_Malloc(capacity * sizeof(fa_ready));
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < len; i++) { // head and tail stay what they are
        items[(ring->head + i) & (capacity - 1)] = *ring_at(ring, i);
    }
    PyMem_Free(ring->items);
    ring->items = items;
    ring->mask = capacity - 1;
    return 0;
}

int
ring_traverse(fa_ring *ring, visitproc visit, void *arg)
{
    for (size_t i = 0; i < ring_len(ring); i++) {
        fa_ready *entry = ring_at(ring, i);
        Py_VISIT(entry->self);
        Py_VISIT(entry->arg);
    }
    return 0;
}

void
ring_clear(fa_ring *ring)
{
    // a destructor may push again: take the entries out one by one
    while (ring_len(ring) > 0) {
        fa_ready entry = ring_pop(ring);
        Py_DECREF(entry.self);
        Py_XDECREF(entry.arg);
    }
    PyMem_Free(ring->items);
    *ring = (fa_ring){0};
}
