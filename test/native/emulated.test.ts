/**
 * The C tests on machines that this one is not, by emulation: arm64, and x86-64 processors that lack
 * what a level needs, or whose system does not save its registers. Which levels a machine gets is
 * what the kernel's test prints. Runs where VANITYPOOL_EMULATE is set, as `.ci/run` does; there a
 * missing cross compiler or emulator is a failure.
 */
import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { findCompiler } from '../../tools/build-native.mjs';
import { buildKernel, C_TESTS, type Machine, runCTest } from '../support/c-tests.ts';

/** An emulator with its arguments, what it runs there, and the levels that are found. */
interface Emulated {
  readonly emulator: readonly string[];
  readonly tests: readonly string[];
  readonly levels: readonly string[];
}

// Static: the emulator needs no libraries of the other machine.
const ARM64: Machine = {
  name: 'emulated-arm64',
  compiler: 'aarch64-linux-gnu-gcc',
  arch: 'arm64',
  flags: () => ['-static'],
};
const ON_ARM64: Emulated = { emulator: ['qemu-aarch64'], tests: C_TESTS, levels: ['portable'] };

/** The emulator knows no AVX-512. Without xsave a system cannot keep the wide registers. */
const ON_X64: readonly Emulated[] = [
  {
    emulator: ['qemu-x86_64', '-cpu', 'max'],
    levels: ['portable', 'avx2'],
    tests: ['kernel_test', 'vectors_test', 'chacha20_test', 'avx2_test'],
  },
  ...['max,-fma', 'max,-avx2', 'max,-xsave', 'Nehalem'].map((cpu) => ({
    emulator: ['qemu-x86_64', '-cpu', cpu],
    levels: ['portable'],
    tests: ['kernel_test', 'vectors_test', 'chacha20_test'],
  })),
];

function emulate(machine: Machine, emulated: readonly Emulated[]): void {
  suite(machine.arch, () => {
    let program: ReturnType<typeof buildKernel>;
    before(() => {
      program = buildKernel(machine);
    });

    for (const { emulator, tests, levels } of emulated) {
      for (const name of tests) {
        test(`${name.replace('_', ' ')} by ${emulator.join(' ')}`, () => {
          const printed = runCTest([...emulator, program(name)]);
          if (name === 'kernel_test')
            assert.equal(printed, levels.map((isa) => `${isa}\n`).join(''));
        });
      }
    }
  });
}

if (process.env.VANITYPOOL_EMULATE) {
  emulate(ARM64, [ON_ARM64]);
  if (process.arch === 'x64') {
    const compiler = findCompiler() ?? 'cc';
    emulate({ name: 'emulated-x64', compiler, arch: 'x64', flags: () => ['-static'] }, ON_X64);
  }
}
