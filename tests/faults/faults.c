/* tests/faults/faults.c: system calls that fail when a test says so.

   A library for LD_PRELOAD (the tests compile it). It stands between a process
   and libc for the calls that fastasync makes, counts them, and lets one of
   them fail: "the n-th recv from now on fails with ECONNRESET", "... takes only
   one byte", "... is done and then says EINTR". The process arms it itself,
   through the faults_* functions and ctypes (layer.py).

   Who calls is told by the return address: _fastasync.so ("ours"), or anybody
   else (CPython's own modules, say). Only the scope that was asked for is
   counted and hit.

   Invariant: what is not hit is passed to libc unchanged. vfork is passed on by
   a jump, so that the child returns into the caller's frame, not into ours;
   compile with -O2. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define LOG_MAX 65536
#define IOV_MAX_HERE 1024

/* -- the calls --------------------------------------------------------------- */

#define CALLS(X) \
    X(epoll_create1) X(epoll_ctl) X(epoll_wait) X(epoll_pwait2) X(eventfd) \
    X(read) X(write) X(readv) X(writev) X(recv) X(send) X(sendmsg) \
    X(recvmsg) X(recvmmsg) X(sendmmsg) X(sendto) X(recvfrom) X(accept4) \
    X(connect) X(socket) X(socketpair) X(getsockopt) X(setsockopt) \
    X(getsockname) X(getpeername) X(shutdown) X(close) X(pipe2) X(fcntl) \
    X(ioctl) X(sendfile) X(pidfd_open) X(waitid) X(waitpid) X(vfork) X(fork) \
    X(execve) X(kill) X(mmap) X(madvise) X(fstat) X(bind) X(listen) X(dup3) \
    X(fcntl64) X(sendfile64) X(mmap64) X(syscall) \
    X(eventfd_read) X(eventfd_write)

enum {
#define X(name) CALL_##name,
    CALLS(X)
#undef X
    CALL_COUNT
};

static const char *const names[] = {
#define X(name) #name,
    CALLS(X)
#undef X
};

static void *real[CALL_COUNT];

static void *
real_find(int call)
{
    if (real[call] == NULL) {
        real[call] = dlsym(RTLD_NEXT, names[call]); // NULL: libc has it not
    }
    return real[call];
}

__attribute__((constructor)) static void
faults_load(void)
{
    for (int i = 0; i < CALL_COUNT; i++) {
        real_find(i);
    }
}

#define REAL(name) ((__typeof__(&name))real_find(CALL_##name))

/* -- what is armed ------------------------------------------------------------- */

enum { SCOPE_OURS = 1, SCOPE_OTHERS = 2 };

enum {
    KIND_NONE,
    KIND_FAIL,  /* not done, -1 and errno */
    KIND_AFTER, /* done, and nevertheless -1 and errno */
    KIND_SHORT, /* at most `value` bytes or messages; -1 = half of them */
    KIND_GONE,  /* epoll_ctl: the kernel has forgotten the file: ENOENT */
    KIND_VALUE, /* getsockopt: 0, and `value` is the answer */
};

static volatile int scope; /* 0 = everything is passed on */
static int armed_call = -1, armed_kind;
static long armed_from, armed_repeat, armed_value;
static long hits;
static long counts[CALL_COUNT];
static uintptr_t ours_low, ours_high;
static long log_len;
static struct {
    int call;
    uintptr_t site;
} log_entries[LOG_MAX];

static int
find_ours(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size, (void)data;
    if (strstr(info->dlpi_name, "_fastasync") == NULL) {
        return 0;
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X)) {
            ours_low = info->dlpi_addr + part->p_vaddr;
            ours_high = ours_low + part->p_memsz;
            return 1;
        }
    }
    return 0;
}

/* Is this call to be disturbed, and how? */
static int
fault(int call, void *caller, long *value)
{
    if (scope == 0) {
        return KIND_NONE;
    }
    uintptr_t site = (uintptr_t)caller;
    int ours = site >= ours_low && site < ours_high;
    if (!(scope & (ours ? SCOPE_OURS : SCOPE_OTHERS))) {
        return KIND_NONE;
    }
    long n = __atomic_fetch_add(&counts[call], 1, __ATOMIC_SEQ_CST);
    long at = __atomic_fetch_add(&log_len, 1, __ATOMIC_SEQ_CST);
    if (at < LOG_MAX) {
        log_entries[at].call = call;
        log_entries[at].site = ours ? site - ours_low : site;
    }
    if (call != armed_call || n < armed_from || n >= armed_from + armed_repeat)
    {
        return KIND_NONE;
    }
    hits++;
    *value = armed_value;
    return armed_kind;
}

