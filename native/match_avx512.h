/* Step 2 of match.h for eight keys at once. */
#ifndef GRIND_MATCH_AVX512_H
#define GRIND_MATCH_AVX512_H

#include "field_avx512.h"
#include "match.h"

/* As fe_to_words. */
static inline void to_words(__m512i w[4], fe8 a) {
  const __m512i mask = all8(FE_MASK);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 4; i++) {
      a.l[i + 1] = add8(a.l[i + 1], _mm512_srli_epi64(a.l[i], 51));
      a.l[i] = _mm512_and_si512(a.l[i], mask);
    }
    a.l[0] = low8(a.l[0], _mm512_srli_epi64(a.l[4], 51), all8(19));
    a.l[4] = _mm512_and_si512(a.l[4], mask);
  }
  __m512i over = _mm512_srli_epi64(add8(a.l[0], all8(19)), 51);
  for (int i = 1; i < 5; i++) over = _mm512_srli_epi64(add8(a.l[i], over), 51);
  a.l[0] = low8(a.l[0], over, all8(19));
  for (int i = 0; i < 4; i++) {
    a.l[i + 1] = add8(a.l[i + 1], _mm512_srli_epi64(a.l[i], 51));
    a.l[i] = _mm512_and_si512(a.l[i], mask);
  }
  a.l[4] = _mm512_and_si512(a.l[4], mask);
  w[0] = _mm512_or_si512(a.l[0], _mm512_slli_epi64(a.l[1], 51));
  w[1] = _mm512_or_si512(_mm512_srli_epi64(a.l[1], 13), _mm512_slli_epi64(a.l[2], 38));
  w[2] = _mm512_or_si512(_mm512_srli_epi64(a.l[2], 26), _mm512_slli_epi64(a.l[3], 25));
  w[3] = _mm512_or_si512(_mm512_srli_epi64(a.l[3], 39), _mm512_slli_epi64(a.l[4], 12));
}

/* The bytes of each word the other way round. */
static inline __m512i swapped(__m512i words) {
  const __m512i order = _mm512_set4_epi32(0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607);
  return _mm512_shuffle_epi8(words, order);
}

/* The low, or the high, halves of all lanes: even ones from `even`, odd ones from `odd`. */
static inline __m512i low_halves(__m512i even, __m512i odd) {
  return _mm512_mask_shuffle_epi32(even, 0xaaaa, odd, _MM_PERM_CCAA);
}
static inline __m512i high_halves(__m512i even, __m512i odd) {
  return _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
}

/* N mod 58^3, see match.c. The quotient of the sum, which is below 2^53, is taken a little too
 * small, so that rounding never makes it too large, and is short by one at most. */
static inline __m512i tails_of(const __m512i w[4]) {
  const __m512i modulus = all8(MATCHER_TAIL_MODULUS);
  __m512i sum = _mm512_setzero_si512();
  for (int i = 0; i < 4; i++) {
    __m512i limbs = swapped(w[3 - i]);
    const uint64_t *weights = &matcher_tail_weights[2 * i];
    sum = add8(sum, _mm512_mul_epu32(limbs, all8(weights[0])));
    sum = add8(sum, _mm512_mul_epu32(_mm512_srli_epi64(limbs, 32), all8(weights[1])));
  }
  const __m512d inverse = _mm512_set1_pd((1 - 0x1p-40) / MATCHER_TAIL_MODULUS);
  __m512d quotient = _mm512_mul_pd(_mm512_cvtepu64_pd(sum), inverse);
  __m512i whole = _mm512_mullo_epi64(_mm512_cvttpd_epu64(quotient), modulus);
  __m512i rest = _mm512_sub_epi64(sum, whole);
  return _mm512_min_epu64(rest, _mm512_sub_epi64(rest, modulus));
}

static inline __mmask8 marked(const uint64_t *bitmap, __m512i bit) {
  __m512i word = _mm512_i64gather_epi64(_mm512_srli_epi64(bit, 6), (const long long *)bitmap, 8);
  return _mm512_test_epi64_mask(_mm512_rorv_epi64(word, bit), all8(1));
}

/* As matcher_may_match. */
static inline __mmask8 keys_may_match(matcher_bitmaps bitmaps, const __m512i w[4]) {
  __mmask8 passed = 0;
  if (bitmaps.tails != NULL) {
    const __m512i modulus = all8(MATCHER_TAIL_MODULUS);
    __m512i tail = tails_of(w), other = add8(tail, all8(128));
    other = _mm512_min_epu64(other, _mm512_sub_epi64(other, modulus));
    passed = marked(bitmaps.tails, tail) | marked(bitmaps.tails, other);
  }
  if (bitmaps.tops != NULL) passed |= marked(bitmaps.tops, _mm512_srli_epi64(swapped(w[0]), 48));
  return passed;
}

#endif
