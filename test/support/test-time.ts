/** A machine's clock and uptime, which stand still but for what a test lets pass and sets. */
import type { Time } from '../../src/store/own-clock.ts';

export class TestTime implements Time {
  #elapsedMs = 12_345;
  #setMs = 0;
  #sleptMs = 0;
  readonly #startedAt = Date.UTC(2026, 0, 1) - this.#elapsedMs;

  system(): number {
    return this.right + this.#setMs + this.#sleptMs;
  }

  elapsed(): number {
    return this.#elapsedMs;
  }

  wake(): void {
    this.#elapsedMs += this.#sleptMs;
    this.#sleptMs = 0;
  }

  /** Of a clock that was never set. */
  get right(): number {
    return this.#startedAt + this.#elapsedMs;
  }

  pass(ms: number): void {
    this.#elapsedMs += ms;
  }

  /** The machine sleeps; nobody has looked at its uptime since. */
  sleep(ms: number): void {
    this.#sleptMs += ms;
  }

  /** The clock is set ahead by as much, or back. */
  set(ms: number): void {
    this.#setMs += ms;
  }
}
