/**
 * A real server as a process of its own, for tests: on a free loopback port, in a directory of its
 * own, with an easy pattern unless the test says otherwise. It never outlives the test.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { NODE_FILE } from '../../src/store/postgres/node-file.ts';
import { PROGRAM, SMALL_MACHINE, stateHome } from './cli.ts';
import { type Judge, judgeOf, type OpenApi, toldPath } from './documented.ts';
import { journalsOf, removeJournalsOfNode } from './journal-machine.ts';

/** Whatever a test does: no server is left behind. */
const LIFE_MAX_MS = 600_000;

/** About 58 attempts a hit, and more than is ready at once: even the slowest kernel fills it in seconds. */
export const EASY_POOL = { name: 'pet', suffix: 't', target: 400 };
/** For tests that wait for many addresses: a low grinder finds few while others take all processors. */
export const DILIGENT = ['[grinder]', 'priority = "normal"'] as const;
/** The same for one that has no such lines. */
export const DILIGENTLY = { VANITYPOOL_GRINDER__PRIORITY: 'normal' } as const;

export interface LogEntry {
  readonly level: string;
  readonly msg: string;
  readonly thread: string;
  readonly [field: string]: unknown;
}

export interface PoolFigures {
  readonly stock: number;
  readonly available: number;
  readonly ready: number;
  readonly leased: number;
  readonly reserved: number;
  readonly dispensed: number;
  readonly burned: number;
  readonly ground: number;
  readonly imported: number;
  readonly consumptionPerHour: number;
  readonly hoursOfStock: number | null;
  readonly target: number;
  readonly grinding: { readonly active: boolean; readonly attemptsPerSecond: number };
}

export interface Handed {
  readonly id: number;
  readonly address: string;
  readonly secretKey: string;
  /** Instead, of a pool of expanded keys. */
  readonly expandedKey?: string;
  readonly createdAt: string;
}

/** What a request carries, beside its method and path. */
export interface Asking {
  readonly token?: string | undefined;
  /** `Idempotency-Key`. */
  readonly key?: string | undefined;
  /** A text goes as it is, also one that is no JSON. */
  readonly body?: object | string | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for.
  readonly body: any;
}

/** A new directory, removed by `await using`. */
export class Workspace implements AsyncDisposable {
  readonly path = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  readonly data = join(this.path, 'data');
  /** `XDG_STATE_HOME` of its servers, and of commands that run here. */
  readonly state = stateHome(this.path);
  /** Of its servers, beside the test's own. */
  environment: Readonly<Record<string, string>> = {};
  /** What starts them, as `nice` does: it gets the program and its arguments as its own. */
  launcher: readonly string[] = [];
  /** How long a server may run at most. */
  lifeMs = LIFE_MAX_MS;
  readonly #servers: Server[] = [];

  /** Writes `vanitypool.toml` with these pools and lines of other sections. */
  configure(pools: readonly Record<string, unknown>[], ...lines: string[]): string {
    const tables = pools.map((pool) => {
      const rows = Object.entries(pool).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
      return ['[[pools]]', ...rows].join('\n');
    });
    const file = join(this.path, 'vanitypool.toml');
    writeFileSync(file, `${[...lines, ...tables].join('\n')}\n`);
    return file;
  }

  /** Starts a server here and waits until it listens. */
  async serve(...args: string[]): Promise<Server> {
    const server = new Server(this, args);
    this.#servers.push(server);
    await server.listening;
    return server;
  }

  /** Where the dispense journals lie, of the store that is there. */
  get journals(): string {
    return journalsOf(this.data);
  }

