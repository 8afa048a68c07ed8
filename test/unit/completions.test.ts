/** What a shell completes, by the shells themselves where they are installed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { optionsByCommand } from '../../src/cli/command-options.ts';
import { completionsFor } from '../../src/cli/completions.ts';
import { COMMAND_NAMES } from '../../src/cli/help.ts';
import { POOL_SETTINGS } from '../../src/config/pool-settings.ts';

const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
after(() => rmSync(directory, { recursive: true }));

type Shell = Parameters<typeof completionsFor>[0];

function scriptOf(shell: Shell): string {
  const path = join(directory, `completions.${shell}`);
  writeFileSync(path, completionsFor(shell));
  return path;
}

function run(shell: Shell, args: readonly string[]): string {
  const env = { ...process.env, HOME: directory };
  const { status, stdout, stderr } = spawnSync(shell, args, { encoding: 'utf8', env });
  assert.deepEqual([status, stderr], [0, '']);
  return stdout;
}

function missing(shell: Shell): string | false {
  const { error } = spawnSync(shell, ['-c', 'exit 0']);
  return error === undefined ? false : `there is no ${shell} on this machine`;
}

const COMMANDS = optionsByCommand(POOL_SETTINGS);
const flagsOf = (command: string) => {
  return [...Object.keys(COMMANDS[command]!), 'help'].map((name) => `--${name}`);
};

/** A line that ends where it is to be completed, and what can stand there. */
const LINES: readonly (readonly [words: readonly string[], found: readonly string[]])[] = [
  [[''], [...COMMAND_NAMES, 'help']],
  [['po'], ['pool']],
  [['x'], []],
  [['help', 're'], ['restore']],
  [
    ['pool', ''],
    ['create', 'list', 'set', 'pause', 'resume', 'delete'],
  ],
  [['pool', 'pet', ''], []],
  [['pool', 'pause', ''], []],
  [['pool', 'set', 'pet', '--'], flagsOf('pool set')],
  [
    ['pool', 'create', 'new', '--re'],
    ['--reuse-released', '--ready-max', '--ready'],
  ],
  [
    ['pool', 'create', 'new', '--handout', ''],
    ['secret', 'sign-only'],
  ],
  [
    ['pool', 'create', '--handout', 's', '--suffix', 'x', '--sign'],
    ['--sign-limit', '--sign-programs', '--sign-with', '--sign-fee-payer'],
  ],
  [['token', 'create', '--scope', 'read', '--scope', 'a'], ['admin']],
  [['serve', '--log-level', 'w'], ['warn']],
  [['grind', '--count', ''], []],
  [
    ['completions', ''],
    ['bash', 'zsh', 'fish'],
  ],
  ...Object.keys(COMMANDS).map((name) => [[...name.split(' '), '-'], flagsOf(name)] as const),
];

test('bash completes commands, options and values', { skip: missing('bash') }, () => {
  const joined = [
    [
      ['pool', 'create', '--handout', '='],
      ['secret', 'sign-only'],
    ],
    [['pool', 'create', '--handout', '=', 'si'], ['sign-only']],
  ] as const;
  const lines = [...LINES, ...joined];
  const asked = lines.map(([words]) => {
    const all = ['vanitypool', ...words].map((word) => `'${word}'`).join(' ');
    return `COMP_WORDS=(${all}) COMP_CWORD=${words.length}; _vanitypool; echo "\${COMPREPLY[*]}"`;
  });
  const program = [`source '${scriptOf('bash')}'`, 'complete -p vanitypool', ...asked].join('\n');
  const [bound, ...replies] = run('bash', ['--norc', '-uc', program]).trimEnd().split('\n');
  assert.equal(bound, 'complete -o bashdefault -o default -F _vanitypool vanitypool');
  for (const [index, [words, found]] of lines.entries()) {
    assert.equal(replies[index] ?? '', found.join(' '), words.join(' '));
  }
});

test('fish completes the same', { skip: missing('fish') }, () => {
  const script = scriptOf('fish');
  run('fish', ['-n', script]);
  const lines = LINES.filter(([, found]) => found.length > 0);
  const asked = lines.map(([words]) => `complete -C 'vanitypool ${words.join(' ')}'; echo .`);
  const program = `source ${script}; ${asked.join('; ')}`;
  const replies = run('fish', ['--no-config', '-c', program]).split('.\n');
  for (const [index, [words, found]] of lines.entries()) {
    const told = replies[index]!.trimEnd().split('\n');
    assert.deepEqual(told.toSorted(), found.toSorted(), words.join(' '));
  }
});

test('zsh reads its script', { skip: missing('zsh') }, () => {
  run('zsh', ['-fn', scriptOf('zsh')]);
});
