/**
 * The promises of the ready queue, said of every moment of every interleaving (`interleavings.ts`).
 * Addresses are the numbers of `addressOfNumber`, pushed in order from 1 on, so that what is
 * claimed and what is ready follow from two counts: how many were popped, how many pushed.
 *
 * At each end of an operation: a pop got the oldest numbers, whole, as many as it asked for, or
 * none and then too few were ready at some step of it; a push took what there was room for at its
 * start, or at some step after; after a wipe or a push no text of what was popped before is left;
 * a size is one that was true within its steps or too large by the pops among them.
 *
 * At each moment: were all threads to die now, a fresh producer and a fresh consumer would find
 * what was pushed and not popped, no more and no less, in order, and then the whole capacity, in a
 * memory without a trace. A push publishes with its last step and a pop claims with its last, so
 * that there is no moment at which an address is neither ready nor popped.
 */
import assert from 'node:assert/strict';
import type { ReadyAddress } from '../../src/pool/ready-address.ts';
import type { ReadyQueue } from '../../src/pool/ready-queue.ts';
import type { Judge, Outcomes, Thread } from './interleavings.ts';
import { addressOfNumber } from './sequence.ts';
import { Alone, type Memory, Violation, type WatchedSource } from './shared-memory.ts';

const ADDRESSES = Array.from({ length: 64 }, (_, index) => addressOfNumber(index + 1));

export type Operation = readonly ['pop' | 'push', number] | readonly ['wipe' | 'size'];

export interface Outcome {
  readonly operation: Operation;
  /** Of a pop: undefined for none. */
  readonly addresses?: readonly ReadyAddress[] | undefined;
  readonly poppedFrom: number;
  /** How many a push took; the size. */
  readonly count: number;
}

export type ReadyQueueSource = WatchedSource<typeof ReadyQueue>;

/** What was there before the threads: numbers 1 to `pushed`, of which `popped` are gone. */
export interface Start {
  readonly capacity: number;
  readonly position: number;
  readonly pushed: number;
  readonly popped: number;
}

/** The memory of a new queue in which that has happened, by one thread. */
export function memoryAt(source: ReadyQueueSource, start: Start): Memory {
  const host = new Alone();
  source.run(host, (Queue) => {
    const queue = Queue.create(start.capacity, start.position);
    assert.equal(queue.push(numbers(1, start.pushed)), start.pushed);
    assert.equal(queue.pop(start.popped)?.length, start.popped);
  });
  return host.memory;
}

/** A thread that does `operations`. A producer goes on after the last number pushed. */
export function threadOf(
  name: string,
  operations: readonly Operation[],
  start: Start,
  after?: number,
): Thread<typeof ReadyQueue, Outcome> {
  const run: Thread<typeof ReadyQueue, Outcome>['run'] = (Queue, buffer, report) => {
    const queue = new Queue(buffer);
    const isProducer = operations.some(([verb]) => verb === 'push');
    let pushed = isProducer ? start.pushed + ((queue.tail - endOf(start)) >>> 0) : 0;
    for (const operation of operations) {
      const [verb, asked] = operation;
      let count = 0;
      let addresses: readonly ReadyAddress[] | undefined;
      if (verb === 'push') {
        count = queue.push(numbers(pushed + 1, pushed + asked));
        pushed += count;
      }
      if (verb === 'pop') addresses = queue.pop(asked);
      if (verb === 'wipe') queue.wipe();
      if (verb === 'size') count = queue.size;
      report({ operation, addresses, poppedFrom: queue.poppedFrom, count }, queue);
    }
  };
  return { name, run, ...(after !== undefined && { after }) };
}

export class ReadyQueueJudge implements Judge<Outcome> {
  readonly #source: ReadyQueueSource;
  readonly #start: Start;
  readonly #operations: readonly (readonly Operation[])[];
  readonly #judged = new Set<string>();

  /** `operations` are those of each thread. */
  constructor(
    source: ReadyQueueSource,
    start: Start,
    operations: readonly (readonly Operation[])[],
  ) {
    this.#source = source;
    this.#start = start;
    this.#operations = operations;
  }

