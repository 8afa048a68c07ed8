import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import sodium from 'libsodium-wrappers-sumo';
import { sha512 } from '../../src/keypair/expanded.ts';
import { ExpandedSigner } from '../../src/keypair/expanded-signer.ts';
import { isSignature } from '../../src/keypair/keypair.ts';
import {
  fromBytes,
  L,
  publicKeyOfExpanded,
  signExpanded,
  toBytes,
} from '../support/expanded-oracle.ts';

const signer = await ExpandedSigner.load();

function keyWith(scalar: bigint, prefix: Uint8Array = randomBytes(32)) {
  const key = Buffer.concat([toBytes(scalar), prefix]);
  return { keyType: 'expanded', key, publicKey: publicKeyOfExpanded(key) } as const;
}

const scalars = fc.oneof(
  fc.bigInt({ min: 1n, max: L - 1n }),
  fc.constantFrom(1n, 2n, 8n, 2n ** 252n, L - 2n, L - 1n),
);

test('signatures are those of RFC 8032, for any scalar, prefix and message', () => {
  const prefixes = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const messages = fc.uint8Array({ maxLength: 1300 });
  fc.assert(
    fc.property(scalars, prefixes, messages, (scalar, prefix, message) => {
      const key = keyWith(scalar, prefix);
      const signature = signer.sign(key, message)!;
      assert.deepEqual(Buffer.from(signature), Buffer.from(signExpanded(key.key, message)));
      assert.ok(isSignature(key.publicKey, message, signature));
    }),
    { numRuns: Number(process.env.FC_RUNS ?? 50) },
  );
});

test('nothing is signed with a key of another address, or with what is no key', () => {
  const key = keyWith(12345n);
  const { publicKey } = keyWith(12346n);
  const message = randomBytes(100);
  assert.equal(signer.sign({ ...key, publicKey }, message), undefined);
  for (const scalar of [0n, L, L + 12345n]) {
    const wrong = Buffer.concat([toBytes(scalar), randomBytes(32)]);
    assert.equal(signer.sign({ ...key, key: wrong }, message), undefined);
  }
  assert.equal(signer.sign({ ...key, key: key.key.subarray(0, 63) }, message), undefined);
});

/** As libsodium multiplies the base point: 64 digits from -8 to 8. */
function digitsOf(scalar: Uint8Array): Buffer {
  const digits = new Int8Array(64);
  let carry = 0;
  for (let index = 0; index < 64; index++) {
    const digit = ((scalar[index >> 1]! >> (4 * (index & 1))) & 15) + carry;
    carry = index < 63 ? (digit + 8) >> 4 : 0;
    digits[index] = digit - carry * 16;
  }
  return Buffer.from(digits.buffer);
}

test('no part of scalar, prefix or nonce stays in the memory of the library', () => {
  const { HEAPU8 } = (sodium as unknown as { libsodium: { HEAPU8: Uint8Array } }).libsodium;
  // Nothing was ever written behind the last byte that is not 0.
  const memory = Buffer.from(HEAPU8.buffer, 0, HEAPU8.findLastIndex((byte) => byte !== 0) + 1);
  assert.ok(memory.length > 10_000);
  for (let round = 0; round < 5; round++) {
    const scalar = fromBytes(randomBytes(32)) % L;
    const { key, publicKey, keyType } = keyWith(scalar);
    const message = randomBytes(200);
    const signature = signer.sign({ keyType, key, publicKey }, message)!;
    const digest = sha512(key.subarray(32), message);
    const nonce = toBytes(fromBytes(digest) % L);
    const challenge = fromBytes(sha512(signature.subarray(0, 32), publicKey, message)) % L;
    const product = toBytes((challenge * scalar) % L);
    const secrets = { key, digest, nonce, product };
    const digits = { scalar: digitsOf(key.subarray(0, 32)), nonce: digitsOf(nonce) };
    for (const [name, secret] of Object.entries({ ...secrets, ...digits })) {
      for (let at = 0; at + 8 <= secret.length; at++) {
        const found = memory.indexOf(secret.subarray(at, at + 8));
        assert.equal(found, -1, `8 bytes of ${name}, from ${at}`);
      }
    }
    const wrong = keyWith(1n).publicKey;
    signer.sign({ keyType, key, publicKey: wrong }, message);
    assert.equal(memory.indexOf(key.subarray(0, 8)), -1, 'of a signature that was refused');
  }
});

/** Files of `src` that a file imports, and those that these import. */
function closureOf(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  const source = readFileSync(file, 'utf8');
  for (const [, from] of source.matchAll(/^(?:import|export) (?!type )[^;]* from '(\.[^']+)';/gm)) {
    closureOf(join(file, '..', from!), found);
  }
  return found;
}

test('nothing that touches a scalar computes with BigInt, whose time depends on the number', () => {
  const keypair = fileURLToPath(new URL('../../src/keypair/', import.meta.url));
  const files = ['expanded-signer.ts', 'expanded.ts', 'scalar.ts', 'sign.ts'].flatMap((name) => [
    ...closureOf(join(keypair, name)),
  ]);
  // Base58 of addresses: its table of powers is made by BigInt once, of constants.
  const others = new Set(files.filter((file) => !file.endsWith('/keypair/address.ts')));
  assert.ok(others.size >= 6, `only ${others.size} files`);
  for (const file of others) {
    const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    assert.doesNotMatch(code, /\bBig(Ui|I)nt|\b\d+n\b|getBig/, file);
  }
});

test('BigInt is not called while something is signed', (t) => {
  const key = keyWith(98765n);
  const expected = Buffer.from(signExpanded(key.key, key.publicKey));
  t.mock.method(globalThis, 'BigInt', () => {
    throw new Error('BigInt was called');
  });
  assert.deepEqual(Buffer.from(signer.sign(key, key.publicKey)!), expected);
});
