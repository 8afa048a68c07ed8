/**
 * Configuration: flags, environment, file and defaults become one frozen object. Order: flag >
 * environment > file > default. A key that does not exist and a value that is not allowed stop
 * the start, with the name of the key and what is allowed.
 */
import { resolve } from 'node:path';
import { VanityError } from '../errors.ts';
import { LOG_LEVELS, type LogLevel } from '../log.ts';
import { readCpuLimits, serverThreads } from '../system/cores.ts';
import type { TablesOfEnvironment, TableVariables } from './counted-tables.ts';
import { readFile, type Settings } from './file.ts';
import { type PoolConfig, readPools } from './pool-config.ts';
import { POOL_SETTINGS, type SettingsTable } from './pool-settings.ts';
import { check, flag, oneOf, type Rule, text, trustProxy, whole } from './rules.ts';
import { readWebhooks, type WebhookConfig } from './webhooks.ts';

export type Durability = 'leased' | 'committed';

/** What a node does: everything, all but grinding, or nothing but grinding, for which it has no secret. */
export type Role = 'all' | 'api' | 'grinder';

/** Where dispense journals lie; 'auto': in memory where that outlives the server. */
export type JournalSetting = 'auto' | 'memory' | 'data';

/** Whose forwarding headers are trusted: true for every connection, or a list of addresses. */
export type TrustProxy = boolean | string;

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

export interface StoreConfig {
  /** Absolute path of the directory that the store lies in; undefined if it is a database. */
  readonly directory: string | undefined;
  /** The URL of the PostgreSQL database that the store is: there may be a password in it. */
  readonly database: string | undefined;
  /** Absolute path of what this machine has beside it: sealing key, journals, address of the server. */
  readonly data: string;
  /** 'file:PATH' with an absolute path, or 'env:NAME'; of a grinder 'public:DIGITS'. */
  readonly sealingKey: string;
  /** 'committed': a reply waits until the disk knows of it. */
  readonly durability: Durability;
  /** 'unguarded': served also where the file system cannot distinguish a copy from its original. */
  readonly copies: 'guarded' | 'unguarded';
  readonly journal: JournalSetting;
  readonly retentionHours: number;
  /** Of a database: 'synchronous' if no failover loses a commit. */
  readonly standby: 'none' | 'synchronous';
  /** How long a node may act without an answer of the database, and after which others give it up. */
  readonly leaseTtlSeconds: number;
}

export interface Config {
  readonly role: Role;
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
    /** That an open connection may be without a request. */
    readonly keepAliveSeconds: number;
  };
  readonly store: StoreConfig;
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
  readonly webhooks: readonly WebhookConfig[];
}

/** A shell that is not asked puts nothing in its place: a directory of this name would be made. */
const NO_HOME = 'a "~" in front is no home directory here, "./~" is a name';

const RULES: Readonly<Record<string, Rule>> = {
  role: oneOf('all', 'all', 'api', 'grinder'),
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
  'http.keep_alive_seconds': whole(72, 1, 3600),
  'store.data': text('', `a directory; ${NO_HOME}`, /^(?!~)./),
  'store.url': {
    ...text(
      '',
      `"file:DIRECTORY" or "postgres://USER@HOST:PORT/DATABASE"; ${NO_HOME}`,
      /^(file:(?!~).+|postgres(ql)?:\/\/.*)/,
    ),
    // That of a database may have a password in it.
    isSecret: true,
  },
  'store.standby': oneOf('none', 'none', 'synchronous'),
  'store.durability': oneOf('leased', 'leased', 'committed'),
  'store.copies': oneOf('guarded', 'guarded', 'unguarded'),
  'store.journal': oneOf('auto', 'auto', 'memory', 'data'),
  'store.sealing_key': {
    ...text(
      '',
      `"file:PATH" or "env:NAME", or of a grinder "public:DIGITS"; ${NO_HOME}`,
      /^(file:(?!~).+|env:[A-Za-z_]\w*|public:[0-9a-f]{64})$/,
    ),
    isSecret: true,
  },
  'store.retention_hours': whole(24, 1, 24 * 365),
  'store.lease_ttl_seconds': whole(300, 10, 86_400),
  'grinder.threads': whole(serverThreads(readCpuLimits()), 0, 1024),
  'grinder.batch': whole(256, 1, 4096),
  'grinder.slice_ms': whole(25, 1, 50),
  'grinder.priority': oneOf('auto', 'auto', 'idle', 'low', 'normal'),
  'auth.required': oneOf('auto', 'auto', true, false),
};

