/**
 * What stands where in a part of a dispense journal (journal.ts), in slots of 96 bytes. Pure; any thread
 * may use it.
 */
import { crc32 } from 'node:zlib';
import type { HandOut } from '../store/hand-out.ts';

export const SLOT_BYTES = 96;
const LAYOUT = 4;
const MAGIC = 'VPJL';

export const CRC = 0; // uint32, of what follows; the same place in both kinds of slot

const HEADER_LAYOUT = 4; // uint32
const NUMBER = 8; // uint32
const HEADER_MAGIC = 12; // text
const STORE_ID = 16; // 16 bytes
const EPOCH = 32; // float64
const BOOT_ID = 40; // text, 36 characters
const RECORDS = 76; // uint32
export const LEASES = 80; // float64, not part of the first sum
const LEASES_CRC = 88; // uint32

export const POSITION = 4; // uint32
export const SEQUENCE = 8; // float64
export const TIME = 16; // float64, milliseconds since 1970
export const COUNT = 24; // uint16, from 1: a slot with 0 was never written
export const HELD = 26; // uint16, 1 for a reservation, which has neither key nor body
export const TOKEN = 28; // uint32
export const KEY = 32; // zeros without one
export const BODY = 64;
const HASH_BYTES = 32;

/** Whose part it is. */
export interface PartIdentity {
  /** 32 hexadecimal digits. */
  readonly storeId: string;
  readonly epoch: number;
  /** Of the part within its epoch, from 1. */
  readonly number: number;
  /** Of the machine's start, '' if it has none: what another start wrote outside memory is stale. */
  readonly bootId: string;
}

/** A record as it lies in a part. */
export interface JournalRecord extends HandOut {
  /** Of the record in its part, from 0. */
  readonly sequence: number;
}

/** Those that are whole. */
export function recordsIn(bytes: Buffer): JournalRecord[] {
  const found: JournalRecord[] = [];
  for (let at = 0; at < bytes.length; at += SLOT_BYTES) {
    const slot = bytes.subarray(at, at + SLOT_BYTES);
    const count = slot.readUInt16LE(COUNT);
    if (count === 0 || slot.readUInt32LE(CRC) !== crc32(slot.subarray(CRC + 4))) continue;
    const key = slot.subarray(KEY, KEY + HASH_BYTES);
    const isKeyed = key.some((byte) => byte !== 0);
    found.push({
      sequence: slot.readDoubleLE(SEQUENCE),
      position: slot.readUInt32LE(POSITION),
      count,
      at: slot.readDoubleLE(TIME),
      token: slot.readUInt32LE(TOKEN),
      ...(isKeyed && { key, body: slot.subarray(BODY, BODY + HASH_BYTES) }),
      ...(slot.readUInt16LE(HELD) === 1 && { isUnseen: true }),
    });
  }
  return found;
}

export function headerOf(identity: PartIdentity, records: number): Buffer {
  const { storeId, epoch, number, bootId } = identity;
  const slot = Buffer.alloc(LEASES);
  slot.writeUInt32LE(LAYOUT, HEADER_LAYOUT);
  slot.writeUInt32LE(number, NUMBER);
  slot.write(MAGIC, HEADER_MAGIC, 'latin1');
  slot.write(storeId, STORE_ID, 'hex');
  slot.writeDoubleLE(epoch, EPOCH);
  slot.write(bootId, BOOT_ID, RECORDS - BOOT_ID, 'latin1');
  slot.writeUInt32LE(records, RECORDS);
  slot.writeUInt32LE(crc32(slot.subarray(CRC + 4)), CRC);
  return slot;
}

/** The end of a header. */
export function leasesOf(count: number): Buffer {
  const end = Buffer.alloc(SLOT_BYTES - LEASES);
  end.writeDoubleLE(count);
  end.writeUInt32LE(crc32(end.subarray(0, LEASES_CRC - LEASES)), LEASES_CRC - LEASES);
  return end;
}
