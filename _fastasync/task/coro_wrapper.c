/* task/coro_wrapper.c: what `coro.__await__()` returns.

   The interpreter awaits a C coroutine by itself (am_await returns it). Python
   code that asks for `__await__()` must get an iterator, to say `yield from` it;
   a coroutine is none. So that method returns a wrapper, as a Python coroutine's
   does, which passes everything on. Cold. */
#include "task/coro.h"
#include "task/private.h"

typedef struct {
    PyObject_HEAD
    fa_state *st;     /* borrowed */
    PyObject *coro;   /* strong; NULL after clear */
} CoroWrapperObject;

PyObject *
coro_wrapper_new(fa_state *st, PyObject *coro)
{
    CoroWrapperObject *self =
        PyObject_GC_New(CoroWrapperObject, st->CoroWrapperType);
    if (self != NULL) {
        self->st = st;
        self->coro = Py_NewRef(coro);
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

static int
CoroWrapper_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((CoroWrapperObject *)self)->coro);
    return 0;
}

static int
CoroWrapper_clear(PyObject *self)
{
    Py_CLEAR(((CoroWrapperObject *)self)->coro);
    return 0;
}

static void
CoroWrapper_dealloc(PyObject *self)
{
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    CoroWrapper_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(tp);
}

static PyObject *
CoroWrapper_iternext(PyObject *self)
{
    PyObject *coro = ((CoroWrapperObject *)self)->coro;
    return coro == NULL ? NULL : Py_TYPE(coro)->tp_iternext(coro);
}

/* coro.name(*args) */
static PyObject *
coro_wrapper_pass(PyObject *self, PyObject *name, PyObject *const *args,
                  Py_ssize_t nargs)
{
    PyObject *coro = ((CoroWrapperObject *)self)->coro;
    if (coro == NULL) {
        Py_RETURN_NONE; // garbage, being cleared
    }
    PyObject *method = PyObject_GetAttr(coro, name);
    if (method == NULL) {
        return NULL;
    }
    PyObject *answer = PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
    Py_DECREF(method);
    return answer;
}

static PyObject *
CoroWrapper_send(PyObject *self, PyObject *value)
{
    return coro_wrapper_pass(self, ((CoroWrapperObject *)self)->st->str_send,
                             &value, 1);
}

static PyObject *
CoroWrapper_throw(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    return coro_wrapper_pass(self, ((CoroWrapperObject *)self)->st->str_throw,
                             args, nargs);
}

static PyObject *
CoroWrapper_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return coro_wrapper_pass(self, ((CoroWrapperObject *)self)->st->str_close,
                             NULL, 0);
}

static PyMethodDef CoroWrapper_methods[] = {
    {"send", CoroWrapper_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))CoroWrapper_throw, METH_FASTCALL,
     NULL},
    {"close", CoroWrapper_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot CoroWrapper_slots[] = {
    {Py_tp_dealloc, CoroWrapper_dealloc},
    {Py_tp_traverse, CoroWrapper_traverse},
    {Py_tp_clear, CoroWrapper_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, CoroWrapper_iternext},
    {Py_tp_methods, CoroWrapper_methods},
    {0, NULL},
};

static PyType_Spec CoroWrapper_spec = {
    .name = "_fastasync.coroutine_wrapper",
    .basicsize = sizeof(CoroWrapperObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = CoroWrapper_slots,
};

int
coro_wrapper_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &CoroWrapper_spec, NULL, &st->CoroWrapperType);
}
