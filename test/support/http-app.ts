/**
 * The HTTP application over real shared memory, without a store thread: a test says what the store
 * would have done. Addresses are real keypairs.
 */
import { randomBytes } from 'node:crypto';
import { loadConfig } from '../../src/config/config.ts';
import { VanityError } from '../../src/errors.ts';
import { Access } from '../../src/http/access.ts';
import { buildApp } from '../../src/http/app.ts';
import type { App, AppDeps } from '../../src/http/app-deps.ts';
import { EventIds } from '../../src/http/event-ids.ts';
import { createMetrics } from '../../src/http/metrics.ts';
import { addressOf, encodeBase58 } from '../../src/keypair/address.ts';
import { keypairOf } from '../../src/keypair/keypair.ts';
import { LastWarnings } from '../../src/last-warnings.ts';
import { createLog } from '../../src/log.ts';
import { Deadline } from '../../src/pool/deadline.ts';
import { GrinderThreads } from '../../src/pool/grinder-threads.ts';
import { grinderBoard, StoreHealth } from '../../src/pool/health.ts';
import { NodeFigures } from '../../src/pool/node-figures.ts';
import { type Hands, Pool } from '../../src/pool/pool.ts';
import type { ReadyAddress } from '../../src/pool/ready-address.ts';
import { ReadyQueue } from '../../src/pool/ready-queue.ts';
import { countsBoard, type SharedPool, sharePool } from '../../src/pool/shared-pool.ts';
import { Tallies } from '../../src/pool/tallies.ts';
import { judgeReplies } from './documented.ts';
import { unlimitedFiles } from './unlimited-files.ts';

export function readyAddress(id: number): ReadyAddress {
  const keypair = keypairOf(randomBytes(32));
  return {
    id,
    address: addressOf(keypair.subarray(32)),
    secret: encodeBase58(keypair),
    keyType: 'seed',
    origin: 'ground',
    createdAt: Date.UTC(2026, 0, 1) + id,
  };
}

/** The store's part: `ready` leased addresses in the queue, `available` more in the store. */
export function fillPool(shared: SharedPool, ready: number, available = 0): ReadyAddress[] {
  const addresses = Array.from({ length: ready }, (_, index) => readyAddress(index + 1));
  countsBoard(shared).write({ available, leased: ready, ground: ready + available });
  new ReadyQueue(shared.queue).push(addresses);
  return addresses;
}

export interface TestApp {
  readonly app: App;
  readonly shared: SharedPool;
  readonly storeHealth: StoreHealth;
  readonly deadline: Deadline;
  readonly nodes: NodeFigures;
  readonly tallies: Tallies;
  readonly access: Access;
  readonly drain: () => void;
}

/** One pool, `pet`. `refill` stands for the store thread, `record` for the dispense journal; `more` takes the place of what is here. */
export async function testApp(
  refill: Hands['refill'] = () => Promise.resolve(),
  isCompat = true,
  record: Hands['record'] = () => undefined,
  more: Partial<AppDeps> = {},
): Promise<TestApp> {
  const shared = sharePool(loadConfig({ cwd: '/' }).pools[0]!);
  const pools = new Map([
    [shared.name, new Pool(shared, { refill, prepare: () => undefined, record })],
  ]);
  const storeHealth = new StoreHealth();
  const [deadline, nodes] = [new Deadline(), new NodeFigures()];
  const tallies = new Tallies();
  const grinder = { board: grinderBoard(), threads: GrinderThreads.of(2) };
  grinder.threads.write([
    { priority: 'raised', share: 0.5, attemptsPerSecond: 1000 },
    { priority: 'low', share: undefined, attemptsPerSecond: undefined },
  ]);
  const access = more.access ?? new Access('auto');
  let isDraining = false;
  const app = await buildApp({
    pools,
    access,
    store: () => {
      throw new VanityError('STORE_UNAVAILABLE', 'there is no store thread here');
    },
    dispense: (pool, count, { receiver, isGone }) => pool.dispense(count, receiver, isGone),
    storeHealth,
    grinder,
    metrics: createMetrics({
      files: unlimitedFiles(),
      pools,
      grinder,
      storeHealth,
      deadline,
      nodes,
      tallies,
    }),
    nodes,
    tallies,
    eventIds: new EventIds(),
    version: '0.0.0-test',
    isCompat,
    isGrinder: false,
    isDraining: () => isDraining,
    log: createLog('test', 'silent', false),
    lastWarnings: new LastWarnings(),
    certificate: undefined,
    trustProxy: false,
    keepAliveSeconds: 72,
    limits: { requestsPerSecond: 0, connections: 1000 },
    ...more,
  });
  // It has no document.
  if (!more.isGrinder) judgeReplies(app);
  const drain = () => {
    isDraining = true;
  };
  return { app, shared, storeHealth, deadline, nodes, tallies, access, drain };
}
