/* os/wakeup.c: an eventfd: one counter, one fd, any thread may write. */
#include "os/os.h"

#include "os/retry.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int
wakeup_open(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

int
wakeup_signal(int fd)
{
    uint64_t one = 1;
    ssize_t n;
    FA_RETRY(n, write(fd, &one, sizeof(one)));
    // EAGAIN: the counter is full, so the reader will wake up anyway
    return n < 0 && errno != EAGAIN ? -errno : 0;
}

int
wakeup_drain(int fd)
{
    uint64_t count;
    ssize_t n;
    FA_RETRY(n, read(fd, &count, sizeof(count)));
    return n < 0 && errno != EAGAIN ? -errno : 0;
}
