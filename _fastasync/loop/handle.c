/* loop/handle.c: the engine of Handle, TimerHandle, ThreadSafeHandle: making,
   running, cancelling. What Python sees of them is handle_type.c.

   Handles come from and go back to a freelist per kind, so that call_soon
   allocates nothing but the context copy. A handle that runs is marked, and
   cancel() on it leaves callback and arguments alone until the call returns:
   the running C frame uses them without references of its own.

   Nor does the garbage collector get to see most of them: while the loop runs it
   is alive, and so is whatever waits in its ring, so a plain handle is tracked
   only if somebody still holds it after its call, or if the loop stops before
   (handle_settle). A burst of 200,000 callbacks costs half of what it costs
   with tracking. Benchmark: call_soon_flood.

   asyncio.Handle._run is a hook that tools replace. The type's version tag
   tells in one comparison whether anybody has (handle_run); then the Python
   method is called instead. HOT: once per callback. Benchmark:
   call_soon_chain, call_soon_batch. */
#include "loop/handle.h"

#include <time.h>

#include "base/args.h"
#include "base/errors.h"
#include "loop/context.h"

static PyTypeObject *
handle_type(fa_state *st, int kind)
{
    return kind == FA_HANDLE  ? st->HandleType
           : kind == FA_TIMER ? st->TimerHandleType
                              : st->ThreadSafeHandleType;
}

int
handle_check(fa_state *st, PyObject *obj)
{
    return PyObject_TypeCheck(obj, st->HandleType) ||
           PyObject_TypeCheck(obj, st->TimerHandleType) ||
           PyObject_TypeCheck(obj, st->ThreadSafeHandleType);
}

/* -- new and dealloc --------------------------------------------------------- */

PyObject *
Handle_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
           PyObject *Py_UNUSED(kwargs))
{
    fa_state *st = fa_state_of_type(type);
    if (st == NULL) {
        return NULL;
    }
    // asyncio's __init__ fills the rest through our getsets
    HandleObject *handle = (HandleObject *)type->tp_alloc(type, 0);
    if (handle != NULL) {
        handle->st = st;
        handle->node.slot = -1;
        handle->context = Py_NewRef(Py_None);
        handle->loop = Py_NewRef(Py_None);
        handle->kind = PyType_IsSubtype(type, st->TimerHandleType) ? FA_TIMER
                       : PyType_IsSubtype(type, st->ThreadSafeHandleType)
                           ? FA_THREADSAFE
                           : FA_HANDLE;
    }
    return (PyObject *)handle;
}

/* HOT. A blank, untracked handle. */
static HandleObject *
handle_alloc(fa_state *st, int kind)
{
    HandleObject *handle = st->handles[kind].first;
    if (FA_LIKELY(handle != NULL)) {
        st->handles[kind].first = (HandleObject *)handle->callback;
        st->handles[kind].count--;
        handle->callback = NULL;
        _Py_NewReference((PyObject *)handle);
        return handle;
    }
    PyTypeObject *type = handle_type(st, kind);
    handle = (HandleObject *)type->tp_alloc(type, 0);
    if (handle != NULL) {
        PyObject_GC_UnTrack(handle);
        handle->st = st;
        handle->kind = (uint8_t)kind;
        handle->node.slot = -1;
    }
    return handle;
}

int
Handle_traverse(HandleObject *handle, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(handle));
    Py_VISIT(handle->callback);
    Py_VISIT(handle->context);
    Py_VISIT(handle->loop);
    for (int i = 0; i < FA_HANDLE_INLINE_ARGS; i++) {
        Py_VISIT(handle->inline_args[i]);
    }
    Py_VISIT(handle->args_tuple);
    Py_VISIT(handle->source_traceback);
    Py_VISIT(handle->repr);
    Py_VISIT(handle->parked);
    Py_VISIT(handle->when_obj);
    return fa_base_slots_visit(handle_type(handle->st, handle->kind)->tp_base,
                               (PyObject *)handle, visit, arg);
}

/* Drop callback and arguments (runs destructors). Inline arguments are filled
   from the first on, so that the first empty place is the end. */
static inline void
handle_drop_call(HandleObject *handle)
{
    Py_CLEAR(handle->callback);
    for (int i = 0; i < FA_HANDLE_INLINE_ARGS; i++) {
        if (handle->inline_args[i] == NULL) {
            break;
        }
        Py_CLEAR(handle->inline_args[i]);
    }
    Py_CLEAR(handle->args_tuple);
    handle->nargs = 0;
}

