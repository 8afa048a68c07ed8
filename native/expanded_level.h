/* What a level of instructions gives the search for expanded keys: the walk around a batch of
 * centres. Each level is a file of its own, expanded_<level>.c, built with its own flags, which
 * brings its arithmetic and includes expanded_walk.h.
 */
#ifndef GRIND_EXPANDED_LEVEL_H
#define GRIND_EXPANDED_LEVEL_H

#include "expanded.h"
#include "expanded_table.h"
#include "match.h"

/* A point of a walk whose y passed the filters of the level. */
typedef struct {
  uint32_t centre; /* index in the batch */
  int32_t step;    /* the point is centre + step * B, |step| in 1..steps */
  uint64_t key[4]; /* y, exact, little-endian words: its public key without the sign */
} expanded_candidate;

/* What a walk returns when a denominator was zero: then no candidate of the batch counts. No two
 * points of the curve make one, so this is a machine that miscomputes. */
#define EXPANDED_BATCH_SPOILED SIZE_MAX

/* Walks around `centres`, each given by 252 random bits t: the centre is (2t + 1 - 2^252) B.
 * Writes what may match to `out`, for each centre in the order of the walk: step = steps,
 * -steps, steps - 1, and so on down to -1. `out` has room for all, 2 * steps for each centre;
 * `scratch` is aligned to 64 bytes. */
typedef size_t expanded_walk(const expanded_table *table, const grind_matcher *matcher,
                             void *scratch, const uint64_t (*centres)[4], expanded_candidate *out);

typedef struct {
  const char *name;
  size_t centres; /* in a batch: with 4 * steps candidates each, a ms of work */
  size_t steps;   /* at most EXPANDED_STEPS_MAX */
  size_t scratch; /* bytes */
  expanded_walk *walk;
} expanded_level;

extern const expanded_level expanded_level_portable;
extern const expanded_level expanded_level_avx2;
extern const expanded_level expanded_level_avx512;

/* The scalar 2t + 1 - 2^252 + step modulo L, from 0 to L - 1; of t, 252 bits count. */
void expanded_scalar(uint64_t scalar[4], const uint64_t t[4], int32_t step);

/* The walk for this level, the portable one if it has none of its own. */
const expanded_level *expanded_level_of(const grind_level *level);

#endif
