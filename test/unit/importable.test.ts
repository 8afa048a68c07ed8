import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { VanityError } from '../../src/errors.ts';
import { addressOf, encodeBase58 } from '../../src/keypair/address.ts';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import {
  assertExpandedImportable,
  assertImportable,
  assertKeyType,
} from '../../src/keypair/importable.ts';
import { keypairOf } from '../../src/keypair/keypair.ts';
import { parsePattern } from '../../src/keypair/pattern.ts';
import { trueKey } from '../support/keys.ts';

const keypair = keypairOf(randomBytes(32));
const address = addressOf(keypair.subarray(32));
const patternOf = (suffix: string) => parsePattern({ prefix: '', suffix, ignoreCase: false });
const ITS_OWN = patternOf(address.slice(-2));

/** Refused, with its place and without a word of the key or its address. */
function assertRefused(bytes: Uint8Array, pattern = ITS_OWN): void {
  assert.throws(
    () => assertImportable(bytes, 17, pattern),
    (error) => {
      assert.ok(error instanceof VanityError);
      assert.equal(error.code, 'KEYPAIR_REFUSED');
      assert.match(error.message, /^secretKeys\[17\]: .*; nothing came in$/);
      for (const secret of [
        address,
        encodeBase58(keypair),
        encodeBase58(keypair.subarray(0, 32)),
      ]) {
        assert.ok(!error.message.includes(secret));
      }
      return true;
    },
  );
}

test('a keypair that matches is taken', () => {
  assertImportable(keypair, 0, ITS_OWN);
});

test('an address that does not match is refused', () => {
  const other = address.endsWith('z') ? 'y' : 'z';
  assertRefused(keypair, patternOf(other));
});

test('a public key of another seed is refused, and what is no keypair at all', () => {
  for (const at of [0, 31, 32, 63]) {
    const wrong = Uint8Array.from(keypair);
    wrong[at]! ^= 1;
    // The address is another one then, too: whatever it ends in is allowed.
    assertRefused(wrong, patternOf(addressOf(wrong.subarray(32)).slice(-2)));
  }
  for (const bytes of [new Uint8Array(0), keypair.subarray(0, 32), Buffer.alloc(65)]) {
    assertRefused(bytes);
  }
});

test('an expanded key is taken with the address that it signs for, and with no other', () => {
  const key = expandedKeyOf(keypair.subarray(0, 32));
  const right = { keyType: 'expanded', key, publicKey: keypair.subarray(32) } as const;
  assertExpandedImportable(right, 3, ITS_OWN);
  const otherKey = trueKey('expanded');
  const zero = new Uint8Array(64);
  const wrong = [
    { ...right, publicKey: otherKey.publicKey },
    { ...right, key: otherKey.key },
    { ...right, key: keypair },
    { ...right, key: zero },
    { ...right, key: key.subarray(0, 63) },
  ];
  for (const one of wrong) {
    const own = patternOf(addressOf(one.publicKey).slice(-2));
    assert.throws(() => assertExpandedImportable(one, 3, own), {
      code: 'KEYPAIR_REFUSED',
      message: 'expandedKeys[3]: the expanded key is not that of the address; nothing came in',
    });
  }
  const other = patternOf(address.endsWith('z') ? 'y' : 'z');
  assert.throws(() => assertExpandedImportable(right, 3, other), {
    code: 'KEYPAIR_REFUSED',
    message: /^expandedKeys\[3\]: its address does not match \.\.\.[yz]; nothing came in$/,
  });
});

test('a pool takes keys of its own type alone', () => {
  assertKeyType('pet', 'expanded', 'expanded');
  assert.throws(() => assertKeyType('pet', 'expanded', 'seed'), {
    code: 'IMPORTS_REFUSED',
    message: 'pool pet: its keys are of the type expanded; given: seed',
  });
});
