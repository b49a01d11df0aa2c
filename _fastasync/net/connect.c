/* net/connect.c: loop.create_connection and loop.create_unix_connection.

   The same steps as in asyncio: find the addresses, try one after the other,
   make a transport of the first that answers, wait until connection_made has
   run. Where nothing has been replaced (plain.c) the attempts are made here
   (connecting.c), several at a time with happy eyeballs (staggered.c); a local
   address or a strange one is handed to asyncio's own function for that step
   (_connect_sock, staggered_race); and where anything is not as it usually is, to
   asyncio's function for the whole: connect_forward. Errors in the arguments are
   found by asyncio too. A Python socket is made for TLS only.
   Vars of the coroutine: the Connecting, the race. Benchmark: connect_close. */
#include "net/connect.h"

#include <netinet/in.h>

#include "base/errors.h"

enum {
    STAGE_BEGIN,
    STAGE_FORWARDED, /* asyncio's function, or wrap.c, has it */
    STAGE_RESOLVED,
    STAGE_LOCAL_RESOLVED,
    STAGE_TRIED,   /* loop._connect_sock */
    STAGE_TOLD,    /* connected, or not */
    STAGE_RACE_TOLD, /* the same of the race */
    STAGE_RACED,   /* staggered_race of asyncio */
    STAGE_MADE,    /* connection_made has run */
};

/* vars of the coroutine */
enum { VAR_CONNECTING, VAR_RACE };

static const char *const connect_names[CONN_ARGS] = {
    "protocol_factory", "host", "port", "ssl", "family", "proto", "flags",
    "sock", "local_addr", "server_hostname", "ssl_handshake_timeout",
    "ssl_shutdown_timeout", "happy_eyeballs_delay", "interleave",
    "all_errors"};

/* An argument that was given and is not None (borrowed), or NULL. */
static PyObject *
connect_arg(const ConnectingObject *self, int which)
{
    PyObject *arg = self->args[which];
    return arg == Py_None ? NULL : arg;
}

/* -- asyncio's way ----------------------------------------------------------------------- */

/* {name: argument} of all that were given from the second on (new). */
static PyObject *
connect_keywords(ConnectingObject *self)
{
    PyObject *keywords = PyDict_New();
    for (int i = 1; keywords != NULL && i < CONN_ARGS; i++) {
        const char *name = i == CONN_PATH && self->unix_path
                               ? "path"
                               : connect_names[i];
        if (self->args[i] != NULL &&
            PyDict_SetItemString(keywords, name, self->args[i]) < 0)
        {
            Py_CLEAR(keywords);
        }
    }
    return keywords;
}

/* return await asyncio's function(loop, *everything) */
static PySendResult
connect_forward(CoroObject *co, ConnectingObject *self)
{
    fa_state *st = self->st;
    PyObject *cls = self->unix_path ? st->asyncio_UnixLoop
                                    : st->asyncio_BaseLoop;
    PyObject *name = self->unix_path ? st->str_create_unix_connection
                                     : st->str_create_connection;
    PyObject *method = PyObject_GetAttr(cls, name);
    PyObject *keywords = method == NULL ? NULL : connect_keywords(self);
    PyObject *args = keywords == NULL
                         ? NULL
                         : PyTuple_Pack(2, (PyObject *)self->loop,
                                        self->args[CONN_FACTORY]);
    PyObject *aw = args == NULL ? NULL : PyObject_Call(method, args, keywords);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    Py_XDECREF(method);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, STAGE_FORWARDED, aw);
}

/* loop.<name>(*args, **{name: value}) (new); args is taken over. */
static PyObject *
connect_call(ConnectingObject *self, PyObject *name, PyObject *args,
             PyObject *keywords)
{
    PyObject *method = args == NULL || keywords == NULL
                           ? NULL
                           : PyObject_GetAttr((PyObject *)self->loop, name);
    PyObject *aw = method == NULL ? NULL : PyObject_Call(method, args, keywords);
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return aw;
}

