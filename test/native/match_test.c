/* The matcher against plain base58, for random patterns made from random keys: what matches is
 * found, as the first of its patterns, and no step of the filter rejects it. */
#include "match.h"

#include "check.h"
#include "plain_base58.h"

enum { PATTERNS = 40, KEYS = 400 };

/* One key in eight begins with zero bytes, one in eight with ones. */
static void random_key(uint64_t *state, uint8_t key[32]) {
  random_bytes(state, key, 32);
  uint64_t kind = next_random(state) % 8;
  if (kind < 2) memset(key, kind == 0 ? 0 : 0xff, 1 + next_random(state) % 4);
}

static uint64_t random_set(uint64_t *state, uint8_t digit) {
  uint64_t more = next_random(state) % 3 == 0 ? next_random(state) & next_random(state) : 0;
  return ((uint64_t)1 << digit | more) & (((uint64_t)1 << 58) - 1);
}

typedef enum { SUFFIXES, ANY_SIDES } sides_kind;

/* A pattern that the key matches: up to 4 characters a side, sometimes 10. */
static grind_pattern pattern_of(uint64_t *state, const uint8_t key[32], sides_kind kind) {
  uint8_t digits[45];
  int length = plain_encode(digits, key);
  grind_pattern pattern = {{0}, {0}, 0, 0};
  int most = next_random(state) % 4 == 0 ? GRIND_SIDE_MAX : 4;
  uint64_t sides = kind == SUFFIXES ? 3 : next_random(state) % 4;
  if (sides != 0) pattern.suffix_length = (uint8_t)(1 + next_random(state) % (uint64_t)most);
  if (sides == 0 || sides == 1)
    pattern.prefix_length = (uint8_t)(1 + next_random(state) % (uint64_t)most);
  for (int i = 0; i < pattern.prefix_length; i++)
    pattern.prefix[i] = random_set(state, digits[i]);
  for (int i = 0; i < pattern.suffix_length; i++)
    pattern.suffix[i] = random_set(state, digits[length - pattern.suffix_length + i]);
  return pattern;
}

static void check_key(const grind_matcher *matcher, const grind_pattern *patterns, size_t count,
                      const uint8_t key[32]) {
  int expected = plain_find(patterns, count, key);
  CHECK(matcher_find(matcher, key) == expected);
  if (expected < 0) return;
  uint64_t words[4];
  memset(words, 0, sizeof words);
  for (int i = 0; i < 32; i++)
    words[i / 8] |= (uint64_t)(i == 31 ? key[i] & 0x7f : key[i]) << (8 * (i % 8));
  uint32_t low = key[31] & 0x7f;
  CHECK(matcher_low_bits(matcher)[low / 64] >> (low % 64) & 1);
  CHECK(matcher_may_match(matcher, words));
}

static void check_round(uint64_t *state, size_t count, sides_kind kind) {
  static uint8_t keys[KEYS][32];
  grind_pattern patterns[PATTERNS];
  for (int i = 0; i < KEYS; i++) random_key(state, keys[i]);
  for (size_t i = 0; i < count; i++) patterns[i] = pattern_of(state, keys[i], kind);
  grind_matcher *matcher;
  CHECK(matcher_open(patterns, count, &matcher) == GRIND_OK);
  for (int i = 0; i < KEYS; i++) check_key(matcher, patterns, count, keys[i]);
  matcher_close(matcher);
}

/* A literal suffix is what the filter is for: it must reject almost everything. */
static void check_filter_rejects(uint64_t *state) {
  uint8_t key[32];
  random_bytes(state, key, 32);
  uint8_t digits[45];
  int length = plain_encode(digits, key);
  grind_pattern pattern = {{0}, {0}, 0, 4};
  for (int i = 0; i < 4; i++) pattern.suffix[i] = (uint64_t)1 << digits[length - 4 + i];
  grind_matcher *matcher;
  CHECK(matcher_open(&pattern, 1, &matcher) == GRIND_OK);
  int passed = 0;
  for (int i = 0; i < 100000; i++) {
    uint64_t words[4];
    for (int j = 0; j < 4; j++) words[j] = next_random(state) >> (j == 3);
    passed += matcher_may_match(matcher, words);
  }
  CHECK(passed < 10);
  CHECK(__builtin_popcountll(matcher_low_bits(matcher)[0]) +
            __builtin_popcountll(matcher_low_bits(matcher)[1]) == 8);
  matcher_close(matcher);
}

