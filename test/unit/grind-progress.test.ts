import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Goals } from '../../src/cli/grind-goals.ts';
import {
  GrindProgress,
  type ProgressFigures,
  progressLine,
  progressLines,
} from '../../src/cli/grind-progress.ts';
import type { Screen as Stderr } from '../../src/cli/output.ts';
import { parsePattern } from '../../src/keypair/pattern.ts';

/** What comes to a terminal, or to a file. */
class Screen {
  readonly written: string[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly stderr: Stderr;

  constructor(stderr: { isTTY: boolean; columns: number }) {
    const write = (text: string) => {
      this.written.push(text);
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
    this.stderr = { ...stderr, write };
  }

  /** Resolves when something more is written. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

const FIGURES: ProgressFigures = {
  difficulty: 452_659.84,
  count: 3,
  found: 1,
  attempts: 1_234_567,
  sinceHit: 452_660,
  attemptsPerSecond: 100_000,
  elapsedMs: 12_345,
};

test('the line shows what was found, attempts, rate, time, chance so far and ETA', () => {
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

const PATTERN = parsePattern({ prefix: '', suffix: '[a-z]b', ignoreCase: false });
const NOTE = '[a-z]: l is not in the base58 alphabet and is left out\n';

test('on a terminal one line is rewritten in place, and makes way for what is found', async (t) => {
  const screen = new Screen({ isTTY: true, columns: 40 });
  const figures = { attempts: 500, attemptsPerSecond: 1000 };
  const goals = new Goals([{ pattern: PATTERN, count: 2 }]);
  const [goal] = goals.all;
  const progress = new GrindProgress(goals, () => figures, screen.stderr);
  t.after(() => progress.end());
  assert.deepEqual(screen.written.splice(0), [NOTE]);
  await screen.next();
  const [drawn] = screen.written.splice(0);
  assert.ok(drawn?.startsWith('\r\x1b[K0 of 2 found  500 attempts'), drawn);
  assert.equal(drawn?.length, '\r\x1b[K'.length + 39, 'cut to the width, so that it is one line');
  progress.hit(goal!, 500);
  assert.deepEqual(screen.written.splice(0), ['\r\x1b[K']);
  for (let index = 0; index < 2; index++) goals.add(goal!);
  progress.hit(goal!, 500);
  progress.end();
  const [, end, newline] = screen.written;
  assert.match(end!, /^\r\x1b\[K\.\.\.\[a-z\]b: 2 of 2 found/);
  assert.equal(newline, '\n');
});

test('elsewhere there are whole lines and nothing of a terminal', (t) => {
  const screen = new Screen({ isTTY: false, columns: 0 });
  const figures = { attempts: 1_000_000, attemptsPerSecond: 0 };
  const goals = new Goals([{ pattern: PATTERN, count: 2 }]);
  const progress = new GrindProgress(goals, () => figures, screen.stderr);
  t.after(() => progress.end());
  goals.add(goals.all[0]!);
  progress.hit(goals.all[0]!, 500);
  progress.end();
  assert.equal(screen.written[0], NOTE);
  assert.match(
    screen.written[1]!,
    /^\.\.\.\[a-z\]b: 1 of 2 found in 1,000,000 attempts, [\d.]+ s\n$/,
  );
  assert.equal(screen.written.length, 2);
});

const SEVERAL = ['pump', 'Pet', ...Array.from({ length: 30 }, () => 'zzz')].map(
  (suffix, index) => ({
    pattern: parsePattern({ prefix: '', suffix, ignoreCase: false }),
    count: index === 0 ? 3 : 1,
  }),
);

test('each of several patterns has a line, with its own chance and ETA, until it is done', () => {
  const goals = new Goals(SEVERAL);
  const search = { attempts: 195_112, attemptsPerSecond: 1_000_000, elapsedMs: 1000 };
  const figuresOf = ({ pattern, count, found }: (typeof goals.all)[number]) => {
    return { difficulty: pattern.difficulty, count, found, sinceHit: 195_112, ...search };
  };
  const lines = progressLines(goals, search, figuresOf);
  assert.deepEqual(
    [...lines.slice(0, 4), ...lines.slice(-2)],
    [
      '0 of 34 found  0 of 32 patterns done  195,112 attempts  1.00 M/s  1 s  next in 0.0063 s',
      '  ...pump  0 of 3  chance 1.7%  ETA 34 s',
      '  ...Pet   0 of 1  chance 63%  ETA 0.2 s',
      '  ...zzz   0 of 1  chance 63%  ETA 0.2 s',
      '  ...zzz   0 of 1  chance 63%  ETA 0.2 s',
      '  and 16 more',
    ],
  );
  goals.add(goals.all[1]!);
  const [first, , third] = progressLines(goals, search, figuresOf);
  assert.match(first!, /^1 of 34 found {2}1 of 32 patterns done/);
  assert.match(third!, /^ {2}\.\.\.zzz/);
});

test('several lines of a terminal are rewritten in place, all of them', async (t) => {
  const screen = new Screen({ isTTY: true, columns: 40 });
  const figures = { attempts: 500, attemptsPerSecond: 1000 };
  const goals = new Goals(SEVERAL.slice(0, 2));
  const progress = new GrindProgress(goals, () => figures, screen.stderr);
  t.after(() => progress.end());
  await screen.next();
  await screen.next();
  const [first, second] = screen.written.splice(0);
  assert.equal(first!.split('\n').length, 3);
  assert.ok(first!.startsWith('\r\x1b[K0 of 4 found'), first);
  assert.ok(second!.startsWith('\x1b[2A\r\x1b[J0 of 4 found'), second);
  for (const line of second!.slice('\x1b[2A\r\x1b[J'.length).split('\n')) {
    assert.ok(line.length < 40, line);
  }
  progress.hit(goals.all[0]!, 500);
  assert.deepEqual(screen.written.splice(0), ['\x1b[2A\r\x1b[J']);
});