/* return await loop._create_connection_transport(sock, ...); takes over sock. */
static PySendResult
connect_wrap(CoroObject *co, ConnectingObject *self, PyObject *sock)
{
    if (sock == NULL) {
        return PYGEN_ERROR;
    }
    PyObject *ssl = connect_arg(self, CONN_SSL);
    PyObject *hostname = connect_arg(self, CONN_SERVER_HOSTNAME);
    PyObject *handshake = connect_arg(self, CONN_HANDSHAKE_TIMEOUT);
    PyObject *shutdown = connect_arg(self, CONN_SHUTDOWN_TIMEOUT);
    PyObject *args = PyTuple_Pack(4, sock, self->args[CONN_FACTORY],
                                  ssl ? ssl : Py_None,
                                  hostname ? hostname : Py_None);
    PyObject *keywords = Py_BuildValue(
        "{sOsO}", "ssl_handshake_timeout", handshake ? handshake : Py_None,
        "ssl_shutdown_timeout", shutdown ? shutdown : Py_None);
    Py_DECREF(sock);
    PyObject *aw = connect_call(self,
                                self->st->str__create_connection_transport,
                                args, keywords);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, STAGE_FORWARDED, aw);
}

/* await loop._ensure_resolved(address, family=, type=, proto=, flags=, loop=);
   takes over address. */
static PySendResult
connect_resolve(CoroObject *co, ConnectingObject *self, PyObject *address,
                int stage)
{
    PyObject *zero = PyLong_FromLong(0);
    PyObject *family = self->args[CONN_FAMILY];
    PyObject *proto = self->args[CONN_PROTO];
    PyObject *flags = self->args[CONN_FLAGS];
    PyObject *keywords = zero == NULL
                             ? NULL
                             : Py_BuildValue("{sOsOsOsOsO}", "family",
                                             family ? family : zero, "type",
                                             self->st->socket_SOCK_STREAM,
                                             "proto", proto ? proto : zero,
                                             "flags", flags ? flags : zero,
                                             "loop", self->loop);
    PyObject *args = address == NULL ? NULL : PyTuple_Pack(1, address);
    Py_XDECREF(zero);
    Py_XDECREF(address);
    PyObject *aw = connect_call(self, self->st->str__ensure_resolved, args,
                                keywords);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, stage, aw);
}

/* sock = await loop._connect_sock(exceptions, info, local) */
static PySendResult
connect_by_method(CoroObject *co, ConnectingObject *self, PyObject *info)
{
    PyObject *args = PyTuple_Pack(3, self->exceptions, info,
                                  self->local ? self->local : Py_None);
    PyObject *aw = connect_call(self, self->st->str__connect_sock, args,
                                PyDict_New());
    return aw == NULL ? PYGEN_ERROR : coro_await(co, STAGE_TRIED, aw);
}

/* -- the ends ------------------------------------------------------------------------------- */

/* The protocol, the future to be told, and the transport. 0 or -1. */
static int
connect_transport(ConnectingObject *self)
{
    PyObject *context = NULL;
    int rc = -1;
    if (FA_HAS_CONNECTION_CONTEXT) {
        context = PyContext_CopyCurrent();
        if (context == NULL) {
            return -1;
        }
    }
    self->protocol = PyObject_CallNoArgs(self->args[CONN_FACTORY]);
    if (self->protocol != NULL && loop_check_closed(self->loop) == 0) {
        Py_XSETREF(self->waiter,
                   fa_create_future(self->st, (PyObject *)self->loop));
        rc = self->waiter == NULL ? -1 : connecting_transport(self, context);
    }
    Py_XDECREF(context);
    return rc;
}

/* Connected: the transport, and wait for its connection_made. */
static PySendResult
connect_made(CoroObject *co, ConnectingObject *self)
{
    if (connect_arg(self, CONN_SSL) != NULL) { // true: connect_check_ssl
        return connect_wrap(co, self, connecting_python_socket(self));
    }
    if (connect_transport(self) < 0) {
        connecting_drop(self);
        return PYGEN_ERROR;
    }
    return coro_await(co, STAGE_MADE, Py_NewRef(self->waiter));
}

