/** Which server a command asks, with real servers and real data directories; and when it asks none. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { askOrLook, type Place, serverAt } from '../../src/cli/or-store.ts';
import { OwnToken } from '../../src/service/own-token.ts';
import { makeCertificate } from '../support/certificates.ts';
import { CollectedOutputs } from '../support/collected-outputs.ts';
import { testApp } from '../support/http-app.ts';

/** A working directory of the test's own, in which nothing is configured; `data` is its `./data`. */
function workingDirectory(t: TestContext): { cwd: string; data: string } {
  const before = process.cwd();
  const cwd = realpathSync(mkdtempSync(join(tmpdir(), 'vanitypool-test-')));
  const data = join(cwd, 'data');
  mkdirSync(data);
  process.chdir(cwd);
  t.after(() => {
    process.chdir(before);
    rmSync(cwd, { recursive: true });
  });
  return { cwd, data };
}

/** A server that serves `directory`, until the test ends; its URL, and what it found in its requests. */
async function serve(t: TestContext, directory: string): Promise<{ url: string; asked: string[] }> {
  const { app, access } = await testApp();
  t.after(() => app.close());
  const asked: string[] = [];
  app.server.on('request', ({ headers, url }) => {
    asked.push(`${url} ${headers.authorization}`);
  });
  const token = new OwnToken();
  access.setOwn(token.hash);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  token.write(directory, { url, certificate: null });
  return { url, asked };
}

const OUTPUTS = new CollectedOutputs();

/** What a command finds: the URL of a server, or `store DIRECTORY`. */
function found(place: Place = {}): Promise<string> {
  return askOrLook(
    place,
    async (server) => {
      await server.ask((client) => client.pools());
      return server.url;
    },
    ({ store }) => `store ${store.directory}`,
    OUTPUTS,
  );
}

function environment(t: TestContext, values: Record<string, string>): void {
  for (const [name, value] of Object.entries(values)) {
    process.env[name] = value;
    t.after(() => delete process.env[name]);
  }
}

test('the server that serves the data directory is asked, wherever it listens', async (t) => {
  const { cwd, data } = workingDirectory(t);
  environment(t, { VANITYPOOL_HTTP__PORT: '9' });
  const { url } = await serve(t, data);
  assert.equal(await found(), url);
  assert.equal(await found({ data: 'data' }), url);
  assert.equal((await serverAt({}, OUTPUTS.stderr)).url, url);
  const other = join(cwd, 'other');
  mkdirSync(other);
  const second = await serve(t, other);
  assert.equal(await found({ data: other }), second.url);
  writeFileSync('there.toml', '[store]\nurl = "file:other"');
  assert.equal(await found({ config: 'there.toml' }), second.url);
  assert.equal(await found({ url: second.url }), second.url);
});

test('a server that took the port of a killed one is not taken for it', async (t) => {
  const { cwd, data } = workingDirectory(t);
  const other = join(cwd, 'other');
  mkdirSync(other);
  const living = await serve(t, other);
  new OwnToken().write(data, { url: living.url, certificate: null });
  assert.equal(await found({ data }), `store ${data}`);
  await assert.rejects(serverAt({ data }, OUTPUTS.stderr), {
    code: 'SERVER_UNREACHABLE',
    message: `${data}: no server serves this data directory; start one with: vanitypool serve, or name another with --url URL`,
  });
  assert.ok(living.asked.length > 0, 'it was asked who it is');
});

test('what took the port of a killed one learns no token, and is not waited for', async (t) => {
  const { data } = workingDirectory(t);
  environment(t, { VANITYPOOL_TOKEN: `vp_${'1'.repeat(43)}` });
  let heard = 0;
  const stranger = createTcpServer(() => {
    heard++;
  });
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  t.after(() => stranger.close());
  const url = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`;
  new OwnToken().write(data, { url, certificate: null });
  for (const name of ['store.db', 'lock']) writeFileSync(join(data, name), '');
  assert.equal(await found({ data }), `store ${data}`);
  await assert.rejects(serverAt({ data }, OUTPUTS.stderr), { code: 'SERVER_UNREACHABLE' });
  assert.equal(heard, 0);
});

test('nor is another program, or nobody', async (t) => {
  const { data } = workingDirectory(t);
  const stranger = createServer((_, reply) => {
    reply.writeHead(200, { connection: 'close' }).end('hello');
  });
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`;
  new OwnToken().write(data, { url, certificate: null });
  assert.equal(await found({ data }), `store ${data}`);
  await new Promise((resolve) => stranger.close(resolve));
  assert.equal(await found({ data }), `store ${data}`);
});

test('a copy of a data directory that is served is not served', async (t) => {
  const { cwd, data } = workingDirectory(t);
  await serve(t, data);
  const copy = join(cwd, 'copy');
  cpSync(data, copy, { recursive: true });
  assert.equal(await found({ data: copy }), `store ${copy}`);
});

