/* Which levels a machine gets, for every subset of the features that matter: dispatch.c once more,
 * with an answer of our own in the place of cpuid. */
#include "check.h"

static unsigned present;

static inline int has_feature(const char *name);

#define __builtin_cpu_init() ((void)0)
#define __builtin_cpu_supports(name) has_feature(name)
#define grind_find_level find_level_of_subset
#include "../../native/dispatch.c"

static const char *const FEATURES[] = {"avx2",       "fma",        "avx512f",    "avx512dq",
                                       "avx512bw",   "avx512vl",   "avx512ifma", "avx512vbmi",
                                       "avx512vnni", "bmi2"};
enum { COUNT = sizeof FEATURES / sizeof *FEATURES, ALL = (1 << COUNT) - 1, OF_AVX2 = 3 };

/* A feature that is asked for and not listed here is not there. */
static inline int has_feature(const char *name) {
  for (int i = 0; i < COUNT; i++)
    if (strcmp(name, FEATURES[i]) == 0) return (int)(present >> i & 1);
  return 0;
}

static const char *name_of(const grind_level *level) {
  return level == NULL ? "none" : level->name;
}

static void check_subset(void) {
#if defined(__x86_64__)
  int avx512 = (present & ~OF_AVX2 & ALL) == (ALL & ~OF_AVX2), avx2 = (present & OF_AVX2) == OF_AVX2;
#else
  int avx512 = 0, avx2 = 0;
#endif
  const char *best = avx512 ? "avx512" : avx2 ? "avx2" : "portable";
  CHECK(strcmp(name_of(find_level_of_subset(NULL)), best) == 0);
  CHECK(strcmp(name_of(find_level_of_subset("avx512")), avx512 ? "avx512" : "none") == 0);
  CHECK(strcmp(name_of(find_level_of_subset("avx2")), avx2 ? "avx2" : "none") == 0);
  CHECK(strcmp(name_of(find_level_of_subset("portable")), "portable") == 0);
  CHECK(find_level_of_subset("") == NULL);
}

int main(void) {
  for (present = 0; present <= ALL; present++) check_subset();
  return 0;
}
