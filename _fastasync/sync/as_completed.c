/* sync/as_completed.c: asyncio.as_completed().

   Every future gets a callback that moves it from the set `todo` into the queue
   `done`; whoever asks for the next one takes it from there. A timeout puts a
   None into the queue for each future that is left.

   Up to 3.12 it is a generator, whose body begins at the first next(); since
   3.13 an object that begins at once and is an asynchronous iterator, too. HOT:
   as_completed_moved, the turns. Benchmark: as_completed. */
#include "base/args.h"
#include "base/errors.h"
#include "sync/queue.h"
#include "sync/scopes.h"

typedef enum {
    ITER_NEW, /* the body has not begun: `fs` and `timeout` are set */
    ITER_BEGINNING,
    ITER_OPEN,
    ITER_OVER, /* a generator that has ended */
} iter_state;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    fa_state *st;         /* borrowed */
    PyObject *fs;         /* strong; NULL when it has begun */
    PyObject *timeout;    /* strong; NULL when it has begun */
    PyObject *done;       /* strong or NULL: a Queue of ours */
    PyObject *todo;       /* strong or NULL: the set of those not yet done */
    PyObject *timer;      /* strong or NULL: the timeout's TimerHandle */
    PyObject *task;       /* strong or NULL: who waits, for the call graph */
    Py_ssize_t left;      /* how many are still to be given out */
    uint8_t state;        /* iter_state */
} AsCompletedObject;

/* How callbacks and coroutines are named. */
#if FA_HAS_ASYNC_AS_COMPLETED
#  define AS_COMPLETED_TYPE "_fastasync._AsCompletedIterator"
#  define AS_COMPLETED_MOVED "_handle_completion"
#  define AS_COMPLETED_TIMEOUT "_handle_timeout"
#  define AS_COMPLETED_WAIT "_AsCompletedIterator._wait_for_one"
#else
#  define AS_COMPLETED_TYPE "_fastasync.as_completed"
#  define AS_COMPLETED_MOVED "<locals>._on_completion"
#  define AS_COMPLETED_TIMEOUT "<locals>._on_timeout"
#  define AS_COMPLETED_WAIT "as_completed.<locals>._wait_for_one"
#endif

/* -- life ------------------------------------------------------------------------- */

static PyObject *
as_completed_new(fa_state *st, PyObject *fs, PyObject *timeout)
{
    PyTypeObject *tp = st->AsCompletedType;
    AsCompletedObject *it = (AsCompletedObject *)tp->tp_alloc(tp, 0);
    if (it != NULL) {
        it->st = st;
        it->fs = Py_NewRef(fs);
        it->timeout = Py_NewRef(timeout);
    }
    return (PyObject *)it;
}

static int
AsCompleted_traverse(PyObject *self, visitproc visit, void *arg)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(it->fs);
    Py_VISIT(it->timeout);
    Py_VISIT(it->done);
    Py_VISIT(it->todo);
    Py_VISIT(it->timer);
    Py_VISIT(it->task);
    return 0;
}

static int
AsCompleted_clear(PyObject *self)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    Py_CLEAR(it->fs);
    Py_CLEAR(it->timeout);
    Py_CLEAR(it->done);
    Py_CLEAR(it->todo);
    Py_CLEAR(it->timer);
    Py_CLEAR(it->task);
    return 0;
}

