/*
 * A client that reads slowly, which Node.js cannot be: the system of its own takes little in advance for it.
 *
 *     slow-reader PORT RECEIVE_BUFFER BYTES_A_SECOND SECONDS < REQUESTS > REPLIES
 *
 * Connects to 127.0.0.1, says so on standard error, sends what stands on standard input, reads at that rate for so many seconds, and then as fast as it
 * can; a receive buffer of 0 is that of the system. Ends with 0 when the server ends the connection in order, with 3
 * when it is reset, with 1 at any other failure.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PART_MS = 100, SEGMENT = 1000, RESET = 3 };

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void write_all(int file, const char *bytes, size_t length) {
  for (ssize_t written; length > 0; bytes += written, length -= (size_t)written) {
    written = write(file, bytes, length);
    if (written < 0) exit(errno == EPIPE || errno == ECONNRESET ? RESET : 1);
  }
}

int main(int count, char **arguments) {
  if (count != 5) return 1;
  const int receive_buffer = atoi(arguments[2]);
  const double rate = atof(arguments[3]), slow_seconds = atof(arguments[4]);
  /* The server's system bounds what it takes for a connection by this. */
  const int segment = SEGMENT;
  struct sockaddr_in server = {.sin_family = AF_INET,
                               .sin_port = htons((unsigned short)atoi(arguments[1])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int file = socket(AF_INET, SOCK_STREAM, 0);
  if (receive_buffer > 0)
    setsockopt(file, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  setsockopt(file, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
  if (connect(file, (struct sockaddr *)&server, sizeof server) != 0) return 1;
  fputs("connected\n", stderr);
  static char part[65536];
  for (ssize_t got; (got = read(STDIN_FILENO, part, sizeof part)) > 0;)
    write_all(file, part, (size_t)got);

  const double began = seconds_now();
  for (double read_bytes = 0;;) {
    const double passed = seconds_now() - began;
    size_t most = sizeof part;
    if (passed < slow_seconds) {
      const double due = passed * rate - read_bytes;
      struct pollfd ended = {.fd = file, .events = 0};
      if (due < 1) {
        if (poll(&ended, 1, PART_MS) > 0) return RESET;
        continue;
      }
      if (due < (double)most) most = (size_t)due;
    }
    const ssize_t got = read(file, part, most);
    if (got == 0) return 0;
    if (got < 0) return errno == ECONNRESET ? RESET : 1;
    read_bytes += (double)got;
    write_all(STDOUT_FILENO, part, (size_t)got);
  }
}
