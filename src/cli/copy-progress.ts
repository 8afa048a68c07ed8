/**
 * The progress of a copy, or of what takes as long, on standard error: a percentage, rewritten in place on a terminal; a line
 * for each tenth anywhere else.
 */
import type { Screen } from './output.ts';

const CLEAR_LINE = '\r\x1b[K';

export class CopyProgress {
  readonly #stream: Screen;
  readonly #verb: string;
  #told = -1;

  constructor(stream: Screen, verb = 'copied') {
    this.#stream = stream;
    this.#verb = verb;
  }

  at(done: number, total: number): void {
    const step = this.#stream.isTTY ? 1 : 10;
    const percent = Math.floor((100 * done) / total / step) * step;
    if (percent <= this.#told) return;
    this.#told = percent;
    const text = `${this.#verb} ${percent}%`;
    this.#stream.write(this.#stream.isTTY ? CLEAR_LINE + text : `${text}\n`);
  }

  /** Leaves the line of a terminal as it was. */
  end(): void {
    if (this.#stream.isTTY && this.#told >= 0) this.#stream.write(CLEAR_LINE);
  }
}
