/* The walk, once for all levels. Who includes it has defined the arithmetic of its level:
 *
 *   LANES, GROUPS, STEPS   numbers side by side; centres of a batch / LANES; steps of a walk
 *   CHAINS                 products that run side by side, 1 or 2, to hide the latency of one
 *   wide                   LANES field elements; wide_all, wide_lane, wide_set_lane
 *   wide_mul, wide_add, wide_sub, wide_carry     with operands as field_<level>.h has them
 *   comb_entry             entries of the comb for one window of LANES scalars, with their sign
 *   collector              what happens to a step: collect_begin, collect_step, collect_end
 *
 * With e = 1/x^2 - d for each point, the curve -x^2 + y^2 = 1 + d x^2 y^2 gives for P = (x1, y1)
 * and Q = (x2, y2)
 *
 *   y(P +- Q) = (y1 e1 y2 e2 +- (1 + d) / (x1 x2)) / (e1 e2 - d (d + 1))
 *
 * (docs/kernel.md derives it). Divided by e1, with k = d (d + 1) / e1,
 * rho = (1 + d) / (x1 e1 y1) and own = y1 / (e2 - k), it is
 *
 *   y(P +- Q) = own * (y2 e2) +- (own * rho) * (1 / x2)
 *
 * so that a step costs four products and the part of two more that the filter looks at, for four
 * public keys: both points, and their opposites, which have the same y. All 1 / (e2 - k) of a walk
 * share one inversion. No denominator is ever zero on the curve, not even for P = +-Q.
 */
#ifndef GRIND_EXPANDED_WALK_H
#define GRIND_EXPANDED_WALK_H

#include "expanded_level.h"

typedef struct {
  wide k, rho, y;
} walk_centre;

typedef struct {
  wide x, y, z, t;
} wide_point;

typedef struct {
  wide before[STEPS]; /* the product of all denominators before this one in its chain; on the way
                         back its place is taken by `own` */
  walk_centre centres[GROUPS];
  collector collector;
} walk_scratch;

static const fe FE_D = {
    {0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff}};
static const fe FE_D_PLUS_1 = {
    {0x34dca135978a4, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff}};
static const fe FE_D_TIMES_D_PLUS_1 = {
    {0x744087ef9b72e, 0x28e7c7473726d, 0x42422cf4fb9a4, 0x6cdf9994a4ddc, 0x4f72fa4578bc1}};
static const fe FE_HALF = {
    {0x7fffffffffff7, 0x7ffffffffffff, 0x7ffffffffffff, 0x7ffffffffffff, 0x3ffffffffffff}};

