/* os/os.h: the kernel, and nothing else. No Python.h in this room.

   Every function returns >= 0 on success or -errno. None of them touches
   errno's owner, allocates Python memory or needs the GIL; those that may
   block say so. EINTR is retried inside unless stated otherwise. A backend is
   a file that defines the names of its section. */
#ifndef FA_OS_OS_H
#define FA_OS_OS_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/common.h"

/* -- poller (poller_epoll.c) --------------------------------------------- */

enum {
    FA_IN = 1,  /* readable, or error, or hang-up */
    FA_OUT = 2, /* writable, or error, or hang-up */
    /* poller_set only: edge triggered. Reported once when it begins, and again
       when more happens; also when it is asked for anew. */
    FA_EDGE = 4,
    /* poller_wait only, of edge triggered ones: not just data (end of file, an
       error, urgent data), so that a short read does not mean an empty buffer. */
    FA_ODD = 8,
};

typedef struct {
    int fd;
    uint32_t generation; /* as given to poller_set */
    uint32_t events;     /* FA_IN | FA_OUT | FA_ODD */
} fa_event;

#define FA_POLL_BATCH 256

/* Returns the poller's fd (close-on-exec). */
FA_INTERNAL int poller_open(void);

/* Watch `fd` for `wanted` (0 = stop watching); `before` is what was asked for
   last time (0 = nothing). Level triggered without FA_EDGE. Returns 0 or
   -errno: EPERM for a file that cannot be polled, EBADF for no file, EEXIST if
   it was watched though `before` is 0, ENOENT if it was not. */
FA_INTERNAL int poller_set(int poller, int fd, uint32_t generation,
                           int before, int wanted);

/* Wait up to timeout_ns (0 = do not block, < 0 = for ever) and fill `out`.
   Rounds up, never early. BLOCKS if timeout_ns != 0: release the GIL. Returns
   the number of events; -EINTR is returned, not retried, so that the caller
   can run Python's signal handlers. */
FA_INTERNAL int poller_wait(int poller, int64_t timeout_ns, fa_event *out,
                            int max);

/* -- wakeup (wakeup.c) ---------------------------------------------------- */

/* Returns an fd that becomes readable by wakeup_signal from any thread. */
FA_INTERNAL int wakeup_open(void);
FA_INTERNAL int wakeup_signal(int fd);
FA_INTERNAL int wakeup_drain(int fd);

/* -- clock (clock.c) ------------------------------------------------------ */

/* CLOCK_MONOTONIC in nanoseconds: the clock of time.monotonic(). */
FA_INTERNAL int64_t clock_now(void);

/* A very cheap monotonic counter of unspecified unit (a cycle counter where
   there is one), for "has some time passed"; see clock_ticks_per_us. */
FA_INTERNAL uint64_t clock_ticks_per_us(void);

static inline uint64_t
clock_ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)clock_now();
#endif
}

/* -- forkmark (forkmark.c) ------------------------------------------------ */

/* A word, 0 at first, that becomes 0 again in a forked child. 0 or -errno. */
FA_INTERNAL int forkmark_open(volatile uint32_t **mark);
FA_INTERNAL void forkmark_close(volatile uint32_t *mark);

/* -- socket (sock.c) ------------------------------------------------------ */

FA_INTERNAL int os_close(int fd);
FA_INTERNAL int os_set_nonblocking(int fd);

/* accept4 with SOCK_NONBLOCK | SOCK_CLOEXEC; the peer's address lands in
   `addr` / `*addrlen`. -EAGAIN when nobody waits. */
FA_INTERNAL int sock_accept(int fd, struct sockaddr *addr, socklen_t *addrlen);

/* A new socket with SOCK_NONBLOCK | SOCK_CLOEXEC. Returns its fd. */
FA_INTERNAL int sock_open(int family, int type, int proto);

/* One connect(2): 0 = connected, -EINPROGRESS (-EINTR, -EAGAIN) = wait until it
   is writable, then ask sock_error; asked again: how far it is. Never retried
   inside. */
FA_INTERNAL int sock_connect(int fd, const struct sockaddr *addr,
                             socklen_t len);

/* One recv/send/sendmsg: the number of bytes (0 = end of file for recv), or
   -EAGAIN, or another -errno. Never raises SIGPIPE. */
FA_INTERNAL ssize_t sock_recv(int fd, void *buf, size_t len);
FA_INTERNAL ssize_t sock_send(int fd, const void *buf, size_t len);
FA_INTERNAL ssize_t sock_sendv(int fd, const struct iovec *iov, int count);

/* getpeername / getsockname. 0 or -errno. */
FA_INTERNAL int sock_peer(int fd, struct sockaddr *addr, socklen_t *addrlen);
FA_INTERNAL int sock_name(int fd, struct sockaddr *addr, socklen_t *addrlen);

/* One recvfrom or send that does not block whatever the mode of the fd; `addr`
   NULL = the sender does not matter. Results as above. */
FA_INTERNAL ssize_t sock_recvfrom(int fd, void *buf, size_t len,
                                  struct sockaddr *addr, socklen_t *addrlen);
FA_INTERNAL ssize_t sock_send_now(int fd, const void *buf, size_t len);

