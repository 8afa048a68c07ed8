/* Which pattern a public key matches, exactly, and a cheap filter before that.
 *
 * An address is the number N of its public key, big-endian, in base 58, with one '1' for each
 * leading zero byte. The last k characters are N mod 58^k = N mod 2^k 29^k, so the low bits
 * of byte 31 alone reject most candidates; bit 255 of the little-endian key, the sign, is bit 7
 * of N, which up to k = 7 is not among them. The filter works on keys without their sign and
 * passes what matches with either. It never rejects what matches.
 */
#ifndef GRIND_MATCH_H
#define GRIND_MATCH_H

#include <stdbool.h>

#include "kernel.h"

typedef struct grind_matcher grind_matcher;

/* GRIND_OK, GRIND_NO_MEMORY or GRIND_BAD_PATTERN. */
int matcher_open(const grind_pattern *patterns, size_t count, grind_matcher **out);
void matcher_close(grind_matcher *matcher);

/* Step 1: a bitmap over the low 7 bits of byte 31; a clear bit rejects. */
const uint64_t *matcher_low_bits(const grind_matcher *matcher);

/* Step 1 for who looks at both ends: bitmaps over bits 0..5 of byte 31 and over bits 2..7 of
 * byte 0, 0 if no pattern is filtered by that side. What both reject does not match. */
uint64_t matcher_suffix_bits(const grind_matcher *matcher);
uint64_t matcher_prefix_bits(const grind_matcher *matcher);

/* Whether a key and the one that differs in its sign hardly ever match both: of the tails that are
 * allowed, at most one in 50 has an allowed partner. Both begin alike, so prefixes say no. */
bool matcher_signs_exclude(const grind_matcher *matcher);

/* Step 2: for a key that step 1 passed, as four little-endian words, bit 255 clear. */
bool matcher_may_match(const grind_matcher *matcher, const uint64_t key[4]);

/* The part of step 2 that needs the first four bytes of a key alone, the first one lowest. Only for
 * who has patterns that are filtered by their prefix. */
bool matcher_may_begin(const grind_matcher *matcher, uint32_t start);

/* What step 2 looks at first, for who does it on many keys at once: bitmaps over N mod 58^3, where a key
 * passes with N or N + 128, and over the first two bytes, the first one high. NULL if no pattern
 * is filtered by that side. */
typedef struct {
  const uint64_t *tails, *tops;
} matcher_bitmaps;

matcher_bitmaps matcher_step_2(const grind_matcher *matcher);

enum {
  MATCHER_TAIL_MODULUS = 58 * 58 * 58,
  MATCHER_ENDS_MODULUS = 29 * 29 * 29,
  MATCHER_ENDS_REACH = MATCHER_ENDS_MODULUS / 2 + 1000,
};

/* The bitmap of tails by N mod 29^3, with either sign: of the byte at r, for |r| at most
 * MATCHER_ENDS_REACH, bit N mod 8 for N mod 29^3 = r mod 29^3. Four bytes may be read anywhere. */
const uint8_t *matcher_ends(const grind_matcher *matcher);

/* 2^(32 i) mod 58^3 */
extern const uint64_t matcher_tail_weights[8];

/* Step 3, exact: the index of the first pattern that matches, or -1. */
int matcher_find(const grind_matcher *matcher, const uint8_t public_key[32]);

#endif
