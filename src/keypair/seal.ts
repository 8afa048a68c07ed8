/**
 * Sealing: how keys lie in the store. Envelope encryption: a row is sealed with AES-256-GCM
 * under a data key, and the data key is sealed to the sealing key. Runs in the store thread; the
 * rows are sealed and unsealed synchronously, only data keys are made and opened asynchronously.
 *
 *   sealed row                  nonce 12, ciphertext, tag 16
 *     of a seed, 92 bytes       ciphertext of the keypair 64
 *     expanded, 124 bytes       ciphertext of the expanded key 64 and its public key 32
 *   associated data             store id, SHA-256 of the public key, name of the pool
 *   sealed data key, 80 bytes   encapsulated secret 32, ciphertext 32, tag 16
 *
 *   nonce                       SHA-256 of a label, the associated data and what is encrypted; 12 bytes of it
 *
 * A row that is moved to another pool, store or address cannot be unsealed. A data key lives in
 * one Sealer of one process, for at most 65,536 rows or one hour. Where the machine is cloned it
 * lives twice, and a counter or random numbers would be cloned with it: so a nonce is made of what is
 * sealed. The same one under the same key seals the same row, to the same bytes.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  hash,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { DATA_KEY_BYTES, type DataKeysOf, infoOf } from './data-keys.ts';
import { KEYPAIR_BYTES, PUBLIC_KEY_BYTES, signingKeyOf } from './keypair.ts';
import { type SealingKey, sealTo } from './sealing-key.ts';
import type { KeyType, SigningKey } from './signing-key.ts';

export const ROWS_PER_DATA_KEY = 65_536;
const DATA_KEY_MS = 3_600_000;
/** Opened data keys that an Unsealer remembers; opening one again takes a third of a millisecond. */
const REMEMBERED_MAX = 1024;

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES };
const HASH_BYTES = 32;
/** What is encrypted has one length for each label: no two rows look alike in the hash. */
const NONCE_LABELS = { seed: 'vanitypool nonce 1', expanded: 'vanitypool nonce 2' } as const;

const ENCRYPTED_BYTES = {
  seed: KEYPAIR_BYTES,
  expanded: KEYPAIR_BYTES + PUBLIC_KEY_BYTES,
} as const;

/** The length of a sealed row. */
export function sealedBytes(keyType: KeyType): number {
  return NONCE_BYTES + ENCRYPTED_BYTES[keyType] + TAG_BYTES;
}

/** What a key is known by, for ever and in every state: 32 bytes. */
export function publicKeyHash(publicKey: Uint8Array): Buffer {
  return hash('sha256', publicKey, 'buffer');
}

/** Where a sealed row belongs. */
export interface Place {
  readonly pool: string;
  /** Of all rows of the pool. */
  readonly keyType: KeyType;
  /** As `publicKeyHash` gives it. */
  readonly keyHash: Uint8Array;
}

export interface SealedRow {
  /** As `save` gave it. */
  readonly dataKeyId: number;
  /** `sealedBytes` long. */
  readonly sealed: Uint8Array;
}

export interface RowInPlace {
  readonly place: Place;
  /** `sealedBytes` long. */
  readonly sealed: Uint8Array;
  /** The sealed data key; undefined where there is none. */
  readonly dataKey: Uint8Array | undefined;
}

/** A row that is to be sealed under another data key. */
export interface RowToReseal extends RowInPlace {
  /** That data key, sealed. */
  readonly next: Uint8Array;
}

export interface UnsealedRow {
  readonly place: Place;
  readonly key: SigningKey;
}

interface DataKey {
  readonly id: number;
  readonly key: KeyObject;
  readonly expiresAt: number;
  used: number;
}

export interface SealerOptions extends DataKeysOf {
  /**
   * Stores a data key durably that is sealed to this public half, and returns its id. One that called `sealTo`
   * meanwhile is asked again.
   */
  readonly save: (sealedDataKey: Uint8Array, publicKey: Uint8Array) => number | Promise<number>;
  /** Milliseconds that never go back. */
  readonly now?: () => number;
}

export class Sealer {
  readonly #options: Required<SealerOptions>;
  readonly #associated: AssociatedData;
  #publicKey: Uint8Array;
  #current: DataKey | undefined;

  constructor(options: SealerOptions) {
    this.#options = { now: () => performance.now(), ...options };
    this.#associated = new AssociatedData(options.storeId);
    this.#publicKey = options.publicKey;
  }

  /** From now on under new data keys, sealed to this public half: the old key opens none of them. */
  sealTo(publicKey: Uint8Array): void {
    this.#publicKey = publicKey;
    this.#current = undefined;
  }

