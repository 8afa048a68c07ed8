import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { flagsOf, sourceFiles } from '../../tools/build-native.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A few sources are enough for what is tested: they compile and link, but make no whole addon. */
const SOURCES = ['sha512.c', 'sha512.h', 'field.c', 'field.h'];

function checkout(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'vanitypool-build-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  cpSync(join(root, 'tools'), join(directory, 'tools'), { recursive: true });
  for (const file of SOURCES) cpSync(join(root, 'native', file), join(directory, 'native', file));
  symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  return directory;
}

function build(directory: string, env: Record<string, string> = {}) {
  const script = join(directory, 'tools', 'build-native.mjs');
  const { status, stderr } = spawnSync(process.execPath, [script], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...env },
  });
  return { status, stderr };
}

test('the addon is built once, and again only when a source changes', (t) => {
  const directory = checkout(t);
  const addon = join(directory, 'build', 'vanitypool.node');
  const building = 'vanitypool: compiling the grind kernel, once\n';
  assert.deepEqual(build(directory), { status: 0, stderr: building });
  const first = statSync(addon);
  assert.deepEqual(build(directory), { status: 0, stderr: '' });
  assert.equal(statSync(addon).ino, first.ino);
  appendFileSync(join(directory, 'native', 'field.c'), '/* changed */\n');
  assert.deepEqual(build(directory), { status: 0, stderr: building });
  assert.notEqual(statSync(addon).ino, first.ino);
});

test('without a compiler there is one warning', (t) => {
  assert.deepEqual(build(checkout(t), { PATH: '' }), {
    status: 1,
    stderr:
      'vanitypool: no C compiler was found (CC, cc, gcc, clang); grinding will use the slow portable path\n',
  });
});

test('a source that does not compile leaves no addon and says why', (t) => {
  const directory = checkout(t);
  appendFileSync(join(directory, 'native', 'sha512.c'), 'no C\n');
  const { status, stderr } = build(directory);
  assert.equal(status, 1);
  assert.match(stderr, /sha512\.c.*error/);
  assert.match(stderr, /the native grind kernel does not compile/);
  assert.throws(() => statSync(join(directory, 'build', 'vanitypool.node')), { code: 'ENOENT' });
});

test('a level is built for its own kind of machine, with its flags', () => {
  const ofArm64 = sourceFiles('arm64');
  const levels = sourceFiles('x64').filter((file) => !ofArm64.includes(file));
  assert.ok(ofArm64.includes('seed_portable.c'));
  assert.ok(levels.includes('seed_avx2.c') && levels.includes('expanded_avx512.c'));
  for (const file of levels) assert.match(file, /_avx(2|512)\.c$/);
  const common = flagsOf('kernel.c', 'x64');
  for (const file of sourceFiles('x64')) {
    assert.deepEqual(flagsOf(file, 'arm64'), common);
    assert.equal(flagsOf(file, 'x64').length > common.length, levels.includes(file), file);
  }
});
