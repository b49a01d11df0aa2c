/* loop/loop.c: the life of the engine: open, visit, close. */
#include "loop/loop.h"

#include "base/errors.h"
#include "loop/context.h"
#include "loop/current.h"
#include "loop/handle.h"
#include "loop/private.h"

int
loop_open(LoopObject *loop, fa_state *st)
{
    loop->st = st;
    loop->slow_callback_duration = 0.1;
    loop->nesting = FA_NESTING_UNSET;
    loop->ticks_per_us = clock_ticks_per_us();
    loop->wakeup = -1;
    loop->poller = poller_open();
    if (loop->poller < 0) {
        fa_err_set_errno(loop->poller);
        return -1;
    }
    loop->wakeup = wakeup_open();
    int rc = loop->wakeup;
    if (rc >= 0) {
        rc = poller_set(loop->poller, loop->wakeup, 0, 0, FA_IN);
    }
    if (rc < 0) {
        loop_close_fds(loop);
        fa_err_set_errno(rc);
        return -1;
    }
    return 0;
}

void
loop_close_fds(LoopObject *loop)
{
    int poller = loop->poller, wakeup = loop->wakeup;
    loop->poller = loop->wakeup = -1;
    if (wakeup >= 0) {
        os_close(wakeup);
    }
    if (poller >= 0) {
        os_close(poller);
    }
}

int
loop_traverse(LoopObject *loop, visitproc visit, void *arg)
{
    int rc = ring_traverse(&loop->ready, visit, arg);
    if (rc == 0) {
        rc = ring_traverse(&loop->corked, visit, arg);
    }
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < loop->timers.len; i++) {
        Py_VISIT((PyObject *)FA_CONTAINER_OF(heap_node(&loop->timers, i),
                                             HandleObject, node));
    }
    for (int i = 0; i < loop->fd_count; i++) {
        Py_VISIT(loop->fds[i].in.obj);
        Py_VISIT(loop->fds[i].out.obj);
        Py_VISIT(loop->fds[i].file);
        rc = loop_kept_visit(&loop->fds[i], visit, arg);
        if (rc != 0) {
            return rc;
        }
    }
    Py_VISIT(loop->exception_handler);
    Py_VISIT(loop->task_factory);
    Py_VISIT(loop->eager_factory);
    Py_VISIT(loop->current_handle);
    Py_VISIT(loop->awaited);
    Py_VISIT(loop->context_pristine);
    Py_VISIT(loop->context_work);
    return 0;
}

static void
loop_drop_timers(LoopObject *loop)
{
    while (loop->timers.len > 0) {
        fa_heap_node *node = heap_node(&loop->timers, loop->timers.len - 1);
        HandleObject *timer = FA_CONTAINER_OF(node, HandleObject, node);
        heap_remove(&loop->timers, node);
        timer->scheduled = 0;
        Py_DECREF(timer); // runs destructors
    }
    heap_free(&loop->timers);
}

static void
loop_drop_watchers(LoopObject *loop)
{
    for (int fd = 0; fd < loop->fd_count; fd++) {
        loop_io_stop(loop, fd, FA_IN);
        loop_io_stop(loop, fd, FA_OUT);
        Py_CLEAR(loop->fds[fd].sock);
    }
}

void
loop_close(LoopObject *loop)
{
    loop->closed = 1;
    loop_refresh_direct(loop);
    ring_clear(&loop->ready);
    ring_clear(&loop->corked);
    loop->polled = 0;
    loop_drop_timers(loop);
    loop_drop_watchers(loop);
    loop_close_fds(loop);
    Py_CLEAR(loop->context_pristine);
    Py_CLEAR(loop->context_work);
}

void
loop_clear(LoopObject *loop)
{
    ring_clear(&loop->ready);
    ring_clear(&loop->corked);
    loop_drop_timers(loop);
    loop_drop_watchers(loop);
    Py_CLEAR(loop->exception_handler);
    Py_CLEAR(loop->task_factory);
    Py_CLEAR(loop->eager_factory);
    Py_CLEAR(loop->current_handle);
    Py_CLEAR(loop->awaited);
    Py_CLEAR(loop->context_pristine);
    Py_CLEAR(loop->context_work);
}

void
loop_free(LoopObject *loop)
{
    loop_clear(loop);
    loop_close_fds(loop);
    PyMem_Free(loop->fds);
    loop->fds = NULL;
    loop->fd_count = 0;
    PyMem_Free(loop->scratch);
    loop->scratch = NULL;
    PyMem_Free(loop->scratch_tails);
    loop->scratch_tails = NULL;
}

void
loop_refresh_direct(LoopObject *loop)
{
    loop->direct = !loop->closed && !loop->debug &&
                   !(loop->overridden & (FA_OV_CALL_SOON | FA_OV_GET_DEBUG));
}

int
loop_types_init(PyObject *module, fa_state *st)
{
    if (loop_current_init(st) < 0 || loop_context_init(st) < 0) {
        return -1;
    }
    return handle_types_init(module, st);
}
