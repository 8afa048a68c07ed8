/** The C tests on this machine, with the address and undefined-behaviour sanitizers. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { findCompiler } from '../../tools/build-native.mjs';
import { buildKernel, C_TESTS, runCTest } from '../support/c-tests.ts';

const SANITIZE = ['-g1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
/** The compiler takes longer to optimise wide code, with what the sanitizers add, than that then saves. */
const flags = (file: string) => [/_avx(2|512)\.c$/.test(file) ? '-O0' : '-Og', ...SANITIZE];

let program: ReturnType<typeof buildKernel>;

before(() => {
  const compiler = findCompiler();
  assert.ok(compiler, 'the C tests need a C compiler (CC, cc, gcc or clang)');
  program = buildKernel({ name: 'sanitized', compiler, arch: process.arch, flags });
});

for (const name of C_TESTS) {
  test(name.replace('_', ' '), () => {
    runCTest([program(name)]);
  });
}
