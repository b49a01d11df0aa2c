/* net/sockops.c: loop.sock_recv() and its kin: wait, and try again.

   Each is a coroutine in C. Its first turn makes the system call, unless the
   poller is known to have said nothing since the last one (loop/kept.c); when
   that is enough, nothing is allocated but the result. Otherwise it awaits a
   future of the loop, which the readiness of the fd sets, and makes the call
   in its next turn. It is the turn that receives, not a callback as in asyncio:
   a call that is cancelled has taken nothing out of the socket.

   While it waits it counts among the socket's files (_io_refs), so the fd stays
   its own: close() takes effect when the call has ended. A fd that goes away all
   the same (detach) is seen by the next turn, which reads the number anew.

   All this holds for a socket.socket on a loop where nothing on the way has been
   replaced. For any other object, and in debug mode, the coroutine awaits
   asyncio's own: so its checks, its errors and the methods it calls are right.

   HOT. Benchmarks: sock_1k_x10, sock_100k_x10. */
#include "net/sockops.h"

#include <errno.h>
#include <string.h>

#include "base/errors.h"
#include "net/transport.h"

/* -- asyncio's own --------------------------------------------------------------------- */

/* What is left of the data of sock_sendall (new). */
static PyObject *
sockop_rest(CoroObject *co, PyObject *data)
{
    PyObject *view = PyMemoryView_FromObject(data);
    if (view == NULL) {
        return NULL;
    }
    PyObject *rest = PySequence_GetSlice(view, (Py_ssize_t)sockop_number(co),
                                         PyObject_Size(view));
    Py_DECREF(view);
    return rest;
}

PySendResult
sockop_delegate(CoroObject *co, const fa_sockop_def *def)
{
    PyObject *function = PyObject_GetAttrString(co->st->asyncio_UnixLoop,
                                                def->name);
    if (function == NULL) {
        return PYGEN_ERROR;
    }
    PyObject *arg = co->vars[SOCKOP_ARG], *rest = NULL, *aw = NULL;
    PyObject *args[5] = {co->vars[SOCKOP_LOOP], co->vars[SOCKOP_SOCK], arg};
    size_t nargs = arg == NULL ? 2 : 3;
    if (def->spread) {
        for (int i = 0; i < def->spread; i++) {
            args[2 + i] = PyTuple_GET_ITEM(arg, i);
        }
        nargs = 2 + (size_t)def->spread;
    }
    else if (def->dir == FA_OUT && sockop_number(co) > 0) {
        args[2] = rest = sockop_rest(co, arg);
    }
    if (args[nargs - 1] != NULL) {
        aw = PyObject_Vectorcall(function, args, nargs, NULL);
    }
    Py_XDECREF(rest);
    Py_DECREF(function);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, SOCKOP_DELEGATED, aw);
}

int
sockop_is_direct(const CoroObject *co)
{
    const LoopObject *loop = sockop_loop(co);
    PyObject *sock = co->vars[SOCKOP_SOCK];
    return !loop->closed && !loop->debug &&
           !(loop->overridden & FA_OV_SOCK_IO) &&
           sockcell_check(co->st, sock) && sockcell(sock)->timeout == 0;
}

int
sockop_blocked(void)
{
    if (!PyErr_ExceptionMatches(PyExc_BlockingIOError) &&
        !PyErr_ExceptionMatches(PyExc_InterruptedError))
    {
        return -1;
    }
    PyErr_Clear();
    return 0;
}

/* -- waiting ------------------------------------------------------------------------------ */

/* fa_run: the fd is ready. HOT */
static int
sockop_ready(LoopObject *loop, PyObject *fut, PyObject *Py_UNUSED(arg))
{
    fa_state *st = loop->st;
    int rc = fa_future_done(st, fut);
    if (FA_LIKELY(rc == 0)) {
        rc = fa_future_set_result(st, fut, Py_None);
    }
    if (FA_UNLIKELY(rc < 0)) {
        if (fa_err_is_exit()) {
            Py_DECREF(fut);
            return -1;
        }
        fa_err_unraisable(fut);
    }
    Py_DECREF(fut);
    return 0;
}

