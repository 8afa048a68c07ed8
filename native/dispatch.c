/* The levels of this build, fastest first. */
#include <string.h>

#include "level.h"

static const grind_level *const LEVELS[] = {
    &grind_level_portable,
};

const grind_level *grind_find_level(const char *name) {
  for (size_t i = 0; i < sizeof LEVELS / sizeof *LEVELS; i++) {
    const grind_level *level = LEVELS[i];
    if ((name == NULL || strcmp(name, level->name) == 0) && level->is_supported()) return level;
  }
  return NULL;
}
