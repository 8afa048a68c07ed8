/**
 * The command line: help, wrong usage and exit codes. No command does any work, so all of it runs in this
 * process; a process of its own shows once each that output leaves it, and with which exit code.
 */
import assert from 'node:assert/strict';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { COMMAND_NAMES, HELP } from '../../src/cli/help.ts';
import { COUNT_MAX } from '../../src/config/pool-settings.ts';
import { type Outcome, PROGRAM, vanitypool } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';

const cwd = mkdtempSync(join(tmpdir(), 'vanitypool-'));
const before = process.cwd();
process.chdir(cwd);
after(() => {
  process.chdir(before);
  rmSync(cwd, { recursive: true });
});
const run = (...args: string[]) => vanitypoolHere(args);

function assertRefused(
  { code, stdout, stderr }: Outcome,
  message: string | RegExp,
  exit = 2,
): void {
  assert.equal(stdout, '');
  assert.match(stderr, /^vanitypool: [^\n]+ \([A-Z_]+\)\n$/);
  if (typeof message === 'string') assert.ok(stderr.includes(message), stderr);
  else assert.match(stderr, message);
  assert.equal(code, exit);
}

test('the overview names every command; without a command it is wrong usage', async () => {
  const help = await run('--help');
  const short = await run('-h');
  const word = await run('help');
  const none = await run();
  for (const name of COMMAND_NAMES) {
    assert.ok(help.stdout.includes(`  ${name.padEnd(13)}${HELP[name].summary}\n`));
  }
  assert.deepEqual([help.code, help.stderr], [0, '']);
  assert.deepEqual([short.stdout, word.stdout], [help.stdout, help.stdout]);
  assert.deepEqual([none.code, none.stdout, none.stderr], [2, '', help.stdout]);
});

test('each command explains itself, wherever --help stands', async () => {
  for (const name of COMMAND_NAMES) {
    for (const args of [
      [name, '--help'],
      [name, '--nonsense', '-h'],
      ['help', name],
    ]) {
      const { code, stdout, stderr } = await run(...args);
      assert.deepEqual([code, stdout, stderr], [0, HELP[name].text, '']);
    }
  }
});

test('as a process it prints the same, with the same exit codes', async () => {
  const asked = [['--help'], [], ['grind', '--help'], ['grind', '--sufix', 'x'], ['--version']];
  const processes = await Promise.all(asked.map((args) => vanitypool(args, { cwd })));
  for (const [index, args] of asked.entries())
    assert.deepEqual(processes[index], await run(...args));
  assert.deepEqual(
    processes.map(({ code }) => code),
    [0, 2, 0, 2, 0],
  );
});

test('the version is that of the package', async () => {
  const source = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { code, stdout } = await run('--version');
  assert.deepEqual([code, stdout], [0, `${JSON.parse(source).version}\n`]);
});

