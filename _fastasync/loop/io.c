/* loop/io.c: who waits for which file descriptor.

   A table indexed by fd number: two watchers (in, out) and a generation per
   slot. The poller reports (fd, generation); an event whose generation is not
   the slot's was fetched for a file that has been given up meanwhile and is
   dropped. Dispatch runs no Python: it only moves watchers into the ring, so
   that I/O keeps its place in asyncio's order. HOT: loop_poll, loop_dispatch,
   once per event. */
#include "loop/loop.h"

#include <errno.h>

#include "base/errors.h"
#include "loop/current.h"
#include "loop/private.h"

/* The largest fd number the table grows to; beyond is certainly garbage. */
#define FD_MAX (1 << 24)

/* In slot.armed: the poller refused a change, so nobody knows what it watches. */
#define ARMED_DOUBT 8

int
loop_io_grow(LoopObject *loop, int fd)
{
    if (FA_LIKELY(fd >= 0 && fd < loop->fd_count)) {
        return 0;
    }
    if (fd < 0 || fd >= FD_MAX) {
        fa_err_set_errno(-EBADF);
        return -1;
    }
    int count = loop->fd_count ? loop->fd_count : 16;
    while (count <= fd) {
        count *= 2;
    }
    fa_fdslot *fds = PyMem_Realloc(loop->fds, (size_t)count * sizeof(*fds));
    if (fds == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (int i = loop->fd_count; i < count; i++) {
        fds[i] = (fa_fdslot){0};
    }
    loop->fds = fds;
    loop->fd_count = count;
    return 0;
}

/* The poller's idea of the file is not ours: once more, from its state. */
static FA_COLD int
loop_rearm(LoopObject *loop, int fd, int wanted, int rc)
{
    fa_fdslot *slot = &loop->fds[fd];
    if (rc == -ENOENT) {
        // closed behind our back and opened again: the kernel forgot it
        rc = poller_set(loop->poller, fd, slot->generation, 0, wanted);
    }
    else if (rc == -EEXIST) {
        // the other way round: it could not be told to forget, and is back
        rc = poller_set(loop->poller, fd, slot->generation, FA_IN, wanted);
    }
    return rc;
}

/* Tell the poller what the slot wants now. 0 or -errno. */
static int
loop_arm(LoopObject *loop, int fd, int wanted)
{
    fa_fdslot *slot = &loop->fds[fd];
    if (slot->armed == wanted) {
        return 0;
    }
    int rc = poller_set(loop->poller, fd, slot->generation, slot->armed,
                        wanted);
    if (FA_UNLIKELY(rc < 0) && wanted) {
        rc = loop_rearm(loop, fd, wanted, rc);
        if (rc < 0) {
            slot->armed |= slot->armed ? ARMED_DOUBT : 0;
            return rc;
        }
    }
    if (wanted & ~slot->armed) {
        loop_poll_next(loop);
    }
    slot->armed = (uint8_t)wanted;
    if (!wanted) {
        slot->generation++;
    }
    return 0;
}

static int
slot_wanted(const fa_fdslot *slot)
{
    return (slot->in.run ? FA_IN : 0) | (slot->out.run ? FA_OUT : 0);
}

void
loop_io_settle(LoopObject *loop, int fd)
{
    fa_fdslot *slot = &loop->fds[fd];
    if (!(slot->armed & FA_EDGE)) {
        loop_arm(loop, fd, slot_wanted(slot));
    }
}

int
loop_io_start(LoopObject *loop, int fd, int dir, fa_run run, PyObject *obj)
{
    if (loop_io_grow(loop, fd) < 0) {
        return -1;
    }
    fa_fdslot *slot = &loop->fds[fd];
    if (FA_UNLIKELY(slot->armed & FA_EDGE)) {
        slot->generation++; // kept for sock_*() up to now
        Py_CLEAR(slot->sock);
    }
    int rc = loop_arm(loop, fd, slot_wanted(slot) | dir);
    if (rc < 0) {
        fa_err_set_errno(rc);
        return -1;
    }
    if (FA_UNLIKELY(slot->more != NULL)) {
        loop_kept_forget(loop, fd, dir);
        slot = &loop->fds[fd];
    }
    fa_iocb *iocb = dir == FA_IN ? &slot->in : &slot->out;
    PyObject *former = iocb->obj;
    iocb->run = run;
    iocb->obj = Py_NewRef(obj);
    if (former == NULL) {
        return 0;
    }
    Py_DECREF(former);
    return 1;
}

int
loop_io_stop(LoopObject *loop, int fd, int dir)
{
    if (fd < 0 || fd >= loop->fd_count) {
        return 0;
    }
    fa_fdslot *slot = &loop->fds[fd];
    fa_iocb *iocb = dir == FA_IN ? &slot->in : &slot->out;
    if (iocb->run == NULL) {
        return 0;
    }
    PyObject *former = iocb->obj, *file = NULL;
    iocb->run = NULL;
    iocb->obj = NULL;
    loop_io_settle(loop, fd);
    if (FA_UNLIKELY(slot->file != NULL) && !slot_wanted(slot)) {
        file = slot->file;
        slot->file = NULL;
    }
    if (FA_UNLIKELY(slot->more != NULL)) {
        loop_kept_forget(loop, fd, dir);
    }
    Py_DECREF(former);
    Py_XDECREF(file);
    return 1;
}

void
loop_io_set_file(LoopObject *loop, int fd, PyObject *file)
{
    fa_fdslot *slot = &loop->fds[fd];
    PyObject *former = slot->file;
    slot->file = Py_XNewRef(file);
    Py_XDECREF(former);
}

int
loop_io_find(const LoopObject *loop, PyObject *file)
{
    for (int fd = 0; fd < loop->fd_count; fd++) {
        // what a transport has claimed meanwhile is another file
        if (loop->fds[fd].file == file && loop->fds[fd].owner == NULL) {
            return fd;
        }
    }
    return -1;
}

int
loop_io_claim(LoopObject *loop, int fd, PyObject *owner)
{
    if (loop_io_grow(loop, fd) < 0) {
        return -1;
    }
    loop->fds[fd].owner = owner;
    return 0;
}

void
loop_io_release(LoopObject *loop, int fd, PyObject *owner)
{
    if (fd >= 0 && fd < loop->fd_count && loop->fds[fd].owner == owner) {
        loop->fds[fd].owner = NULL;
    }
}

PyObject *
loop_io_owner(LoopObject *loop, int fd)
{
    return fd >= 0 && fd < loop->fd_count ? loop->fds[fd].owner : NULL;
}

PyObject *
loop_io_watcher(LoopObject *loop, int fd, int dir)
{
    if (fd < 0 || fd >= loop->fd_count) {
        return NULL;
    }
    fa_fdslot *slot = &loop->fds[fd];
    return dir == FA_IN ? slot->in.obj : slot->out.obj;
}

/* An event of a file that has been given up. If the poller has not been told,
   or would not listen, it would say the same for ever. */
static FA_COLD void
loop_dispatch_stale(LoopObject *loop, const fa_event *event)
{
    if (event->fd >= loop->fd_count || !loop->fds[event->fd].armed) {
        poller_set(loop->poller, event->fd, event->generation, FA_IN, 0);
    }
}

/* HOT. Put the watchers of one event into the ring. 0 or -1. */
static inline int
loop_dispatch(LoopObject *loop, const fa_event *event)
{
    if (FA_UNLIKELY(event->fd == loop->wakeup)) {
        wakeup_drain(loop->wakeup);
        loop->woken = 0;
        return 0;
    }
    if (FA_UNLIKELY(event->fd >= loop->fd_count)) {
        return 0;
    }
    fa_fdslot *slot = &loop->fds[event->fd];
    if (FA_UNLIKELY(slot->generation != event->generation)) {
        loop_dispatch_stale(loop, event);
        return 0;
    }
    if (slot->armed & FA_EDGE) {
        return loop_kept_event(loop, event);
    }
    if (FA_UNLIKELY(slot->armed & ARMED_DOUBT)) {
        loop_arm(loop, event->fd, slot_wanted(slot)); // or it is said for ever
    }
    if ((event->events & FA_IN) && slot->in.run != NULL &&
        ring_push(&loop->ready, slot->in.run, Py_NewRef(slot->in.obj), NULL) <
            0)
    {
        return -1;
    }
    if ((event->events & FA_OUT) && slot->out.run != NULL &&
        ring_push(&loop->ready, slot->out.run, Py_NewRef(slot->out.obj),
                  NULL) < 0)
    {
        return -1;
    }
    return 0;
}

/* Ask the poller, without the GIL if that may block. */
static int
loop_wait(LoopObject *loop, int64_t timeout_ns, fa_event *events)
{
    int n;
    if (timeout_ns == 0) {
        return poller_wait(loop->poller, 0, events, FA_POLL_BATCH);
    }
    int poller = loop->poller;
    loop->asleep = 1; // whoever gets the GIL now must wake us
    Py_BEGIN_ALLOW_THREADS
    n = poller_wait(poller, timeout_ns, events, FA_POLL_BATCH);
    Py_END_ALLOW_THREADS
    loop->asleep = 0;
    return n;
}

int
loop_poll(LoopObject *loop, int64_t timeout_ns)
{
    fa_event events[FA_POLL_BATCH];
    loop_current_settle(loop);
    int n = loop_wait(loop, timeout_ns, events);
    loop->turns = 0;
    if (loop->brisk > 0) {
        loop->brisk--;
        loop->turns = FA_POLL_EVERY;
    }
    loop->last_poll = clock_ticks();
    if (FA_UNLIKELY(n == -EINTR)) {
        return PyErr_CheckSignals();
    }
    if (FA_UNLIKELY(n < 0)) {
        fa_err_set_errno(n);
        return -1;
    }
    for (int i = 0; i < n; i++) {
        if (loop_dispatch(loop, &events[i]) < 0) {
            return -1;
        }
    }
    loop->polled = loop->ready.tail;
    // CPython up to 3.12 can overlook a signal until the GIL is taken again,
    // and a busy loop does not let go of it
    return timeout_ns == 0 ? PyErr_CheckSignals() : 0;
}

char *
loop_scratch(LoopObject *loop)
{
    if (FA_UNLIKELY(loop->scratch == NULL)) {
        loop->scratch = PyMem_Malloc(FA_SCRATCH_SIZE);
        if (loop->scratch == NULL) {
            PyErr_NoMemory();
        }
    }
    return loop->scratch;
}

char *
loop_scratch_tails(LoopObject *loop)
{
    if (FA_UNLIKELY(loop->scratch_tails == NULL)) {
        loop->scratch_tails = PyMem_Malloc(FA_SCRATCH_TAILS);
        if (loop->scratch_tails == NULL) {
            PyErr_NoMemory();
        }
    }
    return loop->scratch_tails;
}
