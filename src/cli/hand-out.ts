/**
 * One hand-out of the command line, from the running server or from the store when none runs. Each
 * address leaves this once, so a hand-out always carries an idempotency key: when anything fails after
 * it may have left, the error says which command gets the same addresses again.
 *
 * What can be known to fail is looked for before: whether files can be written, by
 * `prepareDirectory`, and whether the pool lets secrets out at all.
 */
import { join } from 'node:path';
import type { DispensedAddress } from '../api/dispense.ts';
import { isIdempotencyKey, randomKey } from '../client/call.ts';
import { appendToFile } from '../disk/synced-writes.ts';
import { VanityError } from '../errors.ts';
import { decodeBase58, toAddress } from '../keypair/address.ts';
import { proveKey } from '../keypair/expanded.ts';
import {
  expandedKeyFileName,
  type KeypairFormat,
  keepKeyFile,
  keypairFileName,
  readKeyFile,
  writeExpandedKeyFile,
  writeKeypairFile,
} from '../keypair/key-file.ts';
import type { KeyType, SigningKey } from '../keypair/signing-key.ts';
import type { ReadyAddress } from '../pool/ready-address.ts';
import type { FORMATS } from './command-options.ts';
import { advised, optionWords, quoted, usage } from './options.ts';
import { askOrLook, type Place, wordsOf } from './or-store.ts';
import type { Outputs } from './output.ts';
import { givenToken, mayBeDone, type ServerClient } from './server-client.ts';

/** Never an address of the store: a token with the right scope gets a 404 for it. */
export const NO_ADDRESS = '11111111111111111111111111111111';

const NO_BASE58 =
  'its keys are expanded; --format base58 is of keypairs, and they would be taken for some';

export type Format = (typeof FORMATS)[number];

/** Of `--format`. */
export function readFormat<F extends Format>(text: string | undefined, formats: readonly F[]): F {
  const format = text === undefined ? formats[0] : formats.find((known) => known === text);
  if (format !== undefined) return format;
  const allowed = formats.map((known) => `"${known}"`).join(', ');
  throw usage(`--format: ${JSON.stringify(text)} is not allowed; allowed: ${allowed}`);
}

export interface HandOut {
  readonly pool: string;
  readonly count: number;
  /** Idempotency key. */
  readonly key: string;
  readonly place: Place;
  /** Where the files go, or with 'lines' the file; undefined for standard output. */
  readonly out: string | undefined;
  readonly format: Format;
}

/** What else is asked of a server, before anything is taken and after it was. */
export interface Around {
  readonly before?: (server: ServerClient) => Promise<void>;
  readonly after?: (server: ServerClient, taken: readonly DispensedAddress[]) => Promise<void>;
}

/** Of `--key`; a new one if it is not given. */
export function readKey(text: string | undefined): string {
  if (text === undefined) return randomKey();
  if (isIdempotencyKey(text)) return text;
  throw usage('--key: allowed: 1 to 255 printable ASCII characters');
}

/** Takes all of them or none. Errors: those of the server, or of `dispenseOffline`. */
export async function take(
  handOut: HandOut,
  outputs: Outputs,
  { before, after }: Around = {},
): Promise<readonly DispensedAddress[]> {
  const { pool, count, key, place, out } = handOut;
  let isAsked = false;
  let isTaken = false;
  try {
    return await askOrLook<readonly DispensedAddress[]>(
      place,
      async (server) => {
        if (out !== undefined) await assertSecretsLeave(server, handOut);
        await before?.(server);
        isAsked = true;
        const asking = { count, idempotencyKey: key };
        const taken = await server.ask((client) => client.dispense(pool, asking));
        isTaken = true;
        await after?.(server, taken);
        return taken;
      },
      async (config) => {
        const { dispenseOffline } = await import('../offline/dispense.ts');
        const repeatable = { key, token: givenToken() };
        isAsked = true;
        const assertKeys = (keys: KeyType) => assertFormat(handOut, keys);
        const ready = await dispenseOffline(config, pool, count, repeatable, assertKeys);
        return ready.map(asDispensed);
      },
      outputs,
    );
  } catch (error) {
    const mayBeTaken = isTaken || (isAsked && mayBeDone(error));
    throw mayBeTaken ? advised(error, again(handOut)) : error;
  }
}

