/**
 * Entry of the store thread of a node that only grinds. What runs in it is put together by grinding-store.ts. The
 * HTTP thread has nothing to ask of it: it answers from shared memory.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { VanityError } from '../errors.ts';
import { answer } from '../port.ts';
import { GrindingStoreThread } from './grinding-store.ts';
import type { StoreCalls, StoreWorkerData } from './store-calls.ts';

if (parentPort !== null) {
  const data = workerData as StoreWorkerData;
  let thread: GrindingStoreThread | undefined;
  const opened = (): GrindingStoreThread => {
    if (thread === undefined) throw new VanityError('STORE_UNAVAILABLE', 'the store is not open');
    return thread;
  };
  const die = (error: unknown): never => {
    throw error;
  };
  const calls: StoreCalls = {
    async open() {
      thread = await GrindingStoreThread.open(data);
      return thread.report();
    },
    insert: (hits) => opened().insert(hits),
    saveCounters: (counters) => opened().saveCounters(counters),
    async connect(port) {
      answer(port, {}, die);
      // It cannot check whether a token is one: its own, which is in no store, is all that it takes.
      return { pools: [], tokens: { tokens: [], areAny: true } };
    },
    stop: async (counters) => thread?.stop(counters),
  };
  answer(data.port, calls, die);
}
