/**
 * What commands do with a data directory that no server holds: the composition root of the command
 * line where there is no server to ask. Runs in the main thread.
 */
import { statSync } from 'node:fs';
import type { Config } from './config/config.ts';
import { assertReadyFits, POOLS_MAX, type PoolConfig } from './config/pool-config.ts';
import { witnessDirectory } from './disk/witness.ts';
import { VanityError } from './errors.ts';
import { assertImportable } from './keypair/importable.ts';
import { parsePattern } from './keypair/pattern.ts';
import { loadSealingKey } from './keypair/sealing-key.ts';
import { dispenseScope, handedOutBefore, keyedReceiver } from './pool/idempotency.ts';
import { Journals } from './pool/journals.ts';
import { NOBODY } from './pool/pool.ts';
import { configOf, parts, poolConfigured, poolExists, poolLimit } from './pool/pool-definition.ts';
import { type ReadyAddress, readyAddress } from './pool/ready-address.ts';
import type { PoolChange } from './pool/shared-pool.ts';
import type { LeasedAddress } from './store/address.ts';
import { type Adopted, type AdoptOptions, adoptStore } from './store/sqlite/adopt.ts';
import { type BackupOptions, backupStore, receiveBackup } from './store/sqlite/backup.ts';
import { storeFileOf } from './store/sqlite/data-directory.ts';
import { readBurned, readPools } from './store/sqlite/look.ts';
import { openSqliteStore } from './store/sqlite/open.ts';
import { type Restored, type RestoreOptions, restoreStore } from './store/sqlite/restore.ts';
import type { InsertReport, Store } from './store/store.ts';
import type { StoredPool } from './store/stored-pool.ts';
import type { NewToken, StoredToken, TokenStore } from './store/token-store.ts';
import { assertPoolsExist, tokenHash } from './token.ts';

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
 */
export async function dispenseOffline(
  config: Config,
  pool: string,
  count: number,
  repeatable?: Repeatable,
): Promise<ReadyAddress[]> {
  await using store = await openOffline(config);
  const stored = await storedPool(store, pool);
  const configured = config.pools.find(({ name }) => name === pool);
  if (stored.handout === 'sign-only' || configured?.handout === 'sign-only') {
    const detail = `pool ${pool}: sign-only, its secrets do not leave; ask a running server`;
    throw new VanityError('HANDOUT_MISMATCH', detail);
  }
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
    const turn = await store.turn(pool, 0, count - leased.length);
    if (turn.failure !== undefined) throw turn.failure;
    leased.push(...turn.leased);
    left = turn.counts.available;
  }
  if (leased.length < count) {
    await store.returnLease(pool);
    const remedy = 'a server grinds more: vanitypool serve';
    const detail = `pool ${pool}: ${count} asked for, ${leased.length} left; ${remedy}`;
    throw new VanityError('POOL_EMPTY', detail);
  }
  const addresses = leased.map(readyAddress);
  for (const { keypair } of leased) keypair.fill(0);
  const handOut = { position: 0, count, at: store.clock.now, ...(receiver ?? NOBODY) };
  const { failure } = await store.turn(pool, count, 0, { records: [handOut], journals: new Map() });
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

/**
 * Takes a store that was moved, copied or put back for what it is said to be. Errors: those of
 * `adoptStore`.
 */
export async function adoptOffline(
  { store: { directory, sealingKey } }: Config,
  how: Pick<AdoptOptions, 'as' | 'from' | 'ignoreClock'>,
): Promise<Adopted> {
  using journals = new Journals({ dataDirectory: directory });
  const witness = witnessDirectory(directory);
  const { recover } = journals;
  const adopted = await adoptStore({
    ...{ directory, sealingKey, ...how },
    ...{ witness, recover, onBound },
  });
  // Those of the old place are settled, or those of a state that is given up.
  journals.remove();
  return adopted;
}

/** Writes the store to a new file; a server may hold it. Errors: those of `backupStore`. */
export function backupOffline(
  { store: { directory } }: Config,
  file: string,
  options: BackupOptions,
): Promise<void> {
  return backupStore(directory, file, options);
}

