/* Step of a walk where the last bits of a key drop nothing, since hundreds of suffixes take them
 * all: N mod 29^3 and N mod 8, which is N mod 58^3, of every point.
 *
 * Both products are computed in full, added and subtracted, and carried once, side by side. Then a
 * limb is right unless a carry below 2^11, or in limb 0 one below 19 * 2^8, ripples through 51 bits:
 * all with a probability below 2^-37; y is p or more with one below 2^-250. Then a candidate is missed.
 *
 * N has the bytes of y the other way round. Pairs of them are taken out of the limbs where they
 * lie: what two limbs share of a byte is taken out of each, at its place in the byte. So N is the
 * sum of 20 numbers of 16 bits with fixed weights, and their product with the weights modulo 29^3
 * is what the processor does for pairs of signed numbers (VNNI).
 */
#ifndef GRIND_EXPANDED_DENSE_AVX512_H
#define GRIND_EXPANDED_DENSE_AVX512_H

#include "match_avx512.h"

/* Limb by limb: the first bit of each byte, the bits of it that the limb has, the highest bits of
 * pairs, which are inverted so that pairs are signed, and 256^(31 - i) mod 29^3 for the second byte
 * i of each pair. */
static const struct {
  uint64_t first_bits, bits, highest;
  int16_t weights[4];
} PAIRS[5] = {
    {0x0030202810180008, 0x0007ffffffffffff, 0x0000800080008000, {-149, 6961, -9621, 1582}},
    {0x002d1d250d153d05, 0x003ffffffffff8ff, 0x0000800080008000, {-8187, -3978, -9431, 10157}},
    {0x2a321a220a123a02, 0xff01ffffffffc0ff, 0x8000800080008000, {-6915, -1367, -3247, 4705}},
    {0x002f1f270f173f07, 0x000ffffffffffeff, 0x0000800080008000, {-10366, 2229, -3305, 8085}},
    {0x002c1c240c143c04, 0x007ffffffffff0ff, 0x0000800080008000, {-1588, -2416, 256, 1}},
};

enum {
  /* What the inverted bits take away, modulo 29^3. */
  PAIRS_OFFSET = 10971,
};

static inline __m512i pair_weights(int limb) {
  const int16_t *w = PAIRS[limb].weights;
  return all8((uint64_t)(uint16_t)w[0] | (uint64_t)(uint16_t)w[1] << 16 |
              (uint64_t)(uint16_t)w[2] << 32 | (uint64_t)(uint16_t)w[3] << 48);
}

/* Carries once; bits 51 and above of a limb mean nothing. */
static inline __attribute__((always_inline)) fe8 carry_once(fe8 a) {
  __m512i carry[5];
  for (int i = 0; i < 5; i++) carry[i] = _mm512_srai_epi64(a.l[i], 51);
  a.l[0] = low8(a.l[0], carry[4], all8(19));
  for (int i = 1; i < 5; i++) a.l[i] = add8(a.l[i], carry[i - 1]);
  return a;
}

/* a * b + c * d and a * b - c * d, carried once. */
static inline __attribute__((always_inline)) void sum_and_difference(fe8 *sum, fe8 *difference,
                                                                     fe8 a, fe8 b, fe8 c, fe8 d) {
  const fe8 zero = fe8_all(FE_ZERO);
  fe8 one = fe8_mul_add_wide(a, b, zero), two = fe8_mul_add_wide(c, d, zero);
  for (int i = 0; i < 5; i++) {
    sum->l[i] = add8(one.l[i], two.l[i]);
    difference->l[i] = _mm512_sub_epi64(one.l[i], two.l[i]);
  }
  *sum = carry_once(*sum);
  *difference = carry_once(*difference);
}

/* Two sums of 32 bits a lane, which together are N modulo 29^3. */
static inline __attribute__((always_inline)) __m512i pair_sums(fe8 y) {
  __m512i sums = all8((uint32_t)PAIRS_OFFSET);
  for (int i = 0; i < 5; i++) {
    __m512i bytes = _mm512_multishift_epi64_epi8(all8(PAIRS[i].first_bits), y.l[i]);
    /* (bytes & bits) ^ highest */
    __m512i pairs =
        _mm512_ternarylogic_epi64(bytes, all8(PAIRS[i].bits), all8(PAIRS[i].highest), 0x6a);
    sums = _mm512_dpwssd_epi32(sums, pairs, pair_weights(i));
  }
  return sums;
}

/* Lanes of two vectors of y, alternating, that may end as a pattern does. */
static inline __attribute__((always_inline)) __mmask16 may_end_in_full(const uint8_t *ends,
                                                                       fe8 plus, fe8 minus) {
  const __m512 inverse = _mm512_set1_ps(1.0f / MATCHER_ENDS_MODULUS);
  __m512i sums = pair_sums(plus), others = pair_sums(minus);
  __m512i low = low_halves(sums, others), high = high_halves(sums, others);
  /* Halves are below 2^31, as the weights of each add up to less than 2^16, and their sum may need
   * 33 bits. The rest needs 15: roundings of the halves, the sum, the inverse and the product shift
   * it by less than 2 * 64 + 128 + 2 * 2^8 from the nearest one to zero. */
  __m512 sum = _mm512_add_ps(_mm512_cvtepi32_ps(low), _mm512_cvtepi32_ps(high));
  __m512i quotient = _mm512_cvtps_epi32(_mm512_mul_ps(sum, inverse));
  __m512i whole = _mm512_mullo_epi32(quotient, _mm512_set1_epi32(MATCHER_ENDS_MODULUS));
  __m512i rest = _mm512_sub_epi32(_mm512_add_epi32(low, high), whole);
  __m512i found = _mm512_i32gather_epi32(rest, ends, 1);
  __m512i last = _mm512_srli_epi32(high_halves(plus.l[4], minus.l[4]), 12);
  last = _mm512_and_si512(last, _mm512_set1_epi32(7));
  return _mm512_test_epi32_mask(_mm512_srlv_epi32(found, last), _mm512_set1_epi32(1));
}

#endif
