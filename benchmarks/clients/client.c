/* See client.h. */
#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

_Noreturn void
client_fail(const char *what)
{
    if (errno != 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
    }
    else {
        fprintf(stderr, "%s\n", what);
    }
    exit(1);
}

static int64_t
clock_ns(clockid_t clock)
{
    struct timespec at;
    if (clock_gettime(clock, &at) < 0) {
        client_fail("clock_gettime");
    }
    return at.tv_sec * NS_PER_SECOND + at.tv_nsec;
}

int64_t
client_now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t
client_cpu_of(pid_t pid)
{
    clockid_t clock;
    int error = clock_getcpuclockid(pid, &clock);
    if (error != 0) {
        errno = error;
        client_fail("clock_getcpuclockid");
    }
    return clock_ns(clock);
}

static int
connect_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path) {
        client_fail("the socket's path is too long");
    }
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        client_fail(path);
    }
    return fd;
}

static int
connect_inet(const char *address, int type)
{
    char host[64];
    const char *colon = strrchr(address, ':');
    if (colon == NULL || (size_t)(colon - address) >= sizeof host) {
        client_fail("the address is not HOST:PORT");
    }
    memcpy(host, address, colon - address);
    host[colon - address] = '\0';
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)atoi(colon + 1)),
    };
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1) {
        client_fail("the host is not a numeric IPv4 address");
    }
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        client_fail(address);
    }
    int on = 1;
    if (type == SOCK_STREAM
        && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        client_fail("TCP_NODELAY");
    }
    return fd;
}

int
client_connect(const char *address)
{
    int fd;
    if (strncmp(address, "unix:", 5) == 0) {
        fd = connect_unix(address + 5);
    }
    else if (strncmp(address, "udp:", 4) == 0) {
        fd = connect_inet(address + 4, SOCK_DGRAM);
    }
    else {
        fd = connect_inet(address, SOCK_STREAM);
    }
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        client_fail("O_NONBLOCK");
    }
    return fd;
}

void *
client_alloc(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        client_fail("out of memory");
    }
    return memory;
}

double
client_number(const char *text)
{
    char *end;
    double number = strtod(text, &end);
    if (*end != '\0' || end == text || !(number > 0)) {
        client_fail("expected a positive number");
    }
    return number;
}
