/* Edwards arithmetic for what is rare, and the way to Weierstrass. See point.h. */
#include "point.h"

#include <pthread.h>
#include <stdbool.h>

const fe WEIERSTRASS_SHIFT_PLUS_1 = {
    {0x2aaaaaaad2452, 0x5555555555555, 0x2aaaaaaaaaaaa, 0x5555555555555, 0x2aaaaaaaaaaaa}};

static const fe TWO_D = {
    {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff}};

/* A square root of -486664 = -(A + 2): v = this * u / x. Which of the two does not matter. */
static const fe MONTGOMERY_SCALE = {
    {0x604aaff457e06, 0x2296fa350598d, 0x7f13dfb16874f, 0x35de93d846e01, 0xf26edf460a00}};

static const edwards_point BASE = {
    {{0x62d608f25d51a, 0x412a4b4f6592a, 0x75b7171a4b31d, 0x1ff60527118fe, 0x216936d3cd6e5}},
    {{0x6666666666658, 0x4cccccccccccc, 0x1999999999999, 0x3333333333333, 0x6666666666666}},
    {{1, 0, 0, 0, 0}},
    {{0x68ab3a5b7dda3, 0xeea2a5eadbb, 0x2af8df483c27e, 0x332b375274732, 0x67875f0fd78b7}},
};

edwards_point edwards_base(void) { return BASE; }

static edwards_point from_factors(fe e, fe f, fe g, fe h) {
  return (edwards_point){fe_mul(e, f), fe_mul(g, h), fe_mul(f, g), fe_mul(e, h)};
}

edwards_point edwards_add(edwards_point p, edwards_point q) {
  fe a = fe_mul(fe_sub(p.y, p.x), fe_sub(q.y, q.x));
  fe b = fe_mul(fe_add(p.y, p.x), fe_add(q.y, q.x));
  fe c = fe_mul(fe_mul(p.t, TWO_D), q.t);
  fe zz = fe_mul(p.z, q.z);
  fe d = fe_add(zz, zz);
  return from_factors(fe_sub(b, a), fe_sub(d, c), fe_add(d, c), fe_add(b, a));
}

static edwards_point edwards_double(edwards_point p) {
  fe a = fe_square(p.x);
  fe b = fe_square(p.y);
  fe zz = fe_square(p.z);
  fe h = fe_add(a, b);
  fe e = fe_sub(h, fe_square(fe_add(p.x, p.y)));
  fe g = fe_sub(a, b);
  fe f = fe_add(fe_add(zz, zz), g);
  return from_factors(e, f, g, h);
}

static const edwards_point NEUTRAL = {{{0}}, {{1}}, {{1}}, {{0}}};

static void fill_multiples(edwards_point multiples[16], edwards_point point) {
  multiples[0] = NEUTRAL;
  for (int i = 1; i < 16; i++) multiples[i] = edwards_add(multiples[i - 1], point);
}

edwards_point edwards_scale(const uint64_t scalar[4], edwards_point point) {
  edwards_point multiples[16], sum = NEUTRAL;
  fill_multiples(multiples, point);
  for (int bit = 252; bit >= 0; bit -= 4) {
    for (int i = 0; i < 4; i++) sum = edwards_double(sum);
    sum = edwards_add(sum, multiples[scalar[bit / 64] >> (bit % 64) & 15]);
  }
  return sum;
}

/* The first multiples of 2^(64 i) B. */
static const edwards_point (*multiples_of_base(void))[16] {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static edwards_point multiples[4][16];
  static bool is_filled;
  pthread_mutex_lock(&lock);
  edwards_point unit = BASE;
  for (int i = 0; i < 4 && !is_filled; i++) {
    fill_multiples(multiples[i], unit);
    for (int bit = 0; bit < 64; bit++) unit = edwards_double(unit);
  }
  is_filled = true;
  pthread_mutex_unlock(&lock);
  return (const edwards_point(*)[16])multiples;
}

edwards_point edwards_scale_base(const uint64_t scalar[4]) {
  const edwards_point (*multiples)[16] = multiples_of_base();
  edwards_point sum = NEUTRAL;
  for (int bit = 60; bit >= 0; bit -= 4) {
    for (int i = 0; i < 4 && bit < 60; i++) sum = edwards_double(sum);
    for (int i = 0; i < 4; i++) sum = edwards_add(sum, multiples[i][scalar[i] >> bit & 15]);
  }
  return sum;
}

void edwards_to_bytes(uint8_t bytes[32], edwards_point point) {
  fe inverse = fe_invert(point.z);
  uint64_t x[4];
  fe_to_words(x, fe_mul(point.x, inverse));
  fe_to_bytes(bytes, fe_mul(point.y, inverse));
  bytes[31] |= (uint8_t)((x[0] & 1) << 7);
}

/* u = (z + y) / (z - y), v = scale * u / (x / z). */
weierstrass_point weierstrass_from_edwards(edwards_point point) {
  static const fe shift = {
      {0x2aaaaaaad2451, 0x5555555555555, 0x2aaaaaaaaaaaa, 0x5555555555555, 0x2aaaaaaaaaaaa}};
  fe below = fe_sub(point.z, point.y);
  fe inverse = fe_invert(fe_mul(below, point.x));
  fe u = fe_mul(fe_mul(fe_add(point.z, point.y), point.x), inverse);
  fe z_by_x = fe_mul(fe_mul(point.z, below), inverse);
  return (weierstrass_point){
      fe_mul_add(u, FE_ONE, shift),
      fe_mul(fe_mul(u, z_by_x), MONTGOMERY_SCALE),
  };
}
