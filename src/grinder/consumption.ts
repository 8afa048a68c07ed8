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
  /** About a minute apart or more, the oldest first: those of the last hour, and the last one before. */
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
    const first = this.#marks.findLastIndex(({ atMs }) => nowMs - atMs >= HOUR_MS);
    this.#marks = [...this.#marks.slice(Math.max(first, 0)), this.#latest];
  }

  /** Nothing left since the last note until then. */
  rested(untilMs: number): void {
    const latest = this.#latest;
    if (latest === undefined || untilMs - latest.atMs < MINUTE_MS) return;
    // A mark where it came to rest: what left is not spread over the rest.
    if (latest !== this.#marks.at(-1)) this.#marks.push(latest);
    this.note(latest.left, untilMs);
  }

  /** Addresses an hour: the larger of the rates of the last 15 minutes and of the last hour. */
  get perHour(): number {
    const latest = this.#latest;
    if (latest === undefined) return 0;
    return Math.max(0, ...WINDOWS_MS.map((windowMs) => this.#rateOver(windowMs, latest)));
  }

  #rateOver(windowMs: number, latest: Mark): number {
    const sinceMs = Math.max(latest.atMs - windowMs, this.#marks[0]!.atMs);
    // A few addresses in the first seconds are no rate of thousands an hour.
    const elapsedMs = Math.max(latest.atMs - sinceMs, MINUTE_MS);
    return ((latest.left - this.#leftAt(sinceMs, latest)) * HOUR_MS) / elapsedMs;
  }

  /** Evenly spread between two marks. */
  #leftAt(atMs: number, latest: Mark): number {
    const before = this.#marks.findLastIndex((mark) => mark.atMs <= atMs);
    const from = this.#marks[before]!;
    const to = this.#marks[before + 1] ?? latest;
    if (to.atMs === from.atMs) return from.left;
    return from.left + ((to.left - from.left) * (atMs - from.atMs)) / (to.atMs - from.atMs);
  }
}
