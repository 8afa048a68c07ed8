/* Patterns compiled into bitmaps. See match.h.
 *
 * Each pattern is filtered by one of its sides, the rarer one: by N mod 58^3 if that is the suffix,
 * by the first two bytes of the key if it is the prefix. Both bitmaps fit the first-level cache
 * (24 and 8 KB). Each of their marks has a set of what may follow: the character before those
 * three, the six bits after those two bytes. With 300 patterns of four characters the bitmaps pass
 * one key in 160 (suffixes, with either sign) or in 70 (prefixes), and the exact step takes as long
 * as three steps of a walk of expanded keys; with the sets it sees one in 9,000 or in 2,500, unless
 * the patterns themselves are short.
 */
#include "match.h"

#include <stdlib.h>
#include <string.h>

enum {
  BASE = 58,
  DIGITS_MAX = 44,
  TAIL_DIGITS = 3,
  TAIL_MODULUS = MATCHER_TAIL_MODULUS,
  LONG_TAIL_MODULUS = TAIL_MODULUS * BASE,
  TOP_BITS = 16,
  TOP_VALUES = 1 << TOP_BITS,
  TAIL_WORDS = TAIL_MODULUS / 64 + 1,
  TOP_WORDS = TOP_VALUES / 64,
  LONG_TOP_BITS = TOP_BITS + 6,
  /* With more marks than this, their sets stay full: to find them would take a tenth of a second. */
  TOP_SETS_MAX = 8192,
  GROUP_DIGITS = 5,
  GROUP_MODULUS = 58 * 58 * 58 * 58 * 58,
  GROUPS = 9,
};

/* For each mark of a bitmap, in order, the set of what may follow. */
typedef struct {
  uint32_t *before; /* marks in the words before each of the bitmap */
  uint64_t *of;
} follow_sets;

/* Patterns by a character that they allow, in order: those of digit d are order[first[d]] to
 * order[first[d + 1] - 1]. */
typedef struct {
  uint32_t first[BASE + 1];
  uint16_t *order;
} pattern_index;

struct grind_matcher {
  uint64_t low_bits[2];
  uint64_t suffix_bits, prefix_bits;
  bool by_suffix, by_prefix; /* whether any pattern is filtered by that side */
  uint64_t tails[TAIL_WORDS];
  uint64_t tops[TOP_WORDS];
  follow_sets after_tail, after_top;
  uint8_t ends[2 * MATCHER_ENDS_REACH + 4];
  pattern_index by_last, by_first; /* of those filtered by their suffix, and by their prefix */
  size_t count;
  grind_pattern patterns[];
};

static inline bool has(const uint64_t *bitmap, uint32_t bit) {
  return bitmap[bit / 64] >> (bit % 64) & 1;
}

static inline void mark(uint64_t *bitmap, uint32_t bit) {
  bitmap[bit / 64] |= (uint64_t)1 << (bit % 64);
}

/* Makes an empty set for each mark. */
static bool open_sets(follow_sets *sets, const uint64_t *bitmap, size_t words) {
  sets->before = malloc(words * sizeof *sets->before);
  if (sets->before == NULL) return false;
  uint32_t marks = 0;
  for (size_t i = 0; i < words; i++) {
    sets->before[i] = marks;
    marks += (uint32_t)__builtin_popcountll(bitmap[i]);
  }
  sets->of = calloc(marks + 1, sizeof *sets->of);
  return sets->of != NULL;
}

static void close_sets(follow_sets *sets) {
  free(sets->before);
  free(sets->of);
}

static inline uint64_t *set_of(const follow_sets *sets, const uint64_t *bitmap, uint32_t bit) {
  uint64_t below = bitmap[bit / 64] & (((uint64_t)1 << bit % 64) - 1);
  return &sets->of[sets->before[bit / 64] + (uint32_t)__builtin_popcountll(below)];
}

/* Whether the bit is marked and may be followed by this. */
static inline bool may_follow(const follow_sets *sets, const uint64_t *bitmap, uint32_t bit,
                              uint32_t next) {
  return has(bitmap, bit) && *set_of(sets, bitmap, bit) >> next & 1;
}

/* What the suffix allows at a place, counted from the last character. */
static uint64_t allowed_at(const grind_pattern *pattern, int place) {
  int index = pattern->suffix_length - 1 - place;
  return index < 0 ? ~(uint64_t)0 : pattern->suffix[index];
}

/* Suffix, a character at a time from the last: all N mod 58^3 that it allows; once there are sets,
 * what may follow. */
static void mark_tails(grind_matcher *matcher, const grind_pattern *pattern, int place,
                       uint32_t value, uint32_t weight) {
  uint64_t allowed = allowed_at(pattern, place);
  if (place == TAIL_DIGITS) {
    if (matcher->after_tail.of == NULL) mark(matcher->tails, value);
    else *set_of(&matcher->after_tail, matcher->tails, value) |= allowed;
    return;
  }
  for (uint32_t digit = 0; digit < BASE; digit++)
    if (allowed >> digit & 1)
      mark_tails(matcher, pattern, place + 1, value + digit * weight, weight * BASE);
}

