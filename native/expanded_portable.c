/* The walk of expanded keys in portable 64-bit C. What the filter looks at is computed from the
 * two upper columns of a product (10 of its 25 partial products) and, for prefixes, from the
 * lowest one, which has the first bytes of the key. What passes is computed in full at once.
 *
 * The upper columns lack what column 2 carries into them: at most 2^6 in limb 4, either way. Bits
 * 44 to 49 of limb 4 are wrong with a probability below 2^-37 for that; then a candidate is missed.
 */
#include "expanded_level.h"

enum { LANES = 1, GROUPS = 4, STEPS = 4096 };
#define CHAINS 2

typedef fe wide;

static inline wide wide_all(fe a) { return a; }
static inline fe wide_lane(const wide *a, int lane) { return (void)lane, *a; }
static inline void wide_set_lane(wide *a, int lane, fe value) { (void)lane, *a = value; }
static inline wide wide_mul(wide a, wide b) { return fe_mul(a, b); }
static inline wide wide_add(wide a, wide b) { return fe_add(a, b); }
static inline wide wide_sub(wide a, wide b) { return fe_sub(a, b); }
static inline wide wide_carry(wide a) {
  fe r;
  r.l[0] = (a.l[0] & FE_MASK) + 19 * (a.l[4] >> 51);
  for (int i = 1; i < 5; i++) r.l[i] = (a.l[i] & FE_MASK) + (a.l[i - 1] >> 51);
  return r;
}

static inline void comb_entry(const expanded_entry *window, const uint64_t (*scalars)[4], int bit,
                              wide *plus, wide *minus, wide *product) {
  uint64_t bits = scalars[0][bit / 64] >> (bit % 64);
  if (bit % 64 > 64 - COMB_BITS) bits |= scalars[0][bit / 64 + 1] << (64 - bit % 64);
  uint64_t negative = (bits >> (COMB_BITS - 1) & 1) - 1;
  const expanded_entry *entry = &window[(bits ^ negative) & (COMB_ENTRIES - 1)];
  fe opposite = fe_sub(FE_ZERO, entry->product);
  for (int i = 0; i < 5; i++) {
    uint64_t change = (entry->plus.l[i] ^ entry->minus.l[i]) & negative;
    plus->l[i] = entry->plus.l[i] ^ change;
    minus->l[i] = entry->minus.l[i] ^ change;
    product->l[i] = entry->product.l[i] ^ ((entry->product.l[i] ^ opposite.l[i]) & negative);
  }
}

typedef struct {
  const grind_matcher *matcher;
  uint64_t suffix_bits, prefix_bits;
  expanded_candidate *out;
  size_t count;
  uint32_t centre;
} collector;

static inline void collect_begin(collector *c, const grind_matcher *matcher, uint32_t centre,
                                 expanded_candidate *out) {
  *c = (collector){matcher, matcher_suffix_bits(matcher), matcher_prefix_bits(matcher), out, 0,
                   centre};
}

/* Column 3 with what column 4 of the next turn wraps into it, and column 4. */
static inline fe_wide column_3(fe a, fe b) {
  return (fe_wide)a.l[0] * b.l[3] + (fe_wide)a.l[1] * b.l[2] + (fe_wide)a.l[2] * b.l[1] +
         (fe_wide)a.l[3] * b.l[0] + (fe_wide)(a.l[4] * 19) * b.l[4];
}
static inline fe_wide column_4(fe a, fe b) {
  return (fe_wide)a.l[0] * b.l[4] + (fe_wide)a.l[1] * b.l[3] + (fe_wide)a.l[2] * b.l[2] +
         (fe_wide)a.l[3] * b.l[1] + (fe_wide)a.l[4] * b.l[0];
}
static inline uint64_t column_0(fe a, fe b) {
  return a.l[0] * b.l[0] +
         19 * (a.l[1] * b.l[4] + a.l[2] * b.l[3] + a.l[3] * b.l[2] + a.l[4] * b.l[1]);
}

/* Limb 4 with all that is above it, which comes back to limb 0 nineteen times. */
static inline __int128 top_of(__int128 column_3, __int128 column_4) {
  return column_4 + (column_3 >> 51);
}

static inline bool passes(const collector *c, __int128 top, uint64_t column_0) {
  if (c->suffix_bits >> ((uint64_t)top >> 44 & 63) & 1) return true;
  if (c->prefix_bits == 0) return false;
  uint64_t low = column_0 + 19 * (uint64_t)(top >> 51);
  return (c->prefix_bits >> (low >> 2 & 63) & 1) && matcher_may_begin(c->matcher, (uint32_t)low);
}

static void take(collector *c, fe y, int32_t step) {
  expanded_candidate *candidate = &c->out[c->count];
  fe_to_words(candidate->key, y);
  if (!matcher_may_match(c->matcher, candidate->key)) return;
  candidate->centre = c->centre;
  candidate->step = step;
  c->count++;
}

static inline void collect_step(collector *c, const expanded_entry *entry, int index, fe own,
                                fe by_rho) {
  __int128 a3 = (__int128)column_3(own, entry->y), b3 = (__int128)column_3(by_rho, entry->x);
  __int128 a4 = (__int128)column_4(own, entry->y), b4 = (__int128)column_4(by_rho, entry->x);
  uint64_t a0 = 0, b0 = 0;
  if (c->prefix_bits != 0) a0 = column_0(own, entry->y), b0 = column_0(by_rho, entry->x);
  bool plus = passes(c, top_of(a3 + b3, a4 + b4), a0 + b0);
  bool minus = passes(c, top_of(a3 - b3, a4 - b4), a0 - b0);
  if (__builtin_expect(!plus && !minus, 1)) return;
  fe a = fe_mul(own, entry->y), b = fe_mul(by_rho, entry->x);
  if (plus) take(c, fe_add(a, b), index + 1);
  if (minus) take(c, fe_sub(a, b), -(index + 1));
}

static inline size_t collect_end(const collector *c, const expanded_table *table,
                                 const wide *before, wide rho) {
  (void)table, (void)before, (void)rho;
  return c->count;
}

#include "expanded_walk.h"

const expanded_level expanded_level_portable = {
    .name = "portable",
    .centres = GROUPS * LANES,
    .steps = STEPS,
    .scratch = sizeof(walk_scratch),
    .walk = walk,
};
