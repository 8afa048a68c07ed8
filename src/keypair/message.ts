/**
 * What a Solana transaction asks to sign: the wire format of its message, legacy and version 0.
 * Pure; any thread may use it; it sees no secret. `parseMessage` takes exactly the well-formed
 * messages: each number in its one encoding, nothing behind the end, counts and indexes that agree
 * as the runtime asks of a transaction before anything else. How many accounts may be locked, how
 * old the blockhash is and what the instructions do is not looked at.
 *
 *   [0x80]  numbers of required signers, read-only signers, read-only others: one byte each
 *   account keys: 32 bytes each; recent blockhash: 32 bytes
 *   instructions: program index, account indexes, data
 *   [lookups: address of the table, writable indexes, read-only indexes]
 *
 * [..] only in version 0. A list begins with its length, a compact-u16. Nothing else that people
 * sign passes: 12 signers at most fit into a packet, so the first byte of printable text, of an
 * off-chain message (0xff) and of other versions is refused, and no hash has the 69 bytes of the
 * shortest message.
 */
import { VanityError } from '../errors.ts';

export interface Message {
  readonly version: 'legacy' | 0;
  /** Public keys, 32 bytes each, as views of the message; the first pays the fee. */
  readonly requiredSigners: readonly Uint8Array[];
}

interface Instruction {
  readonly programIndex: number;
  readonly accountIndexes: Uint8Array;
}

/** A transaction travels in one packet: its signatures, counted by one byte, then the message. */
const PACKET_BYTES = 1232;
const SIGNATURE_BYTES = 64;
/** With one signature and the byte that counts it. */
export const MESSAGE_BYTES_MAX = PACKET_BYTES - SIGNATURE_BYTES - 1;
const KEY_BYTES = 32;
const BLOCKHASH_BYTES = 32;
/** An account index is one byte. */
const ACCOUNTS_MAX = 256;
/** SIMD-0160. */
const INSTRUCTIONS_MAX = 64;
/** Set in the first byte of version 0 and later, never in that of legacy: its signers. */
const VERSION_FLAG = 0x80;
const OFF_CHAIN = Buffer.from('\xffsolana offchain', 'latin1');

/** Throws MESSAGE_INVALID, with the place and what is allowed, for all but one whole message. */
export function parseMessage(bytes: Uint8Array): Message {
  if (Buffer.compare(bytes.subarray(0, OFF_CHAIN.length), OFF_CHAIN) === 0) {
    throw invalid('an off-chain message is not signed; allowed: the message of a transaction');
  }
  const reader = new Reader(bytes);
  const first = reader.byte('first byte');
  if (first > VERSION_FLAG) {
    throw invalid(`version ${first - VERSION_FLAG} is not signed; allowed: legacy and version 0`);
  }
  const version = first === VERSION_FLAG ? 0 : 'legacy';
  const signers = version === 0 ? reader.byte('required signers') : first;
  const readonlySigners = reader.byte('read-only signers');
  const readonlyOthers = reader.byte('read-only others');
  if (readonlySigners >= signers) {
    throw invalid(`${readonlySigners} of ${signers} required signers are read-only; one must pay`);
  }
  if (1 + signers * SIGNATURE_BYTES + bytes.length > PACKET_BYTES) {
    const needed = `${bytes.length} bytes and ${signers} signatures`;
    throw invalid(`${needed} do not fit into a packet of ${PACKET_BYTES} bytes`);
  }
  const keys = readKeys(reader);
  if (signers + readonlyOthers > keys.length) {
    const claimed = `${signers} required signers and ${readonlyOthers} read-only others`;
    throw invalid(`${claimed} among ${keys.length} account keys`);
  }
  reader.bytes(BLOCKHASH_BYTES, 'recent blockhash');
  const instructions = readInstructions(reader);
  const accounts = keys.length + (version === 0 ? readLookups(reader) : 0);
  reader.end();
  if (accounts > ACCOUNTS_MAX) {
    throw invalid(`${accounts} accounts with those of lookups; at most ${ACCOUNTS_MAX}`);
  }
  checkIndexes(instructions, keys.length, accounts);
  return { version, requiredSigners: keys.slice(0, signers) };
}

