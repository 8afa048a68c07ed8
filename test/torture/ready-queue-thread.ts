/**
 * One thread of the ready queue's torture, to be terminated at any instruction: the producer, or
 * one of the consumers. Addresses are the numbers of `addressOfNumber`, and number n has position
 * `start + n - 1`: a producer that takes over goes on where the tail is. A consumer throws when
 * it gets what it must not; whatever it received is in the tally.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { ReadyQueue } from '../../src/pool/ready-queue.ts';
import { addressOfNumber, isWhole, randomOf, Tally } from '../support/sequence.ts';

export interface TortureThread {
  readonly role: 'producer' | 'consumer';
  readonly seed: number;
  readonly queue: SharedArrayBuffer;
  readonly tally: SharedArrayBuffer;
  /** A word: 0 run, 1 the producer ends, 2 the consumers end when the queue is empty. */
  readonly control: SharedArrayBuffer;
  readonly start: number;
  readonly last: number;
  readonly popMax: number;
}

const { role, seed, start, last, popMax, ...shared } = workerData as TortureThread;
const queue = new ReadyQueue(shared.queue);
const tally = new Tally(last, shared.tally);
const control = new Int32Array(shared.control);
const random = randomOf(seed);

parentPort!.postMessage('started');
if (role === 'producer') produce();
else consume();

function produce(): void {
  for (let next = 1 + ((queue.tail - start) >>> 0); Atomics.load(control, 0) === 0; ) {
    const count = Math.min(random(1, 2 * queue.capacity), 64, last - next + 1);
    const pushed = queue.push(Array.from({ length: count }, (_, at) => addressOfNumber(next + at)));
    next += pushed;
    if (pushed === 0) sometimesSleep(0);
  }
}

function consume(): void {
  let previous = 0;
  for (;;) {
    const isEnding = Atomics.load(control, 0) === 2;
    const addresses = queue.pop(isEnding ? 1 : random(1, popMax));
    if (addresses === undefined && isEnding) return;
    if (addresses === undefined) sometimesSleep(Atomics.load(control, 0));
    for (const address of addresses ?? []) {
      const { id } = address;
      if (!isWhole(address)) throw new Error(`number ${id}: torn: ${JSON.stringify(address)}`);
      if (id <= previous) throw new Error(`number ${id}: came after ${previous}`);
      if (!tally.count(id)) throw new Error(`number ${id}: came twice`);
      previous = id;
    }
  }
}

/** Both ways of waiting: spinning meets the other threads at once, sleeping lets them run. */
function sometimesSleep(state: number): void {
  if (random(0, 199) === 0) Atomics.wait(control, 0, state, 1);
}
