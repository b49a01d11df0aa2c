/* stream/room.c: the one entry by which module.c sets up this room. */
#include "stream/stream.h"

int
stream_types_init(PyObject *Py_UNUSED(module), fa_state *Py_UNUSED(st))
{
    return 0;
}
