/**
 * Entry of the store thread, the only one that touches the database while a server runs. What runs in
 * it is put together by served-store.ts.
 *
 * Calls come by message, from the main thread and from each HTTP thread, and are made one after
 * the other. An error without a code ends the thread and with it the server: what the store and
 * the queues then hold cannot be trusted, and the next start burns what may have left.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { VanityError } from '../errors.ts';
import type { StoreThreadCalls } from '../pool/calls.ts';
import { answer } from '../port.ts';
import { ServedStore } from './served-store.ts';
import type { StoreCalls, StoreWorkerData } from './store-calls.ts';
import { ThreadNotices } from './thread-notices.ts';

if (parentPort !== null) {
  const data = workerData as StoreWorkerData;
  let served: ServedStore | undefined;
  const opened = (): ServedStore => {
    if (served === undefined) throw new VanityError('STORE_UNAVAILABLE', 'the store is not open');
    return served;
  };
  const calls: StoreCalls = {
    async open() {
      served = await ServedStore.open(data);
      return served.report();
    },
    insert: (hits) => opened().insert(hits),
    saveCounters: (counters) => opened().saveCounters(counters),
    async connect(port) {
      const {
        refiller,
        dispenser,
        reservations,
        signatures,
        entries,
        pools,
        tokens,
        keys,
        reader,
      } = opened();
      const notices = new ThreadNotices(port);
      const given = entries.connect(port, notices);
      const threadCalls: StoreThreadCalls = {
        refill: ({ pool, count }) => refiller.refill(pool, count),
        dispense: (order) => dispenser.dispense(order).catch(refuse),
        reserve: (order) => dispenser.reserve(order).catch(refuse),
        reservation: (which) => reservations.get(which).catch(refuse),
        dispenseReservation: (which) => reservations.dispense(which).catch(refuse),
        releaseReservation: (which) => reservations.release(which).catch(refuse),
        sign: (order) => signatures.sign(order).catch(refuse),
        assertSigner: (signer) => signatures.assertSigner(signer).catch(refuse),
        createPool: (config) => pools.create(config).catch(refuse),
        changePool: ({ pool, change }) => pools.change(pool, change).catch(refuse),
        pausePool: ({ pool, isPaused }) => pools.pause(pool, isPaused).catch(refuse),
        removePool: (pool) => pools.remove(pool).catch(refuse),
        heard: (notice) => notices.heard(notice),
        tokens: () => tokens.all().catch(refuse),
        createToken: (token) => tokens.create(token).catch(refuse),
        revokeToken: (name) => tokens.revoke(name).catch(refuse),
        restoreToken: (name) => tokens.restore(name).catch(refuse),
        sealingKey: () => keys.state().catch(refuse),
        rotateKey: (order) => keys.rotate(order).catch(refuse),
        import: (order) => opened().import(order).catch(refuse),
        ...reader.callsOf(port),
        noteTokens: (ids) => tokens.noteUse(ids).catch(refuse),
      };
      answer(port, threadCalls, die);
      return { pools: await given, tokens: await tokens.connect(port, notices) };
    },
    stop: async (counters) => served?.stop(counters),
  };
  answer(data.port, calls, die);
}

/** To a request a store that is full, locked or damaged is one that is not to be had now. */
function refuse(error: unknown): never {
  if (!(error instanceof VanityError) || error.status !== 500) throw error;
  const extras = { cause: error, retryAfterSeconds: 1 };
  throw new VanityError('STORE_UNAVAILABLE', 'the store cannot be read or written now', extras);
}

function die(error: unknown): never {
  throw error;
}
