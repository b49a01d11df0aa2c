/* task/ensure.c: a future out of whatever somebody wants to wait for.

   asyncio.ensure_future, for Python and for the rooms that wait: a future is
   itself, a coroutine becomes a task of the loop (whose create_task decides what
   kind), anything else with __await__ is wrapped in a coroutine first. HOT: a
   future or a coroutine, on a loop of ours. */
#include "base/args.h"
#include "base/errors.h"
#include "task/coro.h"
#include "task/private.h"

/* -- the loop of things --------------------------------------------------------- */

PyObject *
fa_future_loop(fa_state *st, PyObject *fut)
{
    PyObject *get_loop;
    if (FA_LIKELY(future_check_exact(st, fut) &&
                  ((FutureObject *)fut)->loop != NULL))
    {
        return Py_NewRef(((FutureObject *)fut)->loop);
    }
    int has = fa_getattr_opt(fut, st->str_get_loop, &get_loop);
    if (has <= 0) {
        return has < 0 ? NULL : PyObject_GetAttr(fut, st->str__loop);
    }
    PyObject *loop = PyObject_CallNoArgs(get_loop);
    Py_DECREF(get_loop);
    return loop;
}

PyObject *
fa_get_event_loop(fa_state *st)
{
    PyObject *loop;
    if (fa_running_loop(st, &loop) < 0) {
        return NULL;
    }
    if (FA_LIKELY(loop != NULL)) {
        return loop;
    }
    return PyObject_CallMethodNoArgs(st->mod_events, st->str_get_event_loop);
}

/* -- any awaitable ---------------------------------------------------------------- */

#if FA_HAS_ASYNC_WRAP_AWAITABLE

/* async def _wrap_awaitable(awaitable): return await awaitable */
static PySendResult
wrap_awaitable_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    enum { BEGIN, AWAITED };
    if (co->stage == BEGIN) {
        return coro_await(co, AWAITED, Py_NewRef(co->vars[0]));
    }
    return value == NULL ? PYGEN_ERROR : coro_return(co, value, result);
}

static const fa_coro_kind wrap_awaitable_kind = {
    "ensure_future.<locals>._wrap_awaitable", wrap_awaitable_turn,
};

static PyObject *
wrap_awaitable(fa_state *st, PyObject *aw)
{
    return (PyObject *)coro_new(st, &wrap_awaitable_kind, aw, NULL);
}

#else

/* asyncio's is a generator with a place in the module. */
static PyObject *
wrap_awaitable(fa_state *st, PyObject *aw)
{
    return PyObject_CallMethod(st->mod_tasks, "_wrap_awaitable", "O", aw);
}

#endif

/* The coroutine to make a task of, when `obj` is neither a future nor a
   coroutine (new), or NULL with TypeError. */
static FA_COLD PyObject *
ensure_coroutine(fa_state *st, PyObject *obj)
{
    PyObject *answer = PyObject_CallOneArg(st->isawaitable, obj);
    if (answer == NULL) {
        return NULL;
    }
    int awaitable = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    if (awaitable < 0) {
        return NULL;
    }
    if (!awaitable) {
        PyErr_SetString(PyExc_TypeError,
                        "An asyncio.Future, a coroutine or an awaitable is "
                        "required");
        return NULL;
    }
    return wrap_awaitable(st, obj);
}

/* -- engine ------------------------------------------------------------------------ */

/* loop.create_task has raised: a RuntimeError closes a coroutine that the
   caller has given. */
static FA_COLD void
ensure_failed(fa_state *st, PyObject *coro)
{
    if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) {
        return;
    }
    PyObject *raised = fa_err_take();
    PyObject *closed = PyObject_CallMethodNoArgs(coro, st->str_close);
    if (closed == NULL) {
        fa_err_chain(raised);
        return;
    }
    Py_DECREF(closed);
    fa_err_restore(raised);
}

/* `fut` is one already: itself, if it may be (new). */
static PyObject *
ensure_same_loop(fa_state *st, PyObject *fut, PyObject *loop)
{
    if (loop != NULL) {
        PyObject *its = fa_future_loop(st, fut);
        if (its == NULL) {
            return NULL;
        }
        Py_DECREF(its); // compared only
        if (its != loop) {
            PyErr_SetString(PyExc_ValueError,
                            "The future belongs to a different loop than the "
                            "one specified as the loop argument");
            return NULL;
        }
    }
    return Py_NewRef(fut);
}

/* A task for a coroutine (borrowed), which is the caller's own if `given`. */
static PyObject *
ensure_task(fa_state *st, PyObject *coro, PyObject *loop, int given)
{
    PyObject *where = loop == NULL ? fa_get_event_loop(st) : Py_NewRef(loop);
    if (where == NULL) {
        return NULL; // outside of asyncio's try block
    }
    PyObject *task = fa_create_task(st, where, coro);
    Py_DECREF(where);
    if (FA_UNLIKELY(task == NULL) && given) {
        ensure_failed(st, coro);
    }
    return task;
}

PyObject *
fa_ensure_future(fa_state *st, PyObject *obj, PyObject *loop)
{
    if (loop == Py_None) {
        loop = NULL;
    }
    if (FA_LIKELY(PyCoro_CheckExact(obj) || coro_check(st, obj))) {
        return ensure_task(st, obj, loop, 1); // a coroutine is no future
    }
    int is = fa_isfuture(st, obj);
    if (is != 0) {
        return is < 0 ? NULL : ensure_same_loop(st, obj, loop);
    }
    is = fa_iscoroutine(st, obj);
    if (is != 0) {
        return is < 0 ? NULL : ensure_task(st, obj, loop, 1);
    }
    PyObject *coro = ensure_coroutine(st, obj);
    if (coro == NULL) {
        return NULL;
    }
    PyObject *task = ensure_task(st, coro, loop, 0);
    Py_DECREF(coro);
    return task;
}

/* -- ensure_future(coro_or_future, *, loop=None) ------------------------------------- */

PyDoc_STRVAR(ensure_future_doc,
"ensure_future($module, /, coro_or_future, *, loop=None)\n--\n\n"
"A future for whatever can be awaited: a future is returned as it is (which is\n"
"a ValueError if it belongs to another loop than `loop`), a coroutine or\n"
"another awaitable becomes a task. See asyncio.ensure_future.");

static PyObject *
room_ensure_future(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "ensure_future", .required = 1, .positional = 1, .python = 2,
        .total = 2, .names = {"coro_or_future", "loop"},
    };
    PyObject *out[2] = {NULL, NULL};
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        out[0] = args[0];
    }
    else if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return fa_ensure_future(fa_state_of_module(module), out[0], out[1]);
}

static PyMethodDef ensure_functions[] = {
    {"ensure_future", (PyCFunction)(void (*)(void))room_ensure_future,
     METH_FASTCALL | METH_KEYWORDS, ensure_future_doc},
    {NULL, NULL, 0, NULL},
};

int
ensure_init(PyObject *module)
{
    return PyModule_AddFunctions(module, ensure_functions);
}
