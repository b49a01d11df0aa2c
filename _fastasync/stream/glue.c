/* stream/glue.c: open_connection(), start_server() and their twins for Unix
   sockets.

   As in asyncio, each makes the reader and the protocol and leaves the rest to
   the running loop's method (create_connection, ...), ours or any other; all
   further keywords are passed through. Cost: once per connection or server. */
#include "net/net.h"
#include "stream/private.h"
#include "stream/protocol.h"

#include <string.h>

#include "base/args.h"
#include "base/errors.h"

/* -- the classes ------------------------------------------------------------------ */

PyObject *
streams_rebound(fa_state *st, PyObject *name, PyTypeObject *ours,
                PyObject *stock)
{
    PyObject *globals = PyModule_GetDict(st->mod_streams);
    PyObject *found = PyDict_GetItemWithError(globals, name); // borrowed
    if (FA_LIKELY(found == stock || found == (PyObject *)ours ||
                  found == NULL))
    {
        return NULL;
    }
    return Py_NewRef(found);
}

/* StreamReader(limit=limit, loop=loop) (new). */
static PyObject *
glue_reader(fa_state *st, PyObject *limit, PyObject *loop)
{
    PyObject *other = streams_rebound(st, st->str_StreamReader,
                                      st->StreamReaderType,
                                      st->asyncio_StreamReader);
    if (FA_LIKELY(other == NULL)) {
        return reader_new(st, limit, loop);
    }
    PyObject *args[] = {limit, loop};
    PyObject *names = PyTuple_Pack(2, st->str_limit, st->str_loop);
    PyObject *reader =
        names == NULL ? NULL : PyObject_Vectorcall(other, args, 0, names);
    Py_XDECREF(names);
    Py_DECREF(other);
    return reader;
}

/* StreamReaderProtocol(reader[, client_connected_cb], loop=loop) (new). */
static PyObject *
glue_protocol(fa_state *st, PyObject *reader, PyObject *cb, PyObject *loop)
{
    PyObject *type = streams_rebound(st, st->str_StreamReaderProtocol,
                                     st->StreamReaderProtocolType,
                                     st->asyncio_StreamProtocol);
    if (FA_LIKELY(type == NULL)) {
        return sproto_new(st, reader, cb, loop);
    }
    PyObject *args[3] = {reader};
    size_t n = 1;
    if (cb != NULL) {
        args[n++] = cb;
    }
    args[n] = loop;
    PyObject *names = PyTuple_Pack(1, st->str_loop);
    PyObject *protocol =
        names == NULL ? NULL : PyObject_Vectorcall(type, args, n, names);
    Py_XDECREF(names);
    Py_DECREF(type);
    return protocol;
}

/* -- protocol factories -------------------------------------------------------------- */

/* lambda: protocol */
static PyObject *
glue_same_protocol(PyObject *protocol, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(protocol);
}

static PyMethodDef client_factory_def = {"<lambda>", glue_same_protocol,
                                         METH_NOARGS, NULL};

/* A server's factory(); `self` is (limit, loop, client_connected_cb, and a type
   of ours, which knows the state). */
static PyObject *
glue_server_protocol(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *limit = PyTuple_GET_ITEM(self, 0);
    PyObject *loop = PyTuple_GET_ITEM(self, 1);
    PyObject *cb = PyTuple_GET_ITEM(self, 2);
    fa_state *st =
        fa_state_of_type((PyTypeObject *)PyTuple_GET_ITEM(self, 3));
    PyObject *reader = st == NULL ? NULL : glue_reader(st, limit, loop);
    if (reader == NULL) {
        return NULL;
    }
    PyObject *protocol = glue_protocol(st, reader, cb, loop);
    Py_DECREF(reader);
    return protocol;
}

static PyMethodDef server_factory_def = {"factory", glue_server_protocol,
                                         METH_NOARGS, NULL};

/* -- calling the loop ------------------------------------------------------------------ */

enum { GLUE_ARGS, GLUE_KWARGS, GLUE_READER, GLUE_PROTOCOL };
enum { ARG_CALLBACK, ARG_FIRST, ARG_SECOND, ARG_LIMIT };

