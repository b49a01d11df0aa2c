/* net/sockops.h: what the coroutines of sock_*() share (private to net/). */
#ifndef FA_NET_SOCKOPS_H
#define FA_NET_SOCKOPS_H

#include "net/net.h"
#include "net/sockcell.h"
#include "task/coro.h"

/* The variables of each such coroutine. `number` is the fd that it waits for
   (SOCKOP_FD_MASK), whether it holds the socket (SOCKOP_HELD), and above them its
   own: how much to receive, how much has been sent. */
enum { SOCKOP_LOOP, SOCKOP_SOCK, SOCKOP_ARG, SOCKOP_FUT };

#define SOCKOP_HELD (1 << 24)
#define SOCKOP_FD_MASK (SOCKOP_HELD - 1)
#define SOCKOP_NUMBER_SHIFT 25
#define SOCKOP_NUMBER_MAX (INT64_C(1) << (62 - SOCKOP_NUMBER_SHIFT))

static inline int64_t
sockop_number(const CoroObject *co)
{
    return co->number >> SOCKOP_NUMBER_SHIFT;
}

static inline void
sockop_set_number(CoroObject *co, int64_t number)
{
    co->number = number << SOCKOP_NUMBER_SHIFT |
                 (co->number & (SOCKOP_HELD | SOCKOP_FD_MASK));
}

static inline LoopObject *
sockop_loop(const CoroObject *co)
{
    return (LoopObject *)co->vars[SOCKOP_LOOP];
}

/* The fd as the socket has it now, -1 = closed. HOT */
static inline int
sockop_fd(const CoroObject *co)
{
    return sockcell(co->vars[SOCKOP_SOCK])->fd;
}

/* What one of these coroutines does. Constant. */
typedef struct {
    const char *name; /* "sock_recv" */
    int dir;          /* what it waits for */
    int spread;       /* SOCKOP_ARG is a tuple that begins with so many
                         arguments; 0 = it is the argument */
    /* Once, at the start: 1; 0 = leave it all to asyncio's function; -1. */
    int (*begin)(CoroObject *co);
    /* The call itself: 1 and its result (new) in *result; 0 = it would block;
       -1 with an exception; SOCKOP_ASK = asyncio's function knows. */
    int (*attempt)(CoroObject *co, int fd, PyObject **result);
    /* Somebody else watches the fd: what to do instead of waiting; NULL = leave
       the rest to asyncio's function. */
    PySendResult (*refused)(CoroObject *co);
} fa_sockop_def;

#define SOCKOP_ASK 2

/* May C do it: nothing on the way has been replaced in Python, and the socket
   is one whose inside we know? HOT */
FA_INTERNAL int sockop_is_direct(const CoroObject *co);

/* Each turn ends with it: the socket is let go when the coroutine ends. */
FA_INTERNAL void sockop_finish(CoroObject *co);

static inline PySendResult
sockop_end(CoroObject *co, PySendResult status)
{
    if (status != PYGEN_NEXT && (co->number & SOCKOP_HELD)) {
        sockop_finish(co);
    }
    return status;
}

/* All there is to a turn, but for sock_connect. HOT */
FA_INTERNAL PySendResult sockop_run(CoroObject *co, const fa_sockop_def *def,
                                    PyObject *value, PyObject **result);

/* The next turn, of stage SOCKOP_WAITED, begins with sockop_waited. `fresh` as for
   loop_kept_wait. HOT */
enum { SOCKOP_BEGIN, SOCKOP_WAITED, SOCKOP_DELEGATED, SOCKOP_RESOLVED };
FA_INTERNAL PySendResult sockop_wait(CoroObject *co, const fa_sockop_def *def,
                                     int fresh);
FA_INTERNAL void sockop_waited(CoroObject *co, const fa_sockop_def *def);

/* Await asyncio's coroutine instead of doing anything (more). */
FA_INTERNAL PySendResult sockop_delegate(CoroObject *co,
                                         const fa_sockop_def *def);

/* A call of a Python method has raised: 0 and nothing raised if that was
   BlockingIOError or InterruptedError, else -1. */
FA_INTERNAL int sockop_blocked(void);

extern __attribute__((visibility("hidden"))) const fa_coro_kind
    sock_connect_kind, sock_accept_kind;

#endif
