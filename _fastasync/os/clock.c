/* os/clock.c: one clock. Reading it is a vDSO call of about 20 ns; the cycle
   counter costs a third and answers "has some time passed" (run.c). */
#include "os/os.h"

#include <time.h>

int64_t
clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * FA_NS_PER_SEC + ts.tv_nsec;
}

uint64_t
clock_ticks_per_us(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return 2500; // 1.5 to 5 GHz in the field: good to a factor of two
#elif defined(__aarch64__)
    uint64_t hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz < 1000000 ? 1 : hz / 1000000;
#else
    return 1000;
#endif
}
