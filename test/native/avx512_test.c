/* The vector field against the portable one, lane by lane, with limbs up to their bounds, and
 * SHA-512 in lanes against one seed at a time. */
#if defined(__x86_64__)
#include "field_avx512.h"

#include "check.h"
#include "kernel.h"
#include "sha512.h"
#include "sha512_avx512.h"

static fe8 random_limbs(uint64_t *state, int bits) {
  uint64_t most = ((uint64_t)1 << bits) - 1;
  fe8 a;
  for (int i = 0; i < 5; i++)
    for (int lane = 0; lane < 8; lane++) {
      uint64_t kind = next_random(state) % 4;
      ((uint64_t *)&a.l[i])[lane] = kind == 0 ? most : kind == 1 ? 0 : next_random(state) & most;
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

static void check_field(void) {
  uint64_t state = 6;
  for (int round = 0; round < 1500; round++) {
    fe8 a = random_limbs(&state, 52), b = random_limbs(&state, 52), c = random_limbs(&state, 56);
    fe8 product = fe8_mul(a, b), sum = fe8_mul_add(a, b, c);
    fe8 square = fe8_square(a), square_sum = fe8_square_add(a, c);
    fe8 wide = random_limbs(&state, 62), carried = fe8_carry(wide);
    fe8 minus = fe8_minus(a);
    __m512i top = fe8_mul_top(a, b);
    for (int lane = 0; lane < 8; lane++) {
      fe x = fe8_lane(&a, lane), y = fe8_lane(&b, lane), z = fe8_lane(&c, lane);
      CHECK(same(fe8_lane(&product, lane), fe_mul(x, y)));
      CHECK(same(fe8_lane(&sum, lane), fe_mul_add(x, y, z)));
      CHECK(same(fe8_lane(&square, lane), fe_square(x)));
      CHECK(same(fe8_lane(&square_sum, lane), fe_square_add(x, z)));
      CHECK(is_reduced(fe8_lane(&product, lane)) && is_reduced(fe8_lane(&sum, lane)));
      CHECK(is_reduced(fe8_lane(&square, lane)) && is_reduced(fe8_lane(&square_sum, lane)));
      CHECK(same(fe8_lane(&carried, lane), fe8_lane(&wide, lane)));
      CHECK(same(fe_add(fe8_lane(&minus, lane), x), FE_ZERO));
      /* The carry into limb 4 is left out: the limb is short by less than 2^9 (modulo 2^51). */
      uint64_t exact = fe_mul(x, y).l[4];
      CHECK(((exact - ((uint64_t *)&top)[lane]) & FE_MASK) < 1 << 9);
    }
    fe8 low = random_limbs(&state, 50);
    fe8 difference = fe8_sub(a, low);
    for (int lane = 0; lane < 8; lane++)
      CHECK(same(fe_add(fe8_lane(&difference, lane), fe8_lane(&low, lane)), fe8_lane(&a, lane)));
  }
}

static void check_scalars(void) {
  uint64_t state = 7;
  for (int round = 0; round < 100; round++) {
    uint8_t seeds[8][32];
    random_bytes(&state, seeds[0], sizeof seeds);
    __m512i scalars[4];
    grind_clamped_scalars_avx512(scalars, (const uint8_t(*)[32])seeds);
    for (int lane = 0; lane < 8; lane++) {
      uint64_t expected[4];
      grind_clamped_scalar(expected, seeds[lane]);
      for (int i = 0; i < 4; i++) CHECK(((uint64_t *)&scalars[i])[lane] == expected[i]);
    }
  }
}

int main(void) {
  if (grind_find_level("avx512") == NULL) return 0;
  check_field();
  check_scalars();
  return 0;
}
#else
int main(void) { return 0; }
#endif
