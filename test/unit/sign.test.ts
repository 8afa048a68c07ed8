import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import { ExpandedSigner } from '../../src/keypair/expanded-signer.ts';
import { isSignature, SEED_BYTES, signWithSeed } from '../../src/keypair/keypair.ts';
import { signMessage as signByPolicy } from '../../src/keypair/sign.ts';
import { KEY_TYPES, type KeyType, type SigningKey } from '../../src/keypair/signing-key.ts';
import { publicKeyOfExpanded } from '../support/expanded-oracle.ts';
import { trueKey } from '../support/keys.ts';
import { ANY_POLICY } from '../support/messages.ts';

const expandedSigner = await ExpandedSigner.load();
const PAYER = randomBytes(32);
const PROGRAM = randomBytes(32);

const signMessage = (key: SigningKey, message: Uint8Array): Uint8Array =>
  signByPolicy(key, message, ANY_POLICY, expandedSigner);

/** The expanded one has no seed. */
function signingKey(keyType: KeyType): SigningKey {
  if (keyType === 'seed') return trueKey(keyType);
  const key = Uint8Array.from(randomBytes(64));
  key[31]! &= 0x0f;
  return { keyType, key, publicKey: publicKeyOfExpanded(key) };
}

/** A legacy message with one instruction, signed by the first `signers` of the accounts. */
function messageOf(signers: number, accounts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([
    Buffer.of(signers, 0, 1, accounts.length + 1),
    ...accounts,
    PROGRAM,
    randomBytes(32),
    Buffer.of(1, accounts.length, 1, 0, 3, 1, 2, 3),
  ]);
}

for (const keyType of KEY_TYPES) {
  test(`${keyType}: the signature is over all of the message, by the key and no other`, () => {
    const signer = signingKey(keyType);
    const { key, publicKey } = signer;
    const before = key.slice();
    for (const message of [messageOf(1, [publicKey]), messageOf(2, [PAYER, publicKey])]) {
      const signature = signMessage(signer, message);
      assert.equal(signature.length, 64);
      assert.ok(isSignature(publicKey, message, signature));
      assert.equal(isSignature(publicKey, message.subarray(1), signature), false);
      assert.equal(isSignature(signingKey(keyType).publicKey, message, signature), false);
      assert.deepEqual(signMessage(signer, message), signature);
    }
    assert.deepEqual(key, before);
  });

  test(`${keyType}: a message in which others sign is not signed`, () => {
    const signer = signingKey(keyType);
    const { publicKey } = signer;
    for (const accounts of [[PAYER, publicKey], [PAYER], [PAYER, randomBytes(32), publicKey]]) {
      assert.throws(() => signMessage(signer, messageOf(1, accounts)), {
        code: 'SIGNER_NOT_REQUIRED',
      });
    }
  });

  test(`${keyType}: what is no message is not signed, whatever it holds`, () => {
    const signer = signingKey(keyType);
    const { publicKey } = signer;
    const message = messageOf(1, [publicKey]);
    for (const bytes of [
      Buffer.alloc(0),
      publicKey,
      Buffer.from('\xffsolana offchain\0hello', 'latin1'),
      Buffer.concat([Buffer.from('\xffsolana offchain', 'latin1'), message]),
      Buffer.concat([Buffer.of(1), Buffer.alloc(64), message]),
      Buffer.concat([message, Buffer.of(0)]),
      message.subarray(0, -1),
    ]) {
      assert.throws(() => signMessage(signer, bytes), { code: 'MESSAGE_INVALID' });
    }
  });

  test(`${keyType}: a key of another address makes no signature that leaves`, () => {
    const { publicKey } = signingKey(keyType);
    const signer = { ...signingKey(keyType), publicKey };
    assert.throws(() => signMessage(signer, messageOf(1, [publicKey])), {
      code: 'INTERNAL',
      message: 'the key of the address made no signature of it',
    });
  });
}

test('the key types of one seed make the same signature', () => {
  const signer = signingKey('seed');
  const { key, publicKey } = signer;
  const message = messageOf(1, [publicKey]);
  const expandedKey = expandedKeyOf(key.subarray(0, SEED_BYTES));
  const signature = signMessage(signer, message);
  const expanded = { keyType: 'expanded', key: expandedKey, publicKey } as const;
  assert.deepEqual(Buffer.from(signMessage(expanded, message)), signature);
  assert.deepEqual(signWithSeed(key.subarray(0, SEED_BYTES), message), signature);
});
