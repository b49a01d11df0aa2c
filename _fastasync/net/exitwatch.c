/* net/exitwatch.c: learning that a child has ended.

   A pidfd becomes readable when its process ends: the loop watches it like any
   other file, so there is no thread, no SIGCHLD handler, and any number of loops
   in any number of threads do not know of each other. The status is taken by the
   pidfd as well, and so is never that of another process with the same number.

   From there to _process_exited it takes as many iterations as with the default
   child watcher of the running Python (FA_EXIT_HOPS). The loop holds the
   transport while it watches. Called by api/loop_process.c. */
#include "net/process.h"

#include <errno.h>

#include "base/errors.h"
#include "os/os.h"

/* Whatever goes wrong here is reported as a failed callback of the loop. */
static int
exitwatch_report(ProcessObject *self, LoopObject *loop)
{
    if (fa_err_is_exit()) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    PyObject *message = PyUnicode_FromFormat(
        "Exception in callback ProcessTransport._process_exited() "
        "of process %d", self->child);
    int rc = message == NULL
                 ? -1
                 : loop_report(self->st, (PyObject *)loop, message, exc, NULL);
    Py_XDECREF(message);
    Py_XDECREF(exc);
    return rc;
}

/* fa_run: the exit code is on its way. Takes over `obj`, as any fa_run. */
static int
exitwatch_hop(LoopObject *loop, PyObject *obj, PyObject *Py_UNUSED(arg))
{
    ProcessObject *self = (ProcessObject *)obj;
    if (self->hops > 0) {
        self->hops--;
        return loop_push(loop, exitwatch_hop, obj, NULL);
    }
    PyObject *code = PyLong_FromLong(self->code);
    int rc = code == NULL ? -1 : process_exited(self, code);
    Py_XDECREF(code);
    rc = rc < 0 ? exitwatch_report(self, loop) : 0;
    Py_DECREF(obj);
    return rc;
}

static int
exitwatch_log(ProcessObject *self, const char *level, const char *format,
              int second)
{
    PyObject *logger =
        PyObject_GetAttr(self->st->mod_log, self->st->str_logger);
    PyObject *done =
        logger == NULL ? NULL
        : second
            ? PyObject_CallMethod(logger, level, "sii", format, self->child,
                                  self->code)
            : PyObject_CallMethod(logger, level, "si", format, self->child);
    Py_XDECREF(logger);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* What the default watcher of this Python says. 0 or -1. */
static int
exitwatch_log_exit(ProcessObject *self, LoopObject *loop, int stolen)
{
    if (stolen) {
        return exitwatch_log(
            self, "warning",
            FA_HAS_PIDFD_WATCHER
                ? "child process pid %d exit status already read: "
                  " will report returncode 255"
                : "Unknown child process pid %d, will report returncode 255",
            0);
    }
    if (FA_HAS_PIDFD_WATCHER) {
        return 0;
    }
    int debug = fa_loop_debug(self->st, (PyObject *)loop);
    return debug <= 0 ? debug
                      : exitwatch_log(self, "debug",
                                      "process %s exited with returncode %s",
                                      1);
}

/* fa_run: the pidfd is readable. */
static int
exitwatch_ready(LoopObject *loop, PyObject *obj, PyObject *arg)
{
    ProcessObject *self = (ProcessObject *)obj;
    int fd = self->pidfd;
    if (fd < 0) { // stopped meanwhile
        Py_DECREF(obj);
        return 0;
    }
    self->pidfd = -1;
    loop_io_stop(loop, fd, FA_IN);
    int rc = child_wait(self->child, fd, 1, &self->code);
    os_close(fd);
    if (rc < 0) {
        self->code = 255;
    }
    self->hops = FA_EXIT_HOPS;
    int said = exitwatch_log_exit(self, loop, rc < 0);
    if (said < 0 && exitwatch_report(self, loop) < 0) {
        Py_DECREF(obj);
        return -1;
    }
    return exitwatch_hop(loop, obj, arg);
}

int
process_watch(PyObject *transport, LoopObject *loop)
{
    ProcessObject *self = (ProcessObject *)transport;
    if (self->pidfd < 0) { // not started by us
        int fd = self->child > 0 ? child_open(self->child) : -1;
        if (fd < 0) {
            return 0;
        }
        self->pidfd = fd;
    }
    if (loop_io_start(loop, self->pidfd, FA_IN, exitwatch_ready,
                      transport) < 0)
    {
        if (!PyErr_ExceptionMatches(PyExc_OSError)) {
            return -1;
        }
        PyErr_Clear(); // the poller will not have it: a thread does not need it
        exitwatch_stop(self);
        return 0;
    }
    return 1;
}

void
exitwatch_stop(ProcessObject *self)
{
    int fd = self->pidfd;
    if (fd < 0) {
        return;
    }
    self->pidfd = -1;
    if (self->loop != NULL && loop_check(self->st, self->loop) &&
        loop_io_watcher((LoopObject *)self->loop, fd, FA_IN) ==
            (PyObject *)self)
    {
        loop_io_stop((LoopObject *)self->loop, fd, FA_IN);
    }
    os_close(fd);
}
