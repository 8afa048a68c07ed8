/**
 * What all threads have of one pool in common: what never changes of it, and the memory that they share.
 * `sharePool` makes it; it can be sent to a thread as it is.
 */
import type { PoolChange, PoolConfig } from '../config/pool-config.ts';
import { COUNT_MAX } from '../config/pool-settings.ts';
import { type Pattern, parsePattern } from '../keypair/pattern.ts';
import { parseSignPolicy, type SigningSettings } from '../keypair/sign-policy.ts';
import type { KeyType } from '../keypair/signing-key.ts';
import { Board } from './board.ts';
import { ChangedPools } from './changed-pools.ts';
import { Deadline } from './deadline.ts';
import { History } from './history.ts';
import { ReadyQueue } from './ready-queue.ts';

const COUNT_FIELDS = [
  'available',
  'leased',
  'leasedHere',
  'reserved',
  'dispensed',
  'burned',
  'ground',
  'imported',
  /** Of the ready queue: pops before it are in the counts. */
  'position',
] as const;
const GRINDING_FIELDS = [
  'active',
  'threads',
  'attemptsPerSecond',
  /** Thousandths of an address: how fast the pool is consumed, as the grinder sees it. */
  'milliPerHour',
] as const;
/** What changes at run time. `gate` is one of `GATE`. */
const SETTINGS_FIELDS = ['target', 'ready', 'lowMs', 'gate'] as const;

/** Whether a pool hands out. */
export const GATE = { open: 0, paused: 1, closed: 2, replaced: 3 } as const;

/** What all threads know and share of one pool; can be sent to a thread as it is. */
export interface SharedPool
  extends SigningSettings,
    Pick<PoolConfig, 'handout' | 'signLimit' | 'reuseReleased' | 'acceptsImports' | 'readyMax'> {
  readonly pattern: Pattern;
  readonly keys: KeyType;
  readonly settings: SharedArrayBuffer;
  readonly queue: SharedArrayBuffer;
  readonly counts: SharedArrayBuffer;
  readonly grinding: SharedArrayBuffer;
  readonly history: SharedArrayBuffer;
  /** Grows by one each time that it gets another ready queue. */
  readonly generation: number;
  /** Where a change of it is marked: see changed-pools.ts. */
  readonly changes: SharedArrayBuffer;
  readonly place: number;
  /** Of the process: see deadline.ts. */
  readonly deadline: SharedArrayBuffer;
}

/** Written by the store thread. */
export type SettingsBoard = Board<(typeof SETTINGS_FIELDS)[number]>;
export type CountsBoard = Board<(typeof COUNT_FIELDS)[number]>;
export type GrindingBoard = Board<(typeof GRINDING_FIELDS)[number]>;

export const HOUR_MS = 3_600_000;

export interface SharingOptions {
  /** Of all pools of a server. */
  readonly changes?: ChangedPools;
  /** The one of the process. */
  readonly deadline?: Deadline;
  /** Of this pool among them; no other has the same. */
  readonly place?: number;
  /**
   * Where the counters of the ready queue start: behind what the store has recorded of the pool in this
   * epoch.
   */
  readonly position?: number;
}

/** Errors: those of `parsePattern` and `parseSignPolicy`. */
export function sharePool(config: PoolConfig, options: SharingOptions = {}): SharedPool {
  const { changes = new ChangedPools(), deadline = new Deadline() } = options;
  const { place = 0, position = 0 } = options;
  const { name, keys, handout, signLimit, reuseReleased, acceptsImports } = config;
  const { readyMax, signPrograms, signWith, signFeePayer } = config;
  parseSignPolicy(config);
  const settings = new Board(SETTINGS_FIELDS);
  settings.write({ ...changeableOf(config), gate: GATE.open });
  return {
    name,
    pattern: parsePattern(config),
    keys,
    handout,
    signLimit,
    signPrograms,
    signWith,
    signFeePayer,
    reuseReleased,
    acceptsImports,
    readyMax,
    settings: settings.buffer,
    queue: ReadyQueue.create(capacityOf(config), position).buffer,
    counts: new Board(COUNT_FIELDS).buffer,
    grinding: new Board(GRINDING_FIELDS).buffer,
    history: new History().buffer,
    generation: 0,
    changes: changes.buffer,
    place,
    deadline: deadline.buffer,
  };
}

/**
 * The same pool with an empty ready queue, whose counters start at `position`, and boards of its own; its
 * history goes on.
 */
export function shareAnew(shared: SharedPool, position: number): SharedPool {
  const settings = new Board(SETTINGS_FIELDS);
  settings.write({ ...settingsBoard(shared).read(), gate: GATE.open });
  return {
    ...shared,
    settings: settings.buffer,
    queue: ReadyQueue.create(new ReadyQueue(shared.queue).capacity, position).buffer,
    counts: new Board(COUNT_FIELDS).buffer,
    grinding: new Board(GRINDING_FIELDS).buffer,
    generation: shared.generation + 1,
  };
}

/** What its ready queue takes of memory. */
export function queueBytes(config: PoolConfig): number {
  return ReadyQueue.bytesFor(capacityOf(config));
}

/** Room for the largest request that is allowed, however small `ready_max` is. */
function capacityOf({ readyMax }: PoolConfig): number {
  return Math.max(readyMax, COUNT_MAX);
}

/** For the board of settings: those that are given. */
export function changeableOf({ target, ready, lowHours }: PoolChange) {
  return {
    ...(target !== undefined && { target }),
    ...(ready !== undefined && { ready }),
    ...(lowHours !== undefined && { lowMs: Math.round(lowHours * HOUR_MS) }),
  };
}

export function settingsBoard({ settings }: SharedPool): SettingsBoard {
  return new Board(SETTINGS_FIELDS, settings);
}

export function countsBoard({ counts }: SharedPool): CountsBoard {
  return new Board(COUNT_FIELDS, counts);
}

export function grindingBoard({ grinding }: SharedPool): GrindingBoard {
  return new Board(GRINDING_FIELDS, grinding);
}
