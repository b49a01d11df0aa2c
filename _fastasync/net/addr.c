/* net/addr.c: numeric addresses.

   A host that is an address already needs no name service, and so no thread:
   what socket.getaddrinfo, socket.getnameinfo and asyncio's _ipaddr_info say
   about it is known here, for the forms that are beyond doubt (an exact str,
   an exact int as port, the usual hints). Everything else is answered "not
   certain": NULL without an exception, or 0. Nothing here blocks; audit hooks
   see the same events as from the socket module.
   Benchmark: getaddrinfo_literal. */
#include "net/connect.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

/* -- from Python ------------------------------------------------------------------- */

int
addr_literal(PyObject *host, int family, fa_sockaddr *out)
{
    if (!PyUnicode_CheckExact(host) || !PyUnicode_IS_COMPACT_ASCII(host)) {
        return 0;
    }
    const char *text = (const char *)PyUnicode_DATA(host);
    Py_ssize_t len = PyUnicode_GET_LENGTH(host);
    if (len >= INET6_ADDRSTRLEN || strlen(text) != (size_t)len) {
        return 0;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)&out->raw;
    if (family == AF_INET || family == AF_UNSPEC) {
        *in = (struct sockaddr_in){.sin_family = AF_INET};
        if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
            out->len = sizeof(*in);
            return 1;
        }
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->raw;
    if (family == AF_INET6 || family == AF_UNSPEC) {
        *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
            out->len = sizeof(*in6);
            return 1;
        }
    }
    return 0;
}

int
addr_int(PyObject *obj, int *out)
{
    *out = 0;
    if (obj == NULL) {
        return 1;
    }
    if (!PyLong_Check(obj)) {
        return 0;
    }
    int beyond;
    long value = PyLong_AsLongAndOverflow(obj, &beyond);
    if (beyond != 0 || value < INT_MIN || value > INT_MAX) {
        return 0;
    }
    *out = (int)value;
    return 1;
}

int
addr_port(PyObject *port, int *out)
{
    return PyLong_CheckExact(port) && addr_int(port, out) && *out >= 0 &&
           *out <= 65535;
}

void
addr_set_port(fa_sockaddr *addr, int port)
{
    // the same place in both
    static_assert(offsetof(struct sockaddr_in, sin_port) ==
                      offsetof(struct sockaddr_in6, sin6_port),
                  "ports of IPv4 and IPv6 lie apart");
    ((struct sockaddr_in *)&addr->raw)->sin_port = htons((uint16_t)port);
}

/* An exact int that fits 32 bits: 1, else 0. */
static int
addr_word(PyObject *obj, uint32_t *out)
{
    if (!PyLong_CheckExact(obj)) {
        return 0;
    }
    int beyond;
    long long value = PyLong_AsLongLongAndOverflow(obj, &beyond);
    if (beyond != 0 || value < 0 || value > UINT32_MAX) {
        return 0;
    }
    *out = (uint32_t)value;
    return 1;
}

