/**
 * Signatures for clients that never get the key: the one way by which a key of a sign-only pool is
 * used. Runs in the store thread, where such keys are unsealed. It promises that nothing is signed
 * but a message of a transaction that asks for it and that the policy of the pool allows; how often, and
 * for whom, is the caller's affair.
 *
 * A seed takes 0.25 ms, an expanded key 0.3 ms.
 */
import { VanityError } from '../errors.ts';
import type { ExpandedSigner } from './expanded-signer.ts';
import { isSignature, SEED_BYTES, signWithSeed } from './keypair.ts';
import { assertRequiredSigner, parseMessage } from './message.ts';
import { assertAllowed, type SignPolicy } from './sign-policy.ts';
import type { SigningKey } from './signing-key.ts';

/**
 * The signature, 64 bytes, of a message on the wire. `signer`: for expanded keys. MESSAGE_INVALID,
 * SIGNER_NOT_REQUIRED, MESSAGE_REFUSED; INTERNAL if the key is not that of its public key.
 */
export function signMessage(
  signingKey: SigningKey,
  message: Uint8Array,
  policy: SignPolicy,
  signer?: ExpandedSigner,
): Uint8Array {
  const { keyType, key, publicKey } = signingKey;
  const parsed = parseMessage(message);
  assertRequiredSigner(parsed, publicKey);
  assertAllowed(policy, parsed, publicKey);
  const signature =
    keyType === 'expanded'
      ? signer?.sign(signingKey, message)
      : signWithSeed(key.subarray(0, SEED_BYTES), message);
  // Two signatures with one nonce reveal the key, so a wrongly computed one must not leave.
  if (signature === undefined || !isSignature(publicKey, message, signature)) {
    throw new VanityError('INTERNAL', 'the key of the address made no signature of it');
  }
  return signature;
}
