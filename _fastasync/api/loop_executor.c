/* api/loop_executor.c: run_in_executor.

   The executor is Python's, and the thread that it wakes costs more than all
   that is here; what is saved is asyncio's way back from it (task/chain.c). */
#include "api/api.h"

#include "base/args.h"

/* loop._default_executor, made now if need be (new). */
static PyObject *
executor_default(LoopObject *loop)
{
    fa_state *st = loop->st;
    PyObject *self = (PyObject *)loop;
    PyObject *executor = PyObject_GetAttr(self, st->str__default_executor);
    PyObject *fine = executor == NULL
                         ? NULL
                         : PyObject_CallMethodNoArgs(
                               self, st->str__check_default_executor);
    if (fine == NULL) {
        Py_XDECREF(executor);
        return NULL;
    }
    Py_DECREF(fine);
    if (executor != Py_None) {
        return executor;
    }
    Py_DECREF(executor);
    PyObject *module = PyImport_ImportModule("concurrent.futures");
    PyObject *type =
        module == NULL ? NULL
                       : PyObject_GetAttr(module, st->str_ThreadPoolExecutor);
    PyObject *none = PyTuple_New(0);
    PyObject *kwargs = Py_BuildValue("{ss}", "thread_name_prefix", "asyncio");
    executor = type && none && kwargs ? PyObject_Call(type, none, kwargs)
                                      : NULL;
    Py_XDECREF(kwargs);
    Py_XDECREF(none);
    Py_XDECREF(type);
    Py_XDECREF(module);
    if (executor != NULL &&
        PyObject_SetAttr(self, st->str__default_executor, executor) < 0)
    {
        Py_CLEAR(executor);
    }
    return executor;
}

/* loop._check_callback(func, 'run_in_executor'). 0 or -1. */
static int
executor_check(LoopObject *loop, PyObject *func)
{
    PyObject *args[] = {(PyObject *)loop, func, loop->st->str_run_in_executor};
    PyObject *done = PyObject_VectorcallMethod(loop->st->str__check_callback,
                                               args, 3, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static const fa_args run_in_executor_spec = {
    .fname = "BaseEventLoop.run_in_executor", .required = 2, .positional = 2,
    .varargs = 1, .python = 1, .total = 2, .names = {"executor", "func"},
};

PyDoc_STRVAR(Loop_run_in_executor_doc,
"run_in_executor($self, /, executor, func, *args)\n--\n\n"
"Call func(*args) in an executor, None = the default one, and return a future\n"
"of the result. See asyncio.loop.run_in_executor.");

#define EXECUTOR_ARGS_FEW 6

/* executor.submit(func, *args) (new): `args` after the first two. */
static PyObject *
executor_submit(LoopObject *loop, PyObject *executor, PyObject *func,
                PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *few[EXECUTOR_ARGS_FEW + 2], **call = few;
    if (nargs > EXECUTOR_ARGS_FEW) {
        call = PyMem_New(PyObject *, (size_t)nargs + 2);
        if (call == NULL) {
            return PyErr_NoMemory();
        }
    }
    call[0] = executor;
    call[1] = func;
    for (Py_ssize_t i = 0; i < nargs; i++) {
        call[i + 2] = args[i];
    }
    PyObject *future = PyObject_VectorcallMethod(
        loop->st->str_submit, call, (size_t)nargs + 2, NULL);
    if (call != few) {
        PyMem_Free(call);
    }
    return future;
}

static PyObject *
Loop_run_in_executor(LoopObject *loop, PyObject *const *args,
                     Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&run_in_executor_spec, args, nargs, kwnames, out) < 0 ||
        loop_check_closed(loop) < 0 ||
        (loop->debug && executor_check(loop, out[1]) < 0))
    {
        return NULL;
    }
    PyObject *executor =
        out[0] == Py_None ? executor_default(loop) : Py_NewRef(out[0]);
    if (executor == NULL) {
        return NULL;
    }
    PyObject *future = executor_submit(loop, executor, out[1], args + 2,
                                       nargs > 2 ? nargs - 2 : 0);
    Py_DECREF(executor);
    if (future == NULL) {
        return NULL;
    }
    PyObject *wrapped = fa_wrap_future(loop->st, future, (PyObject *)loop);
    Py_DECREF(future);
    return wrapped;
}

PyMethodDef loop_executor_methods[] = {
    {"run_in_executor", (PyCFunction)(void (*)(void))Loop_run_in_executor,
     METH_FASTCALL | METH_KEYWORDS, Loop_run_in_executor_doc},
    {NULL, NULL, 0, NULL},
};
