/**
 * Every level of the kernel against RFC 8032, section 7.1, and against `node:crypto` on random
 * seeds, and the conformance suite at every level.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { deriveByLevel, kernelLevels, loadKernel } from '../../src/grinder/kernel.ts';
import { publicKeyOf } from '../../src/keypair/keypair.ts';
import { kernelConformance } from '../support/kernel-conformance.ts';

const SEEDS = Number(process.env.KERNEL_SEEDS ?? 100_000);
const NATIVE = kernelLevels().filter((isa) => isa !== 'js');

const RFC_8032 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
  ],
  [
    'f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5',
    '278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e',
  ],
  [
    '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
    'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
  ],
] as const;

/** The level's keys carry no sign. */
function assertKeys(isa: string, seeds: Uint8Array, expected: Uint8Array): void {
  const keys = deriveByLevel(isa, seeds);
  const unsigned = Uint8Array.from(expected, (byte, at) => (at % 32 === 31 ? byte & 0x7f : byte));
  if (Buffer.compare(keys, unsigned) === 0) return;
  const at = keys.findIndex((byte, index) => byte !== unsigned[index]) >> 5;
  const wrong = Buffer.from(seeds.subarray(32 * at, 32 * at + 32)).toString('hex');
  assert.fail(`${isa}: another public key for the test seed ${at}, ${wrong}`);
}

test('there is a native kernel on this machine', () => {
  assert.ok(NATIVE.includes('portable'), 'run `npm test`, which builds it, with a C compiler');
});

suite('public keys', () => {
  for (const isa of NATIVE) {
    test(`RFC 8032 by ${isa}`, () => {
      const seeds = Buffer.from(RFC_8032.map(([seed]) => seed).join(''), 'hex');
      const expected = Buffer.from(RFC_8032.map(([, publicKey]) => publicKey).join(''), 'hex');
      assertKeys(isa, seeds, expected);
    });
  }

  test(`${SEEDS} random seeds by ${NATIVE.join(', ')} and node:crypto`, () => {
    const seeds = randomBytes(32 * SEEDS);
    const expected = new Uint8Array(seeds.length);
    for (let at = 0; at < seeds.length; at += 32) {
      expected.set(publicKeyOf(seeds.subarray(at, at + 32)), at);
    }
    for (const isa of NATIVE) assertKeys(isa, seeds, expected);
  });
});

for (const isa of kernelLevels()) {
  kernelConformance(loadKernel(isa).kernel, isa === 'js' ? 5_000 : 100_000);
}
