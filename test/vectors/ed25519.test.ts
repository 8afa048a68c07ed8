/**
 * RFC 8032, section 7.1, and Project Wycheproof: public keys by every level of the kernel, and
 * signatures by the code that signs with expanded keys, by keys that come from a seed and by keys
 * that each level found.
 */
import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { suite, test } from 'node:test';
import { kernelLevels, loadKernel } from '../../src/grinder/load-kernel.ts';
import { deriveByLevel } from '../../src/grinder/native-kernel.ts';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import { ExpandedSigner } from '../../src/keypair/expanded-signer.ts';
import { publicKeyOf } from '../../src/keypair/keypair.ts';
import { parsePattern } from '../../src/keypair/pattern.ts';
import { ED25519_KEYS, ED25519_VECTORS } from '../support/ed25519-vectors.ts';
import { publicKeyOfExpanded } from '../support/expanded-oracle.ts';

const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');
const NATIVE = kernelLevels().filter((isa) => isa !== 'js');

const bytes = (hex: string) => Buffer.from(hex, 'hex');
const hexOf = (some: Uint8Array) => Buffer.from(some).toString('hex');
const signer = await ExpandedSigner.load();
const SIGNATURES = ED25519_KEYS.flatMap(({ signatures }) => signatures);

function publicKeyObject(publicKey: Uint8Array): KeyObject {
  return createPublicKey({
    key: Buffer.concat([SPKI_HEAD, publicKey]),
    format: 'der',
    type: 'spki',
  });
}

/** As the levels derive it: bit 255 is 0. */
function withoutSign(publicKey: string): string {
  const key = bytes(publicKey);
  key[31]! &= 0x7f;
  return hexOf(key);
}

test('the vectors are all there', () => {
  const lengths = ED25519_VECTORS.rfc8032.keys.map(({ signatures }) =>
    bytes(signatures[0]!.message),
  );
  assert.deepEqual(
    lengths.map(({ length }) => length),
    [0, 1, 2, 1023, 64],
  );
  assert.equal(ED25519_VECTORS.wycheproof.keys.length, 47);
  const valid = SIGNATURES.filter(({ isValid }) => isValid).length;
  assert.deepEqual({ all: SIGNATURES.length, valid }, { all: 146, valid: 85 });
});

suite('public keys of seeds', () => {
  for (const isa of NATIVE) {
    test(`by ${isa}, whatever lane of a batch a seed is in`, () => {
      // Every seed comes again at other places: batches and lanes are powers of two, this is odd.
      const period = ED25519_KEYS.length + 1;
      const keys = Array.from(
        { length: 20 * period },
        (_, at) => ED25519_KEYS[(at % period) % ED25519_KEYS.length]!,
      );
      const derived = deriveByLevel(isa, bytes(keys.map(({ seed }) => seed).join('')));
      for (const [at, { seed, publicKey }] of keys.entries()) {
        const key = hexOf(derived.subarray(32 * at, 32 * at + 32));
        assert.equal(key, withoutSign(publicKey), `seed ${seed}`);
      }
    });
  }

  test('by node:crypto, and by the scalar of an expanded key', () => {
    for (const { seed, publicKey } of ED25519_KEYS) {
      assert.equal(hexOf(publicKeyOf(bytes(seed))), publicKey);
      assert.equal(hexOf(publicKeyOfExpanded(expandedKeyOf(bytes(seed)))), publicKey);
    }
  });
});

suite('signatures with expanded keys', () => {
  test('are those of the vectors, and never one that is to be refused', () => {
    for (const { seed, publicKey, signatures } of ED25519_KEYS) {
      const key = expandedKeyOf(bytes(seed));
      const signingKey = { keyType: 'expanded', key, publicKey: bytes(publicKey) } as const;
      for (const { id, message, signature, isValid } of signatures) {
        const made = hexOf(signer.sign(signingKey, bytes(message))!);
        assert.equal(made === signature, isValid, `${seed}, ${id}`);
      }
    }
  });

  test('node:crypto, by which hits are proved, accepts and refuses as the vectors say', () => {
    for (const { publicKey, signatures } of ED25519_KEYS) {
      const key = publicKeyObject(bytes(publicKey));
      for (const { id, message, signature, isValid } of signatures) {
        assert.equal(verify(null, bytes(message), key, bytes(signature)), isValid, `${id}`);
      }
    }
  });

  for (const isa of kernelLevels()) {
    test(`of keys that ${isa} found are valid for every message of the vectors`, () => {
      const pattern = parsePattern({ prefix: '', suffix: '[a-m]', ignoreCase: false });
      const search = loadKernel(isa).kernel.open([pattern], 'expanded');
      const { hits } = search.slice(20, 3);
      search.close();
      assert.ok(hits.length > 0);
      const messages = new Set(SIGNATURES.map(({ message }) => message));
      for (const hit of hits) {
        const key = publicKeyObject(hit.publicKey);
        for (const message of messages) {
          const signature = signer.sign(hit, bytes(message));
          assert.ok(verify(null, bytes(message), key, signature!));
        }
      }
    });
  }
});
