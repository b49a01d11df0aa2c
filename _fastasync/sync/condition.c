/* sync/condition.c: Condition.

   A queue of those who wait to be notified, on top of a lock that they hold
   before and after. asyncio's Condition takes over three bound methods of the
   lock as attributes: locked, acquire, release. With a plain Lock of ours below,
   C works on the lock directly and makes those attributes when asked for; with
   any other lock, or once somebody has replaced an attribute, everything goes
   asyncio's own way.

   wait() has two parts that can suspend: waiting for the notification, then for
   the lock, which has to be had back whatever happens; only CancelledError is put
   off meanwhile. Since 3.13 (FA_HAS_CONDITION_RENOTIFY) whoever leaves with an
   exception passes the notification on. HOT: condition_wait_turn,
   condition_notify. Benchmark: condition. */
#include "base/args.h"
#include "base/errors.h"
#include "sync/waiters.h"

static const char *const method_names[COND_METHODS] = {"locked", "acquire",
                                                       "release"};

/* -- new, traverse, clear, dealloc ------------------------------------------------- */

static int
Condition_traverse(PyObject *self, visitproc visit, void *arg)
{
    ConditionObject *cond = (ConditionObject *)self;
    Py_VISIT(cond->lock);
    Py_VISIT(cond->bound);
    for (int i = 0; i < COND_METHODS; i++) {
        Py_VISIT(cond->methods[i]);
    }
    return sync_traverse((SyncObject *)self, visit, arg);
}

static int
Condition_clear(PyObject *self)
{
    ConditionObject *cond = (ConditionObject *)self;
    Py_CLEAR(cond->lock);
    Py_CLEAR(cond->bound);
    for (int i = 0; i < COND_METHODS; i++) {
        Py_CLEAR(cond->methods[i]);
    }
    sync_clear((SyncObject *)self);
    return 0;
}

static void
Condition_dealloc(PyObject *self)
{
    fa_class_dealloc(self, Condition_clear);
}

