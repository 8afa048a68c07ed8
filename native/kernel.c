/* The search: one slice is a loop over batches of a level. See kernel.h and level.h.
 *
 * What a level passes is only likely to match. Here it meets the bitmaps, then the exact patterns
 * with either sign, then its public key is derived again by other arithmetic, and only what still
 * matches is a hit. Candidates are handled in order, so that `attempts` is right when a slice
 * ends in the middle of a batch: the rest of the batch does not count and is never used.
 */
#include <stdlib.h>
#include <string.h>

#include "level.h"
#include "match.h"
#include "point.h"
#include "sha512.h"
#include "system.h"

struct grind_search {
  const grind_level *level;
  const grind_table *table;
  grind_matcher *matcher;
  uint8_t *memory; /* scratch of the level, seeds, candidates: one allocation */
  size_t memory_bytes;
  uint8_t (*seeds)[GRIND_SEED_BYTES];
  grind_candidate *candidates;
};

const char *grind_level_name(const grind_level *level) { return level->name; }

static bool allocate_batch(grind_search *search) {
  const grind_level *level = search->level;
  size_t seeds = level->seed_batch * GRIND_SEED_BYTES;
  size_t candidates = level->seed_batch * sizeof(grind_candidate);
  search->memory_bytes = level->seed_scratch + seeds + candidates;
  search->memory = system_allocate(search->memory_bytes);
  if (search->memory == NULL) return false;
  search->seeds = (uint8_t (*)[GRIND_SEED_BYTES])(search->memory + level->seed_scratch);
  search->candidates = (grind_candidate *)(search->memory + level->seed_scratch + seeds);
  return true;
}

int grind_open(const grind_level *level, const grind_pattern *patterns, size_t count,
               uint64_t memory_bytes, grind_search **out) {
  grind_search *search = calloc(1, sizeof *search);
  if (search == NULL) return GRIND_NO_MEMORY;
  search->level = level;
  int status = matcher_open(patterns, count, &search->matcher);
  if (status == GRIND_OK) {
    uint64_t most = memory_bytes / 8;
    search->table = grind_shared_table(most < level->table_most ? most : level->table_most,
                                       level->fill_table);
    if (search->table == NULL || !allocate_batch(search)) status = GRIND_NO_MEMORY;
  }
  if (status != GRIND_OK) {
    grind_close(search);
    return status;
  }
  *out = search;
  return GRIND_OK;
}

uint64_t grind_table_bytes(const grind_search *search) { return search->table->bytes; }

void grind_close(grind_search *search) {
  if (search == NULL) return;
  if (search->memory != NULL) {
    system_wipe(search->memory, search->memory_bytes);
    system_free(search->memory, search->memory_bytes);
  }
  matcher_close(search->matcher);
  free(search);
}

void grind_public_from_seed(const uint8_t seed[GRIND_SEED_BYTES],
                            uint8_t public_key[GRIND_PUBLIC_BYTES]) {
  uint64_t scalar[4];
  grind_clamped_scalar(scalar, seed);
  edwards_to_bytes(public_key, edwards_scale(scalar, edwards_base()));
  system_wipe(scalar, sizeof scalar);
}

