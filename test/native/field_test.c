/* The field against a slow reference: schoolbook products of 64-bit words, folded by 2^256 = 38.
 * Inputs go up to the bounds that field.h states, which is where carries would break. */
#include "field.h"

#include "check.h"

typedef unsigned __int128 wide;
typedef struct {
  uint64_t w[4];
} number;

/* Any 512-bit value to 0..p-1. */
static number reduce(const uint64_t product[8]) {
  uint64_t w[4];
  memcpy(w, product, sizeof w);
  uint64_t high[4];
  memcpy(high, product + 4, sizeof high);
  for (int round = 0; round < 3; round++) {
    wide carry = 0;
    for (int i = 0; i < 4; i++) {
      carry += (wide)high[i] * 38 + w[i];
      w[i] = (uint64_t)carry;
      carry >>= 64;
    }
    memset(high, 0, sizeof high);
    high[0] = (uint64_t)carry;
  }
  for (int round = 0; round < 3; round++) {
    static const uint64_t p[4] = {UINT64_MAX - 18, UINT64_MAX, UINT64_MAX, UINT64_MAX >> 1};
    uint64_t less[4], borrow = 0;
    for (int i = 0; i < 4; i++) {
      wide difference = (wide)w[i] - p[i] - borrow;
      less[i] = (uint64_t)difference;
      borrow = (uint64_t)(difference >> 64) & 1;
    }
    if (!borrow) memcpy(w, less, sizeof w);
  }
  number result;
  memcpy(result.w, w, sizeof w);
  return result;
}

/* The value of any limbs, also those that overlap. */
static number value_of(fe a) {
  uint64_t sum[8] = {0};
  for (int i = 0; i < 5; i++) {
    int bit = 51 * i;
    wide part = (wide)a.l[i] << (bit % 64);
    uint64_t words[2] = {(uint64_t)part, (uint64_t)(part >> 64)};
    uint64_t carry = 0;
    for (int at = bit / 64, j = 0; at < 8; at++, j++) {
      wide total = (wide)sum[at] + (j < 2 ? words[j] : 0) + carry;
      sum[at] = (uint64_t)total;
      carry = (uint64_t)(total >> 64);
    }
  }
  return reduce(sum);
}

static number times(number a, number b) {
  uint64_t product[8] = {0};
  for (int i = 0; i < 4; i++) {
    uint64_t carry = 0;
    for (int j = 0; j < 4; j++) {
      wide total = (wide)a.w[i] * b.w[j] + product[i + j] + carry;
      product[i + j] = (uint64_t)total;
      carry = (uint64_t)(total >> 64);
    }
    product[i + 4] = carry;
  }
  return reduce(product);
}

static number plus(number a, number b) {
  uint64_t sum[8] = {0};
  wide carry = 0;
  for (int i = 0; i < 4; i++) {
    carry += (wide)a.w[i] + b.w[i];
    sum[i] = (uint64_t)carry;
    carry >>= 64;
  }
  sum[4] = (uint64_t)carry;
  return reduce(sum);
}

static int same(fe a, number b) {
  uint64_t w[4];
  fe_to_words(w, a);
  return memcmp(w, b.w, sizeof w) == 0;
}

static int is_reduced(fe a) {
  for (int i = 0; i < 5; i++)
    if (a.l[i] >= ((uint64_t)1 << 51) + ((uint64_t)1 << 13)) return 0;
  return 1;
}

/* Limbs of up to `bits` bits: often all ones or zero, else random. */
static fe random_limbs(uint64_t *state, int bits) {
  uint64_t most = ((uint64_t)1 << bits) - 1;
  fe a;
  for (int i = 0; i < 5; i++) {
    uint64_t kind = next_random(state) % 4;
    a.l[i] = kind == 0 ? most : kind == 1 ? 0 : next_random(state) & most;
  }
  return a;
}

int main(void) {
  uint64_t state = 1;
  for (int round = 0; round < 20000; round++) {
    fe a = random_limbs(&state, 54), b = random_limbs(&state, 54), c = random_limbs(&state, 63);
    number product = times(value_of(a), value_of(b));
    number square = times(value_of(a), value_of(a));
    CHECK(same(a, value_of(a)));
    CHECK(same(fe_mul(a, b), product) && is_reduced(fe_mul(a, b)));
    CHECK(same(fe_square(a), square) && is_reduced(fe_square(a)));
    CHECK(same(fe_mul_add(a, b, c), plus(product, value_of(c))));
    CHECK(is_reduced(fe_mul_add(a, b, c)));
    CHECK(same(fe_square_add(a, c), plus(square, value_of(c))));
    CHECK(is_reduced(fe_square_add(a, c)));
    CHECK(same(fe_add(a, b), plus(value_of(a), value_of(b))));
    fe small = random_limbs(&state, 52);
    CHECK(same(fe_add(fe_sub(a, small), small), value_of(a)));
    uint64_t w[4];
    fe_to_words(w, a);
    CHECK(same(fe_from_words(w), value_of(a)));
  }
  for (int round = 0; round < 50; round++) {
    fe a = random_limbs(&state, 54);
    fe expected = fe_is_zero(a) ? FE_ZERO : FE_ONE;
    CHECK(same(fe_mul(a, fe_invert(a)), value_of(expected)));
  }

  /* The two ways to write numbers just above p, and zero. */
  const fe p = {{FE_MASK - 18, FE_MASK, FE_MASK, FE_MASK, FE_MASK}};
  CHECK(fe_is_zero(FE_ZERO) && fe_is_zero(p) && fe_is_zero(fe_add(p, p)) && !fe_is_zero(FE_ONE));
  CHECK(same(fe_add(p, FE_ONE), value_of(FE_ONE)));
  CHECK(fe_is_zero(fe_invert(FE_ZERO)));
  uint8_t bytes[32];
  fe_to_bytes(bytes, (fe){{FE_MASK, FE_MASK, FE_MASK, FE_MASK, FE_MASK}});
  CHECK(bytes[0] == 18 && bytes[31] == 0);
  return 0;
}
