/** Ranges of ids in statements, which take them as two arrays. Pure. */
import type { Range } from '../ranges.ts';

/** The arguments of `unnest($n::bigint[], $m::bigint[])`. */
export function columns(ranges: readonly Range[]): [first: number[], last: number[]] {
  return [ranges.map(({ first }) => first), ranges.map(({ last }) => last)];
}

/** At most `count` of the ranges, from the first on. */
export function firstOf(ranges: Iterable<Range>, count: number): Range[] {
  const taken: Range[] = [];
  let left = count;
  for (const { first, last } of ranges) {
    if (left <= 0) break;
    const range = { first, last: Math.min(last, first + left - 1) };
    taken.push(range);
    left -= range.last - first + 1;
  }
  return taken;
}
