/**
 * The composition root of the server, in the main thread: starts the store thread, the HTTP threads
 * and the grinder, wires them together, and stops them in order. It does no work of its own beyond
 * passing hits on and saving counters.
 *
 * Start: shared memory -> store thread opens the store, while HTTP threads load -> HTTP threads
 * listen -> grinder. The grinder comes last: its tables never delay the first reply.
 * Stop: grinder (its last hits are stored) and HTTP threads (their last requests are answered)
 * -> store thread (pops recorded, leases returned, counters saved). A second stop is the first.
 *
 * A grinder thread or an HTTP thread that dies is replaced. When the store thread dies the server
 * stops: what is in the ready queues is then burned at the next start, never handed out again.
 */
import { lstatSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { MessageChannel, type Transferable, Worker } from 'node:worker_threads';
import type { Config, TlsFiles } from './config.ts';
import { witnessDirectory } from './disk/witness.ts';
import { VanityError } from './errors.ts';
import { hardenProcess } from './grinder/kernel.ts';
import type { AuthRequired } from './http/access.ts';
import { WatchedCertificate } from './http/certificate.ts';
import { EventIds } from './http/event-ids.ts';
import { type ListenOn, listenError, requiredAuth } from './http/listen.ts';
import type { HttpCalls, HttpWorkerData } from './http/worker.ts';
import type { Log } from './log.ts';
import { OwnToken } from './own-token.ts';
import { StoreHealth } from './pool/health.ts';
import { type SharedPool, sharePool } from './pool/pool.ts';
import { Tallies } from './pool/tallies.ts';
import { Caller } from './port.ts';
import { ServedGrinder } from './served-grinder.ts';
import type { MainNotices, StoreCalls, StoreWorkerData } from './store/worker.ts';

const SAVE_COUNTERS_MS = 10_000;
/** For an HTTP thread to cut what it could not drain; one that hangs is ended. */
const DRAIN_GRACE_MS = 2000;
/** One that lives no longer would be replaced for ever. */
const HTTP_LIFE_MIN_MS = 1000;

export interface ServiceOptions {
  readonly log: Log;
  readonly isPretty: boolean;
  readonly version: string;
}

interface HttpThread {
  readonly worker: Worker;
  readonly calls: Caller<HttpCalls>;
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
  readonly #eventIds = new EventIds();
  readonly #grinder: ServedGrinder;
  readonly #httpThreads = new Set<HttpThread>();
  readonly #fail: (error: VanityError) => void;
  #authRequired: AuthRequired = true;
  #certificate: WatchedCertificate | undefined;
  #storeThread: Worker | undefined;
  #store: Caller<StoreCalls> | undefined;
  #saver: NodeJS.Timeout | undefined;
  #stopping: Promise<void> | undefined;

  /** Errors: those of the configuration's patterns, of opening a store, and of listening. */
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
    this.#grinder = new ServedGrinder(config.grinder, options.log);
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined);
    this.failed = promise;
    this.#fail = reject;
  }

  async #start(): Promise<void> {
    const { http } = this.#config;
    const { log } = this.#options;
    process.umask(0o077);
    if (!hardenProcess()) log.warn('this system cannot be told to make no core dumps');
    const configured = this.#config.pools.map((pool) => sharePool(pool));
    this.#authRequired = requiredAuth(this.#config);
    if (http.tls !== undefined) this.#watchCertificate(http.tls);
    const on = await this.#listenOn();
    const store = this.#startStoreThread(configured);
    this.#store = store;
    // They load while the store opens.
    const threads = Array.from({ length: http.threads }, () => this.#startHttpThread());
    const opened = await store.call('open', undefined);
    this.#eventIds.begin(opened.epoch);
    this.#grinder.setPools(opened.pools);
    for (const { shared, status } of this.#grinder.statusOf()) {
      for (const note of shared.pattern.notes) log.info({ pool: shared.name }, note);
      if (status.paused) log.warn({ pool: shared.name }, 'the pool is paused');
    }
    log.info({ epoch: opened.epoch, directory: this.#config.store.directory }, 'store open');
    const ports = await Promise.all(threads.map((thread) => this.#listen(thread, on)));
    const scheme = http.tls === undefined ? 'http' : 'https';
    this.url = 'path' in on ? `unix:${on.path}` : `${scheme}://${bracketed(on.host)}:${ports[0]}`;
    this.#ownToken.write(this.#config.store.directory, {
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
    const seconds = this.#config.http.drainSeconds;
    await Promise.all([
      this.#grinder.close(),
      ...[...this.#httpThreads].map(async ({ worker, calls }) => {
        const timeoutMs = seconds * 1000 + DRAIN_GRACE_MS;
        await calls.call('drain', seconds, { timeoutMs }).catch(() => undefined);
        await worker.terminate();
      }),
    ]);
    try {
      this.#ownToken.remove();
      await this.#store?.call('stop', this.#grinder.totals());
    } finally {
      await this.#storeThread?.terminate();
    }
  }

  #watchCertificate(files: TlsFiles): void {
    this.#certificate = new WatchedCertificate(files, this.#options.log, (pair) => {
      // One that has just died is replaced by one that begins with the new pair.
      for (const { calls } of this.#httpThreads) {
        calls.call('useCertificate', pair).catch(() => undefined);
      }
    });
  }

  /**
   * Port 0 becomes a free one, and a port that anything listens on is told here: the HTTP threads
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

  #startStoreThread(pools: readonly SharedPool[]): Caller<StoreCalls> {
    const { port1, port2 } = new MessageChannel();
    const { directory, sealingKey, retentionHours, durability } = this.#config.store;
    const { copies, journal } = this.#config.store;
    const worker = startThread(
      'store',
      new URL('./store/worker.ts', import.meta.url),
      {
        directory,
        sealingKey,
        retentionHours,
        durability,
        copies,
        witness: witnessDirectory(directory),
        journal,
        pools,
        health: this.#storeHealth.buffer,
        tallies: this.#tallies.buffer,
        port: port2,
        logLevel: this.#config.logLevel,
        isPretty: this.#options.isPretty,
      } satisfies StoreWorkerData,
      [port2],
    );
    this.#storeThread = worker;
    worker.on('error', (error) => {
      this.#options.log.fatal({ reason: error.message }, 'the store thread failed');
      this.#fail(new VanityError('STORE_UNAVAILABLE', 'the store thread failed; the log says why'));
    });
    worker.on('exit', () => {
      if (this.#stopping !== undefined) return;
      this.#fail(new VanityError('STORE_UNAVAILABLE', 'the store thread ended'));
    });
    const notices: MainNotices = { pools: (all) => this.#grinder.setPools(all) };
    return new Caller<StoreCalls>(port1, 'STORE_UNAVAILABLE', notices);
  }

  #startHttpThread(): HttpThread {
    const { port1, port2 } = new MessageChannel();
    const { threads, compat, trustProxy, rateLimit, maxConnections } = this.#config.http;
    const worker = startThread(
      'http',
      new URL('./http/worker.ts', import.meta.url),
      {
        storeHealth: this.#storeHealth.buffer,
        tallies: this.#tallies.buffer,
        eventIds: this.#eventIds.buffer,
        grinder: this.#grinder.buffers,
        version: this.#options.version,
        isCompat: compat,
        authRequired: this.#authRequired,
        certificate: this.#certificate?.current,
        trustProxy,
        limits: {
          requestsPerSecond: Math.ceil(rateLimit / threads),
          connections: Math.ceil(maxConnections / threads),
        },
        durability: this.#config.store.durability,
        port: port2,
        logLevel: this.#config.logLevel,
        isPretty: this.#options.isPretty,
      } satisfies HttpWorkerData,
      [port2],
    );
    const thread = { worker, calls: new Caller<HttpCalls>(port1, 'INTERNAL') };
    this.#httpThreads.add(thread);
    worker.on('error', (error) => {
      this.#options.log.error({ reason: error.message }, 'an HTTP thread failed');
    });
    return thread;
  }

  async #listen(thread: HttpThread, on: ListenOn): Promise<number> {
    const { port1, port2 } = new MessageChannel();
    const connection = await this.#store!.call('connect', port1, { transfer: [port1] });
    const what = { on, store: port2, connection, ownToken: this.#ownToken.hash };
    const port = await thread.calls.call('listen', what, { transfer: [port2] });
    const since = performance.now();
    thread.worker.once('exit', () => {
      this.#httpThreads.delete(thread);
      if (this.#stopping !== undefined) return;
      if (performance.now() - since < HTTP_LIFE_MIN_MS) {
        this.#fail(new VanityError('INTERNAL', 'an HTTP thread ended as soon as it listened'));
        return;
      }
      this.#options.log.error('an HTTP thread ended; it is replaced');
      const again = 'path' in on ? on : { ...on, port };
      this.#listen(this.#startHttpThread(), again).catch((error: unknown) => {
        const cause = error instanceof VanityError ? error.message : 'it failed to start';
        this.#fail(new VanityError('INTERNAL', `an HTTP thread cannot be replaced: ${cause}`));
      });
    });
    return port;
  }

  /** A store that fails says so in its own log; these figures are saved the next time. */
  async #saveCounters(): Promise<void> {
    await this.#store?.call('saveCounters', this.#grinder.totals()).catch(() => undefined);
  }
}

function startThread(name: string, entry: URL, data: object, transfer: Transferable[]): Worker {
  const transferList = transfer as NonNullable<
    ConstructorParameters<typeof Worker>[1]
  >['transferList'];
  return new Worker(entry, { name, workerData: data, ...(transferList && { transferList }) });
}

/** A socket that nobody listens on is left of a server that was killed: it is removed. */
async function freeSocket(path: string): Promise<string> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return path;
  if (!stats.isSocket()) throw new VanityError('BIND_REFUSED', `unix:${path}: a file is there`);
  const socket = connect(path);
  const isTaken = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') rmSync(path, { force: true });
      resolve(false);
    });
  });
  socket.destroy();
  if (isTaken) throw new VanityError('PORT_IN_USE', `unix:${path}: another server listens there`);
  return path;
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
