/**
 * The benchmark of the HTTP API, for a person and for a script: the loads of the ancestor's
 * `benchmark_api.sh`, each with what is expected of it. Exit code 1 when an expectation is missed,
 * an answer is wrong, or the pool holds too few addresses to measure and will not hold more; 2: wrong
 * usage; 130: interrupted.
 *
 * Measured is the server, not the start of this client: connections are opened and both programs
 * warmed by requests to /healthz, then each request is timed from its call to the last byte of its
 * answer. Answers are checked after the load: status, pattern, key, and no address twice.
 *
 * Each run takes 160 addresses out of the pool for good. Secrets are checked and never shown.
 */
import { Agent, request } from 'node:http';
import { INTERRUPTED, interruptible } from '../src/cli/options.ts';
import { VanityError } from '../src/errors.ts';
import { addressOf, decodeBase58, toAddress } from '../src/keypair/address.ts';
import { proveKeypair, signingKeyOf } from '../src/keypair/keypair.ts';
import { matches, type Pattern, parsePattern } from '../src/keypair/pattern.ts';
import { HELP, type Options, readOptions } from './api-options.ts';
import { type Stock, stockOf, waitForStock } from './wait.ts';

const WRONG_USAGE = 2;

const POOL = 'pet';
/** Before each load, over all its connections. */
const WARM_REQUESTS = 400;

/** What one load came to, in milliseconds. */
export interface Figures {
  readonly averageMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** From the first call to the last byte of the last answer. */
  readonly totalMs: number;
  readonly requestsPerSecond: number;
}

export interface Load {
  readonly title: string;
  readonly requests: number;
  readonly connections: number;
  readonly expectation: string;
  isMet(figures: Figures): boolean;
}

export const LOADS: readonly Load[] = [
  {
    title: '10 sequential',
    requests: 10,
    connections: 1,
    expectation: 'average < 5 ms',
    isMet: ({ averageMs }) => averageMs < 5,
  },
  {
    title: '50 at once',
    requests: 50,
    connections: 50,
    expectation: 'total < 100 ms',
    isMet: ({ totalMs }) => totalMs < 100,
  },
  {
    title: '100 at once',
    requests: 100,
    connections: 100,
    expectation: 'total < 200 ms',
    isMet: ({ totalMs }) => totalMs < 200,
  },
];
const NEEDED = LOADS.reduce((sum, { requests }) => sum + requests, 0);

export function summarize(latenciesMs: readonly number[], totalMs: number): Figures {
  const sorted = latenciesMs.toSorted((left, right) => left - right);
  const rank = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]!;
  return {
    averageMs: sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length,
    p50Ms: rank(0.5),
    p99Ms: rank(0.99),
    totalMs,
    requestsPerSecond: (sorted.length * 1000) / totalMs,
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly ms: number;
}

interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
}

const HEALTH: Route = { method: 'GET', path: '/healthz' };
const STATUS: Route = { method: 'GET', path: `/v1/pools/${POOL}` };
const DISPENSE: Route = {
  method: 'POST',
  path: `/v1/pools/${POOL}/dispense`,
  body: '{"count":1}',
};
const COMPAT_DISPENSE: Route = { method: 'GET', path: '/api/v1/pet/address' };

class Client {
  readonly #base: URL;
  readonly #token: string | undefined;
  readonly #agent: Agent;

  constructor({ base, token }: Options, connections: number) {
    this.#base = base;
    this.#token = token;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  send({ method, path, body }: Route): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = {
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
      };
      const options = { method, agent: this.#agent, headers };
      const startedAt = performance.now();
      const call = request(new URL(path, this.#base), options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const ms = performance.now() - startedAt;
          const status = response.statusCode ?? 0;
          resolve({ status, body: Buffer.concat(chunks).toString(), ms });
        });
      });
      call.on('error', reject);
      call.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function run(options: Options, { requests, connections }: Load, route: Route) {
  const client = new Client(options, connections);
  try {
    for (let sent = 0; sent < WARM_REQUESTS; sent += connections) {
      await Promise.all(Array.from({ length: connections }, () => client.send(HEALTH)));
    }
    const answers: Answer[] = [];
    const startedAt = performance.now();
    for (let sent = 0; sent < requests; sent += connections) {
      const wave = Array.from({ length: connections }, () => client.send(route));
      answers.push(...(await Promise.all(wave)));
    }
    const totalMs = performance.now() - startedAt;
    const latencies = answers.map(({ ms }) => ms);
    return { answers, figures: summarize(latencies, totalMs) };
  } finally {
    client.close();
  }
}

/** The faults of the answers, by name and number; addresses go to `seen`. */
function faultsOf(answers: readonly Answer[], pattern: Pattern, seen: Set<string>): string[] {
  const counts = new Map<string, number>();
  for (const answer of answers) {
    const fault = faultOf(answer, pattern, seen);
    if (fault !== undefined) counts.set(fault, (counts.get(fault) ?? 0) + 1);
  }
  return [...counts].map(([fault, count]) => `${count} of ${answers.length}: ${fault}`);
}

