/**
 * Requests that nobody means well, made from the OpenAPI document: any operation, with parameters,
 * headers and bodies that are right, nearly right, or made to do harm. As arbitraries of fast-check, so
 * that a failure is shown as the smallest request that brings it about.
 */
import fc from 'fast-check';
import type { Parameter, Schema, Told } from './documented.ts';

/** Stands for the latest that the server itself gave: a test puts it in. */
export const LIVE = '~live~';

export interface HostileRequest {
  /** Of the operation: `post /v1/pools`. */
  readonly name: string;
  readonly path: string;
  /** Without those that belong to the connection. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

const NAMES = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then', ''];
const TEXTS = [
  ...NAMES,
  ...['.', '..', '%2e%2e', '%2F', '..%2f..%2fetc', '%00', '%zz', '%', '%C0%AF', '%ED%A0%80'],
  ...['NaN', 'Infinity', '-1', '1e400', '9007199254740993', '0x10', 'null', 'undefined'],
  ...["' OR 1=1 --", '<script>', '\u202e', '\u0000', '\ud83d\udca5', 'é', 'ß'.repeat(99)],
  ...['a'.repeat(300), 'a'.repeat(9000), '1'.repeat(44), 'pet', 'PET', 'pet ', 'x'],
];
const text = fc.oneof(fc.constantFrom(...TEXTS), fc.string({ unit: 'binary', maxLength: 60 }));

const deep = (open: string, close: string, depth: number) =>
  `${open.repeat(depth)}1${close.repeat(depth)}`;
const JSONS = [
  ...['null', 'true', '0', '-0', '-1', '1.5', '1e3', '1e400', '-1e400', '9007199254740993'],
  ...['NaN', 'Infinity', '01', '+1', '"1"', '"NaN"', '[]', '{}', '[1]', '""', '"\\u0000"'],
  ...['"\\ud800"', '{"__proto__":{"count":1}}', '{"constructor":{"prototype":{"x":1}}}'],
  ...['{"a":1,"a":2}', '{"toJSON":1}', `"${'x'.repeat(9000)}"`, '1'.repeat(400)],
  ...['[1,2', '{"a"', "'x'", '/**/1', '\ufeff1', deep('[', ']', 4000), deep('{"a":', '}', 3000)],
];
const json = fc.oneof(
  fc.constantFrom(...JSONS),
  fc.json({ depthSize: 'small' }),
  text.map((value) => JSON.stringify(value)),
);

const often = <T>(likely: fc.Arbitrary<T>, ...others: fc.Arbitrary<T>[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 4, arbitrary: likely }, ...others);

/** Of a field: what the document shows. */
const shown = (schema: Schema): string[] =>
  schema.examples?.map((example) => JSON.stringify(example)) ?? ['{}'];

/** Members in any order, some missing, some twice, some that nobody knows. */
function objectText({ properties = {} }: Schema): fc.Arbitrary<string> {
  const members = Object.entries(properties).map(([key, property]) =>
    often(fc.constantFrom(...shown(property)), json).map((value) => [key, value] as const),
  );
  const foreign = fc.tuple(fc.oneof(fc.constantFrom(...NAMES), fc.string()), json);
  const member = members.length === 0 ? foreign : fc.oneof(...members);
  return often(
    fc.subarray(members).chain((some) => fc.tuple(...some)),
    fc.array(often<readonly [string, string]>(member, foreign), { maxLength: 6 }),
  ).map((pairs) => `{${pairs.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`);
}

const TYPES = [
  ...['text/plain', 'application/json; charset=utf-16', 'multipart/form-data', 'application/jsonx'],
  ...[
    'application/json, application/json',
    ';',
    '',
    'application/JSON',
    'application/json;charset',
  ],
];

interface Body {
  readonly type: string | undefined;
  readonly bytes: Buffer;
}

