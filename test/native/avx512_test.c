/* The parts of the AVX-512 level: see lanes_checks.h. */
#if defined(__x86_64__)
#include "field_avx512.h"
#include "sha512_avx512.h"

enum { LANES = 8, CARRY_BITS = 54 };
typedef fe8 wide;
typedef __m512i words;
#define wide_all fe8_all
#define wide_lane fe8_lane
#define wide_set_lane fe8_set_lane
#define wide_add fe8_add
#define wide_sub fe8_sub
#define wide_carry fe8_carry
#define wide_mul fe8_mul
#define wide_square fe8_square
#define wide_mul_minus fe8_mul_minus
#define wide_square_minus fe8_square_minus
#define hash_lanes grind_clamped_scalars_avx512

static unsigned long long wide_top(fe8 a, fe8 b, int lane) {
  __m512i top = fe8_mul_top(a, b);
  return ((const unsigned long long *)&top)[lane];
}

#include "lanes_checks.h"

int main(void) {
  if (grind_find_level("avx512") == NULL) return 0;
  check_field();
  check_scalars();
  return 0;
}
#else
int main(void) { return 0; }
#endif
