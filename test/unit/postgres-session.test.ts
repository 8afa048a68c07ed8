/** Who gets in, and how: passwords, TLS, and what an error says. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inspect } from 'node:util';
import { VanityError } from '../../src/errors.ts';
import { Connection } from '../../src/store/postgres/connection.ts';
import { sessionError } from '../../src/store/postgres/error.ts';
import { connectionSettings } from '../../src/store/postgres/settings.ts';
import { makeCertificate } from '../support/certificates.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPostgres } from '../support/postgres-program.ts';

const skip = await withoutPostgres(18);
const root = mkdtempSync(join(tmpdir(), 'vanitypool-session-'));
after(() => rmSync(root, { recursive: true }));

let server: PostgresServer;
before(async () => {
  if (skip !== false) return;
  // The certificate below is not for the second.
  server = await PostgresServer.start({ settings: "listen_addresses = '127.0.0.1, 127.0.0.3'" });
  await server.sql(`CREATE ROLE u LOGIN PASSWORD '${PASSWORD}'; CREATE ROLE by_certificate LOGIN`);
});
after(() => server?.[Symbol.asyncDispose]());

const PASSWORD = 'sEcReT-0815';

/** All that was thrown. */
const thrown: unknown[] = [];
const warnings: Error[] = [];
process.on('warning', (warning) => warnings.push(warning));

/** Nothing of the environment of the test. */
function settingsOf(url: string, env: Record<string, string> = {}) {
  return connectionSettings(url, {
    PGPASSFILE: join(root, 'none'),
    PGCONNECT_TIMEOUT: '60',
    ...env,
  });
}

/** Whether the connection has TLS, as the server sees it. */
async function hasTls(url: string, env?: Record<string, string>): Promise<boolean> {
  await using connection = new Connection(settingsOf(url, env));
  try {
    const { rows } = await connection.transaction((transaction) =>
      transaction.query<{ ssl: boolean }>(
        'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
      ),
    );
    return rows[0]!.ssl;
  } catch (error) {
    thrown.push(error);
    throw error;
  }
}

const refused = (code: string, message: RegExp, url: string, env?: Record<string, string>) =>
  assert.rejects(hasTls(url, env), { code, message }, url);

const urlOf = (more = '', user = 'u', host = '127.0.0.1') =>
  `postgres://${user}@${host}:${server.port}/postgres${more}`;

test('a password comes from the URL, the environment or a file', { skip }, async () => {
  const file = join(root, 'pgpass');
  writeFileSync(file, `*:*:*:u:${PASSWORD}\n`, { mode: 0o600 });
  assert.equal(await hasTls(urlOf('', `u:${PASSWORD}`)), false);
  assert.equal(await hasTls(urlOf(), { PGPASSWORD: PASSWORD }), false);
  assert.equal(await hasTls(urlOf(), { PGPASSFILE: file }), false);
  await refused('CONFIG_INVALID', /the server wants a password: put it in PGPASSWORD/, urlOf());
  const wrong =
    /^postgres:\/\/127\.0\.0\.1:\d+\/postgres: password authentication failed for user "u"\. The/;
  await refused('CONFIG_INVALID', wrong, urlOf('', `u:${PASSWORD}x`));
  await refused('CONFIG_INVALID', /for user "nobody"/, urlOf('', `nobody:${PASSWORD}`));
});

test('a socket needs no port that is open', { skip }, async () => {
  const url = `postgres://postgres@/postgres?host=${server.data}&port=${server.port}&sslmode=require`;
  assert.equal(await hasTls(url), false, 'and no TLS');
});

test('who is not there, or not for us, is named', { skip }, async () => {
  const absent = urlOf().replace('/postgres', '/absent');
  await refused('CONFIG_INVALID', /database "absent" does not exist\. Create it first/, absent, {
    PGPASSWORD: PASSWORD,
  });
  const nobody = `postgres://u:${PASSWORD}@127.0.0.1:1/d`;
  await refused(
    'STORE_UNAVAILABLE',
    /^postgres:\/\/127\.0\.0\.1:1\/d: connect ECONNREFUSED 127\.0\.0\.1:1\. Start the server there, or correct store\.url$/,
    nobody,
  );
  await refused('STORE_UNAVAILABLE', /ECONNREFUSED/, `postgres://u:${PASSWORD}@localhost:1/d`);
  await refused(
    'STORE_UNAVAILABLE',
    /nowhere\.invalid/,
    `postgres://u:${PASSWORD}@nowhere.invalid/d`,
  );
  await refused('STORE_UNAVAILABLE', /ENOENT/, `postgres://u:${PASSWORD}@/d?host=${root}`);
});

