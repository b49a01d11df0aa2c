/* net/pipe.c: what ReadPipeTransport and WritePipeTransport have in common:
   making one out of a Python file, repr, attributes.

   A pipe transport is a TransportObject over a file that somebody else made: an
   end of a pipe, a FIFO, a terminal, a socket. The transport keeps the Python
   object, calls its close() at the end and otherwise only the kernel. The rest
   of its life is that of a stream transport (life.c, writebuf.c, sockread.c);
   where asyncio's pipes differ from its sockets, fa_wire says so.

   Unlike a socket's, the fd is not claimed: asyncio allows add_reader() on it.
   Cost: one object and one dict per pipe. */
#include "net/pipe.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/args.h"
#include "base/errors.h"

/* -- making ---------------------------------------------------------------------- */

/* Where the number is kept: in the file itself, or in the raw file under it if
   it is one of the io module's. */
static void
pipe_find_cell(TransportObject *self)
{
    static const char *const under[] = {"buffer", "raw"};
    PyObject *file = Py_NewRef(self->sock);
    for (int i = 0; i < 2; i++) {
        if (strncmp(Py_TYPE(file)->tp_name, "_io.", 4) != 0) {
            break;
        }
        PyObject *inner = PyObject_GetAttrString(file, under[i]);
        if (inner == NULL) {
            PyErr_Clear();
            continue;
        }
        Py_SETREF(file, inner);
    }
    self->fd_cell = transport_find_cell(self, file);
    if (self->fd_cell != &self->fd && file != self->sock) {
        Py_XSETREF(self->raw, file);
        return;
    }
    Py_DECREF(file);
}

/* The number that the file says it has. -1 with an exception; never another
   negative number. */
