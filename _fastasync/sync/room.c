/* sync/room.c: the one entry by which module.c sets up this room, and what the
   types of the room have in common. */
#include "sync/private.h"
#include "sync/queue.h"
#include "sync/scopes.h"
#include "task/coro.h"

PyObject *
bound_loop(fa_state *st, PyObject *self, PyObject **slot)
{
    PyObject *loop = fa_get_running_loop(st);
    if (FA_UNLIKELY(loop == NULL)) {
        PyErr_Clear(); // asyncio's _get_running_loop() says None
        loop = Py_None;
        if (*slot == NULL) {
            return loop;
        }
        Py_INCREF(loop);
    }
    if (FA_UNLIKELY(*slot == NULL)) {
        *slot = loop;
        return loop;
    }
    Py_DECREF(loop); // the primitive, or whoever runs, holds another
    if (FA_UNLIKELY(loop != *slot)) {
        PyErr_Format(PyExc_RuntimeError,
                     "%R is bound to a different event loop", self);
        return NULL;
    }
    return loop;
}

int
sync_types_init(PyObject *module, fa_state *st)
{
    if (queue_types_init(module, st) < 0 ||
        as_completed_init(module, st) < 0 || scopes_init(module, st) < 0)
    {
        return -1;
    }
    return 0;
}
