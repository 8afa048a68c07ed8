/**
 * Every command, with each of its options given wrong: refused before anything is done, in a line
 * that names the option and what is allowed. The commands run here, without a server; which options
 * there are, and what a value of one is, is read from their help.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { onePositional, readArguments, readVerb } from '../../src/cli/arguments.ts';
import { bench } from '../../src/cli/bench.ts';
import { COMMAND_NAMES, HELP, placeholderOf, usageOf } from '../../src/cli/help.ts';
import type { Outputs } from '../../src/cli/output.ts';
import { VanityError } from '../../src/errors.ts';
import { keypairFileText } from '../../src/keypair/key-file.ts';
import { keypairOf } from '../../src/keypair/keypair.ts';
import { CollectedOutputs } from '../support/collected-outputs.ts';

const cwd = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
process.chdir(cwd);
writeFileSync('key.json', keypairFileText(keypairOf(randomBytes(32))));
// What is not refused must find nobody: 5057 may be somebody's server.
process.env.VANITYPOOL_HTTP__PORT = '9';
after(() => {
  process.chdir('/');
  rmSync(cwd, { recursive: true });
});

type Run = (args: string[], outputs?: Outputs) => Promise<number>;

const load = async (file: string, name = file): Promise<Run> =>
  (await import(`../../src/cli/${file}.ts`))[name];

/** What each command needs beside the option that is wrong: words, and options by name. */
interface Needs {
  readonly words?: readonly string[];
  readonly options?: Readonly<Record<string, string>>;
}

const COMMANDS: Readonly<Record<string, readonly [run: Run, needs: Needs]>> = {
  serve: [await load('serve'), {}],
  grind: [await load('grind'), { options: { '--suffix': 'zzzzzzzzzz' } }],
  estimate: [await load('estimate'), { options: { '--suffix': 'a' } }],
  status: [await load('status'), {}],
  top: [await load('top'), { words: ['--json'] }],
  audit: [await load('audit'), {}],
  backup: [await load('backup'), { words: ['copy'] }],
  restore: [await load('restore'), { words: ['copy'] }],
  migrate: [await load('migrate'), { options: { '--to': 'postgres://127.0.0.1:1/pool' } }],
  adopt: [await load('adopt'), { words: ['--moved'] }],
  dispense: [await load('dispense'), { words: ['pet'] }],
  import: [
    await load('import', 'importKeys'),
    { words: ['key.json'], options: { '--pool': 'pet' } },
  ],
  export: [
    await load('export', 'exportKeys'),
    { options: { '--pool': 'pet', '--count': '1', '--out': 'keys' } },
  ],
  verify: [await load('verify'), { words: ['key.json'] }],
  bench: [(args) => bench(args), { words: ['store'] }],
  'completions bash': [await load('completions'), {}],
  'pool create': [await load('pool'), { words: ['new'], options: { '--suffix': 'a' } }],
  'pool list': [await load('pool'), {}],
  'pool set': [await load('pool'), { words: ['pet'], options: { '--target': '5' } }],
  'pool pause': [await load('pool'), { words: ['pet'] }],
  'pool resume': [await load('pool'), { words: ['pet'] }],
  'pool delete': [await load('pool'), { words: ['pet'], options: { '--burn': 'pet' } }],
  'key rotate': [await load('key'), {}],
  'key show': [await load('key'), {}],
  'nodes list': [await load('nodes'), {}],
  'nodes retire': [await load('nodes'), { words: ['5a'.repeat(16), '--lost-nothing'] }],
  'nodes enrol': [
    await load('nodes'),
    { words: ['5a'.repeat(16)], options: { '--key': '5a'.repeat(32) } },
  ],
  'token create': [await load('token'), { options: { '--name': 'a', '--scope': 'read' } }],
  'token list': [await load('token'), {}],
  'token revoke': [await load('token'), { words: ['a'] }],
  'webhook test': [await load('webhook'), {}],
};

/** By what the help calls a value: some that are none. Free texts are refused when they are empty. */
const WRONG: Readonly<Record<string, readonly string[]>> = {
  N: ['-1', '0.5', '1e3', 'abc', '0x10', ' 1', '9'.repeat(30)],
  HOURS: ['-1', '1e3', 'abc', '8761'],
  'env:NAME': ['NAME', 'file:key', 'env:1A', 'env:'],
  'N/day': ['10', '0/day', '-1/day', '1/week'],
  URL: ['localhost:5057', 'ftp://localhost', 'http://', 'unix:'],
  PATTERN: ['0', '[z-a]', 'a'.repeat(11)],
  KIND: ['both'],
  PORT: ['-1', '65536', 'http', '1e3'],
  HOST: ['a b', 'unix:'],
  LEVEL: ['loud'],
  FORMAT: ['xml'],
  'P:N': ['0:1', ':3', 'a:0', 'a:1:1', 'a:x'],
  'S:N': ['0', 'a:', 'a:1e3'],
  'P:S:N': ['a', 'a:b:0', ':b:1', 'a::1', 'a:b:1:1'],
  TO: ['age1', 'AGE-SECRET-KEY-1', 'ssh-ed25519 A'],
  TIME: ['yesterday', '2026-13-01', '-5d'],
  ADDRESS: ['pet', '0'.repeat(44)],
  SCOPE: ['all'],
  PROGRAM: ['pum', 'Pump', 'pump:00', `${'1'.repeat(32)}:0`],
  FILE: ['missing.toml'],
};
const FREE = ['KEY', 'DIR', 'NAME', 'POOL', 'LIST'];
/** Of a benchmark: its program says what is allowed, in a process of its own. */
const OF_PROGRAMS = 'bench';

