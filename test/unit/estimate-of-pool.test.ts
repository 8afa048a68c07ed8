import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimate } from '../../src/dashboard/estimate.ts';

const source = (suffix: string, prefix = '') => ({ prefix, suffix, ignoreCase: false });

test('what a pool would be is what the server would say of it', () => {
  assert.deepEqual(estimate(source('pump'), 500, 1_000_000), {
    isPossible: true,
    lines: [
      '...pump: 11,316,496 attempts a hit are expected; odds 1 in 11,316,496.',
      'Time to fill: 94 min for 500, 11 s for each, at 1,000,000 attempts a second.',
    ],
  });
  const { lines } = estimate(source('[a-z]P'), 1, null);
  assert.match(lines[1]!, /not known before the grinder has worked/);
  assert.match(lines[2]!, /^\[a-z\]: l is not in the base58 alphabet/);
});

test('what cannot be is refused in the words of the server, and nothing typed is no fault', () => {
  assert.deepEqual(estimate(source(''), 1000, 1), { isPossible: false, lines: [] });
  for (const [suffix, words] of [
    ['0x', /suffix: character 1, "0", is in no address/],
    ['[a', /suffix: the class that opens at character 1 has no "]"/],
    ['abcdefghijk', /suffix: 11 characters; at most 10/],
  ] as const) {
    const { isPossible, lines } = estimate(source(suffix), 1000, 1);
    assert.equal(isPossible, false);
    assert.match(lines[0]!, words);
  }
});
