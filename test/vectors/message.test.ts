/**
 * A published transaction with its key and signature, and what @solana/kit builds and signs in each
 * version: the signatures are the same to the last byte. Off-chain messages, as kit makes them, are
 * refused.
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
import { signMessage as signByPolicy } from '../../src/keypair/sign.ts';
import type { SigningKey } from '../../src/keypair/signing-key.ts';
import { ANY_POLICY } from '../support/messages.ts';

const signMessage = (key: SigningKey, message: Uint8Array, signer?: ExpandedSigner): Uint8Array =>
  signByPolicy(key, message, ANY_POLICY, signer);

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
function transactionWith(version: 'legacy' | 0 | 1, role: AccountRole) {
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

for (const version of ['legacy', 0, 1] as const) {
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

/** What kit 8.4 builds of the same parts in each version, and the signature of the mint. */
const GOLDEN = {
  legacy: {
    message:
      '020001038a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c8139770ea87d' +
      '175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b39403030303030303030303030303030303' +
      '030303030303030303030303030303030909090909090909090909090909090909090909090909090909' +
      '090909090909010202000103010203',
    signature:
      '4aa0d2def6ed34c7438189084228ed0c25660af687f703b3630d9c8753a994df879615e232f11f150100' +
      '46cf92cfd56130be9bc57621c7ea0b54b64a1d9c5b0f',
  },
  0: {
    message:
      '80020001038a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c8139770ea8' +
      '7d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394030303030303030303030303030303' +
      '030303030303030303030303030303030309090909090909090909090909090909090909090909090909' +
      '0909090909090901020200010301020300',
    signature:
      '0c8bf0ee6398e2433e81abb15612d0a348a6505799477f7f8bd4da8ab9d9b9cb42cd16c4a981a0a33220' +
      'c7386ef100c22a7cbd522bab3f14bc09d2faaa3ccc05',
  },
  1: {
    message:
      '810200011f00000009090909090909090909090909090909090909090909090909090909090909090103' +
      '8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c8139770ea87d175f56a3' +
      '5466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b3940303030303030303030303030303030303030303' +
      '0303030303030303030303038813000000000000204e00000000020000000100020203000001010203',
    signature:
      '94c1e16e768615d870d36821f1b2a7298b1a506a8443ec441edb71d224a672e366bffd32890102d13278' +
      '173a0257d39e2a49138606bc77ca64155ffd68749006',
  },
} as const;

for (const version of ['legacy', 0, 1] as const) {
  test(`version ${version}: the golden message is signed as kit signs it`, () => {
    const { message, signature } = GOLDEN[version];
    const bytes = Uint8Array.from(Buffer.from(message, 'hex'));
    const seeds = [1, 2].map((byte) => Buffer.alloc(SEED_BYTES, byte));
    const [payer, mint] = seeds.map((seed) => signingKeyOf(keypairOf(seed)));
    const program = Buffer.alloc(32, 3);
    assert.deepEqual(parseMessage(bytes), {
      version,
      requiredSigners: [payer!.publicKey, mint!.publicKey],
      accountKeys: [payer!.publicKey, mint!.publicKey, Uint8Array.from(program)],
      instructions: [
        { programIndex: 2, accountIndexes: Uint8Array.of(0, 1), data: Uint8Array.of(1, 2, 3) },
      ],
    });
    assert.equal(Buffer.from(signMessage(mint!, bytes)).toString('hex'), signature);
  });
}

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
