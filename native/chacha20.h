/* ChaCha20 (RFC 8439) as a stream of random bytes: a fresh key, nonce 0, counter from 0. */
#ifndef GRIND_CHACHA20_H
#define GRIND_CHACHA20_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t key[8];
  uint64_t block; /* the next block; the counter is 64 bits wide, so it does not wrap */
} grind_chacha20;

void grind_chacha20_start(grind_chacha20 *stream, const uint8_t key[32]);

/* Writes the next `length` bytes, a multiple of 512; no byte of the stream is given twice. */
void grind_chacha20_take(grind_chacha20 *stream, uint8_t *out, size_t length);

#endif
