/* Lays the table out and builds it, once a process: 4.7 million entries, which the fastest level
 * computes in a tenth of a second; getting 288 MB from the system takes longer. See table.h.
 */
#include "table.h"

#include <pthread.h>

#include "system.h"

/* 288 MB, 28 MB, 4 MB. */
static const int WINDOW_COUNTS[] = {13, 16, 20};
enum { SIZES = sizeof WINDOW_COUNTS / sizeof *WINDOW_COUNTS };

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

static void build(grind_table *table, table_entry *entries, grind_table_fill *fill) {
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

const grind_table *grind_shared_table(uint64_t most_bytes, grind_table_fill *fill) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static grind_table tables[SIZES];
  static int state[SIZES]; /* 0 not tried, 1 built, -1 no memory */
  const grind_table *found = NULL;
  pthread_mutex_lock(&lock);
  for (int size = 0; size < SIZES && found == NULL; size++) {
    grind_table layout;
    lay_out(&layout, WINDOW_COUNTS[size]);
    /* One that is there costs nothing more, however little is free by now. */
    if (layout.bytes > most_bytes && size < SIZES - 1 && state[size] != 1) continue;
    if (state[size] == 0) {
      table_entry *entries = system_allocate(layout.bytes);
      state[size] = entries == NULL ? -1 : 1;
      if (entries != NULL) {
        build(&layout, entries, fill);
        tables[size] = layout;
      }
    }
    if (state[size] == 1) found = &tables[size];
  }
  pthread_mutex_unlock(&lock);
  return found;
}
