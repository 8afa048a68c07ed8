/* Numbers modulo p = 2^255 - 19, eight at a time, for AVX-512 IFMA. Limbs of 51 bits as in
 * field.h, one lane of a vector for each number.
 *
 * The multiplier takes the low 52 bits of its operands and gives the low or the high 52 bits
 * of the product. A high half at limb k belongs to limb k + 1 with weight 2: they are all summed
 * first, doubled once, and the low halves added to them.
 *
 * Operands of a product must therefore have limbs below 2^52. Products return limbs below
 * 2^51 + 2^14, "reduced". fe8_sub adds p without a carry: of two reduced numbers it is an
 * operand, unless a limb of `b` is above 2^51 - 20 and that of `a` is smaller than the excess. For
 * limbs of products, which are uniform but for a carry below 2^14, this has a probability below
 * 2^-70; for table entries below 2^-46. Then a candidate is missed, or refused later as a fault.
 */
#ifndef GRIND_FIELD_AVX512_H
#define GRIND_FIELD_AVX512_H

#include <immintrin.h>

#include "field.h"

typedef struct {
  __m512i l[5];
} fe8;

static inline __m512i all8(uint64_t value) { return _mm512_set1_epi64((long long)value); }
static inline __m512i add8(__m512i a, __m512i b) { return _mm512_add_epi64(a, b); }
static inline __m512i low8(__m512i sum, __m512i a, __m512i b) {
  return _mm512_madd52lo_epu64(sum, a, b);
}
static inline __m512i high8(__m512i sum, __m512i a, __m512i b) {
  return _mm512_madd52hi_epu64(sum, a, b);
}

/* 19a. Spelled out because gcc makes shifts and additions of the intrinsic, which are slower. */
static inline __m512i times_19(__m512i a) {
  __m512i product;
  __asm__("vpmullq %2, %1, %0" : "=v"(product) : "v"(a), "v"(all8(19)));
  return product;
}

static inline fe8 fe8_all(fe a) {
  return (fe8){{all8(a.l[0]), all8(a.l[1]), all8(a.l[2]), all8(a.l[3]), all8(a.l[4])}};
}

/* The limbs of p. */
static inline __m512i p8(int limb) { return all8(limb == 0 ? FE_MASK - 18 : FE_MASK); }

/* Limb by limb. */
static inline fe8 fe8_add(fe8 a, fe8 b) {
  for (int i = 0; i < 5; i++) a.l[i] = add8(a.l[i], b.l[i]);
  return a;
}

/* a - b + p, see above. */
static inline fe8 fe8_sub(fe8 a, fe8 b) {
  for (int i = 0; i < 5; i++) a.l[i] = _mm512_sub_epi64(add8(a.l[i], p8(i)), b.l[i]);
  return a;
}

/* 8p - a, as a term of fe8_mul_add: limbs of a up to 2^54 - 152. */
static inline fe8 fe8_minus(fe8 a) {
  for (int i = 0; i < 5; i++)
    a.l[i] = _mm512_sub_epi64(all8(i == 0 ? 8 * (FE_MASK - 18) : 8 * FE_MASK), a.l[i]);
  return a;
}

/* Limbs below 2^63 to limbs below 2^51 + 2^17; below 2^55 to reduced ones. */
static inline fe8 fe8_carry(fe8 a) {
  const __m512i mask = all8(FE_MASK);
  __m512i carry[5];
  for (int i = 0; i < 5; i++) {
    carry[i] = _mm512_srli_epi64(a.l[i], 51);
    a.l[i] = _mm512_and_si512(a.l[i], mask);
  }
  a.l[0] = low8(a.l[0], carry[4], all8(19));
  for (int i = 1; i < 5; i++) a.l[i] = add8(a.l[i], carry[i - 1]);
  return a;
}

/* Sums at the weights of limbs 0 to 9, below 2^56, to limbs below 2^61. */
static inline fe8 fe8_fold(const __m512i r[10]) {
  fe8 a;
  for (int i = 0; i < 5; i++) a.l[i] = add8(r[i], times_19(r[i + 5]));
  return a;
}

/* a * b + c, with limbs below 2^61. Limbs of a and b < 2^52, of c < 2^56. */
static inline __attribute__((always_inline)) fe8 fe8_mul_add_wide(fe8 a, fe8 b, fe8 c) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i r[10];
  for (int k = 0; k < 10; k++) r[k] = zero;
#pragma GCC unroll 5
  for (int i = 0; i < 5; i++)
