/** Turns of a store for tests that count what left by turn, not from the start of the queue. */
import { type HandOuts, NO_HAND_OUTS } from '../../src/store/hand-out.ts';
import type { EndedQueue, Store, TurnReport } from '../../src/store/store.ts';

/** The head of the pool's queue behind `popped` more addresses; 0 of a pool that is unknown. */
export async function headOf(store: Store, pool: string, popped = 0): Promise<number> {
  const stored = (await store.pools()).find(({ name }) => name === pool);
  return (stored?.position ?? 0) + popped;
}

/** `popped` more addresses left, and `wanted` are leased. */
export async function turn(
  store: Store,
  pool: string,
  popped: number,
  wanted: number,
  handOuts: HandOuts = NO_HAND_OUTS,
): Promise<TurnReport> {
  return store.turn({ pool, head: await headOf(store, pool, popped), wanted, handOuts });
}

/** Everything that is leased of the pool returns: nothing of it left. How many. */
export async function returnLease(store: Store, pool: string): Promise<number> {
  const queue: EndedQueue = { pool, head: await headOf(store, pool) };
  const { rest, failure } = await store.endQueues([queue], 'return');
  if (failure !== undefined) throw failure;
  return rest;
}