int grind_check(void) {
  /* RFC 8032, section 7.1, test 1. */
  static const uint8_t seed[GRIND_SEED_BYTES] = {
      0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
      0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
  static const uint8_t expected[GRIND_PUBLIC_BYTES] = {
      0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
      0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};
  uint8_t public_key[GRIND_PUBLIC_BYTES];
  grind_public_from_seed(seed, public_key);
  return memcmp(public_key, expected, sizeof expected) == 0 ? 0 : -1;
}

static void key_bytes(uint8_t bytes[GRIND_PUBLIC_BYTES], const uint64_t key[4]) {
  for (int i = 0; i < GRIND_PUBLIC_BYTES; i++) bytes[i] = (uint8_t)(key[i / 8] >> (8 * (i % 8)));
}

static bool matches_with_either_sign(const grind_matcher *matcher, const uint64_t key[4]) {
  uint8_t bytes[GRIND_PUBLIC_BYTES];
  key_bytes(bytes, key);
  if (matcher_find(matcher, bytes) >= 0) return true;
  bytes[31] |= 0x80;
  return matcher_find(matcher, bytes) >= 0;
}

/* One candidate to the end; adds a hit or a fault to the result. */
static void test(const grind_search *search, const grind_candidate *candidate, grind_hit *hits,
                 grind_result *result) {
  if (!matcher_may_match(search->matcher, candidate->key)) return;
  if (!matches_with_either_sign(search->matcher, candidate->key)) return;
  grind_hit *hit = &hits[result->hits];
  memcpy(hit->seed, search->seeds[candidate->index], GRIND_SEED_BYTES);
  grind_public_from_seed(hit->seed, hit->public_key);
  uint8_t expected[GRIND_PUBLIC_BYTES];
  key_bytes(expected, candidate->key);
  expected[31] |= hit->public_key[31] & 0x80;
  int pattern = -1;
  if (memcmp(expected, hit->public_key, sizeof expected) != 0)
    result->faults++;
  else
    pattern = matcher_find(search->matcher, hit->public_key);
  if (pattern >= 0) {
    hit->pattern = (uint32_t)pattern;
    result->hits++;
  } else {
    system_wipe(hit, sizeof *hit);
  }
}

static size_t derive_batch(const grind_search *search, const grind_filter *filter) {
  return search->level->derive_seeds(search->table, search->memory,
                                     (const uint8_t (*)[GRIND_SEED_BYTES])search->seeds, filter,
                                     search->candidates);
}

/* Exact tests without a look at the clock: microseconds each, at their slowest. */
enum { CLOCK_EVERY = 64 };

/* One batch of fresh seeds. False if the slice ends within it: no room, no time at a hit, or
 * nothing left of the longest slice, as when patterns pass many candidates to the exact tests. */
static bool try_batch(const grind_search *search, grind_chacha20 *stream, uint64_t end,
                      uint64_t latest, grind_hit *hits, size_t max_hits, grind_result *result) {
  const size_t batch = search->level->seed_batch;
  search->level->take_random(stream, search->seeds[0], batch * GRIND_SEED_BYTES);
  const uint64_t *low_bits = matcher_low_bits(search->matcher);
  const grind_filter filter = {{low_bits[0], low_bits[1]}, matcher_step_2(search->matcher)};
  size_t count = derive_batch(search, &filter);
  if (count == GRIND_BATCH_SPOILED) return true;
  for (size_t i = 0; i < count; i++) {
    size_t hits_before = result->hits;
    test(search, &search->candidates[i], hits, result);
    const bool is_hit = result->hits != hits_before;
    if (!is_hit && i % CLOCK_EVERY != CLOCK_EVERY - 1) continue;
    if (result->hits == max_hits || system_clock_us() >= (is_hit ? end : latest)) {
      result->attempts += search->candidates[i].index + 1;
      return false;
    }
  }
  result->attempts += batch;
  return true;
}

int grind_slice(grind_search *search, uint32_t budget_us, grind_hit *hits, size_t max_hits,
                grind_result *result) {
  uint64_t now = system_clock_us();
  const uint64_t latest = now + GRIND_SLICE_MAX_US;
  const uint64_t end = budget_us < GRIND_SLICE_MAX_US ? now + budget_us : latest;
  *result = (grind_result){0, 0, 0};
  uint8_t key[32];
  if (!system_random(key, sizeof key)) return GRIND_NO_ENTROPY;
  grind_chacha20 stream;
  grind_chacha20_start(&stream, key);
  system_wipe(key, sizeof key);
  /* A batch that would end beyond the budget by more than half of itself is not begun. */
  while (try_batch(search, &stream, end, latest, hits, max_hits, result)) {
    uint64_t before = now;
    now = system_clock_us();
    if (now + (now - before) / 2 >= end) break;
  }
  system_wipe(&stream, sizeof stream);
  return GRIND_OK;
}

int grind_derive(grind_search *search, const uint8_t (*seeds)[GRIND_SEED_BYTES], size_t count,
                 uint8_t (*public_keys)[GRIND_PUBLIC_BYTES]) {
  static const grind_filter all = {{UINT64_MAX, UINT64_MAX}, {NULL, NULL}};
  const size_t batch = search->level->seed_batch;
  for (size_t at = 0; at < count; at += batch) {
    size_t part = count - at < batch ? count - at : batch;
    /* What is missing in the last batch is filled with its first seeds. */
    for (size_t i = 0; i < batch; i++) memcpy(search->seeds[i], seeds[at + i % part], 32);
    if (derive_batch(search, &all) != batch) return GRIND_SPOILED;
    for (size_t i = 0; i < part; i++) {
      key_bytes(public_keys[at + i], search->candidates[i].key);
    }
  }
  return GRIND_OK;
}
