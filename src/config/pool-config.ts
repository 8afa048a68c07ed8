/**
 * The settings of one pool, read: those of a `[[pools]]` table, of the environment, and those that a
 * request or a command gives. What there is of them stands in pool-settings.ts. Any thread may use it.
 */
import { VanityError } from '../errors.ts';
import { addPlaces, type TablesOfEnvironment, tablesOf } from './counted-tables.ts';
import type { Settings } from './file.ts';
import {
  type ChangeableOf,
  changeable,
  POOL_SETTINGS,
  type PoolSetting,
  type PoolSettingsTable,
  type SettingsOf,
  type SettingsTable,
  spelled,
} from './pool-settings.ts';
import { check, decimal, flag, list, oneOf, type Rule, text, whole } from './rules.ts';

export type PoolConfig = SettingsOf<PoolSettingsTable>;

/** What can be changed of a pool while it is served. */
export type PoolChange = Partial<Pick<PoolConfig, ChangeableOf<PoolSettingsTable>>>;

/** Of one server: each takes memory for its ready queue and its journals. */
export const POOLS_MAX = 256;

const DEFAULT_POOL = { name: 'pet', suffix: '[a-z]Pet' };

/** `pools` as in the file, and what the environment says in their place. Errors as of `loadConfig`. */
export function readPools(
  pools: unknown,
  environment: TablesOfEnvironment = new Map(),
  table: SettingsTable = POOL_SETTINGS,
): readonly PoolConfig[] {
  const tables = pools === undefined ? defaultPools(environment) : tablesOf('pools', pools);
  const written = tables.length;
  addPlaces('pools', tables, environment, POOLS_MAX);
  const names = new Set<string>();
  return tables.map((given, index) => {
    const { values, names: variables } = environment.get(index) ?? { values: {}, names: {} };
    const pool = { ...given, ...readTexts(values, table) };
    const label = typeof pool.name === 'string' ? pool.name : String(index + 1);
    const nameOf = (key: string) => {
      if (Object.hasOwn(variables, key)) return variables[key]!;
      if (index < written) return `pools.${label}.${key}`;
      return `VANITYPOOL_POOLS__${index}__${key.toUpperCase()}`;
    };
    const config = readPool(pool, nameOf, table);
    const { name } = config;
    if (names.has(name)) {
      throw new VanityError('CONFIG_INVALID', `${nameOf('name')}: two pools have this name`);
    }
    names.add(name);
    return config;
  });
}

/** A pool that variables name takes nothing of the default one. */
function defaultPools(environment: TablesOfEnvironment): Settings[] {
  return environment.get(0)?.values.name === undefined ? [DEFAULT_POOL] : [];
}

/** One pool by its keys as in the file, which errors call `nameOf` them. Errors as of `loadConfig`. */
export function readPool(
  pool: Settings,
  nameOf: (key: string) => string,
  table: SettingsTable = POOL_SETTINGS,
): PoolConfig {
  const value = check(pool, rulesOf(table), nameOf);
  if (value.name === '') {
    throw new VanityError('CONFIG_INVALID', `${nameOf('name')}: a pool needs a name`);
  }
  const names = Object.keys(table);
  const config = Object.fromEntries(
    names.map((name) => [name, value[spelled(name, '_')]]),
  ) as PoolConfig;
  assertReadyFits(config, nameOf('ready'));
  return Object.freeze(config);
}

/** A change by its keys as in the file: what is given of it, by name. Errors as of `loadConfig`. */
export function readChange(
  change: Settings,
  nameOf: (key: string) => string,
  table: SettingsTable = POOL_SETTINGS,
): PoolChange {
  const settings = changeable(table);
  const value = check(change, rulesOf(settings), nameOf);
  const given = Object.keys(settings).filter((name) => change[spelled(name, '_')] !== undefined);
  return Object.fromEntries(given.map((name) => [name, value[spelled(name, '_')]]));
}

/** Settings by name, by their keys as in the file. */
export function inFile(settings: Settings): Settings {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [spelled(name, '_'), value]),
  );
}

/** By keys as in the file. */
function readTexts(texts: Readonly<Record<string, string>>, table: SettingsTable): Settings {
  const settings = new Map(Object.entries(table).map(([name, one]) => [spelled(name, '_'), one]));
  return Object.fromEntries(
    Object.entries(texts).map(([key, given]) => {
      const setting = settings.get(key);
      return [key, setting === undefined ? given : readText(setting, given)];
    }),
  );
}

/** As the environment and the command line spell it; what is not allowed stays as it is. */
export function readText(setting: PoolSetting, given: string): unknown {
  return ruleOf(setting).read(meant(setting, given)) ?? given;
}

function meant({ kind }: PoolSetting, given: string): unknown {
  if (kind === 'list') return given.split(',').map((one) => one.trim());
  if (kind === 'boolean') return given === 'true' || (given === 'false' ? false : given);
  if (kind === 'text' || kind === 'choice') return given;
  return /^\d+(\.\d+)?$/.test(given) ? Number(given) : given;
}

/** By key as in the file. */
function rulesOf(table: SettingsTable): Readonly<Record<string, Rule>> {
  return Object.fromEntries(
    Object.entries(table).map(([name, setting]) => [spelled(name, '_'), ruleOf(setting)]),
  );
}

function ruleOf(setting: PoolSetting): Rule {
  switch (setting.kind) {
    case 'whole':
      return whole(setting.default, setting.min, setting.max);
    case 'number':
      return decimal(setting.default, setting.min, setting.max);
    case 'boolean':
      return flag(setting.default);
    case 'choice':
      return oneOf(setting.default, ...setting.values);
    case 'list':
      return list(setting.default, setting.allowed, new RegExp(setting.pattern ?? '.'));
    case 'text':
      return text(setting.default, setting.allowed, new RegExp(setting.pattern ?? '^'));
  }
}

/** Error: CONFIG_INVALID, in which `ready` is called `name`. */
export function assertReadyFits({ ready, readyMax }: PoolConfig, name: string): void {
  if (ready <= readyMax) return;
  const message = `${name}: ${ready} is more than ready_max (${readyMax})`;
  throw new VanityError('CONFIG_INVALID', message);
}
