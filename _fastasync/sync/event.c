/* sync/event.c: Event.

   A flag and those who wait until it is set. set() wakes them all, in the order
   in which they came; each leaves the queue when its task runs. An object that is
   not plainly ours goes asyncio's own way. HOT: wait() on an event that is set,
   set(). Benchmark: event. */
#include "base/args.h"
#include "base/errors.h"
#include "sync/waiters.h"

typedef enum { EVENT_UNSET, EVENT_FALSE, EVENT_TRUE } event_state;

typedef struct {
    FA_SYNC_HEAD
    uint8_t value; /* event_state: `_value` */
} EventObject;

/* -- new, traverse, clear, dealloc ------------------------------------------------- */

static int
Event_traverse(PyObject *self, visitproc visit, void *arg)
{
    return sync_traverse((SyncObject *)self, visit, arg);
}

static int
Event_clear_all(PyObject *self)
{
    sync_clear((SyncObject *)self);
    return 0;
}

static void
Event_dealloc(PyObject *self)
{
    fa_class_dealloc(self, Event_clear_all);
}

static int
Event_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static const fa_args spec = {.fname = "Event.__init__", .python = 1};
    PyObject *out[1];
    if (fa_args_parse_tuple(&spec, args, kwargs, out) < 0) {
        return -1;
    }
    ((EventObject *)self)->value = EVENT_FALSE;
    sync_reset((SyncObject *)self, FA_WAITERS_THERE);
    return 0;
}

/* -- engine ---------------------------------------------------------------------------- */

/* Exactly ours and in order; with `_waiters` replaced by something that is no
   queue, asyncio's functions shall say what is wrong. HOT */
static inline int
event_is_plain(EventObject *event)
{
    return sync_is_plain((SyncObject *)event, event->st->EventType) &&
           event->value != EVENT_UNSET &&
           event->waiters_state == FA_WAITERS_THERE;
}

static int
event_set(EventObject *event)
{
    if (event->value == EVENT_TRUE) {
        return 0;
    }
    event->value = EVENT_TRUE;
    return waiters_wake((SyncObject *)event, PY_SSIZE_T_MAX, Py_True);
}

/* vars of wait: the event, the future. */
enum { EVENT_SELF, EVENT_FUTURE };

static PySendResult
event_wait_begin(CoroObject *co, EventObject *event)
{
    PyObject *fut = waiters_add((SyncObject *)event);
    if (fut == NULL) {
        return PYGEN_ERROR;
    }
    co->vars[EVENT_FUTURE] = Py_NewRef(fut);
    PySendResult status = coro_await(co, 1, fut);
    if (FA_UNLIKELY(status == PYGEN_ERROR)) {
        fa_err_restore(waiters_left((SyncObject *)event,
                                    co->vars[EVENT_FUTURE], 1));
    }
    return status;
}

static FA_HOT PySendResult
event_wait_turn(CoroObject *co, PyObject *value, PyObject **result)
{
    EventObject *event = (EventObject *)co->vars[EVENT_SELF];
    if (co->stage == 0) {
        if (event->value == EVENT_TRUE) {
            return coro_return(co, Py_True, result);
        }
        return event_wait_begin(co, event);
    }
    PyObject *exc = waiters_left((SyncObject *)event, co->vars[EVENT_FUTURE],
                                 value == NULL);
    if (FA_UNLIKELY(exc != NULL)) {
        fa_err_restore(exc);
        return PYGEN_ERROR;
    }
    return coro_return(co, Py_True, result);
}

static const fa_coro_kind event_wait_kind = {"Event.wait", event_wait_turn};

/* -- methods ------------------------------------------------------------------------------- */

static FA_HOT PyObject *
Event_wait(fa_state *st, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames)
{
    if (FA_LIKELY(nargs == 0 && kwnames == NULL &&
                  event_is_plain((EventObject *)self)))
    {
        EventObject *event = (EventObject *)self;
        // a set event that holds nobody is no part of a cycle
        return (PyObject *)(event->value == EVENT_TRUE &&
                                    event->dict == NULL &&
                                    fifo_len(&event->waiters) == 0
                                ? coro_new_fleeting(st, &event_wait_kind, self,
                                                    NULL)
                                : coro_new(st, &event_wait_kind, self, NULL));
    }
    return sync_theirs(st->asyncio_Event, "wait", self, args, nargs, kwnames);
}

