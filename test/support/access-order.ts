/**
 * What is ordered in one run of several threads: the happens-before relation of the ECMAScript
 * memory model, by vector clocks. An atomic load that finds an atomic store knows all that the
 * storing thread knew; everything else between threads is unordered. A plain read is *racy* here
 * if the last write of its word is by another thread and not known: on a real machine it may find
 * what no turn by turn run of the threads shows.
 *
 * Racy reads are allowed as long as nobody relies on them: `end` refuses an operation that does. A
 * compare-exchange that fails drops what its thread had read. Two writes that race, one of them
 * plain, are a Violation at once. A read that races with a later write is not reported: who tries every
 * interleaving also comes to the one in which that write is first.
 *
 * What is tracked is the word of four bytes. Values are immutable; `key` is the same for the same.
 */
import { type Access, Violation } from './shared-memory.ts';

/** How many writes of each thread are known. */
type Clock = readonly number[];

export class AccessOrder {
  readonly key: string;
  readonly #clocks: readonly Clock[];
  /** Of each word that was stored atomically, by its byte: what who loads it comes to know. */
  readonly #releases: ReadonlyMap<number, Clock>;
  /** Of each word its last write: 0 for before all threads, else `stamp`. */
  readonly #writes: Uint16Array;
  /** The threads whose operation has made a racy read, a bit each. */
  readonly #racy: number;

  private constructor(
    clocks: readonly Clock[],
    releases: ReadonlyMap<number, Clock>,
    writes: Uint16Array,
    racy: number,
  ) {
    this.#clocks = clocks;
    this.#releases = releases;
    this.#writes = writes;
    this.#racy = racy;
    const stamps = Buffer.from(writes.buffer).toString('latin1');
    this.key = `${clocks.join('|')} ${[...releases].sort().join('|')} ${racy} ${stamps}`;
  }

  static start(threads: number, byteLength: number): AccessOrder {
    const clocks = Array.from({ length: threads }, (_, thread) =>
      Array.from({ length: threads }, (_, other) => (other === thread ? 1 : 0)),
    );
    return new AccessOrder(clocks, new Map(), new Uint16Array(byteLength / 4), 0);
  }

  /** After `thread` has made `access`, which wrote or did not. */
  step(thread: number, access: Access, wrote: boolean): AccessOrder {
    const { kind, from, to } = access;
    const isAtomic = kind !== 'read' && kind !== 'write';
    const known = isAtomic ? join(this.#clocks[thread]!, this.#releases.get(from)) : undefined;
    const clock = known ?? this.#clocks[thread]!;
    const clocks = this.#clocks.with(thread, clock);
    let [releases, writes, racy] = [this.#releases, this.#writes, this.#racy];

    const first = from >>> 2;
    const last = (to - 1) >>> 2;
    for (let word = first; word <= last; word++) {
      if (this.#isKnown(clock, writes[word]!, isAtomic)) continue;
      if (wrote) throw new Violation(`written by two threads in no order: ${access.text}`);
      racy |= 1 << thread;
    }
    if (wrote) {
      writes = writes.slice().fill(stamp(thread, clock[thread]!, isAtomic), first, last + 1);
    }
    if (wrote && isAtomic) {
      releases = new Map(releases).set(from, clock);
      clocks[thread] = clock.with(thread, clock[thread]! + 1);
    }
    const order = new AccessOrder(clocks, releases, writes, racy);
    return kind === 'exchange' && !wrote ? order.#drop(thread) : order;
  }

  /** The operation of `thread` ends here. Violation if it relies on a racy read. */
  end(thread: number): void {
    if (!this.isRacy(thread)) return;
    throw new Violation('relied on what another thread wrote in no order with it');
  }

  /** `thread` starts after it was seen that `other` is gone. */
  follow(thread: number, other: number): AccessOrder {
    const clock = join(this.#clocks[thread]!, this.#clocks[other]);
    const clocks = this.#clocks.with(thread, clock);
    return new AccessOrder(clocks, this.#releases, this.#writes, this.#racy);
  }

  /** Whether the operation of `thread` has made a racy read. */
  isRacy(thread: number): boolean {
    return (this.#racy & (1 << thread)) !== 0;
  }

  /** What the operation of `thread` has read until now does not matter any more. */
  #drop(thread: number): AccessOrder {
    const racy = this.#racy & ~(1 << thread);
    return new AccessOrder(this.#clocks, this.#releases, this.#writes, racy);
  }

  /** Whether who has `clock` knows of the write with that stamp, or both are atomic. */
  #isKnown(clock: Clock, stamped: number, isAtomic: boolean): boolean {
    if (stamped === 0 || (isAtomic && stamped & 1)) return true;
    return clock[(stamped >>> 11) - 1]! >= ((stamped >>> 1) & 1023);
  }
}

/** Thread, its time and whether the write was atomic, in 16 bits. */
function stamp(thread: number, time: number, isAtomic: boolean): number {
  if (time > 1023 || thread > 30) throw new RangeError(`thread ${thread} at ${time}: too many`);
  return ((thread + 1) << 11) | (time << 1) | (isAtomic ? 1 : 0);
}

function join(clock: Clock, other: Clock | undefined): Clock {
  return other === undefined ? clock : clock.map((time, thread) => Math.max(time, other[thread]!));
}
