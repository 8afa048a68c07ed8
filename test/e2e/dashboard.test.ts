/** The dashboard in a real browser, before a real server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server as NetServer, connect as open, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import type { PoolView } from '../../src/api/pools.ts';
import { openBrowser, withoutBrowser } from '../support/browser.ts';
import { ManagedServer } from '../support/managed-server.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 240_000, skip: withoutBrowser() };
const PATIENCE = { timeout: 60_000 };

/** The text of a figure of a pool. */
function figure(page: Page, name: string, pool = 'pet') {
  return page.locator(`[data-pool="${pool}"] [data-figure="${name}"]`);
}

async function figuresOn(page: Page, pool: string): Promise<Record<string, string>> {
  const figures = page.locator(`[data-pool="${pool}"] [data-figure]`);
  const pairs = await figures.evaluateAll((elements) =>
    elements.map((element) => [element.getAttribute('data-figure')!, element.textContent!]),
  );
  return Object.fromEntries(pairs);
}

/** A page that fails its test with anything that the browser complains of. */
async function opened(t: TestContext, browser: Browser, url: string) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(url);
  return { page, context, complaints };
}

/** Stands between the browser and the server, and can be cut. */
class Cable implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  readonly #server: NetServer;

  constructor(port: number) {
    this.#server = createServer((socket) => {
      if (this.#isCut) return void socket.destroy();
      const behind = open(port, '127.0.0.1');
      for (const one of [socket, behind]) {
        this.#sockets.add(one);
        one.on('error', () => undefined);
        one.once('close', () => {
          socket.destroy();
          behind.destroy();
        });
      }
      socket.pipe(behind).pipe(socket);
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}/`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  mend(): void {
    this.#isCut = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
  }
}

test(
  'every figure is that of the API; it moves with the server, goes stale and heals',
  LIMIT,
  async (t) => {
    await using workspace = new Workspace();
    const pools = [
      { ...EASY_POOL, target: 300, ready: 50 },
      { ...EASY_POOL, name: 'spare', suffix: 'k', target: 40, ready: 10 },
    ];
    workspace.configure(pools);
    const grinding = await workspace.serve();
    await grinding.until(({ stock }) => stock >= 300);
    await grinding.until(({ stock }) => stock >= 40, 'spare');
    await grinding.kill('SIGTERM');
    // From now on only what the test takes changes anything.
    workspace.environment = { VANITYPOOL_GRINDER__THREADS: '0' };
    const server = await workspace.serve();
    await server.until(({ ready, leased }) => ready === 50 && leased === 50);
    await server.until(({ ready, leased }) => ready === 10 && leased === 10, 'spare');
    await server.dispense(7);
    await server.until(
      ({ ready, leased, hoursOfStock }) => hoursOfStock !== null && ready === leased,
    );
    const browser = await openBrowser();
    t.after(() => browser.close());
    await using cable = new Cable(Number(new URL(server.url).port));
    const { page, context, complaints } = await opened(t, browser, await cable.listen());
    await page.locator('#health').filter({ hasText: 'ready' }).waitFor(PATIENCE);

    const english = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: 10 });
    for (const name of ['pet', 'spare']) {
      const pool = await server.get<PoolView>(`/v1/pools/${name}`);
      await figure(page, 'dispensed', name)
        .filter({ hasText: english(pool.dispensed) })
        .waitFor();
      const { etaSeconds, attemptsPerSecond, hitsPerSecond } = pool.grinding;
      const expected: Record<string, string> = {
        hoursOfStock: pool.hoursOfStock === null ? 'nobody takes any' : english(pool.hoursOfStock),
        odds: `1 in ${english(pool.difficulty)}`,
        etaSeconds: etaSeconds === 0 ? 'full' : 'nothing is ground',
        attemptsPerSecond: english(attemptsPerSecond),
        hitsPerSecond: english(hitsPerSecond),
      };
      const rest = ['reserved', 'dispensed', 'burned', 'difficulty', 'consumptionPerHour'] as const;
      for (const field of ['stock', 'target', 'ready', 'available', 'leased', ...rest] as const) {
        expected[field] = english(pool[field]);
      }
      assert.deepEqual(await figuresOn(page, name), expected);
    }
    assert.equal(await page.locator('article').count(), 2);

    await server.dispense(3);
    await figure(page, 'dispensed').filter({ hasText: /^10$/ }).waitFor(PATIENCE);

    cable.cut();
    await page
      .locator('#stale')
      .filter({ hasText: /^Stale since \d.*Trying again/ })
      .waitFor(PATIENCE);
    await server.dispense(5);
    assert.equal(await figure(page, 'dispensed').textContent(), '10', 'what it knew stays');
    const ofCut = complaints.splice(0);
    assert.deepEqual(
      ofCut.filter((text) => !/ERR_|Failed to load resource/.test(text)),
      [],
    );
    cable.mend();
    await figure(page, 'dispensed').filter({ hasText: /^15$/ }).waitFor(PATIENCE);
    await page.locator('#stale').waitFor({ state: 'hidden', ...PATIENCE });
    complaints.splice(0);

    // Charts with a table behind each, by the keyboard alone, on the width of a telephone.
    await page.setViewportSize({ width: 360, height: 640 });
    await page.locator('[data-pool="pet"] .charts > summary').focus();
    await page.keyboard.press('Enter');
    const tables = page.locator('[data-pool="pet"] .charts figure details');
    await tables.first().waitFor(PATIENCE);
    assert.equal(await tables.count(), 4);
    await tables.first().locator('summary').focus();
    await page.keyboard.press('Enter');
    const cell = tables.first().locator('tbody tr td').first();
    await cell.waitFor();
    assert.match((await cell.textContent())!, /^\d+$/);
    const wide = await page.evaluate('document.documentElement.scrollWidth');
    assert.ok(Number(wide) <= 360, `${wide} pixels wide`);
    assert.deepEqual(complaints, []);
    assert.deepEqual(await context.cookies(), []);
  },
);

test('a token is asked for, kept in memory alone, and forgotten', LIMIT, async (t) => {
  await using managed = new ManagedServer([EASY_POOL], '[auth]', 'required = true');
  const { url } = await managed.serve();
  await managed.untilGround(5);
  const browser = await openBrowser();
  t.after(() => browser.close());
  const { page, context } = await opened(t, browser, url);
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.clock.install();
  await page.reload();
  const input = page.locator('#token');
  const enter = async (token: string): Promise<void> => {
    await input.waitFor(PATIENCE);
    await input.fill(token);
    await input.press('Enter');
  };
  await enter(`vp_${'1'.repeat(43)}`);
  await page.locator('#refusal').filter({ hasText: 'not a valid token' }).waitFor(PATIENCE);
  assert.equal(await page.locator('article').count(), 0);
  await enter(managed.token);
  await figure(page, 'target').filter({ hasText: '400' }).waitFor(PATIENCE);
  const kept = 'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])';
  assert.equal(await page.evaluate(kept), '[{},{},""]');
  const { token } = managed;
  assert.ok(!(await page.content()).includes(token));
  assert.ok(asked.length > 3 && asked.every((one) => one.startsWith(url) && !one.includes(token)));

  const thread = page.locator('#threads li');
  await thread
    .first()
    .filter({ hasText: /^Thread 1: \w+, (no work|\d+ % of a core)$/ })
    .waitFor();
  assert.ok(await page.locator('.paused').isHidden());
  await managed.ask('POST', '/v1/pools/pet/pause');
  await page.locator('.paused').waitFor(PATIENCE);
  await page.locator('#reasons').filter({ hasText: 'POOL_PAUSED: pet' }).waitFor(PATIENCE);
  assert.equal(await page.locator('#health').textContent(), 'unavailable');

  await page.clock.fastForward('14:00');
  await page.mouse.move(5, 5);
  await page.clock.fastForward('02:00');
  assert.ok(await input.isHidden(), 'somebody touched the page');
  await page.clock.fastForward('16:00');
  await page.locator('#refusal').filter({ hasText: '15 minutes' }).waitFor(PATIENCE);
  assert.equal(await page.locator('article').count(), 0);

  await enter(token);
  await figure(page, 'target').waitFor(PATIENCE);
  await page.reload();
  await input.waitFor(PATIENCE);
  assert.deepEqual(await context.cookies(), []);
});
