/** The file that says which node a directory is. */
import assert from 'node:assert/strict';
import { verify } from 'node:crypto';
import {
  cpSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { NODE_FILE, nodeIn } from '../../src/store/postgres/node-file.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

function directoryOf(t: TestContext): string {
  const directory = temporaryDirectory();
  t.after(() => removeDirectory(directory));
  return directory;
}

test('a node is made once, of this user alone, and signs as itself', (t) => {
  const directory = directoryOf(t);
  const node = nodeIn(directory);
  assert.match(node.id, /^[0-9a-f]{32}$/);
  assert.equal(node.place, node.id.slice(0, 16));
  assert.equal(statSync(join(directory, NODE_FILE)).mode & 0o777, 0o600);
  const again = nodeIn(directory);
  assert.deepEqual([again.id, again.signKey], [node.id, node.signKey]);
  const message = Buffer.from('sealed');
  const key = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(node.signKey).toString('base64url') };
  assert.ok(verify(null, message, { key, format: 'jwk' }, again.sign(message)));
  assert.notEqual(nodeIn(directoryOf(t)).id, node.id);
});

test('a copy is refused, and a directory that is moved is not', (t) => {
  const directory = directoryOf(t);
  const { id } = nodeIn(directory);
  const copy = directoryOf(t);
  cpSync(directory, copy, { recursive: true, preserveTimestamps: true });
  assert.throws(() => nodeIn(copy), { code: 'DATA_MOVED', message: new RegExp(id) });
  const moved = `${directory}-moved`;
  renameSync(directory, moved);
  t.after(() => removeDirectory(moved));
  assert.equal(nodeIn(moved).id, id);
});

test('a file that was put back from a copy is one', (t) => {
  const directory = directoryOf(t);
  nodeIn(directory);
  const path = join(directory, NODE_FILE);
  const content = readFileSync(path);
  rmSync(path);
  writeFileSync(path, content, { mode: 0o600 });
  assert.throws(() => nodeIn(directory), { code: 'DATA_MOVED' });
});

test('one that was cut off while it was made is made again, and one that is damaged is named', (t) => {
  const directory = directoryOf(t);
  nodeIn(directory);
  const path = join(directory, NODE_FILE);
  const text = readFileSync(path, 'utf8');
  const content = JSON.parse(text);
  for (const damaged of [
    text.slice(0, -10),
    '{}',
    JSON.stringify({ ...content, id: 'x' }),
    JSON.stringify({ ...content, identity: 'x' }),
    JSON.stringify({ ...content, key: 'AAAA' }),
  ]) {
    truncateSync(path);
    writeFileSync(path, damaged, { flag: 'r+' });
    assert.throws(
      () => nodeIn(directory),
      { code: 'STORE_CORRUPT', message: /node\.json/ },
      damaged,
    );
  }
  truncateSync(path);
  assert.match(nodeIn(directory).id, /^[0-9a-f]{32}$/);
  assert.notEqual(nodeIn(directory).id, content.id);
});
