/* Fills a window of the table, once for all levels: with their `wide` as in seed_passes.h.
 *
 * A window is an arithmetic progression. It is cut into LANES parts, one a lane, and each part into
 * blocks. A block is a centre C plus and minus the same first multiples of the step, so that one
 * inversion serves a block and C + P, C - P share their denominator: 4.5 products an entry.
 */
#include "point.h"
#include "table.h"

enum {
  BLOCK = 256, /* entries; no part has fewer */
  HALF = BLOCK / 2,
};

typedef struct {
  wide x, y;
} wide_affine;

/* Multiples 1 to HALF of the step, and last BLOCK times the step. */
static void make_steps(weierstrass_point steps[HALF + 2], edwards_point step) {
  edwards_point multiple = step;
  for (int i = 1; i <= HALF; i++) {
    steps[i] = weierstrass_from_edwards(multiple);
    if (i < HALF) multiple = edwards_add(multiple, step);
  }
  steps[HALF + 1] = weierstrass_from_edwards(edwards_add(multiple, multiple));
}

static edwards_point times(uint64_t factor, edwards_point point) {
  return edwards_scale((uint64_t[4]){factor}, point);
}

/* The first centre of each part. */
static wide_affine first_centres(edwards_point first, edwards_point step, size_t part) {
  wide_affine centres;
  edwards_point centre = edwards_add(first, times(HALF, step)), jump = times(part, step);
  for (int lane = 0; lane < LANES; lane++, centre = edwards_add(centre, jump)) {
    weierstrass_point point = weierstrass_from_edwards(centre);
    wide_set_lane(&centres.x, lane, point.x);
    wide_set_lane(&centres.y, lane, point.y);
  }
  return centres;
}

static void store(table_entry *entry, size_t part, const wide_affine *point) {
  for (int lane = 0; lane < LANES; lane++, entry += part) {
    fe_to_words(entry->x, wide_lane(&point->x, lane));
    fe_to_words(entry->y, wide_lane(&point->y, lane));
  }
}

/* c plus the point with this x - c.x and y - c.y, whose gap is the former. */
static ALWAYS_INLINE wide_affine sum(const wide_affine *c, wide gap, wide gap_inverse, wide rise) {
  wide slope = wide_mul(rise, gap_inverse);
  wide x = wide_square_minus(slope, c->x, gap);
  return (wide_affine){x, wide_mul_minus(slope, wide_sub(c->x, x), c->y)};
}

/* entries[i] = first + i * step for i < count, a multiple of BLOCK * LANES. No sum on the way may
 * meet a multiple of the step up to BLOCK. */
static void fill(table_entry *entries, size_t count, edwards_point first, edwards_point step) {
  const size_t part = count / LANES;
  weierstrass_point steps[HALF + 2];
  wide gaps[HALF + 2], before[HALF + 2];
  make_steps(steps, step);
  wide_affine centre = first_centres(first, step, part);
  for (table_entry *block = entries; block < entries + part; block += BLOCK) {
    wide inverse = wide_all(FE_ONE);
    for (int i = 1; i <= HALF + 1; i++) {
      gaps[i] = wide_sub(wide_all(steps[i].x), centre.x);
      before[i] = inverse;
      inverse = wide_mul(inverse, gaps[i]);
    }
    invert(&inverse);
    wide_affine next = centre;
    for (int i = HALF + 1; i >= 1; i--) {
      wide gap_inverse = wide_mul(inverse, before[i]), y = wide_all(steps[i].y);
      inverse = wide_mul(inverse, gaps[i]);
      wide_affine plus = sum(&centre, gaps[i], gap_inverse, wide_sub(y, centre.y));
      if (i == HALF + 1) {
        next = plus;
        continue;
      }
      if (i < HALF) store(&block[HALF + i], part, &plus);
      wide minus_y = wide_sub(wide_all(FE_ZERO), y);
      wide_affine minus = sum(&centre, gaps[i], gap_inverse, wide_sub(minus_y, centre.y));
      store(&block[HALF - i], part, &minus);
    }
    store(&block[HALF], part, &centre);
    centre = next;
  }
}
