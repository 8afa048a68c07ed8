/* The contract of the search for expanded keys: kernel.h with another kind of key.
 *
 * An expanded key is a scalar s and a nonce prefix; its public key is sB. It signs as RFC 8032,
 * section 5.1.6, does from step 2 on, but no seed leads to it. Since keys may differ by known
 * steps while they are searched, a candidate costs a few products instead of a hash and a
 * multiplication: hundreds of times less than a seed.
 *
 * A walk is the search around one fresh random scalar, its centre. It is given up at its first hit,
 * so that no two hits have a difference that anyone knows, and is never used again.
 */
#ifndef GRIND_EXPANDED_H
#define GRIND_EXPANDED_H

#include "kernel.h"

enum { GRIND_EXPANDED_BYTES = 64 };

typedef struct {
  /* The scalar, 1 to L - 1, least significant byte first, and 32 random bytes of the system.
   * The scalar is not clamped (RFC 8032, section 5.1.5): who clamps it has another key. */
  uint8_t key[GRIND_EXPANDED_BYTES];
  uint8_t public_key[GRIND_PUBLIC_BYTES];
  uint32_t pattern; /* index of the first pattern that matches */
} grind_expanded_hit;

typedef struct grind_expanded_search grind_expanded_search;

/* As grind_open. The shared tables of expanded keys take less than 1 MB. */
int grind_expanded_open(const grind_level *level, const grind_pattern *patterns, size_t count,
                        grind_expanded_search **out);

/* As grind_slice. Centres are unused output of a ChaCha20 stream keyed with 256 fresh random bits
 * of the system for this slice. `attempts` counts a walk up to its hit, and nothing behind it; of
 * each point both keys, or one where patterns such as prefixes would match both at once. */
int grind_expanded_slice(grind_expanded_search *search, uint32_t budget_us,
                         grind_expanded_hit *hits, size_t max_hits, grind_result *result);

/* Wipes and frees. NULL is allowed. */
void grind_expanded_close(grind_expanded_search *search);

/* The public key of a scalar, by complete additions and without the tables of the search: what every
 * hit is checked by. */
void grind_public_from_scalar(const uint8_t scalar[32], uint8_t public_key[GRIND_PUBLIC_BYTES]);

#endif