/* asyncio's transports (not ours) are known by name to the loop. 0 or -1. */
static int
sockop_check_foreign(const CoroObject *co)
{
    if (FA_LIKELY(!sockop_loop(co)->foreign_transports)) {
        return 0;
    }
    PyObject *done = PyObject_CallMethod(
        co->vars[SOCKOP_LOOP], "_ensure_fd_no_transport", "i", sockop_fd(co));
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

PySendResult
sockop_wait(CoroObject *co, const fa_sockop_def *def, int fresh)
{
    fa_state *st = co->st;
    PyObject *sock = co->vars[SOCKOP_SOCK];
    PyObject *fut = sockop_check_foreign(co) < 0
                        ? NULL
                        : fa_create_future(st, co->vars[SOCKOP_LOOP]);
    if (fut == NULL) {
        return PYGEN_ERROR;
    }
    int fd = sockop_fd(co);
    int rc = loop_kept_wait(sockop_loop(co), fd, sock, def->dir, fresh,
                            sockop_ready, fut);
    if (FA_UNLIKELY(rc != 0)) {
        Py_DECREF(fut);
        if (rc < 0) {
            return PYGEN_ERROR;
        }
        return def->refused != NULL ? def->refused(co)
                                    : sockop_delegate(co, def);
    }
    co->number = (co->number & ~(int64_t)SOCKOP_FD_MASK) | fd;
    co->vars[SOCKOP_FUT] = Py_NewRef(fut);
    if (!(co->number & SOCKOP_HELD)) {
        if (FA_UNLIKELY(sockcell_hold(st, sock) < 0)) {
            sockop_waited(co, def);
            Py_DECREF(fut);
            return PYGEN_ERROR;
        }
        co->number |= SOCKOP_HELD;
    }
    PySendResult status = coro_await(co, SOCKOP_WAITED, fut);
    if (FA_UNLIKELY(status == PYGEN_ERROR)) { // a strange future
        sockop_waited(co, def);
    }
    return status;
}

void
sockop_waited(CoroObject *co, const fa_sockop_def *def)
{
    PyObject *fut = co->vars[SOCKOP_FUT];
    co->vars[SOCKOP_FUT] = NULL;
    PyObject *raised = PyErr_Occurred() ? fa_err_take() : NULL;
    loop_kept_leave(sockop_loop(co), (int)(co->number & SOCKOP_FD_MASK),
                    def->dir, fut);
    Py_DECREF(fut);
    if (raised != NULL) {
        fa_err_restore(raised);
    }
}

void
sockop_finish(CoroObject *co)
{
    co->number &= ~(int64_t)SOCKOP_HELD;
    sockcell_drop(co->st, co->vars[SOCKOP_SOCK]);
}

static inline PySendResult
sockop_try(CoroObject *co, const fa_sockop_def *def, PyObject **result)
{
    int fd = sockop_fd(co);
    int rc = def->attempt(co, fd, result);
    if (FA_LIKELY(rc == 1)) {
        return PYGEN_RETURN;
    }
    if (rc == SOCKOP_ASK) {
        return sockop_delegate(co, def);
    }
    if (rc < 0) {
        return PYGEN_ERROR;
    }
    loop_kept_drained(sockop_loop(co), fd, co->vars[SOCKOP_SOCK], def->dir);
    return sockop_wait(co, def, 0);
}

static inline PySendResult
sockop_step(CoroObject *co, const fa_sockop_def *def, PyObject *value,
            PyObject **result)
{
    if (co->stage == SOCKOP_BEGIN) {
        int rc = sockop_is_direct(co) ? def->begin(co) : 0;
        if (FA_UNLIKELY(rc <= 0)) {
            return rc < 0 ? PYGEN_ERROR : sockop_delegate(co, def);
        }
        if (def->dir == FA_IN &&
            !loop_kept_ready(sockop_loop(co), sockop_fd(co),
                             co->vars[SOCKOP_SOCK], FA_IN))
        {
            return sockop_wait(co, def, 0);
        }
        return sockop_try(co, def, result);
    }
    if (co->stage == SOCKOP_WAITED) {
        sockop_waited(co, def);
        if (FA_UNLIKELY(value == NULL)) {
            return PYGEN_ERROR;
        }
        return FA_LIKELY(sockop_is_direct(co)) ? sockop_try(co, def, result)
                                               : sockop_delegate(co, def);
    }
    return value == NULL ? PYGEN_ERROR : coro_return(co, value, result);
}

PySendResult
sockop_run(CoroObject *co, const fa_sockop_def *def, PyObject *value,
           PyObject **result)
{
    return sockop_end(co, sockop_step(co, def, value, result));
}

/* -- receiving ------------------------------------------------------------------------------ */

/* n < 0: what recv said. 0 = it would block, -1 with OSError. */
static int
recv_failed(ssize_t n)
{
    if (n == -EAGAIN || n == -EWOULDBLOCK) {
        return 0;
    }
    fa_err_set_errno((int)n);
    return -1;
}

/* The int argument of a call as the coroutine's number: 1, or 0 if it is not a
   plain int that makes sense. */
static int
recv_size(CoroObject *co, PyObject *arg)
{
    int overflow;
    if (!PyLong_CheckExact(arg)) {
        return 0;
    }
    long long size = PyLong_AsLongLongAndOverflow(arg, &overflow);
    if (overflow || size <= 0 || size >= SOCKOP_NUMBER_MAX) {
        return 0;
    }
    sockop_set_number(co, size);
    return 1;
}

static int
recv_begin(CoroObject *co)
{
    return recv_size(co, co->vars[SOCKOP_ARG]);
}

/* A little memory for what is mostly little. HOT */
static int
recv_small(CoroObject *co, int fd, size_t size, PyObject **result)
{
    LoopObject *loop = sockop_loop(co);
    char *scratch = loop_scratch(loop);
    if (scratch == NULL) {
        return -1;
    }
    size_t room = size < FA_SCRATCH_SIZE ? size : FA_SCRATCH_SIZE;
    ssize_t n = sock_recvfrom(fd, scratch, room, NULL, NULL);
    if (FA_UNLIKELY(n < 0)) {
        return recv_failed(n);
    }
    if (n > 0 && (size_t)n < room) {
        loop_kept_short(loop, fd, co->vars[SOCKOP_SOCK]);
    }
    if ((size_t)n >= FA_SCRATCH_SIZE / 4 && room < size) {
        loop_kept_learn(loop, fd, (size_t)n);
    }
    *result = PyBytes_FromStringAndSize(scratch, n);
    return *result == NULL ? -1 : 1;
}

/* Straight into the final object. */
static int
recv_large(CoroObject *co, int fd, size_t size, PyObject **result)
{
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (data == NULL) {
        return -1;
    }
    ssize_t n = sock_recvfrom(fd, PyBytes_AS_STRING(data), size, NULL, NULL);
    if (FA_UNLIKELY(n < 0)) {
        Py_DECREF(data);
        return recv_failed(n);
    }
    loop_kept_learn(sockop_loop(co), fd, (size_t)n);
    if ((size_t)n < size) {
        if (n > 0) {
            loop_kept_short(sockop_loop(co), fd, co->vars[SOCKOP_SOCK]);
        }
        if (_PyBytes_Resize(&data, n) < 0) {
            return -1;
        }
    }
    *result = data;
    return 1;
}

static int
recv_attempt(CoroObject *co, int fd, PyObject **result)
{
    size_t size = (size_t)sockop_number(co);
    if (FA_LIKELY(size <= FA_SCRATCH_SIZE)) {
        return recv_small(co, fd, size, result);
    }
    if (sockcell(co->vars[SOCKOP_SOCK])->type != SOCK_STREAM) {
        return recv_large(co, fd, size, result); // or it is cut off
    }
    size_t room = 8 * loop_kept_large(sockop_loop(co), fd);
    if (room <= FA_SCRATCH_SIZE) {
        return recv_small(co, fd, size, result);
    }
    return recv_large(co, fd, size < room ? size : room, result);
}

static const fa_sockop_def recv_def = {
    .name = "sock_recv", .dir = FA_IN,
    .begin = recv_begin, .attempt = recv_attempt,
};

/* -- into a buffer ------------------------------------------------------------------------------ */

/* May the object be received into? What cannot, recv_into() complains of at
   once, in its own words. */
static int
is_writable(PyObject *buffer)
{
    Py_buffer view;
    if (PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE) < 0) {
        PyErr_Clear();
        return 0;
    }
    int some = view.len > 0;
    PyBuffer_Release(&view);
    return some;
}

