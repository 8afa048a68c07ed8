/* Numbers modulo p = 2^255 - 19, four at a time, for AVX2 and FMA. AVX2 has no wide multiplier for
 * integers, but its doubles have 53 bits: limbs of 51 bits are kept as doubles, whole and not
 * negative. Rounding must be toward zero (field_avx2_begin). Then for a, b < 2^52
 *
 *   high = fma(a, b, 2^104)                 has floor(a b / 2^52) in its 52 bits of fraction,
 *   low  = fma(a, b, 2^104 + 2^52 - high)   has a b mod 2^52 there,
 *
 * both exactly, and fractions are added as integers. The bits of the exponents come along and are
 * subtracted as constants. A high half at limb k belongs to limb k + 1 with weight 2.
 *
 * Products take limbs below 2^52 and return limbs below 2^51 + 2^14, "reduced". fe4_sub is as
 * fe8_sub of field_avx512.h, with the same probabilities.
 */
#ifndef GRIND_FIELD_AVX2_H
#define GRIND_FIELD_AVX2_H

#include <immintrin.h>

#include "field.h"

typedef struct {
  __m256d l[5];
} fe4;

static const double FE4_2_52 = 0x1p52, FE4_2_104 = 0x1p104;

/* Rounds toward zero; returns what field_avx2_end takes. What computes stands in a function of
 * its own between the two calls: the compiler does not know that they concern it. */
static inline unsigned field_avx2_begin(void) {
  unsigned mode = _mm_getcsr();
  _mm_setcsr(mode | _MM_ROUND_TOWARD_ZERO);
  return mode;
}

static inline void field_avx2_end(unsigned mode) { _mm_setcsr(mode); }

static inline __m256i all4(uint64_t value) { return _mm256_set1_epi64x((long long)value); }
static inline __m256i bits4(__m256d a) { return _mm256_castpd_si256(a); }

/* A whole number below 2^52, from its bits and back. */
static inline __m256d from_bits4(__m256i a) {
  const __m256d magic = _mm256_set1_pd(FE4_2_52);
  return _mm256_sub_pd(_mm256_castsi256_pd(a | bits4(magic)), magic);
}

/* Its bits plus those of 2^52. */
static inline __m256i biased_bits4(__m256d a) {
  return bits4(_mm256_add_pd(a, _mm256_set1_pd(FE4_2_52)));
}

static const uint64_t FE4_BIAS_52 = (uint64_t)(1023 + 52) << 52;
static const uint64_t FE4_BIAS_104 = (uint64_t)(1023 + 104) << 52;

static inline fe4 fe4_all(fe a) {
  fe4 r;
  for (int i = 0; i < 5; i++) r.l[i] = _mm256_set1_pd((double)a.l[i]);
  return r;
}

/* The limbs of p. */
static inline __m256d p4(int limb) {
  return _mm256_set1_pd(limb == 0 ? 0x1p51 - 19 : 0x1p51 - 1);
}

/* Limb by limb; sums up to 2^53 are exact. */
static inline fe4 fe4_add(fe4 a, fe4 b) {
  for (int i = 0; i < 5; i++) a.l[i] = _mm256_add_pd(a.l[i], b.l[i]);
  return a;
}

/* a - b + p. */
static inline fe4 fe4_sub(fe4 a, fe4 b) {
  for (int i = 0; i < 5; i++) a.l[i] = _mm256_sub_pd(_mm256_add_pd(a.l[i], p4(i)), b.l[i]);
  return a;
}

/* Limbs up to 2^53 to limbs below 2^51 + 2^7. */
static inline fe4 fe4_carry(fe4 a) {
  const __m256d round = _mm256_set1_pd(0x1p103), scale = _mm256_set1_pd(0x1p-51);
  __m256d high[5];
  for (int i = 0; i < 5; i++) {
    high[i] = _mm256_sub_pd(_mm256_add_pd(a.l[i], round), round);
    a.l[i] = _mm256_sub_pd(a.l[i], high[i]);
  }
  a.l[0] = _mm256_fmadd_pd(high[4], _mm256_set1_pd(19 * 0x1p-51), a.l[0]);
  for (int i = 1; i < 5; i++) a.l[i] = _mm256_fmadd_pd(high[i - 1], scale, a.l[i]);
  return a;
}

