/* SHA-512 with AVX-512, eight seeds: the instructions for sha512_lanes.h. */
#include "sha512_avx512.h"

typedef __m512i words;

static inline words all_words(uint64_t value) { return _mm512_set1_epi64((long long)value); }
static inline words add(words a, words b) { return _mm512_add_epi64(a, b); }
static inline words xor3(words a, words b, words c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
static inline words choose(words a, words b, words c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0xca);
}
static inline words majority(words a, words b, words c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0xe8);
}
#define rotate_right(a, n) _mm512_ror_epi64(a, n)
#define shift_right(a, n) _mm512_srli_epi64(a, n)

static inline words swap_bytes(words a) {
  const __m512i order = _mm512_set4_epi32(0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607);
  return _mm512_shuffle_epi8(a, order);
}

static inline words load_words(const uint8_t (*seeds)[32], int i) {
  const __m512i stride = _mm512_setr_epi64(0, 4, 8, 12, 16, 20, 24, 28);
  return _mm512_i64gather_epi64(stride, (const uint8_t *)seeds + 8 * i, 8);
}

#include "sha512_lanes.h"

void grind_clamped_scalars_avx512(__m512i scalars[4], const uint8_t (*seeds)[32]) {
  clamped_scalars(scalars, seeds);
}
