/* sync/semaphore.c: Semaphore and BoundedSemaphore.

   A number and a queue. release() adds one and hands it to the first waiter that
   is not to wake up yet, by taking it away again before he runs; one who was
   given it and is cancelled gives it back. Who comes while somebody waits, waits
   behind him, whatever the number.

   What a waiter does on leaving was rewritten in 3.13 (FA_HAS_SEMAPHORE_FAIR):
   since then everybody who leaves, however, wakes as many as the number allows.
   An object that is not plainly ours goes asyncio's own way. HOT: acquisition in
   the first turn, release(). Benchmark: semaphore. */
#include "base/args.h"
#include "base/errors.h"
#include "sync/waiters.h"

typedef struct {
    FA_SYNC_HEAD
    fa_number value; /* `_value` */
    fa_number bound; /* `_bound_value`; not set: not bounded */
} SemaphoreObject;

/* -- new, traverse, clear, dealloc ------------------------------------------------- */

static int
Semaphore_traverse(PyObject *self, visitproc visit, void *arg)
{
    SemaphoreObject *sem = (SemaphoreObject *)self;
    Py_VISIT(sem->value.odd);
    Py_VISIT(sem->bound.odd);
    return sync_traverse((SyncObject *)self, visit, arg);
}

static int
Semaphore_clear(PyObject *self)
{
    SemaphoreObject *sem = (SemaphoreObject *)self;
    number_set(&sem->value, NULL);
    number_set(&sem->bound, NULL);
    sync_clear((SyncObject *)self);
    return 0;
}

static void
Semaphore_dealloc(PyObject *self)
{
    fa_class_dealloc(self, Semaphore_clear);
}

/* `value` NULL: the default, 1. 0 or -1. */
static int
semaphore_init(SemaphoreObject *sem, PyObject *value)
{
    PyObject *one = PyLong_FromLong(1), *zero = PyLong_FromLong(0);
    int negative = -1;
    if (one != NULL && zero != NULL) {
        value = value == NULL ? one : value;
        negative = PyObject_RichCompareBool(value, zero, Py_LT);
    }
    if (negative > 0) {
        PyErr_SetString(PyExc_ValueError,
                        "Semaphore initial value must be >= 0");
    }
    else if (negative == 0) {
        number_set(&sem->value, value);
        sync_reset((SyncObject *)sem, FA_WAITERS_NONE);
    }
    Py_XDECREF(one);
    Py_XDECREF(zero);
    return negative == 0 ? 0 : -1;
}

static int
Semaphore_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const fa_args spec = {.fname = "Semaphore.__init__",
                                 .positional = 1, .python = 1, .total = 1,
                                 .names = {"value"}};
    PyObject *value;
    if (fa_args_parse_tuple(&spec, args, kwargs, &value) < 0) {
        return -1;
    }
    return semaphore_init((SemaphoreObject *)self, value);
}

static int
BoundedSemaphore_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const fa_args spec = {.fname = "BoundedSemaphore.__init__",
                                 .positional = 1, .python = 1, .total = 1,
                                 .names = {"value"}};
    PyObject *value;
    if (fa_args_parse_tuple(&spec, args, kwargs, &value) < 0) {
        return -1;
    }
    PyObject *bound = value == NULL ? PyLong_FromLong(1) : Py_NewRef(value);
    if (bound == NULL) {
        return -1;
    }
    number_set(&((SemaphoreObject *)self)->bound, bound);
    int rc = semaphore_init((SemaphoreObject *)self, bound);
    Py_DECREF(bound);
    return rc;
}

/* -- engine ---------------------------------------------------------------------------- */

/* Exactly one of ours, in order. HOT */
static inline int
semaphore_is_plain(SemaphoreObject *sem)
{
    PyTypeObject *tp = sem->bound.set ? sem->st->BoundedSemaphoreType
                                      : sem->st->SemaphoreType;
    return sync_is_plain((SyncObject *)sem, tp) && sem->value.set &&
           sem->waiters_state != FA_WAITERS_UNSET;
}