  /** Of a pop the least that was ready since it began, of others what was popped before. */
  witness(thread: number, before: number | undefined, outcomes: Outcomes<Outcome>): number {
    const { popped, pushed } = this.#counts(outcomes);
    const [verb] = this.#operations[thread]![outcomes[thread]!.length]!;
    if (verb !== 'pop') return before ?? popped;
    return Math.min(before ?? this.#start.capacity, pushed - popped);
  }

  end(
    thread: number,
    outcome: Outcome,
    witness: number,
    outcomes: Outcomes<Outcome>,
    memory: Memory,
  ): void {
    const { popped, pushed } = this.#counts(outcomes);
    const { capacity } = this.#start;
    const { operation, addresses, poppedFrom, count } = outcome;
    const [verb, asked = 0] = operation;
    if (verb === 'pop' && addresses === undefined) {
      if (witness >= asked) throw new Violation(`pop: got none while ${witness} were ready`);
      const previous = outcomes[thread]!.at(-1)?.poppedFrom ?? 0;
      if (poppedFrom !== previous) throw new Violation('pop: got none and moved poppedFrom');
    }
    if (verb === 'pop' && addresses !== undefined) {
      const right = numbers(popped + 1, popped + asked);
      same('pop: got others than the oldest', addresses, right);
      if (popped + asked > pushed) throw new Violation('pop: got what was not pushed');
      same('pop: poppedFrom', poppedFrom, this.#position(popped));
    }
    if (verb === 'push') {
      const least = Math.min(asked, capacity - (pushed - witness));
      const most = Math.min(asked, capacity - (pushed - popped));
      if (count < least) throw new Violation(`push: took ${count} with room for ${least}`);
      if (count > most) throw new Violation(`push: took ${count} with room for ${most}`);
    }
    if (verb === 'push' || verb === 'wipe') noTrace(verb, memory, witness);
    if (verb === 'size' && (count < 0 || count > Math.min(capacity, pushed - witness))) {
      throw new Violation(`size: ${count} of at most ${Math.min(capacity, pushed - witness)}`);
    }
  }

  everywhere(outcomes: Outcomes<Outcome>, memory: Memory, memoryId: number): void {
    const { popped, pushed } = this.#counts(outcomes);
    const key = `${memoryId} ${popped} ${pushed}`;
    if (this.#judged.has(key)) return;
    this.#judged.add(key);
    const host = new Alone(memory.copy(), 100 * this.#start.capacity);
    this.#source.run(host, (Queue) => this.#takeOver(Queue, host, popped, pushed));
  }

  #takeOver(Queue: typeof ReadyQueue, host: Alone, popped: number, pushed: number): void {
    const { capacity } = this.#start;
    const producer = new Queue(this.#source.buffer(host.memory.bytes.length));
    const consumer = new Queue(producer.buffer);
    const ready = pushed - popped;
    same('all dead: size', consumer.size, ready);
    producer.wipe();
    noTrace('all dead', host.memory, popped);
    const taken = producer.push(numbers(pushed + 1, pushed + capacity));
    same('all dead: room', taken, capacity - ready);
    for (let number = popped + 1; number <= popped + capacity; number++) {
      same('all dead: found', consumer.pop(1), numbers(number, number));
    }
    same('all dead: nothing is left', consumer.pop(1), undefined);
    const next = popped + capacity + 1;
    same('all dead: capacity', producer.push(numbers(next, next + capacity)), capacity);
    same('all dead: all at once', consumer.pop(capacity), numbers(next, next + capacity - 1));
    producer.wipe();
    const fresh = new Alone();
    const position = this.#position(popped + 2 * capacity);
    this.#source.run(fresh, () => Queue.create(capacity, position));
    if (!fresh.memory.bytes.equals(host.memory.bytes)) throw new Violation('all dead: a trace');
  }

  #counts(outcomes: Outcomes<Outcome>): { popped: number; pushed: number } {
    let { popped, pushed } = this.#start;
    for (const thread of outcomes) {
      for (const { addresses, operation, count } of thread) {
        popped += addresses?.length ?? 0;
        if (operation[0] === 'push') pushed += count;
      }
    }
    return { popped, pushed };
  }

  /** The position of the number after `count` others. */
  #position(count: number): number {
    return (this.#start.position + count) >>> 0;
  }
}

function numbers(first: number, last: number): ReadyAddress[] {
  return ADDRESSES.slice(first - 1, last);
}

function endOf({ position, pushed }: Start): number {
  return (position + pushed) >>> 0;
}

/** No text of the numbers up to `popped` is in the memory. */
function noTrace(when: string, memory: Memory, popped: number): void {
  for (const { id, address, secret } of numbers(1, popped)) {
    if (memory.bytes.includes(address) || memory.bytes.includes(secret)) {
      throw new Violation(`${when}: a trace of number ${id}, which was popped`);
    }
  }
}

function same(what: string, actual: unknown, expected: unknown): void {
  try {
    assert.deepEqual(actual, expected);
  } catch {
    throw new Violation(`${what}: ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
  }
}
