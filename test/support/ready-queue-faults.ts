/**
 * Faults of the ready queue that need other threads, or a death, to show: each is one replacement
 * in the text of its source. A search through interleavings that misses one of them proves nothing
 * about the source without it. No thread runs this; `ready-queue-interleavings.test.ts` does.
 */

export interface Fault {
  /** A text that the source has exactly once, and what stands there instead. */
  readonly is: string;
  readonly becomes: string;
  /** The case in which it shows, by the name that it has in the test. */
  readonly shows: 'one cell' | 'reuse' | 'twos' | 'four cells' | 'sizes' | 'takeover';
  /** How. */
  readonly found: RegExp;
}

const READ = `      this.#read(slot, run, addresses, 0);
      if (run < count) this.#read(0, count - run, addresses, run);
`;
const CLAIM = `      const seen = head | 0;
      const next = (head + count) | 0;
      if (Atomics.compareExchange(this.#words, HEAD_WORD, seen, next) !== seen) continue;
`;
const [READ_FIRST, READ_REST] = READ.split(/(?<=;\n)/);
const PUBLISH = 'Atomics.store(this.#words, TAIL_WORD, (tail + count) | 0);';

const OTHERS = /^pop: got others than the oldest/;
const RELIED = /^relied on what another thread wrote in no order with it/;
const LOST = /^all dead: size: 0, not /;

