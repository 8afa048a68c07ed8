/**
 * A Solana transaction as it travels: the message, and a place for each required signature. Pure; any
 * thread may use it. 64 zero bytes in a place mean that the signature is absent.
 *
 *   legacy, 0   number of signatures: one byte; signatures; message
 *   1           message; signatures, which nothing counts
 */
import { VanityError } from '../errors.ts';
import { encodeBase58 } from './address.ts';
import { isSignature } from './keypair.ts';
import { type Message, parseMessage, VERSION_1 } from './message.ts';
import { SIGNATURE_BYTES, TRANSACTION_BYTES_MAX } from './transaction-sizes.ts';

export interface Transaction {
  readonly message: Message;
  /** What is signed, a view. */
  readonly messageBytes: Uint8Array;
  /** Where the first signature begins; the others follow, in the order of the required signers. */
  readonly signaturesAt: number;
}

/** A count of more signatures than fit has two bytes. */
const COUNT_MAX = 0x7f;

/** Errors: TRANSACTION_INVALID for all but one whole transaction, MESSAGE_INVALID for its message. */
export function parseTransaction(bytes: Uint8Array): Transaction {
  if (bytes.length > TRANSACTION_BYTES_MAX) {
    throw invalid(`${bytes.length} bytes; at most ${TRANSACTION_BYTES_MAX}`);
  }
  const [first, second = 0] = bytes;
  if (first === undefined) throw invalid('no bytes');
  if (first === VERSION_1) {
    // The second byte is the number of required signers.
    const signaturesAt = bytes.length - second * SIGNATURE_BYTES;
    if (signaturesAt < 0)
      throw invalid(`${bytes.length} bytes are too few for ${second} signatures`);
    return transactionOf(bytes.subarray(0, signaturesAt), signaturesAt);
  }
  if (first > COUNT_MAX) {
    const allowed = 'allowed: a number of signatures, or 0x81 for version 1';
    throw invalid(`first byte 0x${first.toString(16)}; ${allowed}`);
  }
  const messageAt = 1 + first * SIGNATURE_BYTES;
  if (messageAt >= bytes.length) throw invalid(`no message behind ${first} signatures`);
  const transaction = transactionOf(bytes.subarray(messageAt), 1);
  const { version, requiredSigners } = transaction.message;
  if (version === 1) throw invalid('version 1 has its signatures behind its message');
  if (requiredSigners.length !== first) {
    throw invalid(`${first} signatures for ${requiredSigners.length} required signers`);
  }
  return transaction;
}

/** Error: SIGNATURE_INVALID, which names whose of those that are there is wrong. */
export function assertSignatures(bytes: Uint8Array, transaction: Transaction): void {
  const { message, messageBytes, signaturesAt } = transaction;
  for (const [index, signer] of message.requiredSigners.entries()) {
    const signature = signatureAt(bytes, signaturesAt, index);
    const isAbsent = signature.every((byte) => byte === 0);
    if (isAbsent || isSignature(signer, messageBytes, signature)) continue;
    const detail = `transaction: the signature of ${encodeBase58(signer)} is wrong`;
    throw new VanityError('SIGNATURE_INVALID', `${detail}; allowed: a right one, or 64 zero bytes`);
  }
}

/** A copy with the signature of a required signer in its place. */
export function withSignature(
  bytes: Uint8Array,
  { message, signaturesAt }: Transaction,
  publicKey: Uint8Array,
  signature: Uint8Array,
): Uint8Array {
  const index = message.requiredSigners.findIndex((key) => Buffer.compare(key, publicKey) === 0);
  const signed = bytes.slice();
  signatureAt(signed, signaturesAt, index).set(signature);
  return signed;
}

function transactionOf(messageBytes: Uint8Array, signaturesAt: number): Transaction {
  return { message: parseMessage(messageBytes), messageBytes, signaturesAt };
}

/** A view. */
function signatureAt(bytes: Uint8Array, signaturesAt: number, index: number): Uint8Array {
  const at = signaturesAt + index * SIGNATURE_BYTES;
  return bytes.subarray(at, at + SIGNATURE_BYTES);
}

function invalid(what: string): VanityError {
  return new VanityError('TRANSACTION_INVALID', `transaction: ${what}`);
}
