/**
 * Entry of a grinder thread: tries candidates in bounded slices of the kernel and posts the hits.
 * Between two slices it takes a turn of its event loop, so that an order is seen within a slice.
 * With nothing to grind, or when too many of its hits wait to be stored, it sleeps there until the
 * next order and uses no CPU.
 *
 * Every hit is proved here, outside the kernel, before it is posted: `node:crypto` derives the
 * public key from the seed, or verifies a signature by the expanded key, and the address must match
 * the pattern. After a hit that fails, the thread posts what did prove and ends: the memory that
 * it computes in cannot be trusted. Key types take turns, a slice each.
 *
 * Secrets are moved to the main thread, not copied; nothing of them stays here.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { addressOf } from '../keypair/address.ts';
import { proveKey } from '../keypair/expanded.ts';
import { matches } from '../keypair/pattern.ts';
import { type Hit, KEY_TYPES, type SigningKey } from '../keypair/signing-key.ts';
import type { GrindJob } from './job.ts';
import { type Kernel, type KernelHit, PATTERNS_MAX, type Search } from './kernel.ts';
import { loadKernel } from './load-kernel.ts';
import type { GrinderWorkerData, Loaded, Opened, Order, Progress } from './messages.ts';

const REPORT_MS = 100;

interface Proof {
  readonly hits: readonly Hit[];
  readonly faults: number;
}

const NO_HITS: Proof = { hits: [], faults: 0 };

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

/** The jobs of one key type and their search. */
interface Ground {
  readonly jobs: readonly GrindJob[];
  readonly search: Search;
}

class GrindLoop {
  readonly #kernel: Kernel;
  readonly #port: MessagePort;
  readonly #data: GrinderWorkerData;
  /** Whose turn it is comes first. */
  #ground: Ground[] = [];
  #unstored: number;
  #attempts = 0;
  /** When the attempts that are not reported yet began. */
  #since = 0;
  #cpuSince = 0;
  #isLowered = false;
  #isOpened = false;
  #isScheduled = false;
  #isStopped = false;

  constructor(kernel: Kernel, port: MessagePort, data: GrinderWorkerData) {
    this.#kernel = kernel;
    this.#port = port;
    this.#data = data;
    this.#unstored = data.unstored;
  }

  take(order: Order): void {
    if (order.kind === 'grind') this.#open(order.jobs);
    else if (order.kind === 'stored') this.#unstored -= order.count;
    else this.#stop();
    if (this.#isScheduled || !this.#mayGrind) return;
    this.#begin();
    this.#schedule();
  }

  get #room(): number {
    return Math.min(this.#data.batch, this.#data.unstoredMax - this.#unstored);
  }

  get #mayGrind(): boolean {
    return !this.#isStopped && this.#ground.length > 0 && this.#room > 0;
  }

  #open(jobs: readonly GrindJob[]): void {
    this.#close();
    if (jobs.length === 0) return;
    for (const keyType of KEY_TYPES) {
      // Pools beyond the most that a search takes come in when others are full.
      const own = jobs.filter((job) => job.keyType === keyType).slice(0, PATTERNS_MAX);
      if (own.length === 0) continue;
      const patterns = own.map(({ pattern }) => pattern);
      this.#ground.push({ jobs: own, search: this.#kernel.open(patterns, keyType) });
    }
    if (!this.#isOpened) {
      const tableBytes = Math.max(...this.#ground.map(({ search }) => search.tableBytes));
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
    this.#cpuSince = cpuMs();
  }

  /** Closing a search wipes the candidates that it holds. */
  #close(): void {
    if (this.#attempts > 0) this.#report(NO_HITS);
    for (const { search } of this.#ground) search.close();
    this.#ground = [];
  }

  #schedule(): void {
    this.#isScheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#isScheduled = false;
    if (!this.#mayGrind) return;
    const ground = this.#ground.shift()!;
    this.#ground.push(ground);
    const slice = ground.search.slice(this.#data.sliceMs, this.#room);
    this.#attempts += slice.attempts;
    const { hits, faults: unproved } = proveHits(slice.hits, ground.jobs);
    const faults = slice.faults + unproved;
    const isNews = hits.length > 0 || faults > 0;
    if (isNews || performance.now() - this.#since >= REPORT_MS) this.#report({ hits, faults });
    if (faults > 0) this.#stop();
    if (this.#mayGrind) this.#schedule();
  }

  #report({ hits, faults }: Proof): void {
    const now = performance.now();
    const cpu = cpuMs();
    const report: Progress = {
      kind: 'progress',
      attempts: this.#attempts,
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
    this.#attempts = 0;
    this.#since = now;
    this.#cpuSince = cpu;
  }

  /** The thread ends when nothing holds its event loop; what it posted arrives all the same. */
  #stop(): void {
    this.#isStopped = true;
    this.#close();
    this.#port.unref();
  }
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
