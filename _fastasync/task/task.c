/* task/task.c: the type Task, a Future that a coroutine will finish.

   Here are construction, cancellation requests, names and what asyncio's own
   Python code reads of a task; running it is step.c. Task inherits the methods
   of Future and refuses set_result and set_exception.
   A task is in the registry from its first scheduling until it is done. Names
   are numbers until somebody asks. HOT: task_new, task_init, the destructor. */
#include "task/private.h"
#include "base/args.h"
#include "base/errors.h"
#include "base/fields.h"
#include "loop/context.h"
#include "task/coro.h"
#include "task/freelist.h"

#include <string.h>

/* -- life ---------------------------------------------------------------------- */

static int
Task_traverse(PyObject *self, visitproc visit, void *arg)
{
    TaskObject *task = (TaskObject *)self;
    Py_VISIT(task->coro);
    Py_VISIT(task->context);
    Py_VISIT(task->waiter);
    if (task->named) {
        Py_VISIT(task->name.text);
    }
    return future_traverse(&task->fut, visit, arg);
}

/* Store a name (taken over). */
static void
task_keep_name(TaskObject *task, PyObject *name)
{
    PyObject *former = task->named ? task->name.text : NULL;
    task->name.text = name;
    task->named = 1;
    Py_XDECREF(former);
}

/* -- the garbage collector ----------------------------------------------------------

   A task that was made by a running loop is reachable from the ring until its
   first step: nothing is gained by showing it to the garbage collector before.
   Many a task ends in its first step; then it is only tracked
   if it can be part of a cycle. A tree of 56,000 tasks spends a third of its time
   in the collector otherwise. Benchmark: tree_none. */

void
task_track_slow(TaskObject *task)
{
    task->untracked = 0;
    PyObject_GC_Track(task);
}

void
task_track_if_needed(TaskObject *task)
{
    FutureObject *fut = &task->fut;
    if (fut->state == FA_PENDING) {
        return; // back in the ring
    }
    if (fut->dict != NULL || fut->outcome == NULL || fut->failed ||
        PyObject_IS_GC(fut->outcome) || task->context == NULL ||
        PyObject_Size(task->context) != 0)
    {
        task_track(task);
    }
}

static int
Task_clear(PyObject *self)
{
    TaskObject *task = (TaskObject *)self;
    future_clear(&task->fut);
    Py_CLEAR(task->coro);
    Py_CLEAR(task->context);
    Py_CLEAR(task->waiter);
    if (task->named) {
        task_keep_name(task, NULL);
    }
    return 0;
}

static void
Task_finalize(PyObject *self)
{
    TaskObject *task = (TaskObject *)self;
    FutureObject *fut = &task->fut;
    if (fut->state == FA_PENDING && task->log_destroy_pending &&
        fut->loop != NULL) // settable before __init__, which may never run
    {
        PyObject *raised = fa_err_take();
        PyObject *message = PyUnicode_FromString(
            "Task was destroyed but it is pending!");
        future_complain(fut, message, fut->st->str_task, NULL);
        fa_err_restore(raised);
    }
    if (!FA_KEEPS_FINALIZED_TASKS) {
        registry_remove(task);
    }
    future_finalize(fut);
}

