/* sync/wait.c: asyncio.wait().

   One waiter, and one done-callback (task/closure.h) for all the futures, which
   counts them down and releases the waiter when enough are done. With futures of
   ours nothing of it is Python: a future that is done costs one entry of the
   ring. The futures are kept twice, as the set that asyncio makes of them and
   as a list in the set's order, which is the order of everything that follows.
   HOT. Benchmark: wait. */
#include "base/args.h"
#include "base/errors.h"
#include "sync/scopes.h"

/* vars: what was given, then the set of the futures; their list; the timeout;
   return_when, then the done-callback. */
enum { WAIT_FS, WAIT_LIST, WAIT_TIMEOUT, WAIT_DONE };

/* vars of the done-callback; its count: so many are not done; its flag: the
   mode. */
enum { DONE_WAITER, DONE_TASK, DONE_TIMER };
enum { WAIT_FIRST_COMPLETED, WAIT_FIRST_EXCEPTION, WAIT_ALL };

/* -- a future is done ----------------------------------------------------------------- */

/* not f.cancelled() and f.exception() is not None: 1, 0, -1. */
static int
wait_has_failed(fa_state *st, PyObject *fut)
{
    PyObject *exc;
    int cancelled = fa_future_cancelled(st, fut);
    if (cancelled != 0) {
        return cancelled < 0 ? -1 : 0;
    }
    if (fa_future_exception(st, fut, &exc) < 0) {
        return -1;
    }
    Py_XDECREF(exc); // the future has it
    return exc != NULL;
}

/* Are these enough? 1, 0, -1. */
static inline int
wait_is_over(ClosureObject *done, PyObject *fut)
{
    if (done->count <= 0 || done->flag == WAIT_FIRST_COMPLETED) {
        return 1;
    }
    return done->flag == WAIT_FIRST_EXCEPTION
               ? wait_has_failed(done->st, fut)
               : 0;
}

/* timeout_handle.cancel(), if there is one, but keep it. 0 or -1. */
static inline int
wait_stop_timer(ClosureObject *done)
{
    PyObject *timer = done->vars[DONE_TIMER];
    if (FA_LIKELY(timer == NULL)) {
        return 0;
    }
    Py_INCREF(timer);
    int rc = fa_handle_cancel(done->st, timer);
    Py_DECREF(timer);
    return rc;
}

/* wait()'s _on_completion. */
static FA_HOT int
wait_completed(ClosureObject *done, PyObject *fut)
{
    fa_state *st = done->st;
    PyObject *waiter = done->vars[DONE_WAITER];
    PyObject *task = done->vars[DONE_TASK];
    if (FA_UNLIKELY(waiter == NULL)) {
        return 0; // the garbage collector has emptied it
    }
    Py_INCREF(waiter);
    Py_XINCREF(task);
    done->count--;
    int over = wait_is_over(done, fut);
    int rc = over < 0 ? -1 : 0;
    if (over > 0) {
        rc = wait_stop_timer(done);
        if (rc == 0) {
            rc = release_waiter(st, waiter, Py_None);
        }
    }
    if (rc == 0 && task != NULL) {
        rc = fa_awaited_by_discard(st, fut, task);
    }
    Py_DECREF(waiter);
    Py_XDECREF(task);
    return rc;
}

static const fa_closure_kind wait_done_kind = {
    "_wait.<locals>._on_completion", "f", wait_completed,
};

/* -- the arguments --------------------------------------------------------------------- */

/* The mode for return_when, or -1. */
static int
wait_mode(fa_state *st, PyObject *when)
{
    PyObject *const names[] = {
        st->str_FIRST_COMPLETED, st->str_FIRST_EXCEPTION,
        st->str_ALL_COMPLETED,
    };
    for (int mode = WAIT_FIRST_COMPLETED; mode <= WAIT_ALL; mode++) {
        int same = PyObject_RichCompareBool(names[mode], when, Py_EQ);
        if (same != 0) {
            return same < 0 ? -1 : mode;
        }
    }
    PyErr_Format(PyExc_ValueError, "Invalid return_when value: %S", when);
    return -1;
}

/* What cannot be a collection of futures: 0, or -1. */
static int
wait_check(fa_state *st, PyObject *fs)
{
    if (FA_LIKELY(PyList_CheckExact(fs) || PyAnySet_CheckExact(fs) ||
                  PyTuple_CheckExact(fs)))
    {
        if (PyObject_Size(fs) > 0) {
            return 0;
        }
    }
    int is = fa_isfuture(st, fs);
    if (is == 0) {
        is = fa_iscoroutine(st, fs);
    }
    if (is > 0) {
        PyObject *name = PyType_GetName(Py_TYPE(fs));
        if (name != NULL) {
            PyErr_Format(PyExc_TypeError,
                         "expect a list of futures, not %U", name);
            Py_DECREF(name);
        }
    }
    if (is != 0) {
        return -1;
    }
    int any = PyObject_IsTrue(fs);
    if (any == 0) {
        PyErr_SetString(PyExc_ValueError, "Set of Tasks/Futures is empty.");
    }
    return any > 0 ? 0 : -1;
}