/* await loop.<name>(factory, *arguments, **kwargs), `count` (1 or 2) of the
   arguments from ARG_FIRST. Takes over factory. */
static PySendResult
glue_call(CoroObject *co, PyObject *loop, PyObject *name, PyObject *factory,
          int count)
{
    if (factory == NULL) {
        return PYGEN_ERROR;
    }
    PyObject *given = co->vars[GLUE_ARGS];
    PyObject *first = PyTuple_GET_ITEM(given, ARG_FIRST);
    PyObject *args =
        count == 1 ? PyTuple_Pack(2, factory, first)
                   : PyTuple_Pack(3, factory, first,
                                  PyTuple_GET_ITEM(given, ARG_SECOND));
    PyObject *method = args == NULL ? NULL : PyObject_GetAttr(loop, name);
    PyObject *aw = method == NULL ? NULL
                                  : PyObject_Call(method, args,
                                                  co->vars[GLUE_KWARGS]);
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_DECREF(factory);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, 1, aw);
}

/* A client: make both, connect. */
static PySendResult
glue_connect(CoroObject *co, PyObject *name, int count)
{
    fa_state *st = co->st;
    PyObject *loop = fa_get_running_loop(st);
    if (loop == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult answer = PYGEN_ERROR;
    PyObject *limit = PyTuple_GET_ITEM(co->vars[GLUE_ARGS], ARG_LIMIT);
    co->vars[GLUE_READER] = glue_reader(st, limit, loop);
    if (co->vars[GLUE_READER] != NULL) {
        co->vars[GLUE_PROTOCOL] =
            glue_protocol(st, co->vars[GLUE_READER], NULL, loop);
    }
    if (co->vars[GLUE_PROTOCOL] != NULL) {
        PyObject *factory = PyCFunction_New(&client_factory_def,
                                            co->vars[GLUE_PROTOCOL]);
        answer = glue_call(co, loop, name, factory, count);
    }
    Py_DECREF(loop);
    return answer;
}

/* `transport, _ = pair` (new). */
static PyObject *
glue_transport_of(PyObject *pair)
{
    PyObject *two = PySequence_Tuple(pair);
    if (two == NULL) {
        return NULL;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(two);
    PyObject *transport = n == 2 ? Py_NewRef(PyTuple_GET_ITEM(two, 0)) : NULL;
    Py_DECREF(two);
    if (n > 2) {
        PyErr_SetString(PyExc_ValueError,
                        "too many values to unpack (expected 2)");
    }
    else if (n < 2) {
        PyErr_Format(PyExc_ValueError,
                     "not enough values to unpack (expected 2, got %zd)", n);
    }
    return transport;
}

/* The connection is there: return reader, writer. */
static PySendResult
glue_connected(CoroObject *co, PyObject *pair, PyObject **result)
{
    fa_state *st = co->st;
    PyObject *loop = fa_get_running_loop(st);
    PyObject *transport = loop == NULL ? NULL : glue_transport_of(pair);
    PyObject *writer = NULL;
    if (transport != NULL) {
        writer = writer_new(st, transport, co->vars[GLUE_PROTOCOL],
                            co->vars[GLUE_READER], loop);
    }
    Py_XDECREF(transport);
    Py_XDECREF(loop);
    *result = writer == NULL ? NULL
                             : PyTuple_Pack(2, co->vars[GLUE_READER], writer);
    Py_XDECREF(writer);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* A server: the factory, and listen. */
static PySendResult
glue_listen(CoroObject *co, PyObject *name, int count)
{
    fa_state *st = co->st;
    PyObject *given = co->vars[GLUE_ARGS];
    PyObject *loop = fa_get_running_loop(st);
    if (loop == NULL) {
        return PYGEN_ERROR;
    }
    PyObject *self = PyTuple_Pack(4, PyTuple_GET_ITEM(given, ARG_LIMIT), loop,
                                  PyTuple_GET_ITEM(given, ARG_CALLBACK),
                                  (PyObject *)st->StreamReaderProtocolType);
    PyObject *factory =
        self == NULL ? NULL : PyCFunction_New(&server_factory_def, self);
    Py_XDECREF(self);
    PySendResult answer = glue_call(co, loop, name, factory, count);
    Py_DECREF(loop);
    return answer;
}

static PySendResult
glue_turn(CoroObject *co, PyObject *value, PyObject **result, PyObject *name,
          int server, int count)
{
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    if (co->stage == 0) {
        return server ? glue_listen(co, name, count)
                      : glue_connect(co, name, count);
    }
    return server ? coro_return(co, value, result)
                  : glue_connected(co, value, result);
}

static PySendResult
open_connection_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return glue_turn(co, value, result, co->st->str_create_connection, 0, 2);
}

static PySendResult
open_unix_connection_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return glue_turn(co, value, result, co->st->str_create_unix_connection, 0,
                     1);
}

static PySendResult
start_server_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return glue_turn(co, value, result, co->st->str_create_server, 1, 2);
}

