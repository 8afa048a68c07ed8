/**
 * The composition root of the server, in the main thread: starts the store thread, the HTTP threads
 * and the grinder, wires them together, and stops them in order. It does no work of its own beyond
 * passing hits on and saving counters.
 *
 * Start: shared memory -> store thread opens the store, while HTTP threads load -> HTTP threads
 * listen -> grinder. The grinder comes last: its tables never delay the first reply.
 * Stop: grinder (its last hits are stored), HTTP threads (their last requests are answered) and webhooks
 * -> store thread (pops recorded, leases returned, counters saved). A second stop is the first.
 *
 * A grinder thread or an HTTP thread that dies is replaced. When the store thread dies the server
 * stops: what is in the ready queues is then burned at the next start, never handed out again.
 */

import { createServer } from 'node:net';
import { CalledThread } from '../called-thread.ts';
import type { Config, TlsFiles } from '../config/config.ts';
import { entry } from '../entry.ts';
import { VanityError } from '../errors.ts';
import type { AuthRequired } from '../http/access.ts';
import { WatchedCertificate } from '../http/certificate.ts';
import { EventIds } from '../http/event-ids.ts';
import { type ListenOn, listenError, requiredAuth } from '../http/listen.ts';
import type { HttpWorkerData } from '../http/worker.ts';
import type { LastWarnings } from '../last-warnings.ts';
import type { Log } from '../log.ts';
import { ChangedPools } from '../pool/changed-pools.ts';
import { Deadline } from '../pool/deadline.ts';
import { FileBudget } from '../pool/file-budget.ts';
import { StoreHealth } from '../pool/health.ts';
import { NodeFigures } from '../pool/node-figures.ts';
import { queueBytes, type SharedPool, sharePool } from '../pool/shared-pool.ts';
import { Tallies, type WebhookOutcome } from '../pool/tallies.ts';
import type { MainNotices, StoreCalls, StoreWorkerData } from '../store-thread/store-calls.ts';
import { fileLimit, filesOfServer } from '../system/file-limits.ts';
import { assertMemory } from '../system/memory-limits.ts';
import { hardenProcess } from '../system/process.ts';
import { assertThreads, NODE_THREADS, threadRoom } from '../system/thread-limits.ts';
import { isLimit } from '../system/threads.ts';
import { Webhooks } from '../webhooks/webhooks.ts';
import { Alerts } from './alerts.ts';
import { OwnToken } from './own-token.ts';
import { ServedGrinder } from './served-grinder.ts';
import { ServedHttp } from './served-http.ts';
import { freeSocket } from './socket.ts';

const SAVE_COUNTERS_MS = 10_000;
/** For alerts that wait at a stop. */
const WEBHOOKS_GRACE_MS = 3000;

export interface ServiceOptions {
  readonly log: Log;
  /** Those of `log`; the other threads add theirs. */
  readonly lastWarnings: LastWarnings;
  readonly isPretty: boolean;
  readonly version: string;
}

export class Service implements AsyncDisposable {
  /** Where it listens: `http://127.0.0.1:5057`, or `unix:PATH`. */
  url = '';
  /** Rejects when the server cannot go on; never resolves. */
  readonly failed: Promise<never>;

  readonly #config: Config;
  readonly #options: ServiceOptions;
  readonly #ownToken = new OwnToken();
  readonly #storeHealth = new StoreHealth();
  readonly #tallies = new Tallies();
  readonly #changes = new ChangedPools();
  readonly #deadline = new Deadline();
  readonly #nodes = new NodeFigures();
  readonly #eventIds = new EventIds();
  readonly #files: FileBudget;
  readonly #webhooks: Webhooks | undefined;
  readonly #grinder: ServedGrinder;
  readonly #http: ServedHttp;
  readonly #fail: (error: VanityError) => void;
  #authRequired: AuthRequired = true;
  #certificate: WatchedCertificate | undefined;
  #store: CalledThread<StoreCalls> | undefined;
  #saver: NodeJS.Timeout | undefined;
  #stopping: Promise<void> | undefined;

  /** Errors: those of the configuration's patterns and secrets of webhooks, of opening a store, and of listening. */
  static async start(config: Config, options: ServiceOptions): Promise<Service> {
    const service = new Service(config, options);
    try {
      await service.#start();
      return service;
    } catch (error) {
      await service.stop().catch(() => undefined);
      throw error;
    }
  }

