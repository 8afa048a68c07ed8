import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/config.ts';
import type { Settings } from '../../src/config/file.ts';
import { readCpuLimits, serverThreads } from '../../src/system/cores.ts';
import { load, refuses, root } from '../support/configuration.ts';

test('with nothing at all there is one pool and every default', () => {
  const cwd = mkdtempSync(join(root, 'empty-'));
  assert.deepEqual(loadConfig({ cwd }), {
    isDefault: true,
    role: 'all',
    logLevel: 'info',
    http: {
      host: '127.0.0.1',
      port: 5057,
      threads: 1,
      tls: undefined,
      insecure: false,
      trustProxy: false,
      rateLimit: 0,
      maxConnections: 10_000,
      compat: true,
      drainSeconds: 20,
      keepAliveSeconds: 72,
    },
    store: {
      directory: join(cwd, 'data'),
      database: undefined,
      standby: 'none',
      data: join(cwd, 'data'),
      sealingKey: `file:${join(cwd, 'data', 'sealing.key')}`,
      durability: 'leased',
      copies: 'guarded',
      journal: 'auto',
      retentionHours: 24,
      leaseTtlSeconds: 300,
    },
    auth: { required: 'auto' },
    grinder: { threads: serverThreads(readCpuLimits()), batch: 256, sliceMs: 25, priority: 'auto' },
    pools: [
      {
        name: 'pet',
        suffix: '[a-z]Pet',
        prefix: '',
        ignoreCase: false,
        keys: 'seed',
        handout: 'secret',
        signLimit: 16,
        signPrograms: [],
        signWith: [],
        signFeePayer: false,
        reuseReleased: false,
        acceptsImports: false,
        target: 1000,
        ready: 256,
        readyMax: 65_536,
        lowHours: 1,
      },
    ],
    webhooks: [],
  });
});

test('the configuration cannot be changed', () => {
  const config = load('');
  for (const part of [
    config,
    config.http,
    config.store,
    config.grinder,
    config.pools,
    config.pools[0],
  ]) {
    assert.ok(Object.isFrozen(part));
  }
});

test('a flag goes before the environment, that before the file, that before the default', () => {
  const file = '[http]\nport = 1\nthreads = 2\ncompat = false\n[store]\nurl = "file:from-file"';
  const env = { VANITYPOOL_HTTP__PORT: '3', VANITYPOOL_HTTP__THREADS: '4' };
  const { http, store } = load(file, { env, flags: { 'http.port': 5 } });
  assert.deepEqual([http.port, http.threads, http.compat, http.drainSeconds], [5, 4, false, 20]);
  assert.match(store.directory!, /\/from-file$/);
});

test('a file of another name is read only when it is named, and must be there', () => {
  const cwd = mkdtempSync(join(root, 'named-'));
  writeFileSync(join(cwd, 'other.toml'), '[http]\nport = 7');
  assert.equal(loadConfig({ cwd }).http.port, 5057);
  assert.equal(loadConfig({ cwd, file: 'other.toml' }).http.port, 7);
  assert.equal(loadConfig({ cwd: '/', file: join(cwd, 'other.toml') }).http.port, 7);
  const missing = join(cwd, 'missing.toml');
  refuses(
    () => loadConfig({ cwd, file: 'missing.toml' }),
    'CONFIG_UNREADABLE',
    `${missing}: there is no such file`,
  );
});

test('a file that cannot be read or is no TOML is refused by its path', () => {
  const cwd = mkdtempSync(join(root, 'bad-'));
  refuses(() => loadConfig({ cwd, file: '.' }), 'CONFIG_UNREADABLE', cwd);
  writeFileSync(join(cwd, 'vanitypool.toml'), '[http]\nport = = 1');
  refuses(() => loadConfig({ cwd }), 'CONFIG_UNREADABLE', join(cwd, 'vanitypool.toml'));
  writeFileSync(join(cwd, 'vanitypool.toml'), '[http]\nport = 1\nport = 2');
  refuses(() => loadConfig({ cwd }), 'CONFIG_UNREADABLE', join(cwd, 'vanitypool.toml'));
});

