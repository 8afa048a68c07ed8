/**
 * The store as a node has it that only grinds: it seals to the public half of the sealing key, and adds to lanes
 * of its own. It can open nothing, check no MAC and hand nothing out, and it ends no run of others. Runs in the
 * thread that opened it.
 */
import { VanityError } from '../../errors.ts';
import { publicKeyIn, sealingKeyId } from '../../keypair/sealing-key.ts';
import type { Hit } from '../../keypair/signing-key.ts';
import type { Origin, PoolCounts } from '../address.ts';
import type { OwnClock } from '../own-clock.ts';
import type { Recovered } from '../recovery.ts';
import {
  type Counters,
  type GrindingStore,
  type InsertReport,
  SealingKeyReplaced,
  type Store,
  type StoreEvents,
} from '../store.ts';
import { AddressSealer } from './addresses.ts';
import type { Beats, Monotonic } from './beats.ts';
import { NodeCounters } from './counters.ts';
import { sealerOf } from './data-keys.ts';
import { Directory } from './directory.ts';
import { assertEnrolled } from './enrolment.ts';
import { addNode, type Begin, beginEpoch, endRun } from './epochs.ts';
import { countsOf } from './figures.ts';
import { insertHits } from './inserts.ts';
import { adoptSound, type ClusterRow, join } from './joining.ts';
import { Lanes } from './lanes.ts';
import { PoolRows, UNCHECKED } from './pool-rows.ts';
import { Queues } from './queues.ts';
import type { NodeIdentity, Run } from './run.ts';
import type { ConnectionSettings } from './settings.ts';

export interface GrinderStoreOptions {
  readonly settings: ConnectionSettings;
  readonly node: NodeIdentity;
  /** 'public:DIGITS', of the sealing key of the store: no other is sealed to. */
  readonly sealingKey: string;
  readonly ttlMs: number;
  /** As of `PostgresStoreOptions`. */
  readonly data: string;
  readonly held?: Disposable | undefined;
  readonly monotonic?: Monotonic;
}

/**
 * Errors: NODE_NOT_ENROLLED; SEALING_KEY_INVALID if the store has another key; STORE_NOT_FOUND before another node
 * has made the store; CONFIG_INVALID, CERTIFICATE_INVALID, STORE_FOREIGN, STORE_NEWER, STORE_CORRUPT,
 * STORE_UNAVAILABLE.
 */
export async function openGrinderStore(options: GrinderStoreOptions): Promise<GrindingStore> {
  const { node, ttlMs } = options;
  const publicKey = publicKeyIn(options.sealingKey)!;
  await using resources = new AsyncDisposableStack();
  resources.use(options.held);
  const joined = await join(resources, { ...options, create: false, role: 'grinder' });
  const { run, beats, cluster } = joined;
  const binding = bindingOf(cluster, publicKey);
  // Another one than the next: an operator enrols what is there.
  await run.repeated((query) => addNode(query, run));
  await run.transaction((query) => assertEnrolled(query, node));
  run.key = {
    publicKey,
    follow: (found) => Promise.reject(new SealingKeyReplaced(replaced(publicKey, found))),
  };
  const sealer = new AddressSealer(sealerOf(run, binding, publicKey));
  const store = new GrinderStore({ run, beats, sealer, publicKey, ttlMs }, resources.move());
  try {
    await store.rejoin();
  } catch (error) {
    await store.close();
    throw error;
  }
  joined.started();
  return store;
}

/** Errors: SEALING_KEY_INVALID, STORE_NOT_FOUND. */
function bindingOf({ sealing_key, binding }: ClusterRow, publicKey: Uint8Array): string {
  if (sealing_key === null || binding === null) {
    const detail =
      'the store has no sealing key yet; start a node with role = "api" or "all" first';
    throw new VanityError('STORE_NOT_FOUND', detail);
  }
  if (Buffer.from(sealing_key).equals(publicKey)) return binding;
  throw new VanityError('SEALING_KEY_INVALID', replaced(publicKey, sealing_key));
}

function replaced(given: Uint8Array, found: Uint8Array): string {
  const detail = `store.sealing_key: its id is ${sealingKeyId(given)}, and the database says ${sealingKeyId(found)}`;
  const remedy =
    'if the key was rotated, take what this prints on an api node: vanitypool key show';
  return `${detail}; ${remedy}`;
}

interface Parts {
  readonly run: Run;
  readonly beats: Beats;
  readonly sealer: AddressSealer;
  /** Of the sealing key. */
  readonly publicKey: Uint8Array;
  readonly ttlMs: number;
}

class GrinderStore implements GrindingStore {
  readonly #run: Run;
  readonly #beats: Beats;
  readonly #begin: Begin;
  readonly #pools: PoolRows;
  readonly #lanes: Lanes;
  readonly #parts: Pick<Parts, 'sealer' | 'publicKey'>;
  readonly #directory: Directory;
  readonly #counters: NodeCounters;
  readonly #watches = new DisposableStack();
  readonly #resources: AsyncDisposableStack;

  constructor(parts: Parts, resources: AsyncDisposableStack) {
    const { run, beats, sealer, ttlMs } = parts;
    this.#parts = parts;
    this.#run = run;
    this.#beats = beats;
    this.#begin = { durability: 'committed', ttlMs };
    this.#pools = new PoolRows(UNCHECKED, new Queues(run));
    this.#lanes = new Lanes(run, sealer);
    this.#directory = new Directory(run);
    this.#counters = new NodeCounters(run);
    this.#resources = resources;
  }

  get id(): string {
    return this.#run.storeId;
  }

  get epoch(): number {
    return this.#run.epoch;
  }

  get clock(): OwnClock {
    return this.#run.clock;
  }

  async rejoin(): Promise<Readonly<Record<string, Recovered>>> {
    await adoptSound(this.#run);
    const begunAt = this.#beats.now;
    const { epoch, id } = await this.#run.repeated((query) =>
      beginEpoch(query, this.#run, this.#begin, {}),
    );
    Object.assign(this.#run, { epoch, id });
    this.#directory.clear();
    // The database may have lost the data key.
    this.#parts.sealer.renew(this.#parts.publicKey);
    this.#beats.begun(begunAt);
    return {};
  }

  watch(events: StoreEvents): Disposable {
    const watches = this.#watches.use(new DisposableStack());
    watches.use(this.#beats.start(events));
    watches.use(this.#directory.watch(events));
    return watches;
  }

  pools(): ReturnType<Store['pools']> {
    return this.#run.transaction((query) => this.#pools.all(query));
  }

  insert(hits: readonly Hit[], origin: Origin = 'ground'): Promise<InsertReport> {
    return insertHits(this.#run, this.#pools, this.#lanes, hits, origin);
  }

  counts(pool: string): Promise<PoolCounts> {
    return this.#run.transaction(async (query) => {
      const { id } = await this.#pools.known(query, pool);
      return countsOf(query, id, 0);
    });
  }

  counters(): Promise<Counters> {
    return this.#counters.read();
  }

  saveCounters(counters: Counters): Promise<void> {
    return this.#counters.save(counters);
  }

  close(): Promise<void> {
    return endRun({ run: this.#run, watches: this.#watches, resources: this.#resources });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
