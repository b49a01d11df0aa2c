/* sync/lock.c: Lock.

   A flag and a queue. release() clears the flag and wakes the first waiter; the
   flag is set again when that one runs, so the lock is free in between, but
   whoever comes then finds somebody in the queue and waits behind him. A woken
   waiter that is cancelled wakes the next. No lost wake-up: if the lock is free
   and somebody who was not cancelled waits, the first one of the queue is to run.

   The functions lock_... are what Condition stands on as well. An object that is
   not plainly ours (lock_is_plain) goes asyncio's own way, whose Python functions
   find our attributes. HOT: acquisition of a free lock in the first turn, handing
   over through future_set_result. Benchmarks: lock_uncontended, lock_contended. */
#include "base/args.h"
#include "base/errors.h"
#include "sync/waiters.h"

/* -- new, traverse, clear, dealloc ------------------------------------------------- */

static int
Lock_traverse(PyObject *self, visitproc visit, void *arg)
{
    return sync_traverse((SyncObject *)self, visit, arg);
}

static int
Lock_clear(PyObject *self)
{
    sync_clear((SyncObject *)self);
    return 0;
}

static void
Lock_dealloc(PyObject *self)
{
    fa_class_dealloc(self, Lock_clear);
}

static int
Lock_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const fa_args spec = {.fname = "Lock.__init__", .python = 1};
    LockObject *lock = (LockObject *)self;
    PyObject *out[1];
    if (fa_args_parse_tuple(&spec, args, kwargs, out) < 0) {
        return -1;
    }
    lock->state = FA_LOCK_FREE;
    sync_reset((SyncObject *)lock, FA_WAITERS_NONE);
    return 0;
}

/* -- engine ---------------------------------------------------------------------------- */

FA_HOT int
lock_acquire_nowait(LockObject *lock)
{
    if (FA_UNLIKELY(lock->state == FA_LOCK_LOCKED)) {
        return 0;
    }
    if (FA_UNLIKELY(lock->waiters_state == FA_WAITERS_THERE)) {
        int nobody = waiters_all_cancelled((SyncObject *)lock);
        if (nobody <= 0) {
            return nobody;
        }
    }
    lock->state = FA_LOCK_LOCKED;
    return 1;
}

FA_HOT PyObject *
lock_wait(LockObject *lock)
{
    return waiters_add((SyncObject *)lock);
}

FA_HOT int
lock_waited(LockObject *lock, PyObject *fut, int failed)
{
    PyObject *exc = waiters_left((SyncObject *)lock, fut, failed);
    if (FA_LIKELY(exc == NULL)) {
        lock->state = FA_LOCK_LOCKED;
        return 0;
    }
    if (lock->state != FA_LOCK_LOCKED &&
        PyErr_GivenExceptionMatches(exc, lock->st->CancelledError) &&
        waiters_wake_first((SyncObject *)lock) < 0)
    {
        fa_err_chain(exc);
        return -1;
    }
    fa_err_restore(exc);
    return -1;
}

FA_HOT int
lock_release(LockObject *lock)
{
    if (FA_UNLIKELY(lock->state != FA_LOCK_LOCKED)) {
        PyErr_SetString(PyExc_RuntimeError, "Lock is not acquired.");
        return -1;
    }
    lock->state = FA_LOCK_FREE;
    if (FA_LIKELY(lock->waiters_state != FA_WAITERS_THERE)) {
        return 0;
    }
    return waiters_wake_first((SyncObject *)lock);
}

/* -- coroutines --------------------------------------------------------------------------- */

/* vars of all of them: the lock, the future it waits for. */
enum { LOCK_SELF, LOCK_FUTURE };

/* The first turn: the lock is taken (*result is `value`), or wait. */
static inline PySendResult
lock_begin(CoroObject *co, PyObject *value, PyObject **result)
{
    LockObject *lock = (LockObject *)co->vars[LOCK_SELF];
    int taken = lock_acquire_nowait(lock);
    if (FA_LIKELY(taken > 0)) {
        return coro_return(co, value, result);
    }
    PyObject *fut = taken < 0 ? NULL : lock_wait(lock);
    if (fut == NULL) {
        return PYGEN_ERROR;
    }
    co->vars[LOCK_FUTURE] = Py_NewRef(fut);
    PySendResult status = coro_await(co, 1, fut);
    if (FA_UNLIKELY(status == PYGEN_ERROR)) {
        (void)lock_waited(lock, co->vars[LOCK_FUTURE], 1);
    }
    return status;
}

