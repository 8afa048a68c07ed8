/* See system.h, and the last part of kernel.h. */
#define _GNU_SOURCE
#include "system.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "kernel.h"

#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <sys/random.h>
#endif

bool system_random(uint8_t *bytes, size_t length) {
#if defined(__linux__)
  /* Up to 256 bytes come whole once the pool is ready, but a signal may come before that. */
  ssize_t got;
  do {
    got = getrandom(bytes, length, 0);
  } while (got < 0 && errno == EINTR);
  return got == (ssize_t)length;
#else
  return getentropy(bytes, length) == 0;
#endif
}

uint64_t system_clock_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Huge pages only cover what is aligned to their size, so the mapping is cut to that. */
enum { HUGE_PAGE = 2 << 20 };

static size_t whole_pages(size_t bytes) {
  return (bytes + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
}

void *system_allocate(size_t bytes) {
  size_t length = whole_pages(bytes);
  uint8_t *mapped = mmap(NULL, length + HUGE_PAGE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return NULL;
  size_t before = whole_pages((uintptr_t)mapped) - (uintptr_t)mapped;
  if (before > 0) munmap(mapped, before);
  if (before < HUGE_PAGE) munmap(mapped + before + length, HUGE_PAGE - before);
#if defined(MADV_HUGEPAGE)
  madvise(mapped + before, length, MADV_HUGEPAGE);
#endif
  return mapped + before;
}

void system_free(void *memory, size_t bytes) { munmap(memory, whole_pages(bytes)); }

void system_wipe(void *memory, size_t bytes) {
  volatile uint8_t *byte = memory;
  while (bytes-- > 0) *byte++ = 0;
}

int grind_lower(int nice) {
#if defined(__linux__)
  /* Zero means the calling thread, not the process. */
  struct sched_param none = {0};
  if (nice == GRIND_IDLE) return sched_setscheduler(0, SCHED_IDLE, &none) == 0 ? 0 : -errno;
  errno = 0;
  int now = getpriority(PRIO_PROCESS, 0);
  if (errno != 0) return -errno;
  if (now >= nice) return 0;
  return setpriority(PRIO_PROCESS, 0, nice) == 0 ? 0 : -errno;
#elif defined(__APPLE__)
  if (nice < 10) return 0;
  return setpriority(PRIO_DARWIN_THREAD, 0, PRIO_DARWIN_BG) == 0 ? 0 : -errno;
#else
  return nice == 0 ? 0 : -ENOSYS;
#endif
}

void grind_exit(int code) { _exit(code); }

int grind_harden(void) {
  struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return -errno;
#if defined(__linux__)
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return -errno;
#endif
  return 0;
}
