import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { inspect } from 'node:util';
import { connectionSettings, TLS_MODES } from '../../src/store/postgres/settings.ts';

const root = mkdtempSync(join(tmpdir(), 'vanitypool-settings-'));
after(() => rmSync(root, { recursive: true }));

/** Nothing of the machine's own counts. */
const settingsOf = (url: string, env: Record<string, string> = {}) =>
  connectionSettings(url, { PGPASSFILE: join(root, 'none'), ...env });

const refused = (url: string, message: RegExp, env?: Record<string, string>) =>
  assert.throws(() => settingsOf(url, env), { code: 'CONFIG_INVALID', message }, url);

test('a URL says where the server is, whose the store is, and what else', () => {
  const url =
    'postgresql://us%65r:p%40%3Ass@db.example:6543/na%2Fme?application_name=one&options=-c%20geqo%3Doff' +
    '&connect_timeout=7&sslmode=require';
  const { password, tls, ...others } = settingsOf(url);
  assert.deepEqual(others, {
    name: 'postgres://db.example:6543/na/me',
    host: 'db.example',
    port: 6543,
    database: 'na/me',
    user: 'user',
    applicationName: 'one',
    options: '-c geqo=off',
    connectTimeoutMs: 7000,
  });
  assert.equal(password(), 'p@:ss');
  assert.equal(tls.mode, 'require');
});

test('what a URL leaves out is taken from the environment, else from what is usual', () => {
  const user = userInfo().username;
  const { host, port, database, ...usual } = settingsOf('postgres://');
  assert.deepEqual([host, port, database, usual.user], ['localhost', 5432, user, user]);
  assert.deepEqual([usual.tls.mode, usual.applicationName], ['prefer', 'vanitypool']);
  assert.equal(usual.connectTimeoutMs, 5000);
  const env = {
    ...{ PGHOST: 'h', PGPORT: '1', PGUSER: 'u', PGPASSWORD: 'p', PGDATABASE: 'd' },
    ...{ PGSSLMODE: 'verify-full', PGSSLROOTCERT: 'root', PGSSLCERT: 'cert', PGSSLKEY: 'key' },
    ...{ PGAPPNAME: 'a', PGOPTIONS: '-c b=c', PGCONNECT_TIMEOUT: '3' },
  };
  const taken = settingsOf('postgres://', env);
  assert.equal(taken.name, 'postgres://h:1/d');
  assert.deepEqual([taken.user, taken.password(), taken.options], ['u', 'p', '-c b=c']);
  assert.deepEqual([taken.applicationName, taken.connectTimeoutMs], ['a', 3000]);
  assert.deepEqual(taken.tls, {
    mode: 'verify-full',
    rootCertificate: 'root',
    certificate: 'cert',
    key: 'key',
  });
  const url = 'postgres://other:word@127.0.0.1:2/base';
  const own = settingsOf(url, env);
  assert.deepEqual(
    [own.name, own.user, own.password()],
    ['postgres://127.0.0.1:2/base', 'other', 'word'],
  );
  assert.equal(settingsOf('postgres://h', { PGUSER: 'u' }).database, 'u');
});

test('a host may be an IPv6 address, or the directory of a socket', () => {
  const six = settingsOf('postgres://u@[::1]:5433/d');
  assert.deepEqual([six.host, six.port, six.name], ['::1', 5433, 'postgres://[::1]:5433/d']);
  for (const url of ['postgres://u@/d?host=/run/db', 'postgres://u@%2Frun%2Fdb/d']) {
    assert.equal(settingsOf(url).host, '/run/db', url);
  }
});

