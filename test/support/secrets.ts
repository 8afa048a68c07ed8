/**
 * Looks for secrets where none may be: in files, logs and replies, as bytes and in every text in
 * which a program could let one slip. It searches for many keys at once: a few MB in a tenth of a
 * second. Keypairs come from replies, and from a store that is opened with its sealing key.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { encodeBase58 } from '../../src/keypair/address.ts';
import { Unsealer } from '../../src/keypair/seal.ts';
import { loadSealingKey } from '../../src/keypair/sealing-key.ts';
import type { KeyType } from '../../src/keypair/signing-key.ts';
import { DATA_KEY } from '../../src/store/sqlite/resealing.ts';

/** What a destroyed secret leaves of its row. */
const PUBLIC_KEY_BYTES = 32;
/** Long enough that chance finds none, short enough that a torn copy is found. */
const PIECE_BYTES = 16;
const BASE58_PIECE = 24;
/** Whole groups of base64, however the secret lies in what was encoded. */
const BASE64_BYTES = 30;

interface Needle {
  readonly name: string;
  readonly bytes: Buffer;
}

/** What must not be found of a keypair (64 bytes): its seed, its expanded key, its public key. */
export function needlesOf(keypair: Uint8Array): Needle[] {
  const seed = keypair.subarray(0, 32);
  const expanded = createHash('sha512').update(seed).digest();
  // RFC 8032, section 5.1.5.
  expanded[0]! &= 248;
  expanded[31] = (expanded[31]! & 127) | 64;
  const parts = {
    seed,
    'public key': keypair.subarray(32),
    scalar: expanded.subarray(0, 32),
    'nonce prefix': expanded.subarray(32),
  };
  const whole = (name: string, bytes: Uint8Array) =>
    text(`${name} in base58`, encodeBase58(bytes).slice(0, BASE58_PIECE));
  return [
    ...Object.entries(parts).flatMap(([name, part]) => needlesOfPart(name, Buffer.from(part))),
    whole('keypair', keypair),
    whole('expanded key', expanded),
    // As JSON writes an array of bytes that is no Buffer.
    text('keypair as an object', JSON.stringify(seed).slice(0, -1)),
  ];
}

function needlesOfPart(name: string, part: Buffer): Needle[] {
  const needles: Needle[] = [text(`${name} in base58`, encodeBase58(part))];
  for (let at = 0; at < part.length; at += PIECE_BYTES) {
    const bytes = part.subarray(at, at + PIECE_BYTES);
    const hex = bytes.toString('hex');
    needles.push({ name: `raw ${name}`, bytes }, text(`${name} in hex`, hex));
    needles.push(text(`${name} in capital hex`, hex.toUpperCase()));
    needles.push(text(`${name} in spaced hex`, hex.match(/../g)!.join(' ')));
    needles.push(text(`${name} in numbers`, bytes.join(',')));
    needles.push(text(`${name} in spaced numbers`, bytes.join(', ')));
  }
  for (let at = 0; at < 3; at++) {
    const bytes = part.subarray(at, at + BASE64_BYTES);
    needles.push(text(`${name} in base64`, bytes.toString('base64')));
    needles.push(text(`${name} in base64url`, bytes.toString('base64url')));
  }
  return needles;
}

function text(name: string, content: string): Needle {
  return { name, bytes: Buffer.from(content, 'latin1') };
}

/** Of the hash of a needle's first four bytes. */
const FILTER_BITS = 20;

export class SecretSearch {
  readonly #filter = new Uint8Array(1 << FILTER_BITS);
  readonly #needles = new Map<number, Needle[]>();
  readonly #keypairs = new Set<string>();

  get size(): number {
    return this.#keypairs.size;
  }