/* self.locked = lock.locked, and so on. 0 or -1. */
static int
condition_take_methods(PyObject *self, PyObject *lock)
{
    for (int i = 0; i < COND_METHODS; i++) {
        PyObject *method = PyObject_GetAttrString(lock, method_names[i]);
        if (method == NULL) {
            return -1;
        }
        int rc = PyObject_SetAttrString(self, method_names[i], method);
        Py_DECREF(method);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

/* Work on the plain lock directly. */
static void
condition_bind(ConditionObject *cond, PyObject *lock)
{
    PyObject *old[COND_METHODS + 1];
    cond->replaced = 0;
    old[COND_METHODS] = (PyObject *)cond->bound;
    cond->bound = (LockObject *)Py_NewRef(lock);
    for (int i = 0; i < COND_METHODS; i++) {
        old[i] = cond->methods[i];
        cond->methods[i] = NULL;
    }
    for (int i = 0; i <= COND_METHODS; i++) {
        Py_XDECREF(old[i]);
    }
}

/* The methods of its lock become the attributes. A subclass gets real ones: it
   may define methods of those names, which instance attributes come before.
   0 or -1. */
static int
condition_take_lock(ConditionObject *cond)
{
    fa_state *st = cond->st;
    PyObject *self = (PyObject *)cond;
    PyObject *lock = Py_NewRef(cond->lock);
    int rc = 0;
    if (Py_IS_TYPE(self, st->ConditionType) &&
        Py_IS_TYPE(lock, st->LockType) && lock_is_plain((LockObject *)lock))
    {
        condition_bind(cond, lock);
    }
    else {
        rc = condition_take_methods(self, lock);
    }
    Py_DECREF(lock);
    return rc;
}

static int
Condition_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const fa_args spec = {.fname = "Condition.__init__",
                                 .positional = 1, .python = 1, .total = 1,
                                 .names = {"lock"}};
    ConditionObject *cond = (ConditionObject *)self;
    PyObject *lock;
    if (fa_args_parse_tuple(&spec, args, kwargs, &lock) < 0) {
        return -1;
    }
    lock = lock == NULL || lock == Py_None
               ? PyObject_CallNoArgs((PyObject *)cond->st->LockType)
               : Py_NewRef(lock);
    if (lock == NULL) {
        return -1;
    }
    Py_XSETREF(cond->lock, lock);
    if (condition_take_lock(cond) < 0) {
        return -1;
    }
    sync_reset((SyncObject *)cond, FA_WAITERS_THERE);
    return 0;
}

/* -- engine: notify ----------------------------------------------------------------------- */

/* _notify(n). 0 or -1. */
static inline int
condition_wake(ConditionObject *cond, Py_ssize_t n)
{
    return waiters_wake((SyncObject *)cond, n, Py_False);
}

static int
condition_notify(ConditionObject *cond, Py_ssize_t n)
{
    if (FA_UNLIKELY(cond->bound->state != FA_LOCK_LOCKED)) {
        PyErr_SetString(PyExc_RuntimeError,
                        "cannot notify on un-acquired lock");
        return -1;
    }
    return condition_wake(cond, n);
}

int
condition_notify_all(ConditionObject *cond)
{
    Py_ssize_t len = fifo_len(&cond->waiters);
    return len < 0 ? -1 : condition_notify(cond, len);
}

/* -- engine: wait -------------------------------------------------------------------------- */

/* vars of wait: the condition; the future it waits for, first its own, then the
   lock's; what was raised while it waited for the notification; the last
   CancelledError while it waited for the lock. */
enum { COND_SELF, COND_FUTURE, COND_RAISED, COND_PUT_OFF };

/* wait() is over; `exc` (taken over, NULL: none) is to be raised. */
static PySendResult
condition_wait_end(CoroObject *co, PyObject *exc, PyObject **result)
{
    if (FA_LIKELY(exc == NULL)) {
        return coro_return(co, Py_True, result);
    }
#if FA_HAS_CONDITION_RENOTIFY
    if (condition_wake((ConditionObject *)co->vars[COND_SELF], 1) < 0) {
        fa_err_chain(exc);
        return PYGEN_ERROR;
    }
#endif
    fa_err_restore(exc);
    return PYGEN_ERROR;
}

/* The lock is had back: what is there to raise? New reference or NULL. */
static PyObject *
condition_wait_outcome(CoroObject *co)
{
    PyObject *raised = co->vars[COND_RAISED], *put_off = co->vars[COND_PUT_OFF];
    if (FA_LIKELY(raised == NULL && put_off == NULL)) {
        return NULL;
    }
    co->vars[COND_RAISED] = co->vars[COND_PUT_OFF] = NULL;
    if (put_off == NULL) {
        return raised;
    }
#if !FA_HAS_CONDITION_RENOTIFY
    PyErr_SetNone(co->st->CancelledError); // a new one
    Py_SETREF(put_off, fa_err_take());
#endif
    fa_err_restore(put_off);
    fa_err_chain(raised);
    return fa_err_take();
}

/* Acquiring the lock has raised, which is raised now: CancelledError is put off
   (0), anything else comes out (-1). */
static int
condition_put_off(CoroObject *co)
{
    if (!PyErr_ExceptionMatches(co->st->CancelledError)) {
        return -1;
    }
    fa_err_chain(Py_XNewRef(co->vars[COND_RAISED]));
    PyObject *exc = fa_err_take();
    Py_XSETREF(co->vars[COND_PUT_OFF], exc);
    return 0;
}

/* Take the lock, or begin to wait for it. */
static PySendResult
condition_reacquire(CoroObject *co, PyObject **result)
{
    LockObject *lock = ((ConditionObject *)co->vars[COND_SELF])->bound;
    int taken = lock_acquire_nowait(lock);
    if (taken > 0) {
        return condition_wait_end(co, condition_wait_outcome(co), result);
    }
    PyObject *fut = taken < 0 ? NULL : lock_wait(lock);
    if (fut != NULL) {
        Py_XSETREF(co->vars[COND_FUTURE], Py_NewRef(fut));
        PySendResult status = coro_await(co, 2, fut);
        if (FA_LIKELY(status != PYGEN_ERROR)) {
            return status;
        }
        (void)lock_waited(lock, co->vars[COND_FUTURE], 1);
    }
    fa_err_chain(Py_XNewRef(co->vars[COND_RAISED]));
    return condition_wait_end(co, fa_err_take(), result);
}

/* Waiting for the notification has failed: `exc` (taken over). */
static PySendResult
condition_wait_failed(CoroObject *co, PyObject *exc, PyObject **result)
{
    Py_XSETREF(co->vars[COND_RAISED], exc);
    return condition_reacquire(co, result);
}

/* The part of the first turn after release(). `fut` is taken over. */
static PySendResult
condition_wait_join(CoroObject *co, PyObject *fut, PyObject **result)
{
    ConditionObject *cond = (ConditionObject *)co->vars[COND_SELF];
    if (fut == NULL) {
        return condition_wait_failed(co, fa_err_take(), result);
    }
    if (fifo_push(cond->st, &cond->waiters, fut) < 0) {
        Py_DECREF(fut);
        return condition_wait_failed(co, fa_err_take(), result);
    }
    co->vars[COND_FUTURE] = Py_NewRef(fut);
    PySendResult status = coro_await(co, 1, fut);
    if (FA_UNLIKELY(status == PYGEN_ERROR)) {
        PyObject *exc = waiters_left((SyncObject *)cond,
                                     co->vars[COND_FUTURE], 1);
        return condition_wait_failed(co, exc, result);
    }
    return status;
}

static PySendResult
condition_wait_begin(CoroObject *co, PyObject **result)
{
    ConditionObject *cond = (ConditionObject *)co->vars[COND_SELF];
    PyObject *fut = NULL;
    if (cond->bound->state != FA_LOCK_LOCKED) {
        PyErr_SetString(PyExc_RuntimeError, "cannot wait on un-acquired lock");
        return PYGEN_ERROR;
    }
#if FA_HAS_CONDITION_RENOTIFY
    fut = waiters_future((SyncObject *)cond);
    if (fut == NULL) {
        return PYGEN_ERROR;
    }
#endif
    if (lock_release(cond->bound) < 0) {
        Py_XDECREF(fut);
        return PYGEN_ERROR;
    }
#if !FA_HAS_CONDITION_RENOTIFY
    fut = waiters_future((SyncObject *)cond);
#endif
    return condition_wait_join(co, fut, result);
}

static FA_HOT PySendResult
condition_wait_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    enum { BEGIN, NOTIFIED, LOCKED };
    ConditionObject *cond = (ConditionObject *)co->vars[COND_SELF];
    if (FA_UNLIKELY(cond->bound == NULL)) { // cleared as garbage
        PyErr_SetString(PyExc_RuntimeError, "the condition is gone");
        return PYGEN_ERROR;
    }
    switch (co->stage) {
    case BEGIN:
        return condition_wait_begin(co, result);
    case NOTIFIED: {
        PyObject *exc = waiters_left((SyncObject *)cond,
                                     co->vars[COND_FUTURE], value == NULL);
        return FA_LIKELY(exc == NULL)
                   ? condition_reacquire(co, result)
                   : condition_wait_failed(co, exc, result);
    }
    default:
        if (FA_LIKELY(lock_waited(cond->bound, co->vars[COND_FUTURE],
                                  value == NULL) == 0))
        {
            return condition_wait_end(co, condition_wait_outcome(co), result);
        }
        if (condition_put_off(co) == 0) {
            return condition_reacquire(co, result);
        }
        fa_err_chain(Py_XNewRef(co->vars[COND_RAISED]));
        return condition_wait_end(co, fa_err_take(), result);
    }
}

