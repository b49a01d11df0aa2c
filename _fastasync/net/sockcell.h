/* net/sockcell.h: the inside of a Python socket object, where that is known.

   sock.fileno(), gettimeout() and recv() of a socket.socket are C functions that
   look at a struct of the module _socket. Its first fields have been the same
   since Python 2; sockcell.c tries them out on a socket of its own before
   anything here believes in them. A socket that was closed reads -1. */
#ifndef FA_NET_SOCKCELL_H
#define FA_NET_SOCKCELL_H

#include "base/state.h"

typedef struct {
    PyObject_HEAD
    int fd;
    int family, type, proto;
    PyObject *(*errorhandler)(void);
    int64_t timeout; /* in ns; 0 = non-blocking */
} fa_sockcell;

/* Exactly a socket.socket, whose methods nobody has replaced, and whose inside
   is known: 1 or 0. Only then may the others be called. HOT */
FA_INTERNAL int sockcell_check(fa_state *st, PyObject *sock);

static inline const fa_sockcell *
sockcell(PyObject *sock)
{
    return (const fa_sockcell *)sock;
}

/* Keep the fd open until sockcell_drop, whatever close() is called meanwhile, as
   makefile() does. 0 or -1. HOT */
FA_INTERNAL int sockcell_hold(fa_state *st, PyObject *sock);

/* The end of that: closes the socket if close() was called. The raised exception
   stays. May run Python code. HOT */
FA_INTERNAL void sockcell_drop(fa_state *st, PyObject *sock);

#endif
