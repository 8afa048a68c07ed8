/* Whether what is written to a descriptor can arrive. Any thread may ask; nothing is kept. */
#ifndef VANITY_OUTPUT_H
#define VANITY_OUTPUT_H

/* 0, or what a write would fail with at once, as a negative error number: -EPIPE where nobody is left
 * to read it (a pipe, a socket, a terminal that is gone), -EBADF for a descriptor that is closed.
 * Writes nothing and waits for nothing. */
int output_error(int file);

#endif
