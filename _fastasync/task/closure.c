/* task/closure.c: the objects of task/closure.h.

   Cost of one that is heard: a ring entry and a C call; asyncio makes a Handle,
   enters a context and calls a Python function. HOT: closure_run, closure_add.
   Benchmarks: gather_1000, shield. */
#include "task/closure.h"

#include "base/args.h"
#include "base/errors.h"
#include "task/coro.h"
#include "task/freelist.h"
#include "task/private.h"

/* -- life ------------------------------------------------------------------------ */

FA_HOT ClosureObject *
closure_new(fa_state *st, const fa_closure_kind *kind, PyObject *context)
{
    context = context == NULL ? PyContext_CopyCurrent() : Py_NewRef(context);
    if (context == NULL) {
        return NULL;
    }
    ClosureObject *self = (ClosureObject *)freelist_pop(
        &st->free_closures, st->ClosureType, sizeof(ClosureObject));
    if (self == NULL) {
        self = PyObject_GC_New(ClosureObject, st->ClosureType);
        if (self == NULL) {
            Py_DECREF(context);
            return NULL;
        }
        memset((char *)self + sizeof(PyObject), 0,
               sizeof(ClosureObject) - sizeof(PyObject));
    }
    self->st = st;
    self->kind = kind;
    self->context = context;
    self->plain = 1;
    PyObject_GC_Track(self);
    return self;
}

static int
Closure_traverse(PyObject *self, visitproc visit, void *arg)
{
    ClosureObject *closure = (ClosureObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(closure->context);
    for (int i = 0; i < FA_CLOSURE_VARS; i++) {
        Py_VISIT(closure->vars[i]);
    }
    return 0;
}

static int
Closure_clear(PyObject *self)
{
    ClosureObject *closure = (ClosureObject *)self;
    for (int i = 0; i < FA_CLOSURE_VARS; i++) {
        Py_CLEAR(closure->vars[i]);
    }
    return 0; // the context stays: it is shown, and holds nothing of ours
}

static FA_HOT void
Closure_dealloc(PyObject *self)
{
    ClosureObject *closure = (ClosureObject *)self;
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Closure_clear(self);
    Py_CLEAR(closure->context);
    if (!freelist_push(&closure->st->free_closures, self)) {
        PyObject_GC_Del(self);
    }
    Py_DECREF(tp);
}

/* -- adding and removing ----------------------------------------------------------- */

FA_HOT int
closure_add(ClosureObject *closure, PyObject *fut)
{
    if (FA_LIKELY(future_plain(closure->st, fut))) {
        return future_add_closure((FutureObject *)fut, (PyObject *)closure);
    }
    closure->plain = 0;
    return fa_future_add_done_callback(closure->st, fut,
                                       (PyObject *)closure);
}

int
closure_remove(ClosureObject *closure, PyObject *fut)
{
    if (FA_LIKELY(future_plain(closure->st, fut) &&
                  ((FutureObject *)fut)->state != FA_PENDING))
    {
        return 0; // they have left it
    }
    return fa_future_remove_done_callback(closure->st, fut,
                                          (PyObject *)closure);
}

/* -- hearing ------------------------------------------------------------------------- */

/* In a copy of its context, as a Handle would. */
static FA_COLD int
closure_hear_in_context(ClosureObject *closure, PyObject *fut)
{
    PyObject *context = PyContext_Copy(closure->context);
    if (context == NULL || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        return -1;
    }
    int rc = closure->kind->hear(closure, fut);
    PyObject *raised = rc < 0 ? fa_err_take() : NULL;
    if (PyContext_Exit(context) < 0) {
        rc = -1;
    }
    fa_err_chain(raised);
    Py_DECREF(context);
    return rc;
}

FA_HOT int
closure_run(LoopObject *loop, PyObject *self, PyObject *fut)
{
    ClosureObject *closure = (ClosureObject *)self;
    int rc = FA_LIKELY(closure->plain)
                 ? closure->kind->hear(closure, fut)
                 : closure_hear_in_context(closure, fut);
    if (FA_UNLIKELY(rc < 0)) {
        rc = callback_run_failed(loop, Py_NewRef(self), fut,
                                 closure->context);
    }
    Py_DECREF(self);
    Py_DECREF(fut);
    return rc;
}

PyObject *
closure_context(PyObject *self)
{
    return ((ClosureObject *)self)->context;
}

/* -- what Python sees ------------------------------------------------------------------ */

static PyObject *
Closure_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    ClosureObject *closure = (ClosureObject *)self;
    const fa_args spec = {
        .fname = closure->kind->qualname, .required = 1, .positional = 1,
        .python = 2, .total = 1, .names = {closure->kind->argument},
    };
    PyObject *fut;
    if (fa_args_parse_tuple(&spec, args, kwargs, &fut) < 0 ||
        closure->kind->hear(closure, fut) < 0)
    {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Closure_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<function %s at %p>",
                                ((ClosureObject *)self)->kind->qualname,
                                self);
}

static PyObject *
Closure_get_qualname(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(((ClosureObject *)self)->kind->qualname);
}

static PyObject *
Closure_get_name(PyObject *self, void *Py_UNUSED(closure))
{
    const char *qualname = ((ClosureObject *)self)->kind->qualname;
    const char *dot = strrchr(qualname, '.');
    return PyUnicode_FromString(dot == NULL ? qualname : dot + 1);
}

static PyObject *
Closure_get_module(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return PyUnicode_FromString("fastasync");
}

static PyGetSetDef Closure_getset[] = {
    {"__name__", Closure_get_name, NULL, NULL, NULL},
    {"__qualname__", Closure_get_qualname, NULL, NULL, NULL},
    {"__module__", Closure_get_module, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Closure_slots[] = {
    {Py_tp_dealloc, Closure_dealloc},
    {Py_tp_traverse, Closure_traverse},
    {Py_tp_clear, Closure_clear},
    {Py_tp_repr, Closure_repr},
    {Py_tp_call, Closure_call},
    {Py_tp_getset, Closure_getset},
    {0, NULL},
};

static PyType_Spec Closure_spec = {
    .name = "_fastasync.callback",
    .basicsize = sizeof(ClosureObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Closure_slots,
};

int
closure_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &Closure_spec, NULL, &st->ClosureType);
}