test('a file that is no TOML is reported by its line, which is not shown: a secret may be in it', () => {
  const cwd = mkdtempSync(join(root, 'bad-'));
  writeFileSync(join(cwd, 'vanitypool.toml'), '[store]\nsealing_key = deadbeef\n');
  assert.throws(
    () => loadConfig({ cwd }),
    (error: Error) => {
      assert.match(error.message, /vanitypool\.toml: line 2, column 15: [^\n]+$/);
      return !error.message.includes('deadbeef');
    },
  );
});

test('what is wrong is named as its source names it', () => {
  const names = { 'http.port': '--port' };
  const env = { VANITYPOOL_HTTP__PORT: 'x' };
  const flags = { 'http.port': 'y' };
  refuses(() => load('', { names, env, flags }), 'CONFIG_INVALID', '--port: "y" is not allowed');
  refuses(() => load('', { names, env }), 'CONFIG_INVALID', 'VANITYPOOL_HTTP__PORT: "x" is');
  refuses(() => load('http.port = "z"', { names }), 'CONFIG_INVALID', 'http.port: "z" is');
});

test('it is known whether anything says where the data is', () => {
  assert.equal(loadConfig({ cwd: '/' }).isDefault, true);
  assert.equal(loadConfig({ cwd: '/', env: { VANITYPOOL_HTTP__PORT: '1' } }).isDefault, true);
  assert.equal(loadConfig({ cwd: '/', env: { VANITYPOOL_STORE__URL: 'file:x' } }).isDefault, false);
  assert.equal(loadConfig({ cwd: '/', flags: { 'store.url': 'file:x' } }).isDefault, false);
  assert.equal(loadConfig({ cwd: '/', flags: { 'store.data': 'x' } }).isDefault, false);
  assert.equal(load('[http]\nport = 1').isDefault, false);
});

test('a byte order mark before the file is no part of it', () => {
  assert.equal(load('\uFEFF[http]\nport = 1').http.port, 1);
  assert.equal(load('\uFEFFlog_level = "warn"').logLevel, 'warn');
});

test('paths are taken from the working directory', () => {
  const cwd = mkdtempSync(join(root, 'paths-'));
  const { http, store } = loadConfig({
    cwd,
    flags: {
      'http.host': 'unix:run.sock',
      'store.url': 'file:pools',
      'store.sealing_key': 'file:key',
    },
  });
  assert.equal(http.host, `unix:${join(cwd, 'run.sock')}`);
  assert.equal(store.directory, join(cwd, 'pools'));
  assert.equal(store.sealingKey, `file:${join(cwd, 'key')}`);
  assert.equal(
    loadConfig({ cwd, flags: { 'store.url': 'file:/srv/pools' } }).store.sealingKey,
    'file:/srv/pools/sealing.key',
  );
  const fromEnv = loadConfig({ cwd, flags: { 'store.sealing_key': 'env:POOL_KEY' } });
  assert.equal(fromEnv.store.sealingKey, 'env:POOL_KEY');
});

test('the store lies in the data directory, unless both are named', () => {
  const placesOf = (flags: Readonly<Record<string, string>>) => {
    const { directory, data, sealingKey } = loadConfig({ cwd: '/w', flags }).store;
    return [directory, data, sealingKey];
  };
  assert.deepEqual(placesOf({}), ['/w/data', '/w/data', 'file:/w/data/sealing.key']);
  const url = { 'store.url': 'file:db' };
  assert.deepEqual(placesOf(url), ['/w/db', '/w/db', 'file:/w/db/sealing.key']);
  const data = { 'store.data': 'own' };
  assert.deepEqual(placesOf(data), ['/w/own', '/w/own', 'file:/w/own/sealing.key']);
  assert.deepEqual(placesOf({ ...url, ...data }), ['/w/db', '/w/own', 'file:/w/own/sealing.key']);
});

