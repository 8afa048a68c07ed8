/** Positions of ready queues, and records by them. Pure: true of any database. */
import type { HandOut } from './hand-out.ts';

/**
 * Records that differ in nothing but their positions, which follow each other, and that are taken in any
 * case, are one: replies of one thread in one millisecond. A row costs 4 us, and is kept for ever.
 */
export function* joined(records: readonly HandOut[]): Generator<HandOut, void> {
  let last: HandOut | undefined;
  for (const record of records) {
    if (last !== undefined && goesOn(last, record)) {
      last = { ...last, count: last.count + record.count };
      continue;
    }
    if (last !== undefined) yield last;
    last = record;
  }
  if (last !== undefined) yield last;
}

function goesOn(last: HandOut, next: HandOut): boolean {
  return (
    next.at === last.at &&
    next.token === last.token &&
    ((next.position - last.position - last.count) | 0) === 0 &&
    [last, next].every(({ key, quota, reservation }) => (key ?? quota ?? reservation) === undefined)
  );
}

/** The position behind the last of the records, at least `near`. */
export function endOf(records: readonly HandOut[], near: number): number {
  return records.reduce(
    (end, { position, count }) => Math.max(end, uncut(position, near) + count),
    near,
  );
}

/** The whole number below 2^53 that is closest to `near` and has these low 32 bits. */
export function uncut(position: number, near: number): number {
  return near + ((position - near) | 0);
}