/* [exc for sub in exceptions for exc in sub] (new). */
static PyObject *
connect_flatten(PyObject *exceptions)
{
    PyObject *flat = PyList_New(0);
    for (Py_ssize_t i = 0; flat && i < PyList_GET_SIZE(exceptions); i++) {
        PyObject *sub = PySequence_List(PyList_GET_ITEM(exceptions, i));
        if (sub == NULL ||
            PyList_SetSlice(flat, PY_SSIZE_T_MAX, PY_SSIZE_T_MAX, sub) < 0)
        {
            Py_CLEAR(flat);
        }
        Py_XDECREF(sub);
    }
    return flat;
}

/* [str(exc) for exc in flat] (new), *same = they are all equal. */
static PyObject *
connect_texts(PyObject *flat, int *same)
{
    Py_ssize_t n = PyList_GET_SIZE(flat);
    PyObject *texts = PyList_New(n);
    *same = 1;
    for (Py_ssize_t i = 0; texts != NULL && i < n; i++) {
        PyObject *text = PyObject_Str(PyList_GET_ITEM(flat, i));
        if (text == NULL) {
            Py_CLEAR(texts);
            break;
        }
        PyList_SET_ITEM(texts, i, text);
        *same &= PyUnicode_Compare(text, PyList_GET_ITEM(texts, 0)) == 0;
    }
    return texts;
}

/* What is raised when several attempts have failed, in asyncio's words (new). */
static PyObject *
connect_combined(PyObject *flat)
{
    int same;
    PyObject *texts = connect_texts(flat, &same);
    if (texts == NULL) {
        return NULL;
    }
    if (same) {
        Py_DECREF(texts);
        return Py_NewRef(PyList_GET_ITEM(flat, 0));
    }
    PyObject *comma = PyUnicode_FromString(", ");
    PyObject *joined = comma == NULL ? NULL : PyUnicode_Join(comma, texts);
    PyObject *text = joined == NULL
                         ? NULL
                         : PyUnicode_FromFormat("Multiple exceptions: %U",
                                                joined);
    Py_DECREF(texts);
    Py_XDECREF(comma);
    Py_XDECREF(joined);
    PyObject *exc = text == NULL ? NULL
                                 : PyObject_CallOneArg(PyExc_OSError, text);
    Py_XDECREF(text);
    return exc;
}

/* No address has answered: raise. */
static PySendResult
connect_give_up(ConnectingObject *self)
{
    PyObject *all_errors = self->args[CONN_ALL_ERRORS];
    int grouped = all_errors == NULL ? 0 : PyObject_IsTrue(all_errors);
    PyObject *flat = grouped < 0 ? NULL : connect_flatten(self->exceptions);
    PyObject *exc = NULL;
    Py_CLEAR(self->exceptions);
    if (flat != NULL && grouped) {
        exc = PyObject_CallFunction(self->st->ExceptionGroup, "sO",
                                    "create_connection failed", flat);
    }
    else if (flat != NULL && PyList_GET_SIZE(flat) == 0) {
        exc = fa_connect_times_out()
                  ? PyObject_CallFunction(PyExc_TimeoutError, "s",
                                          "create_connection failed")
                  : PySequence_GetItem(flat, 0); // IndexError
    }
    else if (flat != NULL) {
        exc = connect_combined(flat);
    }
    Py_XDECREF(flat);
    if (exc != NULL) {
        fa_err_restore(exc);
    }
    return PYGEN_ERROR;
}

/* -- trying ------------------------------------------------------------------------------------ */

/* The attempt has failed with self->failed: keep that and go on (0), or raise
   it (-1). */
static int
connect_note(ConnectingObject *self)
{
    PyObject *exc = self->failed;
    self->failed = NULL;
    if (self->unix_path) {
        fa_err_restore(exc);
        return -1;
    }
    PyObject *sub = Py_BuildValue("[N]", exc);
    int rc = sub == NULL ? -1 : PyList_Append(self->exceptions, sub);
    Py_XDECREF(sub);
    return rc;
}

