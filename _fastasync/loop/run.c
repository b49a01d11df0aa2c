/* loop/run.c: one iteration on one screen.

   The order is asyncio's: I/O, then due timers, then as many entries as the
   ring holds at that point. What differs is how often the kernel is asked:
   while the ring has work, epoll_wait(0) would only tell what a later one will
   tell as well, so it is skipped until POLL_EVERY_US have passed or
   FA_POLL_EVERY turns are over (but not in the first turns of a run, since
   programs pump I/O by running the loop briefly); timers are looked at in the same rhythm. Nothing of an
   iteration lives in the loop while an entry runs (re-entrancy). HOT.
   Benchmarks: call_soon_chain, sleep0_1. */
#include "base/errors.h"
#include "loop/current.h"
#include "loop/handle.h"
#include "loop/loop.h"

#define POLL_EVERY_US 250  /* fairness towards I/O */
#define TIMERS_EVERY_US 20 /* how late a timer may be while others run */

#define LOOK_AHEAD 8   /* entries */
#define FETCH_SELF 256 /* bytes: a TimerHandle, a Task */
#define FETCH_ARG 128  /* a Future */

/* HOT. Is it time to ask the kernel although the ring has work? */
static inline int
loop_poll_due(LoopObject *loop)
{
    uint64_t passed = clock_ticks() - loop->last_poll;
    uint64_t limit = loop->timers.len > 0 ? TIMERS_EVERY_US : POLL_EVERY_US;
    return ++loop->turns >= FA_POLL_EVERY ||
           passed >= limit * loop->ticks_per_us || loop->stopping ||
           (loop->timers.len > 0 && (loop->overridden & FA_OV_TIME));
}

/* Has everything run that the last poll has put into the ring? Always true but
   for what a nested run has left: asked again, the kernel would report the same
   file once more. */
static inline int
loop_polled_ran(const LoopObject *loop)
{
    return loop->ready.head >= loop->polled;
}

/* Writes that the entry just run has left behind. 0 or -1. HOT */
static inline int
loop_uncork(LoopObject *loop)
{
    while (ring_len(&loop->corked) > 0) {
        fa_ready entry = ring_pop(&loop->corked);
        if (entry.run(loop, entry.self, entry.arg) < 0) {
            return -1;
        }
    }
    return 0;
}

/* I/O and timers into the ring, waiting if there is nothing to do. 0 or -1. */
static int
loop_collect(LoopObject *loop)
{
    // written by an outer entry that runs the loop again: it may wait for the
    // answer
    if (FA_UNLIKELY(ring_len(&loop->corked) > 0) && loop_uncork(loop) < 0) {
        return -1;
    }
    int64_t timeout = 0;
    if (ring_len(&loop->ready) == 0 && !loop->stopping) {
        timeout = loop_next_timer(loop);
        if (timeout == -2) {
            return -1;
        }
    }
    return loop_poll(loop, timeout) < 0 ? -1 : loop_fire_timers(loop);
}

/* The same for an entry whose exception leaves the loop. Always -1. */
static FA_COLD int
loop_uncork_failed(LoopObject *loop)
{
    PyObject *exc = fa_err_take();
    if (loop_uncork(loop) < 0) {
        fa_err_chain(exc);
    }
    else {
        fa_err_restore(exc);
    }
    return -1;
}

/* Somebody wants to see every entry as a Handle: give a task's entry one.
   Others (transports) have none in asyncio's sense and run as they are. */
static FA_COLD int
loop_run_hooked(LoopObject *loop, fa_ready entry)
{
    fa_state *st = loop->st;
    int which = entry.run == st->task_runs[0]   ? 0
                : entry.run == st->task_runs[1] ? 1
                : entry.run == st->task_runs[2] ? 2
                                                : -1;
    if (which < 0) {
        return entry.run(loop, entry.self, entry.arg);
    }
    PyObject *callable = NULL, *context = NULL;
    int rc = st->task_entry(which, entry.self, entry.arg, &callable, &context);
    if (rc == 0) {
        HandleObject *handle = handle_new(loop, FA_HANDLE, callable,
                                          &entry.arg, which > 0, context);
        rc = handle == NULL ? -1 : handle_run(loop, (PyObject *)handle, NULL);
    }
    Py_XDECREF(callable);
    Py_XDECREF(context);
    Py_DECREF(entry.self);
    Py_XDECREF(entry.arg);
    return rc;
}

