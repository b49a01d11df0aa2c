/* sync/barrier.c: Barrier.

   So many parties wait for each other, then go on together; the next round opens
   when the last of them has left. On top of a Condition, as asyncio's: every
   change of state happens under its lock and is told to all who wait. The states:

       filling -> draining -> filling ...      the rounds
       filling -> resetting -> filling         reset() while some wait
       any -> broken                           abort(), until reset()

   wait() is one coroutine that awaits the Condition's. An object that is not
   plainly ours goes asyncio's own way. Cost: a round wakes everybody once and
   takes the lock for each. */
#include "base/args.h"
#include "base/errors.h"
#include "sync/waiters.h"

/* asyncio.locks._BarrierState; its members' names in this order. */
typedef enum {
    BARRIER_UNSET,
    BARRIER_FILLING,
    BARRIER_DRAINING,
    BARRIER_RESETTING,
    BARRIER_BROKEN,
    BARRIER_STATES,
} barrier_state;

static const char *const state_names[BARRIER_STATES] = {
    NULL, "FILLING", "DRAINING", "RESETTING", "BROKEN"};

typedef struct {
    FA_SYNC_HEAD       /* no waiters of its own */
    PyObject *cond;    /* strong or NULL: `_cond` */
    fa_number parties; /* `_parties` */
    fa_number count;   /* `_count`: how many are inside */
    uint8_t state;     /* barrier_state */
} BarrierObject;

/* -- new, traverse, clear, dealloc ------------------------------------------------- */

static int
Barrier_traverse(PyObject *self, visitproc visit, void *arg)
{
    BarrierObject *barrier = (BarrierObject *)self;
    Py_VISIT(barrier->cond);
    Py_VISIT(barrier->parties.odd);
    Py_VISIT(barrier->count.odd);
    return sync_traverse((SyncObject *)self, visit, arg);
}

static int
Barrier_clear(PyObject *self)
{
    BarrierObject *barrier = (BarrierObject *)self;
    Py_CLEAR(barrier->cond);
    number_set(&barrier->parties, NULL);
    number_set(&barrier->count, NULL);
    sync_clear((SyncObject *)self);
    return 0;
}

static void
Barrier_dealloc(PyObject *self)
{
    fa_class_dealloc(self, Barrier_clear);
}

/* parties < 1: ValueError. 0 or -1. */
static int
barrier_check_parties(PyObject *parties)
{
    PyObject *one = PyLong_FromLong(1);
    int few = one == NULL ? -1 : PyObject_RichCompareBool(parties, one, Py_LT);
    Py_XDECREF(one);
    if (few > 0) {
        PyErr_SetString(PyExc_ValueError, FA_HAS_BARRIER_TEXT
                                              ? "parties must be >= 1"
                                              : "parties must be > 0");
    }
    return few == 0 ? 0 : -1;
}

static int
Barrier_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const fa_args spec = {.fname = "Barrier.__init__", .required = 1,
                                 .positional = 1, .python = 1, .total = 1,
                                 .names = {"parties"}};
    BarrierObject *barrier = (BarrierObject *)self;
    PyObject *parties;
    if (fa_args_parse_tuple(&spec, args, kwargs, &parties) < 0 ||
        barrier_check_parties(parties) < 0)
    {
        return -1;
    }
    PyObject *cond =
        PyObject_CallNoArgs((PyObject *)barrier->st->ConditionType);
    if (cond == NULL) {
        return -1;
    }
    PyObject *old = barrier->cond;
    barrier->cond = cond;
    barrier->state = BARRIER_FILLING;
    number_set(&barrier->parties, parties);
    number_set(&barrier->count, NULL);
    barrier->count.set = 1; // 0
    Py_XDECREF(old);
    return 0;
}

/* -- engine ---------------------------------------------------------------------------- */

/* Exactly ours, on a plain Condition of ours, with plain numbers. */
static int
barrier_is_plain(BarrierObject *barrier)
{
    fa_state *st = barrier->st;
    return fa_is_plain(barrier, st->BarrierType) &&
           barrier->state != BARRIER_UNSET && barrier->cond != NULL &&
           Py_IS_TYPE(barrier->cond, st->ConditionType) &&
           condition_is_plain((ConditionObject *)barrier->cond) &&
           barrier->parties.set && barrier->parties.odd == NULL &&
           barrier->count.set && barrier->count.odd == NULL;
}

