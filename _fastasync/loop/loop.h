/* loop/loop.h: the door of the engine. Time, readiness, order.

   One loop is one LoopObject. It owns a ring of ready entries, a heap of
   timers, a poller with a table of file descriptors, and a wake-up fd. It
   knows nothing of tasks, transports or arguments of Python calls: rooms to the
   right hand it a function and an object (fa_run) and are called back.

   One iteration (run.c):  poll -> I/O entries into the ring -> due timers into
   the ring -> run as many entries as the ring then held.  Nothing of an
   iteration is kept in the loop while an entry runs, so an entry may run the
   loop again, switch greenlets, or close the loop.

   Threads: everything here needs the GIL and, but for loop_push_threadsafe,
   the thread that runs the loop. */
#ifndef FA_LOOP_LOOP_H
#define FA_LOOP_LOOP_H

#include "base/compat.h"
#include "base/heap.h"
#include "base/ring.h"
#include "base/state.h"
#include "os/os.h"

/* Methods that C calls directly unless a subclass or an instance attribute
   has replaced them: bits of loop->overridden. */
enum {
    FA_OV_CALL_SOON = 1 << 0,
    FA_OV_TIME = 1 << 1,
    FA_OV_CALL_AT = 1 << 2,
    FA_OV_CREATE_TASK = 1 << 3,
    FA_OV_GET_DEBUG = 1 << 4,
    FA_OV_RUN_FOREVER = 1 << 5,
    FA_OV_CREATE_FUTURE = 1 << 6,
    FA_OV_CALL_LATER = 1 << 7,
    FA_OV_SOCK_IO = 1 << 8, /* any of add_reader and its kin */
    FA_OV_RESOLVE = 1 << 9, /* _ensure_resolved, by the instance */
    FA_OV_CALL_THREADSAFE = 1 << 10,
    FA_OV_RUN_IN_EXECUTOR = 1 << 11,
    FA_OV_CONNECTS = 1 << 12, /* any of those that create_connection is made of */
};

/* Who is told that a file descriptor is ready. */
typedef struct {
    fa_run run;    /* NULL = nobody */
    PyObject *obj; /* strong while run is set */
} fa_iocb;

typedef struct fa_wait fa_wait;

/* One slot per fd number. The generation grows whenever the slot is disarmed
   completely, so that an event fetched before that is recognised as stale. */
typedef struct {
    fa_iocb in, out;
    PyObject *owner; /* borrowed: the transport that has claimed the fd */
    PyObject *file;  /* strong or NULL: the object by which it was given, if
                        not an int; only while it is watched */
    PyObject *sock;  /* strong or NULL: weak reference to the socket that the fd
                        is kept armed for (kept.c) */
    fa_wait *more;   /* owned or NULL: further waiters for that socket */
    uint32_t generation;
    uint8_t armed; /* what the poller was last told: FA_IN | FA_OUT, and
                      FA_EDGE if the fd is kept (and see io.c) */
    uint8_t ready; /* kept: FA_IN | FA_OUT, reported and not used up */
    uint8_t idle;  /* kept: so many reports that nobody waited for */
    unsigned tcp : 1; /* kept: plain TCP */
    unsigned odd : 1; /* kept: more than data has been reported */
    unsigned large : 6; /* log2 of how much a call received lately, if that was
                           much (loop_kept_learn) */
    uint8_t small;      /* so many calls in a row received little since then */
} fa_fdslot;

/* One run of a loop (level.c). It belongs to the C frame of that run and is
   linked into the loop while the run lasts. */
typedef struct fa_level {
    struct fa_level *outer; /* the run that this one interrupts, or NULL */
    PyObject *future;       /* strong or NULL: what run_until_complete awaits */
    PyObject *above;        /* strong or NULL: the loop that was running in
                               this thread, this one or another */
    PyObject *base;         /* strong or NULL: the context that was current
                               when the outermost run began */
    PyObject *task;         /* strong or NULL: the task that was current */
    PyObject *contexts;     /* strong or NULL: a list of the contexts that were
                               left, the innermost first */
    PyObject *handle;       /* strong or NULL: loop->current_handle */
    int depth;              /* so many runs of loops of ours on top of each
                               other, this one counted */
    uint8_t inside;         /* it has interrupted a run, of this loop or another */
    uint8_t stopped;        /* stop() meant this run while a deeper one was on */
} fa_level;