/* Debug mode or a hook: 0 or -1. */
static FA_COLD int
loop_run_watched(LoopObject *loop, fa_ready entry)
{
    return loop->debug ? loop_run_timed(loop, entry)
                       : loop_run_hooked(loop, entry);
}

/* HOT. Run one entry, then what it left to be done at its end. */
static inline int
loop_run_entry(LoopObject *loop, fa_ready entry)
{
    if (FA_UNLIKELY(loop->current_stale) &&
        entry.run != loop->st->task_runs[0] &&
        entry.run != loop->st->task_runs[1])
    {
        loop_current_settle(loop);
    }
    int rc = FA_UNLIKELY(loop->debug | loop->st->hooked)
                 ? loop_run_watched(loop, entry)
                 : entry.run(loop, entry.self, entry.arg);
    if (ring_len(&loop->corked) > 0) {
        return FA_LIKELY(rc == 0) ? loop_uncork(loop)
                                  : loop_uncork_failed(loop);
    }
    return rc;
}

/* HOT. A long ring: what wakes after a while has left the caches, and one object
   leads to the next (handle, future, task, coroutine), so that running an entry
   would be one wait for memory after another. Each link is asked for a few
   entries before it is followed, and the waits overlap. Objects of entries are
   alive; what they point to is only asked for, not read. */
static inline void
loop_look_ahead(LoopObject *loop)
{
    fa_state *st = loop->st;
    fa_ready *far = ring_at(&loop->ready, LOOK_AHEAD - 1);
    fa_fetch(far->self, FETCH_SELF);
    fa_fetch(far->arg, FETCH_ARG);
    fa_ready *near = ring_at(&loop->ready, LOOK_AHEAD / 2 - 1);
    if (near->run == handle_run) {
        fa_fetch(((HandleObject *)near->self)->inline_args[0], FETCH_ARG);
        near = ring_at(&loop->ready, LOOK_AHEAD / 4 - 1);
        if (near->run == handle_run) {
            HandleObject *handle = (HandleObject *)near->self;
            st->future_ahead(st, handle->inline_args[0]);
            fa_fetch(handle->owner, 1);
        }
    }
    else if (near->run == st->task_runs[1]) {
        st->task_ahead(near->self);
    }
}

int
loop_run_once(LoopObject *loop)
{
    if (ring_len(&loop->ready) == 0 ||
        (loop_poll_due(loop) && loop_polled_ran(loop)))
    {
        if (loop_collect(loop) < 0) {
            return -1;
        }
    }
    if (FA_UNLIKELY(fa_type_version(loop->st->HandleType) !=
                    loop->st->handles[FA_HANDLE].version))
    {
        handle_hooked(loop->st);
    }
    // entries pushed from here on wait for the next turn; a nested run may
    // have emptied the ring meanwhile
    for (size_t n = ring_len(&loop->ready); n > 0; n--) {
        if (FA_UNLIKELY(ring_len(&loop->ready) == 0)) {
            break;
        }
        if (n > LOOK_AHEAD && ring_len(&loop->ready) > LOOK_AHEAD) {
            loop_look_ahead(loop);
        }
        if (FA_UNLIKELY(loop_run_entry(loop, ring_pop(&loop->ready)) < 0)) {
            return -1;
        }
    }
    return 0;
}

void
loop_settle_handles(LoopObject *loop)
{
    loop_settle_timers(loop);
    for (size_t i = 0; i < ring_len(&loop->ready); i++) {
        fa_ready *entry = ring_at(&loop->ready, i);
        if (entry->run == handle_run) {
            handle_settle(entry->self);
        }
        else if (entry->run == loop->st->task_runs[0] ||
                 entry->run == loop->st->task_runs[1])
        {
            loop->st->task_settle(entry->self);
        }
        if (entry->arg != NULL) {
            loop->st->task_settle(entry->arg);
        }
    }
}

int
loop_spin(LoopObject *loop)
{
    int rc;
    do {
        rc = loop_run_once(loop);
    } while (rc == 0 && !loop->stopping && !loop->closed);
    loop_current_settle(loop);
    return rc;
}
