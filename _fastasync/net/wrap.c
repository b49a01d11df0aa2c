/* net/wrap.c: transports for sockets that Python brought: what create_connection
   does with `sock`, connect_accepted_socket, and the step that they, and all
   connections with TLS, have in common: _create_connection_transport.

   Order of calls, of what is closed and of errors: as in asyncio, version by
   version. The transport is made by the loop's methods, plain ones directly
   if nobody has replaced those. */
#include "net/connect.h"

#include <string.h>

#include "base/errors.h"

/* -- questions -------------------------------------------------------------------- */

/* sock.<name> == value: 1, 0 or -1. */
static int
wrap_attribute_is(PyObject *sock, PyObject *name, PyObject *value)
{
    PyObject *found = PyObject_GetAttr(sock, name);
    int is = found == NULL ? -1 : PyObject_RichCompareBool(found, value, Py_EQ);
    Py_XDECREF(found);
    return is;
}

int
wrap_is_unix(fa_state *st, PyObject *sock)
{
    PyObject *family = PyLong_FromLong(AF_UNIX);
    int is = family == NULL ? -1
                            : wrap_attribute_is(sock, st->str_family, family);
    Py_XDECREF(family);
    return is <= 0 ? is
                   : wrap_attribute_is(sock, st->str_type,
                                       st->socket_SOCK_STREAM);
}

int
wrap_is_stream(fa_state *st, PyObject *sock)
{
    PyObject *res = PyObject_CallMethodOneArg(st->mod_base_events,
                                              st->str__check_ssl_socket, sock);
    Py_XDECREF(res);
    return res == NULL ? -1
                       : wrap_attribute_is(sock, st->str_type,
                                           st->socket_SOCK_STREAM);
}

/* -- _create_connection_transport --------------------------------------------------- */

enum { WRAPPER_LOOP, WRAPPER_ARGS, WRAPPER_TRANSPORT, WRAPPER_PROTOCOL };
enum {
    WRAP_SOCK, WRAP_FACTORY, WRAP_SSL, WRAP_HOSTNAME, WRAP_SERVER_SIDE,
    WRAP_HANDSHAKE_TIMEOUT, WRAP_SHUTDOWN_TIMEOUT, WRAP_CONTEXT,
};

/* self._make_ssl_transport(sock, protocol, sslcontext, waiter, ...) (new). */
static PyObject *
wrap_make_ssl(CoroObject *co, PyObject *const *args, PyObject *waiter,
              PyObject *context)
{
    PyObject *sslcontext = PyBool_Check(args[WRAP_SSL]) ? Py_None
                                                        : args[WRAP_SSL];
    PyObject *keywords = Py_BuildValue(
        "{sOsOsOsO}", "server_side", args[WRAP_SERVER_SIDE],
        "server_hostname", args[WRAP_HOSTNAME], "ssl_handshake_timeout",
        args[WRAP_HANDSHAKE_TIMEOUT], "ssl_shutdown_timeout",
        args[WRAP_SHUTDOWN_TIMEOUT]);
    PyObject *positional = PyTuple_Pack(4, args[WRAP_SOCK],
                                        co->vars[WRAPPER_PROTOCOL], sslcontext,
                                        waiter);
    PyObject *method = NULL, *transport = NULL;
    if (keywords != NULL && positional != NULL &&
        (context == NULL || PyDict_SetItem(keywords, co->st->str_context,
                                           context) == 0))
    {
        method = PyObject_GetAttr(co->vars[WRAPPER_LOOP],
                                  co->st->str__make_ssl_transport);
    }
    if (method != NULL) {
        transport = PyObject_Call(method, positional, keywords);
    }
    Py_XDECREF(keywords);
    Py_XDECREF(positional);
    Py_XDECREF(method);
    return transport;
}

/* self._make_socket_transport(sock, protocol, waiter[, context=]) (new). */
static PyObject *
wrap_make_plain(CoroObject *co, PyObject *const *args, PyObject *waiter,
                PyObject *context)
{
    fa_state *st = co->st;
    LoopObject *loop = (LoopObject *)co->vars[WRAPPER_LOOP];
    if (!(loop->overridden & FA_OV_CONNECTS)) {
        return sockstream_new(loop, args[WRAP_SOCK], co->vars[WRAPPER_PROTOCOL],
                              waiter, NULL, NULL, context);
    }
    PyObject *stack[5] = {(PyObject *)loop, args[WRAP_SOCK],
                          co->vars[WRAPPER_PROTOCOL], waiter, context};
    return PyObject_VectorcallMethod(st->str__make_socket_transport, stack, 4,
                                     context == NULL ? NULL : st->kw_context);
}

