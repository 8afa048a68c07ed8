/**
 * A store that moves from a data directory into PostgreSQL, while no server holds it. Runs in the main thread. At no
 * moment can both be served: the order of the marks is in ../store/postgres/move-target.ts.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Config } from '../config/config.ts';
import { witnessDirectory } from '../disk/witness.ts';
import { VanityError } from '../errors.ts';
import { Journals } from '../pool/journals.ts';
import { MoveTarget } from '../store/postgres/move-target.ts';
import { nodeIn } from '../store/postgres/node-file.ts';
import type { NodeIdentity } from '../store/postgres/run.ts';
import {
  type ConnectionSettings,
  connectionSettings,
  withoutPassword,
} from '../store/postgres/settings.ts';
import { holdOwnDirectory } from '../store/sqlite/data-directory.ts';
import { goneFrom, MovingStore } from '../store/sqlite/moving.ts';
import { MovedRows } from './moved-rows.ts';
import { assertOwner, openWith } from './open.ts';

export type MigrateStep = 'begun' | 'copied' | 'marked' | 'done';

export interface MigrateOptions {
  /** 'postgres://...' */
  readonly to: string;
  /** Ends it as long as nothing is marked; then it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Of rows, which are counted twice: copied, and compared. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly onStep?: (step: MigrateStep) => void;
}

export interface Migrated {
  /** For `store.url`: without a password. */
  readonly url: string;
  /** Of the server, without user and password. */
  readonly name: string;
  /** How many addresses, by pool; undefined if all of it was there before. */
  readonly addresses: Readonly<Record<string, number>> | undefined;
}

/** Looked for signals after so many rows. */
const ROWS_AT_ONCE = 1000;

/**
 * Moves the store; again after anything that has cut it off. Errors: USAGE_INVALID for `to`, DATA_MOVED, STORE_FORGED,
 * KEY_ROTATION_REFUSED, those of opening either store.
 */
export async function migrateOffline(config: Config, options: MigrateOptions): Promise<Migrated> {
  const { to, onStep = () => undefined } = options;
  const settings = settingsOf(to);
  const { directory, data, sealingKey, copies } = config.store;
  if (directory === undefined) throw noDirectory();
  const moving = { directory, sealingKey, copies, witness: witnessDirectory(directory) };
  assertOwner(config.store);
  const there = { url: withoutPassword(to), name: settings.name };
  const gone = goneFrom(moving);
  if (gone !== undefined) {
    await using target = await openTarget(settings, gone.to);
    await target.end(gone.storeId);
    onStep('done');
    return { ...there, addresses: undefined };
  }
  await settle(config);
  using from = await MovingStore.open(moving);
  using _ = data === directory ? undefined : holdOwnDirectory(data);
  // Made here, not by its first start: what the old store did is its past, and data keys carry its signature.
  const node = nodeIn(data);
  await using target = await MoveTarget.open(settings);
  const { store_id: storeId } = from.rows.meta;
  await target.begin(storeId);
  onStep('begun');
  await copy(from, target, node, options);
  onStep('copied');
  from.mark(target.name);
  onStep('marked');
  await target.end(storeId);
  onStep('done');
  const addresses = from.rows.pools.map(({ name, ground, imported }) => [name, ground + imported]);
  return { ...there, addresses: Object.fromEntries(addresses) };
}

/** Error: DATA_MOVED where that database cannot be had, and the store is in another. */
async function openTarget(settings: ConnectionSettings, to: string): Promise<MoveTarget> {
  if (settings.name === to) return MoveTarget.open(settings);
  const detail = `--to ${settings.name}: the store of this directory was moved to ${to}`;
  throw new VanityError('DATA_MOVED', `${detail}; name that`);
}

/** As a start does it: what the last run left leased is settled, and rows of an older version are bound. */
async function settle(config: Config): Promise<void> {
  using journals = new Journals({ dataDirectory: config.store.data });
  await using _ = await openWith(journals, config.store);
  journals.remove();
}

async function copy(
  from: MovingStore,
  target: MoveTarget,
  node: NodeIdentity,
  { signal, onProgress = () => undefined }: MigrateOptions,
): Promise<void> {
  const { rows, key } = from;
  const { meta } = rows;
  const size = Math.max(rows.size, 1);
  const { store_id: storeId, binding, epoch, mac } = meta;
  let copied = 0;
  const moved = new MovedRows({
    from: rows,
    node,
    rowKey: key.rowKey(storeId, binding!),
    nodeKey: key.nodeKey(storeId, binding!),
    now: Date.now(),
    onRow: () => {
      copied++;
    },
  });
  const cluster = {
    ...{ sealingKey: key.publicKey, epoch, lane: moved.lane, binding: binding!, mac },
    ...{ tokenId: meta.token_id, hadTokens: meta.had_tokens === 1 },
  };
  let looked = 0;
  await target.copy(
    storeId,
    cluster,
    (to) =>
      moved.all(async (table, row) => {
        await to.add(table, row);
        if (copied < looked + ROWS_AT_ONCE) return;
        looked = copied;
        onProgress(copied, 2 * size);
        await nextTurn();
        signal?.throwIfAborted();
      }),
    (done, total) => {
      signal?.throwIfAborted();
      onProgress(size + (size * done) / total, 2 * size);
    },
  );
  signal?.throwIfAborted();
}

function noDirectory(): VanityError {
  const detail =
    'store.url names a database already; name the directory of the store that is to move: ' +
    '--config /dev/null --data DIR';
  return new VanityError('USAGE_INVALID', `migrate: ${detail}`);
}

function settingsOf(to: string): ConnectionSettings {
  try {
    return connectionSettings(to);
  } catch (error) {
    if (!(error instanceof VanityError)) throw error;
    throw new VanityError('USAGE_INVALID', error.message.replace(/^store\.url:/, '--to:'));
  }
}
