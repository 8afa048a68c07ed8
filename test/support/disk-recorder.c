/* Loaded into a server by LD_PRELOAD: writes down, in order, what it asks of the disk and what it
 * says to others, for test/support/power-loss.ts to replay.
 *
 *   DISK_RECORDER_DIRECTORY   the absolute path of the directory whose files are watched, no deeper
 *   DISK_RECORDER_TRACE       the file that records are appended to, made with the first one
 *
 * A record is a header and, behind it, `bytes` of payload. What changes a file is recorded when it
 * is done, and nothing else happens to the files meanwhile: so a write stands before a sync begins
 * if it was complete by then, and else behind. What is sent to a socket is recorded before it
 * leaves. A process that never touches the directory or a socket leaves no trace.
 *
 * Calls go straight to the system, not to the C library that they were meant for: nothing has to be
 * looked up, and nothing here allocates or calls itself. 64-bit Linux only, where an offset is one
 * register and the names that end in 64 are the same calls. Not recorded are calls that Node.js
 * does not make on these files (openat, pwritev, fallocate) and shared memory maps: the replay
 * compares what it comes to with the files themselves. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { OPENED = 1, WRITTEN, RESIZED, RENAMED, UNLINKED, SYNCING, SYNCED, SENT };

struct header {
  uint32_t kind;
  uint32_t bytes;
  uint64_t file;    /* inode, which names the directory, too; of SENT the descriptor */
  uint64_t at;      /* OPENED: flags. WRITTEN: offset. RESIZED: size. SYNC...: number of the sync */
  uint64_t time_us; /* of a clock that never goes back */
};

/* Of descriptors, the inode that was opened, 0 if it is not watched. Stale when a descriptor was
 * closed: libuv does that by a call of its own, so each use compares it with what is open now. */
enum { DESCRIPTORS = 1 << 16 };
static _Atomic uint64_t inodes[DESCRIPTORS];

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *directory, *trace_path;
static int trace = -1;
static uint64_t syncs;

__attribute__((constructor)) static void begin(void) {
  directory = getenv("DISK_RECORDER_DIRECTORY");
  trace_path = getenv("DISK_RECORDER_TRACE");
  if (directory == NULL || trace_path == NULL) abort();
}

/* A record that is lost would prove the wrong thing: rather no server than that. */
static void put(const void *bytes, size_t length) {
  const char *next = bytes;
  while (length > 0) {
    ssize_t done = syscall(SYS_write, trace, next, length);
    if (done < 0 && errno != EINTR) abort();
    if (done > 0) next += done, length -= (size_t)done;
  }
}

/* The first `length` bytes of `parts` are the payload. The caller holds the mutex; errno stays. */
static void record(enum kind kind, uint64_t file, uint64_t at, const struct iovec *parts,
                   size_t length) {
  int before = errno;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (trace < 0) {
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    trace = (int)syscall(SYS_openat, AT_FDCWD, trace_path, flags, 0600);
    if (trace < 0) abort();
  }
  uint64_t time_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
  struct header header = {kind, (uint32_t)length, file, at, time_us};
  put(&header, sizeof header);
  for (; length > 0; parts++) {
    size_t part = parts->iov_len < length ? parts->iov_len : length;
    put(parts->iov_base, part);
    length -= part;
  }
  errno = before;
}

static void record_text(enum kind kind, uint64_t file, uint64_t at, const char *text,
                        size_t length) {
  struct iovec part = {(void *)(uintptr_t)text, length};
  record(kind, file, at, &part, length);
}

/* The name of a path in the directory, "" for the directory itself, NULL for any other path. */
static const char *name_of(const char *path) {
  size_t length = strlen(directory);
  if (strncmp(path, directory, length) != 0) return NULL;
  if (path[length] == '\0') return path + length;
  if (path[length] != '/' || strchr(path + length + 1, '/') != NULL) return NULL;
  return path + length + 1;
}

/* What a descriptor leads to: the inode of a watched file, or 0; and whether to a socket. */
static uint64_t look_at(int fd, bool *is_socket) {
  struct stat stats;
  int before = errno;
  bool is_open = fstat(fd, &stats) == 0;
  errno = before;
  *is_socket = is_open && S_ISSOCK(stats.st_mode);
  bool is_file = is_open && (S_ISREG(stats.st_mode) || S_ISDIR(stats.st_mode));
  return is_file && fd < DESCRIPTORS && inodes[fd] == stats.st_ino ? stats.st_ino : 0;
}

