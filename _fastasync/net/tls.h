/* net/tls.h: the inside of TLS (private to net/).

   asyncio.sslproto in C: an SSLProtocol sits on a transport and wears another
   transport (SSLTransport) for the application's protocol. Its states, flow
   control and errors are asyncio's; what is different is how bytes move:

     socket --recv--> wire.in --SSL_read--> bytes, or the reader's buffer
     write() --> out (pieces by reference) --SSL_write--> wire.out --send--> socket

   State machine:  UNWRAPPED -> DO_HANDSHAKE -> WRAPPED -> FLUSHING -> SHUTDOWN,
   and UNWRAPPED again from anywhere.

   Two ways to the same OpenSSL ("back ends", tls_engine.c): directly, on the
   SSL object inside of ssl.SSLObject, whose BIOs are replaced (tls_lib.h); or
   through ssl.MemoryBIO and the methods of SSLObject. Handshake and unwrap go
   through the SSLObject either way, so that their exceptions are Python's own.

   Invariants:
   - transport, app and app_transport are there from connection_made (app and
     app_transport from the start) until connection_lost;
   - `out` holds plaintext that OpenSSL has not been given: before the handshake
     is done; until the running entry returns (corked); and while the transport
     below takes no more (ssl_paused) and enough ciphertext waits for it;
   - with nothing to do, neither buffer of the wire has memory;
   - who calls into Python re-reads the state afterwards. */
#ifndef FA_NET_TLS_H
#define FA_NET_TLS_H

#include "base/classes.h"
#include "net/tls_lib.h"
#include "net/transport.h"

typedef enum {
    TLS_UNWRAPPED,
    TLS_DO_HANDSHAKE,
    TLS_WRAPPED,
    TLS_FLUSHING,
    TLS_SHUTDOWN,
} tls_state;

typedef enum {
    TLS_APP_INIT,
    TLS_APP_MADE,
    TLS_APP_EOF,
    TLS_APP_LOST,
} tls_app_state;

typedef struct {
    FA_CLASS_HEAD
    PyObject *loop;          /* strong: any loop; NULL = __init__ has not run */
    PyObject *app;           /* strong: the application's protocol; NULL = lost */
    PyObject *app_get_buffer; /* strong or NULL: bound, of a BufferedProtocol */
    PyObject *app_updated;   /* strong or NULL: the same */
    PyObject *app_transport; /* strong: what it writes to; NULL = lost */
    PyObject *transport;     /* strong: the one below; NULL = not yet, or lost */
    PyObject *sslcontext;    /* strong */
    PyObject *server_hostname; /* strong, or None */
    PyObject *waiter;        /* strong or NULL */
    PyObject *extra;         /* strong: a dict */
    PyObject *handshake_timeout, *shutdown_timeout; /* strong: numbers */
    PyObject *handshake_start; /* strong or NULL: debug mode, loop.time() */
    PyObject *handshake_timer, *shutdown_timer;     /* strong or NULL */
    PyObject *context;       /* strong or NULL: that of the transport below */
    PyObject *sslobj;        /* strong: ssl.SSLObject */
    PyObject *raw;           /* strong or NULL: the _ssl._SSLSocket in it that
                                `ssl` belongs to */
    PyObject *incoming, *outgoing; /* strong: its MemoryBIOs */
    PyObject *window;        /* strong or NULL: a bytearray, what strange
                                transports put bytes into */
    void *ssl;               /* of raw: direct; NULL = through MemoryBIO */
    tls_wire *wire;          /* counted */
    fa_writebuf out;
    size_t out_high, out_low, in_high, in_low; /* water marks */
    Py_ssize_t conn_lost;
    uint8_t state;           /* tls_state */
    uint8_t app_state;       /* tls_app_state */
    unsigned server_side : 1;
    unsigned ours : 1;       /* the loop is a LoopObject */
    unsigned quiet : 1;      /* SSL_read runs no Python code */
    unsigned own_methods : 1; /* sslobj's read and write are ssl.SSLObject's */
    unsigned buffered : 1;   /* app is a BufferedProtocol */
    unsigned streamed : 1;   /* app is exactly our StreamReaderProtocol */
    unsigned ssl_paused : 1; /* pause_writing() of the transport below */
    unsigned app_paused : 1; /* we have called pause_writing() */
    unsigned app_reading_paused : 1;
    unsigned ssl_reading_paused : 1;
    unsigned eof : 1;        /* eof_received() */
    unsigned corked : 1;     /* in the loop's cork ring */
    unsigned uncorking : 1;  /* in no context of ours */
} TlsObject;

