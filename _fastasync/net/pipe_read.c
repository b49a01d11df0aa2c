/* net/pipe_read.c: ReadPipeTransport, the reading end of a pipe.

   A real subclass of asyncio.ReadTransport. Reading is sockread.c's, with
   read(2); what differs from a socket is what asyncio does differently: an
   exception of data_received is reported and the reading goes on; after the end
   of file eof_received and connection_lost follow, one turn each, whatever
   eof_received returns. HOT: sockread_ready. Benchmark: pipe_read. */
#include "net/pipe.h"

#include <errno.h>

#include "base/args.h"
#include "base/errors.h"

/* -- input -------------------------------------------------------------------------- */

/* fa_run: there is something to read, or the end. */
static int
readpipe_ready(LoopObject *loop, PyObject *op, PyObject *arg)
{
    TransportObject *self = (TransportObject *)op;
    if (FA_UNLIKELY(self->messages)) {
        self->read_class = 2; // whatever is not read of a packet is lost
    }
    return sockread_ready(loop, op, arg);
}

/* fa_run: protocol.eof_received(). */
static int
readpipe_run_eof(LoopObject *Py_UNUSED(loop), PyObject *op, PyObject *method)
{
    TransportObject *self = (TransportObject *)op;
    PyObject *entered = context_enter(self->context);
    PyObject *res = NULL;
    if (entered != NULL) {
        res = PyObject_CallNoArgs(method);
        context_leave(entered);
    }
    int rc = res == NULL ? transport_report_callback(self, method, NULL) : 0;
    Py_XDECREF(res);
    Py_DECREF(method);
    Py_DECREF(op);
    return rc;
}

static int
readpipe_schedule_eof(TransportObject *self)
{
    LoopObject *loop = self->loop;
    PyObject *method = PyObject_GetAttr(self->protocol,
                                        self->st->str_eof_received);
    if (method == NULL) {
        return -1;
    }
    if (!loop->direct) {
        return transport_call_soon(self, method, NULL, NULL);
    }
    if (loop_check_closed(loop) < 0) {
        Py_DECREF(method);
        return -1;
    }
    return loop_push(loop, readpipe_run_eof, Py_NewRef((PyObject *)self),
                     method);
}

/* The writers have closed their ends. 0 or -1. */
static int
readpipe_ended(TransportObject *self)
{
    int rc = self->loop->debug
                 ? transport_log(self, "info", "%r was closed by peer")
                 : 0;
    if (rc == 0 && !self->conn_lost) {
        self->closing = 1;
        transport_stop_reading(self);
        rc = readpipe_schedule_eof(self);
        if (rc == 0) {
            rc = transport_schedule_lost(self, NULL);
        }
    }
    return rc == 0 ? 0
                   : transport_report_method(self, (PyObject *)self,
                                             "_read_ready", NULL);
}

/* data_received has raised: the report of a failed callback, nothing else. */
static int
readpipe_data_failed(TransportObject *self)
{
    return transport_report_method(self, (PyObject *)self, "_read_ready",
                                   NULL);
}

static const fa_wire readpipe_wire = {
    .readable = readpipe_ready,
    .recv = pipe_read,
    .send = pipe_write,
    .sendv = pipe_writev,
    .read_failed = "Fatal read error on pipe transport",
    .write_failed = "Fatal error on pipe transport",
    .ended = readpipe_ended,
    .data_failed = readpipe_data_failed,
    .quiet_errno = EIO, // the other end of a terminal has gone
    .pipe = 1,
};

/* -- new ---------------------------------------------------------------------------- */

static const fa_pipe_side readpipe_side = {
    .type_name = "ReadPipeTransport",
    .refused = "Pipe transport is for pipes/sockets only.",
};

static PyObject *
ReadPipe_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
             PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    return st == NULL ? NULL
                      : (PyObject *)transport_alloc(type, st, &readpipe_wire);
}

static int
ReadPipe_init(TransportObject *self, PyObject *args, PyObject *kwargs)
{
    return pipe_init(self, &readpipe_side, args, kwargs);
}