/** Throws SIGNER_NOT_REQUIRED unless the message asks for a signature of this public key. */
export function assertRequiredSigner(message: Message, publicKey: Uint8Array): void {
  const { requiredSigners } = message;
  if (requiredSigners.some((key) => Buffer.compare(key, publicKey) === 0)) return;
  throw new VanityError(
    'SIGNER_NOT_REQUIRED',
    `message: the address is not among its required signers, which are the first ` +
      `${requiredSigners.length} of its account keys`,
  );
}

function readKeys(reader: Reader): Uint8Array[] {
  const keys = reader.list('account keys', () => reader.bytes(KEY_BYTES, 'account keys'));
  const different = new Set(keys.map((key) => Buffer.from(key).toString('latin1')));
  if (different.size < keys.length) throw invalid('account keys: one stands there twice');
  return keys;
}

function readInstructions(reader: Reader): Instruction[] {
  const field = 'instructions';
  const instructions = reader.list(field, () => {
    const programIndex = reader.byte(field);
    const accountIndexes = reader.bytes(reader.length(field), field);
    reader.bytes(reader.length(field), field);
    return { programIndex, accountIndexes };
  });
  if (instructions.length > INSTRUCTIONS_MAX) {
    throw invalid(`${instructions.length} instructions; at most ${INSTRUCTIONS_MAX}`);
  }
  return instructions;
}

/** How many accounts they load: none of them may sign, or be a program. */
function readLookups(reader: Reader): number {
  const field = 'address table lookups';
  const loaded = reader.list(field, () => {
    reader.bytes(KEY_BYTES, field);
    const writable = reader.bytes(reader.length(field), field).length;
    const accounts = writable + reader.bytes(reader.length(field), field).length;
    if (accounts === 0) throw invalid(`${field}: one loads no account`);
    return accounts;
  });
  return loaded.reduce((sum, accounts) => sum + accounts, 0);
}

/** Programs are among the account keys themselves; the fee payer is never a program. */
function checkIndexes(instructions: Instruction[], keys: number, accounts: number): void {
  for (const [index, { programIndex, accountIndexes }] of instructions.entries()) {
    const name = `instruction ${index + 1} of ${instructions.length}`;
    if (programIndex === 0 || programIndex >= keys) {
      throw invalid(`${name}: program index ${programIndex}; allowed: 1 to ${keys - 1}`);
    }
    const beyond = accountIndexes.find((accountIndex) => accountIndex >= accounts);
    if (beyond !== undefined) {
      throw invalid(`${name}: account index ${beyond}; allowed: 0 to ${accounts - 1}`);
    }
  }
}

/** Reads from front to end, and throws MESSAGE_INVALID with the offset and the field. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(field: string): number {
    return this.bytes(1, field)[0]!;
  }

  /** A view. */
  bytes(length: number, field: string): Uint8Array {
    const rest = this.#bytes.length - this.#at;
    if (length > rest) throw this.#wrong(field, `${length} bytes needed, ${rest} left`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** A compact-u16: 7 bits a byte, the lowest first; the top bit says that another follows. */
  length(field: string): number {
    const start = this.#at;
    let value = 0;
    for (let shift = 0; shift < 21; shift += 7) {
      const byte = this.byte(field);
      value += (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      const isShortest = byte > 0 || shift === 0;
      if (isShortest && value <= 0xffff) return value;
      break;
    }
    this.#at = start;
    throw this.#wrong(field, 'the length is no compact-u16 in its shortest form');
  }

  list<T>(field: string, readItem: () => T): T[] {
    const items: T[] = [];
    for (let rest = this.length(field); rest > 0; rest--) items.push(readItem());
    return items;
  }

  end(): void {
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) throw this.#wrong('end', `${rest} bytes behind the message`);
  }

  #wrong(field: string, what: string): VanityError {
    return invalid(`offset ${this.#at}, ${field}: ${what}`);
  }
}

function invalid(what: string): VanityError {
  return new VanityError('MESSAGE_INVALID', `message: ${what}`);
}
