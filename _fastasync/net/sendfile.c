/* net/sendfile.c: loop._sock_sendfile_native(), the inside of sock_sendfile() and
   of sendfile() over plain TCP.

   asyncio makes one os.sendfile() per turn of the loop and registers the socket
   anew before each. Here the calls follow each other until the socket is full,
   and the fd stays registered (loop/kept.c); after a few, others get their turn.
   Each call lets go of the GIL: the file may have to come from a disk.

   Everything around it is asyncio's Python: the checks, the fallback for what is
   no regular file, and for a transport the wait for its empty buffer. So it is
   asyncio's function, too, that does this if os.sendfile has been replaced.

   The file's position is set at the end, also after an error; when the call is
   cancelled too, where asyncio mostly leaves it. Benchmarks: none in the table;
   see tests/net/test_sendfile.py for the number of system calls. */
#include "net/sockops.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/errors.h"

/* One turn sends so many pieces, or bytes, at most. */
#define SENDFILE_CALLS 8
#define SENDFILE_BYTES (INT64_C(4) << 20)

/* sendfile() takes no more at a time. */
#define SENDFILE_MAX (INT64_C(1) << 30)

/* The variables, in a bytes object that nobody else sees. */
typedef struct {
    int64_t offset; /* where the next piece begins */
    int64_t total;  /* so many have been sent */
    int64_t count;  /* to be sent, 0 = all there is */
    int64_t block;  /* at once, if count is 0 */
    int file;
    int again;      /* not the first call */
} fa_sendfile;

/* The items of SOCKOP_ARG: asyncio's three arguments, and the variables. */
enum { SENDFILE_FILE, SENDFILE_OFFSET, SENDFILE_COUNT, SENDFILE_STATE };

static fa_sendfile *
sendfile_state(const CoroObject *co)
{
    PyObject *bytes = PyTuple_GET_ITEM(co->vars[SOCKOP_ARG], SENDFILE_STATE);
    return (fa_sendfile *)PyBytes_AS_STRING(bytes);
}

static PySendResult sendfile_refused(CoroObject *co);

static const fa_sockop_def sendfile_def = {
    .name = "_sock_sendfile_native", .dir = FA_OUT, .spread = 3,
    .refused = sendfile_refused,
};

/* -- the end ----------------------------------------------------------------------- */

static void
sendfile_leave_position(const fa_sendfile *state)
{
    if (FA_HAS_SENDFILE_SEEK || state->total > 0) {
        (void)!lseek(state->file, (off_t)state->offset, SEEK_SET);
    }
}

/* Raise SendfileNotAvailableError, with what is raised for its context. */
static PySendResult
sendfile_not_available(fa_state *st, const char *text)
{
    PyObject *context = PyErr_Occurred() ? fa_err_take() : NULL;
    PyErr_SetString(st->SendfileNotAvailableError, text);
    if (context != NULL) {
        fa_err_chain(context);
    }
    return PYGEN_ERROR;
}

/* In the middle of a file a lost connection is a ConnectionError. */
static void
sendfile_lost(int err)
{
    fa_err_set_errno(err);
    PyObject *cause = fa_err_take();
    PyObject *exc = PyObject_CallFunction(PyExc_ConnectionError, "si",
                                          "socket is not connected", ENOTCONN);
    if (exc == NULL) {
        Py_DECREF(cause);
        return;
    }
    PyException_SetCause(exc, cause);
    PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    Py_DECREF(exc);
}

static PySendResult FA_COLD
sendfile_failed(CoroObject *co, int err)
{
    const fa_sendfile *state = sendfile_state(co);
    sendfile_leave_position(state);
    if (state->total == 0) {
        // not a file that can be mapped, mostly
        return sendfile_not_available(co->st, "os.sendfile call failed");
    }
    if (state->again && err == -ENOTCONN) {
        sendfile_lost(err);
    }
    else {
        fa_err_set_errno(err);
    }
    return PYGEN_ERROR;
}