  /**
   * In the order of `rows`, all of them under one data key: a new one where the current one is used up
   * or too old. RangeError for more than ROWS_PER_DATA_KEY rows, and for a key that is not of the type
   * of its place; errors of `save` pass through.
   */
  async seal(rows: readonly UnsealedRow[]): Promise<SealedRow[]> {
    const dataKey = await this.#dataKeyFor(rows.length);
    const { id: dataKeyId, key } = dataKey;
    return rows.map((row) => ({ dataKeyId, sealed: sealed(key, this.#associated, row) }));
  }

  async #dataKeyFor(rows: number): Promise<DataKey> {
    if (rows > ROWS_PER_DATA_KEY) {
      throw new RangeError(`${rows} rows; a data key seals at most ${ROWS_PER_DATA_KEY}`);
    }
    const { storeId, binding, save, now } = this.#options;
    const current = this.#current;
    const isUsable = current !== undefined && now() < current.expiresAt;
    if (isUsable && current.used + rows <= ROWS_PER_DATA_KEY) {
      current.used += rows;
      return current;
    }
    const bytes = randomBytes(DATA_KEY_BYTES);
    const info = infoOf(storeId, binding);
    let publicKey: Uint8Array;
    let id: number | undefined;
    do {
      publicKey = this.#publicKey;
      const sealed = await sealTo(publicKey, bytes, info);
      // The sealing key was rotated meanwhile.
      if (publicKey !== this.#publicKey) continue;
      const saved = save(sealed, publicKey);
      id = typeof saved === 'number' ? saved : await saved;
    } while (publicKey !== this.#publicKey);
    const key = createSecretKey(bytes);
    bytes.fill(0);
    this.#current = { id: id!, key, expiresAt: now() + DATA_KEY_MS, used: rows };
    return this.#current;
  }
}

export class Unsealer {
  #sealingKey: SealingKey;
  readonly #associated: AssociatedData;
  readonly #info: Uint8Array;
  /** By `nameOf`: an id of the store may get another data key. */
  readonly #remembered = new Map<string, KeyObject>();

  constructor(storeId: string, binding: string, sealingKey: SealingKey) {
    this.#sealingKey = sealingKey;
    this.#associated = new AssociatedData(storeId);
    this.#info = infoOf(storeId, binding);
  }

  /** Data keys are sealed to this one from now on. */
  openWith(sealingKey: SealingKey): void {
    this.#sealingKey = sealingKey;
  }

  /**
   * The keys (the caller wipes them), in the order of `rows`: undefined where a row is not of its place,
   * or its data key cannot be opened.
   */
  async unseal(rows: readonly RowInPlace[]): Promise<(SigningKey | undefined)[]> {
    const dataKeys = await this.#dataKeys(rows.map(({ dataKey }) => dataKey));
    return rows.map((row) => this.#unseal(dataKeys.get(row.dataKey), row));
  }

  /**
   * The rows, sealed under other data keys, in their order: undefined where one cannot be unsealed. Error:
   * RangeError for a new data key that cannot be opened.
   */
  async reseal(rows: readonly RowToReseal[]): Promise<(Uint8Array | undefined)[]> {
    const dataKeys = await this.#dataKeys(rows.flatMap(({ dataKey, next }) => [dataKey, next]));
    return rows.map((row) => {
      const next = dataKeys.get(row.next);
      if (next === undefined) throw new RangeError('a new data key that cannot be opened');
      const key = this.#unseal(dataKeys.get(row.dataKey), row);
      if (key === undefined) return undefined;
      const { place } = row;
      const resealed = sealed(next, this.#associated, { place, key });
      key.key.fill(0);
      return resealed;
    });
  }

  /** By what they are sealed as; what cannot be opened is not in the result. */
  async #dataKeys(
    wanted: readonly (Uint8Array | undefined)[],
  ): Promise<ReadonlyMap<Uint8Array | undefined, KeyObject>> {
    const keys = new Map<Uint8Array, KeyObject>();
    // A database gives each row bytes of its own.
    const found = new Map<string, KeyObject | undefined>();
    for (const sealed of new Set(wanted)) {
      if (sealed === undefined) continue;
      const name = nameOf(sealed);
      if (!found.has(name)) {
        found.set(name, this.#remembered.get(name) ?? (await this.#open(sealed)));
      }
      const key = found.get(name);
      if (key !== undefined) keys.set(sealed, key);
    }
    for (const [name, key] of found) if (key !== undefined) this.#remember(name, key);
    return keys;
  }

  #unseal(dataKey: KeyObject | undefined, { place, sealed }: RowInPlace): SigningKey | undefined {
    const { keyType, keyHash } = place;
    if (dataKey === undefined) return undefined;
    if (sealed.length !== sealedBytes(keyType) || keyHash.length !== HASH_BYTES) return undefined;
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv(CIPHER, dataKey, nonce, CIPHER_OPTIONS);
    decipher.setAAD(this.#associated.of(place));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    const bytes = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
    const signingKey = keyType === 'seed' ? signingKeyOf(bytes) : expandedKeyIn(bytes);
    const isRight = isAuthentic(decipher) && publicKeyHash(signingKey.publicKey).equals(keyHash);
    if (isRight) return signingKey;
    bytes.fill(0);
    return undefined;
  }

  async #open(sealedDataKey: Uint8Array): Promise<KeyObject | undefined> {
    const bytes = await this.#sealingKey.open(sealedDataKey, this.#info);
    if (bytes === undefined) return undefined;
    const key = createSecretKey(bytes);
    bytes.fill(0);
    return key.symmetricKeySize === DATA_KEY_BYTES ? key : undefined;
  }

  /** Forgets the one that was used the longest ago. */
  #remember(name: string, key: KeyObject): void {
    this.#remembered.delete(name);
    this.#remembered.set(name, key);
    if (this.#remembered.size > REMEMBERED_MAX) {
      this.#remembered.delete(this.#remembered.keys().next().value!);
    }
  }
}

/** A sealed data key, as text. */
function nameOf(sealedDataKey: Uint8Array): string {
  return Buffer.from(sealedDataKey).toString('latin1');
}

function sealed(
  dataKey: KeyObject,
  associatedData: AssociatedData,
  { place, key: signingKey }: UnsealedRow,
): Uint8Array {
  const { keyType } = place;
  assertWhole(keyType, signingKey);
  const { key, publicKey } = signingKey;
  // A keypair ends with its public key.
  const more = keyType === 'expanded' ? publicKey : undefined;
  const row = Buffer.alloc(sealedBytes(keyType));
  const associated = associatedData.of(place);
  row.set(nonceOf(keyType, associated, key, more));
  // A KeyObject takes 3 us a row; with the key in a buffer it is 15 us.
  const cipher = createCipheriv(CIPHER, dataKey, row.subarray(0, NONCE_BYTES));
  cipher.setAAD(associated);
  row.set(cipher.update(key), NONCE_BYTES);
  if (more !== undefined) row.set(cipher.update(more), NONCE_BYTES + KEYPAIR_BYTES);
  cipher.final();
  row.set(cipher.getAuthTag(), row.length - TAG_BYTES);
  return row;
}

function expandedKeyIn(bytes: Uint8Array): SigningKey {
  return {
    keyType: 'expanded',
    key: bytes.subarray(0, KEYPAIR_BYTES),
    publicKey: bytes.subarray(KEYPAIR_BYTES),
  };
}

function assertWhole(expected: KeyType, { keyType, key, publicKey }: SigningKey): void {
  if (keyType !== expected) throw new RangeError(`a key of type ${keyType}, not ${expected}`);
  if (key.length !== KEYPAIR_BYTES) {
    throw new RangeError(`a key has ${KEYPAIR_BYTES} bytes, not ${key.length}`);
  }
  if (publicKey.length !== PUBLIC_KEY_BYTES) {
    throw new RangeError(`a public key has ${PUBLIC_KEY_BYTES} bytes, not ${publicKey.length}`);
  }
}

function nonceOf(
  keyType: KeyType,
  associated: Uint8Array,
  key: Uint8Array,
  more: Uint8Array | undefined,
): Uint8Array {
  const sum = createHash('sha256').update(NONCE_LABELS[keyType]).update(associated).update(key);
  if (more !== undefined) sum.update(more);
  return sum.digest().subarray(0, NONCE_BYTES);
}

/**
 * What a row is bound to: store id, hash, name of the pool. The name comes last: what stands before
 * it has a fixed length, so no two places look alike. Made anew for each row it took 1.8 us of 9.
 */
class AssociatedData {
  readonly #storeId: Buffer;
  #pool: string | undefined;
  #bytes = Buffer.alloc(0);

  constructor(storeId: string) {
    this.#storeId = Buffer.from(storeId, 'hex');
  }

  /** Good until the next call. */
  of({ pool, keyHash }: Place): Uint8Array {
    if (pool !== this.#pool) {
      this.#bytes = Buffer.concat([this.#storeId, Buffer.alloc(HASH_BYTES), Buffer.from(pool)]);
      this.#pool = pool;
    }
    this.#bytes.set(keyHash, this.#storeId.length);
    return this.#bytes;
  }
}

function isAuthentic(decipher: { final(): Uint8Array }): boolean {
  try {
    decipher.final();
    return true;
  } catch {
    return false;
  }
}
