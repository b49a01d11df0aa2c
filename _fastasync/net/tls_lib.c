/* net/tls_lib.c: finding OpenSSL, and the BIOs through which it reads and
   writes our memory.

   Called by tls_engine.c. The BIOs' callbacks run inside of SSL_read and its
   kin, possibly without the GIL (ssl.SSLObject releases it), and so touch no
   Python. HOT: wire_read, wire_write, once or twice per record.

   A callback is given a BIO and has nothing else, no state that could tell it
   where BIO_get_data is. So it reads the pointer from where BIO_set_data has
   put it: the place is searched for when OpenSSL is looked up, and each place
   it can be at has callbacks of its own (wire_kinds). */
#include "net/tls_lib.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* -- buffers ---------------------------------------------------------------- */

static void
tlsbuf_give_back(tls_lib *lib, char *mem, size_t cap)
{
    if (cap == FA_TLS_BUF && lib->spares < FA_TLS_SPARES) {
        lib->spare[lib->spares++] = mem;
    }
    else {
        free(mem);
    }
}

void
tlsbuf_reset(tls_lib *lib, tls_buf *buf)
{
    if (buf->mem != NULL) {
        tlsbuf_give_back(lib, buf->mem, buf->cap);
    }
    *buf = (tls_buf){0};
}

/* More memory. 0 or -1. */
static FA_COLD int
tlsbuf_grow(tls_lib *lib, tls_buf *buf, size_t want)
{
    size_t len = tlsbuf_len(buf), cap = FA_TLS_BUF;
    while (cap < len + want) {
        if (cap > SIZE_MAX / 2) {
            return -1;
        }
        cap *= 2;
    }
    char *mem = malloc(cap);
    if (mem == NULL) {
        return -1;
    }
    if (buf->mem != NULL) {
        memcpy(mem, buf->mem + buf->start, len);
        tlsbuf_give_back(lib, buf->mem, buf->cap);
    }
    *buf = (tls_buf){mem, cap, 0, len};
    return 0;
}

char *
tlsbuf_room(tls_lib *lib, tls_buf *buf, size_t want, size_t *room)
{
    if (buf->mem == NULL && want <= FA_TLS_BUF && lib->spares > 0) {
        *buf = (tls_buf){lib->spare[--lib->spares], FA_TLS_BUF, 0, 0};
    }
    else if (buf->start == buf->end) {
        buf->start = buf->end = 0;
    }
    if (FA_UNLIKELY(buf->cap - buf->end < want)) {
        size_t len = tlsbuf_len(buf);
        if (buf->cap - len >= want && len <= buf->cap / 2) {
            memmove(buf->mem, buf->mem + buf->start, len);
            buf->start = 0;
            buf->end = len;
        }
        else if (tlsbuf_grow(lib, buf, want) < 0) {
            return NULL;
        }
    }
    *room = buf->cap - buf->end;
    return buf->mem + buf->end;
}

int
tlsbuf_append(tls_lib *lib, tls_buf *buf, const char *data, size_t n)
{
    size_t room;
    char *space = tlsbuf_room(lib, buf, n, &room);
    if (space == NULL) {
        return -1;
    }
    memcpy(space, data, n);
    buf->end += n;
    return 0;
}

/* A buffer of its own size, which nobody shares. */
#define ALONE_MIN ((size_t)16 * 1024)

int
tlsbuf_append_alone(tls_buf *buf, const char *data, size_t n)
{
    if (FA_UNLIKELY(buf->cap - buf->end < n)) {
        size_t len = tlsbuf_len(buf), cap = ALONE_MIN;
        while (cap < len + n || cap == FA_TLS_BUF) {
            if (cap > SIZE_MAX / 2) {
                return -1;
            }
            cap *= 2;
        }
        char *mem = malloc(cap);
        if (mem == NULL) {
            return -1;
        }
        if (len > 0) {
            memcpy(mem, buf->mem + buf->start, len);
        }
        free(buf->mem);
        *buf = (tls_buf){mem, cap, 0, len};
    }
    memcpy(buf->mem + buf->end, data, n);
    buf->end += n;
    return 0;
}