/* The next address: 1 and self->addr, 0 = there is none, -1 = *info (borrowed)
   is one that asyncio must try. */
static int
connect_pick(ConnectingObject *self, PyObject **info)
{
    if (self->infos == NULL) {
        return self->next++ == 0; // the only one
    }
    if (self->next >= PyList_GET_SIZE(self->infos)) {
        return 0;
    }
    *info = PyList_GET_ITEM(self->infos, self->next++);
    if (self->local != NULL ||
        !addr_from_info(*info, &self->family, &self->proto, &self->addr))
    {
        return -1;
    }
    Py_XSETREF(self->address, Py_NewRef(PyTuple_GET_ITEM(*info, 4)));
    return 1;
}

static PySendResult
connect_next(CoroObject *co, ConnectingObject *self)
{
    for (;;) {
        PyObject *info;
        int which = connect_pick(self, &info);
        if (which == 0) {
            return connect_give_up(self);
        }
        if (which < 0) {
            return connect_by_method(co, self, info);
        }
        switch (connecting_start(self)) {
            case CONNECT_DONE:
                return connect_made(co, self);
            case CONNECT_WAITS:
                return coro_await(co, STAGE_TOLD, Py_NewRef(self->waiter));
            case CONNECT_ERROR:
                return PYGEN_ERROR;
            case CONNECT_FAILED:
                if (connect_note(self) < 0) {
                    return PYGEN_ERROR;
                }
        }
    }
}

/* The future has been told, or the waiting for it was ended by an exception. */
static PySendResult
connect_told(CoroObject *co, ConnectingObject *self, PyObject *value)
{
    if (value == NULL) {
        connecting_drop(self);
        if (!PyErr_ExceptionMatches(PyExc_OSError)) {
            return PYGEN_ERROR;
        }
        Py_XSETREF(self->failed, fa_err_take()); // somebody has thrown it in
    }
    else if (connecting_told(self) == CONNECT_DONE) {
        return connect_made(co, self);
    }
    return connect_note(self) < 0 ? PYGEN_ERROR : connect_next(co, self);
}

/* loop._connect_sock has returned a socket or raised. */
static PySendResult
connect_tried(CoroObject *co, ConnectingObject *self, PyObject *value)
{
    if (value != NULL) {
        return connect_wrap(co, self, Py_NewRef(value));
    }
    if (!PyErr_ExceptionMatches(PyExc_OSError)) {
        return PYGEN_ERROR;
    }
    PyErr_Clear(); // it is in self->exceptions
    return connect_next(co, self);
}

/* -- happy eyeballs -------------------------------------------------------------------------------- */

/* [partial(loop._connect_sock, exceptions, info, local) for info in infos] (new) */
static PyObject *
connect_racers(ConnectingObject *self)
{
    PyObject *local = self->local ? self->local : Py_None;
    PyObject *method = PyObject_GetAttr((PyObject *)self->loop,
                                        self->st->str__connect_sock);
    PyObject *racers = method == NULL ? NULL : PyList_New(0);
    for (Py_ssize_t i = 0; racers && i < PyList_GET_SIZE(self->infos); i++) {
        PyObject *racer = PyObject_CallFunctionObjArgs(
            self->st->partial, method, self->exceptions,
            PyList_GET_ITEM(self->infos, i), local, NULL);
        if (racer == NULL || PyList_Append(racers, racer) < 0) {
            Py_CLEAR(racers);
        }
        Py_XDECREF(racer);
    }
    Py_XDECREF(method);
    return racers;
}

/* await staggered.staggered_race(racers, delay, loop=loop) */
static PySendResult
connect_race_by_asyncio(CoroObject *co, ConnectingObject *self, PyObject *delay)
{
    PyObject *module = PyObject_GetAttrString(self->st->mod_base_events,
                                              "staggered");
    PyObject *method = module == NULL
                           ? NULL
                           : PyObject_GetAttrString(module, "staggered_race");
    PyObject *racers = method == NULL ? NULL : connect_racers(self);
    PyObject *args = racers == NULL ? NULL : PyTuple_Pack(2, racers, delay);
    PyObject *keywords = args == NULL ? NULL
                                      : Py_BuildValue("{sO}", "loop",
                                                      self->loop);
    PyObject *aw = keywords == NULL ? NULL
                                    : PyObject_Call(method, args, keywords);
    Py_XDECREF(module);
    Py_XDECREF(method);
    Py_XDECREF(racers);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, STAGE_RACED, aw);
}

