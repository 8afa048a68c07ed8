/**
 * What a disk is sure to hold at a moment of a recorded server, asked by id: the state of an address
 * in the database, with what was synced by then and nothing else. For the exact order of commit,
 * sync and reply: no chance decides which moments are looked at, each reply is one.
 */
import { mkdirSync, rmSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { type Disk, writeImage } from './power-loss.ts';
import { withDatabase } from './sqlite-stores.ts';

const STATE = `SELECT state FROM addresses JOIN segments USING (pool_id)
  WHERE id = ? AND seq BETWEEN first AND last`;

export class DurableState {
  readonly #directory: string;
  /** Of addresses that were asked for since the last sync. */
  readonly #known = new Map<number, string | undefined>();

  /** Makes the directory, for as long as a question takes. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** After each sync that has ended. */
  forget(): void {
    this.#known.clear();
  }

  /** By id; undefined for those that are not there. */
  statesOf(disk: Disk, ids: readonly number[]): (string | undefined)[] {
    if (ids.some((id) => !this.#known.has(id))) this.#look(disk, ids);
    return ids.map((id) => this.#known.get(id));
  }

  #look(disk: Disk, ids: readonly number[]): void {
    mkdirSync(this.#directory, { mode: 0o700 });
    try {
      // 'none' survives of what was not synced: nothing is drawn.
      const image = disk.after('none', (min) => min);
      const database = new Map([...image].filter(([name]) => /^store\.db(-wal)?$/.test(name)));
      writeImage(this.#directory, database);
      const isThere = (db: DatabaseSync) =>
        db.prepare(`SELECT 1 FROM sqlite_schema WHERE name = 'segments'`).get() !== undefined;
      withDatabase(this.#directory, (db) => {
        const states = isThere(db) ? db.prepare(STATE) : undefined;
        for (const id of ids) {
          const state = states?.get(id)?.state;
          this.#known.set(id, state === undefined ? undefined : String(state));
        }
      });
    } finally {
      rmSync(this.#directory, { recursive: true, force: true });
    }
  }
}
