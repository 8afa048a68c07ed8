/* The candidate loop in portable 64-bit C.
 *
 * The public key of a seed is a sum of table entries, one a window. All candidates of a batch take
 * the same addition at the same time, in affine coordinates, so that one inversion serves the
 * batch: 5 products and a square an addition (extended coordinates: 7, and two cache lines an
 * entry). A pass over the batch finishes one addition and begins the next while the candidate
 * is in registers; passes alternate their direction, because products before a candidate
 * are collected one way and used up the other way. The last addition yields only y as a fraction.
 */
#include "point.h"
#include "seed.h"
#include "sha512.h"

enum {
  BATCH = SEED_BATCH_PORTABLE,
  PREFETCH = 6, /* candidates ahead; an entry is one cache line */
};

typedef struct {
  fe x, y;           /* the sum so far */
  fe dx, dy;         /* the next entry minus the sum; at the end the fraction y = dy / dx */
  fe before;         /* the product of dx of all candidates before this one in the pass */
  uint64_t scalar[4];
} lane;

_Static_assert(sizeof(lane) * BATCH == SEED_SCRATCH_PORTABLE, "as seed.h has it");

static uint64_t window_bits(const uint64_t scalar[4], const table_window *window) {
  uint32_t word = window->first_bit / 64, bit = window->first_bit % 64;
  uint64_t bits = scalar[word] >> bit;
  if (bit + window->width > 64) bits |= scalar[word + 1] << (64 - bit);
  return bits & (((uint64_t)1 << window->width) - 1);
}

/* All ones if the entry of a signed window is to be negated; `*index` is where it is. */
static uint64_t signed_digit(const uint64_t scalar[4], const table_window *window,
                             uint64_t *index) {
  uint64_t bits = window_bits(scalar, window);
  uint64_t half = (uint64_t)1 << (window->width - 1);
  uint64_t negative = (bits >> (window->width - 1)) - 1;
  *index = (bits ^ negative) & (half - 1);
  return negative;
}

static void prefetch(const lane *lane, const table_window *window) {
  uint64_t index;
  signed_digit(lane->scalar, window, &index);
  __builtin_prefetch(&window->entries[index]);
}

static void look_up(lane *lane, const table_window *window) {
  uint64_t index;
  uint64_t negative = signed_digit(lane->scalar, window, &index);
  fe y = fe_from_words(window->entries[index].y);
  fe minus = fe_sub(FE_ZERO, y);
  for (int i = 0; i < 5; i++) y.l[i] ^= (y.l[i] ^ minus.l[i]) & negative;
  lane->dx = fe_sub(fe_from_words(window->entries[index].x), lane->x);
  lane->dy = fe_sub(y, lane->y);
}

static fe multiply_in(fe product, lane *lane) {
  lane->before = product;
  return fe_mul(product, lane->dx);
}

/* The first lane of a pass that goes up (step 1) or down (step -1). */
static int first(int step) { return step > 0 ? 0 : BATCH - 1; }

/* Hashes the seeds and looks windows 0 and 1 up. Returns the product of all dx. */
static fe start(const grind_table *table, lane *lanes, const uint8_t (*seeds)[GRIND_SEED_BYTES],
                int step) {
  const table_window *window = table->window;
  for (int i = 0; i < BATCH; i++) {
    grind_clamped_scalar(lanes[i].scalar, seeds[i]);
    __builtin_prefetch(&window->entries[window_bits(lanes[i].scalar, window)]);
  }
  fe product = FE_ONE;
  for (int n = 0, at = first(step); n < BATCH; n++, at += step) {
    lane *lane = &lanes[at];
    if (n + PREFETCH < BATCH) prefetch(lane + step * PREFETCH, &window[1]);
    const table_entry *entry = &window->entries[window_bits(lane->scalar, window)];
    lane->x = fe_from_words(entry->x);
    lane->y = fe_from_words(entry->y);
    look_up(lane, &window[1]);
    product = multiply_in(product, lane);
  }
  return product;
}

/* One over this lane's dx; takes it out of `*inverse`, which then serves the lanes before. */
static inline fe take_out(fe *inverse, const lane *lane) {
  fe own = fe_mul(*inverse, lane->before);
  *inverse = fe_mul(*inverse, lane->dx);
  return own;
}