/* vars of all coroutines: the barrier, its condition; `number` is the index. */
enum { BARRIER_SELF, BARRIER_COND };

static ConditionObject *
barrier_cond(CoroObject *co)
{
    return (ConditionObject *)co->vars[BARRIER_COND];
}

static PyObject *
barrier_coro_new(fa_state *st, const fa_coro_kind *kind, PyObject *self)
{
    return (PyObject *)coro_new(st, kind, self,
                                ((BarrierObject *)self)->cond);
}

/* await cond.acquire(): goes on at `stage`. */
static PySendResult
barrier_enter(CoroObject *co, int stage)
{
    PyObject *coro = lock_acquire_coro(barrier_cond(co)->bound);
    return coro == NULL ? PYGEN_ERROR : coro_await(co, stage, coro);
}

/* The end of `async with cond`: what is raised now (if `failed`) stays, or is
   the context of what goes wrong here. 0 or -1. */
static int
barrier_leave(CoroObject *co, int failed)
{
    PyObject *exc = failed ? fa_err_take() : NULL;
    if (lock_release(barrier_cond(co)->bound) < 0) {
        fa_err_chain(exc);
        return -1;
    }
    fa_err_restore(exc);
    return failed ? -1 : 0;
}

static PySendResult
barrier_cond_wait(CoroObject *co, int stage)
{
    PyObject *coro = condition_wait_coro(barrier_cond(co));
    return coro == NULL ? PYGEN_ERROR : coro_await(co, stage, coro);
}

static void
barrier_raise_broken(fa_state *st, const char *text)
{
    PyErr_SetString(st->BrokenBarrierError, text);
}

/* _exit(): the last one out opens the next round. 0 or -1. */
static int
barrier_exit(BarrierObject *barrier, ConditionObject *cond)
{
    int last = number_zero(&barrier->count);
    if (last <= 0) {
        return last;
    }
    if (barrier->state == BARRIER_RESETTING ||
        barrier->state == BARRIER_DRAINING)
    {
        barrier->state = BARRIER_FILLING;
    }
    return condition_notify_all(cond);
}

/* -- wait() ------------------------------------------------------------------------------ */

enum { WAIT_BEGIN, WAIT_ENTERED, WAIT_BLOCKED, WAIT_INSIDE };

/* The `finally` of those inside, then the end of `async with`; an exception is
   raised if `failed`. */
static PySendResult
barrier_wait_end(CoroObject *co, int failed, PyObject **result)
{
    BarrierObject *barrier = (BarrierObject *)co->vars[BARRIER_SELF];
    PyObject *exc = failed ? fa_err_take() : NULL;
    if (number_add(&barrier->count, -1) < 0 ||
        barrier_exit(barrier, barrier_cond(co)) < 0)
    {
        fa_err_chain(exc);
        exc = fa_err_take();
    }
    failed = exc != NULL;
    fa_err_restore(exc);
    if (barrier_leave(co, failed) < 0) {
        return PYGEN_ERROR;
    }
    *result = PyLong_FromLongLong(co->number);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* Inside: wait until it is not filling any more. */
static PySendResult
barrier_wait_inside(CoroObject *co, PyObject **result)
{
    BarrierObject *barrier = (BarrierObject *)co->vars[BARRIER_SELF];
    if (barrier->state == BARRIER_FILLING) {
        PySendResult status = barrier_cond_wait(co, WAIT_INSIDE);
        return status == PYGEN_ERROR ? barrier_wait_end(co, 1, result)
                                     : status;
    }
    int broken = barrier->state == BARRIER_BROKEN ||
                 barrier->state == BARRIER_RESETTING;
    if (broken) {
        barrier_raise_broken(co->st, "Abort or reset of barrier");
    }
    return barrier_wait_end(co, broken, result);
}

/* The barrier is open for us: be one of the parties. */
static PySendResult
barrier_wait_join(CoroObject *co, PyObject **result)
{
    BarrierObject *barrier = (BarrierObject *)co->vars[BARRIER_SELF];
    co->number = barrier->count.n;
    if (number_add(&barrier->count, 1) < 0) {
        return barrier_leave(co, 1), PYGEN_ERROR;
    }
    if (co->number + 1 != barrier->parties.n) {
        return barrier_wait_inside(co, result);
    }
    barrier->state = BARRIER_DRAINING;
    int failed = condition_notify_all(barrier_cond(co)) < 0;
    return barrier_wait_end(co, failed, result);
}

/* Under the lock: wait until the former round is over. */
static PySendResult
barrier_wait_block(CoroObject *co, PyObject **result)
{
    BarrierObject *barrier = (BarrierObject *)co->vars[BARRIER_SELF];
    if (barrier->state == BARRIER_DRAINING ||
        barrier->state == BARRIER_RESETTING)
    {
        PySendResult status = barrier_cond_wait(co, WAIT_BLOCKED);
        if (status == PYGEN_ERROR) {
            (void)barrier_leave(co, 1);
        }
        return status;
    }
    if (barrier->state == BARRIER_BROKEN) {
        barrier_raise_broken(co->st, "Barrier aborted");
        (void)barrier_leave(co, 1);
        return PYGEN_ERROR;
    }
    return barrier_wait_join(co, result);
}

/* Its condition is garbage that was cleared, or not ours any more. */
static int
barrier_is_gone(CoroObject *co)
{
    if (FA_LIKELY(barrier_cond(co)->bound != NULL)) {
        return 0;
    }
    PyErr_SetString(PyExc_RuntimeError, "the barrier is gone");
    return 1;
}

static PySendResult
barrier_wait_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (barrier_is_gone(co)) {
        return PYGEN_ERROR;
    }
    switch (co->stage) {
    case WAIT_BEGIN:
        return barrier_enter(co, WAIT_ENTERED);
    case WAIT_ENTERED:
        return value == NULL ? PYGEN_ERROR : barrier_wait_block(co, result);
    case WAIT_BLOCKED:
        if (value == NULL) {
            (void)barrier_leave(co, 1);
            return PYGEN_ERROR;
        }
        return barrier_wait_block(co, result);
    default:
        return value == NULL ? barrier_wait_end(co, 1, result)
                             : barrier_wait_inside(co, result);
    }
}

