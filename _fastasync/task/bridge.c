/* task/bridge.c: between the loop and threads: wrap_future,
   run_coroutine_threadsafe, to_thread.

   What joins an asyncio future and a concurrent one is chain.c where that is the
   usual pair, else asyncio's own _chain_future, looked up when it is needed. */
#include "base/args.h"
#include "base/errors.h"
#include "task/coro.h"
#include "task/private.h"

/* futures._chain_future(source, destination). 0 or -1. */
static int
bridge_chain(fa_state *st, PyObject *source, PyObject *destination)
{
    PyObject *args[] = {st->mod_futures, source, destination};
    PyObject *done = PyObject_VectorcallMethod(st->str__chain_future, args, 3,
                                               NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* concurrent.futures.Future (new): a lazy import of asyncio's. */
static PyObject *
bridge_future_type(void)
{
    PyObject *module = PyImport_ImportModule("concurrent.futures");
    PyObject *type = module == NULL ? NULL
                                    : PyObject_GetAttrString(module, "Future");
    Py_XDECREF(module);
    return type;
}

/* -- wrap_future(future, *, loop=None) ------------------------------------------------ */

/* 0, or -1 with asyncio's AssertionError. */
static int
bridge_check_concurrent(PyObject *future, PyObject *type)
{
    int is = (PyObject *)Py_TYPE(future) == type
                 ? 1
                 : PyObject_IsInstance(future, type);
    if (is == 0) {
        PyErr_Format(PyExc_AssertionError,
                     "concurrent.futures.Future is expected, got %R", future);
    }
    return is > 0 ? 0 : -1;
}

/* `type` is concurrent.futures.Future. */
static PyObject *
wrap_concurrent(fa_state *st, PyObject *future, PyObject *type, PyObject *loop)
{
    if (bridge_check_concurrent(future, type) < 0) {
        return NULL;
    }
    loop = loop == NULL || loop == Py_None ? fa_get_event_loop(st)
                                           : Py_NewRef(loop);
    PyObject *made = loop == NULL ? NULL : fa_create_future(st, loop);
    Py_XDECREF(loop);
    if (made == NULL) {
        return NULL;
    }
    int joined = chain_concurrent(st, future, type, made);
    if (joined == 0) {
        joined = bridge_chain(st, future, made);
    }
    if (joined < 0) {
        Py_CLEAR(made);
    }
    return made;
}

PyObject *
fa_wrap_future(fa_state *st, PyObject *future, PyObject *loop)
{
    int is = fa_isfuture(st, future);
    if (is != 0) {
        return is < 0 ? NULL : Py_NewRef(future);
    }
    PyObject *type = bridge_future_type();
    PyObject *made =
        type == NULL ? NULL : wrap_concurrent(st, future, type, loop);
    Py_XDECREF(type);
    return made;
}

PyDoc_STRVAR(wrap_future_doc,
"wrap_future($module, /, future, *, loop=None)\n--\n\n"
"A future of the loop that ends as a concurrent.futures.Future does, and\n"
"cancels that when it is cancelled. See asyncio.wrap_future.");

static PyObject *
room_wrap_future(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "wrap_future", .required = 1, .positional = 1, .python = 2,
        .total = 2, .names = {"future", "loop"},
    };
    PyObject *out[2];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return fa_wrap_future(fa_state_of_module(module), out[0], out[1]);
}

/* -- run_coroutine_threadsafe(coro, loop) ------------------------------------------------ */

/* The coroutine could not be started: so says the future, and the loop hears
   of it as well. */
static void
threadsafe_failed(PyObject *future)
{
    if (fa_err_is_exit()) {
        return;
    }
    PyObject *exc = fa_err_take();
    PyObject *answer = PyObject_CallMethod(
        future, "set_running_or_notify_cancel", NULL);
    int runs = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    if (runs > 0) {
        answer = PyObject_CallMethod(future, "set_exception", "O", exc);
        runs = answer == NULL ? -1 : 1;
        Py_XDECREF(answer);
    }
    if (runs < 0) {
        fa_err_chain(exc);
        return;
    }
    fa_err_restore(exc);
}

/* In the loop's thread; self is (module, coro, loop, future). */
static PyObject *
threadsafe_start(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    fa_state *st = fa_state_of_module(PyTuple_GET_ITEM(self, 0));
    PyObject *future = PyTuple_GET_ITEM(self, 3);
    PyObject *task = fa_ensure_future(st, PyTuple_GET_ITEM(self, 1),
                                      PyTuple_GET_ITEM(self, 2));
    if (task == NULL || bridge_chain(st, task, future) < 0) {
        Py_XDECREF(task);
        threadsafe_failed(future);
        return NULL;
    }
    Py_DECREF(task);
    Py_RETURN_NONE;
}

static PyMethodDef threadsafe_start_def = {
    "run_coroutine_threadsafe.<locals>.callback", threadsafe_start,
    METH_NOARGS, NULL,
};

static PyObject *
run_coroutine_threadsafe(PyObject *module, fa_state *st, PyObject *coro,
                         PyObject *loop)
{
    int is = fa_iscoroutine(st, coro);
    if (is <= 0) {
        if (is == 0) {
            PyErr_SetString(PyExc_TypeError,
                            "A coroutine object is required");
        }
        return NULL;
    }
    PyObject *type = bridge_future_type();
    PyObject *future = type == NULL ? NULL : PyObject_CallNoArgs(type);
    PyObject *self = NULL, *callback = NULL, *handle = NULL;
    if (future != NULL) {
        self = PyTuple_Pack(4, module, coro, loop, future);
    }
    if (self != NULL) {
        callback = PyCFunction_New(&threadsafe_start_def, self);
    }
    if (callback != NULL) {
        handle = PyObject_CallMethodOneArg(loop, st->str_call_soon_threadsafe,
                                           callback);
    }
    if (handle == NULL) {
        Py_CLEAR(future);
    }
    Py_XDECREF(handle);
    Py_XDECREF(callback);
    Py_XDECREF(self);
    Py_XDECREF(type);
    return future;
}

PyDoc_STRVAR(run_coroutine_threadsafe_doc,
"run_coroutine_threadsafe($module, /, coro, loop)\n--\n\n"
"Run a coroutine on a loop of another thread; returns the\n"
"concurrent.futures.Future of its outcome. See\n"
"asyncio.run_coroutine_threadsafe.");

static PyObject *
room_run_coroutine_threadsafe(PyObject *module, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "run_coroutine_threadsafe", .required = 2, .positional = 2,
        .python = 2, .total = 2, .names = {"coro", "loop"},
    };
    PyObject *out[2];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return run_coroutine_threadsafe(module, fa_state_of_module(module), out[0],
                                    out[1]);
}

