import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Alone, Memory, Violation, WatchedSource } from './shared-memory.ts';

/** The accesses of a function whose body is `code`, and what they leave in 256 bytes. */
function accessesOf(code: string): { texts: string[]; memory: Memory; returned: unknown } {
  const text = `export function act(buffer: SharedArrayBuffer): unknown { ${code} }`;
  const source = new WatchedSource<(buffer: SharedArrayBuffer) => unknown>(text, 'act');
  const alone = new Alone(new Memory(256));
  const texts: string[] = [];
  const returned = source.run(
    {
      access(access) {
        texts.push(access.text);
        return alone.access(access);
      },
      allocate: (byteLength) => alone.allocate(byteLength),
    },
    (act) => act(source.buffer(256)),
  );
  return { texts, memory: alone.memory, returned };
}

test('each access is reported, and has its usual effect', () => {
  const { texts, memory, returned } = accessesOf(`
    const words = new Int32Array(buffer), doubles = new Float64Array(buffer);
    words[3] = 5;
    doubles[4] = 0.5;
    Atomics.store(words, 4, -7);
    return [
      words[3], doubles[4], Atomics.load(words, 4),
      Atomics.compareExchange(words, 4, 1, 2), Atomics.compareExchange(words, 4, -7, 8),
    ];`);
  assert.deepEqual(returned, [5, 0.5, -7, -7, -7]);
  assert.deepEqual(texts, [
    'write word 3 = 5',
    'write double 4 = 0.5',
    'store word 4 = -7',
    'read word 3',
    'read double 4',
    'load word 4',
    'exchange word 4: 1 -> 2',
    'exchange word 4: -7 -> 8',
  ]);
  assert.equal(memory.words[4], 8);
});

test('copies are torn at every cache line', () => {
  const { texts, memory, returned } = accessesOf(`
    const bytes = Buffer.from(buffer);
    new Float64Array(buffer).fill(1, 7, 9);
    const written = bytes.latin1Write('x'.repeat(50) + 'y'.repeat(50), 100, 60);
    return [written, bytes.latin1Slice(120, 200)];`);
  const text = 'x'.repeat(50) + 'y'.repeat(50);
  assert.deepEqual(returned, [60, `${text.slice(20, 60)}${'\0'.repeat(40)}`]);
  assert.deepEqual(texts, [
    'write bytes 56..63: fill 1',
    'write bytes 64..71: fill 1',
    `write bytes 100..127: ${text}`,
    `write bytes 128..159: ${text}`,
    'read bytes 120..127: slice',
    'read bytes 128..191: slice',
    'read bytes 192..199: slice',
  ]);
  assert.deepEqual([...memory.doubles.subarray(6, 10)], [0, 1, 1, 0]);
});

for (const code of [
  'new Uint8Array(buffer)',
  'new DataView(buffer)',
  'new Int32Array(buffer, 128)',
  'new Int32Array(4)',
  'new Int32Array(buffer).fill(0)',
  'new Int32Array(buffer).length',
  'new Int32Array(buffer)[0.5]',
  'new Int32Array(buffer)[-1]',
  'new Int32Array(buffer)[64]',
  'new Float64Array(buffer)[32] = 1',
  'new Float64Array(buffer).fill(0)',
  'Buffer.alloc(8)',
  'Buffer.from(buffer).readInt32LE(0)',
  'Buffer.from(buffer).latin1Write("text", 0)',
  'Atomics.add(new Int32Array(buffer), 0, 1)',
  'Atomics.load(new Float64Array(buffer), 0)',
  'Atomics.load(new Int32Array(buffer), 0.5)',
  'globalThis.Atomics',
  'process.exit()',
  'counter = 1',
]) {
  test(`what is not watched is refused: ${code}`, () => {
    assert.throws(() => accessesOf(`return ${code};`), Violation);
  });
}

test('a thread that runs alone and does not end is stopped', () => {
  const code = 'const words = new Int32Array(buffer); while (Atomics.load(words, 0) === 0);';
  assert.throws(() => accessesOf(code), /without an end/);
});

test('all fields of an object are shown but those that are shared', () => {
  const source = new WatchedSource<new (buffer: SharedArrayBuffer) => object>(
    `export class Kept {
       readonly #words: Int32Array; #last = 3; list = [1];
       constructor(buffer: SharedArrayBuffer) { this.#words = new Int32Array(buffer); }
     }`,
    'Kept',
  );
  const shown = source.show(new source.declared(source.buffer(256)));
  assert.equal(shown, '[["_last",3],["list",[1]]]');
});
