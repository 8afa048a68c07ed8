/* Runs a program as an old container runtime does: the system calls that are named fail as if the
 * kernel had none of them. For tests.
 *
 *   without-calls ENOSYS|EPERM statx,name_to_handle_at PROGRAM ARGUMENTS...
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
  const char *name;
  unsigned number;
} CALLS[] = {{"statx", SYS_statx}, {"name_to_handle_at", SYS_name_to_handle_at}};

enum { COUNT = sizeof CALLS / sizeof *CALLS };

int main(int argc, char **argv) {
  struct sock_filter steps[2 * COUNT + 2];
  unsigned short length = 0;
  if (argc < 4) return 2;
  unsigned error = strcmp(argv[1], "EPERM") == 0 ? EPERM : ENOSYS;
  steps[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                 offsetof(struct seccomp_data, nr));
  for (int i = 0; i < COUNT; i++) {
    if (strstr(argv[2], CALLS[i].name) == NULL) continue;
    steps[length++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number, 0, 1);
    steps[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
  }
  steps[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog filter = {.len = length, .filter = steps};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
    perror("seccomp");
    return 3;
  }
  execvp(argv[3], argv + 3);
  perror(argv[3]);
  return 4;
}
