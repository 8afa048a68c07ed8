/* Patterns compiled into bitmaps. See match.h.
 *
 * Each pattern is filtered by one of its sides, the rarer one: by N mod 58^3 if that is the suffix,
 * by the first two bytes of the key if it is the prefix. Both bitmaps fit the first-level cache
 * (24 and 8 KB). The exact step sees at most some thousandths of the candidates, unless the
 * patterns themselves are short.
 */
#include "match.h"

#include <stdlib.h>
#include <string.h>

enum {
  BASE = 58,
  DIGITS_MAX = 44,
  TAIL_DIGITS = 3,
  TAIL_MODULUS = MATCHER_TAIL_MODULUS,
  TOP_VALUES = 1 << 16,
  GROUP_DIGITS = 5,
  GROUP_MODULUS = 58 * 58 * 58 * 58 * 58,
  GROUPS = 9,
};

struct grind_matcher {
  uint64_t low_bits[2];
  uint64_t suffix_bits, prefix_bits;
  bool by_suffix, by_prefix; /* whether any pattern is filtered by that side */
  uint64_t tails[TAIL_MODULUS / 64 + 1];
  uint64_t tops[TOP_VALUES / 64];
  /* Patterns by the last character that they allow, in order: indices first[d] to first[d + 1]. */
  uint32_t first[BASE + 1];
  uint16_t *order;
  size_t count;
  grind_pattern patterns[];
};

static inline bool has(const uint64_t *bitmap, uint32_t bit) {
  return bitmap[bit / 64] >> (bit % 64) & 1;
}

static inline void mark(uint64_t *bitmap, uint32_t bit) {
  bitmap[bit / 64] |= (uint64_t)1 << (bit % 64);
}

/* Suffix, a character at a time from the last: all N mod 58^3 that it allows. */
static void mark_tails(uint64_t *tails, const grind_pattern *pattern, int place, uint32_t value,
                       uint32_t weight) {
  if (place == TAIL_DIGITS) {
    mark(tails, value);
    return;
  }
  int index = pattern->suffix_length - 1 - place;
  uint64_t allowed = index < 0 ? ~(uint64_t)0 : pattern->suffix[index];
  for (uint32_t digit = 0; digit < BASE; digit++)
    if (allowed >> digit & 1)
      mark_tails(tails, pattern, place + 1, value + digit * weight, weight * BASE);
}

/* Suffix: all N mod 128 that it allows, taken as a set that grows by one character at a time. */
static void mark_low_bits(uint64_t low_bits[2], const grind_pattern *pattern) {
  uint64_t values[2] = {1, 0};
  uint32_t weight = 1;
  for (int place = 0; place < 7; place++, weight = weight * BASE % 128) {
    int index = pattern->suffix_length - 1 - place;
    uint64_t allowed = index < 0 ? ~(uint64_t)0 : pattern->suffix[index];
    uint64_t next[2] = {0, 0};
    for (uint32_t value = 0; value < 128; value++)
      for (uint32_t digit = 0; has(values, value) && digit < BASE; digit++)
        if (allowed >> digit & 1) mark(next, (value + digit * weight) % 128);
    memcpy(values, next, sizeof values);
  }
  low_bits[0] |= values[0];
  low_bits[1] |= values[1];
}


