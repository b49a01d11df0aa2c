/* task/future_iter.c: what `await future` sends and receives.

   The iterator of a future yields the future once, if it is pending, and then
   returns its result. Two tricks keep the return cheap (benchmark:
   future_await): None needs no exception at all (NULL without one means
   StopIteration), and on versions whose SEND opcode does not use am_send the
   StopIteration that carries any other value is one that is used again and
   again (stop.c).

   The iterator owns its future until throw() or close(). Freed iterators wait in
   a short list of the module state. HOT: everything but throw and close. */
#include "base/errors.h"
#include "task/freelist.h"
#include "task/private.h"

typedef struct {
    PyObject_HEAD
    FutureObject *future; /* strong; NULL after throw or close */
    fa_state *st;         /* borrowed */
} FutureIterObject;

/* -- life ------------------------------------------------------------------- */

FA_HOT PyObject *
future_iter_new(PyObject *self)
{
    FutureObject *fut = (FutureObject *)self;
    if (future_ensure_alive(fut) < 0) {
        return NULL;
    }
    PyTypeObject *tp = fut->st->FutureIterType;
    FutureIterObject *it = (FutureIterObject *)freelist_pop(
        &fut->st->free_iters, tp, sizeof(FutureIterObject));
    if (FA_UNLIKELY(it == NULL)) {
        it = PyObject_GC_New(FutureIterObject, tp);
        if (it == NULL) {
            return NULL;
        }
    }
    it->st = fut->st;
    it->future = (FutureObject *)Py_NewRef(self);
    PyObject_GC_Track(it);
    return (PyObject *)it;
}

static int
FutureIter_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((FutureIterObject *)self)->future);
    return 0;
}

static int
FutureIter_clear(PyObject *self)
{
    Py_CLEAR(((FutureIterObject *)self)->future);
    return 0;
}

static FA_HOT void
FutureIter_dealloc(PyObject *self)
{
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    FutureIter_clear(self);
    if (!freelist_push(&((FutureIterObject *)self)->st->free_iters, self)) {
        PyObject_GC_Del(self);
    }
    Py_DECREF(tp);
}

/* -- engine ------------------------------------------------------------------- */

static FA_COLD PySendResult
future_iter_failed(FutureObject *fut)
{
    PyObject *exc;
    if (fut->state == FA_PENDING) {
        PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
    }
    else if (future_get_result(fut, &exc) == 1) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        Py_DECREF(exc);
    }
    return PYGEN_ERROR;
}

static FA_HOT PySendResult
FutureIter_am_send(PyObject *self, PyObject *Py_UNUSED(value),
                   PyObject **result)
{
    FutureObject *fut = ((FutureIterObject *)self)->future;
    *result = NULL;
    if (FA_UNLIKELY(fut == NULL)) {
        *result = Py_NewRef(Py_None); // closed: an exhausted iterator
        return PYGEN_RETURN;
    }
    if (fut->state == FA_PENDING && !fut->blocking) {
        fut->blocking = 1;
        *result = Py_NewRef((PyObject *)fut);
        return PYGEN_NEXT;
    }
    PySendResult status = PYGEN_RETURN;
    if (FA_LIKELY(fut->state == FA_FINISHED && !fut->failed)) {
        *result = Py_NewRef(fut->outcome);
    }
    else {
        status = future_iter_failed(fut);
    }
    if (!FA_FUTURE_ITER_REPEATS && fut->state != FA_PENDING) {
        FutureIter_clear(self); // exhausted
    }
    return status;
}

static FA_HOT PyObject *
FutureIter_iternext(PyObject *self)
{
    PyObject *result;
    PySendResult status = FutureIter_am_send(self, Py_None, &result);
    if (status == PYGEN_RETURN) {
        if (result != Py_None) {
            stop_raise(((FutureIterObject *)self)->st, result);
        }
        Py_DECREF(result);
        return NULL;
    }
    return result;
}

/* -- methods -------------------------------------------------------------------- */

/* What is sent does not matter: it returns the future's result. */
static PyObject *
FutureIter_send(PyObject *self, PyObject *Py_UNUSED(value))
{
    PyObject *result;
    PySendResult status = FutureIter_am_send(self, Py_None, &result);
    if (status == PYGEN_RETURN) {
        stop_raise_plain(result);
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
FutureIter_throw(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *exc = fa_throw_arguments(args, nargs);
    if (exc == NULL) {
        return NULL;
    }
    FutureIter_clear(self);
    fa_err_restore(exc);
    return NULL;
}

static PyObject *
FutureIter_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    FutureIter_clear(self);
    Py_RETURN_NONE;
}

/* -- tables ------------------------------------------------------------------------ */

static PyMethodDef FutureIter_methods[] = {
    {"send", FutureIter_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))FutureIter_throw, METH_FASTCALL,
     NULL},
    {"close", FutureIter_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot FutureIter_slots[] = {
    {Py_tp_dealloc, FutureIter_dealloc},
    {Py_tp_traverse, FutureIter_traverse},
    {Py_tp_clear, FutureIter_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, FutureIter_iternext},
    {Py_am_send, FutureIter_am_send},
    {Py_tp_methods, FutureIter_methods},
    {0, NULL},
};

static PyType_Spec FutureIter_spec = {
    .name = "_fastasync.FutureIter",
    .basicsize = sizeof(FutureIterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = FutureIter_slots,
};

int
future_iter_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &FutureIter_spec, NULL, &st->FutureIterType);
}