static inline void
task_free(PyObject *self)
{
    TaskObject *task = (TaskObject *)self;
    PyTypeObject *tp = Py_TYPE(self);
    registry_remove(task); // after the finalizer, which may have kept it
    if (task->fut.weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Task_clear(self);
    if (tp != task->fut.st->TaskType ||
        !freelist_push(&task->fut.st->free_tasks, self))
    {
        tp->tp_free(self);
    }
    Py_DECREF(tp);
}

static FA_HOT void
Task_dealloc(PyObject *self)
{
    TaskObject *task = (TaskObject *)self;
    PyTypeObject *tp = Py_TYPE(self);
    if (FA_UNLIKELY(task->fut.state == FA_PENDING || task->fut.log_tb ||
                    tp != task->fut.st->TaskType))
    {
        if (PyObject_CallFinalizerFromDealloc(self) < 0) {
            return; // somebody has kept it
        }
    }
    PyObject_GC_UnTrack(self);
    if (FA_UNLIKELY(future_holds_future(&task->fut))) {
        Py_TRASHCAN_BEGIN(self, Task_dealloc)
        task_free(self);
        Py_TRASHCAN_END
        return;
    }
    task_free(self);
}

void
task_settle(PyObject *obj)
{
    PyTypeObject *tp = Py_TYPE(obj);
    if (tp->tp_dealloc == Task_dealloc) {
        task_track((TaskObject *)obj);
    }
}

/* task.anything = value: it may be part of a cycle. */
static int
Task_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    task_track((TaskObject *)self);
    return PyObject_GenericSetAttr(self, name, value);
}

/* -- construction ----------------------------------------------------------------- */

/* 1, 0 (with TypeError raised) or -1: is it a coroutine to asyncio? */
static inline int
task_check_coroutine(TaskObject *task, PyObject *coro)
{
    int truth = fa_iscoroutine(task->fut.st, coro);
    if (truth == 0) {
        task->log_destroy_pending = 0;
        PyErr_Format(PyExc_TypeError, "a coroutine was expected, got %R",
                     coro);
    }
    return truth > 0 ? 0 : -1;
}

static int
task_init_name(TaskObject *task, PyObject *name)
{
    if (FA_LIKELY(name == NULL || name == Py_None)) {
        PyObject *former = task->named ? task->name.text : NULL;
        task->named = 0;
        task->name.number = ++task->fut.st->task_names;
        Py_XDECREF(former);
        return 0;
    }
    PyObject *text = PyUnicode_CheckExact(name) ? Py_NewRef(name)
                                                : PyObject_Str(name);
    if (text == NULL) {
        return -1;
    }
    task_keep_name(task, text);
    return 0;
}

#if FA_HAS_EAGER_START
/* loop.is_running(), as asyncio asks before an eager start: 1, 0, -1. */
static int
task_loop_is_running(TaskObject *task)
{
    LoopObject *engine = future_engine(&task->fut);
    if (engine != NULL) {
        return engine->running;
    }
    PyObject *loop = Py_NewRef(task->fut.loop);
    PyObject *answer = PyObject_CallMethodNoArgs(
        loop, task->fut.st->str_is_running);
    Py_DECREF(loop);
    if (answer == NULL) {
        return -1;
    }
    Py_DECREF(answer);
    return answer == Py_True;
}
#endif

/* Run the first step now, or let the loop do it. */
static inline int
task_start(TaskObject *task, int eager)
{
#if FA_HAS_EAGER_START
    if (eager) {
        int running = task_loop_is_running(task);
        if (running != 0) {
            return running < 0 ? -1 : task_eager_start(task);
        }
    }
#else
    (void)eager;
#endif
    if (task_step_soon(task, NULL) < 0) {
        return -1;
    }
    registry_add(task);
    return 0;
}

/* A copy of the current context (new); shared with others if it can be. */
static inline PyObject *
task_context_copy(TaskObject *task, int eager, int *shared)
{
    LoopObject *engine = future_engine(&task->fut);
    if (FA_LIKELY(engine != NULL && engine->running && !eager)) {
        return loop_context_copy(engine, shared);
    }
    return PyContext_CopyCurrent();
}

PyObject *
task_own_context(TaskObject *task)
{
    if (task->shares_context) {
        PyObject *own = PyContext_Copy(task->context);
        if (own == NULL) {
            return NULL;
        }
        task->shares_context = 0;
        Py_SETREF(task->context, own);
    }
    return Py_XNewRef(task->context);
}

/* What Task.__init__ does; in asyncio's order, as errors in between leave a
   task that its finalizer still judges. */
