/**
 * When a file may be written: a stand-in for the server says when the store has recorded what left,
 * which a real one does too soon to be seen. The command with a real server is tested in test/e2e.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { addressOf, encodeBase58 } from '../../src/keypair/address.ts';
import { expandedKeyOf } from '../../src/keypair/expanded.ts';
import { keypairOf } from '../../src/keypair/keypair.ts';
import { PROGRAM } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';

const LIMIT = { timeout: 300_000 };
const keypair = keypairOf(randomBytes(32));
const address = addressOf(keypair.subarray(32));
const SEED = { keyType: 'seed', secretKey: encodeBase58(keypair) };
const expandedKey = encodeBase58(expandedKeyOf(keypair.subarray(0, 32)));
const EXPANDED = { keyType: 'expanded', expandedKey };

/** What it is asked for, in order, and the files that are there at each moment. */
async function standIn(
  t: TestContext,
  states: string[],
  onTaken = () => {},
  secret: object = SEED,
) {
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const asked: string[] = [];
  const server = createServer(({ method, url = '' }, reply) => {
    asked.push(`${method} ${url} ${readdirSync(directory).length}`);
    const send = (status: number, body: object) =>
      reply.writeHead(status).end(JSON.stringify(body));
    if (method === 'POST') {
      onTaken();
      const fields = { origin: 'ground', createdAt: new Date(0).toISOString() };
      send(200, { addresses: [{ id: 1, address, ...secret, ...fields }] });
    } else if (url.endsWith(address)) {
      send(200, { address, state: states.shift() });
    } else if (url === '/v1/pools/pet') {
      send(200, { name: 'pet', handout: 'secret' });
    } else {
      send(404, { code: 'ADDRESS_NOT_FOUND', detail: 'none' });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const args = ['export', '--pool', 'pet', '--out', directory, '--url', url, '--count'];
  return { directory, asked, args };
}

test('nothing is written before the store has recorded it', LIMIT, async (t) => {
  const { directory, asked, args } = await standIn(t, ['leased', 'leased', 'dispensed']);
  const { code, stdout, stderr } = await vanitypoolHere([...args, '1']);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, `${address}\n`);
  assert.deepEqual(asked, [
    'GET /v1/pools/pet 0',
    'GET /v1/addresses/11111111111111111111111111111111 0',
    'POST /v1/pools/pet/dispense 0',
    ...Array(3).fill(`GET /v1/addresses/${address} 0`),
  ]);
  assert.deepEqual(readdirSync(directory), [`${address}.json`]);
});

test('base58 is a file each, and lines are one file', LIMIT, async (t) => {
  const { directory, args } = await standIn(t, Array(5).fill('dispensed'));
  const base58 = await vanitypoolHere([...args, '1', '--format', 'base58']);
  assert.equal(base58.code, 0, base58.stderr);
  assert.equal(
    readFileSync(join(directory, `${address}.txt`), 'utf8'),
    `${encodeBase58(keypair)}\n`,
  );
  const path = join(directory, 'keys.jsonl');
  const toLines = [...args.with(args.indexOf(directory), path), '3', '--format', 'lines', '--json'];
  const lines = await vanitypoolHere(toLines);
  assert.equal(lines.code, 0, lines.stderr);
  assert.deepEqual(JSON.parse(lines.stdout), { id: 1, address, path });
  const [line, end] = readFileSync(path, 'utf8').split('\n');
  assert.equal(end, '');
  const { id, secretKey, keyType } = JSON.parse(line!);
  assert.deepEqual([id, secretKey, keyType], [1, encodeBase58(keypair), 'seed']);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const { code, stdout } = await vanitypoolHere(['verify', directory]);
  assert.equal(code, 0, stdout);
});

test(
  'no expanded key is written as base58, also if the pool did not say its type',
  LIMIT,
  async (t) => {
    const { directory, args } = await standIn(t, ['dispensed', 'dispensed'], undefined, EXPANDED);
    const base58 = await vanitypoolHere([...args, '1', '--format', 'base58']);
    assert.equal(base58.code, 1);
    assert.match(base58.stderr, /its keys are expanded; .*handed out and not written: id 1/);
    assert.match(base58.stderr, / vanitypool dispense pet .* --out \S+$/m, 'gets them as json');
    assert.deepEqual(readdirSync(directory), []);
    const json = await vanitypoolHere([...args, '1']);
    assert.equal(json.code, 0, json.stderr);
    const filed = JSON.parse(readFileSync(join(directory, `${address}.expanded.json`), 'utf8'));
    assert.deepEqual(filed, { type: 'expanded', address, expandedKey });
  },
);

test('a file of lines that is there is kept, and nothing is taken', LIMIT, async (t) => {
  const { directory, asked, args } = await standIn(t, []);
  const path = join(directory, 'keys.jsonl');
  writeFileSync(path, 'precious');
  const toLines = [...args.with(args.indexOf(directory), path), '1', '--format', 'lines'];
  const { code, stderr } = await vanitypoolHere(toLines);
  assert.deepEqual([code, asked], [1, []]);
  assert.match(stderr, /keys\.jsonl: the file exists and is kept \(FILE_EXISTS\)/);
  assert.equal(readFileSync(path, 'utf8'), 'precious');
  const nobody = ['--url', 'http://127.0.0.1:9', '--out', join(directory, 'none')];
  const failed = ['export', '--pool', 'pet', '--count', '1', '--format', 'lines', ...nobody];
  assert.equal((await vanitypoolHere(failed)).code, 1);
  assert.deepEqual(readdirSync(directory), ['keys.jsonl'], 'no empty file is left');
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`what was taken is written after ${signal}, and no more is taken`, LIMIT, async (t) => {
    let child: ChildProcess | undefined;
    const { directory, asked, args } = await standIn(t, ['leased', 'dispensed'], () => {
      child!.kill(signal);
    });
    child = spawn(PROGRAM, [...args, '1001'], { stdio: 'ignore', timeout: LIMIT.timeout });
    assert.deepEqual(await once(child, 'exit'), [130, null]);
    assert.deepEqual(readdirSync(directory), [`${address}.json`]);
    assert.equal(asked.filter((line) => line.startsWith('POST')).length, 1);
  });
}

test('nothing of it listens for signals any more', LIMIT, async (t) => {
  const { args } = await standIn(t, ['dispensed']);
  const { code, stderr } = await vanitypoolHere([...args, '1']);
  assert.equal(code, 0, stderr);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    assert.equal(process.listenerCount(signal), 0, signal);
  }
});

test('what is not given is asked for', LIMIT, async () => {
  for (const [args, what] of [
    [[], /which pool/],
    [['--pool', 'pet'], /how many/],
    [['--pool', 'pet', '--count', '3'], /where to/],
    [['--pool', 'pet', '--count', '3', '--format', 'lines'], /the name of a new file: --out FILE/],
    [
      ['--pool', 'pet', '--out', '.', '--count', '1', '--format', 'csv'],
      /allowed: "json", "base58"/,
    ],
    [['--pool', 'pet', '--out', '.', '--count', '1000001'], /--count/],
  ] as const) {
    const { code, stderr } = await vanitypoolHere(['export', ...args]);
    assert.equal(code, 2);
    assert.match(stderr, what);
  }
});
