/**
 * The OpenAPI document: what the routes say of themselves, and what is the same for all. Runs in the
 * HTTP threads, once, at the start. What is the same for all is added to the document and not to the
 * routes: a response schema for each error of each route would be compiled at every start.
 *
 * A route says in its `config` what scope it takes and which errors are its own; those that any
 * request can meet, and what follows from scope and method, are added here.
 */
import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { ERRORS, type ErrorCode, type HttpErrorCode } from '../errors.ts';
import type { Scope } from '../token.ts';
import type { App } from './app-deps.ts';
import { isOptional, NO_BODY } from './inputs.ts';

interface RouteFacts {
  readonly scope?: Scope | undefined;
  readonly errors?: readonly HttpErrorCode[] | undefined;
  readonly isTransit?: boolean | undefined;
  /** Its schema; undefined for none. */
  readonly body: unknown;
}

/** As far as it is touched here. */
interface Operation {
  description?: string;
  security?: object[];
  responses: Record<string, { description?: string; headers?: object; content?: object }>;
  requestBody?: { required: boolean };
  'x-scope'?: Scope;
}

/** Of any request. */
const COMMON: readonly HttpErrorCode[] = [
  'REQUEST_INVALID',
  'HOST_REFUSED',
  'FOREIGN_REQUEST',
  'REQUEST_TIMEOUT',
  'RATE_LIMITED',
  'HEADERS_TOO_LARGE',
  'TRANSFER_ENCODING_UNSUPPORTED',
  'INTERNAL',
  'OVERLOADED',
];
const OF_SCOPE: readonly HttpErrorCode[] = ['TOKEN_REQUIRED', 'SCOPE_REQUIRED'];
/** Of methods that carry a body; a route that wants none refuses one that cannot be read, too. */
const OF_BODY: readonly HttpErrorCode[] = [
  'BODY_INVALID',
  'BODY_TOO_LARGE',
  'MEDIA_TYPE_UNSUPPORTED',
];
/** Of what is no route. */
const OF_NONE: Readonly<Record<string, HttpErrorCode>> = {
  RouteNotFound: 'ROUTE_NOT_FOUND',
  MethodNotAllowed: 'METHOD_NOT_ALLOWED',
};

const TAGS = [
  { name: 'pools', description: 'Take addresses; list, create and change pools.' },
  { name: 'reservations', description: 'Hold an address, and decide later.' },
  { name: 'signatures', description: 'Sign with addresses whose secrets never leave.' },
  { name: 'transit', description: 'The same for clients of a Vault transit engine.' },
  { name: 'tokens', description: 'Who may ask for what.' },
  { name: 'keys', description: 'The key that all secrets are sealed to.' },
  { name: 'imports', description: 'Import keypairs that were found elsewhere.' },
  { name: 'audit', description: 'What became of addresses.' },
  { name: 'backups', description: 'The store as a file.' },
  { name: 'service', description: 'Health and status of the server.' },
];

const DESCRIPTION = `Vanity addresses of Solana, ground ahead of time, each handed out once.

Times are RFC 3339 in UTC, ids whole numbers below 2^53. Errors are RFC 9457 problem documents: test
their \`code\`, which never changes. Operations of the tag \`transit\` have the errors of that engine instead, which begin
with the code. Each response lists its possible codes as \`x-codes\`.

Paths and methods that are not listed here get 404 \`ROUTE_NOT_FOUND\` and 405 \`METHOD_NOT_ALLOWED\`. Keys of
a body and query parameters that are not listed get 400, and so does a parameter that is given twice;
operations of the tag \`service\` except \`/v1/events\` ignore a query.

On a loopback address no token is required until the first one is created, except by routes of the scope \`admin\`.`;

/** Before the routes. */
export async function documentRoutes(app: App, version: string): Promise<void> {
  const facts = new Map<string, RouteFacts>();
  app.addHook('onRoute', ({ url, method, config, schema }) => {
    const path = url.replace(/:(\w+)/g, '{$1}');
    const { scope, errors, isTransit } = config ?? {};
    for (const name of [method].flat()) {
      facts.set(`${name.toLowerCase()} ${path}`, { scope, errors, isTransit, body: schema?.body });
    }
  });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'vanitypool',
        version,
        description: DESCRIPTION,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: serversAt('/'),
      tags: TAGS,
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            description: 'A token, `vp_...`, with the scope that the operation names in `x-scope`.',
          },
          vaultToken: {
            type: 'apiKey',
            in: 'header',
            name: 'X-Vault-Token',
            description: 'The same, for operations of the tag `transit`; not both at once.',
          },
        },
      },
    },
    transformObject: (made) => {
      const document = (made as { openapiObject: object }).openapiObject;
      complete(document as OpenApi, facts);
      return document as ReturnType<NonNullable<FastifyDynamicSwaggerOptions['transformObject']>>;
    },
  });
}

/** For a client that sees the server's paths behind a prefix, which may be empty. */
export function documentAt<D extends object>(pathPrefix: string, document: D): D {
  return pathPrefix === '' ? document : { ...document, servers: serversAt(pathPrefix) };
}

function serversAt(url: string) {
  return [{ url, description: 'Where this document comes from.' }];
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { schemas: object; responses?: object };
}

function complete({ paths, components }: OpenApi, facts: ReadonlyMap<string, RouteFacts>): void {
  components.schemas = { ...components.schemas, Problem: PROBLEM, TransitErrors: TRANSIT_ERRORS };
  components.responses = Object.fromEntries(
    Object.entries(OF_NONE).map(([name, code]) => [name, problemResponse([code])]),
  );
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      completeOperation(operation, method, facts.get(`${method} ${path}`)!);
    }
  }
}