static FA_HOT int
task_init(TaskObject *task, PyObject *loop, PyObject *coro, PyObject *name,
          PyObject *context, int eager)
{
    if (future_init(&task->fut, loop) < 0) {
        return -1;
    }
    task->fut.is_task = 1;
    if (task_check_coroutine(task, coro) < 0) {
        return -1;
    }
    int shared = 0;
    context = context == NULL || context == Py_None
                  ? task_context_copy(task, eager, &shared)
                  : Py_NewRef(context);
    if (context == NULL) {
        return -1;
    }
    Py_XSETREF(task->context, context);
    task->shares_context = (uint8_t)shared;
    Py_CLEAR(task->waiter);
    task->must_cancel = 0;
    task->log_destroy_pending = 1;
    task->cancels_requested = 0;
    Py_XSETREF(task->coro, Py_NewRef(coro));
    if (task_init_name(task, name) < 0) {
        return -1;
    }
    return task_start(task, eager);
}

FA_HOT PyObject *
task_new(fa_state *st, PyObject *loop, PyObject *coro, PyObject *name,
         PyObject *context, int eager)
{
    PyTypeObject *tp = st->TaskType;
    PyObject *self = freelist_pop(&st->free_tasks, tp, sizeof(TaskObject));
    if (FA_UNLIKELY(self == NULL)) {
        self = (PyObject *)PyObject_GC_New(TaskObject, tp);
        if (self == NULL) {
            return NULL;
        }
        memset((char *)self + sizeof(PyObject), 0,
               sizeof(TaskObject) - sizeof(PyObject));
    }
    TaskObject *task = (TaskObject *)self;
    task->fut.st = st;
    task->untracked = 1;
    if (FA_UNLIKELY(task_init(task, loop, coro, name, context, eager) < 0)) {
        task_track(task);
        Py_DECREF(task);
        return NULL;
    }
    LoopObject *engine = future_engine(&task->fut);
    if (FA_UNLIKELY(engine == NULL || !engine->running)) {
        task_track(task);
    }
    else if (FA_UNLIKELY(eager)) {
        task_track_if_needed(task);
    }
    return (PyObject *)task;
}

static const fa_args Task_init_args = {
    .fname = "Task",
    .required = 1,
    .positional = 1,
#if FA_HAS_EAGER_START
    .total = 5,
#else
    .total = 4,
#endif
    .names = {"coro", "loop", "name", "context", "eager_start"},
};

static int
Task_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *out[5] = {NULL};
    if (fa_args_parse_tuple(&Task_init_args, args, kwargs, out) < 0) {
        return -1;
    }
    int eager = out[4] == NULL ? 0 : PyObject_IsTrue(out[4]);
    if (eager < 0) {
        return -1;
    }
    task_track((TaskObject *)self);
    return task_init((TaskObject *)self, out[1], out[0], out[2], out[3],
                     eager);
}

/* Task(coro, loop=loop, ...) without a tuple and a dict in between. */
static PyObject *
Task_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf,
                PyObject *kwnames)
{
    PyObject *out[5] = {NULL};
    if (fa_args_parse(&Task_init_args, args, PyVectorcall_NARGS(nargsf),
                      kwnames, out) < 0)
    {
        return NULL;
    }
    int eager = out[4] == NULL ? 0 : PyObject_IsTrue(out[4]);
    if (eager < 0) {
        return NULL;
    }
    fa_state *st = fa_state_of_module(PyType_GetModule((PyTypeObject *)type));
    return task_new(st, out[1], out[0], out[2], out[3], eager);
}

/* -- cancellation -------------------------------------------------------------------- */

int
future_cancel_plain(fa_state *st, PyObject *fut, PyObject *msg)
{
    if (((FutureObject *)fut)->is_task) {
        return task_cancel((TaskObject *)fut, msg);
    }
    return Py_IS_TYPE(fut, st->GatherType)
               ? gather_cancel((GatherObject *)fut, msg)
               : future_cancel((FutureObject *)fut, msg);
}

