/**
 * `vanitypool status`: the pools of the running server, as a table or as one JSON object.
 */
import { parseArgs } from 'node:util';
import type { PoolList, PoolView, Readiness } from '../http/schemas.ts';
import { formatCount, formatRate, formatSeconds, formatTable } from './format.ts';
import { ServerClient } from './server-client.ts';

interface Health {
  readonly version: string;
  readonly uptimeSeconds: number;
}

const HEADINGS = [
  'pool',
  'pattern',
  'target',
  'available',
  'ready',
  'dispensed',
  'burned',
  'grinding',
];

export async function status(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: { url: { type: 'string' }, json: { type: 'boolean' } },
  });
  const server = new ServerClient(values.url);
  const { version, uptimeSeconds } = await server.ask<Health>('GET', '/healthz', 'version');
  const { pools } = await server.ask<PoolList>('GET', '/v1/pools', 'pools');
  const { status, reasons } = readinessOf((await server.send('GET', '/readyz')).body);
  if (values.json) {
    const report = { url: server.url, version, uptimeSeconds, status, reasons, pools };
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return 0;
  }
  const why = reasons.length === 0 ? '' : ` (${reasons.join('; ')})`;
  const up = `up ${formatSeconds(uptimeSeconds)}`;
  process.stdout.write(`vanitypool ${version} at ${server.url}, ${up}: ${status}${why}\n\n`);
  process.stdout.write(formatTable([HEADINGS, ...pools.map(row)], 2));
  return 0;
}

/** A server that cannot serve answers with a problem: that is a status too, not an error here. */
function readinessOf(body: unknown): { status: string; reasons: readonly string[] } {
  const { status, reasons, code, detail } = body as Partial<Readiness> & {
    code?: string;
    detail?: string;
  };
  if (reasons !== undefined) return { status: String(status), reasons };
  return { status: 'not ready', reasons: [`${code}: ${detail}`] };
}

function row(pool: PoolView): string[] {
  const { name, pattern, target, available, ready, dispensed, burned } = pool;
  const figures = [target, available, ready, dispensed, burned].map(formatCount);
  return [name, pattern, ...figures, grinding(pool)];
}

function grinding({ grinding: { active, attemptsPerSecond, etaSeconds } }: PoolView): string {
  if (!active) return '-';
  const eta = etaSeconds === null ? '' : `, full in ${formatSeconds(etaSeconds)}`;
  return `${formatRate(attemptsPerSecond)}${eta}`;
}
