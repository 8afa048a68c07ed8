/**
 * Every level of the kernel against `node:crypto` on random seeds, and the conformance suite at
 * every level that this machine can run. Published vectors: ed25519.test.ts.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { kernelLevels, loadKernel } from '../../src/grinder/load-kernel.ts';
import { deriveByLevel } from '../../src/grinder/native-kernel.ts';
import { publicKeyOf } from '../../src/keypair/keypair.ts';
import { kernelConformance } from '../support/kernel-conformance.ts';

const SEEDS = Number(process.env.KERNEL_SEEDS ?? 6_000);
const NATIVE = kernelLevels().filter((isa) => isa !== 'js');

/** The level's keys carry no sign. */
function assertKeys(isa: string, seeds: Uint8Array, expected: Uint8Array): void {
  const keys = deriveByLevel(isa, seeds);
  const unsigned = Uint8Array.from(expected, (byte, at) => (at % 32 === 31 ? byte & 0x7f : byte));
  if (Buffer.compare(keys, unsigned) === 0) return;
  const at = keys.findIndex((byte, index) => byte !== unsigned[index]) >> 5;
  const wrong = Buffer.from(seeds.subarray(32 * at, 32 * at + 32)).toString('hex');
  assert.fail(`${isa}: another public key for the test seed ${at}, ${wrong}`);
}

const AVX512 = 'avx512f avx512dq avx512bw avx512vl avx512ifma avx512vbmi avx512_vnni bmi2'.split(
  ' ',
);

/** By what Linux says of the first core; without AVX-512's registers saved it leaves the flags out. */
function levelsOfCpu(cpuinfo: string): string[] {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(' '));
  const hasAll = (...names: string[]) => names.every((name) => flags.has(name));
  return [
    'portable',
    ...(hasAll('avx2', 'fma') ? ['avx2'] : []),
    ...(hasAll(...AVX512) ? ['avx512'] : []),
  ];
}

test('the native kernel has the levels that this machine can run, and they are all tested', () => {
  assert.ok(NATIVE.includes('portable'), 'run `npm test`, which builds it, with a C compiler');
  if (process.platform !== 'linux') return;
  assert.deepEqual(NATIVE, levelsOfCpu(readFileSync('/proc/cpuinfo', 'utf8')));
});

suite('public keys', () => {
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
  kernelConformance(loadKernel(isa).kernel, isa === 'js' ? 5_000 : 60_000);
}
