/**
 * The OpenAPI document is checked against the routes, the table of errors and docs/http-api.md: what is
 * served is documented, what is documented is served, every field has a description and an example.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import {
  contentOf,
  documentOf,
  type Operation,
  operationsOf,
  type Schema,
  validatorOf,
} from '../support/documented.ts';
import { testApp } from '../support/http-app.ts';

const { app } = await testApp();
const routes = app.printRoutes({ commonPrefix: false, includeHooks: false });
const document = await documentOf(app);
const operations = operationsOf(document);
const validate = validatorOf(document);

/** Documented elsewhere: the pages, and the ancestor's routes. HEAD follows from GET. */
const UNTOLD =
  /^\/$|^\/d(ocs|ashboard)($|\/)|^\/openapi\.json$|^\/api\/v1\/|^\/health(\/|$)|^\/swagger-ui$|^\*$/;

/** Paths with their methods, of the tree that Fastify prints. */
function routesOf(tree: string): string[] {
  const found: string[] = [];
  const parents: string[] = [];
  for (const line of tree.split('\n')) {
    const match = /^((?:│ {3}| {4})*)(?:├── |└── )(\S+)(?: \((.+)\))?/.exec(line);
    if (match === null) continue;
    const depth = match[1]!.length / 4;
    parents[depth] = match[2]!;
    const path = parents.slice(0, depth + 1).join('');
    for (const method of match[3]?.split(', ') ?? []) {
      if (method !== 'HEAD' && !UNTOLD.test(path)) found.push(`${method} ${path}`);
    }
  }
  return found.map((route) => route.replace(/:(\w+)/g, '{$1}')).sort();
}

test('every route is documented, and nothing else', () => {
  const told = operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort();
  assert.deepEqual(told, routesOf(routes));
  assert.ok(told.length >= 24, `only ${told.length} operations`);
});

test('it is a document of OpenAPI 3.1 whose parts fit together', () => {
  assert.equal(document.openapi, '3.1.0');
  assert.ok(document.info.title !== '' && document.info.version !== '');
  assert.deepEqual(Object.keys(document.components.securitySchemes), ['token', 'vaultToken']);
  const ids = operations.map(({ operation }) => operation.operationId);
  assert.equal(new Set(ids).size, ids.length);
  const tags = new Set(document.tags.map(({ name, description }) => description && name));
  for (const { name, path, operation } of operations) {
    assert.match(operation.operationId, /^[a-z][A-Za-z]+$/, name);
    assert.ok(operation.summary.length > 5, name);
    assert.ok(operation.tags.length === 1 && tags.has(operation.tags[0]!), name);
    const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
    const braces = [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter);
    assert.deepEqual(
      inPath.map((parameter) => parameter.name),
      braces,
      name,
    );
    for (const parameter of operation.parameters ?? []) {
      assert.ok(parameter.description, `${name}: ${parameter.name}`);
      const { schema, example } = parameter;
      if (example !== undefined) assert.equal(validate(schema, example), undefined, parameter.name);
    }
    for (const [status, response] of Object.entries(operation.responses)) {
      assert.match(status, /^[1-5]\d\d$/, name);
      assert.ok(response.description.length > 5, `${name}: ${status}`);
    }
  }
});

test('every operation says its scope and how to show it', () => {
  for (const { name, operation } of operations) {
    const scope = operation['x-scope'];
    if (scope === undefined) {
      assert.deepEqual(operation.security, [], name);
      assert.ok(!('401' in operation.responses), name);
      continue;
    }
    assert.deepEqual(operation.security[0], { token: [] }, name);
    assert.ok(operation.description.endsWith(`Scope: \`${scope}\`.`), name);
    assert.ok('401' in operation.responses && '403' in operation.responses, name);
  }
});

/** Every property of a schema, by its way there. */
function* propertiesOf(schema: Schema, at: string): Generator<[string, Schema]> {
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    yield [`${at}.${key}`, property];
    yield* propertiesOf(property, `${at}.${key}`);
  }
  if (schema.items !== undefined) yield* propertiesOf(schema.items, `${at}[]`);
}

/** What only who asks can know. */
const OWN = / body\.(burn|message|transaction|input)$/;

