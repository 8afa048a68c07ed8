/**
 * The tables of "Sizing" in docs/operations.md are computed here from what they are said to follow from:
 * the measured speeds of docs/benchmarks.md, the difficulty of each pattern, and the sizes of a pool.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parsePattern } from '../../src/keypair/pattern.ts';

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
const BENCHMARKS = read('benchmarks.md');
const [, SIZING = ''] = read('operations.md').split('\n## Sizing\n');
const [SECTION = ''] = SIZING.split('\n## ');

const DAY_SECONDS = 86_400;
const ISAS = ['avx512', 'avx2', 'portable'] as const;

const whole = (value: number) => Math.round(value).toLocaleString('en-US');

/** Attempts a second of one thread. */
function speedOf(isa: string): number {
  const [, figure = ''] = new RegExp(`^seed +${isa} +1 +([\\d,]+) `, 'm').exec(BENCHMARKS) ?? [];
  return Number(figure.replaceAll(',', ''));
}

/** Cells of the rows whose first cell matches. */
function rows(first: RegExp): string[][] {
  return [...SECTION.matchAll(/^\| (.+) \|$/gm)]
    .map(([, row]) => row!.split(' | '))
    .filter(([cell]) => first.test(cell!));
}

test('what a core grinds in a day follows from its speed and the difficulty', () => {
  const patterns = rows(/^`/);
  assert.ok(patterns.length >= 4);
  for (const [cell, ...figures] of patterns) {
    const suffix = cell!.replaceAll('`', '');
    const { difficulty } = parsePattern({ prefix: '', suffix, ignoreCase: false });
    const perDay = ISAS.map((isa) => whole((speedOf(isa) * DAY_SECONDS) / difficulty));
    assert.deepEqual(figures, [whole(difficulty), ...perDay], suffix);
  }
});

test('cores, disk and target follow from the addresses a day', () => {
  const [pump] = rows(/^`pump`/);
  const perCore = Number(pump![2]!.replaceAll(',', ''));
  const bytes = Number(/\*\*Disk\*\*: (\d+) bytes/.exec(SECTION)![1]);
  const [, pools] = /here for (ten) pools/.exec(SECTION)!;
  assert.equal(pools, 'ten');
  const memory = 145 + 302 + 10 * (10 + 12.6);
  const sizes = rows(/^[\d,]+$/);
  assert.equal(sizes.length, 4);
  for (const [day, ...cells] of sizes) {
    const addresses = Number(day!.replaceAll(',', ''));
    assert.deepEqual(cells, [
      whole(Math.ceil(addresses / perCore) + 1),
      `${(memory / 1000).toFixed(1)} GB`,
      `${((addresses * 365 * bytes) / 1e9).toPrecision(2)} GB`,
      whole(addresses / 2),
    ]);
  }
});
