import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatusEvent } from '../../src/api/service.ts';
import { linesOf as laidOut, type Shown } from '../../src/cli/top-layout.ts';

type Pool = StatusEvent['pools'][number];

function pool(figures: Partial<Pool> = {}): Pool {
  return {
    name: 'pet',
    pattern: '...[a-z]Pet',
    difficulty: 452_660,
    keys: 'seed',
    handout: 'secret',
    lowHours: 1,
    target: 1000,
    stock: 656,
    available: 400,
    leased: 256,
    ready: 256,
    reserved: 3,
    dispensed: 12_345,
    burned: 0,
    consumptionPerHour: 0,
    hoursOfStock: null,
    ground: 13_000,
    imported: 0,
    paused: false,
    grinding: {
      active: true,
      threads: 2,
      attemptsPerSecond: 3_400_000,
      hitsPerSecond: 7.5,
      etaSeconds: 46,
    },
    ...figures,
  };
}

function snapshot(uptimeMs: number, pools: Pool[], reasons: string[] = []): StatusEvent {
  const status = reasons.length === 0 ? 'ready' : 'degraded';
  const at = new Date(uptimeMs).toISOString();
  return { at, uptimeMs, pools, readiness: { status, reasons } };
}

function shown(latest: StatusEvent, more: Partial<Shown> = {}): Shown {
  return { url: 'http://127.0.0.1:5057', latest, before: undefined, lost: undefined, ...more };
}

/** The texts alone. */
function linesOf(what: Shown, columns: number, rows: number): string[] {
  return laidOut(what, columns, rows).map(({ text }) => text);
}

