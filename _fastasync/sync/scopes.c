/* sync/scopes.c: what timeouts, task groups, wait() and wait_for() share: raising
   as Python code would, releasing a waiter, state for pickle, and a look at what
   asyncio's own code does. HOT: release_waiter. */
#include "sync/scopes.h"
#include "base/args.h"
#include "base/errors.h"
#include "sync/sync.h"
#include "sync/timeout.h"
#include "task/freelist.h"

/* -- exceptions ------------------------------------------------------------------- */

void
raised_during(PyObject *handled)
{
    PyObject *raised = fa_err_take();
    if (raised == NULL || raised == handled) {
        fa_err_restore(raised);
        return;
    }
    // no rings: if `raised` is somewhere behind `handled`, cut it off there. One
    // that is there already is noticed, as in the interpreter, by a follower
    // at half the speed
    PyObject *at = handled, *slow = handled, *next; // held by their chain
    for (int step = 1; (next = PyException_GetContext(at)) != NULL; step++) {
        Py_DECREF(next);
        if (next == raised) {
            PyException_SetContext(at, NULL);
            break;
        }
        at = next;
        if (at == slow) {
            break;
        }
        if (step % 2 == 0) {
            slow = PyException_GetContext(slow);
            Py_DECREF(slow);
        }
    }
    PyException_SetContext(raised, Py_NewRef(handled));
    fa_err_restore(raised);
}

void
raise_from(PyObject *type, PyObject *cause)
{
    PyObject *exc = PyObject_CallNoArgs(type);
    if (exc == NULL) {
        return;
    }
    PyException_SetCause(exc, cause == Py_None ? NULL : Py_NewRef(cause));
    fa_err_raise(exc);
    Py_DECREF(exc);
}

/* -- waiters ------------------------------------------------------------------------ */

FA_HOT int
release_waiter(fa_state *st, PyObject *waiter, PyObject *value)
{
    int done = fa_future_done(st, waiter);
    return done < 0 ? -1
           : done   ? 0
                    : fa_future_set_result(st, waiter, value);
}

