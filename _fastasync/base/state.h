/* base/state.h: the module state as three X-macro lists.

   There are no mutable statics in this extension: types, interned names and
   things imported from asyncio hang here, one set per (sub)interpreter. Engine
   functions get the state passed; only tp_new and module functions look it up
   (fa_state_of_type). Add a row to a list and it is created, visited, cleared. */
#ifndef FA_BASE_STATE_H
#define FA_BASE_STATE_H

#include "base/compat.h"

/* X(Name): st->Name##Type, filled by the type's own x_type_init. */
#define FA_TYPES(X) \
    X(LoopCore) X(Handle) X(TimerHandle) X(ThreadSafeHandle) \
    X(Future) X(FutureIter) X(Task) X(TaskStep) X(Stop) \
    X(Coro) X(CoroFunction) X(CoroBound) X(CoroView) X(CoroWrapper) X(Gather) \
    X(Closure) \
    X(QueueCore) X(Queue) X(LifoQueueCore) X(LifoQueue) \
    X(PriorityQueueCore) X(PriorityQueue) X(AsCompleted) \
    X(TimeoutCore) X(Timeout) X(TaskGroupCore) X(TaskGroup) \
    X(LockCore) X(Lock) X(EventCore) X(Event) X(ConditionCore) X(Condition) \
    X(SemaphoreCore) X(Semaphore) X(BoundedSemaphoreCore) \
    X(BoundedSemaphore) X(BarrierCore) X(Barrier) \
    X(StreamProtocolCore) X(StreamReaderProtocol) X(StreamReaderCore) \
    X(StreamReader) X(StreamWriterCore) X(StreamWriter) \
    X(SocketTransport) X(SSLProtocolCore) X(SSLProtocol) X(SSLTransport) \
    X(ServerCore) X(Listener) X(ReadPipeTransport) X(WritePipeTransport) \
    X(Connecting) X(DatagramTransport) X(SubprocessTransport) X(Race)

