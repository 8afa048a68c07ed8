/* Preloaded into a server, for tests: moves its wall clock by the milliseconds that stand in the
 * file CLOCK_SHIFT_FILE (8 bytes, little-endian), at every look anew, and its uptime by those that
 * stand behind them: together they are what a machine shows that was suspended. The monotonic clocks,
 * which timers go by, and the times that the system gives to files stay what they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t *shift_ms; /* of the wall clock, and of the uptime */

__attribute__((constructor)) static void map_shift(void) {
  const char *path = getenv("CLOCK_SHIFT_FILE");
  int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  void *mapped = mmap(NULL, 2 * sizeof(*shift_ms), PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) abort(); /* a test that went on would prove nothing */
  close(file);
  shift_ms = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  if (syscall(SYS_clock_gettime, clock, now) != 0) return -1;
  if (shift_ms == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return 0;
  int64_t ms = atomic_load(shift_ms);
  now->tv_sec += ms / 1000;
  now->tv_nsec += ms % 1000 * 1000000;
  if (now->tv_nsec < 0) {
    now->tv_nsec += 1000000000;
    now->tv_sec--;
  } else if (now->tv_nsec >= 1000000000) {
    now->tv_nsec -= 1000000000;
    now->tv_sec++;
  }
  return 0;
}

/* What Node.js reads the uptime from. */
static int open_uptime(int flags) {
  struct timespec since;
  char text[64];
  int file = (int)syscall(SYS_memfd_create, "uptime", (flags & O_CLOEXEC) != 0 ? 1 : 0);
  if (file < 0 || syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &since) != 0) return -1;
  double seconds = (double)since.tv_sec + (double)since.tv_nsec / 1e9;
  seconds += (double)atomic_load(&shift_ms[1]) / 1000;
  int length = snprintf(text, sizeof text, "%.2f 0.00\n", seconds);
  if (pwrite(file, text, (size_t)length, 0) != length) return -1;
  return file;
}

int open64(const char *path, int flags, ...) {
  if (shift_ms != NULL && strcmp(path, "/proc/uptime") == 0) return open_uptime(flags);
  va_list more;
  va_start(more, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  static int (*system_open)(const char *, int, ...);
  if (system_open == NULL) {
    /* A pointer to a function, as POSIX has it. */
    void *found = dlsym(RTLD_NEXT, "open64");
    memcpy(&system_open, &found, sizeof found);
  }
  return system_open(path, flags, mode);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec precise;
  if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
  if (out != NULL) *out = precise.tv_sec;
  return precise.tv_sec;
}
