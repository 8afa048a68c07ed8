/**
 * `vanitypool audit`: what left the store or was given up, from the data directory, while a server
 * runs or not. Standard output gets a table, or the list that `restore --dispensed` reads; written as
 * it is read, so its memory does not grow with the store. SIGINT and SIGTERM end it with 130, and
 * the list without its last line, which no restore takes. A second one exits at once.
 */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { loadConfig } from '../config.ts';
import { VanityError } from '../errors.ts';
import { type AuditFilter, type AuditLine, OfflineAudit } from '../offline.ts';
import { INTERRUPTED, interruptible, usage } from './options.ts';

const CLEAR_LINE = '\r\x1b[K';
const HEADINGS = ['time', 'pool', 'id', 'address', 'state', 'token', 'key', 'cause'];
const TIME_WIDTH = 24;
const ADDRESS_WIDTH = 44;
const STATE_WIDTH = 9;
const KEY_DIGITS = 8;
/** Those of most ids and tokens: a longer one moves the rest of its line. */
const ID_WIDTH = 8;
const TOKEN_WIDTH = 12;
const DAY = /^\d{4}-\d\d-\d\d$/;
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;

export async function audit(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      pool: { type: 'string' },
      since: { type: 'string' },
      json: { type: 'boolean' },
      config: { type: 'string' },
      data: { type: 'string' },
    },
  });
  const { pool, json = false, data, config: file } = values;
  const filter = { pool, since: readTime(values.since) };
  const flags = data === undefined ? {} : { 'store.url': `file:${data}` };
  const config = loadConfig({ flags, env: process.env, file });
  const signal = interruptible();
  try {
    await using found = await OfflineAudit.open(config);
    await (json ? writeList : writeTable)(found, filter, signal);
    return 0;
  } catch (error) {
    if (signal.aborted) return INTERRUPTED;
    throw error;
  }
}

/** Milliseconds since 1970. */
function readTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = DAY.test(text) || MOMENT.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw usage(
    `--since: ${JSON.stringify(text)} is not allowed; allowed: a day (2026-11-25, UTC) or a time ` +
      'with its zone (2026-11-25T08:30:00Z)',
  );
}

async function writeList(
  found: OfflineAudit,
  filter: AuditFilter,
  signal: AbortSignal,
): Promise<void> {
  const { gap } = found;
  const count = await write(found, filter, signal, (row) => JSON.stringify(row));
  const { storeId, epoch, listed } = found.store;
  const isWhole = filter.pool === undefined && filter.since === undefined;
  // More figures than rows is damage that nothing else has told: what is missing did leave.
  const isLost = isWhole && gap === undefined && count !== listed;
  const isComplete = isWhole && gap === undefined && !isLost;
  if (!isWhole) warn('of one pool or time only; without --pool and --since it can be');
  if (isLost) warn(`${count} addresses were read, and the store counts ${listed}: it is damaged`);
  await put(`${JSON.stringify({ storeId, epoch, addresses: count, isComplete })}\n`, signal);
}

async function writeTable(
  found: OfflineAudit,
  filter: AuditFilter,
  signal: AbortSignal,
): Promise<void> {
  const poolWidth = Math.max(...[HEADINGS[1]!, ...found.store.pools].map(({ length }) => length));
  const widths = [TIME_WIDTH, poolWidth, ID_WIDTH, ADDRESS_WIDTH, STATE_WIDTH, TOKEN_WIDTH];
  const lineOf = (cells: readonly string[]) =>
    [...cells.map((cell, column) => cell.padEnd(widths[column] ?? KEY_DIGITS))]
      .join('  ')
      .trimEnd();
  await put(`${lineOf(HEADINGS)}\n`, signal);
  await write(found, filter, signal, (row) => lineOf(cellsOf(row)));
}

function cellsOf({ at, pool, id, address, state, token, idempotencyKeyHash, cause }: AuditLine) {
  const key = idempotencyKeyHash?.slice(0, KEY_DIGITS);
  return [at, pool, String(id), address, state, token, key, cause].map((cell) => cell ?? '-');
}

/** A line for each address; how many there were. */
async function write(
  found: OfflineAudit,
  filter: AuditFilter,
  signal: AbortSignal,
  lineOf: (row: AuditLine) => string,
): Promise<number> {
  const { pool } = filter;
  if (pool !== undefined && !found.store.pools.includes(pool)) {
    throw new VanityError('POOL_NOT_FOUND', `pool ${pool}: the store has no such pool`);
  }
  if (found.gap !== undefined) warn(found.gap);
  // On the terminal that shows the list it would stand in between.
  const isShown = process.stderr.isTTY && !process.stdout.isTTY;
  let count = 0;
  for await (const rows of found.pages(filter, signal)) {
    await put(rows.map((row) => `${lineOf(row)}\n`).join(''), signal);
    count += rows.length;
    if (isShown) process.stderr.write(`${CLEAR_LINE}listed ${count}`);
  }
  if (isShown) process.stderr.write(CLEAR_LINE);
  return count;
}

/** Waits for a reader that is slower. */
async function put(text: string, signal: AbortSignal): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, 'drain', { signal });
}

function warn(reason: string): void {
  process.stderr.write(`the list is not complete: ${reason}\n`);
}
