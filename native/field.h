/* Numbers modulo p = 2^255 - 19 in five limbs of 51 bits: value = sum l[i] * 2^(51 i). Inline,
 * because the candidate loop is made of them; for any 64-bit machine with a 128-bit product.
 *
 * Limbs may be larger than 51 bits. "Reduced" means every limb < 2^51 + 2^13, which is what the
 * products return; every function says what it takes. Nothing here branches on values.
 */
#ifndef GRIND_FIELD_H
#define GRIND_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t l[5];
} fe;

typedef unsigned __int128 fe_wide;

static const uint64_t FE_MASK = ((uint64_t)1 << 51) - 1;

#define FE_ZERO ((fe){{0, 0, 0, 0, 0}})
#define FE_ONE ((fe){{1, 0, 0, 0, 0}})

/* Limb by limb: the sum of the bounds must stay below 2^54 for a product. */
static inline fe fe_add(fe a, fe b) {
  fe r;
  for (int i = 0; i < 5; i++) r.l[i] = a.l[i] + b.l[i];
  return r;
}

/* a - b + 4p, limb by limb: limbs of b <= 2^53 - 76; the result is < bound of a + 2^53. */
static inline fe fe_sub(fe a, fe b) {
  fe r;
  r.l[0] = a.l[0] + 0x1fffffffffffb4 - b.l[0];
  for (int i = 1; i < 5; i++) r.l[i] = a.l[i] + 0x1ffffffffffffc - b.l[i];
  return r;
}

/* Accumulators below 2^115 to reduced limbs; the top one must be below 2^110.5. */
static inline fe fe_carry_wide(fe_wide r0, fe_wide r1, fe_wide r2, fe_wide r3, fe_wide r4) {
  fe r;
  r1 += (uint64_t)(r0 >> 51);
  r2 += (uint64_t)(r1 >> 51);
  r3 += (uint64_t)(r2 >> 51);
  r4 += (uint64_t)(r3 >> 51);
  uint64_t low = ((uint64_t)r0 & FE_MASK) + (uint64_t)(r4 >> 51) * 19;
  r.l[0] = low & FE_MASK;
  r.l[1] = ((uint64_t)r1 & FE_MASK) + (low >> 51);
  r.l[2] = (uint64_t)r2 & FE_MASK;
  r.l[3] = (uint64_t)r3 & FE_MASK;
  r.l[4] = (uint64_t)r4 & FE_MASK;
  return r;
}

/* a * b + c. Limbs of a and b < 2^54, of c < 2^63; reduced. The sum costs no carry of its own. */
static inline fe fe_mul_add(fe a, fe b, fe c) {
  uint64_t b1 = b.l[1] * 19, b2 = b.l[2] * 19, b3 = b.l[3] * 19, b4 = b.l[4] * 19;
  fe_wide r0 = (fe_wide)a.l[0] * b.l[0] + (fe_wide)a.l[1] * b4 + (fe_wide)a.l[2] * b3 +
               (fe_wide)a.l[3] * b2 + (fe_wide)a.l[4] * b1 + c.l[0];
  fe_wide r1 = (fe_wide)a.l[0] * b.l[1] + (fe_wide)a.l[1] * b.l[0] + (fe_wide)a.l[2] * b4 +
               (fe_wide)a.l[3] * b3 + (fe_wide)a.l[4] * b2 + c.l[1];
  fe_wide r2 = (fe_wide)a.l[0] * b.l[2] + (fe_wide)a.l[1] * b.l[1] + (fe_wide)a.l[2] * b.l[0] +
               (fe_wide)a.l[3] * b4 + (fe_wide)a.l[4] * b3 + c.l[2];
  fe_wide r3 = (fe_wide)a.l[0] * b.l[3] + (fe_wide)a.l[1] * b.l[2] + (fe_wide)a.l[2] * b.l[1] +
               (fe_wide)a.l[3] * b.l[0] + (fe_wide)a.l[4] * b4 + c.l[3];
  fe_wide r4 = (fe_wide)a.l[0] * b.l[4] + (fe_wide)a.l[1] * b.l[3] + (fe_wide)a.l[2] * b.l[2] +
               (fe_wide)a.l[3] * b.l[1] + (fe_wide)a.l[4] * b.l[0] + c.l[4];
  return fe_carry_wide(r0, r1, r2, r3, r4);
}

