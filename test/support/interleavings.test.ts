import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Explored, explore } from './interleavings.ts';
import { Memory, WatchedSource } from './shared-memory.ts';

/** Word 0 is for atomic accesses, words 16 and 17 for plain ones. */
const TEXT = `
  class Words {
    readonly #words: Int32Array;
    kept = 0;
    constructor(buffer: SharedArrayBuffer) { this.#words = new Int32Array(buffer); }
    load(): number { return Atomics.load(this.#words, 0); }
    store(value: number): number { return Atomics.store(this.#words, 0, value); }
    read(): number { return this.#words[16]!; }
    readOther(): number { return this.#words[17]!; }
    write(value: number): number { return (this.#words[16] = value); }
    addBadly(): number { return this.store(this.load() + 1); }
    add(): number {
      for (;;) {
        const before = this.load();
        if (Atomics.compareExchange(this.#words, 0, before, before + 1) === before) return before + 1;
      }
    }
    writeBoth(): number { this.write(7); return this.store(1); }
    storeFirst(): number { this.store(1); return this.write(7); }
    take(): number { return this.load() === 1 ? this.read() : -1; }
    takeEarly(): number { const early = this.read(); return this.load() === 1 ? early : -1; }
    claimAndTakeWhatFailed(): number {
      for (;;) {
        const before = this.load();
        const taken = this.read();
        if (Atomics.compareExchange(this.#words, 0, before, before + 1) === before) break;
        this.kept = taken;
      }
      return this.kept;
    }
    steered(): number { return this.read() === 7 ? this.readOther() : this.load(); }
    spin(): number { while (this.load() === 0); return 0; }
  }`;

type Name =
  | ('load' | 'read' | 'addBadly' | 'add' | 'writeBoth' | 'storeFirst' | 'take' | 'takeEarly')
  | ('claimAndTakeWhatFailed' | 'steered' | 'spin');
type Words = Record<Name, () => number> & { kept: number };

interface Seen extends Explored {
  /** What the threads returned, one text for all of a run that has ended. */
  readonly returned: Set<string>;
  /** Word 0 at any moment. */
  readonly words: Set<number>;
}

/** Explores threads that each call methods by name. `after`: the last one follows the first. */
function seen(threads: readonly Name[][], { after = false, constant = 0 } = {}): Seen {
  const source = new WatchedSource<new (buffer: SharedArrayBuffer) => Words>(TEXT, 'Words');
  const returned = new Set<string>();
  const words = new Set<number>();
  const explored = explore<new (buffer: SharedArrayBuffer) => Words, number>({
    source,
    memory: new Memory(128),
    threads: threads.map((names, index) => ({
      name: `thread ${index}`,
      run(Declared, buffer, report) {
        const declared = new Declared(buffer);
        for (const name of names) report(declared[name](), declared);
      },
      ...(after && index === threads.length - 1 && { after: 0 }),
    })),
    judge: {
      witness: () => 0,
      end() {},
      everywhere(outcomes, memory) {
        words.add(memory.words[0]!);
        const isEnd = outcomes.every((each, index) => each.length === threads[index]!.length);
        if (isEnd) returned.add(outcomes.join(' '));
      },
    },
    constant,
    steerless: 64,
  });
  return { ...explored, returned, words };
}

test('every schedule is explored: two threads of two steps have six', () => {
  const { schedules, returned, words } = seen([['addBadly'], ['addBadly']]);
  assert.equal(schedules, 6);
  assert.deepEqual([...returned].sort(), ['1 1', '1 2', '2 1']);
  assert.deepEqual([...words].sort(), [0, 1, 2]);
});

test('what is right in every schedule is found right', () => {
  const { returned } = seen([['add', 'add'], ['add']]);
  assert.deepEqual([...returned].sort(), ['1,2 3', '1,3 2', '2,3 1']);
});

test('schedules are counted though equal states are visited once', () => {
  const { schedules, states } = seen([Array(6).fill('load'), Array(6).fill('load')]);
  assert.equal(schedules, 924);
  assert.equal(states, 49);
});

test('what is written before an atomic store is there after the load that finds it', () => {
  assert.deepEqual([...seen([['writeBoth'], ['take']]).returned].sort(), ['1 -1', '1 7']);
});

for (const [name, threads] of Object.entries<Name[][]>({
  'read before the load': [['writeBoth'], ['takeEarly']],
  'written after the store': [['storeFirst'], ['take']],
  'read before a write that knows nothing of it': [['read'], ['writeBoth']],
})) {
  test(`to rely on what races is found: ${name}`, () => {
    assert.throws(() => seen(threads), /relied on what another thread wrote/);
  });
}

test('two writes in no order are found', () => {
  assert.throws(() => seen([['writeBoth'], ['writeBoth']]), /written by two threads in no order/);
});

test('what was read before a failed claim is rubbish from then on', () => {
  const { returned } = seen([['claimAndTakeWhatFailed'], ['claimAndTakeWhatFailed']]);
  assert.deepEqual([...returned].sort(), ['-1 0', '0 -1', '0 0']);
});

test('a thread that lets a race decide what it does is found', () => {
  assert.throws(() => seen([['writeBoth'], ['steered']]), /^Error: thread 1: does something else/);
});

test('a thread that waits for another is found: it would wait for a dead one for ever', () => {
  assert.throws(() => seen([['spin']]), /^Error: thread 0: does not end/);
});

test('a thread that takes over starts when the first has ended or died at any step', () => {
  const { returned, schedules } = seen([['addBadly'], ['addBadly']], { after: true });
  assert.deepEqual([...returned], ['1 2']);
  assert.equal(schedules, 3, 'dead before the load, before the store, and not at all');
});

test('who takes over knows what the first has written', () => {
  const { returned } = seen([['writeBoth'], ['read']], { after: true });
  assert.deepEqual([...returned], ['1 7']);
});

test('constant words are read in no step and never written', () => {
  const constant = 4;
  assert.equal(seen([['read'], ['read']], { constant }).schedules, 2);
  assert.throws(() => seen([['add']], { constant }), /outside of the memory/);
});
