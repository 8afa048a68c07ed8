/** Messages go to a real HTTP server on a loopback port, which the test lets fail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BackOff } from '../../src/back-off.ts';
import { Endpoint } from '../../src/webhooks/endpoint.ts';
import { Outbox, type OutboxOptions } from '../../src/webhooks/outbox.ts';
import { messageOf } from '../../src/webhooks/webhooks.ts';
import { collectedLog } from '../support/collected-log.ts';
import { Receiver, SECRET, verified } from '../support/receiver.ts';

const PATH = '/hooks/PATHSECRET?token=QUERYSECRET';
const LIMIT = { timeout: 300_000 };

function endpointOf({ url }: { readonly url: string }, timeoutMs?: number): Endpoint {
  const webhook = { label: 'webhooks.1', url: `${url}${PATH}`, secret: SECRET };
  return new Endpoint(webhook, {}, timeoutMs);
}

function outboxOf(endpoint: Endpoint, options: Partial<OutboxOptions> = {}) {
  const counts = { sent: 0, failed: 0, dropped: 0 };
  const log = collectedLog();
  const outbox = new Outbox(endpoint, {
    count: (outcome) => counts[outcome]++,
    log,
    backOff: new BackOff(1, 4),
    ...options,
  });
  return { outbox, counts, log };
}

test(
  'a message is signed as the specification says, and verified by its reference implementation',
  LIMIT,
  async () => {
    await using receiver = await Receiver.start();
    const { outbox, counts, log } = outboxOf(endpointOf(receiver));
    const message = messageOf('pool.low', { pool: 'pet', stock: 3, hoursOfStock: null });
    outbox.post(message);
    const [received] = await receiver.until(1);
    await outbox.close(LIMIT.timeout);
    const { type, timestamp, data } = verified(received!);
    assert.deepEqual([type, data], ['pool.low', { pool: 'pet', stock: 3, hoursOfStock: null }]);
    assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const { headers, path } = received!;
    assert.equal(path, PATH);
    assert.equal(headers['content-type'], 'application/json');
    assert.equal(headers['webhook-id'], message.id);
    assert.throws(() => verified(received!, `whsec_${Buffer.alloc(32, 8).toString('base64')}`));
    assert.throws(() => verified({ ...received!, text: `${received!.text} ` }));
    assert.deepEqual(counts, { sent: 1, failed: 0, dropped: 0 });
    assert.deepEqual(log.lines, []);
  },
);

test(
  'a secret of the environment signs, and one that is missing or has another form is refused',
  LIMIT,
  async () => {
    await using receiver = await Receiver.start();
    const webhook = { label: 'webhooks.2', url: receiver.url, secret: 'env:OF_MINE' };
    const endpoint = new Endpoint(webhook, { OF_MINE: `${SECRET}\n` });
    assert.equal((await endpoint.send(messageOf('webhook.test', {}))).isAccepted, true);
    assert.equal(receiver.events[0]?.type, 'webhook.test');
    const refused = (env: Record<string, string>, message: RegExp) =>
      assert.throws(() => new Endpoint(webhook, env), { code: 'CONFIG_INVALID', message });
    refused({}, /^webhooks\.2\.secret: the variable OF_MINE is not set; allowed: "whsec_"/);
    refused({ OF_MINE: 'QUIET' }, /^webhooks\.2\.secret: the variable OF_MINE has (?!.*QUIET)/);
  },
);

test(
  'what fails is sent again with the same id and body, and said once in the log',
  LIMIT,
  async () => {
    await using receiver = await Receiver.start((index) => [index < 3 ? 500 : 200]);
    const { outbox, counts, log } = outboxOf(endpointOf(receiver));
    const [first, second] = [messageOf('pool.low', {}), messageOf('pool.empty', {})];
    outbox.post(first);
    outbox.post(second);
    const received = await receiver.until(5);
    await outbox.close(LIMIT.timeout);
    const { id } = first;
    const ids = received.map(({ headers }) => headers['webhook-id']);
    assert.deepEqual(ids, [id, id, id, id, second.id]);
    assert.equal(new Set(received.slice(0, 4).map(({ text }) => text)).size, 1);
    assert.equal(receiver.events.length, 5, 'each attempt has a valid signature');
    assert.deepEqual(counts, { sent: 2, failed: 3, dropped: 0 });
    const webhook = receiver.url;
    assert.deepEqual(log.lines, [
      {
        level: 'warn',
        fields: { webhook, reason: 'status 500' },
        msg: 'a webhook fails; its messages are sent again',
      },
      { level: 'info', fields: { webhook }, msg: 'a webhook works again' },
    ]);
  },
);

test('a redirect is not followed', LIMIT, async () => {
  await using other = await Receiver.start();
  await using receiver = await Receiver.start(() => [307, { location: other.url }]);
  const answer = await endpointOf(receiver).send(messageOf('pool.low', {}));
  assert.deepEqual(answer, { isAccepted: false, reason: 'status 307' });
  assert.equal(other.received.length, 0);
});

test(
  'no answer is a failure, whether nobody is there or nobody answers; no reason shows the URL',
  LIMIT,
  async () => {
    const gone = await Receiver.start();
    const endpoint = endpointOf({ url: gone.url });
    await gone[Symbol.asyncDispose]();
    const refused = await endpoint.send(messageOf('pool.low', {}));
    assert.deepEqual(refused, { isAccepted: false, reason: 'no answer (ECONNREFUSED)' });
    const ofOthers = await endpointOf({ url: 'http://127.0.0.1:9' }).send(
      messageOf('pool.low', {}),
    );
    assert.equal(ofOthers.reason, 'no answer (this port is not allowed)');
    await using silent = await Receiver.start(() => undefined);
    const late = await endpointOf(silent, 100).send(messageOf('pool.low', {}));
    assert.deepEqual(late, { isAccepted: false, reason: 'no answer within 0.1 s' });
  },
);

test(
  'at most 100 messages wait; the oldest is dropped for a new one, and counted',
  LIMIT,
  async () => {
    let isOpen = false;
    await using receiver = await Receiver.start(() => [isOpen ? 200 : 503]);
    const { outbox, counts } = outboxOf(endpointOf(receiver));
    const messages = Array.from({ length: 151 }, () => messageOf('pool.low', {}));
    for (const message of messages) outbox.post(message);
    assert.equal(counts.dropped, 50, 'one is being sent');
    isOpen = true;
    while (counts.sent < 101) await new Promise(setImmediate);
    await outbox.close(LIMIT.timeout);
    const accepted = [...new Set(receiver.received.map(({ headers }) => headers['webhook-id']))];
    const wanted = [messages[0]!, ...messages.slice(51)].map(({ id }) => id);
    assert.deepEqual(accepted, wanted);
    assert.deepEqual([counts.sent, counts.dropped], [101, 50]);
  },
);

test('a message that is too old is given up, and the next one is sent', LIMIT, async () => {
  await using receiver = await Receiver.start((index) => [index === 0 ? 500 : 200]);
  const { outbox, counts } = outboxOf(endpointOf(receiver), { lifeMs: 0 });
  const [first, second] = [messageOf('pool.low', {}), messageOf('pool.empty', {})];
  outbox.post(first);
  outbox.post(second);
  const received = await receiver.until(2);
  await outbox.close(LIMIT.timeout);
  const ids = received.map(({ headers }) => headers['webhook-id']);
  assert.deepEqual(ids, [first.id, second.id]);
  assert.deepEqual(counts, { sent: 1, failed: 1, dropped: 1 });
});

test('a stop gives what waits one more attempt at once, and drops the rest', LIMIT, async () => {
  let isOpen = false;
  await using receiver = await Receiver.start(() => [isOpen ? 200 : 500]);
  const waits = { backOff: new BackOff(LIMIT.timeout * 10) };
  const late = outboxOf(endpointOf(receiver), waits);
  late.outbox.post(messageOf('pool.low', {}));
  while (late.counts.failed === 0) await new Promise(setImmediate);
  isOpen = true;
  await late.outbox.close(LIMIT.timeout);
  assert.deepEqual(late.counts, { sent: 1, failed: 1, dropped: 0 });
  isOpen = false;
  const failing = outboxOf(endpointOf(receiver), waits);
  failing.outbox.post(messageOf('pool.low', {}));
  failing.outbox.post(messageOf('pool.low', {}));
  await failing.outbox.close(LIMIT.timeout);
  assert.deepEqual([failing.counts.sent, failing.counts.dropped], [0, 2]);
  const last = failing.log.lines.at(-1);
  assert.equal(last?.msg, 'webhook messages are dropped: the server stops');
  assert.equal(last?.fields.messages, 2);
  failing.outbox.post(messageOf('pool.low', {}));
  assert.equal(failing.counts.dropped, 3);
});

test('a stop waits for no webhook that is silent longer than it may', LIMIT, async () => {
  await using silent = await Receiver.start(() => undefined);
  const { outbox, counts } = outboxOf(endpointOf(silent, LIMIT.timeout * 10));
  outbox.post(messageOf('pool.low', {}));
  outbox.post(messageOf('pool.empty', {}));
  await silent.until(1);
  await outbox.close(50);
  assert.deepEqual(counts, { sent: 0, failed: 0, dropped: 2 });
  assert.equal(silent.received.length, 1);
});
