/* SHA-512 of eight seeds at a time. */
#ifndef GRIND_SHA512_AVX512_H
#define GRIND_SHA512_AVX512_H

#include <immintrin.h>
#include <stdint.h>

/* The clamped scalars of eight seeds: word i of all of them is scalars[i]. See sha512.h. */
void grind_clamped_scalars_avx512(__m512i scalars[4], const uint8_t (*seeds)[32]);

#endif
