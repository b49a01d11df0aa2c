/* net/pipe_write.c: WritePipeTransport, the writing end of a pipe.

   A real subclass of what asyncio's _UnixWritePipeTransport derives from. Output
   is writebuf.c's, with write(2): the writes of one ready entry are held and
   leave in one writev, but for files where each write is a message of its own
   (packets, devices). Where the pipe has room, such a writev is as atomic as the
   writes it is made of.

   close() and write_eof() are one and the same: nothing more may be written,
   and the file is closed once everything has left. That the readers have gone is
   noticed at once, by watching the writing end for input: a pipe reports an error
   there, and a socket whatever comes in. HOT: WritePipe_write. Benchmark:
   pipe_write. */
#include "net/pipe.h"

#include "base/args.h"
#include "base/errors.h"

#define LATE_WRITE \
    "pipe closed by peer or os.write(pipe, data) raised exception."

/* -- the other side ------------------------------------------------------------------- */

/* The readers have gone. 0 or -1. */
static int
writepipe_hang_up(TransportObject *self)
{
    if (self->loop->debug &&
        transport_log(self, "info", "%r was closed by peer") < 0)
    {
        return -1;
    }
    if (self->out.size == 0) {
        return transport_force_close(self, NULL);
    }
    PyObject *exc = PyObject_CallNoArgs(PyExc_BrokenPipeError);
    int rc = exc == NULL ? -1 : transport_force_close(self, exc);
    Py_XDECREF(exc);
    return rc;
}

/* fa_run: the end that is written to is readable. */
static int
writepipe_ready(LoopObject *Py_UNUSED(loop), PyObject *op,
                PyObject *Py_UNUSED(arg))
{
    TransportObject *self = (TransportObject *)op;
    int rc = 0;
    if (self->reading && !self->conn_lost && writepipe_hang_up(self) < 0) {
        rc = transport_report_method(self, op, "_read_ready", NULL);
    }
    Py_DECREF(op);
    return rc;
}

static const fa_wire writepipe_wire = {
    .readable = writepipe_ready,
    .recv = pipe_read,
    .send = pipe_write,
    .sendv = pipe_writev,
    .read_failed = "Fatal error on pipe transport",
    .write_failed = "Fatal write error on pipe transport",
    .pipe = 1,
};

/* -- new ------------------------------------------------------------------------------ */

static const fa_pipe_side writepipe_side = {
    .type_name = "WritePipeTransport",
    .refused = "Pipe transport is only for pipes, sockets and character "
               "devices",
    .deaf_kinds = FA_PIPE_CHAR | FA_PIPE_NO_HANGUP,
};

static PyObject *
WritePipe_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
              PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    return st == NULL
               ? NULL
               : (PyObject *)transport_alloc(type, st, &writepipe_wire);
}

static int
WritePipe_init(TransportObject *self, PyObject *args, PyObject *kwargs)
{
    return pipe_init(self, &writepipe_side, args, kwargs);
}

PyObject *
writepipe_new(LoopObject *loop, PyObject *pipe, PyObject *protocol,
              PyObject *waiter, PyObject *extra)
{
    fa_state *st = loop->st;
    TransportObject *self =
        transport_alloc(st->WritePipeTransportType, st, &writepipe_wire);
    fa_pipe_args given = {(PyObject *)loop, pipe, protocol, waiter, extra};
    if (self != NULL && pipe_open(self, &writepipe_side, &given) < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

int
writepipe_is_plain(fa_state *st, PyObject *obj)
{
    return Py_IS_TYPE(obj, st->WritePipeTransportType) &&
           ((TransportObject *)obj)->dict == NULL;
}

/* -- engine ----------------------------------------------------------------------------- */

/* May the data be written? 1, 0 = it is empty or too late, -1. */
static int
writepipe_check(TransportObject *self, PyObject *data)
{
    if (!PyBytes_Check(data) && !PyByteArray_Check(data) &&
        !PyMemoryView_Check(data))
    {
        PyObject *text = PyObject_Repr(data);
        if (text != NULL) {
            PyErr_SetObject(PyExc_AssertionError, text);
            Py_DECREF(text);
        }
        return -1;
    }
    int full = PyObject_IsTrue(data);
    if (full <= 0 || !self->closing) {
        return full;
    }
    return transport_log_late_write(self, &self->late, LATE_WRITE);
}

/* write() of anything but plain bytes on an open transport. */
static int
writepipe_write_slow(TransportObject *self, PyObject *data)
{
    int rc = writepipe_check(self, data);
    if (rc <= 0) {
        return rc;
    }
    rc = transport_write(self, data);
    if (rc == 0 || !PyErr_ExceptionMatches(PyExc_BufferError)) {
        return rc;
    }
    // memory in pieces
    if (!self->blocked) { // os.write() has raised
        self->late++;
        return transport_fatal_raised(self, self->wire->write_failed);
    }
    PyErr_Format(PyExc_TypeError, "can't concat %.100s to bytearray",
                 Py_TYPE(data)->tp_name);
    return -1;
}

int FA_HOT
writepipe_write(PyObject *op, PyObject *data)
{
    TransportObject *self = (TransportObject *)op;
    return FA_LIKELY(PyBytes_CheckExact(data) && !self->closing)
               ? transport_write(self, data)
               : writepipe_write_slow(self, data);
}

int
writepipe_is_closing(PyObject *transport)
{
    return ((TransportObject *)transport)->closing;
}

/* Are all items of a list plain bytes? Then they need not be joined. */
static int
writepipe_are_bytes(PyObject *list)
{
    if (!PyList_CheckExact(list)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        if (!PyBytes_CheckExact(PyList_GET_ITEM(list, i))) {
            return 0;
        }
    }
    return PyList_GET_SIZE(list) > 0;
}

static int
writepipe_add_list(TransportObject *self, PyObject *list)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        size_t len = (size_t)PyBytes_GET_SIZE(item);
        if (len > 0 && writebuf_push(&self->out, PyBytes_AS_STRING(item), len,
                                     Py_NewRef(item)) < 0)
        {
            return -1;
        }
    }
    return self->out.size == 0 ? 0 : transport_written(self);
}

