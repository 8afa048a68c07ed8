/**
 * Mints of SPL Token and Token-2022, created on a real Solana runtime at addresses that a server dispensed, in
 * every form of a transaction and by every way to sign: by each signer of the client (from a keypair, from an
 * expanded key, and remote, where the server signs), by a published one for a Vault, and co-signed by the
 * server. Written with @solana/kit and @solana/web3.js.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { VaultSigner } from '@solana/keychain-vault';
import {
  type Address,
  assertAccountExists,
  createKeyPairSignerFromBytes,
  createNoopSigner,
  getBase58Decoder,
  getBase64Encoder,
  getCompiledTransactionMessageDecoder,
  getTransactionDecoder,
  getTransactionEncoder,
  type KeyPairSigner,
  type Transaction as KitTransaction,
  type TransactionSigner,
} from '@solana/kit';
import { Keypair, PublicKey, Transaction } from '@solana/web3.js';
import { decodeMint, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token';
import { type Fetch, VanitypoolClient, VanitypoolError } from '../../src/client/client.ts';
import {
  createExpandedSigner,
  createKeypairSigner,
  createRemoteSigner,
  createWeb3Signer,
  type SolanaSigner,
} from '../../src/client/solana/solana.ts';
import { ManagedServer } from '../support/managed-server.ts';
import {
  clusterWith,
  FORMS,
  type Form,
  failureOf,
  kitMint,
  TOKEN_2022,
} from '../support/mint-transactions.ts';
import { NO_VERSION_1 } from '../support/runtime-version.ts';
import { DILIGENT, EASY_POOL } from '../support/server.ts';
import { WEB3_VERSIONS, web3Mint } from '../support/web3-mint.ts';

const LIMIT = { timeout: 300_000 };
const PROGRAMS = [TOKEN_PROGRAM_ADDRESS, TOKEN_2022];
const PAYER = Keypair.generate();
const OPEN = { ...EASY_POOL, target: 60 };
const MINTS = { ...OPEN, name: 'mints', handout: 'sign-only' };
const ADVISED = {
  ...{ ...MINTS, name: 'advised', keys: 'expanded' },
  sign_programs: ['system', 'token', 'token-2022'],
  sign_with: [PAYER.publicKey.toBase58()],
};
const managed = new ManagedServer(
  [OPEN, { ...OPEN, name: 'expanded', keys: 'expanded' }, MINTS, ADVISED],
  ...DILIGENT,
);
let svm: ReturnType<typeof clusterWith>;
let payer: KeyPairSigner;
let token: string;
let client: VanitypoolClient;

before(async () => {
  const { url } = await managed.serve();
  for (const pool of ['pet', 'expanded', 'mints', 'advised']) await managed.untilGround(40, pool);
  token = await managed.make('launcher', 'dispense');
  client = new VanitypoolClient({ url, token });
  payer = await createKeyPairSignerFromBytes(PAYER.secretKey);
  svm = clusterWith(payer);
}, LIMIT);

after(() => managed[Symbol.asyncDispose]());

/** Of a sign-only pool. */
async function dispensed(pool: string): Promise<Address> {
  const [mint] = await client.dispense(pool);
  assert.ok(mint!.secretKey === undefined && mint!.expandedKey === undefined);
  return mint!.address as Address;
}

/** A signer for an address that nothing was created at. */
const SOURCES: Readonly<Record<string, () => Promise<SolanaSigner>>> = {
  async 'a keypair'() {
    const [mint] = await client.dispense('pet');
    return createKeypairSigner(mint!);
  },
  async 'an expanded key'() {
    const [mint] = await client.dispense('expanded');
    return createExpandedSigner(mint!);
  },
  async 'the server'() {
    return createRemoteSigner({ client, pool: 'mints', address: await dispensed('mints') });
  },
  async 'the server, which has an expanded key'() {
    return createRemoteSigner({ client, pool: 'advised', address: await dispensed('advised') });
  },
};

/** Of the published package, which knows Vault alone. */
async function vaultSigner(): Promise<TransactionSigner> {
  const address = await dispensed('advised');
  const key = { keyName: address, publicKey: address };
  const signer = new VaultSigner({ ...key, vaultAddr: managed.server.url, vaultToken: token });
  return signer as unknown as TransactionSigner;
}

