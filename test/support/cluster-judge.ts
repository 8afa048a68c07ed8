/**
 * The judge of a cluster: reads the tables of its database when all nodes have stopped, and says in words what is
 * wrong. It goes by queries and rules of its own, not by the program's view, and by what clients received.
 */
import { hash } from 'node:crypto';
import { decodeBase58 } from '../../src/keypair/address.ts';
import type { Cluster } from './cluster.ts';
import type { ClusterClients, Reserved } from './cluster-clients.ts';

const LANE_BITS = 20n;
const STATES = ['available', 'leased', 'reserved', 'dispensed', 'burned'] as const;

type State = (typeof STATES)[number];
type Row = Readonly<Record<string, string | number | boolean | null>>;

interface Place {
  readonly pool: number;
  /** Of the lane that it is in. */
  readonly isTaken: boolean;
  readonly leases: Row[];
  returned: number;
  burned: string[];
}

export interface Found {
  readonly wrong: readonly string[];
  readonly counts: Readonly<Record<State, number>>;
  readonly expiries: number;
}

/** `quota`: of the one token that has one. */
export async function judged(
  cluster: Cluster,
  clients: ClusterClients,
  quota: number,
): Promise<Found> {
  const tables = await tablesOf(cluster);
  const judge = new Judge(tables);
  judge.runs();
  judge.places();
  judge.figures();
  judge.received(clients);
  judge.keys(clients);
  judge.quota(clients, quota);
  const { wrong, counts } = judge;
  return { wrong: [...clients.wrong, ...wrong], counts, expiries: tables.expiries.length };
}

const TABLES = {
  epochs: 'SELECT epoch, state, durability FROM vanitypool.epochs',
  expiries: 'SELECT epoch, durability FROM watch.expiries',
  pools: 'SELECT id, name FROM vanitypool.pools',
  figures: `SELECT pool_id, sum(available)::text AS available, sum(leased)::text AS leased,
    sum(reserved)::text AS reserved, sum(dispensed)::text AS dispensed, sum(burned)::text AS burned,
    sum(ground + imported)::text AS all FROM vanitypool.figures GROUP BY pool_id`,
  lanes: `SELECT e.lane, e.pool_id, e.filled, h.taken, e.writer FROM vanitypool.lane_ends AS e
    LEFT JOIN vanitypool.lane_heads AS h ON h.lane = e.lane`,
  addresses: `SELECT k.id, encode(k.key_hash, 'hex') AS hash, s.id AS secret, r.id AS remains
    FROM vanitypool.keys AS k LEFT JOIN vanitypool.secrets AS s ON s.id = k.id
    LEFT JOIN vanitypool.remains AS r ON r.id = k.id`,
  leases: `SELECT l.epoch, l.pool_id, l.position, l.first, l.last, q.position AS recorded
    FROM vanitypool.leases AS l LEFT JOIN vanitypool.queues AS q
    ON q.epoch = l.epoch AND q.pool_id = l.pool_id`,
  returned: 'SELECT first, last FROM vanitypool.returned',
  burns: 'SELECT first, last, cause FROM vanitypool.burns',
  reservations: 'SELECT id, address_id, outcome FROM vanitypool.reservations',
  keyed: `SELECT encode(key_hash, 'hex') AS key, count FROM vanitypool.hand_outs
    WHERE key_hash IS NOT NULL`,
  taken: `SELECT t.day, t.count, q.used FROM (
      SELECT token_id, at / 86400000 AS day, sum(count)::text AS count FROM vanitypool.hand_outs
      WHERE token_id IS NOT NULL GROUP BY 1, 2) AS t
    LEFT JOIN vanitypool.quotas AS q ON q.token_id = t.token_id AND q.day = t.day`,
} as const;

type Tables = Record<keyof typeof TABLES, Row[]>;

