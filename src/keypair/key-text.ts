/**
 * The key that a text holds, in any of the forms that wallets, `solana-keygen`, bots and this program write. The
 * text decides, not a file's name. Any thread may use it.
 *
 * 64 bytes must be a seed and its public key, which is proved. An expanded key, which has as many bytes, is
 * taken only from an object that says its type: taken for a keypair it would sign wrongly. 32 bytes are a seed if nothing
 * else speaks against it, so the caller has to know the address; base58 of 32 bytes is an address.
 */
import { type Address, addressOf, decodeBase58, isAddress } from './address.ts';
import { digitAt } from './base58-digits.ts';
import { proveExpandedKey } from './expanded.ts';
import { KEYPAIR_BYTES, keypairOf, proveKeypair, SEED_BYTES, signingKeyOf } from './keypair.ts';
import type { SigningKey } from './signing-key.ts';

export interface TextKey extends SigningKey {
  readonly address: Address;
  /** 32 bytes alone: a seed only if its address is one that is expected. */
  readonly isBareSeed: boolean;
}

/** The message says what was seen, and nothing of the text. */
export class NoKeyError extends Error {}

/** Bytes and how they were written. */
interface Read {
  readonly bytes: Uint8Array;
  readonly form: string;
}

/** As a shell reads it, of a bot's `.env`. */
const ASSIGNMENT = /^(?:export\s+)?[A-Za-z_]\w*\s*=\s*(.*)$/;
const QUOTED = /^(["'])(.*)\1$/;
const HEX = /^(?:0x)?([0-9a-f]{2,})$/i;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;
const RECOVERY_PHRASE = /^[a-z]+(?: +[a-z]+){11,23}$/;
const BASE58_MAX = 88;

/**
 * The keys of one entry of key-entries.ts: one, or those of a reply of the server. The caller wipes them. Error:
 * NoKeyError.
 */
export function keysIn(text: string): TextKey[] {
  const word = withoutName(text);
  if (!/^[[{"]/.test(word)) return [keyOf(readWord(word))];
  const value = parsed(word);
  const { addresses } = Object(value) as { addresses?: unknown };
  return Array.isArray(addresses) ? addresses.map(keyOfValue) : [keyOfValue(value)];
}

/** A base64 text may end like a name without a value. */
function withoutName(text: string): string {
  const [, value] = (BASE64.test(text) ? undefined : ASSIGNMENT.exec(text)) ?? [];
  const [, , inner] = QUOTED.exec(value ?? '') ?? [];
  return inner ?? value ?? text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Its message quotes the text.
    throw new NoKeyError('not JSON, though it begins like it');
  }
}

function keyOfValue(value: unknown): TextKey {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return keyOf(readSecret(value));
  }
  const { type, keyType = type, secretKey, expandedKey } = value as Record<string, unknown>;
  if (keyType !== undefined && keyType !== 'seed' && keyType !== 'expanded') {
    throw new NoKeyError('an object of another type; allowed: "seed", "expanded"');
  }
  const { address, publicKey } = value as Record<string, unknown>;
  const owners = [address, publicKey].filter((one) => one !== undefined).map(readAddress);
  if (keyType === 'expanded') return expandedKeyOf(expandedKey, owners);
  if (expandedKey !== undefined) {
    throw new NoKeyError(
      'an expanded key without its type: "type": "expanded" has to stand beside it',
    );
  }
  if (secretKey === undefined) {
    const seen = owners.length === 0 ? 'an object' : 'an address';
    throw new NoKeyError(`${seen} without a secretKey`);
  }
  const key = keyOf(readSecret(secretKey));
  if (owners.some((owner) => owner !== key.address)) {
    key.key.fill(0);
    throw new NoKeyError('an object whose secretKey is not that of its address');
  }
  return { ...key, isBareSeed: key.isBareSeed && owners.length === 0 };
}

function expandedKeyOf(value: unknown, [address, ...others]: readonly Address[]): TextKey {
  if (address === undefined) throw new NoKeyError('an expanded key without its address');
  const key = typeof value === 'string' ? decoded(value) : undefined;
  const publicKey = decodeBase58(address);
  if (
    key === undefined ||
    others.some((other) => other !== address) ||
    !proveExpandedKey(key, publicKey)
  ) {
    key?.fill(0);
    throw new NoKeyError('an expanded key that is not that of its address');
  }
  return { keyType: 'expanded', key, publicKey, address, isBareSeed: false };
}

function readAddress(value: unknown): Address {
  const text = Array.isArray(value) ? addressOfNumbers(value) : value;
  if (typeof text === 'string' && isAddress(text)) return text;
  throw new NoKeyError('an object whose address is not base58 of 32 bytes');
}

function addressOfNumbers(numbers: readonly unknown[]): Address | undefined {
  const isKey = numbers.length === SEED_BYTES && numbers.every(isByte);
  return isKey ? addressOf(Uint8Array.from(numbers as number[])) : undefined;
}

function readSecret(value: unknown): Read {
  if (typeof value === 'string') return readWord(value.trim());
  if (Array.isArray(value)) return { bytes: bytesOf(value), form: 'an array' };
  throw new NoKeyError(
    `${value === null ? 'null' : `a JSON ${typeof value}`}, where a key belongs`,
  );
}

function bytesOf(numbers: readonly unknown[]): Uint8Array {
  const { length } = numbers;
  if (length !== KEYPAIR_BYTES && length !== SEED_BYTES) {
    throw new NoKeyError(
      `an array of ${length} items; allowed: 64 numbers (a keypair), 32 (a seed)`,
    );
  }
  const wrong = numbers.findIndex((number) => !isByte(number));
  if (wrong === -1) return Uint8Array.from(numbers as number[]);
  throw new NoKeyError(`an array whose item ${wrong + 1} is not a whole number from 0 to 255`);
}

function isByte(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 255;
}

/** Of 32 bytes only hex is a seed. Base64 without its end may look like base58: then a proof decides. */
function readWord(text: string): Read {
  const [, digits] = HEX.exec(text) ?? [];
  if (digits?.length === 2 * KEYPAIR_BYTES || digits?.length === 2 * SEED_BYTES) {
    return { bytes: Uint8Array.from(Buffer.from(digits, 'hex')), form: 'hex' };
  }
  const base58 = decoded(text);
  const base64 = BASE64.test(text) ? Uint8Array.from(Buffer.from(text, 'base64')) : undefined;
  const isBase64 = base64?.length === KEYPAIR_BYTES;
  if (isBase64 && (base58 === undefined || proveKeypair(base64))) {
    return { bytes: base64, form: 'base64' };
  }
  if (base58?.length === KEYPAIR_BYTES) return { bytes: base58, form: 'base58' };
  throw new NoKeyError(seen(text, digits, base58));
}

function seen(text: string, digits: string | undefined, base58: Uint8Array | undefined): string {
  if (base58?.length === SEED_BYTES) return 'base58 of 32 bytes: an address, not a secret key';
  const words = RECOVERY_PHRASE.test(text) ? text.split(/ +/).length : 0;
  if (words > 0) return `${words} words, as of a recovery phrase; allowed: the key itself`;
  if (digits !== undefined && digits.length > SEED_BYTES) {
    return `hex of ${digits.length} digits; allowed: 128 (a keypair), 64 (a seed)`;
  }
  if (base58 !== undefined) return `base58 of ${base58.length} bytes; a keypair has 64`;
  const { length } = text;
  return `${length} ${length === 1 ? 'character' : 'characters'} that are no key in any form`;
}

/** The key that the bytes are. Error: NoKeyError; then they are wiped. */
function keyOf({ bytes, form }: Read): TextKey {
  const isBareSeed = bytes.length === SEED_BYTES;
  const keypair = isBareSeed ? keypairOf(bytes) : bytes;
  if (isBareSeed) bytes.fill(0);
  if (!isBareSeed && !proveKeypair(keypair)) {
    keypair.fill(0);
    const need = 'the last 32 are not the public key of the first 32';
    throw new NoKeyError(`${form} of 64 bytes that are no keypair: ${need}`);
  }
  const key = signingKeyOf(keypair);
  return { ...key, address: addressOf(key.publicKey), isBareSeed };
}

/** Base58 of at most 64 bytes. */
function decoded(text: string): Uint8Array | undefined {
  if (text.length > BASE58_MAX) return undefined;
  for (let at = 0; at < text.length; at++) if (digitAt(text, at) === undefined) return undefined;
  return decodeBase58(text);
}