function faultOf({ status, body }: Answer, pattern: Pattern, seen: Set<string>) {
  if (status !== 200) return `status ${status} instead of 200`;
  const handed = handedOut(body);
  if (handed === undefined) return 'no address in the answer';
  if (seen.has(handed.address)) return 'an address that was handed out before';
  seen.add(handed.address);
  if (!matches(pattern, handed.address)) return `an address that does not match ${pattern.text}`;
  return isKeyOf(handed) ? undefined : 'a secret key of another address';
}

interface Handed {
  readonly address: string;
  readonly secret: string;
}

/** What either route hands out, or undefined for an answer of another shape. */
function handedOut(body: string): Handed | undefined {
  try {
    const { addresses, data } = JSON.parse(body);
    const { address, secretKey, private_key } = data ?? addresses[0];
    return { address: toAddress(address), secret: `${secretKey ?? private_key}` };
  } catch {
    return undefined;
  }
}

function isKeyOf({ address, secret }: Handed): boolean {
  try {
    const keypair = decodeBase58(secret);
    return proveKeypair(keypair) && addressOf(signingKeyOf(keypair).publicKey) === address;
  } catch {
    return false;
  }
}

interface Status extends Stock {
  readonly pattern: string;
}

async function statusOf(client: Client): Promise<Status> {
  const { status, body } = await client.send(STATUS);
  if (status === 401 || status === 403) {
    throw new Error(
      `${STATUS.path}: status ${status}: give a token with the scopes dispense and read, by --token or VANITYPOOL_TOKEN`,
    );
  }
  if (status !== 200) throw new Error(`${STATUS.path}: status ${status} instead of 200`);
  return JSON.parse(body) as Status;
}

/** From the text of a status: 'abc...xyz (ignore case)'. */
function patternOf(text: string): Pattern {
  const [, prefix = '', suffix = '', ignoreCase] =
    /^(.*)\.\.\.(\S*)( \(ignore case\))?$/.exec(text) ?? [];
  return parsePattern({ prefix, suffix, ignoreCase: ignoreCase !== undefined });
}

function row(title: string, cells: readonly string[], rest = ''): string {
  return `${title.padEnd(15)}${cells.map((cell) => cell.padStart(11)).join('')}  ${rest}`.trimEnd();
}

const inMs = (value: number) => `${value.toFixed(2)} ms`;

function figuresRow(title: string, figures: Figures, verdict: string): string {
  const { averageMs, p50Ms, p99Ms, totalMs, requestsPerSecond } = figures;
  const cells = [...[averageMs, p50Ms, p99Ms, totalMs].map(inMs), requestsPerSecond.toFixed(0)];
  return row(title, cells, verdict);
}

/** Whether all went as expected; throws what keeps it from measuring. */
async function benchmark(
  options: Options,
  signal: AbortSignal,
  print: (line: string) => void,
): Promise<boolean> {
  const { base, isCompat, isWaiting } = options;
  const route = isCompat ? COMPAT_DISPENSE : DISPENSE;
  const client = new Client(options, 1);
  try {
    print(`${base.origin}: ${route.method} ${route.path}`);
    const health = await client.send(HEALTH);
    if (health.status !== 200) throw new Error(`${HEALTH.path}: status ${health.status}`);
    const look = () => statusOf(client);
    const before = isWaiting ? await waitForStock(NEEDED, look, signal) : await look();
    const have = stockOf(before);
    print(`health check: ${health.status}; pool ${POOL}: ${before.pattern}, ${have} addresses`);
    if (have < NEEDED) {
      throw new Error(`the pool is short: ${NEEDED} addresses are needed, ${have} are there`);
    }
    print('');
    print(row('', ['average', 'p50', 'p99', 'total', 'requests/s'], 'expected'));
    const pattern = patternOf(before.pattern);
    const seen = new Set<string>();
    let isGood = true;
    for (const load of LOADS) {
      signal.throwIfAborted();
      const { answers, figures } = await run(options, load, route);
      const isMet = load.isMet(figures);
      const verdict = `${load.expectation}: ${isMet ? 'yes' : 'MISSED'}`;
      print(figuresRow(load.title, figures, verdict));
      const faults = faultsOf(answers, pattern, seen);
      for (const fault of faults) print(`  WRONG: ${fault}`);
      isGood &&= isMet && faults.length === 0;
    }
    const after = await statusOf(client);
    print('');
    print(`${seen.size} different addresses, expected ${NEEDED}`);
    print(`pool ${POOL}: ${stockOf(after)} addresses left, ${after.ready} ready`);
    return isGood;
  } finally {
    client.close();
  }
}

async function main(args: string[]): Promise<number> {
  const print = (line: string) => process.stdout.write(`${line}\n`);
  using interrupt = interruptible();
  const { signal } = interrupt;
  try {
    const options = readOptions(args, process.env);
    if (options === undefined) {
      process.stdout.write(HELP);
      return 0;
    }
    const isGood = await benchmark(options, signal, print);
    print(isGood ? 'all as expected' : 'NOT as expected');
    return isGood ? 0 : 1;
  } catch (error) {
    if (signal.aborted) return INTERRUPTED;
    const { message } = error as Error;
    process.stderr.write(`benchmark_api.sh: ${message || 'no server answers there'}\n`);
    return error instanceof VanityError ? WRONG_USAGE : 1;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
