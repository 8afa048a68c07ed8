/** A real server that starts with secrets whose retention was over the day before. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Workspace } from '../support/server.ts';
import { openStoreIn, withDatabase } from '../support/sqlite-stores.ts';
import { hitsFor, poolNamed } from '../support/store-subject.ts';
import { turn } from '../support/turns.ts';

const TWO_DAYS_MS = 48 * 3_600_000;
const DUE = 1000;

test('what falls due in a night off is destroyed while the server answers, and is in no file then', {
  timeout: 300_000,
}, async () => {
  await using workspace = new Workspace();
  const { data } = workspace;
  const pet = { name: 'pet', suffix: 't', target: 20, ready: 10 };
  workspace.configure([pet]);
  {
    await using store = await openStoreIn(data);
    await store.definePool(poolNamed('old'));
    await store.insert(hitsFor('old', DUE));
    await turn(store, 'old', 0, DUE);
    await turn(store, 'old', DUE, 0);
  }
  const sealed = withDatabase(data, (db) => {
    db.prepare('UPDATE segments SET changed_at = changed_at - ?').run(TWO_DAYS_MS);
    return db.prepare('SELECT sealed FROM addresses').all();
  }).map((row) => Buffer.from(row.sealed as Uint8Array));
  const found = () => {
    const files = readdirSync(data)
      .filter((name) => name.startsWith('store.db'))
      .map((name) => readFileSync(join(data, name)));
    return sealed.filter((secret) => files.some((file) => file.includes(secret))).length;
  };
  assert.equal(found(), DUE, 'what is kept would be found');
  const server = await workspace.serve();
  await server.until(({ available, leased }) => available + leased >= 10);
  assert.equal((await server.dispense(5)).length, 5);
  while (found() > 0) await sleep(200);
  const metrics = async () => (await server.ask('GET', '/metrics')).text;
  while (!/^vanitypool_secrets_due 0$/m.test(await metrics())) await sleep(50);
  assert.equal((await server.dispense(5)).length, 5);
});
