/* The candidate loop for seed keys, once for all levels.
 *
 * The public key of a seed is a sum of table entries, one a window. All candidates of a batch take
 * the same addition at the same time, in affine coordinates, so that one inversion serves the
 * batch: 5 products and a square an addition (extended coordinates: 7, and two cache lines an
 * entry). A pass over the batch finishes one addition and begins the next while the candidates are
 * in registers; apart, the two take a quarter longer. Passes alternate their direction, because
 * products of what comes before are collected one way and used up the other way. The last addition
 * yields only y, as a fraction.
 *
 * Who includes this has defined, for its level,
 *
 *   LANES, VECTORS    candidates side by side; a batch is VECTORS * LANES seeds
 *   AHEAD             vectors between the prefetch of entries and their use, at most 7
 *   wide              LANES field elements
 *   wide_all, wide_lane, wide_set_lane, wide_add, wide_sub, wide_carry, wide_mul, wide_square
 *   wide_mul_minus    a * b - c
 *   wide_square_minus a^2 - 2b - c
 *   words             one 64-bit word of LANES numbers
 *   places            where the entries of LANES scalars are in a window
 *   hash, find_first, find, load, may_pass, may_match    see where they are used
 */
#include "point.h"
#include "seed.h"

enum { RING = 8 };

typedef struct {
  wide x, y;      /* the sum so far */
  wide dx, dy;    /* the next entry minus the sum; at the end the fraction y = dy / dx */
  wide before;    /* the product of dx of all vectors before this one in the pass */
  words scalar[4];
} vector;

/* The first vector of a pass that goes up (step 1) or down (step -1). */
static inline int first(int step) { return step > 0 ? 0 : VECTORS - 1; }

static ALWAYS_INLINE void begin_addition(vector *v, const places *at, const table_window *window) {
  wide x, y;
  load(&x, &y, at, window);
  v->dx = wide_sub(x, v->x);
  v->dy = wide_sub(y, v->y);
}

static ALWAYS_INLINE wide multiply_in(wide product, vector *v) {
  v->before = product;
  return wide_mul(product, v->dx);
}

/* Hashes the seeds and looks windows 0 and 1 up. Returns the product of all dx. */
static wide start(const grind_table *table, vector *vectors,
                  const uint8_t (*seeds)[GRIND_SEED_BYTES], int step) {
  const table_window *window = table->window;
  places zeroth[RING], next[RING];
  wide product = wide_all(FE_ONE);
  for (int n = 0, i = first(step); n < VECTORS + AHEAD; n++, i += step) {
    if (n < VECTORS) {
      hash(vectors[i].scalar, seeds + LANES * i);
      find_first(&zeroth[n % RING], vectors[i].scalar, &window[0]);
      find(&next[n % RING], vectors[i].scalar, &window[1]);
    }
    if (n < AHEAD) continue;
    vector *v = &vectors[i - AHEAD * step];
    load(&v->x, &v->y, &zeroth[(n - AHEAD) % RING], &window[0]);
    begin_addition(v, &next[(n - AHEAD) % RING], &window[1]);
    product = multiply_in(product, v);
  }
  return product;
}

/* One over this vector's dx; takes it out of `*inverse`, which then serves the vectors before. */
static ALWAYS_INLINE wide take_out(wide *inverse, const vector *v) {
  wide own = wide_mul(*inverse, v->before);
  *inverse = wide_mul(*inverse, v->dx);
  return own;
}

/* Finishes the addition of one entry, x3 = l^2 - x1 - x2 and y3 = l (x1 - x3) - y1 where
 * x2 = x1 + dx, and begins that of the next. Its lookup stands where the arithmetic would wait for
 * itself. */
static ALWAYS_INLINE void add(wide *inverse, vector *v, const places *at,
                              const table_window *next) {
  wide slope = wide_mul(v->dy, take_out(inverse, v));
  wide next_x, next_y;
  load(&next_x, &next_y, at, next);
  wide x = wide_square_minus(slope, v->x, v->dx);
  v->dx = wide_sub(next_x, x);
  wide y = wide_mul_minus(slope, wide_sub(v->x, x), v->y);
  v->dy = wide_sub(next_y, y);
  v->x = x;
  v->y = y;
}

static inline void find_ahead(places ring[RING], vector *vectors, const table_window *window,
                              int n, int step) {
  if (n < VECTORS) find(&ring[n % RING], vectors[first(step) + n * step].scalar, window);
}

