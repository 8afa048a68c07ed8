/**
 * A sequence of ready addresses whose every field follows from its number, and two judges of what
 * comes out of a queue that was fed with it: `isWhole` finds a record that is torn, `Tally` one
 * that came twice or not at all. The tally lies in shared memory, so that what a thread counted
 * outlives the thread. Any thread may use it.
 */
import type { ReadyAddress } from '../../src/pool/ready-address.ts';

/** Number `id`: any two differ in each text from end to end, and the lengths vary. */
export function addressOfNumber(id: number): ReadyAddress {
  return {
    id,
    address: `${id}a`.repeat(44).slice(0, 32 + (id % 13)),
    secret: `${id}s`.repeat(88).slice(0, 64 + (id % 25)),
    keyType: id % 2 === 0 ? 'seed' : 'expanded',
    origin: id % 3 === 0 ? 'imported' : 'ground',
    createdAt: 1_767_225_600_000 + id,
  };
}

/** Whether all fields are those of the same number. */
export function isWhole(address: ReadyAddress): boolean {
  const right = addressOfNumber(address.id);
  return Object.entries(right).every(([name, value]) =>
    Object.is(Reflect.get(address, name), value),
  );
}

/** How often each number from 1 to `size` was received. */
export class Tally {
  readonly buffer: SharedArrayBuffer;
  readonly #counts: Uint8Array;

  constructor(size: number, buffer = new SharedArrayBuffer(size + 1)) {
    this.buffer = buffer;
    this.#counts = new Uint8Array(buffer);
  }

  /** False if `id` came before, in whatever thread, or is none of the sequence. */
  count(id: number): boolean {
    const isNumber = Number.isInteger(id) && id >= 1 && id < this.#counts.length;
    return isNumber && Atomics.add(this.#counts, id, 1) === 0;
  }

  /** The numbers from 1 to `last` that nobody received. */
  missing(last: number): number {
    let missing = 0;
    for (let id = 1; id <= last; id++) if (Atomics.load(this.#counts, id) === 0) missing++;
    return missing;
  }
}

/** Uniform whole numbers from `min` to `max`, the same ones for the same seed (xorshift32). */
export function randomOf(seed: number): (min: number, max: number) => number {
  let state = seed | 0 || 1;
  return (min, max) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return min + Math.floor(((state >>> 0) / 2 ** 32) * (max - min + 1));
  };
}
