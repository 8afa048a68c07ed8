/**
 * A program under an old container runtime: system calls that it names fail as if the kernel had none
 * of them, for that program and all that it starts (without-calls.c, built with the compiler at hand).
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('./without-calls.c', import.meta.url));

export type Call = 'statx' | 'name_to_handle_at';

/** Builds into `directory`; what goes before the program and its arguments. */
export function withoutCalls(directory: string, calls: readonly Call[]): string[] {
  const program = join(directory, 'without-calls');
  const args = ['-O1', '-Wall', '-Wextra', '-Werror', SOURCE, '-o', program];
  const { status, stderr } = spawnSync('cc', args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return [program, 'EPERM', calls.join(',')];
}
