/* net/datagram_addr.c: socket addresses, from the kernel's form to Python's and
   back.

   An address comes and goes with every datagram, and making a tuple of it costs
   as much as everything else that is done for one. So the tuples that were made
   are kept, 256 per endpoint at most, and given out again to datagrams from the
   same place; and an echo that passes such a tuple to sendto() finds the raw
   form by the identity of the tuple. Both are exact: raw addresses are compared
   byte for byte, and tuples of str and int cannot change.

   What is not plain (names, '', scopes in text, subclasses of str, ...) is left
   to the Python socket, with its resolver and its errors.
   HOT: datagram_from, datagram_to. Benchmark: udp_1k_x10. */
#include "net/datagram.h"

#include <arpa/inet.h>
#include <string.h>

/* -- to Python ------------------------------------------------------------------- */

/* "a.b.c.d" (new): inet_ntop is several times as slow. */
static PyObject *
addr_text4(const uint8_t *octets)
{
    char text[16];
    int n = 0;
    for (int i = 0; i < 4; i++) {
        unsigned octet = octets[i];
        if (octet >= 100) {
            text[n++] = (char)('0' + octet / 100);
        }
        if (octet >= 10) {
            text[n++] = (char)('0' + octet / 10 % 10);
        }
        text[n++] = (char)('0' + octet % 10);
        text[n++] = '.';
    }
    n--; // the last dot
    PyObject *str = PyUnicode_New(n, 127);
    if (str != NULL) {
        memcpy(PyUnicode_1BYTE_DATA(str), text, (size_t)n);
    }
    return str;
}

static PyObject *
addr_tuple4(const struct sockaddr_in *in)
{
    PyObject *host = addr_text4((const uint8_t *)&in->sin_addr);
    PyObject *port = PyLong_FromLong(ntohs(in->sin_port));
    PyObject *tuple = host == NULL || port == NULL
                          ? NULL
                          : PyTuple_Pack(2, host, port);
    Py_XDECREF(host);
    Py_XDECREF(port);
    return tuple;
}

static inline unsigned
addr_hash(const struct sockaddr *addr)
{
    uint32_t mixed;
    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
        mixed = in->sin_addr.s_addr * 31u + in->sin_port;
    }
    else {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)addr;
        uint32_t words[4];
        memcpy(words, &in->sin6_addr, sizeof(words));
        mixed = ((words[0] * 31u + words[1]) * 31u + words[2]) * 31u +
                words[3] * 31u + in->sin6_port;
    }
    return (mixed * 2654435761u) >> 24;
}

static inline unsigned
addr_hash_tuple(PyObject *tuple)
{
    return ((uint32_t)((uintptr_t)tuple >> 4) * 2654435761u) >> 24;
}

_Static_assert(FA_PEERS == 1 << 8, "the hashes have 8 bits");

/* How much of a raw address says which one it is: of IPv4 not the padding. */
static inline size_t
addr_significant(const struct sockaddr *addr)
{
    return addr->sa_family == AF_INET
               ? offsetof(struct sockaddr_in, sin_addr) +
                     sizeof(struct in_addr)
               : sizeof(struct sockaddr_in6);
}

static inline int
peer_is(const fa_peer *peer, const struct sockaddr *addr, size_t size)
{
    return peer->raw.len == size && memcmp(peer->raw.bytes, addr, size) == 0;
}

/* Keep a tuple (borrowed) for a raw address, instead of another. */
static void
peer_keep(DatagramObject *self, const struct sockaddr *addr, size_t size,
          PyObject *tuple)
{
    fa_peer *peer = &self->only;
    if (peer->tuple != NULL) {
        if (self->peers == NULL) {
            self->peers = PyMem_Calloc(1, sizeof(fa_peers));
            if (self->peers == NULL) {
                return; // it is a cache
            }
        }
        // in its place or the one beside it
        unsigned at = addr_hash(addr);
        if (self->peers->of_raw[at].tuple != NULL &&
            self->peers->of_raw[at ^ 1].tuple == NULL)
        {
            at ^= 1;
        }
        peer = &self->peers->of_raw[at];
        self->peers->of_tuple[addr_hash_tuple(tuple)] = (uint8_t)at;
    }
    PyObject *former = peer->tuple;
    peer->tuple = Py_NewRef(tuple);
    memcpy(peer->raw.bytes, addr, size);
    peer->raw.len = (uint8_t)size;
    Py_XDECREF(former); // runs no Python code: str and int
}

