/* stream/sink.c: the short way from a transport into a reader (fa_sink of
   net/net.h).

   The transport reads for an exact StreamReaderProtocol; if that and its reader
   are exactly ours and nothing that has to be done needs Python code, the bytes
   go into the reader's buffer here, the task that waits is put into the ring,
   and data_received, its bytes object and its context are never seen. Whatever
   is out of the ordinary is refused and takes the way of a method call, which
   also raises the errors. HOT: one call per message. Benchmarks: stream_1k_x10,
   stream_100k_x10. */
#include "net/net.h"
#include "stream/private.h"
#include "stream/protocol.h"

/* Can the reader be fed without any Python code? What may call out is the
   future of whoever waits, pausing the transport, a buffer that Python has seen,
   and odd attributes. */
static inline int
sink_reader_ready(fa_state *st, ReaderObject *reader)
{
    PyObject *waiter = reader->waiter, *transport = reader->transport;
    return reader->eof == Py_False && reader->max >= 0 &&
           reader->buffer.array == NULL &&
           (reader->paused == Py_False || reader->paused == Py_True) &&
           (transport == Py_None || fa_stream_is_plain(st, transport) ||
            readpipe_is_plain(st, transport)) &&
           (waiter == Py_None ||
            (Py_IS_TYPE(waiter, st->FutureType) &&
             future_engine((FutureObject *)waiter) != NULL));
}

/* The reader to feed (new), or NULL without an exception. */
static inline ReaderObject *
sink_reader(PyObject *protocol)
{
    StreamProtocolObject *self = (StreamProtocolObject *)protocol;
    fa_state *st = self->st;
    if (FA_UNLIKELY(!sproto_is_plain(st, protocol))) {
        return NULL;
    }
    PyObject *reader = fa_weakref_get(self->reader_ref);
    if (FA_UNLIKELY(reader == NULL)) {
        return NULL;
    }
    if (FA_UNLIKELY(!reader_is_plain(st, reader) ||
                    !sink_reader_ready(st, (ReaderObject *)reader)))
    {
        Py_DECREF(reader);
        return NULL;
    }
    return (ReaderObject *)reader;
}

static int
sink_feed(PyObject *protocol, const char *data, Py_ssize_t n)
{
    ReaderObject *reader = sink_reader(protocol);
    if (FA_UNLIKELY(reader == NULL)) {
        return 0;
    }
    int rc = reader_feed(reader, data, n);
    Py_DECREF(reader);
    return rc < 0 ? -1 : 1;
}

static char *
sink_room(PyObject *protocol, Py_ssize_t *size)
{
    ReaderObject *reader = sink_reader(protocol);
    if (FA_UNLIKELY(reader == NULL)) {
        return NULL;
    }
    char *space = NULL;
    Py_ssize_t room = reader_room(reader, *size, &space);
    Py_DECREF(reader);
    if (FA_UNLIKELY(room <= 0)) {
        return NULL;
    }
    *size = room < *size ? room : *size; // no more than asyncio reads at once
    return space;
}

static int
sink_fed(PyObject *protocol, Py_ssize_t n)
{
    // still there: nothing has run since sink_room
    PyObject *reader =
        fa_weakref_get(((StreamProtocolObject *)protocol)->reader_ref);
    FA_ASSERT(reader != NULL);
    int rc = reader_fed((ReaderObject *)reader, n);
    Py_DECREF(reader);
    return rc;
}

static const fa_sink stream_sink = {sink_feed, sink_room, sink_fed};

void
sink_init(fa_state *st)
{
    st->stream_sink = &stream_sink;
}