test('a pool has its figures in one line, and how fast it is dispensed', () => {
  const before = snapshot(10_000, [pool({ dispensed: 12_345 - 250 })]);
  const lines = linesOf(shown(snapshot(12_000, [pool()]), { before }), 200, 50);
  assert.equal(lines[0], 'vanitypool at http://127.0.0.1:5057: ready  00:00:12 UTC  (q ends)');
  assert.equal(lines[1], '');
  const heads = lines[2]!.split(/ {2,}/);
  const named =
    'pool/pattern/full/stock/target/ready/reserved/dispensed/now/burned/grinding/full in';
  assert.deepEqual(heads, named.split('/'));
  assert.match(lines[3]!, /^pet {3}\.\.\.\[a-z\]Pet {2}######---- +65% /);
  assert.match(
    lines[3]!,
    /65% +656 +1,000 +256 +3 +12,345 +125\/s +0 +3\.40 M\/s +46 s$/,
    'stock is what is available and what is ready',
  );
});

test('a clock that was set meanwhile changes no rate', () => {
  const before = snapshot(10_000, [pool({ dispensed: 12_345 - 250 })]);
  const latest = snapshot(12_000, [pool()]);
  const lines = linesOf(shown(latest, { before }), 200, 50);
  for (const at of ['2036-01-01T00:00:00.000Z', '1970-01-01T00:00:00.000Z']) {
    assert.deepEqual(linesOf(shown(latest, { before: { ...before, at } }), 200, 50), lines);
  }
});

test('what each grinder thread gets has a line of its own', () => {
  const latest = snapshot(0, [pool()]);
  const threads = [
    { priority: 'normal', share: 0.974 },
    { priority: 'raised', share: 0.031 },
  ] as const;
  const line = (...of: { priority: 'normal' | 'raised'; share: number | null }[]) => {
    const grinder = {
      priorityChanges: 1,
      instructions: 'avx2',
      fullAttemptsPerSecond: { seed: 2000, expanded: null },
      threads: of.map((thread) => ({ ...thread, attemptsPerSecond: thread.share && 1000 })),
    } as const;
    return linesOf(shown({ ...latest, grinder }), 100, 50)[2];
  };
  const both = 'grinder: 2 threads at nice 0 and nice 3, got 97 %, 3 % of a core';
  assert.equal(line(...threads), both);
  assert.equal(line({ priority: 'normal', share: null }), 'grinder: 1 thread at nice 0, asleep');
  assert.equal(line(), 'grinder: off');
});

test('nodes of a database are said after the grinder', () => {
  const nodes = { running: 2, lost: 1, missed: 0, stopped: 0 };
  const lines = linesOf(shown({ ...snapshot(0, [pool()]), nodes }), 100, 50);
  assert.ok(lines.includes('3 nodes, 1 lost: see vanitypool nodes'));
});

test('what cannot be known is not said', () => {
  const idle = {
    active: false,
    threads: 0,
    attemptsPerSecond: 0,
    hitsPerSecond: 0,
    etaSeconds: null,
  };
  const now = snapshot(2000, [pool({ dispensed: 5, grinding: idle })]);
  const [, , , first] = linesOf(shown(now), 200, 50);
  assert.match(first!, / 5 +- +0 +- +-$/);
  const restored = linesOf(
    shown(now, { before: snapshot(1000, [pool({ dispensed: 9 })]) }),
    200,
    50,
  );
  assert.equal(restored[3], first, 'fewer than before');
  const same = linesOf(shown(now, { before: now }), 200, 50);
  assert.equal(same[3], first, 'no time has passed');
  const other = linesOf(shown(now, { before: snapshot(1000, [pool({ name: 'pump' })]) }), 200, 50);
  assert.equal(other[3], first, 'the pool is new');
  const paused = linesOf(shown(snapshot(2000, [pool({ paused: true })])), 200, 50);
  assert.match(paused[3]!, / paused +-$/);
});

test('an overfull pool does not break its bar', () => {
  const [, , , line] = linesOf(shown(snapshot(0, [pool({ target: 1 })])), 200, 50);
  assert.match(line!, /########## +999%/);
});

test('what is wrong is shown, with the last figures', () => {
  const latest = snapshot(0, [pool()], ['DISK_FULL', 'POOL_EMPTY: pump']);
  assert.equal(linesOf(shown(latest), 200, 50)[1], 'DISK_FULL; POOL_EMPTY: pump');
  const lost = linesOf(shown(latest, { lost: 'no server answers' }), 200, 50);
  assert.equal(lost[1], 'no server answers; trying again');
  assert.match(lost[3]!, /pet .* 12,345 /);
});

test('what is wrong is shown in as many lines as it takes, three at most', () => {
  const lost =
    'http://127.0.0.1:5057: no server answers (ECONNREFUSED); start one with: vanitypool serve';
  const lines = linesOf(shown(snapshot(0, [pool()]), { lost }), 40, 24);
  assert.equal(lines.slice(1, 4).join(' '), `${lost}; trying again`);
  assert.match(lines[4]!, /^pool /);
  const reasons = Array.from({ length: 99 }, (_, index) => `POOL_EMPTY: pool-${index}`);
  const many = linesOf(shown(snapshot(0, [pool()], reasons)), 40, 24);
  assert.match(many[3]!, /^.{1,40}$/);
  assert.match(many[3]!, /…/);
  assert.match(many[4]!, /^pool /);
  const styles = laidOut(shown(snapshot(0, [pool()]), { lost }), 40, 24).map(({ style }) => style);
  assert.deepEqual(styles, ['title', 'wrong', 'wrong', 'wrong', 'plain', 'plain']);
});

/** A pool whose figures are as wide as any, and whose name is as long as any. */
const LARGE = pool({
  name: 'a-pool-with-a-name-of-thirty-two',
  pattern: '[a-z][A-Z]Pet...pump (ignore case)',
  target: 100_000_000,
  available: 98_765_432,
  leased: 65_536,
  ready: 65_521,
  stock: 98_830_953,
  reserved: 12_321,
  dispensed: 1_234_567_890,
  burned: 7_654_321,
});
const NUMBERS = ['98,830,953', '100,000,000', '65,521', '12,321', '1,234,567,890', '7,654,321'];

/** What is kept at the widths of terminals. */
const FITTING: readonly (readonly [columns: number, ...headings: string[]])[] = [
  [40, 'pool', 'stock', 'target'],
  [60, 'pool', 'stock', 'target', 'now', 'grinding'],
  [80, 'pool', 'stock', 'target', 'dispensed', 'now', 'grinding'],
  [120, ...['pool', 'pattern', 'stock', 'target', 'dispensed', 'now', 'grinding', 'full in']],
  [
    200,
    ...['pool', 'pattern', 'full', 'stock', 'target', 'ready', 'reserved', 'dispensed', 'now'],
    ...['burned', 'grinding', 'full in'],
  ],
];

test('columns are left out whole, the least important first, and no number is cut', () => {
  const before = snapshot(0, [{ ...LARGE, dispensed: LARGE.dispensed - 1234 }, pool()]);
  const latest = snapshot(1000, [LARGE, pool()]);
  for (const [columns, ...headings] of FITTING) {
    const [, , heads, large, small] = linesOf(shown(latest, { before }), columns, 24);
    assert.deepEqual(heads!.split(/ {2,}/), headings);
    for (const figure of large!.match(/[\d,]{4,}/g)!) assert.ok(NUMBERS.includes(figure), figure);
    assert.match(large!, /^a-poo.*two /);
    assert.match(small!, /^pet .* 656 /);
    for (const line of [heads, large, small]) assert.ok(line!.length <= columns);
  }
});

test('at every width numbers are whole or not there, and names keep both ends', () => {
  const figures = new Set([...NUMBERS, '656', '1,000', '256', '3', '12,345', '0', '-']);
  for (let columns = 1; columns <= 220; columns++) {
    const lines = laidOut(shown(snapshot(0, [LARGE, pool()])), columns, 24);
    for (const { text } of lines) assert.ok(text.length <= columns, `${columns}: ${text}`);
    const [, , , large] = lines;
    // Without its name, pattern and rates.
    for (const cell of large!.text.split(/ {2,}/).slice(1)) {
      if (/^[\d,]+$/.test(cell)) assert.ok(figures.has(cell), `${columns}: ${cell}`);
    }
    if (columns >= 12) assert.match(large!.text, /^a-.*(two|…two)( |$)/, `${columns}`);
  }
});

test('pools that are alike at their beginning are distinguished', () => {
  const pools = ['eu', 'us'].map((end) => pool({ name: `the-same-beginning-of-a-name-${end}` }));
  const [, , , one, other] = linesOf(shown(snapshot(0, pools)), 40, 24);
  assert.match(one!, /…\S*eu /);
  assert.match(other!, /…\S*us /);
});

test('nothing is wider or higher than the terminal, and names move no cursor', () => {
  const pools = Array.from({ length: 30 }, (_, index) =>
    pool({ name: `p${index}\x1b[2J\n\x9b漢` }),
  );
  const latest = snapshot(0, pools);
  for (const [columns, rows] of [
    [80, 24],
    [20, 5],
    [1, 1],
    [300, 100],
  ] as const) {
    const lines = linesOf(shown(latest), columns, rows);
    assert.ok(lines.length <= rows);
    for (const line of lines) {
      assert.ok(line.length <= columns);
      assert.match(line, /^[\x20-\x7e…]*$/);
    }
  }
  const lines = linesOf(shown(latest), 300, 24);
  assert.equal(lines.length, 24);
  assert.equal(lines.at(-1), '... and 10 pools more');
  assert.equal(linesOf(shown(latest), 10, 24).at(-1), '+10', 'this number is not cut either');
  assert.equal(linesOf(shown(latest), 300, 33).length, 33, 'all fit');
});
