/* base/heap.c: sifting. Plain libc: os/ and tests may use it without Python.

   Cost: push and remove are O(log n) moves of 16-byte items; a cancelled timer
   leaves at once, so the heap never holds the dead. */
#include "base/heap.h"

#include <stdlib.h>
#include <string.h>

/* Four children each: half the levels, and siblings fill one cache line, to
   which heap_grow aligns them. With 30,000 timers all of this stays in the
   second level cache. Benchmark: sleep_timers. */
#define HEAP_ARITY 4
#define HEAP_LINE 64

static inline size_t
heap_parent(size_t i)
{
    return (i - 1) / HEAP_ARITY;
}

/* Without a branch: which child is the least is not to be foretold. */
static inline int
heap_less(const fa_heap_item *a, const fa_heap_item *b)
{
    return (a->key < b->key) |
           ((a->key == b->key) & ((int32_t)(a->seq - b->seq) < 0));
}

static inline void
heap_place(fa_heap *heap, size_t i, fa_heap_item item)
{
    heap->items[i] = item;
    heap->slots[item.slot].index = (uint32_t)i;
}

static void
heap_sift_up(fa_heap *heap, size_t i, fa_heap_item item)
{
    while (i > 0) {
        size_t parent = heap_parent(i);
        if (!heap_less(&item, &heap->items[parent])) {
            break;
        }
        heap_place(heap, i, heap->items[parent]);
        i = parent;
    }
    heap_place(heap, i, item);
}

/* The least of the children that begin at `child`. */
static inline size_t
heap_least(const fa_heap *heap, size_t child)
{
    const fa_heap_item *items = heap->items;
    if (FA_LIKELY(child + HEAP_ARITY <= heap->len)) {
        size_t a = child + (size_t)heap_less(&items[child + 1], &items[child]);
        size_t b = child + 2 +
                   (size_t)heap_less(&items[child + 3], &items[child + 2]);
        return heap_less(&items[b], &items[a]) ? b : a;
    }
    size_t least = child;
    for (size_t other = child + 1; other < heap->len; other++) {
        if (heap_less(&items[other], &items[least])) {
            least = other;
        }
    }
    return least;
}

static void
heap_sift_down(fa_heap *heap, size_t i, fa_heap_item item)
{
    for (;;) {
        size_t child = HEAP_ARITY * i + 1;
        if (child >= heap->len) {
            break;
        }
        child = heap_least(heap, child);
        if (!heap_less(&heap->items[child], &item)) {
            break;
        }
        heap_place(heap, i, heap->items[child]);
        i = child;
    }
    heap_place(heap, i, item);
}

/* Room for twice as many. 0, or -1 and nothing has changed. */
static int
heap_grow(fa_heap *heap)
{
    size_t capacity = heap->capacity ? heap->capacity * 2 : 32;
    if (capacity > UINT32_MAX) {
        return -1;
    }
    void *block = malloc(capacity * sizeof(fa_heap_item) + HEAP_LINE);
    fa_heap_slot *slots =
        block == NULL ? NULL
                      : realloc(heap->slots, capacity * sizeof(*slots));
    if (slots == NULL) {
        free(block);
        return -1;
    }
    // the second item, the first one that has siblings, begins a line
    size_t past = ((uintptr_t)block + sizeof(fa_heap_item)) % HEAP_LINE;
    fa_heap_item *items =
        (fa_heap_item *)((char *)block + (HEAP_LINE - past) % HEAP_LINE);
    if (heap->len > 0) {
        memcpy(items, heap->items, heap->len * sizeof(*items));
    }
    for (size_t i = heap->len; i < capacity; i++) {
        items[i].slot = (uint32_t)i; // all below are in use
    }
    free(heap->block);
    heap->block = block;
    heap->items = items;
    heap->slots = slots;
    heap->capacity = capacity;
    return 0;
}

int
heap_push(fa_heap *heap, fa_heap_node *node, int64_t key)
{
    if (FA_UNLIKELY(heap->len == heap->capacity) && heap_grow(heap) < 0) {
        return -1;
    }
    size_t last = heap->len++;
    fa_heap_item item = {key, heap->next_seq++, heap->items[last].slot};
    heap->slots[item.slot].node = node;
    node->slot = item.slot;
    heap_sift_up(heap, last, item);
    return 0;
}

/* Take out the item at i; the last one fills the hole. */
static inline fa_heap_node *
heap_take(fa_heap *heap, size_t i)
{
    uint32_t slot = heap->items[i].slot;
    fa_heap_node *node = heap->slots[slot].node;
    fa_heap_item last = heap->items[--heap->len];
    heap->items[heap->len].slot = slot; // free again
    node->slot = -1;
    if (i == heap->len) {
        return node;
    }
    // only one of the two ways will move it
    if (i > 0 && heap_less(&last, &heap->items[heap_parent(i)])) {
        heap_sift_up(heap, i, last);
    }
    else {
        heap_sift_down(heap, i, last);
    }
    return node;
}

void
heap_remove(fa_heap *heap, fa_heap_node *node)
{
    FA_ASSERT(node->slot >= 0 && (size_t)node->slot < heap->capacity &&
              heap->slots[node->slot].node == node);
    heap_take(heap, heap->slots[node->slot].index);
}

fa_heap_node *
heap_pop(fa_heap *heap)
{
    FA_ASSERT(heap->len > 0);
    return heap_take(heap, 0);
}

void
heap_free(fa_heap *heap)
{
    for (size_t i = 0; i < heap->len; i++) {
        heap_node(heap, i)->slot = -1;
    }
    free(heap->block);
    free(heap->slots);
    *heap = (fa_heap){0};
}
