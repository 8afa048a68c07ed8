/**
 * One part of a dispense journal: what of a ready queue may have left, written by the thread that
 * pops before the reply leaves, so that a start after a crash knows it exactly. The file lies in
 * memory, or in the page cache, and outlives its process, not its machine; no disk is waited for.
 *
 * A journal belongs to one thread, one pool, and one epoch of one store. It grows by parts
 * (journal-parts.ts), each a file of its own, which the store counts as a journal of its own. A
 * part is a ring of slots of 96 bytes:
 *
 *   slot 0      header   crc32, layout, number, magic "VPJL", store id 16, epoch float64, boot id 36, n,
 *                        leases float64, crc32 of that
 *   slot 1..n   records  crc32, position, sequence float64, time float64, count uint16, whether it is
 *                        a reservation uint16, token, hash of the idempotency key 32, of the body 32
 *
 * `position` is that of the ready queue: pops before it are older. Record s lies in slot 1 + s mod n.
 * In a running server the store thread reads what is new with every turn, and says in shared memory
 * up to which record the store has them: a slot is overwritten only after that.
 *
 * A record that was cut off by the end of its thread fails its checksum; its reply never left. A
 * reservation is shown only when the store has it: one that is in a journal alone is given back. A
 * position below the highest recorded one without a record of its own was popped by a thread
 * that died before it could write: it counts as dispensed too.
 *
 * The store knows how many records it has of a part, so an older copy of it is detected, and one
 * with a hole. It knows also how many leases of the pool there were since the part was made, and each
 * is counted in the header before it is committed: a copy from before the last lease is detected
 * though it lacks no record that the store has. One that lacks nothing but records since then is not:
 * such a copy, put in place between a kill and a start, rolls the state back.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { crc32 } from 'node:zlib';
import { isRefusal, triedAgain } from '../disk/reads.ts';
import { VanityError } from '../errors.ts';
import type { HandOut } from '../store/hand-out.ts';
import {
  BODY,
  COUNT,
  CRC,
  HELD,
  headerOf,
  type JournalRecord,
  KEY,
  LEASES,
  leasesOf,
  type PartIdentity,
  POSITION,
  recordsIn,
  SEQUENCE,
  SLOT_BYTES,
  TIME,
  TOKEN,
} from './journal-layout.ts';

/** Words of shared memory; those that different threads write stand 128 bytes apart. */
export const PROGRESS_WORDS = 64;
/** Written by the writer of the part. */
const WRITTEN_WORD = 0;
/** Written by its reader. */
const RECORDED_WORD = 32;

/** A part as its writer and its reader find it. */
export interface JournalPart {
  readonly number: number;
  readonly path: string;
  /** `PROGRESS_WORDS` of shared memory, zeros at first. */
  readonly progress: Int32Array;
}

/**
 * Makes the file of a part with room for `records`, every byte of it allocated: a record is never
 * refused because there is no space. A file that does not fit is removed again. Errors are the system's.
 */
