/* stream/reader_type.c: the type StreamReader: attributes, methods, repr, copy.

   Invariant: the attribute fields are never NULL while the object lives; one
   that is missing for Python has its bit in `missing`. */
#include "stream/private.h"

#include "base/args.h"
#include "base/errors.h"
#include "task/coro.h"

#define DEFAULT_LIMIT (64 * 1024)

/* asyncio's instance attributes, in the order __init__ sets them. */
static const struct reader_attr {
    const char *name;
    size_t offset; /* of the field; 0: the buffer */
    unsigned bit;
} reader_attrs[] = {
    {"_limit", offsetof(ReaderObject, limit), FA_READER_LIMIT},
    {"_loop", offsetof(ReaderObject, loop), FA_READER_LOOP},
    {"_buffer", 0, FA_READER_BUFFER},
    {"_eof", offsetof(ReaderObject, eof), FA_READER_EOF},
    {"_waiter", offsetof(ReaderObject, waiter), FA_READER_WAITER},
    {"_exception", offsetof(ReaderObject, exception), FA_READER_EXCEPTION},
    {"_transport", offsetof(ReaderObject, transport), FA_READER_TRANSPORT},
    {"_paused", offsetof(ReaderObject, paused), FA_READER_PAUSED},
};

static inline PyObject **
attr_field(ReaderObject *self, const struct reader_attr *attr)
{
    return (PyObject **)((char *)self + attr->offset);
}

/* -- life ------------------------------------------------------------------------ */

static PyObject *
Reader_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
           PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    ReaderObject *self =
        st == NULL ? NULL : (ReaderObject *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->st = st;
    for (size_t i = 0; i < FA_ARRAY_LEN(reader_attrs); i++) {
        self->missing |= (uint8_t)reader_attrs[i].bit;
        if (reader_attrs[i].offset != 0) {
            *attr_field(self, &reader_attrs[i]) = Py_NewRef(Py_None);
        }
    }
    self->max = -1;
    return (PyObject *)self;
}

static int
Reader_traverse(PyObject *op, visitproc visit, void *arg)
{
    ReaderObject *self = (ReaderObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->dict);
    for (size_t i = 0; i < FA_ARRAY_LEN(reader_attrs); i++) {
        if (reader_attrs[i].offset != 0) {
            Py_VISIT(*attr_field(self, &reader_attrs[i]));
        }
    }
    Py_VISIT(self->source_tb);
    return bytebuf_traverse(&self->buffer, visit, arg);
}

static int
Reader_clear(PyObject *op)
{
    ReaderObject *self = (ReaderObject *)op;
    Py_CLEAR(self->dict);
    for (size_t i = 0; i < FA_ARRAY_LEN(reader_attrs); i++) {
        if (reader_attrs[i].offset != 0) {
            PyObject **field = attr_field(self, &reader_attrs[i]);
            Py_XSETREF(*field, Py_NewRef(Py_None));
        }
    }
    self->max = -1;
    Py_CLEAR(self->source_tb);
    bytebuf_clear(&self->buffer);
    return 0;
}

static void
Reader_dealloc(PyObject *op)
{
    ReaderObject *self = (ReaderObject *)op;
    PyTypeObject *tp = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    Reader_clear(op);
    for (size_t i = 0; i < FA_ARRAY_LEN(reader_attrs); i++) {
        if (reader_attrs[i].offset != 0) {
            Py_CLEAR(*attr_field(self, &reader_attrs[i]));
        }
    }
    tp->tp_free(op);
    Py_DECREF(tp);
}

/* -- attributes ---------------------------------------------------------------------- */

int
reader_check(ReaderObject *self, unsigned which)
{
    unsigned gone = self->missing & which;
    if (FA_LIKELY(gone == 0)) {
        return 0;
    }
    size_t i = 0;
    while (!(reader_attrs[i].bit & gone)) {
        i++;
    }
    PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute '%s'",
                 Py_TYPE(self)->tp_name, reader_attrs[i].name);
    return -1;
}

static void
reader_set_limit(ReaderObject *self, PyObject *limit)
{
    self->max = -1;
    if (PyLong_CheckExact(limit)) {
        int overflow;
        long long max = PyLong_AsLongLongAndOverflow(limit, &overflow);
        if (overflow > 0 || max > PY_SSIZE_T_MAX / 2) {
            self->max = PY_SSIZE_T_MAX / 2;
        }
        else if (overflow == 0 && max >= 0) {
            self->max = (Py_ssize_t)max;
        }
    }
    reader_set(self, &self->limit, FA_READER_LIMIT, Py_NewRef(limit));
}