/* waiter.cancel(msg): 1, 0, -1. */
static int
task_cancel_waiter(TaskObject *task, PyObject *msg)
{
    fa_state *st = task->fut.st;
    PyObject *waiter = Py_NewRef(task->waiter);
    int rc;
    if (future_plain(st, waiter)) {
        rc = future_cancel_plain(st, waiter, msg);
    }
    else {
        PyObject *answer = PyObject_CallMethodOneArg(
            waiter, st->str_cancel, msg == NULL ? Py_None : msg);
        rc = answer == NULL ? -1 : PyObject_IsTrue(answer);
        Py_XDECREF(answer);
    }
    Py_DECREF(waiter);
    return rc;
}

int
task_cancel(TaskObject *task, PyObject *msg)
{
    task->fut.log_tb = 0;
    if (task->fut.state != FA_PENDING) {
        return 0;
    }
    task->cancels_requested++;
    if (task->waiter != NULL) {
        // a chain of tasks is as deep as the user has made it
        if (Py_EnterRecursiveCall(" while cancelling a task")) {
            return -1;
        }
        int rc = task_cancel_waiter(task, msg);
        Py_LeaveRecursiveCall();
        if (rc != 0) {
            return rc;
        }
    }
    task->must_cancel = 1;
    Py_XSETREF(task->fut.cancel_msg, Py_XNewRef(msg));
    return 1;
}

int
task_uncancel(TaskObject *task)
{
    if (task->cancels_requested > 0) {
        task->cancels_requested--;
        if (FA_HAS_UNCANCEL_CLEARS && task->cancels_requested == 0) {
            task->must_cancel = 0;
        }
    }
    return task->cancels_requested;
}

PyDoc_STRVAR(Task_cancel_doc,
"cancel($self, /, msg=None)\n--\n\n"
"Ask the task to cancel itself: CancelledError is thrown into its coroutine\n"
"at the next occasion, and the coroutine decides what becomes of it.\n\n"
"False if the task is done. Counts as one request (see cancelling).");

static const fa_args Task_cancel_args = {
    .fname = "cancel",
    .positional = 1,
    .total = 1,
    .names = {"msg"},
};

static PyObject *
Task_cancel(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    PyObject *msg = NULL;
    if ((nargs != 0 || kwnames != NULL) &&
        fa_args_parse(&Task_cancel_args, args, nargs, kwnames, &msg) < 0)
    {
        return NULL;
    }
    int rc = task_cancel((TaskObject *)self, msg);
    return rc < 0 ? NULL : PyBool_FromLong(rc);
}

PyDoc_STRVAR(Task_cancelling_doc,
"cancelling($self, /)\n--\n\n"
"How many cancellation requests are open.");

static PyObject *
Task_cancelling(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(((TaskObject *)self)->cancels_requested);
}

PyDoc_STRVAR(Task_uncancel_doc,
"uncancel($self, /)\n--\n\n"
"Take back one cancellation request; returns how many remain.");

static PyObject *
Task_uncancel(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(task_uncancel((TaskObject *)self));
}

/* -- methods ----------------------------------------------------------------------------- */

static PyObject *
Task_set_result(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(result))
{
    PyErr_SetString(PyExc_RuntimeError,
                    "Task does not support set_result operation");
    return NULL;
}

static PyObject *
Task_set_exception(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(exception))
{
    PyErr_SetString(PyExc_RuntimeError,
                    "Task does not support set_exception operation");
    return NULL;
}

PyDoc_STRVAR(Task_get_stack_doc,
"get_stack($self, /, *, limit=None)\n--\n\n"
"The frames where the coroutine is suspended, oldest first; none if it has\n"
"returned; those of the traceback if it has raised. With a limit the newest\n"
"frames of a stack, the oldest of a traceback.");

