/* api/loop_sched.c: the scheduling methods of the loop. HOT: called by every
   library for every callback; argument parsing is by hand where it counts. */
#include "api/api.h"

#include "base/args.h"
#include "base/errors.h"

/* Take `context` out of the keywords of call_soon and its like: all other
   keywords are errors. 0 and a borrowed reference or NULL (also for None). */
static int
loop_context_keyword(LoopObject *loop, const char *fname,
                     PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames, PyObject **context)
{
    *context = NULL;
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < nkw; i++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, i);
        if (key != loop->st->str_context &&
            PyUnicode_Compare(key, loop->st->str_context) != 0)
        {
            PyErr_Format(PyExc_TypeError,
                         "%s() got an unexpected keyword argument '%U'", fname,
                         key);
            return -1;
        }
        *context = args[nargs + i];
        if (*context == Py_None) {
            *context = NULL;
        }
    }
    return 0;
}

static const fa_args call_soon_spec = {
    .fname = "BaseEventLoop.call_soon", .required = 1, .positional = 1,
    .varargs = 1, .python = 1, .total = 2, .names = {"callback", "context"}};
static const fa_args call_soon_threadsafe_spec = {
    .fname = "BaseEventLoop.call_soon_threadsafe", .required = 1,
    .positional = 1, .varargs = 1, .python = 1, .total = 2,
    .names = {"callback", "context"}};

typedef PyObject *(*call_soon_engine)(LoopObject *, PyObject *,
                                      PyObject *const *, Py_ssize_t,
                                      PyObject *);

static inline PyObject *
loop_call_soon_like(LoopObject *loop, const fa_args *spec,
                    call_soon_engine engine, PyObject *const *args,
                    Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *context = NULL;
    if (FA_UNLIKELY(nargs < 1)) {
        PyObject *out[2];
        if (fa_args_parse(spec, args, nargs, kwnames, out) < 0) {
            return NULL;
        }
        return engine(loop, out[0], NULL, 0,
                      out[1] == Py_None ? NULL : out[1]);
    }
    if (FA_UNLIKELY(kwnames != NULL) &&
        loop_context_keyword(loop, spec->fname, args, nargs, kwnames,
                             &context) < 0)
    {
        return NULL;
    }
    return engine(loop, args[0], args + 1, nargs - 1, context);
}

PyDoc_STRVAR(Loop_call_soon_doc,
"call_soon($self, callback, *args, context=None)\n--\n\n"
"Call callback(*args) in the next iteration of the loop, in the given\n"
"contextvars.Context or a copy of the current one. Returns a Handle.\n"
"See asyncio.loop.call_soon.");

static PyObject *
Loop_call_soon(LoopObject *loop, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    return loop_call_soon_like(loop, &call_soon_spec, loop_call_soon, args,
                               nargs, kwnames);
}

PyDoc_STRVAR(Loop_call_soon_threadsafe_doc,
"call_soon_threadsafe($self, callback, *args, context=None)\n--\n\n"
"call_soon() from any thread; wakes the loop up.\n"
"See asyncio.loop.call_soon_threadsafe.");

static PyObject *
Loop_call_soon_threadsafe(LoopObject *loop, PyObject *const *args,
                          Py_ssize_t nargs, PyObject *kwnames)
{
    return loop_call_soon_like(loop, &call_soon_threadsafe_spec,
                               loop_call_soon_threadsafe, args, nargs,
                               kwnames);
}

/* -- timers ------------------------------------------------------------------ */

/* Seconds of a Python number; -1 with TypeError as `time + delay` gives it. */
static int
loop_seconds(PyObject *number, double *seconds)
{
    if (FA_LIKELY(PyFloat_CheckExact(number))) {
        *seconds = PyFloat_AS_DOUBLE(number);
        return 0;
    }
    *seconds = PyFloat_AsDouble(number);
    return *seconds == -1.0 && PyErr_Occurred() ? -1 : 0;
}

static const fa_args call_at_spec = {
    .fname = "BaseEventLoop.call_at", .required = 2, .positional = 2,
    .varargs = 1, .python = 1, .total = 3,
    .names = {"when", "callback", "context"}};
static const fa_args call_later_spec = {
    .fname = "BaseEventLoop.call_later", .required = 2, .positional = 2,
    .varargs = 1, .python = 1, .total = 3,
    .names = {"delay", "callback", "context"}};

