/* The search for expanded keys at every level of this machine: every point of a walk against
 * complete additions, the filters against plain base58, hits that are keys and not related, and
 * what happens when arithmetic goes wrong. EXPANDED_CANDIDATES: public keys that the filters see
 * for each kind of pattern. */
#include "expanded.h"

#include "check.h"
#include "expanded_level.h"
#include "plain_base58.h"
#include "point.h"

static const grind_pattern ANY = {{0}, {((uint64_t)1 << 58) - 1}, 0, 1};
static const grind_pattern ONE_CHARACTER = {{0}, {1 << 5}, 0, 1};

static void *aligned(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  CHECK(memory != NULL);
  memset(memory, 0, bytes);
  return memory;
}

static int below_l(const uint8_t scalar[32]) {
  static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6,
                                    0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
  for (int i = 31; i >= 0; i--)
    if (scalar[i] != order[i]) return scalar[i] < order[i];
  return 0;
}

typedef struct {
  const expanded_level *level;
  uint64_t (*centres)[4];
  void *scratch;
  expanded_candidate *out;
} batch;

static size_t room(const expanded_level *level) { return level->centres * 2 * level->steps; }

static batch make_batch(const expanded_level *level, uint64_t *state) {
  batch made = {level, aligned(level->centres * 32), aligned(level->scratch),
                aligned(room(level) * sizeof(expanded_candidate))};
  random_bytes(state, (uint8_t *)made.centres, level->centres * 32);
  return made;
}

static void free_batch(batch made) {
  free(made.centres);
  free(made.scratch);
  free(made.out);
}

static size_t walk(batch made, const expanded_table *table, const grind_matcher *matcher) {
  return made.level->walk(table, matcher, made.scratch, (const uint64_t(*)[4])made.centres,
                          made.out);
}

static grind_matcher *open_matcher(const grind_pattern *patterns, size_t count) {
  grind_matcher *matcher;
  CHECK(matcher_open(patterns, count, &matcher) == GRIND_OK);
  return matcher;
}

/* All points of a walk. */
static size_t walk_all(batch made, const expanded_table *table) {
  grind_matcher *matcher = open_matcher(&ANY, 1);
  size_t passed = walk(made, table, matcher);
  matcher_close(matcher);
  return passed;
}

static edwards_point opposite_of(edwards_point point) {
  point.x = fe_mul(fe_sub(FE_ZERO, point.x), FE_ONE);
  point.t = fe_mul(fe_sub(FE_ZERO, point.t), FE_ONE);
  return point;
}

static fe affine_y(edwards_point point) { return fe_mul(point.y, fe_invert(point.z)); }

/* (2t + 1 - 2^252) B as a difference of two points. */
static edwards_point centre_of(const uint64_t t[4]) {
  uint64_t odd[4];
  const uint64_t middle[4] = {0, 0, 0, (uint64_t)1 << 60};
  for (int i = 0; i < 4; i++) odd[i] = t[i] << 1 | (i == 0 ? 1 : t[i - 1] >> 63);
  odd[3] &= ((uint64_t)1 << 61) - 1;
  edwards_point half = edwards_scale(middle, edwards_base());
  return edwards_add(edwards_scale(odd, edwards_base()), opposite_of(half));
}

/* Many points of the walk around one centre, and all near its ends. */
static void check_centre(batch made, const uint64_t (*keys)[2][4], edwards_point point) {
  enum { COMPARED = 128 };
  const int steps = (int)made.level->steps;
  edwards_point base = edwards_base(), up = point, down = point;
  for (int i = 1; i <= steps; i++) {
    up = edwards_add(up, base);
    down = edwards_add(down, opposite_of(base));
    if (i > 8 && i < steps - 8 && i % (steps / COMPARED) != 0) continue;
    uint64_t expected[4];
    fe_to_words(expected, affine_y(up));
    CHECK(memcmp(keys[i - 1][0], expected, 32) == 0);
    fe_to_words(expected, affine_y(down));
    CHECK(memcmp(keys[i - 1][1], expected, 32) == 0);
  }
}

