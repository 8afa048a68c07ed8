import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  KEY_OPTIONS,
  NODES_OPTIONS,
  OPTIONS,
  POOL_OPTIONS,
  SHELL_OPTIONS,
  TOKEN_OPTIONS,
  WEBHOOK_OPTIONS,
} from '../../src/cli/command-options.ts';
import { COMMAND_NAMES, flagsOf, HELP } from '../../src/cli/help.ts';
import { LOG_LEVELS } from '../../src/log.ts';

const TAKEN: Readonly<Record<string, readonly object[]>> = {
  ...Object.fromEntries(Object.entries(OPTIONS).map(([command, options]) => [command, [options]])),
  completions: Object.values(SHELL_OPTIONS),
  key: Object.values(KEY_OPTIONS),
  nodes: Object.values(NODES_OPTIONS),
  pool: Object.values(POOL_OPTIONS),
  token: Object.values(TOKEN_OPTIONS),
  webhook: Object.values(WEBHOOK_OPTIONS),
};

for (const command of COMMAND_NAMES) {
  test(`the help of ${command} names the flags that it takes, and no others`, () => {
    const names = new Set(TAKEN[command]!.flatMap((options) => Object.keys(options)));
    const taken = [...names].map((name) => `--${name}`);
    assert.deepEqual(flagsOf(command).toSorted(), [...taken, '--help'].toSorted());
  });

  test(`the help of ${command} says how it is used, in lines that a terminal shows`, () => {
    const { text, summary } = HELP[command];
    assert.ok(text.startsWith(`usage: vanitypool ${command}`));
    assert.ok(text.endsWith('\n'));
    for (const line of [...text.split('\n'), `  ${command.padEnd(13)}${summary}`]) {
      assert.ok(line.length <= 100, `${line.length} characters: ${line}`);
    }
  });
}

test('the levels of the log that can be chosen are those that there are', () => {
  assert.deepEqual(OPTIONS.serve['log-level'].choices, LOG_LEVELS);
});
