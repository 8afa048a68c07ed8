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
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Durability } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import type { Order, ReservationOrder } from '../pool/calls.ts';
import { assertSame, expired, handedOutBefore } from '../pool/idempotency.ts';
import { monotonicMs } from '../pool/monotonic.ts';
import { type Hands, Pool } from '../pool/pool.ts';
import type { ReadyAddress } from '../pool/ready-address.ts';
import { isBefore } from '../pool/ready-queue.ts';
import type { SharedPool } from '../pool/shared-pool.ts';
import type { Reservation } from '../store/reservation-store.ts';
import type { Refusal, Store } from '../store/store.ts';
import type { Exclusively } from './in-turn.ts';
import { KeyLooks } from './key-looks.ts';
import { Quotas } from './quotas.ts';
import type { Refiller } from './refiller.ts';

/** How long the second of two requests with one key waits for the first. */
const IN_FLIGHT_MS = 5000;

export interface DispenserOptions {
  readonly store: Store;
  readonly exclusively: Exclusively;
  readonly refiller: Refiller;
  readonly durability: Durability;
  /** Milliseconds for which a key is answered with what it got. */
  readonly windowMs: number;
  readonly prepare: Hands['prepare'];
  readonly record: Hands['record'];
  /** Called for each reply that its key had before. */
  readonly onRepeat: () => void;
}

interface Served {
  readonly pool: string;
  readonly body: Uint8Array;
  readonly result: Promise<unknown>;
  /** Position of the queue behind them; undefined until they are popped. */
  end: number | undefined;
}

export class Dispenser {
  readonly #options: DispenserOptions;
  readonly #quotas: Quotas;
  readonly #looks: KeyLooks;
  readonly #pools = new Map<string, Pool>();
  /** By idempotency key: what is in flight or not recorded yet. */
  readonly #served = new Map<string, Served>();

  constructor(options: DispenserOptions) {
    this.#options = options;
    const { store, exclusively, refiller } = options;
    this.#looks = new KeyLooks(store, exclusively);
    this.#quotas = new Quotas({
      store,
      exclusively,
      // All that tokens have had by now.
      record: async () => {
        await Promise.all([...this.#pools.keys()].map((pool) => refiller.record(pool)));
      },
    });
  }

  add(shared: SharedPool): void {
    const { refiller, prepare, record } = this.#options;
    const refill = (pool: string, count: number) => refiller.refill(pool, count);
    this.#pools.set(shared.name, new Pool(shared, { refill, prepare, record }));
  }

