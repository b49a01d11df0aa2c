/* sync/room.c: the one entry by which module.c sets up this room, and what the
   types of the room have in common. */
#include "sync/private.h"
#include "sync/queue.h"
#include "sync/scopes.h"
#include "sync/waiters.h"
#include "task/coro.h"

static FA_COLD PyObject *
bound_loop_refuse(PyObject *self)
{
    PyErr_Format(PyExc_RuntimeError, "%R is bound to a different event loop",
                 self);
    return NULL;
}

FA_HOT PyObject *
bound_loop(fa_state *st, PyObject *self, PyObject **slot)
{
    PyObject *loop;
    if (fa_running_loop(st, &loop) < 0) {
        return NULL;
    }
    if (FA_UNLIKELY(loop == NULL)) { // asyncio goes on with None
        return *slot == NULL ? Py_None : bound_loop_refuse(self);
    }
    if (FA_UNLIKELY(*slot == NULL)) {
        *slot = loop;
        return loop;
    }
    Py_DECREF(loop); // the primitive, or whoever runs, holds another
    return FA_LIKELY(loop == *slot) ? loop : bound_loop_refuse(self);
}

int
sync_types_init(PyObject *module, fa_state *st)
{
    if (lock_type_init(module, st) < 0 || event_type_init(module, st) < 0 ||
        condition_type_init(module, st) < 0 ||
        semaphore_types_init(module, st) < 0 ||
        barrier_type_init(module, st) < 0 ||
        queue_types_init(module, st) < 0 ||
        as_completed_init(module, st) < 0 || scopes_init(module, st) < 0)
    {
        return -1;
    }
    return 0;
}