/** Prints each as a line of JSON. Error: FILE_NOT_WRITABLE, with the ids of those that were not. */
export async function printAddresses(
  handOut: HandOut,
  addresses: readonly DispensedAddress[],
  { print, syncOutput }: Outputs,
): Promise<void> {
  let written = 0;
  try {
    for (const address of addresses) {
      await print(`${JSON.stringify(address)}\n`);
      written++;
    }
    written = 0;
    syncOutput();
  } catch (error) {
    throw lost(handOut, addresses.slice(written), (error as Error).message);
  }
}

/**
 * Writes each to its file, or with 'lines' all to one, and prints its address: all that can be written are, for an
 * error for one must not lose the others. Error: FILE_NOT_WRITABLE, with the ids of those that were not.
 */
export async function writeFiles(
  handOut: HandOut,
  addresses: readonly DispensedAddress[],
  json: boolean,
  { print }: Outputs,
): Promise<void> {
  const { format } = handOut;
  const out = handOut.out!;
  if (format === 'base58' && addresses.some(({ keyType }) => keyType === 'expanded')) {
    throw lost({ ...handOut, format: 'json' }, addresses, NO_BASE58);
  }
  if (format === 'lines') appendLines(handOut, addresses);
  const failed: DispensedAddress[] = [];
  let reason = '';
  let outputError: Error | undefined;
  for (const dispensed of addresses) {
    const { id, address } = dispensed;
    try {
      const path = format === 'lines' ? out : writeFile(out, dispensed, format);
      const line = json ? JSON.stringify({ id, address, path }) : address;
      if (outputError !== undefined) continue;
      await print(`${line}\n`).catch((error: Error) => {
        outputError = error;
      });
    } catch (error) {
      failed.push(dispensed);
      reason ||= (error as Error).message;
    }
  }
  if (failed.length > 0) throw lost(handOut, failed, reason);
  if (outputError === undefined) return;
  const where = `all ${addresses.length} addresses are in ${out}`;
  throw new VanityError('FILE_NOT_WRITABLE', `${outputError.message}; ${where}`);
}

/** Which command gets the same addresses again, as lines for people. */
export function again({ pool, count, key, place, out, format }: HandOut): string {
  const words = ['vanitypool', 'dispense', pool, ...optionWords('--count', String(count))];
  words.push(...optionWords('--key', key), ...wordsOf(place));
  // Lines are what it prints, too.
  if (out !== undefined && format !== 'lines') words.push(...optionWords('--out', out));
  if (format === 'base58') words.push('--format', format);
  return (
    'If they were handed out, this gets the same addresses again, as long as the store keeps\n' +
    `their secrets (store.retention_hours, a day by default):\n  ${words.map(quoted).join(' ')}\n`
  );
}

function lost(handOut: HandOut, addresses: readonly DispensedAddress[], reason: string): unknown {
  const left = `${addresses.length} of ${handOut.count} were handed out and not written`;
  const message = `${reason}; ${left}: ${idsOf(addresses.map(({ id }) => id))}`;
  return advised(new VanityError('FILE_NOT_WRITABLE', message), again(handOut));
}

/** `id 7`, `ids 3, 7-9`. */
export function idsOf(ids: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const id of ids) {
    const run = runs.at(-1);
    if (run !== undefined && id === run[1] + 1) run[1] = id;
    else runs.push([id, id]);
  }
  const texts = runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return `${ids.length === 1 ? 'id' : 'ids'} ${texts.join(', ')}`;
}

