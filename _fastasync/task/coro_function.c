/* task/coro_function.c: the callables that make C coroutines.

   asyncio's `async def` functions are functions: they bind to instances, tell
   their signature, and are known as coroutine functions to inspect, asyncio and
   unittest.mock. A builtin method is none of that, so there is a type of its own,
   a method descriptor to the interpreter: `lock.acquire()` calls it without
   making a bound method. HOT: CoroFunction_vectorcall. */
#include "base/args.h"
#include "task/coro.h"
#include "task/private.h"

#include <string.h>

typedef struct {
    PyObject_HEAD
    PyObject *dict;       /* strong or NULL: attributes that users have set */
    PyObject *weakrefs;
    vectorcallfunc vectorcall;
    fa_state *st;         /* borrowed */
    const fa_coro_def *def; /* constant */
    PyTypeObject *owner;  /* strong; NULL = a module function */
    int fleeting;         /* __aenter__, __aexit__: called and awaited at once */
} CoroFunctionObject;

/* -- life ------------------------------------------------------------------------ */

static int
CoroFunction_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((CoroFunctionObject *)self)->dict);
    Py_VISIT(((CoroFunctionObject *)self)->owner);
    return 0;
}

static int
CoroFunction_clear(PyObject *self)
{
    Py_CLEAR(((CoroFunctionObject *)self)->dict);
    Py_CLEAR(((CoroFunctionObject *)self)->owner);
    return 0;
}

static void
CoroFunction_dealloc(PyObject *self)
{
    PyTypeObject *tp = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (((CoroFunctionObject *)self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    CoroFunction_clear(self);
    tp->tp_free(self);
    Py_DECREF(tp);
}

/* -- calling ---------------------------------------------------------------------- */

static FA_COLD PyObject *
coro_function_wrong_self(CoroFunctionObject *fn, PyObject *const *args,
                         Py_ssize_t nargs)
{
    if (nargs < 1) {
        PyErr_Format(PyExc_TypeError,
                     "%s() missing 1 required positional argument: 'self'",
                     fn->def->qualname);
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "descriptor '%s' for '%.100s' objects doesn't apply to a "
                     "'%.100s' object",
                     fn->def->name, fn->owner->tp_name,
                     Py_TYPE(args[0])->tp_name);
    }
    return NULL;
}

/* It takes no arguments and was given some. */
static FA_COLD PyObject *
coro_function_refuse(const fa_coro_def *def, int method,
                     PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames)
{
    const fa_args none = {.fname = def->qualname,
                          .python = method ? 1 : 2};
    PyObject *out[1];
    if (fa_args_parse(&none, args, nargs, kwnames, out) == 0) {
        PyErr_BadInternalCall();
    }
    return NULL;
}

static FA_HOT PyObject *
CoroFunction_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf,
                        PyObject *kwnames)
{
    CoroFunctionObject *fn = (CoroFunctionObject *)self;
    const fa_coro_def *def = fn->def;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    PyObject *instance = NULL;
    if (FA_LIKELY(fn->owner != NULL)) {
        // the class that fa_class_new makes of a core, then any subclass
        if (FA_UNLIKELY(nargs < 1 ||
                        (Py_TYPE(args[0])->tp_base != fn->owner &&
                         !PyObject_TypeCheck(args[0], fn->owner))))
        {
            return coro_function_wrong_self(fn, args, nargs);
        }
        instance = args[0];
        args++;
        nargs--;
    }
    if (def->kind == NULL) {
        return def->make(fn->st, instance, args, nargs, kwnames);
    }
    if (FA_UNLIKELY(nargs != 0 ||
                    (kwnames != NULL && PyTuple_GET_SIZE(kwnames) != 0)))
    {
        return coro_function_refuse(def, fn->owner != NULL, args, nargs,
                                    kwnames);
    }
    return (PyObject *)(fn->fleeting
                            ? coro_new_fleeting(fn->st, def->kind, instance,
                                                NULL)
                            : coro_new(fn->st, def->kind, instance, NULL));
}