/* The scalars of some points around a centre, as many on each side of zero as there may be. */
static void check_scalars(batch made, const uint64_t t[4], const uint64_t (*keys)[2][4]) {
  const int32_t sizes[] = {1, 2, 3, (int32_t)made.level->steps};
  for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
    int32_t size = sizes[i / 2];
    uint64_t scalar[4], key[4];
    uint8_t bytes[32], public_key[32];
    expanded_scalar(scalar, t, i % 2 ? -size : size);
    memcpy(bytes, scalar, 32);
    CHECK(below_l(bytes));
    grind_public_from_scalar(bytes, public_key);
    public_key[31] &= 0x7f;
    memcpy(key, public_key, 32);
    CHECK(memcmp(key, keys[size - 1][i % 2], 32) == 0);
  }
}

/* All keys of the last walk of `made` by centre and step; checks the order on the way. */
static uint64_t (*keys_of(batch made, size_t passed))[2][4] {
  const size_t steps = made.level->steps;
  CHECK(passed == room(made.level));
  uint64_t (*keys)[2][4] = aligned(passed * 32);
  int32_t *next = aligned(made.level->centres * sizeof *next);
  for (size_t i = 0; i < made.level->centres; i++) next[i] = (int32_t)steps;
  for (size_t i = 0; i < passed; i++) {
    const expanded_candidate *candidate = &made.out[i];
    uint32_t centre = candidate->centre;
    CHECK(centre < made.level->centres && candidate->step == next[centre]);
    next[centre] = next[centre] > 0 ? -next[centre] : -next[centre] - 1;
    int below = candidate->step < 0;
    size_t size = (size_t)(below ? -candidate->step : candidate->step);
    memcpy(keys[centre * steps + size - 1][below], candidate->key, 32);
  }
  free(next);
  return keys;
}

/* Random centres, and those at which a walk meets the neutral element, in every lane. */
static void check_points(const expanded_level *level) {
  static const uint64_t edges[][4] = {
      {0, 0, 0, (uint64_t)1 << 59},                             /* B */
      {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX >> 5},    /* -B */
      {1, 0, 0, (uint64_t)1 << 59},                             /* 3B */
      {0, 0, 0, 0},                                             /* -(2^252 - 1) B */
      {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},         /* (2^252 - 1) B */
  };
  uint64_t state = 11;
  batch made = make_batch(level, &state);
  for (size_t i = 0; i < sizeof edges / sizeof *edges && i + 1 < level->centres; i++)
    memcpy(made.centres[level->centres - 1 - i], edges[i], 32);
  uint64_t (*keys)[2][4] = keys_of(made, walk_all(made, expanded_shared_table()));
  for (uint32_t i = 0; i < level->centres; i++)
    check_scalars(made, made.centres[i], (const uint64_t(*)[2][4])keys + i * level->steps);
  for (uint32_t i = 0; i < level->centres; i++)
    check_centre(made, (const uint64_t(*)[2][4])keys + i * level->steps,
                 centre_of(made.centres[i]));
  free(keys);
  free_batch(made);
}

typedef struct {
  const grind_pattern *patterns;
  size_t count;
  grind_matcher *matcher;
} kind;

typedef struct {
  uint8_t digits[2][45];
  uint8_t length[2]; /* of the address without and with the sign */
} addresses;

/* What the patterns take with either sign must pass, and what passes must be what it is. Looks at
 * every `stride`-th point. Returns how many of them match. */
static uint64_t check_filter(batch made, const uint64_t (*keys)[2][4], const addresses *all,
                             const kind *sought, size_t stride) {
  const expanded_level *level = made.level;
  uint64_t matched = 0;
  uint8_t *passed = aligned(room(level));
  size_t found = walk(made, expanded_shared_table(), sought->matcher);
  for (size_t i = 0; i < found; i++) {
    const expanded_candidate *candidate = &made.out[i];
    size_t below = candidate->step < 0;
    size_t size = (size_t)(below ? -candidate->step : candidate->step);
    size_t at = candidate->centre * level->steps + size - 1;
    CHECK(memcmp(keys[at][below], candidate->key, 32) == 0);
    CHECK(passed[2 * at + below]++ == 0);
  }
  for (size_t i = 0; i < room(level); i += stride) {
    int fits = 0;
    for (int sign = 0; sign < 2; sign++)
      fits |= plain_match(sought->patterns, sought->count, all[i].digits[sign],
                          all[i].length[sign]) >= 0;
    CHECK(!fits || passed[i]);
    matched += (uint64_t)fits;
  }
  free(passed);
  return matched;
}

static uint64_t set_of(const char *characters) {
  static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  uint64_t set = 0;
  for (; *characters; characters++)
    set |= (uint64_t)1 << (strchr(alphabet, *characters) - alphabet);
  return set;
}

