/**
 * A real browser: the Chromium of the machine, without a window. Where there is none tests of a page are
 * skipped, but not in `.ci/run`, which installs it.
 */
import { spawnSync } from 'node:child_process';
import { type Browser, chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

function found(): string | undefined {
  return NAMES.find((name) => spawnSync(name, ['--version']).status === 0);
}

/** For the options of a test. */
export function withoutBrowser(): string | false {
  if (process.env.VANITYPOOL_EMULATE === '1' || found() !== undefined) return false;
  return 'needs Chromium';
}

export async function openBrowser(): Promise<Browser> {
  const name = found() ?? 'chromium';
  const path = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout.trim();
  // As root Chromium has no sandbox; it loads nothing here but the page under test.
  return chromium.launch({ executablePath: path, args: ['--no-sandbox'] });
}