static void
AsCompleted_dealloc(PyObject *self)
{
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((AsCompletedObject *)self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    AsCompleted_clear(self);
    tp->tp_free(self);
    Py_DECREF(tp);
}

/* -- the call graph ------------------------------------------------------------------ */

#if FA_HAS_AS_COMPLETED_GRAPH

static int
as_completed_edge(AsCompletedObject *it, PyObject *fut, int add)
{
    if (it->task == NULL) {
        return 0;
    }
    return add ? fa_awaited_by_add(it->st, fut, it->task)
               : fa_awaited_by_discard(it->st, fut, it->task);
}

/* current_task(), which wants a running loop. */
static int
as_completed_note_task(AsCompletedObject *it)
{
    PyObject *loop = fa_get_running_loop(it->st);
    if (loop == NULL) {
        return -1;
    }
    int rc = scope_current_task(it->st, loop, &it->task);
    Py_DECREF(loop);
    return rc;
}

#else

static inline int
as_completed_edge(AsCompletedObject *Py_UNUSED(it),
                  PyObject *Py_UNUSED(fut), int Py_UNUSED(add))
{
    return 0;
}

static inline int
as_completed_note_task(AsCompletedObject *Py_UNUSED(it))
{
    return 0;
}

#endif

/* -- callbacks ---------------------------------------------------------------------------- */

/* A future is done. HOT */
static PyObject *
as_completed_moved(PyObject *self, PyObject *fut)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    if (it->todo == NULL || PySet_GET_SIZE(it->todo) == 0) {
        Py_RETURN_NONE; // the timeout was here first
    }
    int was = PySet_Discard(it->todo, fut);
    if (was <= 0) {
        if (was == 0) {
            PyErr_SetObject(PyExc_KeyError, fut);
        }
        return NULL;
    }
    if (as_completed_edge(it, fut, 0) < 0 ||
        queue_own_put_nowait((QueueObject *)it->done, fut) < 0)
    {
        return NULL;
    }
    if (it->timer != NULL && PySet_GET_SIZE(it->todo) == 0) {
        PyObject *done = PyObject_CallMethodNoArgs(it->timer,
                                                   it->st->str_cancel);
        if (done == NULL) {
            return NULL;
        }
        Py_DECREF(done);
    }
    Py_RETURN_NONE;
}

static PyMethodDef as_completed_moved_def = {
    AS_COMPLETED_MOVED, as_completed_moved, METH_O, NULL};

/* One that will not be in time. */
static int
as_completed_abandon(AsCompletedObject *it, PyObject *fut, PyObject *moved)
{
    if (fa_future_remove_done_callback(it->st, fut, moved) < 0 ||
        as_completed_edge(it, fut, 0) < 0)
    {
        return -1;
    }
    return queue_own_put_nowait((QueueObject *)it->done, Py_None);
}

