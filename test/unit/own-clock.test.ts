/** The store's own clock, by a system whose clock and uptime the test sets. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { suite, test } from 'node:test';
import { OwnClock } from '../../src/store/own-clock.ts';
import { TestTime } from '../support/test-time.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

class Subject {
  readonly time = new TestTime();
  readonly clock: OwnClock;
  /** What the looks have found, but for nothing. */
  readonly found: object[] = [];

  /** `savedAgo`: ms since the own time was saved, negative where that was ahead of now. */
  constructor(savedAgo?: number) {
    const saved = savedAgo === undefined ? undefined : this.time.system() - savedAgo;
    this.clock = new OwnClock(saved, this.time);
  }

  /** So long, looked at each second, or as often as that. */
  pass(ms: number, everyMs = SECOND): void {
    for (const end = this.time.elapsed() + ms; this.time.elapsed() < end; ) {
      this.time.pass(everyMs);
      const look = this.clock.look();
      if (Object.keys(look).length > 0) this.found.push(look);
      if (look.due !== undefined) this.clock.take(look.due);
    }
  }

  /** What the own time is ahead of a clock that was never set. */
  get aheadMs(): number {
    return this.clock.now - this.time.right;
  }
}

suite('drift', () => {
  test('is followed by at most a minute in an hour', () => {
    const subject = new Subject();
    subject.time.set(50 * SECOND);
    subject.pass(SECOND);
    assert.equal(subject.aheadMs, 30 * SECOND, 'half a minute at once');
    subject.pass(HOUR);
    assert.equal(subject.aheadMs, 50 * SECOND, 'and the rest as time passes');
    for (let hours = 0; hours < 5; hours++) {
      const before = subject.aheadMs;
      subject.time.set(30 * SECOND);
      subject.pass(HOUR);
      assert.ok(subject.aheadMs - before <= MINUTE);
    }
    assert.deepEqual(subject.found, []);
    assert.ok(subject.clock.isSettled);
  });

  test('back as well', () => {
    const subject = new Subject();
    subject.time.set(-20 * SECOND);
    subject.pass(SECOND);
    assert.equal(subject.aheadMs, -20 * SECOND);
  });
});

for (const stepMs of [HOUR, -HOUR, 10 * YEAR, -55 * YEAR]) {
  suite(`a step of ${stepMs / HOUR} h`, () => {
    test('is taken when it has stood for an hour', () => {
      const subject = new Subject();
      subject.pass(5 * SECOND);
      subject.time.set(stepMs);
      subject.pass(HOUR - MINUTE);
      assert.deepEqual(subject.found, [{ began: stepMs }]);
      assert.equal(subject.aheadMs, 0);
      assert.equal(subject.clock.isSettled, false);
      assert.equal(subject.clock.isOver(0, 1), false, 'nothing ends for good');
      subject.pass(2 * MINUTE);
      assert.deepEqual(subject.found.slice(1), [{ due: stepMs }]);
      assert.equal(subject.aheadMs, stepMs);
      assert.ok(subject.clock.isSettled);
    });

    test('that is taken back is forgotten', () => {
      const subject = new Subject();
      subject.time.set(stepMs);
      subject.pass(30 * MINUTE);
      subject.time.set(-stepMs);
      subject.pass(2 * HOUR);
      assert.deepEqual(subject.found, [{ began: stepMs }, { isOver: true }]);
      assert.equal(subject.aheadMs, 0);
    });
  });
}

test('a step that becomes another begins anew', () => {
  const subject = new Subject();
  subject.time.set(HOUR);
  subject.pass(50 * MINUTE);
  subject.time.set(HOUR);
  subject.pass(50 * MINUTE);
  assert.deepEqual(subject.found, [{ began: HOUR }, { began: 2 * HOUR }]);
  assert.equal(subject.aheadMs, 0);
  subject.pass(11 * MINUTE);
  assert.equal(subject.aheadMs, 2 * HOUR);
});

test('an hour with a gap of over a minute between two looks is none', () => {
  const subject = new Subject();
  subject.time.set(DAY);
  subject.pass(2 * HOUR, MINUTE + 1);
  assert.equal(subject.aheadMs, 0);
  subject.pass(HOUR + MINUTE, MINUTE);
  assert.equal(subject.aheadMs, DAY);
  assert.deepEqual(subject.found, [{ began: DAY }, { due: DAY }]);
});

