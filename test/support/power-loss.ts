/**
 * What a disk may hold after a power loss, computed from the trace of a recorded server
 * (disk-recorder.c): whatever was not synced may be there or not. Runs in the test's own thread.
 *
 * The model takes from a file system what POSIX does not promise. Of a file, the writes and changes
 * of size that were complete when a sync of it began are on disk when that sync ends; each later one
 * is there whole, in part, or not at all, whatever becomes of those before it. Two that overlap
 * come in their order, as they meet in the page cache. A sector of 512 bytes is old or new. A
 * name is there, or gone, when its directory was synced since; to sync a file does nothing for its
 * name. Not modelled: a disk that lies about a sync, or loses what it had.
 *
 * Why a model: the image of a mounted file system that is copied while a server writes is of no one
 * moment. Its database may be of before a checkpoint and its log of after it: commits that were
 * acknowledged are missing in 1 of 40 quick copies, and in most slow ones (xfs; none of 40 while the
 * server stood still). And a file system that is shut down answers syncs that it did not do: a reply
 * counts as sent before the cut only if it left before the call that shuts it down.
 */
import assert from 'node:assert/strict';
import { constants, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiled } from './compiled.ts';

const RECORDER = fileURLToPath(new URL('./disk-recorder.c', import.meta.url));
const FLAGS = '-std=c17 -O2 -Wall -Wextra -Werror -shared -fPIC -pthread'.split(' ');
const HEADER_BYTES = 32;
const SECTOR_BYTES = 512;

/** In the order of their numbers, from 1. */
const KINDS = [
  'opened',
  'written',
  'resized',
  'renamed',
  'unlinked',
  'syncing',
  'synced',
  'sent',
] as const;

export interface TraceRecord {
  readonly kind: (typeof KINDS)[number];
  /** Inode; of 'sent' the descriptor. */
  readonly file: number;
  /** Flags, offset, size or number of the sync. */
  readonly at: number;
  readonly timeUs: number;
  /** What was written or sent; names. */
  readonly bytes: Buffer;
}

/** What survives of that which was not synced; 'torn' is 'some' with the last write of each file cut. */
export const SURVIVALS = ['none', 'all', 'some', 'torn'] as const;
export type Survival = (typeof SURVIVALS)[number];

/** Whole numbers from `min` to `max`. */
type Random = (min: number, max: number) => number;

/** The environment in which a server in `data` is recorded. */
export function recordingTo(trace: string, data: string): Record<string, string> {
  return {
    LD_PRELOAD: compiled('disk-recorder', [...FLAGS, RECORDER], [RECORDER]),
    DISK_RECORDER_DIRECTORY: data,
    DISK_RECORDER_TRACE: trace,
  };
}

export function readTrace(path: string): TraceRecord[] {
  const trace = readFileSync(path);
  const records: TraceRecord[] = [];
  for (let next = 0; next < trace.length; ) {
    const start = next + HEADER_BYTES;
    const end = start + trace.readUInt32LE(next + 4);
    records.push({
      kind: KINDS[trace.readUInt32LE(next) - 1]!,
      file: Number(trace.readBigUInt64LE(next + 8)),
      at: Number(trace.readBigUInt64LE(next + 16)),
      timeUs: Number(trace.readBigUInt64LE(next + 24)),
      bytes: trace.subarray(start, end),
    });
    assert.ok(end <= trace.length, 'the last record is whole');
    next = end;
  }
  return records;
}

/** A change of a file: bytes at an offset, or a new size. */
interface Change {
  readonly at: number;
  /** undefined: `at` is the size. */
  readonly bytes: Buffer | undefined;
}

/** The bytes of a file, which grow. */
class Content {
  #bytes = Buffer.alloc(0);
  #size = 0;

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }

  apply({ at, bytes }: Change): void {
    const end = at + (bytes?.length ?? 0);
    if (end > this.#bytes.length) {
      const larger = Buffer.alloc(2 * end);
      this.bytes.copy(larger);
      this.#bytes = larger;
    }
    // What is cut off is read as zeros if the file grows again.
    if (bytes === undefined) this.#bytes.fill(0, at);
    bytes?.copy(this.#bytes, at);
    this.#size = bytes === undefined ? at : Math.max(this.#size, end);
  }

  with(changes: readonly Change[]): Buffer {
    if (changes.length === 0) return this.bytes;
    const copy = new Content();
    copy.apply({ at: 0, bytes: this.bytes });
    for (const change of changes) copy.apply(change);
    return copy.bytes;
  }
}

/** Changes of something that a sync makes durable, those that no sync has reached yet in a queue. */
class Pending<T> {
  queue: T[] = [];
  #done = 0;
  readonly #begun = new Map<number, number>();
  readonly #keep: (change: T) => void;

  constructor(keep: (change: T) => void) {
    this.#keep = keep;
  }