static void
reader_set_buffer(ReaderObject *self, PyObject *array)
{
    self->missing &= (uint8_t)~FA_READER_BUFFER;
    bytebuf_replace(&self->buffer, array);
}

static PyObject *
Reader_get(PyObject *op, void *closure)
{
    ReaderObject *self = (ReaderObject *)op;
    const struct reader_attr *attr = closure;
    if (reader_check(self, attr->bit) < 0) {
        return NULL;
    }
    return attr->offset == 0 ? bytebuf_expose(&self->buffer)
                             : Py_NewRef(*attr_field(self, attr));
}

static int
Reader_del(ReaderObject *self, const struct reader_attr *attr)
{
    if (reader_check(self, attr->bit) < 0) {
        return -1;
    }
    if (attr->offset == 0) {
        bytebuf_clear(&self->buffer);
    }
    else {
        reader_set(self, attr_field(self, attr), 0, Py_NewRef(Py_None));
    }
    self->missing |= (uint8_t)attr->bit;
    return 0;
}

static int
Reader_set(PyObject *op, PyObject *value, void *closure)
{
    ReaderObject *self = (ReaderObject *)op;
    const struct reader_attr *attr = closure;
    if (value == NULL) {
        return Reader_del(self, attr);
    }
    if (attr->bit == FA_READER_LIMIT) {
        reader_set_limit(self, value);
    }
    else if (attr->offset == 0) {
        reader_set_buffer(self, value);
    }
    else {
        reader_set(self, attr_field(self, attr), attr->bit, Py_NewRef(value));
    }
    return 0;
}

static PyObject *
Reader_get_source_tb(PyObject *op, void *Py_UNUSED(closure))
{
    PyObject *tb = ((ReaderObject *)op)->source_tb;
    return Py_NewRef(tb == NULL ? Py_None : tb); // the class attribute
}

static int
Reader_set_source_tb(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XINCREF(value);
    Py_XSETREF(((ReaderObject *)op)->source_tb, value);
    return 0;
}

/* -- __init__, debug ------------------------------------------------------------------ */

/* events.get_event_loop() as asyncio's streams find it (new). */
static PyObject *
reader_default_loop(fa_state *st)
{
#if FA_STREAMS_ASK_PRIVATELY
    return PyObject_CallMethod(st->mod_events, "_get_event_loop", NULL);
#else
    return PyObject_CallMethod(st->mod_events, "get_event_loop", NULL);
#endif
}

/* limit <= 0: ValueError. 0 or -1. */
static int
reader_check_limit(PyObject *limit)
{
    PyObject *zero = PyLong_FromLong(0);
    int wrong = zero == NULL ? -1
                             : PyObject_RichCompareBool(limit, zero, Py_LE);
    Py_XDECREF(zero);
    if (wrong > 0) {
        PyErr_SetString(PyExc_ValueError, "Limit cannot be <= 0");
    }
    return wrong == 0 ? 0 : -1;
}

static int
reader_init(ReaderObject *self, PyObject *limit, PyObject *loop)
{
    fa_state *st = self->st;
    if (reader_check_limit(limit) < 0) {
        return -1;
    }
    reader_set_limit(self, limit);
    loop = loop == Py_None ? reader_default_loop(st) : Py_NewRef(loop);
    if (loop == NULL) {
        return -1;
    }
    reader_set(self, &self->loop, FA_READER_LOOP, loop);
    reader_set_buffer(self, NULL);
    reader_set(self, &self->eof, FA_READER_EOF, Py_NewRef(Py_False));
    reader_set(self, &self->waiter, FA_READER_WAITER, Py_NewRef(Py_None));
    reader_set(self, &self->exception, FA_READER_EXCEPTION,
               Py_NewRef(Py_None));
    reader_set(self, &self->transport, FA_READER_TRANSPORT,
               Py_NewRef(Py_None));
    reader_set(self, &self->paused, FA_READER_PAUSED, Py_NewRef(Py_False));
    loop = Py_NewRef(self->loop);
    int debug = fa_loop_debug(st, loop);
    Py_DECREF(loop);
    if (FA_LIKELY(debug <= 0)) {
        return debug;
    }
    PyObject *stack = loop_extract_stack(st);
    Py_XSETREF(self->source_tb, stack);
    return stack == NULL ? -1 : 0;
}

