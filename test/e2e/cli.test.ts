/**
 * The commands at work: real searches and a real server as processes, and in this one what asks an application.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createKeyPairSignerFromBytes } from '@solana/kit';
import { armor, Decrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import { decodeBase58, encodeBase58 } from '../../src/keypair/address.ts';
import { proveKeypair } from '../../src/keypair/keypair.ts';
import { vanitypool } from '../support/cli.ts';
import { vanitypoolHere } from '../support/cli-here.ts';
import { fillPool, readyAddress, testApp } from '../support/http-app.ts';
import { EASY_POOL, Workspace } from '../support/server.ts';

const LIMIT = { timeout: 300_000 };

function directory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'vanitypool-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** The address that a keypair file holds, by another library. */
async function addressIn(path: string): Promise<string> {
  const bytes = Uint8Array.from(JSON.parse(readFileSync(path, 'utf8')));
  return (await createKeyPairSignerFromBytes(bytes)).address;
}

test(
  'grind writes keypair files that another library loads, and prints their paths',
  LIMIT,
  async (t) => {
    const cwd = directory(t);
    const args = ['grind', '--suffix', '[a-z]t', '--count', '3', '--out', 'new/keys'];
    const { code, lines, stderr } = await vanitypool(args, { cwd });
    assert.equal(code, 0, stderr);
    assert.equal(lines.length, 3);
    for (const path of lines) {
      const address = await addressIn(join(cwd, path));
      assert.match(address, /[a-z]t$/);
      assert.equal(path, `new/keys/${address}.json`);
      assert.equal(statSync(join(cwd, path)).mode & 0o777, 0o600);
    }
    assert.equal(readdirSync(join(cwd, 'new/keys')).length, 3);
    assert.match(stderr, /^\[a-z\]: l is not in the base58 alphabet and is left out$/m);
    assert.match(stderr, /^\.\.\.\[a-z\]t: 3 of 3 found in [\d,]+ attempts, .*s$/m);
    assert.doesNotMatch(stderr, /\x1b/);
  },
);

test(
  'grind --json prints address, attempts and time, keeps the secret in the file',
  LIMIT,
  async (t) => {
    const cwd = directory(t);
    const args = ['grind', '--prefix', 'a', '--ignore-case', '--json', '--threads', '1'];
    const { code, lines, stderr } = await vanitypool(args, { cwd });
    assert.equal(code, 0, stderr);
    assert.equal(lines.length, 1);
    const found = JSON.parse(lines[0]!);
    assert.deepEqual(Object.keys(found), ['address', 'attempts', 'elapsedMs']);
    assert.match(found.address, /^[aA]/);
    assert.ok(Number.isInteger(found.attempts) && found.attempts > 0);
    assert.ok(Number.isInteger(found.elapsedMs) && found.elapsedMs >= 0);
    assert.deepEqual(readdirSync(cwd), [`${found.address}.json`]);
    assert.equal(await addressIn(join(cwd, `${found.address}.json`)), found.address);
  },
);

test('grind --json --secrets prints secrets and writes no file', LIMIT, async (t) => {
  const cwd = directory(t);
  const args = ['grind', '--suffix', 't', '--count', '40', '--json', '--secrets'];
  const { code, lines, stderr } = await vanitypool(args, { cwd });
  assert.equal(code, 0, stderr);
  const found = lines.map((line) => JSON.parse(line));
  assert.equal(new Set(found.map(({ address }) => address)).size, 40);
  for (const { address, secretKey } of found) {
    const keypair = decodeBase58(secretKey);
    assert.ok(proveKeypair(keypair));
    assert.equal((await createKeyPairSignerFromBytes(keypair)).address, address);
    assert.ok(!stderr.includes(secretKey) && !stderr.includes(address));
  }
  assert.deepEqual(readdirSync(cwd), []);
});

