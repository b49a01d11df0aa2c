/* api/loop_sock.c: sock_recv() and its kin: parse, make the coroutine. */
#include "api/api.h"

#include "base/args.h"
#include "net/net.h"

#define SPEC(name, count, ...) \
    static const fa_args name##_spec = { \
        .fname = "BaseSelectorEventLoop." #name, .required = count, \
        .positional = count, .python = 1, .total = count, \
        .names = {__VA_ARGS__}, \
    };
SPEC(sock_recv, 2, "sock", "n")
SPEC(sock_recv_into, 2, "sock", "buf")
SPEC(sock_recvfrom, 2, "sock", "bufsize")
SPEC(sock_sendall, 2, "sock", "data")
SPEC(sock_sendto, 3, "sock", "data", "address")
SPEC(sock_connect, 2, "sock", "address")
SPEC(sock_accept, 1, "sock")
#undef SPEC

static const fa_args sock_recvfrom_into_spec = {
    .fname = "BaseSelectorEventLoop.sock_recvfrom_into", .required = 2,
    .positional = 3, .python = 1, .total = 3,
    .names = {"sock", "buf", "nbytes"},
};

static PyObject *
sock_make(const fa_args *spec, fa_sockop op, PyObject *self,
          PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2] = {NULL, NULL};
    if (FA_LIKELY(nargs == spec->total && kwnames == NULL)) {
        return sockop_new((LoopObject *)self, op, args[0],
                          nargs > 1 ? args[1] : NULL);
    }
    if (fa_args_parse(spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return sockop_new((LoopObject *)self, op, out[0], out[1]);
}

/* The same with two arguments after the socket. */
static PyObject *
sock_make_pair(const fa_args *spec, fa_sockop op, PyObject *self,
               PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[3] = {NULL, NULL, NULL};
    if (fa_args_parse(spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    PyObject *zero = out[2] == NULL ? PyLong_FromLong(0) : Py_NewRef(out[2]);
    PyObject *pair = zero == NULL ? NULL : PyTuple_Pack(2, out[1], zero);
    Py_XDECREF(zero);
    if (pair == NULL) {
        return NULL;
    }
    PyObject *co = sockop_new((LoopObject *)self, op, out[0], pair);
    Py_DECREF(pair);
    return co;
}

#define MAKE(name, op, make) \
    static PyObject *name##_make(fa_state *Py_UNUSED(st), PyObject *self, \
                                 PyObject *const *args, Py_ssize_t nargs, \
                                 PyObject *kwnames) \
    { \
        return make(&name##_spec, op, self, args, nargs, kwnames); \
    }
MAKE(sock_recv, FA_SOCK_RECV, sock_make)
MAKE(sock_recv_into, FA_SOCK_RECV_INTO, sock_make)
MAKE(sock_recvfrom, FA_SOCK_RECVFROM, sock_make)
MAKE(sock_recvfrom_into, FA_SOCK_RECVFROM_INTO, sock_make_pair)
MAKE(sock_sendall, FA_SOCK_SENDALL, sock_make)
MAKE(sock_sendto, FA_SOCK_SENDTO, sock_make_pair)
MAKE(sock_connect, FA_SOCK_CONNECT, sock_make)
MAKE(sock_accept, FA_SOCK_ACCEPT, sock_make)
#undef MAKE

static const fa_args sendfile_native_spec = {
    .fname = "_UnixSelectorEventLoop._sock_sendfile_native", .required = 4,
    .positional = 4, .python = 1, .total = 4,
    .names = {"sock", "file", "offset", "count"},
};

static PyObject *
sock_sendfile_native_make(fa_state *Py_UNUSED(st), PyObject *self,
                          PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames)
{
    PyObject *out[4];
    if (fa_args_parse(&sendfile_native_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return sendfile_new((LoopObject *)self, out[0], out[1], out[2], out[3]);
}

#define ROW(name, doc) \
    {#name, "BaseSelectorEventLoop." #name, NULL, name##_make, doc}
const fa_coro_def loop_sock_coroutines[] = {
    ROW(sock_recv,
        "sock_recv($self, /, sock, n)\n--\n\n"
        "Receive up to n bytes; b'' at the end of file.\n"
        "See asyncio.loop.sock_recv."),
    ROW(sock_recv_into,
        "sock_recv_into($self, /, sock, buf)\n--\n\n"
        "Receive into a writable buffer; return the number of bytes.\n"
        "See asyncio.loop.sock_recv_into."),
    ROW(sock_recvfrom,
        "sock_recvfrom($self, /, sock, bufsize)\n--\n\n"
        "Receive a datagram of up to bufsize bytes; return it and the sender's\n"
        "address. See asyncio.loop.sock_recvfrom."),
    ROW(sock_recvfrom_into,
        "sock_recvfrom_into($self, /, sock, buf, nbytes=0)\n--\n\n"
        "Receive a datagram into a writable buffer; return the number of bytes\n"
        "and the sender's address. See asyncio.loop.sock_recvfrom_into."),
    ROW(sock_sendall,
        "sock_sendall($self, /, sock, data)\n--\n\n"
        "Send all of the data. See asyncio.loop.sock_sendall."),
    ROW(sock_sendto,
        "sock_sendto($self, /, sock, data, address)\n--\n\n"
        "Send a datagram to the address; return the number of bytes sent.\n"
        "See asyncio.loop.sock_sendto."),
    ROW(sock_connect,
        "sock_connect($self, /, sock, address)\n--\n\n"
        "Connect the socket to the address, whose host may be a name.\n"
        "See asyncio.loop.sock_connect."),
    ROW(sock_accept,
        "sock_accept($self, /, sock)\n--\n\n"
        "Accept a connection; return its non-blocking socket and the address of\n"
        "the other end. See asyncio.loop.sock_accept."),
    {"_sock_sendfile_native", "_UnixSelectorEventLoop._sock_sendfile_native",
     NULL, sock_sendfile_native_make,
     "_sock_sendfile_native($self, /, sock, file, offset, count)\n--\n\n"
     "The half of sock_sendfile() that uses the system call."},
    {NULL, NULL, NULL, NULL, NULL},
};
#undef ROW
