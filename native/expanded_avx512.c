/* The walk of expanded keys for AVX-512 IFMA: eight centres a vector.
 *
 * A step computes limb 4 of each product without what limb 3 carries into it (11 of 50
 * multiplications), and limb 0 for prefixes: bits 44 to 49 of limb 4 are wrong with a probability
 * below 2^10 / 2^44 for that, the two first bytes with one below 2^10 / 2^51; then a candidate is
 * missed. What passes is listed without a branch, and computed in full, eight at a time, when the
 * walk is over. A gather looks two bytes up for all lanes, since six bits, which cost as much,
 * would pass every point where there are hundreds of prefixes. For many suffixes, which would pass
 * every point too, see expanded_dense_avx512.h.
 *
 * The products of a walk (640 KB) and its table (256 KB) are made for a second-level cache of
 * 1 MB. Longer walks fall out of it, shorter ones pay more for centres and inversions.
 */
#include "expanded_dense_avx512.h"
#include "expanded_level.h"
#include "match_avx512.h"

enum { LANES = 8, GROUPS = 4, STEPS = 2048 };

/* Of the 64 values of six bits, as many that suffixes may leave to make up a list by them. With one
 * more, lists are slower than what is done in full at once; with 8, both are alike. */
enum { SPARSE_BITS = 8 };

#define CHAINS 2

typedef fe8 wide;

static inline wide wide_all(fe a) { return fe8_all(a); }
static inline fe wide_lane(const wide *a, int lane) { return fe8_lane(a, lane); }
static inline void wide_set_lane(wide *a, int lane, fe value) {
  for (int i = 0; i < 5; i++) ((uint64_t *)&a->l[i])[lane] = value.l[i];
}
#define wide_mul fe8_mul
#define wide_add fe8_add
#define wide_sub fe8_sub
#define wide_carry fe8_carry

