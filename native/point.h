/* Points of Curve25519's group in two forms.
 *
 * Edwards: extended coordinates with the complete formulas of RFC 8032, section 5.1.4. Right for
 * every input; used where speed does not matter: to check hits and to start tables.
 *
 * Weierstrass: affine (x, y) with x = u + A/3 for Montgomery's (u, v), y = v. An addition costs
 * two products and a square after one inversion, which batches share, and its entry is one cache
 * line. It has no formula for equal or opposite points: who adds sees to that.
 */
#ifndef GRIND_POINT_H
#define GRIND_POINT_H

#include "field.h"

typedef struct {
  fe x, y, z, t; /* x/z, y/z, t = xy/z; reduced */
} edwards_point;

typedef struct {
  fe x, y; /* reduced */
} weierstrass_point;

/* A/3 + 1 with A = 486662: y of Edwards is (x - c) / (x - c + 2) for this c. */
extern const fe WEIERSTRASS_SHIFT_PLUS_1;

edwards_point edwards_base(void);
edwards_point edwards_add(edwards_point a, edwards_point b);

/* scalar * point, for any scalar of 256 bits, least significant word first. */
edwards_point edwards_scale(const uint64_t scalar[4], edwards_point point);

/* The same of the base point, in less than half the time: the scalar is cut in four, which share their
 * doublings. The multiples that this takes are made at the first call. */
edwards_point edwards_scale_base(const uint64_t scalar[4]);

/* RFC 8032, section 5.1.2: y, and the lowest bit of x in bit 255. */
void edwards_to_bytes(uint8_t bytes[32], edwards_point point);

/* Not for the neutral element nor the point of order two, whose x is 0. */
weierstrass_point weierstrass_from_edwards(edwards_point point);

#endif