/* -- reset() and abort() ---------------------------------------------------------------------- */

static PySendResult
barrier_reset_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    BarrierObject *barrier = (BarrierObject *)co->vars[BARRIER_SELF];
    if (barrier_is_gone(co)) {
        return PYGEN_ERROR;
    }
    if (co->stage == 0) {
        return barrier_enter(co, 1);
    }
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    int inside = number_positive(&barrier->count);
    if (inside >= 0) {
        barrier->state = inside ? BARRIER_RESETTING : BARRIER_FILLING;
        inside = condition_notify_all(barrier_cond(co));
    }
    return barrier_leave(co, inside < 0) < 0 ? PYGEN_ERROR
                                             : coro_return_none(result);
}

static PySendResult
barrier_abort_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (barrier_is_gone(co)) {
        return PYGEN_ERROR;
    }
    if (co->stage == 0) {
        return barrier_enter(co, 1);
    }
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    ((BarrierObject *)co->vars[BARRIER_SELF])->state = BARRIER_BROKEN;
    int rc = condition_notify_all(barrier_cond(co));
    return barrier_leave(co, rc < 0) < 0 ? PYGEN_ERROR
                                         : coro_return_none(result);
}

static PySendResult
barrier_aexit_turn(CoroObject *Py_UNUSED(co), PyObject *Py_UNUSED(value),
                   PyObject **result)
{
    return coro_return_none(result);
}

static const fa_coro_kind barrier_wait_kind = {"Barrier.wait",
                                               barrier_wait_turn};
static const fa_coro_kind barrier_aenter_kind = {"Barrier.__aenter__",
                                                 barrier_wait_turn};
static const fa_coro_kind barrier_aexit_kind = {"Barrier.__aexit__",
                                                barrier_aexit_turn};
static const fa_coro_kind barrier_reset_kind = {"Barrier.reset",
                                                barrier_reset_turn};
static const fa_coro_kind barrier_abort_kind = {"Barrier.abort",
                                                barrier_abort_turn};

/* -- coroutine methods ------------------------------------------------------------------------- */

/* A coroutine of that kind, or asyncio's. */
static PyObject *
barrier_make(const fa_coro_kind *kind, const char *name, fa_state *st,
             PyObject *self, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    if (nargs == 0 && kwnames == NULL &&
        barrier_is_plain((BarrierObject *)self))
    {
        return barrier_coro_new(st, kind, self);
    }
    return sync_theirs(st->asyncio_Barrier, name, self, args, nargs, kwnames);
}

