/* task/shield.c: shield(): a future that can be cancelled without harm.

   The inner future has a closure that passes its outcome on to the outer one;
   the outer has one that, when it was cancelled first, takes the former away, and
   (where asyncio does so) leaves asyncio's _log_on_exception in its place. From
   3.14 on a third takes the caller out of the inner's awaited-by set.
   Benchmark: shield. */
#include "base/args.h"
#include "task/closure.h"
#include "task/coro.h"
#include "task/private.h"

/* -- the closures ------------------------------------------------------------------ */

#if FA_HAS_AWAITED_BY

/* inner is done; vars: the caller's task. */
static int
shield_clear_awaited_by(ClosureObject *self, PyObject *inner)
{
    return self->vars[0] == NULL
               ? 0 : fa_awaited_by_discard(self->st, inner, self->vars[0]);
}

static const fa_closure_kind shield_clear_kind = {
    "shield.<locals>._clear_awaited_by_callback", "inner",
    shield_clear_awaited_by,
};

#endif

/* The outer one was cancelled already: nobody wants to know. */
static FA_COLD int
shield_inner_unwanted(fa_state *st, PyObject *inner)
{
    PyObject *value;
    if (st->shield_logs) {
        return 0;
    }
    int said = future_outcome(st, inner, 0, &value); // retrieved
    Py_XDECREF(value);
    return said < 0 ? -1 : 0;
}

/* inner is done; vars: outer. */
static int
shield_inner_done(ClosureObject *self, PyObject *inner)
{
    fa_state *st = self->st;
    if (self->vars[0] == NULL) {
        return 0; // garbage, being cleared
    }
    PyObject *value, *outer = Py_NewRef(self->vars[0]);
    int rc = fa_future_cancelled(st, outer);
    if (FA_UNLIKELY(rc != 0)) {
        rc = rc < 0 ? -1 : shield_inner_unwanted(st, inner);
        Py_DECREF(outer);
        return rc;
    }
    switch (future_outcome(st, inner, 1, &value)) {
    case FA_SAYS_RESULT:
        rc = fa_future_set_result(st, outer, value);
        break;
    case FA_SAYS_RAISED:
        rc = fa_future_set_exception(st, outer, value);
        break;
    case FA_SAYS_CANCELLED:
        rc = fa_future_cancel(st, outer, NULL) < 0 ? -1 : 0;
        break;
    default:
        rc = -1;
    }
    Py_XDECREF(value);
    Py_DECREF(outer);
    return rc;
}

static const fa_closure_kind shield_inner_kind = {
    "shield.<locals>._inner_done_callback", "inner", shield_inner_done,
};

/* Only one callback is left to log what becomes of the inner future. */
static FA_COLD int
shield_log_later(fa_state *st, PyObject *inner)
{
    PyObject *log = PyObject_GetAttrString(st->mod_tasks, "_log_on_exception");
    if (log == NULL) {
        return -1;
    }
    int rc = fa_future_remove_done_callback(st, inner, log);
    if (rc == 0) {
        rc = fa_future_add_done_callback(st, inner, log);
    }
    Py_DECREF(log);
    return rc;
}

/* outer is done; vars: inner, and the closure that listens to it. */
static int
shield_outer_done(ClosureObject *self, PyObject *Py_UNUSED(outer))
{
    fa_state *st = self->st;
    if (self->vars[0] == NULL || self->vars[1] == NULL) {
        return 0; // garbage, being cleared
    }
    PyObject *inner = Py_NewRef(self->vars[0]);
    PyObject *passes_on = Py_NewRef(self->vars[1]);
    int rc = fa_future_done(st, inner);
    if (rc != 0) {
        rc = rc < 0 ? -1 : 0;
    }
    else {
        rc = closure_remove((ClosureObject *)passes_on, inner);
        if (rc == 0 && st->shield_logs) {
            rc = shield_log_later(st, inner);
        }
    }
    Py_DECREF(inner);
    Py_DECREF(passes_on);
    return rc;
}

static const fa_closure_kind shield_outer_kind = {
    "shield.<locals>._outer_done_callback", "outer", shield_outer_done,
};

