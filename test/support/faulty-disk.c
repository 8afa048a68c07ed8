/*
 * A disk that fails or hangs when a test says so, under a real program: preloaded, it stands before
 * the calls of the C library by which files are opened, read, written, resized, made durable, renamed
 * and removed, and directories made.
 *
 * It is ruled through a file that both processes map (FAULTY_DISK in the environment): `struct
 * control`, written by faulty-disk.ts. There are some places, each with faults of its own: only
 * files whose path begins with `below` of a place are concerned, or is it. Reads fail only where a
 * test says so: most disks that cannot be written can be read. Names are taken as
 * they are given: the program that is tried uses absolute ones. All threads of it may call at once;
 * the test changes `below` of a place while no fault is set there.
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
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL_BYTES = 4096, PLACES = 3, PLACE_BYTES = 1024 };
/* As faulty-disk.ts numbers them. */
enum kind { WRITE, RESIZE, SYNC, OPEN, RENAME, UNLINK, READ, KINDS };

struct place {
  /* What the calls of each kind fail with; 0: they work. */
  _Atomic int32_t errors[KINDS];
  /* Only the file that is called `below`. */
  _Atomic int32_t is_whole;
  /* So many of these calls still work, and then so many fail; 0: all after them. */
  _Atomic int32_t skipped;
  _Atomic int32_t times;
  char below[PLACE_BYTES - (KINDS + 3) * sizeof(int32_t)];
};

struct control {
  struct place places[PLACES];
  /* Until it is 0 again no sync in the first place ends. */
  _Atomic int32_t is_holding;
  /* How long each sync there takes. */
  _Atomic int32_t sync_ms;
  /* Syncs that wait for it. */
  _Atomic int32_t held;
  /* Calls that were made to fail, in all places. */
  _Atomic int32_t refused;
};
_Static_assert(sizeof(struct control) <= CONTROL_BYTES, "it is mapped whole");

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

static int is_in(const struct place *place, const char *path) {
  if (place->is_whole) return strcmp(path, place->below) == 0;
  return strncmp(path, place->below, strlen(place->below)) == 0;
}

static int fails_anywhere(enum kind kind) {
  if (control == NULL) return 0;
  for (int at = 0; at < PLACES; at++) {
    if (control->places[at].errors[kind] != 0) return 1;
  }
  return 0;
}

/* Whether the call is to fail; errno is set then. */
static int refuses(enum kind kind, const char *path) {
  if (control == NULL) return 0;
  for (int at = 0; at < PLACES; at++) {
    struct place *place = &control->places[at];
    int32_t error = place->errors[kind];
    if (error == 0 || !is_in(place, path)) continue;
    if (place->skipped > 0) {
      place->skipped--;
      continue;
    }
    if (place->times > 0 && --place->times == 0) place->errors[kind] = 0;
    control->refused++;
    errno = error;
    return 1;
  }
  return 0;
}

/* The path of an open file; a removed one keeps its own, with a word behind it. */
static const char *path_of(int file, char path[static 4096]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, 4095);
  path[length < 0 ? 0 : length] = '\0';
  return path;
}

static int refuses_file(enum kind kind, int file) {
  char path[4096];
  return fails_anywhere(kind) && refuses(kind, path_of(file, path));
}

/* The C library's own. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITES(name, offset)                                                   \
  ssize_t name(int file, const void *bytes, size_t count, offset at) {         \
    if (refuses_file(WRITE, file)) return -1;                                  \
    return NEXT(name)(file, bytes, count, at);                                 \
  }
WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)

ssize_t write(int file, const void *bytes, size_t count) {
  if (refuses_file(WRITE, file)) return -1;
  return NEXT(write)(file, bytes, count);
}

#define READS(name, offset)                                                    \
  ssize_t name(int file, void *bytes, size_t count, offset at) {               \
    if (refuses_file(READ, file)) return -1;                                   \
    return NEXT(name)(file, bytes, count, at);                                 \
  }
READS(pread, off_t)
READS(pread64, off64_t)

ssize_t read(int file, void *bytes, size_t count) {
  if (refuses_file(READ, file)) return -1;
  return NEXT(read)(file, bytes, count);
}

#define RESIZES(name, length)                                                  \
  int name(int file, length size) {                                            \
    if (refuses_file(RESIZE, file)) return -1;                                 \
    return NEXT(name)(file, size);                                             \
  }
RESIZES(ftruncate, off_t)
RESIZES(ftruncate64, off64_t)

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

#define SYNCS(name)                                                            \
  int name(int file) {                                                         \
    char path[4096];                                                           \
    if (control == NULL) return NEXT(name)(file);                              \
    if (is_in(&control->places[0], path_of(file, path))) wait_to_sync();       \
    return refuses(SYNC, path) ? -1 : NEXT(name)(file);                        \
  }
SYNCS(fsync)
SYNCS(fdatasync)

#define OPENS(name)                                                            \
  int name(const char *path, int flags, ...) {                                 \
    va_list rest;                                                              \
    va_start(rest, flags);                                                     \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;    \
    va_end(rest);                                                              \
    int writes = (flags & O_ACCMODE) != O_RDONLY;                              \
    if (writes && refuses(OPEN, path)) return -1;                              \
    return NEXT(name)(path, flags, mode);                                      \
  }
OPENS(open)
OPENS(open64)

int access(const char *path, int mode) {
  if ((mode & W_OK) && refuses(OPEN, path)) return -1;
  return NEXT(access)(path, mode);
}

/* What the system looks for first is reported as it is: a name that is there, or is missing. */
static int is_there(const char *path) {
  struct stat stats;
  int before = errno;
  int found = lstat(path, &stats) == 0;
  errno = before;
  return found;
}

int mkdir(const char *path, mode_t mode) {
  if (!is_there(path) && refuses(OPEN, path)) return -1;
  return NEXT(mkdir)(path, mode);
}

static int refuses_rename(const char *from, const char *to) {
  return is_there(from) && (refuses(RENAME, from) || refuses(RENAME, to));
}

int rename(const char *from, const char *to) {
  if (refuses_rename(from, to)) return -1;
  return NEXT(rename)(from, to);
}

int renameat(int old, const char *from, int new, const char *to) {
  if (refuses_rename(from, to)) return -1;
  return NEXT(renameat)(old, from, new, to);
}

int renameat2(int old, const char *from, int new, const char *to, unsigned flags) {
  if (refuses_rename(from, to)) return -1;
  return NEXT(renameat2)(old, from, new, to, flags);
}

static int refuses_unlink(const char *path) {
  return is_there(path) && refuses(UNLINK, path);
}

#define REMOVES(name)                                                          \
  int name(const char *path) {                                                 \
    if (refuses_unlink(path)) return -1;                                       \
    return NEXT(name)(path);                                                   \
  }
REMOVES(unlink)
REMOVES(remove)
REMOVES(rmdir)

int unlinkat(int directory, const char *path, int flags) {
  if (refuses_unlink(path)) return -1;
  return NEXT(unlinkat)(directory, path, flags);
}