static PyObject *
Barrier_wait(fa_state *st, PyObject *self, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames)
{
    return barrier_make(&barrier_wait_kind, "wait", st, self, args, nargs,
                        kwnames);
}

static PyObject *
Barrier_reset(fa_state *st, PyObject *self, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    return barrier_make(&barrier_reset_kind, "reset", st, self, args, nargs,
                        kwnames);
}

static PyObject *
Barrier_abort(fa_state *st, PyObject *self, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    return barrier_make(&barrier_abort_kind, "abort", st, self, args, nargs,
                        kwnames);
}

static PyObject *
Barrier_aenter(fa_state *st, PyObject *self, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames)
{
    return barrier_make(&barrier_aenter_kind, "__aenter__", st, self, args,
                        nargs, kwnames);
}

static PyObject *
Barrier_aexit(fa_state *st, PyObject *self, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames)
{
    if (kwnames == NULL) {
        return (PyObject *)coro_new_fleeting(st, &barrier_aexit_kind, self,
                                             NULL);
    }
    return sync_theirs(st->asyncio_Barrier, "__aexit__", self, args, nargs,
                       kwnames);
}

static const fa_coro_def Barrier_coros[] = {
    {"wait", "Barrier.wait", NULL, Barrier_wait,
     "wait($self)\n--\n\n"
     "Wait until all parties are here; return the number of those who were here\n"
     "before. BrokenBarrierError if the barrier is broken or reset meanwhile. See\n"
     "asyncio.Barrier.wait."},
    {"reset", "Barrier.reset", NULL, Barrier_reset,
     "reset($self)\n--\n\n"
     "Begin anew: those who wait get BrokenBarrierError. See\n"
     "asyncio.Barrier.reset."},
    {"abort", "Barrier.abort", NULL, Barrier_abort,
     "abort($self)\n--\n\n"
     "Break the barrier: those who wait, and who will, get BrokenBarrierError.\n"
     "See asyncio.Barrier.abort."},
    {"__aenter__", "Barrier.__aenter__", NULL, Barrier_aenter,
     "__aenter__($self)\n--\n\nwait(), for `async with`; gives the number."},
    {"__aexit__", "Barrier.__aexit__", NULL, Barrier_aexit,
     "__aexit__($self, *args)\n--\n\nNothing, for `async with`."},
    {NULL, NULL, NULL, NULL, NULL},
};

/* -- attributes --------------------------------------------------------------------------------- */

static PyObject *
Barrier_get_state(PyObject *self, void *Py_UNUSED(closure))
{
    BarrierObject *barrier = (BarrierObject *)self;
    if (barrier->state == BARRIER_UNSET) {
        return sync_no_attribute(self, "_state");
    }
    return PyObject_GetAttrString(barrier->st->asyncio_BarrierState,
                                  state_names[barrier->state]);
}

/* Only asyncio's states can be set. */
static int
Barrier_set_state(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    BarrierObject *barrier = (BarrierObject *)self;
    int found = value == NULL ? BARRIER_UNSET : BARRIER_STATES;
    for (int i = 1; i < BARRIER_STATES && value != NULL; i++) {
        PyObject *state = PyObject_GetAttrString(
            barrier->st->asyncio_BarrierState, state_names[i]);
        if (state == NULL) {
            return -1;
        }
        Py_DECREF(state); // the class keeps it
        found = state == value ? i : found;
    }
    if (found == BARRIER_STATES) {
        PyErr_Format(PyExc_TypeError, "%R is no state of a barrier", value);
        return -1;
    }
    barrier->state = (uint8_t)found;
    return 0;
}

static PyObject *
Barrier_get_cond(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *cond = ((BarrierObject *)self)->cond;
    return cond == NULL ? sync_no_attribute(self, "_cond") : Py_NewRef(cond);
}

static int
Barrier_set_cond(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(((BarrierObject *)self)->cond, Py_XNewRef(value));
    return 0;
}

static PyObject *
Barrier_get_n_waiting(PyObject *self, void *Py_UNUSED(closure))
{
    BarrierObject *barrier = (BarrierObject *)self;
    if (barrier->state == BARRIER_UNSET) {
        return sync_no_attribute(self, "_state");
    }
    if (barrier->state != BARRIER_FILLING) {
        return PyLong_FromLong(0);
    }
    return barrier->count.set ? number_get(&barrier->count)
                              : sync_no_attribute(self, "_count");
}