test('a database has no directory, and this machine has one for what is its own', () => {
  const placesOf = (flags: Readonly<Record<string, string>>, given?: string) => {
    const { directory, database, data, sealingKey } = loadConfig({
      ...{ cwd: '/w', flags, data: given },
    }).store;
    return [directory, database, data, sealingKey];
  };
  for (const url of ['postgres://pool@db/pool', 'postgresql:///pool?host=/run/postgresql']) {
    const place = [undefined, url, '/w/data', 'file:/w/data/sealing.key'];
    assert.deepEqual(placesOf({ 'store.url': url }), place);
    const own = [undefined, url, '/w/own', 'file:/w/own/sealing.key'];
    assert.deepEqual(placesOf({ 'store.url': url, 'store.data': 'own' }), own);
    assert.deepEqual(placesOf({ 'store.url': url, 'store.data': 'other' }, 'own'), own);
  }
  const file = ['/w/own', undefined, '/w/own', 'file:/w/own/sealing.key'];
  assert.deepEqual(placesOf({ 'store.url': 'file:db', 'store.data': 'other' }, 'own'), file);
  refuses(() => placesOf({}, '~/x'), 'CONFIG_INVALID', '--data: "~/x" is not allowed');
});

test('only environment names with __ are configuration', () => {
  const env = { VANITYPOOL_ISA: 'portable', VANITYPOOL_PORT: '1', OTHER__PORT: '2', PATH: '/bin' };
  assert.equal(load('', { env }).http.port, 5057);
  refuses(
    () => load('', { env: { VANITYPOOL_HTTP__PROT: '1' } }),
    'CONFIG_UNKNOWN_KEY',
    'VANITYPOOL_HTTP__PROT: no such key; there are: role, log_level, http.host',
  );
  assert.equal(load('', { env: { VANITYPOOL___LOG_LEVEL: 'warn' } }).logLevel, 'warn');
  assert.equal(load('', { env: { VANITYPOOL_HTTP__PORT: undefined } }).http.port, 5057);
});

test('a value of the environment has the kind of its key', () => {
  const env = {
    VANITYPOOL_HTTP__COMPAT: 'false',
    VANITYPOOL_HTTP__HOST: '127',
    VANITYPOOL_STORE__URL: 'file:123',
    VANITYPOOL_GRINDER__THREADS: '0',
    VANITYPOOL_GRINDER__PRIORITY: 'normal',
    VANITYPOOL__LOG_LEVEL: 'warn',
    VANITYPOOL_AUTH__REQUIRED: 'false',
  };
  const { http, store, grinder, logLevel } = load('', { env });
  assert.equal(logLevel, 'warn');
  assert.equal(http.compat, false);
  assert.equal(http.host, '127');
  assert.match(store.directory!, /\/123$/);
  assert.equal(grinder.threads, 0);
  assert.equal(grinder.priority, 'normal');
  for (const value of ['x', '', '1.5', '-1', '0x10', '1e3', ' 1']) {
    const bad = { VANITYPOOL_HTTP__PORT: value };
    refuses(() => load('', { env: bad }), 'CONFIG_INVALID', 'VANITYPOOL_HTTP__PORT: ');
  }
});

test('what may be a secret is not repeated', () => {
  const env = { VANITYPOOL_STORE__SEALING_KEY: 'deadbeef' };
  assert.throws(
    () => load('', { env }),
    (error: Error) => {
      assert.match(error.message, /^VANITYPOOL_STORE__SEALING_KEY: this value is not allowed/);
      return !error.message.includes('deadbeef');
    },
  );
});

