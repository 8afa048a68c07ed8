/** Runs of neighbouring addresses of a pool. Pure: true of any database. */

/** Neighbouring addresses of one pool, both ends included. */
export interface Range {
  readonly first: number;
  readonly last: number;
}

export function sizeOf({ first, last }: Range): number {
  return last - first + 1;
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