/* Everything a plain handle has; what only some have is tested first. */
static inline void
handle_drop_all(HandleObject *handle)
{
    handle_drop_call(handle);
    Py_CLEAR(handle->context);
    Py_CLEAR(handle->loop);
    Py_CLEAR(handle->when_obj);
    if (FA_UNLIKELY(handle->source_traceback || handle->repr ||
                    handle->parked))
    {
        Py_CLEAR(handle->source_traceback);
        Py_CLEAR(handle->repr);
        Py_CLEAR(handle->parked);
    }
}

/* A timer in the heap keeps its loop, in whose heap it is and whose own clear
   takes it out: until then somebody may cancel it. */
int
Handle_clear(HandleObject *handle)
{
    if (handle->node.slot >= 0) {
        handle_drop_call(handle);
        return 0;
    }
    handle_drop_all(handle);
    return 0;
}

void
Handle_dealloc(HandleObject *handle)
{
    PyTypeObject *type = Py_TYPE(handle);
    fa_state *st = handle->st;
    int kind = handle->kind;
    PyObject_GC_UnTrack(handle);
    if (FA_UNLIKELY(fa_has_weakrefs((PyObject *)handle))) {
        PyObject_ClearWeakRefs((PyObject *)handle);
    }
    handle_drop_all(handle);
    PyTypeObject *exact = handle_type(st, kind); // NULL at shutdown
    if (FA_LIKELY(type == exact &&
                  st->handles[kind].count < FA_HANDLE_FREELIST_MAX &&
                  !FA_GIL_DISABLED))
    {
        handle->cancelled = 0;
        handle->scheduled = 0;
        handle->light = 0;
        handle->callback = (PyObject *)st->handles[kind].first;
        st->handles[kind].first = handle;
        st->handles[kind].count++;
        return; // it keeps its reference to the type
    }
    if (exact != NULL) {
        fa_base_slots_clear(exact->tp_base, (PyObject *)handle);
    }
    type->tp_free(handle);
    Py_DECREF(type);
}

void
handle_freelists_clear(fa_state *st)
{
    for (int kind = 0; kind < FA_HANDLE_KINDS; kind++) {
        HandleObject *handle = st->handles[kind].first;
        st->handles[kind].first = NULL;
        st->handles[kind].count = 0;
        while (handle != NULL) {
            HandleObject *next = (HandleObject *)handle->callback;
            PyTypeObject *type = Py_TYPE(handle);
            handle->callback = NULL;
            type->tp_free(handle);
            Py_DECREF(type);
            handle = next;
        }
    }
}

/* -- engine: making ------------------------------------------------------------ */

static int
handle_fill_args(HandleObject *handle, PyObject *const *args, Py_ssize_t nargs)
{
    handle->nargs = (int32_t)nargs; // with more than a few only informative
    if (FA_LIKELY(nargs <= FA_HANDLE_INLINE_ARGS)) {
        for (Py_ssize_t i = 0; i < nargs; i++) {
            handle->inline_args[i] = Py_NewRef(args[i]);
        }
        return 0;
    }
    handle->args_tuple = PyTuple_New(nargs);
    if (handle->args_tuple == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(handle->args_tuple, i, Py_NewRef(args[i]));
    }
    return 0;
}

/* HOT. Everything but the TimerHandle's own fields. */
static inline HandleObject *
handle_make(LoopObject *loop, int kind, PyObject *callback,
            PyObject *const *args, Py_ssize_t nargs, PyObject *context,
            int light)
{
    HandleObject *handle = handle_alloc(loop->st, kind);
    if (handle == NULL) {
        return NULL;
    }
    handle->callback = Py_NewRef(callback);
    handle->loop = Py_NewRef((PyObject *)loop);
    if (context == NULL) {
        int shared;
        handle->context = loop_context_copy(loop, &shared);
        handle->shared = (uint8_t)shared;
    }
    else {
        handle->context = Py_NewRef(context);
        handle->shared = 0;
    }
    if (handle_fill_args(handle, args, nargs) < 0 || handle->context == NULL) {
        goto fail;
    }
    if (FA_UNLIKELY(loop->debug)) {
        handle->source_traceback = loop_extract_stack(loop->st);
        if (handle->source_traceback == NULL) {
            goto fail;
        }
    }
    if ((kind == FA_TIMER && !light) || !loop->running || FA_GIL_DISABLED) {
        PyObject_GC_Track(handle);
    }
    return handle;
fail:
    PyObject_GC_Track(handle);
    Py_DECREF(handle);
    return NULL;
}

HandleObject *
handle_new(LoopObject *loop, int kind, PyObject *callback,
           PyObject *const *args, Py_ssize_t nargs, PyObject *context)
{
    return handle_make(loop, kind, callback, args, nargs, context, 0);
}