/* Finishes the addition of one window and begins that of the next. */
static wide pass(vector *vectors, wide inverse, const table_window *next, int step) {
  places at[RING];
  wide product = wide_all(FE_ONE);
  for (int n = 0; n < AHEAD; n++) find_ahead(at, vectors, next, n, step);
  for (int n = 0, i = first(step); n < VECTORS; n++, i += step) {
    vector *v = &vectors[i];
    find_ahead(at, vectors, next, n + AHEAD, step);
    add(&inverse, v, &at[n % RING], next);
    product = multiply_in(product, v);
  }
  return product;
}

/* With n = dy, d = dx, c = x1 + x2 + A/3 + 1: u = n^2/d^2 - (c - 1), so y = (u - 1) / (u + 1) =
 * (n^2 - c d^2) / (n^2 - c d^2 + 2 d^2). */
static wide last_pass(vector *vectors, wide inverse, const table_window *last, int step) {
  places at[RING];
  wide product = wide_all(FE_ONE);
  for (int n = 0; n < AHEAD; n++) find_ahead(at, vectors, last, n, step);
  for (int n = 0, i = first(step); n < VECTORS; n++, i += step) {
    vector *v = &vectors[i];
    find_ahead(at, vectors, last, n + AHEAD, step);
    add(&inverse, v, &at[n % RING], last);
    wide square = wide_square(v->dx);
    wide c = wide_add(wide_carry(wide_add(v->x, v->x)),
                      wide_add(v->dx, wide_all(WEIERSTRASS_SHIFT_PLUS_1)));
    v->dy = wide_square_minus(v->dy, wide_all(FE_ZERO), wide_mul(wide_carry(c), square));
    v->dx = wide_carry(wide_add(v->dy, wide_add(square, square)));
    product = multiply_in(product, v);
  }
  return product;
}

/* The fractions become numbers: cheaply as far as `may_pass` looks, in full where it says so. Of
 * these `may_match` drops what step 2 of match.h rejects, where that is cheap for all lanes at once. */
static size_t collect(vector *vectors, wide inverse, const grind_filter *filter,
                      grind_candidate *out) {
  size_t count = 0;
  for (uint32_t i = 0; i < VECTORS; i++) {
    vector *v = &vectors[i];
    wide own = take_out(&inverse, v);
    uint32_t lanes = may_pass(v->dy, own, filter->low_bits);
    if (lanes == 0) continue;
    wide y = wide_mul(v->dy, own);
    lanes = may_match(y, lanes, filter->step_2);
    for (; lanes != 0; lanes &= lanes - 1) {
      int lane = __builtin_ctz(lanes);
      grind_candidate *candidate = &out[count];
      candidate->index = LANES * i + (uint32_t)lane;
      fe_to_words(candidate->key, wide_lane(&y, lane));
      uint32_t low = (uint32_t)(candidate->key[3] >> 56);
      count += filter->low_bits[low / 64] >> (low % 64) & 1;
    }
  }
  return count;
}

/* 1 / a in every lane with one inversion; false if one lane is zero. */
static bool invert(wide *a) {
  fe lanes[LANES], before[LANES], product = FE_ONE;
  for (int i = 0; i < LANES; i++) {
    lanes[i] = wide_lane(a, i);
    before[i] = product;
    product = fe_mul(product, lanes[i]);
  }
  if (fe_is_zero(product)) return false;
  fe inverse = fe_invert(product);
  for (int i = LANES - 1; i >= 0; i--) {
    wide_set_lane(a, i, fe_mul(inverse, before[i]));
    inverse = fe_mul(inverse, lanes[i]);
  }
  return true;
}

/* A grind_seed_batch. */
static size_t derive(const grind_table *table, vector *vectors,
                     const uint8_t (*seeds)[GRIND_SEED_BYTES], const grind_filter *filter,
                     grind_candidate *out) {
  int last = table->windows - 1;
  /* The direction alternates in such a way that `collect` goes up. */
  int step = last % 2 == 0 ? 1 : -1;
  wide running = start(table, vectors, seeds, step);
  for (int i = 2; i < last; i++) {
    if (!invert(&running)) return GRIND_BATCH_SPOILED;
    step = -step;
    running = pass(vectors, running, &table->window[i], step);
  }
  if (!invert(&running)) return GRIND_BATCH_SPOILED;
  running = last_pass(vectors, running, &table->window[last], -step);
  if (!invert(&running)) return GRIND_BATCH_SPOILED;
  return collect(vectors, running, filter, out);
}
