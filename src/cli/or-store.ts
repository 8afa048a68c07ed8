/**
 * Where commands work: at the server that `--url` names, else at the one that serves the data
 * directory, wherever it listens, and else in the store of that directory. A server of another data
 * directory is never taken for it: only one that takes the directory's own token is. Where there is
 * neither a configuration nor a store, the server at the default address is asked.
 */
import { isToken } from '../client/call.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import { readListensAt, readOwnToken } from '../service/own-token.ts';
import { optionWords, usage } from './options.ts';
import type { Outputs, Screen } from './output.ts';
import { OwnCertificate } from './own-certificate.ts';
import { givenToken, isStranger, ServerClient } from './server-client.ts';
import { assertUrl, isNobodyThere, NotSent } from './server-fetch.ts';

export interface Place {
  readonly url?: string | undefined;
  readonly config?: string | undefined;
  readonly data?: string | undefined;
}

/** As it was typed. */
export function wordsOf({ url, config, data }: Place): string[] {
  const options = Object.entries({ '--url': url, '--config': config, '--data': data });
  return options.flatMap(([name, value]) => (value === undefined ? [] : optionWords(name, value)));
}

/**
 * Before anything is done. Errors: USAGE_INVALID for an invalid URL, or one beside a directory; those
 * of the configuration.
 */
export function assertPlace({ url, config, data }: Place): void {
  if (url === undefined) {
    configAt({ config, data });
    return;
  }
  assertUrl(url);
  const other = data === undefined ? config && '--config' : '--data';
  if (other) throw usage(`--url: names a server, and ${other} another place; give one of both`);
}

/** Of a command without `--url`. Errors: those of the configuration. */
export function configAt({ config: file, data }: Omit<Place, 'url'>): Config {
  return loadConfig({ data, env: process.env, file });
}

/** What `ask` gets from the server or, when none serves the directory, what `look` gets from its store. */
export async function askOrLook<T>(
  place: Place,
  ask: (server: ServerClient) => Promise<T>,
  look: (config: Config) => T | Promise<T>,
  { stderr }: Pick<Outputs, 'stderr'>,
): Promise<T> {
  assertPlace(place);
  if (place.url !== undefined) return ask(new ServerClient(place.url));
  const config = configAt(place);
  const server = await findServer(config, stderr);
  try {
    if (server !== undefined) return await ask(server);
  } catch (nobody) {
    // It has stopped meanwhile.
    if (!isNobodyThere(nobody) || !(await isPlaceOf(config))) throw nobody;
  }
  try {
    return await look(config);
  } catch (error) {
    const isMissing = error instanceof VanityError && error.code === 'STORE_NOT_FOUND';
    const hasDirectory = config.store.directory !== undefined;
    throw isMissing && hasDirectory ? notServed(config, ', and there is no store in it') : error;
  }
}

/**
 * Where there has to be a server; what is not right about it is said on `stderr`, if there is one. Errors: SERVER_UNREACHABLE, and those
 * of the configuration.
 */
export async function serverAt(place: Place, stderr: Screen | undefined): Promise<ServerClient> {
  assertPlace(place);
  if (place.url !== undefined) return new ServerClient(place.url);
  const config = configAt(place);
  const server = await findServer(config, stderr);
  if (server === undefined) throw notServed(config, '');
  return server;
}

/** The one that serves the data directory; the one at the default address where there is none. */
async function findServer(
  config: Config,
  stderr: Screen | undefined,
): Promise<ServerClient | undefined> {
  const { data } = config.store;
  const [listensAt, token] = [readListensAt(data), readOwnToken(data)];
  if (listensAt !== undefined && token !== undefined && isToken(token)) {
    const url = reachable(listensAt.url);
    const certificate = ownCertificate(listensAt.certificate ?? undefined);
    if (await takes(new ServerClient(url, { token, certificate }))) {
      const own = givenToken() ?? token;
      warn(stderr, certificate);
      return new ServerClient(url, { token: own, certificate });
    }
  }
  if (await isPlaceOf(config)) return undefined;
  const certificate = ownCertificate(config.http.tls?.cert);
  warn(stderr, certificate);
  return new ServerClient(configuredUrl(config), { certificate });
}

function warn(stderr: Screen | undefined, certificate: OwnCertificate | undefined): void {
  const warning = certificate?.warning;
  if (warning !== undefined) stderr?.write(`vanitypool: ${warning}\n`);
}

function ownCertificate(file: string | undefined): OwnCertificate | undefined {
  return file === undefined ? undefined : new OwnCertificate(file);
}

/** Whether the directory is the one that is meant, served or not. */
async function isPlaceOf(config: Config): Promise<boolean> {
  if (!config.isDefault) return true;
  const { hasStore } = await import('../offline/open.ts');
  return hasStore(config);
}

/** Whether a server that serves this directory is there; a killed one has left its address. */
async function takes(server: ServerClient): Promise<boolean> {
  try {
    await server.ask((client) => client.pools());
    return true;
  } catch (error) {
    const { code } = error as { code?: unknown };
    const isOther = code === 'TOKEN_REQUIRED' || code === 'HOST_REFUSED' || isStranger(error);
    if (isOther || isNobodyThere(error)) return false;
    throw error;
  }
}

function notServed({ store: { data } }: Config, more: string): VanityError {
  const remedy = 'start one with: vanitypool serve, or name another with --url URL';
  const detail = `${data}: no server serves this data directory${more}; ${remedy}`;
  return new NotSent('SERVER_UNREACHABLE', detail);
}

function configuredUrl({ http: { host, port, tls } }: Config): string {
  if (host.startsWith('unix:')) return host;
  const scheme = tls === undefined ? 'http' : 'https';
  return reachable(`${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`);
}

/** All addresses of the machine have a loopback address among them. */
function reachable(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
}
