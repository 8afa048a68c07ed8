/* Seed keys with AVX2 and FMA, four candidates a vector. */
#include "field_avx2.h"
#include "seed.h"
#include "sha512_avx2.h"

enum {
  LANES = 4,
  VECTORS = SEED_BATCH_AVX2 / LANES,
  AHEAD = 3,
};

typedef fe4 wide;
typedef __m256i words;

#define wide_all fe4_all
#define wide_lane fe4_lane
#define wide_set_lane fe4_set_lane
#define wide_add fe4_add
#define wide_sub fe4_sub
#define wide_carry fe4_carry
#define wide_mul fe4_mul
#define wide_square fe4_square
#define wide_mul_minus fe4_mul_minus
#define wide_square_minus fe4_square_minus

static inline void hash(words scalar[4], const uint8_t (*seeds)[GRIND_SEED_BYTES]) {
  grind_clamped_scalars_avx2(scalar, seeds);
}

typedef struct {
  uint64_t index[LANES];
  __m256i negative; /* all ones or zero */
} places;

static inline __m256i window_bits(const words scalar[4], const table_window *window) {
  uint32_t word = window->first_bit / 64, bit = window->first_bit % 64;
  __m256i low = _mm256_srlv_epi64(scalar[word], all4(bit));
  /* At the last word nothing of what is shifted in is inside the window. */
  __m256i high = _mm256_sllv_epi64(scalar[word < 3 ? word + 1 : 3], all4(64 - bit));
  return (low | high) & all4(((uint64_t)1 << window->width) - 1);
}

static inline void prefetch(const places *at, const table_window *window) {
  for (int i = 0; i < LANES; i++) __builtin_prefetch(&window->entries[at->index[i]]);
}

/* Window 0: the bits are the index. */
static inline void find_first(places *at, const words scalar[4], const table_window *window) {
  _mm256_storeu_si256((__m256i *)at->index, window_bits(scalar, window));
  at->negative = _mm256_setzero_si256();
  prefetch(at, window);
}

/* The other windows: the top bit is the sign. */
static inline void find(places *at, const words scalar[4], const table_window *window) {
  __m256i bits = window_bits(scalar, window);
  uint64_t half = (uint64_t)1 << (window->width - 1);
  at->negative = _mm256_cmpgt_epi64(all4(half), bits);
  _mm256_storeu_si256((__m256i *)at->index, (bits ^ at->negative) & all4(half - 1));
  prefetch(at, window);
}

static inline __m256d middle_limb(__m256i low, int right, __m256i high, int left) {
  return from_bits4((_mm256_srli_epi64(low, right) | _mm256_slli_epi64(high, left)) &
                    all4(FE_MASK));
}

/* Four rows of four words, transposed to limbs. */
static inline wide from_rows(const __m256i row[LANES]) {
  __m256i pair[LANES], w[4];
  for (int i = 0; i < LANES; i += 2) {
    pair[i] = _mm256_unpacklo_epi64(row[i], row[i + 1]);
    pair[i + 1] = _mm256_unpackhi_epi64(row[i], row[i + 1]);
  }
  for (int j = 0; j < 2; j++) {
    w[j] = _mm256_permute2x128_si256(pair[j], pair[j + 2], 0x20);
    w[j + 2] = _mm256_permute2x128_si256(pair[j], pair[j + 2], 0x31);
  }
  return (wide){{
      from_bits4(w[0] & all4(FE_MASK)),
      middle_limb(w[0], 51, w[1], 13),
      middle_limb(w[1], 38, w[2], 26),
      middle_limb(w[2], 25, w[3], 39),
      from_bits4(_mm256_srli_epi64(w[3], 12)),
  }};
}

static ALWAYS_INLINE void load(wide *x, wide *y, const places *at, const table_window *window) {
  __m256i x_row[LANES], y_row[LANES];
  for (int i = 0; i < LANES; i++) {
    const table_entry *entry = &window->entries[at->index[i]];
    x_row[i] = _mm256_load_si256((const __m256i *)entry->x);
    y_row[i] = _mm256_load_si256((const __m256i *)entry->y);
  }
  *x = from_rows(x_row);
  *y = from_rows(y_row);
  __m256d negative = _mm256_castsi256_pd(at->negative);
  for (int i = 0; i < 5; i++)
    y->l[i] = _mm256_blendv_pd(y->l[i], _mm256_sub_pd(p4(i), y->l[i]), negative);
}

/* By limb 4 alone: bits 44 to 50 of it are the low bits of byte 31. The carry that fe4_mul_top
 * leaves out changes them with a probability below 2^-35: so rarely is a candidate missed. */
static inline uint32_t may_pass(wide a, wide b, const uint64_t low_bits[2]) {
  __m256i low = _mm256_srli_epi64(fe4_mul_top(a, b), 44);
  __m256i upper = _mm256_slli_epi64(low, 63 - 6); /* blendv looks at bit 63 */
  __m256i bits = bits4(_mm256_blendv_pd(_mm256_castsi256_pd(all4(low_bits[0])),
                                        _mm256_castsi256_pd(all4(low_bits[1])),
                                        _mm256_castsi256_pd(upper)));
  __m256i bit = _mm256_srlv_epi64(bits, low & all4(63));
  return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_slli_epi64(bit, 63)));
}

/* kernel.c does it, for one key at a time. */
static inline uint32_t may_match(wide y, uint32_t lanes, matcher_bitmaps step_2) {
  (void)y, (void)step_2;
  return lanes;
}

#include "seed_passes.h"
#include "table_fill.h"

_Static_assert(sizeof(vector) == LANES * SEED_SCRATCH_EACH, "as dispatch.c has it");

/* Calls, so that nothing of them is computed before the rounding changes. */
static __attribute__((noinline)) size_t derive_toward_zero(
    const grind_table *table, void *scratch, const uint8_t (*seeds)[GRIND_SEED_BYTES],
    const grind_filter *filter, grind_candidate *out) {
  return derive(table, scratch, seeds, filter, out);
}

static __attribute__((noinline)) void fill_toward_zero(table_entry *entries, size_t count,
                                                       edwards_point first, edwards_point step) {
  fill(entries, count, first, step);
}

size_t grind_seed_batch_avx2(const grind_table *table, void *scratch,
                             const uint8_t (*seeds)[GRIND_SEED_BYTES], const grind_filter *filter,
                             grind_candidate *out) {
  unsigned mode = field_avx2_begin();
  size_t count = derive_toward_zero(table, scratch, seeds, filter, out);
  field_avx2_end(mode);
  return count;
}

void grind_table_fill_avx2(table_entry *entries, size_t count, edwards_point first,
                           edwards_point step) {
  unsigned mode = field_avx2_begin();
  fill_toward_zero(entries, count, first, step);
  field_avx2_end(mode);
}
