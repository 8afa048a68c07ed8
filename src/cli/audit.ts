/**
 * `vanitypool audit`: what left the store or was given up, from the data directory, while a server
 * runs or not, or from a server elsewhere; or what became of one address.
 * Standard output gets a table, or the list that `restore --dispensed` reads; written as it is read, so its memory does not grow with the store. SIGINT, SIGTERM and SIGHUP end it with 130, and
 * the list without its last line, which no restore takes. A second one exits at once.
 */

import type { AddressView, AuditEntry } from '../api/audit.ts';
import { addressView, auditEntry } from '../api/views.ts';
import { VanityError } from '../errors.ts';
import { decodeBase58, isAddress } from '../keypair/address.ts';
import { type AuditFilter, OfflineAudit } from '../offline/audit.ts';
import type { AuditedToken } from '../store/audit-store.ts';
import { readArguments } from './arguments.ts';
import type { AuditSource } from './audit-source.ts';
import { OPTIONS } from './command-options.ts';
import { INTERRUPTED, interruptible, usage } from './options.ts';
import { assertPlace, configAt } from './or-store.ts';
import type { Outputs } from './output.ts';
import { ServerClient } from './server-client.ts';

const CLEAR_LINE = '\r\x1b[K';
const HEADINGS = ['time', 'pool', 'id', 'address', 'state', 'token', 'key', 'signed', 'cause'];
const TIME_WIDTH = 24;
const ADDRESS_WIDTH = 44;
const STATE_WIDTH = 9;
const KEY_DIGITS = 8;
const SIGNED_WIDTH = 6;
/** Those of most ids and tokens: a longer one moves the rest of its line. */
const ID_WIDTH = 8;
const TOKEN_WIDTH = 12;
/** That of most names, where they are not known. */
const POOL_WIDTH = 8;
const DAY = /^\d{4}-\d\d-\d\d$/;
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;

export async function audit(args: string[], outputs: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'audit',
    options: OPTIONS.audit,
  });
  const { pool, address, url, json = false } = values;
  const filter = { pool, since: readTime(values.since) };
  const isOne = address !== undefined;
  if (isOne && !isAddress(address)) {
    const allowed = 'an address, which is 32 to 44 characters of base58 for 32 bytes';
    throw usage(`--address: ${JSON.stringify(address)} is not allowed; allowed: ${allowed}`);
  }
  if (isOne && (pool ?? values.since) !== undefined) {
    throw usage('--address: one address alone; leave --pool and --since out');
  }
  assertPlace(values);
  using interrupt = interruptible();
  const { signal } = interrupt;
  const show = (view: AddressView) => outputs.print(textOf(view, json));
  const list = (source: AuditSource) =>
    (json ? writeList : writeTable)({ source, filter, signal, outputs });
  try {
    if (url !== undefined) {
      const server = new ServerClient(url);
      if (isOne) await show(await server.ask(({ admin }) => admin.address(address)));
      else await list(serverAudit(server));
      return 0;
    }
    await using found = await OfflineAudit.open(configAt(values));
    if (isOne) await show(await addressIn(found, address));
    else await list(await localAudit(found));
    return 0;
  } catch (error) {
    if (signal.aborted) return INTERRUPTED;
    throw error;
  }
}

/**
 * It serves meanwhile, so that the list is never complete: what a restore takes is made where the
 * store is, when nothing serves it.
 */
function serverAudit(server: ServerClient): AuditSource {
  return {
    gap: `${server.url} serves the store; what leaves meanwhile may be missing`,
    poolWidth: POOL_WIDTH,
    store: async () => undefined,
    tokens: async () => [],
    pages: ({ pool, since: time }, signal) => {
      const since = time === undefined ? undefined : new Date(time);
      return server.audit({ pool, since, signal });
    },
  };
}

async function localAudit(found: OfflineAudit): Promise<AuditSource> {
  const { pools } = await found.store();
  return {
    gap: found.gap,
    poolWidth: Math.max(0, ...pools.map(({ length }) => length)),
    store: () => found.store(),
    tokens: () => found.tokens(),
    async *pages(filter, signal) {
      const { pool } = filter;
      if (pool !== undefined && !pools.includes(pool)) {
        const there = pools.join(', ') || 'none';
        throw new VanityError('POOL_NOT_FOUND', `pool ${pool}: no such pool; there are: ${there}`);
      }
      for await (const page of found.pages(filter, signal)) yield page.map(auditEntry);
    },
  };
}

