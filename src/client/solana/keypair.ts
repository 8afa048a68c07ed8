/** A signer from a keypair, as a pool with `handout = "secret"` gives it. The seed stays in this process. */
import { VanitypoolError } from '../error.ts';
import { encodeBase58 } from './base58.ts';
import { SEED_BYTES, seedSigner, verifierOf } from './ed25519.ts';
import { keyBytes, publicKeyOf, type SolanaSigner, signerOf } from './signer.ts';

/** A dispensed address is one. */
export interface KeypairSource {
  /** 64 bytes, the seed and then the public key: base58, or the numbers of a file of `solana-keygen`. */
  readonly secretKey?: string | ArrayLike<number> | undefined;
  /** If given, it has to be that of the keypair. */
  readonly address?: string | undefined;
}

/** KEY_INVALID unless both halves and the address belong together. */
export async function createKeypairSigner({
  secretKey,
  address,
}: KeypairSource): Promise<SolanaSigner> {
  if (address !== undefined) publicKeyOf(address);
  const keypair = keyBytes('secretKey', secretKey);
  try {
    const sign = await seedSigner(keypair.subarray(0, SEED_BYTES));
    const publicKey = keypair.slice(SEED_BYTES);
    const isSignature = await verifierOf(publicKey);
    if (!(await isSignature(await sign(publicKey), publicKey))) {
      const detail =
        'secretKey: its second half is not the public key of its first; an expanded key goes';
      throw new VanitypoolError('KEY_INVALID', `${detail} to createExpandedSigner`);
    }
    const own = encodeBase58(publicKey);
    if (address === undefined || address === own) return signerOf(own, sign);
    throw new VanitypoolError('KEY_INVALID', `secretKey: it is not that of ${address}`);
  } finally {
    keypair.fill(0);
  }
}
