/**
 * A disk that fails, hangs and works again while a server runs on it: the test's side of
 * faulty-disk.c. Where the faults strike and what they
 * are is said at any moment, by a file that the server's process maps. There are a few places with
 * faults of their own; what does not name one means the first.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiled } from './compiled.ts';

const SOURCE = fileURLToPath(new URL('./faulty-disk.c', import.meta.url));
const CONTROL_BYTES = 4096;
const WORD_BYTES = 4;
/** `struct place`: a word for each kind, three that say when and where, and the path. */
const PLACE_BYTES = 1024;
const PLACES = 3;
const KINDS = ['write', 'resize', 'sync', 'open', 'rename', 'unlink', 'read'] as const;
const IS_WHOLE_AT = KINDS.length * WORD_BYTES;
const SKIPPED_AT = IS_WHOLE_AT + WORD_BYTES;
const TIMES_AT = SKIPPED_AT + WORD_BYTES;
const BELOW_AT = TIMES_AT + WORD_BYTES;
/** Of `struct control`, behind the places. */
const WORDS = ['isHolding', 'syncMs', 'held', 'refused'] as const;

type Word = (typeof WORDS)[number];
export type Kind = (typeof KINDS)[number];
export type Fault = keyof typeof constants.errno;

/** Where some files lie, and what calls on them fail with. */
export class FaultyPlace {
  readonly #write: (at: number, value: number | string) => void;

  constructor(write: (at: number, value: number | string) => void) {
    this.#write = write;
  }

  /** All whose absolute path begins so. While nothing fails here. */
  strikeBelow(path: string): void {
    this.#aim(path, false);
  }

  /** This file, or directory, alone. While nothing fails here. */
  strikeAt(path: string): void {
    this.#aim(path, true);
  }

  /** From now on calls of these kinds fail with `fault`. */
  fail(fault: Fault, ...kinds: readonly Kind[]): void {
    for (const kind of kinds) {
      this.#write(KINDS.indexOf(kind) * WORD_BYTES, constants.errno[fault]);
    }
  }

  /** After `skipped` calls of this kind that work `times` fail; all of them if it is 0. */
  failAfter(fault: Fault, kind: Kind, skipped: number, times = 0): void {
    this.#write(SKIPPED_AT, skipped);
    this.#write(TIMES_AT, times);
    this.fail(fault, kind);
  }

  heal(): void {
    for (const at of [SKIPPED_AT, TIMES_AT]) this.#write(at, 0);
    for (const index of KINDS.keys()) this.#write(index * WORD_BYTES, 0);
  }

  #aim(path: string, isWhole: boolean): void {
    this.#write(IS_WHOLE_AT, Number(isWhole));
    this.#write(BELOW_AT, path);
  }
}

export class FaultyDisk implements Disposable {
  /** For the process that is to have such a disk. */
  readonly environment: Readonly<Record<string, string>>;
  readonly places: readonly FaultyPlace[];
  readonly #control: number;

  /** Its control lies in `directory`. Faults strike below `below`, an absolute path. */
  constructor(directory: string, below: string) {
    const args = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', SOURCE];
    const library = compiled('faulty-disk', args, [SOURCE]);
    const control = join(directory, 'faulty-disk.control');
    this.#control = openSync(control, 'w+', 0o600);
    writeSync(this.#control, Buffer.alloc(CONTROL_BYTES));
    this.places = Array.from({ length: PLACES }, (_, index) => {
      return new FaultyPlace((at, value) => this.#write(index * PLACE_BYTES + at, value));
    });
    this.strikeBelow(below);
    this.environment = { LD_PRELOAD: library, FAULTY_DISK: control };
  }

  /** While nothing fails. */
  strikeBelow(path: string): void {
    this.places[0]!.strikeBelow(path);
  }

  /** From now on calls of these kinds fail with `fault`. */
  fail(fault: Fault, ...kinds: readonly Kind[]): void {
    this.places[0]!.fail(fault, ...kinds);
  }

  /** Everywhere. */
  heal(): void {
    for (const place of this.places) place.heal();
  }

  /** Calls that were made to fail. */
  get refused(): number {
    return this.#read('refused');
  }

  /** Each sync takes so long from now on. */
  slow(syncMs: number): void {
    this.#write(addressOf('syncMs'), syncMs);
  }

  /** No sync that begins from now on ends until `release`. */
  hold(): void {
    this.#write(addressOf('isHolding'), 1);
  }

  release(): void {
    this.#write(addressOf('isHolding'), 0);
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
    readSync(this.#control, bytes, 0, WORD_BYTES, addressOf(word));
    return bytes.readInt32LE();
  }

  /** A word, or a text with its end. */
  #write(at: number, value: number | string): void {
    const bytes = Buffer.from(`${value}\0`);
    if (typeof value === 'string') {
      assert.ok(bytes.length <= PLACE_BYTES - BELOW_AT, value);
      writeSync(this.#control, bytes, 0, null, at);
      return;
    }
    const word = Buffer.alloc(WORD_BYTES);
    word.writeInt32LE(value);
    writeSync(this.#control, word, 0, WORD_BYTES, at);
  }
}

function addressOf(word: Word): number {
  return PLACES * PLACE_BYTES + WORDS.indexOf(word) * WORD_BYTES;
}