static const fa_coro_kind condition_wait_kind = {"Condition.wait",
                                                 condition_wait_turn};

PyObject *
condition_wait_coro(ConditionObject *cond)
{
    return (PyObject *)coro_new(cond->st, &condition_wait_kind,
                                (PyObject *)cond, NULL);
}

/* -- wait_for --------------------------------------------------------------------------------- */

/* vars of wait_for: the condition, the predicate. */
enum { WAIT_FOR_SELF, WAIT_FOR_PREDICATE };

static PySendResult
condition_wait_for_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    PyObject *answer = PyObject_CallNoArgs(co->vars[WAIT_FOR_PREDICATE]);
    int truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
    if (truth > 0) {
        *result = answer;
        return PYGEN_RETURN;
    }
    Py_XDECREF(answer);
    if (truth < 0) {
        return PYGEN_ERROR;
    }
    PyObject *self = co->vars[WAIT_FOR_SELF];
    PyObject *wait = condition_is_plain((ConditionObject *)self)
                         ? condition_wait_coro((ConditionObject *)self)
                         : PyObject_CallMethod(self, "wait", NULL);
    return wait == NULL ? PYGEN_ERROR : coro_await(co, 1, wait);
}

static const fa_coro_kind condition_wait_for_kind = {"Condition.wait_for",
                                                     condition_wait_for_turn};

