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
import { bootId } from '../../system/boot-id.ts';
import { OwnClock, SystemTime, type Time } from '../own-clock.ts';
import type { Recover, Recovered } from '../recovery.ts';
import type { Store } from '../store.ts';
import { Addresses } from './addresses.ts';
import { Beats, type Monotonic } from './beats.ts';
import { bindingOf } from './bound-rows.ts';
import { Connection } from './connection.ts';
import { DatabaseSight } from './database-sight.ts';
import { beginEpoch } from './epochs.ts';
import { Marks } from './marks.ts';
import { RollCall } from './roll-call.ts';
import { type NodeIdentity, Run } from './run.ts';
import { migrate } from './schema.ts';
import { checkServer } from './server-check.ts';
import type { ConnectionSettings } from './settings.ts';
import { PostgresStore } from './store.ts';

export interface PostgresStoreOptions {
  readonly settings: ConnectionSettings;
  readonly node: NodeIdentity;
  /** Of this node alone: what it remembers is there. */
  readonly data: string;
  /** 'file:PATH' (made with a new store) or 'env:NAME'. */
  readonly sealingKey: string;
  /** Without it a database that holds no store is STORE_NOT_FOUND, and stays as it is. */
  readonly create?: boolean | undefined;
  /** Reads the journals of the last run of this node; without it what that had leased is burned. */
  readonly recover?: Recover | undefined;
  readonly durability?: Durability | undefined;
  /** How long this node may act alone, and after which others may give it up. */
  readonly ttlMs?: number | undefined;
  /** What is held until the store is closed, or cannot be opened. */
  readonly held?: Disposable | undefined;
  /** That no failover loses a commit; then nobody is waited for after one that lost nothing of this node. */
  readonly standby?: 'synchronous' | undefined;
  /** Of the machine's start; the system's if not given. */
  readonly bootId?: string | undefined;
  /** What its beats go by; the system's if not given. */
  readonly monotonic?: Monotonic;
  /** Called once for each token and pool that is refused because somebody else wrote its row. */
  readonly onForged?: (row: string) => void;
}

const SQL = {
  cluster: `SELECT store_id, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now,
    sealing_key, binding IS NOT NULL AS "isBound" FROM vanitypool.cluster`,
  addDataKey: `INSERT INTO vanitypool.data_keys (epoch, sealed, signature, created_at)
    VALUES ($1, $2, $3, $4) RETURNING id`,
} as const;

interface ClusterRow {
  readonly store_id: string;
  readonly sealing_key: Uint8Array | null;
  /** Of its clock. */
  readonly now: number;
  readonly isBound: boolean;
}

const TTL_MS = 300_000;

/**
 * Opens the store for service: what the last run of this node had leased and did not return is settled, and a new
 * one begins. Errors: CONFIG_INVALID, CERTIFICATE_INVALID, SEALING_KEY_INVALID, STORE_NOT_FOUND, STORE_FOREIGN,
 * STORE_NEWER, STORE_FORGED, STORE_CORRUPT, STORE_REWOUND, STORE_UNAVAILABLE, DATA_NOT_WRITABLE.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<Store> {
  const { settings, node, sealingKey } = options;
  await using resources = new AsyncDisposableStack();
  resources.use(options.held);
  const turns = resources.use(new Connection(settings));
  const inserts = resources.use(new Connection(settings));
  await checkServer(turns);
  await migrate(turns, options.create ?? true);
  const { rows } = await turns.transaction(({ query }) => query<ClusterRow>(SQL.cluster));
  const cluster = rows[0]!;
  const storeId = cluster.store_id;
  const key = await keyOf(cluster, sealingKey);
  const clock = new OwnClock(undefined, new DatabaseTime(cluster.now));
  const marks = new Marks(options.data, { storeId, node, bootId: options.bootId ?? bootId() });
  resources.defer(() => marks.stop());
  const sight = new DatabaseSight(marks.sight);
  const run = new Run({ node, turns, inserts, clock, storeId, sight, marks });
  const { durability = 'leased', ttlMs = TTL_MS, recover, standby } = options;
  const begin = { durability, ttlMs, recover };
  const recovered: Record<string, Recovered> = {};
  const beaten = resources.use(new Connection(settings));
  const { monotonic } = options;
  const beats = new Beats({ run, connection: beaten, ttlMs, ...(monotonic && { now: monotonic }) });
  const binding = await run.repeated((query) => bindingOf(query, storeId, key, options.onForged));
  const rollCall = new RollCall({ run, rows: binding.rows, standby });
  await rollCall.answer(recover, recovered);
  // Before anybody knows of this node: one that is known and has no marks is not believed.
  if (!marks.areKept) marks.begin(undefined, sight.last);
  const begunAt = beats.now;
  const begun = await run.repeated((query) => beginEpoch(query, run, begin, recovered));
  marks.begin(begun, sight.last);
  Object.assign(run, { epoch: begun.epoch, id: begun.id });
  run.judge = () => rollCall.call();
  beats.begun(begunAt);
  const sealer = new Sealer({
    ...{ storeId, binding: binding.id, publicKey: key.publicKey },
    save: (sealed) =>
      run.aside(async (query) => {
        const signed = node.sign(Buffer.concat([Buffer.from(`${storeId} ${node.id} `), sealed]));
        const row = [run.epoch, Buffer.from(sealed), Buffer.from(signed), clock.now];
        return (await query<{ id: number }>(SQL.addDataKey, row)).rows[0]!.id;
      }),
  });
  const addresses = new Addresses(new Unsealer(storeId, binding.id, key));
  for (const connection of [turns, inserts, beaten]) connection.moment = 'running';
  const { rows: bound } = binding;
  const opened = {
    run,
    begin,
    begun,
    rows: bound,
    rollCall,
    sealer,
    addresses,
    beats,
    key,
    sealingKey,
  };
  return new PostgresStore(opened, resources.move());
}

/** That of the first start: its rows have MACs by it. */
async function keyOf({ sealing_key, isBound }: ClusterRow, source: string): Promise<SealingKey> {
  const { key } = await findSealingKey(source, sealing_key);
  if (!isBound) {
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
