/**
 * Each schema of the OpenAPI document is one, and each example one that a real server takes: bodies as they
 * stand, and paths with the pool that they show. The server has the pool of the examples, whose pattern fits
 * the keypair of the examples.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readOwnToken } from '../../src/service/own-token.ts';
import { contentOf, type OpenApi, operationsOf, validatorOf } from '../support/documented.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

/** A pool that is there by its own example comes first. */
const FIRST = 'createPool';
/** Only a pool that was made at run time can be changed. */
const MADE: readonly string[] = ['changePool'];

test('a server takes every example of its document', { timeout: 300_000 }, async () => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, suffix: 'Z', accepts_imports: true }]);
  const server = await workspace.serve();
  const token = readOwnToken(workspace.data)!;
  await server.until(({ ready }) => ready > 10);
  const document = await server.get<OpenApi>('/openapi.json');
  assertSchemas(document);
  const all = operationsOf(document).sort(
    (a, b) => Number(b.operation.operationId === FIRST) - Number(a.operation.operationId === FIRST),
  );
  const sent: string[] = [];
  for (const { name, method, path, operation } of all) {
    const { operationId, parameters = [], requestBody } = operation;
    const { example: body } = (requestBody && contentOf(requestBody)) ?? {};
    const inPath = parameters.filter((parameter) => parameter.in === 'path');
    const isShown = inPath.every(({ example }) => example !== undefined);
    if (!isShown || (requestBody !== undefined && body === undefined)) continue;
    if (path === '/v1/events') continue; // It takes none, and has no end.
    const at = path.replace(/\{(\w+)\}/g, (_, parameter) => {
      if (MADE.includes(operationId)) return 'pump';
      return String(inPath.find((one) => one.name === parameter)!.example);
    });
    const answer = await server.ask(method.toUpperCase(), at, { token, body: body as object });
    assert.ok(answer.status < 300, `${name}: ${answer.status}: ${answer.text}`);
    // What was paused is not asked for more.
    if (operationId === 'pausePool') await server.ask('POST', '/v1/pools/pet/resume', { token });
    sent.push(operationId);
  }
  for (const id of [
    'dispense',
    'reserve',
    'createPool',
    'changePool',
    'createToken',
    'importKeypairs',
  ]) {
    assert.ok(sent.includes(id), `${id}: not sent`);
  }
});

/** Replies are validated against them everywhere, without another look at the schemas themselves. */
function assertSchemas(document: OpenApi): void {
  const validate = validatorOf(document);
  const responses = operationsOf(document).flatMap(({ operation }) =>
    Object.values(operation.responses),
  );
  const schemas = responses.flatMap(({ content = {}, headers = {} }) =>
    [...Object.values(content), ...Object.values(headers)].map(({ schema }) => schema),
  );
  assert.ok(schemas.length > 200, `${schemas.length}`);
  // It throws at what is no schema.
  for (const schema of new Set(schemas)) validate(schema, null);
}
