/* base/state.c: filling, visiting and clearing the module state, and the two
   helpers that every type needs: making a heap type, finding the state. */
#include "base/state.h"

#include <string.h>

fa_state *
fa_state_of_type(PyTypeObject *tp)
{
    PyObject *module = PyType_GetModuleByDef(tp, &fa_module_def);
    return module == NULL ? NULL : fa_state_of_module(module);
}

int
fa_type_new(PyObject *module, PyType_Spec *spec, PyObject *bases,
            PyTypeObject **slot)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, bases);
    if (type == NULL) {
        return -1;
    }
    Py_XSETREF(*slot, (PyTypeObject *)type);
    return 0;
}

static int
state_import(PyObject **slot, const char *module_name, const char *attr)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL || attr == NULL) {
        *slot = module;
        return module == NULL ? -1 : 0;
    }
    *slot = PyObject_GetAttrString(module, attr);
    Py_DECREF(module);
    return *slot == NULL ? -1 : 0;
}

int
fa_state_init(fa_state *st)
{
    // asyncio before _asyncio: the other order breaks asyncio.current_task()
    // for the whole process on 3.11 to 3.13
    PyObject *asyncio = PyImport_ImportModule("asyncio");
    if (asyncio == NULL) {
        return -1;
    }
    Py_DECREF(asyncio);
#define X(name) \
    if ((st->str_##name = PyUnicode_InternFromString(#name)) == NULL) { \
        return -1; \
    }
    FA_NAMES(X)
#undef X
#define X(field, module, attr) \
    if (state_import(&st->field, module, attr) < 0) { \
        return -1; \
    }
    FA_IMPORTS(X)
#undef X
    st->kw_context = PyTuple_Pack(1, st->str_context);
    st->kw_msg = PyTuple_Pack(1, st->str_msg);
    return st->kw_context == NULL || st->kw_msg == NULL ? -1 : 0;
}

int
fa_state_traverse(fa_state *st, visitproc visit, void *arg)
{
#define X(name) Py_VISIT(st->name##Type);
    FA_TYPES(X)
#undef X
#define X(field, module, attr) Py_VISIT(st->field);
    FA_IMPORTS(X)
#undef X
    Py_VISIT(st->current_tasks);
    Py_VISIT(st->c_swap_current_task);
    Py_VISIT(st->kw_context);
    Py_VISIT(st->kw_name_context);
    Py_VISIT(st->timeout_fire);
    Py_VISIT(st->release_waiter);
    Py_VISIT(st->kw_msg);
    Py_VISIT(st->loop_stock);
    Py_VISIT(st->popen_own[0]);
    Py_VISIT(st->popen_own[1]);
    Py_VISIT(st->asyncio_spawn);
    Py_VISIT(st->asyncio_exited);
    for (int kind = 0; kind < FA_HANDLE_KINDS; kind++) {
        Py_VISIT(st->handles[kind].run);
    }
    return 0;
}

void
fa_state_clear(fa_state *st)
{
#define X(name) Py_CLEAR(st->name##Type);
    FA_TYPES(X)
#undef X
#define X(name) Py_CLEAR(st->str_##name);
    FA_NAMES(X)
#undef X
#define X(field, module, attr) Py_CLEAR(st->field);
    FA_IMPORTS(X)
#undef X
    Py_CLEAR(st->current_tasks);
    Py_CLEAR(st->c_swap_current_task);
    Py_CLEAR(st->kw_context);
    Py_CLEAR(st->kw_name_context);
    Py_CLEAR(st->timeout_fire);
    Py_CLEAR(st->release_waiter);
    Py_CLEAR(st->kw_msg);
    Py_CLEAR(st->loop_stock);
    Py_CLEAR(st->popen_own[0]);
    Py_CLEAR(st->popen_own[1]);
    Py_CLEAR(st->asyncio_spawn);
    Py_CLEAR(st->asyncio_exited);
    for (int kind = 0; kind < FA_HANDLE_KINDS; kind++) {
        Py_CLEAR(st->handles[kind].run);
    }
}

/* -- slots of asyncio's Python classes ----------------------------------- */

/* The i-th object slot of a class made by a Python class statement, or NULL
   at the end. Slots are the heap type's members. */
static PyObject **
base_slot_at(PyTypeObject *base, PyObject *self, Py_ssize_t i)
{
    PyMemberDef *member = base->tp_members;
    if (member == NULL || i >= Py_SIZE(base)) {
        return NULL;
    }
    return (PyObject **)((char *)self + member[i].offset);
}

int
fa_base_slots_visit(PyTypeObject *base, PyObject *self, visitproc visit,
                    void *arg)
{
    for (; base != NULL && base != &PyBaseObject_Type; base = base->tp_base) {
        PyObject **slot;
        for (Py_ssize_t i = 0; (slot = base_slot_at(base, self, i)); i++) {
            Py_VISIT(*slot);
        }
    }
    return 0;
}

void
fa_base_slots_clear(PyTypeObject *base, PyObject *self)
{
    for (; base != NULL && base != &PyBaseObject_Type; base = base->tp_base) {
        PyObject **slot;
        for (Py_ssize_t i = 0; (slot = base_slot_at(base, self, i)); i++) {
            Py_CLEAR(*slot);
        }
    }
}
