/* The two shared tables of the search for expanded keys, less than 1 MB together.
 *
 * steps: Q_i = iB for i = 1 to EXPANDED_STEPS_MAX, as the three numbers that the walk needs (see
 * expanded_walk.h).
 *
 * comb: what centres are added up from. Every bit of t counts +1 or -1 instead of 1 or 0, as in
 * table.h: sum (2 t_j - 1) 2^j = 2t + 1 - 2^252. Window w holds the odd multiples
 * (2m + 1) 2^(6w) B; its top bit is the sign, and if that is 0 the other bits are inverted and the
 * point negated.
 */
#ifndef GRIND_EXPANDED_TABLE_H
#define GRIND_EXPANDED_TABLE_H

#include "field.h"

enum {
  EXPANDED_STEPS_MAX = 4096,
  COMB_BITS = 6,
  COMB_WINDOWS = 252 / COMB_BITS,
  COMB_ENTRIES = 1 << (COMB_BITS - 1),
};

/* Two cache lines; limbs < 2^51. */
typedef struct {
  union {
    struct {
      fe e;   /* 1/x^2 - d */
      fe y;   /* y e */
      fe x;   /* 1/x */
    };
    struct {
      fe plus, minus; /* y + x, y - x */
      fe product;     /* 2 d x y */
    };
    uint64_t words[16];
  };
} expanded_entry;

typedef struct {
  expanded_entry steps[EXPANDED_STEPS_MAX]; /* [i - 1] is Q_i */
  expanded_entry comb[COMB_WINDOWS][COMB_ENTRIES];
} expanded_table;

/* Built on first use, in some ms, and kept as long as the process; NULL if there is no memory. */
const expanded_table *expanded_shared_table(void);

#endif
