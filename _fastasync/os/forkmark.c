/* os/forkmark.c: am I still the process that I was?

   getpid() is a system call. A page that the kernel wipes in a forked child says
   the same in one load, whoever has forked. */
#include "os/os.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int
forkmark_open(volatile uint32_t **mark)
{
#ifdef MADV_WIPEONFORK
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return -errno;
    }
    if (madvise(page, size, MADV_WIPEONFORK) < 0) {
        int error = errno;
        munmap(page, size);
        return -error;
    }
    *mark = page;
    return 0;
#else
    (void)mark;
    return -ENOSYS;
#endif
}

void
forkmark_close(volatile uint32_t *mark)
{
    munmap((void *)(uintptr_t)mark, (size_t)sysconf(_SC_PAGESIZE));
}
