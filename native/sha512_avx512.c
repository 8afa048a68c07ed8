/* SHA-512 of eight seeds, one a lane; FIPS 180-4, section 6.4. The schedule is made while it is
 * used, 16 words at a time: made ahead it does not fit the registers and takes a third longer.
 */
#include "sha512_avx512.h"

#include "sha512.h"

static inline __m512i add(__m512i a, __m512i b) { return _mm512_add_epi64(a, b); }

static inline __m512i xor3(__m512i a, __m512i b, __m512i c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

#define ROTATE(x, n) _mm512_ror_epi64(x, n)

/* Word i of the seeds, big-endian, and back: bytes of each 64-bit word are reversed. */
static inline __m512i swap_bytes(__m512i words) {
  const __m512i order = _mm512_set4_epi32(0x08090a0b, 0x0c0d0e0f, 0x00010203, 0x04050607);
  return _mm512_shuffle_epi8(words, order);
}

/* Eight seeds of four words to four vectors of eight words. */
static inline void load(__m512i w[4], const uint8_t (*seeds)[32]) {
  const __m512i stride = _mm512_setr_epi64(0, 4, 8, 12, 16, 20, 24, 28);
  for (int i = 0; i < 4; i++)
    w[i] = swap_bytes(_mm512_i64gather_epi64(stride, (const uint8_t *)seeds + 8 * i, 8));
}

void grind_clamped_scalars_avx512(__m512i scalars[4], const uint8_t (*seeds)[32]) {
  static const uint64_t initial[8] = {
      0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
      0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
  __m512i w[16], s[8];
  load(w, seeds);
  w[4] = _mm512_set1_epi64((long long)((uint64_t)1 << 63));
  for (int i = 5; i < 15; i++) w[i] = _mm512_setzero_si512();
  w[15] = _mm512_set1_epi64(32 * 8);
  for (int i = 0; i < 8; i++) s[i] = _mm512_set1_epi64((long long)initial[i]);
  __m512i a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
#pragma GCC unroll 1
  for (int block = 0; block < 80; block += 16) {
#pragma GCC unroll 16
    for (int t = 0; t < 16; t++) {
      if (block > 0) {
        __m512i w15 = w[(t + 1) & 15], w2 = w[(t + 14) & 15];
        __m512i s0 = xor3(ROTATE(w15, 1), ROTATE(w15, 8), _mm512_srli_epi64(w15, 7));
        __m512i s1 = xor3(ROTATE(w2, 19), ROTATE(w2, 61), _mm512_srli_epi64(w2, 6));
        w[t] = add(add(w[t], s0), add(w[(t + 9) & 15], s1));
      }
      __m512i k = _mm512_set1_epi64((long long)grind_sha512_constants[block + t]);
      __m512i choice = _mm512_ternarylogic_epi64(e, f, g, 0xca);
      __m512i majority = _mm512_ternarylogic_epi64(a, b, c, 0xe8);
      __m512i t1 = add(add(h, add(k, w[t])),
                       add(choice, xor3(ROTATE(e, 14), ROTATE(e, 18), ROTATE(e, 41))));
      __m512i t2 = add(majority, xor3(ROTATE(a, 28), ROTATE(a, 34), ROTATE(a, 39)));
      h = g, g = f, f = e, e = add(d, t1), d = c, c = b, b = a, a = add(t1, t2);
    }
  }
  scalars[0] = _mm512_and_si512(swap_bytes(add(a, s[0])), _mm512_set1_epi64(~7LL));
  scalars[1] = swap_bytes(add(b, s[1]));
  scalars[2] = swap_bytes(add(c, s[2]));
  /* Bit 255 off, bit 254 on. */
  scalars[3] = _mm512_or_si512(
      _mm512_and_si512(swap_bytes(add(d, s[3])), _mm512_set1_epi64(0x3fffffffffffffff)),
      _mm512_set1_epi64(0x4000000000000000));
}
