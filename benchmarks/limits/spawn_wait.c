/* The limit of spawn_true: posix_spawn("/bin/true") and waitpid, nothing else.
 *
 *     spawn_wait SECONDS
 *
 * Prints one JSON object: operations, wall_ns.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND INT64_C(1000000000)

static int64_t
now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * NS_PER_SECOND + at.tv_nsec;
}

static void
spawn_and_wait(char **environment)
{
    char *arguments[] = {"/bin/true", NULL};
    pid_t pid;
    int status;
    int error = posix_spawn(&pid, arguments[0], NULL, NULL, arguments,
                            environment);
    if (error != 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "/bin/true could not be run\n");
        exit(1);
    }
}

int
main(int argc, char **argv)
{
    double seconds = argc == 2 ? atof(argv[1]) : 0;
    if (!(seconds > 0)) {
        fprintf(stderr, "usage: %s SECONDS\n", argv[0]);
        return 2;
    }
    int64_t operations = 0;
    int64_t start = now();
    int64_t end = start + (int64_t)(seconds * NS_PER_SECOND);
    int64_t at = start;
    while (at < end) {
        spawn_and_wait(environ);
        operations++;
        at = now();
    }
    printf("{\"operations\": %" PRId64 ", \"wall_ns\": %" PRId64 "}\n",
           operations, at - start);
    return 0;
}
