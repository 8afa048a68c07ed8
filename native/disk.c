/* See disk.h. */
#define _GNU_SOURCE
#include "disk.h"

#include <errno.h>

#if defined(__linux__)
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* Asking for it by _FILE_OFFSET_BITS would make fcntl a function that only glibc has. */
_Static_assert(sizeof(off_t) == 8, "the lock is far behind the end of any file");

int disk_lock(int file) {
  struct flock lock = {
      .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)1 << 62, .l_len = 1};
  if (fcntl(file, F_OFD_SETLK, &lock) == 0) return 0;
  return errno == EACCES ? -EAGAIN : -errno;
}

int disk_is_locked(int file) {
  /* No length means up to the end of all files. */
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
  if (fcntl(file, F_OFD_GETLK, &lock) != 0) return -errno;
  return lock.l_type != F_UNLCK;
}

/* Types of handles that end with the generation, after an inode number of 32 or 64 bits: those of
 * ext2, ext3, ext4 and xfs. Others use the same types for what they like, of other lengths. */
enum { INO32_GEN = 1, INO32_GEN_BYTES = 8, XFS_INO64_GEN = 0x81, XFS_INO64_GEN_BYTES = 12 };

static int ends_with_generation(const struct file_handle *handle) {
  return (handle->handle_type == INO32_GEN && handle->handle_bytes == INO32_GEN_BYTES) ||
         (handle->handle_type == XFS_INO64_GEN && handle->handle_bytes == XFS_INO64_GEN_BYTES);
}

static void write_number(uint32_t generation, char *text) {
  snprintf(text, DISK_GENERATION_MAX, "v%" PRIu32, generation);
}

static void write_handle(const struct file_handle *handle, char *text) {
  const unsigned char *bytes = handle->f_handle;
  *text++ = 'h';
  *text = '\0';
  for (unsigned i = 0; i < handle->handle_bytes; i++, text += 2) sprintf(text, "%02x", bytes[i]);
}

int disk_generation(const char *path, int file, char text[DISK_GENERATION_MAX]) {
  _Alignas(struct file_handle) char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  struct file_handle *handle = (struct file_handle *)room;
  /* The kernel writes 32 bits, whatever the type in the name of the call says. */
  uint32_t generation[2] = {0, 0};
  int mount;
  handle->handle_bytes = MAX_HANDLE_SZ;
  if (name_to_handle_at(AT_FDCWD, path, handle, &mount, AT_SYMLINK_FOLLOW) != 0) {
    int refused = errno;
    if (file < 0 || ioctl(file, FS_IOC_GETVERSION, generation) != 0) return -refused;
  } else if (ends_with_generation(handle)) {
    memcpy(generation, handle->f_handle + handle->handle_bytes - sizeof *generation,
           sizeof *generation);
  } else {
    write_handle(handle, text);
    return 0;
  }
  write_number(*generation, text);
  return 0;
}
#else
int disk_lock(int file) {
  (void)file;
  return -ENOSYS;
}

int disk_is_locked(int file) {
  (void)file;
  return -ENOSYS;
}

int disk_generation(const char *path, int file, char text[DISK_GENERATION_MAX]) {
  (void)path, (void)file, (void)text;
  return -ENOSYS;
}
#endif
