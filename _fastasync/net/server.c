/* net/server.c: ServerCore, what a Server does besides waiting.

   fastasync.Server (Python) adds the coroutines start_serving, serve_forever
   and wait_closed, which are asyncio's. Who is connected is kept in clients.c;
   whoever asks for `_clients` gets a WeakSet made for him. Objects that are not
   ours come through _attach and _detach, with or without an argument as in the
   asyncio of any version.

   Invariant: `waiters` is NULL from the moment the server was closed and the
   last transport had left. */
#include "net/transport.h"

#include "base/args.h"
#include "base/errors.h"

/* -- new, traverse, clear, dealloc --------------------------------------------------------- */

static PyObject *
ServerCore_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
               PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    ServerObject *self = (ServerObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->st = st;
    }
    return (PyObject *)self;
}

static int
ServerCore_traverse(ServerObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->loop);
    Py_VISIT(self->sockets);
    Py_VISIT(self->factory);
    Py_VISIT(self->ssl_context);
    Py_VISIT(self->backlog);
    Py_VISIT(self->handshake_timeout);
    Py_VISIT(self->shutdown_timeout);
    Py_VISIT(self->context);
    Py_VISIT(self->waiters);
    Py_VISIT(self->forever);
    Py_VISIT(self->foreign);
    return 0;
}

static int
ServerCore_clear(ServerObject *self)
{
    // those that refer to us are being cleared as well: unlink the rest
    while (self->clients != NULL) {
        server_forget(self->clients);
    }
    Py_CLEAR(self->loop);
    Py_CLEAR(self->sockets);
    Py_CLEAR(self->factory);
    Py_CLEAR(self->ssl_context);
    Py_CLEAR(self->backlog);
    Py_CLEAR(self->handshake_timeout);
    Py_CLEAR(self->shutdown_timeout);
    Py_CLEAR(self->context);
    Py_CLEAR(self->waiters);
    Py_CLEAR(self->forever);
    Py_CLEAR(self->foreign);
    return 0;
}

static void
ServerCore_dealloc(ServerObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ServerCore_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static const fa_args ServerCore_init_spec = {
    .fname = "Server.__init__", .required = 6, .positional = 8, .python = 1,
    .total = 8,
    .names = {"loop", "sockets", "protocol_factory", "ssl_context", "backlog",
              "ssl_handshake_timeout", "ssl_shutdown_timeout", "context"}};

static int
ServerCore_init(ServerObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *out[8];
    if (fa_args_parse_tuple(&ServerCore_init_spec, args, kwargs, out) < 0) {
        return -1;
    }
    PyObject *context = out[7] == NULL || out[7] == Py_None
                            ? PyContext_CopyCurrent()
                            : Py_NewRef(out[7]);
    PyObject *waiters = context == NULL ? NULL : PyList_New(0);
    if (waiters == NULL) {
        Py_XDECREF(context);
        return -1;
    }
    Py_XSETREF(self->context, context);
    Py_XSETREF(self->waiters, waiters);
    Py_XSETREF(self->loop, Py_NewRef(out[0]));
    Py_XSETREF(self->sockets,
               out[1] == Py_None ? NULL : Py_NewRef(out[1]));
    Py_XSETREF(self->factory, Py_NewRef(out[2]));
    Py_XSETREF(self->ssl_context, Py_NewRef(out[3]));
    Py_XSETREF(self->backlog, Py_NewRef(out[4]));
    Py_XSETREF(self->handshake_timeout, Py_NewRef(out[5]));
    Py_XSETREF(self->shutdown_timeout,
               Py_NewRef(out[6] == NULL ? Py_None : out[6]));
    return 0;
}

/* -- engine: the end -------------------------------------------------------------------- */

/* Tell those who wait for the end. 0 or -1. */
static int
server_wakeup(ServerObject *self)
{
    PyObject *waiters = self->waiters;
    self->waiters = NULL;
    int rc = 0;
    for (Py_ssize_t i = 0;
         waiters != NULL && rc == 0 && i < PyList_GET_SIZE(waiters); i++)
    {
        PyObject *waiter = Py_NewRef(PyList_GET_ITEM(waiters, i));
        PyObject *done = PyObject_CallMethodNoArgs(waiter,
                                                   self->st->str_done);
        int is_done = done == NULL ? -1 : PyObject_IsTrue(done);
        Py_XDECREF(done);
        PyObject *res = NULL;
        if (is_done == 0) {
            res = PyObject_CallMethod(waiter, "set_result", "O", Py_None);
        }
        rc = is_done < 0 || (is_done == 0 && res == NULL) ? -1 : 0;
        Py_XDECREF(res);
        Py_DECREF(waiter);
    }
    Py_XDECREF(waiters);
    return rc;
}

int
server_left(ServerObject *self)
{
    if (self->sockets != NULL) {
        return 0;
    }
    Py_ssize_t count = server_count(self);
    return count < 0 ? -1 : count == 0 ? server_wakeup(self) : 0;
}

int
server_is_closed(fa_state *st, PyObject *server)
{
    return PyObject_TypeCheck(server, st->ServerCoreType) &&
           ((ServerObject *)server)->sockets == NULL;
}

/* transport.<method>() for each of them. New None or NULL. */
static PyObject *
server_each_client(ServerObject *self, PyObject *method)
{
    PyObject *list = server_transports(self);
    if (list == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *res = PyObject_CallMethodNoArgs(PyList_GET_ITEM(list, i),
                                                  method);
        if (res == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        Py_DECREF(res);
    }
    Py_DECREF(list);
    Py_RETURN_NONE;
}

/* -- methods ----------------------------------------------------------------------------------- */

/* _attach([transport]): an own transport joins the list, a foreign one the
   WeakSet, and nobody in particular is counted. */
static PyObject *
ServerCore_attach(ServerObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError,
                     "Server._attach() takes at most 1 argument (%zd given)",
                     nargs);
        return NULL;
    }
    if (server_check_open(self) < 0) {
        return NULL;
    }
    if (nargs == 0) {
        self->active++;
        Py_RETURN_NONE;
    }
    TransportObject *own = (TransportObject *)args[0];
    if (PyObject_TypeCheck(args[0], self->st->SocketTransportType) &&
        own->prev == NULL &&
        (own->server == NULL || own->server == (PyObject *)self))
    {
        Py_XSETREF(own->server, Py_NewRef((PyObject *)self));
        server_link(self, own);
        Py_RETURN_NONE;
    }
    PyObject *set = server_foreign(self);
    return set == NULL ? NULL : PyObject_CallMethod(set, "add", "O", args[0]);
}

