/* ChaCha20 with as many blocks side by side as CHACHA20_LANES says. Vectors are the compiler's own
 * (gcc and clang), so that the same lines serve every level; each includes them with its flags.
 */
#include <string.h>

#include "chacha20.h"

typedef uint32_t lanes __attribute__((vector_size(4 * CHACHA20_LANES)));

#define ROTATE(x, n) ((x) << (n) | (x) >> (32 - (n)))

static inline __attribute__((always_inline)) void quarter_round(lanes *a, lanes *b, lanes *c,
                                                                 lanes *d) {
  *a += *b, *d ^= *a, *d = ROTATE(*d, 16);
  *c += *d, *b ^= *c, *b = ROTATE(*b, 12);
  *a += *b, *d ^= *a, *d = ROTATE(*d, 8);
  *c += *d, *b ^= *c, *b = ROTATE(*b, 7);
}

static void take_blocks(const grind_chacha20 *stream, uint8_t *out) {
  static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  lanes start[16], x[16];
  for (int i = 0; i < 4; i++) start[i] = (lanes){0} + constants[i];
  for (int i = 0; i < 8; i++) start[4 + i] = (lanes){0} + stream->key[i];
  for (int lane = 0; lane < CHACHA20_LANES; lane++) {
    uint64_t block = stream->block + (uint64_t)lane;
    start[12][lane] = (uint32_t)block;
    start[13][lane] = (uint32_t)(block >> 32);
  }
  start[14] = start[15] = (lanes){0};
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) x[i] = start[i];
#pragma GCC unroll 1
  for (int round = 0; round < 10; round++) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) quarter_round(&x[i], &x[4 + i], &x[8 + i], &x[12 + i]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
      quarter_round(&x[i], &x[4 + (i + 1) % 4], &x[8 + (i + 2) % 4], &x[12 + (i + 3) % 4]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) {
    x[i] += start[i];
    memcpy(out + (size_t)i * sizeof(lanes), &x[i], sizeof(lanes));
  }
}

static inline void take(grind_chacha20 *stream, uint8_t *out, size_t length) {
  for (size_t at = 0; at < length; at += 64 * CHACHA20_LANES) {
    take_blocks(stream, out + at);
    stream->block += CHACHA20_LANES;
  }
}
