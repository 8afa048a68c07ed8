/**
 * Builds each C test with the address and undefined-behaviour sanitizers and runs it: a test is a
 * program that ends with 0. The kernel's own flags are used, so that each level is what ships.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findCompiler, flagsOf, sourceFiles } from '../../tools/build-native.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const native = fileURLToPath(new URL('../../native/', import.meta.url));
const build = fileURLToPath(new URL('../../build/', import.meta.url));
const SANITIZE = ['-g1', '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

const compiler = findCompiler();
const kernel = sourceFiles().filter((file) => file !== 'binding.c');
let work = '';

before(() => {
  assert.ok(compiler, 'the C tests need a C compiler (CC, cc, gcc or clang)');
  mkdirSync(build, { recursive: true });
  work = mkdtempSync(join(build, 'native-test-'));
  for (const file of kernel) {
    compile([...flagsOf(file), ...SANITIZE, '-c', join(native, file)], object(file));
  }
});

after(() => rmSync(work, { recursive: true, force: true }));

function object(file: string): string {
  return join(work, `${basename(file, '.c')}.o`);
}

function compile(args: readonly string[], output: string): void {
  const { status, stderr } = spawnSync(compiler!, [...args, '-o', output], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

for (const file of readdirSync(here).filter((name) => name.endsWith('_test.c'))) {
  test(basename(file, '.c').replace('_', ' '), () => {
    const program = join(work, basename(file, '.c'));
    // A test of one level's own parts is named after it and is built with its flags.
    const flags = [...flagsOf(file.replace('_test', '')), ...SANITIZE, '-pthread', '-I', native];
    compile([...flags, join(here, file), ...kernel.map(object)], program);
    const { status, signal, stderr } = spawnSync(program, { encoding: 'utf8' });
    assert.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: '' });
  });
}
