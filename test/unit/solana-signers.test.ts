/**
 * Signers of the client with @solana/kit as it is: from a keypair, from an expanded key, and remote. Their
 * signatures are compared with those of `node:crypto`, which RFC 8032 gives no choice.
 */
import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { test } from 'node:test';
import {
  assertIsFullySignedTransaction,
  assertIsTransactionPartialSigner,
  createNoopSigner,
  generateKeyPairSigner,
  isMessagePartialSigner,
  isTransactionModifyingSigner,
  isTransactionSendingSigner,
} from '@solana/kit';
import { VanitypoolError } from '../../src/client/error.ts';
import { encodeBase58 } from '../../src/client/solana/base58.ts';
import {
  createExpandedSigner,
  createKeypairSigner,
  createRemoteSigner,
  type SolanaSigner,
} from '../../src/client/solana/solana.ts';
import { type SeededKey, seededKey } from '../support/expanded-keys.ts';
import { FORMS, kitMint } from '../support/mint-transactions.ts';

const KEY = seededKey();
const ADDRESS = encodeBase58(KEY.publicKey);
const MESSAGE = Uint8Array.of(1, 2, 3);
const BLOCKHASH = encodeBase58(new Uint8Array(32).fill(7));

/** A server that signs, and what it was asked. */
class Remote {
  readonly asked: { pool: string; address: string; message: Uint8Array }[] = [];
  answer = (message: Uint8Array): string => encodeBase58(sign(null, message, KEY.privateKey));

  async sign(pool: string, address: string, message: Uint8Array) {
    this.asked.push({ pool, address, message });
    return { address, signature: this.answer(message) };
  }
}

function remoteSigner(remote = new Remote()): SolanaSigner {
  return createRemoteSigner({ client: remote, pool: 'mints', address: ADDRESS });
}

const MAKERS: Readonly<Record<string, () => Promise<SolanaSigner>>> = {
  'a keypair': () => createKeypairSigner({ secretKey: encodeBase58(KEY.keypair) }),
  'an expanded key': () =>
    createExpandedSigner({ expandedKey: encodeBase58(KEY.expandedKey), address: ADDRESS }),
  'the server': async () => remoteSigner(),
};

function failsWith(code: string, detail = /./) {
  return (error: unknown) => {
    assert.ok(error instanceof VanitypoolError, String(error));
    assert.equal(error.code, code);
    assert.match(error.detail, detail);
    for (const secret of [KEY.keypair, KEY.expandedKey]) {
      assert.ok(!`${error.stack}`.includes(encodeBase58(secret)), 'the secret is in the error');
    }
    return true;
  };
}

for (const [source, make] of Object.entries(MAKERS)) {
  test(`a signer from ${source} is one of kit's, and signs every form`, async () => {
    const mint = await make();
    assert.equal(mint.address, ADDRESS);
    assertIsTransactionPartialSigner(mint);
    assert.ok(!isTransactionModifyingSigner(mint) && !isTransactionSendingSigner(mint));
    assert.ok(!isMessagePartialSigner(mint), 'it signs transactions alone');
    const payer = await generateKeyPairSigner();
    for (const form of FORMS) {
      const signed = await kitMint(form, payer, mint, BLOCKHASH);
      assertIsFullySignedTransaction(signed);
      const [first] = signed.messageBytes;
      assert.equal(first, { legacy: 2, 0: 0x80, table: 0x80, 1: 0x81 }[form]);
      const message = Uint8Array.from(signed.messageBytes);
      const expected = new Uint8Array(sign(null, message, KEY.privateKey));
      assert.deepEqual(Uint8Array.from(signed.signatures[mint.address]!), expected);
    }
  });

  test(`a signer from ${source} does not sign for another address`, async () => {
    const mint = await make();
    const payer = await generateKeyPairSigner();
    const other = createNoopSigner((await generateKeyPairSigner()).address);
    const transaction = await kitMint(0, payer, other, BLOCKHASH);
    await assert.rejects(
      mint.signTransactions([transaction]),
      failsWith('SIGNER_NOT_REQUIRED', new RegExp(`${payer.address}, ${other.address}`)),
    );
  });

  test(`a signer from ${source} stops when it is asked to`, async () => {
    const mint = await make();
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    await assert.rejects(mint.sign(MESSAGE, { signal }), reason);
    const payer = await generateKeyPairSigner();
    const transaction = await kitMint(0, payer, createNoopSigner(mint.address), BLOCKHASH);
    await assert.rejects(mint.signTransactions([transaction], { abortSignal: signal }), reason);
    const oddities: unknown[] = ['text', [1, 2], new DataView(new ArrayBuffer(9)), undefined];
    for (const odd of oddities) {
      const refused = failsWith('MESSAGE_INVALID', /^message: allowed: a Uint8Array$/);
      await assert.rejects(mint.sign(odd as Uint8Array), refused);
    }
  });
}

test('of several transactions none is signed if one does not need the address', async () => {
  const remote = new Remote();
  const mint = remoteSigner(remote);
  const payer = await generateKeyPairSigner();
  const own = await kitMint('legacy', payer, createNoopSigner(mint.address), BLOCKHASH);
  const other = createNoopSigner((await generateKeyPairSigner()).address);
  const foreign = await kitMint(0, payer, other, BLOCKHASH);
  await assert.rejects(mint.signTransactions([own, foreign]), failsWith('SIGNER_NOT_REQUIRED'));
  assert.deepEqual(remote.asked, []);
  assert.equal((await mint.signTransactions([own, own])).length, 2);
});

