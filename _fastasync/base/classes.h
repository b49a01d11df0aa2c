/* base/classes.h: classes that are asyncio's classes, with C inside.

   asyncio.Lock and its kin are Python classes, and `issubclass(our Lock,
   asyncio.Lock)` must hold. A C type cannot take over their layout, but a
   Python class can have both for bases:

       class Lock(LockCore, asyncio.locks.Lock): __slots__ = ()

   The core comes first, so every method and attribute that C defines is found
   there; what only asyncio defines (__class_getitem__, ...) is inherited. An
   instance is a core struct and nothing else: the core itself has the instance
   dict and the weak references (__dictoffset__, __weaklistoffset__), see
   FA_CLASS_MEMBERS. fa_class_new makes both types at import. */
#ifndef FA_BASE_CLASSES_H
#define FA_BASE_CLASSES_H

#include "base/state.h"

/* Every core struct opens with these fields, under these names. */
#define FA_CLASS_HEAD \
    PyObject_HEAD \
    PyObject *dict;     /* strong or NULL: instance attributes */ \
    PyObject *weakrefs; \
    fa_state *st;       /* borrowed, set by tp_new */

/* The rows of Py_tp_members that go with them. */
#define FA_CLASS_MEMBERS(struct_name) \
    {"__dictoffset__", T_PYSSIZET, offsetof(struct_name, dict), READONLY, \
     NULL}, \
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct_name, weakrefs), \
     READONLY, NULL}

typedef struct {
    PyObject *module;
    PyType_Spec *core;        /* basetype; its name "_fastasync.LockCore" */
    const char *name;         /* "Lock": what the module exports */
    const char *asyncio_module; /* "asyncio.locks" */
    const char *asyncio_name; /* "Lock"; looked up at import: the class as it
                                 was before any install() */
    PyTypeObject *core_base;  /* another core it derives from, or NULL */
    PyTypeObject *class_base; /* the class made of that core, or NULL: comes
                                 between the core and asyncio's class */
} fa_class;

/* Make the core type and the class, add the class to the module as `name`
   (its __module__ is "fastasync", its __doc__ the core's), and store strong
   references in *core_slot and *class_slot. 0 or -1. */
FA_INTERNAL int fa_class_new(const fa_class *spec, PyTypeObject **core_slot,
                             PyTypeObject **class_slot);

/* What they all open with, and what tp_dealloc of such a class does; `clear` is
   its tp_clear. A finalizer has been called already. */
typedef struct {
    FA_CLASS_HEAD
} ClassObject;

FA_INTERNAL void fa_class_dealloc(PyObject *self, inquiry clear);

/* HOT. An object of our very class whose methods nobody can have replaced for
   this instance: C may take the direct way. A Python subclass or an instance
   with attributes goes the way of method calls. */
#define fa_is_plain(obj, tp) \
    (Py_IS_TYPE((obj), (tp)) && (obj)->dict == NULL)

#endif
