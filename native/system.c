/* See system.h, and the last part of kernel.h. */
#define _GNU_SOURCE
#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
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
  /* Zero means the calling thread, not the process. By number: musl has the function, but it only
   * fails. */
  const struct sched_param none = {0};
  if (nice == GRIND_IDLE)
    return syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &none) == 0 ? 0 : -errno;
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

#if defined(__linux__)
enum { LOWERED_MAX = 256, LOWERED_LOOK_US = 2000, LOWERED_WAIT_US = 30000000 };

static bool is_idle(pid_t thread) {
  return syscall(SYS_sched_getscheduler, thread) == SCHED_IDLE;
}

static bool is_lowered(pid_t thread, int own_nice) {
  errno = 0;
  int nice = getpriority(PRIO_PROCESS, (id_t)thread);
  bool is_nicer = errno == 0 && nice > own_nice;
  return is_nicer || is_idle(thread);
}

/* The number in the name of an entry, 0 for other names. Not strtol: newer headers make it another
 * function, which other C libraries lack. */
static pid_t number_of(const char *name) {
  pid_t number = 0;
  for (; *name >= '0' && *name <= '9'; name++) number = number * 10 + (*name - '0');
  return *name == '\0' ? number : 0;
}

/* The threads of this process that run below the calling one, at most LOWERED_MAX. */
static size_t lowered_threads(pid_t threads[LOWERED_MAX]) {
  size_t count = 0;
  int own_nice = getpriority(PRIO_PROCESS, 0);
  DIR *tasks = is_idle(0) ? NULL : opendir("/proc/self/task");
  if (tasks == NULL) return 0;
  for (struct dirent *task; count < LOWERED_MAX && (task = readdir(tasks)) != NULL;) {
    pid_t thread = number_of(task->d_name);
    if (thread > 0 && is_lowered(thread, own_nice)) threads[count++] = thread;
  }
  closedir(tasks);
  return count;
}

static void end_thread(int signal) {
  (void)signal;
  syscall(SYS_exit, 0);
}

/* The last thread to go frees the memory of the process: 20 ms of work, and 5 s when that thread is at
 * nice 15 beside 10 busy ones. So the lowered threads go first, and the calling thread frees it.
 * They go where they stand, perhaps with a lock of the allocator: nothing is allocated after this. */
static void end_lowered_threads(void) {
  pid_t threads[LOWERED_MAX];
  size_t count = lowered_threads(threads);
  struct sigaction action = {.sa_handler = end_thread};
  if (count == 0 || sigaction(SIGRTMIN, &action, NULL) != 0) return;
  pid_t process = getpid();
  for (size_t i = 0; i < count; i++) syscall(SYS_tgkill, process, threads[i], SIGRTMIN);
  uint64_t until = system_clock_us() + LOWERED_WAIT_US;
  const struct timespec look = {.tv_nsec = LOWERED_LOOK_US * 1000};
  for (size_t i = 0; i < count; i++) {
    while (syscall(SYS_tgkill, process, threads[i], 0) == 0 && system_clock_us() < until)
      nanosleep(&look, NULL);
  }
}
#endif

void grind_exit(int code) {
#if defined(__linux__)
  end_lowered_threads();
#endif
  _exit(code);
}

int grind_end_with_parent(int parent) {
#if defined(__linux__)
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return -errno;
  /* It may have ended before. */
  if (getppid() != (pid_t)parent) raise(SIGKILL);
  return 0;
#else
  (void)parent;
  return -ENOSYS;
#endif
}

int grind_harden(void) {
  struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return -errno;
#if defined(__linux__)
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return -errno;
#endif
  return 0;
}
