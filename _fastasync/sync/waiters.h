/* sync/waiters.h: what the primitives with waiters share (Lock, Event, Condition,
   Semaphore, Barrier): the queue of waiters (waiters.c), attributes (attrs.c),
   and what one of them needs of another. */
#ifndef FA_SYNC_WAITERS_H
#define FA_SYNC_WAITERS_H

#include "base/classes.h"
#include "base/fifo.h"
#include "sync/private.h"
#include "task/coro.h"

/* -- what every primitive with waiters opens with (waiters.c) -------------------- */

typedef enum {
    FA_WAITERS_UNSET, /* no attribute `_waiters` */
    FA_WAITERS_NONE,  /* it is None: nobody has waited yet */
    FA_WAITERS_THERE, /* it is a queue */
} fa_waiters_state;

#define FA_SYNC_HEAD \
    FA_CLASS_HEAD \
    PyObject *loop;        /* strong or NULL: `_loop` */ \
    fa_fifo waiters;       /* futures, in the order of their arrival */ \
    unsigned int plain_version; /* of the subclass that changes nothing of \
                                   ours, 0 = not known */ \
    uint8_t waiters_state; /* fa_waiters_state; not THERE: `waiters` is empty */

typedef struct {
    FA_SYNC_HEAD
} SyncObject;

FA_INTERNAL int sync_is_plain_slow(SyncObject *self, PyTypeObject *tp);

/* HOT. May C do for this object what the methods of our class `tp` do? Yes if it
   is exactly of that class; or of a subclass that has replaced nothing; and if no
   instance attribute hides a method. */
static inline int
sync_is_plain(SyncObject *self, PyTypeObject *tp)
{
    return FA_LIKELY(Py_IS_TYPE((PyObject *)self, tp) && self->dict == NULL) ||
           sync_is_plain_slow(self, tp);
}

/* tp_new of them all. */
FA_INTERNAL PyObject *sync_new(PyTypeObject *type, PyObject *args,
                               PyObject *kwargs);

/* Back to an empty queue that the attribute shows as `state`. */
FA_INTERNAL void sync_reset(SyncObject *self, fa_waiters_state state);

FA_INTERNAL int sync_traverse(SyncObject *self, visitproc visit, void *arg);
FA_INTERNAL void sync_clear(SyncObject *self);

/* self._get_loop().create_future() (new). HOT */
FA_INTERNAL PyObject *waiters_future(SyncObject *self);

/* The same, appended to the waiters. New reference or NULL. HOT */
FA_INTERNAL PyObject *waiters_add(SyncObject *self);

/* self._waiters.remove(fut): 0, or -1 with the error of asyncio's. HOT */
FA_INTERNAL int waiters_leave(SyncObject *self, PyObject *fut);

/* The same as the `finally` of an await that has raised if `failed`: the
   exception that is then to be raised (new; what has failed here has the other
   for its context), NULL if none. HOT */
FA_INTERNAL PyObject *waiters_left(SyncObject *self, PyObject *fut,
                                   int failed);

/* Wake the first one unless it is to wake up already. 0 or -1. HOT */
FA_INTERNAL int waiters_wake_first(SyncObject *self);

/* Wake up to `count` that are not to wake up yet, with `value`. 0 or -1. */
FA_INTERNAL int waiters_wake(SyncObject *self, Py_ssize_t count,
                             PyObject *value);

/* The first that is not to wake up yet: 1 and a new reference, 0 or -1. HOT */
FA_INTERNAL int waiters_next(SyncObject *self, PyObject **out);

/* Is nobody there but cancelled ones? 1, 0 or -1. HOT */
FA_INTERNAL int waiters_all_cancelled(SyncObject *self);

/* -- attributes (attrs.c) --------------------------------------------------------- */

/* A number as Python sees it: nearly always a small int, but asyncio takes
   whatever counts (a float, infinity, a bool). Zeroed: not set. */
typedef struct {
    int64_t n;
    PyObject *odd; /* strong or NULL: the number itself, if it is no such int */
    uint8_t set;
} fa_number;

FA_INTERNAL void number_set(fa_number *number, PyObject *value);
FA_INTERNAL PyObject *number_get(const fa_number *number); /* new */
FA_INTERNAL int number_add_slow(fa_number *number, int delta);
FA_INTERNAL int number_compare_slow(const fa_number *number, int64_t other,
                                    int op);

/* number += delta. 0 or -1. */
static inline int
number_add(fa_number *number, int delta)
{
    if (FA_UNLIKELY(number->odd != NULL)) {
        return number_add_slow(number, delta);
    }
    number->n += delta;
    return 0;
}

/* number > 0, number == 0: 1, 0 or -1. */
static inline int
number_positive(const fa_number *number)
{
    return FA_LIKELY(number->odd == NULL)
               ? number->n > 0
               : number_compare_slow(number, 0, Py_GT);
}

static inline int
number_zero(const fa_number *number)
{
    return FA_LIKELY(number->odd == NULL)
               ? number->n == 0
               : number_compare_slow(number, 0, Py_EQ);
}

/* AttributeError: "'Lock' object has no attribute '_locked'"; NULL. */
FA_INTERNAL PyObject *sync_no_attribute(PyObject *self, const char *name);

/* getset functions of `_waiters` and `_loop`; the rows to put into a table. */
FA_INTERNAL PyObject *Sync_get_waiters(PyObject *self, void *closure);
FA_INTERNAL int Sync_set_waiters(PyObject *self, PyObject *value,
                                 void *closure);
FA_INTERNAL PyObject *Sync_get_loop(PyObject *self, void *closure);
FA_INTERNAL int Sync_set_loop(PyObject *self, PyObject *value, void *closure);