static inline PySendResult
lock_turn(CoroObject *co, PyObject *value, PyObject *returned,
          PyObject **result)
{
    if (co->stage == 0) {
        return lock_begin(co, returned, result);
    }
    LockObject *lock = (LockObject *)co->vars[LOCK_SELF];
    if (lock_waited(lock, co->vars[LOCK_FUTURE], value == NULL) < 0) {
        return PYGEN_ERROR;
    }
    return coro_return(co, returned, result);
}

static FA_HOT PySendResult
lock_acquire_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return lock_turn(co, value, Py_True, result);
}

static FA_HOT PySendResult
lock_aenter_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    return lock_turn(co, value, Py_None, result);
}

static FA_HOT PySendResult
lock_aexit_turn(CoroObject *co, PyObject *Py_UNUSED(value), PyObject **result)
{
    if (lock_release((LockObject *)co->vars[LOCK_SELF]) < 0) {
        return PYGEN_ERROR;
    }
    return coro_return_none(result);
}

static const fa_coro_kind lock_acquire_kind = {"Lock.acquire",
                                               lock_acquire_turn};
static const fa_coro_kind lock_aenter_kind = {
    "_ContextManagerMixin.__aenter__", lock_aenter_turn};
static const fa_coro_kind lock_aexit_kind = {"_ContextManagerMixin.__aexit__",
                                             lock_aexit_turn};

PyObject *
lock_acquire_coro(LockObject *lock)
{
    return (PyObject *)coro_new(lock->st, &lock_acquire_kind,
                                (PyObject *)lock, NULL);
}

FA_HOT PyObject *
lock_aenter_coro(LockObject *lock)
{
    return (PyObject *)coro_new_fleeting(lock->st, &lock_aenter_kind,
                                         (PyObject *)lock, NULL);
}

FA_HOT PyObject *
lock_aexit_coro(LockObject *lock)
{
    return (PyObject *)coro_new_fleeting(lock->st, &lock_aexit_kind,
                                         (PyObject *)lock, NULL);
}

static PyObject *
Lock_acquire(fa_state *st, PyObject *self, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 0 && kwnames == NULL &&
                  lock_is_plain((LockObject *)self)))
    {
        return lock_acquire_coro((LockObject *)self);
    }
    return sync_theirs(st->asyncio_Lock, "acquire", self, args, nargs,
                       kwnames);
}

static FA_HOT PyObject *
Lock_aenter(fa_state *st, PyObject *self, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 0 && kwnames == NULL &&
                  lock_is_plain((LockObject *)self)))
    {
        return lock_aenter_coro((LockObject *)self);
    }
    return sync_theirs(st->asyncio_Lock, "__aenter__", self, args, nargs,
                       kwnames);
}

static FA_HOT PyObject *
Lock_aexit(fa_state *st, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 3 && kwnames == NULL &&
                  lock_is_plain((LockObject *)self)))
    {
        return lock_aexit_coro((LockObject *)self);
    }
    return sync_theirs(st->asyncio_Lock, "__aexit__", self, args, nargs,
                       kwnames);
}

static const fa_coro_def Lock_coros[] = {
    {"acquire", "Lock.acquire", NULL, Lock_acquire,
     "acquire($self)\n--\n\n"
     "Wait until the lock is free, take it, and return True. First come, first\n"
     "served. See asyncio.Lock.acquire."},
    {"__aenter__", "_ContextManagerMixin.__aenter__", NULL, Lock_aenter,
     "__aenter__($self)\n--\n\nacquire(), for `async with`; gives None."},
    {"__aexit__", "_ContextManagerMixin.__aexit__", NULL, Lock_aexit,
     "__aexit__($self, exc_type, exc, tb)\n--\n\n"
     "release(), when it is awaited."},
    {NULL, NULL, NULL, NULL, NULL},
};

/* -- methods --------------------------------------------------------------------------------- */

