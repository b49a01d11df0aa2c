/* base/heap.h: a min-heap whose nodes can be found in it.

   Nodes are embedded in the objects they time (a TimerHandle). The heap orders
   small items (key, sequence, slot) and touches no object doing so: a node knows
   its slot, and a table by slot knows the node and where its item stands at the
   moment. So moving an item writes to the table, which is dense, and removing a
   node is O(log n) without a search. Equal keys leave in the order they came.
   The heap does not own its nodes. */
#ifndef FA_BASE_HEAP_H
#define FA_BASE_HEAP_H

#include "base/common.h"

typedef struct {
    int64_t slot; /* its row in the table, -1 = in no heap */
} fa_heap_node;

typedef struct {
    int64_t key;
    uint32_t seq;  /* wraps around; compared between equal keys only */
    uint32_t slot;
} fa_heap_item;

typedef struct {
    fa_heap_node *node; /* borrowed */
    uint32_t index;     /* of its item */
} fa_heap_slot;

typedef struct {
    fa_heap_item *items; /* in `block`; those behind len name the free slots */
    fa_heap_slot *slots; /* owned */
    void *block;         /* owned */
    size_t len;
    size_t capacity;
    uint32_t next_seq;
} fa_heap;

/* The node at place i (0: the one with the least key). */
static inline fa_heap_node *
heap_node(const fa_heap *heap, size_t i)
{
    FA_ASSERT(i < heap->len);
    return heap->slots[heap->items[i].slot].node;
}

/* Adds a node that is in no heap. Returns 0, or -1 if memory ran out. */
FA_INTERNAL int heap_push(fa_heap *heap, fa_heap_node *node, int64_t key);

/* Takes a node out; it must be in this heap. */
FA_INTERNAL void heap_remove(fa_heap *heap, fa_heap_node *node);

/* HOT. Takes out the node with the least key; there must be one. The node is only
   written to, so that the caller need not wait for it to come into the cache. */
FA_INTERNAL fa_heap_node *heap_pop(fa_heap *heap);

/* Frees the storage; nodes still in are marked as out. */
FA_INTERNAL void heap_free(fa_heap *heap);

#endif