static int
pipe_fileno(TransportObject *self, PyObject *pipe)
{
    PyObject *number = PyObject_CallMethodNoArgs(pipe, self->st->str_fileno);
    if (number == NULL) {
        return -1;
    }
    int overflow;
    long fd = PyLong_AsLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    if (fd == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (overflow || fd < 0 || fd > INT_MAX) {
        fa_err_set_errno(-EBADF); // what fstat says
        return -1;
    }
    return (int)fd;
}

/* Take over the file if it is one that pipe transports are for. 0 or -1. */
static int
pipe_adopt(TransportObject *self, const fa_pipe_side *side, PyObject *pipe)
{
    int fd = pipe_fileno(self, pipe);
    if (fd < 0) {
        return -1;
    }
    int kind = pipe_kind(fd);
    if (kind < 0) {
        fa_err_set_errno(kind);
        return -1;
    }
    if (!(kind & (FA_PIPE_FIFO | FA_PIPE_SOCKET | FA_PIPE_CHAR))) {
        PyErr_SetString(PyExc_ValueError, side->refused);
        return -1;
    }
    int rc = os_set_nonblocking(fd);
    if (rc < 0) {
        fa_err_set_errno(rc);
        return -1;
    }
    self->fd = fd;
    Py_XSETREF(self->sock, Py_NewRef(pipe));
    pipe_find_cell(self);
    self->alive = 1;
    self->messages = (kind & FA_PIPE_MESSAGES) != 0;
    self->deaf = side->deaf_kinds & kind ? 1 : 0;
    return 0;
}

/* self._extra = extra or {}, with the file in it. 0 or -1. */
static int
pipe_keep_extra(TransportObject *self, const fa_pipe_args *given)
{
    PyObject *extra = given->extra;
    if (extra != NULL && extra != Py_None && !PyDict_Check(extra)) {
        PyErr_SetString(PyExc_TypeError, "extra must be a dict or None");
        return -1;
    }
    extra = extra == NULL || extra == Py_None ? PyDict_New()
                                              : Py_NewRef(extra);
    if (extra == NULL) {
        return -1;
    }
    Py_XSETREF(self->extra, extra);
    return PyDict_SetItem(extra, self->st->str_pipe, given->pipe);
}

/* Making failed: nothing comes of it any more, and the file stays with whoever
   brought it. */
static void
pipe_abandon(TransportObject *self)
{
    self->conn_lost = 1;
    self->closing = 1;
    self->lost = 1;
    self->alive = 0;
    self->fd_cell = &self->fd;
}

int
pipe_open(TransportObject *self, const fa_pipe_side *side,
          const fa_pipe_args *given)
{
    if (self->loop != NULL || self->lost) {
        PyErr_Format(PyExc_RuntimeError, "%s object already initialized",
                     side->type_name);
        return -1;
    }
    self->context = PyContext_CopyCurrent();
    if (self->context == NULL || pipe_keep_extra(self, given) < 0 ||
        pipe_adopt(self, side, given->pipe) < 0)
    {
        Py_CLEAR(self->context); // it may be tried again
        return -1;
    }
    pipe_set_protocol(self, given->protocol);
    self->loop = (LoopObject *)Py_NewRef(given->loop);
    self->closing = 0;
    self->conn_lost = 0;
    if (transport_begin(self, given->waiter) < 0) {
        pipe_abandon(self);
        return -1;
    }
    return 0;
}

static const fa_args pipe_init_spec = {
    .fname = "PipeTransport.__init__", .required = 3, .positional = 5,
    .python = 1, .total = 5,
    .names = {"loop", "pipe", "protocol", "waiter", "extra"}};

int
pipe_init(TransportObject *self, const fa_pipe_side *side, PyObject *args,
          PyObject *kwargs)
{
    PyObject *out[5];
    if (fa_args_parse_tuple(&pipe_init_spec, args, kwargs, out) < 0) {
        return -1;
    }
    if (!loop_check(self->st, out[0])) {
        PyErr_Format(PyExc_TypeError, "loop must be a fastasync loop, not %R",
                     out[0]);
        return -1;
    }
    fa_pipe_args given = {out[0], out[1], out[2], out[3], out[4]};
    return pipe_open(self, side, &given);
}

/* -- traverse, clear, dealloc ------------------------------------------------------- */

static PyTypeObject *
pipe_base(TransportObject *self)
{
    fa_state *st = self->st;
    return (PyTypeObject *)(PyType_IsSubtype(Py_TYPE(self),
                                             st->ReadPipeTransportType)
                                ? st->asyncio_ReadTransport
                                : st->asyncio_FlowControl);
}

int
Pipe_traverse(TransportObject *self, visitproc visit, void *arg)
{
    int rc = transport_visit(self, visit, arg);
    return rc != 0 ? rc
                   : fa_base_slots_visit(pipe_base(self), (PyObject *)self,
                                         visit, arg);
}

void
Pipe_dealloc(TransportObject *self)
{
    fa_finalized_dealloc((PyObject *)self, (inquiry)transport_clear,
                         pipe_base(self));
}

/* -- engine -------------------------------------------------------------------------- */

void
pipe_set_protocol(TransportObject *self, PyObject *protocol)
{
    // asyncio's pipes call data_received whatever the protocol is
    self->buffered = 0;
    self->streamed = Py_IS_TYPE(protocol, self->st->StreamReaderProtocolType);
    Py_XSETREF(self->protocol, Py_NewRef(protocol));
}

PyObject *
pipe_repr(TransportObject *self, int polling, int with_buffer)
{
    PyObject *name = PyType_GetName(Py_TYPE(self));
    if (name == NULL) {
        return NULL;
    }
    const char *state = !self->alive ? " closed" : self->closing ? " closing"
                                                                 : "";
    PyObject *repr;
    if (!self->alive || self->loop == NULL || self->loop->closed) {
        repr = PyUnicode_FromFormat("<%U%s fd=%d %s>", name, state, self->fd,
                                    self->alive ? "open" : "closed");
    }
    else if (with_buffer) {
        repr = PyUnicode_FromFormat("<%U%s fd=%d %s bufsize=%zu>", name, state,
                                    self->fd, polling ? "polling" : "idle",
                                    self->out.size);
    }
    else {
        repr = PyUnicode_FromFormat("<%U%s fd=%d %s>", name, state, self->fd,
                                    polling ? "polling" : "idle");
    }
    Py_DECREF(name);
    return repr;
}

/* -- methods --------------------------------------------------------------------------- */

static const fa_args pipe_extra_info_spec = {
    .fname = "BaseTransport.get_extra_info", .required = 1, .positional = 2,
    .python = 1, .total = 2, .names = {"name", "default"}};

PyObject *
Pipe_get_extra_info(TransportObject *self, PyObject *const *args,
                    Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&pipe_extra_info_spec, args, nargs, kwnames, out) < 0 ||
        transport_flush(self) < 0) // whoever gets the pipe may look into it
    {
        return NULL;
    }
    PyObject *value = NULL;
    if (self->extra != NULL) {
        value = PyDict_GetItemWithError(self->extra, out[0]);
        if (value == NULL && PyErr_Occurred()) {
            return NULL;
        }
    }
    value = value != NULL ? value : out[1] != NULL ? out[1] : Py_None;
    return Py_NewRef(value);
}

