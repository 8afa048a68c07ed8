/** Transactions of a launch, as @solana/kit builds them in each form, for the real runtime. */
import {
  type Address,
  appendTransactionMessageInstructions,
  type Blockhash,
  compileTransaction,
  compressTransactionMessageUsingAddressLookupTables,
  createNoopSigner,
  createTransactionMessage,
  type EncodedAccount,
  type Instruction,
  lamports,
  partiallySignTransactionMessageWithSigners,
  setTransactionMessageConfig,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  type Transaction,
  type TransactionSigner,
} from '@solana/kit';
import { getCreateAccountInstruction } from '@solana-program/system';
import {
  getInitializeMint2Instruction,
  getInitializeMintInstruction,
  getMintSize,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';
import { FailedTransactionMetadata, LiteSVM } from 'litesvm';
import { addressOf, decodeBase58 } from '../../src/keypair/address.ts';
import { keypairOf, SEED_BYTES, signWithSeed } from '../../src/keypair/keypair.ts';

export const VERSIONS = ['legacy', 0, 1] as const;
export type Version = (typeof VERSIONS)[number];
/** `table`: version 0 with a look-up table. */
export const FORMS = ['legacy', 0, 'table', 1] as const;
export type Form = (typeof FORMS)[number];

export const TOKEN_2022 = 'TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb' as Address;
const RENT = 'SysvarRent111111111111111111111111111111111' as Address;
const TABLE = 'Tab1e11111111111111111111111111111111111111' as Address;
const TABLES_PROGRAM = 'AddressLookupTab1e1111111111111111111111111' as Address;

export interface Party {
  readonly seed: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly address: Address;
}

export function party(seed: Uint8Array): Party {
  const publicKey = keypairOf(seed).subarray(SEED_BYTES);
  return { seed, publicKey, address: addressOf(publicKey) as string as Address };
}

/** A cluster with the programs that each has, a look-up table, and accounts with 10 SOL. */
export function clusterWith(...rich: readonly { readonly address: Address }[]): LiteSVM {
  const svm = new LiteSVM();
  svm.setAccount(tableOf(RENT));
  for (const { address } of rich) svm.airdrop(address, lamports(10_000_000_000n));
  return svm;
}

/** As the program of look-up tables stores one that nobody can change, with a single address. */
function tableOf(address: Address): EncodedAccount {
  const data = Buffer.alloc(56 + 32);
  data.writeUInt32LE(1); // a table
  data.writeBigUInt64LE(2n ** 64n - 1n, 4); // active
  data.set(decodeBase58(address), 56);
  return {
    address: TABLE,
    data: Uint8Array.from(data),
    executable: false,
    lamports: lamports(10_000_000n),
    programAddress: TABLES_PROGRAM,
    space: BigInt(data.length),
  };
}

/** In version 1 the limits are set, without which it could do nothing. */
function messageOf(
  form: Form,
  payer: TransactionSigner,
  instructions: readonly Instruction[],
  blockhash: string,
) {
  // The types of kit are one for each version.
  const empty = createTransactionMessage({ version: (form === 'table' ? 0 : form) as 0 });
  const dated = setTransactionMessageLifetimeUsingBlockhash(
    { blockhash: blockhash as Blockhash, lastValidBlockHeight: 1_000_000n },
    setTransactionMessageFeePayerSigner(payer, empty),
  );
  const limits = { computeUnitLimit: 200_000, loadedAccountsDataSizeLimit: 1_000_000 };
  const limited =
    form === 1 ? (setTransactionMessageConfig(limits, dated as never) as typeof dated) : dated;
  const whole = appendTransactionMessageInstructions(instructions, limited);
  if (form !== 'table') return whole;
  const tables = { [TABLE]: [RENT] };
  return compressTransactionMessageUsingAddressLookupTables(whole, tables) as typeof whole;
}

/** Unsigned. */
export function transactionOf(
  svm: LiteSVM,
  form: Form,
  payer: Address,
  instructions: readonly Instruction[],
): Transaction {
  const signer = createNoopSigner(payer);
  return compileTransaction(messageOf(form, signer, instructions, svm.latestBlockhash()));
}

/** Creates the account of a mint and initialises it; `payer` may mint. */
export function mintInstructions(
  payer: Address,
  mint: Address,
  program?: Address,
): readonly Instruction[] {
  return instructionsOf(createNoopSigner(payer), createNoopSigner(mint), program);
}

/** The same, signed by both as kit does it: it calls each signer once. */
export function kitMint(
  form: Form,
  payer: TransactionSigner,
  mint: TransactionSigner,
  blockhash: string,
  program?: Address,
) {
  // The older instruction reads an account that a table can have: it is no signer.
  const instructions = instructionsOf(payer, mint, program, form === 'table');
  return partiallySignTransactionMessageWithSigners(
    messageOf(form, payer, instructions, blockhash),
  );
}

function instructionsOf(
  payer: TransactionSigner,
  mint: TransactionSigner,
  programAddress: Address = TOKEN_PROGRAM_ADDRESS,
  isOlder = false,
): readonly Instruction[] {
  const input = { mint: mint.address, decimals: 6, mintAuthority: payer.address };
  return [
    getCreateAccountInstruction({
      payer,
      newAccount: mint,
      lamports: 1_461_600n,
      space: BigInt(getMintSize()),
      programAddress,
    }),
    isOlder
      ? getInitializeMintInstruction(input, { programAddress })
      : getInitializeMint2Instruction(input, { programAddress }),
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
