/** Addresses out of a store that no server holds. Runs in the main thread. */
import type { Config } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import type { KeyType } from '../keypair/signing-key.ts';
import { dispenseScope, handedOutBefore, keyedReceiver } from '../pool/idempotency.ts';
import { NOBODY } from '../pool/pool.ts';
import { type ReadyAddress, readyAddress } from '../pool/ready-address.ts';
import type { LeasedAddress } from '../store/address.ts';
import type { TokenStore } from '../store/token-store.ts';
import { tokenHash } from '../token.ts';
import { openOffline } from './open.ts';
import { storedPool } from './pools.ts';

/** What makes a hand-out the same one when it is asked for again, as by the API. */
export interface Repeatable {
  readonly key: string;
  /** The text of a token: a key counts for its token, also one that the API takes no longer. */
  readonly token: string | undefined;
}

/**
 * Hands `count` addresses out of the store, all or none: they are dispensed durably before this
 * returns. Errors: POOL_EMPTY, POOL_PAUSED, POOL_NOT_FOUND, HANDOUT_MISMATCH, IDEMPOTENCY_EXPIRED,
 * IDEMPOTENCY_MISMATCH, and those of opening a store; DATA_IN_USE when a server holds it after all.
 * `assertKeys` may refuse the type of the pool's keys, before anything is taken.
 */
export async function dispenseOffline(
  config: Config,
  pool: string,
  count: number,
  repeatable?: Repeatable,
  assertKeys?: (keys: KeyType) => void,
): Promise<ReadyAddress[]> {
  await using store = await openOffline(config);
  const stored = await storedPool(store, pool);
  const configured = config.pools.find(({ name }) => name === pool);
  if (stored.handout === 'sign-only' || configured?.handout === 'sign-only') {
    const detail = `pool ${pool}: sign-only, its secrets do not leave; ask a running server`;
    throw new VanityError('HANDOUT_MISMATCH', detail);
  }
  assertKeys?.(stored.keys);
  const receiver = repeatable && (await receiverOf(store.tokens, pool, count, repeatable));
  const earlier = receiver && (await store.handOut(receiver.key, pool));
  if (earlier !== undefined) {
    const windowMs = config.store.retentionHours * 3_600_000;
    return handedOutBefore(earlier, receiver!.body, (at) => store.clock.isOver(at, windowMs));
  }
  if (stored.isPaused) {
    const remedy = `it hands nothing out until: vanitypool pool resume ${pool}`;
    throw new VanityError('POOL_PAUSED', `pool ${pool}: paused; ${remedy}`);
  }
  const leased: LeasedAddress[] = [];
  for (let left = count; leased.length < count && left > 0; ) {
    // Some may turn out to be unsealable; there may be others in their place.
    const turn = await store.turn({ pool, head: 0, wanted: count - leased.length });
    if (turn.failure !== undefined) throw turn.failure;
    leased.push(...turn.leased);
    left = turn.counts.available;
  }
  if (leased.length < count) {
    const { failure } = await store.endQueues([{ pool, head: 0 }], 'return');
    if (failure !== undefined) throw failure;
    const remedy = 'a server grinds more: vanitypool serve';
    const detail = `pool ${pool}: ${count} asked for, ${leased.length} left; ${remedy}`;
    throw new VanityError('POOL_EMPTY', detail);
  }
  const addresses = leased.map(readyAddress);
  for (const { key } of leased) key.fill(0);
  const handOut = { position: 0, count, at: store.clock.now, ...(receiver ?? NOBODY) };
  const handOuts = { records: [handOut], journals: new Map() };
  const { failure } = await store.turn({ pool, head: count, wanted: 0, handOuts });
  if (failure !== undefined) throw failure;
  return addresses;
}

async function receiverOf(
  tokens: TokenStore,
  pool: string,
  count: number,
  { key, token }: Repeatable,
): Promise<ReturnType<typeof keyedReceiver>> {
  const hash = token === undefined ? undefined : tokenHash(token);
  const known = hash && (await tokens.all()).find((one) => !one.isForged && hash.equals(one.hash));
  return keyedReceiver(known?.id ?? 0, dispenseScope(pool), key, String(count));
}
