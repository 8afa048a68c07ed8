/**
 * A setting of a pool is declared once: one that is added to the table is there in the file, the
 * environment, the flags, the bodies of the HTTP API, the stored settings, the help and the completions.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newPoolBody, poolChangeBody } from '../../src/api/pools.ts';
import { readArguments } from '../../src/cli/arguments.ts';
import { poolOptions } from '../../src/cli/command-options.ts';
import { completionsFor } from '../../src/cli/completions.ts';
import { settingsIn } from '../../src/cli/pool.ts';
import { poolHelp } from '../../src/cli/pool-help.ts';
import { inFile, type PoolConfig, readChange, readPool } from '../../src/config/pool-config.ts';
import {
  POOL_SETTINGS,
  type PoolSetting,
  type SettingsOf,
  spelled,
} from '../../src/config/pool-settings.ts';
import { configOf } from '../../src/pool/pool-definition.ts';
import { completed, parts } from '../../src/store/stored-pool.ts';
import { load, refuses } from '../support/configuration.ts';
import { SqliteStores } from '../support/sqlite-stores.ts';

const TABLE = {
  ...POOL_SETTINGS,
  neighbourPools: {
    kind: 'list',
    default: [],
    pattern: '^[A-Z][a-z]+$',
    allowed: 'a list of pools',
    example: 'Other',
    isChangeable: true,
    description: 'Pools that stand beside it.',
    flag: { value: 'POOL', help: 'a pool stands beside this one' },
  },
  idleSeconds: {
    kind: 'whole',
    default: 30,
    min: 5,
    max: 3600,
    isChangeable: true,
    description: 'Seconds without a request.',
    flag: { value: 'N', help: 'idle after N seconds without a request' },
  },
} as const satisfies Readonly<Record<string, PoolSetting>>;

type More = SettingsOf<typeof TABLE>;
const NEIGHBOURS = ['One', 'Two'];
const BASE = { name: 'new', suffix: 'x' };

function added(config: unknown): unknown[] {
  const { neighbourPools, idleSeconds } = config as More;
  return [neighbourPools, idleSeconds];
}

test('what is added is read from the file, and has its default and its range there', () => {
  const toml = '[[pools]]\nname = "new"\nsuffix = "x"\n';
  const read = (lines: string) => load(`${toml}${lines}`).pools;
  assert.throws(() => read('idle_seconds = 9'), { code: 'CONFIG_UNKNOWN_KEY' });
  const wide = (lines: string, env = {}) => load(`${toml}${lines}`, { env }, TABLE).pools[0];
  assert.deepEqual(added(wide('')), [[], 30]);
  const given = 'neighbour_pools = ["One", "Two"]\nidle_seconds = 9';
  assert.deepEqual(added(wide(given)), [NEIGHBOURS, 9]);
  for (const [line, allowed] of [
    ['idle_seconds = 4', 'a whole number from 5 to 3600'],
    ['neighbour_pools = "One"', 'a list of pools'],
    ['neighbour_pools = ["One", 2]', 'a list of pools'],
    ['neighbour_pools = [""]', 'a list of pools'],
    ['neighbour_pools = ["one"]', 'a list of pools'],
  ] as const) {
    refuses(() => wide(line), 'CONFIG_INVALID', `is not allowed; allowed: ${allowed}`);
  }
});

test('and from the environment', () => {
  const env = {
    VANITYPOOL_POOLS__0__NEIGHBOUR_POOLS: 'One, Two',
    VANITYPOOL_POOLS__0__IDLE_SECONDS: '9',
  };
  assert.deepEqual(added(load('', { env }, TABLE).pools[0]), [NEIGHBOURS, 9]);
});

test('and from flags, of "pool create" and of "pool set"', () => {
  const options = poolOptions(TABLE);
  const flags = ['--neighbour-pools', 'One', '--neighbour-pools=Two', '--idle-seconds', '9'];
  for (const verb of ['create', 'set'] as const) {
    const taken = { command: `pool ${verb}`, options: options[verb] };
    const given = settingsIn(readArguments(flags, taken).values as object as More, TABLE);
    assert.deepEqual(given, { neighbourPools: NEIGHBOURS, idleSeconds: 9 });
    const nameOf = (key: string) => `--${spelled(key, '-')}`;
    const whole = readPool({ ...BASE, ...inFile(given) }, nameOf, TABLE);
    assert.deepEqual(added(whole), [NEIGHBOURS, 9]);
    assert.deepEqual(readChange(inFile(given), nameOf, TABLE), given);
  }
});

test('and from the bodies of requests, which are typed by it', () => {
  const made = newPoolBody(TABLE).anyOf[0].properties;
  const changed = poolChangeBody(TABLE).properties;
  for (const { neighbourPools, idleSeconds } of [made, changed]) {
    assert.deepEqual(neighbourPools, {
      type: 'array',
      items: { type: 'string', minLength: 1, pattern: '^[A-Z][a-z]+$' },
      description: 'Pools that stand beside it.',
      examples: [['Other']],
    });
    assert.deepEqual([idleSeconds.minimum, idleSeconds.maximum], [5, 3600]);
    const type: 'integer' = idleSeconds.type;
    assert.equal(type, 'integer');
  }
  const body = { ...BASE, neighbourPools: NEIGHBOURS, idleSeconds: 9 };
  assert.deepEqual(added(readPool(inFile(body), (key) => key, TABLE)), [NEIGHBOURS, 9]);
});

test('and comes back with stored settings, or as its default', () => {
  const config = readPool({ ...BASE, idle_seconds: 9, neighbour_pools: NEIGHBOURS }, String, TABLE);
  const stored = JSON.parse(JSON.stringify(parts(config).settings));
  assert.deepEqual(added(completed(stored, TABLE)), [NEIGHBOURS, 9]);
  const { settings } = parts(load('').pools[0] as PoolConfig);
  assert.deepEqual(completed(settings, TABLE), {
    ...settings,
    neighbourPools: [],
    idleSeconds: 30,
  });
});

test('a stored limit of signatures stays, whatever the default is by now', async () => {
  const stores = new SqliteStores();
  const store = await stores.open();
  for (const [name, signLimit] of [
    ['old', 1],
    ['new', undefined],
  ] as const) {
    const given = { ...BASE, name, handout: 'sign-only' };
    const limit = signLimit === undefined ? {} : { sign_limit: signLimit };
    const { identity, settings } = parts(readPool({ ...given, ...limit }, String));
    await store.definePool(identity, settings);
  }
  const limits = (await store.pools()).map((pool) => configOf(pool)?.signLimit);
  await stores.destroy(store);
  assert.deepEqual(limits, [1, 16]);
  assert.equal(completed({ target: 5, signLimit: 1 }).signLimit, 1);
});

test('and stands in the help, with what it may be', () => {
  const help = poolHelp('', TABLE);
  assert.match(help, /pool set NAME .*\[--neighbour-pools POOL\] \[--idle-seconds N\]\n/);
  assert.match(help, /^ {2}--neighbour-pools POOL {2}a pool stands beside .* several times/m);
  assert.match(help, /^ {2}--idle-seconds N {3}idle after N seconds .* \(default: 30\)$/m);
});

test('and is completed', () => {
  for (const shell of ['bash', 'zsh'] as const) {
    const lines = completionsFor(shell, TABLE).split('\n');
    for (const verb of ['create', 'set']) {
      const line = lines.find((one) => one.includes(`'pool ${verb} '*) `));
      assert.match(line!, / --neighbour-pools --idle-seconds --help'/);
    }
  }
  const fish = completionsFor('fish', TABLE);
  for (const verb of ['create', 'set']) {
    assert.match(fish, new RegExp(`"pool ${verb} \\*"' -l neighbour-pools -r\n`));
    assert.match(fish, new RegExp(`"pool ${verb} \\*"' -l idle-seconds -r\n`));
  }
});

test('a name has one spelling for the file and one for flags', () => {
  assert.deepEqual(
    [spelled('readyMax', '_'), spelled('readyMax', '-')],
    ['ready_max', 'ready-max'],
  );
  assert.deepEqual([spelled('target', '_'), spelled('target', '-')], ['target', 'target']);
});
