/**
 * A real browser: the Chromium of the machine, without a window. Where there is none tests of a page are
 * skipped, but not in `.ci/run`, which installs it.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const AXE = new URL('../../node_modules/axe-core/axe.min.js', import.meta.url);
const GRAVE = ['serious', 'critical'];

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
  return chromium.launch({ executablePath: path, args: ['--no-sandbox', '--disable-gpu'] });
}

/** What the browser complains of on a page from now on. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  return complaints;
}

/** By the rules of axe, for people who see, hear or move less: nothing that shuts one out. */
export async function assertAccessible(page: Page, what: string): Promise<void> {
  await page.evaluate(readFileSync(AXE, 'utf8'));
  const { violations, passes } = (await page.evaluate('axe.run()')) as {
    violations: { id: string; impact: string; nodes: { html: string }[] }[];
    passes: unknown[];
  };
  const grave = violations.filter(({ impact }) => GRAVE.includes(impact));
  const lines = grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  assert.deepEqual(lines, [], what);
  assert.ok(passes.length > 10, `${what}: axe looked at nothing`);
}