test('a store or a configuration says where it is: no other server is asked', async (t) => {
  const { cwd, data } = workingDirectory(t);
  const elsewhere = join(cwd, 'elsewhere');
  mkdirSync(elsewhere);
  const { url, asked } = await serve(t, elsewhere);
  environment(t, { VANITYPOOL_HTTP__PORT: new URL(url).port });
  assert.equal(await found(), url, 'there is nothing here: the default address');
  asked.length = 0;
  writeFileSync(join(data, 'store.db'), '');
  assert.equal(await found(), `store ${data}`);
  rmSync(join(data, 'store.db'));
  writeFileSync('vanitypool.toml', '');
  assert.equal(await found(), `store ${data}`);
  assert.equal(await found({ data: 'nothing' }), `store ${join(cwd, 'nothing')}`);
  assert.deepEqual(asked, []);
});

test('without a store the error names the directory, and what can be done', async (t) => {
  const { cwd } = workingDirectory(t);
  const { hasStore } = await import('../../src/offline/open.ts');
  const { poolsOffline } = await import('../../src/offline/pools.ts');
  const look = () =>
    askOrLook(
      { data: 'new' },
      () => Promise.reject(new Error('nobody is to be asked')),
      (config) => {
        assert.equal(hasStore(config), false);
        return poolsOffline(config);
      },
      OUTPUTS,
    );
  await assert.rejects(look, {
    code: 'SERVER_UNREACHABLE',
    message:
      `${join(cwd, 'new')}: no server serves this data directory, and there is no store in it; ` +
      'start one with: vanitypool serve, or name another with --url URL',
  });
});

test('the token of the user goes with the request, that of the directory says who it is', async (t) => {
  const { data } = workingDirectory(t);
  const { asked } = await serve(t, data);
  const token = `vp_${'1'.repeat(43)}`;
  environment(t, { VANITYPOOL_TOKEN: token });
  await assert.rejects(found(), { code: 'TOKEN_REQUIRED' });
  assert.equal(asked.length, 2);
  assert.ok(!asked[0]!.includes(token));
  assert.equal(asked[1], `/v1/pools Bearer ${token}`);
});

test('a URL that is none, or one beside a directory, is refused', async (t) => {
  workingDirectory(t);
  await assert.rejects(found({ url: 'localhost' }), { code: 'USAGE_INVALID', message: /^--url: / });
  const url = 'http://127.0.0.1:9';
  await assert.rejects(found({ url, data: 'data' }), {
    message: /^--url: .* --data another place/,
  });
  await assert.rejects(serverAt({ url, config: 'f' }, OUTPUTS.stderr), {
    message: /--config another place/,
  });
});

test('the default address is that of the environment, reachable and with its certificate', async (t) => {
  const { cwd } = workingDirectory(t);
  const [cert, key] = [join(cwd, 'cert.pem'), join(cwd, 'key.pem')];
  const names = ['HOST', 'PORT', 'TLS_CERT', 'TLS_KEY'].map((name) => `VANITYPOOL_HTTP__${name}`);
  const urlAt = async (...values: string[]) => {
    environment(t, Object.fromEntries(values.map((value, index) => [names[index]!, value])));
    return (await serverAt({}, OUTPUTS.stderr)).url;
  };
  assert.equal(await urlAt('0.0.0.0', '6000'), 'http://127.0.0.1:6000');
  assert.equal(await urlAt('::', '6000'), 'http://[::1]:6000');
  const unreadable = {
    code: 'CERTIFICATE_INVALID',
    message: /^http\.tls_cert: .*cert\.pem: cannot/,
  };
  await assert.rejects(urlAt('pool.example', '6000', cert, key), unreadable);
  writeFileSync(cert, 'no certificate');
  await assert.rejects(urlAt('pool.example', '6000', cert, key), unreadable);
  writeFileSync(cert, makeCertificate('own').cert);
  assert.equal(await urlAt('pool.example', '6000', cert, key), 'https://pool.example:6000');
});

test('a certificate out of its time gives one warning, or none where none is wanted', async (t) => {
  const { cwd } = workingDirectory(t);
  const [cert, key] = [join(cwd, 'cert.pem'), join(cwd, 'key.pem')];
  writeFileSync(cert, makeCertificate('own', { validTo: new Date(0) }).cert);
  environment(t, { VANITYPOOL_HTTP__TLS_CERT: cert, VANITYPOOL_HTTP__TLS_KEY: key });
  const outputs = new CollectedOutputs();
  await serverAt({}, outputs.stderr);
  await serverAt({}, undefined);
  assert.equal(outputs.said.length, 1);
  assert.match(outputs.said[0]!, /^vanitypool: http\.tls_cert: .*cert\.pem: is valid no longer/);
});
