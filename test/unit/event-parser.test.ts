/** Server-sent events, as the HTML standard has them and as the server of this project sends them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventParser } from '../../src/client/event-parser.ts';

const eventsOf = (text: string) =>
  new EventParser().push(text).map(({ type, data }) => [type, data]);

test('an event ends with an empty line, and not before', () => {
  assert.deepEqual(eventsOf('event: status\ndata: {}\n'), []);
  assert.deepEqual(eventsOf('event: status\ndata: {}\n\n'), [['status', '{}']]);
});

test('comments, ids and what has no data are left out', () => {
  const opening = 'retry: 1000\n: status, once a second\n\n';
  assert.deepEqual(eventsOf(`${opening}id: 7\nevent: status\ndata: {}\n\n: still here\n\n`), [
    ['status', '{}'],
  ]);
  assert.deepEqual(eventsOf('event: status\n\ndata: x\n\n'), [['message', 'x']]);
});

test('lines of data are joined; one space after the colon is no part of them', () => {
  assert.deepEqual(eventsOf('data: a\ndata:b: c\ndata:  d\ndata\n\n'), [
    ['message', 'a\nb: c\n d\n'],
  ]);
});

test('the three ends of lines', () => {
  for (const end of ['\n', '\r\n', '\r']) {
    const text = ['event: a', 'data: 1', '', 'data: 2', '', ': end'].join(end);
    assert.deepEqual(eventsOf(text), [
      ['a', '1'],
      ['message', '2'],
    ]);
  }
});