  /** Of a pool that is deleted. Idempotency keys in flight end with its errors. */
  remove(pool: string): void {
    this.#pools.delete(pool);
    for (const [id, served] of this.#served) if (served.pool === pool) this.#served.delete(id);
  }

  /**
   * All `count` addresses or none. Errors: POOL_EMPTY, STORE_UNAVAILABLE, JOURNAL_UNAVAILABLE,
   * QUOTA_EXCEEDED, REQUEST_TIMEOUT when nobody waits for it any longer, and with a key
   * IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_FLIGHT, IDEMPOTENCY_EXPIRED.
   */
  async dispense(order: Order): Promise<ReadyAddress[]> {
    const { refiller, store, durability } = this.#options;
    const { key, body } = order.receiver;
    const pop = () => this.#popTaken(order);
    const addresses = await (key === undefined
      ? pop()
      : this.#once(order.pool, key, body!, () => this.#repeat(order.pool, key, body!), pop));
    // Another node signs with what it knows of.
    const isSigned = store.isShared && this.#pools.get(order.pool)?.shared.handout === 'sign-only';
    if (durability === 'committed' || isSigned) await refiller.commit(order.pool);
    return addresses;
  }

  /**
   * Holds one address for a client, durably in either mode. Errors as of `dispense`.
   */
  async reserve(order: ReservationOrder): Promise<Reservation> {
    const { key, body } = order.receiver;
    const make = () => this.#popReserved(order);
    const reservation = await (key === undefined
      ? make()
      : this.#once(order.pool, key, body!, () => this.#repeatReserved(key, body!), make));
    await this.#options.refiller.commit(order.pool);
    return reservation;
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

  /**
   * `repeat` looks in the store for what the key got before; `make` serves it anew, by a pop. Where the store
   * refused that, another run has served the key meanwhile.
   */
  async #once<T>(
    pool: string,
    key: Uint8Array,
    body: Uint8Array,
    repeat: () => Promise<T | undefined>,
    make: () => Promise<T>,
  ): Promise<T> {
    const id = Buffer.from(key).toString('base64');
    const first = this.#served.get(id);
    if (first !== undefined) {
      assertSame(first.body, body);
      // The key says which route it is of, and so what its result is.
      const result = await Promise.race([first.result as Promise<T>, inFlight()]);
      this.#options.onRepeat();
      return result;
    }
    const repeated = async (): Promise<T | undefined> => {
      const earlier = await repeat();
      if (earlier !== undefined) this.#options.onRepeat();
      return earlier;
    };
    const repeatOrMake = async (): Promise<T> => {
      const earlier = (await this.#looks.isServed(key)) ? await repeated() : undefined;
      if (earlier !== undefined) return earlier;
      try {
        const made = await make();
        if (!this.#options.store.isShared) served.end = this.#poolOf(pool).head;
        return made;
      } catch (error) {
        const winner = error instanceof Refused ? await repeated() : undefined;
        if (winner === undefined) throw error;
        return winner;
      }
    };
    const served: Served = { pool, body, result: Promise.resolve(), end: undefined };
    const result = repeatOrMake();
    this.#served.set(id, Object.assign(served, { result }));
    try {
      return await result;
    } finally {
      // Not popped now: in the store, or refused.
      const isOwn = this.#served.get(id) === served;
      if (isOwn && served.end === undefined) this.#served.delete(id);
    }
  }

  async #popReserved(order: ReservationOrder): Promise<Reservation> {
    this.#options.refiller.assertWorks();
    const { pool, ttlMs, receiver, quota, until } = order;
    const at = this.#options.store.clock.exact;
    const id = randomBytes(16).toString('hex');
    const held = { ...receiver, at, reservation: { id, ttlMs } };
    const [popped] = await this.#popTaken({ pool, count: 1, receiver: held, quota, until });
    const { address } = popped!;
    return { id, pool, address, token: receiver.token, expiresAt: at + ttlMs, state: 'reserved' };
  }

  async #repeatReserved(key: Uint8Array, body: Uint8Array): Promise<Reservation | undefined> {
    const { store, exclusively, windowMs } = this.#options;
    const earlier = await exclusively(() => store.reservations.madeWith(key));
    if (earlier === undefined) return undefined;
    if (store.clock.isOver(earlier.at, windowMs)) throw expired();
    assertSame(earlier.body, body);
    return earlier.reservation;
  }

  /**
   * As `#pop`. Where other runs hand out of the store, too, what they may have given away waits until the
   * store has taken it. Errors beside those of `#pop`: STORE_UNAVAILABLE, and `Refused` for its key.
   */
  async #popTaken(order: Order): Promise<ReadyAddress[]> {
    const { store, refiller } = this.#options;
    const { pool, count, receiver, quota } = order;
    const isOwn = receiver.key === undefined && quota === undefined;
    if (!store.isShared || isOwn) return this.#pop(order);
    let refusal: Refusal['why'] | undefined;
    const onRefused = (why: Refusal['why']) => {
      refusal = why;
    };
    const limited = quota === undefined ? {} : { quota };
    const addresses = await this.#pop({
      ...order,
      receiver: { ...receiver, ...limited, mayBeRefused: true, onRefused },
    });
    await refiller.commit(pool);
    if (refusal === 'quota') await this.#quotas.refuse(receiver.token, count, quota!);
    if (refusal === undefined) return addresses;
    // They were counted, and went to nobody.
    this.#quotas.forget(receiver.token);
    throw new Refused(pool);
  }

  async #pop({ pool: name, count, receiver, quota, until }: Order): Promise<ReadyAddress[]> {
    const pool = this.#poolOf(name);
    // Those that waited behind a disk that hung would otherwise take addresses for nobody.
    const isGone = () => monotonicMs() > until;
    if (isGone()) throw new VanityError('REQUEST_TIMEOUT', 'the order waited for too long');
    if (quota === undefined) return pool.dispense(count, receiver, isGone);
    const taken = await this.#quotas.take(receiver.token, count, quota, receiver.at);
    try {
      return await pool.dispense(count, { ...receiver, at: taken.at }, isGone);
    } catch (error) {
      taken.giveBack();
      throw error;
    }
  }

  async #repeat(
    pool: string,
    key: Uint8Array,
    body: Uint8Array,
  ): Promise<ReadyAddress[] | undefined> {
    const { store, exclusively, windowMs } = this.#options;
    const earlier = await exclusively(() => store.handOut(key, pool));
    const isOver = (at: number) => store.clock.isOver(at, windowMs);
    return earlier && handedOutBefore(earlier, body, isOver);
  }

  #poolOf(name: string): Pool {
    const pool = this.#pools.get(name);
    if (pool !== undefined) return pool;
    throw new VanityError('POOL_NOT_FOUND', `pool ${name}: not served here`);
  }
}

/** The store has another hand-out of the key; `repeat` did not find it, or it would not be thrown on. */
class Refused extends VanityError {
  constructor(pool: string) {
    const detail = `pool ${pool}: another node was served first; ask again`;
    super('STORE_UNAVAILABLE', detail, { retryAfterSeconds: 1 });
  }
}

async function inFlight(): Promise<never> {
  await sleep(IN_FLIGHT_MS, undefined, { ref: false });
  const detail = 'idempotency-key: a request with it is still being answered';
  throw new VanityError('IDEMPOTENCY_IN_FLIGHT', detail, { retryAfterSeconds: 1 });
}
