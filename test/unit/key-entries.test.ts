import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Broken, KeyEntries, type KeyEntry } from '../../src/keypair/key-entries.ts';

/** What is cut from a text that comes in parts of so many characters. */
function cut(text: string, size = text.length || 1): (KeyEntry | Broken)[] {
  const entries = new KeyEntries();
  const found: (KeyEntry | Broken)[] = [];
  for (let at = 0; at < text.length; at += size)
    found.push(...entries.read(text.slice(at, at + size)));
  found.push(...entries.end());
  return found;
}

/** `line[item]:text` or `line[item]!reason`. */
function told(text: string): string[] {
  return cut(text).map((entry) => {
    const item = entry.item === undefined ? '' : `[${entry.item}]`;
    return 'reason' in entry
      ? `${entry.line}${item}!${entry.reason}`
      : `${entry.line}${item}:${entry.text}`;
  });
}

test('a line is an entry; empty ones and remarks are passed over', () => {
  assert.deepEqual(told('# mine\n\nabc \r\n\t\n  d=e f\nlast'), ['3:abc', '5:d=e f', '6:last']);
  assert.deepEqual(told(''), []);
  assert.deepEqual(told(' \n# x'), []);
});

test('a JSON value is an entry, on one line or on many', () => {
  assert.deepEqual(told('[1,\n 2]\n{"a":\n[3]}\n[4][5] x'), [
    '1:[1,\n 2]',
    '3:{"a":\n[3]}',
    '5:[4]',
    '5:[5]',
    '5:x',
  ]);
  assert.deepEqual(told('[]\n[ ]'), ['1:[]', '2:[ ]']);
  assert.deepEqual(told('{"a]":"\\"}"}'), ['1:{"a]":"\\"}"}']);
});

test('the items of a list are entries, with their place in it', () => {
  assert.deepEqual(told('[\n [1,2],\n {"a":["]"]} ,"b,\\"]"\n]\nc'), [
    '2[1]:[1,2]',
    '3[2]:{"a":["]"]}',
    '3[3]:"b,\\"]"',
    '5:c',
  ]);
});

test('what cannot be cut is named by its line, and ends the text', () => {
  const astray = 'a list that goes on with neither a comma, a key nor its end';
  const middle = 'it ends in the middle of a JSON value';
  assert.deepEqual(told('["a"\n"b"]\nc'), ['1[1]:"a"', `2[1]!${astray}`]);
  assert.deepEqual(told('["a",\n]\nc'), ['1[1]:"a"', `2[2]!${astray}`]);
  assert.deepEqual(told('[{},1]'), ['1[1]:{}', `1[2]!${astray}`]);
  assert.deepEqual(told('\n[1,2'), [`2!${middle}`]);
  assert.deepEqual(told('["a"'), ['1[1]:"a"', `1[1]!${middle}`]);
  assert.deepEqual(told('x\n{"a'), ['1:x', `2!${middle}`]);
  assert.deepEqual(told('['), [`1!${middle}`]);
  assert.deepEqual(told('a\nb\0c\nd'), ['1:a', '2!not text in UTF-8: it has zero bytes']);
});

test('an entry without an end is given up', () => {
  const [broken, ...more] = cut('a'.repeat(2_000_000), 65_536);
  assert.match((broken as Broken).reason, /^more than 1048576 characters/);
  assert.deepEqual(more, []);
});

test('wherever the parts of a text end, the entries are the same', () => {
  const pieces = fc.constantFrom(
    ...['[', ']', '{', '}', '"', '\\', ',', '1', 'ab', '#', '\n', ' ', '[1,2]', '"k"', '[{}]'],
  );
  fc.assert(
    fc.property(
      fc.array(pieces, { maxLength: 40 }),
      fc.integer({ min: 1, max: 7 }),
      (all, size) => {
        const text = all.join('');
        assert.deepEqual(cut(text, size), cut(text));
      },
    ),
    { numRuns: Number(process.env.FC_RUNS ?? 1000) },
  );
});