/* -- coroutine methods ------------------------------------------------------------------------- */

static FA_HOT PyObject *
Condition_wait(fa_state *st, PyObject *self, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 0 && kwnames == NULL &&
                  condition_is_plain((ConditionObject *)self)))
    {
        return condition_wait_coro((ConditionObject *)self);
    }
    return sync_theirs(st->asyncio_Condition, "wait", self, args, nargs,
                       kwnames);
}

static PyObject *
Condition_wait_for(fa_state *st, PyObject *self, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 1 && kwnames == NULL &&
                  condition_is_plain((ConditionObject *)self)))
    {
        return (PyObject *)coro_new(st, &condition_wait_for_kind, self,
                                    args[0]);
    }
    return sync_theirs(st->asyncio_Condition, "wait_for", self, args, nargs,
                       kwnames);
}

static FA_HOT PyObject *
Condition_aenter(fa_state *st, PyObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 0 && kwnames == NULL &&
                  condition_is_plain((ConditionObject *)self)))
    {
        return lock_aenter_coro(((ConditionObject *)self)->bound);
    }
    return sync_theirs(st->asyncio_Condition, "__aenter__", self, args, nargs,
                       kwnames);
}

static FA_HOT PyObject *
Condition_aexit(fa_state *st, PyObject *self, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 3 && kwnames == NULL &&
                  condition_is_plain((ConditionObject *)self)))
    {
        return lock_aexit_coro(((ConditionObject *)self)->bound);
    }
    return sync_theirs(st->asyncio_Condition, "__aexit__", self, args, nargs,
                       kwnames);
}

static const fa_coro_def Condition_coros[] = {
    {"wait", "Condition.wait", NULL, Condition_wait,
     "wait($self)\n--\n\n"
     "Free the lock, wait to be notified, take the lock again, and return True.\n"
     "RuntimeError if the lock is not taken. See asyncio.Condition.wait."},
    {"wait_for", "Condition.wait_for", NULL, Condition_wait_for,
     "wait_for($self, predicate)\n--\n\n"
     "wait() until predicate() is true, and return what it said. See\n"
     "asyncio.Condition.wait_for."},
    {"__aenter__", "_ContextManagerMixin.__aenter__", NULL, Condition_aenter,
     "__aenter__($self)\n--\n\nacquire(), for `async with`; gives None."},
    {"__aexit__", "_ContextManagerMixin.__aexit__", NULL, Condition_aexit,
     "__aexit__($self, exc_type, exc, tb)\n--\n\n"
     "release(), when it is awaited."},
    {NULL, NULL, NULL, NULL, NULL},
};

/* -- methods --------------------------------------------------------------------------------- */

/* The one argument as a count: -1 if C does not know what to do with it. */
static Py_ssize_t
notify_count(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs == 0 && kwnames == NULL) {
        return 1;
    }
    if (nargs != 1 || kwnames != NULL || !PyLong_CheckExact(args[0])) {
        return -1;
    }
    Py_ssize_t n = PyLong_AsSsize_t(args[0]);
    PyErr_Clear();
    return n;
}