/* Reading and writing an eventfd fails in fewer ways than a pipe. */
#define EVENTS_MAX 65536
static unsigned char is_event[EVENTS_MAX];

static int
call_on(int call, int fd)
{
    if (fd < 0 || fd >= EVENTS_MAX || !is_event[fd]) {
        return call;
    }
    return call == CALL_read ? CALL_eventfd_read : CALL_eventfd_write;
}

static void
event_mark(int fd, int is)
{
    if (fd >= 0 && fd < EVENTS_MAX) {
        is_event[fd] = (unsigned char)is;
    }
}

/* -- for the test ---------------------------------------------------------------- */

EXPORT int
faults_call(const char *name)
{
    for (int i = 0; i < CALL_COUNT; i++) {
        if (strcmp(name, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* Count from now on what is called from `where`; the `from`-th of `call` and
   the next `repeat` - 1 are disturbed (call -1: none is). */
EXPORT int
faults_begin(int where, int call, long from, long repeat, int kind, long value)
{
    scope = 0;
    ours_low = ours_high = 0;
    dl_iterate_phdr(find_ours, NULL);
    memset(counts, 0, sizeof(counts));
    log_len = hits = 0;
    armed_call = call;
    armed_from = from;
    armed_repeat = repeat;
    armed_kind = kind;
    armed_value = value;
    scope = where;
    return ours_high != 0;
}

/* Pass everything on again. How often has the fault struck? */
EXPORT long
faults_end(void)
{
    scope = 0;
    armed_call = -1;
    return hits;
}

EXPORT long
faults_hits(void)
{
    return hits;
}

EXPORT long
faults_count(int call)
{
    return counts[call];
}

/* The i-th call since faults_begin: which, and from where. 0 or -1. */
EXPORT int
faults_log(long i, int *call, uintptr_t *site)
{
    if (i >= log_len || i >= LOG_MAX) {
        return -1;
    }
    *call = log_entries[i].call;
    *site = log_entries[i].site;
    return 0;
}

/* -- the wrappers ------------------------------------------------------------------ */

#define CALLER __builtin_return_address(0)

/* The statements before a call that either fails or is done. */
#define DISTURB(name, done) DISTURB_AS(CALL_##name, done)
#define DISTURB_AS(call, done) \
    long value = 0; \
    int kind = fault(call, CALLER, &value); \
    if (kind == KIND_FAIL || kind == KIND_AFTER) { \
        if (kind == KIND_AFTER) { \
            done; \
        } \
        errno = (int)value; \
        return -1; \
    }

#define SIMPLE(type, name, params, args) \
    EXPORT type name params \
    { \
        DISTURB(name, (void)REAL(name) args) \
        return REAL(name) args; \
    }

/* A datagram is taken whole or not at all. */
static int
is_datagram(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    return fd >= 0 &&
           REAL(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
           type == SOCK_DGRAM;
}

/* `fd` is -1 where messages are counted, not bytes. */
static size_t
cut(int fd, int kind, long value, size_t len)
{
    if (kind != KIND_SHORT || len == 0 || is_datagram(fd)) {
        return len;
    }
    size_t most = value < 0 ? (len + 1) / 2 : (size_t)value;
    return most < len ? most : len;
}

/* A copy of `iov` with fewer bytes. The number of pieces. */
static int
cut_iov(int fd, long value, const struct iovec *iov, int count, struct iovec *out)
{
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        total += iov[i].iov_len;
    }
    size_t left = cut(fd, KIND_SHORT, value, total);
    int n = 0;
    for (; n < count && n < IOV_MAX_HERE && left > 0; n++) {
        out[n] = iov[n];
        if (out[n].iov_len > left) {
            out[n].iov_len = left;
        }
        left -= out[n].iov_len;
    }
    return n;
}

SIMPLE(int, epoll_create1, (int flags), (flags))
SIMPLE(int, epoll_wait, (int ep, struct epoll_event *ev, int max, int ms),
       (ep, ev, max, ms))
SIMPLE(int, epoll_pwait2,
       (int ep, struct epoll_event *ev, int max, const struct timespec *ts,
        const sigset_t *mask),
       (ep, ev, max, ts, mask))
SIMPLE(int, accept4,
       (int fd, struct sockaddr *addr, socklen_t *len, int flags),
       (fd, addr, len, flags))
SIMPLE(int, bind, (int fd, const struct sockaddr *addr, socklen_t len),
       (fd, addr, len))
SIMPLE(int, listen, (int fd, int backlog), (fd, backlog))
SIMPLE(int, socket, (int domain, int type, int proto), (domain, type, proto))
SIMPLE(int, socketpair, (int domain, int type, int proto, int fds[2]),
       (domain, type, proto, fds))
SIMPLE(int, setsockopt,
       (int fd, int level, int name, const void *data, socklen_t len),
       (fd, level, name, data, len))
SIMPLE(int, getsockname, (int fd, struct sockaddr *addr, socklen_t *len),
       (fd, addr, len))
SIMPLE(int, getpeername, (int fd, struct sockaddr *addr, socklen_t *len),
       (fd, addr, len))
SIMPLE(int, shutdown, (int fd, int how), (fd, how))
SIMPLE(int, pipe2, (int fds[2], int flags), (fds, flags))
SIMPLE(int, dup3, (int from, int to, int flags), (from, to, flags))
SIMPLE(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags))
SIMPLE(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options),
       (type, id, info, options))
SIMPLE(pid_t, waitpid, (pid_t pid, int *status, int options),
       (pid, status, options))
SIMPLE(int, execve, (const char *path, char *const argv[], char *const env[]),
       (path, argv, env))
SIMPLE(int, kill, (pid_t pid, int sig), (pid, sig))
SIMPLE(int, madvise, (void *at, size_t len, int advice), (at, len, advice))
SIMPLE(int, fstat, (int fd, struct stat *st), (fd, st))
SIMPLE(pid_t, fork, (void), ())

EXPORT int
eventfd(unsigned count, int flags)
{
    DISTURB(eventfd, (void)0)
    int fd = REAL(eventfd)(count, flags);
    event_mark(fd, 1);
    return fd;
}

EXPORT int
close(int fd)
{
    event_mark(fd, 0);
    DISTURB(close, REAL(close)(fd))
    return REAL(close)(fd);
}

EXPORT int
epoll_ctl(int ep, int op, int fd, struct epoll_event *event)
{
    DISTURB(epoll_ctl, REAL(epoll_ctl)(ep, op, fd, event))
    if (kind == KIND_GONE) { // as if it had been closed and opened again
        REAL(epoll_ctl)(ep, EPOLL_CTL_DEL, fd, event);
    }
    return REAL(epoll_ctl)(ep, op, fd, event);
}

EXPORT int
connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    int rc = 0;
    DISTURB(connect, rc = REAL(connect)(fd, addr, len); if (rc < 0) return rc)
    return REAL(connect)(fd, addr, len);
}

EXPORT int
getsockopt(int fd, int level, int name, void *data, socklen_t *len)
{
    DISTURB(getsockopt, REAL(getsockopt)(fd, level, name, data, len))
    int rc = REAL(getsockopt)(fd, level, name, data, len);
    if (kind == KIND_VALUE && rc == 0 && *len == sizeof(int)) {
        *(int *)data = (int)value;
    }
    return rc;
}

EXPORT pid_t
vfork(void)
{
    DISTURB(vfork, (void)0)
    pid_t (*jump)(void) = (pid_t (*)(void))real_find(CALL_vfork);
    return jump(); // a jump: see above
}

EXPORT void *
mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    long value = 0;
    if (fault(CALL_mmap, CALLER, &value) != KIND_NONE) {
        errno = (int)value;
        return MAP_FAILED;
    }
    return REAL(mmap)(at, len, prot, flags, fd, offset);
}

