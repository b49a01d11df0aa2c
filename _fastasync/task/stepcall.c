/* task/stepcall.c: a task's steps as callables, for whoever is not our ring.

   On a loop of ours a step is a bare ring entry. A loop that is not ours, one
   whose call_soon was replaced, or one in debug mode is given what asyncio gives
   it: for a step a small object that is called without arguments, for a wake-up
   a builtin method of the task. Both have `__self__`, by which asyncio's debug
   output and other tools find the task. All of this is cold. */
#include "task/private.h"
#include "base/errors.h"

typedef struct {
    PyObject_HEAD
    TaskObject *task; /* strong; NULL after clear */
    PyObject *exc;    /* strong or NULL: to be thrown */
} TaskStepObject;

/* -- life -------------------------------------------------------------------- */

PyObject *
task_step_callable(TaskObject *task, PyObject *exc)
{
    TaskStepObject *step = PyObject_GC_New(TaskStepObject,
                                           task->fut.st->TaskStepType);
    if (step == NULL) {
        return NULL;
    }
    step->task = (TaskObject *)Py_NewRef((PyObject *)task);
    step->exc = Py_XNewRef(exc);
    PyObject_GC_Track(step);
    return (PyObject *)step;
}

static int
TaskStep_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((TaskStepObject *)self)->task);
    Py_VISIT(((TaskStepObject *)self)->exc);
    return 0;
}

static int
TaskStep_clear(PyObject *self)
{
    Py_CLEAR(((TaskStepObject *)self)->task);
    Py_CLEAR(((TaskStepObject *)self)->exc);
    return 0;
}

static void
TaskStep_dealloc(PyObject *self)
{
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    TaskStep_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(tp);
}

/* -- engine -------------------------------------------------------------------- */

/* What `fut` has to say to a task that waited for it: 0 and nothing, or 0 and
   an exception to throw (new). */
static int
task_wakeup_exception(TaskObject *task, PyObject *fut, PyObject **exc)
{
    fa_state *st = task->fut.st;
    PyObject *result;
    *exc = NULL;
    if (future_check_exact(st, fut)) {
        int rc = future_get_result((FutureObject *)fut, &result);
        if (rc > 0) {
            *exc = result;
            return 0;
        }
        result = rc < 0 ? NULL : result;
    }
    else {
        result = PyObject_CallMethodNoArgs(fut, st->str_result);
    }
    if (result != NULL) {
        Py_DECREF(result);
        return 0;
    }
    *exc = fa_err_take();
    return 0;
}

int
task_wakeup(TaskObject *task, PyObject *fut)
{
    PyObject *exc;
    if (future_awaited_by_discard(task->fut.st, fut, (PyObject *)task) < 0 ||
        task_wakeup_exception(task, fut, &exc) < 0)
    {
        return -1;
    }
    int rc = task_step_anywhere(task, exc);
    Py_XDECREF(exc);
    return rc;
}

