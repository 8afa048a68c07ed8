/**
 * What requests may carry, the same for every route of version 1, one that is added later too: no query
 * parameter that it does not have, nor one twice, and no body that it does not take. Runs in the
 * HTTP threads, before the schemas, which refuse what is left.
 *
 * Bytes make a body, not headers: clients send a content type with a POST that has nothing to say.
 * Routes outside of version 1 ignore a query: probes and caches add what they like.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest, preValidationHookHandler, RouteOptions } from 'fastify';
import { VanityError } from '../errors.ts';
import type { App } from './app-deps.ts';
import { isTransitPath } from './transit.ts';

interface ObjectSchema {
  readonly type: 'object';
  readonly required?: readonly string[];
  readonly minProperties?: number;
  readonly properties?: Readonly<Record<string, { readonly type?: unknown }>>;
}

const STRICT = /^\/v1\//;
const NOTHING = { type: 'object', additionalProperties: false, properties: {} } as const;
/** Of a route that takes none. */
export const NO_BODY: ObjectSchema = NOTHING;
const NO_QUERY: ObjectSchema = NOTHING;
const WITH_BODY = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
const ANY_TYPE = 'application/octet-stream';
/** RFC 9110, section 8.3.1; Fastify refuses another before it reads a byte. */
const READABLE = /^\s*[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(;|$)/;
/** As many digits as the greatest whole number has that is exact. */
const WHOLE = /^\d{1,16}$/;

/** Before the routes. */
export function checkInputs(app: App): void {
  app.removeContentTypeParser('text/plain');
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) done(null, undefined);
    else void parse(request, body as string, done);
  });
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length === 0 || request.is404) return done(null, undefined);
    const detail = isCoded(request.headers)
      ? 'content-encoding: allowed for a body: none'
      : 'content-type: allowed for a body: application/json';
    done(new VanityError('MEDIA_TYPE_UNSUPPORTED', detail));
  });
  app.addHook('onRequest', (request, reply, done) => {
    const { headers, is404 } = request;
    const { 'content-length': length = '0', 'transfer-encoding': encoding } = headers;
    // A client of a transit engine may leave it out.
    const hasBody = length !== '0' || encoding !== undefined;
    if (hasBody && isTransitPath(request.url)) headers['content-type'] ??= 'application/json';
    const isUnread =
      is404 || isCoded(headers) || !READABLE.test(headers['content-type'] ?? ANY_TYPE);
    if (isCoded(headers)) reply.header('accept-encoding', 'identity');
    // No byte will come, whatever the content type says, even if it cannot be parsed.
    if (!is404 && length === '0' && encoding === undefined) delete headers['content-type'];
    // Whether one comes is not known yet: it is read as of a type that is refused if one does.
    else if (isUnread) headers['content-type'] = ANY_TYPE;
    done();
  });
  app.addHook('onRoute', (route) => {
    if (STRICT.test(route.url)) checkInputsOf(route);
  });
}

/** In a way that is not decoded here. */
function isCoded({ 'content-encoding': coding }: IncomingHttpHeaders): boolean {
  return coding !== undefined && coding.toLowerCase() !== 'identity';
}

/** Whether a request may come without it. */
export function isOptional(body: unknown): boolean {
  const { required, minProperties } = body as ObjectSchema;
  return required === undefined && minProperties === undefined;
}

function checkInputsOf(route: RouteOptions): void {
  const { querystring = NO_QUERY, ...schema } = route.schema ?? {};
  const takesBody = [route.method].flat().some((method) => WITH_BODY.has(method));
  const body = schema.body ?? (takesBody ? NO_BODY : undefined);
  route.schema = { ...schema, querystring, ...(body !== undefined && { body }) };
  const steps: preValidationHookHandler[] = [];
  const numbers = numbersOf(querystring as ObjectSchema);
  if (numbers.length > 0) steps.push(readNumbers(numbers));
  if (body !== undefined && isOptional(body)) steps.push(takeNoneForEmpty);
  if (steps.length > 0) route.preValidation = [...steps, ...[route.preValidation ?? []].flat()];
}

/** The body of a request that has none, or `null`, as some clients write it. */
const takeNoneForEmpty: preValidationHookHandler = (request, _, done) => {
  request.body ??= {};
  done();
};

function numbersOf({ properties = {} }: ObjectSchema): string[] {
  return Object.keys(properties).filter((name) => properties[name]?.type === 'integer');
}

/** All of a query is text. What is no whole number stays that, and is refused. */
function readNumbers(names: readonly string[]): preValidationHookHandler {
  return (request: FastifyRequest, _, done) => {
    const query = request.query as Record<string, unknown>;
    for (const name of names) {
      const value = query[name];
      if (typeof value === 'string' && WHOLE.test(value)) query[name] = Number(value);
    }
    done();
  };
}