static PyObject *
Event_set(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    EventObject *event = (EventObject *)self;
    if (FA_UNLIKELY(!event_is_plain(event))) {
        return sync_theirs_plain(event->st->asyncio_Event, "set", self);
    }
    return event_set(event) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
Event_clear(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    ((EventObject *)self)->value = EVENT_FALSE;
    Py_RETURN_NONE;
}

static PyObject *
Event_get_value(PyObject *self, void *Py_UNUSED(closure))
{
    uint8_t value = ((EventObject *)self)->value;
    return value == EVENT_UNSET ? sync_no_attribute(self, "_value")
                                : PyBool_FromLong(value == EVENT_TRUE);
}

static int
Event_set_value(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    int truth = value == NULL ? 0 : PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    ((EventObject *)self)->value = value == NULL ? EVENT_UNSET
                                   : truth       ? EVENT_TRUE
                                                 : EVENT_FALSE;
    return 0;
}

static PyObject *
Event_is_set(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Event_get_value(self, NULL);
}

static PyObject *
Event_repr(PyObject *self)
{
    EventObject *event = (EventObject *)self;
    if (!event_is_plain(event)) {
        return sync_theirs_plain(event->st->asyncio_Event, "__repr__", self);
    }
    return sync_repr((SyncObject *)self,
                     event->value == EVENT_TRUE ? "set" : "unset");
}

static PyObject *
Event_getstate(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    static const char *const names[] = {"_waiters", "_value", "_loop", NULL};
    return sync_getstate(self, names);
}

/* -- the type ---------------------------------------------------------------------------------- */

static const fa_coro_def Event_coros[] = {
    {"wait", "Event.wait", NULL, Event_wait,
     "wait($self)\n--\n\n"
     "Wait until the event is set, and return True; at once if it is. See\n"
     "asyncio.Event.wait."},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(Event_is_set_doc,
"is_set($self)\n--\n\n"
"Return True if the event is set. See asyncio.Event.is_set.");

PyDoc_STRVAR(Event_set_doc,
"set($self)\n--\n\n"
"Set the event and wake all who wait for it, in the order in which they came.\n"
"See asyncio.Event.set.");

PyDoc_STRVAR(Event_clear_doc,
"clear($self)\n--\n\n"
"Unset the event: wait() waits again. See asyncio.Event.clear.");

static PyMethodDef Event_methods[] = {
    {"is_set", Event_is_set, METH_NOARGS, Event_is_set_doc},
    {"set", Event_set, METH_NOARGS, Event_set_doc},
    {"clear", Event_clear, METH_NOARGS, Event_clear_doc},
    {"__getstate__", Event_getstate, METH_NOARGS, NULL},
    FA_SYNC_SETSTATE,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Event_getset[] = {
    FA_SYNC_GETSET,
    {"_value", Event_get_value, Event_set_value, NULL, NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Event_members[] = {
    FA_CLASS_MEMBERS(EventObject),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(Event_doc,
"EventCore()\n--\n\n"
"A flag, at first unset, that tasks of one event loop can wait for. See\n"
"asyncio.Event.");

static PyType_Slot Event_slots[] = {
    {Py_tp_doc, (char *)Event_doc},
    {Py_tp_new, sync_new},
    {Py_tp_init, Event_init},
    {Py_tp_dealloc, Event_dealloc},
    {Py_tp_traverse, Event_traverse},
    {Py_tp_clear, Event_clear_all},
    {Py_tp_repr, Event_repr},
    {Py_tp_methods, Event_methods},
    {Py_tp_getset, Event_getset},
    {Py_tp_members, Event_members},
    {0, NULL},
};

static PyType_Spec Event_spec = {
    .name = "_fastasync.EventCore",
    .basicsize = sizeof(EventObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = Event_slots,
};

int
event_type_init(PyObject *module, fa_state *st)
{
    const fa_class spec = {
        .module = module, .core = &Event_spec, .name = "Event",
        .asyncio_module = "asyncio.locks", .asyncio_name = "Event",
    };
    if (fa_class_new(&spec, &st->EventCoreType, &st->EventType) < 0) {
        return -1;
    }
    return coro_methods_add(st, st->EventCoreType, Event_coros);
}