/* sock = (await staggered_race(...))[0] */
static PySendResult
connect_raced(CoroObject *co, ConnectingObject *self, PyObject *value)
{
    PyObject *zero = value == NULL ? NULL : PyLong_FromLong(0);
    PyObject *sock = zero == NULL ? NULL : PyObject_GetItem(value, zero);
    Py_XDECREF(zero);
    if (sock == Py_None) {
        Py_DECREF(sock);
        return connect_give_up(self);
    }
    return connect_wrap(co, self, sock);
}

/* What the race says. */
static PySendResult
connect_race_goes(CoroObject *co, ConnectingObject *self, fa_connect how)
{
    switch (how) {
        case CONNECT_DONE:
            return connect_made(co, self);
        case CONNECT_WAITS:
            return coro_await(co, STAGE_RACE_TOLD, Py_NewRef(self->waiter));
        case CONNECT_FAILED:
            return connect_give_up(self);
        default:
            return PYGEN_ERROR;
    }
}

static PySendResult
connect_race(CoroObject *co, ConnectingObject *self, PyObject *delay)
{
    if (!race_is_plain(self, delay)) {
        return connect_race_by_asyncio(co, self, delay);
    }
    co->vars[VAR_RACE] = race_new(self, delay);
    return co->vars[VAR_RACE] == NULL
               ? PYGEN_ERROR
               : connect_race_goes(co, self, race_begin(co->vars[VAR_RACE]));
}

/* The future has been told, or the waiting for it was ended by an exception. */
static PySendResult
connect_race_told(CoroObject *co, ConnectingObject *self, PyObject *value)
{
    if (value == NULL) {
        race_drop(co->vars[VAR_RACE]);
        return PYGEN_ERROR;
    }
    return connect_race_goes(co, self, race_told(co->vars[VAR_RACE]));
}

/* -- where to ------------------------------------------------------------------------------------- */

/* if not infos: raise OSError. 1, or 0 with an exception. */
static int
connect_check_infos(PyObject *infos)
{
    int any = PyObject_IsTrue(infos);
    if (any == 0) {
        PyErr_SetString(PyExc_OSError, "getaddrinfo() returned empty list");
    }
    return any > 0;
}

/* Bring the addresses in the order that is wanted: with happy eyeballs the
   families in turn, if nothing is said about it. 0 or -1. */
static int
connect_interleave(ConnectingObject *self, int races)
{
    PyObject *given = connect_arg(self, CONN_INTERLEAVE), *ordered;
    int wanted = given == NULL ? races : PyObject_IsTrue(given);
    if (wanted <= 0) {
        return wanted;
    }
    PyObject *count = given == NULL ? PyLong_FromLong(1) : Py_NewRef(given);
    ordered = count == NULL ? NULL
                            : interleave_infos(self->st, self->infos, count);
    Py_XDECREF(count);
    if (ordered == NULL) {
        return -1;
    }
    Py_SETREF(self->infos, ordered);
    return 0;
}

/* All is resolved: bring them in order and begin. */
static PySendResult
connect_first(CoroObject *co, ConnectingObject *self)
{
    PyObject *delay = connect_arg(self, CONN_EYEBALLS_DELAY);
    if (connect_interleave(self, delay != NULL) < 0) {
        return PYGEN_ERROR;
    }
    PyObject *list = PySequence_List(self->infos);
    if (list == NULL) {
        return PYGEN_ERROR;
    }
    Py_SETREF(self->infos, list);
    return delay == NULL ? connect_next(co, self)
                         : connect_race(co, self, delay);
}

