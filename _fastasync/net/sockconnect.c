/* net/sockconnect.c: loop.sock_connect() and loop.sock_accept().

   Connecting has a part before the wait, the name (asyncio's _ensure_resolved;
   skipped for a numeric address, which needs none), and one after it, SO_ERROR.
   What the poller knew of the socket before connect() does not count, so the
   wait is a fresh one.

   An accepted connection is taken in the turn that returns it: a call that was
   cancelled leaves it to the next one. */
#include "net/sockops.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/errors.h"

/* -- sock_accept ------------------------------------------------------------------------ */

static int
sockaccept_begin(CoroObject *Py_UNUSED(co))
{
    return 1;
}

static int
sockaccept_attempt(CoroObject *co, int Py_UNUSED(fd), PyObject **result)
{
    fa_state *st = co->st;
    PyObject *pair = PyObject_CallMethodNoArgs(co->vars[SOCKOP_SOCK],
                                               st->str_accept);
    if (pair == NULL) {
        return sockop_blocked();
    }
    if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) {
        PyErr_SetString(PyExc_TypeError, "accept() must return a pair");
        Py_DECREF(pair);
        return -1;
    }
    PyObject *done = PyObject_CallMethodOneArg(
        PyTuple_GET_ITEM(pair, 0), st->str_setblocking, Py_False);
    if (done == NULL) {
        Py_DECREF(pair);
        return sockop_blocked();
    }
    Py_DECREF(done);
    *result = pair;
    return 1;
}

static const fa_sockop_def sockaccept_def = {
    .name = "sock_accept", .dir = FA_IN,
    .begin = sockaccept_begin, .attempt = sockaccept_attempt,
};

static PySendResult
sockaccept_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return sockop_run(co, &sockaccept_def, value, result);
}

const fa_coro_kind sock_accept_kind = {
    "BaseSelectorEventLoop.sock_accept", sockaccept_turn,
};

/* -- sock_connect: the address ------------------------------------------------------------- */

static const fa_sockop_def sockconnect_def = {
    .name = "sock_connect", .dir = FA_OUT,
};

/* Is loop._ensure_resolved asyncio's, as far as one can see? */
static int
sockconnect_resolves_plainly(const CoroObject *co)
{
    LoopObject *loop = sockop_loop(co);
    return Py_TYPE(loop)->tp_base == co->st->LoopCoreType;
}

/* A numeric address is its own resolution: 1 and SOCKOP_ARG as getaddrinfo would
   have it, or 0. */
static int
sockconnect_is_numeric(CoroObject *co)
{
    const fa_sockcell *cell = sockcell(co->vars[SOCKOP_SOCK]);
    PyObject *address = co->vars[SOCKOP_ARG];
    unsigned char binary[sizeof(struct in6_addr)];
    if (!PyTuple_CheckExact(address) || PyTuple_GET_SIZE(address) != 2 ||
        (cell->type != SOCK_STREAM && cell->type != SOCK_DGRAM) ||
        !sockconnect_resolves_plainly(co))
    {
        return 0;
    }
    PyObject *host = PyTuple_GET_ITEM(address, 0);
    PyObject *port = PyTuple_GET_ITEM(address, 1);
    Py_ssize_t len;
    const char *text = PyUnicode_CheckExact(host) && PyLong_CheckExact(port)
                           ? PyUnicode_AsUTF8AndSize(host, &len)
                           : NULL;
    if (text == NULL || (size_t)len != strlen(text) ||
        inet_pton(cell->family, text, binary) != 1)
    {
        PyErr_Clear();
        return 0;
    }
    if (cell->family == AF_INET6) {
        PyObject *full = Py_BuildValue("(OOii)", host, port, 0, 0);
        if (full == NULL) {
            PyErr_Clear();
            return 0;
        }
        Py_SETREF(co->vars[SOCKOP_ARG], full);
    }
    return 1;
}

/* loop._ensure_resolved(address, family=, type=, proto=, loop=): what to await
   (new). */
static PyObject *
sockconnect_resolve(CoroObject *co)
{
    static const char *const names[] = {"family", "type", "proto"};
    PyObject *sock = co->vars[SOCKOP_SOCK];
    PyObject *kwargs = PyDict_New();
    for (size_t i = 0; kwargs != NULL && i < FA_ARRAY_LEN(names); i++) {
        PyObject *value = PyObject_GetAttrString(sock, names[i]);
        if (value == NULL || PyDict_SetItemString(kwargs, names[i], value) < 0)
        {
            Py_CLEAR(kwargs);
        }
        Py_XDECREF(value);
    }
    PyObject *aw = NULL;
    if (kwargs != NULL &&
        PyDict_SetItem(kwargs, co->st->str_loop, co->vars[SOCKOP_LOOP]) == 0)
    {
        PyObject *method = PyObject_GetAttr(co->vars[SOCKOP_LOOP],
                                            co->st->str__ensure_resolved);
        PyObject *args = method == NULL ? NULL
                                        : PyTuple_Pack(1, co->vars[SOCKOP_ARG]);
        aw = args == NULL ? NULL : PyObject_Call(method, args, kwargs);
        Py_XDECREF(args);
        Py_XDECREF(method);
    }
    Py_XDECREF(kwargs);
    return aw;
}

