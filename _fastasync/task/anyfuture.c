/* task/anyfuture.c: what code that waits needs of its surroundings.

   asyncio's waiting functions take any loop and any future: these functions do
   what the method of that name would, directly where the object is exactly ours
   and by calling the method otherwise. HOT: the first lines of each. */
#include "loop/current.h"
#include "task/coro.h"
#include "task/private.h"

/* -- any future ------------------------------------------------------------------ */

/* bool(fut.name()): 1, 0 or -1. */
static int
future_ask(PyObject *fut, PyObject *name)
{
    PyObject *answer = PyObject_CallMethodNoArgs(fut, name);
    if (answer == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return truth;
}

int
fa_future_done(fa_state *st, PyObject *fut)
{
    if (FA_LIKELY(future_check_exact(st, fut))) {
        return ((FutureObject *)fut)->state != FA_PENDING;
    }
    return future_ask(fut, st->str_done);
}

int
fa_future_cancelled(fa_state *st, PyObject *fut)
{
    if (FA_LIKELY(future_check_exact(st, fut))) {
        return ((FutureObject *)fut)->state == FA_CANCELLED;
    }
    return future_ask(fut, st->str_cancelled);
}

/* fut.name(arg), the answer dropped. */
static int
future_tell(PyObject *fut, PyObject *name, PyObject *arg)
{
    PyObject *answer = PyObject_CallMethodOneArg(fut, name, arg);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

int
fa_future_set_result(fa_state *st, PyObject *fut, PyObject *value)
{
    if (FA_LIKELY(Py_IS_TYPE(fut, st->FutureType))) {
        return future_set_result((FutureObject *)fut, value);
    }
    return future_tell(fut, st->str_set_result, value);
}

int
fa_future_set_exception(fa_state *st, PyObject *fut, PyObject *exc)
{
    if (FA_LIKELY(Py_IS_TYPE(fut, st->FutureType))) {
        return future_set_exception((FutureObject *)fut, exc);
    }
    return future_tell(fut, st->str_set_exception, exc);
}

int
fa_future_cancel(fa_state *st, PyObject *fut, PyObject *msg)
{
    if (FA_LIKELY(future_plain(st, fut))) {
        return future_cancel_plain(st, fut, msg);
    }
    PyObject *answer = msg == NULL
                           ? PyObject_CallMethodNoArgs(fut, st->str_cancel)
                           : PyObject_CallMethodOneArg(fut, st->str_cancel,
                                                       msg);
    if (answer == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return truth;
}

PyObject *
fa_future_result(fa_state *st, PyObject *fut)
{
    if (FA_UNLIKELY(!future_check_exact(st, fut))) {
        return PyObject_CallMethodNoArgs(fut, st->str_result);
    }
    PyObject *result;
    int rc = future_get_result((FutureObject *)fut, &result);
    if (FA_LIKELY(rc == 0)) {
        return result;
    }
    if (rc > 0) {
        PyErr_SetObject((PyObject *)Py_TYPE(result), result);
        Py_DECREF(result);
    }
    return NULL;
}

int
fa_future_add_done_callback(fa_state *st, PyObject *fut, PyObject *fn)
{
    if (FA_UNLIKELY(!future_check_exact(st, fut))) {
        return future_tell(fut, st->str_add_done_callback, fn);
    }
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL) {
        return -1;
    }
    int rc = future_add_callback((FutureObject *)fut, fn, context);
    Py_DECREF(context);
    return rc;
}

int
fa_future_remove_done_callback(fa_state *st, PyObject *fut, PyObject *fn)
{
    if (FA_UNLIKELY(!future_check_exact(st, fut))) {
        return future_tell(fut, st->str_remove_done_callback, fn);
    }
    return callbacks_remove((FutureObject *)fut, fn) < 0 ? -1 : 0;
}

FA_COLD int
future_outcome_slow(fa_state *st, PyObject *fut, int want, PyObject **value)
{
    int cancelled = fa_future_cancelled(st, fut);
    if (cancelled != 0) {
        return cancelled < 0 ? -1 : FA_SAYS_CANCELLED;
    }
    PyObject *exc = PyObject_CallMethodNoArgs(fut, st->str_exception);
    if (exc == NULL) {
        return -1;
    }
    if (exc != Py_None) {
        *value = exc;
        return FA_SAYS_RAISED;
    }
    Py_DECREF(exc);
    if (want) {
        *value = PyObject_CallMethodNoArgs(fut, st->str_result);
        if (*value == NULL) {
            return -1;
        }
    }
    return FA_SAYS_RESULT;
}

int
fa_future_exception(fa_state *st, PyObject *fut, PyObject **exc)
{
    if (FA_LIKELY(future_plain(st, fut) &&
                  ((FutureObject *)fut)->state == FA_FINISHED))
    {
        return future_outcome(st, fut, 0, exc) < 0 ? -1 : 0;
    }
    *exc = PyObject_CallMethodNoArgs(fut, st->str_exception);
    if (*exc == NULL) {
        return -1;
    }
    if (*exc == Py_None) {
        Py_CLEAR(*exc);
    }
    return 0;
}

/* -- any task ------------------------------------------------------------------------ */

PyObject *
fa_task_cancelling(fa_state *st, PyObject *task)
{
    if (FA_LIKELY(Py_IS_TYPE(task, st->TaskType))) {
        return PyLong_FromLong(((TaskObject *)task)->cancels_requested);
    }
    return PyObject_CallMethodNoArgs(task, st->str_cancelling);
}

PyObject *
fa_task_uncancel(fa_state *st, PyObject *task)
{
    if (FA_LIKELY(Py_IS_TYPE(task, st->TaskType))) {
        return PyLong_FromLong(task_uncancel((TaskObject *)task));
    }
    return PyObject_CallMethodNoArgs(task, st->str_uncancel);
}

/* -- asyncio's questions ----------------------------------------------------------- */

int
fa_isfuture(fa_state *st, PyObject *obj)
{
    PyObject *blocking;
    if (FA_LIKELY(future_check_exact(st, obj))) {
        return 1;
    }
    // hasattr(obj.__class__, ...) and obj._asyncio_future_blocking is not None
    PyObject *cls = PyObject_GetAttr(obj, st->str___class__);
    if (cls == NULL) {
        return -1;
    }
    int has = fa_getattr_opt(cls, st->str__asyncio_future_blocking, &blocking);
    Py_DECREF(cls);
    Py_XDECREF(blocking);
    if (has <= 0) {
        return has;
    }
    blocking = PyObject_GetAttr(obj, st->str__asyncio_future_blocking);
    Py_XDECREF(blocking);
    return blocking == NULL ? -1 : blocking != Py_None;
}

int
fa_iscoroutine(fa_state *st, PyObject *obj)
{
    if (FA_LIKELY(PyCoro_CheckExact(obj) || coro_check(st, obj))) {
        return 1;
    }
    if (future_check_exact(st, obj)) {
        return 0;
    }
    PyObject *answer = PyObject_CallOneArg(st->iscoroutine, obj);
    if (answer == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return truth;
}

PyObject *
fa_get_running_loop(fa_state *st)
{
    PyObject *loop;
    if (fa_running_loop(st, &loop) < 0) {
        return NULL;
    }
    if (FA_UNLIKELY(loop == NULL)) {
        PyErr_SetString(PyExc_RuntimeError, "no running event loop");
    }
    return loop;
}

#if FA_HAS_TSTATE_TASK

int
fa_current_task(fa_state *st, PyObject *loop, PyObject **out)
{
    PyObject *running;
    if (fa_running_loop(st, &running) < 0) {
        return -1;
    }
    Py_XDECREF(running);
    if (FA_LIKELY(running == loop && st->tstate_task)) {
        PyThreadState *tstate = PyThreadState_Get();
        *out = Py_XNewRef(
            *(PyObject **)((char *)tstate + st->tstate_task));
        return 0;
    }
    *out = PyObject_CallOneArg(st->c_current_task, loop);
    if (*out == Py_None) {
        Py_CLEAR(*out);
        return 0;
    }
    return *out == NULL ? -1 : 0;
}

#else

int
fa_current_task(fa_state *st, PyObject *loop, PyObject **out)
{
    *out = Py_XNewRef(PyDict_GetItemWithError(st->current_tasks, loop));
    return *out == NULL && PyErr_Occurred() ? -1 : 0;
}

#endif

/* -- any loop ------------------------------------------------------------------------ */

/* HOT. What stands under `name` in asyncio's module, if somebody has put there
   neither ours nor asyncio's own C type (new), else NULL: asyncio's loop would
   use it, and so do we. */
static inline PyObject *
rebound_type(PyObject *module, PyObject *name, PyTypeObject *ours,
             PyObject *stock)
{
    PyObject *globals = PyModule_GetDict(module);
    PyObject *found = PyDict_GetItemWithError(globals, name); // borrowed
    if (FA_LIKELY(found == stock || found == (PyObject *)ours ||
                  found == NULL))
    {
        return NULL;
    }
    return Py_NewRef(found);
}

PyObject *
task_rebound(fa_state *st)
{
    return rebound_type(st->mod_tasks, st->str_Task, st->TaskType,
                        st->asyncio_Task);
}

/* Future(loop=loop) of another type than ours. Takes over `type`. */
static FA_COLD PyObject *
create_future_by_type(fa_state *st, PyObject *loop, PyObject *type)
{
    PyObject *args[1] = {loop};
    PyObject *kwnames = PyTuple_Pack(1, st->str_loop);
    PyObject *future =
        kwnames == NULL ? NULL : PyObject_Vectorcall(type, args, 0, kwnames);
    Py_XDECREF(kwnames);
    Py_DECREF(type);
    return future;
}

PyObject *
loop_create_future(LoopObject *loop)
{
    fa_state *st = loop->st;
    PyObject *other = rebound_type(st->mod_futures, st->str_Future,
                                   st->FutureType, st->asyncio_Future);
    if (FA_LIKELY(other == NULL)) {
        return future_new(st, (PyObject *)loop);
    }
    return create_future_by_type(st, (PyObject *)loop, other);
}

PyObject *
fa_create_future(fa_state *st, PyObject *loop)
{
    if (FA_LIKELY(loop_check(st, loop) &&
                  !(((LoopObject *)loop)->overridden & FA_OV_CREATE_FUTURE)))
    {
        return loop_create_future((LoopObject *)loop);
    }
    return PyObject_CallMethodNoArgs(loop, st->str_create_future);
}

int
fa_create_task_direct(fa_state *st, PyObject *loop, PyObject *coro,
                      PyObject *name, PyObject *context, PyObject **task)
{
    LoopObject *ours = (LoopObject *)loop;
    if (FA_UNLIKELY(!loop_check(st, loop) ||
                    (ours->task_factory != NULL && !loop_is_eager(ours)) ||
                    (ours->overridden & FA_OV_CREATE_TASK) || ours->closed))
    {
        return 0;
    }
    if (FA_UNLIKELY(ours->task_factory != NULL)) {
        *task = task_new(st, loop, coro, name, context, 1);
        return 1;
    }
    PyObject *other = task_rebound(st);
    if (FA_UNLIKELY(other != NULL)) {
        Py_DECREF(other);
        return 0;
    }
    *task = task_new(st, loop, coro, name, context, 0);
    return 1;
}

PyObject *
fa_create_task(fa_state *st, PyObject *loop, PyObject *coro)
{
    PyObject *task;
    if (FA_LIKELY(fa_create_task_direct(st, loop, coro, NULL, NULL, &task))) {
        return task;
    }
    return PyObject_CallMethodOneArg(loop, st->str_create_task, coro);
}
