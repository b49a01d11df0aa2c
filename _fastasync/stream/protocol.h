/* stream/protocol.h: the protocol between a transport and a reader, and the
   writer, as the files of this room see them. Nobody else includes it. */
#ifndef FA_STREAM_PROTOCOL_H
#define FA_STREAM_PROTOCOL_H

#include "base/classes.h"
#include "base/fifo.h"
#include "task/coro.h"

/* asyncio's attributes, one field each: whoever sets `_paused` or `_over_ssl`
   from Python sets the very flag that C looks at. A field that is NULL is an
   attribute that does not exist. */
typedef struct {
    FA_CLASS_HEAD
    PyObject *loop;            /* strong; NULL = __init__ has not run */
    PyObject *reader_ref;      /* strong: weakref.ref of the reader, or None */
    PyObject *strong_reader;   /* strong: a server's, until it is connected */
    PyObject *reject;          /* strong, a flag, as the three below */
    PyObject *over_ssl;
    PyObject *paused;
    PyObject *connection_lost;
    PyObject *writer;          /* strong: _stream_writer */
    PyObject *task;            /* strong: of client_connected_cb, or None */
    PyObject *transport;       /* strong, or None */
    PyObject *connected_cb;    /* strong, or None */
    PyObject *closed;          /* strong: the future of wait_closed() */
    PyObject *source_tb;       /* strong: the reader's, in debug mode */
    PyObject *served;          /* strong: what `task` talks over; its end is
                                  reported with it */
    fa_fifo drain_waiters;
} StreamProtocolObject;

typedef struct {
    FA_CLASS_HEAD
    PyObject *transport; /* strong; NULL = __init__ has not run */
    PyObject *protocol;  /* strong */
    PyObject *reader;    /* strong, or None */
    PyObject *loop;      /* strong */
    PyObject *complete;  /* strong: _complete_fut; NULL = not asked for */
} StreamWriterObject;

/* -- flags --------------------------------------------------------------------- */

/* bool(flag), NULL being false: 1, 0 or -1. */
static inline int
flag_is_set(PyObject *flag)
{
    if (FA_LIKELY(flag == Py_False || flag == NULL)) {
        return 0;
    }
    return flag == Py_True ? 1 : PyObject_IsTrue(flag);
}

static inline void
flag_set(PyObject **flag, int value)
{
    Py_XSETREF(*flag, PyBool_FromLong(value));
}

/* -- protocol.c ------------------------------------------------------------------ */

/* Is it exactly our class, with nothing replaced? HOT */
static inline int
sproto_is_plain(fa_state *st, PyObject *obj)
{
    return Py_IS_TYPE(obj, st->StreamReaderProtocolType) &&
           ((StreamProtocolObject *)obj)->dict == NULL &&
           ((StreamProtocolObject *)obj)->loop != NULL;
}

/* AttributeError: the attribute is not there. Always NULL. */
FA_INTERNAL PyObject *sproto_missing(StreamProtocolObject *self,
                                     const char *name);

/* StreamReaderProtocol(reader, cb, loop=loop); cb may be NULL. NULL on error. */
FA_INTERNAL PyObject *sproto_new(fa_state *st, PyObject *reader, PyObject *cb,
                                 PyObject *loop);

FA_INTERNAL int sproto_type_init(PyObject *module, fa_state *st);

/* -- drain.c: flow control --------------------------------------------------------- */

FA_INTERNAL int drain_pause(StreamProtocolObject *self);
FA_INTERNAL int drain_resume(StreamProtocolObject *self);

/* connection_lost(exc), as far as writers are concerned; exc may be None. */
FA_INTERNAL int drain_lost(StreamProtocolObject *self, PyObject *exc);

/* The body of _drain_helper. 1: nothing to wait for; 0: *waiter (new) is to be
   awaited and then given to drain_done; -1: it raises. HOT */
FA_INTERNAL int drain_begin(StreamProtocolObject *self, PyObject **waiter);

/* The await has ended; a raised exception stays. 0 or -1. */
FA_INTERNAL int drain_done(StreamProtocolObject *self, PyObject *waiter);

/* _drain_helper as a method. */
FA_INTERNAL int drain_methods_add(fa_state *st);

/* -- writer.c ----------------------------------------------------------------------- */

/* StreamWriter(transport, protocol, reader, loop) of the class that
   asyncio.streams has under that name. NULL on error. */
FA_INTERNAL PyObject *writer_new(fa_state *st, PyObject *transport,
                                 PyObject *protocol, PyObject *reader,
                                 PyObject *loop);

/* transport.is_closing(): 1, 0 or -1. HOT */
FA_INTERNAL int writer_is_closing(StreamWriterObject *self);

FA_INTERNAL int writer_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int writer_coros_add(fa_state *st);

/* -- glue.c --------------------------------------------------------------------------- */

/* What asyncio.streams has under `name`, if somebody has put there neither
   asyncio's own class nor ours (new), else NULL: asyncio's functions would use
   it, and so do ours. */
FA_INTERNAL PyObject *streams_rebound(fa_state *st, PyObject *name,
                                      PyTypeObject *ours, PyObject *stock);

FA_INTERNAL int glue_init(PyObject *module, fa_state *st);

/* -- sink.c --------------------------------------------------------------------------- */

FA_INTERNAL void sink_init(fa_state *st);

#endif