typedef struct LoopObject {
    PyObject_HEAD
    fa_state *st; /* borrowed: lives as long as the type */

    /* order */
    fa_ring ready;      /* owned */
    fa_ring corked;     /* owned: writes held until the running entry returns */
    fa_heap timers;     /* owned; its nodes sit in TimerHandles, one strong
                           reference per node in the heap */

    /* readiness */
    fa_fdslot *fds;     /* owned, fd_count slots */
    int fd_count;
    int poller;         /* fd or -1 */
    int wakeup;         /* fd or -1 */
    uint64_t last_poll; /* clock_ticks() when the poller was last asked */
    int turns;          /* iterations since then */
    int64_t last_fired; /* when timers last moved into the ring, in ns */
    int brisk;          /* so many more polls follow each other: the first
                           turns of a run see all I/O, as asyncio's do */
    size_t polled;      /* ready.tail after the last poll: what stands before it
                           runs before the next one (level.c) */
    uint64_t ticks_per_us;

    /* run state */
    PyThreadState *tstate;   /* borrowed: of the thread in run_forever */
    unsigned long thread_id; /* of that thread, 0 = not running */
    Py_hash_t hash;          /* of the loop as a dict key */
    uint32_t overridden;     /* FA_OV_*: replaced in Python */
    unsigned int seen_version; /* the type's version tag at that time */
    uint8_t attributes_changed; /* the instance has an attribute of its own
                                   with the name of such a method */
    uint8_t running;
    uint8_t stopping;
    uint8_t closed;
    uint8_t debug;
    uint8_t asleep;        /* in the poller without the GIL: needs a wake-up */
    uint8_t woken;         /* the wake-up fd has been written, not yet read */
    uint8_t direct;        /* entries may be pushed without calling call_soon:
                              not overridden and not in debug mode */
    uint8_t current_stale; /* current.h */
    uint8_t foreign_transports; /* loop._transports (Python) names owners of
                                   fds that are no transports of ours */
    uint8_t light_timers;  /* some of the timers may be light (handle.h) */
    uint8_t was_debug;     /* set_debug(True) was called: origin tracking may
                              have to be reset */

    /* settings, all strong or NULL */
    PyObject *exception_handler;
    PyObject *task_factory;
    PyObject *eager_factory; /* a factory that was set and is asyncio's eager
                                one, making our Tasks: nobody need call it */
    PyObject *current_handle; /* debug mode: the handle that runs */
    PyObject *context_pristine; /* context.h: the copy that handles share */
    PyObject *context_work;     /* and the one to run in, NULL while in use */
    double slow_callback_duration;
    char *scratch; /* owned, FA_SCRATCH_SIZE bytes, allocated at first use: the
                      read buffer shared by all transports of the loop */
    char *scratch_tails; /* owned, FA_SCRATCH_TAILS bytes, allocated at first
                      use: where what does not fit into a small part of the
                      scratch goes on (net/datagram_read.c) */

    /* runs inside of runs; last, since nothing that is called often uses it */
    int8_t nesting;        /* loop.allow_nested: 0, 1, or FA_NESTING_UNSET */
    uint8_t nest_once;     /* the next run may be nested whatever that says */
    fa_level *level;       /* the innermost run, NULL = not running */
    fa_level first_level;  /* room for one that needs no allocation; depth 0 =
                              not in use */
    PyObject *awaited;     /* strong or NULL: the future of the run that is
                              about to begin */
} LoopObject;

#define FA_SCRATCH_SIZE (64 * 1024)
#define FA_SCRATCH_TAILS (2 * 1024 * 1024) /* address space, rarely touched */

#define FA_POLL_EVERY 1024 /* poll after so many turns at the latest */
#define FA_POLL_BRISK 4    /* the first turns of a run poll each */

/* New tasks are ours and start eagerly. */
static inline int
loop_is_eager(const LoopObject *loop)
{
    return loop->task_factory != NULL &&
           loop->task_factory == loop->eager_factory;
}
#define FA_NESTING_UNSET (-1) /* as fastasync.allow_nested() has it */
#define FA_LEVEL_MAX 64       /* runs inside of each other */

/* -- kinds of loops ------------------------------------------------------- */

static inline int
loop_check(fa_state *st, PyObject *obj)
{
    // fastasync.Loop, whose base the core is, then any other
    return Py_TYPE(obj)->tp_base == st->LoopCoreType ||
           PyObject_TypeCheck(obj, st->LoopCoreType);
}

/* -- order (sched.c) ------------------------------------------------------ */