static const fa_args Task_get_stack_args = {
    .fname = "get_stack",
    .total = 1,
    .names = {"limit"},
};

static PyObject *
Task_get_stack(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    PyObject *limit;
    if (fa_args_parse(&Task_get_stack_args, args, nargs, kwnames, &limit) < 0) {
        return NULL;
    }
    return PyObject_CallMethod(((FutureObject *)self)->st->mod_base_tasks,
                               "_task_get_stack", "OO", self,
                               limit == NULL ? Py_None : limit);
}

PyDoc_STRVAR(Task_print_stack_doc,
"print_stack($self, /, *, limit=None, file=None)\n--\n\n"
"Print what get_stack(limit=limit) finds to file, by default sys.stderr.");

static const fa_args Task_print_stack_args = {
    .fname = "print_stack",
    .total = 2,
    .names = {"limit", "file"},
};

static PyObject *
Task_print_stack(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                 PyObject *kwnames)
{
    PyObject *out[2];
    if (fa_args_parse(&Task_print_stack_args, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    return PyObject_CallMethod(((FutureObject *)self)->st->mod_base_tasks,
                               "_task_print_stack", "OOO", self,
                               out[0] == NULL ? Py_None : out[0],
                               out[1] == NULL ? Py_None : out[1]);
}

PyDoc_STRVAR(Task_get_name_doc,
"get_name($self, /)\n--\n\n"
"The task's name.");

static PyObject *
Task_get_name(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    TaskObject *task = (TaskObject *)self;
    if (!task->named) {
        if (task->name.number == 0) {
            Py_RETURN_NONE;
        }
        PyObject *name = PyUnicode_FromFormat(
            "Task-%llu", (unsigned long long)task->name.number);
        if (name == NULL) {
            return NULL;
        }
        task_keep_name(task, name);
    }
    return Py_NewRef(task->name.text == NULL ? Py_None : task->name.text);
}

PyDoc_STRVAR(Task_set_name_doc,
"set_name($self, value, /)\n--\n\n"
"Give the task a name.");

static PyObject *
Task_set_name(PyObject *self, PyObject *value)
{
    PyObject *name = PyUnicode_CheckExact(value) ? Py_NewRef(value)
                                                 : PyObject_Str(value);
    if (name == NULL) {
        return NULL;
    }
    task_keep_name((TaskObject *)self, name);
    Py_RETURN_NONE;
}

static PyObject *
task_or_none(PyObject *value)
{
    return Py_NewRef(value == NULL ? Py_None : value);
}

PyDoc_STRVAR(Task_get_coro_doc,
"get_coro($self, /)\n--\n\n"
"The coroutine that the task runs.");

static PyObject *
Task_get_coro(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return task_or_none(((TaskObject *)self)->coro);
}

#if FA_HAS_EAGER_START
PyDoc_STRVAR(Task_get_context_doc,
"get_context($self, /)\n--\n\n"
"The context that the task runs in.");

static PyObject *
Task_get_context(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    TaskObject *task = (TaskObject *)self;
    return task->context == NULL ? Py_NewRef(Py_None) : task_own_context(task);
}
#endif

static PyObject *
Task_repr(PyObject *self)
{
    fa_state *st = ((FutureObject *)self)->st;
    return PyObject_CallMethodOneArg(st->mod_base_tasks, st->str__task_repr,
                                     self);
}

/* -- attributes ---------------------------------------------------------------------------- */

static PyObject *
Task_get__coro(PyObject *self, void *Py_UNUSED(closure))
{
    return task_or_none(((TaskObject *)self)->coro);
}

/* Not so in asyncio, but wanted there: greenback wraps a running task. */
static int
Task_set__coro(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (fa_cannot_delete(value)) {
        return -1;
    }
    Py_XSETREF(((TaskObject *)self)->coro, Py_NewRef(value));
    return 0;
}

static PyObject *
Task_get_fut_waiter(PyObject *self, void *Py_UNUSED(closure))
{
    return task_or_none(((TaskObject *)self)->waiter);
}

static PyObject *
Task_get_must_cancel(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((TaskObject *)self)->must_cancel);
}

static PyObject *
Task_get_log_destroy(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((TaskObject *)self)->log_destroy_pending);
}

