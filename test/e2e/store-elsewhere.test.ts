/** The store in one directory, and what the machine has beside it in another. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { vanitypool } from '../support/cli.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };

test(
  'store.data apart from store.url: a kill burns nothing, and commands find both',
  LIMIT,
  async () => {
    await using workspace = new Workspace();
    const [data, place] = [workspace.data, join(workspace.path, 'disk')];
    const section = ['[store]', `url = "file:${place}"`, `data = "${data}"`, 'journal = "data"'];
    const config = workspace.configure([{ ...EASY_POOL, target: 30, ready: 10 }], ...section);
    const server = await workspace.serve();
    await server.until(({ stock }) => stock >= 20);
    const first = await server.dispense(3);
    assert.deepEqual(
      [existsSync(join(place, 'store.db')), existsSync(join(data, 'store.db'))],
      [true, false],
    );
    assert.ok(readdirSync(join(data, 'journal')).some((name) => name.endsWith('.journal')));
    assert.ok(existsSync(join(data, 'sealing.key')) && !existsSync(join(place, 'sealing.key')));
    const asked = await vanitypool(['status', '--config', config, '--json'], {
      cwd: workspace.path,
    });
    assert.equal(JSON.parse(asked.stdout).pools[0].dispensed, 3);
    const other = workspace.configure(
      [EASY_POOL],
      '[store]',
      `url = "file:${place}2"`,
      `data = "${data}"`,
    );
    const second = await vanitypool(['serve', '--config', other, '--port', '0'], {
      cwd: workspace.path,
    });
    assert.equal(second.code, 1);
    assert.match(second.stderr, /data: process \d+ holds it.*\(DATA_IN_USE\)/);
    await server.kill('SIGKILL');
    workspace.configure([{ ...EASY_POOL, target: 30, ready: 10 }], ...section);
    const looked = await vanitypool(['status', '--config', config, '--json'], {
      cwd: workspace.path,
    });
    const [stopped] = JSON.parse(looked.stdout).pools;
    assert.equal(stopped.burned, 0);
    const again = await workspace.serve();
    const more = await again.dispense(3);
    const addresses = [...first, ...more].map(({ address }) => address);
    assert.equal(new Set(addresses).size, 6);
    assert.equal((await again.until(() => true)).burned, 0);
  },
);