/* locked(): 1, 0 or -1. HOT */
static inline int
semaphore_locked(SemaphoreObject *sem)
{
    int empty = number_zero(&sem->value);
    if (empty != 0 || FA_LIKELY(sem->waiters_state != FA_WAITERS_THERE)) {
        return empty;
    }
    int nobody = waiters_all_cancelled((SyncObject *)sem);
    return nobody < 0 ? -1 : !nobody;
}

/* _wake_up_next(): 1 if there was one to wake, 0 or -1. HOT */
static inline int
semaphore_wake_next(SemaphoreObject *sem)
{
    if (FA_LIKELY(sem->waiters_state != FA_WAITERS_THERE)) {
        return 0;
    }
    PyObject *fut;
    int found = waiters_next((SyncObject *)sem, &fut);
    if (found > 0) {
        if (number_add(&sem->value, -1) < 0 ||
            fa_future_set_result(sem->st, fut, Py_True) < 0)
        {
            found = -1;
        }
        Py_DECREF(fut);
    }
    return found;
}

static inline int
semaphore_release(SemaphoreObject *sem)
{
    return number_add(&sem->value, 1) < 0 || semaphore_wake_next(sem) < 0 ? -1
                                                                          : 0;
}

#if FA_HAS_SEMAPHORE_FAIR

/* A waiter has left because `exc` was raised (NULL: it has been woken, and has
   the semaphore). 0 or -1. */
static int
semaphore_left(SemaphoreObject *sem, PyObject *fut, PyObject *exc)
{
    int rc = 0;
    if (exc != NULL &&
        PyErr_GivenExceptionMatches(exc, sem->st->CancelledError))
    {
        int done = fa_future_done(sem->st, fut);
        int undone = done <= 0 ? 1 : fa_future_cancelled(sem->st, fut);
        if (done < 0 || undone < 0 ||
            (!undone && number_add(&sem->value, 1) < 0))
        {
            rc = -1; // the `finally` is yet to come
        }
    }
    PyObject *raised = rc < 0 ? fa_err_take() : NULL;
    int more;
    while ((more = number_positive(&sem->value)) > 0 &&
           (more = semaphore_wake_next(sem)) > 0)
    {
    }
    if (more < 0) {
        fa_err_chain(raised);
        return -1;
    }
    fa_err_restore(raised);
    return rc;
}

#else

static int
semaphore_left(SemaphoreObject *sem, PyObject *fut, PyObject *exc)
{
    if (exc == NULL) {
        int more = number_positive(&sem->value);
        return more > 0 ? semaphore_wake_next(sem) : more;
    }
    if (!PyErr_GivenExceptionMatches(exc, sem->st->CancelledError)) {
        return 0;
    }
    int cancelled = fa_future_cancelled(sem->st, fut);
    return cancelled != 0 ? cancelled : semaphore_release(sem);
}

#endif

/* The await is over; `failed`: it has raised. 0: the semaphore is taken; -1:
   not, the exception is raised. */
static int
semaphore_waited(SemaphoreObject *sem, PyObject *fut, int failed)
{
    PyObject *exc = waiters_left((SyncObject *)sem, fut, failed);
    if (semaphore_left(sem, fut, exc) < 0) {
        fa_err_chain(exc);
        return -1;
    }
    if (FA_LIKELY(exc == NULL)) {
        return 0;
    }
    fa_err_restore(exc);
    return -1;
}

/* -- coroutines --------------------------------------------------------------------------- */

/* vars of all of them: the semaphore, the future it waits for. */
enum { SEM_SELF, SEM_FUTURE };

static inline PySendResult
semaphore_begin(CoroObject *co, PyObject *returned, PyObject **result)
{
    SemaphoreObject *sem = (SemaphoreObject *)co->vars[SEM_SELF];
    int locked = semaphore_locked(sem);
    if (FA_LIKELY(locked == 0)) {
        if (number_add(&sem->value, -1) < 0) {
            return PYGEN_ERROR;
        }
        return coro_return(co, returned, result);
    }
    PyObject *fut = locked < 0 ? NULL : waiters_add((SyncObject *)sem);
    if (fut == NULL) {
        return PYGEN_ERROR;
    }
    co->vars[SEM_FUTURE] = Py_NewRef(fut);
    PySendResult status = coro_await(co, 1, fut);
    if (FA_UNLIKELY(status == PYGEN_ERROR)) {
        (void)semaphore_waited(sem, co->vars[SEM_FUTURE], 1);
    }
    return status;
}

