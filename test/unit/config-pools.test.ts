/** The pools of the configuration file: what may stand there, and what is refused by its name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load, refuses } from '../support/configuration.ts';

test('pools of the file stand instead of the default one, in order', () => {
  const { pools } = load(`
    [[pools]]
    name = "pump"
    suffix = "pump"
    target = 5
    ready = 2
    ready_max = 2
    [[pools]]
    name = "abc-1_x"
    prefix = "abc"
    ignore_case = true
  `);
  assert.deepEqual(
    pools.map(({ name, suffix, prefix, ignoreCase, target, ready, readyMax }) => {
      return [name, suffix, prefix, ignoreCase, target, ready, readyMax];
    }),
    [
      ['pump', 'pump', '', false, 5, 2, 2],
      ['abc-1_x', '', 'abc', true, 1000, 256, 65_536],
    ],
  );
});

const BAD_POOLS: readonly (readonly [line: string, message: string])[] = [
  ['name = "Pet"', 'pools.Pet.name: "Pet" is not allowed; allowed: lower-case letters'],
  ['name = ""', 'pools..name: "" is not allowed'],
  ['name = 5', 'pools.1.name: 5 is not allowed'],
  ['name = "a/b"', 'pools.a/b.name: '],
  [`name = "${'a'.repeat(64)}"`, '.name: '],
  ['suffix = "a"', 'pools.1.name: a pool needs a name'],
  [
    'name = "a"\nsuffix = 1',
    'pools.a.suffix: 1 is not allowed; allowed: a pattern such as "[a-z]Pet"',
  ],
  ['name = "a"\nprefix = true', 'pools.a.prefix: true is not allowed'],
  [
    'name = "a"\nignore_case = "yes"',
    'pools.a.ignore_case: "yes" is not allowed; allowed: true or false',
  ],
  [
    'name = "a"\ntarget = 0',
    'pools.a.target: 0 is not allowed; allowed: a whole number from 1 to 100000000',
  ],
  ['name = "a"\nready = 0', 'pools.a.ready: 0 is not allowed'],
  ['name = "a"\nready_max = 1048577', 'pools.a.ready_max: 1048577 is not allowed'],
  ['name = "a"\nready = 9\nready_max = 8', 'pools.a.ready: 9 is more than ready_max (8)'],
  [
    'name = "a"\nkeys = "both"',
    'pools.a.keys: "both" is not allowed; allowed: "seed" or "expanded"',
  ],
  ['name = "a"\nhandout = "both"', 'pools.a.handout: '],
  ['name = "a"\nsign_limit = 0', 'pools.a.sign_limit: '],
  ['name = "a"\nlow_hours = -0.5', 'pools.a.low_hours: '],
  ['name = "a"\nreuse_released = 1', 'pools.a.reuse_released: '],
  ['name = "a"\naccepts_imports = 1', 'pools.a.accepts_imports: '],
  ['name = "a"\n[[pools]]\nname = "a"', 'pools.a.name: two pools have this name'],
];

for (const [lines, message] of BAD_POOLS) {
  test(`a pool with ${JSON.stringify(lines)} is refused`, () => {
    refuses(() => load(`[[pools]]\n${lines}`), 'CONFIG_INVALID', message);
  });
}

test('pools that are no tables are refused', () => {
  for (const toml of ['pools = []', 'pools = "pet"', 'pools = [1]', '[pools]\nname = "a"']) {
    refuses(() => load(toml), 'CONFIG_INVALID', 'pools: write each pool as a [[pools]] table');
  }
});

const POOLS = '[[pools]]\nname = "a"\nsuffix = "a"\nready = 5\n[[pools]]\nname = "b"\nsuffix = "b"';

test('the environment changes pools of the file by their place, and adds to them', () => {
  const env = {
    VANITYPOOL_POOLS__1__READY_MAX: '512',
    VANITYPOOL_POOLS__1__IGNORE_CASE: 'true',
    VANITYPOOL_POOLS__2__NAME: 'true',
    VANITYPOOL_POOLS__2__PREFIX: '12',
    VANITYPOOL_POOLS__2__LOW_HOURS: '0.5',
  };
  const { pools } = load(POOLS, { env });
  assert.deepEqual(
    pools.map((pool) => [pool.name, pool.prefix, pool.ignoreCase, pool.readyMax, pool.lowHours]),
    [
      ['a', '', false, 65_536, 1],
      ['b', '', true, 512, 1],
      ['true', '12', false, 65_536, 0.5],
    ],
  );
});

test('without pools in the file the first one of the environment is the default one, or one of its own', () => {
  const pet = load('', { env: { VANITYPOOL_POOLS__0__TARGET: '7' } }).pools;
  assert.deepEqual(pet, [{ ...load('').pools[0]!, target: 7 }]);
  const env = { VANITYPOOL_POOLS__0__NAME: 'own', VANITYPOOL_POOLS__0__PREFIX: 'x' };
  const own = load('', { env }).pools;
  assert.deepEqual(own, [{ ...load('').pools[0]!, name: 'own', prefix: 'x', suffix: '' }]);
  assert.equal(load('', { env: { VANITYPOOL_POOLS__1__NAME: 'more' } }).pools.length, 2);
});

const BAD_VARIABLES: readonly (readonly [name: string, value: string, message: string])[] = [
  ['POOLS__0__TARGET', '0', ': "0" is not allowed; allowed: a whole number from 1 to 100000000'],
  ['POOLS__0__TARGET', '9'.repeat(400), ': "999'],
  ['POOLS__0__TARGET', '-1', ': "-1" is not allowed'],
  ['POOLS__1__LOW_HOURS', '8761', ': "8761" is not allowed; allowed: a number from 0 to 8760'],
  ['POOLS__1__IGNORE_CASE', 'yes', ': "yes" is not allowed; allowed: true or false'],
  ['POOLS__0__READY', '65537', ': 65537 is more than ready_max (65536)'],
  ['POOLS__1__NAME', 'a', ': two pools have this name'],
  ['POOLS__3__NAME', 'd', ': pools are counted from 0, and 2 is the next one'],
  ['POOLS__2__SUFFIX', 'x', 'VANITYPOOL_POOLS__2__NAME: a pool needs a name'],
];

for (const [name, value, message] of BAD_VARIABLES) {
  test(`VANITYPOOL_${name}=${value.slice(0, 9)} is refused`, () => {
    const text = message.startsWith(':') ? `VANITYPOOL_${name}${message}` : message;
    refuses(() => load(POOLS, { env: { [`VANITYPOOL_${name}`]: value } }), 'CONFIG_INVALID', text);
  });
}

test('variables of pools that there are not are refused by their names', () => {
  for (const name of [
    'POOLS__0__TARGTE',
    'POOLS__PET__TARGET',
    'POOLS__0',
    'POOLS__00__NAME',
    'POOLS__0____PROTO__',
    'POOLS__1000__NAME',
  ]) {
    const env = { [`VANITYPOOL_${name}`]: 'x' };
    refuses(() => load(POOLS, { env }), 'CONFIG_UNKNOWN_KEY', `VANITYPOOL_${name}: no such key`);
  }
});