  /** Those of a server that was killed lie there until its next start. */
  removeJournals(): void {
    if (existsSync(join(this.data, NODE_FILE))) removeJournalsOfNode(this.data);
    if (!existsSync(join(this.data, 'store.db'))) return;
    rmSync(this.journals, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.kill('SIGKILL');
    this.removeJournals();
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** What replies are validated against. */
interface Told {
  readonly document: OpenApi;
  readonly judge: Judge;
}

export class Server {
  readonly process: ChildProcess;
  readonly log: LogEntry[] = [];
  /** Everything that the process wrote. */
  output = '';
  url = '';
  /** By the text of the document, which is the same for most servers. */
  static readonly #judges = new Map<string, Told>();
  #told: Promise<Told> | undefined;
  readonly listening: Promise<void>;
  readonly exited: Promise<number | null>;

  constructor({ path, state, environment, launcher, lifeMs }: Workspace, args: readonly string[]) {
    const file = join(path, 'vanitypool.toml');
    const saysPriority = existsSync(file) && /^priority\b/m.test(readFileSync(file, 'utf8'));
    const port = args.includes('--port') ? [] : ['--port', '0'];
    const [command, ...rest] = [...launcher, PROGRAM, 'serve', ...port, ...args];
    this.process = spawn(command!, rest, {
      cwd: path,
      env: {
        ...process.env,
        XDG_STATE_HOME: state,
        NODE_OPTIONS: SMALL_MACHINE,
        // Other tests run beside this one: a pool that runs dry would take their cores.
        ...(saysPriority ? {} : { VANITYPOOL_GRINDER__PRIORITY: 'low' }),
        // Faster levels have tests of their own, and make a table of 288 MB at each start, which takes the
        // processor longer than the search here.
        VANITYPOOL_ISA: 'portable',
        // Each more takes a seventh of what a start does.
        VANITYPOOL_GRINDER__THREADS: '1',
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: lifeMs,
      killSignal: 'SIGKILL',
    });
    this.exited = once(this.process, 'exit').then(([code]) => code as number | null);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.listening = promise;
    this.process.stdout!.on('data', (chunk: Buffer) => {
      this.output += chunk.toString('latin1');
    });
    createInterface(this.process.stderr!).on('line', (line) => {
      this.output += `${line}\n`;
      if (!line.startsWith('{')) return;
      const entry = JSON.parse(line) as LogEntry;
      this.log.push(entry);
      if (entry.msg !== 'listening') return;
      this.url = String(entry.url);
      resolve();
    });
    void this.exited.then((code) => reject(new Error(`exit ${code} at start: ${this.output}`)));
    promise.catch(() => undefined);
  }

  /** 200, as the server's own document says. */
  async get<T>(path: string): Promise<T> {
    const { status, body } = await this.#send('GET', path, {});
    assert.equal(status, 200, `${path}: ${status}`);
    return body as T;
  }

  /**
   * On a connection of its own, which any thread may take: a reply that its document describes,
   * or an error.
   */
  ask(method: string, path: string, { token, key, body }: Asking = {}): Promise<Answer> {
    const headers = {
      connection: 'close',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(key !== undefined && { 'idempotency-key': key }),
    };
    return this.#send(method, path, headers, body);
  }

  async #send(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: object | string,
  ): Promise<Answer> {
    // Known before anything is sent: a server that is killed meanwhile has answered for all that came.
    this.#told ??= this.#document();
    const { document, judge } = await this.#told;
    const reply = await fetch(new URL(path, this.url), {
      method,
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const { status } = reply;
    const text = await reply.text();
    const told = toldPath(document, path);
    const all = Object.fromEntries(reply.headers);
    if (told !== undefined) judge(method, told, { status, headers: all, body: text });
    const isJson = /[/+]json(;|$)/.test(all['content-type'] ?? '');
    return { status, headers: reply.headers, text, body: isJson ? JSON.parse(text) : undefined };
  }

  /** The server's own, which replies are validated against. */
  async #document(): Promise<Told> {
    const text = await (await fetch(`${this.url}/openapi.json`)).text();
    const known = Server.#judges.get(text);
    if (known !== undefined) return known;
    const document = JSON.parse(text) as OpenApi;
    const told = { document, judge: judgeOf(document) };
    Server.#judges.set(text, told);
    return told;
  }

  pool(name = 'pet'): Promise<PoolFigures> {
    return this.get(`/v1/pools/${name}`);
  }

  /** One request; rejects with the problem's code. */
  async dispense(count = 1, pool = 'pet'): Promise<Handed[]> {
    const path = `/v1/pools/${pool}/dispense`;
    const { status, body } = await this.#send('POST', path, {}, { count });
    if (status !== 200) throw new Error(body.code);
    return body.addresses;
  }

  /**
   * Asks for `count` again and again, by `clients` at once, until an answer fails; what was handed
   * out goes into `handed` as it comes. Resolves when all have failed: the server is gone.
   */
  async drainBy(clients: number, count: number, handed: Handed[]): Promise<void> {
    const ask = async (): Promise<void> => {
      for (;;) handed.push(...(await this.dispense(count)));
    };
    await Promise.allSettled(Array.from({ length: clients }, ask));
  }

  /** Waits until a pool's figures are as wanted; the test's own time limit ends it. */
  async until(isThere: (figures: PoolFigures) => boolean, pool = 'pet'): Promise<PoolFigures> {
    for (;;) {
      const figures = await this.pool(pool);
      if (isThere(figures)) return figures;
      await sleep(50);
    }
  }

  /** Sends a signal and waits for the end: the exit code, or null when the signal ended it. */
  kill(signal: NodeJS.Signals): Promise<number | null> {
    if (this.process.exitCode === null) this.process.kill(signal);
    return this.exited;
  }
}

export function assertIdentity(figures: PoolFigures): void {
  const { available, leased, reserved, dispensed, burned, ground, imported, ready } = figures;
  const sum = available + leased + reserved + dispensed + burned;
  assert.equal(sum, ground + imported, JSON.stringify(figures));
  assert.ok(ready <= leased, JSON.stringify(figures));
}
