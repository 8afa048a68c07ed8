/** Ids of addresses, and ranges of them in statements, which take them as two arrays. Pure. */
import type { Range } from '../ranges.ts';

/** Ids of a lane: its number times this, and 1 to this less 1 behind. A range is of one lane. */
export const LANE_IDS = 2 ** 20;

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

/** By lane: the last id of these. */
export function lanesOf(ranges: readonly Range[]): Map<number, number> {
  const lanes = new Map<number, number>();
  for (const { last } of ranges) {
    const lane = Math.floor(last / LANE_IDS);
    lanes.set(lane, Math.max(last, lanes.get(lane) ?? 0));
  }
  return lanes;
}
