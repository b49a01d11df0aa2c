/* sync/room.c: the one entry by which module.c sets up this room, and what the
   types of the room have in common. */
#include "sync/private.h"
#include "sync/waiters.h"
#include "task/coro.h"

static FA_COLD PyObject *
bound_loop_none(PyObject *self, PyObject *own)
{
    if (own == NULL) {
        PyErr_SetString(PyExc_AttributeError,
                        "'NoneType' object has no attribute 'create_future'");
    }
    else {
        PyErr_Format(PyExc_RuntimeError,
                     "%R is bound to a different event loop", self);
    }
    return NULL;
}

FA_HOT PyObject *
bound_loop(fa_state *st, PyObject *self, PyObject **slot)
{
    PyObject *loop;
    if (fa_running_loop(st, &loop) < 0) {
        return NULL;
    }
    if (FA_UNLIKELY(loop == NULL)) {
        return bound_loop_none(self, *slot);
    }
    if (FA_UNLIKELY(*slot == NULL)) {
        *slot = loop;
        return loop;
    }
    Py_DECREF(loop); // the primitive, or whoever runs, holds another
    return FA_LIKELY(loop == *slot) ? loop : bound_loop_none(self, *slot);
}

int
sync_types_init(PyObject *module, fa_state *st)
{
    if (lock_type_init(module, st) < 0 || event_type_init(module, st) < 0 ||
        condition_type_init(module, st) < 0 ||
        semaphore_types_init(module, st) < 0 ||
        barrier_type_init(module, st) < 0)
    {
        return -1;
    }
    return 0;
}
