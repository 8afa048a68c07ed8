/**
 * Builds the C tests of test/native for one kind of machine and runs them. A test is a program that
 * ends with 0 and has nothing to complain of; all of them get the published keys on standard input.
 * The kernel's own flags are used, so that each level is what ships.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flagsOf, sourceFiles } from '../../tools/build-native.mjs';
import { ED25519_KEYS } from './ed25519-vectors.ts';

const tests = fileURLToPath(new URL('../native/', import.meta.url));
const native = fileURLToPath(new URL('../../native/', import.meta.url));
const build = fileURLToPath(new URL('../../build/', import.meta.url));
const PUBLISHED_KEYS = ED25519_KEYS.map(({ seed, publicKey }) => `${seed} ${publicKey}\n`).join('');

/** The names of the C tests, without `.c`. */
export const C_TESTS: readonly string[] = readdirSync(tests)
  .filter((name) => name.endsWith('_test.c'))
  .map((name) => basename(name, '.c'));

export interface Machine {
  readonly compiler: string;
  /** As `process.arch` names it. */
  readonly arch: string;
  /** Of a source file, beyond those of the kernel. */
  readonly flags?: (file: string) => readonly string[];
}

export interface CTests {
  /** Builds one test, once; the path of the program. */
  program(name: string): string;
  /** Removes all that was built. */
  [Symbol.dispose](): void;
}

/** Compiles the kernel, without what binds it to Node.js. */
export function buildKernel({ compiler, arch, flags = () => [] }: Machine): CTests {
  mkdirSync(build, { recursive: true });
  const work = mkdtempSync(join(build, 'native-test-'));
  const compile = (args: readonly string[], output: string): string => {
    const { status, stderr } = spawnSync(compiler, [...args, '-o', output], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return output;
  };
  const objects = sourceFiles(arch)
    .filter((file) => file !== 'binding.c')
    .map((file) =>
      compile(
        [...flagsOf(file, arch), ...flags(file), '-c', join(native, file)],
        join(work, `${basename(file, '.c')}.o`),
      ),
    );
  const programs = new Map<string, string>();
  return {
    program(name) {
      const built = programs.get(name);
      if (built !== undefined) return built;
      // A test of one level's own parts is named after it and is built with its flags.
      const own = flagsOf(`${name.replace('_test', '')}.c`, arch);
      const args = [
        ...own,
        ...flags(`${name}.c`),
        '-pthread',
        '-I',
        native,
        join(tests, `${name}.c`),
      ];
      const program = compile([...args, ...objects], join(work, name));
      programs.set(name, program);
      return program;
    },
    [Symbol.dispose]() {
      rmSync(work, { recursive: true, force: true });
    },
  };
}

/** Runs a program, under an emulator if `command` begins with one; what it printed. */
export function runCTest(command: readonly string[]): string {
  const [program = '', ...args] = command;
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    input: PUBLISHED_KEYS,
  });
  assert.equal(error, undefined);
  assert.deepEqual({ status, signal, stderr }, { status: 0, signal: null, stderr: '' });
  return stdout;
}
