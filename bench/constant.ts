/**
 * The yardstick of bench/serve.ts: our own application, with all its plugins, hooks and parsers, and
 * one route more, with the schema of a dispense and a constant body as large as its own. A process of
 * its own with nothing else in it; sends its parent the port. It ends with its parent.
 */
import type { AddressInfo } from 'node:net';
import { DispenseBody } from '../src/api/dispense.ts';
import { PoolParams } from '../src/api/pools.ts';
import { VanityError } from '../src/errors.ts';
import { Access } from '../src/http/access.ts';
import { addressJson } from '../src/http/address-json.ts';
import { buildApp } from '../src/http/app.ts';
import type { AppDeps } from '../src/http/app-deps.ts';
import { EventIds } from '../src/http/event-ids.ts';
import { createMetrics } from '../src/http/metrics.ts';
import { LastWarnings } from '../src/last-warnings.ts';
import { createLog } from '../src/log.ts';
import { Deadline } from '../src/pool/deadline.ts';
import { FileBudget } from '../src/pool/file-budget.ts';
import { GrinderThreads } from '../src/pool/grinder-threads.ts';
import { grinderBoard, StoreHealth } from '../src/pool/health.ts';
import { NodeFigures } from '../src/pool/node-figures.ts';
import { Tallies } from '../src/pool/tallies.ts';

const ROUTE = '/v1/constant/:pool';
export const CONSTANT_PATH = '/v1/constant/pet';

if (import.meta.main) {
  const pools = new Map();
  const storeHealth = new StoreHealth();
  const tallies = new Tallies();
  const grinder = { board: grinderBoard(), threads: GrinderThreads.of(0) };
  const nodes = new NodeFigures();
  const deps: AppDeps = {
    pools,
    access: new Access('auto'),
    store: () => {
      throw new VanityError('STORE_UNAVAILABLE', 'there is no store thread here');
    },
    dispense: (pool, count, { receiver, isGone }) => pool.dispense(count, receiver, isGone),
    storeHealth,
    grinder,
    metrics: createMetrics({
      files: FileBudget.of({ limit: 20_000, ofServer: 0, threads: 1, wanted: 10_000 }),
      pools,
      grinder,
      storeHealth,
      deadline: new Deadline(),
      nodes,
      tallies,
    }),
    nodes,
    tallies,
    eventIds: new EventIds(),
    version: 'none',
    isCompat: true,
    isGrinder: false,
    isDraining: () => false,
    lastWarnings: new LastWarnings(),
    log: createLog('http', 'warn', false),
    certificate: undefined,
    trustProxy: false,
    keepAliveSeconds: 72,
    limits: { requestsPerSecond: 0, connections: 10_000 },
  };
  const app = await buildApp(deps);
  const address = addressJson(
    {
      id: 100_000,
      address: '1'.repeat(44),
      secret: '1'.repeat(88),
      keyType: 'seed',
      origin: 'ground',
      createdAt: Date.now(),
    },
    true,
  );
  const body = `{"addresses":[${address}]}`;
  const schema = { params: PoolParams, body: DispenseBody };
  app.post(ROUTE, { config: { scope: 'dispense' }, schema }, (_, reply) => {
    reply.header('cache-control', 'no-store').type('application/json; charset=utf-8').send(body);
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  process.once('disconnect', () => process.exit());
  process.send!((app.server.address() as AddressInfo).port);
}
