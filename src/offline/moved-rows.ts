/**
 * The rows of a store of one node, as a store of many nodes has them. Runs in the main thread.
 *
 * What the old store did becomes the past of one node, which goes on in the same directory: its epochs and queues,
 * with the positions that they had, so that an audit and a repeated request find what left. What is dispensed,
 * reserved or burned keeps its id. There ids of one lane are of one pool, without a gap; here they were given to all
 * pools in turn. So the old ids are of no lane, and what is available gets new ones, in lanes above the highest.
 *
 * An id is in no seal and no MAC: rows stay as they are. The MAC of a token is made anew, since it is of lists that the
 * two databases write in different ways.
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import type { CopiedRow, CopiedTable } from '../store/postgres/copied-rows.ts';
import { signDataKey } from '../store/postgres/data-keys.ts';
import { enrolmentOf } from '../store/postgres/enrolment.ts';
import { LANE_IDS } from '../store/postgres/ids.ts';
import type { NodeIdentity } from '../store/postgres/run.ts';
import { macOf } from '../store/row-macs.ts';
import type {
  GoneAddress,
  MovingAddress,
  MovingPool,
  MovingRows,
  MovingToken,
} from '../store/sqlite/moving-rows.ts';
import { NewIds } from './new-ids.ts';

export interface MoveOptions {
  readonly from: MovingRows;
  /** Whose past it is. */
  readonly node: NodeIdentity;
  /** Of MACs. */
  readonly rowKey: KeyObject;
  /** Of enrolments. */
  readonly nodeKey: KeyObject;
  /** The time of the move. */
  readonly now: number;
  /** Called for each row that the old store has of an address, a hand-out, a reservation or a signature. */
  readonly onRow: () => void;
}

/** Of an epoch that is over, nothing of this is known or of use. */
const OVER = {
  ...{ role: 'all', durability: 'leased', ttl_ms: 300_000 },
  ...{ state: 'settled', looked: '' },
} as const;
const RUN_BYTES = 16;
const PUBLIC_KEY_BYTES = 32;

/** Puts rows into tables, each in the order of what its rows are known by. */
type Add = (table: CopiedTable, row: CopiedRow) => Promise<void>;

export class MovedRows {
  readonly #options: MoveOptions;
  readonly #ids: NewIds;
  readonly #queues = new Map<string, QueueRow>();

  constructor(options: MoveOptions) {
    this.#options = options;
    const { meta, pools } = options.from;
    this.#ids = new NewIds(meta.next_id - 1, pools);
  }

  /** The last lane that is given. */
  get lane(): number {
    return this.#ids.lane;
  }

  async all(add: Add): Promise<void> {
    await this.#node(add);
    await this.#pools(add);
    await this.#keys(add);
    await this.#gone(add);
    await this.#waiting(add);
    await this.#handOuts(add);
    await this.#signatures(add);
  }

