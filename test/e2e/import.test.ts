/**
 * Keypairs of elsewhere come into a pool: over HTTP, by the command line with a server and without
 * one, and over a kill in the middle. What was acknowledged is there, once; what was not can be
 * brought again.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { addressOf, encodeBase58 } from '../../src/keypair/address.ts';
import { writeKeypairFile } from '../../src/keypair/key-file.ts';
import { keypairOf, SEED_BYTES } from '../../src/keypair/keypair.ts';
import { vanitypool } from '../support/cli.ts';
import { ManagedServer } from '../support/managed-server.ts';
import { EASY_POOL, type Server } from '../support/server.ts';
import { checkStore } from '../support/sqlite-stores.ts';

const LIMIT = { timeout: 300_000 };
const POOL = { ...EASY_POOL, target: 1, accepts_imports: true };
const CLOSED = { ...EASY_POOL, name: 'closed', target: 1 };
/** Every address ends in one of these. */
const ANY = { ...POOL, name: 'any', suffix: '[1-9A-Za-z]' };
const KILL_ROUNDS = Number(process.env.FC_RUNS ?? 3);

const address = (keypair: Uint8Array) => addressOf(keypair.subarray(SEED_BYTES));

/** About 58 tries each. */
function keypairsFor(suffix: string, count: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  while (found.length < count) {
    const keypair = keypairOf(randomBytes(SEED_BYTES));
    if (address(keypair).endsWith(suffix)) found.push(keypair);
  }
  return found;
}

class Setup extends ManagedServer {
  constructor(...lines: string[]) {
    super([POOL, CLOSED, ANY], ...lines);
    const env = { VANITYPOOL_GRINDER__THREADS: '0', VANITYPOOL_HTTP__PORT: '9' };
    this.options = { ...this.options, env };
  }

  override serve(): Promise<Server> {
    return super.serve('--threads', '0');
  }

  import(secretKeys: readonly string[], pool = 'pet', token = this.token) {
    return this.server.ask('POST', '/v1/imports', { token, body: { pool, secretKeys } });
  }

  files(keypairs: readonly Uint8Array[]): string[] {
    const directory = join(this.workspace.path, 'keys');
    mkdirSync(directory, { recursive: true });
    return keypairs.map((keypair) => writeKeypairFile(directory, keypair));
  }
}

test('a request brings in all of its keys or none, and no secret is shown', LIMIT, async () => {
  await using setup = new Setup('[http]', 'threads = 2');
  await setup.serve();
  const keypairs = keypairsFor('t', 20);
  const [first, ...others] = keypairs.map(encodeBase58);
  const foreign = encodeBase58(keypairsFor('u', 1)[0]!);
  const seed = keypairs[1]!.slice();
  seed[3]! ^= 1;
  for (const [bad, reason] of [
    [foreign, /does not match \.\.\.t/],
    [encodeBase58(seed), /not the public key/],
    [`${first!.slice(0, -1)}0`, /not base58/],
    [encodeBase58(keypairs[0]!.subarray(0, 32)), /32 bytes/],
  ] as const) {
    const { status, text } = await setup.import([first!, ...others, bad]);
    assert.equal(status, 400, text);
    const { code, detail } = JSON.parse(text);
    assert.equal(code, 'KEYPAIR_REFUSED');
    assert.match(detail, /^secretKeys\[20\]: .*; nothing came in$/);
    assert.match(detail, reason);
    for (const secret of [bad, first!]) assert.ok(!text.includes(secret.slice(0, 12)));
  }
  const cut = await setup.server.ask('POST', '/v1/imports', {
    token: setup.token,
    body: `{"pool":"pet","secretKeys":["${first}`,
  });
  assert.equal(cut.status, 400);
  assert.ok(!cut.text.includes(first!.slice(0, 12)));
  for (const [secretKeys, pool, status, code] of [
    [[], 'pet', 400, 'BODY_INVALID'],
    [Array(1001).fill(first), 'pet', 400, 'BODY_INVALID'],
    [Array(3000).fill(first), 'pet', 413, 'BODY_TOO_LARGE'],
    [[first!], 'other', 404, 'POOL_NOT_FOUND'],
    [[first!], 'closed', 409, 'IMPORTS_REFUSED'],
  ] as const) {
    const reply = await setup.import(secretKeys, pool);
    assert.deepEqual([reply.status, JSON.parse(reply.text).code], [status, code]);
  }
  const body = { pool: 'pet', secretKeys: [first!] };
  const open = await setup.server.ask('POST', '/v1/imports', { body });
  assert.equal(open.status, 401, 'takes the scope admin');
  assert.equal((await setup.server.pool()).imported, 0);

  const report = await setup.import([first!, ...others, first!]);
  assert.deepEqual(JSON.parse(report.text), { imported: 20, duplicates: 1 });
  const [handed] = await setup.server.dispense(1);
  assert.equal(handed!.secretKey, first, 'the oldest comes first');
  const again = await Promise.all([1, 2, 3].map(() => setup.import([first!, ...others])));
  for (const { text } of again) {
    assert.deepEqual(JSON.parse(text), { imported: 0, duplicates: 20 }, 'also what was dispensed');
  }
  const { imported, ground, dispensed } = await setup.server.pool();
  assert.deepEqual([imported, ground, dispensed], [20, 0, 1]);
  for (const keypair of keypairs.slice(1)) {
    assert.ok(!setup.server.output.includes(address(keypair)));
    assert.ok(!setup.server.output.includes(encodeBase58(keypair)));
  }
});