/* Of hundreds of literal patterns of four characters the filter leaves few keys to the exact step. */
static void check_many_reject(uint64_t *state, bool by_prefix, int most) {
  enum { MANY = 300 };
  static grind_pattern patterns[MANY];
  memset(patterns, 0, sizeof patterns);
  for (int i = 0; i < MANY; i++) {
    uint64_t *sets = by_prefix ? patterns[i].prefix : patterns[i].suffix;
    *(by_prefix ? &patterns[i].prefix_length : &patterns[i].suffix_length) = 4;
    for (int j = 0; j < 4; j++) sets[j] = (uint64_t)1 << next_random(state) % 58;
  }
  grind_matcher *matcher;
  CHECK(matcher_open(patterns, MANY, &matcher) == GRIND_OK);
  int passed = 0;
  for (int i = 0; i < 100000; i++) {
    uint64_t words[4];
    for (int j = 0; j < 4; j++) words[j] = next_random(state) >> (j == 3);
    passed += matcher_may_match(matcher, words);
  }
  CHECK(passed > 0 && passed < most);
  matcher_close(matcher);
}

/* Patterns that leave so many beginnings that no sets are made for them. */
static void check_wide_prefixes(uint64_t *state) {
  for (int round = 0; round < 50; round++) {
    uint8_t key[32], digits[45];
    random_bytes(state, key, 32);
    plain_encode(digits, key);
    grind_pattern pattern = {{0}, {0}, 4, 0};
    for (int i = 0; i < 4; i++)
      pattern.prefix[i] = (uint64_t)1 << digits[i] | 0x155555555555555;
    grind_matcher *matcher;
    CHECK(matcher_open(&pattern, 1, &matcher) == GRIND_OK);
    check_key(matcher, &pattern, 1, key);
    matcher_close(matcher);
  }
}

/* Literal suffixes of the greatest length leave a single value of the low bits. */
static void check_long_suffixes(uint64_t *state) {
  for (int round = 0; round < 50; round++) {
    uint8_t key[32], digits[45];
    random_bytes(state, key, 32);
    int length = plain_encode(digits, key);
    grind_pattern pattern = {{0}, {0}, 0, GRIND_SIDE_MAX};
    for (int i = 0; i < GRIND_SIDE_MAX; i++)
      pattern.suffix[i] = (uint64_t)1 << digits[length - GRIND_SIDE_MAX + i];
    grind_matcher *matcher;
    CHECK(matcher_open(&pattern, 1, &matcher) == GRIND_OK);
    const uint64_t *low_bits = matcher_low_bits(matcher);
    CHECK(__builtin_popcountll(low_bits[0]) + __builtin_popcountll(low_bits[1]) == 1);
    check_key(matcher, &pattern, 1, key);
    matcher_close(matcher);
  }
}

static void check_refusals(void) {
  grind_matcher *matcher;
  grind_pattern pattern = {{0}, {0}, 0, 0};
  CHECK(matcher_open(&pattern, 0, &matcher) == GRIND_BAD_PATTERN);
  CHECK(matcher_open(&pattern, 1, &matcher) == GRIND_BAD_PATTERN);
  pattern.suffix_length = 1;
  CHECK(matcher_open(&pattern, 1, &matcher) == GRIND_BAD_PATTERN); /* an empty set */
  pattern.suffix[0] = (uint64_t)1 << 58;
  CHECK(matcher_open(&pattern, 1, &matcher) == GRIND_BAD_PATTERN); /* no such digit */
  pattern.suffix[0] = 1;
  pattern.prefix_length = GRIND_SIDE_MAX + 1;
  CHECK(matcher_open(&pattern, 1, &matcher) == GRIND_BAD_PATTERN);
}

int main(void) {
  uint64_t state = 3;
  check_refusals();
  for (int round = 0; round < 8; round++) {
    check_round(&state, 1, ANY_SIDES);
    check_round(&state, PATTERNS, ANY_SIDES);
    check_round(&state, PATTERNS, SUFFIXES);
  }
  check_long_suffixes(&state);
  check_filter_rejects(&state);
  check_many_reject(&state, false, 40);
  check_many_reject(&state, true, 120);
  check_wide_prefixes(&state);
  return 0;
}
