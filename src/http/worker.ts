/**
 * Entry of an HTTP thread, and its composition root: the application over the shared memory of the
 * pools, with a way to ask the store thread for a refill. It holds no state that a client could
 * miss when the thread is replaced.
 */
import type { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Durability, TrustProxy } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import { LastWarnings } from '../last-warnings.ts';
import { createLog, type LogLevel } from '../log.ts';
import {
  type Connection,
  ORDER_TIMEOUT_MS,
  orderUntil,
  type ServedPool,
  type StoreNotices,
  type StoreThreadCalls,
} from '../pool/calls.ts';
import { Deadline } from '../pool/deadline.ts';
import { FileBudget } from '../pool/file-budget.ts';
import { GrinderThreads } from '../pool/grinder-threads.ts';
import { grinderBoard, StoreHealth } from '../pool/health.ts';
import { JournalWriter } from '../pool/journal-parts.ts';
import { NodeFigures } from '../pool/node-figures.ts';
import { type Hands, Pool } from '../pool/pool.ts';
import { Tallies } from '../pool/tallies.ts';
import { answer, Caller } from '../port.ts';
import { Access, type AuthRequired } from './access.ts';
import type { Limits } from './admission.ts';
import { buildApp } from './app.ts';
import type { Dispense } from './app-deps.ts';
import { type CertificateAndKey, tlsOptions } from './certificate.ts';
import { EventIds } from './event-ids.ts';
import { UNREAD_LOOK_MS, UNREAD_LOOKS } from './in-flight.ts';
import { type ListenOn, listenError } from './listen.ts';
import { createMetrics } from './metrics.ts';

/** A request that waits for the store longer than this is answered that it is unavailable. */
const REFILL_TIMEOUT_MS = 2000;
const NOTE_TOKENS_MS = 5000;
const DRAIN_LOOK_MS = 10;
const LAST_CALL_MS = 100;
/** Requests of this thread that wait for the store; more would wait for longer than they are worth. */
const WAITING_MAX = 1000;
/** What clients may leave unread in the memory of this thread, all together. */
const UNREAD_MAX = 64 * 1024 * 1024;
const UNREAD_SUM_MS = 250;

export interface HttpWorkerData {
  readonly storeHealth: SharedArrayBuffer;
  readonly deadline: SharedArrayBuffer;
  readonly nodes: SharedArrayBuffer;
  readonly tallies: SharedArrayBuffer;
  readonly eventIds: SharedArrayBuffer;
  readonly grinder: { readonly board: SharedArrayBuffer; readonly threads: SharedArrayBuffer };
  readonly version: string;
  readonly isCompat: boolean;
  readonly isGrinder: boolean;
  readonly authRequired: AuthRequired;
  readonly certificate: CertificateAndKey | undefined;
  readonly trustProxy: TrustProxy;
  readonly keepAliveSeconds: number;
  readonly requestsPerSecond: number;
  readonly files: SharedArrayBuffer;
  readonly durability: Durability;
  /** Other nodes have the store, too. */
  readonly isShared: boolean;
  readonly port: MessagePort;
  readonly logLevel: LogLevel;
  readonly isPretty: boolean;
  readonly lastWarnings: SharedArrayBuffer;
}

/** What the main thread may ask. */
export type HttpCalls = {
  /**
   * `store` answers `StoreThreadCalls`; `connection` is what it returned for this thread;
   * `ownToken` is the hash of the command line's token. Resolves to the port. Errors: PORT_IN_USE, BIND_REFUSED.
   */
  listen(what: {
    on: ListenOn;
    store: MessagePort;
    connection: Connection;
    ownToken: Uint8Array;
  }): Promise<number>;
  /** For connections from now on. */
  useCertificate(certificate: CertificateAndKey): void;
  /** Answers what has come and closes; connections still open after `seconds` are cut. */
  drain(seconds: number): Promise<void>;
};

if (parentPort !== null) await run(workerData as HttpWorkerData);