test('the command brings files in, with a server and without one', LIMIT, async (t) => {
  await using setup = new Setup();
  await setup.serve();

  await t.test(
    'many files go in batches; a bad one is named with what came in before',
    async () => {
      const files = setup.files(
        Array.from({ length: 1100 }, () => keypairOf(randomBytes(SEED_BYTES))),
      );
      const done = await setup.run('import', '--pool', 'any', '--json', ...files);
      assert.equal(done.code, 0, done.stderr);
      assert.match(done.stderr, /^imported 90%\nimported 100%\n/);
      assert.deepEqual(JSON.parse(done.stdout), { pool: 'any', imported: 1100, duplicates: 0 });
      const [good] = setup.files(keypairsFor('t', 1));
      const [bad] = setup.files(keypairsFor('u', 1));
      const repeated = Array.from({ length: 1000 }, () => good!);
      const most = await setup.run('import', '--pool', 'pet', ...repeated, bad!);
      assert.equal(most.code, 1);
      assert.ok(
        most.stderr.includes(`${bad}:1: its address does not match ...t; the 1000 keys before`),
      );
      assert.equal((await setup.server.pool()).imported, 1);
    },
  );

  const keypairs = keypairsFor('t', 30);
  const files = setup.files(keypairs);
  const [bad] = setup.files(keypairsFor('u', 1));
  const online = await setup.run('import', '--pool', 'pet', '--json', ...files.slice(0, 20));
  assert.equal(online.code, 0, online.stderr);
  assert.deepEqual(JSON.parse(online.stdout), { pool: 'pet', imported: 20, duplicates: 0 });
  const refused = await setup.run('import', '--pool', 'pet', ...files.slice(20), bad!);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    new RegExp(`${bad}:1: its address does not match .*nothing came in`),
  );
  await setup.server.kill('SIGTERM');

  const closed = await setup.run('import', '--pool', 'closed', files[0]!);
  assert.match(closed.stderr, /IMPORTS_REFUSED/);
  const unproved = join(setup.workspace.path, 'unproved.json');
  writeFileSync(unproved, JSON.stringify([...keypairs[0]!.subarray(0, 63), 0, 1].slice(1)));
  const early = await setup.run('import', '--pool', 'pet', ...files, unproved);
  assert.match(early.stderr, /unproved\.json:1: .*KEY_FILE_INVALID/);
  const wrong = await setup.run('import', '--pool', 'pet', ...files.slice(20), bad!);
  assert.match(wrong.stderr, new RegExp(`${bad}:1: its address does not match`));
  const offline = await setup.run('import', '--pool', 'pet', ...files);
  assert.equal(offline.code, 0, offline.stderr);
  assert.equal(offline.stdout, '10 imported, 20 known before\n');
  checkStore(setup.workspace.data);

  const verified = await setup.run('verify', ...files, unproved);
  assert.equal(verified.code, 1);
  assert.deepEqual(
    verified.lines.map((line) => line.split(/ +/)[1]),
    [...keypairs.map(address), `${unproved}:1:`],
  );
  const [seedOf, foreignSeed] = [keypairsFor('t', 1)[0]!, keypairsFor('u', 1)[0]!].map((keypair) =>
    Buffer.from(keypair.subarray(0, SEED_BYTES)).toString('hex'),
  );
  const more = keypairsFor('t', 3);
  const input = [
    JSON.stringify({ id: 1, address: address(more[0]!), secretKey: encodeBase58(more[0]!) }),
    `KEY=${Buffer.from(more[1]!).toString('base64')}`,
    JSON.stringify([[...more[2]!], encodeBase58(keypairs[0]!)]),
    seedOf,
  ].join('\n');
  const folder = join(setup.workspace.path, 'brought');
  mkdirSync(folder);
  for (const keypair of keypairs) writeKeypairFile(folder, keypair);
  const given = { ...setup.options, input };
  const mixed = await vanitypool(['import', '--pool', 'pet', '-', folder], given);
  assert.equal(mixed.stdout, '4 imported, 31 known before\n', mixed.stderr);
  const bare = { ...given, input: `${seedOf}\n${foreignSeed}` };
  const unexpected = await vanitypool(['import', '--pool', 'pet', '-'], bare);
  assert.equal(unexpected.code, 1);
  assert.match(unexpected.stderr, /standard input:2: its address does not match .*nothing came in/);
  const unnamed = await vanitypool(['verify', '-'], bare);
  assert.match(unnamed.stdout, /^bad {2}standard input:1: 32 bytes without their address/);
  checkStore(setup.workspace.data);

  const good = await vanitypool(['verify', '--json', files[0]!]);
  assert.equal(good.code, 0);
  const { ok, keyType } = JSON.parse(good.stdout);
  assert.deepEqual([ok, keyType], [true, 'seed']);
});

