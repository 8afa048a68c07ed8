/**
 * The work of the store, which takes one call at a time, in two lanes. What requests wait for runs in
 * the order in which it came. What nobody waits for runs when nothing of that is left, and nothing
 * has come for 5 ms: where requests come one soon after the other, each would else wait for a piece
 * that has just begun. But one piece begins within 100 ms, however many wait, as a busy server
 * would never come to it. Runs in the store thread.
 */
import { setImmediate as afterMessages } from 'node:timers/promises';
import { monotonicMs } from '../pool/monotonic.ts';
import type { Exclusively } from './in-turn.ts';

const LATE_MS = 100;
const QUIET_MS = 5;

interface LatePiece {
  readonly run: () => Promise<void>;
  /** By the clock of the queue: it goes first from then on. */
  readonly dueAt: number;
}

export class WorkQueue {
  readonly #now: () => number;
  readonly #after: typeof after;
  readonly #waiting: (() => Promise<void>)[] = [];
  readonly #late: LatePiece[] = [];
  #isRunning = false;
  /** Nothing has come for `QUIET_MS`. */
  #isQuiet = true;
  #wake: () => void = () => undefined;

  /** `now`: milliseconds of a clock that nobody sets; `wait` calls after so many of them, unless undone. */
  constructor(now: () => number = monotonicMs, wait: typeof after = after) {
    this.#now = now;
    this.#after = wait;
  }

  /** In its turn. */
  readonly exclusively: Exclusively = (work) => {
    const { run, result } = piece(work);
    this.#waiting.push(run);
    this.#isQuiet = false;
    this.#wake();
    void this.#run();
    return result;
  };

  /** Behind all that waits, also what comes meanwhile, for 100 ms at most. */
  readonly behind: Exclusively = (work) => {
    const { run, result } = piece(work);
    this.#late.push({ run, dueAt: this.#now() + LATE_MS });
    void this.#run();
    return result;
  };

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    // Never in the call that brings the work.
    await undefined;
    while (this.#waiting.length + this.#late.length > 0) {
      if (this.#waiting.length === 0) await this.#untilQuiet();
      const isLate = this.#late.length > 0 && this.#now() >= this.#late[0]!.dueAt;
      const next = isLate ? undefined : this.#waiting.shift();
      await (next ?? this.#late.shift()!.run)();
    }
    this.#isRunning = false;
  }

  /** Or until something comes, or a piece has waited for long enough. */
  async #untilQuiet(): Promise<void> {
    // What lies here as a message by now.
    await afterMessages();
    if (this.#isQuiet || this.#waiting.length > 0) return;
    this.#isQuiet = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const undo = this.#after(
      Math.min(QUIET_MS, Math.max(this.#late[0]!.dueAt - this.#now(), 0)),
      resolve,
    );
    await promise;
    undo();
    await afterMessages();
  }
}

function after(ms: number, call: () => void): () => void {
  const timer = setTimeout(call, ms);
  return () => clearTimeout(timer);
}

/** What runs the work, and never fails itself; and what comes of the work. */
function piece<T>(work: () => Promise<T>): { run: () => Promise<void>; result: Promise<T> } {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const run = async (): Promise<void> => {
    try {
      resolve(await work());
    } catch (error) {
      reject(error);
    }
  };
  return { run, result: promise };
}
