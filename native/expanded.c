/* The search for expanded keys: one slice is a loop over batches of walks. See expanded.h.
 *
 * What a level passes is only likely to match. Here it meets the exact patterns with either sign,
 * its scalar is put together and its public key derived again by other arithmetic. The walks of a
 * batch are looked at one after the other, each up to its first hit, so that `attempts` is right
 * for walks that are given up and for slices that end in the middle of a batch.
 *
 * Two keys of one point differ in the sign alone. Where the patterns exclude that both match, both
 * are tried. Elsewhere, as with prefixes, the second would match when the first does, and be given
 * up with the walk: an attempt that cannot be a hit. There only one of both, by a bit of y, counts.
 */
#include "expanded.h"

#include <stdlib.h>
#include <string.h>

#include "chacha20.h"
#include "expanded_level.h"
#include "level.h"
#include "point.h"
#include "system.h"

enum { STREAM_BLOCK = 1024 };

struct grind_expanded_search {
  const expanded_level *level;
  const expanded_table *table;
  grind_matcher *matcher;
  uint64_t signs;  /* keys of a point that are tried: 1 or 2 */
  uint8_t *memory; /* scratch of the level, random bits of the centres, candidates */
  size_t memory_bytes;
  uint64_t (*centres)[4];
  size_t centres_bytes; /* whole blocks of the stream */
  expanded_candidate *candidates;
};

static const expanded_level *const LEVELS[] = {
#if defined(__x86_64__)
    &expanded_level_avx512,
    &expanded_level_avx2,
#endif
    &expanded_level_portable,
};

const expanded_level *expanded_level_of(const grind_level *level) {
  const char *name = grind_level_name(level);
  for (size_t i = 0; i < sizeof LEVELS / sizeof *LEVELS; i++)
    if (strcmp(LEVELS[i]->name, name) == 0) return LEVELS[i];
  return &expanded_level_portable;
}

static size_t rounded_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

static bool allocate_batch(grind_expanded_search *search) {
  const expanded_level *level = search->level;
  size_t scratch = rounded_up(level->scratch, 64);
  search->centres_bytes = rounded_up(level->centres * sizeof *search->centres, STREAM_BLOCK);
  size_t candidates = level->centres * 2 * level->steps * sizeof *search->candidates;
  search->memory_bytes = scratch + search->centres_bytes + candidates;
  search->memory = system_allocate(search->memory_bytes);
  if (search->memory == NULL) return false;
  search->centres = (uint64_t (*)[4])(search->memory + scratch);
  search->candidates = (expanded_candidate *)(search->memory + scratch + search->centres_bytes);
  return true;
}

int grind_expanded_open(const grind_level *level, const grind_pattern *patterns, size_t count,
                        grind_expanded_search **out) {
  grind_expanded_search *search = calloc(1, sizeof *search);
  if (search == NULL) return GRIND_NO_MEMORY;
  search->level = expanded_level_of(level);
  int status = matcher_open(patterns, count, &search->matcher);
  if (status == GRIND_OK) {
    search->signs = matcher_signs_exclude(search->matcher) ? 2 : 1;
    search->table = expanded_shared_table();
    if (search->table == NULL || !allocate_batch(search)) status = GRIND_NO_MEMORY;
  }
  if (status != GRIND_OK) {
    grind_expanded_close(search);
    return status;
  }
  *out = search;
  return GRIND_OK;
}

void grind_expanded_close(grind_expanded_search *search) {
  if (search == NULL) return;
  if (search->memory != NULL) {
    system_wipe(search->memory, search->memory_bytes);
    system_free(search->memory, search->memory_bytes);
  }
  matcher_close(search->matcher);
  free(search);
}

void grind_public_from_scalar(const uint8_t scalar[32], uint8_t public_key[GRIND_PUBLIC_BYTES]) {
  uint64_t words[4];
  memcpy(words, scalar, sizeof words);
  edwards_to_bytes(public_key, edwards_scale_base(words));
  system_wipe(words, sizeof words);
}

