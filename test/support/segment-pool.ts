/**
 * A pool of some addresses whose rows hold no secret, in a database in memory with the schema of
 * the store: for tests of the states alone.
 */
import { randomBytes } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type { Range } from '../../src/store/ranges.ts';
import { openDatabase } from '../../src/store/sqlite/database.ts';
import { type BurnCause, Segments, type State } from '../../src/store/sqlite/segments.ts';

const POOL = 1;
export const AT = 1_700_000_000_000;

export class SegmentPool {
  readonly db: DatabaseSync;
  readonly segments: Segments;

  constructor(size: number) {
    this.db = openDatabase(':memory:');
    this.db.exec(`
      INSERT INTO pools (id, name, prefix, suffix, ignore_case, keys, handout)
        VALUES (${POOL}, 'pet', '', 'a', 0, 'seed', 'secret');
      INSERT INTO data_keys VALUES (1, x'00', 0);`);
    const insert = this.db.prepare(`INSERT INTO addresses
      VALUES (?1, ${POOL}, ?1, ?2, 1, zeroblob(92), 'ground', 0)`);
    for (let seq = 1; seq <= size; seq++) insert.run(seq, randomBytes(32));
    this.segments = new Segments(this.db);
    this.segments.append(POOL, { first: 1, last: size });
    this.db.exec(`UPDATE pools SET available = ${size}, ground = ${size}`);
  }

  /** Segments as 'first-last state', in order. */
  get list(): string[] {
    const rows = this.db.prepare('SELECT first, last, state FROM segments ORDER BY first').all();
    return rows.map(({ first, last, state }) => `${first}-${last} ${state}`);
  }

  figure(state: string): number {
    return Number(this.db.prepare('SELECT * FROM pools').get()?.[state]);
  }

  lease(...ranges: Range[]): void {
    this.segments.lease(POOL, ranges, 1, AT);
  }

  dispense(range: Range, at = AT, from: State = 'leased'): void {
    this.segments.change(POOL, range, from, { to: 'dispensed', epoch: 1, at });
  }

  burn(range: Range, from: State, cause: BurnCause = 'crash'): void {
    this.segments.change(POOL, range, from, { to: 'burned', epoch: 1, at: AT, cause });
  }

  returnLease(): number {
    return this.segments.changeAll(POOL, 'leased', { to: 'available' });
  }

  oldest(state: 'available' | 'leased', count = Number.POSITIVE_INFINITY): Range[] {
    return this.segments.oldest(POOL, state, count);
  }
}
