/**
 * The OpenAPI document as generators of clients and the page at `/docs` read it: each schema has a type,
 * errors are of one shape, and nothing that a form is filled with does more than a plain request.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MESSAGE_BYTES_MAX } from '../../src/keypair/transaction-sizes.ts';
import { contentOf, documentOf, operationsOf, type Schema } from '../support/documented.ts';
import { testApp } from '../support/http-app.ts';

const { app } = await testApp();
const document = await documentOf(app);
const operations = operationsOf(document);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** A reference has the type of what it names. */
const UNTYPED = ['$ref'];
/** Schemas that stand in a schema: by name, in a list, or alone. */
const NAMED = ['properties', 'patternProperties', '$defs', 'dependentSchemas'];
const LISTED = ['anyOf', 'oneOf', 'allOf', 'prefixItems'];
const ALONE = ['items', 'not', 'if', 'then', 'else', 'contains', 'additionalProperties'];

function* nestedIn(schema: Record<string, unknown>, at: string): Generator<[string, unknown]> {
  for (const key of NAMED)
    for (const [name, one] of Object.entries(schema[key] ?? {}))
      yield [`${at}/${key}/${name}`, one];
  for (const key of LISTED)
    for (const [index, one] of ((schema[key] as unknown[]) ?? []).entries())
      yield [`${at}/${key}/${index}`, one];
  for (const key of ALONE) if (isObject(schema[key])) yield [`${at}/${key}`, schema[key]];
}

function* withNested(schema: unknown, at: string): Generator<[string, Record<string, unknown>]> {
  assert.ok(isObject(schema), `${at}: no schema`);
  yield [at, schema];
  for (const [place, one] of nestedIn(schema, at)) yield* withNested(one, place);
}

/** Every schema of the document, wherever it stands: what `schema` names, and the components. */
function* schemasOf(node: unknown, at: string): Generator<[string, Record<string, unknown>]> {
  if (Array.isArray(node)) {
    for (const [index, child] of node.entries()) yield* schemasOf(child, `${at}/${index}`);
  }
  if (!isObject(node)) return;
  for (const [key, child] of Object.entries(node)) {
    const place = `${at}/${key}`;
    if (key === 'schema') yield* withNested(child, place);
    else if (place === '/components/schemas')
      for (const [name, one] of Object.entries(child as object))
        yield* withNested(one, `${place}/${name}`);
    else if (key !== 'example' && key !== 'examples') yield* schemasOf(child, place);
  }
}

test('every schema has its type, those of headers too', () => {
  const all = [...schemasOf(document, '')];
  assert.ok(all.length > 800, `only ${all.length} schemas were found`);
  const headers = all.filter(([at]) => at.includes('/headers/'));
  assert.ok(headers.length > 250, `only ${headers.length} of headers`);
  const untyped = all.filter(
    ([, schema]) => schema.type === undefined && !UNTYPED.some((key) => key in schema),
  );
  assert.deepEqual(
    untyped.map(([at]) => at),
    [],
  );
});

test('every error is one of two shapes, by its status, with its codes beside it', () => {
  for (const { name, operation } of operations) {
    for (const [status, response] of Object.entries(operation.responses)) {
      assert.match(status, /^[2-5]\d\d$/, `${name}: ${status} is no single status`);
      if (status < '400') continue;
      const isTransit = operation.tags.includes('transit');
      const type = isTransit ? 'application/json' : 'application/problem+json';
      const { schema } = contentOf(response, type)!;
      const shape = isTransit ? 'TransitErrors' : 'Problem';
      assert.deepEqual(schema, { $ref: `#/components/schemas/${shape}` }, name);
      assert.ok((response['x-codes'] ?? []).length > 0, `${name}: ${status}`);
    }
  }
});

const parameterOf = (id: string, name: string) =>
  operations
    .find(({ operation }) => operation.operationId === id)
    ?.operation.parameters?.find((one) => one.name === name);
const bodyOf = (id: string): Schema & Record<string, unknown> => {
  const found = operations.find(({ operation }) => operation.operationId === id)!;
  return contentOf(found.operation.requestBody!)!.schema as Schema & Record<string, unknown>;
};

test('a wrong number, length or form is named as that', () => {
  for (const [name, minimum, maximum] of [
    ['after', 0, Number.MAX_SAFE_INTEGER],
    ['limit', 1, 1000],
  ] as const) {
    const { type, ...range } = parameterOf('listAudit', name)!.schema as Record<string, unknown>;
    assert.deepEqual([type, range.minimum, range.maximum], ['integer', minimum, maximum]);
  }
  for (const id of ['dispense', 'reserve']) {
    const key = parameterOf(id, 'idempotency-key')!.schema as Record<string, unknown>;
    assert.deepEqual([key.type, key.minLength, key.maxLength], ['string', 1, 255]);
    const allowed = new RegExp(String(key.pattern));
    assert.ok(allowed.test('order 4711 ~!') && !allowed.test('é') && !allowed.test('a\tb'));
  }
  const { message } = bodyOf('sign').properties!;
  const base64 = new RegExp(message!.pattern!);
  const largest = Buffer.alloc(MESSAGE_BYTES_MAX).toString('base64');
  assert.equal((message as { maxLength?: number }).maxLength, largest.length);
  for (const size of [1, 2, 3, 32, 4032]) {
    assert.ok(base64.test(Buffer.alloc(size, 251).toString('base64')), String(size));
  }
  for (const text of ['A', 'AA', 'AAA', 'A===', 'AA=A', 'AQA_', 'AQAB\n', ' AQAB', 'AQAB=']) {
    assert.ok(!base64.test(text), text);
  }
  const kinds = bodyOf('createPool').anyOf as { required: string[] }[];
  assert.deepEqual(
    kinds.map(({ required }) => required),
    [
      ['name', 'suffix'],
      ['name', 'prefix'],
    ],
  );
});

test('a form is not filled with anything that does more than a plain request', () => {
  for (const { name, operation } of operations) {
    for (const parameter of operation.parameters ?? []) {
      const { example, schema } = parameter;
      const at = `${name}: ${parameter.name}`;
      assert.deepEqual((parameter as { examples?: unknown }).examples, undefined, at);
      assert.deepEqual(schema.examples, undefined, at);
      // The pool that is there by itself: a form has to name one.
      const isPool = parameter.in === 'path' && parameter.name === 'pool';
      assert.equal(example, isPool ? 'pet' : undefined, at);
    }
    const { requestBody } = operation;
    if (requestBody === undefined) continue;
    const { example } = contentOf(requestBody)!;
    if (requestBody.required === false) assert.deepEqual(example, {}, name);
  }
  const burn = bodyOf('deletePool').properties!.burn!;
  assert.deepEqual([burn.examples, burn.default], [undefined, undefined], 'said, not filled in');
});
