/* net/plain.c: has anybody replaced what asyncio would have called?

   Names and connections are made without Python's socket module as long as that
   cannot be told apart. Test suites, proxies (PySocks), guards (pytest-socket)
   and audit hooks replace or watch socket.getaddrinfo, socket.socket, its
   methods, or methods of the loop; then asyncio's way is gone, through all of
   them. Cost: a few dict look-ups per connection. */
#include "net/connect.h"

/* module.name is still that object: 1 or 0. */
static int
plain_attribute(PyObject *module, PyObject *name, PyObject *stock)
{
    PyObject *dict = PyModule_GetDict(module);
    PyObject *found = PyDict_GetItemWithError(dict, name); // borrowed
    if (found == NULL) {
        PyErr_Clear();
    }
    return found == stock;
}

/* A Python function of the module `socket` itself? */
static int
plain_function(fa_state *st, PyObject *func)
{
    return func != NULL && PyFunction_Check(func) &&
           PyFunction_GET_GLOBALS(func) == PyModule_GetDict(st->mod_socket);
}

int
plain_own_function(PyObject *module, const char *name)
{
    if (!PyModule_Check(module)) {
        return 0;
    }
    PyObject *dict = PyModule_GetDict(module);
    PyObject *func = PyDict_GetItemString(dict, name); // borrowed
    return func != NULL && PyFunction_Check(func) &&
           PyFunction_GET_GLOBALS(func) == dict;
}

int
plain_methods(fa_state *st, const char *const *names, size_t count)
{
    PyTypeObject *cls = (PyTypeObject *)st->socket_class;
    PyTypeObject *stock = (PyTypeObject *)st->socket_type;
    int plain = 1;
    for (size_t i = 0; plain && i < count; i++) {
        PyObject *name = PyUnicode_InternFromString(names[i]);
        if (name == NULL) {
            PyErr_Clear();
            return 0;
        }
        plain = _PyType_Lookup(cls, name) == _PyType_Lookup(stock, name);
        Py_DECREF(name);
    }
    return plain;
}

/* socket.socket as the standard library has it. */
static int
plain_class_look(fa_state *st, PyTypeObject *cls)
{
    static const char *const methods[] = {"__new__",  "bind",
                                          "connect",  "getsockopt",
                                          "fileno",   "setblocking",
                                          "setsockopt", "getpeername"};
    if ((PyObject *)cls->tp_base != st->socket_type) {
        return 0;
    }
    return plain_methods(st, methods, FA_ARRAY_LEN(methods)) &&
           plain_function(st, _PyType_Lookup(cls, st->str___init__));
}

static int
plain_class(fa_state *st)
{
    PyTypeObject *cls = (PyTypeObject *)st->socket_class;
    unsigned int version = fa_type_version(cls);
    if (FA_UNLIKELY(version == 0 || version != st->socket_version)) {
        st->socket_plain = (uint8_t)plain_class_look(st, cls);
        st->socket_version = fa_type_version(cls);
    }
    return st->socket_plain;
}

/* The converter of plain_audited: asked for only if somebody listens. It fails,
   so that nobody is told. */
static PyObject *
plain_audit_probe(void *Py_UNUSED(ignored))
{
    PyErr_SetNone(PyExc_LookupError);
    return NULL;
}

/* Is there an audit hook? 1 or 0. */
static int
plain_audited(void)
{
    if (FA_LIKELY(PySys_Audit("socket.connect", "O&", plain_audit_probe,
                              NULL) == 0))
    {
        return 0;
    }
    PyErr_Clear();
    return 1;
}

int
plain_names(const LoopObject *loop, PyObject *name, PyObject *stock)
{
    fa_state *st = loop->st;
    return !loop->closed && !loop->debug &&
           !(loop->overridden & FA_OV_RUN_IN_EXECUTOR) &&
           plain_attribute(st->mod_base_events, st->str_socket,
                           st->mod_socket) &&
           plain_attribute(st->mod_socket, name, stock) &&
           plain_function(st, stock);
}

int
plain_ipaddr_info(fa_state *st)
{
    return plain_attribute(st->mod_base_events, st->str__ipaddr_info,
                           st->base_ipaddr_info);
}

int
plain_connects(const LoopObject *loop)
{
    fa_state *st = loop->st;
    return loop->direct && !(loop->overridden & FA_OV_CONNECTS) &&
           plain_attribute(st->mod_base_events, st->str_socket,
                           st->mod_socket) &&
           plain_attribute(st->mod_unix_events, st->str_socket,
                           st->mod_socket) &&
           plain_attribute(st->mod_selector_events, st->str_socket,
                           st->mod_socket) &&
           plain_attribute(st->mod_socket, st->str_socket,
                           st->socket_class) &&
           plain_ipaddr_info(st) && plain_class(st) && !plain_audited();
}