const NO_HOME = 'a "~" in front is no home directory here, "./~" is a name';
/** For each key what is refused and what the message says is allowed. */
const BAD: readonly (readonly [key: string, allowed: string, ...values: unknown[]])[] = [
  ['role', '"all" or "api" or "grinder"', 'worker', 1],
  ['log_level', '"debug" or "info" or "warn" or "error" or "silent"', 'loud', 1, true],
  ['http.host', 'an address', '', 'a b', 'unix:', 5],
  ['http.port', 'a whole number from 0 to 65535', -1, 65_536, 1.5, '80', true],
  ['http.threads', 'a whole number from 1 to 64', 0, 65, '2'],
  ['http.tls_cert', `the path of a PEM file; ${NO_HOME}`, '', 5, '~/cert.pem'],
  [
    'http.tls_key',
    `the path of a PEM file; ${NO_HOME}`,
    '',
    5,
    '-----BEGIN PRIVATE KEY-----',
    '~/k',
  ],
  ['http.insecure', 'true or false', 'false'],
  [
    'http.trust_proxy',
    'true, false, or addresses',
    1,
    '',
    'proxy.example',
    '10.0.0.0/33',
    '10.0.0.1/8/8',
    '10.0.0.1,',
    'loopback/8',
  ],
  ['http.rate_limit', 'a whole number from 0 to 1000000', -1, 1.5],
  ['http.max_connections', 'a whole number from 1 to 1000000', 0],
  ['http.compat', 'true or false', 'yes', 1],
  ['http.drain_seconds', 'a whole number from 0 to 3600', -1, 3601],
  ['http.keep_alive_seconds', 'a whole number from 1 to 3600', 0, 3601, 1.5],
  [
    'store.url',
    `"file:DIRECTORY" or "postgres://USER@HOST:PORT/DATABASE"; ${NO_HOME}`,
    ...['mysql://user:password@host/db', 'postgres:db', 'file:', './data', 1],
    ...['file:~', 'file:~/x', 'file:~ops/x'],
  ],
  ['store.data', `a directory; ${NO_HOME}`, 1, '~', '~/x'],
  ['store.standby', '"none" or "synchronous"', 'asynchronous', true],
  ['store.durability', '"leased" or "committed"', 'none', true],
  ['store.copies', '"guarded" or "unguarded"', 'none', false],
  ['store.journal', '"auto" or "memory" or "data"', 'disk', true],
  [
    'store.sealing_key',
    `"file:PATH" or "env:NAME", or of a grinder "public:DIGITS"; ${NO_HOME}`,
    'file:~/key',
    'secret',
    'file:',
    'env:',
    'env:1A',
    'env:A B',
  ],
  ['store.retention_hours', 'a whole number from 1 to 8760', 0, 8761],
  ['store.lease_ttl_seconds', 'a whole number from 10 to 86400', 9, 86_401, 10.5],
  ['grinder.threads', 'a whole number from 0 to 1024', -1, 1025, 'all'],
  ['grinder.batch', 'a whole number from 1 to 4096', 0, 4097],
  ['grinder.slice_ms', 'a whole number from 1 to 50', 0, 51],
  ['grinder.priority', '"auto" or "idle" or "low" or "normal"', 'high', 'raised', 0],
  ['auth.required', '"auto" or true or false', 'no', 1],
];

/** Somebody may put the secret itself where its place belongs. */
const SECRET_KEYS = new Set(['store.sealing_key', 'store.url', 'http.tls_key']);

for (const [key, allowed, ...values] of BAD) {
  test(`${key} takes only what is allowed`, () => {
    for (const value of values) {
      const shown = SECRET_KEYS.has(key) ? 'this value' : JSON.stringify(value);
      const message = `${key}: ${shown} is not allowed; allowed: ${allowed}`;
      refuses(() => load('', { flags: { [key]: value } }), 'CONFIG_INVALID', message);
    }
  });
}

test('TLS takes both files, from the working directory, and no socket', () => {
  const files = { 'http.tls_cert': 'cert.pem', 'http.tls_key': '/etc/key.pem' };
  const cwd = mkdtempSync(join(root, 'tls-'));
  const { tls } = loadConfig({ cwd, flags: files }).http;
  assert.deepEqual(tls, { cert: join(cwd, 'cert.pem'), key: '/etc/key.pem' });
  const refused = (flags: Settings, detail: string) =>
    refuses(() => load('', { flags }), 'CONFIG_INVALID', detail);
  refused({ 'http.tls_cert': 'c' }, 'http.tls_key: is missing');
  refused({ 'http.tls_key': 'k' }, 'http.tls_cert: is missing');
  refused({ ...files, 'http.host': 'unix:sock' }, 'http.tls_cert: not allowed with unix:PATH');
});

