/* loop/handle.h: the Handle and TimerHandle objects (private to loop/ and api/).

   A Handle is what call_soon returns: made from a freelist, with up to four
   arguments inside it, so that calling it is one vectorcall. It is a real
   subclass of asyncio.Handle; the base's slots lie unused at its start and are
   shadowed by getsets. TimerHandle shares the layout. */
#ifndef FA_LOOP_HANDLE_H
#define FA_LOOP_HANDLE_H

#include "loop/loop.h"

/* Room for the slots of asyncio.TimerHandle in every supported version; its
   real size is checked at init. */
#define FA_HANDLE_BASE_SLOTS 10
#define FA_HANDLE_INLINE_ARGS 4

struct HandleObject {
    PyObject_HEAD
    PyObject *base_slots[FA_HANDLE_BASE_SLOTS]; /* asyncio's own, shadowed */
    fa_state *st;              /* borrowed */
    PyObject *callback;        /* strong, NULL once cancelled or consumed;
                                  in the freelist: the next free handle */
    PyObject *context;         /* strong; with `shared` the loop's pristine copy
                                  (context.h), not to be entered or shown.
                                  Any object, never NULL before the clear */
    PyObject *loop;            /* strong; any object, never NULL before the
                                  clear; of a timer in the heap: its loop */
    PyObject *scratch;         /* always NULL: vectorcall may write here */
    PyObject *inline_args[FA_HANDLE_INLINE_ARGS]; /* strong, the first nargs */
    PyObject *args_tuple;      /* strong: all arguments if they are more */
    PyObject *source_traceback; /* strong or NULL; debug mode */
    PyObject *repr;            /* strong or NULL; debug mode: after cancel */
    PyObject *parked;          /* strong or NULL: list of what was replaced
                                  through attributes while a call was using it */
    int32_t nargs;
    uint8_t cancelled;
    uint8_t running;           /* depth of calls: cancel must not drop what a
                                  running call is using */
    uint8_t shared;            /* context is the loop's */
    uint8_t kind;              /* FA_HANDLE, FA_TIMER, FA_THREADSAFE */
    /* TimerHandle only */
    uint8_t scheduled;
    uint8_t light;             /* only C code holds it: nothing of it is shown,
                                  not even to the garbage collector while the
                                  loop runs; see loop_call_at_light */
    PyObject *owner;           /* borrowed or NULL: while it is light, what the
                                  garbage collector shall not see either; holds
                                  this handle */
    fa_heap_node node;
    double when;               /* seconds of loop.time() */
    PyObject *when_obj;        /* strong or NULL: as given to call_at */
};

/* A light timer ends to be one, by whatever: the garbage collector gets to see
   what the timer has kept from it (st->sleep_settle). */
FA_INTERNAL void handle_unveil(HandleObject *handle);

/* New Handle (kind FA_HANDLE or FA_THREADSAFE) / TimerHandle for `loop`;
   `context` NULL = a copy of the current
   one. In debug mode records where it was made. NULL on error. */
FA_INTERNAL HandleObject *handle_new(LoopObject *loop, int kind,
                                     PyObject *callback,
                                     PyObject *const *args, Py_ssize_t nargs,
                                     PyObject *context);
FA_INTERNAL HandleObject *timer_new(LoopObject *loop, double when,
                                    PyObject *when_obj, PyObject *callback,
                                    PyObject *const *args, Py_ssize_t nargs,
                                    PyObject *context);

/* The same, not shown to the garbage collector. */
FA_INTERNAL HandleObject *timer_new_light(LoopObject *loop, double when,
                                          PyObject *callback,
                                          PyObject *const *args,
                                          Py_ssize_t nargs);

/* fa_run: run a handle's callback in its context and report what it raises. */
FA_INTERNAL int handle_run(LoopObject *loop, PyObject *handle, PyObject *arg);

/* The handle's own context (borrowed), NULL on error or if it has none. */
FA_INTERNAL PyObject *handle_context(HandleObject *handle);

/* Let the garbage collector see a handle that waits in a ring: the loop that
   holds it stops running. */
FA_INTERNAL void handle_settle(PyObject *handle);

/* Handle.cancel() of the engine; for a timer also leaves the heap. 0 or -1. */
FA_INTERNAL int handle_cancel(HandleObject *handle);

/* Has anybody replaced asyncio.Handle._run or one of its like? Also
   remembers the answer (st->hooked) and the types' versions. */
FA_INTERNAL int handle_hooked(fa_state *st);

/* All arguments as a tuple (new), or None once cancelled. */
FA_INTERNAL PyObject *handle_args(HandleObject *handle);

/* Is `obj` one of our Handle, TimerHandle, ThreadSafeHandle (or subclass)? */
FA_INTERNAL int handle_check(fa_state *st, PyObject *obj);

FA_INTERNAL int handle_types_init(PyObject *module, fa_state *st);

/* For handle_type.c: the life of the objects, the wait of a ThreadSafeHandle
   for its running call (a no-op for others), and remembering the version tag
   at which the type's `_run` was asyncio's own. */
FA_INTERNAL PyObject *Handle_new(PyTypeObject *type, PyObject *args,
                                 PyObject *kwargs);
FA_INTERNAL int Handle_traverse(HandleObject *handle, visitproc visit,
                                void *arg);
FA_INTERNAL int Handle_clear(HandleObject *handle);
FA_INTERNAL void Handle_dealloc(HandleObject *handle);
FA_INTERNAL void handle_wait_idle(HandleObject *handle);
FA_INTERNAL void handle_seen(fa_state *st, int kind);

/* Free the freelists; called when the module state is cleared. */
FA_INTERNAL void handle_freelists_clear(fa_state *st);

#endif
