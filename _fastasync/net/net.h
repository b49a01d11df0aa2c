/* net/net.h: the door of the transports. */
#ifndef FA_NET_NET_H
#define FA_NET_NET_H

#include "base/state.h"
#include "loop/loop.h"

/* A stream transport over a connected, non-blocking socket. `sock` is a Python
   socket object (borrowed; the transport owns the fd through it and closes it
   at the end), `waiter` a future or NULL/None, told when connection_made has
   run; `extra` a dict or NULL/None; `server` our Server, or any object with
   asyncio's _attach/_detach, or NULL/None. Schedules connection_made, then the
   start of reading, then the waiter, in asyncio's order. NULL on error. */
FA_INTERNAL PyObject *sockstream_new(LoopObject *loop, PyObject *sock,
                                     PyObject *protocol, PyObject *waiter,
                                     PyObject *extra, PyObject *server);

/* Types SocketTransport, Server. 0 or -1. */
FA_INTERNAL int net_types_init(PyObject *module, fa_state *st);

#endif
