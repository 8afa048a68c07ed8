/**
 * What `vanitypool top` shows: a status as lines of text that fit a terminal, and a terminal that is
 * drawn anew without flicker. The terminal's own text comes back at the end.
 */
import type { StatusEvent } from '../http/schemas.ts';
import { formatCount, formatRate, formatTable } from './format.ts';
import type { Snapshot } from './server-client.ts';
import { grinderLine, grindingOf } from './status.ts';

export interface Shown {
  readonly url: string;
  readonly latest: Snapshot;
  /** For what changes; undefined at the first. */
  readonly before: Snapshot | undefined;
  /** Why there is no newer one; undefined while they come. */
  readonly lost: string | undefined;
}

type Pool = StatusEvent['pools'][number];

const HEADINGS = [
  'pool',
  'pattern',
  'full',
  'target',
  'stock',
  'reserved',
  'dispensed',
  'now',
  'burned',
  'grinding',
];
const LEFT = 3;
const BAR = 10;
/** Of a terminal that does not say how large it is. */
const COLUMNS = 80;
const ROWS = 24;

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
/** A terminal that knows of updates shows them whole; others pass over it. */
const BEGIN_UPDATE = '\x1b[?2026h\x1b[H';
const END_UPDATE = '\x1b[J\x1b[?2026l';
const CLEAR_REST = '\x1b[K';
const BOLD = '\x1b[1m';
const RED = '\x1b[31m';
const PLAIN = '\x1b[m';
const CONTROL = /\p{Cc}/gu;

export class TopScreen {
  readonly #stdout: NodeJS.WriteStream;
  #shown: Shown | undefined;
  #hasEnded = false;

  constructor(stdout: NodeJS.WriteStream) {
    this.#stdout = stdout;
    stdout.write(ENTER);
    stdout.on('resize', () => this.#draw());
  }

  show(shown: Shown): void {
    this.#shown = shown;
    this.#draw();
  }

  /** Once, however often it is called. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#stdout.write(LEAVE);
  }

  /** In one write, over what is there: a screen that is cleared first flickers. */
  #draw(): void {
    if (this.#shown === undefined || this.#hasEnded) return;
    const { columns, rows } = this.#stdout;
    const lines = linesOf(this.#shown, columns || COLUMNS, rows || ROWS).map((line, index) => {
      const style = index === 0 ? BOLD : index === 1 ? RED : '';
      return `${style}${line}${style === '' ? '' : PLAIN}${CLEAR_REST}`;
    });
    this.#stdout.write(`${BEGIN_UPDATE}${lines.join('\r\n')}${END_UPDATE}`);
  }
}

/** At most `rows` lines of at most `columns` characters: what it is, what is wrong, the pools. */
export function linesOf(shown: Shown, columns: number, rows: number): string[] {
  const { url, latest, before, lost } = shown;
  const { pools, grinder, readiness } = latest.status;
  const time = new Date(latest.at).toISOString().slice(11, 19);
  const wrong = lost === undefined ? readiness.reasons.join('; ') : `${lost}; trying again`;
  const rates = ratesSince(before, latest);
  const table = [HEADINGS, ...pools.map((pool) => row(pool, rates).map(harmless))];
  const lines = [
    harmless(`vanitypool at ${url}: ${readiness.status}  ${time} UTC  (Ctrl-C ends)`),
    harmless(wrong),
    ...(grinder === undefined ? [] : [grinderLine(grinder)]),
    ...formatTable(table, LEFT).trimEnd().split('\n'),
  ].map((line) => line.slice(0, columns));
  if (lines.length <= rows) return lines;
  const hidden = lines.length - rows + 1;
  return [...lines.slice(0, rows - 1), `... and ${hidden} pools more`.slice(0, columns)];
}

/** Addresses dispensed a second since the status before, by pool. */
function ratesSince(before: Snapshot | undefined, latest: Snapshot): ReadonlyMap<string, number> {
  const rates = new Map<string, number>();
  const seconds = before === undefined ? 0 : (latest.at - before.at) / 1000;
  if (seconds <= 0) return rates;
  const earlier = new Map(before!.status.pools.map(({ name, dispensed }) => [name, dispensed]));
  for (const { name, dispensed } of latest.status.pools) {
    const had = earlier.get(name);
    // Fewer than before: another server, or one with a restored store.
    if (had !== undefined && dispensed >= had) rates.set(name, (dispensed - had) / seconds);
  }
  return rates;
}

function row(pool: Pool, rates: ReadonlyMap<string, number>): string[] {
  const { name, pattern, target, stock, reserved, dispensed, burned } = pool;
  const rate = rates.get(name);
  return [
    name,
    pattern,
    bar(stock / target),
    ...[target, stock, reserved, dispensed].map(formatCount),
    rate === undefined ? '-' : formatRate(rate),
    formatCount(burned),
    grindingOf(pool),
  ];
}

/** What another program says must not move the cursor. */
function harmless(text: string): string {
  return text.replaceAll(CONTROL, '?');
}

/** `#######---  65%`; full from the target on. */
function bar(share: number): string {
  const filled = Math.min(Math.floor(share * BAR), BAR);
  const percent = `${Math.min(Math.floor(share * 100), 999)}%`;
  return `${'#'.repeat(filled)}${'-'.repeat(BAR - filled)} ${percent.padStart(4)}`;
}
