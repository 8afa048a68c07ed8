/**
 * The beginning of a run: what earlier ones of this node had leased and did not return is settled, by what their
 * dispense journals say. Runs in the store thread, inside the transaction of opening or of joining again.
 */
import { randomBytes } from 'node:crypto';
import type { Durability, Role } from '../../config/config.ts';
import { VanityError } from '../../errors.ts';
import type { HandOut } from '../hand-out.ts';
import type { OwnClock } from '../own-clock.ts';
import { endOf, uncut } from '../positions.ts';
import type { Recover, Recovered } from '../recovery.ts';
import { LOOK, type Look } from './database-sight.ts';
import { exchangeMac } from './exchange.ts';
import { unburn } from './expiry.ts';
import { moveFigures } from './figures.ts';
import { cutOut, leased, record } from './hand-outs.ts';
import { burn, giveBack, leaveLanes, sum } from './lanes.ts';
import type { CountedJournals } from './queues.ts';
import type { Run } from './run.ts';
import type { HeldKey } from './store-keys.ts';
import type { Query } from './transaction.ts';

const SQL = {
  addNode: `INSERT INTO vanitypool.nodes (id, name, place, sign_key, created_at, role)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE
      SET name = EXCLUDED.name, place = EXCLUDED.place, confirmed = true, retired_at = NULL,
        role = CASE nodes.role WHEN 'grinder' THEN EXCLUDED.role ELSE nodes.role END`,
  /** May not say of a node that once leased what only that can know. */
  addGrinder: `INSERT INTO vanitypool.nodes (id, name, place, sign_key, created_at, role)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE
      SET name = EXCLUDED.name, place = EXCLUDED.place`,
  unsettled: `SELECT epoch, role, durability, state FROM vanitypool.epochs
    WHERE node_id = $1 AND state <> 'settled' ORDER BY epoch FOR UPDATE`,
  queues: `SELECT q.pool_id, q.position, q.pushed, q.journals, p.name
    FROM vanitypool.queues AS q JOIN vanitypool.pools AS p ON p.id = q.pool_id
    WHERE q.epoch = $1 AND NOT q.is_ended ORDER BY q.pool_id FOR UPDATE OF q`,
  endQueue: `UPDATE vanitypool.queues SET is_ended = true, position = $3, pushed = $3, recorded_at = $4
    WHERE epoch = $1 AND pool_id = $2`,
  correctQueue: `UPDATE vanitypool.queues SET is_ended = true, position = $3, recorded_at = $4
    WHERE epoch = $1 AND pool_id = $2`,
  settle: `UPDATE vanitypool.epochs SET state = 'settled' WHERE epoch = $1`,
  settleClean: `UPDATE vanitypool.epochs SET state = 'settled'
    WHERE epoch = $1 AND run = $2 AND state = 'open' AND NOT EXISTS (
      SELECT FROM vanitypool.queues WHERE epoch = $1 AND position < pushed)`,
  next: `UPDATE vanitypool.cluster SET epoch = epoch + 1 RETURNING epoch, ${LOOK}`,
  begin: `INSERT INTO vanitypool.epochs
      (epoch, node_id, run, role, durability, ttl_ms, beaten_at, started_at, looked, exchange_key, exchange_mac)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10)`,
} as const;

interface EpochRow {
  readonly epoch: number;
  readonly role: Role;
  readonly durability: Durability;
  readonly state: 'open' | 'expired';
}

interface QueueRow {
  readonly pool_id: number;
  readonly position: number;
  readonly pushed: number;
  readonly journals: CountedJournals;
  readonly name: string;
}

export interface Begin {
  readonly durability: Durability;
  readonly ttlMs: number;
  readonly recover?: Recover | undefined;
  /** Of one that does not only grind. */
  readonly held?: HeldKey | undefined;
}

export interface Settling {
  readonly recover: Recover | undefined;
  /** 'burn': the database went back in time, and others may have had it. */
  readonly rest: 'return' | 'burn';
}

export interface Begun {
  readonly epoch: number;
  /** Drawn with it. */
  readonly id: Uint8Array;
  readonly recovered: Readonly<Record<string, Recovered>>;
}

