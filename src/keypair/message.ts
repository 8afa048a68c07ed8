/**
 * What a Solana transaction asks to sign: the wire format of its message, legacy, version 0 and version
 * 1 (SIMD-0385). Pure; any thread may use it; it sees no secret. `parseMessage` takes exactly the
 * well-formed messages: each number in its one encoding, nothing behind the end, counts and indexes that
 * agree as the runtime asks of a transaction before anything else. How many accounts a cluster locks, how
 * old the blockhash is and what the instructions do is not looked at.
 *
 *   legacy, 0   [0x80]  numbers of required signers, read-only signers, read-only others: a byte each
 *               account keys: 32 bytes each; recent blockhash: 32 bytes
 *               instructions: program index, account indexes, data
 *               [lookups: address of the table, writable indexes, read-only indexes]
 *   1           0x81  the same three numbers; mask of the configuration: 4 bytes; blockhash
 *               number of instructions, number of account keys: a byte each; account keys
 *               values of the configuration: 4 bytes for each bit of the mask
 *               of each instruction: program index, number of accounts, bytes of data (two bytes)
 *               of each instruction: account indexes, data
 *
 * [..] only in version 0. There, and in legacy, a list begins with its length, a compact-u16. Nothing
 * else that people sign passes: 12 signers at most fit into a packet, so the first byte of printable
 * text, of an off-chain message (0xff) and of other versions is refused, and no hash has the 69 bytes of
 * the shortest message.
 */
import { VanityError } from '../errors.ts';
import { PACKET_BYTES, SIGNATURE_BYTES, TRANSACTION_BYTES_MAX } from './transaction-sizes.ts';
import { invalid, WireReader } from './wire-reader.ts';

export interface Message {
  readonly version: 'legacy' | 0 | 1;
  /** Public keys, 32 bytes each, as views of the message; the first pays the fee. */
  readonly requiredSigners: readonly Uint8Array[];
  /** Those of the message itself, the required signers first, none of them twice. */
  readonly accountKeys: readonly Uint8Array[];
  readonly instructions: readonly Instruction[];
}

export interface Instruction {
  /** Among the account keys, and not the first. */
  readonly programIndex: number;
  /** Among the account keys, and behind them the accounts of lookups, which sign nothing. */
  readonly accountIndexes: Uint8Array;
  readonly data: Uint8Array;
}

export const VERSION_1 = 0x81;

const KEY_BYTES = 32;
const BLOCKHASH_BYTES = 32;
/** An account index is one byte. */
const ACCOUNTS_MAX = 256;
/** SIMD-0160. */
const INSTRUCTIONS_MAX = 64;
/** Set in the first byte of version 0 and later, never in that of legacy: its signers. */
const VERSION_FLAG = 0x80;
const OFF_CHAIN = Buffer.from('\xffsolana offchain', 'latin1');

/** SIMD-0385, for version 1. */
const V1_SIGNERS_MAX = 12;
const V1_ACCOUNTS_MAX = 64;
/** Both bits or neither: 8 bytes. */
const PRIORITY_FEE_BITS = 0b11;
const HEAP_SIZE_BIT = 0b1_0000;
/** In the order of their bits; those of the fee are two halves of one number. */
const CONFIG_BITS = [0b1, 0b10, 0b100, 0b1000, HEAP_SIZE_BIT] as const;
const KNOWN_BITS = 0b1_1111;
const HEAP_BYTES_MIN = 32 * 1024;
const HEAP_BYTES_MAX = 256 * 1024;
const HEAP_BYTES_STEP = 1024;

/** Throws MESSAGE_INVALID, with the place and what is allowed, for all but one whole message. */
export function parseMessage(bytes: Uint8Array): Message {
  if (Buffer.compare(bytes.subarray(0, OFF_CHAIN.length), OFF_CHAIN) === 0) {
    throw invalid('an off-chain message is not signed; allowed: the message of a transaction');
  }
  const reader = new WireReader(bytes);
  const first = reader.byte('first byte');
  if (first === VERSION_1) return readVersion1(reader, bytes.length);
  if (first > VERSION_FLAG) {
    const allowed = 'allowed: legacy, version 0 and version 1';
    throw invalid(`version ${first - VERSION_FLAG} is not signed; ${allowed}`);
  }
  const version = first === VERSION_FLAG ? 0 : 'legacy';
  const header = readHeader(reader, version === 0 ? undefined : first);
  if (1 + header.signers * SIGNATURE_BYTES + bytes.length > PACKET_BYTES) {
    const needed = `${bytes.length} bytes and ${header.signers} signatures`;
    throw invalid(`${needed} do not fit into a packet of ${PACKET_BYTES} bytes`);
  }
  const accountKeys = readKeys(reader, reader.length('account keys'), header);
  reader.bytes(BLOCKHASH_BYTES, 'recent blockhash');
  const instructions = reader.list('instructions', () => readInstruction(reader));
  const accounts = accountKeys.length + (version === 0 ? readLookups(reader) : 0);
  reader.end();
  if (accounts > ACCOUNTS_MAX) {
    throw invalid(`${accounts} accounts with those of lookups; at most ${ACCOUNTS_MAX}`);
  }
  checkInstructions(instructions, accountKeys.length, accounts);
  const requiredSigners = accountKeys.slice(0, header.signers);
  return { version, requiredSigners, accountKeys, instructions };
}