async function tablesOf(cluster: Cluster): Promise<Tables> {
  const found: Partial<Tables> = {};
  for (const [name, text] of Object.entries(TABLES)) {
    found[name as keyof Tables] = await cluster.sql<Record<string, string>>(text);
  }
  return found as Tables;
}

class Judge {
  readonly wrong: string[] = [];
  readonly counts: Record<State, number> = {
    ...{ available: 0, leased: 0, reserved: 0, dispensed: 0, burned: 0 },
  };
  readonly #tables: Tables;
  readonly #states = new Map<number, State>();
  /** By SHA-256 of the public key, in hex. */
  readonly #ids = new Map<string, number>();
  readonly #places = new Map<number, Place>();
  /** Those of open reservations. */
  readonly #held: ReadonlySet<number>;

  constructor(tables: Tables) {
    this.#tables = tables;
    for (const { id, hash } of tables.addresses) this.#ids.set(String(hash), Number(id));
    const open = tables.reservations.filter(({ outcome }) => outcome === null);
    this.#held = new Set(open.map(({ address_id: id }) => Number(id)));
  }

  /** All are over, and each was ended by another node once at most. */
  runs(): void {
    for (const { epoch, state } of this.#tables.epochs) {
      if (state !== 'settled') this.#say(`epoch ${epoch} is ${state}`);
    }
    const expired = this.#tables.expiries.map(({ epoch }) => epoch);
    if (new Set(expired).size < expired.length) this.#say(`expired twice: ${expired}`);
  }

  /** Each address is in one place, which says its state. */
  places(): void {
    const { lanes, leases, returned, burns, addresses } = this.#tables;
    for (const { lane, pool_id: pool, filled, taken } of lanes) {
      const first = Number(BigInt(String(lane)) << LANE_BITS) + 1;
      for (let id = first; id <= Number(filled); id++) {
        const isTaken = id <= Number(taken);
        const place = { pool: Number(pool), isTaken, leases: [], returned: 0, burned: [] };
        this.#places.set(id, place);
      }
    }
    for (const lease of leases) this.#each(lease, (place) => place.leases.push(lease));
    for (const range of returned) this.#each(range, (place) => place.returned++);
    for (const burn of burns) this.#each(burn, (place) => place.burned.push(String(burn.cause)));
    for (const { id, secret, remains } of addresses) {
      const isOne = (secret === null) !== (remains === null);
      if (!this.#places.has(Number(id)) || !isOne) this.#say(`address ${id} is in no lane`);
    }
    if (addresses.length !== this.#places.size) {
      this.#say(`${this.#places.size} ids in lanes, ${addresses.length} addresses`);
    }
    const expired = new Set(
      this.#tables.expiries
        .filter(({ durability }) => durability === 'leased')
        .map(({ epoch }) => epoch),
    );
    for (const [id, place] of this.#places) this.#states.set(id, this.#stateOf(id, place, expired));
  }

  #each({ first, last }: Row, note: (place: Place) => void): void {
    for (let id = Number(first); id <= Number(last); id++) {
      const place = this.#places.get(id);
      if (place === undefined) this.#say(`address ${id} was leased, and is in no lane`);
      else note(place);
    }
  }

  #stateOf(id: number, place: Place, expired: ReadonlySet<unknown>): State {
    const { isTaken, leases, returned, burned } = place;
    const [lease] = leases;
    const times = leases.length + returned + (isTaken ? 0 : 1);
    if (times + burned.length > 1 && !(times === 1 && burned.length === 1 && lease)) {
      this.#say(`address ${id} is in several places: ${JSON.stringify(place)}`);
    }
    if (burned.length > 0) {
      const mayBe =
        burned[0] === 'released' || (burned[0] === 'crash' && expired.has(lease?.epoch));
      if (!mayBe) this.#say(`address ${id} is burned: ${JSON.stringify(place)}`);
      return 'burned';
    }
    if (!isTaken || returned > 0) return 'available';
    if (lease === undefined) {
      this.#say(`address ${id} is nowhere`);
      return 'burned';
    }
    const position = Number(lease.position) + id - Number(lease.first);
    if (position >= Number(lease.recorded)) {
      this.#say(`address ${id} is leased by ${lease.epoch}, and nobody runs`);
      return 'leased';
    }
    return this.#held.has(id) ? 'reserved' : 'dispensed';
  }

