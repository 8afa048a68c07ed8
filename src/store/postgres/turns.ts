/** Turns of queues, and their ends. Runs in the store thread. */
import type { LeasedAddress } from '../address.ts';
import { type HandOuts, NO_HAND_OUTS } from '../hand-out.ts';
import { type Range, without } from '../ranges.ts';
import type { EndedQueue, EndReport, Refusal, TurnOrder, TurnReport } from '../store.ts';
import type { Addresses } from './addresses.ts';
import { countsOf, moveFigures } from './figures.ts';
import { cutOut, lease, leased, type Recorded, record } from './hand-outs.ts';
import { burn, giveBack, sum, takeAvailable } from './lanes.ts';
import type { PoolRow, PoolRows } from './pool-rows.ts';
import type { CountedJournals, Fence, FencedQueue, Queues } from './queues.ts';
import type { Run } from './run.ts';
import type { Query } from './transaction.ts';

export interface TurnsOptions {
  readonly run: Run;
  readonly queues: Queues;
  readonly addresses: Addresses;
  readonly pools: PoolRows;
}

/** For a key or a quota of which another node decides: longer than it may stand still. */
const LOCK_MS = 6000;

export class Turns {
  readonly #options: TurnsOptions;
  /** Of pools, by name: they change with the database alone. */
  readonly #ids = new Map<string, number>();

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** Another epoch has begun. */
  clear(): void {
    this.#ids.clear();
  }

  async turn({
    pool: name,
    head,
    wanted,
    handOuts = NO_HAND_OUTS,
  }: TurnOrder): Promise<TurnReport> {
    const { queues, addresses, pools } = this.#options;
    const id = await this.idOf(name);
    let opened: readonly LeasedAddress[] = [];
    const turn = async (fence: Fence, query: Query): Promise<TurnReport> => {
      const queue = await this.#pass(fence, id, head, handOuts);
      // Behind the fence: a deletion of the pool waits for this queue, or is seen here.
      const pool = await pools.row(query, name);
      const recorded = await this.#record(query, queue, pool, head, handOuts);
      const { pushed } = queue.before;
      // What a turn leased whose commit had no answer.
      const late = await leased(query, queue, queue.reported, pushed - queue.reported);
      const more = pool.state === 'open' ? wanted - sum(late) : 0;
      const fresh = await takeAvailable(query, id, more);
      const unsealed = await addresses.unseal(query, pool, [...late, ...fresh]);
      opened = unsealed.addresses;
      const { unsealable } = unsealed;
      const good = without(fresh, unsealable);
      const count = sum(good);
      const moved = { available: -sum(fresh), leased: count, burned: unsealable.length };
      const position = Math.max(queue.before.position, head);
      // Asked for in this order, and answered together.
      const [, , , , counts] = await Promise.all([
        lease(query, queue, pushed, good),
        this.#burn(query, pool, unsealable),
        fence.push(id, pushed + count, [...late, ...fresh]),
        moveFigures(query, id, this.#node, moved),
        countsOf(query, id, pushed + count - position),
      ]);
      return {
        leased: opened,
        position: queue.reported,
        refused: recorded.refused,
        burned: unsealable.length,
        counts,
        failure: undefined,
      };
    };
    try {
      return await queues.change([id], turn, { lockMs: LOCK_MS });
    } catch (error) {
      for (const { key } of opened) key.fill(0);
      throw error;
    }
  }

  async end(ended: readonly EndedQueue[], rest: 'return' | 'burn'): Promise<EndReport> {
    const { queues, pools } = this.#options;
    const byId = new Map<number, EndedQueue>();
    for (const queue of ended) byId.set(await this.idOf(queue.pool), queue);
    const order = [...byId].sort(([a], [b]) => a - b);
    return queues.change(
      order.map(([id]) => id),
      async (fence, query) => {
        const refused: (Refusal & { pool: string })[] = [];
        let count = 0;
        for (const [, queue] of order) {
          const pool = await pools.known(query, queue.pool);
          const report = await this.endOne(fence, query, pool, queue, rest);
          refused.push(...report.refused.map((one) => ({ ...one, pool: queue.pool })));
          count += report.rest;
        }
        return { rest: count, refused, failure: undefined };
      },
      { lockMs: LOCK_MS },
    );
  }

  /** Inside a transaction of `Queues.change`. */
  async endOne(
    fence: Fence,
    query: Query,
    pool: PoolRow,
    { head, handOuts = NO_HAND_OUTS }: Omit<EndedQueue, 'pool'>,
    rest: 'return' | 'burn',
  ): Promise<{ readonly rest: number; readonly refused: readonly Refusal[] }> {
    const queue = await this.#pass(fence, pool.id, head, handOuts);
    const { refused } = await this.#record(query, queue, pool, head, handOuts);
    const from = Math.max(queue.before.position, head);
    const left = await cutOut(query, queue, from, queue.before.pushed - from);
    const count = sum(left);
    if (rest === 'return') await giveBack(query, pool.id, left);
    else await burn(query, pool.id, left, this.#options.run.now, 'deleted');
    await fence.end(pool.id);
    const to = rest === 'return' ? 'available' : 'burned';
    await moveFigures(query, pool.id, this.#node, { leased: -count, [to]: count });
    return { rest: count, refused };
  }

  get #node(): string {
    return this.#options.run.node.id;
  }

  #pass(fence: Fence, pool: number, head: number, handOuts: HandOuts): Promise<FencedQueue> {
    return fence.pass(pool, head, (known) => counted(known, handOuts));
  }

  /** What lies before `head` left, but for what is held or refused. */
  async #record(
    query: Query,
    queue: FencedQueue,
    pool: PoolRow,
    head: number,
    { records }: HandOuts,
  ): Promise<Recorded> {
    const { clock } = this.#options.run;
    const known = records.map((one) => ({ ...one, at: clock.recorded(one.at) }));
    const recorded = await record(query, queue, queue.before.position, known);
    await giveBack(query, pool.id, recorded.freed);
    const popped = Math.max(head - queue.before.position, 0);
    const [held, freed] = [recorded.held.length, sum(recorded.freed)];
    await moveFigures(query, pool.id, this.#node, {
      ...{ leased: -popped, reserved: held, available: freed },
      dispensed: popped - held - freed,
    });
    return recorded;
  }

  async #burn(query: Query, { id }: PoolRow, unsealable: readonly number[]): Promise<void> {
    const ranges: Range[] = unsealable.map((one) => ({ first: one, last: one }));
    await burn(query, id, ranges, this.#options.run.now, 'unsealable');
  }

  /** Errors: POOL_NOT_FOUND, STORE_FORGED. */
  async idOf(name: string): Promise<number> {
    const found = this.#ids.get(name);
    if (found !== undefined) return found;
    const { run, pools } = this.#options;
    const { id } = await run.transaction((query) => pools.known(query, name));
    this.#ids.set(name, id);
    return id;
  }
}

function counted(known: CountedJournals, { journals, countsLease }: HandOuts): CountedJournals {
  if (journals.size === 0 && countsLease !== true) return known;
  const next = Object.entries(known).map(([number, journal]) => [
    number,
    {
      recorded: journals.get(Number(number)) ?? journal.recorded,
      leases: journal.leases + (countsLease === true ? 1 : 0),
    },
  ]);
  return Object.fromEntries(next);
}
