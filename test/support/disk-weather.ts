/**
 * Faults of a disk as they come and go over a data directory, its witness and its journals: what of
 * a store each of them strikes, and what the disk may answer there. Where nothing can be written,
 * everything else of the same disk is as it was: each place fails alone, or in a pair with another.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Fault, FaultyDisk, FaultyPlace, Kind } from './faulty-disk.ts';
import type { randomOf } from './sequence.ts';
import type { Server } from './server.ts';

type Random = ReturnType<typeof randomOf>;

/** What a server may end with whose disk fails. None says that the store is no longer itself. */
const CODES: readonly string[] = [
  'DISK_FULL',
  'DATA_NOT_WRITABLE',
  'STORE_UNAVAILABLE',
  'STORE_LOCKED',
  'JOURNAL_UNAVAILABLE',
];

/** Where the files of a server lie. */
export interface Paths {
  readonly data: string;
  readonly state: string;
  /** Where its journals in memory are, of whatever store. */
  readonly memory: string;
}

/** What can be read is read all the time. */
type Change = Exclude<Kind, 'read'>;

interface Target {
  readonly aim: (place: FaultyPlace, paths: Paths) => void;
  /** Each fails alone, or all of them do. */
  readonly kinds: readonly Change[];
  /** A server that has work to do finds the fault, whatever kind fails. */
  readonly isFelt: boolean;
}

const FULL: readonly Fault[] = ['ENOSPC', 'EDQUOT'];
/** What Linux may answer. Nothing is full for a sync on most disks; on those that allocate late it is. */
const FAULTS: Readonly<Record<Change, readonly Fault[]>> = {
  write: [...FULL, 'EIO', 'EROFS'],
  resize: [...FULL, 'EIO', 'EROFS'],
  sync: [...FULL, 'EIO'],
  open: [...FULL, 'EIO', 'EROFS', 'EACCES'],
  rename: [...FULL, 'EIO', 'EROFS', 'EACCES'],
  unlink: ['EIO', 'EROFS', 'EACCES'],
};

const below = (name: string) => (place: FaultyPlace, paths: Paths) =>
  place.strikeBelow(join(paths.data, name));

const TARGETS = {
  database: {
    aim: (place, { data }) => place.strikeAt(join(data, 'store.db')),
    kinds: ['write', 'resize', 'sync', 'open'],
    isFelt: false,
  },
  log: { aim: below('store.db-wal'), kinds: ['write', 'sync'], isFelt: true },
  'end of the log': {
    aim: below('store.db-wal'),
    kinds: ['resize', 'open', 'unlink'],
    isFelt: false,
  },
  index: {
    aim: below('store.db-shm'),
    kinds: ['write', 'resize', 'open', 'unlink'],
    isFelt: false,
  },
  anchor: { aim: below('store.db-anchor-'), kinds: ['rename'], isFelt: true },
  directory: {
    aim: (place, { data }) => place.strikeAt(data),
    kinds: ['sync'],
    isFelt: true,
  },
  witness: {
    aim: (place, { state }) => place.strikeBelow(state),
    kinds: ['write', 'sync', 'open', 'unlink'],
    isFelt: false,
  },
  'journals in memory': {
    aim: (place, { memory }) => place.strikeBelow(memory),
    kinds: ['write', 'open', 'unlink', 'sync'],
    isFelt: false,
  },
  'journals on disk': {
    aim: below('journal'),
    kinds: ['write', 'open', 'unlink', 'sync'],
    isFelt: false,
  },
  'own files': {
    aim: below('admin.token'),
    kinds: ['write', 'open', 'sync', 'unlink'],
    isFelt: false,
  },
  lock: { aim: below('lock'), kinds: ['write', 'open', 'resize', 'unlink'], isFelt: false },
  'data directory': {
    aim: (place, { data }) => place.strikeBelow(data),
    kinds: ['write', 'resize', 'sync', 'open', 'rename', 'unlink'],
    isFelt: false,
  },
} as const satisfies Readonly<Record<string, Target>>;

export type TargetName = keyof typeof TARGETS;
const NAMES = Object.keys(TARGETS) as TargetName[];
/** What a commit passes on its way, until it takes effect. */
const WAY: readonly TargetName[] = ['log', 'anchor', 'directory', 'witness'];

export interface Blow {
  readonly target: TargetName;
  readonly fault: Fault;
  readonly kinds: readonly Change[];
}

/** One, or a pair; half of them strike a commit on its way, often at two steps of it. */
export function drawBlows(random: Random): Blow[] {
  const names = random(0, 1) === 0 ? NAMES : WAY;
  const count = names === WAY ? random(1, 3) : random(1, 2);
  return Array.from({ length: Math.min(count, 2) }, () => drawBlow(random, names));
}

function drawBlow(random: Random, names: readonly TargetName[]): Blow {
  const one = <T>(values: readonly T[]): T => values[random(0, values.length - 1)]!;
  const target = one(names);
  const kinds: readonly Change[] = TARGETS[target].kinds;
  const kind = one(kinds);
  const fault = one(FAULTS[kind]);
  // Of a disk that is full or read-only nothing works that needs more than was there.
  const all = kinds.filter((other) => FAULTS[other].includes(fault));
  return { target, fault, kinds: random(0, 2) === 0 ? all : [kind] };
}

/** Whether a server that has work to do will say that its store fails. */
export function areFelt(blows: readonly Blow[]): boolean {
  return blows.some(({ target }) => TARGETS[target].isFelt);
}

/** From now on. Each has a place of its own, by its number among those that strike together. */
export function strike(disk: FaultyDisk, paths: Paths, blow: Blow, number: number): void {
  const place = disk.places[number]!;
  place.heal();
  TARGETS[blow.target].aim(place, paths);
  place.fail(blow.fault, ...blow.kinds);
}

export function wordsOf(blows: readonly Blow[]): string {
  return blows
    .map(({ target, fault, kinds }) => `${target}: ${fault} on ${kinds.join()}`)
    .join('; ');
}

/** A server ended with a code that says so, or one of `more`, and not because a thread did. */
export function assertFailureOfDisk({ output, log }: Server, ...more: readonly string[]): void {
  const [, code = 'no code'] = /\(([A-Z_]+)\)\n$/.exec(output) ?? [];
  assert.ok(CODES.includes(code) || more.includes(code), `${code}: ${output}`);
  assert.ok(!log.some(({ level }) => level === 'fatal'), output);
}
