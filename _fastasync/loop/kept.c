/* loop/kept.c: sockets that stay known to the poller between two calls.

   asyncio's sock_recv() and its kin register the socket when they have to wait
   and unregister it when they return: two epoll_ctl for each message. Here the
   fd stays registered, edge triggered, and the slot remembers in `ready` what
   the poller has said and a call has not yet used up. So a request on a
   connection costs epoll_wait, recv and send, and nothing else: the recv that
   would only say EAGAIN is left out too, as long as `ready` says so.

   Why edge triggered: data that nobody reads must not make the loop spin, and
   neither must the registration of a socket that was closed here while another
   process still has it open, which nobody can remove any more. What edges ask
   for in return: nothing may be taken for empty that is not. A direction stops
   to be ready only when a call said EAGAIN, or when plain TCP gave less than
   was asked for and the poller has reported nothing but data (FA_ODD: an end
   of file behind the data is not announced twice); and whenever the fd is armed
   anew, for then the kernel looks, and reports what it finds.

   Whose fd it is: numbers are used again, also behind our back. The slot holds
   a weak reference to the socket object that it was armed for, and the caller
   reads the number out of that object. If it is another object, nothing that
   the slot remembers holds, and it is armed with a new generation. Add_reader()
   and transports simply arm the slot their own way (io.c), which ends it.

   Waiters are told once. Several may wait for the same: all are told, and those
   who come too late wait again. A socket with events that nobody waits for is
   disarmed after a few of them. HOT: once per message. Benchmark: sock_1k_x10. */
#include "loop/loop.h"

#include <errno.h>

#include "base/errors.h"
#include "loop/private.h"

/* So many events in a row that nobody waited for: stop watching. */
#define KEPT_IDLE_MAX 4

/* So many small receives in a row: it does not receive much any more. */
#define KEPT_SMALL_MAX 8

/* A second waiter, and further ones. */
struct fa_wait {
    fa_wait *next;
    int dir;
    fa_run run;
    PyObject *obj; /* strong */
};

/* The slot, if the fd is kept for that very socket. HOT */
static inline fa_fdslot *
kept_slot(LoopObject *loop, int fd, PyObject *sock)
{
    if (FA_UNLIKELY(fd < 0 || fd >= loop->fd_count)) {
        return NULL;
    }
    fa_fdslot *slot = &loop->fds[fd];
    return (slot->armed & FA_EDGE) && slot->sock != NULL &&
                   fa_weakref_is(slot->sock, sock)
               ? slot
               : NULL;
}

int
loop_kept_ready(LoopObject *loop, int fd, PyObject *sock, int dir)
{
    const fa_fdslot *slot = kept_slot(loop, fd, sock);
    return slot == NULL || !(slot->armed & dir) || (slot->ready & dir);
}

void
loop_kept_drained(LoopObject *loop, int fd, PyObject *sock, int dir)
{
    fa_fdslot *slot = kept_slot(loop, fd, sock);
    if (slot != NULL && (slot->armed & dir)) {
        slot->ready &= (uint8_t)~dir;
    }
}

void
loop_kept_short(LoopObject *loop, int fd, PyObject *sock)
{
    fa_fdslot *slot = kept_slot(loop, fd, sock);
    if (slot != NULL && (slot->armed & FA_IN) && slot->tcp && !slot->odd) {
        slot->ready &= (uint8_t)~FA_IN;
    }
}

void
loop_kept_learn(LoopObject *loop, int fd, size_t n)
{
    if (fd < 0 || fd >= loop->fd_count) {
        return;
    }
    fa_fdslot *slot = &loop->fds[fd];
    if (n < FA_SCRATCH_SIZE / 4) {
        if (slot->large && ++slot->small == KEPT_SMALL_MAX) {
            slot->large = 0;
        }
        return;
    }
    unsigned log = 1;
    while (n >> log > 1 && log < 40) {
        log++;
    }
    slot->large = log & 63;
    slot->small = 0;
}

size_t
loop_kept_large(LoopObject *loop, int fd)
{
    if (fd < 0 || fd >= loop->fd_count || loop->fds[fd].large == 0) {
        return 0;
    }
    return (size_t)1 << loop->fds[fd].large;
}

/* -- waiting ------------------------------------------------------------------------ */

