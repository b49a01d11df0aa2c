/* net/staggered.c: the race of happy eyeballs (RFC 8305).

   What asyncio.staggered.staggered_race does with one task per address, as a
   state in C: attempts (connecting.c) that are on their way at the same time, and
   one timer. The first address is tried at once; the next one when the last one
   that was begun has failed, or `delay` seconds after it was begun, whichever
   comes first; who connects first wins, and all others are closed there and then.
   (That an *earlier* attempt fails starts nothing: asyncio's tasks wait for their
   predecessor only.) connect.c calls race_begin and awaits whole->waiter.

   Invariant: while the race is on, every attempt in self->attempts that is not
   None has an fd and refers to the race. When it is over (self->attempts is
   NULL) there is no timer, no attempt refers to it, and the only fd left is that
   of self->winner, until race_finish hands it to `whole`. The attempts' order is
   that of whole->infos and of whole->exceptions, which gets one list per attempt.
   Cost: one Connecting per address tried, and no task, no Python socket. */
#include "net/connect.h"

#include <math.h>

#include "base/errors.h"

typedef struct {
    PyObject_HEAD
    fa_state *st;            /* borrowed */
    ConnectingObject *whole; /* strong or NULL: for whom it is run */
    PyObject *attempts;      /* strong: list of Connecting or None; NULL = over */
    Py_ssize_t running;      /* of these are on their way */
    PyObject *timer;         /* strong or NULL: when the next one begins */
    PyObject *error;         /* strong or NULL: the exception that ended it */
    ConnectingObject *winner; /* strong or NULL */
    fa_connect how;          /* CONNECT_WAITS until it is over */
    double delay;            /* seconds, not negative */
} RaceObject;

/* -- new, traverse, clear, dealloc --------------------------------------------------- */

int
race_is_plain(ConnectingObject *whole, PyObject *delay)
{
    fa_state *st = whole->st;
    int family, proto;
    fa_sockaddr addr;
    double seconds = PyFloat_AsDouble(delay);
    if (seconds == -1.0 && PyErr_Occurred()) {
        PyErr_Clear();
        return 0;
    }
    PyObject *module = PyDict_GetItemString(
        PyModule_GetDict(st->mod_base_events), "staggered"); // borrowed
    if (isnan(seconds) || module == NULL ||
        !plain_own_function(module, "staggered_race") ||
        !plain_connects(whole->loop) || whole->local != NULL)
    {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(whole->infos); i++) {
        if (!addr_from_info(PyList_GET_ITEM(whole->infos, i), &family, &proto,
                            &addr))
        {
            return 0;
        }
    }
    return 1;
}

