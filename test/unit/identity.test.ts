import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  canTellCopies,
  comparable,
  type FileIdentity,
  formatIdentity,
  identityOf,
  isSameFile,
  makesUpInodes,
  ownIdentityOf,
  parseIdentity,
} from '../../src/disk/identity.ts';
import { FileSystem, KINDS, type Kind } from '../support/file-systems.ts';
import { removeDirectory, temporaryDirectory } from '../support/sqlite-stores.ts';
import { withoutCalls } from '../support/without-calls.ts';

const MODULE = new URL('../../src/disk/identity.ts', import.meta.url);
const root = temporaryDirectory();
after(() => removeDirectory(root));

const NOTHING: FileIdentity = { inode: undefined, birth: undefined, generation: undefined };
const same = (one: FileIdentity, other: FileIdentity) =>
  isSameFile(one, other) && isSameFile(other, one);

function run(...[program = '', ...args]: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

/** A file that has content, on a file system of this kind. */
function fileOn(t: TestContext, kind: Kind): { disk: FileSystem; file: string } | undefined {
  const disk = FileSystem.for(t, kind);
  if (disk === undefined) return undefined;
  const file = join(disk.path, 'data', 'file');
  mkdirSync(dirname(file));
  writeFileSync(file, 'content');
  return { disk, file };
}

/** Waits until a file that is made beside this one is not born in the same tick of the clock. */
function letTimePass(file: string): void {
  const { birth } = identityOf(file);
  const later = `${file}-later`;
  do {
    rmSync(later, { force: true });
    writeFileSync(later, '');
  } while (birth !== undefined && identityOf(later).birth === birth);
  rmSync(later);
}

/** The fields that are known. */
const KNOWN: Readonly<Record<Kind, string>> = {
  ext4: 'inode birth generation',
  ext3: 'inode generation',
  xfs: 'inode birth generation',
  btrfs: 'inode birth generation',
  overlay: 'inode birth',
  'overlay-of-two': 'birth',
};

for (const kind of KINDS) {
  test(`${kind}: a file keeps its identity, whatever is done to it, and when it is mounted anew`, (t) => {
    const { disk, file } = fileOn(t, kind) ?? {};
    if (disk === undefined || file === undefined) return;
    const before = identityOf(file);
    const known = Object.entries(before).filter(([, value]) => value !== undefined);
    assert.equal(known.map(([name]) => name).join(' '), KNOWN[kind]);
    assert.ok(canTellCopies(before));
    chownSync(file, 1234, 1234);
    chmodSync(file, 0o600);
    utimesSync(file, 1, 1);
    appendFileSync(file, 'more');
    assert.deepEqual(identityOf(file), before);
    disk.remount();
    assert.deepEqual(identityOf(file), before);
    const moved = join(disk.path, 'moved');
    renameSync(dirname(file), moved);
    assert.deepEqual(identityOf(join(moved, 'file')), before);
  });

  test(`${kind}: no copy has the identity of the original`, (t) => {
    const { disk, file } = fileOn(t, kind) ?? {};
    if (disk === undefined || file === undefined) return;
    const original = identityOf(file);
    letTimePass(file);
    const at = join(disk.path, 'copies');
    run('cp', '-a', dirname(file), at);
    assert.ok(!same(original, identityOf(join(at, 'file'))), 'cp -a');
    run('tar', '-C', disk.path, '-cf', join(root, 'data.tar'), 'data');
    rmSync(dirname(file), { recursive: true });
    run('tar', '-C', disk.path, '-xpf', join(root, 'data.tar'));
    assert.ok(!same(original, identityOf(file)), 'tar, in the place of the original');
    renameSync(join(at, 'file'), file);
    assert.ok(!same(original, identityOf(file)), 'a copy that was moved to the old place');
  });
}

test('ext3: of a file with the inode number of one before, the generation distinguishes them', (t) => {
  const { file } = fileOn(t, 'ext3') ?? {};
  if (file === undefined) return;
  const first = identityOf(file);
  rmSync(file);
  writeFileSync(file, 'content');
  const second = identityOf(file);
  assert.equal(second.inode, first.inode);
  assert.ok(!same(first, second));
  assert.ok(same({ ...first, generation: undefined }, second));
});

test('ext3: a generation of 0, which image builders leave behind, proves nothing', (t) => {
  const { file } = fileOn(t, 'ext3') ?? {};
  if (file === undefined) return;
  run('chattr', '-v', '0', file);
  const { inode } = identityOf(file);
  assert.deepEqual(identityOf(file), { ...NOTHING, inode });
  assert.ok(!canTellCopies(identityOf(file)));
});

test('btrfs: a snapshot is a copy, though inode number and time of birth are the same', (t) => {
  const disk = FileSystem.for(t, 'btrfs');
  if (disk === undefined) return;
  const [data, snapshot] = [join(disk.path, 'data'), join(disk.path, 'snapshot')];
  run('btrfs', 'subvolume', 'create', data);
  writeFileSync(join(data, 'file'), 'content');
  run('btrfs', 'subvolume', 'snapshot', data, snapshot);
  const [original, copy] = [identityOf(join(data, 'file')), identityOf(join(snapshot, 'file'))];
  assert.ok(!same(original, copy));
  assert.ok(same({ ...original, generation: undefined }, copy));
});

for (const kind of ['overlay', 'overlay-of-two'] as const) {
  test(`${kind}: a file of the layer below has an identity of its own once it was opened to write`, (t) => {
    const disk = FileSystem.for(t, kind);
    if (disk === undefined) return;
    writeFileSync(join(disk.lower, 'file'), 'content');
    letTimePass(join(disk.lower, 'file'));
    disk.remount();
    const file = join(disk.path, 'file');
    const below = identityOf(file);
    const own = ownIdentityOf(file);
    assert.ok(!same(below, own));
    assert.deepEqual(identityOf(file), own);
    disk.remount();
    assert.deepEqual(identityOf(file), own);
  });
}

/** What a process of its own finds, behind `launcher`. */
function foundBy(launcher: readonly string[], file: string, module = MODULE): FileIdentity[] {
  const program = `
    import { openSync } from 'node:fs';
    import { identityOf } from ${JSON.stringify(module)};
    const file = process.argv[1];
    console.log(JSON.stringify([identityOf(file), identityOf(file, openSync(file))]));`;
  const args = [process.execPath, '--input-type=module', '--eval', program, file];
  const found: FileIdentity[] = JSON.parse(run(...launcher, ...args));
  return found.map((identity) => ({ ...NOTHING, ...identity }));
}

test('where statx is refused the time of birth is not known, and nothing else is taken for it', () => {
  const file = join(root, 'without-statx');
  writeFileSync(file, '');
  const whole = identityOf(file);
  const launcher = withoutCalls(['statx']);
  const expected = { ...whole, birth: undefined };
  assert.deepEqual(foundBy(launcher, file), [expected, expected]);
  chmodSync(file, 0o600);
  assert.deepEqual(foundBy(launcher, file), [expected, expected]);
  assert.ok(same(whole, expected));
});

test('where handles are refused the generation is that of an open file', (t) => {
  const { file } = fileOn(t, 'ext4') ?? {};
  if (file === undefined) return;
  const whole = identityOf(file);
  const launcher = withoutCalls(['name_to_handle_at']);
  assert.deepEqual(foundBy(launcher, file), [{ ...whole, generation: undefined }, whole]);
});

test('without the addon there is no generation', () => {
  const directory = join(root, 'checkout');
  cpSync(fileURLToPath(new URL('../../src/', import.meta.url)), join(directory, 'src'), {
    recursive: true,
  });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  const file = join(root, 'without-addon');
  writeFileSync(file, '');
  const expected = { ...identityOf(file), generation: undefined };
  const module = new URL(`file://${join(directory, 'src', 'disk', 'identity.ts')}`);
  assert.deepEqual(foundBy([], file, module), [expected, expected]);
});

test('a look loosens no lock of SQLite in this process', () => {
  const file = join(root, 'locked.db');
  using db = new DatabaseSync(file);
  db.exec('CREATE TABLE rows (row INTEGER); BEGIN EXCLUSIVE');
  identityOf(file);
  const program = `
    const db = new (require('node:sqlite').DatabaseSync)(process.argv[1], { timeout: 0 });
    try { db.exec('BEGIN EXCLUSIVE'); console.log('free'); } catch { console.log('locked'); }`;
  assert.equal(run(process.execPath, '--eval', program, file), 'locked');
});

test('inode numbers are made up by vfat, exfat and overlays of several file systems', () => {
  const device = () => 5n;
  assert.ok(makesUpInodes(0x4d44, 5n, device));
  assert.ok(makesUpInodes(0x2011bab0, 5n, device));
  assert.ok(makesUpInodes(0x794c7630, 6n, device));
  assert.ok(!makesUpInodes(0x794c7630, 5n, device));
  assert.ok(!makesUpInodes(0xef53, 6n, device));
});

test('an identity is read as it was written, also by versions that knew no generation', () => {
  const whole = { inode: '12', birth: '1796012119262685629', generation: 'v7' };
  assert.equal(formatIdentity(whole), '12:1796012119262685629:v7');
  for (const identity of [
    whole,
    { ...whole, inode: undefined, generation: 'h00ff' },
    { ...whole, birth: undefined },
    NOTHING,
  ]) {
    assert.deepEqual(parseIdentity(formatIdentity(identity)), identity);
  }
  assert.deepEqual(parseIdentity('12:34'), { inode: '12', birth: '34', generation: undefined });
  for (const text of ['', '12', '12:34:5', '12:34:v5:6', 'a:34', '12:34:hXY', '12:34:v']) {
    assert.equal(parseIdentity(text), undefined, text);
  }
});

test('only what both know is compared', () => {
  const whole = { inode: '1', birth: '2', generation: 'v3' };
  assert.ok(same(whole, whole));
  for (const field of ['inode', 'birth', 'generation'] as const) {
    const other = { ...whole, [field]: field === 'generation' ? 'v9' : '9' };
    assert.ok(!same(whole, other), field);
    assert.ok(same(whole, { ...other, [field]: undefined }), field);
  }
  // A handle and a generation by itself cannot be compared: the file system was asked in another way.
  const byHandle = { ...whole, generation: 'h03' };
  assert.ok(same(whole, byHandle));
  assert.deepEqual(comparable(whole, byHandle), { ...whole, generation: undefined });
  assert.ok(!same(byHandle, { ...whole, generation: 'h04' }));
});

test('copies are detected by the birth or the generation, not by the inode number', () => {
  assert.ok(!canTellCopies({ ...NOTHING, inode: '1' }));
  assert.ok(canTellCopies({ ...NOTHING, birth: '1' }));
  assert.ok(canTellCopies({ ...NOTHING, generation: 'v1' }));
});
