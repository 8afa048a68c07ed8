/**
 * The settings of one pool: those of a `[[pools]]` table, and those that a request gives for a new one.
 * Any thread may use it.
 */
import { VanityError } from '../errors.ts';
import { isTable, type Settings } from './file.ts';
import { check, decimal, flag, oneOf, only, type Rule, text, whole } from './rules.ts';

export interface PoolConfig {
  readonly name: string;
  readonly suffix: string;
  readonly prefix: string;
  readonly ignoreCase: boolean;
  readonly keys: 'seed' | 'expanded';
  /** 'sign-only': the secret never leaves, the server signs with it. */
  readonly handout: 'secret' | 'sign-only';
  readonly signLimit: number;
  readonly reuseReleased: boolean;
  /** Whether keypairs that were not ground here may come in. */
  readonly acceptsImports: boolean;
  readonly target: number;
  readonly ready: number;
  readonly readyMax: number;
  /** Hours of stock below which the grinder gets a higher priority for it. */
  readonly lowHours: number;
}

/** Of one server: each takes memory for its ready queue and its journals. */
export const POOLS_MAX = 256;

/** Also of pools in a store that was made before there was such a setting. */
export const DEFAULT_LOW_HOURS = 1;
export const LOW_HOURS_MAX = 8760;

const POOL_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const DEFAULT_POOL = { name: 'pet', suffix: '[a-z]Pet' };

const POOL_RULES: Readonly<Record<string, Rule>> = {
  name: text('', 'lower-case letters, digits, "-" and "_", at most 63', POOL_NAME),
  suffix: text('', 'a pattern such as "[a-z]Pet"'),
  prefix: text('', 'a pattern such as "abc"'),
  ignore_case: flag(false),
  target: whole(1000, 1, 100_000_000),
  ready: whole(256, 1, 1_048_576),
  ready_max: whole(65_536, 1, 1_048_576),
  keys: only('seed'),
  handout: oneOf('secret', 'secret', 'sign-only'),
  sign_limit: whole(1, 1, 1000),
  low_hours: decimal(DEFAULT_LOW_HOURS, 0, LOW_HOURS_MAX),
  reuse_released: flag(false),
  accepts_imports: flag(false),
};

export function readPools(pools: unknown): readonly PoolConfig[] {
  if (pools === undefined) return readPools([DEFAULT_POOL]);
  if (!Array.isArray(pools) || pools.length === 0 || !pools.every(isTable)) {
    throw new VanityError('CONFIG_INVALID', 'pools: write each pool as a [[pools]] table');
  }
  if (pools.length > POOLS_MAX) {
    throw new VanityError('CONFIG_INVALID', `pools: ${pools.length}; allowed: ${POOLS_MAX}`);
  }
  const names = new Set<string>();
  return pools.map((pool, index) => {
    const label = typeof pool.name === 'string' ? pool.name : String(index + 1);
    const config = readPool(pool, (key) => `pools.${label}.${key}`);
    const { name } = config;
    if (names.has(name)) {
      throw new VanityError('CONFIG_INVALID', `pools.${name}.name: two pools have this name`);
    }
    names.add(name);
    return config;
  });
}

/** One pool by its keys as in the file, which errors call `nameOf` them. Errors as of `loadConfig`. */
export function readPool(pool: Settings, nameOf: (key: string) => string): PoolConfig {
  const value = check(pool, POOL_RULES, nameOf);
  if (value.name === '') {
    throw new VanityError('CONFIG_INVALID', `${nameOf('name')}: a pool needs a name`);
  }
  const config = {
    name: value.name,
    suffix: value.suffix,
    prefix: value.prefix,
    ignoreCase: value.ignore_case,
    keys: value.keys,
    handout: value.handout,
    signLimit: value.sign_limit,
    reuseReleased: value.reuse_released,
    acceptsImports: value.accepts_imports,
    target: value.target,
    ready: value.ready,
    readyMax: value.ready_max,
    lowHours: value.low_hours,
  } as PoolConfig;
  assertReadyFits(config, nameOf('ready'));
  return Object.freeze(config);
}

/** Error: CONFIG_INVALID, in which `ready` is called `name`. */
export function assertReadyFits({ ready, readyMax }: PoolConfig, name: string): void {
  if (ready <= readyMax) return;
  const message = `${name}: ${ready} is more than ready_max (${readyMax})`;
  throw new VanityError('CONFIG_INVALID', message);
}
