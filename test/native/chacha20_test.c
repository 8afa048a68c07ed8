/* ChaCha20 against RFC 8439, appendix A.1, at every level, and that no byte is given twice or
 * left out. */
#include "chacha20.h"

#include "check.h"
#include "level.h"

enum { MOST_LANES = 16, BLOCK = 64 };

/* Block `number` of the first ones, put in order. */
static void block_of(uint8_t block[BLOCK], const uint8_t *given, size_t lanes, size_t number) {
  const uint8_t *group = given + number / lanes * lanes * BLOCK;
  for (size_t word = 0; word < 16; word++)
    memcpy(block + 4 * word, group + 4 * (word * lanes + number % lanes), 4);
}

static void check(grind_chacha20_take *take, size_t lanes) {
  enum { BLOCKS = 2 * MOST_LANES };
  static _Alignas(64) uint8_t given[BLOCKS * BLOCK], again[BLOCKS * BLOCK];
  static const char *const zero_key[2] = {
      "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
      "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
      "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
      "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"};
  uint8_t key[32] = {0}, expected[BLOCK], block[BLOCK];
  grind_chacha20 stream;

  /* Test vectors 1 and 2: key 0, blocks 0 and 1. */
  grind_chacha20_start(&stream, key);
  take(&stream, given, sizeof given);
  for (size_t number = 0; number < 2; number++) {
    from_hex(expected, BLOCK, zero_key[number]);
    block_of(block, given, lanes, number);
    CHECK(memcmp(block, expected, BLOCK) == 0);
  }
  /* Test vector 3: key 00 .. 01, block 1. */
  key[31] = 1;
  grind_chacha20_start(&stream, key);
  take(&stream, given, sizeof given);
  from_hex(expected, BLOCK,
           "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
           "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0");
  block_of(block, given, lanes, 1);
  CHECK(memcmp(block, expected, BLOCK) == 0);

  /* Piece by piece is the same stream. */
  grind_chacha20_start(&stream, key);
  for (size_t at = 0; at < sizeof again; at += MOST_LANES * BLOCK)
    take(&stream, again + at, MOST_LANES * BLOCK);
  CHECK(memcmp(given, again, sizeof given) == 0);

  /* All blocks differ, and the high half of the counter counts. */
  stream.block = ((uint64_t)1 << 32) - MOST_LANES;
  take(&stream, again, sizeof again);
  for (size_t number = 0; number < BLOCKS; number++) {
    block_of(block, given, lanes, number);
    for (size_t other = 0; other < BLOCKS; other++) {
      uint8_t second[BLOCK];
      block_of(second, given, lanes, other);
      CHECK((memcmp(block, second, BLOCK) == 0) == (number == other));
      block_of(second, again, lanes, other);
      CHECK(memcmp(block, second, BLOCK) != 0);
    }
  }
}

int main(void) {
  check(grind_chacha20_take_portable, 4);
#if defined(__x86_64__)
  if (grind_find_level("avx2") != NULL) check(grind_chacha20_take_avx2, 8);
  if (grind_find_level("avx512") != NULL) check(grind_chacha20_take_avx512, 16);
#endif
  return 0;
}
