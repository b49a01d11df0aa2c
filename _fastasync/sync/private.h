/* sync/private.h: what the files of this room share. Nobody else includes it. */
#ifndef FA_SYNC_PRIVATE_H
#define FA_SYNC_PRIVATE_H

#include "sync/sync.h"

/* asyncio.mixins._LoopBoundMixin._get_loop(): the running loop, which becomes
   the primitive's own at the first call (`slot`: its `_loop`, strong or NULL).
   Borrowed reference; NULL with RuntimeError ('... is bound to a different
   event loop'), or with the AttributeError of asyncio, which goes on with None
   when no loop runs. HOT */
FA_INTERNAL PyObject *bound_loop(fa_state *st, PyObject *self,
                                 PyObject **slot);

#endif
