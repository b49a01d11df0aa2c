/* task/coro_iter.c: what coro.__await__() is to Python code.

   The interpreter awaits a coroutine of ours by itself. Python code that drives
   one by hand (`for _ in coro.__await__()`, libraries with schedulers of their
   own) gets an iterator, as from a Python coroutine; the coroutine itself can
   not be iterated over. Cold. */
#include "base/errors.h"
#include "task/coro.h"
#include "task/private.h"

typedef struct {
    PyObject_HEAD
    PyObject *coro; /* strong; NULL after clear */
} CoroIterObject;

PyObject *
coro_iter_new(CoroObject *co)
{
    CoroIterObject *it = PyObject_GC_New(CoroIterObject,
                                         co->st->CoroIterType);
    if (it != NULL) {
        it->coro = Py_NewRef((PyObject *)co);
        PyObject_GC_Track(it);
    }
    return (PyObject *)it;
}

static int
CoroIter_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((CoroIterObject *)self)->coro);
    return 0;
}

static int
CoroIter_clear(PyObject *self)
{
    Py_CLEAR(((CoroIterObject *)self)->coro);
    return 0;
}

static void
CoroIter_dealloc(PyObject *self)
{
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    CoroIter_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(tp);
}

/* -- methods: the coroutine's ------------------------------------------------------ */

static PyObject *
coro_iter_coro(PyObject *self)
{
    PyObject *coro = ((CoroIterObject *)self)->coro;
    if (coro == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot reuse already awaited coroutine");
    }
    return Py_XNewRef(coro);
}

static PyObject *
CoroIter_iternext(PyObject *self)
{
    PyObject *coro = coro_iter_coro(self);
    PyObject *result =
        coro == NULL ? NULL : Py_TYPE(coro)->tp_iternext(coro);
    Py_XDECREF(coro);
    return result;
}

static PyObject *
CoroIter_send(PyObject *self, PyObject *value)
{
    PyObject *coro = coro_iter_coro(self);
    PyObject *result =
        coro == NULL ? NULL : PyObject_CallMethod(coro, "send", "O", value);
    Py_XDECREF(coro);
    return result;
}

static PyObject *
CoroIter_throw(PyObject *self, PyObject *args)
{
    PyObject *coro = coro_iter_coro(self);
    PyObject *method =
        coro == NULL ? NULL : PyObject_GetAttrString(coro, "throw");
    PyObject *result =
        method == NULL ? NULL : PyObject_Call(method, args, NULL);
    Py_XDECREF(coro);
    Py_XDECREF(method);
    return result;
}

static PyObject *
CoroIter_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *coro = coro_iter_coro(self);
    PyObject *result =
        coro == NULL ? NULL : PyObject_CallMethod(coro, "close", NULL);
    Py_XDECREF(coro);
    return result;
}

/* -- tables -------------------------------------------------------------------------- */

static PyMethodDef CoroIter_methods[] = {
    {"send", CoroIter_send, METH_O, NULL},
    {"throw", CoroIter_throw, METH_VARARGS, NULL},
    {"close", CoroIter_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot CoroIter_slots[] = {
    {Py_tp_dealloc, CoroIter_dealloc},
    {Py_tp_traverse, CoroIter_traverse},
    {Py_tp_clear, CoroIter_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, CoroIter_iternext},
    {Py_tp_methods, CoroIter_methods},
    {0, NULL},
};

static PyType_Spec CoroIter_spec = {
    .name = "_fastasync.coroutine_wrapper",
    .basicsize = sizeof(CoroIterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = CoroIter_slots,
};

int
coro_iter_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &CoroIter_spec, NULL, &st->CoroIterType);
}
