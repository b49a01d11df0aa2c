/* task/coro.c: the type of coroutines that C functions are the bodies of.

   The engine is coro_run: it calls the kind's turn, looks at what the turn wants
   to wait for, and either goes on at once (it is done already) or suspends by
   yielding, as the `await` of Python's interpreter does: a future of ours is
   yielded itself, anything else is driven through its iterator. send(), throw()
   and close() enter there, with the texts of a Python coroutine. HOT: coro_new,
   coro_run, Coro_am_send, the destructor. */
#include "task/coro.h"
#include "base/errors.h"
#include "task/freelist.h"
#include "task/private.h"

#include <string.h>

/* -- life --------------------------------------------------------------------- */

/* One from the allocator, all zero behind its head. */
static FA_COLD CoroObject *
coro_alloc(fa_state *st)
{
    CoroObject *co = PyObject_GC_New(CoroObject, st->CoroType);
    if (co != NULL) {
        memset((char *)co + sizeof(PyObject), 0,
               sizeof(CoroObject) - sizeof(PyObject));
        co->st = st;
    }
    return co;
}

/* One from the freelist: its type, st and what coro_forget has cleared are as
   they were. NULL: it is empty. */
static inline CoroObject *
coro_reuse(fa_state *st)
{
    CoroObject *co = (CoroObject *)st->free_coros.first;
    if (FA_UNLIKELY(co == NULL)) {
        return NULL;
    }
    st->free_coros.first = *freelist_link((PyObject *)co);
    st->free_coros.count--;
    freelist_revive((PyObject *)co);
    co->weakrefs = NULL; // was the link
    co->number = 0;
    co->stage = 0;
    co->state = FA_CORO_NEW;
    co->waits = FA_WAITS_NOT;
    return co;
}

FA_HOT CoroObject *
coro_new_fleeting(fa_state *st, const fa_coro_kind *kind, PyObject *a,
                  PyObject *b)
{
    CoroObject *co = coro_reuse(st);
    if (FA_UNLIKELY(co == NULL)) {
        co = coro_alloc(st);
        if (co == NULL) {
            return NULL;
        }
    }
    co->kind = kind;
    co->vars[0] = Py_XNewRef(a);
    co->vars[1] = Py_XNewRef(b);
    co->tracked = 0;
    return co;
}

FA_HOT CoroObject *
coro_new(fa_state *st, const fa_coro_kind *kind, PyObject *a, PyObject *b)
{
    CoroObject *co = coro_new_fleeting(st, kind, a, b);
    if (FA_LIKELY(co != NULL)) {
        co->tracked = 1;
        PyObject_GC_Track(co);
    }
    return co;
}

static int
Coro_traverse(PyObject *self, visitproc visit, void *arg)
{
    CoroObject *co = (CoroObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(co->awaited);
    for (int i = 0; i < FA_CORO_VARS; i++) {
        Py_VISIT(co->vars[i]);
    }
    return 0;
}

static inline void
coro_forget(CoroObject *co)
{
    Py_CLEAR(co->awaited);
    for (int i = 0; i < FA_CORO_VARS; i++) {
        Py_CLEAR(co->vars[i]);
    }
}

static int
Coro_clear(PyObject *self)
{
    ((CoroObject *)self)->state = FA_CORO_DONE; // its variables are gone
    coro_forget((CoroObject *)self);
    return 0;
}

/* RuntimeWarning: coroutine '...' was never awaited. */
static FA_COLD void
coro_warn_unawaited(PyObject *self)
{
    PyObject *warnings = PyImport_ImportModule("warnings");
    PyObject *done = NULL;
    if (warnings != NULL) {
        done = PyObject_CallMethod(warnings, "_warn_unawaited_coroutine", "O",
                                   self);
        Py_DECREF(warnings);
    }
    if (done == NULL) {
        fa_err_unraisable(self);
    }
    Py_XDECREF(done);
}

static PyObject *Coro_close(PyObject *self, PyObject *ignored);

static FA_COLD void
Coro_finalize(PyObject *self)
{
    CoroObject *co = (CoroObject *)self;
    PyObject *raised = fa_err_take();
    co->finalized = 1;
    if (co->state == FA_CORO_NEW) {
        coro_warn_unawaited(self);
    }
    else if (co->state == FA_CORO_SUSPENDED) {
        PyObject *done = Coro_close(self, NULL);
        if (done == NULL) {
            fa_err_unraisable(self);
        }
        Py_XDECREF(done);
    }
    fa_err_restore(raised);
}

static FA_HOT void
Coro_dealloc(PyObject *self)
{
    CoroObject *co = (CoroObject *)self;
    PyTypeObject *tp = Py_TYPE(self);
    if (FA_UNLIKELY(co->state != FA_CORO_DONE) &&
        PyObject_CallFinalizerFromDealloc(self) < 0)
    {
        return; // somebody has kept it
    }
    if (co->tracked) {
        PyObject_GC_UnTrack(self);
    }
    if (FA_UNLIKELY(co->weakrefs != NULL)) {
        PyObject_ClearWeakRefs(self);
    }
    if (FA_UNLIKELY(co->state != FA_CORO_DONE)) {
        Coro_clear(self);
    }
    if (FA_UNLIKELY(co->finalized) ||
        !freelist_keep(&co->st->free_coros, self))
    {
        PyObject_GC_Del(self);
    }
    Py_DECREF(tp);
}

/* -- the engine ------------------------------------------------------------------ */

/* PEP 479: a StopIteration that a turn lets out is not a return. */
static FA_COLD void
coro_refuse_stop(void)
{
    PyObject *stop = fa_err_take();
    PyErr_SetString(PyExc_RuntimeError, "coroutine raised StopIteration");
    PyObject *exc = fa_err_take();
    PyException_SetCause(exc, Py_NewRef(stop));
    PyException_SetContext(exc, stop);
    fa_err_restore(exc);
}

/* It has returned or raised. */
static inline PySendResult
coro_finish(CoroObject *co, PySendResult status)
{
    co->state = FA_CORO_DONE;
    if (FA_LIKELY(status == PYGEN_RETURN)) {
        coro_forget(co);
        return PYGEN_RETURN;
    }
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
        coro_refuse_stop();
    }
    PyObject *exc = fa_err_take(); // dropping a variable may run Python code
    coro_forget(co);
    fa_err_restore(exc);
    return PYGEN_ERROR;
}

