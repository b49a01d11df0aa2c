/* task/sleep.c: asyncio.sleep().

   sleep(0) is one bare yield: the task goes straight back into the ring. Any
   other delay is a future and a timer that sets it; the timer goes when the
   sleep ends, however it ends. HOT. Benchmarks: sleep0_1, sleep_timers. */
#include "base/args.h"
#include "base/errors.h"
#include "task/coro.h"
#include "task/private.h"

/* vars of sleep: the delay, the result, the TimerHandle. */
enum { SLEEP_DELAY, SLEEP_RESULT, SLEEP_TIMER };

/* delay <= 0: 1, 0 or -1; NaN is refused where asyncio does. */
static int
sleep_is_over(PyObject *delay)
{
    if (PyLong_CheckExact(delay)) {
        int beyond;
        long seconds = PyLong_AsLongAndOverflow(delay, &beyond);
        return beyond != 0 ? beyond < 0 : seconds <= 0;
    }
    if (PyFloat_CheckExact(delay)) {
        double seconds = PyFloat_AS_DOUBLE(delay);
        if (seconds == seconds) {
            return seconds <= 0;
        }
    }
    PyObject *zero = PyLong_FromLong(0);
    int over = zero == NULL ? -1
                            : PyObject_RichCompareBool(delay, zero, Py_LE);
    Py_XDECREF(zero);
#if FA_HAS_SLEEP_NAN
    if (over == 0) {
        double seconds = PyFloat_AsDouble(delay);
        if (seconds == -1.0 && PyErr_Occurred()) {
            return -1;
        }
        if (seconds != seconds) {
            PyErr_SetString(PyExc_ValueError,
                            "Invalid delay: NaN (not a number)");
            return -1;
        }
    }
#endif
    return over;
}

/* The coroutine and its future are reachable from the timer, or lead to nothing
   but that: the garbage collector need not know them. The future is exactly ours
   or the coroutine stays as it is. */
static inline void
sleep_veil(CoroObject *co, PyObject *obj)
{
    FutureObject *fut = (FutureObject *)obj;
    PyObject_GC_UnTrack(co);
    if (FA_LIKELY(Py_IS_TYPE(obj, co->st->FutureType))) {
        fut->veiled = 1;
        PyObject_GC_UnTrack(fut);
    }
}

void
sleep_settle(PyObject *owner, PyObject *obj)
{
    fa_state *st = ((CoroObject *)owner)->st;
    PyObject_GC_Track(owner);
    if (FA_LIKELY(Py_IS_TYPE(obj, st->FutureType))) {
        future_settle((FutureObject *)obj);
    }
}

/* HOT. The same as below on a loop of ours where nobody would see the method
   calls: NULL without an exception if it is not that simple. */
static inline PyObject *
sleep_timer_direct(CoroObject *co, PyObject *loop, PyObject *delay,
                   PyObject *const *args)
{
    fa_state *st = co->st;
    LoopObject *ours = (LoopObject *)loop;
    if (!PyFloat_CheckExact(delay) || !loop_check(st, loop) || !ours->direct ||
        (ours->overridden &
         (FA_OV_CALL_LATER | FA_OV_CALL_AT | FA_OV_TIME)))
    {
        return NULL;
    }
    double when = (double)clock_now() / 1e9 + PyFloat_AS_DOUBLE(delay);
    // its result could be part of a cycle
    PyObject *owner = args[1] == Py_None ? (PyObject *)co : NULL;
    int light;
    PyObject *timer = loop_call_at_light(
        ours, when, st->set_result_unless_cancelled, args, 2, owner, &light);
    if (FA_LIKELY(timer != NULL && light && owner != NULL)) {
        sleep_veil(co, args[0]);
    }
    return timer;
}

