/**
 * How fast a pool is consumed: what left it, minute by minute, over the last hour. Pure but for what
 * it remembers; the caller gives the time. A server that has just started knows nothing of the time
 * before.
 */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** The larger rate counts: a rush is seen within minutes, and a lull does not hide the hour. */
const WINDOWS_MS = [15 * MINUTE_MS, HOUR_MS] as const;

interface Mark {
  readonly atMs: number;
  readonly left: number;
}

export class Consumption {
  /** Of the last hour, a minute apart, the oldest first. */
  #marks: Mark[] = [];
  #latest: Mark | undefined;

  /**
   * `left`: how many addresses ever left the pool; `nowMs`: of a clock that never goes back. A figure
   * that goes back (a reservation was released) is a minute in which nothing left.
   */
  note(left: number, nowMs: number): void {
    this.#latest = { atMs: nowMs, left };
    const newest = this.#marks.at(-1);
    if (newest !== undefined && nowMs - newest.atMs < MINUTE_MS) return;
    this.#marks = this.#marks.filter(({ atMs }) => nowMs - atMs <= HOUR_MS);
    this.#marks.push(this.#latest);
  }

  /** Addresses an hour: the larger of the rates of the last 15 minutes and of the last hour. */
  get perHour(): number {
    return Math.max(0, ...WINDOWS_MS.map((windowMs) => this.#rateOver(windowMs)));
  }

  #rateOver(windowMs: number): number {
    const latest = this.#latest;
    const first = this.#marks.find(({ atMs }) => latest!.atMs - atMs <= windowMs);
    if (latest === undefined || first === undefined) return 0;
    // A few addresses in the first seconds are no rate of thousands an hour.
    const elapsedMs = Math.max(latest.atMs - first.atMs, MINUTE_MS);
    return ((latest.left - first.left) * HOUR_MS) / elapsedMs;
  }
}
