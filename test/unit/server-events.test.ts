import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventsIn } from '../../src/cli/server-events.ts';

const STREAM =
  'retry: 1000\n: a comment\n\n' +
  'id: 1\nevent: status\ndata: {"a":"b: c"}\n\n' +
  ': still here\n\n' +
  'id: 2\nevent: other\ndata: no\n\n' +
  'id: 3\nevent: status\ndata: 3\n\n' +
  'id: 4\nevent: status\ndata: half';

async function eventsOf(pieces: readonly string[]): Promise<string[]> {
  const source = async function* () {
    yield* pieces;
  };
  const events: string[] = [];
  for await (const event of eventsIn(source(), 'status')) events.push(event);
  return events;
}

test('events come whole, wherever the text is cut, and nothing else comes', async () => {
  const expected = ['{"a":"b: c"}', '3'];
  assert.deepEqual(await eventsOf([STREAM]), expected);
  assert.deepEqual(await eventsOf([...STREAM]), expected);
  for (let cut = 0; cut < STREAM.length; cut++) {
    assert.deepEqual(await eventsOf([STREAM.slice(0, cut), STREAM.slice(cut)]), expected);
  }
});