static int
recv_into_begin(CoroObject *co)
{
    return is_writable(co->vars[SOCKOP_ARG]);
}

static int
recv_into_attempt(CoroObject *co, int fd, PyObject **result)
{
    Py_buffer view;
    if (PyObject_GetBuffer(co->vars[SOCKOP_ARG], &view, PyBUF_WRITABLE) < 0) {
        PyErr_Clear();
        return SOCKOP_ASK; // it has the words for that
    }
    if (view.len == 0) {
        PyBuffer_Release(&view);
        return SOCKOP_ASK;
    }
    fd = sockop_fd(co); // the buffer may be an object of Python's
    ssize_t n = sock_recvfrom(fd, view.buf, (size_t)view.len, NULL, NULL);
    int is_short = n > 0 && n < view.len;
    PyBuffer_Release(&view);
    if (n < 0) {
        return recv_failed(n);
    }
    if (is_short) {
        loop_kept_short(sockop_loop(co), fd, co->vars[SOCKOP_SOCK]);
    }
    *result = PyLong_FromSsize_t(n);
    return *result == NULL ? -1 : 1;
}

static const fa_sockop_def recv_into_def = {
    .name = "sock_recv_into", .dir = FA_IN,
    .begin = recv_into_begin, .attempt = recv_into_attempt,
};

