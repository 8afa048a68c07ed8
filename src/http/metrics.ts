/**
 * Prometheus metrics, read from shared memory at the moment they are asked for, so that every HTTP
 * thread gives the same answer and no thread is disturbed: one snapshot a pool, whatever the number
 * of its figures. Totals of pools and of the grinder go on from run to run, the others begin at 0.
 *
 * The histograms are written by hand: those of prom-client count in one thread.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import { ERRORS } from '../errors.ts';
import type { Deadline } from '../pool/deadline.ts';
import type { FileBudget } from '../pool/file-budget.ts';
import type { StoreHealth } from '../pool/health.ts';
import type { NodeFigures } from '../pool/node-figures.ts';
import type { Pool } from '../pool/pool.ts';
import { STARTED, type Tallies, type Times, WEBHOOK_OUTCOMES } from '../pool/tallies.ts';
import { NICE, ownNice } from '../system/priority.ts';
import type { GrinderFigures } from './grinder-view.ts';

interface Sources {
  readonly pools: ReadonlyMap<string, Pool>;
  readonly grinder: GrinderFigures;
  readonly storeHealth: StoreHealth;
  readonly deadline: Deadline;
  readonly nodes: NodeFigures;
  readonly tallies: Tallies;
  readonly files: FileBudget;
}

const POOL_TOTALS = {
  dispensed: 'Addresses that may have left, from all nodes.',
  burned: 'Addresses given up for ever, by all nodes.',
  ground: 'Addresses found by grinding, by all nodes.',
} as const;

const POOL_GAUGES = {
  stock: 'Addresses that can be taken from this node now: available + ready.',
  available: 'Addresses in the store that are free, for all nodes.',
  ready: 'Addresses in the memory of this node, to be handed out at once.',
  leased: 'Addresses claimed for hand-out by all nodes; ready is part of them.',
  reserved: 'Addresses held for clients by reservations that have not ended, of all nodes.',
  target: 'All nodes grind while available + leased is below it.',
  paused: '1 while it is paused, on all nodes.',
} as const;

const POOL_INFOS = { pool: '1; its labels say what its keys are and how they leave.' } as const;

const TOTALS = {
  attempts: 'Candidates tried by this node.',
  hits: 'Candidates of this node that matched and were proved.',
  grinder_faults: 'Hits that failed the proof.',
  grinder_restarts: 'Grinder threads that died and were replaced.',
  grinder_priority_changes: 'Times that grinder threads got another priority.',
  store_turns: 'Transactions that leased and recorded.',
  store_inserts: 'Transactions that inserted hits.',
  journals_renewed: 'Dispense journals recreated because their files were removed.',
  clock_steps: 'Times that the clock of the machine was found set, by over a minute.',
  idempotent_replays: 'Replies that an idempotency key had before.',
  webhooks_sent: 'Messages that a webhook accepted.',
  webhooks_failed: 'Attempts to send a message that a webhook did not accept.',
  webhooks_dropped: 'Messages given up: too old, too many, or the server stopped.',
} as const;

const GAUGES = {
  grinder_threads: 'Threads that search now.',
  grinder_attempts_per_second: 'Candidates tried a second, all threads.',
  store_up: '1 while the store works.',
  store_forged_rows:
    'Rows of tokens, pools and data keys that are refused: somebody else wrote them.',
  secrets_due: 'Secrets whose retention is over, and that are yet to be destroyed.',
  journals_lost: 'Dispense journals whose files were removed: a kill burns addresses.',
  connections_max:
    'Connections that are served at once: http.max_connections, or what the limit of open files leaves.',
  node_lease_seconds:
    'For so long this node may hand out without a word from the store; absent where that is in a file.',
} as const;

const THREAD_GAUGES = {
  grinder_thread_share:
    'Share of a core that it got, over about 10 s; absent while it has no work.',
  grinder_thread_nice: 'Its nice value; 20 at idle priority.',
} as const;

const UNSTARTED_TOTALS = {
  unstarted: 'Threads, and processes that check the store, which the system refused to start.',
} as const;

const ERROR_TOTALS = { http_errors: 'Requests that were refused or failed, by code.' } as const;

const HISTOGRAMS = {
  dispense: 'From a request for addresses that was read to its reply, all HTTP threads.',
  store_commit: 'From the begin of a write transaction of the store to when it is on disk.',
} as const;

/** What a request can be answered with: the others stop a start or a command. */
const ANSWERED = keys(ERRORS).filter((code) => ERRORS[code].status !== 500 || code === 'INTERNAL');

const NODE_GAUGES = {
  nodes:
    'Of all nodes that share the store, how many are in a state; absent where it is in a file.',
} as const;

const FAILURES = { store_failure: '1 for what the store fails with now, by its code.' } as const;

export interface Metrics {
  readonly contentType: string;
  /** In Prometheus text format. */
  render(): Promise<string>;
}