static int
kept_wanted(const fa_fdslot *slot)
{
    int wanted = (slot->in.run ? FA_IN : 0) | (slot->out.run ? FA_OUT : 0);
    for (const fa_wait *wait = slot->more; wait != NULL; wait = wait->next) {
        wanted |= wait->dir;
    }
    return wanted;
}

/* Tell the poller, from scratch if it does not know the file. 0 or -errno. */
static int
kept_arm(LoopObject *loop, int fd, int wanted)
{
    fa_fdslot *slot = &loop->fds[fd];
    int known = slot->armed != 0;
    int rc = poller_set(loop->poller, fd, slot->generation, known, wanted);
    if (rc == -ENOENT || rc == -EEXIST) {
        // the file behind the number has changed, or has more than one owner
        rc = poller_set(loop->poller, fd, slot->generation, !known, wanted);
    }
    if (rc == 0) {
        slot->armed = (uint8_t)wanted;
        slot->ready = 0; // the kernel has looked, and will say
        slot->idle = 0;
    }
    return rc;
}

/* Another socket has the number now. 0 or -1. */
static int
kept_adopt(fa_fdslot *slot, int fd, PyObject *sock)
{
    PyObject *ref = PyWeakref_NewRef(sock, NULL);
    if (ref == NULL) {
        return -1;
    }
    slot->generation++;
    slot->armed = 0;
    slot->odd = 0;
    slot->tcp = (uint8_t)sock_is_tcp(fd);
    Py_XSETREF(slot->sock, ref); // a weak reference: runs no Python code
    return 0;
}

