/* sync/private.h: what the files of this room share. Nobody else includes it. */
#ifndef FA_SYNC_PRIVATE_H
#define FA_SYNC_PRIVATE_H

#include "sync/sync.h"

/* asyncio.mixins._LoopBoundMixin._get_loop(): the running loop, which becomes
   the primitive's own at the first call (`slot`: its `_loop`, strong or NULL).
   Borrowed reference, None if no loop is running and none is bound (asyncio's
   then fails at `None.create_future()`, and so does fa_create_future); NULL
   with RuntimeError ('... is bound to a different
   event loop'). HOT */
FA_INTERNAL PyObject *bound_loop(fa_state *st, PyObject *self,
                                 PyObject **slot);

/* as_completed (as_completed.c) */
FA_INTERNAL int as_completed_init(PyObject *module, fa_state *st);

#endif
