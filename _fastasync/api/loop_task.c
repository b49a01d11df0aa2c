/* api/loop_task.c: create_future, create_task and the task factory. */
#include "api/api.h"

#include "base/args.h"
#include "base/errors.h"
#include "task/coro.h"
#include "task/task.h"

PyDoc_STRVAR(Loop_create_future_doc,
"create_future($self, /)\n--\n\n"
"Return a new Future attached to the loop. See asyncio.loop.create_future.");

static PyObject *
Loop_create_future(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    return loop_create_future(loop);
}

/* Before 3.14 the name is set on whatever the factory returned. */
static int
create_task_set_name(fa_state *st, PyObject *task, PyObject *name)
{
    if (name == NULL || name == Py_None) {
        return 0;
    }
    PyObject *done =
        FA_PY313 ? PyObject_CallMethodOneArg(task, st->str_set_name, name)
                 : PyObject_CallMethod(st->mod_tasks, "_set_task_name", "OO",
                                       task, name);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* Take `name`, and `context` if it is None, out of a factory's keywords. 0
   and a new reference or NULL in *name, or -1. */
static int
create_task_split(fa_state *st, PyObject *keywords, PyObject **name)
{
    *name = NULL;
    if (FA_HAS_TASK_KWARGS) {
        return 0; // all of them are the factory's
    }
    *name = Py_XNewRef(PyDict_GetItemWithError(keywords, st->str_name));
    if (*name != NULL && PyDict_DelItem(keywords, st->str_name) < 0) {
        return -1;
    }
    PyObject *context = PyDict_GetItemWithError(keywords, st->str_context);
    if (context == Py_None) {
        return PyDict_DelItem(keywords, st->str_context);
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* factory(loop, coro, **keywords): `kwargs` are all keywords given to
   create_task, or NULL. */
static PyObject *
create_task_by_factory(LoopObject *loop, PyObject *coro, PyObject *kwargs)
{
    fa_state *st = loop->st;
    PyObject *keywords = kwargs ? PyDict_Copy(kwargs) : PyDict_New();
    PyObject *positional = PyTuple_Pack(2, (PyObject *)loop, coro);
    PyObject *factory = Py_NewRef(loop->task_factory);
    PyObject *task = NULL, *name = NULL;
    if (keywords != NULL && positional != NULL &&
        create_task_split(st, keywords, &name) == 0)
    {
        task = PyObject_Call(factory, positional, keywords);
    }
    if (task != NULL && create_task_set_name(st, task, name) < 0) {
        Py_CLEAR(task);
    }
    Py_XDECREF(keywords);
    Py_XDECREF(positional);
    Py_XDECREF(name);
    Py_DECREF(factory);
    return task;
}

/* Task(coro, loop=self, **kwargs), or whatever stands in Task's place. */
static PyObject *
create_task_by_type(LoopObject *loop, PyObject *coro, PyObject *kwargs)
{
    PyObject *keywords = kwargs ? PyDict_Copy(kwargs) : PyDict_New();
    PyObject *positional = PyTuple_Pack(1, coro);
    PyObject *type = task_rebound(loop->st);
    PyObject *task = NULL;
    if (type == NULL) {
        type = Py_NewRef((PyObject *)loop->st->TaskType);
    }
    if (keywords != NULL && positional != NULL &&
        PyDict_SetItem(keywords, loop->st->str_loop, (PyObject *)loop) == 0)
    {
        task = PyObject_Call(type, positional, keywords);
    }
    Py_DECREF(type);
    Py_XDECREF(keywords);
    Py_XDECREF(positional);
    return task;
}

PyObject *
loop_create_task(LoopObject *loop, PyObject *coro)
{
    if (FA_UNLIKELY(loop->task_factory != NULL)) {
        if (loop_check_closed(loop) < 0) {
            return NULL;
        }
        return loop_is_eager(loop)
                   ? task_new(loop->st, (PyObject *)loop, coro, NULL, NULL, 1)
                   : create_task_by_factory(loop, coro, NULL);
    }
    PyObject *other = task_rebound(loop->st);
    if (FA_LIKELY(other == NULL)) {
        return task_new(loop->st, (PyObject *)loop, coro, NULL, NULL, 0);
    }
    Py_DECREF(other);
    return create_task_by_type(loop, coro, NULL);
}

/* Keywords other than those of this version: as asyncio's method complains.
   Where it has **kwargs, Task itself does. */
static int
create_task_check_keywords(fa_state *st, PyObject *kwnames)
{
    if (st->create_task_kwargs) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, i);
        if (PyUnicode_Compare(key, st->str_name) != 0 &&
            PyUnicode_Compare(key, st->str_context) != 0 &&
            PyUnicode_Compare(key, st->str_coro) != 0)
        {
            PyErr_Format(PyExc_TypeError,
                         "BaseEventLoop.create_task() got an unexpected "
                         "keyword argument '%U'",
                         key);
            return -1;
        }
    }
    return 0;
}

/* By asyncio's eager factory: up to 3.13 the task gets its name afterwards. */
static PyObject *
create_task_eager(LoopObject *loop, PyObject *coro, PyObject *name,
                  PyObject *context)
{
    PyObject *task = task_new(loop->st, (PyObject *)loop, coro,
                              FA_HAS_TASK_KWARGS ? name : NULL, context, 1);
    if (!FA_HAS_TASK_KWARGS && task != NULL &&
        create_task_set_name(loop->st, task, name) < 0)
    {
        Py_CLEAR(task);
    }
    return task;
}

/* HOT. asyncio.create_task() gives name= (3.13), context= or nothing: with these
   and no factory it is task_new at once. 1 if so, the answer in *task (NULL with
   an exception); 0 if the long way must be gone. */
static int
create_task_direct(LoopObject *loop, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames, PyObject **task)
{
    fa_state *st = loop->st;
    PyObject *name = NULL, *context = NULL;
    if ((loop->task_factory != NULL && !loop_is_eager(loop)) || nargs != 1) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, i);
        if (key == st->str_name) {
            name = args[1 + i];
        }
        else if (key == st->str_context) {
            context = args[1 + i];
        }
        else {
            return 0;
        }
    }
    if (loop_is_eager(loop)) {
        *task = create_task_eager(loop, args[0], name, context);
        return 1;
    }
    PyObject *other = task_rebound(loop->st);
    if (FA_UNLIKELY(other != NULL)) {
        Py_DECREF(other);
        return 0;
    }
    *task = task_new(st, (PyObject *)loop, args[0], name, context, 0);
    return 1;
}

