/**
 * `vanitypool status`: the pools of the running server, or of the store when none runs, as a table
 * or as one JSON object. Only the store knows why addresses were burned: the causes are shown if
 * the configured data directory has it, and add up to the figure of the server.
 */

import type { GrinderView } from '../api/grinder.ts';
import type { NodeCountsView } from '../api/nodes.ts';
import type { PoolView } from '../api/pools.ts';
import type { Config } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { readArguments } from './arguments.ts';
import { OPTIONS } from './command-options.ts';
import { formatCount, formatRate, formatSeconds, formatTable, leftByKill } from './format.ts';
import { askOrLook, configAt } from './or-store.ts';
import type { Outputs } from './output.ts';
import type { ServerClient } from './server-client.ts';

interface Report {
  /** Of the server that answers; without one, `directory` holds the store. */
  readonly url?: string;
  readonly directory?: string;
  readonly version: string;
  readonly uptimeSeconds?: number;
  readonly status: string;
  readonly reasons: readonly string[];
  /** Of a server, for those who may see all pools. */
  readonly grinder?: GrinderView;
  /** For the same, and of a database. */
  readonly nodes?: NodeCountsView;
  readonly pools: readonly (PoolView & {
    /** Only where it is known here. */
    readonly burnedBy?: BurnedBy;
  })[];
}

/** How many, by cause. */
type BurnedBy = Readonly<Record<string, number>>;

/** By cause, what happened to the addresses. */
export const BURNED: Readonly<Record<string, string>> = {
  crash: 'may have left a run that ended without its dispense journals',
  unsealable: 'cannot be unsealed',
  restored: 'may have left another copy of the store',
  released: 'a client that had reserved them gave them back, and has seen them',
  expired: 'a client that had reserved them did not take them in time, and has seen them',
  deleted: 'of a pool that was deleted',
  failover: 'may have left in what the database lost when it went back in time',
};

const WORDS = {
  normal: 'nice 0',
  raised: 'nice 3',
  low: 'nice 15',
  idle: 'idle priority',
} as const;

const HEADINGS = ['pool', 'pattern', 'target', 'stock', 'dispensed', 'burned', 'grinding'];

export async function status(args: string[], outputs: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'status',
    options: OPTIONS.status,
  });
  const found = await askOrLook(values, reportOfServer, reportOfStore, outputs);
  const { print } = outputs;
  const report = values.url === undefined ? await withCauses(found, configAt(values)) : found;
  if (values.json) {
    await print(`${JSON.stringify(report)}\n`);
    return 0;
  }
  const {
    version,
    url,
    directory,
    uptimeSeconds,
    status: state,
    reasons,
    pools,
    grinder,
    nodes,
  } = report;
  const why = reasons.length === 0 ? '' : ` (${reasons.join('; ')})`;
  const where = url === undefined ? `no server, store in ${directory}` : `at ${url}`;
  const up = uptimeSeconds === undefined ? '' : `, up ${formatSeconds(uptimeSeconds)}`;
  await print(`vanitypool ${version} ${where}${up}: ${state}${why}\n\n`);
  await print(formatTable([HEADINGS, ...pools.map(row)], 2));
  if (grinder !== undefined) await print(`\n${grinderLine(grinder)}\n`);
  if (nodes !== undefined) await print(`${grinder === undefined ? '\n' : ''}${nodesLine(nodes)}\n`);
  const killed = url === undefined ? pools.flatMap(leftByKill) : [];
  const notes = [...killed, ...pools.flatMap(burnedLines)];
  if (notes.length > 0) await print(`\n${notes.join('')}`);
  return 0;
}

async function reportOfServer(server: ServerClient): Promise<Report> {
  const { version, uptimeSeconds } = await server.ask((client) => client.health());
  const { pools, grinder, nodes } = await server.ask((client) => client.status());
  const readiness = await server.ask((client) => client.ready()).catch(whyNot);
  const running = { url: server.url, version, uptimeSeconds, ...readiness, pools };
  return { ...running, ...(grinder && { grinder }), ...(nodes && { nodes }) };
}

