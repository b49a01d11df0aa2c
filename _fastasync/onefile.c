/* onefile.c: the release build, one translation unit.

   Every internal function becomes a static, so that the compiler sees the whole
   house at once; the files stay separate for readers and for the debug build.
   In layer order. */
#define FA_INTERNAL static __attribute__((unused))

#include "base/compat.h" // Python.h before any system header

#include "base/args.c"
#include "base/bytebuf.c"
#include "base/classes.c"
#include "base/errors.c"
#include "base/fifo.c"
#include "base/heap.c"
#include "base/ring.c"
#include "base/state.c"

#include "os/clock.c"
#include "os/poller_epoll.c"
#include "os/sock.c"
#include "os/wakeup.c"

#include "loop/context.c"
#include "loop/current.c"
#include "loop/handle.c"
#include "loop/handle_type.c"
#include "loop/io.c"
#include "loop/loop.c"
#include "loop/report.c"
#include "loop/run.c"
#include "loop/sched.c"

#include "task/anyfuture.c"
#include "task/awaited_by.c"
#include "task/callbacks.c"
#include "task/coro.c"
#include "task/coro_function.c"
#include "task/ensure.c"
#include "task/future.c"
#include "task/future_attrs.c"
#include "task/future_iter.c"
#include "task/outcome.c"
#include "task/registry.c"
#include "task/room.c"
#include "task/sleep.c"
#include "task/step.c"
#include "task/step_enter.c"
#include "task/stepcall.c"
#include "task/stop.c"
#include "task/task.c"

#include "sync/room.c"

#include "net/accept.c"
#include "net/clients.c"
#include "net/extra.c"
#include "net/flow.c"
#include "net/life.c"
#include "net/listener.c"
#include "net/net.c"
#include "net/protocol.c"
#include "net/server.c"
#include "net/sockmethods.c"
#include "net/sockread.c"
#include "net/sockstream.c"
#include "net/trouble.c"
#include "net/write.c"
#include "net/writebuf.c"

#include "stream/drain.c"
#include "stream/glue.c"
#include "stream/protocol.c"
#include "stream/read_ops.c"
#include "stream/read_until.c"
#include "stream/reader.c"
#include "stream/reader_type.c"
#include "stream/room.c"
#include "stream/sink.c"
#include "stream/writer.c"
#include "stream/writer_coros.c"

#include "api/loop_io.c"
#include "api/loop_run.c"
#include "api/loop_sched.c"
#include "api/loop_task.c"
#include "api/loop_type.c"

#include "module.c"