/* The context of the connection: new, NULL without an exception = none is
   handed on. 0 or -1. */
static int
wrap_context(PyObject *given, PyObject **context)
{
    *context = NULL;
    if (!FA_HAS_CONNECTION_CONTEXT) {
        return 0;
    }
    *context = given != Py_None ? Py_NewRef(given) : PyContext_CopyCurrent();
    return *context == NULL ? -1 : 0;
}

/* All up to `await waiter`: that future (new), or NULL. */
static PyObject *
wrap_begin(CoroObject *co)
{
    fa_state *st = co->st;
    PyObject *const *args = ((PyTupleObject *)co->vars[WRAPPER_ARGS])->ob_item;
    PyObject *context, *waiter = NULL;
    PyObject *res = PyObject_CallMethodOneArg(args[WRAP_SOCK],
                                              st->str_setblocking, Py_False);
    Py_XDECREF(res);
    if (res == NULL || wrap_context(args[WRAP_CONTEXT], &context) < 0) {
        return NULL;
    }
    co->vars[WRAPPER_PROTOCOL] = PyObject_CallNoArgs(args[WRAP_FACTORY]);
    if (co->vars[WRAPPER_PROTOCOL] != NULL) {
        waiter = fa_create_future(st, co->vars[WRAPPER_LOOP]);
    }
    if (waiter != NULL) {
        int secure = PyObject_IsTrue(args[WRAP_SSL]);
        co->vars[WRAPPER_TRANSPORT] =
            secure < 0 ? NULL
            : secure   ? wrap_make_ssl(co, args, waiter, context)
                       : wrap_make_plain(co, args, waiter, context);
        if (co->vars[WRAPPER_TRANSPORT] == NULL) {
            Py_CLEAR(waiter);
        }
    }
    Py_XDECREF(context);
    return waiter;
}

/* No transport: newer versions close the socket. */
static PySendResult
wrap_failed(CoroObject *co)
{
    if (!FA_HAS_CONNECTION_CONTEXT) {
        return PYGEN_ERROR;
    }
    PyObject *error = fa_err_take();
    PyObject *sock = PyTuple_GET_ITEM(co->vars[WRAPPER_ARGS], WRAP_SOCK);
    PyObject *res = PyObject_CallMethodNoArgs(sock, co->st->str_close);
    if (res == NULL) {
        fa_err_chain(error);
        return PYGEN_ERROR;
    }
    Py_DECREF(res);
    fa_err_restore(error);
    return PYGEN_ERROR;
}

PySendResult
wrap_finish(fa_state *st, PyObject *transport, PyObject *protocol,
            PyObject *value, PyObject **result)
{
    if (value != NULL) {
        *result = PyTuple_Pack(2, transport, protocol);
        return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    }
    PyObject *error = fa_err_take();
    PyObject *res = PyObject_CallMethodNoArgs(transport, st->str_close);
    if (res == NULL) {
        fa_err_chain(error);
        return PYGEN_ERROR;
    }
    Py_DECREF(res);
    fa_err_restore(error);
    return PYGEN_ERROR;
}

static PySendResult
wrap_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (co->stage != 0) {
        return wrap_finish(co->st, co->vars[WRAPPER_TRANSPORT],
                           co->vars[WRAPPER_PROTOCOL], value, result);
    }
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    PyObject *waiter = wrap_begin(co);
    return waiter == NULL ? wrap_failed(co) : coro_await(co, 1, waiter);
}

static const fa_coro_kind wrap_kind = {
    "BaseEventLoop._create_connection_transport", wrap_turn};

/* A coroutine of that kind: vars are the loop and a tuple of the arguments, None
   for those not given (new). */
static PyObject *
wrap_new(LoopObject *loop, const fa_coro_kind *kind, PyObject *const *args,
         Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
        PyTuple_SET_ITEM(tuple, i,
                         Py_NewRef(args[i] == NULL ? Py_None : args[i]));
    }
    PyObject *co = tuple == NULL
                       ? NULL
                       : (PyObject *)coro_new(loop->st, kind,
                                              (PyObject *)loop, tuple);
    Py_XDECREF(tuple);
    return co;
}