static inline PySendResult
semaphore_turn(CoroObject *co, PyObject *value, PyObject *returned,
               PyObject **result)
{
    if (co->stage == 0) {
        return semaphore_begin(co, returned, result);
    }
    SemaphoreObject *sem = (SemaphoreObject *)co->vars[SEM_SELF];
    if (semaphore_waited(sem, co->vars[SEM_FUTURE], value == NULL) < 0) {
        return PYGEN_ERROR;
    }
    return coro_return(co, returned, result);
}

static FA_HOT PySendResult
semaphore_acquire_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return semaphore_turn(co, value, Py_True, result);
}

static FA_HOT PySendResult
semaphore_aenter_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return semaphore_turn(co, value, Py_None, result);
}

/* BoundedSemaphore.release() of one that is in order. 0 or -1. */
static int
semaphore_release_bounded(SemaphoreObject *sem)
{
    int full;
    if (FA_LIKELY(sem->value.odd == NULL && sem->bound.odd == NULL)) {
        full = sem->value.n >= sem->bound.n;
    }
    else {
        PyObject *value = number_get(&sem->value);
        PyObject *bound = value == NULL ? NULL : number_get(&sem->bound);
        full = bound == NULL ? -1
                             : PyObject_RichCompareBool(value, bound, Py_GE);
        Py_XDECREF(value);
        Py_XDECREF(bound);
    }
    if (full > 0) {
        PyErr_SetString(PyExc_ValueError,
                        "BoundedSemaphore released too many times");
    }
    return full != 0 ? -1 : semaphore_release(sem);
}

static FA_HOT PySendResult
semaphore_aexit_turn(CoroObject *co, PyObject *Py_UNUSED(value),
                     PyObject **result)
{
    SemaphoreObject *sem = (SemaphoreObject *)co->vars[SEM_SELF];
    int rc = sem->bound.set ? semaphore_release_bounded(sem)
                            : semaphore_release(sem);
    return rc < 0 ? PYGEN_ERROR : coro_return_none(result);
}

static const fa_coro_kind semaphore_acquire_kind = {"Semaphore.acquire",
                                                    semaphore_acquire_turn};
static const fa_coro_kind semaphore_aenter_kind = {
    "_ContextManagerMixin.__aenter__", semaphore_aenter_turn};
static const fa_coro_kind semaphore_aexit_kind = {
    "_ContextManagerMixin.__aexit__", semaphore_aexit_turn};

static FA_HOT PyObject *
Semaphore_acquire(fa_state *st, PyObject *self, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 0 && kwnames == NULL &&
                  semaphore_is_plain((SemaphoreObject *)self)))
    {
        return (PyObject *)coro_new(st, &semaphore_acquire_kind, self, NULL);
    }
    return sync_theirs(st->asyncio_Semaphore, "acquire", self, args, nargs,
                       kwnames);
}

static FA_HOT PyObject *
Semaphore_aenter(fa_state *st, PyObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 0 && kwnames == NULL &&
                  semaphore_is_plain((SemaphoreObject *)self)))
    {
        return (PyObject *)coro_new_fleeting(st, &semaphore_aenter_kind,
                                             self, NULL);
    }
    return sync_theirs(st->asyncio_Semaphore, "__aenter__", self, args, nargs,
                       kwnames);
}

static FA_HOT PyObject *
Semaphore_aexit(fa_state *st, PyObject *self, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 3 && kwnames == NULL &&
                  semaphore_is_plain((SemaphoreObject *)self)))
    {
        return (PyObject *)coro_new_fleeting(st, &semaphore_aexit_kind,
                                             self, NULL);
    }
    return sync_theirs(st->asyncio_Semaphore, "__aexit__", self, args, nargs,
                       kwnames);
}

