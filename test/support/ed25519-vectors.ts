/**
 * Published vectors of Ed25519, from test/vectors/ed25519.json: those of RFC 8032, section 7.1, and
 * of Project Wycheproof. Seeds, public keys, and signatures of which some are to be refused.
 */
import { readFileSync } from 'node:fs';

export interface KeyVector {
  /** 32 bytes each, hexadecimal, as are messages and signatures. */
  readonly seed: string;
  readonly publicKey: string;
  readonly signatures: readonly SignatureVector[];
}

export interface SignatureVector {
  /** As Wycheproof numbers it. */
  readonly id?: number;
  readonly message: string;
  readonly signature: string;
  readonly isValid: boolean;
}

interface Source {
  readonly source: string;
  readonly keys: readonly KeyVector[];
}

const file = new URL('../vectors/ed25519.json', import.meta.url);

export const ED25519_VECTORS: Readonly<Record<'rfc8032' | 'wycheproof', Source>> = JSON.parse(
  readFileSync(file, 'utf8'),
);

export const ED25519_KEYS: readonly KeyVector[] = Object.values(ED25519_VECTORS).flatMap(
  ({ keys }) => keys,
);
