/**
 * A launch: shows some addresses that end in our mark, takes the one that is chosen, and creates it
 * as a token mint on Solana. The secret of the mint never leaves the vanitypool server, which signs.
 * examples/README.md says how to run it.
 */
import { readFileSync } from 'node:fs';
import {
  address,
  appendTransactionMessageInstructions,
  assertIsFullySignedTransaction,
  createKeyPairSignerFromBytes,
  createNoopSigner,
  createSolanaRpc,
  createTransactionMessage,
  getBase58Encoder,
  getBase64EncodedWireTransaction,
  partiallySignTransactionMessageWithSigners,
  pipe,
  type SignatureBytes,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
} from '@solana/kit';
import { getCreateAccountInstruction } from '@solana-program/system';
import {
  getInitializeMint2Instruction,
  getMintSize,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';
import { VanitypoolClient } from 'vanitypool/client';

const {
  VANITYPOOL_URL = 'http://127.0.0.1:5057',
  VANITYPOOL_TOKEN,
  VANITYPOOL_POOL = 'mints',
  SOLANA_RPC = 'http://127.0.0.1:8899',
  PAYER = 'payer.json',
} = process.env;
const SHOWN = 3;
const DECIMALS = 6;

const vanitypool = new VanitypoolClient({ url: VANITYPOOL_URL, token: VANITYPOOL_TOKEN });
const solana = createSolanaRpc(SOLANA_RPC);
const payer = await createKeyPairSignerFromBytes(
  Uint8Array.from(JSON.parse(readFileSync(PAYER, 'utf8')) as number[]),
);

// 1. Hold a few addresses. Nobody else gets them for ten minutes, and nobody has their secrets.
const held = await Promise.all(
  Array.from({ length: SHOWN }, () => vanitypool.reserve(VANITYPOOL_POOL, { ttlSeconds: 600 })),
);
for (const one of held) console.log(`held      ${one.address} until ${one.expiresAt}`);

// 2. Somebody chooses one. Here it is the first in the alphabet.
const [chosen, ...others] = held.toSorted((a, b) => (a.address < b.address ? -1 : 1));
console.log(`chosen    ${chosen!.address}`);

// 3. Take it. From here on it is ours for ever, whether the launch succeeds or not.
const { address: taken } = await vanitypool.dispenseReservation(chosen!.id);
console.log(`dispensed ${taken}`);

// 4. Write the transaction that makes it a mint: whoever pays for it may mint.
const mint = address(taken);
const space = BigInt(getMintSize());
const [lamports, { value: blockhash }] = await Promise.all([
  solana.getMinimumBalanceForRentExemption(space).send(),
  solana.getLatestBlockhash().send(),
]);
const message = pipe(
  createTransactionMessage({ version: 0 }),
  (draft) => setTransactionMessageFeePayerSigner(payer, draft),
  (draft) => setTransactionMessageLifetimeUsingBlockhash(blockhash, draft),
  (draft) =>
    appendTransactionMessageInstructions(
      [
        getCreateAccountInstruction({
          payer,
          newAccount: createNoopSigner(mint),
          lamports,
          space,
          programAddress: TOKEN_PROGRAM_ADDRESS,
        }),
        getInitializeMint2Instruction({
          mint,
          decimals: DECIMALS,
          mintAuthority: payer.address,
        }),
      ],
      draft,
    ),
);

// 5. The payer signs here, the mint where its secret is.
const signedByPayer = await partiallySignTransactionMessageWithSigners(message);
const { signature } = await vanitypool.sign(
  VANITYPOOL_POOL,
  mint,
  Uint8Array.from(signedByPayer.messageBytes),
);
const signatureBytes = getBase58Encoder().encode(signature) as SignatureBytes;
const transaction = {
  ...signedByPayer,
  signatures: { ...signedByPayer.signatures, [mint]: signatureBytes },
};
assertIsFullySignedTransaction(transaction);
console.log(`signed    ${signature}`);

// 6. Send it.
const wire = getBase64EncodedWireTransaction(transaction);
const sent = await solana.sendTransaction(wire, { encoding: 'base64' }).send();
console.log(`sent      ${sent}`);

// 7. What was not chosen goes back.
for (const { id, address: unused } of others) {
  await vanitypool.release(id);
  console.log(`released  ${unused}`);
}