/* The future that is awaited is done: its result (new), or NULL with its
   exception raised. */
static inline PyObject *
coro_future_value(CoroObject *co)
{
    FutureObject *fut = (FutureObject *)co->awaited;
    PyObject *value;
    co->awaited = NULL;
    if (FA_LIKELY(fut->state == FA_FINISHED && !fut->failed)) {
        value = Py_NewRef(fut->outcome);
    }
    else if (fut->state == FA_PENDING) {
        PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
        value = NULL;
    }
    else if (future_get_result(fut, &value) == 1) {
        PyErr_SetObject((PyObject *)Py_TYPE(value), value);
        Py_CLEAR(value);
    }
    else {
        value = NULL;
    }
    if (FA_LIKELY(value != NULL)) {
        Py_DECREF(fut);
        return value;
    }
    PyObject *raised = fa_err_take(); // freeing the future may run Python code
    Py_DECREF(fut);
    fa_err_restore(raised);
    return NULL;
}

static inline void
coro_suspend(CoroObject *co)
{
    co->state = FA_CORO_SUSPENDED;
    if (FA_UNLIKELY(!co->tracked)) { // it may be lost from now on
        co->tracked = 1;
        PyObject_GC_Track(co);
    }
}

/* The iterator that is awaited gave `status`. 1: it is suspended, `got` is
   yielded; 0: it has ended, go on with `got` (NULL: raised). */
static inline int
coro_iter_gave(CoroObject *co, PySendResult status)
{
    if (status == PYGEN_NEXT) {
        coro_suspend(co);
        return 1;
    }
    PyObject *raised = status == PYGEN_ERROR ? fa_err_take() : NULL;
    Py_CLEAR(co->awaited);
    if (status == PYGEN_ERROR) {
        fa_err_restore(raised);
    }
    return 0;
}

/* A turn has said what it awaits. 1: suspend, *got is yielded (new); 0: it is
   done already, *got is what it gave (new, NULL: raised). */
static inline int
coro_begin_await(CoroObject *co, PyObject **got)
{
    if (FA_LIKELY(co->waits == FA_WAITS_FUTURE)) {
        FutureObject *fut = (FutureObject *)co->awaited;
        if (FA_LIKELY(fut->state == FA_PENDING)) {
            fut->blocking = 1;
            coro_suspend(co);
            *got = Py_NewRef(co->awaited);
            return 1;
        }
        *got = coro_future_value(co);
        return 0;
    }
    if (co->waits == FA_WAITS_TURN) {
        coro_suspend(co);
        *got = Py_NewRef(Py_None);
        return 1;
    }
    PyObject *iter = Py_NewRef(co->awaited);
    *got = NULL;
    PySendResult status = PyIter_Send(iter, Py_None, got);
    Py_DECREF(iter);
    return coro_iter_gave(co, status);
}

