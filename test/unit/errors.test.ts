import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERRORS, type ErrorCode, VanityError } from '../../src/errors.ts';

const entries = Object.entries(ERRORS) as [ErrorCode, (typeof ERRORS)[ErrorCode]][];

test('codes are words in capitals, at least two unless one says all', () => {
  for (const [code] of entries) assert.match(code, /^[A-Z]+(_[A-Z]+)*$/);
});

test('every error has an HTTP status of an error and a title that says what is wrong', () => {
  for (const [code, { status, title }] of entries) {
    assert.ok(Number.isInteger(status) && status >= 400 && status <= 599, `${code}: ${status}`);
    assert.match(title, /^[A-Z].*[^.]$/, code);
  }
  assert.equal(new Set(entries.map(([, { title }]) => title)).size, entries.length);
});

test('trying again helps only against what passes: what is on its way, the next day, 408, 503', () => {
  for (const [code, { status, retryable }] of entries) {
    const others: string[] = [
      'BACKUP_RUNNING',
      'IDEMPOTENCY_IN_FLIGHT',
      'QUOTA_EXCEEDED',
      'RATE_LIMITED',
      'SERVER_UNREACHABLE',
    ];
    const passes = status === 408 || status === 503 || others.includes(code);
    assert.equal(retryable, passes, code);
  }
});

test('the table of docs/http-api.md has every code that HTTP answers, with its status and title', () => {
  const text = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8');
  const section = text.split(/^## Errors$/m)[1]?.split(/^## /m)[0] ?? '';
  const rows = [...section.matchAll(/^\| (\d{3}) \| `([A-Z_]+)` \| (.+?) \|/gm)].map(
    ([, status, code, title]) => [Number(status), code, title],
  );
  const expected = entries
    .filter(([code]) => isAnswered(code))
    .map(([code, { status, title }]) => [status, code, title]);
  const sorted = (list: unknown[][]) => list.toSorted((a, b) => (String(a) < String(b) ? -1 : 1));
  assert.deepEqual(sorted(rows), sorted(expected));
});

/** The rest stop a start or a command. */
function isAnswered(code: ErrorCode): boolean {
  return ERRORS[code].status !== 500 || code === 'INTERNAL';
}

test('an error carries its code, its status and what was given', () => {
  const cause = new Error('disk');
  const error = new VanityError('POOL_EMPTY', 'pool pet: 0 left, 1 asked', {
    cause,
    retryAfterSeconds: 3,
  });
  assert.ok(error instanceof Error);
  assert.equal(error.name, 'VanityError');
  assert.equal(error.code, 'POOL_EMPTY');
  assert.equal(error.status, 503);
  assert.equal(error.message, 'pool pet: 0 left, 1 asked');
  assert.equal(error.cause, cause);
  assert.equal(error.retryAfterSeconds, 3);
  assert.equal(error.allow, undefined);
  const plain = new VanityError('METHOD_NOT_ALLOWED', 'PUT', { allow: 'GET, POST' });
  assert.equal(plain.allow, 'GET, POST');
  assert.equal(plain.retryAfterSeconds, undefined);
  assert.equal(Object.hasOwn(plain, 'cause'), false);
});
