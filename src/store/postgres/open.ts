/**
 * A store of many nodes: one PostgreSQL database. Runs in the thread that calls it. The contract, with the words
 * and the states, is ../store.ts; the schema is migrations.
 *
 * A transaction counts only if the server confirmed its COMMIT. Where it may be in without that, it is found out
 * by the number of the queue's turn (queues.ts), by the end of the lane (lanes.ts), or done again where that
 * does no harm (run.ts).
 */
import type { Durability, Role } from '../../config/config.ts';
import { VanityError } from '../../errors.ts';
import { Unsealer } from '../../keypair/seal.ts';
import { createSealingKey, keepSealingKey, SealingKey } from '../../keypair/sealing-key.ts';
import { findSealingKey, isKey, takeNextKey, wrongKey } from '../../keypair/sealing-key-files.ts';
import type { Recover, Recovered } from '../recovery.ts';
import type { Store } from '../store.ts';
import { Addresses, AddressSealer } from './addresses.ts';
import type { Monotonic } from './beats.ts';
import { BoundRows, bindingOf } from './bound-rows.ts';
import { DataKeys, sealerOf } from './data-keys.ts';
import { enrol } from './enrolment.ts';
import { beginEpoch } from './epochs.ts';
import { assertServable, type ClusterRow, join } from './joining.ts';
import { RollCall } from './roll-call.ts';
import type { NodeIdentity } from './run.ts';
import type { ConnectionSettings } from './settings.ts';
import { PostgresStore } from './store.ts';
import { HeldKey } from './store-keys.ts';

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
  /** 'all' if not given; for one that only grinds there is openGrinderStore. */
  readonly role?: Role | undefined;
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
  /** Called once for each token, pool and data key that is refused because somebody else wrote its row. */
  readonly onForged?: (row: string) => void;
}

const TTL_MS = 300_000;

/**
 * Opens the store for service: what the last run of this node had leased and did not return is settled, and a new
 * one begins. Errors: CONFIG_INVALID, CERTIFICATE_INVALID, DATA_MOVED for one that has not arrived yet,
 * SEALING_KEY_INVALID, STORE_NOT_FOUND, STORE_FOREIGN, STORE_NEWER, STORE_FORGED, STORE_CORRUPT, STORE_REWOUND,
 * STORE_UNAVAILABLE, DATA_NOT_WRITABLE.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<Store> {
  const { node, sealingKey, onForged } = options;
  const { role = 'all', durability = 'leased', ttlMs = TTL_MS, recover, create = true } = options;
  await using resources = new AsyncDisposableStack();
  resources.use(options.held);
  const joined = await join(resources, { ...options, role, create, ttlMs });
  const { run, beats, cluster } = joined;
  const { storeId, marks, sight } = run;
  const now = { key: await keyOf(cluster, sealingKey), source: sealingKey };
  const held = new HeldKey(storeId, now, await SealingKey.random(), run.assertKey);
  run.key = held;
  const begin = { durability, ttlMs, recover, held };
  const recovered: Record<string, Recovered> = {};
  const binding = await run.repeated(async (query) => {
    const binding = await bindingOf(query, storeId, held.key);
    // A store that began to move here meanwhile. None does from now on: this one is no longer empty.
    assertServable(binding, options.settings.name);
    return binding;
  });
  held.binding = binding.id;
  const rows = new BoundRows(held, onForged);
  const rollCall = new RollCall({ run, rows, standby: options.standby });
  await rollCall.answer(recover, recovered);
  // Before anybody knows of this node: one that is known and has no marks is not believed.
  if (!marks.areKept) marks.begin(undefined, sight.last);
  const begunAt = beats.now;
  const begun = await run.repeated(async (query) => {
    const begun = await beginEpoch(query, run, begin, recovered);
    // Who has the key may say so.
    await enrol(query, held.nodeKey, node);
    return begun;
  });
  marks.begin(begun, sight.last);
  Object.assign(run, { epoch: begun.epoch, id: begun.id });
  run.judge = () => rollCall.call();
  beats.begun(begunAt);
  const sealer = new AddressSealer(sealerOf(run, binding.id, held.publicKey));
  const dataKeys = new DataKeys(storeId, held, onForged);
  const addresses = new Addresses(new Unsealer(storeId, binding.id, held.key), dataKeys, held);
  held.users.add((key) => {
    sealer.renew(key.publicKey);
    addresses.openWith(key);
  });
  joined.started();
  const opened = { run, begin, begun, rows, rollCall, sealer, addresses, dataKeys, beats, held };
  return new PostgresStore(opened, resources.move());
}

/** That of the first start: its rows have MACs by it. */
async function keyOf({ sealing_key, binding }: ClusterRow, source: string): Promise<SealingKey> {
  const { key, isNext } = await findSealingKey(source, sealing_key);
  // One that cannot be renamed is found by the next start, too.
  if (isNext) await takeNextKey(source).catch(() => undefined);
  if (binding === null) {
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
  const remedy = 'if it was rotated, copy the new one from another node';
  throw new VanityError('SEALING_KEY_INVALID', `${detail}; ${remedy}`);
}
