/* os/sock.c: single socket calls, EINTR hidden, SIGPIPE never. */
#include "os/os.h"

#include "os/retry.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <unistd.h>

int
os_close(int fd)
{
    // no retry: on Linux the descriptor is gone whatever close returns
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

int
os_set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return -errno;
    }
    return 0;
}

int
sock_accept(int fd, struct sockaddr *addr, socklen_t *addrlen)
{
    int rc;
    FA_RETRY(rc, accept4(fd, addr, addrlen, SOCK_NONBLOCK | SOCK_CLOEXEC));
    return rc < 0 ? -errno : rc;
}

int
sock_open(int family, int type, int proto)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
    return fd < 0 ? -errno : fd;
}

int
sock_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    // after EINTR the kernel goes on connecting: there is nothing to retry
    return connect(fd, addr, len) < 0 ? -errno : 0;
}

ssize_t
sock_recv(int fd, void *buf, size_t len)
{
    ssize_t n;
    FA_RETRY(n, recv(fd, buf, len, 0));
    return n < 0 ? -errno : n;
}

ssize_t
sock_send(int fd, const void *buf, size_t len)
{
    ssize_t n;
    FA_RETRY(n, send(fd, buf, len, MSG_NOSIGNAL));
    return n < 0 ? -errno : n;
}

ssize_t
sock_sendv(int fd, const struct iovec *iov, int count)
{
    struct msghdr msg = {0};
    msg.msg_iov = (struct iovec *)iov; // sendmsg only reads it
    msg.msg_iovlen = (size_t)count;
    ssize_t n;
    FA_RETRY(n, sendmsg(fd, &msg, MSG_NOSIGNAL));
    return n < 0 ? -errno : n;
}

ssize_t
sock_recvfrom(int fd, void *buf, size_t len, struct sockaddr *addr,
              socklen_t *addrlen)
{
    ssize_t n;
    FA_RETRY(n, recvfrom(fd, buf, len, MSG_DONTWAIT, addr, addrlen));
    return n < 0 ? -errno : n;
}

ssize_t
sock_send_now(int fd, const void *buf, size_t len)
{
    ssize_t n;
    FA_RETRY(n, send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT));
    return n < 0 ? -errno : n;
}

int
sock_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
        return -errno;
    }
    return -error;
}

int
sock_is_tcp(int fd)
{
    int protocol = 0;
    socklen_t len = sizeof(protocol);
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
           protocol == IPPROTO_TCP;
}

ssize_t
sock_sendfile(int fd, int in, off_t offset, size_t count)
{
    ssize_t n;
    FA_RETRY(n, sendfile(fd, in, &offset, count));
    return n < 0 ? -errno : n;
}

int
sock_peer(int fd, struct sockaddr *addr, socklen_t *addrlen)
{
    return getpeername(fd, addr, addrlen) < 0 ? -errno : 0;
}

int
sock_name(int fd, struct sockaddr *addr, socklen_t *addrlen)
{
    return getsockname(fd, addr, addrlen) < 0 ? -errno : 0;
}

int
sock_shutdown(int fd, int how)
{
    return shutdown(fd, how) < 0 ? -errno : 0;
}

int
sock_set_nodelay(int fd)
{
    int one = 1;
    int rc = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return rc < 0 ? -errno : 0;
}
