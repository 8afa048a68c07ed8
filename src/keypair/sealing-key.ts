/**
 * The sealing key: the one secret that an operator keeps. It opens data keys, and gives the key by
 * which a store knows its own rows (store/sqlite/bound-rows.ts); who only seals needs its public half alone. HPKE (RFC 9180) in base mode with
 * DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM. Any thread may use it.
 *
 * Where it comes from: 'file:PATH', one line of 64 hexadecimal digits that no other user can read,
 * or 'env:NAME', the same digits in a variable. A key that is lost cannot be replaced: what was
 * sealed to it stays sealed.
 */
import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  hash,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import {
  AEAD_AES_256_GCM,
  CipherSuite,
  type CryptoKey,
  DecapError,
  KDF_HKDF_SHA256,
  KEM_DHKEM_X25519_HKDF_SHA256,
  type KeyPair,
  OpenError,
} from 'hpke';
import { isDangling, LINE_BYTES_MAX, readText } from '../disk/regular-files.ts';
import { ifPossible, syncName, writeNewFile } from '../disk/synced-writes.ts';
import { VanityError } from '../errors.ts';

const SEALING_KEY_BYTES = 32;
/** What HPKE adds to a message: the encapsulated secret in front, the tag behind. */
const ENCAPSULATED_BYTES = 32;

/** What stands before the key in a PKCS #8 private key of X25519 (RFC 8410, section 7). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');
const ID_DIGITS = 16;
const DIGITS = /^[0-9a-f]{64}$/i;
const REMEDY = 'restore it from a backup';

/** Derived keys have purposes, and no other key gives them. */
const ROWS_LABEL = 'vanitypool rows 1';
const NODES_LABEL = 'vanitypool nodes 1';
const HANDING_LABEL = 'vanitypool handing 1';
/** Of what a grinder has of the key. */
const PUBLIC = 'public:';
const OPENS_NOTHING =
  'its public half opens nothing: this is a grinder node; type this on a node with role = "api" or "all"';

const SUITE = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_256_GCM);

/** What a key is called where people read it: 16 digits of the SHA-256 of its public half. No secret. */
export function sealingKeyId(publicKey: Uint8Array): string {
  return hash('sha256', publicKey, 'hex').slice(0, ID_DIGITS);
}

/** Seals a message to the public half (32 bytes). `info` binds it to its purpose. */
export async function sealTo(
  publicKey: Uint8Array,
  message: Uint8Array,
  info: Uint8Array,
): Promise<Uint8Array> {
  const recipient = await SUITE.DeserializePublicKey(publicKey);
  const { encapsulatedSecret, ciphertext } = await SUITE.Seal(recipient, message, { info });
  return Buffer.concat([encapsulatedSecret, ciphertext]);
}

