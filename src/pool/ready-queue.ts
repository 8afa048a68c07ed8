/**
 * The ready queue: the hot ring of one pool, in shared memory, from which requests are served.
 * One producer (the store thread) and many consumers (the HTTP threads). Every address in it is
 * leased durably before it is pushed; what a consumer pops may have left the process.
 *
 * Promises: an address is popped by exactly one consumer; order is first in, first out; a
 * request for several gets all of them or none; nobody waits for anybody, and a thread that dies
 * at any instruction leaves no hole. It does not tell when addresses come: ask again.
 *
 * Memory, one SharedArrayBuffer. Words that different threads write stand 128 bytes apart:
 * neighbours on one cache line cost 2.5 times as much per store.
 *
 *   byte    what             written by
 *   0       layout version   nobody after the start
 *   4       capacity         nobody after the start; a power of two
 *   128     head             consumers: position of the next address to pop
 *   256     tail             the producer: position of the next address to push
 *   384     cells            the producer; a cell is 160 bytes, its layout is below
 *
 * Positions are 32-bit counters that wrap; the cell of a position is its low bits. There is no
 * claimed-but-unfinished state in a cell, on purpose. A queue with a sequence word per cell (claim
 * by compare-and-swap, copy, release) got a permanent hole after 4 to 56 terminated threads; here
 * a consumer reads first and claims last:
 *
 *   consumer   1 load head   2 load tail   3 read the cells   4 compare-and-swap head
 *   producer   1 load head   2 wipe the cells before it   3 write cells   4 store tail
 *
 * If step 4 of a consumer succeeds, head did not move since its step 1, so the producer touched
 * none of those cells meanwhile, and they were whole: tail is stored after the cells are written.
 * If it fails, what was read may be torn and is dropped. The compare-and-swap could be fooled only
 * by a thread that sleeps between 1 and 4 while exactly 2^32 addresses pass it: at a million a
 * second that is an hour and ten minutes, with the process otherwise running.
 */
import type { KeyType } from '../keypair/keypair.ts';
import type { Origin } from '../store/store.ts';

/** An address ready to be handed out, in the texts in which it leaves. */
export interface ReadyAddress {
  readonly id: number;
  readonly address: string;
  /** Base58 of 64 bytes: the keypair, or the expanded key. */
  readonly secret: string;
  readonly keyType: KeyType;
  readonly origin: Origin;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

const LAYOUT = 1;
const LAYOUT_WORD = 0;
const CAPACITY_WORD = 1;
const HEAD_WORD = 128 / 4;
const TAIL_WORD = 256 / 4;
const CELLS_BYTE = 384;

const CELL_BYTES = 160;
const ID = 0; // float64
const CREATED_AT = 8; // float64, milliseconds
const ADDRESS_LENGTH = 16; // bytes from here on
const SECRET_LENGTH = 17;
const KEY_TYPE = 18;
const ORIGIN = 19;
/** The address, then the secret: one text, because reading two took half as long again. */
const TEXT = 20;
const TEXT_MAX = 44 + 88;

const KEY_TYPES: readonly KeyType[] = ['seed', 'expanded'];
const ORIGINS: readonly Origin[] = ['ground', 'imported'];

export const CAPACITY_MAX = 2 ** 20;

export class ReadyQueue {
  /** What another thread joins by. */
  readonly buffer: SharedArrayBuffer;
  /** In addresses. */
  readonly capacity: number;
  readonly #words: Int32Array;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  /** Producer only: every cell before this position is wiped. */
  #wiped: number;

  /**
   * A new, empty queue. `capacity` (addresses) is rounded up to a power of two, at most
   * `CAPACITY_MAX`. `position` is where the counters start: for tests of their wrap.
   */
  static create(capacity: number, position = 0): ReadyQueue {
    if (!(capacity >= 1 && capacity <= CAPACITY_MAX)) {
      throw new RangeError(`capacity: ${capacity} is not from 1 to ${CAPACITY_MAX}`);
    }
    const rounded = 2 ** Math.ceil(Math.log2(capacity));
    const buffer = new SharedArrayBuffer(CELLS_BYTE + rounded * CELL_BYTES);
    const words = new Int32Array(buffer, 0, CELLS_BYTE / 4);
    words[LAYOUT_WORD] = LAYOUT;
    words[CAPACITY_WORD] = rounded;
    words[HEAD_WORD] = position;
    words[TAIL_WORD] = position;
    return new ReadyQueue(buffer);
  }

