/* ChaCha20 (RFC 8439) as a source of random bytes: a fresh key, nonce 0, counter from 0. */
#ifndef GRIND_CHACHA20_H
#define GRIND_CHACHA20_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t key[8];
  uint64_t block; /* the next block; the counter is 64 bits wide, so it does not wrap */
} grind_chacha20;

void grind_chacha20_start(grind_chacha20 *stream, const uint8_t key[32]);

/* Writes the next `length` bytes, a multiple of 1024, to `out`, aligned to 64 bytes. Every byte of
 * the stream is given once, but not in its order: of as many blocks as there are lanes, the first
 * 32-bit words come first, then the second ones. Putting them in order would cost time and serve
 * nobody. */
typedef void grind_chacha20_take(grind_chacha20 *stream, uint8_t *out, size_t length);

grind_chacha20_take grind_chacha20_take_portable; /* 4 lanes */
grind_chacha20_take grind_chacha20_take_avx2;     /* 8 lanes */
grind_chacha20_take grind_chacha20_take_avx512;   /* 16 lanes */

#endif