static int
kept_append(fa_fdslot *slot, int dir, fa_run run, PyObject *obj)
{
    fa_iocb *iocb = dir == FA_IN ? &slot->in : &slot->out;
    if (FA_LIKELY(iocb->run == NULL)) {
        iocb->run = run;
        iocb->obj = Py_NewRef(obj);
        return 0;
    }
    fa_wait *wait = PyMem_Malloc(sizeof(*wait));
    if (wait == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *wait = (fa_wait){.dir = dir, .run = run, .obj = Py_NewRef(obj)};
    fa_wait **last = &slot->more;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = wait;
    return 0;
}

/* Somebody else, who knows nothing of us, watches the other direction (and not
   edge triggered): wait as he does. 0 or -1. */
static int FA_COLD
kept_share(LoopObject *loop, int fd, int dir, fa_run run, PyObject *obj)
{
    fa_fdslot *slot = &loop->fds[fd];
    if ((dir == FA_IN ? slot->in.run : slot->out.run) != NULL) {
        return kept_append(slot, dir, run, obj);
    }
    return loop_io_start(loop, fd, dir, run, obj) < 0 ? -1 : 0;
}

int
loop_kept_wait(LoopObject *loop, int fd, PyObject *sock, int dir, int fresh,
               fa_run run, PyObject *obj)
{
    if (loop_io_grow(loop, fd) < 0) {
        return -1;
    }
    fa_fdslot *slot = &loop->fds[fd];
    const fa_iocb *mine = dir == FA_IN ? &slot->in : &slot->out;
    const fa_iocb *other = dir == FA_IN ? &slot->out : &slot->in;
    if (FA_UNLIKELY(slot->owner != NULL ||
                    (mine->run != NULL && mine->run != run)))
    {
        return 1;
    }
    if (FA_UNLIKELY(other->run != NULL && other->run != run)) {
        return kept_share(loop, fd, dir, run, obj);
    }
    if (kept_slot(loop, fd, sock) == NULL && kept_adopt(slot, fd, sock) < 0) {
        return -1;
    }
    if (fresh || !(slot->armed & dir)) {
        int wanted = FA_EDGE | dir | kept_wanted(slot) | (slot->armed & FA_IN);
        int rc = kept_arm(loop, fd, wanted);
        if (rc < 0) {
            slot->armed = 0;
            fa_err_set_errno(rc);
            return -1;
        }
    }
    return kept_append(slot, dir, run, obj);
}

/* Take a waiter out of the list (its reference goes to the caller), or NULL:
   `obj`, or, if that is NULL, the first for one of the directions. */
static PyObject *
kept_unlink(fa_fdslot *slot, int dirs, PyObject *obj, fa_run *run)
{
    for (fa_wait **at = &slot->more; *at != NULL; at = &(*at)->next) {
        fa_wait *wait = *at;
        if ((wait->dir & dirs) && (obj == NULL || wait->obj == obj)) {
            PyObject *found = wait->obj;
            *run = wait->run;
            *at = wait->next;
            PyMem_Free(wait);
            return found;
        }
    }
    return NULL;
}

void
loop_kept_leave(LoopObject *loop, int fd, int dir, PyObject *obj)
{
    if (fd >= loop->fd_count) {
        return;
    }
    fa_fdslot *slot = &loop->fds[fd];
    fa_iocb *iocb = dir == FA_IN ? &slot->in : &slot->out;
    fa_run run = NULL;
    if (iocb->obj == obj) {
        iocb->obj = kept_unlink(slot, dir, NULL, &iocb->run);
        if (iocb->obj == NULL) {
            iocb->run = NULL;
            loop_io_settle(loop, fd);
        }
        Py_DECREF(obj);
        return;
    }
    PyObject *found = kept_unlink(slot, dir, obj, &run);
    Py_XDECREF(found);
}

int
loop_kept_visit(const fa_fdslot *slot, visitproc visit, void *arg)
{
    for (const fa_wait *wait = slot->more; wait != NULL; wait = wait->next) {
        Py_VISIT(wait->obj);
    }
    return 0;
}

void
loop_kept_forget(LoopObject *loop, int fd, int dirs)
{
    fa_run run;
    PyObject *obj;
    while ((obj = kept_unlink(&loop->fds[fd], dirs, NULL, &run)) != NULL) {
        Py_DECREF(obj); // may run Python code, and the table may move
    }
}

/* -- events ----------------------------------------------------------------------------- */

/* Nobody waited for it: not again. */
static void FA_COLD
kept_idle(LoopObject *loop, int fd, int dirs)
{
    fa_fdslot *slot = &loop->fds[fd];
    if ((dirs & FA_IN) && ++slot->idle < KEPT_IDLE_MAX) {
        return;
    }
    int wanted = (slot->armed & ~dirs) | kept_wanted(slot);
    wanted = wanted & (FA_IN | FA_OUT) ? wanted | FA_EDGE : 0;
    poller_set(loop->poller, fd, slot->generation, slot->armed, wanted);
    slot->armed = (uint8_t)wanted;
    if (!wanted) {
        slot->generation++;
    }
}

/* Everybody who waits for `dir` goes into the ring. How many, or -1. */
static inline int
kept_tell(LoopObject *loop, fa_fdslot *slot, int dir)
{
    fa_iocb *iocb = dir == FA_IN ? &slot->in : &slot->out;
    int told = 0;
    if (FA_LIKELY(iocb->run != NULL)) {
        PyObject *obj = iocb->obj;
        fa_run run = iocb->run;
        iocb->obj = NULL;
        iocb->run = NULL;
        if (ring_push(&loop->ready, run, obj, NULL) < 0) {
            return -1;
        }
        told = 1;
    }
    while (FA_UNLIKELY(slot->more != NULL)) {
        fa_run run;
        PyObject *obj = kept_unlink(slot, dir, NULL, &run);
        if (obj == NULL) {
            break;
        }
        if (ring_push(&loop->ready, run, obj, NULL) < 0) {
            return -1;
        }
        told++;
    }
    return told;
}

int
loop_kept_event(LoopObject *loop, const fa_event *event)
{
    fa_fdslot *slot = &loop->fds[event->fd];
    int dirs = (int)event->events & slot->armed & (FA_IN | FA_OUT);
    slot->ready |= (uint8_t)dirs;
    slot->odd |= (event->events & FA_ODD) != 0;
    int in = dirs & FA_IN ? kept_tell(loop, slot, FA_IN) : 0;
    int out = dirs & FA_OUT ? kept_tell(loop, slot, FA_OUT) : 0;
    if (FA_UNLIKELY(in < 0 || out < 0)) {
        return -1;
    }
    if (FA_LIKELY(in || out)) {
        slot->idle = 0;
    }
    else {
        kept_idle(loop, event->fd, dirs & FA_IN ? dirs : FA_OUT);
    }
    return 0;
}
