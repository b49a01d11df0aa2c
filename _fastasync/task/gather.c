/* task/gather.c: gather(), and the future that it returns.

   asyncio hangs one closure on every child; here it is one closure, told by the
   loop about each child at the place where the closure would have been called.
   The closure owns what the closure sees: the outer future (none yet while
   gather itself runs, which may fail halfway: bpo-46672), the children and the
   task that called. What gather returns is a Future of a type of its own: its
   cancel() cancels the children. `__class__` says asyncio's _GatheringFuture.

   One child given twice counts once. Coroutines and futures of ours are told
   apart by their address (struct seen); with anything else among the arguments
   a dict does it, as in asyncio, since __eq__ and __hash__ may be Python's.
   HOT: gather_add, gather_heard. Benchmark: gather_1000. */
#include "base/args.h"
#include "base/errors.h"
#include "task/coro.h"
#include "task/private.h"
#include "task/closure.h"

/* The closure's variables; total: children, count: how many are done, flag:
   return_exceptions. */
enum { GATHER_OUTER, GATHER_WAITER, GATHER_CHILDREN };

/* -- life ------------------------------------------------------------------------- */

static int
Gather_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((GatherObject *)self)->children);
    return future_traverse((FutureObject *)self, visit, arg);
}

static int
Gather_clear(PyObject *self)
{
    future_clear((FutureObject *)self);
    Py_CLEAR(((GatherObject *)self)->children);
    return 0;
}

static void
Gather_dealloc(PyObject *self)
{
    FutureObject *fut = (FutureObject *)self;
    PyTypeObject *tp = Py_TYPE(self);
    if (fut->log_tb && PyObject_CallFinalizerFromDealloc(self) < 0) {
        return; // somebody has kept it
    }
    PyObject_GC_UnTrack(self);
    if (fut->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Gather_clear(self);
    tp->tp_free(self);
    Py_DECREF(tp);
}

/* A pending one for `children` (borrowed) on `loop`. */
static GatherObject *
gather_future_new(fa_state *st, PyObject *children, PyObject *loop)
{
    PyTypeObject *tp = st->GatherType;
    GatherObject *outer = (GatherObject *)tp->tp_alloc(tp, 0);
    if (outer == NULL) {
        return NULL;
    }
    outer->fut.st = st;
    outer->children = Py_NewRef(children);
    if (future_init(&outer->fut, loop) < 0) {
        Py_DECREF(outer);
        return NULL;
    }
    return outer;
}

/* -- when a child is done --------------------------------------------------------------- */

/* fut._make_cancelled_error() (new). */
static PyObject *
gather_cancelled_error(fa_state *st, PyObject *fut)
{
    return future_plain(st, fut)
               ? future_cancelled_error((FutureObject *)fut)
               : PyObject_CallMethodNoArgs(fut,
                                           st->str__make_cancelled_error);
}

/* CancelledError with the child's message, or '' (new). */
static FA_COLD PyObject *
gather_cancelled_result(fa_state *st, PyObject *fut)
{
    PyObject *msg = PyObject_GetAttr(fut, st->str__cancel_message);
    if (msg == NULL) {
        return NULL;
    }
    if (msg == Py_None) {
        Py_SETREF(msg, PyUnicode_FromString(""));
    }
    PyObject *exc = msg == NULL
                        ? NULL : PyObject_CallOneArg(st->CancelledError, msg);
    Py_XDECREF(msg);
    return exc;
}

/* A list of what all children have given, in the order of the arguments. */
static PyObject *
gather_results(fa_state *st, PyObject *children)
{
    Py_ssize_t count = PyTuple_GET_SIZE(children);
    PyObject *results = PyList_New(count);
    if (results == NULL) {
        return NULL;
    }
    PyObject_GC_UnTrack(results); // nobody may see it half filled
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value, *child = PyTuple_GET_ITEM(children, i);
        int said = future_outcome(st, child, 1, &value);
        if (said == FA_SAYS_CANCELLED) {
            value = gather_cancelled_result(st, child);
        }
        if (FA_UNLIKELY(value == NULL)) {
            Py_DECREF(results);
            return NULL;
        }
        PyList_SET_ITEM(results, i, value);
    }
    PyObject_GC_Track(results);
    return results;
}

