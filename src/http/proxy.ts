/**
 * What a proxy says of a request that it brings, with `http.trust_proxy`: whose it is (`X-Forwarded-For`)
 * and under which path clients see this server (`X-Forwarded-Prefix`). Runs in the HTTP threads,
 * before the access rules. Fastify decides whom to believe, by the address of the connection.
 */
import type { FastifyRequest } from 'fastify';
import { VanityError } from '../errors.ts';
import type { App } from './app-deps.ts';

const FORWARDED_FOR = 'x-forwarded-for';
const FORWARDED_PREFIX = 'x-forwarded-prefix';
const PREFIX = /^(\/[A-Za-z0-9._~-]+)+$/;
/** `203.0.113.7:4711`, `[2001:db8::1]:4711` or `[2001:db8::1]`. */
const WITH_PORT = /^(?:([\d.]+):\d+|\[([^\]]+)\](?::\d+)?)$/;

declare module 'fastify' {
  interface FastifyRequest {
    /** What stands before every path of this server where its client sees it: `/some/path`, or nothing. */
    pathPrefix: string;
  }
}

/** Before hooks and routes that ask for the client's address or for the prefix. */
export function believeProxies(app: App): void {
  app.addHook('onRequest', (request, _, done) => {
    const { headers } = request.raw;
    const addresses = headers[FORWARDED_FOR];
    if (typeof addresses === 'string') {
      headers[FORWARDED_FOR] = addresses.split(',').map(withoutPort).join();
    }
    const prefix = headers[FORWARDED_PREFIX];
    if (prefix === undefined || !isBelieved(request)) return done();
    if (typeof prefix === 'string' && PREFIX.test(prefix)) {
      request.pathPrefix = prefix;
      return done();
    }
    const allowed = 'parts of letters, digits, ".", "_", "~" and "-", each after a /';
    done(new VanityError('REQUEST_INVALID', `${FORWARDED_PREFIX}: allowed: ${allowed}`));
  });
  app.addHook('onSend', (request, reply, _, done) => {
    const location = reply.getHeader('location');
    if (request.pathPrefix !== '' && typeof location === 'string' && location.startsWith('/')) {
      reply.header('location', request.pathPrefix + location);
    }
    done();
  });
}

/** Whether the client's address comes from a proxy's header, and not from the connection. */
function isBelieved({ ips = [] }: FastifyRequest): boolean {
  return ips.length > 1;
}

function withoutPort(address: string): string {
  const bare = address.trim();
  const [, v4, v6] = WITH_PORT.exec(bare) ?? [];
  return v4 ?? v6 ?? bare;
}
