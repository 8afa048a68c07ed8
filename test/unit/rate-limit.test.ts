import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkOf, RateLimit } from '../../src/http/rate-limit.ts';

test('each is counted alone, anew in each window', () => {
  const limit = new RateLimit(1000);
  assert.deepEqual(
    [limit.count('a', 5000), limit.count('a', 5999), limit.count('b', 5999)],
    [1, 2, 1],
  );
  assert.equal(limit.count(1, 5999), 1, 'a token is no address');
  assert.equal(limit.count('a', 6000), 1);
});

test('the seconds to the next window are whole, and never none', () => {
  const limit = new RateLimit(60_000);
  assert.equal(limit.secondsLeft, 1);
  limit.count('a');
  assert.ok(limit.secondsLeft > 1 && limit.secondsLeft <= 60);
});

test('more names than it holds share one count; those that it holds keep theirs', () => {
  const limit = new RateLimit(1000);
  for (let index = 0; index < 10_000; index++) assert.equal(limit.count(`n${index}`, 1), 1);
  assert.equal(limit.count('one more', 1), 1);
  assert.equal(limit.count('and more', 1), 2);
  assert.equal(limit.count('n7', 1), 2);
});

test('an IPv6 network of 64 bits counts as one, whatever the way to write it', () => {
  const cases: readonly (readonly [address: string | undefined, network: string])[] = [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::1', '0:0:0:0::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:0DB8:0:0:ffff::', '2001:db8:0:0::/64'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::5:6', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['1::8', '1:0:0:0::/64'],
    ['x'.repeat(10_000), 'unknown'],
    ['', 'unknown'],
    [undefined, 'socket'],
  ];
  for (const [address, network] of cases) assert.equal(networkOf(address), network, address);
});
