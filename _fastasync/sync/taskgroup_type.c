/* sync/taskgroup_type.c: what Python sees of a TaskGroup: the class, its methods,
   asyncio's instance attributes. */
#include "base/args.h"
#include "base/fields.h"
#include "sync/taskgroup.h"

/* -- life ----------------------------------------------------------------------------- */

static PyObject *
TaskGroup_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
              PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    GroupObject *self =
        st == NULL ? NULL : (GroupObject *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->st = st;
    }
    return (PyObject *)self;
}

static int
TaskGroup_traverse(PyObject *obj, visitproc visit, void *arg)
{
    GroupObject *self = (GroupObject *)obj;
    Py_VISIT(Py_TYPE(obj));
    Py_VISIT(self->dict);
    for (int i = 0; i < GROUP_FIELDS; i++) {
        Py_VISIT(self->fields[i]);
    }
    Py_VISIT(self->on_done);
    return 0;
}

static int
TaskGroup_clear(PyObject *obj)
{
    GroupObject *self = (GroupObject *)obj;
    Py_CLEAR(self->dict);
    for (int i = 0; i < GROUP_FIELDS; i++) {
        Py_CLEAR(self->fields[i]);
    }
    Py_CLEAR(self->on_done);
    return 0;
}

static void
TaskGroup_dealloc(PyObject *obj)
{
    fa_class_dealloc(obj, TaskGroup_clear);
}

static int
TaskGroup_init(PyObject *obj, PyObject *args, PyObject *kwargs)
{
    static const fa_args spec = {.fname = "TaskGroup.__init__", .python = 1};
    GroupObject *self = (GroupObject *)obj;
    PyObject *nothing[1];
    if (fa_args_parse_tuple(&spec, args, kwargs, nothing) < 0) {
        return -1;
    }
    PyObject *tasks = PySet_New(NULL);
    PyObject *errors = PyList_New(0);
    if (tasks == NULL || errors == NULL) {
        Py_XDECREF(tasks);
        Py_XDECREF(errors);
        return -1;
    }
    self->entered = self->exiting = self->aborting = 0;
    self->cancel_requested = self->cancel_on_enter = 0;
    for (int i = 0; i < GROUP_FIELDS; i++) {
        Py_XSETREF(self->fields[i], Py_NewRef(Py_None));
    }
    Py_SETREF(self->fields[GROUP_TASKS], tasks);
    Py_SETREF(self->fields[GROUP_ERRORS], errors);
    Py_CLEAR(self->on_done);
    return 0;
}

/* -- methods --------------------------------------------------------------------------------------------- */

#if FA_HAS_TASK_KWARGS

PyDoc_STRVAR(TaskGroup_create_task_doc,
"create_task($self, coro, **kwargs)\n--\n\n"
"Create a task in this group and return it; keywords as for\n"
"asyncio.create_task. RuntimeError if the group is not active.\n"
"See asyncio.TaskGroup.create_task.");

static const fa_args group_create_task_spec = {
    .fname = "TaskGroup.create_task", .required = 1, .positional = 1,
    .python = 1, .total = 1, .names = {"coro"},
};

/* `coro` was given as a keyword: to the front with it. */
static FA_COLD PyObject *
group_coro_by_keyword(GroupObject *self, PyObject *const *args,
                      PyObject *kwnames)
{
    Py_ssize_t count = PyTuple_GET_SIZE(kwnames), at = -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyUnicode_Compare(PyTuple_GET_ITEM(kwnames, i),
                              self->st->str_coro) == 0)
        {
            at = i;
        }
    }
    PyObject *none[1];
    if (at < 0) {
        fa_args_parse(&group_create_task_spec, args, 0, NULL, none);
        return NULL;
    }
    PyObject *names = PyTuple_New(count - 1);
    PyObject **all = PyMem_New(PyObject *, (size_t)count);
    PyObject *task = NULL;
    if (names != NULL && all != NULL) {
        all[0] = args[at];
        for (Py_ssize_t i = 0, j = 0; i < count; i++) {
            if (i != at) {
                PyTuple_SET_ITEM(names, j,
                                 Py_NewRef(PyTuple_GET_ITEM(kwnames, i)));
                all[++j] = args[i];
            }
        }
        task = group_create_task(self, all, names);
    }
    PyMem_Free(all);
    Py_XDECREF(names);
    return task;
}

