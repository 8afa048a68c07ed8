/* The levels of this build, fastest first, and which of them this machine can run. The compiler's
 * own cpuid check is used: it also asks xgetbv whether the system keeps the wide registers.
 */
#include <string.h>

#include "seed.h"

static bool is_always_supported(void) { return true; }

#if defined(__x86_64__)
static bool is_avx512_supported(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("bmi2");
}

static bool is_avx2_supported(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

static const grind_level LEVELS[] = {
#if defined(__x86_64__)
    {"avx512", is_avx512_supported, grind_chacha20_take_avx512, SEED_BATCH_AVX512,
     SEED_BATCH_AVX512 * SEED_SCRATCH_EACH, grind_seed_batch_avx512,
     grind_table_fill_avx512, UINT64_MAX},
    {"avx2", is_avx2_supported, grind_chacha20_take_avx2, SEED_BATCH_AVX2,
     SEED_BATCH_AVX2 * SEED_SCRATCH_EACH, grind_seed_batch_avx2,
     grind_table_fill_avx2, UINT64_MAX},
#endif
    {"portable", is_always_supported, grind_chacha20_take_portable, SEED_BATCH_PORTABLE,
     SEED_BATCH_PORTABLE * SEED_SCRATCH_EACH, grind_seed_batch_portable,
     grind_table_fill_portable, 32 << 20},
};

const grind_level *grind_find_level(const char *name) {
  for (size_t i = 0; i < sizeof LEVELS / sizeof *LEVELS; i++) {
    const grind_level *level = &LEVELS[i];
    if ((name == NULL || strcmp(name, level->name) == 0) && level->is_supported()) return level;
  }
  return NULL;
}
