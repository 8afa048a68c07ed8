/** Where the server listens, who may be served there, and what can be wrong with that. Any thread may use it. */
import type { Config } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import type { AuthRequired } from './access.ts';

/** A host and a port, or the path of a socket. */
export type ListenOn =
  | { readonly host: string; readonly port: number; readonly reusePort: boolean }
  | { readonly path: string };

/** The names by which requests may call the server without a token. */
const LOOPBACK = /^(localhost|127\.0\.0\.1|::1)$/;

/**
 * What `auth.required` means for the address that the server listens on: other machines, and clients
 * behind a proxy, need a token. Error: BIND_REFUSED, with the command to type, for an address that
 * others reach without TLS, or without tokens.
 */
export function requiredAuth(config: Pick<Config, 'role' | 'http' | 'auth'>): AuthRequired {
  const { role, http, auth } = config;
  const { host, tls, insecure, trustProxy } = http;
  const isLocal = host.startsWith('unix:') || LOOPBACK.test(host);
  if (role === 'grinder') return assertAlone(host, isLocal && trustProxy === false);
  if (isLocal && trustProxy === false) return auth.required;
  const command = `vanitypool serve --host ${host}`;
  if (auth.required === false) {
    const whom = isLocal ? 'a proxy brings requests of others' : 'other machines reach it';
    const detail = `${host}: ${whom}, so tokens are needed, but auth.required is false`;
    throw new VanityError('BIND_REFUSED', `${detail}: VANITYPOOL_AUTH__REQUIRED=true ${command}`);
  }
  if (!isLocal && tls === undefined && !insecure && trustProxy === false) {
    const env = 'VANITYPOOL_HTTP__';
    throw new VanityError(
      'BIND_REFUSED',
      `${host}: other machines reach it, and secrets would go there unencrypted: ` +
        `${env}TLS_CERT=cert.pem ${env}TLS_KEY=key.pem ${command}; ` +
        `behind a proxy that has TLS: ${env}TRUST_PROXY=true ${command}; ` +
        `in a network that nobody else can read: ${env}INSECURE=true ${command}; ` +
        'for this machine alone: vanitypool serve --host 127.0.0.1',
    );
  }
  return true;
}

/** A grinder can check no token but its own, of which nobody else knows. Error: BIND_REFUSED. */
function assertAlone(host: string, isLocal: boolean): true {
  if (isLocal) return true;
  const detail = 'a grinder node answers its own machine alone, and no proxy';
  throw new VanityError('BIND_REFUSED', `${host}: ${detail}: vanitypool serve --host 127.0.0.1`);
}

/** An error of listening, as what an operator can do about it: PORT_IN_USE or BIND_REFUSED. */
export function listenError(error: NodeJS.ErrnoException, on: ListenOn): VanityError {
  const at = 'path' in on ? `unix:${on.path}` : `${on.host}:${on.port}`;
  if (error.code === 'EADDRINUSE') {
    const detail = `${at}: in use; stop what listens there, or choose another with --port`;
    return new VanityError('PORT_IN_USE', detail, { cause: error });
  }
  return new VanityError('BIND_REFUSED', `${at}: ${error.message}`, { cause: error });
}