/* -- with the sender's address ------------------------------------------------------------------- */

static int
has_known_address(const CoroObject *co)
{
    int family = sockcell(co->vars[SOCKOP_SOCK])->family;
    return family == AF_INET || family == AF_INET6 || family == AF_UNIX;
}

/* (value, address), taking over value (may be NULL). 1 or -1. */
static int
recvfrom_pair(PyObject *value, const struct sockaddr_storage *addr,
              socklen_t len, PyObject **result)
{
    PyObject *address =
        value == NULL ? NULL
                      : addr_to_python((const struct sockaddr *)addr, len);
    *result = NULL;
    if (address != NULL) {
        *result = PyTuple_Pack(2, value, address);
    }
    else if (value != NULL && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_OSError, "unknown address family");
    }
    Py_XDECREF(address);
    Py_XDECREF(value);
    return *result == NULL ? -1 : 1;
}

static int
recvfrom_begin(CoroObject *co)
{
    return has_known_address(co) && recv_size(co, co->vars[SOCKOP_ARG]);
}

static int
recvfrom_attempt(CoroObject *co, int fd, PyObject **result)
{
    size_t size = (size_t)sockop_number(co);
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    PyObject *data = NULL;
    char *memory;
    if (size <= FA_SCRATCH_SIZE) {
        memory = loop_scratch(sockop_loop(co));
    }
    else {
        data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
        memory = data == NULL ? NULL : PyBytes_AS_STRING(data);
    }
    if (memory == NULL) {
        return -1;
    }
    ssize_t n = sock_recvfrom(fd, memory, size, (struct sockaddr *)&addr,
                              &len);
    if (n < 0) {
        Py_XDECREF(data);
        return recv_failed(n);
    }
    if (data == NULL) {
        data = PyBytes_FromStringAndSize(memory, n);
    }
    else {
        _PyBytes_Resize(&data, n);
    }
    return recvfrom_pair(data, &addr, len, result);
}

