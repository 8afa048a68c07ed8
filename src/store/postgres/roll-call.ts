/**
 * After a failover, a restore or the return of a snapshot: whether the database has all that its nodes did. Runs in
 * the store thread.
 *
 *   sound     ->  suspect   somebody saw another database than the last one, or one that ended behind
 *   suspect   ->  sound     each node has said that nothing of its own is missing: nothing is burned
 *   any       ->  lost      a node remembers more than the database has
 *   lost      ->  sound     each node has recorded what its journals name and burned all else that it had leased
 *                           or may have; then what was given back is burned, too, and numbers begin far above
 *
 * A node that does not come back is waited for, until an operator retires it (nodes.ts). Each state is in the row
 * of the cluster, with the identity of the database of which the nodes are asked: another one asks all again. A store
 * that moves here (move-target.ts) is none of these, and nothing of this changes that.
 */
import type { Recover, Recovered } from '../recovery.ts';
import { type StoreEvents, StoreRewound } from '../store.ts';
import type { BoundRows } from './bound-rows.ts';
import { BURNING, type Burner, burnCommon, burnLanes } from './burning.ts';
import { isKnown, type Look, look } from './database-sight.ts';
import { addNode, settleRuns } from './epochs.ts';
import { takenOf } from './lanes.ts';
import type { Run } from './run.ts';
import { switchOffTokens } from './tokens.ts';
import type { Query } from './transaction.ts';

const SQL = {
  node: 'SELECT confirmed, answered, retired_at FROM vanitypool.nodes WHERE id = $1',
  epoch: 'SELECT FROM vanitypool.epochs WHERE epoch = $1 AND run = $2',
  turns: 'SELECT pool_id, turn FROM vanitypool.queues WHERE epoch = $1 AND run = $2',
  ask: `UPDATE vanitypool.cluster
    SET state = $1, system_id = $2, timeline = $3, database_oid = $4, table_oid = $5
    WHERE state <> 'migrating'`,
  unconfirm: 'UPDATE vanitypool.nodes SET confirmed = false WHERE retired_at IS NULL',
  confirm: `UPDATE vanitypool.nodes SET confirmed = true, answered = coalesce($2, answered) WHERE id = $1`,
  /** Behind all that this node knows of. */
  number: 'UPDATE vanitypool.cluster SET epoch = greatest(epoch, $1), lane = greatest(lane, $2)',
  /** Behind all that was lost with nodes that never come back. */
  leap: `UPDATE vanitypool.cluster SET signed_epoch = epoch,
    epoch = greatest(epoch + 1048576, $1::bigint / 1000), lane = greatest(lane + 1048576, $1::bigint / 1000)`,
  missed: `SELECT id, name FROM vanitypool.nodes
    WHERE NOT confirmed AND retired_at IS NULL AND role <> 'grinder' ORDER BY created_at, id`,
  /** Who was open when the server was started, and has not found the database as it left it since. */
  unlooked: `SELECT n.id, n.name FROM vanitypool.epochs AS e JOIN vanitypool.nodes AS n ON n.id = e.node_id
    WHERE e.state = 'open' AND e.role <> 'grinder' AND e.looked <> $1 ORDER BY e.epoch`,
  sound: `UPDATE vanitypool.cluster SET state = 'sound' WHERE state <> 'migrating'`,
} as const;

/** One that has not said what it did, and is waited for. */
export interface MissedNode {
  readonly id: string;
  readonly name: string;
}

export interface RollCallOptions {
  readonly run: Run;
  readonly rows: BoundRows;
  /** 'synchronous': the operator says that no failover loses a commit; who is missed is not waited for. */
  readonly standby: 'synchronous' | undefined;
}

interface NodeRow {
  readonly confirmed: boolean;
  readonly answered: Uint8Array | null;
  readonly retired_at: number | null;
}

export class RollCall {
  readonly #options: RollCallOptions;
  #events: Pick<StoreEvents, 'rewound'> | undefined;
  /** Asked by this node, and not reported yet. */
  #asked: 'suspect' | 'lost' | undefined;

  constructor(options: RollCallOptions) {
    this.#options = options;
  }

  /** Until it is disposed of. One at a time. */
  watch(events: Pick<StoreEvents, 'rewound'>): Disposable {
    this.#events = events;
    return {
      [Symbol.dispose]: () => {
        this.#events = undefined;
      },
    };
  }