/* (host, port) or, for IPv6, (host, port[, flowinfo[, scope]]) of that family. */
static int
addr_from_tuple(PyObject *address, int family, fa_sockaddr *out)
{
    if (!PyTuple_CheckExact(address)) {
        return 0;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(address);
    int port;
    if (n < 2 || n > (family == AF_INET6 ? 4 : 2) ||
        !addr_literal(PyTuple_GET_ITEM(address, 0), family, out) ||
        !addr_port(PyTuple_GET_ITEM(address, 1), &port))
    {
        return 0;
    }
    addr_set_port(out, port);
    uint32_t flow = 0, scope = 0;
    if ((n > 2 && !addr_word(PyTuple_GET_ITEM(address, 2), &flow)) ||
        (n > 3 && !addr_word(PyTuple_GET_ITEM(address, 3), &scope)) ||
        flow > 0xfffff)
    {
        return 0;
    }
    if (family == AF_INET6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->raw;
        in6->sin6_flowinfo = htonl(flow);
        in6->sin6_scope_id = scope;
    }
    return 1;
}

/* proto as asyncio takes it for what needs no look-up. */
static int
addr_proto_usual(int proto)
{
    return proto == 0 || proto == IPPROTO_TCP || proto == IPPROTO_UDP;
}

int
addr_from_info(PyObject *info, int *family, int *proto, fa_sockaddr *out)
{
    int type;
    if (!PyTuple_CheckExact(info) || PyTuple_GET_SIZE(info) != 5) {
        return 0;
    }
    return addr_int(PyTuple_GET_ITEM(info, 0), family) &&
           addr_int(PyTuple_GET_ITEM(info, 1), &type) &&
           addr_int(PyTuple_GET_ITEM(info, 2), proto) &&
           (*family == AF_INET || *family == AF_INET6) &&
           type == SOCK_STREAM && addr_proto_usual(*proto) &&
           addr_from_tuple(PyTuple_GET_ITEM(info, 4), *family, out);
}

int
addr_from_path(PyObject *path, fa_sockaddr *out)
{
    PyObject *bytes = PyUnicode_Check(path) ? PyUnicode_EncodeFSDefault(path)
                                            : Py_NewRef(path);
    struct sockaddr_un *un = (struct sockaddr_un *)&out->raw;
    int fits = 0;
    if (bytes == NULL) {
        PyErr_Clear();
        return 0;
    }
    if (PyBytes_Check(bytes)) {
        const char *text = PyBytes_AS_STRING(bytes);
        size_t len = (size_t)PyBytes_GET_SIZE(bytes);
        int abstract = len > 0 && text[0] == '\0';
        fits = len > 0 && len + !abstract <= sizeof(un->sun_path);
        if (fits) {
            *un = (struct sockaddr_un){.sun_family = AF_UNIX};
            memcpy(un->sun_path, text, len);
            out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
                                   len + !abstract);
        }
    }
    Py_DECREF(bytes);
    return fits;
}

/* -- getaddrinfo ---------------------------------------------------------------------- */

/* The hints, if they are among those whose effect on a numeric address is
   certain; 1 or 0. */
static int
addr_hints(PyObject *const hints[4], int value[4])
{
    for (int i = 0; i < 4; i++) {
        if (!addr_int(hints[i], &value[i])) {
            return 0;
        }
    }
    int type = value[1], flags = value[3];
    return (type == 0 || type == SOCK_STREAM || type == SOCK_DGRAM) &&
           addr_proto_usual(value[2]) &&
           !(flags & ~(AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV));
}

/* (family, type, proto, '', sockaddr), appended. 0 or -1. */
static int
addr_append_info(fa_state *st, PyObject *list, const fa_sockaddr *addr,
                 PyObject *type, int proto)
{
    PyObject *family = addr->raw.ss_family == AF_INET ? st->socket_AF_INET
                                                      : st->socket_AF_INET6;
    PyObject *number = PyLong_FromLong(proto);
    PyObject *canonical = PyUnicode_FromStringAndSize(NULL, 0);
    PyObject *address = addr_to_python((const struct sockaddr *)&addr->raw,
                                       addr->len);
    PyObject *info = number == NULL || canonical == NULL || address == NULL
                         ? NULL
                         : PyTuple_Pack(5, family, type, number, canonical,
                                        address);
    Py_XDECREF(number);
    Py_XDECREF(canonical);
    Py_XDECREF(address);
    int rc = info == NULL ? -1 : PyList_Append(list, info);
    Py_XDECREF(info);
    return rc;
}

/* A row for each kind of socket that the hints allow, in glibc's order (new). */
static PyObject *
addr_infos(fa_state *st, const fa_sockaddr *addr, int type, int proto)
{
    const struct {
        PyObject *object;
        int type, proto;
    } kinds[] = {{st->socket_SOCK_STREAM, SOCK_STREAM, IPPROTO_TCP},
                 {st->socket_SOCK_DGRAM, SOCK_DGRAM, IPPROTO_UDP},
                 {st->socket_SOCK_RAW, SOCK_RAW, 0}};
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < FA_ARRAY_LEN(kinds); i++) {
        if ((type == 0 || type == kinds[i].type) &&
            (proto == 0 || proto == kinds[i].proto) &&
            addr_append_info(st, list, addr, kinds[i].object,
                             kinds[i].proto) < 0)
        {
            Py_CLEAR(list);
        }
    }
    return list;
}