export const FAULTS: Readonly<Record<string, Fault>> = {
  'a consumer claims before it reads': {
    is: READ + CLAIM,
    becomes: CLAIM + READ,
    shows: 'one cell',
    found: LOST,
  },
  'a consumer claims between the two halves of what it reads': {
    is: READ + CLAIM,
    becomes: `${READ_FIRST}${CLAIM}${READ_REST}`,
    shows: 'twos',
    found: LOST,
  },
  'a consumer claims what is the oldest after it has read': {
    is: 'const seen = head | 0;\n      const next = (head + count) | 0;',
    becomes: 'const seen = Atomics.load(this.#words, HEAD_WORD), next = (seen + count) | 0;',
    shows: 'one cell',
    found: OTHERS,
  },
  'a consumer claims by a load, a comparison and a store': {
    is: 'Atomics.compareExchange(this.#words, HEAD_WORD, seen, next) !== seen) continue;',
    becomes: `Atomics.load(this.#words, HEAD_WORD) !== seen) continue;
      Atomics.store(this.#words, HEAD_WORD, next);`,
    shows: 'one cell',
    found: OTHERS,
  },
  'a consumer does not look whether its claim succeeded': {
    is: 'if (Atomics.compareExchange(this.#words, HEAD_WORD, seen, next) !== seen) continue;',
    becomes: 'Atomics.compareExchange(this.#words, HEAD_WORD, seen, next);',
    shows: 'one cell',
    found: OTHERS,
  },
  'a consumer gives up when another was faster': {
    is: '!== seen) continue;',
    becomes: '!== seen) return undefined;',
    shows: 'reuse',
    found: /^pop: got none while 1 were ready/,
  },
  'a consumer hands out what it read before its claim failed': {
    is: '!== seen) continue;',
    becomes: `!== seen) { this.failed = addresses; continue; }
      if (this.failed !== undefined) return this.failed;`,
    shows: 'reuse',
    found: OTHERS,
  },
  'a consumer loads the tail before the head': {
    is: `const head = this.head;
      const ready = Math.min((this.tail - head) >>> 0, this.capacity);`,
    becomes: `const tail = this.tail, head = this.head;
      const ready = Math.min((tail - head) >>> 0, this.capacity);`,
    shows: 'one cell',
    found: OTHERS,
  },
  'a consumer moves poppedFrom before its claim': {
    is: 'const seen = head | 0;',
    becomes: 'const seen = head | 0; this.#poppedFrom = head;',
    shows: 'one cell',
    found: /^pop: got none and moved poppedFrom/,
  },
  'a consumer takes poppedFrom from the cells that it saw ready': {
    is: 'this.#poppedFrom = head;',
    becomes: 'this.#poppedFrom = (head + ready - count) >>> 0;',
    shows: 'reuse',
    found: /^pop: poppedFrom: /,
  },
  'a consumer takes poppedFrom from the head after its claim': {
    is: 'this.#poppedFrom = head;',
    becomes: 'this.#poppedFrom = (this.head - count) >>> 0;',
    shows: 'one cell',
    found: LOST,
  },
  'what a consumer reads decides what it does next': {
    is: 'createdAt: this.#doubles[(cell + CREATED_AT) / 8]!,',
    becomes: 'createdAt: shape === -1 ? 0 : this.#doubles[(cell + CREATED_AT) / 8]!,',
    shows: 'one cell',
    found: /^consumer \d: does something else for what it finds where others write/,
  },
  'the head is loaded plainly': {
    is: 'return Atomics.load(this.#words, HEAD_WORD) >>> 0;',
    becomes: 'return this.#words[HEAD_WORD]! >>> 0;',
    shows: 'reuse',
    found: RELIED,
  },
  'the tail is loaded plainly': {
    is: 'return Atomics.load(this.#words, TAIL_WORD) >>> 0;',
    becomes: 'return this.#words[TAIL_WORD]! >>> 0;',
    shows: 'one cell',
    found: RELIED,
  },
  'the tail is stored plainly': {
    is: PUBLISH,
    becomes: 'this.#words[TAIL_WORD] = (tail + count) | 0;',
    shows: 'one cell',
    found: RELIED,
  },
  'the producer publishes before it writes': {
    is: 'for (let index = 0; index < count; index++) {\n      this.#write(',
    becomes: `${PUBLISH}\n    for (let index = 0; index < count; index++) {\n      this.#write(`,
    shows: 'one cell',
    found: /^all dead: size: 1, not 0/,
  },
  'the producer publishes before the last field': {
    is: 'this.#doubles[(cell + CREATED_AT) / 8] = createdAt;',
    becomes: `Atomics.store(this.#words, TAIL_WORD, this.tail + 1);
    this.#doubles[(cell + CREATED_AT) / 8] = createdAt;`,
    shows: 'one cell',
    found: /^all dead: size: 1, not 0/,
  },
  'the producer finds room where it has not wiped': {
    is: '((tail - this.#words[WIPED_WORD]!) >>> 0)',
    becomes: '((tail - this.head) >>> 0)',
    shows: 'one cell',
    found: /^(pop: got others|all dead: found)/,
  },
  'the producer wipes up to the tail': {
    is: 'const head = this.head;\n    let wiped',
    becomes: 'const head = this.tail;\n    let wiped',
    shows: 'reuse',
    found: /^(pop: got others|all dead: )/,
  },
  'the producer says that it has wiped before it does': {
    is: 'let wiped = this.#words[WIPED_WORD]!;',
    becomes: 'let wiped = this.#words[WIPED_WORD]!; this.#words[WIPED_WORD] = head;',
    shows: 'reuse',
    found: /^all dead: a trace of number 1/,
  },
  'one who joins begins at the cells that are wiped': {
    is: 'this.capacity = this.#words[CAPACITY_WORD]!;',
    becomes: `this.capacity = this.#words[CAPACITY_WORD]!;
    Atomics.store(this.#words, HEAD_WORD, this.#words[WIPED_WORD]!);`,
    shows: 'takeover',
    found: /./,
  },
  'the size is not limited to the capacity': {
    is: 'return Math.min((this.tail - head) >>> 0, this.capacity);',
    becomes: 'return (this.tail - head) >>> 0;',
    shows: 'sizes',
    found: /^size: 5 of at most 4/,
  },
  'the size is taken from the tail first': {
    is: 'const head = this.head;\n    return Math.min((this.tail - head)',
    becomes: 'const tail = this.tail;\n    return Math.min((tail - this.head)',
    shows: 'sizes',
    found: /^size: 4 of at most 2/,
  },
  'memory is seen through a view that is not watched': {
    is: 'const slot = this.#slot(head);',
    becomes: 'const slot = this.#slot(head); new Uint8Array(this.buffer);',
    shows: 'one cell',
    found: /^global: Uint8Array is not watched/,
  },
  'memory is touched in a way that is not watched': {
    is: PUBLISH,
    becomes: 'Atomics.add(this.#words, TAIL_WORD, count);',
    shows: 'one cell',
    found: /^Atomics: add is not watched/,
  },
};
