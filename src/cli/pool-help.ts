/** The help of `vanitypool pool`, made of the table of pool settings. Pure. */
import {
  changeable,
  POOL_SETTINGS,
  type PoolSetting,
  type SettingsTable,
  spelled,
} from '../config/pool-settings.ts';

/** Where what an option does begins, and where a line ends. */
const INDENT = 21;
const WIDTH = 100;

/** `place`: the help of the options that say which server or directory is meant. */
export function poolHelp(place: string, table: SettingsTable = POOL_SETTINGS): string {
  const fixed = Object.entries(table).filter(([, { isChangeable }]) => !isChangeable);
  const set = setFlags(table).map((flag) => `[${flag}]`);
  return `usage: vanitypool pool create NAME --suffix PATTERN [options]
       vanitypool pool list [--json]
       vanitypool pool set NAME ${set.join(' ')}
       vanitypool pool pause NAME
       vanitypool pool resume NAME
       vanitypool pool delete NAME --burn NAME

Pools that are made here are in the store and come back with every start. A server that runs is
asked, and serves them at once; without one the store in the data directory is changed. Pools
of the configuration file are paused and resumed here, and changed there.

${flagLines(Object.fromEntries(fixed), 'create: ')}
${flagLines(changeable(table))}
  --burn NAME        delete: the name again. All that the pool has left is burned, for good; what
                     has left stays in the audit, and the name stays that of its pattern
${place}
  --json             print JSON

A paused pool hands nothing out and is not ground for, also after a restart, until it is resumed.
Example:  vanitypool pool create pump --suffix pump --target 500
`;
}

/** Of `pool set`, each with what its value is called. */
export function setFlags(table: SettingsTable = POOL_SETTINGS): string[] {
  return Object.entries(changeable(table)).map(([name, setting]) => typed(name, setting));
}

/** A line or more for each setting that has a flag; `where` stands in front of what it does. */
export function flagLines(table: SettingsTable, where = ''): string {
  return Object.entries(table)
    .filter(([, { flag }]) => flag !== undefined)
    .map(([name, setting]) => {
      const words = `${where}${setting.flag!.help}${more(setting)}`.split(' ');
      return wrapped(`  ${typed(name, setting)}`.padEnd(INDENT - 2), words);
    })
    .join('\n');
}

function typed(name: string, { flag }: PoolSetting): string {
  return [`--${spelled(name, '-')}`, flag?.value ?? []].flat().join(' ');
}

function more(setting: PoolSetting): string {
  if (setting.kind === 'list') return '; give it several times for several';
  if (setting.kind !== 'whole' && setting.kind !== 'number') return '';
  return ` (default: ${setting.default})`;
}

function wrapped(start: string, words: readonly string[]): string {
  const lines = [`${start} `];
  for (const word of words) {
    if (`${lines.at(-1)} ${word}`.length > WIDTH) lines.push(' '.repeat(INDENT - 1));
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines.join('\n');
}
