/**
 * The changes that every address goes through: it comes in, is leased, and is recorded as handed
 * out. Runs in the store thread, inside a transaction of the caller.
 */

import type { Origin } from '../address.ts';
import type { HandOuts } from '../hand-out.ts';
import type { OwnClock } from '../own-clock.ts';
import { type Range, sizeOf, without } from '../ranges.ts';
import type { InsertReport, Refusal } from '../store.ts';
import type { Addresses, SealedAddress } from './addresses.ts';
import type { BoundRows } from './bound-rows.ts';
import type { HandOutBook } from './hand-out-book.ts';
import type { Segments } from './segments.ts';
import { metaOf, type PoolRow, type Statements } from './statements.ts';

export interface ChangesOptions {
  readonly statements: Statements;
  readonly segments: Segments;
  readonly handOuts: HandOutBook;
  readonly addresses: Addresses;
  readonly rows: BoundRows;
  /** Of the run as it is now. */
  readonly run: { readonly epoch: number };
  readonly clock: OwnClock;
  /** Of a name. Error: POOL_NOT_FOUND. */
  readonly poolRow: (name: string) => PoolRow;
}

export class Changes {
  readonly #options: ChangesOptions;

  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  insert(hits: readonly SealedAddress[], origin: Origin): InsertReport {
    const { statements, segments, addresses, poolRow } = this.#options;
    const { saveNextId, countGround, countImported } = statements;
    const count = origin === 'ground' ? countGround : countImported;
    const createdAt = this.#options.clock.now;
    const ends = new Map<string, { pool: PoolRow; first: number; next: number }>();
    const firstId = metaOf(statements).next_id;
    let id = firstId;
    for (const hit of hits) {
      const { pool: name } = hit;
      let end = ends.get(name);
      if (end === undefined) {
        const pool = poolRow(name);
        const first = pool.ground + pool.imported + 1;
        end = { pool, first, next: first };
        ends.set(name, end);
      }
      const row = { id, seq: end.next, origin, createdAt };
      if (!addresses.insert(end.pool, row, hit)) continue;
      id++;
      end.next++;
    }
    for (const { pool, first, next } of ends.values()) {
      if (next === first) continue;
      segments.append(pool.id, { first, last: next - 1 });
      count.run(next - first, pool.id);
    }
    saveNextId.run(id);
    const inserted = id - firstId;
    return { inserted, duplicates: hits.length - inserted };
  }

  /** What lies before `head` left, but for what is held or refused. */
  record({ id, position }: PoolRow, head: number, handOuts: HandOuts): readonly Refusal[] {
    const { statements, segments, handOuts: book, run, clock } = this.#options;
    const { epoch } = run;
    const at = clock.exact;
    const records = handOuts.records.map((one) => ({ ...one, at: clock.recorded(one.at) }));
    const queue = { pool: id, epoch };
    const { held, freed, refused } = book.record(queue, position, { ...handOuts, records });
    for (const seq of held) {
      segments.change(id, { first: seq, last: seq }, 'leased', { to: 'reserved', epoch, at });
    }
    for (const range of freed) segments.change(id, range, 'leased', { to: 'available' });
    const popped = Math.max(head - position, 0);
    const others = held.length + freed.reduce((sum, range) => sum + sizeOf(range), 0);
    const recorded = others + segments.dispense(id, popped - others, epoch, at);
    if (recorded !== popped) {
      throw new RangeError(`pool ${id}: ${popped} popped, but ${recorded} are leased`);
    }
    if (popped > 0) statements.advance.run(head, id);
    return refused;
  }

  /** What cannot be unsealed never comes into the queue. */
  lease({ id, position, leased }: PoolRow, ranges: readonly Range[], unsealable: number[]): void {
    const { segments, handOuts, run, clock } = this.#options;
    const { epoch } = run;
    const at = clock.now;
    segments.lease(id, ranges, epoch, at);
    for (const seq of unsealable) {
      const burned = { to: 'burned', epoch, at, cause: 'unsealable' } as const;
      segments.change(id, { first: seq, last: seq }, 'leased', burned);
    }
    // Behind those that were leased before this turn, however many of them it records.
    const behind = position + leased;
    handOuts.lease({ pool: id, epoch }, behind, without(ranges, unsealable));
  }

  /** Deleted, with all that could still leave: how many that were. */
  removePool(pool: PoolRow, head: number, handOuts: HandOuts): number {
    const { statements, segments, handOuts: book, rows, run, clock } = this.#options;
    const { epoch } = run;
    this.record(pool, head, handOuts);
    const at = clock.now;
    book.takeBack({ pool: pool.id, epoch }, Math.max(pool.position, head));
    const burned = { to: 'burned', epoch, at, cause: 'deleted' } as const;
    const count = segments.burnAll(pool.id, burned);
    statements.endReservations.run(at, pool.id);
    statements.removePool.run(at, pool.id);
    rows.bind('pool', { ...pool, settings: null, is_paused: 0, removed_at: at });
    return count;
  }

  /** What is leased behind the position of the queue returns, or is burned: how many. */
  endQueue({ id, position }: PoolRow, rest: 'return' | 'burn'): number {
    const { segments, handOuts, run, clock } = this.#options;
    const { epoch } = run;
    handOuts.takeBack({ pool: id, epoch }, position);
    const burned = { to: 'burned', epoch, at: clock.now, cause: 'deleted' } as const;
    return segments.changeAll(id, 'leased', rest === 'return' ? { to: 'available' } : burned);
  }
}