function bodyOf(schema: Schema | undefined): fc.Arbitrary<Body> {
  const asJson = (bytes: Buffer): Body => ({ type: 'application/json', bytes });
  const none = fc.constant<Body>({ type: undefined, bytes: Buffer.alloc(0) });
  const right =
    schema === undefined ? none : objectText(schema).map((it) => asJson(Buffer.from(it)));
  const foreign = fc
    .tuple(fc.constantFrom(...TYPES), json)
    .map(([type, value]) => ({ type, bytes: Buffer.from(value) }));
  return fc.oneof(
    { weight: 6, arbitrary: right },
    none,
    json.map((value) => asJson(Buffer.from(value))),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => asJson(Buffer.from(bytes))),
    fc.constantFrom(17_000, 140_000).map((size) => asJson(Buffer.alloc(size, ' '))),
    foreign,
  );
}

/** Nothing that would end the line, or begin another part of it. */
const inPath = (value: string) => value.replace(/[\s/?#\u0000-\u001f\u007f]/gu, '_');
const encoded = (value: string) => encodeURIComponent(value.toWellFormed());

function parameterText({ schema, example }: Parameter): fc.Arbitrary<string> {
  const shown = [example, schema.default, ...(schema.enum ?? [])];
  const examples = shown.filter((value) => value !== undefined).map(String);
  return often(
    fc.constantFrom(LIVE, ...examples),
    text.map(encoded),
    text.map(inPath).filter((value) => value !== ''),
  );
}

const HEADERS: readonly (readonly [string, string])[] = [
  ['accept', 'application/xml'],
  ['accept-encoding', 'br;q=9, gzip'],
  ['content-encoding', 'gzip'],
  ['expect', '100-continue'],
  ['expect', 'a miracle'],
  ['upgrade', 'h2c'],
  ['x-http-method-override', 'DELETE'],
  ['range', 'bytes=0-1'],
  ['if-none-match', '*'],
  ['if-modified-since', 'Thu, 01 Jan 2099 00:00:00 GMT'],
  ['cookie', 'a='.repeat(500)],
  ['origin', 'null'],
  ['x-forwarded-for', '::1'],
  ['host', 'example.com'],
  ['access-control-request-method', 'POST'],
  ['__proto__', 'x'],
  ['constructor', 'x'],
  ['max-forwards', '0'],
  ['traceparent', '00-zz'],
];
const headerText = text.map((value) => value.replace(/[\r\n\0]/g, ' '));
const strange = fc.oneof(
  fc.array(fc.constantFrom(...HEADERS), { maxLength: 3 }),
  headerText.map((value) => [['idempotency-key', value] as const]),
  fc.constantFrom('order-4711', 'order-4712').map((key) => [['idempotency-key', key] as const]),
  headerText.map((value) => [['authorization', `Bearer ${value}`] as const]),
  fc
    .nat({ max: 300 })
    .map((count) => Array.from({ length: count }, (_, n) => [`x-${n}`, 'y'] as const)),
);

/** Any of these operations, asked for in any way. */
export function hostileRequest(all: readonly Told[]): fc.Arbitrary<HostileRequest> {
  return fc.constantFrom(...all).chain((told) => {
    const parameters = told.operation.parameters ?? [];
    const named = (where: Parameter['in']) => parameters.filter((one) => one.in === where);
    const inQuery = named('query').map((one) =>
      parameterText(one).map((value) => `${one.name}=${value}`),
    );
    const foreign = text.map((value) => `${encoded(value)}=${encoded(value)}`);
    const query = fc.array(inQuery.length === 0 ? foreign : often(fc.oneof(...inQuery), foreign), {
      maxLength: inQuery.length === 0 ? 1 : 4,
    });
    const body = told.operation.requestBody?.content?.['application/json']?.schema;
    return fc
      .record({
        values: fc.tuple(...named('path').map(parameterText)),
        query,
        strange: often<readonly (readonly [string, string])[]>(fc.constant([]), strange),
        body: told.method === 'get' ? bodyOf(undefined) : bodyOf(body),
      })
      .map(({ values, query, strange, body: { type, bytes } }) => {
        const rest = [...values];
        const path = told.path.replace(/\{\w+\}/g, () => rest.shift()!);
        const search = query.length === 0 ? '' : `?${query.join('&')}`;
        const headers =
          type === undefined ? strange : [...strange, ['content-type', type] as const];
        return { name: told.name, path: path + search, headers, body: bytes };
      });
  });
}
