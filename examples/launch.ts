/**
 * A launch: shows some addresses that end in our mark, takes the one that is chosen, and creates it
 * as a token mint on Solana. It is written for the advised form of a pool, `handout = "sign-only"`
 * with `keys = "expanded"`: the secret of the mint never leaves the vanitypool server, which signs.
 * Nothing is taken before the network has answered, and whatever fails, what was held goes back.
 * examples/README.md says how to run it, and what other pools change: one line.
 */
import { readFileSync } from 'node:fs';
import {
  type Address,
  appendTransactionMessageInstructions,
  assertIsFullySignedTransaction,
  createKeyPairSignerFromBytes,
  createSolanaRpc,
  createTransactionMessage,
  getBase58Decoder,
  getBase64EncodedWireTransaction,
  type KeyPairSigner,
  type Lamports,
  partiallySignTransactionMessageWithSigners,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
} from '@solana/kit';
import { getCreateAccountInstruction } from '@solana-program/system';
import {
  getInitializeMint2Instruction,
  getMintSize,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';
import { type ReservationMade, VanitypoolClient } from 'vanitypool/client';
import { createRemoteSigner, type SolanaSigner } from 'vanitypool/client/solana';

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
const space = BigInt(getMintSize());

async function launch(): Promise<void> {
  // 1. Look first whether it can be paid for: nothing is taken yet.
  const payer = await readPayer();
  const lamports = await rentOf(payer.address);

  // 2. Hold a few addresses. Nobody else gets them for ten minutes, and nobody has their secrets.
  const held: ReservationMade[] = [];
  try {
    while (held.length < SHOWN) {
      held.push(await vanitypool.reserve(VANITYPOOL_POOL, { ttlSeconds: 600 }));
    }
    for (const one of held) console.log(`held      ${one.address} until ${one.expiresAt}`);

    // 3. Somebody chooses one. Here it is the first in the alphabet.
    const chosen = held.toSorted((a, b) => (a.address < b.address ? -1 : 1))[0]!;
    console.log(`chosen    ${chosen.address}`);

    // 4. Take it. From here on it is ours for ever, whether the launch succeeds or not.
    const taken = await vanitypool.dispenseReservation(chosen.id);
    held.splice(held.indexOf(chosen), 1);
    console.log(`dispensed ${taken.address}`);

    // 5. What signs for it is the server, whatever its key. Of a pool with handout = "secret" it would be
    // `await createKeypairSigner(taken)`, or `createExpandedSigner` with expanded keys: then the secret is here.
    const { address } = taken;
    const mint = createRemoteSigner({ client: vanitypool, pool: VANITYPOOL_POOL, address });
    await createMint(mint, payer, lamports);
  } finally {
    // 8. What was not chosen goes back.
    for (const one of held) await giveBack(one);
  }
}

async function createMint(mint: SolanaSigner, payer: KeyPairSigner, lamports: Lamports) {
  // 6. Write the transaction that makes it a mint: the one who pays for it may mint. The payer signs
  // here, the mint in the server, where its secret is; what comes back is verified here.
  const { value: blockhash } = await solana.getLatestBlockhash().send();
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (draft) => setTransactionMessageFeePayerSigner(payer, draft),
    (draft) => setTransactionMessageLifetimeUsingBlockhash(blockhash, draft),
    (draft) =>
      appendTransactionMessageInstructions(
        [
          getCreateAccountInstruction({
            payer,
            newAccount: mint,
            lamports,
            space,
            programAddress: TOKEN_PROGRAM_ADDRESS,
          }),
          getInitializeMint2Instruction({
            mint: mint.address,
            decimals: DECIMALS,
            mintAuthority: payer.address,
          }),
        ],
        draft,
      ),
  );
  const transaction = await partiallySignTransactionMessageWithSigners(message);
  assertIsFullySignedTransaction(transaction);
  console.log(`signed    ${getBase58Decoder().decode(transaction.signatures[mint.address]!)}`);

  // 7. Send it.
  const wire = getBase64EncodedWireTransaction(transaction);
  const sent = await solana.sendTransaction(wire, { encoding: 'base64' }).send();
  console.log(`sent      ${sent}`);
}

async function giveBack({ id, address: unused, expiresAt }: ReservationMade): Promise<void> {
  try {
    await vanitypool.release(id);
    console.log(`released  ${unused}`);
  } catch (error) {
    console.error(`launch: ${unused} is held until ${expiresAt}: ${reasonOf(error)}`);
  }
}

async function readPayer(): Promise<KeyPairSigner> {
  try {
    const bytes = JSON.parse(readFileSync(PAYER, 'utf8')) as number[];
    return await createKeyPairSignerFromBytes(Uint8Array.from(bytes));
  } catch (error) {
    throw new Error(`${PAYER} is not the keypair file of a payer: ${reasonOf(error)}`);
  }
}

/** What the mint costs, if the network answers and the payer has that much. */
async function rentOf(payer: Address): Promise<Lamports> {
  const [lamports, { value: balance }] = await Promise.all([
    solana.getMinimumBalanceForRentExemption(space).send(),
    solana.getBalance(payer).send(),
  ]).catch((error) => {
    throw new Error(`${SOLANA_RPC} does not answer as a node of Solana: ${reasonOf(error)}`);
  });
  if (balance > lamports) return lamports;
  throw new Error(`${payer} has ${balance} lamports; a mint costs ${lamports} and fees`);
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message} (${cause.message})` : message;
}

try {
  await launch();
} catch (error) {
  console.error(`launch: ${reasonOf(error)}`);
  process.exitCode = 1;
}