/* fs = set(fs), in which there is no coroutine; and its list. 0 or -1. */
static int
wait_collect(CoroObject *co)
{
    fa_state *st = co->st;
    PyObject *set = PySet_New(co->vars[WAIT_FS]);
    if (set == NULL) {
        return -1;
    }
    Py_SETREF(co->vars[WAIT_FS], set);
    PyObject *list = co->vars[WAIT_LIST] = PySequence_List(set);
    if (list == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *fut = PyList_GET_ITEM(list, i);
        int is = future_check_exact(st, fut) ? 0 : fa_iscoroutine(st, fut);
        if (is > 0) {
            PyErr_SetString(PyExc_TypeError,
                            "Passing coroutines is forbidden, use tasks "
                            "explicitly.");
        }
        if (is != 0) {
            return -1;
        }
    }
    return 0;
}

/* -- waiting ------------------------------------------------------------------------------ */

/* The current task where the call graph is kept, else NULL: 0 or -1. */
static int
wait_current_task(fa_state *st, PyObject *loop, PyObject **task)
{
    *task = NULL;
    return FA_HAS_AWAITED_BY ? scope_current_task(st, loop, task) : 0;
}

/* The done-callback goes to all futures. 0 or -1. */
static int
wait_hook(CoroObject *co, ClosureObject *done)
{
    PyObject *list = co->vars[WAIT_LIST];
    PyObject *task = done->vars[DONE_TASK];
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *fut = PyList_GET_ITEM(list, i);
        if (closure_add(done, fut) < 0 ||
            (task != NULL && fa_awaited_by_add(co->st, fut, task) < 0))
        {
            return -1;
        }
    }
    return 0;
}

/* The `finally`: nobody is to call us any more. 0 or -1. */
static int
wait_unhook(CoroObject *co)
{
    ClosureObject *done = (ClosureObject *)co->vars[WAIT_DONE];
    PyObject *list = co->vars[WAIT_LIST];
    if (wait_stop_timer(done) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *fut = PyList_GET_ITEM(list, i);
        PyObject *task = done->vars[DONE_TASK];
        if (closure_remove(done, fut) < 0 ||
            (task != NULL && fa_awaited_by_discard(co->st, fut, task) < 0))
        {
            return -1;
        }
    }
    return 0;
}

/* The done-callback (new), `loop` being the running one; *waiter: what to wait
   for (new). NULL on error. */
static ClosureObject *
wait_prepare(CoroObject *co, PyObject *loop, int mode, PyObject **waiter)
{
    fa_state *st = co->st;
    PyObject *timer = NULL, *task = NULL;
    ClosureObject *done = NULL;
    *waiter = fa_create_future(st, loop);
    if (*waiter == NULL) {
        return NULL;
    }
    if (co->vars[WAIT_TIMEOUT] != Py_None) {
        timer = release_later(st, loop, co->vars[WAIT_TIMEOUT], *waiter);
        if (timer == NULL) {
            goto done;
        }
    }
    if (wait_current_task(st, loop, &task) == 0) {
        done = closure_new(st, &wait_done_kind, NULL);
    }
    if (done != NULL) {
        done->vars[DONE_WAITER] = Py_NewRef(*waiter);
        done->vars[DONE_TASK] = Py_XNewRef(task);
        done->vars[DONE_TIMER] = Py_XNewRef(timer);
        done->count = PyList_GET_SIZE(co->vars[WAIT_LIST]);
        done->flag = (uint8_t)mode;
    }
done:
    Py_XDECREF(timer);
    Py_XDECREF(task);
    if (done == NULL) {
        Py_CLEAR(*waiter);
    }
    return done;
}

static PySendResult wait_end(CoroObject *co, PyObject *value,
                             PyObject **result);

