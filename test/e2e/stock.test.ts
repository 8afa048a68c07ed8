/**
 * The stock is one figure, wherever it is shown, and it is what can be taken: all of it, and
 * nothing more.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { EASY_POOL, type Server, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };
/** A port on which nobody listens: 5057 may be somebody's server. */
const ALONE = { VANITYPOOL_HTTP__PORT: '9' };

/** Of a pool that was ground by another run: it has what it has. */
async function served(
  workspace: Workspace,
  ready: number,
): Promise<{ server: Server; stock: number }> {
  workspace.configure([{ ...EASY_POOL, target: 90, ready }]);
  const server = await workspace.serve();
  // Nothing of it is on its way from the store to the ready queue.
  const { stock } = await server.until((pool) => {
    return pool.leased === pool.ready && pool.ready >= Math.min(ready, pool.stock);
  });
  return { server, stock };
}

/** As tables write it: a pattern this easy is ground beyond its target. */
const shown = (count: number) => count.toLocaleString('en-US');

/** The line of the pool in a table with the stock as its fourth column. */
function assertStock({ stdout }: Outcome, stock: number): void {
  assert.match(stdout, /^pool +pattern +target +stock +dispensed/m);
  assert.match(stdout, new RegExp(`^pet +\\S+ +90 +${shown(stock)} +0 `, 'm'), stdout);
}

test('the stock is what can be taken, wherever it is shown', LIMIT, async (t) => {
  await using workspace = new Workspace();
  workspace.configure([{ ...EASY_POOL, target: 90 }]);
  const grinding = await workspace.serve();
  await grinding.until(({ stock }) => stock >= 90);
  await grinding.kill('SIGTERM');
  workspace.environment = { VANITYPOOL_GRINDER__THREADS: '0' };

  await t.test('after a kill the commands say what waits for the next start', async () => {
    const { server, stock } = await served(workspace, 4000);
    assert.equal((await server.pool()).ready, stock, 'all of it');
    await server.kill('SIGKILL');
    const look = (...command: string[]) => vanitypoolHere(command, ALONE, workspace.path);
    const waits = `pool pet: ${shown(stock)} leased by a server that does not answer: settled at the next start`;
    for (const command of [['pool', 'list'], ['status']]) {
      const table = await look(...command);
      assertStock(table, 0);
      assert.ok(table.lines.includes(waits), table.stdout);
    }
    const again = await workspace.serve();
    const { stock: back, burned } = await again.pool();
    assert.deepEqual([back, burned], [stock, 0], 'which gives it back');
    await again.kill('SIGTERM');
    const table = await look('pool', 'list');
    assertStock(table, stock);
    assert.doesNotMatch(table.stdout, /leased/);
  });

  await t.test(
    'API, metrics and commands show one figure, and all of it can be taken',
    async () => {
      const { server, stock } = await served(workspace, 20);
      const run = (...args: string[]): Promise<Outcome> =>
        vanitypoolHere([...args, '--url', server.url], {}, workspace.path);
      const one = await server.pool();
      assert.ok(one.available > 0 && one.ready > 0, JSON.stringify(one));
      assert.deepEqual([one.stock, one.available + one.ready], [stock, stock]);
      const metrics = (await server.ask('GET', '/metrics')).text;
      assert.match(metrics, new RegExp(`^vanitypool_stock\\{pool="pet"\\} ${stock}$`, 'm'));
      for (const command of [['pool', 'list'], ['status']]) {
        const table = await run(...command);
        assertStock(table, stock);
        assert.doesNotMatch(table.stdout, /leased/);
        const { pools } = JSON.parse((await run(...command, '--json')).stdout);
        assert.equal(pools[0].stock, stock);
      }
      const count = stock + 1;
      const short = await server.ask('POST', '/v1/pools/pet/dispense', { body: { count } });
      assert.match(short.body.detail, new RegExp(`${count} asked for, ${stock} left`));
      assert.equal((await server.dispense(stock)).length, stock);
    },
  );
});