/** What it settles is added to `recovered`: also by an attempt of which nobody knows whether it is in. */
export async function beginEpoch(
  query: Query,
  run: Run,
  begin: Begin,
  recovered: Record<string, Recovered>,
): Promise<Begun> {
  const since = run.sight.last;
  // First: all that lock the cluster's row lock it before others.
  const [seen] = (await query<Look & { epoch: number }>(SQL.next)).rows;
  run.sight.assertSound(seen!, since);
  // Who rotates it waits for this one, and knows of it then.
  await run.assertKey(query);
  const { epoch, serverStart } = seen!;
  const { durability, ttlMs, recover, held } = begin;
  await addNode(query, run);
  await settleRuns(query, run, { recover, rest: 'return' }, recovered);
  const id = randomBytes(16);
  const row = [epoch, run.node.id, id, run.role, durability, ttlMs, run.now, serverStart];
  const exchange = held && Buffer.from(held.exchange.publicKey);
  const mac = held && exchangeMac(held, { epoch, run: id, node: run.node.id }, exchange!);
  await query(SQL.begin, [...row, exchange, mac]);
  return { epoch, id, recovered };
}

/** That there is this node, also if it was retired. */
export async function addNode(query: Query, { node, role, now }: Run): Promise<void> {
  const { id, name, place, signKey } = node;
  await query(role === 'grinder' ? SQL.addGrinder : SQL.addNode, [
    id,
    name,
    place,
    Buffer.from(signKey),
    now,
    role,
  ]);
}

/** What earlier runs of this node had leased, and what became of the rest of it. */
export async function settleRuns(
  query: Query,
  run: Run,
  { recover, rest }: Settling,
  recovered: Record<string, Recovered>,
): Promise<void> {
  const { rows } = await query<EpochRow>(SQL.unsettled, [run.node.id]);
  for (const last of rows) {
    if (run.role === 'grinder') assertGrinder(run, last);
    const end = last.state === 'open' ? settle : correct;
    for (const queue of await queuesOf(query, last)) {
      const records = unrecorded(run, last, queue, recover);
      // What lost turns had leased is not known here.
      const known = rest === 'burn' ? records && before(queue, records) : records;
      const left = await end(query, run, last.epoch, queue, known, rest);
      if (queue.pushed > queue.position) recovered[queue.name] = left;
    }
    await leaveLanes(query, last.epoch);
    await query(SQL.settle, [last.epoch]);
  }
}

/** One that only ground has none; its node may not even read those of others. */
async function queuesOf(query: Query, { role, epoch }: EpochRow): Promise<readonly QueueRow[]> {
  return role === 'grinder' ? [] : (await query<QueueRow>(SQL.queues, [epoch])).rows;
}

/** What a run of another role had leased is for one of that role to settle. Error: CONFIG_INVALID. */
function assertGrinder({ node }: Run, { role }: EpochRow): void {
  if (role === 'grinder') return;
  const detail = `node ${node.id} ran with role = "${role}" and did not stop cleanly`;
  const remedy =
    'start it once more with that, and stop it, or give the grinder a directory of its own';
  throw new VanityError('CONFIG_INVALID', `role: ${detail}; ${remedy}`);
}

/** What a store has that is open, of whatever role. */
export interface OpenRun {
  readonly run: Run;
  readonly watches: Disposable;
  readonly resources: AsyncDisposableStack;
}

/** Ends the run and what it has, once. What cannot be ended now is for the next start. */
export async function endRun({ run, watches, resources }: OpenRun): Promise<void> {
  if (resources.disposed) return;
  // A beat behind the end of the epoch would report that another run has ended this one.
  watches[Symbol.dispose]();
  try {
    await run.repeated((query) => endEpoch(query, run));
  } catch (error) {
    if (!(error instanceof VanityError)) throw error;
  } finally {
    await resources.disposeAsync();
  }
}

/** A run that has nothing leased is over: no other waits for it. One that has is for the next start. */
async function endEpoch(query: Query, { epoch, id }: Run): Promise<void> {
  const { count } = await query(SQL.settleClean, [epoch, id]);
  if (count > 0) await leaveLanes(query, epoch);
}