static FA_COLD PyObject *
datagram_from_new(DatagramObject *self, const struct sockaddr *addr,
                  socklen_t len)
{
    PyObject *tuple = addr->sa_family == AF_INET
                          ? addr_tuple4((const struct sockaddr_in *)addr)
                          : addr_to_python(addr, len);
    if (tuple != NULL) {
        peer_keep(self, addr, addr_significant(addr), tuple);
    }
    return tuple;
}

PyObject *
datagram_from(DatagramObject *self, const struct sockaddr *addr, socklen_t len)
{
    int inet = len >= sizeof(struct sockaddr_in) &&
               addr->sa_family == AF_INET;
    int inet6 = len >= sizeof(struct sockaddr_in6) &&
                addr->sa_family == AF_INET6;
    if (FA_UNLIKELY(!inet && !inet6)) {
        PyObject *other = addr_to_python(addr, len);
        return other != NULL || PyErr_Occurred() ? other : Py_NewRef(Py_None);
    }
    size_t size = addr_significant(addr);
    if (peer_is(&self->only, addr, size)) {
        return Py_NewRef(self->only.tuple);
    }
    if (self->peers != NULL) {
        unsigned at = addr_hash(addr);
        fa_peer *peer = &self->peers->of_raw[at];
        if (FA_LIKELY(peer_is(peer, addr, size))) {
            return Py_NewRef(peer->tuple);
        }
        peer = &self->peers->of_raw[at ^ 1];
        if (peer_is(peer, addr, size)) {
            return Py_NewRef(peer->tuple);
        }
    }
    return datagram_from_new(self, addr, len);
}

/* -- from Python ------------------------------------------------------------------ */

/* The bytes of an exact str or bytes without a NUL in it; else NULL, without an
   exception. */
static const char *
dest_text(PyObject *obj, size_t *len)
{
    Py_ssize_t size;
    const char *text;
    if (PyUnicode_CheckExact(obj)) {
        text = PyUnicode_AsUTF8AndSize(obj, &size);
        if (text == NULL) {
            PyErr_Clear();
            return NULL;
        }
    }
    else if (PyBytes_CheckExact(obj)) {
        text = PyBytes_AS_STRING(obj);
        size = PyBytes_GET_SIZE(obj);
    }
    else {
        return NULL;
    }
    *len = (size_t)size;
    return memchr(text, 0, *len) == NULL ? text : NULL;
}

/* An exact int from 0 to `limit`; -1 if it is something else. */
static long
dest_number(PyObject *obj, long limit)
{
    int overflow;
    if (!PyLong_CheckExact(obj)) {
        return -1;
    }
    long value = PyLong_AsLongAndOverflow(obj, &overflow);
    return overflow || value < 0 || value > limit ? -1 : value;
}

/* The two below: 1 if `out` is filled, 0 if that is left to Python. */
static int
dest_inet(PyObject *addr, fa_dest *out)
{
    size_t len;
    if (!PyTuple_CheckExact(addr) || PyTuple_GET_SIZE(addr) != 2 ||
        !PyUnicode_CheckExact(PyTuple_GET_ITEM(addr, 0)))
    {
        return 0;
    }
    const char *host = dest_text(PyTuple_GET_ITEM(addr, 0), &len);
    long port = dest_number(PyTuple_GET_ITEM(addr, 1), 0xffff);
    if (host == NULL || port < 0) {
        return 0;
    }
    out->raw.in = (struct sockaddr_in){.sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)port)};
    out->len = sizeof(struct sockaddr_in);
    return inet_pton(AF_INET, host, &out->raw.in.sin_addr) == 1;
}