HandleObject *
timer_new(LoopObject *loop, double when, PyObject *when_obj,
          PyObject *callback, PyObject *const *args, Py_ssize_t nargs,
          PyObject *context)
{
    HandleObject *timer =
        handle_make(loop, FA_TIMER, callback, args, nargs, context, 0);
    if (timer != NULL) {
        timer->when = when;
        timer->when_obj = Py_XNewRef(when_obj);
    }
    return timer;
}

HandleObject *
timer_new_light(LoopObject *loop, double when, PyObject *callback,
                PyObject *const *args, Py_ssize_t nargs)
{
    HandleObject *timer =
        handle_make(loop, FA_TIMER, callback, args, nargs, NULL, 1);
    if (timer != NULL) {
        timer->when = when;
        timer->light = 1;
    }
    return timer;
}

/* -- engine: running -------------------------------------------------------------- */

/* format_helpers._format_callback_source(callback, args[, debug=]) (new). */
static PyObject *
handle_source_text(HandleObject *handle, PyObject *args)
{
    fa_state *st = handle->st;
    PyObject *function = PyObject_GetAttrString(st->mod_format_helpers,
                                                "_format_callback_source");
    PyObject *keywords = NULL, *positional = NULL, *text = NULL;
    int debug = FA_PY313 ? fa_loop_debug(st, handle->loop) : 0;
    if (function == NULL || debug < 0) {
        goto done;
    }
    positional = PyTuple_Pack(
        2, handle->callback ? handle->callback : Py_None, args);
    // the keyword exists since 3.13; without it arguments are always shown
    keywords = FA_PY313 ? Py_BuildValue("{s:O}", "debug",
                                        debug ? Py_True : Py_False)
                        : PyDict_New();
    if (positional != NULL && keywords != NULL) {
        text = PyObject_Call(function, positional, keywords);
    }
done:
    Py_XDECREF(function);
    Py_XDECREF(positional);
    Py_XDECREF(keywords);
    return text;
}

/* The keys of the report but 'message' and 'exception' (new). */
static PyObject *
handle_report_extra(HandleObject *handle)
{
    fa_state *st = handle->st;
    PyObject *extra = PyDict_New();
    if (extra == NULL ||
        PyDict_SetItem(extra, st->str_handle, (PyObject *)handle) < 0 ||
        (handle->source_traceback != NULL &&
         PyDict_SetItem(extra, st->str_source_traceback,
                        handle->source_traceback) < 0))
    {
        Py_CLEAR(extra);
    }
    return extra;
}

/* 'Exception in callback ...' through the loop's exception handler. Returns 0,
   or -1 if the raised exception must leave the loop. */
static FA_COLD int
handle_failed(HandleObject *handle)
{
    if (fa_err_is_exit()) {
        return -1;
    }
    PyObject *exc = fa_err_take();
    PyObject *args = handle_args(handle);
    PyObject *text = args == NULL ? NULL : handle_source_text(handle, args);
    PyObject *extra = text == NULL ? NULL : handle_report_extra(handle);
    int rc = -1;
    if (extra != NULL) {
        PyObject *message =
            PyUnicode_FromFormat("Exception in callback %U", text);
        if (message != NULL) {
            rc = loop_report(handle->st, handle->loop, message, exc, extra);
            Py_DECREF(message);
        }
    }
    Py_XDECREF(exc);
    Py_XDECREF(args);
    Py_XDECREF(text);
    Py_XDECREF(extra);
    return rc;
}

PyObject *
handle_context(HandleObject *handle)
{
    if (handle->shared) {
        PyObject *own = PyContext_Copy(handle->context);
        if (own == NULL) {
            return NULL;
        }
        handle->shared = 0;
        Py_SETREF(handle->context, own);
    }
    return handle->context;
}

/* Whatever was given as `context`: context.run(callback, *args). */
static FA_COLD PyObject *
handle_call_slow(HandleObject *handle)
{
    PyObject *run = PyObject_GetAttrString(handle->context, "run");
    PyObject *args = run == NULL ? NULL : handle_args(handle);
    PyObject *first = args == NULL ? NULL : PyTuple_Pack(1, handle->callback);
    PyObject *all = first == NULL ? NULL : PySequence_Concat(first, args);
    PyObject *result = all == NULL ? NULL : PyObject_CallObject(run, all);
    Py_XDECREF(run);
    Py_XDECREF(args);
    Py_XDECREF(first);
    Py_XDECREF(all);
    return result;
}

/* HOT. callback(*args) in the handle's context. What of these is replaced
   meanwhile is parked, not freed. */