/** Node's own words, and those of programmers. */
const FOREIGN =
  /To specify an option|Unexpected argument|Unknown option|ambiguous|undefined|\[object|NaN|\n\s+at /;

async function refusal(command: string, args: readonly string[]): Promise<string> {
  const [run] = COMMANDS[command]!;
  const [, verb] = command.split(' ');
  const outputs = new CollectedOutputs();
  try {
    await run(verb === undefined ? [...args] : [verb, ...args], outputs);
  } catch (error) {
    assert.ok(error instanceof VanityError, `${command} ${args.join(' ')}: ${String(error)}`);
    assert.match(error.code, /^(USAGE|CONFIG|PATTERN)_/, `${command} ${args}: ${error.message}`);
    assert.doesNotMatch(error.message, FOREIGN);
    assert.ok(!error.message.includes('\n'), error.message);
    assert.deepEqual([outputs.stdout, outputs.said], ['', []]);
    return error.message;
  }
  throw new Error(`vanitypool ${command} ${args.join(' ')} was not refused`);
}

/** The options that the help of the command lists, and what it calls their values. */
function optionsOf(command: string): [option: string, placeholder: string | undefined][] {
  const [name = ''] = command.split(' ');
  const { text } = HELP[name as keyof typeof HELP];
  return [...text.matchAll(/^ {2}(--[a-z-]+)(?: (\S+))?(?: |$)/gm)].map(([, option, value]) => {
    return [option!, value];
  });
}

/** Whether the command takes the option: of a family each takes some of those in the help. */
async function takes(command: string, option: string): Promise<boolean> {
  return !(await refusal(command, [`${option}=`])).includes('has no option');
}

/** All that it needs, but for the option that is given. */
function needed(command: string, option: string): string[] {
  const [, { words = [], options = {} }] = COMMANDS[command]!;
  const others = Object.entries(options).filter(([name]) => name !== option);
  return [...words.filter((word) => word !== option), ...others.flat()];
}

test('every command is in the table', () => {
  const names = new Set(Object.keys(COMMANDS).map((command) => command.split(' ')[0]));
  assert.deepEqual([...names].toSorted(), COMMAND_NAMES.toSorted());
});

for (const command of Object.keys(COMMANDS)) {
  test(`${command}: each option given wrong is refused by its name`, async () => {
    let tried = 0;
    for (const [option, placeholder] of optionsOf(command)) {
      const rest = needed(command, option);
      const refused = async (...args: string[]) => {
        const message = await refusal(command, [...rest, ...args]);
        assert.ok(message.includes(option), `${command} ${args.join(' ')}: ${message}`);
        tried++;
        return message;
      };
      if (!(await takes(command, option))) continue;
      if (placeholder === undefined) {
        assert.match(await refused(`${option}=1`), /takes no value, not "1"; give --\S+ alone$/);
        assert.match(await refused(option.replace('--', '--no-')), /; leave --\S+ out instead/);
        continue;
      }
      const give = `give ${option} ${placeholder}`;
      assert.ok((await refused(option)).includes(`its value is missing; ${give}`));
      assert.ok((await refused(option, '--help-me')).includes(`missing before --help-me; ${give}`));
      assert.ok((await refused(`${option}=`)).includes(`"" is not allowed; ${give}`));
      assert.ok((await refused(option, '')).includes(`"" is not allowed; ${give}`));
      assert.ok(FREE.includes(placeholder) || WRONG[placeholder], `${option} ${placeholder}`);
      if (command === OF_PROGRAMS) continue;
      for (const value of WRONG[placeholder] ?? []) {
        for (const args of [[option, value], [`${option}=${value}`]]) {
          const message = await refusal(command, [...rest, ...args]);
          // A pattern says which side it is, a file its path.
          const told = { PATTERN: option.slice(2), FILE: value }[placeholder] ?? option;
          assert.ok(message.includes(told), `${command} ${args.join(' ')}: ${message}`);
          tried++;
        }
      }
    }
    assert.ok(tried > 0 || optionsOf(command).length === 0);
  });

  test(`${command}: what it does not take is refused, with what it takes`, async () => {
    const rest = needed(command, '');
    const one = await refusal(command, [...rest, '--nonsense']);
    assert.match(one, new RegExp(`^${command} has no option --nonsense.*\\(options: .*--help\\)$`));
    assert.match(await refusal(command, [...rest, '-x']), /has no option -x/);
    assert.match(await refusal(command, [...rest, '--__proto__=1']), /has no option --__proto__/);
    const takesFiles = ['import', 'verify'].includes(command);
    if (!takesFiles) assert.match(await refusal(command, [...rest, 'a', 'b']), /a|b/);
  });
}

test('none of all that has done anything', () => {
  assert.deepEqual(readdirSync(cwd), ['key.json']);
});

const OPTIONS = {
  count: { type: 'string' },
  pool: { type: 'string', multiple: true },
  json: { type: 'boolean' },
} as const;
const read = (...args: string[]) =>
  readArguments(args, { command: 'dispense', options: OPTIONS, allowPositionals: true });

test('what is right is read as it was typed', () => {
  const { values, positionals } = read(
    'a',
    '--count',
    '-1',
    '--json',
    '--pool=x',
    '--pool',
    'y',
    '-',
  );
  assert.deepEqual({ ...values }, { count: '-1', json: true, pool: ['x', 'y'] });
  assert.deepEqual(positionals, ['a', '-']);
  assert.deepEqual({ ...read('--count=--json').values }, { count: '--json' });
  assert.deepEqual(read('--', '--json').positionals, ['--json']);
});

test('an option of another subcommand is named as that', () => {
  const siblings = {
    make: { size: { type: 'string' } },
    mend: { size: { type: 'string' } },
  } as const;
  assert.throws(
    () => readArguments(['--size', '1'], { command: 'pool list', options: OPTIONS, siblings }),
    { message: /^pool list has no option --size; it is one of "pool make" and "pool mend" \(/ },
  );
});

test('a subcommand stands first', () => {
  const verbs = ['create', 'list'] as const;
  assert.deepEqual(readVerb('pool', ['list', '--json'], verbs), ['list', ['--json']]);
  assert.throws(() => readVerb('pool', [], verbs), {
    message: /is missing; give one of create, list$/,
  });
  assert.throws(() => readVerb('pool', ['toString'], verbs), {
    message: /no subcommand "toString"/,
  });
});

test('one thing is one', () => {
  assert.equal(onePositional('backup', 'file', ['a']), 'a');
  const line = 'usage: vanitypool backup FILE [options]';
  for (const [words, message] of [
    [[], `backup: which file? ${line}`],
    [[''], `backup: file "" is not allowed; ${line}`],
    [['a', 'b c'], `backup: takes one file, a, not also "b c"; ${line}`],
  ] as const) {
    assert.throws(() => onePositional('backup', 'file', words), { code: 'USAGE_INVALID', message });
  }
});

test('the help names what a value is called, and how each is used', () => {
  assert.equal(placeholderOf('grind', '--count'), 'N');
  assert.equal(placeholderOf('token create', '--quota'), 'N/day');
  assert.equal(usageOf('pool pause'), 'usage: vanitypool pool pause NAME');
  for (const command of Object.keys(COMMANDS)) {
    assert.ok(`${usageOf(command)} `.startsWith(`usage: vanitypool ${command} `), usageOf(command));
  }
});

test('a value that is given twice is refused by its option; lists and switches are not', () => {
  const options = {
    port: { type: 'string' },
    scope: { type: 'string', multiple: true },
    json: { type: 'boolean' },
  } as const;
  const read = (...args: string[]) =>
    readArguments(args, { command: 'serve', allowPositionals: true, options });
  for (const args of [
    ['--port', '1', '--port', '2'],
    ['--port=1', 'word', '--port', '1'],
    ['--json', '--port', '2', '--port=2'],
  ]) {
    assert.throws(() => read(...args), {
      code: 'USAGE_INVALID',
      message: 'serve: --port is given twice; allowed: one value',
    });
  }
  const { values, positionals } = read('--scope', 'a', '--json', '--scope', 'b', '--json', 'word');
  assert.deepEqual({ ...values }, { scope: ['a', 'b'], json: true });
  assert.deepEqual(positionals, ['word']);
  assert.deepEqual(read('--port', '1', '--', '--port').positionals, ['--port']);
});

test('no command reads its arguments in another way', () => {
  const directory = new URL('../../src/cli/', import.meta.url);
  for (const name of readdirSync(directory)) {
    if (name === 'arguments.ts') continue;
    const source = readFileSync(new URL(name, directory), 'utf8');
    assert.doesNotMatch(source, /import [^;]*parseArgs/, name);
  }
});
