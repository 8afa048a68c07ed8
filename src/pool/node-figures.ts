/**
 * How many of the nodes that share the store are in which state, as this one saw them last, in shared memory: the
 * store thread writes it each second, and every thread reads it. Retired ones are not counted.
 */
import type { NodeCounts } from '../store/node-store.ts';
import { Board } from './board.ts';

const FIELDS = ['isKnown', 'running', 'lost', 'missed', 'stopped'] as const;

export class NodeFigures {
  readonly #board: Board<(typeof FIELDS)[number]>;

  constructor(buffer?: SharedArrayBuffer) {
    this.#board = new Board(FIELDS, buffer);
  }

  /** What another thread joins by. */
  get buffer(): SharedArrayBuffer {
    return this.#board.buffer;
  }

  /** Store thread only. */
  write(counts: NodeCounts): void {
    this.#board.write({ isKnown: 1, ...counts });
  }

  /** Undefined in a store of one node, and before the first look. */
  read(): NodeCounts | undefined {
    const { isKnown, ...counts } = this.#board.read();
    return isKnown === 0 ? undefined : counts;
  }
}
