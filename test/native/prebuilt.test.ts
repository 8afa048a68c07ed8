/**
 * The addons of a package serve machines that nobody knows yet. So they need no library and no
 * version of a symbol, and of the C library only what glibc and musl both have. Each is loaded where
 * a compiler and, for another machine, an emulator are there: by glibc, and by musl.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PREBUILT } from '../../tools/build-native.mjs';
import { buildAddon, prebuilt } from '../../tools/build-package.mjs';

const HOST = fileURLToPath(new URL('./addon_host.c', import.meta.url));

/** Functions of the C library that musl has too, and that do there what they do in glibc. */
const IN_MUSL = new Set(
  `__errno_location __libc_current_sigrtmin _exit calloc clock_gettime closedir fcntl free getpid
  getppid getpriority getrandom ioctl madvise malloc memcmp memcpy memmove memset mmap munmap
  name_to_handle_at nanosleep opendir poll prctl pthread_mutex_lock pthread_mutex_unlock raise readdir
  setpriority setrlimit setsockopt sigaction snprintf sprintf strcmp syscall`.split(/\s+/),
);

const place = mkdtempSync(join(tmpdir(), 'vanitypool-test-'));
after(() => rmSync(place, { recursive: true, force: true }));

const runs = (command: string, ...args: string[]) => spawnSync(command, args).status === 0;
const HAS_READELF = runs('readelf', '--version');

/** How an addon for `arch` is loaded by each C library: the compiler of the host, and what runs it. */
function loadersOf(arch: string): readonly (readonly [name: string, cc: string, run: string[]])[] {
  if (arch === process.arch) {
    return [
      ['glibc', 'gcc', []],
      ['musl', 'musl-gcc', []],
    ];
  }
  if (arch !== 'arm64') return [];
  const emulator = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'];
  return [['glibc, emulated', 'aarch64-linux-gnu-gcc', emulator]];
}

for (const arch of PREBUILT) {
  suite(`the addon for ${arch}`, async () => {
    const addon = prebuilt(arch);
    const isBuilt = process.platform === 'linux' && (await buildAddon(arch));
    if (arch === process.arch && process.platform === 'linux')
      test('is built', () => assert.ok(isBuilt));

    const skip = !isBuilt ? `no compiler for ${arch}` : !HAS_READELF ? 'no readelf' : false;
    test('needs no library, no version, and only what musl has too', { skip }, () => {
      const read = (flag: string) =>
        execFileSync('readelf', ['--wide', flag, addon], { encoding: 'utf8' });
      assert.doesNotMatch(read('--dynamic'), /NEEDED|VERNEED/);
      const names = [...read('--dyn-syms').matchAll(/ UND (\S+)/g)].map(([, name]) => name!);
      assert.ok(names.some((name) => name.startsWith('napi_')));
      const others = names.filter((name) => !name.startsWith('napi_') && !IN_MUSL.has(name));
      assert.deepEqual(others, []);
    });

    for (const [name, compiler, [emulator, ...args]] of loadersOf(arch)) {
      const missing = [compiler, emulator].find((tool) => tool && !runs(tool, '--version'));
      const skip = !isBuilt ? `no compiler for ${arch}` : missing ? `no ${missing}` : false;
      test(`is loaded and computes right with ${name}`, { skip }, () => {
        const host = join(place, `${arch}-${compiler}`);
        execFileSync(compiler, ['-rdynamic', '-o', host, HOST, '-ldl'], { stdio: 'inherit' });
        const [command = host, ...rest] = [emulator, ...args, host, addon].filter(Boolean);
        const { status, stderr } = spawnSync(command!, rest as string[], { encoding: 'utf8' });
        assert.equal(status, 0, stderr);
      });
    }
  });
}