PyObject *
Pipe_is_closing(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return PyBool_FromLong(self->closing);
}

PyObject *
Pipe_get_protocol(TransportObject *self, PyObject *Py_UNUSED(arg))
{
    return Py_NewRef(self->protocol == NULL ? Py_None : self->protocol);
}

static const fa_args pipe_fatal_spec = {
    .fname = "_UnixReadPipeTransport._fatal_error", .required = 1,
    .positional = 2, .python = 1, .total = 2, .names = {"exc", "message"}};

PyObject *
Pipe_fatal_error(TransportObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&pipe_fatal_spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    const char *message = out[1] == NULL ? "Fatal error on pipe transport"
                                         : PyUnicode_AsUTF8(out[1]);
    return message == NULL ? NULL
                           : pipe_none(transport_fatal(self, out[0], message));
}

static const fa_args pipe_close_spec = {
    .fname = "_UnixWritePipeTransport._close", .required = 0, .positional = 1,
    .python = 1, .total = 1, .names = {"exc"}};

PyObject *
Pipe_force_close(TransportObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *exc;
    if (fa_args_parse(&pipe_close_spec, args, nargs, kwnames, &exc) < 0) {
        return NULL;
    }
    return pipe_none(transport_force_close(self, exc == Py_None ? NULL : exc));
}

PyObject *
Pipe_call_connection_lost(TransportObject *self, PyObject *exc)
{
    return pipe_none(transport_lost(self, exc == Py_None ? NULL : exc));
}

PyObject *
Pipe_add_reader(TransportObject *self, PyObject *Py_UNUSED(args))
{
    return pipe_none(transport_start_reading(self));
}

/* -- attributes of asyncio's that others read ------------------------------------------ */

static PyObject *
pipe_or_none(void *obj)
{
    return Py_NewRef(obj == NULL ? Py_None : (PyObject *)obj);
}

PyObject *
Pipe_get(TransportObject *self, void *field)
{
    switch ((enum pipe_field)(intptr_t)field) {
        case PIPE_LOOP:
            return pipe_or_none(self->loop);
        case PIPE_PROTOCOL:
            return pipe_or_none(self->protocol);
        case PIPE_CONTEXT:
            return pipe_or_none(self->context);
        case PIPE_PIPE:
            return pipe_or_none(self->alive ? self->sock : NULL);
        case PIPE_EXTRA:
            return pipe_or_none(self->extra);
        case PIPE_CLOSING:
            return PyBool_FromLong(self->closing);
        case PIPE_PAUSED:
            return PyBool_FromLong(self->paused);
        case PIPE_PROTO_PAUSED:
            return PyBool_FromLong(self->proto_paused);
        case PIPE_FILENO:
            return PyLong_FromLong(self->fd);
        case PIPE_CONN_LOST:
            return PyLong_FromLong(self->late);
        case PIPE_HIGH:
            return PyLong_FromSize_t(self->high);
        case PIPE_LOW:
            return PyLong_FromSize_t(self->low);
    }
    Py_UNREACHABLE();
}

/* Plain assignment, as in asyncio: what is closed at the end is another file, or
   none. Input and output stay with the number. */
int
Pipe_set_pipe(TransportObject *self, PyObject *value, void *Py_UNUSED(field))
{
    int none = value == Py_None;
    if (none && !self->alive) {
        return 0;
    }
    if (value == NULL || self->loop == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_pipe");
        return -1;
    }
    self->fd_cell = &self->fd;
    Py_CLEAR(self->raw);
    self->alive = !none;
    Py_XSETREF(self->sock, none ? NULL : Py_NewRef(value));
    return 0;
}

/* -- tables --------------------------------------------------------------------------- */

PyMemberDef Pipe_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(TransportObject, dict), READONLY,
     NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TransportObject, weakrefs),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

int
pipe_type_new(PyObject *module, PyType_Spec *spec, PyObject *base,
              const char *name, PyTypeObject **slot)
{
    if (((PyTypeObject *)base)->tp_basicsize >
        (Py_ssize_t)offsetof(TransportObject, dict))
    {
        PyErr_SetString(PyExc_ImportError,
                        "asyncio.Transport is larger than expected");
        return -1;
    }
    return fa_type_new(module, spec, base, slot) < 0
               ? -1
               : PyModule_AddObjectRef(module, name, (PyObject *)*slot);
}

int
pipe_types_init(PyObject *module, fa_state *st)
{
    return readpipe_type_init(module, st) < 0
               ? -1
               : writepipe_type_init(module, st);
}