static PyObject *
task_wakeup_method(PyObject *self, PyObject *fut)
{
    if (task_wakeup((TaskObject *)self, fut) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef task_wakeup_def = {
    "task_wakeup", task_wakeup_method, METH_O, NULL,
};

PyObject *
task_wakeup_callable(TaskObject *task)
{
    return PyCFunction_New(&task_wakeup_def, (PyObject *)task);
}

int
task_entry_callable(int which, PyObject *self, PyObject *arg,
                    PyObject **callable, PyObject **context)
{
    TaskObject *task = (TaskObject *)self;
    if (which == 2) {
        *callable = Py_NewRef(self);
        *context = Py_NewRef(closure_context(self));
        return 0;
    }
    *callable = which ? task_wakeup_callable(task)
                      : task_step_callable(task, arg);
    *context = task_own_context(task);
    if (*callable == NULL || *context == NULL) {
        Py_CLEAR(*callable);
        Py_CLEAR(*context);
        return -1;
    }
    return 0;
}

/* -- ring entries out of the ordinary ---------------------------------------------- */

FA_COLD int
task_run_odd_context(TaskObject *task, PyObject *context, PyObject *exc,
                     PyObject *fut)
{
    PyObject *callable = fut != NULL ? task_wakeup_callable(task)
                                     : task_step_callable(task, exc);
    if (callable == NULL) {
        return -1;
    }
    PyObject *answer = PyObject_CallMethod(
        context, "run", fut != NULL ? "OO" : "O", callable, fut);
    Py_DECREF(callable);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

/* "Exception in callback ..." as asyncio writes it for that callable. */
static PyObject *
task_failure_message(fa_state *st, PyObject *callable, PyObject *args)
{
    PyObject *source = PyObject_CallMethod(st->mod_format_helpers,
                                           "_format_callback_source", "OO",
                                           callable, args);
    if (source == NULL) {
        return NULL;
    }
    PyObject *message = PyUnicode_FromFormat("Exception in callback %S",
                                             source);
    Py_DECREF(source);
    return message;
}

/* loop.call_exception_handler({'message', 'exception', 'handle'}). */
static int
task_report_failure(LoopObject *loop, PyObject *callable, PyObject *args,
                    PyObject *context, PyObject *exc)
{
    fa_state *st = loop->st;
    PyObject *answer = NULL;
    PyObject *info = NULL;
    PyObject *message = task_failure_message(st, callable, args);
    PyObject *handle = PyObject_CallFunction((PyObject *)st->HandleType,
                                             "OOOO", callable, args, loop,
                                             context);
    if (message != NULL && handle != NULL) {
        info = Py_BuildValue("{sOsOsO}", "message", message, "exception", exc,
                             "handle", handle);
    }
    if (info != NULL) {
        answer = PyObject_CallMethodOneArg((PyObject *)loop,
                                           st->str_call_exception_handler,
                                           info);
    }
    Py_XDECREF(message);
    Py_XDECREF(handle);
    Py_XDECREF(info);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

FA_COLD int
callback_run_failed(LoopObject *loop, PyObject *callable, PyObject *fut,
                    PyObject *context)
{
    if (fa_err_is_exit()) {
        Py_XDECREF(callable);
        return -1;
    }
    PyObject *exc = fa_err_take();
    PyObject *args = fut != NULL ? PyTuple_Pack(1, fut) : PyTuple_New(0);
    int rc = -1;
    if (callable != NULL && args != NULL && context != NULL) {
        rc = task_report_failure(loop, callable, args, context, exc);
    }
    if (rc < 0 && !fa_err_is_exit()) {
        fa_err_unraisable(callable);
        rc = 0;
    }
    Py_XDECREF(callable);
    Py_XDECREF(args);
    Py_DECREF(exc);
    return rc;
}

FA_COLD int
task_run_failed(LoopObject *loop, TaskObject *task, PyObject *fut)
{
    PyObject *raised = fa_err_take();
    PyObject *callable = fut != NULL ? task_wakeup_callable(task)
                                     : task_step_callable(task, NULL);
    PyObject *context = task_own_context(task);
    if (callable == NULL || context == NULL) {
        PyErr_Clear(); // no memory: report what can be reported
    }
    fa_err_restore(raised);
    int rc = callback_run_failed(loop, callable, fut, context);
    Py_XDECREF(context);
    return rc;
}

/* -- methods ------------------------------------------------------------------------ */

static PyObject *
TaskStep_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    TaskStepObject *step = (TaskStepObject *)self;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0) {
        PyErr_SetString(PyExc_TypeError,
                        "function takes no keyword arguments");
        return NULL;
    }
    if (args != NULL && PyTuple_GET_SIZE(args) != 0) {
        PyErr_SetString(PyExc_TypeError,
                        "function takes no positional arguments");
        return NULL;
    }
    if (step->task == NULL) {
        Py_RETURN_NONE;
    }
    TaskObject *task = (TaskObject *)Py_NewRef((PyObject *)step->task);
    PyObject *exc = Py_XNewRef(step->exc);
    int rc = task_step_anywhere(task, exc);
    Py_DECREF(task);
    Py_XDECREF(exc);
    if (rc < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
TaskStep_get_self(PyObject *self, void *Py_UNUSED(closure))
{
    TaskObject *task = ((TaskStepObject *)self)->task;
    return Py_NewRef(task == NULL ? Py_None : (PyObject *)task);
}

/* -- tables --------------------------------------------------------------------------- */

static PyGetSetDef TaskStep_getset[] = {
    {"__self__", TaskStep_get_self, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot TaskStep_slots[] = {
    {Py_tp_dealloc, TaskStep_dealloc},
    {Py_tp_traverse, TaskStep_traverse},
    {Py_tp_clear, TaskStep_clear},
    {Py_tp_call, TaskStep_call},
    {Py_tp_getset, TaskStep_getset},
    {0, NULL},
};

static PyType_Spec TaskStep_spec = {
    .name = "_fastasync.TaskStepMethWrapper",
    .basicsize = sizeof(TaskStepObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = TaskStep_slots,
};

int
task_step_type_init(PyObject *module, fa_state *st)
{
    return fa_type_new(module, &TaskStep_spec, NULL, &st->TaskStepType);
}
