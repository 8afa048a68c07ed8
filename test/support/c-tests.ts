/**
 * Builds the C tests of test/native for one kind of machine and runs them. A test is a program that
 * ends with 0 and has nothing to complain of; all of them get the published keys on standard input.
 * The kernel's own flags are used, so that each level is what ships.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flagsOf, sourceFiles } from '../../tools/build-native.mjs';
import { compiled } from './compiled.ts';
import { ED25519_KEYS } from './ed25519-vectors.ts';

const tests = fileURLToPath(new URL('../native/', import.meta.url));
const native = fileURLToPath(new URL('../../native/', import.meta.url));
/** What any of them is made of. */
const SOURCES = [native, tests].flatMap((directory) =>
  readdirSync(directory)
    .filter((file) => /\.[ch]$/.test(file))
    .map((file) => join(directory, file)),
);
const PUBLISHED_KEYS = ED25519_KEYS.map(({ seed, publicKey }) => `${seed} ${publicKey}\n`).join('');

/** The names of the C tests, without `.c`. */
export const C_TESTS: readonly string[] = readdirSync(tests)
  .filter((name) => name.endsWith('_test.c'))
  .map((name) => basename(name, '.c'));

export interface Machine {
  /** Of what is built for it, among all that is built so. */
  readonly name: string;
  readonly compiler: string;
  /** As `process.arch` names it. */
  readonly arch: string;
  /** Of a source file, beyond those of the kernel. */
  readonly flags?: (file: string) => readonly string[];
}

/** Compiles the kernel, without what binds it to Node.js; then each test by its name: the path of the program. */
export function buildKernel({ name, compiler, arch, flags = () => [] }: Machine) {
  const compile = (directory: string, file: string, own: readonly string[], rest: string[]) => {
    const args = [...own, ...flags(file), ...rest, join(directory, file)];
    return compiled(`${name}-${basename(file, '.c')}`, args, SOURCES, compiler);
  };
  const objects = sourceFiles(arch)
    .filter((file) => file !== 'binding.c')
    .map((file) => compile(native, file, flagsOf(file, arch), ['-c']));
  return (test: string): string => {
    // A test of one level's own parts is named after it and is built with its flags.
    const own = flagsOf(`${test.replace('_test', '')}.c`, arch);
    return compile(tests, `${test}.c`, own, ['-pthread', '-I', native, ...objects]);
  };
}

/** Runs a program, under an emulator if `command` begins with one; what it printed. */
export function runCTest(command: readonly string[]): string {
  const [program = '', ...args] = command;
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    input: PUBLISHED_KEYS,
  });
  // One that reads no keys may have ended before they were written.
  if ((error as NodeJS.ErrnoException | undefined)?.code !== 'EPIPE')
    assert.equal(error, undefined);
  assert.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: '' });
  return stdout;
}
