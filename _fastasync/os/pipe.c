/* os/pipe.c: files that bytes flow through and that are used with read and
   write: pipes, FIFOs, terminals and other character devices, sockets. */
#include "os/os.h"

#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does a pipe keep what was written at once together (pipe2 with O_DIRECT)? */
static int
pipe_has_packets(int fd)
{
#ifdef O_DIRECT
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_DIRECT);
#else
    (void)fd;
    return 0;
#endif
}

static int
pipe_is_stream(int fd)
{
    int type = 0;
    socklen_t len = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
           type == SOCK_STREAM;
}

/* The trick of noticing the end of the reader by watching the writer for input
   works on Linux and the BSDs; elsewhere not for every FIFO. */
static int
pipe_hides_hangup(const struct stat *st)
{
#if defined(_AIX)
    (void)st;
    return 1;
#elif defined(__APPLE__) || defined(__sun)
    return st->st_nlink > 0;
#else
    (void)st;
    return 0;
#endif
}

int
pipe_kind(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (S_ISFIFO(st.st_mode)) {
        return FA_PIPE_FIFO |
               (pipe_has_packets(fd) ? FA_PIPE_MESSAGES : 0) |
               (pipe_hides_hangup(&st) ? FA_PIPE_NO_HANGUP : 0);
    }
    if (S_ISSOCK(st.st_mode)) {
        return FA_PIPE_SOCKET | (pipe_is_stream(fd) ? 0 : FA_PIPE_MESSAGES);
    }
    return S_ISCHR(st.st_mode) ? FA_PIPE_CHAR | FA_PIPE_MESSAGES : 0;
}

ssize_t
pipe_read(int fd, void *buf, size_t len)
{
    ssize_t n;
    FA_RETRY(n, read(fd, buf, len));
    return n < 0 ? -errno : n;
}

ssize_t
pipe_write(int fd, const void *buf, size_t len)
{
    ssize_t n;
    FA_RETRY(n, write(fd, buf, len));
    return n < 0 ? -errno : n;
}

ssize_t
pipe_writev(int fd, const struct iovec *iov, int count)
{
    ssize_t n;
    FA_RETRY(n, writev(fd, iov, count));
    return n < 0 ? -errno : n;
}
