/* The candidate loop for AVX-512 IFMA: eight candidates a vector, the same passes over a batch as
 * in seed_portable.c. See there for the arithmetic and for the directions.
 *
 * Table lookups miss the caches; what hides them is a prefetch two vectors ahead and that the
 * lookup of one window is in the same pass as the arithmetic of the window before. The batch
 * (950 KB) is made for a second-level cache of 1 MB: larger ones fall out of it, and smaller ones
 * pay more for the inversion that every pass needs.
 */
#include "field_avx512.h"
#include "point.h"
#include "seed.h"
#include "sha512_avx512.h"

/* The compiler finds them too large, but a call would put 25 vectors through memory. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

enum {
  LANES = 8,
  VECTORS = 512,
  AHEAD = 2, /* vectors between prefetch and lookup; 1 and 3 are slightly slower */
};

_Static_assert(VECTORS * LANES == SEED_BATCH_AVX512, "as seed.h has it");

typedef struct {
  fe8 x, y;   /* the sum so far */
  fe8 dx, dy; /* the next entry minus the sum; at the end the fraction y = dy / dx */
  fe8 before; /* the product of dx of all vectors before this one in the pass */
  __m512i scalar[4];
} vector;

_Static_assert(sizeof(vector) * VECTORS == SEED_SCRATCH_AVX512, "as seed.h has it");

/* Where the entries of a vector are, between prefetch and lookup. */
typedef struct {
  uint64_t index[LANES];
  __mmask8 negative;
} places;

static inline __m512i window_bits(const __m512i scalar[4], const table_window *window) {
  uint32_t word = window->first_bit / 64, bit = window->first_bit % 64;
  __m512i low = _mm512_srlv_epi64(scalar[word], all8(bit));
  /* At the last word nothing of what is shifted in is inside the window. */
  __m512i high = _mm512_sllv_epi64(scalar[word < 3 ? word + 1 : 3], all8(64 - bit));
  return _mm512_and_si512(_mm512_or_si512(low, high), all8(((uint64_t)1 << window->width) - 1));
}

static inline void prefetch(const places *at, const table_window *window) {
  for (int i = 0; i < LANES; i++) __builtin_prefetch(&window->entries[at->index[i]]);
}

/* Window 0: the bits are the index. */
static inline void find_first(places *at, const __m512i scalar[4], const table_window *window) {
  _mm512_storeu_si512(at->index, window_bits(scalar, window));
  at->negative = 0;
  prefetch(at, window);
}

/* The other windows: the top bit is the sign. */
static ALWAYS_INLINE void find(places *at, const __m512i scalar[4], const table_window *window) {
  __m512i bits = window_bits(scalar, window);
  uint64_t half = (uint64_t)1 << (window->width - 1);
  at->negative = _mm512_testn_epi64_mask(bits, all8(half));
  bits = _mm512_mask_xor_epi64(bits, at->negative, bits, all8(half - 1));
  _mm512_storeu_si512(at->index, _mm512_and_si512(bits, all8(half - 1)));
  prefetch(at, window);
}

static inline fe8 from_words(const __m512i w[4]) {
  const __m512i mask = all8(FE_MASK);
  const int both_and_mask = 0xa8; /* (a | b) & c */
  fe8 a;
  a.l[0] = _mm512_and_si512(w[0], mask);
  a.l[1] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(w[0], 51), _mm512_slli_epi64(w[1], 13),
                                     mask, both_and_mask);
  a.l[2] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(w[1], 38), _mm512_slli_epi64(w[2], 26),
                                     mask, both_and_mask);
  a.l[3] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(w[2], 25), _mm512_slli_epi64(w[3], 39),
                                     mask, both_and_mask);
  a.l[4] = _mm512_srli_epi64(w[3], 12);
  return a;
}