export interface ConfigSources {
  /** Flags of the command line, by configuration key. */
  readonly flags?: Settings;
  /** What their user calls them, for errors: `{ 'http.port': '--port' }`. */
  readonly names?: Readonly<Record<string, string>>;
  /** `--data DIR`: all that there is lies in this directory, but a store that is a database. */
  readonly data?: string | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /**
   * `--config FILE`, `/dev/null` for none; without it `vanitypool.toml` in the working directory, if it is
   * there.
   */
  readonly file?: string | undefined;
  readonly cwd?: string;
}

/** Errors: CONFIG_UNREADABLE, CONFIG_UNKNOWN_KEY, CONFIG_INVALID. `poolSettings`: what a pool can have. */
export function loadConfig(
  sources: ConfigSources = {},
  poolSettings: SettingsTable = POOL_SETTINGS,
): Config {
  const { flags = {}, names = {}, env = {}, file, cwd = process.cwd() } = sources;
  const { isThere, settings, pools, webhooks } = readFile(file, cwd);
  const environment = readEnvironment(env);
  const configured: Settings = { ...settings, ...environment.settings, ...flags };
  const placed = placedAt(sources.data, configured['store.url']);
  const given = { ...configured, ...placed };
  const value = check(given, RULES, (key) => {
    if (Object.hasOwn(placed, key)) return '--data';
    const called = Object.hasOwn(flags, key) ? names : environment.names;
    return Object.hasOwn(called, key) ? called[key]! : key;
  });
  const tables = {
    pools: readPools(pools, environment.pools, poolSettings),
    webhooks: readWebhooks(webhooks, environment.webhooks),
  };
  const isPlaced = given['store.url'] !== undefined || given['store.data'] !== undefined;
  return freeze(value, tables, cwd, !isThere && !isPlaced);
}

function placedAt(directory: string | undefined, url: unknown): Settings {
  if (directory === undefined) return {};
  return { 'store.data': directory, ...(!isDatabase(url) && { 'store.url': `file:${directory}` }) };
}

function isDatabase(url: unknown): boolean {
  return String(url).startsWith('postgres');
}

/** Each directory is where the other one is, if one alone is given. */
function placesOf(
  url: string,
  data: string,
  cwd: string,
): Pick<StoreConfig, 'directory' | 'database' | 'data'> {
  if (isDatabase(url)) {
    return { directory: undefined, database: url, data: resolve(cwd, data || './data') };
  }
  const directory = url.slice('file:'.length) || data || './data';
  return {
    ...{ directory: resolve(cwd, directory), database: undefined },
    data: resolve(cwd, data || directory),
  };
}

function freeze(
  value: Settings,
  { pools, webhooks }: Pick<Config, 'pools' | 'webhooks'>,
  cwd: string,
  isDefault: boolean,
): Config {
  const role = value.role as Role;
  const places = placesOf(String(value['store.url']), String(value['store.data']), cwd);
  const sealingKey = String(value['store.sealing_key']);
  assertFitsRole(role, places.database, sealingKey);
  const host = String(value['http.host']);
  if (host.startsWith('unix:') && value['http.threads'] !== 1) {
    const detail = 'http.threads: threads share a port, not a socket; allowed with unix:PATH: 1';
    throw new VanityError('CONFIG_INVALID', detail);
  }
  const tls = tlsFiles(String(value['http.tls_cert']), String(value['http.tls_key']), host, cwd);
  const config = {
    isDefault,
    role,
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
      keepAliveSeconds: value['http.keep_alive_seconds'],
    },
    store: {
      ...places,
      sealingKey: /^(env|public):/.test(sealingKey)
        ? sealingKey
        : `file:${resolve(cwd, sealingKey.slice(5) || `${places.data}/sealing.key`)}`,
      standby: value['store.standby'],
      durability: value['store.durability'],
      copies: value['store.copies'],
      journal: value['store.journal'],
      retentionHours: value['store.retention_hours'],
      leaseTtlSeconds: value['store.lease_ttl_seconds'],
    },
    auth: { required: value['auth.required'] },
    grinder: {
      threads: role === 'api' ? 0 : value['grinder.threads'],
      batch: value['grinder.batch'],
      sliceMs: value['grinder.slice_ms'],
      priority: value['grinder.priority'],
    },
    // Of a grinder the database says what it grinds, and the others what happens: one file serves all roles.
    pools: role === 'grinder' ? [] : pools,
    webhooks: role === 'grinder' ? [] : webhooks,
  } as Config;
  for (const part of [
    config,
    config.http,
    config.store,
    config.auth,
    config.grinder,
    config.pools,
  ]) {
    Object.freeze(part);
  }
  return config;
}

