/**
 * Configuration: flags, environment, file and defaults become one frozen object. Order: flag >
 * environment > file > default. A key that does not exist and a value that is not allowed stop
 * the start, with the name of the key and what is allowed. Keys of the contract whose function
 * this version lacks are known by name and take only the value that it serves.
 */
import { resolve } from 'node:path';
import { isTable, readFile, type Settings } from './config-file.ts';
import { decimal, flag, oneOf, only, type Rule, text, trustProxy, whole } from './config-rules.ts';
import { readCpuLimits, serverThreads } from './cores.ts';
import { VanityError } from './errors.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';

export type { Settings };

export type Durability = 'leased' | 'committed';

/** Where dispense journals lie; 'auto': in memory where that outlives the server. */
export type JournalSetting = 'auto' | 'memory' | 'data';

/** Who is believed about where a request comes from: true for whoever connects, or addresses. */
export type TrustProxy = boolean | string;

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

export interface PoolConfig {
  readonly name: string;
  readonly suffix: string;
  readonly prefix: string;
  readonly ignoreCase: boolean;
  readonly keys: 'seed';
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

export interface Config {
  /** Nothing says which data directory is meant: there is no file, and neither flag nor variable. */
  readonly isDefault: boolean;
  readonly logLevel: LogLevel;
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly threads: number;
    /** Absolute paths of PEM files; undefined for no TLS. */
    readonly tls: TlsFiles | undefined;
    /** Other machines may be served without TLS. */
    readonly insecure: boolean;
    readonly trustProxy: TrustProxy;
    /** Requests a second of one token, or of one address without; 0 for any number. */
    readonly rateLimit: number;
    /** Connections of all threads. */
    readonly maxConnections: number;
    readonly compat: boolean;
    readonly drainSeconds: number;
  };
  readonly store: {
    /** Absolute path of the data directory. */
    readonly directory: string;
    /** 'file:PATH' with an absolute path, or 'env:NAME'. */
    readonly sealingKey: string;
    /** 'committed': a reply waits until the disk knows of it. */
    readonly durability: Durability;
    /** 'unguarded': served also where the file system cannot tell a copy from its original. */
    readonly copies: 'guarded' | 'unguarded';
    readonly journal: JournalSetting;
    readonly retentionHours: number;
  };
  readonly auth: {
    /** 'auto': from the first token on that was ever made. */
    readonly required: boolean | 'auto';
  };
  readonly grinder: {
    readonly threads: number;
    readonly batch: number;
    readonly sliceMs: number;
    readonly priority: 'auto' | 'idle' | 'low' | 'normal';
  };
  readonly pools: readonly PoolConfig[];
}

/** Of one server: each takes memory for its ready queue and its journals. */
export const POOLS_MAX = 256;

/** Also of pools in a store that was made before there was such a setting. */
export const DEFAULT_LOW_HOURS = 1;
export const LOW_HOURS_MAX = 8760;

const POOL_NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const DEFAULT_POOL = { name: 'pet', suffix: '[a-z]Pet' };

/** A shell that is not asked puts nothing in its place: a directory of this name would be made. */
const NO_HOME = 'a "~" in front is no home directory here, "./~" is a name';

const RULES: Readonly<Record<string, Rule>> = {
  role: only('all'),
  log_level: oneOf('info', ...LOG_LEVELS),
  'http.host': text(
    '127.0.0.1',
    `an address ("127.0.0.1", "::1", "0.0.0.0"), a host name or "unix:PATH"; ${NO_HOME}`,
    /^(unix:(?!~).+|(?!unix:)\S+)$/,
  ),
  'http.port': whole(5057, 0, 65535),
  'http.threads': whole(1, 1, 64),
  'http.tls_cert': text('', `the path of a PEM file; ${NO_HOME}`, /^(?!~)./),
  'http.tls_key': {
    ...text('', `the path of a PEM file; ${NO_HOME}`, /^(?!-----|~)./),
    isSecret: true,
  },
  'http.insecure': flag(false),
  'http.trust_proxy': trustProxy,
  'http.rate_limit': whole(0, 0, 1_000_000),
  'http.max_connections': whole(10_000, 1, 1_000_000),
  'http.compat': flag(true),
  'http.drain_seconds': whole(20, 0, 3600),
  'store.url': text('file:./data', `"file:DIRECTORY" in this version; ${NO_HOME}`, /^file:(?!~).+/),
  'store.durability': oneOf('leased', 'leased', 'committed'),
  'store.copies': oneOf('guarded', 'guarded', 'unguarded'),
  'store.journal': oneOf('auto', 'auto', 'memory', 'data'),
  'store.sealing_key': {
    ...text('', `"file:PATH" or "env:NAME"; ${NO_HOME}`, /^(file:(?!~).+|env:[A-Za-z_]\w*)$/),
    isSecret: true,
  },
  'store.retention_hours': whole(24, 1, 24 * 365),
  'store.lease_ttl_seconds': only(60),
  'grinder.threads': whole(serverThreads(readCpuLimits()), 0, 1024),
  'grinder.batch': whole(256, 1, 4096),
  'grinder.slice_ms': whole(25, 1, 50),
  'grinder.priority': oneOf('auto', 'auto', 'idle', 'low', 'normal'),
  'auth.required': oneOf('auto', 'auto', true, false),
};

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

export interface ConfigSources {
  /** Flags of the command line, by configuration key. */
  readonly flags?: Settings;
  /** What their user calls them, for errors: `{ 'http.port': '--port' }`. */
  readonly names?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /**
   * `--config FILE`, `/dev/null` for none; without it `vanitypool.toml` in the working directory, if it is
   * there.
   */
  readonly file?: string | undefined;
  readonly cwd?: string;
}

