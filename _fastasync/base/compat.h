/* base/compat.h: the ONLY place for PY_VERSION_HEX and Py_GIL_DISABLED.

   Two kinds of things stand here: feature macros (FA_HAS_..., always 0 or 1)
   that say what the asyncio of the running version does, and inline functions
   that give one spelling to C-API calls that changed between 3.11 and 3.15.
   Everything else in the tree tests a feature, never a version. */
#ifndef FA_BASE_COMPAT_H
#define FA_BASE_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "base/common.h"

#if PY_VERSION_HEX < 0x030B0000
#  error "fastasync needs CPython 3.11 or newer"
#endif

#define FA_PY312 (PY_VERSION_HEX >= 0x030C0000)
#define FA_PY313 (PY_VERSION_HEX >= 0x030D0000)
#define FA_PY314 (PY_VERSION_HEX >= 0x030E0000)
#define FA_PY315 (PY_VERSION_HEX >= 0x030F0000)

#ifdef Py_GIL_DISABLED
#  define FA_GIL_DISABLED 1
#else
#  define FA_GIL_DISABLED 0
#endif

/* Task(eager_start=), Task.get_context, Handle.get_context, lazy names. */
#define FA_HAS_EAGER_START FA_PY312
/* Future._asyncio_awaited_by and the call graph functions. */
#define FA_HAS_AWAITED_BY FA_PY314
/* A pending task that its finalizer has let escape stays in all_tasks (before,
   the weak reference there was gone by then). */
#define FA_KEEPS_FINALIZED_TASKS FA_PY314
/* The current task lives in the thread state, not in a dict. */
#define FA_HAS_TSTATE_TASK FA_PY314
/* How far into the thread state to look for it (current.c), in bytes. */
#define FA_TSTATE_SEARCH \
    (sizeof(PyThreadState) + (FA_PY315 ? 200 : FA_PY314 ? 104 : 16))
/* The running loop lives there too (before: in the thread's dict). */
#define FA_HAS_TSTATE_LOOP FA_PY313
/* sleep(nan) is a ValueError. */
#define FA_HAS_SLEEP_NAN FA_PY313
/* ensure_future wraps what has only __await__ in an `async def` (before: in a
   generator, tasks._wrap_awaitable). */
#define FA_HAS_ASYNC_WRAP_AWAITABLE FA_PY312
/* A Timeout puts its TimeoutError into the context of what replaced its
   CancelledError, and takes subclasses of that for it. */
#define FA_HAS_TIMEOUT_INSERTS FA_PY313
/* wait_for is made of timeout() (before: of a waiter and a timer). */
#define FA_HAS_WAIT_FOR_TIMEOUT FA_PY312
/* TaskGroup: keeps a cancellation of its parent alive, takes subclasses of
   CancelledError for it. */
#define FA_HAS_GROUP_RECANCEL FA_PY313
/* TaskGroup.cancel(), a lone GeneratorExit, __aexit__ that returns True. */
#define FA_HAS_GROUP_CANCEL FA_PY315
/* a sendfile that has sent nothing sets the position of the file too */
#define FA_HAS_SENDFILE_SEEK FA_PY314
/* _chain_future copies at once what ends in the loop's own thread */
#define FA_HAS_CHAIN_HERE FA_PY314
/* gather handles futures that are done already before it returns. */
#define FA_HAS_GATHER_EAGER FA_PY312
/* asyncio.current_task is C, in its error texts too. */
#define FA_HAS_C_CURRENT_TASK FA_PY312
/* asyncio.create_task hands the name to the loop (before: sets it later). */
#define FA_HAS_CREATE_TASK_NAME FA_PY313
/* close() of a coroutine that returns a value returns it. */
#define FA_CLOSE_RETURNS_VALUE FA_PY313
/* A StopIteration thrown into a fresh coroutine comes out as it is. */
#define FA_HAS_FREE_FIRST_THROW FA_PY312
/* Coroutines tell their state (cr_state). */
#define FA_HAS_CORO_STATE FA_PY315
/* What `await 3` says. */
#if FA_PY314
#  define FA_AWAIT_REFUSED_TEXT "'%.100s' object can't be awaited"
#else
#  define FA_AWAIT_REFUSED_TEXT \
    "object %.100s can't be used in 'await' expression"