test('of several addresses of a host each says why', () => {
  const reasons = ['::1', '127.0.0.1'].map((host) => new Error(`connect ECONNREFUSED ${host}:1`));
  const { message } = sessionError(new AggregateError(reasons), false) as Error;
  assert.equal(message, 'connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1');
});

test('without TLS on the server only those go on who may', { skip }, async () => {
  const env = { PGPASSWORD: PASSWORD };
  assert.equal(await hasTls(urlOf('?sslmode=disable'), env), false);
  assert.equal(await hasTls(urlOf('?sslmode=prefer'), env), false);
  const none = /sslmode=require: the server has no TLS; sslmode=disable goes without/;
  await refused('CONFIG_INVALID', none, urlOf('?sslmode=require'), env);
  await refused('CONFIG_INVALID', /has no TLS/, urlOf('?sslrootcert=system'), env);
});

test('with TLS each mode proves what it says', { skip }, async () => {
  const own = makeCertificate('server');
  const client = makeCertificate('by_certificate');
  server.write('server.crt', own.cert);
  server.write('server.key', own.key);
  server.write('clients.crt', client.cert);
  await server.set('ssl_ca_file', 'clients.crt');
  await server.set('ssl', 'on');
  const path = (name: string, content: string): string => {
    writeFileSync(join(root, name), content);
    return join(root, name);
  };
  const [right, wrong] = [path('right', own.cert), path('wrong', makeCertificate('server').cert)];
  const env = { PGPASSWORD: PASSWORD };
  const other = '127.0.0.3';

  assert.equal(await hasTls(urlOf('?sslmode=disable'), env), false);
  for (const mode of ['prefer', 'require']) {
    assert.equal(await hasTls(urlOf(`?sslmode=${mode}`), env), true, mode);
  }
  const judged = (mode: string, root: string) => `?sslmode=${mode}&sslrootcert=${root}`;
  for (const mode of ['require', 'verify-ca', 'verify-full']) {
    assert.equal(await hasTls(urlOf(judged(mode, right)), env), true, mode);
    const refusal = new RegExp(`TLS, sslmode=${mode}: self-signed certificate`);
    await refused('CERTIFICATE_INVALID', refusal, urlOf(judged(mode, wrong)), env);
  }
  assert.equal(await hasTls(urlOf(judged('verify-ca', right), 'u', other), env), true);
  const named = /IP: 127\.0\.0\.3 is not in the cert's list/;
  await refused('CERTIFICATE_INVALID', named, urlOf(judged('verify-full', right), 'u', other), env);
  await refused('CERTIFICATE_INVALID', /self-signed/, urlOf('?sslrootcert=system'), env);
  const missing = urlOf(judged('verify-ca', join(root, 'absent')));
  await refused('CERTIFICATE_INVALID', /sslrootcert: .*absent: cannot be read/, missing, env);
  const none = urlOf(judged('verify-ca', path('text', 'x')));
  await refused('CERTIFICATE_INVALID', /: self-signed certificate$/, none, env);

  const [cert, key] = [path('cert', client.cert), path('key', client.key)];
  const ours = `?sslmode=require&sslcert=${cert}&sslkey=${key}`;
  assert.equal(await hasTls(urlOf(ours, 'by_certificate')), true);
  const not = urlOf('?sslmode=require', 'by_certificate');
  await refused('CONFIG_INVALID', /connection requires a valid client certificate/, not);
  const mixed = urlOf(`?sslmode=require&sslcert=${right}&sslkey=${key}`, 'by_certificate');
  await refused('CERTIFICATE_INVALID', /key values mismatch/, mixed);
});

test('no error holds the password, nor did a warning', { skip }, async () => {
  const connection = new Connection(settingsOf(urlOf('', `u:${PASSWORD}`)));
  await connection.transaction(async () => undefined);
  const seen = [...thrown, connection, settingsOf(urlOf('', `u:${PASSWORD}`)), ...warnings];
  await connection[Symbol.asyncDispose]();
  assert.ok(thrown.filter((error) => error instanceof VanityError).length >= 15);
  for (const one of seen) {
    const text = inspect(one, { showHidden: true, depth: Number.POSITIVE_INFINITY });
    assert.ok(!text.includes(PASSWORD), text);
  }
  assert.ok(!server.log.replace(/CREATE ROLE.*/g, '').includes(PASSWORD));
  assert.deepEqual(warnings, []);
});
