/* Whether what is written to a descriptor can arrive, how much of it has, and that the rest need not. Any thread may
 * ask; nothing is kept. */
#ifndef VANITY_OUTPUT_H
#define VANITY_OUTPUT_H

/* 0, or what a write would fail with at once, as a negative error number: -EPIPE where nobody is left
 * to read it (a pipe, a socket, a terminal that is gone), -EBADF for a descriptor that is closed.
 * Writes nothing and waits for nothing. */
int output_error(int file);

/* Bytes written to a socket that the other side has not taken yet: they wait in the system, or are on their
 * way. A negative error number where that is not known: -ENOTTY, -EINVAL or -ENOTSOCK for what is no
 * socket, -EBADF for a descriptor that is closed. */
int output_unsent(int file);

/* Makes the close of a socket drop what the other side has not taken and reset the connection; without it the system
 * keeps that after the close, for as long as the other side takes a little. 0, or a negative error number. */
int output_discard(int file);

#endif