/* HOT. Run `run(loop, self, arg)` in the next iteration. Takes over both
   references. The caller has checked loop->direct (else it must go through the
   Python method call_soon) and that the loop is not closed. 0, or -1 with
   MemoryError. */
static inline int
loop_push(LoopObject *loop, fa_run run, PyObject *self, PyObject *arg)
{
    return ring_push(&loop->ready, run, self, arg);
}

/* -1 with RuntimeError('Event loop is closed') if it is. */
FA_INTERNAL int loop_check_closed(LoopObject *loop);

/* call_soon of the engine: makes the Handle and pushes it. `context` NULL = a
   copy of the current one. Returns a new reference to the Handle. In debug mode
   checks the thread. */
FA_INTERNAL PyObject *loop_call_soon(LoopObject *loop, PyObject *callback,
                                     PyObject *const *args, Py_ssize_t nargs,
                                     PyObject *context);

/* The same from any thread; wakes the loop if it sleeps. */
FA_INTERNAL PyObject *loop_call_soon_threadsafe(LoopObject *loop,
                                                PyObject *callback,
                                                PyObject *const *args,
                                                Py_ssize_t nargs,
                                                PyObject *context);

/* call_at: `when` in seconds of loop.time(), `when_obj` the object the user
   gave (borrowed, NULL = make a float when asked). New reference. */
FA_INTERNAL PyObject *loop_call_at(LoopObject *loop, double when,
                                   PyObject *when_obj, PyObject *callback,
                                   PyObject *const *args, Py_ssize_t nargs,
                                   PyObject *context);

/* HOT. The same for a caller in C who keeps the handle to himself and does
   nothing but timer_cancel with it, before he lets it go. As long as such a timer
   is in the heap of a running loop, all that it leads to is alive, and none of it
   needs to be shown to the garbage collector: neither the timer, nor the first
   argument, nor `owner` (borrowed), an object that refers to nothing but those
   two. *light = 1 if it has become such a timer: then the caller may untrack
   the argument and the owner, and st->sleep_settle(owner, argument) is called
   when that ends, in whatever way. Benchmark: sleep_timers. */
FA_INTERNAL PyObject *loop_call_at_light(LoopObject *loop, double when,
                                         PyObject *callback,
                                         PyObject *const *args,
                                         Py_ssize_t nargs, PyObject *owner,
                                         int *light);

/* The owner goes, or is about to: end to be light. For an exact TimerHandle. */
FA_INTERNAL void timer_unveil(PyObject *timer);

/* timer.cancel() of an exact TimerHandle. May run Python code. 0 or -1. */
FA_INTERNAL int timer_cancel(PyObject *timer);

/* loop.time() in seconds, honouring a replaced method; -1.0 and an exception
   on failure (test PyErr_Occurred). */
FA_INTERNAL double loop_time(LoopObject *loop);

/* The loop may sleep in another thread: make it look at the ring. */
FA_INTERNAL void loop_wake(LoopObject *loop);

/* Timers that are due move to the ring. 0 or -1. */
FA_INTERNAL int loop_fire_timers(LoopObject *loop);

/* Nanoseconds until the first timer (0 = due), -1 = there is none; -2 and an
   exception on failure. */
FA_INTERNAL int64_t loop_next_timer(LoopObject *loop);

/* Ask the kernel before the next iteration runs, however much there is to do: a
   connection was made, and the other side may be in this loop; or a file is
   watched from now on, and has something for us already. */
static inline void
loop_poll_next(LoopObject *loop)
{
    loop->turns = FA_POLL_EVERY;
}

/* Hold writes: `run(loop, self, NULL)` is called when the running entry has
   returned to the loop. Only while loop->running. Takes over `self`. */
static inline int
loop_cork(LoopObject *loop, fa_run run, PyObject *self)
{
    return ring_push(&loop->corked, run, self, NULL);
}

/* -- iteration (run.c) ---------------------------------------------------- */

/* run_forever without the checks and hooks that are Python's business: spin
   until stop. Returns 0, or -1 with the exception that left an entry. */
FA_INTERNAL int loop_spin(LoopObject *loop);

/* One iteration. */
FA_INTERNAL int loop_run_once(LoopObject *loop);

/* The loop is not running any more (loop->running is 0): make the garbage
   collector see the handles that still wait. */
FA_INTERNAL void loop_settle_handles(LoopObject *loop);

