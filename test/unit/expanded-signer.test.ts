import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { ExpandedSigner } from '../../src/keypair/expanded-signer.ts';
import { isSignature } from '../../src/keypair/keypair.ts';
import {
  fromBytes,
  L,
  publicKeyOfExpanded,
  signExpanded,
  toBytes,
} from '../support/expanded-oracle.ts';
import { SodiumMemory } from '../support/sodium-memory.ts';

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

test('no part of scalar, prefix or nonce stays in the memory of the library', () => {
  const memory = new SodiumMemory();
  for (let round = 0; round < 5; round++) {
    const { key: expandedKey, publicKey, keyType } = keyWith(fromBytes(randomBytes(32)) % L);
    const message = randomBytes(200);
    const signature = signer.sign({ keyType, key: expandedKey, publicKey }, message)!;
    memory.assertNothingOf({ expandedKey, publicKey, message, signature });
    const wrong = keyWith(1n).publicKey;
    assert.equal(signer.sign({ keyType, key: expandedKey, publicKey: wrong }, message), undefined);
    memory.assertNothingOf({ expandedKey, publicKey, message, signature });
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