  /** Of a keypair (64 bytes). */
  addKeypair(keypair: Uint8Array): void {
    const name = Buffer.from(keypair).toString('latin1');
    if (this.#keypairs.has(name)) return;
    this.#keypairs.add(name);
    for (const needle of needlesOf(keypair)) this.#add(needle);
  }

  /** Any other bytes, by pieces of 16. */
  addBytes(name: string, bytes: Uint8Array): void {
    for (let at = 0; at + PIECE_BYTES <= bytes.length; at += PIECE_BYTES) {
      this.#add({ name, bytes: Buffer.from(bytes.subarray(at, at + PIECE_BYTES)) });
    }
  }

  /** The names of what is in there, and where; never the secret itself. */
  find(bytes: Uint8Array): string[] {
    const found: string[] = [];
    const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let head = 0;
    for (let end = 0; end < haystack.length; end++) {
      head = ((head >>> 8) | (haystack[end]! << 24)) >>> 0;
      if (end < 3 || this.#filter[slotOf(head)] === 0) continue;
      const at = end - 3;
      for (const needle of this.#needles.get(head) ?? []) {
        const there = haystack.subarray(at, at + needle.bytes.length);
        if (there.equals(needle.bytes)) found.push(`${needle.name} at ${at}`);
      }
    }
    return found;
  }

  #add(needle: Needle): void {
    const head = needle.bytes.readUInt32LE();
    this.#filter[slotOf(head)] = 1;
    const others = this.#needles.get(head);
    if (others === undefined) this.#needles.set(head, [needle]);
    else others.push(needle);
  }
}

function slotOf(head: number): number {
  return Math.imul(head, 0x9e3779b1) >>> (32 - FILTER_BITS);
}

export interface SealedKeypair {
  readonly pool: string;
  readonly state: string;
  readonly sealed: Uint8Array;
  /** Undefined when its secret was destroyed. */
  readonly keypair: Uint8Array | undefined;
}

/** Every address of the store in `directory`, unsealed; the store may be in use. */
export async function unsealStore(directory: string): Promise<SealedKeypair[]> {
  using db = new DatabaseSync(join(directory, 'store.db'), { readOnly: true });
  const key = await loadSealingKey(`file:${join(directory, 'sealing.key')}`);
  assert.ok(key);
  db.exec('BEGIN');
  const { binding } = db.prepare('SELECT binding FROM meta').get()!;
  const unsealer = new Unsealer(storeIdOf(directory), String(binding), key);
  const rows = db.prepare(
    `SELECT name, keys, state, key_hash, addresses.sealed, ${DATA_KEY} AS data_key FROM addresses
      JOIN pools ON pools.id = addresses.pool_id
      JOIN segments ON segments.pool_id = addresses.pool_id AND seq BETWEEN first AND last
      ORDER BY addresses.id`,
  );
  const found = rows.all();
  const keys = await unsealer.unseal(
    found.map((row) => ({
      dataKey: row.data_key as Uint8Array,
      sealed: row.sealed as Uint8Array,
      place: {
        pool: String(row.name),
        keyType: row.keys as KeyType,
        keyHash: row.key_hash as Uint8Array,
      },
    })),
  );
  return found.map((row, index) => {
    const pool = String(row.name);
    const sealed = row.sealed as Uint8Array;
    const opened = keys[index];
    const isDestroyed = sealed.subarray(PUBLIC_KEY_BYTES).every((byte) => byte === 0);
    assert.equal(opened === undefined, isDestroyed, 'what is not destroyed can be read');
    return { pool, state: String(row.state), sealed, keypair: opened?.key };
  });
}

function storeIdOf(directory: string): string {
  using db = new DatabaseSync(join(directory, 'store.db'), { readOnly: true });
  return String(db.prepare('SELECT store_id FROM meta').get()!.store_id);
}

/** The files under a directory with what is in them; each must be its user's alone. */
export function privateFiles(directory: string): Map<string, Buffer> {
  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
  assert.equal(mode(directory), '700', directory);
  const files = new Map<string, Buffer>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    assert.equal(mode(path), entry.isDirectory() ? '700' : '600', path);
    if (entry.isFile()) files.set(path, readFileSync(path));
  }
  return files;
}
