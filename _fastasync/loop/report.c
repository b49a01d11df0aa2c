/* loop/report.c: what the loop tells people: exceptions and slow callbacks.
   All of it is cold; names are looked up in asyncio's modules at call time, so
   that what tests and tools replace there is honoured. */
#include "base/errors.h"
#include "loop/handle.h"
#include "loop/loop.h"

int
loop_report(fa_state *st, PyObject *loop, PyObject *message, PyObject *exc,
            PyObject *extra)
{
    PyObject *context = PyDict_New();
    PyObject *done = NULL;
    if (context == NULL ||
        PyDict_SetItem(context, st->str_message, message) < 0 ||
        (exc != NULL &&
         PyDict_SetItem(context, st->str_exception, exc) < 0) ||
        (extra != NULL && PyDict_Update(context, extra) < 0))
    {
        goto done;
    }
    done = PyObject_CallMethodOneArg(loop, st->str_call_exception_handler,
                                     context);
done:
    Py_XDECREF(context);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

PyObject *
loop_extract_stack(fa_state *st)
{
    // no Python frame of ours: the innermost one is the caller's
    return PyObject_CallMethodNoArgs(st->mod_format_helpers,
                                     st->str_extract_stack);
}

/* asyncio.base_events.logger.warning('Executing %s took %.3f seconds'). */
static int
loop_warn_slow(LoopObject *loop, PyObject *subject, double seconds)
{
    fa_state *st = loop->st;
    PyObject *logger = PyObject_GetAttrString(st->mod_base_events, "logger");
    PyObject *text = handle_check(st, subject)
                         ? PyObject_CallMethod(st->mod_base_events,
                                               "_format_handle", "O", subject)
                         : PyObject_Repr(subject);
    PyObject *done = NULL;
    if (logger != NULL && text != NULL) {
        done = PyObject_CallMethod(logger, "warning", "sOd",
                                   "Executing %s took %.3f seconds", text,
                                   seconds);
    }
    Py_XDECREF(logger);
    Py_XDECREF(text);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int
loop_run_timed(LoopObject *loop, fa_ready entry)
{
    PyObject *subject = Py_NewRef(entry.self);
    int is_handle = handle_check(loop->st, subject);
    if (is_handle) {
        Py_XSETREF(loop->current_handle, Py_NewRef(subject));
    }
    double start = loop_time(loop);
    int rc = entry.run(loop, entry.self, entry.arg);
    if (is_handle) {
        Py_CLEAR(loop->current_handle);
    }
    if (rc == 0) {
        double seconds = loop_time(loop) - start;
        if (seconds >= loop->slow_callback_duration) {
            rc = loop_warn_slow(loop, subject, seconds);
        }
    }
    Py_DECREF(subject);
    return rc;
}