test('what is not known is refused by its name', () => {
  refused('postgres://h/d?sslcrl=x', /^store\.url: sslcrl: no setting .* allowed: host, port, /);
  refused('postgres://h/d?ssl=true', /: ssl: /);
  refused('postgres://h/d?toString=x', /: toString: /);
  refused('postgres://h/d?port=0', /: port \(or PGPORT\): a whole number from 1 to 65535/);
  refused('postgres://h:12x/d', /: port /);
  refused('postgres://h/d', /: connect_timeout \(or PGCONNECT_TIMEOUT\)/, {
    PGCONNECT_TIMEOUT: '-1',
  });
  refused('postgres://a,b/d', /: host: several/);
  refused('mysql://h/d', /: "postgres:\/\/USER:PASSWORD@HOST/);
});

test('modes of TLS are those of libpq, and the certificates that are trusted are named', () => {
  for (const mode of TLS_MODES) {
    const url = `postgres://h/d?sslmode=${mode}&sslrootcert=/r.pem`;
    assert.equal(settingsOf(url).tls.mode, mode);
  }
  for (const mode of ['allow', 'no-verify', 'true', 'Require']) {
    refused(
      `postgres://h/d?sslmode=${mode}`,
      /sslmode \(or PGSSLMODE\): allowed: disable, prefer, /,
    );
  }
  refused('postgres://h/d', /sslmode/, { PGSSLMODE: 'allow' });
  refused('postgres://h/d?sslmode=verify-ca', /sslmode=verify-ca: whose certificates\?/);
  refused('postgres://h/d?sslmode=verify-full', /sslrootcert=FILE/);
  assert.equal(settingsOf('postgres://h/d?sslrootcert=system').tls.mode, 'verify-full');
  refused('postgres://h/d?sslrootcert=system&sslmode=require', /use sslmode=verify-full/);
  refused('postgres://h/d?sslcert=c.pem', /sslcert and sslkey/);
});

test('no part of a password is in an error, however the URL was written', () => {
  const urls = [
    'postgres://user:Se/cret@h/d',
    'postgres://user:12/cret@h/d',
    'postgres://user:12?cret@h/d',
    'postgres://user:12#cret@h/d',
    'postgres://user:Se@cret@h/d',
    'postgres://user:Se%cret@h/d',
    'postgres://user:cret@h:cret/d?port=cret',
    'postgresql//user:cret@h/d',
  ];
  for (const url of urls) {
    assert.throws(
      () => settingsOf(url),
      (error: Error) => !inspect(error, { showHidden: true, depth: 9 }).includes('cret'),
      url,
    );
  }
  const settings = settingsOf('postgres://user:cret@h/d', { PGPASSWORD: 'cret' });
  assert.ok(!inspect(settings, { showHidden: true, depth: 9 }).includes('cret'));
  assert.ok(!JSON.stringify(settings).includes('cret'));
});

test('the first line of a password file that fits counts', () => {
  const file = join(root, 'pgpass');
  const lines = [
    '# h:5432:d:u:comment',
    'h:5432:d:u',
    'h:5433:d:u:other port',
    'h:5432:d:u:one',
    'h:5432:d:u:never',
    String.raw`h:*:co\:lon:u:back\\sla\:sh`,
    '::1:5432:d:u:wrong',
    String.raw`\:\:1:5432:d:u:six`,
    'localhost:*:*:u:socket',
    '*:*:*:v:any:thing',
  ];
  writeFileSync(file, `${lines.join('\r\n')}\n`, { mode: 0o600 });
  const passwordFor = (url: string) => settingsOf(url, { PGPASSFILE: file }).password();
  assert.equal(passwordFor('postgres://u@h/d'), 'one');
  assert.equal(passwordFor('postgres://u@h/co%3Alon'), 'back\\sla:sh');
  assert.equal(passwordFor('postgres://u@[::1]/d'), 'six');
  assert.equal(passwordFor('postgres://u@/d?host=/run/db'), 'socket');
  assert.equal(passwordFor('postgres://v@x:9/y'), 'any');
  assert.equal(passwordFor('postgres://u:own@h/d'), 'own');
  const missing = {
    code: 'CONFIG_INVALID',
    message: /wants a password: put it in PGPASSWORD, or in /,
  };
  assert.throws(() => passwordFor('postgres://w@h/d'), missing);
  assert.throws(() => settingsOf('postgres://u@h/d').password(), missing);
  chmodSync(file, 0o640);
  const open = {
    code: 'CONFIG_INVALID',
    message: `${file}: others can read it: chmod 600 ${file}`,
  };
  assert.throws(() => passwordFor('postgres://u@h/d'), open);
  rmSync(file);
  assert.throws(() => settingsOf('postgres://u@h/d', { PGPASSFILE: root }).password(), {
    code: 'CONFIG_INVALID',
  });
});