/* The transport that the application sees. */
typedef struct {
    PyObject_HEAD
    PyObject *base_slots[FA_TRANSPORT_BASE_SLOTS]; /* asyncio's own, shadowed */
    PyObject *dict;          /* strong or NULL: instance attributes */
    PyObject *weakrefs;
    fa_state *st;            /* borrowed */
    PyObject *loop;          /* strong */
    PyObject *proto;         /* strong: a TlsObject; NULL = closed twice */
    uint8_t closed;
} TlsTransportObject;

/* -- tls_engine.c: OpenSSL -------------------------------------------------------- */

/* Make the SSLObject and decide which way to go. 0 or -1. */
FA_INTERNAL int tls_open(TlsObject *self);

typedef enum {
    TLS_FAILED = -1, /* an exception is raised */
    TLS_AGAIN = 0,   /* more must come from the peer first */
    TLS_SOME = 1,
    TLS_CLOSED = 2,  /* close_notify */
} tls_result;

/* Read at most `size` bytes of plaintext, *got of them. HOT */
FA_INTERNAL tls_result tls_read(TlsObject *self, char *buf, size_t size,
                                size_t *got);

/* Can there be more to read than TLS_AGAIN? HOT */
FA_INTERNAL int tls_readable(TlsObject *self);

/* Encrypt some of `out`, a record at most. TLS_CLOSED is not possible. HOT */
FA_INTERNAL tls_result tls_encrypt(TlsObject *self);

/* How many bytes of ciphertext wait to be read / to be sent; -1 on error. HOT */
FA_INTERNAL Py_ssize_t tls_incoming(TlsObject *self);
FA_INTERNAL Py_ssize_t tls_outgoing(TlsObject *self);

/* n bytes of ciphertext have come. 0 or -1. */
FA_INTERNAL int tls_feed(TlsObject *self, const char *data, size_t n);
/* The same, where tlsbuf_room(wire.in) said. */
FA_INTERNAL int tls_fed(TlsObject *self, size_t n);

/* Take all outgoing ciphertext as bytes (new). */
FA_INTERNAL PyObject *tls_take_outgoing(TlsObject *self);

/* Empty buffers go back. */
FA_INTERNAL void tls_rest(TlsObject *self);

/* Is the raised exception one of asyncio.sslproto.SSLAgainErrors (then it is
   cleared)? */
FA_INTERNAL int tls_is_again(TlsObject *self);

/* -- tls_state.c: handshake, shutdown, the end ---------------------------------- */

FA_INTERNAL int tls_connection_made(TlsObject *self, PyObject *transport);
FA_INTERNAL int tls_connection_lost(TlsObject *self, PyObject *exc);
/* True/False (new) for the transport, or NULL. */
FA_INTERNAL PyObject *tls_eof_received(TlsObject *self);
FA_INTERNAL int tls_do_handshake(TlsObject *self);
FA_INTERNAL int tls_do_flush(TlsObject *self);
FA_INTERNAL int tls_do_shutdown(TlsObject *self);
FA_INTERNAL int tls_start_shutdown(TlsObject *self);
FA_INTERNAL int tls_call_eof_received(TlsObject *self);
/* exc NULL = None. */
FA_INTERNAL int tls_abort(TlsObject *self, PyObject *exc);
FA_INTERNAL int tls_handshake_timed_out(TlsObject *self);
FA_INTERNAL int tls_shutdown_timed_out(TlsObject *self);
FA_INTERNAL int tls_wakeup_waiter(TlsObject *self, PyObject *exc);

/* -- tls_trouble.c ------------------------------------------------------------------ */

/* asyncio's _fatal_error(exc, message). 0 or -1. */
FA_INTERNAL int tls_fatal(TlsObject *self, PyObject *exc, const char *message);

/* `except Exception as ex: self._fatal_error(ex, 'Fatal error on SSL
   protocol')`: 0, or -1 with what is no Exception. */