/* HOT. Turn after turn until it suspends or ends. `value` is taken over; NULL:
   an exception is raised, to be thrown in. */
static PySendResult
coro_run(CoroObject *co, PyObject *value, PyObject **result)
{
    co->state = FA_CORO_RUNNING;
    for (;;) {
        co->waits = FA_WAITS_NOT;
        *result = NULL; // may hold `value`, which what was awaited gave
        PySendResult status = co->kind->turn(co, value, result);
        Py_XDECREF(value);
        if (status != PYGEN_NEXT) {
            return coro_finish(co, status);
        }
        if (coro_begin_await(co, result)) {
            return PYGEN_NEXT;
        }
        value = *result;
    }
}

/* HOT. The first turn, which is often the only one. */
static inline PySendResult
coro_begin(CoroObject *co, PyObject **result)
{
    co->state = FA_CORO_RUNNING;
    PySendResult status = co->kind->turn(co, Py_None, result);
    if (FA_UNLIKELY(status == PYGEN_NEXT)) {
        return coro_begin_await(co, result) ? PYGEN_NEXT
                                            : coro_run(co, *result, result);
    }
    return coro_finish(co, status);
}

/* It is suspended; `sent` (borrowed) is sent into the await. */
static inline PySendResult
coro_resume(CoroObject *co, PyObject *sent, PyObject **result)
{
    if (FA_LIKELY(co->waits == FA_WAITS_FUTURE)) {
        return coro_run(co, coro_future_value(co), result);
    }
    if (co->waits == FA_WAITS_TURN) {
        return coro_run(co, Py_NewRef(sent), result);
    }
    co->state = FA_CORO_RUNNING;
    PyObject *iter = Py_NewRef(co->awaited);
    *result = NULL;
    PySendResult status = PyIter_Send(iter, sent, result);
    Py_DECREF(iter);
    if (coro_iter_gave(co, status)) {
        return PYGEN_NEXT;
    }
    return coro_run(co, *result, result);
}

/* It cannot be entered now, or not with that value. */
static FA_COLD PySendResult
coro_refuse(CoroObject *co)
{
    if (co->state == FA_CORO_RUNNING) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    }
    else if (co->state == FA_CORO_DONE) {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot reuse already awaited coroutine");
    }
    else {
        PyErr_SetString(
            PyExc_TypeError,
            "can't send non-None value to a just-started coroutine");
    }
    return PYGEN_ERROR;
}

static FA_HOT PySendResult
Coro_am_send(PyObject *self, PyObject *sent, PyObject **result)
{
    CoroObject *co = (CoroObject *)self;
    *result = NULL;
    if (co->state == FA_CORO_NEW && FA_LIKELY(sent == Py_None)) {
        return coro_begin(co, result);
    }
    if (FA_UNLIKELY(co->state != FA_CORO_SUSPENDED)) {
        return coro_refuse(co);
    }
    return coro_resume(co, sent, result);
}

static FA_HOT PyObject *
Coro_iternext(PyObject *self)
{
    PyObject *result;
    PySendResult status = Coro_am_send(self, Py_None, &result);
    if (status == PYGEN_RETURN) {
        if (result != Py_None) {
            stop_raise(((CoroObject *)self)->st, result);
        }
        Py_CLEAR(result);
    }
    return result;
}

/* -- throw and close ------------------------------------------------------------------- */

/* iter.throw(exc) as PyIter_Send would have answered; PYGEN_ERROR with `exc`
   raised if it has no such method. GeneratorExit closes it instead. */
static PySendResult
coro_throw_into(fa_state *st, PyObject *iter, PyObject *exc, PyObject **got)
{
    PyObject *method, *name = st->str_throw;
    int closing = PyErr_GivenExceptionMatches(exc, PyExc_GeneratorExit);
    *got = NULL;
    if (closing) {
        name = st->str_close;
    }
    if (fa_getattr_opt(iter, name, &method) < 0) {
        return PYGEN_ERROR;
    }
    if (method != NULL) {
        PyObject *answer = closing ? PyObject_CallNoArgs(method)
                                   : PyObject_CallOneArg(method, exc);
        Py_DECREF(method);
        if (answer != NULL && !closing) {
            *got = answer;
            return PYGEN_NEXT;
        }
        Py_XDECREF(answer);
        if (answer == NULL &&
            (closing || !PyErr_ExceptionMatches(PyExc_StopIteration)))
        {
            return PYGEN_ERROR;
        }
        if (answer == NULL) {
            PyObject *stop = fa_err_take();
            PyObject *value = ((PyStopIterationObject *)stop)->value;
            *got = Py_NewRef(value == NULL ? Py_None : value);
            Py_DECREF(stop);
            return PYGEN_RETURN;
        }
    }
    fa_err_restore(Py_NewRef(exc));
    return PYGEN_ERROR;
}