/* The order of B. */
static const uint64_t L[4] = {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000};

/* a + b modulo 2^256; returns the carry. */
static uint64_t add(uint64_t a[4], const uint64_t b[4]) {
  uint64_t carry = 0;
  for (int i = 0; i < 4; i++) {
    unsigned __int128 sum = (unsigned __int128)a[i] + b[i] + carry;
    a[i] = (uint64_t)sum;
    carry = (uint64_t)(sum >> 64);
  }
  return carry;
}

/* a - b modulo 2^256; returns the borrow. */
static uint64_t subtract(uint64_t a[4], const uint64_t b[4]) {
  uint64_t borrow = 0;
  for (int i = 0; i < 4; i++) {
    unsigned __int128 difference = (unsigned __int128)a[i] - b[i] - borrow;
    a[i] = (uint64_t)difference;
    borrow = (uint64_t)(difference >> 64) & 1;
  }
  return borrow;
}

void expanded_scalar(uint64_t scalar[4], const uint64_t t[4], int32_t step) {
  for (int i = 0; i < 4; i++) scalar[i] = t[i] << 1 | (i == 0 ? 1 : t[i - 1] >> 63);
  scalar[3] &= ((uint64_t)1 << 61) - 1;
  const uint64_t middle[4] = {0, 0, 0, (uint64_t)1 << 60};
  if (subtract(scalar, middle)) add(scalar, L);
  const uint64_t size[4] = {(uint64_t)(step < 0 ? -(int64_t)step : step), 0, 0, 0};
  if (step < 0 && subtract(scalar, size)) add(scalar, L);
  if (step > 0) {
    add(scalar, size);
    uint64_t reduced[4];
    memcpy(reduced, scalar, sizeof reduced);
    if (!subtract(reduced, L)) memcpy(scalar, reduced, sizeof reduced);
  }
}

/* L - scalar, for a scalar from 1 to L - 1. */
static void negate(uint64_t scalar[4]) {
  uint64_t opposite[4];
  memcpy(opposite, L, sizeof opposite);
  subtract(opposite, scalar);
  memcpy(scalar, opposite, sizeof opposite);
}

/* The scalar of what has this public key, in `hit`; false if there is none. Derived is the public
 * key of the one of s and L - s; that of the other has the other sign. */
static bool prove(const grind_expanded_search *search, const expanded_candidate *candidate,
                  const uint8_t public_key[GRIND_PUBLIC_BYTES], grind_expanded_hit *hit) {
  uint64_t scalar[4];
  expanded_scalar(scalar, search->centres[candidate->centre], candidate->step);
  if ((scalar[0] | scalar[1] | scalar[2] | scalar[3]) == 0) return false;
  memcpy(hit->key, scalar, sizeof scalar);
  grind_public_from_scalar(hit->key, hit->public_key);
  if (hit->public_key[31] != public_key[31]) {
    negate(scalar);
    memcpy(hit->key, scalar, sizeof scalar);
    hit->public_key[31] ^= 0x80;
  }
  system_wipe(scalar, sizeof scalar);
  return memcmp(hit->public_key, public_key, GRIND_PUBLIC_BYTES) == 0;
}

/* The keys of one point. Adds a hit or a fault to the result. GRIND_OK or GRIND_NO_ENTROPY. */
static int test(const grind_expanded_search *search, const expanded_candidate *candidate,
                grind_expanded_hit *hits, grind_result *result) {
  uint8_t public_key[GRIND_PUBLIC_BYTES];
  memcpy(public_key, candidate->key, sizeof public_key);
  public_key[31] |= (uint8_t)((public_key[15] & 1) << 7);
  for (uint64_t sign = 0; sign < search->signs; sign++, public_key[31] ^= 0x80) {
    int pattern = matcher_find(search->matcher, public_key);
    if (pattern < 0) continue;
    grind_expanded_hit *hit = &hits[result->hits];
    if (!prove(search, candidate, public_key, hit)) {
      system_wipe(hit, sizeof *hit);
      result->faults++;
      continue;
    }
    if (!system_random(hit->key + 32, 32)) return GRIND_NO_ENTROPY;
    hit->pattern = (uint32_t)pattern;
    result->hits++;
    return GRIND_OK;
  }
  return GRIND_OK;
}