static PyObject *
as_completed_timed_out(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    PyObject *todo = Py_XNewRef(it->todo);
    if (todo == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *iter = PyObject_GetIter(todo);
    // equal to the one that was added
    PyObject *moved = PyCFunction_New(&as_completed_moved_def, self);
    PyObject *fut;
    int rc = iter == NULL || moved == NULL ? -1 : 0;
    while (rc == 0 && (fut = PyIter_Next(iter)) != NULL) {
        rc = as_completed_abandon(it, fut, moved);
        Py_DECREF(fut);
    }
    if (rc < 0 || PyErr_Occurred()) {
        rc = -1;
    }
    else {
        rc = PySet_Clear(todo);
    }
    Py_XDECREF(moved);
    Py_XDECREF(iter);
    Py_DECREF(todo);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef as_completed_timeout_def = {
    AS_COMPLETED_TIMEOUT, as_completed_timed_out, METH_NOARGS, NULL};

/* -- beginning ---------------------------------------------------------------------------------- */

/* {ensure_future(f, loop=loop) for f in set(fs)} (new) */
static PyObject *
as_completed_futures(fa_state *st, PyObject *fs, PyObject *loop)
{
    PyObject *given = PySet_New(fs);
    PyObject *todo = given == NULL ? NULL : PySet_New(NULL);
    PyObject *iter = todo == NULL ? NULL : PyObject_GetIter(given);
    PyObject *aw;
    int rc = iter == NULL ? -1 : 0;
    while (rc == 0 && (aw = PyIter_Next(iter)) != NULL) {
        PyObject *fut = fa_ensure_future(st, aw, loop);
        Py_DECREF(aw);
        rc = fut == NULL ? -1 : PySet_Add(todo, fut);
        Py_XDECREF(fut);
    }
    if (rc < 0 || PyErr_Occurred()) {
        Py_CLEAR(todo);
    }
    Py_XDECREF(iter);
    Py_XDECREF(given);
    return todo;
}

/* One callback for all of them. */
static int
as_completed_watch(AsCompletedObject *it, PyObject *todo)
{
    fa_state *st = it->st;
    PyObject *moved = PyCFunction_New(&as_completed_moved_def, (PyObject *)it);
    PyObject *iter = moved == NULL ? NULL : PyObject_GetIter(todo);
    PyObject *fut;
    int rc = iter == NULL ? -1 : 0;
    while (rc == 0 && (fut = PyIter_Next(iter)) != NULL) {
        rc = fa_future_add_done_callback(st, fut, moved);
        if (rc == 0) {
            rc = as_completed_edge(it, fut, 1);
        }
        Py_DECREF(fut);
    }
    Py_XDECREF(iter);
    Py_XDECREF(moved);
    return rc < 0 || PyErr_Occurred() ? -1 : 0;
}

/* loop.call_later(timeout, ...) */
static int
as_completed_set_timer(AsCompletedObject *it, PyObject *loop,
                       PyObject *timeout)
{
    PyObject *callback = PyCFunction_New(&as_completed_timeout_def,
                                         (PyObject *)it);
    if (callback == NULL) {
        return -1;
    }
    PyObject *args[] = {loop, timeout, callback};
    it->timer = PyObject_VectorcallMethod(it->st->str_call_later, args, 3,
                                          NULL);
    Py_DECREF(callback);
    return it->timer == NULL ? -1 : 0;
}

/* The rest of as_completed_begin, with the loop at hand. */
static int
as_completed_begin_on(AsCompletedObject *it, PyObject *fs, PyObject *timeout,
                      PyObject *loop)
{
    if (as_completed_note_task(it) < 0) {
        return -1;
    }
    PyObject *todo = as_completed_futures(it->st, fs, loop);
    if (todo == NULL) {
        return -1;
    }
    it->todo = todo; // before any callback; nobody else has it yet
    it->left = PySet_GET_SIZE(todo);
    if (as_completed_watch(it, todo) < 0) {
        return -1;
    }
    if (it->left > 0 && timeout != Py_None) {
        return as_completed_set_timer(it, loop, timeout);
    }
    return 0;
}

/* What happens before the first one is given out. */
static int
as_completed_begin(AsCompletedObject *it)
{
    PyObject *fs = it->fs, *timeout = it->timeout;
    it->fs = it->timeout = NULL;
    it->state = ITER_BEGINNING;
    it->done = queue_new(it->st);
    PyObject *loop = it->done == NULL ? NULL : fa_get_event_loop(it->st);
    int rc = loop == NULL ? -1 : as_completed_begin_on(it, fs, timeout, loop);
    Py_XDECREF(loop);
    Py_DECREF(fs);
    Py_DECREF(timeout);
    it->state = rc < 0 ? ITER_OVER : ITER_OPEN;
    return rc;
}

/* -- waiting for one ------------------------------------------------------------------------ */

/* vars: those of a get(), QV_ITEM being the iterator. */

/* `f = await self._done.get()`, and a TimeoutError for a None. */
static PySendResult
as_completed_wait(CoroObject *co, PyObject *value, PyObject **result)
{
    PySendResult status = queue_get_turn(co, value, result);
    if (status == PYGEN_RETURN && *result == Py_None) {
        Py_CLEAR(*result);
        PyErr_SetNone(PyExc_TimeoutError);
        return PYGEN_ERROR;
    }
    return status;
}

static PySendResult
as_completed_result_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    PySendResult status = as_completed_wait(co, value, result);
    if (status != PYGEN_RETURN) {
        return status;
    }
    PyObject *fut = *result;
    *result = fa_future_result(co->st, fut);
    Py_DECREF(fut);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static const fa_coro_kind as_completed_result_kind = {
    AS_COMPLETED_WAIT, as_completed_result_turn};

static PyObject *
AsCompleted_next(PyObject *self)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    if (it->state == ITER_BEGINNING) {
        PyErr_SetString(PyExc_ValueError, "generator already executing");
        return NULL;
    }
    if (it->state == ITER_NEW && as_completed_begin(it) < 0) {
        return NULL;
    }
    if (it->state == ITER_OVER || it->left == 0) {
        it->state = FA_HAS_ASYNC_AS_COMPLETED ? ITER_OPEN : ITER_OVER;
        return NULL;
    }
    it->left--;
    return (PyObject *)coro_new(it->st, &as_completed_result_kind, it->done,
                                self);
}

#if FA_HAS_ASYNC_AS_COMPLETED

static PySendResult
as_completed_anext_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    if (co->number == 0) { // the first turn
        AsCompletedObject *it = (AsCompletedObject *)co->vars[QV_ITEM];
        co->number = 1;
        if (it->left == 0) {
            PyErr_SetNone(PyExc_StopAsyncIteration);
            return PYGEN_ERROR;
        }
        it->left--;
    }
    return as_completed_wait(co, value, result);
}

