/**
 * Requests to a server as bytes on a connection of their own, and its replies as the bytes that
 * came: all that it serves, and every kind of error that a client can bring about.
 */
import { connect } from 'node:net';

export interface Exchange {
  /** The first line of the request. */
  readonly name: string;
  readonly status: number;
  /** Head and body of the reply. */
  readonly reply: Buffer;
}

/** Routes, methods, headers and bodies with the status that each must have. */
interface Ask {
  readonly expect: number;
  readonly line: string;
  readonly headers?: readonly string[];
  readonly body?: string;
}

const JSON_BODY = 'content-type: application/json';
const DISPENSE = 'POST /v1/pools/pet/dispense';

/** What anybody may look at. */
const LOOKS: readonly Ask[] = [
  ...['/v1/pools', '/v1/pools/pet', '/healthz', '/readyz', '/metrics', '/openapi.json'],
  ...['/docs', '/docs/json', '/docs/', '/api/v1/pet/status'],
  ...['/health', '/health/detailed'],
].map((path) => ({ expect: 200, line: `GET ${path}` }));

/** None of these hands anything out. `rare` is a pool without an address. */
const ERRORS: readonly Ask[] = [
  ...['{', '[]', '"1"', '{"count":0}', '{"count":1001}', '{"count":"1"}', '{"cuont":1}'].map(
    (body) => ({ expect: 400, line: DISPENSE, headers: [JSON_BODY], body }),
  ),
  { expect: 400, line: DISPENSE, headers: [`idempotency-key: ${'x'.repeat(256)}`] },
  { expect: 400, line: 'POST /v1/pools/%zz/dispense' },
  { expect: 400, line: 'nonsense' },
  ...[
    ...['origin: https://example.com', 'referer: https://example.com/', 'via: 1.1 proxy'],
    ...['sec-fetch-site: cross-site', 'sec-purpose: prefetch', 'forwarded: for=192.0.2.1'],
    ...['x-forwarded-for: 192.0.2.1', 'host: example.com'],
  ].map((header) => ({ expect: 403, line: DISPENSE, headers: [header] })),
  { expect: 403, line: 'GET /api/v1/pet/address', headers: ['origin: null'] },
  { expect: 404, line: 'POST /v1/pools/none/dispense' },
  { expect: 404, line: 'GET /v1/pools/pet/dispense/1' },
  { expect: 404, line: 'GET /api/v1/pet/none' },
  ...['GET', 'PUT', 'DELETE'].map((method) => ({
    expect: 405,
    line: `${method} /v1/pools/pet/dispense`,
  })),
  { expect: 405, line: 'HEAD /api/v1/pet/address' },
  { expect: 405, line: 'POST /api/v1/pet/address' },
  { expect: 413, line: DISPENSE, headers: [JSON_BODY], body: ' '.repeat(20_000) },
  { expect: 415, line: DISPENSE, headers: ['content-type: text/plain'], body: '1' },
  { expect: 431, line: DISPENSE, headers: [`x-large: ${'x'.repeat(20_000)}`] },
  { expect: 503, line: 'POST /v1/pools/rare/dispense' },
];

/** Asks for everything but addresses, one after the other; throws at a status that is not due. */
export async function exchangeAll(url: string): Promise<Exchange[]> {
  const exchanges: Exchange[] = [];
  for (const ask of [...LOOKS, ...ERRORS]) {
    const exchange = await exchangeOne(url, ask);
    if (exchange.status !== ask.expect) {
      throw new Error(`${ask.line}: ${exchange.status} instead of ${ask.expect}`);
    }
    exchanges.push(exchange);
  }
  return exchanges;
}

/** One request, `GET /path` as its line; the reply until the server closes the connection. */
export async function exchangeOne(
  url: string,
  { line, headers = [], body = '' }: Pick<Ask, 'line' | 'headers' | 'body'>,
): Promise<Exchange> {
  const { hostname, port } = new URL(url);
  const hasHost = headers.some((header) => header.startsWith('host:'));
  const head = [
    `${line} HTTP/1.1`,
    ...(hasHost ? [] : [`host: ${hostname}:${port}`]),
    ...headers,
    ...(body === '' ? [] : [`content-length: ${Buffer.byteLength(body)}`]),
    'connection: close',
  ];
  const socket = connect(Number(port), hostname);
  // Not ended: a client that closes its side has left, and gets no answer that takes time.
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  const chunks: Buffer[] = [];
  const closed = Promise.withResolvers<void>();
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A server that does not read a body to its end resets the connection after its reply.
  socket.on('error', () => undefined).on('close', () => closed.resolve());
  await closed.promise;
  const reply = Buffer.concat(chunks);
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(reply.toString('latin1', 0, 16))?.[1]);
  return { name: line, status, reply };
}
