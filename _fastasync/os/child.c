/* os/child.c: starting a program and taking its exit status.

   The child borrows our memory until it execs (CLONE_VM | CLONE_VFORK, as vfork
   and posix_spawn do), so that starting one costs the same in a process of any
   size. What follows from that:

   - this thread sleeps until the exec, so the child may use its stack, its errno
     and the structure that tells how far it has come: no pipe is needed for
     errors;
   - all signals are blocked meanwhile: a handler of ours must not run in the
     child. Before they are allowed again there, every handler goes back to the
     default, which exec would do anyway;
   - the child calls the kernel and nothing else: no lock, no allocation;
   - changing user or group is not done here: another user must not share our
     memory, nor libc's setuid run in it.

   Where such a child is refused (some sandboxes), it is forked, and errors come
   through a pipe. Callers: net/popen.c. Cost: about 40 us, most of it exec.
   Benchmark: spawn_true. */
#include "os/os.h"

#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_PIDFD
#  define CLONE_PIDFD 0x00001000
#endif
#ifndef P_PIDFD
#  define P_PIDFD 3
#endif
#ifndef SYS_pidfd_open
#  define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#  define SYS_close_range 436
#endif

#define CHILD_STACK (32 * 1024)

extern char **environ;

/* The functions of the child run on memory that sanitizers believe to be the
   parent's stack, and never return. */
#define FA_IN_CHILD \
    __attribute__((no_sanitize("address", "undefined"))) static

typedef struct {
    const fa_child *what;
    const sigset_t *mask; /* of the parent, and so of the program */
    volatile int error;   /* errno of what failed */
    volatile int step;    /* FA_CHILD_* */
    int report;           /* where a forked child writes the two, -1 */
} child_start;

/* -- in the child ------------------------------------------------------------- */

FA_IN_CHILD int
child_inherit(int fd, int inherit)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0) {
        return -1;
    }
    int wanted = inherit ? flags & ~FD_CLOEXEC : flags | FD_CLOEXEC;
    return wanted == flags ? 0 : fcntl(fd, F_SETFD, wanted);
}

/* stdio[] become 0, 1 and 2, also where one of them is another's number. */
FA_IN_CHILD int
child_set_stdio(const fa_child *what)
{
    int fds[3] = {what->stdio[0], what->stdio[1], what->stdio[2]};
    for (int i = 1; i < 3; i++) {
        while (fds[i] >= 0 && fds[i] < i) { // about to be overwritten
            fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
            if (fds[i] < 0) {
                return -1;
            }
        }
    }
    for (int i = 0; i < 3; i++) {
        if (fds[i] == i ? child_inherit(i, 1) < 0
                        : fds[i] != -1 && dup2(fds[i], i) < 0)
        {
            return -1;
        }
    }
    return 0;
}

/* Close [first, last], where the kernel has no call for that. */
FA_IN_CHILD void
child_close_each(unsigned first, unsigned last)
{
    long limit = sysconf(_SC_OPEN_MAX);
    unsigned end = limit < 0 || limit > INT_MAX ? 65536 : (unsigned)limit;
    for (unsigned fd = first; fd <= last && fd < end; fd++) {
        close((int)fd);
    }
}

FA_IN_CHILD void
child_close_span(unsigned first, unsigned last)
{
    if (first <= last && syscall(SYS_close_range, first, last, 0) < 0) {
        child_close_each(first, last);
    }
}

/* Close what is open from 3 on, but what is kept. */
FA_IN_CHILD void
child_close_fds(const child_start *start)
{
    const fa_child *what = start->what;
    unsigned first = 3;
    int report = start->report;
    for (size_t i = 0; i <= what->keep_count; i++) {
        unsigned keep = i < what->keep_count ? (unsigned)what->keep[i]
                                             : UINT_MAX;
        if (report >= (int)first && (unsigned)report < keep) {
            child_close_span(first, (unsigned)report - 1);
            first = (unsigned)report + 1;
        }
        if (keep >= first) {
            child_close_span(first, keep == UINT_MAX ? keep : keep - 1);
            first = keep + 1; // 0 after the last one, and not used
        }
    }
}

/* No handler of ours runs in the child, now that signals come through. */
FA_IN_CHILD int
child_set_signals(const child_start *start)
{
    struct sigaction action;
    if (start->what->restore_signals) {
        memset(&action, 0, sizeof(action));
        action.sa_handler = SIG_DFL;
        sigaction(SIGPIPE, &action, NULL);
        sigaction(SIGXFSZ, &action, NULL);
    }
    for (int sig = 1; sig < NSIG; sig++) {
        if (sig == SIGKILL || sig == SIGSTOP ||
            sigismember(start->mask, sig) == 1 ||
            sigaction(sig, NULL, &action) < 0 ||
            action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)
        {
            continue;
        }
        memset(&action, 0, sizeof(action));
        action.sa_handler = SIG_DFL;
        if (sigaction(sig, &action, NULL) < 0) {
            return -1;
        }
    }
    return sigprocmask(SIG_SETMASK, start->mask, NULL);
}

