/** Files and folders of keys, as `verify` sees them; standard input needs a process: test/e2e/import.test.ts. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { keysOf } from '../../src/cli/key-sources.ts';
import { addressOf, encodeBase58 } from '../../src/keypair/address.ts';
import { keypairFileText } from '../../src/keypair/key-file.ts';
import { keypairOf } from '../../src/keypair/keypair.ts';
import { vanitypoolHere } from '../support/cli-here.ts';

const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(root, { recursive: true }));

const keypairs = Array.from({ length: 6 }, () => keypairOf(Uint8Array.from(randomBytes(32))));
const [a, b, c, d] = keypairs.map((keypair) => addressOf(keypair.subarray(32)));
const base58 = keypairs.map(encodeBase58);

function file(name: string, text: string | Uint8Array): string {
  const path = join(root, name);
  writeFileSync(path, text);
  return path;
}

/** Each line that is printed, without the folder of this test. */
async function verified(...sources: string[]): Promise<{ code: number | null; lines: string[] }> {
  const { code, lines, stdout } = await vanitypoolHere(['verify', ...sources]);
  for (const secret of base58) assert.ok(!stdout.includes(secret.slice(0, 10)));
  return { code, lines: lines.map((line) => line.replaceAll(`${root}/`, '')) };
}

test('one file may hold many keys in many forms: each is named by its line', async () => {
  const [, , , hex] = keypairs.map((keypair) => Buffer.from(keypair).toString('hex'));
  const pretty = JSON.stringify(
    [{ publicKey: b, secretKey: base58[1] }, [...keypairs[2]!]],
    null,
    1,
  );
  const path = file(
    'mixed.txt',
    `\uFEFF# keys\r\nKEY=${base58[0]}\r\n\r\n${pretty}\n${hex}\nabc\n`,
  );
  const { code, lines } = await verified(path);
  assert.equal(code, 1);
  assert.deepEqual(lines, [
    `ok   ${a}  mixed.txt:2`,
    `ok   ${b}  mixed.txt:5 [1]`,
    `ok   ${c}  mixed.txt:9 [2]`,
    `ok   ${d}  mixed.txt:${4 + pretty.split('\n').length}`,
    `bad  mixed.txt:${5 + pretty.split('\n').length}: base58 of 3 bytes; a keypair has 64`,
  ]);
});

test('a key is not cut where a part of the file ends', async () => {
  const path = file('long.txt', `${'#'.repeat(65_500)}\n${base58[0]}\n[${[...keypairs[1]!]}]`);
  assert.deepEqual(await verified(path), {
    code: 0,
    lines: [`ok   ${a}  long.txt:2`, `ok   ${b}  long.txt:3`],
  });
});

test('signals are heard while a large file is read', async () => {
  const path = file('large.txt', `${base58[0]}\n${'#'.repeat(70_000)}\n${base58[1]}\n`);
  let turns = 0;
  const seen: number[] = [];
  setImmediate(() => turns++);
  for await (const { key } of keysOf([path])) {
    if (key !== undefined) seen.push(turns);
  }
  assert.deepEqual(seen, [0, 1]);
});

test('32 bytes alone are a seed in a file that is named after their address', async () => {
  const seed = JSON.stringify([...keypairs[0]!.subarray(0, 32)]);
  assert.deepEqual(await verified(file(`${a}.json`, seed)), {
    code: 0,
    lines: [`ok   ${a}  ${a}.json:1`],
  });
  const { code, lines } = await verified(file(`${b}.json`, seed), file('seed.json', seed));
  assert.equal(code, 1);
  for (const line of lines)
    assert.match(line, /^bad {2}\w+\.json:1: 32 bytes without their address/);
  assert.ok(!lines.join().includes(a!), 'an address of a seed that may be none is not shown');
});

test('a folder is all of its files, in order, and those of its folders', async () => {
  const folder = join(root, 'folder');
  mkdirSync(join(folder, 'inner'), { recursive: true });
  file('folder/b.json', keypairFileText(keypairs[1]!));
  file('folder/a.txt', base58[0]!);
  file('folder/.hidden', 'x');
  file('folder/inner/c', base58[2]!);
  symlinkSync(folder, join(folder, 'inner', 'circle'));
  const { code, lines } = await verified(folder);
  assert.equal(code, 1);
  assert.deepEqual(lines, [
    `ok   ${a}  folder/a.txt:1`,
    `ok   ${b}  folder/b.json:1`,
    `ok   ${c}  folder/inner/c:1`,
    'bad  folder/inner/circle: a directory; allowed: a regular file, or a link to one',
  ]);
});

test('what holds no key at all is named, and why', async () => {
  const empty = join(root, 'empty');
  mkdirSync(empty);
  const utf16 = Buffer.from(base58[0]!, 'utf16le');
  const { code, lines } = await verified(
    file('nothing', '\n# only this\n'),
    file('wide', Buffer.concat([Buffer.from([0xff, 0xfe]), utf16])),
    file('one.age', 'age-encryption.org/v1\n-> X25519 abc\n'),
    join(root, 'missing'),
    empty,
  );
  assert.equal(code, 1);
  assert.deepEqual(lines, [
    'bad  nothing:1: no key: nothing is in it',
    'bad  wide:1: not text in UTF-8: it has zero bytes',
    'bad  one.age:1: encrypted with age; decrypt it first: age -d one.age | vanitypool ... -',
    `bad  missing: ENOENT: no such file or directory, open 'missing'`,
    'bad  empty: a folder without files',
  ]);
});

test('for scripts each is an object', async () => {
  const { stdout } = await vanitypoolHere(['verify', '--json', file('json', `${base58[0]}\nabc`)]);
  assert.deepEqual(
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
    [
      { file: join(root, 'json'), line: 1, ok: true, address: a, keyType: 'seed' },
      {
        file: join(root, 'json'),
        line: 2,
        ok: false,
        reason: 'base58 of 3 bytes; a keypair has 64',
      },
    ],
  );
});