  /** What is counted is what there is. */
  figures(): void {
    for (const { id: pool, name } of this.#tables.pools) {
      const states = [...this.#states].filter(
        ([id]) => this.#places.get(id)!.pool === Number(pool),
      );
      const figures = this.#tables.figures.find(({ pool_id }) => pool_id === pool)!;
      for (const state of STATES) {
        const count = states.filter(([, one]) => one === state).length;
        this.counts[state] += count;
        const figure = Number(figures[state]);
        if (count !== figure) this.#say(`pool ${name}: ${count} ${state}, counted as ${figure}`);
      }
      if (Number(figures.all) !== states.length) {
        this.#say(`pool ${name}: ${states.length} there, ${figures.all} ground`);
      }
    }
  }

  /** Whatever came is recorded, and no more left than may have. */
  received({ received, reserved, mayHaveLeft }: ClusterClients): void {
    const heard = new Set<number>();
    const held = new Map(reserved.map((one) => [one.address, one.state]));
    for (const [address, source] of received) {
      const id = this.#ids.get(hash('sha256', decodeBase58(address), 'hex'));
      if (id === undefined) {
        this.#say(`${source}: address ${address} is nowhere`);
        continue;
      }
      heard.add(id);
      const state = this.#states.get(id)!;
      const may: readonly State[] = MAY_BE[held.get(address) ?? 'dispensed'];
      if (!may.includes(state)) this.#say(`${source}: address ${id} left, and is ${state}`);
    }
    for (const { id: pool, name } of this.#tables.pools) {
      const left = [...this.#states].filter(
        ([id, state]) =>
          (state === 'dispensed' || state === 'reserved') &&
          this.#places.get(id)!.pool === Number(pool) &&
          !heard.has(id),
      );
      const most = mayHaveLeft.get(String(name)) ?? 0;
      if (left.length > most) this.#say(`pool ${name}: ${left.length} unheard of ${most}`);
    }
    const ids = new Set(this.#tables.reservations.map(({ id }) => id));
    for (const { id } of reserved) if (!ids.has(id)) this.#say(`reservation ${id} is nowhere`);
  }

  /** Each has one hand-out. */
  keys({ keyed }: ClusterClients): void {
    const answered = keyed.filter(({ reply }) => reply !== undefined);
    const rows = this.#tables.keyed;
    const counts = (all: readonly { count?: unknown }[]) =>
      all.reduce((sum, { count }) => sum + Number(count), 0);
    if (rows.length !== answered.length || counts(rows) !== counts(answered)) {
      this.#say(`${answered.length} keys were answered, ${rows.length} are known`);
    }
  }

  quota({ seen }: ClusterClients, quota: number): void {
    const { taken } = this.#tables;
    for (const { day, count, used } of taken) {
      const isRight = Number(count) === Number(used) && Number(used) <= quota;
      if (!isRight)
        this.#say(`quota of ${quota}, day ${day}: ${count} handed out, ${used} counted`);
    }
    const all = taken.reduce((sum, { count }) => sum + Number(count), 0);
    if (seen.ofQuota > all) this.#say(`${seen.ofQuota} of the quota came, ${all} are recorded`);
  }

  #say(text: string): void {
    this.wrong.push(text);
  }
}

/** By what is known of its reservation. */
const MAY_BE: Readonly<Record<Reserved['state'], readonly State[]>> = {
  held: ['reserved', 'dispensed'],
  dispensed: ['dispensed'],
  releasing: ['reserved', 'burned'],
  released: ['burned'],
};