/* Eight entries of eight words, transposed: x and y with their sign. */
static ALWAYS_INLINE void load(fe8 *x, fe8 *y, const places *at, const table_window *window) {
  __m512i row[LANES], pair[LANES], quad[LANES], column[LANES];
  for (int i = 0; i < LANES; i++) row[i] = _mm512_load_si512(&window->entries[at->index[i]]);
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
  for (int i = 0; i < 5; i++) y->l[i] = _mm512_mask_sub_epi64(y->l[i], at->negative, p8(i), y->l[i]);
}

static ALWAYS_INLINE void look_up(vector *v, const places *at, const table_window *window) {
  fe8 x, y;
  load(&x, &y, at, window);
  v->dx = fe8_sub(x, v->x);
  v->dy = fe8_sub(y, v->y);
}

static ALWAYS_INLINE fe8 multiply_in(fe8 product, vector *v) {
  v->before = product;
  return fe8_mul(product, v->dx);
}

static int first(int step) { return step > 0 ? 0 : VECTORS - 1; }

/* Hashes the seeds and looks windows 0 and 1 up. Returns the product of all dx. */
static fe8 start(const grind_table *table, vector *vectors, const uint8_t (*seeds)[GRIND_SEED_BYTES],
                 int step) {
  const table_window *window = table->window;
  places zeroth[4], next[4];
  fe8 product = fe8_all(FE_ONE);
  for (int n = 0, at = first(step); n < VECTORS + AHEAD; n++, at += step) {
    if (n < VECTORS) {
      vector *v = &vectors[at];
      grind_clamped_scalars_avx512(v->scalar, seeds + LANES * at);
      find_first(&zeroth[n % 4], v->scalar, &window[0]);
      find(&next[n % 4], v->scalar, &window[1]);
    }
    if (n < AHEAD) continue;
    vector *v = &vectors[at - AHEAD * step];
    load(&v->x, &v->y, &zeroth[(n - AHEAD) % 4], &window[0]);
    look_up(v, &next[(n - AHEAD) % 4], &window[1]);
    product = multiply_in(product, v);
  }
  return product;
}

/* One over this vector's dx; takes it out of `*inverse`, which then serves the vectors before. */
static ALWAYS_INLINE fe8 take_out(fe8 *inverse, const vector *v) {
  fe8 own = fe8_mul(*inverse, v->before);
  *inverse = fe8_mul(*inverse, v->dx);
  return own;
}

static ALWAYS_INLINE void finish_addition(fe8 *inverse, vector *v) {
  fe8 slope = fe8_mul(v->dy, take_out(inverse, v));
  fe8 sum = fe8_add(fe8_add(v->x, v->x), v->dx);
  fe8 x = fe8_square_add(slope, fe8_minus(sum));
  v->y = fe8_mul_add(slope, fe8_sub(v->x, x), fe8_minus(v->y));
  v->x = x;
}

/* Finishes the addition of one window and begins that of the next. */
static fe8 pass(vector *vectors, fe8 inverse, const table_window *next, int step) {
  places at[4];
  fe8 product = fe8_all(FE_ONE);
  for (int n = 0; n < AHEAD; n++) find(&at[n], vectors[first(step) + n * step].scalar, next);
  for (int n = 0, i = first(step); n < VECTORS; n++, i += step) {
    vector *v = &vectors[i];
    if (n + AHEAD < VECTORS) find(&at[(n + AHEAD) % 4], v[AHEAD * step].scalar, next);
    finish_addition(&inverse, v);
    look_up(v, &at[n % 4], next);
    product = multiply_in(product, v);
  }
  return product;
}

/* The last addition gives y as a fraction: see seed_portable.c. */
static fe8 last_pass(vector *vectors, fe8 inverse, const table_window *last, int step) {
  places at[4];
  fe8 product = fe8_all(FE_ONE);
  for (int n = 0; n < AHEAD; n++) find(&at[n], vectors[first(step) + n * step].scalar, last);
  for (int n = 0, i = first(step); n < VECTORS; n++, i += step) {
    vector *v = &vectors[i];
    if (n + AHEAD < VECTORS) find(&at[(n + AHEAD) % 4], v[AHEAD * step].scalar, last);
    finish_addition(&inverse, v);
    look_up(v, &at[n % 4], last);
    fe8 square = fe8_square(v->dx);
    fe8 c = fe8_add(fe8_add(v->x, v->x), fe8_add(v->dx, fe8_all(WEIERSTRASS_SHIFT_PLUS_1)));
    v->dy = fe8_square_add(v->dy, fe8_mul(fe8_carry(c), fe8_sub(fe8_all(FE_ZERO), square)));
    v->dx = fe8_carry(fe8_add(v->dy, fe8_add(square, square)));
    product = multiply_in(product, v);
  }
  return product;
}

