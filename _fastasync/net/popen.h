/* net/popen.h: what the files that stand in for subprocess.Popen share (private
   to net/popen*.c). */
#ifndef FA_NET_POPEN_H
#define FA_NET_POPEN_H

#include "net/process.h"
#include "os/os.h"

enum { POPEN_PIPE = -1, POPEN_STDOUT = -2, POPEN_DEVNULL = -3 };

typedef struct {
    fa_state *st;
    const fa_popen *what;
    PyObject *popen;     /* strong: the object in the making */
    PyObject *executable, *cwd, *env, *pass_fds; /* borrowed; None, pass_fds
                                                    may be NULL */
    PyObject *pipesize;  /* borrowed, NULL = -1 */
    int size;            /* the same */
    PyObject *command;   /* strong: the list of arguments */
    PyObject *program;   /* borrowed: what is executed, as it was given */
    PyObject *argv, *paths, *envp; /* strong: lists of bytes; envp may be NULL */
    PyObject *directory; /* strong or NULL: bytes */
    char **pointers;     /* owned: into those lists */
    int *keep;           /* owned */
    int ours[3];         /* owned: our ends of pipes, until `files` has them */
    int theirs[3];       /* owned where `made`: what the child gets */
    uint8_t made[3];
    int devnull;         /* owned, -1 = none */
    fa_child child;
} popen_call;

/* What a step of the making may answer: it has raised, it is done, it is for
   Popen itself to do. */
enum { POPEN_FAILED = -1, POPEN_PLAIN = 0, POPEN_LEAVE = 1 };

/* -- popen_plan.c ----------------------------------------------------------------- */

/* An int that is exactly an int, and a C int. 1 or 0. */
FA_INTERNAL int popen_small_int(PyObject *value, int *number);

/* Is everything plain? Nothing but looking. POPEN_*. */
FA_INTERNAL int popen_plan(popen_call *call);

/* subprocess.<name> as a truth; 0 if there is no such thing. 1, 0, -1. */
FA_INTERNAL int popen_switch(fa_state *st, const char *name);

/* -- popen_convert.c -------------------------------------------------------------- */

/* The list of arguments and the program, as the audit event tells them.
   POPEN_*. */
FA_INTERNAL int popen_make_command(popen_call *call);

/* Everything becomes C. POPEN_*. */
FA_INTERNAL int popen_convert(popen_call *call);

#endif
