/* ChaCha20 for AVX-512: about one cycle a byte. */
#define CHACHA20_LANES 16
#include "chacha20_lanes.h"

void grind_chacha20_take_avx512(grind_chacha20 *stream, uint8_t *out, size_t length) {
  take(stream, out, length);
}
