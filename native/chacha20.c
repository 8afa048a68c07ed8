/* The start of a stream, and the portable level: see chacha20.h. */
#define CHACHA20_LANES 4
#include "chacha20_lanes.h"

void grind_chacha20_start(grind_chacha20 *stream, const uint8_t key[32]) {
  for (int i = 0; i < 8; i++) {
    const uint8_t *k = key + 4 * i;
    stream->key[i] = (uint32_t)k[0] | (uint32_t)k[1] << 8 | (uint32_t)k[2] << 16 |
                     (uint32_t)k[3] << 24;
  }
  stream->block = 0;
}

void grind_chacha20_take_portable(grind_chacha20 *stream, uint8_t *out, size_t length) {
  take(stream, out, length);
}
