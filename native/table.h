/* The shared table of multiples of the base point, from which public keys are added up.
 *
 * A clamped scalar is s = 2^254 + 8t with t of 251 bits (bits 3..253 of s). t is cut into windows.
 * Window 0 is read as it is. In the others every bit counts +1 or -1 instead of 1 or 0, which
 * takes no carries and has no zero digit: sum t_i 2^i * 8B = sum (2 t_i - 1) 2^i * 4B + a
 * constant, and window 0 holds the constant. The top bit of such a window is its sign: if it is 0,
 * the other bits are inverted and the point is negated. So
 *
 *   entry m of window 0           is  8m B + 2^254 B + (2^251 - 2^w) * 4B   with w = its width
 *   entry m of a window at bit o  is  (2m + 1) * 2^o * 4B                   with o counted in t
 *
 * One entry is one cache line: affine Weierstrass x and y, canonical.
 *
 * No sum of entries on the way meets an entry of the next window, nor its negative, except with
 * probability below 2^-100: the constant is about 2^127 modulo the group order, more than the
 * low windows reach, and in the high windows more than 100 random bits would have to agree.
 */
#ifndef GRIND_TABLE_H
#define GRIND_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "point.h"

enum {
  TABLE_WINDOWS_MAX = 20,
  TABLE_FIRST_BIT = 3, /* of the scalar */
  TABLE_BITS = 251,
};

typedef struct {
  uint64_t x[4], y[4]; /* least significant word first */
} table_entry;

typedef struct {
  uint32_t first_bit; /* in the scalar */
  uint32_t width;
  const table_entry *entries; /* 2^width in window 0, else 2^(width - 1) */
} table_window;

typedef struct {
  int windows;
  size_t bytes;
  table_window window[TABLE_WINDOWS_MAX];
} grind_table;

/* What a level brings: entries[i] = first + i * step for i < count, 2^11 or more. */
typedef void grind_table_fill(table_entry *entries, size_t count, edwards_point first,
                              edwards_point step);

/* The largest table of at most `most_bytes`, but at least the smallest (4 MB); the next smaller
 * one where memory cannot be had; NULL if none. Built on first use, kept as long as the process. */
const grind_table *grind_shared_table(uint64_t most_bytes, grind_table_fill *fill);

#endif