/** What the journals of the queue say that the store has not; undefined if one is not trusted. */
function unrecorded(
  { storeId, node }: Run,
  { epoch, durability }: EpochRow,
  { journals }: QueueRow,
  recover: Recover | undefined,
): readonly HandOut[] | undefined {
  // Nothing left before it was recorded: no journal has to say so.
  if (durability === 'committed') return [];
  if (recover === undefined) return undefined;
  const handOuts: HandOut[] = [];
  for (const [number, counted] of Object.entries(journals)) {
    const journal = { storeId, place: node.place, epoch, number: Number(number), ...counted };
    const found = recover(journal);
    if (found === undefined) return undefined;
    handOuts.push(...found);
  }
  return handOuts;
}

/** Records of journals: those of hand-outs, and the positions that were to be held, of which nobody has heard. */
function readFrom(records: readonly HandOut[], near: number, clock: OwnClock) {
  const seen = records.filter(({ isUnseen }) => !isUnseen);
  return {
    seen: seen.map((one) => ({ ...one, at: clock.recovered(one.at) })),
    unseen: records.filter(({ isUnseen }) => isUnseen).map((one) => uncut(one.position, near)),
  };
}

/** Of what left the part that the queue had leased. */
function before({ position, pushed }: QueueRow, records: readonly HandOut[]): HandOut[] {
  return records.flatMap((one) => {
    const count = Math.min(one.count, pushed - uncut(one.position, position));
    return count > 0 ? [{ ...one, count }] : [];
  });
}

/** Of a run that another has ended: what its journals name was burned, and left. */
async function correct(
  query: Query,
  run: Run,
  epoch: number,
  { pool_id: pool, position, pushed }: QueueRow,
  records: readonly HandOut[] | undefined,
): Promise<Recovered> {
  const queue = { epoch, pool };
  const { now, clock, node } = run;
  const popped = endOf(records ?? [], position) - position;
  if (records === undefined || popped === 0 || popped > pushed - position) {
    return { dispensed: 0, returned: 0, burned: pushed - position };
  }
  const { seen, unseen } = readFrom(records, position, clock);
  await record(query, queue, position, seen);
  let dispensed = 0;
  for (let at = position; at < position + popped; at++) {
    if (unseen.includes(at)) continue;
    dispensed += await unburn(query, pool, await leased(query, queue, at, 1));
  }
  await query(SQL.correctQueue, [epoch, pool, position + popped, now]);
  await moveFigures(query, pool, node.id, { burned: -dispensed, dispensed });
  return { dispensed, returned: 0, burned: pushed - position - dispensed };
}

async function settle(
  query: Query,
  run: Run,
  epoch: number,
  { pool_id: pool, position, pushed }: QueueRow,
  records: readonly HandOut[] | undefined,
  rest: Settling['rest'],
): Promise<Recovered> {
  const queue = { epoch, pool };
  const { now, clock, node } = run;
  const popped = endOf(records ?? [], position) - position;
  if (records === undefined || popped > pushed - position) {
    const lost = await cutOut(query, queue, position, pushed - position);
    await burn(query, pool, lost, now, rest === 'burn' ? 'failover' : 'crash');
    await query(SQL.endQueue, [epoch, pool, position, now]);
    const burned = sum(lost);
    await moveFigures(query, pool, node.id, { leased: -burned, burned });
    return { dispensed: 0, returned: 0, burned };
  }
  const { seen, unseen } = readFrom(records, position, clock);
  const { held, freed } = await record(query, queue, position, seen);
  const back = await cutOut(query, queue, position + popped, pushed - position - popped);
  back.push(...freed);
  for (const at of unseen) back.push(...(await cutOut(query, queue, at, 1)));
  if (rest === 'burn') await burn(query, pool, back, now, 'failover');
  else await giveBack(query, pool, back);
  await query(SQL.endQueue, [epoch, pool, position + popped, now]);
  const count = sum(back);
  const dispensed = pushed - position - count - held.length;
  const to = rest === 'burn' ? 'burned' : 'available';
  const figures = { leased: position - pushed, reserved: held.length, dispensed, [to]: count };
  await moveFigures(query, pool, node.id, figures);
  const [returned, burned] = rest === 'burn' ? [0, count] : [count, 0];
  return { dispensed, returned, burned };
}
