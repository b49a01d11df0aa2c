/* api/api.h: the face of the loop: parse arguments, call one C function,
   return. LoopCore is the C base of fastasync.Loop; the methods of the Python
   class that are not here are cold and stand in fastasync/_loop.py. */
#ifndef FA_API_API_H
#define FA_API_API_H

#include "base/state.h"
#include "loop/loop.h"
#include "task/coro.h"

/* Method tables by subject; loop_type.c joins them into the type. */
extern __attribute__((visibility("hidden"))) PyMethodDef loop_sched_methods[];
extern __attribute__((visibility("hidden"))) PyMethodDef loop_run_methods[];
extern __attribute__((visibility("hidden"))) PyMethodDef loop_task_methods[];
extern __attribute__((visibility("hidden"))) PyMethodDef loop_io_methods[];
extern __attribute__((visibility("hidden"))) PyMethodDef loop_pipe_methods[];

/* The same for methods that are coroutine functions. */
extern __attribute__((visibility("hidden"))) const fa_coro_def
    loop_connect_methods[];

extern __attribute__((visibility("hidden"))) PyMethodDef
    loop_executor_methods[];

/* Those that are coroutines. */
extern __attribute__((visibility("hidden"))) const fa_coro_def
    loop_sock_coroutines[];
extern __attribute__((visibility("hidden"))) const fa_coro_def
    loop_process_coros[];

/* loop.create_task(coro) of the engine, honouring the task factory. New. */
FA_INTERNAL PyObject *loop_create_task(LoopObject *loop, PyObject *coro);

/* Find out which methods a subclass or the instance has replaced. 0 or -1. */
FA_INTERNAL int loop_refresh_overrides(LoopObject *loop);

/* connect_read_pipe, connect_write_pipe. 0 or -1. */
FA_INTERNAL int loop_pipe_init(fa_state *st);

FA_INTERNAL int api_types_init(PyObject *module, fa_state *st);

#endif