  async #node(add: Add): Promise<void> {
    const { from, node, nodeKey, now } = this.#options;
    const { id, name, place, signKey } = node;
    // Nobody waits for it before its first start, which makes it a node.
    const times = { created_at: now, retired_at: now };
    const enrolment = enrolmentOf(nodeKey, id, signKey);
    await add('nodes', { id, name, role: 'all', place, sign_key: signKey, enrolment, ...times });
    const queues = from.queues;
    const run = randomBytes(RUN_BYTES);
    const epochs = new Set([...queues.map(({ epoch }) => epoch), from.meta.epoch]);
    for (const epoch of [...epochs].sort((a, b) => a - b)) {
      const seen = { beaten_at: now, started_at: now };
      await add('epochs', { epoch, node_id: id, run, ...OVER, ...seen });
    }
    for (const { epoch, pool_id, end } of queues) {
      this.#queues.set(nameOf(epoch, pool_id), new QueueRow(epoch, pool_id, run, end));
    }
  }

  async #pools(add: Add): Promise<void> {
    const { from, node } = this.#options;
    for (const pool of from.pools) await add('pools', poolRow(pool));
    for (const { id: pool_id, ...pool } of from.pools) {
      const { available, leased, reserved, dispensed, burned, ground, imported } = pool;
      const figures = { available, leased, reserved, dispensed, burned, ground, imported };
      await add('figures', { pool_id, node_id: node.id, ...figures });
    }
    for (const [name, value] of Object.entries(from.counters)) {
      await add('counters', { node_id: node.id, name, value });
    }
  }

  async #keys(add: Add): Promise<void> {
    const { from, node, rowKey } = this.#options;
    for (const token of from.tokens) await add('tokens', tokenRow(token, rowKey));
    const { store_id, epoch } = from.meta;
    for (const { id, sealed, created_at } of from.dataKeys) {
      const signature = signDataKey(node, store_id, epoch, sealed);
      await add('data_keys', { id, epoch, sealed, signature, created_at });
    }
  }

  /** What has left, is held or was given up. */
  async #gone(add: Add): Promise<void> {
    const leases = new Joined(add, 'leases', leaseBehind);
    const burns = new Joined(add, 'burns', burnBehind);
    for (const address of this.#options.from.gone) {
      const { id, pool_id, epoch, state, is_destroyed, changed_at: at, cause } = address;
      if (is_destroyed === 0) await this.#secret(add, id, address);
      else await this.#remains(add, address);
      const position = this.#positionOf(address);
      if (position !== undefined) {
        await leases.add({ epoch, pool_id, position, first: id, last: id });
      }
      if (state !== 'burned') continue;
      const destroyed = is_destroyed === 1;
      await burns.add({ first: id, last: id, pool_id, at, is_destroyed: destroyed, cause });
    }
    await leases.end();
    await burns.end();
    const queues = [...this.#queues.values()];
    for (const queue of queues) await add('queues', queue.row);
  }

  /** In the queue of its pool and epoch; undefined if it was never in one, and is not to be found by it. */
  #positionOf(address: GoneAddress): number | undefined {
    const { epoch, pool_id, state, position, is_recorded, is_reservation } = address;
    if (state === 'burned' && is_recorded === 0) return undefined;
    const queue = this.#queues.get(nameOf(epoch, pool_id))!;
    // What a list of a restore named was in none: it is behind all others.
    const at = position ?? queue.end++;
    if (state !== 'dispensed') return at;
    queue.recorded_at = Math.max(queue.recorded_at, address.changed_at);
    // A reservation has a time of its own.
    const isKept = address.is_destroyed === 0 && is_reservation !== 1;
    if (isKept) queue.destroyed = Math.min(queue.destroyed, at);
    return at;
  }

  /** What is available. */
  async #waiting(add: Add): Promise<void> {
    const { from } = this.#options;
    for (const { id: pool_id } of from.pools) {
      for (const lane of this.#ids.lanesOf(pool_id)) {
        const { number, filled } = lane;
        await add('lane_ends', { lane: number, pool_id, writer: null, filled });
        const taken = number * LANE_IDS;
        await add('lane_heads', { lane: number, pool_id, taken, is_empty: false });
      }
      for (const { first, last } of from.waiting(pool_id)) {
        this.#ids.give(pool_id, first, last);
        let seq = first;
        for (const address of from.addresses(pool_id, first, last)) {
          await this.#secret(add, this.#ids.of(pool_id, seq++), address);
        }
      }
    }
  }

  async #secret(add: Add, id: number, address: MovingAddress): Promise<void> {
    this.#options.onRow();
    const { data_key_id, created_at, key_hash, sealed } = address;
    const origin = originOf(address);
    await add('keys', { key_hash, id });
    await add('secrets', { id, data_key_id, origin, created_at, key_hash, sealed });
  }

  async #remains(add: Add, address: MovingAddress): Promise<void> {
    this.#options.onRow();
    const { id, created_at, key_hash, sealed } = address;
    const public_key = sealed.subarray(0, PUBLIC_KEY_BYTES);
    await add('keys', { key_hash, id });
    await add('remains', { id, origin: originOf(address), created_at, public_key });
  }

  async #handOuts(add: Add): Promise<void> {
    const { from, onRow } = this.#options;
    for (const queue of this.#queues.values()) {
      const { epoch, pool_id } = queue;
      for (const { position, count, at, token_id, key_hash, body_hash } of from.handOuts(queue)) {
        onRow();
        const whose = { at, token_id, key_hash, body_hash };
        await add('hand_outs', { epoch, pool_id, position, count, ...whose });
      }
    }
    for (const row of from.reservations) {
      onRow();
      const { id, epoch, pool_id, position, token_id, expires_at, ended_at, outcome } = row;
      const isAvailable = row.state === 'available';
      const address_id = isAvailable ? this.#ids.of(pool_id, row.seq) : row.address_id;
      const is_destroyed = outcome === 'dispensed' && row.is_destroyed === 1;
      const place = { epoch, pool_id, position, address_id, token_id };
      await add('reservations', { id, ...place, expires_at, ended_at, outcome, is_destroyed });
    }
  }

  async #signatures(add: Add): Promise<void> {
    const { from, onRow } = this.#options;
    let last = { address_id: 0, number: 0 };
    for (const { address_id, token_id, at, message_hash, signature } of from.signatures) {
      onRow();
      last = { address_id, number: address_id === last.address_id ? last.number + 1 : 1 };
      await add('signatures', { ...last, token_id, at, message_hash, signature });
    }
    for (const { address_id, count } of from.lostSignatures) {
      await add('lost_signatures', { address_id, count });
    }
  }
}

