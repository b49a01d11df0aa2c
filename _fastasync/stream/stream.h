/* stream/stream.h: the door of StreamReader, StreamWriter and the protocol that
   stands between them and a transport. */
#ifndef FA_STREAM_STREAM_H
#define FA_STREAM_STREAM_H

#include "base/state.h"

/* The types and functions of this room. 0 or -1. */
FA_INTERNAL int stream_types_init(PyObject *module, fa_state *st);

#endif