function readVersion1(reader: WireReader, bytes: number): Message {
  const header = readHeader(reader);
  const { signers } = header;
  if (signers > V1_SIGNERS_MAX) {
    throw invalid(`${signers} required signers; at most ${V1_SIGNERS_MAX}`);
  }
  if (bytes + signers * SIGNATURE_BYTES > TRANSACTION_BYTES_MAX) {
    const needed = `${bytes} bytes and ${signers} signatures`;
    throw invalid(`${needed} do not fit into a transaction of ${TRANSACTION_BYTES_MAX} bytes`);
  }
  const mask = reader.number(4, 'configuration');
  reader.bytes(BLOCKHASH_BYTES, 'recent blockhash');
  const instructionCount = reader.byte('instructions');
  const keyCount = reader.byte('account keys');
  if (keyCount > V1_ACCOUNTS_MAX) {
    throw invalid(`${keyCount} account keys; at most ${V1_ACCOUNTS_MAX}`);
  }
  const accountKeys = readKeys(reader, keyCount, header);
  readConfiguration(reader, mask);
  const heads = reader.items(instructionCount, () => ({
    programIndex: reader.byte('instructions'),
    accounts: reader.byte('instructions'),
    data: reader.number(2, 'instructions'),
  }));
  const instructions = heads.map(({ programIndex, accounts, data }) => ({
    programIndex,
    accountIndexes: reader.bytes(accounts, 'instructions'),
    data: reader.bytes(data, 'instructions'),
  }));
  reader.end();
  checkInstructions(instructions, keyCount, keyCount);
  const requiredSigners = accountKeys.slice(0, signers);
  return { version: 1, requiredSigners, accountKeys, instructions };
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

interface Header {
  readonly signers: number;
  readonly readonlyOthers: number;
}

/** `first`: the number of signers, where that was read already. */
function readHeader(reader: WireReader, first?: number): Header {
  const signers = first ?? reader.byte('required signers');
  const readonlySigners = reader.byte('read-only signers');
  const readonlyOthers = reader.byte('read-only others');
  if (readonlySigners >= signers) {
    throw invalid(`${readonlySigners} of ${signers} required signers are read-only; one must pay`);
  }
  return { signers, readonlyOthers };
}

function readKeys(reader: WireReader, count: number, header: Header): Uint8Array[] {
  const keys = reader.items(count, () => reader.bytes(KEY_BYTES, 'account keys'));
  const different = new Set(keys.map((key) => Buffer.from(key).toString('latin1')));
  if (different.size < keys.length) throw invalid('account keys: one stands there twice');
  const { signers, readonlyOthers } = header;
  if (signers + readonlyOthers > count) {
    const claimed = `${signers} required signers and ${readonlyOthers} read-only others`;
    throw invalid(`${claimed} among ${count} account keys`);
  }
  return keys;
}

function readConfiguration(reader: WireReader, mask: number): void {
  const field = 'configuration';
  const unknown = (mask & ~KNOWN_BITS) >>> 0;
  if (unknown !== 0) {
    throw invalid(`${field}: unknown bits 0x${unknown.toString(16)}; allowed: bits 0 to 4`);
  }
  const fee = mask & PRIORITY_FEE_BITS;
  if (fee !== 0 && fee !== PRIORITY_FEE_BITS) {
    throw invalid(`${field}: one bit of the priority fee; allowed: both or neither`);
  }
  for (const bit of CONFIG_BITS) {
    if ((mask & bit) === 0) continue;
    const value = reader.number(4, field);
    if (bit !== HEAP_SIZE_BIT) continue;
    const isAllowed = value >= HEAP_BYTES_MIN && value <= HEAP_BYTES_MAX;
    if (isAllowed && value % HEAP_BYTES_STEP === 0) continue;
    const allowed = `${HEAP_BYTES_MIN} to ${HEAP_BYTES_MAX}, a multiple of ${HEAP_BYTES_STEP}`;
    throw invalid(`${field}: heap of ${value} bytes; allowed: ${allowed}`);
  }
}

function readInstruction(reader: WireReader): Instruction {
  const field = 'instructions';
  const programIndex = reader.byte(field);
  const accountIndexes = reader.bytes(reader.length(field), field);
  const data = reader.bytes(reader.length(field), field);
  return { programIndex, accountIndexes, data };
}

/** How many accounts they load: none of them may sign, or be a program. */
function readLookups(reader: WireReader): number {
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
function checkInstructions(
  instructions: readonly Instruction[],
  keys: number,
  accounts: number,
): void {
  if (instructions.length > INSTRUCTIONS_MAX) {
    throw invalid(`${instructions.length} instructions; at most ${INSTRUCTIONS_MAX}`);
  }
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