/* X(name): st->str_##name, an interned string. */
#define FA_NAMES(X) \
    X(__class__) X(append) X(clear) X(pop) X(popleft) X(remove) X(send) \
    X(__name__) X(_accept_connection2) X(_asyncgen_finalizer_hook) \
    X(__asyncio_running_event_loop__) X(_asyncgen_firstiter_hook) X(_asyncio_future_blocking) X(_attach) \
    X(_detach) X(_future_repr) X(_get_running_loop) X(_log_destroy_pending) \
    X(_chain_future) X(current_task) X(future_add_to_awaited_by) \
    X(future_discard_from_awaited_by) X(run_in_executor) X(_loop) X(_make_cancelled_error) X(_cancel_message) X(msg) X(_run) X(_set_coroutine_origin_tracking) X(_set_running_loop) \
    X(_start_serving) X(_stop_serving) X(_task_repr) \
    X(_timer_handle_cancelled) X(abort) X(add_done_callback) \
    X(buffer_updated) X(call_at) X(call_exception_handler) X(call_later) \
    X(call_soon) X(call_soon_threadsafe) X(cancel) X(CANCELLED) X(cancelled) \
    X(close) X(connection_lost) X(connection_made) X(context) X(coro) \
    X(create_future) X(create_task) X(data_received) X(datagram_received) X(debug) X(done) \
    X(eof_received) X(error_received) X(exception) X(extract_stack) X(family) X(fileno) \
    X(FINISHED) X(Future) X(future) X(get_buffer) X(get_debug) X(get_event_loop) X(get_loop) \
    X(handle) X(is_running) X(listen) X(logger) X(loop) X(message) X(name) \
    X(pause_writing) X(peername) X(PENDING) X(proto) X(protocol) \
    X(remove_done_callback) X(result) X(resume_writing) X(run_forever) \
    X(set_exception) X(set_name) X(set_result) X(socket) X(sockname) \
    X(source_traceback) X(Task) X(task) X(throw) X(time) X(type) \
    X(_finished) X(_format) X(_get) X(_get_loop) X(_getters) X(_init) \
    X(_is_shutdown) X(_maxsize) X(_put) X(_putters) X(_queue) \
    X(_unfinished_tasks) X(_wakeup_next) X(empty) X(Event) X(full) X(get) \
    X(get_nowait) X(join) X(put) X(put_nowait) X(qsize) X(set) X(shutdown) \
    X(task_done) X(wait) X(__getattribute__) X(__init__) \
    X(_abort) X(_is_base_error) X(_on_task_done) X(_on_timeout) \
    X(ALL_COMPLETED) X(cancelling) X(FIRST_COMPLETED) \
    X(FIRST_EXCEPTION) X(reschedule) X(uncancel) \
    X(_drain_helper) X(_get_close_waiter) X(_source_traceback) \
    X(_stream_reader) X(can_write_eof) X(create_connection) X(create_server) \
    X(create_unix_connection) X(create_unix_server) X(drain) X(feed_data) \
    X(feed_eof) X(get_extra_info) X(is_closed) \
    X(is_closing) X(limit) X(set_transport) X(sslcontext) X(start_tls) \
    X(StreamReader) X(StreamReaderProtocol) X(StreamWriter) X(transport) \
    X(write) X(write_eof) X(writelines) \
    X(_maybe_resume_transport) X(_wait_for_data) X(_wakeup_waiter) X(args) \
    X(consumed) X(extend) X(partial) X(pause_reading) X(read) \
    X(readexactly) X(readline) X(readuntil) X(resume_reading) X(sort) \
    X(pipe) X(_make_read_pipe_transport) X(_make_write_pipe_transport) \
    X(_connect_sock) X(_create_connection_transport) X(_ensure_resolved) \
    X(_executor_shutdown_called) X(_ipaddr_info) X(_make_socket_transport) \
    X(_make_subprocess_transport) X(_call_connection_lost) X(_active) \
    X(_UnixSubprocessTransport) X(_event_loop_policy) X(get_child_watcher) \
    X(_sock_connect) X(getaddrinfo) X(getnameinfo) X(sock_connect) \
    X(_check_ssl_socket) X(_make_ssl_transport) X(connect_accepted_socket) \
    X(setblocking) X(_add_reader) X(_add_writer) X(_ensure_fd_no_transport) \
    X(_remove_reader) X(_remove_writer) X(accept) X(add_reader) \
    X(add_writer) X(connect) X(remove_reader) X(remove_writer) X(sendto) \
    X(_check_callback) X(_check_default_executor) X(_default_executor) \
    X(_exception) X(_result) X(_state) X(submit) X(ThreadPoolExecutor) \
    X(_child_created) X(_child_watcher_callback) X(_closed_child_pipe_fds) \
    X(_communication_started) X(_devnull) X(_execute_child) X(_input) \
    X(_sigint_wait_secs) X(_wait) X(_waitpid_lock) X(_watcher) \
    X(connect_read_pipe) X(connect_write_pipe) X(encoding) X(errors) X(pid) \
    X(pipe_connection_lost) X(pipe_data_received) X(pipesize) X(Popen) \
    X(process_exited) X(returncode) X(stderr) X(stdin) X(stdout) \
    X(subprocess) X(text_mode) X(disconnected)

#if FA_HAS_QUEUE_SHUTDOWN
#  define FA_IMPORTS_SHUTDOWN(X) \
    X(QueueShutDown, "asyncio.queues", "QueueShutDown")
#else
#  define FA_IMPORTS_SHUTDOWN(X)
#endif

#if FA_HAS_AWAITED_BY
#  define FA_IMPORTS_GRAPH(X) \
    X(c_current_task, "_asyncio", "current_task") \
    X(c_awaited_by_add, "_asyncio", "future_add_to_awaited_by") \
    X(c_awaited_by_discard, "_asyncio", "future_discard_from_awaited_by")
#else
#  define FA_IMPORTS_GRAPH(X)
#endif

#if FA_HAS_CHILD_WATCHERS
#  define FA_IMPORTS_WATCHERS(X) \
    X(get_child_watcher, "asyncio.events", "get_child_watcher") \
    X(UnixPolicy, "asyncio.unix_events", "_UnixDefaultEventLoopPolicy") \
    X(PidfdWatcher, "asyncio.unix_events", "PidfdChildWatcher") \
    X(ThreadedWatcher, "asyncio.unix_events", "ThreadedChildWatcher")