/** A queue that is over: all that is in it left. */
class QueueRow {
  readonly epoch: number;
  readonly pool_id: number;
  readonly #run: Uint8Array;
  /** Behind its last position. */
  end: number;
  /** When the last of it left. */
  recorded_at = 0;
  /** The first position of which there is a secret. */
  destroyed = Number.POSITIVE_INFINITY;

  constructor(epoch: number, pool: number, run: Uint8Array, end: number) {
    this.epoch = epoch;
    this.pool_id = pool;
    this.#run = run;
    this.end = end;
  }

  get row(): CopiedRow {
    const { epoch, pool_id, end, recorded_at } = this;
    const ends = { position: end, pushed: end, destroyed: Math.min(this.destroyed, end) };
    return { epoch, pool_id, run: this.#run, ...ends, recorded_at, is_ended: true };
  }
}

/** Rows of one address each, joined with the one before where that goes on. */
class Joined<T extends CopiedRow & { last: number }> {
  readonly #add: Add;
  readonly #table: CopiedTable;
  readonly #continues: (before: T, row: T) => boolean;
  #row: T | undefined;

  constructor(add: Add, table: CopiedTable, continues: (before: T, row: T) => boolean) {
    this.#add = add;
    this.#table = table;
    this.#continues = continues;
  }

  async add(row: T): Promise<void> {
    if (this.#row !== undefined && this.#continues(this.#row, row)) this.#row.last = row.last;
    else {
      await this.end();
      this.#row = row;
    }
  }

  async end(): Promise<void> {
    const row = this.#row;
    this.#row = undefined;
    if (row !== undefined) await this.#add(this.#table, row);
  }
}

interface Lease extends CopiedRow {
  readonly epoch: number;
  readonly pool_id: number;
  readonly position: number;
  readonly first: number;
  last: number;
}

interface Burn extends CopiedRow {
  readonly first: number;
  last: number;
  readonly pool_id: number;
  readonly at: number;
  readonly is_destroyed: boolean;
  readonly cause: string;
}

function leaseBehind({ epoch, pool_id, position, first, last }: Lease, row: Lease): boolean {
  const isSame = row.epoch === epoch && row.pool_id === pool_id && row.first === last + 1;
  return isSame && row.position === position + row.first - first;
}

function burnBehind({ last, pool_id, at, is_destroyed, cause }: Burn, row: Burn): boolean {
  const isSame = row.pool_id === pool_id && row.at === at && row.cause === cause;
  return isSame && row.is_destroyed === is_destroyed && row.first === last + 1;
}

function nameOf(epoch: number, pool: number): string {
  return `${epoch} ${pool}`;
}

function originOf({ origin }: MovingAddress): 'g' | 'i' {
  return origin === 'ground' ? 'g' : 'i';
}

function poolRow(pool: MovingPool): CopiedRow {
  const { id, name, prefix, suffix, keys, handout, settings, removed_at, mac } = pool;
  const [ignore_case, is_paused] = [pool.ignore_case === 1, pool.is_paused === 1];
  const state = removed_at === null ? 'open' : 'removed';
  const identity = { id, name, prefix, suffix, ignore_case, keys, handout, target: 0 };
  return { ...identity, settings, is_paused, state, removed_at, mac };
}

function tokenRow({ scopes, pools, mac: _, ...token }: MovingToken, key: KeyObject): CopiedRow {
  const lists = { scopes: JSON.parse(scopes), pools: pools === null ? null : JSON.parse(pools) };
  const row = { ...token, ...lists };
  return { ...row, mac: macOf('token', row, key) };
}