#endif
/* A failing __await__ is named by its type. */
#define FA_NAMES_AWAIT_TYPE FA_PY315
/* create_task passes every keyword straight on to Task or factory. */
#define FA_HAS_TASK_KWARGS FA_PY314
/* Its signature says so; 3.13.0 to 3.13.2 still refuse them when called. */
#define FA_SAYS_TASK_KWARGS FA_PY313
/* Future.__init__ a second time is a RuntimeError. */
#define FA_HAS_INIT_ONCE FA_PY315
/* call_soon_threadsafe returns a _ThreadSafeHandle. */
#define FA_HAS_THREADSAFE_HANDLE FA_PY314
/* A Future may not take a StopIteration: TypeError before, RuntimeError since. */
#define FA_HAS_STOPITERATION_WRAP FA_PY313
/* The last Task.uncancel() also takes back a cancellation not yet delivered. */
#define FA_HAS_UNCANCEL_CLEARS FA_PY313
/* How a step of a finished task names itself in its error. */
#if FA_PY314
#  define FA_STEP_NAME "__step()"
#else
#  define FA_STEP_NAME "_step()"
#endif
/* throw(type, value, traceback) is deprecated. */
#define FA_WARNS_THROW_TRIPLE FA_PY312
/* transport.writelines sends piece by piece (before: b''.join and write). */
#define FA_HAS_WRITELINES_SENDMSG FA_PY312
/* transport.writelines skips whatever is false among its items. */
#define FA_HAS_WRITELINES_SKIP FA_PY315
/* The TypeError of transport.write names the three types it takes. */
#define FA_HAS_WRITE_TYPES_TEXT FA_PY314
/* create_connection(all_errors=). */
#define FA_HAS_ALL_ERRORS FA_PY312
/* The context of a connection is taken before its protocol is made, and
   _create_connection_transport(context=); a socket for which no transport could
   be made is closed. */
#define FA_HAS_CONNECTION_CONTEXT FA_PY315
/* DatagramTransport.sendto: an empty datagram is sent (before: dropped), and
   each one that waits counts for so many bytes more than it has. */
#define FA_SENDS_EMPTY_DATAGRAMS FA_PY313
#define FA_DATAGRAM_HEADER (FA_PY313 ? 8 : 0)
/* Server keeps its transports: _attach and _detach have an argument. */
#define FA_HAS_SERVER_CLIENTS FA_PY313
/* A server calls loop._start_serving(..., context=). */
#define FA_HAS_SERVER_CONTEXT FA_PY315
/* Subclasses of StopIteration are refused as well. */
#define FA_REFUSES_STOPITERATION_SUBCLASS FA_PY313
/* Queue.shutdown(). */
#define FA_HAS_QUEUE_SHUTDOWN FA_PY313
/* as_completed() is an object that is an asynchronous iterator as well (before:
   a generator). */
#define FA_HAS_ASYNC_AS_COMPLETED FA_PY313
/* What as_completed() waits for is in the call graph. */
#define FA_HAS_AS_COMPLETED_GRAPH FA_PY315
/* A future's iterator gives the result again each time it is asked. */
#define FA_FUTURE_ITER_REPEATS FA_PY314
/* Who leaves a semaphore's queue wakes as many as its number allows. */
#define FA_HAS_SEMAPHORE_FAIR FA_PY313
/* Condition.wait() passes its notification on when it raises, and raises the
   last CancelledError it got (before: a new one); it makes its future before it
   frees the lock. */
#define FA_HAS_CONDITION_RENOTIFY FA_PY313
/* Barrier(0): "parties must be >= 1" (before: "> 0"). */
#define FA_HAS_BARRIER_TEXT FA_PY314
/* StreamReaderProtocol keeps its writer (_stream_writer) ... */
#define FA_HAS_STREAM_WRITER !FA_PY313
/* ... and forgets it when the connection is lost, though it has none. */
#define FA_CLEARS_STREAM_WRITER !FA_PY315
/* StreamWriter.start_tls(ssl_shutdown_timeout=). */
#define FA_HAS_STREAM_SHUTDOWN_TIMEOUT FA_PY312
/* `async with` makes bound methods of __aenter__ and __aexit__. */
#define FA_BINDS_SPECIAL !FA_PY314
/* The SEND opcode of this version uses am_send (else tp_iternext). */
#define FA_HAS_AM_SEND_OPCODE (!FA_PY312 || FA_PY315)

/* What changed between two micro versions, for which there is one build:
   a cancelled client_connected_cb is no error any more. */
static inline int
fa_forgives_cancelled_client(void)
{
    return FA_PY312 ? Py_Version >= 0x030C0200 : Py_Version >= 0x030B0800;
}

/* create_connection without a connection and without an exception to raise is a
   TimeoutError (before: the IndexError of exceptions[0]). */
static inline int
fa_connect_times_out(void)
{
    return FA_PY314 || (FA_PY313 && Py_Version >= 0x030D0600);
}

/* StreamReader asks events._get_event_loop() for its loop. */
#define FA_STREAMS_ASK_PRIVATELY (!FA_PY312)
/* StreamReader.readuntil takes a tuple of separators. */
#define FA_HAS_SEPARATOR_TUPLE FA_PY313
/* bytearray.take_bytes, by which StreamReader takes. */
#define FA_HAS_TAKE_BYTES FA_PY315
/* StreamReader._replace_transport (for StreamWriter.start_tls). */
#define FA_HAS_READER_REPLACE_TRANSPORT FA_PY314
/* child watchers belong to the event loop policy */
#define FA_HAS_CHILD_WATCHERS !FA_PY314
/* the default child watcher watches a pidfd, not a thread */
#define FA_HAS_PIDFD_WATCHER FA_PY312
/* subprocess._USE_VFORK = False means fork */
#define FA_HAS_VFORK_SWITCH !FA_PY314
/* a Popen that starts its child by posix_spawn (only without close_fds) gives it
   what os.environ says, not what the C library's environment says */