/* outer.set_exception(exc), which is taken over (NULL: raised). */
static int
gather_fail(GatherObject *outer, PyObject *exc)
{
    if (exc == NULL) {
        return -1;
    }
    int rc = future_set_exception(&outer->fut, exc);
    Py_DECREF(exc);
    return rc;
}

/* All are done. */
static int
gather_finish(fa_state *st, GatherObject *outer, PyObject *children)
{
    PyObject *results = gather_results(st, children);
    if (results == NULL) {
        return -1;
    }
    if (FA_UNLIKELY(outer->cancel_requested)) {
        Py_DECREF(results);
        PyObject *last = PyTuple_GET_ITEM(children,
                                          PyTuple_GET_SIZE(children) - 1);
        return gather_fail(outer, gather_cancelled_error(st, last));
    }
    return future_finish(&outer->fut, results);
}

/* gather() is over, or was never begun: the exception has been seen. */
static FA_COLD int
gather_heard_late(fa_state *st, PyObject *fut)
{
    PyObject *value;
    int said = future_outcome(st, fut, 0, &value);
    Py_XDECREF(value);
    return said < 0 ? -1 : 0;
}

static FA_HOT int
gather_heard(ClosureObject *self, PyObject *fut)
{
    fa_state *st = self->st;
    GatherObject *outer = (GatherObject *)self->vars[GATHER_OUTER];
    PyObject *waiter = self->vars[GATHER_WAITER];
    self->count++;
    if (waiter != NULL && fa_awaited_by_discard(st, fut, waiter) < 0) {
        return -1;
    }
    if (FA_UNLIKELY(outer == NULL || outer->fut.state != FA_PENDING)) {
        return gather_heard_late(st, fut);
    }
    if (!self->flag) {
        PyObject *exc;
        int said = future_outcome(st, fut, 0, &exc);
        if (FA_UNLIKELY(said != FA_SAYS_RESULT)) {
            if (said == FA_SAYS_CANCELLED) {
                exc = gather_cancelled_error(st, fut);
            }
            return said < 0 ? -1 : gather_fail(outer, exc);
        }
    }
    if (self->count != self->total) {
        return 0;
    }
    PyObject *children = Py_NewRef(self->vars[GATHER_CHILDREN]);
    Py_INCREF(outer);
    int rc = gather_finish(st, outer, children);
    Py_DECREF(outer);
    Py_DECREF(children);
    return rc;
}

static const fa_closure_kind gather_kind = {
    "gather.<locals>._done_callback", "fut", gather_heard,
};

/* -- arguments given twice ----------------------------------------------------------------- */

/* Which argument was met at which place. A few are compared one by one, many
   through a table of places (+ 1) by address. */
struct seen {
    PyObject *const *args;
    PyObject *dict;  /* owned or NULL: argument -> place, if any is foreign */
    uint32_t *table; /* owned or NULL */
    int shift;       /* of a 64-bit hash, for the table's size */
};

#define SEEN_FEW 16

/* Equal to itself only, whatever Python code does. */
static inline int
seen_by_address(fa_state *st, PyObject *arg)
{
    return PyCoro_CheckExact(arg) || coro_check(st, arg) ||
           future_check_exact(st, arg);
}

