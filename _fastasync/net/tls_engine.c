/* net/tls_engine.c: one SSL connection, by either back end.

   tls_open makes the SSLObject the normal way, so that contexts, SNI callbacks,
   verification and `ssl_object` are Python's. Then, if it is what we know (the
   layout is checked against what Python says of the same objects before any
   pointer is believed) and nobody has to be called per record, its BIOs are
   replaced by ours and data goes through SSL_read and SSL_write from here on.

   Errors: OpenSSL leaves what went wrong in its queue and the SSL object stays
   broken. So the same operation is asked for once more through Python, which
   finds the queue as it is and raises what asyncio would have seen, text and
   line number included. HOT: tls_read, tls_encrypt, once per record. */
#include "net/tls.h"

#include <string.h>

#include "base/errors.h"

/* -- opening ---------------------------------------------------------------- */

/* ssl.<name> (new). */
static PyObject *
tls_ssl_attr(TlsObject *self, const char *name)
{
    return PyObject_GetAttrString(self->st->mod_ssl, name);
}

/* Where the code of `_ssl` is: 1 and a path (new; None = in the program), 0 if
   that cannot be told. No exception. */
static int
tls_ssl_path(PyObject **path)
{
    PyObject *module = PyImport_ImportModule("_ssl");
    if (module == NULL) {
        PyErr_Clear();
        return 0;
    }
    PyObject *file = PyObject_GetAttrString(module, "__file__");
    Py_DECREF(module);
    if (file == NULL) {
        PyErr_Clear();
        file = Py_NewRef(Py_None);
    }
    *path = file;
    return 1;
}

