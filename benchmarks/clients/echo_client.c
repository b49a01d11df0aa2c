/* Load for the echo servers: every connection sends a message, waits until
 * all of it came back, compares it byte by byte, and sends the next one.
 *
 *     echo_client ADDRESS CONNECTIONS SIZE SECONDS SERVER_PID
 *
 * Each message carries its own serial number and ends in a newline, so that
 * lost, doubled, misdirected or reordered bytes are seen, and readline()
 * servers work. Prints one JSON object: messages, server_cpu_ns,
 * client_cpu_ns, wall_ns.
 *
 * Invariant: a connection has at most one message under way.  The events are
 * edge triggered; a short read or a short send therefore ends the work on a
 * connection.
 */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERIAL_DIGITS 16
#define MAX_EVENTS 64
#define WARM_UP_SHARE 4 /* the warm-up lasts SECONDS / 4 */

typedef struct {
    int fd;          /* owned */
    uint64_t serial; /* number of the message under way */
    size_t sent;     /* bytes of message already given to the kernel */
    size_t received; /* bytes of reply already there */
    char *message;   /* owned, size bytes */
    char *reply;     /* owned, size bytes */
} Conn;

typedef struct {
    int epoll;         /* owned */
    size_t size;       /* of one message */
    uint64_t messages; /* completed round trips */
} Client;

static void
conn_begin_message(Conn *conn)
{
    static const char digits[] = "0123456789ABCDEF";
    conn->serial++;
    for (int i = 0; i < SERIAL_DIGITS; i++) {
        conn->message[i] = digits[(conn->serial >> (4 * i)) & 15];
    }
    conn->sent = 0;
    conn->received = 0;
}

static void
conn_send(const Client *client, Conn *conn)
{
    while (conn->sent < client->size) {
        ssize_t n = send(conn->fd, conn->message + conn->sent,
                         client->size - conn->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n < 0) {
            client_fail("send");
        }
        conn->sent += (size_t)n;
    }
}

static void
conn_finish_message(Client *client, Conn *conn)
{
    if (memcmp(conn->message, conn->reply, client->size) != 0) {
        errno = 0;
        client_fail("the reply differs from the message");
    }
    client->messages++;
    conn_begin_message(conn);
    conn_send(client, conn);
}

static void
conn_receive(Client *client, Conn *conn)
{
    for (;;) {
        size_t wanted = client->size - conn->received;
        ssize_t n = recv(conn->fd, conn->reply + conn->received, wanted, 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n <= 0) {
            client_fail("the server closed the connection");
        }
        conn->received += (size_t)n;
        if ((size_t)n < wanted) {
            return;
        }
        if (conn->received == client->size) {
            conn_finish_message(client, conn);
            return;
        }
    }
}

static void
conn_open(Client *client, Conn *conn, const char *address, int number)
{
    conn->fd = client_connect(address);
    conn->message = client_alloc(client->size);
    conn->reply = client_alloc(client->size);
    for (size_t i = 0; i < client->size; i++) {
        conn->message[i] = (char)('a' + (i * 7 + (size_t)number) % 23);
    }
    conn->message[client->size - 1] = '\n';
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLET,
        .data = {.ptr = conn},
    };
    if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0) {
        client_fail("epoll_ctl");
    }
    conn_begin_message(conn);
    conn_send(client, conn);
}

/* Go on until `deadline`; returns the time at which it stopped. */
static int64_t
client_run_until(Client *client, int64_t deadline)
{
    struct epoll_event events[MAX_EVENTS];
    int64_t now;
    while ((now = client_now()) < deadline) {
        int ready = epoll_wait(client->epoll, events, MAX_EVENTS, STALL_MS);
        if (ready < 0 && errno != EINTR) {
            client_fail("epoll_wait");
        }
        if (ready == 0) {
            errno = 0;
            client_fail("the server stalled: no answer");
        }
        for (int i = 0; i < ready; i++) {
            Conn *conn = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                conn_send(client, conn);
            }
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
                conn_receive(client, conn);
            }
        }
    }
    return now;
}

static void
client_measure(Client *client, double seconds, pid_t server)
{
    int64_t window = (int64_t)(seconds * NS_PER_SECOND);
    client_run_until(client, client_now() + window / WARM_UP_SHARE);
    client->messages = 0;
    int64_t wall = client_now();
    int64_t server_cpu = client_cpu_of(server);
    int64_t client_cpu = client_cpu_of(getpid());
    int64_t end = client_run_until(client, wall + window);
    printf("{\"messages\": %" PRIu64 ", \"server_cpu_ns\": %" PRId64
           ", \"client_cpu_ns\": %" PRId64 ", \"wall_ns\": %" PRId64 "}\n",
           client->messages, client_cpu_of(server) - server_cpu,
           client_cpu_of(getpid()) - client_cpu, end - wall);
}

int
main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s ADDRESS CONNECTIONS SIZE SECONDS PID\n",
                argv[0]);
        return 2;
    }
    Client client = {
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .size = (size_t)client_number(argv[3]),
    };
    int count = (int)client_number(argv[2]);
    if (client.epoll < 0 || client.size <= SERIAL_DIGITS) {
        client_fail("epoll_create1, or SIZE too small");
    }
    Conn *conns = client_alloc((size_t)count * sizeof *conns);
    for (int i = 0; i < count; i++) {
        conn_open(&client, &conns[i], argv[1], i);
    }
    client_measure(&client, client_number(argv[4]),
                   (pid_t)client_number(argv[5]));
    return 0; /* the kernel takes fds and memory back */
}
