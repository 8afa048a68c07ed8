/**
 * The dashboard in a real browser, before a real server, through a proxy that serves it under a path. One browser and
 * one server for all parts, each of which begins where the one before ended. With `SCREENSHOTS=directory` the pictures
 * stay there.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Browser, Locator, Page } from 'playwright-core';
import type { TakerList } from '../../src/api/oversight.ts';
import type { PoolView } from '../../src/api/pools.ts';
import { assertAccessible, complaintsOf, openBrowser, withoutBrowser } from '../support/browser.ts';
import { ManagedServer } from '../support/managed-server.ts';
import { PathProxy } from '../support/path-proxy.ts';
import { EASY_POOL, type Server } from '../support/server.ts';

const LIMIT = { timeout: 300_000, skip: withoutBrowser() };
const PATIENCE = { timeout: 300_000 };
/** How often the page is compared with the server while addresses are taken. */
const LOOKS = 5;
/** What the browser itself says when the connection is cut, or a request is refused. */
const OF_REFUSAL = /Failed to load resource|ERR_/;

const english = (value: number) => value.toLocaleString('en-US', { maximumFractionDigits: 10 });

const EXACT = ['stock', 'target', 'ready', 'available', 'leased', 'reserved'] as const;
const MORE = ['dispensed', 'burned', 'ground', 'consumptionPerHour', 'difficulty'] as const;

/** What the page should show of a pool; how long it takes until it is full is written in other units. */
function expected(pool: PoolView): Record<string, string> {
  const { attemptsPerSecond, hitsPerSecond } = pool.grinding;
  const figures = Object.fromEntries(
    [...EXACT, ...MORE].map((name) => [name, english(pool[name])] as const),
  );
  return {
    ...figures,
    hoursOfStock: pool.hoursOfStock === null ? '∞' : english(pool.hoursOfStock),
    odds: `1 in ${english(pool.difficulty)}`,
    attemptsPerSecond: english(attemptsPerSecond),
    hitsPerSecond: english(hitsPerSecond),
  };
}

async function figuresOn(page: Page, pool: string): Promise<Record<string, string>> {
  const figures = page.locator(`[data-pool="${pool}"] [data-figure]`);
  const pairs = await figures.evaluateAll((elements) =>
    elements.map((element) => [element.getAttribute('data-figure')!, element.textContent!]),
  );
  return Object.fromEntries(pairs);
}

function figure(page: Page, name: string, pool = 'pet'): Locator {
  return page.locator(`[data-pool="${pool}"] [data-figure="${name}"]`);
}

async function until(text: RegExp, where: Locator): Promise<void> {
  await where.filter({ hasText: text }).first().waitFor(PATIENCE);
}

/** Takes addresses of both pools, until it is disposed of. */
class Load implements AsyncDisposable {
  #isOver = false;
  readonly #end: Promise<void>;

  constructor(server: Server) {
    this.#end = this.#run(server);
  }

  async #run(server: Server): Promise<void> {
    while (!this.#isOver) {
      // It may be empty.
      await server.dispense(2).catch(() => undefined);
      await server.dispense(1, 'spare').catch(() => undefined);
      await sleep(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#end;
  }
}

class Bench {
  readonly managed: ManagedServer;
  readonly proxy: PathProxy;
  readonly browser: Browser;

  constructor(managed: ManagedServer, proxy: PathProxy, browser: Browser) {
    this.managed = managed;
    this.proxy = proxy;
    this.browser = browser;
  }

  async open(): Promise<{ page: Page; complaints: string[] }> {
    const context = await this.browser.newContext();
    const page = await context.newPage();
    const complaints = complaintsOf(page);
    return { page, complaints };
  }

  async pool(name = 'pet'): Promise<PoolView> {
    return (await this.managed.pool(name)) as unknown as PoolView;
  }

