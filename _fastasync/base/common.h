/* base/common.h: what every file of the house may assume, without Python.

   Only macros and libc are here, so that os/ can be read, compiled and tested
   without an interpreter. FA_INTERNAL marks every function that crosses a file
   border: hidden symbols in a build of separate files, plain statics in the
   one-file release build (onefile.c defines it before any include). */
#ifndef FA_BASE_COMMON_H
#define FA_BASE_COMMON_H

#include <stddef.h>
#include <stdint.h>

#ifndef FA_INTERNAL
#  define FA_INTERNAL extern __attribute__((visibility("hidden")))
#endif

#define FA_LIKELY(x) __builtin_expect(!!(x), 1)
#define FA_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define FA_HOT __attribute__((hot))
#define FA_COLD __attribute__((cold, noinline))
#define FA_UNUSED __attribute__((unused))

/* The struct that embeds `member`, from a pointer to the member. */
#define FA_CONTAINER_OF(ptr, type, member) \
    ((type *)((char *)(ptr) - offsetof(type, member)))

#define FA_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Have the caches fetch so many bytes (a constant) at `ptr`, which may be any
   address: nothing is read. */
static inline void
fa_fetch(const void *ptr, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 64) {
        __builtin_prefetch((const char *)ptr + at, 1);
    }
}

#define FA_NS_PER_SEC INT64_C(1000000000)
#define FA_NS_PER_MS INT64_C(1000000)
#define FA_NS_PER_US INT64_C(1000)

/* Invariants, checked in debug builds only: a release build never aborts. */
#ifdef FA_DEBUG
#  include <assert.h>
#  define FA_ASSERT(x) assert(x)
#else
#  define FA_ASSERT(x) ((void)0)
#endif

#endif
