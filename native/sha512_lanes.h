/* SHA-512 of LANES seeds side by side (FIPS 180-4, section 6.4), once for all levels. Who includes
 * this has defined LANES, the vector type `words` of LANES 64-bit words, and on it: all_words, add,
 * rotate_right and shift_right (by constants), xor3, choose (b ? c : d by bit), majority,
 * swap_bytes (within each word), and load_words (word i of each seed).
 *
 * The schedule is made while it is used, 16 words at a time: made ahead it does not fit the
 * registers and takes a third longer.
 */
#include "sha512.h"

static inline __attribute__((always_inline)) words round_sum(words h, words k, words e, words f,
                                                              words g) {
  words sum = xor3(rotate_right(e, 14), rotate_right(e, 18), rotate_right(e, 41));
  return add(add(h, k), add(choose(e, f, g), sum));
}

/* The clamped scalars of the seeds: word i of all of them is scalars[i]. See sha512.h. */
static inline void clamped_scalars(words scalars[4], const uint8_t (*seeds)[32]) {
  static const uint64_t initial[8] = {
      0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
      0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
  words w[16];
  for (int i = 0; i < 4; i++) w[i] = swap_bytes(load_words(seeds, i));
  w[4] = all_words((uint64_t)1 << 63);
  for (int i = 5; i < 15; i++) w[i] = all_words(0);
  w[15] = all_words(32 * 8);
  words a = all_words(initial[0]), b = all_words(initial[1]), c = all_words(initial[2]);
  words d = all_words(initial[3]), e = all_words(initial[4]), f = all_words(initial[5]);
  words g = all_words(initial[6]), h = all_words(initial[7]);
#pragma GCC unroll 1
  for (int block = 0; block < 80; block += 16) {
#pragma GCC unroll 16
    for (int t = 0; t < 16; t++) {
      if (block > 0) {
        words w15 = w[(t + 1) & 15], w2 = w[(t + 14) & 15];
        words s0 = xor3(rotate_right(w15, 1), rotate_right(w15, 8), shift_right(w15, 7));
        words s1 = xor3(rotate_right(w2, 19), rotate_right(w2, 61), shift_right(w2, 6));
        w[t] = add(add(w[t], s0), add(w[(t + 9) & 15], s1));
      }
      words k = add(all_words(grind_sha512_constants[block + t]), w[t]);
      words t1 = round_sum(h, k, e, f, g);
      words t2 = add(majority(a, b, c),
                     xor3(rotate_right(a, 28), rotate_right(a, 34), rotate_right(a, 39)));
      h = g, g = f, f = e, e = add(d, t1), d = c, c = b, b = a, a = add(t1, t2);
    }
  }
  scalars[0] = swap_bytes(add(a, all_words(initial[0]))) & all_words(~(uint64_t)7);
  scalars[1] = swap_bytes(add(b, all_words(initial[1])));
  scalars[2] = swap_bytes(add(c, all_words(initial[2])));
  /* Bit 255 off, bit 254 on. */
  scalars[3] = (swap_bytes(add(d, all_words(initial[3]))) & all_words(UINT64_MAX >> 2)) |
               all_words((uint64_t)1 << 62);
}
