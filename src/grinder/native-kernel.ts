/**
 * The native kernel: native/kernel.c, by way of the addon. Any thread may use it; a search belongs to
 * the thread that opened it.
 *
 * It shares one table of 4 to 288 MB between all threads of the process. The first
 * `open` builds it, in well under a second at normal priority: open first, then `lower`.
 * Hits are derived twice by different arithmetic in C; who stores them proves them once more.
 */

import { VanityError } from '../errors.ts';
import { KEYPAIR_BYTES, PUBLIC_KEY_BYTES, signingKeyOf } from '../keypair/keypair.ts';
import { type Pattern, SIDE_MAX } from '../keypair/pattern.ts';
import type { KeyType } from '../keypair/signing-key.ts';
import { type Addon, loadAddon } from '../system/addon.ts';
import { NICE } from '../system/priority.ts';
import { type Kernel, PATTERNS_MAX, type Search } from './kernel.ts';

/** Where C writes the pattern's index of a hit: behind the keypair, or the expanded key and its
 * public key. */
const PATTERN_AT = { seed: KEYPAIR_BYTES, expanded: KEYPAIR_BYTES + PUBLIC_KEY_BYTES } as const;
const BUDGET_MAX_MS = 50;

/**
 * The public keys of `seeds` (32 bytes each) by the arithmetic of a level's search, without their
 * sign (bit 255 is 0): for tests against a reference.
 */
export function deriveByLevel(isa: string, seeds: Uint8Array): Uint8Array {
  const { addon, problem } = loadAddon();
  if (addon === undefined) throw new VanityError('INTERNAL', problem);
  const words = patternWords([{ prefixSets: [], suffixSets: [1n] }]);
  const search = addon.open(isa, words, process.availableMemory(), false);
  try {
    const publicKeys = new Uint8Array(seeds.length);
    addon.derive(search, seeds, publicKeys);
    return publicKeys;
  } finally {
    addon.close(search);
  }
}

export function nativeKernel(addon: Addon, isa: string): Kernel {
  return {
    isa,
    open(patterns, keyType = 'seed') {
      if (patterns.length === 0 || patterns.length > PATTERNS_MAX) {
        throw new RangeError(
          `a search takes 1 to ${PATTERNS_MAX} patterns, not ${patterns.length}`,
        );
      }
      const words = patternWords(patterns);
      const isExpanded = keyType === 'expanded';
      const search = coded(() => addon.open(isa, words, process.availableMemory(), isExpanded));
      return nativeSearch(addon, search, keyType);
    },
    lower(priority) {
      addon.lower(NICE[priority]);
    },
  };
}

function nativeSearch(addon: Addon, search: unknown, keyType: KeyType): Search {
  const patternAt = PATTERN_AT[keyType];
  const bytes = patternAt + 4;
  return {
    tableBytes: addon.tableBytes(search),
    slice(budgetMs, maxHits) {
      const room = new Uint8Array(maxHits * bytes);
      const budgetUs = Math.round(Math.min(Math.max(budgetMs, 0), BUDGET_MAX_MS) * 1000);
      const [attempts, count, faults] = coded(() => addon.slice(search, budgetUs, room));
      const view = new DataView(room.buffer);
      const hits = Array.from({ length: count }, (_, index) => {
        const at = index * bytes;
        const pattern = view.getUint32(at + patternAt, IS_LITTLE_ENDIAN);
        const key = room.slice(at, at + KEYPAIR_BYTES);
        if (keyType === 'seed') return { ...signingKeyOf(key), pattern };
        const publicKey = room.slice(at + KEYPAIR_BYTES, at + patternAt);
        return { keyType, key, publicKey, pattern };
      });
      room.fill(0);
      return { attempts, hits, faults };
    },
    close() {
      addon.close(search);
    },
  };
}

/** C writes the index of a hit in the order of bytes of this machine. */
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** As native/binding.c reads them: prefix sets, suffix sets, and both lengths. */
function patternWords(
  patterns: readonly Pick<Pattern, 'prefixSets' | 'suffixSets'>[],
): BigUint64Array<ArrayBuffer> {
  const stride = 2 * SIDE_MAX + 2;
  const words = new BigUint64Array(patterns.length * stride);
  for (const [index, { prefixSets, suffixSets }] of patterns.entries()) {
    const at = index * stride;
    words.set(prefixSets, at);
    words.set(suffixSets, at + SIDE_MAX);
    words[at + 2 * SIDE_MAX] = BigInt(prefixSets.length);
    words[at + 2 * SIDE_MAX + 1] = BigInt(suffixSets.length);
  }
  return words;
}

/** Errors of C as errors with a code. */
function coded<T>(call: () => T): T {
  try {
    return call();
  } catch (cause) {
    throw new VanityError('INTERNAL', (cause as Error).message, { cause });
  }
}