/* Suffix: all N mod 128 that it allows, taken as a set that grows by one character at a time. */
static void mark_low_bits(uint64_t low_bits[2], const grind_pattern *pattern) {
  uint64_t values[2] = {1, 0};
  uint32_t weight = 1;
  for (int place = 0; place < 7; place++, weight = weight * BASE % 128) {
    uint64_t allowed = allowed_at(pattern, place);
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

/* What keys can begin with whose first bits are given: the addresses of the first and the last. */
typedef struct {
  uint8_t low[DIGITS_MAX + 1], high[DIGITS_MAX + 1];
  bool comparable; /* both have as many characters and leading zeros */
} top_range;

static top_range range_of(uint32_t top, int bits) {
  uint8_t key[32];
  top_range range;
  uint32_t low = top << (32 - bits), high = low | (((uint32_t)1 << (32 - bits)) - 1);
  memset(key, 0, sizeof key);
  for (int i = 0; i < 4; i++) key[i] = (uint8_t)(low >> (24 - 8 * i));
  int low_length = encode(range.low, key);
  memset(key, 0xff, sizeof key);
  for (int i = 0; i < 4; i++) key[i] = (uint8_t)(high >> (24 - 8 * i));
  range.comparable = low_length == encode(range.high, key) && low != 0;
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

/* The patterns of a list that keys may match whose first bits are given. */
typedef struct {
  size_t count;
  uint16_t patterns[GRIND_PATTERNS_MAX];
} top_list;

static void list_top(const grind_matcher *matcher, top_list *list, const top_list *from,
                     uint32_t top, int bits) {
  list->count = 0;
  if (from->count == 0) return;
  const top_range range = range_of(top, bits);
  for (size_t i = 0; i < from->count; i++)
    if (may_begin(&range, &matcher->patterns[from->patterns[i]]))
      list->patterns[list->count++] = from->patterns[i];
}

/* The two first bytes that patterns filtered by their prefix allow; once there are sets, what may
 * follow. From one byte to the next, and to the bits after them, few patterns are left. */
static void mark_tops(grind_matcher *matcher) {
  top_list all = {0, {0}}, first = all, second, third;
  for (size_t i = 0; i < matcher->count; i++)
    if (!is_filtered_by_suffix(&matcher->patterns[i])) all.patterns[all.count++] = (uint16_t)i;
  for (uint32_t top = 0; top < TOP_VALUES; top++) {
    if (top % 256 == 0) list_top(matcher, &first, &all, top >> 8, 8);
    if (matcher->after_top.of == NULL) {
      list_top(matcher, &second, &first, top, TOP_BITS);
      if (second.count > 0) mark(matcher->tops, top);
    } else if (has(matcher->tops, top)) {
      uint64_t *set = set_of(&matcher->after_top, matcher->tops, top);
      list_top(matcher, &second, &first, top, TOP_BITS);
      for (uint32_t next = 0; next < 64; next++) {
        list_top(matcher, &third, &second, top << 6 | next, LONG_TOP_BITS);
        *set |= (uint64_t)(third.count > 0) << next;
      }
    }
  }
}

static bool compile_prefixes(grind_matcher *matcher) {
  follow_sets *sets = &matcher->after_top;
  matcher->low_bits[0] = matcher->low_bits[1] = ~(uint64_t)0;
  mark_tops(matcher);
  for (uint32_t top = 0; top < TOP_VALUES; top++)
    if (has(matcher->tops, top)) mark(&matcher->prefix_bits, top >> 10);
  if (!open_sets(sets, matcher->tops, TOP_WORDS)) return false;
  uint32_t marks = (uint32_t)(set_of(sets, matcher->tops, TOP_VALUES - 1) - sets->of) + 1;
  if (marks > TOP_SETS_MAX) memset(sets->of, 0xff, marks * sizeof *sets->of);
  else mark_tops(matcher);
  return true;
}

/* All that `tails` has, with either sign: N and N + 128 differ in N mod 29^3 alone. */
static void mark_ends(grind_matcher *matcher) {
  enum { MODULUS = MATCHER_ENDS_MODULUS, REACH = MATCHER_ENDS_REACH };
  for (int32_t tail = 0; tail < TAIL_MODULUS; tail++) {
    if (!has(matcher->tails, (uint32_t)tail)) continue;
    for (int32_t sign = 0; sign < 2; sign++) {
      int32_t at = (tail + REACH + MODULUS - 128 * sign) % MODULUS;
      for (; at <= 2 * REACH; at += MODULUS) matcher->ends[at] |= (uint8_t)(1 << tail % 8);
    }
  }
}

static bool compile_suffixes(grind_matcher *matcher) {
  for (int round = 0; round < 2; round++) {
    for (size_t i = 0; i < matcher->count; i++)
      if (is_filtered_by_suffix(&matcher->patterns[i]))
        mark_tails(matcher, &matcher->patterns[i], 0, 0, 1);
    if (round == 0 && !open_sets(&matcher->after_tail, matcher->tails, TAIL_WORDS)) return false;
  }
  mark_ends(matcher);
  return true;
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

static bool open_index(const grind_matcher *matcher, pattern_index *index, bool by_suffix) {
  index->order = malloc(BASE * matcher->count * sizeof *index->order);
  if (index->order == NULL) return false;
  uint32_t used = 0;
  for (uint32_t digit = 0; digit < BASE; digit++) {
    index->first[digit] = used;
    for (size_t i = 0; i < matcher->count; i++) {
      const grind_pattern *pattern = &matcher->patterns[i];
      uint64_t allowed = by_suffix ? allowed_at(pattern, 0) : pattern->prefix[0];
      if (is_filtered_by_suffix(pattern) == by_suffix && allowed >> digit & 1)
        index->order[used++] = (uint16_t)i;
    }
  }
  index->first[BASE] = used;
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
      mark_low_bits(matcher->low_bits, &patterns[i]);
    } else {
      matcher->by_prefix = true;
    }
  }
  matcher->suffix_bits = matcher->low_bits[0] | matcher->low_bits[1];
  if ((matcher->by_suffix && !compile_suffixes(matcher)) ||
      (matcher->by_prefix && !compile_prefixes(matcher)) ||
      !open_index(matcher, &matcher->by_last, true) ||
      !open_index(matcher, &matcher->by_first, false)) {
    matcher_close(matcher);
    return GRIND_NO_MEMORY;
  }
  *out = matcher;
  return GRIND_OK;
}

void matcher_close(grind_matcher *matcher) {
  if (matcher == NULL) return;
  close_sets(&matcher->after_tail);
  close_sets(&matcher->after_top);
  free(matcher->by_last.order);
  free(matcher->by_first.order);
  free(matcher);
}

const uint64_t *matcher_low_bits(const grind_matcher *matcher) { return matcher->low_bits; }

uint64_t matcher_suffix_bits(const grind_matcher *matcher) { return matcher->suffix_bits; }

uint64_t matcher_prefix_bits(const grind_matcher *matcher) { return matcher->prefix_bits; }

const uint8_t *matcher_ends(const grind_matcher *matcher) {
  return matcher->ends + MATCHER_ENDS_REACH;
}

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

/* 2^(32 i) mod 58^4 */
static const uint64_t LONG_TAIL_WEIGHTS[8] = {1,        6015312, 3056160, 6321456,
                                              10022512, 6112208, 6601232, 5933488};

/* N mod 58^4: eight limbs of 32 bits, each times 2^(32 i) mod 58^4 < 2^24, stay below 2^59. */
static uint32_t long_tail_of(const uint64_t key[4]) {
  uint64_t sum = 0;
  for (int i = 0; i < 4; i++) {
    uint64_t limbs = __builtin_bswap64(key[3 - i]);
    sum += (limbs & 0xffffffff) * LONG_TAIL_WEIGHTS[2 * i];
    sum += (limbs >> 32) * LONG_TAIL_WEIGHTS[2 * i + 1];
  }
  return (uint32_t)(sum % LONG_TAIL_MODULUS);
}

static bool may_end_key(const grind_matcher *matcher, uint32_t long_tail) {
  return may_follow(&matcher->after_tail, matcher->tails, long_tail % TAIL_MODULUS,
                    long_tail / TAIL_MODULUS);
}

bool matcher_may_begin(const grind_matcher *matcher, uint32_t start) {
  uint32_t top = __builtin_bswap32(start) >> (32 - LONG_TOP_BITS);
  return may_follow(&matcher->after_top, matcher->tops, top >> 6, top & 63);
}

bool matcher_may_match(const grind_matcher *matcher, const uint64_t key[4]) {
  if (matcher->by_prefix && matcher_may_begin(matcher, (uint32_t)key[0])) return true;
  if (!matcher->by_suffix) return false;
  uint32_t tail = long_tail_of(key);
  return may_end_key(matcher, tail) || may_end_key(matcher, (tail + 128) % LONG_TAIL_MODULUS);
}

/* The first pattern of those of this digit, or -1. */
static int find_in(const grind_matcher *matcher, const pattern_index *index, uint8_t digit,
                   const uint8_t *digits, int length) {
  for (uint32_t at = index->first[digit]; at < index->first[digit + 1]; at++) {
    const grind_pattern *pattern = &matcher->patterns[index->order[at]];
    int suffix = pattern->suffix_length;
    if (allows(pattern->suffix, suffix, digits + length - suffix) &&
        allows(pattern->prefix, pattern->prefix_length, digits))
      return index->order[at];
  }
  return -1;
}

int matcher_find(const grind_matcher *matcher, const uint8_t public_key[32]) {
  uint8_t digits[DIGITS_MAX + 1];
  int length = encode(digits, public_key);
  int by_last = find_in(matcher, &matcher->by_last, digits[length - 1], digits, length);
  int by_first = find_in(matcher, &matcher->by_first, digits[0], digits, length);
  return by_last < 0 || (by_first >= 0 && by_first < by_last) ? by_first : by_last;
}
