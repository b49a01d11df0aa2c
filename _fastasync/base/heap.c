/* base/heap.c: sifting. Plain libc: os/ and tests may use it without Python.

   Cost: push and remove are O(log n) moves of 24-byte items; a cancelled timer
   leaves at once, so the heap never holds the dead. */
#include "base/heap.h"

#include <stdlib.h>

/* Four children each: with many timers every level costs a write to a node far
   away, and this halves the levels. Benchmark: sleep_timers. */
#define HEAP_ARITY 4

static size_t
heap_parent(size_t i)
{
    return (i - 1) / HEAP_ARITY;
}

static int
heap_less(const fa_heap_item *a, const fa_heap_item *b)
{
    return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void
heap_place(fa_heap *heap, size_t i, fa_heap_item item)
{
    heap->items[i] = item;
    item.node->index = (ptrdiff_t)i;
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

static void
heap_sift_down(fa_heap *heap, size_t i, fa_heap_item item)
{
    for (;;) {
        size_t child = HEAP_ARITY * i + 1;
        if (child >= heap->len) {
            break;
        }
        size_t end = child + HEAP_ARITY;
        end = end < heap->len ? end : heap->len;
        for (size_t other = child + 1; other < end; other++) {
            if (heap_less(&heap->items[other], &heap->items[child])) {
                child = other;
            }
        }
        if (!heap_less(&heap->items[child], &item)) {
            break;
        }
        heap_place(heap, i, heap->items[child]);
        i = child;
    }
    heap_place(heap, i, item);
}

int
heap_push(fa_heap *heap, fa_heap_node *node, int64_t key)
{
    if (heap->len == heap->capacity) {
        size_t capacity = heap->capacity ? heap->capacity * 2 : 32;
        fa_heap_item *items = realloc(heap->items, capacity * sizeof(*items));
        if (items == NULL) {
            return -1;
        }
        heap->items = items;
        heap->capacity = capacity;
    }
    fa_heap_item item = {key, heap->next_seq++, node};
    heap_sift_up(heap, heap->len++, item);
    return 0;
}

void
heap_remove(fa_heap *heap, fa_heap_node *node)
{
    size_t i = (size_t)node->index;
    FA_ASSERT(i < heap->len && heap->items[i].node == node);
    node->index = -1;
    fa_heap_item last = heap->items[--heap->len];
    if (i == heap->len) {
        return;
    }
    // the last item fills the hole; only one of the two ways will move it
    if (i > 0 && heap_less(&last, &heap->items[heap_parent(i)])) {
        heap_sift_up(heap, i, last);
    }
    else {
        heap_sift_down(heap, i, last);
    }
}

void
heap_free(fa_heap *heap)
{
    for (size_t i = 0; i < heap->len; i++) {
        heap->items[i].node->index = -1;
    }
    free(heap->items);
    *heap = (fa_heap){0};
}