/* The functions of OpenSSL, looked for once (borrowed from the state). */
static tls_lib *
tls_find_lib(fa_state *st)
{
    if (st->tls != NULL) {
        return st->tls;
    }
    tls_lib *lib = tlslib_new();
    if (lib == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    st->tls = lib;
    PyObject *path, *encoded = NULL;
    if (tls_ssl_path(&path)) {
        if (path == Py_None) {
            tlslib_find(lib, NULL);
        }
        else if (PyUnicode_FSConverter(path, &encoded)) {
            tlslib_find(lib, PyBytes_AS_STRING(encoded));
        }
        PyErr_Clear();
        Py_XDECREF(encoded);
        Py_DECREF(path);
    }
    return lib;
}

/* Is sslobj.<name> the method of ssl.SSLObject itself? 1, 0 or -1. */
static int
tls_is_own_method(PyObject *sslobj, PyObject *cls, const char *name)
{
    PyObject *bound = PyObject_GetAttrString(sslobj, name);
    PyObject *own = bound == NULL ? NULL : PyObject_GetAttrString(cls, name);
    int same = own == NULL ? -1
                           : PyMethod_Check(bound) &&
                                 PyMethod_GET_FUNCTION(bound) == own;
    Py_XDECREF(bound);
    Py_XDECREF(own);
    return same;
}

/* obj.<name> is None: 1, 0 or -1. */
static int
tls_is_none(PyObject *obj, const char *name)
{
    PyObject *value = PyObject_GetAttrString(obj, name);
    int none = value == NULL ? -1 : value == Py_None;
    Py_XDECREF(value);
    return none;
}

/* The SSL* inside of a _ssl._SSLSocket without a socket, whose struct begins
   with {PyObject_HEAD; PyObject *Socket; SSL *ssl; PySSLContext *ctx;}, and a
   PySSLContext with {PyObject_HEAD; SSL_CTX *ctx;}. NULL if not. */
static void *
tls_find_ssl(tls_lib *lib, PyObject *raw, PyObject *ctx)
{
    void **words = (void **)((char *)raw + sizeof(PyObject));
    size_t needed = sizeof(PyObject) + 3 * sizeof(void *);
    if (Py_TYPE(raw)->tp_basicsize < (Py_ssize_t)needed ||
        strcmp(Py_TYPE(raw)->tp_name, "_ssl._SSLSocket") != 0 ||
        words[0] != NULL || words[1] == NULL || words[2] != ctx)
    {
        return NULL;
    }
    void *ssl_ctx = *(void **)((char *)ctx + sizeof(PyObject));
    return lib->SSL_get_SSL_CTX(words[1]) == ssl_ctx ? words[1] : NULL;
}

/* 1 if all that goes directly, -1 with an exception (which means no). */
static int
tls_may_go_direct(TlsObject *self, PyObject *ctx)
{
    PyObject *cls = tls_ssl_attr(self, "SSLObject");
    int rc = cls == NULL ? -1
                         : tls_is_own_method(self->sslobj, cls, "read");
    if (rc > 0) {
        rc = tls_is_own_method(self->sslobj, cls, "write");
    }
    self->own_methods = rc > 0;
    if (rc > 0) {
        rc = tls_is_none(ctx, "_msg_callback"); // called for each record
    }
    Py_XDECREF(cls);
    return rc;
}

/* Look at what we have, and replace the BIOs if it is what we know. 0, or -1
   without memory. */
static int
tls_go_direct(TlsObject *self)
{
    tls_lib *lib = self->wire->lib;
    PyObject *ctx = PyObject_GetAttrString(self->sslobj, "context");
    PyObject *raw = PyObject_GetAttrString(self->sslobj, "_sslobj");
    int rc = 0;
    if (ctx != NULL && raw != NULL && tls_may_go_direct(self, ctx) > 0 &&
        lib->method != NULL && !self->st->tls_memory)
    {
        void *ssl = tls_find_ssl(lib, raw, ctx);
        if (ssl != NULL) {
            rc = tlswire_plug(self->wire, ssl);
            if (rc == 0) {
                self->ssl = ssl;
                self->raw = Py_NewRef(raw);
            }
            self->quiet = !self->server_side ||
                          tls_is_none(ctx, "sni_callback") > 0;
        }
    }
    Py_XDECREF(ctx);
    Py_XDECREF(raw);
    PyErr_Clear();
    if (rc < 0) {
        PyErr_NoMemory();
    }
    return rc;
}

/* sslcontext.wrap_bio(...), kept in self. 0 or -1. */
static int
tls_wrap(TlsObject *self)
{
    PyObject *cls = tls_ssl_attr(self, "MemoryBIO");
    PyObject *in = cls == NULL ? NULL : PyObject_CallNoArgs(cls);
    PyObject *out = in == NULL ? NULL : PyObject_CallNoArgs(cls);
    Py_XDECREF(cls);
    Py_XSETREF(self->incoming, in);
    Py_XSETREF(self->outgoing, out);
    PyObject *wrap = out == NULL ? NULL
                                 : PyObject_GetAttrString(self->sslcontext,
                                                          "wrap_bio");
    PyObject *args = wrap == NULL ? NULL : PyTuple_Pack(2, in, out);
    PyObject *kwargs =
        args == NULL ? NULL
                     : Py_BuildValue("{sOsO}", "server_side",
                                     self->server_side ? Py_True : Py_False,
                                     "server_hostname", self->server_hostname);
    PyObject *sslobj = kwargs == NULL ? NULL
                                      : PyObject_Call(wrap, args, kwargs);
    Py_XDECREF(wrap);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    Py_XSETREF(self->sslobj, sslobj);
    return sslobj == NULL ? -1 : 0;
}

int
tls_open(TlsObject *self)
{
    if (tls_wrap(self) < 0) {
        return -1;
    }
    tls_lib *lib = tls_find_lib(self->st);
    if (lib == NULL) {
        return -1;
    }
    self->wire = tlswire_new(lib);
    if (self->wire == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return tls_go_direct(self);
}

/* -- exceptions --------------------------------------------------------------- */

int
tls_is_again(TlsObject *self)
{
    PyObject *exc = fa_err_take();
    PyObject *kinds = PyObject_GetAttrString(self->st->mod_sslproto,
                                             "SSLAgainErrors");
    int again = kinds != NULL && PyErr_GivenExceptionMatches(exc, kinds);
    Py_XDECREF(kinds);
    PyErr_Clear();
    if (again) {
        Py_DECREF(exc);
        return 1;
    }
    fa_err_restore(exc);
    return 0;
}

/* SSL_read or SSL_write has failed for good: have Python raise it. */
static FA_COLD tls_result
tls_raise(TlsObject *self, int writing)
{
    if (self->wire->no_memory) {
        self->wire->no_memory = 0;
        self->wire->lib->ERR_clear_error();
        PyErr_NoMemory();
        return TLS_FAILED;
    }
    PyObject *sslobj = Py_NewRef(self->sslobj);
    PyObject *res = writing
                        ? PyObject_CallMethod(sslobj, "write", "y", "")
                        : PyObject_CallMethod(sslobj, "read", "i", 1);
    Py_DECREF(sslobj);
    if (res == NULL && !tls_is_again(self)) {
        return TLS_FAILED;
    }
    Py_XDECREF(res);
    self->wire->lib->ERR_clear_error();
    PyObject *cls = tls_ssl_attr(self, "SSLError");
    PyObject *exc = cls == NULL ? NULL
                                : PyObject_CallFunction(
                                      cls, "is", 1,
                                      "A failure in the SSL library occurred");
    if (exc != NULL) {
        PyErr_SetObject(cls, exc);
    }
    Py_XDECREF(exc);
    Py_XDECREF(cls);
    return TLS_FAILED;
}

/* What SSL_read or SSL_write did not do. */
static tls_result
tls_undone(TlsObject *self, int rc, int writing)
{
    tls_lib *lib = self->wire->lib;
    int error = lib->SSL_get_error(self->ssl, rc);
    if (FA_LIKELY(error == TLS_ERROR_WANT_READ)) {
        return TLS_AGAIN;
    }
    if (error == TLS_ERROR_ZERO_RETURN && !writing &&
        lib->SSL_get_shutdown(self->ssl) == TLS_RECEIVED_SHUTDOWN)
    {
        return TLS_CLOSED;
    }
    return tls_raise(self, writing);
}

/* Errors that others have left in the queue are none of ours. */
static inline void
tls_forget_errors(tls_lib *lib)
{
    if (FA_UNLIKELY(lib->ERR_peek_error() != 0)) {
        lib->ERR_clear_error();
    }
}

/* -- reading --------------------------------------------------------------------- */

/* A memoryview of our memory must not be kept by anybody. */
static void
tls_release(PyObject *view)
{
    PyObject *error = fa_err_take();
    PyObject *res = PyObject_CallMethod(view, "release", NULL);
    if (res == NULL) {
        fa_err_unraisable(view);
    }
    Py_XDECREF(res);
    Py_DECREF(view);
    fa_err_restore(error);
}

/* The answer of SSLObject.read(): how much, or bytes of at most `size`. It is
   taken over; -1 with an exception. */
static Py_ssize_t
tls_read_answer(PyObject *res, char *buf, size_t size)
{
    Py_ssize_t n = -1;
    if (PyBytes_Check(res) && PyBytes_GET_SIZE(res) <= (Py_ssize_t)size) {
        n = PyBytes_GET_SIZE(res);
        memcpy(buf, PyBytes_AS_STRING(res), (size_t)n);
    }
    else {
        n = PyLong_AsSsize_t(res);
        if (n > (Py_ssize_t)size || (n < 0 && !PyErr_Occurred())) {
            PyErr_SetString(PyExc_ValueError, "read() returned too much");
            n = -1;
        }
    }
    Py_DECREF(res);
    return n;
}

/* By SSLObject.read(size, view); what is not ssl.SSLObject's own read() is not
   given our memory. */
static tls_result
tls_read_memory(TlsObject *self, char *buf, size_t size, size_t *got)
{
    PyObject *sslobj = Py_NewRef(self->sslobj), *res = NULL;
    if (!self->own_methods) {
        res = PyObject_CallMethod(sslobj, "read", "n", (Py_ssize_t)size);
    }
    else {
        PyObject *view = PyMemoryView_FromMemory(buf, (Py_ssize_t)size,
                                                 PyBUF_WRITE);
        if (view != NULL) {
            res = PyObject_CallMethod(sslobj, "read", "nO", (Py_ssize_t)size,
                                      view);
            tls_release(view);
        }
    }
    Py_DECREF(sslobj);
    if (res == NULL) {
        return tls_is_again(self) ? TLS_AGAIN : TLS_FAILED;
    }
    Py_ssize_t n = tls_read_answer(res, buf, size);
    if (n <= 0) {
        return n < 0 ? TLS_FAILED : TLS_CLOSED;
    }
    *got = (size_t)n;
    return TLS_SOME;
}

tls_result FA_HOT
tls_read(TlsObject *self, char *buf, size_t size, size_t *got)
{
    *got = 0;
    if (FA_UNLIKELY(self->ssl == NULL)) {
        return tls_read_memory(self, buf, size, got);
    }
    tls_lib *lib = self->wire->lib;
    tls_forget_errors(lib);
    int rc = lib->SSL_read_ex(self->ssl, buf, size, got);
    return FA_LIKELY(rc > 0) ? TLS_SOME : tls_undone(self, rc, 0);
}

int FA_HOT
tls_readable(TlsObject *self)
{
    // all that OpenSSL was given, and nothing left in it: it would say so
    return self->ssl == NULL || tlsbuf_len(&self->wire->in) > 0 ||
           self->wire->lib->SSL_has_pending(self->ssl);
}

/* -- writing ---------------------------------------------------------------------- */

/* By SSLObject.write(bytes). */
static tls_result
tls_encrypt_memory(TlsObject *self, PyObject *data, size_t *done)
{
    PyObject *sslobj = Py_NewRef(self->sslobj);
    PyObject *res = PyObject_CallMethod(sslobj, "write", "O", data);
    Py_DECREF(sslobj);
    if (res == NULL) {
        return tls_is_again(self) ? TLS_AGAIN : TLS_FAILED;
    }
    Py_ssize_t put = PyLong_AsSsize_t(res);
    Py_DECREF(res);
    if (put < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError,
                            "write() returned a negative number");
        }
        return TLS_FAILED;
    }
    *done = (size_t)put;
    return TLS_SOME;
}