#pragma GCC unroll 5
    for (int j = 0; j < 5; j++) r[i + j + 1] = high8(r[i + j + 1], a.l[i], b.l[j]);
#pragma GCC unroll 9
  for (int k = 1; k < 10; k++) r[k] = add8(r[k], r[k]);
#pragma GCC unroll 5
  for (int k = 0; k < 5; k++) r[k] = add8(r[k], c.l[k]);
#pragma GCC unroll 5
  for (int i = 0; i < 5; i++)
#pragma GCC unroll 5
    for (int j = 0; j < 5; j++) r[i + j] = low8(r[i + j], a.l[i], b.l[j]);
  return fe8_fold(r);
}

/* The same, reduced. */
static inline __attribute__((always_inline)) fe8 fe8_mul_add(fe8 a, fe8 b, fe8 c) {
  return fe8_carry(fe8_mul_add_wide(a, b, c));
}

/* a^2 + c. The products of two different limbs count twice: sum = 2 (2 high_ij + high_ii +
 * low_ij) + low_ii. */
static inline __attribute__((always_inline)) fe8 fe8_square_add(fe8 a, fe8 c) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i r[10];
  for (int k = 0; k < 10; k++) r[k] = zero;
#pragma GCC unroll 5
  for (int i = 0; i < 5; i++)
#pragma GCC unroll 5
    for (int j = i + 1; j < 5; j++) r[i + j + 1] = high8(r[i + j + 1], a.l[i], a.l[j]);
#pragma GCC unroll 10
  for (int k = 2; k < 9; k++) r[k] = add8(r[k], r[k]);
#pragma GCC unroll 5
  for (int i = 0; i < 5; i++) r[2 * i + 1] = high8(r[2 * i + 1], a.l[i], a.l[i]);
#pragma GCC unroll 5
  for (int i = 0; i < 5; i++)
#pragma GCC unroll 5
    for (int j = i + 1; j < 5; j++) r[i + j] = low8(r[i + j], a.l[i], a.l[j]);
#pragma GCC unroll 10
  for (int k = 1; k < 10; k++) r[k] = add8(r[k], r[k]);
#pragma GCC unroll 5
  for (int k = 0; k < 5; k++) r[k] = add8(r[k], c.l[k]);
#pragma GCC unroll 5
  for (int i = 0; i < 5; i++) r[2 * i] = low8(r[2 * i], a.l[i], a.l[i]);
  return fe8_carry(fe8_fold(r));
}

static inline __attribute__((always_inline)) fe8 fe8_mul(fe8 a, fe8 b) {
  return fe8_mul_add(a, b, fe8_all(FE_ZERO));
}

static inline __attribute__((always_inline)) fe8 fe8_square(fe8 a) {
  return fe8_square_add(a, fe8_all(FE_ZERO));
}

/* a * b - c, and a^2 - 2b - c: limbs of c, and of 2b + c, up to 2^54 - 152. */
static inline __attribute__((always_inline)) fe8 fe8_mul_minus(fe8 a, fe8 b, fe8 c) {
  return fe8_mul_add(a, b, fe8_minus(c));
}

static inline __attribute__((always_inline)) fe8 fe8_square_minus(fe8 a, fe8 b, fe8 c) {
  return fe8_square_add(a, fe8_minus(fe8_add(fe8_add(b, b), c)));
}

/* Limb 4 of a * b without what limb 3 carries into it, which is below 2^9: bits 0 to 50 are
 * those of the product unless that carry would ripple up, and bits 51 and above mean nothing. */
static inline __m512i fe8_mul_top(fe8 a, fe8 b) {
  __m512i high = _mm512_setzero_si512();
  for (int i = 0; i < 4; i++) high = high8(high, a.l[i], b.l[3 - i]);
  __m512i wrapped = high8(_mm512_setzero_si512(), a.l[4], b.l[4]);
  __m512i top = low8(add8(high, high), wrapped, all8(38));
  for (int i = 0; i < 5; i++) top = low8(top, a.l[i], b.l[4 - i]);
  return top;
}

/* One lane. */
static inline fe fe8_lane(const fe8 *a, int lane) {
  fe one;
  for (int i = 0; i < 5; i++) one.l[i] = ((const uint64_t *)&a->l[i])[lane];
  return one;
}

static inline void fe8_set_lane(fe8 *a, int lane, fe value) {
  for (int i = 0; i < 5; i++) ((uint64_t *)&a->l[i])[lane] = value.l[i];
}

#endif