PyObject *
reader_new(fa_state *st, PyObject *limit, PyObject *loop)
{
    PyObject *self = Reader_new(st->StreamReaderType, NULL, NULL);
    if (self != NULL && reader_init((ReaderObject *)self, limit, loop) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

static int
Reader_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static const fa_args spec = {
        .fname = "StreamReader.__init__", .positional = 2, .python = 1,
        .total = 2, .names = {"limit", "loop"},
    };
    PyObject *out[2];
    if (fa_args_parse_tuple(&spec, args, kwargs, out) < 0) {
        return -1;
    }
    PyObject *limit = out[0] == NULL ? PyLong_FromLong(DEFAULT_LIMIT)
                                     : Py_NewRef(out[0]);
    if (limit == NULL) {
        return -1;
    }
    int rc = reader_init((ReaderObject *)op, limit,
                         out[1] == NULL ? Py_None : out[1]);
    Py_DECREF(limit);
    return rc;
}

/* -- methods ------------------------------------------------------------------------------------ */

static PyObject *
reader_none(int rc)
{
    return rc < 0 ? NULL : Py_NewRef(Py_None);
}

/* The only argument of method `fname`, called `name`: borrowed, or NULL. */
static inline PyObject *
reader_argument(const char *fname, const char *name, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 1 && kwnames == NULL)) {
        return args[0];
    }
    const fa_args spec = {
        .fname = fname, .required = 1, .positional = 1, .python = 1,
        .total = 1, .names = {name},
    };
    PyObject *out;
    return fa_args_parse(&spec, args, nargs, kwnames, &out) < 0 ? NULL : out;
}

#define METHOD_OF_ONE(name, parameter, engine) \
    static PyObject *Reader_##name(PyObject *self, PyObject *const *args, \
                                   Py_ssize_t nargs, PyObject *kwnames) \
    { \
        PyObject *arg = reader_argument("StreamReader." #name, parameter, \
                                        args, nargs, kwnames); \
        return arg == NULL \
                   ? NULL \
                   : reader_none(engine((ReaderObject *)self, arg)); \
    }

METHOD_OF_ONE(feed_data, "data", reader_feed_object)
METHOD_OF_ONE(set_exception, "exc", reader_set_exception)
METHOD_OF_ONE(set_transport, "transport", reader_set_transport)

#if FA_HAS_READER_REPLACE_TRANSPORT
static int
reader_replace_transport(ReaderObject *self, PyObject *transport)
{
    if (reader_check(self, FA_READER_TRANSPORT) < 0) {
        return -1;
    }
    if (self->transport == Py_None) {
        PyErr_SetString(PyExc_AssertionError, "Transport not set");
        return -1;
    }
    reader_set(self, &self->transport, FA_READER_TRANSPORT,
               Py_NewRef(transport));
    return 0;
}

METHOD_OF_ONE(_replace_transport, "transport", reader_replace_transport)
#endif

static PyObject *
Reader_feed_eof(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return reader_none(reader_feed_eof((ReaderObject *)self));
}

static PyObject *
Reader_at_eof(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ReaderObject *self = (ReaderObject *)op;
    if (reader_check(self, FA_READER_EOF) < 0 ||
        reader_check(self, FA_READER_BUFFER) < 0)
    {
        return NULL;
    }
    int at = reader_at_eof(self);
    return at < 0 ? NULL : PyBool_FromLong(at);
}

static PyObject *
Reader_exception(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ReaderObject *self = (ReaderObject *)op;
    return reader_check(self, FA_READER_EXCEPTION) < 0
               ? NULL
               : Py_NewRef(self->exception);
}

static PyObject *
Reader_wakeup_waiter(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return reader_none(reader_wakeup((ReaderObject *)self));
}

static PyObject *
Reader_maybe_resume_transport(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ReaderObject *self = (ReaderObject *)op;
    if (reader_check(self, FA_READER_PAUSED) < 0) {
        return NULL;
    }
    return reader_none(reader_maybe_resume_plain(self));
}

static PyObject *
Reader_aiter(PyObject *self)
{
    return Py_NewRef(self);
}

/* -- repr ------------------------------------------------------------------------------------------ */

/* list.append(text), which is taken over. 0 or -1. */
static int
repr_add(PyObject *list, PyObject *text)
{
    int rc = text == NULL ? -1 : PyList_Append(list, text);
    Py_XDECREF(text);
    return rc;
}

