/**
 * The grind kernel: native code where there is some, else the portable path. Both try candidates
 * in bounded slices, and pass the same conformance tests. Any thread may load it; a search
 * belongs to the thread that opened it.
 *
 * The native kernel shares one table of 4 to 288 MB between all threads of the process. The first
 * `open` builds it, in well under a second at normal priority: open first, then `lower`.
 * Hits are derived twice by different arithmetic in C; who stores them proves them once more.
 */
import { type Addon, loadAddon } from '../addon.ts';
import { VanityError } from '../errors.ts';
import { KEYPAIR_BYTES, type KeyType } from '../keypair/keypair.ts';
import { type Pattern, SIDE_MAX } from '../keypair/pattern.ts';
import { NICE, type Priority } from '../priority.ts';
import { portableKernel } from './portable-kernel.ts';

export interface KernelHit {
  /** 64 bytes: a keypair, or an expanded key. */
  readonly keypair: Uint8Array;
  /** 32 bytes; of an expanded key alone, as a keypair ends with it. */
  readonly publicKey?: Uint8Array;
  /** Index of the first pattern that matches. */
  readonly pattern: number;
}

export interface Slice {
  /** Candidates tested exactly. */
  readonly attempts: number;
  readonly hits: readonly KernelHit[];
  /** Hits dropped because their public key came out wrong: a broken machine. Expected to be 0. */
  readonly faults: number;
}

export interface Search {
  /** Of the table that all searches for seeds share; 0 without one. */
  readonly tableBytes: number;
  /**
   * Tries candidates for about `budgetMs` (at most 50) or until there are `maxHits` hits, and
   * blocks the thread meanwhile. Two hits are never related.
   */
  slice(budgetMs: number, maxHits: number): Slice;
  /** Wipes and frees the batch. */
  close(): void;
}

export interface Kernel {
  /** 'portable' and faster levels of the native kernel, or 'js'. */
  readonly isa: string;
  /** `patterns`: 1 to PATTERNS_MAX. `keyType`: 'seed' if not given. */
  open(patterns: readonly Pattern[], keyType?: KeyType): Search;
  /** Lowers this thread alone to a priority; does nothing where the system cannot. */
  lower(priority: Priority): void;
}

/** As GRIND_PATTERNS_MAX in native/kernel.h. */
export const PATTERNS_MAX = 1024;

/** Where C writes the pattern's index of a hit: behind the keypair, or the expanded key and its
 * public key. */
const PATTERN_AT = { seed: KEYPAIR_BYTES, expanded: KEYPAIR_BYTES + 32 } as const;
const BUDGET_MAX_MS = 50;
/** Of all machines; a build may lack some. */
const NATIVE_LEVELS = ['portable', 'avx2', 'avx512'];

/**
 * The fastest kernel of this machine, or the one that `isa` (VANITYPOOL_ISA) names: a level of the
 * native kernel, or 'js' for the portable path. `warning` says why grinding will be slow.
 * Errors: CONFIG_INVALID for a level that is unknown here.
 */
export function loadKernel(isa = process.env.VANITYPOOL_ISA || undefined): {
  kernel: Kernel;
  warning: string | undefined;
} {
  if (isa === 'js') return { kernel: portableKernel(), warning: undefined };
  const { addon, problem } = loadAddon();
  if (addon === undefined) {
    if (isa !== undefined) {
      throw new VanityError('CONFIG_INVALID', `VANITYPOOL_ISA: "${isa}" cannot be had: ${problem}`);
    }
    const warning = `${problem}; grinding uses the portable path, hundreds of times slower`;
    return { kernel: portableKernel(), warning };
  }
  const level = addon.levelName(isa);
  if (level === undefined) {
    const message = `VANITYPOOL_ISA: this machine and build have ${kernelLevels().join(', ')}, not "${isa}"`;
    throw new VanityError('CONFIG_INVALID', message);
  }
  return { kernel: nativeKernel(addon, level), warning: undefined };
}

/** What VANITYPOOL_ISA may say on this machine, slowest first. */
export function kernelLevels(): string[] {
  const { addon } = loadAddon();
  return ['js', ...NATIVE_LEVELS.filter((isa) => addon?.levelName(isa) === isa)];
}

/**
 * No core dumps of this process, and no reading of its memory by others of the same user. False
 * where that cannot be had.
 */
export function hardenProcess(): boolean {
  return loadAddon().addon?.harden() === 0;
}

/**
 * Ends the process at once with this exit code. `process.exit` waits for every thread, and one that
 * gets no core may take half a minute. What is to be written must be written before.
 */
export function endProcess(code: number): never {
  loadAddon().addon?.exit(code);
  // Without native code no thread is lowered.
  process.exit(code);
}

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

function nativeKernel(addon: Addon, isa: string): Kernel {
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
        return {
          keypair: room.slice(at, at + KEYPAIR_BYTES),
          ...(keyType === 'expanded' && {
            publicKey: room.slice(at + KEYPAIR_BYTES, at + patternAt),
          }),
          pattern: view.getUint32(at + patternAt, IS_LITTLE_ENDIAN),
        };
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