/* x3 = l^2 - x1 - x2, y3 = l (x1 - x3) - y1, where x2 = x1 + dx. */
static inline void finish_addition(fe *inverse, lane *lane) {
  fe slope = fe_mul(lane->dy, take_out(inverse, lane));
  fe sum = fe_add(fe_add(lane->x, lane->x), lane->dx);
  fe minus_sum;
  /* Limbs of the sum < 2^52 + 2^53.5 < 2^54.1: twice the 4p of fe_sub. */
  minus_sum.l[0] = 2 * 0x1fffffffffffb4 - sum.l[0];
  for (int i = 1; i < 5; i++) minus_sum.l[i] = 2 * 0x1ffffffffffffc - sum.l[i];
  fe x = fe_square_add(slope, minus_sum);
  lane->y = fe_mul_add(slope, fe_sub(lane->x, x), fe_sub(FE_ZERO, lane->y));
  lane->x = x;
}

/* Finishes the addition of one window and begins that of the next. */
static fe pass(lane *lanes, fe inverse, const table_window *next, int step) {
  fe product = FE_ONE;
  for (int n = 0, at = first(step); n < BATCH; n++, at += step) {
    lane *lane = &lanes[at];
    if (n + PREFETCH < BATCH) prefetch(lane + step * PREFETCH, next);
    finish_addition(&inverse, lane);
    look_up(lane, next);
    product = multiply_in(product, lane);
  }
  return product;
}

/* With n = dy, d = dx, c = x1 + x2 + A/3 + 1: u = n^2/d^2 - (c - 1), so y = (u - 1) / (u + 1) =
 * (n^2 - c d^2) / (n^2 - c d^2 + 2 d^2). */
static fe last_pass(lane *lanes, fe inverse, const table_window *last, int step) {
  fe product = FE_ONE;
  for (int n = 0, at = first(step); n < BATCH; n++, at += step) {
    lane *lane = &lanes[at];
    if (n + PREFETCH < BATCH) prefetch(lane + step * PREFETCH, last);
    finish_addition(&inverse, lane);
    look_up(lane, last);
    fe square = fe_square(lane->dx);
    fe c = fe_add(fe_add(lane->x, lane->x), fe_add(lane->dx, WEIERSTRASS_SHIFT_PLUS_1));
    lane->dy = fe_square_add(lane->dy, fe_mul(c, fe_sub(FE_ZERO, square)));
    lane->dx = fe_add(lane->dy, fe_add(square, square));
    product = multiply_in(product, lane);
  }
  return product;
}

/* The fractions become numbers; those with allowed low bits become candidates. */
static size_t collect(const lane *lanes, fe inverse, const uint64_t low_bits[2],
                      grind_candidate *out) {
  size_t count = 0;
  for (uint32_t index = 0; index < BATCH; index++) {
    fe y = fe_mul(lanes[index].dy, take_out(&inverse, &lanes[index]));
    grind_candidate *candidate = &out[count];
    candidate->index = index;
    fe_to_words(candidate->key, y);
    uint32_t low = (uint32_t)(candidate->key[3] >> 56);
    count += low_bits[low / 64] >> (low % 64) & 1;
  }
  return count;
}

size_t grind_seed_batch_portable(const grind_table *table, void *scratch,
                                 const uint8_t (*seeds)[GRIND_SEED_BYTES],
                                 const uint64_t low_bits[2], grind_candidate *out) {
  lane *lanes = scratch;
  int last = table->windows - 1;
  /* The direction alternates in such a way that `collect` goes up. */
  int step = last % 2 == 0 ? 1 : -1;
  fe product = start(table, lanes, seeds, step);
  for (int i = 2; i < last; i++) {
    if (fe_is_zero(product)) return GRIND_BATCH_SPOILED;
    step = -step;
    product = pass(lanes, fe_invert(product), &table->window[i], step);
  }
  if (fe_is_zero(product)) return GRIND_BATCH_SPOILED;
  product = last_pass(lanes, fe_invert(product), &table->window[last], -step);
  if (fe_is_zero(product)) return GRIND_BATCH_SPOILED;
  return collect(lanes, fe_invert(product), low_bits, out);
}
