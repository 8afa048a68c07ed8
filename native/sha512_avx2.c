/* SHA-512 with AVX2, four seeds: the instructions for sha512_lanes.h. */
#include "sha512_avx2.h"

typedef __m256i words;

static inline words all_words(uint64_t value) { return _mm256_set1_epi64x((long long)value); }
static inline words add(words a, words b) { return _mm256_add_epi64(a, b); }
static inline words xor3(words a, words b, words c) { return a ^ b ^ c; }
static inline words choose(words a, words b, words c) { return (a & (b ^ c)) ^ c; }
static inline words majority(words a, words b, words c) { return (a & b) | (c & (a | b)); }
#define shift_right(a, n) _mm256_srli_epi64(a, n)
#define rotate_right(a, n) (_mm256_srli_epi64(a, n) | _mm256_slli_epi64(a, 64 - (n)))

static inline words swap_bytes(words a) {
  const __m256i order = _mm256_setr_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f,
                                           0x0001020304050607, 0x08090a0b0c0d0e0f);
  return _mm256_shuffle_epi8(a, order);
}

static inline words load_words(const uint8_t (*seeds)[32], int i) {
  const __m256i stride = _mm256_setr_epi64x(0, 4, 8, 12);
  return _mm256_i64gather_epi64((const long long *)seeds + i, stride, 8);
}

#include "sha512_lanes.h"

void grind_clamped_scalars_avx2(__m256i scalars[4], const uint8_t (*seeds)[32]) {
  clamped_scalars(scalars, seeds);
}
