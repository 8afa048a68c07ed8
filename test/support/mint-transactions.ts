/** Transactions of a launch, as @solana/kit builds them in each version, for the real runtime. */
import {
  type Address,
  appendTransactionMessageInstructions,
  compileTransaction,
  createNoopSigner,
  createTransactionMessage,
  type Instruction,
  lamports,
  setTransactionMessageConfig,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
  type Transaction,
} from '@solana/kit';
import { getCreateAccountInstruction } from '@solana-program/system';
import {
  getInitializeMint2Instruction,
  getMintSize,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';
import { FailedTransactionMetadata, LiteSVM } from 'litesvm';
import { addressOf } from '../../src/keypair/address.ts';
import { keypairOf, SEED_BYTES, signWithSeed } from '../../src/keypair/keypair.ts';

export const VERSIONS = ['legacy', 0, 1] as const;
export type Version = (typeof VERSIONS)[number];

export interface Party {
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly address: Address;
}

export function party(seed: Uint8Array): Party {
  const publicKey = keypairOf(seed).subarray(SEED_BYTES);
  return { seed, publicKey, address: addressOf(publicKey) as string as Address };
}

/** A cluster with the programs that each has, and accounts with 10 SOL. */
export function clusterWith(...rich: readonly { readonly address: Address }[]): LiteSVM {
  const svm = new LiteSVM();
  for (const { address } of rich) svm.airdrop(address, lamports(10_000_000_000n));
  return svm;
}

/** Unsigned. In version 1 the limits are set, without which it could do nothing. */
export function transactionOf(
  svm: LiteSVM,
  version: Version,
  payer: Address,
  instructions: readonly Instruction[],
): Transaction {
  // The types of kit are one for each version.
  const empty = createTransactionMessage({ version: version as 0 });
  const dated = setTransactionMessageLifetimeUsingBlockhash(
    { blockhash: svm.latestBlockhash(), lastValidBlockHeight: 1_000_000n },
    setTransactionMessageFeePayer(payer, empty),
  );
  const limits = { computeUnitLimit: 200_000, loadedAccountsDataSizeLimit: 1_000_000 };
  const limited =
    version === 1 ? (setTransactionMessageConfig(limits, dated as never) as typeof dated) : dated;
  return compileTransaction(appendTransactionMessageInstructions(instructions, limited));
}

/** Creates the account of a mint and initialises it; `payer` may mint. */
export function mintInstructions(
  payer: Address,
  mint: Address,
  programAddress = TOKEN_PROGRAM_ADDRESS,
): Instruction[] {
  const space = BigInt(getMintSize());
  return [
    getCreateAccountInstruction({
      payer: createNoopSigner(payer),
      newAccount: createNoopSigner(mint),
      lamports: 1_461_600n,
      space,
      programAddress,
    }),
    getInitializeMint2Instruction({ mint, decimals: 6, mintAuthority: payer }, { programAddress }),
  ];
}

/** With the signatures of these. */
export function signedBy(transaction: Transaction, ...parties: readonly Party[]): Transaction {
  const message = Uint8Array.from(transaction.messageBytes);
  const made = parties.map(({ address, seed }) => [address, signWithSeed(seed, message)]);
  return { ...transaction, signatures: { ...transaction.signatures, ...Object.fromEntries(made) } };
}

/** Why the runtime refused it; undefined if it was executed. */
export function failureOf(svm: LiteSVM, transaction: Transaction): string | undefined {
  const result = svm.sendTransaction(transaction as Parameters<LiteSVM['sendTransaction']>[0]);
  return result instanceof FailedTransactionMetadata ? result.toString() : undefined;
}