  /** Joins the queue in `buffer` from any thread. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, CELLS_BYTE / 4);
    this.#bytes = Buffer.from(buffer);
    this.#view = new DataView(buffer);
    this.capacity = this.#words[CAPACITY_WORD]!;
    if (this.#words[LAYOUT_WORD] !== LAYOUT) {
      throw new TypeError('buffer: holds no ready queue of this layout');
    }
    this.#wiped = this.head;
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
   * too large and never negative, so it is held to the capacity.
   */
  get size(): number {
    const head = this.head;
    return Math.min((this.tail - head) >>> 0, this.capacity);
  }

  /** Producer only. Pushes from the front of `addresses` what there is room for; says how many. */
  push(addresses: readonly ReadyAddress[]): number {
    this.wipe();
    const tail = this.tail;
    const room = this.capacity - ((tail - this.#wiped) >>> 0);
    const count = Math.min(addresses.length, room);
    for (let index = 0; index < count; index++) {
      this.#write(this.#cell(tail + index), addresses[index]!);
    }
    Atomics.store(this.#words, TAIL_WORD, (tail + count) | 0);
    return count;
  }

  /** Producer only. Overwrites the cells of all popped addresses. */
  wipe(): void {
    const head = this.head;
    let left = (head - this.#wiped) >>> 0;
    while (left > 0) {
      const slot = this.#wiped & (this.capacity - 1);
      const run = Math.min(left, this.capacity - slot);
      const start = CELLS_BYTE + slot * CELL_BYTES;
      this.#bytes.fill(0, start, start + run * CELL_BYTES);
      this.#wiped = (this.#wiped + run) >>> 0;
      left -= run;
    }
  }

  /** Any consumer. `count` (>= 1) addresses, oldest first, or undefined when fewer are ready. */
  pop(count: number): ReadyAddress[] | undefined {
    for (;;) {
      const head = this.head;
      const ready = (this.tail - head) >>> 0;
      if (ready < count) return undefined;
      const addresses: ReadyAddress[] = [];
      for (let index = 0; index < count; index++) {
        addresses.push(this.#read(this.#cell(head + index)));
      }
      const seen = head | 0;
      const next = (head + count) | 0;
      if (Atomics.compareExchange(this.#words, HEAD_WORD, seen, next) === seen) return addresses;
    }
  }

  #cell(position: number): number {
    return CELLS_BYTE + (position & (this.capacity - 1)) * CELL_BYTES;
  }

  #write(cell: number, { id, address, secret, keyType, origin, createdAt }: ReadyAddress): void {
    const text = address + secret;
    if (text.length > TEXT_MAX) {
      throw new RangeError(`id ${id}: its texts are longer than a cell of the ready queue holds`);
    }
    this.#view.setFloat64(cell + ID, id, true);
    this.#view.setFloat64(cell + CREATED_AT, createdAt, true);
    this.#bytes[cell + ADDRESS_LENGTH] = address.length;
    this.#bytes[cell + SECRET_LENGTH] = secret.length;
    this.#bytes[cell + KEY_TYPE] = KEY_TYPES.indexOf(keyType);
    this.#bytes[cell + ORIGIN] = ORIGINS.indexOf(origin);
    this.#bytes.write(text, cell + TEXT, 'latin1');
  }

  /** May run over a cell that is being written: every value is bounded, none is trusted yet. */
  #read(cell: number): ReadyAddress {
    const addressLength = this.#bytes[cell + ADDRESS_LENGTH]!;
    const length = Math.min(addressLength + this.#bytes[cell + SECRET_LENGTH]!, TEXT_MAX);
    const text = this.#bytes.toString('latin1', cell + TEXT, cell + TEXT + length);
    return {
      id: this.#view.getFloat64(cell + ID, true),
      address: text.slice(0, addressLength),
      secret: text.slice(addressLength),
      keyType: KEY_TYPES[this.#bytes[cell + KEY_TYPE]!] ?? 'seed',
      origin: ORIGINS[this.#bytes[cell + ORIGIN]!] ?? 'ground',
      createdAt: this.#view.getFloat64(cell + CREATED_AT, true),
    };
  }
}
