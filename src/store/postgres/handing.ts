/**
 * The key that is to take the place of the sealing key: handed to every run that opens addresses, before the store
 * goes by it (rotation.ts). Runs in the store thread of who hands, and of who takes.
 *
 * A node has one such key at a time. It is made or taken, and the store goes by it, in transactions that have the
 * row of the cluster locked: a run that says that it has one does not give it up while who handed it may go on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { VanityError } from '../../errors.ts';
import type { SealingKey } from '../../keypair/sealing-key.ts';
import {
  findSealingKey,
  isKey,
  takeNextKey,
  writeNextKey,
} from '../../keypair/sealing-key-files.ts';
import { refused } from '../next-key.ts';
import { forged } from '../row-macs.ts';
import { exchangeMac, type HandedKey, handOver, isMac, take } from './exchange.ts';
import type { Run } from './run.ts';
import type { HeldKey } from './store-keys.ts';
import type { Query } from './transaction.ts';

const SQL = {
  lock: 'SELECT FROM vanitypool.cluster FOR UPDATE',
  other: `SELECT n.name FROM vanitypool.handed_keys AS h JOIN vanitypool.epochs AS e ON e.epoch = h.by_epoch
    JOIN vanitypool.nodes AS n ON n.id = e.node_id
    WHERE e.state = 'open' AND h.by_epoch <> $1 LIMIT 1`,
  /** What a run left that is over is nothing any more. */
  handed: `SELECT h.public_key, h.sealed, h.mac FROM vanitypool.handed_keys AS h
    JOIN vanitypool.epochs AS e ON e.epoch = h.by_epoch
    WHERE h.epoch = $1 AND NOT h.is_kept AND h.refusal IS NULL AND e.state = 'open'`,
  runs: `SELECT e.epoch, e.run, e.node_id AS node, n.name, e.exchange_key AS "exchangeKey", e.exchange_mac AS mac,
      h.epoch IS NOT NULL AS "isHanded", coalesce(h.is_kept, false) AS "isKept", h.refusal
    FROM vanitypool.epochs AS e JOIN vanitypool.nodes AS n ON n.id = e.node_id
    LEFT JOIN vanitypool.handed_keys AS h ON h.epoch = e.epoch AND h.by_epoch = $1 AND h.public_key = $2
    WHERE e.state = 'open' AND e.role <> 'grinder' AND e.epoch <> $1 ORDER BY e.epoch`,
  hand: `INSERT INTO vanitypool.handed_keys (epoch, by_epoch, public_key, sealed, mac) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (epoch) DO UPDATE SET by_epoch = EXCLUDED.by_epoch, public_key = EXCLUDED.public_key,
      sealed = EXCLUDED.sealed, mac = EXCLUDED.mac, is_kept = false, refusal = NULL`,
  kept: 'UPDATE vanitypool.handed_keys SET is_kept = true WHERE epoch = $1 AND mac = $2',
  refuse: 'UPDATE vanitypool.handed_keys SET refusal = $3 WHERE epoch = $1 AND mac = $2',
  takeBack: 'DELETE FROM vanitypool.handed_keys WHERE by_epoch = $1',
  setMac: 'UPDATE vanitypool.epochs SET exchange_mac = $2 WHERE epoch = $1',
} as const;

/** A node looks each second. */
const TAKEN_MS = 30_000;
const WAIT_MS = 100;

export interface OtherRun {
  readonly epoch: number;
  readonly run: Uint8Array;
  readonly node: string;
  readonly name: string;
  readonly exchangeKey: Uint8Array | null;
  /** Of that. */
  readonly mac: Uint8Array | null;
  readonly isHanded: boolean;
  readonly isKept: boolean;
  readonly refusal: string | null;
}

export class Handing {
  readonly #run: Run;
  readonly #held: HeldKey;
  readonly #next: SealingKey;
  /** How many have it. */
  count = 0;

  constructor(run: Run, held: HeldKey, next: SealingKey) {
    this.#run = run;
    this.#held = held;
    this.#next = next;
  }

  /** Errors: as of `KeyRotation.handOver`; then nobody is to have it. */
  async toAll(): Promise<void> {
    try {
      for (let waitedMs = 0; ; waitedMs += WAIT_MS) {
        const missing = await this.#run.repeated((query) => this.#hand(query));
        if (missing.length === 0) return;
        if (waitedMs >= TAKEN_MS) throw unheard(missing);
        await sleep(WAIT_MS);
      }
    } catch (error) {
      await this.takeBack();
      throw error;
    }
  }

  /** Behind the lock of the cluster's row nobody begins: runs that do not have the key. */
  async missing(query: Query): Promise<readonly OtherRun[]> {
    const others = await this.#others(query);
    const missing = others.filter(({ isKept }) => !isKept);
    this.count = others.length - missing.length;
    return missing;
  }

