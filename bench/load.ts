/**
 * Loads on a real server, made by a process of its own: bench/load.c, compiled here, which needs a C
 * compiler and Linux. It sends from the same machine and shares the cores with the server.
 */
import { execFile, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { findCompiler } from '../tools/build-native.mjs';

const BUILD = fileURLToPath(new URL('../build', import.meta.url));
const PROGRAM = `${BUILD}/bench-load`;
const DISPENSE = '/v1/pools/pet/dispense';
export const CONNECTIONS = 50;

export interface Load {
  readonly port: number;
  readonly path?: string;
  readonly requests: number;
  readonly connections?: number;
  /** Evenly spaced; without it, each connection sends as soon as it was answered. */
  readonly perSecond?: number;
  readonly count?: number;
  /** Each request has an idempotency key that was never used before. */
  readonly isKeyed?: boolean;
}

export interface Loaded {
  readonly requests: number;
  readonly seconds: number;
  readonly averageMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Before the first `run`. */
export function buildLoad(): void {
  const compiler = findCompiler();
  if (compiler === undefined) throw new Error('the load needs a C compiler: set CC');
  mkdirSync(BUILD, { recursive: true });
  const source = fileURLToPath(new URL('./load.c', import.meta.url));
  const built = spawnSync(compiler, ['-std=c17', '-O2', source, '-o', PROGRAM], {
    stdio: 'inherit',
  });
  if (built.status !== 0) throw new Error(`${source}: does not compile`);
}

/** Any answer but 200 ends the benchmark. */
export async function run(load: Load): Promise<Loaded> {
  const { port, path = DISPENSE, requests, connections = CONNECTIONS } = load;
  const { perSecond = 0, count = 1, isKeyed = false } = load;
  const numbers = [port, connections, requests, perSecond].map(String);
  const keys = isKeyed ? [`${randomUUID()}-`] : [];
  const args = [...numbers, path, JSON.stringify({ count }), ...keys];
  const { stdout } = await promisify(execFile)(PROGRAM, args);
  return JSON.parse(stdout);
}

/** Requests a second. */
export function rateOf({ requests, seconds }: Loaded): number {
  return requests / seconds;
}
