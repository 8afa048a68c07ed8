/* What the C tests share: CHECK, a seeded generator, hexadecimal. */
#ifndef GRIND_TEST_CHECK_H
#define GRIND_TEST_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(claim)                                                          \
  do {                                                                        \
    if (!(claim)) {                                                           \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #claim);   \
      exit(1);                                                                \
    }                                                                         \
  } while (0)

/* splitmix64: the same numbers for the same seed on every machine. */
static inline uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static inline void random_bytes(uint64_t *state, uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) bytes[i] = (uint8_t)next_random(state);
}

static inline void from_hex(uint8_t *bytes, size_t length, const char *hex) {
  CHECK(strlen(hex) == 2 * length);
  for (size_t i = 0; i < length; i++) {
    unsigned value;
    CHECK(sscanf(hex + 2 * i, "%2x", &value) == 1);
    bytes[i] = (uint8_t)value;
  }
}

#endif
