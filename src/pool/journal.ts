/**
 * The dispense journal: what of the ready queue may have left, written by each HTTP thread before
 * the reply leaves, so that a start after a crash knows it exactly. It lies in memory-backed
 * storage and outlives its process, not its machine; no disk is waited for.
 *
 * A journal belongs to one thread of one epoch of one store. It is a file of slots of 128 bytes:
 *
 *   slot 0      header   crc32, layout, number, magic "VPJL", store id 16, epoch float64, boot id 36
 *   slot 1..n   records  crc32, position, sequence float64, time float64, count, pool name
 *
 * `position` is that of the ready queue: pops before it are older. Record s lies in slot
 * 1 + s mod n, and is overwritten only when the store has recorded what it says: it has when the
 * position that its counts cover is past the record. As many slots as all queues have cells are
 * always enough.
 *
 * A record that was cut off by the end of its thread fails its checksum; its reply never left. A
 * position below the highest recorded one without a record of its own was popped by a thread
 * that died before it could write: it counts as dispensed too.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { VanityError } from '../errors.ts';
import { type CountsBoard, countsBoard, type SharedPool } from './pool.ts';
import { isBefore } from './ready-queue.ts';

const SLOT_BYTES = 128;
const LAYOUT = 1;
const MAGIC = 'VPJL';

const CRC = 0; // uint32, of all that follows; the same in both kinds of slot

const HEADER_LAYOUT = 4; // uint32
const NUMBER = 8; // uint32
const HEADER_MAGIC = 12; // text
const STORE_ID = 16; // 16 bytes
const EPOCH = 32; // float64
const BOOT_ID = 40; // text, 36 characters

const POSITION = 4; // uint32
const SEQUENCE = 8; // float64
const TIME = 16; // float64, milliseconds since 1970
const COUNT = 24; // uint32
const NAME_LENGTH = 28; // uint8
const NAME = 29; // text, at most 63 characters
const NAME_MAX = 63;

/** Whose journal it is. */
export interface JournalIdentity {
  /** 32 hexadecimal digits. */
  readonly storeId: string;
  readonly epoch: number;
  /** Of the journal within its epoch, from 1. */
  readonly number: number;
  /** Of the machine's start: a journal outside memory that another start wrote is stale. */
  readonly bootId: string;
}

export interface JournalRecord {
  readonly pool: string;
  /** Of the first address in the ready queue, 0..2^32-1. */
  readonly position: number;
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/**
 * Makes the file of a journal with room for `records`, every byte of it allocated: a record is
 * never refused for want of space. Errors are the system's.
 */
export function createJournal(path: string, identity: JournalIdentity, records: number): void {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;
  const file = openSync(path, flags, 0o600);
  try {
    const bytes = Buffer.alloc((1 + records) * SLOT_BYTES);
    headerOf(identity).copy(bytes);
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, at);
  } finally {
    closeSync(file);
  }
}

interface Written {
  readonly pool: string;
  /** Position behind the last address. */
  readonly end: number;
}

/** The journal of this thread. */
export class JournalWriter {
  readonly #file: number;
  readonly #records: number;
  readonly #counts: ReadonlyMap<string, CountsBoard>;
  readonly #names: ReadonlyMap<string, Buffer>;
  readonly #slot = Buffer.alloc(SLOT_BYTES);
  /** What lies in each slot, as far as this thread has come. */
  readonly #written: Written[] = [];
  #sequence = 0;

  /** Opens the file that `createJournal` made. Errors are the system's. */
  constructor(path: string, pools: readonly SharedPool[]) {
    this.#file = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
    this.#records = fstatSync(this.#file).size / SLOT_BYTES - 1;
    this.#counts = new Map(pools.map((shared) => [shared.name, countsBoard(shared)]));
    this.#names = new Map(pools.map(({ name }) => [name, Buffer.from(name, 'latin1')]));
  }

  /** When this returns the record outlives the process. Error: JOURNAL_UNAVAILABLE. */
  write(pool: string, position: number, count: number): void {
    const at = this.#sequence % this.#records;
    const old = this.#written[at];
    if (old !== undefined && !this.#isRecorded(old)) {
      throw new VanityError(
        'JOURNAL_UNAVAILABLE',
        'the journal is full: the store records nothing',
        {
          retryAfterSeconds: 1,
        },
      );
    }
    const slot = this.#slot;
    const name = this.#names.get(pool)!;
    slot.writeUInt32LE(position, POSITION);
    slot.writeDoubleLE(this.#sequence, SEQUENCE);
    slot.writeDoubleLE(Date.now(), TIME);
    slot.writeUInt32LE(count, COUNT);
    slot[NAME_LENGTH] = name.length;
    slot.fill(0, NAME, NAME + NAME_MAX);
    slot.set(name, NAME);
    slot.writeUInt32LE(crc32(slot.subarray(CRC + 4)), CRC);
    try {
      const written = writeSync(this.#file, slot, 0, SLOT_BYTES, (1 + at) * SLOT_BYTES);
      if (written !== SLOT_BYTES) throw new Error(`${written} of ${SLOT_BYTES} bytes were written`);
    } catch (cause) {
      const reason = (cause as Error).message;
      throw new VanityError('JOURNAL_UNAVAILABLE', `the journal cannot be written: ${reason}`, {
        cause,
        retryAfterSeconds: 1,
      });
    }
    this.#written[at] = { pool, end: (position + count) >>> 0 };
    this.#sequence++;
  }

  close(): void {
    closeSync(this.#file);
  }

  #isRecorded({ pool, end }: Written): boolean {
    return isBefore(end, this.#counts.get(pool)!.read().position + 1);
  }
}

/** The whole records of a journal, oldest first; undefined if the file is not that journal. */
export function readJournal(path: string, identity: JournalIdentity): JournalRecord[] | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return undefined;
  }
  if (bytes.length < SLOT_BYTES || bytes.length % SLOT_BYTES !== 0) return undefined;
  if (!bytes.subarray(0, SLOT_BYTES).equals(headerOf(identity))) return undefined;
  const found: { sequence: number; record: JournalRecord }[] = [];
  for (let at = SLOT_BYTES; at < bytes.length; at += SLOT_BYTES) {
    const slot = bytes.subarray(at, at + SLOT_BYTES);
    if (slot.readUInt32LE(CRC) !== crc32(slot.subarray(CRC + 4))) continue;
    const name = slot.toString('latin1', NAME, NAME + slot[NAME_LENGTH]!);
    if (name === '') continue; // never written
    found.push({
      sequence: slot.readDoubleLE(SEQUENCE),
      record: {
        pool: name,
        position: slot.readUInt32LE(POSITION),
        count: slot.readUInt32LE(COUNT),
        at: slot.readDoubleLE(TIME),
      },
    });
  }
  return found.sort((a, b) => a.sequence - b.sequence).map(({ record }) => record);
}

function headerOf({ storeId, epoch, number, bootId }: JournalIdentity): Buffer {
  const slot = Buffer.alloc(SLOT_BYTES);
  slot.writeUInt32LE(LAYOUT, HEADER_LAYOUT);
  slot.writeUInt32LE(number, NUMBER);
  slot.write(MAGIC, HEADER_MAGIC, 'latin1');
  slot.write(storeId, STORE_ID, 'hex');
  slot.writeDoubleLE(epoch, EPOCH);
  slot.write(bootId, BOOT_ID, 'latin1');
  slot.writeUInt32LE(crc32(slot.subarray(CRC + 4)), CRC);
  return slot;
}