/** As a server would show them before it serves. */
async function reportOfStore(config: Config): Promise<Report> {
  const { poolsOffline } = await import('../offline/pools.ts');
  const { storedPoolView } = await import('../api/views.ts');
  const pools = (await poolsOffline(config)).map((stored) => {
    const configured = config.pools.find(({ name }) => name === stored.name);
    return storedPoolView(stored, configured);
  });
  const { directory, data } = config.store;
  const report = { version: VERSION, status: 'stopped', reasons: [], pools };
  if (directory !== undefined) return { ...report, directory };
  const { nodesOffline } = await import('../offline/nodes.ts');
  const { nodes } = await nodesOffline(config);
  const count = (state: string) => nodes.filter((node) => node.state === state).length;
  return {
    ...{ ...report, directory: data },
    nodes: {
      running: count('running'),
      lost: count('lost'),
      missed: count('missed'),
      stopped: count('stopped'),
    },
  };
}

/** The store that is configured here has nothing to say of the pools of another server. */
async function withCauses(report: Report, config: Config): Promise<Report> {
  if (report.pools.every(({ burned }) => burned === 0)) return report;
  const { burnedOffline } = await import('../offline/pools.ts');
  let causes: Readonly<Record<string, BurnedBy>>;
  try {
    causes = await burnedOffline(config);
  } catch (error) {
    if (!(error instanceof VanityError)) throw error;
    return report;
  }
  const pools = report.pools.map((pool) => {
    const burnedBy = causes[pool.name] ?? {};
    const total = Object.values(burnedBy).reduce((sum, count) => sum + count, 0);
    return total > 0 && total === pool.burned ? { ...pool, burnedBy } : pool;
  });
  return { ...report, pools };
}

/** A server that cannot serve answers with a problem: that is a status too, not an error here. */
function whyNot(error: unknown): { status: string; reasons: readonly string[] } {
  if (!(error instanceof VanityError) || error.code === 'SERVER_UNREACHABLE') throw error;
  const { code, message } = error;
  // A message that names codes itself says each only once.
  const reason = message.includes(code) ? message : `${code}: ${message}`;
  return { status: 'not ready', reasons: [reason] };
}

function row(pool: PoolView): string[] {
  const { name, pattern, keys, target, stock, dispensed, burned } = pool;
  const figures = [target, stock, dispensed, burned].map(formatCount);
  const what = keys === 'seed' ? pattern : `${pattern} (${keys})`;
  return [name, what, ...figures, grindingOf(pool)];
}

function burnedLines({ name, burnedBy = {} }: Report['pools'][number]): string[] {
  return Object.entries(burnedBy).map(
    ([cause, count]) =>
      `pool ${name}: ${formatCount(count)} burned (${cause})${BURNED[cause] ? `: ${BURNED[cause]}` : ''}\n`,
  );
}

/** `grinder: 2 threads at nice 15, with 97 % and 3 % of a core`; what sleeps has no share. */
export function grinderLine({ threads }: GrinderView): string {
  if (threads.length === 0) return 'grinder: off';
  const nices = [...new Set(threads.map(({ priority }) => WORDS[priority]))].join(' and ');
  const shares = threads.flatMap(({ share }) =>
    share === null ? [] : [`${Math.round(share * 100)} %`],
  );
  const count = `${threads.length} ${threads.length === 1 ? 'thread' : 'threads'}`;
  const got = shares.length === 0 ? 'asleep' : `got ${shares.join(', ')} of a core`;
  return `grinder: ${count} at ${nices}, ${got}`;
}

/** `3 nodes, 1 lost`; while one is missed, what that means. */
export function nodesLine({ running, lost, missed, stopped }: NodeCountsView): string {
  const count = running + lost + missed + stopped;
  const notes = Object.entries({ stopped, lost, missed }).flatMap(([state, number]) =>
    number === 0 ? [] : [`${number} ${state}`],
  );
  const more = missed + lost === 0 ? '' : ': see vanitypool nodes';
  return `${[`${count} ${count === 1 ? 'node' : 'nodes'}`, ...notes].join(', ')}${more}`;
}

/** What the grinder does for a pool, for people. */
export function grindingOf({
  paused,
  grinding: { active, attemptsPerSecond, etaSeconds },
}: PoolView): string {
  if (paused) return 'paused';
  if (!active) return '-';
  const eta = etaSeconds === null ? '' : `, full in ${formatSeconds(etaSeconds)}`;
  return `${formatRate(attemptsPerSecond)}${eta}`;
}
