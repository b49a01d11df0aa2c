/* os/retry.h: a system call, again as long as a signal interrupts it. Private to
   os/. */
#ifndef FA_OS_RETRY_H
#define FA_OS_RETRY_H

#include <errno.h>

#define FA_RETRY(rc, call) \
    do { \
        (rc) = (call); \
    } while ((rc) < 0 && errno == EINTR)

#endif