static int
Task_set_log_destroy(PyObject *self, PyObject *value,
                     void *Py_UNUSED(closure))
{
    if (fa_cannot_delete(value)) {
        return -1;
    }
    int truth = PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    ((TaskObject *)self)->log_destroy_pending = truth != 0;
    return 0;
}

/* -- tables ------------------------------------------------------------------------------------ */

static PyMethodDef Task_methods[] = {
    {"cancel", (PyCFunction)(void (*)(void))Task_cancel,
     METH_FASTCALL | METH_KEYWORDS, Task_cancel_doc},
    {"cancelling", Task_cancelling, METH_NOARGS, Task_cancelling_doc},
    {"uncancel", Task_uncancel, METH_NOARGS, Task_uncancel_doc},
    {"set_result", Task_set_result, METH_O,
     "set_result($self, result, /)\n--\n\n"
     "RuntimeError: a task gets its result from its coroutine."},
    {"set_exception", Task_set_exception, METH_O,
     "set_exception($self, exception, /)\n--\n\n"
     "RuntimeError: a task gets its exception from its coroutine."},
    {"get_stack", (PyCFunction)(void (*)(void))Task_get_stack,
     METH_FASTCALL | METH_KEYWORDS, Task_get_stack_doc},
    {"print_stack", (PyCFunction)(void (*)(void))Task_print_stack,
     METH_FASTCALL | METH_KEYWORDS, Task_print_stack_doc},
    {"get_name", Task_get_name, METH_NOARGS, Task_get_name_doc},
    {"set_name", Task_set_name, METH_O, Task_set_name_doc},
    {"get_coro", Task_get_coro, METH_NOARGS, Task_get_coro_doc},
#if FA_HAS_EAGER_START
    {"get_context", Task_get_context, METH_NOARGS, Task_get_context_doc},
#endif
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Task_getset[] = {
    {"_coro", Task_get__coro, Task_set__coro, NULL, NULL},
    {"_fut_waiter", Task_get_fut_waiter, NULL, NULL, NULL},
    {"_must_cancel", Task_get_must_cancel, NULL, NULL, NULL},
    {"_log_destroy_pending", Task_get_log_destroy, Task_set_log_destroy, NULL,
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(Task_doc,
"Task(coro, *, loop=None, name=None, context=None"
#if FA_HAS_EAGER_START
", eager_start=False"
#endif
")\n--\n\n"
"A coroutine that runs on an event loop, wrapped in a Future: asyncio.Task.");

static PyType_Slot Task_slots[] = {
    {Py_tp_doc, (void *)Task_doc},
    {Py_tp_init, Task_init},
    {Py_tp_traverse, Task_traverse},
    {Py_tp_clear, Task_clear},
    {Py_tp_finalize, Task_finalize},
    {Py_tp_dealloc, Task_dealloc},
    {Py_tp_setattro, Task_setattro},
    {Py_tp_repr, Task_repr},
    {Py_tp_methods, Task_methods},
    {Py_tp_getset, Task_getset},
    {0, NULL},
};

static PyType_Spec Task_spec = {
    .name = "_fastasync.Task",
    .basicsize = sizeof(TaskObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Task_slots,
};

int
task_type_init(PyObject *module, fa_state *st)
{
    if (fa_type_new(module, &Task_spec, (PyObject *)st->FutureType,
                    &st->TaskType) < 0)
    {
        return -1;
    }
    st->TaskType->tp_vectorcall = Task_vectorcall; // not inherited
    return 0;
}