#else
#  define FA_IMPORTS_WATCHERS(X) \
    X(PidfdWatcher, "asyncio.unix_events", "_PidfdChildWatcher") \
    X(ThreadedWatcher, "asyncio.unix_events", "_ThreadedChildWatcher")
#endif

/* X(field, "module", "attribute"): st->field, imported once at init. What a
   test or a tool may rebind later is looked up in its module at call time. */
#define FA_IMPORTS(X) \
    X(CancelledError, "asyncio.exceptions", "CancelledError") \
    X(InvalidStateError, "asyncio.exceptions", "InvalidStateError") \
    X(IncompleteReadError, "asyncio.exceptions", "IncompleteReadError") \
    X(LimitOverrunError, "asyncio.exceptions", "LimitOverrunError") \
    X(builtin_len, "builtins", "len") \
    X(asyncio_Handle, "asyncio.events", "Handle") \
    X(asyncio_TimerHandle, "asyncio.events", "TimerHandle") \
    X(set_asyncgen_hooks, "sys", "set_asyncgen_hooks") \
    X(get_asyncgen_hooks, "sys", "get_asyncgen_hooks") \
    X(asyncio_Future, "_asyncio", "Future") \
    X(asyncio_Task, "_asyncio", "Task") \
    X(asyncio_GatheringFuture, "asyncio.tasks", "_GatheringFuture") \
    X(BufferedProtocol, "asyncio.protocols", "BufferedProtocol") \
    X(TransportSocket, "asyncio.trsock", "TransportSocket") \
    X(run_until_complete_cb, "asyncio.base_events", "_run_until_complete_cb") \
    X(c_set_running_loop, "_asyncio", "_set_running_loop") \
    X(c_get_running_loop, "_asyncio", "_get_running_loop") \
    X(c_get_event_loop, "_asyncio", "get_event_loop") \
    X(c_enter_task, "_asyncio", "_enter_task") \
    X(c_leave_task, "_asyncio", "_leave_task") \
    X(iscoroutine, "asyncio.coroutines", "iscoroutine") \
    X(set_result_unless_cancelled, "asyncio.futures", \
      "_set_result_unless_cancelled") \
    X(isawaitable, "inspect", "isawaitable") \
    X(partial, "functools", "partial") \
    X(deque, "collections", "deque") \
    X(ExceptionGroup, "builtins", "ExceptionGroup") \
    X(timeout_State, "asyncio.timeouts", "_State") \
    X(asyncio_Lock, "asyncio.locks", "Lock") \
    X(asyncio_Event, "asyncio.locks", "Event") \
    X(asyncio_Condition, "asyncio.locks", "Condition") \
    X(asyncio_Semaphore, "asyncio.locks", "Semaphore") \
    X(asyncio_BoundedSemaphore, "asyncio.locks", "BoundedSemaphore") \
    X(asyncio_Barrier, "asyncio.locks", "Barrier") \
    X(asyncio_BarrierState, "asyncio.locks", "_BarrierState") \
    X(BrokenBarrierError, "asyncio.exceptions", "BrokenBarrierError") \
    X(mod_events, "asyncio.events", NULL) \
    X(mod_tasks, "asyncio.tasks", NULL) \
    X(mod_futures, "asyncio.futures", NULL) \
    X(chain_future, "asyncio.futures", "_chain_future") \
    X(mod_base_events, "asyncio.base_events", NULL) \
    X(mod_base_futures, "asyncio.base_futures", NULL) \
    X(mod_base_tasks, "asyncio.base_tasks", NULL) \
    X(mod_format_helpers, "asyncio.format_helpers", NULL) \
    X(mod_socket, "socket", NULL) \
    X(mod_selector_events, "asyncio.selector_events", NULL) \
    X(mod_unix_events, "asyncio.unix_events", NULL) \
    X(asyncio_BaseLoop, "asyncio.base_events", "BaseEventLoop") \
    X(asyncio_UnixLoop, "asyncio.unix_events", "_UnixSelectorEventLoop") \
    X(base_ipaddr_info, "asyncio.base_events", "_ipaddr_info") \
    X(socket_class, "socket", "socket") \
    X(socket_getaddrinfo, "socket", "getaddrinfo") \
    X(socket_getnameinfo, "_socket", "getnameinfo") \
    X(socket_AF_INET, "socket", "AF_INET") \
    X(socket_AF_INET6, "socket", "AF_INET6") \
    X(socket_SOCK_STREAM, "socket", "SOCK_STREAM") \
    X(socket_SOCK_DGRAM, "socket", "SOCK_DGRAM") \
    X(socket_SOCK_RAW, "socket", "SOCK_RAW") \
    X(socket_IPPROTO_TCP, "socket", "IPPROTO_TCP") \
    X(socket_IPPROTO_UDP, "socket", "IPPROTO_UDP") \
    X(mod_os, "os", NULL) \
    X(os_sendfile, "os", "sendfile") \
    X(UnsupportedOperation, "io", "UnsupportedOperation") \
    X(SendfileNotAvailableError, "asyncio.exceptions", \
      "SendfileNotAvailableError") \
    X(asyncio_FlowControl, "asyncio.transports", "_FlowControlMixin") \
    X(asyncio_DatagramTransport, "asyncio.transports", "DatagramTransport") \
    X(socket_type, "_socket", "socket") \
    X(asyncio_ReadTransport, "asyncio.transports", "ReadTransport") \
    X(FileIO_type, "_io", "FileIO") \
    X(mod_constants, "asyncio.constants", NULL) \
    X(mod_log, "asyncio.log", NULL) \
    X(mod_sslproto, "asyncio.sslproto", NULL) \
    X(mod_ssl, "asyncio.sslproto", "ssl") \
    X(asyncio_Queue, "asyncio.queues", "Queue") \
    X(asyncio_LifoQueue, "asyncio.queues", "LifoQueue") \
    X(asyncio_PriorityQueue, "asyncio.queues", "PriorityQueue") \
    X(QueueEmpty, "asyncio.queues", "QueueEmpty") \
    X(QueueFull, "asyncio.queues", "QueueFull") \
    X(heappush, "heapq", "heappush") \
    X(heappop, "heapq", "heappop") \
    X(mod_locks, "asyncio.locks", NULL) \
    FA_IMPORTS_SHUTDOWN(X) \
    X(mod_streams, "asyncio.streams", NULL) \
    X(asyncio_StreamReader, "asyncio.streams", "StreamReader") \
    X(asyncio_StreamProtocol, "asyncio.streams", "StreamReaderProtocol") \
    X(asyncio_StreamWriter, "asyncio.streams", "StreamWriter") \
    X(mod_subprocess, "subprocess", NULL) \
    X(Popen, "subprocess", "Popen") \
    X(allocate_lock, "_thread", "allocate_lock") \
    X(asyncio_UnixSubprocess, "asyncio.unix_events", \
      "_UnixSubprocessTransport") \
    X(asyncio_Subprocess, "asyncio.transports", "SubprocessTransport") \
    X(ReadPipeProto, "asyncio.base_subprocess", "ReadSubprocessPipeProto") \
    X(WritePipeProto, "asyncio.base_subprocess", "WriteSubprocessPipeProto") \
    FA_IMPORTS_WATCHERS(X) \
    FA_IMPORTS_GRAPH(X)

