/* net/tls_lib.h: the OpenSSL that Python's own `_ssl` uses, and memory for the
   bytes that go in and out of it. No Python object is touched here.

   We are not linked with OpenSSL and know none of its layouts: its functions
   are looked up in the libraries that `_ssl` has loaded, its objects are
   opaque. Where they are not found (`_ssl` linked statically, with hidden
   symbols) `direct` is 0, and TLS goes through ssl.MemoryBIO.

   A tls_wire is what one SSL object reads from and writes to: two buffers, and
   two BIOs that lead there. The BIOs belong to the SSL object, which Python
   code may keep for longer than the connection; so the wire is counted: one
   for each BIO, one for the connection. An idle wire has no memory: buffers
   come from a few spare ones that all connections share (under the GIL), and go
   back as soon as they are empty. */
#ifndef FA_NET_TLS_LIB_H
#define FA_NET_TLS_LIB_H

#include "base/common.h"

/* The size of a spare buffer: eight full records and what belongs to them. */
#define FA_TLS_BUF ((size_t)160 * 1024)
#define FA_TLS_SPARES 4

#define FA_TLS_RECORD ((size_t)16 * 1024) /* what a record holds at most */

/* OpenSSL's numbers, part of its ABI. */
enum {
    TLS_ERROR_WANT_READ = 2,
    TLS_ERROR_ZERO_RETURN = 6,
    TLS_RECEIVED_SHUTDOWN = 2,
};

/* X(result, name, parameters): what we call. */
#define TLS_FUNCTIONS(X) \
    X(int, SSL_read_ex, (void *ssl, void *buf, size_t n, size_t *got)) \
    X(int, SSL_write_ex, (void *ssl, const void *buf, size_t n, size_t *put)) \
    X(int, SSL_get_error, (const void *ssl, int rc)) \
    X(int, SSL_get_shutdown, (const void *ssl)) \
    X(int, SSL_has_pending, (const void *ssl)) \
    X(void *, SSL_get_SSL_CTX, (const void *ssl)) \
    X(void, SSL_set_bio, (void *ssl, void *in, void *out)) \
    X(unsigned long, ERR_peek_error, (void)) \
    X(void, ERR_clear_error, (void)) \
    X(void *, BIO_meth_new, (int type, const char *name)) \
    X(void, BIO_meth_free, (void *method)) \
    X(int, BIO_meth_set_read, (void *method, int (*f)(void *, char *, int))) \
    X(int, BIO_meth_set_write, \
      (void *method, int (*f)(void *, const char *, int))) \
    X(int, BIO_meth_set_ctrl, \
      (void *method, long (*f)(void *, int, long, void *))) \
    X(int, BIO_meth_set_destroy, (void *method, int (*f)(void *))) \
    X(void *, BIO_new, (const void *method)) \
    X(int, BIO_free, (void *bio)) \
    X(void, BIO_set_data, (void *bio, void *data)) \
    X(void, BIO_set_init, (void *bio, int init)) \
    X(void, BIO_set_flags, (void *bio, int flags)) \
    X(void, BIO_clear_flags, (void *bio, int flags))

typedef struct tls_lib {
#define X(result, name, parameters) result(*name) parameters;
    TLS_FUNCTIONS(X)
#undef X
    void *method; /* owned: our kind of BIO; NULL = not direct */
    int refs;     /* the module state, and each wire */
    int spares;
    char *spare[FA_TLS_SPARES]; /* owned */
} tls_lib;

/* Bytes from start to end; mem NULL = no memory. */
typedef struct {
    char *mem;
    size_t cap, start, end;
} tls_buf;

typedef struct tls_wire {
    tls_lib *lib; /* counted */
    int refs;
    int no_memory; /* OpenSSL had something to write and there was none */
    tls_buf in;    /* from the peer, not yet read by OpenSSL */
    tls_buf out;   /* from OpenSSL, not yet sent */
} tls_wire;

static inline size_t
tlsbuf_len(const tls_buf *buf)
{
    return buf->end - buf->start;
}

/* A lib without functions; NULL without memory. */
FA_INTERNAL tls_lib *tlslib_new(void);
FA_INTERNAL void tlslib_drop(tls_lib *lib);

/* Look the functions up in what the shared library `path` (NULL = the program)
   and the libraries it needs have loaded already. 1 = found, 0 = not. */
FA_INTERNAL int tlslib_find(tls_lib *lib, const char *path);

/* NULL without memory. */
FA_INTERNAL tls_wire *tlswire_new(tls_lib *lib);
FA_INTERNAL void tlswire_drop(tls_wire *wire);

/* Make `ssl` read from and write to the wire. 0, or -1 without memory. */
FA_INTERNAL int tlswire_plug(tls_wire *wire, void *ssl);

/* Room for at least `want` bytes at the end: where, and *room of them. NULL
   without memory. HOT */
FA_INTERNAL char *tlsbuf_room(tls_lib *lib, tls_buf *buf, size_t want,
                              size_t *room);

/* Append. 0, or -1 without memory. tlsbuf_append_alone: the same for who may not
   have the GIL, and so leaves the spare buffers alone. */
FA_INTERNAL int tlsbuf_append(tls_lib *lib, tls_buf *buf, const char *data,
                              size_t n);
FA_INTERNAL int tlsbuf_append_alone(tls_buf *buf, const char *data, size_t n);

/* Forget everything, and give the memory back. */
FA_INTERNAL void tlsbuf_reset(tls_lib *lib, tls_buf *buf);

#endif