  /** If the database is another, or has less than this node did: from now on nothing is leased. */
  async call(): Promise<void> {
    const { run } = this.#options;
    await run.repeated(async (query) => void (await this.#judge(query, await this.#node(query))));
    this.#report();
  }

  /**
   * This node says what it did, if it is asked: with `recover` it reads its journals to their ends. What it settles
   * is added to `recovered`. Error: STORE_REWOUND, as long as other nodes are missed.
   */
  async answer(recover: Recover | undefined, recovered: Record<string, Recovered>): Promise<void> {
    const { run } = this.#options;
    const { seen, missed } = await run.repeated(async (query) => {
      const seen = await this.#judge(query, await this.#node(query));
      // As that left it.
      const node = await this.#node(query);
      const isNew = node === undefined && run.marks.run === undefined;
      // It cannot say what it did.
      const isForgetful = node?.retired_at === null && !run.marks.areKept;
      if (seen.state === 'sound') {
        const own = { id: run.node.id, name: run.node.name };
        if (isForgetful) return { seen, missed: [own] };
        // A new node cannot see by itself whether something is missing: others have to have looked.
        if (run.marks.areKept) return { seen, missed: [] };
        return { seen, missed: (await query<MissedNode>(SQL.unlooked, [seen.serverStart])).rows };
      }
      if (!isNew && !isForgetful) await this.#tell(query, seen, node, recover, recovered);
      const missed = await finish(query, run, seen.state, this.#options.standby);
      return { seen, missed };
    }, BURNING);
    this.#report();
    if (missed.length > 0) throw this.#missing(missed);
    run.sight.adopt(seen);
    // Behind a loss of power nobody knew it exactly.
    if (!run.marks.isExact) {
      const lanes = run.marks.lanes.keys();
      run.marks.limit(await run.transaction((query) => takenOf(query, lanes)));
    }
  }

  #report(): void {
    const state = this.#asked;
    this.#asked = undefined;
    if (state !== undefined) this.#events?.rewound(state);
  }

  async #node(query: Query): Promise<NodeRow | undefined> {
    return (await query<NodeRow>(SQL.node, [this.#options.run.node.id])).rows[0];
  }

  /** As it is from now on. */
  async #judge(query: Query, node: NodeRow | undefined): Promise<Look> {
    const { run, standby } = this.#options;
    const { sight, marks } = run;
    const since = sight.last;
    // What it did and saw before it was asked is known by then.
    const hasAnswered = this.#hasAnswered(node);
    const isLost = !hasAnswered && (await this.#isLost(query));
    const isBehind = (seen: Look) => !hasAnswered && sight.isBehind(seen, since);
    const isSound = (seen: Look) =>
      seen.state === 'sound' && isKnown(seen) && !isBehind(seen) && !isLost;
    const first = await look(query);
    if (isSound(first)) return first;
    const seen = await look(query, true);
    const isFirst = seen.knownSystemId === '';
    if (isSound(seen)) return seen;
    const mayBeLost = !marks.isExact && standby !== 'synchronous';
    const found = isLost || mayBeLost ? 'lost' : 'suspect';
    const state = isFirst ? 'sound' : seen.state === 'lost' ? 'lost' : found;
    if (state !== seen.state || !isKnown(seen)) {
      await ask(query, seen, state);
      if (state !== 'sound') this.#asked = state;
    }
    return { ...seen, state };
  }

  /** Whether this node was asked since its last run began, and has begun no other. */
  #hasAnswered(node: NodeRow | undefined): boolean {
    const own = this.#lastRun;
    return own !== null && node?.answered != null && own.equals(node.answered);
  }

  /** The id of the last one that this node remembers. */
  get #lastRun(): Buffer | null {
    const { run } = this.#options.run.marks;
    return run === undefined ? null : Buffer.from(run.id, 'hex');
  }

  /** Whether the database has less than this node did. */
  async #isLost(query: Query): Promise<boolean> {
    const { marks } = this.#options.run;
    if (marks.run === undefined) return false;
    const which = [marks.run.epoch, this.#lastRun];
    if ((await query(SQL.epoch, which)).rows.length === 0) return true;
    const { rows } = await query<{ pool_id: number; turn: number }>(SQL.turns, which);
    const turns = new Map(rows.map(({ pool_id, turn }) => [pool_id, turn]));
    return [...marks.turns].some(([pool, turn]) => (turns.get(pool) ?? -1) < turn);
  }

  async #tell(
    query: Query,
    { state }: Look,
    node: NodeRow | undefined,
    recover: Recover | undefined,
    recovered: Record<string, Recovered>,
  ): Promise<void> {
    const { run, rows } = this.#options;
    if (node?.confirmed === true && node.retired_at === null) return;
    await addNode(query, run);
    const { marks } = run;
    if (state === 'lost') {
      await settleRuns(query, run, { recover, rest: 'burn' }, recovered);
      await burnLanes(query, run, marks.lanes);
      if (marks.tokens !== undefined) await switchOffTokens(query, rows, marks.tokens, run.now);
      const last = Math.max(0, ...marks.lanes.keys());
      await query(SQL.number, [marks.run?.epoch ?? 0, last]);
    }
    await query(SQL.confirm, [run.node.id, this.#lastRun]);
  }

  #missing(missed: readonly MissedNode[]): StoreRewound {
    const { node, marks } = this.#options.run;
    const who = missed.map(({ name, id }) => `${name} (${id})`).join(', ');
    const isSelf = missed.some(({ id }) => id === node.id) && !marks.areKept;
    const own = isSelf ? `; ${marks.path} of this node is missing: put it back` : '';
    return new StoreRewound(
      `the database may have gone back in time, and nothing is leased until these nodes have said what they did: ` +
        `${who}${own}. Start them; or, for each that does not come back, type: vanitypool nodes retire ID ` +
        '--lost-nothing (every commit of it is in the database) or --burn (nobody knows: burns all that is available)',
    );
  }
}

/** Of this database, as it is now: every node that is not retired. */
export async function ask(query: Query, seen: Look, state: Look['state']): Promise<void> {
  await query(SQL.ask, [state, seen.systemId, seen.timeline, seen.database, seen.table]);
  if (state !== 'sound') await query(SQL.unconfirm);
}

/** If no node is missed: the database is sound. Else who is. */
export async function finish(
  query: Query,
  burner: Burner,
  state: 'suspect' | 'lost',
  standby?: 'synchronous',
): Promise<readonly MissedNode[]> {
  const missed = (await query<MissedNode>(SQL.missed)).rows;
  const isVouched = state === 'suspect' && standby === 'synchronous';
  if (missed.length > 0 && !isVouched) return missed;
  if (state === 'lost') {
    await burnCommon(query, burner);
    await query(SQL.leap, [burner.now]);
  }
  await query(SQL.sound);
  return [];
}