static const fa_sockop_def recvfrom_def = {
    .name = "sock_recvfrom", .dir = FA_IN,
    .begin = recvfrom_begin, .attempt = recvfrom_attempt,
};

/* A buffer whose len() is its size in bytes? */
static int
has_byte_items(PyObject *data)
{
    if (PyBytes_CheckExact(data) || PyByteArray_CheckExact(data)) {
        return 1;
    }
    if (!PyMemoryView_Check(data)) {
        return 0;
    }
    const Py_buffer *view = PyMemoryView_GET_BUFFER(data);
    return view->ndim == 1 && view->itemsize == 1 &&
           PyBuffer_IsContiguous(view, 'C');
}

static int
recvfrom_into_begin(CoroObject *co)
{
    PyObject *buffer = PyTuple_GET_ITEM(co->vars[SOCKOP_ARG], 0);
    PyObject *nbytes = PyTuple_GET_ITEM(co->vars[SOCKOP_ARG], 1);
    if (!has_known_address(co) || !has_byte_items(buffer) ||
        !is_writable(buffer))
    {
        return 0;
    }
    return (PyLong_CheckExact(nbytes) && PyObject_Not(nbytes)) ||
           (recv_size(co, nbytes) &&
            sockop_number(co) <= PyObject_Size(buffer));
}

static int
recvfrom_into_attempt(CoroObject *co, int fd, PyObject **result)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    int64_t size = sockop_number(co);
    Py_buffer view;
    if (PyObject_GetBuffer(PyTuple_GET_ITEM(co->vars[SOCKOP_ARG], 0), &view,
                           PyBUF_WRITABLE) < 0)
    {
        PyErr_Clear();
        return SOCKOP_ASK;
    }
    if (view.len == 0 || size > view.len) {
        PyBuffer_Release(&view);
        return SOCKOP_ASK;
    }
    ssize_t n = sock_recvfrom(fd, view.buf,
                              (size_t)(size > 0 ? size : view.len),
                              (struct sockaddr *)&addr, &len);
    PyBuffer_Release(&view);
    return n < 0 ? recv_failed(n)
                 : recvfrom_pair(PyLong_FromSsize_t(n), &addr, len, result);
}

static const fa_sockop_def recvfrom_into_def = {
    .name = "sock_recvfrom_into", .dir = FA_IN, .spread = 2,
    .begin = recvfrom_into_begin, .attempt = recvfrom_into_attempt,
};

/* -- sending --------------------------------------------------------------------------------------- */

static int
sendall_begin(CoroObject *co)
{
    return has_byte_items(co->vars[SOCKOP_ARG]);
}

/* The next piece, as memory that stays valid as long as no Python code runs.
   0, or -1 (a view that has been released meanwhile). */
static int
sendall_piece(const CoroObject *co, const char **memory, Py_ssize_t *size)
{
    PyObject *data = co->vars[SOCKOP_ARG];
    if (PyBytes_CheckExact(data)) {
        *memory = PyBytes_AS_STRING(data);
        *size = PyBytes_GET_SIZE(data);
    }
    else if (PyByteArray_CheckExact(data)) {
        *memory = PyByteArray_AS_STRING(data);
        *size = PyByteArray_GET_SIZE(data);
    }
    else {
        Py_buffer view;
        if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
            return -1;
        }
        *memory = view.buf;
        *size = view.len;
        PyBuffer_Release(&view); // the memoryview has its own hold on it
    }
    return 0;
}

