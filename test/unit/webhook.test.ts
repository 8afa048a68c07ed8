/** `vanitypool webhook test`, against real receivers. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { vanitypoolHere } from '../support/cli-here.ts';
import { Receiver, SECRET } from '../support/receiver.ts';

const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
after(() => rmSync(directory, { recursive: true }));
const file = join(directory, 'webhooks.toml');
const PATH = '/PATHSECRET?QUERYSECRET';

function configure(...urls: string[]): void {
  const tables = urls.map((url) => {
    return `[[webhooks]]\nurl = "${url}${PATH}"\nsecret = "env:OF_MINE"\nevents = ["pool.low"]\n`;
  });
  writeFileSync(file, tables.join(''));
}

const webhookTest = (env: Record<string, string> = { OF_MINE: SECRET }) =>
  vanitypoolHere(['webhook', 'test', '--config', file], env);

test('each webhook gets a signed test event, and what it answered is printed', async () => {
  await using one = await Receiver.start();
  await using other = await Receiver.start(() => [202]);
  configure(one.url, other.url);
  const { code, lines, stderr } = await webhookTest();
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(lines, [
    `${one.url}: accepted: status 204`,
    `${other.url}: accepted: status 202`,
  ]);
  for (const { events } of [one, other]) {
    assert.deepEqual(
      events.map(({ type, data }) => [type, data]),
      [['webhook.test', {}]],
    );
  }
});

test('one that fails makes the exit code 1; it is asked once, and no secret is shown', async () => {
  await using good = await Receiver.start();
  await using bad = await Receiver.start(() => [401]);
  configure(bad.url, good.url);
  const { code, lines, stdout, stderr } = await webhookTest();
  assert.deepEqual([code, bad.received.length], [1, 1]);
  assert.deepEqual(lines, [`${bad.url}: failed: status 401`, `${good.url}: accepted: status 204`]);
  assert.doesNotMatch(stdout + stderr, /whsec|SECRET/);
});

test('without a webhook, a secret or a subcommand it says what is missing', async () => {
  configure();
  const none = await webhookTest();
  assert.equal(none.code, 2);
  assert.match(none.stderr, /webhooks: there is none; write a \[\[webhooks\]\] table/);
  configure('https://h.example');
  const unset = await webhookTest({});
  assert.equal(unset.code, 2);
  assert.match(unset.stderr, /webhooks\.1\.secret: the variable OF_MINE is not set/);
  const verb = await vanitypoolHere(['webhook']);
  assert.equal(verb.code, 2);
  assert.match(verb.stderr, /the subcommand is missing; give one of test/);
});
