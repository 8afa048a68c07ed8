/* What the kernel needs of the operating system. Linux and macOS. */
#ifndef GRIND_SYSTEM_H
#define GRIND_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fresh random bytes, at most 256. False if the system gives none. */
bool system_random(uint8_t *bytes, size_t length);

/* A clock that never goes back, in microseconds. */
uint64_t system_clock_us(void);

/* Zeroed memory on pages of its own, huge ones where the system gives them; NULL if there is
 * none. system_free takes the same length. */
void *system_allocate(size_t bytes);
void system_free(void *memory, size_t bytes);

/* Overwrites with zeros, whatever the compiler thinks of it. */
void system_wipe(void *memory, size_t bytes);

#endif
