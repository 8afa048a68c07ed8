/** Signers of the client with Umi as it is: `signTransaction` of Umi calls them as it calls its own. */
import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { test } from 'node:test';
import {
  createNoopSigner,
  type PublicKey,
  publicKey,
  signAllTransactions,
  signTransaction,
  type Transaction,
} from '@metaplex-foundation/umi';
import { VanitypoolError } from '../../src/client/error.ts';
import { createKeypairSigner, createUmiSigner } from '../../src/client/solana/solana.ts';
import { seededKey } from '../support/expanded-keys.ts';

const KEY = seededKey();
const inner = await createKeypairSigner({ secretKey: KEY.keypair });
const mint = createUmiSigner(inner, publicKey(inner.address));
const PAYER = publicKey(seededKey().publicKey);

/** Signers do not read instructions. */
function transaction(
  version: 'legacy' | 0 | 1,
  second: PublicKey = mint.publicKey,
  signers = 2,
): Transaction {
  return {
    message: {
      version,
      header: {
        numRequiredSignatures: signers,
        numReadonlySignedAccounts: 0,
        numReadonlyUnsignedAccounts: 0,
      },
      accounts: [PAYER, second],
      blockhash: PAYER,
      instructions: [],
      addressLookupTables: [],
    },
    serializedMessage: Uint8Array.of(version === 'legacy' ? 2 : 0x80 + version, 1, 2, 3),
    signatures: Array.from({ length: signers }, () => new Uint8Array(64)),
  };
}

function failsWith(code: string) {
  return (error: unknown) => error instanceof VanitypoolError && error.code === code;
}

test('Umi gets the signature in its place, of every version', async () => {
  for (const version of ['legacy', 0, 1] as const) {
    const given = transaction(version);
    const signed = await signTransaction(given, [createNoopSigner(PAYER), mint]);
    const expected = new Uint8Array(sign(null, given.serializedMessage, KEY.privateKey));
    assert.deepEqual(signed.signatures, [new Uint8Array(64), expected]);
    assert.deepEqual(given, transaction(version), 'what was given is as it was');
  }
  const both = [transaction(0), transaction(1)].map((one) => ({
    transaction: one,
    signers: [mint],
  }));
  const signed = await signAllTransactions(both);
  for (const { signatures, serializedMessage } of signed) {
    const expected = new Uint8Array(sign(null, serializedMessage, KEY.privateKey));
    assert.deepEqual(signatures[1], expected);
  }
});

test('only transactions that need the address are signed, and nothing else', async () => {
  const foreign = transaction(0, publicKey(seededKey().publicKey));
  const other = transaction(0, mint.publicKey, 1);
  for (const one of [foreign, other]) {
    await assert.rejects(mint.signTransaction(one), failsWith('SIGNER_NOT_REQUIRED'));
  }
  let asked = 0;
  const counting = {
    ...inner,
    sign: (message: Uint8Array) => {
      asked++;
      return inner.sign(message);
    },
  };
  const signer = createUmiSigner(counting, mint.publicKey);
  await signer.signTransaction(transaction(0));
  const all = signer.signAllTransactions([transaction(0), foreign]);
  await assert.rejects(all, failsWith('SIGNER_NOT_REQUIRED'));
  assert.equal(asked, 1, 'of all nothing was signed');
  await assert.rejects(mint.signMessage(Uint8Array.of(1)), failsWith('MESSAGE_INVALID'));
  assert.throws(() => createUmiSigner(inner, PAYER), failsWith('KEY_INVALID'));
});
