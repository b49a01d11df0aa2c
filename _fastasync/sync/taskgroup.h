/* sync/taskgroup.h: a TaskGroup for the files that make it up: taskgroup.c, its
   tasks; taskgroup_exit.c, its block; taskgroup_type.c, the class. */
#ifndef FA_SYNC_TASKGROUP_H
#define FA_SYNC_TASKGROUP_H

#include "sync/scopes.h"

/* The fields that hold objects, in the order of asyncio's __init__. */
enum {
    GROUP_LOOP,       /* _loop */
    GROUP_PARENT,     /* _parent_task */
    GROUP_TASKS,      /* _tasks: the set of those that are not done */
    GROUP_ERRORS,     /* _errors: a list */
    GROUP_BASE_ERROR, /* _base_error: SystemExit or KeyboardInterrupt */
    GROUP_WAITER,     /* _on_completed_fut: what __aexit__ waits for */
    GROUP_FIELDS
};

typedef struct {
    FA_CLASS_HEAD
    PyObject *fields[GROUP_FIELDS]; /* strong: None, or NULL if unset */
    PyObject *on_done;        /* strong or NULL: the closure of its tasks */
    uint8_t entered;          /* _entered */
    uint8_t exiting;          /* _exiting */
    uint8_t aborting;         /* _aborting */
    uint8_t cancel_requested; /* _parent_cancel_requested */
    uint8_t cancel_on_enter;  /* _cancel_on_enter (3.15) */
} GroupObject;

/* The attributes' names, by field. */
extern __attribute__((visibility("hidden"))) const char *const
    group_field_names[GROUP_FIELDS];

/* The object in a field (new); NULL with AttributeError if it is unset. HOT */
FA_INTERNAL PyObject *group_field(GroupObject *self, int field);

/* bool() of a field: 1, 0, -1. HOT */
FA_INTERNAL int group_has(GroupObject *self, int field);

/* self._is_base_error(exc): 1, 0, -1. */
FA_INTERNAL int group_is_base_error(GroupObject *self, PyObject *exc);

/* Keep exc as _base_error if it is the first one. 0 or -1. */
FA_INTERNAL int group_note_base_error(GroupObject *self, PyObject *exc);

/* self._errors.append(exc). 0 or -1. */
FA_INTERNAL int group_add_error(GroupObject *self, PyObject *exc);

/* self._abort(), self._on_task_done(task). 0 or -1. */
FA_INTERNAL int group_abort(GroupObject *self);
FA_INTERNAL int group_settle_now(GroupObject *self, PyObject *task);

#if FA_HAS_GROUP_CANCEL
/* self.cancel(). 0 or -1. */
FA_INTERNAL int group_cancel(GroupObject *self);
#endif

/* What _abort() does, what _on_task_done(task) does. 0 or -1. */
FA_INTERNAL int group_cancel_tasks(GroupObject *self);
FA_INTERNAL int group_task_done(GroupObject *self, PyObject *task);

/* create_task(args[0], **{kwnames: args[1:]}), all arguments checked (new).
   HOT */
FA_INTERNAL PyObject *group_create_task(GroupObject *self,
                                        PyObject *const *args,
                                        PyObject *kwnames);

/* __aenter__ and __aexit__. */
extern __attribute__((visibility("hidden"))) const fa_coro_def group_coros[];

#endif