  begin(sync: number): void {
    this.#begun.set(sync, this.#done + this.queue.length);
  }

  /** What came before the sync began is kept; a sync of an earlier process may bear its number. */
  end(sync: number): void {
    const count = Math.max(0, this.#begun.get(sync)! - this.#done);
    for (const change of this.queue.splice(0, count)) this.#keep(change);
    this.#done += count;
  }
}

class DiskFile {
  readonly inode: number;
  readonly content = new Content();
  readonly pending = new Pending<Change>((change) => this.content.apply(change));

  constructor(inode: number) {
    this.inode = inode;
  }
}

/** The name leads to the file, or to none; `old` is the one that a rename takes away. */
interface Naming {
  readonly name: string;
  readonly file: DiskFile | undefined;
  readonly old?: string;
}

type Names = Map<string, DiskFile>;

/** One directory on a disk, as the records make it. */
export class Disk {
  /** As the running system sees it. */
  readonly #names: Names = new Map();
  readonly #kept: Names = new Map();
  readonly #naming = new Pending<Naming>((naming) => rename(this.#kept, naming));
  readonly #files = new Map<number, DiskFile>();
  #directory: number | undefined;

  apply({ kind, file, at, bytes }: TraceRecord): void {
    switch (kind) {
      case 'opened':
        this.#open(bytes.toString(), file);
        if ((at & constants.O_TRUNC) !== 0) this.#change(file, { at: 0, bytes: undefined });
        return;
      case 'written':
        this.#change(file, { at, bytes });
        return;
      case 'resized':
        this.#change(file, { at, bytes: undefined });
        return;
      case 'renamed': {
        const [old, name] = bytes.toString().split('\0') as [string, string];
        this.#name({ name, file: this.#names.get(old), old });
        return;
      }
      case 'unlinked':
        this.#name({ name: bytes.toString(), file: undefined });
        return;
      case 'syncing':
        this.#pendingOf(file).begin(at);
        return;
      case 'synced':
        this.#pendingOf(file).end(at);
        return;
      case 'sent':
        return;
    }
  }

  /** The name of an inode, '.' for the directory. */
  nameOf(inode: number): string {
    if (inode === this.#directory) return '.';
    return (
      [...this.#names].find(([, file]) => file.inode === inode)?.[0] ?? 'a file without a name'
    );
  }

  /** Whether anything is not synced: if not, the disk holds but one thing. */
  get isPending(): boolean {
    const files = [...this.#names.values(), ...this.#kept.values()];
    return this.#naming.queue.length > 0 || files.some(({ pending }) => pending.queue.length > 0);
  }

  /** What may be found after a power loss now, by name. It is valid until the next record. */
  after(survival: Survival, random: Random): Map<string, Buffer> {
    const names = new Map(this.#kept);
    const percent = random(0, 2) * 45 + 5; // a few, half, or most of it
    const survives = (): boolean =>
      survival === 'all' || (survival !== 'none' && random(1, 100) <= percent);
    for (const naming of this.#naming.queue) if (survives()) rename(names, naming);
    return new Map(
      [...names].map(([name, { content, pending }]) => {
        const changes = pending.queue.filter(survives);
        const last = changes.pop();
        if (last !== undefined) changes.push(survival === 'torn' ? torn(last, random) : last);
        return [name, content.with(changes)];
      }),
    );
  }

  #open(name: string, inode: number): void {
    if (name === '') this.#directory = inode;
    else if (this.#names.get(name)?.inode !== inode) {
      const file = new DiskFile(inode);
      this.#files.set(inode, file);
      this.#name({ name, file });
    }
  }

  #change(inode: number, change: Change): void {
    this.#files.get(inode)!.pending.queue.push(change);
  }

  #name(naming: Naming): void {
    rename(this.#names, naming);
    this.#naming.queue.push(naming);
  }

  #pendingOf(inode: number): Pending<Change> | Pending<Naming> {
    return inode === this.#directory ? this.#naming : this.#files.get(inode)!.pending;
  }
}

function rename(names: Names, { name, file, old }: Naming): void {
  if (old !== undefined) names.delete(old);
  if (file === undefined) names.delete(name);
  else names.set(name, file);
}

/** The first part of a write, up to a sector of the file; whole if it lies in one. */
function torn({ at, bytes }: Change, random: Random): Change {
  const first = Math.floor(at / SECTOR_BYTES) + 1;
  const last = Math.ceil((at + (bytes?.length ?? 0)) / SECTOR_BYTES) - 1;
  if (bytes === undefined || last < first) return { at, bytes };
  return { at, bytes: bytes.subarray(0, random(first, last) * SECTOR_BYTES - at) };
}

/** Puts an image into a directory, with modes as the server makes them. */
export function writeImage(directory: string, image: ReadonlyMap<string, Buffer>): void {
  for (const [name, bytes] of image) writeFileSync(join(directory, name), bytes, { mode: 0o600 });
}