/* f'{label}={value!r}' if value is true. */
static int
repr_add_value(PyObject *list, const char *label, PyObject *value)
{
    Py_INCREF(value);
    int rc = reader_truth(value);
    if (rc > 0) {
        rc = repr_add(list, PyUnicode_FromFormat("%s=%R", label, value));
    }
    Py_DECREF(value);
    return rc;
}

static int
repr_add_word(PyObject *list, const char *word, int truth)
{
    return truth <= 0 ? truth : repr_add(list, PyUnicode_FromString(word));
}

static int
repr_add_limit(PyObject *list, ReaderObject *self)
{
    PyObject *usual = PyLong_FromLong(DEFAULT_LIMIT);
    PyObject *limit = Py_NewRef(self->limit);
    int other = usual == NULL
                    ? -1
                    : PyObject_RichCompareBool(limit, usual, Py_NE);
    if (other > 0) {
        other = repr_add(list, PyUnicode_FromFormat("limit=%S", limit));
    }
    Py_XDECREF(usual);
    Py_DECREF(limit);
    return other;
}

static int
reader_repr_parts(ReaderObject *self, PyObject *list)
{
    Py_ssize_t len = bytebuf_len(&self->buffer);
    if (len < 0 || repr_add(list, PyUnicode_FromString("StreamReader")) < 0 ||
        (len > 0 &&
         repr_add(list, PyUnicode_FromFormat("%zd bytes", len)) < 0))
    {
        return -1;
    }
    if (repr_add_word(list, "eof", reader_truth(self->eof)) < 0 ||
        repr_add_limit(list, self) < 0 ||
        repr_add_value(list, "waiter", self->waiter) < 0 ||
        repr_add_value(list, "exception", self->exception) < 0 ||
        repr_add_value(list, "transport", self->transport) < 0)
    {
        return -1;
    }
    return repr_add_word(list, "paused", reader_truth(self->paused));
}

static PyObject *
Reader_repr(PyObject *op)
{
    ReaderObject *self = (ReaderObject *)op;
    if (reader_check(self, FA_READER_BUFFER) < 0 ||
        reader_check(self, FA_READER_EOF) < 0 ||
        reader_check(self, ~(unsigned)FA_READER_LOOP) < 0)
    {
        return NULL;
    }
    PyObject *list = PyList_New(0);
    PyObject *space = PyUnicode_FromString(" ");
    PyObject *repr = NULL;
    if (list != NULL && space != NULL && reader_repr_parts(self, list) == 0) {
        PyObject *joined = PyUnicode_Join(space, list);
        if (joined != NULL) {
            repr = PyUnicode_FromFormat("<%U>", joined);
            Py_DECREF(joined);
        }
    }
    Py_XDECREF(space);
    Py_XDECREF(list);
    return repr;
}

/* -- copy and pickle ----------------------------------------------------------------------------------- */

/* asyncio's instance dict: its attributes and those of the user's (new). */
static PyObject *
Reader_getstate(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ReaderObject *self = (ReaderObject *)op;
    PyObject *state = PyDict_New();
    for (size_t i = 0; state != NULL && i < FA_ARRAY_LEN(reader_attrs); i++) {
        const struct reader_attr *attr = &reader_attrs[i];
        if (self->missing & attr->bit) {
            continue;
        }
        PyObject *value = Reader_get(op, (void *)attr);
        if (value == NULL ||
            PyDict_SetItemString(state, attr->name, value) < 0)
        {
            Py_CLEAR(state);
        }
        Py_XDECREF(value);
    }
    if (state != NULL &&
        ((self->source_tb != NULL &&
          PyDict_SetItemString(state, "_source_traceback", self->source_tb) <
              0) ||
         (self->dict != NULL && PyDict_Update(state, self->dict) < 0)))
    {
        Py_CLEAR(state);
    }
    return state;
}

static PyObject *
Reader_setstate(PyObject *op, PyObject *state)
{
    PyObject *items = PyMapping_Items(state);
    if (items == NULL) {
        return NULL;
    }
    int rc = 0;
    for (Py_ssize_t i = 0; rc == 0 && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
            PyErr_SetString(PyExc_TypeError, "the state must be a dict");
            rc = -1;
            break;
        }
        rc = PyObject_SetAttr(op, PyTuple_GET_ITEM(item, 0),
                              PyTuple_GET_ITEM(item, 1));
    }
    Py_DECREF(items);
    return reader_none(rc);
}

