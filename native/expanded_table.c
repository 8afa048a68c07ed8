/* Builds the tables of expanded_table.h: multiples of B by complete additions, brought to affine
 * coordinates with one inversion for each run of points. Once a process, in some ms.
 */
#include "expanded_table.h"

#include <pthread.h>

#include "point.h"
#include "system.h"

enum { RUN = 256 };

_Static_assert(sizeof(expanded_entry) == 128, "an entry is two cache lines");
_Static_assert(EXPANDED_STEPS_MAX % RUN == 0 && RUN % COMB_ENTRIES == 0, "whole runs");

static const fe D = {
    {0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff}};

static fe canonical(fe a) {
  uint64_t words[4];
  fe_to_words(words, a);
  return fe_from_words(words);
}

/* RUN points first, first + step, ...; returns the one after them. */
static edwards_point multiples(edwards_point points[RUN], edwards_point first, edwards_point step) {
  for (int i = 0; i < RUN; i++) {
    points[i] = first;
    first = edwards_add(first, step);
  }
  return first;
}

typedef void fill_entry(expanded_entry *entry, edwards_point point, fe inverse);

/* Calls `fill` for each point with 1 / (x z). No point of the tables has x = 0. */
static void fill_run(expanded_entry *entries, const edwards_point points[RUN], fill_entry *fill) {
  fe before[RUN], product = FE_ONE;
  for (int i = 0; i < RUN; i++) {
    before[i] = product;
    product = fe_mul(product, fe_mul(points[i].x, points[i].z));
  }
  fe inverse = fe_invert(product);
  for (int i = RUN - 1; i >= 0; i--) {
    fill(&entries[i], points[i], fe_mul(inverse, before[i]));
    inverse = fe_mul(inverse, fe_mul(points[i].x, points[i].z));
  }
}

static void fill_step(expanded_entry *entry, edwards_point point, fe inverse) {
  fe x_inverse = fe_mul(fe_square(point.z), inverse);
  fe y = fe_mul(fe_mul(point.y, point.x), inverse);
  fe e = fe_sub(fe_square(x_inverse), D);
  entry->e = canonical(e);
  entry->y = canonical(fe_mul(y, e));
  entry->x = canonical(x_inverse);
}

static void fill_comb(expanded_entry *entry, edwards_point point, fe inverse) {
  fe x = fe_mul(fe_square(point.x), inverse);
  fe y = fe_mul(fe_mul(point.y, point.x), inverse);
  fe xy = fe_mul(x, y);
  entry->plus = canonical(fe_add(y, x));
  entry->minus = canonical(fe_sub(y, x));
  entry->product = canonical(fe_mul(fe_add(xy, xy), D));
}

static void build(expanded_table *table) {
  edwards_point points[RUN];
  edwards_point next = edwards_base();
  for (int i = 0; i < EXPANDED_STEPS_MAX; i += RUN) {
    next = multiples(points, next, edwards_base());
    fill_run(&table->steps[i], points, fill_step);
  }
  /* Several windows make a run; the last may be short of one and is filled up. */
  edwards_point unit = edwards_base();
  for (int window = 0; window < COMB_WINDOWS;) {
    expanded_entry entries[RUN];
    int windows = RUN / COMB_ENTRIES;
    for (int w = 0; w < windows; w++) {
      edwards_point twice = edwards_add(unit, unit), point = unit;
      for (int m = 0; m < COMB_ENTRIES; m++, point = edwards_add(point, twice))
        points[w * COMB_ENTRIES + m] = point;
      for (int bit = 0; bit < COMB_BITS; bit++) unit = edwards_add(unit, unit);
    }
    fill_run(entries, points, fill_comb);
    for (int w = 0; w < windows && window < COMB_WINDOWS; w++, window++)
      for (int m = 0; m < COMB_ENTRIES; m++)
        table->comb[window][m] = entries[w * COMB_ENTRIES + m];
  }
}

const expanded_table *expanded_shared_table(void) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static expanded_table *table;
  pthread_mutex_lock(&lock);
  if (table == NULL) {
    table = system_allocate(sizeof *table);
    if (table != NULL) build(table);
  }
  pthread_mutex_unlock(&lock);
  return table;
}