static PyObject *
ServerCore_detach(ServerObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs > 1) {
        PyErr_Format(PyExc_TypeError,
                     "Server._detach() takes at most 1 argument (%zd given)",
                     nargs);
        return NULL;
    }
    if (nargs == 0) {
        if (self->active <= 0) {
            PyErr_SetNone(PyExc_AssertionError);
            return NULL;
        }
        self->active--;
    }
    else if (PyObject_TypeCheck(args[0], self->st->SocketTransportType) &&
             ((TransportObject *)args[0])->prev != NULL &&
             ((TransportObject *)args[0])->server == (PyObject *)self)
    {
        server_forget((TransportObject *)args[0]);
    }
    else if (self->foreign != NULL) {
        PyObject *res = PyObject_CallMethod(self->foreign, "discard", "O",
                                            args[0]);
        if (res == NULL) {
            return NULL;
        }
        Py_DECREF(res);
    }
    return server_left(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
ServerCore_wakeup(ServerObject *self, PyObject *Py_UNUSED(arg))
{
    return server_wakeup(self) < 0 ? NULL : Py_NewRef(Py_None);
}

/* loop._start_serving(factory, sock, ssl, self, backlog, timeouts...) */
static int
server_start_one(ServerObject *self, PyObject *sock)
{
    PyObject *res = PyObject_CallMethodOneArg(sock, self->st->str_listen,
                                              self->backlog);
    if (res == NULL) {
        return -1;
    }
    Py_DECREF(res);
    PyObject *stack[9] = {
        self->loop, self->factory, sock, self->ssl_context, (PyObject *)self,
        self->backlog, self->handshake_timeout, self->shutdown_timeout,
        self->context};
    PyObject *kwnames = NULL;
#if FA_HAS_SERVER_CONTEXT
    kwnames = PyTuple_Pack(1, self->st->str_context);
    if (kwnames == NULL) {
        return -1;
    }
#endif
    res = PyObject_VectorcallMethod(self->st->str__start_serving, stack, 8,
                                    kwnames);
    Py_XDECREF(kwnames);
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

/* serve_forever must end. 0 or -1. */
static int
server_cancel_forever(ServerObject *self)
{
    PyObject *future = self->forever;
    if (future == NULL) {
        return 0;
    }
    Py_INCREF(future);
    PyObject *done = PyObject_CallMethodNoArgs(future, self->st->str_done);
    int is_done = done == NULL ? -1 : PyObject_IsTrue(done);
    Py_XDECREF(done);
    int rc = is_done;
    if (is_done == 0) {
        PyObject *res = PyObject_CallMethodNoArgs(future,
                                                  self->st->str_cancel);
        rc = res == NULL ? -1 : 0;
        Py_XDECREF(res);
        Py_CLEAR(self->forever);
    }
    Py_DECREF(future);
    return rc < 0 ? -1 : 0;
}

/* Stop listening on every socket. One that cannot be closed is no reason to go
   on listening on the others; the first failure is raised. 0 or -1. */
static int
server_close(ServerObject *self)
{
    PyObject *sockets = self->sockets;
    self->sockets = NULL;
    PyObject *list = PySequence_List(sockets);
    PyObject *error = list == NULL ? fa_err_take() : NULL;
    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
        PyObject *res = PyObject_CallMethodOneArg(
            self->loop, self->st->str__stop_serving,
            PyList_GET_ITEM(list, i));
        if (res == NULL && error == NULL) {
            error = fa_err_take();
        }
        PyErr_Clear();
        Py_XDECREF(res);
    }
    Py_XDECREF(list);
    Py_DECREF(sockets);
    self->serving = 0;
    if (server_cancel_forever(self) < 0 || server_left(self) < 0) {
        Py_XDECREF(error);
        return -1;
    }
    if (error == NULL) {
        return 0;
    }
    fa_err_restore(error);
    return -1;
}

/* One of the sockets cannot be served. Whoever called create_server() has no
   server to close: asyncio leaves the sockets to the garbage collector. The
   exception is kept. */
static FA_COLD void
server_give_up(ServerObject *self)
{
    PyObject *error = fa_err_take();
    if (self->sockets != NULL && server_close(self) < 0) {
        PyErr_Clear(); // the first failure is the one to tell
    }
    fa_err_restore(error);
}

static PyObject *
ServerCore_start_serving(ServerObject *self, PyObject *Py_UNUSED(arg))
{
    if (self->serving) {
        Py_RETURN_NONE;
    }
    self->serving = 1;
    PyObject *sockets = self->sockets == NULL
                            ? PyObject_GetIter(Py_None)
                            : PySequence_List(self->sockets);
    if (sockets == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(sockets); i++) {
        if (server_start_one(self, PyList_GET_ITEM(sockets, i)) < 0) {
            Py_DECREF(sockets);
            server_give_up(self);
            return NULL;
        }
    }
    Py_DECREF(sockets);
    Py_RETURN_NONE;
}

static PyObject *
ServerCore_get_loop(ServerObject *self, PyObject *Py_UNUSED(arg))
{
    return Py_NewRef(self->loop == NULL ? Py_None : self->loop);
}

static PyObject *
ServerCore_is_serving(ServerObject *self, PyObject *Py_UNUSED(arg))
{
    return PyBool_FromLong(self->serving);
}

static PyObject *
ServerCore_close(ServerObject *self, PyObject *Py_UNUSED(arg))
{
    if (self->sockets != NULL && server_close(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
ServerCore_close_clients(ServerObject *self, PyObject *Py_UNUSED(arg))
{
    return server_each_client(self, self->st->str_close);
}

static PyObject *
ServerCore_abort_clients(ServerObject *self, PyObject *Py_UNUSED(arg))
{
    return server_each_client(self, self->st->str_abort);
}

static PyObject *
ServerCore_get_sockets(ServerObject *self, void *Py_UNUSED(closure))
{
    PyObject *list = self->sockets == NULL ? PyList_New(0)
                                           : PySequence_List(self->sockets);
    if (list == NULL) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *wrapped = PyObject_CallOneArg(self->st->TransportSocket,
                                                PyList_GET_ITEM(list, i));
        if (wrapped == NULL || PyList_SetItem(list, i, wrapped) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    PyObject *tuple = PyList_AsTuple(list);
    Py_DECREF(list);
    return tuple;
}

static PyObject *
ServerCore_repr(ServerObject *self)
{
    PyObject *name = PyType_GetName(Py_TYPE(self));
    PyObject *sockets = name == NULL ? NULL
                                     : PyObject_GetAttrString(
                                           (PyObject *)self, "sockets");
    PyObject *repr = sockets == NULL
                         ? NULL
                         : PyUnicode_FromFormat("<%U sockets=%R>", name,
                                                sockets);
    Py_XDECREF(name);
    Py_XDECREF(sockets);
    return repr;
}

/* -- attributes ------------------------------------------------------------------------------------ */

static PyObject *
ServerCore_get_clients(ServerObject *self, void *Py_UNUSED(closure))
{
    PyObject *list = server_transports(self);
    PyObject *module = list == NULL ? NULL : PyImport_ImportModule("weakref");
    PyObject *set = module == NULL
                        ? NULL
                        : PyObject_CallMethod(module, "WeakSet", "O", list);
    Py_XDECREF(module);
    Py_XDECREF(list);
    return set;
}

static PyObject *
ServerCore_get_active_count(ServerObject *self, void *Py_UNUSED(closure))
{
    Py_ssize_t count = server_count(self);
    return count < 0 ? NULL : PyLong_FromSsize_t(count);
}

static PyObject *
ServerCore_get_serving(ServerObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->serving);
}

static int
ServerCore_set_forever(ServerObject *self, PyObject *value,
                       void *Py_UNUSED(closure))
{
    Py_XSETREF(self->forever,
               value == NULL || value == Py_None ? NULL : Py_NewRef(value));
    return 0;
}

/* References: NULL reads as None. */
static PyMemberDef ServerCore_members[] = {
    {"_loop", T_OBJECT, offsetof(ServerObject, loop), READONLY, NULL},
    {"_sockets", T_OBJECT, offsetof(ServerObject, sockets), READONLY, NULL},
    {"_waiters", T_OBJECT, offsetof(ServerObject, waiters), READONLY, NULL},
    {"_protocol_factory", T_OBJECT, offsetof(ServerObject, factory), READONLY,
     NULL},
    {"_ssl_context", T_OBJECT, offsetof(ServerObject, ssl_context), READONLY,
     NULL},
    {"_backlog", T_OBJECT, offsetof(ServerObject, backlog), READONLY, NULL},
    {"_ssl_handshake_timeout", T_OBJECT,
     offsetof(ServerObject, handshake_timeout), READONLY, NULL},
    {"_ssl_shutdown_timeout", T_OBJECT,
     offsetof(ServerObject, shutdown_timeout), READONLY, NULL},
    {"_context", T_OBJECT, offsetof(ServerObject, context), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyObject *
ServerCore_get_forever(ServerObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->forever == NULL ? Py_None : self->forever);
}

static PyGetSetDef ServerCore_getset[] = {
    {"sockets", (getter)ServerCore_get_sockets, NULL,
     "The sockets it listens on, as a tuple; empty when it is closed.", NULL},
    {"_clients", (getter)ServerCore_get_clients, NULL, NULL, NULL},
    {"_active_count", (getter)ServerCore_get_active_count, NULL, NULL, NULL},
    {"_serving", (getter)ServerCore_get_serving, NULL, NULL, NULL},
    {"_serving_forever_fut", (getter)ServerCore_get_forever,
     (setter)ServerCore_set_forever, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define SERVER_METHOD(name, func, flags, text) \
    {name, (PyCFunction)(void (*)(void))ServerCore_##func, flags, \
     PyDoc_STR(text)}

static PyMethodDef ServerCore_methods[] = {
    SERVER_METHOD("_attach", attach, METH_FASTCALL, NULL),
    SERVER_METHOD("_detach", detach, METH_FASTCALL, NULL),
    SERVER_METHOD("_wakeup", wakeup, METH_NOARGS, NULL),
    SERVER_METHOD("_start_serving", start_serving, METH_NOARGS, NULL),
    SERVER_METHOD("get_loop", get_loop, METH_NOARGS,
                  "get_loop($self)\n--\n\n"
                  "Get the event loop the Server object is attached to."),
    SERVER_METHOD("is_serving", is_serving, METH_NOARGS,
                  "is_serving($self)\n--\n\n"
                  "Return True if the server is accepting connections."),
    SERVER_METHOD("close", close, METH_NOARGS,
                  "close($self)\n--\n\n"
                  "Stop serving; connections that are open stay open."),
    SERVER_METHOD("close_clients", close_clients, METH_NOARGS,
                  "close_clients($self)\n--\n\nClose all active connections."),
    SERVER_METHOD("abort_clients", abort_clients, METH_NOARGS,
                  "abort_clients($self)\n--\n\n"
                  "Close all active connections immediately."),
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ServerCore_slots[] = {
    {Py_tp_doc, (void *)
     "ServerCore(loop, sockets, protocol_factory, ssl_context, backlog,\n"
     "           ssl_handshake_timeout, ssl_shutdown_timeout=None,\n"
     "           context=None)\n--\n\n"
     "What loop.create_server() returns, but for the methods that wait.\n"
     "See asyncio.Server."},
    {Py_tp_new, ServerCore_new},
    {Py_tp_init, ServerCore_init},
    {Py_tp_traverse, ServerCore_traverse},
    {Py_tp_clear, ServerCore_clear},
    {Py_tp_dealloc, ServerCore_dealloc},
    {Py_tp_repr, ServerCore_repr},
    {Py_tp_methods, ServerCore_methods},
    {Py_tp_getset, ServerCore_getset},
    {Py_tp_members, ServerCore_members},
    {0, NULL},
};

static PyType_Spec ServerCore_spec = {
    .name = "_fastasync.ServerCore",
    .basicsize = sizeof(ServerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = ServerCore_slots,
};

int
server_type_init(PyObject *module, fa_state *st)
{
    if (fa_type_new(module, &ServerCore_spec, NULL, &st->ServerCoreType) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "ServerCore",
                                 (PyObject *)st->ServerCoreType);
}
