/* task/done.c: see done.h. HOT: done_add, done_run. */
#include "task/done.h"
#include "base/args.h"
#include "base/errors.h"
#include "task/coro.h"
#include "task/private.h"

#include <string.h>

/* -- life --------------------------------------------------------------------- */

static PyObject *Done_vectorcall(PyObject *self, PyObject *const *args,
                                 size_t nargsf, PyObject *kwnames);

DoneObject *
done_new(fa_state *st, const fa_done_kind *kind, PyObject *a, PyObject *b)
{
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL) {
        return NULL;
    }
    DoneObject *done = PyObject_GC_New(DoneObject, st->DoneType);
    if (done == NULL) {
        Py_DECREF(context);
        return NULL;
    }
    memset((char *)done + sizeof(PyObject), 0,
           sizeof(DoneObject) - sizeof(PyObject));
    done->vectorcall = Done_vectorcall;
    done->st = st;
    done->kind = kind;
    done->context = context;
    done->vars[0] = Py_XNewRef(a);
    done->vars[1] = Py_XNewRef(b);
    PyObject_GC_Track(done);
    return done;
}

static int
Done_traverse(PyObject *self, visitproc visit, void *arg)
{
    DoneObject *done = (DoneObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(done->context);
    for (int i = 0; i < FA_DONE_VARS; i++) {
        Py_VISIT(done->vars[i]);
    }
    return 0;
}

static int
Done_clear(PyObject *self)
{
    DoneObject *done = (DoneObject *)self;
    Py_CLEAR(done->context);
    for (int i = 0; i < FA_DONE_VARS; i++) {
        Py_CLEAR(done->vars[i]);
    }
    return 0;
}

static void
Done_dealloc(PyObject *self)
{
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Done_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(tp);
}

/* -- engine --------------------------------------------------------------------- */

int
done_is_current(const DoneObject *done)
{
    fa_state *st = done->st;
    PyObject *current = PyThreadState_Get()->context;
    return st->context_vars && current != NULL && done->context != NULL &&
           *(void **)((char *)current + st->context_vars) ==
               *(void **)((char *)done->context + st->context_vars);
}

int
done_add(DoneObject *done, PyObject *fut)
{
    if (FA_UNLIKELY(!future_check_exact(done->st, fut) ||
                    done->context == NULL))
    {
        return fa_future_add_done_callback(done->st, fut, (PyObject *)done);
    }
    return future_add_callback((FutureObject *)fut, (PyObject *)done,
                               done->context);
}

int
done_remove(DoneObject *done, PyObject *fut)
{
    if (FA_LIKELY(future_check_exact(done->st, fut) &&
                  ((FutureObject *)fut)->state != FA_PENDING))
    {
        return 0; // they have left it
    }
    return fa_future_remove_done_callback(done->st, fut, (PyObject *)done);
}

int
fa_future_exception(fa_state *st, PyObject *fut, PyObject **exc)
{
    if (FA_LIKELY(future_check_exact(st, fut) &&
                  ((FutureObject *)fut)->state == FA_FINISHED))
    {
        FutureObject *ours = (FutureObject *)fut;
        *exc = NULL;
        if (ours->failed) {
            ours->log_tb = 0;
            *exc = Py_NewRef(ours->outcome);
        }
        return 0;
    }
    *exc = PyObject_CallMethodNoArgs(fut, st->str_exception);
    if (*exc == NULL) {
        return -1;
    }
    if (*exc == Py_None) {
        Py_CLEAR(*exc);
    }
    return 0;
}

/* run() in a context like that of a Handle. */
static FA_COLD int
done_run_in_context(DoneObject *done, PyObject *fut)
{
    PyObject *context =
        done->context == NULL ? NULL : PyContext_Copy(done->context);
    if (context == NULL || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        return PyErr_Occurred() ? -1 : 0; // 0: the collector has emptied it
    }
    int rc = done->kind->run(done, fut);
    PyObject *raised = fa_err_take();
    if (PyContext_Exit(context) < 0) {
        rc = -1;
        fa_err_chain(raised);
    }
    else {
        fa_err_restore(raised);
    }
    Py_DECREF(context);
    return rc;
}

/* What run() has raised: to the exception handler, as a Handle would have told
   it. 0, or -1 if it must leave the loop. */
static FA_COLD int
done_failed(LoopObject *loop, DoneObject *done, PyObject *fut)
{
    if (fa_err_is_exit()) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    PyObject *args = PyTuple_Pack(1, fut);
    PyObject *context = PyContext_CopyCurrent();
    int rc = -1;
    if (args != NULL && context != NULL) {
        rc = callback_report_failure(loop, (PyObject *)done, args,
                                     done->context ? done->context : context,
                                     exc);
    }
    if (rc < 0 && !fa_err_is_exit()) {
        fa_err_unraisable((PyObject *)done);
        rc = 0;
    }
    Py_XDECREF(args);
    Py_XDECREF(context);
    Py_DECREF(exc);
    return rc;
}

FA_HOT int
done_run(LoopObject *loop, PyObject *self, PyObject *fut)
{
    DoneObject *done = (DoneObject *)self;
    int rc = 0;
    if (FA_UNLIKELY(!future_check_exact(done->st, fut) ||
                    !done->kind->quick(done, fut)))
    {
        rc = done_run_in_context(done, fut);
        if (rc < 0) {
            rc = done_failed(loop, done, fut);
        }
    }
    Py_DECREF(fut);
    Py_DECREF(self);
    return rc;
}

/* -- methods ------------------------------------------------------------------------ */

/* done(fut), called by a Handle or by anybody. */
static PyObject *
Done_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf,
                PyObject *kwnames)
{
    DoneObject *done = (DoneObject *)self;
    const fa_args spec = {
        .fname = done->kind->qualname, .required = 1, .positional = 1,
        .python = 2, .total = 1, .names = {"fut"},
    };
    PyObject *fut;
    if (fa_args_parse(&spec, args, PyVectorcall_NARGS(nargsf), kwnames,
                      &fut) < 0)
    {
        return NULL;
    }
    Py_INCREF(self);
    Py_INCREF(fut);
    int rc = done->kind->run(done, fut);
    Py_DECREF(fut);
    Py_DECREF(self);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Done_get_qualname(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(((DoneObject *)self)->kind->qualname);
}

static PyObject *
Done_get_name(PyObject *self, void *Py_UNUSED(closure))
{
    const char *qualname = ((DoneObject *)self)->kind->qualname;
    const char *dot = strrchr(qualname, '.');
    return PyUnicode_FromString(dot == NULL ? qualname : dot + 1);
}

static PyObject *
Done_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<function %s at %p>",
                                ((DoneObject *)self)->kind->qualname, self);
}

/* -- tables --------------------------------------------------------------------------- */

static PyGetSetDef Done_getset[] = {
    {"__name__", Done_get_name, NULL, NULL, NULL},
    {"__qualname__", Done_get_qualname, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Done_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(DoneObject, vectorcall),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Done_slots[] = {
    {Py_tp_dealloc, Done_dealloc},
    {Py_tp_traverse, Done_traverse},
    {Py_tp_clear, Done_clear},
    {Py_tp_repr, Done_repr},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_getset, Done_getset},
    {Py_tp_members, Done_members},
    {0, NULL},
};

static PyType_Spec Done_spec = {
    .name = "_fastasync.done_callback",
    .basicsize = sizeof(DoneObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Done_slots,
};

int
done_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &Done_spec, NULL, &st->DoneType);
}