static inline tls_result
tls_encrypt_bytes(TlsObject *self, const char *data, size_t n, size_t *done)
{
    tls_lib *lib = self->wire->lib;
    tls_buf *out = &self->wire->out;
    size_t room;
    // a large buffer from the start; without it, wire_write makes do
    if (out->mem == NULL) {
        (void)tlsbuf_room(lib, out, FA_TLS_BUF, &room);
    }
    tls_forget_errors(lib);
    int rc = lib->SSL_write_ex(self->ssl, data, n, done);
    return FA_LIKELY(rc > 0) ? TLS_SOME : tls_undone(self, rc, 1);
}

/* Several small pieces make one record. How many bytes have been gathered. */
static size_t
tls_gather(const fa_writebuf *out, char *record)
{
    size_t n = 0;
    for (uint32_t i = out->head; i < out->tail && n < FA_TLS_RECORD; i++) {
        size_t len = out->chunks[i].len;
        len = len < FA_TLS_RECORD - n ? len : FA_TLS_RECORD - n;
        memcpy(record + n, out->chunks[i].data, len);
        n += len;
    }
    return n;
}

/* The next record through Python: as bytes, which whoever gets it may keep. */
static tls_result
tls_encrypt_slow(TlsObject *self, size_t *done)
{
    fa_writebuf *out = &self->out;
    size_t n = out->size < FA_TLS_RECORD ? out->size : FA_TLS_RECORD;
    PyObject *record = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)n);
    if (record == NULL) {
        return TLS_FAILED;
    }
    tls_gather(out, PyBytes_AS_STRING(record));
    tls_result res = tls_encrypt_memory(self, record, done);
    Py_DECREF(record);
    return res;
}