/* The characters of an address as digits, first character first. Returns how many. */
static int encode(uint8_t digits[DIGITS_MAX + 1], const uint8_t public_key[32]) {
  uint32_t limbs[8];
  for (int i = 0; i < 8; i++) {
    const uint8_t *b = public_key + 4 * i;
    limbs[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
  }
  uint8_t all[GROUPS * GROUP_DIGITS];
  int at = GROUPS * GROUP_DIGITS;
  for (int group = 0; group < GROUPS; group++) {
    uint64_t rest = 0;
    for (int i = 0; i < 8; i++) {
      uint64_t value = rest << 32 | limbs[i];
      limbs[i] = (uint32_t)(value / GROUP_MODULUS);
      rest = value % GROUP_MODULUS;
    }
    for (int i = 0; i < GROUP_DIGITS; i++, rest /= BASE) all[--at] = (uint8_t)(rest % BASE);
  }
  int length = 0;
  while (length < 32 && public_key[length] == 0) digits[length++] = 0;
  while (at < GROUPS * GROUP_DIGITS && all[at] == 0) at++;
  while (at < GROUPS * GROUP_DIGITS) digits[length++] = all[at++];
  return length;
}

static bool allows(const uint64_t *sets, int length, const uint8_t *digits) {
  for (int i = 0; i < length; i++)
    if (!(sets[i] >> digits[i] & 1)) return false;
  return true;
}

/* What one value of the two first bytes can begin with: the addresses of its first and last key. */
typedef struct {
  uint8_t low[DIGITS_MAX + 1], high[DIGITS_MAX + 1];
  bool comparable; /* both have as many characters and leading zeros */
} top_range;

static top_range range_of(uint32_t top) {
  uint8_t key[32];
  top_range range;
  key[0] = (uint8_t)(top >> 8), key[1] = (uint8_t)top;
  memset(key + 2, 0, 30);
  int low_length = encode(range.low, key);
  memset(key + 2, 0xff, 30);
  range.comparable = low_length == encode(range.high, key) && top != 0;
  return range;
}

/* May pass too much, at the two ends of what a digit allows, but never too little. */
static bool may_begin(const top_range *range, const grind_pattern *pattern) {
  for (int i = 0; range->comparable && i < pattern->prefix_length; i++) {
    uint64_t allowed = pattern->prefix[i];
    uint8_t low = range->low[i], high = range->high[i];
    if (low != high) return (allowed >> low & (((uint64_t)2 << (high - low)) - 1)) != 0;
    if (!(allowed >> low & 1)) return false;
  }
  return true;
}

/* The part of 58^3 that the last, or the first, three characters leave. */
static uint32_t share(const uint64_t *sets, int length, int first) {
  uint32_t part = 1;
  for (int i = first; i < first + TAIL_DIGITS; i++)
    part *= i < 0 || i >= length ? BASE : (uint32_t)__builtin_popcountll(sets[i]);
  return part;
}

static bool is_filtered_by_suffix(const grind_pattern *pattern) {
  int length = pattern->suffix_length;
  return share(pattern->suffix, length, length - TAIL_DIGITS) <=
         share(pattern->prefix, pattern->prefix_length, 0);
}

static void mark_tops(grind_matcher *matcher) {
  for (uint32_t top = 0; top < TOP_VALUES; top++) {
    top_range range = range_of(top);
    for (size_t i = 0; i < matcher->count && !has(matcher->tops, top); i++) {
      const grind_pattern *pattern = &matcher->patterns[i];
      if (!is_filtered_by_suffix(pattern) && may_begin(&range, pattern)) mark(matcher->tops, top);
    }
  }
}

static bool is_sane(const grind_pattern *pattern) {
  if (pattern->prefix_length > GRIND_SIDE_MAX || pattern->suffix_length > GRIND_SIDE_MAX ||
      pattern->prefix_length + pattern->suffix_length == 0)
    return false;
  const uint64_t all = ((uint64_t)1 << BASE) - 1;
  for (int i = 0; i < pattern->prefix_length; i++)
    if ((pattern->prefix[i] & all) == 0 || pattern->prefix[i] > all) return false;
  for (int i = 0; i < pattern->suffix_length; i++)
    if ((pattern->suffix[i] & all) == 0 || pattern->suffix[i] > all) return false;
  return true;
}

static bool may_end(const grind_pattern *pattern, uint32_t digit) {
  return pattern->suffix_length == 0 || pattern->suffix[pattern->suffix_length - 1] >> digit & 1;
}

static bool order_by_last(grind_matcher *matcher) {
  matcher->order = malloc(BASE * matcher->count * sizeof *matcher->order);
  if (matcher->order == NULL) return false;
  uint32_t used = 0;
  for (uint32_t digit = 0; digit < BASE; digit++) {
    matcher->first[digit] = used;
    for (size_t i = 0; i < matcher->count; i++)
      if (may_end(&matcher->patterns[i], digit)) matcher->order[used++] = (uint16_t)i;
  }
  matcher->first[BASE] = used;
  return true;
}

int matcher_open(const grind_pattern *patterns, size_t count, grind_matcher **out) {
  if (count == 0 || count > GRIND_PATTERNS_MAX) return GRIND_BAD_PATTERN;
  for (size_t i = 0; i < count; i++)
    if (!is_sane(&patterns[i])) return GRIND_BAD_PATTERN;
  grind_matcher *matcher = calloc(1, sizeof *matcher + count * sizeof *patterns);
  if (matcher == NULL) return GRIND_NO_MEMORY;
  matcher->count = count;
  memcpy(matcher->patterns, patterns, count * sizeof *patterns);
  for (size_t i = 0; i < count; i++) {
    if (is_filtered_by_suffix(&patterns[i])) {
      matcher->by_suffix = true;
      mark_tails(matcher->tails, &patterns[i], 0, 0, 1);
      mark_low_bits(matcher->low_bits, &patterns[i]);
    } else {
      matcher->by_prefix = true;
    }
  }
  matcher->suffix_bits = matcher->low_bits[0] | matcher->low_bits[1];
  if (matcher->by_prefix) {
    matcher->low_bits[0] = matcher->low_bits[1] = ~(uint64_t)0;
    mark_tops(matcher);
    for (uint32_t top = 0; top < TOP_VALUES; top++)
      if (has(matcher->tops, top)) mark(&matcher->prefix_bits, top >> 10);
  }
  if (!order_by_last(matcher)) {
    matcher_close(matcher);
    return GRIND_NO_MEMORY;
  }
  *out = matcher;
  return GRIND_OK;
}

void matcher_close(grind_matcher *matcher) {
  if (matcher == NULL) return;
  free(matcher->order);
  free(matcher);
}

const uint64_t *matcher_low_bits(const grind_matcher *matcher) { return matcher->low_bits; }

uint64_t matcher_suffix_bits(const grind_matcher *matcher) { return matcher->suffix_bits; }

uint64_t matcher_prefix_bits(const grind_matcher *matcher) { return matcher->prefix_bits; }

bool matcher_signs_exclude(const grind_matcher *matcher) {
  uint32_t allowed = 0, both = 0;
  for (uint32_t tail = 0; tail < TAIL_MODULUS; tail++) {
    if (!has(matcher->tails, tail)) continue;
    allowed++;
    both += has(matcher->tails, (tail + 128) % TAIL_MODULUS);
  }
  return !matcher->by_prefix && both <= allowed / 50;
}

matcher_bitmaps matcher_step_2(const grind_matcher *matcher) {
  return (matcher_bitmaps){matcher->by_suffix ? matcher->tails : NULL,
                           matcher->by_prefix ? matcher->tops : NULL};
}

const uint64_t matcher_tail_weights[8] = {1,     161952, 129480, 77872,
                                          71800, 63736,  162536, 80128};

/* N mod 58^3: eight limbs of 32 bits, each times 2^(32 i) mod 58^3 < 2^18, stay below 2^53. */
static uint32_t tail_of(const uint64_t key[4]) {
  const uint64_t *weights = matcher_tail_weights;
  uint64_t sum = 0;
  for (int i = 0; i < 4; i++) {
    uint64_t limbs = __builtin_bswap64(key[3 - i]);
    sum += (limbs & 0xffffffff) * weights[2 * i] + (limbs >> 32) * weights[2 * i + 1];
  }
  return (uint32_t)(sum % TAIL_MODULUS);
}

bool matcher_may_match(const grind_matcher *matcher, const uint64_t key[4]) {
  if (matcher->by_prefix) {
    uint32_t top = (uint32_t)((key[0] & 0xff) << 8 | (key[0] >> 8 & 0xff));
    if (has(matcher->tops, top)) return true;
  }
  if (!matcher->by_suffix) return false;
  uint32_t tail = tail_of(key);
  return has(matcher->tails, tail) || has(matcher->tails, (tail + 128) % TAIL_MODULUS);
}

int matcher_find(const grind_matcher *matcher, const uint8_t public_key[32]) {
  uint8_t digits[DIGITS_MAX + 1];
  int length = encode(digits, public_key);
  uint8_t last = digits[length - 1];
  for (uint32_t at = matcher->first[last]; at < matcher->first[last + 1]; at++) {
    const grind_pattern *pattern = &matcher->patterns[matcher->order[at]];
    int suffix = pattern->suffix_length;
    if (allows(pattern->suffix, suffix, digits + length - suffix) &&
        allows(pattern->prefix, pattern->prefix_length, digits))
      return matcher->order[at];
  }
  return -1;
}