/* self.write(b"".join(list)) */
static int
writepipe_writelines(TransportObject *self, PyObject *list)
{
    if (!self->closing && !self->messages && writepipe_are_bytes(list)) {
        return writepipe_add_list(self, list);
    }
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *data = empty == NULL
                         ? NULL
                         : PyObject_CallMethodOneArg(
                               empty, self->st->str_join, list);
    Py_XDECREF(empty);
    if (data == NULL) {
        return -1;
    }
    int rc = writepipe_write((PyObject *)self, data);
    Py_DECREF(data);
    return rc;
}

/* asyncio's write_eof() and close(). The readers are still watched while there
   is something to be written. 0 or -1. */
static int
writepipe_close(TransportObject *self)
{
    if (self->closing) {
        return 0;
    }
    PyObject *error = transport_flush(self) < 0 ? fa_err_take() : NULL;
    int rc = 0;
    if (!self->closing) { // the flush may have found it broken
        self->closing = 1;
        if (self->out.size == 0) { // else writebuf.c goes on
            transport_stop_reading(self);
            rc = transport_schedule_lost(self, NULL);
        }
    }
    if (error == NULL) {
        return rc;
    }
    if (rc < 0) {
        fa_err_chain(error);
    }
    else {
        fa_err_restore(error);
    }
    return -1;
}

/* -- methods ------------------------------------------------------------------------------ */

static PyObject *
WritePipe_repr(TransportObject *self)
{
    return pipe_repr(self, self->blocked, 1);
}

/* HOT */
static PyObject *
WritePipe_write(TransportObject *self, PyObject *data)
{
    return pipe_none(writepipe_write((PyObject *)self, data));
}
FA_METHOD_ONE(WritePipe_write, TransportObject,
              "_UnixWritePipeTransport.write", "data")

static PyObject *
WritePipe_writelines(TransportObject *self, PyObject *list)
{
    return pipe_none(writepipe_writelines(self, list));
}
FA_METHOD_ONE(WritePipe_writelines, TransportObject,
              "WriteTransport.writelines", "list_of_data")

static PyObject *
WritePipe_set_protocol(TransportObject *self, PyObject *protocol)
{
    pipe_set_protocol(self, protocol);
    Py_RETURN_NONE;
}
FA_METHOD_ONE(WritePipe_set_protocol, TransportObject,
              "_UnixWritePipeTransport.set_protocol", "protocol")

static PyObject *
WritePipe_can_write_eof(TransportObject *Py_UNUSED(self),
                        PyObject *Py_UNUSED(arg))
{
    Py_RETURN_TRUE;
}

static PyObject *
WritePipe_close(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return pipe_none(writepipe_close(self));
}

static PyObject *
WritePipe_abort(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return pipe_none(transport_force_close(self, NULL));
}

static PyObject *
WritePipe_flush(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return pipe_none(transport_flush(self));
}

static PyObject *
WritePipe_read_ready(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return pipe_none(self->conn_lost ? 0 : writepipe_hang_up(self));
}

static PyObject *
WritePipe_get_write_buffer_size(TransportObject *self,
                                PyObject *Py_UNUSED(arg))
{
    return transport_flush(self) < 0 ? NULL
                                     : PyLong_FromSize_t(self->out.size);
}

static const fa_args writepipe_limits_spec = {
    .fname = "_FlowControlMixin._set_write_buffer_limits", .required = 0,
    .positional = 2, .python = 1, .total = 2, .names = {"high", "low"}};

/* What asyncio's set_write_buffer_limits() calls. */
static PyObject *
WritePipe_set_limits(TransportObject *self, PyObject *const *args,
                     Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&writepipe_limits_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return pipe_none(
        transport_set_limits(self, out[0] == Py_None ? NULL : out[0],
                             out[1] == Py_None ? NULL : out[1]));
}