test(
  'several patterns are found in one pass, each as often as it is asked for',
  LIMIT,
  async (t) => {
    const cwd = directory(t);
    writeFileSync(join(cwd, 'words'), 'z\n1...:2\n');
    const asked = [
      '--suffix',
      't:3',
      '--starts-with',
      'A:2',
      '--words',
      'words',
      '--num-threads',
      '1',
    ];
    const { code, lines, stderr } = await vanitypool(['grind', ...asked, '--json'], { cwd });
    assert.equal(code, 0, stderr);
    const counts: Record<string, number> = {};
    for (const line of lines) {
      const { address, pattern } = JSON.parse(line);
      const [prefix, suffix] = pattern.split('...');
      assert.ok(address.startsWith(prefix) && address.endsWith(suffix), line);
      assert.equal(await addressIn(join(cwd, `${address}.json`)), address);
      counts[pattern] = (counts[pattern] ?? 0) + 1;
    }
    assert.deepEqual(counts, { '...t': 3, 'A...': 2, '...z': 1, '1...': 2 });
    assert.match(stderr, /^4 patterns: 8 of 8 found in /m);
  },
);

test('grind --encrypt writes files that only their owner reads', LIMIT, async (t) => {
  const cwd = directory(t);
  const identity = await generateIdentity();
  const to = await identityToRecipient(identity);
  const args = ['grind', '--suffix', 't', '--encrypt', to];
  const { code, lines, stderr } = await vanitypool(args, { cwd });
  assert.equal(code, 0, stderr);
  assert.deepEqual(readdirSync(cwd), lines);
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  const text = readFileSync(join(cwd, lines[0]!), 'utf8');
  const keypair = await decrypter.decrypt(armor.decode(text), 'text');
  const { stdout } = await vanitypool(['verify', '-'], { cwd, input: keypair });
  assert.equal(stdout, `ok   ${lines[0]!.split('.')[0]}  standard input:1\n`);
  assert.match(
    (await vanitypoolHere(['verify', lines[0]!], {}, cwd)).stdout,
    /encrypted with age;/,
  );
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} ends a search with nothing found: 130, and it says so`, LIMIT, async (t) => {
    const cwd = directory(t);
    // The note about the class is the first output: the search has begun.
    const { code, stdout, stderr } = await vanitypool(['grind', '--suffix', '[a-z]zzzzzzzzz'], {
      cwd,
      onFirstOutput: (child) => child.kill(signal),
    });
    assert.equal(code, 130, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /: 0 of 1 found in [\d,]+ attempts/);
    assert.match(stderr, /^ {2}vanitypool grind --suffix '\[a-z\]zzzzzzzzz:1'$/m);
    assert.deepEqual(readdirSync(cwd), []);
  });
}

test('an interrupt keeps what was found, and every file is whole', LIMIT, async (t) => {
  const cwd = directory(t);
  const { code, lines, stderr } = await vanitypool(
    ['grind', '--suffix', 't', '--count', '100000'],
    {
      cwd,
      onFirstOutput: (child) => setTimeout(() => child.kill('SIGINT'), 200),
    },
  );
  assert.equal(code, 130, stderr);
  assert.ok(lines.length > 0 && lines.length < 100_000);
  assert.deepEqual(readdirSync(cwd).toSorted(), lines.toSorted());
  for (const path of lines) {
    assert.ok(proveKeypair(Uint8Array.from(JSON.parse(readFileSync(join(cwd, path), 'utf8')))));
  }
  assert.ok(
    stderr.includes(`: ${lines.length.toLocaleString('en-US')} of 100,000 found in `),
    stderr,
  );
  assert.ok(stderr.endsWith(`\n  vanitypool grind --suffix t:${100_000 - lines.length}\n`), stderr);
});

test('a reader that has seen enough ends the search, and no key is lost', LIMIT, async (t) => {
  const cwd = directory(t);
  const { code, stderr } = await vanitypool(
    ['grind', '--suffix', 't', '--count', '100000', '--json', '--secrets'],
    { cwd, onFirstOutput: (child) => child.stdout?.destroy() },
  );
  assert.equal(code, 1);
  const [, file] =
    /^vanitypool: standard output: cannot be written \(EPIPE\); the key is in (\w+\.json) \(FILE_NOT_WRITABLE\)$/m.exec(
      stderr,
    ) ?? assert.fail(stderr);
  assert.deepEqual(readdirSync(cwd), [file]);
  assert.equal(statSync(join(cwd, file!)).mode & 0o777, 0o600);
  assert.equal(`${await addressIn(join(cwd, file!))}.json`, file);
});

test('estimate counts exactly and measures this machine', LIMIT, async (t) => {
  const cwd = directory(t);
  const args = ['estimate', '--suffix', '[a-z]Pet', '--threads', '1'];
  const { code, stdout, stderr } = await vanitypool([...args, '--json'], { cwd });
  assert.equal(code, 0, stderr);
  const report = JSON.parse(stdout);
  assert.equal(report.pattern, '...[a-z]Pet');
  assert.equal(report.difficulty, 452_660);
  assert.deepEqual(report.notes, ['[a-z]: l is not in the base58 alphabet and is left out']);
  assert.equal(report.threads, 1);
  assert.equal(typeof report.isa, 'string');
  assert.ok(report.attemptsPerSecond > 0);
  const seconds = report.difficulty / report.attemptsPerSecond;
  assert.ok(Math.abs(report.expectedSeconds / seconds - 1) < 0.01);
  assert.deepEqual(
    report.chances.map(({ chance, attempts }: Record<string, number>) => [chance, attempts]),
    [
      [0.5, 313_760],
      [0.95, 1_356_047],
    ],
  );
  const table = await vanitypool(args, { cwd });
  assert.match(
    table.stdout,
    /^pattern {2}\.\.\.\[a-z\]Pet\nnote {5}\[a-z\]: l is .*\nmachine {2}[\d,]+ attempts\/s, 1 thread, .*\n\non average {4}452,660 attempts .*\n50% chance {4}313,760 attempts .*\n95% chance {2}1,356,047 attempts .*\n$/,
  );
  assert.deepEqual(readdirSync(cwd), []);
});

test('status shows the pools of a server', LIMIT, async (t) => {
  const { app, shared, drain } = await testApp();
  t.after(() => app.close());
  fillPool(shared, 3, 1997);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const { code, lines, stderr } = await vanitypoolHere(['status', '--url', url]);
  assert.equal(code, 0, stderr);
  assert.ok(lines[0]?.startsWith(`vanitypool 0.0.0-test at ${url}, up `), lines[0]);
  assert.ok(lines[0]?.endsWith(': ready'), lines[0]);
  assert.match(lines[2]!, /^pool +pattern +target +stock +dispensed +burned +grinding$/);
  assert.match(lines[3]!, /^pet +\.\.\.\[a-z\]Pet +1,000 +2,000 +0 +0 +-$/);

  const json = JSON.parse((await vanitypoolHere(['status', '--url', url, '--json'])).stdout);
  assert.deepEqual(
    [json.url, json.version, json.status, json.reasons],
    [url, '0.0.0-test', 'ready', []],
  );
  assert.equal(json.pools[0].stock, 2000);
  drain();
  const { stdout, code: drained } = await vanitypoolHere(['status', '--url', url]);
  assert.equal(drained, 0);
  assert.match(stdout, /: not ready \(DRAINING: the server is shutting down\)$/m);
});

test('what is not ready is reported once', LIMIT, async (t) => {
  const { app } = await testApp();
  t.after(() => app.close());
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const { lines } = await vanitypoolHere(['status', '--url', url]);
  assert.match(lines[0]!, /: not ready \(.*\bpet\b.*\)$/);
  assert.equal(lines[0]!.split('POOL_EMPTY').length, 2, lines[0]);
});

test('dispense prints each address once, as a line of JSON', LIMIT, async (t) => {
  const { app, shared } = await testApp();
  t.after(() => app.close());
  const filled = fillPool(shared, 3);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const first = await vanitypoolHere(['dispense', 'pet', '--url', url]);
  const others = await vanitypoolHere(['dispense', 'pet', '--count', '2', '--url', url]);
  assert.deepEqual([first.code, others.code], [0, 0]);
  const taken = [...first.lines, ...others.lines].map((line) => JSON.parse(line));
  assert.deepEqual(
    taken.map(({ id, address, secretKey }) => [id, address, secretKey]),
    filled.map(({ id, address, secret }) => [id, address, secret]),
  );
  const empty = await vanitypoolHere(['dispense', 'pet', '--url', url]);
  assert.deepEqual([empty.code, empty.stdout], [1, '']);
  assert.match(empty.stderr, /^vanitypool: .*; try again in \d+ s \(POOL_EMPTY\)\n$/);
  const unknown = await vanitypoolHere(['dispense', '../healthz', '--url', url]);
  assert.deepEqual([unknown.code, unknown.stdout], [1, '']);
  assert.match(unknown.stderr, /\(POOL_NOT_FOUND\)\n$/);
});

test(
  'dispense --out writes keypair files; one that cannot be written does not lose the others',
  LIMIT,
  async (t) => {
    const cwd = directory(t);
    const { app, shared } = await testApp();
    t.after(() => app.close());
    const filled = fillPool(shared, 4);
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const json = await vanitypoolHere(
      ['dispense', 'pet', '--url', url, '--out', 'keys', '--json'],
      {},
      cwd,
    );
    const { id, address } = filled[0]!;
    assert.deepEqual(JSON.parse(json.stdout), { id, address, path: `keys/${address}.json` });

    const kept = join(cwd, 'keys', `${filled[2]!.address}.json`);
    writeFileSync(kept, 'precious');
    const args = ['dispense', 'pet', '--count', '3', '--url', url, '--out', 'keys'];
    const { code, lines, stderr } = await vanitypoolHere(args, {}, cwd);
    assert.equal(code, 1);
    assert.deepEqual(lines, [filled[1]!.address, filled[3]!.address]);
    const told = `${filled[2]!.address}.json: the file exists and is kept; 1 of 3 were handed out and not written: id 3 (`;
    assert.ok(stderr.startsWith(`vanitypool: keys/${told}`), stderr);
    assert.equal(readFileSync(kept, 'utf8'), 'precious');
    for (const index of [0, 1, 3]) {
      const expected = filled[index]!;
      assert.equal(
        await addressIn(join(cwd, 'keys', `${expected.address}.json`)),
        expected.address,
      );
      assert.ok(!`${json.stdout}${lines}${stderr}`.includes(expected.secret));
    }
  },
);

test('a secret key that is not that of its address is not written', LIMIT, async (t) => {
  const cwd = directory(t);
  const [one, other] = [readyAddress(1), readyAddress(2)];
  const publicKey = decodeBase58(one.secret).subarray(32);
  const mixed = Uint8Array.of(...decodeBase58(other.secret).subarray(0, 32), ...publicKey);
  const lies = [other.secret, encodeBase58(mixed), ''];
  const liar = createServer((_, reply) => {
    const addresses = lies.map((secretKey) => ({ ...one, secretKey }));
    reply.end(JSON.stringify({ name: 'pet', handout: 'secret', addresses }));
  });
  await new Promise<void>((resolve) => liar.listen(0, '127.0.0.1', resolve));
  t.after(() => liar.close());
  const url = `http://127.0.0.1:${(liar.address() as AddressInfo).port}`;
  const { code, stdout, stderr } = await vanitypoolHere(
    ['dispense', 'pet', '--count', '3', '--url', url, '--out', '.'],
    {},
    cwd,
  );
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /the server sent another key than that of the address; 3 of 3 were/);
  assert.deepEqual(readdirSync(cwd), []);
});

test('with a real server, found by the configuration of the directory', LIMIT, async () => {
  await using workspace = new Workspace();
  workspace.configure([EASY_POOL], '[http]', 'host = "unix:api.sock"');
  const server = await workspace.serve();
  const cwd = workspace.path;
  let taken = await vanitypool(['dispense', 'pet', '--count', '3', '--out', 'keys'], { cwd });
  while (taken.stderr.includes('POOL_EMPTY')) {
    taken = await vanitypool(['dispense', 'pet', '--count', '3', '--out', 'keys'], { cwd });
  }
  assert.equal(taken.code, 0, taken.stderr);
  assert.equal(taken.lines.length, 3);
  for (const address of taken.lines) {
    assert.match(address, /t$/);
    assert.equal(await addressIn(join(cwd, 'keys', `${address}.json`)), address);
  }
  const { stdout } = await vanitypool(['status', '--json'], { cwd });
  assert.equal(JSON.parse(stdout).url, `unix:${join(cwd, 'api.sock')}`);
  assert.equal(JSON.parse(stdout).pools[0].dispensed, 3);
  assert.equal(await server.kill('SIGTERM'), 0, server.output);
});