static PySendResult
start_unix_server_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return glue_turn(co, value, result, co->st->str_create_unix_server, 1, 1);
}

/* -- arguments ---------------------------------------------------------------------------- */

/* Split the keywords: those of `spec` to known[], whose names are listed in
   *known_names (new); all others into *rest (new dict). 0 or -1. */
static int
glue_split(const fa_args *spec, PyObject *const *values, PyObject *kwnames,
           PyObject **known, PyObject **known_names, PyObject **rest)
{
    Py_ssize_t count = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    Py_ssize_t n = 0;
    *known_names = PyList_New(0);
    *rest = PyDict_New();
    if (*known_names == NULL || *rest == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, i);
        int is_ours = 0;
        for (int j = 0; j < spec->total && n < spec->total && !is_ours; j++) {
            is_ours = PyUnicode_CompareWithASCIIString(key,
                                                       spec->names[j]) == 0;
        }
        if (is_ours) {
            known[n++] = values[i];
        }
        if ((is_ours ? PyList_Append(*known_names, key)
                     : PyDict_SetItem(*rest, key, values[i])) < 0)
        {
            return -1;
        }
    }
    return 0;
}

/* fa_args_parse for a function that also takes any other keyword; *rest is a
   new dict of those. 0 or -1. */
static int
glue_parse(const fa_args *spec, PyObject *const *args, Py_ssize_t nargs,
           PyObject *kwnames, PyObject **out, PyObject **rest)
{
    PyObject *known[16], *list = NULL, *names = NULL;
    *rest = NULL;
    int rc = -1;
    if (nargs > spec->positional) {
        // too many: say so without looking at keywords
        return fa_args_parse(spec, args, nargs, NULL, out);
    }
    if (nargs > 0) {
        memcpy(known, args, sizeof(PyObject *) * (size_t)nargs);
    }
    if (glue_split(spec, args + nargs, kwnames, known + nargs, &list, rest) ==
        0)
    {
        names = PyList_AsTuple(list);
    }
    if (names != NULL) {
        rc = fa_args_parse(spec, known, nargs, names, out);
    }
    Py_XDECREF(names);
    Py_XDECREF(list);
    if (rc < 0) {
        Py_CLEAR(*rest);
    }
    return rc;
}

/* The coroutine. What each function lacks of the four arguments is None. */
static PyObject *
glue_make(fa_state *st, const fa_coro_kind *kind, PyObject *cb,
          PyObject *first, PyObject *second, PyObject *limit, PyObject *rest)
{
    PyObject *usual = NULL, *given = NULL, *co = NULL;
    if (limit == NULL) {
        limit = usual = PyLong_FromLong(64 * 1024);
    }
    if (limit != NULL) {
        given = PyTuple_Pack(4, cb == NULL ? Py_None : cb,
                             first == NULL ? Py_None : first,
                             second == NULL ? Py_None : second, limit);
    }
    if (given != NULL) {
        co = (PyObject *)coro_new(st, kind, given, rest);
    }
    Py_XDECREF(given);
    Py_XDECREF(usual);
    Py_DECREF(rest);
    return co;
}

