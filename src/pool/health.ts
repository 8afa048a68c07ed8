/**
 * How the store and the grinder are doing, on boards that every thread can read: the store thread
 * writes the one, the main thread the other.
 */
import type { ErrorCode } from '../errors.ts';
import { Board, type Figures } from './board.ts';
import { monotonicMs } from './monotonic.ts';

const STORE_FIELDS = [
  'reason',
  'turns',
  'inserts',
  /** When the store thread began what it is doing, in ms of `monotonicMs`; 0 when it does nothing. */
  'since',
  /** The same of an insert, which runs beside. */
  'insertSince',
  'journalsLost',
  'journalsRenewed',
  'journalsStuck',
  'forgedRows',
  /** What the time of the store's clock is ahead of `monotonicMs`. */
  'ownTime',
  'clockSteps',
  'dueSecrets',
] as const;
/** As long as a request waits for a refill. */
const HANGS_MS = 2000;
const GRINDER_FIELDS = [
  'attempts',
  'hits',
  'faults',
  'restarts',
  'priorityChanges',
  'threads',
  'attemptsPerSecond',
  /** 0 while nobody knows, as `isa`. */
  'fullSeedAttemptsPerSecond',
  'fullExpandedAttemptsPerSecond',
  /** Of the kernel: its place in `ISA_LEVELS`, from 1. */
  'isa',
] as const;

/** Why the store fails, by its number on the board; 0 there is for "it does not". */
const REASONS: readonly ErrorCode[] = [
  'STORE_UNAVAILABLE',
  'DISK_FULL',
  'STORE_LOCKED',
  'STORE_CORRUPT',
  'DATA_NOT_WRITABLE',
  'STORE_REWOUND',
];

export class StoreHealth {
  readonly #board: Board<(typeof STORE_FIELDS)[number]>;

  constructor(buffer?: SharedArrayBuffer) {
    this.#board = new Board(STORE_FIELDS, buffer);
  }

  get buffer(): SharedArrayBuffer {
    return this.#board.buffer;
  }

  /**
   * The code of what the store fails with, or undefined while it works; STORE_UNAVAILABLE while it
   * has been at one thing for 2 s, as on a disk that hangs. Any thread.
   */
  get failure(): ErrorCode | undefined {
    const { reason, since, insertSince } = this.#board.read();
    if (reason !== 0) return REASONS[reason - 1];
    const now = monotonicMs();
    const hangs = [since, insertSince].some((begun) => begun !== 0 && now - begun > HANGS_MS);
    return hangs ? 'STORE_UNAVAILABLE' : undefined;
  }

  /** Store thread only. Runs what may hang, one thing at a time. */
  watch<T>(work: () => Promise<T>): Promise<T> {
    return this.#watch('since', work);
  }

  /** Store thread only. The same of inserts. */
  watchInsert<T>(work: () => Promise<T>): Promise<T> {
    return this.#watch('insertSince', work);
  }

  async #watch<T>(field: 'since' | 'insertSince', work: () => Promise<T>): Promise<T> {
    this.#board.write({ [field]: monotonicMs() });
    try {
      return await work();
    } finally {
      this.#board.write({ [field]: 0 });
    }
  }

  /** Store thread only. `turns` and `inserts` are transactions of this run. */
  write(failure: ErrorCode | undefined, tally: { turns: number; inserts: number }): void {
    const reason = failure === undefined ? 0 : Math.max(REASONS.indexOf(failure), 0) + 1;
    this.#board.write({ reason, ...tally });
  }

  /**
   * Store thread only. Dispense journals that no start would find, and how many were recreated since
   * the server began; `isStuck`: the last try to make some failed.
   */
  writeJournals(journals: { lost: number; renewed: number; isStuck: boolean }): void {
    const { lost, renewed, isStuck } = journals;
    this.#board.write({
      journalsLost: lost,
      journalsRenewed: renewed,
      journalsStuck: Number(isStuck),
    });
  }

  /** Why a kill would burn addresses now; undefined when it would not. */
  get journalFault(): string | undefined {
    const { journalsLost, journalsStuck } = this.#board.read();
    if (journalsLost + journalsStuck === 0) return undefined;
    const next = journalsStuck === 1 ? 'cannot be recreated (the log says why)' : 'are recreated';
    return `JOURNAL_UNAVAILABLE: dispense journals were removed and ${next}, a kill would burn addresses`;
  }

  /** Store thread only. Rows of tokens, pools and data keys that are refused: somebody else wrote them. */
  countForgedRow(): void {
    this.#board.write({ forgedRows: this.#board.get('forgedRows') + 1 });
  }

  /** Store thread only, with each look at its clock: what time it may have at the latest, and steps of the system's by now. */
  writeClock(now: number, clockSteps: number): void {
    this.#board.write({ ownTime: now - monotonicMs(), clockSteps });
  }

  /** By which tokens expire: the time of the store's clock, in ms since 1970; 0 before its first look. Any thread. */
  get ownTime(): number {
    const ahead = this.#board.get('ownTime');
    return ahead === 0 ? 0 : ahead + monotonicMs();
  }

  /** Store thread only. Secrets whose retention is over, and that are not destroyed yet. */
  writeDueSecrets(dueSecrets: number): void {
    this.#board.write({ dueSecrets });
  }

  read(): Figures<
    | 'turns'
    | 'inserts'
    | 'journalsLost'
    | 'journalsRenewed'
    | 'forgedRows'
    | 'clockSteps'
    | 'dueSecrets'
  > {
    return this.#board.read();
  }
}

/** Attempts, hits, faults, restarts and changes are totals since the store was made. */
export type GrinderBoard = Board<(typeof GRINDER_FIELDS)[number]>;

export function grinderBoard(buffer?: SharedArrayBuffer): GrinderBoard {
  return new Board(GRINDER_FIELDS, buffer);
}
