/* The walk of expanded keys for AVX2 and FMA: four centres a vector, products in doubles.
 *
 * A step computes the same parts of products as in expanded_avx512.c, with the same probability
 * of a missed candidate. What passes is listed, and computed in full, four at a time, when the walk
 * is over.
 */
#include "expanded_level.h"
#include "field_avx2.h"

enum { LANES = 4, GROUPS = 4, STEPS = 2048 };
#define CHAINS 2

typedef fe4 wide;

/* fe4_all, whose conversions are slower: limbs here are below 2^52. */
static inline wide wide_all(fe a) {
  fe4 r;
  for (int i = 0; i < 5; i++) r.l[i] = from_bits4(all4(a.l[i]));
  return r;
}
#define wide_lane fe4_lane
#define wide_set_lane fe4_set_lane
#define wide_mul fe4_mul
#define wide_add fe4_add
#define wide_sub fe4_sub
#define wide_carry fe4_carry

/* Limbs of four entries side by side. */
static inline fe4 from_lanes(const fe *const lanes[4]) {
  fe4 r;
  for (int i = 0; i < 5; i++)
    r.l[i] = from_bits4(_mm256_setr_epi64x((long long)lanes[0]->l[i], (long long)lanes[1]->l[i],
                                           (long long)lanes[2]->l[i], (long long)lanes[3]->l[i]));
  return r;
}

static void comb_entry(const expanded_entry *window, const uint64_t (*scalars)[4], int bit,
                       wide *plus, wide *minus, wide *product) {
  const fe *pluses[LANES], *minuses[LANES], *products[LANES];
  long long negative[LANES];
  for (int i = 0; i < LANES; i++) {
    uint64_t bits = scalars[i][bit / 64] >> (bit % 64);
    if (bit % 64 > 64 - COMB_BITS) bits |= scalars[i][bit / 64 + 1] << (64 - bit % 64);
    uint64_t inverted = (bits >> (COMB_BITS - 1) & 1) - 1;
    const expanded_entry *entry = &window[(bits ^ inverted) & (COMB_ENTRIES - 1)];
    pluses[i] = inverted ? &entry->minus : &entry->plus;
    minuses[i] = inverted ? &entry->plus : &entry->minus;
    products[i] = &entry->product;
    negative[i] = (long long)inverted;
  }
  *plus = from_lanes(pluses);
  *minus = from_lanes(minuses);
  *product = from_lanes(products);
  __m256d mask = _mm256_castsi256_pd(_mm256_loadu_si256((const __m256i *)negative));
  for (int i = 0; i < 5; i++)
    product->l[i] =
        _mm256_blendv_pd(product->l[i], _mm256_sub_pd(p4(i), product->l[i]), mask);
}

typedef struct {
  const grind_matcher *matcher;
  uint64_t suffix_bits, prefix_bits;
  expanded_candidate *out;
  size_t listed;
  uint32_t centre;
  /* What passed: step index, 1 bit for the minus side, 2 bits for the lane. */
  uint32_t list[2 * LANES * STEPS + LANES];
} collector;

static inline void collect_begin(collector *c, const grind_matcher *matcher, uint32_t centre,
                                 expanded_candidate *out) {
  c->matcher = matcher;
  c->suffix_bits = matcher_suffix_bits(matcher);
  c->prefix_bits = matcher_prefix_bits(matcher);
  c->out = out;
  c->listed = 0;
  c->centre = centre;
}

/* Limb 0 of a * b without what limb 4 wraps into it; the low bits mean something. */
static inline __m256i mul_low(fe4 a, fe4 b) {
  __m256i high = _mm256_setzero_si256(), unused = high;
  for (int i = 0; i < 5; i++) {
    __m256d top = _mm256_fmadd_pd(a.l[i], b.l[4 - i], _mm256_set1_pd(FE4_2_104));
    high = _mm256_add_epi64(high, bits4(top));
  }
  __m256i wrapped = _mm256_add_epi64(unbias4(4, 5), _mm256_add_epi64(high, high));
  for (int i = 1; i < 5; i++) add_product4(&wrapped, &unused, a.l[i], b.l[5 - i]);
  __m256i low = _mm256_add_epi64(unbias4(1, 0), times_19_4(wrapped));
  add_product4(&low, &unused, a.l[0], b.l[0]);
  return low;
}

/* Bit number (value >> shift) mod 64 of the bitmap, in the sign of each lane. */
static inline __m256i bits_at(uint64_t bitmap, __m256i value, int shift) {
  __m256i number = _mm256_and_si256(_mm256_srli_epi64(value, shift), all4(63));
  return _mm256_slli_epi64(_mm256_srlv_epi64(all4(bitmap), number), 63);
}

static inline uint32_t lanes_of(__m256i signs) {
  return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(signs));
}

