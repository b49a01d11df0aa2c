/* task/coro_bound.c: a coroutine function bound to its instance, for a moment.

   Before 3.14 `async with lock:` makes two bound methods, of __aenter__ and of
   __aexit__, which costs as much as taking the lock. So these two functions bind
   to an object of our own, from a freelist, that calls the function without a
   detour. It does what a bound method does: __self__, __func__, the function's
   attributes, equality. HOT: coro_bound_new, its call, its destructor.
   Benchmark: lock_uncontended. */
#include "task/coro.h"
#include "task/freelist.h"
#include "task/private.h"

#if FA_BINDS_SPECIAL

typedef struct {
    PyObject_HEAD
    PyObject *fn;              /* strong: the CoroFunction */
    PyObject *self;            /* strong */
    vectorcallfunc vectorcall;
    vectorcallfunc call;       /* of fn */
    fa_state *st;              /* borrowed */
} BoundObject;

static int
Bound_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((BoundObject *)self)->fn);
    Py_VISIT(((BoundObject *)self)->self);
    return 0;
}

static int
Bound_clear(PyObject *self)
{
    Py_CLEAR(((BoundObject *)self)->fn);
    Py_CLEAR(((BoundObject *)self)->self);
    return 0;
}

static FA_HOT void
Bound_dealloc(PyObject *self)
{
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Bound_clear(self);
    if (!freelist_keep(&((BoundObject *)self)->st->free_bound, self)) {
        PyObject_GC_Del(self);
    }
    Py_DECREF(tp);
}

/* -- calling ----------------------------------------------------------------------- */

static FA_COLD PyObject *
bound_call_many(BoundObject *bound, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    Py_ssize_t total = nargs;
    if (kwnames != NULL) {
        total += PyTuple_GET_SIZE(kwnames);
    }
    PyObject **copy = PyMem_New(PyObject *, total + 1);
    if (copy == NULL) {
        return PyErr_NoMemory();
    }
    copy[0] = bound->self;
    for (Py_ssize_t i = 0; i < total; i++) {
        copy[i + 1] = args[i];
    }
    PyObject *answer = bound->call(bound->fn, copy, (size_t)nargs + 1,
                                   kwnames);
    PyMem_Free(copy);
    return answer;
}

static FA_HOT PyObject *
Bound_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf,
                 PyObject *kwnames)
{
    BoundObject *bound = (BoundObject *)self;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (FA_UNLIKELY(nargs > 3 || kwnames != NULL)) {
        return bound_call_many(bound, args, nargs, kwnames);
    }
    PyObject *copy[4] = {bound->self};
    for (Py_ssize_t i = 0; i < nargs; i++) {
        copy[i + 1] = args[i];
    }
    return bound->call(bound->fn, copy, (size_t)nargs + 1, NULL);
}

FA_HOT PyObject *
coro_bound_new(fa_state *st, PyObject *fn, vectorcallfunc call, PyObject *self)
{
    PyTypeObject *tp = st->CoroBoundType;
    BoundObject *bound = (BoundObject *)st->free_bound.first;
    if (FA_LIKELY(bound != NULL)) {
        st->free_bound.first = *freelist_link((PyObject *)bound);
        st->free_bound.count--;
        freelist_revive((PyObject *)bound);
    }
    else if ((bound = PyObject_GC_New(BoundObject, tp)) == NULL) {
        return NULL;
    }
    bound->fn = Py_NewRef(fn);
    bound->self = Py_NewRef(self);
    bound->vectorcall = Bound_vectorcall;
    bound->call = call;
    bound->st = st;
    PyObject_GC_Track(bound);
    return (PyObject *)bound;
}

/* -- like a method ----------------------------------------------------------------------- */

/* Its own attributes, then the function's. */
static PyObject *
Bound_getattro(PyObject *self, PyObject *name)
{
    PyObject *found = PyObject_GenericGetAttr(self, name);
    if (found != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return found;
    }
    PyErr_Clear();
    return PyObject_GetAttr(((BoundObject *)self)->fn, name);
}

static PyObject *
Bound_repr(PyObject *self)
{
    BoundObject *bound = (BoundObject *)self;
    PyObject *name = PyObject_GetAttrString(bound->fn, "__qualname__");
    if (name == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat("<bound method %U of %R>", name,
                                          bound->self);
    Py_DECREF(name);
    return text;
}

static PyObject *
Bound_richcompare(PyObject *a, PyObject *b, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(a) != Py_TYPE(b)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    BoundObject *left = (BoundObject *)a, *right = (BoundObject *)b;
    int same = left->fn == right->fn && left->self == right->self;
    return PyBool_FromLong(op == Py_EQ ? same : !same);
}

static Py_hash_t
Bound_hash(PyObject *self)
{
    BoundObject *bound = (BoundObject *)self;
    Py_hash_t hash = (Py_hash_t)((uintptr_t)bound->fn >> 4) ^
                     (Py_hash_t)((uintptr_t)bound->self >> 4);
    return hash == -1 ? -2 : hash;
}

/* Its function's, without self: as of a bound method. */
static PyObject *
Bound_get_signature(PyObject *self, void *Py_UNUSED(closure))
{
    BoundObject *bound = (BoundObject *)self;
    PyObject *method = PyMethod_New(bound->fn, bound->self);
    PyObject *inspect =
        method == NULL ? NULL : PyImport_ImportModule("inspect");
    PyObject *signature = NULL;
    if (inspect != NULL) {
        signature = PyObject_CallMethod(inspect, "signature", "O", method);
        Py_DECREF(inspect);
    }
    Py_XDECREF(method);
    return signature;
}

static PyGetSetDef Bound_getset[] = {
    {"__signature__", Bound_get_signature, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Bound_members[] = {
    {"__func__", T_OBJECT_EX, offsetof(BoundObject, fn), READONLY, NULL},
    {"__self__", T_OBJECT_EX, offsetof(BoundObject, self), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(BoundObject, vectorcall),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Bound_slots[] = {
    {Py_tp_dealloc, Bound_dealloc},
    {Py_tp_traverse, Bound_traverse},
    {Py_tp_clear, Bound_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_getattro, Bound_getattro},
    {Py_tp_repr, Bound_repr},
    {Py_tp_richcompare, Bound_richcompare},
    {Py_tp_hash, Bound_hash},
    {Py_tp_members, Bound_members},
    {Py_tp_getset, Bound_getset},
    {0, NULL},
};

static PyType_Spec Bound_spec = {
    .name = "_fastasync.bound_coroutine_function",
    .basicsize = sizeof(BoundObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Bound_slots,
};

int
coro_bound_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &Bound_spec, NULL, &st->CoroBoundType);
}

#else

PyObject *
coro_bound_new(fa_state *Py_UNUSED(st), PyObject *fn,
               vectorcallfunc Py_UNUSED(call), PyObject *self)
{
    return PyMethod_New(fn, self);
}

int
coro_bound_type_init(PyObject *Py_UNUSED(module), fa_state *Py_UNUSED(st))
{
    return 0;
}

#endif