PyObject *
wrap_coroutine(LoopObject *loop, PyObject *const *args)
{
    PyObject *all[FA_WRAP_ARGS];
    memcpy(all, args, sizeof(all));
    if (all[WRAP_SERVER_SIDE] == NULL) {
        all[WRAP_SERVER_SIDE] = Py_False;
    }
    return wrap_new(loop, &wrap_kind, all, FA_WRAP_ARGS);
}

/* -- connect_accepted_socket ----------------------------------------------------------- */

enum {
    ACCEPTED_FACTORY, ACCEPTED_SOCK, ACCEPTED_SSL, ACCEPTED_HANDSHAKE_TIMEOUT,
    ACCEPTED_SHUTDOWN_TIMEOUT,
};

/* Is all as it usually is, with no error to be found? 1, 0 or -1. */
static int
accepted_is_usual(CoroObject *co, PyObject *const *args)
{
    if (!plain_connects((LoopObject *)co->vars[WRAPPER_LOOP])) {
        return 0;
    }
    int secure = PyObject_IsTrue(args[ACCEPTED_SSL]);
    if (secure < 0) {
        return -1;
    }
    if (!secure && (args[ACCEPTED_HANDSHAKE_TIMEOUT] != Py_None ||
                    args[ACCEPTED_SHUTDOWN_TIMEOUT] != Py_None))
    {
        return 0;
    }
    int stream = wrap_attribute_is(args[ACCEPTED_SOCK], co->st->str_type,
                                   co->st->socket_SOCK_STREAM);
    return stream <= 0 ? stream : wrap_is_stream(co->st, args[ACCEPTED_SOCK]);
}

/* Await method(*positional, **keywords); takes all three over, any may be NULL. */
static PySendResult
accepted_call(CoroObject *co, PyObject *method, PyObject *positional,
              PyObject *keywords)
{
    PyObject *aw = method == NULL || positional == NULL || keywords == NULL
                       ? NULL
                       : PyObject_Call(method, positional, keywords);
    Py_XDECREF(method);
    Py_XDECREF(positional);
    Py_XDECREF(keywords);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, 1, aw);
}

static PySendResult
accepted_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    if (co->stage != 0) {
        return coro_return(co, value, result);
    }
    fa_state *st = co->st;
    PyObject *const *args = ((PyTupleObject *)co->vars[WRAPPER_ARGS])->ob_item;
    PyObject *loop = co->vars[WRAPPER_LOOP];
    int usual = accepted_is_usual(co, args);
    if (usual < 0) {
        return PYGEN_ERROR;
    }
    PyObject *keywords = Py_BuildValue(
        "{sOsO}", "ssl_handshake_timeout", args[ACCEPTED_HANDSHAKE_TIMEOUT],
        "ssl_shutdown_timeout", args[ACCEPTED_SHUTDOWN_TIMEOUT]);
    if (keywords != NULL &&
        (usual ? PyDict_SetItemString(keywords, "server_side", Py_True)
               : PyDict_SetItemString(keywords, "ssl", args[ACCEPTED_SSL])) < 0)
    {
        Py_CLEAR(keywords);
    }
    if (!usual) {
        return accepted_call(co,
                             PyObject_GetAttr(st->asyncio_BaseLoop,
                                              st->str_connect_accepted_socket),
                             PyTuple_Pack(3, loop, args[ACCEPTED_FACTORY],
                                          args[ACCEPTED_SOCK]),
                             keywords);
    }
    return accepted_call(co,
                         PyObject_GetAttr(
                             loop, st->str__create_connection_transport),
                         Py_BuildValue("(OOOs)", args[ACCEPTED_SOCK],
                                       args[ACCEPTED_FACTORY],
                                       args[ACCEPTED_SSL], ""),
                         keywords);
}

static const fa_coro_kind accepted_kind = {
    "BaseEventLoop.connect_accepted_socket", accepted_turn};

PyObject *
wrap_accepted(LoopObject *loop, PyObject *const *args)
{
    return wrap_new(loop, &accepted_kind, args, FA_ACCEPTED_ARGS);
}