/** Keeps a backup that a server sends, `size` bytes, as a new file. Errors: those of `receiveBackup`. */
export function keepBackup(
  source: AsyncIterable<Uint8Array>,
  size: number,
  file: string,
  options: BackupOptions,
): Promise<void> {
  return receiveBackup(source, size, file, options);
}

/** Makes the store out of a backup; what became of its addresses and tokens. */
export async function restoreOffline(
  { store: { directory, sealingKey } }: Config,
  from: Pick<RestoreOptions, 'file' | 'list' | 'signal' | 'ignoreClock'>,
): Promise<Restored> {
  const restored = await restoreStore({ directory, sealingKey, ...from, onBound });
  removeJournalsIn(directory);
  return restored;
}

/** Whether there is a store, served or not. Error: DATA_NOT_WRITABLE for what cannot be looked into. */
export function hasStore({ store: { directory } }: Config): boolean {
  try {
    storeFileOf(directory);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'STORE_NOT_FOUND') return false;
    throw error;
  }
}

/**
 * The pools as the store has them; changes nothing. Without the sealing key nothing tells who wrote
 * them. Errors: those of opening a store to read, STORE_FORGED.
 */
export async function poolsOffline({ store }: Config): Promise<StoredPool[]> {
  const key = await loadSealingKey(store.sealingKey).catch(() => undefined);
  return readPools(store.directory, key).filter(({ isRemoved }) => !isRemoved);
}

/**
 * Makes a pool that the next server serves. Errors: POOL_EXISTS, POOL_MISMATCH, POOL_LIMIT_REACHED,
 * those of the pattern and of opening a store.
 */
export function createPoolOffline(config: Config, pool: PoolConfig): Promise<StoredPool> {
  parsePattern(pool);
  return withStoreOffline(config, async (store) => {
    const { name } = pool;
    const names = await poolNames(config, store);
    if (names.has(name)) throw poolExists(name);
    if (names.size >= POOLS_MAX) throw poolLimit(name);
    const { identity, settings } = parts(pool);
    return store.definePool(identity, settings);
  });
}

/** Of the pools that the next server serves. */
async function poolNames({ pools }: Config, store: Store): Promise<ReadonlySet<string>> {
  const others = (await store.pools()).filter((stored) => configOf(stored) !== undefined);
  return new Set([...pools, ...others].map(({ name }) => name));
}

/** Errors: POOL_NOT_FOUND, POOL_CONFIGURED, CONFIG_INVALID, and those of opening a store. */
export function changePoolOffline(
  config: Config,
  name: string,
  change: PoolChange,
): Promise<StoredPool> {
  return withStoreOffline(config, async (store) => {
    const known = configOf(await storedPool(store, name));
    if (known === undefined) throw poolConfigured(name);
    const changed = { ...known, ...change };
    assertReadyFits(changed, `pool ${name}: ready`);
    await store.changePool(name, { settings: parts(changed).settings });
    return storedPool(store, name);
  });
}

/** Errors: POOL_NOT_FOUND, and those of opening a store. */
export function pausePoolOffline(
  config: Config,
  name: string,
  isPaused: boolean,
): Promise<StoredPool> {
  return withStoreOffline(config, async (store) => {
    await storedPool(store, name);
    await store.changePool(name, { isPaused });
    return storedPool(store, name);
  });
}

/** Burns all that is left of a pool; how many that were. Errors: as of `changePoolOffline`. */
export function removePoolOffline(config: Config, name: string): Promise<number> {
  if (config.pools.some((pool) => pool.name === name)) throw poolConfigured(name);
  return withStoreOffline(config, async (store) => {
    await storedPool(store, name);
    return store.removePool(name);
  });
}

/** Error: POOL_NOT_FOUND. */
async function storedPool(store: Store, name: string): Promise<StoredPool> {
  const pools = (await store.pools()).filter(({ isRemoved }) => !isRemoved);
  const found = pools.find((pool) => pool.name === name);
  if (found !== undefined) return found;
  throw poolNotFound(name, pools);
}

/** Names those that there are. */
function poolNotFound(name: string, pools: readonly { readonly name: string }[]): VanityError {
  const names = [...new Set(pools.map((pool) => pool.name))].join(', ') || 'none';
  return new VanityError('POOL_NOT_FOUND', `pool ${name}: no such pool; there are: ${names}`);
}

