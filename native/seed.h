/* The candidate loops for seed keys, one a level: see level.h and seed_passes.h. On machines of
 * another kind only the portable one is built. */
#ifndef GRIND_SEED_H
#define GRIND_SEED_H

#include "level.h"

/* Of a candidate: five numbers of five limbs and its scalar. */
enum { SEED_SCRATCH_EACH = (5 * 5 + 4) * 8 };

/* The scratch of a batch should fit the second-level cache, with room for what else goes there. */
enum {
  SEED_BATCH_PORTABLE = 1024,
  SEED_BATCH_AVX2 = 2048,
  SEED_BATCH_AVX512 = 4096, /* 950 KB of 1 MB or more: smaller ones pay more for the inversions */
};

/* What would be calls, because it is large, puts every number through memory. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

grind_seed_batch grind_seed_batch_portable;
grind_seed_batch grind_seed_batch_avx2;
grind_seed_batch grind_seed_batch_avx512;

grind_table_fill grind_table_fill_portable;
grind_table_fill grind_table_fill_avx2;
grind_table_fill grind_table_fill_avx512;

#endif