/* Throw `exc` (borrowed, an instance). */
static PySendResult
coro_throw(CoroObject *co, PyObject *exc, PyObject **result)
{
    *result = NULL;
    if (co->state == FA_CORO_RUNNING || co->state == FA_CORO_DONE) {
        return coro_refuse(co);
    }
    if (co->state == FA_CORO_NEW) {
        // raised before its first line, and there PEP 479 has no hold (3.12+)
        co->state = FA_CORO_DONE;
        coro_forget(co);
        fa_err_restore(Py_NewRef(exc));
        if (!FA_HAS_FREE_FIRST_THROW &&
            PyErr_ExceptionMatches(PyExc_StopIteration))
        {
            coro_refuse_stop();
        }
        return PYGEN_ERROR;
    }
    co->state = FA_CORO_RUNNING;
    if (co->waits == FA_WAITS_ITER) {
        PyObject *iter = Py_NewRef(co->awaited);
        PySendResult status = coro_throw_into(co->st, iter, exc, result);
        Py_DECREF(iter);
        if (coro_iter_gave(co, status)) {
            return PYGEN_NEXT;
        }
        return coro_run(co, *result, result);
    }
    Py_CLEAR(co->awaited);
    fa_err_restore(Py_NewRef(exc));
    return coro_run(co, NULL, result);
}

static PyObject *
Coro_send(PyObject *self, PyObject *sent)
{
    PyObject *result;
    if (Coro_am_send(self, sent, &result) == PYGEN_RETURN) {
        stop_raise_plain(result);
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
Coro_throw(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *exc = fa_throw_arguments(args, nargs);
    if (exc == NULL) {
        return NULL;
    }
    PyObject *result;
    if (coro_throw((CoroObject *)self, exc, &result) == PYGEN_RETURN) {
        stop_raise_plain(result);
        Py_CLEAR(result);
    }
    Py_DECREF(exc);
    return result;
}

static PyObject *
Coro_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    CoroObject *co = (CoroObject *)self;
    if (co->state == FA_CORO_RUNNING) {
        coro_refuse(co);
        return NULL;
    }
    if (co->state != FA_CORO_SUSPENDED) {
        Coro_clear(self);
        Py_RETURN_NONE;
    }
    PyObject *exc = PyObject_CallNoArgs(PyExc_GeneratorExit);
    if (exc == NULL) {
        return NULL;
    }
    PyObject *result;
    PySendResult status = coro_throw(co, exc, &result);
    Py_DECREF(exc);
    if (FA_CLOSE_RETURNS_VALUE && status == PYGEN_RETURN) {
        return result;
    }
    Py_XDECREF(result);
    if (status == PYGEN_NEXT) {
        PyErr_SetString(PyExc_RuntimeError,
                        "coroutine ignored GeneratorExit");
        return NULL;
    }
    if (status == PYGEN_ERROR) {
        if (!PyErr_ExceptionMatches(PyExc_GeneratorExit)) {
            return NULL;
        }
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

static PyObject *
Coro_await(PyObject *self)
{
    if (FA_UNLIKELY(((CoroObject *)self)->state == FA_CORO_SUSPENDED)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "coroutine is being awaited already");
        return NULL;
    }
    return Py_NewRef(self);
}

/* `yield from coro` in a generator that types.coroutine has blessed; nothing else
   may iterate over a coroutine, so the type does not show __iter__. */
static PyObject *
Coro_iter(PyObject *self)
{
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    PyCodeObject *code = frame == NULL ? NULL : PyFrame_GetCode(frame);
    int blessed = code != NULL && (code->co_flags & CO_ITERABLE_COROUTINE);
    Py_XDECREF(code);
    Py_XDECREF(frame);
    if (!blessed) {
        PyErr_SetString(PyExc_TypeError,
                        "'coroutine' object is not iterable");
        return NULL;
    }
    return Py_NewRef(self);
}

/* For Python code: an iterator, whatever the state, as a coroutine gives. */
static PyObject *
Coro_dunder_await(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return coro_wrapper_new(((CoroObject *)self)->st, self);
}

/* -- attributes ---------------------------------------------------------------------------- */

static PyObject *
Coro_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<coroutine object %s at %p>",
                                ((CoroObject *)self)->kind->qualname, self);
}