export class SealingKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly #pair: KeyPair<CryptoKey>;
  /** Of the rows of all stores. */
  readonly #rows: KeyObject;
  /** Of the nodes of all stores. */
  readonly #nodes: KeyObject;
  /** Of the keys that replace this one in all stores. */
  readonly #handing: KeyObject;
  readonly #private: KeyObject;

  private constructor(publicKey: Uint8Array, pair: KeyPair<CryptoKey>, privateKey: Uint8Array) {
    this.publicKey = publicKey;
    this.#pair = pair;
    this.#rows = derived(privateKey, ROWS_LABEL);
    this.#nodes = derived(privateKey, NODES_LABEL);
    this.#handing = derived(privateKey, HANDING_LABEL);
    this.#private = createSecretKey(privateKey);
  }

  /** A new one, which is in memory alone. */
  static random(): Promise<SealingKey> {
    return fromBytes(randomBytes(SEALING_KEY_BYTES));
  }

  /** From the 32 private bytes, which the caller may wipe afterwards. */
  static async from(privateKey: Uint8Array): Promise<SealingKey> {
    const publicKey = publicHalf(privateKey);
    const pair = {
      privateKey: await SUITE.DeserializePrivateKey(privateKey),
      publicKey: await SUITE.DeserializePublicKey(publicKey),
    };
    return new SealingKey(publicKey, pair, privateKey);
  }

  /** For the MACs of the rows of one store, by its id and what it was bound with. */
  rowKey(storeId: string, binding: string): KeyObject {
    return derived(this.#rows, `${ROWS_LABEL} ${storeId} ${binding}`);
  }

  /** For the enrolments of the nodes of one store. */
  nodeKey(storeId: string, binding: string): KeyObject {
    return derived(this.#nodes, `${NODES_LABEL} ${storeId} ${binding}`);
  }

  /** By which the nodes of one store know who hands them another key, and to whom it is handed. */
  handingKey(storeId: string, binding: string): KeyObject {
    return derived(this.#handing, `${HANDING_LABEL} ${storeId} ${binding}`);
  }

  /** This key itself, sealed to the public half of another one. */
  async sealedTo(publicKey: Uint8Array, info: Uint8Array): Promise<Uint8Array> {
    const bytes = this.#private.export();
    try {
      return await sealTo(publicKey, bytes, info);
    } finally {
      bytes.fill(0);
    }
  }

  /** The key that was sealed to this one so, or undefined for anything else. */
  async openKey(sealed: Uint8Array, info: Uint8Array): Promise<SealingKey | undefined> {
    const bytes = await this.open(sealed, info);
    return bytes?.length === SEALING_KEY_BYTES ? fromBytes(bytes) : undefined;
  }

  /** As a file has it. */
  get digits(): string {
    const bytes = this.#private.export();
    try {
      return bytes.toString('hex');
    } finally {
      bytes.fill(0);
    }
  }

  /** The message that was sealed to this key with this `info`, or undefined for anything else. */
  async open(sealed: Uint8Array, info: Uint8Array): Promise<Uint8Array | undefined> {
    if (sealed.length < ENCAPSULATED_BYTES) return undefined;
    const encapsulated = Uint8Array.from(sealed.subarray(0, ENCAPSULATED_BYTES));
    const ciphertext = Uint8Array.from(sealed.subarray(ENCAPSULATED_BYTES));
    try {
      return await SUITE.Open(this.#pair, encapsulated, ciphertext, { info });
    } catch (cause) {
      if (cause instanceof OpenError || cause instanceof DecapError) return undefined;
      throw cause;
    }
  }
}

/**
 * The key that `source` ('file:PATH' or 'env:NAME') holds, or undefined when there is no such
 * file, or nothing in it. Errors: SEALING_KEY_INVALID for a file that others can read, for what is
 * no key, and for half of one.
 */
export async function loadSealingKey(source: string): Promise<SealingKey | undefined> {
  if (source.startsWith(PUBLIC)) throw invalid(`store.sealing_key: ${OPENS_NOTHING}`);
  const digits = source.startsWith('env:') ? readVariable(source.slice(4)) : readFile(source);
  if (digits === undefined) return undefined;
  if (!DIGITS.test(digits)) {
    throw invalid(`${nameOf(source)}: a sealing key is 64 hexadecimal digits; ${REMEDY}`);
  }
  return fromBytes(Buffer.from(digits, 'hex'));
}

/** 'public:DIGITS', for who is to seal and not to open. */
export function publicSource(publicKey: Uint8Array): string {
  return `${PUBLIC}${Buffer.from(publicKey).toString('hex')}`;
}

/** The public half in such a source; undefined for the source of a whole key. */
export function publicKeyIn(source: string): Uint8Array | undefined {
  return source.startsWith(PUBLIC) ? Buffer.from(source.slice(PUBLIC.length), 'hex') : undefined;
}

/**
 * Makes a new key in the file that `source` names, mode 0600; it is on disk when this returns.
 * Errors: SEALING_KEY_INVALID, also when a file with text exists; DISK_FULL; of `keepSealingKey`.
 */
export async function createSealingKey(source: string): Promise<SealingKey> {
  const key = await SealingKey.random();
  writeSealingKey(source, key);
  return key;
}

/** The same with a key that there is. Errors as of `createSealingKey`. */
export function writeSealingKey(source: string, key: SealingKey): void {
  const path = nameOf(source);
  try {
    if (statSync(path, { throwIfNoEntry: false })?.size === 0) rmSync(path);
    writeNewFile(path, `${key.digits}\n`);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const kind = code === 'ENOSPC' || code === 'EDQUOT' ? 'DISK_FULL' : 'SEALING_KEY_INVALID';
    throw new VanityError(kind, `${path}: the sealing key cannot be written: ${message}`, {
      cause,
    });
  }
  keepSealingKey(source);
}

/**
 * Sees that a power loss does not take the key, before anything is sealed to it. A file system that
 * cannot sync a directory at all is taken as it is. Error: SEALING_KEY_INVALID; the file stays.
 */
export function keepSealingKey(source: string): void {
  if (source.startsWith('env:')) return;
  const path = nameOf(source);
  try {
    ifPossible(() => syncName(path));
  } catch (cause) {
    const { message } = cause as Error;
    const detail = `the sealing key is in it, but a power loss may take it: its directory cannot be synced: ${message}`;
    throw invalid(`${path}: ${detail}`, cause);
  }
}

async function fromBytes(privateKey: Uint8Array): Promise<SealingKey> {
  try {
    return await SealingKey.from(privateKey);
  } finally {
    privateKey.fill(0);
  }
}

/** The path of 'file:PATH'; 'env:NAME' as it is. */
function nameOf(source: string): string {
  return source.startsWith('file:') ? source.slice('file:'.length) : source;
}

function readVariable(name: string): string {
  const value = process.env[name];
  if (value === undefined) {
    throw invalid(`env:${name}: not set; it holds the sealing key, 64 hexadecimal digits`);
  }
  return value.trim();
}

function readFile(source: string): string | undefined {
  const path = nameOf(source);
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined && !isDangling(path)) return undefined;
    if (stats?.isFile() === true) {
      if (stats.size === 0) return undefined; // the power failed before the key was in it
      assertOwn(path, stats.mode & 0o777);
    }
    return readText(path, LINE_BYTES_MAX).trim();
  } catch (cause) {
    if (cause instanceof VanityError) throw cause;
    throw invalid(`${path}: the sealing key cannot be read: ${(cause as Error).message}`, cause);
  }
}

/** HKDF-SHA256 (RFC 5869) without a salt: what goes in is random already. 32 bytes. */
function derived(from: Uint8Array | KeyObject, label: string): KeyObject {
  const bytes = Buffer.from(hkdfSync('sha256', from, '', label, SEALING_KEY_BYTES));
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

function assertOwn(path: string, mode: number): void {
  if ((mode & 0o077) === 0) return;
  const octal = mode.toString(8).padStart(4, '0');
  throw invalid(`${path}: mode ${octal} lets other users read it; type: chmod 600 ${path}`);
}

function publicHalf(privateKey: Uint8Array): Uint8Array {
  const pkcs8 = Buffer.concat([PKCS8_HEAD, privateKey]);
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  pkcs8.fill(0);
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  return Uint8Array.from(Buffer.from(x!, 'base64url'));
}

function invalid(message: string, cause?: unknown): VanityError {
  return new VanityError('SEALING_KEY_INVALID', message, { cause });
}