static const fa_coro_kind as_completed_anext_kind = {
    "_AsCompletedIterator.__anext__", as_completed_anext_turn};

static PyObject *
AsCompleted_anext(PyObject *self)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    return (PyObject *)coro_new(it->st, &as_completed_anext_kind, it->done,
                                self);
}

/* isawaitable(fs), which as_completed refuses. */
static int
as_completed_refuses(fa_state *st, PyObject *fs)
{
    if (PyList_CheckExact(fs) || PyTuple_CheckExact(fs) ||
        PyAnySet_CheckExact(fs))
    {
        return 0;
    }
    PyObject *answer = PyObject_CallOneArg(st->isawaitable, fs);
    int is = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    if (is > 0) {
        PyErr_Format(PyExc_TypeError,
                     "expects an iterable of awaitables, not %s",
                     _PyType_Name(Py_TYPE(fs)));
    }
    return is;
}

static PyMemberDef AsCompleted_members[] = {
    {"__weaklistoffset__", T_PYSSIZET,
     offsetof(AsCompletedObject, weakrefs), READONLY, NULL},
    {"_done", T_OBJECT_EX, offsetof(AsCompletedObject, done), READONLY, NULL},
    {"_todo", T_OBJECT_EX, offsetof(AsCompletedObject, todo), READONLY, NULL},
    {"_timeout_handle", T_OBJECT, offsetof(AsCompletedObject, timer),
     READONLY, NULL},
    {"_todo_left", T_PYSSIZET, offsetof(AsCompletedObject, left), READONLY,
     NULL},
#if FA_HAS_AS_COMPLETED_GRAPH
    {"_cur_task", T_OBJECT, offsetof(AsCompletedObject, task), READONLY,
     NULL},
#endif
    {NULL, 0, 0, 0, NULL},
};

#else

/* -- as a generator -------------------------------------------------------------------------- */

/* isfuture(fs) or iscoroutine(fs), which the generator refuses. */
static int
as_completed_refuses(fa_state *st, PyObject *fs)
{
    int is = fa_isfuture(st, fs);
    if (is == 0) {
        is = fa_iscoroutine(st, fs);
    }
    if (is > 0) {
        PyErr_Format(PyExc_TypeError, "expect an iterable of futures, not %s",
                     _PyType_Name(Py_TYPE(fs)));
    }
    return is;
}

static PyObject *
AsCompleted_iternext(PyObject *self)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    if (it->state == ITER_NEW && as_completed_refuses(it->st, it->fs) != 0) {
        it->state = ITER_OVER;
        return NULL;
    }
    return AsCompleted_next(self);
}

