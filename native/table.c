/* Builds the table: 4.7 million entries in about half a second. See table.h.
 *
 * Each window is an arithmetic progression. A block of it is a centre C plus and minus the same
 * first multiples of the step, so that one inversion serves a block and C + P, C - P share their
 * denominator: 4.5 products an entry.
 */
#include "table.h"

#include <pthread.h>
#include <string.h>

#include "point.h"
#include "system.h"

/* 288 MB, 28 MB, 4 MB. */
static const int WINDOW_COUNTS[] = {13, 16, 20};
enum {
  SIZES = sizeof WINDOW_COUNTS / sizeof *WINDOW_COUNTS,
  BLOCK = 512, /* entries; no window has fewer */
  HALF = BLOCK / 2,
};

static size_t lay_out(grind_table *table, int windows) {
  size_t entries = 0;
  uint32_t bit = TABLE_FIRST_BIT;
  table->windows = windows;
  for (int i = 0; i < windows; i++) {
    int wider = i >= windows - TABLE_BITS % windows;
    uint32_t width = (uint32_t)(TABLE_BITS / windows + wider);
    table->window[i] = (table_window){bit, width, NULL};
    entries += (size_t)1 << (i == 0 ? width : width - 1);
    bit += width;
  }
  table->bytes = entries * sizeof(table_entry);
  return entries;
}

static edwards_point scaled_base(int power) {
  uint64_t scalar[4] = {0};
  scalar[power / 64] = (uint64_t)1 << (power % 64);
  return edwards_scale(scalar, edwards_base());
}

static void store(table_entry *entry, fe x, fe y) {
  fe_to_words(entry->x, x);
  fe_to_words(entry->y, y);
}

/* entries[i] = first + i * step for i < count, a multiple of BLOCK. */
static void fill(table_entry *entries, size_t count, edwards_point first, edwards_point step) {
  weierstrass_point steps[HALF + 2]; /* 1..HALF, and last BLOCK times the step */
  edwards_point multiple = step, centre = first;
  for (int i = 1; i <= HALF; i++) {
    steps[i] = weierstrass_from_edwards(multiple);
    centre = edwards_add(centre, step);
    if (i < HALF) multiple = edwards_add(multiple, step);
  }
  steps[HALF + 1] = weierstrass_from_edwards(edwards_add(multiple, multiple));
  weierstrass_point c = weierstrass_from_edwards(centre);
  fe gaps[HALF + 2], before[HALF + 2];
  for (table_entry *block = entries; block < entries + count; block += BLOCK) {
    fe product = FE_ONE;
    for (int i = 1; i <= HALF + 1; i++) {
      gaps[i] = fe_sub(steps[i].x, c.x);
      before[i] = product;
      product = fe_mul(product, gaps[i]);
    }
    fe inverse = fe_invert(product);
    weierstrass_point next = c;
    for (int i = HALF + 1; i >= 1; i--) {
      fe gap_inverse = fe_mul(inverse, before[i]);
      inverse = fe_mul(inverse, gaps[i]);
      fe minus_sum = fe_sub(FE_ZERO, fe_add(c.x, steps[i].x));
      fe slope = fe_mul(fe_sub(steps[i].y, c.y), gap_inverse);
      fe x = fe_square_add(slope, minus_sum);
      fe y = fe_mul_add(slope, fe_sub(c.x, x), fe_sub(FE_ZERO, c.y));
      if (i == HALF + 1) {
        next = (weierstrass_point){x, y};
        continue;
      }
      if (i < HALF) store(&block[HALF + i], x, y);
      slope = fe_mul(fe_sub(FE_ZERO, fe_add(steps[i].y, c.y)), gap_inverse);
      x = fe_square_add(slope, minus_sum);
      y = fe_mul_add(slope, fe_sub(c.x, x), fe_sub(FE_ZERO, c.y));
      store(&block[HALF - i], x, y);
    }
    store(&block[HALF], c.x, c.y);
    c = next;
  }
}

static void build(grind_table *table, table_entry *entries) {
  for (int i = 0; i < table->windows; i++) {
    table_window *window = &table->window[i];
    edwards_point first, step;
    size_t count;
    if (i == 0) {
      /* 2^254 + 2^253 - 2^(width + 2) */
      uint64_t scalar[4] = {0, 0, 0, (uint64_t)3 << 61};
      for (uint64_t borrow = (uint64_t)4 << window->width, *word = scalar; borrow != 0; word++) {
        uint64_t old = *word;
        *word -= borrow;
        borrow = *word > old;
      }
      first = edwards_scale(scalar, edwards_base());
      step = scaled_base(3);
      count = (size_t)1 << window->width;
    } else {
      int power = (int)window->first_bit - TABLE_FIRST_BIT + 2;
      first = scaled_base(power);
      step = scaled_base(power + 1);
      count = (size_t)1 << (window->width - 1);
    }
    fill(entries, count, first, step);
    window->entries = entries;
    entries += count;
  }
}

const grind_table *grind_shared_table(uint64_t most_bytes) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static grind_table tables[SIZES];
  static int state[SIZES]; /* 0 not tried, 1 built, -1 no memory */
  const grind_table *found = NULL;
  pthread_mutex_lock(&lock);
  for (int size = 0; size < SIZES && found == NULL; size++) {
    grind_table layout;
    lay_out(&layout, WINDOW_COUNTS[size]);
    if (layout.bytes > most_bytes && size < SIZES - 1) continue;
    if (state[size] == 0) {
      table_entry *entries = system_allocate(layout.bytes);
      state[size] = entries == NULL ? -1 : 1;
      if (entries != NULL) {
        build(&layout, entries);
        tables[size] = layout;
      }
    }
    if (state[size] == 1) found = &tables[size];
  }
  pthread_mutex_unlock(&lock);
  return found;
}
