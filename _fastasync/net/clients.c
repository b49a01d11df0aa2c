/* net/clients.c: which transports belong to a server.

   Transports of ours are linked through themselves: the list keeps none of them
   alive, and joining or leaving costs two pointers. Objects that are not ours
   are kept in a WeakSet, as asyncio keeps all of them.

   Invariant: transport->prev is set exactly while the transport is in the list
   of transport->server, which is then a ServerCore. */
#include "net/transport.h"

/* How many are attached, -1 on error. */
Py_ssize_t
server_count(ServerObject *self)
{
    if (self->foreign == NULL) {
        return self->active;
    }
    Py_ssize_t others = PyObject_Size(self->foreign);
    return others < 0 ? -1 : self->active + others;
}

int
server_check_open(ServerObject *self)
{
    if (self->sockets == NULL) {
        PyErr_SetNone(PyExc_AssertionError);
        return -1;
    }
    return 0;
}

/* _attach or _detach of a server that is not ours. */
static int
server_tell(TransportObject *self, PyObject *server, PyObject *method)
{
#if FA_HAS_SERVER_CLIENTS
    PyObject *res = PyObject_CallMethodOneArg(server, method,
                                              (PyObject *)self);
#else
    PyObject *res = PyObject_CallMethodNoArgs(server, method);
    (void)self;
#endif
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

void
server_link(ServerObject *server, TransportObject *transport)
{
    transport->next = server->clients;
    transport->prev = &server->clients;
    if (server->clients != NULL) {
        server->clients->prev = &transport->next;
    }
    server->clients = transport;
    server->active++;
}

void
server_forget(TransportObject *self)
{
    if (self->prev == NULL) {
        return;
    }
    *self->prev = self->next;
    if (self->next != NULL) {
        self->next->prev = self->prev;
    }
    self->prev = NULL;
    self->next = NULL;
    ServerObject *server = (ServerObject *)self->server;
    if (server != NULL && server->active > 0) { // or _detach() was called by hand
        server->active--;
    }
}

int
server_attach(TransportObject *self)
{
    PyObject *server = self->server;
    if (!PyObject_TypeCheck(server, self->st->ServerCoreType)) {
        return server_tell(self, server, self->st->str__attach);
    }
    if (server_check_open((ServerObject *)server) < 0) {
        Py_CLEAR(self->server); // it was never attached
        return -1;
    }
    server_link((ServerObject *)server, self);
    return 0;
}

int
server_detach(TransportObject *self)
{
    PyObject *server = self->server;
    if (server == NULL) {
        return 0;
    }
    int rc = 0;
    if (!PyObject_TypeCheck(server, self->st->ServerCoreType)) {
        self->server = NULL;
        rc = server_tell(self, server, self->st->str__detach);
    }
    else if (self->prev != NULL) {
        server_forget(self);
        self->server = NULL;
        rc = server_left((ServerObject *)server);
    }
    else {
        // set by hand through _server: as asyncio, its _detach is called
        self->server = NULL;
        rc = server_tell(self, server, self->st->str__detach);
    }
    Py_DECREF(server);
    return rc;
}

/* A list of the attached transports (new). */
PyObject *
server_transports(ServerObject *self)
{
    PyObject *list = self->foreign == NULL ? PyList_New(0)
                                           : PySequence_List(self->foreign);
    for (TransportObject *transport = self->clients;
         list != NULL && transport != NULL; transport = transport->next)
    {
        if (PyList_Append(list, (PyObject *)transport) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* weakref.WeakSet(), made when first needed (borrowed). */
PyObject *
server_foreign(ServerObject *self)
{
    if (self->foreign == NULL) {
        PyObject *module = PyImport_ImportModule("weakref");
        if (module != NULL) {
            self->foreign = PyObject_CallMethod(module, "WeakSet", NULL);
            Py_DECREF(module);
        }
    }
    return self->foreign;
}
