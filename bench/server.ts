/**
 * A server for a benchmark: a store filled in advance, in a temporary directory, and `bin/vanitypool
 * serve` on it as a process of its own, on a free loopback port. All of it is gone at the end.
 *
 * The stored keypairs are random bytes in both halves: what is measured never looks at whether
 * they belong together, and a million real ones would take minutes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Durability } from '../src/config/config.ts';
import { signingKeyOf } from '../src/keypair/keypair.ts';
import { memoryPath, THIS_MACHINE } from '../src/pool/journal-places.ts';
import { openSqliteStore } from '../src/store/sqlite/open.ts';

const PROGRAM = fileURLToPath(new URL('../bin/vanitypool', import.meta.url));
const FILL_BATCH = 4096;
/** Threads that are called by what they do; the others are the main thread and those of Node.js. */
const NAMED: readonly string[] = ['http', 'grinder', 'store'];

export interface BenchPool {
  readonly name: string;
  readonly suffix: string;
  /** Filled in advance. */
  readonly stored: number;
  readonly target?: number;
  readonly ready?: number;
}

// An end by signal is an exit: what was started and made is ended and removed then too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

/** A directory with a configuration and a filled store, removed when it is disposed of. */
export class BenchStore implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'vanitypool-bench-'));
  readonly #data = join(this.path, 'data');
  readonly #remove = () => this[Symbol.dispose]();
  readonly #durability: Durability;
  #journals: string | undefined;

  constructor(durability: Durability = 'leased') {
    this.#durability = durability;
    process.once('exit', this.#remove);
  }

  /** A pool without a target is ground for when nothing of it is stored: its target is one address. */
  async fill(pools: readonly BenchPool[]): Promise<void> {
    this.configure(pools);
    const sealingKey = `file:${join(this.#data, 'sealing.key')}`;
    await using store = await openSqliteStore({ directory: this.#data, sealingKey });
    this.#journals = memoryPath(THIS_MACHINE, store.id, store.place);
    for (const { name, suffix, stored } of pools) {
      await store.definePool({
        name,
        prefix: '',
        suffix,
        ignoreCase: false,
        keys: 'seed',
        handout: 'secret',
      });
      for (let left = stored; left > 0; left -= FILL_BATCH) {
        const newHit = () => ({ pool: name, ...signingKeyOf(randomBytes(64)) });
        await store.insert(Array.from({ length: Math.min(left, FILL_BATCH) }, newHit));
      }
    }
  }

  /** `more`: sections of the file beside them. */
  configure(pools: readonly BenchPool[], more = ''): void {
    const tables = pools.map(
      ({ name, suffix, target = 1, ready = 256 }) =>
        `[[pools]]\nname = "${name}"\nsuffix = "${suffix}"\n` +
        `target = ${target}\nready = ${ready}\n`,
    );
    const store = `[store]\ndurability = "${this.#durability}"\n`;
    writeFileSync(join(this.path, 'vanitypool.toml'), [store, more, ...tables].join('\n'));
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#remove);
    if (this.#journals !== undefined) rmSync(this.#journals, { recursive: true, force: true });
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface ReadyFigures {
  readonly ready: number;
  readonly grinding: { readonly attemptsPerSecond: number };
}

/** Stops its process, and waits for that, when it is disposed of. */
export class BenchServer implements AsyncDisposable {
  port = 0;
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #kill = () => void this.#process.kill('SIGKILL');

  /** Resolves when the server listens. */
  static async start(store: BenchStore, ...args: string[]): Promise<BenchServer> {
    const server = new BenchServer(store.path, args);
    try {
      await server.#listening();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(cwd: string, args: readonly string[]) {
    this.#process = spawn(PROGRAM, ['serve', '--port', '0', ...args], {
      cwd,
      env: { ...process.env, XDG_STATE_HOME: join(cwd, 'state') },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#exited = once(this.#process, 'exit');
    process.once('exit', this.#kill);
  }

  /** Reads its log to the end, so that it never waits for a reader. */
  #listening(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const lines: string[] = [];
    createInterface(this.#process.stderr!).on('line', (line) => {
      if (this.port !== 0) return;
      lines.push(line);
      const { msg, url } = line.startsWith('{') ? JSON.parse(line) : {};
      if (msg !== 'listening') return;
      this.port = Number(new URL(url).port);
      resolve();
    });
    void this.#exited.then(() => reject(new Error(`it did not start:\n${lines.join('\n')}`)));
    return promise;
  }

  async pool(name: string): Promise<ReadyFigures> {
    const reply = await fetch(`http://127.0.0.1:${this.port}/v1/pools/${name}`);
    return (await reply.json()) as ReadyFigures;
  }

  /** Resolves with the last byte of the reply. */
  async dispense(pool: string, count: number): Promise<void> {
    const reply = await fetch(`http://127.0.0.1:${this.port}/v1/pools/${pool}/dispense`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ count }),
    });
    const text = await reply.text();
    if (reply.status !== 200) throw new Error(`${reply.status}: ${text}`);
  }

  /** Takes no processor time until `resume`. */
  pause(): void {
    this.#process.kill('SIGSTOP');
  }

  resume(): void {
    this.#process.kill('SIGCONT');
  }

  /** Resident, in bytes. */
  get memory(): number {
    const status = readFileSync(`/proc/${this.#process.pid}/status`, 'latin1');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
  }

  /** Processor time that its threads of this name have taken, in milliseconds; 'main': all but ours. */
  cpuMsOf(name: 'http' | 'grinder' | 'store' | 'main'): number {
    const tasks = `/proc/${this.#process.pid}/task`;
    const read = (thread: string, file: string) =>
      readFileSync(join(tasks, thread, file), 'latin1');
    const threads = readdirSync(tasks).filter((thread) => {
      const comm = read(thread, 'comm').trim();
      return name === 'main' ? !NAMED.includes(comm) : comm === name;
    });
    const ns = threads.map((thread) => Number(read(thread, 'schedstat').split(' ')[0]));
    return ns.reduce((sum, one) => sum + one, 0) / 1e6;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.resume();
      this.#process.kill('SIGTERM');
    }
    await this.#exited;
    process.off('exit', this.#kill);
  }
}
