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
    'name = "a"\nkeys = "expanded"',
    'pools.a.keys: "expanded" is not allowed; allowed: "seed" in this version',
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