function completeOperation(
  operation: Operation,
  method: string,
  { scope, errors = [], isTransit = false, body }: RouteFacts,
): void {
  if (body === NO_BODY) delete operation.requestBody;
  else if (body !== undefined) operation.requestBody!.required = !isOptional(body);
  const codes = new Set([...errors, ...COMMON, ...(method === 'get' ? [] : OF_BODY)]);
  // Of a store of many nodes: each call of it may see that.
  if (codes.has('STORE_UNAVAILABLE')) codes.add('STORE_REWOUND');
  if (scope === undefined) operation.security = [];
  else {
    for (const code of OF_SCOPE) codes.add(code);
    operation.security = [
      { token: [] },
      ...(isTransit ? [{ vaultToken: [] }] : []),
      ...(scope === 'admin' ? [] : [{}]),
    ];
    operation['x-scope'] = scope;
    operation.description = `${operation.description ?? ''}\n\nScope: \`${scope}\`.`.trimStart();
  }
  for (const [status, response] of Object.entries(operation.responses)) {
    if (response.description === 'Default Response') {
      response.description = status === '201' ? 'It is made.' : 'It is done.';
    }
  }
  const byStatus = Map.groupBy(codes, (code) => ERRORS[code].status);
  for (const [status, list] of byStatus) {
    operation.responses[status] = isTransit ? transitResponse(list) : problemResponse(list);
  }
}

/**
 * One for all errors of a status. The codes stand beside the schema, not in it: generators of clients
 * make a class of each schema, and some leave out a response whose schema is put together of parts.
 */
function problemResponse(codes: readonly HttpErrorCode[]) {
  const schema = { $ref: '#/components/schemas/Problem' };
  const content = { 'application/problem+json': { schema, example: exampleOf(codes[0]!) } };
  return { ...errorResponse(codes), content };
}

/** What a request can be refused with before its path is known (connection-refusals.ts). */
const BEFORE_PATH: readonly HttpErrorCode[] = [
  'REQUEST_INVALID',
  'HEADERS_TOO_LARGE',
  'REQUEST_TIMEOUT',
];

/** As `sendErrors` sends it. */
function transitResponse(codes: readonly HttpErrorCode[]) {
  const schema = { $ref: '#/components/schemas/TransitErrors' };
  const example = { errors: [`${codes[0]!}: ${exampleOf(codes[0]!).detail}`] };
  const content = { 'application/json': { schema, example } };
  // What cannot be read as a request has no path by which it would be one of these.
  const unread = codes.filter((code) => BEFORE_PATH.includes(code));
  if (unread.length === 0) return { ...errorResponse(codes), content };
  const problem = problemResponse(unread).content;
  return { ...errorResponse(codes), content: { ...content, ...problem } };
}

function errorResponse(codes: readonly HttpErrorCode[]) {
  const lines = codes.map((code) => `- \`${code}\`: ${ERRORS[code].title}.`);
  return { description: lines.join('\n'), headers: problemHeaders(codes), 'x-codes': codes };
}

function problemHeaders(codes: readonly ErrorCode[]) {
  const { status } = ERRORS[codes[0]!];
  // A timeout comes before there is a request to answer.
  const passes = status !== 408 && codes.some((code) => ERRORS[code].retryable);
  return {
    'Cache-Control': header('Never to be kept.', { type: 'string', const: 'no-store' }, 'no-store'),
    ...(passes && {
      'Retry-After': header(
        'Seconds after which asking again can help, where that is so.',
        { type: 'integer', minimum: 1 },
        1,
      ),
    }),
    ...(status === 401 && {
      'WWW-Authenticate': header(
        'How to say who asks.',
        { type: 'string', const: 'Bearer' },
        'Bearer',
      ),
    }),
    ...(status === 405 && {
      Allow: header('The methods that the route takes.', { type: 'string' }, 'GET, HEAD'),
    }),
  };
}

function header(description: string, schema: object, example: unknown) {
  return { description, schema, example };
}

function exampleOf(code: HttpErrorCode) {
  const { status, title } = ERRORS[code];
  const type = `urn:vanitypool:error:${code}`;
  return { type, title, status, code, detail: 'names the thing and what is allowed' };
}

const TRANSIT_ERRORS = {
  type: 'object',
  description: 'An error as a Vault transit engine has it.',
  required: ['errors'],
  properties: {
    errors: {
      type: 'array',
      items: { type: 'string' },
      description: 'One: the code, a colon, and what is allowed, for people.',
      examples: [['ADDRESS_NOT_FOUND: names the thing and what is allowed']],
    },
  },
};

/** The codes of a status are listed at each response, as `x-codes`. */
const PROBLEM = {
  type: 'object',
  description: 'RFC 9457 problem document.',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: {
      type: 'string',
      description: 'The code as a URN.',
      examples: ['urn:vanitypool:error:POOL_EMPTY'],
    },
    title: {
      type: 'string',
      description: 'What the code means, for people.',
      examples: [ERRORS.POOL_EMPTY.title],
    },
    status: { type: 'integer', description: 'The HTTP status.', examples: [503] },
    code: { type: 'string', description: 'Stable: test for this one.', examples: ['POOL_EMPTY'] },
    detail: {
      type: 'string',
      description: 'Names the thing and what is allowed, for people.',
      examples: ['pool pet: 4 asked for, 3 left; one more is expected in about 12 s'],
    },
  },
};