test('a signature of the server that is wrong in any bit is an error, and goes nowhere', async () => {
  const remote = new Remote();
  const mint = remoteSigner(remote);
  const right = sign(null, MESSAGE, KEY.privateKey);
  for (let bit = 0; bit < 512; bit += 7) {
    const wrong = Uint8Array.from(right);
    wrong[bit >> 3]! ^= 1 << (bit & 7);
    remote.answer = () => encodeBase58(wrong);
    await assert.rejects(mint.sign(MESSAGE), failsWith('SIGNATURE_MISMATCH', /was not used$/));
  }
  const ofAnother = encodeBase58(sign(null, MESSAGE, seededKey().privateKey));
  const ofOtherBytes = encodeBase58(sign(null, Uint8Array.of(1, 2), KEY.privateKey));
  const odd = ['', 'no base58', encodeBase58(right.subarray(1)), undefined as unknown as string];
  for (const answer of [ofAnother, ofOtherBytes, ...odd]) {
    remote.answer = () => answer;
    await assert.rejects(mint.sign(MESSAGE), failsWith('SIGNATURE_MISMATCH'));
  }
  const payer = await generateKeyPairSigner();
  await assert.rejects(kitMint(0, payer, mint, BLOCKHASH), failsWith('SIGNATURE_MISMATCH'));
});

test('what is signed is what was given, whatever becomes of it meanwhile', async () => {
  const remote = new Remote();
  const message = Uint8Array.from(MESSAGE);
  const signing = remoteSigner(remote).sign(message);
  message.fill(9);
  assert.deepEqual(await signing, new Uint8Array(sign(null, MESSAGE, KEY.privateKey)));
  assert.deepEqual(remote.asked, [{ pool: 'mints', address: ADDRESS, message: MESSAGE }]);
});

test('without Ed25519 the server is not asked, and the error says what is needed', async (t) => {
  const remote = new Remote();
  t.mock.method(crypto.subtle, 'importKey', () => {
    throw new DOMException('Unrecognized name.', 'NotSupportedError');
  });
  const needed = failsWith('CRYPTO_UNAVAILABLE', /Node\.js 20.*https:/);
  await assert.rejects(remoteSigner(remote).sign(MESSAGE), needed);
  assert.deepEqual(remote.asked, []);
  await assert.rejects(createKeypairSigner({ secretKey: KEY.keypair }), needed);
});

test('a keypair is taken as text, as bytes and as the numbers of a file', async () => {
  const { keypair } = KEY;
  for (const secretKey of [encodeBase58(keypair), Uint8Array.from(keypair), [...keypair]]) {
    const mint = await createKeypairSigner({ secretKey, address: ADDRESS });
    const expected = new Uint8Array(sign(null, MESSAGE, KEY.privateKey));
    assert.deepEqual(await mint.sign(MESSAGE), expected);
  }
  const kept = Uint8Array.from(keypair);
  await createKeypairSigner({ secretKey: kept });
  assert.deepEqual(kept, Uint8Array.from(keypair), 'what the caller gave is as it was');
});

test('what is no key of the address is refused, and not shown', async () => {
  const other: SeededKey = seededKey();
  const halves = Buffer.concat([KEY.seed, other.publicKey]);
  for (const [secretKey, reason] of [
    [KEY.expandedKey, /second half is not the public key.*createExpandedSigner/],
    [halves, /second half/],
    [other.keypair, new RegExp(`not that of ${ADDRESS}$`)],
    [KEY.seed, /^secretKey: allowed: 64 bytes/],
    [encodeBase58(KEY.seed), /^secretKey: allowed: 64 bytes/],
    [`${encodeBase58(KEY.keypair)}\n`, /^secretKey: allowed: 64 bytes/],
    [undefined, /sign-only.*createRemoteSigner/],
  ] as const) {
    await assert.rejects(
      createKeypairSigner({ secretKey, address: ADDRESS }),
      failsWith('KEY_INVALID', reason),
    );
  }
  for (const [expandedKey, reason] of [
    [other.expandedKey, new RegExp(`not that of ${ADDRESS}$`)],
    [KEY.keypair, /not that of/],
    [KEY.seed, /^expandedKey: allowed: 64 bytes/],
    [undefined, /sign-only/],
  ] as const) {
    await assert.rejects(
      createExpandedSigner({ expandedKey, address: ADDRESS }),
      failsWith('KEY_INVALID', reason),
    );
  }
  const address = encodeBase58(KEY.keypair);
  const swapped = failsWith('KEY_INVALID', /^address: allowed: base58 of 32 bytes$/);
  await assert.rejects(createKeypairSigner({ secretKey: KEY.keypair, address }), swapped);
  await assert.rejects(createExpandedSigner({ expandedKey: KEY.expandedKey, address }), swapped);
  const remote = { client: new Remote(), pool: 'mints', address };
  assert.throws(() => createRemoteSigner(remote), swapped);
});