static PyObject *
TaskGroup_create_task(PyObject *self, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 1)) {
        return group_create_task((GroupObject *)self, args, kwnames);
    }
    if (nargs == 0 && kwnames != NULL) {
        return group_coro_by_keyword((GroupObject *)self, args, kwnames);
    }
    PyObject *none[1];
    fa_args_parse(&group_create_task_spec, args, nargs, NULL, none);
    return NULL;
}

#else

PyDoc_STRVAR(TaskGroup_create_task_doc,
"create_task($self, coro, *, name=None, context=None)\n--\n\n"
"Create a task in this group and return it. RuntimeError if the group is not\n"
"active. See asyncio.TaskGroup.create_task.");

static PyObject *
TaskGroup_create_task(PyObject *obj, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    static const fa_args spec = {
        .fname = "TaskGroup.create_task", .required = 1, .positional = 1,
        .python = 1, .total = 3, .names = {"coro", "name", "context"},
    };
    GroupObject *self = (GroupObject *)obj;
    PyObject *out[3];
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        return group_create_task(self, args, NULL);
    }
    if (fa_args_parse(&spec, args, nargs, kwnames, out) < 0) {
        return NULL;
    }
    PyObject *all[] = {
        out[0], out[1] ? out[1] : Py_None, out[2] ? out[2] : Py_None,
    };
    return group_create_task(self, all, self->st->kw_name_context);
}

#endif

static PyObject *
TaskGroup_is_base_error(PyObject *Py_UNUSED(self), PyObject *exc)
{
    if (!PyExceptionInstance_Check(exc)) {
        PyErr_SetNone(PyExc_AssertionError);
        return NULL;
    }
    return PyBool_FromLong(
        PyErr_GivenExceptionMatches(exc, PyExc_SystemExit) ||
        PyErr_GivenExceptionMatches(exc, PyExc_KeyboardInterrupt));
}

