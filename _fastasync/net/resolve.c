/* net/resolve.c: loop.getaddrinfo, loop.getnameinfo, loop._ensure_resolved.

   What is numeric is answered at once (addr.c); a name is looked up by Python's
   socket module in the default executor, as in asyncio, with whatever function
   stands there when the coroutine runs. Benchmark: getaddrinfo_literal. */
#include "net/connect.h"

#include "base/errors.h"

/* vars: the loop; host and port, sockaddr and flags, or the address; a tuple of
   hints. */
enum { NAME_LOOP, NAME_FIRST, NAME_SECOND, NAME_HINTS };

static PyObject *
resolve_hint(PyObject *hints, Py_ssize_t i)
{
    return hints == NULL ? NULL : PyTuple_GET_ITEM(hints, i);
}

/* Is the default executor there to be asked? asyncio asks it always. 1 or 0. */
static int
resolve_has_executor(CoroObject *co)
{
    PyObject *flag;
    int rc = fa_getattr_opt(co->vars[NAME_LOOP],
                            co->st->str__executor_shutdown_called, &flag);
    if (rc <= 0) {
        PyErr_Clear();
        return 0;
    }
    Py_DECREF(flag);
    return flag == Py_False;
}

/* await loop.run_in_executor(None, func, *args); func is taken over. */
static PySendResult
resolve_in_thread(CoroObject *co, PyObject *func, PyObject *const *args,
                  size_t nargs)
{
    PyObject *stack[9] = {co->vars[NAME_LOOP], Py_None, func};
    if (func == NULL) {
        return PYGEN_ERROR;
    }
    for (size_t i = 0; i < nargs; i++) {
        stack[3 + i] = args[i];
    }
    PyObject *fut = PyObject_VectorcallMethod(co->st->str_run_in_executor,
                                              stack, 3 + nargs, NULL);
    Py_DECREF(func);
    return fut == NULL ? PYGEN_ERROR : coro_await(co, 1, fut);
}

/* base_events.socket.<name> (new). */
static PyObject *
resolve_function(fa_state *st, PyObject *name)
{
    PyObject *module = PyObject_GetAttr(st->mod_base_events, st->str_socket);
    PyObject *func = module == NULL ? NULL : PyObject_GetAttr(module, name);
    Py_XDECREF(module);
    return func;
}

/* An answer was found (taken over), or not (NULL, maybe with an exception):
   1 = the turn ends with *answer. */
static int
resolve_answered(PyObject *found, PySendResult *answer, PyObject **result)
{
    *result = found;
    *answer = found == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    return found != NULL || PyErr_Occurred();
}

/* -- getaddrinfo --------------------------------------------------------------------- */

static PySendResult
getaddrinfo_thread(CoroObject *co, LoopObject *loop, PyObject *hints)
{
    fa_state *st = co->st;
    PyObject *zero = PyLong_FromLong(0);
    if (zero == NULL) {
        return PYGEN_ERROR;
    }
    PyObject *args[6] = {co->vars[NAME_FIRST], co->vars[NAME_SECOND]};
    for (Py_ssize_t i = 0; i < 4; i++) {
        PyObject *hint = resolve_hint(hints, i);
        args[2 + i] = hint == NULL ? zero : hint;
    }
    PyObject *func =
        loop->debug ? PyObject_GetAttrString((PyObject *)loop,
                                             "_getaddrinfo_debug")
                    : resolve_function(st, st->str_getaddrinfo);
    PySendResult answer = resolve_in_thread(co, func, args, 6);
    Py_DECREF(zero);
    return answer;
}

static PySendResult
getaddrinfo_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    if (co->stage != 0) {
        return coro_return(co, value, result);
    }
    fa_state *st = co->st;
    LoopObject *loop = (LoopObject *)co->vars[NAME_LOOP];
    PyObject *hints = co->vars[NAME_HINTS];
    if (plain_names(loop, st->str_getaddrinfo, st->socket_getaddrinfo) &&
        resolve_has_executor(co))
    {
        PySendResult answer;
        PyObject *const none[4] = {NULL};
        PyObject *found = addr_getaddrinfo(
            st, co->vars[NAME_FIRST], co->vars[NAME_SECOND],
            hints == NULL ? none : ((PyTupleObject *)hints)->ob_item);
        if (resolve_answered(found, &answer, result)) {
            return answer;
        }
    }
    return getaddrinfo_thread(co, loop, hints);
}

static const fa_coro_kind getaddrinfo_kind = {"BaseEventLoop.getaddrinfo",
                                              getaddrinfo_turn};

/* Four hints as a tuple (new), 0 in place of those not given. */
static PyObject *
resolve_hints(PyObject *const hints[4])
{
    PyObject *tuple = PyTuple_New(4);
    for (Py_ssize_t i = 0; tuple != NULL && i < 4; i++) {
        PyTuple_SET_ITEM(tuple, i, hints[i] == NULL ? PyLong_FromLong(0)
                                                    : Py_NewRef(hints[i]));
    }
    return tuple;
}

/* A coroutine of that kind (new); `hints`, a tuple or NULL, is taken over. */
static PyObject *
resolve_new(LoopObject *loop, const fa_coro_kind *kind, PyObject *first,
            PyObject *second, PyObject *hints)
{
    CoroObject *co = coro_new(loop->st, kind, (PyObject *)loop, first);
    if (co == NULL) {
        Py_XDECREF(hints);
        return NULL;
    }
    co->vars[NAME_SECOND] = Py_NewRef(second);
    co->vars[NAME_HINTS] = hints;
    return (PyObject *)co;
}

