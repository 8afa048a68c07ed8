/* SHA-512 of four seeds at a time. */
#ifndef GRIND_SHA512_AVX2_H
#define GRIND_SHA512_AVX2_H

#include <immintrin.h>
#include <stdint.h>

/* The clamped scalars of four seeds: word i of all of them is scalars[i]. See sha512.h. */
void grind_clamped_scalars_avx2(__m256i scalars[4], const uint8_t (*seeds)[32]);

#endif