static PyObject *
Coro_get_qualname(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(((CoroObject *)self)->kind->qualname);
}

static PyObject *
Coro_get_name(PyObject *self, void *Py_UNUSED(closure))
{
    const char *qualname = ((CoroObject *)self)->kind->qualname;
    const char *dot = strrchr(qualname, '.');
    return PyUnicode_FromString(dot == NULL ? qualname : dot + 1);
}

static PyObject *
Coro_get_running(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((CoroObject *)self)->state == FA_CORO_RUNNING);
}

static PyObject *
Coro_get_suspended(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((CoroObject *)self)->state == FA_CORO_SUSPENDED);
}

static PyObject *
Coro_get_none(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    Py_RETURN_NONE;
}

#if FA_HAS_CORO_STATE
static PyObject *
Coro_get_state(PyObject *self, void *Py_UNUSED(closure))
{
    static const char *const names[] = {
        [FA_CORO_NEW] = "CORO_CREATED",
        [FA_CORO_SUSPENDED] = "CORO_SUSPENDED",
        [FA_CORO_RUNNING] = "CORO_RUNNING",
        [FA_CORO_DONE] = "CORO_CLOSED",
    };
    return PyUnicode_FromString(names[((CoroObject *)self)->state]);
}
#endif

static PyObject *
Coro_get_frame(PyObject *self, void *Py_UNUSED(closure))
{
    return coro_frame((CoroObject *)self);
}

static PyObject *
Coro_get_await(PyObject *self, void *Py_UNUSED(closure))
{
    return coro_await_shown((CoroObject *)self);
}

static PyObject *
Coro_get_code(PyObject *self, void *Py_UNUSED(closure))
{
    return coro_code(((CoroObject *)self)->kind->qualname);
}

/* isinstance(coro, types.CoroutineType), which is what inspect.iscoroutine asks,
   holds. */
static PyObject *
Coro_get_class(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)&PyCoro_Type);
}

static PyMethodDef Coro_methods[] = {
    {"send", Coro_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))Coro_throw, METH_FASTCALL, NULL},
    {"close", Coro_close, METH_NOARGS, NULL},
    // in place of the one that am_await would make
    {"__await__", Coro_dunder_await, METH_NOARGS | METH_COEXIST, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Coro_getset[] = {
    {"__class__", Coro_get_class, NULL, NULL, NULL},
    {"__name__", Coro_get_name, NULL, NULL, NULL},
    {"__qualname__", Coro_get_qualname, NULL, NULL, NULL},
    {"cr_running", Coro_get_running, NULL, NULL, NULL},
    {"cr_suspended", Coro_get_suspended, NULL, NULL, NULL},
#if FA_HAS_CORO_STATE
    {"cr_state", Coro_get_state, NULL, NULL, NULL},
#endif
    {"cr_frame", Coro_get_frame, NULL, NULL, NULL},
    {"cr_await", Coro_get_await, NULL, NULL, NULL},
    {"cr_code", Coro_get_code, NULL, NULL, NULL},
    {"cr_origin", Coro_get_none, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Coro_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CoroObject, weakrefs),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Coro_doc,
"A coroutine whose body is C code. See types.CoroutineType.");

static PyType_Slot Coro_slots[] = {
    {Py_tp_doc, (char *)Coro_doc},
    {Py_tp_dealloc, Coro_dealloc},
    {Py_tp_traverse, Coro_traverse},
    {Py_tp_clear, Coro_clear},
    {Py_tp_finalize, Coro_finalize},
    {Py_tp_repr, Coro_repr},
    {Py_tp_iternext, Coro_iternext},
    {Py_am_await, Coro_await},
    {Py_am_send, Coro_am_send},
    {Py_tp_methods, Coro_methods},
    {Py_tp_getset, Coro_getset},
    {Py_tp_members, Coro_members},
    {0, NULL},
};

static PyType_Spec Coro_spec = {
    .name = "_fastasync.coroutine",
    .basicsize = sizeof(CoroObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Coro_slots,
};

int
coro_types_init(PyObject *module, fa_state *st)
{
    if (fa_type_new(module, &Coro_spec, NULL, &st->CoroType) < 0) {
        return -1;
    }
    st->CoroType->tp_iter = Coro_iter;
    if (coro_wrapper_type_init(module, st) < 0) {
        return -1;
    }
    return coro_view_type_init(module, st) < 0
               ? -1 : coro_function_type_init(module, st);
}
