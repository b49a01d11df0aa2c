/* task/chain.c: a concurrent future, and the future of ours that ends as it does.

   asyncio's _chain_future() hangs a Python closure on each of the two, and has
   call_soon_threadsafe make a Handle for a third. Here the loop's future tells
   a closure in C (task/closure.h) whether it was cancelled; the concurrent one
   calls a C function, in the thread that ended it, which puts an entry into the
   loop's ring and wakes it. Benchmark: executor.

   For anything but a concurrent.futures.Future that is not done yet and an exact
   Future on a loop of ours, or where futures._chain_future has been replaced,
   that function is called instead (bridge.c). */
#include "base/errors.h"
#include "task/closure.h"
#include "task/coro.h"
#include "task/private.h"

/* -- the loop's future is done: was it cancelled? --------------------------------------- */

enum { CHAIN_SOURCE };

static int
chain_check_cancel(ClosureObject *self, PyObject *fut)
{
    int cancelled = fa_future_cancelled(self->st, fut);
    if (cancelled <= 0) {
        return cancelled;
    }
    PyObject *done = PyObject_CallMethodNoArgs(self->vars[CHAIN_SOURCE],
                                               self->st->str_cancel);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static const fa_closure_kind chain_kind = {
    "_chain_future.<locals>._call_check_cancel", "destination",
    chain_check_cancel,
};

/* -- the concurrent future is done -------------------------------------------------------- */

/* futures._copy_future_state(source, destination). 0 or -1. */
static int
chain_copy_slow(fa_state *st, PyObject *source, PyObject *dest)
{
    PyObject *done = PyObject_CallMethod(st->mod_futures,
                                         "_copy_future_state", "OO", source,
                                         dest);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* The state of `source`, which is done for good. 0 or -1. HOT */
static int
chain_copy(fa_state *st, PyObject *source, PyObject *dest)
{
    FutureObject *fut = (FutureObject *)dest;
    if (fut->state == FA_CANCELLED) {
        return 0;
    }
    PyObject *state = PyObject_GetAttr(source, st->str__state);
    PyObject *failed =
        state == NULL ? NULL : PyObject_GetAttr(source, st->str__exception);
    PyObject *value =
        failed == NULL ? NULL : PyObject_GetAttr(source, st->str__result);
    int rc = -1;
    if (value != NULL) {
        int simple = failed == Py_None && fut->state == FA_PENDING &&
                     PyUnicode_Check(state) &&
                     PyUnicode_Compare(state, st->str_FINISHED) == 0;
        rc = simple ? future_set_result(fut, value)
                    : chain_copy_slow(st, source, dest);
    }
    Py_XDECREF(state);
    Py_XDECREF(failed);
    Py_XDECREF(value);
    return rc;
}

/* fa_run: in the loop's thread. HOT */
static int
chain_run(LoopObject *loop, PyObject *dest, PyObject *source)
{
    fa_state *st = loop->st;
    int rc = chain_copy(st, source, dest);
    if (FA_UNLIKELY(rc < 0) && !fa_err_is_exit()) {
        PyObject *exc = fa_err_take();
        PyObject *message = PyUnicode_FromFormat(
            "Exception in callback _chain_future.<locals>._set_state(%R, %R)",
            dest, source);
        rc = message == NULL ? -1
                             : loop_report(st, (PyObject *)loop, message, exc,
                                           NULL);
        Py_XDECREF(message);
        Py_XDECREF(exc);
    }
    Py_DECREF(dest);
    Py_DECREF(source);
    return rc;
}

/* loop.call_soon_threadsafe(futures._copy_future_state, source, dest). */
static int
chain_call_slow(fa_state *st, PyObject *source, PyObject *dest)
{
    PyObject *function = PyObject_GetAttrString(st->mod_futures,
                                                "_copy_future_state");
    if (function == NULL) {
        return -1;
    }
    PyObject *args[] = {((FutureObject *)dest)->loop, function, source, dest};
    PyObject *handle = PyObject_VectorcallMethod(st->str_call_soon_threadsafe,
                                                 args, 4, NULL);
    Py_DECREF(function);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

/* Are we in the loop's own thread, where the version wants it done at once? */
static int
chain_is_here(fa_state *st, PyObject *loop)
{
    PyObject *running = NULL;
    if (!FA_HAS_CHAIN_HERE || fa_running_loop(st, &running) < 0) {
        PyErr_Clear();
        return 0;
    }
    Py_XDECREF(running);
    return running == loop;
}

/* The done callback of the concurrent future, in any thread; `dest` is its
   self. HOT */
static PyObject *
chain_call_set_state(PyObject *dest, PyObject *source)
{
    FutureObject *fut = (FutureObject *)dest;
    LoopObject *loop = (LoopObject *)fut->loop;
    fa_state *st = fut->st;
    int rc = 0;
    if (loop->closed) {
        Py_RETURN_NONE;
    }
    if (chain_is_here(st, (PyObject *)loop)) {
        rc = chain_copy(st, source, dest);
    }
    else if (!loop->direct || (loop->overridden & FA_OV_CALL_THREADSAFE)) {
        rc = chain_call_slow(st, source, dest);
    }
    else {
        rc = loop_push(loop, chain_run, Py_NewRef(dest), Py_NewRef(source));
        loop_wake(loop);
    }
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef chain_call_def = {
    "_call_set_state", chain_call_set_state, METH_O, NULL,
};

/* -- joining them ----------------------------------------------------------------------------- */

/* Both callbacks, in asyncio's order. 0 or -1. */
static int
chain_join(fa_state *st, PyObject *source, PyObject *dest)
{
    ClosureObject *closure = closure_new(st, &chain_kind, NULL);
    if (closure == NULL) {
        return -1;
    }
    closure->vars[CHAIN_SOURCE] = Py_NewRef(source);
    PyObject *tell = NULL, *done = NULL;
    if (closure_add(closure, dest) == 0) {
        tell = PyCFunction_New(&chain_call_def, dest);
    }
    if (tell != NULL) {
        done = PyObject_CallMethodOneArg(source, st->str_add_done_callback,
                                         tell);
    }
    Py_DECREF(closure);
    Py_XDECREF(tell);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int
chain_concurrent(fa_state *st, PyObject *source, PyObject *type,
                 PyObject *dest)
{
    if ((PyObject *)Py_TYPE(source) != type ||
        !Py_IS_TYPE(dest, st->FutureType) || !((FutureObject *)dest)->ours)
    {
        return 0;
    }
    PyObject *function = PyObject_GetAttr(st->mod_futures,
                                          st->str__chain_future);
    Py_XDECREF(function);
    if (function != st->chain_future) {
        PyErr_Clear();
        return 0;
    }
    return chain_join(st, source, dest) < 0 ? -1 : 1;
}
