import assert from 'node:assert/strict';
import {
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import {
  readWitness,
  replaceWitness,
  Witness,
  witnessDirectory,
  witnessPath,
} from '../../src/disk/witness.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';

const root = temporaryDirectory();
after(() => removeDirectory(root));

const SLOT = 32;
let files = 0;
const newPath = () => join(root, `${files++}`, 'store', 'place');

/** One that has these numbers, in this order. */
function written(...numbers: number[]): string {
  const path = newPath();
  using witness = new Witness(path);
  for (const number of numbers) witness.write({ number, isMoved: false });
  return path;
}

const numberIn = (path: string) => readWitness(path)?.number;

test('what was said last is read, and the file does not grow', () => {
  const path = newPath();
  assert.equal(readWitness(path), undefined);
  using witness = new Witness(path);
  assert.equal(readWitness(path), undefined, 'one that has said nothing yet is missing');
  for (const number of [1, 2, 3, 9, 10, 12, 14, Number.MAX_SAFE_INTEGER]) {
    witness.write({ number, isMoved: false });
    assert.deepEqual(readWitness(path), { number, isMoved: false });
    assert.ok(readFileSync(path).length <= 2 * SLOT);
  }
});

test('it is for this user alone, with all that is made for it', () => {
  const path = written(1);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  for (const made of [dirname(path), dirname(dirname(path))]) {
    assert.equal(statSync(made).mode & 0o777, 0o700);
  }
});

test('one that is opened again goes on with what it was', () => {
  const path = written(7, 8);
  using witness = new Witness(path);
  assert.equal(numberIn(path), 8);
  witness.write({ number: 9, isMoved: false });
  assert.equal(numberIn(path), 9);
});

test('a slot that is cut off at any byte leaves what was said before', () => {
  const path = written(6, 7);
  const whole = readFileSync(path);
  using witness = new Witness(path);
  witness.write({ number: 8, isMoved: true });
  const next = readFileSync(path);
  // 8 lies where 6 did.
  for (let cut = 0; cut < SLOT; cut++) {
    writeFileSync(path, Buffer.concat([next.subarray(0, cut), whole.subarray(cut)]));
    const said = readWitness(path);
    if (cut <= 18) assert.deepEqual(said, { number: 7, isMoved: false }, `${cut} bytes`);
    else assert.ok(said?.number === 7 || said?.number === 8, `${cut} bytes`);
  }
  const second = written(6, 7);
  truncateSync(second, SLOT + 31);
  assert.equal(numberIn(second), 6);
});

test('a byte that has changed is no word of it', () => {
  const path = written(4, 5);
  const whole = readFileSync(path);
  for (let at = SLOT; at < 2 * SLOT; at++) {
    const changed = Buffer.from(whole);
    changed[at] = changed[at]! ^ 1;
    writeFileSync(path, changed);
    assert.equal(numberIn(path), 4, `byte ${at}`);
  }
});

test('what cannot be read is missing', () => {
  for (const bytes of ['', 'a letter to a friend', ' '.repeat(64), '\0'.repeat(64)]) {
    const path = newPath();
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, bytes);
    assert.equal(readWitness(path), undefined);
  }
  const directory = newPath();
  mkdirSync(directory, { recursive: true });
  assert.equal(readWitness(directory), undefined);
  assert.throws(() => new Witness(directory), { code: 'EISDIR' });
});

test('that a store was moved away is said in the place of all that was said', () => {
  const path = written(100, 101);
  // A number that is lower: what was said before would be believed.
  replaceWitness(path, { number: 50, isMoved: true });
  assert.deepEqual(readWitness(path), { number: 50, isMoved: true });
  replaceWitness(path, { number: 51, isMoved: false });
  assert.deepEqual(readWitness(path), { number: 51, isMoved: false });
  const missing = newPath();
  replaceWitness(missing, { number: 1, isMoved: true });
  assert.deepEqual(readWitness(missing), { number: 1, isMoved: true });
});

test('of two slots with one number the one that was moved away is believed', () => {
  const path = newPath();
  const moved = newPath();
  replaceWitness(path, { number: 3, isMoved: false });
  replaceWitness(moved, { number: 3, isMoved: true });
  const [one, other] = [path, moved].map((file) => readFileSync(file).subarray(SLOT));
  for (const bytes of [Buffer.concat([one!, other!]), Buffer.concat([other!, one!])]) {
    writeFileSync(path, bytes);
    assert.deepEqual(readWitness(path), { number: 3, isMoved: true });
  }
});

test('a symbolic link is not followed to write', () => {
  const path = newPath();
  mkdirSync(dirname(path), { recursive: true });
  const target = join(root, 'target');
  writeFileSync(target, 'mine');
  symlinkSync(target, path);
  assert.throws(() => new Witness(path), { code: 'ELOOP' });
  replaceWitness(path, { number: 1, isMoved: false });
  assert.equal(numberIn(path), 1);
  assert.equal(readFileSync(target, 'utf8'), 'mine');
});

test('where it cannot be made the error is the system’s', () => {
  const file = join(root, 'file');
  writeFileSync(file, '');
  assert.throws(() => new Witness(join(file, 'store', 'place')), { code: 'ENOTDIR' });
});

test('witnesses lie in the state directory of the user', () => {
  const own = join(homedir(), '.local', 'state', 'vanitypool');
  assert.equal(witnessDirectory('/data', {}), own);
  assert.equal(witnessDirectory('/data', { XDG_STATE_HOME: '' }), own);
  assert.equal(witnessDirectory('/data', { XDG_STATE_HOME: '/state' }), '/state/vanitypool');
  // As the specification says: a path that is relative is ignored.
  assert.equal(witnessDirectory('/data', { XDG_STATE_HOME: 'state' }), own);
  assert.equal(witnessDirectory('/data', { XDG_STATE_HOME: './state' }), own);
  assert.equal(witnessPath('/state/vanitypool', '0f', 'ab'), '/state/vanitypool/0f/ab');
});

test('one in the data directory would share its fate: there is none', () => {
  const env = { XDG_STATE_HOME: '/data/state' };
  for (const directory of ['/data', '/data/', '/data/state', '/data/state/vanitypool', '/']) {
    assert.equal(witnessDirectory(directory, env), undefined, directory);
  }
  for (const directory of ['/data/store', '/dat', '/data/state/vanitypool/store', '/data2']) {
    assert.equal(witnessDirectory(directory, env), '/data/state/vanitypool', directory);
  }
  assert.equal(witnessDirectory('/data', { XDG_STATE_HOME: '/data/..state' }), undefined);
});
