/* Node-API glue: check, call, return. The callers are src/grinder/native-kernel.ts, src/disk, src/store
 * and src/cli/output.ts, which check what people pass; here only what could make C read wrong memory is
 * checked. Nothing is kept per thread: several worker threads load this module, and each search
 * belongs to the one that opened it. */
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "expanded.h"
#include "kernel.h"
#include "output.h"

enum {
  LEVEL_NAME_MAX = 16,
  /* A pattern as 64-bit words: prefix sets, suffix sets, prefix length, suffix length. */
  PATTERN_WORDS = 2 * GRIND_SIDE_MAX + 2,
  HIT_BYTES = GRIND_SEED_BYTES + GRIND_PUBLIC_BYTES + 4,
  EXPANDED_HIT_BYTES = GRIND_EXPANDED_BYTES + GRIND_PUBLIC_BYTES + 4,
};

/* Hits are written straight to JavaScript's memory. */
_Static_assert(sizeof(grind_hit) == HIT_BYTES, "a hit has no gaps");
_Static_assert(sizeof(grind_expanded_hit) == EXPANDED_HIT_BYTES, "a hit has no gaps");

static napi_value fail(napi_env env, const char *message) {
  napi_throw_error(env, NULL, message);
  return NULL;
}

static const char *message_of(int status) {
  switch (status) {
    case GRIND_NO_MEMORY: return "the grind kernel gets no memory";
    case GRIND_BAD_PATTERN: return "the grind kernel cannot use these patterns";
    case GRIND_NO_ENTROPY: return "the system gives no random bytes";
    default: return "the grind kernel failed";
  }
}

static bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count;
  return napi_get_cb_info(env, info, &given, values, NULL, NULL) == napi_ok && given == count;
}

/* The memory of a typed array of this type; its length in elements. */
static void *array_of(napi_env env, napi_value value, napi_typedarray_type wanted, size_t *length) {
  napi_typedarray_type type;
  void *data;
  bool is_array = false;
  if (napi_is_typedarray(env, value, &is_array) != napi_ok || !is_array) return NULL;
  if (napi_get_typedarray_info(env, value, &type, length, &data, NULL, NULL) != napi_ok) return NULL;
  return type == wanted ? data : NULL;
}

/* The level named by a string, the best one for undefined; NULL if there is none. */
static const grind_level *level_of(napi_env env, napi_value value) {
  char name[LEVEL_NAME_MAX];
  size_t length;
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok) return NULL;
  if (type == napi_undefined) return grind_find_level(NULL);
  if (napi_get_value_string_utf8(env, value, name, sizeof name, &length) != napi_ok) return NULL;
  return grind_find_level(name);
}

/* A search as JavaScript holds it: closed by hand or with the thread that opened it. Of one kind
 * of key; the other pointer is NULL. */
typedef struct {
  grind_search *search;
  grind_expanded_search *expanded;
} holder;

static void close_held(holder *held) {
  grind_close(held->search);
  grind_expanded_close(held->expanded);
  *held = (holder){NULL, NULL};
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  close_held(data);
  free(data);
}

static holder *holder_of(napi_env env, napi_value value) {
  void *data = NULL;
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return NULL;
  return napi_get_value_external(env, value, &data) == napi_ok ? data : NULL;
}

static grind_search *search_of(napi_env env, napi_value value) {
  holder *held = holder_of(env, value);
  return held == NULL ? NULL : held->search;
}

/* levelName(name | undefined): string | undefined */
static napi_value level_name(napi_env env, napi_callback_info info) {
  napi_value argument, result = NULL;
  if (!arguments(env, info, 1, &argument)) return fail(env, "levelName takes a name");
  const grind_level *level = level_of(env, argument);
  if (level != NULL)
    napi_create_string_utf8(env, grind_level_name(level), NAPI_AUTO_LENGTH, &result);
  return result;
}