/* It has to wait: nobody may resize or release the data now. 0 or -1. */
static int
sendall_pin(CoroObject *co)
{
    if (co->stage != SOCKOP_BEGIN || PyBytes_CheckExact(co->vars[SOCKOP_ARG])) {
        return 0;
    }
    PyObject *view = PyMemoryView_FromObject(co->vars[SOCKOP_ARG]);
    if (view == NULL) {
        return -1;
    }
    Py_SETREF(co->vars[SOCKOP_ARG], view);
    return 0;
}

static int
sendall_attempt(CoroObject *co, int fd, PyObject **result)
{
    const char *memory;
    Py_ssize_t size, sent = (Py_ssize_t)sockop_number(co);
    if (sendall_piece(co, &memory, &size) < 0) {
        return -1;
    }
    for (;;) {
        ssize_t n = sock_send_now(fd, memory + sent, (size_t)(size - sent));
        if (n < 0 && n != -EAGAIN) {
            return recv_failed(n);
        }
        sent += n > 0 ? n : 0;
        if (FA_LIKELY(sent == size)) {
            *result = Py_NewRef(Py_None);
            return 1;
        }
        if (n <= 0) {
            break; // the kernel has seen that we want more: it will tell
        }
    }
    sockop_set_number(co, sent);
    return sendall_pin(co);
}

static const fa_sockop_def sendall_def = {
    .name = "sock_sendall", .dir = FA_OUT,
    .begin = sendall_begin, .attempt = sendall_attempt,
};

static int
sendto_begin(CoroObject *Py_UNUSED(co))
{
    return 1;
}

/* sock.sendto(data, address): Python knows how to read addresses. */
static int
sendto_attempt(CoroObject *co, int Py_UNUSED(fd), PyObject **result)
{
    PyObject *args[] = {co->vars[SOCKOP_SOCK],
                        PyTuple_GET_ITEM(co->vars[SOCKOP_ARG], 0),
                        PyTuple_GET_ITEM(co->vars[SOCKOP_ARG], 1)};
    *result = PyObject_VectorcallMethod(co->st->str_sendto, args, 3, NULL);
    return *result == NULL ? sockop_blocked() : 1;
}

static const fa_sockop_def sendto_def = {
    .name = "sock_sendto", .dir = FA_OUT, .spread = 2,
    .begin = sendto_begin, .attempt = sendto_attempt,
};

/* -- the kinds --------------------------------------------------------------------------------------- */

#define KIND(op) \
    static PySendResult op##_turn(CoroObject *co, PyObject *value, \
                                  PyObject **result) \
    { \
        return sockop_run(co, &op##_def, value, result); \
    } \
    static const fa_coro_kind sock_##op##_kind = { \
        "BaseSelectorEventLoop.sock_" #op, op##_turn};
KIND(recv)
KIND(recv_into)
KIND(recvfrom)
KIND(recvfrom_into)
KIND(sendall)
KIND(sendto)
#undef KIND

PyObject *
sockop_new(LoopObject *loop, fa_sockop op, PyObject *sock, PyObject *arg)
{
    static const fa_coro_kind *const kinds[] = {
        [FA_SOCK_RECV] = &sock_recv_kind,
        [FA_SOCK_RECV_INTO] = &sock_recv_into_kind,
        [FA_SOCK_RECVFROM] = &sock_recvfrom_kind,
        [FA_SOCK_RECVFROM_INTO] = &sock_recvfrom_into_kind,
        [FA_SOCK_SENDALL] = &sock_sendall_kind,
        [FA_SOCK_SENDTO] = &sock_sendto_kind,
        [FA_SOCK_ACCEPT] = &sock_accept_kind,
        [FA_SOCK_CONNECT] = &sock_connect_kind,
    };
    CoroObject *co = coro_new_fleeting(loop->st, kinds[op], (PyObject *)loop,
                                       sock);
    if (co != NULL) {
        co->vars[SOCKOP_ARG] = Py_XNewRef(arg);
    }
    return (PyObject *)co;
}
