/**
 * What `vanitypool top` shows: a status as lines of text that fit a terminal. Pure.
 *
 * No number is ever cut: columns that do not fit are left out whole, the least important first, and
 * then names are shortened in the middle. What is said in words is broken into lines.
 */
import type { StatusEvent } from '../api/service.ts';
import { formatCount, formatRate, formatSeconds, formatTable } from './format.ts';
import { grinderLine, nodesLine } from './status.ts';

export interface Shown {
  readonly url: string;
  readonly latest: StatusEvent;
  /** For what changes; undefined at the first. */
  readonly before: StatusEvent | undefined;
  /** Why there is no newer one; undefined while they come. */
  readonly lost: string | undefined;
}

export interface Line {
  readonly text: string;
  readonly style: 'title' | 'wrong' | 'plain';
}

type Pool = StatusEvent['pools'][number];

interface Column {
  readonly heading: string;
  /** Those with the highest are left out first. */
  readonly rank: number;
  readonly isText?: boolean;
  cell(pool: Pool, rate: number | undefined): string;
}

const BAR = 10;
/** Lines of what is wrong, at most. */
const WRONG_LINES = 3;
/** Names are shortened to this before any column is left out. */
const NAME_WIDTH = 12;
const GAP = 2;
const ELLIPSIS = '…';
const UNPRINTABLE = /[^\x20-\x7e]/gu;

/** From left to right, after the name; texts first. */
const COLUMNS: readonly Column[] = [
  { heading: 'pattern', rank: 7, isText: true, cell: ({ pattern }) => harmless(pattern) },
  { heading: '', rank: 12, isText: true, cell: (pool) => bar(shareOf(pool)) },
  { heading: 'full', rank: 8, cell: (pool) => percent(shareOf(pool)) },
  { heading: 'stock', rank: 1, cell: ({ stock }) => formatCount(stock) },
  { heading: 'target', rank: 2, cell: ({ target }) => formatCount(target) },
  { heading: 'ready', rank: 9, cell: ({ ready }) => formatCount(ready) },
  { heading: 'reserved', rank: 11, cell: ({ reserved }) => formatCount(reserved) },
  { heading: 'dispensed', rank: 5, cell: ({ dispensed }) => formatCount(dispensed) },
  { heading: 'now', rank: 4, cell: (_, rate) => (rate === undefined ? '-' : formatRate(rate)) },
  { heading: 'burned', rank: 10, cell: ({ burned }) => formatCount(burned) },
  { heading: 'grinding', rank: 3, cell: grindingCell },
  { heading: 'full in', rank: 6, cell: etaCell },
];

/** At most `rows` lines of at most `columns` characters: what it is, what is wrong, the pools. */
export function linesOf(shown: Shown, columns: number, rows: number): Line[] {
  const { latest, lost } = shown;
  const { grinder, nodes, readiness } = latest;
  const beside = [
    ...(grinder === undefined ? [] : [grinderLine(grinder)]),
    ...(nodes === undefined ? [] : [nodesLine(nodes)]),
  ];
  const wrong = lost === undefined ? readiness.reasons.join('; ') : `${lost}; trying again`;
  const lines: Line[] = [
    { text: title(shown, columns), style: 'title' },
    ...wrapped(harmless(wrong), columns).map((text) => ({ text, style: 'wrong' }) as const),
    ...beside.map((text) => ({ text: shortened(text, columns), style: 'plain' }) as const),
    ...table(shown, columns).map((text) => ({ text, style: 'plain' }) as const),
  ];
  if (lines.length <= rows) return lines;
  const hidden = lines.length - rows + 1;
  const more = [`... and ${hidden} pools more`, `+${hidden}`, ''].find(
    ({ length }) => length <= columns,
  )!;
  return [...lines.slice(0, rows - 1), { text: more, style: 'plain' }];
}

