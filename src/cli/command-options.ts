/**
 * Which options each command takes, for reading its arguments and for completing them. Pure data: what
 * completes loads no command. Those of `pool` are made of the table of pool settings.
 */
import {
  changeable,
  POOL_SETTINGS,
  type PoolSetting,
  type SettingsTable,
  spelled,
} from '../config/pool-settings.ts';
import type { LogLevel } from '../log.ts';
import { SCOPES } from '../token.ts';

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  /** All that its value can be, where they are few. */
  readonly choices?: readonly string[];
}
export type Options = Readonly<Record<string, Option>>;

const TEXT = { type: 'string' } as const;
const TEXTS = { type: 'string', multiple: true } as const;
const FLAG = { type: 'boolean' } as const;
/** How keys are written: a file each, or all of them in one. */
export const FILE_FORMATS = ['json', 'base58'] as const;
export const FORMATS = [...FILE_FORMATS, 'lines'] as const;
const FILE_FORMAT = { type: 'string', choices: FILE_FORMATS } as const;
const FORMAT = { type: 'string', choices: FORMATS } as const;
const KEYS = { type: 'string', choices: ['seed', 'expanded'] } as const;

/** Written out, as the log itself takes a while to load. */
const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const satisfies readonly LogLevel[];

/** Which data directory is meant. */
const DIRECTORY = { config: TEXT, data: TEXT } as const;
/** Where a command works. */
const PLACE = { url: TEXT, ...DIRECTORY } as const;
/** What to grind, and with how many threads. */
const PATTERN = { prefix: TEXT, suffix: TEXT, 'ignore-case': FLAG, threads: TEXT } as const;
/** Of several at once, also as `solana-keygen grind` calls it. */
const PATTERNS = {
  prefix: TEXTS,
  suffix: TEXTS,
  words: TEXT,
  'ignore-case': FLAG,
  threads: TEXT,
  'starts-with': TEXTS,
  'ends-with': TEXTS,
  'starts-and-ends-with': TEXTS,
  'num-threads': TEXT,
} as const;
const COMMON = { ...PLACE, json: FLAG } as const;

export const OPTIONS = {
  serve: {
    config: TEXT,
    host: TEXT,
    port: TEXT,
    data: TEXT,
    threads: TEXT,
    'log-level': { type: 'string', choices: LEVELS },
  },
  grind: {
    ...PATTERNS,
    count: TEXT,
    keys: KEYS,
    out: TEXT,
    encrypt: TEXTS,
    json: FLAG,
    secrets: FLAG,
  },
  estimate: { ...PATTERN, keys: KEYS, json: FLAG },
  status: COMMON,
  top: COMMON,
  dispense: { count: TEXT, key: TEXT, ...PLACE, out: TEXT, format: FILE_FORMAT, json: FLAG },
  import: { pool: TEXT, ...COMMON },
  export: { pool: TEXT, count: TEXT, out: TEXT, format: FORMAT, ...COMMON },
  verify: { json: FLAG },
  audit: { pool: TEXT, since: TEXT, address: TEXT, ...COMMON },
  backup: PLACE,
  restore: { dispensed: TEXT, 'ignore-clock': FLAG, ...DIRECTORY },
  adopt: { moved: FLAG, restored: FLAG, from: TEXT, 'ignore-clock': FLAG, ...DIRECTORY },
  migrate: { to: TEXT, ...DIRECTORY },
  bench: {
    json: FLAG,
    rounds: TEXT,
    seconds: TEXT,
    requests: TEXT,
    stored: TEXT,
    directory: TEXT,
    trials: TEXT,
    addresses: TEXT,
    ms: TEXT,
    keys: KEYS,
    suffix: TEXT,
    patterns: TEXT,
    length: TEXT,
    streams: TEXT,
    pools: TEXT,
    url: TEXT,
    nodes: TEXT,
    batches: TEXT,
  },
} as const;

export const POOL_OPTIONS = poolOptions(POOL_SETTINGS);

export const TOKEN_OPTIONS = {
  create: {
    name: TEXT,
    scope: { type: 'string', multiple: true, choices: SCOPES },
    pool: TEXTS,
    quota: TEXT,
    expires: TEXT,
    ...COMMON,
  },
  list: COMMON,
  revoke: COMMON,
  restore: { all: FLAG, ...COMMON },
} as const;

export const WEBHOOK_OPTIONS = { test: { config: TEXT } } as const;
export const KEY_OPTIONS = {
  rotate: { to: TEXT, reseal: FLAG, ...COMMON },
  show: { ...DIRECTORY, json: FLAG },
} as const;
export const NODES_OPTIONS = {
  list: { ...DIRECTORY, json: FLAG },
  enrol: { key: TEXT, ...DIRECTORY, json: FLAG },
  retire: {
    gone: FLAG,
    'lost-nothing': FLAG,
    burn: FLAG,
    yes: FLAG,
    ...DIRECTORY,
    json: FLAG,
  },
} as const;

/** Of each subcommand of `completions`. */
export const SHELL_OPTIONS = { bash: {}, zsh: {}, fish: {} } as const;

/** Of all commands, a subcommand with its own: `serve`, `pool create`. */
export function optionsByCommand(table: SettingsTable): Readonly<Record<string, Options>> {
  return {
    ...OPTIONS,
    ...family('pool', poolOptions(table)),
    ...family('token', TOKEN_OPTIONS),
    ...family('webhook', WEBHOOK_OPTIONS),
    ...family('key', KEY_OPTIONS),
    ...family('nodes', NODES_OPTIONS),
    ...family('completions', SHELL_OPTIONS),
  };
}

function family(command: string, verbs: Readonly<Record<string, Options>>) {
  const named = Object.entries(verbs).map(([verb, options]) => [`${command} ${verb}`, options]);
  return Object.fromEntries(named) as Readonly<Record<string, Options>>;
}

/** Of each subcommand of `pool`. */
export function poolOptions(table: SettingsTable) {
  return {
    create: { ...COMMON, ...flagsOf(table) },
    list: COMMON,
    set: { ...COMMON, ...flagsOf(changeable(table)) },
    pause: COMMON,
    resume: COMMON,
    delete: { ...COMMON, burn: TEXT },
  } as const;
}

function flagsOf(table: SettingsTable): Options {
  const flags = Object.entries(table).filter(([, { flag }]) => flag !== undefined);
  return Object.fromEntries(flags.map(([name, one]) => [spelled(name, '-'), optionOf(one)]));
}

function optionOf(setting: PoolSetting): Option {
  if (setting.kind === 'boolean') return FLAG;
  if (setting.kind === 'list') return TEXTS;
  return setting.kind === 'choice' ? { ...TEXT, choices: setting.values } : TEXT;
}