/* _, _, _, _, address = resolved[0]. 0 or -1. */
static int
sockconnect_take_resolved(CoroObject *co, PyObject *resolved)
{
    PyObject *first = PySequence_GetItem(resolved, 0);
    PyObject *info = first == NULL ? NULL : PySequence_Tuple(first);
    Py_XDECREF(first);
    if (info == NULL) {
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(info);
    if (count != 5) {
        PyErr_Format(PyExc_ValueError,
                     count < 5 ? "not enough values to unpack (expected 5, "
                                 "got %zd)"
                               : "too many values to unpack (expected 5)",
                     count);
        Py_DECREF(info);
        return -1;
    }
    Py_XSETREF(co->vars[SOCKOP_ARG], Py_NewRef(PyTuple_GET_ITEM(info, 4)));
    Py_DECREF(info);
    return 0;
}

/* -- sock_connect: the connection ------------------------------------------------------------ */

static PySendResult
sockconnect_start(CoroObject *co, PyObject **result)
{
    PyObject *done = PyObject_CallMethodOneArg(
        co->vars[SOCKOP_SOCK], co->st->str_connect, co->vars[SOCKOP_ARG]);
    if (done != NULL) {
        Py_DECREF(done);
        return coro_return_none(result);
    }
    if (sockop_blocked() < 0) {
        return PYGEN_ERROR;
    }
    return sockop_is_direct(co) ? sockop_wait(co, &sockconnect_def, 1)
                                : sockop_delegate(co, &sockconnect_def);
}

/* The socket is writable: is it connected? */
static PySendResult
sockconnect_ask(CoroObject *co, PyObject **result)
{
    int fd = sockop_fd(co), err = fd < 0 ? EBADF : -sock_error(fd);
    if (fd < 0) {
        fa_err_set_errno(-EBADF); // detached meanwhile
        return PYGEN_ERROR;
    }
    if (FA_LIKELY(err == 0)) {
        return coro_return_none(result);
    }
    PyObject *text = PyUnicode_FromFormat("Connect call failed %S",
                                          co->vars[SOCKOP_ARG]);
    PyObject *exc =
        text == NULL ? NULL
                     : PyObject_CallFunction(PyExc_OSError, "iO", err, text);
    Py_XDECREF(text);
    if (exc == NULL) {
        return PYGEN_ERROR;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    Py_DECREF(exc);
    return sockop_blocked() < 0 ? PYGEN_ERROR
                                : sockop_wait(co, &sockconnect_def, 0);
}

static PySendResult
sockconnect_begin(CoroObject *co, PyObject **result)
{
    if (!sockop_is_direct(co) ||
        (sockop_loop(co)->overridden & FA_OV_CONNECTS))
    {
        return sockop_delegate(co, &sockconnect_def);
    }
    int family = sockcell(co->vars[SOCKOP_SOCK])->family;
    if ((family == AF_INET || family == AF_INET6) && !sockconnect_is_numeric(co)) {
        PyObject *aw = sockconnect_resolve(co);
        return aw == NULL ? PYGEN_ERROR : coro_await(co, SOCKOP_RESOLVED, aw);
    }
    return sockconnect_start(co, result);
}

static PySendResult
sockconnect_step(CoroObject *co, PyObject *value, PyObject **result)
{
    switch (co->stage) {
    case SOCKOP_BEGIN:
        return sockconnect_begin(co, result);
    case SOCKOP_RESOLVED:
        if (value == NULL || sockconnect_take_resolved(co, value) < 0) {
            return PYGEN_ERROR;
        }
        return sockconnect_start(co, result);
    case SOCKOP_WAITED:
        sockop_waited(co, &sockconnect_def);
        return value == NULL ? PYGEN_ERROR : sockconnect_ask(co, result);
    default:
        return value == NULL ? PYGEN_ERROR : coro_return(co, value, result);
    }
}

static PySendResult
sockconnect_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return sockop_end(co, sockconnect_step(co, value, result));
}

const fa_coro_kind sock_connect_kind = {
    "BaseSelectorEventLoop.sock_connect", sockconnect_turn,
};