EXPORT void *
mmap64(void *at, size_t len, int prot, int flags, int fd, off64_t offset)
{
    long value = 0;
    if (fault(CALL_mmap, CALLER, &value) != KIND_NONE) {
        errno = (int)value;
        return MAP_FAILED;
    }
    return REAL(mmap64)(at, len, prot, flags, fd, offset);
}

#define FCNTL(name) \
    EXPORT int name(int fd, int cmd, ...) \
    { \
        va_list rest; \
        va_start(rest, cmd); \
        long arg = va_arg(rest, long); \
        va_end(rest); \
        DISTURB(fcntl, REAL(name)(fd, cmd, arg)) \
        return REAL(name)(fd, cmd, arg); \
    }

FCNTL(fcntl)
FCNTL(fcntl64)

EXPORT int
ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *arg = va_arg(rest, void *);
    va_end(rest);
    int (*next)(int, unsigned long, ...) =
        (int (*)(int, unsigned long, ...))real_find(CALL_ioctl);
    DISTURB(ioctl, next(fd, request, arg))
    return next(fd, request, arg);
}

/* -- bytes --------------------------------------------------------------------------- */

#define BYTES(name, params, args) \
    EXPORT ssize_t name params \
    { \
        DISTURB_AS(call_on(CALL_##name, fd), (void)REAL(name) args) \
        len = cut(fd, kind, value, len); \
        return REAL(name) args; \
    }

BYTES(read, (int fd, void *buf, size_t len), (fd, buf, len))
BYTES(write, (int fd, const void *buf, size_t len), (fd, buf, len))
BYTES(recv, (int fd, void *buf, size_t len, int flags), (fd, buf, len, flags))
BYTES(send, (int fd, const void *buf, size_t len, int flags),
      (fd, buf, len, flags))
BYTES(sendto,
      (int fd, const void *buf, size_t len, int flags,
       const struct sockaddr *addr, socklen_t addrlen),
      (fd, buf, len, flags, addr, addrlen))
BYTES(recvfrom,
      (int fd, void *restrict buf, size_t len, int flags,
       struct sockaddr *restrict addr, socklen_t *restrict addrlen),
      (fd, buf, len, flags, addr, addrlen))

#define SENDFILE(name, type) \
    EXPORT ssize_t name(int out, int in, type *offset, size_t len) \
    { \
        DISTURB(sendfile, (void)REAL(name)(out, in, offset, len)) \
        return REAL(name)(out, in, offset, cut(out, kind, value, len)); \
    }

SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

#define VECTOR(name) \
    EXPORT ssize_t name(int fd, const struct iovec *iov, int count) \
    { \
        DISTURB(name, (void)REAL(name)(fd, iov, count)) \
        if (kind == KIND_SHORT) { \
            struct iovec less[IOV_MAX_HERE]; \
            return REAL(name)(fd, less, cut_iov(fd, value, iov, count, less)); \
        } \
        return REAL(name)(fd, iov, count); \
    }

VECTOR(readv)
VECTOR(writev)

EXPORT ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
    DISTURB(sendmsg, (void)REAL(sendmsg)(fd, msg, flags))
    if (kind == KIND_SHORT) {
        struct iovec less[IOV_MAX_HERE];
        struct msghdr copy = *msg;
        copy.msg_iovlen = (size_t)cut_iov(fd, value, msg->msg_iov,
                                          (int)msg->msg_iovlen, less);
        copy.msg_iov = less;
        return REAL(sendmsg)(fd, &copy, flags);
    }
    return REAL(sendmsg)(fd, msg, flags);
}

SIMPLE(ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags),
       (fd, msg, flags))

