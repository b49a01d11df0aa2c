/* base/fields.c: fields of a C struct as attributes. */
#include "base/fields.h"

static inline PyObject **
field_at(PyObject *self, void *closure)
{
    return (PyObject **)((char *)self + (size_t)closure);
}

PyObject *
fa_field_get(PyObject *self, void *closure)
{
    PyObject *value = *field_at(self, closure);
    return Py_NewRef(value ? value : Py_None);
}

int
fa_field_set(PyObject *self, PyObject *value, void *closure)
{
    PyObject **field = field_at(self, closure);
    Py_XSETREF(*field, value == Py_None ? NULL : Py_XNewRef(value));
    return 0;
}

int
fa_cannot_delete(PyObject *value)
{
    if (value != NULL) {
        return 0;
    }
    PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
    return 1;
}

int
fa_field_set_full(PyObject *self, PyObject *value, void *closure)
{
    if (fa_cannot_delete(value)) {
        return -1;
    }
    PyObject **field = field_at(self, closure);
    Py_XSETREF(*field, Py_NewRef(value));
    return 0;
}

PyObject *
fa_flag_get(PyObject *self, void *closure)
{
    return PyBool_FromLong(*((uint8_t *)self + (size_t)closure));
}

int
fa_flag_set(PyObject *self, PyObject *value, void *closure)
{
    int truth = value == NULL ? 0 : PyObject_IsTrue(value);
    if (truth >= 0) {
        *((uint8_t *)self + (size_t)closure) = (uint8_t)truth;
    }
    return truth < 0 ? -1 : 0;
}
