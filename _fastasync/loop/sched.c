/* loop/sched.c: order and time: the ready ring and the timers.

   What is called soon goes into the ring, what is called later into the heap;
   a due timer moves from the heap to the ring and is from then on an ordinary
   handle. Times are nanoseconds of loop.time()'s clock, deadlines rounded up,
   so that no timer fires early. HOT: call_soon and call_at. Benchmarks:
   call_soon_batch, call_soon_threadsafe, call_later_cancel. */
#include "loop/loop.h"

#include <math.h>

#include "base/errors.h"
#include "loop/handle.h"

/* A few timers are waited for to the nanosecond. Where many are about to fire,
   waking for each costs more than they do: if one has just fired, the next wait
   is a millisecond at least, which is what asyncio rounds every wait up to. */
#define TIMER_CROWD 16
#define TIMER_CROWD_NS FA_NS_PER_MS

int
loop_check_closed(LoopObject *loop)
{
    if (FA_UNLIKELY(loop->closed)) {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        return -1;
    }
    return 0;
}

/* Debug mode: only the thread that runs the loop may call most methods. */
static FA_COLD int
loop_check_thread(LoopObject *loop)
{
    if (loop->thread_id != 0 &&
        loop->thread_id != PyThread_get_thread_ident())
    {
        PyErr_SetString(PyExc_RuntimeError,
                        "Non-thread-safe operation invoked on an event loop "
                        "other than the current one");
        return -1;
    }
    return 0;
}