PyObject *
readpipe_new(LoopObject *loop, PyObject *pipe, PyObject *protocol,
             PyObject *waiter, PyObject *extra)
{
    fa_state *st = loop->st;
    TransportObject *self =
        transport_alloc(st->ReadPipeTransportType, st, &readpipe_wire);
    fa_pipe_args given = {(PyObject *)loop, pipe, protocol, waiter, extra};
    if (self != NULL && pipe_open(self, &readpipe_side, &given) < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

int
readpipe_is_plain(fa_state *st, PyObject *obj)
{
    return Py_IS_TYPE(obj, st->ReadPipeTransportType) &&
           ((TransportObject *)obj)->dict == NULL;
}

/* -- methods ------------------------------------------------------------------------ */

static PyObject *
ReadPipe_repr(TransportObject *self)
{
    return pipe_repr(self, self->reading, 0);
}

static PyObject *
ReadPipe_set_protocol(TransportObject *self, PyObject *protocol)
{
    pipe_set_protocol(self, protocol);
    Py_RETURN_NONE;
}
FA_METHOD_ONE(ReadPipe_set_protocol, TransportObject,
              "_UnixReadPipeTransport.set_protocol", "protocol")

static PyObject *
ReadPipe_is_reading(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return PyBool_FromLong(transport_is_reading(self));
}

static PyObject *
ReadPipe_pause_reading(PyObject *self, PyObject *Py_UNUSED(arg))
{
    return pipe_none(sockstream_pause_reading(self));
}

static PyObject *
ReadPipe_resume_reading(PyObject *self, PyObject *Py_UNUSED(arg))
{
    return pipe_none(sockstream_resume_reading(self));
}

static PyObject *
ReadPipe_close(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return pipe_none(self->closing ? 0 : transport_force_close(self, NULL));
}

static PyObject *
ReadPipe_read_ready(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    LoopObject *loop = self->loop;
    return pipe_none(
        loop == NULL
            ? 0
            : readpipe_ready(loop, Py_NewRef((PyObject *)self), NULL));
}

/* -- tables ------------------------------------------------------------------------- */

static PyMethodDef ReadPipe_methods[] = {
    PIPE_METHODS,
    PIPE_METHOD("set_protocol", ReadPipe_set_protocol_kw, PIPE_FAST,
                "set_protocol($self, protocol)\n--\n\nSet a new protocol."),
    PIPE_METHOD("is_reading", ReadPipe_is_reading, METH_NOARGS,
                "is_reading($self)\n--\n\n"
                "Return True if the transport is receiving."),
    PIPE_METHOD("pause_reading", ReadPipe_pause_reading, METH_NOARGS,
                "pause_reading($self)\n--\n\nPause the receiving end."),
    PIPE_METHOD("resume_reading", ReadPipe_resume_reading, METH_NOARGS,
                "resume_reading($self)\n--\n\nResume the receiving end."),
    PIPE_METHOD("close", ReadPipe_close, METH_NOARGS,
                "close($self)\n--\n\nClose the transport."),
    PIPE_METHOD("_read_ready", ReadPipe_read_ready, METH_NOARGS, NULL),
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef ReadPipe_getset[] = {
    PIPE_FIELDS,
    PIPE_FIELD("_paused", PIPE_PAUSED),
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot ReadPipe_slots[] = {
    {Py_tp_doc, (void *)
     "ReadPipeTransport(loop, pipe, protocol, waiter=None, extra=None)\n"
     "--\n\n"
     "A transport that reads from a pipe, a terminal or a socket. Loops make\n"
     "it. See asyncio.ReadTransport."},
    {Py_tp_new, ReadPipe_new},
    {Py_tp_init, ReadPipe_init},
    {Py_tp_traverse, Pipe_traverse},
    {Py_tp_clear, transport_clear},
    {Py_tp_finalize, transport_finalize},
    {Py_tp_dealloc, Pipe_dealloc},
    {Py_tp_repr, ReadPipe_repr},
    {Py_tp_methods, ReadPipe_methods},
    {Py_tp_getset, ReadPipe_getset},
    {Py_tp_members, Pipe_members},
    {0, NULL},
};

static PyType_Spec ReadPipe_spec = {
    .name = "fastasync.ReadPipeTransport",
    .basicsize = sizeof(TransportObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = ReadPipe_slots,
};

int
readpipe_type_init(PyObject *module, fa_state *st)
{
    if (pipe_type_new(module, &ReadPipe_spec, st->asyncio_ReadTransport,
                      "ReadPipeTransport", &st->ReadPipeTransportType) < 0)
    {
        return -1;
    }
    PyObject *max_size = PyLong_FromLong(256 * 1024);
    int rc = max_size == NULL
                 ? -1
                 : PyObject_SetAttrString(
                       (PyObject *)st->ReadPipeTransportType, "max_size",
                       max_size);
    Py_XDECREF(max_size);
    return rc;
}
