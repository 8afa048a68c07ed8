/** Runs of neighbouring addresses of a pool. Pure: true of any database. */

/** Neighbouring addresses of one pool, both ends included. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

export function sizeOf({ first, last }: Range): number {
  return last - first + 1;
}

/** Of ids in their order: as few ranges as there can be. */
export function rangesOf(ids: readonly number[]): Range[] {
  const ranges: { first: number; last: number }[] = [];
  for (const id of ids) {
    const last = ranges.at(-1);
    if (last?.last === id - 1) last.last = id;
    else ranges.push({ first: id, last: id });
  }
  return ranges;
}

/** What is left of the ranges without these seqs, which are in their order. */
export function without(ranges: readonly Range[], seqs: readonly number[]): Range[] {
  const left: Range[] = [];
  for (const { first, last } of ranges) {
    let from = first;
    for (const seq of seqs) {
      if (seq < first || seq > last) continue;
      if (seq > from) left.push({ first: from, last: seq - 1 });
      from = seq + 1;
    }
    if (from <= last) left.push({ first: from, last });
  }
  return left;
}
