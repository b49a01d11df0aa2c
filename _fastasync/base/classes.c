/* base/classes.c: making the pairs of types of base/classes.h, at import. */
#include "base/classes.h"

/* The bases of the class: core[, class_base], asyncio's class (new tuple). */
static PyObject *
class_bases(const fa_class *spec, PyTypeObject *core)
{
    PyObject *module = PyImport_ImportModule(spec->asyncio_module);
    if (module == NULL) {
        return NULL;
    }
    PyObject *theirs = PyObject_GetAttrString(module, spec->asyncio_name);
    Py_DECREF(module);
    if (theirs == NULL) {
        return NULL;
    }
    PyObject *bases =
        spec->class_base == NULL
            ? PyTuple_Pack(2, (PyObject *)core, theirs)
            : PyTuple_Pack(3, (PyObject *)core, (PyObject *)spec->class_base,
                           theirs);
    Py_DECREF(theirs);
    return bases;
}

/* {'__module__':, '__slots__':, '__doc__':} (new). */
static PyObject *
class_namespace(PyTypeObject *core)
{
    PyObject *doc = PyObject_GetAttrString((PyObject *)core, "__doc__");
    if (doc == NULL) {
        return NULL;
    }
    PyObject *names = Py_BuildValue("{s:s,s:(),s:N}", "__module__",
                                    "fastasync", "__slots__", "__doc__", doc);
    return names;
}

static PyObject *
class_make(const fa_class *spec, PyTypeObject *core)
{
    PyObject *bases = class_bases(spec, core);
    PyObject *names = bases == NULL ? NULL : class_namespace(core);
    PyObject *made = NULL;
    if (names != NULL) {
        made = PyObject_CallFunction((PyObject *)&PyType_Type, "sOO",
                                     spec->name, bases, names);
    }
    Py_XDECREF(names);
    Py_XDECREF(bases);
    return made;
}

int
fa_class_new(const fa_class *spec, PyTypeObject **core_slot,
             PyTypeObject **class_slot)
{
    if (fa_type_new(spec->module, spec->core, (PyObject *)spec->core_base,
                    core_slot) < 0)
    {
        return -1;
    }
    PyObject *made = class_make(spec, *core_slot);
    if (made == NULL) {
        return -1;
    }
    Py_XSETREF(*class_slot, (PyTypeObject *)made);
    return PyModule_AddObjectRef(spec->module, spec->name, made);
}

void
fa_class_dealloc(PyObject *self, inquiry clear)
{
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((ClassObject *)self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    (void)clear(self);
    tp->tp_free(self);
    Py_DECREF(tp);
}