/* loop.call_later(delay, set result unless cancelled, future, result). */
static PyObject *
sleep_timer(CoroObject *co, PyObject *loop, PyObject *delay, PyObject *future,
            PyObject *result)
{
    fa_state *st = co->st;
    PyObject *args[] = {loop, delay, st->set_result_unless_cancelled, future,
                        result};
    PyObject *timer = sleep_timer_direct(co, loop, delay, args + 3);
    if (FA_LIKELY(timer != NULL) || PyErr_Occurred()) {
        return timer;
    }
    return PyObject_VectorcallMethod(st->str_call_later, args, 5, NULL);
}

/* The future to wait for (new), its timer in co->vars. */
static PyObject *
sleep_begin(CoroObject *co)
{
    fa_state *st = co->st;
    PyObject *loop = fa_get_running_loop(st);
    if (loop == NULL) {
        return NULL;
    }
    PyObject *future = fa_create_future(st, loop);
    if (future != NULL) {
        co->vars[SLEEP_TIMER] = sleep_timer(co, loop, co->vars[SLEEP_DELAY],
                                            future, co->vars[SLEEP_RESULT]);
        if (co->vars[SLEEP_TIMER] == NULL) {
            Py_CLEAR(future);
        }
        else if (PyFloat_CheckExact(co->vars[SLEEP_DELAY])) {
            Py_CLEAR(co->vars[SLEEP_DELAY]); // out of the caches, later
        }
    }
    Py_DECREF(loop);
    return future;
}

/* h.cancel() of the finally block; the raised exception, if any, stays unless
   this raises. 0 or -1. */
static int
sleep_end(CoroObject *co, int raised)
{
    PyObject *timer = co->vars[SLEEP_TIMER];
    if (FA_LIKELY(Py_IS_TYPE(timer, co->st->TimerHandleType))) {
        timer_unveil(timer); // cancel() may have been replaced
        if (FA_LIKELY(!raised)) {
            return timer_cancel(timer);
        }
    }
    PyObject *exc = raised ? fa_err_take() : NULL;
    PyObject *done = PyObject_CallMethodNoArgs(timer, co->st->str_cancel);
    if (done == NULL) {
        Py_XDECREF(exc);
        return -1;
    }
    Py_DECREF(done);
    fa_err_restore(exc);
    return 0;
}

static PySendResult
sleep_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    enum { BEGIN, YIELDED, WAITED };
    switch (co->stage) {
    case BEGIN: {
        int over = sleep_is_over(co->vars[SLEEP_DELAY]);
        if (over < 0) {
            return PYGEN_ERROR;
        }
        if (over) {
            return coro_await_turn(co, YIELDED);
        }
        PyObject *future = sleep_begin(co);
        return future == NULL ? PYGEN_ERROR : coro_await(co, WAITED, future);
    }
    case YIELDED:
        return value == NULL
                   ? PYGEN_ERROR
                   : coro_return(co, co->vars[SLEEP_RESULT], result);
    default:
        if (sleep_end(co, value == NULL) < 0 || value == NULL) {
            return PYGEN_ERROR;
        }
        return coro_return(co, value, result);
    }
}

static const fa_coro_kind sleep_kind = {"sleep", sleep_turn};

static PyObject *
sleep_make(fa_state *st, PyObject *Py_UNUSED(self), PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "sleep", .required = 1, .positional = 2, .python = 2,
        .total = 2, .names = {"delay", "result"},
    };
    PyObject *out[2];
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        return (PyObject *)coro_new(st, &sleep_kind, args[0], Py_None);
    }
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return (PyObject *)coro_new(st, &sleep_kind, out[0],
                                out[1] == NULL ? Py_None : out[1]);
}

static const fa_coro_def sleep_defs[] = {
    {"sleep", "sleep", NULL, sleep_make,
     "sleep($module, delay, result=None)\n--\n\n"
     "Wait for `delay` seconds, then return `result`. With 0 or less the other\n"
     "tasks get their turn once. See asyncio.sleep."},
    {NULL, NULL, NULL, NULL, NULL},
};

int
sleep_init(PyObject *module, fa_state *st)
{
    return coro_functions_add(st, module, sleep_defs);
}