test(
  'killed in the middle, what was acknowledged is there and the rest comes again',
  LIMIT,
  async () => {
    await using setup = new Setup();
    const keypairs = keypairsFor('t', 60);
    const requests = Array.from({ length: 20 }, (_, index) =>
      keypairs.slice(index * 3, index * 3 + 3).map(encodeBase58),
    );
    const acknowledged = new Set<string>();
    for (let round = 0; round < KILL_ROUNDS; round++) {
      await setup.serve();
      const { token } = setup;
      const sending = requests.map(async (secretKeys) => {
        const reply = await setup.import(secretKeys, 'pet', token).catch(() => undefined);
        if (reply?.status === 200) for (const key of secretKeys) acknowledged.add(key);
      });
      // A moment of its own in each round: after the first replies, or before any.
      if (round > 0) await Promise.race(sending.slice(0, round));
      await setup.server.kill('SIGKILL');
      await Promise.all(sending);
    }
    await setup.serve();
    const { imported } = await setup.server.pool();
    assert.ok(imported >= acknowledged.size, `${imported} of ${acknowledged.size} acknowledged`);
    assert.equal(imported % 3, 0, 'no request came in by half');
    let came = 0;
    for (const secretKeys of requests) {
      const { status, text } = await setup.import(secretKeys);
      assert.equal(status, 200, text);
      const report = JSON.parse(text);
      assert.equal(report.imported + report.duplicates, 3);
      if (acknowledged.has(secretKeys[0]!)) assert.equal(report.imported, 0);
      came += report.imported;
    }
    assert.equal(imported + came, 60);
    const handed = await setup.server.dispense(60);
    assert.deepEqual(
      handed.map(({ secretKey }) => secretKey).toSorted(),
      keypairs.map(encodeBase58).toSorted(),
    );
    await setup.server.kill('SIGTERM');
    checkStore(setup.workspace.data);
  },
);