static PyObject *
WritePipe_maybe_pause(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    if (transport_flush(self) < 0) {
        return NULL;
    }
    return pipe_none(transport_maybe_pause(self));
}

static PyObject *
WritePipe_maybe_resume(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return pipe_none(transport_maybe_resume(self));
}

/* What waits, as asyncio keeps it (a copy). */
static PyObject *
WritePipe_get_buffer(TransportObject *self, void *Py_UNUSED(closure))
{
    if (transport_flush(self) < 0) {
        return NULL;
    }
    PyObject *buffer = PyByteArray_FromStringAndSize(
        NULL, (Py_ssize_t)self->out.size);
    if (buffer == NULL) {
        return NULL;
    }
    char *to = PyByteArray_AS_STRING(buffer);
    for (uint32_t i = self->out.head; i < self->out.tail; i++) {
        const fa_chunk *chunk = &self->out.chunks[i];
        memcpy(to, chunk->data, chunk->len);
        to += chunk->len;
    }
    return buffer;
}

/* -- tables ---------------------------------------------------------------------------------- */

static PyMethodDef WritePipe_methods[] = {
    PIPE_METHODS,
    PIPE_METHOD("set_protocol", WritePipe_set_protocol_kw, PIPE_FAST,
                "set_protocol($self, protocol)\n--\n\nSet a new protocol."),
    PIPE_METHOD("write", WritePipe_write_kw, PIPE_FAST,
                "write($self, data)\n--\n\nWrite some data bytes."),
    PIPE_METHOD("writelines", WritePipe_writelines_kw, PIPE_FAST,
                "writelines($self, list_of_data)\n--\n\n"
                "Write a list (or any iterable) of data bytes."),
    PIPE_METHOD("write_eof", WritePipe_close, METH_NOARGS,
                "write_eof($self)\n--\n\n"
                "Close the pipe once pending data has been written."),
    PIPE_METHOD("can_write_eof", WritePipe_can_write_eof, METH_NOARGS,
                "can_write_eof($self)\n--\n\n"
                "Return True if this transport supports write_eof()."),
    PIPE_METHOD("close", WritePipe_close, METH_NOARGS,
                "close($self)\n--\n\n"
                "Close the pipe once pending data has been written."),
    PIPE_METHOD("abort", WritePipe_abort, METH_NOARGS,
                "abort($self)\n--\n\n"
                "Close the transport immediately; pending data is lost."),
    PIPE_METHOD("get_write_buffer_size", WritePipe_get_write_buffer_size,
                METH_NOARGS,
                "get_write_buffer_size($self)\n--\n\n"
                "Return the number of bytes the kernel has not taken yet."),
    PIPE_METHOD("_set_write_buffer_limits", WritePipe_set_limits, PIPE_FAST,
                NULL),
    PIPE_METHOD("_maybe_pause_protocol", WritePipe_maybe_pause, METH_NOARGS,
                NULL),
    PIPE_METHOD("_maybe_resume_protocol", WritePipe_maybe_resume, METH_NOARGS,
                NULL),
    PIPE_METHOD("_read_ready", WritePipe_read_ready, METH_NOARGS, NULL),
    PIPE_METHOD("_write_ready", WritePipe_flush, METH_NOARGS, NULL),
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef WritePipe_getset[] = {
    PIPE_FIELDS,
    PIPE_FIELD("_protocol_paused", PIPE_PROTO_PAUSED),
    PIPE_FIELD("_conn_lost", PIPE_CONN_LOST),
    PIPE_FIELD("_high_water", PIPE_HIGH),
    PIPE_FIELD("_low_water", PIPE_LOW),
    {"_buffer", (getter)WritePipe_get_buffer, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot WritePipe_slots[] = {
    {Py_tp_doc, (void *)
     "WritePipeTransport(loop, pipe, protocol, waiter=None, extra=None)\n"
     "--\n\n"
     "A transport that writes to a pipe, a terminal or a socket. Loops make\n"
     "it. See asyncio.WriteTransport."},
    {Py_tp_new, WritePipe_new},
    {Py_tp_init, WritePipe_init},
    {Py_tp_traverse, Pipe_traverse},
    {Py_tp_clear, transport_clear},
    {Py_tp_finalize, transport_finalize},
    {Py_tp_dealloc, Pipe_dealloc},
    {Py_tp_repr, WritePipe_repr},
    {Py_tp_methods, WritePipe_methods},
    {Py_tp_getset, WritePipe_getset},
    {Py_tp_members, Pipe_members},
    {0, NULL},
};

static PyType_Spec WritePipe_spec = {
    .name = "fastasync.WritePipeTransport",
    .basicsize = sizeof(TransportObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = WritePipe_slots,
};

int
writepipe_type_init(PyObject *module, fa_state *st)
{
    return pipe_type_new(module, &WritePipe_spec, st->asyncio_FlowControl,
                         "WritePipeTransport", &st->WritePipeTransportType);
}