/* The same for its timers: also when somebody wants to see them. */
FA_INTERNAL void loop_settle_timers(LoopObject *loop);
/* -- runs inside of runs (level.c) ---------------------------------------- */

/* May the loop be run although a loop runs in this thread? 1, 0 or -1; 2 = only
   because nest_asyncio.apply() was called. */
FA_INTERNAL int loop_may_nest(LoopObject *loop);

/* May one more run begin inside of those there are? 0, or -1 with
   RecursionError. May run Python code. */
FA_INTERNAL int level_check_depth(LoopObject *loop, PyObject *above);

/* A run begins. `above` is the running loop of this thread (borrowed, NULL =
   none; then nothing but the link is made). Otherwise all that the interrupted
   run has entered is left: its current task, its contexts. Takes over
   loop->awaited. NULL with an exception, and nothing has changed. Call while
   `above` still is the running loop. */
FA_INTERNAL fa_level *level_enter(LoopObject *loop, PyObject *above);

/* The run is over and level->above is the running loop again: bring back what
   level_enter has put away and free the level. Keeps the raised exception.
   0, or -1 with an exception if something could not be brought back. */
FA_INTERNAL int level_leave(LoopObject *loop, fa_level *level);

/* The run is over: take it off the loop. Returns 1 if the loop goes on running,
   in an outer run. Keeps the raised exception. */
FA_INTERNAL int level_unlink(LoopObject *loop, fa_level *level);

/* loop.stop(): the innermost run ends after this turn; but where the future of
   an outer one is done, it is that one's callback that calls, and means it. */
FA_INTERNAL void level_stop(LoopObject *loop);

/* -- readiness (io.c) ----------------------------------------------------- */

/* Watch `fd` in direction `dir` (FA_IN or FA_OUT): whenever it is ready,
   run(loop, obj, NULL) is put into the ring (obj strong). Replaces a former
   watcher of the same direction. Returns 1 if there was one, 0 if not, -1 with
   OSError. May run Python code (drops the former obj). */
FA_INTERNAL int loop_io_start(LoopObject *loop, int fd, int dir, fa_run run,
                              PyObject *obj);

/* Stop watching. Returns 1 if it was watched, 0 if not; no errors: a file
   descriptor that is closed already is simply forgotten. Entries that are in
   the ring already still run: the receiver checks its own state. May run
   Python code (drops obj). */
FA_INTERNAL int loop_io_stop(LoopObject *loop, int fd, int dir);

/* Remember the object (NULL = none) by which somebody has asked to watch `fd`,
   as the selectors module does: it lives at least as long as the watching, and
   can be found when its file is closed. Only while fd is watched; dropped when
   it no longer is. May run Python code (drops the former one). */
FA_INTERNAL void loop_io_set_file(LoopObject *loop, int fd, PyObject *file);

/* The object that is kept for fd (borrowed), or NULL. */
static inline PyObject *
loop_io_file(const LoopObject *loop, int fd)
{
    return fd < loop->fd_count ? loop->fds[fd].file : NULL;
}

/* The fd that is watched for the object, -1 = none. */
FA_INTERNAL int loop_io_find(const LoopObject *loop, PyObject *file);

/* -- kept.c: sockets between two calls of sock_*() -------------------------- */

/* HOT. Will the next call on the socket, whose fd that is, perhaps succeed? 0 =
   certainly not: wait at once. */
FA_INTERNAL int loop_kept_ready(LoopObject *loop, int fd, PyObject *sock,
                                int dir);

/* The call has said EAGAIN / recv has given less than was asked for, but
   something. */
FA_INTERNAL void loop_kept_drained(LoopObject *loop, int fd, PyObject *sock,
                                   int dir);
FA_INTERNAL void loop_kept_short(LoopObject *loop, int fd, PyObject *sock);

/* HOT. The next time that the socket is ready in that direction, run(loop, obj,
   NULL) is put into the ring (obj strong), once. `fresh`: what was reported up
   to now does not count, not even what has not arrived here. All waiters of all
   sockets have the same `run`. 0; 1 if somebody else watches the fd, with
   nothing done; -1 with an exception. Runs no Python code. */
FA_INTERNAL int loop_kept_wait(LoopObject *loop, int fd, PyObject *sock,
                               int dir, int fresh, fa_run run, PyObject *obj);

/* A call on the fd has received n bytes, and would have taken more than fits
   into the scratch buffer. / How much such a call received lately, roughly, where
   that was much; 0 = it was not, or is not known. */
