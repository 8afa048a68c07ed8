import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { assertMemory } from '../../src/system/memory-limits.ts';

const root = mkdtempSync(join(tmpdir(), 'vanitypool-'));
after(() => rmSync(root, { recursive: true }));
mkdirSync(join(root, 'proc/self'), { recursive: true });

function limits(space: string, data: string, status = 'VmSize:\t1048576 kB\nVmData:\t524288 kB\n') {
  const text = `Max data size             ${data}   unlimited            bytes\nMax address space         ${space}            unlimited            bytes\n`;
  writeFileSync(join(root, 'proc/self/limits'), text);
  writeFileSync(join(root, 'proc/self/status'), status);
}

const mib = (count: number) => String(count * 2 ** 20);
const two = { threads: 2, hasTable: true, bytes: 10 * 2 ** 20 };

test('what is reserved already counts, and each thread, the table, and what is shared', () => {
  const needed = 1024 + 256 + 288 + 10 + 2 * 620;
  limits(mib(needed), 'unlimited');
  assertMemory(two, 'the server', root);
  limits(mib(needed - 1), 'unlimited');
  assert.throws(() => assertMemory(two, 'the server', root), {
    code: 'SYSTEM_LIMIT_REACHED',
    message: `the server: ${needed} MiB are reserved, 620 for each thread, and RLIMIT_AS is ${needed - 1} MiB; raise it (ulimit -v unlimited), or take fewer threads`,
  });
  assertMemory({ ...two, hasTable: false }, 'the server', root);
  const ofData = 512 + 256 + 288 + 10 + 2 * 545;
  limits('unlimited', mib(ofData - 1));
  assert.throws(() => assertMemory(two, 'the server', root), { message: /RLIMIT_DATA is/ });
  limits('unlimited', mib(ofData));
  assertMemory(two, 'the server', root);
});

test('what cannot be read is no limit', () => {
  assertMemory(two, 'the server', join(root, 'nowhere'));
  limits('unlimited', 'unlimited');
  assertMemory(two, 'the server', root);
  limits('1', '1', '');
  assertMemory(two, 'the server', root);
});