PyObject *
addr_getaddrinfo(fa_state *st, PyObject *host, PyObject *port,
                 PyObject *const hints[4])
{
    fa_sockaddr addr;
    int value[4], number = 0;
    if (!addr_hints(hints, value) || !addr_literal(host, value[0], &addr) ||
        (port != Py_None && !addr_port(port, &number)))
    {
        return NULL;
    }
    if (PySys_Audit("socket.getaddrinfo", "OOiii", host, port, value[0],
                    value[1], value[2]) < 0)
    {
        return NULL;
    }
    addr_set_port(&addr, number);
    PyObject *list = addr_infos(st, &addr, value[1], value[2]);
    if (list != NULL && PyList_GET_SIZE(list) == 0) {
        Py_CLEAR(list); // the hints exclude each other: not for us to say so
    }
    return list;
}

/* -- the others ------------------------------------------------------------------------- */

PyObject *
addr_getnameinfo(PyObject *sockaddr, PyObject *flags)
{
    fa_sockaddr addr;
    int wanted, numeric = NI_NUMERICHOST | NI_NUMERICSERV;
    char host[INET6_ADDRSTRLEN];
    if (!PyTuple_CheckExact(sockaddr) || PyTuple_GET_SIZE(sockaddr) < 2 ||
        !addr_int(flags, &wanted) || (wanted & ~NI_DGRAM) != numeric ||
        !addr_literal(PyTuple_GET_ITEM(sockaddr, 0), AF_UNSPEC, &addr) ||
        !addr_from_tuple(sockaddr, addr.raw.ss_family, &addr))
    {
        return NULL;
    }
    const struct sockaddr_in *in = (const struct sockaddr_in *)&addr.raw;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr.raw;
    int is_v4 = addr.raw.ss_family == AF_INET;
    if (!is_v4 && in6->sin6_scope_id != 0) {
        return NULL; // its name comes from the interfaces
    }
    if (PySys_Audit("socket.getnameinfo", "(O)", sockaddr) < 0) {
        return NULL;
    }
    inet_ntop(addr.raw.ss_family,
              is_v4 ? (const void *)&in->sin_addr
                    : (const void *)&in6->sin6_addr,
              host, sizeof(host));
    PyObject *service = PyUnicode_FromFormat("%d", ntohs(in->sin_port));
    return service == NULL ? NULL : Py_BuildValue("(sN)", host, service);
}

/* (family, type, proto, '', (host, port[, flowinfo, scope])) (new). */
static PyObject *
addr_resolved(fa_state *st, PyObject *address, PyObject *family,
              PyObject *type, int is_stream, int is_v6)
{
    PyObject *zero = PyLong_FromLong(0);
    PyObject *host = PyTuple_GET_ITEM(address, 0);
    PyObject *port = PyTuple_GET_ITEM(address, 1);
    Py_ssize_t n = PyTuple_GET_SIZE(address);
    PyObject *where =
        zero == NULL ? NULL
        : is_v6      ? PyTuple_Pack(4, host, port,
                                    n > 2 ? PyTuple_GET_ITEM(address, 2) : zero,
                                    n > 3 ? PyTuple_GET_ITEM(address, 3) : zero)
                     : PyTuple_Pack(2, host, port);
    Py_XDECREF(zero);
    return where == NULL
               ? NULL
               : Py_BuildValue("(OOOsN)", family, type,
                               is_stream ? st->socket_IPPROTO_TCP
                                         : st->socket_IPPROTO_UDP,
                               "", where);
}

PyObject *
addr_ipaddr_info(fa_state *st, PyObject *address, PyObject *family,
                 PyObject *type, PyObject *proto)
{
    fa_sockaddr addr;
    int af, kind, number, port;
    if (!PyTuple_CheckExact(address) || PyTuple_GET_SIZE(address) < 2 ||
        PyTuple_GET_SIZE(address) > 4 || !addr_int(family, &af) ||
        !addr_int(type, &kind) || !addr_int(proto, &number) ||
        !addr_proto_usual(number) ||
        (kind != SOCK_STREAM && kind != SOCK_DGRAM) ||
        (af != AF_UNSPEC && af != AF_INET && af != AF_INET6) ||
        !addr_literal(PyTuple_GET_ITEM(address, 0), af, &addr) ||
        !addr_port(PyTuple_GET_ITEM(address, 1), &port))
    {
        return NULL;
    }
    int is_v6 = addr.raw.ss_family == AF_INET6;
    if (af == AF_UNSPEC) {
        family = is_v6 ? st->socket_AF_INET6 : st->socket_AF_INET;
    }
    return addr_resolved(st, address, family, type, kind == SOCK_STREAM,
                         is_v6);
}