/** Errors: CONFIG_UNREADABLE, CONFIG_UNKNOWN_KEY, CONFIG_INVALID. */
export function loadConfig(sources: ConfigSources = {}): Config {
  const { flags = {}, names = {}, env = {}, file, cwd = process.cwd() } = sources;
  const { isThere, settings, pools } = readFile(file, cwd);
  const environment = readEnvironment(env);
  const given = { ...settings, ...environment.settings, ...flags };
  const value = check(given, RULES, (key) => {
    const called = Object.hasOwn(flags, key) ? names : environment.names;
    return Object.hasOwn(called, key) ? called[key]! : key;
  });
  return freeze(value, readPools(pools), cwd, !isThere && given['store.url'] === undefined);
}

function freeze(
  value: Settings,
  pools: readonly PoolConfig[],
  cwd: string,
  isDefault: boolean,
): Config {
  const directory = resolve(cwd, String(value['store.url']).slice('file:'.length));
  const sealingKey = String(value['store.sealing_key']);
  const host = String(value['http.host']);
  if (host.startsWith('unix:') && value['http.threads'] !== 1) {
    const detail = 'http.threads: threads share a port, not a socket; allowed with unix:PATH: 1';
    throw new VanityError('CONFIG_INVALID', detail);
  }
  const tls = tlsFiles(String(value['http.tls_cert']), String(value['http.tls_key']), host, cwd);
  const config = {
    isDefault,
    logLevel: value.log_level,
    http: {
      host: host.startsWith('unix:') ? `unix:${resolve(cwd, host.slice(5))}` : host,
      port: value['http.port'],
      threads: value['http.threads'],
      tls,
      insecure: value['http.insecure'],
      trustProxy: value['http.trust_proxy'],
      rateLimit: value['http.rate_limit'],
      maxConnections: value['http.max_connections'],
      compat: value['http.compat'],
      drainSeconds: value['http.drain_seconds'],
    },
    store: {
      directory,
      sealingKey: sealingKey.startsWith('env:')
        ? sealingKey
        : `file:${resolve(cwd, sealingKey.slice(5) || `${directory}/sealing.key`)}`,
      durability: value['store.durability'],
      copies: value['store.copies'],
      journal: value['store.journal'],
      retentionHours: value['store.retention_hours'],
    },
    auth: { required: value['auth.required'] },
    grinder: {
      threads: value['grinder.threads'],
      batch: value['grinder.batch'],
      sliceMs: value['grinder.slice_ms'],
      priority: value['grinder.priority'],
    },
    pools,
  } as Config;
  for (const part of [config, config.http, config.store, config.auth, config.grinder, pools]) {
    Object.freeze(part);
  }
  return config;
}

function tlsFiles(cert: string, key: string, host: string, cwd: string): TlsFiles | undefined {
  if (cert === '' && key === '') return undefined;
  if (cert === '' || key === '') {
    const [given, missing] = cert === '' ? ['tls_key', 'tls_cert'] : ['tls_cert', 'tls_key'];
    const detail = `http.${missing}: is missing; http.${given} is given, and TLS takes both`;
    throw new VanityError('CONFIG_INVALID', detail);
  }
  if (host.startsWith('unix:')) {
    const detail = 'http.tls_cert: not allowed with unix:PATH, which no other machine can reach';
    throw new VanityError('CONFIG_INVALID', detail);
  }
  return Object.freeze({ cert: resolve(cwd, cert), key: resolve(cwd, key) });
}

/**
 * `VANITYPOOL_HTTP__PORT=5057`, `VANITYPOOL__LOG_LEVEL=warn`; only names with `__` are configuration.
 * A text that its key takes is that text, and else the number or the truth that it spells.
 */
function readEnvironment(env: Readonly<Record<string, string | undefined>>): {
  settings: Settings;
  /** Of the variables, by key. */
  names: Readonly<Record<string, string>>;
} {
  const settings: Record<string, unknown> = {};
  const names: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || !name.startsWith('VANITYPOOL_') || !name.includes('__')) continue;
    const path = name.slice('VANITYPOOL'.length).toLowerCase();
    const key = path.startsWith('__') ? path.replace(/^_+/, '') : path.slice(1).replace('__', '.');
    const rule = Object.hasOwn(RULES, key) ? RULES[key] : undefined;
    settings[key] = rule?.read(value) === undefined ? literal(value) : value;
    names[key] = name;
  }
  return { settings, names };
}

function literal(value: string): unknown {
  if (value === 'true') return true;
  if (value === 'false') return false;
  return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}

function readPools(pools: unknown): readonly PoolConfig[] {
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

/** Every rule's value: the given one if it is allowed, else the default. */
function check(
  given: Settings,
  rules: Readonly<Record<string, Rule>>,
  nameOf: (key: string) => string,
): Settings {
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(rules, key)) {
      const known = Object.keys(rules).join(', ');
      const detail = `${nameOf(key)}: no such key; there are: ${known}`;
      throw new VanityError('CONFIG_UNKNOWN_KEY', detail);
    }
  }
  const values: Record<string, unknown> = {};
  for (const [key, rule] of Object.entries(rules)) {
    const value = given[key];
    values[key] = value === undefined ? rule.fallback : rule.read(value);
    if (value !== undefined && values[key] === undefined) {
      const shown = rule.isSecret ? 'this value' : JSON.stringify(value);
      const detail = `${nameOf(key)}: ${shown} is not allowed; allowed: ${rule.allowed}`;
      throw new VanityError('CONFIG_INVALID', detail);
    }
  }
  return values;
}
