/* base/fields.h: fields of a C struct as attributes, read and written.

   Rows of Py_tp_getset whose closure is the field's offset. */
#ifndef FA_BASE_FIELDS_H
#define FA_BASE_FIELDS_H

#include "base/compat.h"

#define FA_FIELD_ROW(name, getter, setter, struct_name, field) \
    {name, getter, setter, NULL, (void *)offsetof(struct_name, field)}

/* PyObject *: an empty field (NULL) reads None, and None or `del` empties it. */
FA_INTERNAL PyObject *fa_field_get(PyObject *self, void *closure);
FA_INTERNAL int fa_field_set(PyObject *self, PyObject *value, void *closure);

/* Is it `del`, in a setter whose attribute stays? Then 1, and AttributeError. */
FA_INTERNAL int fa_cannot_delete(PyObject *value);

/* PyObject * that is never empty: None is an object, `del` an AttributeError. */
FA_INTERNAL int fa_field_set_full(PyObject *self, PyObject *value,
                                  void *closure);

/* uint8_t: a flag. Any object has a truth, `del` makes it False. */
FA_INTERNAL PyObject *fa_flag_get(PyObject *self, void *closure);
FA_INTERNAL int fa_flag_set(PyObject *self, PyObject *value, void *closure);

#endif
