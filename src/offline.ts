/**
 * What commands do with a data directory that no server holds: the composition root of the command
 * line where there is no server to ask. Runs in the main thread.
 */
import type { Config } from './config.ts';
import { VanityError } from './errors.ts';
import { recoverIn } from './pool/journals.ts';
import type { ReadyAddress } from './pool/ready-queue.ts';
import { readyAddress } from './pool/refill.ts';
import { openSqliteStore } from './store/sqlite.ts';
import { type Adoption, adoptStore } from './store/sqlite-place.ts';
import { readPools } from './store/sqlite-reader.ts';
import type { LeasedAddress, StoredPool } from './store/store.ts';

/**
 * Hands `count` addresses out of the store, all or none: they are dispensed durably before this
 * returns. Errors: POOL_EMPTY, POOL_NOT_FOUND, and those of opening a store; DATA_IN_USE when a
 * server holds it after all.
 */
export async function dispenseOffline(
  { store: { directory, sealingKey } }: Config,
  pool: string,
  count: number,
): Promise<ReadyAddress[]> {
  await using store = await openSqliteStore({
    directory,
    sealingKey,
    create: false,
    recover: recoverIn(directory),
  });
  const leased: LeasedAddress[] = [];
  for (let left = count; leased.length < count && left > 0; ) {
    // Some may turn out to be unsealable; there may be others in their place.
    const turn = await store.turn(pool, 0, count - leased.length);
    leased.push(...turn.leased);
    left = turn.counts.available;
  }
  if (leased.length < count) {
    await store.returnLease(pool);
    throw new VanityError('POOL_EMPTY', `pool ${pool}: ${count} asked for, ${leased.length} left`);
  }
  const addresses = leased.map(readyAddress);
  for (const { keypair } of leased) keypair.fill(0);
  await store.turn(pool, count, 0);
  return addresses;
}

/** Takes a store that was moved or restored for its own; how many were burned, by pool. */
export function adoptOffline({ store: { directory } }: Config, as: Adoption) {
  return adoptStore(directory, as);
}

/** The pools as the store has them; changes nothing. Errors: those of opening a store. */
export function poolsOffline({ store: { directory } }: Config): StoredPool[] {
  return readPools(directory);
}
