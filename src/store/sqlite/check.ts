/**
 * Whether the database of a store is whole. What a start can wait for is checked at its start, by
 * the thread that opens the store; the rest by a process of its own (check-runner.ts), meanwhile.
 *
 * SQLite looks after its pages (`quick_check`), and we after what they say: the segments of a pool
 * partition its addresses and agree with its figures, ids are not given twice. For a million
 * addresses (220 MB) `quick_check` takes 0.4 s, and more than a second from a cold disk;
 * `integrity_check`, which also compares each row with each index, 2.6 s and 6 s: it is not made.
 *
 * A read-only connection does not report broken CHECK constraints: those that matter follow
 * from ours. What no check can see is a row that was changed to another one that may be. A backup is
 * checked for that too, byte by byte (backup-file.ts), and a sealed secret by its own tag.
 */
import { statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { triedAgain } from '../../disk/reads.ts';
import { openToRead } from './database.ts';
import {
  damaged,
  decided,
  isDoubtful,
  mayPass,
  refused,
  storeError,
  tellsRefusal,
  undoubted,
} from './error.ts';
import { readAlone } from './read-alone.ts';

/** `quick_check` takes some 50 ms for as much. */
const SMALL_FILE_BYTES = 32 * 2 ** 20;
/** Some 60 ms. A pool gets at most one more in each second in which it hands out. */
const FEW_SEGMENTS = 100_000;

const SQL = {
  ids: `SELECT (SELECT count(*) FROM meta) AS metas, (SELECT max(next_id) FROM meta) AS next_id,
    (SELECT coalesce(max(id), 0) FROM addresses) AS id`,
  pools: `SELECT *, ground + imported AS size,
    (SELECT coalesce(max(seq), 0) FROM addresses WHERE pool_id = pools.id) AS seq FROM pools`,
  fewSegments: `SELECT count(*) AS segments FROM (SELECT 1 FROM segments LIMIT ${FEW_SEGMENTS + 1})`,
  segments: `SELECT coalesce(min(first), 1) AS first, coalesce(sum(last - first + 1), 0) AS size,
      coalesce(sum(last <> :size AND NOT EXISTS (
        SELECT 1 FROM segments AS next WHERE next.pool_id = :id AND next.first = segments.last + 1
      )), 0) AS gaps
    FROM segments WHERE pool_id = :id`,
  states: `SELECT state, sum(last - first + 1) AS size FROM segments
    WHERE pool_id = ? GROUP BY state`,
  addresses: 'SELECT count(*) AS size FROM addresses WHERE pool_id = ?',
} as const;

/**
 * The part that takes no longer for more addresses: about a tenth of a second at most. Errors:
 * STORE_CORRUPT, with the steps to take; STORE_UNAVAILABLE, also in doubt (`judged`).
 */
export function checkAtOpen(db: DatabaseSync, path: string): void {
  const look = () => {
    checkFigures(db, path);
    if (statSync(path).size <= SMALL_FILE_BYTES) checkPages(db, path);
    const { segments } = db.prepare(SQL.fewSegments).get()!;
    if (Number(segments) <= FEW_SEGMENTS) checkSegments(db, path);
  };
  triedAgain(() => findIn(path, look), mayPass);
}

/**
 * All of it, by a connection of its own that only reads, in one state of the store. `isAtRest`:
 * nobody writes the file, and no file appears beside it; as it seems if not given. `isInDoubt`: each
 * row is compared with each index, too. This process has no other connection to it. Errors:
 * STORE_CORRUPT, with the steps to take; STORE_UNAVAILABLE where the disk refuses; those of opening.
 */
export function checkWhole(path: string, isAtRest?: boolean, isInDoubt = false): void {
  decided(path, 'running', () => {
    using db = openToRead(path, isAtRest);
    db.exec('BEGIN');
    checkAll(db, path);
    if (isInDoubt) checkIndexes(db, path);
  });
}

/**
 * The same of files of which one was put back: each row is compared with each index, too. The caller
 * has the store to itself, and closed. Errors as of `checkWhole`.
 */
export function checkMixed(path: string): void {
  decided(path, 'running', () =>
    readAlone(path, (db) => {
      checkAll(db, path);
      checkIndexes(db, path);
    }),
  );
}

/** What `error`, of a store that the caller has to itself, and closed, is when all of that is read. */
export function judged(error: unknown, path: string): unknown {
  if (!isDoubtful(error)) return error;
  try {
    checkMixed(path);
    return undoubted(error);
  } catch (found) {
    return found;
  }
}

function checkAll(db: DatabaseSync, path: string): void {
  checkFigures(db, path);
  checkPages(db, path);
  checkSegments(db, path);
  for (const { id, name, size } of db.prepare(SQL.pools).all()) {
    const stored = db.prepare(SQL.addresses).get(id!)!.size;
    if (stored !== size) throw damaged(path, `pool ${name}: ${stored} of ${size} addresses`);
  }
}

/** What SQLite finds by itself gets the steps to take too. */
function findIn(path: string, look: () => void): void {
  try {
    look();
  } catch (cause) {
    throw storeError(cause, path, 'running');
  }
}

function checkFigures(db: DatabaseSync, path: string): void {
  const { metas, next_id, id } = db.prepare(SQL.ids).get()!;
  if (metas !== 1) throw damaged(path, 'it does not say what it is');
  if (Number(next_id) <= Number(id)) {
    throw damaged(path, `the next id would be ${next_id}, and ${id} is given`);
  }
  for (const { name, size, seq } of db.prepare(SQL.pools).all()) {
    if (seq !== size) throw damaged(path, `pool ${name}: ${seq} of ${size} addresses`);
  }
}

function checkPages(db: DatabaseSync, path: string): void {
  const { quick_check: found } = db.prepare('PRAGMA quick_check(1)').get()!;
  assertOk(found, path);
  const [orphan] = db.prepare('PRAGMA foreign_key_check').all();
  if (orphan !== undefined) throw damaged(path, `${orphan.table}: rows that belong to nothing`);
}

function checkIndexes(db: DatabaseSync, path: string): void {
  const { integrity_check: found } = db.prepare('PRAGMA integrity_check(1)').get()!;
  assertOk(found, path);
}

/** A page that could not be read is a finding, too. */
function assertOk(found: unknown, path: string): void {
  if (found === 'ok') return;
  const text = String(found).replaceAll('\n', ' ');
  throw tellsRefusal(text) ? refused(path, text) : damaged(path, text);
}

/** A chain from the first address to the last, and no segment beside it: a partition. */
function checkSegments(db: DatabaseSync, path: string): void {
  const segments = db.prepare(SQL.segments);
  const states = db.prepare(SQL.states);
  for (const pool of db.prepare(SQL.pools).all()) {
    const { id, name, size } = pool as { id: number; name: string; size: number };
    const found = segments.get({ id, size })!;
    if (found.first !== 1 || found.gaps !== 0 || found.size !== size) {
      throw damaged(path, `pool ${name}: the states of its addresses have gaps or overlap`);
    }
    const sums = new Map(states.all(id).map((row) => [row.state, row.size]));
    for (const state of ['available', 'leased', 'reserved', 'dispensed', 'burned']) {
      const sum = sums.get(state) ?? 0;
      if (sum === pool[state]) continue;
      throw damaged(
        path,
        `pool ${name}: ${sum} addresses are ${state}, and ${pool[state]} are counted`,
      );
    }
  }
}