/* a^2 + c, with the bounds of fe_mul_add. */
static inline fe fe_square_add(fe a, fe c) {
  uint64_t d0 = a.l[0] * 2, d1 = a.l[1] * 2, d2 = a.l[2] * 2;
  uint64_t a3 = a.l[3] * 19, a4 = a.l[4] * 19;
  fe_wide r0 = (fe_wide)a.l[0] * a.l[0] + (fe_wide)d1 * a4 + (fe_wide)d2 * a3 + c.l[0];
  fe_wide r1 = (fe_wide)d0 * a.l[1] + (fe_wide)d2 * a4 + (fe_wide)a.l[3] * a3 + c.l[1];
  fe_wide r2 = (fe_wide)d0 * a.l[2] + (fe_wide)a.l[1] * a.l[1] + (fe_wide)(a.l[3] * 2) * a4 +
               c.l[2];
  fe_wide r3 = (fe_wide)d0 * a.l[3] + (fe_wide)d1 * a.l[2] + (fe_wide)a.l[4] * a4 + c.l[3];
  fe_wide r4 = (fe_wide)d0 * a.l[4] + (fe_wide)d1 * a.l[3] + (fe_wide)a.l[2] * a.l[2] + c.l[4];
  return fe_carry_wide(r0, r1, r2, r3, r4);
}

static inline fe fe_mul(fe a, fe b) { return fe_mul_add(a, b, FE_ZERO); }
static inline fe fe_square(fe a) { return fe_square_add(a, FE_ZERO); }

/* Four little-endian words, of which bit 255 is not looked at; limbs < 2^51. */
static inline fe fe_from_words(const uint64_t w[4]) {
  return (fe){{
      w[0] & FE_MASK,
      (w[0] >> 51 | w[1] << 13) & FE_MASK,
      (w[1] >> 38 | w[2] << 26) & FE_MASK,
      (w[2] >> 25 | w[3] << 39) & FE_MASK,
      (w[3] >> 12) & FE_MASK,
  }};
}

/* The number from 0 to p - 1, as four words, least significant first. Limbs of a < 2^63. */
static inline void fe_to_words(uint64_t w[4], fe a) {
  uint64_t l0 = a.l[0], l1 = a.l[1], l2 = a.l[2], l3 = a.l[3], l4 = a.l[4];
  for (int round = 0; round < 2; round++) {
    l1 += l0 >> 51, l0 &= FE_MASK;
    l2 += l1 >> 51, l1 &= FE_MASK;
    l3 += l2 >> 51, l2 &= FE_MASK;
    l4 += l3 >> 51, l3 &= FE_MASK;
    l0 += (l4 >> 51) * 19, l4 &= FE_MASK;
  }
  /* Now below 2^255 + 19: subtract p once if adding 19 reaches 2^255. */
  uint64_t over = (l0 + 19) >> 51;
  over = (l1 + over) >> 51;
  over = (l2 + over) >> 51;
  over = (l3 + over) >> 51;
  over = (l4 + over) >> 51;
  l0 += 19 * over;
  l1 += l0 >> 51, l0 &= FE_MASK;
  l2 += l1 >> 51, l1 &= FE_MASK;
  l3 += l2 >> 51, l2 &= FE_MASK;
  l4 += l3 >> 51, l3 &= FE_MASK;
  l4 &= FE_MASK;
  w[0] = l0 | l1 << 51;
  w[1] = l1 >> 13 | l2 << 38;
  w[2] = l2 >> 26 | l3 << 25;
  w[3] = l3 >> 39 | l4 << 12;
}

/* 32 bytes, little-endian (RFC 8032, section 5.1.2), canonical; bit 255 is 0. */
void fe_to_bytes(uint8_t bytes[32], fe a);

/* 1 / a by a^(p - 2); 0 for 0. Limbs of a < 2^54; reduced. */
fe fe_invert(fe a);

/* Limbs of a < 2^63. */
bool fe_is_zero(fe a);

#endif
