/**
 * Until when this process may hand out, in shared memory: the store thread moves it on, and every thread
 * looks at it with each pop. Without one a process hands out until it ends.
 *
 * A look goes by two clocks. The monotonic one is set by nobody, but stands while the machine is suspended;
 * the time of day counts that, but may be set. Either may end it.
 */
import { Board } from './board.ts';
import { monotonicMs } from './monotonic.ts';

export class Deadline {
  readonly #board: Board<'monotonic' | 'wall'>;

  constructor(buffer?: SharedArrayBuffer) {
    this.#board = new Board(['monotonic', 'wall'], buffer);
  }

  /** What another thread joins by. */
  get buffer(): SharedArrayBuffer {
    return this.#board.buffer;
  }

  /** In ms of `process.hrtime`. One thread only. */
  set(untilMs: number): void {
    const monotonic = Math.floor(untilMs);
    this.#board.write({ monotonic, wall: Date.now() + monotonic - monotonicMs() });
  }

  /** Until then, by whichever clock ends it first; undefined if none was ever set. */
  get leftMs(): number | undefined {
    const { monotonic, wall } = this.#board.read();
    if (monotonic === 0) return undefined;
    return Math.max(0, Math.min(monotonic - monotonicMs(), wall - Date.now()));
  }

  get isOver(): boolean {
    const monotonic = this.#board.get('monotonic');
    // None was ever set.
    if (monotonic === 0) return false;
    return monotonicMs() > monotonic || Date.now() > this.#board.get('wall');
  }
}
