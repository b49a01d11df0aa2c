/* What the load clients share: clocks, connecting, ending with a reason.
 *
 * A client is a process of its own, so that its work is never charged to the
 * server.  It reads the server's CPU clock itself, right at the edges of the
 * window it measures: start-up, connecting and the warm-up stay outside.
 */
#ifndef BENCHMARK_CLIENT_H
#define BENCHMARK_CLIENT_H

#include <stdint.h>
#include <sys/types.h>

#define NS_PER_SECOND INT64_C(1000000000)
#define STALL_MS 10000 /* a server silent for so long has lost something */

/* Print `what`, with errno's text if it is not 0, and exit with 1. */
_Noreturn void client_fail(const char *what);

/* Monotonic time in ns. */
int64_t client_now(void);

/* CPU time of all threads of process `pid` so far, in ns. */
int64_t client_cpu_of(pid_t pid);

/* Connect to "HOST:PORT", "udp:HOST:PORT" or "unix:PATH" (HOST is numeric
 * IPv4).  Returns a non-blocking fd that the caller owns; fails otherwise. */
int client_connect(const char *address);

/* malloc that does not return NULL. */
void *client_alloc(size_t size);

/* A positive number from the command line. */
double client_number(const char *text);

#endif