static PyObject *
TaskGroup_abort(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (group_cancel_tasks((GroupObject *)self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
TaskGroup_on_task_done(PyObject *self, PyObject *task)
{
    if (group_task_done((GroupObject *)self, task) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

#if FA_HAS_GROUP_CANCEL

PyDoc_STRVAR(TaskGroup_cancel_doc,
"cancel($self, /)\n--\n\n"
"Cancel the tasks of the group and the block itself, which then ends without\n"
"CancelledError; before the group is entered: as soon as it is.\n"
"See asyncio.TaskGroup.cancel.");

static PyObject *
TaskGroup_cancel(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (group_cancel((GroupObject *)self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

#endif

/* -- texts ------------------------------------------------------------------------------- */

/* " name=len(field)" unless it is empty, appended to text (taken over). */
static PyObject *
group_repr_count(GroupObject *self, PyObject *text, const char *name,
                 int field)
{
    int any = text == NULL ? -1 : group_has(self, field);
    if (any == 0) {
        return text;
    }
    Py_ssize_t count =
        any < 0 ? -1 : PyObject_Size(self->fields[field]);
    PyObject *longer =
        count < 0 ? NULL
                  : PyUnicode_FromFormat("%U %s=%zd", text, name, count);
    Py_XDECREF(text);
    return longer;
}

static PyObject *
TaskGroup_repr(PyObject *obj)
{
    GroupObject *self = (GroupObject *)obj;
    PyObject *text = PyUnicode_FromString("<TaskGroup");
    text = group_repr_count(self, text, "tasks", GROUP_TASKS);
    text = group_repr_count(self, text, "errors", GROUP_ERRORS);
    if (text == NULL) {
        return NULL;
    }
    PyObject *repr = PyUnicode_FromFormat("%U%s>", text,
                                          self->aborting  ? " cancelling"
                                          : self->entered ? " entered"
                                                          : "");
    Py_DECREF(text);
    return repr;
}

static const char *const group_state_names[] = {
    "_entered", "_exiting", "_aborting", "_loop", "_parent_task",
    "_parent_cancel_requested", "_tasks", "_errors", "_base_error",
    "_on_completed_fut",
#if FA_HAS_GROUP_CANCEL
    "_cancel_on_enter",
#endif
    NULL,
};

static PyObject *
TaskGroup_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return scope_getstate(self, ((GroupObject *)self)->dict,
                          group_state_names);
}

/* -- attributes ---------------------------------------------------------------------------- */

static PyObject *
TaskGroup_get_field(PyObject *self, void *closure)
{
    return group_field((GroupObject *)self, (int)(Py_ssize_t)closure);
}

static int
TaskGroup_set_field(PyObject *self, PyObject *value, void *closure)
{
    GroupObject *group = (GroupObject *)self;
    Py_XSETREF(group->fields[(Py_ssize_t)closure], Py_XNewRef(value));
    return 0;
}

#define FIELD(name, field) \
    {name, TaskGroup_get_field, TaskGroup_set_field, NULL, \
     (void *)(Py_ssize_t)(field)}
#define FLAG(name, member) \
    FA_FIELD_ROW(name, fa_flag_get, fa_flag_set, GroupObject, member)

static PyGetSetDef TaskGroup_getset[] = {
    FIELD("_loop", GROUP_LOOP),
    FIELD("_parent_task", GROUP_PARENT),
    FIELD("_tasks", GROUP_TASKS),
    FIELD("_errors", GROUP_ERRORS),
    FIELD("_base_error", GROUP_BASE_ERROR),
    FIELD("_on_completed_fut", GROUP_WAITER),
    FLAG("_entered", entered),
    FLAG("_exiting", exiting),
    FLAG("_aborting", aborting),
    FLAG("_parent_cancel_requested", cancel_requested),
#if FA_HAS_GROUP_CANCEL
    FLAG("_cancel_on_enter", cancel_on_enter),
#endif
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#undef FIELD
#undef FLAG

/* -- tables ------------------------------------------------------------------------------------------------ */

static PyMethodDef TaskGroup_methods[] = {
    {"create_task", (PyCFunction)(void (*)(void))TaskGroup_create_task,
     METH_FASTCALL | METH_KEYWORDS, TaskGroup_create_task_doc},
#if FA_HAS_GROUP_CANCEL
    {"cancel", TaskGroup_cancel, METH_NOARGS, TaskGroup_cancel_doc},
#endif
    {"_is_base_error", TaskGroup_is_base_error, METH_O, NULL},
    {"_abort", TaskGroup_abort, METH_NOARGS, NULL},
    {"_on_task_done", TaskGroup_on_task_done, METH_O, NULL},
    {"__getstate__", TaskGroup_getstate, METH_NOARGS, NULL},
    {"__setstate__", scope_setstate, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef TaskGroup_members[] = {
    FA_CLASS_MEMBERS(GroupObject),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(TaskGroup_doc,
"TaskGroupCore()\n--\n\n"
"A block of code that ends when all tasks made in it have ended; if one of\n"
"them fails, the others are cancelled. See asyncio.TaskGroup.");

static PyType_Slot TaskGroup_slots[] = {
    {Py_tp_doc, (char *)TaskGroup_doc},
    {Py_tp_new, TaskGroup_new},
    {Py_tp_init, TaskGroup_init},
    {Py_tp_dealloc, TaskGroup_dealloc},
    {Py_tp_traverse, TaskGroup_traverse},
    {Py_tp_clear, TaskGroup_clear},
    {Py_tp_repr, TaskGroup_repr},
    {Py_tp_methods, TaskGroup_methods},
    {Py_tp_getset, TaskGroup_getset},
    {Py_tp_members, TaskGroup_members},
    {0, NULL},
};

static PyType_Spec TaskGroup_spec = {
    .name = "_fastasync.TaskGroupCore",
    .basicsize = sizeof(GroupObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = TaskGroup_slots,
};

/* What the running patch release does. */
static void
group_look_at_asyncio(fa_state *st)
{
    const char *module = "asyncio.taskgroups";
    st->group_closes = (uint8_t)asyncio_mentions(
        module, "TaskGroup", "create_task", "close", FA_HAS_GROUP_RECANCEL);
    st->group_shortcut = (uint8_t)asyncio_mentions(
        module, "TaskGroup", "create_task", "done", !FA_HAS_TASK_KWARGS);
    st->group_forgets = (uint8_t)asyncio_mentions(
        module, "TaskGroup", "__aexit__", "_aexit", FA_HAS_TASK_KWARGS);
}

int
taskgroup_type_init(PyObject *module, fa_state *st)
{
    const fa_class cls = {
        .module = module, .core = &TaskGroup_spec, .name = "TaskGroup",
        .asyncio_module = "asyncio.taskgroups", .asyncio_name = "TaskGroup",
    };
    Py_XSETREF(st->kw_name_context,
               PyTuple_Pack(2, st->str_name, st->str_context));
    if (st->kw_name_context == NULL) {
        return -1;
    }
    group_look_at_asyncio(st);
    if (fa_class_new(&cls, &st->TaskGroupCoreType, &st->TaskGroupType) < 0) {
        return -1;
    }
    return coro_methods_add(st, st->TaskGroupCoreType, group_coros);
}