/* 1 / a in every lane with one inversion; false if one is zero. */
static bool wide_invert(wide *a) {
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

/* p + (y + x, y - x, 2dxy): seven products, right for all points of the curve. */
static inline wide_point add_entry(wide_point p, wide plus, wide minus, wide product) {
  wide a = wide_mul(wide_sub(p.y, p.x), minus);
  wide b = wide_mul(wide_add(p.y, p.x), plus);
  wide c = wide_mul(p.t, product);
  wide d = wide_add(p.z, p.z);
  wide e = wide_sub(b, a), f = wide_carry(wide_sub(d, c));
  wide g = wide_carry(wide_add(d, c)), h = wide_add(b, a);
  return (wide_point){wide_mul(e, f), wide_mul(g, h), wide_mul(f, g), wide_mul(e, h)};
}

static wide_point centre_points(const expanded_table *table, const uint64_t (*scalars)[4]) {
  wide plus, minus, product;
  comb_entry(table->comb[0], scalars, 0, &plus, &minus, &product);
  wide_point point = {wide_carry(wide_sub(plus, minus)), wide_carry(wide_add(plus, minus)),
                      wide_add(wide_all(FE_ONE), wide_all(FE_ONE)), wide_all(FE_ZERO)};
  point.t = wide_mul(wide_mul(point.x, point.y), wide_all(FE_HALF));
  for (int window = 1; window < COMB_WINDOWS; window++) {
    comb_entry(table->comb[window], scalars, window * COMB_BITS, &plus, &minus, &product);
    point = add_entry(point, plus, minus, product);
  }
  return point;
}

/* With w = z^2 - d x^2 = e x^2 in affine terms and i = 1 / (w y z), which all centres share:
 * k = d (d + 1) x^2 y z i, rho = (1 + d) x z^3 i, y = y^2 w i. */
static bool make_centres(const expanded_table *table, walk_centre centres[GROUPS],
                         const uint64_t (*scalars)[4]) {
  wide_point points[GROUPS];
  wide w[GROUPS], denominators[GROUPS], before[GROUPS], product = wide_all(FE_ONE);
  for (int i = 0; i < GROUPS; i++) {
    wide_point p = points[i] = centre_points(table, scalars + i * LANES);
    wide d_xx = wide_mul(wide_mul(p.x, p.x), wide_all(FE_D));
    w[i] = wide_carry(wide_sub(wide_mul(p.z, p.z), d_xx));
    denominators[i] = wide_mul(wide_mul(w[i], p.y), p.z);
    before[i] = product;
    product = wide_mul(product, denominators[i]);
  }
  if (!wide_invert(&product)) return false;
  for (int i = GROUPS - 1; i >= 0; i--) {
    wide_point p = points[i];
    wide inverse = wide_mul(product, before[i]);
    product = wide_mul(product, denominators[i]);
    wide z = wide_mul(p.z, inverse), y = wide_mul(p.y, inverse);
    wide xx = wide_mul(wide_mul(p.x, p.x), wide_all(FE_D_TIMES_D_PLUS_1));
    centres[i].k = wide_carry(wide_mul(xx, wide_mul(p.y, z)));
    wide zz = wide_mul(wide_mul(p.z, p.z), wide_all(FE_D_PLUS_1));
    centres[i].rho = wide_mul(wide_mul(p.x, z), zz);
    centres[i].y = wide_mul(wide_mul(p.y, y), w[i]);
  }
  return true;
}

static inline wide denominator(const expanded_entry *entry, wide k) {
  return wide_sub(wide_all(entry->e), k);
}

/* Turns the products of the chains into y over each. */
static bool invert_chains(wide product[CHAINS], wide y) {
#if CHAINS == 2
  wide both = wide_mul(product[0], product[1]);
  if (!wide_invert(&both)) return false;
  both = wide_mul(both, y);
  wide first = wide_mul(both, product[1]);
  product[1] = wide_mul(both, product[0]);
  product[0] = first;
#else
  if (!wide_invert(product)) return false;
  product[0] = wide_mul(product[0], y);
#endif
  return true;
}

static bool walk_around(const expanded_table *table, walk_scratch *scratch,
                        const walk_centre *centre) {
  const wide k = centre->k;
  wide product[CHAINS];
  for (int c = 0; c < CHAINS; c++) product[c] = wide_all(FE_ONE);
  for (int i = 0; i < STEPS; i += CHAINS) {
#pragma GCC unroll 2
    for (int c = 0; c < CHAINS; c++) {
      scratch->before[i + c] = product[c];
      product[c] = wide_mul(product[c], denominator(&table->steps[i + c], k));
    }
  }
  if (!invert_chains(product, centre->y)) return false;
  for (int i = STEPS - CHAINS; i >= 0; i -= CHAINS) {
    wide own[CHAINS], by_rho[CHAINS];
#pragma GCC unroll 2
    for (int c = CHAINS - 1; c >= 0; c--) own[c] = wide_mul(product[c], scratch->before[i + c]);
#pragma GCC unroll 2
    for (int c = CHAINS - 1; c >= 0; c--) {
      scratch->before[i + c] = own[c];
      by_rho[c] = wide_mul(own[c], centre->rho);
      product[c] = wide_mul(product[c], denominator(&table->steps[i + c], k));
    }
#pragma GCC unroll 2
    for (int c = CHAINS - 1; c >= 0; c--)
      collect_step(&scratch->collector, &table->steps[i + c], i + c, own[c], by_rho[c]);
  }
  return true;
}

static size_t walk(const expanded_table *table, const grind_matcher *matcher, void *memory,
                   const uint64_t (*scalars)[4], expanded_candidate *out) {
  walk_scratch *scratch = memory;
  if (!make_centres(table, scratch->centres, scalars)) return EXPANDED_BATCH_SPOILED;
  size_t count = 0;
  for (uint32_t group = 0; group < GROUPS; group++) {
    const walk_centre *centre = &scratch->centres[group];
    collect_begin(&scratch->collector, matcher, group * LANES, out + count);
    if (!walk_around(table, scratch, centre)) return EXPANDED_BATCH_SPOILED;
    count += collect_end(&scratch->collector, table, scratch->before, centre->rho);
  }
  return count;
}

#endif