/* _release_waiter(waiter, *args) */
static PyObject *
sync_release_waiter(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError,
                        "_release_waiter() missing 1 required positional "
                        "argument: 'waiter'");
        return NULL;
    }
    if (release_waiter(fa_state_of_module(module), args[0], Py_None) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef release_waiter_def = {
    "_release_waiter", (PyCFunction)(void (*)(void))sync_release_waiter,
    METH_FASTCALL,
    "_release_waiter($module, waiter, /, *args)\n--\n\n"
    "Set the result of a waiter that is not done.",
};

PyObject *
release_later(fa_state *st, PyObject *loop, PyObject *delay, PyObject *waiter)
{
    PyObject *args[] = {loop, delay, st->release_waiter, waiter};
    return PyObject_VectorcallMethod(st->str_call_later, args, 4, NULL);
}

static int
release_hear(ClosureObject *self, PyObject *Py_UNUSED(fut))
{
    PyObject *waiter = self->vars[0];
    if (waiter == NULL) {
        return 0; // the garbage collector has emptied it
    }
    Py_INCREF(waiter);
    int rc = release_waiter(self->st, waiter, Py_None);
    Py_DECREF(waiter);
    return rc;
}

static const fa_closure_kind release_kind = {
    "_release_waiter", "fut", release_hear,
};

ClosureObject *
release_when_done(fa_state *st, PyObject *waiter)
{
    ClosureObject *closure = closure_new(st, &release_kind, NULL);
    if (closure != NULL) {
        closure->vars[0] = Py_NewRef(waiter);
    }
    return closure;
}

/* -- the current task ------------------------------------------------------------------ */

#if FA_HAS_TSTATE_TASK

/* Tasks in Python are current elsewhere, and whoever uses them has put another
   function into asyncio.tasks. */
static FA_COLD int
scope_python_task(fa_state *st, PyObject *loop, PyObject **task)
{
    PyObject *function =
        PyObject_GetAttr(st->mod_tasks, st->str_current_task);
    if (function != NULL && PyFunction_Check(function)) {
        *task = PyObject_CallOneArg(function, loop);
        if (*task == Py_None) {
            Py_CLEAR(*task);
        }
    }
    Py_XDECREF(function);
    return PyErr_Occurred() ? -1 : 0;
}

#endif

int
scope_current_task(fa_state *st, PyObject *loop, PyObject **task)
{
    int rc = fa_current_task(st, loop, task);
#if FA_HAS_TSTATE_TASK
    if (FA_UNLIKELY(rc == 0 && *task == NULL)) {
        return scope_python_task(st, loop, task);
    }
#endif
    return rc;
}

/* -- pickle, copy ----------------------------------------------------------------------- */

PyObject *
scope_getstate(PyObject *self, PyObject *dict, const char *const *names)
{
    PyObject *state = PyDict_New();
    for (; state != NULL && *names != NULL; names++) {
        PyObject *value = PyObject_GetAttrString(self, *names);
        if (value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
            continue;
        }
        if (value == NULL || PyDict_SetItemString(state, *names, value) < 0) {
            Py_CLEAR(state);
        }
        Py_XDECREF(value);
    }
    if (state != NULL && dict != NULL && PyDict_Update(state, dict) < 0) {
        Py_CLEAR(state);
    }
    return state;
}

PyObject *
scope_setstate(PyObject *self, PyObject *state)
{
    if (!PyDict_Check(state)) {
        PyErr_SetString(PyExc_TypeError, "the state must be a dict");
        return NULL;
    }
    PyObject *items = PyDict_Items(state);
    int rc = items == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        rc = PyObject_SetAttr(self, PyTuple_GET_ITEM(item, 0),
                              PyTuple_GET_ITEM(item, 1));
    }
    Py_XDECREF(items);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* -- asyncio's own code ---------------------------------------------------------------------- */

/* a.b (new), NULL without an exception. */
static PyObject *
asyncio_member(PyObject *obj, const char *name)
{
    PyObject *member =
        obj == NULL ? NULL : PyObject_GetAttrString(obj, name);
    PyErr_Clear();
    Py_XDECREF(obj);
    return member;
}

int
asyncio_mentions(const char *module, const char *class_name,
                 const char *method, const char *name, int otherwise)
{
    PyObject *at = PyImport_ImportModule(module);
    at = asyncio_member(at, class_name);
    at = asyncio_member(at, method);
    at = asyncio_member(at, "__code__");
    at = asyncio_member(at, "co_names");
    PyObject *text = PyUnicode_FromString(name);
    int found = -1;
    if (at != NULL && text != NULL) {
        found = PySequence_Contains(at, text);
    }
    PyErr_Clear();
    Py_XDECREF(at);
    Py_XDECREF(text);
    return found < 0 ? otherwise : found;
}

/* -- set-up and end ----------------------------------------------------------------------------- */

FA_HOT PyObject *
scope_exit_coro(fa_state *st, const fa_coro_kind *kind, const fa_args *spec,
                PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    PyObject *out[3];
    if (FA_LIKELY(nargs == 3 && kwnames == NULL)) {
        out[0] = args[0];
        out[1] = args[1];
    }
    else if (fa_args_parse(spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    CoroObject *co = coro_new_fleeting(st, kind, self, out[0]);
    if (co != NULL) {
        co->vars[2] = Py_NewRef(out[1]);
    }
    return (PyObject *)co;
}

int
scopes_init(PyObject *module, fa_state *st)
{
    Py_XSETREF(st->release_waiter,
               PyCFunction_NewEx(&release_waiter_def, module, NULL));
    if (st->release_waiter == NULL || timeout_type_init(module, st) < 0 ||
        wait_for_init(module, st) < 0 || wait_init(module, st) < 0 ||
        taskgroup_type_init(module, st) < 0)
    {
        return -1;
    }
    return 0;
}

void
sync_freelists_clear(fa_state *st)
{
    freelist_clear(&st->free_timeouts);
}
