/* api/loop_io.c: add_reader, add_writer and their removal.

   psycopg, pyzmq, grpc and aiofastnet live on these. The watcher of an fd is a
   Handle, run anew at every readiness; replacing or removing it cancels it, so
   that one that waits in the ring already does not run. HOT. */
#include "api/api.h"

#include <errno.h>

#include "base/args.h"
#include "base/errors.h"
#include "loop/handle.h"
#include "net/net.h"

/* The int that an int or an object with fileno() stands for (new), errors as
   those of the selectors module. */
static PyObject *
io_fileno_object(LoopObject *loop, PyObject *file)
{
    if (PyLong_Check(file)) {
        return Py_NewRef(file);
    }
    PyObject *number = PyObject_CallMethodNoArgs(file, loop->st->str_fileno);
    PyObject *whole = number == NULL ? NULL : PyNumber_Long(number);
    Py_XDECREF(number);
    if (whole == NULL && (PyErr_ExceptionMatches(PyExc_AttributeError) ||
                          PyErr_ExceptionMatches(PyExc_TypeError) ||
                          PyErr_ExceptionMatches(PyExc_ValueError)))
    {
        PyErr_Format(PyExc_ValueError, "Invalid file object: %R", file);
    }
    return whole;
}

/* Its value. -1 and an exception on failure; without `strict`, a number that
   no fd can have is INT_MAX. */
static int
io_number(PyObject *number, int strict)
{
    int fd = -1, overflow;
    long value = PyLong_AsLongAndOverflow(number, &overflow);
    if (overflow < 0 || (value < 0 && !overflow)) {
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %S", number);
    }
    else if (!overflow && value <= INT_MAX) {
        fd = (int)value;
    }
    else if (strict) {
        fd = PyObject_AsFileDescriptor(number); // raises in its own words
    }
    else {
        fd = INT_MAX;
    }
    return fd;
}

static int
io_fileno(LoopObject *loop, PyObject *file, int strict)
{
    PyObject *number = io_fileno_object(loop, file);
    if (number == NULL) {
        return -1;
    }
    int fd = io_number(number, strict);
    Py_DECREF(number);
    return fd;
}

/* The fd to give up: of a file that is closed by now, the one for which it was
   given. Its number is -1 then; *closed says that it was found so. A `guarded`
   method, which asks for a transport first, refuses files without a number. */
static int
io_fileno_past(LoopObject *loop, PyObject *file, int guarded, int *closed)
{
    *closed = 0;
    PyObject *number = io_fileno_object(loop, file);
    int fd = number == NULL ? -1 : io_number(number, 0);
    int search = fd < 0 && (number != NULL || !guarded) &&
                 PyErr_ExceptionMatches(PyExc_ValueError);
    Py_XDECREF(number);
    if (FA_UNLIKELY(search)) {
        int found = loop_io_find(loop, file);
        if (found >= 0) {
            PyErr_Clear();
            *closed = 1;
            return found;
        }
    }
    return fd;
}

/* The transport that uses the fd (new), NULL = none, or an error. */
static PyObject *
io_transport(LoopObject *loop, int fd)
{
    PyObject *owner = loop_io_owner(loop, fd);
    if (FA_LIKELY(owner != NULL || !loop->foreign_transports)) {
        return Py_XNewRef(owner);
    }
    PyObject *table =
        PyObject_GetAttrString((PyObject *)loop, "_transports");
    PyObject *found =
        table == NULL ? NULL : PyObject_CallMethod(table, "get", "i", fd);
    Py_XDECREF(table);
    if (found == Py_None) {
        Py_CLEAR(found);
    }
    return found;
}

/* RuntimeError if a transport that is not closing uses the fd, which has been
   given as `file`. */
static int
io_check_no_transport(LoopObject *loop, int fd, PyObject *file)
{
    PyObject *transport = io_transport(loop, fd);
    if (FA_LIKELY(transport == NULL)) {
        return PyErr_Occurred() ? -1 : 0;
    }
    PyObject *closing = PyObject_CallMethod(transport, "is_closing", NULL);
    int is_closing = closing == NULL ? -1 : PyObject_IsTrue(closing);
    Py_XDECREF(closing);
    if (is_closing == 0) {
        PyErr_Format(PyExc_RuntimeError,
                     "File descriptor %R is used by transport %R", file,
                     transport);
    }
    Py_DECREF(transport);
    return is_closing == 1 ? 0 : -1;
}

/* Cancel a watcher that is a Handle of ours. */
static int
io_cancel_watcher(LoopObject *loop, int fd, int dir)
{
    PyObject *watcher = loop_io_watcher(loop, fd, dir);
    if (watcher == NULL || !handle_check(loop->st, watcher)) {
        return 0;
    }
    Py_INCREF(watcher);
    int rc = handle_cancel((HandleObject *)watcher);
    Py_DECREF(watcher);
    return rc;
}

/* The fd has been given as `file` and is watched: keep that object, unless one
   is kept that still has the fd. */