async function run(data: HttpWorkerData): Promise<void> {
  const lastWarnings = new LastWarnings(data.lastWarnings);
  const log = createLog('http', data.logLevel, data.isPretty, lastWarnings);
  let opened: Caller<StoreThreadCalls> | undefined;
  const journals = new Map<string, JournalWriter>();
  let isDraining = false;
  let timers: NodeJS.Timeout[] = [];

  const store = (): Caller<StoreThreadCalls> => {
    if (opened === undefined) {
      throw new VanityError('STORE_UNAVAILABLE', 'the store is not open yet');
    }
    if (opened.waiting < WAITING_MAX) return opened;
    const detail = `${WAITING_MAX} requests wait for the store already`;
    throw new VanityError('OVERLOADED', detail, { retryAfterSeconds: 1 });
  };
  const hands: Hands = {
    refill: (pool, count) =>
      store().call('refill', { pool, count }, { timeoutMs: REFILL_TIMEOUT_MS }),
    prepare: (pool) => journals.get(pool)!.prepare(),
    record: (pool, handOut) => journals.get(pool)!.write(handOut),
  };
  const pools = new Map<string, Pool>();
  const add = ({ shared, journal }: ServedPool): void => {
    journals.get(shared.name)?.close();
    if (journal !== undefined) journals.set(shared.name, new JournalWriter(journal));
    pools.set(shared.name, new Pool(shared, hands));
  };
  const forget = (pool: string): void => {
    pools.delete(pool);
    journals.get(pool)?.close();
    journals.delete(pool);
  };
  const dispense: Dispense = (pool, count, { receiver, token, isGone }) => {
    const quota = token?.quota;
    // A client that has it may ask any node for a signature.
    const isSigned = data.isShared && pool.shared.handout === 'sign-only';
    const isCommitted = data.durability === 'committed' || isSigned;
    const isPlain = !isCommitted && receiver.key === undefined && quota === undefined;
    if (isPlain) return pool.dispense(count, receiver, isGone);
    // What is popped by then is given up, unless it has a key.
    const until = orderUntil();
    const order = { pool: pool.shared.name, count, receiver, quota, until };
    return store().call('dispense', order);
  };
  const {
    version,
    isCompat,
    isGrinder,
    certificate,
    trustProxy,
    requestsPerSecond,
    keepAliveSeconds,
  } = data;
  const files = new FileBudget(data.files);
  const limits: Limits = {
    requestsPerSecond,
    get connections() {
      return files.ofThread.connections;
    },
    get refused() {
      return files.ofThread.refused;
    },
  };
  const storeHealth = new StoreHealth(data.storeHealth);
  const storeTime = () => storeHealth.ownTime;
  const access = new Access(data.authRequired, certificate !== undefined, storeTime);
  const noteTokens = async (): Promise<void> => {
    const used = access.takeUsed();
    // What is lost while the store fails is when a token was used last, by some seconds.
    if (used.length > 0) await opened?.call('noteTokens', used).catch(() => undefined);
  };
  const grinder = {
    board: grinderBoard(data.grinder.board),
    threads: new GrinderThreads(data.grinder.threads),
  };
  const tallies = new Tallies(data.tallies);
  const nodes = new NodeFigures(data.nodes);
  const app = await buildApp({
    pools,
    access,
    store,
    dispense,
    storeHealth,
    grinder,
    metrics: createMetrics({
      ...{ pools, grinder, storeHealth, tallies, files },
      ...{ deadline: new Deadline(data.deadline), nodes },
    }),
    nodes,
    tallies,
    eventIds: new EventIds(data.eventIds),
    version,
    isCompat,
    isGrinder,
    isDraining: () => isDraining,
    log,
    lastWarnings,
    certificate,
    trustProxy,
    keepAliveSeconds,
    limits,
  });
  await app.ready();
  const { inFlight } = app;

  const calls: HttpCalls = {
    async listen({ on, store: port, connection, ownToken }) {
      for (const served of connection.pools) add(served);
      access.setOwn(ownToken);
      access.setTokens(connection.tokens);
      const sayHeard = (notice: number): void => {
        // However many requests wait for the store. One that is gone waits for no answer.
        opened?.call('heard', notice).catch(() => undefined);
      };
      const notices: StoreNotices = {
        token({ notice, ...change }) {
          access.setToken(change);
          sayHeard(notice);
        },
        pools({ notice, added, removed }) {
          if (added !== undefined) add(added);
          if (removed !== undefined) forget(removed);
          sayHeard(notice);
        },
      };
      opened = new Caller(port, 'STORE_UNAVAILABLE', notices, ORDER_TIMEOUT_MS);
      timers = [
        setInterval(() => void noteTokens(), NOTE_TOKENS_MS),
        setInterval(() => inFlight.cutUnread(UNREAD_LOOKS), UNREAD_LOOK_MS),
        setInterval(() => inFlight.boundUnread(UNREAD_MAX), UNREAD_SUM_MS),
      ];
      await app.listen(on).catch((error: NodeJS.ErrnoException) => {
        throw listenError(error, on);
      });
      const address = app.server.address();
      return typeof address === 'string' ? 0 : (address as AddressInfo).port;
    },
    useCertificate(pair) {
      (app.server as HttpsServer).setSecureContext(tlsOptions(pair));
    },
    async drain(seconds) {
      isDraining = true;
      // Busy clients get `Connection: close` with their replies before any connection is closed.
      await sleep(Math.min(LAST_CALL_MS, seconds * 1000));
      const cutAt = performance.now() + seconds * 1000;
      const closed = app.close();
      // What is left open has nothing to be answered, or is out of time: a connection on which
      // no request was ever begun does not count as idle to Node.
      while (inFlight.count > 0 && performance.now() < cutAt) await sleep(DRAIN_LOOK_MS);
      app.server.closeAllConnections();
      await closed;
      for (const timer of timers) clearInterval(timer);
      await noteTokens();
      opened?.close();
      for (const journal of journals.values()) journal.close();
    },
  };
  answer(data.port, calls, (error) => log.error({ err: error }, 'an HTTP thread failed'));
}
