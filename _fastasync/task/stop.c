/* task/stop.c: a StopIteration that costs next to nothing.

   Where the SEND opcode calls tp_iternext (3.12 to 3.14), a value leaves `await`
   inside a StopIteration, which the interpreter takes apart and drops at once;
   making it is the dearest part of awaiting a future (60 of 100 ns). So there is
   a C subclass of StopIteration whose destructor keeps one spare instance, with
   its tuple of arguments, in the module state. The value is let go as soon as it
   is dropped, as with a fresh one. A program that calls next() on a future's
   iterator itself sees an exception of that subclass, with the same name, text,
   value and arguments.

   The other versions ask am_send and get the value without an exception. HOT.
   Benchmark: future_await. */
#include "base/errors.h"
#include "task/private.h"

void
stop_raise_plain(PyObject *value)
{
    // through the constructor: PyErr_SetObject would unpack a tuple, and take
    // an exception for the instance to raise
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, value);
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
        Py_DECREF(stop);
    }
}

#if FA_HAS_AM_SEND_OPCODE || FA_GIL_DISABLED

void
stop_raise(fa_state *Py_UNUSED(st), PyObject *value)
{
    stop_raise_plain(value);
}

void
stop_clear_spare(fa_state *Py_UNUSED(st))
{
}

int
stop_type_init(PyObject *Py_UNUSED(module), fa_state *Py_UNUSED(st))
{
    return 0;
}

#else

static int
Stop_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return ((PyTypeObject *)PyExc_StopIteration)->tp_traverse(self, visit, arg);
}

static int
Stop_clear(PyObject *self)
{
    return ((PyTypeObject *)PyExc_StopIteration)->tp_clear(self);
}

/* Nobody has written to it but us, and nobody else has its arguments. */
static inline int
stop_is_pristine(PyStopIterationObject *stop)
{
    return stop->traceback == NULL && stop->context == NULL &&
           stop->cause == NULL && stop->dict == NULL && stop->notes == NULL &&
           stop->args != NULL && PyTuple_CheckExact(stop->args) &&
           PyTuple_GET_SIZE(stop->args) == 1 && fa_is_unique(stop->args) &&
           !stop->suppress_context;
}

static FA_HOT void
Stop_dealloc(PyObject *self)
{
    PyStopIterationObject *stop = (PyStopIterationObject *)self;
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    fa_state *st = fa_state_of_module(PyType_GetModule(tp));
    if (FA_LIKELY(stop_is_pristine(stop))) {
        PyObject *value = stop->value;
        PyObject *argument = PyTuple_GET_ITEM(stop->args, 0);
        stop->value = NULL;
        PyTuple_SET_ITEM(stop->args, 0, Py_NewRef(Py_None));
        Py_XDECREF(argument);
        Py_XDECREF(value); // may run Python code, and so make a spare
        if (st->free_stop == NULL && tp == st->StopType) {
            st->free_stop = self;
            Py_DECREF(tp);
            return;
        }
    }
    Stop_clear(self);
    tp->tp_free(self);
    Py_DECREF(tp);
}

/* A new one, with a tuple of one argument. */
static FA_COLD PyObject *
stop_new(fa_state *st)
{
    PyObject *args = PyTuple_Pack(1, Py_None);
    PyObject *stop = args == NULL ? NULL
                                  : PyObject_Call((PyObject *)st->StopType,
                                                  args, NULL);
    if (stop != NULL) {
        // the constructor may have kept another tuple than ours
        Py_XSETREF(((PyStopIterationObject *)stop)->args, Py_NewRef(args));
    }
    Py_XDECREF(args);
    return stop;
}

FA_HOT void
stop_raise(fa_state *st, PyObject *value)
{
    PyObject *self = st->free_stop;
    if (FA_LIKELY(self != NULL)) {
        st->free_stop = NULL;
        PyObject_Init(self, st->StopType);
        PyObject_GC_Track(self);
    }
    else if ((self = stop_new(st)) == NULL) {
        return;
    }
    PyStopIterationObject *stop = (PyStopIterationObject *)self;
    Py_XSETREF(stop->value, Py_NewRef(value));
    // ours alone, so it may still be written to
    PyObject *former = PyTuple_GET_ITEM(stop->args, 0);
    PyTuple_SET_ITEM(stop->args, 0, Py_NewRef(value));
    Py_XDECREF(former);
    fa_err_restore(self);
}

void
stop_clear_spare(fa_state *st)
{
    PyObject *self = st->free_stop;
    if (self != NULL) {
        st->free_stop = NULL;
        Stop_clear(self);
        PyObject_GC_Del(self);
    }
}

static PyType_Slot Stop_slots[] = {
    {Py_tp_dealloc, Stop_dealloc},
    {Py_tp_traverse, Stop_traverse},
    {Py_tp_clear, Stop_clear},
    {0, NULL},
};

static PyType_Spec Stop_spec = {
    .name = "_fastasync.StopIteration",
    .basicsize = sizeof(PyStopIterationObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Stop_slots,
};

int
stop_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &Stop_spec, PyExc_StopIteration, &st->StopType);
}

#endif
