/**
 * What every grind kernel must do, as one suite with the kernel as its parameter. Statistics: a
 * count may be 4 standard deviations from what is expected, which a right kernel misses
 * once in some ten thousand times; then it is counted once more, and a second miss is a failure.
 */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Kernel, KernelHit } from '../../src/grinder/kernel.ts';
import { addressOf } from '../../src/keypair/address.ts';
import { BASE58_ALPHABET } from '../../src/keypair/base58-digits.ts';
import { proveKey } from '../../src/keypair/expanded.ts';
import { matches, type Pattern, parsePattern } from '../../src/keypair/pattern.ts';

const pattern = (prefix: string, suffix: string, ignoreCase = false): Pattern =>
  parsePattern({ prefix, suffix, ignoreCase });

const LETTERS = [...BASE58_ALPHABET];
/** What takes long is how rare they are: that is computed once for all kernels. */
const HUNDREDS = LETTERS.slice(0, 6).flatMap((first) =>
  LETTERS.map((second) => pattern('', `${first}${second}`)),
);
const RARE = pattern('zzzzzzzzzz', 'zzzzzzzzzz');

/** Checks every claim that a hit makes. */
function checkHit(hit: KernelHit, patterns: readonly Pattern[]): void {
  assert.ok(proveKey(hit), 'the public key is the one of the secret');
  const address = addressOf(hit.publicKey);
  assert.equal(
    hit.pattern,
    patterns.findIndex((candidate) => matches(candidate, address)),
    'the pattern is the first that matches',
  );
}

interface Found {
  readonly attempts: number;
  readonly hits: readonly KernelHit[];
}

/** Grinds until at least `attempts` are made, with room for `maxHits` hits a slice. */
function grind(
  kernel: Kernel,
  patterns: readonly Pattern[],
  attempts: number,
  maxHits = 4096,
): Found {
  const search = kernel.open(patterns);
  const hits: KernelHit[] = [];
  let made = 0;
  try {
    while (made < attempts) {
      const slice = search.slice(20, maxHits);
      assert.ok(slice.attempts > 0, 'a slice tries something');
      assert.ok(slice.hits.length <= maxHits, 'a slice keeps to its room');
      assert.equal(slice.faults, 0, 'no key comes out wrong');
      made += slice.attempts;
      hits.push(...slice.hits);
    }
  } finally {
    search.close();
  }
  const keys = new Set(hits.map(({ key }) => Buffer.from(key).toString('hex')));
  assert.equal(keys.size, hits.length, 'no key comes twice');
  return { attempts: made, hits };
}

function isWithinFourSigma(count: number, attempts: number, difficulty: number): boolean {
  const chance = 1 / difficulty;
  const expected = attempts * chance;
  return Math.abs(count - expected) <= 4 * Math.sqrt(expected * (1 - chance));
}

/** Each of `patterns`, which exclude each other, has as many hits as it should. */
function assertCounts(
  kernel: Kernel,
  patterns: readonly Pattern[],
  attempts: number,
  maxHits?: number,
): void {
  const misses = () => {
    const found = grind(kernel, patterns, attempts, maxHits);
    for (const hit of found.hits) checkHit(hit, patterns);
    return patterns.filter((candidate, index) => {
      const count = found.hits.filter((hit) => hit.pattern === index).length;
      return !isWithinFourSigma(count, found.attempts, candidate.difficulty);
    });
  };
  if (misses().length === 0) return;
  const texts = misses().map(({ text }) => text);
  assert.deepEqual(texts, [], 'patterns with too many or too few hits, twice');
}

/** `attempts`: candidates that this kernel tries in less than a second. */
export function kernelConformance(kernel: Kernel, attempts: number): void {
  suite(`kernel ${kernel.isa}`, () => {
    const single: readonly [string, Pattern][] = [
      ['a suffix of one character, whose low bits hold the sign', pattern('', '2')],
      ['a suffix of two', pattern('', 'et')],
      ['a class', pattern('', '[a-f]t')],
      ['a suffix without regard to case', pattern('', 'Pe', true)],
      ['a prefix of one character', pattern('A', '')],
      ['a prefix among the common first characters', pattern('5e', '')],
      ['a prefix class', pattern('[2-9][A-M]', '')],
      ['a leading zero byte', pattern('1', '')],
      ['both sides', pattern('[2-9]', '[a-m]')],
      ['everything', pattern('', '[1-9A-Za-z]')],
    ];
    for (const [what, one] of single) {
      test(`hits as often as expected: ${what} (${one.text})`, () => {
        const enough = Math.min(attempts, Math.ceil(one.difficulty * 300));
        assertCounts(kernel, [one], enough);
      });
    }

    test('hits as often as expected: patterns side by side, each with its own', () => {
      // They exclude each other, so that each has all of its hits.
      const patterns = [pattern('', 'ab'), pattern('', '[c-h]'), pattern('', 'AB', true)];
      assertCounts(kernel, [...patterns.slice(0, 2), pattern('', 'Z9')], attempts / 4);
      const overlapping = [...patterns, pattern('7', ''), pattern('[2-9]', 'Z')];
      for (const hit of grind(kernel, overlapping, attempts / 8).hits) checkHit(hit, overlapping);
    });

    test('hits as often as expected: hundreds of patterns', () => {
      const total = () => {
        const found = grind(kernel, HUNDREDS, attempts / 8);
        for (const hit of found.hits) checkHit(hit, HUNDREDS);
        return isWithinFourSigma(found.hits.length, found.attempts, 58 / 6);
      };
      assert.ok(total() || total());
    });

    test('attempts are right when slices end because they are full', () => {
      assertCounts(kernel, [pattern('', '[a-c]')], Math.min(attempts / 8, 1000), 1);
    });

    test('a rare pattern of both sides is no hit by chance', () => {
      const found = grind(kernel, [RARE], attempts / 8);
      assert.equal(found.hits.length, 0);
    });

    test('a budget of nothing still tries something', () => {
      const search = kernel.open([pattern('', 'zzzz')]);
      assert.ok(search.slice(0, 1).attempts > 0);
      search.close();
    });

    test('no two hits of a slice, or of two, are related', () => {
      const { hits } = grind(kernel, [pattern('', '[1-9A-Za-z]')], 200, 200);
      const seeds = hits.map(({ key }) => key.subarray(0, 32));
      // Seeds of one counter, or of one base and small steps, would agree in most of their bytes.
      for (const [index, seed] of seeds.entries()) {
        for (const other of seeds.slice(0, index)) {
          const same = seed.filter((byte, at) => byte === other[at]).length;
          assert.ok(same < 12, `${same} bytes of two seeds agree`);
        }
      }
    });

    test('a search that is closed cannot be used, and may be closed again', () => {
      const search = kernel.open([pattern('', 'a')]);
      search.close();
      search.close();
      assert.throws(() => search.slice(1, 1), { code: 'INTERNAL', message: /closed/ });
    });
  });
}