/* Keywords were given: collect them, find coro. */
static PyObject *
create_task_keywords(LoopObject *loop, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    PyObject *task = NULL;
    if (FA_LIKELY(create_task_direct(loop, args, nargs, kwnames, &task))) {
        return task;
    }
    if (create_task_check_keywords(loop->st, kwnames) < 0) {
        return NULL;
    }
    PyObject *kwargs = PyDict_New();
    PyObject *coro = nargs > 0 ? args[0] : NULL;
    for (Py_ssize_t i = 0; kwargs && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *key = PyTuple_GET_ITEM(kwnames, i);
        if (coro == NULL && PyUnicode_Compare(key, loop->st->str_coro) == 0) {
            coro = args[nargs + i];
        }
        else if (PyDict_SetItem(kwargs, key, args[nargs + i]) < 0) {
            Py_CLEAR(kwargs);
        }
    }
    if (kwargs == NULL) {
        return NULL;
    }
    if (coro == NULL) {
        PyErr_SetString(PyExc_TypeError,
                        "BaseEventLoop.create_task() missing 1 required "
                        "positional argument: 'coro'");
    }
    else {
        task = loop->task_factory ? create_task_by_factory(loop, coro, kwargs)
                                  : create_task_by_type(loop, coro, kwargs);
    }
    Py_DECREF(kwargs);
    return task;
}

static const fa_args create_task_spec = {
    .fname = "BaseEventLoop.create_task", .required = 1, .positional = 1,
    .python = 1, .total = 1, .names = {"coro"}};

