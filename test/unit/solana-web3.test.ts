/** Signers of the client with `@solana/web3.js` as it is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  Keypair,
  type MessageV0,
  PublicKey,
  SystemProgram,
  Transaction,
  VersionedTransaction,
} from '@solana/web3.js';
import { VanitypoolError } from '../../src/client/error.ts';
import {
  createKeypairSigner,
  createWeb3Signer,
  type SolanaSigner,
} from '../../src/client/solana/solana.ts';
import { seededKey } from '../support/expanded-keys.ts';
import { WEB3_VERSIONS, web3Mint } from '../support/web3-mint.ts';

const PAYER = Keypair.generate();
const MINT = Keypair.fromSecretKey(seededKey().keypair);
const BLOCKHASH = Keypair.generate().publicKey.toBase58();
const inner = await createKeypairSigner({ secretKey: MINT.secretKey });

/** What it was asked to sign, and what happens meanwhile. */
function watched(meanwhile = async (): Promise<void> => undefined) {
  const asked: Uint8Array[] = [];
  const watching: SolanaSigner = {
    ...inner,
    async sign(message) {
      asked.push(message);
      await meanwhile();
      return inner.sign(message);
    },
  };
  return { asked, signer: createWeb3Signer(watching, MINT.publicKey) };
}

function failsWith(code: string, detail: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof VanitypoolError, String(error));
    assert.equal(error.code, code);
    assert.match(error.detail, detail);
    return true;
  };
}

/** As web3.js itself signs. */
function signedByPayer(transaction: Transaction | VersionedTransaction) {
  if (transaction instanceof Transaction) transaction.partialSign(PAYER);
  else transaction.sign([PAYER]);
  return transaction;
}

for (const version of WEB3_VERSIONS) {
  test(`a transaction, ${version}, is as web3.js itself would have signed it`, async () => {
    for (const order of ['before', 'after']) {
      const transaction = web3Mint(version, PAYER.publicKey, MINT.publicKey, BLOCKHASH);
      if (order === 'before') signedByPayer(transaction);
      const { signer, asked } = watched();
      assert.equal(await signer.signTransaction(transaction), transaction);
      if (order === 'after') signedByPayer(transaction);
      const expected = web3Mint(version, PAYER.publicKey, MINT.publicKey, BLOCKHASH);
      if (expected instanceof Transaction) expected.sign(PAYER, MINT);
      else expected.sign([PAYER, MINT]);
      assert.deepEqual(
        Uint8Array.from(transaction.serialize()),
        Uint8Array.from(expected.serialize()),
        `the payer ${order} the mint`,
      );
      assert.equal(asked.length, 1);
      assert.equal(asked[0]![0], version === 0 ? 0x80 : 2);
    }
  });

  test(`a transaction, ${version}, that changes while it is signed gets no signature`, async () => {
    const transaction = web3Mint(version, PAYER.publicKey, MINT.publicKey, BLOCKHASH);
    const later = Keypair.generate().publicKey.toBase58();
    const { signer } = watched(async () => {
      await turn();
      if (transaction instanceof Transaction) transaction.recentBlockhash = later;
      else (transaction.message as MessageV0).recentBlockhash = later;
    });
    await assert.rejects(
      signer.signTransaction(transaction),
      failsWith('MESSAGE_INVALID', /changed while it was signed/),
    );
    const signatures = transaction.signatures.map((one) =>
      one instanceof Uint8Array ? one : one.signature,
    );
    assert.ok(signatures.every((one) => one === null || one.every((byte) => byte === 0)));
  });
}

test('version 1 is refused by its name, before anything is signed', async () => {
  const { message } = web3Mint(
    0,
    PAYER.publicKey,
    MINT.publicKey,
    BLOCKHASH,
  ) as VersionedTransaction;
  const versionOne = new VersionedTransaction(message);
  Object.defineProperty(message, 'version', { value: 1 });
  const { signer, asked } = watched();
  const refused = failsWith('VERSION_UNSUPPORTED', /^transaction version 1 .*@solana\/kit$/);
  await assert.rejects(signer.signTransaction(versionOne), refused);
  const legacy = web3Mint('legacy', PAYER.publicKey, MINT.publicKey, BLOCKHASH);
  await assert.rejects(signer.signAllTransactions([legacy, versionOne]), refused);
  assert.deepEqual(asked, []);
});

test('a transaction that does not need the address, and what is none, are refused', async () => {
  const { signer, asked } = watched();
  const other = Keypair.generate().publicKey;
  for (const version of WEB3_VERSIONS) {
    const foreign = web3Mint(version, PAYER.publicKey, other, BLOCKHASH);
    await assert.rejects(
      signer.signTransaction(foreign),
      failsWith('SIGNER_NOT_REQUIRED', new RegExp(`${PAYER.publicKey}, ${other}$`)),
    );
  }
  // It is there, and does not sign.
  const toMint = new Transaction({
    feePayer: PAYER.publicKey,
    blockhash: BLOCKHASH,
    lastValidBlockHeight: 1,
  });
  toMint.add(
    SystemProgram.transfer({ fromPubkey: PAYER.publicKey, toPubkey: MINT.publicKey, lamports: 1 }),
  );
  await assert.rejects(signer.signTransaction(toMint), failsWith('SIGNER_NOT_REQUIRED', /./));
  await assert.rejects(
    signer.signTransaction({ addSignature: () => undefined } as unknown as Transaction),
    failsWith('MESSAGE_INVALID', /^transaction: allowed: a Transaction or VersionedTransaction/),
  );
  assert.deepEqual(asked, []);
});

test('all transactions are signed, each with its own signature', async () => {
  const transactions = WEB3_VERSIONS.map((version) =>
    signedByPayer(web3Mint(version, PAYER.publicKey, MINT.publicKey, BLOCKHASH)),
  );
  const { signer, asked } = watched();
  assert.deepEqual(await signer.signAllTransactions(transactions), transactions);
  assert.equal(asked.length, 2);
  // Throws where a signature is missing or wrong.
  for (const one of transactions) if (one instanceof Transaction) one.serialize();
  const signatures = transactions.map((one) => Buffer.from(one.serialize()).subarray(65, 129));
  assert.notDeepEqual(signatures[0], signatures[1]);
});

test('the public key has to be that of the signer', () => {
  const refused = failsWith(
    'KEY_INVALID',
    new RegExp(`^publicKey: allowed: that of ${inner.address}$`),
  );
  assert.throws(() => createWeb3Signer(inner, PAYER.publicKey), refused);
  const publicKey = new PublicKey(inner.address);
  assert.equal(createWeb3Signer(inner, publicKey).publicKey, publicKey);
});