static int
dest_inet6(PyObject *addr, fa_dest *out)
{
    size_t len;
    if (!PyTuple_CheckExact(addr)) {
        return 0;
    }
    Py_ssize_t n = PyTuple_GET_SIZE(addr);
    if (n < 2 || n > 4 || !PyUnicode_CheckExact(PyTuple_GET_ITEM(addr, 0))) {
        return 0;
    }
    const char *host = dest_text(PyTuple_GET_ITEM(addr, 0), &len);
    long port = dest_number(PyTuple_GET_ITEM(addr, 1), 0xffff);
    long flow = n < 3 ? 0 : dest_number(PyTuple_GET_ITEM(addr, 2), 0xfffff);
    long scope = n < 4 ? 0 : dest_number(PyTuple_GET_ITEM(addr, 3), INT_MAX);
    if (host == NULL || port < 0 || flow < 0 || scope < 0) {
        return 0;
    }
    out->raw.in6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6,
        .sin6_port = htons((uint16_t)port),
        .sin6_flowinfo = htonl((uint32_t)flow),
        .sin6_scope_id = (uint32_t)scope,
    };
    out->len = sizeof(struct sockaddr_in6);
    return inet_pton(AF_INET6, host, &out->raw.in6.sin6_addr) == 1;
}

static int
dest_unix(PyObject *addr, fa_dest *out)
{
    size_t len;
    if (PyUnicode_CheckExact(addr) && !PyUnicode_IS_ASCII(addr)) {
        return 0; // by the encoding of the file system
    }
    const char *path = dest_text(addr, &len);
    if (path == NULL || len == 0 || len >= sizeof(out->raw.un.sun_path)) {
        return 0;
    }
    out->raw.un.sun_family = AF_UNIX;
    memcpy(out->raw.un.sun_path, path, len + 1);
    out->len = (uint8_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    return 1;
}

static const fa_dest *
datagram_to_new(DatagramObject *self, PyObject *addr)
{
    fa_dest *out = &self->dest;
    int plain = self->family == AF_INET    ? dest_inet(addr, out)
                : self->family == AF_INET6 ? dest_inet6(addr, out)
                : self->family == AF_UNIX  ? dest_unix(addr, out)
                                           : 0;
    out->how = plain ? FA_DEST_RAW : FA_DEST_PYTHON;
    // what is plain is immutable, and runs no Python code when it goes
    PyObject *former = self->dest_for;
    self->dest_for = plain ? Py_NewRef(addr) : NULL;
    Py_XDECREF(former);
    return out;
}

/* One of the tuples that we gave out? */
static inline const fa_peer *
peer_of_tuple(DatagramObject *self, PyObject *addr)
{
    if (self->peers != NULL) {
        unsigned at = self->peers->of_tuple[addr_hash_tuple(addr)];
        const fa_peer *peer = &self->peers->of_raw[at];
        if (peer->tuple == addr) {
            return peer;
        }
    }
    return self->only.tuple == addr ? &self->only : NULL;
}

const fa_dest *
datagram_to(DatagramObject *self, PyObject *addr)
{
    if (self->dest_for == addr) {
        return &self->dest;
    }
    const fa_peer *peer = peer_of_tuple(self, addr);
    if (peer == NULL) {
        return datagram_to_new(self, addr);
    }
    int inet = peer->raw.len < sizeof(struct sockaddr_in6);
    Py_XSETREF(self->dest_for, Py_NewRef(addr));
    self->dest.how = FA_DEST_RAW;
    self->dest.len = inet ? sizeof(struct sockaddr_in)
                          : sizeof(struct sockaddr_in6);
    memset(&self->dest.raw, 0, sizeof(struct sockaddr_in));
    memcpy(&self->dest.raw, peer->raw.bytes, peer->raw.len);
    return &self->dest;
}

void
datagram_forget(DatagramObject *self)
{
    fa_peers *peers = self->peers;
    self->peers = NULL;
    if (peers != NULL) {
        for (int i = 0; i < FA_PEERS; i++) {
            Py_XDECREF(peers->of_raw[i].tuple);
        }
        PyMem_Free(peers);
    }
    self->only.raw.len = 0;
    Py_CLEAR(self->only.tuple);
    Py_CLEAR(self->dest_for);
}