const WRONG: readonly (readonly [args: readonly string[], message: string | RegExp])[] = [
  [['servee'], 'there is no command "servee"; did you mean serve? (commands: serve, grind, '],
  [['help', 'gring'], 'there is no command "gring"; did you mean grind?'],
  [['xyzzy'], 'there is no command "xyzzy" (commands: '],
  [['toString'], 'there is no command "toString"'],
  [['--verbose'], 'option "--verbose" stands before the command; first give one of serve, grind'],
  [['pool'], 'pool: the subcommand is missing; give one of create, list, set, '],
  [['pool', 'crate'], 'pool has no subcommand "crate"; did you mean create? (subcommands: '],
  [['token', '--json', 'list'], 'token: "--json" stands before the subcommand; first give one of'],
  [
    ['pool', 'set', 'pump', '--suffix', 'foo'],
    'pool set has no option --suffix; it is one of "pool create" (options: --url, ',
  ],
  [['pool', 'list', '--target', '3'], 'it is one of "pool create" and "pool set" (options: '],
  [['pool', 'pause'], 'pool pause: which pool? usage: vanitypool pool pause NAME'],
  [['pool', 'create', 'x'], 'which address? give --suffix PATTERN'],
  [
    ['pool', 'create', 'X', '--suffix', 'a'],
    'pool create: NAME: "X" is not allowed; allowed: lower',
  ],
  [
    ['pool', 'create', 'x', '--suffix', 'a', '--ready', '9', '--ready-max', '8'],
    /: --ready: 9 is more than ready_max \(8\) \(CONFIG_INVALID\)$/m,
  ],
  [['dispense', 'pet', '--count', '-1'], ': --count: "-1" is not allowed; allowed: a whole number'],
  [['dispense', 'pet', '--no-json'], 'dispense has no option --no-json; leave --json out instead'],
  [['dispense', 'pet', '--out', '--json'], 'dispense: --out: its value is missing before --json'],
  [['status', 'json'], 'status: "json" is not expected here; did you mean --json?'],
  [['grind', '-suffix', 'x'], 'grind has no option -suffix; did you mean --suffix?'],
  [
    ['status', '--url', 'http://127.0.0.1:9', '--data', 'x'],
    '--url: names a server, and --data another place; give one of both',
  ],
  [
    ['grind', '--sufix', 'x'],
    'grind has no option --sufix; did you mean --suffix? (options: --prefix, --suffix, ',
  ],
  [['grind', '-s', 'x'], 'grind has no option -s (options: '],
  [['grind', '--suffix'], 'grind: --suffix: its value is missing; give --suffix PATTERN'],
  [['grind', '--suffix', 'a', '--json=1'], 'grind: --json takes no value, not "1"'],
  [['grind', 'Pet'], 'grind: "Pet" is not expected here; usage: vanitypool grind --suffix PATTERN'],
  [['grind'], 'which address? give --suffix PATTERN, --prefix PATTERN or both'],
  [['grind', '--suffix', ''], 'grind: --suffix: "" is not allowed; give --suffix PATTERN'],
  [
    ['grind', '--suffix', 'P0t'],
    /suffix: character 2, "0", is in no address.*\(PATTERN_IMPOSSIBLE\)$/m,
  ],
  [['grind', '--suffix', '[z-a]'], /suffix: .*\(PATTERN_INVALID\)$/m],
  [['grind', '--prefix', 'a'.repeat(11)], /prefix: 11 characters.*\(PATTERN_TOO_LONG\)$/m],
  [
    ['grind', '--suffix', 'a', '--count', '0'],
    '--count: "0" is not allowed; allowed: a whole number from 1 to 1000000',
  ],
  [['grind', '--suffix', 'a', '--count=-1'], '--count: "-1" is not allowed'],
  [
    ['grind', '--suffix', 'a', '--threads', 'all'],
    '--threads: "all" is not allowed; allowed: a whole number from 1 to 1024',
  ],
  [
    ['grind', '--suffix', 'a', '--keys', 'both'],
    '--keys: "both" is not allowed; allowed: "seed", "expanded"',
  ],
  [['grind', '--suffix', 'a', '--secrets'], '--secrets: goes with --json only'],
  [
    ['grind', '--suffix', 'a', '--json', '--secrets', '--out', 'keys'],
    '--out: with --secrets no file is written',
  ],
  [
    ['grind', '--suffix', 'a', '--count', '1', '--count', '2'],
    'grind: --count is given twice; allowed: one value (USAGE_INVALID)',
  ],
  [
    ['grind', '--suffix', 'a', '--threads', '1', '--num-threads', '1'],
    '--num-threads: is another name of --threads; give one of both (USAGE_INVALID)',
  ],
  [
    ['grind', '--suffix', 'a', '--suffix', 'P0t'],
    '--suffix P0t: suffix: character 2, "0", is in no address; base58 has',
  ],
  [
    ['grind', '--suffix', 'a', '--json', '--secrets', '--encrypt', 'passphrase'],
    '--encrypt: with --secrets no file is written; leave one of both out (USAGE_INVALID)',
  ],
  [['serve', '--port', '1', '--port', '2'], 'serve: --port is given twice; allowed: one value'],
  [['pool', 'create', 'x', '--target', '1', '--target=2'], '--target is given twice'],
  [['token', 'create', '--name', 'a', '--scope', 'read', '--name', 'b'], '--name is given twice'],
  [['bench', 'ring', '--trials', '1', '--trials', '2'], '--trials is given twice'],
  [['estimate', '--suffix', 'a', '--count', '2'], 'estimate has no option --count'],
  [['estimate', '--ignore-case'], 'which address?'],
  [
    ['status', '--url', 'localhost:5057'],
    '--url: "localhost:5057" is not allowed; allowed: http://HOST:PORT',
  ],
  [['status', 'pet'], 'status: "pet" is not expected here'],
  [['dispense'], 'dispense: which pool? usage: vanitypool dispense POOL'],
  [['dispense', 'pet', 'pump'], 'dispense: takes one pool, pet, not also "pump"'],
  [
    ['dispense', 'pet', '--count', String(COUNT_MAX + 1)],
    `a whole number from 1 to ${COUNT_MAX} (`,
  ],
  [['serve', '--prot', '1'], 'serve has no option --prot; did you mean --port?'],
  [['serve', '--port', 'http'], /: --port: "http" is not allowed; .*\(CONFIG_INVALID\)$/m],
  [
    ['serve', '--config', 'missing.toml'],
    /missing\.toml: there is no such file \(CONFIG_UNREADABLE\)$/m,
  ],
];

for (const [args, message] of WRONG) {
  test(`"${args.join(' ')}" is wrong usage`, async () => {
    assertRefused(await run(...args), message);
  });
}

test('a level of the kernel that there is not is refused before anything is searched', async () => {
  for (const command of ['grind', 'estimate']) {
    const outcome = await vanitypoolHere([command, '--suffix', 'a'], { VANITYPOOL_ISA: 'abacus' });
    assertRefused(outcome, /VANITYPOOL_ISA: .*"abacus".*\(CONFIG_INVALID\)$/m);
  }
});

test('a directory that cannot be made is refused before anything is searched or taken', async () => {
  writeFileSync(join(cwd, 'file'), '');
  const commands = [
    ['grind', '--suffix', 'zzzzzzzzzz'],
    ['dispense', 'pet', '--url', 'http://127.0.0.1:9'],
  ];
  for (const args of commands) {
    const outcome = await run(...args, '--out', 'file/keys');
    assertRefused(outcome, /^vanitypool: file\/keys: .* \(FILE_NOT_WRITABLE\)$/m, 1);
  }
});

test('without a server the answer is how to start one', async () => {
  writeFileSync(join(cwd, 'vanitypool.toml'), '[http]\nhost = "unix:none.sock"');
  try {
    for (const args of [['status'], ['dispense', 'pet']]) {
      const outcome = await run(...args);
      assertRefused(
        outcome,
        /\/data: no server serves this data directory.* vanitypool serve.* \(SERVER_UNREACHABLE\)/,
        1,
      );
    }
  } finally {
    rmSync(join(cwd, 'vanitypool.toml'));
  }
});

test('it runs through a link, from any directory', async () => {
  const link = join(cwd, 'vp');
  symlinkSync(PROGRAM, link);
  const { code, stdout } = await vanitypool(['help'], { cwd: '/', program: link });
  assert.equal(code, 0);
  assert.match(stdout, /^usage: vanitypool COMMAND/);
});

test('nothing of all that has made a file', () => {
  assert.deepEqual(readdirSync(cwd).toSorted(), ['file', 'vp']);
});