/** As much of it as fits, whole; the URL is shortened last. */
function title({ url, latest }: Shown, columns: number): string {
  const state = latest.readiness.status;
  const time = `${latest.at.slice(11, 19)} UTC`;
  const texts = [
    `vanitypool at ${url}: ${state}  ${time}  (q ends)`,
    `vanitypool at ${url}: ${state}  ${time}`,
    `${url}: ${state}  ${time}`,
    `${url}: ${state}`,
  ].map(harmless);
  const text = texts.find(({ length }) => length <= columns);
  return text ?? shortened(texts.at(-1)!, columns);
}

function table({ latest, before }: Shown, columns: number): string[] {
  const { pools } = latest;
  const rates = ratesSince(before, latest);
  const cells = COLUMNS.map((column) => ({
    column,
    lines: [column.heading, ...pools.map((pool) => column.cell(pool, rates.get(pool.name)))],
  }));
  const names = ['pool', ...pools.map(({ name }) => harmless(name))];
  const widthOf = (lines: readonly string[]) => Math.max(...lines.map(({ length }) => length));
  const nameWidth = widthOf(names);
  let left = columns - Math.min(nameWidth, NAME_WIDTH);
  const kept = new Set<Column>();
  // One that does not fit ends it: what is less important does not take its place.
  for (const { column, lines } of cells.toSorted((a, b) => a.column.rank - b.column.rank)) {
    left -= GAP + widthOf(lines);
    if (left < 0) break;
    kept.add(column);
  }
  const shownCells = cells.filter(({ column }) => kept.has(column));
  const others = shownCells.reduce((sum, { lines }) => sum + GAP + widthOf(lines), 0);
  const width = columns - others;
  const rows = names.map((name, at) => [
    shortened(name, width),
    ...shownCells.map(({ lines }) => lines[at]!),
  ]);
  const texts = shownCells.filter(({ column }) => column.isText).length;
  return formatTable(rows, 1 + texts)
    .trimEnd()
    .split('\n');
}

/** Addresses dispensed a second since the status before, by pool. */
function ratesSince(
  before: StatusEvent | undefined,
  latest: StatusEvent,
): ReadonlyMap<string, number> {
  const rates = new Map<string, number>();
  const seconds = before === undefined ? 0 : (latest.uptimeMs - before.uptimeMs) / 1000;
  if (seconds <= 0) return rates;
  const earlier = new Map(before!.pools.map(({ name, dispensed }) => [name, dispensed]));
  for (const { name, dispensed } of latest.pools) {
    const had = earlier.get(name);
    // Fewer than before: another server, or one with a restored store.
    if (had !== undefined && dispensed >= had) rates.set(name, (dispensed - had) / seconds);
  }
  return rates;
}

function grindingCell({ paused, grinding: { active, attemptsPerSecond } }: Pool): string {
  if (paused) return 'paused';
  return active ? formatRate(attemptsPerSecond) : '-';
}

function etaCell({ paused, grinding: { active, etaSeconds } }: Pool): string {
  return active && !paused && etaSeconds !== null ? formatSeconds(etaSeconds) : '-';
}

function shareOf({ available, leased, target }: Pool): number {
  return (available + leased) / target;
}

/** `#######---`; full from the target on. */
function bar(share: number): string {
  const filled = Math.min(Math.floor(share * BAR), BAR);
  return '#'.repeat(filled) + '-'.repeat(BAR - filled);
}

function percent(share: number): string {
  return `${Math.min(Math.floor(share * 100), 999)}%`;
}

/** What another program says must not move the cursor, nor take two columns for one character. */
function harmless(text: string): string {
  return text.replaceAll(UNPRINTABLE, '?');
}

/** `a-very-l…al-name`: both ends distinguish names. */
function shortened(text: string, width: number): string {
  if (text.length <= width) return text;
  if (width <= 1) return ELLIPSIS.slice(0, width);
  const head = Math.ceil((width - 1) / 2);
  return text.slice(0, head) + ELLIPSIS + text.slice(text.length - (width - 1 - head));
}

/** One line at least. What is longer than `WRONG_LINES`, or than a line without a space, is shortened. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line === '' || longer.length <= width) line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  lines.push(line);
  const rest = lines.splice(WRONG_LINES - 1).join(' ');
  return [...lines, ...(rest === '' && lines.length > 0 ? [] : [rest])].map((one) => {
    return shortened(one, width);
  });
}