static void
io_keep_file(LoopObject *loop, int fd, PyObject *file)
{
    PyObject *kept = loop_io_file(loop, fd);
    if (FA_LIKELY(kept == file || (kept == NULL && PyLong_Check(file)))) {
        return;
    }
    if (kept != NULL) {
        Py_INCREF(kept); // its fileno() is a call into Python
        int current = io_fileno(loop, kept, 0);
        PyErr_Clear();
        Py_DECREF(kept);
        if (current == fd) {
            return;
        }
    }
    if (loop_io_watcher(loop, fd, FA_IN) || loop_io_watcher(loop, fd, FA_OUT)) {
        loop_io_set_file(loop, fd, PyLong_Check(file) ? NULL : file);
    }
}

/* Returns the new Handle. */
static PyObject *
io_add(LoopObject *loop, int fd, int dir, PyObject *callback,
       PyObject *const *args, Py_ssize_t nargs, PyObject *context)
{
    if (loop_check_closed(loop) < 0) {
        return NULL;
    }
    HandleObject *handle =
        handle_new(loop, FA_HANDLE, callback, args, nargs, context);
    if (handle == NULL) {
        return NULL;
    }
    handle_settle((PyObject *)handle); // it outlives its calls
    if (io_cancel_watcher(loop, fd, dir) < 0 ||
        loop_io_start(loop, fd, dir, handle_run, (PyObject *)handle) < 0)
    {
        Py_DECREF(handle);
        return NULL;
    }
    return (PyObject *)handle;
}

static PyObject *
io_remove(LoopObject *loop, int fd, int dir)
{
    if (loop->closed) {
        Py_RETURN_FALSE;
    }
    if (io_cancel_watcher(loop, fd, dir) < 0) {
        return NULL;
    }
    return PyBool_FromLong(loop_io_stop(loop, fd, dir));
}

static const fa_args add_reader_spec = {
    .fname = "BaseSelectorEventLoop.add_reader", .required = 2,
    .positional = 2, .varargs = 1, .python = 1, .total = 2,
    .names = {"fd", "callback"}};
static const fa_args add_writer_spec = {
    .fname = "BaseSelectorEventLoop.add_writer", .required = 2,
    .positional = 2, .varargs = 1, .python = 1, .total = 2,
    .names = {"fd", "callback"}};

/* Those with an underscore; context= is 3.15's. */
static const fa_args add_reader_private_spec = {
    .fname = "BaseSelectorEventLoop._add_reader", .required = 2,
    .positional = 2, .varargs = 1, .python = 1, .total = 3,
    .names = {"fd", "callback", "context"}};
static const fa_args add_writer_private_spec = {
    .fname = "BaseSelectorEventLoop._add_writer", .required = 2,
    .positional = 2, .varargs = 1, .python = 1, .total = 3,
    .names = {"fd", "callback", "context"}};

/* The public methods return None and refuse the fd of a transport; those with
   an underscore return the Handle and do not ask. */
