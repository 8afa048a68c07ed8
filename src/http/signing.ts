/**
 * What the routes that sign have in common. Runs in the HTTP threads, which refuse what is no message, or
 * asks for no signature of the address, before the store thread is asked; that reads it once more, and
 * counts and signs.
 */
import { type ErrorCode, VanityError } from '../errors.ts';
import { decodeBase58, isAddress } from '../keypair/address.ts';
import { assertRequiredSigner, type Message } from '../keypair/message.ts';
import type { Pool } from '../pool/pool.ts';
import type { Token } from '../token.ts';
import type { AppDeps } from './app-deps.ts';

export interface ToSign {
  /** Names of those whose addresses may sign it. */
  readonly pools: readonly string[];
  readonly token: Token | undefined;
  readonly publicKey: Uint8Array;
  readonly message: Message;
  readonly messageBytes: Uint8Array;
}

/** The signature, 64 bytes. Errors: SIGNER_NOT_REQUIRED, and those of the call `sign`. */
export function signatureBy(
  { store }: Pick<AppDeps, 'store'>,
  { pools, token, publicKey, message, messageBytes }: ToSign,
): Promise<Uint8Array> {
  assertRequiredSigner(message, publicKey);
  // Its own memory: what is posted to another thread takes the whole buffer along.
  const order = { pools, publicKey, token: token?.id ?? 0, message: Uint8Array.from(messageBytes) };
  return store().call('sign', order);
}

/** Error: HANDOUT_MISMATCH. */
export function assertSigns({ shared: { name, handout } }: Pool): void {
  if (handout === 'sign-only') return;
  const detail = `pool ${name}: hands its secrets out; only a sign-only pool signs`;
  throw new VanityError('HANDOUT_MISMATCH', detail);
}

/** 32 bytes. Error: ADDRESS_NOT_FOUND. */
export function publicKeyIn(address: string): Uint8Array {
  if (isAddress(address)) return decodeBase58(address);
  throw new VanityError('ADDRESS_NOT_FOUND', `${address}: not an address`);
}

/** Base64 in its one form: with padding, without anything else. */
export function decodeBase64(
  text: string,
  { field, bytesMax, code }: { field: string; bytesMax: number; code: ErrorCode },
): Uint8Array {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') === text && bytes.length <= bytesMax) return bytes;
  const detail = `body/${field}: allowed: base64, with padding, of at most ${bytesMax} bytes`;
  throw new VanityError(code, detail);
}