export function createMetrics(sources: Sources): Metrics {
  const { pools, grinder, storeHealth, deadline, nodes, tallies, files } = sources;
  const registry = new Registry();
  const totalsOfPools = make(Counter, '_total', POOL_TOTALS, registry, ['pool']);
  const gaugesOfPools = make(Gauge, '', POOL_GAUGES, registry, ['pool']);
  const infosOfPools = make(Gauge, '_info', POOL_INFOS, registry, ['pool', 'keys', 'handout']);
  const totals = make(Counter, '_total', TOTALS, registry);
  const { http_errors } = make(Counter, '_total', ERROR_TOTALS, registry, ['code']);
  const { unstarted } = make(Counter, '_total', UNSTARTED_TOTALS, registry, ['what']);
  const gauges = make(Gauge, '', GAUGES, registry);
  const gaugesOfThreads = make(Gauge, '', THREAD_GAUGES, registry, ['thread']);
  const gaugesOfNodes = make(Gauge, '', NODE_GAUGES, registry, ['state']);
  const { store_failure } = make(Gauge, '', FAILURES, registry, ['code']);

  const least = ownNice();

  const take = (): void => {
    registry.resetMetrics();
    for (const { shared, status } of [...pools.values()].map(snapshot)) {
      const labels = { pool: shared.name };
      for (const name of keys(POOL_TOTALS)) totalsOfPools[name].inc(labels, status[name]);
      const { keys: keyType, handout } = shared;
      infosOfPools.pool.set({ ...labels, keys: keyType, handout }, 1);
      const figures = { ...status, paused: Number(status.paused) };
      for (const name of keys(POOL_GAUGES)) gaugesOfPools[name].set(labels, figures[name]);
    }
    const { attempts, hits, faults, restarts, ...grinding } = grinder.board.read();
    const { turns, inserts, journalsLost, journalsRenewed, forgedRows, clockSteps, dueSecrets } =
      storeHealth.read();
    totals.attempts.inc(attempts);
    totals.hits.inc(hits);
    totals.grinder_faults.inc(faults);
    totals.grinder_restarts.inc(restarts);
    totals.grinder_priority_changes.inc(grinding.priorityChanges);
    totals.store_turns.inc(turns);
    totals.store_inserts.inc(inserts);
    totals.journals_renewed.inc(journalsRenewed);
    totals.clock_steps.inc(clockSteps);
    totals.idempotent_replays.inc(tallies.repeats);
    for (const outcome of WEBHOOK_OUTCOMES) {
      totals[`webhooks_${outcome}`].inc(tallies.webhooks(outcome));
    }
    const { errors } = tallies;
    for (const code of ANSWERED) http_errors.inc({ code }, errors[code]);
    for (const what of STARTED) unstarted.inc({ what }, tallies.unstarted(what));
    gauges.grinder_threads.set(grinding.threads);
    gauges.grinder_attempts_per_second.set(grinding.attemptsPerSecond);
    gauges.journals_lost.set(journalsLost);
    gauges.secrets_due.set(dueSecrets);
    gauges.store_forged_rows.set(forgedRows);
    gauges.connections_max.set(files.connections);
    const { leftMs } = deadline;
    if (leftMs === undefined) gauges.node_lease_seconds.remove();
    else gauges.node_lease_seconds.set(leftMs / 1000);
    for (const [state, count] of Object.entries(nodes.read() ?? {})) {
      gaugesOfNodes.nodes.set({ state }, count);
    }
    for (const [index, { priority, share }] of grinder.threads.read().entries()) {
      const labels = { thread: String(index) };
      gaugesOfThreads.grinder_thread_nice.set(labels, Math.max(NICE[priority], least));
      if (share !== undefined) gaugesOfThreads.grinder_thread_share.set(labels, share);
    }
    const { failure } = storeHealth;
    gauges.store_up.set(failure === undefined ? 1 : 0);
    if (failure !== undefined) store_failure.set({ code: failure }, 1);
  };
  return {
    contentType: registry.contentType,
    async render() {
      take();
      const times = { dispense: tallies.dispenseTimes, store_commit: tallies.commitTimes };
      const histograms = keys(HISTOGRAMS).map((name) => histogram(name, times[name]));
      return [await registry.metrics(), ...histograms].join('\n');
    },
  };
}

function snapshot(pool: Pool) {
  return { shared: pool.shared, status: pool.status() };
}

/** In seconds; a bucket counts what is in the smaller ones, too. */
function histogram(name: keyof typeof HISTOGRAMS, times: Times): string {
  const full = `vanitypool_${name}_seconds`;
  const { upTo, sum } = times.read();
  const buckets = upTo.map((count, index) => {
    return `${full}_bucket{le="${times.bounds[index] ?? '+Inf'}"} ${count}\n`;
  });
  const head = `# HELP ${full} ${HISTOGRAMS[name]}\n# TYPE ${full} histogram\n`;
  return `${head}${buckets.join('')}${full}_sum ${sum}\n${full}_count ${upTo.at(-1)}\n`;
}

function make<N extends string, M>(
  Kind: new (options: {
    name: string;
    help: string;
    registers: Registry[];
    labelNames: string[];
  }) => M,
  ending: string,
  helps: Readonly<Record<N, string>>,
  registry: Registry,
  labelNames: string[] = [],
): Readonly<Record<N, M>> {
  const made = keys(helps).map((name) => {
    const options = { name: `vanitypool_${name}${ending}`, help: helps[name], labelNames };
    return [name, new Kind({ ...options, registers: [registry] })];
  });
  return Object.fromEntries(made);
}

function keys<N extends string>(record: Readonly<Record<N, unknown>>): N[] {
  return Object.keys(record) as N[];
}
