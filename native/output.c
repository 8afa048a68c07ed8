/* See output.h. */
#include "output.h"

#include <errno.h>
#include <poll.h>

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