static PyObject *
Condition_notify(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    ConditionObject *cond = (ConditionObject *)self;
    Py_ssize_t n = notify_count(args, nargs, kwnames);
    if (FA_LIKELY(n >= 0 && condition_is_plain(cond))) {
        return condition_notify(cond, n) < 0 ? NULL : Py_NewRef(Py_None);
    }
    return sync_theirs(cond->st->asyncio_Condition, "notify", self, args,
                       nargs, kwnames);
}

static PyObject *
Condition_notify_all(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ConditionObject *cond = (ConditionObject *)self;
    if (FA_UNLIKELY(!condition_is_plain(cond))) {
        return sync_theirs_plain(cond->st->asyncio_Condition, "notify_all",
                                 self);
    }
    return condition_notify_all(cond) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
Condition_repr(PyObject *self)
{
    ConditionObject *cond = (ConditionObject *)self;
    if (!condition_is_plain(cond)) {
        return sync_theirs_plain(cond->st->asyncio_Condition, "__repr__",
                                 self);
    }
    return sync_repr((SyncObject *)self, cond->bound->state == FA_LOCK_LOCKED
                                             ? "locked"
                                             : "unlocked");
}

/* Are the attributes what `_lock` gives for them? 1, 0 or -1. copy.deepcopy
   would take bound methods in C for immutable, and not look at their lock. */
static int
condition_has_methods_of_lock(ConditionObject *cond)
{
    if (cond->lock == NULL) {
        return 0;
    }
    if (cond->bound != NULL && !cond->replaced) {
        return (PyObject *)cond->bound == cond->lock;
    }
    int same = 1;
    for (int i = 0; i < COND_METHODS && same == 1; i++) {
        PyObject *own = Py_XNewRef(cond->methods[i]);
        PyObject *locks = PyObject_GetAttrString(cond->lock, method_names[i]);
        PyErr_Clear(); // a lock that has lost its methods
        same = own == NULL || locks == NULL
                   ? 0
                   : PyObject_RichCompareBool(locks, own, Py_EQ);
        Py_XDECREF(locks);
        Py_XDECREF(own);
    }
    return same;
}

static PyObject *
Condition_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    static const char *const names[] = {"_lock",   "locked",   "acquire",
                                        "release", "_waiters", "_loop",
                                        NULL};
    static const char *const few[] = {"_lock", "_waiters", "_loop", NULL};
    int same = condition_has_methods_of_lock((ConditionObject *)self);
    return same < 0 ? NULL : sync_getstate(self, same ? few : names);
}

/* -- attributes ------------------------------------------------------------------------------------ */

/* lock.name of a plain lock as it was when the condition took it over: nothing
   that the instance has got since. */
static PyObject *
condition_method_of(LockObject *lock, const char *name)
{
    PyObject *type = (PyObject *)lock->st->LockType;
    PyObject *descr = PyObject_GetAttrString(type, name);
    PyObject *method = NULL;
    if (descr != NULL) {
        descrgetfunc get = Py_TYPE(descr)->tp_descr_get;
        method = get == NULL ? Py_NewRef(descr)
                             : get(descr, (PyObject *)lock, type);
        Py_DECREF(descr);
    }
    return method;
}

static PyObject *
Condition_get_method(PyObject *self, void *closure)
{
    ConditionObject *cond = (ConditionObject *)self;
    Py_ssize_t which = (Py_ssize_t)closure;
    if (cond->methods[which] == NULL) {
        if (cond->bound == NULL || cond->replaced) {
            return sync_no_attribute(self, method_names[which]);
        }
        PyObject *method = condition_method_of(cond->bound,
                                               method_names[which]);
        if (method == NULL) {
            return NULL;
        }
        Py_XSETREF(cond->methods[which], method);
    }
    return Py_NewRef(cond->methods[which]);
}

