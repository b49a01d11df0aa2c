/* task/room.c: the one entry by which module.c sets up this room, and the
   room's module functions. */
#include "task/coro.h"
#include "task/freelist.h"
#include "task/private.h"

/* -- module functions -------------------------------------------------------------- */

PyDoc_STRVAR(live_tasks_doc,
"_live_tasks($module, /)\n--\n\n"
"A list of the tasks of this extension that are not done, on any loop.");

static PyObject *
room_live_tasks(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return registry_tasks(fa_state_of_module(module));
}

PyDoc_STRVAR(sizes_doc,
"_sizes($module, /)\n--\n\n"
"The sizes in bytes of this extension's objects, without the header of the\n"
"garbage collector.");

static PyObject *
room_sizes(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    fa_state *st = fa_state_of_module(module);
    PyObject *sizes = PyDict_New();
    if (sizes == NULL) {
        return NULL;
    }
#define X(name) \
    if (st->name##Type != NULL) { \
        PyObject *size = PyLong_FromSsize_t(st->name##Type->tp_basicsize); \
        int rc = size == NULL ? -1 \
                              : PyDict_SetItemString(sizes, #name, size); \
        Py_XDECREF(size); \
        if (rc < 0) { \
            Py_DECREF(sizes); \
            return NULL; \
        } \
    }
    FA_TYPES(X)
#undef X
    return sizes;
}

#if FA_HAS_AWAITED_BY

/* fn(fut, waiter) of asyncio, for what is not ours. */
static PyObject *
room_call_graph(fa_state *st, PyObject *asyncio_twin, PyObject *const *args,
                int (*ours)(fa_state *, PyObject *, PyObject *))
{
    if (!future_check(st, args[0])) {
        return PyObject_Vectorcall(asyncio_twin, args, 2, NULL);
    }
    if (ours(st, args[0], args[1]) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int
room_two_arguments(const char *name, Py_ssize_t nargs)
{
    if (nargs == 2) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s expected 2 arguments, got %zd", name,
                 nargs);
    return -1;
}

PyDoc_STRVAR(add_to_awaited_by_doc,
"future_add_to_awaited_by($module, fut, waiter, /)\n--\n\n"
"Record that `fut` is awaited on by `waiter`.");

static PyObject *
room_add_to_awaited_by(PyObject *module, PyObject *const *args,
                       Py_ssize_t nargs)
{
    fa_state *st = fa_state_of_module(module);
    if (room_two_arguments("future_add_to_awaited_by", nargs) < 0) {
        return NULL;
    }
    return room_call_graph(st, st->c_awaited_by_add, args,
                           future_awaited_by_add);
}

PyDoc_STRVAR(discard_from_awaited_by_doc,
"future_discard_from_awaited_by($module, fut, waiter, /)\n--\n\n"
"Forget that `fut` is awaited on by `waiter`.");

static PyObject *
room_discard_from_awaited_by(PyObject *module, PyObject *const *args,
                             Py_ssize_t nargs)
{
    fa_state *st = fa_state_of_module(module);
    if (room_two_arguments("future_discard_from_awaited_by", nargs) < 0) {
        return NULL;
    }
    return room_call_graph(st, st->c_awaited_by_discard, args,
                           future_awaited_by_discard);
}

#endif

static PyMethodDef room_functions[] = {
    {"_live_tasks", room_live_tasks, METH_NOARGS, live_tasks_doc},
    {"_sizes", room_sizes, METH_NOARGS, sizes_doc},
#if FA_HAS_AWAITED_BY
    {"future_add_to_awaited_by",
     (PyCFunction)(void (*)(void))room_add_to_awaited_by, METH_FASTCALL,
     add_to_awaited_by_doc},
    {"future_discard_from_awaited_by",
     (PyCFunction)(void (*)(void))room_discard_from_awaited_by, METH_FASTCALL,
     discard_from_awaited_by_doc},
#endif
    {NULL, NULL, 0, NULL},
};

/* -- set-up and end -------------------------------------------------------------------------- */

int
task_types_init(PyObject *module, fa_state *st)
{
    st->task_runs[0] = task_run_step;
    st->task_runs[1] = task_run_wakeup;
    st->task_runs[2] = closure_run;
    st->timer_sets_result = future_timer_sets_result;
    st->task_entry = task_entry_callable;
    st->task_settle = task_settle;
    st->sleep_settle = sleep_settle;
    st->task_ahead = task_look_ahead;
    st->future_ahead = future_look_ahead;
    if (stop_type_init(module, st) < 0 ||
        future_iter_type_init(module, st) < 0 ||
        future_type_init(module, st) < 0 ||
        task_step_type_init(module, st) < 0 ||
        task_type_init(module, st) < 0 || gather_type_init(module, st) < 0 ||
        closure_type_init(module, st) < 0 || coro_types_init(module, st) < 0 ||
        sleep_init(module, st) < 0 || ensure_init(module) < 0 ||
        shield_init(module, st) < 0 || bridge_init(module, st) < 0 ||
        query_init(module) < 0)
    {
        return -1;
    }
    if (PyModule_AddObjectRef(module, "Future",
                              (PyObject *)st->FutureType) < 0 ||
        PyModule_AddObjectRef(module, "Task", (PyObject *)st->TaskType) < 0)
    {
        return -1;
    }
    return PyModule_AddFunctions(module, room_functions);
}

void
task_freelists_clear(fa_state *st)
{
    freelist_clear(&st->free_futures);
    freelist_clear(&st->free_tasks);
    freelist_clear(&st->free_iters);
    freelist_clear(&st->free_coros);
    freelist_clear(&st->free_bound);
    freelist_clear(&st->free_closures);
    stop_clear_spare(st);
}