/** Error: CONFIG_INVALID. */
function assertFitsRole(role: Role, database: string | undefined, sealingKey: string): void {
  const isPublic = sealingKey.startsWith('public:');
  const refuse = (detail: string): never => {
    throw new VanityError('CONFIG_INVALID', detail);
  };
  if (role !== 'grinder') {
    if (isPublic)
      refuse('store.sealing_key: "public:..." opens nothing; it is for role = "grinder"');
    return;
  }
  if (database === undefined) {
    refuse('role: "grinder" is for a store of many nodes; set store.url = "postgres://..."');
  }
  if (!isPublic) {
    const detail =
      'of role = "grinder" it is the public half, "public:..."; this prints it on an api node';
    refuse(`store.sealing_key: ${detail}: vanitypool key show`);
  }
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
 * `VANITYPOOL_HTTP__PORT=5057`, `VANITYPOOL__LOG_LEVEL=warn`, `VANITYPOOL_POOLS__0__TARGET=500` for the first
 * pool, and so those of webhooks; only names with `__` are configuration. A text that its key takes is that text, and else the number or
 * the truth that it spells.
 */
function readEnvironment(env: Readonly<Record<string, string | undefined>>): {
  settings: Settings;
  /** Of the variables, by key. */
  names: Readonly<Record<string, string>>;
  pools: TablesOfEnvironment;
  webhooks: TablesOfEnvironment;
} {
  const settings: Record<string, unknown> = {};
  const names: Record<string, string> = {};
  const tables = {
    pools: new Map<number, TableVariables>(),
    webhooks: new Map<number, TableVariables>(),
  };
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || !name.startsWith('VANITYPOOL_') || !name.includes('__')) continue;
    const path = name.slice('VANITYPOOL'.length).toLowerCase();
    const what = (['pools', 'webhooks'] as const).find((one) => path.startsWith(`_${one}__`));
    if (what !== undefined) {
      const [place, ofTable] = placeAndKey(path, name);
      const table = tables[what].get(place) ?? { values: {}, names: {} };
      table.values[ofTable] = value;
      table.names[ofTable] = name;
      tables[what].set(place, table);
      continue;
    }
    const key = path.startsWith('__') ? path.replace(/^_+/, '') : path.slice(1).replace('__', '.');
    const rule = Object.hasOwn(RULES, key) ? RULES[key] : undefined;
    settings[key] = rule?.read(value) === undefined ? literal(value) : value;
    names[key] = name;
  }
  return { settings, names, ...tables };
}

function placeAndKey(path: string, name: string): [place: number, key: string] {
  const [, place, key] = /^_[a-z]+__(0|[1-9]\d{0,2})__([a-z]\w*)$/.exec(path) ?? [];
  if (place !== undefined && key !== undefined) return [Number(place), key];
  const form = path.startsWith('_pools')
    ? 'VANITYPOOL_POOLS__0__TARGET, for the first pool'
    : 'VANITYPOOL_WEBHOOKS__0__URL, for the first webhook';
  const detail = `${name}: no such key; allowed: as ${form}, and 1 for the next one`;
  throw new VanityError('CONFIG_UNKNOWN_KEY', detail);
}

function literal(value: string): unknown {
  if (value === 'true') return true;
  if (value === 'false') return false;
  return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}
