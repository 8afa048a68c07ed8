/* Public keys of published seeds by every level of this machine, by the slow path, and by the scalar.
 * Reads lines of "seed public-key", hexadecimal, from standard input. */
#include "check.h"
#include "expanded.h"
#include "kernel.h"
#include "sha512.h"

enum { KEYS_MAX = 1000 };

static uint8_t seeds[KEYS_MAX][32], public_keys[KEYS_MAX][32], derived[KEYS_MAX][32];

static size_t read_keys(void) {
  char seed[65], public_key[65];
  size_t count = 0;
  while (scanf("%64s %64s", seed, public_key) == 2) {
    CHECK(count < KEYS_MAX);
    from_hex(seeds[count], 32, seed);
    from_hex(public_keys[count], 32, public_key);
    count++;
  }
  return count;
}

static void check_slow_paths(size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint8_t public_key[32], bytes[32];
    uint64_t scalar[4];
    grind_public_from_seed(seeds[i], public_key);
    CHECK(memcmp(public_key, public_keys[i], 32) == 0);
    grind_clamped_scalar(scalar, seeds[i]);
    for (int at = 0; at < 32; at++) bytes[at] = (uint8_t)(scalar[at / 8] >> (8 * (at % 8)));
    grind_public_from_scalar(bytes, public_key);
    CHECK(memcmp(public_key, public_keys[i], 32) == 0);
  }
}

static void check_level(const grind_level *level, size_t count) {
  const grind_pattern any = {{0}, {1}, 0, 1};
  grind_search *search;
  CHECK(grind_open(level, &any, 1, 0, &search) == GRIND_OK);
  CHECK(grind_derive(search, (const uint8_t (*)[32])seeds, count, derived) == GRIND_OK);
  for (size_t i = 0; i < count; i++) {
    uint8_t expected[32];
    memcpy(expected, public_keys[i], 32);
    expected[31] &= 0x7f;
    CHECK(memcmp(derived[i], expected, 32) == 0);
  }
  grind_close(search);
}

int main(void) {
  static const char *const names[] = {"portable", "avx2", "avx512"};
  size_t count = read_keys();
  CHECK(count > 0);
  check_slow_paths(count);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const grind_level *level = grind_find_level(names[i]);
    if (level != NULL) check_level(level, count);
  }
  return 0;
}