/** Burned addresses by pool and cause; changes nothing. Errors: those of opening a store. */
export function burnedOffline({ store: { directory } }: Config): ReturnType<typeof readBurned> {
  return readBurned(directory);
}

export type { BackupOptions };

/** To another user, root included, the journals of a crash are missing: it would burn what they save. */
export function assertOwner(directory: string): void {
  const owner = statSync(storeFileOf(directory)).uid;
  if (owner === process.getuid!()) return;
  const message = `${directory}: the store is that of user ${owner}; run this as that user`;
  throw new VanityError('DATA_NOT_WRITABLE', message);
}

/**
 * Those in the data directory: of runs that the store there knows nothing of, or whose leases are
 * burned. Those in memory may be of a server that lives, or of one that was killed beside it: they
 * are found by its database file alone, and a start removes them a day after that is gone.
 */
function removeJournalsIn(dataDirectory: string): void {
  using journals = new Journals({ dataDirectory });
  journals.remove();
}

/** Runs `work` on the tokens of a store that no server holds. Errors: those of opening a store. */
export function withTokensOffline<T>(
  config: Config,
  work: (tokens: TokenStore) => Promise<T>,
): Promise<T> {
  return withStoreOffline(config, ({ tokens }) => work(tokens));
}

/**
 * Makes a token; `isFirst`: every request needs one because of it. Errors: POOL_NOT_FOUND, TOKEN_EXISTS,
 * and those of opening a store.
 */
export function createTokenOffline(
  config: Config,
  token: NewToken,
): Promise<{ made: StoredToken; isFirst: boolean }> {
  return withStoreOffline(config, async (store) => {
    assertPoolsExist(token.pools ?? [], await poolNames(config, store));
    const isFirst = config.auth.required === 'auto' && !(await store.tokens.wereMade());
    return { made: await store.tokens.create(token), isFirst };
  });
}

async function withStoreOffline<T>(config: Config, work: (store: Store) => Promise<T>): Promise<T> {
  await using store = await openOffline(config);
  return await work(store);
}

/** Takes keypairs into the pool; all of one call or, when it throws, none. */
export type Import = (keypairs: readonly Uint8Array[]) => Promise<InsertReport>;

/**
 * Runs `work` with the store of a data directory that no server holds. Errors: POOL_NOT_FOUND,
 * IMPORTS_REFUSED, those of opening a store; from `Import` also KEYPAIR_REFUSED.
 */
export async function importOffline<T>(
  config: Config,
  name: string,
  work: (take: Import) => Promise<T>,
): Promise<T> {
  const configured = config.pools.find((known) => known.name === name);
  const made = (await poolsOffline(config)).flatMap((one) => configOf(one) ?? []);
  const pool = configured ?? made.find((one) => one.name === name);
  if (pool === undefined) throw poolNotFound(name, [...config.pools, ...made]);
  if (!pool.acceptsImports) {
    const remedy = 'accepts_imports = true in its configuration allows them';
    throw new VanityError('IMPORTS_REFUSED', `pool ${name}: takes no imports; ${remedy}`);
  }
  const pattern = parsePattern(pool);
  await using store = await openOffline(config);
  if (configured) await store.definePool(parts(configured).identity);
  return await work((keypairs) => {
    for (const [index, keypair] of keypairs.entries()) assertImportable(keypair, index, pattern);
    const hits = keypairs.map((keypair) => ({ pool: name, keypair }));
    return store.insert(hits, 'imported');
  });
}

/** A crash is settled as a start does it, which only the user of the server can. */
async function openOffline({ store }: Pick<Config, 'store'>): Promise<Store> {
  using journals = new Journals({ dataDirectory: store.directory });
  return await openWith(journals, store);
}

export function openWith(journals: Journals, store: Config['store']): Promise<Store> {
  const { directory, sealingKey, durability, copies } = store;
  assertOwner(directory);
  const { recover } = journals;
  const witness = witnessDirectory(directory);
  const settings = { directory, sealingKey, durability, copies, witness };
  return openSqliteStore({ ...settings, create: false, recover, onBound });
}

/** What a server would log. */
function onBound(rows: readonly string[]): void {
  const names = rows.join(', ');
  process.stderr.write(`vanitypool: bound to the sealing key as they are: ${names}\n`);
}