export function createPart(path: string, identity: PartIdentity, records: number): void {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;
  const file = openSync(path, flags, 0o600);
  try {
    const bytes = Buffer.alloc((1 + records) * SLOT_BYTES);
    headerOf(identity, records).copy(bytes);
    leasesOf(0).copy(bytes, LEASES);
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, at);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Writes one part, in the thread whose journal it is. */
export class PartWriter {
  readonly #file: number;
  readonly #records: number;
  readonly #progress: Int32Array;
  readonly #slot = Buffer.alloc(SLOT_BYTES);
  #sequence = 0;
  #isFailing = false;

  /** Opens the file that `createPart` made. Errors are the system's. */
  constructor({ path, progress }: JournalPart) {
    this.#file = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
    this.#records = fstatSync(this.#file).size / SLOT_BYTES - 1;
    this.#progress = progress;
  }

  /** Whether each slot holds a record that the store has not. */
  get isFull(): boolean {
    const unrecorded = (this.#sequence - Atomics.load(this.#progress, RECORDED_WORD)) >>> 0;
    return unrecorded >= this.#records;
  }

  /**
   * While it is not full: throws when a record would fail, which is after a failure until a slot
   * can be written again. Error: JOURNAL_UNAVAILABLE.
   */
  prepare(): void {
    if (!this.#isFailing) return;
    this.#slot.fill(0);
    this.#writeSlot();
  }

  /** After `prepare`. When this returns the record outlives the process. Error: JOURNAL_UNAVAILABLE. */
  write({ position, count, at, token, key, body, reservation }: HandOut): void {
    const slot = this.#slot;
    const isHeld = reservation !== undefined;
    slot.writeUInt32LE(position, POSITION);
    slot.writeDoubleLE(this.#sequence, SEQUENCE);
    slot.writeDoubleLE(at, TIME);
    slot.writeUInt16LE(count, COUNT);
    slot.writeUInt16LE(Number(isHeld), HELD);
    slot.writeUInt32LE(token, TOKEN);
    slot.fill(0, KEY);
    if (key !== undefined && !isHeld) slot.set(key, KEY);
    if (body !== undefined && !isHeld) slot.set(body, BODY);
    slot.writeUInt32LE(crc32(slot.subarray(CRC + 4)), CRC);
    this.#writeSlot();
    this.#sequence++;
    Atomics.store(this.#progress, WRITTEN_WORD, this.#sequence | 0);
  }

  close(): void {
    closeSync(this.#file);
  }

  /** Into the place of the next record. */
  #writeSlot(): void {
    const start = (1 + (this.#sequence % this.#records)) * SLOT_BYTES;
    this.#isFailing = true;
    try {
      const written = writeSync(this.#file, this.#slot, 0, SLOT_BYTES, start);
      if (written !== SLOT_BYTES) throw new Error(`${written} of ${SLOT_BYTES} bytes were written`);
    } catch (cause) {
      throw unavailable(`the journal cannot be written: ${(cause as Error).message}`, cause);
    }
    this.#isFailing = false;
  }
}

/** What a running server reads of another thread's part, so that the store has it too. */
export class PartReader {
  readonly number: number;
  readonly #path: string;
  readonly #file: number;
  readonly #inode: bigint;
  readonly #device: bigint;
  readonly #records: number;
  readonly #progress: Int32Array;
  /** Records before this one are in the store. */
  #recorded = 0;
  #read = 0;
  #leases = 0;

  /** Errors are the system's. */
  constructor({ number, path, progress }: JournalPart) {
    this.number = number;
    this.#path = path;
    this.#file = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
    const { ino, dev, size } = fstatSync(this.#file, { bigint: true });
    this.#inode = ino;
    this.#device = dev;
    this.#records = Number(size) / SLOT_BYTES - 1;
    this.#progress = progress;
  }

  /** Whether there are records that the store has not. */
  get isPending(): boolean {
    return Atomics.load(this.#progress, WRITTEN_WORD) !== (this.#recorded | 0);
  }

  /**
   * Whether no start would find it, though it can be written and read: its file, whose number stays
   * taken while it is open, was removed or replaced, or its directory was, or may not be looked at.
   */
  get isLost(): boolean {
    try {
      const { ino, dev } = lstatSync(this.#path, { bigint: true });
      return ino !== this.#inode || dev !== this.#device;
    } catch {
      return true;
    }
  }

  /** How many records were written since `read`: those that `confirm` will not cover. */
  get unread(): number {
    return (Atomics.load(this.#progress, WRITTEN_WORD) - this.#read) >>> 0;
  }

  /** The records that the store has not, oldest first, and the sequence behind the last one. */
  read(): { readonly records: JournalRecord[]; readonly end: number } {
    const written = Atomics.load(this.#progress, WRITTEN_WORD);
    const count = (written - this.#recorded) >>> 0;
    const records: JournalRecord[] = [];
    while (records.length < count) {
      const sequence = this.#recorded + records.length;
      const slot = sequence % this.#records;
      const run = Math.min(count - records.length, this.#records - slot);
      const bytes = Buffer.alloc(run * SLOT_BYTES);
      readSync(this.#file, bytes, 0, bytes.length, (1 + slot) * SLOT_BYTES);
      const found = recordsIn(bytes);
      if (found.length !== run || found[0]!.sequence !== sequence) {
        throw new Error(`dispense journal ${this.number}: was changed by somebody else`);
      }
      records.push(...found);
    }
    this.#read = this.#recorded + count;
    return { records, end: this.#read };
  }

  /** Before a lease is committed that counts on this part. Errors are the system's. */
  countLease(): void {
    this.#leases++;
    writeSync(this.#file, leasesOf(this.#leases), 0, SLOT_BYTES - LEASES, LEASES);
  }

  /** What `read` gave the last time is in the store: the writer may overwrite it. */
  confirm(): void {
    this.#recorded = this.#read;
    Atomics.store(this.#progress, RECORDED_WORD, this.#recorded | 0);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/**
 * The whole records of a part from `recorded` on, oldest first; the store has those before, and
 * counted `leases`. Undefined if the file is not that part, or lacks what must be in it. Error:
 * JOURNAL_UNAVAILABLE, where the disk refuses to read: that says nothing of what is in it.
 */
export function readPart(
  path: string,
  identity: PartIdentity,
  { recorded, leases }: { readonly recorded: number; readonly leases: number },
): JournalRecord[] | undefined {
  let bytes: Buffer;
  try {
    bytes = triedAgain(() => readFileSync(path));
  } catch (cause) {
    if (!isRefusal(cause)) return undefined;
    const remedy = 'look at the disk; without this file the next start burns what was leased';
    throw unavailable(`${path}: cannot be read: ${(cause as Error).message}; ${remedy}`, cause);
  }
  const slots = bytes.length / SLOT_BYTES - 1;
  if (slots < 1 || !Number.isInteger(slots)) return undefined;
  if (!bytes.subarray(0, LEASES).equals(headerOf(identity, slots))) return undefined;
  const counted = bytes.readDoubleLE(LEASES);
  const isCounted = bytes.subarray(LEASES, SLOT_BYTES).equals(leasesOf(counted));
  if (!isCounted || counted < leases) return undefined;
  const found = recordsIn(bytes.subarray(SLOT_BYTES)).sort((a, b) => a.sequence - b.sequence);
  const records = found.filter(({ sequence }) => sequence >= recorded);
  const isWhole = records.every(({ sequence }, index) => sequence === recorded + index);
  // What the store has last stays in its slot until the one n later is written there, or cut off.
  const reachesBack = recorded === 0 || found.some(({ sequence }) => sequence === recorded - 1);
  return isWhole && (reachesBack || records.length >= slots - 1) ? records : undefined;
}

export function unavailable(reason: string, cause?: unknown): VanityError {
  return new VanityError('JOURNAL_UNAVAILABLE', reason, { cause, retryAfterSeconds: 1 });
}
