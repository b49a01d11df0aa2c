/* The limit: an echo server that does nothing but the system calls.
 *
 *     echo_epoll tcp        listens on a free port of 127.0.0.1
 *     echo_epoll unix PATH  listens on PATH
 *     echo_epoll udp        one datagram socket on 127.0.0.1
 *
 * Prints "ready ADDRESS" and serves until it is killed.  Level-triggered
 * epoll, one recv and one send per readiness, one buffer for everybody.
 * run.py starts it as the loop "limit": a Python server cannot cost less CPU
 * per message than this with the same system calls, so the ratio to it says
 * what is left to gain.
 *
 * Invariant: while a connection has unsent bytes it is armed for writing
 * only, so its memory is bounded by one read.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BUFFER_SIZE (256 * 1024)
#define MAX_EVENTS 64
#define BACKLOG 1024
#define DATAGRAMS_PER_WAKE 32

typedef struct {
    int fd;         /* owned */
    size_t unsent;  /* bytes of rest that wait for the socket */
    size_t offset;  /* where they begin in rest */
    char *rest;     /* owned, BUFFER_SIZE bytes; NULL until first needed */
} Conn;

typedef struct {
    int epoll;    /* owned */
    int listener; /* owned */
    int is_tcp;   /* set TCP_NODELAY on what it accepts */
    char *buffer; /* owned, BUFFER_SIZE bytes, used within one event only */
} Server;

static _Noreturn void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static void *
allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fail("calloc");
    }
    return memory;
}

static void
conn_close(Conn *conn)
{
    close(conn->fd);
    free(conn->rest);
    free(conn);
}

static void
conn_arm(const Server *server, Conn *conn, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = conn}};
    if (epoll_ctl(server->epoll, operation, conn->fd, &event) < 0) {
        fail("epoll_ctl");
    }
}

static void
conn_keep_rest(const Server *server, Conn *conn, const char *from, size_t size)
{
    if (conn->rest == NULL) {
        conn->rest = allocate(BUFFER_SIZE);
    }
    memcpy(conn->rest, from, size);
    conn->offset = 0;
    conn->unsent = size;
    conn_arm(server, conn, EPOLL_CTL_MOD, EPOLLOUT);
}

/* One recv, one send.  May free conn. */
static void
conn_on_readable(const Server *server, Conn *conn)
{
    ssize_t got = recv(conn->fd, server->buffer, BUFFER_SIZE, 0);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        conn_close(conn);
        return;
    }
    ssize_t sent = send(conn->fd, server->buffer, (size_t)got, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        conn_close(conn);
        return;
    }
    if (sent < got) {
        size_t done = sent < 0 ? 0 : (size_t)sent;
        conn_keep_rest(server, conn, server->buffer + done,
                       (size_t)got - done);
    }
}

/* May free conn. */
static void
conn_on_writable(const Server *server, Conn *conn)
{
    ssize_t sent = send(conn->fd, conn->rest + conn->offset, conn->unsent,
                        MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) {
        return;
    }
    if (sent < 0) {
        conn_close(conn);
        return;
    }
    conn->offset += (size_t)sent;
    conn->unsent -= (size_t)sent;
    if (conn->unsent == 0) {
        conn_arm(server, conn, EPOLL_CTL_MOD, EPOLLIN);
    }
}

static void
server_accept(const Server *server)
{
    int fd = accept4(server->listener, NULL, NULL,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return; /* the peer was faster: it is gone again */
    }
    int on = 1;
    if (server->is_tcp
        && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) {
        fail("TCP_NODELAY");
    }
    Conn *conn = allocate(sizeof *conn);
    conn->fd = fd;
    conn_arm(server, conn, EPOLL_CTL_ADD, EPOLLIN);
}

static _Noreturn void
server_run_streams(const Server *server)
{
    struct epoll_event events[MAX_EVENTS];
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = NULL}};
    int error = epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener,
                          &event);
    if (error < 0) {
        fail("epoll_ctl");
    }
    for (;;) {
        int ready = epoll_wait(server->epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            Conn *conn = events[i].data.ptr;
            if (conn == NULL) {
                server_accept(server);
            }
            else if (events[i].events & EPOLLOUT) {
                conn_on_writable(server, conn);
            }
            else {
                conn_on_readable(server, conn);
            }
        }
    }
}

/* One recvfrom and one sendto per datagram, as long as there are some. */
static _Noreturn void
server_run_datagrams(const Server *server)
{
    struct epoll_event event = {.events = EPOLLIN};
    int error = epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener,
                          &event);
    if (error < 0) {
        fail("epoll_ctl");
    }
    for (;;) {
        (void)epoll_wait(server->epoll, &event, 1, -1);
        for (int i = 0; i < DATAGRAMS_PER_WAKE; i++) {
            struct sockaddr_in from;
            socklen_t length = sizeof from;
            ssize_t got = recvfrom(server->listener, server->buffer,
                                   BUFFER_SIZE, 0, (struct sockaddr *)&from,
                                   &length);
            if (got < 0) {
                break;
            }
            (void)sendto(server->listener, server->buffer, (size_t)got, 0,
                         (struct sockaddr *)&from, length);
        }
    }
}

static int
listen_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path) {
        errno = ENAMETOOLONG;
        fail(path);
    }
    strcpy(at.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0
        || listen(fd, BACKLOG) < 0) {
        fail(path);
    }
    printf("ready unix:%s\n", path);
    return fd;
}

static int
listen_inet(int type)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t length = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0
        || (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)
        || getsockname(fd, (struct sockaddr *)&at, &length) < 0) {
        fail("127.0.0.1");
    }
    printf("ready %s127.0.0.1:%d\n", type == SOCK_DGRAM ? "udp:" : "",
           ntohs(at.sin_port));
    return fd;
}

int
main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    int is_unix = strcmp(kind, "unix") == 0 && argc == 3;
    int is_udp = strcmp(kind, "udp") == 0;
    if (!is_unix && !is_udp && strcmp(kind, "tcp") != 0) {
        fprintf(stderr, "usage: %s tcp | udp | unix PATH\n", argv[0]);
        return 2;
    }
    Server server = {
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .listener = is_unix ? listen_unix(argv[2])
                            : listen_inet(is_udp ? SOCK_DGRAM : SOCK_STREAM),
        .is_tcp = !is_unix && !is_udp,
        .buffer = allocate(BUFFER_SIZE),
    };
    if (server.epoll < 0) {
        fail("epoll_create1");
    }
    fflush(stdout);
    if (is_udp) {
        server_run_datagrams(&server);
    }
    server_run_streams(&server);
}