/* -- the wire ------------------------------------------------------------------ */

tls_wire *
tlswire_new(tls_lib *lib)
{
    tls_wire *wire = calloc(1, sizeof(*wire));
    if (wire != NULL) {
        wire->lib = lib;
        wire->refs = 1;
        lib->refs++;
    }
    return wire;
}

void
tlswire_drop(tls_wire *wire)
{
    if (wire == NULL || --wire->refs > 0) {
        return;
    }
    tls_lib *lib = wire->lib;
    tlsbuf_reset(lib, &wire->in);
    tlsbuf_reset(lib, &wire->out);
    free(wire);
    tlslib_drop(lib);
}

int
tlswire_plug(tls_wire *wire, void *ssl)
{
    tls_lib *lib = wire->lib;
    void *in = lib->BIO_new(lib->method);
    void *out = in == NULL ? NULL : lib->BIO_new(lib->method);
    if (out == NULL) {
        if (in != NULL) {
            lib->BIO_free(in);
        }
        return -1;
    }
    wire->refs += 2;
    lib->BIO_set_data(in, wire);
    lib->BIO_set_data(out, wire);
    lib->BIO_set_init(in, 1);
    lib->BIO_set_init(out, 1);
    lib->SSL_set_bio(ssl, in, out); // takes both, frees the former ones
    return 0;
}

/* -- the BIOs' side ----------------------------------------------------------------- */

#define BIO_RETRY 8
#define BIO_RETRY_READ (BIO_RETRY | 1)
#define BIO_RETRY_ANY (BIO_RETRY | 7)

static inline int
wire_read(tls_wire *wire, void *bio, char *buf, int n)
{
    if (wire == NULL || n <= 0) {
        return 0;
    }
    tls_buf *in = &wire->in;
    wire->lib->BIO_clear_flags(bio, BIO_RETRY_ANY);
    size_t len = tlsbuf_len(in);
    if (len == 0) {
        wire->lib->BIO_set_flags(bio, BIO_RETRY_READ);
        return -1;
    }
    len = len < (size_t)n ? len : (size_t)n;
    memcpy(buf, in->mem + in->start, len);
    in->start += len;
    return (int)len;
}

static inline int
wire_write(tls_wire *wire, void *bio, const char *data, int n)
{
    if (wire == NULL || n <= 0) {
        return 0;
    }
    wire->lib->BIO_clear_flags(bio, BIO_RETRY_ANY);
    if (tlsbuf_append_alone(&wire->out, data, (size_t)n) < 0) {
        wire->no_memory = 1;
        return -1;
    }
    return n;
}

/* What OpenSSL asks of a BIO: to flush (done), how much is in it. */
static inline long
wire_ctrl(const tls_wire *wire, int cmd)
{
    enum { PENDING = 10, FLUSH = 11, DUP = 12, WPENDING = 13 };
    if (wire == NULL) {
        return 0;
    }
    switch (cmd) {
    case FLUSH:
    case DUP:
        return 1;
    case PENDING:
        return (long)tlsbuf_len(&wire->in);
    case WPENDING:
        return (long)tlsbuf_len(&wire->out);
    default:
        return 0;
    }
}

/* The callbacks for BIOs whose data pointer is their word number `at`. */
typedef struct {
    int (*read)(void *, char *, int);
    int (*write)(void *, const char *, int);
    long (*ctrl)(void *, int, long, void *);
    int (*destroy)(void *);
    int at;
} wire_kind;

