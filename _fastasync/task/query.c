/* task/query.c: asyncio's questions as Python functions, and create_task.

   What is running here, is this a future, a coroutine: each is a few loads for
   objects of ours. HOT. Benchmarks: current_task, get_running_loop,
   create_task. */
#include "base/args.h"
#include "base/errors.h"
#include "loop/current.h"
#include "task/coro.h"
#include "task/private.h"

/* -- what is running ------------------------------------------------------------------ */

PyDoc_STRVAR(get_running_loop_doc,
"get_running_loop($module, /)\n--\n\n"
"The event loop that runs in this thread; RuntimeError if none does.");

static PyObject *
room_get_running_loop(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return fa_get_running_loop(fa_state_of_module(module));
}

PyDoc_STRVAR(_get_running_loop_doc,
"_get_running_loop($module, /)\n--\n\n"
"The event loop that runs in this thread, or None.");

static PyObject *
room__get_running_loop(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    PyObject *loop;
    if (fa_running_loop(fa_state_of_module(module), &loop) < 0) {
        return NULL;
    }
    return loop == NULL ? Py_NewRef(Py_None) : loop;
}

PyDoc_STRVAR(current_task_doc,
"current_task($module, /, loop=None)\n--\n\n"
"The task that the loop (by default the running one) executes now, or None.");

static PyObject *
room_current_task(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "current_task", .positional = 1,
        .python = FA_HAS_C_CURRENT_TASK ? 0 : 2, .total = 1,
        .names = {"loop"},
    };
    fa_state *st = fa_state_of_module(module);
    PyObject *loop = NULL;
    if ((nargs != 0 || kwnames != NULL) &&
        fa_args_parse(&spec, args, nargs, kwnames, &loop) < 0)
    {
        return NULL;
    }
    loop = loop == NULL || loop == Py_None ? fa_get_running_loop(st)
                                           : Py_NewRef(loop);
    if (loop == NULL) {
        return NULL;
    }
    PyObject *task;
    int rc = fa_current_task(st, loop, &task);
    Py_DECREF(loop);
    if (rc < 0) {
        return NULL;
    }
    return task == NULL ? Py_NewRef(Py_None) : task;
}

#if FA_HAS_AWAITED_BY

int
fa_caller_task(fa_state *st, PyObject *loop, PyObject **out)
{
    PyObject *found = PyDict_GetItemWithError(
        PyModule_GetDict(st->mod_tasks), st->str_current_task); // borrowed
    if (FA_LIKELY(found == NULL || found == st->c_current_task ||
                  (PyCFunction_CheckExact(found) &&
                   PyCFunction_GET_FUNCTION(found) ==
                       (PyCFunction)(void (*)(void))room_current_task)))
    {
        return fa_current_task(st, loop, out);
    }
    Py_INCREF(found);
    *out = PyObject_CallOneArg(found, loop);
    Py_DECREF(found);
    if (*out == Py_None) {
        Py_CLEAR(*out);
        return 0;
    }
    return *out == NULL ? -1 : 0;
}

#endif

/* -- what is this ------------------------------------------------------------------------ */

PyDoc_STRVAR(isfuture_doc,
"isfuture($module, /, obj)\n--\n\n"
"True for a Future, a Task, and what behaves like one.");

static PyObject *
room_isfuture(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "isfuture", .required = 1, .positional = 1, .python = 2,
        .total = 1, .names = {"obj"},
    };
    PyObject *obj;
    if (fa_args_parse(&spec, args, nargs, kwnames, &obj) < 0) {
        return NULL;
    }
    int is = fa_isfuture(fa_state_of_module(module), obj);
    return is < 0 ? NULL : PyBool_FromLong(is);
}

PyDoc_STRVAR(iscoroutine_doc,
"iscoroutine($module, /, obj)\n--\n\n"
"True for a coroutine object.");

static PyObject *
room_iscoroutine(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "iscoroutine", .required = 1, .positional = 1, .python = 2,
        .total = 1, .names = {"obj"},
    };
    PyObject *obj;
    if (fa_args_parse(&spec, args, nargs, kwnames, &obj) < 0) {
        return NULL;
    }
    int is = fa_iscoroutine(fa_state_of_module(module), obj);
    return is < 0 ? NULL : PyBool_FromLong(is);
}

/* -- create_task --------------------------------------------------------------------------- */

#define CREATE_TASK_FEW 8

/* loop.create_task(coro, **keywords of the call) (new). */
static PyObject *
create_task_with(fa_state *st, PyObject *loop, PyObject *coro,
                 PyObject *const *values, PyObject *kwnames)
{
    PyObject *few[2 + CREATE_TASK_FEW], **args = few;
    Py_ssize_t count = PyTuple_GET_SIZE(kwnames);
    if (count > CREATE_TASK_FEW) {
        args = PyMem_New(PyObject *, 2 + count);
        if (args == NULL) {
            return PyErr_NoMemory();
        }
    }
    args[0] = loop;
    args[1] = coro;
    for (Py_ssize_t i = 0; i < count; i++) {
        args[2 + i] = values[i];
    }
    PyObject *task = PyObject_VectorcallMethod(
        st->str_create_task, args, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET,
        kwnames);
    if (args != few) {
        PyMem_Free(args);
    }
    return task;
}

