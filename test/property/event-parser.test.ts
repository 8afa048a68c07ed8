/** However a stream is cut into pieces, its events are the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EventParser } from '../../src/client/event-parser.ts';

const numRuns = Number(process.env.FC_RUNS ?? 500);

const line = fc.constantFrom('', '', 'data: x', 'data:y', 'data', 'event: status', ': c', 'id: 1');
const end = fc.constantFrom('\n', '\r\n', '\r');
const stream = fc
  .array(fc.tuple(line, end), { maxLength: 30 })
  // A carriage return at the very end could still become another line's end.
  .map((lines) => `${lines.flat().join('')}: end`);

test('events do not depend on where their stream is cut', () => {
  fc.assert(
    fc.property(stream, fc.array(fc.nat({ max: 200 })), (text, cuts) => {
      const places = [0, ...cuts.map((cut) => cut % text.length), text.length];
      places.sort((a, b) => a - b);
      const parser = new EventParser();
      const pieces = places.slice(1).map((place, index) => text.slice(places[index], place));
      const found = pieces.flatMap((piece) => parser.push(piece));
      assert.deepEqual(found, new EventParser().push(text));
    }),
    { numRuns },
  );
});
