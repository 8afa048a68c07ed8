/* The contract of the grind kernel. No Node.js here: binding.c is the only file that knows it.
 *
 * A search is a compiled set of patterns plus its batch buffers. One call of grind_slice is one
 * slice: it tries candidates until its time is over or `max_hits` hits are found, and returns.
 * A thread inside C cannot be stopped, so a slice is the unit of stopping.
 *
 * A search belongs to one thread at a time. Tables are read-only after they are built, once a
 * process, and shared by all threads.
 */
#ifndef GRIND_KERNEL_H
#define GRIND_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum {
  GRIND_SEED_BYTES = 32,
  GRIND_PUBLIC_BYTES = 32,
  GRIND_SIDE_MAX = 10,       /* characters of a prefix or of a suffix */
  GRIND_PATTERNS_MAX = 1024,
};

/* One pattern: for each character of the prefix and of the suffix the set of base58 digits that
 * are allowed there, bit d for digit d (0..57, in the order of the base58 alphabet). */
typedef struct {
  uint64_t prefix[GRIND_SIDE_MAX];
  uint64_t suffix[GRIND_SIDE_MAX];
  uint8_t prefix_length; /* 0..GRIND_SIDE_MAX */
  uint8_t suffix_length; /* 0..GRIND_SIDE_MAX; at least one of both is > 0 */
} grind_pattern;

typedef struct {
  uint8_t seed[GRIND_SEED_BYTES];
  uint8_t public_key[GRIND_PUBLIC_BYTES];
  uint32_t pattern; /* index of the first pattern that matches */
} grind_hit;

typedef struct grind_search grind_search;

/* 0 when done, else one of these. */
enum {
  GRIND_OK = 0,
  GRIND_NO_MEMORY = -1,
  GRIND_BAD_PATTERN = -2,
  GRIND_NO_ENTROPY = -3, /* getrandom failed: nothing was tried */
};

/* Builds the shared table if no thread has yet (well under a second), compiles the patterns and
 * allocates the batch. `patterns` is not kept. */
int grind_open(const grind_pattern *patterns, size_t count, grind_search **out);

/* Tries candidates for about `budget_us` microseconds, never more than 50 ms, with seeds from a ChaCha20 stream
 * keyed with 256 fresh bits of getrandom. `*attempts` counts candidates tested exactly,
 * `*found` the hits written to `hits` (at most `max_hits`, >= 1). */
int grind_slice(grind_search *search, uint32_t budget_us, grind_hit *hits, size_t max_hits,
                uint64_t *attempts, size_t *found);

/* Wipes and frees. NULL is allowed. */
void grind_close(grind_search *search);

/* The public key of a seed, by the kernel's own arithmetic: for tests against a reference. */
void grind_public_from_seed(const uint8_t seed[GRIND_SEED_BYTES],
                            uint8_t public_key[GRIND_PUBLIC_BYTES]);

/* "portable", later also "avx2" and "avx512". */
const char *grind_isa(void);

/* Gives the calling thread idle scheduling priority where the system has it. 0 or -errno. */
int grind_idle_priority(void);

#endif
