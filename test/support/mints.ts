/** Transactions that create a mint of SPL Token, written with the libraries that people write them with. */
import {
  appendTransactionMessageInstructions,
  type Blockhash,
  createTransactionMessage,
  lamports,
  partiallySignTransactionMessageWithSigners,
  pipe,
  setTransactionMessageConfig,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  type TransactionSigner,
} from '@solana/kit';
import {
  PublicKey,
  SystemProgram,
  Transaction,
  TransactionInstruction,
  TransactionMessage,
  VersionedTransaction,
} from '@solana/web3.js';
import { getCreateAccountInstruction } from '@solana-program/system';
import {
  getInitializeMint2Instruction,
  getMintSize,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';

/** More than a mint has to have. */
const LAMPORTS = 2_000_000n;
const DECIMALS = 6;
const SPACE = getMintSize();
const INITIALIZE_MINT_2 = 20;
/** Those that a transaction of version 1 does not get by itself. */
const LIMITS = { computeUnitLimit: 200_000, loadedAccountsDataSizeLimit: 1_000_000 };

export const KIT_VERSIONS = ['legacy', 0, 1] as const;
export const WEB3_VERSIONS = ['legacy', 0] as const;

/** Signed by both as kit does it: it calls each signer once. */
export async function kitMint(
  version: (typeof KIT_VERSIONS)[number],
  payer: TransactionSigner,
  mint: TransactionSigner,
  blockhash: string,
) {
  const instructions = [
    getCreateAccountInstruction({
      payer,
      newAccount: mint,
      lamports: lamports(LAMPORTS),
      space: SPACE,
      programAddress: TOKEN_PROGRAM_ADDRESS,
    }),
    getInitializeMint2Instruction({
      mint: mint.address,
      decimals: DECIMALS,
      mintAuthority: payer.address,
    }),
  ];
  const lifetime = { blockhash: blockhash as Blockhash, lastValidBlockHeight: 1000n };
  if (version === 1) {
    const message = pipe(
      createTransactionMessage({ version }),
      (draft) => setTransactionMessageConfig(LIMITS, draft),
      (draft) => setTransactionMessageFeePayerSigner(payer, draft),
      (draft) => setTransactionMessageLifetimeUsingBlockhash(lifetime, draft),
      (draft) => appendTransactionMessageInstructions(instructions, draft),
    );
    return partiallySignTransactionMessageWithSigners(message);
  }
  const message = pipe(
    createTransactionMessage({ version }),
    (draft) => setTransactionMessageFeePayerSigner(payer, draft),
    (draft) => setTransactionMessageLifetimeUsingBlockhash(lifetime, draft),
    (draft) => appendTransactionMessageInstructions(instructions, draft),
  );
  return partiallySignTransactionMessageWithSigners(message);
}

/** Not signed yet. */
export function web3Mint(
  version: (typeof WEB3_VERSIONS)[number],
  payer: PublicKey,
  mint: PublicKey,
  blockhash: string,
): Transaction | VersionedTransaction {
  const programId = new PublicKey(TOKEN_PROGRAM_ADDRESS);
  const create = SystemProgram.createAccount({
    fromPubkey: payer,
    newAccountPubkey: mint,
    lamports: Number(LAMPORTS),
    space: SPACE,
    programId,
  });
  const initialize = new TransactionInstruction({
    programId,
    keys: [{ pubkey: mint, isSigner: false, isWritable: true }],
    data: Buffer.concat([
      Uint8Array.of(INITIALIZE_MINT_2, DECIMALS),
      payer.toBytes(),
      Uint8Array.of(0),
    ]),
  });
  if (version === 'legacy') {
    const lifetime = { feePayer: payer, blockhash, lastValidBlockHeight: 1000 };
    return new Transaction(lifetime).add(create, initialize);
  }
  const draft = new TransactionMessage({
    payerKey: payer,
    recentBlockhash: blockhash,
    instructions: [create, initialize],
  });
  return new VersionedTransaction(draft.compileToV0Message());
}
