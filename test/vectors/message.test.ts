/**
 * A published transaction with its key and signature, and what @solana/kit signs: the signatures
 * are the same to the last byte. Off-chain messages and messages of version 1, as kit makes them,
 * are refused.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import {
  AccountRole,
  type Address,
  appendTransactionMessageInstruction,
  assertIsFullySignedTransaction,
  type Blockhash,
  compileOffchainMessageEnvelope,
  compileTransaction,
  createKeyPairFromBytes,
  createTransactionMessage,
  offchainMessageApplicationDomain,
  offchainMessageContentRestrictedAsciiOf1232BytesMax,
  partiallySignTransaction,
  type SignatureBytes,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
  verifySignature,
} from '@solana/kit';
import { addressOf } from '../../src/keypair/address.ts';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import { ExpandedSigner } from '../../src/keypair/expanded-signer.ts';
import { keypairOf, SEED_BYTES, signingKeyOf } from '../../src/keypair/keypair.ts';
import { assertRequiredSigner, parseMessage } from '../../src/keypair/message.ts';
import { signMessage } from '../../src/keypair/sign.ts';

// The sample by which the Solana SDK in Rust holds its format still (test_sdk_serialize).
const SEED = 'ff6524187c17a71584cc9b05b93a794b9ce374c1d7268e16080ee5ef775d05da';
const PUBLIC_KEY = '24649efc21a161b93e5963c3faf9bbbdab76f15af80e44dbe73e9d058e1bd275';
const SIGNATURE =
  '788aa2b93bd1f19d479d4a830457361c26b4de52403e3d3e162e11cbbb883e2b' +
  '0b26eb11ef52f08b82d9e3d609f28ddf5e1db86e3e2057893f8b64dd14890405';
const MESSAGE = [
  '01000103',
  PUBLIC_KEY,
  '0101010405060708090909090909090909090909090909090807060504010101',
  '0202020405060708090101010101010101010101010101090807060504020202',
  '00'.repeat(32),
  '010202000103010203',
].join('');

test('a published message is signed as published', async () => {
  const keypair = Buffer.from(SEED + PUBLIC_KEY, 'hex');
  const publicKey = keypair.subarray(SEED_BYTES);
  const message = Buffer.from(MESSAGE, 'hex');
  const { version, requiredSigners } = parseMessage(message);
  assert.equal(version, 'legacy');
  assert.deepEqual(requiredSigners, [publicKey]);
  const expandedKey = expandedKeyOf(keypair.subarray(0, SEED_BYTES));
  const signer = await ExpandedSigner.load();
  for (const signature of [
    signMessage(signingKeyOf(keypair), message),
    signMessage({ keyType: 'expanded', key: expandedKey, publicKey }, message, signer),
  ]) {
    assert.equal(Buffer.from(signature).toString('hex'), SIGNATURE);
  }
  const transaction = Buffer.from(`01${SIGNATURE}${MESSAGE}`, 'hex');
  assert.throws(() => parseMessage(transaction), { code: 'MESSAGE_INVALID' });
});

const PAYER = keypairOf(Buffer.alloc(SEED_BYTES, 1));
const MINT = keypairOf(randomBytes(SEED_BYTES));
const payer = addressText(PAYER);
const mint = addressText(MINT);

function addressText(keypair: Uint8Array): Address {
  return addressOf(keypair.subarray(SEED_BYTES)) as string as Address;
}

/** A transaction in which the mint has this role, and the payer signs and pays. */
function transactionWith(version: 'legacy' | 0, role: AccountRole) {
  const blockhash = addressOf(randomBytes(32)) as string as Blockhash;
  const instruction = {
    programAddress: '11111111111111111111111111111111' as Address,
    accounts: [
      { address: payer, role: AccountRole.WRITABLE_SIGNER },
      { address: mint, role },
    ],
    data: randomBytes(52),
  };
  return compileTransaction(
    appendTransactionMessageInstruction(
      instruction,
      setTransactionMessageLifetimeUsingBlockhash(
        { blockhash, lastValidBlockHeight: 1n },
        setTransactionMessageFeePayer(payer, createTransactionMessage({ version })),
      ),
    ),
  );
}

for (const version of ['legacy', 0] as const) {
  test(`version ${version}: kit takes the signature into its transaction and finds it right`, async () => {
    const unsigned = transactionWith(version, AccountRole.WRITABLE_SIGNER);
    const message = Uint8Array.from(unsigned.messageBytes);
    assert.equal(parseMessage(message).version, version);
    const kitPair = await createKeyPairFromBytes(MINT);
    const signature = signMessage(signingKeyOf(MINT), message) as SignatureBytes;
    assert.equal(await verifySignature(kitPair.publicKey, signature, message), true);
    const byKit = await partiallySignTransaction([kitPair], unsigned);
    assert.deepEqual(Buffer.from(byKit.signatures[mint]!), Buffer.from(signature));
    const kitPayer = await createKeyPairFromBytes(PAYER);
    const byPayer = await partiallySignTransaction([kitPayer], unsigned);
    const signatures = { ...byPayer.signatures, [mint]: signature };
    assertIsFullySignedTransaction({ ...byPayer, signatures });
  });
}

test('off-chain messages of kit are refused, with the address as their signer too', () => {
  const requiredSignatories = [{ address: mint }] as const;
  const one = compileOffchainMessageEnvelope({
    version: 1,
    requiredSignatories,
    content: 'I own this address',
  });
  const zero = compileOffchainMessageEnvelope({
    version: 0,
    requiredSignatories,
    applicationDomain: offchainMessageApplicationDomain(payer),
    content: offchainMessageContentRestrictedAsciiOf1232BytesMax('I own this address'),
  });
  for (const { content } of [zero, one]) {
    assert.throws(() => signMessage(signingKeyOf(MINT), Uint8Array.from(content)), {
      code: 'MESSAGE_INVALID',
      message: /an off-chain message is not signed/,
    });
  }
});

test('a message of version 1 is refused by its number', () => {
  const message = setTransactionMessageLifetimeUsingBlockhash(
    { blockhash: addressOf(randomBytes(32)) as string as Blockhash, lastValidBlockHeight: 1n },
    setTransactionMessageFeePayer(mint, createTransactionMessage({ version: 1 })),
  );
  const bytes = Uint8Array.from(compileTransaction(message).messageBytes);
  assert.throws(() => parseMessage(bytes), {
    code: 'MESSAGE_INVALID',
    message: 'message: version 1 is not signed; allowed: legacy and version 0',
  });
});

test('an instruction that only reads or writes the address asks for no signature of it', () => {
  for (const role of [AccountRole.READONLY, AccountRole.WRITABLE]) {
    const { messageBytes } = transactionWith(0, role);
    const message = parseMessage(Uint8Array.from(messageBytes));
    assertRequiredSigner(message, PAYER.subarray(SEED_BYTES));
    assert.throws(() => assertRequiredSigner(message, MINT.subarray(SEED_BYTES)), {
      code: 'SIGNER_NOT_REQUIRED',
    });
  }
});
