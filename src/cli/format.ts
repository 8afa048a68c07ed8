/**
 * Figures for people: counts, rates, durations and chances, short and in one unit. What a script
 * reads is never made here.
 */

/** `1,234,567`; beyond what anybody reads digit by digit `1.23e+18`. */
export function formatCount(value: number): string {
  return value < 1e15 ? Math.round(value).toLocaleString('en-US') : value.toExponential(2);
}

const SCALES = [
  ['T', 1e12],
  ['G', 1e9],
  ['M', 1e6],
  ['k', 1e3],
] as const;

/** `950/s`, `12.3 k/s`, `3.10 M/s`, `1.20 G/s`. */
export function formatRate(perSecond: number): string {
  const rounded = Number(perSecond.toPrecision(3));
  const scale = SCALES.find(([, size]) => rounded >= size);
  if (scale === undefined) return `${Math.round(perSecond)}/s`;
  const [prefix, size] = scale;
  return `${(rounded / size).toPrecision(3)} ${prefix}/s`;
}

const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const YEAR_SECONDS = 365 * 86_400;
const UNITS = [
  ['year', YEAR_SECONDS],
  ['day', 86_400],
  ['h', 3600],
  ['min', 60],
] as const;

/** In two units at most: `0.15 s`, `12 s`, `3 min 20 s`, `2 days 4 h`, `7.1e+9 years`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown';
  if (seconds < 9.5) return `${Number(seconds.toPrecision(2))} s`;
  const years = seconds / YEAR_SECONDS;
  if (years >= 10) return `${years < 1e6 ? formatCount(years) : years.toPrecision(2)} years`;
  for (const [at, [unit, size]] of UNITS.entries()) {
    const [small, smallSize] = UNITS[at + 1] ?? (['s', 1] as const);
    // Rounded before it is split, so that no 60 s stand where a minute belongs.
    const parts = Math.round(seconds / smallSize);
    const perUnit = size / smallSize;
    if (parts < perUnit) continue;
    const rest = parts % perUnit;
    const head = named(Math.floor(parts / perUnit), unit);
    return rest === 0 ? head : `${head} ${named(rest, small)}`;
  }
  return `${Math.round(seconds)} s`;
}

/** `0.012%`, `63%`, `99.9%`; never 100% for what may still fail. */
export function formatChance(chance: number): string {
  const percent = chance * 100;
  if (percent >= 99.9) return '>99.9%';
  if (percent >= 10) return `${percent.toFixed(percent >= 99 ? 1 : 0)}%`;
  return `${Number(percent.toPrecision(2))}%`;
}

/**
 * Columns as wide as their widest cell; the first `left` of them start at the left. A cell says nothing
 * to the terminal and ends no line: who writes the database may have named what is in it.
 */
export function formatTable(given: readonly (readonly string[])[], left: number): string {
  const rows = given.map((row) => row.map((cell) => cell.replaceAll(CONTROL, '?')));
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) =>
        column < left ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

/**
 * Of a pool in a store, as no server answers: what one had taken for hand-out when it was killed. How
 * much of it left, its journals know, and a start reads them.
 */
export function leftByKill({ name, leased }: { name: string; leased: number }): string[] {
  if (leased === 0) return [];
  const what = `${formatCount(leased)} leased by a server that does not answer`;
  return [`pool ${name}: ${what}: settled at the next start\n`];
}

function named(count: number, unit: string): string {
  const isWord = unit === 'year' || unit === 'day';
  return `${count} ${unit}${isWord && count !== 1 ? 's' : ''}`;
}

/** Of a store that was restored; '' if none is off. */
export function tokensOffText(names: readonly string[]): string {
  if (names.length === 0) return '';
  const remedy = 'vanitypool token restore NAME (or --all)';
  return `tokens: ${names.length} off, as any may be revoked: ${names.join(', ')}; on again: ${remedy}\n`;
}
