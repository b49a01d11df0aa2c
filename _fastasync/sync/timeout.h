/* sync/timeout.h: Timeout for the files of this room (wait_for is made of one).
 */
#ifndef FA_SYNC_TIMEOUT_H
#define FA_SYNC_TIMEOUT_H

#include "base/classes.h"

typedef enum {
    FA_TIMEOUT_UNSET,    /* __init__ has not run */
    FA_TIMEOUT_CREATED,
    FA_TIMEOUT_ENTERED,
    FA_TIMEOUT_EXPIRING, /* the task was cancelled, the block has not ended */
    FA_TIMEOUT_EXPIRED,
    FA_TIMEOUT_EXITED,
} fa_timeout_state;

typedef struct {
    FA_CLASS_HEAD
    PyObject *when;       /* strong: the deadline as given; NULL = unset */
    PyObject *handler;    /* strong or NULL (None): of the timer */
    PyObject *task;       /* strong or NULL (None): who is in the block */
    PyObject *cancelling; /* strong or NULL (unset): the task's open
                             cancellation requests on entry */
    uint8_t state;        /* fa_timeout_state */
} TimeoutObject;

/* timeouts.timeout(delay) (new). HOT */
FA_INTERNAL TimeoutObject *timeout_after(fa_state *st, PyObject *delay);

/* timeouts.Timeout(when); takes over `when`, which may be NULL: its making has
   failed. */
FA_INTERNAL TimeoutObject *timeout_at_time(fa_state *st, PyObject *when);

/* What __aenter__ and __aexit__ do; 0 or -1. `exc` is the exception that leaves
   the block and `type` its type, or both are None. HOT */
FA_INTERNAL int timeout_enter(TimeoutObject *self);
FA_INTERNAL int timeout_exit(TimeoutObject *self, PyObject *type,
                             PyObject *exc);

/* For the type: a blank object, __init__, reschedule(), _on_timeout(), and the
   AttributeError (-1) for an attribute that is not set. */
FA_INTERNAL TimeoutObject *timeout_alloc(fa_state *st, PyTypeObject *type);
FA_INTERNAL void timeout_init(TimeoutObject *self, PyObject *when);
FA_INTERNAL int timeout_reschedule(TimeoutObject *self, PyObject *when);
FA_INTERNAL int timeout_fire(TimeoutObject *self);
FA_INTERNAL int timeout_lacks(TimeoutObject *self, const char *name);

/* The values of asyncio.timeouts._State, by fa_timeout_state. */
extern __attribute__((visibility("hidden"))) const char *const
    timeout_texts[];

FA_INTERNAL int timeout_type_init(PyObject *module, fa_state *st);

#endif