static PySendResult
connect_resolved(CoroObject *co, ConnectingObject *self, PyObject *infos)
{
    if (infos == NULL || !connect_check_infos(infos)) {
        return PYGEN_ERROR;
    }
    self->infos = Py_NewRef(infos);
    PyObject *local = connect_arg(self, CONN_LOCAL_ADDR);
    return local == NULL ? connect_first(co, self)
                         : connect_resolve(co, self, Py_NewRef(local),
                                           STAGE_LOCAL_RESOLVED);
}

static PySendResult
connect_local_resolved(CoroObject *co, ConnectingObject *self,
                       PyObject *infos)
{
    if (infos == NULL || !connect_check_infos(infos)) {
        return PYGEN_ERROR;
    }
    self->local = Py_NewRef(infos);
    return connect_first(co, self);
}

/* Is host:port an address that asyncio would not look up? Then it is
   self->addr: 1, else 0. */
static int
connect_is_literal(ConnectingObject *self)
{
    int port;
    PyObject *host = connect_arg(self, CONN_HOST);
    PyObject *number = connect_arg(self, CONN_PORT);
    PyObject *interleave = connect_arg(self, CONN_INTERLEAVE);
    if (host == NULL || number == NULL || !addr_port(number, &port) ||
        (interleave != NULL && !PyLong_CheckExact(interleave)) ||
        connect_arg(self, CONN_LOCAL_ADDR) != NULL ||
        !addr_int(self->args[CONN_FAMILY], &self->family) ||
        !addr_int(self->args[CONN_PROTO], &self->proto) ||
        (self->family != AF_UNSPEC && self->family != AF_INET &&
         self->family != AF_INET6) ||
        (self->proto != 0 && self->proto != IPPROTO_TCP &&
         self->proto != IPPROTO_UDP) ||
        !addr_literal(host, self->family, &self->addr))
    {
        return 0;
    }
    addr_set_port(&self->addr, port);
    self->family = self->addr.raw.ss_family;
    self->proto = IPPROTO_TCP;
    return 1;
}

/* ssl and what belongs to it, made uniform: 1; 0 = asyncio must look at it; -1
   with an exception. */
static int
connect_check_ssl(ConnectingObject *self)
{
    PyObject *ssl = connect_arg(self, CONN_SSL);
    int secure = ssl == NULL ? 0 : PyObject_IsTrue(ssl);
    if (secure < 0) {
        return -1;
    }
    if (!secure) {
        Py_CLEAR(self->args[CONN_SSL]);
        return connect_arg(self, CONN_SERVER_HOSTNAME) == NULL &&
               connect_arg(self, CONN_HANDSHAKE_TIMEOUT) == NULL &&
               connect_arg(self, CONN_SHUTDOWN_TIMEOUT) == NULL;
    }
    if (connect_arg(self, CONN_SERVER_HOSTNAME) != NULL) {
        return 1;
    }
    PyObject *host = connect_arg(self, CONN_HOST);
    int usable = host == NULL || self->unix_path ? 0 : PyObject_IsTrue(host);
    if (usable > 0) {
        Py_XSETREF(self->args[CONN_SERVER_HOSTNAME], Py_NewRef(host));
    }
    return usable;
}

/* Is it left to asyncio from the start? */
static int
connect_is_unusual(ConnectingObject *self)
{
    PyObject *delay = connect_arg(self, CONN_EYEBALLS_DELAY);
    if (!plain_connects(self->loop)) {
        return 1;
    }
    if (connect_arg(self, CONN_SOCK) != NULL) {
        return connect_arg(self, CONN_HOST) != NULL ||
               connect_arg(self, CONN_PORT) != NULL;
    }
    return (connect_arg(self, CONN_HOST) == NULL &&
            connect_arg(self, CONN_PORT) == NULL) ||
           (delay != NULL && !PyFloat_CheckExact(delay) &&
            !PyLong_CheckExact(delay));
}

