/**
 * A store of many nodes: one PostgreSQL database. Runs in the thread that calls it. The contract, with the words
 * and the states, is ../store.ts; the schema is migrations.
 *
 * A transaction counts only if the server confirmed its COMMIT. Where it may be in without that, it is found out
 * by the number of the queue's turn (queues.ts), by the end of the lane (lanes.ts), or done again where that
 * does no harm (run.ts).
 */
import type { Durability } from '../../config/config.ts';
import { VanityError } from '../../errors.ts';
import { Sealer, Unsealer } from '../../keypair/seal.ts';
import { createSealingKey, keepSealingKey, type SealingKey } from '../../keypair/sealing-key.ts';
import { findSealingKey, isKey, wrongKey } from '../../keypair/sealing-key-files.ts';
import { OwnClock, SystemTime, type Time } from '../own-clock.ts';
import type { Recover, Recovered } from '../recovery.ts';
import type { Store } from '../store.ts';
import { Addresses } from './addresses.ts';
import { Beats, type Monotonic } from './beats.ts';
import { bindingOf, type ClusterState } from './bound-rows.ts';
import { Connection } from './connection.ts';
import { beginEpoch } from './epochs.ts';
import { type NodeIdentity, Run, signDataKey } from './run.ts';
import { migrate } from './schema.ts';
import { checkServer } from './server-check.ts';
import type { ConnectionSettings } from './settings.ts';
import { PostgresStore } from './store.ts';

export interface PostgresStoreOptions {
  readonly settings: ConnectionSettings;
  readonly node: NodeIdentity;
  /** 'file:PATH' (made with a new store) or 'env:NAME'. */
  readonly sealingKey: string;
  /** Reads the journals of the last run of this node; without it what that had leased is burned. */
  readonly recover?: Recover | undefined;
  readonly durability?: Durability | undefined;
  /** How long this node may act alone, and after which others may give it up. */
  readonly ttlMs?: number | undefined;
  /** What its beats go by; the system's if not given. */
  readonly monotonic?: Monotonic;
  /** Called once for each token and pool that is refused because somebody else wrote its row. */
  readonly onForged?: (row: string) => void;
}

const SQL = {
  cluster: `SELECT store_id, state, sealing_key, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now,
    had_tokens OR EXISTS (SELECT FROM vanitypool.data_keys) AS "isUsed" FROM vanitypool.cluster`,
  addNode: `INSERT INTO vanitypool.nodes (id, name, place, sign_key, created_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, place = EXCLUDED.place`,
  addDataKey: `INSERT INTO vanitypool.data_keys (epoch, sealed, signature, created_at)
    VALUES ($1, $2, $3, $4) RETURNING id`,
} as const;

interface ClusterRow {
  readonly store_id: string;
  readonly state: ClusterState;
  readonly sealing_key: Uint8Array | null;
  /** Of its clock. */
  readonly now: number;
  readonly isUsed: boolean;
}

const TTL_MS = 300_000;

/**
 * Opens the store for service: what the last run of this node had leased and did not return is settled, and a new
 * one begins. Errors: CONFIG_INVALID, CERTIFICATE_INVALID, DATA_MOVED for one that has not arrived yet,
 * SEALING_KEY_INVALID, STORE_FOREIGN, STORE_NEWER, STORE_FORGED, STORE_CORRUPT, STORE_UNAVAILABLE.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<Store> {
  const { settings, node, sealingKey } = options;
  await using resources = new AsyncDisposableStack();
  const turns = resources.use(new Connection(settings));
  const inserts = resources.use(new Connection(settings));
  await checkServer(turns);
  await migrate(turns);
  const { rows } = await turns.transaction(({ query }) => query<ClusterRow>(SQL.cluster));
  const cluster = rows[0]!;
  const { store_id: storeId } = cluster;
  assertServable(cluster, turns.name);
  const key = await keyOf(cluster, sealingKey);
  const clock = new OwnClock(undefined, new DatabaseTime(cluster.now));
  const run = new Run({ node, turns, inserts, clock, storeId });
  const { durability = 'leased', ttlMs = TTL_MS, recover } = options;
  const begin = { durability, ttlMs, recover };
  const recovered: Record<string, Recovered> = {};
  const { begun, binding } = await run.repeated(async (query) => {
    // From here on this row is locked: a store that began to move here meanwhile is seen, or waits.
    const binding = await bindingOf(query, storeId, key, options.onForged);
    assertServable(binding, turns.name);
    await query(SQL.addNode, [
      node.id,
      node.name,
      node.place,
      Buffer.from(node.signKey),
      clock.now,
    ]);
    return { binding, begun: await beginEpoch(query, run, begin, recovered) };
  });
  Object.assign(run, { epoch: begun.epoch, id: begun.id });
  const sealer = new Sealer({
    ...{ storeId, binding: binding.id, publicKey: key.publicKey },
    save: (sealed) =>
      run.aside(async (query) => {
        const signature = signDataKey(node, storeId, sealed);
        const row = [run.epoch, Buffer.from(sealed), signature, clock.now];
        return (await query<{ id: number }>(SQL.addDataKey, row)).rows[0]!.id;
      }),
  });
  const addresses = new Addresses(sealer, new Unsealer(storeId, binding.id, key));
  const beaten = resources.use(new Connection(settings));
  for (const connection of [turns, inserts, beaten]) connection.moment = 'running';
  const { monotonic } = options;
  const beats = new Beats({ run, connection: beaten, ttlMs, ...(monotonic && { now: monotonic }) });
  const opened = { run, begin, begun, rows: binding.rows, addresses, beats, key, sealingKey };
  return new PostgresStore(opened, resources.move());
}

/** Error: DATA_MOVED. */
function assertServable({ state }: { readonly state: ClusterState }, name: string): void {
  if (state !== 'migrating') return;
  const detail =
    'a store is on its way here, and not all of it has arrived. Type again what moves it: ' +
    `vanitypool migrate --to ${name}`;
  throw new VanityError('DATA_MOVED', `${name}: ${detail}`);
}

/** A database takes any key as long as nothing is sealed in it, and no token was made. */
async function keyOf({ sealing_key, isUsed }: ClusterRow, source: string): Promise<SealingKey> {
  const { key } = await findSealingKey(source, sealing_key);
  if (!isUsed) {
    if (key === undefined) return createSealingKey(source);
    keepSealingKey(source);
    return key;
  }
  if (key === undefined) {
    const detail = `${source}: missing, and the store is sealed with it; copy it from another node`;
    throw new VanityError('SEALING_KEY_INVALID', detail);
  }
  if (isKey(key, sealing_key)) return key;
  const detail = `${source}: not the key that the store is sealed with (${wrongKey(source, key, sealing_key)})`;
  throw new VanityError('SEALING_KEY_INVALID', detail);
}

/** The clock of the database as it was at the start, going as this machine's. */
class DatabaseTime implements Time {
  readonly #machine = new SystemTime();
  readonly #aheadMs: number;

  /** `now` by the clock of the database. */
  constructor(now: number) {
    this.#aheadMs = now - this.#machine.system();
  }

  system(): number {
    return this.#machine.system() + this.#aheadMs;
  }

  elapsed(): number {
    return this.#machine.elapsed();
  }

  wake(): void {
    this.#machine.wake();
  }
}