static int
Condition_set_method(PyObject *self, PyObject *value, void *closure)
{
    ConditionObject *cond = (ConditionObject *)self;
    Py_ssize_t which = (Py_ssize_t)closure;
    // the other attributes stay the methods of the former lock
    for (Py_ssize_t i = 0; i < COND_METHODS; i++) {
        if (cond->bound == NULL || cond->replaced) {
            break;
        }
        PyObject *method = Condition_get_method(self, (void *)i);
        if (method == NULL) {
            return -1;
        }
        Py_DECREF(method);
    }
    cond->replaced = 1;
    Py_XSETREF(cond->methods[which], Py_XNewRef(value));
    return 0;
}

static PyObject *
Condition_get_lock(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *lock = ((ConditionObject *)self)->lock;
    return lock == NULL ? sync_no_attribute(self, "_lock") : Py_NewRef(lock);
}

static int
Condition_set_lock(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    ConditionObject *cond = (ConditionObject *)self;
    Py_XSETREF(cond->lock, Py_XNewRef(value));
    if (value == NULL || cond->bound != NULL || cond->replaced) {
        return 0;
    }
    return condition_take_lock(cond); // being unpickled
}

/* -- the type ------------------------------------------------------------------------------------ */

PyDoc_STRVAR(Condition_notify_doc,
"notify($self, n=1)\n--\n\n"
"Wake up to `n` of those who wait, in the order in which they came; each goes\n"
"on when it has the lock again. RuntimeError if the lock is not taken. See\n"
"asyncio.Condition.notify.");

PyDoc_STRVAR(Condition_notify_all_doc,
"notify_all($self)\n--\n\n"
"Wake all who wait. See asyncio.Condition.notify_all.");

static PyMethodDef Condition_methods[] = {
    {"notify", (PyCFunction)(void (*)(void))Condition_notify,
     METH_FASTCALL | METH_KEYWORDS, Condition_notify_doc},
    {"notify_all", Condition_notify_all, METH_NOARGS,
     Condition_notify_all_doc},
    {"__getstate__", Condition_getstate, METH_NOARGS, NULL},
    FA_SYNC_SETSTATE,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Condition_getset[] = {
    FA_SYNC_GETSET,
    {"_lock", Condition_get_lock, Condition_set_lock, NULL, NULL},
    {"locked", Condition_get_method, Condition_set_method,
     "The locked() of the lock.", (void *)(intptr_t)COND_LOCKED},
    {"acquire", Condition_get_method, Condition_set_method,
     "The acquire() of the lock.", (void *)(intptr_t)COND_ACQUIRE},
    {"release", Condition_get_method, Condition_set_method,
     "The release() of the lock.", (void *)(intptr_t)COND_RELEASE},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Condition_members[] = {
    FA_CLASS_MEMBERS(ConditionObject),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Condition_doc,
"ConditionCore(lock=None)\n--\n\n"
"Tasks that hold a lock wait here until another one notifies them. `lock` is a\n"
"Lock, by default a new one; acquire(), release() and locked() are its methods.\n"
"See asyncio.Condition.");

static PyType_Slot Condition_slots[] = {
    {Py_tp_doc, (char *)Condition_doc},
    {Py_tp_new, sync_new},
    {Py_tp_init, Condition_init},
    {Py_tp_dealloc, Condition_dealloc},
    {Py_tp_traverse, Condition_traverse},
    {Py_tp_clear, Condition_clear},
    {Py_tp_repr, Condition_repr},
    {Py_tp_methods, Condition_methods},
    {Py_tp_getset, Condition_getset},
    {Py_tp_members, Condition_members},
    {0, NULL},
};

static PyType_Spec Condition_spec = {
    .name = "_fastasync.ConditionCore",
    .basicsize = sizeof(ConditionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = Condition_slots,
};

int
condition_type_init(PyObject *module, fa_state *st)
{
    const fa_class spec = {
        .module = module, .core = &Condition_spec, .name = "Condition",
        .asyncio_module = "asyncio.locks", .asyncio_name = "Condition",
    };
    if (fa_class_new(&spec, &st->ConditionCoreType, &st->ConditionType) < 0) {
        return -1;
    }
    return coro_methods_add(st, st->ConditionCoreType, Condition_coros);
}