/* A socket was given: make a transport of it. */
static PySendResult
connect_given(CoroObject *co, ConnectingObject *self)
{
    PyObject *sock = self->args[CONN_SOCK];
    int fits = self->unix_path ? wrap_is_unix(self->st, sock)
                               : wrap_is_stream(self->st, sock);
    return fits < 0   ? PYGEN_ERROR
           : fits > 0 ? connect_wrap(co, self, Py_NewRef(sock))
                      : connect_forward(co, self);
}

/* create_connection, up to its first await. */
static PySendResult
connect_begin(CoroObject *co, ConnectingObject *self)
{
    int usual = connect_is_unusual(self) ? 0 : connect_check_ssl(self);
    if (usual <= 0) {
        return usual < 0 ? PYGEN_ERROR : connect_forward(co, self);
    }
    if (connect_arg(self, CONN_SOCK) != NULL) {
        return connect_given(co, self);
    }
    self->exceptions = PyList_New(0);
    if (self->exceptions == NULL) {
        return PYGEN_ERROR;
    }
    if (connect_is_literal(self)) {
        return connect_next(co, self);
    }
    PyObject *host = connect_arg(self, CONN_HOST);
    PyObject *port = connect_arg(self, CONN_PORT);
    return connect_resolve(co, self,
                           PyTuple_Pack(2, host ? host : Py_None,
                                        port ? port : Py_None),
                           STAGE_RESOLVED);
}

/* create_unix_connection, up to its first await. */
static PySendResult
connect_begin_unix(CoroObject *co, ConnectingObject *self)
{
    PyObject *path = connect_arg(self, CONN_PATH);
    PyObject *sock = connect_arg(self, CONN_SOCK);
    if (!plain_connects(self->loop) || (path == NULL) == (sock == NULL) ||
        (connect_arg(self, CONN_SERVER_HOSTNAME) != NULL &&
         !PyUnicode_Check(self->args[CONN_SERVER_HOSTNAME])))
    {
        return connect_forward(co, self);
    }
    int usual = connect_check_ssl(self);
    if (usual <= 0) {
        return usual < 0 ? PYGEN_ERROR : connect_forward(co, self);
    }
    if (sock != NULL) {
        return connect_given(co, self);
    }
    self->address = PyOS_FSPath(path);
    if (self->address == NULL) {
        return PYGEN_ERROR;
    }
    if (!addr_from_path(self->address, &self->addr)) {
        return connect_forward(co, self);
    }
    self->family = AF_UNIX;
    self->proto = 0;
    return connect_next(co, self);
}

/* -- the coroutines ---------------------------------------------------------------------------------- */

static PySendResult
connect_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    ConnectingObject *self = (ConnectingObject *)co->vars[VAR_CONNECTING];
    switch (co->stage) {
        case STAGE_BEGIN:
            return self->unix_path ? connect_begin_unix(co, self)
                                   : connect_begin(co, self);
        case STAGE_RESOLVED:
            return connect_resolved(co, self, value);
        case STAGE_LOCAL_RESOLVED:
            return connect_local_resolved(co, self, value);
        case STAGE_TRIED:
            return connect_tried(co, self, value);
        case STAGE_TOLD:
            return connect_told(co, self, value);
        case STAGE_RACE_TOLD:
            return connect_race_told(co, self, value);
        case STAGE_RACED:
            return connect_raced(co, self, value);
        case STAGE_MADE:
            return wrap_finish(self->st, self->transport, self->protocol,
                               value, result);
        default:
            return value == NULL ? PYGEN_ERROR
                                 : coro_return(co, value, result);
    }
}

static const fa_coro_kind connect_kind = {
    "BaseEventLoop.create_connection", connect_turn};

static const fa_coro_kind connect_unix_kind = {
    "_UnixSelectorEventLoop.create_unix_connection", connect_turn};

PyObject *
connect_coroutine(LoopObject *loop, PyObject *const *args, int unix_path)
{
    ConnectingObject *self = connecting_new(loop, args, unix_path);
    PyObject *co = self == NULL
                       ? NULL
                       : (PyObject *)coro_new(loop->st,
                                              unix_path ? &connect_unix_kind
                                                        : &connect_kind,
                                              (PyObject *)self, NULL);
    Py_XDECREF(self);
    return co;
}
