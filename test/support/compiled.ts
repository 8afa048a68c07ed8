/**
 * C parts of tests, compiled with the compiler at hand: once for all test files and runs, below build/, by
 * what they are made of.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCompiler } from '../../tools/build-native.mjs';

const PLACE = fileURLToPath(new URL('../../build/compiled/', import.meta.url));
const PARTIAL = '.partial';

/**
 * What `args` make of `sources`, which have to name all files that they read but the system's. `name`: of
 * this use alone, by which what was made of older sources is removed.
 */
export function compiled(
  name: string,
  args: readonly string[],
  sources: readonly string[],
  compiler = findCompiler(),
): string {
  assert.ok(compiler, 'needs a C compiler (CC, cc, gcc or clang)');
  const hash = createHash('sha256').update(JSON.stringify([compiler, args]));
  for (const source of sources) hash.update(readFileSync(source));
  const directory = join(PLACE, name);
  const path = join(directory, hash.digest('hex'));
  if (existsSync(path)) return path;
  mkdirSync(directory, { recursive: true });
  // Another test file may be at it, too.
  const partial = `${path}.${process.pid}${PARTIAL}`;
  const { status, stderr } = spawnSync(compiler, [...args, '-o', partial], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  renameSync(partial, path);
  for (const other of readdirSync(directory)) {
    const isOlder = !other.endsWith(PARTIAL) && join(directory, other) !== path;
    if (isOlder) rmSync(join(directory, other), { force: true });
  }
  return path;
}