test('every field is described, and every leaf shows a value that it takes', () => {
  let leaves = 0;
  const shapes: [string, Schema | undefined][] = operations.flatMap(({ name, operation }) => [
    [`${name} body`, operation.requestBody && contentOf(operation.requestBody)?.schema],
    ...Object.entries(operation.responses)
      .filter(([status]) => status < '300')
      .map(([status, response]): [string, Schema | undefined] => [
        `${name} ${status}`,
        contentOf(response)?.schema,
      ]),
  ]);
  for (const name of ['Problem', 'TransitErrors']) {
    shapes.push([name, document.components.schemas[name]]);
  }
  for (const [at, schema] of shapes) {
    if (schema === undefined) continue;
    for (const [path, property] of propertiesOf(schema, at)) {
      assert.ok(property.description, `${path}: no description`);
      if (property.properties ?? property.items?.properties) continue;
      leaves++;
      if (!OWN.test(path)) assert.ok(property.examples?.length, `${path}: no example`);
      for (const example of property.examples ?? []) {
        assert.equal(validate(property, example), undefined, `${path}: ${example}`);
      }
    }
  }
  assert.ok(leaves > 100, `only ${leaves} leaves were found`);
});

/** The codes that an operation, or a response that belongs to none, lists. */
function codesOf(responses: Operation['responses']): string[] {
  return Object.values(responses).flatMap((response) => response['x-codes'] ?? []);
}

test('every code that HTTP answers is documented with its status, and in docs/http-api.md', () => {
  const text = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8');
  const told = new Set(codesOf(document.components.responses));
  assert.deepEqual([...told].sort(), ['METHOD_NOT_ALLOWED', 'ROUTE_NOT_FOUND']);
  for (const { name, operation } of operations) {
    for (const [status, response] of Object.entries(operation.responses)) {
      for (const code of codesOf({ [status]: response })) {
        assert.equal(ERRORS[code as ErrorCode].status, Number(status), `${name}: ${code}`);
        assert.ok(response.description.includes(`\`${code}\``), `${name}: ${code}`);
        told.add(code);
      }
    }
  }
  const answered = Object.entries(ERRORS)
    .filter(([code, { status }]) => status !== 500 || code === 'INTERNAL')
    .map(([code]) => code);
  assert.deepEqual([...told].sort(), answered.sort());
  for (const code of answered) assert.ok(text.includes(`| \`${code}\` |`), code);
});

test('docs/lifecycle.md has every exit of the routes that it draws, with its status', () => {
  const text = readFileSync(new URL('../../docs/lifecycle.md', import.meta.url), 'utf8');
  const drawn = new Set(text.match(/\b[A-Z]+(?:_[A-Z]+)+\b|\b(?:OVERLOADED|INTERNAL)\b/g));
  const ids = [
    ...['dispense', 'reserve', 'getReservation', 'dispenseReservation', 'release', 'sign'],
    'cosign',
  ];
  const exits = new Set(codesOf(document.components.responses));
  for (const { operation } of operations) {
    if (!ids.includes(operation.operationId)) continue;
    for (const code of codesOf(operation.responses)) exits.add(code);
  }
  assert.deepEqual([...drawn].sort(), [...exits].sort());
  for (const [, status, code] of text.matchAll(/(\d{3}) ([A-Z]+(?:_[A-Z]+)*)\b/g)) {
    assert.equal(ERRORS[code as ErrorCode].status, Number(status), code);
  }
});

test('headers that carry something are documented', () => {
  const headersOf = (id: string, status: string) =>
    Object.keys(
      operations.find(({ operation }) => operation.operationId === id)?.operation.responses[status]
        ?.headers ?? {},
    );
  for (const id of ['dispense', 'dispenseReservation', 'makeBackup']) {
    assert.deepEqual(headersOf(id, '200'), ['Cache-Control'], id);
  }
  assert.deepEqual(headersOf('createToken', '201'), ['Cache-Control']);
  for (const id of ['createPool', 'reserve']) assert.deepEqual(headersOf(id, '201'), ['Location']);
  for (const { operation } of operations) {
    for (const status of ['429', '503']) {
      assert.ok(headersOf(operation.operationId, status).includes('Retry-After'));
    }
    const takesKey = (operation.parameters ?? []).some(({ name }) => name === 'idempotency-key');
    assert.equal(takesKey, ['dispense', 'reserve'].includes(operation.operationId));
  }
});
