/* base/state.c: filling, visiting and clearing the module state, and the two
   helpers that every type needs: making a heap type, finding the state. */
#include "base/state.h"

#include <stddef.h>
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

/* -- the lists of state.h as tables ---------------------------------------- */

/* Loops over tables and not a statement per name: there are hundreds of them,
   and a compiler takes minutes for such a function with sanitizers. */

static const size_t state_type_rows[] = {
#define X(name) offsetof(fa_state, name##Type),
    FA_TYPES(X)
#undef X
};

static const struct {
    size_t field;
    const char *text;
} state_name_rows[] = {
#define X(name) {offsetof(fa_state, str_##name), #name},
    FA_NAMES(X)
#undef X
};

static const struct {
    size_t field;
    const char *module, *attr;
} state_import_rows[] = {
#define X(field, module, attr) {offsetof(fa_state, field), module, attr},
    FA_IMPORTS(X)
#undef X
};

/* Those that have no list. */
static const size_t state_other_fields[] = {
    offsetof(fa_state, current_tasks),
    offsetof(fa_state, c_swap_current_task),
    offsetof(fa_state, kw_context),
    offsetof(fa_state, kw_name_context),
    offsetof(fa_state, timeout_fire),
    offsetof(fa_state, release_waiter),
    offsetof(fa_state, kw_msg),
    offsetof(fa_state, loop_stock),
    offsetof(fa_state, popen_own[0]),
    offsetof(fa_state, popen_own[1]),
    offsetof(fa_state, asyncio_spawn),
    offsetof(fa_state, asyncio_exec),
    offsetof(fa_state, asyncio_exited),
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static inline PyObject **
state_object(fa_state *st, size_t field)
{
    return (PyObject **)((char *)st + field);
}

static inline PyTypeObject **
state_type(fa_state *st, size_t field)
{
    return (PyTypeObject **)((char *)st + field);
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
    for (size_t i = 0; i < COUNT(state_name_rows); i++) {
        PyObject *name = PyUnicode_InternFromString(state_name_rows[i].text);
        if (name == NULL) {
            return -1;
        }
        *state_object(st, state_name_rows[i].field) = name;
    }
    for (size_t i = 0; i < COUNT(state_import_rows); i++) {
        if (state_import(state_object(st, state_import_rows[i].field),
                         state_import_rows[i].module,
                         state_import_rows[i].attr) < 0)
        {
            return -1;
        }
    }
    st->kw_context = PyTuple_Pack(1, st->str_context);
    st->kw_msg = PyTuple_Pack(1, st->str_msg);
    return st->kw_context == NULL || st->kw_msg == NULL ? -1 : 0;
}

int
fa_state_traverse(fa_state *st, visitproc visit, void *arg)
{
    for (size_t i = 0; i < COUNT(state_type_rows); i++) {
        Py_VISIT(*state_type(st, state_type_rows[i]));
    }
    for (size_t i = 0; i < COUNT(state_import_rows); i++) {
        Py_VISIT(*state_object(st, state_import_rows[i].field));
    }
    for (size_t i = 0; i < COUNT(state_other_fields); i++) {
        Py_VISIT(*state_object(st, state_other_fields[i]));
    }
    for (int kind = 0; kind < FA_HANDLE_KINDS; kind++) {
        Py_VISIT(st->handles[kind].run);
    }
    return 0;
}

void
fa_state_clear(fa_state *st)
{
    for (size_t i = 0; i < COUNT(state_type_rows); i++) {
        Py_CLEAR(*state_type(st, state_type_rows[i]));
    }
    for (size_t i = 0; i < COUNT(state_name_rows); i++) {
        Py_CLEAR(*state_object(st, state_name_rows[i].field));
    }
    for (size_t i = 0; i < COUNT(state_import_rows); i++) {
        Py_CLEAR(*state_object(st, state_import_rows[i].field));
    }
    for (size_t i = 0; i < COUNT(state_other_fields); i++) {
        Py_CLEAR(*state_object(st, state_other_fields[i]));
    }
    for (int kind = 0; kind < FA_HANDLE_KINDS; kind++) {
        Py_CLEAR(st->handles[kind].run);
    }
}

#undef COUNT

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

void
fa_finalized_dealloc(PyObject *self, inquiry clear, PyTypeObject *base)
{
    PyTypeObject *type = Py_TYPE(self);
    if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        return; // resurrected
    }
    PyObject_GC_UnTrack(self);
    PyObject_ClearWeakRefs(self);
    clear(self);
    fa_base_slots_clear(base, self);
    type->tp_free(self);
    Py_DECREF(type);
}