struct LoopObject;
struct fa_sink;
struct tls_lib;
typedef struct TaskObject TaskObject;
typedef struct HandleObject HandleObject;

#define FA_HANDLE_FREELIST_MAX 1024

/* Which methods of a queue are not ours (sync/queue.h). */
typedef struct {
    unsigned int version; /* of the type for which this holds, 0 = none */
    uint16_t bits;
    uint8_t put, get, init;
    uint8_t instance; /* some of the bits are from the instance dict */
} fa_queue_ways;

/* Dead objects of one exact type, linked through the first word after their
   head; untracked and without a reference to their type. */
typedef struct {
    PyObject *first; /* owned, NULL = none */
    int count;
} fa_freelist;

enum { FA_HANDLE, FA_TIMER, FA_THREADSAFE, FA_HANDLE_KINDS };

typedef struct fa_state {
#define X(name) PyTypeObject *name##Type; /* strong */
    FA_TYPES(X)
#undef X
#define X(name) PyObject *str_##name; /* strong, interned */
    FA_NAMES(X)
#undef X
#define X(field, module, attr) PyObject *field; /* strong */
    FA_IMPORTS(X)
#undef X

    /* current task (loop/current.h) */
    PyObject *current_tasks;   /* strong, <= 3.13: _asyncio._current_tasks */
    Py_ssize_t tstate_task;    /* 3.14+: offset of the field in the thread
                                  state, 0 = not found, use the functions */
    Py_ssize_t tstate_loop;    /* 3.13+: the same for the running loop */
    int running_kept;          /* before: how it is kept in the thread's dict
                                  (current.c), 0 = not known */
    volatile uint32_t *forkmark; /* owned or NULL: 0 in a forked child (os.h) */
    int pid;                   /* of this process, while *forkmark is not 0 */
    PyObject *c_swap_current_task; /* strong or NULL (before 3.12) */

    PyObject *kw_context; /* strong: ("context",), a kwnames tuple */
    PyObject *kw_name_context; /* strong: ("name", "context") */

    /* functions of the module that are callbacks of timers (sync/) */
    PyObject *timeout_fire;   /* strong */
    PyObject *release_waiter; /* strong */
    uint8_t group_closes;   /* TaskGroup.create_task closes what it refuses */
    uint8_t group_forgets;  /* leaving a TaskGroup drops its errors */
    uint8_t group_shortcut; /* a task that is done at once is settled at once */
    PyObject *kw_msg;     /* strong: ("msg",) */

    PyObject *loop_stock; /* strong or NULL: {name: function} of fastasync.Loop
                             as it was made (api/loop_type.c) */
    unsigned int socket_version; /* net/plain.c: the version tag of
                                    socket.socket at which it was seen ... */
    uint8_t socket_plain;        /* ... to be the standard library's own */
    /* the inside of a Python socket (net/sockcell.c) */
    int sock_layout;           /* 0 = not looked at yet, 1 = known, 2 = not */
    int sock_plain;            /* no method of it has been replaced ... */
    unsigned int sock_version; /* ... in this version of the class */
    Py_ssize_t sock_refs;      /* offsets of _io_refs and _closed */
    Py_ssize_t sock_closed;
    /* subprocesses (net/popen.c, net/process.c, api/loop_process.c) */
    PyObject *popen_own[2];  /* strong: Popen.__init__ and _execute_child as
                                they were at import */
    PyObject *asyncio_spawn; /* strong: asyncio's _make_subprocess_transport */
    PyObject *asyncio_exec;  /* strong: asyncio's subprocess_exec */
    PyObject *asyncio_exited; /* strong: asyncio's _child_watcher_callback */
    uint8_t exit_wakes;      /* wait() returns at the exit (3.14 and late releases
                                of 3.13), not when the pipes are closed too */
    uint8_t spawn_shields;   /* a cancelled spawn waits shielded for the end */

    Py_ssize_t context_vars;   /* loop/context.h: offset of the mapping in a
                                  Context, 0 = not found */
    int shield_logs;           /* asyncio.tasks has _log_on_exception (3.14, and
                                  late releases of 3.13) */
    int create_task_kwargs;    /* asyncio's create_task takes **kwargs */
    int allow_nested;          /* fastasync.allow_nested() was called */

    /* The entry functions of task/ (set by task_types_init), of type fa_run,
       which base/ring.h defines: the first two run a task's step (the loop
       settles the current task before any other entry), the third tells a
       closure. */
    int (*task_runs[3])(struct LoopObject *, PyObject *, PyObject *);

    /* What asyncio would have scheduled for such an entry (`which` of them):
       a callable and its context, both new. 0 or -1. */
    int (*task_entry)(int which, PyObject *self, PyObject *arg,
                      PyObject **callable, PyObject **context);

    /* How transports feed a stream protocol without a call into Python
       (net/net.h); constant, set by stream_types_init. */
    const struct fa_sink *stream_sink;

    /* TLS (net/tls*.c) */
    struct tls_lib *tls;     /* counted or NULL: not needed yet */
    uint8_t tls_memory;      /* tests: not directly on OpenSSL */
    uint8_t tls_asks_below;  /* asyncio's is_closing() of TLS asks the transport
                                below, too (3.14) */
    uint8_t tls_aborts_with; /* its _abort() takes the exception (3.13) */

    /* futures._set_result_unless_cancelled(fut, result) of a timer, without the
       Python function: 1 = done, 0 = it must be called after all, -1 =
       error. Runs no Python code. */
    int (*timer_sets_result)(struct fa_state *st, PyObject *fut,
                             PyObject *result);

    /* Show an object to the garbage collector if it is a task that has not
       been shown yet; the loop has stopped with it in the ring. */
    void (*task_settle)(PyObject *obj);

    /* A light timer (loop_call_at_light) has ended to be one. */
    void (*sleep_settle)(PyObject *owner, PyObject *fut);

    /* Ask the memory for what the wake-up of a task, or the setting of a future
       (any object) by a timer, will touch next. */
    void (*task_ahead)(PyObject *task);
    void (*future_ahead)(struct fa_state *st, PyObject *obj);

    /* recycled objects of task/ (task/freelist.h) */
    fa_freelist free_futures;
    fa_freelist free_tasks;
    fa_freelist free_iters;
    fa_freelist free_coros;
    fa_freelist free_bound;
    fa_freelist free_timeouts; /* sync/timeout.c */
    fa_freelist free_closures;
    PyObject *free_stop; /* owned, NULL = none: a spare StopIteration of the
                            type Stop (task/stop.c), its reference count 0 */

    /* the ways of Queue, LifoQueue, PriorityQueue themselves
       (sync/queue_ways.c) */
    fa_queue_ways queue_ways[3];

    /* task registry (task/registry.c) */
    TaskObject *tasks;         /* borrowed, head of the list of live tasks */
    uint64_t task_names;       /* the next Task-N */

    /* handle.c: recycled handles by kind, linked through `callback` */
    struct {
        HandleObject *first; /* owned */
        int count;
        unsigned int version; /* version tag of the type at which its `_run`
                                 was seen to be asyncio's own */
        PyObject *run;        /* strong: that `_run` as found at import */
    } handles[FA_HANDLE_KINDS];
    int hooked; /* asyncio.Handle._run has been replaced: every entry is run
                   through a Handle then */
} fa_state;