async function addressIn(audit: OfflineAudit, address: string): Promise<AddressView> {
  const found = await audit.find(decodeBase58(address));
  if (found !== undefined) return addressView(address, found);
  throw new VanityError('ADDRESS_NOT_FOUND', `${address}: the store has never had this address`);
}

function textOf(view: AddressView, json: boolean): string {
  const { signatures, ...rest } = view;
  const rows = Object.entries(rest).map(([name, value]) => [name, value ?? '-']);
  for (const { at, token, messageHash, signature } of signatures) {
    rows.push(['signature', `${at}  ${token ?? '-'}  ${messageHash}  ${signature}`]);
  }
  const lines = rows.map(([name, value]) => `${String(name).padEnd(20)}${value}\n`);
  return json ? `${JSON.stringify(view)}\n` : lines.join('');
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

interface Listing {
  readonly source: AuditSource;
  readonly filter: AuditFilter;
  readonly signal: AbortSignal;
  readonly outputs: Outputs;
}

async function writeList(listing: Listing): Promise<void> {
  const { source, filter, signal, outputs } = listing;
  const { gap } = source;
  const count = await write(listing, (row) => JSON.stringify(row));
  const store = await source.store();
  // A restore refuses a list without a last line.
  if (store === undefined) return;
  const { storeId, epoch, listed } = store;
  const isWhole = filter.pool === undefined && filter.since === undefined;
  // More figures than rows is damage that nothing else has reported: the missing ones did leave.
  const isLost = isWhole && gap === undefined && count !== listed;
  const isComplete = isWhole && gap === undefined && !isLost;
  if (!isWhole) warn(outputs, 'of one pool or time only; without --pool and --since it can be');
  if (isLost) {
    const lost = `${count} addresses were read, and the store counts ${listed}: it is damaged`;
    warn(outputs, lost);
  }
  const tokens = isWhole ? (await source.tokens()).map(tokenLine) : [];
  await outputs.print(tokens.join(''), signal);
  const summary = { storeId, epoch, addresses: count, tokens: tokens.length, isComplete };
  await outputs.print(`${JSON.stringify(summary)}\n`, signal);
}

function tokenLine(token: AuditedToken): string {
  const { id: tokenId, name, createdAt, revokedAt, offAt } = token;
  const timeOf = (at: number | undefined) => (at === undefined ? null : new Date(at).toISOString());
  const times = {
    createdAt: timeOf(createdAt),
    revokedAt: timeOf(revokedAt),
    offAt: timeOf(offAt),
  };
  const isValid = revokedAt === undefined && offAt === undefined;
  return `${JSON.stringify({ tokenId, name, ...times, isValid })}\n`;
}

async function writeTable(listing: Listing): Promise<void> {
  const poolWidth = Math.max(HEADINGS[1]!.length, listing.source.poolWidth);
  const widths = [
    ...[TIME_WIDTH, poolWidth, ID_WIDTH, ADDRESS_WIDTH],
    ...[STATE_WIDTH, TOKEN_WIDTH, KEY_DIGITS, SIGNED_WIDTH],
  ];
  const lineOf = (cells: readonly string[]) =>
    [...cells.map((cell, column) => cell.padEnd(widths[column] ?? 0))].join('  ').trimEnd();
  await write(listing, (row) => lineOf(cellsOf(row)), `${lineOf(HEADINGS)}\n`);
}

function cellsOf(row: AuditEntry): string[] {
  const { at, pool, id, address, state, token, idempotencyKeyHash, signatures, cause } = row;
  const key = idempotencyKeyHash?.slice(0, KEY_DIGITS);
  const signed = signatures === 0 ? null : String(signatures);
  return [at, pool, String(id), address, state, token, key, signed, cause].map(
    (cell) => cell ?? '-',
  );
}

/** A line for each address, and `head` before them; how many there were. */
async function write(
  { source, filter, signal, outputs }: Listing,
  lineOf: (row: AuditEntry) => string,
  head = '',
): Promise<number> {
  const { print, stderr, isTerminal } = outputs;
  if (source.gap !== undefined) warn(outputs, source.gap);
  // On the terminal that shows the list it would stand in between.
  const isShown = stderr.isTTY && !isTerminal;
  let count = 0;
  let before = head;
  for await (const rows of source.pages(filter, signal)) {
    await print(before + rows.map((row) => `${lineOf(row)}\n`).join(''), signal);
    before = '';
    count += rows.length;
    if (isShown) stderr.write(`${CLEAR_LINE}listed ${count}`);
  }
  if (isShown) stderr.write(CLEAR_LINE);
  return count;
}

function warn({ stderr }: Outputs, reason: string): void {
  stderr.write(`the list is not complete: ${reason}\n`);
}