PyObject *
resolve_getaddrinfo(LoopObject *loop, PyObject *host, PyObject *port,
                    PyObject *const hints[4])
{
    PyObject *tuple = NULL;
    if (hints[0] || hints[1] || hints[2] || hints[3]) {
        tuple = resolve_hints(hints);
        if (tuple == NULL) {
            return NULL;
        }
    }
    return resolve_new(loop, &getaddrinfo_kind, host, port, tuple);
}

/* -- getnameinfo ---------------------------------------------------------------------- */

static PySendResult
getnameinfo_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    if (co->stage != 0) {
        return coro_return(co, value, result);
    }
    fa_state *st = co->st;
    LoopObject *loop = (LoopObject *)co->vars[NAME_LOOP];
    PyObject *args[2] = {co->vars[NAME_FIRST], co->vars[NAME_SECOND]};
    PyObject *func = resolve_function(st, st->str_getnameinfo);
    // (socket.getnameinfo is a C function: there is no other to tell apart)
    if (func == st->socket_getnameinfo && !loop->debug && !loop->closed &&
        !(loop->overridden & FA_OV_RUN_IN_EXECUTOR) &&
        resolve_has_executor(co))
    {
        PySendResult answer;
        PyObject *found = addr_getnameinfo(args[0], args[1]);
        if (resolve_answered(found, &answer, result)) {
            Py_DECREF(func);
            return answer;
        }
    }
    return resolve_in_thread(co, func, args, 2);
}

static const fa_coro_kind getnameinfo_kind = {"BaseEventLoop.getnameinfo",
                                              getnameinfo_turn};

PyObject *
resolve_getnameinfo(LoopObject *loop, PyObject *sockaddr, PyObject *flags)
{
    CoroObject *co = coro_new(loop->st, &getnameinfo_kind, (PyObject *)loop,
                              sockaddr);
    if (co != NULL) {
        co->vars[NAME_SECOND] = flags == NULL ? PyLong_FromLong(0)
                                             : Py_NewRef(flags);
    }
    return (PyObject *)co;
}

/* -- _ensure_resolved ------------------------------------------------------------------- */

/* await loop.getaddrinfo(host, port, family=, type=, proto=, flags=) */
static PySendResult
ensure_by_name(CoroObject *co)
{
    PyObject *hints = co->vars[NAME_HINTS];
    PyObject *address = co->vars[NAME_FIRST];
    PyObject *args = PyTuple_Pack(2, PyTuple_GET_ITEM(address, 0),
                                  PyTuple_GET_ITEM(address, 1));
    PyObject *keywords = Py_BuildValue(
        "{sOsOsOsO}", "family", PyTuple_GET_ITEM(hints, 0), "type",
        PyTuple_GET_ITEM(hints, 1), "proto", PyTuple_GET_ITEM(hints, 2),
        "flags", PyTuple_GET_ITEM(hints, 3));
    PyObject *method = args == NULL || keywords == NULL
                           ? NULL
                           : PyObject_GetAttr(co->vars[NAME_SECOND],
                                              co->st->str_getaddrinfo);
    PyObject *aw = method == NULL ? NULL : PyObject_Call(method, args, keywords);
    Py_XDECREF(method);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    return aw == NULL ? PYGEN_ERROR : coro_await(co, 1, aw);
}

/* info = base_events._ipaddr_info(host, port, family, type, proto, *rest): new,
   maybe None. */
static PyObject *
ensure_ask_asyncio(CoroObject *co)
{
    PyObject *address = co->vars[NAME_FIRST], *hints = co->vars[NAME_HINTS];
    PyObject *stack[7] = {PyTuple_GET_ITEM(address, 0),
                          PyTuple_GET_ITEM(address, 1),
                          PyTuple_GET_ITEM(hints, 0),
                          PyTuple_GET_ITEM(hints, 1),
                          PyTuple_GET_ITEM(hints, 2)};
    Py_ssize_t n = PyTuple_GET_SIZE(address); // 2 to 4: resolve_ensure
    for (Py_ssize_t i = 2; i < n; i++) {
        stack[3 + i] = PyTuple_GET_ITEM(address, i);
    }
    PyObject *func = PyObject_GetAttr(co->st->mod_base_events,
                                      co->st->str__ipaddr_info);
    PyObject *info = func == NULL ? NULL
                                  : PyObject_Vectorcall(func, stack,
                                                        (size_t)n + 3, NULL);
    Py_XDECREF(func);
    return info;
}

static PySendResult
ensure_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    if (co->stage != 0) {
        return coro_return(co, value, result);
    }
    PyObject *hints = co->vars[NAME_HINTS], *info = NULL;
    if (plain_ipaddr_info(co->st)) {
        info = addr_ipaddr_info(co->st, co->vars[NAME_FIRST],
                                PyTuple_GET_ITEM(hints, 0),
                                PyTuple_GET_ITEM(hints, 1),
                                PyTuple_GET_ITEM(hints, 2));
    }
    if (info == NULL && !PyErr_Occurred()) {
        info = ensure_ask_asyncio(co);
    }
    if (info == NULL) {
        return PYGEN_ERROR;
    }
    if (info == Py_None) {
        Py_DECREF(info);
        return ensure_by_name(co);
    }
    *result = Py_BuildValue("[N]", info);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static const fa_coro_kind ensure_kind = {"BaseEventLoop._ensure_resolved",
                                         ensure_turn};

PyObject *
resolve_ensure(LoopObject *loop, PyObject *address, PyObject *const hints[4],
               PyObject *asked)
{
    PyObject *given[4] = {hints[0], hints[1], hints[2], hints[3]};
    if (given[1] == NULL) {
        given[1] = loop->st->socket_SOCK_STREAM;
    }
    PyObject *tuple = resolve_hints(given);
    if (tuple == NULL) {
        return NULL;
    }
    return resolve_new(loop, &ensure_kind, address, asked, tuple);
}