static PySendResult
wait_begin(CoroObject *co, int stage, PyObject **result)
{
    PyObject *waiter;
    if (wait_check(co->st, co->vars[WAIT_FS]) < 0) {
        return PYGEN_ERROR;
    }
    int mode = wait_mode(co->st, co->vars[WAIT_DONE]);
    if (mode < 0 || wait_collect(co) < 0) {
        return PYGEN_ERROR;
    }
    PyObject *loop = fa_get_running_loop(co->st);
    if (loop == NULL) {
        return PYGEN_ERROR;
    }
    if (PyList_GET_SIZE(co->vars[WAIT_LIST]) == 0) { // an iterator had none
        Py_DECREF(loop);
        PyErr_SetString(PyExc_AssertionError, "Set of Futures is empty.");
        return PYGEN_ERROR;
    }
    ClosureObject *done = wait_prepare(co, loop, mode, &waiter);
    Py_DECREF(loop);
    if (done == NULL) {
        return PYGEN_ERROR;
    }
    Py_SETREF(co->vars[WAIT_DONE], (PyObject *)done);
    if (wait_hook(co, done) < 0) {
        Py_DECREF(waiter);
        return PYGEN_ERROR;
    }
    PySendResult status = coro_await(co, stage, waiter);
    return FA_UNLIKELY(status == PYGEN_ERROR) ? wait_end(co, NULL, result)
                                              : status;
}

/* -- the answer ------------------------------------------------------------------------------ */

/* Into the set of what is done or what is pending. 0 or -1. */
static int
wait_sort(CoroObject *co, PyObject *done, PyObject *pending)
{
    PyObject *list = co->vars[WAIT_LIST];
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *fut = PyList_GET_ITEM(list, i);
        int is = fa_future_done(co->st, fut);
        if (is < 0 || PySet_Add(is ? done : pending, fut) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Are all of them futures of ours and done? */
static int
wait_got_all(CoroObject *co)
{
    PyObject *list = co->vars[WAIT_LIST];
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *fut = PyList_GET_ITEM(list, i);
        if (!future_check_exact(co->st, fut) ||
            ((FutureObject *)fut)->state == FA_PENDING)
        {
            return 0;
        }
    }
    return 1;
}

/* (done, pending) */
static PySendResult
wait_answer(CoroObject *co, PyObject **result)
{
    PyObject *pending = PySet_New(NULL);
    PyObject *done = NULL, *both = NULL;
    if (pending == NULL) {
        return PYGEN_ERROR;
    }
    if (FA_LIKELY(wait_got_all(co))) {
        done = Py_NewRef(co->vars[WAIT_FS]); // nobody else has it
    }
    else {
        done = PySet_New(NULL);
        if (done != NULL && wait_sort(co, done, pending) < 0) {
            Py_CLEAR(done);
        }
    }
    if (done != NULL) {
        both = PyTuple_Pack(2, done, pending);
    }
    Py_XDECREF(done);
    Py_DECREF(pending);
    *result = both;
    return both == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* `await waiter` has ended. */
static PySendResult
wait_end(CoroObject *co, PyObject *value, PyObject **result)
{
    PyObject *exc = value == NULL ? fa_err_take() : NULL;
    if (wait_unhook(co) < 0) {
        if (exc != NULL) {
            raised_during(exc);
        }
        Py_XDECREF(exc);
        return PYGEN_ERROR;
    }
    if (FA_UNLIKELY(exc != NULL)) {
        fa_err_restore(exc);
        return PYGEN_ERROR;
    }
    return wait_answer(co, result);
}

static PySendResult
wait_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    enum { BEGIN, WAITED };
    return co->stage == BEGIN ? wait_begin(co, WAITED, result)
                              : wait_end(co, value, result);
}

/* -- the function ------------------------------------------------------------------------------ */

static const fa_coro_kind wait_kind = {"wait", wait_turn};

static PyObject *
wait_make(fa_state *st, PyObject *Py_UNUSED(self), PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "wait", .required = 1, .positional = 1, .python = 2,
        .total = 3, .names = {"fs", "timeout", "return_when"},
    };
    PyObject *out[3] = {NULL, NULL, NULL};
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        out[0] = args[0];
    }
    else if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    CoroObject *co = coro_new(st, &wait_kind, out[0], NULL);
    if (co != NULL) {
        co->vars[WAIT_TIMEOUT] = Py_NewRef(out[1] ? out[1] : Py_None);
        co->vars[WAIT_DONE] =
            Py_NewRef(out[2] ? out[2] : st->str_ALL_COMPLETED);
    }
    return (PyObject *)co;
}

static const fa_coro_def wait_defs[] = {
    {"wait", "wait", NULL, wait_make,
     "wait($module, fs, *, timeout=None, return_when='ALL_COMPLETED')\n--\n\n"
     "Wait until all of the futures (or the first, or the first that fails: see\n"
     "`return_when`) are done, `timeout` seconds at most. Returns two sets: those\n"
     "that are done, those that are not. See asyncio.wait."},
    {NULL, NULL, NULL, NULL, NULL},
};

int
wait_init(PyObject *module, fa_state *st)
{
    return coro_functions_add(st, module, wait_defs);
}