  /** As far as it can: another run may hand one from then on. */
  async takeBack(): Promise<void> {
    const { epoch } = this.#run;
    await this.#run.transaction((query) => query(SQL.takeBack, [epoch])).catch(() => undefined);
  }

  /** Exchange keys of all open runs are those of the same runs under the new key; of those that are so now. */
  async renew(query: Query): Promise<void> {
    const { storeId, binding, publicKey } = this.#held;
    const next = { storeId, handingKey: this.#next.handingKey(storeId, binding) };
    const { rows } = await query<OtherRun>(SQL.runs, [0, Buffer.from(publicKey)]);
    for (const run of rows.filter((one) => this.#isGenuine(one))) {
      await query(SQL.setMac, [run.epoch, exchangeMac(next, run, run.exchangeKey!)]);
    }
  }

  async #others(query: Query): Promise<readonly OtherRun[]> {
    const which = [this.#run.epoch, Buffer.from(this.#next.publicKey)];
    return (await query<OtherRun>(SQL.runs, which)).rows;
  }

  /** Hands it to those that were not handed it: who is missing then. */
  async #hand(query: Query): Promise<readonly OtherRun[]> {
    const { epoch } = this.#run;
    await assertAlone(query, this.#run);
    const missing = await this.missing(query);
    for (const run of missing) {
      if (run.refusal !== null) throw refused(`${nameOf(run)}: ${shown(run.refusal)}`);
      if (run.isHanded) continue;
      const { exchangeKey } = run;
      if (exchangeKey === null || !this.#isGenuine(run)) {
        throw forged(`the exchange key of ${nameOf(run)}`);
      }
      const { public_key, sealed, mac } = await handOver(
        this.#held,
        { ...run, exchangeKey },
        this.#next,
      );
      await query(SQL.hand, [run.epoch, epoch, public_key, sealed, mac]);
    }
    return missing;
  }

  #isGenuine(run: OtherRun): boolean {
    const { exchangeKey, mac } = run;
    return exchangeKey !== null && isMac(mac, exchangeMac(this.#held, run, exchangeKey));
  }
}

/** With the row of the cluster locked: no other run hands a key. Errors: SealingKeyMoved, KEY_ROTATION_REFUSED. */
export async function assertAlone(query: Query, run: Run): Promise<void> {
  await query(SQL.lock);
  await run.assertKey(query);
  const [other] = (await query<{ name: string }>(SQL.other, [run.epoch])).rows;
  if (other === undefined) return;
  const remedy = 'if it was killed, start it again, or wait until its lease is over';
  throw refused(`node ${shown(other.name)} rotates the key just now; ${remedy}`);
}

export async function isHanded(query: Query, { epoch }: Run): Promise<boolean> {
  return (await query(SQL.handed, [epoch])).rows.length > 0;
}

/** What this run was handed, which says then that it has it. Errors: those of `Connection`. */
export async function takeHanded(run: Run, held: HeldKey): Promise<void> {
  const { epoch, id, node } = run;
  await run.transaction(async (query) => {
    await query(SQL.lock);
    await run.assertKey(query);
    const [handed] = (await query<HandedKey>(SQL.handed, [epoch])).rows;
    // It was taken back meanwhile.
    if (handed === undefined) return;
    const mac = Buffer.from(handed.mac);
    const key = await take(held, { epoch, run: id, node: node.id }, handed);
    // Somebody else wrote it.
    const isGenuine = key !== undefined && isKey(key, handed.public_key);
    const refusal = isGenuine ? await keep(held, key) : 'what it was handed is not of a node';
    if (refusal === undefined) await query(SQL.kept, [epoch, mac]);
    else await query(SQL.refuse, [epoch, mac, refusal]);
  });
}

/** Beside the key in use, if that is in a file; else in memory alone. Why it cannot be kept, if so. */
async function keep(held: HeldKey, key: SealingKey): Promise<string | undefined> {
  const { source, publicKey } = held;
  try {
    if (source.startsWith('file:')) {
      // It could not take its name before.
      if ((await findSealingKey(source, publicKey)).isNext) await takeNextKey(source);
      const found = await findSealingKey(source, key.publicKey);
      const isThere = found.key !== undefined && isKey(found.key, key.publicKey);
      // Of a node with the same file.
      if (!isThere) writeNextKey(source, key);
    }
  } catch (error) {
    return (error as Error).message;
  }
  held.expect({ key, source });
  return undefined;
}

function unheard(missing: readonly OtherRun[]): VanityError {
  const who = missing.map(nameOf).join(', ');
  const detail = `nothing has changed: these nodes have not taken the new key: ${who}`;
  const remedy = 'ask again when they answer; one that is gone counts until its lease is over';
  return new VanityError('STORE_UNAVAILABLE', `${detail}; ${remedy}`, { retryAfterSeconds: 5 });
}

function nameOf({ name, node }: OtherRun): string {
  return `node ${shown(name)} (${node})`;
}

/** Of what anybody may have written. */
function shown(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?');
}