static PyObject *
io_add_parsed(LoopObject *loop, const fa_args *spec, int dir, int guarded,
              PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[3] = {NULL, NULL, NULL};
    if (fa_args_parse(spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    int fd = io_fileno(loop, out[0], 1);
    if (fd < 0 || (guarded && io_check_no_transport(loop, fd, out[0]) < 0)) {
        return NULL;
    }
    Py_ssize_t rest = nargs > 2 ? nargs - 2 : 0;
    PyObject *context = out[2] == Py_None ? NULL : out[2];
    PyObject *handle =
        io_add(loop, fd, dir, out[1], args + 2, rest, context);
    if (handle != NULL) {
        io_keep_file(loop, fd, out[0]);
    }
    if (handle == NULL || !guarded) {
        return handle;
    }
    Py_DECREF(handle);
    Py_RETURN_NONE;
}

static PyObject *
io_remove_parsed(LoopObject *loop, int dir, int guarded, PyObject *file)
{
    int closed;
    int fd = io_fileno_past(loop, file, guarded, &closed);
    if (fd < 0 ||
        (guarded && !closed && io_check_no_transport(loop, fd, file) < 0)) {
        return NULL;
    }
    return io_remove(loop, fd, dir);
}

#define ADD(name, spec, dir, guarded) \
    static PyObject *name(LoopObject *loop, PyObject *const *args, \
                          Py_ssize_t nargs, PyObject *kwnames) \
    { \
        return io_add_parsed(loop, spec, dir, guarded, args, nargs, kwnames); \
    }
#define REMOVE(name, python_name, dir, guarded) \
    static PyObject *name(LoopObject *loop, PyObject *file) \
    { \
        return io_remove_parsed(loop, dir, guarded, file); \
    } \
    FA_METHOD_ONE(name, LoopObject, python_name, "fd")
ADD(Loop_add_reader, &add_reader_spec, FA_IN, 1)
ADD(Loop_add_writer, &add_writer_spec, FA_OUT, 1)
ADD(Loop__add_reader, &add_reader_private_spec, FA_IN, 0)
ADD(Loop__add_writer, &add_writer_private_spec, FA_OUT, 0)
REMOVE(Loop_remove_reader, "BaseSelectorEventLoop.remove_reader", FA_IN, 1)
REMOVE(Loop_remove_writer, "BaseSelectorEventLoop.remove_writer", FA_OUT, 1)
REMOVE(Loop__remove_reader, "BaseSelectorEventLoop._remove_reader", FA_IN, 0)
REMOVE(Loop__remove_writer, "BaseSelectorEventLoop._remove_writer", FA_OUT, 0)
#undef ADD
#undef REMOVE

PyDoc_STRVAR(Loop_ensure_fd_no_transport_doc,
"_ensure_fd_no_transport($self, fd, /)\n--\n\n"
"Raise RuntimeError if an open transport uses the file descriptor.");

static PyObject *
Loop_ensure_fd_no_transport(LoopObject *loop, PyObject *file)
{
    int fd = io_fileno(loop, file, 0);
    if (fd < 0) {
        return NULL;
    }
    return io_check_no_transport(loop, fd, file) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(add_reader_doc,
"add_reader($self, fd, callback, *args)\n--\n\n"
"Call callback(*args) whenever fd (an int or an object with fileno()) is\n"
"readable; replaces a former reader. See asyncio.loop.add_reader.");
PyDoc_STRVAR(add_writer_doc,
"add_writer($self, fd, callback, *args)\n--\n\n"
"Call callback(*args) whenever fd (an int or an object with fileno()) is\n"
"writable; replaces a former writer. See asyncio.loop.add_writer.");
PyDoc_STRVAR(remove_reader_doc,
"remove_reader($self, fd)\n--\n\n"
"Stop watching fd for reading; True if it was watched.\n"
"See asyncio.loop.remove_reader.");
PyDoc_STRVAR(remove_writer_doc,
"remove_writer($self, fd)\n--\n\n"
"Stop watching fd for writing; True if it was watched.\n"
"See asyncio.loop.remove_writer.");

PyDoc_STRVAR(Loop_watched_doc,
"_watched($self, fd, /)\n--\n\n"
"What the fd is watched for: 1 = reading, 2 = writing, 3 = both, 0.");

static PyObject *
Loop_watched(LoopObject *loop, PyObject *file)
{
    int fd = io_fileno(loop, file, 0);
    if (fd < 0) {
        return NULL;
    }
    return PyLong_FromLong((loop_io_watcher(loop, fd, FA_IN) ? FA_IN : 0) |
                           (loop_io_watcher(loop, fd, FA_OUT) ? FA_OUT : 0));
}

PyDoc_STRVAR(Loop_claim_fd_doc,
"_claim_fd($self, fd, transport, /)\n--\n\n"
"The transport of ours owns the fd again, after sendfile has used it.");

static PyObject *
Loop_claim_fd(LoopObject *loop, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !PyLong_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "_claim_fd() takes fd, transport");
        return NULL;
    }
    if (sockstream_claim(loop, args[1]) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Loop_release_fd_doc,
"_release_fd($self, fd, /)\n--\n\n"
"Allow sock_*() on the fd of a transport of ours; False if it has none.");

static PyObject *
Loop_release_fd(LoopObject *loop, PyObject *file)
{
    int fd = io_fileno(loop, file, 0);
    if (fd < 0) {
        return NULL;
    }
    PyObject *owner = loop_io_owner(loop, fd);
    if (owner == NULL) {
        Py_RETURN_FALSE;
    }
    loop_io_release(loop, fd, owner);
    Py_RETURN_TRUE;
}

#define ADD(name, function, doc) \
    {name, (PyCFunction)(void (*)(void))(function), \
     METH_FASTCALL | METH_KEYWORDS, doc}
PyMethodDef loop_io_methods[] = {
    ADD("add_reader", Loop_add_reader, add_reader_doc),
    ADD("add_writer", Loop_add_writer, add_writer_doc),
    ADD("_add_reader", Loop__add_reader, add_reader_doc),
    ADD("_add_writer", Loop__add_writer, add_writer_doc),
    ADD("remove_reader", Loop_remove_reader_kw, remove_reader_doc),
    ADD("remove_writer", Loop_remove_writer_kw, remove_writer_doc),
    ADD("_remove_reader", Loop__remove_reader_kw, remove_reader_doc),
    ADD("_remove_writer", Loop__remove_writer_kw, remove_writer_doc),
    {"_watched", (PyCFunction)Loop_watched, METH_O, Loop_watched_doc},
    {"_claim_fd", (PyCFunction)(void (*)(void))Loop_claim_fd, METH_FASTCALL,
     Loop_claim_fd_doc},
    {"_release_fd", (PyCFunction)Loop_release_fd, METH_O, Loop_release_fd_doc},
    {"_ensure_fd_no_transport", (PyCFunction)Loop_ensure_fd_no_transport,
     METH_O, Loop_ensure_fd_no_transport_doc},
    {NULL, NULL, 0, NULL},
};
#undef ADD