extern __attribute__((visibility("hidden"))) PyModuleDef fa_module_def;

/* The state of the module that defined `tp` or one of its bases (borrowed);
   NULL with TypeError if there is none. */
FA_INTERNAL fa_state *fa_state_of_type(PyTypeObject *tp);

static inline fa_state *
fa_state_of_module(PyObject *module)
{
    return (fa_state *)PyModule_GetState(module);
}

/* Create a heap type from its spec, bound to the module; `bases` may be NULL
   or one type. Stores a strong reference in *slot. Returns 0 or -1. */
FA_INTERNAL int fa_type_new(PyObject *module, PyType_Spec *spec,
                            PyObject *bases, PyTypeObject **slot);

/* Fill names and imports; called once by module.c before any type. */
FA_INTERNAL int fa_state_init(fa_state *st);
FA_INTERNAL int fa_state_traverse(fa_state *st, visitproc visit, void *arg);
FA_INTERNAL void fa_state_clear(fa_state *st);

/* Types of ours derive from asyncio's slotted Python classes (Handle,
   Transport). Their slots stand at the start of our structs; we shadow the
   descriptors and never use them, but whoever reaches them through the base's
   descriptors must not make us leak. `base` is the asyncio class. */
FA_INTERNAL int fa_base_slots_visit(PyTypeObject *base, PyObject *self,
                                    visitproc visit, void *arg);
FA_INTERNAL void fa_base_slots_clear(PyTypeObject *base, PyObject *self);

/* tp_dealloc of such a type, and of any that has a finalizer and weak references:
   `clear` is its tp_clear; `base` may be NULL. */
FA_INTERNAL void fa_finalized_dealloc(PyObject *self, inquiry clear,
                                      PyTypeObject *base);

#endif