static PyObject *
CoroFunction_descr_get(PyObject *self, PyObject *obj, PyObject *type)
{
    if (obj == NULL || (obj == Py_None && type != (PyObject *)Py_TYPE(Py_None)))
    {
        return Py_NewRef(self);
    }
    CoroFunctionObject *fn = (CoroFunctionObject *)self;
    return fn->fleeting
               ? coro_bound_new(fn->st, self, CoroFunction_vectorcall, obj)
               : PyMethod_New(self, obj);
}

/* -- attributes ----------------------------------------------------------------------- */

static const fa_coro_def *
coro_function_def(PyObject *self)
{
    return ((CoroFunctionObject *)self)->def;
}

static PyObject *
CoroFunction_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<function %s at %p>",
                                coro_function_def(self)->qualname, self);
}

/* As a function: found again under its name. */
static PyObject *
CoroFunction_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyUnicode_FromString(coro_function_def(self)->qualname);
}

static PyObject *
CoroFunction_get_name(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(coro_function_def(self)->name);
}

static PyObject *
CoroFunction_get_qualname(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(coro_function_def(self)->qualname);
}

static PyObject *
CoroFunction_get_module(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return PyUnicode_FromString("fastasync");
}

/* Where the text begins behind the signature "name(...)\n--\n\n". */
static const char *
coro_function_doc(const fa_coro_def *def, const char **signature)
{
    const char *doc = def->doc == NULL ? "" : def->doc;
    const char *end = strstr(doc, ")\n--\n\n");
    *signature = end == NULL ? NULL : doc + strlen(def->name);
    return end == NULL ? doc : end + strlen(")\n--\n\n");
}

static PyObject *
CoroFunction_get_doc(PyObject *self, void *Py_UNUSED(closure))
{
    const char *signature;
    return PyUnicode_FromString(
        coro_function_doc(coro_function_def(self), &signature));
}

static PyObject *
CoroFunction_get_text_signature(PyObject *self, void *Py_UNUSED(closure))
{
    const char *signature;
    const char *text = coro_function_doc(coro_function_def(self), &signature);
    if (signature == NULL) {
        Py_RETURN_NONE;
    }
    return PyUnicode_FromStringAndSize(
        signature, text - signature - (Py_ssize_t)strlen("\n--\n\n"));
}

/* inspect asks for it before it asks what kind of object this is. A method's
   has `self`: inspect takes that away from a bound one. */
static PyObject *
CoroFunction_get_signature(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *text = CoroFunction_get_text_signature(self, NULL);
    if (text == NULL || text == Py_None) {
        Py_XDECREF(text);
        PyErr_SetString(PyExc_AttributeError, "__signature__");
        return NULL;
    }
    // "($self, a)": the dollar marks what is bound; here nothing is yet
    PyObject *plain = PyObject_CallMethod(
        text, "replace", "ss",
        ((CoroFunctionObject *)self)->owner ? "$" : "($module, ",
        ((CoroFunctionObject *)self)->owner ? "" : "(");
    Py_DECREF(text);
    PyObject *inspect = plain == NULL ? NULL : PyImport_ImportModule("inspect");
    PyObject *made = NULL;
    if (inspect != NULL) {
        PyObject *type = PyObject_GetAttrString(inspect, "Signature");
        if (type != NULL) {
            made = PyObject_CallMethod(inspect, "_signature_fromstr", "OOO",
                                       type, self, plain);
            Py_DECREF(type);
        }
        Py_DECREF(inspect);
    }
    Py_XDECREF(plain);
    return made;
}

/* The mark by which asyncio (`_is_coroutine`) and inspect (3.12+) know what is
   a coroutine function and no Python function: `closure` is [module, name, name
   in other versions]. */
static PyObject *
CoroFunction_get_mark(PyObject *Py_UNUSED(self), void *closure)
{
    const char *const *where = (const char *const *)closure;
    PyObject *module = PyImport_ImportModule(where[0]);
    if (module == NULL) {
        return NULL;
    }
    PyObject *mark = PyObject_GetAttrString(module, where[1]);
    if (mark == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        mark = PyObject_GetAttrString(module, where[2]);
    }
    Py_DECREF(module);
    return mark;
}

static const char *const mark_of_asyncio[] = {"asyncio.coroutines",
                                              "_is_coroutine",
                                              "_is_coroutine"};
static const char *const mark_of_inspect[] = {"inspect",
                                              "_is_coroutine_mark",
                                              "_is_coroutine_marker"};

