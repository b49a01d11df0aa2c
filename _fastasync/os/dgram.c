/* os/dgram.c: datagrams, one at a time and several by one call. EINTR hidden,
   SIGPIPE never.

   Receiving never blocks, whatever the socket's mode: recvmmsg on a blocking
   one would wait for the last of its messages. */
#include "os/os.h"

#include "os/retry.h"

#include <errno.h>

ssize_t
dgram_recv(int fd, void *buf, size_t len, struct sockaddr *addr,
           socklen_t *addrlen)
{
    ssize_t n;
    FA_RETRY(n, recvfrom(fd, buf, len, MSG_DONTWAIT, addr, addrlen));
    return n < 0 ? -errno : n;
}

int
dgram_send(int fd, const void *buf, size_t len, const struct sockaddr *addr,
           socklen_t addrlen)
{
    ssize_t n;
    FA_RETRY(n, sendto(fd, buf, len, MSG_NOSIGNAL, addr, addrlen));
    return n < 0 ? -errno : 0;
}

int
dgram_recv_many(int fd, struct mmsghdr *msgs, unsigned count)
{
    int n;
    FA_RETRY(n, recvmmsg(fd, msgs, count, MSG_DONTWAIT, NULL));
    return n < 0 ? -errno : n;
}

int
dgram_send_many(int fd, struct mmsghdr *msgs, unsigned count)
{
    int n;
    FA_RETRY(n, sendmmsg(fd, msgs, count, MSG_NOSIGNAL));
    return n < 0 ? -errno : n;
}

int
sock_family(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    int rc = getsockname(fd, (struct sockaddr *)&addr, &len);
    return rc < 0 ? -errno : addr.ss_family;
}
