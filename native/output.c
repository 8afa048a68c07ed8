/* See output.h. */
#include "output.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int output_error(int file) {
  struct pollfd output = {.fd = file, .events = POLLOUT};
  int ready;
  do {
    ready = poll(&output, 1, 0);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return -errno;
  if (output.revents & POLLNVAL) return -EBADF;
  return output.revents & (POLLERR | POLLHUP) ? -EPIPE : 0;
}

int output_unsent(int file) {
  int bytes = 0;
#if defined(__APPLE__)
  socklen_t length = sizeof bytes;
  return getsockopt(file, SOL_SOCKET, SO_NWRITE, &bytes, &length) == 0 ? bytes : -errno;
#else
  return ioctl(file, TIOCOUTQ, &bytes) == 0 ? bytes : -errno;
#endif
}

int output_discard(int file) {
  const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  return setsockopt(file, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0 ? 0 : -errno;
}
