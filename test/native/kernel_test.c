/* The search and every level of this machine: public keys against the slow path, order and
 * filter of candidates, and what happens when arithmetic goes wrong. */
#include "kernel.h"

#include "check.h"
#include "level.h"
#include "point.h"

enum { SMALLEST_TABLE = 0 };

static const grind_pattern ANY = {{0}, {((uint64_t)1 << 58) - 1}, 0, 1};
static const grind_pattern ONE_CHARACTER = {{0}, {1}, 0, 1};

static const grind_filter ALL = {{UINT64_MAX, UINT64_MAX}, {NULL, NULL}};

static grind_search *open_search(const grind_level *level, const grind_pattern *pattern) {
  grind_search *search;
  CHECK(grind_open(level, pattern, 1, SMALLEST_TABLE, &search) == GRIND_OK);
  return search;
}

static void check_keys(const grind_level *level) {
  enum { COUNT = 5000, COMPARED = 300 };
  static uint8_t seeds[COUNT][32], keys[COUNT][32];
  uint64_t state = 4;
  random_bytes(&state, seeds[0], sizeof seeds);
  grind_search *search = open_search(level, &ANY);
  CHECK(grind_derive(search, (const uint8_t(*)[32])seeds, COUNT, keys) == GRIND_OK);
  for (int i = 0; i < COUNT; i += COUNT / COMPARED) {
    uint8_t expected[32];
    grind_public_from_seed(seeds[i], expected);
    expected[31] &= 0x7f;
    CHECK(memcmp(keys[i], expected, 32) == 0);
  }
  /* Whatever rounding a level computes with, it gives the caller's back. */
  volatile double one = 1, three = 3;
  CHECK(one / three * three == 1);
  grind_close(search);
}

typedef struct {
  uint8_t (*seeds)[32];
  void *scratch;
  grind_candidate *out;
} batch;

static void *aligned(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  CHECK(memory != NULL);
  memset(memory, 0, bytes);
  return memory;
}

static batch make_batch(const grind_level *level) {
  batch made = {aligned(level->seed_batch * 32), aligned(level->seed_scratch),
                aligned(level->seed_batch * sizeof(grind_candidate))};
  uint64_t state = 5;
  random_bytes(&state, made.seeds[0], level->seed_batch * 32);
  return made;
}

static void free_batch(batch made) {
  free(made.seeds);
  free(made.scratch);
  free(made.out);
}

static size_t run(const grind_level *level, const grind_table *table, batch made,
                  const grind_filter *filter) {
  return level->derive_seeds(table, made.scratch, (const uint8_t(*)[32])made.seeds, filter,
                             made.out);
}

/* Entry by entry by slow additions: first, first + step, ... */
static void check_table(const grind_level *level) {
  enum { COUNT = 2048 };
  table_entry *entries = aligned(COUNT * sizeof *entries);
  edwards_point first = edwards_scale((uint64_t[4]){1, 2, 3, 4}, edwards_base());
  edwards_point step = edwards_scale((uint64_t[4]){5, 6, 7, 8}, edwards_base());
  level->fill_table(entries, COUNT, first, step);
  for (int i = 0; i < COUNT; i++, first = edwards_add(first, step)) {
    if (i % 7 != 0 && i % 256 > 1) continue;
    weierstrass_point expected = weierstrass_from_edwards(first);
    uint64_t x[4], y[4];
    fe_to_words(x, expected.x);
    fe_to_words(y, expected.y);
    CHECK(memcmp(entries[i].x, x, 32) == 0 && memcmp(entries[i].y, y, 32) == 0);
  }
  free(entries);
}

/* With half of the low bits allowed: exactly those candidates, in order, with every table. */
static void check_candidates(const grind_level *level, uint64_t table_bytes, int windows) {
  static const grind_filter some = {{0x123456789abcdef0, 0x8000000000000001}, {NULL, NULL}};
  const grind_table *table = grind_shared_table(table_bytes, level->fill_table);
  CHECK(table->windows == windows);
  batch made = make_batch(level);
  CHECK(run(level, table, made, &ALL) == level->seed_batch);
  uint64_t *words = aligned(level->seed_batch * 32);
  for (size_t i = 0; i < level->seed_batch; i++) {
    CHECK(made.out[i].index == i);
    memcpy(words + 4 * i, made.out[i].key, 32);
    if (i % 37 != 0) continue;
    uint64_t expected[4];
    uint8_t bytes[32];
    grind_public_from_seed(made.seeds[i], bytes);
    bytes[31] &= 0x7f;
    for (int w = 0; w < 4; w++) {
      expected[w] = 0;
      for (int j = 7; j >= 0; j--) expected[w] = expected[w] << 8 | bytes[8 * w + j];
    }
    CHECK(memcmp(words + 4 * i, expected, 32) == 0);
  }
  size_t passed = run(level, table, made, &some), at = 0;
  for (size_t i = 0; i < level->seed_batch; i++) {
    uint64_t low = words[4 * i + 3] >> 56;
    CHECK(low < 128);
    if (!(some.low_bits[low / 64] >> (low % 64) & 1)) continue;
    CHECK(at < passed && made.out[at].index == i);
    CHECK(memcmp(made.out[at].key, words + 4 * i, 32) == 0);
    at++;
  }
  CHECK(at == passed);
  free(words);
  free_batch(made);
}

/* Step 2 drops nothing that may match, whichever side patterns are filtered by; the level that looks at eight
 * keys at once passes nothing else. */