static const fa_coro_def Semaphore_coros[] = {
    {"acquire", "Semaphore.acquire", NULL, Semaphore_acquire,
     "acquire($self)\n--\n\n"
     "Wait until the number is above zero and it is our turn, take one away,\n"
     "and return True. See asyncio.Semaphore.acquire."},
    {"__aenter__", "_ContextManagerMixin.__aenter__", NULL, Semaphore_aenter,
     "__aenter__($self)\n--\n\nacquire(), for `async with`; gives None."},
    {"__aexit__", "_ContextManagerMixin.__aexit__", NULL, Semaphore_aexit,
     "__aexit__($self, exc_type, exc, tb)\n--\n\n"
     "release(), when it is awaited."},
    {NULL, NULL, NULL, NULL, NULL},
};

/* -- methods --------------------------------------------------------------------------------- */

static PyObject *
Semaphore_release(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    SemaphoreObject *sem = (SemaphoreObject *)self;
    // also what BoundedSemaphore's calls as super().release()
    if (FA_UNLIKELY(!semaphore_is_plain(sem))) {
        return sync_theirs_plain(sem->st->asyncio_Semaphore, "release", self);
    }
    return semaphore_release(sem) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
BoundedSemaphore_release(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    SemaphoreObject *sem = (SemaphoreObject *)self;
    if (FA_UNLIKELY(!semaphore_is_plain(sem) || !sem->bound.set)) {
        return sync_theirs_plain(sem->st->asyncio_BoundedSemaphore, "release",
                                 self);
    }
    return semaphore_release_bounded(sem) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
Semaphore_locked(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    SemaphoreObject *sem = (SemaphoreObject *)self;
    if (!semaphore_is_plain(sem)) {
        return sync_theirs_plain(sem->st->asyncio_Semaphore, "locked", self);
    }
    int locked = semaphore_locked(sem);
    return locked < 0 ? NULL : PyBool_FromLong(locked);
}

static PyObject *
Semaphore_wake_up_next(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    SemaphoreObject *sem = (SemaphoreObject *)self;
    if (!semaphore_is_plain(sem)) {
        return sync_theirs_plain(sem->st->asyncio_Semaphore, "_wake_up_next",
                                 self);
    }
    int woken = semaphore_wake_next(sem);
    if (woken < 0) {
        return NULL;
    }
    return FA_HAS_SEMAPHORE_FAIR ? PyBool_FromLong(woken) : Py_NewRef(Py_None);
}

static PyObject *
Semaphore_repr(PyObject *self)
{
    SemaphoreObject *sem = (SemaphoreObject *)self;
    if (!semaphore_is_plain(sem) || sem->value.odd != NULL) {
        return sync_theirs_plain(sem->st->asyncio_Semaphore, "__repr__", self);
    }
    char text[48] = "locked";
    int locked = semaphore_locked(sem);
    if (locked == 0) {
        PyOS_snprintf(text, sizeof(text), "unlocked, value:%lld",
                      (long long)sem->value.n);
    }
    return locked < 0 ? NULL : sync_repr((SyncObject *)self, text);
}

static PyObject *
Semaphore_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    static const char *const names[] = {"_bound_value", "_waiters", "_value",
                                        "_loop", NULL};
    return sync_getstate(self,
                         names + !((SemaphoreObject *)self)->bound.set);
}

/* -- the types ----------------------------------------------------------------------------------- */

PyDoc_STRVAR(Semaphore_locked_doc,
"locked($self)\n--\n\n"
"Return True if acquire() would have to wait: the number is zero or others\n"
"wait already. See asyncio.Semaphore.locked.");

PyDoc_STRVAR(Semaphore_release_doc,
"release($self)\n--\n\n"
"Add one to the number and wake the first who waits. See\n"
"asyncio.Semaphore.release.");

PyDoc_STRVAR(BoundedSemaphore_release_doc,
"release($self)\n--\n\n"
"Add one to the number and wake the first who waits. ValueError if the number\n"
"would exceed its first value. See asyncio.BoundedSemaphore.");

static PyMethodDef Semaphore_methods[] = {
    {"locked", Semaphore_locked, METH_NOARGS, Semaphore_locked_doc},
    {"release", Semaphore_release, METH_NOARGS, Semaphore_release_doc},
    {"_wake_up_next", Semaphore_wake_up_next, METH_NOARGS,
     "_wake_up_next($self)\n--\n\nWake the first who is not to wake up yet."},
    {"__getstate__", Semaphore_getstate, METH_NOARGS, NULL},
    FA_SYNC_SETSTATE,
    {NULL, NULL, 0, NULL},
};

static PyMethodDef BoundedSemaphore_methods[] = {
    {"release", BoundedSemaphore_release, METH_NOARGS,
     BoundedSemaphore_release_doc},
    {NULL, NULL, 0, NULL},
};

static const number_attribute semaphore_value = {
    "_value", offsetof(SemaphoreObject, value)};
static const number_attribute semaphore_bound = {
    "_bound_value", offsetof(SemaphoreObject, bound)};

static PyGetSetDef Semaphore_getset[] = {
    FA_SYNC_GETSET,
    {"_value", Sync_get_number, Sync_set_number, NULL,
     (void *)&semaphore_value},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyGetSetDef BoundedSemaphore_getset[] = {
    {"_bound_value", Sync_get_number, Sync_set_number, NULL,
     (void *)&semaphore_bound},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Semaphore_members[] = {
    FA_CLASS_MEMBERS(SemaphoreObject),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Semaphore_doc,
"SemaphoreCore(value=1)\n--\n\n"
"A number that acquire() takes one from, waiting while it is zero, and release()\n"
"adds one to. `async with` does both. ValueError if `value` is negative. See\n"
"asyncio.Semaphore.");

PyDoc_STRVAR(BoundedSemaphore_doc,
"BoundedSemaphoreCore(value=1)\n--\n\n"
"A Semaphore whose number cannot exceed its first value: release() raises\n"
"ValueError then. See asyncio.BoundedSemaphore.");

static PyType_Slot Semaphore_slots[] = {
    {Py_tp_doc, (char *)Semaphore_doc},
    {Py_tp_new, sync_new},
    {Py_tp_init, Semaphore_init},
    {Py_tp_dealloc, Semaphore_dealloc},
    {Py_tp_traverse, Semaphore_traverse},
    {Py_tp_clear, Semaphore_clear},
    {Py_tp_repr, Semaphore_repr},
    {Py_tp_methods, Semaphore_methods},
    {Py_tp_getset, Semaphore_getset},
    {Py_tp_members, Semaphore_members},
    {0, NULL},
};

static PyType_Slot BoundedSemaphore_slots[] = {
    {Py_tp_doc, (char *)BoundedSemaphore_doc},
    {Py_tp_init, BoundedSemaphore_init},
    {Py_tp_dealloc, Semaphore_dealloc},
    {Py_tp_traverse, Semaphore_traverse},
    {Py_tp_clear, Semaphore_clear},
    {Py_tp_methods, BoundedSemaphore_methods},
    {Py_tp_getset, BoundedSemaphore_getset},
    {0, NULL},
};

static PyType_Spec Semaphore_spec = {
    .name = "_fastasync.SemaphoreCore",
    .basicsize = sizeof(SemaphoreObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = Semaphore_slots,
};

static PyType_Spec BoundedSemaphore_spec = {
    .name = "_fastasync.BoundedSemaphoreCore",
    .basicsize = sizeof(SemaphoreObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = BoundedSemaphore_slots,
};

int
semaphore_types_init(PyObject *module, fa_state *st)
{
    const fa_class spec = {
        .module = module, .core = &Semaphore_spec, .name = "Semaphore",
        .asyncio_module = "asyncio.locks", .asyncio_name = "Semaphore",
    };
    if (fa_class_new(&spec, &st->SemaphoreCoreType, &st->SemaphoreType) < 0 ||
        coro_methods_add(st, st->SemaphoreCoreType, Semaphore_coros) < 0)
    {
        return -1;
    }
    const fa_class bounded = {
        .module = module, .core = &BoundedSemaphore_spec,
        .name = "BoundedSemaphore", .asyncio_module = "asyncio.locks",
        .asyncio_name = "BoundedSemaphore",
        .core_base = st->SemaphoreCoreType, .class_base = st->SemaphoreType,
    };
    return fa_class_new(&bounded, &st->BoundedSemaphoreCoreType,
                        &st->BoundedSemaphoreType);
}