#define FA_POSIX_SPAWN_OS_ENVIRON !FA_PY313
/* so many iterations lie between a child's end and _process_exited */
#define FA_EXIT_HOPS (FA_PY314 ? 0 : FA_PY312 ? 1 : 2)

/* -- exceptions --------------------------------------------------------- */

/* The raised exception, normalised, as a new reference (NULL if none); the
   error indicator is clear afterwards. */
static inline PyObject *
fa_err_take(void)
{
#if FA_PY312
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    if (type == NULL) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &tb);
    if (tb != NULL) {
        PyException_SetTraceback(value, tb);
        Py_DECREF(tb);
    }
    Py_DECREF(type);
    return value;
#endif
}

/* Raise `exc` (an instance; steals the reference; NULL is allowed and clears). */
static inline void
fa_err_restore(PyObject *exc)
{
#if FA_PY312
    PyErr_SetRaisedException(exc);
#else
    if (exc == NULL) {
        PyErr_Clear();
        return;
    }
    PyErr_Restore(Py_NewRef(Py_TYPE(exc)), exc, PyException_GetTraceback(exc));
#endif
}

/* -- attributes and dicts ------------------------------------------------ */

/* 1 and a new reference, 0 and NULL if there is no such attribute, -1 on error. */
static inline int
fa_getattr_opt(PyObject *obj, PyObject *name, PyObject **out)
{
#if FA_PY313
    return PyObject_GetOptionalAttr(obj, name, out);
#else
    return _PyObject_LookupAttr(obj, name, out);
#endif
}

#if FA_PY313 && !FA_PY314
/* Exported by 3.13, declared in a header that extensions cannot include. */
PyAPI_FUNC(int) _PyDict_SetItem_KnownHash(PyObject *mp, PyObject *key,
                                          PyObject *item, Py_hash_t hash);
#endif

/* -- refcounts ------------------------------------------------------------ */

/* True if our reference is the only one: the object may be reused. */
static inline int
fa_is_unique(PyObject *obj)
{
#if FA_GIL_DISABLED
    (void)obj;
    return 0;
#else
    return Py_REFCNT(obj) == 1;
#endif
}

/* True if `arg`, an argument of the running C function, is a temporary of the
   calling Python frame: it dies when we return, and nobody can change it any
   more. May say no. */
static inline int
fa_is_temporary(PyObject *arg)
{
#if FA_PY314
    return PyUnstable_Object_IsUniqueReferencedTemporary(arg);
#else
    (void)arg; // a count of 1 may also be a tuple's: partial, *args
    return 0;
#endif
}

/* -- locks ---------------------------------------------------------------- */

#if FA_PY313
#  define FA_BEGIN_CRITICAL(op) Py_BEGIN_CRITICAL_SECTION(op)
#  define FA_END_CRITICAL() Py_END_CRITICAL_SECTION()
#else
#  define FA_BEGIN_CRITICAL(op) {
#  define FA_END_CRITICAL() }
#endif

/* -- types ---------------------------------------------------------------- */

/* Has anybody made a weak reference to the object? The offset of the list is
   negative where the interpreter manages it; 0 = the type has none. */
static inline int
fa_has_weakrefs(PyObject *obj)
{
    Py_ssize_t offset = Py_TYPE(obj)->tp_weaklistoffset;
    return offset != 0 && *(PyObject **)((char *)obj + offset) != NULL;
}

/* The object of a weak reference (new), or NULL without an exception if it is
   gone or `ref` is none. */
static inline PyObject *
fa_weakref_get(PyObject *ref)
{
    if (ref == NULL || !PyWeakref_Check(ref)) {
        return NULL;
    }
#if FA_PY313
    PyObject *obj;
    return PyWeakref_GetRef(ref, &obj) < 0 ? NULL : obj;
#else
    PyObject *obj = PyWeakref_GET_OBJECT(ref);
    return obj == Py_None ? NULL : Py_NewRef(obj);
#endif
}

/* Is that what the weak reference refers to? `obj` is alive. HOT */
static inline int
fa_weakref_is(PyObject *ref, PyObject *obj)
{
    return ((PyWeakReference *)ref)->wr_object == obj;
}

/* The type's version tag, 0 while it has none: changes whenever the type or
   one of its bases is modified. */
static inline unsigned int
fa_type_version(PyTypeObject *tp)
{
    return tp->tp_version_tag;
}

#endif