static inline PyObject *
handle_call(HandleObject *handle)
{
    PyObject *context = handle->context;
    if (FA_UNLIKELY(!PyContext_CheckExact(context))) {
        return handle_call_slow(handle);
    }
    if (PyContext_Enter(context) < 0) {
        return NULL;
    }
    PyObject *result;
    if (FA_LIKELY(handle->args_tuple == NULL)) {
        result = PyObject_Vectorcall(
            handle->callback, handle->inline_args,
            (size_t)handle->nargs | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    else {
        result = PyObject_Call(handle->callback, handle->args_tuple, NULL);
    }
    if (PyContext_Exit(context) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* The type's `_run` is asyncio's own as long as it has this version tag. */
void
handle_seen(fa_state *st, int kind)
{
    unsigned int version = fa_type_version(handle_type(st, kind));
    st->handles[kind].version = version ? version : UINT_MAX; // 0: no tag
}

int
handle_hooked(fa_state *st)
{
    int hooked = 0;
    for (int kind = 0; kind < FA_HANDLE_KINDS; kind++) {
        PyTypeObject *type = handle_type(st, kind);
        hooked |= _PyType_Lookup(type, st->str__run) != st->handles[kind].run;
        handle_seen(st, kind);
    }
    st->hooked = hooked;
    return hooked;
}

/* asyncio's _ThreadSafeHandle._run wants its RLock, which ours do without. */
static int
handle_give_lock(HandleObject *handle)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *lock = threading == NULL
                         ? NULL
                         : PyObject_CallMethod(threading, "RLock", NULL);
    Py_XDECREF(threading);
    int rc = lock == NULL
                 ? -1
                 : PyObject_SetAttrString((PyObject *)handle, "_lock", lock);
    Py_XDECREF(lock);
    return rc;
}

/* The Python method `_run` was replaced, or might have been. 1 = it was not,
   0 = it has been called, -1 = it raised. */
static FA_COLD int
handle_run_slow(HandleObject *handle)
{
    fa_state *st = handle->st;
    PyTypeObject *type = Py_TYPE(handle);
    int kind = handle->kind;
    if (!handle_hooked(st) && handle->callback != NULL &&
        _PyType_Lookup(type, st->str__run) == st->handles[kind].run)
    {
        return 1;
    }
    if (kind == FA_THREADSAFE && handle_give_lock(handle) < 0) {
        return -1;
    }
    handle->running++;
    PyObject *result =
        PyObject_CallMethodNoArgs((PyObject *)handle, st->str__run);
    handle->running--;
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

void
handle_unveil(HandleObject *handle)
{
    PyObject *owner = handle->owner;
    handle->light = 0;
    if (owner != NULL) {
        handle->owner = NULL;
        handle->st->sleep_settle(owner, handle->inline_args[0]);
    }
}

void
handle_settle(PyObject *self)
{
    handle_unveil((HandleObject *)self);
    if (!PyObject_GC_IsTracked(self)) {
        PyObject_GC_Track(self);
    }
}

/* The ring's reference goes. Whoever still has the handle may have it in a
   cycle: from here on the garbage collector must see it. */
static inline void
handle_release(HandleObject *handle)
{
    if (!fa_is_unique((PyObject *)handle)) {
        handle_settle((PyObject *)handle);
    }
    Py_DECREF(handle);
}

/* HOT. A shared context becomes the handle's own for the call. 0 or -1. */
static inline int
handle_own_context(LoopObject *loop, HandleObject *handle)
{
    PyObject *work = loop_context_take(loop, handle->context);
    if (FA_UNLIKELY(work == NULL)) {
        return -1;
    }
    handle->shared = 0;
    Py_SETREF(handle->context, work);
    return 0;
}

/* HOT. The timer of a sleep, whose context nobody can see. 1 = it has been
   run, 0 = it must be called, -1 = error. */
static inline int
handle_sets_result(HandleObject *handle)
{
    fa_state *st = handle->st;
    if (handle->kind != FA_TIMER || handle->nargs != 2 ||
        handle->callback != st->set_result_unless_cancelled)
    {
        return 0;
    }
    return st->timer_sets_result(st, handle->inline_args[0],
                                 handle->inline_args[1]);
}

int
handle_run(LoopObject *loop, PyObject *self, PyObject *Py_UNUSED(arg))
{
    HandleObject *handle = (HandleObject *)self;
    int rc = 0;
    if (FA_UNLIKELY(handle->cancelled)) {
        handle_release(handle);
        return 0;
    }
    if (FA_UNLIKELY(fa_type_version(Py_TYPE(handle)) !=
                        handle->st->handles[handle->kind].version ||
                    handle->st->hooked || handle->callback == NULL))
    {
        rc = handle_run_slow(handle);
        if (rc <= 0) {
            handle_release(handle);
            return rc;
        }
        rc = 0;
    }
    rc = handle_sets_result(handle);
    if (rc != 0) {
        rc = FA_LIKELY(rc > 0) ? 0 : handle_failed(handle);
        if (FA_LIKELY(handle->light)) {
            handle_unveil(handle);
            handle_drop_call(handle); // nobody can miss it; no cycle is left
            Py_DECREF(handle);
            return rc;
        }
        handle_release(handle);
        return rc;
    }
    int shared = handle->shared;
    handle->running++;
    PyObject *result = NULL;
    if (!shared || handle_own_context(loop, handle) == 0) {
        result = handle_call(handle);
    }
    if (FA_UNLIKELY(result == NULL)) {
        rc = handle_failed(handle);
    }
    handle->running--;
    Py_XDECREF(result);
    if (shared && fa_is_unique(self) && handle->context != NULL) {
        PyObject *work = handle->context;
        handle->context = NULL;
        loop_context_give(loop, work);
    }
    if (FA_UNLIKELY(handle->cancelled && !handle->running)) {
        handle_drop_call(handle); // put off by handle_cancel
    }
    handle_release(handle);
    return rc;
}

/* -- engine: cancelling -------------------------------------------------------------- */

/* Debug mode keeps the text of what was cancelled. */
static int
handle_keep_repr(HandleObject *handle)
{
    int debug = handle->loop == NULL
                    ? 0
                    : fa_loop_debug(handle->st, handle->loop);
    if (debug <= 0) {
        return debug;
    }
    PyObject *repr = PyObject_Repr((PyObject *)handle);
    if (repr == NULL) {
        return -1;
    }
    Py_XSETREF(handle->repr, repr);
    return 0;
}

/* A ThreadSafeHandle that runs in the loop's thread and is cancelled from
   another: asyncio's lock makes cancel() wait for the end of the call. */
void
handle_wait_idle(HandleObject *handle)
{
    if (FA_LIKELY(handle->kind != FA_THREADSAFE || !handle->running ||
                  handle->loop == NULL ||
                  !loop_check(handle->st, handle->loop)))
    {
        return;
    }
    LoopObject *loop = (LoopObject *)handle->loop;
    while (handle->running && loop->thread_id != PyThread_get_thread_ident()) {
        const struct timespec pause = {0, 200 * FA_NS_PER_US};
        Py_BEGIN_ALLOW_THREADS
        nanosleep(&pause, NULL);
        Py_END_ALLOW_THREADS
    }
}

/* A timer leaves its loop's heap, and the heap's reference goes. */
static void
timer_unschedule(HandleObject *timer)
{
    if (timer->node.slot >= 0) {
        heap_remove(&((LoopObject *)timer->loop)->timers, &timer->node);
        timer->scheduled = 0;
        Py_DECREF(timer); // the caller has its own
    }
}

int
handle_cancel(HandleObject *handle)
{
    handle_wait_idle(handle);
    if (handle->cancelled) {
        return 0;
    }
    handle->cancelled = 1;
    if (handle->light) {
        handle_unveil(handle);
    }
    if (handle_keep_repr(handle) < 0) {
        return -1;
    }
    if (handle->node.slot >= 0) {
        timer_unschedule(handle);
    }
    if (!handle->running) {
        handle_drop_call(handle);
    }
    return 0;
}

void
timer_unveil(PyObject *timer)
{
    if (((HandleObject *)timer)->owner != NULL) {
        handle_unveil((HandleObject *)timer);
    }
}

int
timer_cancel(PyObject *timer)
{
    return handle_cancel((HandleObject *)timer);
}

int
fa_handle_cancel(fa_state *st, PyObject *self)
{
    HandleObject *handle = (HandleObject *)self;
    if (FA_LIKELY((Py_IS_TYPE(self, st->TimerHandleType) ||
                   Py_IS_TYPE(self, st->HandleType)) &&
                  handle->loop != NULL && loop_check(st, handle->loop)))
    {
        return handle_cancel(handle);
    }
    PyObject *done = PyObject_CallMethodNoArgs(self, st->str_cancel);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

PyObject *
handle_args(HandleObject *handle)
{
    if (handle->args_tuple != NULL) {
        return Py_NewRef(handle->args_tuple);
    }
    if (handle->callback == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *args = PyTuple_New(handle->nargs);
    for (Py_ssize_t i = 0; args != NULL && i < handle->nargs; i++) {
        PyTuple_SET_ITEM(args, i, Py_NewRef(handle->inline_args[i]));
    }
    return args;
}
