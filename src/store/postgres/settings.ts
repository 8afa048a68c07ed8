/**
 * Where the server is and how it is connected to: a URL, and the environment for what the URL leaves out, as psql
 * and pg take them. What is not known is refused by name, so that no wish for safety is passed over. Any
 * thread may use it.
 *
 * A password is in no error: of the URL an error only quotes what cannot be a part of one. What
 * this gives does not show it either.
 */
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { VanityError } from '../../errors.ts';
import { readPassword } from './password-file.ts';

export interface ConnectionSettings {
  /** The server in messages: without user and password. */
  readonly name: string;
  /** The directory of a socket begins with '/'. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  /** Asked for when the server wants it. Error: CONFIG_INVALID, without a password too. */
  readonly password: () => string;
  readonly tls: TlsSettings;
  readonly applicationName: string;
  /** As of a command line: `-c name=value`. */
  readonly options: string | undefined;
  readonly connectTimeoutMs: number;
}

/** As libpq means them. */
export const TLS_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type TlsMode = (typeof TLS_MODES)[number];

export interface TlsSettings {
  readonly mode: TlsMode;
  /** A file, or 'system'. */
  readonly rootCertificate: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

/** By its name in a URL: the variable that stands for it. */
const VARIABLES = {
  host: 'PGHOST',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  application_name: 'PGAPPNAME',
  options: 'PGOPTIONS',
  connect_timeout: 'PGCONNECT_TIMEOUT',
} as const;

type Name = keyof typeof VARIABLES;
type Given = Partial<Record<Name, string>>;

const CONNECT_TIMEOUT_SECONDS = '5';

/** User and password, host, port, database, settings. Everything but the host may be left out. */
const URL_PARTS =
  /^postgres(?:ql)?:\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?(\[[^\]@/?#]*\]|[^:@/?#]*)(?::([^:@/?#]*))?(?:\/([^@/?#]*))?(?:\?([^@?#]*))?$/;

/** Error: CONFIG_INVALID. */
export function connectionSettings(
  url: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): ConnectionSettings {
  const given = partsOf(url);
  /** An empty one counts as none. */
  const settingOf = (name: Name): string | undefined =>
    given[name] || env[VARIABLES[name]] || undefined;
  const wholeOf = (name: Name, standard: string, max: number): number => {
    const text = settingOf(name) ?? standard;
    const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (value >= 1 && value <= max) return value;
    throw invalid(`${name} (or ${VARIABLES[name]}): a whole number from 1 to ${max}`);
  };
  const host = settingOf('host') ?? 'localhost';
  if (host.includes(',')) throw invalid('host: several; allowed: one, the one that can be written');
  const port = wholeOf('port', '5432', 65_535);
  const user = settingOf('user') ?? nameOfUser();
  const database = settingOf('dbname') ?? user;
  const place = { host, port, database, user };
  const passwordFile = settingOf('passfile') ?? join(homedir(), '.pgpass');
  return {
    ...place,
    name: `postgres://${host.includes(':') ? `[${host}]` : host}:${port}/${database}`,
    password: () => {
      const password = settingOf('password') ?? readPassword(passwordFile, place);
      if (password !== undefined) return password;
      throw invalid(`the server wants a password: put it in PGPASSWORD, or in ${passwordFile}`);
    },
    tls: tlsSettings(settingOf),
    applicationName: settingOf('application_name') ?? 'vanitypool',
    options: settingOf('options'),
    connectTimeoutMs: 1000 * wholeOf('connect_timeout', CONNECT_TIMEOUT_SECONDS, 3600),
  };
}

/** The same URL, for a configuration that others may read. */
export function withoutPassword(url: string): string {
  const [place = '', query = ''] = url.split('?');
  const settings = new URLSearchParams(query);
  settings.delete('password');
  const rest = settings.size === 0 ? '' : `?${settings}`;
  return place.replace(/^(postgres(?:ql)?:\/\/[^:@/?#]*):[^@/?#]*@/, '$1@') + rest;
}

function partsOf(url: string): Given {
  const parts = URL_PARTS.exec(url);
  if (parts === null) {
    throw invalid(
      '"postgres://USER:PASSWORD@HOST:PORT/DATABASE?NAME=VALUE"; in all of these write : / ? # @ as ' +
        '%3A %2F %3F %23 %40',
    );
  }
  const [user, password, host, port, dbname] = parts.slice(1, 6).map(decoded);
  const given: Given = {};
  Object.assign(given, { user, password, host: host?.replace(/^\[(.*)\]$/, '$1'), port, dbname });
  for (const [name, value] of new URLSearchParams(parts[6])) {
    if (!Object.hasOwn(VARIABLES, name)) {
      const known = Object.keys(VARIABLES).join(', ');
      throw invalid(`${name}: no setting that is known here; allowed: ${known}`);
    }
    given[name as Name] = value;
  }
  return given;
}

function decoded(part: string | undefined): string | undefined {
  try {
    return part && decodeURIComponent(part);
  } catch {
    throw invalid('a % without two hex digits behind it; a % itself is %25');
  }
}

function tlsSettings(settingOf: (name: Name) => string | undefined): TlsSettings {
  const rootCertificate = settingOf('sslrootcert');
  const isSystem = rootCertificate === 'system';
  const mode = settingOf('sslmode') ?? (isSystem ? 'verify-full' : 'prefer');
  if (!isMode(mode)) {
    throw invalid(`sslmode (or PGSSLMODE): allowed: ${TLS_MODES.join(', ')}`);
  }
  if (isSystem && mode !== 'verify-full') {
    throw invalid(
      'sslrootcert=system: anybody has a certificate of these; use sslmode=verify-full',
    );
  }
  if (mode.startsWith('verify') && rootCertificate === undefined) {
    throw invalid(
      `sslmode=${mode}: whose certificates? sslrootcert=FILE (or PGSSLROOTCERT) names a file of them, ` +
        'sslrootcert=system those that the system trusts',
    );
  }
  const [certificate, key] = [settingOf('sslcert'), settingOf('sslkey')];
  if ((certificate === undefined) !== (key === undefined)) {
    throw invalid('sslcert and sslkey: one without the other');
  }
  return { mode, rootCertificate, certificate, key };
}

function isMode(text: string): text is TlsMode {
  return (TLS_MODES as readonly string[]).includes(text);
}

/** In a container a number may be all there is. */
function nameOfUser(): string {
  try {
    return userInfo().username;
  } catch {
    throw invalid('user (or PGUSER): give one; the system has no name for this one');
  }
}

function invalid(detail: string): VanityError {
  return new VanityError('CONFIG_INVALID', `store.url: ${detail}`);
}
