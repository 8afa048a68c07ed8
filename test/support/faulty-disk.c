/*
 * A disk that fails or hangs when a test says so, under a real program: preloaded, it stands before
 * the calls of the C library by which files are opened, written, resized and made durable.
 *
 * It is ruled through a file that both processes map (FAULTY_DISK in the environment): `struct
 * control`, written by faulty-disk.ts. Only files whose path begins with `below` are concerned, and
 * of calls only those that change a file: what is there can be read all the time, as on real disks.
 * All threads of the program may call at once; the test changes `below` while no fault is set.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL_BYTES = 4096 };

struct control {
  /* What the calls of each kind fail with; 0: they work. */
  _Atomic int32_t write, resize, sync, open;
  /* Until it is 0 again no sync ends. */
  _Atomic int32_t is_holding;
  /* How long each sync takes. */
  _Atomic int32_t sync_ms;
  /* Syncs that wait for it. */
  _Atomic int32_t held;
  /* Calls that were made to fail. */
  _Atomic int32_t refused;
  char below[CONTROL_BYTES - 8 * sizeof(int32_t)];
};

static struct control *control;

__attribute__((constructor)) static void map_control(void) {
  const char *path = getenv("FAULTY_DISK");
  if (path == NULL) return;
  int file = open(path, O_RDWR | O_CLOEXEC);
  if (file == -1) abort();
  void *mapped = mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) abort();
  control = mapped;
  close(file);
}

static int is_below(const char *path) {
  return strncmp(path, control->below, strlen(control->below)) == 0;
}

/* Whether the call is to fail; errno is set then. */
static int refuses(const _Atomic int32_t *kind, const char *path) {
  int32_t error = control == NULL ? 0 : *kind;
  if (error == 0 || !is_below(path)) return 0;
  control->refused++;
  errno = error;
  return 1;
}

/* The path of an open file; a removed one keeps its own, with a word behind it. */
static const char *path_of(int file, char path[static 4096]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, 4095);
  path[length < 0 ? 0 : length] = '\0';
  return path;
}

static int refuses_file(const _Atomic int32_t *kind, int file) {
  char path[4096];
  return control != NULL && *kind != 0 && refuses(kind, path_of(file, path));
}

/* The C library's own. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITE(name, offset)                                                    \
  ssize_t name(int file, const void *bytes, size_t count, offset at) {         \
    if (refuses_file(&control->write, file)) return -1;                        \
    return NEXT(name)(file, bytes, count, at);                                 \
  }
WRITE(pwrite, off_t)
WRITE(pwrite64, off64_t)

ssize_t write(int file, const void *bytes, size_t count) {
  if (refuses_file(&control->write, file)) return -1;
  return NEXT(write)(file, bytes, count);
}

#define RESIZE(name, length)                                                   \
  int name(int file, length size) {                                            \
    if (refuses_file(&control->resize, file)) return -1;                       \
    return NEXT(name)(file, size);                                             \
  }
RESIZE(ftruncate, off_t)
RESIZE(ftruncate64, off64_t)

static void wait_ms(int32_t ms) {
  struct timespec rest = {ms / 1000, ms % 1000 * 1000000L};
  while (nanosleep(&rest, &rest) == -1 && errno == EINTR) continue;
}

static void wait_to_sync(void) {
  if (control->is_holding) {
    control->held++;
    while (control->is_holding) wait_ms(1);
    control->held--;
  }
  wait_ms(control->sync_ms);
}

#define SYNC(name)                                                             \
  int name(int file) {                                                         \
    char path[4096];                                                           \
    if (control == NULL || !is_below(path_of(file, path))) return NEXT(name)(file); \
    wait_to_sync();                                                            \
    return refuses(&control->sync, path) ? -1 : NEXT(name)(file);              \
  }
SYNC(fsync)
SYNC(fdatasync)

#define OPEN(name)                                                             \
  int name(const char *path, int flags, ...) {                                 \
    va_list rest;                                                              \
    va_start(rest, flags);                                                     \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;    \
    va_end(rest);                                                              \
    int writes = (flags & O_ACCMODE) != O_RDONLY;                              \
    if (writes && refuses(&control->open, path)) return -1;                    \
    return NEXT(name)(path, flags, mode);                                      \
  }
OPEN(open)
OPEN(open64)

int access(const char *path, int mode) {
  if ((mode & W_OK) && refuses(&control->open, path)) return -1;
  return NEXT(access)(path, mode);
}