#define WIRE_KIND(at) \
    static FA_HOT int wire_read_##at(void *bio, char *buf, int n) \
    { \
        return wire_read(((void **)bio)[at], bio, buf, n); \
    } \
    static FA_HOT int wire_write_##at(void *bio, const char *data, int n) \
    { \
        return wire_write(((void **)bio)[at], bio, data, n); \
    } \
    static long wire_ctrl_##at(void *bio, int cmd, long num, void *ptr) \
    { \
        (void)num; \
        (void)ptr; \
        return wire_ctrl(((void **)bio)[at], cmd); \
    } \
    static int wire_destroy_##at(void *bio) \
    { \
        tlswire_drop(((void **)bio)[at]); \
        return 1; \
    }
#define WIRE_ROW(at) \
    {wire_read_##at, wire_write_##at, wire_ctrl_##at, wire_destroy_##at, at}

WIRE_KIND(6)
WIRE_KIND(7)
WIRE_KIND(8)
WIRE_KIND(9)

#define WIRE_FIRST 4
#define WIRE_LAST 10 /* all of them lie within a BIO of any release */

static const wire_kind wire_kinds[] = {WIRE_ROW(6), WIRE_ROW(7), WIRE_ROW(8),
                                       WIRE_ROW(9)};

/* Which kind of callbacks this OpenSSL needs, or NULL. `method` has none yet. */
static const wire_kind *
wire_find_kind(tls_lib *lib, void *method)
{
    void **bio = lib->BIO_new(method);
    if (bio == NULL) {
        return NULL;
    }
    const wire_kind *kind = NULL;
    int found = 0;
    lib->BIO_set_data(bio, lib); // any address that is in no BIO by itself
    for (int i = WIRE_FIRST; i <= WIRE_LAST; i++) {
        if (bio[i] == (void *)lib) {
            found++;
            for (size_t k = 0; k < FA_ARRAY_LEN(wire_kinds); k++) {
                kind = wire_kinds[k].at == i ? &wire_kinds[k] : kind;
            }
        }
    }
    lib->BIO_set_data(bio, NULL);
    int cleared = kind != NULL && bio[kind->at] == NULL;
    lib->BIO_free(bio);
    return found == 1 && cleared ? kind : NULL;
}

/* -- the library -------------------------------------------------------------------- */

tls_lib *
tlslib_new(void)
{
    tls_lib *lib = calloc(1, sizeof(*lib));
    if (lib != NULL) {
        lib->refs = 1;
    }
    return lib;
}

void
tlslib_drop(tls_lib *lib)
{
    if (lib == NULL || --lib->refs > 0) {
        return;
    }
    if (lib->method != NULL) {
        lib->BIO_meth_free(lib->method);
    }
    while (lib->spares > 0) {
        free(lib->spare[--lib->spares]);
    }
    free(lib);
}

/* Every function, or 0. */
static int
tlslib_look_up(tls_lib *lib, void *handle)
{
#define X(result, name, parameters) \
    *(void **)(&lib->name) = dlsym(handle, #name); \
    if (lib->name == NULL) { \
        return 0; \
    }
    TLS_FUNCTIONS(X)
#undef X
    return 1;
}

int
tlslib_find(tls_lib *lib, const char *path)
{
    // already loaded, or not at all; the handle is kept, as `_ssl` is
    void *handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL || !tlslib_look_up(lib, handle)) {
        return 0;
    }
    enum { SOURCE_SINK = 0x0400, OWN = 0x7f };
    void *method = lib->BIO_meth_new(SOURCE_SINK | OWN, "fastasync");
    const wire_kind *kind = method == NULL ? NULL
                                           : wire_find_kind(lib, method);
    if (kind == NULL) {
        if (method != NULL) {
            lib->BIO_meth_free(method);
        }
        return 0;
    }
    lib->BIO_meth_set_read(method, kind->read);
    lib->BIO_meth_set_write(method, kind->write);
    lib->BIO_meth_set_ctrl(method, kind->ctrl);
    lib->BIO_meth_set_destroy(method, kind->destroy);
    lib->method = method;
    return 1;
}