/* open(level, patterns: BigUint64Array, memoryBytes, isExpanded): search */
static napi_value open_search(napi_env env, napi_callback_info info) {
  napi_value argv[4], result;
  size_t length = 0;
  double memory_bytes;
  bool is_expanded;
  if (!arguments(env, info, 4, argv)) return fail(env, "open takes four arguments");
  const grind_level *level = level_of(env, argv[0]);
  const uint64_t *words = array_of(env, argv[1], napi_biguint64_array, &length);
  if (level == NULL || words == NULL || length % PATTERN_WORDS != 0 ||
      length > (size_t)PATTERN_WORDS * GRIND_PATTERNS_MAX ||
      napi_get_value_double(env, argv[2], &memory_bytes) != napi_ok || !(memory_bytes >= 0) ||
      memory_bytes > 1e18 || napi_get_value_bool(env, argv[3], &is_expanded) != napi_ok)
    return fail(env, "open takes a level, at most 1024 patterns, bytes and a boolean");
  size_t count = length / PATTERN_WORDS;
  grind_pattern *patterns = calloc(count + 1, sizeof *patterns);
  holder *held = calloc(1, sizeof *held);
  int status = GRIND_NO_MEMORY;
  if (patterns != NULL && held != NULL) {
    for (size_t i = 0; i < count; i++, words += PATTERN_WORDS) {
      memcpy(patterns[i].prefix, words, sizeof patterns[i].prefix);
      memcpy(patterns[i].suffix, words + GRIND_SIDE_MAX, sizeof patterns[i].suffix);
      patterns[i].prefix_length = (uint8_t)words[2 * GRIND_SIDE_MAX];
      patterns[i].suffix_length = (uint8_t)words[2 * GRIND_SIDE_MAX + 1];
    }
    status = is_expanded
                 ? grind_expanded_open(level, patterns, count, &held->expanded)
                 : grind_open(level, patterns, count, (uint64_t)memory_bytes, &held->search);
  }
  free(patterns);
  if (status == GRIND_OK && napi_create_external(env, held, finalize, NULL, &result) == napi_ok)
    return result;
  if (held != NULL) close_held(held);
  free(held);
  return fail(env, message_of(status));
}

/* slice(search, budgetUs, hits: Uint8Array): [attempts, hits, faults] */
static napi_value slice(napi_env env, napi_callback_info info) {
  napi_value argv[3], result, figure;
  uint32_t budget_us;
  size_t length = 0;
  if (!arguments(env, info, 3, argv)) return fail(env, "slice takes three arguments");
  holder *held = holder_of(env, argv[0]);
  uint8_t *hits = array_of(env, argv[2], napi_uint8_array, &length);
  if (held == NULL || (held->search == NULL && held->expanded == NULL))
    return fail(env, "the search is closed");
  size_t hit_bytes = held->search != NULL ? HIT_BYTES : EXPANDED_HIT_BYTES;
  if (hits == NULL || length < hit_bytes || (uintptr_t)hits % _Alignof(grind_hit) != 0 ||
      napi_get_value_uint32(env, argv[1], &budget_us) != napi_ok)
    return fail(env, "slice takes a search, microseconds and room for hits");
  grind_result done;
  size_t room = length / hit_bytes;
  int status = held->search != NULL
                   ? grind_slice(held->search, budget_us, (grind_hit *)hits, room, &done)
                   : grind_expanded_slice(held->expanded, budget_us, (grind_expanded_hit *)hits,
                                          room, &done);
  if (status != GRIND_OK) return fail(env, message_of(status));
  const double figures[] = {(double)done.attempts, (double)done.hits, (double)done.faults};
  napi_create_array_with_length(env, 3, &result);
  for (uint32_t i = 0; i < 3; i++) {
    napi_create_double(env, figures[i], &figure);
    napi_set_element(env, result, i, figure);
  }
  return result;
}

/* close(search) */
static napi_value close_search(napi_env env, napi_callback_info info) {
  napi_value argument;
  holder *held = arguments(env, info, 1, &argument) ? holder_of(env, argument) : NULL;
  if (held == NULL) return fail(env, "close takes a search");
  close_held(held);
  return NULL;
}

/* tableBytes(search): number; 0 for expanded keys, whose table has one size */
static napi_value table_bytes(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  holder *held = arguments(env, info, 1, &argument) ? holder_of(env, argument) : NULL;
  if (held == NULL) return fail(env, "tableBytes takes a search");
  uint64_t bytes = held->search == NULL ? 0 : grind_table_bytes(held->search);
  return napi_create_double(env, (double)bytes, &result) == napi_ok ? result : NULL;
}

