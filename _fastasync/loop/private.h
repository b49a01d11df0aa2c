/* loop/private.h: what io.c and kept.c share about a slot of the table. */
#ifndef FA_LOOP_PRIVATE_H
#define FA_LOOP_PRIVATE_H

#include "loop/loop.h"

/* Make the table long enough for fd. 0, or -1 with an exception: EBADF for what
   can be no fd. */
FA_INTERNAL int loop_io_grow(LoopObject *loop, int fd);

/* A watcher has gone: the poller is told, unless the fd is kept. */
FA_INTERNAL void loop_io_settle(LoopObject *loop, int fd);

/* HOT. An event of a slot that is kept. 0 or -1. */
FA_INTERNAL int loop_kept_event(LoopObject *loop, const fa_event *event);

FA_INTERNAL int loop_kept_visit(const fa_fdslot *slot, visitproc visit,
                                void *arg);

/* Drop the further waiters for these directions. */
FA_INTERNAL void loop_kept_forget(LoopObject *loop, int fd, int dirs);

#endif
