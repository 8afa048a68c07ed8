/** Transactions that create a mint of SPL Token, as @solana/web3.js builds them. */
import {
  PublicKey,
  SystemProgram,
  Transaction,
  TransactionInstruction,
  TransactionMessage,
  VersionedTransaction,
} from '@solana/web3.js';
import { getMintSize, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';

/** More than a mint has to have. */
const LAMPORTS = 2_000_000;
const DECIMALS = 6;
const SPACE = getMintSize();
const INITIALIZE_MINT_2 = 20;

export const WEB3_VERSIONS = ['legacy', 0] as const;

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
    lamports: LAMPORTS,
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
