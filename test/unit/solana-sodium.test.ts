/** Signatures by expanded keys in the client: which keys, and what is left of them in libsodium's memory. */
import assert from 'node:assert/strict';
import { randomBytes, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import sodium from 'libsodium-wrappers-sumo';
import { verifierOf } from '../../src/client/solana/ed25519.ts';
import { Sodium } from '../../src/client/solana/sodium.ts';
import { seededKey } from '../support/expanded-keys.ts';
import { fromBytes, L, toBytes } from '../support/expanded-oracle.ts';
import { SodiumMemory } from '../support/sodium-memory.ts';

const numRuns = Number(process.env.FC_RUNS ?? 30);
const signer = await Sodium.load();

test('signatures are those of RFC 8032, whatever the length of the message', () => {
  const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const lengths = fc.constantFrom(0, 1, 79, 80, 95, 96, 1232, 4096, 100_000);
  fc.assert(
    fc.property(seeds, lengths, (seed, length) => {
      const key = seededKey(Buffer.from(seed));
      const message = randomBytes(length);
      const expected = new Uint8Array(sign(null, message, key.privateKey));
      assert.deepEqual(signer.sign(key.expandedKey, key.publicKey, message), expected);
    }),
    { numRuns },
  );
});

test('scalars that no seed leads to sign, too: the public key alone decides', async () => {
  for (const scalar of [1n, 2n, 8n, 12345n, 2n ** 252n, L - 1n]) {
    const key = Buffer.concat([toBytes(scalar), randomBytes(32)]);
    const publicKey = sodium.crypto_scalarmult_ed25519_base_noclamp(key.subarray(0, 32));
    assert.ok(signer.isKeyOf(key, publicKey));
    const message = randomBytes(100);
    const signature = signer.sign(key, publicKey, message)!;
    const isSignature = await verifierOf(publicKey);
    assert.ok(await isSignature(signature, message), `scalar ${scalar}`);
  }
});

test('nothing is signed with a key of another address, or with what is no scalar', () => {
  const { expandedKey, publicKey } = seededKey();
  const message = randomBytes(100);
  const prefix = expandedKey.subarray(32);
  const scalar = fromBytes(expandedKey.subarray(0, 32));
  const others = [0n, L, scalar + L, scalar + 8n * L, scalar + 2n ** 255n, scalar - 1n];
  for (const other of others) {
    const key = Buffer.concat([toBytes(other), prefix]);
    assert.ok(!signer.isKeyOf(key, publicKey), `${other}`);
    assert.equal(signer.sign(key, publicKey, message), undefined);
  }
  // Of 0 it is the neutral point, which verifies signatures of anybody.
  const neutral = Uint8Array.of(1, ...new Uint8Array(31));
  const zero = Buffer.concat([toBytes(0n), prefix]);
  assert.ok(!signer.isKeyOf(zero, neutral));
  assert.equal(signer.sign(expandedKey, seededKey().publicKey, message), undefined);
});

test('no part of scalar, prefix or nonce stays in the memory of the library', () => {
  const memory = new SodiumMemory();
  for (let round = 0; round < 3; round++) {
    const { expandedKey, publicKey } = seededKey();
    const message = randomBytes(200);
    const signature = signer.sign(expandedKey, publicKey, message)!;
    memory.assertNothingOf({ expandedKey, publicKey, message, signature });
    assert.equal(signer.sign(expandedKey, seededKey().publicKey, message), undefined);
    signer.isKeyOf(expandedKey, publicKey);
    memory.assertNothingOf({ expandedKey, publicKey, message, signature });
  }
});

test('nothing that touches a scalar computes with BigInt, whose time depends on the number', () => {
  for (const name of ['base58', 'expanded', 'signer', 'sodium']) {
    const file = new URL(`../../src/client/solana/${name}.ts`, import.meta.url);
    assert.doesNotMatch(readFileSync(fileURLToPath(file), 'utf8'), /BigInt|\b\d+n\b/, name);
  }
});
