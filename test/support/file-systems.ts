/**
 * Real file systems for tests: each in an image of its own, mounted by root through a loop device. A
 * test that cannot have one is skipped with the reason: not root, no program that makes it, or a
 * system that does not mount it.
 *
 * Nothing is left behind, whatever ends the test: a process beside it waits for the end of its
 * standard input, which the system closes, unmounts (which frees the loop devices) and removes.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** Overlays lie over ext4: both layers on one, or each on its own. */
export const KINDS = ['ext4', 'ext3', 'xfs', 'btrfs', 'overlay', 'overlay-of-two'] as const;
export type Kind = (typeof KINDS)[number];

/** How an image is made. The sizes are about the smallest that the programs take; images are sparse. */
const FORMATS = {
  ext4: { command: ['mkfs.ext4', '-q', '-F'], mib: 32 },
  // Inodes of 128 bytes have no room for a time of birth.
  ext3: { command: ['mkfs.ext4', '-q', '-F', '-t', 'ext3', '-I', '128'], mib: 32 },
  xfs: { command: ['mkfs.xfs', '-q', '-f'], mib: 320 },
  btrfs: { command: ['mkfs.btrfs', '-q', '-f'], mib: 128 },
} as const;

const FILLER = 'filler';
/** What does not fit as a whole goes in in part. */
const ZEROS = Buffer.alloc(2 ** 20);

/** Programs of the administrator are not on everybody's path. */
const PATH = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`;

/** Its standard input ends with the process of the test. The argument is the directory of it all. */
const KEEPER = `trap '' INT TERM HUP; cat >/dev/null
for place in "$0"/overlay "$0"/disk "$0"/below; do
  if mountpoint -q "$place"; then umount -l "$place"; fi
done
rm -rf "$0"`;

class Refusal extends Error {}

export class FileSystem {
  #path: string;
  #lower: string;
  readonly #root = mkdtempSync(join(tmpdir(), 'vanitypool-disk-'));
  readonly #keeper: ChildProcess;
  /** Arguments of mount(8), in order. */
  readonly #mounts: string[][] = [];

  /** A new one, or undefined: then the test is skipped. */
  static for(t: TestContext, kind: Kind): FileSystem | undefined {
    if (process.getuid?.() !== 0) {
      t.skip(`${kind}: only root can mount it`);
      return undefined;
    }
    const made = new FileSystem();
    t.after(() => made.#remove());
    try {
      made.#make(kind);
      return made;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      t.skip(`${kind}: ${error.message}`);
      return undefined;
    }
  }

  /** A small one in memory, mounted by root for anybody. */
  static inMemory(t: TestContext, mib: number): FileSystem {
    const made = new FileSystem();
    t.after(() => made.#remove());
    chmodSync(made.#root, 0o755);
    mkdirSync(made.#path);
    made.#mount('-t', 'tmpfs', '-o', `size=${mib}m,mode=1777`, 'tmpfs', made.#path);
    return made;
  }

  private constructor() {
    this.#keeper = spawn('/bin/sh', ['-c', KEEPER, this.#root], {
      env: { PATH },
      stdio: ['pipe', 'ignore', 'inherit'],
      detached: true,
    });
    this.#path = join(this.#root, 'disk');
    this.#lower = join(this.#path, 'lower');
  }

  /** Where it is mounted. */
  get path(): string {
    return this.#path;
  }

  /** Of an overlay: the layer below. What is written there before it is read shows in the overlay. */
  get lower(): string {
    return this.#lower;
  }

  /** Unmounts it and mounts it again, as a start of the machine does. */
  remount(): void {
    for (const mount of this.#mounts.toReversed()) run('umount', mount.at(-1)!);
    for (const mount of this.#mounts) run('mount', ...mount);
  }

  /** Until nothing more goes in. */
  fill(): void {
    const file = openSync(join(this.#path, FILLER), 'a');
    try {
      for (;;) writeSync(file, ZEROS);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    } finally {
      closeSync(file);
    }
  }

  /** As before it was filled. */
  makeRoom(): void {
    rmSync(join(this.#path, FILLER));
  }

  #make(kind: Kind): void {
    if (kind !== 'overlay' && kind !== 'overlay-of-two') {
      this.#mountImage(kind, this.#path);
      return;
    }
    this.#mountImage('ext4', this.#path);
    if (kind === 'overlay-of-two') {
      this.#lower = join(this.#root, 'below');
      this.#mountImage('ext4', this.#lower);
    }
    const [upper, work] = [join(this.#path, 'upper'), join(this.#path, 'work')];
    this.#path = join(this.#root, 'overlay');
    for (const directory of [this.#lower, upper, work, this.#path]) {
      mkdirSync(directory, { recursive: true });
    }
    const layers = `lowerdir=${this.#lower},upperdir=${upper},workdir=${work}`;
    this.#mount('-t', 'overlay', '-o', layers, 'overlay', this.#path);
  }

  #mountImage(format: keyof typeof FORMATS, place: string): void {
    const image = `${place}.image`;
    const { command, mib } = FORMATS[format];
    writeFileSync(image, '');
    truncateSync(image, mib * 2 ** 20);
    run(...command, image);
    mkdirSync(place);
    this.#mount('-o', 'loop', image, place);
  }

  #mount(...args: string[]): void {
    run('mount', ...args);
    this.#mounts.push(args);
  }

  async #remove(): Promise<void> {
    this.#keeper.stdin!.end();
    await once(this.#keeper, 'exit');
  }
}

/** Runs a program that has to be there and to succeed. */
function run(...command: readonly string[]): void {
  const [program = '', ...args] = command;
  const { error, status, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, PATH },
  });
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
    throw new Refusal(`${program} is not installed`);
  }
  if (status !== 0 && program === 'mount') throw new Refusal(`mount: ${stderr.trim()}`);
  assert.equal(status, 0, `${command.join(' ')}: ${error ?? stderr}`);
}
