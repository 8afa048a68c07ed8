import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { Snapshot } from '../../src/cli/server-client.ts';
import { linesOf, type Shown, TopScreen } from '../../src/cli/top-screen.ts';

type Pool = Snapshot['status']['pools'][number];

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

function snapshot(at: number, pools: Pool[], reasons: string[] = []): Snapshot {
  const status = reasons.length === 0 ? 'ready' : 'degraded';
  return { at, status: { pools, readiness: { status, reasons } } };
}

function shown(latest: Snapshot, more: Partial<Shown> = {}): Shown {
  return { url: 'http://127.0.0.1:5057', latest, before: undefined, lost: undefined, ...more };
}

test('a pool has its figures in one line, and how fast it is dispensed', () => {
  const before = snapshot(10_000, [pool({ dispensed: 12_345 - 250 })]);
  const lines = linesOf(shown(snapshot(12_000, [pool()]), { before }), 200, 50);
  assert.equal(lines[0], 'vanitypool at http://127.0.0.1:5057: ready  00:00:12 UTC  (Ctrl-C ends)');
  assert.equal(lines[1], '');
  const heads = lines[2]!.split(/ {2,}/);
  const named = 'pool pattern full target stock reserved dispensed now burned grinding';
  assert.deepEqual(heads, named.split(' '));
  assert.match(lines[3]!, /^pet {3}\.\.\.\[a-z\]Pet /);
  assert.match(
    lines[3]!,
    /######---- {2}65% +1,000 +656 +3 +12,345 +125\/s +0 +3\.40 M\/s, full in 46 s$/,
  );
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
  assert.match(first!, / 5 +- +0 +-$/);
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
});

test('an overfull pool does not break its bar', () => {
  const [, , , line] = linesOf(shown(snapshot(0, [pool({ target: 1 })])), 200, 50);
  assert.match(line!, /########## 999%/);
});

test('what is wrong is told, with the last figures', () => {
  const latest = snapshot(0, [pool()], ['DISK_FULL', 'POOL_EMPTY: pump']);
  assert.equal(linesOf(shown(latest), 200, 50)[1], 'DISK_FULL; POOL_EMPTY: pump');
  const lost = linesOf(shown(latest, { lost: 'no server answers' }), 200, 50);
  assert.equal(lost[1], 'no server answers; trying again');
  assert.match(lost[3]!, /pet .* 12,345 /);
});

test('nothing is wider or higher than the terminal, and names move no cursor', () => {
  const pools = Array.from({ length: 30 }, (_, index) => pool({ name: `p${index}\x1b[2J\n\x9b` }));
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
      assert.doesNotMatch(line, /\p{Cc}/u);
    }
  }
  const lines = linesOf(shown(latest), 300, 24);
  assert.equal(lines.length, 24);
  assert.equal(lines.at(-1), '... and 10 pools more');
  assert.equal(linesOf(shown(latest), 300, 33).length, 33, 'all fit');
});

/** A terminal that keeps each write. */
function terminal(columns: number, rows: number) {
  const writes: string[] = [];
  const stdout = Object.assign(new EventEmitter(), {
    columns,
    rows,
    write: (text: string) => void writes.push(text),
  });
  return { writes, stdout: stdout as unknown as NodeJS.WriteStream };
}

test('each status is one write over the one before, and the terminal is left as it was', () => {
  const { writes, stdout } = terminal(100, 30);
  const screen = new TopScreen(stdout);
  screen.show(shown(snapshot(0, [pool()])));
  screen.show(shown(snapshot(1000, [pool()])));
  assert.equal(writes.length, 3);
  assert.equal(writes[0], '\x1b[?1049h\x1b[?25l', 'a screen of its own, without a cursor');
  const [, , frame] = writes;
  assert.ok(!frame!.includes('\x1b[2J'), 'what is there is not cleared first');
  assert.ok(frame!.startsWith('\x1b[?2026h\x1b[H'));
  assert.ok(frame!.endsWith('\x1b[J\x1b[?2026l'));
  for (const line of frame!.split('\r\n').slice(0, -1)) assert.ok(line.endsWith('\x1b[K'), line);
  stdout.columns = 30;
  stdout.emit('resize');
  assert.equal(writes.length, 4);
  assert.ok(writes[3]!.length < frame!.length);
  screen.end();
  screen.end();
  stdout.emit('resize');
  screen.show(shown(snapshot(2000, [pool()])));
  assert.deepEqual(writes.slice(4), ['\x1b[?25h\x1b[?1049l']);
});
