/**
 * A real server with TLS, as clients, the command line and an operator who renews its certificate meet
 * it. It listens on 127.0.0.2, which no other machine reaches either, but which is none of the names
 * that are served without tokens: the server takes it for one that others reach.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { Agent, globalAgent, type RequestOptions, request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { type Made, makeCertificate } from '../support/certificates.ts';
import { vanitypool } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { EASY_POOL, type Handed, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
const HOST = '127.0.0.2';
const DISPENSE = '/v1/pools/pet/dispense';

class Setup implements AsyncDisposable {
  readonly workspace = new Workspace();
  readonly cert = join(this.workspace.path, 'cert.pem');
  readonly key = join(this.workspace.path, 'key.pem');
  server!: Server;
  token = '';

  static async begin(made: Made, ...more: string[]): Promise<Setup> {
    const setup = new Setup();
    setup.put(made);
    const tls = ['tls_cert = "cert.pem"', 'tls_key = "key.pem"'];
    setup.workspace.configure([EASY_POOL], '[http]', `host = "${HOST}"`, ...tls, ...more);
    setup.server = await setup.workspace.serve();
    const create = ['token', 'create', '--name', 'shop', '--scope', 'dispense', '--scope', 'read'];
    const { code, stdout, stderr } = await setup.cli(create);
    assert.equal(code, 0, stderr);
    setup.token = stdout.trim();
    for (;;) {
      const { available, leased } = (await setup.ask('GET', '/v1/pools/pet', made.cert)).body;
      if (available + leased >= 250) return setup;
      await sleep(50);
    }
  }

  put({ cert, key }: Made): void {
    for (const [path, text] of [
      [this.cert, cert],
      [this.key, key],
    ] as const) {
      writeFileSync(`${path}.new`, text, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    }
  }

  get port(): number {
    return Number(new URL(this.server.url).port);
  }

  /** As the operator of this server, unless `url` and `env` say otherwise. */
  cli(args: readonly string[], env: Record<string, string> = {}) {
    const found = { VANITYPOOL_HTTP__PORT: String(this.port), ...env };
    // A process has no connection of the command before.
    globalAgent.destroy();
    return vanitypoolHere(args, found, this.workspace.path);
  }

  ask(method: string, path: string, ca: string, options: RequestOptions = {}) {
    const headers = { authorization: `Bearer ${this.token}` };
    const target = { host: HOST, port: this.port, path, method, ca, headers };
    // biome-ignore lint/suspicious/noExplicitAny: each test knows what it asked for.
    const reply = Promise.withResolvers<{ status: number; body: any }>();
    request({ agent: false, ...target, ...options }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => {
        text += chunk;
      });
      answer.on('end', () => reply.resolve({ status: answer.statusCode!, body: JSON.parse(text) }));
      answer.on('error', reply.reject);
    })
      .on('error', reply.reject)
      .end();
    return reply.promise;
  }

  /** The name in the certificate that a new connection is served with. */
  async served(options: ConnectionOptions = {}): Promise<string> {
    return String((await this.#certificate(options)).subject.CN);
  }

  /** Waits until new connections are served with it: the log says so before its thread has it. */
  async untilServed({ cert }: Made): Promise<void> {
    const { fingerprint256 } = new X509Certificate(cert);
    while ((await this.#certificate()).fingerprint256 !== fingerprint256) await sleep(50);
  }

  async #certificate(options: ConnectionOptions = {}): Promise<PeerCertificate> {
    const { promise, resolve, reject } = Promise.withResolvers<PeerCertificate>();
    const target = { host: HOST, port: this.port, rejectUnauthorized: false, ...options };
    const socket: TLSSocket = connect(target, () => resolve(socket.getPeerCertificate()));
    socket.on('error', reject);
    return promise.finally(() => socket.destroy());
  }

  logged(msg: string): number {
    return this.server.log.filter((entry) => entry.msg === msg).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workspace[Symbol.asyncDispose]();
  }
}

test('one server with TLS', LIMIT, async (t) => {
  const made = makeCertificate('one');
  await using setup = await Setup.begin(made);

  await t.test('with TLS and a token, other machines are served, and only so', async () => {
    assert.equal(setup.server.url, `https://${HOST}:${setup.port}`);
    assert.equal((await setup.ask('POST', DISPENSE, made.cert)).status, 200);
    const bare = await setup.ask('POST', DISPENSE, made.cert, { headers: {} });
    assert.deepEqual([bare.status, bare.body.code], [401, 'TOKEN_REQUIRED']);
    for (const headers of [{}, { host: 'localhost' }]) {
      assert.equal((await setup.ask('GET', '/v1/pools', made.cert, { headers })).status, 401);
    }

    await assert.rejects(setup.served({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }), /protocol/i);
    assert.equal(await setup.served({ maxVersion: 'TLSv1.2' }), 'one');
    const plain = requestHttp({ host: HOST, port: setup.port, path: '/healthz' });
    await assert.rejects(
      new Promise((resolve, reject) => plain.on('response', resolve).on('error', reject).end()),
      { code: 'ECONNRESET' },
    );
    assert.equal((await setup.ask('GET', '/v1/pools', made.cert)).status, 200, 'none harmed it');
  });

  await t.test(
    'the command line trusts its own server, and another by NODE_EXTRA_CA_CERTS',
    async () => {
      const own = await setup.cli(['status', '--json']);
      assert.equal(own.code, 0, own.stderr);
      assert.equal(JSON.parse(own.stdout).url, setup.server.url);
      const dispensed = await setup.cli(['dispense', 'pet']);
      assert.equal(dispensed.code, 0, dispensed.stderr);

      const status = ['status', '--url', setup.server.url];
      const env = { VANITYPOOL_TOKEN: setup.token };
      const refused = await setup.cli(status, env);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /certificate is not trusted .*NODE_EXTRA_CA_CERTS=FILE/);
      // Read by Node.js at its start.
      const trusting = { ...env, NODE_EXTRA_CA_CERTS: setup.cert };
      const trusted = await vanitypool(status, { cwd: setup.workspace.path, env: trusting });
      assert.equal(trusted.code, 0, trusted.stderr);

      // Another server on our port gets no token of ours, not even one whose certificate the file has
      // behind our own.
      const chain = join(setup.workspace.path, 'chain.pem');
      const file = join(setup.workspace.data, 'server.json');
      const listensAt = JSON.parse(readFileSync(file, 'utf8'));
      assert.equal(listensAt.certificate, setup.cert);
      writeFileSync(file, JSON.stringify({ ...listensAt, certificate: chain }));
      writeFileSync(chain, makeCertificate('two').cert);
      const other =
        /another certificate than .*chain\.pem \(CERT_NOT_OWN\); nothing was sent to it/;
      assert.match((await setup.cli(['status'])).stderr, other);
      writeFileSync(chain, makeCertificate('two').cert + readFileSync(setup.cert, 'utf8'));
      assert.match((await setup.cli(['status'])).stderr, other);
      writeFileSync(file, JSON.stringify(listensAt));
    },
  );

  await t.test(
    'the command line knows its own server whatever the dates of its certificate',
    async () => {
      const dayMs = 86_400_000;
      for (const [validTo, warning] of [
        [
          new Date(Date.now() - dayMs),
          /cert\.pem: is valid no longer, since \d{4}-.*: other clients/,
        ],
        // As the makers of these write it: from 7300 days before its end.
        [
          new Date(Date.now() + 7301 * dayMs),
          /cert\.pem: is valid only from \d{4}-.*: other clients/,
        ],
      ] as const) {
        const made = makeCertificate('two', { validTo });
        const before = setup.logged('a new certificate is served');
        setup.put(made);
        while (setup.logged('a new certificate is served') === before) await sleep(50);
        await setup.untilServed(made);
        for (const args of [['status'], ['dispense', 'pet'], ['token', 'list'], ['pool', 'list']]) {
          const { code, stdout, stderr } = await setup.cli(args);
          assert.equal(code, 0, `${args}: ${stderr}`);
          assert.notEqual(stdout, '');
          assert.match(stderr, warning);
          assert.equal(stderr.match(/tls_cert/g)!.length, 1, 'it is said once');
        }
      }
      const last = makeCertificate('three');
      setup.put(last);
      while (setup.logged('a new certificate is served') < 3) await sleep(50);
      await setup.untilServed(last);
      assert.equal((await setup.cli(['status'])).stderr, '');
    },
  );
});

test('a new certificate is served under load, and no request fails for it', LIMIT, async () => {
  const [one, two] = [makeCertificate('one'), makeCertificate('two')];
  await using setup = await Setup.begin(one, 'threads = 2');
  const ca = one.cert + two.cert;
  const handed: Handed[] = [];
  let isLoaded = true;
  const agent = new Agent({ keepAlive: true, ca });
  const client = async (options: RequestOptions): Promise<void> => {
    while (isLoaded) {
      const { status, body } = await setup.ask('POST', DISPENSE, ca, options);
      if (status === 200) handed.push(...body.addresses);
      else assert.equal(body.code, 'POOL_EMPTY');
      // A handshake takes both sides 5 ms of processor time.
      await sleep(150);
    }
  };
  // Connections that go on, and new ones all the time.
  const options = [{ agent }, { agent }, {}, {}];
  const clients = options.map(client);
  try {
    setup.put(two);
    for (let row = 0; row < 20; await sleep(10)) {
      row = (await setup.served()) === 'two' ? row + 1 : 0;
    }
    assert.equal(setup.logged('a new certificate is served'), 1);

    // Half a pair, and none: the old one stays, and each is logged.
    const three = makeCertificate('three');
    writeFileSync(setup.cert, three.cert);
    const refused = 'the new certificate is refused; the old one stays';
    while (setup.logged(refused) < 1) await sleep(50);
    assert.equal(await setup.served(), 'two');
    writeFileSync(setup.key, 'no key');
    while (setup.logged(refused) < 2) await sleep(50);
    assert.equal(await setup.served(), 'two');
    setup.put(two);
    while (setup.logged('a new certificate is served') < 2) await sleep(50);
    assert.equal(setup.logged(refused), 2);
    while (handed.length <= 100) await sleep(20);
  } finally {
    isLoaded = false;
  }
  await Promise.all(clients);
  agent.destroy();
  assert.equal(new Set(handed.map(({ address }) => address)).size, handed.length);
  assert.equal(await setup.server.kill('SIGTERM'), 0);
  const key = `${one.key}${two.key}`.split('\n').filter((line) => line.length > 40);
  assert.ok(key.length >= 4);
  for (const line of key) assert.ok(!setup.server.output.includes(line), 'a key is in the log');
});

test('what cannot be served is said at the start', LIMIT, async () => {
  await using workspace = new Workspace();
  const start = async (env: Record<string, string>, ...args: string[]) => {
    const all = ['serve', '--port', '0', ...args];
    const { code, stderr } = await vanitypoolHere(all, env, workspace.path);
    assert.ok(code === 1 || code === 2, `exit code ${code}`);
    return stderr;
  };
  const files = { VANITYPOOL_HTTP__TLS_CERT: 'cert.pem', VANITYPOOL_HTTP__TLS_KEY: 'key.pem' };
  assert.match(
    await start(files),
    /tls_cert: .*cert\.pem: there is no such file \(CERTIFICATE_INV/,
  );
  writeFileSync(join(workspace.path, 'cert.pem'), makeCertificate('one').cert);
  writeFileSync(join(workspace.path, 'key.pem'), makeCertificate('two').key);
  assert.match(await start(files), /tls_key: .*key\.pem: is not the key of the certificate/);
  assert.match(await start({}, '--host', HOST), /TLS_CERT=cert\.pem .*BIND_REFUSED/);
  const open = { ...files, VANITYPOOL_AUTH__REQUIRED: 'false' };
  assert.match(await start(open, '--host', HOST), /AUTH__REQUIRED=true .*BIND_REFUSED/);
});

test(
  'without TLS, by leave or behind a proxy, a token is needed from the start',
  LIMIT,
  async () => {
    for (const line of [`host = "${HOST}"\ninsecure = true`, 'trust_proxy = true']) {
      await using workspace = new Workspace();
      workspace.configure([EASY_POOL], '[http]', line);
      const server = await workspace.serve();
      const status = async (token?: string): Promise<number> => {
        const headers = { 'x-forwarded-for': '192.0.2.1', ...(token && { authorization: token }) };
        return (await fetch(new URL('/v1/pools', server.url), { headers })).status;
      };
      assert.equal(await status(), 401);
      const env = { VANITYPOOL_HTTP__PORT: new URL(server.url).port };
      const create = ['token', 'create', '--name', 'eye', '--scope', 'read', '--scope', 'dispense'];
      const { code, stdout, stderr } = await vanitypoolHere(create, env, workspace.path);
      assert.equal(code, 0, stderr);
      const token = stdout.trim();
      assert.equal(await status(`Bearer ${token}`), 200);
      const prefix = { 'x-forwarded-for': '192.0.2.1', 'x-forwarded-prefix': '/some/pool' };
      const reserve = () =>
        fetch(new URL('/v1/pools/pet/reservations', server.url), {
          method: 'POST',
          headers: { ...prefix, authorization: `Bearer ${token}` },
        });
      let held = await reserve();
      for (; held.status === 503; held = await reserve()) await sleep(50);
      const { id } = (await held.json()) as { id: string };
      const path = `${line.includes('trust_proxy') ? '/some/pool' : ''}/v1/reservations/${id}`;
      assert.equal(held.headers.get('location'), path);
    }
  },
);
