/* base/heap.h: a binary min-heap whose nodes know their place.

   Nodes are embedded in the objects they time (a TimerHandle); the heap keeps
   (key, sequence, node) triples so that comparing touches no object, and every
   node keeps its index, so that removing one is O(log n) without a search.
   Equal keys leave in the order they came. The heap does not own its nodes. */
#ifndef FA_BASE_HEAP_H
#define FA_BASE_HEAP_H

#include "base/common.h"

typedef struct {
    ptrdiff_t index; /* place in the heap, -1 = not in one */
} fa_heap_node;

typedef struct {
    int64_t key;
    uint64_t seq;
    fa_heap_node *node; /* borrowed */
} fa_heap_item;

typedef struct {
    fa_heap_item *items; /* owned */
    size_t len;
    size_t capacity;
    uint64_t next_seq;
} fa_heap;

/* Adds a node that is in no heap. Returns 0, or -1 if memory ran out. */
FA_INTERNAL int heap_push(fa_heap *heap, fa_heap_node *node, int64_t key);

/* Takes a node out; it must be in this heap. */
FA_INTERNAL void heap_remove(fa_heap *heap, fa_heap_node *node);

/* Frees the storage; nodes still in are marked as out. */
FA_INTERNAL void heap_free(fa_heap *heap);

#endif
