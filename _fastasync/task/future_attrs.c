/* task/future_attrs.c: the attributes of Future (and of Task, which inherits
   them): asyncio's private names, as libraries read them and tests set them.

   All of it is cold. What asyncio computes or copies is computed or copied
   here: `_callbacks` is a list made for whoever asks. `__class__` says
   asyncio.Future or asyncio.Task for the exact types, so that isinstance() holds
   without a common base (asyncio's layout is private). An instance of a Python
   subclass says what it is: a lie there would break every
   `self.__class__.attribute`. */
#include "task/private.h"
#include "base/errors.h"
#include "base/fields.h"

/* -- attributes ------------------------------------------------------------------ */

static PyObject *
future_or_none(PyObject *value)
{
    return Py_NewRef(value == NULL ? Py_None : value);
}

static PyObject *
Future_get_state(PyObject *self, void *Py_UNUSED(closure))
{
    FutureObject *fut = (FutureObject *)self;
    fa_state *st = fut->st;
    PyObject *names[] = {st->str_PENDING, st->str_CANCELLED, st->str_FINISHED};
    return future_ensure_alive(fut) < 0 ? NULL : Py_NewRef(names[fut->state]);
}

static PyObject *
Future_get_blocking(PyObject *self, void *Py_UNUSED(closure))
{
    FutureObject *fut = (FutureObject *)self;
    return PyBool_FromLong(fut->loop != NULL && fut->blocking);
}

static int
Future_set_blocking(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    FutureObject *fut = (FutureObject *)self;
    if (future_ensure_alive(fut) < 0 || fa_cannot_delete(value)) {
        return -1;
    }
    int truth = PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    fut->blocking = truth != 0;
    return 0;
}

static PyObject *
Future_get__loop(PyObject *self, void *Py_UNUSED(closure))
{
    return future_or_none(((FutureObject *)self)->loop);
}

static PyObject *
Future_get_callbacks(PyObject *self, void *Py_UNUSED(closure))
{
    FutureObject *fut = (FutureObject *)self;
    return future_ensure_alive(fut) < 0 ? NULL : callbacks_list(fut);
}

static PyObject *
Future_get_result(PyObject *self, void *Py_UNUSED(closure))
{
    FutureObject *fut = (FutureObject *)self;
    if (future_ensure_alive(fut) < 0) {
        return NULL;
    }
    int has = fut->state == FA_FINISHED && !fut->failed;
    return future_or_none(has ? fut->outcome : NULL);
}

static PyObject *
Future_get_exception(PyObject *self, void *Py_UNUSED(closure))
{
    FutureObject *fut = (FutureObject *)self;
    if (future_ensure_alive(fut) < 0) {
        return NULL;
    }
    return future_or_none(fut->failed ? fut->outcome : NULL);
}

static PyObject *
Future_get_log_traceback(PyObject *self, void *Py_UNUSED(closure))
{
    FutureObject *fut = (FutureObject *)self;
    return future_ensure_alive(fut) < 0 ? NULL : PyBool_FromLong(fut->log_tb);
}

static int
Future_set_log_traceback(PyObject *self, PyObject *value,
                         void *Py_UNUSED(closure))
{
    if (fa_cannot_delete(value)) {
        return -1;
    }
    int truth = PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    if (truth) {
        PyErr_SetString(PyExc_ValueError,
                        "_log_traceback can only be set to False");
        return -1;
    }
    ((FutureObject *)self)->log_tb = 0;
    return 0;
}

static PyObject *
Future_get_source_traceback(PyObject *self, void *Py_UNUSED(closure))
{
    return future_or_none(((FutureObject *)self)->source_tb);
}

static PyObject *
Future_get_cancel_message(PyObject *self, void *Py_UNUSED(closure))
{
    return future_or_none(((FutureObject *)self)->cancel_msg);
}

static int
Future_set_cancel_message(PyObject *self, PyObject *value,
                          void *Py_UNUSED(closure))
{
    if (fa_cannot_delete(value)) {
        return -1;
    }
    Py_XSETREF(((FutureObject *)self)->cancel_msg, Py_NewRef(value));
    return 0;
}

#if FA_HAS_AWAITED_BY
static PyObject *
Future_get_awaited_by(PyObject *self, void *Py_UNUSED(closure))
{
    return awaited_by_get((FutureObject *)self);
}
#endif

/* See the essay on top. */
static PyObject *
Future_get_class(PyObject *self, void *Py_UNUSED(closure))
{
    fa_state *st = ((FutureObject *)self)->st;
    if (Py_IS_TYPE(self, st->FutureType)) {
        return Py_NewRef(st->asyncio_Future);
    }
    if (Py_IS_TYPE(self, st->TaskType)) {
        return Py_NewRef(st->asyncio_Task);
    }
    if (Py_IS_TYPE(self, st->GatherType)) {
        return Py_NewRef(st->asyncio_GatheringFuture);
    }
    return Py_NewRef((PyObject *)Py_TYPE(self));
}

/* What object.__class__ does when set. */
static int
Future_set_class(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    PyGetSetDef *def = PyBaseObject_Type.tp_getset;
    while (strcmp(def->name, "__class__") != 0) {
        def++;
    }
    return def->set(self, value, def->closure);
}

/* -- table ------------------------------------------------------------------------ */

PyGetSetDef Future_getset[] = {
    {"_state", Future_get_state, NULL, NULL, NULL},
    {"_asyncio_future_blocking", Future_get_blocking, Future_set_blocking,
     NULL, NULL},
    {"_loop", Future_get__loop, NULL, NULL, NULL},
    {"_callbacks", Future_get_callbacks, NULL, NULL, NULL},
    {"_result", Future_get_result, NULL, NULL, NULL},
    {"_exception", Future_get_exception, NULL, NULL, NULL},
    {"_log_traceback", Future_get_log_traceback, Future_set_log_traceback,
     NULL, NULL},
    {"_source_traceback", Future_get_source_traceback, NULL, NULL, NULL},
    {"_cancel_message", Future_get_cancel_message, Future_set_cancel_message,
     NULL, NULL},
#if FA_HAS_AWAITED_BY
    {"_asyncio_awaited_by", Future_get_awaited_by, NULL, NULL, NULL},
#endif
    {"__class__", Future_get_class, Future_set_class, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