/** Adds them to the file, all or none. Error: FILE_NOT_WRITABLE, with the ids of all. */
function appendLines(handOut: HandOut, addresses: readonly DispensedAddress[]): void {
  try {
    for (const dispensed of addresses) provedKey(dispensed).key.fill(0);
    appendToFile(handOut.out!, addresses.map((address) => `${JSON.stringify(address)}\n`).join(''));
  } catch (error) {
    throw lost(handOut, addresses, (error as Error).message);
  }
}

/** Its path. A file that holds this very key is that of an earlier try. */
function writeFile(directory: string, dispensed: DispensedAddress, format: KeypairFormat): string {
  const signingKey = provedKey(dispensed);
  const { keyType, key, publicKey } = signingKey;
  const isSeed = keyType === 'seed';
  try {
    return isSeed
      ? writeKeypairFile(directory, key, format)
      : writeExpandedKeyFile(directory, publicKey, key);
  } catch (error) {
    const address = toAddress(dispensed.address);
    const name = isSeed ? keypairFileName(address, format) : expandedKeyFileName(address);
    const path = join(directory, name);
    if ((error as VanityError).code !== 'FILE_EXISTS' || !holds(path, signingKey)) throw error;
    keepKeyFile(path);
    return path;
  }
}

/** Errors: HANDOUT_MISMATCH, INTERNAL. */
function provedKey({ address, keyType, secretKey, expandedKey }: DispensedAddress): SigningKey {
  const secret = keyType === 'expanded' ? expandedKey : secretKey;
  if (secret === undefined) throw signOnly();
  const signingKey = { keyType, key: decodeBase58(secret), publicKey: decodeBase58(address) };
  if (proveKey(signingKey)) return signingKey;
  throw new VanityError('INTERNAL', 'the server sent another key than that of the address');
}

function holds(path: string, { keyType, key }: SigningKey): boolean {
  try {
    const filed = readKeyFile(path);
    return filed.keyType === keyType && Buffer.compare(filed.key, key) === 0;
  } catch {
    return false;
  }
}

/**
 * Before anything is taken. A token that may not read the pool learns it from another answer: that to
 * a signature by an address that there is not. Errors: HANDOUT_MISMATCH, POOL_NOT_FOUND, those of
 * asking.
 */
async function assertSecretsLeave(server: ServerClient, handOut: HandOut): Promise<void> {
  const { pool } = handOut;
  try {
    const { handout, keys } = await server.ask((client) => client.pool(pool));
    if (handout === 'secret') return assertFormat(handOut, keys);
  } catch (error) {
    if (codeOf(error) !== 'SCOPE_REQUIRED') throw error;
    const code = await server
      .ask((client) => client.sign(pool, NO_ADDRESS, Uint8Array.of(0)))
      .then(() => 'ADDRESS_NOT_FOUND', codeOrThrow);
    if (code === 'HANDOUT_MISMATCH') return;
  }
  throw signOnly(`pool ${pool}: `);
}

/** Error: USAGE_INVALID. */
function assertFormat({ pool, format }: HandOut, keys: KeyType): void {
  if (format === 'base58' && keys === 'expanded') throw usage(`pool ${pool}: ${NO_BASE58}`);
}

/** What a pool may answer to such a signature; anything else is an error here, too. */
function codeOrThrow(error: unknown): string {
  const code = codeOf(error);
  if (['HANDOUT_MISMATCH', 'ADDRESS_NOT_FOUND', 'MESSAGE_INVALID'].includes(code)) return code;
  throw error;
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code);
}

function signOnly(of = ''): VanityError {
  const detail = `${of}sign-only: its secrets do not leave, so that there is nothing for a file`;
  return new VanityError('HANDOUT_MISMATCH', detail);
}

function asDispensed(ready: ReadyAddress): DispensedAddress {
  const { id, address, keyType, secret, origin } = ready;
  const name = keyType === 'expanded' ? 'expandedKey' : 'secretKey';
  const createdAt = new Date(ready.createdAt).toISOString();
  return { id, address, keyType, [name]: secret, origin, createdAt };
}