test('what cannot be taken is due again', () => {
  const subject = new Subject();
  subject.time.set(DAY);
  subject.pass(HOUR);
  for (let looks = 0; looks < 3; looks++) {
    subject.time.pass(SECOND);
    assert.equal(subject.clock.look().due, DAY);
  }
  assert.equal(subject.aheadMs, 0);
});

test('a start behind the last is in doubt, and by its latest time what was over is over', () => {
  const { clock, time } = new Subject(-DAY);
  const saved = time.right + DAY;
  time.pass(MINUTE);
  assert.deepEqual([clock.now, clock.latest], [time.right, saved + MINUTE]);
  time.pass(0.3);
  assert.ok(Number.isInteger(clock.latest), 'a whole number, as it is shared');
  time.pass(HOUR);
  assert.equal(clock.latest, clock.now, 'until it is believed');
  assert.equal(new Subject(DAY).clock.latest, new Subject().clock.now);
});

suite('a start', () => {
  for (const [name, savedAgo, isInDoubt] of [
    ['that is the first', undefined, false],
    ['after a minute', MINUTE, false],
    ['after an hour', HOUR, false],
    ['after more', HOUR + SECOND, true],
    ['before the last', -SECOND, true],
    ['ten years before', -10 * YEAR, true],
  ] as const) {
    test(name, () => {
      const subject = new Subject(savedAgo);
      assert.equal(subject.clock.isInDoubt, isInDoubt);
      assert.equal(subject.clock.isSettled, !isInDoubt);
      subject.pass(HOUR);
      assert.ok(subject.clock.isSettled, 'for an hour');
    });
  }

  test('in doubt takes a step at once', () => {
    const subject = new Subject(-YEAR);
    subject.time.set(YEAR);
    subject.pass(SECOND);
    assert.deepEqual(subject.found, [{ began: YEAR, due: YEAR }]);
    assert.equal(subject.aheadMs, YEAR);
    assert.ok(!subject.clock.isSettled, 'and stays in doubt');
  });
});

test('times of other threads are recorded as they are, unless they are a minute off', () => {
  const { clock } = new Subject();
  const { now } = clock;
  for (const at of [now, now - MINUTE, now + MINUTE]) assert.equal(clock.recorded(at), at);
  for (const at of [0, now - MINUTE - 1, now + MINUTE + 1, now + YEAR]) {
    assert.equal(clock.recorded(at), now);
  }
});

test('a sleep is no step', () => {
  const subject = new Subject();
  subject.time.sleep(DAY);
  subject.pass(SECOND);
  assert.deepEqual([subject.found, subject.clock.isSettled], [[], true]);
});

test('a time of a thread that was awake first is no step', () => {
  const { clock, time } = new Subject();
  const before = clock.now;
  time.sleep(DAY);
  assert.equal(clock.recorded(time.system()), before + DAY);
  assert.equal(clock.now, before + DAY);
});

test('times of a run before lie between what it saved last and now', () => {
  const { clock } = new Subject(DAY);
  const { now } = clock;
  for (const at of [now, now - DAY, now - DAY / 2]) assert.equal(clock.recovered(at), at);
  for (const at of [0, now - DAY - 2 * MINUTE, now + 2 * MINUTE]) {
    assert.equal(clock.recovered(at), now);
  }
});

test('nothing else in the store and the pools asks the system for the time', () => {
  const asking = ['store', 'pool'].flatMap((room) => {
    const directory = new URL(`../../src/${room}/`, import.meta.url);
    const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
    return files
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => {
        const lines = readFileSync(new URL(file, directory), 'utf8').split('\n');
        const found = lines.filter((line) => /\bDate\.now\(|new Date\(\)|\bDate\(\)/.test(line));
        return found.map((line) => `${file}: ${line.trim()}`);
      });
  });
  assert.deepEqual(asking.sort(), [
    // Of a moment ahead, against a machine that was suspended: no record has it.
    'deadline.ts: return Math.max(0, Math.min(monotonic - monotonicMs(), wall - Date.now()));',
    "deadline.ts: return monotonicMs() > monotonic || Date.now() > this.#board.get('wall');",
    'deadline.ts: this.#board.write({ monotonic, wall: Date.now() + monotonic - monotonicMs() });',
    'own-clock.ts: return Date.now();',
    'pool.ts: this.#hands.record(this.shared.name, { position, count, at: Date.now(), ...receiver });',
  ]);
});
