/**
 * The run of a node: its epoch, and its two ways to the server, on which transactions go one after the other
 * each, so that an insert runs beside any other call. Runs in the store thread.
 */
import type { Role } from '../../config/config.ts';
import type { OwnClock } from '../own-clock.ts';
import { EpochOver, NodeCloned, StoreRewound } from '../store.ts';
import type { Connection, Limits } from './connection.ts';
import { type DatabaseSight, look } from './database-sight.ts';
import { CommitUnknown } from './error.ts';
import type { Marks } from './marks.ts';
import { type FollowedKey, keyInUse, SealingKeyMoved } from './store-keys.ts';
import type { Query } from './transaction.ts';

/** Who runs. */
export interface NodeIdentity {
  /** 32 hex digits. */
  readonly id: string;
  readonly name: string;
  /** Where its journals are known by: 16 hex digits. */
  readonly place: string;
  /** Ed25519, of 32 bytes. */
  readonly signKey: Uint8Array;
  /** Says that this node sealed a data key: 64 bytes. */
  readonly sign: (message: Uint8Array) => Uint8Array;
}

/** Of one run among all. */
export interface RunName {
  readonly epoch: number;
  /** Drawn with the epoch. */
  readonly id: Uint8Array;
}

export interface RunOptions {
  readonly node: NodeIdentity;
  readonly role: Role;
  readonly turns: Connection;
  readonly inserts: Connection;
  readonly clock: OwnClock;
  readonly storeId: string;
  readonly sight: DatabaseSight;
  readonly marks: Marks;
}

const STATE = `SELECT c.state AS cluster, e.state FROM vanitypool.cluster AS c
  LEFT JOIN vanitypool.epochs AS e ON e.epoch = $1 AND e.run = $2`;
/** How often a call is made again of which nobody knows whether it is in. */
const UNKNOWN_TRIES = 5;

export class Run implements RunName {
  readonly node: NodeIdentity;
  readonly role: Role;
  readonly storeId: string;
  readonly clock: OwnClock;
  readonly sight: DatabaseSight;
  readonly marks: Marks;
  epoch = 0;
  id: Uint8Array = new Uint8Array(16);
  /** Compares the database with all that this node remembers: if it went back, all nodes hear of it. */
  judge: () => Promise<void> = async () => undefined;
  /** When it is known. */
  key: FollowedKey | undefined;
  /** The public half of the key with which a transaction began. */
  readonly #begunWith = new WeakMap<Query, Uint8Array | undefined>();
  readonly #turns: Connection;
  readonly #inserts: Connection;

  constructor({ node, role, turns, inserts, clock, storeId, sight, marks }: RunOptions) {
    this.node = node;
    this.role = role;
    this.storeId = storeId;
    this.clock = clock;
    this.sight = sight;
    this.marks = marks;
    this.#turns = turns;
    this.#inserts = inserts;
  }

  get now(): number {
    return this.clock.now;
  }

  /** Errors: as of `Connection.transaction`; SEALING_KEY_INVALID under a key that this node does not have. */
  transaction<T>(work: (query: Query) => Promise<T>, limits?: Limits): Promise<T> {
    return this.#goingBy(this.#turns, work, limits);
  }

  /** The same beside those. */
  aside<T>(work: (query: Query) => Promise<T>, limits?: Limits): Promise<T> {
    return this.#goingBy(this.#inserts, work, limits);
  }

  /** The same for work that may be done twice without harm: until it is known to be in. */
  repeated<T>(work: (query: Query) => Promise<T>, limits?: Limits): Promise<T> {
    return this.untilKnown(() => this.transaction(work, limits));
  }

  /** The same for a call. */
  async untilKnown<T>(call: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof CommitUnknown) || tries === UNKNOWN_TRIES) throw error;
      }
    }
  }

  /** What the call gives; where it sees that the database went back, all nodes hear of it first. */
  async noticing<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      // Where that fails, the next call sees it again.
      if (error instanceof StoreRewound) await this.judge().catch(() => undefined);
      throw error;
    }
  }

  /** As `StoreKeys.assertKey`. */
  readonly assertKey = async (query: Query): Promise<void> => {
    const publicKey = await keyInUse(query);
    const begun = this.#begunWith.get(query);
    const isSame = begun !== undefined && begun === this.key?.publicKey;
    if (!isSame || Buffer.compare(publicKey, begun) !== 0) throw new SealingKeyMoved(publicKey);
  };

  /** Of what leaves without a turn or a signature. Error: StoreRewound. */
  async assertSound(query: Query): Promise<void> {
    const since = this.sight.last;
    this.sight.assertSound(await look(query), since);
  }

  /**
   * Why a statement found nothing that only this run can change, or another than it left; `isBehind` if that was
   * from before.
   */
  async fenced(query: Query, { epoch, id }: RunName = this, isBehind = false): Promise<Error> {
    const [row] = (
      await query<{ cluster: string; state: string | null }>(STATE, [epoch, Buffer.from(id)])
    ).rows;
    if (row?.cluster !== 'sound' || row.state === null) return new StoreRewound();
    if (row.state !== 'open') return new EpochOver();
    return isBehind ? new StoreRewound() : new NodeCloned(epoch);
  }

  /** Work that finds another key than it began with is done again with that one. */
  async #goingBy<T>(
    connection: Connection,
    work: (query: Query) => Promise<T>,
    limits: Limits | undefined,
  ): Promise<T> {
    const call = () =>
      connection.transaction(({ query }) => {
        this.#begunWith.set(query, this.key?.publicKey);
        return work(query);
      }, limits);
    for (;;) {
      try {
        return await this.noticing(call);
      } catch (error) {
        if (!(error instanceof SealingKeyMoved) || this.key === undefined) throw error;
        await this.key.follow(error.publicKey);
      }
    }
  }
}
