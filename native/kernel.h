/* The contract of the grind kernel. No Node.js here: binding.c is the only file that knows it.
 *
 * A search is a compiled set of patterns plus its batch buffers. One call of grind_slice is one
 * slice: it tries candidates until its time is over or `max_hits` hits are found, and returns.
 * A thread inside C cannot be stopped, so a slice is the unit of stopping.
 *
 * A search belongs to one thread at a time. The table is read-only after it is built, once a
 * process, and shared by all threads.
 */
#ifndef GRIND_KERNEL_H
#define GRIND_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum {
  GRIND_SEED_BYTES = 32,
  GRIND_PUBLIC_BYTES = 32,
  GRIND_SIDE_MAX = 10, /* characters of a prefix or of a suffix */
  GRIND_PATTERNS_MAX = 1024,
  GRIND_SLICE_MAX_US = 50000,
};

/* One pattern: for each character of the prefix and of the suffix the set of base58 digits that
 * are allowed there, bit d for digit d (0..57, in the order of the base58 alphabet). No set is
 * empty; at least one of both lengths is > 0. */
typedef struct {
  uint64_t prefix[GRIND_SIDE_MAX];
  uint64_t suffix[GRIND_SIDE_MAX];
  uint8_t prefix_length; /* 0..GRIND_SIDE_MAX */
  uint8_t suffix_length; /* 0..GRIND_SIDE_MAX */
} grind_pattern;

typedef struct {
  uint8_t seed[GRIND_SEED_BYTES];
  uint8_t public_key[GRIND_PUBLIC_BYTES];
  uint32_t pattern; /* index of the first pattern that matches */
} grind_hit;

typedef struct {
  uint64_t attempts; /* candidates tested exactly */
  uint64_t faults;   /* candidates whose public key came out wrong, and which were dropped: a
                        broken machine or a broken kernel; 0 always is what is expected */
  size_t hits;       /* written to `hits` */
} grind_result;

typedef struct grind_search grind_search;
typedef struct grind_level grind_level;

/* What a call returns. */
enum {
  GRIND_OK = 0,
  GRIND_NO_MEMORY = -1,
  GRIND_BAD_PATTERN = -2,
  GRIND_NO_ENTROPY = -3, /* the system gave no random bytes */
  GRIND_SPOILED = -4,    /* grind_derive alone: the seeds cannot be derived in one batch */
};

/* The level of this name ("portable", "avx2", "avx512"), or with NULL the fastest one that this
 * machine can run. NULL if there is no such level or this machine cannot run it. */
const grind_level *grind_find_level(const char *name);
const char *grind_level_name(const grind_level *level);

/* Compiles the patterns, allocates the batch, and builds the shared table if no thread has yet
 * (well under a second at normal priority). The table takes at most an eighth of
 * `memory_bytes`, what the process may still use, or is the smallest one (4 MB); portable code, which
 * is slow to build one, takes at most 28 MB. If even the smallest
 * cannot be had, GRIND_NO_MEMORY. `patterns` is not kept. */
int grind_open(const grind_level *level, const grind_pattern *patterns, size_t count,
               uint64_t memory_bytes, grind_search **out);

/* Tries candidates for about `budget_us` microseconds (at most GRIND_SLICE_MAX_US count, at least
 * one batch of a few ms is tried). Seeds are unused output of a ChaCha20 stream keyed with 256
 * fresh random bits of the system for this slice: two hits are never related. Each hit is derived
 * again by other arithmetic before it is returned. `max_hits` >= 1. */
int grind_slice(grind_search *search, uint32_t budget_us, grind_hit *hits, size_t max_hits,
                grind_result *result);

/* Of the table that the search uses. */
uint64_t grind_table_bytes(const grind_search *search);

/* Wipes and frees. NULL is allowed. */
void grind_close(grind_search *search);

/* The public key of a seed by RFC 8032, without tables or batches: what every hit is checked by. */
void grind_public_from_seed(const uint8_t seed[GRIND_SEED_BYTES],
                            uint8_t public_key[GRIND_PUBLIC_BYTES]);

/* 0 if this build derives the public key of a published seed right on this machine, else -1: asked
 * before anything else of it is used. */
int grind_check(void);

/* The public keys of `count` seeds by the arithmetic of the search, but without their sign
 * (bit 255 is 0): for tests against a reference. */
int grind_derive(grind_search *search, const uint8_t (*seeds)[GRIND_SEED_BYTES], size_t count,
                 uint8_t (*public_keys)[GRIND_PUBLIC_BYTES]);

/* Lowers the calling thread alone to a nice value, or with GRIND_IDLE to idle scheduling. A thread
 * that is as low already stays as it is. macOS has one lower level, taken from nice 10 on. Nothing
 * raises a thread again. 0 or -errno. */
enum { GRIND_IDLE = 20 };
int grind_lower(int nice);

/* Ends the process at once, and flushes nothing. Only the threads below the calling one's priority are
 * waited for, until their next turn ends them: with 10 busy threads on its core 11 s at idle priority,
 * 0.7 s at nice 15. Without that wait they would free the memory of the process: 63 s and 5.2 s. */
void grind_exit(int code);

/* The calling process is killed when the thread that started it ends, which is one of the process
 * `parent`; at once if that is over by now. Only the calling thread may not end before its process.
 * 0 or -errno: -ENOSYS where the system has no such thing. */
int grind_end_with_parent(int parent);

/* No core dumps and no reading of the process's memory by others of the same user. 0 or -errno. */
int grind_harden(void);

#endif