  async signIn(page: Page, token: string): Promise<void> {
    const input = page.locator('#token');
    await input.waitFor(PATIENCE);
    await input.fill(token);
    await input.press('Enter');
  }
}

/** Nothing is left of a token but in the memory of the page. */
async function assertNothingKept(page: Page, token: string): Promise<void> {
  const kept = 'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])';
  assert.equal(await page.evaluate(kept), '[{},{},""]');
  assert.deepEqual(await page.context().cookies(), []);
  assert.ok(!(await page.content()).includes(token));
}

test('the dashboard', LIMIT, async (t: TestContext) => {
  await using managed = new ManagedServer([
    { ...EASY_POOL, target: 300, ready: 50 },
    { ...EASY_POOL, name: 'spare', suffix: 'k', target: 40, ready: 10 },
  ]);
  // For a warning.
  managed.workspace.launcher = ['nice', '-n', '1'];
  const server = await managed.serve();
  await using proxy = await PathProxy.before(server.url);
  const browser = await openBrowser();
  t.after(() => browser.close());
  const bench = new Bench(managed, proxy, browser);
  const { page, complaints } = await bench.open();

  await t.test(
    'every figure is that of one status, while addresses are taken and found',
    async () => {
      await page.goto(proxy.url);
      await until(/ready/, page.locator('#health'));
      await server.until(({ stock }) => stock >= 300);
      await using load = new Load(server);
      const seen = new Set<string>();
      while (seen.size < LOOKS) {
        const before = await bench.pool();
        await until(new RegExp(`^(?!${english(before.dispensed)}$)`), figure(page, 'dispensed'));
        const { etaSeconds, ...shown } = await figuresOn(page, 'pet');
        const after = await bench.pool();
        const like = proxy.statuses
          .map(({ pools }) => pools.find(({ name }) => name === 'pet')!)
          .find((pool) => isDeepStrictEqual(expected(pool), shown));
        assert.ok(like, `no status is ${JSON.stringify(shown)}`);
        assert.match(etaSeconds!, /^(full|nothing is ground|\d+ (s|min))$/);
        for (const total of ['dispensed', 'ground', 'burned'] as const) {
          assert.ok(like[total] <= after[total], `${total}: more than GET /v1/pools says later`);
        }
        assert.equal(
          like.available + like.leased + like.reserved + like.dispensed + like.burned,
          like.ground + like.imported,
        );
        seen.add(shown.dispensed!);
      }
      await load[Symbol.asyncDispose]();
      for (const name of ['pet', 'spare']) {
        for (;;) {
          const { etaSeconds: _, ...shown } = await figuresOn(page, name);
          if (isDeepStrictEqual(shown, expected(await bench.pool(name)))) break;
          await sleep(100);
        }
      }
      assert.equal(await page.locator('article').count(), 2);
      await until(
        /^1(normal|raised|low)([\d,]+\d+ %|no workno work)$/,
        page.locator('#threads tr'),
      );
      await until(
        /portable C; with all threads [\d,]+ attempts a second for seed keys/,
        page.locator('#kernel'),
      );
    },
  );

  await t.test('an address that is taken moves the chart, and a table is behind it', async () => {
    const chart = page.locator('[data-pool="pet"] figure').first();
    await chart.locator('canvas').waitFor(PATIENCE);
    const { dispensed } = await bench.pool();
    await server.dispense(3);
    await until(new RegExp(`^${english(dispensed + 3)}$`), figure(page, 'dispensed'));
    for (;;) {
      const stock = (await bench.pool()).stock;
      const legend = await chart.locator('.legend output').first().textContent();
      if (legend === stock.toLocaleString('en-US', { maximumSignificantDigits: 3 })) break;
      await sleep(100);
    }
    await chart.locator('summary').focus();
    await page.keyboard.press('Enter');
    await until(/^\d+$/, chart.locator('tbody td'));
    await page.locator('#span-day').check();
    await until(/last day/, chart.locator('figcaption'));
    await page.locator('#span-hour').check();
    assert.deepEqual(complaints, []);
  });

  await t.test('a lost connection shows since when, and heals', async () => {
    const { dispensed } = await bench.pool();
    await until(new RegExp(`^${english(dispensed)}$`), figure(page, 'dispensed'));
    proxy.cut();
    await until(/^Stale since \d.*Trying again/, page.locator('#live'));
    assert.equal(await page.locator('#health').textContent(), 'unknown');
    await server.dispense(5);
    assert.equal(await figure(page, 'dispensed').textContent(), english(dispensed));
    proxy.mend();
    await until(new RegExp(`^${english(dispensed + 5)}$`), figure(page, 'dispensed'));
    await until(/^Live$/, page.locator('#live'));
    const others = complaints.splice(0).filter((text) => !OF_REFUSAL.test(text));
    assert.deepEqual(others, []);
  });

  await t.test('without a token there is nothing to act with', async () => {
    await assertNoActions(page);
    await page.locator('#sign-in').click();
    await bench.signIn(page, `vp_${'1'.repeat(43)}`);
    await until(/not a valid token/, page.locator('#refusal'));
    assert.equal(await page.locator('article').count(), 0);
    complaints.splice(0);
  });

  await t.test('an admin pauses, resumes, and makes a pool that is computed first', async () => {
    await bench.signIn(page, managed.token);
    const buttons = page.locator('[data-pool="pet"] .buttons button');
    await buttons.first().waitFor(PATIENCE);
    await page.getByRole('button', { name: 'Pause' }).first().click();
    await until(/^paused$/, page.locator('[data-pool="pet"] .state'));
    assert.equal((await bench.pool()).paused, true);
    await until(/pet is paused/, page.locator('#answer'));
    await until(/POOL_PAUSED: pet/, page.locator('#reasons'));
    assert.equal(await page.locator('#health').textContent(), 'degraded');
    await page.getByRole('button', { name: 'Resume' }).click();
    await until(/^(full|filling)$/, page.locator('[data-pool="pet"] .state'));
    assert.equal((await bench.pool()).paused, false);

    await page.locator('#new-pool-title').click();
    await page.locator('#pool-name').fill('made');
    await page.locator('#pool-suffix').fill('0');
    await until(/is in no address/, page.locator('#estimate'));
    assert.ok(await page.locator('#make-pool').isDisabled());
    await page.locator('#pool-suffix').fill('m');
    await page.locator('#pool-target').fill('20');
    const computed = await page.locator('#estimate').textContent();
    await page.locator('#make-pool').click();
    await until(/^20$/, figure(page, 'target', 'made'));
    const { difficulty, pattern } = await bench.pool('made');
    assert.ok(
      computed!.startsWith(`${pattern}: ${english(difficulty)} attempts a hit are expected`),
    );
    assert.match(computed!, /Time to fill: \d+ s for 20, \d+ s for each, at [\d,]+ attempts/);

    await page.locator('[data-pool="made"] .buttons button').last().click();
    await page.locator('#target-made').fill('25');
    await page.locator('#target-made').press('Enter');
    await until(/^25$/, figure(page, 'target', 'made'));
    assert.equal((await bench.pool('made')).target, 25);
    await page.locator('[data-pool="pet"] .buttons button').last().click();
    await page.locator('#target-pet').press('Enter');
    await until(/^Refused: pool pet/, page.locator('[data-pool="pet"] .outcome'));
  });

  await t.test('an admin sees warnings, and who took how many', async () => {
    // Of a store in a file there are none.
    assert.ok(await page.locator('#nodes-section').isHidden());
    await until(/started at a low priority.*nice=1/, page.locator('#warnings li'));
    for (;;) {
      const { takers } = (await managed.ask('GET', '/v1/takers')).body as TakerList;
      const expectedRows = takers.map(({ token, addresses }) => [
        token ?? 'without a token',
        english(addresses),
      ]);
      const rows = await page
        .locator('#takers tr')
        .evaluateAll((all) =>
          all.map(({ children }) => [...children].map((cell) => cell.textContent)),
        );
      // None where the day has just begun.
      if (isDeepStrictEqual(rows, expectedRows)) break;
      await sleep(100);
    }
  });

  await t.test('it can be used by everybody, in both themes, at any width', async (part) => {
    await page.getByText('Make a token').click();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      for (const width of [1280, 360]) {
        await page.setViewportSize({ width, height: 800 });
        // Colours and widths have no faults together that neither has alone.
        const isJudged = (colorScheme === 'light') === (width === 1280);
        if (isJudged) await assertAccessible(page, `${colorScheme}, ${width} pixels`);
        const wide = Number(await page.evaluate('document.documentElement.scrollWidth'));
        assert.ok(wide <= width, `${wide} pixels of ${width}`);
        const { SCREENSHOTS } = process.env;
        const name = `${colorScheme}-${width}.png`;
        const path = SCREENSHOTS === undefined ? {} : { path: join(SCREENSHOTS, name) };
        await page.setViewportSize({ width, height: width === 360 ? 4000 : 1800 });
        const picture = await page.screenshot({ fullPage: true, ...path });
        assert.ok(picture.length > 20_000, `${name}: ${picture.length} bytes`);
        part.diagnostic(`${name}: ${picture.length} bytes`);
      }
    }
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  let reader = '';
  await t.test('before the first token it warns, and shows a new one once', async () => {
    await until(/From then on every caller needs one/, page.locator('#first-token'));
    await page.locator('#token-name').fill('watcher');
    await page.locator('#scope-dispense').uncheck();
    await page.locator('#scope-read').check();
    await page.locator('#token-name').press('Enter');
    const text = page.locator('#new-token-text');
    await until(/^vp_/, text);
    reader = (await text.textContent())!;
    await until(/every request needs one/, page.locator('#tokens-section > .outcome'));
    assert.equal((await server.ask('GET', '/v1/pools')).status, 401);
    assert.equal((await server.ask('GET', '/v1/pools', { token: reader })).status, 200);
    await page.getByRole('button', { name: 'Done' }).click();
    assert.ok(!(await page.content()).includes(reader));
    await until(/^watcher$/, page.locator('#tokens th'));
    await page.locator('#first-token').waitFor({ state: 'hidden', ...PATIENCE });
    await assertNothingKept(page, managed.token);
  });

  await t.test('a token that may not, sees no button, and the server refuses', async () => {
    const { page: other } = await bench.open();
    await other.goto(proxy.url);
    await bench.signIn(other, reader);
    await until(/^300$/, figure(other, 'target'));
    await until(/^watcher$/, other.locator('#who'));
    await assertNoActions(other);
    const asked = await server.ask('POST', '/v1/pools/pet/pause', { token: reader });
    assert.equal(asked.status, 403);

    await page.locator('#tokens button').first().click();
    await page.getByRole('button', { name: 'Revoke watcher for ever' }).click();
    await until(/not a valid token/, other.locator('#refusal'));
    assert.equal(await other.locator('article').count(), 0);
    await other.context().close();
  });

  await t.test('a token is forgotten after 15 idle minutes, and by a reload', async () => {
    await page.clock.install();
    await page.reload();
    await bench.signIn(page, managed.token);
    await figure(page, 'target').waitFor(PATIENCE);
    await page.clock.fastForward('14:00');
    await page.mouse.move(5, 5);
    await page.clock.fastForward('02:00');
    assert.ok(await page.locator('#token').isHidden(), 'somebody touched the page');
    await page.clock.fastForward('16:00');
    await until(/15 minutes/, page.locator('#refusal'));
    await page.locator('#token').waitFor(PATIENCE);
    assert.equal(await page.locator('article').count(), 0);
    await assertNothingKept(page, managed.token);
  });

  await t.test('it asked its own server alone, and no URL has a token', () => {
    assert.ok(proxy.urls.length > 20);
    for (const url of proxy.urls) assert.match(url, /^\/some\/path\/[\w./-]*$/);
    const others = complaints.filter((text) => !OF_REFUSAL.test(text));
    assert.deepEqual(others, []);
  });
});

async function assertNoActions(page: Page): Promise<void> {
  for (const id of ['new-pool-section', 'tokens-section', 'oversight']) {
    assert.ok(await page.locator(`#${id}`).isHidden(), id);
  }
  const shown = await page.locator('main button:visible').allTextContents();
  assert.deepEqual(shown, []);
}
