/* os/poller_epoll.c: the poller on Linux.

   Level triggered unless asked otherwise. The event's user data is fd and generation, so that an
   event of a descriptor that has been closed and opened again meanwhile is
   recognised (io.c). A wait with nanoseconds uses epoll_pwait2 where the
   kernel has it (5.11), else whole milliseconds, rounded up: never early. */
#include "os/os.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What is asked for on top where edges are reported: they say what happened,
   and it will not be said again. */
#define FA_EPOLL_EDGE ((uint32_t)(EPOLLET | EPOLLRDHUP | EPOLLPRI))
#define FA_EPOLL_IN ((uint32_t)(EPOLLIN | EPOLLRDHUP | EPOLLPRI))
#define FA_EPOLL_ODD (EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR)

int
poller_open(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int
poller_set(int poller, int fd, uint32_t generation, int before, int wanted)
{
    struct epoll_event event = {0};
    event.events = (wanted & FA_IN ? (uint32_t)EPOLLIN : 0) |
                   (wanted & FA_OUT ? (uint32_t)EPOLLOUT : 0) |
                   (wanted & FA_EDGE ? FA_EPOLL_EDGE : 0);
    event.data.u64 = ((uint64_t)generation << 32) | (uint32_t)fd;
    int op = !wanted  ? EPOLL_CTL_DEL
             : before ? EPOLL_CTL_MOD
                      : EPOLL_CTL_ADD;
    return epoll_ctl(poller, op, fd, &event) < 0 ? -errno : 0;
}

static int
poller_wait_raw(int poller, int64_t timeout_ns, struct epoll_event *events,
                int max)
{
    if (timeout_ns <= 0) {
        return epoll_wait(poller, events, max, timeout_ns < 0 ? -1 : 0);
    }
#ifdef SYS_epoll_pwait2
    struct timespec ts = {
        .tv_sec = (time_t)(timeout_ns / FA_NS_PER_SEC),
        .tv_nsec = (long)(timeout_ns % FA_NS_PER_SEC),
    };
    int n = (int)syscall(SYS_epoll_pwait2, poller, events, max, &ts, NULL, 0);
    if (n >= 0 || (errno != ENOSYS && errno != EPERM)) {
        return n;
    }
#endif
    int64_t ms = (timeout_ns + FA_NS_PER_MS - 1) / FA_NS_PER_MS;
    return epoll_wait(poller, events, max, ms > 86400000 ? 86400000 : (int)ms);
}

int
poller_wait(int poller, int64_t timeout_ns, fa_event *out, int max)
{
    struct epoll_event events[FA_POLL_BATCH];
    if (max > FA_POLL_BATCH) {
        max = FA_POLL_BATCH;
    }
    int n = poller_wait_raw(poller, timeout_ns, events, max);
    if (n < 0) {
        return -errno;
    }
    for (int i = 0; i < n; i++) {
        // a hang-up or an error concerns both directions
        uint32_t got = events[i].events;
        out[i].fd = (int)(uint32_t)events[i].data.u64;
        out[i].generation = (uint32_t)(events[i].data.u64 >> 32);
        out[i].events = (got & ~(uint32_t)EPOLLOUT ? FA_IN : 0) |
                        (got & ~FA_EPOLL_IN ? FA_OUT : 0) |
                        (got & FA_EPOLL_ODD ? FA_ODD : 0);
    }
    return n;
}