EXPORT int
recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
         struct timespec *timeout)
{
    DISTURB(recvmmsg, (void)REAL(recvmmsg)(fd, msgs, count, flags, timeout))
    count = (unsigned)cut(-1, kind, value, count);
    return REAL(recvmmsg)(fd, msgs, count, flags, timeout);
}

EXPORT int
sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    DISTURB(sendmmsg, (void)REAL(sendmmsg)(fd, msgs, count, flags))
    count = (unsigned)cut(-1, kind, value, count);
    return REAL(sendmmsg)(fd, msgs, count, flags);
}

/* What -D_FORTIFY_SOURCE makes of the above. */
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t size, int flags);
ssize_t __read_chk(int fd, void *buf, size_t len, size_t size);

EXPORT ssize_t
__recv_chk(int fd, void *buf, size_t len, size_t size, int flags)
{
    (void)size;
    DISTURB(recv, (void)REAL(recv)(fd, buf, len, flags))
    return REAL(recv)(fd, buf, cut(fd, kind, value, len), flags);
}

EXPORT ssize_t
__read_chk(int fd, void *buf, size_t len, size_t size)
{
    (void)size;
    DISTURB_AS(call_on(CALL_read, fd), (void)REAL(read)(fd, buf, len))
    return REAL(read)(fd, buf, cut(fd, kind, value, len));
}

/* Calls that libc has no function for, or not everywhere. */
static int
syscall_number(long number)
{
    switch (number) {
#ifdef SYS_epoll_pwait2
        case SYS_epoll_pwait2:
            return CALL_epoll_pwait2;
#endif
#ifdef SYS_pidfd_open
        case SYS_pidfd_open:
            return CALL_pidfd_open;
#endif
#ifdef SYS_pidfd_send_signal
        case SYS_pidfd_send_signal:
            return CALL_kill;
#endif
        case SYS_waitid:
            return CALL_waitid;
        default:
            return -1;
    }
}

EXPORT long
syscall(long number, ...)
{
    va_list rest;
    va_start(rest, number);
    long a[6];
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(rest, long);
    }
    va_end(rest);
    int call = syscall_number(number);
    long value = 0;
    int kind = call < 0 ? KIND_NONE : fault(call, CALLER, &value);
    if (kind != KIND_FAIL) {
        long rc = REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        if (kind != KIND_AFTER) {
            return rc;
        }
    }
    errno = (int)value;
    return -1;
}
