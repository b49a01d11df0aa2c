/* task/registry.c: all live tasks of ours, at the price of four stores a task.

   asyncio keeps its tasks in a WeakSet or in lists of its own that take only its
   own types; putting ours there would cost more than stepping them. They are
   linked through themselves instead, in a ring whose head is st->tasks, from the
   moment their first step is scheduled until they are done or freed. The list
   owns nothing; asyncio.all_tasks() sees it through a view in Python.
   Invariant: task->prev is NULL exactly while the task is not in the list. */
#include "task/private.h"

FA_HOT void
registry_add(TaskObject *task)
{
    fa_state *st = task->fut.st;
    FA_BEGIN_CRITICAL((PyObject *)st->TaskType);
    TaskObject *head = st->tasks;
    if (task->prev != NULL) {
        // in already: initialised a second time
    }
    else if (head == NULL) {
        task->next = task->prev = task;
        st->tasks = task;
    }
    else {
        task->prev = head->prev;
        task->next = head;
        head->prev->next = task;
        head->prev = task;
    }
    FA_END_CRITICAL();
}

FA_HOT void
registry_remove(TaskObject *task)
{
    fa_state *st = task->fut.st;
    FA_BEGIN_CRITICAL((PyObject *)st->TaskType);
    if (task->prev != NULL) {
        if (task->next == task) {
            st->tasks = NULL;
        }
        else {
            task->prev->next = task->next;
            task->next->prev = task->prev;
            if (st->tasks == task) {
                st->tasks = task->next;
            }
        }
        task->next = task->prev = NULL;
    }
    FA_END_CRITICAL();
}

/* How many there are. */
static Py_ssize_t
registry_count(fa_state *st)
{
    Py_ssize_t count = 0;
    TaskObject *task = st->tasks;
    if (task != NULL) {
        do {
            count++;
            task = task->next;
        } while (task != st->tasks);
    }
    return count;
}

PyObject *
registry_tasks(fa_state *st)
{
    // making the list may collect garbage and so change the registry: then
    // what was counted no longer fits and the list is made again
    for (;;) {
        Py_ssize_t count = registry_count(st);
        PyObject *list = PyList_New(count);
        if (list == NULL || registry_count(st) != count) {
            if (list == NULL) {
                return NULL;
            }
            Py_DECREF(list);
            continue;
        }
        TaskObject *task = st->tasks;
        for (Py_ssize_t i = 0; i < count; i++) {
            PyList_SET_ITEM(list, i, Py_NewRef((PyObject *)task));
            task = task->next;
        }
        return list;
    }
}
