/* stream/room.c: the one entry by which module.c sets up this room. */
#include "stream/private.h"
#include "stream/protocol.h"

int
stream_types_init(PyObject *module, fa_state *st)
{
    if (reader_type_init(module, st) < 0 || sproto_type_init(module, st) < 0 ||
        drain_methods_add(st) < 0 || writer_type_init(module, st) < 0 ||
        glue_init(module, st) < 0)
    {
        return -1;
    }
    sink_init(st);
    return 0;
}