static void check_step_2(const grind_level *level) {
  const grind_table *table = grind_shared_table(SMALLEST_TABLE, level->fill_table);
  const uint64_t half = 0x0155555555555555;
  const grind_pattern suffix = {{0}, {half, half, half}, 0, 3}, prefix = {{half, half}, {0}, 2, 0};
  const grind_pattern sets[3][2] = {{suffix, suffix}, {prefix, prefix}, {suffix, prefix}};
  batch made = make_batch(level);
  grind_candidate *all = aligned(level->seed_batch * sizeof *all);
  CHECK(run(level, table, made, &ALL) == level->seed_batch);
  memcpy(all, made.out, level->seed_batch * sizeof *all);
  for (int set = 0; set < 3; set++) {
    grind_matcher *matcher;
    CHECK(matcher_open(sets[set], 2, &matcher) == GRIND_OK);
    const uint64_t *low_bits = matcher_low_bits(matcher);
    const grind_filter filter = {{low_bits[0], low_bits[1]}, matcher_step_2(matcher)};
    size_t passed = run(level, table, made, &filter), at = 0, needed = 0;
    for (size_t i = 0; i < level->seed_batch; i++) {
      bool is_passed = at < passed && made.out[at].index == i;
      bool is_needed = matcher_may_match(matcher, all[i].key);
      CHECK(is_passed || !is_needed);
      needed += is_needed;
      at += is_passed;
    }
    CHECK(at == passed);
    CHECK(needed > 10);
    CHECK(needed < level->seed_batch * 3 / 4);
    if (strcmp(grind_level_name(level), "avx512") == 0) CHECK(passed == needed);
    matcher_close(matcher);
  }
  free(all);
  free_batch(made);
}

/* A sum that meets the next entry has no slope: the batch must say so and not return nonsense. */
static void check_spoiled(const grind_level *level) {
  grind_table broken = *grind_shared_table(SMALLEST_TABLE, level->fill_table);
  batch made = make_batch(level);
  size_t entries = (size_t)1 << broken.window[0].width;
  table_entry *same = aligned(entries * sizeof *same);
  for (size_t i = 0; i < entries; i++) same[i] = broken.window[0].entries[0];
  broken.window[0].entries = same;
  broken.window[1].entries = same;
  CHECK(run(level, &broken, made, &ALL) == GRIND_BATCH_SPOILED);
  free(same);
  free_batch(made);
}

/* One window of the table is overwritten: every hit must be refused and counted. */
static void check_faults(const grind_level *level) {
  const grind_table *table = grind_shared_table(SMALLEST_TABLE, level->fill_table);
  const table_window *window = &table->window[2];
  size_t bytes = ((size_t)1 << (window->width - 1)) * sizeof(table_entry);
  table_entry *kept = aligned(bytes), *entries = (table_entry *)window->entries;
  memcpy(kept, entries, bytes);
  for (size_t i = 0; i < bytes / sizeof *entries; i++) entries[i].y[0] ^= 2;
  grind_search *search = open_search(level, &ONE_CHARACTER);
  static grind_hit hits[64];
  grind_result result;
  /* A slice may try too few to find any. */
  do {
    CHECK(grind_slice(search, 0, hits, 64, &result) == GRIND_OK);
    CHECK(result.attempts > 0 && result.hits == 0);
  } while (result.faults == 0);
  memcpy(entries, kept, bytes);
  do {
    CHECK(grind_slice(search, 0, hits, 64, &result) == GRIND_OK);
    CHECK(result.attempts > 0 && result.faults == 0);
  } while (result.hits == 0);
  grind_close(search);
  free(kept);
}

/* A slice that is full, or out of time among hits, ends at its last hit, and only what it tested
 * counts. */
static void check_attempts(const grind_level *level) {
  static grind_hit hits[8];
  grind_result result;
  grind_search *search = open_search(level, &ANY);
  CHECK(grind_slice(search, 50000, hits, 8, &result) == GRIND_OK);
  CHECK(result.hits > 0 && result.attempts == result.hits && result.faults == 0);
  for (size_t i = 0; i < result.hits; i++) {
    uint8_t expected[32];
    grind_public_from_seed(hits[i].seed, expected);
    CHECK(memcmp(hits[i].public_key, expected, 32) == 0 && hits[i].pattern == 0);
    for (size_t j = 0; j < i; j++) CHECK(memcmp(hits[i].seed, hits[j].seed, 32) != 0);
  }
  grind_close(search);
}

int main(void) {
  static const char *const names[] = {"portable", "avx2", "avx512"};
  CHECK(grind_find_level("portable") != NULL);
  CHECK(grind_find_level("sse9") == NULL);
  CHECK(grind_find_level(NULL) != NULL);
  /* A larger table is built only now, and serves everybody from then on. */
  for (int larger = 0; larger < 2; larger++) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
      const grind_level *level = grind_find_level(names[i]);
      if (level != NULL) check_candidates(level, larger ? 30 << 20 : SMALLEST_TABLE, larger ? 16 : 20);
    }
  }
  CHECK(grind_shared_table(SMALLEST_TABLE, grind_find_level(NULL)->fill_table)->windows == 16);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const grind_level *level = grind_find_level(names[i]);
    if (level == NULL) continue;
    CHECK(strcmp(grind_level_name(level), names[i]) == 0);
    check_table(level);
    check_keys(level);
    check_step_2(level);
    check_spoiled(level);
    check_faults(level);
    check_attempts(level);
    printf("%s\n", names[i]);
  }
  grind_close(NULL);
  return 0;
}