/* Everything before the exec, in the order of CPython's child_exec. */
FA_IN_CHILD int
child_set_up(child_start *start)
{
    const fa_child *what = start->what;
    start->step = FA_CHILD_SETUP;
    for (size_t i = 0; i < what->keep_count; i++) {
        if (child_inherit(what->keep[i], 1) < 0) {
            return -1;
        }
    }
    if (child_set_stdio(what) < 0) {
        return -1;
    }
    if (what->cwd != NULL && chdir(what->cwd) < 0) {
        start->step = FA_CHILD_CHDIR;
        return -1;
    }
    if (what->umask >= 0) {
        umask((mode_t)what->umask);
    }
    if (child_set_signals(start) < 0 ||
        (what->new_session && setsid() < 0) ||
        (what->group >= 0 && setpgid(0, what->group) < 0))
    {
        return -1;
    }
    if (what->close_fds) {
        child_close_fds(start);
    }
    start->step = FA_CHILD_EXEC;
    return 0;
}

/* Where the search finds something that cannot be run, that error counts. */
FA_IN_CHILD void
child_exec(const fa_child *what)
{
    char *const *envp = what->envp == NULL ? environ : what->envp;
    int first = 0;
    for (char *const *path = what->paths; *path != NULL; path++) {
        execve(*path, what->argv, envp);
        if (errno != ENOENT && errno != ENOTDIR && first == 0) {
            first = errno;
        }
    }
    if (first != 0) {
        errno = first;
    }
}

FA_IN_CHILD int
child_main(void *arg)
{
    child_start *start = arg;
    errno = ENOENT; // of an empty list of paths
    if (child_set_up(start) == 0) {
        child_exec(start->what);
    }
    start->error = errno;
    if (start->report >= 0) {
        int said[2] = {start->error, start->step};
        if (write(start->report, said, sizeof(said)) < 0) {
            _exit(254);
        }
    }
    _exit(255);
}

/* -- in the parent ---------------------------------------------------------------- */

static int
child_clone(child_start *start, int *pidfd)
{
    _Alignas(64) char stack[CHILD_STACK];
    int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
    int pid = clone(child_main, stack + sizeof(stack), flags | CLONE_PIDFD,
                    start, pidfd);
    if (pid < 0 && errno != EAGAIN && errno != ENOMEM) {
        *pidfd = -1;
        pid = clone(child_main, stack + sizeof(stack), flags, start);
    }
    return pid < 0 ? -errno : pid;
}

/* Read what a forked child has to say: nothing, if it has reached its exec. */
static void
child_hear(child_start *start, int fd)
{
    int said[2];
    ssize_t n;
    FA_RETRY(n, read(fd, said, sizeof(said)));
    if (n == (ssize_t)sizeof(said)) {
        start->error = said[0];
        start->step = said[1];
    }
}

FA_COLD static int
child_fork(child_start *start)
{
    int ends[2];
    int rc = child_pipe(ends, 0);
    if (rc < 0) {
        return rc;
    }
    // out of the way of 0, 1 and 2
    start->report = fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
    pid_t pid = start->report < 0 ? -1 : fork();
    if (pid == 0) {
        child_main(start);
    }
    rc = pid < 0 ? -errno : (int)pid;
    close(ends[1]);
    if (start->report >= 0) {
        close(start->report);
    }
    if (rc > 0) {
        child_hear(start, ends[0]);
    }
    close(ends[0]);
    return rc;
}

int
child_spawn(const fa_child *what, int *pidfd, int *step)
{
    sigset_t all, mask;
    sigfillset(&all);
    int rc = pthread_sigmask(SIG_BLOCK, &all, &mask);
    *pidfd = -1;
    *step = FA_CHILD_NONE;
    if (rc != 0) {
        return -rc;
    }
    child_start start = {.what = what, .mask = &mask, .report = -1};
    int pid = child_clone(&start, pidfd);
    if (pid == -EINVAL || pid == -ENOSYS || pid == -EPERM) {
        pid = child_fork(&start);
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    if (pid > 0 && start.error != 0) {
        int code;
        child_wait(pid, *pidfd, 1, &code);
        if (*pidfd >= 0) {
            close(*pidfd);
            *pidfd = -1;
        }
        *step = start.step;
        return -start.error;
    }
    return pid;
}

static int
child_wait_pid(int pid, int block, int *code)
{
    int status;
    pid_t got;
    FA_RETRY(got, waitpid(pid, &status, block ? 0 : WNOHANG));
    if (got <= 0) {
        return got < 0 ? -errno : -EAGAIN;
    }
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    return 0;
}

int
child_wait(int pid, int pidfd, int block, int *code)
{
    if (pidfd < 0) {
        return child_wait_pid(pid, block, code);
    }
    siginfo_t info;
    info.si_pid = 0;
    int rc;
    FA_RETRY(rc, waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info,
                        WEXITED | (block ? 0 : WNOHANG)));
    if (rc < 0) {
        // EINVAL: a kernel that has pidfds but cannot wait for one
        return errno == EINVAL ? child_wait_pid(pid, block, code) : -errno;
    }
    if (info.si_pid == 0) {
        return -EAGAIN;
    }
    *code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return 0;
}

int
child_open(int pid)
{
    long fd = syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : (int)fd;
}

int
child_pipe(int ends[2], int size)
{
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    if (size > 0 && fcntl(ends[1], F_SETPIPE_SZ, size) < 0) {
        int rc = -errno;
        close(ends[0]);
        close(ends[1]);
        return rc;
    }
    return 0;
}

int
child_devnull(void)
{
    int fd;
    FA_RETRY(fd, open("/dev/null", O_RDWR | O_CLOEXEC));
    return fd < 0 ? -errno : fd;
}