static int
seen_begin(struct seen *seen, fa_state *st, PyObject *const *args,
           Py_ssize_t count)
{
    *seen = (struct seen){.args = args};
    for (Py_ssize_t i = 0; i < count; i++) {
        if (FA_UNLIKELY(!seen_by_address(st, args[i]))) {
            seen->dict = PyDict_New();
            return seen->dict == NULL ? -1 : 0;
        }
    }
    if (count <= SEEN_FEW) {
        return 0;
    }
    int bits = 6;
    while (((Py_ssize_t)1 << bits) < 2 * count) {
        bits++;
    }
    seen->shift = 64 - bits;
    seen->table = bits > 31 ? NULL
                            : PyMem_Calloc((size_t)1 << bits, sizeof(uint32_t));
    if (seen->table == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static void
seen_end(struct seen *seen)
{
    Py_XDECREF(seen->dict);
    PyMem_Free(seen->table);
}

static int
seen_in_dict(struct seen *seen, Py_ssize_t i, Py_ssize_t *place)
{
    PyObject *number =
        PyDict_GetItemWithError(seen->dict, seen->args[i]); // borrowed
    if (number != NULL) {
        *place = PyLong_AsSsize_t(number);
        return 1;
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    return 0;
}

/* Was the i-th argument met before? 1 and its first place; 0; -1. HOT */
static inline int
seen_find(struct seen *seen, Py_ssize_t i, Py_ssize_t *place)
{
    PyObject *arg = seen->args[i];
    if (FA_UNLIKELY(seen->dict != NULL)) {
        return seen_in_dict(seen, i, place);
    }
    if (seen->table == NULL) {
        for (Py_ssize_t k = 0; k < i; k++) {
            if (FA_UNLIKELY(seen->args[k] == arg)) {
                *place = k;
                return 1;
            }
        }
        return 0;
    }
    uint64_t hash = (uint64_t)(uintptr_t)arg * UINT64_C(0x9E3779B97F4A7C15);
    uint32_t mask = (uint32_t)((UINT64_C(1) << (64 - seen->shift)) - 1);
    uint32_t at = (uint32_t)(hash >> seen->shift);
    while (seen->table[at] != 0) {
        if (seen->args[seen->table[at] - 1] == arg) {
            *place = seen->table[at] - 1;
            return 1;
        }
        at = (at + 1) & mask;
    }
    seen->table[at] = (uint32_t)i + 1;
    return 0;
}

/* The i-th argument has become a child: only now, as its __hash__ may raise. */
static int
seen_add(struct seen *seen, Py_ssize_t i)
{
    if (FA_LIKELY(seen->dict == NULL)) {
        return 0;
    }
    PyObject *number = PyLong_FromSsize_t(i);
    int rc = number == NULL
                 ? -1 : PyDict_SetItem(seen->dict, seen->args[i], number);
    Py_XDECREF(number);
    return rc;
}

/* -- gathering --------------------------------------------------------------------------------- */

/* What gather() works on while it runs. */
struct gathering {
    fa_state *st;
    ClosureObject *closure; /* owned */
    PyObject *children;       /* owned: a tuple, filled from the front */
    PyObject *loop;           /* owned or NULL: not known yet */
    PyObject *done;           /* owned or NULL: a list of those done already */
};

/* The child that was made of an argument is nobody's but ours: whoever drops
   the gather need not be told that it was pending. */
static inline int
gather_keep_quiet(fa_state *st, PyObject *child)
{
    if (FA_LIKELY(Py_IS_TYPE(child, st->TaskType))) {
        ((TaskObject *)child)->log_destroy_pending = 0;
        return 0;
    }
    return PyObject_SetAttr(child, st->str__log_destroy_pending, Py_False);
}

static int
gather_add_done(struct gathering *g, PyObject *child)
{
    if (g->done == NULL && (g->done = PyList_New(0)) == NULL) {
        return -1;
    }
    return PyList_Append(g->done, child);
}

/* Listen to a new child, or note that it is done. */
static inline int
gather_listen(struct gathering *g, PyObject *child)
{
    if (FA_HAS_GATHER_EAGER) {
        int done = fa_future_done(g->st, child);
        if (FA_UNLIKELY(done != 0)) {
            return done < 0 ? -1 : gather_add_done(g, child);
        }
    }
    PyObject *waiter = g->closure->vars[GATHER_WAITER];
    if (waiter != NULL && fa_awaited_by_add(g->st, child, waiter) < 0) {
        return -1;
    }
    return closure_add(g->closure, child);
}

/* A child (new) for an argument. HOT */
static inline PyObject *
gather_add(struct gathering *g, PyObject *arg)
{
    PyObject *child = fa_ensure_future(g->st, arg, g->loop);
    if (child == NULL) {
        return NULL;
    }
    if ((g->loop == NULL &&
         (g->loop = fa_future_loop(g->st, child)) == NULL) ||
        (child != arg && gather_keep_quiet(g->st, child) < 0))
    {
        Py_DECREF(child);
        return NULL;
    }
    g->closure->total++;
    return child;
}

static int
gather_all(struct gathering *g, struct seen *seen, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_ssize_t place;
        int met = seen_find(seen, i, &place);
        if (FA_UNLIKELY(met != 0)) {
            if (met < 0) {
                return -1;
            }
            PyTuple_SET_ITEM(g->children, i,
                             Py_NewRef(PyTuple_GET_ITEM(g->children, place)));
            continue;
        }
        PyObject *child = gather_add(g, seen->args[i]);
        if (child == NULL) {
            return -1;
        }
        PyTuple_SET_ITEM(g->children, i, child);
        if (seen_add(seen, i) < 0 || gather_listen(g, child) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The outer future exists: those that were done are heard at once. */
static int
gather_hear_done(struct gathering *g)
{
    if (FA_LIKELY(g->done == NULL)) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(g->done); i++) {
        if (gather_heard(g->closure, PyList_GET_ITEM(g->done, i)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Who calls, and (3.14+) on which loop. */
static int
gather_begin(struct gathering *g, fa_state *st, Py_ssize_t count)
{
    *g = (struct gathering){.st = st};
    g->closure = closure_new(st, &gather_kind, NULL);
    g->children = g->closure == NULL ? NULL : PyTuple_New(count);
    if (g->children == NULL) {
        return -1;
    }
    PyObject_GC_UnTrack(g->children); // nobody may see it half filled
#if FA_HAS_AWAITED_BY
    if (fa_running_loop(st, &g->loop) < 0) {
        return -1;
    }
    if (g->loop != NULL) {
        return fa_caller_task(st, g->loop, &g->closure->vars[GATHER_WAITER]);
    }
#endif
    return 0;
}

static PyObject *
gather(fa_state *st, PyObject *const *args, Py_ssize_t count, int exceptions)
{
    struct gathering g;
    struct seen seen;
    GatherObject *outer = NULL;
    if (seen_begin(&seen, st, args, count) < 0) {
        seen_end(&seen);
        return NULL;
    }
    if (gather_begin(&g, st, count) < 0 || gather_all(&g, &seen, count) < 0) {
        goto done;
    }
    PyObject_GC_Track(g.children);
    outer = gather_future_new(st, g.children, g.loop);
    if (outer == NULL) {
        goto done;
    }
    g.closure->flag = (uint8_t)exceptions;
    g.closure->vars[GATHER_OUTER] = Py_NewRef((PyObject *)outer);
    g.closure->vars[GATHER_CHILDREN] = Py_NewRef(g.children);
    if (gather_hear_done(&g) < 0) {
        Py_CLEAR(outer);
    }
done:
    seen_end(&seen);
    Py_XDECREF(g.closure);
    Py_XDECREF(g.children);
    Py_XDECREF(g.loop);
    Py_XDECREF(g.done);
    return (PyObject *)outer;
}

/* gather() of nothing: a future that is done. */
static FA_COLD PyObject *
gather_nothing(fa_state *st)
{
    PyObject *loop = fa_get_event_loop(st);
    PyObject *outer = loop == NULL ? NULL : fa_create_future(st, loop);
    PyObject *results = outer == NULL ? NULL : PyList_New(0);
    if (results == NULL || fa_future_set_result(st, outer, results) < 0) {
        Py_CLEAR(outer);
    }
    Py_XDECREF(results);
    Py_XDECREF(loop);
    return outer;
}

PyDoc_STRVAR(gather_doc,
"gather($module, /, *coros_or_futures, return_exceptions=False)\n--\n\n"
"A future for the list of what all of them return, in the order given;\n"
"coroutines become tasks. The first exception is the outcome of the whole,\n"
"unless return_exceptions is true: then exceptions stand in the list.\n"
"Cancelling it cancels those that are not done. See asyncio.gather.");

static PyObject *
room_gather(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "gather", .varargs = 1, .python = 2, .total = 1,
        .names = {"return_exceptions"},
    };
    fa_state *st = fa_state_of_module(module);
    int exceptions = 0;
    if (kwnames != NULL) {
        PyObject *out[1];
        if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
            return NULL;
        }
        exceptions = out[0] == NULL ? 0 : PyObject_IsTrue(out[0]);
        if (exceptions < 0) {
            return NULL;
        }
    }
    return nargs == 0 ? gather_nothing(st)
                      : gather(st, args, nargs, exceptions);
}

/* -- cancelling ---------------------------------------------------------------------------------- */

/* child.cancel(msg=msg): 1, 0, -1. */
static int
gather_cancel_child(fa_state *st, PyObject *child, PyObject *msg)
{
    if (FA_LIKELY(future_plain(st, child))) {
        return future_cancel_plain(st, child, msg);
    }
    PyObject *args[] = {child, msg == NULL ? Py_None : msg};
    PyObject *answer = PyObject_VectorcallMethod(st->str_cancel, args, 1,
                                                 st->kw_msg);
    if (answer == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return truth;
}

int
gather_cancel(GatherObject *outer, PyObject *msg)
{
    fa_state *st = outer->fut.st;
    if (outer->fut.state != FA_PENDING) {
        return 0;
    }
    PyObject *children = outer->children == NULL
                             ? PyTuple_New(0)
                             : PySequence_Tuple(outer->children);
    if (children == NULL) {
        return -1;
    }
    int any = 0, rc = Py_EnterRecursiveCall(" while cancelling a gather");
    if (rc == 0) {
        for (Py_ssize_t i = 0; rc >= 0 && i < PyTuple_GET_SIZE(children); i++) {
            rc = gather_cancel_child(st, PyTuple_GET_ITEM(children, i), msg);
            any |= rc > 0;
        }
        Py_LeaveRecursiveCall();
    }
    Py_DECREF(children);
    if (rc < 0) {
        return -1;
    }
    if (any) {
        // whatever return_exceptions says, the whole is cancelled then
        outer->cancel_requested = 1;
    }
    return any;
}

PyDoc_STRVAR(Gather_cancel_doc,
"cancel($self, /, msg=None)\n--\n\n"
"Cancel all that are not done; False if there were none. The future itself is\n"
"done when they are.");

static PyObject *
Gather_cancel(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "_GatheringFuture.cancel", .positional = 1, .python = 1,
        .total = 1, .names = {"msg"},
    };
    PyObject *msg;
    if (fa_args_parse(&spec, args, nargs, kwnames, &msg) < 0) {
        return NULL;
    }
    int rc = gather_cancel((GatherObject *)self, msg);
    return rc < 0 ? NULL : PyBool_FromLong(rc);
}

/* -- attributes ------------------------------------------------------------------------------------ */

/* A list in asyncio; made when somebody asks, who may change it. */
static PyObject *
Gather_get_children(PyObject *self, void *Py_UNUSED(closure))
{
    GatherObject *outer = (GatherObject *)self;
    if (outer->children == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_children");
        return NULL;
    }
    if (PyTuple_CheckExact(outer->children)) {
        PyObject *list = PySequence_List(outer->children);
        if (list == NULL) {
            return NULL;
        }
        Py_XSETREF(outer->children, list);
    }
    return Py_NewRef(outer->children);
}

static int
Gather_set_children(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(((GatherObject *)self)->children, Py_XNewRef(value));
    return 0;
}

static PyObject *
Gather_get_cancel_requested(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((GatherObject *)self)->cancel_requested);
}

static int
Gather_set_cancel_requested(PyObject *self, PyObject *value,
                            void *Py_UNUSED(closure))
{
    int truth = value == NULL ? 0 : PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    ((GatherObject *)self)->cancel_requested = (uint8_t)truth;
    return 0;
}

/* -- tables ------------------------------------------------------------------------------------------ */

static PyMethodDef Gather_methods[] = {
    {"cancel", (PyCFunction)(void (*)(void))Gather_cancel,
     METH_FASTCALL | METH_KEYWORDS, Gather_cancel_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Gather_getset[] = {
    {"_children", Gather_get_children, Gather_set_children, NULL, NULL},
    {"_cancel_requested", Gather_get_cancel_requested,
     Gather_set_cancel_requested, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(Gather_doc, "What gather() returns.");

static PyType_Slot Gather_slots[] = {
    {Py_tp_doc, (void *)Gather_doc},
    {Py_tp_traverse, Gather_traverse},
    {Py_tp_clear, Gather_clear},
    {Py_tp_dealloc, Gather_dealloc},
    {Py_tp_methods, Gather_methods},
    {Py_tp_getset, Gather_getset},
    {0, NULL},
};

static PyType_Spec Gather_spec = {
    .name = "_fastasync._GatheringFuture",
    .basicsize = sizeof(GatherObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Gather_slots,
};

static PyMethodDef gather_functions[] = {
    {"gather", (PyCFunction)(void (*)(void))room_gather,
     METH_FASTCALL | METH_KEYWORDS, gather_doc},
    {NULL, NULL, 0, NULL},
};

int
gather_type_init(PyObject *module, fa_state *st)
{
    if (fa_type_new(module, &Gather_spec, (PyObject *)st->FutureType,
                    &st->GatherType) < 0)
    {
        return -1;
    }
    return PyModule_AddFunctions(module, gather_functions);
}