/* -- tables --------------------------------------------------------------------------------------------- */

#define KEYWORDS(name) \
    (PyCFunction)(void (*)(void))Reader_##name, METH_FASTCALL | METH_KEYWORDS

static PyMethodDef Reader_methods[] = {
    {"exception", Reader_exception, METH_NOARGS,
     "exception($self)\n--\n\nThe exception that was set, or None."},
    {"set_exception", KEYWORDS(set_exception),
     "set_exception($self, exc)\n--\n\n"
     "Let every read raise `exc`, the one that waits now included."},
    {"set_transport", KEYWORDS(set_transport),
     "set_transport($self, transport)\n--\n\n"
     "The transport to pause and resume; it can be set only once."},
#if FA_HAS_READER_REPLACE_TRANSPORT
    {"_replace_transport", KEYWORDS(_replace_transport),
     "_replace_transport($self, transport)\n--\n\n"},
#endif
    {"feed_data", KEYWORDS(feed_data),
     "feed_data($self, data)\n--\n\n"
     "Append received bytes and wake the coroutine that waits for them.\n"
     "AssertionError after feed_eof()."},
    {"feed_eof", Reader_feed_eof, METH_NOARGS,
     "feed_eof($self)\n--\n\nNothing more will come."},
    {"at_eof", Reader_at_eof, METH_NOARGS,
     "at_eof($self)\n--\n\n"
     "Return True if the buffer is empty and 'feed_eof' was called."},
    {"_wakeup_waiter", Reader_wakeup_waiter, METH_NOARGS,
     "_wakeup_waiter($self)\n--\n\n"
     "Wakeup read*() functions waiting for data or EOF."},
    {"_maybe_resume_transport", Reader_maybe_resume_transport, METH_NOARGS,
     "_maybe_resume_transport($self)\n--\n\n"},
    {"__getstate__", Reader_getstate, METH_NOARGS, NULL},
    {"__setstate__", Reader_setstate, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

#define ATTRIBUTE(i, name) \
    {name, Reader_get, Reader_set, NULL, (void *)&reader_attrs[i]}

static PyGetSetDef Reader_getset[] = {
    ATTRIBUTE(0, "_limit"),
    ATTRIBUTE(1, "_loop"),
    ATTRIBUTE(2, "_buffer"),
    ATTRIBUTE(3, "_eof"),
    ATTRIBUTE(4, "_waiter"),
    ATTRIBUTE(5, "_exception"),
    ATTRIBUTE(6, "_transport"),
    ATTRIBUTE(7, "_paused"),
    {"_source_traceback", Reader_get_source_tb, Reader_set_source_tb, NULL,
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Reader_members[] = {
    FA_CLASS_MEMBERS(ReaderObject),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Reader_doc,
"StreamReaderCore(limit=65536, loop=None)\n--\n\n"
"What has been received of a stream, to be read by one coroutine at a time.\n\n"
"`limit`: the longest line in bytes; the transport is paused while more than\n"
"twice as much is held. See asyncio.StreamReader.");

static PyType_Slot Reader_slots[] = {
    {Py_tp_doc, (char *)Reader_doc},
    {Py_tp_new, Reader_new},
    {Py_tp_init, Reader_init},
    {Py_tp_traverse, Reader_traverse},
    {Py_tp_clear, Reader_clear},
    {Py_tp_dealloc, Reader_dealloc},
    {Py_tp_repr, Reader_repr},
    {Py_am_aiter, Reader_aiter},
    {Py_tp_methods, Reader_methods},
    {Py_tp_getset, Reader_getset},
    {Py_tp_members, Reader_members},
    {0, NULL},
};

static PyType_Spec Reader_spec = {
    .name = "_fastasync.StreamReaderCore",
    .basicsize = sizeof(ReaderObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = Reader_slots,
};

int
reader_type_init(PyObject *module, fa_state *st)
{
    const fa_class spec = {
        .module = module, .core = &Reader_spec, .name = "StreamReader",
        .asyncio_module = "asyncio.streams", .asyncio_name = "StreamReader",
    };
    if (fa_class_new(&spec, &st->StreamReaderCoreType,
                     &st->StreamReaderType) < 0)
    {
        return -1;
    }
    return read_ops_init(st) < 0 ? -1 : read_until_init(st);
}