/* mock's autospec takes for a coroutine function only what has a code object:
   one without code, of the right name. */
static PyObject *
CoroFunction_get_code(PyObject *self, void *Py_UNUSED(closure))
{
    return coro_code(coro_function_def(self)->qualname);
}

static PyGetSetDef CoroFunction_getset[] = {
    {"__name__", CoroFunction_get_name, NULL, NULL, NULL},
    {"__qualname__", CoroFunction_get_qualname, NULL, NULL, NULL},
    {"__module__", CoroFunction_get_module, NULL, NULL, NULL},
    {"__doc__", CoroFunction_get_doc, NULL, NULL, NULL},
    {"__text_signature__", CoroFunction_get_text_signature, NULL, NULL, NULL},
    {"__signature__", CoroFunction_get_signature, NULL, NULL, NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {"_is_coroutine", CoroFunction_get_mark, NULL, NULL,
     (void *)mark_of_asyncio},
    {"__code__", CoroFunction_get_code, NULL, NULL, NULL},
    {"_is_coroutine_marker", CoroFunction_get_mark, NULL, NULL,
     (void *)mark_of_inspect},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef CoroFunction_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(CoroFunctionObject, dict),
     READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(CoroFunctionObject, weakrefs),
     READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET,
     offsetof(CoroFunctionObject, vectorcall), READONLY, NULL},
    {"__objclass__", T_OBJECT_EX, offsetof(CoroFunctionObject, owner),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef CoroFunction_methods[] = {
    {"__reduce__", CoroFunction_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot CoroFunction_slots[] = {
    {Py_tp_dealloc, CoroFunction_dealloc},
    {Py_tp_traverse, CoroFunction_traverse},
    {Py_tp_clear, CoroFunction_clear},
    {Py_tp_repr, CoroFunction_repr},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, CoroFunction_descr_get},
    {Py_tp_getattro, PyObject_GenericGetAttr},
    {Py_tp_methods, CoroFunction_methods},
    {Py_tp_getset, CoroFunction_getset},
    {Py_tp_members, CoroFunction_members},
    {0, NULL},
};

static PyType_Spec CoroFunction_spec = {
    .name = "_fastasync.coroutine_function",
    .basicsize = sizeof(CoroFunctionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR |
             Py_TPFLAGS_IMMUTABLETYPE | // or LOAD_ATTR is not specialised
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = CoroFunction_slots,
};

int
coro_function_type_init(PyObject *module, fa_state *st)
{
    if (fa_type_new(module, &CoroFunction_spec, NULL,
                    &st->CoroFunctionType) < 0)
    {
        return -1;
    }
    return coro_bound_type_init(module, st);
}

/* -- tables of them --------------------------------------------------------------------- */

static PyObject *
coro_function_new(fa_state *st, const fa_coro_def *def, PyTypeObject *owner)
{
    CoroFunctionObject *fn =
        PyObject_GC_New(CoroFunctionObject, st->CoroFunctionType);
    if (fn != NULL) {
        fn->dict = fn->weakrefs = NULL;
        fn->vectorcall = CoroFunction_vectorcall;
        fn->st = st;
        fn->def = def;
        fn->fleeting = strncmp(def->name, "__ae", 4) == 0;
        fn->owner = (PyTypeObject *)Py_XNewRef((PyObject *)owner);
        PyObject_GC_Track(fn);
    }
    return (PyObject *)fn;
}

static int
coro_defs_add(fa_state *st, PyTypeObject *owner, PyObject *where,
              const fa_coro_def *defs)
{
    for (; defs->name != NULL; defs++) {
        PyObject *fn = coro_function_new(st, defs, owner);
        if (fn == NULL) {
            return -1;
        }
        int rc = PyObject_SetAttrString(where, defs->name, fn);
        Py_DECREF(fn);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

int
coro_methods_add(fa_state *st, PyTypeObject *owner, const fa_coro_def *defs)
{
    return coro_defs_add(st, owner, (PyObject *)owner, defs);
}

int
coro_functions_add(fa_state *st, PyObject *module, const fa_coro_def *defs)
{
    return coro_defs_add(st, NULL, module, defs);
}