static PyObject *
Barrier_get_broken(PyObject *self, void *Py_UNUSED(closure))
{
    BarrierObject *barrier = (BarrierObject *)self;
    return barrier->state == BARRIER_UNSET
               ? sync_no_attribute(self, "_state")
               : PyBool_FromLong(barrier->state == BARRIER_BROKEN);
}

static PyObject *
Barrier_repr(PyObject *self)
{
    static const char *const texts[BARRIER_STATES] = {
        NULL, "filling", "draining", "resetting", "broken"};
    BarrierObject *barrier = (BarrierObject *)self;
    if (!barrier_is_plain(barrier)) {
        return sync_theirs_plain(barrier->st->asyncio_Barrier, "__repr__",
                                 self);
    }
    const char *text = texts[barrier->state];
    if (barrier->state == BARRIER_BROKEN) {
        return sync_repr_text(self, PyUnicode_FromString(text));
    }
    long long waiting =
        barrier->state == BARRIER_FILLING ? (long long)barrier->count.n : 0;
    return sync_repr_text(
        self, PyUnicode_FromFormat("%s, waiters:%lld/%lld", text, waiting,
                                   (long long)barrier->parties.n));
}

static PyObject *
Barrier_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    static const char *const names[] = {"_cond", "_parties", "_state",
                                        "_count", "_loop", NULL};
    return sync_getstate(self, names);
}

/* -- the type ------------------------------------------------------------------------------------- */

static const number_attribute barrier_parties = {
    "_parties", offsetof(BarrierObject, parties)};
static const number_attribute barrier_count = {
    "_count", offsetof(BarrierObject, count)};

static PyMethodDef Barrier_methods[] = {
    {"__getstate__", Barrier_getstate, METH_NOARGS, NULL},
    FA_SYNC_SETSTATE,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Barrier_getset[] = {
    {"parties", Sync_get_number, NULL,
     "The number of tasks that wait for each other.",
     (void *)&barrier_parties},
    {"n_waiting", Barrier_get_n_waiting, NULL,
     "The number of tasks that wait now.", NULL},
    {"broken", Barrier_get_broken, NULL, "True if the barrier is broken.",
     NULL},
    {"_parties", Sync_get_number, Sync_set_number, NULL,
     (void *)&barrier_parties},
    {"_count", Sync_get_number, Sync_set_number, NULL,
     (void *)&barrier_count},
    {"_state", Barrier_get_state, Barrier_set_state, NULL, NULL},
    {"_cond", Barrier_get_cond, Barrier_set_cond, NULL, NULL},
    {"_loop", Sync_get_loop, Sync_set_loop, NULL, NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Barrier_members[] = {
    FA_CLASS_MEMBERS(BarrierObject),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Barrier_doc,
"BarrierCore(parties)\n--\n\n"
"A place where `parties` tasks wait for each other, round after round.\n"
"`async with barrier as index:` waits. ValueError if `parties` is below one. See\n"
"asyncio.Barrier.");

static PyType_Slot Barrier_slots[] = {
    {Py_tp_doc, (char *)Barrier_doc},
    {Py_tp_new, sync_new},
    {Py_tp_init, Barrier_init},
    {Py_tp_dealloc, Barrier_dealloc},
    {Py_tp_traverse, Barrier_traverse},
    {Py_tp_clear, Barrier_clear},
    {Py_tp_repr, Barrier_repr},
    {Py_tp_methods, Barrier_methods},
    {Py_tp_getset, Barrier_getset},
    {Py_tp_members, Barrier_members},
    {0, NULL},
};

static PyType_Spec Barrier_spec = {
    .name = "_fastasync.BarrierCore",
    .basicsize = sizeof(BarrierObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = Barrier_slots,
};

int
barrier_type_init(PyObject *module, fa_state *st)
{
    const fa_class spec = {
        .module = module, .core = &Barrier_spec, .name = "Barrier",
        .asyncio_module = "asyncio.locks", .asyncio_name = "Barrier",
    };
    if (fa_class_new(&spec, &st->BarrierCoreType, &st->BarrierType) < 0) {
        return -1;
    }
    return coro_methods_add(st, st->BarrierCoreType, Barrier_coros);
}
