/* The slow path of keys: SHA-512, clamping and Edwards points against RFC 8032, section 7.1, and
 * group laws; then the way to Weierstrass points. */
#include "point.h"

#include "check.h"
#include "kernel.h"
#include "sha512.h"

static const struct {
  const char *seed, *public_key;
} VECTORS[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"},
    {"f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
     "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e"},
    {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf"},
};

/* SHA-512 of the seed 00 01 .. 1f, as eight words. */
static const uint64_t DIGEST[8] = {
    0x3d94eea49c580aef, 0x816935762be04955, 0x9d6d1440dede12e6, 0xa125f1841fff8e6f,
    0xa9d71862a3e5746b, 0x571be3d187b00410, 0x46f52ebd850c7cbd, 0x5fde8ee38473b649,
};

/* The order of the base point, L = 2^252 + 27742317777372353535851937790883648493. */
static const uint64_t ORDER[4] = {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000};

static void check_vectors(void) {
  for (size_t i = 0; i < sizeof VECTORS / sizeof *VECTORS; i++) {
    uint8_t seed[32], expected[32], public_key[32];
    from_hex(seed, 32, VECTORS[i].seed);
    from_hex(expected, 32, VECTORS[i].public_key);
    grind_public_from_seed(seed, public_key);
    CHECK(memcmp(public_key, expected, 32) == 0);
  }
}

static void check_hash(void) {
  uint8_t seed[32];
  for (int i = 0; i < 32; i++) seed[i] = (uint8_t)i;
  uint64_t digest[8], scalar[4];
  grind_sha512_seed(digest, seed);
  CHECK(memcmp(digest, DIGEST, sizeof digest) == 0);
  grind_clamped_scalar(scalar, seed);
  CHECK((scalar[0] & 7) == 0 && scalar[3] >> 62 == 1);
  CHECK((scalar[1] & 0xff) == digest[1] >> 56);
}

static int same_point(edwards_point a, edwards_point b) {
  uint8_t left[32], right[32];
  edwards_to_bytes(left, a);
  edwards_to_bytes(right, b);
  return memcmp(left, right, 32) == 0;
}

static void check_group(void) {
  const uint64_t zero[4] = {0}, one[4] = {1};
  edwards_point base = edwards_base(), neutral = edwards_scale(zero, base);
  uint8_t bytes[32];
  edwards_to_bytes(bytes, neutral);
  CHECK(bytes[0] == 1 && bytes[31] == 0);
  CHECK(same_point(edwards_scale(one, base), base));
  CHECK(same_point(edwards_scale(ORDER, base), neutral));
  uint64_t state = 2;
  for (int round = 0; round < 20; round++) {
    uint64_t a[4], b[4], sum[4], carry = 0;
    for (int i = 0; i < 4; i++) {
      a[i] = next_random(&state) >> (i == 3 ? 2 : 0);
      b[i] = next_random(&state) >> (i == 3 ? 2 : 0);
      unsigned __int128 total = (unsigned __int128)a[i] + b[i] + carry;
      sum[i] = (uint64_t)total;
      carry = (uint64_t)(total >> 64);
    }
    edwards_point p = edwards_scale(a, base), q = edwards_scale(b, base);
    CHECK(same_point(edwards_add(p, q), edwards_scale(sum, base)));
    CHECK(same_point(edwards_scale_base(a), p));
    CHECK(same_point(edwards_add(p, p), edwards_scale((uint64_t[4]){2}, p)));
  }
}

static void check_weierstrass(void) {
  const fe shift = fe_mul(fe_sub(WEIERSTRASS_SHIFT_PLUS_1, FE_ONE), FE_ONE);
  edwards_point point = edwards_base();
  for (int round = 0; round < 20; round++) {
    /* On the curve v^2 = u^3 + 486662 u^2 + u, and y of Edwards is (u - 1) / (u + 1). */
    weierstrass_point w = weierstrass_from_edwards(point);
    fe u = fe_mul(fe_sub(w.x, shift), FE_ONE), square = fe_square(u);
    fe right = fe_mul(fe_add(fe_add(square, fe_mul(u, (fe){{486662, 0, 0, 0, 0}})), FE_ONE), u);
    CHECK(fe_is_zero(fe_sub(fe_square(w.y), right)));
    fe y = fe_mul(fe_sub(u, FE_ONE), fe_invert(fe_add(u, FE_ONE)));
    CHECK(fe_is_zero(fe_sub(fe_mul(y, point.z), point.y)));
    point = edwards_add(point, edwards_add(point, edwards_base()));
  }
}

int main(void) {
  check_hash();
  check_vectors();
  check_group();
  check_weierstrass();
  return 0;
}