/* -- to_thread(func, /, *args, **kwargs) --------------------------------------------------- */

/* vars: (func, *args) and the keywords, NULL if there are none. */
enum { THREAD_ARGS, THREAD_KWARGS };

/* functools.partial(copy_context().run, func, *args, **kwargs) (new). */
static PyObject *
to_thread_call(CoroObject *co)
{
    PyObject *given = co->vars[THREAD_ARGS];
    Py_ssize_t count = PyTuple_GET_SIZE(given);
    PyObject *context = PyContext_CopyCurrent();
    PyObject *run = context == NULL ? NULL
                                    : PyObject_GetAttrString(context, "run");
    PyObject *args = run == NULL ? NULL : PyTuple_New(count + 1);
    PyObject *call = NULL;
    if (args != NULL) {
        PyTuple_SET_ITEM(args, 0, Py_NewRef(run));
        for (Py_ssize_t i = 0; i < count; i++) {
            PyTuple_SET_ITEM(args, i + 1,
                             Py_NewRef(PyTuple_GET_ITEM(given, i)));
        }
        call = PyObject_Call(co->st->partial, args, co->vars[THREAD_KWARGS]);
    }
    Py_XDECREF(context);
    Py_XDECREF(run);
    Py_XDECREF(args);
    return call;
}

/* loop.run_in_executor(None, call): what to await (new). */
static PyObject *
to_thread_start(CoroObject *co)
{
    PyObject *loop = fa_get_running_loop(co->st);
    PyObject *call = loop == NULL ? NULL : to_thread_call(co);
    PyObject *future = NULL;
    if (call != NULL) {
        PyObject *args[] = {loop, Py_None, call};
        future = PyObject_VectorcallMethod(co->st->str_run_in_executor, args,
                                           3, NULL);
    }
    Py_XDECREF(call);
    Py_XDECREF(loop);
    return future;
}

static PySendResult
to_thread_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    enum { BEGIN, AWAITED };
    if (co->stage == BEGIN) {
        PyObject *future = to_thread_start(co);
        return future == NULL ? PYGEN_ERROR : coro_await(co, AWAITED, future);
    }
    return value == NULL ? PYGEN_ERROR : coro_return(co, value, result);
}

static const fa_coro_kind to_thread_kind = {"to_thread", to_thread_turn};

/* The keywords as a dict (new). */
static PyObject *
to_thread_keywords(PyObject *const *values, PyObject *kwnames)
{
    PyObject *kwargs = PyDict_New();
    for (Py_ssize_t i = 0; kwargs && i < PyTuple_GET_SIZE(kwnames); i++) {
        if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(kwnames, i),
                           values[i]) < 0)
        {
            Py_CLEAR(kwargs);
        }
    }
    return kwargs;
}

static PyObject *
to_thread_make(fa_state *st, PyObject *Py_UNUSED(self), PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError,
                        "to_thread() missing 1 required positional argument: "
                        "'func'");
        return NULL;
    }
    PyObject *kwargs = NULL;
    if (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0 &&
        (kwargs = to_thread_keywords(args + nargs, kwnames)) == NULL)
    {
        return NULL;
    }
    PyObject *given = PyTuple_New(nargs);
    CoroObject *co = NULL;
    if (given != NULL) {
        for (Py_ssize_t i = 0; i < nargs; i++) {
            PyTuple_SET_ITEM(given, i, Py_NewRef(args[i]));
        }
        co = coro_new(st, &to_thread_kind, given, kwargs);
    }
    Py_XDECREF(given);
    Py_XDECREF(kwargs);
    return (PyObject *)co;
}

static const fa_coro_def bridge_coroutines[] = {
    {"to_thread", "to_thread", NULL, to_thread_make,
     "to_thread($module, func, /, *args, **kwargs)\n--\n\n"
     "Call the function in a thread of the default executor, with a copy of the\n"
     "current context, and return what it returns. See asyncio.to_thread."},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef bridge_functions[] = {
    {"wrap_future", (PyCFunction)(void (*)(void))room_wrap_future,
     METH_FASTCALL | METH_KEYWORDS, wrap_future_doc},
    {"run_coroutine_threadsafe",
     (PyCFunction)(void (*)(void))room_run_coroutine_threadsafe,
     METH_FASTCALL | METH_KEYWORDS, run_coroutine_threadsafe_doc},
    {NULL, NULL, 0, NULL},
};

int
bridge_init(PyObject *module, fa_state *st)
{
    if (PyModule_AddFunctions(module, bridge_functions) < 0) {
        return -1;
    }
    return coro_functions_add(st, module, bridge_coroutines);
}
