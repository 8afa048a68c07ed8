import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { COMMAND_NAMES, flagsOf, HELP } from '../../src/cli/help.ts';
import { PATTERN_OPTIONS } from '../../src/cli/options.ts';
import { PLACE_OPTIONS } from '../../src/cli/or-store.ts';

const sourceOf = (command: string) =>
  readFileSync(new URL(`../../src/cli/${command}.ts`, import.meta.url), 'utf8');

for (const command of COMMAND_NAMES) {
  test(`the help of ${command} names the flags that it takes, and no others`, () => {
    const source = sourceOf(command);
    const own = source.matchAll(
      /'?([a-z-]+)'?: \{ type: '(?:string|boolean)'(?:, multiple: true)? \}/g,
    );
    const pattern = source.includes('...PATTERN_OPTIONS') ? Object.keys(PATTERN_OPTIONS) : [];
    const place = source.includes('...PLACE_OPTIONS') ? Object.keys(PLACE_OPTIONS) : [];
    const names = new Set([...own.map(([, name]) => name!), ...pattern, ...place]);
    const taken = [...names].map((name) => `--${name}`);
    assert.ok(taken.length > 0);
    assert.deepEqual(flagsOf(command).toSorted(), [...taken, '--help'].toSorted());
  });

  test(`the help of ${command} says how it is used, in lines that a terminal shows`, () => {
    const { text, summary } = HELP[command];
    assert.ok(text.startsWith(`usage: vanitypool ${command}`));
    assert.ok(text.endsWith('\n'));
    for (const line of [...text.split('\n'), `  ${command.padEnd(10)}${summary}`]) {
      assert.ok(line.length <= 100, `${line.length} characters: ${line}`);
    }
  });
}
