/**
 * SQLite stores in directories of their own, which are checked from outside when a test is done
 * with them: by a second connection that knows the schema, and none of the store's code.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Time } from '../../src/store/own-clock.ts';
import { type Adopted, type AdoptOptions, adoptStore } from '../../src/store/sqlite/adopt.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import type { StoreMaker } from './store-subject.ts';

export const STATES = ['available', 'leased', 'reserved', 'dispensed', 'burned'] as const;

/**
 * Where stores are made: in memory if there is such a place, where a sync costs nothing. Programs cannot be
 * run from there everywhere.
 */
const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export function temporaryDirectory(place = PLACE): string {
  return mkdtempSync(join(place, 'vanitypool-store-'));
}

export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

/** With the sealing key in the data directory, as a server has it. */
export function openStoreIn(directory: string, time?: Time): Promise<Store> {
  const sealingKey = `file:${join(directory, 'sealing.key')}`;
  return openSqliteStore({ directory, sealingKey, ...(time && { time }) });
}

/** With the sealing key in the data directory, too. */
export function adoptIn(options: Omit<AdoptOptions, 'sealingKey'>): Promise<Adopted> {
  return adoptStore({ sealingKey: `file:${join(options.directory, 'sealing.key')}`, ...options });
}

/** Runs `look` on a connection of its own to the store in `directory`. */
export function withDatabase<T>(directory: string, look: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(join(directory, 'store.db'));
  try {
    return look(db);
  } finally {
    db.close();
  }
}

/** What must hold in every store at every moment. */
export function checkStore(directory: string): void {
  withDatabase(directory, (db) => {
    assert.equal(db.prepare('PRAGMA integrity_check').get()?.integrity_check, 'ok');
    assert.deepEqual(db.prepare('PRAGMA foreign_key_check').all(), []);
    for (const pool of db.prepare('SELECT * FROM pools').all()) checkPool(db, pool);
    const { next_id } = db.prepare('SELECT next_id FROM meta').get()!;
    const { id } = db.prepare('SELECT coalesce(max(id), 0) AS id FROM addresses').get()!;
    assert.ok(Number(next_id) > Number(id), 'the next id is a new one');
  });
}

/** Segments are a partition of the seqs, agree with the figures, and are merged where they can be. */
function checkPool(db: DatabaseSync, pool: Record<string, unknown>): void {
  const id = Number(pool.id);
  const size = Number(pool.ground) + Number(pool.imported);
  const seqs = db.prepare('SELECT seq FROM addresses WHERE pool_id = ? ORDER BY seq').all(id);
  assert.deepEqual(
    seqs.map(({ seq }) => seq),
    Array.from({ length: size }, (_, index) => index + 1),
    'seqs are dense',
  );
  const counted: Record<string, number> = Object.fromEntries(STATES.map((state) => [state, 0]));
  const segments = db.prepare('SELECT * FROM segments WHERE pool_id = ? ORDER BY first').all(id);
  let next = 1;
  let before = '';
  for (const segment of segments) {
    const { first, last, state, epoch, lease, changed_at, cause, is_destroyed } = segment;
    assert.equal(first, next, 'no seq is in two segments or in none');
    counted[String(state)]! += Number(last) - Number(first) + 1;
    next = Number(last) + 1;
    const second = state === 'leased' ? 0 : Math.floor(Number(changed_at) / 1000);
    const key = JSON.stringify([state, epoch, lease, second, cause, is_destroyed]);
    assert.notEqual(key, before, 'segments that agree are one');
    before = key;
  }
  assert.equal(next, size + 1, 'every seq is in a segment');
  const figures = Object.fromEntries(STATES.map((state) => [state, pool[state]]));
  assert.deepEqual(counted, figures, 'the figures are those of the segments');
}

export class SqliteStores implements StoreMaker {
  readonly #directories = new Map<Store, string>();
  readonly #time: Time | undefined;

  /** `time` is what the clocks of its stores go by; the system's if not given. */
  constructor(time?: Time) {
    this.#time = time;
  }

  async open(): Promise<Store> {
    const directory = temporaryDirectory();
    const store = await openStoreIn(directory, this.#time);
    this.#directories.set(store, directory);
    return store;
  }

  async reopen(store: Store): Promise<Store> {
    const directory = this.directoryOf(store);
    await store.close();
    const reopened = await openStoreIn(directory, this.#time);
    this.#directories.delete(store);
    this.#directories.set(reopened, directory);
    return reopened;
  }

  async destroy(store: Store): Promise<void> {
    const directory = this.directoryOf(store);
    await store.close();
    try {
      checkStore(directory);
    } finally {
      this.#directories.delete(store);
      removeDirectory(directory);
    }
  }

  directoryOf(store: Store): string {
    return this.#directories.get(store)!;
  }
}
