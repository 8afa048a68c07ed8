/**
 * Time for time-outs that cross threads: the same in all of them, and setting the time of day changes
 * nothing. `performance.now` counts from the start of its own thread.
 */

/** Milliseconds since a moment that all threads share, in whole ones. It stands while the machine is suspended. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