/* The halves of a * b, with the bits of their exponents, added to `*low` and `*high`. */
static inline __attribute__((always_inline)) void add_product4(__m256i *low, __m256i *high,
                                                                __m256d a, __m256d b) {
  __m256d top = _mm256_fmadd_pd(a, b, _mm256_set1_pd(FE4_2_104));
  __m256d rest = _mm256_sub_pd(_mm256_set1_pd(FE4_2_104 + FE4_2_52), top);
  *high = _mm256_add_epi64(*high, bits4(top));
  *low = _mm256_add_epi64(*low, bits4(_mm256_fmadd_pd(a, b, rest)));
}

static inline __m256i times_19_4(__m256i a) {
  __m256i a3 = _mm256_add_epi64(a, _mm256_add_epi64(a, a));
  return _mm256_add_epi64(a3, _mm256_slli_epi64(a, 4));
}

/* Sums of bits at the weights of limbs 0 to 4, below 2^63, to a reduced number. */
static inline __attribute__((always_inline)) fe4 fe4_fold(const __m256i r[5]) {
  const __m256i mask = all4(FE_MASK);
  fe4 a;
  __m256i carry = times_19_4(_mm256_srli_epi64(r[4], 51));
  for (int i = 0; i < 5; i++) {
    a.l[i] = from_bits4(_mm256_add_epi64(r[i] & mask, carry));
    carry = _mm256_srli_epi64(r[i], 51);
  }
  return a;
}

/* What the sums of limb k, of `lows` low halves and `highs` doubled high halves, begin with, so
 * that their exponents cancel. */
static inline __m256i unbias4(int lows, int highs) {
  return all4(-((uint64_t)lows * FE4_BIAS_52 + (uint64_t)highs * 2 * FE4_BIAS_104));
}

/* a * b plus `terms`, which are bits as fe4_fold takes them, below 2^58 in all. */
static inline __attribute__((always_inline)) fe4 fe4_mul_terms(fe4 a, fe4 b,
                                                                const __m256i terms[5]) {
  __m256i r[5], high = _mm256_setzero_si256();
#pragma GCC unroll 5
  for (int k = 0; k < 5; k++) r[k] = terms[k];
#pragma GCC unroll 10
  for (int k = 0; k < 10; k++) {
    int lows = k < 5 ? k + 1 : 9 - k, highs = k < 6 ? k : 10 - k;
    __m256i low = _mm256_add_epi64(unbias4(lows, highs), _mm256_add_epi64(high, high));
    high = _mm256_setzero_si256();
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++)
      if (k - i >= 0 && k - i < 5) add_product4(&low, &high, a.l[i], b.l[k - i]);
    r[k % 5] = _mm256_add_epi64(r[k % 5], k < 5 ? low : times_19_4(low));
  }
  return fe4_fold(r);
}

/* a^2 plus terms. Products of two different limbs count twice. */
static inline __attribute__((always_inline)) fe4 fe4_square_terms(fe4 a, const __m256i terms[5]) {
  __m256i r[5], high = _mm256_setzero_si256();
#pragma GCC unroll 5
  for (int k = 0; k < 5; k++) r[k] = terms[k];
#pragma GCC unroll 10
  for (int k = 0; k < 10; k++) {
    int lows = k < 5 ? k + 1 : 9 - k, highs = k < 6 ? k : 10 - k;
    __m256i low = _mm256_add_epi64(unbias4(lows, highs), _mm256_add_epi64(high, high));
    __m256i low_twice = _mm256_setzero_si256(), high_twice = _mm256_setzero_si256();
    high = _mm256_setzero_si256();
#pragma GCC unroll 5
    for (int i = 0; i < 5; i++)
      if (k - i > i && k - i < 5) add_product4(&low_twice, &high_twice, a.l[i], a.l[k - i]);
    if (k % 2 == 0 && k < 9) add_product4(&low, &high, a.l[k / 2], a.l[k / 2]);
    low = _mm256_add_epi64(low, _mm256_add_epi64(low_twice, low_twice));
    high = _mm256_add_epi64(high, _mm256_add_epi64(high_twice, high_twice));
    r[k % 5] = _mm256_add_epi64(r[k % 5], k < 5 ? low : times_19_4(low));
  }
  return fe4_fold(r);
}

