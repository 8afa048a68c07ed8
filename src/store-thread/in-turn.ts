/** Work that is done one after the other, never two at once. Any thread may use it. */

/** Runs one piece of work after the other: the store takes one call at a time. */
export type Exclusively = <T>(work: () => Promise<T>) => Promise<T>;

/** Runs each piece of work after the one before it has ended, successfully or not. */
export function inTurn(): Exclusively {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  };
}
