/* ChaCha20 in lanes: eight blocks side by side, in loops that a compiler turns into vector
 * instructions of whatever width the machine has. See chacha20.h.
 */
#include "chacha20.h"

enum { LANES = 8, BLOCK_BYTES = 64 };

typedef uint32_t lanes[LANES];

static inline uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

static inline void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d) {
  for (int i = 0; i < LANES; i++) a[i] += b[i], d[i] = rotate(d[i] ^ a[i], 16);
  for (int i = 0; i < LANES; i++) c[i] += d[i], b[i] = rotate(b[i] ^ c[i], 12);
  for (int i = 0; i < LANES; i++) a[i] += b[i], d[i] = rotate(d[i] ^ a[i], 8);
  for (int i = 0; i < LANES; i++) c[i] += d[i], b[i] = rotate(b[i] ^ c[i], 7);
}

static void store_word(uint8_t *out, uint32_t word) {
  for (int i = 0; i < 4; i++) out[i] = (uint8_t)(word >> (8 * i));
}

void grind_chacha20_start(grind_chacha20 *stream, const uint8_t key[32]) {
  for (int i = 0; i < 8; i++) {
    const uint8_t *k = key + 4 * i;
    stream->key[i] = (uint32_t)k[0] | (uint32_t)k[1] << 8 | (uint32_t)k[2] << 16 |
                     (uint32_t)k[3] << 24;
  }
  stream->block = 0;
}

static void eight_blocks(const grind_chacha20 *stream, uint8_t *out) {
  static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  lanes start[16], x[16];
  for (int lane = 0; lane < LANES; lane++) {
    uint64_t block = stream->block + (uint64_t)lane;
    for (int i = 0; i < 4; i++) start[i][lane] = constants[i];
    for (int i = 0; i < 8; i++) start[4 + i][lane] = stream->key[i];
    start[12][lane] = (uint32_t)block;
    start[13][lane] = (uint32_t)(block >> 32);
    start[14][lane] = start[15][lane] = 0;
  }
  for (int i = 0; i < 16; i++)
    for (int lane = 0; lane < LANES; lane++) x[i][lane] = start[i][lane];
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 4; i++) quarter_round(x[i], x[4 + i], x[8 + i], x[12 + i]);
    for (int i = 0; i < 4; i++)
      quarter_round(x[i], x[4 + (i + 1) % 4], x[8 + (i + 2) % 4], x[12 + (i + 3) % 4]);
  }
  for (int lane = 0; lane < LANES; lane++)
    for (int i = 0; i < 16; i++)
      store_word(out + lane * BLOCK_BYTES + 4 * i, x[i][lane] + start[i][lane]);
}

void grind_chacha20_take(grind_chacha20 *stream, uint8_t *out, size_t length) {
  for (size_t at = 0; at < length; at += LANES * BLOCK_BYTES) {
    eight_blocks(stream, out + at);
    stream->block += LANES;
  }
}
