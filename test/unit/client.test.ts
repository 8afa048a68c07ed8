/** What the client takes, what it shows of itself, and what it is made of: nothing but itself. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { VanitypoolClient, type VanitypoolClientOptions } from '../../src/client/client.ts';

const SRC = fileURLToPath(new URL('../../src/client', import.meta.url));

test('options that cannot be meant are refused by name, and not repeated', () => {
  const url = 'http://127.0.0.1:5057';
  const cases: [Partial<VanitypoolClientOptions>, RegExp][] = [
    [{ url: 'hush' }, /^url: allowed: http/],
    [{ url: 'ftp://hush/' }, /^url/],
    [{ url: 'http://user:hush@host/' }, /^url/],
    [{ url: 'http://host/?token=hush' }, /^url/],
    [{ url: 'http://host/#hush' }, /^url/],
    [{ token: 'hush\n' }, /^token/],
    [{ token: '' }, /^token/],
    [{ timeoutMs: 0 }, /^timeoutMs/],
    [{ timeoutMs: Number.NaN }, /^timeoutMs/],
    [{ timeoutMs: Number.POSITIVE_INFINITY }, /^timeoutMs/],
    [{ retries: -1 }, /^retries/],
    [{ retries: 0.5 }, /^retries/],
  ];
  for (const [options, message] of cases) {
    assert.throws(
      () => new VanitypoolClient({ url, ...options }),
      (error) => {
        assert.ok(error instanceof RangeError);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /hush/);
        return true;
      },
      JSON.stringify(options),
    );
  }
});

test('a key that no header can hold is refused before anything is sent', async () => {
  const fetch = () => assert.fail('sent');
  const client = new VanitypoolClient({ url: 'http://127.0.0.1', fetch });
  for (const idempotencyKey of ['', 'ü', 'a\nb', 'x'.repeat(256)]) {
    const code = { code: 'IDEMPOTENCY_KEY_INVALID' };
    await assert.rejects(client.dispense('pet', { idempotencyKey }), code);
    await assert.rejects(client.reserve('pet', { idempotencyKey }), code);
  }
});

test('a body that is no JSON is refused before anything is sent, and not asked again', async () => {
  const fetch = () => assert.fail('sent');
  const client = new VanitypoolClient({ url: 'http://127.0.0.1', fetch });
  const count = 3n as unknown as number;
  await assert.rejects(client.dispense('pet', { count }), {
    code: 'REQUEST_INVALID',
    status: undefined,
    detail: 'nothing was sent: the body is not JSON: Do not know how to serialize a BigInt',
  });
});

test('requests go to the path of the url, with names escaped, and the token in one header', async () => {
  const sent: [string, RequestInit][] = [];
  const fetch = async (url: unknown, init: RequestInit = {}) => {
    sent.push([String(url), init]);
    return new Response(JSON.stringify({ name: 'x' }));
  };
  const token = 'vp_secret';
  const options = { fetch: fetch as typeof globalThis.fetch, token };
  for (const url of ['https://host/a/b//', new URL('https://host/a/b')]) {
    const client = new VanitypoolClient({ ...options, url });
    await client.pool('../a b/ü?');
    assert.doesNotMatch(inspect(client, { depth: 9, showHidden: true }), /vp_secret/);
    assert.equal(JSON.stringify(client), '{}');
  }
  for (const [url, { headers, credentials, redirect }] of sent) {
    assert.equal(url, 'https://host/a/b/v1/pools/..%2Fa%20b%2F%C3%BC%3F');
    assert.deepEqual(headers, { authorization: 'Bearer vp_secret' });
    assert.deepEqual([credentials, redirect], ['omit', 'error']);
  }
});

test('a silence that no timer can wait for is refused before anything is sent', async () => {
  const fetch = () => assert.fail('sent');
  const client = new VanitypoolClient({ url: 'http://127.0.0.1', fetch });
  for (const silenceMs of [0, Number.NaN, 2 ** 31]) {
    const refused = { code: 'REQUEST_INVALID', detail: 'silenceMs: allowed: 1 to 2147483647' };
    await assert.rejects(client.events({ silenceMs }).next(), refused);
    await assert.rejects(client.admin.backup({ silenceMs }).next(), refused);
  }
});

test('the audit is asked for page by page, to its end', async () => {
  const all = [
    { entries: [{ id: 1 }, { id: 4 }], next: 7 },
    { entries: [], next: 9 },
    { entries: [{ id: 9 }], next: null },
  ];
  const pages = [...all, ...all];
  const paths: string[] = [];
  const fetch = async (url: unknown) => {
    paths.push(String(url).replace('http://127.0.0.1/v1/audit?limit=1000', ''));
    return new Response(JSON.stringify(pages.shift()));
  };
  const { admin } = new VanitypoolClient({ url: 'http://127.0.0.1', fetch });
  const since = new Date(Date.UTC(2026, 0, 1));
  const entries = await Array.fromAsync(admin.audit({ pool: 'a&b', since }));
  assert.deepEqual(
    entries.map(({ id }) => id),
    [1, 4, 9],
  );
  const filter = '&pool=a%26b&since=2026-01-01T00%3A00%3A00.000Z';
  assert.deepEqual(
    paths,
    [0, 7, 9].map((after) => `${filter}&after=${after}`),
  );
  const asPages = await Array.fromAsync(admin.auditPages());
  assert.deepEqual(
    asPages,
    all.map(({ entries: page }) => page),
  );
});

test('nothing but files of its own is there at run time', () => {
  const files = globSync('*.ts', { cwd: SRC });
  assert.ok(files.length > 5);
  for (const file of files) {
    // What is a type alone is gone by then.
    const code = stripTypeScriptTypes(readFileSync(`${SRC}/${file}`, 'utf8'));
    const targets = [...code.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g)];
    for (const [, target] of targets) {
      assert.ok(/^\.\/[a-z-]+\.ts$/.test(target!) && files.includes(target!.slice(2)), file);
    }
    assert.doesNotMatch(code, /\b(process|Buffer|require|__dirname|setImmediate)\b/, file);
  }
});