static PySendResult
sendfile_done(CoroObject *co, PyObject **result)
{
    const fa_sendfile *state = sendfile_state(co);
    sendfile_leave_position(state);
    *result = PyLong_FromLongLong(state->total);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* -- the beginning ------------------------------------------------------------------- */

/* Is os.sendfile what it was? */
static int
sendfile_is_native(fa_state *st)
{
    PyObject *function = PyObject_GetAttrString(st->mod_os, "sendfile");
    PyErr_Clear();
    Py_XDECREF(function);
    return function == st->os_sendfile && function != NULL;
}

/* file.fileno() (new). NULL with SendfileNotAvailableError, or what it raised. */
static PyObject *
sendfile_fileno(fa_state *st, PyObject *file)
{
    PyObject *number = PyObject_CallMethodNoArgs(file, st->str_fileno);
    if (number == NULL && (PyErr_ExceptionMatches(PyExc_AttributeError) ||
                           PyErr_ExceptionMatches(st->UnsupportedOperation)))
    {
        sendfile_not_available(st, "not a regular file");
    }
    return number;
}

/* The int of an argument, or -1 (never an error): none that we deal with. */
static int64_t
sendfile_number(PyObject *arg)
{
    int overflow;
    if (!PyLong_CheckExact(arg)) {
        return -1;
    }
    long long value = PyLong_AsLongLongAndOverflow(arg, &overflow);
    return overflow ? -1 : value;
}

/* 1 = begin, 0 = there is nothing to send, -1 with an exception, 2 = leave it to
   asyncio. */
static int
sendfile_prepare(CoroObject *co)
{
    fa_state *st = co->st;
    PyObject *args = co->vars[SOCKOP_ARG];
    PyObject *count = PyTuple_GET_ITEM(args, SENDFILE_COUNT);
    fa_sendfile *state = sendfile_state(co);
    state->offset = sendfile_number(PyTuple_GET_ITEM(args, SENDFILE_OFFSET));
    state->count = count == Py_None ? 0 : sendfile_number(count);
    if (state->offset < 0 || state->count < 0 || !sendfile_is_native(st)) {
        return 2;
    }
    PyObject *number = sendfile_fileno(st,
                                       PyTuple_GET_ITEM(args, SENDFILE_FILE));
    if (number == NULL) {
        return -1;
    }
    int64_t file = sendfile_number(number);
    Py_DECREF(number);
    struct stat found;
    if (file < 0 || file > INT_MAX) {
        return 2;
    }
    if (fstat((int)file, &found) < 0) {
        fa_err_set_errno(-errno);
        sendfile_not_available(st, "not a regular file");
        return -1;
    }
    state->file = (int)file;
    state->block = state->count ? state->count : (int64_t)found.st_size;
    return state->block > 0;
}

/* -- the middle -------------------------------------------------------------------------- */

/* Somebody else watches the fd. For a transport that is an error; another
   watcher makes room, as asyncio's add_writer has it. */
static PySendResult FA_COLD
sendfile_refused(CoroObject *co)
{
    static const char *const calls[] = {
        "_ensure_fd_no_transport", "remove_writer",
    };
    fa_sendfile *state = sendfile_state(co);
    int fd = sockop_fd(co);
    for (size_t i = 0; i < FA_ARRAY_LEN(calls); i++) {
        PyObject *done = PyObject_CallMethod(co->vars[SOCKOP_LOOP], calls[i],
                                             "i", fd);
        if (done == NULL) {
            return PYGEN_ERROR;
        }
        Py_DECREF(done);
    }
    if (loop_io_owner(sockop_loop(co), fd) != NULL || state->again > 1) {
        PyErr_Format(PyExc_RuntimeError,
                     "File descriptor %d is used by a transport", fd);
        return PYGEN_ERROR;
    }
    state->again = 2;
    return sockop_wait(co, &sendfile_def, 0);
}

static ssize_t
sendfile_piece(CoroObject *co, const fa_sendfile *state, int64_t size)
{
    int fd = sockop_fd(co), file = state->file;
    int64_t offset = state->offset;
    ssize_t n;
    Py_BEGIN_ALLOW_THREADS
    n = sock_sendfile(fd, file, (off_t)offset,
                      (size_t)(size < SENDFILE_MAX ? size : SENDFILE_MAX));
    Py_END_ALLOW_THREADS
    return n;
}

enum { SENDFILE_WAITED = SOCKOP_WAITED, SENDFILE_DELEGATED = SOCKOP_DELEGATED,
       SENDFILE_YIELDED };

static PySendResult
sendfile_go(CoroObject *co, PyObject **result)
{
    fa_sendfile *state = sendfile_state(co);
    int64_t start = state->total;
    for (int calls = 0;; calls++) {
        int64_t size = state->count ? state->count - state->total
                                    : state->block;
        if (size <= 0) {
            return sendfile_done(co, result);
        }
        if (calls == SENDFILE_CALLS || state->total - start >= SENDFILE_BYTES) {
            return coro_await_turn(co, SENDFILE_YIELDED);
        }
        ssize_t n = sendfile_piece(co, state, size);
        if (n == -EAGAIN) {
            state->again = 1;
            return sockop_wait(co, &sendfile_def, 0);
        }
        if (n < 0) {
            return sendfile_failed(co, (int)n);
        }
        if (n == 0) {
            return sendfile_done(co, result);
        }
        state->offset += n;
        state->total += n;
        state->again = 1;
    }
}

static PySendResult
sendfile_begin(CoroObject *co, PyObject **result)
{
    int rc = sockop_is_direct(co) ? sendfile_prepare(co) : 2;
    if (rc == 2) {
        return sockop_delegate(co, &sendfile_def);
    }
    if (rc <= 0) {
        *result = rc < 0 ? NULL : PyLong_FromLong(0);
        return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    }
    return sendfile_go(co, result);
}

static PySendResult
sendfile_step(CoroObject *co, PyObject *value, PyObject **result)
{
    switch (co->stage) {
    case SOCKOP_BEGIN:
        return sendfile_begin(co, result);
    case SENDFILE_DELEGATED:
        return value == NULL ? PYGEN_ERROR : coro_return(co, value, result);
    case SENDFILE_WAITED:
        sockop_waited(co, &sendfile_def);
        break;
    default:
        break;
    }
    if (value == NULL) {
        sendfile_leave_position(sendfile_state(co));
        return PYGEN_ERROR;
    }
    return sendfile_go(co, result);
}

static PySendResult
sendfile_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return sockop_end(co, sendfile_step(co, value, result));
}

static const fa_coro_kind sendfile_kind = {
    "_UnixSelectorEventLoop._sock_sendfile_native", sendfile_turn,
};

PyObject *
sendfile_new(LoopObject *loop, PyObject *sock, PyObject *file,
             PyObject *offset, PyObject *count)
{
    PyObject *state = PyBytes_FromStringAndSize(NULL, sizeof(fa_sendfile));
    if (state == NULL) {
        return NULL;
    }
    memset(PyBytes_AS_STRING(state), 0, sizeof(fa_sendfile));
    PyObject *args = PyTuple_Pack(4, file, offset, count, state);
    Py_DECREF(state);
    CoroObject *co = args == NULL
                         ? NULL
                         : coro_new(loop->st, &sendfile_kind,
                                    (PyObject *)loop, sock);
    if (co == NULL) {
        Py_XDECREF(args);
        return NULL;
    }
    co->vars[SOCKOP_ARG] = args;
    return (PyObject *)co;
}
