/* The parts of the AVX2 level: see lanes_checks.h. */
#if defined(__x86_64__)
#include "field_avx2.h"
#include "sha512_avx2.h"

enum { LANES = 4, CARRY_BITS = 53 };
typedef fe4 wide;
typedef __m256i words;
#define wide_all fe4_all
#define wide_lane fe4_lane
#define wide_set_lane fe4_set_lane
#define wide_add fe4_add
#define wide_sub fe4_sub
#define wide_carry fe4_carry
#define wide_mul fe4_mul
#define wide_square fe4_square
#define wide_mul_minus fe4_mul_minus
#define wide_square_minus fe4_square_minus
#define hash_lanes grind_clamped_scalars_avx2

static unsigned long long wide_top(fe4 a, fe4 b, int lane) {
  __m256i top = fe4_mul_top(a, b);
  return ((const unsigned long long *)&top)[lane];
}

#include "lanes_checks.h"

static __attribute__((noinline)) void check_toward_zero(void) { check_field(); }

int main(void) {
  if (grind_find_level("avx2") == NULL) return 0;
  unsigned mode = field_avx2_begin();
  check_toward_zero();
  field_avx2_end(mode);
  CHECK(_mm_getcsr() == mode);
  check_scalars();
  return 0;
}
#else
int main(void) { return 0; }
#endif
