/* Seed keys with AVX-512 IFMA, eight candidates a vector. Table lookups miss the caches; what hides
 * them is the prefetch and that lookups and arithmetic are in the same pass.
 */
#include "field_avx512.h"
#include "match_avx512.h"
#include "seed.h"
#include "sha512_avx512.h"

enum {
  LANES = 8,
  VECTORS = SEED_BATCH_AVX512 / LANES,
  AHEAD = 2, /* 1 and 3 are slightly slower */
};

typedef fe8 wide;
typedef __m512i words;

#define wide_all fe8_all
#define wide_lane fe8_lane
#define wide_set_lane fe8_set_lane
#define wide_add fe8_add
#define wide_sub fe8_sub
#define wide_carry fe8_carry
#define wide_mul fe8_mul
#define wide_square fe8_square
#define wide_mul_minus fe8_mul_minus
#define wide_square_minus fe8_square_minus

static inline void hash(words scalar[4], const uint8_t (*seeds)[GRIND_SEED_BYTES]) {
  grind_clamped_scalars_avx512(scalar, seeds);
}

typedef struct {
  uint64_t offset[LANES]; /* bytes into the entries */
  __mmask8 negative;
} places;

static inline __m512i window_bits(const words scalar[4], const table_window *window) {
  uint32_t word = window->first_bit / 64, bit = window->first_bit % 64;
  __m512i low = _mm512_srlv_epi64(scalar[word], all8(bit));
  /* At the last word nothing of what is shifted in is inside the window. */
  __m512i high = _mm512_sllv_epi64(scalar[word < 3 ? word + 1 : 3], all8(64 - bit));
  return _mm512_and_si512(_mm512_or_si512(low, high), all8(((uint64_t)1 << window->width) - 1));
}

static inline const void *entry_of(const places *at, int lane, const table_window *window) {
  return (const uint8_t *)window->entries + at->offset[lane];
}

/* Through memory: the compiler would take the vector apart by shuffles, which are rare. */
static inline void store_and_prefetch(places *at, __m512i index, const table_window *window) {
  _mm512_storeu_si512(at->offset, _mm512_slli_epi64(index, 6));
  __asm__("" : "+m"(at->offset));
  for (int i = 0; i < LANES; i++) __builtin_prefetch(entry_of(at, i, window));
}

/* Window 0: the bits are the index. */
static inline void find_first(places *at, const words scalar[4], const table_window *window) {
  at->negative = 0;
  store_and_prefetch(at, window_bits(scalar, window), window);
}

/* The other windows: the top bit is the sign. */
static inline void find(places *at, const words scalar[4], const table_window *window) {
  __m512i bits = window_bits(scalar, window);
  uint64_t half = (uint64_t)1 << (window->width - 1);
  at->negative = _mm512_testn_epi64_mask(bits, all8(half));
  bits = _mm512_mask_xor_epi64(bits, at->negative, bits, all8(half - 1));
  store_and_prefetch(at, _mm512_and_si512(bits, all8(half - 1)), window);
}

static inline __m512i middle_limb(__m512i low, int right, __m512i high, int left) {
  enum { BOTH_AND_MASK = 0xa8 }; /* (a | b) & c; a constant, as the instruction wants one */
  return _mm512_ternarylogic_epi64(_mm512_srli_epi64(low, (unsigned)right),
                                   _mm512_slli_epi64(high, (unsigned)left), all8(FE_MASK),
                                   BOTH_AND_MASK);
}

static inline wide from_words(const __m512i w[4]) {
  return (wide){{
      _mm512_and_si512(w[0], all8(FE_MASK)),
      middle_limb(w[0], 51, w[1], 13),
      middle_limb(w[1], 38, w[2], 26),
      middle_limb(w[2], 25, w[3], 39),
      _mm512_srli_epi64(w[3], 12),
  }};
}

/* Eight entries of eight words, transposed: x and y with their sign. */
static ALWAYS_INLINE void load(wide *x, wide *y, const places *at, const table_window *window) {
  __m512i row[LANES], pair[LANES], quad[LANES], column[LANES];
  for (int i = 0; i < LANES; i++) row[i] = _mm512_load_si512(entry_of(at, i, window));
  for (int i = 0; i < LANES; i += 2) {
    pair[i] = _mm512_unpacklo_epi64(row[i], row[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi64(row[i], row[i + 1]);
  }
  for (int i = 0; i < LANES; i += 4) {
    for (int j = 0; j < 2; j++) {
      quad[i + j] = _mm512_shuffle_i64x2(pair[i + j], pair[i + j + 2], 0x88);
      quad[i + j + 2] = _mm512_shuffle_i64x2(pair[i + j], pair[i + j + 2], 0xdd);
    }
  }
  for (int j = 0; j < 4; j++) {
    column[j] = _mm512_shuffle_i64x2(quad[j], quad[j + 4], 0x88);
    column[j + 4] = _mm512_shuffle_i64x2(quad[j], quad[j + 4], 0xdd);
  }
  *x = from_words(column);
  *y = from_words(column + 4);
  for (int i = 0; i < 5; i++)
    y->l[i] = _mm512_mask_sub_epi64(y->l[i], at->negative, p8(i), y->l[i]);
}

/* By limb 4 alone: bits 44 to 50 of it are the low bits of byte 31. The carry that fe8_mul_top
 * leaves out changes them with a probability below 2^-35: so rarely is a candidate missed. */
static inline uint32_t may_pass(wide a, wide b, const uint64_t low_bits[2]) {
  __m512i low = _mm512_srli_epi64(fe8_mul_top(a, b), 44);
  __mmask8 upper = _mm512_test_epi64_mask(low, all8(64));
  __m512i bits = _mm512_mask_blend_epi64(upper, all8(low_bits[0]), all8(low_bits[1]));
  __m512i bit = _mm512_srlv_epi64(bits, _mm512_and_si512(low, all8(63)));
  return _mm512_test_epi64_mask(bit, all8(1));
}

static inline uint32_t may_match(wide y, uint32_t lanes, matcher_bitmaps step_2) {
  if (step_2.tails == NULL && step_2.tops == NULL) return lanes;
  words w[4];
  to_words(w, y);
  return keys_may_match(step_2, w) & lanes;
}

#include "seed_passes.h"
#include "table_fill.h"

_Static_assert(sizeof(vector) == LANES * SEED_SCRATCH_EACH, "as dispatch.c has it");

size_t grind_seed_batch_avx512(const grind_table *table, void *scratch,
                               const uint8_t (*seeds)[GRIND_SEED_BYTES],
                               const grind_filter *filter, grind_candidate *out) {
  return derive(table, scratch, seeds, filter, out);
}

void grind_table_fill_avx512(table_entry *entries, size_t count, edwards_point first,
                          edwards_point step) {
  fill(entries, count, first, step);
}
