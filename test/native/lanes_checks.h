/* The vector arithmetic of a level against the portable one, lane by lane, with limbs up to their
 * bounds, and SHA-512 in lanes against one seed at a time. Who includes this has defined LANES,
 * `wide` with its functions as in seed_passes.h, `words`, wide_top (limb 4 of a product without
 * the carry into it, of one lane), hash_lanes, and CARRY_BITS, what wide_carry takes. */
#include "check.h"
#include "kernel.h"
#include "sha512.h"

static wide random_wide(uint64_t *state, int bits) {
  uint64_t most = ((uint64_t)1 << bits) - 1;
  wide a = wide_all(FE_ZERO);
  for (int lane = 0; lane < LANES; lane++) {
    fe one;
    for (int i = 0; i < 5; i++) {
      uint64_t kind = next_random(state) % 4;
      one.l[i] = kind == 0 ? most : kind == 1 ? 0 : next_random(state) & most;
    }
    wide_set_lane(&a, lane, one);
  }
  return a;
}

static int same(fe a, fe b) {
  uint64_t left[4], right[4];
  fe_to_words(left, a);
  fe_to_words(right, b);
  return memcmp(left, right, sizeof left) == 0;
}

static int is_reduced(fe a) {
  for (int i = 0; i < 5; i++)
    if (a.l[i] >= ((uint64_t)1 << 51) + ((uint64_t)1 << 14)) return 0;
  return 1;
}

static int is_reduced_and(fe a, fe b) { return is_reduced(a) && same(a, b); }

static fe minus(fe a, fe b) { return fe_mul_add(fe_sub(FE_ZERO, b), FE_ONE, a); }

static void check_field(void) {
  uint64_t state = 6;
  for (int round = 0; round < 1500; round++) {
    wide a = random_wide(&state, 52), b = random_wide(&state, 52), c = random_wide(&state, 51);
    wide low = random_wide(&state, 50), loose = random_wide(&state, CARRY_BITS);
    wide product = wide_mul(a, b), square = wide_square(a), carried = wide_carry(loose);
    wide product_minus = wide_mul_minus(a, b, c), square_minus = wide_square_minus(a, c, b);
    wide sum = wide_add(c, low), difference = wide_sub(c, low);
    for (int lane = 0; lane < LANES; lane++) {
      fe x = wide_lane(&a, lane), y = wide_lane(&b, lane), z = wide_lane(&c, lane);
      fe w = wide_lane(&low, lane);
      CHECK(is_reduced_and(wide_lane(&product, lane), fe_mul(x, y)));
      CHECK(is_reduced_and(wide_lane(&square, lane), fe_square(x)));
      CHECK(is_reduced_and(wide_lane(&product_minus, lane), minus(fe_mul(x, y), z)));
      fe less = minus(minus(minus(fe_square(x), z), z), y);
      CHECK(is_reduced_and(wide_lane(&square_minus, lane), less));
      CHECK(is_reduced_and(wide_lane(&carried, lane), wide_lane(&loose, lane)));
      CHECK(same(wide_lane(&sum, lane), fe_add(z, w)));
      CHECK(same(wide_lane(&difference, lane), minus(z, w)));
      /* Short by less than 2^9, modulo 2^51. */
      CHECK(((fe_mul(x, y).l[4] - wide_top(a, b, lane)) & FE_MASK) < 1 << 9);
    }
  }
}

static void check_scalars(void) {
  uint64_t state = 7;
  for (int round = 0; round < 100; round++) {
    uint8_t seeds[LANES][32];
    random_bytes(&state, seeds[0], sizeof seeds);
    words scalars[4];
    hash_lanes(scalars, (const uint8_t(*)[32])seeds);
    for (int lane = 0; lane < LANES; lane++) {
      uint64_t expected[4];
      grind_clamped_scalar(expected, seeds[lane]);
      for (int i = 0; i < 4; i++) CHECK(((const uint64_t *)&scalars[i])[lane] == expected[i]);
    }
  }
}