static uint64_t inode_of(int fd) {
  bool is_socket;
  return look_at(fd, &is_socket);
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  const char *name = name_of(path);
  pthread_mutex_lock(&mutex);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (fd >= DESCRIPTORS) abort();
  if (fd >= 0) inodes[fd] = 0;
  struct stat stats;
  if (fd >= 0 && name != NULL) {
    if (fstat(fd, &stats) != 0) abort();
    inodes[fd] = stats.st_ino;
    record_text(OPENED, stats.st_ino, (uint64_t)flags, name, strlen(name));
  }
  pthread_mutex_unlock(&mutex);
  return fd;
}

/* All writes; `offset` is -1 for one at the file's own position, and for a socket. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset) {
  bool is_socket;
  uint64_t inode = look_at(fd, &is_socket);
  if (inode == 0) {
    if (is_socket) {
      size_t length = 0;
      for (int i = 0; i < count; i++) length += parts[i].iov_len;
      pthread_mutex_lock(&mutex);
      record(SENT, (uint64_t)fd, 0, parts, length);
      pthread_mutex_unlock(&mutex);
    }
    if (offset < 0) return syscall(SYS_writev, fd, parts, count);
    return syscall(SYS_pwrite64, fd, parts->iov_base, parts->iov_len, offset);
  }
  pthread_mutex_lock(&mutex);
  off_t at = offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset;
  ssize_t done = offset < 0 ? syscall(SYS_writev, fd, parts, count)
                            : syscall(SYS_pwrite64, fd, parts->iov_base, parts->iov_len, offset);
  if (done > 0) record(WRITTEN, inode, (uint64_t)at, parts, (size_t)done);
  pthread_mutex_unlock(&mutex);
  return done;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  struct iovec part = {(void *)(uintptr_t)bytes, length};
  return write_parts(fd, &part, 1, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  return write_parts(fd, parts, count, -1);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  struct iovec part = {(void *)(uintptr_t)bytes, length};
  return write_parts(fd, &part, 1, offset);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  size_t length = 0;
  for (size_t i = 0; i < message->msg_iovlen; i++) length += message->msg_iov[i].iov_len;
  pthread_mutex_lock(&mutex);
  record(SENT, (uint64_t)fd, 0, message->msg_iov, length);
  pthread_mutex_unlock(&mutex);
  return syscall(SYS_sendmsg, fd, message, flags);
}

int ftruncate(int fd, off_t size) {
  uint64_t inode = inode_of(fd);
  if (inode == 0) return (int)syscall(SYS_ftruncate, fd, size);
  pthread_mutex_lock(&mutex);
  int result = (int)syscall(SYS_ftruncate, fd, size);
  if (result == 0) record(RESIZED, inode, (uint64_t)size, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return result;
}

/* The payload is both names, each with its 0. A name outside the directory is not expected. */
int rename(const char *from, const char *to) {
  const char *old_name = name_of(from), *new_name = name_of(to);
  if (old_name == NULL && new_name == NULL) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
  }
  if (old_name == NULL || new_name == NULL) abort();
  pthread_mutex_lock(&mutex);
  int result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
  if (result == 0) {
    struct iovec names[2] = {{(void *)(uintptr_t)old_name, strlen(old_name) + 1},
                             {(void *)(uintptr_t)new_name, strlen(new_name) + 1}};
    record(RENAMED, 0, 0, names, names[0].iov_len + names[1].iov_len);
  }
  pthread_mutex_unlock(&mutex);
  return result;
}

int unlink(const char *path) {
  const char *name = name_of(path);
  if (name == NULL) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  pthread_mutex_lock(&mutex);
  int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (result == 0) record_text(UNLINKED, 0, 0, name, strlen(name));
  pthread_mutex_unlock(&mutex);
  return result;
}

int remove(const char *path) {
  int before = errno;
  if (unlink(path) == 0) return 0;
  if (errno != EISDIR) return -1;
  errno = before;
  return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

/* A sync has a number: two threads may sync one file at once. One that fails has no end. */
static int sync_file(int fd, long call) {
  uint64_t inode = inode_of(fd);
  if (inode == 0) return (int)syscall(call, fd);
  pthread_mutex_lock(&mutex);
  uint64_t number = ++syncs;
  record(SYNCING, inode, number, NULL, 0);
  pthread_mutex_unlock(&mutex);
  int result = (int)syscall(call, fd);
  if (result != 0) return result;
  pthread_mutex_lock(&mutex);
  record(SYNCED, inode, number, NULL, 0);
  pthread_mutex_unlock(&mutex);
  return 0;
}

int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset)
    __attribute__((alias("pwrite")));
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));
