/* Seed keys in portable 64-bit C, one candidate at a time. */
#include "seed.h"
#include "field.h"
#include "sha512.h"

enum {
  LANES = 1,
  VECTORS = SEED_BATCH_PORTABLE,
  AHEAD = 6,
};

typedef fe wide;
typedef uint64_t words;

static inline wide wide_all(fe a) { return a; }
static inline fe wide_lane(const wide *a, int lane) { return (void)lane, *a; }
static inline void wide_set_lane(wide *a, int lane, fe value) { (void)lane, *a = value; }
static ALWAYS_INLINE wide wide_add(wide a, wide b) { return fe_add(a, b); }
static ALWAYS_INLINE wide wide_sub(wide a, wide b) { return fe_sub(a, b); }
static ALWAYS_INLINE wide wide_mul(wide a, wide b) { return fe_mul(a, b); }
static ALWAYS_INLINE wide wide_square(wide a) { return fe_square(a); }

/* Products take limbs below 2^54 and no sum here reaches that. */
static inline wide wide_carry(wide a) { return a; }

static ALWAYS_INLINE wide wide_mul_minus(wide a, wide b, wide c) {
  return fe_mul_add(a, b, fe_sub(FE_ZERO, c));
}

/* Limbs of 2b + c are below 2^54 - 152, those of 8p. */
static ALWAYS_INLINE wide wide_square_minus(wide a, wide b, wide c) {
  wide minus;
  for (int i = 0; i < 5; i++)
    minus.l[i] = (i == 0 ? 8 * (FE_MASK - 18) : 8 * FE_MASK) - 2 * b.l[i] - c.l[i];
  return fe_square_add(a, minus);
}

static inline void hash(words scalar[4], const uint8_t (*seed)[GRIND_SEED_BYTES]) {
  grind_clamped_scalar(scalar, *seed);
}

typedef struct {
  const table_entry *entry;
  uint64_t negative; /* all ones or zero */
} places;

static inline uint64_t window_bits(const words scalar[4], const table_window *window) {
  uint32_t word = window->first_bit / 64, bit = window->first_bit % 64;
  uint64_t bits = scalar[word] >> bit;
  if (bit + window->width > 64) bits |= scalar[word + 1] << (64 - bit);
  return bits & (((uint64_t)1 << window->width) - 1);
}

/* Window 0: the bits are the index. */
static inline void find_first(places *at, const words scalar[4], const table_window *window) {
  *at = (places){&window->entries[window_bits(scalar, window)], 0};
  __builtin_prefetch(at->entry);
}

/* The other windows: the top bit is the sign. */
static inline void find(places *at, const words scalar[4], const table_window *window) {
  uint64_t bits = window_bits(scalar, window);
  uint64_t half = (uint64_t)1 << (window->width - 1);
  at->negative = (bits >> (window->width - 1)) - 1;
  at->entry = &window->entries[(bits ^ at->negative) & (half - 1)];
  __builtin_prefetch(at->entry);
}

static inline void load(wide *x, wide *y, const places *at, const table_window *window) {
  (void)window;
  *x = fe_from_words(at->entry->x);
  *y = fe_from_words(at->entry->y);
  wide minus = fe_sub(FE_ZERO, *y);
  for (int i = 0; i < 5; i++) y->l[i] ^= (y->l[i] ^ minus.l[i]) & at->negative;
}

/* One full product in 2 us is not worth a cheaper look at it. */
static inline uint32_t may_pass(wide a, wide b, const uint64_t low_bits[2]) {
  (void)a, (void)b, (void)low_bits;
  return 1;
}

/* kernel.c does it, for one key at a time. */
static inline uint32_t may_match(wide y, uint32_t lanes, matcher_bitmaps step_2) {
  (void)y, (void)step_2;
  return lanes;
}

#include "seed_passes.h"
#include "table_fill.h"

_Static_assert(sizeof(vector) == LANES * SEED_SCRATCH_EACH, "as dispatch.c has it");

size_t grind_seed_batch_portable(const grind_table *table, void *scratch,
                                 const uint8_t (*seeds)[GRIND_SEED_BYTES],
                                 const grind_filter *filter, grind_candidate *out) {
  return derive(table, scratch, seeds, filter, out);
}

void grind_table_fill_portable(table_entry *entries, size_t count, edwards_point first,
                          edwards_point step) {
  fill(entries, count, first, step);
}