/* Common parsing: out = first number, callback, context (borrowed, NULL = none
   given); *rest = how many arguments follow. */
static inline int
loop_timer_args(LoopObject *loop, const fa_args *spec, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames, PyObject *out[3],
                Py_ssize_t *rest)
{
    out[2] = NULL;
    if (FA_UNLIKELY(nargs < 2)) {
        *rest = 0;
        if (fa_args_parse(spec, args, nargs, kwnames, out) < 0) {
            return -1;
        }
        if (out[2] == Py_None) {
            out[2] = NULL;
        }
        return 0;
    }
    out[0] = args[0];
    out[1] = args[1];
    *rest = nargs - 2;
    return kwnames == NULL ? 0
                           : loop_context_keyword(loop, spec->fname, args,
                                                  nargs, kwnames, &out[2]);
}

PyDoc_STRVAR(Loop_call_at_doc,
"call_at($self, when, callback, *args, context=None)\n--\n\n"
"Call callback(*args) at the time `when`, in seconds of loop.time().\n"
"Returns a TimerHandle. See asyncio.loop.call_at.");

static PyObject *
Loop_call_at(LoopObject *loop, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    PyObject *out[3];
    Py_ssize_t rest;
    double when;
    if (loop_timer_args(loop, &call_at_spec, args, nargs, kwnames, out,
                        &rest) < 0)
    {
        return NULL;
    }
    if (out[0] == Py_None) {
        PyErr_SetString(PyExc_TypeError, "when cannot be None");
        return NULL;
    }
    if (loop_seconds(out[0], &when) < 0) {
        return NULL;
    }
    return loop_call_at(loop, when, out[0], out[1], args + 2, rest, out[2]);
}

/* call_later on a loop whose call_at was replaced: through the method. */
static FA_COLD PyObject *
loop_call_later_slow(LoopObject *loop, PyObject *when, PyObject *callback,
                     PyObject *const *args, Py_ssize_t nargs,
                     PyObject *context)
{
    PyObject *method =
        PyObject_GetAttr((PyObject *)loop, loop->st->str_call_at);
    PyObject *positional = PyTuple_New(2 + nargs);
    PyObject *keywords = PyDict_New();
    PyObject *timer = NULL;
    if (method == NULL || positional == NULL || keywords == NULL) {
        goto done;
    }
    PyTuple_SET_ITEM(positional, 0, Py_NewRef(when));
    PyTuple_SET_ITEM(positional, 1, Py_NewRef(callback));
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(positional, 2 + i, Py_NewRef(args[i]));
    }
    if (PyDict_SetItem(keywords, loop->st->str_context,
                       context ? context : Py_None) == 0)
    {
        timer = PyObject_Call(method, positional, keywords);
    }
done:
    Py_XDECREF(method);
    Py_XDECREF(positional);
    Py_XDECREF(keywords);
    return timer;
}

/* self.time() + delay, for delays that are no floats or ints. */
static PyObject *
loop_deadline(LoopObject *loop, PyObject *delay)
{
    double now = loop_time(loop);
    PyObject *start = now == -1.0 && PyErr_Occurred()
                          ? NULL
                          : PyFloat_FromDouble(now);
    PyObject *when = start == NULL ? NULL : PyNumber_Add(start, delay);
    Py_XDECREF(start);
    return when;
}

static FA_COLD PyObject *
loop_call_later_odd(LoopObject *loop, PyObject *delay, PyObject *callback,
                    PyObject *const *args, Py_ssize_t nargs, PyObject *context)
{
    PyObject *when = loop_deadline(loop, delay);
    PyObject *timer = NULL;
    double seconds;
    if (when == NULL) {
        return NULL;
    }
    if (loop->overridden & FA_OV_CALL_AT) {
        timer = loop_call_later_slow(loop, when, callback, args, nargs,
                                     context);
    }
    else if (loop_seconds(when, &seconds) == 0) {
        timer = loop_call_at(loop, seconds, when, callback, args, nargs,
                             context);
    }
    Py_DECREF(when);
    return timer;
}

PyDoc_STRVAR(Loop_call_later_doc,
"call_later($self, delay, callback, *args, context=None)\n--\n\n"
"Call callback(*args) after `delay` seconds (int or float). Returns a\n"
"TimerHandle. See asyncio.loop.call_later.");