PyObject *
race_new(ConnectingObject *whole, PyObject *delay)
{
    PyTypeObject *type = whole->st->RaceType;
    RaceObject *self = (RaceObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    double seconds = PyFloat_AsDouble(delay); // a number: race_is_plain
    self->st = whole->st;
    self->whole = (ConnectingObject *)Py_NewRef((PyObject *)whole);
    self->delay = seconds > 0 ? seconds : 0;
    self->how = CONNECT_WAITS;
    self->attempts = PyList_New(0);
    if (self->attempts == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int
Race_traverse(RaceObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)self->whole);
    Py_VISIT(self->attempts);
    Py_VISIT(self->timer);
    Py_VISIT(self->error);
    Py_VISIT((PyObject *)self->winner);
    return 0;
}

static int
Race_clear(RaceObject *self)
{
    race_drop((PyObject *)self);
    Py_CLEAR(self->whole);
    return 0;
}

static void
Race_dealloc(RaceObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Race_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* -- the end ----------------------------------------------------------------------------- */

static int
race_stop_timer(RaceObject *self)
{
    PyObject *timer = self->timer;
    self->timer = NULL;
    int rc = timer == NULL ? 0 : fa_handle_cancel(self->st, timer);
    Py_XDECREF(timer);
    return rc;
}

/* The attempt has no part in the race any more. */
static void
race_dismiss(PyObject *attempt)
{
    if (attempt != Py_None) {
        Py_CLEAR(((ConnectingObject *)attempt)->race);
        connecting_drop((ConnectingObject *)attempt);
    }
}

/* It is over: no timer, no attempt but the winner. Keeps the raised exception.
   The caller has a reference to the race (or it is being freed). */
static void
race_over(RaceObject *self)
{
    PyObject *raised = fa_err_take();
    PyObject *attempts = self->attempts;
    self->attempts = NULL;
    self->running = 0;
    if (race_stop_timer(self) < 0) {
        fa_err_unraisable((PyObject *)self);
    }
    for (Py_ssize_t i = 0; attempts && i < PyList_GET_SIZE(attempts); i++) {
        PyObject *attempt = PyList_GET_ITEM(attempts, i);
        if (attempt != (PyObject *)self->winner) {
            race_dismiss(attempt);
        }
    }
    Py_XDECREF(attempts);
    if (self->winner != NULL) {
        Py_CLEAR(self->winner->race);
    }
    fa_err_restore(raised);
}

void
race_drop(PyObject *race)
{
    RaceObject *self = (RaceObject *)race;
    ConnectingObject *winner = self->winner;
    self->winner = NULL;
    race_over(self);
    if (winner != NULL) {
        connecting_drop(winner);
        Py_DECREF((PyObject *)winner);
    }
    Py_CLEAR(self->error);
}

/* It has ended so, and nobody has been told: tell. 0 or -1. */
static int
race_end(RaceObject *self, fa_connect how)
{
    PyObject *waiter = Py_XNewRef(self->whole->waiter);
    self->how = how;
    if (how == CONNECT_ERROR) {
        Py_XSETREF(self->error, fa_err_take());
    }
    race_over(self);
    int rc = waiter == NULL ? 0
                            : fa_set_result_unless_cancelled(self->st, waiter,
                                                             Py_None);
    Py_XDECREF(waiter);
    return rc;
}

/* It is over, and so it has ended: give `whole` what is its. */
static fa_connect
race_finish(RaceObject *self)
{
    fa_connect how = self->how;
    ConnectingObject *whole = self->whole, *winner = self->winner;
    Py_CLEAR(whole->waiter);
    if (how == CONNECT_DONE && winner != NULL) {
        whole->fd = winner->fd;
        winner->fd = -1;
        whole->addr = winner->addr;
        whole->family = winner->family;
        whole->proto = winner->proto;
        Py_XSETREF(whole->address, Py_XNewRef(winner->address));
    }
    else if (how == CONNECT_ERROR) {
        fa_err_restore(self->error);
        self->error = NULL;
    }
    PyObject *raised = fa_err_take();
    race_drop((PyObject *)self);
    fa_err_restore(raised);
    return how;
}

/* -- attempts ------------------------------------------------------------------------------ */

/* exceptions[number].append(what it has failed with). 0 or -1. */
static int
race_note(RaceObject *self, ConnectingObject *attempt)
{
    PyObject *exc = attempt->failed;
    PyObject *sub = PyList_GetItem(self->whole->exceptions, attempt->next);
    attempt->failed = NULL;
    int rc = sub == NULL ? -1 : PyList_Append(sub, exc);
    Py_DECREF(exc);
    return rc;
}

/* What has come out of an attempt, to which the caller has a reference: who
   wins, and what is kept of one that has failed. */
static fa_connect
race_judge(RaceObject *self, ConnectingObject *attempt, fa_connect how)
{
    if (how == CONNECT_DONE) {
        Py_XSETREF(self->winner,
                   (ConnectingObject *)Py_NewRef((PyObject *)attempt));
    }
    else if (how == CONNECT_FAILED) {
        if (race_note(self, attempt) < 0) {
            return CONNECT_ERROR;
        }
        if (PyList_SetItem(self->attempts, attempt->next,
                           Py_NewRef(Py_None)) < 0)
        {
            return CONNECT_ERROR;
        }
        race_dismiss((PyObject *)attempt);
    }
    return how;
}

/* An attempt for the next address (new), the last of self->attempts. */
static ConnectingObject *
race_attempt(RaceObject *self)
{
    PyObject *const nothing[CONN_ARGS] = {NULL};
    ConnectingObject *whole = self->whole;
    Py_ssize_t number = whole->next++;
    PyObject *info = PyList_GET_ITEM(whole->infos, number);
    ConnectingObject *attempt = connecting_new(whole->loop, nothing, 0);
    if (attempt == NULL) {
        return NULL;
    }
    PyObject *sub = PyList_New(0);
    int rc = sub == NULL ? -1 : PyList_Append(whole->exceptions, sub);
    Py_XDECREF(sub);
    if (rc == 0 && !addr_from_info(info, &attempt->family, &attempt->proto,
                                   &attempt->addr))
    {
        PyErr_BadInternalCall(); // race_is_plain has seen it
        rc = -1;
    }
    if (rc == 0) {
        attempt->next = number;
        attempt->address = Py_NewRef(PyTuple_GET_ITEM(info, 4));
        rc = PyList_Append(self->attempts, (PyObject *)attempt);
    }
    if (rc < 0) {
        Py_CLEAR(attempt);
    }
    else {
        attempt->race = Py_NewRef((PyObject *)self);
    }
    return attempt;
}

/* The same through the loop's methods, as the wait_for of this version calls
   them: call_at(time() + delay, self) or call_later(delay, self) (new). */
static PyObject *
race_timer_by_method(RaceObject *self, LoopObject *loop)
{
    double seconds = self->delay;
    PyObject *name = self->st->str_call_later;
    if (FA_HAS_WAIT_FOR_TIMEOUT) {
        double now = loop_time(loop);
        if (now == -1.0 && PyErr_Occurred()) {
            return NULL;
        }
        seconds += now;
        name = self->st->str_call_at;
    }
    PyObject *when = PyFloat_FromDouble(seconds);
    PyObject *args[] = {(PyObject *)loop, when, (PyObject *)self};
    PyObject *timer = when == NULL ? NULL
                                   : PyObject_VectorcallMethod(name, args, 3,
                                                               NULL);
    Py_XDECREF(when);
    return timer;
}

/* The next attempt begins after the delay: its timer (new). */
static PyObject *
race_timer(RaceObject *self)
{
    LoopObject *loop = self->whole->loop;
    if (!loop->direct ||
        (loop->overridden & (FA_OV_CALL_LATER | FA_OV_CALL_AT | FA_OV_TIME)))
    {
        return race_timer_by_method(self, loop);
    }
    double now = (double)clock_now() / 1e9;
    return loop_call_at(loop, now + self->delay, NULL, (PyObject *)self, NULL,
                        0, NULL);
}

/* One more is on its way; let the next one wait. */
static fa_connect
race_stagger(RaceObject *self)
{
    ConnectingObject *whole = self->whole;
    self->running++;
    if (whole->next >= PyList_GET_SIZE(whole->infos)) {
        return CONNECT_WAITS;
    }
    PyObject *timer = race_timer(self);
    if (timer == NULL || race_stop_timer(self) < 0) {
        Py_XDECREF(timer);
        return CONNECT_ERROR;
    }
    self->timer = timer;
    // a method of the loop that somebody has replaced may have run the loop
    return self->attempts == NULL && race_stop_timer(self) < 0 ? CONNECT_ERROR
                                                               : CONNECT_WAITS;
}

/* Begin with the next address, and at once with the one after it if that fails. */
static fa_connect
race_go_on(RaceObject *self)
{
    ConnectingObject *whole = self->whole;
    if (race_stop_timer(self) < 0) {
        return CONNECT_ERROR;
    }
    while (self->attempts != NULL &&
           whole->next < PyList_GET_SIZE(whole->infos))
    {
        ConnectingObject *attempt = race_attempt(self);
        if (attempt == NULL) {
            return CONNECT_ERROR;
        }
        fa_connect how = race_judge(self, attempt, connecting_start(attempt));
        Py_DECREF((PyObject *)attempt);
        if (how != CONNECT_FAILED) {
            return how == CONNECT_WAITS ? race_stagger(self) : how;
        }
    }
    return self->running > 0 || self->attempts == NULL ? CONNECT_WAITS
                                                       : CONNECT_FAILED;
}

/* -- what connect.c and connecting.c call -------------------------------------------------------- */

int
race_hear(ConnectingObject *attempt, fa_connect how)
{
    RaceObject *self = (RaceObject *)Py_NewRef(attempt->race);
    int rc = 0;
    if (self->attempts == NULL) { // over
        Py_DECREF((PyObject *)self);
        return how == CONNECT_ERROR ? -1 : 0;
    }
    self->running--;
    how = race_judge(self, attempt, how);
    if (how == CONNECT_FAILED) {
        how = attempt->next + 1 == self->whole->next ? race_go_on(self)
              : self->running > 0                    ? CONNECT_WAITS
                                                     : CONNECT_FAILED;
    }
    if (how != CONNECT_WAITS) {
        rc = race_end(self, how);
    }
    Py_DECREF((PyObject *)self);
    return rc;
}

/* The timer. */
static PyObject *
Race_call(RaceObject *self, PyObject *Py_UNUSED(args),
          PyObject *Py_UNUSED(kwargs))
{
    int rc = 0;
    Py_INCREF(self); // the timer's reference may be the last
    if (self->attempts != NULL) {
        fa_connect how = race_go_on(self);
        rc = how == CONNECT_WAITS ? 0 : race_end(self, how);
    }
    Py_DECREF(self);
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* A future that is told when it is over. 0 or -1. */
static int
race_await(RaceObject *self)
{
    PyObject *waiter = fa_create_future(self->st,
                                        (PyObject *)self->whole->loop);
    if (waiter == NULL) {
        return -1;
    }
    Py_XSETREF(self->whole->waiter, waiter);
    return 0;
}

fa_connect
race_begin(PyObject *race)
{
    RaceObject *self = (RaceObject *)race;
    fa_connect how = race_await(self) < 0 ? CONNECT_ERROR : race_go_on(self);
    if (how == CONNECT_WAITS) {
        return how;
    }
    self->how = how;
    if (how == CONNECT_ERROR) {
        self->error = fa_err_take();
    }
    race_over(self);
    return race_finish(self);
}

fa_connect
race_told(PyObject *race)
{
    RaceObject *self = (RaceObject *)race;
    if (self->how != CONNECT_WAITS) {
        return race_finish(self);
    }
    if (race_await(self) < 0) { // somebody else has set the future
        race_drop(race);
        return CONNECT_ERROR;
    }
    return CONNECT_WAITS;
}

/* -- table -------------------------------------------------------------------------------- */

static PyType_Slot Race_slots[] = {
    {Py_tp_doc, (void *)"Attempts to connect that overtake each other."},
    {Py_tp_traverse, Race_traverse},
    {Py_tp_clear, Race_clear},
    {Py_tp_dealloc, Race_dealloc},
    {Py_tp_call, Race_call},
    {0, NULL},
};

static PyType_Spec Race_spec = {
    .name = "_fastasync.Race",
    .basicsize = sizeof(RaceObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Race_slots,
};

int
race_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &Race_spec, NULL, &st->RaceType);
}