static PyObject *
AsCompleted_send(PyObject *self, PyObject *value)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    if (it->state == ITER_NEW && value != Py_None) {
        PyErr_SetString(PyExc_TypeError,
                        "can't send non-None value to a just-started "
                        "generator");
        return NULL;
    }
    PyObject *next = AsCompleted_iternext(self);
    if (next == NULL && !PyErr_Occurred()) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    return next;
}

static PyObject *
AsCompleted_throw(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    PyObject *exc = fa_throw_arguments(args, nargs);
    if (exc != NULL && it->state != ITER_BEGINNING) {
        it->state = ITER_OVER;
    }
    fa_err_restore(exc);
    return NULL;
}

static PyObject *
AsCompleted_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    AsCompletedObject *it = (AsCompletedObject *)self;
    if (it->state != ITER_BEGINNING) {
        it->state = ITER_OVER;
    }
    Py_RETURN_NONE;
}

static PyObject *
AsCompleted_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<generator object as_completed at %p>", self);
}

static PyMethodDef AsCompleted_methods[] = {
    {"send", AsCompleted_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))AsCompleted_throw, METH_FASTCALL,
     NULL},
    {"close", AsCompleted_close, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef AsCompleted_members[] = {
    {"__weaklistoffset__", T_PYSSIZET,
     offsetof(AsCompletedObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

#endif

/* -- tables ---------------------------------------------------------------------------------- */

static PyType_Slot AsCompleted_slots[] = {
    {Py_tp_dealloc, AsCompleted_dealloc},
    {Py_tp_traverse, AsCompleted_traverse},
    {Py_tp_clear, AsCompleted_clear},
    {Py_tp_iter, PyObject_SelfIter},
#if FA_HAS_ASYNC_AS_COMPLETED
    {Py_tp_iternext, AsCompleted_next},
    {Py_am_aiter, PyObject_SelfIter},
    {Py_am_anext, AsCompleted_anext},
#else
    {Py_tp_iternext, AsCompleted_iternext},
    {Py_tp_repr, AsCompleted_repr},
    {Py_tp_methods, AsCompleted_methods},
#endif
    {Py_tp_members, AsCompleted_members},
    {0, NULL},
};

static PyType_Spec AsCompleted_spec = {
    .name = AS_COMPLETED_TYPE,
    .basicsize = sizeof(AsCompletedObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = AsCompleted_slots,
};

PyDoc_STRVAR(as_completed_doc,
"as_completed($module, /, fs, *, timeout=None)\n--\n\n"
"Run awaitables concurrently and give them out in the order in which they are\n"
"done: iterated over, it gives coroutines to await, each with the result of the\n"
"next one; since Python 3.13 `async for` gives the futures themselves. After\n"
"`timeout` seconds the rest is a TimeoutError each. See asyncio.as_completed.");

static PyObject *
room_as_completed(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                  PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "as_completed", .required = 1, .positional = 1, .python = 2,
        .total = 2, .names = {"fs", "timeout"},
    };
    fa_state *st = fa_state_of_module(module);
    PyObject *out[2];
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    if (FA_HAS_ASYNC_AS_COMPLETED && as_completed_refuses(st, out[0]) != 0) {
        return NULL;
    }
    PyObject *made = as_completed_new(st, out[0],
                                      out[1] == NULL ? Py_None : out[1]);
    if (FA_HAS_ASYNC_AS_COMPLETED && made != NULL &&
        as_completed_begin((AsCompletedObject *)made) < 0)
    {
        Py_CLEAR(made);
    }
    return made;
}

static PyMethodDef as_completed_functions[] = {
    {"as_completed", (PyCFunction)(void (*)(void))room_as_completed,
     METH_FASTCALL | METH_KEYWORDS, as_completed_doc},
    {NULL, NULL, 0, NULL},
};

int
as_completed_init(PyObject *module, fa_state *st)
{
    if (fa_type_new(module, &AsCompleted_spec, NULL, &st->AsCompletedType) < 0)
    {
        return -1;
    }
    return PyModule_AddFunctions(module, as_completed_functions);
}