FA_INTERNAL void loop_kept_learn(LoopObject *loop, int fd, size_t n);
FA_INTERNAL size_t loop_kept_large(LoopObject *loop, int fd);

/* obj does not wait any more; nothing if it has been told already. The caller
   has a reference to it. */
FA_INTERNAL void loop_kept_leave(LoopObject *loop, int fd, int dir,
                                 PyObject *obj);

/* A transport claims its fd from its making to the closing of the socket, so
   that add_reader and sock_* on it are refused. One owner per fd. `owner` is
   borrowed: release before it goes. */
FA_INTERNAL int loop_io_claim(LoopObject *loop, int fd, PyObject *owner);
FA_INTERNAL void loop_io_release(LoopObject *loop, int fd, PyObject *owner);
FA_INTERNAL PyObject *loop_io_owner(LoopObject *loop, int fd);

/* The object that watches fd in that direction (borrowed), or NULL. */
FA_INTERNAL PyObject *loop_io_watcher(LoopObject *loop, int fd, int dir);

/* Ask the poller (may block without the GIL) and put entries into the ring.
   0 or -1 with an exception, also one raised by a Python signal handler. */
FA_INTERNAL int loop_poll(LoopObject *loop, int64_t timeout_ns);

/* The read buffer of the loop; NULL with MemoryError. Its contents are valid
   until Python code runs. */
FA_INTERNAL char *loop_scratch(LoopObject *loop);
FA_INTERNAL char *loop_scratch_tails(LoopObject *loop);

/* -- reports (report.c) --------------------------------------------------- */

/* loop.call_exception_handler({'message':, 'exception':, **extra}): `exc` and
   `extra` (a dict) may be NULL; all borrowed. Returns 0, or -1 if the method
   itself raised (asyncio's only lets SystemExit and KeyboardInterrupt out).
   `loop` is any loop object. */
FA_INTERNAL int loop_report(fa_state *st, PyObject *loop, PyObject *message,
                            PyObject *exc, PyObject *extra);

/* Debug mode: run an entry, time it and warn if it was slow. */
FA_INTERNAL int loop_run_timed(LoopObject *loop, fa_ready entry);

/* Debug mode: format_helpers.extract_stack(sys._getframe(0)) (new). */
FA_INTERNAL PyObject *loop_extract_stack(fa_state *st);

/* handle.cancel() of whatever a loop's call_soon or call_at has returned, at C
   speed for one of ours. 0 or -1. HOT */
FA_INTERNAL int fa_handle_cancel(fa_state *st, PyObject *handle);

/* -- any loop, ours or not (sched.c) -------------------------------------- */

/* loop.call_soon(callback, arg, context=context) on whatever `loop` is:
   directly for one of ours, else through the Python method. `arg` may be NULL
   (no argument), `context` NULL = none given. 0 or -1. */
FA_INTERNAL int fa_call_soon(fa_state *st, PyObject *loop, PyObject *callback,
                             PyObject *arg, PyObject *context);

/* loop.get_debug() as 0/1, -1 on error. */
FA_INTERNAL int fa_loop_debug(fa_state *st, PyObject *loop);

/* HOT. The running loop of this thread as asyncio sees it (current.c): 0 and a
   new reference or NULL in *out; -1 on error. */
FA_INTERNAL int fa_running_loop(fa_state *st, PyObject **out);

/* Give back what finding it took; called when the module state is cleared. */
FA_INTERNAL void loop_current_clear(fa_state *st);

/* -- life (loop.c) -------------------------------------------------------- */

FA_INTERNAL int loop_open(LoopObject *loop, fa_state *st);
FA_INTERNAL int loop_traverse(LoopObject *loop, visitproc visit, void *arg);
FA_INTERNAL void loop_clear(LoopObject *loop);
/* Drop everything scheduled and close the fds; may run Python code. */
FA_INTERNAL void loop_close(LoopObject *loop);
/* Close the fds only. */
FA_INTERNAL void loop_close_fds(LoopObject *loop);
/* For tp_dealloc: everything goes. */
FA_INTERNAL void loop_free(LoopObject *loop);
/* Recompute loop->direct after closed, debug or overridden has changed. */
FA_INTERNAL void loop_refresh_direct(LoopObject *loop);

/* Types of this room: Handle, TimerHandle, ThreadSafeHandle. 0 or -1. */
FA_INTERNAL int loop_types_init(PyObject *module, fa_state *st);

#endif