static inline __attribute__((always_inline)) fe4 fe4_mul(fe4 a, fe4 b) {
  const __m256i zero = _mm256_setzero_si256();
  return fe4_mul_terms(a, b, (__m256i[5]){zero, zero, zero, zero, zero});
}

static inline __attribute__((always_inline)) fe4 fe4_square(fe4 a) {
  const __m256i zero = _mm256_setzero_si256();
  return fe4_square_terms(a, (__m256i[5]){zero, zero, zero, zero, zero});
}

/* Terms that subtract `times` (1 or 2) b and then c, limbs < 2^52: 8p - times * b - c. */
static inline __m256i minus4(int limb, __m256d b, int times, __m256d c) {
  uint64_t p = limb == 0 ? FE_MASK - 18 : FE_MASK;
  __m256i sum = _mm256_add_epi64(_mm256_slli_epi64(biased_bits4(b), times - 1), biased_bits4(c));
  return _mm256_sub_epi64(all4(8 * p + (uint64_t)(times + 1) * FE4_BIAS_52), sum);
}

/* a * b - c and a^2 - 2b - c. */
static inline __attribute__((always_inline)) fe4 fe4_mul_minus(fe4 a, fe4 b, fe4 c) {
  __m256i terms[5];
  for (int i = 0; i < 5; i++) terms[i] = minus4(i, c.l[i], 1, _mm256_setzero_pd());
  return fe4_mul_terms(a, b, terms);
}

static inline __attribute__((always_inline)) fe4 fe4_square_minus(fe4 a, fe4 b, fe4 c) {
  __m256i terms[5];
  for (int i = 0; i < 5; i++) terms[i] = minus4(i, b.l[i], 2, c.l[i]);
  return fe4_square_terms(a, terms);
}

/* Limb 4 of a * b, bits 0 to 50, without what limb 3 carries into it, which is below 2^9. */
static inline __m256i fe4_mul_top(fe4 a, fe4 b) {
  __m256i high = _mm256_setzero_si256(), unused = high;
  for (int i = 0; i < 4; i++) {
    __m256d top = _mm256_fmadd_pd(a.l[i], b.l[3 - i], _mm256_set1_pd(FE4_2_104));
    high = _mm256_add_epi64(high, bits4(top));
  }
  __m256i low = _mm256_add_epi64(unbias4(5, 4), _mm256_add_epi64(high, high));
  for (int i = 0; i < 5; i++) add_product4(&low, &unused, a.l[i], b.l[4 - i]);
  __m256i wrapped = bits4(_mm256_fmadd_pd(a.l[4], b.l[4], _mm256_set1_pd(FE4_2_104)));
  wrapped = times_19_4(_mm256_sub_epi64(wrapped, all4(FE4_BIAS_104)));
  return _mm256_add_epi64(low, _mm256_add_epi64(wrapped, wrapped));
}

/* One lane. */
static inline fe fe4_lane(const fe4 *a, int lane) {
  fe one;
  for (int i = 0; i < 5; i++) one.l[i] = (uint64_t)((const double *)&a->l[i])[lane];
  return one;
}

static inline void fe4_set_lane(fe4 *a, int lane, fe value) {
  for (int i = 0; i < 5; i++) ((double *)&a->l[i])[lane] = (double)value.l[i];
}

#endif
