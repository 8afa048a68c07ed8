/* What a level of instructions gives the kernel: the candidate loop for one batch. Each level is
 * a file of its own, built with its own flags; dispatch.c lists them.
 */
#ifndef GRIND_LEVEL_H
#define GRIND_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chacha20.h"
#include "kernel.h"
#include "match.h"
#include "table.h"

/* A candidate that passed the low bits. */
typedef struct {
  uint32_t index;  /* of its seed in the batch */
  uint64_t key[4]; /* its public key, exact, little-endian words, without the sign: bit 255 is 0 */
} grind_candidate;

/* What a seed batch returns when a denominator of it was zero: then no candidate of it counts.
 * Random seeds do that with a probability below 2^-80 a batch. */
#define GRIND_BATCH_SPOILED SIZE_MAX

/* What a level may drop: steps 1 and 2 of match.h. With neither bitmap, step 1 alone. */
typedef struct {
  uint64_t low_bits[2];
  matcher_bitmaps step_2;
} grind_filter;

/* Derives the public keys of a batch and writes those to `out` that pass step 1, and step 2 where the level
 * looks at many keys at once, in ascending order of index. `out` has room for all; `scratch`
 * and `seeds` are aligned to 64 bytes. */
typedef size_t grind_seed_batch(const grind_table *table, void *scratch,
                                const uint8_t (*seeds)[GRIND_SEED_BYTES],
                                const grind_filter *filter, grind_candidate *out);

struct grind_level {
  const char *name;
  bool (*is_supported)(void);
  grind_chacha20_take *take_random;
  size_t seed_batch;   /* seeds in a batch, a multiple of 32: a few ms of work at most */
  size_t seed_scratch; /* bytes */
  grind_seed_batch *derive_seeds;
  grind_table_fill *fill_table;
  uint64_t table_most; /* bytes; a larger table would take this level a second to build */
};

#endif