/* Lanes of limb 0, without what limb 4 wraps into it, whose key may begin well. */
static inline uint32_t beginning(const collector *c, __m256i top, __m256i low) {
  /* Carries may be negative: 2^62 makes them positive, and is taken off as a carry of 2^11. */
  __m256i carry = _mm256_srli_epi64(_mm256_add_epi64(top, all4((uint64_t)1 << 62)), 51);
  __m256i wrapped = _mm256_sub_epi64(times_19_4(carry), all4(19 << 11));
  low = _mm256_add_epi64(low, wrapped);
  uint32_t passed = lanes_of(bits_at(c->prefix_bits, low, 2));
  if (passed == 0) return 0;
  uint64_t starts[LANES];
  _mm256_storeu_si256((__m256i *)starts, low);
  for (uint32_t left = passed; left != 0; left &= left - 1) {
    int lane = __builtin_ctz(left);
    if (!matcher_may_begin(c->matcher, (uint32_t)starts[lane])) passed &= ~(1u << lane);
  }
  return passed;
}

static inline __attribute__((always_inline)) void collect_step(collector *c,
                                                               const expanded_entry *entry,
                                                               int index, fe4 own, fe4 by_rho) {
  fe4 y = wide_all(entry->y), x = wide_all(entry->x);
  __m256i a = fe4_mul_top(own, y), b = fe4_mul_top(by_rho, x);
  __m256i plus = _mm256_add_epi64(a, b), minus = _mm256_sub_epi64(a, b);
  uint32_t passed = lanes_of(bits_at(c->suffix_bits, plus, 44)) |
                    lanes_of(bits_at(c->suffix_bits, minus, 44)) << LANES;
  if (c->prefix_bits != 0) {
    a = mul_low(own, y), b = mul_low(by_rho, x);
    passed |= beginning(c, plus, _mm256_add_epi64(a, b)) |
              beginning(c, minus, _mm256_sub_epi64(a, b)) << LANES;
  }
  for (; passed != 0; passed &= passed - 1)
    c->list[c->listed++] = (uint32_t)index << 3 | (uint32_t)__builtin_ctz(passed);
}

/* The y of four points of the list. */
static void listed_points(fe points[LANES], const expanded_table *table, const fe4 *owns,
                          const fe4 *rhos, const uint32_t ids[LANES]) {
  const fe *ys[LANES], *xs[LANES];
  fe4 own, rho;
  __m256i minus = _mm256_setr_epi64x(ids[0] & 4, ids[1] & 4, ids[2] & 4, ids[3] & 4);
  for (int i = 0; i < LANES; i++) {
    uint32_t index = ids[i] >> 3, lane = ids[i] & 3;
    ys[i] = &table->steps[index].y;
    xs[i] = &table->steps[index].x;
    for (int limb = 0; limb < 5; limb++) {
      ((double *)&own.l[limb])[i] = ((const double *)&owns[index].l[limb])[lane];
      ((double *)&rho.l[limb])[i] = ((const double *)&rhos->l[limb])[lane];
    }
  }
  fe4 b = fe4_mul(fe4_mul(own, rho), from_lanes(xs));
  __m256d mask = _mm256_castsi256_pd(_mm256_slli_epi64(minus, 61));
  __m256i terms[5];
  for (int i = 0; i < 5; i++) {
    __m256d opposite = _mm256_sub_pd(_mm256_add_pd(p4(i), p4(i)), b.l[i]);
    __m256d term = _mm256_blendv_pd(b.l[i], opposite, mask);
    terms[i] = _mm256_sub_epi64(biased_bits4(term), all4(FE4_BIAS_52));
  }
  fe4 sum = fe4_mul_terms(own, from_lanes(ys), terms);
  for (int i = 0; i < LANES; i++) points[i] = fe4_lane(&sum, i);
}

static size_t collect_end(collector *c, const expanded_table *table, const fe4 *owns, fe4 rho) {
  size_t count = 0;
  for (int i = 0; i < LANES; i++) c->list[c->listed + (size_t)i] = 0;
  for (size_t at = 0; at < c->listed; at += LANES) {
    fe points[LANES];
    listed_points(points, table, owns, &rho, &c->list[at]);
    for (size_t i = 0; i < LANES && at + i < c->listed; i++) {
      uint32_t id = c->list[at + i];
      expanded_candidate *candidate = &c->out[count];
      fe_to_words(candidate->key, points[i]);
      if (!matcher_may_match(c->matcher, candidate->key)) continue;
      int32_t step = (int32_t)(id >> 3) + 1;
      candidate->centre = c->centre + (id & 3);
      candidate->step = id & 4 ? -step : step;
      count++;
    }
  }
  return count;
}

#include "expanded_walk.h"

/* A function of its own, so that nothing of it is computed in another mode of rounding. */
static __attribute__((noinline)) size_t walk_rounding_to_zero(const expanded_table *table,
                                                              const grind_matcher *matcher,
                                                              void *scratch,
                                                              const uint64_t (*centres)[4],
                                                              expanded_candidate *out) {
  return walk(table, matcher, scratch, centres, out);
}

static size_t walk_avx2(const expanded_table *table, const grind_matcher *matcher, void *scratch,
                        const uint64_t (*centres)[4], expanded_candidate *out) {
  unsigned mode = field_avx2_begin();
  size_t count = walk_rounding_to_zero(table, matcher, scratch, centres, out);
  field_avx2_end(mode);
  return count;
}

const expanded_level expanded_level_avx2 = {
    .name = "avx2",
    .centres = GROUPS * LANES,
    .steps = STEPS,
    .scratch = sizeof(walk_scratch),
    .walk = walk_avx2,
};
