/* The load of bench/load.ts, which must cost next to nothing beside the server that it measures: one
 * request after the other over each of several keep-alive connections, no pipelining.
 *
 *     load PORT CONNECTIONS REQUESTS PER_SECOND PATH BODY [KEYS]
 *
 * goes to 127.0.0.1 and prints one line of JSON. With KEYS each request has an Idempotency-Key of
 * its own: that text and the number of the request in ten digits.
 *
 * With PER_SECOND the requests are evenly spaced, and latency counts from when a request was due:
 * one that finds no free connection waits, and its wait counts. With 0 each connection sends as soon
 * as it was answered, and latency counts from then. It sleeps to the microsecond (ppoll), where a
 * timer of Node.js has milliseconds, and costs some 10 us of processor time a request. Linux only. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1000, HEAD_MAX = 2048, SILENCE_MAX_S = 60, DIGITS = 10 };

struct connection {
  long long start; /* nanoseconds */
  size_t received;
  size_t expected; /* 0 until the headers are whole */
  char head[HEAD_MAX];
};

static struct connection connections[CONNECTIONS_MAX];
static struct pollfd sockets[CONNECTIONS_MAX];
static char reply[1 << 16];

static void fail(const char *what) {
  fprintf(stderr, "load: %s\n", what);
  exit(1);
}

static long long nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int connect_to(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("no server");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

/* Length of the whole reply, 0 while its headers are not whole. */
static size_t expected_of(const struct connection *one) {
  const char *end = strstr(one->head, "\r\n\r\n");
  const char *length = strcasestr(one->head, "\r\ncontent-length:");
  if (end == NULL) return 0;
  if (strncmp(one->head, "HTTP/1.1 200 ", 13) != 0) fail(one->head);
  if (length == NULL || length > end) fail("a reply without content-length");
  return (size_t)(end + 4 - one->head) + (size_t)atol(length + 17);
}

/* Takes what has come; 1 when the reply is whole. */
static int receive(struct connection *one, int fd) {
  ssize_t got = recv(fd, reply, sizeof reply, MSG_DONTWAIT);
  if (got <= 0) fail("the server closed a connection");
  if (one->expected == 0) {
    size_t room = HEAD_MAX - 1 - one->received;
    size_t taken = (size_t)got < room ? (size_t)got : room;
    memcpy(one->head + one->received, reply, taken);
    one->head[one->received + taken] = 0;
    one->expected = expected_of(one);
    if (one->expected == 0 && taken == room) fail("headers too long");
  }
  one->received += (size_t)got;
  if (one->expected != 0 && one->received > one->expected) fail("more than one reply");
  return one->received == one->expected;
}

static int by_size(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

static void print_summary(double *ms, long count, double seconds) {
  double sum = 0;
  for (long i = 0; i < count; i++) sum += ms[i];
  qsort(ms, (size_t)count, sizeof *ms, by_size);
  printf("{\"requests\":%ld,\"seconds\":%.6f,\"averageMs\":%.4f,\"p50Ms\":%.4f,\"p99Ms\":%.4f}\n",
         count, seconds, sum / count, ms[(count - 1) / 2], ms[(count * 99 + 99) / 100 - 1]);
}

int main(int argc, char **argv) {
  if (argc != 7 && argc != 8) fail("PORT CONNECTIONS REQUESTS PER_SECOND PATH BODY [KEYS]");
  int port = atoi(argv[1]), count = atoi(argv[2]);
  long requests = atol(argv[3]), per_second = atol(argv[4]), sent = 0, answered = 0;
  if (count < 1 || count > CONNECTIONS_MAX || requests < 1) fail("nothing to do");
  double *ms = calloc((size_t)requests, sizeof *ms);
  const char *path = argv[5], *body = argv[6], *keys = argc == 8 ? argv[7] : NULL;
  char request[4096], key[512] = "";
  if (keys != NULL) snprintf(key, sizeof key, "\r\nIdempotency-Key: %s%0*d", keys, DIGITS, 0);
  int length = snprintf(request, sizeof request,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu%s\r\n\r\n%s",
                        path, port, strlen(body), key, body);
  if (ms == NULL || length >= (int)sizeof request) fail("a request too long");
  char *number = request + length - strlen(body) - strlen("\r\n\r\n") - DIGITS;
  prctl(PR_SET_TIMERSLACK, 1UL);

  /* First in, first out: all connections take turns. */
  int idle[CONNECTIONS_MAX], first = 0, idles = count;
  for (int i = 0; i < count; i++) {
    sockets[i] = (struct pollfd){.fd = connect_to(port), .events = POLLIN};
    idle[i] = i;
  }
  long long begin = nanoseconds();
  double spacing = per_second == 0 ? 0 : 1e9 / per_second;
  while (answered < requests) {
    long long now = nanoseconds(), due = begin + (long long)(spacing * sent);
    while (sent < requests && idles > 0 && due <= now) {
      int at = idle[first];
      first = (first + 1) % count;
      idles--;
      connections[at] = (struct connection){.start = per_second == 0 ? now : due};
      if (keys != NULL) {
        char digits[DIGITS + 1];
        snprintf(digits, sizeof digits, "%0*ld", DIGITS, sent % 10000000000);
        memcpy(number, digits, DIGITS);
      }
      if (send(sockets[at].fd, request, (size_t)length, MSG_NOSIGNAL) != length) fail("send");
      sent++;
      now = nanoseconds();
      due = begin + (long long)(spacing * sent);
    }
    struct timespec wait = {.tv_sec = SILENCE_MAX_S};
    int is_timed = sent < requests && idles > 0;
    if (is_timed) wait = (struct timespec){(due - now) / 1000000000, (due - now) % 1000000000};
    int found = ppoll(sockets, (nfds_t)count, &wait, NULL);
    if (found < 0 || (found == 0 && !is_timed)) fail("no reply in 60 s");
    for (int i = 0; found > 0 && i < count; i++) {
      if (sockets[i].revents == 0) continue;
      found--;
      if (!receive(&connections[i], sockets[i].fd)) continue;
      ms[answered++] = (nanoseconds() - connections[i].start) / 1e6;
      idle[(first + idles++) % count] = i;
    }
  }
  print_summary(ms, answered, (nanoseconds() - begin) / 1e9);
  return 0;
}