  private constructor(config: Config, options: ServiceOptions) {
    this.#config = config;
    this.#options = options;
    const { log } = options;
    const alerts = this.#startAlerts();
    this.#webhooks = alerts?.webhooks;
    this.#grinder = new ServedGrinder(
      config.grinder,
      this.#tallies,
      this.#changes,
      log,
      alerts?.alerts,
    );
    const { threads: httpThreads, maxConnections: wanted } = config.http;
    const { threads: grinderThreads } = config.grinder;
    const ofServer = filesOfServer({ httpThreads, grinderThreads });
    const limit = fileLimit();
    this.#files = FileBudget.of({ limit, ofServer, threads: httpThreads, wanted });
    this.#http = new ServedHttp({
      data: () => this.#httpData(),
      ownToken: this.#ownToken.hash,
      connect: (port) => this.#store!.call('connect', port, { transfer: [port] }),
      onFailed: (error) => this.#fail(error),
      onUnstarted: () => this.#tallies.countUnstarted('http'),
      log: options.log,
    });
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined);
    this.failed = promise;
    this.#fail = reject;
  }

  async #start(): Promise<void> {
    const { http } = this.#config;
    const { log } = this.#options;
    process.umask(0o077);
    this.#assertLimits();
    if (!hardenProcess()) log.warn('core dumps cannot be disabled on this system');
    const shared = { changes: this.#changes, deadline: this.#deadline };
    const configured = this.#config.pools.map((pool, place) =>
      sharePool(pool, { ...shared, place }),
    );
    this.#authRequired = requiredAuth(this.#config);
    if (http.tls !== undefined) this.#watchCertificate(http.tls);
    const on = await this.#listenOn();
    const store = this.#startStoreThread(configured);
    this.#store = store;
    // They load while the store opens.
    this.#http.load(http.threads);
    const opened = await store.call('open', undefined);
    this.#eventIds.begin(opened.epoch);
    this.#grinder.setPools(opened.pools);
    for (const { shared, status } of this.#grinder.statusOf()) {
      for (const note of shared.pattern.notes) log.info({ pool: shared.name }, note);
      if (status.paused) log.warn({ pool: shared.name }, 'the pool is paused');
    }
    log.info({ epoch: opened.epoch }, 'store open');
    const port = await this.#http.listen(on);
    this.#tellConnections();
    const scheme = http.tls === undefined ? 'http' : 'https';
    this.url = 'path' in on ? `unix:${on.path}` : `${scheme}://${bracketed(on.host)}:${port}`;
    this.#ownToken.write(this.#config.store.data, {
      url: this.url,
      certificate: http.tls?.cert ?? null,
    });
    log.info({ url: this.url, pools: opened.pools.map(({ name }) => name) }, 'listening');

    this.#grinder.start(opened.counters, async (hits) => void (await store.call('insert', hits)));
    this.#saver = setInterval(() => void this.#saveCounters(), SAVE_COUNTERS_MS);
  }

  /** Drains requests and threads; errors are those of a store that could not be closed cleanly. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    clearInterval(this.#saver);
    this.#certificate?.[Symbol.dispose]();
    await Promise.all([
      this.#grinder.close(),
      this.#http.drain(this.#config.http.drainSeconds),
      this.#webhooks?.close(WEBHOOKS_GRACE_MS),
    ]);
    try {
      this.#ownToken.remove();
      await this.#store?.call('stop', this.#grinder.totals());
    } finally {
      await this.#store?.worker.terminate();
    }
  }

  #startAlerts(): { webhooks: Webhooks; alerts: Alerts } | undefined {
    const { webhooks: configured } = this.#config;
    if (configured.length === 0) return undefined;
    const count = (outcome: WebhookOutcome): void => this.#tallies.countWebhook(outcome);
    const webhooks = new Webhooks(configured, process.env, { count, log: this.#options.log });
    const alerts = new Alerts(
      (type, data) => webhooks.raise(type, data),
      () => this.#storeHealth.failure,
    );
    return { webhooks, alerts };
  }

  #watchCertificate(files: TlsFiles): void {
    this.#certificate = new WatchedCertificate(files, this.#options.log, (pair) => {
      this.#http.useCertificate(pair);
    });
  }

  /**
   * Before any thread is started: what it takes is compared with the limits of the process. What could be
   * had without is said: grinder threads, the reader of audits and backups, and the check of the store are
   * tried again. Error: SYSTEM_LIMIT_REACHED.
   */
  #assertLimits(): void {
    const { http, grinder, pools, store } = this.#config;
    const whose = `the server with http.threads = ${http.threads}`;
    const needed = 1 + http.threads;
    const room = threadRoom();
    assertThreads(needed, whose, room);
    this.#files.assertPools(pools.length, store.durability !== 'committed');
    // The reader, too: V8 ends the process where a thread that has begun gets no memory.
    const threads = needed + grinder.threads + 1;
    const bytes = pools.reduce((sum, pool) => sum + queueBytes(pool), 0);
    const both = `${whose} and grinder.threads = ${grinder.threads}`;
    assertMemory({ threads, hasTable: grinder.threads > 0, bytes }, both);
    const wanted = threads + NODE_THREADS;
    if (wanted <= room.threads) return;
    const { limit } = room;
    this.#options.log.warn(
      { limit, room: room.threads, wanted },
      'the system allows too few threads for everything',
    );
  }

  #tellConnections(): void {
    const { connections } = this.#files;
    const { maxConnections } = this.#config.http;
    if (connections >= maxConnections) return;
    this.#options.log.warn(
      { connections, maxConnections, openFiles: fileLimit() },
      'fewer connections are served than http.max_connections: the limit of open files leaves no more',
    );
  }

  /**
   * Port 0 becomes a free one, and a port that is in use is reported here: the HTTP threads
   * share theirs, and would share it with a second server too.
   */
  async #listenOn(): Promise<ListenOn> {
    const { host, port, threads } = this.#config.http;
    if (host.startsWith('unix:')) return { path: await freeSocket(host.slice('unix:'.length)) };
    const on = { host: host === 'localhost' ? '127.0.0.1' : host, port, reusePort: threads > 1 };
    const probe = createServer();
    const bound = Promise.withResolvers<number>();
    probe.once('error', (error) => bound.reject(listenError(error, on)));
    probe.listen({ host: on.host, port, exclusive: true }, () => {
      const address = probe.address();
      bound.resolve(typeof address === 'object' ? (address?.port ?? port) : port);
    });
    const found = await bound.promise;
    await new Promise((closed) => probe.close(closed));
    return { ...on, port: found };
  }

  #startStoreThread(pools: readonly SharedPool[]): CalledThread<StoreCalls> {
    const { role } = this.#config;
    const isGrinder = role === 'grinder';
    const notices: MainNotices = {
      pools: (all) => this.#grinder.setPools(all),
      lost: ({ id, name }) => this.#webhooks?.raise('node.lost', { id, name }),
      rewound: (state) => this.#webhooks?.raise('store.suspect', { state }),
    };
    return CalledThread.start<StoreCalls, StoreWorkerData>({
      name: 'store',
      entry: isGrinder
        ? entry(import.meta.url, '../store-thread/grinder-worker')
        : entry(import.meta.url, '../store-thread/worker'),
      data: {
        role,
        store: this.#config.store,
        httpThreads: this.#config.http.threads,
        pools,
        health: this.#storeHealth.buffer,
        tallies: this.#tallies.buffer,
        files: this.#files.buffer,
        changes: this.#changes.buffer,
        deadline: this.#deadline.buffer,
        nodes: this.#nodes.buffer,
        logLevel: this.#config.logLevel,
        isPretty: this.#options.isPretty,
        lastWarnings: this.#options.lastWarnings.buffer,
      },
      unavailable: 'STORE_UNAVAILABLE',
      notices,
      onEnd: (reason) => this.#storeEnded(reason),
    });
  }

  #storeEnded(reason: Error | undefined): void {
    // The call that opens the store reports what could not be started.
    if (isLimit(reason) || (this.#stopping !== undefined && reason === undefined)) return;
    if (reason !== undefined) {
      this.#options.log.fatal({ reason: reason.message }, 'the store thread failed');
    }
    const what = reason === undefined ? 'ended' : 'failed; the log says why';
    this.#fail(new VanityError('STORE_UNAVAILABLE', `the store thread ${what}`));
  }

  #httpData(): Omit<HttpWorkerData, 'port'> {
    const { threads, compat, trustProxy, rateLimit, keepAliveSeconds } = this.#config.http;
    return {
      storeHealth: this.#storeHealth.buffer,
      deadline: this.#deadline.buffer,
      nodes: this.#nodes.buffer,
      tallies: this.#tallies.buffer,
      eventIds: this.#eventIds.buffer,
      grinder: this.#grinder.buffers,
      version: this.#options.version,
      isCompat: compat,
      isGrinder: this.#config.role === 'grinder',
      authRequired: this.#authRequired,
      certificate: this.#certificate?.current,
      trustProxy,
      keepAliveSeconds,
      requestsPerSecond: Math.ceil(rateLimit / threads),
      files: this.#files.buffer,
      durability: this.#config.store.durability,
      isShared: this.#config.store.database !== undefined,
      logLevel: this.#config.logLevel,
      isPretty: this.#options.isPretty,
      lastWarnings: this.#options.lastWarnings.buffer,
    };
  }

  /** A store that fails says so in its own log; these figures are saved the next time. */
  async #saveCounters(): Promise<void> {
    await this.#store?.call('saveCounters', this.#grinder.totals()).catch(() => undefined);
  }
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