tls_result FA_HOT
tls_encrypt(TlsObject *self)
{
    fa_writebuf *out = &self->out;
    fa_chunk *first = &out->chunks[out->head];
    size_t n = first->len, done = 0;
    tls_result res;
    if (FA_UNLIKELY(self->ssl == NULL)) {
        res = tls_encrypt_slow(self, &done);
    }
    else if (n >= FA_TLS_RECORD || out->tail - out->head == 1) {
        n = n < FA_TLS_RECORD ? n : FA_TLS_RECORD;
        res = tls_encrypt_bytes(self, first->data, n, &done);
    }
    else {
        char record[FA_TLS_RECORD];
        n = tls_gather(out, record);
        res = tls_encrypt_bytes(self, record, n, &done);
    }
    if (FA_LIKELY(res == TLS_SOME)) {
        // through Python, somebody may have dropped it all
        writebuf_consume(out, done < out->size ? done : out->size);
    }
    return res;
}

/* -- ciphertext --------------------------------------------------------------------- */

static Py_ssize_t
tls_bio_pending(PyObject *bio)
{
    if (bio == NULL) {
        return 0; // the garbage collector was here
    }
    PyObject *number = PyObject_GetAttrString(bio, "pending");
    Py_ssize_t n = number == NULL ? -1 : PyLong_AsSsize_t(number);
    Py_XDECREF(number);
    return n;
}