static grind_pattern pattern(const char *prefix, const char *suffix) {
  grind_pattern made = {{0}, {0}, 0, 0};
  for (; *prefix; prefix++)
    made.prefix[made.prefix_length++] = set_of((const char[]){*prefix, 0});
  for (; *suffix; suffix++)
    made.suffix[made.suffix_length++] = set_of((const char[]){*suffix, 0});
  return made;
}

enum { SINGLE = 16, MANY = 300 };

/* Single patterns first, the short ones alone filter by signs and by uneven first characters. */
static void make_patterns(grind_pattern single[SINGLE], grind_pattern many[MANY]) {
  static const char *const sides[SINGLE][2] = {
      {"", "p"},   {"", "mp"},  {"", "ump"}, {"", "pump"}, {"", "zpump"}, {"", "zzpump9"},
      {"5", ""},   {"5e", ""},  {"5eT", ""}, {"1", ""},    {"11", ""},    {"J", ""},
      {"4", "ab"}, {"4x", "b"}, {"", "aPt"}, {"", "aet"}};
  for (int i = 0; i < SINGLE; i++) single[i] = pattern(sides[i][0], sides[i][1]);
  single[14].suffix[0] = single[15].suffix[0] = set_of("abcdefghijkmnopqrstuvwxyz");
  single[15].suffix[1] = set_of("eE");
  uint64_t state = 13;
  for (size_t i = 0; i < MANY; i++) {
    many[i] = i % 3 == 0 ? pattern("1111", "") : pattern("", "1111");
    uint64_t *sets = i % 3 == 0 ? many[i].prefix : many[i].suffix;
    for (int place = 0; place < 4; place++) sets[place] = (uint64_t)1 << next_random(&state) % 58;
  }
}

enum { KINDS = SINGLE + 2 };

/* To open a matcher takes as long as several walks: all levels have the same ones. */
static void make_kinds(kind made[KINDS]) {
  static grind_pattern single[SINGLE], many[MANY];
  make_patterns(single, many);
  for (size_t i = 0; i < SINGLE; i++) made[i] = (kind){&single[i], 1, NULL};
  made[SINGLE] = (kind){single + 2, 8, NULL};
  made[SINGLE + 1] = (kind){many, MANY, NULL};
  for (size_t i = 0; i < KINDS; i++)
    made[i].matcher = open_matcher(made[i].patterns, made[i].count);
}

static void check_filters(const expanded_level *level, const kind sought[KINDS],
                          uint64_t candidates) {
  uint64_t state = 12, matched[KINDS] = {0};
  batch made = make_batch(level, &state);
  addresses *all = aligned(room(level) * sizeof *all);
  /* Less than a batch: only some of its points. */
  size_t stride = candidates < 2 * room(level) ? 2 * room(level) / candidates : 1;
  for (uint64_t seen = 0; seen < candidates; seen += 2 * room(level) / stride) {
    random_bytes(&state, (uint8_t *)made.centres, level->centres * 32);
    uint64_t (*keys)[2][4] = keys_of(made, walk_all(made, expanded_shared_table()));
    for (size_t i = 0; i < room(level); i += stride)
      for (int sign = 0; sign < 2; sign++) {
        uint8_t key[32];
        memcpy(key, keys[i / 2][i % 2], 32);
        key[31] |= (uint8_t)(sign << 7);
        all[i].length[sign] = (uint8_t)plain_encode(all[i].digits[sign], key);
      }
    const uint64_t (*known)[2][4] = (const uint64_t(*)[2][4])keys;
    for (size_t i = 0; i < KINDS; i++)
      matched[i] += check_filter(made, known, all, &sought[i],
                                 sought[i].count == MANY ? 8 * stride + 1 : stride);
    free(keys);
  }
  printf("  points that match, by kind of pattern:");
  for (size_t i = 0; i < KINDS; i++) printf(" %llu", (unsigned long long)matched[i]);
  printf("\n");
  CHECK(matched[0] > 0 && matched[6] > 0 && matched[SINGLE] > 0);
  free(all);
  free_batch(made);
}

/* Patterns made from some of the points, so that there is no doubt that they match: these pass, and of
 * all others exactly those that step 2 of the matcher passes. The more patterns, the less is left to
 * the quick filters of a level, which then choose other ways. */
