import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { LastWarnings, WARNINGS_MAX } from '../../src/last-warnings.ts';

const AT = '2026-01-01T00:00:00.000Z';
const line = (level: string, msg: string, fields: object = {}) =>
  `${JSON.stringify({ level, time: AT, thread: 'store', ...fields, msg })}\n`;

test('another thread reads warnings and what is graver, the newest first, and nothing else', () => {
  const written = new LastWarnings();
  assert.deepEqual(written.read(), []);
  for (const level of ['debug', 'info', 'warn', 'error', 'fatal']) {
    written.note(line(level, `it is ${level}`, level === 'warn' ? {} : { code: 'X', n: [1, 2] }));
  }
  const of = (level: string, details: string) => {
    return { at: AT, level, thread: 'store', message: `it is ${level}`, details };
  };
  assert.deepEqual(new LastWarnings(written.buffer).read(), [
    of('fatal', 'code=X n=[1,2]'),
    of('error', 'code=X n=[1,2]'),
    of('warn', ''),
  ]);
});

test('of an error the message stays, and a text with lines is one line', () => {
  const warnings = new LastWarnings();
  const err = { type: 'Error', message: 'no\nroom', stack: 'Error: no room\n  at x.ts:1' };
  warnings.note(line('error', 'a request\n failed', { err }));
  const [{ message, details } = { message: '', details: '' }] = warnings.read();
  assert.deepEqual([message, details], ['a request failed', 'err=no room']);
});

test('as many are kept as fit, and what is too long is cut between characters', () => {
  const warnings = new LastWarnings();
  for (let n = 0; n < 2 * WARNINGS_MAX + 7; n++) warnings.note(line('warn', `line ${n}`));
  const last = 2 * WARNINGS_MAX + 6;
  const expected = Array.from({ length: WARNINGS_MAX }, (_, index) => `line ${last - index}`);
  assert.deepEqual(
    warnings.read().map(({ message }) => message),
    expected,
  );
  for (const before of ['', 'x', 'xx']) {
    warnings.note(line('warn', `${before}${'€'.repeat(1000)}`));
    const [{ message } = { message: '' }] = warnings.read();
    assert.match(message, new RegExp(`^${before}€{300,340}$`));
  }
});

test('a slot that is written at this moment is passed over, whatever becomes of its writer', () => {
  const warnings = new LastWarnings();
  for (const msg of ['one', 'two', 'three']) warnings.note(line('warn', msg));
  // As the file has it: slots of 256 words behind the first one, a version first, odd while it is written.
  const words = new Int32Array(warnings.buffer);
  Atomics.sub(words, 2 * 256, 1);
  assert.deepEqual(
    warnings.read().map(({ message }) => message),
    ['three', 'one'],
  );
});

test('threads that write at once lose no line that is whole', async () => {
  const warnings = new LastWarnings();
  const module = JSON.stringify(new URL('../../src/last-warnings.ts', import.meta.url).href);
  const code = `import { workerData } from 'node:worker_threads';
    import { LastWarnings } from ${module};
    const warnings = new LastWarnings(workerData.buffer);
    for (let n = 0; n < 500; n++) {
      const msg = workerData.name.repeat(1 + (n % 90));
      warnings.note(JSON.stringify({ level: 'warn', time: 't', thread: 'x', msg }));
    }`;
  const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  const ends = ['a', 'b', 'c'].map((name) => {
    const worker = new Worker(url, { workerData: { buffer: warnings.buffer, name } });
    return new Promise((resolve) => worker.once('exit', resolve));
  });
  let seen = 0;
  const look = () => {
    for (const { message } of warnings.read()) {
      assert.match(message, /^(a+|b+|c+)$/);
      seen++;
    }
  };
  const looking = setInterval(look, 1);
  assert.deepEqual(await Promise.all(ends), [0, 0, 0]);
  clearInterval(looking);
  look();
  assert.equal(warnings.read().length, WARNINGS_MAX);
  assert.ok(seen >= WARNINGS_MAX);
});