static PyObject *
open_connection_make(fa_state *st, PyObject *Py_UNUSED(self),
                     PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    static const fa_coro_kind kind = {"open_connection",
                                      open_connection_turn};
    static const fa_args spec = {
        .fname = "open_connection", .required = 0, .positional = 2,
        .python = 2, .total = 3, .names = {"host", "port", "limit"}};
    PyObject *out[3], *rest;
    if (glue_parse(&spec, args, nargs, kwnames, out, &rest) < 0) {
        return NULL;
    }
    return glue_make(st, &kind, NULL, out[0], out[1], out[2], rest);
}

static PyObject *
open_unix_connection_make(fa_state *st, PyObject *Py_UNUSED(self),
                          PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames)
{
    static const fa_coro_kind kind = {"open_unix_connection",
                                      open_unix_connection_turn};
    static const fa_args spec = {
        .fname = "open_unix_connection", .required = 0, .positional = 1,
        .python = 2, .total = 2, .names = {"path", "limit"}};
    PyObject *out[2], *rest;
    if (glue_parse(&spec, args, nargs, kwnames, out, &rest) < 0) {
        return NULL;
    }
    return glue_make(st, &kind, NULL, out[0], NULL, out[1], rest);
}

static PyObject *
start_server_make(fa_state *st, PyObject *Py_UNUSED(self),
                  PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_coro_kind kind = {"start_server", start_server_turn};
    static const fa_args spec = {
        .fname = "start_server", .required = 1, .positional = 3, .python = 2,
        .total = 4, .names = {"client_connected_cb", "host", "port", "limit"}};
    PyObject *out[4], *rest;
    if (glue_parse(&spec, args, nargs, kwnames, out, &rest) < 0) {
        return NULL;
    }
    return glue_make(st, &kind, out[0], out[1], out[2], out[3], rest);
}

static PyObject *
start_unix_server_make(fa_state *st, PyObject *Py_UNUSED(self),
                       PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames)
{
    static const fa_coro_kind kind = {"start_unix_server",
                                      start_unix_server_turn};
    static const fa_args spec = {
        .fname = "start_unix_server", .required = 1, .positional = 2,
        .python = 2, .total = 3,
        .names = {"client_connected_cb", "path", "limit"}};
    PyObject *out[3], *rest;
    if (glue_parse(&spec, args, nargs, kwnames, out, &rest) < 0) {
        return NULL;
    }
    return glue_make(st, &kind, out[0], out[1], NULL, out[2], rest);
}

/* -- table ---------------------------------------------------------------------------------- */

static const fa_coro_def glue_defs[] = {
    {"open_connection", "open_connection", NULL, open_connection_make,
     "open_connection($module, host=None, port=None, *, limit=65536, "
     "**kwds)\n--\n\n"
     "Connect and return (reader, writer). `limit` is the reader's buffer\n"
     "limit in bytes; everything else goes to loop.create_connection(). See\n"
     "asyncio.open_connection."},
    {"start_server", "start_server", NULL, start_server_make,
     "start_server($module, client_connected_cb, host=None, port=None, *, "
     "limit=65536, **kwds)\n--\n\n"
     "Listen and call client_connected_cb(reader, writer) for each\n"
     "connection; if that is a coroutine it runs as a task. Returns the\n"
     "Server that loop.create_server() gives. See asyncio.start_server."},
    {"open_unix_connection", "open_unix_connection", NULL,
     open_unix_connection_make,
     "open_unix_connection($module, path=None, *, limit=65536, "
     "**kwds)\n--\n\n"
     "open_connection() over a Unix domain socket."},
    {"start_unix_server", "start_unix_server", NULL, start_unix_server_make,
     "start_unix_server($module, client_connected_cb, path=None, *, "
     "limit=65536, **kwds)\n--\n\n"
     "start_server() on a Unix domain socket."},
    {NULL, NULL, NULL, NULL, NULL},
};

int
glue_init(PyObject *module, fa_state *st)
{
    return coro_functions_add(st, module, glue_defs);
}
