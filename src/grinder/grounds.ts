/**
 * The searches of a grinder thread, one for each key type that is needed. They take turns. A search whose
 * jobs stay the same is kept: to open another takes 0.5 ms, and with prefixes up to 0.5 s, and a pool of
 * expanded keys may be filled and needed again several times a second.
 */
import { KEY_TYPES, type KeyType } from '../keypair/signing-key.ts';
import type { GrindJob } from './job.ts';
import { type Kernel, PATTERNS_MAX, type Search } from './kernel.ts';

/** The jobs of one key type and their search. */
export interface Ground {
  readonly keyType: KeyType;
  readonly jobs: readonly GrindJob[];
  readonly search: Search;
}

export class Grounds {
  readonly #kernel: Kernel;
  /** Whose turn it is comes first. */
  #grounds: Ground[] = [];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  get isEmpty(): boolean {
    return this.#grounds.length === 0;
  }

  get tableBytes(): number {
    return Math.max(...this.#grounds.map(({ search }) => search.tableBytes));
  }

  /** For these jobs from now on. */
  open(jobs: readonly GrindJob[]): void {
    const before = this.#grounds;
    this.#grounds = [];
    for (const keyType of KEY_TYPES) {
      // Pools beyond the most that a search takes come in when others are full.
      const own = jobs.filter((job) => job.keyType === keyType).slice(0, PATTERNS_MAX);
      const known = before.find((ground) => ground.keyType === keyType && isSame(ground.jobs, own));
      if (known !== undefined) this.#grounds.push(known);
      else if (own.length > 0) this.#grounds.push(this.#opened(keyType, own));
    }
    for (const ground of before) if (!this.#grounds.includes(ground)) ground.search.close();
  }

  /** Whether there is one of such a key type. */
  has(isAllowed: (keyType: KeyType) => boolean): boolean {
    return this.#grounds.some(({ keyType }) => isAllowed(keyType));
  }

  /** Of such key types, of which there is one, that whose turn it is. */
  next(isAllowed: (keyType: KeyType) => boolean): Ground {
    const index = this.#grounds.findIndex(({ keyType }) => isAllowed(keyType));
    const [ground] = this.#grounds.splice(index, 1);
    this.#grounds.push(ground!);
    return ground!;
  }

  #opened(keyType: KeyType, jobs: readonly GrindJob[]): Ground {
    const patterns = jobs.map(({ pattern }) => pattern);
    return { keyType, jobs, search: this.#kernel.open(patterns, keyType) };
  }
}

function isSame(jobs: readonly GrindJob[], others: readonly GrindJob[]): boolean {
  if (jobs.length !== others.length) return false;
  return jobs.every(({ pool, pattern }, index) => {
    const other = others[index]!;
    const { prefix, suffix, ignoreCase } = other.pattern;
    const isPattern = pattern.prefix === prefix && pattern.suffix === suffix;
    return pool === other.pool && isPattern && pattern.ignoreCase === ignoreCase;
  });
}
