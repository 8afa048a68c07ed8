/**
 * The list of what left a store or was given up, as `vanitypool audit --json` writes it: a line of
 * JSON for each address, one for each token, and a last line that says of which store it is, that all
 * is there, and that nothing left afterwards. Read as a stream: its memory does not grow with the
 * list. Runs in the thread that calls it.
 *
 *   {"id":7,"address":"8vP5...","pool":"pet","state":"dispensed","at":"2026-11-24T22:30:38.276Z",...}
 *   {"tokenId":3,"name":"shop","createdAt":"2026-11-02T08:00:00.000Z","isValid":true,...}
 *   {"storeId":"2f0c...","epoch":12,"addresses":1,"tokens":1,"isComplete":true}
 *
 * Fields that are not listed here are ignored. An address that could not be read any more is null:
 * then its id identifies it. Messages name lines, never addresses.
 */
import { createReadStream } from 'node:fs';
import { openRegular, withoutMark } from '../disk/regular-files.ts';
import { VanityError } from '../errors.ts';
import { decodeBase58, isAddress } from '../keypair/address.ts';
import { publicKeyHash } from '../keypair/seal.ts';

const LINE_MAX = 4096;
const STATES = ['dispensed', 'reserved', 'burned'] as const;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const STORE_ID = /^[0-9a-f]{32}$/;
/** No store gives any behind it, and behind it there is room to skip (sqlite/place.ts). */
const ID_MAX = 2 ** 52;
export const TOKEN_ID_MAX = 2 ** 32 - 2 ** 24;
const CAUSE = /^[a-z-]{1,32}$/;

export interface ListedAddress {
  readonly id: number;
  readonly pool: string;
  /** As `publicKeyHash` gives it; undefined if the address could not be read: its id identifies it. */
  readonly keyHash: Uint8Array | undefined;
  readonly state: (typeof STATES)[number];
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Why it is burned; undefined if the list does not say. */
  readonly cause: string | undefined;
  /** Made with it; undefined if it signs no more, or the list does not say. */
  readonly signatures: number | undefined;
}

export interface ListedToken {
  readonly id: number;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Neither revoked nor off. */
  readonly isValid: boolean;
}

/** Receives what is read. */
export interface ListReader {
  address(address: ListedAddress, line: number): void;
  token(token: ListedToken): void;
}

/** A list that is all there. */
export interface List {
  readonly storeId: string;
  readonly epoch: number;
  /** Of an address; 0 for a list of none. */
  readonly highestId: number;
  /** Of a token, as well. */
  readonly highestToken: number;
}

/**
 * Gives each address and token to `reader`, and checks the last line when all are given: what was
 * made of them counts only if this returns. Error: LIST_INVALID.
 */
export async function readList(
  path: string,
  reader: ListReader,
  signal?: AbortSignal,
): Promise<List> {
  let line = 0;
  let highestId = 0;
  let tokens = 0;
  let highestToken = 0;
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
    if ('tokenId' in row) {
      const token = tokenIn(row);
      if (token === undefined) throw listError(path, `line ${line} is not that of a token`);
      reader.token(token);
      tokens++;
      highestToken = Math.max(highestToken, token.id);
      continue;
    }
    const address = addressIn(row);
    if (address === undefined) throw listError(path, `line ${line} is not that of an address`);
    reader.address(address, line);
    highestId = Math.max(highestId, address.id);
  }
  const found = { addresses: line - 1 - tokens, tokens };
  return { ...checked(path, summary, found), highestId, highestToken };
}

export function listError(path: string, reason: string, cause?: unknown): VanityError {
  return new VanityError('LIST_INVALID', `${path}: ${reason}`, { cause });
}

function checked(
  path: string,
  summary: Record<string, unknown> | undefined,
  found: { readonly addresses: number; readonly tokens: number },
) {
  if (summary === undefined) {
    const remedy = 'list it again: vanitypool audit --json';
    throw listError(
      path,
      `the list was cut short: its last line, the summary, is missing; ${remedy}`,
    );
  }
  const { storeId, epoch, isComplete } = summary;
  if (typeof storeId !== 'string' || !STORE_ID.test(storeId) || !isWhole(epoch) || epoch > ID_MAX) {
    throw listError(path, 'the last line names no store, or no epoch of it');
  }
  // One without tokens is of an older version.
  const counted = { addresses: summary.addresses, tokens: summary.tokens ?? 0 };
  for (const what of ['addresses', 'tokens'] as const) {
    if (counted[what] === found[what]) continue;
    const reason = `${found[what]} ${what} are listed, and its last line counts ${counted[what]}`;
    throw listError(path, reason);
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
  const { id, address, pool, at, cause = null, signatures, isExhausted } = row;
  const state = STATES.find((one) => one === row.state);
  const keyHash = typeof address === 'string' ? keyHashOf(address) : undefined;
  const time = typeof at === 'string' && TIME.test(at) ? Date.parse(at) : Number.NaN;
  if (!isWhole(id) || id < 1 || id > ID_MAX || typeof pool !== 'string' || state === undefined)
    return undefined;
  if ((keyHash === undefined && address !== null) || Number.isNaN(time)) return undefined;
  if (cause !== null && (typeof cause !== 'string' || !CAUSE.test(cause))) return undefined;
  const signed = isWhole(signatures) && isExhausted === false ? signatures : undefined;
  return { id, pool, keyHash, state, at: time, cause: cause ?? undefined, signatures: signed };
}

function tokenIn({ tokenId, name, createdAt, isValid }: Record<string, unknown>) {
  const time = typeof createdAt === 'string' && TIME.test(createdAt) ? Date.parse(createdAt) : -1;
  const isId = isWhole(tokenId) && tokenId >= 1 && tokenId <= TOKEN_ID_MAX;
  const isOne = isId && typeof name === 'string' && time >= 0;
  if (!isOne || typeof isValid !== 'boolean') return undefined;
  return { id: tokenId, name, createdAt: time, isValid };
}

function keyHashOf(address: string): Uint8Array | undefined {
  return isAddress(address) ? publicKeyHash(decodeBase58(address)) : undefined;
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** What is not ended by a line feed is a line too. */
async function* linesOf(path: string, signal?: AbortSignal): AsyncGenerator<string> {
  const fd = opened(path);
  let rest = '';
  try {
    for await (const chunk of createReadStream(path, { fd, encoding: 'utf8', signal })) {
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

function opened(path: string): number {
  try {
    return openRegular(path);
  } catch (cause) {
    throw listError(path, `cannot be read: ${(cause as Error).message}`, cause);
  }
}
