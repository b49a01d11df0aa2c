/* task/freelist.h: dead futures, tasks and iterators wait here to be made anew.

   Making one of them from the allocator costs a malloc, a link into the garbage
   collector's young generation and their opposites; a busy program makes and
   drops a few of them per await. Only exact types are recycled, and only objects
   whose finalizer has not run: the mark of that would stay with the memory. In a
   free-threaded build the lists stay empty. HOT. Benchmarks: create_task,
   future_await. */
#ifndef FA_TASK_FREELIST_H
#define FA_TASK_FREELIST_H

#include "base/state.h"

#include <string.h>

#ifndef FA_TASK_FREELIST_MAX
#define FA_TASK_FREELIST_MAX 128
#endif

static inline PyObject **
freelist_link(PyObject *obj)
{
    return (PyObject **)((char *)obj + sizeof(PyObject));
}

/* An object of `size` bytes, all zero behind its head, not yet tracked; NULL if
   there is none left: then ask the allocator. */
static inline PyObject *
freelist_pop(fa_freelist *list, PyTypeObject *tp, size_t size)
{
    PyObject *obj = list->first;
    if (obj == NULL) {
        return NULL;
    }
    list->first = *freelist_link(obj);
    list->count--;
    memset((char *)obj + sizeof(PyObject), 0, size - sizeof(PyObject));
    return PyObject_Init(obj, tp);
}

/* What PyObject_Init does, for an object whose type still stands in it. In builds
   that keep books of all references, by the book. */
static inline void
freelist_revive(PyObject *obj)
{
#if defined(Py_DEBUG) || FA_GIL_DISABLED
    PyObject_Init(obj, Py_TYPE(obj));
#else
    Py_SET_REFCNT(obj, 1);
    Py_INCREF(Py_TYPE(obj));
#endif
}

/* Keep an untracked, emptied object. 1 if it was taken, 0 if it must be freed;
   its type loses a reference either way (the caller's business). */
static inline int
freelist_push(fa_freelist *list, PyObject *obj)
{
    if (FA_GIL_DISABLED || list->count >= FA_TASK_FREELIST_MAX ||
        PyObject_GC_IsFinalized(obj))
    {
        return 0;
    }
    *freelist_link(obj) = list->first;
    list->first = obj;
    list->count++;
    return 1;
}

/* The same for types without a finalizer, or that know themselves whether theirs
   has run. */
static inline int
freelist_keep(fa_freelist *list, PyObject *obj)
{
    if (FA_GIL_DISABLED || FA_UNLIKELY(list->count >= FA_TASK_FREELIST_MAX)) {
        return 0;
    }
    *freelist_link(obj) = list->first;
    list->first = obj;
    list->count++;
    return 1;
}

static inline void
freelist_clear(fa_freelist *list)
{
    while (list->first != NULL) {
        PyObject *obj = list->first;
        list->first = *freelist_link(obj);
        PyObject_GC_Del(obj);
    }
    list->count = 0;
}

#endif
