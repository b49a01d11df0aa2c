/* net/pipe.h: what the pipe transports share (private to net/pipe*.c).

   A pipe transport is a TransportObject with another wire. `sock` is the Python
   file it was given, `late` asyncio's _conn_lost. */
#ifndef FA_NET_PIPE_H
#define FA_NET_PIPE_H

#include "net/transport.h"

/* -- pipe.c -------------------------------------------------------------------- */

/* What a constructor was given; borrowed. */
typedef struct {
    PyObject *loop, *pipe, *protocol, *waiter, *extra;
} fa_pipe_args;

/* What the two kinds do differently when they are made. */
typedef struct {
    const char *type_name; /* for error texts */
    const char *refused;   /* asyncio's ValueError */
    int deaf_kinds;        /* FA_PIPE_*: not to be watched for input */
} fa_pipe_side;

/* Open a blank transport: take over the file, schedule connection_made. 0, or
   -1 with an exception; then the file stays with the caller. */
FA_INTERNAL int pipe_open(TransportObject *self, const fa_pipe_side *side,
                          const fa_pipe_args *given);

/* The same for tp_init: Type(loop, pipe, protocol, waiter=None, extra=None). */
FA_INTERNAL int pipe_init(TransportObject *self, const fa_pipe_side *side,
                          PyObject *args, PyObject *kwargs);

/* repr(): asyncio's, with our name of the type. */
FA_INTERNAL PyObject *pipe_repr(TransportObject *self, int polling,
                                int with_buffer);

/* Who serves the protocol from now on; data_received is all that a pipe calls,
   also for a BufferedProtocol. */
FA_INTERNAL void pipe_set_protocol(TransportObject *self, PyObject *protocol);

/* None or NULL for an engine function's 0 or -1. */
static inline PyObject *
pipe_none(int rc)
{
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* Methods and attributes of both, as rows of their tables. */
FA_INTERNAL PyObject *Pipe_get_extra_info(TransportObject *self,
                                          PyObject *const *args,
                                          Py_ssize_t nargs,
                                          PyObject *kwnames);
FA_INTERNAL PyObject *Pipe_is_closing(TransportObject *self, PyObject *arg);
FA_INTERNAL PyObject *Pipe_get_protocol(TransportObject *self, PyObject *arg);
FA_INTERNAL PyObject *Pipe_fatal_error(TransportObject *self,
                                       PyObject *const *args,
                                       Py_ssize_t nargs, PyObject *kwnames);
FA_INTERNAL PyObject *Pipe_force_close(TransportObject *self,
                                       PyObject *const *args,
                                       Py_ssize_t nargs, PyObject *kwnames);
FA_INTERNAL PyObject *Pipe_call_connection_lost(TransportObject *self,
                                                PyObject *exc);
FA_INTERNAL PyObject *Pipe_add_reader(TransportObject *self, PyObject *args);

enum pipe_field {
    PIPE_LOOP,
    PIPE_PROTOCOL,
    PIPE_CONTEXT,
    PIPE_PIPE,
    PIPE_EXTRA,
    PIPE_CLOSING,
    PIPE_PAUSED,
    PIPE_PROTO_PAUSED,
    PIPE_FILENO,
    PIPE_CONN_LOST,
    PIPE_HIGH,
    PIPE_LOW,
};

FA_INTERNAL PyObject *Pipe_get(TransportObject *self, void *field);
FA_INTERNAL int Pipe_set_pipe(TransportObject *self, PyObject *value,
                              void *field);

#define PIPE_METHOD(name, func, flags, text) \
    {name, (PyCFunction)(void (*)(void))(func), flags, PyDoc_STR(text)}
#define PIPE_FAST (METH_FASTCALL | METH_KEYWORDS)
#define PIPE_FIELD(name, field) \
    {name, (getter)Pipe_get, NULL, NULL, (void *)(intptr_t)(field)}

#define PIPE_METHODS \
    PIPE_METHOD("get_extra_info", Pipe_get_extra_info, PIPE_FAST, \
                "get_extra_info($self, name, default=None)\n--\n\n" \
                "Get optional transport information."), \
    PIPE_METHOD("is_closing", Pipe_is_closing, METH_NOARGS, \
                "is_closing($self)\n--\n\n" \
                "Return True if the transport is closing or closed."), \
    PIPE_METHOD("get_protocol", Pipe_get_protocol, METH_NOARGS, \
                "get_protocol($self)\n--\n\nReturn the current protocol."), \
    PIPE_METHOD("_fatal_error", Pipe_fatal_error, PIPE_FAST, NULL), \
    PIPE_METHOD("_close", Pipe_force_close, PIPE_FAST, NULL), \
    PIPE_METHOD("_call_connection_lost", Pipe_call_connection_lost, METH_O, \
                NULL), \
    PIPE_METHOD("_add_reader", Pipe_add_reader, METH_VARARGS, NULL)

#define PIPE_FIELDS \
    PIPE_FIELD("_loop", PIPE_LOOP), PIPE_FIELD("_protocol", PIPE_PROTOCOL), \
    PIPE_FIELD("_context", PIPE_CONTEXT), \
    {"_pipe", (getter)Pipe_get, (setter)Pipe_set_pipe, NULL, \
     (void *)(intptr_t)PIPE_PIPE}, \
    PIPE_FIELD("_extra", PIPE_EXTRA), PIPE_FIELD("_closing", PIPE_CLOSING), \
    PIPE_FIELD("_fileno", PIPE_FILENO), \
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL}

/* Slots of both types. */
extern __attribute__((visibility("hidden"))) PyMemberDef Pipe_members[];
FA_INTERNAL int Pipe_traverse(TransportObject *self, visitproc visit,
                              void *arg);
FA_INTERNAL void Pipe_dealloc(TransportObject *self);

/* Make one of the types and put it into the module. 0 or -1. */
FA_INTERNAL int pipe_type_new(PyObject *module, PyType_Spec *spec,
                              PyObject *base, const char *name,
                              PyTypeObject **slot);

/* -- pipe_read.c, pipe_write.c ---------------------------------------------------- */

FA_INTERNAL int readpipe_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int writepipe_type_init(PyObject *module, fa_state *st);

/* Both. 0 or -1. */
FA_INTERNAL int pipe_types_init(PyObject *module, fa_state *st);

#endif
