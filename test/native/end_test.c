/* The end of a process that has threads of a lower priority: they are gone before it ends. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "kernel.h"

#if defined(__linux__)
#include <sys/syscall.h>

enum { CODE = 7, LEFT_BEHIND = 8, LOWERED = 2 };

static const int NICES[LOWERED] = {5, GRIND_IDLE};
static _Atomic pid_t lowered[LOWERED], equal;

static bool is_there(pid_t thread) { return syscall(SYS_tgkill, getpid(), thread, 0) == 0; }

/* In place of the C library's: reports what is still there. */
void _exit(int code) {
  bool is_right = is_there(equal);
  for (size_t i = 0; i < LOWERED; i++) is_right = is_right && !is_there(lowered[i]);
  for (;;) syscall(SYS_exit_group, code != CODE || is_right ? code : LEFT_BEHIND);
}

/* Threads that never end by themselves: two in a calculation, one asleep. */
static void *calculate(void *index) {
  size_t i = (size_t)(uintptr_t)index;
  CHECK(grind_lower(NICES[i]) == 0);
  lowered[i] = (pid_t)syscall(SYS_gettid);
  for (;;) atomic_signal_fence(memory_order_seq_cst);
}

static void *sleep_on(void *unused) {
  equal = (pid_t)syscall(SYS_gettid);
  while (true) pause();
  return unused;
}

static void end_with_lowered_threads(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, sleep_on, NULL) == 0);
  for (size_t i = 0; i < LOWERED; i++)
    CHECK(pthread_create(&thread, NULL, calculate, (void *)(uintptr_t)i) == 0);
  const struct timespec look = {.tv_nsec = 1000000};
  while (equal == 0 || lowered[0] == 0 || lowered[1] == 0) nanosleep(&look, NULL);
  grind_exit(CODE);
}

int main(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) end_with_lowered_threads();
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == CODE);
  return 0;
}
#else
int main(void) { return 0; }
#endif
