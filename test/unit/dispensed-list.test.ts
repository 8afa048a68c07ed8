import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { addressOf } from '../../src/keypair/address.ts';
import {
  type ListedAddress,
  type ListedToken,
  type ListReader,
  readList,
} from '../../src/store/dispensed-list.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));
const path = join(root, 'list');

const PUBLIC_KEY = randomBytes(32);
const ADDRESS = addressOf(PUBLIC_KEY);
const LINE = {
  id: 7,
  address: ADDRESS,
  pool: 'pet',
  state: 'dispensed',
  at: '2026-11-20T12:00:00.500Z',
  token: null,
  idempotencyKeyHash: null,
  cause: null,
};
const END = { storeId: '0'.repeat(32), epoch: 3, addresses: 1, isComplete: true };

async function read(...lines: readonly unknown[]) {
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
  writeFileSync(path, `${text.join('\n')}\n`);
  const addresses: (ListedAddress & { line: number })[] = [];
  const tokens: ListedToken[] = [];
  const list = await readList(path, {
    address: (address, line) => addresses.push({ ...address, line }),
    token: (token) => tokens.push(token),
  });
  return { list, addresses, tokens };
}

const NOBODY: ListReader = { address() {}, token() {} };

const refused = (message: RegExp) => ({ code: 'LIST_INVALID', message });

test('addresses come by line, and the last line says whose they are', async () => {
  const burned = {
    ...LINE,
    id: 9,
    state: 'burned',
    cause: 'crash',
    at: '1970-01-01T01:00:01+01:00',
  };
  const { list, addresses } = await read(LINE, burned, { ...END, addresses: 2 });
  assert.deepEqual(list, { storeId: END.storeId, epoch: 3, highestId: 9, highestToken: 0 });
  const keyHash = createHash('sha256').update(PUBLIC_KEY).digest();
  const of = { pool: 'pet', keyHash, signatures: undefined };
  assert.deepEqual(addresses, [
    { ...of, id: 7, state: 'dispensed', at: Date.parse(LINE.at), cause: undefined, line: 1 },
    { ...of, id: 9, state: 'burned', at: 1000, cause: 'crash', line: 2 },
  ]);
});

test('a byte order mark before the list is no part of it', async () => {
  writeFileSync(path, `\uFEFF${[LINE, END].map((row) => JSON.stringify(row)).join('\n')}\n`);
  const ids: number[] = [];
  await readList(path, { ...NOBODY, address: ({ id }) => ids.push(id) });
  assert.deepEqual(ids, [LINE.id]);
});

test('an address that could be read no more is known by its id', async () => {
  const { addresses } = await read({ ...LINE, address: null, state: 'burned' }, END);
  assert.deepEqual([addresses[0]!.id, addresses[0]!.keyHash], [7, undefined]);
});

test('tokens have lines of their own, which the last line counts', async () => {
  const token = { tokenId: 5, name: 'shop', createdAt: LINE.at, isValid: true };
  const revoked = { ...token, tokenId: 8, name: 'gone', isValid: false };
  const { list, tokens } = await read(LINE, token, revoked, { ...END, tokens: 2 });
  assert.equal(list.highestToken, 8);
  assert.deepEqual(
    tokens.map(({ id, name, createdAt, isValid }) => [id, name, createdAt, isValid]),
    [
      [5, 'shop', Date.parse(LINE.at), true],
      [8, 'gone', Date.parse(LINE.at), false],
    ],
  );
  for (const counted of [{}, { tokens: 1 }, { tokens: 3 }]) {
    const said = refused(/2 tokens are listed, and its last line counts/);
    await assert.rejects(read(LINE, token, revoked, { ...END, ...counted }), said);
  }
  for (const wrong of [
    { tokenId: 0 },
    { tokenId: 2 ** 32 },
    { name: 7 },
    { createdAt: 'today' },
    { isValid: 'yes' },
  ]) {
    const line = { ...token, ...wrong };
    await assert.rejects(read(line, { ...END, addresses: 0, tokens: 1 }), refused(/of a token$/));
  }
});

test('signatures count only if the line proves how many there were', async () => {
  const of = async (more: object) =>
    (await read({ ...LINE, ...more }, END)).addresses[0]!.signatures;
  assert.equal(await of({ signatures: 3, isExhausted: false }), 3);
  assert.equal(await of({ signatures: 3, isExhausted: true }), undefined);
  assert.equal(await of({ signatures: 3 }), undefined);
  assert.equal(await of({ signatures: -1, isExhausted: false }), undefined);
});

test('a list of none is a list', async () => {
  const { list, addresses } = await read({ ...END, addresses: 0 });
  assert.deepEqual([list.highestId, addresses], [0, []]);
});

test('a list without its end, of a store that was served, or with another count is refused', async () => {
  await assert.rejects(read(LINE), refused(/cut short: its last line, the summary, is missing/));
  await assert.rejects(read(LINE, { ...END, isComplete: false }), refused(/still served/));
  await assert.rejects(read(LINE, { ...END, isComplete: 'true' }), refused(/still served/));
  await assert.rejects(read(LINE, { ...END, addresses: 2 }), refused(/1 .* listed.* counts 2/));
  await assert.rejects(read(LINE, LINE, END), refused(/2 addresses are listed.* counts 1/));
  await assert.rejects(read(LINE, END, LINE), refused(/line 3 comes after the last line/));
  await assert.rejects(read(LINE, END, END), refused(/line 3 comes after the last line/));
  await assert.rejects(read(LINE, { ...END, storeId: 'x' }), refused(/names no store/));
  for (const epoch of [-1, Number.MAX_SAFE_INTEGER]) {
    await assert.rejects(read(LINE, { ...END, epoch }), refused(/no epoch/));
  }
});

test('a line that is no address is refused by its number, and not repeated', async () => {
  const wrong: Record<string, unknown>[] = [
    { id: 0 },
    { id: 1.5 },
    { id: Number.MAX_SAFE_INTEGER },
    { id: '7' },
    { address: `${ADDRESS.slice(1)}0` },
    { address: '1'.repeat(44) },
    { address: undefined },
    { pool: undefined },
    { state: 'available' },
    { at: '20 November 2026' },
    { at: '2026-13-45T00:00:00Z' },
    { at: 0 },
    { cause: 'no such: cause' },
  ];
  for (const field of wrong) {
    const found = { code: 'LIST_INVALID', message: `${path}: line 2 is not that of an address` };
    await assert.rejects(read(LINE, { ...LINE, ...field }, { ...END, addresses: 2 }), found);
  }
  for (const line of ['', '[]', 'null', '{', '7']) {
    await assert.rejects(read(LINE, line, END), refused(/line 2 is not a JSON object$/));
  }
});

test('what is no list at all is refused without being kept in memory', async () => {
  await assert.rejects(read('x'.repeat(100_000)), refused(/more than 4096 characters/));
  await assert.rejects(readList(join(root, 'nothing'), NOBODY), refused(/cannot be read: ENOENT/));
  const isNone = refused(/cannot be read: a directory; allowed: a regular file/);
  await assert.rejects(readList(root, NOBODY), isNone);
});

test('reading ends with the signal', async () => {
  await read(LINE, END);
  await assert.rejects(readList(path, NOBODY, AbortSignal.abort()), { name: 'AbortError' });
});
