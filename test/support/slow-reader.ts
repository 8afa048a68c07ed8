/**
 * Clients that read slowly (slow-reader.c, built with the compiler at hand): what their own system takes in
 * advance is small, or what a system usually takes.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCompiler } from '../../tools/build-native.mjs';

const SOURCE = fileURLToPath(new URL('./slow-reader.c', import.meta.url));
const ENDS = new Map([
  [0, 'closed'],
  [3, 'reset'],
]);

export interface SlowReading {
  readonly port: number;
  /** As they are sent. */
  readonly requests: string;
  readonly perSecond: number;
  /** Then it reads as fast as it can. */
  readonly slowSeconds: number;
  /** Little is taken in advance. */
  readonly isSmall: boolean;
}

export interface SlowlyRead {
  readonly end: string;
  readonly ms: number;
  readonly bytes: Buffer;
}

/** Builds into `directory`; then each call is one client, which `ended` waits for. */
export function slowReaders(directory: string) {
  const compiler = findCompiler();
  assert.ok(compiler, 'a slow reader needs a C compiler (CC, cc, gcc or clang)');
  const program = join(directory, 'slow-reader');
  const args = ['-std=gnu17', '-Wall', '-Wextra', '-O1', SOURCE, '-o', program];
  const { status, stderr } = spawnSync(compiler, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return (reading: SlowReading) => read(program, reading);
}

function read(program: string, { port, requests, perSecond, slowSeconds, isSmall }: SlowReading) {
  const numbers = [port, isSmall ? 4096 : 0, perSecond, slowSeconds].map(String);
  const client = spawn(program, numbers, { stdio: 'pipe' });
  const begunAt = performance.now();
  const parts: Buffer[] = [];
  client.stdout.on('data', (part: Buffer) => parts.push(part));
  client.stdin.end(requests);
  const ended = once(client, 'close').then(
    ([code]): SlowlyRead => ({
      end: ENDS.get(code) ?? `failed with ${code}`,
      ms: performance.now() - begunAt,
      bytes: Buffer.concat(parts),
    }),
  );
  return {
    ended,
    connected: once(client.stderr, 'data'),
    /** Resolves with the first bytes of the reply. */
    begun: once(client.stdout, 'data'),
    [Symbol.dispose]: () => void client.kill('SIGKILL'),
  };
}
