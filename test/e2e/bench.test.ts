/** The benchmarks at work, as processes. What they measure is not judged: it is the machine's. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CONSTANT_PATH } from '../../bench/constant.ts';
import { buildLoad, run } from '../../bench/load.ts';
import { vanitypool } from '../support/cli.ts';
import { PostgresServer } from '../support/postgres.ts';
import { withoutPostgres } from '../support/postgres-program.ts';

const LIMIT = { timeout: 300_000 };
const skip = await withoutPostgres(18);

test(
  'bench ring --json is one object with machine, commit and a rate for every row',
  LIMIT,
  async () => {
    const args = ['bench', 'ring', '--json', '--trials', '1', '--addresses', '512'];
    const { code, stdout, stderr } = await vanitypool(args);
    assert.equal(code, 0, stderr);
    const { machine, node, commit, rows } = JSON.parse(stdout);
    assert.match(machine, /cores$/);
    assert.equal(node, process.version);
    assert.match(commit, /^(unknown|[0-9a-f]{7,}.*)$/);
    assert.ok(rows.length > 5);
    for (const { addressesPerSecond } of rows) assert.ok(addressesPerSecond > 0);
  },
);

test('bench start --json holds a real server to its marks', LIMIT, async () => {
  const args = ['bench', 'start', '--json', '--stored', '2000', '--rounds', '1'];
  const { code, stdout, stderr } = await vanitypool(args);
  assert.equal(code, 0, stderr);
  const { rows, load, rounds } = JSON.parse(stdout);
  assert.equal(rounds, 1);
  assert.equal(load.length, 3);
  const first = rows.filter(({ mark }: { mark?: string }) => mark === '< 1000');
  assert.equal(first.length, 2);
  for (const { median, isMet } of first) assert.equal(isMet, median < 1000);
});

test('bench journal --json holds a real journal in both places to its marks', LIMIT, async () => {
  const { code, stdout, stderr } = await vanitypool([
    'bench',
    'journal',
    '--json',
    '--rounds',
    '1',
  ]);
  assert.equal(code, 0, stderr);
  const { rows } = JSON.parse(stdout);
  const marks = rows.map(({ mark }: { mark?: string }) => mark).filter(Boolean);
  const places = existsSync('/dev/shm') ? 2 : 1;
  assert.deepEqual(marks, Array.from({ length: places }, () => ['<= 3', '<= 20']).flat());
  for (const { median } of rows) assert.ok(median > 0);
});

test('the load gives each request an idempotency key of its own, if it is to have one', async (t) => {
  const keys: (string | undefined)[] = [];
  const server = createServer((request, reply) => {
    keys.push(request.headers['idempotency-key'] as string | undefined);
    request.resume().on('end', () => reply.end('{}'));
  });
  t.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  buildLoad();
  for (let runs = 0; runs < 2; runs++) await run({ port, requests: 25, isKeyed: true });
  assert.equal(new Set(keys).size, 50);
  for (const key of keys) assert.match(String(key), /^[0-9a-f-]{37}\d{10}$/);
  keys.length = 0;
  const { requests } = await run({ port, requests: 25 });
  assert.equal(requests, 25);
  assert.deepEqual(keys, Array(25).fill(undefined));
});

test('the yardstick of bench api answers as fast as it is asked', LIMIT, async (t) => {
  const constant = fork(fileURLToPath(new URL('../../bench/constant.ts', import.meta.url)));
  t.after(() => constant.disconnect());
  const [port] = (await once(constant, 'message')) as [number];
  buildLoad();
  // It fails with the first reply that is not 200.
  const { requests } = await run({ port, path: CONSTANT_PATH, requests: 500 });
  assert.equal(requests, 500);
});

test('bench durability --json measures three ways to dispense on real servers', LIMIT, async () => {
  const args = [
    'bench',
    'durability',
    '--json',
    '--rounds',
    '1',
    '--seconds',
    '1',
    '--requests',
    '100',
  ];
  const { code, stdout, stderr } = await vanitypool(args);
  assert.equal(code, 0, stderr);
  const { rows } = JSON.parse(stdout);
  const throughput = rows.filter(({ unit }: { unit: string }) => unit === 'requests/s');
  assert.deepEqual(
    throughput.map(({ what }: { what: string }) => what),
    ['leased: throughput', 'leased, with a key: throughput', 'committed: throughput'],
  );
  for (const { median } of rows) assert.ok(median > 0);
});

test('bench flood --json answers every dispense beside the flood', LIMIT, async () => {
  const args = ['bench', 'flood', '--json', '--rounds', '1', '--seconds', '1'];
  const { code, stdout, stderr } = await vanitypool(args);
  assert.equal(code, 0, stderr);
  const { rows } = JSON.parse(stdout);
  const times = rows.filter(({ unit }: { unit: string }) => unit === 'times');
  assert.equal(times.length, 2);
  for (const { median } of times) assert.ok(median > 0);
});

test('bench events --json reads streams of a real server', LIMIT, async () => {
  const size = ['--rounds', '1', '--seconds', '2', '--streams', '3', '--pools', '2'];
  const { code, stdout, stderr } = await vanitypool(['bench', 'events', '--json', ...size]);
  assert.equal(code, 0, stderr);
  const { rows } = JSON.parse(stdout);
  const titles = ['no stream', 'a stream a thread', '3 streams', '3 streams of other pools'];
  assert.deepEqual(
    rows
      .filter(({ unit }: { unit: string }) => unit === 'ms')
      .map(({ what }: { what: string }) => what),
    titles.map((title) => `${title}: processor time a second`),
  );
  const events = rows.filter(({ what }: { what: string }) => what.endsWith(': events a second'));
  assert.equal(events.length, 3);
  for (const { median } of rows) assert.ok(median > 0);
});

test('a number that a benchmark does not take is wrong usage', LIMIT, async () => {
  const { code, stderr } = await vanitypool(['bench', 'memory', '--rounds', '0']);
  assert.equal(stderr, 'bench: --rounds: 0 is not a whole number from 1\n');
  assert.equal(code, 2);
  // The other programs, without the command that runs them.
  for (const [name, flag] of [
    ['ring', '--trials'],
    ['store', '--rounds'],
    ['cluster', '--nodes'],
    ['grind', '--trials'],
    ['journal', '--rounds'],
    ['durability', '--rounds'],
    ['flood', '--rounds'],
    ['events', '--streams'],
  ] as const) {
    const program = fileURLToPath(new URL(`../../bench/${name}.ts`, import.meta.url));
    const refused = await vanitypool([program, flag, '0'], { program: process.execPath });
    assert.match(refused.stderr, /^bench: --\w+: 0 is not a whole number.*\n$/);
    assert.equal(refused.code, 2);
  }
});

test('bench cluster --json measures each number of nodes, and leaves no database behind', {
  ...LIMIT,
  skip,
}, async (t) => {
  const server = await PostgresServer.start();
  t.after(() => server[Symbol.asyncDispose]());
  const databases = () => server.sql('SELECT datname FROM pg_database ORDER BY datname');
  const before = await databases();
  const args = ['bench', 'cluster', '--json', '--rounds', '1', '--url', server.url()];
  const sizes = ['--nodes', '1,2', '--batches', '3', '--stored', '5'];
  const { code, stdout, stderr } = await vanitypool([...args, ...sizes]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(await databases(), before);
  const { rows } = JSON.parse(stdout);
  const tasks = ['insert of 256', 'turn of 3', 'with a key, 1', 'with a key, 64'];
  const expected = [1, 2].flatMap((nodes) => tasks.map((task) => [task, nodes, 5]));
  const measured = rows.map(({ task, nodes, stored }: Row) => [task, nodes, stored]);
  assert.deepEqual(measured, expected);
  for (const { addressesPerSecond, p50, nodeUs, serverUs } of rows) {
    for (const figure of [addressesPerSecond, p50, nodeUs, serverUs]) assert.ok(figure > 0);
  }
});

interface Row {
  readonly task: string;
  readonly nodes: number;
  readonly stored: number;
}
