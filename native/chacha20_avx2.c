/* ChaCha20 for AVX2. */
#define CHACHA20_LANES 8
#include "chacha20_lanes.h"

void grind_chacha20_take_avx2(grind_chacha20 *stream, uint8_t *out, size_t length) {
  take(stream, out, length);
}