/* Debug mode: asyncio's _check_callback(callback, method). */
static FA_COLD int
loop_check_callback(LoopObject *loop, PyObject *callback, const char *method)
{
    PyObject *done = PyObject_CallMethod((PyObject *)loop, "_check_callback",
                                         "Os", callback, method);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static inline int
loop_check_debug(LoopObject *loop, PyObject *callback, const char *method)
{
    if (FA_LIKELY(!loop->debug)) {
        return 0;
    }
    return loop_check_thread(loop) < 0
               ? -1
               : loop_check_callback(loop, callback, method);
}

PyObject *
loop_call_soon(LoopObject *loop, PyObject *callback, PyObject *const *args,
               Py_ssize_t nargs, PyObject *context)
{
    if (loop_check_closed(loop) < 0 ||
        loop_check_debug(loop, callback, "call_soon") < 0)
    {
        return NULL;
    }
    HandleObject *handle =
        handle_new(loop, FA_HANDLE, callback, args, nargs, context);
    if (handle == NULL) {
        return NULL;
    }
    if (ring_push(&loop->ready, handle_run, Py_NewRef(handle), NULL) < 0) {
        Py_DECREF(handle);
        return NULL;
    }
    return (PyObject *)handle;
}

void
loop_wake(LoopObject *loop)
{
    if (loop->asleep && !loop->woken && loop->wakeup >= 0) {
        loop->woken = 1;
        wakeup_signal(loop->wakeup);
    }
}

PyObject *
loop_call_soon_threadsafe(LoopObject *loop, PyObject *callback,
                          PyObject *const *args, Py_ssize_t nargs,
                          PyObject *context)
{
    if (loop_check_closed(loop) < 0 ||
        (loop->debug &&
         loop_check_callback(loop, callback, "call_soon_threadsafe") < 0))
    {
        return NULL;
    }
    int kind = FA_HAS_THREADSAFE_HANDLE ? FA_THREADSAFE : FA_HANDLE;
    HandleObject *handle =
        handle_new(loop, kind, callback, args, nargs, context);
    if (handle == NULL) {
        return NULL;
    }
    if (ring_push(&loop->ready, handle_run, Py_NewRef(handle), NULL) < 0) {
        Py_DECREF(handle);
        return NULL;
    }
    loop_wake(loop);
    return (PyObject *)handle;
}

/* -- timers ------------------------------------------------------------------ */

/* Seconds to the heap's key: up to the next nanosecond, clamped. asyncio runs
   a timer at NaN at once. */
static int64_t
timer_key(double when)
{
    if (isnan(when)) {
        return INT64_MIN;
    }
    double ns = ceil(when * 1e9);
    if (ns >= 9.2e18) {
        return INT64_MAX;
    }
    return ns <= -9.2e18 ? INT64_MIN : (int64_t)ns;
}

double
loop_time(LoopObject *loop)
{
    if (FA_LIKELY(!(loop->overridden & FA_OV_TIME))) {
        return (double)clock_now() / 1e9;
    }
    PyObject *now =
        PyObject_CallMethodNoArgs((PyObject *)loop, loop->st->str_time);
    if (now == NULL) {
        return -1.0;
    }
    double seconds = PyFloat_AsDouble(now);
    Py_DECREF(now);
    return seconds;
}

/* loop.time() as a key of the heap, rounded down; 0 and *now, or -1. */
static int
loop_time_ns(LoopObject *loop, int64_t *now)
{
    if (FA_LIKELY(!(loop->overridden & FA_OV_TIME))) {
        *now = clock_now();
        return 0;
    }
    double seconds = loop_time(loop);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    // a fake clock says 10.0 and means a timer at 10.0: the same rounding
    *now = timer_key(seconds);
    return 0;
}

PyObject *
loop_call_at(LoopObject *loop, double when, PyObject *when_obj,
             PyObject *callback, PyObject *const *args, Py_ssize_t nargs,
             PyObject *context)
{
    if (loop_check_closed(loop) < 0 ||
        loop_check_debug(loop, callback, "call_at") < 0)
    {
        return NULL;
    }
    HandleObject *timer =
        timer_new(loop, when, when_obj, callback, args, nargs, context);
    if (timer == NULL) {
        return NULL;
    }
    if (heap_push(&loop->timers, &timer->node, timer_key(when)) < 0) {
        Py_DECREF(timer);
        return PyErr_NoMemory();
    }
    timer->scheduled = 1;
    return Py_NewRef((PyObject *)timer); // one for the heap, one returned
}

PyObject *
loop_call_at_light(LoopObject *loop, double when, PyObject *callback,
                   PyObject *const *args, Py_ssize_t nargs, PyObject *owner,
                   int *light)
{
    *light = loop->running && !loop->debug && !loop->closed &&
             !FA_GIL_DISABLED;
    if (FA_UNLIKELY(!*light)) {
        return loop_call_at(loop, when, NULL, callback, args, nargs, NULL);
    }
    HandleObject *timer = timer_new_light(loop, when, callback, args, nargs);
    if (FA_UNLIKELY(timer == NULL)) {
        return NULL;
    }
    if (heap_push(&loop->timers, &timer->node, timer_key(when)) < 0) {
        Py_DECREF(timer);
        return PyErr_NoMemory();
    }
    timer->scheduled = 1;
    timer->owner = owner;
    loop->light_timers = 1;
    return Py_NewRef((PyObject *)timer); // one for the heap, one returned
}

void
loop_settle_timers(LoopObject *loop)
{
    if (loop->light_timers) {
        loop->light_timers = 0;
        for (size_t i = 0; i < loop->timers.len; i++) {
            handle_settle((PyObject *)FA_CONTAINER_OF(
                heap_node(&loop->timers, i), HandleObject, node));
        }
    }
}

int64_t
loop_next_timer(LoopObject *loop)
{
    if (loop->timers.len == 0) {
        return -1;
    }
    int64_t now, key = loop->timers.items[0].key;
    if (loop_time_ns(loop, &now) < 0) {
        return -2;
    }
    if (key <= now) {
        return 0;
    }
    // a day at most, as asyncio's MAXIMUM_SELECT_TIMEOUT
    const int64_t day = 24 * 3600 * FA_NS_PER_SEC;
    int64_t wait = key - now > day || now < 0 ? day : key - now;
    if (loop->timers.len > TIMER_CROWD && !(loop->overridden & FA_OV_TIME)) {
        if (wait < TIMER_CROWD_NS && now - loop->last_fired < TIMER_CROWD_NS) {
            wait = TIMER_CROWD_NS;
        }
    }
    return wait;
}

int
loop_fire_timers(LoopObject *loop)
{
    int64_t now;
    if (loop->timers.len == 0) {
        return 0;
    }
    if (loop_time_ns(loop, &now) < 0) {
        return -1;
    }
    if (loop->timers.items[0].key <= now) {
        loop->last_fired = now;
    }
    while (loop->timers.len > 0 && loop->timers.items[0].key <= now) {
        HandleObject *timer = FA_CONTAINER_OF(heap_pop(&loop->timers),
                                              HandleObject, node);
        fa_fetch(timer, sizeof(*timer)); // until it runs
        timer->scheduled = 0;
        // the heap's reference moves into the ring
        if (ring_push(&loop->ready, handle_run, (PyObject *)timer, NULL) < 0) {
            return -1;
        }
    }
    return 0;
}

/* -- any loop -------------------------------------------------------------------- */

int
fa_call_soon(fa_state *st, PyObject *loop, PyObject *callback, PyObject *arg,
             PyObject *context)
{
    Py_ssize_t nargs = arg != NULL;
    if (loop_check(st, loop)) {
        LoopObject *ours = (LoopObject *)loop;
        if (FA_LIKELY(!(ours->overridden & FA_OV_CALL_SOON))) {
            PyObject *handle =
                loop_call_soon(ours, callback, &arg, nargs, context);
            Py_XDECREF(handle);
            return handle == NULL ? -1 : 0;
        }
    }
    PyObject *args[4] = {loop, callback, arg, NULL};
    PyObject *kwnames = NULL;
    if (context != NULL) {
        args[2 + nargs] = context;
        kwnames = st->kw_context;
    }
    PyObject *handle = PyObject_VectorcallMethod(
        st->str_call_soon, args, (size_t)(2 + nargs), kwnames);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

int
fa_loop_debug(fa_state *st, PyObject *loop)
{
    if (loop_check(st, loop)) {
        LoopObject *ours = (LoopObject *)loop;
        if (FA_LIKELY(!(ours->overridden & FA_OV_GET_DEBUG))) {
            return ours->debug;
        }
    }
    PyObject *debug = PyObject_CallMethodNoArgs(loop, st->str_get_debug);
    if (debug == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(debug);
    Py_DECREF(debug);
    return truth;
}
