/**
 * Entry of a grinder thread: tries candidates in bounded slices of the kernel and posts the hits.
 * Between two slices it takes a turn of its event loop, so that an order is seen within a slice.
 * With nothing to grind, when too many of its hits wait to be stored, or when it has found as many as it
 * may, it sleeps there until the next order and uses no CPU.
 *
 * Every hit is proved here, outside the kernel, before it is posted: `node:crypto` derives the
 * public key from the seed, or verifies a signature by the expanded key, and the address must match
 * the pattern. After a hit that fails, the thread posts what did prove and ends: the memory that
 * it computes in cannot be trusted.
 *
 * Secrets are moved to the main thread, not copied; nothing of them stays here.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { addressOf } from '../keypair/address.ts';
import { proveKey } from '../keypair/expanded.ts';
import { matches } from '../keypair/pattern.ts';
import type { Hit, KeyType, SigningKey } from '../keypair/signing-key.ts';
import { Grounds } from './grounds.ts';
import type { GrindJob } from './job.ts';
import type { Kernel, KernelHit } from './kernel.ts';
import { loadKernel } from './load-kernel.ts';
import type { GrinderWorkerData, Loaded, Opened, Order, Progress, Tried } from './messages.ts';

const REPORT_MS = 100;

interface Proof {
  readonly hits: readonly Hit[];
  readonly faults: number;
}

const NO_HITS: Proof = { hits: [], faults: 0 };
const NOTHING: Tried = { attempts: 0, turns: 0, turnsMs: 0 };

/**
 * Separates correct hits from wrong ones, and wipes the wrong ones. The correct ones keep their
 * buffers.
 */
export function proveHits(hits: readonly KernelHit[], jobs: readonly GrindJob[]): Proof {
  const proved: Hit[] = [];
  for (const { pattern, ...key } of hits) {
    const job = jobs[pattern];
    if (job !== undefined && proves(key, job)) proved.push({ pool: job.pool, ...key });
    else key.key.fill(0);
  }
  return { hits: proved, faults: hits.length - proved.length };
}

function proves(key: SigningKey, { pattern, keyType }: GrindJob): boolean {
  const isIts = key.keyType === keyType && proveKey(key);
  return isIts && matches(pattern, addressOf(key.publicKey));
}

class GrindLoop {
  readonly #kernel: Kernel;
  readonly #port: MessagePort;
  readonly #data: GrinderWorkerData;
  readonly #grounds: Grounds;
  #unstored: number;
  readonly #mayFind = (keyType: KeyType) => this.#allowed[keyType] > 0;
  #allowed: Record<KeyType, number> = { seed: 0, expanded: 0 };
  /** Not reported yet. */
  #tried = nothingTried();
  /** When the attempts that are not reported yet began. */
  #since = 0;
  #turnEndedAt = 0;
  #cpuSince = 0;
  #isLowered = false;
  #isOpened = false;
  #isScheduled = false;
  #isStopped = false;

  constructor(kernel: Kernel, port: MessagePort, data: GrinderWorkerData) {
    this.#kernel = kernel;
    this.#grounds = new Grounds(kernel);
    this.#port = port;
    this.#data = data;
    this.#unstored = data.unstored;
  }

  take(order: Order): void {
    if (order.kind === 'grind' || order.kind === 'allow') this.#allowed = { ...order.allowed };
    if (order.kind === 'grind') this.#open(order.jobs);
    else if (order.kind === 'stored') this.#unstored -= order.count;
    else if (order.kind === 'stop') this.#stop();
    if (this.#isScheduled || !this.#mayGrind) return;
    this.#begin();
    this.#schedule();
  }

  get #room(): number {
    return Math.min(this.#data.batch, this.#data.unstoredMax - this.#unstored);
  }

  get #mayGrind(): boolean {
    return !this.#isStopped && this.#room > 0 && this.#grounds.has(this.#mayFind);
  }

  #open(jobs: readonly GrindJob[]): void {
    this.#reportTurns();
    this.#grounds.open(jobs);
    if (this.#grounds.isEmpty) return;
    if (!this.#isOpened) {
      const { tableBytes } = this.#grounds;
      this.#port.postMessage({ kind: 'opened', tableBytes } satisfies Opened);
    }
    this.#isOpened = true;
    // Not before `open`: at a low priority a busy machine could take minutes to build the tables. From
    // here on this thread may not be the first to use Node.js's pool of threads, nor make another
    // thread: they would be as low, for ever.
    if (!this.#isLowered) this.#kernel.lower(this.#data.priority);
    this.#isLowered = true;
    this.#begin();
  }

  /** Attempts are counted from here. */
  #begin(): void {
    this.#since = performance.now();
    this.#turnEndedAt = this.#since;
    this.#cpuSince = cpuMs();
  }

  #reportTurns(): void {
    if (this.#tried.seed.turns + this.#tried.expanded.turns > 0) this.#report(NO_HITS);
  }

  #schedule(): void {
    this.#isScheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#isScheduled = false;
    if (!this.#mayGrind) return;
    const { keyType, jobs, search } = this.#grounds.next(this.#mayFind);
    const slice = search.slice(this.#data.sliceMs, Math.min(this.#room, this.#allowed[keyType]));
    const { hits, faults: unproved } = proveHits(slice.hits, jobs);
    this.#allowed[keyType] -= hits.length;
    this.#count(keyType, slice.attempts);
    const faults = slice.faults + unproved;
    const isNews = hits.length > 0 || faults > 0;
    if (isNews || this.#turnEndedAt - this.#since >= REPORT_MS) this.#report({ hits, faults });
    if (faults > 0) this.#stop();
    if (this.#mayGrind) this.#schedule();
  }

  /** A turn that ends now. */
  #count(keyType: KeyType, attempts: number): void {
    const now = performance.now();
    const before = this.#tried[keyType];
    this.#tried[keyType] = {
      attempts: before.attempts + attempts,
      turns: before.turns + 1,
      turnsMs: before.turnsMs + now - this.#turnEndedAt,
    };
    this.#turnEndedAt = now;
  }

  #report({ hits, faults }: Proof): void {
    const now = performance.now();
    const cpu = cpuMs();
    const report: Progress = {
      kind: 'progress',
      tried: this.#tried,
      elapsedMs: now - this.#since,
      cpuMs: cpu - this.#cpuSince,
      hits,
      faults,
    };
    this.#port.postMessage(
      report,
      hits.map(({ key }) => key.buffer as ArrayBuffer),
    );
    this.#unstored += hits.length;
    this.#tried = nothingTried();
    this.#since = now;
    this.#cpuSince = cpu;
  }

  /** The thread ends when nothing holds its event loop; what it posted arrives all the same. */
  #stop(): void {
    this.#isStopped = true;
    this.#reportTurns();
    // Closing a search wipes the candidates that it holds.
    this.#grounds.open([]);
    this.#port.unref();
  }
}

function nothingTried(): Record<KeyType, Tried> {
  return { seed: NOTHING, expanded: NOTHING };
}

/** Of this thread. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function run(port: MessagePort, data: GrinderWorkerData): void {
  const { kernel, warning, origin } = loadKernel();
  port.postMessage({ kind: 'loaded', isa: kernel.isa, warning, origin } satisfies Loaded);
  const loop = new GrindLoop(kernel, port, data);
  port.on('message', (order: Order) => loop.take(order));
}

// Here, because the class above is not there any earlier.
if (parentPort !== null) run(parentPort, workerData as GrinderWorkerData);
