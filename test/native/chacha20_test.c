/* ChaCha20 against RFC 8439, appendix A.1, and that no byte is given twice or left out. */
#include "chacha20.h"

#include "check.h"

int main(void) {
  uint8_t key[32] = {0}, expected[64], whole[2048], part[512];
  grind_chacha20 stream;

  /* Test vectors 1 and 2: key 0, blocks 0 and 1. */
  grind_chacha20_start(&stream, key);
  grind_chacha20_take(&stream, whole, 512);
  from_hex(expected, 64,
           "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
           "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586");
  CHECK(memcmp(whole, expected, 64) == 0);
  from_hex(expected, 64,
           "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
           "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f");
  CHECK(memcmp(whole + 64, expected, 64) == 0);

  /* Test vector 3: key 00 .. 01, block 1. */
  key[31] = 1;
  grind_chacha20_start(&stream, key);
  grind_chacha20_take(&stream, whole, 512);
  from_hex(expected, 64,
           "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
           "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0");
  CHECK(memcmp(whole + 64, expected, 64) == 0);

  /* Piece by piece is the same stream. */
  grind_chacha20_start(&stream, key);
  grind_chacha20_take(&stream, whole, sizeof whole);
  grind_chacha20_start(&stream, key);
  for (size_t at = 0; at < sizeof whole; at += sizeof part) {
    grind_chacha20_take(&stream, part, sizeof part);
    CHECK(memcmp(whole + at, part, sizeof part) == 0);
  }

  /* Across the 32-bit boundary of the counter: blocks differ, and the high half counts. */
  stream.block = ((uint64_t)1 << 32) - 4;
  grind_chacha20_take(&stream, whole, 512);
  stream.block = 0;
  grind_chacha20_take(&stream, part, 512);
  for (int block = 0; block < 8; block++)
    for (int other = 0; other < 8; other++)
      CHECK(memcmp(whole + 64 * block, part + 64 * other, 64) != 0);
  return 0;
}
