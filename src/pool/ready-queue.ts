/**
 * The ready queue: the hot ring of one pool, in shared memory, from which requests are served.
 * One producer (the store thread) and many consumers (the HTTP threads). Every address in it is
 * leased durably before it is pushed; what a consumer pops may have left the process.
 *
 * Promises: an address is popped by exactly one consumer; order is first in, first out; a
 * request for several gets all of them or none; nobody waits for anybody, and a thread that dies
 * at any instruction leaves no hole. It does not notify anyone when addresses come: ask again.
 *
 * Memory, one SharedArrayBuffer. Words that different threads write stand 128 bytes apart:
 * neighbours on one cache line cost 2.5 times as much per store.
 *
 *   byte    what             written by
 *   0       layout version   nobody after the start
 *   4       capacity         nobody after the start; a power of two
 *   128     head             consumers: position of the next address to pop
 *   256     tail             the producer: position of the next address to push
 *   260     wiped            the producer: position before which every cell is wiped
 *   384     cells            the producer; a cell is 152 bytes, its layout is below
 *
 * Positions are 32-bit counters that wrap; the cell of a position is its low bits. There is no
 * claimed-but-unfinished state in a cell, on purpose. A queue with a sequence word per cell (claim
 * by compare-and-swap, copy, release) got a permanent hole after 4 to 56 terminated threads; here
 * a consumer reads first and claims last:
 *
 *   consumer   1 load head   2 load tail   3 read the cells   4 compare-and-swap head
 *   producer   1 load head   2 wipe the cells before it   3 write cells   4 store tail
 *
 * The four steps on head and tail are atomic, those on cells plain. If step 4 of a consumer
 * succeeds, head did not move since its step 1. Then the cells were whole, since tail is stored
 * after they are written; and nobody touched them meanwhile, since the producer's step 1 sees a
 * head beyond them only after this step 4. If it fails, what was read may be torn and is dropped.
 * The compare-and-swap could be fooled only by a thread that sleeps between 1 and 4 while exactly
 * 2^32 addresses pass it: at a million a second that is an hour and ten minutes, with the process
 * otherwise running.
 *
 * A producer that dies is replaced by one that joins: what it had written and not published is
 * no part of the queue, and the next push overwrites it.
 *
 * Speed, per address on a core of 2.6 GHz: push 58 ns, wipe 6, pop 125 alone and 37 of a hundred.
 * Making a string costs 75 ns whatever its length, so pop makes one of all cells that it takes,
 * and slices it. What lost: a string per cell (pop of a hundred: 115 ns), all cells written as
 * one joined string (push: 75 ns), the two texts end to end (they are concatenated first, push:
 * 115 ns), Buffer's `fill` (wipe: 45 ns).
 */
import type { KeyType } from '../keypair/signing-key.ts';
import type { Origin } from '../store/address.ts';
import type { ReadyAddress } from './ready-address.ts';

const LAYOUT = 1;
const LAYOUT_WORD = 0;
const CAPACITY_WORD = 1;
const HEAD_WORD = 128 / 4;
const TAIL_WORD = 256 / 4;
const WIPED_WORD = TAIL_WORD + 1;
const CELLS_BYTE = 384;

export const CELL_BYTES = 152;
const ADDRESS = 0; // text
const SECRET = 44; // text
const SHAPE = 132; // int32: length of the address, of the secret, key type, origin; a byte each
const ID = 136; // float64
const CREATED_AT = 144; // float64, milliseconds
const ADDRESS_MAX = SECRET - ADDRESS;
const SECRET_MAX = SHAPE - SECRET;

/** By their numbers in a cell. */
const KEY_TYPES: readonly KeyType[] = ['seed', 'expanded'];
const ORIGINS: readonly Origin[] = ['ground', 'imported'];

export const CAPACITY_MAX = 2 ** 20;

