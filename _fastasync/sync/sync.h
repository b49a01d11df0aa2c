/* sync/sync.h: the door of the primitives that tasks wait at: locks, queues,
   timeouts, task groups, and the functions that wait for several.

   Each is a class of asyncio's with C inside (base/classes.h); each of its
   coroutines is a kind of task/coro.h. */
#ifndef FA_SYNC_SYNC_H
#define FA_SYNC_SYNC_H

#include "base/state.h"

/* The types and functions of this room. 0 or -1. */
FA_INTERNAL int sync_types_init(PyObject *module, fa_state *st);

/* Free what is kept for reuse; called when the module state is cleared. */
FA_INTERNAL void sync_freelists_clear(fa_state *st);

#endif