/* derive(search, seeds: Uint8Array, publicKeys: Uint8Array), for tests: see grind_derive. */
static napi_value derive(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  size_t seeds_length = 0, keys_length = 0;
  if (!arguments(env, info, 3, argv)) return fail(env, "derive takes three arguments");
  grind_search *search = search_of(env, argv[0]);
  const void *seeds = array_of(env, argv[1], napi_uint8_array, &seeds_length);
  void *keys = array_of(env, argv[2], napi_uint8_array, &keys_length);
  if (search == NULL) return fail(env, "the search is closed");
  if (seeds == NULL || keys == NULL || seeds_length % 32 != 0 || keys_length != seeds_length)
    return fail(env, "derive takes a search, seeds and room for as many keys");
  int status = grind_derive(search, seeds, seeds_length / 32, keys);
  return status == GRIND_OK ? NULL : fail(env, message_of(status));
}

/* 0 or a negative error number */
static napi_value number(napi_env env, int value) {
  napi_value result = NULL;
  napi_create_int32(env, value, &result);
  return result;
}

/* A function of one whole number that gives 0 or more, or a negative error number. */
struct of_number {
  int (*call)(int value);
  const char *takes;
};

static int exit_now(int code) {
  grind_exit(code);
  return 0;
}

static const struct of_number LOWER = {grind_lower, "lower takes a nice value"};
static const struct of_number EXIT = {exit_now, "exit takes a code"};
static const struct of_number END_WITH_PARENT = {grind_end_with_parent,
                                                 "endWithParent takes a process"};
/* See disk.h. */
static const struct of_number LOCK = {disk_lock, "lock takes a descriptor"};
static const struct of_number IS_LOCKED = {disk_is_locked, "isLocked takes a descriptor"};
/* See output.h. */
static const struct of_number OUTPUT_ERROR = {output_error, "outputError takes a descriptor"};
static const struct of_number OUTPUT_UNSENT = {output_unsent, "outputUnsent takes a descriptor"};
static const struct of_number OUTPUT_DISCARD = {output_discard, "outputDiscard takes a descriptor"};

static napi_value call_of_number(napi_env env, napi_callback_info info) {
  napi_value argument;
  int value;
  void *data;
  napi_get_cb_info(env, info, NULL, NULL, NULL, &data);
  const struct of_number *function = data;
  if (!arguments(env, info, 1, &argument) || napi_get_value_int32(env, argument, &value) != napi_ok)
    return fail(env, function->takes);
  return number(env, function->call(value));
}

static napi_value harden(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, grind_harden());
}

/* check(): 0 if this build computes right */
static napi_value check(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, grind_check());
}

/* The path in a string, to be freed; NULL if it is none, or no memory is left. */
static char *path_of(napi_env env, napi_value value) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) return NULL;
  char *path = malloc(length + 1);
  if (path != NULL) napi_get_value_string_utf8(env, value, path, length + 1, &length);
  return path;
}

/* generation(path, descriptor or -1): a text, or a negative error number */
static napi_value generation(napi_env env, napi_callback_info info) {
  napi_value argv[2], result = NULL;
  int file;
  char text[DISK_GENERATION_MAX];
  if (!arguments(env, info, 2, argv) || napi_get_value_int32(env, argv[1], &file) != napi_ok)
    return fail(env, "generation takes a path and a descriptor");
  char *path = path_of(env, argv[0]);
  if (path == NULL) return fail(env, "generation takes a path");
  int status = disk_generation(path, file, text);
  free(path);
  if (status != 0) return number(env, status);
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result);
  return result;
}

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback call;
    const struct of_number *of_number;
  } functions[] = {
      {"check", check, NULL},
      {"levelName", level_name, NULL},
      {"open", open_search, NULL},
      {"slice", slice, NULL},
      {"close", close_search, NULL},
      {"derive", derive, NULL},
      {"tableBytes", table_bytes, NULL},
      {"lower", call_of_number, &LOWER},
      {"exit", call_of_number, &EXIT},
      {"endWithParent", call_of_number, &END_WITH_PARENT},
      {"harden", harden, NULL},
      {"lock", call_of_number, &LOCK},
      {"isLocked", call_of_number, &IS_LOCKED},
      {"generation", generation, NULL},
      {"outputError", call_of_number, &OUTPUT_ERROR},
      {"outputUnsent", call_of_number, &OUTPUT_UNSENT},
      {"outputDiscard", call_of_number, &OUTPUT_DISCARD},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call,
                             (void *)functions[i].of_number, &function) != napi_ok ||
        napi_set_named_property(env, exports, functions[i].name, function) != napi_ok)
      return NULL;
  }
  return exports;
}
