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

static void check_locks(const char *path) {
  CHECK(disk_is_locked(path) == 0);
  int held = disk_open_locked(path);
  CHECK(held >= 0);
  CHECK(fcntl(held, F_GETFD) & FD_CLOEXEC);
  CHECK(disk_open_locked(path) == -EAGAIN);
  CHECK(disk_is_locked(path) == 1);
  /* Each failure has closed what it opened: the next descriptor is the one after. */
  int next = dup(held);
  CHECK(next == held + 1 && close(next) == 0);
  CHECK(close(held) == 0);
  CHECK(disk_is_locked(path) == 0);
}

static void check_refusals(const char *path) {
  char link[PATH_ROOM], missing[PATH_ROOM];
  inside(missing, "missing");
  CHECK(symlink(path, inside(link, "link")) == 0);
  CHECK(disk_open_locked(link) == -ELOOP);
  CHECK(disk_open_locked(missing) == -ENOENT);
  CHECK(disk_is_locked(missing) == -ENOENT);
  CHECK(unlink(link) == 0);
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
  CHECK(disk_open_locked("/") == -ENOSYS);
  return 0;
#endif
  CHECK(mkdtemp(directory) != NULL);
  make(inside(path, "file"));
  check_locks(path);
  check_refusals(path);
  check_generations(path);
  CHECK(unlink(path) == 0 && rmdir(directory) == 0);
  return 0;
}
