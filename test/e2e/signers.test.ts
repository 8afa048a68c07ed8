/**
 * Mints of SPL Token, created on a real Solana runtime at vanity addresses by each signer of the client: from
 * a keypair that the server dispensed, from an expanded key, and remote, where the server signs. Written with
 * @solana/kit and @solana/web3.js.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type Address,
  assertAccountExists,
  createKeyPairSignerFromBytes,
  getBase58Decoder,
  getTransactionDecoder,
  type KeyPairSigner,
  type Transaction as KitTransaction,
  lamports,
} from '@solana/kit';
import { Keypair, PublicKey, Transaction } from '@solana/web3.js';
import { decodeMint, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';
import { FailedTransactionMetadata, LiteSVM } from 'litesvm';
import { type Fetch, VanitypoolClient, VanitypoolError } from '../../src/client/client.ts';
import {
  createExpandedSigner,
  createKeypairSigner,
  createRemoteSigner,
  createWeb3Signer,
  type SolanaSigner,
} from '../../src/client/solana/solana.ts';
import { seededKey } from '../support/expanded-keys.ts';
import { kitMint, WEB3_VERSIONS, web3Mint } from '../support/mints.ts';
import { DILIGENT, EASY_POOL, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 100_000 };
/** Those that this version of the runtime knows, and the server signs. */
const VERSIONS = ['legacy', 0, 1] as const;
const svm = new LiteSVM();
const PAYER = Keypair.generate();
const workspace = new Workspace();
let payer: KeyPairSigner;
let server: Server;
let client: VanitypoolClient;

before(async () => {
  const mints = { ...EASY_POOL, name: 'mints', handout: 'sign-only', target: 20 };
  workspace.configure([{ ...EASY_POOL, target: 20 }, mints], ...DILIGENT);
  server = await workspace.serve();
  for (const pool of ['pet', 'mints']) await server.until(({ ready }) => ready >= 10, pool);
  client = new VanitypoolClient({ url: server.url });
  payer = await createKeyPairSignerFromBytes(PAYER.secretKey);
  svm.airdrop(payer.address, lamports(10_000_000_000n));
}, LIMIT);

after(() => workspace[Symbol.asyncDispose]());

/** A signer for an address that nothing was created at. */
const SOURCES: Readonly<Record<string, () => Promise<SolanaSigner>>> = {
  async 'a keypair'() {
    const [mint] = await client.dispense('pet');
    return createKeypairSigner(mint!);
  },
  async 'an expanded key'() {
    const { expandedKey, publicKey } = seededKey();
    const address = getBase58Decoder().decode(publicKey);
    return createExpandedSigner({ expandedKey, address });
  },
  async 'the server'() {
    const [mint] = await client.dispense('mints');
    assert.equal(mint!.secretKey, undefined);
    return createRemoteSigner({ client, pool: 'mints', address: mint!.address });
  },
};

function send(transaction: Uint8Array | KitTransaction): void {
  const decoded =
    transaction instanceof Uint8Array ? getTransactionDecoder().decode(transaction) : transaction;
  const outcome = svm.sendTransaction(decoded);
  assert.ok(!(outcome instanceof FailedTransactionMetadata), String(outcome));
}

function assertMint(address: string): void {
  const account = svm.getAccount(address as Address);
  assertAccountExists(account);
  assert.equal(account.programAddress, TOKEN_PROGRAM_ADDRESS);
  const { data } = decodeMint(account);
  assert.deepEqual(data.mintAuthority, { __option: 'Some', value: payer.address });
  assert.deepEqual([data.isInitialized, data.decimals], [true, 6]);
}

for (const [source, make] of Object.entries(SOURCES)) {
  for (const version of VERSIONS) {
    test(`kit creates a mint, ${version}, with a signer from ${source}`, LIMIT, async () => {
      const mint = await make();
      send(await kitMint(version, payer, mint, svm.latestBlockhash()));
      assertMint(mint.address);
    });
  }

  for (const version of WEB3_VERSIONS) {
    test(`web3.js creates a mint, ${version}, with a signer from ${source}`, LIMIT, async () => {
      const inner = await make();
      const mint = createWeb3Signer(inner, new PublicKey(inner.address));
      const blockhash = svm.latestBlockhash();
      const transaction = web3Mint(version, PAYER.publicKey, mint.publicKey, blockhash);
      if (transaction instanceof Transaction) transaction.partialSign(PAYER);
      else transaction.sign([PAYER]);
      await mint.signTransaction(transaction);
      send(new Uint8Array(transaction.serialize()));
      assertMint(inner.address);
    });
  }
}

test('a signature that the server has wrong never gets into a transaction', LIMIT, async () => {
  const [{ address } = { address: '' }] = await client.dispense('mints');
  const foreign = getBase58Decoder().decode(new Uint8Array(64).fill(3));
  const lying: Fetch = async (url, request) => {
    const reply = await fetch(url, request);
    const body = JSON.stringify({
      ...(JSON.parse(await reply.text()) as object),
      signature: foreign,
    });
    return new Response(body, reply);
  };
  const liar = new VanitypoolClient({ url: server.url, fetch: lying });
  const mint = createRemoteSigner({ client: liar, pool: 'mints', address });
  const blockhash = svm.latestBlockhash();
  await assert.rejects(
    kitMint(0, payer, mint, blockhash),
    (error) => error instanceof VanitypoolError && error.code === 'SIGNATURE_MISMATCH',
  );
  // The same message again gets the same signature, so the address is not lost.
  const honest = createRemoteSigner({ client, pool: 'mints', address });
  send(await kitMint(0, payer, honest, blockhash));
  assertMint(address);
});

test(
  'what the server refuses is its own error, and the runtime refuses a wrong signature',
  LIMIT,
  async () => {
    const [mine, other] = await client.dispense('mints', { count: 2 });
    const stranger = createRemoteSigner({ client, pool: 'pet', address: mine!.address });
    const blockhash = svm.latestBlockhash();
    await assert.rejects(
      kitMint(0, payer, stranger, blockhash),
      (error) => error instanceof VanitypoolError && error.code === 'HANDOUT_MISMATCH',
    );
    const mint = createRemoteSigner({ client, pool: 'mints', address: other!.address });
    const signed = await kitMint(0, payer, mint, blockhash);
    const signature = Uint8Array.from(signed.signatures[mint.address]!);
    signature[0]! ^= 1;
    const signatures = { ...signed.signatures, [mint.address]: signature };
    const outcome = svm.sendTransaction({ ...signed, signatures } as KitTransaction);
    assert.ok(outcome instanceof FailedTransactionMetadata);
    assert.match(outcome.toString(), /SignatureFailure|signature/i);
    send(signed);
  },
);
