/* Keep-alive load for the HTTP servers, where every response is checked.
 *
 *     http_client ADDRESS CONNECTIONS BODY SECONDS SERVER_PID
 *
 * Sends GET / on every connection, one request at a time, and insists on
 * status 200, a Content-Length and exactly BODY.  It stands in for wrk where
 * wrk is not installed, and runs before wrk where it is: wrk does not read
 * bodies. Prints one JSON object: messages, bytes, server_cpu_ns, wall_ns.
 *
 * Invariant: a connection has at most one request under way, so that the end
 * of a response is the end of what there is to read.
 */
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_EVENTS 128
#define RESPONSE_MAX 16384
#define WARM_UP_SHARE 4

typedef struct {
    int fd;                          /* owned */
    size_t received;                 /* bytes of response already there */
    char response[RESPONSE_MAX + 1]; /* NUL-terminated for the parsing */
} Conn;

typedef struct {
    int epoll;          /* owned */
    char request[256];  /* the same for all */
    const char *body;   /* borrowed from argv */
    uint64_t responses; /* complete and right */
    uint64_t bytes;     /* of those responses */
} Client;

static _Noreturn void
fail_response(const Conn *conn, const char *why)
{
    fprintf(stderr, "%.400s\n", conn->response);
    errno = 0;
    client_fail(why);
}

static void
conn_request(const Client *client, Conn *conn)
{
    size_t length = strlen(client->request);
    conn->received = 0;
    ssize_t n = send(conn->fd, client->request, length, MSG_NOSIGNAL);
    if (n != (ssize_t)length) {
        client_fail("send of a request");
    }
}

/* Returns 1 if the response is complete and right, 0 if more must come. */
static int
conn_check(const Client *client, Conn *conn)
{
    conn->response[conn->received] = '\0';
    char *end = strstr(conn->response, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    if (strncmp(conn->response, "HTTP/1.1 200", 12) != 0) {
        fail_response(conn, "the status is not 200");
    }
    const char *length = strcasestr(conn->response, "\r\ncontent-length:");
    if (length == NULL || length > end) {
        fail_response(conn, "no Content-Length");
    }
    size_t body = strtoul(length + strlen("\r\ncontent-length:"), NULL, 10);
    size_t total = (size_t)(end + 4 - conn->response) + body;
    if (conn->received < total) {
        return 0;
    }
    if (conn->received > total || body != strlen(client->body)
        || memcmp(end + 4, client->body, body) != 0) {
        fail_response(conn, "the body is not the one expected");
    }
    return 1;
}

static void
conn_receive(Client *client, Conn *conn)
{
    for (;;) {
        size_t room = RESPONSE_MAX - conn->received;
        ssize_t n = recv(conn->fd, conn->response + conn->received, room, 0);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n <= 0) {
            client_fail("the server closed the connection");
        }
        conn->received += (size_t)n;
        if (conn_check(client, conn)) {
            client->responses++;
            client->bytes += conn->received;
            conn_request(client, conn);
            return;
        }
        if (conn->received == RESPONSE_MAX) {
            fail_response(conn, "the response is too long");
        }
    }
}

static void
client_run_until(Client *client, int64_t deadline)
{
    struct epoll_event events[MAX_EVENTS];
    while (client_now() < deadline) {
        int ready = epoll_wait(client->epoll, events, MAX_EVENTS, STALL_MS);
        if (ready < 0 && errno != EINTR) {
            client_fail("epoll_wait");
        }
        if (ready == 0) {
            errno = 0;
            client_fail("the server stalled: no answer");
        }
        for (int i = 0; i < ready; i++) {
            conn_receive(client, events[i].data.ptr);
        }
    }
}

static void
client_open(Client *client, const char *address, int count)
{
    for (int i = 0; i < count; i++) {
        Conn *conn = client_alloc(sizeof *conn);
        struct epoll_event event = {
            .events = EPOLLIN | EPOLLET,
            .data = {.ptr = conn},
        };
        conn->fd = client_connect(address);
        if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0) {
            client_fail("epoll_ctl");
        }
        conn_request(client, conn);
    }
}

static void
client_measure(Client *client, double seconds, pid_t server)
{
    int64_t window = (int64_t)(seconds * NS_PER_SECOND);
    client_run_until(client, client_now() + window / WARM_UP_SHARE);
    client->responses = 0;
    client->bytes = 0;
    int64_t wall = client_now();
    int64_t cpu = client_cpu_of(server);
    client_run_until(client, wall + window);
    printf("{\"messages\": %" PRIu64 ", \"bytes\": %" PRIu64
           ", \"server_cpu_ns\": %" PRId64 ", \"wall_ns\": %" PRId64 "}\n",
           client->responses, client->bytes, client_cpu_of(server) - cpu,
           client_now() - wall);
}

int
main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s ADDRESS CONNECTIONS BODY SECONDS PID\n",
                argv[0]);
        return 2;
    }
    Client client = {
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .body = argv[3],
    };
    if (client.epoll < 0) {
        client_fail("epoll_create1");
    }
    snprintf(client.request, sizeof client.request,
             "GET / HTTP/1.1\r\nHost: %.100s\r\n\r\n", argv[1]);
    client_open(&client, argv[1], (int)client_number(argv[2]));
    client_measure(&client, client_number(argv[4]),
                   (pid_t)client_number(argv[5]));
    return 0; /* the kernel takes fds and memory back */
}