/* SO_ERROR, taken: 0 = none, else -errno (also if it cannot be asked). */
FA_INTERNAL int sock_error(int fd);

/* Is it plain TCP, not one of the protocols that look like it? 1 or 0. */
FA_INTERNAL int sock_is_tcp(int fd);

/* One sendfile from `in` at `offset`; at most `count` bytes. The number of
   bytes (0 = end of file), -EAGAIN, or another -errno. */
FA_INTERNAL ssize_t sock_sendfile(int fd, int in, off_t offset, size_t count);

/* -- datagrams (dgram.c) ---------------------------------------------------- */

/* recvfrom: the length (0 is a datagram as well), -EAGAIN if there is none, or
   another -errno. Never blocks. `addr` / `*addrlen` as in recvfrom. */
FA_INTERNAL ssize_t dgram_recv(int fd, void *buf, size_t len,
                               struct sockaddr *addr, socklen_t *addrlen);

/* sendto, or send if addr is NULL: 0 or -errno. Never raises SIGPIPE. */
FA_INTERNAL int dgram_send(int fd, const void *buf, size_t len,
                           const struct sockaddr *addr, socklen_t addrlen);

/* As many as there are, up to `count` / as the kernel takes: how many (at least
   1), or -errno of the first. What stopped the others is known only by trying
   again. Neither blocks. */
FA_INTERNAL int dgram_recv_many(int fd, struct mmsghdr *msgs, unsigned count);
FA_INTERNAL int dgram_send_many(int fd, struct mmsghdr *msgs, unsigned count);

/* The family of the socket's addresses, or -errno. */
FA_INTERNAL int sock_family(int fd);

FA_INTERNAL int sock_shutdown(int fd, int how);
FA_INTERNAL int sock_set_nodelay(int fd);

/* -- pipe (pipe.c) -------------------------------------------------------- */

enum {
    FA_PIPE_FIFO = 1, /* a pipe or a named FIFO */
    FA_PIPE_SOCKET = 2,
    FA_PIPE_CHAR = 4, /* a terminal or another character device */
    FA_PIPE_MESSAGES = 8, /* what is written at once is one message: a packet,
                             a record of a device */
    FA_PIPE_NO_HANGUP = 16, /* end of the other side cannot be told by watching
                               for input (a named FIFO on some systems) */
};

/* What kind of file it is: one of the first three, with the others or'ed in;
   without any of those three it is none that transports are for. -errno. */
FA_INTERNAL int pipe_kind(int fd);

/* One read/write/writev of any file that does not block: the number of bytes
   (0 = end of file for read), -EAGAIN, or another -errno. Unlike those of
   sockets, the writing ones raise SIGPIPE unless it is ignored. */
FA_INTERNAL ssize_t pipe_read(int fd, void *buf, size_t len);
FA_INTERNAL ssize_t pipe_write(int fd, const void *buf, size_t len);
FA_INTERNAL ssize_t pipe_writev(int fd, const struct iovec *iov, int count);

/* -- child (child.c) ------------------------------------------------------ */

/* A program to start. Everything is prepared by the caller: the child only makes
   system calls. All borrowed for the time of the call. */
typedef struct {
    char *const *paths;  /* NULL-ended: where the program may be, in order */
    char *const *argv;   /* NULL-ended */
    char *const *envp;   /* NULL-ended; NULL = this process's environment */
    const char *cwd;     /* NULL = stay */
    const int *keep;     /* fds that the program inherits, ascending */
    size_t keep_count;
    int stdio[3];        /* what becomes its 0, 1 and 2; -1 = nothing new */
    int group;           /* its process group, 0 = a new one, -1 = ours */
    int umask;           /* -1 = ours */
    uint8_t close_fds;   /* close all fds from 3 on but `keep` */
    uint8_t restore_signals; /* those that Python ignores get their default */
    uint8_t new_session;
} fa_child;

/* How far a child has come that did not make it. */
enum { FA_CHILD_NONE, FA_CHILD_SETUP, FA_CHILD_CHDIR, FA_CHILD_EXEC };

/* Start it: the pid, or -errno; then *step tells what has failed (FA_CHILD_NONE:
   there was no child) and nothing is left of the child. *pidfd becomes a pidfd
   (close-on-exec), or -1 where the kernel has none. Costs the same whatever the
   size of this process. BLOCKS until the program is loaded: release the GIL. */
FA_INTERNAL int child_spawn(const fa_child *child, int *pidfd, int *step);

/* Take the exit status of a child, by its pidfd if that is not -1: 0 and the
   exit code (of a signal: minus its number) in *code, or -errno: -ECHILD if
   somebody else has taken it, -EAGAIN (only without `block`) if it runs. */
FA_INTERNAL int child_wait(int pid, int pidfd, int block, int *code);

/* A pidfd for a child, or -errno. */
FA_INTERNAL int child_open(int pid);

/* Two close-on-exec ends of a pipe (reading, writing), with room for `size`
   bytes if that is > 0. 0 or -errno. */
FA_INTERNAL int child_pipe(int ends[2], int size);

/* /dev/null for reading and writing, close-on-exec. The fd or -errno. */
FA_INTERNAL int child_devnull(void);

#endif