PyDoc_STRVAR(Loop_create_task_doc,
#if FA_SAYS_TASK_KWARGS
"create_task($self, coro, **kwargs)\n--\n\n"
#else
"create_task($self, coro, *, name=None, context=None)\n--\n\n"
#endif
"Schedule a coroutine as a Task and return it. Keywords: name, context and\n"
"(3.12) eager_start. See asyncio.loop.create_task.");

static PyObject *
Loop_create_task(LoopObject *loop, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    if (FA_UNLIKELY(nargs != 1 && (kwnames == NULL || nargs > 1))) {
        PyObject *out[1];
        fa_args_parse(&create_task_spec, args, nargs, NULL, out);
        return NULL;
    }
    if (loop_check_closed(loop) < 0) {
        return NULL;
    }
    return kwnames == NULL
               ? loop_create_task(loop, args[0])
               : create_task_keywords(loop, args, nargs, kwnames);
}

#if FA_HAS_EAGER_START

/* What create_eager_task_factory(our Task) returned? 1, 0 or -1. By its code,
   as libraries know it too, and by what is in its closure. */
static int
is_eager_factory(fa_state *st, PyObject *factory)
{
    if (!PyFunction_Check(factory)) {
        return 0;
    }
    PyObject *closure = PyFunction_GET_CLOSURE(factory); // borrowed
    if (closure == NULL || PyTuple_GET_SIZE(closure) != 1 ||
        PyCell_GET(PyTuple_GET_ITEM(closure, 0)) != (PyObject *)st->TaskType)
    {
        return 0;
    }
    PyObject *known =
        PyObject_GetAttrString(st->mod_tasks, "eager_task_factory");
    if (known == NULL) {
        return -1;
    }
    int is = PyFunction_Check(known) &&
             PyFunction_GET_CODE(known) == PyFunction_GET_CODE(factory);
    Py_DECREF(known);
    return is;
}

#else

static int
is_eager_factory(fa_state *Py_UNUSED(st), PyObject *Py_UNUSED(factory))
{
    return 0;
}

#endif

PyDoc_STRVAR(Loop_set_task_factory_doc,
"set_task_factory($self, factory)\n--\n\n"
"Set the callable that makes tasks, or None for the default.\n"
"See asyncio.loop.set_task_factory.");

static PyObject *
Loop_set_task_factory(LoopObject *loop, PyObject *factory)
{
    if (factory != Py_None && !PyCallable_Check(factory)) {
        PyErr_SetString(PyExc_TypeError,
                        "task factory must be a callable or None");
        return NULL;
    }
    int eager = is_eager_factory(loop->st, factory);
    if (eager < 0) {
        return NULL;
    }
    Py_XSETREF(loop->eager_factory, eager ? Py_NewRef(factory) : NULL);
    Py_XSETREF(loop->task_factory,
               factory == Py_None ? NULL : Py_NewRef(factory));
    Py_RETURN_NONE;
}
FA_METHOD_ONE(Loop_set_task_factory, LoopObject,
              "BaseEventLoop.set_task_factory", "factory")

PyDoc_STRVAR(Loop_get_task_factory_doc,
"get_task_factory($self, /)\n--\n\n"
"Return the task factory, or None. See asyncio.loop.get_task_factory.");

static PyObject *
Loop_get_task_factory(LoopObject *loop, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(loop->task_factory ? loop->task_factory : Py_None);
}

PyMethodDef loop_task_methods[] = {
    {"create_future", (PyCFunction)Loop_create_future, METH_NOARGS,
     Loop_create_future_doc},
    {"create_task", (PyCFunction)(void (*)(void))Loop_create_task,
     METH_FASTCALL | METH_KEYWORDS, Loop_create_task_doc},
    {"set_task_factory",
     (PyCFunction)(void (*)(void))Loop_set_task_factory_kw,
     METH_FASTCALL | METH_KEYWORDS, Loop_set_task_factory_doc},
    {"get_task_factory", (PyCFunction)Loop_get_task_factory, METH_NOARGS,
     Loop_get_task_factory_doc},
    {NULL, NULL, 0, NULL},
};