/* The walk around one centre, to its end or to the point of its first hit. */
static int test_walk(const grind_expanded_search *search, uint32_t centre, size_t count,
                     grind_expanded_hit *hits, grind_result *result) {
  uint64_t points = 2 * search->level->steps;
  const size_t hits_before = result->hits;
  for (size_t i = 0; i < count && result->hits == hits_before; i++) {
    const expanded_candidate *candidate = &search->candidates[i];
    if (candidate->centre != centre) continue;
    int status = test(search, candidate, hits, result);
    if (status != GRIND_OK) return status;
    if (result->hits == hits_before) continue;
    /* Before step s, two points of each larger size; before -s, that of s too. */
    uint64_t size = (uint64_t)(candidate->step < 0 ? -candidate->step : candidate->step);
    points = 2 * (search->level->steps - size) + (candidate->step < 0 ? 2 : 1);
  }
  result->attempts += search->signs * points;
  return GRIND_OK;
}

/* Sets `*more` to whether the slice may go on: there is room for hits, there was time at the last
 * one, and something is left of the longest slice. Where patterns pass many candidates, the exact
 * tests of a whole batch would take a second. */
static int try_batch(grind_expanded_search *search, grind_chacha20 *stream, uint64_t end,
                     uint64_t latest, grind_expanded_hit *hits, size_t max_hits, grind_result *result, bool *more) {
  grind_chacha20_take_portable(stream, (uint8_t *)search->centres, search->centres_bytes);
  size_t count = search->level->walk(search->table, search->matcher, search->memory,
                                     (const uint64_t (*)[4])search->centres, search->candidates);
  *more = true;
  if (count == EXPANDED_BATCH_SPOILED) return GRIND_OK;
  for (uint32_t centre = 0; *more && centre < search->level->centres; centre++) {
    size_t hits_before = result->hits;
    int status = test_walk(search, centre, count, hits, result);
    if (status != GRIND_OK) return status;
    const uint64_t last = result->hits == hits_before ? latest : end;
    *more = result->hits < max_hits && system_clock_us() < last;
  }
  return GRIND_OK;
}

int grind_expanded_slice(grind_expanded_search *search, uint32_t budget_us,
                         grind_expanded_hit *hits, size_t max_hits, grind_result *result) {
  uint64_t now = system_clock_us();
  const uint64_t latest = now + GRIND_SLICE_MAX_US;
  const uint64_t end = budget_us < GRIND_SLICE_MAX_US ? now + budget_us : latest;
  *result = (grind_result){0, 0, 0};
  uint8_t key[32];
  if (!system_random(key, sizeof key)) return GRIND_NO_ENTROPY;
  grind_chacha20 stream;
  grind_chacha20_start(&stream, key);
  system_wipe(key, sizeof key);
  int status;
  bool more;
  /* A batch that would end beyond the budget by more than half of itself is not begun. */
  do {
    uint64_t before = now;
    status = try_batch(search, &stream, end, latest, hits, max_hits, result, &more);
    now = system_clock_us();
    more = more && now + (now - before) / 2 < end;
  } while (status == GRIND_OK && more);
  system_wipe(&stream, sizeof stream);
  /* Centres are used once: what follows in this memory starts from others. */
  system_wipe(search->centres, search->centres_bytes);
  if (status != GRIND_OK) {
    system_wipe(hits, max_hits * sizeof *hits);
    result->hits = 0;
  }
  return status;
}
