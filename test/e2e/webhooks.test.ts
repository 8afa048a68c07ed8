/**
 * Alerts of a real server: a pool that is emptied and filled again, and a store that is moved away and back.
 * While it is emptied nothing grinds, so each event has one cause.
 */
import assert from 'node:assert/strict';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Receiver, SECRET } from '../support/receiver.ts';
import { EASY_POOL, type Server, Workspace } from '../support/server.ts';

const PATH = '/PATHSECRET?QUERYSECRET';
/** 15 or more taken count as 900 an hour in the first minute: 5 left last for 20 s, and for 0.05 h only after 9 minutes. */
const POOL = { ...EASY_POOL, target: 20, ready: 20, low_hours: 0.05 };

async function metric(server: Server, name: string): Promise<number> {
  const { text } = await server.ask('GET', '/metrics');
  return Number(new RegExp(`^vanitypool_webhooks_${name}_total (.*)$`, 'm').exec(text)?.[1]);
}

test('low, empty, recovered, and the same of the store: each arrives, signed; a new pool raises nothing', {
  timeout: 300_000,
}, async () => {
  await using receiver = await Receiver.start((index) => [index === 0 ? 500 : 204]);
  await using ofStore = await Receiver.start();
  await using silent = await Receiver.start(() => undefined);
  await using workspace = new Workspace();
  const webhook = ({ url }: Receiver, events: string) =>
    `[[webhooks]]\nurl = "${url}${PATH}"\nsecret = "env:WEBHOOK_SECRET"\n${events}`;
  workspace.configure(
    [POOL],
    webhook(receiver, ''),
    webhook(ofStore, 'events = ["store.unavailable"]'),
    webhook(silent, 'events = ["pool.empty"]'),
  );
  workspace.environment = { WEBHOOK_SECRET: SECRET };

  const filling = await workspace.serve();
  // The last hits can be more than the target asks for.
  await filling.until(({ stock }) => stock >= 20);
  assert.equal(await filling.kill('SIGTERM'), 0);
  assert.equal(receiver.received.length, 0);

  const emptied = await workspace.serve('--threads', '0');
  const { stock } = await emptied.until(({ ready }) => ready >= 20);
  await emptied.dispense(stock - 5);
  // The first attempt is answered 500.
  await receiver.until(2);
  const [low, again] = receiver.events;
  assert.deepEqual(low, again);
  assert.equal(low?.type, 'pool.low');
  assert.deepEqual([low?.data.pool, low?.data.stock, low?.data.target], ['pet', 5, 20]);
  assert.equal(low?.data.lowHours, 0.05);
  assert.ok(Number(low?.data.hoursOfStock) < 0.05, JSON.stringify(low));
  await emptied.dispense(5);
  await receiver.until(3);
  assert.deepEqual([receiver.events[2]?.type, receiver.events[2]?.data.stock], ['pool.empty', 0]);
  while ((await metric(emptied, 'sent')) < 2) await sleep(20);
  assert.ok((await metric(emptied, 'failed')) >= 1);
  assert.equal(await metric(emptied, 'dropped'), 0);
  await silent.until(1);
  assert.equal(await emptied.kill('SIGTERM'), 0);
  // A stop waits for a receiver, though not for long.
  const dropped = emptied.log.find(({ msg }) => msg.startsWith('webhook messages are dropped'));
  assert.deepEqual([dropped?.webhook, dropped?.messages], [silent.url, 1]);

  const filled = await workspace.serve();
  await receiver.until(6);
  const types = receiver.events.slice(3).map(({ type }) => type);
  // A start reports what is low; then it is filled.
  assert.deepEqual(types, ['pool.low', 'pool.empty', 'pool.recovered']);

  assert.equal(ofStore.received.length, 0, 'it asked for other events');
  const moved = join(workspace.path, 'moved');
  renameSync(workspace.data, moved);
  await filled.dispense();
  await receiver.until(7);
  renameSync(moved, workspace.data);
  await receiver.until(8);
  const ofBoth = receiver.events.slice(6).map(({ type, data }) => [type, data]);
  assert.deepEqual(ofBoth, [
    ['store.unavailable', { code: 'STORE_UNAVAILABLE' }],
    ['store.recovered', { code: 'STORE_UNAVAILABLE' }],
  ]);
  await ofStore.until(1);
  assert.equal(await filled.kill('SIGTERM'), 0);
  assert.deepEqual(
    ofStore.events.map(({ type }) => type),
    ['store.unavailable'],
  );

  for (const { output } of [filling, emptied, filled]) assert.doesNotMatch(output, /SECRET|whsec/);
  const said = emptied.log.filter(({ msg, webhook: of }) => {
    return msg.startsWith('a webhook') && of === receiver.url;
  });
  assert.deepEqual(
    said.map(({ msg, webhook: of }) => [msg, of]),
    [
      ['a webhook fails; its messages are sent again', receiver.url],
      ['a webhook works again', receiver.url],
    ],
  );
});

test('a secret that the environment lacks refuses the start', { timeout: 300_000 }, async () => {
  await using workspace = new Workspace();
  workspace.configure(
    [POOL],
    '[[webhooks]]\nurl = "https://h.example/PATHSECRET"\nsecret = "env:WEBHOOK_MISSING"',
  );
  await assert.rejects(workspace.serve(), (error: Error) => {
    assert.match(error.message, /webhooks\.1\.secret: the variable WEBHOOK_MISSING is not set/);
    assert.doesNotMatch(error.message, /PATHSECRET/);
    return true;
  });
});