static void check_chosen(const expanded_level *level, size_t count, int sides) {
  static grind_pattern chosen[MANY];
  uint64_t state = 15 + count;
  batch made = make_batch(level, &state);
  uint64_t (*keys)[2][4] = keys_of(made, walk_all(made, expanded_shared_table()));
  const uint64_t (*points)[4] = (const uint64_t(*)[4])keys;
  uint8_t *passed = aligned(room(level));
  for (size_t i = 0; i < count; i++) {
    uint8_t key[32], digits[45];
    memcpy(key, points[next_random(&state) % room(level)], 32);
    key[31] |= (uint8_t)(next_random(&state) << 7);
    int length = plain_encode(digits, key);
    bool by_prefix = sides == 1 || (sides == 2 && i % 2 == 0);
    chosen[i] = by_prefix ? pattern("1111", "") : pattern("", "1111");
    for (int place = 0; place < 4; place++)
      if (by_prefix) chosen[i].prefix[place] = (uint64_t)1 << digits[place];
      else chosen[i].suffix[place] = (uint64_t)1 << digits[length - 4 + place];
  }
  grind_matcher *matcher = open_matcher(chosen, count);
  size_t found = walk(made, expanded_shared_table(), matcher);
  for (size_t i = 0; i < found; i++) {
    const expanded_candidate *candidate = &made.out[i];
    size_t below = candidate->step < 0;
    size_t size = (size_t)(below ? -candidate->step : candidate->step);
    size_t at = 2 * (candidate->centre * level->steps + size - 1) + below;
    CHECK(memcmp(points[at], candidate->key, 32) == 0 && passed[at]++ == 0);
  }
  size_t expected = 0;
  for (size_t i = 0; i < room(level); i++) {
    CHECK(matcher_may_match(matcher, points[i]) == (passed[i] == 1));
    expected += passed[i];
  }
  CHECK(found == expected && found > count / 2);
  matcher_close(matcher);
  free(passed);
  free(keys);
  free_batch(made);
}