Py_ssize_t FA_HOT
tls_incoming(TlsObject *self)
{
    return FA_LIKELY(self->ssl != NULL)
               ? (Py_ssize_t)tlsbuf_len(&self->wire->in)
               : tls_bio_pending(self->incoming);
}

Py_ssize_t FA_HOT
tls_outgoing(TlsObject *self)
{
    return FA_LIKELY(self->ssl != NULL)
               ? (Py_ssize_t)tlsbuf_len(&self->wire->out)
               : tls_bio_pending(self->outgoing);
}

/* MemoryBIO.write(view of data). 0 or -1. */
static int
tls_feed_memory(TlsObject *self, const char *data, size_t n)
{
    PyObject *view = PyMemoryView_FromMemory((char *)(uintptr_t)data,
                                             (Py_ssize_t)n, PyBUF_READ);
    PyObject *res = view == NULL ? NULL
                                 : PyObject_CallMethod(self->incoming,
                                                       "write", "O", view);
    if (view != NULL) {
        tls_release(view);
    }
    Py_XDECREF(res);
    return res == NULL ? -1 : 0;
}

int
tls_feed(TlsObject *self, const char *data, size_t n)
{
    if (self->ssl == NULL) {
        return tls_feed_memory(self, data, n);
    }
    if (tlsbuf_append(self->wire->lib, &self->wire->in, data, n) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

int FA_HOT
tls_fed(TlsObject *self, size_t n)
{
    tls_buf *in = &self->wire->in;
    if (FA_LIKELY(self->ssl != NULL)) {
        in->end += n;
        return 0;
    }
    tls_buf taken = *in; // Python code may run
    *in = (tls_buf){0};
    int rc = tls_feed_memory(self, taken.mem + taken.end, n);
    tlsbuf_reset(self->wire->lib, &taken);
    return rc;
}

PyObject *
tls_take_outgoing(TlsObject *self)
{
    if (self->ssl == NULL) {
        return PyObject_CallMethod(self->outgoing, "read", NULL);
    }
    tls_buf *out = &self->wire->out;
    PyObject *bytes = PyBytes_FromStringAndSize(
        out->mem == NULL ? NULL : out->mem + out->start,
        (Py_ssize_t)tlsbuf_len(out));
    if (bytes != NULL) {
        tlsbuf_reset(self->wire->lib, out);
    }
    return bytes;
}

void FA_HOT
tls_rest(TlsObject *self)
{
    tls_wire *wire = self->wire;
    if (FA_UNLIKELY(wire == NULL)) {
        return; // the garbage collector was here
    }
    if (wire->in.mem != NULL && tlsbuf_len(&wire->in) == 0) {
        tlsbuf_reset(wire->lib, &wire->in);
    }
    if (wire->out.mem != NULL && tlsbuf_len(&wire->out) == 0) {
        tlsbuf_reset(wire->lib, &wire->out);
    }
}
