/**
 * The list of what left a store or was given up, as `vanitypool audit --json` writes it: a line of
 * JSON for each address, and a last line that says of which store it is, that all is there, and
 * that nothing left afterwards. Read as a stream: its memory does not grow with the list. Runs in
 * the thread that calls it.
 *
 *   {"id":7,"address":"8vP5...","pool":"pet","state":"dispensed","at":"2026-11-24T22:30:38.276Z",...}
 *   {"storeId":"2f0c...","epoch":12,"addresses":1,"isComplete":true}
 *
 * Fields that are not named here are passed over. An address that could be read no more is null: then
 * its id tells which one it is. Messages name lines, never addresses.
 */
import { createReadStream } from 'node:fs';
import { VanityError } from '../errors.ts';
import { withoutMark } from '../files.ts';
import { decodeBase58, isAddress } from '../keypair/address.ts';
import { KEYPAIR_BYTES, SEED_BYTES } from '../keypair/keypair.ts';
import { publicKeyHash } from '../keypair/seal.ts';

const LINE_MAX = 4096;
const STATES = ['dispensed', 'reserved', 'burned'] as const;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const STORE_ID = /^[0-9a-f]{32}$/;
const CAUSE = /^[a-z-]{1,32}$/;

export interface ListedAddress {
  readonly id: number;
  readonly pool: string;
  /** As `publicKeyHash` gives it; undefined if the address could not be read: its id tells it. */
  readonly keyHash: Uint8Array | undefined;
  readonly state: (typeof STATES)[number];
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Why it is burned; undefined if the list does not say. */
  readonly cause: string | undefined;
}

/** A list that is all there. */
export interface List {
  readonly storeId: string;
  readonly epoch: number;
  /** 0 for a list of none. */
  readonly highestId: number;
}

/**
 * Gives each address to `onAddress`, with the number of its line, and checks the last line when
 * all are given: what was made of them counts only if this returns. Error: LIST_INVALID.
 */
export async function readList(
  path: string,
  onAddress: (address: ListedAddress, line: number) => void,
  signal?: AbortSignal,
): Promise<List> {
  let line = 0;
  let highestId = 0;
  let summary: Record<string, unknown> | undefined;
  for await (const text of linesOf(path, signal)) {
    line++;
    if (summary !== undefined) throw listError(path, `line ${line} comes after the last line`);
    const row = rowOf(line === 1 ? withoutMark(text) : text);
    if (row === undefined) throw listError(path, `line ${line} is not a JSON object`);
    if ('storeId' in row) {
      summary = row;
      continue;
    }
    const address = addressIn(row);
    if (address === undefined) throw listError(path, `line ${line} is not that of an address`);
    onAddress(address, line);
    highestId = Math.max(highestId, address.id);
  }
  return { ...checked(path, summary, line - 1), highestId };
}

export function listError(path: string, reason: string, cause?: unknown): VanityError {
  return new VanityError('LIST_INVALID', `${path}: ${reason}`, { cause });
}

function checked(path: string, summary: Record<string, unknown> | undefined, lines: number) {
  if (summary === undefined) {
    const remedy = 'list it again: vanitypool audit --json';
    throw listError(
      path,
      `the list was cut short: its last line, the summary, is missing; ${remedy}`,
    );
  }
  const { storeId, epoch, addresses, isComplete } = summary;
  if (typeof storeId !== 'string' || !STORE_ID.test(storeId) || !isWhole(epoch)) {
    throw listError(path, 'the last line names no store, or no epoch of it');
  }
  if (addresses !== lines) {
    throw listError(path, `${lines} addresses are listed, and its last line counts ${addresses}`);
  }
  if (isComplete !== true) {
    const remedy = 'stop what serves the store, and list it again: vanitypool audit --json';
    throw listError(path, `the store was still served, addresses left after this list; ${remedy}`);
  }
  return { storeId, epoch };
}

function rowOf(text: string): Record<string, unknown> | undefined {
  try {
    const row: unknown = JSON.parse(text);
    return typeof row === 'object' && row !== null && !Array.isArray(row) ? { ...row } : undefined;
  } catch {
    return undefined;
  }
}

function addressIn(row: Record<string, unknown>): ListedAddress | undefined {
  const { id, address, pool, at, cause = null } = row;
  const state = STATES.find((one) => one === row.state);
  const keyHash = typeof address === 'string' ? keyHashOf(address) : undefined;
  const time = typeof at === 'string' && TIME.test(at) ? Date.parse(at) : Number.NaN;
  if (!isWhole(id) || id < 1 || typeof pool !== 'string' || state === undefined) return undefined;
  if ((keyHash === undefined && address !== null) || Number.isNaN(time)) return undefined;
  if (cause !== null && (typeof cause !== 'string' || !CAUSE.test(cause))) return undefined;
  return { id, pool, keyHash, state, at: time, cause: cause ?? undefined };
}

function keyHashOf(address: string): Uint8Array | undefined {
  if (!isAddress(address)) return undefined;
  const publicKey = decodeBase58(address);
  if (publicKey.length !== KEYPAIR_BYTES - SEED_BYTES) return undefined;
  const keypair = new Uint8Array(KEYPAIR_BYTES);
  keypair.set(publicKey, SEED_BYTES);
  return publicKeyHash(keypair);
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** What is not ended by a line feed is a line too. */
async function* linesOf(path: string, signal?: AbortSignal): AsyncGenerator<string> {
  let rest = '';
  try {
    for await (const chunk of createReadStream(path, { encoding: 'utf8', signal })) {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop()!;
      if (rest.length > LINE_MAX)
        throw listError(path, `a line of more than ${LINE_MAX} characters`);
      yield* lines;
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
    throw listError(path, `cannot be read: ${(cause as Error).message}`, cause);
  }
  if (rest !== '') yield rest;
}
