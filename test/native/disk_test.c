/* Locks and generations of files in the system's directory for temporary ones. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "disk.h"

enum { PATH_ROOM = 128 };

static char directory[] = "/tmp/disk-test-XXXXXX";

static const char *inside(char path[PATH_ROOM], const char *name) {
  snprintf(path, PATH_ROOM, "%s/%s", directory, name);
  return path;
}

static void make(const char *path) {
  int file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
  CHECK(file >= 0 && close(file) == 0);
}

/* Opened once more for each: locks are those of open files, not of the process. */
static void check_locks(const char *path) {
  int first = open(path, O_RDWR), second = open(path, O_RDWR), third = open(path, O_RDONLY);
  CHECK(first >= 0 && second >= 0 && third >= 0);
  CHECK(disk_is_locked(third) == 0);
  CHECK(disk_lock(first) == 0);
  CHECK(disk_lock(second) == -EAGAIN);
  CHECK(disk_is_locked(first) == 0 && disk_is_locked(second) == 1 && disk_is_locked(third) == 1);
  CHECK(close(first) == 0);
  /* To read alone is not enough. */
  CHECK(disk_lock(third) == -EBADF);
  CHECK(disk_lock(second) == 0);
  CHECK(close(second) == 0 && disk_is_locked(third) == 0);
  CHECK(close(third) == 0);
  CHECK(disk_lock(third) == -EBADF && disk_is_locked(third) == -EBADF);
}

/* A "v" and digits, or an "h" and pairs of hexadecimal ones. */
static void check_form(const char *text) {
  size_t length = strlen(text), digits = strspn(text + 1, "0123456789abcdef");
  CHECK(length < DISK_GENERATION_MAX && digits == length - 1);
  CHECK(text[0] == 'v' ? strspn(text + 1, "0123456789") == digits && digits > 0
                       : text[0] == 'h' && digits % 2 == 0);
}

static void check_generations(const char *path) {
  char by_path[DISK_GENERATION_MAX], again[DISK_GENERATION_MAX], other[PATH_ROOM];
  int file = open(path, O_RDONLY);
  CHECK(file >= 0);
  int status = disk_generation(path, file, by_path);
  /* Some systems keep none, those of containers among them. */
  if (status == 0) {
    check_form(by_path);
    CHECK(disk_generation(path, -1, again) == 0 && strcmp(by_path, again) == 0);
    make(inside(other, "other"));
    CHECK(disk_generation(other, -1, again) == 0);
    check_form(again);
    CHECK(strcmp(by_path, "v0") == 0 || strcmp(by_path, again) != 0);
    CHECK(unlink(other) == 0);
  } else {
    CHECK(status < 0);
  }
  CHECK(close(file) == 0);
  CHECK(disk_generation(inside(other, "missing"), -1, again) < 0);
}

int main(void) {
  char path[PATH_ROOM];
#if !defined(__linux__)
  CHECK(disk_lock(0) == -ENOSYS);
  return 0;
#endif
  CHECK(mkdtemp(directory) != NULL);
  make(inside(path, "file"));
  check_locks(path);
  check_generations(path);
  CHECK(unlink(path) == 0 && rmdir(directory) == 0);
  return 0;
}
