/**
 * The conformance suite for expanded keys at every level of the kernel, and what holds for them
 * alone: scalars are canonical, and no two hits of a slice lie on one walk.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Kernel } from '../../src/grinder/kernel.ts';
import { kernelLevels, loadKernel } from '../../src/grinder/load-kernel.ts';
import { parsePattern } from '../../src/keypair/pattern.ts';
import { L, publicKeyOfExpanded } from '../support/expanded-oracle.ts';
import { kernelConformance } from '../support/kernel-conformance.ts';

function expandedKernel(isa: string): Kernel {
  const { kernel } = loadKernel(isa);
  return {
    ...kernel,
    isa: `${kernel.isa}, expanded keys`,
    open: (patterns) => kernel.open(patterns, 'expanded'),
  };
}

const scalarOf = (expandedKey: Uint8Array): bigint =>
  BigInt(`0x${Buffer.from(expandedKey.subarray(0, 32)).reverse().toString('hex')}`);

for (const isa of kernelLevels()) {
  kernelConformance(expandedKernel(isa), isa === 'js' ? 2_000 : 20_000);

  suite(`expanded keys of kernel ${isa}`, () => {
    test('no two scalars of a slice are apart, or from their opposites, by a step that is known', () => {
      // 58 attempts a hit: a walk of thousands that went on behind its first hit would have many.
      const pattern = parsePattern({ prefix: '', suffix: 'e', ignoreCase: false });
      const search = expandedKernel(isa).open([pattern]);
      const { hits } = search.slice(50, 150);
      search.close();
      const scalars = hits.map(({ key }) => scalarOf(key));
      for (const [index, scalar] of scalars.entries()) {
        assert.ok(scalar > 0n && scalar < L);
        for (const other of scalars.slice(0, index)) {
          for (const gap of [scalar - other, scalar + other]) {
            const sizes = [(gap + L) % L, (L - (gap % L)) % L];
            assert.ok(
              sizes.every((size) => size > 2n ** 200n),
              'two hits of one walk',
            );
          }
        }
      }
      const prefixes = hits.map(({ key }) => Buffer.from(key.subarray(32)).toString('hex'));
      assert.equal(new Set(prefixes).size, hits.length);
    });

    test('the public key is the scalar times the base point, by BigInt', () => {
      const pattern = parsePattern({ prefix: '', suffix: '[A-Z]', ignoreCase: false });
      const search = expandedKernel(isa).open([pattern]);
      const { hits } = search.slice(20, 10);
      search.close();
      assert.ok(hits.length > 0);
      for (const { key, publicKey } of hits) {
        assert.deepEqual(Buffer.from(publicKeyOfExpanded(key)), Buffer.from(publicKey));
      }
    });
  });
}
