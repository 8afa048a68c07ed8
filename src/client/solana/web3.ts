/**
 * A signer for `@solana/web3.js` 1.x, which has none that signs with a key elsewhere: this one has the calls
 * of a wallet, `signTransaction` and `signAllTransactions`. Nothing of that package is loaded; its types are
 * written down by their structure, and test/unit/solana-signer-types.ts compares them with the package.
 */
import { VanitypoolError } from '../error.ts';
import { assertRequired, type SolanaSigner } from './signer.ts';

/** What is used of a `PublicKey`. */
export interface Web3PublicKey {
  toBase58(): string;
}

/** What is used of a `Message` or a `MessageV0`. */
export interface Web3Message {
  readonly version: 'legacy' | number;
  readonly header: { readonly numRequiredSignatures: number };
  readonly staticAccountKeys: readonly Web3PublicKey[];
  serialize(): Uint8Array;
}

/** What is used of a `Transaction` or a `VersionedTransaction`. */
export type Web3Transaction<K extends Web3PublicKey> = (
  | { readonly message: Web3Message }
  | { compileMessage(): Web3Message }
) & { addSignature(publicKey: K, signature: Uint8Array): void };

export interface Web3Signer<K extends Web3PublicKey> {
  readonly publicKey: K;
  /**
   * Adds the signature to the transaction, and gives it back. VERSION_UNSUPPORTED for version 1,
   * SIGNER_NOT_REQUIRED, and the errors of the signer; then nothing was added.
   */
  signTransaction<T extends Web3Transaction<K>>(transaction: T): Promise<T>;
  /** One after the other. */
  signAllTransactions<T extends Web3Transaction<K>>(transactions: T[]): Promise<T[]>;
}

/** `publicKey` is that of the signer: `new PublicKey(signer.address)`. KEY_INVALID for another one. */
export function createWeb3Signer<K extends Web3PublicKey>(
  signer: SolanaSigner,
  publicKey: K,
): Web3Signer<K> {
  if (publicKey.toBase58() !== signer.address) {
    throw new VanitypoolError('KEY_INVALID', `publicKey: allowed: that of ${signer.address}`);
  }

  async function signTransaction<T extends Web3Transaction<K>>(transaction: T): Promise<T> {
    const message = bytesToSign(transaction, signer.address);
    const signature = await signer.sign(message);
    const now = bytesToSign(transaction, signer.address);
    if (now.length !== message.length || now.some((byte, at) => byte !== message[at])) {
      const detail = 'the transaction was changed while it was signed, and got no signature';
      throw new VanitypoolError('MESSAGE_INVALID', detail);
    }
    transaction.addSignature(publicKey, signature);
    return transaction;
  }

  return Object.freeze({
    publicKey,
    signTransaction,
    async signAllTransactions<T extends Web3Transaction<K>>(transactions: T[]): Promise<T[]> {
      for (const transaction of transactions) bytesToSign(transaction, signer.address);
      for (const transaction of transactions) await signTransaction(transaction);
      return transactions;
    },
  });
}

/** The message, legacy or version 0, of a transaction that needs the signature of the address. */
function bytesToSign(transaction: Web3Transaction<Web3PublicKey>, address: string): Uint8Array {
  const message = messageOf(transaction);
  const { version, header, staticAccountKeys } = message;
  if (version !== 'legacy' && version !== 0) {
    const detail =
      `transaction version ${version} is not signed for @solana/web3.js 1.x; allowed: legacy and ` +
      'version 0. For version 1 use @solana/kit';
    throw new VanitypoolError('VERSION_UNSUPPORTED', detail);
  }
  const signers = staticAccountKeys.slice(0, header.numRequiredSignatures);
  assertRequired(
    signers.map((key) => key.toBase58()),
    address,
  );
  return message.serialize();
}

function messageOf(transaction: Web3Transaction<Web3PublicKey>): Web3Message {
  if ('message' in transaction) return transaction.message;
  if ('compileMessage' in transaction) return transaction.compileMessage();
  const detail = 'allowed: a Transaction or VersionedTransaction of @solana/web3.js';
  throw new VanitypoolError('MESSAGE_INVALID', `transaction: ${detail}`);
}