test('a proxy is trusted by being there, or by its address', () => {
  for (const value of [true, false, 'loopback', '10.0.0.7', '10.0.0.0/8, ::1, fd00::/8']) {
    assert.equal(load('', { flags: { 'http.trust_proxy': value } }).http.trustProxy, value);
  }
  const env = { VANITYPOOL_HTTP__TRUST_PROXY: 'true' };
  assert.equal(load('', { env }).http.trustProxy, true);
});

test('every key has its bad values tested above', () => {
  const { message } = (() => {
    try {
      return load('', { flags: { nonsense: 1 } }) as never;
    } catch (error) {
      return error as Error;
    }
  })();
  const known = message.split('there are: ')[1]!.split(', ');
  assert.deepEqual(known.toSorted(), BAD.map(([key]) => key).toSorted());
});

test('an unknown key, section or key of a pool is refused by its name', () => {
  refuses(
    () => load('[http]\nprot = 1'),
    'CONFIG_UNKNOWN_KEY',
    'http.prot: no such key; there are: ',
  );
  refuses(() => load('[htpp]\nport = 1'), 'CONFIG_UNKNOWN_KEY', 'htpp.port: no such key');
  refuses(() => load('port = 1'), 'CONFIG_UNKNOWN_KEY', 'port: no such key');
  refuses(() => load('[__proto__]\nport = 1'), 'CONFIG_UNKNOWN_KEY', 'no such key');
  refuses(() => load('toString = 1'), 'CONFIG_UNKNOWN_KEY', 'toString: no such key');
  refuses(
    () => load('[[pools]]\nname = "a"\nsufix = "x"'),
    'CONFIG_UNKNOWN_KEY',
    'pools.a.sufix: no such key; there are: name, suffix, prefix',
  );
  refuses(() => load('[[pools]]\nname = "a"\nhost = "x"'), 'CONFIG_UNKNOWN_KEY', 'pools.a.host');
});

const DATABASE = { 'store.url': 'postgres://db.example/pool' };
const PUBLIC = `public:${'5a'.repeat(32)}`;

test('a node for requests grinds with no thread, whatever the file says', () => {
  const flags = { role: 'api', 'grinder.threads': 3 };
  assert.equal(loadConfig({ cwd: '/w', flags }).grinder.threads, 0);
  assert.equal(loadConfig({ cwd: '/w', flags: { ...flags, ...DATABASE } }).role, 'api');
});

test('a grinder has a database, half a sealing key, and no pools and webhooks of its own', () => {
  const file = join(mkdtempSync(join(root, 'grinder-')), 'vanitypool.toml');
  const webhook = '[[webhooks]]\nurl = "https://ops.example"\nsecret = "env:HOOK"';
  writeFileSync(file, `[[pools]]\nname = "pet"\nsuffix = "Pet"\n${webhook}\n`);
  const flags = { ...DATABASE, role: 'grinder', 'store.sealing_key': PUBLIC, 'grinder.threads': 2 };
  const { pools, webhooks, store, grinder } = loadConfig({ file, flags });
  assert.deepEqual([pools, webhooks, grinder.threads], [[], [], 2]);
  assert.equal(store.sealingKey, PUBLIC);
});

test('what does not fit the role is refused, with what to do', () => {
  const refused = (flags: Settings, message: RegExp) =>
    assert.throws(() => loadConfig({ cwd: '/w', flags }), { code: 'CONFIG_INVALID', message });
  const grinder = { role: 'grinder', 'store.sealing_key': PUBLIC };
  refused(grinder, /^role: "grinder" is for a store of many nodes; set store.url = "postgres:/);
  for (const key of [{}, { 'store.sealing_key': 'file:key' }, { 'store.sealing_key': 'env:KEY' }]) {
    refused({ ...DATABASE, role: 'grinder', ...key }, /^store.sealing_key: .*vanitypool key show$/);
  }
  for (const role of ['all', 'api']) {
    refused(
      { ...grinder, ...DATABASE, role },
      /^store.sealing_key: .* it is for role = "grinder"$/,
    );
  }
  const short = { ...grinder, 'store.sealing_key': 'public:5a' };
  refused({ ...DATABASE, ...short }, /^store.sealing_key: this value is not allowed/);
});