static PyObject *
Loop_call_later(LoopObject *loop, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    PyObject *out[3];
    Py_ssize_t rest;
    double delay;
    if (loop_timer_args(loop, &call_later_spec, args, nargs, kwnames, out,
                        &rest) < 0)
    {
        return NULL;
    }
    if (out[0] == Py_None) {
        PyErr_SetString(PyExc_TypeError, "delay must not be None");
        return NULL;
    }
    if (FA_LIKELY(PyFloat_CheckExact(out[0]))) {
        delay = PyFloat_AS_DOUBLE(out[0]);
    }
    else if (PyLong_CheckExact(out[0])) {
        delay = PyLong_AsDouble(out[0]);
        if (delay == -1.0 && PyErr_Occurred()) {
            return NULL;
        }
    }
    else {
        return loop_call_later_odd(loop, out[0], out[1], args + 2, rest,
                                   out[2]);
    }
    if (FA_UNLIKELY(loop->overridden & (FA_OV_CALL_AT | FA_OV_TIME))) {
        return loop_call_later_odd(loop, out[0], out[1], args + 2, rest,
                                   out[2]);
    }
    return loop_call_at(loop, (double)clock_now() / 1e9 + delay, NULL, out[1],
                        args + 2, rest, out[2]);
}

PyDoc_STRVAR(Loop_time_doc,
"time($self, /)\n--\n\n"
"Return the time of the loop's monotonic clock, in seconds (float); the\n"
"clock of time.monotonic(). See asyncio.loop.time.");

static PyObject *
Loop_time(LoopObject *Py_UNUSED(loop), PyObject *Py_UNUSED(ignored))
{
    return PyFloat_FromDouble((double)clock_now() / 1e9);
}

PyDoc_STRVAR(Loop_add_callback_doc,
"_add_callback($self, handle, /)\n--\n\n"
"Put a Handle into the ready queue unless it is cancelled.");

/* A foreign handle (asyncio.Handle made by borrowed code): its _run. */
static int
loop_run_foreign_handle(LoopObject *loop, PyObject *self,
                        PyObject *Py_UNUSED(arg))
{
    PyObject *cancelled =
        PyObject_CallMethodNoArgs(self, loop->st->str_cancelled);
    int skip = cancelled == NULL ? -1 : PyObject_IsTrue(cancelled);
    Py_XDECREF(cancelled);
    if (skip == 0) {
        PyObject *done = PyObject_CallMethodNoArgs(self, loop->st->str__run);
        skip = done == NULL ? -1 : 0;
        Py_XDECREF(done);
    }
    Py_DECREF(self);
    return skip < 0 ? -1 : 0;
}

static PyObject *
Loop_add_callback(LoopObject *loop, PyObject *handle)
{
    if (ring_push(&loop->ready, loop_run_foreign_handle, Py_NewRef(handle),
                  NULL) < 0)
    {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Loop_write_to_self_doc,
"_write_to_self($self, /)\n--\n\n"
"Wake the loop up from another thread.");

static PyObject *
Loop_write_to_self(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    loop_wake(loop);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(Loop_timer_handle_cancelled_doc,
"_timer_handle_cancelled($self, handle, /)\n--\n\n"
"Called by a foreign TimerHandle that is cancelled.");

static PyObject *
Loop_timer_handle_cancelled(LoopObject *Py_UNUSED(loop),
                            PyObject *Py_UNUSED(handle))
{
    Py_RETURN_NONE; // ours leave the heap by themselves
}

#define SCHED_FAST(function) \
    (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

PyMethodDef loop_sched_methods[] = {
    {"call_soon", SCHED_FAST(Loop_call_soon), Loop_call_soon_doc},
    {"call_soon_threadsafe", SCHED_FAST(Loop_call_soon_threadsafe),
     Loop_call_soon_threadsafe_doc},
    {"call_at", SCHED_FAST(Loop_call_at), Loop_call_at_doc},
    {"call_later", SCHED_FAST(Loop_call_later), Loop_call_later_doc},
    {"time", (PyCFunction)Loop_time, METH_NOARGS, Loop_time_doc},
    {"_add_callback", (PyCFunction)Loop_add_callback, METH_O,
     Loop_add_callback_doc},
    {"_write_to_self", (PyCFunction)Loop_write_to_self, METH_NOARGS,
     Loop_write_to_self_doc},
    {"_timer_handle_cancelled", (PyCFunction)Loop_timer_handle_cancelled,
     METH_O, Loop_timer_handle_cancelled_doc},
    {NULL, NULL, 0, NULL},
};
#undef SCHED_FAST