type Make = (form: Form, program: Address) => Promise<[Address, KitTransaction]>;

/** Kit calls the signer that is made. */
function signedBy(make: () => Promise<TransactionSigner>): Make {
  return async (form, program) => {
    const mint = await make();
    return [mint.address, await kitMint(form, payer, mint, svm.latestBlockhash(), program)];
  };
}

/** The payer signs first; what the server gives back goes to the network as it is. */
async function cosigned(form: Form, program: Address): Promise<[Address, KitTransaction]> {
  const mint = await dispensed('advised');
  const noop = createNoopSigner(mint);
  const paid = await kitMint(form, payer, noop, svm.latestBlockhash(), program);
  const wire = Uint8Array.from(getTransactionEncoder().encode(paid));
  const { transaction } = await client.cosign('advised', mint, wire);
  return [mint, getTransactionDecoder().decode(getBase64Encoder().encode(transaction))];
}

const WAYS: Readonly<Record<string, Make>> = {
  ...Object.fromEntries(
    Object.entries(SOURCES).map(([source, make]) => [`a signer from ${source}`, signedBy(make)]),
  ),
  'a signer for a Vault': signedBy(vaultSigner),
  'the server as co-signer': cosigned,
};

function send(transaction: Uint8Array | KitTransaction): void {
  const decoded =
    transaction instanceof Uint8Array ? getTransactionDecoder().decode(transaction) : transaction;
  assert.equal(failureOf(svm, decoded), undefined);
}

function assertMint(address: string, program: Address = TOKEN_PROGRAM_ADDRESS): void {
  const account = svm.getAccount(address as Address);
  assertAccountExists(account);
  assert.equal(account.programAddress, program);
  const { data } = decodeMint(account);
  assert.deepEqual(data.mintAuthority, { __option: 'Some', value: payer.address });
  assert.deepEqual([data.isInitialized, data.decimals], [true, 6]);
}

/** The first byte of a message of each form, and how many look-up tables it has. */
const SHAPES = { legacy: [2, 0], 0: [0x80, 0], table: [0x80, 1], 1: [0x81, 0] };

for (const form of FORMS) {
  const options = { ...LIMIT, skip: form === 1 && NO_VERSION_1 };
  for (const [way, make] of Object.entries(WAYS)) {
    test(`kit creates mints, ${form}, with ${way}`, options, async () => {
      for (const program of PROGRAMS) {
        const [address, transaction] = await make(form, program);
        const { messageBytes, signatures } = transaction;
        const message = getCompiledTransactionMessageDecoder().decode(messageBytes);
        const tables = 'addressTableLookups' in message ? message.addressTableLookups : [];
        assert.deepEqual([messageBytes[0], tables?.length ?? 0], SHAPES[form]);
        const wrong = Uint8Array.from(signatures[address]!);
        wrong[0]! ^= 1;
        const spoilt = { ...signatures, [address]: wrong } as KitTransaction['signatures'];
        assert.match(failureOf(svm, { ...transaction, signatures: spoilt })!, /SignatureFailure/);
        assert.ok(!svm.getAccount(address).exists);
        send(transaction);
        assertMint(address, program);
      }
    });
  }
}

for (const [source, make] of Object.entries(SOURCES)) {
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
  const address = await dispensed('mints');
  const foreign = getBase58Decoder().decode(new Uint8Array(64).fill(3));
  const lying: Fetch = async (url, request) => {
    const reply = await fetch(url, request);
    const body = JSON.stringify({
      ...(JSON.parse(await reply.text()) as object),
      signature: foreign,
    });
    return new Response(body, reply);
  };
  const liar = new VanitypoolClient({ url: managed.server.url, token, fetch: lying });
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

test('what the server refuses is its own error', LIMIT, async () => {
  const address = await dispensed('mints');
  const blockhash = svm.latestBlockhash();
  const stranger = createRemoteSigner({ client, pool: 'pet', address });
  await assert.rejects(
    kitMint(0, payer, stranger, blockhash),
    (error) => error instanceof VanitypoolError && error.code === 'HANDOUT_MISMATCH',
  );
});