FA_INTERNAL int tls_failed(TlsObject *self);

/* The loop's exception handler, with a transport (or None) and us. 0 or -1. */
FA_INTERNAL int tls_report(TlsObject *self, const char *message, PyObject *exc,
                           PyObject *transport);

/* logger.<method>(format[, self[, number]]); 0 or -1. */
FA_INTERNAL int tls_log(TlsObject *self, const char *method, PyObject *args);
FA_INTERNAL int tls_log_debug(TlsObject *self, const char *format);

/* self.<name> of the loop, called: what asyncio calls by method. New or NULL. */
FA_INTERNAL PyObject *tls_bound(TlsObject *self, const char *name);

/* -- tls_read.c: from the peer ------------------------------------------------------- */

/* asyncio's _do_read. 0, or -1 with what is no Exception. HOT */
FA_INTERNAL int tls_do_read(TlsObject *self);

/* Bytes have been fed: go on, by the state. 0 or -1. HOT */
FA_INTERNAL int tls_proceed(TlsObject *self);

FA_INTERNAL int tls_resume_reading(TlsObject *self);
FA_INTERNAL int tls_control_ssl_reading(TlsObject *self);

/* -- tls_write.c: to the peer ---------------------------------------------------------- */

/* write() of the application's transport, with its checks. 0 or -1. HOT */
FA_INTERNAL int tls_write(TlsObject *self, PyObject *data);
FA_INTERNAL int tls_writelines(TlsObject *self, PyObject *list);
/* Append to `out` without sending. */
FA_INTERNAL int tls_push(TlsObject *self, PyObject *data);

/* Encrypt what is held, send what there is. `all`: keep no plaintext back.
   0, or -1 with any exception. */
FA_INTERNAL int tls_do_write(TlsObject *self, int all);

/* Send ciphertext, and flow control. 0 or -1. */
FA_INTERNAL int tls_process_outgoing(TlsObject *self);
FA_INTERNAL int tls_control_app_writing(TlsObject *self);

/* Somebody looks: what is held for the end of the running entry leaves now. The
   same when the state is about to change: then no plaintext stays. Failures are
   dealt with. 0, or -1 for an exit. */
FA_INTERNAL int tls_look(TlsObject *self);
FA_INTERNAL int tls_settle(TlsObject *self);

/* The transport below can take more / no more. 0 or -1. */
FA_INTERNAL int tls_ssl_resumed(TlsObject *self);

/* -- the transport below (tls_lower.c) ---------------------------------------------- */

/* It, if it is one of our own that nobody can have changed; else NULL. HOT */
static inline TransportObject *
tls_lower(const TlsObject *self)
{
    PyObject *lower = self->transport;
    return lower != NULL && sockstream_is_plain(self->st, lower)
               ? (TransportObject *)lower
               : NULL;
}

/* Its methods of these names. 0 or -1. */
FA_INTERNAL int tls_lower_send(TlsObject *self);
FA_INTERNAL int tls_lower_close(TlsObject *self);
FA_INTERNAL int tls_lower_force_close(TlsObject *self, PyObject *exc);
FA_INTERNAL int tls_lower_pause(TlsObject *self, int pause);

/* -- tls_type.c, tls_transport.c -------------------------------------------------------- */

/* set_protocol() of the application's transport. 0 or -1. */
FA_INTERNAL int tls_set_app(TlsObject *self, PyObject *app);

/* The number of bytes not sent yet; the same after tls_settle. -1 on error. */
FA_INTERNAL Py_ssize_t tls_write_size(TlsObject *self);

FA_INTERNAL PyObject *tls_extra_info(TlsObject *self, PyObject *name,
                                     PyObject *fallback);

/* add_flowcontrol_defaults; NULL = not given. 0 or -1. */
FA_INTERNAL int tls_limits(PyObject *high, PyObject *low, const char *constant,
                           fa_state *st, size_t *to_high, size_t *to_low);

FA_INTERNAL PyObject *tlstransport_new(fa_state *st, PyObject *loop,
                                       PyObject *proto);

FA_INTERNAL int tls_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int tlstransport_type_init(PyObject *module, fa_state *st);

#endif
