/**
 * A `Signer` of Umi (`@metaplex-foundation/umi`) 1.x. Nothing of that package is loaded; its types are written
 * down by their structure, and test/unit/solana-signer-types.ts compares them with the package.
 */
import { VanitypoolError } from '../error.ts';
import { assertRequired, type SolanaSigner } from './signer.ts';

/** What is used of a `Transaction`, of any version. */
export interface UmiTransaction {
  readonly message: {
    readonly header: { readonly numRequiredSignatures: number };
    readonly accounts: readonly string[];
  };
  readonly serializedMessage: Uint8Array;
  readonly signatures: readonly Uint8Array[];
}

export interface UmiSigner<K extends string> {
  readonly publicKey: K;
  /** Always throws MESSAGE_INVALID: only transactions are signed. */
  readonly signMessage: (message: Uint8Array) => Promise<Uint8Array>;
  /** A copy with the signature. SIGNER_NOT_REQUIRED, and the errors of the signer. */
  readonly signTransaction: <T extends UmiTransaction>(transaction: T) => Promise<T>;
  /** One after the other. */
  readonly signAllTransactions: <T extends UmiTransaction>(transactions: T[]) => Promise<T[]>;
}

/** `publicKey` is that of the signer: `publicKey(signer.address)` of Umi. KEY_INVALID for another one. */
export function createUmiSigner<K extends string>(
  signer: SolanaSigner,
  publicKey: K,
): UmiSigner<K> {
  const { address } = signer;
  if (publicKey !== String(address)) {
    throw new VanitypoolError('KEY_INVALID', `publicKey: allowed: that of ${address}`);
  }

  async function signTransaction<T extends UmiTransaction>(transaction: T): Promise<T> {
    const signers = signersOf(transaction);
    assertRequired(signers, address);
    const signature = await signer.sign(transaction.serializedMessage);
    const signatures = [...transaction.signatures];
    signatures[signers.indexOf(address)] = signature;
    return { ...transaction, signatures };
  }

  return Object.freeze({
    publicKey,
    signTransaction,
    async signMessage(): Promise<Uint8Array> {
      throw new VanitypoolError('MESSAGE_INVALID', 'only the messages of transactions are signed');
    },
    async signAllTransactions<T extends UmiTransaction>(transactions: T[]): Promise<T[]> {
      for (const transaction of transactions) assertRequired(signersOf(transaction), address);
      const signed: T[] = [];
      for (const transaction of transactions) signed.push(await signTransaction(transaction));
      return signed;
    },
  });
}

function signersOf({ message: { header, accounts } }: UmiTransaction): readonly string[] {
  return accounts.slice(0, header.numRequiredSignatures);
}
