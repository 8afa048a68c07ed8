/* Base58 and patterns the plain way, one long division a digit: what the matcher is tested by. */
#ifndef GRIND_TEST_PLAIN_BASE58_H
#define GRIND_TEST_PLAIN_BASE58_H

#include "check.h"
#include "kernel.h"

/* Digits of the address, first character first, one division at a time. */
static inline int plain_encode(uint8_t digits[45], const uint8_t key[32]) {
  uint8_t number[32], reversed[45];
  int length = 0, zeros = 0;
  memcpy(number, key, 32);
  while (zeros < 32 && key[zeros] == 0) zeros++;
  for (int more = 1; more;) {
    unsigned rest = 0;
    more = 0;
    for (int i = 0; i < 32; i++) {
      unsigned value = rest * 256 + number[i];
      number[i] = (uint8_t)(value / 58);
      rest = value % 58;
      more |= number[i];
    }
    if (more || rest) reversed[length++] = (uint8_t)rest;
  }
  for (int i = 0; i < zeros; i++) digits[i] = 0;
  for (int i = 0; i < length; i++) digits[zeros + i] = reversed[length - 1 - i];
  return zeros + length;
}

/* The index of the first pattern that takes these digits, or -1. */
static inline int plain_match(const grind_pattern *patterns, size_t count, const uint8_t *digits,
                              int length) {
  for (size_t p = 0; p < count; p++) {
    int fits = 1;
    for (int i = 0; i < patterns[p].prefix_length; i++)
      fits &= (int)(patterns[p].prefix[i] >> digits[i] & 1);
    int from = length - patterns[p].suffix_length;
    for (int i = 0; i < patterns[p].suffix_length; i++)
      fits &= (int)(patterns[p].suffix[i] >> digits[from + i] & 1);
    if (fits) return (int)p;
  }
  return -1;
}

static inline int plain_find(const grind_pattern *patterns, size_t count, const uint8_t key[32]) {
  uint8_t digits[45];
  int length = plain_encode(digits, key);
  return plain_match(patterns, count, digits, length);
}

#endif
