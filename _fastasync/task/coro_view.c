/* task/coro_view.c: how a C coroutine stands in the call graph.

   asyncio.print_call_graph() and its kin walk from coroutine to coroutine by
   cr_await and show cr_frame of each: "async Queue.get()". A C coroutine has no
   Python frame, so it shows a CoroView in that place: an object with the
   attributes of a frame that say where one is (f_code, f_lineno, f_generator) and
   no more. Some of our coroutines stand for two of asyncio's, one awaiting the
   other (`inner` below): the second one is a CoroView too, which is then its own
   coroutine and frame. Made when asked for; nothing here is called otherwise. */
#include "task/coro.h"
#include "task/private.h"

#include <string.h>

typedef struct {
    PyObject_HEAD
    PyObject *co;         /* strong: the coroutine */
    const char *qualname; /* constant */
    int is_inner;
} CoroViewObject;

/* Which coroutine of asyncio's awaits, inside of the one that ours is called
   after: NULL = none. */
static const char *
coro_inner(const char *qualname)
{
    static const char *const pairs[][2] = {
        {"wait", "_wait"},
        {"TaskGroup.__aexit__", "TaskGroup._aexit"},
        {"_AsCompletedIterator._wait_for_one", "Queue.get"},
        {"as_completed.<locals>._wait_for_one", "Queue.get"},
    };
    for (size_t i = 0; i < FA_ARRAY_LEN(pairs); i++) {
        if (strcmp(qualname, pairs[i][0]) == 0) {
            return pairs[i][1];
        }
    }
    return NULL;
}

static const char *
coro_last_name(const char *qualname)
{
    const char *dot = strrchr(qualname, '.');
    return dot == NULL ? qualname : dot + 1;
}

PyObject *
coro_code(const char *qualname)
{
    PyObject *code = (PyObject *)PyCode_NewEmpty(
        "<fastasync>", coro_last_name(qualname), 1);
    PyObject *replace =
        code == NULL ? NULL : PyObject_GetAttrString(code, "replace");
    Py_XDECREF(code);
    PyObject *none = replace == NULL ? NULL : PyTuple_New(0);
    PyObject *changes =
        none == NULL ? NULL : Py_BuildValue("{s:s}", "co_qualname", qualname);
    code = changes == NULL ? NULL : PyObject_Call(replace, none, changes);
    Py_XDECREF(replace);
    Py_XDECREF(none);
    Py_XDECREF(changes);
    return code;
}

static PyObject *
coro_view_new(fa_state *st, PyObject *co, const char *qualname, int is_inner)
{
    CoroViewObject *view = PyObject_GC_New(CoroViewObject, st->CoroViewType);
    if (view != NULL) {
        view->co = Py_NewRef(co);
        view->qualname = qualname;
        view->is_inner = is_inner;
        PyObject_GC_Track(view);
    }
    return (PyObject *)view;
}

PyObject *
coro_frame(CoroObject *co)
{
    if (co->state == FA_CORO_DONE) {
        Py_RETURN_NONE;
    }
    return coro_view_new(co->st, (PyObject *)co, co->kind->qualname, 0);
}

/* What it awaits: the iterator or the future; None if that is nothing. */
static PyObject *
coro_awaited(CoroObject *co)
{
    int awaits = co->state == FA_CORO_SUSPENDED && co->awaited != NULL;
    return Py_NewRef(awaits ? co->awaited : Py_None);
}

PyObject *
coro_await_shown(CoroObject *co)
{
    const char *inner = coro_inner(co->kind->qualname);
    if (inner != NULL && co->state == FA_CORO_SUSPENDED) {
        return coro_view_new(co->st, (PyObject *)co, inner, 1);
    }
    return coro_awaited(co);
}

/* -- the type ----------------------------------------------------------------------- */

static int
CoroView_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((CoroViewObject *)self)->co);
    return 0;
}

static int
CoroView_clear(PyObject *self)
{
    Py_CLEAR(((CoroViewObject *)self)->co);
    return 0;
}

static void
CoroView_dealloc(PyObject *self)
{
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    CoroView_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(tp);
}

static PyObject *
CoroView_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<view of coroutine %s at %p>",
                                ((CoroViewObject *)self)->qualname, self);
}

static PyObject *
CoroView_get_code(PyObject *self, void *Py_UNUSED(closure))
{
    return coro_code(((CoroViewObject *)self)->qualname);
}

static PyObject *
CoroView_get_name(PyObject *self, void *closure)
{
    const char *qualname = ((CoroViewObject *)self)->qualname;
    return PyUnicode_FromString(closure ? qualname : coro_last_name(qualname));
}

/* As a frame: whose it is. */
static PyObject *
CoroView_get_generator(PyObject *self, void *Py_UNUSED(closure))
{
    CoroViewObject *view = (CoroViewObject *)self;
    return Py_NewRef(view->is_inner ? self : view->co);
}

static PyObject *
CoroView_get_await(PyObject *self, void *Py_UNUSED(closure))
{
    CoroViewObject *view = (CoroViewObject *)self;
    if (!view->is_inner || view->co == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cr_await");
        return NULL;
    }
    return coro_awaited((CoroObject *)view->co);
}

static PyObject *
CoroView_get_none(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    Py_RETURN_NONE;
}

static PyObject *
CoroView_get_dict(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return PyDict_New();
}

static PyObject *
CoroView_get_number(PyObject *Py_UNUSED(self), void *closure)
{
    return PyLong_FromLong(closure ? 1 : -1);
}

static PyGetSetDef CoroView_getset[] = {
    {"f_code", CoroView_get_code, NULL, NULL, NULL},
    {"f_generator", CoroView_get_generator, NULL, NULL, NULL},
    {"f_lineno", CoroView_get_number, NULL, NULL, (void *)"f_lineno"},
    {"f_lasti", CoroView_get_number, NULL, NULL, NULL},
    {"f_back", CoroView_get_none, NULL, NULL, NULL},
    {"f_trace", CoroView_get_none, NULL, NULL, NULL},
    {"f_locals", CoroView_get_dict, NULL, NULL, NULL},
    {"f_globals", CoroView_get_dict, NULL, NULL, NULL},
    {"f_builtins", CoroView_get_dict, NULL, NULL, NULL},
    {"cr_code", CoroView_get_code, NULL, NULL, NULL},
    {"cr_frame", CoroView_get_generator, NULL, NULL, NULL},
    {"cr_await", CoroView_get_await, NULL, NULL, NULL},
    {"__name__", CoroView_get_name, NULL, NULL, NULL},
    {"__qualname__", CoroView_get_name, NULL, NULL, (void *)"__qualname__"},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot CoroView_slots[] = {
    {Py_tp_dealloc, CoroView_dealloc},
    {Py_tp_traverse, CoroView_traverse},
    {Py_tp_clear, CoroView_clear},
    {Py_tp_repr, CoroView_repr},
    {Py_tp_getset, CoroView_getset},
    {0, NULL},
};

static PyType_Spec CoroView_spec = {
    .name = "_fastasync.coroutine_view",
    .basicsize = sizeof(CoroViewObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = CoroView_slots,
};

int
coro_view_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &CoroView_spec, NULL, &st->CoroViewType);
}
