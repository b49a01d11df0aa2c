/* net/process.h: the inside of subprocesses (private to net/).

   popen.c starts a program and makes the subprocess.Popen object for it,
   process.c is the transport, process_pipes.c connects its pipes, exitwatch.c
   learns of its end. */
#ifndef FA_NET_PROCESS_H
#define FA_NET_PROCESS_H

#include "net/net.h"

/* One subprocess. The attributes are those of asyncio's BaseSubprocessTransport,
   Python objects under its names, because its seldom called methods are borrowed
   and work on them. NULL = __init__ has not run. */
typedef struct {
    PyObject_HEAD
    PyObject *extra;     /* strong: the slot of asyncio's BaseTransport */
    PyObject *dict;      /* strong or NULL: instance attributes */
    PyObject *weakrefs;
    fa_state *st;        /* borrowed */
    PyObject *loop;      /* all strong: the loop; None after connection_lost */
    PyObject *protocol;  /* the user's; None after connection_lost */
    PyObject *proc;      /* the Popen; None after connection_lost */
    PyObject *pid;
    PyObject *returncode; /* None while it runs, as far as we know */
    PyObject *closed;    /* close() was called: True or False */
    PyObject *finished;  /* connection_lost is on its way: True or False */
    PyObject *exit_waiters;  /* futures of _wait(); None after the exit */
    PyObject *pending_calls; /* what the protocol will be told when it has been
                                connected: a deque, then None */
    PyObject *pipes;     /* dict: fd of the child -> pipe protocol or None */
    int pidfd;           /* owned, -1 = none: watched in `loop` */
    int child;           /* the pid as a number, 0 = none */
    int code;            /* exitwatch.c: the exit code on its way */
    int hops;            /* and through how many more iterations it goes */
    uint8_t pipes_failed; /* connecting the pipes has failed: none will come */
} ProcessObject;

/* -- popen.c ------------------------------------------------------------------- */

/* subprocess.Popen(...): the object (new) and a pidfd in *pidfd, which the caller
   owns, or -1. Starts the program itself, where nobody can tell the difference,
   else calls the class. Runs Python code (fileno(), __fspath__, audit hooks).
   NULL with the exception that Popen raises. */
FA_INTERNAL PyObject *popen_start(fa_state *st, const fa_popen *what,
                                  int *pidfd);
FA_INTERNAL int popen_init(fa_state *st);

/* -- process.c ------------------------------------------------------------------ */

/* self._call(callback, a, b): now, or when the protocol has been connected. `a`
   and `b` may be NULL. 0 or -1. */
FA_INTERNAL int process_call(ProcessObject *self, PyObject *callback,
                             PyObject *a, PyObject *b);

/* self._process_exited(code). 0 or -1. */
FA_INTERNAL int process_exited(ProcessObject *self, PyObject *code);

FA_INTERNAL int process_type_init(PyObject *module, fa_state *st);

/* -- process_pipes.c --------------------------------------------------------------- */

/* The coroutine self._connect_pipes(waiter) (new). */
FA_INTERNAL PyObject *process_connect_pipes(ProcessObject *self,
                                            PyObject *waiter);

/* -- process_wait.c ---------------------------------------------------------------- */

/* Give the exit code to all that wait for it. 0 or -1. */
FA_INTERNAL int process_wake(ProcessObject *self);
FA_INTERNAL int process_wait_init(fa_state *st);

/* -- exitwatch.c -------------------------------------------------------------------- */

/* Stop watching and close the pidfd. */
FA_INTERNAL void exitwatch_stop(ProcessObject *self);

#endif
