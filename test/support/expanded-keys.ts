/** Expanded keys with what proves them: the seed that each was made of, by RFC 8032, section 5.1.5. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { fromBytes, L, toBytes } from './expanded-oracle.ts';

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

export interface SeededKey {
  readonly seed: Buffer;
  readonly privateKey: KeyObject;
  readonly publicKey: Buffer;
  /** 64 bytes, the seed and the public key. */
  readonly keypair: Buffer;
  /** 64 bytes, the scalar modulo L and the nonce prefix: its signatures are those of the seed. */
  readonly expandedKey: Buffer;
}

export function seededKey(seed: Buffer = randomBytes(32)): SeededKey {
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  const publicKey = Buffer.from(x!, 'base64url');
  const digest = createHash('sha512').update(seed).digest();
  const clamped = (BigInt.asUintN(254, fromBytes(digest.subarray(0, 32))) & ~7n) | (1n << 254n);
  const expandedKey = Buffer.concat([toBytes(clamped % L), digest.subarray(32)]);
  return {
    seed,
    privateKey,
    publicKey,
    keypair: Buffer.concat([seed, publicKey]),
    expandedKey,
  };
}
