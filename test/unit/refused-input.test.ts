/**
 * Refusals are in words: a wrong value in every field of every route, and no message with a
 * regular expression or the words of the library that checks.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ADDRESS_EXAMPLE } from '../../src/api/fields.ts';
import { refusedInput } from '../../src/http/refused-input.ts';
import { anyRequest, rightBody } from '../support/any-request.ts';
import { contentOf, type Schema, validatorOf } from '../support/documented.ts';

const any = await anyRequest();
const { operations, document, send } = any;
after(() => any.app.close());
const isRight = validatorOf(document);

const RAW = /\bmust\b|schema|\bpattern\b|\^|\$|\\|\[A-Z|\{\d|\bundefined\b|\[object/;
const WRONG: readonly unknown[] = [
  ...[null, true, -1, 0, 1.5, 1e300, '', 'ä', '!', 'x'.repeat(2000), [], [1], [null], {}],
  ...[['read', 'read'], ['write'], { a: 1 }, '2026-13-01', 'AQA', ['x'.repeat(100)]],
];

function assertTold(detail: string, at: string): void {
  assert.ok(detail.startsWith(at), `${at}: ${detail}`);
  assert.match(detail, /; allowed: \S|: allowed: \S/, detail);
  assert.doesNotMatch(detail, RAW, detail);
  assert.ok(detail.length < 250, detail);
}

test('every field of every body says what it may be', async () => {
  let fields = 0;
  for (const told of operations) {
    const { requestBody } = told.operation;
    const schema = requestBody && contentOf(requestBody)?.schema;
    for (const [name, property] of Object.entries(schema?.properties ?? {})) {
      const wrong = WRONG.filter((value) => isRight(property, value) !== undefined);
      assert.ok(wrong.length > 3, `${told.name} ${name}`);
      fields++;
      for (const value of wrong) {
        const { status, detail } = await send(told, {
          body: { ...rightBody(told), [name]: value },
        });
        assert.equal(status, 400, `${told.name} ${name} ${JSON.stringify(value)}: ${detail}`);
        assertTold(detail, `body/${name}`);
        if (name === 'expandedKeys') continue;
        assert.doesNotMatch(detail, /JSON object/, 'no other field has any');
      }
    }
    if (requestBody === undefined) continue;
    for (const body of [[], 'text', 5, true]) {
      const headers = { 'content-type': 'application/json' };
      const { status, detail } = await send(told, { headers, body: JSON.stringify(body) });
      assert.equal(status, 400, told.name);
      assertTold(detail, 'body: ');
    }
    const unknown = await send(told, { body: { ...rightBody(told), cuont: 3 } });
    assertTold(unknown.detail, 'body: no such key: cuont');
  }
  assert.ok(fields > 20, `only ${fields} fields`);
});

test('so does every parameter of a query and every header', async () => {
  let fields = 0;
  for (const told of operations) {
    for (const { name, in: place, schema } of told.operation.parameters ?? []) {
      if (place === 'path') continue;
      const texts = WRONG.filter((value) => typeof value === 'string');
      // Texts are whole numbers there if they spell one.
      const wrong = [...texts, '-1', '1e3', '0x10', '99999999999999999999'].filter(
        (value) => isRight(schema, value) !== undefined,
      );
      fields++;
      for (const value of wrong) {
        const how =
          place === 'query'
            ? { query: `?${name}=${encodeURIComponent(value)}` }
            : { headers: { [name]: value } };
        const { status, detail } = await send(told, { ...how, body: rightBody(told) });
        assert.equal(status, 400, `${told.name} ${name} ${value}: ${detail}`);
        assertTold(detail, place === 'query' ? `query/${name}` : `headers/${name}`);
      }
    }
  }
  assert.ok(fields >= 6, `only ${fields} fields`);
});

test('the words fit the schema', async () => {
  const told = (name: string) => operations.find((one) => one.name === name)!;
  const says = async (name: string, body: object) => (await send(told(name), { body })).detail;
  const pools = 'post /v1/pools';
  const tokens = 'post /v1/tokens';
  for (const [detail, expected] of [
    [
      await says('post /v1/pools/{pool}/dispense', { count: 0 }),
      /^body\/count: allowed: a whole number from 1 to 1000$/,
    ],
    [
      await says(pools, { name: 'new' }),
      /^body: suffix and prefix are missing; allowed: one of them, or both$/,
    ],
    [
      await says(pools, { suffix: 'x' }),
      /^body\/name: is missing; allowed: 1 to 63 lower-case letters, digits, "-" and "_", a/,
    ],
    [
      await says(pools, { name: 'new', prefix: 'x', target: 0 }),
      /^body\/target: allowed: a whole number from 1 to 100000000$/,
    ],
    [
      await says(pools, { name: 'new', suffix: 'x', handout: 'no' }),
      /^body\/handout: allowed: "secret" or "sign-only"$/,
    ],
    [
      await says('patch /v1/pools/{pool}', {}),
      /^body: allowed: a JSON object with at least one of target, ready, lowHours$/,
    ],
    [
      await says(tokens, { name: 'x' }),
      /^body\/scopes: is missing; allowed: a list of 1 or more, each "dispense", "read" or "admin", none twice$/,
    ],
    [
      await says(tokens, { name: 'x', scopes: ['all'] }),
      /^body\/scopes\/0: allowed: "dispense", "read" or "admin"$/,
    ],
    [
      await says(tokens, { name: 'x', scopes: ['read'], quota: 0 }),
      /^body\/quota: allowed: a whole number from 1 to 9007199254740991, or null$/,
    ],
    [
      await says(tokens, { name: 'x', scopes: ['read'], expiresAt: 'soon' }),
      /^body\/expiresAt: allowed: a time of RFC 3339, such as .*Z, or null$/,
    ],
    [
      await says('post /v1/imports', { pool: 'pet', secretKeys: [] }),
      /^body\/secretKeys: allowed: a list of 1 to 1000, each a text of at most 88 characters$/,
    ],
    [
      await says('post /v1/imports', { pool: 'pet', expandedKeys: [{ address: ADDRESS_EXAMPLE }] }),
      /^body\/expandedKeys\/0\/expandedKey: is missing; allowed: a text of at most 88 characters$/,
    ],
    [
      await says('post /v1/imports', { pool: 'pet' }),
      /^body: allowed: one of secretKeys and expandedKeys$/,
    ],
    [
      await says('post /v1/imports', {
        pool: 'pet',
        secretKeys: ['S'],
        expandedKeys: [{ address: ADDRESS_EXAMPLE, expandedKey: 'E' }],
      }),
      /^body: allowed: one of secretKeys and expandedKeys$/,
    ],
  ] as const) {
    assert.match(detail, expected);
  }
});

test('so is a body that cannot be read', async () => {
  const told = operations.find(({ name }) => name === 'post /v1/pools/{pool}/dispense')!;
  const headers = { 'content-type': 'application/json' };
  for (const body of ['{"count":', 'count=3', '{"__proto__":{}}', '\ufeff{}x']) {
    const { status, detail } = await send(told, { headers, body });
    const form = 'JSON, without the keys __proto__ and constructor.prototype';
    assert.deepEqual([status, detail], [400, `body: allowed: ${form}`], body);
  }
  const large = await send(told, { headers, body: ' '.repeat(16_385) });
  assert.deepEqual(
    [large.status, large.detail],
    [413, 'body: is too large; allowed: 16 KiB, and 256 KiB for an import'],
  );
});

test('a value is not repeated: it may be a secret', async () => {
  const told = operations.find(({ name }) => name === 'post /v1/imports')!;
  const secret = 'S'.repeat(89);
  const { status, detail } = await send(told, { body: { pool: 'pet', secretKeys: [secret] } });
  assert.equal(status, 400);
  assert.ok(!detail.includes('SSS'), detail);
});

test('every pattern of the document has words', () => {
  const patterns: string[] = [];
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const { pattern, type } = node as Schema;
    if (typeof pattern === 'string' && type === 'string') patterns.push(pattern);
    for (const child of Object.values(node)) walk(child);
  };
  walk(document.paths);
  assert.ok(patterns.length > 5);
  for (const pattern of new Set(patterns)) {
    const parentSchema = { type: 'string', pattern };
    const refusal = { keyword: 'pattern', instancePath: '/x', params: {}, parentSchema };
    assert.doesNotMatch(refusedInput([refusal], 'body').message, /allowed: a text$/, pattern);
  }
});
