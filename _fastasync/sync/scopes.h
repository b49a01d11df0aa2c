/* sync/scopes.h: what timeouts, task groups, wait() and wait_for() share. For
   the files of this room only. */
#ifndef FA_SYNC_SCOPES_H
#define FA_SYNC_SCOPES_H

#include "base/args.h"
#include "base/classes.h"
#include "task/coro.h"
#include "task/closure.h"

/* raise type() from cause (both borrowed). */
FA_INTERNAL void raise_from(PyObject *type, PyObject *cause);

/* What is raised was raised while `handled` (borrowed) was being handled: make
   that its context, as the interpreter does for an `except` block. */
FA_INTERNAL void raised_during(PyObject *handled);

/* A coroutine for __aexit__(type, exception, traceback): vars[0] self, vars[1]
   the type, vars[2] the exception. */
FA_INTERNAL PyObject *scope_exit_coro(fa_state *st, const fa_coro_kind *kind,
                                      const fa_args *spec, PyObject *self,
                                      PyObject *const *args, Py_ssize_t nargs,
                                      PyObject *kwnames);

/* loop.call_later(delay, _release_waiter, waiter) on any loop (new). */
FA_INTERNAL PyObject *release_later(fa_state *st, PyObject *loop,
                                    PyObject *delay, PyObject *waiter);

/* functools.partial(_release_waiter, waiter): a done-callback (new). */
FA_INTERNAL ClosureObject *release_when_done(fa_state *st, PyObject *waiter);

/* tasks.current_task(loop), also of tasks that are Python code: 0 and a new
   reference or NULL in *task, or -1. HOT */
FA_INTERNAL int scope_current_task(fa_state *st, PyObject *loop,
                                   PyObject **task);

/* Unless it is done: waiter.set_result(value). 0 or -1. HOT */
FA_INTERNAL int release_waiter(fa_state *st, PyObject *waiter,
                               PyObject *value);

/* __getstate__: what asyncio's instance has in its __dict__: those of the named
   attributes that are set, and what is in `dict` (may be NULL). `names` ends
   with NULL. __setstate__ sets each as an attribute. */
FA_INTERNAL PyObject *scope_getstate(PyObject *self, PyObject *dict,
                                     const char *const *names);
FA_INTERNAL PyObject *scope_setstate(PyObject *self, PyObject *state);

/* Does the code of a method of asyncio's use that name? What differs between
   patch releases is asked like this, at import. 1, 0, or `otherwise` if there is
   no telling (somebody has wrapped the method). */
FA_INTERNAL int asyncio_mentions(const char *module, const char *class_name,
                                 const char *method, const char *name,
                                 int otherwise);

FA_INTERNAL int scopes_init(PyObject *module, fa_state *st);
FA_INTERNAL int wait_for_init(PyObject *module, fa_state *st);
FA_INTERNAL int wait_init(PyObject *module, fa_state *st);
FA_INTERNAL int taskgroup_type_init(PyObject *module, fa_state *st);

#endif