/* -- shield(arg) ---------------------------------------------------------------------- */

#if FA_HAS_AWAITED_BY

/* The caller awaits `inner`, until that is done. */
static int
shield_link_caller(fa_state *st, PyObject *loop, PyObject *inner,
                   PyObject *context)
{
    PyObject *caller = NULL;
    if (loop != Py_None && fa_caller_task(st, loop, &caller) < 0) {
        return -1;
    }
    if (caller == NULL) {
        return 0;
    }
    ClosureObject *clear = closure_new(st, &shield_clear_kind, context);
    int rc = clear == NULL ? -1 : fa_awaited_by_add(st, inner, caller);
    if (rc == 0) {
        clear->vars[0] = Py_NewRef(caller);
        rc = closure_add(clear, inner);
    }
    Py_XDECREF(clear);
    Py_DECREF(caller);
    return rc;
}

#else

static int
shield_link_caller(fa_state *Py_UNUSED(st), PyObject *Py_UNUSED(loop),
                   PyObject *Py_UNUSED(inner), PyObject *Py_UNUSED(context))
{
    return 0;
}

#endif

/* Hang the closures on both. 0 or -1. */
static int
shield_link(fa_state *st, PyObject *loop, PyObject *inner, PyObject *outer)
{
    ClosureObject *passes_on = closure_new(st, &shield_inner_kind, NULL);
    ClosureObject *lets_go = NULL;
    int rc = -1;
    if (passes_on == NULL ||
        shield_link_caller(st, loop, inner, passes_on->context) < 0)
    {
        goto done;
    }
    lets_go = closure_new(st, &shield_outer_kind, passes_on->context);
    if (lets_go == NULL) {
        goto done;
    }
    passes_on->vars[0] = Py_NewRef(outer);
    lets_go->vars[0] = Py_NewRef(inner);
    lets_go->vars[1] = Py_NewRef((PyObject *)passes_on);
    rc = closure_add(passes_on, inner);
    if (rc == 0) {
        rc = closure_add(lets_go, outer);
    }
    if (!future_plain(st, outer) || !future_plain(st, inner)) {
        passes_on->plain = lets_go->plain = 0; // both touch both
    }
done:
    Py_XDECREF(passes_on);
    Py_XDECREF(lets_go);
    return rc;
}

static PyObject *
shield(fa_state *st, PyObject *arg)
{
    PyObject *inner = fa_ensure_future(st, arg, NULL);
    if (inner == NULL) {
        return NULL;
    }
    int done = fa_future_done(st, inner);
    if (done != 0) {
        if (done < 0) {
            Py_CLEAR(inner);
        }
        return inner;
    }
    PyObject *loop = fa_future_loop(st, inner);
    PyObject *outer = loop == NULL ? NULL : fa_create_future(st, loop);
    if (outer != NULL && shield_link(st, loop, inner, outer) < 0) {
        Py_CLEAR(outer);
    }
    Py_XDECREF(loop);
    Py_DECREF(inner);
    return outer;
}

PyDoc_STRVAR(shield_doc,
"shield($module, /, arg)\n--\n\n"
"A future with the outcome of `arg`, which runs on when that future is\n"
"cancelled. Keep a reference to a task given here. See asyncio.shield.");

static PyObject *
room_shield(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "shield", .required = 1, .positional = 1, .python = 2,
        .total = 1, .names = {"arg"},
    };
    PyObject *arg;
    if (fa_args_parse(&spec, args, nargs, kwnames, &arg) < 0) {
        return NULL;
    }
    return shield(fa_state_of_module(module), arg);
}

static PyMethodDef shield_functions[] = {
    {"shield", (PyCFunction)(void (*)(void))room_shield,
     METH_FASTCALL | METH_KEYWORDS, shield_doc},
    {NULL, NULL, 0, NULL},
};

int
shield_init(PyObject *module, fa_state *st)
{
    st->shield_logs = PyObject_HasAttrString(st->mod_tasks,
                                             "_log_on_exception");
    return PyModule_AddFunctions(module, shield_functions);
}
