/**
 * What HTTP asks of a request (RFC 9110, RFC 9112) and Node.js's parser lets through: a version, one
 * host that is one, a target that names no other, a body in no coding but chunked. Whatever else reads
 * the request on its way here could read it in another way, so it is refused and its connection closed.
 * Runs in the HTTP threads, before the access rules.
 */
import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { VanityError } from '../errors.ts';
import type { App } from './app-deps.ts';

/** RFC 9110, section 7.2; an address in brackets is parsed separately. */
const HOST = /^(?:\[([^\]]+)\]|(?:[\w.~!$&'()*+,;=-]|%[\da-f]{2})+)(?::(\d{0,5}))?$/i;
const PORT_MAX = 65_535;
/** RFC 9112, section 3.2.2: as a client writes it to a proxy. */
const ABSOLUTE = /^https?:\/\/([^/?#]+)/i;
const DEFAULT_PORTS = /:(80|443)?$/;

/** Before the other hooks. */
export function checkProtocol(app: App): void {
  app.addHook('onRequest', (request, reply, done) => {
    const error = faultOf(request);
    if (error !== undefined) reply.header('connection', 'close');
    done(error);
  });
}

/** The target in the form that routes know; of one that is refused, anything. */
export function pathOf({ url = '' }: Pick<IncomingMessage, 'url'>): string {
  if (url.startsWith('/')) return url;
  const path = url.replace(ABSOLUTE, '');
  return path.startsWith('/') ? path : `/${path}`;
}

function faultOf({ raw, originalUrl }: FastifyRequest): VanityError | undefined {
  const { httpVersion, headers, method } = raw;
  if (httpVersion !== '1.1' && httpVersion !== '1.0') {
    return invalid('request line: allowed at its end: HTTP/1.1 or HTTP/1.0');
  }
  const { host } = headers;
  if (host === undefined) {
    if (httpVersion === '1.1') return invalid('host: is missing');
  } else if (areSeveral('host', raw.rawHeaders)) return invalid('host: allowed once');
  else if (!isHost(host)) return invalid('host: allowed: a name or an address, and a port');
  if (!originalUrl.startsWith('/') && !(originalUrl === '*' && method === 'OPTIONS')) {
    const authority = ABSOLUTE.exec(originalUrl)?.[1];
    if (authority === undefined) return invalid('request line: allowed: a path that begins with /');
    if (host !== undefined && !isSame(authority, host)) {
      return invalid('request line: names another host than the header host');
    }
  }
  if (originalUrl.includes('#')) return invalid('request line: allowed: a path without #');
  const encoding = headers['transfer-encoding'];
  if (encoding === undefined) return undefined;
  if (httpVersion === '1.0') return invalid('transfer-encoding: not allowed in HTTP/1.0');
  const codings = encoding.split(',').map((coding) => coding.trim().toLowerCase());
  if (codings.at(-1) !== 'chunked') return invalid('transfer-encoding: allowed: chunked');
  if (codings.length === 1) return undefined;
  return new VanityError('TRANSFER_ENCODING_UNSUPPORTED', 'transfer-encoding: allowed: chunked');
}

/** Node.js keeps the first alone, unseen. */
function areSeveral(name: string, rawHeaders: readonly string[]): boolean {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const other = rawHeaders[index]!;
    if (other.length === name.length && other.toLowerCase() === name) count++;
  }
  return count > 1;
}

function isHost(host: string): boolean {
  const [whole, literal, port = ''] = HOST.exec(host) ?? [];
  if (whole === undefined || Number(port) > PORT_MAX) return false;
  return literal === undefined || isIPv6(literal);
}

function isSame(authority: string, host: string): boolean {
  const [one, other] = [authority, host].map((text) =>
    text.toLowerCase().replace(DEFAULT_PORTS, ''),
  );
  return one === other;
}

function invalid(detail: string): VanityError {
  return new VanityError('REQUEST_INVALID', detail);
}
