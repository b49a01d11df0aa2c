/* stream/room.c: the one entry by which module.c sets up this room. */
#include "stream/private.h"

int
stream_types_init(PyObject *module, fa_state *st)
{
    return reader_type_init(module, st);
}