#if FA_HAS_TASK_KWARGS

#define CREATE_TASK_SIGNATURE "coro, **kwargs"

/* create_task(..., coro=coro, ...): the others, in *kept and `values`. Returns
   coro (borrowed), NULL with TypeError if it is not there. */
static PyObject *
create_task_named_coro(PyObject *const *args, PyObject *kwnames,
                       PyObject **values, PyObject **kept)
{
    PyObject *coro = NULL;
    Py_ssize_t left = 0, count = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, i);
        if (PyUnicode_CompareWithASCIIString(key, "coro") == 0) {
            coro = args[i];
        }
    }
    if (coro == NULL) {
        PyErr_SetString(PyExc_TypeError, "create_task() missing 1 required "
                                         "positional argument: 'coro'");
        return NULL;
    }
    *kept = PyTuple_New(count - 1);
    for (Py_ssize_t i = 0; *kept != NULL && i < count; i++) {
        if (args[i] != coro ||
            PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, i),
                                             "coro") != 0)
        {
            values[left] = args[i];
            PyTuple_SET_ITEM(*kept, left++,
                             Py_NewRef(PyTuple_GET_ITEM(kwnames, i)));
        }
    }
    return *kept == NULL ? NULL : coro;
}

/* The same, called. */
static FA_COLD PyObject *
create_task_by_keyword(fa_state *st, PyObject *loop, PyObject *const *args,
                       PyObject *kwnames)
{
    Py_ssize_t count = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    PyObject **values = PyMem_New(PyObject *, count + 1);
    PyObject *kept = NULL, *task = NULL;
    if (values == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *coro = create_task_named_coro(args, kwnames, values, &kept);
    if (coro != NULL) {
        task = create_task_with(st, loop, coro, values, kept);
    }
    Py_XDECREF(kept);
    PyMem_Free(values);
    return task;
}

/* Every keyword goes to the loop. */
static PyObject *
create_task(fa_state *st, PyObject *loop, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "create_task", .required = 1, .positional = 1,
        .python = 2, .total = 1, .names = {"coro"},
    };
    if (nargs == 0) {
        return create_task_by_keyword(st, loop, args, kwnames);
    }
    if (nargs > 1) {
        PyObject *out[1];
        fa_args_parse(&spec, args, nargs, NULL, out); // too many: raises
        return NULL;
    }
    return create_task_with(st, loop, args[0], args + 1, kwnames);
}

#else

#define CREATE_TASK_SIGNATURE "coro, *, name=None, context=None"

/* tasks._set_task_name(task, name), and the keywords that are None left out. */
static PyObject *
create_task(fa_state *st, PyObject *loop, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "create_task", .required = 1, .positional = 1, .python = 2,
        .total = 3, .names = {"coro", "name", "context"},
    };
    PyObject *out[3];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    PyObject *names[2], *values[2];
    int count = 0;
    if (FA_HAS_CREATE_TASK_NAME) {
        names[count] = st->str_name;
        values[count++] = out[1] == NULL ? Py_None : out[1];
    }
    if (out[2] != NULL && out[2] != Py_None) {
        names[count] = st->str_context;
        values[count++] = out[2];
    }
    PyObject *kept = PyTuple_New(count);
    if (kept == NULL) {
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        PyTuple_SET_ITEM(kept, i, Py_NewRef(names[i]));
    }
    PyObject *task = create_task_with(st, loop, out[0], values, kept);
    Py_DECREF(kept);
    if (task != NULL && !FA_HAS_CREATE_TASK_NAME && out[1] != NULL &&
        out[1] != Py_None)
    {
        PyObject *done = PyObject_CallMethod(st->mod_tasks, "_set_task_name",
                                             "OO", task, out[1]);
        if (done == NULL) {
            Py_CLEAR(task);
        }
        Py_XDECREF(done);
    }
    return task;
}

#endif

PyDoc_STRVAR(create_task_doc,
"create_task($module, /, " CREATE_TASK_SIGNATURE ")\n--\n\n"
"A task of the running loop for a coroutine: loop.create_task.");

static PyObject *
room_create_task(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    fa_state *st = fa_state_of_module(module);
    PyObject *task = NULL, *loop = fa_get_running_loop(st);
    if (loop == NULL) {
        return NULL;
    }
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        task = fa_create_task(st, loop, args[0]);
    }
    else {
        task = create_task(st, loop, args, nargs, kwnames);
    }
    Py_DECREF(loop);
    return task;
}

/* -- table ----------------------------------------------------------------------------------- */

#define QUERY_FAST(name) \
    {#name, (PyCFunction)(void (*)(void))room_##name, \
     METH_FASTCALL | METH_KEYWORDS, name##_doc}

static PyMethodDef query_functions[] = {
    {"get_running_loop", room_get_running_loop, METH_NOARGS,
     get_running_loop_doc},
    {"_get_running_loop", room__get_running_loop, METH_NOARGS,
     _get_running_loop_doc},
    QUERY_FAST(current_task),
    QUERY_FAST(isfuture),
    QUERY_FAST(iscoroutine),
    QUERY_FAST(create_task),
    {NULL, NULL, 0, NULL},
};

int
query_init(PyObject *module)
{
    return PyModule_AddFunctions(module, query_functions);
}
