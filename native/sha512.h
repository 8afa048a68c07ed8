/* SHA-512 (FIPS 180-4) of exactly one seed: a message of 32 bytes, one block. */
#ifndef GRIND_SHA512_H
#define GRIND_SHA512_H

#include <stdint.h>

/* The 64 bytes of the digest as eight big-endian words, in order. */
void grind_sha512_seed(uint64_t digest[8], const uint8_t seed[32]);

/* The clamped scalar (RFC 8032, section 5.1.5, steps 2 and 3) as four words, least significant
 * first: bits 0..2 and 255 are 0, bit 254 is 1. */
void grind_clamped_scalar(uint64_t scalar[4], const uint8_t seed[32]);

extern const uint64_t grind_sha512_constants[80];

#endif