/* Eight rows of eight words, transposed. */
static inline __attribute__((always_inline)) void transpose(__m512i column[8],
                                                            const __m512i row[8]) {
  __m512i pair[8], quad[8];
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm512_unpacklo_epi64(row[i], row[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi64(row[i], row[i + 1]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      quad[i + j] = _mm512_shuffle_i64x2(pair[i + j], pair[i + j + 2], 0x88);
      quad[i + j + 2] = _mm512_shuffle_i64x2(pair[i + j], pair[i + j + 2], 0xdd);
    }
  for (int j = 0; j < 4; j++) {
    column[j] = _mm512_shuffle_i64x2(quad[j], quad[j + 4], 0x88);
    column[j + 4] = _mm512_shuffle_i64x2(quad[j], quad[j + 4], 0xdd);
  }
}

/* Words 0 to 15 of eight entries. */
static inline __attribute__((always_inline)) void load_entries(__m512i column[16],
                                                               const expanded_entry *entries,
                                                               const uint64_t index[8]) {
  for (int half = 0; half < 2; half++) {
    __m512i row[8];
    for (int i = 0; i < 8; i++)
      row[i] = _mm512_load_si512(&entries[index[i]].words[8 * half]);
    transpose(column + 8 * half, row);
  }
}

static void comb_entry(const expanded_entry *window, const uint64_t (*scalars)[4], int bit,
                       wide *plus, wide *minus, wide *product) {
  uint64_t index[8];
  __mmask8 negative = 0;
  for (int i = 0; i < 8; i++) {
    uint64_t bits = scalars[i][bit / 64] >> (bit % 64);
    if (bit % 64 > 64 - COMB_BITS) bits |= scalars[i][bit / 64 + 1] << (64 - bit % 64);
    uint64_t inverted = (bits >> (COMB_BITS - 1) & 1) - 1;
    index[i] = (bits ^ inverted) & (COMB_ENTRIES - 1);
    negative |= (__mmask8)((inverted & 1) << i);
  }
  __m512i column[16];
  load_entries(column, window, index);
  for (int i = 0; i < 5; i++) {
    plus->l[i] = _mm512_mask_mov_epi64(column[i], negative, column[5 + i]);
    minus->l[i] = _mm512_mask_mov_epi64(column[5 + i], negative, column[i]);
    product->l[i] = _mm512_mask_sub_epi64(column[10 + i], negative, p8(i), column[10 + i]);
  }
}

#define ENDS_WELL ((uint32_t)1 << 31)

typedef struct {
  const grind_matcher *matcher;
  matcher_bitmaps bitmaps;
  const uint8_t *ends;
  bool is_dense;
  uint64_t suffix_bits;
  expanded_candidate *out;
  size_t listed;
  uint32_t centre;
  /* What passed: 1 bit for who may end well, step index, 1 bit for the minus side, 3 bits for the
   * lane; for prefixes the first four bytes of the key; and room to write a whole vector at the
   * end. */
  uint32_t list[2 * LANES * STEPS + 16], starts[2 * LANES * STEPS + 16];
} collector;

static inline void collect_begin(collector *c, const grind_matcher *matcher, uint32_t centre,
                                 expanded_candidate *out) {
  c->matcher = matcher;
  c->bitmaps = matcher_step_2(matcher);
  c->ends = matcher_ends(matcher);
  c->is_dense = __builtin_popcountll(matcher_suffix_bits(matcher)) > SPARSE_BITS;
  c->suffix_bits = matcher_suffix_bits(matcher);
  c->out = out;
  c->listed = 0;
  c->centre = centre;
}

/* Limb 4 of a * b without what limb 3 carries into it, and all that lies above. */
static inline __m512i mul_top(fe8 a, fe8 b) {
  __m512i high = times_19(high8(_mm512_setzero_si512(), a.l[4], b.l[4]));
  for (int i = 0; i < 4; i++) high = high8(high, a.l[i], b.l[3 - i]);
  __m512i top = add8(high, high);
  for (int i = 0; i < 5; i++) top = low8(top, a.l[i], b.l[4 - i]);
  return top;
}

/* Limb 0 of a * b without what limb 4 wraps into it; bits 0 to 50 mean something. */
static inline __m512i mul_low(fe8 a, fe8 b) {
  __m512i high = _mm512_setzero_si512(), low = high;
  for (int i = 0; i < 5; i++) high = high8(high, a.l[i], b.l[4 - i]);
  for (int i = 1; i < 5; i++) low = low8(low, a.l[i], b.l[5 - i]);
  low = times_19(add8(low, add8(high, high)));
  return low8(low, a.l[0], b.l[0]);
}

/* Lanes where one of bits 44 to 49 of limb 4 is among those of the patterns. */
static inline __mmask8 may_end(uint64_t suffix_bits, __m512i top) {
  __m512i turned = _mm512_rorv_epi64(all8(suffix_bits), _mm512_srli_epi64(top, 44));
  return _mm512_test_epi64_mask(turned, all8(1));
}

/* Lanes whose two lowest bytes are among the first two of a key. */
static inline __mmask16 may_begin(const uint64_t *tops, __m512i starts) {
  const __m512i order = _mm512_set4_epi32((int)0x80800c0d, (int)0x80800809, (int)0x80800405,
                                          (int)0x80800001);
  __m512i bit = _mm512_shuffle_epi8(starts, order);
  __m512i word = _mm512_i32gather_epi32(_mm512_srli_epi32(bit, 5), tops, 4);
  return _mm512_test_epi32_mask(_mm512_rorv_epi32(word, bit), _mm512_set1_epi32(1));
}

/* Limb 0 with what limb 4 wraps into it. */
static inline __m512i wrapped(__m512i low, __m512i top) {
  return low8(low, _mm512_srai_epi64(top, 51), all8(19));
}

/* Lists the points that end well, and those whose key may begin well. Lanes of both sides
 * alternate, the plus side first. */
static inline __attribute__((always_inline)) void list_points(collector *c, int index,
                                                              __mmask16 passed, __m512i starts) {
  const __m512i sides = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  __m512i ids = _mm512_or_si512(sides, _mm512_set1_epi32(index << 4));
  if (c->bitmaps.tops != NULL) {
    ids = _mm512_mask_or_epi32(ids, passed, ids, _mm512_set1_epi32((int)ENDS_WELL));
    passed |= may_begin(c->bitmaps.tops, starts);
    _mm512_storeu_si512(&c->starts[c->listed], _mm512_maskz_compress_epi32(passed, starts));
  }
  _mm512_storeu_si512(&c->list[c->listed], _mm512_maskz_compress_epi32(passed, ids));
  c->listed += (size_t)__builtin_popcount(passed);
}

static inline __attribute__((always_inline)) void collect_step(collector *c,
                                                               const expanded_entry *entry,
                                                               int index, fe8 own, fe8 by_rho) {
  fe8 y = fe8_all(entry->y), x = fe8_all(entry->x);
  if (c->is_dense) {
    fe8 sum, difference;
    sum_and_difference(&sum, &difference, own, y, by_rho, x);
    list_points(c, index, may_end_in_full(c->ends, sum, difference),
                low_halves(sum.l[0], difference.l[0]));
    return;
  }
  __m512i a = mul_top(own, y), b = mul_top(by_rho, x);
  __m512i plus = add8(a, b), minus = _mm512_sub_epi64(a, b), starts = plus;
  __mmask16 passed = 0;
  if (c->suffix_bits != 0) {
    passed = (__mmask16)_pdep_u32(may_end(c->suffix_bits, plus), 0x5555);
    passed |= (__mmask16)_pdep_u32(may_end(c->suffix_bits, minus), 0xaaaa);
  }
  if (c->bitmaps.tops != NULL) {
    a = mul_low(own, y), b = mul_low(by_rho, x);
    starts = low_halves(wrapped(add8(a, b), plus), wrapped(_mm512_sub_epi64(a, b), minus));
  }
  list_points(c, index, passed, starts);
}

/* Drops from the list what is on it for its first two bytes, if the next ones do not fit. */
static void drop_by_start(collector *c) {
  size_t kept = 0;
  for (size_t i = 0; i < c->listed; i++) {
    uint32_t id = c->list[i];
    c->list[kept] = id & ~ENDS_WELL;
    kept += (id & ENDS_WELL) != 0 || matcher_may_begin(c->matcher, c->starts[i]);
  }
  c->listed = kept;
}

/* The y of eight points of the list. */
static inline fe8 listed_points(const expanded_table *table, const fe8 *owns, fe8 rho,
                                __m512i ids) {
  __m512i lane = _mm512_and_si512(ids, all8(7)), index = _mm512_srli_epi64(ids, 4);
  __mmask8 minus = _mm512_test_epi64_mask(ids, all8(8));
  fe8 own, y, x;
  __m512i at = add8(_mm512_mullo_epi64(index, all8(5 * LANES)), lane);
  for (int i = 0; i < 5; i++) {
    own.l[i] = _mm512_i64gather_epi64(at, (const long long *)owns + LANES * i, 8);
    rho.l[i] = _mm512_permutexvar_epi64(lane, rho.l[i]);
  }
  __m512i column[16];
  uint64_t rows[8];
  _mm512_storeu_si512(rows, index);
  load_entries(column, table->steps, rows);
  for (int i = 0; i < 5; i++) y.l[i] = column[5 + i], x.l[i] = column[10 + i];
  fe8 b = fe8_mul(fe8_mul(own, rho), x), opposite = fe8_minus(b);
  for (int i = 0; i < 5; i++) b.l[i] = _mm512_mask_mov_epi64(b.l[i], minus, opposite.l[i]);
  return fe8_mul_add(own, y, b);
}

static size_t collect_end(collector *c, const expanded_table *table, const fe8 *owns, fe8 rho) {
  size_t count = 0;
  if (c->bitmaps.tops != NULL) drop_by_start(c);
  for (size_t at = 0; at < c->listed; at += 8) {
    size_t left = c->listed - at < 8 ? c->listed - at : 8;
    __mmask8 present = (__mmask8)((1u << left) - 1);
    __m256i ids = _mm256_maskz_loadu_epi32(present, &c->list[at]);
    __m512i words[4];
    to_words(words, listed_points(table, owns, rho, _mm512_cvtepu32_epi64(ids)));
    uint32_t passed = keys_may_match(c->bitmaps, words) & present;
    if (__builtin_expect(passed == 0, 1)) continue;
    uint64_t lanes[4][8];
    for (int i = 0; i < 4; i++) _mm512_storeu_si512(lanes[i], words[i]);
    for (; passed != 0; passed &= passed - 1) {
      int lane = __builtin_ctz(passed);
      uint32_t id = c->list[at + (size_t)lane];
      int32_t step = (int32_t)(id >> 4) + 1;
      expanded_candidate *candidate = &c->out[count];
      candidate->centre = c->centre + (id & 7);
      candidate->step = id & 8 ? -step : step;
      for (int word = 0; word < 4; word++) candidate->key[word] = lanes[word][lane];
      count += matcher_may_match(c->matcher, candidate->key);
    }
  }
  return count;
}

#include "expanded_walk.h"

const expanded_level expanded_level_avx512 = {
    .name = "avx512",
    .centres = GROUPS * LANES,
    .steps = STEPS,
    .scratch = sizeof(walk_scratch),
    .walk = walk,
};