/* Both keys of a point are tried only where hardly ever both match. */
static void check_signs(void) {
  static grind_pattern single[SINGLE], many[MANY];
  make_patterns(single, many);
  grind_pattern far = pattern("", "a"), near = far, last = pattern("", "aa");
  far.suffix[0] = set_of("abcdefghijkm"); /* 12 digits in a row */
  near.suffix[0] = set_of("abcdefghijkmn");
  last.suffix[0] = set_of("abcdefghijkmnopqrstuvwxyz");
  const struct {
    const grind_pattern *patterns;
    size_t count;
    bool exclude;
  } cases[] = {{&ANY, 1, false},       {&single[0], 6, true}, {&single[6], 1, false},
               {&single[5], 2, false}, {&far, 1, true},       {&near, 1, false},
               {&last, 1, true},       {many + 1, 2, true},   {many, MANY, false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    grind_matcher *matcher;
    CHECK(matcher_open(cases[i].patterns, cases[i].count, &matcher) == GRIND_OK);
    CHECK(matcher_signs_exclude(matcher) == cases[i].exclude);
    matcher_close(matcher);
  }
}

/* A walk that cannot be inverted says so and does not return nonsense. */
static void check_spoiled(const expanded_level *level) {
  expanded_table *broken = aligned(sizeof *broken);
  uint64_t state = 14;
  batch made = make_batch(level, &state);
  memcpy(broken, expanded_shared_table(), sizeof *broken);
  expanded_entry *comb = broken->comb[0];
  for (int i = 0; i < COMB_ENTRIES; i++) comb[i].plus = comb[i].minus = FE_ZERO;
  CHECK(walk_all(made, broken) == EXPANDED_BATCH_SPOILED);
  /* All centres are the neutral element: k is 0 and the points are the steps themselves. */
  for (int i = 0; i < COMB_WINDOWS * COMB_ENTRIES; i++) {
    expanded_entry *entry = &broken->comb[i / COMB_ENTRIES][i % COMB_ENTRIES];
    entry->plus = entry->minus = FE_ONE;
    entry->product = FE_ZERO;
  }
  uint64_t (*keys)[2][4] = keys_of(made, walk_all(made, broken));
  const edwards_point neutral = {FE_ZERO, FE_ONE, FE_ONE, FE_ZERO};
  check_centre(made, (const uint64_t(*)[2][4])keys, neutral);
  broken->steps[5].e = FE_ZERO;
  CHECK(walk_all(made, broken) == EXPANDED_BATCH_SPOILED);
  free(keys);
  free(broken);
  free_batch(made);
}

static grind_expanded_search *open_search(const grind_level *level, const grind_pattern *pattern) {
  grind_expanded_search *search;
  CHECK(grind_expanded_open(level, pattern, 1, &search) == GRIND_OK);
  return search;
}

/* The table is overwritten: every hit must be refused and counted. */
static void check_faults(const grind_level *level) {
  expanded_table *table = (expanded_table *)expanded_shared_table();
  expanded_table *kept = aligned(sizeof *kept);
  memcpy(kept, table, sizeof *kept);
  for (int i = 0; i < EXPANDED_STEPS_MAX; i++) table->steps[i].y.l[0] ^= 2;
  grind_expanded_search *search = open_search(level, &ONE_CHARACTER);
  static grind_expanded_hit hits[64];
  grind_result result;
  CHECK(grind_expanded_slice(search, 0, hits, 64, &result) == GRIND_OK);
  CHECK(result.faults > 0 && result.hits == 0);
  memcpy(table, kept, sizeof *kept);
  CHECK(grind_expanded_slice(search, 0, hits, 64, &result) == GRIND_OK);
  CHECK(result.faults == 0 && result.hits > 0);
  grind_expanded_close(search);
  free(kept);
}

/* Whether a and b, or a and L - b, differ in their low 128 bits alone: of one walk they would. */
static int related(const uint8_t a[32], const uint8_t b[32]) {
  int same = 1, opposite = 1;
  for (int i = 17; i < 32; i++) {
    int sum = a[i] + b[i], whole = i == 31 ? 0x10 : 0;
    same &= a[i] - b[i] <= 1 && b[i] - a[i] <= 1;
    opposite &= (sum == whole || sum == whole - 1 || sum == 0xff || sum == 0x100);
  }
  return same || opposite;
}

/* A slice that is full ends at its last hit; a walk is given up at its first. */
static void check_hits(const grind_level *level) {
  enum { HITS = 200 };
  static grind_expanded_hit hits[HITS];
  grind_result result;
  grind_expanded_search *search = open_search(level, &ANY);
  CHECK(grind_expanded_slice(search, 50000, hits, 8, &result) == GRIND_OK);
  CHECK(result.hits > 0 && result.attempts == result.hits && result.faults == 0);
  grind_expanded_close(search);
  search = open_search(level, &ONE_CHARACTER);
  CHECK(grind_expanded_slice(search, 50000, hits, HITS, &result) == GRIND_OK);
  CHECK(result.hits > 0 && result.attempts > result.hits && result.faults == 0);
  CHECK(result.attempts <= result.hits * 4 * expanded_level_of(level)->steps);
  for (size_t i = 0; i < result.hits; i++) {
    uint8_t expected[32];
    grind_public_from_scalar(hits[i].key, expected);
    CHECK(memcmp(hits[i].public_key, expected, 32) == 0 && hits[i].pattern == 0);
    CHECK(below_l(hits[i].key) && plain_find(&ONE_CHARACTER, 1, expected) == 0);
    for (size_t j = 0; j < i; j++) {
      CHECK(!related(hits[i].key, hits[j].key));
      CHECK(memcmp(hits[i].key + 32, hits[j].key + 32, 16) != 0);
    }
  }
  uint8_t shifted[32];
  memcpy(shifted, hits[0].key, 32);
  shifted[1] ^= 0x55;
  CHECK(related(hits[0].key, shifted));
  grind_expanded_close(search);
}

int main(void) {
  static const char *const names[] = {"portable", "avx2", "avx512"};
  const char *text = getenv("EXPANDED_CANDIDATES");
  check_signs();
  const uint64_t candidates = text == NULL ? 20000 : strtoull(text, NULL, 10);
  kind sought[KINDS];
  make_kinds(sought);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const grind_level *level = grind_find_level(names[i]);
    if (level == NULL) continue;
    const expanded_level *expanded = expanded_level_of(level);
    CHECK(strcmp(expanded->name, names[i]) == 0);
    printf("%s\n", names[i]);
    check_points(expanded);
    check_filters(expanded, sought, candidates);
    static const size_t counts[] = {1, 2, 5, 30, MANY};
    for (size_t j = 0; j < 3 * sizeof counts / sizeof *counts; j++)
      check_chosen(expanded, counts[j / 3], (int)(j % 3));
    check_spoiled(expanded);
    check_faults(level);
    check_hits(level);
  }
  for (size_t i = 0; i < KINDS; i++) matcher_close(sought[i].matcher);
  grind_expanded_close(NULL);
  return 0;
}
