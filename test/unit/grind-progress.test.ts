import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProgressFigures, progressLine } from '../../src/cli/grind-progress.ts';

const FIGURES: ProgressFigures = {
  difficulty: 452_659.84,
  count: 3,
  found: 1,
  attempts: 1_234_567,
  sinceHit: 452_660,
  attemptsPerSecond: 100_000,
  elapsedMs: 12_345,
};

test('the line tells what was found, attempts, rate, time, chance so far and ETA', () => {
  assert.equal(
    progressLine(FIGURES),
    '1 of 3 found  1,234,567 attempts  100 k/s  12 s  chance 63%  ETA 9.1 s',
  );
});

test('the chance is that of the next address: it starts again after a hit', () => {
  assert.match(progressLine({ ...FIGURES, sinceHit: 0 }), / {2}chance 0% {2}/);
  assert.match(progressLine({ ...FIGURES, sinceHit: 1e9 }), / {2}chance >99\.9% {2}/);
});

test('the ETA is for all that are left', () => {
  assert.match(progressLine({ ...FIGURES, found: 2 }), / {2}ETA 4\.5 s$/);
  assert.match(progressLine({ ...FIGURES, found: 0, count: 100 }), / {2}ETA 7 min 33 s$/);
});

test('before the first report there is no rate and no ETA', () => {
  const figures = { ...FIGURES, attempts: 0, sinceHit: 0, attemptsPerSecond: 0 };
  assert.match(progressLine(figures), /0 attempts {2}0\/s .* chance 0% {2}ETA unknown$/);
});
