/* The candidate loops for seed keys, one a level: see level.h. On machines of another kind only
 * the portable one is built. */
#ifndef GRIND_SEED_H
#define GRIND_SEED_H

#include "level.h"

enum {
  SEED_BATCH_PORTABLE = 1024,
  SEED_SCRATCH_PORTABLE = SEED_BATCH_PORTABLE * 232,
  SEED_BATCH_AVX512 = 4096,
  SEED_SCRATCH_AVX512 = SEED_BATCH_AVX512 * 232,
};

grind_seed_batch grind_seed_batch_portable;
grind_seed_batch grind_seed_batch_avx512;

#endif
