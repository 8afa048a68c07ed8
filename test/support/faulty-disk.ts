/**
 * A disk that fails, hangs and works again while a server runs on it: the test's side of
 * faulty-disk.c, which it builds with the compiler at hand. Where the faults strike and what they
 * are is said at any moment, by a file that the server's process maps.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('./faulty-disk.c', import.meta.url));
const CONTROL_BYTES = 4096;
/** `struct control`: words of 32 bits. */
const WORDS = [
  'write',
  'resize',
  'sync',
  'open',
  'isHolding',
  'syncMs',
  'held',
  'refused',
] as const;
const WORD_BYTES = 4;
const KINDS = ['write', 'resize', 'sync', 'open'] as const;

type Word = (typeof WORDS)[number];
export type Kind = (typeof KINDS)[number];
export type Fault = keyof typeof constants.errno;

export class FaultyDisk implements Disposable {
  /** For the process that is to have such a disk. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #control: number;

  /** Builds into `directory`. Faults strike below `below`, an absolute path. */
  constructor(directory: string, below: string) {
    const library = join(directory, 'faulty-disk.so');
    const control = join(directory, 'faulty-disk.control');
    const args = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', SOURCE];
    const { status, stderr } = spawnSync('cc', [...args, '-o', library], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    this.#control = openSync(control, 'w+', 0o600);
    writeSync(this.#control, Buffer.alloc(CONTROL_BYTES));
    this.strikeBelow(below);
    this.environment = { LD_PRELOAD: library, FAULTY_DISK: control };
  }

  /** While nothing fails. */
  strikeBelow(path: string): void {
    writeSync(this.#control, Buffer.from(`${path}\0`), 0, null, WORDS.length * WORD_BYTES);
  }

  /** From now on calls of these kinds fail with `fault`. */
  fail(fault: Fault, ...kinds: readonly Kind[]): void {
    for (const kind of kinds) this.#write(kind, constants.errno[fault]);
  }

  heal(): void {
    for (const kind of KINDS) this.#write(kind, 0);
  }

  /** Calls that were made to fail. */
  get refused(): number {
    return this.#read('refused');
  }

  /** Each sync takes so long from now on. */
  slow(syncMs: number): void {
    this.#write('syncMs', syncMs);
  }

  /** No sync that begins from now on ends until `release`. */
  hold(): void {
    this.#write('isHolding', 1);
  }

  release(): void {
    this.#write('isHolding', 0);
  }

  /** Whether a sync has begun that cannot end. */
  get isHeld(): boolean {
    return this.#read('isHolding') === 1 && this.#read('held') > 0;
  }

  [Symbol.dispose](): void {
    closeSync(this.#control);
  }

  #read(word: Word): number {
    const bytes = Buffer.alloc(WORD_BYTES);
    readSync(this.#control, bytes, 0, WORD_BYTES, WORDS.indexOf(word) * WORD_BYTES);
    return bytes.readInt32LE();
  }

  #write(word: Word, value: number): void {
    const bytes = Buffer.alloc(WORD_BYTES);
    bytes.writeInt32LE(value);
    writeSync(this.#control, bytes, 0, WORD_BYTES, WORDS.indexOf(word) * WORD_BYTES);
  }
}
