/** Configurations for tests, each in a working directory of its own below `root`, and how they are refused. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { type Config, type ConfigSources, loadConfig } from '../../src/config/config.ts';
import { POOL_SETTINGS, type SettingsTable } from '../../src/config/pool-settings.ts';
import { VanityError } from '../../src/errors.ts';

export const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(root, { recursive: true }));

/** The configuration of a working directory with this `vanitypool.toml`. */
export function load(
  toml: string,
  sources: ConfigSources = {},
  poolSettings: SettingsTable = POOL_SETTINGS,
): Config {
  const cwd = mkdtempSync(join(root, 'cwd-'));
  writeFileSync(join(cwd, 'vanitypool.toml'), toml);
  return loadConfig({ cwd, ...sources }, poolSettings);
}

export function refuses(make: () => unknown, code: string, message: string | RegExp): void {
  assert.throws(make, (error) => {
    assert.ok(error instanceof VanityError, String(error));
    assert.equal(error.code, code, error.message);
    if (typeof message === 'string') assert.ok(error.message.includes(message), error.message);
    else assert.match(error.message, message);
    return true;
  });
}
