/**
 * Hand-outs that have to wait for the store: with an idempotency key, under a quota, or for the disk. Runs in the
 * store thread, the only one of its kind, so that two requests with one key meet here whichever
 * HTTP threads they came to.
 *
 * A key is looked up in what is not recorded yet, then in the store; only a key that is in neither
 * is served anew. What was popped for it stays in memory until a turn has recorded it with the
 * key, so there is no moment at which a key that was served is in neither. An error is not kept:
 * the next request with that key begins anew.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Durability } from '../config.ts';
import { VanityError } from '../errors.ts';
import type { EarlierHandOut, Store } from '../store/store.ts';
import { type Hands, type Order, Pool, type SharedPool } from './pool.ts';
import { Quotas } from './quotas.ts';
import { isBefore, type ReadyAddress } from './ready-queue.ts';
import { type Exclusively, type Refiller, readyAddress } from './refill.ts';

/** For the first of two requests with one key to be served. */
const IN_FLIGHT_MS = 5000;

export interface DispenserOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  readonly refiller: Refiller;
  readonly durability: Durability;
  /** Milliseconds for which a key is answered with what it got. */
  readonly windowMs: number;
  readonly record: Hands['record'];
}

interface Served {
  readonly pool: string;
  readonly body: Uint8Array;
  readonly addresses: Promise<ReadyAddress[]>;
  /** Position of the queue behind them; undefined until they are popped. */
  end: number | undefined;
}

export class Dispenser {
  readonly #options: DispenserOptions;
  readonly #quotas: Quotas;
  readonly #pools = new Map<string, Pool>();
  /** By idempotency key: what is in flight or not recorded yet. */
  readonly #served = new Map<string, Served>();

  constructor(options: DispenserOptions) {
    this.#options = options;
    this.#quotas = new Quotas(options.store.tokens, options.exclusively);
  }

  add(shared: SharedPool): void {
    const { refiller, record } = this.#options;
    const refill = (pool: string, count: number) => refiller.refill(pool, count);
    this.#pools.set(shared.name, new Pool(shared, { refill, record }));
  }

  /**
   * All `count` addresses or none. Errors: POOL_EMPTY, STORE_UNAVAILABLE, JOURNAL_UNAVAILABLE,
   * QUOTA_EXCEEDED, and with a key IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_FLIGHT, IDEMPOTENCY_EXPIRED.
   */
  async dispense(order: Order): Promise<ReadyAddress[]> {
    const { refiller, durability } = this.#options;
    const { key, body } = order.receiver;
    const addresses = await (key === undefined ? this.#pop(order) : this.#once(order, key, body!));
    if (durability === 'committed') await refiller.commit(order.pool);
    return addresses;
  }

  /** After a turn: forgets what it recorded. */
  sweep(pool: string): void {
    const before = this.#options.refiller.recordedBefore(pool);
    for (const [id, served] of this.#served) {
      const { end } = served;
      if (served.pool === pool && end !== undefined && !isBefore(before, end)) {
        this.#served.delete(id);
      }
    }
  }

  async #once(order: Order, key: Uint8Array, body: Uint8Array): Promise<ReadyAddress[]> {
    const id = Buffer.from(key).toString('base64');
    const first = this.#served.get(id);
    if (first !== undefined) {
      assertSame(first.body, body);
      return Promise.race([first.addresses, inFlight()]);
    }
    const served: Served = {
      pool: order.pool,
      body,
      addresses: this.#lookUpOrPop(order, key, body, (end) => {
        served.end = end;
      }),
      end: undefined,
    };
    this.#served.set(id, served);
    try {
      return await served.addresses;
    } finally {
      // Not popped now: in the store, or refused.
      if (served.end === undefined) this.#served.delete(id);
    }
  }

  async #lookUpOrPop(
    order: Order,
    key: Uint8Array,
    body: Uint8Array,
    onPopped: (end: number) => void,
  ): Promise<ReadyAddress[]> {
    const { store, exclusively } = this.#options;
    const earlier = await exclusively(() => store.handOut(key));
    if (earlier !== undefined) return this.#again(earlier, body);
    const addresses = await this.#pop(order);
    onPopped(this.#poolOf(order.pool).head);
    return addresses;
  }

  async #pop({ pool: name, count, receiver, quota }: Order): Promise<ReadyAddress[]> {
    const pool = this.#poolOf(name);
    if (quota === undefined) return pool.dispense(count, receiver);
    const taken = await this.#quotas.take(receiver.token, count, quota);
    try {
      return await pool.dispense(count, receiver);
    } catch (error) {
      taken.giveBack();
      throw error;
    }
  }

  #again({ at, body: earlier, addresses }: EarlierHandOut, body: Uint8Array): ReadyAddress[] {
    const isOver = Date.now() - at > this.#options.windowMs;
    const again = addresses?.map(readyAddress);
    for (const { keypair } of addresses ?? []) keypair.fill(0);
    if (isOver || again === undefined) {
      const detail = 'idempotency-key: its reply is kept no longer; nothing was handed out';
      throw new VanityError('IDEMPOTENCY_EXPIRED', detail);
    }
    assertSame(earlier, body);
    return again;
  }

  #poolOf(name: string): Pool {
    const pool = this.#pools.get(name);
    if (pool !== undefined) return pool;
    throw new VanityError('POOL_NOT_FOUND', `pool ${name}: not served here`);
  }
}

function assertSame(earlier: Uint8Array, body: Uint8Array): void {
  if (Buffer.compare(earlier, body) === 0) return;
  const detail = 'idempotency-key: used before with another body; nothing was handed out';
  throw new VanityError('IDEMPOTENCY_MISMATCH', detail);
}

async function inFlight(): Promise<never> {
  await sleep(IN_FLIGHT_MS, undefined, { ref: false });
  const detail = 'idempotency-key: a request with it is still being answered';
  throw new VanityError('IDEMPOTENCY_IN_FLIGHT', detail, { retryAfterSeconds: 1 });
}