static PyObject *
Lock_release(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    LockObject *lock = (LockObject *)self;
    if (FA_UNLIKELY(!lock_is_plain(lock))) {
        return sync_theirs_plain(lock->st->asyncio_Lock, "release", self);
    }
    return lock_release(lock) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
Lock_get_locked(PyObject *self, void *Py_UNUSED(closure))
{
    uint8_t state = ((LockObject *)self)->state;
    return state == FA_LOCK_UNSET ? sync_no_attribute(self, "_locked")
                                  : PyBool_FromLong(state == FA_LOCK_LOCKED);
}

static int
Lock_set_locked(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    int truth = value == NULL ? 0 : PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    ((LockObject *)self)->state = value == NULL ? FA_LOCK_UNSET
                                  : truth       ? FA_LOCK_LOCKED
                                                : FA_LOCK_FREE;
    return 0;
}

static PyObject *
Lock_locked(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Lock_get_locked(self, NULL);
}

static PyObject *
Lock_wake_up_first(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (((SyncObject *)self)->waiters_state == FA_WAITERS_UNSET) {
        return sync_no_attribute(self, "_waiters");
    }
    return waiters_wake_first((SyncObject *)self) < 0 ? NULL
                                                      : Py_NewRef(Py_None);
}

static PyObject *
Lock_repr(PyObject *self)
{
    LockObject *lock = (LockObject *)self;
    if (!lock_is_plain(lock)) {
        return sync_theirs_plain(lock->st->asyncio_Lock, "__repr__", self);
    }
    return sync_repr((SyncObject *)self,
                     lock->state == FA_LOCK_LOCKED ? "locked" : "unlocked");
}

static PyObject *
Lock_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    static const char *const names[] = {"_waiters", "_locked", "_loop", NULL};
    return sync_getstate(self, names);
}

/* -- the type ------------------------------------------------------------------------------------ */

PyDoc_STRVAR(Lock_locked_doc,
"locked($self)\n--\n\n"
"Return True if the lock is taken. See asyncio.Lock.locked.");

PyDoc_STRVAR(Lock_release_doc,
"release($self)\n--\n\n"
"Free the lock and wake the first who waits for it. RuntimeError if it is not\n"
"taken. See asyncio.Lock.release.");

static PyMethodDef Lock_methods[] = {
    {"locked", Lock_locked, METH_NOARGS, Lock_locked_doc},
    {"release", Lock_release, METH_NOARGS, Lock_release_doc},
    {"_wake_up_first", Lock_wake_up_first, METH_NOARGS,
     "_wake_up_first($self)\n--\n\nEnsure that the first waiter will run."},
    {"__getstate__", Lock_getstate, METH_NOARGS, NULL},
    FA_SYNC_SETSTATE,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Lock_getset[] = {
    FA_SYNC_GETSET,
    {"_locked", Lock_get_locked, Lock_set_locked, NULL, NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Lock_members[] = {
    FA_CLASS_MEMBERS(LockObject),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Lock_doc,
"LockCore()\n--\n\n"
"A mutual exclusion lock for tasks of one event loop: those who wait get it in\n"
"the order in which they came. `async with lock:` takes and frees it. See\n"
"asyncio.Lock.");

static PyType_Slot Lock_slots[] = {
    {Py_tp_doc, (char *)Lock_doc},
    {Py_tp_new, sync_new},
    {Py_tp_init, Lock_init},
    {Py_tp_dealloc, Lock_dealloc},
    {Py_tp_traverse, Lock_traverse},
    {Py_tp_clear, Lock_clear},
    {Py_tp_repr, Lock_repr},
    {Py_tp_methods, Lock_methods},
    {Py_tp_getset, Lock_getset},
    {Py_tp_members, Lock_members},
    {0, NULL},
};

static PyType_Spec Lock_spec = {
    .name = "_fastasync.LockCore",
    .basicsize = sizeof(LockObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = Lock_slots,
};

int
lock_type_init(PyObject *module, fa_state *st)
{
    const fa_class spec = {
        .module = module, .core = &Lock_spec, .name = "Lock",
        .asyncio_module = "asyncio.locks", .asyncio_name = "Lock",
    };
    if (fa_class_new(&spec, &st->LockCoreType, &st->LockType) < 0) {
        return -1;
    }
    return coro_methods_add(st, st->LockCoreType, Lock_coros);
}