/* Which lanes have bits 44 to 50 of `top`, the low bits of byte 31, in the bitmap. */
static inline __mmask8 allowed(__m512i top, const uint64_t low_bits[2]) {
  __m512i low = _mm512_srli_epi64(top, 44);
  __mmask8 upper = _mm512_test_epi64_mask(low, all8(64));
  __m512i bits = _mm512_mask_blend_epi64(upper, all8(low_bits[0]), all8(low_bits[1]));
  __m512i bit = _mm512_srlv_epi64(bits, _mm512_and_si512(low, all8(63)));
  return _mm512_test_epi64_mask(bit, all8(1));
}

/* Only limb 4 of the fractions is made for all; whole ones only for lanes that pass by it. The
 * carry that fe8_mul_top leaves out changes those bits with a probability below 2^-35: so rarely
 * is a candidate missed. */
static size_t collect(vector *vectors, fe8 inverse, const uint64_t low_bits[2],
                      grind_candidate *out) {
  size_t count = 0;
  for (uint32_t i = 0; i < VECTORS; i++) {
    vector *v = &vectors[i];
    v->before = take_out(&inverse, v);
    uint32_t lanes = allowed(fe8_mul_top(v->dy, v->before), low_bits);
    for (; lanes != 0; lanes &= lanes - 1) {
      int lane = __builtin_ctz(lanes);
      grind_candidate *candidate = &out[count];
      candidate->index = LANES * i + (uint32_t)lane;
      fe_to_words(candidate->key, fe_mul(fe8_lane(&v->dy, lane), fe8_lane(&v->before, lane)));
      uint32_t low = (uint32_t)(candidate->key[3] >> 56);
      count += low_bits[low / 64] >> (low % 64) & 1;
    }
  }
  return count;
}

/* All eight lanes by one: the product of the lanes is inverted, then taken apart. False if one is
 * zero. */
static bool invert(fe8 *a) {
  fe lanes[LANES], before[LANES], product = FE_ONE;
  for (int i = 0; i < LANES; i++) {
    lanes[i] = fe8_lane(a, i);
    before[i] = product;
    product = fe_mul(product, lanes[i]);
  }
  if (fe_is_zero(product)) return false;
  fe inverse = fe_invert(product);
  for (int i = LANES - 1; i >= 0; i--) {
    fe own = fe_mul(inverse, before[i]);
    inverse = fe_mul(inverse, lanes[i]);
    for (int j = 0; j < 5; j++) ((uint64_t *)&a->l[j])[i] = own.l[j];
  }
  return true;
}

size_t grind_seed_batch_avx512(const grind_table *table, void *scratch,
                               const uint8_t (*seeds)[GRIND_SEED_BYTES],
                               const uint64_t low_bits[2], grind_candidate *out) {
  vector *vectors = scratch;
  int last = table->windows - 1;
  int step = last % 2 == 0 ? 1 : -1;
  fe8 running = start(table, vectors, seeds, step);
  for (int i = 2; i < last; i++) {
    if (!invert(&running)) return GRIND_BATCH_SPOILED;
    step = -step;
    running = pass(vectors, running, &table->window[i], step);
  }
  if (!invert(&running)) return GRIND_BATCH_SPOILED;
  running = last_pass(vectors, running, &table->window[last], -step);
  if (!invert(&running)) return GRIND_BATCH_SPOILED;
  return collect(vectors, running, low_bits, out);
}
