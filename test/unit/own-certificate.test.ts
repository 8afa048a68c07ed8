/** Over real connections of TLS: what matters is what a server of another certificate gets to see. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttps } from 'node:https';
import { type AddressInfo, createServer as createTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createServer } from 'node:tls';
import { OwnCertificate } from '../../src/cli/own-certificate.ts';
import { mayBeDone, ServerClient } from '../../src/cli/server-client.ts';
import { isNobodyThere } from '../../src/cli/server-fetch.ts';
import { type Made, makeCertificate } from '../support/certificates.ts';

const LIMIT = { timeout: 300_000 };
const DAY_MS = 86_400_000;
const EXPIRED = { validTo: new Date(Date.now() - DAY_MS) };
const TO_COME = { validTo: new Date(Date.now() + 7301 * DAY_MS) };

function own(t: TestContext, { cert }: Made): OwnCertificate {
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'cert.pem');
  writeFileSync(file, cert);
  return new OwnCertificate(file);
}

interface Listening {
  listen(port: number, host: string): unknown;
  address(): unknown;
  close(): unknown;
  once(event: string, listener: () => void): unknown;
}

async function portOf(t: TestContext, server: Listening): Promise<number> {
  const listening = once(server as never, 'listening');
  server.listen(0, '127.0.0.1');
  await listening;
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

for (const [what, wanted] of Object.entries({
  'in its time': {},
  over: EXPIRED,
  'to come': TO_COME,
})) {
  test(
    `a certificate ${what}: its own server is asked, and no name in it matters`,
    LIMIT,
    async (t) => {
      const made = makeCertificate('nobody.example', wanted);
      const server = createHttps(made, ({ headers }, reply) =>
        reply.end(JSON.stringify({ status: headers.authorization, version: '1' })),
      );
      const port = await portOf(t, server);
      const certificate = own(t, made);
      const url = `https://127.0.0.1:${port}`;
      const client = new ServerClient(url, { token: 'vp_x', certificate });
      for (let times = 0; times < 3; times++) {
        const { status } = await client.ask((one) => one.health());
        assert.equal(status, 'Bearer vp_x');
      }
      assert.equal(certificate.warning === undefined, wanted !== EXPIRED && wanted !== TO_COME);
    },
  );
}

test(
  'a server of another certificate gets no byte of a request, and no token',
  LIMIT,
  async (t) => {
    for (const wanted of [{}, EXPIRED]) {
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const ended = Promise.withResolvers<string>();
        const stranger = createServer(
          { ...makeCertificate('one', wanted), minVersion: version, maxVersion: version },
          (socket) => {
            let text = '';
            socket.on('data', (chunk) => {
              text += chunk;
            });
            socket.on('error', () => undefined).on('close', () => ended.resolve(text));
          },
        );
        // It may be refused before its side of the handshake is over.
        stranger.on('tlsClientError', () => ended.resolve(''));
        const port = await portOf(t, stranger);
        const certificate = own(t, makeCertificate('one', wanted));
        const client = new ServerClient(`https://127.0.0.1:${port}`, {
          token: 'vp_x',
          certificate,
        });
        const asked = client.ask((one) => one.dispense('pet'));
        await assert.rejects(asked, (error: Error) => {
          assert.match(error.message, /another certificate than .*cert\.pem \(CERT_NOT_OWN\)/);
          assert.doesNotMatch(error.message, /NODE_EXTRA_CA_CERTS/);
          assert.equal(mayBeDone(error), false);
          return true;
        });
        assert.equal(await ended.promise, '');
      }
    }
  },
);

test(
  'what was sent to its own server may be done, whatever becomes of the reply',
  LIMIT,
  async (t) => {
    const made = makeCertificate('own');
    const port = await portOf(
      t,
      createHttps(made, ({ socket }) => void socket.destroy()),
    );
    const url = `https://127.0.0.1:${port}`;
    const client = new ServerClient(url, { certificate: own(t, made) });
    await assert.rejects(
      client.ask((one) => one.dispense('pet')),
      (error: Error) => {
        assert.match(
          error.message,
          /: no whole reply \(ECONNRESET\); what was asked for may have been done$/,
        );
        return mayBeDone(error);
      },
    );
  },
);

test('the file may hold others behind it, which are not trusted', LIMIT, async (t) => {
  const [one, two] = [makeCertificate('one'), makeCertificate('two')];
  const port = await portOf(
    t,
    createHttps(two, (_, reply) => reply.end('{"version":"1"}')),
  );
  const ask = (cert: string) => {
    const certificate = own(t, { ...one, cert });
    const client = new ServerClient(`https://127.0.0.1:${port}`, { certificate });
    return client.ask((one) => one.health());
  };
  assert.deepEqual(await ask(two.cert + one.cert), { version: '1' });
  await assert.rejects(ask(one.cert + two.cert), /CERT_NOT_OWN/);
});

test(
  'nobody there, no TLS there, and no answer are distinguished, and nothing was sent',
  LIMIT,
  async (t) => {
    const made = makeCertificate('one');
    const certificate = own(t, made);
    const clientOf = (port: number) =>
      new ServerClient(`https://127.0.0.1:${port}`, { certificate });
    const ask = (port: number) => clientOf(port).ask((client) => client.health());

    const closed = createTcp();
    const nobody = await portOf(t, closed);
    await new Promise((resolve) => closed.close(resolve));
    await assert.rejects(ask(nobody), (error) => isNobodyThere(error));

    const plain = createTcp((socket) => socket.on('error', () => undefined).end('no TLS\r\n'));
    await assert.rejects(ask(await portOf(t, plain)), /no TLS there|nothing was sent/);

    const silent = createTcp((socket) => socket.on('error', () => undefined));
    const port = await portOf(t, silent);
    const to = { host: '127.0.0.1', port };
    for (const signal of [AbortSignal.timeout(10), AbortSignal.abort()]) {
      await assert.rejects(certificate.connect({ ...to, signal }), { name: 'AbortError' });
    }
  },
);

test('what is no certificate is refused with its file', (t) => {
  assert.throws(() => own(t, { cert: 'none', key: '' }), {
    code: 'CERTIFICATE_INVALID',
    message: /^http\.tls_cert: .*cert\.pem: cannot be read: .*; give --url$/,
  });
});