#define FA_SYNC_GETSET \
    {"_waiters", Sync_get_waiters, Sync_set_waiters, NULL, NULL}, \
    {"_loop", Sync_get_loop, Sync_set_loop, NULL, NULL}

/* getset functions of a fa_number; the closure is a number_attribute. */
typedef struct {
    const char *name;
    size_t offset;
} number_attribute;

FA_INTERNAL PyObject *Sync_get_number(PyObject *self, void *closure);
FA_INTERNAL int Sync_set_number(PyObject *self, PyObject *value,
                                void *closure);

/* __getstate__: {name: value} of the attributes that are set, in the order of
   asyncio's instance dict (`names`, ended by NULL), and what users have added;
   as object.__getstate__ says it if a subclass has slots. New reference. */
FA_INTERNAL PyObject *sync_getstate(PyObject *self, const char *const *names);

/* __setstate__: what C keeps to its place, the rest into the instance dict. */
FA_INTERNAL PyObject *Sync_setstate(PyObject *self, PyObject *state);

#define FA_SYNC_SETSTATE \
    {"__setstate__", Sync_setstate, METH_O, NULL}

/* repr() of an object that C knows, "<... object at 0x...>" (taken over, may
   be NULL) with asyncio's additions: `extra` (new, may be NULL: error) and the
   number of waiters. New reference. */
FA_INTERNAL PyObject *sync_repr(SyncObject *self, const char *extra);
FA_INTERNAL PyObject *sync_repr_text(PyObject *self, PyObject *extra);

/* -- asyncio's own way (attrs.c) --------------------------------------------------- */

/* For whatever C does not do itself: an object of a subclass or with attributes
   of its own, a call with odd arguments. `cls` is asyncio's class: its function
   `name` is called with self, and works on our attributes, calling whatever
   methods the object has. New reference or NULL. */
FA_INTERNAL PyObject *sync_theirs(PyObject *cls, const char *name,
                                  PyObject *self, PyObject *const *args,
                                  Py_ssize_t nargs, PyObject *kwnames);

/* The same without arguments. */
static inline PyObject *
sync_theirs_plain(PyObject *cls, const char *name, PyObject *self)
{
    return sync_theirs(cls, name, self, NULL, 0, NULL);
}

/* -- Lock (lock.c) ------------------------------------------------------------------ */

typedef enum { FA_LOCK_UNSET, FA_LOCK_FREE, FA_LOCK_LOCKED } fa_lock_state;

typedef struct {
    FA_SYNC_HEAD
    uint8_t state; /* fa_lock_state: `_locked` */
} LockObject;

/* Our Lock, whose methods nobody has replaced for it. HOT */
static inline int
lock_is_plain(LockObject *lock)
{
    return sync_is_plain((SyncObject *)lock, lock->st->LockType) &&
           lock->state != FA_LOCK_UNSET &&
           lock->waiters_state != FA_WAITERS_UNSET;
}

/* What follows works on the lock itself, whatever its methods.

   Take it if that can be done at once: 1, 0 or -1. HOT */
FA_INTERNAL int lock_acquire_nowait(LockObject *lock);

/* To wait: the future (new) that lock_waited is to be called with when it has
   been awaited, however that ended. NULL on error. HOT */
FA_INTERNAL PyObject *lock_wait(LockObject *lock);

/* The await is over; `failed`: it has raised. 0: the lock is taken; -1: not,
   the exception is raised. HOT */
FA_INTERNAL int lock_waited(LockObject *lock, PyObject *fut, int failed);

/* 0 or -1 (RuntimeError: not acquired). HOT */
FA_INTERNAL int lock_release(LockObject *lock);

/* acquire(); __aenter__(), __aexit__() and their tables: vars[0] is a lock. */
FA_INTERNAL PyObject *lock_acquire_coro(LockObject *lock);
FA_INTERNAL PyObject *lock_aenter_coro(LockObject *lock);
FA_INTERNAL PyObject *lock_aexit_coro(LockObject *lock);

/* -- Condition (condition.c) ----------------------------------------------------------- */

/* The methods of the lock that a condition has as attributes. */
enum { COND_LOCKED, COND_ACQUIRE, COND_RELEASE, COND_METHODS };

typedef struct {
    FA_SYNC_HEAD
    PyObject *lock;                  /* strong or NULL: `_lock` */
    LockObject *bound;               /* strong or NULL: the plain Lock whose
                                        methods are the attributes, made when
                                        asked for */
    PyObject *methods[COND_METHODS]; /* strong or NULL */
    uint8_t replaced;                /* `bound` is not all that methods say */
} ConditionObject;

/* Exactly ours, with a plain Lock's methods. HOT */
static inline int
condition_is_plain(ConditionObject *cond)
{
    return fa_is_plain(cond, cond->st->ConditionType) &&
           cond->bound != NULL && !cond->replaced &&
           cond->waiters_state == FA_WAITERS_THERE;
}

/* wait() as a coroutine (new); the condition is plain. */
FA_INTERNAL PyObject *condition_wait_coro(ConditionObject *cond);

/* notify_all() of a plain one. 0 or -1. */
FA_INTERNAL int condition_notify_all(ConditionObject *cond);

/* -- setting up ------------------------------------------------------------------------ */

FA_INTERNAL int lock_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int event_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int condition_type_init(PyObject *module, fa_state *st);
FA_INTERNAL int semaphore_types_init(PyObject *module, fa_state *st);
FA_INTERNAL int barrier_type_init(PyObject *module, fa_state *st);

#endif