/** Whether position `a` is older than `b`: positions wrap, and live ones are close together. */
export function isBefore(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** What is behind Buffer's `write` and `toString`, which cost 13 and 15 ns more a call. */
interface Latin1 {
  latin1Write(text: string, start: number, length: number): number;
  /** Takes any bytes, torn ones too. */
  latin1Slice(start: number, end: number): string;
}

export class ReadyQueue {
  /** What another thread joins by. */
  readonly buffer: SharedArrayBuffer;
  /** In addresses. */
  readonly capacity: number;
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #texts: Latin1;
  #poppedFrom = 0;

  /**
   * A new, empty queue. `capacity` (addresses) is rounded up to a power of two, at most
   * `CAPACITY_MAX`. `position` is where the counters start.
   */
  static create(capacity: number, position = 0): ReadyQueue {
    if (!(capacity >= 1 && capacity <= CAPACITY_MAX)) {
      throw new RangeError(`capacity: ${capacity} is not from 1 to ${CAPACITY_MAX}`);
    }
    const rounded = 2 ** Math.ceil(Math.log2(capacity));
    const buffer = new SharedArrayBuffer(ReadyQueue.bytesFor(capacity));
    const words = new Int32Array(buffer);
    words[LAYOUT_WORD] = LAYOUT;
    words[CAPACITY_WORD] = rounded;
    words[HEAD_WORD] = position;
    words[TAIL_WORD] = position;
    words[WIPED_WORD] = position;
    return new ReadyQueue(buffer);
  }

  /** What one of this capacity takes. */
  static bytesFor(capacity: number): number {
    return CELLS_BYTE + 2 ** Math.ceil(Math.log2(capacity)) * CELL_BYTES;
  }

  /** Joins the queue in `buffer` from any thread. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#doubles = new Float64Array(buffer);
    this.#texts = Buffer.from(buffer) as Buffer & Latin1;
    this.capacity = this.#words[CAPACITY_WORD]!;
    if (this.#words[LAYOUT_WORD] !== LAYOUT) {
      throw new TypeError('buffer: holds no ready queue of this layout');
    }
  }

  /** Position of the next address to pop, 0..2^32-1. Any thread; may be late. */
  get head(): number {
    return Atomics.load(this.#words, HEAD_WORD) >>> 0;
  }

  /** Position of the next address to push, 0..2^32-1. Any thread; may be late. */
  get tail(): number {
    return Atomics.load(this.#words, TAIL_WORD) >>> 0;
  }

  /**
   * Addresses that are ready. Any thread. Head is read first: pops in between make the answer
   * too large and never negative, so it is limited to the capacity.
   */
  get size(): number {
    const head = this.head;
    return Math.min((this.tail - head) >>> 0, this.capacity);
  }

  /**
   * Producer only. Pushes from the front of `addresses` what there is room for; says how many.
   * RangeError if a text is longer than its kind can be: then nothing is pushed.
   */
  push(addresses: readonly ReadyAddress[]): number {
    for (const { id, address, secret } of addresses) {
      if (address.length > ADDRESS_MAX || secret.length > SECRET_MAX) {
        throw new RangeError(
          `id ${id}: a text is too long; allowed: ${ADDRESS_MAX} and ${SECRET_MAX} characters`,
        );
      }
    }
    this.wipe();
    const tail = this.tail;
    const room = this.capacity - ((tail - this.#words[WIPED_WORD]!) >>> 0);
    const count = Math.min(addresses.length, room);
    for (let index = 0; index < count; index++) {
      this.#write(this.#slot(tail + index), addresses[index]!);
    }
    Atomics.store(this.#words, TAIL_WORD, (tail + count) | 0);
    return count;
  }

  /** Producer only. Overwrites the cells of all popped addresses. */
  wipe(): void {
    const head = this.head;
    let wiped = this.#words[WIPED_WORD]!;
    while (wiped !== (head | 0)) {
      const slot = this.#slot(wiped);
      const run = Math.min((head - wiped) >>> 0, this.capacity - slot);
      const start = CELLS_BYTE + slot * CELL_BYTES;
      this.#doubles.fill(0, start / 8, (start + run * CELL_BYTES) / 8);
      wiped = (wiped + run) | 0;
    }
    this.#words[WIPED_WORD] = wiped;
  }

  /**
   * Any consumer. `count` addresses, oldest first, or undefined when fewer are ready. RangeError
   * unless `count` is a whole number from 0: half an address would be read and not claimed.
   */
  pop(count: number): ReadyAddress[] | undefined {
    if (!(Number.isInteger(count) && count >= 0)) {
      throw new RangeError(`count: ${count} is not a whole number from 0`);
    }
    for (;;) {
      const head = this.head;
      const ready = Math.min((this.tail - head) >>> 0, this.capacity);
      if (ready < count) return undefined;
      const addresses = new Array<ReadyAddress>(count);
      const slot = this.#slot(head);
      const run = Math.min(count, this.capacity - slot);
      this.#read(slot, run, addresses, 0);
      if (run < count) this.#read(0, count - run, addresses, run);
      const seen = head | 0;
      const next = (head + count) | 0;
      if (Atomics.compareExchange(this.#words, HEAD_WORD, seen, next) !== seen) continue;
      this.#poppedFrom = head;
      return addresses;
    }
  }

  /** Position of the first address of the last pop by this object. */
  get poppedFrom(): number {
    return this.#poppedFrom;
  }

  #slot(position: number): number {
    return position & (this.capacity - 1);
  }

  #write(slot: number, { id, address, secret, keyType, origin, createdAt }: ReadyAddress): void {
    const cell = CELLS_BYTE + slot * CELL_BYTES;
    this.#texts.latin1Write(address, cell + ADDRESS, ADDRESS_MAX);
    this.#texts.latin1Write(secret, cell + SECRET, SECRET_MAX);
    this.#words[(cell + SHAPE) / 4] =
      address.length |
      (secret.length << 8) |
      (KEY_TYPES.indexOf(keyType) << 16) |
      (ORIGINS.indexOf(origin) << 24);
    this.#doubles[(cell + ID) / 8] = id;
    this.#doubles[(cell + CREATED_AT) / 8] = createdAt;
  }

  /**
   * Reads `count` neighbouring cells into `addresses` from `index` on. They may be written
   * meanwhile: no value may make this fail, and none is right before the claim.
   */
  #read(slot: number, count: number, addresses: ReadyAddress[], index: number): void {
    const start = CELLS_BYTE + slot * CELL_BYTES;
    const text = this.#texts.latin1Slice(start, start + (count - 1) * CELL_BYTES + SHAPE);
    for (let at = 0; at < text.length; at += CELL_BYTES) {
      const cell = start + at;
      const shape = this.#words[(cell + SHAPE) / 4]!;
      const address = at + ADDRESS;
      const secret = at + SECRET;
      addresses[index++] = {
        id: this.#doubles[(cell + ID) / 8]!,
        address: text.slice(address, address + (shape & 255)),
        secret: text.slice(secret, secret + ((shape >> 8) & 255)),
        keyType: KEY_TYPES[(shape >> 16) & 255]!,
        origin: ORIGINS[shape >>> 24]!,
        createdAt: this.#doubles[(cell + CREATED_AT) / 8]!,
      };
    }
  }
}
